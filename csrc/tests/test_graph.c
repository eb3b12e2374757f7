/* SPDX-License-Identifier: Apache-2.0 */
/* A grammar's graph as a block, and the search through it, on a network of " ", o, n, f and the blank. */
#undef NDEBUG
#include <assert.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "pynna.h"

enum { SPACE, O, N, F, BLANK, N_LABELS };

/* "on" and "off", and "on" after the filler: 0 -o-> 1; 1 -n-> 3, -f-> 2 -f-> 3; 0 -filler-> 4 -o-> 5 -n-> 3. */
static const int32_t first_arc[] = {0, 2, 4, 5, 5, 6, 7}, arc_label[] = {O, PYNNA_FILLER, N, F, F, O, N};
static const int32_t arc_next[] = {1, 4, 3, 2, 3, 5, 3};
static const uint8_t is_final[] = {0, 0, 0, 1, 0, 0};
static const pynna_graph graph = {N_LABELS, 6, 7, 0, first_arc, arc_label, arc_next, is_final};

static void *aligned(size_t size)
{
    void *memory = aligned_alloc(64, (size + 63) / 64 * 64);
    assert(memory != NULL);
    return memory;
}

/* Log-probabilities with one sure label a frame, "_" the blank. */
static int32_t make_rows(const char *path, float (*rows)[N_LABELS])
{
    static const char names[] = " onf_";
    int32_t n = 0;
    for (; path[n] != '\0'; n++)
        for (int i = 0; i < N_LABELS; i++)
            rows[n][i] = names[i] == path[n] ? -0.01f : -6.0f;
    return n;
}

/* What is heard, as letters; dots for the filler and "?" behind what is no whole sentence. */
static const char *hear(const pynna_graph *g, const char *path)
{
    static char text[64];
    float rows[64][N_LABELS];
    const int32_t n_frames = make_rows(path, rows);
    pynna_search_config config;
    pynna_search_defaults(N_LABELS, &config);
    const size_t size = pynna_search_size(g, &config);
    void *memory = aligned(size);
    pynna_search *search;
    pynna_search_hypothesis best;
    pynna_search_token tokens[64];
    int32_t n = 0, n_tokens = 0;
    assert(pynna_search_init(memory, size, g, &config, &search) == PYNNA_OK);
    assert(pynna_search_feed(search, g, rows[0], n_frames) == PYNNA_OK);
    assert(pynna_search_finish(search) == PYNNA_OK);
    assert(pynna_search_feed(search, g, rows[0], 1) == PYNNA_ERR_FINISHED);
    assert(pynna_search_nbest(search, g, 1, &best, &n, 64, tokens, &n_tokens) == PYNNA_OK && n == 1);
    char *p = text;
    for (int32_t i = 0; i < n_tokens; i++)
        *p++ = tokens[i].label >= N_LABELS ? '.' : " onf_"[tokens[i].label];
    if (!best.complete)
        *p++ = '?';
    *p = '\0';
    free(memory);
    return text;
}

static void test_search(void)
{
    assert(strcmp(hear(&graph, "_oo_n_"), "on") == 0);
    assert(strcmp(hear(&graph, "off"), "on") == 0); /* "off" needs a blank between its letters */
    assert(strcmp(hear(&graph, "of_f"), "off") == 0);
    assert(strcmp(hear(&graph, "f_n_f_nnnoonn"), "....on") == 0);
    assert(strcmp(hear(&graph, "_"), "?") == 0); /* too short for any sentence */
}

/* Whatever a block holds, it is refused or safe to search. */
static void test_block(void)
{
    const size_t size = pynna_graph_bytes(&graph);
    assert(size == 32 + 4 * 7 + 8 * 7 + 6);
    char *block = aligned(size), *damaged = aligned(size);
    pynna_graph opened;
    assert(pynna_graph_save(&graph, block, size - 1) == PYNNA_ERR_MEMORY);
    assert(pynna_graph_save(&graph, block, size) == PYNNA_OK && pynna_graph_open(block, size, &opened) == PYNNA_OK);
    assert(strcmp(hear(&opened, "of_f"), "off") == 0);
    for (size_t n = 0; n < size; n++)
        assert(pynna_graph_open(block, n, &opened) != PYNNA_OK);
    assert(pynna_graph_open(block + 1, size - 1, &opened) == PYNNA_ERR_ARGUMENT);
    int n_refused = 0;
    for (size_t i = 0; i < size; i++)
        for (int bit = 0; bit < 8; bit++) {
            memcpy(damaged, block, size);
            damaged[i] ^= (char)(1 << bit);
            pynna_search_config config;
            pynna_search_defaults(N_LABELS, &config);
            if (pynna_graph_open(damaged, size, &opened) != PYNNA_OK
                || pynna_search_config_error(&opened, &config) != NULL)
                n_refused++;
            else
                hear(&opened, "_o_n_of_f_");
        }
    assert(n_refused > 400);
    free(damaged);
    free(block);
}

/* Hot words are handed in with every call, the same ones, and none but those. */
static void test_hot_words(void)
{
    float rows[64][N_LABELS];
    const int32_t n_frames = make_rows("_o_f_f_", rows);
    int32_t next[2 * N_LABELS], n = 0, n_tokens = 0;
    double bonus[2 * N_LABELS] = {0}, end[2] = {0};
    for (int i = 0; i < 2 * N_LABELS; i++)
        next[i] = i % N_LABELS == 0 ? 0 : 1;
    bonus[N_LABELS + 2] = 30.0; /* an n within a word */
    const pynna_words hot = {.n_labels = N_LABELS, .n_hot = 2, .hot_next = next, .hot_bonus = bonus, .hot_end = end};
    assert(pynna_words_error(&hot) == NULL);
    pynna_search_config config;
    pynna_search_defaults(N_LABELS, &config);
    const size_t size = pynna_search_size(&graph, &config);
    void *memory = aligned(size);
    pynna_search *search;
    pynna_search_hypothesis best;
    pynna_search_token tokens[64];
    assert(pynna_search_init(memory, size, &graph, &config, &search) == PYNNA_OK);
    assert(pynna_search_feed_hot(search, &graph, &hot, rows[0], 1) == PYNNA_ERR_ARGUMENT);
    assert(pynna_search_change_hot_words(search, &graph, &hot, &hot) == PYNNA_ERR_ARGUMENT);
    assert(pynna_search_change_hot_words(search, &graph, NULL, &hot) == PYNNA_OK);
    assert(pynna_search_feed(search, &graph, rows[0], n_frames) == PYNNA_ERR_ARGUMENT);
    assert(pynna_search_feed_hot(search, &graph, &hot, rows[0], n_frames) == PYNNA_OK);
    assert(pynna_search_finish(search) == PYNNA_ERR_ARGUMENT);
    assert(pynna_search_finish_hot(search, &hot) == PYNNA_OK);
    assert(pynna_search_change_hot_words(search, &graph, &hot, NULL) == PYNNA_ERR_FINISHED);
    assert(pynna_search_nbest(search, &graph, 1, &best, &n, 64, tokens, &n_tokens) == PYNNA_OK && n_tokens == 2);
    assert(tokens[1].label == 2 && best.bonus == 30.0); /* "on", though "off" was heard */
    free(memory);
}

int main(void)
{
    test_search();
    test_hot_words();
    test_block();
    puts("graphs: all is well");
    return 0;
}
