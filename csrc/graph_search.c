/* SPDX-License-Identifier: Apache-2.0 */
/* The best path through a grammar's graph and CTC's topology at once; doc/grammar.md tells it in prose.
 *
 * A place is where a path can be between two frames: inside the label of an arc (places 0 .. n_arcs - 1), or in the
 * blank after having reached a state (places n_arcs + state). A cell is a place and a state of the hot words' automaton,
 * with its best paths, at most n_best of different label sequences; a path is a score, a record of the labels behind it,
 * and the run of the label it is in. Without hot words a place has one cell.
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
#include "ctc_rank.h"
#include "pynna.h"

enum { NONE = -1, MAX_BEST = 16, MAX_ACTIVE = 1 << 24, MAX_RECORDS = 1 << 28 };

static const double IMPOSSIBLE = -(double)INFINITY;

/* A label behind a path. */
typedef struct {
    pynna_search_token token; /* loss: for the time being the path's score less the free one, when it left the label */
    int32_t previous;         /* a record with a lower index, or NONE */
    int32_t n_uses;           /* scratch of collect(): records and paths that refer to it */
} record;

typedef struct {
    double score;
    double bonus;        /* what of the score the hot words gave */
    uint64_t hash;       /* of its label sequence */
    int32_t history;     /* the record of the label before, or NONE */
    int32_t left;        /* the record made when it left its label in this frame, or NONE */
    int32_t run_label;   /* the label it is in; NONE in a blank */
    int32_t noise_label; /* the label of noise that it is in, in a blank; or NONE */
    double noise_loss;   /* what was lost to noise, which is no label's loss */
    int32_t start, frame;
    float log_prob;
} path;

typedef struct {
    int32_t place, n_paths;
    int32_t hot;           /* state of the hot words' automaton */
    int32_t next_at_place; /* new cells of the same place, as a list */
    int32_t next_in_state; /* cells that reached the same state, as a list */
} cell;

typedef struct {
    size_t bias, log_prob, slot, head, touched, cells[2], paths[2], ranked, records, moved, waiting, end;
} layout;

struct pynna_search {
    pynna_search_config config; /* label_bias NULL: this block holds no pointers */
    layout at;
    int32_t n_states, n_arcs;
    int32_t has_bias, finished;
    int32_t current, n_cells; /* which of the two halves holds the cells */
    int32_t n_hot;            /* states of the hot words' automaton; 0 for none */
    int32_t last_committed;   /* the last committed label, or NONE */
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
    int32_t *slot;    /* [places]: the first of a place's new cells, or NONE */
    int32_t *head;    /* [states]: the first of the cells that reached it, or NONE */
    int32_t *touched; /* states that were reached */
    cell *cells, *next;
    path *paths, *next_paths;
    pn_ranked *ranked;
    record *records;
    int32_t *moved;              /* [n_records]: where collect() puts a record */
    pynna_search_token *waiting; /* [2 n_records], a ring */
    int32_t n_next, best_label;
    double best, floor; /* of the new paths: the best so far, and what is not worth keeping */
    double unconstrained_before;
} search;

/* ---- configuration and memory ------------------------------------------------------------------------------------ */

void pynna_search_defaults(int32_t n_labels, pynna_search_config *config)
{
    *config = (pynna_search_config){.n_labels = n_labels,
                                    .blank = n_labels - 1,
                                    .n_best = 1,
                                    .max_active = 4096,
                                    .n_records = 32768,
                                    .margin = 30.0,
                                    .filler_cost = 0.5,
                                    .filler_entry_cost = 2.0,
                                    .noise_cost = (double)INFINITY,
                                    .space = NONE};
}

static const char *config_error(const pynna_search_config *c)
{
    if (c->blank < 0 || c->blank >= c->n_labels)
        return "blank must be from 0 to n_labels - 1";
    if (c->n_best < 1 || c->n_best > MAX_BEST)
        return "n_best must be from 1 to 16";
    if (c->max_active < 16 || c->max_active > MAX_ACTIVE)
        return "max_active must be from 16 to 16777216";
    if (c->n_records > MAX_RECORDS || c->n_records / 8 / c->n_best < c->max_active)
        return "n_records must be from 8 * n_best * max_active to 268435456";
    if (!(c->margin > 0.0))
        return "margin must be above 0";
    if (!(c->filler_cost >= 0.0 && c->filler_cost < INFINITY)
        || !(c->filler_entry_cost >= 0.0 && c->filler_entry_cost < INFINITY))
        return "filler_cost and filler_entry_cost must be 0 or more";
    if (!(c->noise_cost >= 0.0))
        return "noise_cost must be 0 or more";
    if (c->space < NONE || c->space >= c->n_labels || c->space == c->blank)
        return "space must be a label but the blank, or -1";
    for (int32_t i = 0; c->label_bias != NULL && i < c->n_labels; i++)
        if (!(c->label_bias[i] < INFINITY))
            return "label_bias must hold finite values or -infinity";
    return NULL;
}

