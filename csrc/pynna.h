/* SPDX-License-Identifier: Apache-2.0 */
/* pynna: LSTM speech recognition in fixed point, one 20 ms step at a time.
 *
 * The whole public C API. Conventions, for every function here:
 *  - nothing allocates, locks or prints; memory is handed in by the caller. An object of run-time size has
 *    pynna_X_size(...), which tells how many bytes it takes, and pynna_X_init(memory, ...), which builds it there;
 *    `memory` must be aligned to 64 bytes, belongs to the caller and must outlive the object; there is no pynna_X_free.
 *  - a function that can fail returns a pynna_status (0 is success) and changes nothing when it fails.
 *  - const objects may be shared by any number of threads; other objects belong to one thread at a time.
 *  - the header is plain C11 without conditional code after the includes, so that cffi can parse it.
 */
#ifndef PYNNA_H
#define PYNNA_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* ---- status.c: what a call returns ---------------------------------------------------------------------------- */

typedef enum {
    PYNNA_OK = 0,
    PYNNA_ERR_ARGUMENT = 1,       /* a null pointer, a count or an option out of range */
    PYNNA_ERR_MEMORY = 2,         /* the memory handed in is too small or not aligned to 64 bytes */
    PYNNA_ERR_NOT_FINITE = 3,     /* a NaN or an infinity among the inputs */
    PYNNA_ERR_FULL = 4,           /* a bounded buffer has no room: take something out first */
    PYNNA_ERR_FINISHED = 5,       /* fed after finish */
    PYNNA_ERR_ISA = 6,            /* this processor lacks the instruction set asked for */
    PYNNA_ERR_FILE_FOREIGN = 16,  /* not a .nna file */
    PYNNA_ERR_FILE_OLD = 17,      /* written in an older version of the format, no longer read */
    PYNNA_ERR_FILE_NEW = 18,      /* written in a newer version of the format */
    PYNNA_ERR_FILE_SHORT = 19,    /* cut short */
    PYNNA_ERR_FILE_CHECKSUM = 20, /* damaged: the checksum differs */
    PYNNA_ERR_FILE_LAYOUT = 21,   /* sections missing, overlapping, unaligned or of a wrong size */
    PYNNA_ERR_FILE_VALUE = 22     /* a value out of its range */
} pynna_status;

/* The name of a status ("PYNNA_ERR_FILE_SHORT") and one plain English sentence about it; never NULL. */
const char *pynna_status_name(int status);
const char *pynna_status_text(int status);

/* The library's version, "0.1.0". */
const char *pynna_version(void);

/* ---- mfcc.c: the front end -------------------------------------------------------------------------------------- */

/* The MFCC of TensorFlow's audio_spectrogram and mfcc ops: Hann window, power spectrum, mel bands over the amplitudes,
 * natural logarithm, DCT. DeepSpeech 0.5.1: {16000, 512, 320, 26, 40, 20, 4000}; from 0.6 on upper_hz is 8000. */
typedef struct {
    int32_t sample_rate;    /* Hz, 1000 to 384000 */
    int32_t window;         /* samples in a frame, a power of two from 64 to 4096 */
    int32_t step;           /* samples from a frame to the next, 1 to window */
    int32_t n_coefficients; /* out of a frame, c0 included, 1 to n_mel */
    int32_t n_mel;          /* mel bands, 1 to 128; a band too narrow to hold a bin is always at the floor, ln 1e-12 */
    float lower_hz;         /* the bands' edges: 0 <= lower_hz < upper_hz <= sample_rate / 2 */
    float upper_hz;
} pynna_mfcc_config;

/* Tables of one configuration, immutable once built. */
typedef struct pynna_mfcc pynna_mfcc;

/* What is wrong with a configuration, as one English sentence that names the field and its range; NULL if nothing. */
const char *pynna_mfcc_config_error(const pynna_mfcc_config *config);

/* Bytes that pynna_mfcc_init needs; 0 if the configuration is wrong. */
size_t pynna_mfcc_size(const pynna_mfcc_config *config);

/* Builds the tables in `memory` and points *out at them. PYNNA_ERR_ARGUMENT: a null pointer or a wrong configuration
 * (see pynna_mfcc_config_error); PYNNA_ERR_MEMORY. */
int pynna_mfcc_init(void *memory, size_t size, const pynna_mfcc_config *config, const pynna_mfcc **out);

/* The configuration it was built with; belongs to the object. */
const pynna_mfcc_config *pynna_mfcc_get_config(const pynna_mfcc *mfcc);

/* Bytes of scratch that a call needs, aligned to 64; contents need not be kept between calls. One for each thread. */
size_t pynna_mfcc_scratch_size(const pynna_mfcc *mfcc);

/* One frame: pcm [window] to out [n_coefficients]. The same bits on every machine. PYNNA_ERR_ARGUMENT: a null pointer;
 * PYNNA_ERR_MEMORY: scratch not aligned to 64 bytes. */
int pynna_mfcc_frame(const pynna_mfcc *mfcc, const int16_t *pcm, float *out, void *scratch);

/* ---- frames.c: audio to context windows -------------------------------------------------------------------------- */

