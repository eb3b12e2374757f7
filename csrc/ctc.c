/* SPDX-License-Identifier: Apache-2.0 */
/* How does a frame lead from a beam to the next? CTC prefix beam search; doc/ctc.md tells the algorithm in prose, with an
 * example worked by hand.
 *
 * A frame's steps:
 *   weigh   the frame's labels: bias added, labels cut off made impossible              -> log_prob
 *   stay    each hypothesis takes the blank, or its last label once more, or meets the
 *           same labels arriving from its parent: all ways into a prefix already there  -> stay, ranked
 *   extend  each hypothesis by each label that leads to a prefix not in the beam        -> ranked
 *   select  the best of them: who stays keeps its slot, who is new takes a free one     -> beam, trie
 *   commit  what all of them have in common                                             -> waiting
 * Extending costs little: once the beam is full, nothing below the worst staying hypothesis can survive, and with
 * labels sorted by probability the first that falls short ends the row. A scorer that tells which labels it allows
 * has no others tried.
 *
 * A scorer (words, an n-gram model, hot words) adds to a prefix when it gets a label, in extend(): a node keeps what
 * was added for its label, and every way into it counts that. What it adds is bounded from above, and the bound is
 * added where rows are cut short. */
#include <math.h>
#include <string.h>

#include "ctc_beam.h"
#include "ctc_log_add.h"
#include "exact_math.h"

/* ---- one frame: weigh, stay, extend, select, commit -------------------------------------------------------------- */

/* Fills log_prob: the row and its bias, and PN_IMPOSSIBLE for labels that the cutoffs leave out. */
static void weigh(pn_ctc *s)
{
    const pynna_ctc_config *c = &s->d->config;
    for (int32_t i = 0; i < c->n_labels; i++)
        s->log_prob[i] = s->bias == NULL ? (double)s->row[i] : (double)s->row[i] + (double)s->bias[i];
    if (c->cutoff_top_n >= c->n_labels && c->cutoff_prob >= 1.0)
        return;
    for (int32_t i = 0; i < c->n_labels; i++) /* a label banned by its bias takes no other's place */
        s->labels[i] = (pn_ranked){s->log_prob[i] > PN_IMPOSSIBLE ? (double)s->row[i] : PN_IMPOSSIBLE, 0, i};
    int32_t n = c->cutoff_top_n < c->n_labels ? c->cutoff_top_n : c->n_labels;
    pn_rank_select(s->labels, c->n_labels, n);
    if (c->cutoff_prob < 1.0) {
        pn_rank_sort(s->labels, n);
        const int32_t most = n;
        double reached = 0.0;
        for (n = 0; n < most && reached < c->cutoff_prob; n++)
            reached += pn_exp(s->labels[n].score);
    }
    for (int32_t i = 0; i < n; i++)
        s->mark[s->labels[i].label] = 1;
    for (int32_t i = 0; i < c->n_labels; i++) {
        if (!s->mark[i])
            s->log_prob[i] = PN_IMPOSSIBLE;
        s->mark[i] = 0;
    }
}

/* The alignments of the hypothesis in a slot that take `label` next and so reach another prefix: if it ends in the same
 * label, only from the blank; the others would repeat that label. */
static double leaving(const pn_ctc *s, int32_t slot, int32_t label)
{
    const pn_ctc_weights *h = &s->b.now[slot];
    return (s->b.run[slot].label == label ? h->blank : h->total) + s->log_prob[label];
}

/* What this frame makes of a run that arrives anew or repeats its label. No branch: it goes this way and that. */
static pynna_ctc_token run_on(const pn_ctc *s, pynna_ctc_token run, double repeat, double arrival)
{
    const float log_prob = s->row[run.label == PN_NONE ? 0 : run.label];
    const int anew = arrival > repeat; /* more likely than not, the run starts here */
    const int higher = (run.label != PN_NONE) & (log_prob > run.log_prob) & (repeat > PN_IMPOSSIBLE);
    run.start = anew ? s->d->n_frames : run.start;
    run.frame = anew | higher ? s->d->n_frames : run.frame;
    run.log_prob = anew | higher ? log_prob : run.log_prob;
    return run;
}

/* All ways of this frame into the prefixes of the beam, added up: the blank, the last label once more, and that label
 * from the parent. */
