/*
** What libcurl calls while an exchange is under way. None of it knows Lua.
*/
#ifndef MAIAGENT_CALLBACKS_H
#define MAIAGENT_CALLBACKS_H

#include "transfer.h"

#pragma GCC visibility push(hidden)

/* Makes the handle of `t`, which has its request, tell `t` what happens. */
void callbacks_set(struct transfer *t);

#pragma GCC visibility pop

#endif
