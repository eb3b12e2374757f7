/* SPDX-License-Identifier: Apache-2.0 */
/* CTC prefix beam search; doc/ctc.md tells the algorithm in prose, with an example worked by hand.
 *
 * The state between two frames is a beam of hypotheses, each a node of the trie (its labels) with two
 * log-probabilities: of all alignments that end in the blank, and of all that end in its last label. A frame's steps:
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

#include "ctc_input.h"
#include "ctc_log_add.h"
#include "ctc_rank.h"
#include "ctc_trie.h"
#include "exact_math.h"

enum { PN_CTC_MASKED = 64 }; /* labels below it have a bit in masks */
enum { MAX_BEAM = 4096, MAX_NODES = 1 << 26, MAX_FRAMES = 1 << 26 };

static const double UNASKED = (double)INFINITY;
static const double IMPOSSIBLE = -(double)INFINITY; /* the logarithm of probability 0 */

typedef struct {
    double blank; /* log-probability of the alignments that end in the blank */
    double label; /* of those that end in its last label */
    double total; /* of both */
} weights;

/* The beam, an array a property. Slot PN_NONE is nobody's: its weights are IMPOSSIBLE. */
typedef struct {
    weights *now;         /* [-1 .. beam - 1] */
    pynna_ctc_token *run; /* [-1 .. beam - 1]: the last label's latest run; label PN_NONE: the empty sequence */
    int32_t *node;        /* in the trie */
    /* what the trie and the scorer know, at hand */
    int32_t *from;          /* the parent's slot, PN_NONE: it is not in the beam */
    double *extra;          /* what the scorer added for the last label */
    double *between;        /* what it adds for its boundary after it; UNASKED: not known yet */
    uint64_t *taken;        /* labels below PN_CTC_MASKED that lead to prefixes in the beam */
    pynna_ctc_ways *choice; /* what the scorer tells of labels below PN_CTC_MASKED */
} beam;

/* Where the arrays stand in the memory handed in, in bytes from its start. */
typedef struct {
    size_t bias;                                                /* float [n_labels] */
    size_t now, run, node, from, extra, between, taken, choice; /* beam, [beam] and one before it */
    size_t next, next_run;                                      /* weights and pynna_ctc_token [beam] */
    size_t ways;                                                /* double [3][beam] */
    size_t ranked;                                              /* pn_ranked [n_ranked] */
    size_t leaving;                                             /* int32_t [2][beam] */
    size_t labels;                                              /* pn_ranked [n_labels] */
    size_t log_prob;                                            /* double [n_labels] and one before it */
    size_t mark;                                                /* uint8_t [n_labels] */
    size_t waiting;                                             /* pynna_ctc_token [n_waiting], a ring */
    size_t trie;                                                /* pn_trie with n_nodes nodes */
    size_t end;
} layout;

