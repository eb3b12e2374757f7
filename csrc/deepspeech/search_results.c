/* SPDX-License-Identifier: Apache-2.0 */
/* The results of a search: the last word is scored as if the text ended, and the best of the beam are told. */
#include <math.h>
#include <stdlib.h>

#include "search_state.h"

typedef struct {
    float score;
    int32_t label, prefix;
} ranked;

/* What the end of the text adds to a prefix: the score of a word that no space has ended yet. */
static float end_bonus(ds_search *s, int32_t at)
{
    const prefix *p = &s->prefixes[at];
    if (s->scorer == NULL || at == ROOT || p->boundary == at || (!s->scorer->is_bytes && p->parent == NONE))
        return 0.0f;
    const int32_t n = ds_spell(s, p->boundary, at);
    if (n < 0)
        return 0.0f;
    const uint32_t word = ds_lm_word(&s->scorer->lm, s->text, (size_t)n);
    float unused = 0.0f;
    const float score = (float)(ds_word_score(s, p->boundary, word, &unused) * s->alpha);
    return score + (float)s->beta;
}

static int compare(const void *a, const void *b)
{
    const ranked *x = a, *y = b;
    if (x->score != y->score)
        return x->score > y->score ? -1 : 1;
    return x->label - y->label;
}

/* The natural logarithm of a whole sentence's probability, its end scored too: what 0.5 and 0.6 take off again. */
static double sentence_score(ds_search *s, int32_t at)
{
    const ds_lm *lm = &s->scorer->lm;
    const prefix *p = &s->prefixes[at];
    float unused = 0.0f;
    double total = 0.0;
    uint32_t context[DS_LM_MAX_ORDER];
    int32_t n = 0, unknown = 0;
    int32_t boundary = p->boundary;
    if (boundary != at) { /* the unfinished word, and then the words before it */
        const int32_t length = ds_spell(s, boundary, at);
        const uint32_t word = length < 0 ? 0 : ds_lm_word(lm, s->text, (size_t)length);
        total += ds_word_score(s, boundary, word, &unused);
        context[n++] = word;
        unknown |= word == 0;
    }
    for (int32_t b = boundary; b > ROOT; b = s->prefixes[b].previous_word) {
        total += ds_word_score(s, s->prefixes[b].previous_word, s->prefixes[b].word, &unused);
        if (n < lm->order - 1) {
            context[n++] = s->prefixes[b].word;
            unknown |= s->prefixes[b].word == 0;
        }
    }
    if (n < lm->order - 1)
        context[n++] = lm->begin;
    const uint32_t end = ds_lm_word(lm, (const uint8_t *)"</s>", 4);
    return total + (unknown || end == 0 ? -1000.0 : (double)ds_lm_score(lm, context, n, end) / 0.43429448190325182765);
}

static int32_t depth_of(const ds_search *s, int32_t at)
{
    int32_t n = 0;
    for (; at != ROOT; at = s->prefixes[at].parent)
        n++;
    return n;
}

static void write_tokens(const ds_search *s, int32_t at, int32_t n, ds_token *tokens)
{
    int32_t time = s->prefixes[at].time;
    for (; n-- > 0; at = s->prefixes[at].parent) {
        tokens[n].label = s->prefixes[at].label;
        if (s->config.times != DS_TIMES_PATH) {
            tokens[n].time = s->prefixes[at].time;
        } else {
            tokens[n].time = s->moments[time].frame;
            time = s->moments[time].parent > 0 ? s->moments[time].parent : time;
        }
    }
}

static double confidence_of(ds_search *s, const ranked *r, int32_t n_tokens)
{
    if (!s->config.is_cost)
        return (double)r->score;
    double acoustic = (double)r->score;
    if (s->scorer != NULL)
        acoustic -= n_tokens * s->beta + sentence_score(s, r->prefix) * s->alpha;
    return -acoustic;
}

int ds_search_results(ds_search *s, int32_t n_results, ds_hypothesis **hypotheses, int32_t *n_hypotheses,
                      ds_token **tokens)
{
    const int32_t n = n_results < s->n_beam ? n_results : s->n_beam;
    ranked *order = malloc((size_t)s->n_beam * sizeof *order);
    ds_hypothesis *out = malloc(((size_t)n + 1) * sizeof *out);
    *tokens = NULL;
    if (order == NULL || out == NULL || s->failed)
        goto fail;
    for (int32_t i = 0; i < s->n_beam; i++)
        order[i] = (ranked){s->prefixes[s->beam[i]].score + end_bonus(s, s->beam[i]), s->prefixes[s->beam[i]].label,
                            s->beam[i]};
    qsort(order, (size_t)s->n_beam, sizeof *order, compare);
    int32_t end = 0;
    for (int32_t i = 0; i < n; i++) {
        const int32_t length = depth_of(s, order[i].prefix);
        out[i] = (ds_hypothesis){confidence_of(s, &order[i], length), end, length};
        end += length;
    }
    *tokens = malloc(((size_t)end + 1) * sizeof **tokens);
    if (*tokens == NULL || s->failed)
        goto fail;
    for (int32_t i = 0; i < n; i++)
        write_tokens(s, order[i].prefix, out[i].n_tokens, *tokens + out[i].first);
    free(order);
    *hypotheses = out;
    *n_hypotheses = n;
    return 0;
fail:
    free(order);
    free(out);
    free(*tokens);
    *tokens = NULL;
    return -1;
}
