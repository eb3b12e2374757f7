/* SPDX-License-Identifier: Apache-2.0 */
/* What does each layer compute? doc/network.md defines it, in integers. A thread has a share of a layer's rows, in units of
 * row blocks, or of its columns. */
#include "exact_math.h"
#include "network.h"

enum { REST_TILE = 1, FINE_TILE = 2 }; /* see `input`; the LSTM's other half comes after the rest */

/* ---- sums of products -------------------------------------------------------------------------------------------- */

/* A thread's share of n things: [*begin, *end). */
static void share(int32_t n, int32_t thread, int32_t n_threads, int32_t *begin, int32_t *end)
{
    *begin = (int32_t)((int64_t)n * thread / n_threads);
    *end = (int32_t)((int64_t)n * (thread + 1) / n_threads);
}

static const int8_t *weights_of(const pn_layer *l, int32_t unit)
{
    return l->weights + (size_t)unit * PN_UNIT * pn_block_bytes(l->n_groups, l->info.weight_bits, l->info.layout);
}

/* Where a thread begins to read a layer. */
static const int8_t *first_weights(const pn_layer *l, int32_t thread, int32_t n_threads)
{
    int32_t begin, end;
    share(pn_divide_up(l->n_blocks, PN_UNIT), thread, n_threads, &begin, &end);
    return weights_of(l, begin);
}

/* What a layer is multiplied by: up to 16 columns, and of a single one the lines that count, see pn_product. */
typedef struct {
    const uint8_t *u;
    size_t stride;
    const uint8_t *residual; /* of the inputs; NULL: it does not count */
    size_t residual_stride;
    int32_t columns, n_used;
    const uint16_t *used;
    int32_t *fine, *rest; /* tiles for the sums of the weights' residual, and of the inputs' */
} input;

static int32_t *thread_tile(const pn_step_job *job, int32_t thread, int which)
{
    return job->w->tiles
           + ((size_t)thread * PN_TILES + (size_t)which) * (size_t)job->w->tile_columns * PN_UNIT * PN_BLOCK;
}

/* Of a layer's inputs, `columns` from j on. */
static void take_columns(input *in, const pn_values *v, int32_t j, int32_t columns)
{
    in->u = v->u + (size_t)j * v->stride;
    in->residual = in->residual ? v->residual + (size_t)j * v->residual_stride : NULL;
    in->columns = columns;
}

/* Columns of a layer's input. Clipped ReLUs leave many zeros: of a single column, the lines of weights are listed whose
 * activations have another value, if enough have none that leaving them out pays. */
static input input_of(const pn_step_job *job, const pn_layer *l, const pn_values *v, int32_t columns, int32_t thread)
{
    const uint8_t *u = v->u;
    input in = {u,
                v->stride,
                l->has_residual ? v->residual : NULL,
                v->residual_stride,
                columns,
                0,
                NULL,
                thread_tile(job, thread, FINE_TILE),
                thread_tile(job, thread, REST_TILE)};
    if (columns > 1 || l->info.input_signed)
        return in;
    uint16_t *used = job->w->used + (size_t)thread * job->w->stride / PN_GROUP;
    const int32_t n_lines = pn_n_lines(l->n_groups, l->info.weight_bits), two = l->n_groups > n_lines;
    for (int32_t i = 0; i < n_lines; i++) {
        const uint8_t *first = u + (size_t)(i << two) * PN_GROUP;
        used[in.n_used] = (uint16_t)i;
        in.n_used += (pn_load_group(first) | (two ? pn_load_group(first + PN_GROUP) : 0)) != 0;
    }
    in.used = in.n_used * 4 <= n_lines * 3 ? used : NULL;
    return in;
}

/* Columns that go through a unit at once. */
static int32_t columns_at_once(const pn_step_job *job)
{
    const int32_t most = job->w->kernels->max_columns;
    return most < job->w->tile_columns ? most : job->w->tile_columns;
}

