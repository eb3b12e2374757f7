/* SPDX-License-Identifier: Apache-2.0 */
/* One microphone's way from audio to text, in one block of memory: what firmware calls. */
#include "exact_math.h"
#include "model.h"
#include "pynna.h"
#include "micro.h"

enum { DEFAULT_ACTIVE = 128, DEFAULT_LABELS = 256, RECORDS = 8 };

struct pynna_micro {
    pynna_micro_config config;
    const pynna_model *model;
    const pynna_mfcc *mfcc;
    pynna_frames *frames;
    pynna_workspace *workspace;
    pynna_graph graph;
    pynna_search *search; /* NULL: the most probable letters */
    pynna_ctc_greedy greedy;
    pynna_search_token *tokens; /* of a grammar, room for a sentence of n_labels labels */
    uint16_t *labels;           /* the letters so far, [max_labels] */
    int32_t n_labels, n_steps, finished;
    void *scratch;
    int16_t *c;
    int8_t *h;
    float *log_probs;
};

/* Where the parts lie, in bytes from the start. */
typedef struct {
    size_t model, mfcc, scratch, frames, workspace, search, tokens, labels, c, h, log_probs, end;
    size_t model_bytes, mfcc_bytes, frames_bytes, workspace_bytes, search_bytes;
} places;

static size_t take(places *p, size_t bytes)
{
    const size_t at = p->end;
    p->end = pn_align64(at + bytes);
    return at;
}

static pynna_micro_config with_defaults(const pynna_micro_config *config)
{
    pynna_micro_config c = *config;
    c.max_active = c.max_active ? c.max_active : DEFAULT_ACTIVE;
    c.max_labels = c.max_labels ? c.max_labels : DEFAULT_LABELS;
    return c;
}

static pynna_mfcc_config front_end(const pynna_geometry *g)
{
    return (pynna_mfcc_config){g->sample_rate, g->window,       g->step,        g->n_coefficients,
                               g->n_mel,       g->mel_lower_hz, g->mel_upper_hz};
}

static int32_t label_numbered(const pynna_model *model, char letter)
{
    for (int32_t i = 0; i < model->geometry.n_labels; i++) {
        const char *text = pynna_model_label(model, i);
        if (text[0] == letter && text[1] == 0)
            return i;
    }
    return -1;
}

static pynna_search_config search_config(const pynna_model *model, const pynna_micro_config *c, int32_t space,
                                         const float *bias)
{
    pynna_search_config s;
    pynna_search_defaults(model->geometry.n_labels, &s);
    s.max_active = c->max_active;
    s.n_records = RECORDS * c->max_active;
    s.noise_cost = (double)c->noise_cost;
    s.space = space;
    s.label_bias = bias;
    return s;
}

static void priors_bias(const pynna_model *model, float scale, float *bias)
{
    for (int32_t i = 0; i < model->geometry.n_labels; i++)
        bias[i] = (float)(-(double)scale * pn_log((double)model->label_priors[i]));
}

/* pynna_mfcc_scratch_size of a front end that is not made yet. */
static size_t mfcc_scratch_bytes(const pynna_mfcc_config *c)
{
    const size_t points = (size_t)c->window / 2 + 8;
    return 4 * sizeof(double) * (points > 128 ? points : 128);
}

/* Lays everything out for a model and, unless it is NULL, a graph. Returns a status. */
static int plan(const pynna_model *model, const pynna_graph *graph, const pynna_micro_config *c, places *p)
{
    const pynna_geometry *g = &model->geometry;
    const pynna_mfcc_config mfcc = front_end(g);
    memset(p, 0, sizeof *p);
    p->model_bytes = pynna_model_size();
    p->mfcc_bytes = pynna_mfcc_size(&mfcc);
    p->workspace_bytes = pynna_workspace_size(model, PYNNA_MAX_CHANNELS);
    if (p->mfcc_bytes == 0 || p->workspace_bytes == 0)
        return PYNNA_ERR_FILE_VALUE;
    take(p, sizeof(pynna_micro));
    p->model = take(p, p->model_bytes);
    p->mfcc = take(p, p->mfcc_bytes);
    p->c = take(p, (size_t)g->n_cell * sizeof(int16_t));
    p->h = take(p, (size_t)g->n_cell);
    p->log_probs = take(p, (size_t)g->n_labels * sizeof(float));
    p->workspace = take(p, p->workspace_bytes);
    if (graph) {
        const pynna_search_config s = search_config(model, c, -1, NULL);
        p->search_bytes = pynna_search_size(graph, &s);
        if (p->search_bytes == 0)
            return PYNNA_ERR_ARGUMENT;
        p->search = take(p, p->search_bytes);
        p->tokens = take(p, (size_t)c->max_labels * sizeof(pynna_search_token));
    } else {
        p->labels = take(p, (size_t)c->max_labels * sizeof(uint16_t));
    }
    /* A stream's size asks the front end for its configuration alone, which stands first in it: it is not made yet. */
    p->frames_bytes = pynna_frames_size((const pynna_mfcc *)(const void *)&mfcc, g->n_context, 1);
    p->frames = take(p, p->frames_bytes);
    p->scratch = p->end; /* the rest */
    take(p, mfcc_scratch_bytes(&mfcc));
    return PYNNA_OK;
}