static void stay(pn_ctc *s)
{
    const pynna_ctc *d = s->d;
    const int32_t n = d->n_hypotheses;
    const double blank = s->log_prob[d->config.blank];
    double *one = s->ways, *two = one + d->config.beam, *sum = two + d->config.beam;
    for (int32_t i = 0; i < n; i++) {
        const int32_t label = s->b.run[i].label;
        one[i] = s->b.now[i].label + s->log_prob[label];
        two[i] = leaving(s, s->b.from[i], label) + s->b.extra[i];
        s->next_run[i] = run_on(s, s->b.run[i], one[i], two[i]);
    }
    pn_log_add_all(one, two, sum, n);
    for (int32_t i = 0; i < n; i++) {
        s->next[i].label = two[i] = sum[i];
        s->next[i].blank = one[i] = s->b.now[i].total + blank;
    }
    pn_log_add_all(one, two, sum, n);
    double best = PN_IMPOSSIBLE, worst = (double)INFINITY;
    s->n_ranked = 0;
    for (int32_t i = 0; i < n; i++) {
        const double total = s->next[i].total = sum[i];
        best = total > best ? total : best;
        worst = total < worst ? total : worst;
        s->ranked[s->n_ranked] = (pn_ranked){total, i, PN_NONE};
        s->n_ranked += total > PN_IMPOSSIBLE;
    }
    s->floor = n == d->config.beam ? worst : PN_IMPOSSIBLE;
    if (best - d->config.score_margin > s->floor)
        s->floor = best - d->config.score_margin;
}

/* Room for n more extensions: where there is none the best so far stay, and the worst of these is the new floor. */
static void make_room_to_rank(pn_ctc *s, int32_t n)
{
    if (s->n_ranked + n <= s->ranked_capacity)
        return;
    pn_rank_select(s->ranked, s->n_ranked, s->d->config.beam);
    s->n_ranked = s->d->config.beam;
    double worst = s->ranked[0].score;
    for (int32_t i = 1; i < s->n_ranked; i++)
        worst = s->ranked[i].score < worst ? s->ranked[i].score : worst;
    s->floor = worst > s->floor ? worst : s->floor;
}

/* Adds an extension. */
static void push(pn_ctc *s, pn_ranked extension)
{
    make_room_to_rank(s, 1);
    s->ranked[s->n_ranked] = extension;
    s->n_ranked += (extension.score >= s->floor) & (extension.score > PN_IMPOSSIBLE);
}

/* The label that may be given more than others, or PN_NONE. */
static int32_t boundary(const pn_ctc *s)
{
    return s->scorer != NULL && s->scorer->has_boundary ? s->scorer->boundary : PN_NONE;
}

/* The labels but the boundary that could take some hypothesis to the floor or above, best first, into s->labels;
 * returns how many. */
static int32_t promising_labels(pn_ctc *s, double best)
{
    const int32_t except = boundary(s);
    const double least = s->floor - pn_ctc_most_elsewhere(s);
    int32_t n = 0;
    for (int32_t label = 0; label < s->d->config.n_labels; label++) {
        const double log_prob = s->log_prob[label];
        s->labels[n] = (pn_ranked){log_prob, 0, label};
        n +=
            (label != s->d->config.blank) & (label != except) & (log_prob > PN_IMPOSSIBLE) & (best + log_prob >= least);
    }
    return n;
}

/* Marks the labels that lead from a node to prefixes in the beam: stay() has counted these ways already. */
static void mark_children(pn_ctc *s, int32_t node, uint8_t value)
{
    for (int32_t c = s->trie->nodes[node].first_child; c != PN_NONE; c = s->trie->nodes[c].next)
        if (s->trie->nodes[c].slot != PN_NONE)
            s->mark[s->trie->nodes[c].token.label] = value;
}

/* A hypothesis and one more label, if that may reach the floor. */
static void extend_by(pn_ctc *s, int32_t slot, int32_t label, double most)
{
    pynna_ctc_state unused;
    const double score = leaving(s, slot, label);
    if (score + most >= s->floor && score > PN_IMPOSSIBLE)
        push(s, (pn_ranked){score + pn_ctc_extra_of(s, s->b.node[slot], label, &unused), slot, label});
}

/* The lowest label of a mask that is not empty, by halves: 32-bit processors have no instruction for all of it. */
static int32_t lowest(uint64_t labels)
{
    const uint32_t half = (uint32_t)labels;
    return half != 0 ? __builtin_ctz(half) : 32 + __builtin_ctz((uint32_t)(labels >> 32));
}

/* A hypothesis by the labels of a mask that are free for it. */
static void extend_freely(pn_ctc *s, int32_t slot, uint64_t labels)
{
    make_room_to_rank(s, PN_CTC_MASKED);
    pn_ranked *out = s->ranked + s->n_ranked;
    const double floor = s->floor;
    for (uint64_t rest = labels; rest != 0; rest &= rest - 1) {
        const int32_t label = lowest(rest);
        const double score = leaving(s, slot, label);
        *out = (pn_ranked){score, slot, label};
        out += (score >= floor) & (score > PN_IMPOSSIBLE);
    }
    s->n_ranked = (int32_t)(out - s->ranked);
}

