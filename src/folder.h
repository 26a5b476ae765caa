/*
** Folders and files as the system tells of them. The Lua functions are
** list(path), stat(path, follow), make_folder(path), append(path, text),
** create(path, text) and read(path); what goes wrong is nil and a message that
** names the path.
*/
#ifndef MAIAGENT_FOLDER_H
#define MAIAGENT_FOLDER_H

#include "compat.h"

#pragma GCC visibility push(hidden)

/* [-0, +0, e] registers the class that owns an open folder. */
void folder_register(lua_State *L);

int folder_list(lua_State *L);
int folder_stat(lua_State *L);
int folder_make(lua_State *L);
int folder_append(lua_State *L);
int folder_create(lua_State *L);
int folder_read(lua_State *L);

#pragma GCC visibility pop

#endif
