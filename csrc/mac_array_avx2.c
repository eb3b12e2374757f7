/* SPDX-License-Identifier: Apache-2.0 */
/* AVX2. vpmaddubsw's int16 sums would saturate, so bytes are widened to 16 bits and go through vpmaddwd, which is
 * exact: a group's even bytes (k0, k2) and odd bytes (k1, k3) in two vectors each, of weights and of activations. */
#if defined(__x86_64__)
#include "activation_avx2.h"
#include "mac_array.h"

#include <immintrin.h>

#define TARGET __attribute__((target("avx2")))
#define TILE TARGET __attribute__((always_inline)) static inline

/* ---- the MAC array -------------------------------------------------------------------------------------------- */

#include "mac_array_256.h"

/* Values of 4 bits, -7 to 7: those in the lower halves of bytes, the others being shifted there. vpmaddubsw's sums of two
 * are within 255 * 7 * 2, and eight of them within an int16. */
TILE __m256i four_bits(__m256i w)
{
    const __m256i signs = _mm256_broadcastsi128_si256(_mm_set_epi64x((int64_t)0xfffefdfcfbfaf9f8, 0x0706050403020100));
    return _mm256_shuffle_epi8(signs, _mm256_and_si256(w, _mm256_set1_epi8(15)));
}

/* A line by NC columns to sums of two in 16 bits. */
TILE void add_line(const int NC, const int8_t *line, const uint8_t *u, size_t u_stride, __m256i sum[4][2])
{
#pragma GCC unroll 2
    for (int i = 0; i < 2; i++) {
        const __m256i w = _mm256_loadu_si256((const __m256i *)(const void *)(line + 32 * i));
        const __m256i first = four_bits(w), second = four_bits(_mm256_srli_epi16(w, 4));
#pragma GCC unroll 4
        for (int j = 0; j < NC; j++) {
            const uint8_t *v = u + (size_t)j * u_stride;
            const __m256i a = _mm256_maddubs_epi16(_mm256_set1_epi32(pn_load_group(v)), first);
            const __m256i b = _mm256_maddubs_epi16(_mm256_set1_epi32(pn_load_group(v + PN_GROUP)), second);
            sum[j][i] = _mm256_add_epi16(sum[j][i], _mm256_add_epi16(a, b));
        }
    }
}

/* Adds to acc the sums of two of some lines by the rows' scales: vpmaddwd multiplies and adds at once. */
TILE void add_scaled(const int NC, const int8_t *scales, __m256i sum[4][2], int32_t *acc)
{
#pragma GCC unroll 2
    for (int i = 0; i < 2; i++) {
        const __m256i once = _mm256_cvtepu8_epi32(_mm_loadl_epi64((const __m128i *)(const void *)(scales + 8 * i)));
        const __m256i by = _mm256_or_si256(once, _mm256_slli_epi32(once, 16));
#pragma GCC unroll 4
        for (int j = 0; j < NC; j++) {
            __m256i *to = (__m256i *)(void *)(acc + j * PN_BLOCK + 8 * i);
            _mm256_storeu_si256(to, _mm256_add_epi32(_mm256_loadu_si256(to), _mm256_madd_epi16(sum[j][i], by)));
        }
    }
}

/* `tile` where weights have scales; four lines are as many as 16 bits hold. */
TILE void scaled_tile(const int NC, const int8_t *weights, int32_t n_lines, const uint8_t *u, size_t u_stride,
                      const int8_t *next, int32_t *acc)
{
    memset(acc, 0, (size_t)NC * PN_BLOCK * sizeof *acc);
    for (int32_t i = 0, end; i < n_lines; i = end) {
        const int8_t *line = pn_scaled_line(weights, i);
        __m256i sum[4][2];
#pragma GCC unroll 4
        for (int j = 0; j < NC; j++)
            sum[j][0] = sum[j][1] = _mm256_setzero_si256();
        end = i + PN_SPAN / 2 < n_lines ? i + PN_SPAN / 2 : n_lines;
        for (int32_t k = i; k < end; k++, line += PN_LINE, u += 2 * PN_GROUP) {
            if (next)
                _mm_prefetch((const char *)next + 64 * (size_t)k, _MM_HINT_T0);
            add_line(NC, line, u, u_stride, sum);
        }
        add_scaled(NC, pn_line_scales(weights, i), sum, acc);
    }
}

/* One block (two vectors of 8 rows) by NC columns. Where `next` is not NULL, as many lines of what lies there are
 * fetched meanwhile. */