static int open_grammar(const pynna_micro_config *c, pynna_graph *graph)
{
    return c->grammar ? pynna_graph_open(c->grammar, c->grammar_bytes, graph) : PYNNA_OK;
}

static int good(const pynna_micro_config *c)
{
    return c && c->model && c->max_active >= 0 && c->max_labels >= 0 && c->max_labels <= 65536 && c->prior_scale >= 0.0f
           && c->prior_scale <= 10.0f && c->noise_cost >= 0.0f;
}

size_t pynna_micro_size(const pynna_micro_config *config)
{
    pynna_model head;
    pynna_graph graph;
    places p;
    if (!good(config) || pn_model_shape(config->model, config->model_bytes, &head) != PYNNA_OK
        || open_grammar(config, &graph) != PYNNA_OK)
        return 0;
    const pynna_micro_config c = with_defaults(config);
    return plan(&head, c.grammar ? &graph : NULL, &c, &p) == PYNNA_OK ? p.end : 0;
}

static int build(unsigned char *base, const places *p, pynna_micro *m)
{
    const pynna_micro_config *c = &m->config;
    int status = pynna_workspace_init(base + p->workspace, p->workspace_bytes, m->model, PYNNA_MAX_CHANNELS, c->isa,
                                      &m->workspace);
    if (!status)
        status =
            pynna_frames_init(base + p->frames, p->frames_bytes, m->mfcc, m->model->geometry.n_context, 1, &m->frames);
    if (!status && c->grammar) {
        priors_bias(m->model, c->prior_scale, m->log_probs); /* for the time being; the search copies it */
        const pynna_search_config s =
            search_config(m->model, c, label_numbered(m->model, ' '), c->prior_scale > 0.0f ? m->log_probs : NULL);
        status = pynna_search_init(base + p->search, p->search_bytes, &m->graph, &s, &m->search);
    }
    return status ? status : pynna_micro_reset(m);
}

int pynna_micro_init(void *memory, size_t size, const pynna_micro_config *config, pynna_micro **out)
{
    if (!memory || !out || !good(config))
        return PYNNA_ERR_ARGUMENT;
    if ((uintptr_t)memory % 64 || size < pn_align64(sizeof(pynna_micro)) + pynna_model_size())
        return PYNNA_ERR_MEMORY;
    unsigned char *base = memory;
    pynna_micro *m = memory;
    places p;
    memset(m, 0, sizeof *m);
    m->config = with_defaults(config);
    int status = pynna_model_init(base + pn_align64(sizeof *m), pynna_model_size(), m->config.model,
                                  m->config.model_bytes, &m->model);
    if (!status)
        status = open_grammar(&m->config, &m->graph);
    if (!status)
        status = plan(m->model, m->config.grammar ? &m->graph : NULL, &m->config, &p);
    if (status)
        return status;
    if (size < p.end)
        return PYNNA_ERR_MEMORY;
    const pynna_mfcc_config mfcc = front_end(&m->model->geometry);
    if ((status = pynna_mfcc_init(base + p.mfcc, p.mfcc_bytes, &mfcc, &m->mfcc)) != PYNNA_OK)
        return status;
    m->scratch = base + p.scratch;
    m->c = (int16_t *)(void *)(base + p.c);
    m->h = (int8_t *)(base + p.h);
    m->log_probs = (float *)(void *)(base + p.log_probs);
    m->tokens = (pynna_search_token *)(void *)(base + p.tokens);
    m->labels = (uint16_t *)(void *)(base + p.labels);
    *out = m;
    return build(base, &p, m);
}

int pynna_micro_reset(pynna_micro *m)
{
    if (!m)
        return PYNNA_ERR_ARGUMENT;
    const pynna_geometry *g = &m->model->geometry;
    pynna_frames_reset(m->frames);
    memset(m->c, 0, (size_t)g->n_cell * sizeof *m->c);
    memset(m->h, 0, (size_t)g->n_cell);
    m->n_labels = m->n_steps = m->finished = 0;
    return m->search ? pynna_search_reset(m->search, &m->graph)
                     : pynna_ctc_greedy_init(g->n_labels, g->blank, &m->greedy);
}

static int add_label(pynna_micro *m, const pynna_ctc_token *token, int32_t n)
{
    if (n == 0)
        return PYNNA_OK;
    if (m->n_labels == m->config.max_labels)
        return PYNNA_ERR_FULL;
    m->labels[m->n_labels++] = (uint16_t)token->label;
    return PYNNA_OK;
}

