/* SPDX-License-Identifier: Apache-2.0 */
/* Cortex-M55 and M85: Helium. An instruction multiplies 16 weights of a row by 16 activations and adds them to a
 * register. A row's weights stand in fours, a line apart: a load gathers four such words. It multiplies signed by
 * signed: activations enter as u - 128, and 128 times a row's sum of weights comes back on top. */
#include "mac_array.h"
#if PN_HAS_MVE

#include <arm_mve.h>

#define TILE __attribute__((always_inline)) static inline

enum { ROWS = 4 }; /* worked on together: their sums are scalar registers of even numbers */

/* Activations of four lines, less 128: of an 8-bit line one group, of a 4-bit line two, the `half`-th of each. */
TILE int8x16_t four_groups(const int GROUPS, const int half, const uint8_t *u, uint32x4_t lines, mve_pred16_t p)
{
    const uint32x4_t at = vaddq_n_u32(GROUPS == 1 ? lines : vshlq_n_u32(lines, 1), (uint32_t)half);
    const uint32x4_t v = vldrwq_gather_shifted_offset_z_u32((const uint32_t *)(const void *)u, at, p);
    return veorq_s8(vreinterpretq_s8_u32(v), vdupq_n_s8(INT8_MIN));
}

/* 16 weights of row r of four lines: the lower or upper halves of their bytes, of 4 bits. */
TILE int8x16_t widen(const int GROUPS, const int half, int8x16_t w)
{
    if (GROUPS == 1)
        return w;
    return half ? vandq_s8(w, vdupq_n_s8((int8_t)0xf0)) : vshlq_n_s8(w, 4);
}

/* Four rows by four lines; where p says that there are fewer lines, weights are zero. */
TILE void four_lines(const int GROUPS, uint32x4_t addresses, uint32x4_t lines, const uint8_t *u, mve_pred16_t p,
                     int32_t acc[ROWS])
{
    int8x16_t w[ROWS];
    w[0] = vreinterpretq_s8_s32(vldrwq_gather_base_z_s32(addresses, 0, p));
    w[1] = vreinterpretq_s8_s32(vldrwq_gather_base_z_s32(addresses, 4, p));
    w[2] = vreinterpretq_s8_s32(vldrwq_gather_base_z_s32(addresses, 8, p));
    w[3] = vreinterpretq_s8_s32(vldrwq_gather_base_z_s32(addresses, 12, p));
#pragma GCC unroll 2
    for (int half = 0; half < GROUPS; half++) {
        const int8x16_t v = four_groups(GROUPS, half, u, lines, p);
#pragma GCC unroll 4
        for (int r = 0; r < ROWS; r++)
            acc[r] = vmladavaq_s8(acc[r], widen(GROUPS, half, w[r]), v);
    }
}

/* The same of whole lines of 8 bits that follow one another: no predicate, and activations that lie in a row. */
TILE void four_whole_lines(uint32x4_t addresses, const uint8_t *u, int32_t acc[ROWS])
{
    const int8x16_t v = veorq_s8(vreinterpretq_s8_u8(vldrbq_u8(u)), vdupq_n_s8(INT8_MIN));
    acc[0] = vmladavaq_s8(acc[0], vreinterpretq_s8_s32(vldrwq_gather_base_s32(addresses, 0)), v);
    acc[1] = vmladavaq_s8(acc[1], vreinterpretq_s8_s32(vldrwq_gather_base_s32(addresses, 4)), v);
    acc[2] = vmladavaq_s8(acc[2], vreinterpretq_s8_s32(vldrwq_gather_base_s32(addresses, 8)), v);
    acc[3] = vmladavaq_s8(acc[3], vreinterpretq_s8_s32(vldrwq_gather_base_s32(addresses, 12)), v);
}

