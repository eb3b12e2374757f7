/* SPDX-License-Identifier: Apache-2.0 */
/* How does a frame lead from cells to cells? The best path through a grammar's graph and CTC's topology at once;
 * doc/grammar.md tells it in prose.
 *
 * A frame's steps, from the cells of the frame before to new ones:
 *   weigh   the frame's labels: bias added, the best of them found          -> log_prob, free score
 *   group   cells by the state that they have reached                       -> head, touched
 *   leave   from each such state, and each state of the hot words with it, into its blank and each of its arcs
 *                                                                           -> next cells
 *   stay    inside an arc's label                                           -> next cells
 *   prune   what is further than `margin` below the best
 * A record is made when a path leaves a label. When there is no room for the records that a frame may need, those that
 * no path leads to are thrown out, and what all paths have in common is committed. */
#include <math.h>
#include <string.h>

#include "ctc_input.h"
#include "graph_search_cells.h"

/* ---- records: the labels behind the paths ------------------------------------------------------------------------ */

static int32_t add_record(pn_search *s, pynna_search_token token, int32_t previous)
{
    s->records[s->d->n_records] = (pn_record){token, previous, 0};
    return s->d->n_records++;
}

/* The labels behind a path that leaves the label it is in, made once. */
static int32_t leave_label(pn_search *s, pn_path *p)
{
    if (p->run_label < 0) /* in a blank or in the filler, whose labels have records already */
        return p->history;
    if (p->left == PN_NONE) {
        const float gap = (float)(pn_path_fit(p) - s->unconstrained_before);
        p->left = add_record(s, (pynna_search_token){p->run_label, p->start, p->frame, p->log_prob, gap}, p->history);
    }
    return p->left;
}

/* ---- one frame: weigh, group, leave, stay, prune ----------------------------------------------------------------- */

static void weigh(pn_search *s)
{
    const pynna_search_config *c = &s->d->config;
    int32_t best = 0;
    for (int32_t i = 0; i < c->n_labels; i++) {
        s->log_prob[i] = s->bias == NULL ? (double)s->row[i] : (double)s->row[i] + (double)s->bias[i];
        best = s->log_prob[i] > s->log_prob[best] ? i : best;
    }
    s->best_label = best;
    s->filler = s->log_prob[best] - c->filler_cost;
    s->unconstrained_before = s->d->unconstrained_score;
    s->d->unconstrained_score += s->log_prob[best];
}

static double log_prob_of(const pn_search *s, int32_t label)
{
    return label == PYNNA_FILLER ? s->filler : s->log_prob[label];
}

/* The label that a place is in: of an arc, or the blank. */
static int32_t label_at(const pn_search *s, int32_t place)
{
    return place < s->g->n_arcs ? s->g->arc_label[place] : s->d->config.blank;
}

/* Links the cells that reached the same state, and finds what the best path will have at the least. */
static int32_t group(pn_search *s)
{
    int32_t n_touched = 0;
    s->best = PN_IMPOSSIBLE;
    for (int32_t c = s->d->n_cells - 1; c >= 0; c--) { /* downwards: the lists then run upwards */
        const int32_t place = s->cells[c].place, state = pn_state_reached(s, place);
        if (s->head[state] == PN_NONE)
            s->touched[n_touched++] = state;
        s->cells[c].next_in_state = s->head[state];
        s->head[state] = c;
        const double score = s->paths[c * s->d->config.n_best].score + log_prob_of(s, label_at(s, place))
                             + pn_hot_least(s, s->cells[c].hot);
        s->best = score > s->best ? score : s->best;
    }
    s->floor = s->best - s->d->config.margin;
    return n_touched;
}

/* The best paths that reached a state with a state of the hot words, but for those inside the label `except`; a path's
 * `left` here is its place among s->paths. */
static int32_t arrivals(const pn_search *s, int32_t state, int32_t hot, int32_t except, pn_path *out)
{
    const int32_t n_best = s->d->config.n_best;
    int32_t n = 0;
    for (int32_t c = s->head[state]; c != PN_NONE; c = s->cells[c].next_in_state) {
        const int32_t place = s->cells[c].place;
        if (s->cells[c].hot != hot || (except >= 0 && place < s->g->n_arcs && s->g->arc_label[place] == except))
            continue;
        for (int32_t k = 0; k < s->cells[c].n_paths; k++) {
            pn_path p = s->paths[c * n_best + k];
            p.left = c * n_best + k;
            n = pn_insert_path(out, n, n_best, &p);
        }
    }
    return n;
}

/* Whether some path that reached the state is inside this label: it must not take the label again without a blank. */
static int is_inside(const pn_search *s, int32_t state, int32_t hot, int32_t label)
{
    for (int32_t c = s->head[state]; c != PN_NONE; c = s->cells[c].next_in_state)
        if (s->cells[c].hot == hot && s->cells[c].place < s->g->n_arcs && s->g->arc_label[s->cells[c].place] == label)
            return 1;
    return 0;
}