static int decode(pynna_micro *m)
{
    if (m->search)
        return pynna_search_feed(m->search, &m->graph, m->log_probs, 1);
    pynna_ctc_token token;
    int32_t n = 0;
    const int status = pynna_ctc_greedy_feed(&m->greedy, m->log_probs, 1, &token, &n);
    return status ? status : add_label(m, &token, n);
}

/* Steps for the windows that are ready. */
static int run(pynna_micro *m)
{
    const float *x;
    while ((x = pynna_frames_peek(m->frames)) != NULL) {
        float speech = 0.0f;
        const pynna_channel channel = {x, 0, m->c, m->h, m->c, m->h, m->log_probs, &speech};
        int status = pynna_step(m->workspace, NULL, 1, 1, &channel);
        pynna_frames_advance(m->frames, 1);
        if (!status)
            status = decode(m);
        if (status)
            return status;
        m->n_steps++;
        if (m->config.on_step)
            m->config.on_step(m->config.context, m->log_probs, m->model->geometry.n_labels, speech);
    }
    return PYNNA_OK;
}

int pynna_micro_feed(pynna_micro *m, const int16_t *pcm, size_t n_samples)
{
    if (!m || (!pcm && n_samples))
        return PYNNA_ERR_ARGUMENT;
    if (m->finished)
        return PYNNA_ERR_FINISHED;
    for (size_t taken; n_samples; pcm += taken, n_samples -= taken) {
        int status = pynna_frames_feed(m->frames, m->mfcc, pcm, n_samples, &taken, m->scratch);
        if (!status)
            status = run(m);
        if (status)
            return status;
    }
    return PYNNA_OK;
}

int pynna_micro_finish(pynna_micro *m)
{
    if (!m)
        return PYNNA_ERR_ARGUMENT;
    if (m->finished)
        return PYNNA_ERR_FINISHED;
    int status = pynna_frames_finish(m->frames, m->mfcc, m->scratch);
    if (!status)
        status = run(m);
    if (status)
        return status;
    m->finished = 1;
    if (m->search)
        return pynna_search_finish(m->search);
    pynna_ctc_token token;
    int32_t n = 0;
    status = pynna_ctc_greedy_finish(&m->greedy, &token, &n);
    return status ? status : add_label(m, &token, n);
}

/* Appends a label's text; 0 if it does not fit. */
static int append(const pynna_model *model, int32_t label, char *text, size_t size, size_t *at)
{
    const char *letter = pynna_model_label(model, label);
    const size_t n = strlen(letter);
    if (*at + n + 1 > size)
        return 0;
    memcpy(text + *at, letter, n);
    text[ *at += n] = 0;
    return 1;
}

static int sentence(pynna_micro *m, char *text, size_t size, pynna_micro_result *result)
{
    pynna_search_hypothesis best;
    pynna_search_stats stats;
    int32_t n_best = 0, n = 0;
    size_t at = 0;
    const int status = pynna_search_nbest(m->search, &m->graph, 1, &best, &n_best, m->config.max_labels, m->tokens, &n);
    if (status)
        return status;
    pynna_search_get_stats(m->search, &stats);
    result->score = n_best ? best.score : 0.0;
    result->unconstrained_score = stats.unconstrained_score;
    result->complete = n_best && best.complete;
    const int32_t n_labels = m->model->geometry.n_labels; /* labels of free speech stand behind the others */
    for (int32_t i = 0; i < n; i++)
        if (!append(m->model, m->tokens[i].label % n_labels, text, size, &at))
            return PYNNA_ERR_MEMORY;
    return PYNNA_OK;
}

static int letters(pynna_micro *m, char *text, size_t size, pynna_micro_result *result)
{
    pynna_ctc_token token;
    int32_t n = 0;
    size_t at = 0;
    result->score = result->unconstrained_score = m->greedy.score;
    result->complete = 1;
    for (int32_t i = 0; i < m->n_labels; i++)
        if (!append(m->model, m->labels[i], text, size, &at))
            return PYNNA_ERR_MEMORY;
    pynna_ctc_greedy_pending(&m->greedy, &token, &n);
    return n && !append(m->model, token.label, text, size, &at) ? PYNNA_ERR_MEMORY : PYNNA_OK;
}

int pynna_micro_text(pynna_micro *m, char *text, size_t size, pynna_micro_result *result)
{
    pynna_micro_result unused;
    if (!m || !text || size < 1)
        return PYNNA_ERR_ARGUMENT;
    text[0] = 0;
    result = result ? result : &unused;
    result->n_steps = m->n_steps;
    const int status = m->search ? sentence(m, text, size, result) : letters(m, text, size, result);
    if (status)
        text[0] = 0;
    return status;
}

const pynna_model *pynna_micro_model(const pynna_micro *micro)
{
    return micro->model;
}

const char *pynna_micro_isa(const pynna_micro *micro)
{
    return pynna_workspace_isa(micro->workspace);
}
