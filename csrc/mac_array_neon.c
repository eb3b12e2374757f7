/* SPDX-License-Identifier: Apache-2.0 */
/* ARM: NEON of every 64-bit core (Cortex-A53, A72) and of the 32-bit ones that have it (Cortex-A7, A53), and what
 * stands around the MAC array for all of ARM's instruction sets. It multiplies signed by signed: activations enter as u
 * - 128, and 128 times a row's sum of weights comes back on top. */
#include "mac_array.h"
#if defined(__aarch64__) || PN_HAS_NEON_32
#include "activation.h"
#include "neon_32.h"

#define TILE __attribute__((always_inline)) static inline

#if PN_HAS_NEON_32
enum { MAX_TOGETHER = 1 }; /* columns: their sums take 8 of 16 registers each, there of 32 */
#else
enum { MAX_TOGETHER = 2 };
#endif

#include "mac_array_spans.h"

/* ---- the MAC array, ARMv8.0 ----------------------------------------------------------------------------------- */

/* Four activations less 128, twice. */
TILE int8x8_t load_group(const uint8_t *u)
{
    return vreinterpret_s8_u32(vdup_n_u32((uint32_t)pn_load_group(u) ^ 0x80808080u));
}

/* 16 weights of the first (i = 0) or second of two groups: a line each, or two GROUPS in one, of 4 bits in the lower
 * and upper halves of its bytes. */
TILE int8x16_t load_rows(const int GROUPS, const int i, const int8_t *w)
{
    if (GROUPS == 1)
        return vld1q_s8(w + PN_LINE * i);
    int8x16_t both = vld1q_s8(w);
    return i ? vandq_s8(both, vdupq_n_s8((int8_t)0xf0)) : vshlq_n_s8(both, 4);
}

/* acc[j] += rows 4i to 4i + 3 by one or two groups. Two products of at most 127 * 128 each still fit in int16. */
TILE void add_rows(int32x4_t acc[2], int8x16_t w0, int8x8_t v0, int8x16_t w1, int8x8_t v1, const int two)
{
    int16x8_t low = vmull_s8(vget_low_s8(w0), v0), high = vmull_s8(vget_high_s8(w0), v0);
    if (two) {
        low = vmlal_s8(low, vget_low_s8(w1), v1);
        high = vmlal_s8(high, vget_high_s8(w1), v1);
    }
    acc[0] = vpadalq_s16(acc[0], low);
    acc[1] = vpadalq_s16(acc[1], high);
}

TILE void two_groups(const int GROUPS, const int NC, int32x4_t acc[2][8], const int8_t *w, const uint8_t *u,
                     size_t u_stride, const int two)
{
    int8x8_t v[2][2];
    for (int j = 0; j < NC; j++) {
        v[j][0] = load_group(u + (size_t)j * u_stride);
        v[j][1] = two ? load_group(u + (size_t)j * u_stride + 4) : v[j][0];
    }
#pragma GCC unroll 4
    for (int i = 0; i < 4; i++) {
        int8x16_t w0 = load_rows(GROUPS, 0, w + 16 * i), w1 = two ? load_rows(GROUPS, 1, w + 16 * i) : w0;
#pragma GCC unroll 2
        for (int j = 0; j < NC; j++)
            add_rows(&acc[j][2 * i], w0, v[j][0], w1, v[j][1], two);
    }
}

