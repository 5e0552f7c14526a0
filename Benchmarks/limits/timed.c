/* timed FILE COMMAND...: runs the command and writes what it took into FILE as a JSON object.
 *
 * A process begins with the peak memory of the one that started it, so a small one has to.
 */
#define _GNU_SOURCE
#include <err.h>
#include <spawn.h>
#include <stdio.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>

extern char **environ;

static double now(void) {
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return time.tv_sec + time.tv_nsec / 1e9;
}

static double seconds(struct timeval time) { return time.tv_sec + time.tv_usec / 1e6; }

int main(int count, char **words) {
    if (count < 3) errx(64, "timed FILE COMMAND...");
    pid_t child;
    int status;
    struct rusage usage;
    double start = now();
    if (posix_spawnp(&child, words[2], NULL, NULL, words + 2, environ)) err(127, "%s", words[2]);
    if (wait4(child, &status, 0, &usage) < 0) err(2, "wait4");
    double took = now() - start;
    FILE *file = fopen(words[1], "w");
    if (!file) err(2, "%s", words[1]);
    fprintf(file,
            "{\"seconds\": %.6f, \"user\": %.3f, \"system\": %.3f, \"read\": %ld, \"peak\": %ld, "
            "\"status\": %d}\n",
            took, seconds(usage.ru_utime), seconds(usage.ru_stime), usage.ru_inblock * 512L,
            usage.ru_maxrss * 1024L,
            WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status));
    if (fclose(file)) err(2, "%s", words[1]);
    return 0;
}
