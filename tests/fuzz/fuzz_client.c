/* SPDX-License-Identifier: Apache-2.0 */
/* The clients' interface: models, streams, scorers, hot words and results in any order, audio in any pieces, handles
 * that are none or are so no longer. A stream that is fed in pieces and asked in between says what one call for the
 * whole audio says. */
#include "bytes.h"

#define exact_block block
#include "../../csrc/deepspeech/coqui-stt.h"
#include "../../csrc/deepspeech/deepspeech.h"
#include "../../csrc/tests/small_model.h"

enum { MODELS = 2, STREAMS = 3, RESULTS = 3, SAMPLES = 2000 };

/* A scorer of the words one, two and three. */
__asm__(".section .rodata\nscorer_file:\n.incbin \"../tests/fuzz/corpus/scorer/whole_trie\"\nscorer_end:\n.previous\n");
extern const char scorer_file[], scorer_end[];

typedef struct {
    StreamingState *handle;
    int model;
    uint32_t settings, n_fed; /* the model's settings when it began; samples so far */
    int with_emissions;
} stream;

typedef struct {
    ModelState *model[MODELS];
    uint32_t settings[MODELS]; /* counts what was set */
    stream streams[STREAMS];
    Metadata *results[RESULTS];
    const void *gone[8]; /* handles that were given back */
    uint32_t n_gone;
    int16_t pcm[SAMPLES];
} session;

/* A model of seven labels, the scorer's letters among them, whose windows are 64 samples, so that a step is cheap. */
static const char *model_file(size_t *size)
{
    static unsigned char file[1 << 16];
    static size_t n_bytes;
    if (n_bytes == 0) {
        const plan p = {.n_coefficients = 3,
                        .n_context = 1,
                        .n_labels = 7,
                        .n_cell = 4,
                        .width_1 = 4,
                        .width_2 = 4,
                        .width_3 = 4,
                        .width_5 = 4,
                        .cell_fraction_bits = 11,
                        .seed = 5,
                        .feature_residual_bits = 8};
        unsigned char *made = make_file(&p, &n_bytes);
        MUST(n_bytes <= sizeof file);
        memcpy(section_data(made, ALPHABET), " \0a\0e\0n\0o\0t", 12);
        put32(section_data(made, GEOMETRY) + 4, 64);
        put32(section_data(made, GEOMETRY) + 8, 20);
        put32(section_data(made, GEOMETRY) + 16, 6);
        fix_checksum(made, n_bytes);
        memcpy(file, made, n_bytes);
        release(0);
    }
    *size = n_bytes;
    return (const char *)file;
}

static void forget(session *s, const void *handle)
{
    s->gone[s->n_gone++ % 8] = handle;
}

/* A handle that is none: NULL, a place that never was one, one of another kind, or one that is given back. */
static void *wrong(session *s, bytes *in)
{
    static int somewhere;
    const void *gone = s->gone[take8(in) % 8];
    for (int i = 0; i < STREAMS; i++)
        gone = s->streams[i].handle == gone ? NULL : gone;
    for (int i = 0; i < MODELS; i++)
        gone = s->model[i] == gone ? NULL : gone;
    for (int i = 0; i < RESULTS; i++)
        gone = s->results[i] == gone ? NULL : gone;
    return take8(in) % 4 == 0 ? &somewhere : (void *)(uintptr_t)gone;
}

