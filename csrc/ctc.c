/* SPDX-License-Identifier: Apache-2.0 */
/* CTC prefix beam search; doc/ctc.md tells the algorithm in prose, with an example worked by hand.
 *
 * The state between two frames is a beam of hypotheses, each a node of the trie (its labels) with two
 * log-probabilities: of all alignments that end in the blank, and of all that end in its last label. A frame's steps:
 *   weigh   the frame's labels: bias added, labels cut off made impossible              -> log_prob
 *   stay    each hypothesis takes the blank, or its last label once more, or meets the
 *           same labels arriving from its parent: all ways into a prefix already there  -> stay, ranked
 *   extend  each hypothesis by each label that leads to a prefix not in the beam        -> ranked
 *   select  the best of them, and build the next beam                                   -> beam, trie
 *   commit  what all of them have in common                                             -> waiting
 * Extending costs little: once the beam is full, nothing below the worst staying hypothesis can survive, and with
 * labels sorted by probability the first that falls short ends the row.
 *
 * A scorer (words, an n-gram model, hot words) adds to a prefix when it gets a label, in extend(): a node keeps what
 * was added for its label, and every way into it counts that. What it adds is bounded from above, and the bound is
 * added where rows are cut short. */
#include <math.h>
#include <string.h>

#include "ctc_input.h"
#include "ctc_log_add.h"
#include "ctc_rank.h"
#include "ctc_trie.h"
#include "exact_math.h"

enum { MAX_BEAM = 4096, MAX_NODES = 1 << 26, MAX_FRAMES = 1 << 26 };

static const double IMPOSSIBLE = -(double)INFINITY; /* the logarithm of probability 0 */

typedef struct {
    double blank; /* log-probability of the alignments that end in the blank */
    double label; /* of those that end in its last label */
    double total; /* of both */
    int32_t node;
    pynna_ctc_token run; /* the last label's latest run; label PN_NONE: the empty sequence */
} hypothesis;

/* Where the arrays stand in the memory handed in, in bytes from its start. */
typedef struct {
    size_t bias;     /* float [n_labels] */
    size_t beam;     /* hypothesis [beam] */
    size_t stay;     /* hypothesis [beam] */
    size_t ways;     /* double [3][beam] */
    size_t ranked;   /* pn_ranked [n_ranked] */
    size_t labels;   /* pn_ranked [n_labels] */
    size_t log_prob; /* double [n_labels] */
    size_t mark;     /* uint8_t [n_labels] */
    size_t waiting;  /* pynna_ctc_token [n_waiting], a ring */
    size_t trie;     /* pn_trie with n_nodes nodes */
    size_t end;
} layout;

struct pynna_ctc {
    pynna_ctc_config config; /* label_bias NULL: this block holds no pointers */
    layout at;
    int64_t n_committed, n_forced;
    int32_t has_bias, finished;
    int32_t n_hypotheses;
    int32_t n_frames, n_frames_untaken; /* fed in all, and since everything was last taken */
    int32_t first_waiting, n_waiting;
};

/* One call's view of a decoder: its arrays as pointers, and what a frame's steps hand on. */
typedef struct {
    pynna_ctc *d;
    const float *bias; /* NULL for none */
    hypothesis *beam, *stay;
    double *ways; /* [3][beam]: what is added up, and the sums */
    pn_ranked *ranked, *labels;
    double *log_prob;
    uint8_t *mark; /* all 0 between uses */
    pynna_ctc_token *waiting;
    pn_trie *trie;
    const pynna_ctc_scorer *scorer; /* NULL for none */
    const float *row;               /* [n_labels], the frame */
    int32_t n_ranked;               /* survivors to be, stays (label PN_NONE) and extensions alike */
    int32_t ranked_capacity;
    double floor; /* what scores less will not survive */
} search;

/* ---- configuration and memory ---------------------------------------------------------------------------------- */

void pynna_ctc_defaults(int32_t n_labels, pynna_ctc_config *config)
{
    *config = (pynna_ctc_config){.n_labels = n_labels,
                                 .blank = n_labels - 1,
                                 .beam = 500,
                                 .cutoff_top_n = 40,
                                 .cutoff_prob = 1.0,
                                 .score_margin = (double)INFINITY,
                                 .n_nodes = 32768,
                                 .max_frames = 4096};
}

