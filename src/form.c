#include "form.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "mtime.h"

struct form_file {
  struct form_file *next;
  struct failure *failure;
  const char *path; /* the part's, which lives as long as the request */
  int fd;
  curl_off_t size, offset;
  struct timespec changed; /* before the first byte was read */
};

static size_t refuse_change(struct form_file *file) {
  failure_set(file->failure, FAILURE_FILE, "%s: changed while it was sent",
              file->path);
  return CURL_READFUNC_ABORT;
}

/* The size went out first, so the file must end exactly there; and what was
** read must be of one version of it. */
static bool is_unchanged(const struct form_file *file) {
  struct stat now = {0};
  bool found = fstat(file->fd, &now) == 0;
  struct timespec changed = mtime_of(&now);
  return found && (curl_off_t)now.st_size == file->size &&
         changed.tv_sec == file->changed.tv_sec &&
         changed.tv_nsec == file->changed.tv_nsec;
}

/* libcurl's own curl_mime_filedata knows nothing of changes, reads twice for
** each block, and took 9 % more CPU. */
static ssize_t read_at(const struct form_file *file, char *to, size_t length) {
  ssize_t count;
  do
    count = pread(file->fd, to, length, (off_t)file->offset);
  while (count < 0 && errno == EINTR);
  return count;
}

static size_t on_read(char *to, size_t size, size_t count, void *data) {
  struct form_file *file = data;
  curl_off_t left = file->size - file->offset;
  size_t wanted = size * count;
  if ((curl_off_t)wanted > left)
    wanted = (size_t)left;
  ssize_t got = read_at(file, to, wanted);
  if (got < 0) {
    failure_file(file->failure, file->path, errno);
    return CURL_READFUNC_ABORT;
  }
  file->offset += got;
  if (got == 0 ? left > 0 : file->offset == file->size && !is_unchanged(file))
    return refuse_change(file);
  return (size_t)got;
}

static int on_seek(void *data, curl_off_t offset, int origin) {
  struct form_file *file = data;
  file->offset = offset;
  return origin == SEEK_SET ? CURL_SEEKFUNC_OK : CURL_SEEKFUNC_CANTSEEK;
}

/* What is no plain file has no size to send first, and may block. */
static int measure(struct form_file *file) {
  struct stat now;
  file->fd = open(file->path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  if (file->fd < 0 || fstat(file->fd, &now) != 0)
    return errno;
  if (S_ISDIR(now.st_mode))
    return EISDIR;
  if (!S_ISREG(now.st_mode))
    return ESPIPE;
  file->size = (curl_off_t)now.st_size;
  file->changed = mtime_of(&now);
  return 0;
}

static void out_of_memory(struct failure *failure) {
  failure_set(failure, FAILURE_MEMORY, "not enough memory");
}

static bool add_file(struct form *form, curl_mimepart *to, const char *path,
                     struct failure *failure) {
  struct form_file *file = calloc(1, sizeof *file);
  if (!file) {
    out_of_memory(failure);
    return false;
  }
  file->next = form->files;
  file->path = path;
  file->failure = failure;
  file->fd = -1;
  form->files = file;
  int error = measure(file);
  if (error != 0) {
    failure_file(failure, path, error);
    return false;
  }
  curl_mime_data_cb(to, file->size, on_read, on_seek, NULL, file);
  return true;
}

static bool add_part(struct form *form, const struct request_part *part,
                     struct loop_member *member, struct failure *failure) {
  curl_mimepart *to = curl_mime_addpart(form->mime);
  bool fits =
      to && curl_mime_name(to, part->name) == CURLE_OK &&
      (!part->type || curl_mime_type(to, part->type) == CURLE_OK) &&
      (!part->filename || curl_mime_filename(to, part->filename) == CURLE_OK);
  if (fits && part->path)
    return add_file(form, to, part->path, failure);
  if (fits && part->fed)
    fits = feed_attach(&form->feed, to, part->size, member, failure);
  else if (fits)
    fits = curl_mime_data(to, part->value, part->value_length) == CURLE_OK;
  if (fits)
    return true;
  out_of_memory(failure);
  return false;
}

bool form_build(struct form *form, struct loop_member *member,
                const struct request_part *parts, struct failure *failure) {
  form->mime = curl_mime_init(member->easy);
  if (!form->mime) {
    out_of_memory(failure);
    return false;
  }
  for (; parts; parts = parts->next)
    if (!add_part(form, parts, member, failure))
      return false;
  curl_easy_setopt(member->easy, CURLOPT_MIMEPOST, form->mime);
  return true;
}

void form_free(struct form *form) {
  curl_mime_free(form->mime);
  form->mime = NULL;
  feed_free(&form->feed);
  while (form->files) {
    struct form_file *file = form->files;
    form->files = file->next;
    if (file->fd >= 0)
      close(file->fd);
    free(file);
  }
}
