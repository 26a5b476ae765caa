/* Where there is no epoll, poll only waits. */
#ifndef MAIAGENT_WINDOWS_POLL_H
#define MAIAGENT_WINDOWS_POLL_H

#include <winsock2.h>

#include <windows.h>

static inline int poll(const void *none, int count, int ms) {
  (void)none;
  (void)count;
  Sleep(ms < 0 ? INFINITE : (DWORD)ms);
  return 0;
}

#endif
