#include "json_text.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Whether the backslashes right before `at`, down to `start`, escape it. */
static bool is_escaped(const char *start, const char *at) {
  bool escaped = false;
  while (at > start && *--at == '\\')
    escaped = !escaped;
  return escaped;
}

/* The quote that ends the string whose first byte is `at`, the one after its
** opening quote; or `end`. To look at each byte instead made the scan for the
** last number of a record take three times the instructions, and a page with
** such numbers 42 % more time than one without; so it is 8 %. */
static const char *string_end(const char *at, const char *end) {
  const char *quote = memchr(at, '"', (size_t)(end - at));
  while (quote && quote[-1] == '\\' && is_escaped(at, quote))
    quote = memchr(quote + 1, '"', (size_t)(end - quote - 1));
  return quote ? quote : end;
}

static bool starts_number(char c) { return c == '-' || (c >= '0' && c <= '9'); }

static struct json_token take_number(struct json_scanner *s) {
  struct json_token token = {s->at, strspn(s->at, "0123456789+-.eE"), true};
  s->at += token.length;
  s->numbers++;
  return token;
}

struct json_token json_next_number(struct json_scanner *s, const char *end) {
  const char *at = s->at;
  for (; at < end && !starts_number(*at); at++)
    if (*at == '"')
      at = string_end(at + 1, end);
  s->at = at;
  return take_number(s);
}

struct json_token json_next_token(struct json_scanner *s, const char *end) {
  while (s->at < end && *s->at != '"' && !starts_number(*s->at))
    s->at++;
  if (*s->at != '"')
    return take_number(s);
  struct json_token token = {s->at + 1, 0, false};
  token.length = (size_t)(string_end(token.start, end) - token.start);
  s->at = token.start + token.length + 1;
  return token;
}

static int hex_digit(char c) {
  if (c >= '0' && c <= '9')
    return c - '0';
  if (c >= 'a' && c <= 'f')
    return c - 'a' + 10;
  if (c >= 'A' && c <= 'F')
    return c - 'A' + 10;
  return -1;
}

int json_hex4(const char *digits) {
  int value = 0;
  for (int i = 0; i < 4; i++) {
    int digit = hex_digit(digits[i]);
    if (digit < 0)
      return -1;
    value = value * 16 + digit;
  }
  return value;
}

/* Bytes of UTF-8 that cJSON made of the escape at `at`; `*taken` is its own
** length in the text. */
static size_t escape_length(const char *at, size_t *taken) {
  *taken = 2;
  if (at[1] != 'u')
    return 1;
  int code = json_hex4(at + 2);
  bool pair = code >= 0xD800 && code <= 0xDFFF;
  *taken = pair ? 12 : 6;
  if (pair)
    return 4;
  return code < 0x80 ? 1 : code < 0x800 ? 2 : 3;
}

size_t json_decoded_length(const struct json_token *token) {
  const char *at = token->start, *end = token->start + token->length;
  size_t length = 0;
  while (at < end) {
    size_t taken = 1;
    length += *at == '\\' ? escape_length(at, &taken) : 1;
    at += taken;
  }
  return length;
}

int json_depth_at(const char *at, const char *end) {
  int depth = 0;
  for (; at < end; at++) {
    if (*at == '"')
      at = string_end(at + 1, end);
    else if (*at == '[' || *at == '{')
      depth++;
    else if (*at == ']' || *at == '}')
      depth--;
  }
  return depth;
}

/* 0 where `s` doesn't start with a valid UTF-8 sequence */
static size_t utf8_sequence(const unsigned char *s, size_t left) {
  unsigned c = s[0];
  size_t size = c < 0x80 ? 1 : c < 0xC2 ? 0 : c < 0xE0 ? 2 : c < 0xF0 ? 3 : 4;
  if (c > 0xF4 || size > left)
    return 0;
  if (size < 2)
    return size;
  /* no overlong forms, no surrogates, nothing above U+10FFFF */
  unsigned least = c == 0xE0 ? 0xA0 : c == 0xF0 ? 0x90 : 0x80;
  unsigned most = c == 0xED ? 0x9F : c == 0xF4 ? 0x8F : 0xBF;
  if (s[1] < least || s[1] > most)
    return 0;
  for (size_t i = 2; i < size; i++)
    if ((s[i] & 0xC0) != 0x80)
      return 0;
  return size;
}

size_t json_utf8_fault(const char *text, size_t length) {
  const unsigned char *s = (const unsigned char *)text;
  size_t i = 0;
  while (i < length) {
    size_t size = utf8_sequence(s + i, length - i);
    if (size == 0)
      return i + 1;
    i += size;
  }
  return 0;
}

void json_format_double(char *text, size_t size, double value) {
  if (fabs(value) < JSON_EXACT_LIMIT && (double)(long long)value == value) {
    snprintf(text, size, "%.0f", value);
    return;
  }
  for (int digits = 15; digits <= 17; digits++) {
    snprintf(text, size, "%.*g", digits, value);
    if (strtod(text, NULL) == value)
      break;
  }
  size_t point = strspn(text, "-0123456789");
  size_t rest = point + strcspn(text + point, "0123456789e");
  if (text[point] == '\0') {
    snprintf(text + point, size - point, ".0");
  } else if (rest > point) { /* the locale's decimal point, maybe two bytes */
    text[point] = '.';
    memmove(text + point + 1, text + rest, strlen(text + rest) + 1);
  }
}