struct pynna_ctc {
    pynna_ctc_config config; /* label_bias NULL: this block holds no pointers */
    layout at;
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
    beam b;
    weights *next; /* of the hypotheses that stay, after this frame */
    pynna_ctc_token *next_run;
    double *ways; /* [3][beam]: what is added up, and the sums */
    pn_ranked *ranked, *labels;
    int32_t *leaving, *gone; /* slots, ascending, and their nodes */
    double *log_prob;        /* of label PN_NONE: IMPOSSIBLE */
    uint8_t *mark;           /* all 0 between uses */
    pynna_ctc_token *waiting;
    pn_trie *trie;
    const pynna_ctc_scorer *scorer; /* NULL for none */
    const float *row;               /* [n_labels], the frame */
    int32_t n_ranked;               /* survivors to be, stays (label PN_NONE) and extensions alike */
    int32_t ranked_capacity;
    int32_t is_sorted; /* s->labels */
    double floor;      /* what scores less will not survive */
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
    at.now = reserve(&at.end, n_beam + 1, sizeof(weights));
    at.run = reserve(&at.end, n_beam + 1, sizeof(pynna_ctc_token));
    at.node = reserve(&at.end, n_beam, sizeof(int32_t));
    at.from = reserve(&at.end, n_beam, sizeof(int32_t));
    at.extra = reserve(&at.end, n_beam, sizeof(double));
    at.between = reserve(&at.end, n_beam, sizeof(double));
    at.taken = reserve(&at.end, n_beam, sizeof(uint64_t));
    at.choice = reserve(&at.end, n_beam, sizeof(pynna_ctc_ways));
    at.next = reserve(&at.end, n_beam, sizeof(weights));
    at.next_run = reserve(&at.end, n_beam, sizeof(pynna_ctc_token));
    at.ways = reserve(&at.end, 3 * n_beam, sizeof(double));
    at.ranked = reserve(&at.end, (size_t)ranked_capacity(c), sizeof(pn_ranked));
    at.leaving = reserve(&at.end, 2 * n_beam, sizeof(int32_t));
    at.labels = reserve(&at.end, n_labels, sizeof(pn_ranked));
    at.log_prob = reserve(&at.end, n_labels + 1, sizeof(double));
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
        .b = {(weights *)(base + d->at.now) + 1, (pynna_ctc_token *)(base + d->at.run) + 1,
              (int32_t *)(base + d->at.node), (int32_t *)(base + d->at.from), (double *)(base + d->at.extra),
              (double *)(base + d->at.between), (uint64_t *)(base + d->at.taken),
              (pynna_ctc_ways *)(base + d->at.choice)},
        .next = (weights *)(base + d->at.next),
        .next_run = (pynna_ctc_token *)(base + d->at.next_run),
        .ways = (double *)(base + d->at.ways),
        .ranked = (pn_ranked *)(base + d->at.ranked),
        .leaving = (int32_t *)(base + d->at.leaving),
        .gone = (int32_t *)(base + d->at.leaving) + d->config.beam,
        .labels = (pn_ranked *)(base + d->at.labels),
        .log_prob = (double *)(base + d->at.log_prob) + 1,
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
    d->knows_scorer = 0;
    d->n_hypotheses = 1;
    /* all of it, scratch too: equal streams are equal blocks of bytes */
    memset((char *)d + d->at.now, 0, d->at.end - d->at.now);
    const search s = view(d);
    pn_trie_init(s.trie, d->config.n_nodes);
    s.trie->nodes[s.trie->root].slot = 0;
    const pynna_ctc_token none = {PN_NONE, 0, 0, 0.0f};
    s.b.now[PN_NONE] = (weights){IMPOSSIBLE, IMPOSSIBLE, IMPOSSIBLE};
    s.b.now[0] = (weights){0.0, IMPOSSIBLE, 0.0};
    s.b.run[PN_NONE] = s.b.run[0] = none;
    s.b.node[0] = s.trie->root;
    s.b.from[0] = PN_NONE;
    s.log_prob[PN_NONE] = IMPOSSIBLE;
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
    memset(memory, 0, at.now);
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
    for (int32_t i = 0; i < n; i++)
        s->mark[s->labels[i].label] = 1;
    for (int32_t i = 0; i < c->n_labels; i++) {
        if (!s->mark[i])
            s->log_prob[i] = IMPOSSIBLE;
        s->mark[i] = 0;
    }
}

/* The alignments of the hypothesis in a slot that take `label` next and so reach another prefix: if it ends in the same
 * label, only from the blank; the others would repeat that label. */
static double leaving(const search *s, int32_t slot, int32_t label)
{
    const weights *h = &s->b.now[slot];
    return (s->b.run[slot].label == label ? h->blank : h->total) + s->log_prob[label];
}

/* What this frame makes of a run that arrives anew or repeats its label. No branch: it goes this way and that. */
static pynna_ctc_token run_on(const search *s, pynna_ctc_token run, double repeat, double arrival)
{
    const float log_prob = s->row[run.label == PN_NONE ? 0 : run.label];
    const int anew = arrival > repeat; /* more likely than not, the run starts here */
    const int higher = (run.label != PN_NONE) & (log_prob > run.log_prob) & (repeat > IMPOSSIBLE);
    run.start = anew ? s->d->n_frames : run.start;
    run.frame = anew | higher ? s->d->n_frames : run.frame;
    run.log_prob = anew | higher ? log_prob : run.log_prob;
    return run;
}