/* What is fetched while a unit is multiplied. */
typedef struct {
    const int8_t *weights;
    int32_t lines;
} ahead;

static ahead ahead_of(const pn_layer *l, const int8_t *next)
{
    const ahead a = {next, PN_UNIT * pn_n_lines(l->n_groups, l->info.weight_bits)};
    return a;
}

/* Of a unit that takes n columns in parts: while columns from j on pass, the same part of what comes `next`. Kernels
 * that fetch as much as they multiply are given it with the last part. */
static ahead ahead_of_part(const pn_step_job *job, const pn_layer *l, int32_t unit, const int8_t *next, int32_t j,
                           int32_t columns, int32_t n)
{
    ahead a = ahead_of(l, next);
    if (job->w->kernels->max_columns <= PN_COLUMNS) {
        a.weights = j + columns < n ? weights_of(l, unit) : next;
        return a;
    }
    const int32_t begin = (int32_t)((int64_t)a.lines * j / n);
    a.lines = (int32_t)((int64_t)a.lines * (j + columns) / n) - begin;
    a.weights += (size_t)begin * PN_LINE;
    return a;
}

/* Adds to sums of blocks a 256th of others, less `zero_point` times these rows' sums. */
static void add_256th(int32_t *acc, const int32_t *sum, const int32_t *row_sum, int32_t zero_point, int32_t n_blocks,
                      int32_t n_columns)
{
    for (int32_t b = 0; b < n_blocks; b++, row_sum += PN_BLOCK)
        for (int32_t i = 0; i < n_columns; i++, acc += PN_BLOCK, sum += PN_BLOCK)
            for (int32_t r = 0; r < PN_BLOCK; r++)
                acc[r] += (sum[r] - zero_point * row_sum[r] + 128) >> 8;
}

/* The sums of a unit, or of what is left of a layer's last one, without the inputs' residual; returns its number of
 * blocks. `fine` NULL: without the weights' residual, too. */
static int32_t mac(const pn_step_job *job, const pn_layer *l, int32_t unit, const input *in, int32_t *fine, ahead next,
                   int32_t *acc)
{
    int32_t block = unit * PN_UNIT, n_blocks = l->n_blocks - block < PN_UNIT ? l->n_blocks - block : PN_UNIT;
    const int has_fine = l->fine && fine;
    pn_product product = {weights_of(l, unit),
                          l->row_sum + block * PN_BLOCK,
                          n_blocks,
                          l->n_groups,
                          pn_kernel_bits(l->info.weight_bits),
                          l->info.layout,
                          next.weights,
                          next.lines,
                          in->u,
                          in->stride,
                          in->columns,
                          in->used,
                          in->n_used};
    if (has_fine) {
        const ahead lower = ahead_of(l, l->fine + (product.weights - l->weights));
        product.next = lower.weights;
        product.next_lines = lower.lines;
    }
    job->w->kernels->mac(&product, acc);
    if (has_fine) {
        product.weights = product.next;
        product.row_sum = l->fine_sum + block * PN_BLOCK;
        product.next = next.weights;
        product.next_lines = next.lines;
        job->w->kernels->mac(&product, fine);
        add_256th(acc, fine, product.row_sum, l->info.input_signed ? 128 : 0, n_blocks, in->columns);
    }
    return n_blocks;
}

/* As mac; the inputs' residual is added, a 256th of its sums with the weights. With the weights' residual, that would
 * be less than a step. */
static int32_t sums_of(const pn_step_job *job, const pn_layer *l, int32_t unit, const input *in, ahead next,
                       int32_t *acc)
{
    if (!in->residual)
        return mac(job, l, unit, in, in->fine, next, acc);
    const ahead same = {weights_of(l, unit), 0};
    const input rest = {in->residual, in->residual_stride, NULL, 0, in->columns, 0, NULL, NULL, NULL};
    const int32_t n_blocks = mac(job, l, unit, in, in->fine, same, acc);
    mac(job, l, unit, &rest, NULL, next, in->rest);
    add_256th(acc, in->rest, l->row_sum + unit * PN_UNIT * PN_BLOCK, 128, n_blocks, in->columns);
    return n_blocks;
}