/* A hypothesis by the first n of s->labels, sorted, but those of a mask: the first that falls short is the last. */
static void extend_sorted(pn_ctc *s, int32_t slot, int32_t n, uint64_t but, double most)
{
    const double total = s->b.now[slot].total;
    if (!s->is_sorted)
        pn_rank_sort(s->labels, n);
    s->is_sorted = 1;
    for (int32_t i = 0; i < n && total + s->labels[i].score + most >= s->floor; i++) {
        const int32_t label = s->labels[i].label;
        if (!s->mark[label] && (but & pn_ctc_bit_of(label)) == 0)
            extend_by(s, slot, label, most);
    }
}

/* A hypothesis and the boundary: the scorer is asked once. */
static void extend_between(pn_ctc *s, int32_t slot, int32_t label)
{
    pynna_ctc_state unused;
    const double score = leaving(s, slot, label);
    if (score + s->scorer->most < s->floor || score == PN_IMPOSSIBLE)
        return;
    if (s->b.between[slot] == PN_UNASKED)
        s->b.between[slot] = pn_ctc_extra_of(s, s->b.node[slot], label, &unused);
    push(s, (pn_ranked){score + s->b.between[slot], slot, label});
}

static void extend_one(pn_ctc *s, int32_t slot, int32_t n_labels, uint64_t mask, int32_t between)
{
    const uint64_t open = s->b.choice[slot].allowed & ~s->b.taken[slot];
    if (s->d->config.n_labels > PN_CTC_MASKED) {
        mark_children(s, s->b.node[slot], 1);
        extend_sorted(s, slot, n_labels, 0, pn_ctc_most_elsewhere(s));
        if (between != PN_NONE && !s->mark[between])
            extend_between(s, slot, between);
        mark_children(s, s->b.node[slot], 0);
        return;
    }
    const uint64_t free = open & mask & s->b.choice[slot].free, rest = open & mask & ~free;
    if (s->scorer == NULL) {
        extend_sorted(s, slot, n_labels, ~open, 0.0);
    } else {
        if (free != 0)
            extend_freely(s, slot, free);
        if (rest != 0)
            extend_sorted(s, slot, n_labels, ~rest, s->b.choice[slot].most);
    }
    if ((open & pn_ctc_bit_of(between)) != 0)
        extend_between(s, slot, between);
}

static void extend(pn_ctc *s)
{
    const int32_t n = s->d->n_hypotheses, between = boundary(s);
    double best = PN_IMPOSSIBLE;
    for (int32_t i = 0; i < n; i++)
        best = s->b.now[i].total > best ? s->b.now[i].total : best;
    const int32_t n_labels = promising_labels(s, best);
    const double space = between != PN_NONE ? s->log_prob[between] + pn_ctc_most_extra(s) : PN_IMPOSSIBLE;
    double highest = PN_IMPOSSIBLE;
    uint64_t mask = 0;
    for (int32_t i = 0; i < n_labels; i++) {
        highest = s->labels[i].score > highest ? s->labels[i].score : highest;
        mask |= pn_ctc_bit_of(s->labels[i].label);
    }
    highest += pn_ctc_most_elsewhere(s);
    highest = highest > space ? highest : space;
    if (highest == PN_IMPOSSIBLE || best + highest < s->floor)
        return;
    s->is_sorted = 0;
    for (int32_t slot = 0; slot < n; slot++)
        if (s->b.now[slot].total + highest >= s->floor)
            extend_one(s, slot, n_labels, mask, between);
}

/* Brings those that survive the beam's width and the margin to the front of s->ranked; returns how many. */
static int32_t cut(pn_ctc *s)
{
    const pynna_ctc_config *c = &s->d->config;
    int32_t n = s->n_ranked;
    if (n > c->beam) {
        pn_rank_select(s->ranked, n, c->beam);
        n = c->beam;
    }
    if (c->score_margin == (double)INFINITY)
        return n;
    double best = PN_IMPOSSIBLE;
    for (int32_t i = 0; i < n; i++)
        best = s->ranked[i].score > best ? s->ranked[i].score : best;
    for (int32_t i = 0; i < n; i++)
        if (s->ranked[i].score < best - c->score_margin)
            s->ranked[i--] = s->ranked[--n];
    return n;
}

/* A label's time is its run in the likeliest way to the prefix: it moves while the prefix ends in the label rather than
 * in a blank after it, and no longer prefix has overtaken it. */
