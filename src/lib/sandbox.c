/* sandbox.c: see sandbox.h. A seccomp filter, which is a list of system calls in classic BPF. Its
 * sources are seccomp(2) and Documentation/userspace-api/seccomp_filter.rst. */
#include "lib/sandbox.h"

#include <fcntl.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#if defined(__x86_64__)
#define MACHINE AUDIT_ARCH_X86_64
#elif defined(__aarch64__)
#define MACHINE AUDIT_ARCH_AARCH64
#endif

bool
sandbox_fits_build(void)
{
#ifdef __SANITIZE_ADDRESS__
    return false;
#else
    return true;
#endif
}

#ifdef MACHINE

/* First our own calls, then those that the C library may make for us. These are memory, the time if
 * the vdso has none, signals that interrupt a call, and abort() with the message before it. */
static const int allowed[] = {
#ifdef __NR_poll
    __NR_poll,
#endif
    __NR_ppoll,        __NR_read,           __NR_write,
    __NR_sendto,       __NR_recvfrom,       __NR_close,
    __NR_fcntl,        __NR_fstat,          __NR_lseek,
    __NR_munmap,       __NR_mremap,         __NR_madvise,
    __NR_brk,          __NR_sysinfo,        __NR_getrandom,
    __NR_futex,        __NR_clock_gettime,  __NR_gettimeofday,
    __NR_rt_sigaction, __NR_rt_sigprocmask, __NR_restart_syscall,
    __NR_rt_sigreturn, __NR_getpid,         __NR_gettid,
    __NR_exit,         __NR_exit_group,     __NR_sigaltstack,
    __NR_writev};

#define ALLOWED (sizeof allowed / sizeof *allowed)

/* Calls that are allowed by one of their arguments, see make_program(). */
#define SPECIAL 4

/* The machine and the number take 4 instructions, each allowed call two, a special one five. Then
 * comes the end. */
#define PROGRAM_MAX (4 + 2 * ALLOWED + 5 * SPECIAL + 1)

struct program {
    struct sock_filter code[PROGRAM_MAX];
    unsigned short len;
};

#define ALLOW SECCOMP_RET_ALLOW
#define KILL  SECCOMP_RET_KILL_PROCESS

static void
add(struct program *p, uint16_t op, uint32_t k, uint8_t jump_true, uint8_t jump_false)
{
    p->code[p->len++] = (struct sock_filter){op, jump_true, jump_false, k};
}

static void
add_load(struct program *p, size_t offset)
{
    add(p, BPF_LD | BPF_W | BPF_ABS, (uint32_t)offset, 0, 0);
}

static void
add_return(struct program *p, uint32_t action)
{
    add(p, BPF_RET | BPF_K, action, 0, 0);
}

/* The low half of an argument, on little-endian machines, as both of ours are. */
static size_t
argument(int n)
{
    return offsetof(struct seccomp_data, args) + (size_t)n * sizeof(uint64_t);
}

/* Call nr is allowed if `op` of its argument n and k results in `holds`. */
static void
add_special(struct program *p, int nr, int n, uint16_t op, uint32_t k, bool holds)
{
    add(p, BPF_JMP | BPF_JEQ | BPF_K, (uint32_t)nr, 0, 4);
    add_load(p, argument(n));
    add(p, (uint16_t)(BPF_JMP | op | BPF_K), k, holds ? 0 : 1, holds ? 1 : 0);
    add_return(p, ALLOW);
    add_return(p, KILL);
}

static void
make_program(struct program *p)
{
    add_load(p, offsetof(struct seccomp_data, arch));
    add(p, BPF_JMP | BPF_JEQ | BPF_K, MACHINE, 1, 0);
    add_return(p, KILL);
    add_load(p, offsetof(struct seccomp_data, nr));
    for (size_t i = 0; i < ALLOWED; i++) {
        add(p, BPF_JMP | BPF_JEQ | BPF_K, (uint32_t)allowed[i], 0, 1);
        add_return(p, ALLOW);
    }
    /* No executable memory. fstat as the C library calls it. For abort(), signals to ourselves
     * alone. */
    add_special(p, __NR_mmap, 2, BPF_JSET, PROT_EXEC, false);
    add_special(p, __NR_mprotect, 2, BPF_JSET, PROT_EXEC, false);
    add_special(p, __NR_newfstatat, 3, BPF_JSET, AT_EMPTY_PATH, true);
    add_special(p, __NR_tgkill, 0, BPF_JEQ, (uint32_t)getpid(), true);
    add_return(p, KILL);
}

enum sandbox_state
sandbox_enter(void)
{
    struct program program = {0};
    struct sock_fprog filter = {.filter = program.code};

    make_program(&program);
    filter.len = program.len;
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0 ||
        prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &filter, 0, 0) != 0)
        return SANDBOX_ABSENT;
    return SANDBOX_ON;
}

#else

enum sandbox_state
sandbox_enter(void)
{
    (void)prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
    return SANDBOX_ABSENT;
}

#endif
