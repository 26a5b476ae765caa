#include "easy.h"

#include <ctype.h>
#include <dirent.h>
#include <pthread.h>
#include <string.h>

#define KIB 1024L

static const char *ca_bundle, *ca_directory;
static bool ca_hashed, reusable;
static CURLcode global_result;
static unsigned forks;

#if LIBCURL_VERSION_NUM >= 0x074600
/* OpenSSL's c_rehash names its links by eight hexadecimal digits, ".0". */
static bool is_hash_name(const char *name) {
  int i = 0;
  while (i < 8 && isxdigit((unsigned char)name[i]))
    i++;
  return i == 8 && name[8] == '.' && isdigit((unsigned char)name[9]);
}

static bool is_hashed(const char *directory) {
  const struct dirent *entry;
  bool found = false;
  DIR *dir = directory ? opendir(directory) : NULL;
  if (!dir)
    return false;
  for (entry = readdir(dir); entry && !found; entry = readdir(dir))
    found = is_hash_name(entry->d_name);
  closedir(dir);
  return found;
}

static bool has_prefix(const char *text, const char *prefix) {
  return text && strncmp(text, prefix, strlen(prefix)) == 0;
}

static void find_certificates(void) {
  const curl_version_info_data *info = curl_version_info(CURLVERSION_NOW);
  if (!has_prefix(info->ssl_version, "OpenSSL/") &&
      !has_prefix(info->ssl_version, "LibreSSL/"))
    return; /* other libraries read the whole directory: slower, not faster */
  ca_bundle = info->cainfo;
  ca_directory = info->capath;
  ca_hashed = is_hashed(ca_directory);
}
#else
/* An older libcurl does not tell where they are: its defaults stand. */
static void find_certificates(void) {}
#endif

#define FIRST_WITH_STALE_HEADER 0x075300
#define LAST_WITH_STALE_HEADER 0x080100

/* Of the libcurl that is there, not of the one that this was compiled for. */
static bool has_stale_header(void) {
  unsigned version = curl_version_info(CURLVERSION_NOW)->version_num;
  return version >= FIRST_WITH_STALE_HEADER &&
         version <= LAST_WITH_STALE_HEADER;
}

bool easy_is_reusable(void) { return reusable; }

/* To compare the process's number instead took 12 system calls for each
** request: libc does not keep it. */
static void count_fork(void) { forks++; }

unsigned easy_forks(void) { return forks; }

static void global_init(void) {
  reusable = !has_stale_header();
  global_result = CURLE_OUT_OF_MEMORY;
  if (pthread_atfork(NULL, NULL, count_fork) == 0)
    global_result = curl_global_init(CURL_GLOBAL_DEFAULT);
  if (global_result == CURLE_OK)
    find_certificates();
}

/* Never undone: other libraries of the process may use libcurl too. */
bool easy_ready(void) {
  static pthread_once_t once = PTHREAD_ONCE_INIT;
  pthread_once(&once, global_init);
  return global_result == CURLE_OK;
}

static void set_buffers(CURL *easy, long received, long sent) {
  curl_easy_setopt(easy, CURLOPT_BUFFERSIZE, received);
#if LIBCURL_VERSION_NUM >= 0x073e00
  curl_easy_setopt(easy, CURLOPT_UPLOAD_BUFFERSIZE, sent);
#endif
}

/* Short of memory, curl_easy_reset leaves some of libcurl's defaults at zero
** without a word: with no buffer an upload would never send a byte. */
static void restore_defaults(CURL *easy) {
  set_buffers(easy, 16 * KIB, 64 * KIB);
  curl_easy_setopt(easy, CURLOPT_TCP_NODELAY, 1L);
  curl_easy_setopt(easy, CURLOPT_SSL_VERIFYPEER, 1L);
  curl_easy_setopt(easy, CURLOPT_SSL_VERIFYHOST, 2L);
}

