/* SPDX-License-Identifier: Apache-2.0 */
/* AVX-512 with VNNI: vpdpbusd takes 16 rows by 4 columns, u8 by s8, in one instruction. */
#if defined(__x86_64__)
#include "activation_avx2.h"
#include "mac_array.h"

#include <immintrin.h>

#define TARGET __attribute__((target("avx2,avx512f,avx512bw,avx512vl,avx512vnni")))
#define TILE TARGET __attribute__((always_inline)) static inline

/* ---- the MAC array -------------------------------------------------------------------------------------------- */

/* Group i of a line. It has one of 8 bits, or two GROUPS of 4: the first in the lower halves of the bytes, the second
 * in the upper. */
TILE __m512i load(const int GROUPS, const int i, const int8_t *line)
{
    __m512i w = _mm512_loadu_si512(line);
    if (GROUPS == 1)
        return w;
    return _mm512_and_si512(i ? w : _mm512_slli_epi16(w, 4), _mm512_set1_epi8((char)0xf0));
}

/* A line of NB blocks by NC columns: a weight vector serves NC columns, a broadcast activation NB blocks. */
TILE void add_line(const int GROUPS, const int NB, const int NC, const int8_t *line, size_t block_bytes,
                   const uint8_t *u, size_t u_stride, __m512i sum[4][8])
{
#pragma GCC unroll 2
    for (int i = 0; i < GROUPS; i++) {
        __m512i w[4];
#pragma GCC unroll 4
        for (int b = 0; b < NB; b++)
            w[b] = load(GROUPS, i, line + (size_t)b * block_bytes);
#pragma GCC unroll 8
        for (int j = 0; j < NC; j++) {
            __m512i v = _mm512_set1_epi32(pn_load_group(u + (size_t)j * u_stride + 4 * i));
#pragma GCC unroll 4
            for (int b = 0; b < NB; b++)
                sum[b][j] = _mm512_dpbusd_epi32(sum[b][j], v, w[b]);
        }
    }
}

/* Adds to acc the sums of a span's lines, sixteen times too large, by the rows' scales. */
TILE void add_span(const int8_t *scales, __m512i sum, int32_t *acc)
{
    const __m512i by = _mm512_cvtepu8_epi32(_mm_loadu_si128((const __m128i *)(const void *)scales));
    const __m512i product = _mm512_mullo_epi32(_mm512_srai_epi32(sum, 4), by);
    _mm512_storeu_si512(acc, _mm512_add_epi32(_mm512_loadu_si512(acc), product));
}

/* `tile` where weights have scales: the sums stay in registers for a span. */
TILE void scaled_tile(const int NB, const int NC, const int NP, const int8_t *weights, int32_t n_groups,
                      const uint8_t *u, size_t u_stride, const int8_t *next, int32_t *acc, size_t acc_block)
{
    const size_t block_bytes = pn_block_bytes(n_groups, 4, PN_SCALED);
    for (int b = 0; b < NB; b++)
        memset(acc + (size_t)b * acc_block, 0, (size_t)NC * PN_BLOCK * sizeof *acc);
    for (int32_t i = 0, end; i < n_groups / 2; i = end) {
        const int8_t *line = pn_scaled_line(weights, i), *scales = pn_line_scales(weights, i);
        __m512i sum[4][8];
#pragma GCC unroll 4
        for (int b = 0; b < NB; b++)
#pragma GCC unroll 8
            for (int j = 0; j < NC; j++)
                sum[b][j] = _mm512_setzero_si512();
        end = i + PN_SPAN < n_groups / 2 ? i + PN_SPAN : n_groups / 2;
        for (int32_t k = i; k < end; k++, line += PN_LINE, u += 2 * PN_GROUP, next += 64 * NP) {
#pragma GCC unroll 2
            for (int n = 0; n < NP; n++)
                _mm_prefetch((const char *)next + 64 * n, _MM_HINT_T0);
            add_line(2, NB, NC, line, block_bytes, u, u_stride, sum);
        }
#pragma GCC unroll 4
        for (int b = 0; b < NB; b++)
#pragma GCC unroll 8
            for (int j = 0; j < NC; j++)
                add_span(scales + (size_t)b * block_bytes, sum[b][j],
                         acc + (size_t)b * acc_block + (size_t)j * PN_BLOCK);
    }
}