const char *pynna_ctc_config_error(const pynna_ctc_config *c)
{
    if (c == NULL)
        return "there is no configuration";
    if (c->n_labels < 2 || c->n_labels > PN_CTC_MAX_LABELS)
        return "n_labels must be from 2 to 65536";
    if (c->blank < 0 || c->blank >= c->n_labels)
        return "blank must be from 0 to n_labels - 1";
    if (c->beam < 1 || c->beam > MAX_BEAM)
        return "beam must be from 1 to 4096";
    if (c->cutoff_top_n < 1)
        return "cutoff_top_n must be 1 or more";
    if (!(c->cutoff_prob > 0.0) || c->cutoff_prob > 1.0)
        return "cutoff_prob must be above 0 and at most 1";
    if (!(c->score_margin > 0.0))
        return "score_margin must be above 0";
    if (c->n_nodes < 2 * c->beam || c->n_nodes > MAX_NODES)
        return "n_nodes must be from 2 * beam to 67108864";
    if (c->max_frames < 1 || c->max_frames > MAX_FRAMES)
        return "max_frames must be from 1 to 67108864";
    for (int32_t i = 0; c->label_bias != NULL && i < c->n_labels; i++)
        if (!(c->label_bias[i] < INFINITY))
            return "label_bias must hold finite values or -infinity";
    return NULL;
}

static int32_t ranked_capacity(const pynna_ctc_config *c)
{
    return 4 * c->beam + 64; /* room beyond the beam: selecting once in a while is cheaper than at every extension */
}

/* Between two takings the longest tail can be committed, a node a label, and each frame can add one label to it. */
static int32_t waiting_capacity(const pynna_ctc_config *c)
{
    return c->n_nodes + c->max_frames;
}

static size_t reserve(size_t *end, size_t count, size_t size)
{
    const size_t start = (*end + 63) & ~(size_t)63;
    *end = start + count * size;
    return start;
}

static layout plan(const pynna_ctc_config *c)
{
    const size_t n_labels = (size_t)c->n_labels, n_beam = (size_t)c->beam;
    layout at;
    at.end = sizeof(pynna_ctc);
    at.bias = reserve(&at.end, n_labels, sizeof(float));
    at.beam = reserve(&at.end, n_beam, sizeof(hypothesis));
    at.stay = reserve(&at.end, n_beam, sizeof(hypothesis));
    at.ways = reserve(&at.end, 3 * n_beam, sizeof(double));
    at.ranked = reserve(&at.end, (size_t)ranked_capacity(c), sizeof(pn_ranked));
    at.labels = reserve(&at.end, n_labels, sizeof(pn_ranked));
    at.log_prob = reserve(&at.end, n_labels, sizeof(double));
    at.mark = reserve(&at.end, n_labels, sizeof(uint8_t));
    at.waiting = reserve(&at.end, (size_t)waiting_capacity(c), sizeof(pynna_ctc_token));
    at.trie = reserve(&at.end, pn_trie_size(c->n_nodes), 1);
    return at;
}

size_t pynna_ctc_size(const pynna_ctc_config *config)
{
    return pynna_ctc_config_error(config) == NULL ? plan(config).end : 0;
}

static search view(pynna_ctc *d)
{
    char *base = (char *)d;
    return (search){
        .d = d,
        .bias = d->has_bias ? (const float *)(base + d->at.bias) : NULL,
        .beam = (hypothesis *)(base + d->at.beam),
        .stay = (hypothesis *)(base + d->at.stay),
        .ways = (double *)(base + d->at.ways),
        .ranked = (pn_ranked *)(base + d->at.ranked),
        .labels = (pn_ranked *)(base + d->at.labels),
        .log_prob = (double *)(base + d->at.log_prob),
        .mark = (uint8_t *)(base + d->at.mark),
        .waiting = (pynna_ctc_token *)(base + d->at.waiting),
        .trie = (pn_trie *)(base + d->at.trie),
        .ranked_capacity = ranked_capacity(&d->config),
    };
}

/* For functions that only read. */
static search const_view(const pynna_ctc *d)
{
    return view((pynna_ctc *)(uintptr_t)d);
}