/* All ways of this frame into the prefixes of the beam, added up: the blank, the last label once more, and that label
 * from the parent. */
static void stay(search *s)
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
    double best = IMPOSSIBLE, worst = (double)INFINITY;
    s->n_ranked = 0;
    for (int32_t i = 0; i < n; i++) {
        const double total = s->next[i].total = sum[i];
        best = total > best ? total : best;
        worst = total < worst ? total : worst;
        s->ranked[s->n_ranked] = (pn_ranked){total, i, PN_NONE};
        s->n_ranked += total > IMPOSSIBLE;
    }
    s->floor = n == d->config.beam ? worst : IMPOSSIBLE;
    if (best - d->config.score_margin > s->floor)
        s->floor = best - d->config.score_margin;
}

/* Room for n more extensions: where there is none the best so far stay, and the worst of these is the new floor. */
static void make_room_to_rank(search *s, int32_t n)
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
static void push(search *s, pn_ranked extension)
{
    make_room_to_rank(s, 1);
    s->ranked[s->n_ranked] = extension;
    s->n_ranked += (extension.score >= s->floor) & (extension.score > IMPOSSIBLE);
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

/* What the scorer adds for a label after a node's. */
static double extra_of(const search *s, int32_t node, int32_t label, pynna_ctc_state *next)
{
    return s->scorer == NULL ? 0.0 : s->scorer->extend(s->scorer->context, &s->trie->nodes[node].state, label, next);
}

static uint64_t bit_of(int32_t label)
{
    return label >= 0 && label < PN_CTC_MASKED ? (uint64_t)1 << label : 0;
}

static pynna_ctc_ways choice_of(const search *s, int32_t node)
{
    const pynna_ctc_ways all = {~(uint64_t)0, 0, most_elsewhere(s)};
    if (s->scorer == NULL || s->scorer->ways == NULL)
        return all;
    return s->scorer->ways(s->scorer->context, &s->trie->nodes[node].state);
}

/* The scorer's part of the beam, for the first frame and after another scorer has come. */
static void ask_scorer(search *s)
{
    for (int32_t i = 0; i < s->d->n_hypotheses; i++) {
        s->b.extra[i] = s->trie->nodes[s->b.node[i]].extra;
        s->b.between[i] = UNASKED;
        s->b.choice[i] = choice_of(s, s->b.node[i]);
    }
    s->d->knows_scorer = 1;
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
        s->labels[n] = (pn_ranked){log_prob, 0, label};
        n += (label != s->d->config.blank) & (label != except) & (log_prob > IMPOSSIBLE) & (best + log_prob >= least);
    }
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
    pynna_ctc_state unused;
    const double score = leaving(s, slot, label);
    if (score + most >= s->floor && score > IMPOSSIBLE)
        push(s, (pn_ranked){score + extra_of(s, s->b.node[slot], label, &unused), slot, label});
}

/* The lowest label of a mask that is not empty, by halves: 32-bit processors have no instruction for all of it. */
static int32_t lowest(uint64_t labels)
{
    const uint32_t half = (uint32_t)labels;
    return half != 0 ? __builtin_ctz(half) : 32 + __builtin_ctz((uint32_t)(labels >> 32));
}

/* A hypothesis by the labels of a mask that are free for it. */
static void extend_freely(search *s, int32_t slot, uint64_t labels)
{
    make_room_to_rank(s, PN_CTC_MASKED);
    pn_ranked *out = s->ranked + s->n_ranked;
    const double floor = s->floor;
    for (uint64_t rest = labels; rest != 0; rest &= rest - 1) {
        const int32_t label = lowest(rest);
        const double score = leaving(s, slot, label);
        *out = (pn_ranked){score, slot, label};
        out += (score >= floor) & (score > IMPOSSIBLE);
    }
    s->n_ranked = (int32_t)(out - s->ranked);
}

