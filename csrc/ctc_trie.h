/* SPDX-License-Identifier: Apache-2.0 */
/* The tree of label sequences that a beam's hypotheses are paths in. Internal to the CTC decoder. */
#ifndef PYNNA_CTC_TRIE_H
#define PYNNA_CTC_TRIE_H

#include "layout.h"
#include "pynna.h"

enum { PN_FREE = -2 };

/* A node is a label sequence: its parent's and one label more. It lives while it is in the beam or has children. Links
 * are indices, so that the tree can be copied as a block. */
typedef struct {
    int32_t parent; /* PN_NONE: the root */
    int32_t first_child;
    int32_t previous, next; /* siblings; of a free node `next` is the next free one */
    int32_t n_children;
    int32_t slot;          /* its place in the beam, PN_NONE: not in it, PN_FREE: not in the tree */
    uint16_t overtook;     /* 1: when last both were in the beam, it scored above its parent */
    uint16_t n_overtaking; /* children of which that is so */
    pynna_ctc_token token; /* label PN_NONE: the empty sequence */
    pynna_ctc_state state; /* the scorer's, after this label */
    double extra;          /* what the scorer added for this label */
} pn_node;

/* The root is what all hypotheses have in common: it moves down as they come to agree. */
typedef struct {
    int32_t capacity;
    int32_t root;
    int32_t free; /* head of the list of freed nodes; nodes from n_touched on were never used */
    int32_t n_touched;
    int32_t n_live, most_live;
    int32_t unused[10]; /* nodes start 64 bytes in */
    pn_node nodes[];    /* [capacity] */
} pn_trie;

size_t pn_trie_size(int32_t capacity);

/* Leaves the root alone in the tree, the empty sequence. */
void pn_trie_init(pn_trie *trie, int32_t capacity);

/* The child of `parent` with this label, or PN_NONE. */
int32_t pn_trie_find(const pn_trie *trie, int32_t parent, int32_t label);

/* A new child of `parent`; the caller has seen to it that there is room. */
int32_t pn_trie_add(pn_trie *trie, int32_t parent, const pynna_ctc_token *token);

/* Frees a node if nobody uses it, and then its parents as far as they live on its account alone. A node that is free
 * already, as a parent may be, stays so. */
void pn_trie_release(pn_trie *trie, int32_t node);

/* If the root is out of the beam and has one child, all hypotheses agree on the root's label: frees it, makes the child
 * the root, and returns 1 with the label in *token (PN_NONE when the root was the empty sequence). Otherwise 0. */
int pn_trie_advance(pn_trie *trie, pynna_ctc_token *token);

/* Labels from the root (included, unless it is the empty sequence) to the node. */
int32_t pn_trie_depth(const pn_trie *trie, int32_t node);

#endif
