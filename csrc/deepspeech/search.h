/* SPDX-License-Identifier: Apache-2.0 */
/* The prefix beam search of the DeepSpeech clients, with their scorers: the same texts, times and scores as theirs.
 *
 * pynna's own search (ctc.c) is exact where the clients' is not, keeps its memory in bounds and asks any language
 * model; this one repeats what the clients do, down to their float32 sums, for programs that count on it. */
#ifndef DS_SEARCH_H
#define DS_SEARCH_H

#include "scorer.h"

/* How a label's time is told, by generation. */
typedef enum {
    DS_TIMES_BEST,  /* 0.5: the frame of its highest probability so far */
    DS_TIMES_LEAF,  /* 0.6: the frame at which the prefix came up; of the first label the same as in 0.5 until
                     * something follows it */
    DS_TIMES_FIRST, /* 0.7, 0.8: the frame at which the prefix came up */
    DS_TIMES_PATH   /* 0.9, Coqui: the best path's */
} ds_times;

typedef struct {
    uint64_t hash; /* ds_hash of the word */
    float boost;
} ds_hot_word;

typedef struct {
    int32_t n_labels; /* the blank, the last, among them */
    int32_t space;    /* its label, -1 for none */
    int32_t beam, cutoff_top_n;
    double cutoff_prob;
    ds_times times;
    int32_t delayed_start;       /* from 0.7 on: nothing begins before the blank is below 0.999 */
    int32_t is_cost;             /* 0.5, 0.6: the number told is the acoustic cost */
    const uint8_t *const *label; /* [n_labels - 1] texts */
    const int32_t *label_bytes;
} ds_search_config;

typedef struct ds_search ds_search;

typedef struct {
    int32_t label, time;
} ds_token;

/* A hypothesis of a result: tokens[first .. first + n_tokens - 1]. */
typedef struct {
    double confidence;
    int32_t first, n_tokens;
} ds_hypothesis;

/* NULL for want of memory. The scorer may be NULL; it and the labels must outlive the search. Hot words are copied. */
ds_search *ds_search_new(const ds_search_config *config, const ds_scorer *scorer, double alpha, double beta,
                         const ds_hot_word *hot_words, int32_t n_hot_words);
void ds_search_free(ds_search *search);

/* Takes probs float [n_frames, n_labels]. -1 for want of memory: the search then takes no more. */
int ds_search_feed(ds_search *search, const float *probs, int32_t n_frames);

/* The up to n_results best hypotheses, best first: both arrays are the caller's to free(). -1 for want of memory. */
int ds_search_results(ds_search *search, int32_t n_results, ds_hypothesis **hypotheses, int32_t *n_hypotheses,
                      ds_token **tokens);

#endif