/* A hypothesis by the first n of s->labels, sorted, but those of a mask: the first that falls short is the last. */
static void extend_sorted(search *s, int32_t slot, int32_t n, uint64_t but, double most)
{
    const double total = s->b.now[slot].total;
    if (!s->is_sorted)
        pn_rank_sort(s->labels, n);
    s->is_sorted = 1;
    for (int32_t i = 0; i < n && total + s->labels[i].score + most >= s->floor; i++) {
        const int32_t label = s->labels[i].label;
        if (!s->mark[label] && (but & bit_of(label)) == 0)
            extend_by(s, slot, label, most);
    }
}

/* A hypothesis and the boundary: the scorer is asked once. */
static void extend_between(search *s, int32_t slot, int32_t label)
{
    pynna_ctc_state unused;
    const double score = leaving(s, slot, label);
    if (score + s->scorer->most < s->floor || score == IMPOSSIBLE)
        return;
    if (s->b.between[slot] == UNASKED)
        s->b.between[slot] = extra_of(s, s->b.node[slot], label, &unused);
    push(s, (pn_ranked){score + s->b.between[slot], slot, label});
}

static void extend_one(search *s, int32_t slot, int32_t n_labels, uint64_t mask, int32_t between)
{
    const uint64_t open = s->b.choice[slot].allowed & ~s->b.taken[slot];
    if (s->d->config.n_labels > PN_CTC_MASKED) {
        mark_children(s, s->b.node[slot], 1);
        extend_sorted(s, slot, n_labels, 0, most_elsewhere(s));
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
    if ((open & bit_of(between)) != 0)
        extend_between(s, slot, between);
}

static void extend(search *s)
{
    const int32_t n = s->d->n_hypotheses, between = boundary(s);
    double best = IMPOSSIBLE;
    for (int32_t i = 0; i < n; i++)
        best = s->b.now[i].total > best ? s->b.now[i].total : best;
    const int32_t n_labels = promising_labels(s, best);
    const double space = between != PN_NONE ? s->log_prob[between] + most_extra(s) : IMPOSSIBLE;
    double highest = IMPOSSIBLE;
    uint64_t mask = 0;
    for (int32_t i = 0; i < n_labels; i++) {
        highest = s->labels[i].score > highest ? s->labels[i].score : highest;
        mask |= bit_of(s->labels[i].label);
    }
    highest += most_elsewhere(s);
    highest = highest > space ? highest : space;
    if (highest == IMPOSSIBLE || best + highest < s->floor)
        return;
    s->is_sorted = 0;
    for (int32_t slot = 0; slot < n; slot++)
        if (s->b.now[slot].total + highest >= s->floor)
            extend_one(s, slot, n_labels, mask, between);
}

/* Brings those that survive the beam's width and the margin to the front of s->ranked; returns how many. */
static int32_t cut(search *s)
{
    const pynna_ctc_config *c = &s->d->config;
    int32_t n = s->n_ranked;
    if (n > c->beam) {
        pn_rank_select(s->ranked, n, c->beam);
        n = c->beam;
    }
    if (c->score_margin == (double)INFINITY)
        return n;
    double best = IMPOSSIBLE;
    for (int32_t i = 0; i < n; i++)
        best = s->ranked[i].score > best ? s->ranked[i].score : best;
    for (int32_t i = 0; i < n; i++)
        if (s->ranked[i].score < best - c->score_margin)
            s->ranked[i--] = s->ranked[--n];
    return n;
}

/* ---- a place in the beam ----------------------------------------------------------------------------------------- */

/* Tells a node's children in the beam where it stands, and itself which labels lead to them. */
static uint64_t tell_children(search *s, int32_t node, int32_t slot)
{
    uint64_t taken = 0;
    for (int32_t c = s->trie->nodes[node].first_child; c != PN_NONE; c = s->trie->nodes[c].next)
        if (s->trie->nodes[c].slot != PN_NONE) {
            s->b.from[s->trie->nodes[c].slot] = slot;
            taken |= bit_of(s->trie->nodes[c].token.label);
        }
    return taken;
}

/* A hypothesis out of the beam; its slot is free then. */
static void leave(search *s, int32_t slot)
{
    const int32_t from = s->b.from[slot];
    if (from != PN_NONE)
        s->b.taken[from] &= ~bit_of(s->b.run[slot].label);
    s->trie->nodes[s->b.node[slot]].slot = PN_NONE;
    tell_children(s, s->b.node[slot], PN_NONE);
}

/* A hypothesis from one slot into a free one. */
static void move(search *s, int32_t slot, int32_t to)
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
    tell_children(s, s->b.node[to], to);
}

