#include "CLinux.h"
#include "Retry.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/fanotify.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

uint64_t clinux_boot_time(void) {
    struct timespec now = {0, 0};
    clock_gettime(CLOCK_BOOTTIME, &now);
    return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

static int prepare_spawn(
    posix_spawn_file_actions_t *actions, posix_spawnattr_t *attributes, const int32_t streams[3]) {
    int failure = 0;
    for (int stream = 0; stream < 3 && failure == 0; stream++) {
        failure = streams[stream] < 0
            ? posix_spawn_file_actions_addopen(actions, stream, "/dev/null", O_RDWR, 0)
            : posix_spawn_file_actions_adddup2(actions, streams[stream], stream);
    }
    /* Whoever started this program may have lent it more. */
    if (failure == 0) failure = posix_spawn_file_actions_addclosefrom_np(actions, 3);
    if (failure == 0) failure = posix_spawn_file_actions_addchdir_np(actions, "/");
    sigset_t none, all;
    sigemptyset(&none);
    sigfillset(&all);
    if (failure == 0) failure = posix_spawnattr_setsigmask(attributes, &none);
    if (failure == 0) failure = posix_spawnattr_setsigdefault(attributes, &all);
    if (failure == 0) failure = posix_spawnattr_setpgroup(attributes, 0);
    if (failure == 0) {
        failure = posix_spawnattr_setflags(
            attributes,
            POSIX_SPAWN_SETPGROUP | POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);
    }
    return failure;
}

int32_t clinux_spawn(
    const char *path, char *const arguments[], int32_t input, int32_t output, int32_t error) {
    posix_spawn_file_actions_t actions;
    posix_spawnattr_t attributes;
    int failure = posix_spawn_file_actions_init(&actions);
    if (failure != 0) return -failure;
    failure = posix_spawnattr_init(&attributes);
    if (failure != 0) {
        posix_spawn_file_actions_destroy(&actions);
        return -failure;
    }
    const int32_t streams[3] = {input, output, error};
    pid_t process = -1;
    failure = prepare_spawn(&actions, &attributes, streams);
    if (failure == 0) {
        failure = posix_spawn(&process, path, &actions, &attributes, arguments, environ);
    }
    posix_spawnattr_destroy(&attributes);
    posix_spawn_file_actions_destroy(&actions);
    return failure == 0 ? process : -failure;
}

int32_t clinux_signal_group(int32_t process, int32_t number) {
    return kill(-process, number) == -1 ? -errno : 0;
}

int32_t clinux_reap(int32_t process, int32_t *status) {
    int64_t found = RETRY(waitpid(process, status, WNOHANG));
    // Nobody's child: it was reaped before.
    return found == 0 ? 0 : 1;
}

int32_t clinux_has_ended(int32_t process) {
    siginfo_t found = {0};
    int64_t result = RETRY(waitid(P_PID, process, &found, WEXITED | WNOHANG | WNOWAIT));
    // Nobody's child: it was reaped before.
    return result < 0 || found.si_pid != 0 ? 1 : 0;
}

int32_t clinux_socket_pair(int32_t ends[2]) {
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) == -1) return -errno;
    fcntl(ends[0], F_SETFL, O_NONBLOCK);
    return 0;
}

int32_t clinux_pipe(int32_t ends[2]) {
    if (pipe2(ends, O_CLOEXEC) == -1) return -errno;
    fcntl(ends[1], F_SETFL, O_NONBLOCK);
    return 0;
}

int32_t clinux_output_pipe(int32_t ends[2]) {
    if (pipe2(ends, O_CLOEXEC) == -1) return -errno;
    fcntl(ends[0], F_SETFL, O_NONBLOCK);
    return 0;
}

int64_t clinux_write(int32_t descriptor, const void *bytes, uint64_t size) {
    return RETRY(write(descriptor, bytes, size));
}

int64_t clinux_read(int32_t descriptor, void *buffer, uint64_t size) {
    return RETRY(read(descriptor, buffer, size));
}

