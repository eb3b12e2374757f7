/* SPDX-License-Identifier: Apache-2.0 */
/* AVX-VNNI: vpdpbusd on 256-bit vectors, for processors without AVX-512 (Alder Lake, Sierra Forest and later). What
 * stands around the MAC array is AVX2's. */
#include "mac_array.h"
#if defined(__x86_64__) && PN_HAS_AVXVNNI

#include <immintrin.h>

#define TARGET __attribute__((target("avx2,avxvnni")))
#define TILE TARGET __attribute__((always_inline)) static inline

/* Eight rows (the first or the last, by `high`) of group i of a line. It has one of 8 bits, or two GROUPS of 4: the
 * first in the lower halves of the bytes, the second in the upper. */
TILE __m256i load(const int GROUPS, const int i, const int high, const int8_t *line)
{
    __m256i w = _mm256_loadu_si256((const __m256i *)(const void *)(line + 32 * high));
    if (GROUPS == 1)
        return w;
    return _mm256_and_si256(i ? w : _mm256_slli_epi16(w, 4), _mm256_set1_epi8((char)0xf0));
}

/* One block (two vectors of 8 rows) by NC columns: 12 sums, 2 weight vectors and a broadcast fill the 16 registers.
 * Where `next` is not NULL, as many lines of what lies there are fetched meanwhile. */
TILE void tile(const int GROUPS, const int NC, const int8_t *weights, int32_t n_groups, const uint8_t *u,
               size_t u_stride, const int8_t *next, int32_t *acc)
{
    __m256i sum[6][2];
#pragma GCC unroll 6
    for (int j = 0; j < NC; j++)
        sum[j][0] = sum[j][1] = _mm256_setzero_si256();
    for (int32_t line = 0; line < n_groups / GROUPS; line++, weights += 64, u += 4 * GROUPS) {
        if (next)
            _mm_prefetch((const char *)next + 64 * (size_t)line, _MM_HINT_T0);
#pragma GCC unroll 2
        for (int i = 0; i < GROUPS; i++) {
            __m256i low = load(GROUPS, i, 0, weights), high = load(GROUPS, i, 1, weights);
#pragma GCC unroll 6
            for (int j = 0; j < NC; j++) {
                __m256i v = _mm256_set1_epi32(pn_load_group(u + (size_t)j * u_stride + 4 * i));
                sum[j][0] = _mm256_dpbusd_avx_epi32(sum[j][0], v, low);
                sum[j][1] = _mm256_dpbusd_avx_epi32(sum[j][1], v, high);
            }
        }
    }
#pragma GCC unroll 6
    for (int j = 0; j < NC; j++)
#pragma GCC unroll 2
        for (int i = 0; i < 2; i++)
            _mm256_storeu_si256((__m256i *)(void *)(acc + j * PN_BLOCK + 8 * i), sum[j][i]);
}

/* One column: the weights are read once, in four streams for the processor's own prefetching. Of SOME lines alone where
 * `used` lists them. */
TILE void four_blocks(const int GROUPS, const int SOME, const pn_product *p, const int8_t *weights, int32_t *acc)
{
    const size_t block_bytes = (size_t)(p->n_groups / GROUPS) * PN_LINE;
    const int32_t n = SOME ? p->n_used : p->n_groups / GROUPS;
    __m256i sum[4][2];
#pragma GCC unroll 4
    for (int b = 0; b < 4; b++)
        sum[b][0] = sum[b][1] = _mm256_setzero_si256();
#pragma GCC unroll 2
    for (int32_t k = 0; k < n; k++) {
        size_t line = SOME ? p->used[k] : (size_t)k;
#pragma GCC unroll 2
        for (int i = 0; i < GROUPS; i++) {
            __m256i v = _mm256_set1_epi32(pn_load_group(p->u + 4 * GROUPS * line + 4 * i));
#pragma GCC unroll 4
            for (int b = 0; b < 4; b++) {
                const int8_t *w = weights + (size_t)b * block_bytes + 64 * line;
                sum[b][0] = _mm256_dpbusd_avx_epi32(sum[b][0], v, load(GROUPS, i, 0, w));
                sum[b][1] = _mm256_dpbusd_avx_epi32(sum[b][1], v, load(GROUPS, i, 1, w));
            }
        }
    }
#pragma GCC unroll 4
    for (int b = 0; b < 4; b++)
#pragma GCC unroll 2
        for (int i = 0; i < 2; i++)
            _mm256_storeu_si256((__m256i *)(void *)(acc + b * PN_BLOCK + 8 * i), sum[b][i]);
}

TILE void one_column(const int GROUPS, const pn_product *p, int32_t *acc)
{
    const size_t block_bytes = (size_t)(p->n_groups / GROUPS) * PN_LINE;
    int32_t b = 0;
    for (; b + 4 <= p->n_blocks; b += 4, acc += 4 * PN_BLOCK)
        if (p->used)
            four_blocks(GROUPS, 1, p, p->weights + (size_t)b * block_bytes, acc);
        else
            four_blocks(GROUPS, 0, p, p->weights + (size_t)b * block_bytes, acc);
    for (; b < p->n_blocks; b++, acc += PN_BLOCK)
        tile(GROUPS, 1, p->weights + (size_t)b * block_bytes, p->n_groups, p->u, 0, NULL, acc);
}

TILE void product(const int GROUPS, const pn_product *p, int32_t *acc)
{
    if (p->n_columns == 1) {
        one_column(GROUPS, p, acc);
        return;
    }
    const size_t block_bytes = (size_t)(p->n_groups / GROUPS) * PN_LINE;
    const int32_t n_groups = p->n_groups,
                  parts = pn_divide_up(p->n_columns, 6); /* even parts: 16 columns go as 5, 5, 6 */
    const int8_t *weights = p->weights;
    for (int32_t b = 0; b < p->n_blocks; b++, weights += block_bytes, acc += (size_t)p->n_columns * PN_BLOCK)
        for (int32_t i = 0; i < parts; i++) {
            int32_t j = i * p->n_columns / parts, nc = (i + 1) * p->n_columns / parts - j;
            const uint8_t *v = p->u + (size_t)j * p->u_stride;
            const int8_t *next = i + 1 < parts ? NULL : b + 1 < p->n_blocks ? weights + block_bytes : p->next;
            int32_t *a = acc + (size_t)j * PN_BLOCK;
            switch (nc) {
            case 1: tile(GROUPS, 1, weights, n_groups, v, p->u_stride, next, a); break;
            case 2: tile(GROUPS, 2, weights, n_groups, v, p->u_stride, next, a); break;
            case 3: tile(GROUPS, 3, weights, n_groups, v, p->u_stride, next, a); break;
            case 4: tile(GROUPS, 4, weights, n_groups, v, p->u_stride, next, a); break;
            case 5: tile(GROUPS, 5, weights, n_groups, v, p->u_stride, next, a); break;
            case 6: tile(GROUPS, 6, weights, n_groups, v, p->u_stride, next, a); break;
            }
        }
}

TARGET static void mac(const pn_product *p, int32_t *acc)
{
    if (p->weight_bits == 4)
        product(2, p, acc);
    else
        product(1, p, acc);
}

const pn_kernels pn_kernels_avxvnni = {"avxvnni", mac, pn_avx2_requantise, pn_avx2_lstm, pn_avx2_quantise};
#else
typedef int pn_no_avxvnni;
#endif
