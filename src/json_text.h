/*
** What of JSON is text alone: tokens, escapes, UTF-8 and the digits of numbers.
** No Lua, no cJSON.
*/
#ifndef MAIAGENT_JSON_TEXT_H
#define MAIAGENT_JSON_TEXT_H

#include <stdbool.h>
#include <stddef.h>

#pragma GCC visibility push(hidden)

/* Beyond this a double no longer tells neighbouring integers apart: 2^53. */
#define JSON_EXACT_LIMIT 9007199254740992.0

struct json_token {
  const char *start;
  size_t length; /* of a string: what is between the quotes */
  bool number;
};

/* Walks a text that cJSON has accepted. */
struct json_scanner {
  const char *at;
  size_t numbers; /* number tokens before `at` */
};

/* The next string or number, of a text that has one more. */
struct json_token json_next_token(struct json_scanner *s, const char *end);

/* The next number, of a text that has one more; strings in between are passed
** over without looking at each of their bytes. */
struct json_token json_next_number(struct json_scanner *s, const char *end);

/* The length of a string token once its escapes are undone. */
size_t json_decoded_length(const struct json_token *token);

/* The value of four hexadecimal digits, or -1. */
int json_hex4(const char *digits);

/* How many arrays and objects are open at `end`. */
int json_depth_at(const char *at, const char *end);

/* The first byte, counted from 1, that isn't UTF-8; 0 if there is none. */
size_t json_utf8_fault(const char *text, size_t length);

/* The shortest text that reads back as `value`. Below 2^53 an integral value is
** written as an integer, from there on with a fraction or an exponent, so that
** it comes back as the float that it is. */
void json_format_double(char *text, size_t size, double value);

#pragma GCC visibility pop

#endif
