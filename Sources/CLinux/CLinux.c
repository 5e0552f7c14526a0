#include "CLinux.h"
#include "Retry.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <linux/magic.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/uio.h>
#include <sys/vfs.h>
#include <sys/xattr.h>
#include <time.h>
#include <unistd.h>

/* Numbers newer than the oldest libc headers this builds against. */
#ifndef STATX_MNT_ID_UNIQUE
#define STATX_MNT_ID_UNIQUE 0x00004000U
#endif
#ifndef XFS_MAGIC
#define XFS_MAGIC 0x58465342
#endif
#ifndef STATX_DIOALIGN
#define STATX_DIOALIGN 0x00002000U
#endif
#ifndef RWF_DONTCACHE
#define RWF_DONTCACHE 0x00000080
#endif
#ifndef SYS_cachestat
#define SYS_cachestat 451
#endif
#ifndef SYS_fchmodat2
#define SYS_fchmodat2 452
#endif
#ifndef SYS_listxattrat
#define SYS_setxattrat 463
#define SYS_getxattrat 464
#define SYS_listxattrat 465
#define SYS_removexattrat 466
#endif

/* As FS_IOC_GETFSUUID of Linux 6.9. */
struct __attribute__((packed)) clinux_uuid {
    uint8_t length;
    uint64_t halves[2];
};
#define CLINUX_GETFSUUID _IOR(0x15, 0, struct clinux_uuid)

/*
 * struct statx as the kernel lays it out (include/uapi/linux/stat.h): the libc's own copy may be
 * older than the fields for direct I/O.
 */
struct kernel_statx {
    uint32_t mask, blksize;
    uint64_t attributes;
    uint32_t nlink, uid, gid;
    uint16_t mode, spare0;
    uint64_t ino, size, blocks, attributes_mask;
    struct {
        int64_t seconds;
        uint32_t nanoseconds;
        int32_t reserved;
    } atime, btime, ctime, mtime;
    uint32_t rdev_major, rdev_minor, dev_major, dev_minor;
    uint64_t mnt_id;
    uint32_t dio_mem_align, dio_offset_align;
    uint64_t spare[12];
};
_Static_assert(sizeof(struct kernel_statx) == 256, "struct statx is 256 bytes");

int32_t clinux_working_directory(void) { return AT_FDCWD; }

int32_t clinux_openat(int32_t directory, const char *name, uint32_t flags, uint32_t mode) {
    int bits = O_CLOEXEC | O_NOCTTY;
    if (flags & CLINUX_WRITE_ONLY) bits |= O_WRONLY;
    if (flags & CLINUX_READ_WRITE) bits |= O_RDWR;
    if (flags & CLINUX_CREATE) bits |= O_CREAT;
    if (flags & CLINUX_EXCLUSIVE) bits |= O_EXCL;
    if (flags & CLINUX_DIRECTORY) bits |= O_DIRECTORY;
    if (flags & CLINUX_NO_FOLLOW) bits |= O_NOFOLLOW;
    if (flags & CLINUX_NON_BLOCKING) bits |= O_NONBLOCK;
    if (flags & CLINUX_NO_ACCESS_TIME) bits |= O_NOATIME;
    if (flags & CLINUX_DIRECT) bits |= O_DIRECT;
    if (flags & CLINUX_PATH_ONLY) bits |= O_PATH;
    if (flags & CLINUX_TRUNCATE) bits |= O_TRUNC;
    if (flags & CLINUX_APPEND) bits |= O_APPEND;
    return RETRY(openat(directory, name, bits, (mode_t)mode));
}

int32_t clinux_close(int32_t descriptor) { return close(descriptor) == -1 ? -errno : 0; }

static int32_t stat_with(
    int32_t directory, const char *name, int flags, uint32_t mask, struct clinux_stat *out) {
    struct kernel_statx raw;
    long result = RETRY(syscall(SYS_statx, directory, name, flags, mask, &raw));
    if (result < 0) return (int32_t)result;
    out->inode = raw.ino;
    out->size = raw.size;
    out->blocks = raw.blocks;
    out->mount = raw.mnt_id;
    out->device_major = raw.dev_major;
    out->device_minor = raw.dev_minor;
    out->special_major = raw.rdev_major;
    out->special_minor = raw.rdev_minor;
    out->mtime_seconds = raw.mtime.seconds;
    out->mtime_nanoseconds = raw.mtime.nanoseconds;
    out->ctime_seconds = raw.ctime.seconds;
    out->ctime_nanoseconds = raw.ctime.nanoseconds;
    out->birth_seconds = raw.btime.seconds;
    out->birth_nanoseconds = raw.btime.nanoseconds;
    out->has_birth = (raw.mask & STATX_BTIME) != 0;
    out->mode = raw.mode;
    out->uid = raw.uid;
    out->gid = raw.gid;
    out->links = raw.nlink;
    int direct = (raw.mask & STATX_DIOALIGN) != 0;
    out->direct_memory_alignment = direct ? raw.dio_mem_align : 0;
    out->direct_offset_alignment = direct ? raw.dio_offset_align : 0;
    return 0;
}