static uint64_t extend_hash(uint64_t hash, int32_t label)
{
    hash = (hash ^ (uint64_t)(label + 2)) * 0x9e3779b97f4a7c15u;
    return hash ^ (hash >> 29);
}

static void enter_arc(pn_search *s, int32_t arc, int32_t hot, const pn_path *from, int32_t n_from)
{
    const int32_t label = s->g->arc_label[arc];
    int32_t next = hot;
    const double bonus = s->hot == NULL ? 0.0 : pn_hot_step(s, hot, label, &next);
    const double cost = log_prob_of(s, label) - (label == PYNNA_FILLER ? s->d->config.filler_entry_cost : 0.0);
    for (int32_t k = 0; k < n_from; k++) {
        if (from[k].score + cost + bonus + pn_hot_most(s, next) < s->floor)
            break;
        pn_path p = {.score = from[k].score + cost + bonus,
                     .bonus = from[k].bonus + bonus,
                     .hash = extend_hash(from[k].hash, label),
                     .left = PN_NONE,
                     .noise_label = PN_NONE,
                     .noise_loss = from[k].noise_loss,
                     .run_label = label == PYNNA_FILLER ? PN_NONE : label,
                     .start = s->d->n_frames,
                     .frame = s->d->n_frames,
                     .log_prob = s->row[label == PYNNA_FILLER ? s->best_label : label]};
        p.history = leave_label(s, &s->paths[from[k].left]);
        pn_offer(s, arc, next, &p);
    }
}

/* Whether noise may be heard between the labels of a path that waits in a state's blank: before its first and after its
 * last, and between its words. */
static int is_between_words(const pn_search *s, int32_t state, const pn_path *p)
{
    if (p->hash == 0 || s->g->is_final[state])
        return 1;
    return p->history != PN_NONE && s->records[p->history].token.label == s->d->config.space;
}

/* A frame in a state's blank. Where noise may be heard it is a blank, or a letter of noise: the frame's best label,
 * which costs `noise_cost` when it begins. */
static void wait_in_blank(pn_search *s, int32_t state, pn_path *p)
{
    const pynna_search_config *c = &s->d->config;
    const double blank = s->log_prob[c->blank], best = s->log_prob[s->best_label];
    double taken = blank;
    const int32_t before = p->noise_label;
    p->noise_label = PN_NONE;
    if (c->noise_cost < INFINITY && is_between_words(s, state, p)) {
        const double noise = best - (before == s->best_label ? 0.0 : c->noise_cost);
        if (s->best_label != c->blank && noise > blank) {
            p->noise_label = s->best_label;
            taken = noise;
        }
        p->noise_loss += best - taken;
    }
    p->score += taken;
}

/* From a state into its blank. */
static void leave_into_blank(pn_search *s, int32_t state, int32_t hot, const pn_path *from, int32_t n_from)
{
    for (int32_t k = 0; k < n_from; k++) {
        if (from[k].score + s->log_prob[s->best_label] + pn_hot_most(s, hot) < s->floor)
            break;
        pn_path p = {.score = from[k].score,
                     .bonus = from[k].bonus,
                     .hash = from[k].hash,
                     .left = PN_NONE,
                     .run_label = PN_NONE,
                     .noise_label = from[k].noise_label,
                     .noise_loss = from[k].noise_loss};
        p.history = leave_label(s, &s->paths[from[k].left]);
        wait_in_blank(s, state, &p);
        pn_offer(s, s->g->n_arcs + state, hot, &p);
    }
}

/* From a state, reached with a state of the hot words, into its blank and its arcs. */
static void leave(pn_search *s, int32_t state, int32_t hot)
{
    const pynna_graph *g = s->g;
    pn_path best[PN_MAX_BEST], others[PN_MAX_BEST];
    const int32_t n = arrivals(s, state, hot, PN_NONE, best);
    leave_into_blank(s, state, hot, best, n);
    for (int32_t a = g->first_arc[state]; a < g->first_arc[state + 1]; a++) {
        const int32_t label = g->arc_label[a];
        if (s->hot == NULL && best[0].score + log_prob_of(s, label) < s->floor)
            continue;
        if (label != PYNNA_FILLER && is_inside(s, state, hot, label))
            enter_arc(s, a, hot, others, arrivals(s, state, hot, label, others));
        else
            enter_arc(s, a, hot, best, n);
    }
}

/* The same, for all states of the hot words that it was reached with. */
static void leave_all(pn_search *s, int32_t state)
{
    for (int32_t c = s->head[state]; c != PN_NONE; c = s->cells[c].next_in_state) {
        int32_t before = s->head[state];
        while (before != c && s->cells[before].hot != s->cells[c].hot)
            before = s->cells[before].next_in_state;
        if (before == c)
            leave(s, state, s->cells[c].hot);
        if (s->hot == NULL)
            return;
    }
}

