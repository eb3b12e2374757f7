/* SPDX-License-Identifier: Apache-2.0 */
/* The model as the kernels see it: pointers into the checked file. */
#ifndef PN_MODEL_H
#define PN_MODEL_H

#include "pynna.h"

enum { PN_LAYER_1, PN_LAYER_2, PN_LAYER_3, PN_LSTM_X, PN_LSTM_H, PN_LAYER_5, PN_LAYER_6 };

enum { PN_BLOCK = 16, PN_GROUP = 4 };   /* rows and columns that a kernel takes at once, see doc/formats.md, packing */
enum { PN_LINE = PN_BLOCK * PN_GROUP }; /* bytes that it reads at once: a group of a block, or of 4 bits two */

enum { PN_PLAIN, PN_SCALED }; /* layouts: weights alone, or of 4 bits by spans, each row with a scale */
enum { PN_SPAN = 8, PN_STRETCH = 4 * PN_SPAN }; /* lines of a span; and of those behind a line of scales [4][16] */
enum { PN_MAX_SCALE = 16 };

typedef struct {
    pynna_layer_info info;
    int32_t n_blocks,
        n_groups;           /* rows in blocks of 16, columns in groups of 4: an even number where weights have 4 bits */
    int32_t has_residual;   /* whether inputs have one that counts */
    const int8_t *weights;  /* [n_blocks][lines][16][4], see pn_n_lines and pn_block_bytes */
    const int32_t *bias;    /* [n_blocks * 16] */
    const int32_t *row_sum; /* [n_blocks * 16] */
    const int8_t *fine;     /* of 16 bits, the weights' residual in steps of a 256th, as `weights`; else NULL */
    const int32_t *fine_sum;   /* its row sums */
    const int32_t *multiplier; /* [n_blocks * 16], NULL for layer_6 */
    const float *logit_scale;  /* [n_blocks * 16], layer_6 only */
} pn_layer;

struct pynna_model {
    pynna_geometry geometry;
    pn_layer layers[PYNNA_N_LAYERS];
    const char *alphabet;      /* n_labels - 1 zero-terminated strings */
    const float *label_priors; /* [n_labels] */
    const float *feature_gain; /* [n_coefficients] */
    const char *metadata;
    size_t metadata_bytes;
};

/* A file's geometry and its layers' shapes, nothing else being read or checked: for sizes. */
int pn_model_shape(const void *file, size_t n_bytes, pynna_model *model);

static inline int32_t pn_divide_up(int32_t a, int32_t b)
{
    return (a + b - 1) / b;
}

/* What a kernel multiplies by at a time: weights of 16 bits are two numbers of 8, one after the other. */
static inline int32_t pn_kernel_bits(int32_t weight_bits)
{
    return weight_bits == 4 ? 4 : 8;
}

#define PN_GROUPS(weight_bits) ((weight_bits) == 4 ? 2 : 1) /* in a line */

static inline int32_t pn_n_groups(int32_t n_columns, int32_t weight_bits)
{
    return PN_GROUPS(weight_bits) * pn_divide_up(n_columns, PN_GROUPS(weight_bits) * PN_GROUP);
}

/* Lines in a block: as many as groups, or of 4 bits half as many. */
static inline int32_t pn_n_lines(int32_t n_groups, int32_t weight_bits)
{
    return n_groups / PN_GROUPS(weight_bits);
}

/* Bytes of a block's weights, and scales. */
static inline size_t pn_block_bytes(int32_t n_groups, int32_t weight_bits, int32_t layout)
{
    const int32_t n_lines = pn_n_lines(n_groups, weight_bits);
    return (size_t)(n_lines + (layout == PN_SCALED ? pn_divide_up(n_lines, PN_STRETCH) : 0)) * PN_LINE;
}

/* Of a block with scales: line i of its weights, and the sixteen rows' scales of that line's span. */
static inline const int8_t *pn_scaled_line(const int8_t *block, int32_t i)
{
    return block + (size_t)(i + i / PN_STRETCH + 1) * PN_LINE;
}

static inline const int8_t *pn_line_scales(const int8_t *block, int32_t i)
{
    return block + (size_t)(i / PN_STRETCH * (PN_STRETCH + 1)) * PN_LINE + i % PN_STRETCH / PN_SPAN * PN_BLOCK;
}

/* Group g of a block's weights, [16][4]: as they stand, or made in `room` of those of 4 bits, which are the upper
 * halves of bytes: of an even group in the line's lower halves, of an odd one in its upper. With scales, a weight is a
 * half's value times its row's. */
static inline const int8_t *pn_group_weights(const int8_t *block, int32_t g, int32_t weight_bits, int32_t layout,
                                             int8_t room[PN_LINE])
{
    if (weight_bits != 4)
        return block + (size_t)g * PN_LINE;
    const int8_t *line = layout == PN_SCALED ? pn_scaled_line(block, g / 2) : block + (size_t)(g / 2) * PN_LINE;
    for (int i = 0; i < PN_LINE; i++)
        room[i] = (int8_t)(g % 2 ? line[i] & 0xf0 : (line[i] & 15) << 4);
    if (layout == PN_SCALED) {
        const int8_t *scales = pn_line_scales(block, g / 2);
        for (int i = 0; i < PN_LINE; i++)
            room[i] = (int8_t)(room[i] / 16 * scales[i / PN_GROUP]);
    }
    return room;
}

static inline size_t pn_align64(size_t n)
{
    return (n + 63) & ~(size_t)63;
}

#endif
