/* SPDX-License-Identifier: Apache-2.0 */
/* See search.h. The state is a tree of prefixes, of which the beam's are `alive`, and a tree of times; every frame
 *   ranks the beam, if there is a scorer, for its cut;
 *   expands each prefix of the beam by each label, the blank last;
 *   settles what came together in each prefix, and its times;
 *   selects the best prefixes and lets the others go.
 * Scores are float32 throughout, as the clients' are. */
#include <float.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "../exact_math.h"
#include "search_state.h"

enum { DEAD = 0, ALIVE = 1, FREE = 2 }; /* a dead prefix is kept for those behind it */

static const float IMPOSSIBLE = -INFINITY;

/* ---- memory ---------------------------------------------------------------------------------------------------- */

/* Sees to it that an array has room for one more. */
int ds_grow(void *array, int32_t used, int32_t *room, size_t size)
{
    if (used < *room)
        return 1;
    if (*room > INT32_MAX / 2)
        return 0;
    const int32_t wanted = *room < 512 ? 1024 : 2 * *room;
    void *memory; /* `array` is the address of a pointer to anything */
    memcpy(&memory, array, sizeof memory);
    memory = realloc(memory, (size_t)wanted * size);
    if (memory == NULL)
        return 0;
    memcpy(array, &memory, sizeof memory);
    *room = wanted;
    return 1;
}

static int32_t add_prefix(ds_search *s, int32_t parent, int32_t label)
{
    int32_t at = s->free_prefix;
    if (at != NONE) {
        s->free_prefix = s->prefixes[at].sibling;
    } else {
        if (!ds_grow(&s->prefixes, s->n_prefixes, &s->prefix_room, sizeof *s->prefixes)) {
            s->failed = 1;
            return NONE;
        }
        at = s->n_prefixes++;
    }
    prefix *p = &s->prefixes[at];
    *p = (prefix){.parent = parent,
                  .child = NONE,
                  .sibling = NONE,
                  .label = label,
                  .blank = IMPOSSIBLE,
                  .last = IMPOSSIBLE,
                  .blank_now = IMPOSSIBLE,
                  .last_now = IMPOSSIBLE,
                  .score = IMPOSSIBLE,
                  .best_prob = IMPOSSIBLE,
                  .alive = ALIVE,
                  .from_time = NONE};
    if (parent != NONE) {
        p->sibling = s->prefixes[parent].child;
        s->prefixes[parent].child = at;
    }
    return at;
}

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

/* Lets go of a prefix that is not alive, and of those above that were kept for it alone. */
static void release(ds_search *s, int32_t at)
{
    while (at != ROOT && s->prefixes[at].alive == DEAD && s->prefixes[at].child == NONE) {
        const int32_t parent = s->prefixes[at].parent;
        int32_t *link = &s->prefixes[parent].child;
        while (*link != at)
            link = &s->prefixes[*link].sibling;
        *link = s->prefixes[at].sibling;
        s->prefixes[at].sibling = s->free_prefix;
        s->prefixes[at].alive = FREE;
        s->free_prefix = at;
        at = parent;
    }
}

/* Throws out the times that no prefix leads to: parents stand before their children, so one pass moves all. */
static void sweep_moments(ds_search *s)
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

/* No less than the scorer ever adds for a word. */
static float most_bonus(const ds_search *s)
{
    double hot = 0.0;
    for (int32_t i = 0; i < s->n_hot; i++)
        hot = s->hot[i].boost > hot ? (double)s->hot[i].boost : hot;
    if (s->scorer == NULL)
        return 0.0f;
    return s->alpha < 0.0 ? INFINITY : (float)((s->beta > 0.0 ? s->beta : 0.0) + s->alpha * hot * s->scorer->lm.order);
}

