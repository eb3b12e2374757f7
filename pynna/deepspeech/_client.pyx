# cython: language_level=3, boundscheck=False, wraparound=False
# SPDX-License-Identifier: Apache-2.0
"""The only door to csrc/deepspeech: models and streams behind DeepSpeech's and Coqui STT's interfaces.

Statuses are handed on as numbers; what they mean to a program is `pynna.deepspeech.api`'s. A stream belongs to one
thread at a time, which a lock sees to.
"""

import threading

import numpy as np

from libc.stdint cimport int16_t, int32_t
from libc.stdlib cimport free

cdef extern from "deepspeech/client.h" nogil:
    ctypedef struct pynna_geometry:
        int32_t n_labels
    ctypedef struct ModelState:
        int32_t times, delayed_start, is_cost
        const pynna_geometry *geometry
        unsigned char **label
        int32_t *label_bytes
    ctypedef struct StreamingState:
        pass
    ctypedef struct TokenMetadata:
        const char *text
        unsigned int timestep
        float start_time
    ctypedef struct CandidateTranscript:
        const TokenMetadata *tokens
        unsigned int num_tokens
        double confidence
    ctypedef struct AcousticModelEmissions:
        unsigned int num_symbols
        unsigned int num_timesteps
        const double *emissions
    ctypedef struct Metadata:
        const CandidateTranscript *transcripts
        unsigned int num_transcripts
        const AcousticModelEmissions *emissions

    int DS_EnableExternalScorer(ModelState *, const char *)
    int DS_EnableDecoderWithLM(ModelState *, const char *, const char *, float, float)
    int DS_DisableExternalScorer(ModelState *)
    int DS_SetScorerAlphaBeta(ModelState *, float, float)
    int DS_AddHotWord(ModelState *, const char *, float)
    int DS_EraseHotWord(ModelState *, const char *)
    int DS_ClearHotWords(ModelState *)
    unsigned int DS_GetModelBeamWidth(const ModelState *)
    int DS_SetModelBeamWidth(ModelState *, unsigned int)
    int DS_GetModelSampleRate(const ModelState *)
    void DS_FreeModel(ModelState *)
    void DS_FeedAudioContent(StreamingState *, const int16_t *, unsigned int)
    char *DS_IntermediateDecode(const StreamingState *)
    Metadata *DS_IntermediateDecodeWithMetadata(const StreamingState *, unsigned int)
    Metadata *DS_FinishStreamWithMetadata(StreamingState *, unsigned int)
    char *DS_FinishStream(StreamingState *)
    void DS_FreeStream(StreamingState *)
    void DS_FreeMetadata(Metadata *)
    void DS_FreeString(char *)
    char *DS_ErrorCodeToErrorMessage(int)
    int DS_CreateStream(ModelState *, StreamingState **)

cdef extern from "deepspeech/coqui-stt.h" nogil:
    int DS_CreateModel(const char *, ModelState **)
    int STT_CreateModel(const char *, ModelState **)
    int STT_CreateModelFromBuffer(const char *, unsigned int, ModelState **)
    int STT_EnableExternalScorerFromBuffer(ModelState *, const char *, unsigned int)
    int STT_CreateStreamWithEmissions(ModelState *, StreamingState **)
    char *STT_IntermediateDecodeFlushBuffers(StreamingState *)
    Metadata *STT_IntermediateDecodeWithMetadataFlushBuffers(StreamingState *, unsigned int)


cdef extern from "deepspeech/search.h" nogil:
    ctypedef struct ds_scorer:
        int32_t is_bytes, version
        double alpha, beta
    ctypedef struct ds_hot_word:
        pass
    ctypedef struct ds_search_config:
        int32_t n_labels, space, beam, cutoff_top_n
        double cutoff_prob
        int times
        int32_t delayed_start, is_cost
        const unsigned char **label
        const int32_t *label_bytes
    ctypedef struct ds_search:
        pass
    ctypedef struct ds_token:
        int32_t label, time
    ctypedef struct ds_hypothesis:
        double confidence
        int32_t first, n_tokens
    int ds_scorer_open(const char *, const char *, ds_scorer **)
    void ds_scorer_close(ds_scorer *)
    ds_search *ds_search_new(const ds_search_config *, const ds_scorer *, double, double, const ds_hot_word *, int32_t)
    void ds_search_free(ds_search *)
    int ds_search_feed(ds_search *, const float *, int32_t)
    int ds_search_results(ds_search *, int32_t, ds_hypothesis **, int32_t *, ds_token **)


MAX_SAMPLES = 1 << 30
"""Samples that go in with one call; longer audio goes in by parts."""


def message(int code):
    """What a status code means."""
    cdef char *text = DS_ErrorCodeToErrorMessage(code)
    try:
        return text.decode()
    finally:
        DS_FreeString(text)


cdef object take_string(char *text):
    if text == NULL:
        raise MemoryError("the stream has failed for want of memory")
    try:
        return text[:].decode("utf-8", "replace")
    finally:
        DS_FreeString(text)