const char *pynna_search_config_error(const pynna_graph *g, const pynna_search_config *c)
{
    const char *wrong = pynna_graph_error(g);
    if (wrong != NULL)
        return wrong;
    if (c == NULL)
        return "there is no configuration";
    if (c->n_labels != g->n_labels)
        return "n_labels must be the graph's";
    if ((wrong = config_error(c)) != NULL)
        return wrong;
    for (int32_t a = 0; a < g->n_arcs; a++)
        if (g->arc_label[a] == c->blank)
            return "no arc of the graph may carry the blank";
    return NULL;
}

static size_t reserve(size_t *end, size_t count, size_t size)
{
    const size_t start = (*end + 63) & ~(size_t)63;
    *end = start + count * size;
    return start;
}

static layout plan(const pynna_graph *g, const pynna_search_config *c)
{
    const size_t n_active = (size_t)c->max_active, n_paths = n_active * (size_t)c->n_best;
    const size_t n_states = (size_t)g->n_states, n_places = n_states + (size_t)g->n_arcs;
    layout at;
    at.end = sizeof(pynna_search);
    at.bias = reserve(&at.end, (size_t)c->n_labels, sizeof(float));
    at.log_prob = reserve(&at.end, (size_t)c->n_labels, sizeof(double));
    at.slot = reserve(&at.end, n_places, sizeof(int32_t));
    at.head = reserve(&at.end, n_states, sizeof(int32_t));
    at.touched = reserve(&at.end, n_active, sizeof(int32_t));
    for (int i = 0; i < 2; i++) {
        at.cells[i] = reserve(&at.end, n_active, sizeof(cell));
        at.paths[i] = reserve(&at.end, n_paths, sizeof(path));
    }
    at.ranked = reserve(&at.end, n_paths, sizeof(pn_ranked));
    at.records = reserve(&at.end, (size_t)c->n_records, sizeof(record));
    at.moved = reserve(&at.end, (size_t)c->n_records, sizeof(int32_t));
    at.waiting = reserve(&at.end, 2 * (size_t)c->n_records, sizeof(pynna_search_token));
    return at;
}

size_t pynna_search_size(const pynna_graph *graph, const pynna_search_config *config)
{
    return pynna_search_config_error(graph, config) == NULL ? plan(graph, config).end : 0;
}

static search view(pynna_search *d, const pynna_graph *g)
{
    char *base = (char *)d;
    return (search){
        .d = d,
        .g = g,
        .bias = d->has_bias ? (const float *)(base + d->at.bias) : NULL,
        .log_prob = (double *)(base + d->at.log_prob),
        .slot = (int32_t *)(base + d->at.slot),
        .head = (int32_t *)(base + d->at.head),
        .touched = (int32_t *)(base + d->at.touched),
        .cells = (cell *)(base + d->at.cells[d->current]),
        .paths = (path *)(base + d->at.paths[d->current]),
        .next = (cell *)(base + d->at.cells[1 - d->current]),
        .next_paths = (path *)(base + d->at.paths[1 - d->current]),
        .ranked = (pn_ranked *)(base + d->at.ranked),
        .records = (record *)(base + d->at.records),
        .moved = (int32_t *)(base + d->at.moved),
        .waiting = (pynna_search_token *)(base + d->at.waiting),
    };
}

static int fits(const pynna_search *d, const pynna_graph *g)
{
    return d != NULL && g != NULL && g->n_states == d->n_states && g->n_arcs == d->n_arcs
           && g->n_labels == d->config.n_labels;
}

int pynna_search_reset(pynna_search *d, const pynna_graph *g)
{
    if (!fits(d, g))
        return PYNNA_ERR_ARGUMENT;
    d->finished = d->current = d->n_records = d->n_frames = d->n_frames_untaken = 0;
    d->last_committed = NONE;
    d->first_waiting = d->n_waiting = d->most_active = 0;
    d->n_dropped = 0;
    d->unconstrained_score = d->gap = 0.0;
    d->unconstrained_label = d->config.blank;
    /* cells, paths and records are written before they are read: what is not needed stays untouched */
    search s = view(d, g);
    for (int32_t i = 0; i < g->n_arcs + g->n_states; i++)
        s.slot[i] = NONE;
    for (int32_t i = 0; i < g->n_states; i++)
        s.head[i] = NONE;
    d->n_cells = 1;
    s.cells[0] = (cell){.place = g->n_arcs + g->start, .n_paths = 1, .next_at_place = NONE, .next_in_state = NONE};
    s.paths[0] = (path){.score = 0.0, .history = NONE, .left = NONE, .run_label = NONE, .noise_label = NONE};
    return PYNNA_OK;
}

