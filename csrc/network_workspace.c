/* SPDX-License-Identifier: Apache-2.0 */
/* What does a step need memory for, and where does each part of it stand? */
#include "network.h"

enum { MAX_COLUMNS = 256 };

/* Bytes a row takes: an odd multiple of 64, so that rows of different columns do not meet in the same cache sets. */
static size_t row_stride(int32_t n)
{
    size_t lines = pn_align64((size_t)n) / 64;
    return 64 * (lines | 1);
}

static int32_t widest(const pynna_model *m)
{
    int32_t n = 0;
    for (int i = 0; i < PYNNA_N_LAYERS; i++) {
        int32_t rows = m->layers[i].n_blocks * PN_BLOCK, columns = m->layers[i].n_groups * PN_GROUP;
        if (i != PN_LSTM_X && i != PN_LSTM_H && rows > n)
            n = rows;
        n = columns > n ? columns : n;
    }
    return n;
}

static int has_output_residual(const pynna_model *m)
{
    int has = 0;
    for (int i = 0; i < PYNNA_N_LAYERS; i++)
        has |= m->layers[i].info.output_residual_bits != 0;
    return has;
}

/* Lays the workspace out from `base` on (NULL to measure only) and gives its size. */
static size_t lay_out(pynna_workspace *w, const pynna_model *m, int32_t max_columns, unsigned char *base)
{
    size_t at = pn_align64(sizeof *w), columns = (size_t)max_columns;
    int32_t cells = pn_cell_blocks(m);
    w->stride = row_stride(widest(m));
    w->residual_stride = has_output_residual(m)               ? w->stride
                         : m->layers[PN_LAYER_1].has_residual ? row_stride(m->layers[PN_LAYER_1].n_groups * PN_GROUP)
                                                              : 0;
    w->h_stride = row_stride(m->geometry.n_cell);
    w->tile_columns = max_columns < PN_MANY_COLUMNS ? max_columns : PN_MANY_COLUMNS;
    w->c_stride = row_stride(cells * PN_BLOCK * (int32_t)sizeof *w->c) / sizeof *w->c;
#define TAKE(field, count) (w->field = base ? (void *)(base + at) : NULL, at += pn_align64((count) * sizeof *w->field))
    TAKE(gain, (size_t)m->layers[PN_LAYER_1].info.n_columns);
    TAKE(a, columns * w->stride);
    TAKE(b, columns * w->stride);
    TAKE(a_residual, columns * w->residual_stride);
    TAKE(b_residual, has_output_residual(m) ? columns * w->residual_stride : 0);
    TAKE(h, (columns + PYNNA_MAX_CHANNELS) * w->h_stride);
    TAKE(c, PYNNA_MAX_CHANNELS * w->c_stride);
    TAKE(gates, columns > 1 ? (size_t)cells * columns * PN_UNIT * PN_BLOCK : 0); /* one column is one step */
    TAKE(used, (size_t)PYNNA_MAX_THREADS * w->stride / PN_GROUP);
    TAKE(logits, columns * (size_t)m->layers[PN_LAYER_6].n_blocks * PN_BLOCK);
    TAKE(tiles, (size_t)PYNNA_MAX_THREADS * PN_TILES * (size_t)w->tile_columns * PN_UNIT * PN_BLOCK);
#undef TAKE
    return at;
}

size_t pynna_workspace_size(const pynna_model *model, int32_t max_columns)
{
    pynna_workspace w;
    if (!model || max_columns < PYNNA_MAX_CHANNELS || max_columns > MAX_COLUMNS)
        return 0;
    return lay_out(&w, model, max_columns, NULL);
}

int pynna_workspace_init(void *memory, size_t size, const pynna_model *model, int32_t max_columns, const char *isa,
                         pynna_workspace **workspace)
{
    size_t needed = pynna_workspace_size(model, max_columns);
    if (!memory || !workspace || needed == 0)
        return PYNNA_ERR_ARGUMENT;
    if (size < needed || (uintptr_t)memory % 64 != 0)
        return PYNNA_ERR_MEMORY;
    const pn_kernels *kernels = pn_kernels_find(isa);
    if (!kernels)
        return PYNNA_ERR_ISA;
    pynna_workspace *w = memory;
    pynna_workspace at = {0};
    lay_out(&at, model, max_columns, memory);
    memset(memory, 0, (size_t)((unsigned char *)at.tiles - (unsigned char *)memory)); /* what pads rows stays zero */
    *w = at;
    w->model = model;
    w->kernels = kernels;
    w->max_columns = max_columns;
    int32_t n_coefficients = model->geometry.n_coefficients;
    for (int32_t i = 0; i < model->layers[PN_LAYER_1].info.n_columns; i++)
        w->gain[i] = model->feature_gain[i % n_coefficients];
    *workspace = w;
    return PYNNA_OK;
}

const char *pynna_workspace_isa(const pynna_workspace *workspace)
{
    return workspace->kernels->name;
}
