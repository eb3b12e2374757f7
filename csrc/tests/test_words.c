/* SPDX-License-Identifier: Apache-2.0 */
/* Vocabulary, hot words and a language model as the beam search's scorer, on a network of " ", a, b and the blank. */
#undef NDEBUG
#include <assert.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "pynna.h"

enum { SPACE, A, B, BLANK, N_LABELS };

/* The words a, ab and b: node 1 is "a", 2 "ab", 3 "b". */
static const int32_t first_arc[] = {0, 2, 3, 3, 3}, arc_label[] = {A, B, B}, arc_next[] = {1, 3, 2};
static const int32_t word[] = {-1, 0, 1, 2};

/* The hot word b, 4 nats: state 2 is after its only letter. */
static const int32_t hot_next[] = {0, 1, 2, 0, /**/ 0, 1, 1, 0, /**/ 0, 1, 1, 0};
static const double hot_bonus[] = {0, 0, 4, 0, /**/ 0, 0, 0, 0, /**/ 0, -4, -4, 0}, hot_end[] = {0, 0, 0};

static double score(void *context, int32_t state, int32_t number, int32_t *next)
{
    ++*(int *)context;
    *next = number + 1;
    return number < 0 ? -1.0 : -0.5 * number - 0.25 * state;
}

static pynna_words make_words(int *asked)
{
    return (pynna_words){.n_labels = N_LABELS,
                         .space = SPACE,
                         .n_nodes = 4,
                         .first_arc = first_arc,
                         .arc_label = arc_label,
                         .arc_next = arc_next,
                         .word = word,
                         .outside = -INFINITY,
                         .unfinished = -100.0,
                         .n_hot = 3,
                         .hot_next = hot_next,
                         .hot_bonus = hot_bonus,
                         .hot_end = hot_end,
                         .context = asked,
                         .score = score};
}

/* What the scorer adds to a text, -INFINITY if it is forbidden. */
static double added(const pynna_ctc_scorer *scorer, const char *text)
{
    pynna_ctc_state state =
                        {
                            {0, 0, 0}
    },
                    next;
    double sum = 0.0;
    for (; *text != '\0'; text++, state = next)
        sum += scorer->extend(scorer->context, &state, *text == ' ' ? SPACE : *text == 'a' ? A : B, &next);
    return sum == -INFINITY ? sum : sum + scorer->finish(scorer->context, &state);
}

static void test_scores(void)
{
    int asked = 0;
    pynna_words words = make_words(&asked);
    pynna_ctc_scorer scorer;
    assert(pynna_words_scorer(&words, &scorer) == PYNNA_OK && scorer.most == 4.0);
    assert(added(&scorer, "") == 0.0 && asked == 0);
    assert(added(&scorer, "a") == 0.0 && asked == 1);
    assert(added(&scorer, "a b") == -1.25 + 4.0 && asked == 3); /* b is word 2, after context 1 */
    assert(added(&scorer, "ab ") == -0.5);
    assert(added(&scorer, "ba") == -INFINITY && added(&scorer, " a") == -INFINITY
           && added(&scorer, "a  ") == -INFINITY);
    words.outside = -3.0;
    assert(pynna_words_scorer(&words, &scorer) == PYNNA_OK);
    assert(added(&scorer, "ba") == -4.0 && added(&scorer, "ba a") == -4.0);
    words.outside_letter = -0.5; /* "ba" leaves the tree, -3; "b" behind it -0.5; the word itself -1 */
    assert(pynna_words_scorer(&words, &scorer) == PYNNA_OK);
    assert(added(&scorer, "ba") == -4.0 && added(&scorer, "bab") == -4.5 && added(&scorer, "bab a") == -4.5);
    words.n_nodes = 0;
    words.score = NULL;
    assert(pynna_words_scorer(&words, &scorer) == PYNNA_OK);
    assert(added(&scorer, "ba  b") == 4.0);
}

/* What the scorer tells of labels beforehand, against what it says when asked, after all texts of up to `more` labels. */
static void check_ways(const pynna_ctc_scorer *scorer, pynna_ctc_state state, int more)
{
    const pynna_ctc_ways ways = scorer->ways(scorer->context, &state);
    for (int32_t label = SPACE; label < BLANK; label++) {
        pynna_ctc_state next;
        const double extra = scorer->extend(scorer->context, &state, label, &next);
        assert((ways.allowed >> label & 1) == (extra > -INFINITY));
        if (ways.free >> label & 1)
            assert(extra == 0.0 && (ways.allowed >> label & 1));
        else if (label != SPACE)
            assert(extra <= ways.most);
        if (extra > -INFINITY && more > 0)
            check_ways(scorer, next, more - 1);
    }
}

