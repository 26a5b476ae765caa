/*
** What libcurl can do with nothing above it: the limit of the benchmarks.
**
**   limit URL COUNT IN_FLIGHT [default|hashed [fresh]]
**
** GETs the URL COUNT times and drops the bodies, with the CA certificates as
** Debian's libcurl takes them or from the hashed directory alone, on kept
** connections or on a fresh one each; BENCH_CA names another authority. Prints
** the wall and CPU seconds of that and its VmHWM in KiB.
*/
#include <curl/curl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "peak.h"

static struct {
  const char *url;
  long count, in_flight, begun, done;
  bool hashed, fresh;
} task;

static size_t drop(char *bytes, size_t size, size_t count, void *data) {
  (void)bytes;
  (void)data;
  return size * count;
}

static CURL *new_handle(void) {
  CURL *easy = curl_easy_init();
  curl_easy_setopt(easy, CURLOPT_URL, task.url);
  curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, drop);
  curl_easy_setopt(easy, CURLOPT_FAILONERROR, 1L);
  curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
  curl_easy_setopt(easy, CURLOPT_PIPEWAIT, task.fresh ? 0L : 1L);
  curl_easy_setopt(easy, CURLOPT_FORBID_REUSE, task.fresh ? 1L : 0L);
  curl_easy_setopt(easy, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_2TLS);
  if (getenv("BENCH_CA"))
    curl_easy_setopt(easy, CURLOPT_CAINFO, getenv("BENCH_CA"));
  if (task.hashed)
    curl_easy_setopt(easy, CURLOPT_CAINFO, NULL);
  return easy;
}

static void check(CURLcode result) {
  if (result == CURLE_OK)
    return;
  fprintf(stderr, "limit: %s\n", curl_easy_strerror(result));
  exit(1);
}

static void one_by_one(void) {
  CURL *easy = new_handle();
  for (long i = 0; i < task.count; i++)
    check(curl_easy_perform(easy));
  curl_easy_cleanup(easy);
}

static void read_ends(CURLM *multi) {
  int left;
  const CURLMsg *message;
  while ((message = curl_multi_info_read(multi, &left)) != NULL) {
    CURL *easy = message->easy_handle;
    check(message->data.result);
    task.done++;
    curl_multi_remove_handle(multi, easy);
    if (task.begun++ < task.count)
      curl_multi_add_handle(multi, easy);
    else
      curl_easy_cleanup(easy);
  }
}

static void side_by_side(void) {
  CURLM *multi = curl_multi_init();
  int running;
  for (long i = 0; i < task.in_flight && task.begun < task.count; i++) {
    curl_multi_add_handle(multi, new_handle());
    task.begun++;
  }
  while (task.done < task.count) {
    curl_multi_perform(multi, &running);
    read_ends(multi);
    if (task.done < task.count)
      curl_multi_poll(multi, NULL, 0, 1000, NULL);
  }
  curl_multi_cleanup(multi);
}

static double seconds(clockid_t clock) {
  struct timespec now;
  clock_gettime(clock, &now);
  return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

int main(int argc, char **argv) {
  if (argc < 4)
    return 2;
  task.url = argv[1];
  task.count = strtol(argv[2], NULL, 10);
  task.in_flight = strtol(argv[3], NULL, 10);
  if (task.count < 1 || task.in_flight < 1)
    return 2;
  task.hashed = argc > 4 && strcmp(argv[4], "hashed") == 0;
  task.fresh = argc > 5;
  curl_global_init(CURL_GLOBAL_DEFAULT);
  double wall = seconds(CLOCK_MONOTONIC);
  double cpu = seconds(CLOCK_PROCESS_CPUTIME_ID);
  if (task.in_flight > 1)
    side_by_side();
  else
    one_by_one();
  printf("%.9f %.9f %ld\n", seconds(CLOCK_MONOTONIC) - wall,
         seconds(CLOCK_PROCESS_CPUTIME_ID) - cpu, peak_of("/proc/self/status"));
  return 0;
}