int pynna_ctc_reset(pynna_ctc *d)
{
    if (d == NULL)
        return PYNNA_ERR_ARGUMENT;
    d->n_committed = d->n_forced = 0;
    d->finished = d->n_frames = d->n_frames_untaken = d->first_waiting = d->n_waiting = 0;
    d->n_hypotheses = 1;
    /* all of it, scratch too: equal streams are equal blocks of bytes */
    memset((char *)d + d->at.beam, 0, d->at.end - d->at.beam);
    const search s = view(d);
    pn_trie_init(s.trie, d->config.n_nodes);
    s.trie->nodes[s.trie->root].slot = 0;
    s.beam[0] = (hypothesis){
        .blank = 0.0, .label = IMPOSSIBLE, .total = 0.0, .node = s.trie->root, .run = {PN_NONE, 0, 0, 0.0f}
    };
    return PYNNA_OK;
}

int pynna_ctc_init(void *memory, size_t size, const pynna_ctc_config *config, pynna_ctc **out)
{
    if (memory == NULL || out == NULL || pynna_ctc_config_error(config) != NULL)
        return PYNNA_ERR_ARGUMENT;
    const layout at = plan(config);
    if (size < at.end || (uintptr_t)memory % 64 != 0)
        return PYNNA_ERR_MEMORY;
    pynna_ctc *d = memory;
    memset(memory, 0, at.beam);
    d->config = *config;
    d->config.label_bias = NULL;
    d->at = at;
    d->has_bias = config->label_bias != NULL;
    if (d->has_bias)
        memcpy((char *)memory + at.bias, config->label_bias, (size_t)config->n_labels * sizeof(float));
    *out = d;
    return pynna_ctc_reset(d);
}

/* ---- one frame: weigh, stay, extend, select, commit -------------------------------------------------------------- */

/* Fills log_prob: the row and its bias, and IMPOSSIBLE for labels that the cutoffs leave out. */
static void weigh(search *s)
{
    const pynna_ctc_config *c = &s->d->config;
    for (int32_t i = 0; i < c->n_labels; i++)
        s->log_prob[i] = s->bias == NULL ? (double)s->row[i] : (double)s->row[i] + (double)s->bias[i];
    if (c->cutoff_top_n >= c->n_labels && c->cutoff_prob >= 1.0)
        return;
    for (int32_t i = 0; i < c->n_labels; i++) /* a label banned by its bias takes no other's place */
        s->labels[i] = (pn_ranked){s->log_prob[i] > IMPOSSIBLE ? (double)s->row[i] : IMPOSSIBLE, 0, i};
    int32_t n = c->cutoff_top_n < c->n_labels ? c->cutoff_top_n : c->n_labels;
    pn_rank_select(s->labels, c->n_labels, n);
    if (c->cutoff_prob < 1.0) {
        pn_rank_sort(s->labels, n);
        const int32_t most = n;
        double reached = 0.0;
        for (n = 0; n < most && reached < c->cutoff_prob; n++)
            reached += pn_exp(s->labels[n].score);
    }
    for (int32_t i = n; i < c->n_labels; i++)
        s->log_prob[s->labels[i].label] = IMPOSSIBLE;
}

/* Hypothesis h's alignments that take `label` next and so reach another prefix: if it ends in the same label, only from
 * the blank; the others would repeat that label. */
static double leaving(const search *s, const hypothesis *h, int32_t label)
{
    return (h->run.label == label ? h->blank : h->total) + s->log_prob[label];
}

/* Two ways of this frame into the prefix of h: its last label once more, and from its parent. */
static void stay_one(const search *s, const hypothesis *h, hypothesis *out, double *repeat, double *arrival)
{
    *out = *h;
    out->blank = h->total + s->log_prob[s->d->config.blank];
    *repeat = *arrival = IMPOSSIBLE;
    const int32_t label = h->run.label;
    if (label == PN_NONE)
        return;
    const int32_t parent = s->trie->nodes[h->node].parent;
    const int32_t from = parent != PN_NONE ? s->trie->nodes[parent].slot : PN_NONE;
    const double repeated = h->label + s->log_prob[label];
    const double extra = s->trie->nodes[h->node].extra;
    const double arrived = from != PN_NONE ? leaving(s, &s->beam[from], label) + extra : IMPOSSIBLE;
    *repeat = repeated;
    *arrival = arrived;
    if (arrived > repeated) { /* more likely than not, the run starts here */
        out->run = (pynna_ctc_token){label, s->d->n_frames, s->d->n_frames, s->row[label]};
    } else if (s->row[label] > out->run.log_prob && repeated > IMPOSSIBLE) {
        out->run.frame = s->d->n_frames;
        out->run.log_prob = s->row[label];
    }
}

