/* SPDX-License-Identifier: Apache-2.0 */
#include "ctc_trie.h"

size_t pn_trie_size(int32_t capacity)
{
    return sizeof(pn_trie) + (size_t)capacity * sizeof(pn_node);
}

void pn_trie_init(pn_trie *trie, int32_t capacity)
{
    const pynna_ctc_token empty = {PN_NONE, 0, 0, 0.0f};
    trie->capacity = capacity;
    trie->free = PN_NONE;
    trie->n_touched = trie->n_live = trie->most_live = 0;
    trie->root = pn_trie_add(trie, PN_NONE, &empty);
}

int32_t pn_trie_find(const pn_trie *trie, int32_t parent, int32_t label)
{
    int32_t child = trie->nodes[parent].first_child;
    while (child != PN_NONE && trie->nodes[child].token.label != label)
        child = trie->nodes[child].next;
    return child;
}

int32_t pn_trie_add(pn_trie *trie, int32_t parent, const pynna_ctc_token *token)
{
    const int32_t index = trie->free != PN_NONE ? trie->free : trie->n_touched++;
    pn_node *node = &trie->nodes[index];
    if (index == trie->free)
        trie->free = node->next;
    *node = (pn_node){parent, PN_NONE, PN_NONE, PN_NONE, 0, PN_NONE, 0, 0, *token, {{0, 0, 0}}, 0.0};
    if (parent != PN_NONE) {
        pn_node *above = &trie->nodes[parent];
        node->next = above->first_child;
        if (node->next != PN_NONE)
            trie->nodes[node->next].previous = index;
        above->first_child = index;
        above->n_children++;
    }
    if (++trie->n_live > trie->most_live)
        trie->most_live = trie->n_live;
    return index;
}

static void unlink_child(pn_trie *trie, const pn_node *node)
{
    pn_node *above = &trie->nodes[node->parent];
    if (node->previous != PN_NONE)
        trie->nodes[node->previous].next = node->next;
    else
        above->first_child = node->next;
    if (node->next != PN_NONE)
        trie->nodes[node->next].previous = node->previous;
    above->n_children--;
    above->n_overtaking -= node->overtook;
}

static void free_node(pn_trie *trie, int32_t index)
{
    trie->nodes[index].slot = PN_FREE;
    trie->nodes[index].next = trie->free;
    trie->free = index;
    trie->n_live--;
}

void pn_trie_release(pn_trie *trie, int32_t index)
{
    while (index != trie->root && trie->nodes[index].slot == PN_NONE && trie->nodes[index].n_children == 0) {
        const int32_t parent = trie->nodes[index].parent;
        unlink_child(trie, &trie->nodes[index]);
        free_node(trie, index);
        index = parent;
    }
}

int pn_trie_advance(pn_trie *trie, pynna_ctc_token *token)
{
    const pn_node *root = &trie->nodes[trie->root];
    if (root->slot != PN_NONE || root->n_children != 1)
        return 0;
    const int32_t child = root->first_child;
    *token = root->token;
    free_node(trie, trie->root);
    trie->root = child;
    trie->nodes[child].parent = PN_NONE;
    return 1;
}

int32_t pn_trie_depth(const pn_trie *trie, int32_t node)
{
    int32_t depth = 0;
    for (; node != PN_NONE; node = trie->nodes[node].parent)
        depth += trie->nodes[node].token.label != PN_NONE;
    return depth;
}
