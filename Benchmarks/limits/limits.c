/* What the machine itself can do, for the same files: the limits that a verifier is held against.
 *
 *   limits floor THREADS ROOT...    open, fstat, read and close every file below the roots
 *   limits stat THREADS ROOT...     stat every file below the roots
 *   limits memory THREADS ROOT...   pread all bytes below the roots into a buffer that stays cached
 *   limits digest NAME THREADS SECONDS   gmac, sha256 or sha512-256 of a buffer that stays cached
 *   limits resident FILE ROOT...    write into FILE which pages are in the page cache
 *   limits came FILE ROOT...        how many of those that were not are now
 *
 * Prints one JSON object. The files are listed before the clock starts; a time includes the start
 * of the threads and nothing else that every reader would not have to do.
 */
#define _GNU_SOURCE
#include <dirent.h>
#include <err.h>
#include <fcntl.h>
#include <openssl/evp.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

/* Fits the second-level cache of a core, as what is read does in resync. */
enum { PIECE = 256 << 10, BLOCK = 1 << 20, NAMES = 256 };

/* Names of one directory that a thread takes at once. */
struct batch {
    char *directory;
    char **names;
    size_t count;
};

/* A part of a file that a thread takes at once. */
struct part {
    char *path;
    off_t from, to;
};

static struct batch *batches;
static struct part *parts;
static size_t batch_count, part_count, file_count, byte_count;
static atomic_size_t next_unit, read_bytes, blocks_done;
static atomic_int is_over;

static void *grown(void *array, size_t count, size_t size) {
    if (count & (count - 1)) return array;
    array = realloc(array, (count ? 2 * count : 1) * size);
    if (!array) err(2, "realloc");
    return array;
}

static char *joined(const char *directory, const char *name) {
    char *path;
    if (asprintf(&path, "%s/%s", directory, name) < 0) err(2, "asprintf");
    return path;
}

static void add_parts(const char *directory, const char *name, off_t size) {
    const off_t step = 64 << 20;
    char *path = joined(directory, name);
    for (off_t from = 0; from < size; from += step) {
        parts = grown(parts, part_count, sizeof *parts);
        parts[part_count++] = (struct part){path, from, size - from < step ? size : from + step};
    }
}

static int by_name(const void *left, const void *right) {
    return strcmp(*(char *const *)left, *(char *const *)right);
}

/* Everything below a directory that is a regular file, in the order of the names. */
static void list(const char *directory) {
    DIR *stream = opendir(directory);
    if (!stream) err(2, "%s", directory);
    char **files = NULL, **folders = NULL;
    size_t files_count = 0, folders_count = 0;
    for (struct dirent *entry; (entry = readdir(stream));) {
        if (!strcmp(entry->d_name, ".") || !strcmp(entry->d_name, "..")) continue;
        if (entry->d_type == DT_DIR) {
            folders = grown(folders, folders_count, sizeof *folders);
            folders[folders_count++] = joined(directory, entry->d_name);
        } else if (entry->d_type == DT_REG) {
            files = grown(files, files_count, sizeof *files);
            if (!(files[files_count++] = strdup(entry->d_name))) err(2, "strdup");
        }
    }
    if (files_count) qsort(files, files_count, sizeof *files, by_name);
    if (folders_count) qsort(folders, folders_count, sizeof *folders, by_name);
    char *kept = strdup(directory);
    for (size_t at = 0; at < files_count; at += NAMES) {
        size_t count = files_count - at < NAMES ? files_count - at : NAMES;
        batches = grown(batches, batch_count, sizeof *batches);
        batches[batch_count++] = (struct batch){kept, files + at, count};
    }
    for (size_t at = 0; at < files_count; at++) {
        struct stat status;
        if (fstatat(dirfd(stream), files[at], &status, AT_SYMLINK_NOFOLLOW))
            err(2, "%s/%s", directory, files[at]);
        add_parts(directory, files[at], status.st_size);
        byte_count += status.st_size;
        file_count++;
    }
    closedir(stream);
    for (size_t at = 0; at < folders_count; at++) {
        list(folders[at]);
        free(folders[at]);
    }
    free(folders);
}

static double now(void) {
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return time.tv_sec + time.tv_nsec / 1e9;
}

static int opened(int directory, const char *name) {
    int file = openat(directory, name, O_RDONLY | O_NOATIME | O_CLOEXEC);
    /* O_NOATIME is for owners only. */
    return file >= 0 ? file : openat(directory, name, O_RDONLY | O_CLOEXEC);
}