/* ---- layers ------------------------------------------------------------------------------------------------------ */

/* Outputs of n columns in 256ths of a step: whole steps, and the residual, -128 to 127. */
static void requantise_256ths(const pn_layer *l, int32_t row, const int32_t *acc, int32_t n_blocks, int32_t n,
                              const pn_values *out, int32_t j)
{
    const int32_t shift = l->info.shift - 8, end = row + n_blocks * PN_BLOCK;
    const int64_t half = (int64_t)1 << (shift - 1);
    for (; row < end; row += PN_BLOCK)
        for (int32_t i = j; i < j + n; i++, acc += PN_BLOCK) {
            uint8_t *u = out->u + (size_t)i * out->stride + row;
            uint8_t *residual = out->residual + (size_t)i * out->residual_stride + row;
            for (int32_t r = 0; r < PN_BLOCK; r++) {
                int64_t v = ((int64_t)(acc[r] + l->bias[row + r]) * l->multiplier[row + r] + half) >> shift;
                v = v < 0 ? 0 : v > 255 * 256 ? 255 * 256 : v;
                u[r] = (uint8_t)((v + 128) >> 8);
                residual[r] = (uint8_t)(v - 256 * u[r] + 128);
            }
        }
}

/* A clipped-ReLU layer: all columns of `from` to `out`. */
void pn_dense(const pn_step_job *job, const pn_layer *l, const pn_values *from, const pn_values *out, int32_t thread,
              int32_t n_threads)
{
    const pynna_workspace *w = job->w;
    int32_t n = job->n_channels * job->n_steps, at_once = columns_at_once(job), unit, end;
    int32_t *acc = thread_tile(job, thread, 0);
    input in = input_of(job, l, from, n, thread);
    share(pn_divide_up(l->n_blocks, PN_UNIT), thread, n_threads, &unit, &end);
    for (; unit < end; unit++) {
        int32_t row = unit * PN_UNIT * PN_BLOCK;
        const int8_t *after = unit + 1 < end ? weights_of(l, unit + 1) : first_weights(l + 1, thread, n_threads);
        for (int32_t j = 0; j < n; j += in.columns) {
            take_columns(&in, from, j, n - j < at_once ? n - j : at_once);
            int32_t n_blocks = sums_of(job, l, unit, &in, ahead_of_part(job, l, unit, after, j, in.columns, n), acc);
            if (l->info.output_residual_bits)
                requantise_256ths(l, row, acc, n_blocks, in.columns, out, j);
            else
                w->kernels->requantise(acc, n_blocks, in.columns, l->bias + row, l->multiplier + row, l->info.shift,
                                       out->u + (size_t)j * out->stride + (size_t)row, out->stride);
        }
    }
}

/* Steps whose columns the input half takes together: as many as there is room for in a tile. */
static int32_t steps_a_tile(const pn_step_job *job)
{
    int32_t most = columns_at_once(job) / job->n_channels;
    return job->n_steps < most ? job->n_steps : most;
}

/* The sums that pn_lstm_input left for a step: its columns lie in a tile of *columns. */
static const int32_t *input_sums(const pn_step_job *job, int32_t unit, int32_t step, int32_t *columns)
{
    const int32_t most = steps_a_tile(job), n = job->n_channels, first = step - step % most;
    const size_t column = (size_t)unit * (size_t)job->w->max_columns + (size_t)first * (size_t)n;
    *columns = n * (job->n_steps - first < most ? job->n_steps - first : most);
    return job->w->gates + column * PN_UNIT * PN_BLOCK + (size_t)(step - first) * (size_t)n * PN_BLOCK;
}