/* NB blocks by NC columns in registers. Meanwhile NP cache lines a line of what comes `next` are fetched. */
TILE void tile(const int GROUPS, const int SCALED, const int NB, const int NC, const int NP, const int8_t *weights,
               int32_t n_groups, const uint8_t *u, size_t u_stride, const int8_t *next, int32_t *acc, size_t acc_block)
{
    const size_t block_bytes = (size_t)(n_groups / GROUPS) * PN_LINE;
    __m512i sum[4][8];
    if (SCALED) {
        scaled_tile(NB, NC, NP, weights, n_groups, u, u_stride, next, acc, acc_block);
        return;
    }
#pragma GCC unroll 4
    for (int b = 0; b < NB; b++)
#pragma GCC unroll 8
        for (int j = 0; j < NC; j++)
            sum[b][j] = _mm512_setzero_si512();
    for (const uint8_t *end = u + 4 * (size_t)n_groups; u < end; weights += 64, u += 4 * GROUPS, next += 64 * NP) {
#pragma GCC unroll 2
        for (int i = 0; i < NP; i++)
            _mm_prefetch((const char *)next + 64 * i, _MM_HINT_T0);
        add_line(GROUPS, NB, NC, weights, block_bytes, u, u_stride, sum);
    }
#pragma GCC unroll 4
    for (int b = 0; b < NB; b++)
#pragma GCC unroll 8
        for (int j = 0; j < NC; j++)
            _mm512_storeu_si512(acc + (size_t)b * acc_block + (size_t)j * PN_BLOCK, sum[b][j]);
}

typedef __m512i four_sums[4][8]; /* of four blocks: [4][0] */

TILE void begin_four(four_sums sum)
{
#pragma GCC unroll 4
    for (int b = 0; b < 4; b++)
        sum[b][0] = _mm512_setzero_si512();
}

/* A line of four blocks by a column. */
TILE void add_line_of_four(const int GROUPS, const int8_t *line, size_t block_bytes, const uint8_t *u, four_sums sum)
{
    add_line(GROUPS, 4, 1, line, block_bytes, u, 0, sum);
}

TILE void add_spans_of_four(const int8_t *scales, size_t block_bytes, four_sums sum, int32_t *acc)
{
#pragma GCC unroll 4
    for (int b = 0; b < 4; b++)
        add_span(scales + (size_t)b * block_bytes, sum[b][0], acc + b * PN_BLOCK);
}

/* One column: the weights are read once, as fast as memory gives them. Four blocks are four streams for the processor's
 * own prefetching, which software's only hinders. Of SOME lines alone where `used` lists them. */
TILE void four_plain_blocks(const int GROUPS, const int SOME, const pn_product *p, const int8_t *weights, int32_t *acc)
{
    const size_t block_bytes = (size_t)(p->n_groups / GROUPS) * PN_LINE;
    const int32_t n = SOME ? p->n_used : p->n_groups / GROUPS;
    four_sums sum;
    begin_four(sum);
#pragma GCC unroll 4
    for (int32_t k = 0; k < n; k++) {
        size_t line = SOME ? p->used[k] : (size_t)k;
        add_line_of_four(GROUPS, weights + 64 * line, block_bytes, p->u + 4 * GROUPS * line, sum);
    }
#pragma GCC unroll 4
    for (int b = 0; b < 4; b++)
        _mm512_storeu_si512(acc + b * PN_BLOCK, sum[b][0]);
}