ds_search *ds_search_new(const ds_search_config *config, const ds_scorer *scorer, double alpha, double beta,
                         const ds_hot_word *hot_words, int32_t n_hot_words)
{
    ds_search *s = calloc(1, sizeof *s);
    if (s == NULL)
        return NULL;
    *s = (ds_search){.config = *config,
                     .scorer = scorer,
                     .alpha = alpha,
                     .beta = beta,
                     .n_hot = n_hot_words,
                     .free_prefix = NONE,
                     .moments_wanted = 65536};
    s->hot = malloc(((size_t)n_hot_words + 1) * sizeof *s->hot);
    s->log_prob = malloc((size_t)config->n_labels * sizeof *s->log_prob);
    s->order = malloc((size_t)config->n_labels * sizeof *s->order);
    if (s->hot == NULL || s->log_prob == NULL || s->order == NULL || add_prefix(s, NONE, ROOT_LABEL) != ROOT
        || !ds_grow(&s->moments, 0, &s->moment_room, sizeof *s->moments)
        || !ds_grow(&s->beam, 0, &s->beam_room, sizeof *s->beam)) {
        ds_search_free(s);
        return NULL;
    }
    if (n_hot_words > 0)
        memcpy(s->hot, hot_words, (size_t)n_hot_words * sizeof *s->hot);
    s->moments[0] = (moment){NONE, NONE, NONE, 0};
    s->n_moments = 1;
    prefix *root = &s->prefixes[ROOT];
    root->score = root->blank = 0.0f;
    root->boundary = ROOT;
    root->previous_word = NONE;
    root->tree_state = scorer != NULL ? (int32_t)scorer->tree.start : 0;
    s->beam[0] = ROOT;
    s->n_beam = 1;
    s->most = most_bonus(s);
    return s;
}

void ds_search_free(ds_search *s)
{
    if (s == NULL)
        return;
    free(s->hot);
    free(s->prefixes);
    free(s->moments);
    free(s->beam);
    free(s->log_prob);
    free(s->order);
    free(s->text);
    free(s);
}

/* ---- a frame ----------------------------------------------------------------------------------------------------- */

static float log_add(float a, float b)
{
    return (float)pn_log_add((double)a, (double)b);
}

/* Better first: the higher score, of equals the lower label. */
static int is_better(const prefix *a, const prefix *b)
{
    return a->score != b->score ? a->score > b->score : a->label < b->label;
}

static void sift(const ds_search *s, int32_t *heap, int32_t i, int32_t n)
{
    for (int32_t child; (child = 2 * i + 1) < n; i = child) {
        if (child + 1 < n && is_better(&s->prefixes[heap[child]], &s->prefixes[heap[child + 1]]))
            child++;
        if (!is_better(&s->prefixes[heap[i]], &s->prefixes[heap[child]]))
            return;
        const int32_t t = heap[i];
        heap[i] = heap[child];
        heap[child] = t;
    }
}

/* The `keep` best of the beam come first; sorted, best first, if asked for. */
static void rank_beam(ds_search *s, int32_t keep, int sorted)
{
    int32_t *heap = s->beam; /* the worst of the best on top */
    if (keep > s->n_beam)
        keep = s->n_beam;
    for (int32_t i = keep / 2; i-- > 0;)
        sift(s, heap, i, keep);
    for (int32_t i = keep; i < s->n_beam; i++)
        if (is_better(&s->prefixes[heap[i]], &s->prefixes[heap[0]])) {
            const int32_t t = heap[i];
            heap[i] = heap[0];
            heap[0] = t;
            sift(s, heap, 0, keep);
        }
    for (int32_t n = keep; sorted && n-- > 1;) {
        const int32_t t = heap[n];
        heap[n] = heap[0];
        heap[0] = t;
        sift(s, heap, 0, n);
    }
}

/* The labels that count in this frame into s->order, the blank last; returns how many. */
static int32_t order_labels(ds_search *s, const float *probs)
{
    const ds_search_config *c = &s->config;
    const int32_t blank = c->n_labels - 1;
    int32_t n = 0;
    for (int32_t i = 0; i < c->n_labels; i++) {
        s->log_prob[i] = (float)pn_log((double)(probs[i] + FLT_MIN));
        s->order[n++] = i;
    }
    if (c->cutoff_prob >= 1.0 && c->cutoff_top_n >= c->n_labels)
        return n;
    for (int32_t i = 1; i < n; i++) { /* by probability; a stable insertion sort, for a few hundred labels */
        const int32_t label = s->order[i];
        int32_t k = i;
        for (; k > 0 && probs[s->order[k - 1]] < probs[label]; k--)
            s->order[k] = s->order[k - 1];
        s->order[k] = label;
    }
    /* what is cut off has no ways */
    int32_t keep = c->cutoff_top_n < n ? c->cutoff_top_n : n;
    double reached = 0.0;
    for (int32_t i = 0; c->cutoff_prob < 1.0 && i < keep; i++)
        if ((reached += probs[s->order[i]]) >= c->cutoff_prob)
            keep = i + 1;
    for (int32_t i = 0; i < keep; i++)
        if (s->order[i] == blank) {
            memmove(&s->order[i], &s->order[i + 1], (size_t)(keep - 1 - i) * sizeof *s->order);
            s->order[keep - 1] = blank;
            break;
        }
    for (int32_t i = keep; i < n; i++)
        s->log_prob[s->order[i]] = IMPOSSIBLE;
    return keep;
}