/* The LSTM's input half for a batch of several steps, kept until each step's turn. */
void pn_lstm_input(const pn_step_job *job, const pn_values *from, int32_t thread, int32_t n_threads)
{
    const pynna_workspace *w = job->w;
    const pn_layer *l = &w->model->layers[PN_LSTM_X];
    int32_t most = steps_a_tile(job), unit, end;
    input in = input_of(job, l, from, most * job->n_channels, thread);
    share(pn_cell_blocks(w->model), thread, n_threads, &unit, &end);
    for (; unit < end; unit++) {
        const int8_t *after = unit + 1 < end ? weights_of(l, unit + 1) : first_weights(l + 1, thread, n_threads);
        for (int32_t s = 0; s < job->n_steps; s += most) {
            int32_t columns, *acc = w->gates + (input_sums(job, unit, s, &columns) - w->gates);
            take_columns(&in, from, s * job->n_channels, columns);
            const int32_t steps = job->n_steps - s < most ? job->n_steps - s : most;
            sums_of(job, l, unit, &in, ahead_of_part(job, l, unit, after, s, steps, job->n_steps), acc);
        }
    }
}

/* One step of the LSTM: the recurrent half (and the input half, where pn_lstm_input has not been), gates and states. */
void pn_lstm_step(const pn_step_job *job, const pn_values *from, int32_t s, int32_t thread, int32_t n_threads)
{
    const pynna_workspace *w = job->w;
    const pynna_geometry *g = &w->model->geometry;
    const pn_layer *lx = &w->model->layers[PN_LSTM_X], *lh = &w->model->layers[PN_LSTM_H];
    const int one_step = job->n_steps == 1;
    int32_t n = job->n_channels, x_columns = n, begin, end;
    const pn_values h_all = {w->h + (size_t)(s * n) * w->h_stride, w->h_stride, NULL, 0};
    const input x = one_step ? input_of(job, lx, from, n, thread) : (input){0};
    const input h_old = input_of(job, lh, &h_all, n, thread);
    uint8_t *h_new = w->h + (size_t)((s + 1) * n) * w->h_stride;
    int32_t *tile_x = thread_tile(job, thread, 0), *acc_h = thread_tile(job, thread, REST_TILE);
    share(pn_cell_blocks(w->model), thread, n_threads, &begin, &end);
    /* To and fro: the last weights of a step, still in a cache, begin the next. */
    for (int32_t i = begin; i < end; i++) {
        const int32_t unit = s % 2 == 0 ? i : begin + end - 1 - i;
        if (one_step)
            sums_of(job, lx, unit, &x, ahead_of(lx, weights_of(lh, unit)), tile_x);
        const int32_t *acc_x = one_step ? tile_x : input_sums(job, unit, s, &x_columns);
        const int8_t *next = i + 1 < end            ? weights_of(one_step ? lx : lh, s % 2 == 0 ? unit + 1 : unit - 1)
                             : s + 1 < job->n_steps ? weights_of(lh, unit)
                                                    : first_weights(lh + 1, thread, n_threads);
        sums_of(job, lh, unit, &h_old, ahead_of(lh, next), acc_h);
        int32_t row = unit * PN_UNIT * PN_BLOCK, cell = unit * PN_BLOCK;
        pn_lstm_tile tile = {acc_x,
                             acc_h,
                             lx->bias + row,
                             lh->bias + row,
                             lx->multiplier + row,
                             lh->multiplier + row,
                             lx->info.shift,
                             n,
                             x_columns,
                             g->cell_fraction_bits,
                             g->h_multiplier,
                             g->h_shift,
                             w->c + cell,
                             w->c_stride,
                             h_new + cell,
                             w->h_stride};
        w->kernels->lstm(&tile);
    }
}

