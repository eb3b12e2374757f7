/* SPDX-License-Identifier: Apache-2.0 */
/* What all decoders ask of their input. Internal. */
#ifndef PYNNA_CTC_INPUT_H
#define PYNNA_CTC_INPUT_H

#include <math.h>

#include "pynna.h"

enum { PN_CTC_MAX_LABELS = 65536 };

static const double PN_IMPOSSIBLE = -(double)INFINITY; /* the logarithm of probability 0 */

/* Whether log_probs [n_frames, n_labels] holds neither NaN nor +infinity, and each frame a label of probability above 0
 * (with bias [n_labels] added unless it is NULL): without one, no text at all would be possible any more. */
static inline int pn_ctc_frames_valid(const float *log_probs, int32_t n_frames, int32_t n_labels, const float *bias)
{
    const float *row = log_probs;
    for (int32_t t = 0; t < n_frames; t++, row += n_labels) {
        int bad = 0, possible = 0;
        for (int32_t i = 0; i < n_labels; i++) {
            bad |= !(row[i] < INFINITY);
            possible |= (row[i] > -INFINITY) & (bias == NULL || bias[i] > -INFINITY);
        }
        if (bad || !possible)
            return 0;
    }
    return 1;
}

#endif