TILE void one_block(const int GROUPS, const int SCALED, const pn_product *p, const int8_t *weights, int32_t *acc)
{
    tile(GROUPS, SCALED, 1, 1, 0, weights, p->n_groups, p->u, 0, p->next, acc, 0);
}

#include "mac_array_column.h"

#define COLUMNS(GROUPS, SCALED, NB, NC)                                                                                \
    case NC:                                                                                                           \
        if (whole)                                                                                                     \
            tile(GROUPS, SCALED, NB, NC, NB, weights, n_groups, u, u_stride, next, acc, acc_block);                    \
        else                                                                                                           \
            tile(GROUPS, SCALED, NB, NC, 1, weights, n_groups, u, u_stride, next, acc, acc_block);                     \
        break
#define BLOCKS(name, GROUPS, SCALED, NB)                                                                               \
    TARGET static void name(int32_t n_columns, int whole, const int8_t *weights, int32_t n_groups, const uint8_t *u,   \
                            size_t u_stride, const int8_t *next, int32_t *acc, size_t acc_block)                       \
    {                                                                                                                  \
        switch (n_columns) {                                                                                           \
            COLUMNS(GROUPS, SCALED, NB, 1);                                                                            \
            COLUMNS(GROUPS, SCALED, NB, 2);                                                                            \
            COLUMNS(GROUPS, SCALED, NB, 3);                                                                            \
            COLUMNS(GROUPS, SCALED, NB, 4);                                                                            \
            COLUMNS(GROUPS, SCALED, NB, 5);                                                                            \
            COLUMNS(GROUPS, SCALED, NB, 6);                                                                            \
            COLUMNS(GROUPS, SCALED, NB, 7);                                                                            \
            COLUMNS(GROUPS, SCALED, NB, 8);                                                                            \
        }                                                                                                              \
    }
BLOCKS(one_of_8, 1, 0, 1)
BLOCKS(two_of_8, 1, 0, 2)
BLOCKS(one_of_4, 2, 0, 1)
BLOCKS(two_of_4, 2, 0, 2)
BLOCKS(one_scaled, 2, 1, 1)
BLOCKS(two_scaled, 2, 1, 2)

typedef void several(int32_t n_columns, int whole, const int8_t *weights, int32_t n_groups, const uint8_t *u,
                     size_t u_stride, const int8_t *next, int32_t *acc, size_t acc_block);

/* Two blocks at a time, which stay in the nearest caches while all columns pass; in that time the next two arrive. */
TARGET void pn_avx512vnni_mac(const pn_product *p, int32_t *acc)
{
    static several *const blocks[3][2] = {
        {one_of_8,   two_of_8  },
        {one_of_4,   two_of_4  },
        {one_scaled, two_scaled}
    };
    const int kind = p->layout == PN_SCALED ? 2 : p->weight_bits == 4;
    if (p->n_columns == 1) {
        PN_BY_KIND(one_column, p, acc);
        return;
    }
    const size_t block_bytes = pn_block_bytes(p->n_groups, p->weight_bits, p->layout);
    const size_t acc_block = (size_t)p->n_columns * PN_BLOCK;
    const int8_t *weights = p->weights;
    const int32_t parts = p->n_columns > 8 ? 2 : 1; /* even parts: 16 columns go as 8 and 8 */
    for (int32_t b = 0, nb; b < p->n_blocks;
         b += nb, weights += (size_t)nb * block_bytes, acc += (size_t)nb * acc_block) {
        nb = p->n_blocks - b >= 2 ? 2 : 1;
        const int8_t *next = b + nb < p->n_blocks ? weights + (size_t)nb * block_bytes : p->next;
        for (int32_t i = 0; i < parts; i++, next += block_bytes) {
            int32_t j = i * p->n_columns / parts, nc = (i + 1) * p->n_columns / parts - j;
            blocks[kind][nb == 2](nc, parts == 1, weights, p->n_groups, p->u + (size_t)j * p->u_stride, p->u_stride,
                                  next, acc + (size_t)j * PN_BLOCK, acc_block);
        }
    }
}

