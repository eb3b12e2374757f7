/* SPDX-License-Identifier: Apache-2.0 */
/* The words of a beam search: a vocabulary, hot words, and a language model that the caller asks; doc/ctc.md, "Words".
 *
 * A prefix' state is three numbers: the vocabulary's node that its unfinished word has come to, the language model's
 * context before that word, and the hot words' state. A label's bonus is looked up; only the end of a word asks the
 * language model.
 */
#include <math.h>
#include <string.h>

#include "pynna.h"

enum { MASKED = 64 }; /* labels below it have a bit in pynna_ctc_ways */
enum { NODE, CONTEXT, HOT };
enum { OUTSIDE = -1, HOT_START = 0, HOT_INSIDE = 1 };

static int good_vocabulary(const pynna_words *w)
{
    if (w->n_nodes < 1 || w->first_arc == NULL || w->word == NULL || w->first_arc[0] != 0)
        return 0;
    uint32_t wrong = 0; /* no branch: a stream begins with this */
    for (int32_t i = 0; i < w->n_nodes; i++)
        wrong |= w->first_arc[i + 1] < w->first_arc[i];
    const int32_t n_arcs = w->first_arc[w->n_nodes];
    if (wrong || (n_arcs > 0 && (w->arc_label == NULL || w->arc_next == NULL)))
        return 0;
    for (int32_t i = 0; i < n_arcs; i++)
        wrong |= ((uint32_t)w->arc_label[i] >= (uint32_t)w->n_labels)
                 | ((uint32_t)w->arc_next[i] - 1 >= (uint32_t)w->n_nodes - 1);
    return !wrong;
}

static int good_hot_words(const pynna_words *w)
{
    if (w->n_hot < 2 || w->hot_next == NULL || w->hot_bonus == NULL || w->hot_end == NULL)
        return 0;
    for (int64_t i = 0; i < (int64_t)w->n_hot * w->n_labels; i++)
        if (w->hot_next[i] < 0 || w->hot_next[i] >= w->n_hot || !isfinite(w->hot_bonus[i]))
            return 0;
    for (int32_t i = 0; i < w->n_hot; i++)
        if (!isfinite(w->hot_end[i]))
            return 0;
    return 1;
}

const char *pynna_words_error(const pynna_words *w)
{
    if (w == NULL)
        return "there are no words";
    if (w->n_labels < 2 || w->n_labels > 65536)
        return "n_labels must be from 2 to 65536";
    if (w->space < 0 || w->space >= w->n_labels)
        return "space must be from 0 to n_labels - 1";
    if (w->n_nodes != 0 && !good_vocabulary(w))
        return "the vocabulary must be a tree of at least one node, its arcs inside it and none to its root";
    if (w->n_hot != 0 && !good_hot_words(w))
        return "the hot words' tables must have 2 states or more, each next one among them, and finite bonuses";
    if (!(w->outside <= 0.0) || !(w->unfinished <= 0.0) || !(w->unfinished > -INFINITY))
        return "outside must be 0 or less, unfinished too and finite";
    if (!(w->outside_letter <= 0.0) || !(w->outside_letter > -INFINITY))
        return "outside_letter must be 0 or less and finite";
    if (!(w->word_most >= 0.0) || !(w->word_most < INFINITY))
        return "word_most must be 0 or more and finite";
    return NULL;
}

static int32_t child(const pynna_words *w, int32_t node, int32_t label)
{
    if (node == 0 && label < MASKED)
        return w->root_next[label] != 0 ? w->root_next[label] : OUTSIDE;
    for (int32_t i = w->first_arc[node]; i < w->first_arc[node + 1]; i++)
        if (w->arc_label[i] == label)
            return w->arc_next[i];
    return OUTSIDE;
}

static double ask(const pynna_words *w, int32_t context, int32_t word, int32_t *next)
{
    *next = context;
    return w->score == NULL ? 0.0 : w->score(w->context, context, word, next);
}

/* The number of the word that a prefix ends in; OUTSIDE if the vocabulary has none. */
static int32_t word_at(const pynna_words *w, int32_t node)
{
    return node == OUTSIDE ? OUTSIDE : w->word[node];
}

