/* SPDX-License-Identifier: Apache-2.0 */
/* Greedy decoding and the beam search over any probabilities and options, with words of any tables; the frames cut in
 * any way give the same. */
#include "bytes.h"

#include "pynna.h"

enum { MOST_TOKENS = 512, MOST_FRAMES = 120 };

typedef struct {
    pynna_words words;
    int32_t first_arc[9], arc_label[32], arc_next[32], word[8], hot_next[4 * 8];
    double hot_bonus[4 * 8], hot_end[4];
} tables;

static double ask(void *context, int32_t state, int32_t word, int32_t *next)
{
    (void)context;
    *next = (state * 7 + word + 2) & 15;
    return -(double)*next / 4;
}

static int take_words(bytes *in, int32_t n_labels, tables *t)
{
    memset(t, 0, sizeof *t);
    pynna_words *w = &t->words;
    w->n_labels = n_labels;
    w->space = take_from(in, -1, n_labels);
    w->n_nodes = take_from(in, 0, 8);
    for (int32_t i = 0; i < w->n_nodes; i++) {
        t->first_arc[i + 1] = t->first_arc[i] + take_from(in, 0, 4);
        t->word[i] = take_from(in, -1, 9);
    }
    for (int32_t i = 0; i < 32; i++) {
        t->arc_label[i] = take_from(in, 0, n_labels - 1 + (take8(in) == 0));
        t->arc_next[i] = take_from(in, 1, w->n_nodes > 1 ? w->n_nodes - 1 + (take8(in) == 0) : 1);
    }
    w->outside = -take_option(in);
    w->unfinished = -take_option(in);
    w->n_hot = take_from(in, 0, 4);
    for (int32_t i = 0; i < w->n_hot * n_labels; i++) {
        t->hot_next[i] = take_from(in, 0, w->n_hot - 1 + (take8(in) == 0));
        t->hot_bonus[i] = take_from(in, -8, 8);
    }
    w->first_arc = t->first_arc;
    w->arc_label = t->arc_label;
    w->arc_next = t->arc_next;
    w->word = t->word;
    w->hot_next = t->hot_next;
    w->hot_bonus = t->hot_bonus;
    w->hot_end = t->hot_end;
    w->score = w->n_nodes > 0 && take_from(in, 0, 1) ? ask : NULL;
    w->word_most = 0;
    return pynna_words_error(w) == NULL;
}

static uint64_t mix(uint64_t hash, const pynna_ctc_token *tokens, int32_t n)
{
    for (int32_t i = 0; i < n; i++)
        hash =
            (hash ^ (uint64_t)(tokens[i].label + 7 * tokens[i].start + 31 * tokens[i].frame)) * UINT64_C(0x100000001b3);
    return hash;
}

static uint64_t results(pynna_ctc *d, int32_t beam)
{
    static pynna_ctc_token tokens[MOST_TOKENS * 64];
    pynna_ctc_hypothesis hypotheses[64];
    int32_t n_hypotheses = 0, n_tokens = 0;
    const int status = pynna_ctc_nbest(d, 64, hypotheses, &n_hypotheses, MOST_TOKENS * 64, tokens, &n_tokens);
    MUST(status == PYNNA_OK && n_hypotheses >= 1 && n_hypotheses <= beam);
    for (int32_t i = 1; i < n_hypotheses; i++)
        MUST(hypotheses[i].score <= hypotheses[i - 1].score);
    double score;
    int32_t n_best;
    MUST(!isnan(hypotheses[0].score) && hypotheses[0].score < INFINITY);
    uint64_t hash = mix(1, tokens, n_tokens);
    MUST(pynna_ctc_best(d, MOST_TOKENS, tokens, &n_best, &score) == PYNNA_OK && n_best == hypotheses[0].n_tokens);
    return hash;
}

