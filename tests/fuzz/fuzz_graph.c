/* SPDX-License-Identifier: Apache-2.0 */
/* Grammars' graphs: an odd first byte is a graph of any arrays, an even one a block that comes from outside; what is
 * held to be good is searched with any probabilities, options and hot words, and comes out as its sentences, each with
 * what the hot words' tables add up to. */
#include "bytes.h"

#include "pynna.h"

enum { MOST_STATES = 24, MOST_ARCS = 48, MOST_TOKENS = 4096, MOST_FRAMES = 100, MOST_HOT = 5, MOST_LABELS = 100 };

static int follow(const pynna_graph *g, const pynna_search_token *tokens, int32_t n)
{
    uint8_t at[MOST_STATES] = {0}, next[MOST_STATES];
    at[g->start] = 1;
    for (int32_t i = 0; i < n; i++) {
        int any = 0;
        memset(next, 0, sizeof next);
        for (int32_t s = 0; s < g->n_states; s++)
            for (int32_t a = g->first_arc[s]; at[s] && a < g->first_arc[s + 1]; a++)
                if (g->arc_label[a] == tokens[i].label)
                    any = next[g->arc_next[a]] = 1;
        if (!any)
            return 0;
        memcpy(at, next, sizeof at);
    }
    int final = 0;
    for (int32_t s = 0; s < g->n_states; s++)
        final |= at[s] && g->is_final[s];
    return final;
}

static int has_free_speech(const pynna_graph *g)
{
    int any = 0;
    for (int32_t i = 0; i < g->n_arcs; i++)
        any |= g->arc_label[i] == PYNNA_FILLER;
    return any;
}

typedef struct {
    int32_t next[MOST_HOT * MOST_LABELS];
    double bonus[MOST_HOT * MOST_LABELS], end[MOST_HOT];
    pynna_words words;
} hot_words;

/* Any tables that pynna_words_error finds right; NULL: no hot words. */
static const pynna_words *take_hot_words(bytes *in, int32_t n_labels, hot_words *hot)
{
    const int32_t n = take_from(in, 0, MOST_HOT);
    hot->words = (pynna_words){.n_labels = n_labels,
                               .space = take_from(in, 0, n_labels - 1),
                               .n_hot = n,
                               .hot_next = hot->next,
                               .hot_bonus = hot->bonus,
                               .hot_end = hot->end};
    for (int32_t i = 0; i < n * n_labels; i++) {
        hot->next[i] = take_from(in, 0, n - 1);
        hot->bonus[i] = take_from(in, 0, 1) ? 0.0 : (double)take_from(in, -40, 40) / 4;
    }
    for (int32_t i = 0; i < n; i++)
        hot->end[i] = i == 0 ? 0.0 : (double)take_from(in, -40, 40) / 4; /* an empty text has no phrase */
    return n < 2 || pynna_words_error(&hot->words) != NULL ? NULL : &hot->words;
}

static void check_bonus(const pynna_words *hot, const pynna_search_token *tokens, int32_t n, double bonus)
{
    double sum = 0;
    int32_t at = 0;
    for (int32_t i = 0; hot != NULL && i < n; i++) {
        sum += hot->hot_bonus[at * hot->n_labels + tokens[i].label];
        at = hot->hot_next[at * hot->n_labels + tokens[i].label];
    }
    MUST(fabs(sum + (hot == NULL ? 0 : hot->hot_end[at]) - bonus) < 1e-6);
}

static void check_results(const pynna_search *s, const pynna_graph *g, const pynna_words *hot, int is_whole,
                          int is_finished)
{
    static pynna_search_token tokens[MOST_TOKENS];
    pynna_search_hypothesis found[16];
    int32_t n_found = 0, n_tokens = 0;
    MUST(pynna_search_nbest(s, g, 16, found, &n_found, MOST_TOKENS, tokens, &n_tokens) == PYNNA_OK);
    for (int32_t i = 0; i < n_found; i++) {
        MUST(!isnan(found[i].score) && (i == 0 || found[i].score <= found[i - 1].score));
        MUST(found[i].first >= 0 && found[i].first + found[i].n_tokens <= n_tokens);
        if (is_whole && is_finished && found[i].complete) {
            MUST(follow(g, tokens + found[i].first, found[i].n_tokens));
            check_bonus(hot, tokens + found[i].first, found[i].n_tokens, found[i].bonus);
        }
    }
}

