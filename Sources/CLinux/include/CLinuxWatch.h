#ifndef RESYNC_CLINUX_WATCH_H
#define RESYNC_CLINUX_WATCH_H

/* What the watcher asks of Linux; the rules of CLinux.h hold. */

#include <stdint.h>

/* Nanoseconds since boot, suspended time included. */
uint64_t clinux_boot_time(void);

/*
 * Starts a program as the leader of a process group, in the root directory, with default signals.
 * `input`, `output` and `error` become its standard streams; a negative one is /dev/null. Returns
 * its process id.
 */
int32_t clinux_spawn(
    const char *path, char *const arguments[], int32_t input, int32_t output, int32_t error);
/* Sends a signal to the whole group. */
int32_t clinux_signal_group(int32_t process, int32_t number);
/* 1 when it ended and is gone for good, 0 while it runs or cannot end; `status` as of wait(2). */
int32_t clinux_reap(int32_t process, int32_t *status);
/* 1 when it ended; its number stays its own until it is reaped. */
int32_t clinux_has_ended(int32_t process);

/* Two ends that keep messages apart; the first never waits. */
int32_t clinux_socket_pair(int32_t ends[2]);
/* A pipe whose writing end, the second, never waits. */
int32_t clinux_pipe(int32_t ends[2]);
/* One message, with a descriptor unless it is negative; -EAGAIN where it would wait. */
int64_t clinux_send(int32_t socket, const void *bytes, uint64_t size, int32_t descriptor);
/* One message, 0 at the end; `descriptor` is the one that came with it, or -1. */
int64_t clinux_receive(int32_t socket, void *buffer, uint64_t size, int32_t *descriptor);
/* A pipe whose reading end, the first, never waits. */
int32_t clinux_output_pipe(int32_t ends[2]);
int64_t clinux_write(int32_t descriptor, const void *bytes, uint64_t size);
/* 0 at the end, -EAGAIN where there is nothing now. */
int64_t clinux_read(int32_t descriptor, void *buffer, uint64_t size);

/*
 * A socket that keeps messages apart, under a name in a directory of ours; what lay there is
 * removed. The path that the kernel sees is short whatever ours is.
 */
int32_t clinux_listen(int32_t directory, const char *name);
int32_t clinux_connect(int32_t directory, const char *name);
/* The next connection, which never waits; -EAGAIN when there is none. `user` is who it is. */
int32_t clinux_accept(int32_t socket, uint32_t *user);

/* What may be waited for; urgent: what the mount table gives when it changes. */
enum { CLINUX_WAIT_READABLE = 1, CLINUX_WAIT_URGENT = 2, CLINUX_WAIT_WRITABLE = 3 };
/* Waits until one of them is ready or the time is over; returns how many are. */
int32_t clinux_wait(
    const int32_t *descriptors, const int32_t *events, uint32_t count, int32_t milliseconds);

/* Reports of errors of the file system that an open file lies on (FAN_FS_ERROR). */
int32_t clinux_watch_errors(int32_t descriptor);
/* 1 with the next report, 0 when there is none now. */
int32_t clinux_next_error(int32_t watch, int32_t *number, uint32_t *count);

/* Tells the service manager, where there is one: sd_notify(3). */
int32_t clinux_notify_service(const char *text);
/* Keeps this process's memory from being paged out: what it is on may be what hangs. */
int32_t clinux_lock_memory(void);
/* The path without symlinks. Returns its length. */
int64_t clinux_real_path(const char *path, char *buffer, uint64_t size);

#endif