/* One channel's way from PCM to the network's input, as the DeepSpeech client does it. Audio is cut into frames as soon
 * as each is full; the frames' MFCCs stand in a row behind n_context vectors of zeros; any 2 * n_context + 1 neighbours
 * in the row are a window, and the frame in its middle is the one that an inference is about. At finish, what is left
 * of the audio is padded with zeros to one more frame (even if nothing is left), and n_context vectors of zeros follow.
 * So N samples give max(0, floor((N - window) / step) + 1) + 1 windows, however they were cut into chunks. The object
 * is a plain block of pynna_frames_size bytes without pointers: copy it to save, fork or move a stream. */
typedef struct pynna_frames pynna_frames;

/* Bytes of an object that keeps up to n_queue unread windows (1 to 65536) with n_context (0 to 64) frames on each side;
 * 0 if a number is out of range. */
size_t pynna_frames_size(const pynna_mfcc *mfcc, int32_t n_context, int32_t n_queue);

/* PYNNA_ERR_ARGUMENT: null, or a number out of range; PYNNA_ERR_MEMORY. It keeps no pointer to mfcc: each call that
 * computes is handed one of the same window, step and n_coefficients. */
int pynna_frames_init(void *memory, size_t size, const pynna_mfcc *mfcc, int32_t n_context, int32_t n_queue,
                      pynna_frames **out);

/* Back to the beginning of a stream. */
void pynna_frames_reset(pynna_frames *frames);

/* Takes samples until all are taken or n_queue windows are unread, and says how many it took; go on with the rest after
 * reading windows. scratch: pynna_mfcc_scratch_size bytes. PYNNA_ERR_FULL: not one could be taken; PYNNA_ERR_FINISHED;
 * PYNNA_ERR_ARGUMENT: null, or an mfcc of another geometry; PYNNA_ERR_MEMORY: scratch not aligned. */
int pynna_frames_feed(pynna_frames *frames, const pynna_mfcc *mfcc, const int16_t *pcm, size_t n_samples,
                      size_t *n_consumed, void *scratch);

/* Flushes the end as told above; there is always room for it, in a full queue too. Errors as for feed, but
 * PYNNA_ERR_FULL. Afterwards only reading is left, until a reset. */
int pynna_frames_finish(pynna_frames *frames, const pynna_mfcc *mfcc, void *scratch);

/* How many windows can be read now. */
int32_t pynna_frames_ready(const pynna_frames *frames);

/* Copies the next window to x [2 * n_context + 1, n_coefficients] and advances to the one after it.
 * PYNNA_ERR_ARGUMENT: null, or none is ready. */
int pynna_frames_window(pynna_frames *frames, float *x);

/* The next window without a copy, [2 * n_context + 1, n_coefficients], and those after it: window i of those ready
 * starts i * n_coefficients floats further on. Stays in place until the next feed, finish, reset or restore. NULL if
 * none is ready. Read, then advance. */
const float *pynna_frames_peek(const pynna_frames *frames);

/* Marks the next n windows as read. PYNNA_ERR_ARGUMENT: null, or fewer are ready. */
int pynna_frames_advance(pynna_frames *frames, int32_t n);

/* Puts a saved block (a copy of pynna_frames_size bytes, any alignment) into an object initialised with the same
 * geometry. The block may come from outside: PYNNA_ERR_ARGUMENT if it is null, of another size or geometry, or if a
 * count in it is out of range. */
int pynna_frames_restore(pynna_frames *frames, const void *saved, size_t size);

/* ---- nna_file.c: the mapped model's file ------------------------------------------------------------------------- */

/* What the network is, as the file's section `geometry` holds it (doc/formats.md). */
typedef struct {
    int32_t sample_rate, window, step;        /* hertz, samples, samples */
    int32_t n_coefficients, n_mel, n_context; /* MFCCs a frame, mel channels, frames of context on each side */
    int32_t n_labels, blank, n_cell;          /* labels with the blank, the blank's index, width of c and h */
    int32_t cell_fraction_bits, h_multiplier, h_shift;
    float mel_lower_hz, mel_upper_hz;
    float h_scale;                 /* what 1 of h stands for */
    int32_t feature_residual_bits; /* 8: the residual of a feature's steps counts, too; or 0 */
    int32_t speech_rows;           /* 1: the network tells where speech is, too; or 0 */
} pynna_geometry;

enum { PYNNA_N_LAYERS = 7 }; /* layer_1, layer_2, layer_3, lstm_x, lstm_h, layer_5, layer_6 */

typedef struct {
    int32_t n_rows, n_columns, weight_bits, layout, input_signed, shift;
    float input_scale, output_scale;
    int32_t output_residual_bits; /* 8: the residual of an output's steps counts in the next layer, too; or 0 */
} pynna_layer_info;

typedef struct pynna_model pynna_model;

/* Builds a model over a file's bytes, which are checked whole before anything is believed, are used in place, and must
 * stay unchanged as long as the model is used (map the file read-only; `file` aligned to 64 bytes). The model is
 * immutable. Fails with PYNNA_ERR_FILE_*, PYNNA_ERR_MEMORY or PYNNA_ERR_ARGUMENT. */
