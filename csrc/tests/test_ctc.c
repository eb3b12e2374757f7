/* SPDX-License-Identifier: Apache-2.0 */
/* The CTC decoders on pseudo-random input: what must hold always, and a hash of all results that must be the same on
 * every machine, compiler and optimisation level. */
#undef NDEBUG
#include <assert.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ctc_rank.h"
#include "exact_math.h"
#include "pynna.h"

enum { N_LABELS = 29, BLANK = 28, N_FRAMES = 400, MAX_TOKENS = 4096 };

static uint64_t random_state = 1;

static uint32_t random_bits(void)
{
    random_state = random_state * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)(random_state >> 32);
}

/* Log-probabilities as networks give them, by integers alone: mostly blanks, a peak here and there, flat stretches;
 * multiples of 1/64, so that equal scores occur, and a few impossible labels. Rows need not sum to 1. */
static void make_log_probs(float *rows, int32_t n_frames, int32_t n_labels, int32_t blank)
{
    for (int32_t t = 0; t < n_frames; t++, rows += n_labels) {
        const uint32_t kind = random_bits() % 8;
        for (int32_t i = 0; i < n_labels; i++)
            rows[i] = random_bits() % 50 == 0 ? -INFINITY : -(float)(random_bits() % (kind == 0 ? 200 : 900)) / 64 - 2;
        rows[blank] = -(float)(random_bits() % 64) / 64;
        if (kind < 4)
            rows[random_bits() % (uint32_t)n_labels] = -(float)(random_bits() % 64) / 64;
    }
}

static uint64_t hash_bytes(uint64_t hash, const void *data, size_t n) /* FNV-1a */
{
    for (const unsigned char *p = data; n > 0; p++, n--)
        hash = (hash ^ *p) * 1099511628211u;
    return hash;
}

static uint64_t hash_tokens(uint64_t hash, const pynna_ctc_token *tokens, int32_t n)
{
    for (int32_t i = 0; i < n; i++) {
        const int32_t numbers[3] = {tokens[i].label, tokens[i].start, tokens[i].frame};
        hash = hash_bytes(hash, numbers, sizeof numbers);
        hash = hash_bytes(hash, &tokens[i].log_prob, sizeof tokens[i].log_prob);
    }
    return hash;
}

static pynna_ctc *new_decoder(const pynna_ctc_config *config)
{
    const size_t size = pynna_ctc_size(config);
    assert(size > 0);
    void *memory = aligned_alloc(64, (size + 63) / 64 * 64);
    pynna_ctc *decoder;
    assert(pynna_ctc_init(memory, size - 1, config, &decoder) == PYNNA_ERR_MEMORY);
    assert(pynna_ctc_init(memory, size, config, &decoder) == PYNNA_OK);
    return decoder;
}

static double forbid(void *context, const pynna_ctc_state *state, int32_t label, pynna_ctc_state *next)
{
    (void)context, (void)label;
    *next = *state;
    return -INFINITY;
}

static double end_free(void *context, const pynna_ctc_state *state)
{
    (void)context, (void)state;
    return 0;
}

/* A frame in which the network knows one label alone and the scorer forbids it: found by fuzzing. */
static void test_forbidden_frame_is_passed_over(void)
{
    const float rows[9] = {-1, -2, -1, 0, -INFINITY, -INFINITY, -INFINITY, -INFINITY, 0};
    const pynna_ctc_scorer scorer = {.extend = forbid, .finish = end_free};
    pynna_ctc_config config;
    pynna_ctc_defaults(3, &config);
    pynna_ctc *decoder = new_decoder(&config);
    assert(pynna_ctc_feed_scored(decoder, &scorer, rows, 3) == PYNNA_OK);
    pynna_ctc_stats stats;
    assert(pynna_ctc_get_stats(decoder, &stats) == PYNNA_OK && stats.n_hypotheses == 1 && stats.n_frames == 3);
    int32_t n;
    double score = 7;
    assert(pynna_ctc_best(decoder, 0, NULL, &n, &score) == PYNNA_OK && n == 0 && score == -1);
    free(decoder);
}

static void test_arithmetic(void)
{
    for (int i = 0; i < 100000; i++) {
        const double x = (random_bits() / 4294967296.0 - 0.5) * 1400, y = random_bits() / 4294967296.0 * -45;
        assert(fabs(pn_exp(x) / exp(x) - 1) < 1e-15);
        assert(fabs(pn_log(exp(x)) - log(exp(x))) <= 1e-15 * fmax(1, fabs(x)));
        assert(fabs(pn_log1p_exp(y) - log1p(exp(y))) < 1e-15);
    }
    assert(pn_exp(0) == 1 && pn_exp(-746) == 0 && pn_exp(-744) > 0 && isinf(pn_exp(710)) && isnan(pn_exp(NAN)));
    assert(pn_log(1) == 0 && isinf(pn_log(0)) && isnan(pn_log(-1)) && isinf(pn_log(INFINITY)));
    assert(fabs(pn_log(4.9406564584124654e-324) + 744.4400719213812) < 1e-12);
    assert(pn_log_add(-INFINITY, -INFINITY) == -INFINITY && pn_log_add(-3, -INFINITY) == -3);
    assert(pn_log_add(-1e300, 0) == 0 && pn_log_add(0, 0) == pn_log1p_exp(0));
}

