/*
** SHA-256 of OpenSSL's libcrypto, which is looked for when it is first needed:
** no one else pays for loading it, and it is no dependency of the build. It
** stays loaded for the whole process. No Lua.
*/
#ifndef MAIAGENT_DIGEST_H
#define MAIAGENT_DIGEST_H

#include <stdbool.h>
#include <stddef.h>

#pragma GCC visibility push(hidden)

#define DIGEST_SIZE 32
#define DIGEST_HEX (2 * DIGEST_SIZE + 1)

/* All zeros is a valid digest that was not begun. */
struct digest {
  void *context;
};

/* Has to be asked before anything below; false: there is no libcrypto. */
bool digest_ready(void);

/* Begins; false, here and below, when out of memory. */
bool digest_begin(struct digest *digest);

bool digest_add(struct digest *digest, const void *bytes, size_t length);

/* Ends what digest_begin began. */
bool digest_end(struct digest *digest, unsigned char result[DIGEST_SIZE]);

/* Releases everything; may run twice. */
void digest_free(struct digest *digest);

/* The digest of one text. */
bool digest_of(const void *text, size_t length,
               unsigned char result[DIGEST_SIZE]);

/* HMAC-SHA-256 (RFC 2104). */
bool digest_hmac(const void *key, size_t key_length, const void *text,
                 size_t length, unsigned char result[DIGEST_SIZE]);

/* Writes `bytes` in lower-case hexadecimal digits. */
void digest_hex(const unsigned char bytes[DIGEST_SIZE], char to[DIGEST_HEX]);

#pragma GCC visibility pop

#endif