static int32_t find_child(const ds_search *s, int32_t at, int32_t label)
{
    int32_t child = s->prefixes[at].child;
    while (child != NONE && s->prefixes[child].label != label)
        child = s->prefixes[child].sibling;
    return child;
}

/* A time that is a frame, as told before 0.9: told when the prefix came up, and by some anew when its label is
 * likelier. 0.6 does so as long as nothing follows; within a frame labels come in order, so only the first label's can. */
static void tell_frame(ds_search *s, prefix *p)
{
    const float log_prob = s->log_prob[p->label];
    if (!(log_prob > p->best_prob))
        return;
    p->best_prob = log_prob;
    if (s->config.times == DS_TIMES_BEST || (s->config.times == DS_TIMES_LEAF && p->label == 0 && p->child == NONE))
        p->time = s->n_frames;
}

/* A new child of a prefix, or one that was dead; NONE where the tree of words has none, or it could not live. */
static int32_t bring_to_life(ds_search *s, int32_t at, int32_t label, float way, float floor, int ends)
{
    int32_t child = find_child(s, at, label);
    if (child == NONE) {
        const int64_t state =
            s->scorer == NULL ? 0 : ds_tree_next(&s->scorer->tree, s->prefixes[at].tree_state, label + 1);
        word_end end = {0.0f, 0.0f, 0};
        if (state < 0)
            return NONE;
        if (ends) {
            end = ds_end_word(s, at, label);
            if (way + end.bonus + (float)s->beta < floor)
                return NONE;
        }
        child = add_prefix(s, at, label);
        if (child == NONE)
            return NONE;
        prefix *p = &s->prefixes[child];
        p->tree_state = (int32_t)state;
        p->bonus = end.bonus;
        p->boundary = ends ? child : s->prefixes[at].boundary;
        p->word = end.word;
        p->boost = end.boost;
        p->previous_word = ends ? s->prefixes[at].boundary : NONE;
        p->time = s->config.times == DS_TIMES_PATH ? 0 : s->n_frames;
    }
    prefix *p = &s->prefixes[child];
    p->alive = ALIVE;
    p->blank = p->last = p->score = IMPOSSIBLE;
    if (!ds_grow(&s->beam, s->n_beam, &s->beam_room, sizeof *s->beam)) {
        s->failed = 1;
        return NONE;
    }
    s->beam[s->n_beam++] = child;
    return child;
}

/* A label's way from a prefix into its child. */
static void arrive(ds_search *s, int32_t at, int32_t child, float way)
{
    prefix *c = &s->prefixes[child];
    if (s->config.times != DS_TIMES_PATH)
        tell_frame(s, c);
    if (s->scorer != NULL && c->boundary == child) {
        way += c->bonus;
        way += (float)s->beta;
    }
    if (c->last_now < way) {
        c->from_time = s->prefixes[at].time;
        c->new_time = s->n_frames;
    }
    c->last_now = log_add(c->last_now, way);
}

static float way_of(const ds_search *s, const prefix *p, int32_t label)
{
    return s->log_prob[label] + (label == p->label ? p->blank : p->score);
}

/* What stays in a prefix of the beam: its label once more, its label anew from a prefix that is in the beam, too, and
 * the blank. Labels that are cut off have a log-probability of -infinity; so do ways that the clients cut. */
static void stay(ds_search *s, int32_t at, float cutoff)
{
    prefix *p = &s->prefixes[at];
    if (p->label != ROOT_LABEL && s->log_prob[p->label] > IMPOSSIBLE) {
        const float log_prob = s->log_prob[p->label];
        const prefix *above = &s->prefixes[p->parent];
        if (!(log_prob + p->score < cutoff))
            p->last_now = log_prob + p->last;
        if (above->alive == ALIVE && above->score > IMPOSSIBLE && !(log_prob + above->score < cutoff))
            arrive(s, p->parent, at, way_of(s, above, p->label));
    }
    const float way = s->log_prob[s->config.n_labels - 1] + p->score;
    if (p->last_now < way)
        p->from_time = NONE;
    p->blank_now = way;
}