int64_t clinux_send(int32_t socket, const void *bytes, uint64_t size, int32_t descriptor) {
    struct iovec piece = {(void *)bytes, size};
    char control[CMSG_SPACE(sizeof(int))] = {0};
    struct msghdr message = {.msg_iov = &piece, .msg_iovlen = 1};
    if (descriptor >= 0) {
        message.msg_control = control;
        message.msg_controllen = sizeof control;
        struct cmsghdr *header = CMSG_FIRSTHDR(&message);
        header->cmsg_level = SOL_SOCKET;
        header->cmsg_type = SCM_RIGHTS;
        header->cmsg_len = CMSG_LEN(sizeof(int));
        memcpy(CMSG_DATA(header), &descriptor, sizeof(int));
    }
    return RETRY(sendmsg(socket, &message, MSG_NOSIGNAL));
}

int64_t clinux_receive(int32_t socket, void *buffer, uint64_t size, int32_t *descriptor) {
    struct iovec piece = {buffer, size};
    char control[CMSG_SPACE(sizeof(int))] = {0};
    struct msghdr message = {
        .msg_iov = &piece,
        .msg_iovlen = 1,
        .msg_control = control,
        .msg_controllen = sizeof control,
    };
    *descriptor = -1;
    int64_t count = RETRY(recvmsg(socket, &message, MSG_CMSG_CLOEXEC));
    if (count < 0) return count;
    struct cmsghdr *header = CMSG_FIRSTHDR(&message);
    if (header != NULL && header->cmsg_level == SOL_SOCKET && header->cmsg_type == SCM_RIGHTS
        && header->cmsg_len == CMSG_LEN(sizeof(int))) {
        memcpy(descriptor, CMSG_DATA(header), sizeof(int));
    }
    return count;
}

static int socket_address(int32_t directory, const char *name, struct sockaddr_un *address) {
    memset(address, 0, sizeof *address);
    address->sun_family = AF_UNIX;
    int length = snprintf(
        address->sun_path, sizeof address->sun_path, "/proc/self/fd/%d/%s", directory, name);
    return length < (int)sizeof address->sun_path ? 0 : -ENAMETOOLONG;
}

int32_t clinux_listen(int32_t directory, const char *name) {
    struct sockaddr_un address;
    int failure = socket_address(directory, name, &address);
    if (failure < 0) return failure;
    if (unlinkat(directory, name, 0) == -1 && errno != ENOENT) return -errno;
    int listener = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (listener == -1) return -errno;
    mode_t mask = umask(077);
    int result = bind(listener, (struct sockaddr *)&address, sizeof address);
    int number = errno;
    umask(mask);
    if (result == 0) {
        result = listen(listener, 16);
        number = errno;
    }
    if (result == 0) return listener;
    close(listener);
    return -number;
}

int32_t clinux_connect(int32_t directory, const char *name) {
    struct sockaddr_un address;
    int failure = socket_address(directory, name, &address);
    if (failure < 0) return failure;
    int client = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
    if (client == -1) return -errno;
    // A watcher that does not live any more accepts nobody.
    struct timeval patience = {.tv_sec = 5};
    setsockopt(client, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience);
    int64_t result = RETRY(connect(client, (struct sockaddr *)&address, sizeof address));
    if (result == 0) return client;
    close(client);
    return (int32_t)result;
}

int32_t clinux_accept(int32_t socket, uint32_t *user) {
    int64_t client = RETRY(accept4(socket, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK));
    if (client < 0) return (int32_t)client;
    struct ucred who;
    socklen_t size = sizeof who;
    if (getsockopt((int)client, SOL_SOCKET, SO_PEERCRED, &who, &size) == -1) {
        int number = errno;
        close((int)client);
        return -number;
    }
    *user = who.uid;
    return (int32_t)client;
}