/* All ways of this frame into the prefixes of the beam, added up. */
static void stay(search *s)
{
    const pynna_ctc *d = s->d;
    const int32_t n = d->n_hypotheses;
    double *one = s->ways, *two = one + d->config.beam, *sum = two + d->config.beam;
    for (int32_t i = 0; i < n; i++)
        stay_one(s, &s->beam[i], &s->stay[i], &one[i], &two[i]);
    pn_log_add_all(one, two, sum, n);
    for (int32_t i = 0; i < n; i++) {
        s->stay[i].label = two[i] = sum[i];
        one[i] = s->stay[i].blank;
    }
    pn_log_add_all(one, two, sum, n);
    double best = IMPOSSIBLE, worst = (double)INFINITY;
    s->n_ranked = 0;
    for (int32_t i = 0; i < n; i++) {
        const double total = s->stay[i].total = sum[i];
        best = total > best ? total : best;
        worst = total < worst ? total : worst;
        if (total > IMPOSSIBLE)
            s->ranked[s->n_ranked++] = (pn_ranked){total, i, PN_NONE};
    }
    s->floor = d->n_hypotheses == d->config.beam ? worst : IMPOSSIBLE;
    if (best - d->config.score_margin > s->floor)
        s->floor = best - d->config.score_margin;
}

/* Adds an extension. When there is no more room, the best so far stay, and the worst of these is the new floor. */
static void push(search *s, pn_ranked extension)
{
    if (s->n_ranked == s->ranked_capacity) {
        s->n_ranked = s->d->config.beam;
        pn_rank_select(s->ranked, s->ranked_capacity, s->n_ranked);
        double worst = s->ranked[0].score;
        for (int32_t i = 1; i < s->n_ranked; i++)
            worst = s->ranked[i].score < worst ? s->ranked[i].score : worst;
        s->floor = worst > s->floor ? worst : s->floor;
    }
    if (extension.score >= s->floor)
        s->ranked[s->n_ranked++] = extension;
}

/* What the scorer adds at most for any label, and for one that is no boundary. */
static double most_extra(const search *s)
{
    return s->scorer == NULL ? 0.0 : s->scorer->most;
}

static double most_elsewhere(const search *s)
{
    return s->scorer != NULL && s->scorer->has_boundary ? s->scorer->most_elsewhere : most_extra(s);
}

/* The label that may be given more than others, or PN_NONE. */
static int32_t boundary(const search *s)
{
    return s->scorer != NULL && s->scorer->has_boundary ? s->scorer->boundary : PN_NONE;
}

/* What the scorer adds for a label after the prefix of h. */
static double extra_of(const search *s, const hypothesis *h, int32_t label, pynna_ctc_state *next)
{
    return s->scorer == NULL ? 0.0 : s->scorer->extend(s->scorer->context, &s->trie->nodes[h->node].state, label, next);
}

/* The labels but the boundary that could take some hypothesis to the floor or above, best first, into s->labels;
 * returns how many. */
static int32_t promising_labels(search *s, double best)
{
    const int32_t except = boundary(s);
    const double least = s->floor - most_elsewhere(s);
    int32_t n = 0;
    for (int32_t label = 0; label < s->d->config.n_labels; label++) {
        const double log_prob = s->log_prob[label];
        if (label != s->d->config.blank && label != except && log_prob > IMPOSSIBLE && best + log_prob >= least)
            s->labels[n++] = (pn_ranked){log_prob, 0, label};
    }
    pn_rank_sort(s->labels, n);
    return n;
}

/* Marks the labels that lead from a node to prefixes in the beam: stay() has counted these ways already. */
static void mark_children(search *s, int32_t node, uint8_t value)
{
    for (int32_t c = s->trie->nodes[node].first_child; c != PN_NONE; c = s->trie->nodes[c].next)
        if (s->trie->nodes[c].slot != PN_NONE)
            s->mark[s->trie->nodes[c].token.label] = value;
}