/* New prefixes by one label. The beam is sorted: the first that falls short ends it. */
static void extend(ds_search *s, int32_t label, int32_t n_before, float cutoff, float floor)
{
    const float most = s->scorer != NULL && (s->scorer->is_bytes || label == s->config.space) ? s->most : 0.0f;
    for (int32_t i = 0; i < n_before; i++) {
        const int32_t at = s->beam[i];
        const prefix *p = &s->prefixes[at];
        const float best = s->log_prob[label] + p->score, way = way_of(s, p, label);
        if (best < cutoff || best + most < floor || p->score == IMPOSSIBLE)
            break;
        const int32_t child = find_child(s, at, label);
        if (way + most < floor || (child != NONE && s->prefixes[child].alive == ALIVE))
            continue;
        const int ends = s->scorer != NULL && ds_ends_word(s, at, label);
        const int32_t made = bring_to_life(s, at, label, way, floor, ends);
        if (made != NONE)
            arrive(s, at, made, way);
    }
}

/* Makes of what came together in a frame the prefix' new scores, and of the best way in its time. */
static void settle(ds_search *s, int32_t at)
{
    prefix *p = &s->prefixes[at];
    p->blank = p->blank_now;
    p->last = p->last_now;
    p->blank_now = p->last_now = IMPOSSIBLE;
    p->score = log_add(p->blank, p->last);
}

/* New times are made after all old ones were read: a prefix' time hangs on its parent's of the frame before. */
static void settle_time(ds_search *s, int32_t at)
{
    if (s->config.times == DS_TIMES_PATH && s->prefixes[at].from_time != NONE) {
        const int32_t made = add_moment(s, s->prefixes[at].from_time, s->prefixes[at].new_time);
        s->prefixes[at].time = made;
    }
    s->prefixes[at].from_time = NONE;
}

/* What no new prefix may fall below and live: the worst that the full beam will hold if it but stays. */
static float floor_of(const ds_search *s, int32_t n_labels)
{
    if (s->n_beam < s->config.beam || s->order[n_labels - 1] != s->config.n_labels - 1)
        return IMPOSSIBLE;
    const int all = n_labels == s->config.n_labels;
    const float blank = s->log_prob[s->config.n_labels - 1];
    float floor = INFINITY;
    for (int32_t i = 0; i < s->n_beam; i++) {
        const prefix *p = &s->prefixes[s->beam[i]];
        const float stay = p->score + blank;
        const float again = p->label == ROOT_LABEL || !all ? IMPOSSIBLE : p->last + s->log_prob[p->label];
        const float better = stay > again ? stay : again;
        floor = better < floor ? better : floor;
    }
    return floor;
}

static void feed_frame(ds_search *s, const float *probs)
{
    const int32_t blank = s->config.n_labels - 1;
    s->started |= !s->config.delayed_start || probs[blank] < 0.999f;
    if (!s->started)
        return;
    const int32_t n_labels = order_labels(s, probs), n_before = s->n_beam;
    const float floor = floor_of(s, n_labels);
    float cutoff = IMPOSSIBLE;
    rank_beam(s, n_before, 1);
    if (s->scorer != NULL && n_before >= s->config.beam)
        cutoff = s->prefixes[s->beam[n_before - 1]].score + s->log_prob[blank] - (float)(s->beta > 0.0 ? s->beta : 0.0);
    for (int32_t i = 0; i < n_before; i++)
        stay(s, s->beam[i], cutoff);
    for (int32_t k = 0; k < n_labels; k++)
        if (s->order[k] != blank)
            extend(s, s->order[k], n_before, cutoff, floor);
    for (int32_t i = 0; i < s->n_beam; i++)
        settle(s, s->beam[i]);
    for (int32_t i = 0; i < s->n_beam; i++)
        settle_time(s, s->beam[i]);
    if (s->n_beam > s->config.beam) {
        rank_beam(s, s->config.beam, 0);
        const int32_t n = s->n_beam;
        s->n_beam = s->config.beam;
        for (int32_t i = s->n_beam; i < n; i++)
            s->prefixes[s->beam[i]].alive = DEAD;
        for (int32_t i = s->n_beam; i < n; i++)
            release(s, s->beam[i]);
    }
    if (s->n_moments > s->moments_wanted)
        sweep_moments(s);
}

int ds_search_feed(ds_search *s, const float *probs, int32_t n_frames)
{
    for (int32_t t = 0; t < n_frames && !s->failed; t++, s->n_frames++)
        feed_frame(s, probs + (size_t)t * (size_t)s->config.n_labels);
    return s->failed ? -1 : 0;
}
