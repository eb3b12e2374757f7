/* SPDX-License-Identifier: Apache-2.0 */
/* A build that checks itself: with PYNNA_VERIFY defined, whatever a fast kernel computes inside the running network is
 * computed again by the reference, and the first difference stops the program. Without it there is nothing here. */
#include "verify.h"

#ifdef PYNNA_VERIFY

#include <stdio.h>
#include <stdlib.h>

enum { MAX_COLUMNS = PN_MANY_COLUMNS, PIECE = 256 };

static void compare(const char *isa, const char *what, const void *fast, const void *reference, size_t n_bytes)
{
    if (memcmp(fast, reference, n_bytes) == 0)
        return;
    fprintf(stderr, "pynna: %s of %s differs from the reference\n", what, isa);
    abort();
}

static void check_mac(const pn_kernels *fast, const pn_product *p, int32_t *acc)
{
    int32_t again[MAX_COLUMNS * PN_BLOCK];
    const size_t n = (size_t)p->n_columns * PN_BLOCK;
    fast->mac(p, acc);
    for (int32_t b = 0; b < p->n_blocks; b++) {
        pn_product one = *p;
        one.weights += (size_t)b * pn_block_bytes(p->n_groups, p->weight_bits, p->layout);
        one.row_sum += b * PN_BLOCK;
        one.n_blocks = 1;
        one.used = NULL; /* all lines: what was left out must have been zero */
        pn_kernels_ref.mac(&one, again);
#ifdef PYNNA_VERIFY_FAULT /* shows that a difference is seen */
        again[n - 1] ^= 1;
#endif
        compare(fast->name, "the product", acc + (size_t)b * n, again, n * sizeof *again);
    }
}

static void check_requantise(const pn_kernels *fast, const int32_t *acc, int32_t n_blocks, int32_t n_columns,
                             const int32_t *bias, const int32_t *multiplier, int32_t shift, uint8_t *out,
                             size_t out_stride)
{
    uint8_t again[MAX_COLUMNS * PN_BLOCK];
    fast->requantise(acc, n_blocks, n_columns, bias, multiplier, shift, out, out_stride);
    for (int32_t b = 0; b < n_blocks; b++) {
        const int32_t row = b * PN_BLOCK;
        pn_kernels_ref.requantise(acc + (size_t)row * (size_t)n_columns, 1, n_columns, bias + row, multiplier + row,
                                  shift, again, PN_BLOCK);
        for (int32_t j = 0; j < n_columns; j++)
            compare(fast->name, "the requantisation", out + (size_t)j * out_stride + row, again + j * PN_BLOCK,
                    PN_BLOCK);
    }
}

static void check_lstm(const pn_kernels *fast, const pn_lstm_tile *t)
{
    int16_t c[MAX_COLUMNS * PN_BLOCK];
    uint8_t h[MAX_COLUMNS * PN_BLOCK];
    pn_lstm_tile again = *t;
    again.c = c;
    again.h = h;
    again.c_stride = again.h_stride = PN_BLOCK;
    for (int32_t j = 0; j < t->n_columns; j++)
        memcpy(c + j * PN_BLOCK, t->c + (size_t)j * t->c_stride, PN_BLOCK * sizeof *c);
    fast->lstm(t);
    pn_kernels_ref.lstm(&again);
    for (int32_t j = 0; j < t->n_columns; j++) {
        compare(fast->name, "the cell state", t->c + (size_t)j * t->c_stride, c + j * PN_BLOCK, PN_BLOCK * sizeof *c);
        compare(fast->name, "the hidden state", t->h + (size_t)j * t->h_stride, h + j * PN_BLOCK, PN_BLOCK);
    }
}

static void check_quantise(const pn_kernels *fast, const float *x, const float *gain, int32_t n, uint8_t *u,
                           uint8_t *residual)
{
    uint8_t again[PIECE], again_residual[PIECE];
    fast->quantise(x, gain, n, u, residual);
    for (int32_t i = 0; i < n; i += PIECE) {
        const int32_t m = n - i < PIECE ? n - i : PIECE;
        pn_kernels_ref.quantise(x + i, gain + i, m, again, residual ? again_residual : NULL);
        compare(fast->name, "the features' quantisation", u + i, again, (size_t)m);
        if (residual)
            compare(fast->name, "the features' residual", residual + i, again_residual, (size_t)m);
    }
}

/* Kernels have no context, so each place of the table has functions of its own. */
static const pn_kernels *checked[PN_MAX_KERNELS];

#define PLACE(i)                                                                                                       \
    static void mac_##i(const pn_product *p, int32_t *acc)                                                             \
    {                                                                                                                  \
        check_mac(checked[i], p, acc);                                                                                 \
    }                                                                                                                  \
    static void requantise_##i(const int32_t *acc, int32_t n_blocks, int32_t n_columns, const int32_t *bias,           \
                               const int32_t *multiplier, int32_t shift, uint8_t *out, size_t out_stride)              \
    {                                                                                                                  \
        check_requantise(checked[i], acc, n_blocks, n_columns, bias, multiplier, shift, out, out_stride);              \
    }                                                                                                                  \
    static void lstm_##i(const pn_lstm_tile *t)                                                                        \
    {                                                                                                                  \
        check_lstm(checked[i], t);                                                                                     \
    }                                                                                                                  \
    static void quantise_##i(const float *x, const float *gain, int32_t n, uint8_t *u, uint8_t *residual)              \
    {                                                                                                                  \
        check_quantise(checked[i], x, gain, n, u, residual);                                                           \
    }

PLACE(0)
PLACE(1)
PLACE(2)
PLACE(3)
PLACE(4)
PLACE(5)
PLACE(6)
PLACE(7)

#define KERNELS(i)                                                                                                     \
    {                                                                                                                  \
        NULL, mac_##i, requantise_##i, lstm_##i, quantise_##i, NULL, 0                                                 \
    }
static pn_kernels places[] = {KERNELS(0), KERNELS(1), KERNELS(2), KERNELS(3),
                              KERNELS(4), KERNELS(5), KERNELS(6), KERNELS(7)};
_Static_assert(sizeof places / sizeof *places == PN_MAX_KERNELS, "a PLACE for each");

const pn_kernels *pn_verified(const pn_kernels *fast, int place)
{
    checked[place] = fast; /* always the same one: threads may meet here */
    places[place].name = fast->name;
    places[place].release = fast->release;
    places[place].max_columns = fast->max_columns;
    return &places[place];
}

#else
typedef int pn_nothing_to_verify;
#endif
