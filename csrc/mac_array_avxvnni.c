/* SPDX-License-Identifier: Apache-2.0 */
/* AVX-VNNI: vpdpbusd on 256-bit vectors, for processors without AVX-512 (Alder Lake, Sierra Forest and later). What
 * stands around the MAC array is AVX2's. */
#include "mac_array.h"
#if defined(__x86_64__) && PN_HAS_AVXVNNI

#include <immintrin.h>

#define TARGET __attribute__((target("avx2,avxvnni")))
#define TILE TARGET __attribute__((always_inline)) static inline

#include "mac_array_256.h"

/* A line by NC columns. */
TILE void add_line(const int GROUPS, const int NC, const int8_t *line, const uint8_t *u, size_t u_stride,
                   __m256i (*sum)[2])
{
#pragma GCC unroll 2
    for (int i = 0; i < GROUPS; i++) {
        __m256i low = load(GROUPS, i, 0, line), high = load(GROUPS, i, 1, line);
#pragma GCC unroll 6
        for (int j = 0; j < NC; j++) {
            __m256i v = _mm256_set1_epi32(pn_load_group(u + (size_t)j * u_stride + 4 * i));
            sum[j][0] = _mm256_dpbusd_avx_epi32(sum[j][0], v, low);
            sum[j][1] = _mm256_dpbusd_avx_epi32(sum[j][1], v, high);
        }
    }
}

/* Adds to acc the sums of a span's lines, sixteen times too large, by the rows' scales. */
TILE void add_span(const int8_t *scales, const __m256i sum[2], int32_t *acc)
{
#pragma GCC unroll 2
    for (int i = 0; i < 2; i++) {
        const __m256i by = _mm256_cvtepu8_epi32(_mm_loadl_epi64((const __m128i *)(const void *)(scales + 8 * i)));
        const __m256i product = _mm256_mullo_epi32(_mm256_srai_epi32(sum[i], 4), by);
        __m256i *to = (__m256i *)(void *)(acc + 8 * i);
        _mm256_storeu_si256(to, _mm256_add_epi32(_mm256_loadu_si256(to), product));
    }
}

/* `tile` where weights have scales: the sums stay in registers for a span. */
TILE void scaled_tile(const int NC, const int8_t *weights, int32_t n_lines, const uint8_t *u, size_t u_stride,
                      const int8_t *next, int32_t *acc)
{
    memset(acc, 0, (size_t)NC * PN_BLOCK * sizeof *acc);
    for (int32_t i = 0, end; i < n_lines; i = end) {
        const int8_t *line = pn_scaled_line(weights, i);
        __m256i sum[6][2];
#pragma GCC unroll 6
        for (int j = 0; j < NC; j++)
            sum[j][0] = sum[j][1] = _mm256_setzero_si256();
        end = i + PN_SPAN < n_lines ? i + PN_SPAN : n_lines;
        for (int32_t k = i; k < end; k++, line += PN_LINE, u += 2 * PN_GROUP) {
            if (next)
                _mm_prefetch((const char *)next + 64 * (size_t)k, _MM_HINT_T0);
            add_line(2, NC, line, u, u_stride, sum);
        }
#pragma GCC unroll 6
        for (int j = 0; j < NC; j++)
            add_span(pn_line_scales(weights, i), sum[j], acc + j * PN_BLOCK);
    }
}

/* One block (two vectors of 8 rows) by NC columns: 12 sums, 2 weight vectors and a broadcast fill the 16 registers.
 * Where `next` is not NULL, as many lines of what lies there are fetched meanwhile. */