static void misuse(session *s, bytes *in)
{
    void *w = wrong(s, in);
    ModelState *m = w != NULL || take8(in) & 1 ? w : (void *)s->streams[take8(in) % STREAMS].handle;
    StreamingState *t = w != NULL || take8(in) & 1 ? w : (void *)s->model[take8(in) % MODELS], *made;
    MUST(DS_GetModelBeamWidth(m) == 0 && DS_GetModelSampleRate(m) == 0 && DS_SetModelBeamWidth(m, 3) != DS_ERR_OK);
    MUST(DS_AddHotWord(m, "one", 1) != DS_ERR_OK && DS_EraseHotWord(m, "one") != DS_ERR_OK);
    MUST(DS_ClearHotWords(m) != DS_ERR_OK && DS_DisableExternalScorer(m) != DS_ERR_OK);
    MUST(STT_EnableExternalScorerFromBuffer(m, scorer_file, (unsigned)(scorer_end - scorer_file)) != DS_ERR_OK);
    MUST(DS_SetScorerAlphaBeta(m, 1, 1) != DS_ERR_OK && DS_EnableExternalScorer(m, NULL) != DS_ERR_OK);
    MUST(DS_CreateStream(m, &made) != DS_ERR_OK && STT_CreateStreamWithEmissions(m, &made) != DS_ERR_OK);
    MUST(DS_SpeechToText(m, s->pcm, 64) == NULL && DS_SpeechToTextWithMetadata(m, s->pcm, 64, 2) == NULL);
    DS_FreeModel(m);
    DS_FeedAudioContent(t, s->pcm, 64);
    MUST(DS_IntermediateDecode(t) == NULL && DS_IntermediateDecodeWithMetadata(t, 2) == NULL);
    MUST(STT_IntermediateDecodeFlushBuffers(t) == NULL && DS_FinishStream(t) == NULL);
    MUST(DS_FinishStreamWithMetadata(t, 2) == NULL);
    DS_FreeStream(t);
    DS_FreeMetadata(w);
}

/* The text of a transcript is that of its tokens. */
static void read_results(const Metadata *told, uint32_t asked, const char *best)
{
    char text[1024] = "";
    MUST(told != NULL && told->num_transcripts <= asked);
    for (unsigned int i = 0; i < told->num_transcripts; i++) {
        const CandidateTranscript *t = told->transcripts + i;
        for (unsigned int j = 0; j < t->num_tokens; j++)
            MUST(strlen(t->tokens[j].text) == 1 && (j == 0 || t->tokens[j].timestep >= t->tokens[j - 1].timestep));
        MUST(t->num_tokens < sizeof text);
        for (unsigned int j = 0; i == 0 && j < t->num_tokens; j++)
            text[j] = t->tokens[j].text[0];
    }
    MUST(best == NULL || asked == 0 || strcmp(text, best) == 0);
}

static void keep(session *s, Metadata *told, bytes *in)
{
    const int i = (int)take8(in) % RESULTS;
    forget(s, s->results[i]);
    DS_FreeMetadata(s->results[i]);
    s->results[i] = told;
}

static void set(session *s, bytes *in)
{
    static const char *const words[] = {"one", "two", "three", "", " ", "oneone"};
    const int i = (int)take8(in) % MODELS;
    ModelState *m = s->model[i];
    s->settings[i]++;
    switch (take8(in) % 8) {
    case 0: MUST(DS_SetModelBeamWidth(m, (unsigned)take_from(in, 0, 20)) == DS_ERR_OK); break;
    case 1:
    case 2:
        MUST(STT_EnableExternalScorerFromBuffer(m, scorer_file, (unsigned)(scorer_end - scorer_file)) == DS_ERR_OK);
        break;
    case 3: DS_DisableExternalScorer(m); break;
    case 4: DS_AddHotWord(m, words[take8(in) % 6], (float)take_option(in)); break;
    case 5: DS_EraseHotWord(m, take8(in) % 8 == 0 ? NULL : words[take8(in) % 6]); break;
    case 6: DS_ClearHotWords(m); break;
    default: DS_SetScorerAlphaBeta(m, (float)take_option(in), (float)take_option(in)); break;
    }
}

static void begin(session *s, bytes *in)
{
    stream *t = s->streams + take8(in) % STREAMS;
    if (t->handle != NULL) {
        forget(s, t->handle);
        DS_FreeStream(t->handle);
    }
    *t = (stream){.model = (int)take8(in) % MODELS, .with_emissions = take8(in) & 1};
    t->settings = s->settings[t->model];
    ModelState *m = s->model[t->model];
    const int status =
        t->with_emissions ? STT_CreateStreamWithEmissions(m, &t->handle) : DS_CreateStream(m, &t->handle);
    MUST(status == DS_ERR_OK && t->handle != NULL);
}

static void feed(session *s, stream *t, bytes *in)
{
    uint32_t n = take16(in) % (take8(in) & 1 ? 1500 : 70);
    n = n < SAMPLES - t->n_fed ? n : SAMPLES - t->n_fed;
    DS_FeedAudioContent(t->handle, take8(in) % 32 == 0 && n == 0 ? NULL : s->pcm + t->n_fed, n);
    t->n_fed += n;
}

