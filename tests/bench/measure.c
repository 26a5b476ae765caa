/*
** What a command takes, from its start to its end.
**
**   measure REPORT COUNT COMMAND…
**
** Runs the command COUNT times, one after the other, and writes into the file
** REPORT the wall and CPU seconds of them all and the largest VmHWM in KiB.
**
** VmHWM is the kernel's own figure for the memory of one program, and goes with
** it, so it is read when the process is about to end: ptrace stops it there,
** and once when it begins, but nowhere else. (ru_maxrss, which wait tells, is
** at least what the process had before it became that program: that of
** whoever started it.) What the command starts itself counts for its CPU time,
** not for its memory.
*/
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "peak.h"

static pid_t start(char **command) {
  pid_t process = fork();
  if (process == 0) {
    if (ptrace(PTRACE_TRACEME, 0, NULL, NULL) == 0)
      execvp(command[0], command);
    perror(command[0]);
    _exit(127);
  }
  return process;
}

static pid_t wait_for(pid_t process, int *status) {
  pid_t found;
  do
    found = waitpid(process, status, 0);
  while (found < 0 && errno == EINTR);
  return found;
}

/* A stop is an event of ours, the start, or a signal for the command. */
static int signal_at(int status) {
  int number = WSTOPSIG(status);
  return status >> 16 != 0 || number == SIGTRAP ? 0 : number;
}

/* The peak of the command, or 0 if it failed. */
static long run(char **command) {
  long options = PTRACE_O_TRACEEXIT | PTRACE_O_TRACEEXEC | PTRACE_O_EXITKILL;
  long peak = 0;
  int status = 0;
  char path[64];
  pid_t process = start(command);
  if (process < 0 || wait_for(process, &status) < 0 || !WIFSTOPPED(status))
    return 0;
  snprintf(path, sizeof path, "/proc/%ld/status", (long)process);
  ptrace(PTRACE_SETOPTIONS, process, NULL, options);
  while (WIFSTOPPED(status)) {
    if (status >> 8 == (SIGTRAP | PTRACE_EVENT_EXIT << 8))
      peak = peak_of(path);
    ptrace(PTRACE_CONT, process, NULL, (long)signal_at(status));
    if (wait_for(process, &status) < 0)
      return 0;
  }
  return WIFEXITED(status) && WEXITSTATUS(status) == 0 ? peak : 0;
}

static double wall(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

static double seconds(struct timeval time) {
  return (double)time.tv_sec + (double)time.tv_usec / 1e6;
}

static int report(const char *path, double elapsed, long peak) {
  struct rusage usage;
  if (getrusage(RUSAGE_CHILDREN, &usage) != 0)
    return 1;
  FILE *file = fopen(path, "w");
  if (!file)
    return 1;
  fprintf(file, "%.9f %.6f %ld\n", elapsed,
          seconds(usage.ru_utime) + seconds(usage.ru_stime), peak);
  return fclose(file) == 0 ? 0 : 1;
}

int main(int argc, char **argv) {
  long most = 0, count = argc > 3 ? strtol(argv[2], NULL, 10) : 0;
  double started = wall();
  for (long i = 0; i < count; i++) {
    long peak = run(argv + 3);
    if (peak == 0)
      return 1;
    most = peak > most ? peak : most;
  }
  return most > 0 ? report(argv[1], wall() - started, most) : 2;
}
