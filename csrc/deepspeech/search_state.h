/* SPDX-License-Identifier: Apache-2.0 */
/* The search's state, shared by search.c and search_results.c. */
#ifndef DS_SEARCH_STATE_H
#define DS_SEARCH_STATE_H

#include "search.h"

enum { NONE = -1, ROOT = 0, ROOT_LABEL = -1 };

typedef struct {
    int32_t parent, child, sibling; /* child: the latest, sibling: the one before */
    int32_t label;
    float blank, last;         /* log-probabilities of alignments that end in the blank, and in the label */
    float blank_now, last_now; /* of the frame under way */
    float score;               /* both together */
    float bonus;               /* what the scorer added for the label */
    float best_prob;           /* DS_TIMES_BEST, _LEAF: the label's highest log-probability */
    int32_t alive;
    int32_t tree_state;
    int32_t boundary;            /* the latest prefix of this one that ends a word; ROOT for none */
    uint32_t word;               /* of a prefix that ends a word */
    float boost;                 /* and what hot words add for it */
    int32_t previous_word;       /* the boundary before it */
    int32_t time;                /* DS_TIMES_PATH: a node of the times, else the frame */
    int32_t from_time, new_time; /* DS_TIMES_PATH: what the frame under way would make of it */
} prefix;

typedef struct {
    int32_t parent, child, sibling, frame;
} moment;

struct ds_search {
    ds_search_config config;
    const ds_scorer *scorer;
    double alpha, beta;
    ds_hot_word *hot;
    int32_t n_hot;
    prefix *prefixes;
    int32_t n_prefixes, prefix_room, free_prefix;
    moment *moments;
    int32_t n_moments, moment_room, moments_wanted;
    int32_t *beam; /* the beam, then what this frame brings to life */
    int32_t n_beam, beam_room;
    float *log_prob; /* [n_labels] */
    int32_t *order;  /* [n_labels] */
    float most;      /* that the scorer adds for a word */
    uint8_t *text;   /* a word's bytes */
    int32_t text_room;
    int32_t n_frames, started, failed;
};

/* search.c: sees to it that an array, whose address is given, has room for one more; 0 for want of memory. */
int ds_grow(void *array, int32_t used, int32_t *room, size_t size);

/* search_words.c: the bytes of the labels behind `from`, down to `at`, into s->text; -1 for want of memory. */
int32_t ds_spell(ds_search *s, int32_t from, int32_t at);
/* What the language model says of the word that follows `boundary`; *boost collects what hot words add. */
double ds_word_score(const ds_search *s, int32_t boundary, uint32_t word, float *boost);
/* Whether a label after a prefix ends a word. */
int ds_ends_word(const ds_search *s, int32_t parent, int32_t label);

/* What the scorer says of the word that ends with a label after `parent`. */
typedef struct {
    float bonus, boost;
    uint32_t word;
} word_end;
word_end ds_end_word(ds_search *s, int32_t parent, int32_t label);

#endif
