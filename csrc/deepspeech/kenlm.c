/* SPDX-License-Identifier: Apache-2.0 */
/* See kenlm.h. The layout, in the file's order: a header of 88 bytes that proves byte order and number formats; order,
 * kind, counts; the vocabulary; and the n-grams. In a trie n-grams hang at their last word: its children are the words
 * before it. */
#include "kenlm.h"
#include "unaligned.h"

#include <string.h>

enum { SANITY_BYTES = 88, PARAMETER_BYTES = 20 };
enum { PROBING = 0, TRIE = 2, QUANT_TRIE = 3, ARRAY_TRIE = 4, QUANT_ARRAY_TRIE = 5 };
#define MAX_COUNT ((uint64_t)1 << 40)

static const char MAGIC[] = "mmap lm http://kheafield.com/code format version 5\n";

static float float_of(uint32_t bits)
{
    return ds_read_f32(&bits);
}

/* n <= 57 bits at any bit; eight bytes from there on must be readable. */
static uint64_t read_bits(const uint8_t *base, uint64_t at, uint32_t n)
{
    return (ds_read_u64(base + at / 8) >> (at & 7)) & (((uint64_t)1 << n) - 1);
}

static uint32_t bits_for(uint64_t largest)
{
    uint32_t bits = 0;
    for (; largest != 0; largest >>= 1)
        bits++;
    return bits;
}

uint64_t ds_hash(const uint8_t *text, size_t n_bytes)
{
    const uint64_t m = 0xc6a4a7935bd1e995u;
    uint64_t h = (uint64_t)n_bytes * m;
    for (; n_bytes >= 8; text += 8, n_bytes -= 8) {
        uint64_t k = ds_read_u64(text) * m;
        k = (k ^ k >> 47) * m;
        h = (h ^ k) * m;
    }
    if (n_bytes > 0) {
        uint64_t rest = 0;
        memcpy(&rest, text, n_bytes);
        h = (h ^ rest) * m;
    }
    h = (h ^ h >> 47) * m;
    return h ^ h >> 47;
}

/* ---- opening --------------------------------------------------------------------------------------------------- */

/* A place in the file that grows over the tables as they follow; 0 once they would not fit. */
typedef struct {
    const uint8_t *data;
    uint64_t at, size;
} cursor;

static const uint8_t *take(cursor *c, uint64_t n_bytes)
{
    if (c->data == NULL || n_bytes > c->size - c->at) {
        c->data = NULL;
        return NULL;
    }
    c->at += n_bytes;
    return c->data + (c->at - n_bytes);
}

/* The bits of a pointer that stand in a table of their own: as many as save most. */
static uint32_t chopped_bits(uint64_t n_offsets, uint64_t largest, uint32_t most)
{
    const uint32_t required = bits_for(largest);
    uint32_t best = 0;
    int64_t lowest = INT64_MAX;
    for (uint32_t chop = 0; chop <= (required < most ? required : most); chop++) {
        const int64_t change = (int64_t)((largest >> (required - chop)) * 64) - (int64_t)(n_offsets * chop);
        if (change < lowest) {
            lowest = change;
            best = chop;
        }
    }
    return best;
}

static int open_level(ds_lm *lm, cursor *c, int32_t i, const uint64_t *counts, int is_array, uint32_t *bhiksha)
{
    ds_lm_level *level = &lm->level[i];
    const int last = i + 2 == lm->order;
    level->n_entries = counts[i + 1];
    level->quant_bits = lm->is_quantised ? lm->prob_bits + (last ? 0 : lm->backoff_bits) : (last ? 31 : 63);
    if (!last) {
        level->n_next = counts[i + 2];
        level->next_bits = bits_for(level->n_next);
        if (is_array) {
            if (i == 0) { /* the first table's head tells how far pointers may be cut */
                const uint8_t *head = c->data != NULL && c->size - c->at >= 2 ? c->data + c->at : NULL;
                if (head == NULL || head[0] != 0 || head[1] > 64)
                    return -1;
                *bhiksha = head[1];
            }
            const uint32_t chop = chopped_bits(level->n_entries + 1, level->n_next, *bhiksha);
            level->n_offsets = (level->n_next >> (level->next_bits - chop)) + 1;
            level->next_bits -= chop;
            const uint8_t *table = take(c, 8 * (1 + level->n_offsets) + 7);
            if (table == NULL)
                return -1;
            level->offsets = table + (8 - ((uint64_t)(table - c->data) & 7)) % 8 + 8;
        }
    }
    level->total_bits = lm->word_bits + level->quant_bits + level->next_bits;
    level->base = take(c, ((1 + level->n_entries) * level->total_bits + 7) / 8 + 8);
    return level->base == NULL || level->next_bits > 57 ? -1 : 0;
}

