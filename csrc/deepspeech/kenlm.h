/* SPDX-License-Identifier: Apache-2.0 */
/* KenLM's binary files, read in place: the trie (plain, quantised, with compressed pointers) and the probing hash
 * table.
 *
 * Nothing is copied and nothing allocated. A file is hostile until checked: opening computes every table's place from
 * the header and compares it with the size at hand; look-ups check every index that comes out of the tables. */
#ifndef DS_KENLM_H
#define DS_KENLM_H

#include <stddef.h>
#include <stdint.h>

enum { DS_LM_MAX_ORDER = 6 };

typedef struct {
    const uint8_t *base; /* bit-packed entries */
    uint64_t n_entries;
    uint64_t total_bits;    /* of an entry: word, probability, back-off, pointer */
    uint32_t quant_bits;    /* probability and back-off together */
    uint32_t next_bits;     /* of the pointer, what of it stands in the entry */
    uint64_t n_next;        /* entries of the next order */
    const uint8_t *offsets; /* the pointers' upper parts: uint64 [n_offsets], where each begins; NULL for none */
    uint64_t n_offsets;
    const uint8_t *prob_bins, *backoff_bins; /* float [1 << bits]; NULL where values are not quantised */
} ds_lm_level;

typedef struct {
    const uint8_t *table; /* hashed entries: uint64 key, float probability, and a back-off but in the highest order */
    uint64_t n_buckets;
    uint32_t entry_bytes;
} ds_lm_hash;

typedef struct {
    int32_t order;
    int32_t is_hashed, is_quantised;
    uint64_t n_words; /* <unk>, which is 0, among them */
    uint32_t begin;   /* <s> */
    uint32_t word_bits, prob_bits, backoff_bits;
    const uint8_t *vocabulary; /* uint64 [n_sorted], or a hash table */
    uint64_t n_sorted;
    const uint8_t *unigrams;            /* {float, float, uint64 next} or {float, float} */
    ds_lm_level level[DS_LM_MAX_ORDER]; /* of n-grams of 2 words and up */
    ds_lm_hash vocabulary_hash, hash[DS_LM_MAX_ORDER];
    size_t end;        /* where the model ends in the file */
    int32_t has_words; /* the words' texts follow there, each ended by a zero byte */
} ds_lm;

/* 0, or -1 for what is no such file, of a kind that is not read, or cut short. `data` must outlive the model. */
int ds_lm_open(ds_lm *lm, const uint8_t *data, size_t size);

/* A word's number, 0 for one that is not there. */
uint32_t ds_lm_word(const ds_lm *lm, const uint8_t *text, size_t n_bytes);

/* log10 of the probability of a word after a context, whose latest word comes first; at most order - 1 count. */
float ds_lm_score(const ds_lm *lm, const uint32_t *context, int32_t n_context, uint32_t word);

/* MurmurHash64A with seed 0, by which words are found. */
uint64_t ds_hash(const uint8_t *text, size_t n_bytes);

#endif
