#include "loop.h"

#include <poll.h>
#include <time.h>
#include <unistd.h>

#include "easy.h"

#define DUE_ROUNDS 16
#define IDLE_CONNECTIONS 32

double loop_now(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

/* libcurl asks to be called after `ms`; the descriptor is set when we leave. */
static int on_timer(CURLM *multi, long ms, void *data) {
  struct loop *loop = data;
  (void)multi;
  loop->deadline = ms < 0 ? 0 : loop_now() + (double)ms / 1000;
  return 0;
}

static bool is_due(const struct loop *loop) {
  return loop->deadline > 0 && loop->deadline <= loop_now();
}

/*
** The platform: one descriptor for all of libcurl's sockets
*/

#if EASY_HAS_EPOLL

#include <stdint.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/timerfd.h>

#define READY_AT_ONCE 64

static int on_socket(CURL *easy, curl_socket_t socket, int what, void *data,
                     void *known) {
  struct loop *loop = data;
  struct epoll_event event = {.data.fd = socket};
  (void)easy;
  if (what == CURL_POLL_REMOVE) {
    epoll_ctl(loop->epoll, EPOLL_CTL_DEL, socket, &event);
    return 0;
  }
  if (what & CURL_POLL_IN)
    event.events |= EPOLLIN;
  if (what & CURL_POLL_OUT)
    event.events |= EPOLLOUT;
  if (!known)
    curl_multi_assign(loop->multi, socket, loop);
  epoll_ctl(loop->epoll, known ? EPOLL_CTL_MOD : EPOLL_CTL_ADD, socket, &event);
  return 0;
}

static void platform_close(struct loop *loop) {
  int fds[] = {loop->event, loop->timer, loop->epoll};
  for (int i = 0; i < 3; i++)
    if (fds[i] >= 0)
      close(fds[i]);
  loop->event = loop->timer = loop->epoll = -1;
}

static bool watch(struct loop *loop, int fd) {
  struct epoll_event event = {.events = EPOLLIN, .data.fd = fd};
  return fd >= 0 && epoll_ctl(loop->epoll, EPOLL_CTL_ADD, fd, &event) == 0;
}

static bool platform_open(struct loop *loop) {
  loop->epoll = epoll_create1(EPOLL_CLOEXEC);
  loop->timer = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
  loop->event = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
  loop->armed = 0;
  if (loop->epoll >= 0 && watch(loop, loop->timer) && watch(loop, loop->event))
    return true;
  platform_close(loop);
  return false;
}

static void platform_bind(struct loop *loop) {
  curl_multi_setopt(loop->multi, CURLMOPT_SOCKETFUNCTION, on_socket);
  curl_multi_setopt(loop->multi, CURLMOPT_SOCKETDATA, loop);
}

static void platform_signal(struct loop *loop, bool on) {
  uint64_t count = 1;
  ssize_t ignored = on ? write(loop->event, &count, sizeof count)
                       : read(loop->event, &count, sizeof count);
  (void)ignored;
}

/* Sets the timer only if it would fire too late: one that fires too early
** costs a step, setting it costs a system call for every request (980 for 1000
** of them). */
static void platform_arm(struct loop *loop, double time) {
  if (time <= 0 || (loop->armed > 0 && loop->armed <= time))
    return;
  struct itimerspec at = {.it_value.tv_sec = (time_t)time};
  double rest = time - (double)at.it_value.tv_sec;
  at.it_value.tv_nsec = (long)(rest * 1e9);
  if (timerfd_settime(loop->timer, TFD_TIMER_ABSTIME, &at, NULL) == 0)
    loop->armed = time;
}

static void act(struct loop *loop, curl_socket_t socket, int ready) {
  int running = 0;
  if (!loop->broken && curl_multi_socket_action(loop->multi, socket, ready,
                                                &running) != CURLM_OK)
    loop->broken = true;
}

static void platform_due(struct loop *loop) {
  for (int round = 0; round < DUE_ROUNDS && is_due(loop); round++) {
    loop->deadline = 0;
    act(loop, CURL_SOCKET_TIMEOUT, 0);
  }
}

static void serve(struct loop *loop, const struct epoll_event *event) {
  int ready = 0;
  uint64_t count;
  if (event->data.fd == loop->event)
    return;
  if (event->data.fd == loop->timer) {
    if (read(loop->timer, &count, sizeof count) > 0)
      loop->armed = 0;
    return;
  }
  if (event->events & EPOLLIN)
    ready |= CURL_CSELECT_IN;
  if (event->events & EPOLLOUT)
    ready |= CURL_CSELECT_OUT;
  if (event->events & (EPOLLERR | EPOLLHUP))
    ready = 0; /* libcurl looks itself, and so sees the system's own error */
  act(loop, event->data.fd, ready);
}

/* With a limit one at a time: the kernel puts who was told last, so that nobody
** is left out for ever when the time is over before all are served. Who sends
** goes on at once: libcurl sends one block each time, and a step for each of
** them made an upload take a tenth more CPU. */
static void platform_step(struct loop *loop, double limit) {
  struct epoll_event events[READY_AT_ONCE];
  int count, most = limit > 0 ? 1 : READY_AT_ONCE;
  bool more = true;
  for (int told = 0; more && told < READY_AT_ONCE; told += count) {
    count = epoll_wait(loop->epoll, events, most, 0);
    more = count == most;
    for (int i = 0; i < count; i++) {
      serve(loop, &events[i]);
      more = more || (events[i].events & EPOLLOUT);
    }
    if (count > 0 && limit > 0 && loop_now() >= limit)
      return; /* the timer stands, and sockets look at libcurl's time as well */
  }
  platform_due(loop);
}

static bool platform_poll(struct loop *loop, int ms) {
  struct pollfd ready = {.fd = loop->epoll, .events = POLLIN};
  return poll(&ready, 1, ms) > 0;
}

#else

#define SHORTEST_STEP 0.001

/* `armed` is the time of the last step here, or 0: step at once. */
static void platform_close(struct loop *loop) {
  loop->event = loop->timer = loop->epoll = -1;
}

static bool platform_open(struct loop *loop) {
  platform_close(loop);
  loop->armed = 0;
  return true;
}

static void platform_bind(struct loop *loop) { (void)loop; }

static void platform_signal(struct loop *loop, bool on) {
  (void)loop;
  (void)on;
}

static void platform_arm(struct loop *loop, double time) {
  (void)loop;
  (void)time;
}

static void platform_due(struct loop *loop) {
  int running = 0;
  if (curl_multi_perform(loop->multi, &running) != CURLM_OK)
    loop->broken = true;
}

/* A host that steps in a busy loop must not make libcurl look at every socket
** each time. */
static void platform_step(struct loop *loop, double limit) {
  double now = loop_now();
  (void)limit; /* it looks at all of them or at none */
  if (now - loop->armed < SHORTEST_STEP)
    return;
  platform_due(loop);
  loop->armed = now;
}

static bool platform_poll(struct loop *loop, int ms) {
  int ready = 0;
  if (loop->signalled > 0)
    return true;
  EASY_POLL(loop->multi, NULL, 0, ms, &ready);
  if (ready > 0 || is_due(loop))
    loop->armed = 0;
  return loop->armed <= 0;
}

#endif

/*
** Opening, closing, forking
*/

static void set_limits(struct loop *loop) {
  long most = loop->max_connections;
  long kept = most > 0 ? most : IDLE_CONNECTIONS;
  curl_multi_setopt(loop->multi, CURLMOPT_MAX_TOTAL_CONNECTIONS, most);
  curl_multi_setopt(loop->multi, CURLMOPT_MAXCONNECTS, kept);
  curl_multi_setopt(loop->multi, CURLMOPT_PIPELINING, (long)CURLPIPE_MULTIPLEX);
}

static bool make_multi(struct loop *loop) {
  loop->multi = curl_multi_init();
  if (!loop->multi)
    return false;
  loop->deadline = 0;
  set_limits(loop);
  curl_multi_setopt(loop->multi, CURLMOPT_TIMERFUNCTION, on_timer);
  curl_multi_setopt(loop->multi, CURLMOPT_TIMERDATA, loop);
  platform_bind(loop);
  return true;
}

bool loop_open(struct loop *loop) {
  if (!loop->open) {
    loop->open = easy_ready() && platform_open(loop);
    loop->owner = easy_forks();
    if (loop->open && loop->signalled > 0)
      platform_signal(loop, true);
  }
  return loop->multi || (loop->open && make_multi(loop));
}

static void count_end(struct loop_member *member) {
  member->loop->running--;
  member->loop->events++;
  loop_news(member);
}

/* The parent goes on with these handles and with their TLS state: cleaning
** them up here would speak on its connections. */
static void forget(struct loop *loop) {
  platform_close(loop);
  loop->open = loop->broken = false;
  loop->multi = NULL;
  loop->idle_count = 0;
  loop->deadline = 0;
  struct loop_member *member;
  for (member = loop->members; member; member = member->next) {
    if (!member->easy)
      continue;
    member->easy = NULL;
    member->ended(member, LOOP_FORKED, CURLE_ABORTED_BY_CALLBACK);
    count_end(member);
  }
}

void loop_enter(struct loop *loop) {
  if (loop->open && loop->owner != easy_forks())
    forget(loop);
}

static void drop_multi(struct loop *loop) {
  while (loop->idle_count > 0)
    curl_easy_cleanup(loop->idle[--loop->idle_count]);
  if (loop->multi)
    curl_multi_cleanup(loop->multi);
  loop->multi = NULL;
  loop->broken = false;
}

void loop_close(struct loop *loop) {
  loop_enter(loop);
  while (loop->members) {
    struct loop_member *member = loop->members;
    bool under_way = member->easy != NULL;
    loop_leave(member);
    if (under_way)
      member->ended(member, LOOP_CLOSED, CURLE_ABORTED_BY_CALLBACK);
  }
  drop_multi(loop);
  if (loop->open)
    platform_close(loop);
  loop->open = false;
}

/*
** Members
*/

CURL *loop_easy(struct loop *loop) {
  CURL *easy = NULL;
  if (loop->idle_count > 0)
    easy = loop->idle[--loop->idle_count];
  else
    easy = curl_easy_init();
  if (easy)
    easy_set_always(easy);
  return easy;
}

/* A handle that ended by itself is used again: it keeps its memory. With a new
** one each, a call of 30 KB that is not decoded takes 3 % more instructions. */
static void put_back(struct loop *loop, CURL *easy) {
  if (!easy_is_reusable() || loop->idle_count == LOOP_IDLE_HANDLES) {
    curl_easy_cleanup(easy);
    return;
  }
  curl_easy_reset(easy);
  loop->idle[loop->idle_count++] = easy;
}

static void take_out(struct loop_member *member) {
  *member->link = member->next;
  if (member->next)
    member->next->link = member->link;
  member->next = NULL;
  member->link = NULL;
  member->loop = NULL;
}

bool loop_join(struct loop *loop, struct loop_member *member) {
  curl_easy_setopt(member->easy, CURLOPT_PRIVATE, member);
  if (curl_multi_add_handle(loop->multi, member->easy) != CURLM_OK)
    return false;
  member->loop = loop;
  member->next = loop->members;
  member->link = &loop->members;
  if (member->next)
    member->next->link = &member->next;
  loop->members = member;
  loop->running++;
  return true;
}

void loop_leave(struct loop_member *member) {
  struct loop *loop = member->loop;
  if (!loop)
    return;
  loop_enter(loop);
  loop_look(member, false);
  if (member->easy) {
    curl_multi_remove_handle(loop->multi, member->easy);
    curl_easy_cleanup(member->easy);
    member->easy = NULL;
    loop->running--;
    loop->events++;
    platform_arm(
        loop,
        loop->deadline); /* another one may have waited for its connection */
  }
  take_out(member);
}

static void end_member(struct loop *loop, CURL *easy, CURLcode code) {
  struct loop_member *member = NULL;
  curl_easy_getinfo(easy, CURLINFO_PRIVATE, &member);
  curl_multi_remove_handle(loop->multi, easy);
  bool again = member->ended(member, LOOP_DONE, code);
  if (again && curl_multi_add_handle(loop->multi, easy) == CURLM_OK)
    return;
  if (again)
    member->ended(member, LOOP_DONE, CURLE_OUT_OF_MEMORY);
  member->easy = NULL;
  put_back(loop, easy);
  count_end(member);
}

static void drain(struct loop *loop) {
  int left = 0;
  CURLMsg *message = curl_multi_info_read(loop->multi, &left);
  while (message) {
    if (message->msg == CURLMSG_DONE)
      end_member(loop, message->easy_handle, message->data.result);
    message = curl_multi_info_read(loop->multi, &left);
  }
}

/* libcurl that ran out of memory forgets sockets: what is under way would
** never end, and 7.88 crashes when it meets such a socket again. */
static void start_over(struct loop *loop) {
  struct loop_member *member;
  for (member = loop->members; member; member = member->next) {
    if (!member->easy)
      continue;
    curl_multi_remove_handle(loop->multi, member->easy);
    member->ended(member, LOOP_DONE, CURLE_OUT_OF_MEMORY);
    curl_easy_cleanup(member->easy);
    member->easy = NULL;
    count_end(member);
  }
  drop_multi(loop);
}

/* Every call of libcurl that may do something ends with this. */
static void conclude(struct loop *loop) {
  drain(loop);
  if (loop->broken)
    start_over(loop);
  platform_arm(loop, loop->deadline);
}

/*
** Running
*/

/* After start_over the timer may still fire: unread, it would keep the
** descriptor readable, so a new multi handle takes over. */
void loop_step(struct loop *loop, double limit) {
  if (!loop->open || !loop_open(loop))
    return;
  platform_step(loop, limit);
  conclude(loop);
}

void loop_wake(struct loop *loop, double time) {
  if (loop->open)
    platform_arm(loop, time);
}

void loop_kick(struct loop *loop) {
  platform_due(loop);
  conclude(loop);
}

/* A bad argument is what libcurl calls a handle that has no connection now: it
** begins anew on another one, and nothing is paused there. */
void loop_unpause(struct loop_member *member) {
  struct loop *loop = member->loop;
  CURLcode code = curl_easy_pause(member->easy, CURLPAUSE_CONT);
  if (code == CURLE_OUT_OF_MEMORY)
    loop->broken = true;
  else if (code != CURLE_OK && code != CURLE_BAD_FUNCTION_ARGUMENT)
    end_member(loop, member->easy, code);
  conclude(loop);
}

bool loop_poll(struct loop *loop, int ms) {
  if (loop_open(loop))
    return platform_poll(loop, ms);
  poll(NULL, 0, ms); /* nothing can be watched, but who waits must not spin */
  return false;
}

int loop_fd(struct loop *loop) { return loop_open(loop) ? loop->epoll : -1; }

/*
** News for those who wait
*/

static void signal_if(struct loop_member *member) {
  struct loop *loop = member->loop;
  bool now = member->wanted && member->news;
  if (now == member->signalled)
    return;
  member->signalled = now;
  loop->signalled += now ? 1 : -1;
  loop->events += now && member->easy ? 1 : 0; /* an end is counted anyway */
  if (loop->open && loop->signalled == (now ? 1 : 0))
    platform_signal(loop, now);
}

void loop_news(struct loop_member *member) {
  member->news = true;
  if (member->loop)
    signal_if(member);
}

void loop_look(struct loop_member *member, bool waits) {
  member->wanted = waits;
  member->news = false;
  if (member->loop)
    signal_if(member);
}
