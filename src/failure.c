#include "failure.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

/* Older libcurls have two codes for a certificate that is not trusted. */
#define NOT_VERIFIED_BEFORE_7_62 51

#define HANDSHAKE_WITH_PROXY 97 /* CURLE_PROXY of 7.73 and later */

const char *failure_name(enum failure_kind kind) {
  static const char *const names[] = {"",        "connection", "connection",
                                      "timeout", "tls",        "cancelled",
                                      "decode",  "file"};
  return names[kind];
}

void failure_host(char *to, size_t size, const char *url) {
  const char *begin = strstr(url, "://");
  const char *port = strncasecmp(url, "https:", 6) == 0 ? ":443" : ":80";
  begin = begin ? begin + 3 : url;
  const char *end = begin + strcspn(begin, "/?#"), *user = end;
  while (user > begin && user[-1] != '@')
    user--;
  begin = user;
  const char *bracket = memchr(begin, ']', (size_t)(end - begin));
  const char *from = bracket ? bracket : begin;
  if (memchr(from, ':', (size_t)(end - from)))
    port = "";
  snprintf(to, size, "%.*s%s", (int)(end - begin), begin, port);
}

void failure_set(struct failure *failure, enum failure_kind kind,
                 const char *format, ...) {
  if (failure->kind != FAILURE_NONE)
    return;
  failure->kind = kind;
  va_list arguments;
  va_start(arguments, format);
  vsnprintf(failure->message, sizeof failure->message, format, arguments);
  va_end(arguments);
}

void failure_file(struct failure *failure, const char *path, int error) {
  failure_set(failure, FAILURE_FILE, "%s: %s", path, strerror(error));
}

/* The system's words say more than libcurl's, where there are any. Of a proxy
** that it does not know libcurl quotes the URL, with the password in it. */
static const char *reason(CURLcode code, const struct failure_facts *facts) {
  if (facts->system_error != 0)
    return strerror(facts->system_error);
  if (strstr(facts->text, "Unsupported proxy"))
    return "libcurl knows no such proxy";
  return facts->text[0] ? facts->text : curl_easy_strerror(code);
}

/* What to check. That is base_url only where it names the host. */
static const char *advice(const struct failure_facts *facts,
                          const char *words) {
  return facts->elsewhere ? "" : words;
}

static void explain_cut(struct failure *failure,
                        const struct failure_facts *facts) {
  if (facts->expected >= 0)
    failure_set(failure, FAILURE_CONNECTION,
                "%s: the connection was closed after %" CURL_FORMAT_CURL_OFF_T
                " of %" CURL_FORMAT_CURL_OFF_T " bytes",
                facts->host, facts->received, facts->expected);
  else
    failure_set(failure, FAILURE_CONNECTION,
                "%s: the connection was closed after %" CURL_FORMAT_CURL_OFF_T
                " bytes, before the end of the reply",
                facts->host, facts->received);
}

/* False: `code` is not about a proxy, or there is none. */
static bool explain_proxy(struct failure *failure, int code,
                          const struct failure_facts *facts) {
  const struct proxy *proxy = &facts->proxy;
  if (!proxy->source)
    return false;
  switch (code) {
  case CURLE_COULDNT_RESOLVE_PROXY:
    failure_set(failure, FAILURE_CONNECTION,
                "the name of the proxy %s could not be resolved: check %s",
                proxy->name, proxy->source);
    return true;
  case CURLE_COULDNT_CONNECT:
    failure_set(failure, FAILURE_CONNECTION,
                "could not connect to the proxy %s: %s (check %s)", proxy->name,
                reason((CURLcode)code, facts), proxy->source);
    return true;
  case CURLE_OPERATION_TIMEDOUT:
    failure_set(failure, FAILURE_TIMEOUT,
                "no connection to %s through the proxy %s within %g s "
                "(timeout.connect)",
                facts->host, proxy->name, facts->connect);
    return true;
  case CURLE_SEND_ERROR:
  case CURLE_RECV_ERROR:
  case HANDSHAKE_WITH_PROXY:
    if (!strstr(facts->text, "CONNECT") && code != HANDSHAKE_WITH_PROXY)
      return false;
    failure_set(failure, FAILURE_CONNECTION,
                "no way to %s through the proxy %s: %s (check %s)", facts->host,
                proxy->name, reason((CURLcode)code, facts), proxy->source);
    return true;
  default:
    return false;
  }
}