static int order(const pn_ranked *a, const pn_ranked *b)
{
    return a->score != b->score ? (a->score < b->score) - (a->score > b->score) : a->slot - b->slot;
}

static void test_selection_equals_sorting(void)
{
    static pn_ranked items[2000], sorted[2000];
    for (int round = 0; round < 300; round++) {
        const int32_t n = (int32_t)(random_bits() % 2000), k = n ? (int32_t)(random_bits() % (uint32_t)(n + 1)) : 0;
        for (int32_t i = 0; i < n; i++) { /* in every third round the scores rise, in another they are all but equal */
            const uint32_t other = random_bits() % (round % 3 == 1 ? 4 : 1u << 31);
            items[i] = (pn_ranked){round % 3 == 0 ? (uint32_t)i : other, i, 0};
        }
        memcpy(sorted, items, sizeof items);
        pn_rank_sort(sorted, n);
        for (int32_t i = 1; i < n; i++)
            assert(order(&sorted[i - 1], &sorted[i]) < 0);
        pn_rank_select(items, n, k);
        pn_rank_sort(items, k);
        assert(memcmp(items, sorted, (size_t)k * sizeof *items) == 0);
    }
}

static uint64_t test_greedy(uint64_t hash)
{
    static float rows[N_FRAMES * N_LABELS];
    static pynna_ctc_token tokens[N_FRAMES + 1];
    make_log_probs(rows, N_FRAMES, N_LABELS, BLANK);
    pynna_ctc_greedy greedy;
    int32_t n, pending;
    assert(pynna_ctc_greedy_init(1, 0, &greedy) == PYNNA_ERR_ARGUMENT);
    assert(pynna_ctc_greedy_init(N_LABELS, BLANK, &greedy) == PYNNA_OK);
    assert(pynna_ctc_greedy_feed(&greedy, rows, N_FRAMES, tokens, &n) == PYNNA_OK);
    assert(pynna_ctc_greedy_finish(&greedy, tokens + n, &pending) == PYNNA_OK);
    assert(pynna_ctc_greedy_feed(&greedy, rows, 1, tokens, &n) == PYNNA_ERR_FINISHED);
    return hash_tokens(hash_bytes(hash, &greedy.score, sizeof greedy.score), tokens, n + pending);
}

/* Feeds rows in random pieces, taking what is committed now and then; hashes everything that comes out. */
static uint64_t run(const pynna_ctc_config *config, const float *rows, int32_t n_frames, uint64_t hash)
{
    static pynna_ctc_token tokens[MAX_TOKENS * 64];
    static pynna_ctc_hypothesis hypotheses[64];
    pynna_ctc *decoder = new_decoder(config);
    pynna_ctc_stats stats;
    int32_t n, n_hypotheses, n_taken = 0;
    double score;
    for (int32_t t = 0, piece; t < n_frames; t += piece) {
        piece = 1 + (int32_t)(random_bits() % 40);
        piece = piece < n_frames - t ? piece : n_frames - t;
        assert(pynna_ctc_feed(decoder, rows + t * config->n_labels, piece) == PYNNA_OK);
        assert(pynna_ctc_best(decoder, 0, NULL, &n, &score) == (n ? PYNNA_ERR_MEMORY : PYNNA_OK));
        assert(pynna_ctc_take(decoder, MAX_TOKENS, tokens + n_taken, &n) == PYNNA_OK);
        n_taken += n;
    }
    hash = hash_tokens(hash, tokens, n_taken);
    assert(pynna_ctc_get_stats(decoder, &stats) == PYNNA_OK);
    assert(stats.n_committed == n_taken && stats.n_frames == n_frames && stats.most_nodes <= config->n_nodes);
    assert(pynna_ctc_nbest(decoder, 64, hypotheses, &n_hypotheses, MAX_TOKENS * 64, tokens, &n) == PYNNA_OK);
    assert(n_hypotheses == (stats.n_hypotheses < 64 ? stats.n_hypotheses : 64));
    for (int32_t i = 0; i < n_hypotheses; i++) {
        assert(i == 0 || hypotheses[i].score <= hypotheses[i - 1].score);
        hash = hash_bytes(hash, &hypotheses[i].score, sizeof hypotheses[i].score);
    }
    hash = hash_tokens(hash, tokens, n);
    assert(pynna_ctc_finish(decoder) == PYNNA_OK && pynna_ctc_feed(decoder, rows, 1) == PYNNA_ERR_FINISHED);
    assert(pynna_ctc_reset(decoder) == PYNNA_OK && pynna_ctc_feed(decoder, rows, 1) == PYNNA_OK);
    free(decoder);
    return hash;
}