void easy_set_always(CURL *easy) {
  restore_defaults(easy);
  curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
  curl_easy_setopt(easy, CURLOPT_NOPROGRESS, 1L);
  curl_easy_setopt(easy, CURLOPT_FOLLOWLOCATION, 0L);
  curl_easy_setopt(easy, CURLOPT_SUPPRESS_CONNECT_HEADERS, 1L);
  curl_easy_setopt(easy, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_2TLS);
#if LIBCURL_VERSION_NUM >= 0x074000
  curl_easy_setopt(easy, CURLOPT_HTTP09_ALLOWED, 0L);
#endif
#if LIBCURL_VERSION_NUM >= 0x075500
  curl_easy_setopt(easy, CURLOPT_PROTOCOLS_STR, "http,https");
#else
  curl_easy_setopt(easy, CURLOPT_PROTOCOLS, CURLPROTO_HTTP | CURLPROTO_HTTPS);
#endif
#if LIBCURL_VERSION_NUM >= 0x075700
  curl_easy_setopt(easy, CURLOPT_QUICK_EXIT, 1L);
#endif
}

/* What nobody asked to be encoded may still be. A file gets what it stands for,
** which libcurl sees to where any coding was asked for. */
bool easy_accept(CURL *easy, bool compressed, bool to_file) {
  const char *codings = to_file ? "identity" : NULL;
  return curl_easy_setopt(easy, CURLOPT_ACCEPT_ENCODING,
                          compressed ? "" : codings) == CURLE_OK;
}

/* Where the connection cannot multiplex (plain http), a second request would
** only wait for the whole of the first answer. */
void easy_wait_for_multiplexing(CURL *easy, const char *url) {
  bool secure = curl_strnequal(url, "https:", 6);
  curl_easy_setopt(easy, CURLOPT_PIPEWAIT, secure ? 1L : 0L);
}

/* A directory that is not hashed says nothing to OpenSSL, and keeps libcurl
** from reading the bundle only once. With both, a fresh connection takes 20 ms
** of CPU; with the hashed directory alone 1.1; with the bundle alone 1.7, which
** is the mean of twenty that share one reading. */
bool easy_trust_system(CURL *easy) {
  if (!ca_directory || !ca_bundle)
    return false;
  curl_easy_setopt(easy, CURLOPT_CAPATH, ca_hashed ? ca_directory : NULL);
  if (ca_hashed)
    curl_easy_setopt(easy, CURLOPT_CAINFO, NULL);
  return ca_hashed;
}

void easy_trust_bundle(CURL *easy) {
  curl_easy_setopt(easy, CURLOPT_CAINFO, ca_bundle);
  curl_easy_setopt(easy, CURLOPT_CAPATH, NULL);
}

bool easy_trust_file(CURL *easy, const char *ca_file) {
  curl_easy_setopt(easy, CURLOPT_SSL_VERIFYPEER, ca_file ? 1L : 0L);
  curl_easy_setopt(easy, CURLOPT_SSL_VERIFYHOST, ca_file ? 2L : 0L);
  curl_easy_setopt(easy, CURLOPT_CAPATH, NULL);
  return curl_easy_setopt(easy, CURLOPT_CAINFO, ca_file) == CURLE_OK;
}

static long clamp(curl_off_t value, long least, long most) {
  if (value < least)
    return least;
  return value < most ? (long)value : most;
}

/* libcurl reads a hundred blocks before it looks at the limit, and sends a
** whole one: with a limit neither may be more than a fraction of a second. What
** goes to a file comes in the largest blocks that libcurl takes: 256 MiB are
** received by 580 system calls instead of 16,700 with 16 KiB, and with two
** fifths less CPU (128 KiB save a seventh). What is sent is copied twice, by
** the read and by the send: with blocks of 32 KiB, which stay in the nearest
** cache of the processor in between, an upload takes a twelfth less CPU than
** with 64 KiB and a fifth less than with 16. Without epoll a step sends one
** block and no more: with 32 KiB that would be slow. */
void easy_set_speed(CURL *easy, bool to_file, curl_off_t limit) {
  long received = (to_file ? 512 : 16) * KIB;
  long sent = (EASY_HAS_EPOLL ? 32 : 256) * KIB;
  if (limit > 0) {
    received = clamp(limit / 100, KIB, received);
    sent = clamp(limit / 4, 16 * KIB, sent);
  }
  set_buffers(easy, received, sent);
  curl_easy_setopt(easy, CURLOPT_MAX_SEND_SPEED_LARGE, limit);
  curl_easy_setopt(easy, CURLOPT_MAX_RECV_SPEED_LARGE, limit);
}
