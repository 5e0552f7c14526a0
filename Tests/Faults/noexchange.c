/* Loaded before a program (LD_PRELOAD): no file system can exchange two names in one step, as on
 * NFS.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <sys/syscall.h>
#include <unistd.h>

#define EXCHANGE 2

int renameat2(int from_folder, const char *from, int to_folder, const char *to,
              unsigned int flags) {
    if (flags & EXCHANGE) {
        errno = EINVAL;
        return -1;
    }
    return (int)syscall(SYS_renameat2, from_folder, from, to_folder, to, flags);
}