size_t pynna_model_size(void);
int pynna_model_init(void *memory, size_t size, const void *file, size_t n_bytes, const pynna_model **model);

const pynna_geometry *pynna_model_geometry(const pynna_model *model);
/* The layer's shape and scales; NULL unless 0 <= layer < PYNNA_N_LAYERS. */
const pynna_layer_info *pynna_model_layer(const pynna_model *model, int32_t layer);
const char *pynna_layer_name(int32_t layer);
/* A label's text in UTF-8, zero-terminated; "" for the blank, NULL out of range. */
const char *pynna_model_label(const pynna_model *model, int32_t label);
const float *pynna_model_label_priors(const pynna_model *model);             /* [n_labels] */
const float *pynna_model_feature_gain(const pynna_model *model);             /* [n_coefficients] */
const char *pynna_model_metadata(const pynna_model *model, size_t *n_bytes); /* JSON, not zero-terminated */

/* ---- isa.c: instruction sets ------------------------------------------------------------------------------------- */

/* The kernels compiled into this library, 0 <= i < pynna_isa_count(), the plainest first; NULL / 0 out of range. */
int32_t pynna_isa_count(void);
const char *pynna_isa_name(int32_t i);
int32_t pynna_isa_available(int32_t i); /* 1 where this processor runs it */
/* The fastest one that this processor runs, or the one that the environment's PYNNA_ISA names; NULL if it can't. */
const char *pynna_isa_default(void);

/* ---- threads.c: threads that share a step ------------------------------------------------------------------------ */

/* A pool of n_threads - 1 threads besides the caller's. They spin for some microseconds after a step, then sleep.
 * One step at a time. pynna_pool_stop ends them; only then may the memory be given back. */
typedef struct pynna_pool pynna_pool;
enum { PYNNA_MAX_THREADS = 64 };
size_t pynna_pool_size(int32_t n_threads);
int pynna_pool_init(void *memory, size_t size, int32_t n_threads, pynna_pool **pool);
int32_t pynna_pool_threads(const pynna_pool *pool);
void pynna_pool_stop(pynna_pool *pool);

/* ---- network*.c: the fixed-point network ------------------------------------------------------------------------- */

enum { PYNNA_MAX_CHANNELS = 16 };

/* One channel of a step. Shapes are given behind the pointers; c_in may be c_out, h_in may be h_out. */
typedef struct {
    const float *x;      /* features: step s reads x[s * x_stride ...][(2 n_context + 1) * n_coefficients] */
    size_t x_stride;     /* floats from one step's window to the next (n_coefficients where windows overlap) */
    const int16_t *c_in; /* [n_cell] */
    const int8_t *h_in;  /* [n_cell] */
    int16_t *c_out;      /* [n_cell] */
    int8_t *h_out;       /* [n_cell] */
    float *log_probs;    /* [n_steps][n_labels] */
    float *speech;       /* [n_steps]: probability of speech, 1 where the model has no speech_rows; or NULL */
} pynna_channel;

/* Scratch memory of a step, and the kernels it is run with. `isa` names them, NULL is pynna_isa_default(). One step at
 * a time. max_columns (16 to 256) bounds channels x steps run through the layers at once; 16 is right for live use. */
typedef struct pynna_workspace pynna_workspace;
size_t pynna_workspace_size(const pynna_model *model, int32_t max_columns);
int pynna_workspace_init(void *memory, size_t size, const pynna_model *model, int32_t max_columns, const char *isa,
                         pynna_workspace **workspace);
const char *pynna_workspace_isa(const pynna_workspace *workspace);

/* Runs n_steps steps of 1 to 16 channels. `pool` may be NULL (the caller's thread alone). The same bits come out for
 * every number of channels, threads and steps a call and every instruction set. Fails with PYNNA_ERR_ARGUMENT or
 * PYNNA_ERR_NOT_FINITE, and then has written nothing. */
int pynna_step(pynna_workspace *workspace, pynna_pool *pool, int32_t n_channels, int32_t n_steps,
               const pynna_channel *channels);

/* One kernel by itself, for benchmarks and tests: acc[b][j][r] = sum over k of W[16 b + r][k] * u[j][k], b < n_blocks,
 * j < n_columns <= 16, k < 4 n_groups, with weights of 8 or 4 bits packed as in doc/formats.md (of 4: n_groups is
 * even, and `layout` 1 has scales, from 1 to 16), row_sum [n_blocks * 16] as there, and u[j] at u + j * u_stride.
 * PYNNA_ERR_ISA if the set is not to be had. */
int pynna_mac(const char *isa, const int8_t *weights, int32_t weight_bits, int32_t layout, const int32_t *row_sum,
              int32_t n_blocks, int32_t n_groups, const uint8_t *u, size_t u_stride, int32_t n_columns, int32_t *acc);

/* ---- ctc*.c: labels' probabilities to text ----------------------------------------------------------------------- */

