/*
** The other end of the benchmarks: a server that costs as little as can be, so
** that what is measured is the client.
**
**   GET /bytes/N         N bytes
**   GET /pages/ITEMS/SIZE/MS/…?page=N   page N of a list, MS milliseconds late
**   POST …presigned-url/ where to upload to, as the service answers it
**   POST anything else   reads the body and answers 204
**
** The list is made of the lines of the file that is named as argument, over
** and over. Prints its port and ends when its standard input does.
*/
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <unistd.h>

#define BLOCK ((size_t)1024 * 1024)

#define RECORDS 100

static int listener, port;
static char zeros[BLOCK];
static char *records[RECORDS];

struct request {
  int fd;
  char head[16384];
  size_t head_length, extra; /* extra: bytes of the body read with the head */
  long long content_length;
};

static bool send_all(int fd, const char *bytes, size_t length) {
  while (length > 0) {
    ssize_t count = send(fd, bytes, length, MSG_NOSIGNAL);
    if (count <= 0)
      return false;
    bytes += count;
    length -= (size_t)count;
  }
  return true;
}

static long long length_of(const char *head) {
  const char *line = strcasestr(head, "\r\nContent-Length:");
  return line ? strtoll(line + 17, NULL, 10) : 0;
}

static bool read_head(struct request *r) {
  size_t length = 0;
  while (length < sizeof r->head - 1) {
    ssize_t count =
        recv(r->fd, r->head + length, sizeof r->head - 1 - length, 0);
    if (count <= 0)
      return false;
    length += (size_t)count;
    r->head[length] = '\0';
    const char *end = strstr(r->head, "\r\n\r\n");
    if (!end)
      continue;
    r->head_length = (size_t)(end - r->head) + 4;
    r->extra = length - r->head_length;
    r->content_length = length_of(r->head);
    return true;
  }
  return false;
}

static bool drain(struct request *r, char *block) {
  long long left = r->content_length - (long long)r->extra;
  while (left > 0) {
    size_t wanted = left < (long long)BLOCK ? (size_t)left : BLOCK;
    ssize_t count = recv(r->fd, block, wanted, 0);
    if (count <= 0)
      return false;
    left -= count;
  }
  return true;
}

static bool send_head(int fd, const char *status, long long length) {
  char head[160];
  int count = snprintf(head, sizeof head,
                       "HTTP/1.1 %s\r\nContent-Type: "
                       "application/octet-stream\r\nContent-Length: %lld"
                       "\r\n\r\n",
                       status, length);
  return send_all(fd, head, (size_t)count);
}

static bool send_bytes(int fd, long long length) {
  bool ok = send_head(fd, "200 OK", length);
  while (ok && length > 0) {
    size_t count = length < (long long)BLOCK ? (size_t)length : BLOCK;
    ok = send_all(fd, zeros, count);
    length -= (long long)count;
  }
  return ok;
}

static bool send_grant(int fd) {
  char body[200], text[400];
  int length = snprintf(body, sizeof body,
                        "{\"url\":\"http://127.0.0.1:%d/store\","
                        "\"fields\":{\"key\":\"media/a.bin\"}}",
                        port);
  int count = snprintf(text, sizeof text,
                       "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
                       "Content-Length: %d\r\n\r\n%s",
                       length, body);
  return send_all(fd, text, (size_t)count);
}

/* Writes the page into the block; its length. */
static int print_page(char *block, long items, long size, long wait, long n) {
  int length = sprintf(block, "{\"count\":%ld,\"next\":", items);
  if (n * size < items)
    length += sprintf(block + length,
                      "\"http://127.0.0.1:%d/pages/%ld/%ld/%ld/chatbots/"
                      "?page=%ld\"",
                      port, items, size, wait, n + 1);
  else
    length += sprintf(block + length, "null");
  length += sprintf(block + length, ",\"previous\":null,\"results\":[");
  for (long i = 0; i < size && (n - 1) * size + i < items; i++)
    length +=
        sprintf(block + length, "%s%s", i ? "," : "", records[i % RECORDS]);
  return length + sprintf(block + length, "]}");
}

