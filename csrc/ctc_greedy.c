/* SPDX-License-Identifier: Apache-2.0 */
#include <math.h>

#include "ctc_input.h"

int pynna_ctc_greedy_init(int32_t n_labels, int32_t blank, pynna_ctc_greedy *greedy)
{
    if (greedy == NULL || n_labels < 2 || n_labels > PN_CTC_MAX_LABELS || blank < 0 || blank >= n_labels)
        return PYNNA_ERR_ARGUMENT;
    *greedy = (pynna_ctc_greedy){
        .n_labels = n_labels, .blank = blank, .run = {-1, 0, 0, 0.0f}
    };
    return PYNNA_OK;
}

static int32_t most_probable(const float *row, int32_t n)
{
    int32_t best = 0;
    for (int32_t i = 1; i < n; i++)
        if (row[i] > row[best])
            best = i;
    return best;
}

/* Moves the run under way, if there is one, to *token; returns how many that are. */
static int32_t end_run(pynna_ctc_greedy *g, pynna_ctc_token *token)
{
    if (g->run.label < 0)
        return 0;
    *token = g->run;
    g->run.label = -1;
    return 1;
}

int pynna_ctc_greedy_feed(pynna_ctc_greedy *g, const float *log_probs, int32_t n_frames, pynna_ctc_token *tokens,
                          int32_t *n_tokens)
{
    if (g == NULL || n_tokens == NULL || n_frames < 0 || (n_frames > 0 && (log_probs == NULL || tokens == NULL)))
        return PYNNA_ERR_ARGUMENT;
    if (g->finished)
        return PYNNA_ERR_FINISHED;
    if (n_frames > INT32_MAX - g->n_frames)
        return PYNNA_ERR_FULL;
    if (!pn_ctc_frames_valid(log_probs, n_frames, g->n_labels, NULL))
        return PYNNA_ERR_NOT_FINITE;
    int32_t n = 0;
    for (int32_t t = 0; t < n_frames; t++, g->n_frames++) {
        const float *row = log_probs + (size_t)t * (size_t)g->n_labels; /* [n_labels] */
        const int32_t label = most_probable(row, g->n_labels);
        g->score += row[label];
        if (label != g->run.label)
            n += end_run(g, &tokens[n]);
        if (label == g->blank)
            continue;
        if (g->run.label < 0)
            g->run = (pynna_ctc_token){label, g->n_frames, g->n_frames, row[label]};
        else if (row[label] > g->run.log_prob) {
            g->run.frame = g->n_frames;
            g->run.log_prob = row[label];
        }
    }
    *n_tokens = n;
    return PYNNA_OK;
}

int pynna_ctc_greedy_pending(const pynna_ctc_greedy *g, pynna_ctc_token *token, int32_t *n_tokens)
{
    if (g == NULL || token == NULL || n_tokens == NULL)
        return PYNNA_ERR_ARGUMENT;
    pynna_ctc_greedy copy = *g;
    *n_tokens = end_run(&copy, token);
    return PYNNA_OK;
}

int pynna_ctc_greedy_finish(pynna_ctc_greedy *g, pynna_ctc_token *token, int32_t *n_tokens)
{
    if (g == NULL || token == NULL || n_tokens == NULL)
        return PYNNA_ERR_ARGUMENT;
    if (g->finished)
        return PYNNA_ERR_FINISHED;
    g->finished = 1;
    *n_tokens = end_run(g, token);
    return PYNNA_OK;
}
