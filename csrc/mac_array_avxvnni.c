/* AVX-VNNI: vpdpbusd on 256-bit vectors, for processors without AVX-512 (Alder Lake, Sierra Forest and later). What stands
 * around the MAC array is AVX2's. */
#include "mac_array.h"
#if defined(__x86_64__) && PN_HAS_AVXVNNI

#include <immintrin.h>

#define TARGET __attribute__((target("avx2,avxvnni")))
#define TILE TARGET __attribute__((always_inline)) static inline

/* One block (two vectors of 8 rows) by NC columns: 12 sums, 2 weight vectors and a broadcast fill the 16 registers. */
TILE void tile(const int NC, const int8_t *weights, int32_t n_groups, const uint8_t *u, size_t u_stride, int32_t *acc)
{
    __m256i sum[6][2];
#pragma GCC unroll 6
    for (int j = 0; j < NC; j++)
        sum[j][0] = sum[j][1] = _mm256_setzero_si256();
    for (int32_t g = 0; g < n_groups; g++, weights += 64, u += 4) {
        const __m256i *w = (const __m256i *)(const void *)weights;
        __m256i low = _mm256_loadu_si256(w), high = _mm256_loadu_si256(w + 1);
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

/* One column: the weights are read once, in order; eight sums hide the latency. */
TARGET static void one_column(const int8_t *weights, int32_t n_groups, const uint8_t *u, int32_t *acc)
{
    __m256i sum[4][2];
    for (int i = 0; i < 4; i++)
        sum[i][0] = sum[i][1] = _mm256_setzero_si256();
    for (int32_t g = 0; g < n_groups; g++) {
        const __m256i *w = (const __m256i *)(const void *)(weights + 64 * (size_t)g);
        __m256i v = _mm256_set1_epi32(pn_load_group(u + 4 * (size_t)g));
        _mm_prefetch((const char *)w + 2048, _MM_HINT_T0);
        sum[g & 3][0] = _mm256_dpbusd_avx_epi32(sum[g & 3][0], v, _mm256_loadu_si256(w));
        sum[g & 3][1] = _mm256_dpbusd_avx_epi32(sum[g & 3][1], v, _mm256_loadu_si256(w + 1));
    }
    for (int i = 0; i < 2; i++) {
        __m256i even = _mm256_add_epi32(sum[0][i], sum[2][i]), odd = _mm256_add_epi32(sum[1][i], sum[3][i]);
        _mm256_storeu_si256((__m256i *)(void *)(acc + 8 * i), _mm256_add_epi32(even, odd));
    }
}

TARGET static void mac(const int8_t *weights, const int32_t *row_sum, int32_t n_blocks, int32_t n_groups,
                       const uint8_t *u, size_t u_stride, int32_t n_columns, int32_t *acc)
{
    (void)row_sum;
    int32_t parts = pn_divide_up(n_columns, 6); /* even parts: 16 columns go as 5, 5, 6 */
    for (int32_t b = 0; b < n_blocks; b++, weights += (size_t)n_groups * 64, acc += (size_t)n_columns * PN_BLOCK)
        for (int32_t p = 0; p < parts; p++) {
            int32_t j = p * n_columns / parts, nc = (p + 1) * n_columns / parts - j;
            const uint8_t *v = u + (size_t)j * u_stride;
            int32_t *a = acc + (size_t)j * PN_BLOCK;
            switch (nc) {
            case 1: one_column(weights, n_groups, v, a); break;
            case 2: tile(2, weights, n_groups, v, u_stride, a); break;
            case 3: tile(3, weights, n_groups, v, u_stride, a); break;
            case 4: tile(4, weights, n_groups, v, u_stride, a); break;
            case 5: tile(5, weights, n_groups, v, u_stride, a); break;
            case 6: tile(6, weights, n_groups, v, u_stride, a); break;
            }
        }
}

const pn_kernels pn_kernels_avxvnni = {"avxvnni", mac, pn_avx2_requantise, pn_avx2_lstm, pn_avx2_quantise};
#else
typedef int pn_no_avxvnni;
#endif