/* Four rows with scales, from `row` on, by one column: span by span. */
TILE void scaled_quarter_block(const pn_product *p, const int8_t *block, int row, const uint8_t *u,
                               const int32_t *row_sum, int32_t *out)
{
    const int32_t n_lines = p->n_groups / 2;
    int32_t all[ROWS];
    for (int r = 0; r < ROWS; r++)
        all[r] = 128 * row_sum[r];
    for (int32_t first = 0; first < n_lines; first += PN_SPAN) {
        const uint32_t base = (uint32_t)(uintptr_t)(pn_scaled_line(block, first) + PN_GROUP * row);
        const int8_t *scales = pn_line_scales(block, first) + row;
        int32_t acc[ROWS] = {0};
        for (int32_t i = 0; i < PN_SPAN && first + i < n_lines; i += 4) {
            const uint32x4_t lines = vidupq_n_u32((uint32_t)i, 1);
            four_lines(2, vaddq_n_u32(vshlq_n_u32(lines, 6), base), lines, u + (size_t)first * 2 * PN_GROUP,
                       vctp32q((uint32_t)(n_lines - first - i)), acc);
        }
        for (int r = 0; r < ROWS; r++)
            all[r] += acc[r] / 16 * scales[r];
    }
    for (int r = 0; r < ROWS; r++)
        out[r] = all[r];
}

/* Four rows by one column. */
TILE void quarter_block(const pn_product *p, const int GROUPS, const int8_t *weights, const uint8_t *u,
                        const int32_t *row_sum, int32_t *out)
{
    int32_t acc[ROWS];
    for (int r = 0; r < ROWS; r++)
        acc[r] = 128 * row_sum[r];
    const int32_t n_lines = p->n_groups / GROUPS;
    const uint32x4_t base = vdupq_n_u32((uint32_t)(uintptr_t)weights);
    int32_t i = 0;
    if (GROUPS == 1) {
        uint32x4_t addresses = vaddq_u32(base, vshlq_n_u32(vidupq_n_u32(0, 1), 6));
        for (; i + 4 <= n_lines; i += 4, addresses = vaddq_n_u32(addresses, 4 * PN_LINE))
            four_whole_lines(addresses, u + (size_t)i * PN_GROUP, acc);
    }
    for (; i < n_lines; i += 4) {
        const mve_pred16_t inside = vctp32q((uint32_t)(n_lines - i));
        const uint32x4_t lines = vidupq_n_u32((uint32_t)i, 1);
        four_lines(GROUPS, vaddq_u32(base, vshlq_n_u32(lines, 6)), lines, u, inside, acc);
    }
    for (int r = 0; r < ROWS; r++)
        out[r] = acc[r];
}

/* All lines, whether used or not: an activation of zero is -128 here. */
TILE void product(const int GROUPS, const int SCALED, const pn_product *p, int32_t *acc)
{
    const size_t block_bytes = pn_block_bytes(p->n_groups, 8 / GROUPS, SCALED ? PN_SCALED : PN_PLAIN);
    for (int32_t b = 0; b < p->n_blocks; b++)
        for (int32_t j = 0; j < p->n_columns; j++)
            for (int row = 0; row < PN_BLOCK; row += ROWS, acc += ROWS)
                if (SCALED)
                    scaled_quarter_block(p, p->weights + (size_t)b * block_bytes, row, p->u + (size_t)j * p->u_stride,
                                         p->row_sum + b * PN_BLOCK + row, acc);
                else
                    quarter_block(p, GROUPS, p->weights + (size_t)b * block_bytes + 4 * row,
                                  p->u + (size_t)j * p->u_stride, p->row_sum + b * PN_BLOCK + row, acc);
}

static void mac(const pn_product *p, int32_t *acc)
{
    PN_BY_KIND(product, p, acc);
}

const pn_kernels pn_kernels_mve = {"mve", mac, pn_ref_requantise, pn_ref_lstm, pn_ref_quantise, NULL, PN_COLUMNS};
#else
typedef int pn_no_mve;
#endif