/* A hypothesis and one more label, if that may reach the floor. */
static void extend_by(search *s, int32_t slot, int32_t label, double most)
{
    const hypothesis *h = &s->beam[slot];
    pynna_ctc_state unused;
    double score = leaving(s, h, label);
    if (s->mark[label] || score + most < s->floor || score == IMPOSSIBLE)
        return;
    score += extra_of(s, h, label, &unused);
    if (score >= s->floor && score > IMPOSSIBLE)
        push(s, (pn_ranked){score, slot, label});
}

static void extend(search *s)
{
    double best = IMPOSSIBLE;
    for (int32_t i = 0; i < s->d->n_hypotheses; i++)
        best = s->beam[i].total > best ? s->beam[i].total : best;
    const int32_t n_labels = promising_labels(s, best), between = boundary(s);
    const double most = most_elsewhere(s), most_between = most_extra(s);
    const double first = n_labels > 0 ? s->labels[0].score + most : IMPOSSIBLE;
    const double space = between != PN_NONE ? s->log_prob[between] + most_between : IMPOSSIBLE;
    const double highest = first > space ? first : space;
    if (highest == IMPOSSIBLE || best + highest < s->floor)
        return;
    for (int32_t slot = 0; slot < s->d->n_hypotheses; slot++) {
        const hypothesis *h = &s->beam[slot];
        if (h->total + highest < s->floor)
            continue;
        mark_children(s, h->node, 1);
        for (int32_t i = 0; i < n_labels && h->total + s->labels[i].score + most >= s->floor; i++)
            extend_by(s, slot, s->labels[i].label, most);
        if (space > IMPOSSIBLE)
            extend_by(s, slot, between, most_between);
        mark_children(s, h->node, 0);
    }
}

/* Leaves of s->ranked those that survive the beam's width and the margin. */
static void cut(search *s)
{
    const pynna_ctc_config *c = &s->d->config;
    if (s->n_ranked > c->beam) {
        pn_rank_select(s->ranked, s->n_ranked, c->beam);
        s->n_ranked = c->beam;
    }
    double best = IMPOSSIBLE;
    for (int32_t i = 0; i < s->n_ranked; i++)
        best = s->ranked[i].score > best ? s->ranked[i].score : best;
    int32_t n = 0;
    for (int32_t i = 0; i < s->n_ranked; i++)
        if (s->ranked[i].score >= best - c->score_margin)
            s->ranked[n++] = s->ranked[i];
    s->n_ranked = n;
}

/* A prefix that comes into the beam from its parent; its node may still be there on its children's account. */
static hypothesis enter(search *s, const pn_ranked *r)
{
    const int32_t parent = s->stay[r->slot].node;
    const pynna_ctc_token run = {r->label, s->d->n_frames, s->d->n_frames, s->row[r->label]};
    int32_t node = pn_trie_find(s->trie, parent, r->label);
    if (node == PN_NONE) {
        pynna_ctc_state state = {
            {0, 0, 0}
        };
        const double extra = extra_of(s, &s->stay[r->slot], r->label, &state);
        node = pn_trie_add(s->trie, parent, &run);
        s->trie->nodes[node].state = state;
        s->trie->nodes[node].extra = extra;
    }
    return (hypothesis){.blank = IMPOSSIBLE, .label = r->score, .total = r->score, .node = node, .run = run};
}

static int overtaken(const pn_trie *trie, const pn_node *node)
{
    for (int32_t c = node->first_child; c != PN_NONE; c = trie->nodes[c].next)
        if (trie->nodes[c].overtook)
            return 1;
    return 0;
}

/* A label's time is its run in the likeliest way to the prefix: it moves while the prefix ends in the label rather than
 * in a blank after it, and no longer prefix has overtaken it. */
static void settle_times(search *s)
{
    pn_node *nodes = s->trie->nodes;
    for (int32_t i = 0; i < s->d->n_hypotheses; i++) {
        pn_node *node = &nodes[s->beam[i].node];
        const int32_t parent = node->parent != PN_NONE ? nodes[node->parent].slot : PN_NONE;
        if (parent != PN_NONE)
            node->overtook = s->beam[i].total > s->beam[parent].total;
    }
    for (int32_t i = 0; i < s->d->n_hypotheses; i++) {
        const hypothesis *h = &s->beam[i];
        pn_node *node = &nodes[h->node];
        if (h->label >= h->blank && !overtaken(s->trie, node))
            node->token = h->run;
    }
}

