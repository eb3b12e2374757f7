/* SPDX-License-Identifier: Apache-2.0 */
/* Hears a recording that lies in flash, twice: letter by letter, and as a sentence of a grammar. On a board, samples
 * come from a microphone's DMA instead, 320 at a time. Tells what was heard, a hash of all log-probabilities' bits, and
 * what a step takes. */
#include "platform.h"
#include "pynna_micro.h"

#include <stddef.h>
#include <stdint.h>

enum { STEP_SAMPLES = 320, ARENA_BYTES = 400 * 1024 };

extern const unsigned char model_file[], model_end[], grammar_file[], grammar_end[];
extern const int16_t recording[], recording_end[];

static _Alignas(64) unsigned char arena[ARENA_BYTES];

/* FNV-1a of what each step gives. */
static void on_step(void *hash, const float *log_probs, int32_t n_labels, float speech)
{
    const unsigned char *p = (const unsigned char *)log_probs;
    uint64_t h = *(uint64_t *)hash;
    (void)speech;
    for (size_t i = 0; i < (size_t)n_labels * sizeof *log_probs; i++)
        h = (h ^ p[i]) * UINT64_C(0x100000001b3);
    *(uint64_t *)hash = h;
}

static void tell_number(const char *what, uint64_t n, unsigned base)
{
    char digits[24];
    int at = sizeof digits - 1;
    digits[at] = 0;
    do
        digits[--at] = "0123456789abcdef"[n % base];
    while ((n /= base) != 0);
    tell(what);
    tell(digits + at);
    tell("\n");
}

static int hear(const char *what, const pynna_micro_config *config)
{
    const size_t needed = pynna_micro_size(config);
    pynna_micro *micro;
    char text[256];
    uint64_t start = instructions();
    if (needed == 0 || needed > sizeof arena || pynna_micro_init(arena, needed, config, &micro) != PYNNA_OK)
        return 0;
    tell_number("start ", instructions() - start, 10);
    start = instructions();
    int status = PYNNA_OK;
    for (const int16_t *pcm = recording; pcm < recording_end && !status; pcm += STEP_SAMPLES) {
        const size_t left = (size_t)(recording_end - pcm);
        status = pynna_micro_feed(micro, pcm, left < STEP_SAMPLES ? left : STEP_SAMPLES);
    }
    pynna_micro_result result;
    if (status || pynna_micro_finish(micro) || pynna_micro_text(micro, text, sizeof text, &result))
        return 0;
    tell("isa ");
    tell(pynna_micro_isa(micro));
    tell_number("\nbytes ", needed, 10);
    tell_number("step ", (instructions() - start) / (uint64_t)result.n_steps, 10);
    tell(what);
    tell(text);
    tell("\n");
    return 1;
}

int main(void)
{
    uint64_t hash = UINT64_C(0xcbf29ce484222325);
    pynna_micro_config config = {.model = model_file, .model_bytes = (size_t)(model_end - model_file)};
    config.prior_scale = 0.6f;
    config.noise_cost = 6.0f;
#ifdef ISA
    config.isa = ISA; /* to compare */
#endif
    config.on_step = on_step;
    config.context = &hash;
    if (!hear("letters: ", &config))
        return 1;
    tell_number("log-probabilities 0x", hash, 16);
    config.on_step = NULL;
    config.grammar = grammar_file;
    config.grammar_bytes = (size_t)(grammar_end - grammar_file);
    if (!hear("sentence: ", &config))
        return 1;
    return 0;
}