static void stay(pn_search *s, const pn_cell *from, const pn_path *paths)
{
    if (from->place >= s->g->n_arcs) /* in a blank: leave() has seen to it */
        return;
    const int32_t label = s->g->arc_label[from->place];
    for (int32_t k = 0; k < from->n_paths; k++) {
        pn_path p = paths[k];
        p.score += log_prob_of(s, label);
        p.left = PN_NONE;
        if (label != PYNNA_FILLER && s->row[label] > p.log_prob) {
            p.log_prob = s->row[label];
            p.frame = s->d->n_frames;
        }
        pn_offer(s, from->place, from->hot, &p);
    }
}

/* Drops what has turned out to be too far below the best, and clears the places. */
void pn_search_prune(pn_search *s)
{
    const int32_t n_best = s->d->config.n_best;
    const double floor = s->best - s->d->config.margin;
    int32_t kept = 0;
    for (int32_t c = 0; c < s->n_next; c++) {
        s->slot[s->next[c].place] = PN_NONE;
        int32_t n = s->next[c].n_paths;
        const double least = floor - pn_hot_most(s, s->next[c].hot);
        while (n > 0 && s->next_paths[c * n_best + n - 1].score < least)
            n--;
        if (n == 0)
            continue;
        s->next[kept] = s->next[c];
        s->next[kept].n_paths = n;
        memmove(&s->next_paths[kept++ * n_best], &s->next_paths[c * n_best], (size_t)n * sizeof(pn_path));
    }
    s->n_next = kept;
}

/* The filler: the paths in it hear the frame's best label, if it is a new one. */
static void hear(pn_search *s)
{
    const pynna_search *d = s->d;
    const int32_t n_best = d->config.n_best, label = s->best_label;
    if (label == d->config.blank)
        return;
    for (int32_t c = 0; c < s->n_next; c++) {
        if (label_at(s, s->next[c].place) != PYNNA_FILLER)
            continue;
        for (int32_t k = 0; k < s->next[c].n_paths; k++) {
            pn_path *p = &s->next_paths[c * n_best + k];
            if (label == d->unconstrained_label && p->start != d->n_frames)
                continue;
            const pynna_search_token token = {d->config.n_labels + label, d->n_frames, d->n_frames, s->row[label],
                                              (float)(pn_path_fit(p) - d->unconstrained_score)};
            p->history = add_record(s, token, p->history);
        }
    }
}

/* A frame that no path has survived: the cells stay as they were before it, and the records made in it are thrown out. */
static void stand_still(pn_search *s, int32_t n_records)
{
    const int32_t n_best = s->d->config.n_best;
    s->d->n_records = n_records;
    for (int32_t c = 0; c < s->d->n_cells; c++)
        for (int32_t k = 0; k < s->cells[c].n_paths; k++)
            s->paths[c * n_best + k].left = PN_NONE;
}

/* The new cells are the cells. */
void pn_search_swap(pn_search *s)
{
    const pynna_words *hot = s->hot;
    s->d->n_cells = s->n_next;
    s->d->current = 1 - s->d->current;
    *s = pn_search_view(s->d, s->g);
    s->hot = hot;
}

static void advance(pn_search *s)
{
    pynna_search *d = s->d;
    pn_search_make_room(s);
    const int32_t n_records = d->n_records;
    weigh(s);
    s->n_next = 0;
    const int32_t n_touched = group(s);
    for (int32_t i = 0; i < n_touched; i++)
        leave_all(s, s->touched[i]);
    for (int32_t i = 0; i < n_touched; i++)
        s->head[s->touched[i]] = PN_NONE;
    for (int32_t c = 0; c < d->n_cells; c++)
        stay(s, &s->cells[c], &s->paths[c * d->config.n_best]);
    pn_search_prune(s);
    hear(s);
    d->unconstrained_label = s->best_label;
    d->n_frames++;
    d->n_frames_untaken++;
    if (s->n_next == 0) {
        stand_still(s, n_records);
        return;
    }
    d->most_active = s->n_next > d->most_active ? s->n_next : d->most_active;
    pn_search_swap(s);
}

int pynna_search_feed(pynna_search *d, const pynna_graph *graph, const float *log_probs, int32_t n_frames)
{
    return pynna_search_feed_hot(d, graph, NULL, log_probs, n_frames);
}

int pynna_search_feed_hot(pynna_search *d, const pynna_graph *graph, const pynna_words *hot, const float *log_probs,
                          int32_t n_frames)
{
    if (!pn_search_fits(d, graph) || !pn_search_knows(d, hot) || n_frames < 0 || (log_probs == NULL && n_frames > 0))
        return PYNNA_ERR_ARGUMENT;
    if (d->finished)
        return PYNNA_ERR_FINISHED;
    if (n_frames > pn_search_n_room(d) || n_frames > INT32_MAX - d->n_frames)
        return PYNNA_ERR_FULL;
    pn_search s = pn_search_view(d, graph);
    s.hot = hot;
    if (!pn_ctc_frames_valid(log_probs, n_frames, d->config.n_labels, s.bias))
        return PYNNA_ERR_NOT_FINITE;
    for (int32_t t = 0; t < n_frames; t++) {
        s.row = log_probs + (size_t)t * (size_t)d->config.n_labels;
        advance(&s);
    }
    return PYNNA_OK;
}
