/* SPDX-License-Identifier: Apache-2.0 */
/* The interface's functions under DeepSpeech's names and under Coqui STT's. Each checks its handles; see client.h. */
#define _POSIX_C_SOURCE 200809L
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "client.h"
#include "coqui-stt.h"

#define EXPORT __attribute__((visibility("default")))

static char *copy(const char *text)
{
    char *out = malloc(strlen(text) + 1);
    return out == NULL ? NULL : strcpy(out, text);
}

static const struct {
    int code;
    const char *text;
} MESSAGES[] = {
    {DS_ERR_OK,                      "No error."                                                 },
    {DS_ERR_NO_MODEL,                "Missing model information."                                },
    {DS_ERR_INVALID_ALPHABET,        "Invalid alphabet embedded in model. (Data corruption?)"    },
    {DS_ERR_INVALID_SHAPE,           "Invalid model shape."                                      },
    {DS_ERR_INVALID_SCORER,          "Invalid scorer file."                                      },
    {DS_ERR_MODEL_INCOMPATIBLE,      "Incompatible model."                                       },
    {DS_ERR_SCORER_NOT_ENABLED,      "External scorer is not enabled."                           },
    {DS_ERR_SCORER_UNREADABLE,       "Could not read scorer file."                               },
    {DS_ERR_SCORER_INVALID_LM,       "Could not recognize language model header in scorer."      },
    {DS_ERR_SCORER_NO_TRIE,          "Reached end of scorer file before loading vocabulary trie."},
    {DS_ERR_SCORER_INVALID_TRIE,     "Invalid magic in trie header."                             },
    {DS_ERR_SCORER_VERSION_MISMATCH, "Scorer file version does not match expected version."      },
    {DS_ERR_FAIL_INIT_MMAP,          "Failed to initialize memory mapped model."                 },
    {DS_ERR_FAIL_INIT_SESS,          "Failed to initialize the session."                         },
    {DS_ERR_FAIL_INTERPRETER,        "Interpreter failed."                                       },
    {DS_ERR_FAIL_RUN_SESS,           "Failed to run the session."                                },
    {DS_ERR_FAIL_CREATE_STREAM,      "Error creating the stream."                                },
    {DS_ERR_FAIL_READ_PROTOBUF,      "Error reading the proto buffer model file."                },
    {DS_ERR_FAIL_CREATE_SESS,        "Failed to create session."                                 },
    {DS_ERR_FAIL_CREATE_MODEL,       "Could not allocate model state."                           },
    {DS_ERR_FAIL_INSERT_HOTWORD,     "Could not insert hot-word."                                },
    {DS_ERR_FAIL_CLEAR_HOTWORD,      "Could not clear hot-words."                                },
    {DS_ERR_FAIL_ERASE_HOTWORD,      "Could not erase hot-word."                                 },
};

EXPORT char *DS_ErrorCodeToErrorMessage(int code)
{
    for (size_t i = 0; i < sizeof MESSAGES / sizeof *MESSAGES; i++)
        if (MESSAGES[i].code == code)
            return copy(MESSAGES[i].text);
    return copy("Unknown error, please make sure you are using the correct native binary.");
}

EXPORT char *DS_Version(void)
{
    return copy("0.9.3");
}

EXPORT char *STT_Version(void)
{
    return copy("1.4.0");
}

/* ---- models ------------------------------------------------------------------------------------------------------ */

EXPORT int DS_CreateModel(const char *path, ModelState **retval)
{
    if (retval == NULL)
        return DS_ERR_NO_MODEL;
    *retval = NULL;
    if (path == NULL || path[0] == 0)
        return DS_ERR_NO_MODEL;
    const char *dot = strrchr(path, '.');
    const int missing = dot != NULL && strcmp(dot, ".pbmm") == 0 ? DS_ERR_FAIL_INIT_MMAP : DS_ERR_FAIL_READ_PROTOBUF;
    return ds_model_open(path, missing, missing, retval);
}