/* ---- around it ------------------------------------------------------------------------------------------------ */

/* (even, odd) 64-bit lanes shifted right; each result fits in 32 bits and goes back to its place. */
TILE __m512i shift_and_merge(__m512i even, __m512i odd, __m128i shift)
{
    even = _mm512_sra_epi64(even, shift);
    odd = _mm512_sra_epi64(odd, shift);
    return _mm512_mask_blend_epi32(0xaaaa, even, _mm512_slli_epi64(odd, 32));
}

TARGET void pn_avx512vnni_requantise(const int32_t *acc, int32_t n_blocks, int32_t n_columns, const int32_t *bias,
                                     const int32_t *multiplier, int32_t shift, uint8_t *out, size_t out_stride)
{
    const __m512i half = _mm512_set1_epi64((int64_t)1 << (shift - 1));
    const __m128i count = _mm_cvtsi32_si128(shift);
    for (int32_t b = 0; b < n_blocks; b++) {
        __m512i add = _mm512_loadu_si512(bias + b * PN_BLOCK), m = _mm512_loadu_si512(multiplier + b * PN_BLOCK);
        __m512i m_odd = _mm512_srli_epi64(m, 32);
        for (int32_t j = 0; j < n_columns; j++, acc += PN_BLOCK) {
            __m512i v = _mm512_add_epi32(_mm512_loadu_si512(acc), add);
            __m512i even = _mm512_add_epi64(_mm512_mul_epi32(v, m), half);
            __m512i odd = _mm512_add_epi64(_mm512_mul_epi32(_mm512_srli_epi64(v, 32), m_odd), half);
            v = _mm512_max_epi32(shift_and_merge(even, odd, count), _mm512_setzero_si512());
            _mm_storeu_si128((__m128i *)(void *)(out + (size_t)j * out_stride + b * PN_BLOCK),
                             _mm512_cvtusepi32_epi8(v));
        }
    }
}

typedef struct {
    __m512i bias, even, odd; /* of 16 rows; the multiplier's even and odd lanes */
} half_gate;

TILE half_gate load_half(const int32_t *bias, const int32_t *multiplier)
{
    __m512i m = _mm512_loadu_si512(multiplier);
    half_gate r = {_mm512_loadu_si512(bias), m, _mm512_srli_epi64(m, 32)};
    return r;
}

TILE __m256i gate(const half_gate *x, const half_gate *h, const int32_t *acc_x, const int32_t *acc_h, __m512i half,
                  __m128i count)
{
    __m512i vx = _mm512_add_epi32(_mm512_loadu_si512(acc_x), x->bias);
    __m512i vh = _mm512_add_epi32(_mm512_loadu_si512(acc_h), h->bias);
    __m512i even = _mm512_add_epi64(_mm512_mul_epi32(vx, x->even), _mm512_mul_epi32(vh, h->even));
    __m512i odd = _mm512_add_epi64(_mm512_mul_epi32(_mm512_srli_epi64(vx, 32), x->odd),
                                   _mm512_mul_epi32(_mm512_srli_epi64(vh, 32), h->odd));
    return _mm512_cvtsepi32_epi16(shift_and_merge(_mm512_add_epi64(even, half), _mm512_add_epi64(odd, half), count));
}

/* Products of a gate (0 to 32767) with 16-bit values, in 32 bits: the gate's upper half-words are zero. */
TILE __m512i product(__m256i gate_value, __m256i v)
{
    return _mm512_madd_epi16(_mm512_cvtepu16_epi32(gate_value), _mm512_cvtepi16_epi32(v));
}

