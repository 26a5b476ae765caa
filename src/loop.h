/*
** One libcurl multi handle behind one pollable descriptor. No Lua.
**
** The descriptor alone says "step now": libcurl's sockets, its timer and the
** news for those who wait are in one epoll. Elsewhere there is no descriptor
** and libcurl is polled.
*/
#ifndef MAIAGENT_LOOP_H
#define MAIAGENT_LOOP_H

#include <curl/curl.h>
#include <stdbool.h>
#include <sys/types.h>

#pragma GCC visibility push(hidden)

#define LOOP_IDLE_HANDLES 16

struct loop;

enum loop_end { LOOP_DONE, LOOP_CLOSED, LOOP_FORKED };

/* What takes part in a loop: one easy handle, and someone who may wait for it.
** It stays in the loop's list after its end, until loop_leave. */
struct loop_member {
  struct loop *loop; /* NULL: in no loop (any more) */
  struct loop_member *next, **link;
  CURL *easy; /* NULL unless under way */
  /* Called once at the end, outside of libcurl, while `easy` can still be
  ** asked (it is NULL after a fork). True starts the same handle again. */
  bool (*ended)(struct loop_member *member, enum loop_end how, CURLcode code);
  bool wanted;    /* someone looked, saw nothing and waits */
  bool news;      /* something happened since the last look */
  bool signalled; /* both, and so counted in the loop */
};

/* All zeros is a valid, closed loop. */
struct loop {
  CURLM *multi;   /* NULL until the first use */
  bool open;      /* the descriptors are */
  bool broken;    /* `multi` cannot be used any more */
  unsigned owner; /* the process that opened it, as easy_forks tells */
  long max_connections;
  int epoll, timer, event; /* meant only while it is open */
  double deadline;         /* libcurl's timer (loop_now), 0: none */
  double armed;            /* what the timer descriptor stands at, 0: nothing */
  CURL *idle[LOOP_IDLE_HANDLES];
  int idle_count;
  struct loop_member *members;
  int running;          /* members under way */
  int signalled;        /* members with news that are waited for */
  unsigned long events; /* ends of members, and news that were waited for */
  bool bundle;          /* the bundle was needed once: go on with it */
};

/* Monotonic seconds. */
double loop_now(void);

/* Every entry begins with this: in the child of a fork it forgets the parent's
** handles without touching them, and ends the members with LOOP_FORKED. */
void loop_enter(struct loop *loop);

/* Makes sure that the loop is open; false when out of memory or files. */
bool loop_open(struct loop *loop);

/* An easy handle with the settings that all exchanges share, or NULL. */
CURL *loop_easy(struct loop *loop);

/* Links `member`, whose `easy` and `ended` are set, and starts it. False: it
** could not be started, and is not linked. */
bool loop_join(struct loop *loop, struct loop_member *member);

/* Unlinks `member` and drops its easy handle; may run twice. */
void loop_leave(struct loop_member *member);

/* Does what is possible without waiting; with a `limit` (loop_now, 0: none) it
** begins with no further socket once that is over. */
void loop_step(struct loop *loop, double limit);

/* Makes the descriptor readable at that time (loop_now), if it is open. */
void loop_wake(struct loop *loop, double time);

/* After libcurl was called outside of a step: does what became due. */
void loop_kick(struct loop *loop);

/* Lets a member under way that paused itself go on, at the next step: the
** descriptor asks for it. */
void loop_unpause(struct loop_member *member);

/* Waits up to `ms` for something to do; false on time-out or a signal. */
bool loop_poll(struct loop *loop, int ms);

/* The pollable descriptor, or -1 where there is none. */
int loop_fd(struct loop *loop);

/* Something happened to `member` that its waiter wants to know. */
void loop_news(struct loop_member *member);

/* The program looked at `member`; `waits`: it will wait for more. */
void loop_look(struct loop_member *member, bool waits);

/* Ends the members with LOOP_CLOSED, closes everything; may run twice. */
void loop_close(struct loop *loop);

#pragma GCC visibility pop

#endif
