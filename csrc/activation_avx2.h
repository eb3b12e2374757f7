/* SPDX-License-Identifier: Apache-2.0 */
/* Sigmoid and tanh on 16 values at once, for the x86 kernels; the bits of activation.c. */
#ifndef PN_ACTIVATION_AVX2_H
#define PN_ACTIVATION_AVX2_H

#include "activation.h"

#include <immintrin.h>

#define PN_AVX2 __attribute__((target("avx2"), always_inline)) static inline

typedef struct {
    __m256i c[4]; /* a power's coefficients of the eight segments, twice */
} pn_cubics;

PN_AVX2 pn_cubics pn_load_cubics(const int16_t c[4][8])
{
    pn_cubics r;
    for (int p = 0; p < 4; p++)
        r.c[p] = _mm256_broadcastsi128_si256(_mm_loadu_si128((const __m128i *)(const void *)c[p]));
    return r;
}

/* c0 + t (c1 + t (c2 + t c3)) of segment k; the table's bytes are picked by shuffles. */
PN_AVX2 __m256i pn_cubic(const pn_cubics *a, __m256i k, __m256i t)
{
    __m256i at = _mm256_add_epi16(_mm256_mullo_epi16(k, _mm256_set1_epi16(0x0202)), _mm256_set1_epi16(0x0100));
    __m256i y = _mm256_mulhrs_epi16(t, _mm256_shuffle_epi8(a->c[3], at));
    y = _mm256_mulhrs_epi16(t, _mm256_add_epi16(y, _mm256_shuffle_epi8(a->c[2], at)));
    y = _mm256_mulhrs_epi16(t, _mm256_add_epi16(y, _mm256_shuffle_epi8(a->c[1], at)));
    return _mm256_add_epi16(y, _mm256_shuffle_epi8(a->c[0], at));
}

PN_AVX2 __m256i pn_magnitude(__m256i x, int limit)
{
    return _mm256_min_epu16(_mm256_abs_epi16(x), _mm256_set1_epi16((int16_t)limit));
}

PN_AVX2 __m256i pn_sigmoid16(const pn_cubics *a, __m256i x)
{
    __m256i v = pn_magnitude(x, 32767);
    __m256i t = _mm256_slli_epi16(_mm256_and_si256(v, _mm256_set1_epi16(4095)), 3);
    __m256i y = pn_cubic(a, _mm256_srli_epi16(v, 12), t), negative = _mm256_srai_epi16(x, 15);
    __m256i other = _mm256_sub_epi16(_mm256_set1_epi16(INT16_MIN), y); /* 32768 - y, modulo 2^16 */
    return _mm256_blendv_epi8(y, other, negative);
}

PN_AVX2 __m256i pn_tanh16(const pn_cubics *a, __m256i x)
{
    __m256i v = pn_magnitude(x, 16383);
    __m256i t = _mm256_slli_epi16(_mm256_and_si256(v, _mm256_set1_epi16(2047)), 4);
    __m256i y = pn_cubic(a, _mm256_srli_epi16(v, 11), t), negative = _mm256_srai_epi16(x, 15);
    return _mm256_sub_epi16(_mm256_xor_si256(y, negative), negative);
}

#endif
