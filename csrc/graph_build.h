/* SPDX-License-Identifier: Apache-2.0 */
/* A builder of graphs: its memory, and what it makes states with. graph_build_states.c makes each of them once and unites
 * them; graph_build.c makes states of texts. Internal. */
#ifndef PN_GRAPH_BUILD_H
#define PN_GRAPH_BUILD_H

#include "layout.h"
#include "pynna.h"

enum {
    PN_FIRST_BUCKETS = 1024, /* that a table begins with */
    PN_MAX_DEPTH = 1 << 16   /* of a text in labels, and of unions under way */
};

typedef struct {
    int32_t label, next;
} pn_arc;

typedef struct {
    int32_t first, n_arcs, final; /* arcs[first .. first + n_arcs - 1], by label */
} pn_state;

typedef struct {
    int32_t first, n, result; /* of the states members[first .. first + n - 1], ascending */
} pn_merger;

/* A union under way: work[at .. end - 1] are arcs to be seen to, work[first .. out - 1] those of the union. */
typedef struct {
    int32_t merger, first, at, out, end, label;
} pn_union_frame;

/* A beginning of the text that was read last: work[first ..] up to the next longer one's are the arcs of what it leads
 * to. */
typedef struct {
    int32_t first, final, label;
} pn_level;

typedef struct {
    size_t states, arcs, members, mergers, state_table, merger_table, work, frames, levels, end;
} pn_builder_layout; /* where they start, in bytes */

struct pynna_builder {
    pn_builder_layout at;
    int32_t max_states, max_arcs, space;
    int32_t n_states, n_arcs, n_members, n_mergers, n_work, n_frames;
    int32_t state_buckets, merger_buckets; /* of the tables, powers of two */
    int32_t failed;
    pn_state *states;
    pn_arc *arcs;
    int32_t *members;
    pn_merger *mergers;
    int32_t *state_table, *merger_table; /* open addressing: an index, or PN_NONE */
    pn_arc *work;
    pn_union_frame *frames;
    pn_level *levels;
};

static inline int32_t pn_builder_fail(pynna_builder *b)
{
    b->failed = 1;
    return PN_NONE;
}

/* The state with these arcs, which are sorted by label; PN_NONE if there is no room. */
int32_t pn_builder_intern(pynna_builder *b, int32_t final, const pn_arc *arcs, int32_t n);

/* By label, and of one label by where they lead. */
void pn_builder_sort_arcs(pn_arc *arcs, int32_t n);

/* The state that accepts what any of n states does; PN_NONE if there is no room. */
int32_t pn_builder_unite(pynna_builder *b, const int32_t *states, int32_t n);

#endif
