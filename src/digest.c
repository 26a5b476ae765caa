#include "digest.h"

#include <dlfcn.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>

/* What is used of libcrypto, with its types as far as we look at them. */
static struct {
  void *(*context_new)(void);
  void (*context_free)(void *context);
  const void *(*sha256)(void);
  int (*init)(void *context, const void *type, void *engine);
  int (*update)(void *context, const void *bytes, size_t length);
  int (*final)(void *context, unsigned char *result, unsigned *length);
  int (*whole)(const void *bytes, size_t length, unsigned char *result,
               unsigned *result_length, const void *type, void *engine);
  unsigned char *(*hmac)(const void *type, const void *key, int key_length,
                         const unsigned char *bytes, size_t length,
                         unsigned char *result, unsigned *result_length);
} crypto;

enum { BLOCK_SIZE = 64 }; /* bytes, of SHA-256 */

static bool ready;

/*
** Loading
*/

/* Never the bare libcrypto.dylib: macOS ends a process that loads it. */
static const char *const names[] = {
#if defined(__APPLE__)
    "libcrypto.3.dylib",
    "libcrypto.1.1.dylib",
    "/opt/homebrew/opt/openssl@3/lib/libcrypto.3.dylib",
    "/usr/local/opt/openssl@3/lib/libcrypto.3.dylib",
#elif defined(_WIN32)
    "libcrypto-3-x64.dll",
    "libcrypto-3.dll",
    "libcrypto-1_1-x64.dll",
#else
    "libcrypto.so.3",
    "libcrypto.so.1.1",
    "libcrypto.so",
#endif
};

/* A second libcrypto beside the one that libcurl brought would be memory for
** nothing. */
static void *find_library(void) {
  static const int flags[] = {RTLD_NOW | RTLD_LOCAL | RTLD_NOLOAD,
                              RTLD_NOW | RTLD_LOCAL};
  for (size_t f = 0; f < sizeof flags / sizeof *flags; f++)
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
      void *library = dlopen(names[i], flags[f]);
      if (library)
        return library;
    }
  return NULL;
}

/* Functions and objects have pointers of one size wherever there is dlsym. */
static bool find(void *library, const char *name, void *function) {
  void *found = dlsym(library, name);
  memcpy(function, &found, sizeof found);
  return found != NULL;
}

static void load(void) {
  void *library = find_library();
  ready = library && find(library, "EVP_MD_CTX_new", &crypto.context_new) &&
          find(library, "EVP_MD_CTX_free", &crypto.context_free) &&
          find(library, "EVP_sha256", &crypto.sha256) &&
          find(library, "EVP_DigestInit_ex", &crypto.init) &&
          find(library, "EVP_DigestUpdate", &crypto.update) &&
          find(library, "EVP_DigestFinal_ex", &crypto.final) &&
          find(library, "EVP_Digest", &crypto.whole) &&
          find(library, "HMAC", &crypto.hmac);
}

bool digest_ready(void) {
  static pthread_once_t once = PTHREAD_ONCE_INIT;
  pthread_once(&once, load);
  return ready;
}

/*
** Hashing
*/

bool digest_begin(struct digest *digest) {
  digest->context = crypto.context_new();
  return digest->context &&
         crypto.init(digest->context, crypto.sha256(), NULL) == 1;
}

bool digest_add(struct digest *digest, const void *bytes, size_t length) {
  return crypto.update(digest->context, bytes, length) == 1;
}

bool digest_end(struct digest *digest, unsigned char result[DIGEST_SIZE]) {
  return crypto.final(digest->context, result, NULL) == 1;
}

void digest_free(struct digest *digest) {
  if (digest->context)
    crypto.context_free(digest->context);
  digest->context = NULL;
}

bool digest_of(const void *text, size_t length,
               unsigned char result[DIGEST_SIZE]) {
  return crypto.whole(text, length, result, NULL, crypto.sha256(), NULL) == 1;
}

bool digest_hmac(const void *key, size_t key_length, const void *text,
                 size_t length, unsigned char result[DIGEST_SIZE]) {
  unsigned char short_key[DIGEST_SIZE];
  unsigned written = 0;
  bool is_long = key_length > BLOCK_SIZE; /* HMAC's own rule; it takes an int */
  int short_length = (int)(is_long ? sizeof short_key : key_length);
  return (!is_long || digest_of(key, key_length, short_key)) &&
         crypto.hmac(crypto.sha256(), is_long ? short_key : key, short_length,
                     text, length, result, &written) != NULL;
}

void digest_hex(const unsigned char bytes[DIGEST_SIZE], char to[DIGEST_HEX]) {
  for (int i = 0; i < DIGEST_SIZE; i++)
    snprintf(to + (ptrdiff_t)2 * i, 3, "%02x", bytes[i]);
}