EXPORT int STT_CreateModel(const char *path, ModelState **retval)
{
    if (retval == NULL)
        return DS_ERR_NO_MODEL;
    *retval = NULL;
    if (path == NULL || path[0] == 0)
        return DS_ERR_NO_MODEL;
    return ds_model_open(path, DS_ERR_FAIL_INIT_MMAP, DS_ERR_FAIL_INIT_MMAP, retval);
}

EXPORT int STT_CreateModelFromBuffer(const char *data, unsigned int size, ModelState **retval)
{
    if (retval == NULL || data == NULL)
        return DS_ERR_NO_MODEL;
    *retval = NULL;
    return ds_model_open_buffer(data, size, DS_ERR_FAIL_INIT_MMAP, retval);
}

EXPORT void DS_FreeModel(ModelState *m)
{
    if (ds_handle_remove(m, DS_MODEL))
        ds_model_release(m);
}

EXPORT unsigned int DS_GetModelBeamWidth(const ModelState *m)
{
    return ds_handle_is(m, DS_MODEL) ? m->beam_width : 0;
}

EXPORT int DS_SetModelBeamWidth(ModelState *m, unsigned int width)
{
    if (!ds_handle_is(m, DS_MODEL))
        return DS_ERR_NO_MODEL;
    m->beam_width = width < 1 ? 1 : width > 1u << 20 ? 1u << 20 : width;
    return DS_ERR_OK;
}

EXPORT int DS_GetModelSampleRate(const ModelState *m)
{
    return ds_handle_is(m, DS_MODEL) ? m->geometry->sample_rate : 0;
}

/* ---- scorers and hot words --------------------------------------------------------------------------------------- */

/* Puts a scorer in the place of the model's; NULL takes it away. */
static void exchange(ModelState *m, ds_scorer *scorer, double alpha, double beta)
{
    pthread_mutex_lock(&m->lock);
    ds_scorer *before = m->scorer;
    m->scorer = scorer;
    m->alpha = alpha;
    m->beta = beta;
    const int last = before != NULL && --before->n_users == 0;
    pthread_mutex_unlock(&m->lock);
    if (last)
        ds_scorer_close(before);
}

/* A scorer takes the place of the model's if it fits: of bytes to a model of bytes, of words to labels with a space. */
static int enable(ModelState *m, ds_scorer_status status, ds_scorer *scorer)
{
    if (status != DS_SCORER_OK)
        return DS_ERR_INVALID_SCORER;
    if (scorer->is_bytes ? !m->is_bytes : m->space < 0) {
        ds_scorer_close(scorer);
        return DS_ERR_INVALID_SCORER;
    }
    exchange(m, scorer, scorer->alpha, scorer->beta);
    return DS_ERR_OK;
}

EXPORT int DS_EnableExternalScorer(ModelState *m, const char *path)
{
    ds_scorer *scorer = NULL;
    if (!ds_handle_is(m, DS_MODEL))
        return DS_ERR_NO_MODEL;
    const ds_scorer_status opened = path == NULL ? DS_SCORER_UNREADABLE : ds_scorer_open(path, NULL, &scorer);
    return enable(m, opened, scorer);
}

EXPORT int DS_EnableDecoderWithLM(ModelState *m, const char *lm, const char *trie, float alpha, float beta)
{
    ds_scorer *scorer = NULL;
    if (!ds_handle_is(m, DS_MODEL))
        return DS_ERR_NO_MODEL;
    if (lm == NULL || trie == NULL)
        return DS_ERR_INVALID_SCORER;
    const ds_scorer_status opened = ds_scorer_open(lm, trie, &scorer);
    const int status = enable(m, opened, scorer);
    if (status == DS_ERR_OK) {
        m->alpha = (double)alpha;
        m->beta = (double)beta;
    }
    return status;
}

