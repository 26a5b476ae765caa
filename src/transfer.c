#include "transfer.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "callbacks.h"
#include "easy.h"
#include "head.h"

/* Seconds. What is longer, infinity too, would not fit into libcurl's numbers
** and end at once. */
#define LONGEST_CONNECT 1e6

#define REFUSED 400 /* and above: libcurl sends no more of the body */

#define TOO_LARGE "Too large response headers" /* libcurl's words */

#define OUT_OF_MEMORY "not enough memory"

static bool is_success(int status) { return status >= 200 && status < 300; }

/*
** The end
*/

static void copy_redirect(struct transfer *t) {
  const char *url = NULL;
  curl_easy_getinfo(t->member.easy, CURLINFO_REDIRECT_URL, &url);
  if (!url)
    return;
  t->redirect = strdup(url);
  if (!t->redirect)
    failure_set(&t->failure, FAILURE_MEMORY, OUT_OF_MEMORY);
}

static void explain(struct transfer *t, CURLcode code) {
  CURL *easy = t->member.easy;
  long system_error = 0;
  struct failure_facts facts = {.host = t->host, .text = t->text};
  curl_easy_getinfo(easy, CURLINFO_OS_ERRNO, &system_error);
  facts.system_error = (int)system_error;
  facts.connect = t->connect;
  facts.elsewhere = t->elsewhere;
  facts.received = t->progress.received;
  facts.proxy = t->proxy;
  if (!t->direct)
    proxy_find(&facts.proxy, t->request->url.data, t->text);
  curl_easy_getinfo(easy, CURLINFO_CONTENT_LENGTH_DOWNLOAD_T, &facts.expected);
  /* libcurl's own limits, of a line and of all, have no codes of their own */
  if (code == CURLE_OUT_OF_MEMORY && t->status > 0 && !t->head_done)
    failure_set(&t->failure, FAILURE_DECODE,
                "a line of the headers of %s is too long (or memory ended)",
                t->host);
  if (strncmp(t->text, TOO_LARGE, strlen(TOO_LARGE)) == 0)
    failure_set(&t->failure, FAILURE_DECODE,
                "the headers of %s are too large: libcurl takes no more",
                t->host);
  failure_explain(&t->failure, code, &facts);
}

static bool is_untrusted(CURLcode code) {
  return (int)code == CURLE_PEER_FAILED_VERIFICATION || (int)code == 51;
}

/* The handshake failed before any byte of the request was sent, so nothing
** is done twice. */
static bool try_bundle(struct transfer *t) {
  t->second_trust = false;
  t->text[0] = '\0';
  t->bundled = true;
  easy_trust_bundle(t->member.easy);
  return true;
}

/* Where the answer comes first and the server hangs up, libcurl sends no more
** and is content. It may have stored the beginning as if it were all. */
static bool is_early(const struct transfer *t) {
  return t->form.mime && is_success(t->status) &&
         t->progress.sent < t->progress.send_total;
}

static void refuse_early(struct transfer *t) {
  failure_set(&t->failure, FAILURE_CONNECTION,
              "%s answered (%d) and hung up after %" CURL_FORMAT_CURL_OFF_T
              " of the %" CURL_FORMAT_CURL_OFF_T " bytes that were to be sent",
              t->host, t->status, t->progress.sent, t->progress.send_total);
}

/* Releases what is only needed under way. */
static void finish(struct transfer *t) {
  if (t->started && !t->finished)
    (*t->under_way)--;
  t->finished = true;
  sink_finish(&t->sink, &t->failure);
  head_free(&t->headers);
  form_free(&t->form);
  t->request = NULL;
}

static void settle(struct transfer *t, CURLcode code) {
  transfer_measure(t);
  transfer_sent(t);
  measure_timings(&t->timings, t->member.easy, t->sent);
  if (t->bundled && !is_untrusted(code))
    t->member.loop->bundle = true;
  if (code != CURLE_OK)
    explain(t, code);
  else if (!t->head_done) /* libcurl takes what it got for an answer */
    failure_set(&t->failure, FAILURE_CONNECTION,
                "%s closed the connection before the end of its headers",
                t->host);
  else if (is_early(t))
    refuse_early(t);
  else
    copy_redirect(t);
}

/* The parent goes on writing into the file. */
static void settle_in_child(struct transfer *t) {
  sink_close(&t->sink);
  t->sink.taken = false;
  failure_set(&t->failure, FAILURE_CANCELLED,
              "this process was forked from the one that waits for %s",
              t->host);
}

