#ifndef RESYNC_CLINUX_H
#define RESYNC_CLINUX_H

/*
 * The Linux calls that Swift's Glibc module hides, with plain types only: a header that includes a
 * system header under _GNU_SOURCE clashes with the Glibc module as soon as one file imports both.
 *
 * Every function returns the call's result, or the negated errno. EINTR is retried here, in one
 * place, except by close, which must not be repeated.
 */

#include <stdint.h>

struct clinux_stat {
    uint64_t inode;
    uint64_t size;
    uint64_t blocks;          /* of 512 bytes */
    uint64_t mount;           /* unique mount id where the kernel gives one */
    uint32_t device_major, device_minor;
    uint32_t special_major, special_minor;
    int64_t mtime_seconds, ctime_seconds, birth_seconds;
    uint32_t mtime_nanoseconds, ctime_nanoseconds, birth_nanoseconds;
    uint32_t has_birth;
    uint32_t mode;            /* type and permission bits */
    uint32_t uid, gid;
    uint32_t links;
    uint32_t direct_memory_alignment;  /* 0 where direct I/O is not offered */
    uint32_t direct_offset_alignment;
};

struct clinux_file_system {
    int64_t type;
    uint64_t block_size;
    uint64_t blocks, blocks_free, blocks_available;
    uint64_t identity;
    uint64_t inodes_used;
    int32_t read_only;
};

enum {
    CLINUX_READ_ONLY = 1 << 0,
    CLINUX_WRITE_ONLY = 1 << 1,
    CLINUX_READ_WRITE = 1 << 2,
    CLINUX_CREATE = 1 << 3,
    CLINUX_EXCLUSIVE = 1 << 4,
    CLINUX_DIRECTORY = 1 << 5,
    CLINUX_NO_FOLLOW = 1 << 6,
    CLINUX_NON_BLOCKING = 1 << 7,
    CLINUX_NO_ACCESS_TIME = 1 << 8,
    CLINUX_DIRECT = 1 << 9,
    CLINUX_PATH_ONLY = 1 << 10,
    CLINUX_TRUNCATE = 1 << 11,
    CLINUX_APPEND = 1 << 12,
};

/* clinux_seek */
enum { CLINUX_SEEK_DATA = 0, CLINUX_SEEK_HOLE = 1 };

/* The working directory, for paths given by the operator. */
int32_t clinux_working_directory(void);

/* Always close-on-exec and never a controlling terminal. */
int32_t clinux_openat(int32_t directory, const char *name, uint32_t flags, uint32_t mode);
int32_t clinux_close(int32_t descriptor);

/* An empty name means the descriptor itself; a symlink is never followed. */
int32_t clinux_stat(int32_t directory, const char *name, struct clinux_stat *out);
int32_t clinux_stat_direct(int32_t descriptor, struct clinux_stat *out);
/* Follows symlinks: only for paths given by the operator. */
int32_t clinux_stat_followed(int32_t directory, const char *name, struct clinux_stat *out);

int64_t clinux_getdents(int32_t directory, void *buffer, uint64_t size);
int64_t clinux_readlink(int32_t directory, const char *name, char *buffer, uint64_t size);

int64_t clinux_pread(int32_t descriptor, void *buffer, uint64_t size, int64_t offset);
/* Reads without leaving in the page cache what was not there before; -EOPNOTSUPP where refused. */
int64_t clinux_pread_uncached(int32_t descriptor, void *buffer, uint64_t size, int64_t offset);
int64_t clinux_pwrite(int32_t descriptor, const void *buffer, uint64_t size, int64_t offset);
int64_t clinux_seek(int32_t descriptor, int64_t offset, int32_t whence);

