/* SPDX-License-Identifier: Apache-2.0 */
/* Streams: audio to windows, windows to probabilities in batches of DS_STEPS, probabilities to the search; and results
 * as the interface tells them. See client.h. */
#define _POSIX_C_SOURCE 200809L
#include <stdlib.h>
#include <string.h>

#include "../exact_math.h"
#include "client.h"

struct StreamingState {
    ModelState *model;
    ds_scorer *scorer; /* the model's when the stream began */
    ds_search *search;
    pynna_frames *frames;
    void *memory; /* frames, scratch, states and outputs, one after the other */
    void *scratch;
    int16_t *c;        /* [n_cell] */
    int8_t *h;         /* [n_cell] */
    float *probs;      /* [DS_STEPS, n_labels] */
    double *emissions; /* [n_frames, n_labels] */
    size_t n_frames, emission_room;
    int32_t keep_emissions, failed, finished;
};

static size_t round64(size_t n)
{
    return (n + 63) & ~(size_t)63;
}

static int place_arrays(StreamingState *s)
{
    const ModelState *m = s->model;
    const pynna_geometry *g = m->geometry;
    const size_t frames = round64(pynna_frames_size(m->mfcc, g->n_context, DS_STEPS));
    const size_t scratch = round64(pynna_mfcc_scratch_size(m->mfcc)), c = round64((size_t)g->n_cell * sizeof *s->c);
    const size_t h = round64((size_t)g->n_cell), probs = round64((size_t)g->n_labels * DS_STEPS * sizeof *s->probs);
    if (posix_memalign(&s->memory, 64, frames + scratch + c + h + probs) != 0) {
        s->memory = NULL;
        return -1;
    }
    char *at = s->memory;
    memset(at, 0, frames + scratch + c + h + probs);
    s->scratch = at + frames;
    s->c = (int16_t *)(void *)(at + frames + scratch);
    s->h = (int8_t *)(at + frames + scratch + c);
    s->probs = (float *)(void *)(at + frames + scratch + c + h);
    return pynna_frames_init(at, frames, m->mfcc, g->n_context, DS_STEPS, &s->frames) == PYNNA_OK ? 0 : -1;
}

/* The search with the model's scorer and hot words as they are now; the caller holds the model's lock. */
static int start_search(StreamingState *s)
{
    ModelState *m = s->model;
    const ds_search_config config = {.n_labels = m->geometry->n_labels,
                                     .space = m->space,
                                     .beam = (int32_t)m->beam_width,
                                     .cutoff_top_n = 40,
                                     .cutoff_prob = 1.0,
                                     .times = (ds_times)m->times,
                                     .delayed_start = m->delayed_start,
                                     .is_cost = m->is_cost,
                                     .label = (const uint8_t *const *)m->label,
                                     .label_bytes = m->label_bytes};
    ds_hot_word *words = calloc((size_t)m->n_boosts + 1, sizeof *words);
    if (words == NULL)
        return -1;
    for (int32_t i = 0; i < m->n_boosts; i++)
        words[i] = m->boosts[i].entry;
    s->scorer = m->scorer;
    if (s->scorer != NULL)
        s->scorer->n_users++;
    s->search = ds_search_new(&config, s->scorer, m->alpha, m->beta, words, s->scorer != NULL ? m->n_boosts : 0);
    free(words);
    return s->search == NULL ? -1 : 0;
}

int ds_stream_new(ModelState *model, int keep_emissions, StreamingState **out)
{
    StreamingState *s = calloc(1, sizeof *s);
    if (s == NULL)
        return DS_ERR_FAIL_CREATE_STREAM;
    s->model = model;
    s->keep_emissions = keep_emissions;
    pthread_mutex_lock(&model->lock);
    model->n_users++;
    const int good = start_search(s) == 0;
    pthread_mutex_unlock(&model->lock);
    if (!good || place_arrays(s) != 0) {
        ds_stream_free(s);
        return DS_ERR_FAIL_CREATE_STREAM;
    }
    *out = s;
    return DS_ERR_OK;
}