static bool on_end(struct loop_member *member, enum loop_end how,
                   CURLcode code) {
  struct transfer *t = (struct transfer *)member;
  if (how == LOOP_DONE && is_untrusted(code) && t->second_trust)
    return try_bundle(t);
  if (how == LOOP_DONE)
    settle(t, code);
  else if (how == LOOP_CLOSED)
    failure_set(&t->failure, FAILURE_CANCELLED, "the client was closed");
  else
    settle_in_child(t);
  finish(t);
  return false;
}

/*
** The start
*/

static bool has_body(const struct request *request) {
  const char *method = request->method;
  return request->has_body || request->parts || strcmp(method, "POST") == 0 ||
         strcmp(method, "PUT") == 0 || strcmp(method, "PATCH") == 0;
}

static bool set_headers(struct transfer *t) {
  if (!head_list(&t->headers, t->request, has_body(t->request)))
    return false;
  curl_easy_setopt(t->member.easy, CURLOPT_HTTPHEADER, t->headers);
  return true;
}

static bool set_text(struct transfer *t, CURLoption option, const char *text) {
  return !text || curl_easy_setopt(t->member.easy, option, text) == CURLE_OK;
}

/* The bytes stay where they are: the request outlives the exchange. */
static bool set_body(struct transfer *t) {
  const struct request *request = t->request;
  const char *method = request->method;
  CURL *easy = t->member.easy;
  bool writes = has_body(request);
  if (strcmp(method, "HEAD") == 0) {
    curl_easy_setopt(easy, CURLOPT_NOBODY, 1L);
    return true;
  }
  if (request->parts) {
    if (!form_build(&t->form, &t->member, request->parts, &t->failure))
      return false;
  } else if (writes) {
    const char *body = request->has_body ? request->body.data : NULL;
    size_t length = request->has_body ? request->body.length : 0;
    curl_easy_setopt(easy, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)length);
    curl_easy_setopt(easy, CURLOPT_POSTFIELDS, body ? body : "");
  }
  const char *implied = writes ? "POST" : "GET";
  return strcmp(method, implied) == 0 ||
         set_text(t, CURLOPT_CUSTOMREQUEST, method);
}

static bool set_trust(struct transfer *t, struct loop *loop,
                      const struct transfer_settings *settings) {
  if (settings->insecure)
    return easy_trust_file(t->member.easy, NULL);
  if (settings->ca_file)
    return easy_trust_file(t->member.easy, settings->ca_file);
  if (loop->bundle)
    easy_trust_bundle(t->member.easy);
  else
    t->second_trust = easy_trust_system(t->member.easy);
  return true;
}

/* "" keeps libcurl from looking into the environment. */
static bool set_proxy(struct transfer *t, const char *proxy) {
  if (!proxy && proxy_is_needless(t->host))
    proxy = "";
  t->direct = proxy && !*proxy;
  proxy_give(&t->proxy, proxy);
  return set_text(t, CURLOPT_PROXY, proxy);
}

static bool set_options(struct transfer *t,
                        const struct transfer_settings *settings) {
  CURL *easy = t->member.easy;
  bool endless = settings->connect > LONGEST_CONNECT;
  double most = endless ? LONGEST_CONNECT : settings->connect;
  long connect = (long)(most * 1000);
  curl_easy_setopt(easy, CURLOPT_CONNECTTIMEOUT_MS, connect > 0 ? connect : 1L);
  easy_set_speed(easy, t->sink.path != NULL, settings->max_speed);
  easy_wait_for_multiplexing(easy, t->request->url.data);
  return set_text(t, CURLOPT_URL, t->request->url.data) &&
         set_proxy(t, settings->proxy) &&
         set_text(t, CURLOPT_USERAGENT, settings->user_agent) &&
         easy_accept(easy, settings->compressed, settings->path);
}

static bool keep_settings(struct transfer *t,
                          const struct transfer_settings *settings) {
  buffer_init(&t->reply, settings->reply_limit);
  buffer_init(&t->head, settings->header_limit);
  t->stream = settings->stream;
  t->idempotent = settings->idempotent;
  t->connect = settings->connect;
  t->elsewhere = settings->elsewhere;
  t->max_speed = settings->max_speed;
  if (!settings->path)
    return true;
  return sink_name(&t->sink, settings->path, settings->resume);
}

static bool prepare(struct transfer *t, struct loop *loop,
                    const struct transfer_settings *settings) {
  t->member.easy = loop_easy(loop);
  if (!t->member.easy || !keep_settings(t, settings))
    return false;
  callbacks_set(t);
  return set_headers(t) && set_body(t) && set_options(t, settings) &&
         set_trust(t, loop, settings);
}