static void *floor_worker(void *unused) {
    char *buffer = aligned_alloc(4096, PIECE);
    if (!buffer) err(2, "aligned_alloc");
    size_t total = 0;
    for (size_t at; (at = atomic_fetch_add(&next_unit, 1)) < batch_count;) {
        struct batch *batch = &batches[at];
        int directory = open(batch->directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        if (directory < 0) err(2, "%s", batch->directory);
        for (size_t name = 0; name < batch->count; name++) {
            int file = opened(directory, batch->names[name]);
            struct stat status;
            if (file < 0 || fstat(file, &status)) err(2, "%s", batch->names[name]);
            for (off_t offset = 0; offset < status.st_size;) {
                ssize_t count = pread(file, buffer, PIECE, offset);
                if (count <= 0) err(2, "%s", batch->names[name]);
                offset += count;
                total += count;
            }
            close(file);
        }
        close(directory);
    }
    atomic_fetch_add(&read_bytes, total);
    free(buffer);
    return unused;
}

static void *stat_worker(void *unused) {
    for (size_t at; (at = atomic_fetch_add(&next_unit, 1)) < batch_count;) {
        struct batch *batch = &batches[at];
        int directory = open(batch->directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        if (directory < 0) err(2, "%s", batch->directory);
        for (size_t name = 0; name < batch->count; name++) {
            struct stat status;
            if (fstatat(directory, batch->names[name], &status, AT_SYMLINK_NOFOLLOW))
                err(2, "%s", batch->names[name]);
        }
        close(directory);
    }
    return unused;
}

static void *memory_worker(void *unused) {
    char *buffer = aligned_alloc(4096, PIECE);
    if (!buffer) err(2, "aligned_alloc");
    size_t total = 0;
    for (size_t at; (at = atomic_fetch_add(&next_unit, 1)) < part_count;) {
        struct part *part = &parts[at];
        int file = opened(AT_FDCWD, part->path);
        if (file < 0) err(2, "%s", part->path);
        for (off_t offset = part->from; offset < part->to;) {
            off_t left = part->to - offset;
            ssize_t count = pread(file, buffer, left < PIECE ? left : PIECE, offset);
            if (count <= 0) err(2, "%s", part->path);
            offset += count;
            total += count;
        }
        close(file);
    }
    atomic_fetch_add(&read_bytes, total);
    free(buffer);
    return unused;
}

static void check(int result) {
    if (result != 1) errx(2, "OpenSSL failed");
}

/* A digest for each block, in pieces, as resync makes them. */
static void *digest_worker(void *name) {
    unsigned char *buffer = aligned_alloc(4096, PIECE);
    if (!buffer) err(2, "aligned_alloc");
    memset(buffer, 1, PIECE);
    unsigned char key[16] = {1}, nonce[12] = {2}, tag[EVP_MAX_MD_SIZE];
    int is_gmac = !strcmp(name, "gmac"), length;
    const EVP_MD *kind = !strcmp(name, "sha256") ? EVP_sha256() : EVP_sha512_256();
    EVP_CIPHER_CTX *cipher = EVP_CIPHER_CTX_new();
    EVP_MD_CTX *hash = EVP_MD_CTX_new();
    if (!cipher || !hash) errx(2, "OpenSSL failed");
    check(EVP_EncryptInit_ex(cipher, EVP_aes_128_gcm(), NULL, key, nonce));
    size_t blocks = 0;
    while (!atomic_load_explicit(&is_over, memory_order_relaxed)) {
        if (is_gmac)
            check(EVP_EncryptInit_ex(cipher, NULL, NULL, NULL, nonce));
        else
            check(EVP_DigestInit_ex2(hash, kind, NULL));
        for (int piece = 0; piece < BLOCK / PIECE; piece++) {
            if (is_gmac)
                check(EVP_EncryptUpdate(cipher, NULL, &length, buffer, PIECE));
            else
                check(EVP_DigestUpdate(hash, buffer, PIECE));
        }
        if (is_gmac) {
            check(EVP_EncryptFinal_ex(cipher, tag, &length));
            check(EVP_CIPHER_CTX_ctrl(cipher, EVP_CTRL_AEAD_GET_TAG, 16, tag));
        } else {
            check(EVP_DigestFinal_ex(hash, tag, NULL));
        }
        blocks++;
    }
    atomic_fetch_add(&blocks_done, blocks);
    EVP_CIPHER_CTX_free(cipher);
    EVP_MD_CTX_free(hash);
    free(buffer);
    return NULL;
}

/* Seconds that so many threads take; with `seconds` they are told to end after that time. */
static double run(int threads, void *(*body)(void *), void *argument, double seconds) {
    pthread_t ids[threads];
    double start = now();
    for (int at = 0; at < threads; at++)
        if (pthread_create(&ids[at], NULL, body, argument)) errx(2, "pthread_create");
    if (seconds > 0) {
        usleep(seconds * 1e6);
        atomic_store(&is_over, 1);
    }
    for (int at = 0; at < threads; at++) pthread_join(ids[at], NULL);
    return now() - start;
}

/* One byte a page, in the order of the listing. */
static unsigned char *residency(size_t *pages) {
    size_t page = sysconf(_SC_PAGESIZE), total = 0, at = 0;
    for (size_t part = 0; part < part_count; part++)
        total += (parts[part].to - parts[part].from + page - 1) / page;
    unsigned char *map = calloc(total + 1, 1);
    if (!map) err(2, "calloc");
    for (size_t part = 0; part < part_count; part++) {
        size_t length = parts[part].to - parts[part].from;
        int file = open(parts[part].path, O_RDONLY | O_CLOEXEC);
        if (file < 0) err(2, "%s", parts[part].path);
        void *mapped = mmap(NULL, length, PROT_READ, MAP_SHARED, file, parts[part].from);
        if (mapped == MAP_FAILED || mincore(mapped, length, map + at)) err(2, "mincore");
        munmap(mapped, length);
        close(file);
        at += (length + page - 1) / page;
    }
    for (at = 0; at < total; at++) map[at] &= 1;
    *pages = total;
    return map;
}

static void mark(const char *path) {
    size_t pages, resident = 0;
    unsigned char *map = residency(&pages);
    for (size_t at = 0; at < pages; at++) resident += map[at];
    FILE *file = fopen(path, "w");
    if (!file || fwrite(map, 1, pages, file) != pages || fclose(file)) err(2, "%s", path);
    printf("{\"pages\": %zu, \"resident\": %zu}\n", pages, resident);
}

static void compare(const char *path) {
    size_t pages, were = 0, are = 0, came = 0;
    unsigned char *map = residency(&pages), *before = malloc(pages + 1);
    FILE *file = fopen(path, "r");
    if (!before || !file || fread(before, 1, pages + 1, file) != pages)
        errx(2, "%s: not of these files", path);
    for (size_t at = 0; at < pages; at++) {
        were += before[at];
        are += map[at];
        came += map[at] && !before[at];
    }
    printf("{\"pages\": %zu, \"were\": %zu, \"resident\": %zu, \"came\": %zu}\n", pages, were, are,
           came);
}

static void list_all(char **roots) {
    for (; *roots; roots++) {
        struct stat status;
        if (stat(*roots, &status)) err(2, "%s", *roots);
        if (S_ISDIR(status.st_mode)) {
            list(*roots);
            continue;
        }
        char *slash = strrchr(*roots, '/');
        char *directory = slash ? strndup(*roots, slash - *roots) : strdup(".");
        char **names = malloc(sizeof *names);
        if (!names || !directory) err(2, "malloc");
        names[0] = slash ? slash + 1 : *roots;
        batches = grown(batches, batch_count, sizeof *batches);
        batches[batch_count++] = (struct batch){directory, names, 1};
        add_parts(directory, names[0], status.st_size);
        byte_count += status.st_size;
        file_count++;
    }
}

int main(int count, char **words) {
    if (count < 4) errx(64, "floor|stat|memory|digest|resident|came ...");
    if (!strcmp(words[1], "digest")) {
        int threads = atoi(words[3]);
        double seconds = run(threads, digest_worker, words[2], count > 4 ? atof(words[4]) : 1);
        printf("{\"seconds\": %.6f, \"bytes\": %zu}\n", seconds, blocks_done * (size_t)BLOCK);
        return 0;
    }
    list_all(words + 3);
    if (!strcmp(words[1], "resident")) {
        mark(words[2]);
        return 0;
    }
    if (!strcmp(words[1], "came")) {
        compare(words[2]);
        return 0;
    }
    void *(*body)(void *) = !strcmp(words[1], "floor")    ? floor_worker
                            : !strcmp(words[1], "stat")   ? stat_worker
                            : !strcmp(words[1], "memory") ? memory_worker
                                                          : NULL;
    if (!body) errx(64, "no such limit: %s", words[1]);
    double seconds = run(atoi(words[2]), body, NULL, 0);
    if (body != stat_worker && read_bytes != byte_count) errx(2, "the files change");
    printf("{\"seconds\": %.6f, \"files\": %zu}\n", seconds, file_count);
    return 0;
}