static int open_bins(ds_lm *lm, cursor *c)
{
    const uint8_t *head = take(c, 8);
    if (head == NULL || head[0] != 2 || head[1] < 1 || head[1] > 25 || head[2] < 1 || head[2] > 25)
        return -1;
    lm->prob_bits = head[1];
    lm->backoff_bits = head[2];
    for (int32_t i = 0; i < lm->order - 1; i++) {
        lm->level[i].prob_bins = take(c, (uint64_t)4 << lm->prob_bits);
        if (i < lm->order - 2)
            lm->level[i].backoff_bins = take(c, (uint64_t)4 << lm->backoff_bits);
    }
    return c->data == NULL ? -1 : 0;
}

static int open_trie(ds_lm *lm, cursor *c, const uint64_t *counts, int32_t kind)
{
    uint32_t bhiksha = 0;
    const uint8_t *vocabulary = take(c, 8 * (1 + lm->n_words));
    if (vocabulary == NULL)
        return -1;
    lm->n_sorted = ds_read_u64(vocabulary);
    lm->vocabulary = vocabulary + 8;
    if (lm->n_sorted >= lm->n_words + 1)
        return -1;
    lm->is_quantised = kind == QUANT_TRIE || kind == QUANT_ARRAY_TRIE;
    lm->word_bits = bits_for(lm->n_words);
    if (lm->is_quantised && open_bins(lm, c) != 0)
        return -1;
    lm->unigrams = take(c, 16 * (lm->n_words + 2));
    for (int32_t i = 0; i < lm->order - 1; i++)
        if (open_level(lm, c, i, counts, kind >= ARRAY_TRIE, &bhiksha) != 0)
            return -1;
    return c->data == NULL ? -1 : 0;
}

static int open_hash(cursor *c, ds_lm_hash *hash, uint64_t n_entries, float multiplier, uint32_t entry_bytes)
{
    const uint64_t wanted = (uint64_t)(multiplier * (float)n_entries);
    hash->n_buckets = wanted > n_entries + 1 ? wanted : n_entries + 1;
    hash->entry_bytes = entry_bytes;
    hash->table = take(c, hash->n_buckets * entry_bytes);
    return hash->table == NULL ? -1 : 0;
}

static int open_hashed(ds_lm *lm, cursor *c, const uint64_t *counts, float multiplier)
{
    if (!(multiplier > 1.0f) || multiplier > 64.0f || take(c, 8) == NULL
        || open_hash(c, &lm->vocabulary_hash, lm->n_words, multiplier, 12) != 0)
        return -1;
    lm->is_hashed = 1;
    lm->unigrams = take(c, 8 * (lm->n_words + 1));
    for (int32_t i = 0; i < lm->order - 1; i++)
        if (open_hash(c, &lm->hash[i], counts[i + 1], multiplier, i + 2 == lm->order ? 12 : 16) != 0)
            return -1;
    return c->data == NULL ? -1 : 0;
}

