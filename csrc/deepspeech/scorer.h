/* SPDX-License-Identifier: Apache-2.0 */
/* Scorers: a language model and the tree of its words, as the decoders of DeepSpeech and Coqui STT take them.
 *
 * A .scorer is a KenLM binary file with the tree behind it; DeepSpeech 0.5 and 0.6 have the two in files of their own,
 * lm.binary and trie. Everything is used in place, so that a file of a gigabyte costs only the pages that are asked
 * for; only the tree of 0.5, which has no table of its states, is given one in memory. */
#ifndef DS_SCORER_H
#define DS_SCORER_H

#include "kenlm.h"

typedef enum {
    DS_SCORER_OK = 0,
    DS_SCORER_UNREADABLE, /* the file cannot be opened or mapped */
    DS_SCORER_NO_LM,      /* no KenLM file that is read here */
    DS_SCORER_NO_TRIE,    /* nothing behind it */
    DS_SCORER_BAD_TRIE,   /* no tree, or of an unknown kind, or cut short */
    DS_SCORER_BAD_VERSION,
    DS_SCORER_MEMORY
} ds_scorer_status;

/* The tree of words over labels (alphabet index + 1): an OpenFst "const" automaton in place, or a "vector" one. */
typedef struct {
    const uint8_t *states; /* const: {float final, uint32 first, uint32 n, ..} of 20 bytes; vector: {float, int64 n} */
    const uint8_t *arcs;   /* const: {int32 label, .., float, int32 next} of 16 bytes */
    uint64_t *places;      /* vector: where each state's record begins in `states` */
    uint64_t n_states, n_arcs;
    int64_t start;
} ds_tree;

typedef struct {
    ds_lm lm;
    ds_tree tree;
    double alpha, beta;    /* of the file, or DeepSpeech 0.5's */
    int32_t is_bytes;      /* labels are bytes, words are characters */
    int32_t version;       /* 3 to 6 */
    const uint8_t *map[2]; /* files mapped here, to be given back */
    size_t map_size[2];
    uint8_t *copy; /* a buffer's copy */
    int32_t n_users;
} ds_scorer;

/* Opens a .scorer, or an lm.binary and a trie where `trie` is not NULL. On success *out is to be closed. */
ds_scorer_status ds_scorer_open(const char *path, const char *trie, ds_scorer **out);
/* The same out of a buffer, which is copied. */
ds_scorer_status ds_scorer_open_buffer(const uint8_t *data, size_t size, ds_scorer **out);
void ds_scorer_close(ds_scorer *scorer);

/* The state after a label (alphabet index + 1), -1 if none; at a word's end the start again. */
int64_t ds_tree_next(const ds_tree *tree, int64_t state, int32_t label);

#endif