/* `tile` where weights have scales. */
TILE void scaled_tile(const int NC, const int8_t *w, const int32_t *row_sum, int32_t n_lines, const uint8_t *u,
                      size_t u_stride, int32_t *out)
{
    begin_sums(row_sum, NC, out);
    for (int32_t first = 0, end; first < n_lines; first = end) {
        const int8_t *line = pn_scaled_line(w, first), *scales = pn_line_scales(w, first);
        int32x4_t acc[2][8];
#pragma GCC unroll 2
        for (int j = 0; j < NC; j++)
#pragma GCC unroll 8
            for (int i = 0; i < 8; i++)
                acc[j][i] = vdupq_n_s32(0);
        end = span_end(first, n_lines);
        for (int32_t k = first; k < end; k++, line += PN_LINE, u += 2 * PN_GROUP)
            two_groups(2, NC, acc, line, u, u_stride, 1);
#pragma GCC unroll 2
        for (int j = 0; j < NC; j++)
#pragma GCC unroll 4
            for (int i = 0; i < 4; i++)
                add_span(scales + 4 * i, vpaddq_s32(acc[j][2 * i], acc[j][2 * i + 1]), out + j * PN_BLOCK + 4 * i);
    }
}

/* One block of 16 rows by NC columns. */
TILE void tile(const int GROUPS, const int SCALED, const int NC, const int8_t *w, const int32_t *row_sum,
               int32_t n_groups, const uint8_t *u, size_t u_stride, int32_t *out)
{
    int32x4_t acc[2][8];
    if (SCALED) {
        scaled_tile(NC, w, row_sum, n_groups / 2, u, u_stride, out);
        return;
    }
#pragma GCC unroll 2
    for (int j = 0; j < NC; j++)
#pragma GCC unroll 8
        for (int i = 0; i < 8; i++)
            acc[j][i] = vdupq_n_s32(0);
    for (; n_groups >= 2; n_groups -= 2, w += 2 * PN_LINE / GROUPS, u += 8)
        two_groups(GROUPS, NC, acc, w, u, u_stride, 1);
    if (n_groups)
        two_groups(GROUPS, NC, acc, w, u, u_stride, 0);
#pragma GCC unroll 2
    for (int j = 0; j < NC; j++)
#pragma GCC unroll 4
        for (int i = 0; i < 4; i++) {
            int32x4_t sum = vpaddq_s32(acc[j][2 * i], acc[j][2 * i + 1]);
            vst1q_s32(out + j * PN_BLOCK + 4 * i, vaddq_s32(sum, vshlq_n_s32(vld1q_s32(row_sum + 4 * i), 7)));
        }
}

TILE void product(const int GROUPS, const int SCALED, const pn_product *p, int32_t *acc)
{
    const size_t block_bytes = pn_block_bytes(p->n_groups, 8 / GROUPS, SCALED ? PN_SCALED : PN_PLAIN);
    const int8_t *weights = p->weights;
    const int32_t *row_sum = p->row_sum;
    for (int32_t b = 0; b < p->n_blocks; b++, weights += block_bytes, row_sum += PN_BLOCK) {
        int32_t j = 0;
        for (; MAX_TOGETHER == 2 && j + 2 <= p->n_columns; j += 2, acc += 2 * PN_BLOCK)
            tile(GROUPS, SCALED, 2, weights, row_sum, p->n_groups, p->u + (size_t)j * p->u_stride, p->u_stride, acc);
        for (; j < p->n_columns; j++, acc += PN_BLOCK)
            tile(GROUPS, SCALED, 1, weights, row_sum, p->n_groups, p->u + (size_t)j * p->u_stride, p->u_stride, acc);
    }
}

static void mac(const pn_product *p, int32_t *acc)
{
    PN_BY_KIND(product, p, acc);
}

/* ---- around it ------------------------------------------------------------------------------------------------ */

/* Two pairs of 64-bit values, shifted right with rounding; each result fits in 32 bits. */
TILE int32x4_t shift_and_narrow(int64x2_t low, int64x2_t high, int64x2_t right)
{
    return vcombine_s32(vmovn_s64(vrshlq_s64(low, right)), vmovn_s64(vrshlq_s64(high, right)));
}

