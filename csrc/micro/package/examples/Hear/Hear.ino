/* SPDX-License-Identifier: Apache-2.0 */
/* Tells what a microphone hears. model_file, grammar_file and their lengths are arrays in flash, made of the files that
 * pack.py writes (xxd -i); read_microphone is the board's own. */
#include <pynna_micro.h>

extern const unsigned char model_file[], grammar_file[];
extern const unsigned int model_file_len, grammar_file_len;
size_t read_microphone(int16_t *pcm, size_t n); /* samples of 16 kHz that came */

alignas(64) static unsigned char memory[192 * 1024];
static pynna_micro *micro;

void setup()
{
    static pynna_micro_config config = {};
    Serial.begin(115200);
    config.model = model_file;
    config.model_bytes = model_file_len;
    config.grammar = grammar_file;
    config.grammar_bytes = grammar_file_len;
    config.prior_scale = 0.6f;
    config.noise_cost = 6.0f;
    const int status = pynna_micro_init(memory, sizeof memory, &config, &micro);
    if (status)
        Serial.println(pynna_status_text(status));
}

void loop()
{
    int16_t pcm[320];
    char text[200];
    pynna_micro_result result;
    if (!micro || pynna_micro_feed(micro, pcm, read_microphone(pcm, 320)))
        return;
    if (pynna_micro_text(micro, text, sizeof text, &result) == PYNNA_OK && result.n_steps == 150) { /* three seconds */
        if (result.complete && result.unconstrained_score - result.score < 40.0)
            Serial.println(text);
        pynna_micro_reset(micro);
    }
}
