/* SPDX-License-Identifier: Apache-2.0 */
/* The functions that DeepSpeech 0.5 and 0.6 (DS_RELEASE, 5 or 6) have otherwise than later releases; all others are
 * those of ../api.c. Times of characters and the number told are those of the release, too. See deepspeech-old.h. */
#include "names.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../client.h"

#undef DS_CreateModel
#undef DS_SpeechToTextWithMetadata
#undef DS_FinishStreamWithMetadata
#undef DS_SpeechToText
#undef DS_EnableDecoderWithLM

#define EXPORT __attribute__((visibility("default")))

typedef struct {
    char *character;
    int timestep;
    float start_time;
} old_item;

typedef struct {
    old_item *items;
    int num_items;
    double number;
} old_metadata;

/* The best hypothesis of `told`, which is freed, as these releases tell it: one block. */
static old_metadata *as_old(Metadata *told)
{
    if (told == NULL)
        return NULL;
    const CandidateTranscript *best = told->num_transcripts > 0 ? &told->transcripts[0] : NULL;
    const size_t n = best != NULL ? best->num_tokens : 0, head = sizeof(old_metadata) + n * sizeof(old_item);
    size_t size = head;
    for (size_t i = 0; i < n; i++)
        size += strlen(best->tokens[i].text) + 1;
    char *block = malloc(size);
    old_metadata *out = (old_metadata *)(void *)block;
    if (out != NULL) {
        old_item *items = (old_item *)(void *)(block + sizeof *out);
        *out = (old_metadata){items, (int)n, best != NULL ? best->confidence : 0.0};
        char *text = block + head;
        for (size_t i = 0; i < n; i++) {
            const TokenMetadata *token = &best->tokens[i];
            items[i] = (old_item){strcpy(text, token->text), (int)token->timestep, token->start_time};
            text += strlen(text) + 1;
        }
    }
    DS_FreeMetadata(told);
    if (out != NULL && ds_handle_add(out, DS_METADATA) != 0) {
        free(out);
        out = NULL;
    }
    return out;
}

static int create_old(const char *path, unsigned int beam_width, ds_times times, ModelState **retval)
{
    const int status = ds_create_model(path, retval);
    if (status == DS_ERR_OK) {
        (*retval)->times = times;
        (*retval)->delayed_start = 0;
        (*retval)->is_cost = 1;
        DS_SetModelBeamWidth(*retval, beam_width);
    }
    return status;
}

EXPORT void DS_PrintVersions(void);
EXPORT void DS_PrintVersions(void)
{
    char *version = DS_Version();
    fprintf(stderr, "DeepSpeech: %s, as 0.%d\n", version != NULL ? version : "", DS_RELEASE);
    DS_FreeString(version);
}

EXPORT old_metadata *DS_FinishStreamWithMetadata(StreamingState *s);
EXPORT old_metadata *DS_FinishStreamWithMetadata(StreamingState *s)
{
    return as_old(ds_finish_stream_with_metadata(s, 1));
}

#if DS_RELEASE == 6

EXPORT int DS_CreateModel(const char *path, unsigned int beam_width, ModelState **retval);
EXPORT int DS_CreateModel(const char *path, unsigned int beam_width, ModelState **retval)
{
    return create_old(path, beam_width, DS_TIMES_LEAF, retval);
}

EXPORT old_metadata *DS_SpeechToTextWithMetadata(ModelState *m, const short *pcm, unsigned int n);
EXPORT old_metadata *DS_SpeechToTextWithMetadata(ModelState *m, const short *pcm, unsigned int n)
{
    return as_old(ds_speech_to_text_with_metadata(m, pcm, n, 1));
}

#else

/* What the file itself tells is not looked at: the shape and the alphabet. */
EXPORT int DS_CreateModel(const char *path, unsigned int n_cep, unsigned int n_context, const char *alphabet,
                          unsigned int beam_width, ModelState **retval);
EXPORT int DS_CreateModel(const char *path, unsigned int n_cep, unsigned int n_context, const char *alphabet,
                          unsigned int beam_width, ModelState **retval)
{
    (void)n_cep;
    (void)n_context;
    (void)alphabet;
    return create_old(path, beam_width, DS_TIMES_BEST, retval);
}

EXPORT void DS_DestroyModel(ModelState *m);
EXPORT void DS_DestroyModel(ModelState *m)
{
    DS_FreeModel(m);
}

EXPORT int DS_EnableDecoderWithLM(ModelState *m, const char *alphabet, const char *lm, const char *trie, float alpha,
                                  float beta);
EXPORT int DS_EnableDecoderWithLM(ModelState *m, const char *alphabet, const char *lm, const char *trie, float alpha,
                                  float beta)
{
    (void)alphabet;
    return ds_enable_decoder_with_lm(m, lm, trie, alpha, beta);
}

static int is_rate(const ModelState *m, unsigned int rate)
{
    return rate == (unsigned int)DS_GetModelSampleRate(m);
}

EXPORT char *DS_SpeechToText(ModelState *m, const short *pcm, unsigned int n, unsigned int rate);
EXPORT char *DS_SpeechToText(ModelState *m, const short *pcm, unsigned int n, unsigned int rate)
{
    return is_rate(m, rate) ? ds_speech_to_text(m, pcm, n) : NULL;
}

EXPORT old_metadata *DS_SpeechToTextWithMetadata(ModelState *m, const short *pcm, unsigned int n, unsigned int rate);
EXPORT old_metadata *DS_SpeechToTextWithMetadata(ModelState *m, const short *pcm, unsigned int n, unsigned int rate)
{
    return is_rate(m, rate) ? as_old(ds_speech_to_text_with_metadata(m, pcm, n, 1)) : NULL;
}

EXPORT int DS_SetupStream(ModelState *m, unsigned int n_frames, unsigned int rate, StreamingState **retval);
EXPORT int DS_SetupStream(ModelState *m, unsigned int n_frames, unsigned int rate, StreamingState **retval)
{
    (void)n_frames;
    if (retval != NULL)
        *retval = NULL;
    return retval != NULL && is_rate(m, rate) ? DS_CreateStream(m, retval) : DS_ERR_FAIL_CREATE_STREAM;
}

EXPORT void DS_DiscardStream(StreamingState *s);
EXPORT void DS_DiscardStream(StreamingState *s)
{
    DS_FreeStream(s);
}

#endif