void pn_neon_requantise(const int32_t *acc, int32_t n_blocks, int32_t n_columns, const int32_t *bias,
                        const int32_t *multiplier, int32_t shift, uint8_t *out, size_t out_stride)
{
    const int64x2_t right = vdupq_n_s64(-shift);
    for (int32_t b = 0; b < n_blocks; b++, bias += PN_BLOCK, multiplier += PN_BLOCK, out += PN_BLOCK)
        for (int32_t j = 0; j < n_columns; j++, acc += PN_BLOCK) {
            uint16x4_t q[4];
            for (int i = 0; i < 4; i++) {
                int32x4_t v = vaddq_s32(vld1q_s32(acc + 4 * i), vld1q_s32(bias + 4 * i));
                int32x4_t m = vld1q_s32(multiplier + 4 * i);
                int64x2_t low = vmull_s32(vget_low_s32(v), vget_low_s32(m)), high = vmull_high_s32(v, m);
                q[i] = vqmovun_s32(shift_and_narrow(low, high, right));
            }
            vst1q_u8(out + (size_t)j * out_stride,
                     vcombine_u8(vqmovn_u16(vcombine_u16(q[0], q[1])), vqmovn_u16(vcombine_u16(q[2], q[3]))));
        }
}

typedef struct {
    uint8x16_t c[4]; /* a power's coefficients of the eight segments */
} cubics;

TILE cubics load_cubics(const int16_t c[4][8])
{
    cubics r;
    for (int p = 0; p < 4; p++)
        r.c[p] = vreinterpretq_u8_s16(vld1q_s16(c[p]));
    return r;
}

/* c0 + t (c1 + t (c2 + t c3)) of segment k; the table's bytes are picked by tbl, sqrdmulh is mulhrs. */
TILE int16x8_t cubic(const cubics *a, int16x8_t k, int16x8_t t)
{
    uint8x16_t at = vreinterpretq_u8_s16(vmlaq_n_s16(vdupq_n_s16(0x0100), k, 0x0202));
    int16x8_t c[4];
    for (int p = 0; p < 4; p++)
        c[p] = vreinterpretq_s16_u8(vqtbl1q_u8(a->c[p], at));
    int16x8_t y = vqrdmulhq_s16(t, c[3]);
    y = vqrdmulhq_s16(t, vaddq_s16(y, c[2]));
    y = vqrdmulhq_s16(t, vaddq_s16(y, c[1]));
    return vaddq_s16(y, c[0]);
}

TILE int16x8_t sigmoid(const cubics *a, int16x8_t x)
{
    int16x8_t v = vqabsq_s16(x);
    int16x8_t y = cubic(a, vshrq_n_s16(v, 12), vshlq_n_s16(vandq_s16(v, vdupq_n_s16(4095)), 3));
    return vbslq_s16(vcltzq_s16(x), vsubq_s16(vdupq_n_s16(INT16_MIN), y), y); /* 32768 - y, modulo 2^16 */
}

TILE int16x8_t hyperbolic_tangent(const cubics *a, int16x8_t x)
{
    int16x8_t v = vminq_s16(vqabsq_s16(x), vdupq_n_s16(16383));
    int16x8_t y = cubic(a, vshrq_n_s16(v, 11), vshlq_n_s16(vandq_s16(v, vdupq_n_s16(2047)), 4));
    return vbslq_s16(vcltzq_s16(x), vnegq_s16(y), y);
}

/* Four rows of a gate: both halves, one rounding. */
TILE int16x4_t gate4(const pn_lstm_tile *t, const int32_t *acc_x, const int32_t *acc_h, int row, int64x2_t right)
{
    int32x4_t x = vaddq_s32(vld1q_s32(acc_x), vld1q_s32(t->bias_x + row));
    int32x4_t h = vaddq_s32(vld1q_s32(acc_h), vld1q_s32(t->bias_h + row));
    int32x4_t mx = vld1q_s32(t->multiplier_x + row), mh = vld1q_s32(t->multiplier_h + row);
    int64x2_t low = vmull_s32(vget_low_s32(x), vget_low_s32(mx)), high = vmull_high_s32(x, mx);
    low = vmlal_s32(low, vget_low_s32(h), vget_low_s32(mh));
    high = vmlal_high_s32(high, h, mh);
    return vqmovn_s32(shift_and_narrow(low, high, right));
}

