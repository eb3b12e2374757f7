/* SPDX-License-Identifier: Apache-2.0 */
/* Whole networks on tiles, where there is no system: that AMX is chosen, only where the permission is given, has the
 * reference's bits, and leaves no tile in use behind a call. */
#include "../small_model.h"

#ifndef REFUSED
#define REFUSED 0 /* 1: the permission is not given */
#endif

static const plan plans[] = {
    {26, 9, 29, 31,  29,  31, 33,  30,  11, 0, 1,  0,   0,    0, 0, 0, 0},
    {26, 9, 29, 64,  128, 64, 96,  64,  12, 0, 2,  0,   0,    0, 0, 0, 0},
    {26, 9, 29, 68,  100, 36, 100, 100, 11, 0, 7,  127, 127,  0, 0, 0, 0},
    {13, 2, 40, 117, 47,  2,  129, 65,  9,  1, 10, 127, 0x5b, 8, 0, 0, 0},
};
enum { N_PLANS = (int)(sizeof plans / sizeof *plans), STEPS = 5 };

/* Linux's answer to arch_prctl, see isa.c. */
long syscall(long number, ...)
{
    (void)number;
    return REFUSED ? -1 : 0;
}

/* Whether tiles have shapes, which a switch of threads would have to keep. (The next bit is that of the tiles themselves,
 * which Bochs 3.0 gives the wrong way round.) */
static int in_use(void)
{
    uint32_t low, high;
    __asm__ volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(1));
    return (int)(low >> 17 & 1);
}

static int knows_signs(void)
{
    const int8_t weights[64] = {-1};
    const uint8_t u[8] = {1, 0, 0, 0, 1};
    const int32_t row_sum[16] = {-1};
    int32_t acc[32];
    CHECK(pynna_mac("amx", weights, 8, 0, row_sum, 1, 1, u, 4, 2, acc) == PYNNA_OK);
    CHECK(!in_use());
    return acc[0] == -1;
}

static void run(const unsigned char *file, size_t n_bytes, const char *isa, int32_t n_channels, int32_t max_columns,
                uint64_t *hashes)
{
    machine m = open_machine(file, n_bytes, isa, max_columns);
    bundle b = make_bundle(m.model, n_channels, STEPS, 99);
    CHECK(strcmp(pynna_workspace_isa(m.workspace), isa ? isa : "amx") == 0);
    CHECK(pynna_step(m.workspace, NULL, n_channels, STEPS, b.slots) == PYNNA_OK);
    CHECK(!in_use());
    for (int32_t j = 0; j < n_channels; j++)
        hashes[j] = hash_channel(hash_start, &b, j);
    free_bundle(b);
    close_machine(m);
}

static void test_networks_have_the_reference_s_bits(void)
{
    static const int32_t counts[] = {1, 2, 5, 16}, columns[] = {16, 37};
    for (int n = 0; n < N_PLANS * 4 * 2; n++) {
        const int32_t n_channels = counts[n % 4];
        uint64_t want[16], got[16];
        size_t n_bytes;
        unsigned char *file = make_file(&plans[n / 8], &n_bytes);
        run(file, n_bytes, "ref", n_channels, 16, want);
        run(file, n_bytes, NULL, n_channels, columns[n / 4 % 2], got);
        const int same = memcmp(want, got, (size_t)n_channels * sizeof *got) == 0;
        if (!same)
            printf("plan %d, %d channels\n", n / 8, (int)n_channels);
        CHECK(same);
        free(file);
    }
}

int main(void)
{
    __builtin_cpu_init();
    CHECK(strcmp(pynna_isa_default(), REFUSED ? "avx512vnni" : "amx") == 0);
    if (!REFUSED && knows_signs())
        test_networks_have_the_reference_s_bits();
    else if (!REFUSED)
        printf("networks: left out, weights have signs\n");
    printf(n_failed ? "%d checks failed\n" : "networks: all is well\n", n_failed);
    return n_failed != 0;
}