void ds_stream_free(StreamingState *s)
{
    ds_search_free(s->search);
    free(s->memory);
    free(s->emissions);
    pthread_mutex_lock(&s->model->lock);
    const int last = s->scorer != NULL && --s->scorer->n_users == 0;
    pthread_mutex_unlock(&s->model->lock);
    if (last)
        ds_scorer_close(s->scorer);
    ds_model_release(s->model);
    free(s);
}

/* ---- audio to the search ----------------------------------------------------------------------------------------- */

static int keep(StreamingState *s, int32_t n)
{
    const size_t width = (size_t)s->model->geometry->n_labels;
    if (s->n_frames + (size_t)n > s->emission_room) {
        const size_t room = 2 * s->emission_room + 256;
        double *larger = realloc(s->emissions, room * width * sizeof *larger);
        if (larger == NULL)
            return -1;
        s->emissions = larger;
        s->emission_room = room;
    }
    for (size_t i = 0; i < (size_t)n * width; i++)
        s->emissions[s->n_frames * width + i] = (double)s->probs[i];
    s->n_frames += (size_t)n;
    return 0;
}

/* Runs the windows that are ready through the network and its output through the search. */
static int run(StreamingState *s)
{
    ModelState *m = s->model;
    int32_t n = pynna_frames_ready(s->frames);
    for (; n > 0; n = pynna_frames_ready(s->frames)) {
        n = n < DS_STEPS ? n : DS_STEPS;
        const pynna_channel channel = {
            pynna_frames_peek(s->frames), (size_t)m->geometry->n_coefficients, s->c, s->h, s->c, s->h, s->probs, NULL};
        ds_runner *runner = ds_runner_take(m);
        if (runner == NULL)
            return -1;
        const int status = pynna_step(runner->workspace, runner->pool, 1, n, &channel);
        ds_runner_give(m, runner);
        if (status != PYNNA_OK || pynna_frames_advance(s->frames, n) != PYNNA_OK)
            return -1;
        for (int32_t i = 0; i < n * m->geometry->n_labels; i++)
            s->probs[i] = (float)pn_exp((double)s->probs[i]);
        if ((s->keep_emissions && keep(s, n) != 0) || ds_search_feed(s->search, s->probs, n) != 0)
            return -1;
    }
    return 0;
}

int ds_stream_feed(StreamingState *s, const int16_t *pcm, size_t n_samples)
{
    while (n_samples > 0 && !s->failed && !s->finished) {
        size_t taken = 0;
        const int status = pynna_frames_feed(s->frames, s->model->mfcc, pcm, n_samples, &taken, s->scratch);
        if (status != PYNNA_OK && status != PYNNA_ERR_FULL)
            s->failed = 1;
        else if (pynna_frames_ready(s->frames) >= DS_STEPS)
            s->failed = run(s) != 0;
        else if (taken == 0)
            break;
        pcm += taken;
        n_samples -= taken;
    }
    return s->failed ? -1 : 0;
}

int ds_stream_flush(StreamingState *s)
{
    if (!s->failed)
        s->failed = run(s) != 0;
    return s->failed ? -1 : 0;
}

int ds_stream_finish(StreamingState *s)
{
    if (!s->finished && !s->failed) {
        s->finished = 1;
        s->failed = pynna_frames_finish(s->frames, s->model->mfcc, s->scratch) != PYNNA_OK || run(s) != 0;
    }
    return s->failed ? -1 : 0;
}

/* ---- results ----------------------------------------------------------------------------------------------------- */

char *ds_stream_text(StreamingState *s)
{
    ds_hypothesis *best = NULL;
    ds_token *tokens = NULL;
    int32_t n = 0;
    if (s->failed || ds_search_results(s->search, 1, &best, &n, &tokens) != 0)
        return NULL;
    size_t size = 1;
    for (int32_t i = 0; n > 0 && i < best->n_tokens; i++)
        size += (size_t)s->model->label_bytes[tokens[i].label];
    char *text = malloc(size);
    for (int32_t i = 0, at = 0; text != NULL && n > 0 && i < best->n_tokens; i++) {
        const int32_t label = tokens[i].label;
        memcpy(text + at, s->model->label[label], (size_t)s->model->label_bytes[label]);
        at += s->model->label_bytes[label];
    }
    if (text != NULL)
        text[size - 1] = 0;
    free(best);
    free(tokens);
    return text;
}

