/* SPDX-License-Identifier: Apache-2.0 */
/* The kernels by themselves: what they read, and that gates, cells and curves of all values are the reference's. */
#include "small_model.h"

#include "activation.h"
#include "mac_array.h"

#include <math.h>

/* All weights as large as they get, in blocks that end where they do. */
static void check_kernel(const char *isa, int32_t n, int32_t bits, int32_t scaled, uint32_t *random)
{
    const int32_t n_blocks = (int32_t)(next_random(random) % 7);
    const int32_t n_lines = (int32_t)(next_random(random) % (scaled ? 41 : 10)), n_groups = n_lines * 8 / bits;
    const shape s = {0, 0, 0, 0, bits, n_lines + (scaled ? (n_lines + 31) / 32 : 0), 4 * n_groups, scaled};
    const size_t stride = 4 * (size_t)n_groups + next_random(random) % 3, n_weights = 64 * (size_t)(n_blocks * s.lines);
    const size_t n_u = (size_t)(n - 1) * stride + 4 * (size_t)n_groups, n_acc = 16 * (size_t)(n_blocks * n);
    unsigned char *weights = exact_block(n_weights);
    uint8_t *u = exact_block(n_u);
    int32_t *acc = exact_block(n_acc * sizeof *acc);
    int32_t *row_sum = exact_block(16 * (size_t)n_blocks * sizeof *row_sum);
    memset(weights, 0, n_weights);
    memset(u, 255, n_u);
    put_scales(&s, weights, 16 * n_blocks);
    for (int32_t r = 0; r < 16 * n_blocks; r++) {
        row_sum[r] = 0;
        for (int32_t c = 0; c < 4 * n_groups; c++) {
            const int32_t most = bits == 8 ? 127 : 7 * (scaled ? scale_of(r, c) : 16);
            const int32_t w = next_random(random) % 2 ? most : -most;
            put_weight(&s, weights, r, c, w);
            row_sum[r] += w;
        }
    }
    CHECK(pynna_mac(isa, (int8_t *)weights, bits, scaled, row_sum, n_blocks, n_groups, u, stride, n, acc) == PYNNA_OK);
    for (size_t i = 0; i < n_acc; i++)
        CHECK(acc[i] == 255 * row_sum[i / 16 / (size_t)n * 16 + i % 16]);
    free(weights);
    free(u);
    free(acc);
    free(row_sum);
}

static void test_kernels_stay_within_blocks_that_end_where_their_arrays_do(void)
{
    uint32_t random = 11;
    for (int32_t k = 0; k < pynna_isa_count(); k++)
        for (int32_t n = 3; n < 3 * (PYNNA_MAX_CHANNELS + 1) && is_tested(k); n++)
            check_kernel(pynna_isa_name(k), n / 3, n % 3 ? 4 : 8, n % 3 == 2, &random);
}

typedef struct {
    int32_t gates[4][16];
    int16_t c[16];
    uint8_t h[16];
} cells;

/* One block of cells whose gates are what the accumulators say: multiplier 2 and shift 1. */
static void run_lstm(const pn_kernels *k, cells *b, int32_t fraction_bits, int32_t h_multiplier, int32_t h_shift)
{
    int32_t zeros[64] = {0}, twos[64];
    for (int i = 0; i < 64; i++)
        twos[i] = 2;
    const pn_lstm_tile tile = {b->gates[0], zeros,         zeros,        zeros,   twos, twos, 1,    1,
                               1,           fraction_bits, h_multiplier, h_shift, b->c, 16,   b->h, 16};
    k->lstm(&tile);
}

/* Gate g has the values from v on, everything else any value or its limit. */
static cells make_cells(int g, int32_t v, uint32_t *random)
{
    cells b;
    for (int r = 0; r < 64; r++)
        b.gates[r / 16][r % 16] = r / 16 == g ? v + r % 16 : (int32_t)(next_random(random) % 70000) - 35000;
    for (int r = 0; r < 16; r++)
        b.c[r] = (int16_t)(next_random(random) % 3 ? (int32_t)(next_random(random) % 65536) - 32768
                           : r % 2                 ? 32767
                                                   : -32768);
    memset(b.h, 0, sizeof b.h);
    return b;
}

static void test_gates_and_cells_of_all_16_bit_values_are_the_reference_s(void)
{
    static const int32_t hidden[][2] = {
        {127 * 128, 22},
        {32767,     20},
        {32767,     1 },
        {0,         1 },
        {32767,     30},
        {1,         8 },
        {25000,     22}
    };
    const pn_kernels *ref = pn_kernels_find("ref");
    for (int32_t i = 1; i < pynna_isa_count(); i++) {
        const pn_kernels *k = is_tested(i) ? pn_kernels_find(pynna_isa_name(i)) : NULL;
        uint32_t random = 3, turn = 0;
        for (int32_t v = -32768; k && v <= 32767; v += 16)
            for (int g = 0; g < 4; g++, turn++) {
                cells want = make_cells(g, v, &random), got = want;
                const int32_t *h = hidden[turn % 7], bits = 1 + (int32_t)(turn % 15);
                run_lstm(ref, &want, bits, h[0], h[1]);
                run_lstm(k, &got, bits, h[0], h[1]);
                CHECK(memcmp(want.c, got.c, sizeof want.c) == 0 && memcmp(want.h, got.h, sizeof want.h) == 0);
            }
    }
}

static void test_sigmoid_and_tanh_of_every_input_are_near_the_true_ones(void)
{
    uint64_t hash = hash_start;
    for (int32_t x = -32768; x <= 32767; x++) {
        const int16_t s = pn_sigmoid((int16_t)x), t = pn_tanh((int16_t)x);
        CHECK(fabs(s / 32768.0 - 1 / (1 + exp(-x / 4096.0))) < 2.5 / 32768);
        CHECK(fabs(t / 32768.0 - tanh(x / 4096.0)) < (x > 16383 || x < -16383 ? 25 : 3.5) / 32768);
        CHECK(s >= 0 && t >= -32767); /* the kernels multiply them as unsigned and as signed halves */
        hash = hash_bytes(hash_bytes(hash, &s, sizeof s), &t, sizeof t);
    }
    CHECK(hash == UINT64_C(0x8dba81ec5471c4af));
}

int main(void)
{
    test_sigmoid_and_tanh_of_every_input_are_near_the_true_ones();
    test_gates_and_cells_of_all_16_bit_values_are_the_reference_s();
    test_kernels_stay_within_blocks_that_end_where_their_arrays_do();
    printf(n_failed ? "%d checks failed\n" : "kernels: all is well\n", n_failed);
    return n_failed != 0;
}