int pynna_search_init(void *memory, size_t size, const pynna_graph *graph, const pynna_search_config *config,
                      pynna_search **out)
{
    if (memory == NULL || out == NULL || pynna_search_config_error(graph, config) != NULL)
        return PYNNA_ERR_ARGUMENT;
    const layout at = plan(graph, config);
    if (size < at.end || (uintptr_t)memory % 64 != 0)
        return PYNNA_ERR_MEMORY;
    pynna_search *d = memory;
    memset(memory, 0, at.log_prob);
    d->config = *config;
    d->config.label_bias = NULL;
    d->at = at;
    d->n_states = graph->n_states;
    d->n_arcs = graph->n_arcs;
    d->has_bias = config->label_bias != NULL;
    if (d->has_bias)
        memcpy((char *)memory + at.bias, config->label_bias, (size_t)config->n_labels * sizeof(float));
    *out = d;
    return pynna_search_reset(d, graph);
}

/* ---- records: the labels behind the paths ------------------------------------------------------------------------ */

static int32_t add_record(search *s, pynna_search_token token, int32_t previous)
{
    s->records[s->d->n_records] = (record){token, previous, 0};
    return s->d->n_records++;
}

/* A path's score as far as labels count: without what noise cost and hot words gave. */
static double fit(const path *p)
{
    return p->score - p->bonus + p->noise_loss;
}

/* The labels behind a path that leaves the label it is in, made once. */
static int32_t leave_label(search *s, path *p)
{
    if (p->run_label < 0) /* in a blank or in the filler, whose labels have records already */
        return p->history;
    if (p->left == NONE) {
        const float gap = (float)(fit(p) - s->unconstrained_before);
        p->left = add_record(s, (pynna_search_token){p->run_label, p->start, p->frame, p->log_prob, gap}, p->history);
    }
    return p->left;
}

/* How many records and paths refer to each record that some path leads to; the others have 0. */
static void count_uses(search *s)
{
    const int32_t n_best = s->d->config.n_best;
    for (int32_t i = 0; i < s->d->n_records; i++)
        s->records[i].n_uses = 0;
    for (int32_t c = 0; c < s->d->n_cells; c++)
        for (int32_t k = 0; k < s->cells[c].n_paths; k++)
            for (int32_t r = s->paths[c * n_best + k].history; r != NONE; r = s->records[r].previous)
                if (s->records[r].n_uses++ > 0)
                    break;
}

/* The one record that begins all paths, or NONE. */
static int32_t common_root(const search *s)
{
    const int32_t n_best = s->d->config.n_best;
    for (int32_t c = 0; c < s->d->n_cells; c++)
        for (int32_t k = 0; k < s->cells[c].n_paths; k++)
            if (s->paths[c * n_best + k].history == NONE)
                return NONE;
    int32_t root = NONE;
    for (int32_t i = 0; i < s->d->n_records; i++)
        if (s->records[i].n_uses > 0 && s->records[i].previous == NONE) {
            if (root != NONE)
                return NONE;
            root = i;
        }
    return root;
}

/* Commits a record that begins all paths: what refers to it begins there now. */
static void commit(search *s, int32_t r)
{
    pynna_search *d = s->d;
    const int32_t n_best = d->config.n_best;
    pynna_search_token token = s->records[r].token;
    const double gap = (double)token.loss;
    token.loss = (float)(d->gap - gap);
    d->gap = gap;
    d->last_committed = token.label;
    s->waiting[(d->first_waiting + d->n_waiting++) % (2 * d->config.n_records)] = token;
    s->records[r].n_uses = 0;
    for (int32_t i = r + 1; i < d->n_records; i++)
        if (s->records[i].n_uses > 0 && s->records[i].previous == r)
            s->records[i].previous = NONE;
    for (int32_t c = 0; c < d->n_cells; c++)
        for (int32_t k = 0; k < s->cells[c].n_paths; k++)
            if (s->paths[c * n_best + k].history == r)
                s->paths[c * n_best + k].history = NONE;
}

/* Throws out the records that no path leads to and commits what all have in common. */
static void collect(search *s)
{
    pynna_search *d = s->d;
    const int32_t n_best = d->config.n_best;
    count_uses(s);
    for (int32_t r = common_root(s); r != NONE; r = common_root(s))
        commit(s, r);
    int32_t n = 0;
    for (int32_t i = 0; i < d->n_records; i++)
        if (s->records[i].n_uses > 0) {
            const int32_t previous = s->records[i].previous; /* lies before, and has been moved */
            s->moved[i] = n;
            s->records[n] = s->records[i];
            s->records[n++].previous = previous == NONE ? NONE : s->moved[previous];
        }
    d->n_records = n;
    for (int32_t c = 0; c < d->n_cells; c++)
        for (int32_t k = 0; k < s->cells[c].n_paths; k++) {
            int32_t *history = &s->paths[c * n_best + k].history;
            *history = *history == NONE ? NONE : s->moved[*history];
        }
}

/* Keeps the `keep` best of n cells. */
static int32_t keep_best(search *s, cell *cells, path *paths, int32_t n, int32_t keep)
{
    const int32_t n_best = s->d->config.n_best;
    for (int32_t c = 0; c < n; c++)
        s->ranked[c] = (pn_ranked){paths[c * n_best].score, c, cells[c].place};
    pn_rank_select(s->ranked, n, keep);
    for (int32_t c = 0; c < n; c++)
        cells[c].next_in_state = 0; /* for the time being: whether it is kept */
    for (int32_t i = 0; i < keep; i++)
        cells[s->ranked[i].slot].next_in_state = 1;
    int32_t kept = 0;
    for (int32_t c = 0; c < n; c++)
        if (cells[c].next_in_state) {
            cells[kept] = cells[c];
            memmove(&paths[kept++ * n_best], &paths[c * n_best], (size_t)n_best * sizeof(path));
        }
    s->d->n_dropped += n - keep;
    return kept;
}