/* The interface's structures have const members, so that each is written as a whole. */
typedef struct {
    const char *text;
    unsigned int timestep;
    float start_time;
} token_out;

typedef struct {
    const void *tokens;
    unsigned int num_tokens;
    double confidence;
} transcript_out;

typedef struct {
    unsigned int num_symbols;
    const char **symbols;
    unsigned int num_timesteps;
    const double *emissions;
} emissions_out;

typedef struct {
    const void *transcripts;
    unsigned int num_transcripts;
    const void *emissions;
} metadata_out;

/* All labels' texts, zero-terminated, one after the other into `texts` (counted only if NULL); starts into `place`. */
static size_t write_labels(const ModelState *m, char *texts, const char **place)
{
    size_t at = 0;
    for (int32_t i = 0; i < m->geometry->n_labels - 1; i++) {
        if (texts != NULL) {
            memcpy(texts + at, m->label[i], (size_t)m->label_bytes[i] + 1);
            place[i] = texts + at;
        }
        at += (size_t)m->label_bytes[i] + 1;
    }
    if (texts != NULL) {
        texts[at] = 0;
        place[m->geometry->n_labels - 1] = texts + at;
    }
    return at + 1;
}

static Metadata *tell(StreamingState *s, const ds_hypothesis *found, int32_t n, const ds_token *tokens)
{
    const ModelState *m = s->model;
    const size_t n_labels = (size_t)m->geometry->n_labels;
    const size_t n_tokens = n > 0 ? (size_t)(found[n - 1].first + found[n - 1].n_tokens) : 0;
    const size_t n_numbers = s->keep_emissions ? s->n_frames * n_labels : 0;
    const size_t head = round64(sizeof(metadata_out)) + round64(sizeof(emissions_out));
    const size_t transcripts = round64(((size_t)n + 1) * sizeof(transcript_out));
    const size_t token_bytes = round64((n_tokens + 1) * sizeof(token_out)),
                 numbers = round64(n_numbers * sizeof(double));
    const size_t places = round64(n_labels * sizeof(char *));
    char *block = malloc(head + transcripts + token_bytes + numbers + places + write_labels(m, NULL, NULL));
    if (block == NULL)
        return NULL;
    metadata_out *out = (metadata_out *)(void *)block;
    emissions_out *emissions = (emissions_out *)(void *)(block + round64(sizeof(metadata_out)));
    transcript_out *transcript = (transcript_out *)(void *)(block + head);
    token_out *token = (token_out *)(void *)(block + head + transcripts);
    double *number = (double *)(void *)(block + head + transcripts + token_bytes);
    const char **place = (const char **)(void *)(block + head + transcripts + token_bytes + numbers);
    write_labels(m, (char *)place + places, place);
    const float seconds = (float)m->geometry->step / (float)m->geometry->sample_rate;
    for (size_t i = 0; i < n_tokens; i++)
        token[i] = (token_out){place[tokens[i].label], (unsigned int)tokens[i].time, (float)tokens[i].time * seconds};
    for (int32_t i = 0; i < n; i++)
        transcript[i] = (transcript_out){token + found[i].first, (unsigned int)found[i].n_tokens, found[i].confidence};
    if (n_numbers > 0)
        memcpy(number, s->emissions, n_numbers * sizeof *number);
    *emissions = (emissions_out){(unsigned int)n_labels, place, (unsigned int)s->n_frames, number};
    *out = (metadata_out){transcript, (unsigned int)n, s->keep_emissions ? emissions : NULL};
    return (Metadata *)(void *)block;
}

Metadata *ds_stream_results(StreamingState *s, uint32_t n_results)
{
    ds_hypothesis *found = NULL;
    ds_token *tokens = NULL;
    int32_t n = 0;
    const int32_t wanted = n_results > 65536 ? 65536 : (int32_t)n_results;
    if (s->failed || ds_search_results(s->search, wanted, &found, &n, &tokens) != 0)
        return NULL;
    Metadata *told = tell(s, found, n, tokens);
    free(found);
    free(tokens);
    if (told != NULL && ds_handle_add(told, DS_METADATA) != 0) {
        free(told);
        told = NULL;
    }
    return told;
}
