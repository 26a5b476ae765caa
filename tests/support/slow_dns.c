/* A slow resolver for the specs of lookups: preloaded into a process, it makes
** every name under slow.test take SLOW_DNS_MS to be found on this machine. */
#include <dlfcn.h>
#include <netdb.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define ENDING ".slow.test"

typedef int resolver(const char *, const char *, const struct addrinfo *,
                     struct addrinfo **);

static bool is_slow(const char *name) {
  size_t length = name ? strlen(name) : 0, ending = strlen(ENDING);
  return length > ending && strcmp(name + length - ending, ENDING) == 0;
}

static void wait_for_it(void) {
  const char *text = getenv("SLOW_DNS_MS");
  long ms = text ? strtol(text, NULL, 10) : 0;
  struct timespec time = {.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000};
  nanosleep(&time, NULL);
}

/* The C library's names for the parameters of its own are reserved. */
/* NOLINTBEGIN(readability-inconsistent-declaration-parameter-name) */
__attribute__((visibility("default"))) int
getaddrinfo(const char *name, const char *service, const struct addrinfo *hints,
            struct addrinfo **result) {
  resolver *real = NULL;
  void *found = dlsym(RTLD_NEXT, "getaddrinfo");
  memcpy(&real, &found, sizeof real); /* ISO C has no cast for it */
  if (!is_slow(name))
    return real(name, service, hints, result);
  wait_for_it();
  return real("127.0.0.1", service, hints, result);
}
/* NOLINTEND(readability-inconsistent-declaration-parameter-name) */
