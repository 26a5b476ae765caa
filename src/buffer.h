/* Growable bytes with a named limit. No Lua, no libcurl. */
#ifndef MAIAGENT_BUFFER_H
#define MAIAGENT_BUFFER_H

#include <stddef.h>

#pragma GCC visibility push(hidden)

/* `data` is followed by a NUL that `length` does not count; a buffer of all
** zeros with a limit is a valid, empty one. */
struct buffer {
  char *data;
  size_t length, capacity, limit;
};

enum buffer_result { BUFFER_OK, BUFFER_FULL, BUFFER_NO_MEMORY };

/* Makes `b` empty; it will hold at most `limit` bytes. */
void buffer_init(struct buffer *b, size_t limit);

/* Makes room for `extra` more bytes at once (a known Content-Length). */
enum buffer_result buffer_reserve(struct buffer *b, size_t extra);

/* Appends `length` bytes; on failure the buffer is as it was. */
enum buffer_result buffer_add(struct buffer *b, const void *bytes,
                              size_t length);

/* Appends a NUL-terminated text, without its NUL. */
enum buffer_result buffer_text(struct buffer *b, const char *text);

/* Empties the buffer and keeps its memory for reuse. */
void buffer_clear(struct buffer *b);

/* Overwrites a secret that is about to be freed. */
void buffer_wipe(char *bytes, size_t length);

/* Releases the memory; may run twice, and the buffer may be used again. */
void buffer_free(struct buffer *b);

#pragma GCC visibility pop

#endif