/* CTC decoding of log_probs [n_frames, n_labels], natural logarithms of each frame's label probabilities; -infinity is
 * probability 0. The order of the labels is the caller's and the blank may be any of them (DeepSpeech: the last). The
 * results are the same to the bit on every machine and for every way to cut the frames into calls. */

/* A label of a transcript and when it was spoken; frames count from 0 at the start of the stream. */
typedef struct {
    int32_t label;
    int32_t start;  /* the first frame of its run */
    int32_t frame;  /* the frame of its run where it is most probable */
    float log_prob; /* its log-probability there, as it was fed */
} pynna_ctc_token;

/* Greedy decoding: the most probable label of each frame (of equals the lowest), repeats and blanks collapsed.
 * A plain block of fixed size, built by pynna_ctc_greedy_init, read by anyone, copied at will. */
typedef struct {
    int32_t n_labels, blank;
    int32_t n_frames;    /* fed so far */
    int32_t finished;    /* 1 after finish */
    pynna_ctc_token run; /* the run under way; its label is -1 for none */
    double score;        /* log-probability of the path so far */
} pynna_ctc_greedy;

/* PYNNA_ERR_ARGUMENT: null, n_labels outside 2..65536, blank outside 0..n_labels - 1. */
int pynna_ctc_greedy_init(int32_t n_labels, int32_t blank, pynna_ctc_greedy *greedy);

/* Takes n_frames >= 0 rows. A token comes out when its run has ended, at most one a frame: tokens [n_frames] is filled
 * from the start and *n_tokens says how many. PYNNA_ERR_ARGUMENT: null (with n_frames 0 the arrays may be) or
 * n_frames < 0; PYNNA_ERR_NOT_FINITE: a NaN or +infinity, or a frame without any finite value; PYNNA_ERR_FINISHED;
 * PYNNA_ERR_FULL: 2^31 - 1 frames in all. */
int pynna_ctc_greedy_feed(pynna_ctc_greedy *greedy, const float *log_probs, int32_t n_frames, pynna_ctc_token *tokens,
                          int32_t *n_tokens);

/* The run under way, 0 or 1 token: what a partial result adds to the tokens so far. PYNNA_ERR_ARGUMENT: null. */
int pynna_ctc_greedy_pending(const pynna_ctc_greedy *greedy, pynna_ctc_token *token, int32_t *n_tokens);

/* Ends the stream and the run under way, 0 or 1 token. PYNNA_ERR_ARGUMENT: null; PYNNA_ERR_FINISHED: once is enough. */
int pynna_ctc_greedy_finish(pynna_ctc_greedy *greedy, pynna_ctc_token *token, int32_t *n_tokens);

/* Prefix beam search. A hypothesis is a label sequence; its score is the logarithm of the summed probability of all its
 * alignments. As soon as all hypotheses agree on a label it is committed: it waits in order until pynna_ctc_take, and
 * hypotheses are told from there on, by their tails. A transcript is all that was taken, then the best tail.
 * Hypotheses live in a tree of n_nodes nodes. When that runs full, the best hypothesis' oldest labels are committed by
 * force and the hypotheses that contradict them are dropped (pynna_ctc_stats.n_forced counts such labels). In a long
 * stream that is the usual course: two spellings of about the same probability can live on for minutes. With 64 * beam
 * nodes alternatives at least 62 labels long are kept; (longest hypothesis + 2) * beam nodes keep everything. */
typedef struct {
    int32_t n_labels;        /* labels a frame, the blank among them: 2 to 65536 */
    int32_t blank;           /* its index */
    int32_t beam;            /* hypotheses kept: 1 to 4096 */
    int32_t cutoff_top_n;    /* labels looked at in a frame, the most probable ones: 1 or more */
    double cutoff_prob;      /* no more labels than needed to reach this probability: above 0, 1 for all of them */
    double score_margin;     /* drop hypotheses whose score is further below the best; above 0, INFINITY for none */
    int32_t n_nodes;         /* room for the hypotheses' tails: 2 * beam to 2^26 */
    int32_t max_frames;      /* frames that may be fed between two takings of everything: 1 to 2^26 */
    const float *label_bias; /* [n_labels], added to each frame's log_probs, -infinity bans a label; NULL for none.
                              * Init copies it. Cutoffs and tokens' log_prob leave it out */
} pynna_ctc_config;

/* The decoder: a plain block of pynna_ctc_size bytes without pointers: copy it to save, fork or move a stream. */
typedef struct pynna_ctc pynna_ctc;

/* What a scorer knows of a label sequence: numbers of its own; 0, 0, 0 of the empty one. */
typedef struct {
    int32_t number[3];
} pynna_ctc_state;

/* What a scorer knows beforehand of the labels below 64 after a sequence, a bit each. */
typedef struct {
    uint64_t allowed; /* 0: it would be forbidden */
    uint64_t free;    /* 1: it is allowed, and adds 0 */
    double most;      /* no less than the others but the boundary add */
} pynna_ctc_ways;

/* A second opinion on label sequences: words of a vocabulary, an n-gram model, hot words. It belongs to the caller and
 * is handed in with every call, so that the decoder stays a plain block. A frame in which it forbids every way on is
 * passed over: there is always a hypothesis. */