static void select(search *s)
{
    pynna_ctc *d = s->d;
    const int32_t n_before = d->n_hypotheses;
    cut(s);
    for (int32_t i = 0; i < n_before; i++)
        s->trie->nodes[s->stay[i].node].slot = PN_NONE;
    for (int32_t i = 0; i < s->n_ranked; i++) {
        s->beam[i] = s->ranked[i].label == PN_NONE ? s->stay[s->ranked[i].slot] : enter(s, &s->ranked[i]);
        s->trie->nodes[s->beam[i].node].slot = i;
    }
    d->n_hypotheses = s->n_ranked;
    for (int32_t i = 0; i < n_before; i++)
        pn_trie_release(s->trie, s->stay[i].node);
    settle_times(s);
}

static void commit(search *s)
{
    pynna_ctc *d = s->d;
    for (pynna_ctc_token token; pn_trie_advance(s->trie, &token);) {
        if (token.label == PN_NONE)
            continue;
        const int32_t capacity = waiting_capacity(&d->config), place = d->first_waiting + d->n_waiting++;
        s->waiting[place < capacity ? place : place - capacity] = token;
        d->n_committed++;
    }
}

/* ---- when the trie runs full ------------------------------------------------------------------------------------- */

static int32_t extreme_slot(const search *s, int sign)
{
    int32_t found = 0;
    for (int32_t i = 1; i < s->d->n_hypotheses; i++)
        if (sign * s->beam[i].total > sign * s->beam[found].total)
            found = i;
    return found;
}

static void drop(search *s, int32_t slot)
{
    const int32_t node = s->beam[slot].node, last = --s->d->n_hypotheses;
    s->beam[slot] = s->beam[last];
    s->trie->nodes[s->beam[slot].node].slot = slot;
    s->trie->nodes[node].slot = PN_NONE;
    pn_trie_release(s->trie, node);
}

/* The child of the root on the way to a node; PN_NONE if the node is the root. */
static int32_t branch_of(const search *s, int32_t node)
{
    int32_t below = PN_NONE;
    for (; node != s->trie->root; node = s->trie->nodes[node].parent)
        below = node;
    return below;
}

/* Sees to it that a beam of new prefixes fits: commits the best hypothesis' oldest label, again and again. Once it has
 * no label left to commit, the worst hypotheses go. */
static void make_room(search *s)
{
    pynna_ctc *d = s->d;
    while (s->trie->capacity - s->trie->n_live < d->config.beam) {
        const int32_t branch = branch_of(s, s->beam[extreme_slot(s, 1)].node);
        if (branch == PN_NONE) {
            drop(s, extreme_slot(s, -1));
        } else {
            d->n_forced += s->trie->nodes[s->trie->root].token.label != PN_NONE;
            for (int32_t i = d->n_hypotheses; i-- > 0;)
                if (branch_of(s, s->beam[i].node) != branch)
                    drop(s, i);
        }
        commit(s);
    }
}

/* ---- the public calls -------------------------------------------------------------------------------------------- */

static int good_scorer(const pynna_ctc_scorer *scorer)
{
    return scorer == NULL || (scorer->extend != NULL && scorer->finish != NULL && scorer->most < INFINITY);
}

int pynna_ctc_feed(pynna_ctc *d, const float *log_probs, int32_t n_frames)
{
    return pynna_ctc_feed_scored(d, NULL, log_probs, n_frames);
}

