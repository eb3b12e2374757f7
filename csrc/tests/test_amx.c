/* SPDX-License-Identifier: Apache-2.0 */
/* AMX under Linux: what the system keeps of tiles when threads take turns, signals come, processes fork and threads end;
 * and a permission that is not given. On a processor without AMX it says so. */
#ifndef _DEFAULT_SOURCE
#define _DEFAULT_SOURCE /* syscall, sigaltstack, setitimer */
#endif
#include "small_model.h"

#include "mac_array.h"

/* musl's compiler does not see the kernel's headers; the address sanitizer's own locks do not stand a fork among threads
 * and signals. */
#if PN_HAS_AMX && defined(__linux__) && defined(__has_include) && !defined(__SANITIZE_ADDRESS__)
#if __has_include(<linux/filter.h>)
#define SEES_LINUX
#endif
#endif

#ifdef SEES_LINUX
#include <errno.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stddef.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static const plan network = {26, 9, 29, 68, 100, 36, 100, 100, 11, 0, 7, 0x7f, 0x25, 0, 0, 0, 0};
enum { CHANNELS = 11, STEPS = 3, THREADS = 6, ROUNDS = 40 };

static unsigned char *file;
static size_t n_file;
static uint64_t want;

static int32_t number_of(const char *isa)
{
    for (int32_t i = 0; i < pynna_isa_count(); i++)
        if (strcmp(pynna_isa_name(i), isa) == 0)
            return i;
    return -1;
}

/* The network's outputs and states; NULL: the instruction set that is chosen, which `chosen` becomes. */
static uint64_t run(const char *isa, const char **chosen)
{
    machine m = open_machine(file, n_file, isa, 16);
    bundle b = make_bundle(m.model, CHANNELS, STEPS, 5);
    uint64_t hash = hash_start;
    CHECK(pynna_step(m.workspace, NULL, CHANNELS, STEPS, b.slots) == PYNNA_OK);
    for (int32_t j = 0; j < CHANNELS; j++)
        hash = hash_channel(hash, &b, j);
    if (chosen != NULL)
        *chosen = pynna_workspace_isa(m.workspace);
    free_bundle(b);
    close_machine(m);
    return hash;
}

/* ---- a permission that is not given: each in a process of its own, for a process is asked once --------------------- */

static int refuse_the_question(void)
{
    struct sock_filter filter[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_arch_prctl, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    const struct sock_fprog program = {sizeof filter / sizeof *filter, filter};
    return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 && prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) == 0;
}

/* A signal's stack on which tiles have no room: Linux gives no permission then. */
static int have_a_small_stack(void)
{
    static unsigned char memory[8192]; /* SIGSTKSZ of programs that were built before AMX */
    const stack_t stack = {.ss_sp = memory, .ss_size = sizeof memory};
    return sigaltstack(&stack, NULL) == 0;
}

static void test_another_is_chosen(int (*refuse)(void))
{
    const pid_t child = fork();
    if (child == 0) {
        const char *chosen = "";
        pynna_workspace *w;
        if (!refuse())
            _exit(2);
        CHECK(pynna_isa_available(number_of("amx")) == 0);
        CHECK(run(NULL, &chosen) == want && strcmp(chosen, "avx512vnni") == 0);
        machine m = open_machine(file, n_file, "ref", 16);
        CHECK(pynna_workspace_init(m.workspace_memory, pynna_workspace_size(m.model, 16), m.model, 16, "amx", &w)
              == PYNNA_ERR_ISA);
        _exit(n_failed > 0);
    }
    int status;
    CHECK(waitpid(child, &status, 0) == child && WIFEXITED(status) && WEXITSTATUS(status) != 1);
    if (WIFEXITED(status) && WEXITSTATUS(status) == 2)
        printf("amx: a refusal could not be played here\n");
}

/* ---- threads and signals ------------------------------------------------------------------------------------------ */

static atomic_long n_signals;

/* What a handler may do: it multiplies by tiles of other shapes. */
static void multiply(int number)
{
    static const int8_t weights[5 * 64] = {1, 2, 3, -4};
    static const uint8_t u[2 * 20] = {9, 8, 7, 6, [20] = 1, 1, 1, 1};
    static const int32_t row_sum[16];
    int32_t acc[32];
    (void)number;
    n_signals++;
    if (pynna_mac("amx", weights, 8, 0, row_sum, 1, 5, u, 20, 2, acc) != PYNNA_OK || acc[0] != 9 + 16 + 21 - 24
        || acc[16] != 2)
        abort();
}

static void *runs(void *argument)
{
    long n_wrong = 0;
    for (int i = 0; i < ROUNDS; i++)
        n_wrong += run("amx", NULL) != want;
    (void)argument;
    return (void *)n_wrong;
}

