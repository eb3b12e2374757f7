/* SPDX-License-Identifier: Apache-2.0 */
/* What a beam search holds between two frames, and a call's view of it. Internal to the CTC decoder.
 *
 * It is a beam of hypotheses, each a node of the trie (its labels) with two log-probabilities: of all alignments that end
 * in the blank, and of all that end in its last label. */
#ifndef PN_CTC_SEARCH_H
#define PN_CTC_SEARCH_H

#include "ctc_input.h"
#include "ctc_rank.h"
#include "ctc_trie.h"
#include "layout.h"

enum { PN_CTC_MASKED = 64 }; /* labels below it have a bit in masks */

static const double PN_UNASKED = (double)INFINITY; /* what the scorer has not been asked for yet */

typedef struct {
    double blank; /* log-probability of the alignments that end in the blank */
    double label; /* of those that end in its last label */
    double total; /* of both */
} pn_ctc_weights;

/* The beam, an array a property. Slot PN_NONE is nobody's: its weights are PN_IMPOSSIBLE. */
typedef struct {
    pn_ctc_weights *now;  /* [-1 .. beam - 1] */
    pynna_ctc_token *run; /* [-1 .. beam - 1]: the last label's latest run; label PN_NONE: the empty sequence */
    int32_t *node;        /* in the trie */
    /* what the trie and the scorer know, at hand */
    int32_t *from;          /* the parent's slot, PN_NONE: it is not in the beam */
    double *extra;          /* what the scorer added for the last label */
    double *between;        /* what it adds for its boundary after it; PN_UNASKED: not known yet */
    uint64_t *taken;        /* labels below PN_CTC_MASKED that lead to prefixes in the beam */
    pynna_ctc_ways *choice; /* what the scorer tells of labels below PN_CTC_MASKED */
} pn_ctc_beam;

/* Where the arrays stand in the memory handed in, in bytes from its start. */
typedef struct {
    size_t bias;                                                /* float [n_labels] */
    size_t now, run, node, from, extra, between, taken, choice; /* pn_ctc_beam's, [beam] and one before it */
    size_t next, next_run;                                      /* pn_ctc_weights and pynna_ctc_token [beam] */
    size_t ways;                                                /* double [3][beam] */
    size_t ranked;                                              /* pn_ranked [n_ranked] */
    size_t leaving;                                             /* int32_t [2][beam] */
    size_t labels;                                              /* pn_ranked [n_labels] */
    size_t log_prob;                                            /* double [n_labels] and one before it */
    size_t mark;                                                /* uint8_t [n_labels] */
    size_t waiting;                                             /* pynna_ctc_token [n_waiting], a ring */
    size_t trie;                                                /* pn_trie with n_nodes nodes */
    size_t end;
} pn_ctc_layout;

struct pynna_ctc {
    pynna_ctc_config config; /* label_bias NULL: this block holds no pointers */
    pn_ctc_layout at;
    int64_t n_committed, n_forced;
    int32_t has_bias, finished;
    int32_t knows_scorer; /* 1: beam.extra and beam.choice are the scorer's */
    int32_t n_hypotheses;
    int32_t n_frames, n_frames_untaken; /* fed in all, and since everything was last taken */
    int32_t first_waiting, n_waiting;
};

/* One call's view of a decoder: its arrays as pointers, and what a frame's steps hand on. */
typedef struct {
    pynna_ctc *d;
    const float *bias; /* NULL for none */
    pn_ctc_beam b;
    pn_ctc_weights *next; /* of the hypotheses that stay, after this frame */
    pynna_ctc_token *next_run;
    double *ways; /* [3][beam]: what is added up, and the sums */
    pn_ranked *ranked, *labels;
    int32_t *leaving, *gone; /* slots, ascending, and their nodes */
    double *log_prob;        /* of label PN_NONE: PN_IMPOSSIBLE */
    uint8_t *mark;           /* all 0 between uses */
    pynna_ctc_token *waiting;
    pn_trie *trie;
    const pynna_ctc_scorer *scorer; /* NULL for none */
    const float *row;               /* [n_labels], the frame */
    int32_t n_ranked;               /* survivors to be, stays (label PN_NONE) and extensions alike */
    int32_t ranked_capacity;
    int32_t is_sorted; /* s->labels */
    double floor;      /* what scores less will not survive */
} pn_ctc;

/* ---- ctc_memory.c ------------------------------------------------------------------------------------------------ */

pn_ctc pn_ctc_view(pynna_ctc *d);

/* For functions that only read. */
pn_ctc pn_ctc_const_view(const pynna_ctc *d);

/* Between two takings the longest tail can be committed, a node a label, and each frame can add one label to it. */
static inline int32_t pn_ctc_waiting_capacity(const pynna_ctc_config *c)
{
    return c->n_nodes + c->max_frames;
}

/* ---- ctc_room.c -------------------------------------------------------------------------------------------------- */

/* Whether the trie has no room for a beam of new prefixes, and what sees to it that it has. */
static inline int pn_ctc_is_full(const pn_ctc *s)
{
    return s->trie->capacity - s->trie->n_live < s->d->config.beam;
}

void pn_ctc_make_room(pn_ctc *s);

/* ---- ctc_scorer.c ------------------------------------------------------------------------------------------------ */

int pn_ctc_good_scorer(const pynna_ctc_scorer *scorer);

/* The scorer's part of the beam, for the first frame and after another scorer has come. */
void pn_ctc_ask_scorer(pn_ctc *s);

#endif
