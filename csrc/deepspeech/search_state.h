/* SPDX-License-Identifier: Apache-2.0 */
/* The search's state, shared by search.c and search_*.c. */
#ifndef DS_SEARCH_STATE_H
#define DS_SEARCH_STATE_H

#include "search.h"

enum { NONE = -1, ROOT = 0, ROOT_LABEL = -1 };
enum { DEAD = 0, ALIVE = 1, FREE = 2 }; /* a dead prefix is kept for those behind it */

typedef struct {
    int32_t parent, child, sibling; /* child: the oldest, sibling: the next */
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
    int32_t made, born;          /* else the frames in which it was made, and came to life */
    int32_t rank;                /* DS_TIMES_LEAF: its place in the client's beam */
} prefix;

typedef struct {
    int32_t parent, child, sibling, frame;
} moment;

/* DS_TIMES_LEAF: what a client ranks at the end of a frame; NONE for a prefix that is not kept. */
typedef struct {
    float score;
    int32_t label, prefix;
} candidate;

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
    candidate *candidates;
    int32_t candidate_room;
    float *log_prob; /* [n_labels] */
    int32_t *order;  /* [n_labels]: the n_order that count in this frame, the blank last */
    int32_t n_order;
    float cutoff; /* of this frame: ways below it are left out */
    float most;      /* that the scorer adds for a word */
    uint8_t *text;   /* a word's bytes */
    int32_t text_room;
    int32_t n_frames, started, failed;
};

/* search.c: sees to it that an array, whose address is given, has room for one more; 0 for want of memory. */
int ds_grow(void *array, int32_t used, int32_t *room, size_t size);

int32_t ds_find_child(const ds_search *s, int32_t at, int32_t label); /* NONE for none */

/* search_times.c */
float ds_log_add(float a, float b);
/* A time that is a frame: told when the prefix came up, and by some anew when its label is likelier. */
void ds_tell_frame(ds_search *s, prefix *p);
/* DS_TIMES_LEAF without a scorer, at the end of a frame: the order of the client's beam. */
void ds_rank_beam(ds_search *s);
/* New times are made after all old ones were read: a prefix' time hangs on its parent's of the frame before. */
void ds_settle_time(ds_search *s, int32_t at);
/* Throws out the times that no prefix leads to: parents stand before their children, so one pass moves all. */
void ds_sweep_moments(ds_search *s);

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