TILE void tile(const int GROUPS, const int SCALED, const int NC, const int8_t *weights, int32_t n_groups,
               const uint8_t *u, size_t u_stride, const int8_t *next, int32_t *acc)
{
    __m256i sum[6][2];
    if (SCALED) {
        scaled_tile(NC, weights, n_groups / 2, u, u_stride, next, acc);
        return;
    }
#pragma GCC unroll 6
    for (int j = 0; j < NC; j++)
        sum[j][0] = sum[j][1] = _mm256_setzero_si256();
    for (int32_t line = 0; line < n_groups / GROUPS; line++, weights += 64, u += 4 * GROUPS) {
        if (next)
            _mm_prefetch((const char *)next + 64 * (size_t)line, _MM_HINT_T0);
        add_line(GROUPS, NC, weights, u, u_stride, sum);
    }
#pragma GCC unroll 6
    for (int j = 0; j < NC; j++)
#pragma GCC unroll 2
        for (int i = 0; i < 2; i++)
            _mm256_storeu_si256((__m256i *)(void *)(acc + j * PN_BLOCK + 8 * i), sum[j][i]);
}

typedef __m256i four_sums[4][2]; /* of four blocks */

TILE void begin_four(four_sums sum)
{
#pragma GCC unroll 4
    for (int b = 0; b < 4; b++)
        sum[b][0] = sum[b][1] = _mm256_setzero_si256();
}

/* A line of four blocks by a column. */
TILE void add_line_of_four(const int GROUPS, const int8_t *line, size_t block_bytes, const uint8_t *u, four_sums sum)
{
#pragma GCC unroll 2
    for (int i = 0; i < GROUPS; i++) {
        const __m256i v = _mm256_set1_epi32(pn_load_group(u + 4 * i));
#pragma GCC unroll 4
        for (int b = 0; b < 4; b++) {
            const int8_t *w = line + (size_t)b * block_bytes;
            sum[b][0] = _mm256_dpbusd_avx_epi32(sum[b][0], v, load(GROUPS, i, 0, w));
            sum[b][1] = _mm256_dpbusd_avx_epi32(sum[b][1], v, load(GROUPS, i, 1, w));
        }
    }
}

TILE void add_spans_of_four(const int8_t *scales, size_t block_bytes, four_sums sum, int32_t *acc)
{
#pragma GCC unroll 4
    for (int b = 0; b < 4; b++)
        add_span(scales + (size_t)b * block_bytes, sum[b], acc + b * PN_BLOCK);
}

/* One column: the weights are read once, in four streams for the processor's own prefetching. Of SOME lines alone where
 * `used` lists them. */
TILE void four_plain_blocks(const int GROUPS, const int SOME, const pn_product *p, const int8_t *weights, int32_t *acc)
{
    const size_t block_bytes = (size_t)(p->n_groups / GROUPS) * PN_LINE;
    const int32_t n = SOME ? p->n_used : p->n_groups / GROUPS;
    four_sums sum;
    begin_four(sum);
#pragma GCC unroll 2
    for (int32_t k = 0; k < n; k++) {
        size_t line = SOME ? p->used[k] : (size_t)k;
        add_line_of_four(GROUPS, weights + 64 * line, block_bytes, p->u + 4 * GROUPS * line, sum);
    }
#pragma GCC unroll 4
    for (int b = 0; b < 4; b++)
#pragma GCC unroll 2
        for (int i = 0; i < 2; i++)
            _mm256_storeu_si256((__m256i *)(void *)(acc + b * PN_BLOCK + 8 * i), sum[b][i]);
}

TILE void one_block(const int GROUPS, const int SCALED, const pn_product *p, const int8_t *weights, int32_t *acc)
{
    tile(GROUPS, SCALED, 1, weights, p->n_groups, p->u, 0, NULL, acc);
}

#include "mac_array_column.h"

#define PN_TOGETHER 6
#include "mac_array_256.h"

TARGET static void mac(const pn_product *p, int32_t *acc)
{
    if (p->n_columns == 1)
        PN_BY_KIND(one_column, p, acc);
    else
        PN_BY_KIND(product, p, acc);
}

const pn_kernels pn_kernels_avxvnni = {"avxvnni",        mac,  pn_avx2_requantise, pn_avx2_lstm,
                                       pn_avx2_quantise, NULL, PN_COLUMNS};
#else
typedef int pn_no_avxvnni;
#endif
