/* Runs a program and kills it just before the Nth call that changes anything on a disk, counted
 * over all its threads; 0: never. How many calls there were goes to a file.
 *
 *   killer N COUNTS PROGRAM [ARGUMENT...]
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#ifndef SYS_fchmodat2
#define SYS_fchmodat2 452
#endif
#ifndef SYS_setxattrat
#define SYS_setxattrat 463
#define SYS_removexattrat 466
#endif

static const unsigned changing[] = {
    SYS_openat,    SYS_pwrite64,    SYS_ftruncate,   SYS_fallocate,     SYS_fsync,
    SYS_fdatasync, SYS_syncfs,      SYS_mkdirat,     SYS_unlinkat,      SYS_renameat2,
    SYS_renameat,  SYS_linkat,      SYS_symlinkat,   SYS_mknodat,       SYS_fchmod,
    SYS_fchmodat,  SYS_fchmodat2,   SYS_fchown,      SYS_fchownat,      SYS_utimensat,
    SYS_setxattr,  SYS_lsetxattr,   SYS_fsetxattr,   SYS_setxattrat,    SYS_removexattr,
    SYS_lremovexattr, SYS_fremovexattr, SYS_removexattrat,
#ifdef SYS_rename
    SYS_rename,    SYS_mkdir,       SYS_unlink,      SYS_rmdir,         SYS_creat,
#endif
};
enum { changing_count = sizeof changing / sizeof *changing };

static void fail(const char *what) {
    perror(what);
    exit(125);
}

/* The kernel stops the program at these calls only, so that it runs at full speed otherwise. */
static void stop_at_changes(void) {
    struct sock_filter code[2 * changing_count + 2];
    int length = 0;
    code[length++] = (struct sock_filter)BPF_STMT(
        BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr));
    for (int i = 0; i < changing_count; i++) {
        code[length++] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, changing[i], 0, 1);
        code[length++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_TRACE);
    }
    code[length++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW);
    struct sock_fprog program = {(unsigned short)length, code};
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)) fail("no_new_privs");
    if (prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program)) fail("seccomp");
}

/* Whether the call at which a thread stands changes anything: most opening does not. */
static int changes(pid_t thread) {
    struct __ptrace_syscall_info info;
    if (ptrace(PTRACE_GET_SYSCALL_INFO, thread, sizeof info, &info) == -1) return 0;
    if (info.op != PTRACE_SYSCALL_INFO_SECCOMP) return 0;
    return info.seccomp.nr != SYS_openat || (info.seccomp.args[2] & (O_CREAT | O_TRUNC)) != 0;
}

int main(int argc, char **argv) {
    if (argc < 4) return 64;
    long wanted = atol(argv[1]), count = 0;
    pid_t child = fork();
    if (child == -1) fail("fork");
    if (child == 0) {
        if (ptrace(PTRACE_TRACEME, 0, 0, 0)) fail("ptrace");
        raise(SIGSTOP);
        stop_at_changes();
        execvp(argv[3], argv + 3);
        fail(argv[3]);
    }
    int status, result = 125;
    if (waitpid(child, &status, 0) != child || !WIFSTOPPED(status)) fail("waitpid");
    long options = PTRACE_O_TRACESECCOMP | PTRACE_O_TRACECLONE | PTRACE_O_TRACEEXEC
        | PTRACE_O_EXITKILL;
    if (ptrace(PTRACE_SETOPTIONS, child, 0, options)) fail("ptrace");
    ptrace(PTRACE_CONT, child, 0, 0);
    pid_t thread;
    while ((thread = waitpid(-1, &status, __WALL)) > 0 || errno == EINTR) {
        if (thread <= 0) continue;
        if (!WIFSTOPPED(status)) {
            if (thread == child)
                result = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
            continue;
        }
        int number = WSTOPSIG(status), event = status >> 16;
        if (event == PTRACE_EVENT_SECCOMP && changes(thread) && ++count == wanted) {
            kill(child, SIGKILL);
            continue;
        }
        /* A new thread begins with a stop that is not meant for it. */
        if (event != 0 || number == SIGSTOP || number == SIGTRAP) number = 0;
        ptrace(PTRACE_CONT, thread, 0, number);
    }
    FILE *counts = fopen(argv[2], "w");
    if (!counts || fprintf(counts, "%ld\n", count) < 0 || fclose(counts)) fail(argv[2]);
    return result;
}