static uint64_t test_beams(uint64_t hash)
{
    static float rows[N_FRAMES * N_LABELS], bias[N_LABELS];
    static const int32_t beams[] = {1, 2, 7, 64, 300};
    make_log_probs(rows, N_FRAMES, N_LABELS, BLANK);
    for (int32_t i = 0; i < N_LABELS; i++)
        bias[i] = i == 3 ? -INFINITY : (float)(random_bits() % 64) / 64;
    for (size_t i = 0; i < sizeof beams / sizeof *beams; i++)
        for (int kind = 0; kind < 4; kind++) {
            pynna_ctc_config config;
            pynna_ctc_defaults(N_LABELS, &config);
            config.beam = beams[i];
            config.n_nodes = kind == 1 ? 2 * beams[i] : 65536; /* the smallest trie: commits by force all the time */
            config.max_frames = kind == 1 ? 40 : N_FRAMES;
            config.cutoff_prob = kind == 2 ? 0.99 : 1.0;
            config.cutoff_top_n = kind == 2 ? 5 : 40;
            config.score_margin = kind == 3 ? 8.0 : INFINITY;
            config.label_bias = kind == 3 ? bias : NULL;
            hash = run(&config, rows, N_FRAMES, hash);
        }
    return hash;
}

static uint64_t test_large_alphabet(uint64_t hash)
{
    enum { LABELS = 3000, FRAMES = 30 };
    float *rows = malloc((size_t)FRAMES * LABELS * sizeof *rows);
    make_log_probs(rows, FRAMES, LABELS, 0);
    pynna_ctc_config config;
    pynna_ctc_defaults(LABELS, &config);
    config.blank = 0;
    config.beam = 50;
    hash = run(&config, rows, FRAMES, hash);
    config.cutoff_top_n = LABELS;
    hash = run(&config, rows, FRAMES, hash);
    free(rows);
    return hash;
}

static void test_a_copied_block_goes_on_alike(void)
{
    static float rows[N_FRAMES * N_LABELS];
    make_log_probs(rows, N_FRAMES, N_LABELS, BLANK);
    pynna_ctc_config config;
    pynna_ctc_defaults(N_LABELS, &config);
    config.beam = 32;
    const size_t size = pynna_ctc_size(&config);
    pynna_ctc *one = new_decoder(&config), *other = new_decoder(&config);
    assert(pynna_ctc_feed(one, rows, 100) == PYNNA_OK);
    memcpy(other, one, size);
    for (int32_t t = 100; t < N_FRAMES; t++)
        assert(pynna_ctc_feed(one, rows + t * N_LABELS, 1) == PYNNA_OK);
    assert(pynna_ctc_feed(other, rows + 100 * N_LABELS, N_FRAMES - 100) == PYNNA_OK);
    assert(memcmp(one, other, size) == 0);
    free(one);
    free(other);
}

static void test_bad_input_changes_nothing(void)
{
    float rows[2 * N_LABELS];
    make_log_probs(rows, 2, N_LABELS, BLANK);
    pynna_ctc_config config;
    pynna_ctc_defaults(N_LABELS, &config);
    config.beam = 4;
    config.max_frames = 2;
    const size_t size = pynna_ctc_size(&config);
    pynna_ctc *decoder = new_decoder(&config), *before = new_decoder(&config);
    const float bad[] = {NAN, INFINITY};
    for (int i = 0; i < 2; i++) {
        const float good = rows[N_LABELS + 5];
        rows[N_LABELS + 5] = bad[i];
        assert(pynna_ctc_feed(decoder, rows, 2) == PYNNA_ERR_NOT_FINITE);
        rows[N_LABELS + 5] = good;
    }
    assert(pynna_ctc_feed(decoder, rows, 3) == PYNNA_ERR_FULL);
    assert(pynna_ctc_feed(decoder, rows, -1) == PYNNA_ERR_ARGUMENT);
    assert(pynna_ctc_feed(decoder, NULL, 1) == PYNNA_ERR_ARGUMENT);
    assert(pynna_ctc_feed(NULL, rows, 1) == PYNNA_ERR_ARGUMENT);
    assert(pynna_ctc_feed(decoder, NULL, 0) == PYNNA_OK);
    assert(memcmp(decoder, before, size) == 0);
    for (int i = 0; i < N_LABELS; i++)
        rows[i] = -INFINITY;
    assert(pynna_ctc_feed(decoder, rows, 1) == PYNNA_ERR_NOT_FINITE);
    config.n_nodes = 7;
    assert(pynna_ctc_size(&config) == 0 && pynna_ctc_config_error(&config) != NULL);
    free(decoder);
    free(before);
}

int main(void)
{
    const uint64_t expected = 0xc68099a7ef8b32f9u;
    test_arithmetic();
    test_forbidden_frame_is_passed_over();
    test_selection_equals_sorting();
    test_a_copied_block_goes_on_alike();
    test_bad_input_changes_nothing();
    random_state = 20190612;
    uint64_t hash = 14695981039346656037u;
    hash = test_greedy(hash);
    hash = test_beams(hash);
    hash = test_large_alphabet(hash);
    printf("hash of the results: %016" PRIx64 "\n", hash);
    return hash == expected ? 0 : 1;
}