/* A prefix that comes into the beam from its parent; its node may still be there on its children's account. */
static void enter(search *s, int32_t parent, int32_t label, double score, int32_t slot)
{
    const pynna_ctc_token run = {label, s->d->n_frames, s->d->n_frames, s->row[label]};
    int32_t node = pn_trie_find(s->trie, parent, label);
    if (node == PN_NONE) {
        pynna_ctc_state state = {
            {0, 0, 0}
        };
        const double extra = extra_of(s, parent, label, &state);
        node = pn_trie_add(s->trie, parent, &run);
        s->trie->nodes[node].state = state;
        s->trie->nodes[node].extra = extra;
    }
    const int32_t from = s->trie->nodes[parent].slot;
    s->b.now[slot] = (weights){.blank = IMPOSSIBLE, .label = score, .total = score};
    s->b.run[slot] = run;
    s->b.node[slot] = node;
    s->b.from[slot] = from;
    s->b.extra[slot] = s->trie->nodes[node].extra;
    s->b.between[slot] = UNASKED;
    s->b.taken[slot] = tell_children(s, node, slot);
    s->b.choice[slot] = choice_of(s, node);
    s->trie->nodes[node].slot = slot;
    if (from != PN_NONE)
        s->b.taken[from] |= bit_of(label);
}

/* A label's time is its run in the likeliest way to the prefix: it moves while the prefix ends in the label rather than
 * in a blank after it, and no longer prefix has overtaken it. */
static void settle_times(search *s)
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
static int32_t find_leaving(search *s, int32_t n_chosen)
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

static void select(search *s)
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
        leave(s, s->leaving[i]);
    for (int32_t i = 0; i < n_new; i++)
        enter(s, s->ranked[i].slot, s->ranked[i].label, s->ranked[i].score, i < n_leaving ? s->leaving[i] : n++);
    for (int32_t i = n_leaving; i-- > n_new;)
        if (s->leaving[i] != --n)
            move(s, n, s->leaving[i]);
    d->n_hypotheses = n;
    for (int32_t i = 0; i < n_leaving; i++)
        pn_trie_release(s->trie, s->gone[i]);
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
        if (sign * s->b.now[i].total > sign * s->b.now[found].total)
            found = i;
    return found;
}

static void drop(search *s, int32_t slot)
{
    const int32_t node = s->b.node[slot], last = --s->d->n_hypotheses;
    leave(s, slot);
    if (slot != last)
        move(s, last, slot);
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
        const int32_t branch = branch_of(s, s->b.node[extreme_slot(s, 1)]);
        if (branch == PN_NONE) {
            drop(s, extreme_slot(s, -1));
        } else {
            d->n_forced += s->trie->nodes[s->trie->root].token.label != PN_NONE;
            for (int32_t i = d->n_hypotheses; i-- > 0;)
                if (branch_of(s, s->b.node[i]) != branch)
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
    if (n_frames > 0 && !d->knows_scorer)
        ask_scorer(&s);
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
        weights *h = &s->b.now[i];
        const double extra = sign * scorer->finish(scorer->context, &s->trie->nodes[s->b.node[i]].state);
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
    d->knows_scorer = 0;
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
        s.b.now[i].total += scorer->finish(scorer->context, &s.trie->nodes[s.b.node[i]].state);
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
        const pynna_ctc_hypothesis h = {s->b.now[i].total, i, 0};
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
        const int32_t node = s.b.node[h->first];
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