typedef struct {
    void *context;
    /* Nats that `label` (never the blank) after a sequence in `state` adds, -INFINITY to forbid it; *next is the state
     * then. The same arguments must always give the same answer. */
    double (*extend)(void *context, const pynna_ctc_state *state, int32_t label, pynna_ctc_state *next);
    /* Nats that the end of the stream adds; finite. */
    double (*finish)(void *context, const pynna_ctc_state *state);
    double most; /* no less than extend ever adds: it bounds what need not be looked at */
    /* For pynna_ctc_change_scorer: makes of the state that the one before had for a sequence one of its own; `label` is
     * the sequence's last, -1 of the empty one. NULL: the state stays. */
    void (*carry)(void *context, int32_t label, pynna_ctc_state *state);
    /* Where has_boundary is not 0, `most` is of this label alone (the space, say), and no other adds more than this: a
     * tighter bound, and far less to look at. */
    int32_t has_boundary, boundary;
    double most_elsewhere;
    /* What it knows of the labels after a sequence in `state`, so that the others need not be tried. NULL: nothing. */
    pynna_ctc_ways (*ways)(void *context, const pynna_ctc_state *state);
} pynna_ctc_scorer;

/* A hypothesis of an n-best list: its tail is tokens[first .. first + n_tokens - 1]. */
typedef struct {
    double score; /* log-probability of the whole of it, from the start of the stream */
    int32_t first, n_tokens;
} pynna_ctc_hypothesis;

typedef struct {
    int64_t n_committed;  /* labels committed so far, taken or waiting */
    int64_t n_forced;     /* those of them committed by force */
    int32_t n_frames;     /* fed so far */
    int32_t n_room;       /* frames that may be fed now before everything must be taken */
    int32_t n_waiting;    /* committed labels that wait to be taken */
    int32_t n_hypotheses; /* in the beam */
    int32_t n_nodes;      /* in use */
    int32_t most_nodes;   /* in use at any time so far */
    int32_t finished;     /* 1 after finish */
} pynna_ctc_stats;

/* Fills in DeepSpeech 0.5.1's settings: beam 500, cutoff_prob 1, cutoff_top_n 40, the blank last, no margin, no bias;
 * and n_nodes 32768, max_frames 4096. */
void pynna_ctc_defaults(int32_t n_labels, pynna_ctc_config *config);

/* What is wrong with a configuration, as one English sentence that names the field and its range; NULL if nothing. */
const char *pynna_ctc_config_error(const pynna_ctc_config *config);

/* Bytes that pynna_ctc_init needs; 0 if the configuration is wrong. */
size_t pynna_ctc_size(const pynna_ctc_config *config);

/* Builds a decoder in `memory` and points *out at it. PYNNA_ERR_ARGUMENT: a null pointer or a wrong configuration (see
 * pynna_ctc_config_error); PYNNA_ERR_MEMORY. */
int pynna_ctc_init(void *memory, size_t size, const pynna_ctc_config *config, pynna_ctc **out);

/* Back to the start of a stream, as after init. PYNNA_ERR_ARGUMENT: null. */
int pynna_ctc_reset(pynna_ctc *decoder);

/* Takes n_frames >= 0 rows. PYNNA_ERR_ARGUMENT: null (with n_frames 0 log_probs may be) or n_frames < 0;
 * PYNNA_ERR_NOT_FINITE: a NaN or +infinity, or a frame without any finite value, label_bias added; PYNNA_ERR_FINISHED;
 * PYNNA_ERR_FULL: more than max_frames frames since all committed labels were last taken, or 2^31 - 1 frames in all. */
int pynna_ctc_feed(pynna_ctc *decoder, const float *log_probs, int32_t n_frames);

/* The same with a scorer, in all calls of a stream or in none; PYNNA_ERR_ARGUMENT also for a null function in it. */
int pynna_ctc_feed_scored(pynna_ctc *decoder, const pynna_ctc_scorer *scorer, const float *log_probs, int32_t n_frames);

/* Exchanges the scorer of a stream that runs. Hypotheses keep what the one before would have added to them had the text
 * ended here; what comes from now on is the new one's, which must not forbid what is in hypotheses' tails.
 * PYNNA_ERR_ARGUMENT: null, or a null function; PYNNA_ERR_FINISHED. */
int pynna_ctc_change_scorer(pynna_ctc *decoder, const pynna_ctc_scorer *before, const pynna_ctc_scorer *scorer);

/* Ends the stream: nothing more can be fed; results stay. PYNNA_ERR_ARGUMENT: null; PYNNA_ERR_FINISHED. */
int pynna_ctc_finish(pynna_ctc *decoder);
int pynna_ctc_finish_scored(pynna_ctc *decoder, const pynna_ctc_scorer *scorer);

/* Moves the oldest of the waiting committed labels, at most max_tokens, into `tokens`; *n_tokens says how many.
 * PYNNA_ERR_ARGUMENT: null (with max_tokens 0 tokens may be) or max_tokens < 0. */
int pynna_ctc_take(pynna_ctc *decoder, int32_t max_tokens, pynna_ctc_token *tokens, int32_t *n_tokens);