static void test_threads_that_take_turns_and_are_interrupted(void)
{
    const struct sigaction action = {.sa_handler = multiply, .sa_flags = SA_RESTART};
    const struct itimerval often =
                               {
                                   {0, 500},
                                   {0, 500}
    },
                           never = {{0, 0}, {0, 0}};
    pthread_t threads[THREADS];
    void *n_wrong;
    sigaction(SIGALRM, &action, NULL);
    sigaction(SIGPROF, &action, NULL);
    setitimer(ITIMER_REAL, &often, NULL);
    setitimer(ITIMER_PROF, &often, NULL);
    for (int i = 0; i < THREADS; i++)
        CHECK(pthread_create(&threads[i], NULL, runs, NULL) == 0);
    for (int i = 0; i < THREADS; i++)
        CHECK(pthread_join(threads[i], &n_wrong) == 0 && n_wrong == NULL);
    setitimer(ITIMER_REAL, &never, NULL);
    setitimer(ITIMER_PROF, &never, NULL);
    CHECK(n_signals > 0);
}

static void test_forks_beside_threads_at_work(void)
{
    pthread_t threads[2];
    void *n_wrong;
    for (int i = 0; i < 2; i++)
        CHECK(pthread_create(&threads[i], NULL, runs, NULL) == 0);
    for (int i = 0; i < 8; i++) {
        const pid_t child = fork();
        int status;
        if (child == 0) /* the permission is the parent's; the tiles are not */
            _exit(run("amx", NULL) != want);
        CHECK(waitpid(child, &status, 0) == child && status == 0);
        CHECK(run("amx", NULL) == want);
    }
    for (int i = 0; i < 2; i++)
        CHECK(pthread_join(threads[i], &n_wrong) == 0 && n_wrong == NULL);
}

/* ---- tiles that live on ------------------------------------------------------------------------------------------- */

static int tiles_in_use(void)
{
    uint32_t low, high;
    __asm__ volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(1));
    return (int)(low >> 17 & 1);
}

/* Multiplies, and does not give its tiles back. */
static void *leaves(void *argument)
{
    static const int8_t weights[64 * 16] = {1};
    static const uint8_t u[3 * 64] = {1};
    static const int32_t row_sum[16];
    int32_t acc[3 * 16];
    const pn_product p = {.weights = weights,
                          .row_sum = row_sum,
                          .n_blocks = 1,
                          .n_groups = 16,
                          .weight_bits = 8,
                          .next = weights,
                          .u = u,
                          .u_stride = 64,
                          .n_columns = 3};
    pn_kernels_amx.mac(&p, acc);
    CHECK(acc[0] == 1 && tiles_in_use());
    *(int *)argument += 1;
    if (*(int *)argument % 2 == 0)
        pthread_exit(NULL);
    return NULL;
}

static void test_threads_that_end_with_tiles_in_use(void)
{
    int n_ended = 0;
    for (int i = 0; i < 50; i++) {
        pthread_t thread;
        CHECK(pthread_create(&thread, NULL, leaves, &n_ended) == 0 && pthread_join(thread, NULL) == 0);
        CHECK(!tiles_in_use());
    }
    CHECK(n_ended == 50 && run("amx", NULL) == want);
    const pid_t child = fork();
    if (child == 0) {
        leaves(&n_ended);
        _exit(n_failed > 0); /* a process too */
    }
    int status;
    CHECK(waitpid(child, &status, 0) == child && status == 0);
}

/* A process that forks while its tiles are in use: the child has their shapes, and no sums of its parent. */
static void test_a_fork_with_tiles_in_use(void)
{
    int n_ended = 0, status;
    leaves(&n_ended);
    const pid_t child = fork();
    if (child == 0) {
        leaves(&n_ended); /* of the same shapes, which are not set again */
        CHECK(run("amx", NULL) == want);
        _exit(n_failed > 0);
    }
    CHECK(waitpid(child, &status, 0) == child && status == 0);
    CHECK(run("amx", NULL) == want && !tiles_in_use());
}

int main(void)
{
    file = make_file(&network, &n_file);
    want = run("ref", NULL);
    if (number_of("amx") < 0 || !pynna_isa_available(number_of("avx512vnni"))) {
        printf("amx: skipped, this processor has no AMX\n");
        return 0;
    }
    test_another_is_chosen(refuse_the_question); /* before this process asks */
    test_another_is_chosen(have_a_small_stack);
    if (!pynna_isa_available(number_of("amx"))) {
        printf("amx: skipped, this processor has no AMX or this system gives no permission\n");
        return n_failed > 0;
    }
    test_threads_that_take_turns_and_are_interrupted();
    test_forks_beside_threads_at_work();
    test_threads_that_end_with_tiles_in_use();
    test_a_fork_with_tiles_in_use();
    free(file);
    printf(n_failed ? "amx: %d failed\n" : "amx: all is well\n", n_failed);
    return n_failed > 0;
}
#else
int main(void)
{
    printf("amx: skipped, it is not built here\n");
    return 0;
}
#endif