cdef object take_metadata(Metadata *told):
    """([(confidence, [(bytes, timestep, start time)])], emissions float64 [frames, labels] or None)."""
    cdef unsigned int i, k
    if told == NULL:
        raise MemoryError("the stream has failed for want of memory")
    try:
        transcripts = []
        for i in range(told.num_transcripts):
            tokens = []
            for k in range(told.transcripts[i].num_tokens):
                token = &told.transcripts[i].tokens[k]
                tokens.append((<bytes>token.text, token.timestep, token.start_time))
            transcripts.append((told.transcripts[i].confidence, tokens))
        emissions = None
        if told.emissions != NULL:
            shape = (told.emissions.num_timesteps, told.emissions.num_symbols)
            emissions = np.zeros(shape)
            if emissions.size:
                emissions[...] = np.asarray(<const double[:shape[0], :shape[1]]>told.emissions.emissions)
        return transcripts, emissions
    finally:
        DS_FreeMetadata(told)


cdef class Model:
    """A model; `times` (0 best, 1 leaf, 2 first, 3 path), `delayed_start` and `is_cost` as in csrc/deepspeech/search.h."""

    cdef ModelState *state

    def __init__(self):
        raise TypeError("open_model or open_buffer make models")

    def __dealloc__(self):
        if self.state != NULL:
            DS_FreeModel(self.state)

    def tell_as(self, int times, bint delayed_start, bint is_cost):
        """How results are told from now on."""
        if not 0 <= times <= 3:
            raise ValueError(f"times must be 0 to 3, got {times}")
        self.state.times, self.state.delayed_start, self.state.is_cost = times, delayed_start, is_cost

    @property
    def beam_width(self):
        return DS_GetModelBeamWidth(self.state)

    def set_beam_width(self, unsigned int width):
        return DS_SetModelBeamWidth(self.state, width)

    @property
    def labels(self):
        """The labels but the blank, as bytes."""
        return [<bytes>(<char *>self.state.label[i])[:self.state.label_bytes[i]]
                for i in range(self.state.geometry.n_labels - 1)]

    @property
    def sample_rate(self):
        return DS_GetModelSampleRate(self.state)

    def enable_scorer(self, bytes path):
        cdef const char *text = path
        cdef int status
        with nogil:
            status = DS_EnableExternalScorer(self.state, text)
        return status

    def enable_scorer_buffer(self, bytes data):
        return STT_EnableExternalScorerFromBuffer(self.state, data, len(data))

    def enable_lm(self, bytes lm, bytes trie, float alpha, float beta):
        return DS_EnableDecoderWithLM(self.state, lm, trie, alpha, beta)

    def disable_scorer(self):
        return DS_DisableExternalScorer(self.state)

    def set_alpha_beta(self, float alpha, float beta):
        return DS_SetScorerAlphaBeta(self.state, alpha, beta)

    def add_hot_word(self, bytes word, float boost):
        return DS_AddHotWord(self.state, word, boost)

    def erase_hot_word(self, bytes word):
        return DS_EraseHotWord(self.state, word)

    def clear_hot_words(self):
        return DS_ClearHotWords(self.state)

    def stream(self, bint keep_emissions=False):
        """(status, Stream or None)."""
        cdef StreamingState *state
        cdef int status = (STT_CreateStreamWithEmissions if keep_emissions else DS_CreateStream)(self.state, &state)
        if status != 0:
            return status, None
        stream = <Stream>Stream.__new__(Stream)
        stream.state = state
        stream.lock = threading.Lock()
        return status, stream


def open_model(bytes path, bint coqui=False):
    """(status, Model or None) of a .nna file."""
    cdef ModelState *state
    cdef const char *text = path
    cdef int status
    with nogil:
        status = STT_CreateModel(text, &state) if coqui else DS_CreateModel(text, &state)
    return status, wrap(state) if status == 0 else None


def open_buffer(bytes data):
    """(status, Model or None) of a .nna file's bytes."""
    cdef ModelState *state = NULL
    cdef int status = STT_CreateModelFromBuffer(data, len(data), &state)
    return status, wrap(state) if status == 0 else None


cdef Model wrap(ModelState *state):
    model = <Model>Model.__new__(Model)
    model.state = state
    return model


