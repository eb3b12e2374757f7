/* SPDX-License-Identifier: Apache-2.0 */
/* What a grammar's search holds between two frames, and a call's view of it. Internal.
 *
 * A place is where a path can be between two frames: inside the label of an arc (places 0 .. n_arcs - 1), or in the
 * blank after having reached a state (places n_arcs + state). A cell is a place and a state of the hot words' automaton,
 * with its best paths, at most n_best of different label sequences; a path is a score, a record of the labels behind it,
 * and the run of the label it is in. Without hot words a place has one cell. */
#ifndef PN_GRAPH_SEARCH_H
#define PN_GRAPH_SEARCH_H

#include "ctc_rank.h"
#include "layout.h"
#include "pynna.h"

enum { PN_MAX_BEST = 16 };

/* A label behind a path. */
typedef struct {
    pynna_search_token token; /* loss: for the time being the path's score less the free one, when it left the label */
    int32_t previous;         /* a record with a lower index, or PN_NONE */
    int32_t n_uses;           /* scratch of collecting: records and paths that refer to it */
} pn_record;

typedef struct {
    double score;
    double bonus;        /* what of the score the hot words gave */
    uint64_t hash;       /* of its label sequence */
    int32_t history;     /* the record of the label before, or PN_NONE */
    int32_t left;        /* the record made when it left its label in this frame, or PN_NONE */
    int32_t run_label;   /* the label it is in; PN_NONE in a blank */
    int32_t noise_label; /* the label of noise that it is in, in a blank; or PN_NONE */
    double noise_loss;   /* what was lost to noise, which is no label's loss */
    int32_t start, frame;
    float log_prob;
} pn_path;

typedef struct {
    int32_t place, n_paths;
    int32_t hot;           /* state of the hot words' automaton */
    int32_t next_at_place; /* new cells of the same place, as a list */
    int32_t next_in_state; /* cells that reached the same state, as a list */
} pn_cell;

typedef struct {
    size_t bias, log_prob, slot, head, touched, cells[2], paths[2], ranked, records, moved, waiting, end;
} pn_search_layout;

struct pynna_search {
    pynna_search_config config; /* label_bias NULL: this block holds no pointers */
    pn_search_layout at;
    int32_t n_states, n_arcs;
    int32_t has_bias, finished;
    int32_t current, n_cells; /* which of the two halves holds the cells */
    int32_t n_hot;            /* states of the hot words' automaton; 0 for none */
    int32_t last_committed;   /* the last committed label, or PN_NONE */
    int32_t n_records;
    int32_t n_frames, n_frames_untaken, first_waiting, n_waiting;
    int32_t unconstrained_label; /* the last frame's best label */
    int32_t most_active;
    int64_t n_dropped;
    double unconstrained_score;
    double gap; /* of the last committed label: its path's score less the free one */
};

typedef struct {
    pynna_search *d;
    const pynna_graph *g;
    const pynna_words *hot; /* NULL: no hot words */
    const float *bias, *row;
    double *log_prob; /* of the frame, biased */
    double filler;    /* log-probability of the filler in this frame */
    int32_t *slot;    /* [places]: the first of a place's new cells, or PN_NONE */
    int32_t *head;    /* [states]: the first of the cells that reached it, or PN_NONE */
    int32_t *touched; /* states that were reached */
    pn_cell *cells, *next;
    pn_path *paths, *next_paths;
    pn_ranked *ranked;
    pn_record *records;
    int32_t *moved;              /* [n_records]: where collecting puts a record */
    pynna_search_token *waiting; /* [2 n_records], a ring */
    int32_t n_next, best_label;
    double best, floor; /* of the new paths: the best so far, and what is not worth keeping */
    double unconstrained_before;
} pn_search;

/* ---- graph_search_memory.c --------------------------------------------------------------------------------------- */

pn_search pn_search_view(pynna_search *d, const pynna_graph *g);

/* Whether it is the graph that the search was built for. */
int pn_search_fits(const pynna_search *d, const pynna_graph *g);

/* Whether these are the hot words that the search goes by. */
int pn_search_knows(const pynna_search *d, const pynna_words *hot);

/* ---- graph_search_room.c ----------------------------------------------------------------------------------------- */

/* Frames that may be fed before everything must be taken. */
int32_t pn_search_n_room(const pynna_search *d);

/* Room for all records that a frame can add: one for each path that leaves, one for each that hears the filler. */
void pn_search_make_room(pn_search *s);

/* Keeps the `keep` best of n cells; returns how many these are. */
int32_t pn_search_keep_best(pn_search *s, pn_cell *cells, pn_path *paths, int32_t n, int32_t keep);

/* ---- graph_search.c ---------------------------------------------------------------------------------------------- */

/* Drops what has turned out to be too far below the best, and clears the places. */
void pn_search_prune(pn_search *s);

/* The new cells are the cells. */
void pn_search_swap(pn_search *s);

/* ---- of a place and of a path ------------------------------------------------------------------------------------ */

static inline int32_t pn_state_reached(const pn_search *s, int32_t place)
{
    return place < s->g->n_arcs ? s->g->arc_next[place] : place - s->g->n_arcs;
}

/* A path's score as far as labels count: without what noise cost and hot words gave. */
static inline double pn_path_fit(const pn_path *p)
{
    return p->score - p->bonus + p->noise_loss;
}

#endif
