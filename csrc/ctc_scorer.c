/* SPDX-License-Identifier: Apache-2.0 */
/* How does a beam search get to know its scorer, exchange it for another in a stream, and let it have the last word? */
#include "ctc_beam.h"

int pn_ctc_good_scorer(const pynna_ctc_scorer *scorer)
{
    return scorer == NULL || (scorer->extend != NULL && scorer->finish != NULL && scorer->most < INFINITY);
}

void pn_ctc_ask_scorer(pn_ctc *s)
{
    for (int32_t i = 0; i < s->d->n_hypotheses; i++) {
        s->b.extra[i] = s->trie->nodes[s->b.node[i]].extra;
        s->b.between[i] = PN_UNASKED;
        s->b.choice[i] = pn_ctc_choice_of(s, s->b.node[i]);
    }
    s->d->knows_scorer = 1;
}

/* Adds to each hypothesis what the end of the text would, or takes it away. */
static void settle_scores(const pn_ctc *s, const pynna_ctc_scorer *scorer, double sign)
{
    for (int32_t i = 0; i < s->d->n_hypotheses; i++) {
        pn_ctc_weights *h = &s->b.now[i];
        const double extra = sign * scorer->finish(scorer->context, &s->trie->nodes[s->b.node[i]].state);
        h->blank += extra;
        h->label += extra;
        h->total += extra;
    }
}

/* The next node in an order in which parents come before their children; PN_NONE after the last. */
static int32_t following(const pn_trie *trie, int32_t node)
{
    if (trie->nodes[node].first_child != PN_NONE)
        return trie->nodes[node].first_child;
    while (node != trie->root && trie->nodes[node].next == PN_NONE)
        node = trie->nodes[node].parent;
    return node == trie->root ? PN_NONE : trie->nodes[node].next;
}

int pynna_ctc_change_scorer(pynna_ctc *d, const pynna_ctc_scorer *before, const pynna_ctc_scorer *scorer)
{
    if (d == NULL || before == NULL || scorer == NULL || !pn_ctc_good_scorer(before) || !pn_ctc_good_scorer(scorer))
        return PYNNA_ERR_ARGUMENT;
    if (d->finished)
        return PYNNA_ERR_FINISHED;
    const pn_ctc s = pn_ctc_view(d);
    pn_node *nodes = s.trie->nodes, *root = &nodes[s.trie->root];
    settle_scores(&s, before, 1.0);
    if (scorer->carry != NULL)
        scorer->carry(scorer->context, root->token.label, &root->state);
    for (int32_t i = following(s.trie, s.trie->root); i != PN_NONE; i = following(s.trie, i))
        nodes[i].extra =
            scorer->extend(scorer->context, &nodes[nodes[i].parent].state, nodes[i].token.label, &nodes[i].state);
    settle_scores(&s, scorer, -1.0);
    d->knows_scorer = 0;
    return PYNNA_OK;
}

int pynna_ctc_finish(pynna_ctc *d)
{
    return pynna_ctc_finish_scored(d, NULL);
}

int pynna_ctc_finish_scored(pynna_ctc *d, const pynna_ctc_scorer *scorer)
{
    if (d == NULL || !pn_ctc_good_scorer(scorer))
        return PYNNA_ERR_ARGUMENT;
    if (d->finished)
        return PYNNA_ERR_FINISHED;
    d->finished = 1;
    const pn_ctc s = pn_ctc_view(d);
    for (int32_t i = 0; scorer != NULL && i < d->n_hypotheses; i++)
        s.b.now[i].total += scorer->finish(scorer->context, &s.trie->nodes[s.b.node[i]].state);
    return PYNNA_OK;
}