/* The best hypothesis' tail, what follows the committed labels, and its score. *n_tokens is the tail's length, also
 * when it is longer than max_tokens: then nothing else is written and PYNNA_ERR_MEMORY returned. It costs the tail's
 * length and the beam's width, whatever came before. PYNNA_ERR_ARGUMENT: null (with max_tokens 0 tokens may be) or
 * max_tokens < 0. */
int pynna_ctc_best(const pynna_ctc *decoder, int32_t max_tokens, pynna_ctc_token *tokens, int32_t *n_tokens,
                   double *score);

/* The up to max_hypotheses best hypotheses, best first, equals in a fixed order, their tails one behind the other in
 * `tokens`. *n_hypotheses and *n_tokens say how many there are, *n_tokens also when they are more than max_tokens: then
 * the arrays hold nothing of use and PYNNA_ERR_MEMORY is returned. PYNNA_ERR_ARGUMENT: null (with max_tokens 0 tokens
 * may be), max_hypotheses < 1, max_tokens < 0. */
int pynna_ctc_nbest(const pynna_ctc *decoder, int32_t max_hypotheses, pynna_ctc_hypothesis *hypotheses,
                    int32_t *n_hypotheses, int32_t max_tokens, pynna_ctc_token *tokens, int32_t *n_tokens);

/* PYNNA_ERR_ARGUMENT: null. */
int pynna_ctc_get_stats(const pynna_ctc *decoder, pynna_ctc_stats *stats);

/* ---- words.c: a vocabulary, hot words and a language model for the beam search ----------------------------------- */

/* A scorer made of tables. Words are what stands between spaces. All arrays are the caller's; state number 0 is where a
 * text starts. */
typedef struct {
    int32_t n_labels;
    int32_t space;            /* the label between words */
    int32_t n_nodes;          /* the vocabulary as a tree over labels, node 0 its root; 0 for no vocabulary */
    const int32_t *first_arc; /* [n_nodes + 1]; the arcs of node i are first_arc[i] .. first_arc[i + 1] - 1 */
    const int32_t *arc_label; /* [n_arcs] */
    const int32_t *arc_next;  /* [n_arcs] */
    const int32_t *word;      /* [n_nodes]: the number of the word that ends there, -1 for none */
    double outside;           /* nats that a word outside the vocabulary adds: -INFINITY forbids it, else 0 or less */
    double outside_letter;    /* and each letter of it behind the first that no word has: finite, 0 or less */
    double unfinished;        /* and at the end of the text, where it may be the beginning of one: finite, 0 or less */
    int32_t n_hot;            /* states of the hot words' automaton: 0 at a word's start, 1 in one that no hot word
                                * begins with; 0 states for no hot words, else 2 or more */
    const int32_t *hot_next;  /* [n_hot, n_labels] */
    const double *hot_bonus;  /* [n_hot, n_labels]: nats that the label adds, or takes back */
    const double *hot_end;    /* [n_hot]: and the end of the text */
    double word_most;         /* no less than `score` ever adds; 0 or more */
    void *context;            /* what `score` is called with */
    /* Nats that a language model gives a word (-1: one outside the vocabulary) after a context; *next is the context
     * then, 0 that of a text's start. NULL for no language model. It needs a vocabulary. */
    double (*score)(void *context, int32_t state, int32_t word, int32_t *next);
    /* pynna_words_scorer fills these in: the root's arcs by label, 0 for none, and which of the labels below 64 have one. */
    int32_t root_next[64];
    uint64_t root_labels;
    double hot_most; /* and what the hot words' letters add at most */
} pynna_words;

/* What is wrong with the tables, as one English sentence; NULL if nothing. Reads all of them. */
const char *pynna_words_error(const pynna_words *words);

/* The scorer for pynna_ctc_feed_scored; `words` must outlive it and stay as it is. pynna_ctc_change_scorer may exchange
 * it for one with other hot words: a phrase that is being said and partly committed counts no more then.
 * PYNNA_ERR_ARGUMENT: null, or wrong tables. */
int pynna_words_scorer(pynna_words *words, pynna_ctc_scorer *scorer);

/* ---- graph.c: a grammar as an automaton over labels -------------------------------------------------------------- */

/* An arc's label that stands for the filler (garbage model): one frame or more of any labels. */
enum { PYNNA_FILLER = -1 };

/* The sentences of a grammar: all label sequences along arcs from `start` to a final state. A plain view of the
 * caller's arrays, which must outlive it. The arcs of state s are first_arc[s] .. first_arc[s + 1] - 1. A minimal
 * deterministic automaton is fastest to search, but any will do. */
typedef struct {
    int32_t n_labels; /* of the network, the blank among them: 2 to 65536 */
    int32_t n_states; /* 1 to 2^26 */
    int32_t n_arcs;   /* 0 to 2^28 */
    int32_t start;
    const int32_t *first_arc; /* [n_states + 1] */
    const int32_t *arc_label; /* [n_arcs]: 0 .. n_labels - 1 but not the blank, or PYNNA_FILLER */
    const int32_t *arc_next;  /* [n_arcs]: the state it leads to */
    const uint8_t *is_final;  /* [n_states]: not 0 where a sentence may end */
} pynna_graph;