int pynna_ctc_feed_scored(pynna_ctc *d, const pynna_ctc_scorer *scorer, const float *log_probs, int32_t n_frames)
{
    if (d == NULL || n_frames < 0 || (n_frames > 0 && log_probs == NULL) || !good_scorer(scorer))
        return PYNNA_ERR_ARGUMENT;
    if (d->finished)
        return PYNNA_ERR_FINISHED;
    if (n_frames > d->config.max_frames - d->n_frames_untaken || n_frames > INT32_MAX - d->n_frames)
        return PYNNA_ERR_FULL;
    search s = view(d);
    s.scorer = scorer;
    if (!pn_ctc_frames_valid(log_probs, n_frames, d->config.n_labels, s.bias))
        return PYNNA_ERR_NOT_FINITE;
    for (int32_t t = 0; t < n_frames; t++, d->n_frames++) {
        s.row = log_probs + (size_t)t * (size_t)d->config.n_labels;
        make_room(&s);
        weigh(&s);
        stay(&s);
        extend(&s);
        if (s.n_ranked == 0) /* the scorer forbids all that the frame allows */
            continue;
        select(&s);
        commit(&s);
    }
    d->n_frames_untaken += n_frames;
    return PYNNA_OK;
}

/* Adds to each hypothesis what the end of the text would, or takes it away. */
static void settle_scores(const search *s, const pynna_ctc_scorer *scorer, double sign)
{
    for (int32_t i = 0; i < s->d->n_hypotheses; i++) {
        hypothesis *h = &s->beam[i];
        const double extra = sign * scorer->finish(scorer->context, &s->trie->nodes[h->node].state);
        h->blank += extra;
        h->label += extra;
        h->total += extra;
    }
}

/* The next node in an order in which parents come before their children; PN_NONE after the last. */
static int32_t following(const pn_trie *trie, int32_t node)
{
    if (trie->nodes[node].first_child != PN_NONE)
        return trie->nodes[node].first_child;
    while (node != trie->root && trie->nodes[node].next == PN_NONE)
        node = trie->nodes[node].parent;
    return node == trie->root ? PN_NONE : trie->nodes[node].next;
}

int pynna_ctc_change_scorer(pynna_ctc *d, const pynna_ctc_scorer *before, const pynna_ctc_scorer *scorer)
{
    if (d == NULL || before == NULL || scorer == NULL || !good_scorer(before) || !good_scorer(scorer))
        return PYNNA_ERR_ARGUMENT;
    if (d->finished)
        return PYNNA_ERR_FINISHED;
    const search s = view(d);
    pn_node *nodes = s.trie->nodes, *root = &nodes[s.trie->root];
    settle_scores(&s, before, 1.0);
    if (scorer->carry != NULL)
        scorer->carry(scorer->context, root->token.label, &root->state);
    for (int32_t i = following(s.trie, s.trie->root); i != PN_NONE; i = following(s.trie, i))
        nodes[i].extra =
            scorer->extend(scorer->context, &nodes[nodes[i].parent].state, nodes[i].token.label, &nodes[i].state);
    settle_scores(&s, scorer, -1.0);
    return PYNNA_OK;
}

int pynna_ctc_finish(pynna_ctc *d)
{
    return pynna_ctc_finish_scored(d, NULL);
}

int pynna_ctc_finish_scored(pynna_ctc *d, const pynna_ctc_scorer *scorer)
{
    if (d == NULL || !good_scorer(scorer))
        return PYNNA_ERR_ARGUMENT;
    if (d->finished)
        return PYNNA_ERR_FINISHED;
    d->finished = 1;
    const search s = view(d);
    for (int32_t i = 0; scorer != NULL && i < d->n_hypotheses; i++)
        s.beam[i].total += scorer->finish(scorer->context, &s.trie->nodes[s.beam[i].node].state);
    return PYNNA_OK;
}

int pynna_ctc_take(pynna_ctc *d, int32_t max_tokens, pynna_ctc_token *tokens, int32_t *n_tokens)
{
    if (d == NULL || n_tokens == NULL || max_tokens < 0 || (max_tokens > 0 && tokens == NULL))
        return PYNNA_ERR_ARGUMENT;
    const search s = view(d);
    const int32_t n = max_tokens < d->n_waiting ? max_tokens : d->n_waiting;
    for (int32_t i = 0; i < n; i++) {
        tokens[i] = s.waiting[d->first_waiting++];
        if (d->first_waiting == waiting_capacity(&d->config))
            d->first_waiting = 0;
    }
    d->n_waiting -= n;
    if (d->n_waiting == 0)
        d->n_frames_untaken = 0;
    *n_tokens = n;
    return PYNNA_OK;
}

/* Writes the tail of a node, whose length is n. */
static void write_tail(const search *s, int32_t node, int32_t n, pynna_ctc_token *tokens)
{
    for (; n > 0; node = s->trie->nodes[node].parent)
        tokens[--n] = s->trie->nodes[node].token;
}

