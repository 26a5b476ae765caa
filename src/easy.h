/*
** What every easy handle gets, whichever libcurl this is: all that depends on
** libcurl's version is here, and where the certificates are. No Lua.
*/
#ifndef MAIAGENT_EASY_H
#define MAIAGENT_EASY_H

#include <curl/curl.h>
#include <stdbool.h>

#pragma GCC visibility push(hidden)

/* Whether loop.c has one descriptor for all of libcurl's sockets. */
#if defined(__linux__) && !defined(MAIAGENT_NO_EPOLL)
#define EASY_HAS_EPOLL 1
#else
#define EASY_HAS_EPOLL 0
#endif

/* CURLOPT_PREREQFUNCTION tells when a request goes out on a connection. */
#define EASY_HAS_PREREQ (LIBCURL_VERSION_NUM >= 0x075000)

#if LIBCURL_VERSION_NUM >= 0x074200
#define EASY_POLL curl_multi_poll
#else
#define EASY_POLL curl_multi_wait
#endif

/* Initialises libcurl once in a process, whichever thread asks first. */
bool easy_ready(void);

/* How many forks lie between the process that asked easy_ready first and this
** one: whoever remembers another number is in a child. Counted by a handler of
** fork's, because to ask getpid at every entry was 17 system calls a request,
** 2 of its 70 us. */
unsigned easy_forks(void);

/* Whether a handle may serve for another exchange: from 7.83 to 8.1.0 libcurl
** keeps a pointer to a freed header of the last reply (curl's issue 11101), and
** a reply that begins with a folded line makes it write there. */
bool easy_is_reusable(void);

/* The settings of all exchanges. */
void easy_set_always(CURL *easy);

/* Lets a request to `url` wait for a connection that it can share. */
void easy_wait_for_multiplexing(CURL *easy, const char *url);

/* Trusts the system's certificates. True: `easy` looks into the hashed
** directory alone, and easy_trust_bundle may know a certificate more. */
bool easy_trust_system(CURL *easy);

/* Trusts the certificates of the system's bundle. */
void easy_trust_bundle(CURL *easy);

/* Trusts the certificates of one file, or with NULL every server. */
bool easy_trust_file(CURL *easy, const char *ca_file);

/* Says which codings of a reply are welcome; false when out of memory. */
bool easy_accept(CURL *easy, bool compressed, bool to_file);

/* Buffers of the size that is fastest, where a file is received too, or fit for
** a limit in bytes per second (0: none), which is set too. */
void easy_set_speed(CURL *easy, bool to_file, curl_off_t limit);

#pragma GCC visibility pop

#endif