cdef class Stream:
    """A stream; after `finish` or `free` it is not `valid`, and every call but `valid` raises ValueError."""

    cdef StreamingState *state
    cdef object lock

    def __init__(self):
        raise TypeError("Model.stream makes streams")

    def __dealloc__(self):
        if self.state != NULL:
            DS_FreeStream(self.state)

    @property
    def valid(self):
        return self.state != NULL

    cdef check(self):
        if self.state == NULL:
            raise ValueError("the stream is finished")

    def feed(self, const int16_t[::1] pcm):
        """Takes int16 [n]."""
        cdef Py_ssize_t start = 0, n
        with self.lock:
            self.check()
            while start < pcm.shape[0]:
                n = min(pcm.shape[0] - start, MAX_SAMPLES)
                with nogil:
                    DS_FeedAudioContent(self.state, &pcm[start], <unsigned int>n)
                start += n

    def text(self, bint flush=False):
        """What was heard so far; with `flush` all audio fed so far is looked at."""
        cdef char *text
        with self.lock:
            self.check()
            with nogil:
                text = STT_IntermediateDecodeFlushBuffers(self.state) if flush else DS_IntermediateDecode(self.state)
            return take_string(text)

    def metadata(self, unsigned int n, bint flush=False):
        """Up to n hypotheses so far, and the emissions."""
        cdef Metadata *told
        with self.lock:
            self.check()
            with nogil:
                if flush:
                    told = STT_IntermediateDecodeWithMetadataFlushBuffers(self.state, n)
                else:
                    told = DS_IntermediateDecodeWithMetadata(self.state, n)
            return take_metadata(told)

    def finish(self):
        """Ends the stream: its text."""
        cdef char *text
        with self.lock:
            self.check()
            with nogil:
                text = DS_FinishStream(self.state)
            self.state = NULL
            return take_string(text)

    def finish_metadata(self, unsigned int n):
        """Ends the stream: up to n hypotheses, and the emissions."""
        cdef Metadata *told
        with self.lock:
            self.check()
            with nogil:
                told = DS_FinishStreamWithMetadata(self.state, n)
            self.state = NULL
            return take_metadata(told)

    def free(self):
        """Ends the stream without a result."""
        with self.lock:
            self.check()
            DS_FreeStream(self.state)
            self.state = NULL


cdef class Search:
    """The clients' search alone, over any network's probabilities: for comparisons.

    Parameters
    ----------
    labels : list of bytes
        All but the blank.
    scorer, trie : bytes, optional
        Paths of a .scorer, or of an lm.binary and a trie.
    alpha, beta : float, optional
        The scorer's own unless given.
    beam, times, delayed_start, is_cost
        As in csrc/deepspeech/search.h.
    """

    cdef ds_search *search
    cdef ds_scorer *scorer
    cdef list labels
    cdef object starts, lengths

    def __init__(self, list labels, *, bytes scorer=None, bytes trie=None, alpha=None, beta=None, int beam=500,
                 int times=3, bint delayed_start=True, bint is_cost=False):
        cdef const unsigned char **places
        cdef int status
        self.labels = [bytes(label) for label in labels]
        if scorer is not None:
            status = ds_scorer_open(scorer, <const char *>NULL if trie is None else <const char *>trie, &self.scorer)
            if status != 0:
                raise ValueError(f"the scorer cannot be opened: status {status}")
        self.starts = np.array([<size_t><const char *><bytes>label for label in self.labels], np.uintp)
        self.lengths = np.array([len(label) for label in self.labels], np.int32)
        cdef size_t[::1] starts = self.starts
        cdef int32_t[::1] lengths = self.lengths
        cdef ds_search_config config
        config.n_labels, config.beam, config.cutoff_top_n, config.cutoff_prob = len(labels) + 1, max(beam, 1), 40, 1.0
        config.space = self.labels.index(b" ") if b" " in self.labels else -1
        config.times, config.delayed_start, config.is_cost = times, delayed_start, is_cost
        config.label, config.label_bytes = <const unsigned char **>&starts[0], &lengths[0]
        weight = (self.scorer.alpha if self.scorer != NULL else 0.0) if alpha is None else alpha
        bonus = (self.scorer.beta if self.scorer != NULL else 0.0) if beta is None else beta
        self.search = ds_search_new(&config, self.scorer, weight, bonus, NULL, 0)
        if self.search == NULL:
            raise MemoryError("no memory for a search")

    def __dealloc__(self):
        ds_search_free(self.search)
        ds_scorer_close(self.scorer)

    def feed(self, const float[:, ::1] probs):
        """Takes probabilities, float32 [frames, labels]."""
        if probs.shape[1] != len(self.labels) + 1:
            raise ValueError(f"probs must be [frames, {len(self.labels) + 1}], got [{probs.shape[0]}, {probs.shape[1]}]")
        cdef int status = 0
        if probs.shape[0] > 0:
            with nogil:
                status = ds_search_feed(self.search, &probs[0, 0], <int32_t>probs.shape[0])
        if status != 0:
            raise MemoryError("no memory for the search")

    def results(self, int32_t n):
        """[(text as bytes, frames of its labels, confidence)] of up to n hypotheses."""
        cdef ds_hypothesis *found = NULL
        cdef ds_token *tokens = NULL
        cdef int32_t count = 0, i, k
        if ds_search_results(self.search, n, &found, &count, &tokens) != 0:
            raise MemoryError("no memory for results")
        out = []
        for i in range(count):
            own = [(tokens[found[i].first + k].label, tokens[found[i].first + k].time) for k in range(found[i].n_tokens)]
            out.append((b"".join(self.labels[label] for label, _ in own), [time for _, time in own], found[i].confidence))
        free(found)
        free(tokens)
        return out
