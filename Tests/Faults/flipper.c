/* Exchanges pairs of names with each other, over and over, until it is asked to end (SIGTERM); then
 * says how often it did.
 *
 *   flipper UID NAME OTHER [NAME OTHER...]
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static volatile sig_atomic_t is_over;

static void end(int number) {
    (void)number;
    is_over = 1;
}

int main(int argc, char **argv) {
    if (argc < 4 || argc % 2 != 0) return 64;
    signal(SIGTERM, end);
    int user = atoi(argv[1]);
    if (user != 0 && (setgid((gid_t)user) != 0 || setuid((uid_t)user) != 0)) {
        perror("setuid");
        return 125;
    }
    long flips = 0;
    while (!is_over)
        for (int i = 2; i < argc; i += 2)
            if (renameat2(AT_FDCWD, argv[i], AT_FDCWD, argv[i + 1], RENAME_EXCHANGE) == 0) flips++;
    printf("%ld\n", flips);
    return 0;
}