TILE void tile(const int GROUPS, const int SCALED, const int NC, const int8_t *weights, int32_t n_groups,
               const uint8_t *u, size_t u_stride, const int8_t *next, int32_t *acc)
{
    const __m256i low_bytes = _mm256_set1_epi16(255);
    __m256i sum[4][2];
    if (SCALED) {
        scaled_tile(NC, weights, n_groups / 2, u, u_stride, next, acc);
        return;
    }
#pragma GCC unroll 4
    for (int j = 0; j < NC; j++)
        sum[j][0] = sum[j][1] = _mm256_setzero_si256();
    for (int32_t line = 0; line < n_groups / GROUPS; line++, weights += 64, u += 4 * GROUPS) {
        if (next)
            _mm_prefetch((const char *)next + 64 * (size_t)line, _MM_HINT_T0);
#pragma GCC unroll 2
        for (int k = 0; k < GROUPS; k++) {
            __m256i even[2], odd[2];
#pragma GCC unroll 2
            for (int i = 0; i < 2; i++) {
                __m256i w = load(GROUPS, k, i, weights);
                even[i] = _mm256_srai_epi16(_mm256_slli_epi16(w, 8), 8);
                odd[i] = _mm256_srai_epi16(w, 8);
            }
#pragma GCC unroll 4
            for (int j = 0; j < NC; j++) {
                __m256i v = _mm256_set1_epi32(pn_load_group(u + (size_t)j * u_stride + 4 * k));
                __m256i v_even = _mm256_and_si256(v, low_bytes), v_odd = _mm256_srli_epi16(v, 8);
#pragma GCC unroll 2
                for (int i = 0; i < 2; i++) {
                    sum[j][i] = _mm256_add_epi32(sum[j][i], _mm256_madd_epi16(even[i], v_even));
                    sum[j][i] = _mm256_add_epi32(sum[j][i], _mm256_madd_epi16(odd[i], v_odd));
                }
            }
        }
    }
#pragma GCC unroll 4
    for (int j = 0; j < NC; j++)
#pragma GCC unroll 2
        for (int i = 0; i < 2; i++)
            _mm256_storeu_si256((__m256i *)(void *)(acc + j * PN_BLOCK + 8 * i), sum[j][i]);
}

#define PN_TOGETHER 4
#include "mac_array_256.h"

TARGET static void mac(const pn_product *p, int32_t *acc)
{
    PN_BY_KIND(product, p, acc);
}

/* ---- around it ------------------------------------------------------------------------------------------------ */

/* An arithmetic shift of 64-bit lanes, which AVX2 lacks: of the value lifted above zero, and lowered again. */
TILE __m256i shift64(__m256i v, __m128i count)
{
    const __m256i top = _mm256_set1_epi64x(INT64_MIN);
    return _mm256_sub_epi64(_mm256_srl_epi64(_mm256_xor_si256(v, top), count), _mm256_srl_epi64(top, count));
}

TILE __m256i shift_and_merge(__m256i even, __m256i odd, __m128i count)
{
    return _mm256_blend_epi32(shift64(even, count), _mm256_slli_epi64(shift64(odd, count), 32), 0xaa);
}

TILE __m256i load32(const int32_t *p)
{
    return _mm256_loadu_si256((const __m256i *)(const void *)p);
}

/* Two vectors of 8 int32 as one of 16 int16, saturated, in order. */
TILE __m256i pack16(__m256i low, __m256i high)
{
    return _mm256_permute4x64_epi64(_mm256_packs_epi32(low, high), 0xd8);
}

TARGET void pn_avx2_requantise(const int32_t *acc, int32_t n_blocks, int32_t n_columns, const int32_t *bias,
                               const int32_t *multiplier, int32_t shift, uint8_t *out, size_t out_stride)
{
    const __m256i half = _mm256_set1_epi64x((int64_t)1 << (shift - 1));
    const __m128i count = _mm_cvtsi32_si128(shift);
    for (int32_t b = 0; b < n_blocks; b++)
        for (int32_t j = 0; j < n_columns; j++, acc += PN_BLOCK) {
            __m256i v[2];
            for (int i = 0; i < 2; i++) {
                __m256i m = load32(multiplier + b * PN_BLOCK + 8 * i);
                __m256i a = _mm256_add_epi32(load32(acc + 8 * i), load32(bias + b * PN_BLOCK + 8 * i));
                __m256i even = _mm256_add_epi64(_mm256_mul_epi32(a, m), half);
                __m256i odd = _mm256_mul_epi32(_mm256_srli_epi64(a, 32), _mm256_srli_epi64(m, 32));
                v[i] = shift_and_merge(even, _mm256_add_epi64(odd, half), count);
            }
            __m256i words = pack16(v[0], v[1]); /* saturating to int16 first changes nothing that u8 would keep */
            __m128i bytes = _mm_packus_epi16(_mm256_castsi256_si128(words), _mm256_extracti128_si256(words, 1));
            _mm_storeu_si128((__m128i *)(void *)(out + (size_t)j * out_stride + b * PN_BLOCK), bytes);
        }
}

/* Eight rows of a gate: both halves, one rounding. */
TILE __m256i half_gate(const pn_lstm_tile *t, const int32_t *acc_x, const int32_t *acc_h, int row, __m256i half,
                       __m128i count)
{
    __m256i x = _mm256_add_epi32(load32(acc_x), load32(t->bias_x + row));
    __m256i h = _mm256_add_epi32(load32(acc_h), load32(t->bias_h + row));
    __m256i mx = load32(t->multiplier_x + row), mh = load32(t->multiplier_h + row);
    __m256i even = _mm256_add_epi64(_mm256_mul_epi32(x, mx), _mm256_mul_epi32(h, mh));
    __m256i odd = _mm256_add_epi64(_mm256_mul_epi32(_mm256_srli_epi64(x, 32), _mm256_srli_epi64(mx, 32)),
                                   _mm256_mul_epi32(_mm256_srli_epi64(h, 32), _mm256_srli_epi64(mh, 32)));
    return shift_and_merge(_mm256_add_epi64(even, half), _mm256_add_epi64(odd, half), count);
}

