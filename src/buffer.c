#include "buffer.h"

#include <stdlib.h>
#include <string.h>

#define SMALLEST_CAPACITY 256

void buffer_init(struct buffer *b, size_t limit) {
  memset(b, 0, sizeof *b);
  b->limit = limit;
}

static size_t grown(size_t capacity, size_t needed) {
  size_t next = capacity < SMALLEST_CAPACITY ? SMALLEST_CAPACITY : capacity;
  while (next < needed)
    next += next / 2;
  return next;
}

enum buffer_result buffer_reserve(struct buffer *b, size_t extra) {
  if (extra > b->limit - b->length)
    return BUFFER_FULL;
  size_t needed = b->length + extra + 1;
  if (needed <= b->capacity)
    return BUFFER_OK;
  size_t capacity = grown(b->capacity, needed);
  char *data = realloc(b->data, capacity);
  if (!data)
    return BUFFER_NO_MEMORY;
  b->data = data;
  b->capacity = capacity;
  return BUFFER_OK;
}

enum buffer_result buffer_add(struct buffer *b, const void *bytes,
                              size_t length) {
  enum buffer_result result = buffer_reserve(b, length);
  if (result != BUFFER_OK)
    return result;
  if (length > 0)
    memcpy(b->data + b->length, bytes, length);
  b->length += length;
  b->data[b->length] = '\0';
  return BUFFER_OK;
}

enum buffer_result buffer_text(struct buffer *b, const char *text) {
  return buffer_add(b, text, strlen(text));
}

void buffer_clear(struct buffer *b) {
  b->length = 0;
  if (b->data)
    b->data[0] = '\0';
}

/* Through a volatile pointer, or the compiler would leave it out: nobody reads
** what is freed next. */
void buffer_wipe(char *bytes, size_t length) {
  volatile char *at = bytes;
  while (length-- > 0)
    *at++ = '\0';
}

void buffer_free(struct buffer *b) {
  free(b->data);
  b->data = NULL;
  b->length = b->capacity = 0;
}
