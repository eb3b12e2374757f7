/* SPDX-License-Identifier: Apache-2.0 */
/* What the search asks about words: their letters, where they end, and what the scorer and hot words say of them. */
#include "search_state.h"

static const double OUT_OF_VOCABULARY = -1000.0, LOG10_E = 0.43429448190325182765;

/* The bytes of the labels behind `from`, down to `at`; returns how many, -1 for want of memory. */
int32_t ds_spell(ds_search *s, int32_t from, int32_t at)
{
    int32_t n = 0;
    for (int32_t i = at; i != from && i != ROOT; i = s->prefixes[i].parent) {
        const int32_t label = s->prefixes[i].label;
        for (int32_t k = s->config.label_bytes[label]; k-- > 0;) {
            if (!ds_grow(&s->text, n, &s->text_room, 1)) {
                s->failed = 1;
                return -1;
            }
            s->text[n++] = s->config.label[label][k];
        }
    }
    for (int32_t i = 0; i < n / 2; i++) {
        const uint8_t t = s->text[i];
        s->text[i] = s->text[n - 1 - i];
        s->text[n - 1 - i] = t;
    }
    return n;
}

static float boost_of(const ds_search *s, uint64_t hash)
{
    for (int32_t i = 0; i < s->n_hot; i++)
        if (s->hot[i].hash == hash)
            return s->hot[i].boost;
    return 0.0f;
}

/* The natural logarithm of the probability of a word that follows the words up to `boundary`; *boost collects what hot
 * words add for all the words looked at. A word out of the vocabulary among them costs everything. */
double ds_word_score(const ds_search *s, int32_t boundary, uint32_t word, float *boost)
{
    const ds_lm *lm = &s->scorer->lm;
    uint32_t context[DS_LM_MAX_ORDER];
    int32_t n = 0, unknown = word == 0;
    for (; boundary > ROOT && n < lm->order - 1; boundary = s->prefixes[boundary].previous_word) {
        context[n] = s->prefixes[boundary].word;
        unknown |= context[n++] == 0;
        *boost += s->prefixes[boundary].boost;
    }
    if (unknown)
        return OUT_OF_VOCABULARY;
    if (n < lm->order - 1)
        context[n++] = lm->begin;
    return (double)ds_lm_score(lm, context, n, word) / LOG10_E;
}

static int32_t needed_bytes(uint8_t first)
{
    return first < 0x80 ? 1 : first >> 5 == 6 ? 2 : first >> 4 == 14 ? 3 : first >> 3 == 30 ? 4 : 0;
}

/* Bytes of the character that a prefix ends in, and how many its first byte asks for. */
static int32_t character_bytes(const ds_search *s, int32_t at, int32_t *needed)
{
    int32_t n = 0;
    for (; at != ROOT; at = s->prefixes[at].parent) {
        const uint8_t byte = (uint8_t)(s->prefixes[at].label + 1);
        n++;
        if ((byte & 0xC0) != 0x80) {
            *needed = needed_bytes(byte);
            return n;
        }
    }
    *needed = 0;
    return n;
}

/* Whether the label of a new prefix ends a word: a space, or of bytes the last of a character. */
int ds_ends_word(const ds_search *s, int32_t parent, int32_t label)
{
    if (!s->scorer->is_bytes)
        return label == s->config.space;
    const uint8_t byte = (uint8_t)(label + 1);
    if ((byte & 0xC0) != 0x80)
        return needed_bytes(byte) == 1;
    int32_t needed;
    return character_bytes(s, parent, &needed) + 1 == needed;
}

/* What the scorer says of the word that ends with a label after `parent`. */
word_end ds_end_word(ds_search *s, int32_t parent, int32_t label)
{
    const int32_t boundary = s->prefixes[parent].boundary;
    int32_t n = ds_spell(s, boundary, parent);
    if (n >= 0 && s->scorer->is_bytes && ds_grow(&s->text, n, &s->text_room, 1))
        s->text[n++] = (uint8_t)(label + 1);
    word_end end = {0.0f, 0.0f, 0};
    if (n < 0)
        return end;
    end.word = ds_lm_word(&s->scorer->lm, s->text, (size_t)n);
    end.boost = s->n_hot > 0 ? boost_of(s, ds_hash(s->text, (size_t)n)) : 0.0f;
    float boost = end.boost;
    const double score = ds_word_score(s, boundary, end.word, &boost);
    end.bonus = (float)((score + (double)boost) * s->alpha);
    return end;
}
