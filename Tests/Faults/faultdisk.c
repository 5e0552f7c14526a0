/*
 * A disk that fails on command, for a loop device on top of it: a file system in user space with
 * two files, `disk`, which passes everything on to an image, and `ctl`, to which an order is
 * written and from which the order in force is read.
 *
 *   faultdisk IMAGE MOUNTPOINT
 *
 *   ok             everything works again
 *   fail-writes    writes and flushes give EIO
 *   fail           reads, too
 *   hang-writes    writes and flushes wait until the next order
 *   hang           reads, too
 *   lose           writes are acknowledged and dropped
 *   delay MS       everything takes so much longer
 */
#define FUSE_USE_VERSION 31
#include <errno.h>
#include <fcntl.h>
#include <fuse3/fuse.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

static int image;
static off_t image_size;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t changed = PTHREAD_COND_INITIALIZER;
static char order[32] = "ok";
static long delay;

enum kind { READ, WRITE };

/* What a request is to get: 0 to go on, 1 to pretend, or a negated errno. */
static int verdict(enum kind kind) {
    pthread_mutex_lock(&lock);
    while (strcmp(order, "hang") == 0 || (kind == WRITE && strcmp(order, "hang-writes") == 0)) {
        pthread_cond_wait(&changed, &lock);
    }
    int result = 0;
    if (strcmp(order, "fail") == 0) result = -EIO;
    if (kind == WRITE && strcmp(order, "fail-writes") == 0) result = -EIO;
    if (kind == WRITE && strcmp(order, "lose") == 0) result = 1;
    long wait = strcmp(order, "delay") == 0 ? delay : 0;
    pthread_mutex_unlock(&lock);
    if (wait > 0) {
        struct timespec time = {wait / 1000, wait % 1000 * 1000000};
        nanosleep(&time, NULL);
    }
    return result;
}

static int is_disk(const char *path) { return strcmp(path, "/disk") == 0; }

static int get_attributes(const char *path, struct stat *stat, struct fuse_file_info *info) {
    (void)info;
    memset(stat, 0, sizeof *stat);
    if (strcmp(path, "/") == 0) {
        stat->st_mode = S_IFDIR | 0700;
        stat->st_nlink = 2;
        return 0;
    }
    if (!is_disk(path) && strcmp(path, "/ctl") != 0) return -ENOENT;
    stat->st_mode = S_IFREG | 0600;
    stat->st_nlink = 1;
    stat->st_size = is_disk(path) ? image_size : (off_t)sizeof order;
    return 0;
}

static int list(
    const char *path, void *buffer, fuse_fill_dir_t fill, off_t offset,
    struct fuse_file_info *info, enum fuse_readdir_flags flags) {
    (void)path, (void)offset, (void)info, (void)flags;
    const char *names[] = {".", "..", "disk", "ctl"};
    for (int at = 0; at < 4; at++) fill(buffer, names[at], NULL, 0, 0);
    return 0;
}

static int open_file(const char *path, struct fuse_file_info *info) {
    (void)path;
    info->direct_io = 1;
    return 0;
}

static int read_file(
    const char *path, char *buffer, size_t size, off_t offset, struct fuse_file_info *info) {
    (void)info;
    if (!is_disk(path)) {
        if (offset > 0) return 0;
        pthread_mutex_lock(&lock);
        int length = snprintf(buffer, size, "%s\n", order);
        pthread_mutex_unlock(&lock);
        return length;
    }
    int result = verdict(READ);
    if (result < 0) return result;
    ssize_t count = pread(image, buffer, size, offset);
    return count < 0 ? -errno : (int)count;
}

static int write_file(
    const char *path, const char *bytes, size_t size, off_t offset, struct fuse_file_info *info) {
    (void)info;
    if (!is_disk(path)) {
        char text[64] = {0};
        memcpy(text, bytes, size < sizeof text ? size : sizeof text - 1);
        pthread_mutex_lock(&lock);
        delay = 0;
        sscanf(text, "%31s %ld", order, &delay);
        pthread_cond_broadcast(&changed);
        pthread_mutex_unlock(&lock);
        return (int)size;
    }
    int result = verdict(WRITE);
    if (result < 0) return result;
    if (result == 1) return (int)size;
    ssize_t count = pwrite(image, bytes, size, offset);
    return count < 0 ? -errno : (int)count;
}

static int flush_file(const char *path, int data_only, struct fuse_file_info *info) {
    (void)data_only, (void)info;
    if (!is_disk(path)) return 0;
    int result = verdict(WRITE);
    if (result != 0) return result < 0 ? result : 0;
    return fdatasync(image) == -1 ? -errno : 0;
}

static int cut(const char *path, off_t size, struct fuse_file_info *info) {
    (void)path, (void)size, (void)info;
    return 0;
}

static const struct fuse_operations operations = {
    .getattr = get_attributes,
    .readdir = list,
    .open = open_file,
    .read = read_file,
    .write = write_file,
    .fsync = flush_file,
    .truncate = cut,
};

int main(int count, char **arguments) {
    if (count != 3) return 64;
    image = open(arguments[1], O_RDWR | O_CLOEXEC);
    struct stat stat;
    if (image == -1 || fstat(image, &stat) == -1) {
        perror(arguments[1]);
        return 1;
    }
    image_size = stat.st_size;
    char *all[] = {arguments[0], "-f", arguments[2]};
    return fuse_main(3, all, &operations, NULL);
}