EXPORT int STT_EnableExternalScorerFromBuffer(ModelState *m, const char *data, unsigned int size)
{
    ds_scorer *scorer = NULL;
    if (!ds_handle_is(m, DS_MODEL))
        return DS_ERR_NO_MODEL;
    const ds_scorer_status opened =
        data == NULL ? DS_SCORER_UNREADABLE : ds_scorer_open_buffer((const uint8_t *)data, size, &scorer);
    return enable(m, opened, scorer);
}

EXPORT int DS_DisableExternalScorer(ModelState *m)
{
    if (!ds_handle_is(m, DS_MODEL))
        return DS_ERR_NO_MODEL;
    if (m->scorer == NULL)
        return DS_ERR_SCORER_NOT_ENABLED;
    exchange(m, NULL, 0.0, 0.0);
    return DS_ERR_OK;
}

EXPORT int DS_SetScorerAlphaBeta(ModelState *m, float alpha, float beta)
{
    if (!ds_handle_is(m, DS_MODEL))
        return DS_ERR_NO_MODEL;
    if (m->scorer == NULL)
        return DS_ERR_SCORER_NOT_ENABLED;
    pthread_mutex_lock(&m->lock);
    m->alpha = (double)alpha;
    m->beta = (double)beta;
    pthread_mutex_unlock(&m->lock);
    return DS_ERR_OK;
}

static int32_t find_boost(const ModelState *m, const char *word)
{
    int32_t i = 0;
    while (i < m->n_boosts && strcmp(m->boosts[i].word, word) != 0)
        i++;
    return i;
}

static int insert_boost(ModelState *m, const char *word, float boost)
{
    if (find_boost(m, word) < m->n_boosts)
        return DS_ERR_FAIL_INSERT_HOTWORD;
    ds_boost *larger = realloc(m->boosts, ((size_t)m->n_boosts + 1) * sizeof *larger);
    if (larger == NULL)
        return DS_ERR_FAIL_INSERT_HOTWORD;
    m->boosts = larger;
    char *own = copy(word);
    if (own == NULL)
        return DS_ERR_FAIL_INSERT_HOTWORD;
    const ds_hot_word entry = {ds_hash((const uint8_t *)word, strlen(word)), boost};
    m->boosts[m->n_boosts++] = (ds_boost){own, entry};
    return DS_ERR_OK;
}

EXPORT int DS_AddHotWord(ModelState *m, const char *word, float boost)
{
    if (!ds_handle_is(m, DS_MODEL))
        return DS_ERR_NO_MODEL;
    if (m->scorer == NULL)
        return DS_ERR_SCORER_NOT_ENABLED;
    if (word == NULL || boost != boost)
        return DS_ERR_FAIL_INSERT_HOTWORD;
    pthread_mutex_lock(&m->lock);
    const int status = insert_boost(m, word, boost);
    pthread_mutex_unlock(&m->lock);
    return status;
}

EXPORT int DS_EraseHotWord(ModelState *m, const char *word)
{
    if (!ds_handle_is(m, DS_MODEL))
        return DS_ERR_NO_MODEL;
    if (m->scorer == NULL)
        return DS_ERR_SCORER_NOT_ENABLED;
    pthread_mutex_lock(&m->lock);
    const int32_t i = word == NULL ? m->n_boosts : find_boost(m, word);
    const int status = i < m->n_boosts ? DS_ERR_OK : DS_ERR_FAIL_ERASE_HOTWORD;
    if (status == DS_ERR_OK) {
        free(m->boosts[i].word);
        m->boosts[i] = m->boosts[--m->n_boosts];
    }
    pthread_mutex_unlock(&m->lock);
    return status;
}

EXPORT int DS_ClearHotWords(ModelState *m)
{
    if (!ds_handle_is(m, DS_MODEL))
        return DS_ERR_NO_MODEL;
    if (m->scorer == NULL)
        return DS_ERR_SCORER_NOT_ENABLED;
    pthread_mutex_lock(&m->lock);
    while (m->n_boosts > 0)
        free(m->boosts[--m->n_boosts].word);
    pthread_mutex_unlock(&m->lock);
    return DS_ERR_OK;
}