/* Eight cells' gate g. */
TILE int16x8_t gate(const pn_lstm_tile *t, int g, int32_t column, int first, int64x2_t right)
{
    const int32_t *x = pn_gate_x(t, g, column) + first, *h = pn_gate_h(t, g, column) + first;
    int row = g * PN_BLOCK + first;
    return vcombine_s16(gate4(t, x, h, row, right), gate4(t, x + 4, h + 4, row + 4, right));
}

TILE int16x8_t to_q12(int16x8_t c, int fraction_bits)
{
    int16x8_t left = vdupq_n_s16((int16_t)(12 - fraction_bits));
    return fraction_bits <= 12 ? vqshlq_s16(c, left) : vrshlq_s16(c, left);
}

/* Four cells: f c + i g, rounded once more to 16 bits. */
TILE int16x4_t new_cell(int16x4_t i, int16x4_t g, int16x4_t f, int16x4_t c, int fraction_bits)
{
    int32x4_t ig = vrshlq_s32(vmull_s16(i, g), vdupq_n_s32(fraction_bits - 15));
    return vqmovn_s32(vrshrq_n_s32(vaddq_s32(vmull_s16(f, c), ig), 15));
}

TILE void eight_cells(const pn_lstm_tile *t, const cubics *s, const cubics *th, int32_t j, int first, int64x2_t right)
{
    int16x8_t i = sigmoid(s, gate(t, 0, j, first, right)), g = hyperbolic_tangent(th, gate(t, 1, j, first, right));
    int16x8_t f = sigmoid(s, gate(t, 2, j, first, right)), o = sigmoid(s, gate(t, 3, j, first, right));
    int16_t *cell = t->c + (size_t)j * t->c_stride + first;
    int16x8_t c = vld1q_s16(cell);
    c = vcombine_s16(
        new_cell(vget_low_s16(i), vget_low_s16(g), vget_low_s16(f), vget_low_s16(c), t->cell_fraction_bits),
        new_cell(vget_high_s16(i), vget_high_s16(g), vget_high_s16(f), vget_high_s16(c), t->cell_fraction_bits));
    vst1q_s16(cell, c);
    int16x8_t y = vqrdmulhq_s16(o, hyperbolic_tangent(th, to_q12(c, t->cell_fraction_bits)));
    int32x4_t down = vdupq_n_s32(-t->h_shift);
    int16_t m = (int16_t)t->h_multiplier;
    int16x8_t h = vcombine_s16(vqmovn_s32(vrshlq_s32(vmull_n_s16(vget_low_s16(y), m), down)),
                               vqmovn_s32(vrshlq_s32(vmull_n_s16(vget_high_s16(y), m), down)));
    h = vminq_s16(vmaxq_s16(h, vdupq_n_s16(-127)), vdupq_n_s16(127));
    vst1_u8(t->h + (size_t)j * t->h_stride + first, vqmovun_s16(vaddq_s16(h, vdupq_n_s16(128))));
}

void pn_neon_lstm(const pn_lstm_tile *t)
{
    const cubics s = load_cubics(pn_sigmoid_coefficients), th = load_cubics(pn_tanh_coefficients);
    const int64x2_t right = vdupq_n_s64(-t->shift);
    for (int32_t j = 0; j < t->n_columns; j++)
        for (int first = 0; first < PN_BLOCK; first += 8)
            eight_cells(t, &s, &th, j, first, right);
}

void pn_neon_quantise(const float *x, const float *gain, int32_t n, uint8_t *u, uint8_t *residual)
{
    pn_quantise_loop(x, gain, n, u, residual);
}

const pn_kernels pn_kernels_neon = {"neon", mac, pn_neon_requantise, pn_neon_lstm, pn_neon_quantise, NULL, PN_COLUMNS};
#else
typedef int pn_no_neon;
#endif