TILE __m256i gate(const pn_lstm_tile *t, int g, int32_t column, __m256i half, __m128i count)
{
    const int32_t *x = pn_gate_x(t, g, column), *h = pn_gate_h(t, g, column);
    return pack16(half_gate(t, x, h, g * PN_BLOCK, half, count),
                  half_gate(t, x + 8, h + 8, g * PN_BLOCK + 8, half, count));
}

TILE __m256i widen(__m256i v, int high)
{
    return _mm256_cvtepi16_epi32(high ? _mm256_extracti128_si256(v, 1) : _mm256_castsi256_si128(v));
}

/* v / 2^bits, rounded half up; bits may be 0. */
TILE __m256i round_shift(__m256i v, int bits)
{
    return _mm256_sra_epi32(_mm256_add_epi32(v, _mm256_set1_epi32(bits ? 1 << (bits - 1) : 0)),
                            _mm_cvtsi32_si128(bits));
}

TILE __m256i to_q12(__m256i c, int fraction_bits)
{
    __m256i v[2];
    for (int i = 0; i < 2; i++)
        v[i] = fraction_bits <= 12 ? _mm256_sll_epi32(widen(c, i), _mm_cvtsi32_si128(12 - fraction_bits))
                                   : round_shift(widen(c, i), fraction_bits - 12);
    return pack16(v[0], v[1]);
}

/* The cell state of 16 cells: f c + i g, in 32 bits, rounded once more to 16. */
TILE __m256i new_cell(__m256i i, __m256i g, __m256i f, __m256i c, int fraction_bits)
{
    __m256i v[2];
    for (int k = 0; k < 2; k++) {
        __m256i ig = round_shift(_mm256_mullo_epi32(widen(i, k), widen(g, k)), 15 - fraction_bits);
        __m256i fc = _mm256_mullo_epi32(widen(f, k), widen(c, k));
        v[k] = round_shift(_mm256_add_epi32(fc, ig), 15);
    }
    return pack16(v[0], v[1]);
}

/* y (Q0.15) to the steps of h, as h + 128. */
TILE __m128i new_hidden(__m256i y, int multiplier, int shift)
{
    __m256i v[2];
    for (int k = 0; k < 2; k++)
        v[k] = round_shift(_mm256_mullo_epi32(widen(y, k), _mm256_set1_epi32(multiplier)), shift);
    __m256i h = _mm256_min_epi16(_mm256_max_epi16(pack16(v[0], v[1]), _mm256_set1_epi16(-127)), _mm256_set1_epi16(127));
    h = _mm256_add_epi16(h, _mm256_set1_epi16(128));
    return _mm_packus_epi16(_mm256_castsi256_si128(h), _mm256_extracti128_si256(h, 1));
}

TARGET void pn_avx2_lstm(const pn_lstm_tile *t)
{
    const pn_cubics s = pn_load_cubics(pn_sigmoid_coefficients), th = pn_load_cubics(pn_tanh_coefficients);
    const __m256i half = _mm256_set1_epi64x((int64_t)1 << (t->shift - 1));
    const __m128i count = _mm_cvtsi32_si128(t->shift);
    for (int32_t j = 0; j < t->n_columns; j++) {
        __m256i i = pn_sigmoid16(&s, gate(t, 0, j, half, count)), g = pn_tanh16(&th, gate(t, 1, j, half, count));
        __m256i f = pn_sigmoid16(&s, gate(t, 2, j, half, count)), o = pn_sigmoid16(&s, gate(t, 3, j, half, count));
        __m256i *cell = (__m256i *)(void *)(t->c + (size_t)j * t->c_stride);
        __m256i c = new_cell(i, g, f, _mm256_loadu_si256(cell), t->cell_fraction_bits);
        _mm256_storeu_si256(cell, c);
        __m256i y = _mm256_mulhrs_epi16(o, pn_tanh16(&th, to_q12(c, t->cell_fraction_bits)));
        _mm_storeu_si128((__m128i *)(void *)(t->h + (size_t)j * t->h_stride),
                         new_hidden(y, t->h_multiplier, t->h_shift));
    }
}

TARGET void pn_avx2_quantise(const float *x, const float *gain, int32_t n, uint8_t *u, uint8_t *residual)
{
    pn_quantise_loop(x, gain, n, u, residual);
}

const pn_kernels pn_kernels_avx2 = {"avx2", mac, pn_avx2_requantise, pn_avx2_lstm, pn_avx2_quantise, NULL, PN_COLUMNS};
#else
typedef int pn_no_avx2;
#endif