int32_t clinux_truncate(int32_t descriptor, int64_t size);
/* Adds O_DIRECT to an open descriptor. */
int32_t clinux_set_direct(int32_t descriptor);
int32_t clinux_sync(int32_t descriptor);
int32_t clinux_sync_data(int32_t descriptor);
int32_t clinux_sync_file_system(int32_t descriptor);
int32_t clinux_allocate(int32_t descriptor, int64_t offset, int64_t count);
int32_t clinux_punch_hole(int32_t descriptor, int64_t offset, int64_t count);
int32_t clinux_drop_cache(int32_t descriptor, int64_t offset, int64_t length);
int32_t clinux_prefetch(int32_t descriptor, int64_t offset, int64_t length);
int32_t clinux_stop_read_ahead(int32_t descriptor);
/* What is dirty of a file, with no word of what says where it lies: nothing is made durable. */
int32_t clinux_write_back(int32_t descriptor);
/* Pages of the range that are in the page cache, dirty or under write-back included. */
int64_t clinux_cached_pages(int32_t descriptor, int64_t offset, int64_t length);

int32_t clinux_mkdir(int32_t directory, const char *name, uint32_t mode);
int32_t clinux_unlink(int32_t directory, const char *name, int32_t is_directory);
/* rule: 0 replaces, 1 fails with EEXIST instead, 2 exchanges. */
int32_t clinux_rename(
    int32_t from_directory, const char *from, int32_t to_directory, const char *to, int32_t rule);
/* A symlink is linked itself. */
int32_t clinux_link(
    int32_t from_directory, const char *from, int32_t to_directory, const char *to);
int32_t clinux_symlink(const char *target, int32_t directory, const char *name);
/* kind: as in d_type (readdir(3)); the device number is for devices only. */
int32_t clinux_make_node(
    int32_t directory, const char *name, uint32_t kind, uint32_t mode, uint32_t major,
    uint32_t minor);

int64_t clinux_list_xattr(int32_t descriptor, char *buffer, uint64_t size);
int64_t clinux_get_xattr(int32_t descriptor, const char *name, void *buffer, uint64_t size);
/* For what cannot be opened for reading: symlinks and special files. */
int64_t clinux_list_xattr_at(int32_t directory, const char *name, char *buffer, uint64_t size);
int64_t clinux_get_xattr_at(
    int32_t directory, const char *name, const char *attribute, void *buffer, uint64_t size);

/* A null name means the descriptor itself; a symlink is never followed. */
int32_t clinux_set_mode(int32_t descriptor, const char *name, uint32_t mode);
int32_t clinux_set_owner(int32_t descriptor, const char *name, uint32_t uid, uint32_t gid);
/* Sets the modification time and leaves the access time. */
int32_t clinux_set_modified(
    int32_t descriptor, const char *name, int64_t seconds, uint32_t nanoseconds);
int32_t clinux_set_xattr(
    int32_t descriptor, const char *name, const char *attribute, const void *value,
    uint64_t size);
int32_t clinux_remove_xattr(int32_t descriptor, const char *name, const char *attribute);

int32_t clinux_file_system(int32_t descriptor, struct clinux_file_system *out);
int64_t clinux_device_size(int32_t descriptor);
int32_t clinux_device_read_only(int32_t descriptor);
/*
 * Whether anybody has the regular file open for writing: 0 or 1. The descriptor must be read-only.
 * Takes a lease for an instant; the kernel grants it to the owner and to root, on local file
 * systems.
 */
int32_t clinux_open_for_writing(int32_t descriptor);

/* A lock on the open file description: 0 unlock, 1 shared, 2 exclusive. Never waits. */
int32_t clinux_lock(int32_t descriptor, int32_t kind);

/* Raises the soft limit on open descriptors to the hard one; returns the limit then in force. */
int64_t clinux_raise_descriptor_limit(void);
/* Processor time used by this process, in nanoseconds. */
int64_t clinux_processor_time(void);
/* How often its threads gave up the processor to wait for something. */
int64_t clinux_voluntary_switches(void);

/* "EIO" and "Input/output error"; null for a number the libc does not know. */
const char *clinux_error_name(int32_t number);
const char *clinux_error_sentence(int32_t number);


#include "CLinuxWatch.h"

#endif
