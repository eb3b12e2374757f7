/* SPDX-License-Identifier: Apache-2.0 */
/* Models and streams behind both interfaces, deepspeech.h and coqui-stt.h. */
#ifndef DS_CLIENT_H
#define DS_CLIENT_H

#include <pthread.h>

#include "../pynna.h"
#include "deepspeech.h"
#include "search.h"

enum { DS_STEPS = 16 }; /* time steps that are run at once, as in the clients: partial results come in such batches */

/* What runs steps: one caller at a time. */
typedef struct ds_runner {
    struct ds_runner *next;
    pynna_workspace *workspace;
    pynna_pool *pool; /* NULL: the caller's thread alone */
    void *workspace_memory, *pool_memory;
} ds_runner;

typedef struct {
    char *word;
    ds_hot_word entry;
} ds_boost;

struct ModelState {
    int32_t n_users;      /* the handle, and the streams */
    pthread_mutex_t lock; /* of what follows up to the scorer */
    ds_runner *idle;
    ds_scorer *scorer;
    double alpha, beta;
    ds_boost *boosts;
    int32_t n_boosts;
    unsigned int beam_width;
    int32_t times, delayed_start, is_cost; /* how results are told, by generation */
    void *file;                            /* a copy */
    size_t file_size;
    int32_t n_threads;
    void *model_memory, *mfcc_memory;
    const pynna_model *model;
    const pynna_mfcc *mfcc;
    const pynna_geometry *geometry;
    uint8_t **label; /* [n_labels - 1]: bytes of each */
    int32_t *label_bytes;
    int32_t space;
    int32_t is_bytes;
};

/* What a missing or a wrong file is called. */
int ds_model_open(const char *path, int missing, int wrong, ModelState **out);
int ds_model_open_buffer(const void *data, size_t size, int wrong, ModelState **out);
void ds_model_release(ModelState *model);
ds_runner *ds_runner_take(ModelState *model);
void ds_runner_give(ModelState *model, ds_runner *runner);

/* Handles that are in use. A function that is given another answers with an error. */
typedef enum { DS_MODEL = 1, DS_STREAM, DS_METADATA } ds_kind;
int ds_handle_add(const void *handle, ds_kind kind); /* -1 for want of memory */
int ds_handle_is(const void *handle, ds_kind kind);
int ds_handle_remove(const void *handle, ds_kind kind); /* 1 if it was one */

int ds_stream_new(ModelState *model, int keep_emissions, StreamingState **out);
int ds_stream_feed(StreamingState *stream, const int16_t *pcm, size_t n_samples);
int ds_stream_flush(StreamingState *stream);
int ds_stream_finish(StreamingState *stream);
Metadata *ds_stream_results(StreamingState *stream, uint32_t n_results);
char *ds_stream_text(StreamingState *stream);
void ds_stream_free(StreamingState *stream);

#endif