int32_t clinux_wait(
    const int32_t *descriptors, const int32_t *events, uint32_t count, int32_t milliseconds) {
    struct pollfd *all = calloc(count > 0 ? count : 1, sizeof *all);
    if (all == NULL) return -ENOMEM;
    for (uint32_t at = 0; at < count; at++) {
        all[at].fd = descriptors[at];
        // The mount table is always readable: only its changes are waited for.
        all[at].events = events[at] == CLINUX_WAIT_URGENT ? POLLPRI
            : events[at] == CLINUX_WAIT_WRITABLE          ? POLLOUT
                                                          : POLLIN;
    }
    int ready = poll(all, count, milliseconds);
    int number = errno;
    free(all);
    // A signal ends the wait like anything else that happens.
    return ready >= 0 ? ready : number == EINTR ? 0 : -number;
}

int32_t clinux_watch_errors(int32_t descriptor) {
    int watch = fanotify_init(
        FAN_CLASS_NOTIF | FAN_REPORT_FID | FAN_CLOEXEC | FAN_NONBLOCK, O_RDONLY);
    if (watch == -1) return -errno;
    char path[64];
    snprintf(path, sizeof path, "/proc/self/fd/%d", descriptor);
    if (fanotify_mark(
            watch, FAN_MARK_ADD | FAN_MARK_FILESYSTEM, FAN_FS_ERROR, AT_FDCWD, path) == 0) {
        return watch;
    }
    int number = errno;
    close(watch);
    return -number;
}

int32_t clinux_next_error(int32_t watch, int32_t *number, uint32_t *count) {
    _Alignas(8) char buffer[4096];
    int64_t size = RETRY(read(watch, buffer, sizeof buffer));
    if (size == -EAGAIN || size == 0) return 0;
    if (size < 0) return (int32_t)size;
    *number = 0;
    *count = 0;
    struct fanotify_event_metadata *event = (struct fanotify_event_metadata *)buffer;
    while (FAN_EVENT_OK(event, size)) {
        char *end = (char *)event + event->event_len;
        char *at = (char *)event + event->metadata_len;
        while (at + sizeof(struct fanotify_event_info_header) <= end) {
            struct fanotify_event_info_header *info = (void *)at;
            if (info->len < sizeof *info || at + info->len > end) break;
            if (info->info_type == FAN_EVENT_INFO_TYPE_ERROR
                && info->len >= sizeof(struct fanotify_event_info_error)) {
                struct fanotify_event_info_error *error = (void *)at;
                *number = error->error;
                *count += error->error_count;
            }
            at += info->len;
        }
        event = FAN_EVENT_NEXT(event, size);
    }
    return 1;
}

int32_t clinux_notify_service(const char *text) {
    const char *path = getenv("NOTIFY_SOCKET");
    if (path == NULL || (path[0] != '/' && path[0] != '@')) return 0;
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    size_t length = strlen(path);
    if (length >= sizeof address.sun_path) return -ENAMETOOLONG;
    memcpy(address.sun_path, path, length);
    // A name of its own space begins with a zero byte.
    if (path[0] == '@') address.sun_path[0] = 0;
    int client = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (client == -1) return -errno;
    socklen_t size = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + length);
    int64_t sent = RETRY(sendto(
        client, text, strlen(text), MSG_NOSIGNAL, (struct sockaddr *)&address, size));
    close(client);
    return sent < 0 ? (int32_t)sent : 1;
}

int32_t clinux_lock_memory(void) {
    return mlockall(MCL_CURRENT | MCL_FUTURE | MCL_ONFAULT) == -1 ? -errno : 0;
}

int64_t clinux_real_path(const char *path, char *buffer, uint64_t size) {
    char *found = realpath(path, NULL);
    if (found == NULL) return -errno;
    uint64_t length = strlen(found);
    if (length > size) {
        free(found);
        return -ENAMETOOLONG;
    }
    memcpy(buffer, found, length);
    free(found);
    return (int64_t)length;
}
