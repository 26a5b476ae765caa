/*
** One exchange: a request sent and its reply received on an easy handle. No
** Lua.
*/
#ifndef MAIAGENT_TRANSFER_H
#define MAIAGENT_TRANSFER_H

#include "buffer.h"
#include "failure.h"
#include "form.h"
#include "loop.h"
#include "measure.h"
#include "proxy.h"
#include "request.h"
#include "sink.h"

#pragma GCC visibility push(hidden)

#define REPLY_LIMIT ((size_t)64 * 1024 * 1024)
#define HEADER_LIMIT ((size_t)256 * 1024)
#define STREAM_AHEAD ((size_t)1024 * 1024)
#define CONNECT_SECONDS 10.0

/* The texts are needed only while transfer_start runs. */
struct transfer_settings {
  double connect; /* seconds */
  size_t reply_limit, header_limit;
  bool stream;         /* read bit by bit; STREAM_AHEAD bytes wait at most */
  bool insecure;       /* any certificate will do */
  bool compressed;     /* compressed replies are asked for */
  bool idempotent;     /* may be sent again without asking */
  bool elsewhere;      /* to a host that the program's settings do not name */
  const char *path;    /* where the body of a 200 or 206 goes, or NULL */
  curl_off_t resume;   /* bytes of it that are there already */
  const char *ca_file; /* the only certificates to trust, or NULL */
  const char *proxy;   /* NULL: the environment's, but not to this machine;
                       ** "": none */
  const char *user_agent;
  curl_off_t max_speed; /* bytes per second, 0: no limit */
};

/* All zeros is a valid transfer that was never started. */
struct transfer {
  struct loop_member member; /* first, so that one is the other */
  const struct request *request;
  int *under_way; /* counts the transfers that are; set before the start */
  struct failure failure;
  struct curl_slist *headers;
  struct form form;
  struct sink sink;
  struct buffer head;  /* the lines of the final reply, each ended by a NUL */
  struct buffer reply; /* the body, as far as it is in memory */
  size_t header_bytes; /* of all that came as headers, 1xx and trailers too */
  char *redirect;      /* where a 3xx reply points, or NULL */
  double connect, began;
  curl_off_t max_speed;
  double last_byte; /* when one came or went (loop_now); first, the start */
  curl_off_t uploaded;
  struct measure_progress progress;
  struct measure_timings timings;
  int status; /* of the last reply; it counts once head_done is true */
  bool started, finished, sent, head_done, stream, paused, idempotent;
  bool elsewhere;
  bool direct;        /* without any proxy */
  bool second_trust;  /* the bundle may know a certificate more */
  bool bundled;       /* … and was asked */
  bool resent;        /* by libcurl: the kept connection gave no answer */
  bool let_go;        /* refused while libcurl waited to be fed */
  struct proxy proxy; /* that of the settings, if any */
  char host[FAILURE_HOST];
  char text[CURL_ERROR_SIZE];
};

/* Starts `request`, which has to live as long as the transfer is under way.
** False: see `failure`; the transfer can only be closed. */
bool transfer_start(struct transfer *t, struct loop *loop,
                    const struct request *request,
                    const struct transfer_settings *settings);

/* Stops what is under way (it has failed as cancelled then) and releases
** everything but the verdict; may run twice, or on one that never started. */
void transfer_close(struct transfer *t);

/* Gives the file that took the whole body its final name; NULL or what is
** wrong. `fresh`: nothing of that name is replaced. */
const char *transfer_keep(struct transfer *t, const char *path, bool fresh);

/* The status of the final reply once its headers are complete, else 0. */
int transfer_status(const struct transfer *t);

/* Lets a paused stream go on, after `reply` was emptied. */
void transfer_resume(struct transfer *t);

/* Whether a connection was made, and the request may have arrived. */
bool transfer_sent(struct transfer *t);

/* Seconds since the last byte either way; 0 while there is no connection or
** while it is the program that is slow to read or to feed. */
double transfer_idle(struct transfer *t);

/* Whether it is over. A refusal that came while libcurl waits to be fed is an
** answer too, but libcurl ends only after its pause. */
bool transfer_is_done(struct transfer *t);

/* Whether a fed part wants more bytes, or to hear that there are none. */
bool transfer_is_hungry(const struct transfer *t);

/* Takes the next bytes of the fed part, or with NULL its end; too many or too
** few end the exchange. False: out of memory, and nothing was taken. */
bool transfer_feed(struct transfer *t, const char *bytes, size_t length);

/* Brings `progress` up to date. */
void transfer_measure(struct transfer *t);

#pragma GCC visibility pop

#endif