/* Too many open files is nothing that memory would help against. */
static bool open_loop(struct transfer *t, struct loop *loop) {
  errno = 0;
  if (loop_open(loop))
    return true;
  if (errno == EMFILE || errno == ENFILE)
    failure_set(&t->failure, FAILURE_CONNECTION, "no connection to %s: %s",
                t->host, strerror(errno));
  return false;
}

bool transfer_start(struct transfer *t, struct loop *loop,
                    const struct request *request,
                    const struct transfer_settings *settings) {
  t->request = request;
  t->member.ended = on_end;
  t->began = t->last_byte = loop_now();
  failure_host(t->host, sizeof t->host, request->url.data);
  if (open_loop(t, loop) && prepare(t, loop, settings) &&
      loop_join(loop, &t->member)) {
    t->started = true;
    (*t->under_way)++;
    loop_kick(loop);
    return true;
  }
  failure_set(&t->failure, FAILURE_MEMORY, OUT_OF_MEMORY);
  transfer_close(t);
  return false;
}

/*
** While it is under way, and after
*/

static void release_reply(struct transfer *t) {
  buffer_free(&t->head);
  buffer_free(&t->reply);
  sink_close(&t->sink);
  sink_free(&t->sink);
  free(t->redirect);
  t->redirect = NULL;
}

void transfer_close(struct transfer *t) {
  loop_leave(&t->member);
  if (t->member.easy)
    curl_easy_cleanup(t->member.easy); /* it never started */
  t->member.easy = NULL;
  if (!t->finished)
    failure_set(&t->failure, FAILURE_CANCELLED, "the request was cancelled");
  finish(t);
  release_reply(t);
}

const char *transfer_keep(struct transfer *t, const char *path, bool fresh) {
  if (!t->sink.whole)
    return "there is no whole file to move there";
  int error = sink_keep(&t->sink, path, fresh);
  return error == 0 ? NULL : strerror(error);
}

int transfer_status(const struct transfer *t) {
  return t->head_done ? t->status : 0;
}

void transfer_resume(struct transfer *t) {
  if (!t->paused || !t->member.easy)
    return;
  t->paused = false;
  t->last_byte = loop_now();
  loop_unpause(&t->member);
}

bool transfer_sent(struct transfer *t) {
#if !EASY_HAS_PREREQ
  curl_off_t ready = 0;
  if (t->member.easy)
    curl_easy_getinfo(t->member.easy, CURLINFO_PRETRANSFER_TIME_T, &ready);
  if (ready > 0 && !t->sent)
    t->last_byte += (double)ready / 1e6;
  t->sent = t->sent || ready > 0;
#endif
  return t->sent;
}

double transfer_idle(struct transfer *t) {
  bool waits = t->paused || t->form.feed.starved;
  if (!t->member.easy || waits || !transfer_sent(t))
    return 0;
  curl_off_t uploaded = measure_sent(t->member.easy);
  double elapsed = loop_now() - t->began;
  if (uploaded != t->uploaded ||
      measure_rest(t->member.easy, t->max_speed, elapsed) > 0)
    t->last_byte = loop_now();
  t->uploaded = uploaded;
  double idle = loop_now() - t->last_byte;
  return idle > 0 ? idle : 0;
}

void transfer_measure(struct transfer *t) {
  if (t->member.easy)
    measure_progress(&t->progress, t->member.easy);
}

bool transfer_is_hungry(const struct transfer *t) {
  return t->member.easy && feed_is_hungry(&t->form.feed);
}

/* A form remembers that its source paused, and forgets it only when libcurl as
** a whole was paused too: which it is not yet while it sends what it had got
** before. */
static void unstarve(struct transfer *t) {
  curl_easy_pause(t->member.easy, CURLPAUSE_ALL);
  loop_unpause(&t->member);
}

bool transfer_is_done(struct transfer *t) {
  bool refused = t->head_done && t->status >= REFUSED;
  if (t->member.easy && refused && t->form.feed.starved && !t->let_go) {
    t->let_go = true;
    t->form.feed.starved = false;
    unstarve(t);
  }
  return t->finished;
}

bool transfer_feed(struct transfer *t, const char *bytes, size_t length) {
  struct feed *feed = &t->form.feed;
  if (!t->member.easy)
    return true;
  if (!bytes)
    feed_end(feed);
  else if (feed_add(feed, bytes, length) != BUFFER_OK)
    return false;
  t->last_byte = loop_now();
  if (t->failure.kind != FAILURE_NONE)
    transfer_close(t);
  else if (feed_may_go_on(feed))
    unstarve(t);
  return true;
}
