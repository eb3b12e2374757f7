/* SPDX-License-Identifier: Apache-2.0 */
/* Scorers that come from outside: KenLM's binary files and the tree of words behind them, asked and searched with. */
#include "bytes.h"

#include "../../csrc/deepspeech/search.h"

static void ask(const ds_lm *lm, bytes *in)
{
    uint32_t context[DS_LM_MAX_ORDER];
    static const uint8_t *const words[] = {(const uint8_t *)"a", (const uint8_t *)"one", (const uint8_t *)"</s>"};
    for (int32_t i = 0; i < DS_LM_MAX_ORDER; i++)
        context[i] = take8(in) % 16 == 0 ? (uint32_t)take32(in) : take8(in) % 8;
    for (size_t i = 0; i < 3; i++)
        ds_lm_score(lm, context, take_from(in, 0, DS_LM_MAX_ORDER),
                    ds_lm_word(lm, words[i], strlen((const char *)words[i])));
    for (uint32_t i = 0; i < 12; i++)
        ds_lm_score(lm, context, (int32_t)i % 5, i);
}

static void search(const ds_scorer *scorer, bytes *in)
{
    static const uint8_t *const label[] = {(const uint8_t *)" ", (const uint8_t *)"a", (const uint8_t *)"e",
                                           (const uint8_t *)"n", (const uint8_t *)"o", (const uint8_t *)"t"};
    static const int32_t label_bytes[] = {1, 1, 1, 1, 1, 1};
    const ds_search_config config = {7,
                                     scorer != NULL && scorer->is_bytes ? -1 : 0,
                                     take_from(in, 1, 20),
                                     take_from(in, 1, 8),
                                     take_from(in, 0, 3) ? 1 : take_option(in),
                                     (ds_times)take_from(in, 0, 3),
                                     take_from(in, 0, 1),
                                     take_from(in, 0, 1),
                                     label,
                                     label_bytes};
    const ds_hot_word hot = {ds_hash((const uint8_t *)"one", 3), 3};
    ds_search *s = ds_search_new(&config, scorer, 0.75, 1.85, &hot, take_from(in, 0, 1));
    MUST(s != NULL);
    for (int32_t t = 0; t < 30; t++) {
        float row[7];
        for (int32_t i = 0; i < 7; i++)
            row[i] = expf(take_log_prob(in));
        MUST(ds_search_feed(s, row, 1) == 0);
    }
    ds_hypothesis *hypotheses = NULL;
    ds_token *tokens = NULL;
    int32_t n = 0;
    MUST(ds_search_results(s, 5, &hypotheses, &n, &tokens) == 0);
    free(hypotheses);
    free(tokens);
    ds_search_free(s);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    /* what is asked comes from the end, so that a file can stand at the beginning */
    bytes in = {data + size - (size < 300 ? size : 300), data + size};
    ds_scorer *scorer = NULL;
    if (ds_scorer_open_buffer(data, size, &scorer) == DS_SCORER_OK) {
        ask(&scorer->lm, &in);
        if (scorer->tree.n_states < 100000)
            search(scorer, &in);
        ds_scorer_close(scorer);
        return 0;
    }
    ds_lm lm;
    uint8_t *copy = block(size);
    memcpy(copy, data, size);
    if (ds_lm_open(&lm, copy, size) == 0)
        ask(&lm, &in);
    release(0);
    return 0;
}