/* The number at a place in a path; the place is moved behind the slash. */
static long next_number(const char **at) {
  char *end;
  long number = strtol(*at, &end, 10);
  *at = *end == '/' ? end + 1 : end;
  return number;
}

static bool send_page(int fd, const char *head, char *block) {
  const char *at = head + strlen("GET /pages/");
  long items = next_number(&at), size = next_number(&at);
  long wait = next_number(&at);
  const char *end = strstr(head, "\r\n");
  const char *page = strstr(head, "page=");
  int room = 200;
  int length = print_page(block + room, items, size > 500 ? 500 : size, wait,
                          page && page < end ? strtol(page + 5, NULL, 10) : 1);
  int head_length = snprintf(block, (size_t)room,
                             "HTTP/1.1 200 OK\r\nContent-Type: "
                             "application/json\r\nContent-Length: %d"
                             "\r\n\r\n",
                             length);
  char *start = block + room - head_length;
  memmove(start, block, (size_t)head_length);
  if (wait > 0)
    usleep((useconds_t)wait * 1000);
  return send_all(fd, start, (size_t)head_length + (size_t)length);
}

static bool answer(struct request *r, char *block) {
  int fd = r->fd;
  if (strncmp(r->head, "GET /bytes/", 11) == 0)
    return send_bytes(fd, strtoll(r->head + 11, NULL, 10));
  if (strncmp(r->head, "GET /pages/", 11) == 0)
    return send_page(fd, r->head, block);
  if (!drain(r, block))
    return false;
  r->head[strcspn(r->head, "\r")] = '\0';
  if (strstr(r->head, "presigned-url/"))
    return send_grant(fd);
  return send_all(fd, "HTTP/1.1 204 No Content\r\n\r\n", 27);
}

static void *converse(void *data) {
  struct request *r = data;
  int on = 1;
  char *block = malloc(BLOCK);
  setsockopt(r->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  while (block && read_head(r) && answer(r, block))
    ;
  close(r->fd);
  free(block);
  free(r);
  return NULL;
}

static bool start_conversation(int fd) {
  pthread_t thread;
  struct request *r = malloc(sizeof *r);
  if (!r)
    return false;
  r->fd = fd;
  if (pthread_create(&thread, NULL, converse, r) == 0)
    return pthread_detach(thread) == 0;
  free(r);
  return false;
}

static void *serve(void *unused) {
  (void)unused;
  for (;;) {
    int fd = accept(listener, NULL, NULL);
    if (fd >= 0 && !start_conversation(fd))
      close(fd);
  }
  return NULL;
}

static bool read_records(const char *path) {
  FILE *file = fopen(path, "r");
  size_t room = 0;
  int count = 0;
  while (file && count < RECORDS && getline(&records[count], &room, file) > 0) {
    records[count][strcspn(records[count], "\n")] = '\0';
    count++;
    room = 0;
  }
  if (file)
    fclose(file);
  return count == RECORDS;
}

int main(int argc, char **argv) {
  struct sockaddr_in address = {.sin_family = AF_INET};
  socklen_t size = sizeof address;
  pthread_t thread;
  if (argc < 2 || !read_records(argv[1]))
    return 1;
  listener = socket(AF_INET, SOCK_STREAM, 0);
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  if (listener < 0 || bind(listener, (struct sockaddr *)&address, size) != 0 ||
      listen(listener, 128) != 0 ||
      getsockname(listener, (struct sockaddr *)&address, &size) != 0) {
    perror("bench server");
    return 1;
  }
  port = ntohs(address.sin_port);
  printf("%d\n", port);
  fflush(stdout);
  if (pthread_create(&thread, NULL, serve, NULL) != 0)
    return 1;
  while (getchar() != EOF)
    ;
  return 0;
}
