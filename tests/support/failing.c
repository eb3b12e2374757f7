/* SPDX-License-Identifier: Apache-2.0 */
/* To be preloaded: the n-th system call from now on, of the thread that asks for it, fails once. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

enum { SHORT = 0, KILL = -1 }; /* in place of an errno */

static __thread long left = -1;
static __thread int how;
static __thread const char *failed;

/* how: an errno; 0: half of what is to be read or written; -1: the process is killed in the middle. */
void fail_call(long n, int what)
{
    left = n;
    how = what;
    failed = "";
}

/* The call that failed, "" if none has yet; none fails from now on. */
const char *fail_over(void)
{
    left = -1;
    return failed;
}

static int hit(const char *name)
{
    if (left < 0 || left-- > 0)
        return 0;
    failed = name;
    return 1;
}

static void *next(void **real, const char *name)
{
    if (*real == NULL)
        *real = dlsym(RTLD_NEXT, name);
    return *real;
}

/* A call that fails or is made. */
#define CALL(type, name, parameters, arguments, bad)                                                                   \
    type name parameters                                                                                               \
    {                                                                                                                  \
        static void *real;                                                                                             \
        if (hit(#name) && how != SHORT) {                                                                              \
            if (how == KILL)                                                                                           \
                raise(SIGKILL);                                                                                        \
            errno = how;                                                                                               \
            return bad;                                                                                                \
        }                                                                                                              \
        return ((type(*) parameters)next(&real, #name))arguments;                                                      \
    }

/* A call that moves `size` bytes: some of them, where not all are. */
#define MOVE(name, parameters, arguments)                                                                              \
    ssize_t name parameters                                                                                            \
    {                                                                                                                  \
        static void *real;                                                                                             \
        const int is_hit = hit(#name);                                                                                 \
        if (is_hit && how > 0) {                                                                                       \
            errno = how;                                                                                               \
            return -1;                                                                                                 \
        }                                                                                                              \
        if (is_hit && size > 1)                                                                                        \
            size /= 2;                                                                                                 \
        const ssize_t moved = ((ssize_t(*) parameters)next(&real, #name))arguments;                                    \
        if (is_hit && how == KILL)                                                                                     \
            raise(SIGKILL);                                                                                            \
        return moved;                                                                                                  \
    }

MOVE(read, (int fd, void *data, size_t size), (fd, data, size))
MOVE(write, (int fd, const void *data, size_t size), (fd, data, size))
MOVE(pread64, (int fd, void *data, size_t size, off64_t at), (fd, data, size, at))
MOVE(send, (int fd, const void *data, size_t size, int flags), (fd, data, size, flags))
MOVE(recv, (int fd, void *data, size_t size, int flags), (fd, data, size, flags))
CALL(int, socket, (int domain, int type, int protocol), (domain, type, protocol), -1)
CALL(int, accept4, (int fd, struct sockaddr *a, socklen_t *n, int flags), (fd, a, n, flags), -1)
CALL(int, fstat64, (int fd, struct stat64 *s), (fd, s), -1)
CALL(int, fsync, (int fd), (fd), -1)
CALL(int, ftruncate64, (int fd, off64_t size), (fd, size), -1)
CALL(int, rename, (const char *from, const char *to), (from, to), -1)
CALL(int, mkdir, (const char *path, mode_t mode), (path, mode), -1)
CALL(off64_t, lseek64, (int fd, off64_t at, int whence), (fd, at, whence), -1)
CALL(void *, mmap64, (void *at, size_t n, int protection, int flags, int fd, off64_t from),
     (at, n, protection, flags, fd, from), MAP_FAILED)

int open64(const char *path, int flags, ...)
{
    static void *real;
    va_list rest;
    va_start(rest, flags);
    const mode_t mode = flags & O_CREAT ? va_arg(rest, mode_t) : 0;
    va_end(rest);
    if (hit("open64") && how != SHORT) {
        if (how == KILL)
            raise(SIGKILL);
        errno = how;
        return -1;
    }
    return ((int (*)(const char *, int, ...))next(&real, "open64"))(path, flags, mode);
}
