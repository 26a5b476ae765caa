#include "measure.h"

static double seconds(CURL *easy, CURLINFO what) {
  curl_off_t microseconds = 0;
  curl_easy_getinfo(easy, what, &microseconds);
  return (double)microseconds / 1e6;
}

static curl_off_t bytes(CURL *easy, CURLINFO what) {
  curl_off_t count = 0;
  curl_easy_getinfo(easy, what, &count);
  return count > 0 ? count : 0;
}

static double difference(double end, double begin) {
  return end > begin ? end - begin : 0;
}

void measure_progress(struct measure_progress *to, CURL *easy) {
  to->sent = bytes(easy, CURLINFO_SIZE_UPLOAD_T);
  to->send_total = bytes(easy, CURLINFO_CONTENT_LENGTH_UPLOAD_T);
  to->received = bytes(easy, CURLINFO_SIZE_DOWNLOAD_T);
  to->receive_total = bytes(easy, CURLINFO_CONTENT_LENGTH_DOWNLOAD_T);
}

void measure_timings(struct measure_timings *to, CURL *easy, bool sent) {
  double looked_up = seconds(easy, CURLINFO_NAMELOOKUP_TIME_T);
  double connected = seconds(easy, CURLINFO_CONNECT_TIME_T);
  long connections = 0;
  curl_easy_getinfo(easy, CURLINFO_NUM_CONNECTS, &connections);
  to->dns = looked_up;
  to->connect = difference(connected, looked_up);
  to->tls = difference(seconds(easy, CURLINFO_APPCONNECT_TIME_T), connected);
  to->first_byte = seconds(easy, CURLINFO_STARTTRANSFER_TIME_T);
  to->total = seconds(easy, CURLINFO_TOTAL_TIME_T);
  to->reused = connections == 0 && sent;
}

double measure_rest(CURL *easy, curl_off_t limit, double elapsed) {
  curl_off_t moved = bytes(easy, CURLINFO_SIZE_UPLOAD_T) +
                     bytes(easy, CURLINFO_SIZE_DOWNLOAD_T);
  return limit > 0 ? (double)moved / (double)limit - elapsed : 0;
}

curl_off_t measure_sent(CURL *easy) {
  return bytes(easy, CURLINFO_SIZE_UPLOAD_T);
}
