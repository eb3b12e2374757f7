/* SPDX-License-Identifier: Apache-2.0 */
/* When labels are told to have been: from 0.9 on by the best path's frames, a tree of moments; before it by a frame of each
 * prefix. 0.6 tells a label's time anew as long as nothing follows it, and what follows already hangs on the order in
 * which a frame goes through the beam: so that order is kept here, too. */
#include <math.h>
#include <stdlib.h>

#include "../exact_math.h"
#include "search_state.h"

float ds_log_add(float a, float b)
{
    return (float)pn_log_add((double)a, (double)b);
}

/* ---- from 0.9 on ------------------------------------------------------------------------------------------------- */

static int32_t add_moment(ds_search *s, int32_t parent, int32_t frame)
{
    for (int32_t i = s->moments[parent].child; i != NONE; i = s->moments[i].sibling)
        if (s->moments[i].frame == frame)
            return i;
    if (!ds_grow(&s->moments, s->n_moments, &s->moment_room, sizeof *s->moments)) {
        s->failed = 1;
        return parent;
    }
    const int32_t at = s->n_moments++;
    s->moments[at] = (moment){parent, NONE, s->moments[parent].child, frame};
    s->moments[parent].child = at;
    return at;
}

void ds_settle_time(ds_search *s, int32_t at)
{
    if (s->config.times == DS_TIMES_PATH && s->prefixes[at].from_time != NONE) {
        const int32_t made = add_moment(s, s->prefixes[at].from_time, s->prefixes[at].new_time);
        s->prefixes[at].time = made;
    }
    s->prefixes[at].from_time = NONE;
}

void ds_sweep_moments(ds_search *s)
{
    int32_t *moved = calloc((size_t)s->n_moments, sizeof *moved);
    if (moved == NULL)
        return;
    for (int32_t i = 0; i < s->n_beam; i++)
        for (int32_t m = s->prefixes[s->beam[i]].time; m != NONE && !moved[m]; m = s->moments[m].parent)
            moved[m] = 1;
    moved[0] = 1;
    int32_t n = 0;
    for (int32_t i = 0; i < s->n_moments; i++) {
        if (!moved[i])
            continue;
        const int32_t parent = i == 0 ? NONE : moved[s->moments[i].parent];
        moved[i] = n;
        s->moments[n] = (moment){parent, NONE, NONE, s->moments[i].frame};
        if (parent != NONE) {
            s->moments[n].sibling = s->moments[parent].child;
            s->moments[parent].child = n;
        }
        n++;
    }
    for (int32_t i = 0; i < s->n_beam; i++)
        s->prefixes[s->beam[i]].time = moved[s->prefixes[s->beam[i]].time];
    free(moved);
    s->n_moments = n;
    s->moments_wanted = 2 * n + 65536;
}

/* ---- before 0.9 -------------------------------------------------------------------------------------------------- */

/* Whether nothing follows a prefix of the beam yet when `label` leads into it: nothing from the frames before, and the
 * labels that went before this one in the frame could not follow. `label` itself went before in prefixes of lower rank. */
static int is_leaf(const ds_search *s, const prefix *p, int32_t label)
{
    if (p->child != NONE)
        return 0;
    const int32_t goes_first = p->rank < s->prefixes[p->parent].rank;
    for (int32_t k = 0; k < s->n_order && (s->order[k] != label || goes_first); k++) {
        const int32_t other = s->order[k];
        if (other != s->config.n_labels - 1 && !(s->log_prob[other] + p->score < s->cutoff)
            && (s->scorer == NULL || ds_tree_next(&s->scorer->tree, p->tree_state, other + 1) >= 0))
            return 0;
        if (other == label)
            break;
    }
    return 1;
}

void ds_tell_frame(ds_search *s, prefix *p)
{
    const float log_prob = s->log_prob[p->label];
    if (!(log_prob > p->best_prob))
        return;
    const int is_told = s->config.times == DS_TIMES_BEST || (s->config.times == DS_TIMES_LEAF && is_leaf(s, p, p->label));
    p->best_prob = log_prob;
    if (is_told)
        p->time = s->n_frames;
}

static int is_better(const candidate *a, const candidate *b)
{
    return a->score != b->score ? a->score > b->score : a->label < b->label;
}

static void swap(candidate *a, candidate *b)
{
    const candidate t = *a;
    *a = *b;
    *b = t;
}

