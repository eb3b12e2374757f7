/* The model as the kernels see it: pointers into the checked file. */
#ifndef PN_MODEL_H
#define PN_MODEL_H

#include "pynna.h"

enum { PN_LAYER_1, PN_LAYER_2, PN_LAYER_3, PN_LSTM_X, PN_LSTM_H, PN_LAYER_5, PN_LAYER_6 };

enum { PN_BLOCK = 16, PN_GROUP = 4 };   /* rows and columns that a kernel takes at once, see README.md, packing */

typedef struct {
    pynna_layer_info info;
    int32_t n_blocks, n_groups;     /* rows in blocks of 16, columns in groups of 4 */
    const int8_t *weights;          /* [n_blocks][n_groups][16][4] */
    const int32_t *bias;            /* [n_blocks * 16] */
    const int32_t *row_sum;         /* [n_blocks * 16] */
    const int32_t *multiplier;      /* [n_blocks * 16], NULL for layer_6 */
    const float *logit_scale;       /* [n_blocks * 16], layer_6 only */
} pn_layer;

struct pynna_model {
    pynna_geometry geometry;
    pn_layer layers[PYNNA_N_LAYERS];
    const char *alphabet;           /* n_labels - 1 zero-terminated strings */
    const float *label_priors;      /* [n_labels] */
    const float *feature_gain;      /* [n_coefficients] */
    const char *provenance;
    size_t provenance_bytes;
};

static inline int32_t pn_divide_up(int32_t a, int32_t b)
{
    return (a + b - 1) / b;
}

static inline size_t pn_align64(size_t n)
{
    return (n + 63) & ~(size_t)63;
}

#endif
