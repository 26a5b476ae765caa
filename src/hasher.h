/*
** The class of hashers: the SHA-256 of a file, bit by bit, so that a program
** with other things to do is never stopped for long.
*/
#ifndef MAIAGENT_HASHER_H
#define MAIAGENT_HASHER_H

#include "compat.h"

#pragma GCC visibility push(hidden)

/* [-0, +0, e] registers the class. */
void hasher_register(lua_State *L);

/* Lua functions: hasher(path) -> hasher | nil, message;
** sha256(text) -> hexadecimal digits; hmac_sha256(key, text) -> 32 bytes. All
** raise where there is no libcrypto. */
int hasher_new(lua_State *L);
int hasher_sha256(lua_State *L);
int hasher_hmac_sha256(lua_State *L);

#pragma GCC visibility pop

#endif