/* Of three the middle one comes to `to`. */
static void take_median(candidate *to, candidate *a, candidate *b, candidate *c)
{
    if (is_better(a, b))
        swap(to, is_better(b, c) ? b : is_better(a, c) ? c : a);
    else
        swap(to, is_better(a, c) ? a : is_better(b, c) ? c : b);
}

/* What is better than the first comes before the rest; returns where the rest begins. */
static int32_t part(candidate *x, int32_t first, int32_t last)
{
    const int32_t pivot = first;
    take_median(&x[first], &x[first + 1], &x[first + (last - first) / 2], &x[last - 1]);
    for (first++;; first++) {
        while (is_better(&x[first], &x[pivot]))
            first++;
        for (last--; is_better(&x[pivot], &x[last]);)
            last--;
        if (first >= last)
            return first;
        swap(&x[first], &x[last]);
    }
}

/* Quickselect: the `keep` best come first, in the order in which the client's standard library leaves them. */
static void select_best(candidate *x, int32_t keep, int32_t n)
{
    int32_t first = 0, last = n;
    while (last - first > 3) {
        const int32_t cut = part(x, first, last);
        if (cut <= keep)
            first = cut;
        else
            last = cut;
    }
    for (int32_t i = first + 1; i < last; i++)
        for (int32_t k = i; k > first && is_better(&x[k], &x[k - 1]); k--)
            swap(&x[k], &x[k - 1]);
}

static void add_candidate(ds_search *s, int32_t *n, candidate c)
{
    if (!ds_grow(&s->candidates, *n, &s->candidate_room, sizeof *s->candidates))
        s->failed = 1;
    else
        s->candidates[(*n)++] = c;
}

static float way_into(const ds_search *s, const prefix *p, int32_t label)
{
    return s->log_prob[label] + (label == p->label ? p->blank : p->score);
}

/* A prefix, if a client has it in its beam at the end of this frame: it is alive, or follows one that was in the beam. */
static void add_node(ds_search *s, int32_t *n, int32_t at)
{
    prefix *p = &s->prefixes[at];
    if (p->alive == ALIVE) {
        add_candidate(s, n, (candidate){ds_log_add(p->blank_now, p->last_now), p->label, at});
        return;
    }
    if (p->parent == NONE) /* the empty text has left the beam for good */
        return;
    const prefix *above = &s->prefixes[p->parent];
    if (above->alive != ALIVE || above->born == s->n_frames)
        return;
    if (s->log_prob[p->label] > p->best_prob)
        p->best_prob = s->log_prob[p->label];
    add_candidate(s, n, (candidate){way_into(s, above, p->label), p->label, NONE});
}

/* What this frame made a prefix of the beam be followed by, in the labels' order: prefixes that are kept, and those that a
 * client makes and lets go of again. */
static void add_new(ds_search *s, int32_t *n, int32_t at)
{
    const prefix *p = &s->prefixes[at];
    if (p->alive != ALIVE || p->born == s->n_frames)
        return;
    for (int32_t k = 0; k < s->n_order; k++) {
        const int32_t label = s->order[k];
        if (label == s->config.n_labels - 1)
            continue;
        const int32_t child = ds_find_child(s, at, label);
        if (child == NONE)
            add_candidate(s, n, (candidate){way_into(s, p, label), label, NONE});
        else if (s->prefixes[child].made == s->n_frames)
            add_node(s, n, child);
    }
}

/* All that a client ranks at the end of this frame, in its order: each prefix, then what follows it, oldest first. */
static int32_t list_candidates(ds_search *s)
{
    int32_t n = 0, at = ROOT;
    while (at != NONE) {
        add_node(s, &n, at);
        int32_t next = s->prefixes[at].child;
        while (at != NONE && (next == NONE || s->prefixes[next].made == s->n_frames)) {
            add_new(s, &n, at);
            next = s->prefixes[at].sibling;
            at = s->prefixes[at].parent;
        }
        at = at == NONE ? NONE : next;
    }
    return n;
}

void ds_rank_beam(ds_search *s)
{
    const int32_t n = list_candidates(s);
    for (int32_t i = 0; i < s->n_beam; i++)
        s->prefixes[s->beam[i]].rank = 0;
    if (s->failed || n <= s->config.beam)
        return;
    select_best(s->candidates, s->config.beam, n);
    for (int32_t i = 0; i < s->config.beam; i++)
        if (s->candidates[i].prefix != NONE)
            s->prefixes[s->candidates[i].prefix].rank = i;
}
