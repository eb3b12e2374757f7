/* SPDX-License-Identifier: Apache-2.0 */
/* What may a beam search be told, and where does what it holds stand in the memory that it is given? */
#include <string.h>

#include "ctc_search.h"

enum { MAX_BEAM = 4096, MAX_NODES = 1 << 26, MAX_FRAMES = 1 << 26 };

void pynna_ctc_defaults(int32_t n_labels, pynna_ctc_config *config)
{
    *config = (pynna_ctc_config){.n_labels = n_labels,
                                 .blank = n_labels - 1,
                                 .beam = 500,
                                 .cutoff_top_n = 40,
                                 .cutoff_prob = 1.0,
                                 .score_margin = (double)INFINITY,
                                 .n_nodes = 32768,
                                 .max_frames = 4096};
}

const char *pynna_ctc_config_error(const pynna_ctc_config *c)
{
    if (c == NULL)
        return "there is no configuration";
    if (c->n_labels < 2 || c->n_labels > PN_CTC_MAX_LABELS)
        return "n_labels must be from 2 to 65536";
    if (c->blank < 0 || c->blank >= c->n_labels)
        return "blank must be from 0 to n_labels - 1";
    if (c->beam < 1 || c->beam > MAX_BEAM)
        return "beam must be from 1 to 4096";
    if (c->cutoff_top_n < 1)
        return "cutoff_top_n must be 1 or more";
    if (!(c->cutoff_prob > 0.0) || c->cutoff_prob > 1.0)
        return "cutoff_prob must be above 0 and at most 1";
    if (!(c->score_margin > 0.0))
        return "score_margin must be above 0";
    if (c->n_nodes < 2 * c->beam || c->n_nodes > MAX_NODES)
        return "n_nodes must be from 2 * beam to 67108864";
    if (c->max_frames < 1 || c->max_frames > MAX_FRAMES)
        return "max_frames must be from 1 to 67108864";
    for (int32_t i = 0; c->label_bias != NULL && i < c->n_labels; i++)
        if (!(c->label_bias[i] < INFINITY))
            return "label_bias must hold finite values or -infinity";
    return NULL;
}

static int32_t ranked_capacity(const pynna_ctc_config *c)
{
    return 4 * c->beam + 64; /* room beyond the beam: selecting once in a while is cheaper than at every extension */
}

static pn_ctc_layout plan(const pynna_ctc_config *c)
{
    const size_t n_labels = (size_t)c->n_labels, n_beam = (size_t)c->beam;
    pn_ctc_layout at;
    at.end = sizeof(pynna_ctc);
    at.bias = pn_reserve(&at.end, n_labels, sizeof(float));
    at.now = pn_reserve(&at.end, n_beam + 1, sizeof(pn_ctc_weights));
    at.run = pn_reserve(&at.end, n_beam + 1, sizeof(pynna_ctc_token));
    at.node = pn_reserve(&at.end, n_beam, sizeof(int32_t));
    at.from = pn_reserve(&at.end, n_beam, sizeof(int32_t));
    at.extra = pn_reserve(&at.end, n_beam, sizeof(double));
    at.between = pn_reserve(&at.end, n_beam, sizeof(double));
    at.taken = pn_reserve(&at.end, n_beam, sizeof(uint64_t));
    at.choice = pn_reserve(&at.end, n_beam, sizeof(pynna_ctc_ways));
    at.next = pn_reserve(&at.end, n_beam, sizeof(pn_ctc_weights));
    at.next_run = pn_reserve(&at.end, n_beam, sizeof(pynna_ctc_token));
    at.ways = pn_reserve(&at.end, 3 * n_beam, sizeof(double));
    at.ranked = pn_reserve(&at.end, (size_t)ranked_capacity(c), sizeof(pn_ranked));
    at.leaving = pn_reserve(&at.end, 2 * n_beam, sizeof(int32_t));
    at.labels = pn_reserve(&at.end, n_labels, sizeof(pn_ranked));
    at.log_prob = pn_reserve(&at.end, n_labels + 1, sizeof(double));
    at.mark = pn_reserve(&at.end, n_labels, sizeof(uint8_t));
    at.waiting = pn_reserve(&at.end, (size_t)pn_ctc_waiting_capacity(c), sizeof(pynna_ctc_token));
    at.trie = pn_reserve(&at.end, pn_trie_size(c->n_nodes), 1);
    return at;
}

