/* SPDX-License-Identifier: Apache-2.0 */
/* The C interface of Coqui STT 1.x over pynna; structures and status codes are those of deepspeech.h. */
#ifndef COQUI_STT_H
#define COQUI_STT_H

#include "deepspeech.h"

#ifdef __cplusplus
extern "C" {
#endif

int STT_CreateModel(const char *aModelPath, ModelState **retval);
/* The bytes of a .nna file, which are copied. */
int STT_CreateModelFromBuffer(const char *aModelBuffer, unsigned int aBufferSize, ModelState **retval);
unsigned int STT_GetModelBeamWidth(const ModelState *aCtx);
int STT_SetModelBeamWidth(ModelState *aCtx, unsigned int aBeamWidth);
int STT_GetModelSampleRate(const ModelState *aCtx);
void STT_FreeModel(ModelState *ctx);
int STT_EnableExternalScorer(ModelState *aCtx, const char *aScorerPath);
int STT_EnableExternalScorerFromBuffer(ModelState *aCtx, const char *aScorerBuffer, unsigned int aBufferSize);
int STT_AddHotWord(ModelState *aCtx, const char *word, float boost);
int STT_EraseHotWord(ModelState *aCtx, const char *word);
int STT_ClearHotWords(ModelState *aCtx);
int STT_DisableExternalScorer(ModelState *aCtx);
int STT_SetScorerAlphaBeta(ModelState *aCtx, float aAlpha, float aBeta);
char *STT_SpeechToText(ModelState *aCtx, const short *aBuffer, unsigned int aBufferSize);
Metadata *STT_SpeechToTextWithMetadata(ModelState *aCtx, const short *aBuffer, unsigned int aBufferSize,
                                       unsigned int aNumResults);
Metadata *STT_SpeechToTextWithEmissions(ModelState *aCtx, const short *aBuffer, unsigned int aBufferSize,
                                        unsigned int aNumResults);
int STT_CreateStream(ModelState *aCtx, StreamingState **retval);
int STT_CreateStreamWithEmissions(ModelState *aCtx, StreamingState **retval);
void STT_FeedAudioContent(StreamingState *aSctx, const short *aBuffer, unsigned int aBufferSize);
char *STT_IntermediateDecode(const StreamingState *aSctx);
Metadata *STT_IntermediateDecodeWithMetadata(const StreamingState *aSctx, unsigned int aNumResults);
/* The same after all audio fed so far was run through the network, not whole batches of frames alone. */
char *STT_IntermediateDecodeFlushBuffers(StreamingState *aSctx);
Metadata *STT_IntermediateDecodeWithMetadataFlushBuffers(StreamingState *aSctx, unsigned int aNumResults);
char *STT_FinishStream(StreamingState *aSctx);
Metadata *STT_FinishStreamWithMetadata(StreamingState *aSctx, unsigned int aNumResults);
void STT_FreeStream(StreamingState *aSctx);
void STT_FreeMetadata(Metadata *m);
void STT_FreeString(char *str);
char *STT_Version(void);
char *STT_ErrorCodeToErrorMessage(int aErrorCode);

#ifdef __cplusplus
}
#endif
#endif