#define STAT_MASK (STATX_BASIC_STATS | STATX_BTIME | STATX_MNT_ID_UNIQUE)

int32_t clinux_stat(int32_t directory, const char *name, struct clinux_stat *out) {
    int flags = AT_SYMLINK_NOFOLLOW | AT_NO_AUTOMOUNT | (name[0] == 0 ? AT_EMPTY_PATH : 0);
    return stat_with(directory, name, flags, STAT_MASK, out);
}

int32_t clinux_stat_direct(int32_t descriptor, struct clinux_stat *out) {
    return stat_with(descriptor, "", AT_EMPTY_PATH, STAT_MASK | STATX_DIOALIGN, out);
}

int32_t clinux_stat_followed(int32_t directory, const char *name, struct clinux_stat *out) {
    return stat_with(directory, name, 0, STAT_MASK, out);
}

int64_t clinux_getdents(int32_t directory, void *buffer, uint64_t size) {
    return RETRY(syscall(SYS_getdents64, directory, buffer, size));
}

int64_t clinux_readlink(int32_t directory, const char *name, char *buffer, uint64_t size) {
    return RETRY(readlinkat(directory, name, buffer, size));
}

int64_t clinux_pread(int32_t descriptor, void *buffer, uint64_t size, int64_t offset) {
    return RETRY(pread(descriptor, buffer, size, offset));
}

int64_t clinux_pread_uncached(int32_t descriptor, void *buffer, uint64_t size, int64_t offset) {
    struct iovec vector = {buffer, size};
    return RETRY(preadv2(descriptor, &vector, 1, offset, RWF_DONTCACHE));
}

int64_t clinux_pwrite(int32_t descriptor, const void *buffer, uint64_t size, int64_t offset) {
    return RETRY(pwrite(descriptor, buffer, size, offset));
}

int64_t clinux_seek(int32_t descriptor, int64_t offset, int32_t whence) {
    return RETRY(lseek(descriptor, offset, whence == CLINUX_SEEK_DATA ? SEEK_DATA : SEEK_HOLE));
}

int32_t clinux_truncate(int32_t descriptor, int64_t size) {
    return RETRY(ftruncate(descriptor, size));
}

int32_t clinux_set_direct(int32_t descriptor) {
    int flags = fcntl(descriptor, F_GETFL);
    if (flags == -1) return -errno;
    if (flags & O_DIRECT) return 0;
    return fcntl(descriptor, F_SETFL, flags | O_DIRECT) == -1 ? -errno : 0;
}

/* Not retried on any error: after a failed sync the kernel may have forgotten what was dirty. */
int32_t clinux_sync(int32_t descriptor) { return fsync(descriptor) == -1 ? -errno : 0; }
int32_t clinux_sync_data(int32_t descriptor) { return fdatasync(descriptor) == -1 ? -errno : 0; }
int32_t clinux_sync_file_system(int32_t descriptor) {
    return syncfs(descriptor) == -1 ? -errno : 0;
}

int32_t clinux_allocate(int32_t descriptor, int64_t offset, int64_t count) {
    return RETRY(fallocate(descriptor, 0, offset, count));
}

int32_t clinux_punch_hole(int32_t descriptor, int64_t offset, int64_t count) {
    return RETRY(fallocate(
        descriptor, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, offset, count));
}

int32_t clinux_drop_cache(int32_t descriptor, int64_t offset, int64_t length) {
    return -posix_fadvise(descriptor, offset, length, POSIX_FADV_DONTNEED);
}

int32_t clinux_prefetch(int32_t descriptor, int64_t offset, int64_t length) {
    return -posix_fadvise(descriptor, offset, length, POSIX_FADV_WILLNEED);
}

int32_t clinux_stop_read_ahead(int32_t descriptor) {
    return -posix_fadvise(descriptor, 0, 0, POSIX_FADV_RANDOM);
}

int32_t clinux_write_back(int32_t descriptor) {
    return RETRY(sync_file_range(
        descriptor, 0, 0,
        SYNC_FILE_RANGE_WAIT_BEFORE | SYNC_FILE_RANGE_WRITE | SYNC_FILE_RANGE_WAIT_AFTER));
}

int64_t clinux_cached_pages(int32_t descriptor, int64_t offset, int64_t length) {
    struct { uint64_t offset, length; } range = {(uint64_t)offset, (uint64_t)length};
    struct { uint64_t cached, dirty, writeback, evicted, recently_evicted; } found;
    long result = RETRY(syscall(SYS_cachestat, descriptor, &range, &found, 0));
    return result < 0 ? result : (int64_t)found.cached;
}

