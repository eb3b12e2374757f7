/* SPDX-License-Identifier: Apache-2.0 */
/* The kernel of AMX on tiles in plain C: blocks, rows' ends, layouts, weights of 4 bits, shapes that are set and given
 * back. With PN_REAL_TILES on the processor's own, or an emulator's: bochs/run. */
#include "small_model.h"

#ifdef PN_REAL_TILES
#include "mac_array.h"
#else
#include "tiles.h"

#include "mac_array_amx.c"
#endif

static int signs_known = 1;

static void fill(void *to, size_t n, uint32_t *random)
{
    for (size_t i = 0; i < n; i++)
        ((uint8_t *)to)[i] = (uint8_t)next_random(random);
}

/* Arrays that end with their last byte; between the columns lies `gap` bytes of noise. */
static void check_product(int32_t n_blocks, int32_t n_groups, int32_t weight_bits, int32_t layout, int32_t n_columns,
                          size_t gap, uint32_t *random)
{
    const size_t block_bytes = pn_block_bytes(n_groups, weight_bits, layout),
                 n_weights = (size_t)n_blocks * block_bytes;
    const size_t row = (size_t)n_groups * PN_GROUP, stride = row + gap;
    const size_t n_sums = (size_t)n_blocks * (size_t)n_columns * PN_BLOCK;
    int8_t *weights = exact_block(n_weights);
    uint8_t *u = exact_block((size_t)(n_columns - 1) * stride + row);
    int32_t *row_sum = exact_block((size_t)n_blocks * PN_BLOCK * sizeof *row_sum);
    int32_t *acc = exact_block(n_sums * sizeof *acc), *want = exact_block(n_sums * sizeof *want);
    fill(weights, n_weights, random);
    for (size_t i = 0; i < n_weights && !signs_known; i++)
        weights[i] &= weight_bits == 4 ? 0x77 : 0x7f;
    for (int32_t i = 0; layout == PN_SCALED && i < n_blocks * n_groups / 2; i++) {
        int8_t *block = weights + (size_t)(2 * i / n_groups) * block_bytes;
        for (int k = 0; k < PN_BLOCK; k++)
            block[pn_line_scales(block, i % (n_groups / 2)) - block + k] =
                (int8_t)(1 + next_random(random) % PN_MAX_SCALE);
    }
    fill(u, (size_t)(n_columns - 1) * stride + row, random);
    fill(acc, n_sums * sizeof *acc, random);
    memset(row_sum, 0, (size_t)n_blocks * PN_BLOCK * sizeof *row_sum); /* for those that multiply signed by signed */
    const pn_product p = {weights, row_sum, n_blocks, n_groups,  weight_bits, layout, weights,
                          0,       u,       stride,   n_columns, NULL,        0};
    pn_kernels_ref.mac(&p, want);
    pn_kernels_amx.mac(&p, acc);
    const int same = memcmp(acc, want, n_sums * sizeof *acc) == 0;
    if (!same && n_failed < 20)
        printf("%d blocks, %d groups of %d bits, layout %d, %d columns\n", n_blocks, n_groups, weight_bits, layout,
               n_columns);
    CHECK(same);
    free(weights);
    free(u);
    free(row_sum);
    free(acc);
    free(want);
}

static void test_products_are_the_reference_s(void)
{
    static const int32_t groups[] = {1, 2, 3, 16, 17, 31, 48, 60, 128, 150}, blocks_of[] = {1, 2, 3, 4, 5, 8};
    uint32_t random = 35;
    for (int32_t n_columns = 1; n_columns <= PN_MANY_COLUMNS; n_columns += n_columns < 18 ? 1 : 23)
        for (int i = 0; i < (int)(sizeof groups / sizeof *groups); i++)
            for (int b = 0; b < (int)(sizeof blocks_of / sizeof *blocks_of); b++)
                for (int kind = 0; kind < 3; kind++) {
                    const int32_t n_groups = kind > 0 ? groups[i] + groups[i] % 2 : groups[i];
                    check_product(blocks_of[b], n_groups, kind > 0 ? 4 : 8, kind == 2 ? PN_SCALED : PN_PLAIN, n_columns,
                                  (size_t)(n_columns + i) % 3 * 7, &random);
                }
    pn_kernels_amx.release();
}

static void test_the_largest_sums_are_exact(void)
{
    enum { GROUPS = 8192, COLUMNS = 2 };
    int8_t *weights = exact_block(GROUPS * PN_LINE);
    uint8_t *u = exact_block(COLUMNS * GROUPS * PN_GROUP);
    int32_t acc[COLUMNS * PN_BLOCK];
    memset(u, 255, COLUMNS * GROUPS * PN_GROUP);
    for (int sign = signs_known ? -1 : 1; sign <= 1; sign += 2) {
        memset(weights, 127 * sign, GROUPS * PN_LINE);
        const pn_product p = {weights,           NULL,    1,    GROUPS, 8, PN_PLAIN, weights, 0, u,
                              GROUPS * PN_GROUP, COLUMNS, NULL, 0};
        pn_kernels_amx.mac(&p, acc);
        for (int i = 0; i < COLUMNS * PN_BLOCK; i++)
            CHECK(acc[i] == 255 * 127 * 4 * GROUPS * sign);
    }
    pn_kernels_amx.release();
    free(weights);
    free(u);
}

/* Bochs, up to 3.1 at least, takes the signed bytes of TDPBUSD for unsigned ones: there, weights are not negative. */
static void look_for_signs(void)
{
    const int8_t weights[PN_LINE] = {-1};
    const uint8_t u[2 * PN_GROUP] = {1, 0, 0, 0, 1};
    int32_t acc[2 * PN_BLOCK];
    const pn_product p = {weights, NULL, 1, 1, 8, PN_PLAIN, weights, 0, u, PN_GROUP, 2, NULL, 0};
    pn_kernels_amx.mac(&p, acc);
    signs_known = acc[0] != 255;
    if (!signs_known)
        printf("tiles: this emulator's TDPBUSD knows no signs; weights are 0 to 127\n");
}

#ifndef PN_REAL_TILES
static void test_shapes_are_set_when_they_change_and_given_back(void)
{
    static const struct {
        int32_t n_columns, n_groups, n_shapings; /* so far */
    } calls[] = {
        {3, 32, 1},
        {3, 48, 1},
        {3, 37, 2},
        {3, 21, 2},
        {3, 64, 2},
        {3, 5,  2},
        {3, 6,  3},
        {4, 16, 4},
        {1, 6,  4}
    };
    uint32_t random = 7;
    CHECK(!tiles.shaped);
    tiles.n_shapings = 0;
    for (int i = 0; i < (int)(sizeof calls / sizeof *calls); i++) {
        check_product(2, calls[i].n_groups, 8, PN_PLAIN, calls[i].n_columns, 0, &random);
        CHECK(tiles.n_shapings == calls[i].n_shapings);
    }
    CHECK(tiles.shaped);
    pn_kernels_amx.release();
    CHECK(!tiles.shaped);
    pn_kernels_amx.release();                         /* twice is once */
    check_product(2, 16, 8, PN_PLAIN, 4, 0, &random); /* the shape of before is gone, and is set anew */
    CHECK(tiles.n_shapings == 5);
    pn_kernels_amx.release();
}
#endif

int main(void)
{
    look_for_signs();
    test_products_are_the_reference_s();
    test_the_largest_sums_are_exact();
#ifndef PN_REAL_TILES
    test_shapes_are_set_when_they_change_and_given_back();
#endif
    printf(n_failed ? "%d checks failed\n" : "tiles: all is well\n", n_failed);
    return n_failed != 0;
}
