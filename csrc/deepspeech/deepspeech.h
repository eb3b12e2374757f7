/* SPDX-License-Identifier: Apache-2.0 */
/* The C interface of DeepSpeech 0.7 to 0.9.3 over pynna: programs and bindings run by swapping the library.
 *
 * libdeepspeech.so exports these functions, and the same under Coqui STT's names (coqui-stt.h). A model is a mapped
 * one, .nna; for the path of another file NAME, NAME.nna beside it is taken, which `pynna map NAME -o NAME.nna` makes.
 * Unlike there, streams are independent, any number of threads may use a model, and a handle that was freed or never
 * was one is an error and no crash. Strings and metadata belong to the caller, who frees them with these functions. */
#ifndef DEEPSPEECH_H
#define DEEPSPEECH_H

#ifdef __cplusplus
extern "C" {
#endif

typedef struct ModelState ModelState;
typedef struct StreamingState StreamingState;

typedef struct TokenMetadata {
    const char *const text;
    const unsigned int timestep; /* of 20 ms, or what the model's step is */
    const float start_time;      /* seconds */
} TokenMetadata;

typedef struct CandidateTranscript {
    const TokenMetadata *const tokens;
    const unsigned int num_tokens;
    const double confidence; /* a log-probability: larger is better */
} CandidateTranscript;

/* The probabilities of the labels: double [num_timesteps, num_symbols], the blank's the last and its symbol "". */
typedef struct AcousticModelEmissions {
    const unsigned int num_symbols;
    const char **const symbols;
    const unsigned int num_timesteps;
    const double *const emissions;
} AcousticModelEmissions;

typedef struct Metadata {
    const CandidateTranscript *const transcripts;
    const unsigned int num_transcripts;
    const AcousticModelEmissions *const emissions; /* NULL unless asked for */
} Metadata;

/* Status codes; 0 is success. */
enum DeepSpeech_Error_Codes {
    DS_ERR_OK = 0x0000,
    DS_ERR_NO_MODEL = 0x1000,
    DS_ERR_INVALID_ALPHABET = 0x2000,
    DS_ERR_INVALID_SHAPE = 0x2001,
    DS_ERR_INVALID_SCORER = 0x2002,
    DS_ERR_MODEL_INCOMPATIBLE = 0x2003,
    DS_ERR_SCORER_NOT_ENABLED = 0x2004,
    DS_ERR_SCORER_UNREADABLE = 0x2005,
    DS_ERR_SCORER_INVALID_LM = 0x2006,
    DS_ERR_SCORER_NO_TRIE = 0x2007,
    DS_ERR_SCORER_INVALID_TRIE = 0x2008,
    DS_ERR_SCORER_VERSION_MISMATCH = 0x2009,
    DS_ERR_FAIL_INIT_MMAP = 0x3000,
    DS_ERR_FAIL_INIT_SESS = 0x3001,
    DS_ERR_FAIL_INTERPRETER = 0x3002,
    DS_ERR_FAIL_RUN_SESS = 0x3003,
    DS_ERR_FAIL_CREATE_STREAM = 0x3004,
    DS_ERR_FAIL_READ_PROTOBUF = 0x3005,
    DS_ERR_FAIL_CREATE_SESS = 0x3006,
    DS_ERR_FAIL_CREATE_MODEL = 0x3007,
    DS_ERR_FAIL_INSERT_HOTWORD = 0x3008,
    DS_ERR_FAIL_CLEAR_HOTWORD = 0x3009,
    DS_ERR_FAIL_ERASE_HOTWORD = 0x3010
};

int DS_CreateModel(const char *aModelPath, ModelState **retval);
unsigned int DS_GetModelBeamWidth(const ModelState *aCtx);
int DS_SetModelBeamWidth(ModelState *aCtx, unsigned int aBeamWidth);
int DS_GetModelSampleRate(const ModelState *aCtx);
void DS_FreeModel(ModelState *ctx);
int DS_EnableExternalScorer(ModelState *aCtx, const char *aScorerPath);
int DS_AddHotWord(ModelState *aCtx, const char *word, float boost);
int DS_EraseHotWord(ModelState *aCtx, const char *word);
int DS_ClearHotWords(ModelState *aCtx);
int DS_DisableExternalScorer(ModelState *aCtx);
int DS_SetScorerAlphaBeta(ModelState *aCtx, float aAlpha, float aBeta);
char *DS_SpeechToText(ModelState *aCtx, const short *aBuffer, unsigned int aBufferSize);
Metadata *DS_SpeechToTextWithMetadata(ModelState *aCtx, const short *aBuffer, unsigned int aBufferSize,
                                      unsigned int aNumResults);
int DS_CreateStream(ModelState *aCtx, StreamingState **retval);
void DS_FeedAudioContent(StreamingState *aSctx, const short *aBuffer, unsigned int aBufferSize);
char *DS_IntermediateDecode(const StreamingState *aSctx);
Metadata *DS_IntermediateDecodeWithMetadata(const StreamingState *aSctx, unsigned int aNumResults);
char *DS_FinishStream(StreamingState *aSctx);
Metadata *DS_FinishStreamWithMetadata(StreamingState *aSctx, unsigned int aNumResults);
void DS_FreeStream(StreamingState *aSctx);
void DS_FreeMetadata(Metadata *m);
void DS_FreeString(char *str);
char *DS_Version(void);
char *DS_ErrorCodeToErrorMessage(int aErrorCode);

/* As in DeepSpeech 0.6: a language model and the tree of its words in two files. */
int DS_EnableDecoderWithLM(ModelState *aCtx, const char *aLMPath, const char *aTriePath, float aLMAlpha, float aLMBeta);

#ifdef __cplusplus
}
#endif
#endif