/* What is wrong with a graph, as one English sentence; NULL if nothing. Reads every arc. */
const char *pynna_graph_error(const pynna_graph *graph);

/* Bytes of a graph as one block, little-endian on a little-endian machine (doc/grammar.md, "The graph's block"); 0 if
 * it is wrong. */
size_t pynna_graph_bytes(const pynna_graph *graph);

/* Writes the block. PYNNA_ERR_ARGUMENT: null, or a wrong graph; PYNNA_ERR_MEMORY: size is less than it takes. */
int pynna_graph_save(const pynna_graph *graph, void *block, size_t size);

/* A graph in a block, used in place, in flash for instance; it must be aligned to 4 bytes and outlive the graph.
 * PYNNA_ERR_ARGUMENT: null or not aligned; PYNNA_ERR_FILE_FOREIGN, _SHORT, _VALUE: not a block, cut short, damaged. */
int pynna_graph_open(const void *block, size_t size, pynna_graph *graph);

/* ---- graph_build*.c: graphs put together from their ends to their beginnings ------------------------------------- */

/* Makes minimal deterministic automata. A state stands for the texts that may follow it; one that was made before is
 * given again. A block of memory with pointers into itself: it must not be moved. */
typedef struct pynna_builder pynna_builder;

/* Bytes for a builder of max_states states, 16 to 2^26, those made on the way included; 0 if it is out of range. What
 * is not used is never touched. */
size_t pynna_builder_size(int32_t max_states);

/* `space`: the label between words, -1 for none: spaces in a row are one then, and none ends a text.
 * PYNNA_ERR_ARGUMENT: null, or out of range; PYNNA_ERR_MEMORY. */
int pynna_builder_init(void *memory, size_t size, int32_t max_states, int32_t space, pynna_builder **out);

/* All that follow give a state in *out. PYNNA_ERR_ARGUMENT: null, no state, a count or a label out of range;
 * PYNNA_ERR_FULL: it takes more than max_states states, twice as many arcs, or a text of 65,536 labels; the builder is
 * of no use any more. */

/* Where a text has ended. */
int pynna_builder_end(pynna_builder *builder, int32_t *out);

/* These labels one after the other (PYNNA_FILLER: the filler), then what follows `then`. */
int pynna_builder_before(pynna_builder *builder, const int32_t *labels, int32_t n, int32_t then, int32_t *out);

/* One of n_texts texts, then what follows `then`. Text t is labels[ends[t - 1]] .. labels[ends[t] - 1]; they are
 * sorted, by any order of the labels, and none begins or ends with a space. */
int pynna_builder_texts(pynna_builder *builder, const int32_t *labels, const int32_t *ends, int32_t n_texts,
                        int32_t then, int32_t *out);

/* What follows any of n states; quicker for many at a time than one by one. */
int pynna_builder_union(pynna_builder *builder, const int32_t *states, int32_t n, int32_t *out);

/* What follows a state, without a space in front. */
int pynna_builder_strip(pynna_builder *builder, int32_t state, int32_t *out);

/* The automaton of a state, which becomes the last of *n_states; arcs lead to states of lower numbers. With first_arc
 * NULL it only counts. The arrays are those of a pynna_graph. PYNNA_ERR_ARGUMENT. */
int pynna_builder_graph(pynna_builder *builder, int32_t start, int32_t *n_states, int32_t *n_arcs, int32_t *first_arc,
                        int32_t *arc_label, int32_t *arc_next, uint8_t *is_final);

/* ---- graph_search*.c: the sentence of a graph that fits best ----------------------------------------------------- */

/* The best path (Viterbi) through a graph and CTC's blanks and repeats at once: exact but for what `margin` and
 * `max_active` leave out. A score is the sum of log_probs + label_bias along the path, less what the filler costs. */
typedef struct {
    int32_t n_labels, blank;  /* as in the graph */
    int32_t n_best;           /* sentences kept for an n-best list, exact if there is room: 1 to 16 */
    int32_t max_active;       /* places of the graph that are followed at a time: 16 to 2^24 */
    int32_t n_records;        /* room for the paths behind them: 8 * n_best * max_active or more, to 2^28 */
    double margin;            /* paths whose score is further below the best are dropped; INFINITY for none */
    double filler_cost;       /* nats that a frame of the filler costs; 0 or more */
    double filler_entry_cost; /* and beginning it, once */
    double noise_cost;        /* nats that a letter of noise costs around a sentence and between its words; 0 or more,
                               * infinity: what is heard there must be blank */
    int32_t space;            /* the label between words, or -1 */
    const float *label_bias;  /* [n_labels], added to each frame's log_probs; NULL for none. Init copies it */
} pynna_search_config;

/* A label of a sentence. Of the filler: the frame's most probable labels, repeats and blanks collapsed, each as
 * n_labels + label. */
