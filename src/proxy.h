/*
** Which proxy an exchange goes through. No Lua.
**
** libcurl itself chooses it, and does not tell before 8.7.
*/
#ifndef MAIAGENT_PROXY_H
#define MAIAGENT_PROXY_H

#include <stdbool.h>
#include <stddef.h>

#pragma GCC visibility push(hidden)

/* Room for "name:port". */
#define PROXY_NAME 272

/* All zeros: none. */
struct proxy {
  char name[PROXY_NAME]; /* "name:port": no user, no password */
  const char *source;    /* who named it, for messages */
};

/* Whether "name:port" is this machine, which the environment's proxies are not
** for: plain http:// is allowed to it, so another machine would see the key. It
** is what `is_loopback` in options.lua says. */
bool proxy_is_needless(const char *host);

/* Takes the option's value. */
void proxy_give(struct proxy *proxy, const char *url);

/* Takes what libcurl finds for `url` in the environment. `words` of libcurl's
** tell whether it was used where no_proxy leaves that open. */
void proxy_find(struct proxy *proxy, const char *url, const char *words);

#pragma GCC visibility pop

#endif
