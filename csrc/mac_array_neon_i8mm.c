/* SPDX-License-Identifier: Apache-2.0 */
/* ARM's 8-bit matrix multiplication (Cortex-A510, A710, X2, Neoverse V1 and later): an instruction takes 2 columns by 2
 * rows by 8 weights, unsigned by signed. */
#include "mac_array.h"
#if defined(__aarch64__) && PN_HAS_NEON_DOT

#include <arm_neon.h>

#define TARGET __attribute__((target("arch=armv8.2-a+dotprod+i8mm")))
#define TILE TARGET __attribute__((always_inline)) static inline

#include "mac_array_spans.h"

/* Eight activations of a column, or the last four and zeros. */
TILE uint8x8_t load_pair(const uint8_t *u, const int two)
{
    return two ? vld1_u8(u) : vreinterpret_u8_u32(vset_lane_u32((uint32_t)pn_load_group(u), vdup_n_u32(0), 0));
}

/* Four rows of the first (i = 0) or second of two groups: a line each, or two GROUPS in one, of 4 bits in the lower and
 * upper halves of its bytes. */
TILE int32x4_t load_rows(const int GROUPS, const int i, const int8_t *w)
{
    int8x16_t rows = vld1q_s8(w + (GROUPS == 1 ? PN_LINE * i : 0));
    if (GROUPS == 2)
        rows = i ? vandq_s8(rows, vdupq_n_s8((int8_t)0xf0)) : vshlq_n_s8(rows, 4);
    return vreinterpretq_s32_s8(rows);
}

/* Two groups (8 weights a row; or one and zeros) of 16 rows, by NP pairs of columns. */
TILE void two_groups(const int GROUPS, const int NP, int32x4_t acc[3][8], const int8_t *w, const uint8_t *u,
                     size_t u_stride, const int two)
{
    uint8x16_t v[3];
#pragma GCC unroll 3
    for (int p = 0; p < NP; p++, u += 2 * u_stride)
        v[p] = vcombine_u8(load_pair(u, two), load_pair(u + u_stride, two));
#pragma GCC unroll 4
    for (int i = 0; i < 4; i++) { /* four rows: their first four weights, and their next four */
        int32x4_t a = load_rows(GROUPS, 0, w + 16 * i), b = two ? load_rows(GROUPS, 1, w + 16 * i) : vdupq_n_s32(0);
        int8x16_t low = vreinterpretq_s8_s32(vzip1q_s32(a, b)), high = vreinterpretq_s8_s32(vzip2q_s32(a, b));
#pragma GCC unroll 3
        for (int p = 0; p < NP; p++) {
            acc[p][2 * i] = vusmmlaq_s32(acc[p][2 * i], v[p], low);
            acc[p][2 * i + 1] = vusmmlaq_s32(acc[p][2 * i + 1], v[p], high);
        }
    }
}

/* `tile` where weights have scales. */
TILE void scaled_tile(const int NP, const int8_t *w, int32_t n_lines, const uint8_t *u, size_t u_stride, int32_t *out)
{
    memset(out, 0, 2 * (size_t)NP * PN_BLOCK * sizeof *out);
    for (int32_t first = 0, end; first < n_lines; first = end) {
        const int8_t *line = pn_scaled_line(w, first), *scales = pn_line_scales(w, first);
        int32x4_t acc[3][8];
#pragma GCC unroll 3
        for (int p = 0; p < NP; p++)
#pragma GCC unroll 8
            for (int i = 0; i < 8; i++)
                acc[p][i] = vdupq_n_s32(0);
        end = span_end(first, n_lines);
        for (int32_t k = first; k < end; k++, line += PN_LINE, u += 2 * PN_GROUP)
            two_groups(2, NP, acc, line, u, u_stride, 1);
#pragma GCC unroll 3
        for (int p = 0; p < NP; p++)
#pragma GCC unroll 4
            for (int i = 0; i < 4; i++) {
                int32x4_t a = acc[p][2 * i], b = acc[p][2 * i + 1];
                int32_t *to = out + 2 * p * PN_BLOCK + 4 * i;
                add_span(scales + 4 * i, vcombine_s32(vget_low_s32(a), vget_low_s32(b)), to);
                add_span(scales + 4 * i, vcombine_s32(vget_high_s32(a), vget_high_s32(b)), to + PN_BLOCK);
            }
    }
}

