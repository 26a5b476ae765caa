/*
** The largest memory that a process has had, as the kernel tells it.
*/
#ifndef MAIAGENT_BENCH_PEAK_H
#define MAIAGENT_BENCH_PEAK_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PEAK "VmHWM:"

/* Its VmHWM in KiB, of its /proc/ID/status; 0 where there is none. */
static long peak_of(const char *path) {
  char line[256];
  long kibibytes = 0;
  FILE *file = fopen(path, "r");
  while (file && fgets(line, sizeof line, file))
    if (strncmp(line, PEAK, strlen(PEAK)) == 0)
      kibibytes = strtol(line + strlen(PEAK), NULL, 10);
  if (file)
    fclose(file);
  return kibibytes;
}

#endif
