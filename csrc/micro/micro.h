/* SPDX-License-Identifier: Apache-2.0 */
/* ---- micro.c: audio to text in one block of memory --------------------------------------------------------------- */

/* All that hears one microphone, in one block that the caller owns: a static array, say. The model and the grammar are
 * used where they lie, in flash for instance, and must stay there. */
typedef struct pynna_micro pynna_micro;

typedef struct {
    const void *model; /* a .nna file's bytes, aligned to 64 */
    size_t model_bytes;
    const void *grammar; /* a graph's block (pynna_graph_open), aligned to 4; NULL: the most probable letters */
    size_t grammar_bytes;
    int32_t max_active; /* of a grammar: places followed at a time, 16 or more; 0 is 128 */
    int32_t max_labels; /* of most probable letters: how many are kept; 0 is 256 */
    const char *isa;    /* kernels by name; NULL: the fastest that were compiled in */
    float prior_scale;  /* of a grammar: the exponent of the labels' priors, which are divided out; 0.6 is usual */
    float noise_cost;   /* of a grammar: nats a letter of noise costs; 6 is usual */
    /* After each step, or NULL: its log-probabilities [n_labels] and whether someone spoke. */
    void (*on_step)(void *context, const float *log_probs, int32_t n_labels, float speech);
    void *context;
} pynna_micro_config;

typedef struct {
    double score, unconstrained_score; /* of the sentence, and of the best path without a grammar: they differ in doubt */
    int32_t complete;         /* 1: a whole sentence of the grammar, or any letters without one; 0: its beginning */
    int32_t n_steps;          /* taken since the start */
} pynna_micro_result;

/* Bytes that pynna_micro_init needs, aligned to 64; 0 if the model or the grammar is wrong, or a number out of range.
 * It reads the grammar's arcs but not the model's weights. */
size_t pynna_micro_size(const pynna_micro_config *config);

/* Checks the model and the grammar whole and builds everything. PYNNA_ERR_ARGUMENT: null or out of range;
 * PYNNA_ERR_MEMORY; PYNNA_ERR_FILE_*: the model or the grammar. */
int pynna_micro_init(void *memory, size_t size, const pynna_micro_config *config, pynna_micro **out);

/* Takes samples; each frame of them (20 ms) is a step. PYNNA_ERR_ARGUMENT: null; PYNNA_ERR_FINISHED;
 * PYNNA_ERR_FULL: more steps than a sentence may have, or max_labels letters: reset. */
int pynna_micro_feed(pynna_micro *micro, const int16_t *pcm, size_t n_samples);

/* Ends the audio: the steps that are left. PYNNA_ERR_ARGUMENT: null; PYNNA_ERR_FINISHED. */
int pynna_micro_finish(pynna_micro *micro);

/* What was heard until now, zero-terminated UTF-8; `result` may be NULL. PYNNA_ERR_ARGUMENT: null;
 * PYNNA_ERR_MEMORY: size is less than it takes, and `text` is empty. */
int pynna_micro_text(pynna_micro *micro, char *text, size_t size, pynna_micro_result *result);

/* Back to the start of a stream. PYNNA_ERR_ARGUMENT: null. */
int pynna_micro_reset(pynna_micro *micro);

/* The parts, for those who want more of them than text. */
const pynna_model *pynna_micro_model(const pynna_micro *micro);
const char *pynna_micro_isa(const pynna_micro *micro);

/* No less than pynna_micro_size for a front end of 512 samples and up to 26 coefficients of 40 bands to 8 kHz, 19
 * frames a window, 32 labels, the widest layer of `width` units, n_cell cells and the most probable letters; and what a
 * grammar of n_states and n_arcs takes besides. For static arrays: static _Alignas(64) unsigned char
 * memory[PYNNA_MICRO_BYTES(816, 816)]; */
#define PYNNA_MICRO_BYTES(width, n_cell) (56000 + 5 * (size_t)(width) + 6 * (size_t)(n_cell))
#define PYNNA_MICRO_GRAMMAR_BYTES(n_states, n_arcs, max_active)                                                        \
    (8 * (size_t)(n_states) + 4 * (size_t)(n_arcs) + 880 * (size_t)(max_active) + 4096)
