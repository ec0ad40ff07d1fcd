/* Loaded into core, supervisor, child and FFmpeg (LD_PRELOAD): counts the calls by which a process changes the disk or
 * speaks to another, breaks the one it was told to, refuses inotify's watches, sets the wall clock, and writes down what
 * reaches the disk.
 *
 * Orders and counts are one shared file ($TORTURE_ORDERS; its layout is repeated in faults.py). Unlike strace, whose
 * counters are per thread, the k-th call is the k-th of the process, whichever of its threads makes it.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

enum { WRITE, PWRITE, FSYNC, FDATASYNC, RENAME, LINK, UNLINK, TRUNCATE, CREATE, MKDIR, SEND, CALLS };
enum { CORE, SUPERVISOR, CHILD, FFMPEG, ROLES };
enum { NOTHING, KILL_BEFORE, KILL_AFTER, FAIL };

struct orders {
    int64_t role, call, first, last, action, error, fired, traces, clock_offset_s, no_watches;
    int64_t counts[ROLES][CALLS];
};

struct record { /* one line of the trace; two paths and the bytes written follow */
    int64_t call, at_ns, offset, size, path, other;
};

static struct orders *orders;
static int role = ROLES;
static int trace = -1;
static pthread_mutex_t in_order = PTHREAD_MUTEX_INITIALIZER;

#define REAL(name) ((__typeof__(&name))real(#name))

static void *real(const char *name) { return dlsym(RTLD_NEXT, name); }