/* ---- streams ----------------------------------------------------------------------------------------------------- */

static int create(ModelState *m, int keep_emissions, StreamingState **retval)
{
    if (retval == NULL)
        return DS_ERR_FAIL_CREATE_STREAM;
    *retval = NULL;
    if (!ds_handle_is(m, DS_MODEL))
        return DS_ERR_NO_MODEL;
    const int status = ds_stream_new(m, keep_emissions, retval);
    if (status == DS_ERR_OK && ds_handle_add(*retval, DS_STREAM) != 0) {
        ds_stream_free(*retval);
        *retval = NULL;
        return DS_ERR_FAIL_CREATE_STREAM;
    }
    return status;
}

EXPORT int DS_CreateStream(ModelState *m, StreamingState **retval)
{
    return create(m, 0, retval);
}

EXPORT int STT_CreateStreamWithEmissions(ModelState *m, StreamingState **retval)
{
    return create(m, 1, retval);
}

EXPORT void DS_FeedAudioContent(StreamingState *s, const short *pcm, unsigned int n)
{
    if (ds_handle_is(s, DS_STREAM) && (pcm != NULL || n == 0))
        ds_stream_feed(s, pcm, n);
}

/* Asking changes nothing that is told, but it needs the search's scratch. */
static StreamingState *writable(const StreamingState *s)
{
    return (StreamingState *)(uintptr_t)s;
}

EXPORT char *DS_IntermediateDecode(const StreamingState *s)
{
    return ds_handle_is(s, DS_STREAM) ? ds_stream_text(writable(s)) : NULL;
}

EXPORT Metadata *DS_IntermediateDecodeWithMetadata(const StreamingState *s, unsigned int n)
{
    return ds_handle_is(s, DS_STREAM) ? ds_stream_results(writable(s), n) : NULL;
}

EXPORT char *STT_IntermediateDecodeFlushBuffers(StreamingState *s)
{
    return ds_handle_is(s, DS_STREAM) && ds_stream_flush(s) == 0 ? ds_stream_text(s) : NULL;
}

EXPORT Metadata *STT_IntermediateDecodeWithMetadataFlushBuffers(StreamingState *s, unsigned int n)
{
    return ds_handle_is(s, DS_STREAM) && ds_stream_flush(s) == 0 ? ds_stream_results(s, n) : NULL;
}

EXPORT char *DS_FinishStream(StreamingState *s)
{
    if (!ds_handle_remove(s, DS_STREAM))
        return NULL;
    char *text = ds_stream_finish(s) == 0 ? ds_stream_text(s) : NULL;
    ds_stream_free(s);
    return text;
}

EXPORT Metadata *DS_FinishStreamWithMetadata(StreamingState *s, unsigned int n)
{
    if (!ds_handle_remove(s, DS_STREAM))
        return NULL;
    Metadata *told = ds_stream_finish(s) == 0 ? ds_stream_results(s, n) : NULL;
    ds_stream_free(s);
    return told;
}

EXPORT void DS_FreeStream(StreamingState *s)
{
    if (ds_handle_remove(s, DS_STREAM))
        ds_stream_free(s);
}

EXPORT char *DS_SpeechToText(ModelState *m, const short *pcm, unsigned int n)
{
    StreamingState *s;
    if (DS_CreateStream(m, &s) != DS_ERR_OK)
        return NULL;
    DS_FeedAudioContent(s, pcm, n);
    return DS_FinishStream(s);
}

static Metadata *whole(ModelState *m, const short *pcm, unsigned int n, unsigned int n_results, int keep_emissions)
{
    StreamingState *s;
    if (create(m, keep_emissions, &s) != DS_ERR_OK)
        return NULL;
    DS_FeedAudioContent(s, pcm, n);
    return DS_FinishStreamWithMetadata(s, n_results);
}

