/* SPDX-License-Identifier: Apache-2.0 */
/* What a step works with, and the layers that it is made of. Internal.
 *
 * Columns are what a kernel works on side by side: channel j's step s is column s * n_channels + j. The threads of a pool
 * share each layer's row blocks, or its columns: a layer is given the thread's number among n_threads. */
#ifndef PN_NETWORK_H
#define PN_NETWORK_H

#include "mac_array.h"
#include "threads.h"

enum { PN_UNIT = 4 };  /* row blocks that are worked on together: the four gates of 16 cells, say */
enum { PN_TILES = 3 }; /* a thread's, of a unit's sums */

struct pynna_workspace {
    const pynna_model *model;
    const pn_kernels *kernels;
    int32_t max_columns;
    float *gain;                      /* [window * coefficients]: feature_gain for every frame of the window */
    uint8_t *a, *b;                   /* [max_columns][stride]: a layer's inputs and outputs, taking turns */
    uint8_t *a_residual, *b_residual; /* [max_columns][residual_stride]: of a and b, where they count */
    uint8_t *h;     /* [max_columns + 16][h_stride]: hidden states, n_channels old ones before the new */
    int16_t *c;     /* [16][c_stride]: cell states */
    int32_t *gates; /* [cell blocks][max_columns][4][16]: the input half's sums, in tiles of whole steps */
    uint16_t *used; /* [PYNNA_MAX_THREADS][stride / 4]: the lines whose activations are not all zero */
    double *logits; /* [max_columns][layer 6's rows] */
    int32_t *tiles; /* [PYNNA_MAX_THREADS][PN_TILES][PN_UNIT][tile_columns][16] */
    size_t stride, residual_stride, h_stride, c_stride;
    int32_t tile_columns; /* as many as there is room for at once */
};

/* What the threads of one step share. */
typedef struct {
    pynna_workspace *w;
    pynna_pool *pool;
    int32_t n_channels, n_steps, done; /* steps in this batch; steps done before it */
    const pynna_channel *channels;
} pn_step_job;

/* A layer's inputs or outputs, a column after the other, and their residuals, where they have any that count. */
typedef struct {
    uint8_t *u;
    size_t stride;
    uint8_t *residual;
    size_t residual_stride;
} pn_values;

/* Blocks of 16 cells: units of the LSTM's rows. */
static inline int32_t pn_cell_blocks(const pynna_model *m)
{
    return pn_divide_up(m->geometry.n_cell, PN_BLOCK);
}

/* ---- network_layers.c -------------------------------------------------------------------------------------------- */

/* The channels' windows to layer 1's inputs. */
void pn_quantise_windows(const pn_step_job *job, const pn_values *out, int32_t thread, int32_t n_threads);

/* A clipped-ReLU layer: all columns of `from` to `out`. */
void pn_dense(const pn_step_job *job, const pn_layer *l, const pn_values *from, const pn_values *out, int32_t thread,
              int32_t n_threads);

/* The LSTM's input half for a batch of several steps, kept until each step's turn. */
void pn_lstm_input(const pn_step_job *job, const pn_values *from, int32_t thread, int32_t n_threads);

/* One step of the LSTM: the recurrent half (and the input half, where pn_lstm_input has not been), gates and states. */
void pn_lstm_step(const pn_step_job *job, const pn_values *from, int32_t s, int32_t thread, int32_t n_threads);

/* Layer 6 and the softmax, to the channels. */
void pn_output(const pn_step_job *job, const pn_values *from, int32_t thread, int32_t n_threads);

#endif