TILE __m256i to_q12(__m256i c, int32_t fraction_bits)
{
    __m512i v = _mm512_cvtepi16_epi32(c);
    if (fraction_bits <= 12)
        v = _mm512_sll_epi32(v, _mm_cvtsi32_si128(12 - fraction_bits));
    else
        v = _mm512_sra_epi32(_mm512_add_epi32(v, _mm512_set1_epi32(1 << (fraction_bits - 13))),
                             _mm_cvtsi32_si128(fraction_bits - 12));
    return _mm512_cvtsepi32_epi16(v);
}

TARGET void pn_avx512vnni_lstm(const pn_lstm_tile *t)
{
    const pn_cubics s = pn_load_cubics(pn_sigmoid_coefficients), th = pn_load_cubics(pn_tanh_coefficients);
    const __m512i half = _mm512_set1_epi64((int64_t)1 << (t->shift - 1)), round15 = _mm512_set1_epi32(1 << 14);
    const __m128i count = _mm_cvtsi32_si128(t->shift);
    const int ig_bits = 15 - t->cell_fraction_bits;
    const __m512i ig_round = _mm512_set1_epi32(ig_bits ? 1 << (ig_bits - 1) : 0);
    half_gate x[4], h[4];
    for (int g = 0; g < 4; g++) {
        x[g] = load_half(t->bias_x + g * PN_BLOCK, t->multiplier_x + g * PN_BLOCK);
        h[g] = load_half(t->bias_h + g * PN_BLOCK, t->multiplier_h + g * PN_BLOCK);
    }
    for (int32_t j = 0; j < t->n_columns; j++) {
        __m256i q[4];
#pragma GCC unroll 4
        for (int g = 0; g < 4; g++)
            q[g] = gate(&x[g], &h[g], pn_gate_x(t, g, j), pn_gate_h(t, g, j), half, count);
        __m256i i = pn_sigmoid16(&s, q[0]), g = pn_tanh16(&th, q[1]), f = pn_sigmoid16(&s, q[2]),
                o = pn_sigmoid16(&s, q[3]);
        __m256i *cell = (__m256i *)(void *)(t->c + (size_t)j * t->c_stride);
        __m512i ig = _mm512_sra_epi32(_mm512_add_epi32(product(i, g), ig_round), _mm_cvtsi32_si128(ig_bits));
        __m512i v = _mm512_add_epi32(product(f, _mm256_loadu_si256(cell)), ig);
        __m256i c = _mm512_cvtsepi32_epi16(_mm512_srai_epi32(_mm512_add_epi32(v, round15), 15));
        _mm256_storeu_si256(cell, c);
        __m256i y = _mm256_mulhrs_epi16(o, pn_tanh16(&th, to_q12(c, t->cell_fraction_bits)));
        __m512i hq = _mm512_mullo_epi32(_mm512_cvtepi16_epi32(y), _mm512_set1_epi32(t->h_multiplier));
        hq = _mm512_sra_epi32(_mm512_add_epi32(hq, _mm512_set1_epi32(1 << (t->h_shift - 1))),
                              _mm_cvtsi32_si128(t->h_shift));
        hq = _mm512_min_epi32(_mm512_max_epi32(hq, _mm512_set1_epi32(-127)), _mm512_set1_epi32(127));
        _mm_storeu_si128((__m128i *)(void *)(t->h + (size_t)j * t->h_stride),
                         _mm512_cvtepi32_epi8(_mm512_add_epi32(hq, _mm512_set1_epi32(128))));
    }
}

TARGET void pn_avx512vnni_quantise(const float *x, const float *gain, int32_t n, uint8_t *u, uint8_t *residual)
{
    pn_quantise_loop(x, gain, n, u, residual);
}

const pn_kernels pn_kernels_avx512vnni = {"avx512vnni",       pn_avx512vnni_mac,      pn_avx512vnni_requantise,
                                          pn_avx512vnni_lstm, pn_avx512vnni_quantise, NULL,
                                          PN_COLUMNS};
#else
typedef int pn_no_avx512vnni;
#endif