int ds_lm_open(ds_lm *lm, const uint8_t *data, size_t size)
{
    memset(lm, 0, sizeof *lm);
    if (data == NULL || size < SANITY_BYTES + PARAMETER_BYTES + 8 || memcmp(data, MAGIC, sizeof MAGIC - 1) != 0
        || ds_read_f32(data + 60) != 1.0f || ds_read_u32(data + 68) != 1 || ds_read_u64(data + 80) != 1)
        return -1;
    lm->order = data[SANITY_BYTES];
    const float multiplier = ds_read_f32(data + SANITY_BYTES + 4);
    const int32_t kind = (int32_t)ds_read_u32(data + SANITY_BYTES + 8);
    lm->has_words = data[SANITY_BYTES + 12] != 0;
    uint64_t counts[DS_LM_MAX_ORDER];
    if (lm->order < 2 || lm->order > DS_LM_MAX_ORDER)
        return -1;
    const uint64_t head = SANITY_BYTES + PARAMETER_BYTES + 8 * (uint64_t)lm->order;
    if (size < head + 8)
        return -1;
    for (int32_t i = 0; i < lm->order; i++) {
        counts[i] = ds_read_u64(data + SANITY_BYTES + PARAMETER_BYTES + 8 * i);
        if (counts[i] > MAX_COUNT)
            return -1;
    }
    lm->n_words = counts[0];
    cursor c = {data, (head + 7) & ~(uint64_t)7, size};
    if (kind == PROBING ? open_hashed(lm, &c, counts, multiplier) != 0
                        : kind < TRIE || kind > QUANT_ARRAY_TRIE || open_trie(lm, &c, counts, kind) != 0)
        return -1;
    lm->end = (size_t)c.at;
    lm->begin = ds_lm_word(lm, (const uint8_t *)"<s>", 3);
    return 0;
}

/* ---- looking up ------------------------------------------------------------------------------------------------ */

static const uint8_t *find_hashed(const ds_lm_hash *hash, uint64_t key)
{
    uint64_t bucket = key % hash->n_buckets;
    for (uint64_t n = 0; n < hash->n_buckets; n++) {
        const uint8_t *entry = hash->table + bucket * hash->entry_bytes;
        const uint64_t found = ds_read_u64(entry);
        if (found == key)
            return entry;
        if (found == 0)
            return NULL;
        bucket = bucket + 1 == hash->n_buckets ? 0 : bucket + 1;
    }
    return NULL;
}

uint32_t ds_lm_word(const ds_lm *lm, const uint8_t *text, size_t n_bytes)
{
    const uint64_t hash = ds_hash(text, n_bytes);
    if (lm->is_hashed) {
        const uint8_t *entry = find_hashed(&lm->vocabulary_hash, hash);
        const uint32_t word = entry == NULL ? 0 : ds_read_u32(entry + 8);
        return word < lm->n_words ? word : 0;
    }
    uint64_t low = 0, high = lm->n_sorted;
    while (low < high) {
        const uint64_t middle = low + (high - low) / 2;
        const uint64_t found = ds_read_u64(lm->vocabulary + 8 * middle);
        if (found == hash)
            return middle + 1 < lm->n_words ? (uint32_t)(middle + 1) : 0;
        if (found < hash)
            low = middle + 1;
        else
            high = middle;
    }
    return 0;
}

/* An n-gram that was found: its numbers, and where its longer ones stand in the next order. */
typedef struct {
    float prob, backoff;
    uint64_t begin, end; /* of a trie */
    uint64_t key;        /* of a hash */
} found_ngram;

static void find_unigram(const ds_lm *lm, uint32_t word, found_ngram *out)
{
    if (lm->is_hashed) {
        const uint8_t *p = lm->unigrams + 8 * (uint64_t)word;
        *out = (found_ngram){float_of(ds_read_u32(p) | 0x80000000u), ds_read_f32(p + 4), 0, 0, word};
        return;
    }
    const uint8_t *p = lm->unigrams + 16 * (uint64_t)word;
    *out = (found_ngram){ds_read_f32(p), ds_read_f32(p + 4), ds_read_u64(p + 8), ds_read_u64(p + 24), 0};
}

/* The last of the ascending offsets that is not above index. */
static uint64_t offset_below(const ds_lm_level *level, uint64_t index)
{
    uint64_t low = 0, high = level->n_offsets;
    while (low < high) {
        const uint64_t middle = low + (high - low) / 2;
        if (ds_read_u64(level->offsets + 8 * middle) <= index)
            low = middle + 1;
        else
            high = middle;
    }
    return low == 0 ? 0 : low - 1;
}