/* Room for all records that a frame can add: one for each path that leaves, one for each that hears the filler. */
static void make_room(search *s)
{
    pynna_search *d = s->d;
    const pynna_search_config *c = &d->config;
    const int32_t room = c->n_best * (d->n_cells + c->max_active);
    if (d->n_records + room <= c->n_records)
        return;
    collect(s);
    while (d->n_records + room > c->n_records) {
        if (d->n_cells > 1) {
            d->n_cells = keep_best(s, s->cells, s->paths, d->n_cells, d->n_cells / 2);
        } else {
            d->n_dropped++;
            s->cells[0].n_paths = 1;
        }
        collect(s);
    }
}

/* ---- hot words --------------------------------------------------------------------------------------------------- */

enum { HOT_START = 0, HOT_INSIDE = 1 }; /* as words.c has them */

/* What the end of a text would add in a state of the hot words. */
static double hot_end(const search *s, int32_t hot)
{
    return s->hot == NULL ? 0.0 : s->hot->hot_end[hot];
}

/* The least and the most that a path in a state of the hot words counts beside its score: what was added for a phrase
 * under way may be taken back, or what a phrase was charged with given back. */
static double hot_least(const search *s, int32_t hot)
{
    const double end = hot_end(s, hot);
    return end < 0.0 ? end : 0.0;
}

static double hot_most(const search *s, int32_t hot)
{
    const double end = hot_end(s, hot);
    return end > 0.0 ? end : 0.0;
}

/* The nats that a label adds in a state of the hot words, and the state then. The filler ends a text and begins one. */
static double hot_step(const search *s, int32_t hot, int32_t label, int32_t *next)
{
    if (s->hot == NULL || label < 0 || label >= s->hot->n_labels) {
        *next = HOT_START;
        return hot_end(s, hot);
    }
    const int64_t at = (int64_t)hot * s->hot->n_labels + label;
    *next = s->hot->hot_next[at];
    return s->hot->hot_bonus[at];
}

/* ---- one frame: weigh, group, leave, stay, prune ----------------------------------------------------------------- */

static void weigh(search *s)
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

static double log_prob_of(const search *s, int32_t label)
{
    return label == PYNNA_FILLER ? s->filler : s->log_prob[label];
}

/* The label that a place is in: of an arc, or the blank. */
static int32_t label_at(const search *s, int32_t place)
{
    return place < s->g->n_arcs ? s->g->arc_label[place] : s->d->config.blank;
}

static int32_t state_reached(const search *s, int32_t place)
{
    return place < s->g->n_arcs ? s->g->arc_next[place] : place - s->g->n_arcs;
}

/* Links the cells that reached the same state, and finds what the best path will have at the least. */
static int32_t group(search *s)
{
    int32_t n_touched = 0;
    s->best = IMPOSSIBLE;
    for (int32_t c = s->d->n_cells - 1; c >= 0; c--) { /* downwards: the lists then run upwards */
        const int32_t place = s->cells[c].place, state = state_reached(s, place);
        if (s->head[state] == NONE)
            s->touched[n_touched++] = state;
        s->cells[c].next_in_state = s->head[state];
        s->head[state] = c;
        const double score = s->paths[c * s->d->config.n_best].score + log_prob_of(s, label_at(s, place))
                             + hot_least(s, s->cells[c].hot);
        s->best = score > s->best ? score : s->best;
    }
    s->floor = s->best - s->d->config.margin;
    return n_touched;
}

/* Puts a path among the best of different label sequences; returns how many there are then. */
static int32_t insert(path *paths, int32_t n, int32_t n_best, const path *p)
{
    int32_t at = n;
    for (int32_t k = 0; k < n; k++)
        if (paths[k].hash == p->hash) {
            if (paths[k].score >= p->score)
                return n;
            at = k;
        }
    if (at == n && n == n_best) {
        if (paths[--at].score >= p->score)
            return n;
    } else if (at == n) {
        n++;
    }
    for (; at > 0 && paths[at - 1].score < p->score; at--)
        paths[at] = paths[at - 1];
    paths[at] = *p;
    return n;
}

/* The new cell of a place and a state of the hot words, or NONE. */
static int32_t find_cell(const search *s, int32_t place, int32_t hot)
{
    int32_t c = s->slot[place];
    while (c != NONE && s->next[c].hot != hot)
        c = s->next[c].next_at_place;
    return c;
}

static void link_cell(search *s, int32_t c)
{
    int32_t *first = &s->slot[s->next[c].place];
    s->next[c].next_at_place = *first;
    *first = c;
}