static void search(const pynna_graph *g, bytes *in)
{
    pynna_search_config config;
    float bias[8];
    pynna_search_defaults(g->n_labels, &config);
    config.blank = take_from(in, 0, g->n_labels - 1);
    config.n_best = take_from(in, 1, 5);
    config.max_active = take_from(in, 16, 80);
    config.n_records = 8 * config.n_best * config.max_active + take_from(in, 0, 300);
    config.margin = take_option(in);
    config.filler_cost = take_option(in);
    config.filler_entry_cost = take_option(in);
    config.noise_cost = take_from(in, 0, 2) ? INFINITY : take_option(in);
    config.space = take_from(in, -1, g->n_labels - 1);
    for (int32_t i = 0; i < 8; i++)
        bias[i] = take_from(in, 0, 7) ? 0 : take_log_prob(in);
    config.label_bias = g->n_labels <= 8 && take_from(in, 0, 1) ? bias : NULL;
    const size_t size = pynna_search_size(g, &config);
    if (size == 0)
        return;
    void *memory = block(size);
    float *row = block((size_t)g->n_labels * sizeof *row);
    pynna_search *s;
    pynna_search_token taken[64];
    pynna_search_stats stats;
    static hot_words tables[2];
    const pynna_words *hot = NULL;
    int32_t n_taken, n_all = 0, n_changes = 0;
    MUST(pynna_search_init(memory, size, g, &config, &s) == PYNNA_OK);
    if (take_from(in, 0, 1)) {
        hot = take_hot_words(in, g->n_labels, &tables[0]);
        MUST(pynna_search_change_hot_words(s, g, NULL, hot) == PYNNA_OK);
    }
    for (int32_t n = take_from(in, 0, MOST_FRAMES); n > 0 && in->at < in->end; n--) {
        take_row(in, row, g->n_labels);
        if (take8(in) == 1) {
            const pynna_words *before = hot;
            hot = take_hot_words(in, g->n_labels, &tables[++n_changes % 2]);
            MUST(pynna_search_change_hot_words(s, g, before, hot) == PYNNA_OK);
        }
        const int status = pynna_search_feed_hot(s, g, hot, row, 1);
        MUST(status == PYNNA_OK || status == PYNNA_ERR_NOT_FINITE);
        for (n_taken = 64; n_taken == 64; n_all += n_taken)
            MUST(pynna_search_take(s, 64, taken, &n_taken) == PYNNA_OK);
        MUST(pynna_search_get_stats(s, &stats) == PYNNA_OK && stats.n_room > 0);
        if (n % 16 == 0)
            check_results(s, g, hot, 0, 0);
    }
    MUST(pynna_search_finish_hot(s, hot) == PYNNA_OK && pynna_search_finish_hot(s, hot) == PYNNA_ERR_FINISHED);
    check_results(s, g, hot, n_all == 0 && n_changes == 0 && g->n_states <= MOST_STATES && !has_free_speech(g), 1);
    MUST(pynna_search_reset(s, g) == PYNNA_OK);
}

static void of_arrays(bytes *in)
{
    int32_t first[MOST_STATES + 1] = {0}, label[MOST_ARCS], next[MOST_ARCS];
    uint8_t final[MOST_STATES];
    pynna_graph g = {take_from(in, 2, 6), take_from(in, 1, MOST_STATES), 0, 0, first, label, next, final};
    for (int32_t s = 0; s < g.n_states; s++) {
        first[s + 1] = first[s] + take_from(in, 0, 3);
        first[s + 1] = first[s + 1] > MOST_ARCS ? MOST_ARCS : first[s + 1];
        final[s] = (uint8_t)take_from(in, 0, 1);
    }
    g.n_arcs = first[g.n_states];
    g.start = take_from(in, 0, g.n_states - 1 + (take8(in) == 0));
    for (int32_t a = 0; a < g.n_arcs; a++) {
        label[a] = take_from(in, take8(in) % 8 == 0 ? PYNNA_FILLER - 1 : 0, g.n_labels - 1 + (take8(in) == 0));
        next[a] = take_from(in, 0, g.n_states - 1 + (take8(in) == 0));
    }
    const size_t size = pynna_graph_bytes(&g);
    MUST((pynna_graph_error(&g) == NULL) == (size > 0));
    if (size == 0)
        return;
    void *saved = block(size);
    pynna_graph read;
    MUST(pynna_graph_save(&g, saved, size) == PYNNA_OK && pynna_graph_open(saved, size, &read) == PYNNA_OK);
    MUST(read.n_arcs == g.n_arcs && memcmp(read.arc_label, label, (size_t)g.n_arcs * sizeof *label) == 0);
    search(&read, in);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    bytes in = {data, data + size};
    if (take8(&in) & 1) {
        of_arrays(&in);
        release(0);
        return 0;
    }
    const size_t n = (size_t)(in.end - in.at);
    void *copy = block(n);
    memcpy(copy, in.at, n);
    pynna_graph g;
    if (pynna_graph_open(copy, n, &g) == PYNNA_OK && g.n_labels < MOST_LABELS)
        search(&g, &in);
    release(0);
    return 0;
}
