/* SPDX-License-Identifier: Apache-2.0 */
/* The definition: plain C for every processor, without an intrinsic. */
#include "activation.h"
#include "mac_array.h"

static void mac(const pn_product *p, int32_t *acc)
{
    const size_t block_bytes = pn_block_bytes(p->n_groups, p->weight_bits, p->layout);
    for (int32_t b = 0; b < p->n_blocks; b++)
        for (int32_t j = 0; j < p->n_columns; j++, acc += PN_BLOCK) {
            const uint8_t *v = p->u + (size_t)j * p->u_stride;
            int8_t room[PN_LINE];
            int32_t sum[PN_BLOCK] = {0};
            for (int32_t g = 0; g < p->n_groups; g++, v += PN_GROUP) {
                const int8_t *w =
                    pn_group_weights(p->weights + (size_t)b * block_bytes, g, p->weight_bits, p->layout, room);
                for (int32_t r = 0; r < PN_BLOCK; r++)
                    sum[r] += w[4 * r] * v[0] + w[4 * r + 1] * v[1] + w[4 * r + 2] * v[2] + w[4 * r + 3] * v[3];
            }
            for (int32_t r = 0; r < PN_BLOCK; r++)
                acc[r] = sum[r];
        }
}

static int64_t clamp(int64_t v, int64_t low, int64_t high)
{
    return v < low ? low : v > high ? high : v;
}

void pn_ref_requantise(const int32_t *acc, int32_t n_blocks, int32_t n_columns, const int32_t *bias,
                       const int32_t *multiplier, int32_t shift, uint8_t *out, size_t out_stride)
{
    int64_t half = (int64_t)1 << (shift - 1);
    for (int32_t b = 0; b < n_blocks; b++)
        for (int32_t j = 0; j < n_columns; j++, acc += PN_BLOCK)
            for (int32_t r = 0; r < PN_BLOCK; r++) {
                int32_t row = b * PN_BLOCK + r;
                int64_t v = ((int64_t)(acc[r] + bias[row]) * multiplier[row] + half) >> shift;
                out[(size_t)j * out_stride + (size_t)row] = (uint8_t)clamp(v, 0, 255);
            }
}

/* v * 2^-bits, rounded half up. */
static int32_t round_shift(int32_t v, int32_t bits)
{
    return bits ? (v + (1 << (bits - 1))) >> bits : v;
}

static int16_t cell_to_q12(int32_t c, int32_t fraction_bits)
{
    if (fraction_bits <= 12)
        return (int16_t)clamp((int64_t)c * (1 << (12 - fraction_bits)), -32768, 32767);
    return (int16_t)round_shift(c, fraction_bits - 12);
}

static int16_t gate(const pn_lstm_tile *t, int32_t g, int32_t column, int32_t r)
{
    int32_t row = g * PN_BLOCK + r;
    int64_t v = (int64_t)(pn_gate_x(t, g, column)[r] + t->bias_x[row]) * t->multiplier_x[row]
                + (int64_t)(pn_gate_h(t, g, column)[r] + t->bias_h[row]) * t->multiplier_h[row];
    return (int16_t)clamp((v + ((int64_t)1 << (t->shift - 1))) >> t->shift, -32768, 32767);
}

void pn_ref_lstm(const pn_lstm_tile *t)
{
    for (int32_t j = 0; j < t->n_columns; j++)
        for (int32_t r = 0; r < PN_BLOCK; r++) {
            int16_t *c = t->c + (size_t)j * t->c_stride + r;
            int32_t i = pn_sigmoid(gate(t, 0, j, r)), g = pn_tanh(gate(t, 1, j, r));
            int32_t f = pn_sigmoid(gate(t, 2, j, r)), o = pn_sigmoid(gate(t, 3, j, r));
            int32_t v = f * *c + round_shift(i * g, 15 - t->cell_fraction_bits);
            *c = (int16_t)clamp((v + (1 << 14)) >> 15, -32768, 32767);
            int32_t y = (o * pn_tanh(cell_to_q12(*c, t->cell_fraction_bits)) + (1 << 14)) >> 15;
            int64_t h = clamp(round_shift(y * t->h_multiplier, t->h_shift), -127, 127);
            t->h[(size_t)j * t->h_stride + (size_t)r] = (uint8_t)(h + 128);
        }
}

void pn_ref_quantise(const float *x, const float *gain, int32_t n, uint8_t *u, uint8_t *residual)
{
    pn_quantise_loop(x, gain, n, u, residual);
}

const pn_kernels pn_kernels_ref = {"ref", mac, pn_ref_requantise, pn_ref_lstm, pn_ref_quantise, NULL, PN_COLUMNS};
