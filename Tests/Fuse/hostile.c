/* A file system that does not keep its promises: each of its directories breaks another one.
 *
 *   twice    names a file twice          endless  lists the same names without an end
 *   eio      fails in mid-listing        unknown  does not say what a name is
 *   long     names of 255 and 300 bytes  longer   the same once more
 *   holes    says that data is a hole    stuck    a read is never answered
 *   deaf     is never even described     later    as stuck, while there is a file MOUNT-stuck
 *
 * Everything else about it is plain: root owns all, files are 0644, all times are 10^9.
 */
#define _GNU_SOURCE
#define FUSE_USE_VERSION 31
#include <errno.h>
#include <fuse.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static const char *const directories[] = {
    "/twice", "/endless", "/eio", "/unknown", "/long", "/longer", "/holes", "/stuck", "/later",
};
enum { directory_count = sizeof directories / sizeof *directories };

static const size_t hole_size = 200000;

static char flag[4096];

static int is_directory(const char *path) {
    for (int i = 0; i < directory_count; i++)
        if (strcmp(path, directories[i]) == 0) return 1;
    return strcmp(path, "/") == 0 || strcmp(path, "/unknown/folder") == 0;
}

static int is_in(const char *path, const char *directory) {
    size_t length = strlen(directory);
    return strncmp(path, directory, length) == 0 && path[length] == '/';
}

static size_t size_of(const char *path) {
    if (is_in(path, "/holes")) return hole_size;
    return is_in(path, "/endless") ? 0 : 5;
}

static int get_attributes(const char *path, struct stat *out, struct fuse_file_info *file) {
    (void)file;
    memset(out, 0, sizeof *out);
    if (strcmp(path, "/deaf") == 0)
        for (;;) pause();
    if (strstr(path, "missing") || strstr(path, "/.resync")) return -ENOENT;
    out->st_mode = S_IFREG | 0644;
    out->st_nlink = 1;
    if (is_directory(path)) {
        out->st_mode = S_IFDIR | 0755;
        out->st_nlink = 2;
    } else if (strcmp(path, "/unknown/link") == 0) {
        out->st_mode = S_IFLNK | 0777;
    } else {
        out->st_size = (off_t)size_of(path);
        /* Looks sparse. */
        out->st_blocks = 0;
    }
    out->st_atim.tv_sec = out->st_mtim.tv_sec = out->st_ctim.tv_sec = 1000000000;
    return 0;
}

static int read_link(const char *path, char *buffer, size_t size) {
    (void)path;
    snprintf(buffer, size, "file");
    return 0;
}

/* Hands on one name; nonzero when the buffer is full. The kind of what it names is not said. */
static int name(void *buffer, fuse_fill_dir_t fill, const char *text, off_t next) {
    return fill(buffer, text, NULL, next, 0);
}

static int list(const char *path, void *buffer, fuse_fill_dir_t fill, off_t offset,
                struct fuse_file_info *file, enum fuse_readdir_flags flags) {
    (void)file;
    (void)flags;
    static const char *const twice[] = {"a", "x", "b", "x", "y"};
    static const char *const some[] = {"a", "b"};
    static const char *const unknown[] = {"file", "folder", "link"};
    const char *const *names = some;
    off_t count = 0;
    char text[400];
    if (strcmp(path, "/endless") == 0) {
        for (off_t at = offset;; at++) {
            snprintf(text, sizeof text, "name-%ld", (long)(at % 1000));
            if (name(buffer, fill, text, at + 1)) return 0;
        }
    }
    if (strcmp(path, "/long") == 0 || strcmp(path, "/longer") == 0) {
        for (off_t at = offset; at < 2; at++) {
            memset(text, 'n', sizeof text);
            text[at == 0 ? 255 : 300] = 0;
            if (name(buffer, fill, text, at + 1)) return 0;
        }
        return 0;
    }
    if (strcmp(path, "/twice") == 0) names = twice, count = 5;
    if (strcmp(path, "/unknown") == 0) names = unknown, count = 3;
    if (strcmp(path, "/holes") == 0 || strcmp(path, "/stuck") == 0 || strcmp(path, "/later") == 0)
        names = unknown, count = 1;
    if (strcmp(path, "/") == 0) {
        for (off_t at = offset; at < directory_count; at++)
            if (name(buffer, fill, directories[at] + 1, at + 1)) return 0;
        return 0;
    }
    if (strcmp(path, "/eio") == 0) {
        if (offset >= 2) return -EIO;
        count = 2;
    }
    for (off_t at = offset; at < count; at++)
        if (name(buffer, fill, names[at], at + 1)) return 0;
    return 0;
}

static int open_file(const char *path, struct fuse_file_info *file) {
    (void)path;
    (void)file;
    return 0;
}

static int read_file(const char *path, char *buffer, size_t size, off_t offset,
                     struct fuse_file_info *file) {
    (void)file;
    size_t whole = size_of(path), start = (size_t)offset;
    if (is_in(path, "/stuck"))
        for (;;) pause();
    while (is_in(path, "/later") && access(flag, F_OK) == 0) usleep(10000);
    if (start >= whole) return 0;
    if (size > whole - start) size = whole - start;
    memset(buffer, 'd', size);
    return (int)size;
}

/* Nothing but a hole anywhere. */
static off_t seek(const char *path, off_t offset, int whence, struct fuse_file_info *file) {
    (void)path;
    (void)file;
    return whence == SEEK_DATA ? -ENXIO : offset;
}

static const struct fuse_operations operations = {
    .getattr = get_attributes,
    .readlink = read_link,
    .readdir = list,
    .open = open_file,
    .read = read_file,
    .lseek = seek,
};

int main(int count, char **arguments) {
    snprintf(flag, sizeof flag, "%s-stuck", arguments[count - 1]);
    return fuse_main(count, arguments, &operations, NULL);
}