static void test_ways(void)
{
    const pynna_ctc_state start = {
        {0, 0, 0}
    };
    const double outside[] = {-INFINITY, -3.0};
    for (int kind = 0; kind < 8; kind++) {
        int asked = 0;
        pynna_words words = make_words(&asked);
        pynna_ctc_scorer scorer;
        words.outside = outside[kind % 2];
        words.outside_letter = kind % 2 ? -0.5 : 0.0;
        words.n_hot = kind / 2 % 2 ? 3 : 0;
        words.n_nodes = kind / 4 ? 0 : 4;
        words.score = words.n_nodes ? score : NULL;
        assert(pynna_words_scorer(&words, &scorer) == PYNNA_OK);
        check_ways(&scorer, start, 5);
    }
}

static void test_wrong_tables(void)
{
    int asked = 0;
    pynna_ctc_scorer scorer;
    pynna_words words = make_words(&asked);
    const int32_t bad_next[] = {1, 4, 2}, to_root[] = {1, 0, 2}, bad_hot[12] = {3};
    assert(pynna_words_error(&words) == NULL);
#define WRONG(field, value)                                                                                            \
    (words = make_words(&asked), words.field = (value),                                                                \
     pynna_words_error(&words) != NULL && pynna_words_scorer(&words, &scorer) == PYNNA_ERR_ARGUMENT)
    assert(WRONG(n_labels, 1) && WRONG(space, N_LABELS) && WRONG(space, -1) && WRONG(n_nodes, -1));
    assert(WRONG(arc_next, bad_next) && WRONG(arc_next, to_root) && WRONG(first_arc, arc_label) && WRONG(word, NULL));
    assert(WRONG(hot_next, bad_hot) && WRONG(n_hot, 1) && WRONG(hot_bonus, NULL));
    assert(WRONG(outside, 1.0) && WRONG(outside, NAN) && WRONG(unfinished, -INFINITY) && WRONG(outside_letter, 0.5)
           && WRONG(word_most, -1.0));
    assert(pynna_words_error(NULL) != NULL);
}

/* Hears "b" or "a" alike, then a space, with hot words that are exchanged in between. */
static void test_change(void)
{
    int asked = 0;
    pynna_words words = make_words(&asked), none = words;
    none.n_hot = 0;
    pynna_ctc_scorer with, without;
    assert(pynna_words_scorer(&words, &with) == PYNNA_OK && pynna_words_scorer(&none, &without) == PYNNA_OK);
    pynna_ctc_config config;
    pynna_ctc_defaults(N_LABELS, &config);
    config.beam = 16;
    const size_t size = (pynna_ctc_size(&config) + 63) / 64 * 64;
    void *memory = aligned_alloc(64, size);
    pynna_ctc *ctc;
    assert(memory != NULL && pynna_ctc_init(memory, size, &config, &ctc) == PYNNA_OK);
    const float either[2][N_LABELS] = {
        {-5.0f, -0.6f, -0.9f, -5.0f},
        {-0.1f, -5.0f, -5.0f, -5.0f}
    };
    const pynna_ctc_scorer *in_turn[] = {&with, &without, &with};
    for (int i = 0; i < 3; i++) {
        if (i > 0)
            assert(pynna_ctc_change_scorer(ctc, in_turn[i - 1], in_turn[i]) == PYNNA_OK);
        assert(pynna_ctc_feed_scored(ctc, in_turn[i], either[0], 2) == PYNNA_OK);
    }
    assert(pynna_ctc_change_scorer(ctc, &with, NULL) == PYNNA_ERR_ARGUMENT);
    assert(pynna_ctc_finish_scored(ctc, &with) == PYNNA_OK);
    assert(pynna_ctc_change_scorer(ctc, &with, &without) == PYNNA_ERR_FINISHED);
    pynna_ctc_token tokens[16];
    int32_t n = 0, n_tail = 0;
    double total;
    assert(pynna_ctc_take(ctc, 16, tokens, &n) == PYNNA_OK);
    assert(pynna_ctc_best(ctc, 16 - n, tokens + n, &n_tail, &total) == PYNNA_OK && n + n_tail == 6);
    assert(tokens[0].label == B && tokens[2].label == A && tokens[4].label == B);
    free(memory);
}

int main(void)
{
    test_scores();
    test_ways();
    test_wrong_tables();
    test_change();
    puts("words: all is well");
    return 0;
}
