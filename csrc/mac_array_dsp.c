/* SPDX-License-Identifier: Apache-2.0 */
/* Cortex-M4, M7 and M33: the DSP extension, two products of 16 bits in an instruction. Weights are widened as they
 * come, bytes 0 and 2 of a word and bytes 1 and 3; activations once for eight rows. What stands around is the
 * reference's. */
#include "mac_array.h"
#if PN_HAS_DSP

#include <arm_acle.h>

#define TILE __attribute__((always_inline)) static inline

/* Bytes 0 and 2, and 1 and 3, of a word, signed. */
TILE int32_t even_bytes(uint32_t w)
{
    int32_t v;
    __asm__("sxtb16 %0, %1" : "=r"(v) : "r"(w));
    return v;
}

TILE int32_t odd_bytes(uint32_t w)
{
    int32_t v;
    __asm__("sxtb16 %0, %1, ror #8" : "=r"(v) : "r"(w));
    return v;
}

/* acc + both products; not the intrinsic, which keeps a flag of overflow that nobody asks for. */
TILE int32_t add_products(int32_t a, int32_t b, int32_t acc)
{
    __asm__("smlad %0, %1, %2, %0" : "+r"(acc) : "r"(a), "r"(b));
    return acc;
}

/* acc + a row's four weights times activations 0 and 2 in `low`, 1 and 3 in `high`. In one piece, so that a weight is
 * loaded where it is used: there are eight sums, and fourteen registers. */
TILE int32_t add_row(const uint32_t *w, uint32_t low, uint32_t high, int32_t acc)
{
    uint32_t even, odd;
    __asm__("ldr %2, %5\n\tsxtb16 %1, %2\n\tsxtb16 %2, %2, ror #8\n\tsmlad %0, %1, %3, %0\n\tsmlad %0, %2, %4, %0"
            : "+r"(acc), "=&r"(even), "=&r"(odd)
            : "r"(low), "r"(high), "m"(*w));
    return acc;
}

/* Eight rows by a group of activations; `half` -1: weights of 8 bits, 0 or 1: a line's lower or upper halves of
 * bytes. */
TILE void eight_rows(const uint32_t *w, const uint8_t *u, int half, int32_t acc[8])
{
    const uint32_t v = (uint32_t)pn_load_group(u), low = v & 0x00ff00ffu, high = v >> 8 & 0x00ff00ffu;
#pragma GCC unroll 8
    for (int r = 0; r < 8; r++) {
        if (half < 0) {
            acc[r] = add_row(w + r, low, high, acc[r]);
            continue;
        }
        const uint32_t four = half ? w[r] & 0xf0f0f0f0u : w[r] << 4 & 0xf0f0f0f0u;
        acc[r] = add_products(even_bytes(four), (int32_t)low, acc[r]);
        acc[r] = add_products(odd_bytes(four), (int32_t)high, acc[r]);
    }
}

/* Half a block with scales, whose first row is `row`: span by span, over all lines. */
TILE void scaled_half_block(const pn_product *p, const int8_t *block, int row, const uint8_t *u, int32_t *out)
{
    const int32_t n_lines = p->n_groups / 2;
    int32_t all[8] = {0};
    for (int32_t first = 0, end; first < n_lines; first = end) {
        const int8_t *line = pn_scaled_line(block, first) + PN_GROUP * row,
                     *scales = pn_line_scales(block, first) + row;
        int32_t acc[8] = {0};
        end = first + PN_SPAN < n_lines ? first + PN_SPAN : n_lines;
        for (int32_t i = first; i < end; i++, line += PN_LINE, u += 2 * PN_GROUP) {
            eight_rows((const uint32_t *)(const void *)line, u, 0, acc);
            eight_rows((const uint32_t *)(const void *)line, u + PN_GROUP, 1, acc);
        }
        for (int r = 0; r < 8; r++)
            all[r] += acc[r] / 16 * scales[r];
    }
    memcpy(out, all, sizeof all);
}

/* Half a block: eight rows by one column, over all lines or those that are used. */
TILE void half_block(const pn_product *p, const int GROUPS, const int SCALED, const int8_t *block, int row,
                     const uint8_t *u, int32_t *out)
{
    if (SCALED) {
        scaled_half_block(p, block, row, u, out);
        return;
    }
    const int8_t *weights = block + PN_GROUP * row;
    const int32_t n_lines = p->used ? p->n_used : p->n_groups / GROUPS;
    int32_t acc[8] = {0};
    if (GROUPS == 1 && !p->used) {
        for (const uint8_t *end = u + (size_t)n_lines * PN_GROUP; u < end; u += PN_GROUP, weights += PN_LINE)
            eight_rows((const uint32_t *)(const void *)weights, u, -1, acc);
        memcpy(out, acc, sizeof acc);
        return;
    }
    for (int32_t i = 0; i < n_lines; i++) {
        const int32_t line = p->used ? p->used[i] : i;
        const uint32_t *w = (const uint32_t *)(const void *)(weights + (size_t)line * PN_LINE);
        const uint8_t *v = u + (size_t)line * PN_GROUP * GROUPS;
        if (GROUPS == 1) {
            eight_rows(w, v, -1, acc);
        } else {
            eight_rows(w, v, 0, acc);
            eight_rows(w, v + PN_GROUP, 1, acc);
        }
    }
    memcpy(out, acc, sizeof acc);
}

TILE void product(const int GROUPS, const int SCALED, const pn_product *p, int32_t *acc)
{
    const size_t block_bytes = pn_block_bytes(p->n_groups, 8 / GROUPS, SCALED ? PN_SCALED : PN_PLAIN);
    for (int32_t b = 0; b < p->n_blocks; b++)
        for (int32_t j = 0; j < p->n_columns; j++)
            for (int row = 0; row < PN_BLOCK; row += 8, acc += 8)
                half_block(p, GROUPS, SCALED, p->weights + (size_t)b * block_bytes, row, p->u + (size_t)j * p->u_stride,
                           acc);
}

static void mac(const pn_product *p, int32_t *acc)
{
    PN_BY_KIND(product, p, acc);
}

const pn_kernels pn_kernels_dsp = {"dsp", mac, pn_ref_requantise, pn_ref_lstm, pn_ref_quantise, NULL, PN_COLUMNS};
#else
typedef int pn_no_dsp;
#endif
