/* SPDX-License-Identifier: Apache-2.0 */
/* ARM's dot product instruction (Cortex-A55, A76 and later), signed by signed as in mac_array_neon.c. */
#include "mac_array.h"
#if defined(__aarch64__) && PN_HAS_NEON_DOT

#include <arm_neon.h>

#define DOT __attribute__((target("arch=armv8.2-a+dotprod")))
#define TILE DOT __attribute__((always_inline)) static inline

#include "mac_array_spans.h"

/* Four activations less 128, twice. */
TILE int8x8_t load_group(const uint8_t *u)
{
    return vreinterpret_s8_u32(vdup_n_u32((uint32_t)pn_load_group(u) ^ 0x80808080u));
}

/* Rows 4k to 4k + 3 of group i of a line. It has one of 8 bits, or two GROUPS of 4: the first in the lower halves of
 * the bytes, the second in the upper. */
TILE int8x16_t load_rows(const int GROUPS, const int i, const int k, const int8_t *line)
{
    int8x16_t w = vld1q_s8(line + 16 * k);
    if (GROUPS == 1)
        return w;
    return i ? vandq_s8(w, vdupq_n_s8((int8_t)0xf0)) : vshlq_n_s8(w, 4);
}

/* A line by NC columns: a vector has 4 rows by 4 columns, a lane of v four activations. */
TILE void add_line(const int GROUPS, const int NC, const int8_t *line, const uint8_t *u, size_t u_stride,
                   int32x4_t acc[4][4])
{
#pragma GCC unroll 2
    for (int half = 0; half < GROUPS; half++) {
        int8x16_t rows[4];
#pragma GCC unroll 4
        for (int i = 0; i < 4; i++)
            rows[i] = load_rows(GROUPS, half, i, line);
#pragma GCC unroll 4
        for (int j = 0; j < NC; j++) {
            int8x8_t v = load_group(u + (size_t)j * u_stride + 4 * half);
#pragma GCC unroll 4
            for (int i = 0; i < 4; i++)
                acc[j][i] = vdotq_lane_s32(acc[j][i], rows[i], v, 0);
        }
    }
}

/* `tile` where weights have scales. */
TILE void scaled_tile(const int NC, const int8_t *w, const int32_t *row_sum, int32_t n_lines, const uint8_t *u,
                      size_t u_stride, int32_t *out)
{
    begin_sums(row_sum, NC, out);
    for (int32_t first = 0, end; first < n_lines; first = end) {
        const int8_t *line = pn_scaled_line(w, first), *scales = pn_line_scales(w, first);
        int32x4_t acc[4][4];
#pragma GCC unroll 4
        for (int j = 0; j < NC; j++)
#pragma GCC unroll 4
            for (int i = 0; i < 4; i++)
                acc[j][i] = vdupq_n_s32(0);
        end = span_end(first, n_lines);
        for (int32_t k = first; k < end; k++, line += PN_LINE, u += 2 * PN_GROUP)
            add_line(2, NC, line, u, u_stride, acc);
#pragma GCC unroll 4
        for (int j = 0; j < NC; j++)
#pragma GCC unroll 4
            for (int i = 0; i < 4; i++)
                add_span(scales + 4 * i, acc[j][i], out + j * PN_BLOCK + 4 * i);
    }
}

/* One block of 16 rows by NC columns. */
TILE void tile(const int GROUPS, const int SCALED, const int NC, const int8_t *w, const int32_t *row_sum,
               int32_t n_groups, const uint8_t *u, size_t u_stride, int32_t *out)
{
    int32x4_t acc[4][4];
    if (SCALED) {
        scaled_tile(NC, w, row_sum, n_groups / 2, u, u_stride, out);
        return;
    }
#pragma GCC unroll 4
    for (int j = 0; j < NC; j++)
#pragma GCC unroll 4
        for (int i = 0; i < 4; i++)
            acc[j][i] = vshlq_n_s32(vld1q_s32(row_sum + 4 * i), 7);
    for (int32_t line = 0; line < n_groups / GROUPS; line++, w += 64, u += 4 * GROUPS)
        add_line(GROUPS, NC, w, u, u_stride, acc);
#pragma GCC unroll 4
    for (int j = 0; j < NC; j++)
#pragma GCC unroll 4
        for (int i = 0; i < 4; i++)
            vst1q_s32(out + j * PN_BLOCK + 4 * i, acc[j][i]);
}

TILE void product(const int GROUPS, const int SCALED, const pn_product *p, int32_t *acc)
{
    const size_t block_bytes = pn_block_bytes(p->n_groups, 8 / GROUPS, SCALED ? PN_SCALED : PN_PLAIN);
    const int32_t n_groups = p->n_groups, parts = pn_divide_up(p->n_columns, 4);
    const int8_t *weights = p->weights;
    const int32_t *row_sum = p->row_sum;
    for (int32_t b = 0; b < p->n_blocks; b++, weights += block_bytes, row_sum += PN_BLOCK)
        for (int32_t i = 0; i < parts; i++) {
            int32_t j = i * p->n_columns / parts, nc = (i + 1) * p->n_columns / parts - j;
            const uint8_t *v = p->u + (size_t)j * p->u_stride;
            switch (nc) {
            case 1: tile(GROUPS, SCALED, 1, weights, row_sum, n_groups, v, p->u_stride, acc); break;
            case 2: tile(GROUPS, SCALED, 2, weights, row_sum, n_groups, v, p->u_stride, acc); break;
            case 3: tile(GROUPS, SCALED, 3, weights, row_sum, n_groups, v, p->u_stride, acc); break;
            case 4: tile(GROUPS, SCALED, 4, weights, row_sum, n_groups, v, p->u_stride, acc); break;
            }
            acc += nc * PN_BLOCK;
        }
}

DOT void pn_neon_dot_mac(const pn_product *p, int32_t *acc)
{
    PN_BY_KIND(product, p, acc);
}

const pn_kernels pn_kernels_neon_dot = {"neondot", pn_neon_dot_mac, pn_neon_requantise, pn_neon_lstm, pn_neon_quantise,
                                        NULL,      PN_COLUMNS};
#else
typedef int pn_no_neon_dot;
#endif
