/* What libcurl counts of an exchange: bytes and times. No Lua. */
#ifndef MAIAGENT_MEASURE_H
#define MAIAGENT_MEASURE_H

#include <curl/curl.h>
#include <stdbool.h>

#pragma GCC visibility push(hidden)

struct measure_progress {
  curl_off_t sent, send_total, received, receive_total; /* 0: unknown */
};

/* Seconds: the first three are how long each took, the others since start. */
struct measure_timings {
  double dns, connect, tls, first_byte, total;
  bool reused;
};

/* Reads the counters as they are now. */
void measure_progress(struct measure_progress *to, CURL *easy);

/* Reads the times of an exchange that ended; `sent`: on some connection. */
void measure_timings(struct measure_timings *to, CURL *easy, bool sent);

/* Seconds for which a limit (bytes per second, 0: none) still holds back what
** began `elapsed` seconds ago; may be negative. */
double measure_rest(CURL *easy, curl_off_t limit, double elapsed);

/* The bytes sent so far, 0 if libcurl does not know. */
curl_off_t measure_sent(CURL *easy);

#pragma GCC visibility pop

#endif