EXPORT Metadata *DS_SpeechToTextWithMetadata(ModelState *m, const short *pcm, unsigned int n, unsigned int n_results)
{
    return whole(m, pcm, n, n_results, 0);
}

EXPORT Metadata *STT_SpeechToTextWithEmissions(ModelState *m, const short *pcm, unsigned int n, unsigned int n_results)
{
    return whole(m, pcm, n, n_results, 1);
}

EXPORT void DS_FreeMetadata(Metadata *told)
{
    if (ds_handle_remove(told, DS_METADATA))
        free(told);
}

EXPORT void DS_FreeString(char *text)
{
    free(text);
}

/* ---- Coqui STT's names of the same ------------------------------------------------------------------------------- */

EXPORT void STT_FreeModel(ModelState *m)
{
    DS_FreeModel(m);
}
EXPORT unsigned int STT_GetModelBeamWidth(const ModelState *m)
{
    return DS_GetModelBeamWidth(m);
}
EXPORT int STT_SetModelBeamWidth(ModelState *m, unsigned int width)
{
    return DS_SetModelBeamWidth(m, width);
}
EXPORT int STT_GetModelSampleRate(const ModelState *m)
{
    return DS_GetModelSampleRate(m);
}
EXPORT int STT_EnableExternalScorer(ModelState *m, const char *path)
{
    return DS_EnableExternalScorer(m, path);
}
EXPORT int STT_AddHotWord(ModelState *m, const char *word, float boost)
{
    return DS_AddHotWord(m, word, boost);
}
EXPORT int STT_EraseHotWord(ModelState *m, const char *word)
{
    return DS_EraseHotWord(m, word);
}
EXPORT int STT_ClearHotWords(ModelState *m)
{
    return DS_ClearHotWords(m);
}
EXPORT int STT_DisableExternalScorer(ModelState *m)
{
    return DS_DisableExternalScorer(m);
}
EXPORT int STT_SetScorerAlphaBeta(ModelState *m, float alpha, float beta)
{
    return DS_SetScorerAlphaBeta(m, alpha, beta);
}
EXPORT char *STT_SpeechToText(ModelState *m, const short *pcm, unsigned int n)
{
    return DS_SpeechToText(m, pcm, n);
}
EXPORT Metadata *STT_SpeechToTextWithMetadata(ModelState *m, const short *pcm, unsigned int n, unsigned int n_results)
{
    return DS_SpeechToTextWithMetadata(m, pcm, n, n_results);
}
EXPORT int STT_CreateStream(ModelState *m, StreamingState **retval)
{
    return DS_CreateStream(m, retval);
}
EXPORT void STT_FeedAudioContent(StreamingState *s, const short *pcm, unsigned int n)
{
    DS_FeedAudioContent(s, pcm, n);
}
EXPORT char *STT_IntermediateDecode(const StreamingState *s)
{
    return DS_IntermediateDecode(s);
}
EXPORT Metadata *STT_IntermediateDecodeWithMetadata(const StreamingState *s, unsigned int n)
{
    return DS_IntermediateDecodeWithMetadata(s, n);
}
EXPORT char *STT_FinishStream(StreamingState *s)
{
    return DS_FinishStream(s);
}
EXPORT Metadata *STT_FinishStreamWithMetadata(StreamingState *s, unsigned int n)
{
    return DS_FinishStreamWithMetadata(s, n);
}
EXPORT void STT_FreeStream(StreamingState *s)
{
    DS_FreeStream(s);
}
EXPORT void STT_FreeMetadata(Metadata *told)
{
    DS_FreeMetadata(told);
}
EXPORT void STT_FreeString(char *text)
{
    DS_FreeString(text);
}
EXPORT char *STT_ErrorCodeToErrorMessage(int code)
{
    return DS_ErrorCodeToErrorMessage(code);
}
