/* SPDX-License-Identifier: Apache-2.0 */
/* What does a beam search give up when the trie runs full? */
#include "ctc_beam.h"

static int32_t extreme_slot(const pn_ctc *s, int sign)
{
    int32_t found = 0;
    for (int32_t i = 1; i < s->d->n_hypotheses; i++)
        if (sign * s->b.now[i].total > sign * s->b.now[found].total)
            found = i;
    return found;
}

static void drop(pn_ctc *s, int32_t slot)
{
    const int32_t node = s->b.node[slot], last = --s->d->n_hypotheses;
    pn_ctc_leave(s, slot);
    if (slot != last)
        pn_ctc_move(s, last, slot);
    pn_trie_release(s->trie, node);
}

/* The child of the root on the way to a node; PN_NONE if the node is the root. */
static int32_t branch_of(const pn_ctc *s, int32_t node)
{
    int32_t below = PN_NONE;
    for (; node != s->trie->root; node = s->trie->nodes[node].parent)
        below = node;
    return below;
}

/* Sees to it that a beam of new prefixes fits: commits the best hypothesis' oldest label, again and again. Once it has
 * no label left to commit, the worst hypotheses go. */
void pn_ctc_make_room(pn_ctc *s)
{
    pynna_ctc *d = s->d;
    while (pn_ctc_is_full(s)) {
        const int32_t branch = branch_of(s, s->b.node[extreme_slot(s, 1)]);
        if (branch == PN_NONE) {
            drop(s, extreme_slot(s, -1));
        } else {
            d->n_forced += s->trie->nodes[s->trie->root].token.label != PN_NONE;
            for (int32_t i = d->n_hypotheses; i-- > 0;)
                if (branch_of(s, s->b.node[i]) != branch)
                    drop(s, i);
        }
        pn_ctc_commit(s);
    }
}
