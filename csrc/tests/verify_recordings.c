/* SPDX-License-Identifier: Apache-2.0 */
/* verify_recordings MODEL ISA PCM...: runs recordings (int16, the model's rate) through a build with PYNNA_VERIFY, each
 * by itself, one step at a time and several, and then 16 channels at once. */
#define _POSIX_C_SOURCE 200809L
#include "pynna.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_STEPS = 8, MAX_COLUMNS = 128 };

static void *aligned(size_t size)
{
    void *p = NULL;
    if (posix_memalign(&p, 64, size) != 0)
        exit(2);
    memset(p, 0, size);
    return p;
}

static void *read_file(const char *path, size_t *size)
{
    FILE *file = fopen(path, "rb");
    if (file == NULL || fseek(file, 0, SEEK_END) != 0)
        exit(2);
    *size = (size_t)ftell(file);
    rewind(file);
    void *data = aligned(*size);
    if (fread(data, 1, *size, file) != *size)
        exit(2);
    fclose(file);
    return data;
}

static void must(int status)
{
    if (status != PYNNA_OK) {
        fprintf(stderr, "%s\n", pynna_status_text(status));
        exit(3);
    }
}

/* All windows of a recording, up to n_most; [n + 2 n_context, n_coefficients] in one row. */
static float *windows(const pynna_geometry *g, const pynna_mfcc *mfcc, const char *path, int32_t *n_windows)
{
    size_t n_bytes;
    int16_t *pcm = read_file(path, &n_bytes);
    const size_t n = n_bytes / 2, n_frames = n < (size_t)g->window ? 0 : (n - (size_t)g->window) / (size_t)g->step + 1;
    float *rows = aligned((n_frames + 2 * (size_t)g->n_context + 1) * (size_t)g->n_coefficients * sizeof *rows);
    void *scratch = aligned(pynna_mfcc_scratch_size(mfcc));
    for (size_t i = 0; i < n_frames; i++)
        must(pynna_mfcc_frame(mfcc, pcm + i * (size_t)g->step,
                              rows + (i + (size_t)g->n_context) * (size_t)g->n_coefficients, scratch));
    *n_windows = (int32_t)n_frames;
    free(scratch);
    free(pcm);
    return rows;
}

static void run(const pynna_geometry *g, pynna_workspace *w, const float *rows, int32_t n_windows, int32_t n_channels,
                int32_t n_steps)
{
    pynna_channel channels[PYNNA_MAX_CHANNELS];
    for (int32_t j = 0; j < n_channels; j++) {
        int16_t *c = aligned((size_t)g->n_cell * sizeof *c);
        int8_t *h = aligned((size_t)g->n_cell);
        float *p = aligned((size_t)n_steps * (size_t)g->n_labels * sizeof *p);
        channels[j] = (pynna_channel){rows, (size_t)g->n_coefficients, c, h, c, h, p, NULL};
    }
    for (int32_t t = 0; t + n_steps + n_channels <= n_windows; t += n_steps) {
        for (int32_t j = 0; j < n_channels; j++) /* each a frame later than the one before */
            channels[j].x = rows + (size_t)(t + j) * (size_t)g->n_coefficients;
        must(pynna_step(w, NULL, n_channels, n_steps, channels));
    }
    for (int32_t j = 0; j < n_channels; j++) {
        free(channels[j].c_out);
        free(channels[j].h_out);
        free(channels[j].log_probs);
    }
}

int main(int n, char **arguments)
{
    size_t n_bytes;
    if (n < 4)
        return 2;
    void *file = read_file(arguments[1], &n_bytes), *memory = aligned(pynna_model_size());
    const pynna_model *model;
    const pynna_mfcc *mfcc;
    pynna_workspace *w;
    must(pynna_model_init(memory, pynna_model_size(), file, n_bytes, &model));
    const pynna_geometry *g = pynna_model_geometry(model);
    const pynna_mfcc_config config = {g->sample_rate, g->window,       g->step,        g->n_coefficients,
                                      g->n_mel,       g->mel_lower_hz, g->mel_upper_hz};
    void *tables = aligned(pynna_mfcc_size(&config));
    must(pynna_mfcc_init(tables, pynna_mfcc_size(&config), &config, &mfcc));
    const size_t size = pynna_workspace_size(model, MAX_COLUMNS);
    void *room = aligned(size);
    must(pynna_workspace_init(room, size, model, MAX_COLUMNS, arguments[2], &w));
    for (int i = 3; i < n; i++) {
        int32_t n_windows;
        float *rows = windows(g, mfcc, arguments[i], &n_windows);
        run(g, w, rows, n_windows, 1, i % 2 ? 1 : MAX_STEPS);
        if (i == 3)
            run(g, w, rows, n_windows < 40 ? n_windows : 40, PYNNA_MAX_CHANNELS, MAX_STEPS);
        printf("%s: %d windows\n", arguments[i], (int)n_windows);
        free(rows);
    }
    free(room);
    free(tables);
    free(memory);
    free(file);
    return 0;
}