typedef struct {
    int32_t label;
    int32_t start;  /* the first frame of its run */
    int32_t frame;  /* the frame of its run where it is most probable */
    float log_prob; /* its log-probability there, as it was fed */
    float loss; /* nats, 0 or more but for rounding: what the path lost against the unconstrained one since the label
                     * before: the best label of every frame, label_bias added */
} pynna_search_token;

typedef struct {
    double score;
    int32_t first, n_tokens; /* its labels after the committed ones: tokens[first .. first + n_tokens - 1] */
    int32_t complete;        /* 1: it is a sentence of the graph; 0: the beginning of one */
    double noise_loss;       /* nats of what its path lost that were lost to noise, and are no label's loss */
    double bonus;            /* nats of its score that the hot words gave, which are no label's either */
} pynna_search_hypothesis;

typedef struct {
    double unconstrained_score; /* of the unconstrained best path */
    int64_t n_dropped;          /* places dropped for want of room: 0 as long as the search is exact */
    int32_t n_frames;           /* fed so far */
    int32_t n_active;           /* places followed now */
    int32_t most_active;
    int32_t n_waiting; /* committed labels that wait to be taken */
    int32_t n_room;    /* frames that may be fed now before everything must be taken */
    int32_t finished;
} pynna_search_stats;

/* The search's state: a plain block without pointers. Every call hands in the graph that it was built for. */
typedef struct pynna_search pynna_search;

/* n_best 1, max_active 4096, n_records 32768, margin 30, filler_cost 0.5, filler_entry_cost 2, noise_cost infinity,
 * space -1, no bias, the blank last. */
void pynna_search_defaults(int32_t n_labels, pynna_search_config *config);

/* What is wrong with a configuration for a graph; NULL if nothing. */
const char *pynna_search_config_error(const pynna_graph *graph, const pynna_search_config *config);

/* Bytes that pynna_search_init needs; 0 if something is wrong. */
size_t pynna_search_size(const pynna_graph *graph, const pynna_search_config *config);

/* PYNNA_ERR_ARGUMENT: null, a wrong graph or configuration; PYNNA_ERR_MEMORY. */
int pynna_search_init(void *memory, size_t size, const pynna_graph *graph, const pynna_search_config *config,
                      pynna_search **out);

/* Back to the start of a sentence; frames count from 0 again. PYNNA_ERR_ARGUMENT: null. */
int pynna_search_reset(pynna_search *search, const pynna_graph *graph);

/* Takes n_frames >= 0 rows of log_probs [n_frames, n_labels]. PYNNA_ERR_ARGUMENT: null, another graph, n_frames < 0;
 * PYNNA_ERR_NOT_FINITE, PYNNA_ERR_FINISHED; PYNNA_ERR_FULL: more frames than pynna_search_stats.n_room. */
int pynna_search_feed(pynna_search *search, const pynna_graph *graph, const float *log_probs, int32_t n_frames);

/* Ends the sentence. PYNNA_ERR_ARGUMENT: null; PYNNA_ERR_FINISHED. */
int pynna_search_finish(pynna_search *search);

/* The same with hot words: of `hot` the hot words' tables alone count, which pynna_words_error finds right. The search
 * has those that pynna_search_change_hot_words gave it, NULL for none, as it has without; PYNNA_ERR_ARGUMENT also for
 * others. A score has what a text's phrases add, exactly, as of the beam search; the filler ends a text and begins
 * one, and counts for no phrase. */
int pynna_search_feed_hot(pynna_search *search, const pynna_graph *graph, const pynna_words *hot,
                          const float *log_probs, int32_t n_frames);
int pynna_search_finish_hot(pynna_search *search, const pynna_words *hot);

/* Exchanges the hot words, `before` the search's so far, either NULL for none: before the first frame, or while a
 * sentence runs. What has been said keeps what those before would have added had the text ended here; a phrase that is
 * being said counts on. PYNNA_ERR_ARGUMENT: null, another graph, other labels, or `before` not the search's;
 * PYNNA_ERR_FINISHED. */
int pynna_search_change_hot_words(pynna_search *search, const pynna_graph *graph, const pynna_words *before,
                                  const pynna_words *hot);

/* Labels that all paths have in common are committed when room gets short (a sentence of a graph without filler
 * never is that long): moves the oldest of them, at most max_tokens. PYNNA_ERR_ARGUMENT: null, max_tokens < 0. */
int pynna_search_take(pynna_search *search, int32_t max_tokens, pynna_search_token *tokens, int32_t *n_tokens);

/* The best hypotheses, at most max_hypotheses and n_best, best first: after finish the complete ones, if there are any;
 * before, or if there are none, the best of all. Counts and PYNNA_ERR_MEMORY as for pynna_ctc_nbest. */
int pynna_search_nbest(const pynna_search *search, const pynna_graph *graph, int32_t max_hypotheses,
                       pynna_search_hypothesis *hypotheses, int32_t *n_hypotheses, int32_t max_tokens,
                       pynna_search_token *tokens, int32_t *n_tokens);

/* PYNNA_ERR_ARGUMENT: null. */
int pynna_search_get_stats(const pynna_search *search, pynna_search_stats *stats);

#ifdef __cplusplus
}
#endif
#endif