/* z [n_labels] to log-probabilities, in the order of the labels. */
static void log_softmax(const double *z, int32_t n, float *p)
{
    double max = z[0], sum = 0.0;
    for (int32_t i = 1; i < n; i++)
        max = z[i] > max ? z[i] : max;
    for (int32_t i = 0; i < n; i++)
        sum += pn_exp(z[i] - max);
    double log_sum = pn_log(sum);
    for (int32_t i = 0; i < n; i++)
        p[i] = (float)(z[i] - max - log_sum);
}

/* The probability of a logit z. */
static float logistic(double z)
{
    return (float)(1.0 / (1.0 + pn_exp(z < -700.0 ? 700.0 : -z)));
}

/* What a column's logits [layer 6's rows] tell: the labels' log-probabilities, and whether someone speaks. */
static void tell(const pynna_geometry *g, const double *z, const pynna_channel *channel, size_t step)
{
    log_softmax(z, g->n_labels, channel->log_probs + step * (size_t)g->n_labels);
    if (channel->speech)
        channel->speech[step] = g->speech_rows ? logistic(z[g->n_labels]) : 1.0f;
}

/* A unit of layer 6's rows, for columns from j on. */
static void logits(const pn_step_job *job, int32_t unit, const input *in, int32_t j, ahead next, int32_t *acc)
{
    const pynna_workspace *w = job->w;
    const pn_layer *l = &w->model->layers[PN_LAYER_6];
    int32_t n_blocks = sums_of(job, l, unit, in, next, acc);
    for (int32_t b = unit * PN_UNIT; b < unit * PN_UNIT + n_blocks; b++)
        for (int32_t i = 0; i < in->columns * PN_BLOCK; i++, acc++) {
            int32_t row = b * PN_BLOCK + i % PN_BLOCK;
            size_t at = (size_t)(j + i / PN_BLOCK) * (size_t)l->n_blocks * PN_BLOCK + (size_t)row;
            w->logits[at] = (double)(*acc + l->bias[row]) * (double)l->logit_scale[row];
        }
}

/* Columns are shared, since a column's sum needs all of its labels. */
void pn_output(const pn_step_job *job, const pn_values *from, int32_t thread, int32_t n_threads)
{
    const pynna_workspace *w = job->w;
    const pn_layer *l = &w->model->layers[PN_LAYER_6];
    int32_t n = job->n_channels, j, end;
    share(n * job->n_steps, thread, n_threads, &j, &end);
    for (; j < end; j += 16) {
        int32_t columns = end - j < 16 ? end - j : 16;
        const pn_values part = {from->u + (size_t)j * from->stride, from->stride,
                                from->residual + (size_t)j * from->residual_stride, from->residual_stride};
        const input some = input_of(job, l, &part, columns, thread);
        for (int32_t unit = 0; unit * PN_UNIT < l->n_blocks; unit++)
            logits(job, unit, &some, j, ahead_of(l, first_weights(w->model->layers, thread, n_threads)),
                   thread_tile(job, thread, 0));
        for (int32_t k = j; k < j + columns; k++)
            tell(&w->model->geometry, w->logits + (size_t)k * (size_t)l->n_blocks * PN_BLOCK, &job->channels[k % n],
                 (size_t)(job->done + k / n));
    }
}

void pn_quantise_windows(const pn_step_job *job, const pn_values *out, int32_t thread, int32_t n_threads)
{
    const pynna_workspace *w = job->w;
    const pn_layer *first = &w->model->layers[PN_LAYER_1];
    int32_t n = job->n_channels, j, end;
    share(n * job->n_steps, thread, n_threads, &j, &end);
    for (; j < end; j++) {
        const pynna_channel *channel = &job->channels[j % n];
        w->kernels->quantise(channel->x + (size_t)(job->done + j / n) * channel->x_stride, w->gain,
                             first->info.n_columns, out->u + (size_t)j * out->stride,
                             first->has_residual ? out->residual + (size_t)j * out->residual_stride : NULL);
    }
}
