/* SPDX-License-Identifier: Apache-2.0 */
/* In what order are steps computed? Layers 1 to 3 and the LSTM's input half take all columns of a batch of steps at once;
 * the recurrent half takes the n_channels columns of one step after the other; layers 5 and 6 take all columns again. The
 * threads of a pool meet after each layer. */
#include "network.h"

/* One batch of steps on one thread: from features to log-probabilities. */
static void run_batch(const pn_step_job *job, int32_t thread, int32_t n_threads)
{
    pynna_workspace *w = job->w;
    const pn_layer *layers = w->model->layers;
    const pn_values a = {w->a, w->stride, w->a_residual, w->residual_stride};
    const pn_values b = {w->b, w->stride, w->b_residual, w->residual_stride};
    const pn_values h_new = {w->h + (size_t)job->n_channels * w->h_stride, w->h_stride, NULL, 0};
    pn_quantise_windows(job, &a, thread, n_threads);
    pn_pool_meet(job->pool);
    pn_dense(job, &layers[PN_LAYER_1], &a, &b, thread, n_threads);
    pn_pool_meet(job->pool);
    pn_dense(job, &layers[PN_LAYER_2], &b, &a, thread, n_threads);
    pn_pool_meet(job->pool);
    pn_dense(job, &layers[PN_LAYER_3], &a, &b, thread, n_threads);
    pn_pool_meet(job->pool);
    if (job->n_steps > 1) /* no meeting after it: a thread's cells are the same in pn_lstm_step */
        pn_lstm_input(job, &b, thread, n_threads);
    for (int32_t s = 0; s < job->n_steps; s++) {
        pn_lstm_step(job, &b, s, thread, n_threads);
        pn_pool_meet(job->pool);
    }
    pn_dense(job, &layers[PN_LAYER_5], &h_new, &a, thread, n_threads);
    pn_pool_meet(job->pool);
    pn_output(job, &a, thread, n_threads);
}

/* The last step's hidden states become the old ones of the next batch. */
static void carry_h(const pn_step_job *job)
{
    size_t row = job->w->h_stride, n = (size_t)job->n_channels;
    memcpy(job->w->h, job->w->h + (size_t)job->n_steps * n * row, n * row);
}

static void run_steps(void *argument, int32_t thread, int32_t n_threads)
{
    const pn_step_job *whole = argument;
    pn_step_job batch = *whole;
    int32_t most = batch.w->max_columns / batch.n_channels;
    for (batch.done = 0; batch.done < whole->n_steps; batch.done += batch.n_steps) {
        int32_t left = whole->n_steps - batch.done;
        batch.n_steps = left < most ? left : most;
        run_batch(&batch, thread, n_threads);
        if (thread == 0)
            carry_h(&batch);
        pn_pool_meet(batch.pool); /* before the buffers are written again */
    }
    pn_release(whole->w->kernels);
}

/* Not a number and infinity are what v - v is not zero of. */
static int all_finite(const float *v, size_t n)
{
    int good = 1;
    for (size_t i = 0; i < n; i++)
        good &= v[i] - v[i] == 0.0f;
    return good;
}

static int check_channels(const pynna_workspace *w, int32_t n_channels, int32_t n_steps, const pynna_channel *channels)
{
    size_t window = (size_t)w->model->layers[PN_LAYER_1].info.n_columns;
    for (int32_t j = 0; j < n_channels; j++) {
        const pynna_channel *c = &channels[j];
        if (!c->x || !c->c_in || !c->h_in || !c->c_out || !c->h_out || !c->log_probs)
            return PYNNA_ERR_ARGUMENT;
        if (c->x_stride <= window) { /* windows that touch or overlap are one run of floats */
            if (!all_finite(c->x, (size_t)(n_steps - 1) * c->x_stride + window))
                return PYNNA_ERR_NOT_FINITE;
            continue;
        }
        for (int32_t s = 0; s < n_steps; s++)
            if (!all_finite(c->x + (size_t)s * c->x_stride, window))
                return PYNNA_ERR_NOT_FINITE;
    }
    return PYNNA_OK;
}

/* h to h + 128, or back: the sign bit changes. */
static void flip_signs(uint8_t *restrict to, const void *from, size_t n)
{
    const uint8_t *restrict f = from;
    for (size_t i = 0; i < n; i++)
        to[i] = f[i] ^ 0x80;
}

static void load_states(pynna_workspace *w, int32_t n_channels, const pynna_channel *channels)
{
    size_t n_cell = (size_t)w->model->geometry.n_cell;
    for (int32_t j = 0; j < n_channels; j++) {
        memcpy(w->c + (size_t)j * w->c_stride, channels[j].c_in, n_cell * sizeof *w->c);
        flip_signs(w->h + (size_t)j * w->h_stride, channels[j].h_in, n_cell);
    }
}

static void store_states(const pynna_workspace *w, int32_t n_channels, const pynna_channel *channels)
{
    size_t n_cell = (size_t)w->model->geometry.n_cell;
    for (int32_t j = 0; j < n_channels; j++) {
        memcpy(channels[j].c_out, w->c + (size_t)j * w->c_stride, n_cell * sizeof *w->c);
        flip_signs((uint8_t *)channels[j].h_out, w->h + (size_t)j * w->h_stride, n_cell);
    }
}

int pynna_step(pynna_workspace *workspace, pynna_pool *pool, int32_t n_channels, int32_t n_steps,
               const pynna_channel *channels)
{
    if (!workspace || !channels || n_channels < 1 || n_channels > PYNNA_MAX_CHANNELS || n_steps < 1)
        return PYNNA_ERR_ARGUMENT;
    int status = check_channels(workspace, n_channels, n_steps, channels);
    if (status)
        return status;
    load_states(workspace, n_channels, channels);
    pn_step_job job = {workspace, pool, n_channels, n_steps, 0, channels};
    pn_pool_run(pool, run_steps, &job);
    store_states(workspace, n_channels, channels);
    return PYNNA_OK;
}
