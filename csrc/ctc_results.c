/* SPDX-License-Identifier: Apache-2.0 */
/* What has a beam search heard? Labels that are committed, and the best hypotheses after them. */
#include "ctc_search.h"

int pynna_ctc_take(pynna_ctc *d, int32_t max_tokens, pynna_ctc_token *tokens, int32_t *n_tokens)
{
    if (d == NULL || n_tokens == NULL || max_tokens < 0 || (max_tokens > 0 && tokens == NULL))
        return PYNNA_ERR_ARGUMENT;
    const pn_ctc s = pn_ctc_view(d);
    const int32_t n = max_tokens < d->n_waiting ? max_tokens : d->n_waiting;
    for (int32_t i = 0; i < n; i++) {
        tokens[i] = s.waiting[d->first_waiting++];
        if (d->first_waiting == pn_ctc_waiting_capacity(&d->config))
            d->first_waiting = 0;
    }
    d->n_waiting -= n;
    if (d->n_waiting == 0)
        d->n_frames_untaken = 0;
    *n_tokens = n;
    return PYNNA_OK;
}

/* Writes the tail of a node, whose length is n. */
static void write_tail(const pn_ctc *s, int32_t node, int32_t n, pynna_ctc_token *tokens)
{
    for (; n > 0; node = s->trie->nodes[node].parent)
        tokens[--n] = s->trie->nodes[node].token;
}

int pynna_ctc_best(const pynna_ctc *d, int32_t max_tokens, pynna_ctc_token *tokens, int32_t *n_tokens, double *score)
{
    pynna_ctc_hypothesis best;
    int32_t n;
    if (score == NULL)
        return PYNNA_ERR_ARGUMENT;
    const int status = pynna_ctc_nbest(d, 1, &best, &n, max_tokens, tokens, n_tokens);
    if (status == PYNNA_OK)
        *score = best.score;
    return status;
}

static int worse(const pynna_ctc_hypothesis *a, const pynna_ctc_hypothesis *b)
{
    return a->score != b->score ? a->score < b->score : a->first > b->first;
}

/* Lets heap[i] sink in a heap [n] whose root is the worst. */
static void sink(pynna_ctc_hypothesis *heap, int32_t i, int32_t n)
{
    for (int32_t child; (child = 2 * i + 1) < n; i = child) {
        if (child + 1 < n && worse(&heap[child + 1], &heap[child]))
            child++;
        if (!worse(&heap[child], &heap[i]))
            return;
        const pynna_ctc_hypothesis t = heap[i];
        heap[i] = heap[child];
        heap[child] = t;
    }
}

/* The n best slots of the beam, best first; `first` holds the slot. */
static void best_slots(const pn_ctc *s, int32_t n, pynna_ctc_hypothesis *best)
{
    for (int32_t i = 0; i < s->d->n_hypotheses; i++) {
        const pynna_ctc_hypothesis h = {s->b.now[i].total, i, 0};
        if (i < n) {
            best[i] = h;
            for (int32_t j = n / 2; i == n - 1 && j-- > 0;)
                sink(best, j, n);
        } else if (worse(&best[0], &h)) {
            best[0] = h;
            sink(best, 0, n);
        }
    }
    for (int32_t end = n; end-- > 1;) {
        const pynna_ctc_hypothesis t = best[0];
        best[0] = best[end];
        best[end] = t;
        sink(best, 0, end);
    }
}

int pynna_ctc_nbest(const pynna_ctc *d, int32_t max_hypotheses, pynna_ctc_hypothesis *hypotheses, int32_t *n_hypotheses,
                    int32_t max_tokens, pynna_ctc_token *tokens, int32_t *n_tokens)
{
    if (d == NULL || hypotheses == NULL || n_hypotheses == NULL || n_tokens == NULL || max_hypotheses < 1
        || max_tokens < 0 || (max_tokens > 0 && tokens == NULL))
        return PYNNA_ERR_ARGUMENT;
    const pn_ctc s = pn_ctc_const_view(d);
    const int32_t n = max_hypotheses < d->n_hypotheses ? max_hypotheses : d->n_hypotheses;
    best_slots(&s, n, hypotheses);
    int64_t end = 0;
    for (int32_t i = 0; i < n; i++) {
        pynna_ctc_hypothesis *h = &hypotheses[i];
        const int32_t node = s.b.node[h->first];
        h->n_tokens = pn_trie_depth(s.trie, node);
        h->first = (int32_t)end;
        end += h->n_tokens;
        if (end > INT32_MAX)
            return PYNNA_ERR_MEMORY;
        if (end <= max_tokens && h->n_tokens > 0)
            write_tail(&s, node, h->n_tokens, &tokens[h->first]);
    }
    *n_hypotheses = n;
    *n_tokens = (int32_t)end;
    return end <= max_tokens ? PYNNA_OK : PYNNA_ERR_MEMORY;
}

int pynna_ctc_get_stats(const pynna_ctc *d, pynna_ctc_stats *stats)
{
    if (d == NULL || stats == NULL)
        return PYNNA_ERR_ARGUMENT;
    const pn_ctc s = pn_ctc_const_view(d);
    *stats = (pynna_ctc_stats){
        .n_committed = d->n_committed,
        .n_forced = d->n_forced,
        .n_frames = d->n_frames,
        .n_room = d->config.max_frames - d->n_frames_untaken,
        .n_waiting = d->n_waiting,
        .n_hypotheses = d->n_hypotheses,
        .n_nodes = s.trie->n_live,
        .most_nodes = s.trie->most_live,
        .finished = d->finished,
    };
    return PYNNA_OK;
}