/* Take orders from this file; called when the library is loaded, and by a process that was forked with it. */
void torture_begin(const char *path, int as) {
    char name[4096];
    int fd = REAL(open64)(path, O_RDWR | O_CLOEXEC);
    if (fd < 0) return;
    void *mapped = mmap(NULL, sizeof *orders, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    close(fd);
    if (mapped == MAP_FAILED) return;
    orders = mapped;
    role = as;
    if (!orders->traces || role != CORE) return;
    snprintf(name, sizeof name, "%s.trace", path);
    trace = REAL(open64)(name, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
}

static int find_role(void) {
    char line[4096] = {0};
    int fd = REAL(open64)("/proc/self/cmdline", O_RDONLY | O_CLOEXEC);
    ssize_t size = fd < 0 ? 0 : read(fd, line, sizeof line - 1);
    close(fd);
    const char *name = strrchr(line, '/') ? strrchr(line, '/') + 1 : line;
    if (!strncmp(name, "ffmpeg", 6) || !strncmp(line, "ffmpeg", 6)) return FFMPEG;
    for (ssize_t at = 0; at < size; at += (ssize_t)strlen(line + at) + 1) {
        if (strstr(line + at, "/ffmpeg") && at == 0) return FFMPEG;
        if (!strcmp(line + at, "pipeline.stage.supervise")) return SUPERVISOR;
        if (!strcmp(line + at, "pipeline.stage.work.worker")) return CHILD;
        if (!strcmp(line + at, "start-service")) return CORE;
    }
    return ROLES;
}

__attribute__((constructor)) static void load(void) {
    const char *path = getenv("TORTURE_ORDERS");
    if (path) torture_begin(path, find_role());
}

/* Count a call; die or report failure where it is the one. */
static int broken(int call) {
    if (!orders || role >= ROLES) return 0;
    int64_t count = __atomic_add_fetch(&orders->counts[role][call], 1, __ATOMIC_SEQ_CST);
    if (orders->role != role || orders->call != call) return 0;
    if (count < orders->first || count > orders->last) return 0;
    if (orders->action == NOTHING) return 0;
    __atomic_add_fetch(&orders->fired, 1, __ATOMIC_SEQ_CST);
    if (orders->action == KILL_BEFORE) kill(getpid(), SIGKILL);
    if (orders->action != FAIL) return orders->action;
    errno = (int)orders->error;
    return FAIL;
}

static void die_after(int what) {
    if (what == KILL_AFTER) kill(getpid(), SIGKILL);
}

/* ---- the trace ---- */

static void path_of(int fd, char *path, size_t room) {
    char link[64];
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t size = readlink(link, path, room - 1);
    path[size < 0 ? 0 : size] = 0;
}

static void path_at(int directory, const char *name, char *path, size_t room) {
    char base[4096] = "";
    if (name[0] != '/' && directory != AT_FDCWD) path_of(directory, base, sizeof base);
    snprintf(path, room, "%s%s%s", base, base[0] ? "/" : "", name);
}

static void note(int call, const char *path, const char *other, int64_t offset, const void *bytes, int64_t size) {
    struct timespec now;
    REAL(clock_gettime)(CLOCK_MONOTONIC, &now);
    struct record head = {call, now.tv_sec * 1000000000LL + now.tv_nsec, offset, size,
                          (int64_t)strlen(path), (int64_t)strlen(other)};
    struct iovec parts[] = {{&head, sizeof head}, {(void *)path, (size_t)head.path},
                            {(void *)other, (size_t)head.other}, {(void *)bytes, bytes ? (size_t)size : 0}};
    if (writev(trace, parts, 4) < 0) abort();
}

#define ENTER(call) int what = broken(call); int traced = trace >= 0; \
    if (what == FAIL) return -1; \
    if (traced) pthread_mutex_lock(&in_order)
#define LEAVE(result) if (traced) { int kept = errno; pthread_mutex_unlock(&in_order); errno = kept; } \
    die_after(what); return result

/* ---- calls on descriptors ---- */

static int is_file(int fd) {
    struct stat seen;
    return !fstat(fd, &seen) && S_ISREG(seen.st_mode);
}

ssize_t write(int fd, const void *bytes, size_t size) {
    if (fd == 2 || fd == trace) return REAL(write)(fd, bytes, size); /* what is logged */
    int file = is_file(fd);
    ENTER(file ? WRITE : SEND);
    ssize_t written = REAL(write)(fd, bytes, size);
    if (traced && file && written > 0) {
        char path[4096];
        path_of(fd, path, sizeof path);
        note(WRITE, path, "", lseek(fd, 0, SEEK_CUR) - written, bytes, written);
    }
    LEAVE(written);
}

ssize_t pwrite64(int fd, const void *bytes, size_t size, off64_t offset) {
    ENTER(PWRITE);
    ssize_t written = REAL(pwrite64)(fd, bytes, size, offset);
    if (traced && written > 0) {
        char path[4096];
        path_of(fd, path, sizeof path);
        note(WRITE, path, "", offset, bytes, written);
    }
    LEAVE(written);
}

static int synced(int call, int fd, int (*sync)(int)) {
    ENTER(call);
    int result = sync(fd);
    if (traced && !result) {
        char path[4096];
        path_of(fd, path, sizeof path);
        note(FSYNC, path, "", 0, NULL, 0);
    }
    LEAVE(result);
}

int fsync(int fd) { return synced(FSYNC, fd, REAL(fsync)); }
int fdatasync(int fd) { return synced(FDATASYNC, fd, REAL(fdatasync)); }

int ftruncate64(int fd, off64_t size) {
    ENTER(TRUNCATE);
    int result = REAL(ftruncate64)(fd, size);
    if (traced && !result) {
        char path[4096];
        path_of(fd, path, sizeof path);
        note(TRUNCATE, path, "", size, NULL, 0);
    }
    LEAVE(result);
}

ssize_t send(int fd, const void *bytes, size_t size, int flags) {
    int what = broken(SEND);
    ssize_t sent = REAL(send)(fd, bytes, size, flags);
    die_after(what);
    return sent;
}

ssize_t sendto(int fd, const void *bytes, size_t size, int flags, const struct sockaddr *to, socklen_t length) {
    int what = broken(SEND);
    ssize_t sent = REAL(sendto)(fd, bytes, size, flags, to, length);
    die_after(what);
    return sent;
}

/* ---- calls on names ---- */

static int two_names(int call, int from, const char *old, int to, const char *new, int result) {
    char path[4096], other[4096];
    if (trace < 0 || result) return result;
    path_at(from, old, path, sizeof path);
    path_at(to, new, other, sizeof other);
    note(call, path, other, 0, NULL, 0);
    return result;
}

int rename(const char *old, const char *new) {
    ENTER(RENAME);
    int result = two_names(RENAME, AT_FDCWD, old, AT_FDCWD, new, REAL(rename)(old, new));
    LEAVE(result);
}

int renameat(int from, const char *old, int to, const char *new) {
    ENTER(RENAME);
    int result = two_names(RENAME, from, old, to, new, REAL(renameat)(from, old, to, new));
    LEAVE(result);
}

int linkat(int from, const char *old, int to, const char *new, int flags) {
    ENTER(LINK);
    int result = two_names(LINK, from, old, to, new, REAL(linkat)(from, old, to, new, flags));
    LEAVE(result);
}

int unlink(const char *name) {
    ENTER(UNLINK);
    int result = two_names(UNLINK, AT_FDCWD, name, AT_FDCWD, "", REAL(unlink)(name));
    LEAVE(result);
}

int unlinkat(int directory, const char *name, int flags) {
    ENTER(UNLINK);
    int result = two_names(UNLINK, directory, name, AT_FDCWD, "", REAL(unlinkat)(directory, name, flags));
    LEAVE(result);
}

int mkdir(const char *name, mode_t mode) {
    ENTER(MKDIR);
    int result = two_names(MKDIR, AT_FDCWD, name, AT_FDCWD, "", REAL(mkdir)(name, mode));
    LEAVE(result);
}

int mkdirat(int directory, const char *name, mode_t mode) {
    ENTER(MKDIR);
    int result = two_names(MKDIR, directory, name, AT_FDCWD, "", REAL(mkdirat)(directory, name, mode));
    LEAVE(result);
}

static int created(int directory, const char *name, int flags, mode_t mode) {
    char path[4096];
    int fresh = REAL(faccessat)(directory, name, F_OK, AT_SYMLINK_NOFOLLOW) != 0;
    ENTER(CREATE);
    int fd = REAL(openat64)(directory, name, flags, mode);
    path_at(directory, name, path, sizeof path);
    if (traced && fd >= 0 && fresh) note(CREATE, path, "", 0, NULL, 0);
    if (traced && fd >= 0 && !fresh && flags & O_TRUNC) note(TRUNCATE, path, "", 0, NULL, 0);
    LEAVE(fd);
}

#define MODE(last) va_list rest; va_start(rest, last); mode_t mode = flags & O_CREAT ? va_arg(rest, mode_t) : 0; va_end(rest)

int open64(const char *name, int flags, ...) {
    MODE(flags);
    return flags & O_CREAT ? created(AT_FDCWD, name, flags, mode) : REAL(open64)(name, flags, mode);
}

int open(const char *name, int flags, ...) {
    MODE(flags);
    return flags & O_CREAT ? created(AT_FDCWD, name, flags, mode) : REAL(open)(name, flags, mode);
}

int openat64(int directory, const char *name, int flags, ...) {
    MODE(flags);
    return flags & O_CREAT ? created(directory, name, flags, mode) : REAL(openat64)(directory, name, flags, mode);
}

int openat(int directory, const char *name, int flags, ...) {
    MODE(flags);
    return flags & O_CREAT ? created(directory, name, flags, mode) : REAL(openat)(directory, name, flags, mode);
}

/* ---- inotify ---- */

int inotify_add_watch(int fd, const char *name, uint32_t mask) {
    if (orders && orders->no_watches) {
        errno = ENOSPC;
        return -1;
    }
    return REAL(inotify_add_watch)(fd, name, mask);
}

/* ---- the wall clock ---- */

int clock_gettime(clockid_t clock, struct timespec *now) {
    int result = REAL(clock_gettime)(clock, now);
    if (!result && orders && (clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE))
        now->tv_sec += orders->clock_offset_s;
    return result;
}

time_t time(time_t *out) {
    time_t now = REAL(time)(NULL) + (orders ? orders->clock_offset_s : 0);
    if (out) *out = now;
    return now;
}

int gettimeofday(struct timeval *restrict now, void *restrict zone) {
    int result = REAL(gettimeofday)(now, zone);
    if (!result && orders) now->tv_sec += orders->clock_offset_s;
    return result;
}