int32_t clinux_mkdir(int32_t directory, const char *name, uint32_t mode) {
    return RETRY(mkdirat(directory, name, (mode_t)mode));
}

int32_t clinux_unlink(int32_t directory, const char *name, int32_t is_directory) {
    return RETRY(unlinkat(directory, name, is_directory ? AT_REMOVEDIR : 0));
}

int32_t clinux_rename(
    int32_t from_directory, const char *from, int32_t to_directory, const char *to, int32_t rule) {
    unsigned flags = rule == 1 ? RENAME_NOREPLACE : rule == 2 ? RENAME_EXCHANGE : 0;
    return RETRY(renameat2(from_directory, from, to_directory, to, flags));
}

int32_t clinux_link(
    int32_t from_directory, const char *from, int32_t to_directory, const char *to) {
    return RETRY(linkat(from_directory, from, to_directory, to, 0));
}

int32_t clinux_symlink(const char *target, int32_t directory, const char *name) {
    return RETRY(symlinkat(target, directory, name));
}

int32_t clinux_make_node(
    int32_t directory, const char *name, uint32_t kind, uint32_t mode, uint32_t major,
    uint32_t minor) {
    mode_t type = (mode_t)DTTOIF(kind);
    dev_t device = S_ISCHR(type) || S_ISBLK(type) ? makedev(major, minor) : 0;
    return RETRY(mknodat(directory, name, type | (mode_t)(mode & 07777), device));
}

int32_t clinux_set_mode(int32_t descriptor, const char *name, uint32_t mode) {
    if (!name) return RETRY(fchmod(descriptor, (mode_t)mode));
    long result =
        RETRY(syscall(SYS_fchmodat2, descriptor, name, (mode_t)mode, AT_SYMLINK_NOFOLLOW));
    if (result != -ENOSYS) return (int32_t)result;
    /* Before Linux 6.6 the libc opens the name as a path, and goes on from there. */
    return RETRY(fchmodat(descriptor, name, (mode_t)mode, AT_SYMLINK_NOFOLLOW));
}

int32_t clinux_set_owner(int32_t descriptor, const char *name, uint32_t uid, uint32_t gid) {
    if (!name) return RETRY(fchown(descriptor, uid, gid));
    return RETRY(fchownat(descriptor, name, uid, gid, AT_SYMLINK_NOFOLLOW));
}

int32_t clinux_set_modified(
    int32_t descriptor, const char *name, int64_t seconds, uint32_t nanoseconds) {
    struct timespec times[2] = {{0, UTIME_OMIT}, {(time_t)seconds, (long)nanoseconds}};
    if (!name) return RETRY(futimens(descriptor, times));
    return RETRY(utimensat(descriptor, name, times, AT_SYMLINK_NOFOLLOW));
}

int64_t clinux_list_xattr(int32_t descriptor, char *buffer, uint64_t size) {
    return RETRY(flistxattr(descriptor, buffer, size));
}

int64_t clinux_get_xattr(int32_t descriptor, const char *name, void *buffer, uint64_t size) {
    return RETRY(fgetxattr(descriptor, name, buffer, size));
}

/*
 * Through /proc/self/fd where the kernel has no listxattrat (before 6.13): the held descriptor of
 * the parent and one component, so nothing above it is resolved anew.
 */
static int parent_path(char *path, size_t size, int32_t directory, const char *name) {
    int length = snprintf(path, size, "/proc/self/fd/%d/%s", directory, name);
    return length > 0 && (size_t)length < size;
}

int64_t clinux_list_xattr_at(int32_t directory, const char *name, char *buffer, uint64_t size) {
    long result = RETRY(
        syscall(SYS_listxattrat, directory, name, AT_SYMLINK_NOFOLLOW, buffer, size));
    if (result != -ENOSYS) return result;
    char path[320];
    if (!parent_path(path, sizeof path, directory, name)) return -ENAMETOOLONG;
    return RETRY(llistxattr(path, buffer, size));
}

int64_t clinux_get_xattr_at(
    int32_t directory, const char *name, const char *attribute, void *buffer, uint64_t size) {
    struct { uint64_t value; uint32_t size, flags; } arguments = {
        (uint64_t)(uintptr_t)buffer, (uint32_t)size, 0};
    long result = RETRY(syscall(
        SYS_getxattrat, directory, name, AT_SYMLINK_NOFOLLOW, attribute, &arguments,
        sizeof arguments));
    if (result != -ENOSYS) return result;
    char path[320];
    if (!parent_path(path, sizeof path, directory, name)) return -ENAMETOOLONG;
    return RETRY(lgetxattr(path, attribute, buffer, size));
}

