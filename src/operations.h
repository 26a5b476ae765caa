/* The API as rows of data, and a binding for each of its operations. */
#ifndef MAIAGENT_OPERATIONS_H
#define MAIAGENT_OPERATIONS_H

#include "compat.h"

#pragma GCC visibility push(hidden)

/* [-0, +0, e] Adds bindings and describe to the table on top of the stack. */
void operations_open(lua_State *L);

#pragma GCC visibility pop

#endif
