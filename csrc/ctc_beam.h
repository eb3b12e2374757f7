/* SPDX-License-Identifier: Apache-2.0 */
/* How hypotheses come into the beam and leave it, and what the scorer says of them. Inline, for it is done for every
 * hypothesis of every frame. Internal to the CTC decoder. */
#ifndef PN_CTC_BEAM_H
#define PN_CTC_BEAM_H

#include "ctc_search.h"

/* ---- the scorer -------------------------------------------------------------------------------------------------- */

/* What the scorer adds at most for any label, and for one that is no boundary. */
static inline double pn_ctc_most_extra(const pn_ctc *s)
{
    return s->scorer == NULL ? 0.0 : s->scorer->most;
}

static inline double pn_ctc_most_elsewhere(const pn_ctc *s)
{
    return s->scorer != NULL && s->scorer->has_boundary ? s->scorer->most_elsewhere : pn_ctc_most_extra(s);
}

/* What the scorer adds for a label after a node's. */
static inline double pn_ctc_extra_of(const pn_ctc *s, int32_t node, int32_t label, pynna_ctc_state *next)
{
    return s->scorer == NULL ? 0.0 : s->scorer->extend(s->scorer->context, &s->trie->nodes[node].state, label, next);
}

static inline uint64_t pn_ctc_bit_of(int32_t label)
{
    return label >= 0 && label < PN_CTC_MASKED ? (uint64_t)1 << label : 0;
}

static inline pynna_ctc_ways pn_ctc_choice_of(const pn_ctc *s, int32_t node)
{
    const pynna_ctc_ways all = {~(uint64_t)0, 0, pn_ctc_most_elsewhere(s)};
    if (s->scorer == NULL || s->scorer->ways == NULL)
        return all;
    return s->scorer->ways(s->scorer->context, &s->trie->nodes[node].state);
}

/* ---- a place in the beam ----------------------------------------------------------------------------------------- */

/* Tells a node's children in the beam where it stands, and itself which labels lead to them. */
static inline uint64_t pn_ctc_tell_children(pn_ctc *s, int32_t node, int32_t slot)
{
    uint64_t taken = 0;
    for (int32_t c = s->trie->nodes[node].first_child; c != PN_NONE; c = s->trie->nodes[c].next)
        if (s->trie->nodes[c].slot != PN_NONE) {
            s->b.from[s->trie->nodes[c].slot] = slot;
            taken |= pn_ctc_bit_of(s->trie->nodes[c].token.label);
        }
    return taken;
}

/* A hypothesis out of the beam; its slot is free then. */
static inline void pn_ctc_leave(pn_ctc *s, int32_t slot)
{
    const int32_t from = s->b.from[slot];
    if (from != PN_NONE)
        s->b.taken[from] &= ~pn_ctc_bit_of(s->b.run[slot].label);
    s->trie->nodes[s->b.node[slot]].slot = PN_NONE;
    pn_ctc_tell_children(s, s->b.node[slot], PN_NONE);
}

/* A hypothesis from one slot into a free one. */
static inline void pn_ctc_move(pn_ctc *s, int32_t slot, int32_t to)
{
    s->b.now[to] = s->b.now[slot];
    s->b.run[to] = s->b.run[slot];
    s->b.node[to] = s->b.node[slot];
    s->b.from[to] = s->b.from[slot];
    s->b.extra[to] = s->b.extra[slot];
    s->b.between[to] = s->b.between[slot];
    s->b.taken[to] = s->b.taken[slot];
    s->b.choice[to] = s->b.choice[slot];
    s->trie->nodes[s->b.node[to]].slot = to;
    pn_ctc_tell_children(s, s->b.node[to], to);
}

/* A prefix that comes into the beam from its parent; its node may still be there on its children's account. */
static inline void pn_ctc_enter(pn_ctc *s, int32_t parent, int32_t label, double score, int32_t slot)
{
    const pynna_ctc_token run = {label, s->d->n_frames, s->d->n_frames, s->row[label]};
    int32_t node = pn_trie_find(s->trie, parent, label);
    if (node == PN_NONE) {
        pynna_ctc_state state = {
            {0, 0, 0}
        };
        const double extra = pn_ctc_extra_of(s, parent, label, &state);
        node = pn_trie_add(s->trie, parent, &run);
        s->trie->nodes[node].state = state;
        s->trie->nodes[node].extra = extra;
    }
    const int32_t from = s->trie->nodes[parent].slot;
    s->b.now[slot] = (pn_ctc_weights){.blank = PN_IMPOSSIBLE, .label = score, .total = score};
    s->b.run[slot] = run;
    s->b.node[slot] = node;
    s->b.from[slot] = from;
    s->b.extra[slot] = s->trie->nodes[node].extra;
    s->b.between[slot] = PN_UNASKED;
    s->b.taken[slot] = pn_ctc_tell_children(s, node, slot);
    s->b.choice[slot] = pn_ctc_choice_of(s, node);
    s->trie->nodes[node].slot = slot;
    if (from != PN_NONE)
        s->b.taken[from] |= pn_ctc_bit_of(label);
}

/* What all hypotheses have in common waits to be taken. */
static inline void pn_ctc_commit(pn_ctc *s)
{
    pynna_ctc *d = s->d;
    for (pynna_ctc_token token; pn_trie_advance(s->trie, &token);) {
        if (token.label == PN_NONE)
            continue;
        const int32_t capacity = pn_ctc_waiting_capacity(&d->config), place = d->first_waiting + d->n_waiting++;
        s->waiting[place < capacity ? place : place - capacity] = token;
        d->n_committed++;
    }
}

#endif