int pynna_ctc_best(const pynna_ctc *d, int32_t max_tokens, pynna_ctc_token *tokens, int32_t *n_tokens, double *score)
{
    pynna_ctc_hypothesis best;
    int32_t n;
    if (score == NULL)
        return PYNNA_ERR_ARGUMENT;
    const int status = pynna_ctc_nbest(d, 1, &best, &n, max_tokens, tokens, n_tokens);
    if (status == PYNNA_OK)
        *score = best.score;
    return status;
}

static int worse(const pynna_ctc_hypothesis *a, const pynna_ctc_hypothesis *b)
{
    return a->score != b->score ? a->score < b->score : a->first > b->first;
}

/* Lets heap[i] sink in a heap [n] whose root is the worst. */
static void sink(pynna_ctc_hypothesis *heap, int32_t i, int32_t n)
{
    for (int32_t child; (child = 2 * i + 1) < n; i = child) {
        if (child + 1 < n && worse(&heap[child + 1], &heap[child]))
            child++;
        if (!worse(&heap[child], &heap[i]))
            return;
        const pynna_ctc_hypothesis t = heap[i];
        heap[i] = heap[child];
        heap[child] = t;
    }
}

/* The n best slots of the beam, best first; `first` holds the slot. */
static void best_slots(const search *s, int32_t n, pynna_ctc_hypothesis *best)
{
    for (int32_t i = 0; i < s->d->n_hypotheses; i++) {
        const pynna_ctc_hypothesis h = {s->beam[i].total, i, 0};
        if (i < n) {
            best[i] = h;
            for (int32_t j = n / 2; i == n - 1 && j-- > 0;)
                sink(best, j, n);
        } else if (worse(&best[0], &h)) {
            best[0] = h;
            sink(best, 0, n);
        }
    }
    for (int32_t end = n; end-- > 1;) {
        const pynna_ctc_hypothesis t = best[0];
        best[0] = best[end];
        best[end] = t;
        sink(best, 0, end);
    }
}

int pynna_ctc_nbest(const pynna_ctc *d, int32_t max_hypotheses, pynna_ctc_hypothesis *hypotheses, int32_t *n_hypotheses,
                    int32_t max_tokens, pynna_ctc_token *tokens, int32_t *n_tokens)
{
    if (d == NULL || hypotheses == NULL || n_hypotheses == NULL || n_tokens == NULL || max_hypotheses < 1
        || max_tokens < 0 || (max_tokens > 0 && tokens == NULL))
        return PYNNA_ERR_ARGUMENT;
    const search s = const_view(d);
    const int32_t n = max_hypotheses < d->n_hypotheses ? max_hypotheses : d->n_hypotheses;
    best_slots(&s, n, hypotheses);
    int64_t end = 0;
    for (int32_t i = 0; i < n; i++) {
        pynna_ctc_hypothesis *h = &hypotheses[i];
        const int32_t node = s.beam[h->first].node;
        h->n_tokens = pn_trie_depth(s.trie, node);
        h->first = (int32_t)end;
        end += h->n_tokens;
        if (end > INT32_MAX)
            return PYNNA_ERR_MEMORY;
        if (end <= max_tokens && h->n_tokens > 0)
            write_tail(&s, node, h->n_tokens, &tokens[h->first]);
    }
    *n_hypotheses = n;
    *n_tokens = (int32_t)end;
    return end <= max_tokens ? PYNNA_OK : PYNNA_ERR_MEMORY;
}

int pynna_ctc_get_stats(const pynna_ctc *d, pynna_ctc_stats *stats)
{
    if (d == NULL || stats == NULL)
        return PYNNA_ERR_ARGUMENT;
    const search s = const_view(d);
    *stats = (pynna_ctc_stats){
        .n_committed = d->n_committed,
        .n_forced = d->n_forced,
        .n_frames = d->n_frames,
        .n_room = d->config.max_frames - d->n_frames_untaken,
        .n_waiting = d->n_waiting,
        .n_hypotheses = d->n_hypotheses,
        .n_nodes = s.trie->n_live,
        .most_nodes = s.trie->most_live,
        .finished = d->finished,
    };
    return PYNNA_OK;
}