/* Feeds the rows, `most` at a time, and gives a hash of all that comes out; 0 where a row is refused. */
static uint64_t decode(const pynna_ctc_config *config, const pynna_ctc_scorer *scorer, const float *rows, int32_t n,
                       bytes *in)
{
    const size_t size = pynna_ctc_size(config);
    void *memory = block(size);
    pynna_ctc *d;
    pynna_ctc_token tokens[64];
    pynna_ctc_stats stats;
    int32_t n_tokens;
    uint64_t hash = 1;
    MUST(pynna_ctc_init(memory, size, config, &d) == PYNNA_OK);
    for (int32_t at = 0; at < n && hash != 0;) {
        int32_t piece = in == NULL ? 1 : take_from(in, 0, 9);
        MUST(pynna_ctc_get_stats(d, &stats) == PYNNA_OK && stats.n_frames == at);
        piece = piece > n - at ? n - at : piece;
        piece = piece > stats.n_room ? stats.n_room : piece;
        const int status = scorer == NULL ? pynna_ctc_feed(d, rows + at * config->n_labels, piece)
                                          : pynna_ctc_feed_scored(d, scorer, rows + at * config->n_labels, piece);
        MUST(status == PYNNA_OK || status == PYNNA_ERR_NOT_FINITE);
        at += piece;
        for (n_tokens = 64; n_tokens == 64;) {
            MUST(pynna_ctc_take(d, 64, tokens, &n_tokens) == PYNNA_OK);
            hash = status == PYNNA_OK ? mix(hash, tokens, n_tokens) : 0;
        }
        if (in != NULL && in->at == in->end)
            in = NULL;
    }
    if (hash != 0) {
        MUST((scorer == NULL ? pynna_ctc_finish(d) : pynna_ctc_finish_scored(d, scorer)) == PYNNA_OK);
        hash ^= results(d, config->beam);
    }
    release(0);
    return hash;
}

static void greedy(const pynna_ctc_config *config, const float *rows, int32_t n)
{
    pynna_ctc_greedy g;
    pynna_ctc_token tokens[MOST_FRAMES];
    int32_t n_tokens;
    MUST(pynna_ctc_greedy_init(config->n_labels, config->blank, &g) == PYNNA_OK);
    if (pynna_ctc_greedy_feed(&g, rows, n, tokens, &n_tokens) == PYNNA_OK)
        MUST(n_tokens <= n && pynna_ctc_greedy_finish(&g, tokens, &n_tokens) == PYNNA_OK);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    bytes in = {data, data + size};
    pynna_ctc_config config;
    static tables words;
    float rows[MOST_FRAMES * 8], bias[8];
    const int32_t n_labels = take_from(&in, 2, 8), most = take_from(&in, 0, MOST_FRAMES);
    int32_t n = 0;
    pynna_ctc_defaults(n_labels, &config);
    config.blank = take_from(&in, 0, n_labels - 1);
    config.beam = take_from(&in, 1, 40);
    config.cutoff_top_n = take_from(&in, 1, 9);
    config.cutoff_prob = take_from(&in, 0, 3) ? 1 : take_option(&in);
    config.score_margin = take_from(&in, 0, 3) ? INFINITY : take_option(&in);
    config.n_nodes = 2 * config.beam + take_from(&in, 0, 2000);
    config.max_frames = take_from(&in, 1, 100);
    for (int32_t i = 0; i < n_labels; i++)
        bias[i] = take_from(&in, 0, 7) ? 0 : take_log_prob(&in);
    config.label_bias = take_from(&in, 0, 1) ? bias : NULL;
    if (pynna_ctc_config_error(&config) != NULL) {
        MUST(pynna_ctc_size(&config) == 0);
        return 0;
    }
    pynna_ctc_scorer scorer;
    const int has_words =
        take_from(&in, 0, 1) && take_words(&in, n_labels, &words) && words.words.space != config.blank;
    if (has_words)
        MUST(pynna_words_scorer(&words.words, &scorer) == PYNNA_OK);
    bytes cuts = in;
    for (; n < most && in.at < in.end; n++)
        take_row(&in, rows + n * n_labels, n_labels);
    greedy(&config, rows, n);
    const uint64_t a = decode(&config, has_words ? &scorer : NULL, rows, n, NULL);
    const uint64_t b = decode(&config, has_words ? &scorer : NULL, rows, n, &cuts);
    MUST(a == b || a == 0 || b == 0);
    return 0;
}
