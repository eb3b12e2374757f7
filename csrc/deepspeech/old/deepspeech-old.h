/* SPDX-License-Identifier: Apache-2.0 */
/* The C interfaces of DeepSpeech 0.5 and 0.6 over pynna: define DS_RELEASE as 5 or 6 before including this, and link
 * with the library that `make deepspeech-0.5` or `make deepspeech-0.6` builds. Later releases have the same names with
 * other arguments: see deepspeech.h, which also tells what the path of a model is, and the status codes. */
#ifndef DEEPSPEECH_OLD_H
#define DEEPSPEECH_OLD_H

#ifndef DS_RELEASE
#error "define DS_RELEASE as 5 or 6"
#endif

#ifdef __cplusplus
extern "C" {
#endif

typedef struct ModelState ModelState;
typedef struct StreamingState StreamingState;

typedef struct MetadataItem {
    char *character;
    int timestep;     /* of 20 ms, or what the model's step is */
    float start_time; /* seconds */
} MetadataItem;

typedef struct Metadata {
    MetadataItem *items;
    int num_items;
#if DS_RELEASE == 5
    double probability; /* the acoustic cost: larger is worse */
#else
    double confidence; /* the acoustic cost: larger is worse */
#endif
} Metadata;

#if DS_RELEASE == 5
/* The shape and the alphabet are the file's own. */
int DS_CreateModel(const char *aModelPath, unsigned int aNCep, unsigned int aNContext, const char *aAlphabetConfigPath,
                   unsigned int aBeamWidth, ModelState **retval);
void DS_DestroyModel(ModelState *ctx);
int DS_EnableDecoderWithLM(ModelState *aCtx, const char *aAlphabetConfigPath, const char *aLMPath,
                           const char *aTriePath, float aLMAlpha, float aLMBeta);
/* The rate must be the model's, else NULL or a status comes back. */
char *DS_SpeechToText(ModelState *aCtx, const short *aBuffer, unsigned int aBufferSize, unsigned int aSampleRate);
Metadata *DS_SpeechToTextWithMetadata(ModelState *aCtx, const short *aBuffer, unsigned int aBufferSize,
                                      unsigned int aSampleRate);
int DS_SetupStream(ModelState *aCtx, unsigned int aPreAllocFrames, unsigned int aSampleRate, StreamingState **retval);
void DS_DiscardStream(StreamingState *aSctx);
#else
int DS_CreateModel(const char *aModelPath, unsigned int aBeamWidth, ModelState **retval);
int DS_GetModelSampleRate(const ModelState *aCtx);
void DS_FreeModel(ModelState *ctx);
int DS_EnableDecoderWithLM(ModelState *aCtx, const char *aLMPath, const char *aTriePath, float aLMAlpha, float aLMBeta);
char *DS_SpeechToText(ModelState *aCtx, const short *aBuffer, unsigned int aBufferSize);
Metadata *DS_SpeechToTextWithMetadata(ModelState *aCtx, const short *aBuffer, unsigned int aBufferSize);
int DS_CreateStream(ModelState *aCtx, StreamingState **retval);
void DS_FreeStream(StreamingState *aSctx);
#endif

void DS_FeedAudioContent(StreamingState *aSctx, const short *aBuffer, unsigned int aBufferSize);
char *DS_IntermediateDecode(StreamingState *aSctx);
char *DS_FinishStream(StreamingState *aSctx);
Metadata *DS_FinishStreamWithMetadata(StreamingState *aSctx);
void DS_FreeMetadata(Metadata *m);
void DS_FreeString(char *str);
void DS_PrintVersions(void);

#ifdef __cplusplus
}
#endif
#endif