/* False: `code` is not about connecting or about the bytes of the reply. */
static bool explain_transport(struct failure *failure, CURLcode code,
                              const struct failure_facts *facts) {
  const char *host = facts->host;
  switch (code) {
  case CURLE_COULDNT_RESOLVE_HOST:
    failure_set(failure, FAILURE_CONNECTION,
                "the name of %s could not be resolved: check %sthe network",
                host, advice(facts, "base_url and "));
    return true;
  case CURLE_COULDNT_CONNECT:
    failure_set(failure, FAILURE_CONNECTION, "could not connect to %s: %s%s",
                host, reason(code, facts),
                advice(facts, " (check base_url, and that the service is "
                              "running)"));
    return true;
  case CURLE_OPERATION_TIMEDOUT:
    failure_set(failure, FAILURE_TIMEOUT,
                "no connection to %s within %g s (timeout.connect)", host,
                facts->connect);
    return true;
  case CURLE_GOT_NOTHING:
    failure_set(failure, FAILURE_CONNECTION,
                "%s closed the connection without an answer", host);
    return true;
  case CURLE_PARTIAL_FILE:
    explain_cut(failure, facts);
    return true;
  case CURLE_UNSUPPORTED_PROTOCOL:
  case CURLE_WEIRD_SERVER_REPLY:
    failure_set(failure, FAILURE_CONNECTION, "%s did not answer with HTTP%s",
                host, advice(facts, ": check base_url"));
    return true;
  case CURLE_BAD_CONTENT_ENCODING:
    failure_set(failure, FAILURE_DECODE,
                "the reply of %s is not in the encoding it claims: %s", host,
                reason(code, facts));
    return true;
  default:
    return false;
  }
}

/* A handshake that broke is a matter of the network, not of trust. */
static bool broke(const struct failure_facts *facts) {
  return facts->system_error != 0 || strstr(facts->text, "SSL_ERROR_SYSCALL") ||
         strstr(facts->text, "unexpected eof") ||
         strstr(facts->text, "Connection reset by peer");
}

static bool explain_tls(struct failure *failure, CURLcode code,
                        const struct failure_facts *facts) {
  const char *host = facts->host;
  switch ((int)code) {
  case CURLE_PEER_FAILED_VERIFICATION:
  case NOT_VERIFIED_BEFORE_7_62:
    failure_set(failure, FAILURE_TLS,
                "the certificate of %s is not trusted: %s (for a private "
                "authority name its certificate as ca_file)",
                host, reason(code, facts));
    return true;
  case CURLE_SSL_CACERT_BADFILE:
    failure_set(failure, FAILURE_TLS,
                "the certificates to trust could not be read: %s (check "
                "ca_file)",
                reason(code, facts));
    return true;
  case CURLE_SSL_CIPHER: /* these two come from other libraries than OpenSSL */
  case CURLE_SSL_CERTPROBLEM:
  case CURLE_SSL_CONNECT_ERROR:
    failure_set(failure, broke(facts) ? FAILURE_CONNECTION : FAILURE_TLS,
                "no TLS connection to %s: %s%s", host, reason(code, facts),
                advice(facts, " (check that base_url names a TLS port)"));
    return true;
  default:
    return false;
  }
}

void failure_explain(struct failure *failure, CURLcode code,
                     const struct failure_facts *facts) {
  failure->code = (int)code;
  if (failure->kind != FAILURE_NONE)
    return;
  if (code == CURLE_OUT_OF_MEMORY)
    failure_set(failure, FAILURE_MEMORY, "not enough memory");
  else if (!explain_proxy(failure, (int)code, facts) &&
           !explain_transport(failure, code, facts) &&
           !explain_tls(failure, code, facts))
    failure_set(failure, FAILURE_CONNECTION, "the connection to %s broke: %s",
                facts->host, reason(code, facts));
}
