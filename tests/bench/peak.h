/*
** The largest memory that a process has had, as the kernel tells it.
*/
#ifndef MAIAGENT_BENCH_PEAK_H
#define MAIAGENT_BENCH_PEAK_H

#include <stdio.h>

/* Its VmHWM in KiB, of its /proc/ID/status; 0 where there is none. */
static long peak_of(const char *path) {
  char line[256];
  long kibibytes = 0;
  FILE *file = fopen(path, "r");
  while (file && fgets(line, sizeof line, file))
    if (sscanf(line, "VmHWM: %ld", &kibibytes) == 1)
      break;
  if (file)
    fclose(file);
  return kibibytes;
}

#endif