/* One block of 16 rows by NP pairs of columns; a sum holds 2 columns by 2 rows. */
TILE void tile(const int GROUPS, const int SCALED, const int NP, const int8_t *w, int32_t n_groups, const uint8_t *u,
               size_t u_stride, int32_t *out)
{
    int32x4_t acc[3][8];
    if (SCALED) {
        scaled_tile(NP, w, n_groups / 2, u, u_stride, out);
        return;
    }
#pragma GCC unroll 3
    for (int p = 0; p < NP; p++)
#pragma GCC unroll 8
        for (int i = 0; i < 8; i++)
            acc[p][i] = vdupq_n_s32(0);
    for (; n_groups >= 2; n_groups -= 2, w += 2 * PN_LINE / GROUPS, u += 8)
        two_groups(GROUPS, NP, acc, w, u, u_stride, 1);
    if (n_groups)
        two_groups(GROUPS, NP, acc, w, u, u_stride, 0);
#pragma GCC unroll 3
    for (int p = 0; p < NP; p++, out += 2 * PN_BLOCK)
#pragma GCC unroll 4
        for (int i = 0; i < 4; i++) {
            int32x4_t a = acc[p][2 * i], b = acc[p][2 * i + 1];
            vst1q_s32(out + 4 * i, vcombine_s32(vget_low_s32(a), vget_low_s32(b)));
            vst1q_s32(out + PN_BLOCK + 4 * i, vcombine_s32(vget_high_s32(a), vget_high_s32(b)));
        }
}

/* The last column of an odd number. */
TARGET static void last_column(const pn_product *p, const int8_t *weights, const int32_t *row_sum, int32_t *acc)
{
    pn_product one = *p;
    one.weights = weights;
    one.row_sum = row_sum;
    one.n_blocks = one.n_columns = 1;
    one.u = p->u + (size_t)(p->n_columns - 1) * p->u_stride;
    pn_neon_dot_mac(&one, acc);
}

TILE void product(const int GROUPS, const int SCALED, const pn_product *p, int32_t *acc)
{
    const size_t block_bytes = pn_block_bytes(p->n_groups, 8 / GROUPS, SCALED ? PN_SCALED : PN_PLAIN);
    const int32_t n_groups = p->n_groups, pairs = p->n_columns / 2, parts = pn_divide_up(pairs, 3);
    const int8_t *weights = p->weights;
    const int32_t *row_sum = p->row_sum;
    for (int32_t b = 0; b < p->n_blocks; b++, weights += block_bytes, row_sum += PN_BLOCK) {
        for (int32_t i = 0; i < parts; i++) {
            int32_t first = i * pairs / parts, np = (i + 1) * pairs / parts - first;
            const uint8_t *v = p->u + 2 * (size_t)first * p->u_stride;
            switch (np) {
            case 1: tile(GROUPS, SCALED, 1, weights, n_groups, v, p->u_stride, acc); break;
            case 2: tile(GROUPS, SCALED, 2, weights, n_groups, v, p->u_stride, acc); break;
            case 3: tile(GROUPS, SCALED, 3, weights, n_groups, v, p->u_stride, acc); break;
            }
            acc += 2 * np * PN_BLOCK;
        }
        if (p->n_columns & 1) {
            last_column(p, weights, row_sum, acc);
            acc += PN_BLOCK;
        }
    }
}

TARGET static void mac(const pn_product *p, int32_t *acc)
{
    PN_BY_KIND(product, p, acc);
}

const pn_kernels pn_kernels_neon_i8mm = {"neoni8mm",       mac,  pn_neon_requantise, pn_neon_lstm,
                                         pn_neon_quantise, NULL, PN_COLUMNS};
#else
typedef int pn_no_neon_i8mm;
#endif