/* The same, made if it is not there; when there is no room, the worse half of the new cells goes. */
static int32_t cell_of(search *s, int32_t place, int32_t hot)
{
    const int32_t n_best = s->d->config.n_best, found = find_cell(s, place, hot);
    if (found != NONE)
        return found;
    if (s->n_next == s->d->config.max_active) {
        for (int32_t c = 0; c < s->n_next; c++)
            s->slot[s->next[c].place] = NONE;
        s->n_next = keep_best(s, s->next, s->next_paths, s->n_next, s->n_next / 2);
        double worst = (double)INFINITY;
        for (int32_t c = 0; c < s->n_next; c++) {
            link_cell(s, c);
            worst = s->next_paths[c * n_best].score < worst ? s->next_paths[c * n_best].score : worst;
        }
        s->floor = worst > s->floor ? worst : s->floor;
    }
    s->next[s->n_next] = (cell){.place = place, .n_paths = 0, .hot = hot, .next_in_state = NONE};
    link_cell(s, s->n_next);
    return s->n_next++;
}

static void offer(search *s, int32_t place, int32_t hot, const path *p)
{
    if (p->score + hot_most(s, hot) < s->floor || p->score == IMPOSSIBLE)
        return;
    const int32_t c = cell_of(s, place, hot), n_best = s->d->config.n_best;
    s->next[c].n_paths = insert(&s->next_paths[c * n_best], s->next[c].n_paths, n_best, p);
    const double sure = p->score + hot_least(s, hot);
    if (sure > s->best) {
        s->best = sure;
        const double floor = s->best - s->d->config.margin;
        s->floor = floor > s->floor ? floor : s->floor;
    }
}

/* The best paths that reached a state with a state of the hot words, but for those inside the label `except`; a path's
 * `left` here is its place among s->paths. */
static int32_t arrivals(const search *s, int32_t state, int32_t hot, int32_t except, path *out)
{
    const int32_t n_best = s->d->config.n_best;
    int32_t n = 0;
    for (int32_t c = s->head[state]; c != NONE; c = s->cells[c].next_in_state) {
        const int32_t place = s->cells[c].place;
        if (s->cells[c].hot != hot || (except >= 0 && place < s->g->n_arcs && s->g->arc_label[place] == except))
            continue;
        for (int32_t k = 0; k < s->cells[c].n_paths; k++) {
            path p = s->paths[c * n_best + k];
            p.left = c * n_best + k;
            n = insert(out, n, n_best, &p);
        }
    }
    return n;
}

/* Whether some path that reached the state is inside this label: it must not take the label again without a blank. */
static int is_inside(const search *s, int32_t state, int32_t hot, int32_t label)
{
    for (int32_t c = s->head[state]; c != NONE; c = s->cells[c].next_in_state)
        if (s->cells[c].hot == hot && s->cells[c].place < s->g->n_arcs && s->g->arc_label[s->cells[c].place] == label)
            return 1;
    return 0;
}

static uint64_t extend_hash(uint64_t hash, int32_t label)
{
    hash = (hash ^ (uint64_t)(label + 2)) * 0x9e3779b97f4a7c15u;
    return hash ^ (hash >> 29);
}

static void enter_arc(search *s, int32_t arc, int32_t hot, const path *from, int32_t n_from)
{
    const int32_t label = s->g->arc_label[arc];
    int32_t next = hot;
    const double bonus = s->hot == NULL ? 0.0 : hot_step(s, hot, label, &next);
    const double cost = log_prob_of(s, label) - (label == PYNNA_FILLER ? s->d->config.filler_entry_cost : 0.0);
    for (int32_t k = 0; k < n_from; k++) {
        if (from[k].score + cost + bonus + hot_most(s, next) < s->floor)
            break;
        path p = {.score = from[k].score + cost + bonus,
                  .bonus = from[k].bonus + bonus,
                  .hash = extend_hash(from[k].hash, label),
                  .left = NONE,
                  .noise_label = NONE,
                  .noise_loss = from[k].noise_loss,
                  .run_label = label == PYNNA_FILLER ? NONE : label,
                  .start = s->d->n_frames,
                  .frame = s->d->n_frames,
                  .log_prob = s->row[label == PYNNA_FILLER ? s->best_label : label]};
        p.history = leave_label(s, &s->paths[from[k].left]);
        offer(s, arc, next, &p);
    }
}

/* Whether noise may be heard between the labels of a path that waits in a state's blank: before its first and after its
 * last, and between its words. */
static int is_between_words(const search *s, int32_t state, const path *p)
{
    if (p->hash == 0 || s->g->is_final[state])
        return 1;
    return p->history != NONE && s->records[p->history].token.label == s->d->config.space;
}

/* A frame in a state's blank. Where noise may be heard it is a blank, or a letter of noise: the frame's best label,
 * which costs `noise_cost` when it begins. */
