#include "proxy.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define DEFAULT_PORT ":1080" /* libcurl's own, where none is written */

/* "127." and three more numbers. */
static bool is_loopback_number(const char *host, size_t length) {
  int dots = 0;
  if (length < 4 || strncmp(host, "127.", 4) != 0)
    return false;
  for (size_t i = 1; i < length; i++) {
    if (host[i] == '.' && (host[i - 1] == '.' || i + 1 == length))
      return false;
    dots += host[i] == '.';
    if (host[i] != '.' && !isdigit((unsigned char)host[i]))
      return false;
  }
  return dots == 3;
}

bool proxy_is_needless(const char *host) {
  const char *colon = strrchr(host, ':');
  size_t length = colon ? (size_t)(colon - host) : strlen(host);
  return (length == 9 && strncasecmp(host, "localhost", length) == 0) ||
         (length == 5 && strncmp(host, "[::1]", length) == 0) ||
         is_loopback_number(host, length);
}

/* A password may hold any byte, so what stands before the last '@' is not
** looked at. */
static void take(struct proxy *proxy, const char *url, const char *source) {
  const char *scheme = strstr(url, "://"), *user = strrchr(url, '@');
  const char *begin = scheme ? scheme + 3 : url;
  if (user)
    begin = user + 1;
  size_t length = strcspn(begin, "/?#");
  const char *bracket = memchr(begin, ']', length);
  size_t before = bracket ? (size_t)(bracket - begin) : 0;
  bool has_port = memchr(begin + before, ':', length - before);
  snprintf(proxy->name, sizeof proxy->name, "%.*s%s", (int)length, begin,
           has_port ? "" : DEFAULT_PORT);
  proxy->source = source;
}

void proxy_give(struct proxy *proxy, const char *url) {
  if (url && *url)
    take(proxy, url, "the option `proxy`");
}

static const char *environment(const char *name) {
  const char *value = getenv(name);
  return value && *value ? value : NULL;
}

/* HTTP_PROXY is what a CGI program gets of a request's header `Proxy`. */
static void take_from_environment(struct proxy *proxy, const char *url) {
  static const char *const all[] = {"http_proxy", "https_proxy", "HTTPS_PROXY",
                                    "all_proxy", "ALL_PROXY"};
  bool secure = strncasecmp(url, "https:", 6) == 0;
  for (size_t i = 0; i < sizeof all / sizeof *all && !proxy->source; i++) {
    const char *value = environment(all[i]);
    if (value && (i > 2 || (i > 0) == secure))
      take(proxy, value, all[i]);
  }
}

static bool is_named_in(const struct proxy *proxy, const char *words) {
  struct proxy host = *proxy;
  char *colon = strrchr(host.name, ':');
  if (colon)
    *colon = '\0';
  return strstr(words, host.name) != NULL;
}

void proxy_find(struct proxy *proxy, const char *url, const char *words) {
  if (!proxy->source)
    take_from_environment(proxy, url);
  bool may_be_exempt = environment("no_proxy") || environment("NO_PROXY");
  if (proxy->source && may_be_exempt && !is_named_in(proxy, words))
    proxy->source = NULL;
}
