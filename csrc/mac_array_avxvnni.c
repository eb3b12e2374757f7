/* AVX-VNNI: vpdpbusd on 256-bit vectors, for processors without AVX-512 (Alder Lake, Sierra Forest and later). What stands
 * around the MAC array is AVX2's. */
#include "mac_array.h"
#if defined(__x86_64__) && PN_HAS_AVXVNNI

#include <immintrin.h>

#define TARGET __attribute__((target("avx2,avxvnni")))
#define TILE TARGET __attribute__((always_inline)) static inline

/* One block (two vectors of 8 rows) by NC columns: 12 sums, 2 weight vectors and a broadcast fill the 16 registers. Where
 * `next` is not NULL, a block of what lies there is fetched meanwhile. */
TILE void tile(const int NC, const int8_t *weights, int32_t n_groups, const uint8_t *u, size_t u_stride,
               const int8_t *next, int32_t *acc)
{
    __m256i sum[6][2];
#pragma GCC unroll 6
    for (int j = 0; j < NC; j++)
        sum[j][0] = sum[j][1] = _mm256_setzero_si256();
    for (int32_t g = 0; g < n_groups; g++, weights += 64, u += 4) {
        const __m256i *w = (const __m256i *)(const void *)weights;
        __m256i low = _mm256_loadu_si256(w), high = _mm256_loadu_si256(w + 1);
        if (next)
            _mm_prefetch((const char *)next + 64 * (size_t)g, _MM_HINT_T0);
#pragma GCC unroll 6
        for (int j = 0; j < NC; j++) {
            __m256i v = _mm256_set1_epi32(pn_load_group(u + (size_t)j * u_stride));
            sum[j][0] = _mm256_dpbusd_avx_epi32(sum[j][0], v, low);
            sum[j][1] = _mm256_dpbusd_avx_epi32(sum[j][1], v, high);
        }
    }
#pragma GCC unroll 6
    for (int j = 0; j < NC; j++)
#pragma GCC unroll 2
        for (int i = 0; i < 2; i++)
            _mm256_storeu_si256((__m256i *)(void *)(acc + j * PN_BLOCK + 8 * i), sum[j][i]);
}

/* One column: the weights are read once, in four streams for the processor's own prefetching. Of SOME groups alone where
 * `used` lists them. */
TILE void four_blocks(const int SOME, const pn_product *p, const int8_t *weights, int32_t *acc)
{
    const size_t block_bytes = (size_t)p->n_groups * 64;
    const int32_t n = SOME ? p->n_used : p->n_groups;
    __m256i sum[4][2];
#pragma GCC unroll 4
    for (int b = 0; b < 4; b++)
        sum[b][0] = sum[b][1] = _mm256_setzero_si256();
#pragma GCC unroll 2
    for (int32_t i = 0; i < n; i++) {
        size_t g = SOME ? p->used[i] : (size_t)i;
        __m256i v = _mm256_set1_epi32(pn_load_group(p->u + 4 * g));
#pragma GCC unroll 4
        for (int b = 0; b < 4; b++) {
            const __m256i *w = (const __m256i *)(const void *)(weights + (size_t)b * block_bytes + 64 * g);
            sum[b][0] = _mm256_dpbusd_avx_epi32(sum[b][0], v, _mm256_loadu_si256(w));
            sum[b][1] = _mm256_dpbusd_avx_epi32(sum[b][1], v, _mm256_loadu_si256(w + 1));
        }
    }
#pragma GCC unroll 4
    for (int b = 0; b < 4; b++)
#pragma GCC unroll 2
        for (int i = 0; i < 2; i++)
            _mm256_storeu_si256((__m256i *)(void *)(acc + b * PN_BLOCK + 8 * i), sum[b][i]);
}

TARGET static void one_column(const pn_product *p, int32_t *acc)
{
    const size_t block_bytes = (size_t)p->n_groups * 64;
    int32_t b = 0;
    for (; b + 4 <= p->n_blocks; b += 4, acc += 4 * PN_BLOCK)
        if (p->used)
            four_blocks(1, p, p->weights + (size_t)b * block_bytes, acc);
        else
            four_blocks(0, p, p->weights + (size_t)b * block_bytes, acc);
    for (; b < p->n_blocks; b++, acc += PN_BLOCK)
        tile(1, p->weights + (size_t)b * block_bytes, p->n_groups, p->u, 0, NULL, acc);
}

TARGET static void mac(const pn_product *p, int32_t *acc)
{
    if (p->n_columns == 1) {
        one_column(p, acc);
        return;
    }
    const int32_t n_groups = p->n_groups, parts = pn_divide_up(p->n_columns, 6); /* even parts: 16 columns go as 5, 5, 6 */
    const int8_t *weights = p->weights;
    for (int32_t b = 0; b < p->n_blocks; b++, weights += (size_t)n_groups * 64, acc += (size_t)p->n_columns * PN_BLOCK)
        for (int32_t i = 0; i < parts; i++) {
            int32_t j = i * p->n_columns / parts, nc = (i + 1) * p->n_columns / parts - j;
            const uint8_t *v = p->u + (size_t)j * p->u_stride;
            const int8_t *next = i + 1 < parts ? NULL : b + 1 < p->n_blocks ? weights + (size_t)n_groups * 64 : p->next;
            int32_t *a = acc + (size_t)j * PN_BLOCK;
            switch (nc) {
            case 1: tile(1, weights, n_groups, v, p->u_stride, next, a); break;
            case 2: tile(2, weights, n_groups, v, p->u_stride, next, a); break;
            case 3: tile(3, weights, n_groups, v, p->u_stride, next, a); break;
            case 4: tile(4, weights, n_groups, v, p->u_stride, next, a); break;
            case 5: tile(5, weights, n_groups, v, p->u_stride, next, a); break;
            case 6: tile(6, weights, n_groups, v, p->u_stride, next, a); break;
            }
        }
}

const pn_kernels pn_kernels_avxvnni = {"avxvnni", mac, pn_avx2_requantise, pn_avx2_lstm, pn_avx2_quantise};
#else
typedef int pn_no_avxvnni;
#endif