static void settle_times(pn_ctc *s)
{
    pn_node *nodes = s->trie->nodes;
    const int32_t n = s->d->n_hypotheses;
    for (int32_t i = 0; i < n; i++) {
        const int32_t from = s->b.from[i];
        pn_node *node = &nodes[s->b.node[i]];
        if (from == PN_NONE || node->overtook == (s->b.now[i].total > s->b.now[from].total))
            continue;
        node->overtook = !node->overtook;
        nodes[s->b.node[from]].n_overtaking += node->overtook ? 1 : -1;
    }
    for (int32_t i = 0; i < n; i++) {
        pn_node *node = &nodes[s->b.node[i]];
        if (s->b.now[i].label >= s->b.now[i].blank && node->n_overtaking == 0)
            node->token = s->b.run[i];
    }
}

/* The slots of those that do not stay, ascending, into s->leaving, and their nodes; returns how many. */
static int32_t find_leaving(pn_ctc *s, int32_t n_chosen)
{
    const int32_t n = s->d->n_hypotheses;
    int32_t *stays = s->gone, n_leaving = 0;
    memset(stays, 0, (size_t)n * sizeof *stays);
    for (int32_t i = 0; i < n_chosen; i++)
        if (s->ranked[i].label == PN_NONE)
            stays[s->ranked[i].slot] = 1;
    for (int32_t i = 0; i < n; i++) {
        s->leaving[n_leaving] = i;
        n_leaving += !stays[i];
    }
    for (int32_t i = 0; i < n_leaving; i++)
        s->gone[i] = s->b.node[s->leaving[i]];
    return n_leaving;
}

static void select(pn_ctc *s)
{
    pynna_ctc *d = s->d;
    const int32_t n_chosen = cut(s), n_leaving = find_leaving(s, n_chosen);
    int32_t n_new = 0, n = d->n_hypotheses;
    memcpy(s->b.now, s->next, (size_t)n * sizeof *s->next);
    memcpy(s->b.run, s->next_run, (size_t)n * sizeof *s->next_run);
    for (int32_t i = 0; i < n_chosen; i++) {
        s->ranked[n_new] = (pn_ranked){s->ranked[i].score, s->b.node[s->ranked[i].slot], s->ranked[i].label};
        n_new += s->ranked[i].label != PN_NONE;
    }
    for (int32_t i = 0; i < n_leaving; i++)
        pn_ctc_leave(s, s->leaving[i]);
    for (int32_t i = 0; i < n_new; i++)
        pn_ctc_enter(s, s->ranked[i].slot, s->ranked[i].label, s->ranked[i].score, i < n_leaving ? s->leaving[i] : n++);
    for (int32_t i = n_leaving; i-- > n_new;)
        if (s->leaving[i] != --n)
            pn_ctc_move(s, n, s->leaving[i]);
    d->n_hypotheses = n;
    for (int32_t i = 0; i < n_leaving; i++)
        pn_trie_release(s->trie, s->gone[i]);
    settle_times(s);
}

int pynna_ctc_feed(pynna_ctc *d, const float *log_probs, int32_t n_frames)
{
    return pynna_ctc_feed_scored(d, NULL, log_probs, n_frames);
}

int pynna_ctc_feed_scored(pynna_ctc *d, const pynna_ctc_scorer *scorer, const float *log_probs, int32_t n_frames)
{
    if (d == NULL || n_frames < 0 || (n_frames > 0 && log_probs == NULL) || !pn_ctc_good_scorer(scorer))
        return PYNNA_ERR_ARGUMENT;
    if (d->finished)
        return PYNNA_ERR_FINISHED;
    if (n_frames > d->config.max_frames - d->n_frames_untaken || n_frames > INT32_MAX - d->n_frames)
        return PYNNA_ERR_FULL;
    pn_ctc s = pn_ctc_view(d);
    s.scorer = scorer;
    if (!pn_ctc_frames_valid(log_probs, n_frames, d->config.n_labels, s.bias))
        return PYNNA_ERR_NOT_FINITE;
    if (n_frames > 0 && !d->knows_scorer)
        pn_ctc_ask_scorer(&s);
    for (int32_t t = 0; t < n_frames; t++, d->n_frames++) {
        s.row = log_probs + (size_t)t * (size_t)d->config.n_labels;
        if (pn_ctc_is_full(&s))
            pn_ctc_make_room(&s);
        weigh(&s);
        stay(&s);
        extend(&s);
        if (s.n_ranked == 0) /* the scorer forbids all that the frame allows */
            continue;
        select(&s);
        pn_ctc_commit(&s);
    }
    d->n_frames_untaken += n_frames;
    return PYNNA_OK;
}