static void wait_in_blank(search *s, int32_t state, path *p)
{
    const pynna_search_config *c = &s->d->config;
    const double blank = s->log_prob[c->blank], best = s->log_prob[s->best_label];
    double taken = blank;
    const int32_t before = p->noise_label;
    p->noise_label = NONE;
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
static void leave_into_blank(search *s, int32_t state, int32_t hot, const path *from, int32_t n_from)
{
    for (int32_t k = 0; k < n_from; k++) {
        if (from[k].score + s->log_prob[s->best_label] + hot_most(s, hot) < s->floor)
            break;
        path p = {.score = from[k].score,
                  .bonus = from[k].bonus,
                  .hash = from[k].hash,
                  .left = NONE,
                  .run_label = NONE,
                  .noise_label = from[k].noise_label,
                  .noise_loss = from[k].noise_loss};
        p.history = leave_label(s, &s->paths[from[k].left]);
        wait_in_blank(s, state, &p);
        offer(s, s->g->n_arcs + state, hot, &p);
    }
}

/* From a state, reached with a state of the hot words, into its blank and its arcs. */
static void leave(search *s, int32_t state, int32_t hot)
{
    const pynna_graph *g = s->g;
    path best[MAX_BEST], others[MAX_BEST];
    const int32_t n = arrivals(s, state, hot, NONE, best);
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
static void leave_all(search *s, int32_t state)
{
    for (int32_t c = s->head[state]; c != NONE; c = s->cells[c].next_in_state) {
        int32_t before = s->head[state];
        while (before != c && s->cells[before].hot != s->cells[c].hot)
            before = s->cells[before].next_in_state;
        if (before == c)
            leave(s, state, s->cells[c].hot);
        if (s->hot == NULL)
            return;
    }
}

static void stay(search *s, const cell *from, const path *paths)
{
    if (from->place >= s->g->n_arcs) /* in a blank: leave() has seen to it */
        return;
    const int32_t label = s->g->arc_label[from->place];
    for (int32_t k = 0; k < from->n_paths; k++) {
        path p = paths[k];
        p.score += log_prob_of(s, label);
        p.left = NONE;
        if (label != PYNNA_FILLER && s->row[label] > p.log_prob) {
            p.log_prob = s->row[label];
            p.frame = s->d->n_frames;
        }
        offer(s, from->place, from->hot, &p);
    }
}

/* Drops what has turned out to be too far below the best, and clears the places. */
static void prune(search *s)
{
    const int32_t n_best = s->d->config.n_best;
    const double floor = s->best - s->d->config.margin;
    int32_t kept = 0;
    for (int32_t c = 0; c < s->n_next; c++) {
        s->slot[s->next[c].place] = NONE;
        int32_t n = s->next[c].n_paths;
        const double least = floor - hot_most(s, s->next[c].hot);
        while (n > 0 && s->next_paths[c * n_best + n - 1].score < least)
            n--;
        if (n == 0)
            continue;
        s->next[kept] = s->next[c];
        s->next[kept].n_paths = n;
        memmove(&s->next_paths[kept++ * n_best], &s->next_paths[c * n_best], (size_t)n * sizeof(path));
    }
    s->n_next = kept;
}

/* The filler: the paths in it hear the frame's best label, if it is a new one. */
static void hear(search *s)
{
    const pynna_search *d = s->d;
    const int32_t n_best = d->config.n_best, label = s->best_label;
    if (label == d->config.blank)
        return;
    for (int32_t c = 0; c < s->n_next; c++) {
        if (label_at(s, s->next[c].place) != PYNNA_FILLER)
            continue;
        for (int32_t k = 0; k < s->next[c].n_paths; k++) {
            path *p = &s->next_paths[c * n_best + k];
            if (label == d->unconstrained_label && p->start != d->n_frames)
                continue;
            const pynna_search_token token = {d->config.n_labels + label, d->n_frames, d->n_frames, s->row[label],
                                              (float)(fit(p) - d->unconstrained_score)};
            p->history = add_record(s, token, p->history);
        }
    }
}

/* A frame that no path has survived: the cells stay as they were before it, and the records made in it are thrown out. */
static void stand_still(search *s, int32_t n_records)
{
    const int32_t n_best = s->d->config.n_best;
    s->d->n_records = n_records;
    for (int32_t c = 0; c < s->d->n_cells; c++)
        for (int32_t k = 0; k < s->cells[c].n_paths; k++)
            s->paths[c * n_best + k].left = NONE;
}

/* The new cells are the cells. */
static void swap(search *s)
{
    const pynna_words *hot = s->hot;
    s->d->n_cells = s->n_next;
    s->d->current = 1 - s->d->current;
    *s = view(s->d, s->g);
    s->hot = hot;
}

static void advance(search *s)
{
    pynna_search *d = s->d;
    make_room(s);
    const int32_t n_records = d->n_records;
    weigh(s);
    s->n_next = 0;
    const int32_t n_touched = group(s);
    for (int32_t i = 0; i < n_touched; i++)
        leave_all(s, s->touched[i]);
    for (int32_t i = 0; i < n_touched; i++)
        s->head[s->touched[i]] = NONE;
    for (int32_t c = 0; c < d->n_cells; c++)
        stay(s, &s->cells[c], &s->paths[c * d->config.n_best]);
    prune(s);
    hear(s);
    d->unconstrained_label = s->best_label;
    d->n_frames++;
    d->n_frames_untaken++;
    if (s->n_next == 0) {
        stand_still(s, n_records);
        return;
    }
    d->most_active = s->n_next > d->most_active ? s->n_next : d->most_active;
    swap(s);
}

static int32_t n_room(const pynna_search *d)
{
    return d->config.n_records / 2 - d->n_frames_untaken;
}

/* Whether these are the hot words that the search goes by. */
static int knows(const pynna_search *d, const pynna_words *hot)
{
    return d->n_hot == 0 ? hot == NULL : hot != NULL && hot->n_hot == d->n_hot && hot->n_labels == d->config.n_labels;
}

int pynna_search_feed(pynna_search *d, const pynna_graph *graph, const float *log_probs, int32_t n_frames)
{
    return pynna_search_feed_hot(d, graph, NULL, log_probs, n_frames);
}

int pynna_search_feed_hot(pynna_search *d, const pynna_graph *graph, const pynna_words *hot, const float *log_probs,
                          int32_t n_frames)
{
    if (!fits(d, graph) || !knows(d, hot) || n_frames < 0 || (log_probs == NULL && n_frames > 0))
        return PYNNA_ERR_ARGUMENT;
    if (d->finished)
        return PYNNA_ERR_FINISHED;
    if (n_frames > n_room(d) || n_frames > INT32_MAX - d->n_frames)
        return PYNNA_ERR_FULL;
    search s = view(d, graph);
    s.hot = hot;
    if (!pn_ctc_frames_valid(log_probs, n_frames, d->config.n_labels, s.bias))
        return PYNNA_ERR_NOT_FINITE;
    for (int32_t t = 0; t < n_frames; t++) {
        s.row = log_probs + (size_t)t * (size_t)d->config.n_labels;
        advance(&s);
    }
    return PYNNA_OK;
}

/* ---- other hot words in a stream --------------------------------------------------------------------------------- */

/* The state of the hot words after a path's labels, those that are committed and before the last of them left out. */
static int32_t hot_state_of(search *s, const path *p)
{
    const pynna_search *d = s->d;
    const int32_t last = d->last_committed;
    int32_t n = 0, hot = last < 0 || last >= d->config.n_labels || last == s->hot->space ? HOT_START : HOT_INSIDE;
    for (int32_t r = p->history; r != NONE; r = s->records[r].previous)
        s->moved[n++] = r;
    while (n-- > 0)
        hot_step(s, hot, s->records[s->moved[n]].token.label, &hot);
    if (p->run_label >= 0)
        hot_step(s, hot, p->run_label, &hot);
    return hot;
}

/* A path goes on with the hot words `s->hot`: it keeps what those before would have added had the text ended here. */
static void carry_over(search *s, int32_t place, path p, double settled)
{
    const int32_t hot = s->hot == NULL ? HOT_START : hot_state_of(s, &p);
    const double extra = settled - hot_end(s, hot);
    p.score += extra;
    p.bonus += extra;
    offer(s, place, hot, &p);
}

int pynna_search_change_hot_words(pynna_search *d, const pynna_graph *graph, const pynna_words *before,
                                  const pynna_words *hot)
{
    if (!fits(d, graph) || !knows(d, before)
        || (hot != NULL && (hot->n_labels != d->config.n_labels || hot->n_hot < 2 || hot->hot_next == NULL)))
        return PYNNA_ERR_ARGUMENT;
    if (d->finished)
        return PYNNA_ERR_FINISHED;
    search s = view(d, graph);
    s.hot = hot;
    s.best = s.floor = IMPOSSIBLE;
    s.n_next = 0;
    const int32_t n_best = d->config.n_best;
    for (int32_t c = 0; c < d->n_cells; c++)
        for (int32_t k = 0; k < s.cells[c].n_paths; k++)
            carry_over(&s, s.cells[c].place, s.paths[c * n_best + k],
                       before == NULL ? 0.0 : before->hot_end[s.cells[c].hot]);
    prune(&s);
    swap(&s);
    d->n_hot = hot == NULL ? 0 : hot->n_hot;
    return PYNNA_OK;
}

/* ---- results ----------------------------------------------------------------------------------------------------- */

int pynna_search_finish(pynna_search *d)
{
    return pynna_search_finish_hot(d, NULL);
}

int pynna_search_finish_hot(pynna_search *d, const pynna_words *hot)
{
    if (d == NULL || !knows(d, hot))
        return PYNNA_ERR_ARGUMENT;
    if (d->finished)
        return PYNNA_ERR_FINISHED;
    d->finished = 1;
    const cell *cells = (const cell *)((const char *)d + d->at.cells[d->current]);
    path *paths = (path *)((char *)d + d->at.paths[d->current]);
    for (int32_t c = 0; hot != NULL && c < d->n_cells; c++)
        for (int32_t k = 0; k < cells[c].n_paths; k++) {
            path *p = &paths[c * d->config.n_best + k];
            p->score += hot->hot_end[cells[c].hot];
            p->bonus += hot->hot_end[cells[c].hot];
        }
    return PYNNA_OK;
}

int pynna_search_take(pynna_search *d, int32_t max_tokens, pynna_search_token *tokens, int32_t *n_tokens)
{
    if (d == NULL || n_tokens == NULL || max_tokens < 0 || (tokens == NULL && max_tokens > 0))
        return PYNNA_ERR_ARGUMENT;
    const pynna_search_token *waiting = (const pynna_search_token *)((const char *)d + d->at.waiting);
    const int32_t capacity = 2 * d->config.n_records;
    const int32_t n = d->n_waiting < max_tokens ? d->n_waiting : max_tokens;
    for (int32_t i = 0; i < n; i++)
        tokens[i] = waiting[(d->first_waiting + i) % capacity];
    d->first_waiting = (d->first_waiting + n) % capacity;
    d->n_waiting -= n;
    if (d->n_waiting == 0)
        d->n_frames_untaken = 0;
    *n_tokens = n;
    return PYNNA_OK;
}

static int is_complete(const search *s, int32_t place)
{
    return s->g->is_final[state_reached(s, place)] != 0;
}

/* The best paths, of complete sentences or of all. */
static int32_t best_paths(const search *s, int complete, path *out, int32_t *places)
{
    const int32_t n_best = s->d->config.n_best;
    int32_t n = 0;
    for (int32_t c = 0; c < s->d->n_cells; c++) {
        if (complete && !is_complete(s, s->cells[c].place))
            continue;
        for (int32_t k = 0; k < s->cells[c].n_paths; k++) {
            path p = s->paths[c * n_best + k];
            p.left = s->cells[c].place; /* for the time being: where it is */
            n = insert(out, n, n_best, &p);
        }
    }
    for (int32_t i = 0; i < n; i++)
        places[i] = out[i].left;
    return n;
}

static int32_t n_labels_of(const search *s, const path *p)
{
    int32_t n = p->run_label >= 0;
    for (int32_t r = p->history; r != NONE; r = s->records[r].previous)
        n++;
    return n;
}

/* A path's labels, their losses worked out from the gaps. */
static void write_labels(const search *s, const path *p, int32_t n, pynna_search_token *tokens)
{
    int32_t i = n;
    if (p->run_label >= 0)
        tokens[--i] = (pynna_search_token){p->run_label, p->start, p->frame, p->log_prob,
                                           (float)(fit(p) - s->d->unconstrained_score)};
    for (int32_t r = p->history; r != NONE; r = s->records[r].previous)
        tokens[--i] = s->records[r].token;
    double before = s->d->gap;
    for (i = 0; i < n; i++) {
        const double gap = (double)tokens[i].loss;
        tokens[i].loss = (float)(before - gap);
        before = gap;
    }
}

int pynna_search_nbest(const pynna_search *d, const pynna_graph *graph, int32_t max_hypotheses,
                       pynna_search_hypothesis *hypotheses, int32_t *n_hypotheses, int32_t max_tokens,
                       pynna_search_token *tokens, int32_t *n_tokens)
{
    if (!fits(d, graph) || hypotheses == NULL || n_hypotheses == NULL || n_tokens == NULL || max_hypotheses < 1
        || max_tokens < 0 || (tokens == NULL && max_tokens > 0))
        return PYNNA_ERR_ARGUMENT;
    const search s = view((pynna_search *)(uintptr_t)d, graph); /* only read */
    path best[MAX_BEST];
    int32_t places[MAX_BEST], n = d->finished ? best_paths(&s, 1, best, places) : 0;
    if (n == 0)
        n = best_paths(&s, 0, best, places);
    n = n < max_hypotheses ? n : max_hypotheses;
    *n_hypotheses = n;
    *n_tokens = 0;
    for (int32_t i = 0; i < n; i++)
        *n_tokens += n_labels_of(&s, &best[i]);
    if (*n_tokens > max_tokens)
        return PYNNA_ERR_MEMORY;
    int32_t first = 0;
    for (int32_t i = 0; i < n; i++) {
        const int32_t length = n_labels_of(&s, &best[i]);
        hypotheses[i] = (pynna_search_hypothesis){best[i].score,      first,        length, is_complete(&s, places[i]),
                                                  best[i].noise_loss, best[i].bonus};
        write_labels(&s, &best[i], length, tokens + first);
        first += length;
    }
    return PYNNA_OK;
}

int pynna_search_get_stats(const pynna_search *d, pynna_search_stats *stats)
{
    if (d == NULL || stats == NULL)
        return PYNNA_ERR_ARGUMENT;
    *stats = (pynna_search_stats){.unconstrained_score = d->unconstrained_score,
                                  .n_dropped = d->n_dropped,
                                  .n_frames = d->n_frames,
                                  .n_active = d->n_cells,
                                  .most_active = d->most_active,
                                  .n_waiting = d->n_waiting,
                                  .n_room = n_room(d),
                                  .finished = d->finished};
    return PYNNA_OK;
}