size_t pynna_ctc_size(const pynna_ctc_config *config)
{
    return pynna_ctc_config_error(config) == NULL ? plan(config).end : 0;
}

pn_ctc pn_ctc_view(pynna_ctc *d)
{
    char *base = (char *)d;
    return (pn_ctc){
        .d = d,
        .bias = d->has_bias ? (const float *)(base + d->at.bias) : NULL,
        .b = {(pn_ctc_weights *)(base + d->at.now) + 1, (pynna_ctc_token *)(base + d->at.run) + 1,
              (int32_t *)(base + d->at.node), (int32_t *)(base + d->at.from), (double *)(base + d->at.extra),
              (double *)(base + d->at.between), (uint64_t *)(base + d->at.taken),
              (pynna_ctc_ways *)(base + d->at.choice)},
        .next = (pn_ctc_weights *)(base + d->at.next),
        .next_run = (pynna_ctc_token *)(base + d->at.next_run),
        .ways = (double *)(base + d->at.ways),
        .ranked = (pn_ranked *)(base + d->at.ranked),
        .leaving = (int32_t *)(base + d->at.leaving),
        .gone = (int32_t *)(base + d->at.leaving) + d->config.beam,
        .labels = (pn_ranked *)(base + d->at.labels),
        .log_prob = (double *)(base + d->at.log_prob) + 1,
        .mark = (uint8_t *)(base + d->at.mark),
        .waiting = (pynna_ctc_token *)(base + d->at.waiting),
        .trie = (pn_trie *)(base + d->at.trie),
        .ranked_capacity = ranked_capacity(&d->config),
    };
}

pn_ctc pn_ctc_const_view(const pynna_ctc *d)
{
    return pn_ctc_view((pynna_ctc *)(uintptr_t)d);
}

int pynna_ctc_reset(pynna_ctc *d)
{
    if (d == NULL)
        return PYNNA_ERR_ARGUMENT;
    d->n_committed = d->n_forced = 0;
    d->finished = d->n_frames = d->n_frames_untaken = d->first_waiting = d->n_waiting = 0;
    d->knows_scorer = 0;
    d->n_hypotheses = 1;
    /* all of it, scratch too: equal streams are equal blocks of bytes */
    memset((char *)d + d->at.now, 0, d->at.end - d->at.now);
    const pn_ctc s = pn_ctc_view(d);
    pn_trie_init(s.trie, d->config.n_nodes);
    s.trie->nodes[s.trie->root].slot = 0;
    const pynna_ctc_token none = {PN_NONE, 0, 0, 0.0f};
    s.b.now[PN_NONE] = (pn_ctc_weights){PN_IMPOSSIBLE, PN_IMPOSSIBLE, PN_IMPOSSIBLE};
    s.b.now[0] = (pn_ctc_weights){0.0, PN_IMPOSSIBLE, 0.0};
    s.b.run[PN_NONE] = s.b.run[0] = none;
    s.b.node[0] = s.trie->root;
    s.b.from[0] = PN_NONE;
    s.log_prob[PN_NONE] = PN_IMPOSSIBLE;
    return PYNNA_OK;
}

int pynna_ctc_init(void *memory, size_t size, const pynna_ctc_config *config, pynna_ctc **out)
{
    if (memory == NULL || out == NULL || pynna_ctc_config_error(config) != NULL)
        return PYNNA_ERR_ARGUMENT;
    const pn_ctc_layout at = plan(config);
    if (size < at.end || (uintptr_t)memory % 64 != 0)
        return PYNNA_ERR_MEMORY;
    pynna_ctc *d = memory;
    memset(memory, 0, at.now);
    d->config = *config;
    d->config.label_bias = NULL;
    d->at = at;
    d->has_bias = config->label_bias != NULL;
    if (d->has_bias)
        memcpy((char *)memory + at.bias, config->label_bias, (size_t)config->n_labels * sizeof(float));
    *out = d;
    return pynna_ctc_reset(d);
}
