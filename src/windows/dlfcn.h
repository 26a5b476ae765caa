/* As much of dlfcn.h as is used. */
#ifndef MAIAGENT_WINDOWS_DLFCN_H
#define MAIAGENT_WINDOWS_DLFCN_H

#include <winsock2.h>

#include <string.h>
#include <windows.h>

#define RTLD_LAZY 0
#define RTLD_NOW 0
#define RTLD_LOCAL 0
#define RTLD_NODELETE 0
#define RTLD_NOLOAD 1

typedef struct {
  const char *dli_fname;
} Dl_info;

static inline void *dlopen(const char *name, int flags) {
  return flags & RTLD_NOLOAD ? GetModuleHandleA(name) : LoadLibraryA(name);
}

static inline void *dlsym(void *library, const char *name) {
  FARPROC function = GetProcAddress(library, name);
  void *found;
  memcpy(&found, &function, sizeof found);
  return found;
}

/* Its only use is to keep the module that `address` is in: done here. */
static inline int dladdr(const void *address, Dl_info *info) {
  DWORD flags =
      GET_MODULE_HANDLE_EX_FLAG_FROM_ADDRESS | GET_MODULE_HANDLE_EX_FLAG_PIN;
  HMODULE module;
  info->dli_fname = NULL;
  return GetModuleHandleExA(flags, address, &module) ? 1 : 0;
}

#endif