static void ask(session *s, stream *t, bytes *in)
{
    const uint32_t n = take8(in) % 8 == 0 ? (uint32_t)take32(in) : take8(in) % 6;
    const int flushes = take8(in) & 1;
    char *text = flushes ? STT_IntermediateDecodeFlushBuffers(t->handle) : DS_IntermediateDecode(t->handle);
    Metadata *told = flushes ? STT_IntermediateDecodeWithMetadataFlushBuffers(t->handle, n)
                             : DS_IntermediateDecodeWithMetadata(t->handle, n);
    MUST(text != NULL);
    read_results(told, n, text);
    DS_FreeString(text);
    keep(s, told, in);
}

/* Ends a stream; where the model is set as it was, its text must be that of the audio at once. */
static void finish(session *s, stream *t, bytes *in)
{
    ModelState *m = s->model[t->model];
    char *whole = s->settings[t->model] == t->settings ? DS_SpeechToText(m, s->pcm, t->n_fed) : NULL;
    MUST(whole != NULL || s->settings[t->model] != t->settings);
    forget(s, t->handle);
    if (take8(in) & 1) {
        char *text = DS_FinishStream(t->handle);
        MUST(text != NULL && (whole == NULL || strcmp(text, whole) == 0));
        DS_FreeString(text);
    } else {
        const uint32_t n = (take8(in) + 1) % 6;
        Metadata *told = DS_FinishStreamWithMetadata(t->handle, n);
        read_results(told, n, whole);
        keep(s, told, in);
    }
    DS_FreeString(whole);
    t->handle = NULL;
}

/* Another model in a model's place; its streams go on with the one that they began with. */
static void exchange(session *s, bytes *in)
{
    const int i = (int)take8(in) % MODELS;
    size_t size;
    const char *file = model_file(&size);
    if (s->model[i] != NULL) {
        forget(s, s->model[i]);
        DS_FreeModel(s->model[i]);
    }
    s->settings[i] += 1000; /* no stream of it is compared */
    MUST(STT_CreateModelFromBuffer(file, (unsigned)(take8(in) % size), s->model + i) != DS_ERR_OK);
    MUST(STT_CreateModelFromBuffer(file, (unsigned)size, s->model + i) == DS_ERR_OK);
}

static void act(session *s, bytes *in)
{
    stream *t = s->streams + take8(in) % STREAMS;
    switch (take8(in) % 16) {
    case 0: misuse(s, in); break;
    case 1: exchange(s, in); break;
    case 2:
    case 3:
    case 4: set(s, in); break;
    case 5:
    case 6: begin(s, in); break;
    case 7:
        if (t->handle != NULL)
            finish(s, t, in);
        break;
    case 8:
    case 9:
        if (t->handle != NULL)
            ask(s, t, in);
        break;
    default:
        if (t->handle != NULL)
            feed(s, t, in);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static session kept; /* its models stay; what is set in them does not */
    session *s = &kept;
    bytes in = {data, data + size};
    size_t n_bytes;
    const char *file = model_file(&n_bytes);
    for (int i = 0; i < MODELS; i++)
        if (s->model[i] == NULL)
            MUST(STT_CreateModelFromBuffer(file, (unsigned)n_bytes, s->model + i) == DS_ERR_OK);
    uint32_t random = take8(&in);
    const uint32_t loud = take8(&in) % 16;
    for (size_t i = 0; i < SAMPLES; i++)
        s->pcm[i] = (int16_t)((int32_t)(next_random(&random) % 65536 - 32768) >> loud);
    for (int i = 0; i < MODELS; i++)
        MUST(DS_SetModelBeamWidth(s->model[i], 8) == DS_ERR_OK);
    for (int n = 0; n < 60 && in.at < in.end; n++)
        act(s, &in);
    for (int i = 0; i < STREAMS; i++)
        if (s->streams[i].handle != NULL)
            finish(s, s->streams + i, &in);
    for (int i = 0; i < RESULTS; i++)
        DS_FreeMetadata(s->results[i]);
    for (int i = 0; i < MODELS; i++) {
        DS_ClearHotWords(s->model[i]);
        DS_DisableExternalScorer(s->model[i]);
        s->settings[i] = 0;
    }
    memset(s->results, 0, sizeof s->results);
    memset(s->streams, 0, sizeof s->streams);
    memset(s->gone, 0, sizeof s->gone);
    s->n_gone = 0;
    return 0;
}