static void read_range(const ds_lm_level *level, uint64_t index, uint64_t at, found_ngram *out)
{
    out->begin = read_bits(level->base, at, level->next_bits);
    out->end = read_bits(level->base, at + level->total_bits, level->next_bits);
    if (level->offsets != NULL) {
        uint64_t below = offset_below(level, index);
        out->begin |= below << level->next_bits;
        while (below + 1 < level->n_offsets && ds_read_u64(level->offsets + 8 * (below + 1)) <= index + 1)
            below++;
        out->end |= below << level->next_bits;
    }
}

static void read_values(const ds_lm *lm, const ds_lm_level *level, uint64_t at, int last, found_ngram *out)
{
    out->backoff = 0.0f;
    if (lm->is_quantised) {
        const uint32_t backoff_bits = last ? 0 : lm->backoff_bits;
        out->prob = ds_read_f32(level->prob_bins + 4 * read_bits(level->base, at + backoff_bits, lm->prob_bits));
        if (!last)
            out->backoff = ds_read_f32(level->backoff_bins + 4 * read_bits(level->base, at, backoff_bits));
        return;
    }
    out->prob = float_of((uint32_t)read_bits(level->base, at, 31) | 0x80000000u);
    if (!last)
        out->backoff = float_of((uint32_t)read_bits(level->base, at + 31, 32));
}

/* Makes of the n-gram in *found the one with `word` before it; 0 if there is none. */
static int find_in_trie(const ds_lm *lm, int32_t i, uint32_t word, found_ngram *found)
{
    const ds_lm_level *level = &lm->level[i];
    uint64_t low = found->begin, high = found->end < level->n_entries ? found->end : level->n_entries;
    while (low < high) {
        const uint64_t middle = low + (high - low) / 2, at = middle * level->total_bits;
        const uint64_t here = read_bits(level->base, at, lm->word_bits);
        if (here == word) {
            const int last = i + 2 == lm->order;
            read_values(lm, level, at + lm->word_bits, last, found);
            if (!last)
                read_range(level, middle, at + lm->word_bits + level->quant_bits, found);
            return 1;
        }
        if (here < word)
            low = middle + 1;
        else
            high = middle;
    }
    return 0;
}

static int find_longer(const ds_lm *lm, int32_t i, uint32_t word, found_ngram *found)
{
    if (!lm->is_hashed)
        return find_in_trie(lm, i, word, found);
    const uint64_t key = (found->key * 8978948897894561157u) ^ ((1 + (uint64_t)word) * 17894857484156487943u);
    const uint8_t *entry = find_hashed(&lm->hash[i], key);
    if (entry == NULL)
        return 0;
    const int last = i + 2 == lm->order;
    *found = (found_ngram){last ? ds_read_f32(entry + 8) : float_of(ds_read_u32(entry + 8) | 0x80000000u),
                           last ? 0.0f : ds_read_f32(entry + 12), 0, 0, key};
    return 1;
}

float ds_lm_score(const ds_lm *lm, const uint32_t *context, int32_t n_context, uint32_t word)
{
    if (n_context > lm->order - 1)
        n_context = lm->order - 1;
    if (word >= lm->n_words)
        word = 0;
    found_ngram found;
    find_unigram(lm, word, &found);
    float prob = found.prob;
    int32_t n_matched = 0; /* words of the context in the longest n-gram there is */
    for (; n_matched < n_context && find_longer(lm, n_matched, context[n_matched], &found); n_matched++)
        prob = found.prob;
    if (n_matched == n_context)
        return prob;
    /* backs off: the contexts longer than what matched */
    find_unigram(lm, context[0] < lm->n_words ? context[0] : 0, &found);
    for (int32_t n = 0; n < n_context; n++) {
        if (n >= n_matched)
            prob += found.backoff;
        if (n + 1 == n_context || !find_longer(lm, n, context[n + 1], &found))
            break;
    }
    return prob;
}