int32_t clinux_set_xattr(
    int32_t descriptor, const char *name, const char *attribute, const void *value,
    uint64_t size) {
    if (!name) return RETRY(fsetxattr(descriptor, attribute, value, size, 0));
    /* The kernel's structure has 32 bits for the size; no value is longer than 64 KiB. */
    if (size > UINT32_MAX) return -E2BIG;
    struct { uint64_t value; uint32_t size, flags; } arguments = {
        (uint64_t)(uintptr_t)value, (uint32_t)size, 0};
    long result = RETRY(syscall(
        SYS_setxattrat, descriptor, name, AT_SYMLINK_NOFOLLOW, attribute, &arguments,
        sizeof arguments));
    if (result != -ENOSYS) return (int32_t)result;
    char path[320];
    if (!parent_path(path, sizeof path, descriptor, name)) return -ENAMETOOLONG;
    return RETRY(lsetxattr(path, attribute, value, size, 0));
}

int32_t clinux_remove_xattr(int32_t descriptor, const char *name, const char *attribute) {
    if (!name) return RETRY(fremovexattr(descriptor, attribute));
    long result = RETRY(
        syscall(SYS_removexattrat, descriptor, name, AT_SYMLINK_NOFOLLOW, attribute));
    if (result != -ENOSYS) return (int32_t)result;
    char path[320];
    if (!parent_path(path, sizeof path, descriptor, name)) return -ENAMETOOLONG;
    return RETRY(lremovexattr(path, attribute));
}

int32_t clinux_file_system(int32_t descriptor, struct clinux_file_system *out) {
    struct statfs raw;
    int result = RETRY(fstatfs(descriptor, &raw));
    if (result < 0) return result;
    out->type = (int64_t)raw.f_type;
    // Counts are in fragments where the file system has them (statvfs(3)).
    out->block_size = (uint64_t)(raw.f_frsize > 0 ? raw.f_frsize : raw.f_bsize);
    out->blocks = raw.f_blocks;
    out->blocks_free = raw.f_bfree;
    out->blocks_available = raw.f_bavail;
    memcpy(&out->identity, &raw.f_fsid, sizeof out->identity);
    // XFS gives the device's number, which is another one after a reboot, and ext4 its UUID's
    // halves joined: so it is done here. Elsewhere f_fsid tells more, as btrfs' subvolumes.
    struct clinux_uuid uuid;
    if (raw.f_type == XFS_MAGIC && RETRY(ioctl(descriptor, CLINUX_GETFSUUID, &uuid)) == 0
        && uuid.length == sizeof uuid.halves)
        out->identity = uuid.halves[0] ^ uuid.halves[1];
    out->inodes_used = raw.f_files > raw.f_ffree ? raw.f_files - raw.f_ffree : 0;
    out->read_only = (raw.f_flags & ST_RDONLY) != 0;
    return 0;
}

int64_t clinux_device_size(int32_t descriptor) {
    uint64_t size = 0;
    int result = RETRY(ioctl(descriptor, BLKGETSIZE64, &size));
    if (result < 0) return result;
    return size > INT64_MAX ? -EOVERFLOW : (int64_t)size;
}

int32_t clinux_device_read_only(int32_t descriptor) {
    int read_only = 0;
    int result = RETRY(ioctl(descriptor, BLKROGET, &read_only));
    return result < 0 ? result : read_only != 0;
}

int32_t clinux_open_for_writing(int32_t descriptor) {
    if (fcntl(descriptor, F_SETLEASE, F_RDLCK) == -1) return errno == EAGAIN ? 1 : -errno;
    return fcntl(descriptor, F_SETLEASE, F_UNLCK) == -1 ? -errno : 0;
}

int32_t clinux_lock(int32_t descriptor, int32_t kind) {
    int operation = kind == 0 ? LOCK_UN : kind == 1 ? LOCK_SH : LOCK_EX;
    return RETRY(flock(descriptor, operation | LOCK_NB));
}

int64_t clinux_raise_descriptor_limit(void) {
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) == -1) return -errno;
    if (limit.rlim_cur < limit.rlim_max) {
        struct rlimit raised = {limit.rlim_max, limit.rlim_max};
        if (setrlimit(RLIMIT_NOFILE, &raised) == 0) limit = raised;
    }
    return limit.rlim_cur > INT32_MAX ? INT32_MAX : (int64_t)limit.rlim_cur;
}

int64_t clinux_processor_time(void) {
    struct timespec now;
    if (clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now) == -1) return -errno;
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

const char *clinux_error_name(int32_t number) { return strerrorname_np(number); }
const char *clinux_error_sentence(int32_t number) { return strerrordesc_np(number); }

int64_t clinux_voluntary_switches(void) {
    struct rusage usage;
    if (getrusage(RUSAGE_SELF, &usage) == -1) return -errno;
    return usage.ru_nvcsw;
}