static double extend_vocabulary(const pynna_words *w, const pynna_ctc_state *state, int32_t label,
                                pynna_ctc_state *next)
{
    const int32_t node = state->number[NODE];
    if (label != w->space) {
        next->number[NODE] = node == OUTSIDE ? OUTSIDE : child(w, node, label);
        if (next->number[NODE] != OUTSIDE)
            return 0.0;
        return node == OUTSIDE ? w->outside_letter : w->outside;
    }
    next->number[NODE] = 0;
    const int32_t word = word_at(w, node);
    if (node == 0 || (word == OUTSIDE && w->outside == -INFINITY))
        return -INFINITY; /* no word before the space, or half a one */
    const double asked = ask(w, state->number[CONTEXT], word, &next->number[CONTEXT]);
    return word == OUTSIDE && node != OUTSIDE ? asked + w->outside : asked; /* else it was when the tree was left */
}

static double extend(void *context, const pynna_ctc_state *state, int32_t label, pynna_ctc_state *next)
{
    const pynna_words *w = context;
    *next = *state;
    double bonus = 0.0;
    if (w->n_nodes > 0)
        bonus += extend_vocabulary(w, state, label, next);
    if (w->n_hot > 0) {
        const int64_t at = (int64_t)state->number[HOT] * w->n_labels + label;
        bonus += w->hot_bonus[at];
        next->number[HOT] = w->hot_next[at];
    }
    return bonus;
}

/* Without a way out of the vocabulary only what it spells is allowed; hot words may give any label something. */
static pynna_ctc_ways ways(void *context, const pynna_ctc_state *state)
{
    const pynna_words *w = context;
    const int32_t node = state->number[NODE];
    pynna_ctc_ways found = {0, 0, w->hot_most};
    if (w->n_nodes == 0)
        return (pynna_ctc_ways){~(uint64_t)0, w->n_hot == 0 ? ~(uint64_t)0 : 0, w->hot_most};
    if (node == 0)
        found.allowed = w->root_labels;
    else if (node != OUTSIDE)
        for (int32_t i = w->first_arc[node]; i < w->first_arc[node + 1]; i++)
            if (w->arc_label[i] < MASKED)
                found.allowed |= (uint64_t)1 << w->arc_label[i];
    if (w->n_hot == 0)
        found.free = found.allowed;
    if (w->n_hot == 0 && w->outside > -INFINITY)
        found.most = node == OUTSIDE ? w->outside_letter : w->outside;
    if (w->outside > -INFINITY)
        found.allowed = ~(uint64_t)0;
    if (w->space < MASKED) {
        const uint64_t space = (uint64_t)1 << w->space;
        const int may_end = node != 0 && (word_at(w, node) != OUTSIDE || w->outside > -INFINITY);
        found.free &= ~space;
        found.allowed = may_end ? found.allowed | space : found.allowed & ~space;
    }
    return found;
}

static double finish(void *context, const pynna_ctc_state *state)
{
    const pynna_words *w = context;
    const int32_t node = state->number[NODE];
    double bonus = w->n_hot > 0 ? w->hot_end[state->number[HOT]] : 0.0;
    if (w->n_nodes > 0 && node != 0) {
        const int32_t word = word_at(w, node);
        int32_t next;
        bonus += ask(w, state->number[CONTEXT], word, &next);
        if (word == OUTSIDE)
            bonus += (w->outside > w->unfinished ? w->outside : w->unfinished) - (node == OUTSIDE ? w->outside : 0.0);
    }
    return bonus;
}

/* Hot words alone change: in the other tables the state means the same. */
static void carry(void *context, int32_t label, pynna_ctc_state *state)
{
    const pynna_words *w = context;
    state->number[HOT] = w->n_hot == 0 || label < 0 || label == w->space ? HOT_START : HOT_INSIDE;
}

int pynna_words_scorer(pynna_words *words, pynna_ctc_scorer *scorer)
{
    if (words == NULL || scorer == NULL || pynna_words_error(words) != NULL)
        return PYNNA_ERR_ARGUMENT;
    memset(words->root_next, 0, sizeof words->root_next);
    words->root_labels = 0;
    for (int32_t i = 0; words->n_nodes > 0 && i < words->first_arc[1]; i++)
        if (words->arc_label[i] < MASKED && words->root_next[words->arc_label[i]] == 0) {
            words->root_next[words->arc_label[i]] = words->arc_next[i];
            words->root_labels |= (uint64_t)1 << words->arc_label[i];
        }
    double most = 0.0;
    for (int64_t i = 0; i < (int64_t)words->n_hot * words->n_labels; i++)
        most = words->hot_bonus[i] > most ? words->hot_bonus[i] : most;
    words->hot_most = most;
    *scorer = (pynna_ctc_scorer){words, extend, finish, most + words->word_most, carry, 1, words->space, most, ways};
    return PYNNA_OK;
}
