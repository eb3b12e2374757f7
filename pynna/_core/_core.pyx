# cython: language_level=3, boundscheck=False, wraparound=False, freethreading_compatible=False
"""The only door to the C core. Objects here own their memory and check what the core can't; the rest is Python's."""

import mmap
import os

import numpy as np

from libc.stdint cimport int8_t, int16_t, int32_t, int64_t, uint8_t
from libc.stdlib cimport free
from libc.string cimport memcpy, memset

from pynna.errors import ArgumentError, IsaError, StateError, error_for_status


cdef extern from "stdlib.h":
    int posix_memalign(void **memory, size_t alignment, size_t size) nogil


cdef extern from *:
    """
    #if defined(__VERSION__) && defined(__clang__)
    #define PN_COMPILER __VERSION__
    #elif defined(__VERSION__)
    #define PN_COMPILER "gcc " __VERSION__
    #else
    #define PN_COMPILER "unknown"
    #endif
    """
    const char *PN_COMPILER


cdef extern from "pynna.h" nogil:
    const char *pynna_version()

    ctypedef struct pynna_mfcc_config:
        int32_t sample_rate, window, step, n_coefficients, n_mel
        float lower_hz, upper_hz
    ctypedef struct pynna_mfcc:
        pass
    const char *pynna_mfcc_config_error(const pynna_mfcc_config *)
    size_t pynna_mfcc_size(const pynna_mfcc_config *)
    int pynna_mfcc_init(void *, size_t, const pynna_mfcc_config *, const pynna_mfcc **)
    size_t pynna_mfcc_scratch_size(const pynna_mfcc *)
    int pynna_mfcc_frame(const pynna_mfcc *, const int16_t *, float *, void *)

    ctypedef struct pynna_frames:
        pass
    size_t pynna_frames_size(const pynna_mfcc *, int32_t, int32_t)
    int pynna_frames_init(void *, size_t, const pynna_mfcc *, int32_t, int32_t, pynna_frames **)
    int pynna_frames_feed(pynna_frames *, const pynna_mfcc *, const int16_t *, size_t, size_t *, void *)
    int pynna_frames_finish(pynna_frames *, const pynna_mfcc *, void *)
    int32_t pynna_frames_ready(const pynna_frames *)
    const float *pynna_frames_peek(const pynna_frames *)
    int pynna_frames_advance(pynna_frames *, int32_t)

    ctypedef struct pynna_geometry:
        int32_t sample_rate, window, step, n_coefficients, n_mel, n_context, n_labels, blank, n_cell
        int32_t cell_fraction_bits, h_multiplier, h_shift
        float mel_lower_hz, mel_upper_hz, h_scale
        int32_t feature_low_bits, speech_rows
    ctypedef struct pynna_layer_info:
        int32_t n_rows, n_columns, weight_bits, layout, input_signed, shift
        float input_scale, output_scale
    ctypedef struct pynna_model:
        pass
    int PYNNA_N_LAYERS
    size_t pynna_model_size()
    int pynna_model_init(void *, size_t, const void *, size_t, const pynna_model **)
    const pynna_geometry *pynna_model_geometry(const pynna_model *)
    const pynna_layer_info *pynna_model_layer(const pynna_model *, int32_t)
    const char *pynna_layer_name(int32_t)
    const char *pynna_model_label(const pynna_model *, int32_t)
    const float *pynna_model_label_priors(const pynna_model *)
    const float *pynna_model_feature_gain(const pynna_model *)
    const char *pynna_model_provenance(const pynna_model *, size_t *)

    int32_t pynna_isa_count()
    const char *pynna_isa_name(int32_t)
    int32_t pynna_isa_available(int32_t)
    const char *pynna_isa_default()

    ctypedef struct pynna_pool:
        pass
    int PYNNA_MAX_THREADS
    size_t pynna_pool_size(int32_t)
    int pynna_pool_init(void *, size_t, int32_t, pynna_pool **)
    void pynna_pool_stop(pynna_pool *)

    int PYNNA_MAX_CHANNELS
    ctypedef struct pynna_channel:
        const float *x
        size_t x_stride
        const int16_t *c_in
        const int8_t *h_in
        int16_t *c_out
        int8_t *h_out
        float *log_probs
        float *speech
    ctypedef struct pynna_workspace:
        pass
    size_t pynna_workspace_size(const pynna_model *, int32_t)
    int pynna_workspace_init(void *, size_t, const pynna_model *, int32_t, const char *, pynna_workspace **)
    const char *pynna_workspace_isa(const pynna_workspace *)
    int pynna_step(pynna_workspace *, pynna_pool *, int32_t, int32_t, const pynna_channel *)

    ctypedef struct pynna_ctc_token:
        int32_t label, start, frame
        float log_prob
    ctypedef struct pynna_ctc_greedy:
        int32_t n_frames
        double score
    int pynna_ctc_greedy_init(int32_t, int32_t, pynna_ctc_greedy *)
    int pynna_ctc_greedy_feed(pynna_ctc_greedy *, const float *, int32_t, pynna_ctc_token *, int32_t *)
    int pynna_ctc_greedy_pending(const pynna_ctc_greedy *, pynna_ctc_token *, int32_t *)
    int pynna_ctc_greedy_finish(pynna_ctc_greedy *, pynna_ctc_token *, int32_t *)
    ctypedef struct pynna_ctc_config:
        int32_t n_labels, blank, beam, cutoff_top_n
        double cutoff_prob, score_margin
        int32_t n_nodes, max_frames
        const float *label_bias
    ctypedef struct pynna_ctc:
        pass
    ctypedef struct pynna_ctc_hypothesis:
        double score
        int32_t first, n_tokens
    ctypedef struct pynna_ctc_stats:
        int64_t n_committed, n_forced
        int32_t n_frames, n_room, n_waiting, n_hypotheses, n_nodes, most_nodes, finished
    void pynna_ctc_defaults(int32_t, pynna_ctc_config *)
    const char *pynna_ctc_config_error(const pynna_ctc_config *)
    size_t pynna_ctc_size(const pynna_ctc_config *)
    int pynna_ctc_init(void *, size_t, const pynna_ctc_config *, pynna_ctc **)
    ctypedef struct pynna_ctc_state:
        int32_t number[3]
    ctypedef struct pynna_ctc_scorer:
        void *context
        double (*extend)(void *, const pynna_ctc_state *, int32_t, pynna_ctc_state *) noexcept
        double (*finish)(void *, const pynna_ctc_state *) noexcept
    int pynna_ctc_feed_scored(pynna_ctc *, const pynna_ctc_scorer *, const float *, int32_t)
    int pynna_ctc_change_scorer(pynna_ctc *, const pynna_ctc_scorer *, const pynna_ctc_scorer *)
    int pynna_ctc_finish_scored(pynna_ctc *, const pynna_ctc_scorer *)
    int pynna_ctc_take(pynna_ctc *, int32_t, pynna_ctc_token *, int32_t *)
    int pynna_ctc_nbest(const pynna_ctc *, int32_t, pynna_ctc_hypothesis *, int32_t *, int32_t, pynna_ctc_token *,
                        int32_t *)
    int pynna_ctc_get_stats(const pynna_ctc *, pynna_ctc_stats *)
    ctypedef struct pynna_words:
        int32_t n_labels, space, n_nodes, n_hot
        const int32_t *first_arc
        const int32_t *arc_label
        const int32_t *arc_next
        const int32_t *word
        double outside, unfinished, word_most
        const int32_t *hot_next
        const double *hot_bonus
        const double *hot_end
        void *context
        double (*score)(void *, int32_t, int32_t, int32_t *) noexcept
    const char *pynna_words_error(const pynna_words *)
    int pynna_words_scorer(pynna_words *, pynna_ctc_scorer *)

    ctypedef struct pynna_graph:
        int32_t n_labels, n_states, n_arcs, start
        const int32_t *first_arc
        const int32_t *arc_label
        const int32_t *arc_next
        const uint8_t *is_final
    int PYNNA_ERR_FULL
    const char *pynna_graph_error(const pynna_graph *)
    size_t pynna_graph_bytes(const pynna_graph *)
    int pynna_graph_save(const pynna_graph *, void *, size_t)
    int pynna_graph_open(const void *, size_t, pynna_graph *)
    ctypedef struct pynna_builder:
        pass
    size_t pynna_builder_size(int32_t)
    int pynna_builder_init(void *, size_t, int32_t, int32_t, pynna_builder **)
    int pynna_builder_end(pynna_builder *, int32_t *)
    int pynna_builder_before(pynna_builder *, const int32_t *, int32_t, int32_t, int32_t *)
    int pynna_builder_texts(pynna_builder *, const int32_t *, const int32_t *, int32_t, int32_t, int32_t *)
    int pynna_builder_union(pynna_builder *, const int32_t *, int32_t, int32_t *)
    int pynna_builder_strip(pynna_builder *, int32_t, int32_t *)
    int pynna_builder_graph(pynna_builder *, int32_t, int32_t *, int32_t *, int32_t *, int32_t *, int32_t *, uint8_t *)

    ctypedef struct pynna_search_config:
        int32_t n_labels, blank, n_best, max_active, n_records
        double margin, any_cost, any_entry, noise_cost
        int32_t space
        const float *label_bias
    ctypedef struct pynna_search_token:
        int32_t label, start, frame
        float log_prob, loss
    ctypedef struct pynna_search_hypothesis:
        double score
        int32_t first, n_tokens, complete
        double noise_loss
    ctypedef struct pynna_search_stats:
        double free_score
        int64_t n_dropped
        int32_t n_frames, n_active, most_active, n_waiting, n_room, finished
    ctypedef struct pynna_search:
        pass
    void pynna_search_defaults(int32_t, pynna_search_config *)
    const char *pynna_search_config_error(const pynna_graph *, const pynna_search_config *)
    size_t pynna_search_size(const pynna_graph *, const pynna_search_config *)
    int pynna_search_init(void *, size_t, const pynna_graph *, const pynna_search_config *, pynna_search **)
    int pynna_search_feed(pynna_search *, const pynna_graph *, const float *, int32_t)
    int pynna_search_finish(pynna_search *)
    int pynna_search_take(pynna_search *, int32_t, pynna_search_token *, int32_t *)
    int pynna_search_nbest(const pynna_search *, const pynna_graph *, int32_t, pynna_search_hypothesis *, int32_t *,
                           int32_t, pynna_search_token *, int32_t *)
    int pynna_search_get_stats(const pynna_search *, pynna_search_stats *)


MAX_CHANNELS = PYNNA_MAX_CHANNELS
MAX_THREADS = PYNNA_MAX_THREADS

QUEUE = 32  # windows that a channel keeps unread, and the most steps that one call gives it
cdef enum:
    C_QUEUE = 32
ANY = -1  # an arc's label that stands for free speech


cdef int check(int status, str what) except -1:
    if status != 0:
        raise error_for_status(status, what)
    return 0


cdef void *allocate(size_t size) except NULL:
    """64-byte aligned memory, zeroed."""
    cdef void *memory = NULL
    if size == 0 or posix_memalign(&memory, 64, size) != 0:
        raise MemoryError(f"{size} bytes could not be allocated")
    memset(memory, 0, size)
    return memory


cdef str text(const char *s):
    return s.decode("utf-8") if s is not NULL else ""


def version():
    """The C core's version."""
    return text(pynna_version())


def compiler():
    """What the extension was compiled with."""
    return text(PN_COMPILER)


def instruction_sets():
    """(name, whether this processor runs it) of all kernels in this build, the plainest first."""
    return [(text(pynna_isa_name(i)), bool(pynna_isa_available(i))) for i in range(pynna_isa_count())]


def default_isa():
    """The instruction set that models are run with unless told otherwise; None if PYNNA_ISA names one that can't be."""
    cdef const char *name = pynna_isa_default()
    return text(name) if name is not NULL else None


cdef class MappedModel:
    """A .nna file, mapped into memory read-only and checked, and the tables of its front end. Immutable."""

    cdef object _map
    cdef const uint8_t[::1] _bytes
    cdef void *_memory
    cdef void *_mfcc_memory
    cdef const pynna_model *model
    cdef const pynna_mfcc *mfcc
    cdef const pynna_geometry *g
    cdef readonly dict geometry

    def __cinit__(self, path):
        cdef size_t size
        with open(path, "rb") as file:
            n_bytes = os.fstat(file.fileno()).st_size
            if n_bytes == 0:
                raise error_for_status(16, os.fspath(path))
            self._map = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        self._bytes = self._map
        self._memory = allocate(pynna_model_size())
        cdef const void *start = &self._bytes[0]
        size = self._bytes.shape[0]
        cdef int status
        with nogil:
            status = pynna_model_init(self._memory, pynna_model_size(), start, size, &self.model)
        check(status, os.fspath(path))
        self.g = pynna_model_geometry(self.model)
        self.geometry = dict(self.g[0])
        self._init_mfcc(os.fspath(path))

    cdef _init_mfcc(self, path):
        cdef pynna_mfcc_config config
        config.sample_rate, config.window, config.step = self.g.sample_rate, self.g.window, self.g.step
        config.n_coefficients, config.n_mel = self.g.n_coefficients, self.g.n_mel
        config.lower_hz, config.upper_hz = self.g.mel_lower_hz, self.g.mel_upper_hz
        cdef const char *wrong = pynna_mfcc_config_error(&config)
        if wrong is not NULL:
            raise error_for_status(22, f"{path}: {text(wrong)}")
        self._mfcc_memory = allocate(pynna_mfcc_size(&config))
        check(pynna_mfcc_init(self._mfcc_memory, pynna_mfcc_size(&config), &config, &self.mfcc), path)

    def __dealloc__(self):
        free(self._memory)
        free(self._mfcc_memory)

    @property
    def n_bytes(self):
        """Size of the file."""
        return self._bytes.shape[0]

    @property
    def labels(self):
        """The labels' texts in order, "" for the blank."""
        return [text(pynna_model_label(self.model, i)) for i in range(self.g.n_labels)]

    @property
    def label_priors(self):
        """float32 [n_labels]."""
        return np.array(<float[:self.g.n_labels]> <float *> pynna_model_label_priors(self.model))

    @property
    def feature_gain(self):
        """float32 [n_coefficients]."""
        return np.array(<float[:self.g.n_coefficients]> <float *> pynna_model_feature_gain(self.model))

    @property
    def metadata(self):
        """The file's JSON text, bytes."""
        cdef size_t n = 0
        cdef const char *start = pynna_model_provenance(self.model, &n)
        return start[:n]

    @property
    def layers(self):
        """What each layer is: a list of dicts."""
        return [{"name": text(pynna_layer_name(i)), **dict(pynna_model_layer(self.model, i)[0])}
                for i in range(PYNNA_N_LAYERS)]

    def features(self, const int16_t[::1] pcm):
        """The MFCCs of whole frames of PCM: float32 [n_frames, n_coefficients], no padding, for looking at."""
        cdef Py_ssize_t n = 0, i
        if pcm.shape[0] >= self.g.window:
            n = (pcm.shape[0] - self.g.window) // self.g.step + 1
        out = np.empty((n, self.g.n_coefficients), np.float32)
        cdef float[:, ::1] rows = out
        cdef void *scratch = allocate(pynna_mfcc_scratch_size(self.mfcc))
        try:
            for i in range(n):
                check(pynna_mfcc_frame(self.mfcc, &pcm[i * self.g.step], &rows[i, 0], scratch), "features")
        finally:
            free(scratch)
        return out


cdef class Runner:
    """What one caller at a time runs a model's steps with: scratch memory, kernels, threads."""

    cdef MappedModel model
    cdef void *_memory
    cdef void *_pool_memory
    cdef pynna_workspace *workspace
    cdef pynna_pool *pool
    cdef int _pid
    cdef readonly int threads

    def __cinit__(self, MappedModel model, int threads, isa=None, int max_columns=32):
        if not 1 <= threads <= PYNNA_MAX_THREADS:
            raise ArgumentError(f"threads is {threads}; 1 to {PYNNA_MAX_THREADS} is right")
        self.model = model
        self.threads = threads
        self._pid = os.getpid()
        cdef size_t size = pynna_workspace_size(model.model, max_columns)
        asked = isa if isa is not None else default_isa()
        here = [each for each, available in instruction_sets() if available]
        if asked not in here:
            wrong = isa if isa is not None else os.environ.get("PYNNA_ISA", "")
            raise IsaError(f"instruction set {wrong!r} is not to be had; this build and processor have {', '.join(here)}")
        cdef bytes name = asked.encode()
        self._memory = allocate(size)
        check(pynna_workspace_init(self._memory, size, model.model, max_columns, name, &self.workspace), "workspace")
        if threads > 1:
            self._pool_memory = allocate(pynna_pool_size(threads))
            check(pynna_pool_init(self._pool_memory, pynna_pool_size(threads), threads, &self.pool), "threads")

    def __dealloc__(self):
        if self.pool is not NULL and os.getpid() != self._pid:
            return  # a fork's child: the threads are not here, and what they hold can't be given back
        if self.pool is not NULL:
            pynna_pool_stop(self.pool)
        free(self._pool_memory)
        free(self._memory)

    @property
    def usable(self):
        """False in a child process, to which threads do not come along."""
        return self.pool is NULL or os.getpid() == self._pid

    @property
    def isa(self):
        """The instruction set of the kernels."""
        return text(pynna_workspace_isa(self.workspace))

    def step(self, const float[:, :, ::1] x, const int16_t[:, ::1] c, const int8_t[:, ::1] h):
        """One step of n channels; shapes have been checked. Returns new arrays (log_probs, c, h)."""
        cdef int32_t n = <int32_t> x.shape[0], n_cell = self.model.g.n_cell, j
        p_new = np.empty((n, self.model.g.n_labels), np.float32)
        c_new = np.empty((n, n_cell), np.int16)
        h_new = np.empty((n, n_cell), np.int8)
        cdef float[:, ::1] p_rows = p_new
        cdef int16_t[:, ::1] c_rows = c_new
        cdef int8_t[:, ::1] h_rows = h_new
        cdef pynna_channel channels[16]
        for j in range(n):
            channels[j] = pynna_channel(&x[j, 0, 0], 0, &c[j, 0], &h[j, 0], &c_rows[j, 0], &h_rows[j, 0],
                                        &p_rows[j, 0], NULL)
        cdef int status
        with nogil:
            status = pynna_step(self.workspace, self.pool, n, 1, channels)
        check(status, "step")
        return p_new, c_new, h_new

    def advance(self, list channels, int32_t n_steps):
        """Runs n_steps steps of up to 16 Channels that have as many windows ready; gives each its new labels."""
        cdef int32_t n = <int32_t> len(channels), j
        cdef pynna_channel slots[16]
        cdef Channel channel
        if not 1 <= n <= PYNNA_MAX_CHANNELS:
            raise ArgumentError(f"{n} channels; 1 to {PYNNA_MAX_CHANNELS} is right")
        for j in range(n):
            channel = channels[j]
            if channel.model is not self.model or not 1 <= n_steps <= pynna_frames_ready(channel.frames):
                raise ArgumentError("a channel is of another model or has too few windows ready")
            slots[j] = pynna_channel(pynna_frames_peek(channel.frames), <size_t> self.model.g.n_coefficients, channel.c,
                                     channel.h, channel.c, channel.h, channel.log_probs, channel._speech)
        cdef int status
        with nogil:
            status = pynna_step(self.workspace, self.pool, n, n_steps, slots)
        check(status, "step")
        for j in range(n):
            channel = channels[j]
            check(pynna_frames_advance(channel.frames, n_steps), "frames")
            channel._n_speech = n_steps
            channel.decoder.feed_raw(channel.log_probs, n_steps)


cdef class Channel:
    """One stream's frames, states and decoder."""

    cdef MappedModel model
    cdef void *_memory
    cdef void *_scratch
    cdef pynna_frames *frames
    cdef int16_t *c
    cdef int8_t *h
    cdef float *log_probs
    cdef float *_speech
    cdef int32_t _n_speech
    cdef readonly Decoder decoder

    def __cinit__(self, MappedModel model, Decoder decoder):
        cdef size_t frames_size = pynna_frames_size(model.mfcc, model.g.n_context, QUEUE)
        self.model = model
        self.decoder = decoder
        self._memory = allocate(frames_size)
        check(pynna_frames_init(self._memory, frames_size, model.mfcc, model.g.n_context, C_QUEUE, &self.frames), "frames")
        self._scratch = allocate(pynna_mfcc_scratch_size(model.mfcc))
        self.c = <int16_t *> allocate(model.g.n_cell * sizeof(int16_t))
        self.h = <int8_t *> allocate(model.g.n_cell)
        self.log_probs = <float *> allocate(C_QUEUE * model.g.n_labels * sizeof(float))
        self._speech = <float *> allocate(C_QUEUE * sizeof(float))

    def __dealloc__(self):
        free(self._memory)
        free(self._scratch)
        free(self.c)
        free(self.h)
        free(self.log_probs)
        free(self._speech)

    @property
    def speech(self):
        """Probabilities of speech in the last steps: float32 [n_steps], a copy; 1 where the model does not tell."""
        return np.array(<float[:self._n_speech]> self._speech) if self._n_speech else np.zeros(0, np.float32)

    @property
    def ready(self):
        """Windows that wait for a step."""
        return pynna_frames_ready(self.frames)

    def feed(self, const int16_t[::1] pcm):
        """Takes as much of the samples as there is room for windows, and returns how many."""
        cdef size_t n = pcm.shape[0], consumed = 0
        if n == 0 or pynna_frames_ready(self.frames) >= C_QUEUE:
            return 0
        cdef int status
        cdef const int16_t *start = &pcm[0]
        with nogil:
            status = pynna_frames_feed(self.frames, self.model.mfcc, start, n, &consumed, self._scratch)
        check(status, "stream")
        return consumed

    def finish(self):
        """Flushes the audio that is left; nothing can be fed any more."""
        check(pynna_frames_finish(self.frames, self.model.mfcc, self._scratch), "stream")

    @property
    def state(self):
        """Copies of the network's states: (c int16 [n_cell], h int8 [n_cell])."""
        cdef Py_ssize_t n = self.model.g.n_cell
        return np.array(<int16_t[:n]> self.c), np.array(<int8_t[:n]> self.h)

    @state.setter
    def state(self, value):
        cdef const int16_t[::1] c = value[0]
        cdef const int8_t[::1] h = value[1]
        if c.shape[0] != self.model.g.n_cell or h.shape[0] != self.model.g.n_cell:
            raise StateError(f"states are of {c.shape[0]} and {h.shape[0]} cells; {self.model.g.n_cell} is right")
        memcpy(self.c, &c[0], c.shape[0] * sizeof(int16_t))
        memcpy(self.h, &h[0], h.shape[0])


cdef object as_tuple(const pynna_ctc_token *t):
    return t.label, t.start, t.frame, t.log_prob


cdef class Decoder:
    """What turns a channel's log-probabilities into labels: greedy or beam search.

    A label comes as a tuple (label, first frame, frame of its highest probability, log-probability there)."""

    cdef readonly int n_labels
    cdef readonly list committed  # labels that no later frame can change, in order; only ever appended to

    cdef int feed_raw(self, const float *log_probs, int32_t n_frames) except -1:
        raise NotImplementedError

    def feed(self, const float[:, ::1] log_probs):
        """Takes frames of natural-log probabilities, float32 [n_frames, n_labels]."""
        if log_probs.shape[1] != self.n_labels:
            raise ArgumentError(f"frames have {log_probs.shape[1]} labels; {self.n_labels} is right")
        if log_probs.shape[0] > 0:
            self.feed_raw(&log_probs[0, 0], <int32_t> log_probs.shape[0])


cdef class Collector(Decoder):
    """No decoder: keeps what it is fed until it is taken."""

    cdef list _rows

    def __cinit__(self, int n_labels):
        self.n_labels = n_labels
        self.committed = []
        self._rows = []

    cdef int feed_raw(self, const float *log_probs, int32_t n_frames) except -1:
        if n_frames > 0:
            self._rows.append(np.array(<float[:n_frames, :self.n_labels]> <float *> log_probs))
        return 0

    def take(self):
        """[float32 [n_frames, n_labels]] since it was last asked."""
        rows, self._rows = self._rows, []
        return rows

    def tails(self, int n):
        """Nothing."""
        return [(0.0, [])]

    def finish(self):
        """Nothing."""


cdef class GreedyDecoder(Decoder):
    """The best label of each frame, repeats and blanks collapsed."""

    cdef pynna_ctc_greedy _state

    def __cinit__(self, int n_labels, int blank):
        self.n_labels = n_labels
        self.committed = []
        check(pynna_ctc_greedy_init(n_labels, blank, &self._state), "decoder")

    cdef int feed_raw(self, const float *log_probs, int32_t n_frames) except -1:
        cdef pynna_ctc_token tokens[64]
        cdef int32_t done, n, n_tokens, i
        for done in range(0, n_frames, 64):
            n = min(64, n_frames - done)
            check(pynna_ctc_greedy_feed(&self._state, log_probs + <Py_ssize_t> done * self.n_labels, n, tokens, &n_tokens),
                  "decoder")
            for i in range(n_tokens):
                self.committed.append(as_tuple(&tokens[i]))
        return 0

    def tails(self, int n):
        """[(score, labels after the committed ones)], one hypothesis."""
        cdef pynna_ctc_token token
        cdef int32_t n_tokens = 0
        check(pynna_ctc_greedy_pending(&self._state, &token, &n_tokens), "decoder")
        return [(self._state.score, [as_tuple(&token)] if n_tokens else [])]

    def finish(self):
        """Ends the stream: the label under way is committed."""
        cdef pynna_ctc_token token
        cdef int32_t n_tokens = 0
        check(pynna_ctc_greedy_finish(&self._state, &token, &n_tokens), "decoder")
        if n_tokens:
            self.committed.append(as_tuple(&token))


cdef double ask_for_word(void *context, int32_t state, int32_t word, int32_t *next) noexcept with gil:
    words = <Words> context
    cdef double score = 0.0
    if words.error is None:
        try:
            score, next[0] = words.score(state, word)
        except BaseException as error:  # goes on in the thread that fed the frames
            words.error = error
    return score


cdef class Words:
    """Vocabulary, language model and hot words of one beam search.

    `vocabulary`: (first_arc, arc_label, arc_next, word), int32 arrays of a tree over labels; None for any word.
    `score`: a function (context, word) -> (nats, context), word -1 for one outside the vocabulary, context 0 at the
    start; None for no language model. `most`: no less than it ever gives."""

    cdef pynna_words w
    cdef pynna_ctc_scorer scorer
    cdef object score, error
    cdef tuple _held  # the arrays that w points into

    def __cinit__(self, int n_labels, int space, *, vocabulary=None, double outside=float("-inf"),
                  double unfinished=-1000.0, score=None, double most=0.0):
        cdef const int32_t[::1] first_arc, label, next, word
        memset(&self.w, 0, sizeof(self.w))
        self._held = (vocabulary, None)
        self.w.n_labels, self.w.space = n_labels, space
        self.w.outside, self.w.unfinished = outside, unfinished
        if vocabulary is not None:
            first_arc, label, next, word = vocabulary
            if first_arc.shape[0] != word.shape[0] + 1 or label.shape[0] != next.shape[0] or (
                    first_arc[word.shape[0]] > label.shape[0]):
                raise ArgumentError("vocabulary: n + 1 first_arc for n nodes, a label and a node for each arc are right")
            self.w.n_nodes = <int32_t> word.shape[0]
            self.w.first_arc, self.w.word = &first_arc[0], &word[0]
            if label.shape[0] > 0:
                self.w.arc_label, self.w.arc_next = &label[0], &next[0]
        if score is not None:
            self.score = score
            self.w.score, self.w.word_most, self.w.context = ask_for_word, most, <void *> self
        self._make()

    cdef int _make(self) except -1:
        cdef const char *wrong = pynna_words_error(&self.w)
        if wrong is not NULL:
            raise ArgumentError(f"words: {text(wrong)}")
        check(pynna_words_scorer(&self.w, &self.scorer), "words")
        return 0

    cdef int _set_hot_words(self, next, bonus, end) except -1:
        cdef const int32_t[:, ::1] states = next
        cdef const double[:, ::1] bonuses = bonus
        cdef const double[::1] ends = end
        if not (states.shape[0] == bonuses.shape[0] == ends.shape[0] > 0) or states.shape[1] != self.w.n_labels or (
                bonuses.shape[1] != self.w.n_labels):
            raise ArgumentError(f"hot words: [n, {self.w.n_labels}] states and bonuses and n ends are right")
        self._held = (self._held[0], (next, bonus, end))
        self.w.n_hot = <int32_t> states.shape[0]
        self.w.hot_next, self.w.hot_bonus, self.w.hot_end = &states[0, 0], &bonuses[0, 0], &ends[0]
        self._make()
        return 0

    def score_of(self, labels):
        """Nats that a whole text adds, its labels given."""
        cdef pynna_ctc_state state, next
        cdef double score = 0.0
        memset(&state, 0, sizeof(state))
        for label in labels:
            if not 0 <= label < self.w.n_labels:
                raise ArgumentError(f"label {label}; 0 to {self.w.n_labels - 1} is right")
            score += self.scorer.extend(self.scorer.context, &state, label, &next)
            if score == float("-inf"):
                return score
            state = next
        score += self.scorer.finish(self.scorer.context, &state)
        self._check()
        return score

    cdef int _check(self) except -1:
        """Raises what the language model raised."""
        error, self.error = self.error, None
        if error is not None:
            raise error
        return 0


cdef class BeamDecoder(Decoder):
    """Prefix beam search; `label_bias` float32 [n_labels] or None is added to each frame."""

    cdef readonly Words words
    cdef void *_memory
    cdef pynna_ctc *_state
    cdef int32_t _max_frames

    def __cinit__(self, int n_labels, int blank, int beam_width, double cutoff_prob=1.0, int cutoff_top_n=40,
                  double score_margin=float("inf"), label_bias=None, int n_nodes=0, Words words=None):
        cdef pynna_ctc_config config
        cdef const float[::1] bias
        pynna_ctc_defaults(n_labels, &config)
        config.blank, config.beam, config.cutoff_top_n = blank, beam_width, cutoff_top_n
        config.cutoff_prob, config.score_margin = cutoff_prob, score_margin
        config.n_nodes = n_nodes if n_nodes else max(4096, 64 * beam_width)
        if label_bias is not None:
            bias = label_bias
            if bias.shape[0] != n_labels:
                raise ArgumentError(f"label_bias has {bias.shape[0]} entries; {n_labels} is right")
            config.label_bias = &bias[0]
        cdef const char *wrong = pynna_ctc_config_error(&config)
        if wrong is not NULL:
            raise ArgumentError(f"decoder: {text(wrong)}")
        self.n_labels = n_labels
        self.committed = []
        if words is not None and words.w.n_labels != n_labels:
            raise ArgumentError(f"words are of {words.w.n_labels} labels; {n_labels} is right")
        self.words = words
        self._max_frames = config.max_frames
        self._memory = allocate(pynna_ctc_size(&config))
        check(pynna_ctc_init(self._memory, pynna_ctc_size(&config), &config, &self._state), "decoder")

    def __dealloc__(self):
        free(self._memory)

    cdef int _take(self) except -1:
        cdef pynna_ctc_token tokens[64]
        cdef int32_t n = 64, i
        while n == 64:
            check(pynna_ctc_take(self._state, 64, tokens, &n), "decoder")
            for i in range(n):
                self.committed.append(as_tuple(&tokens[i]))
        return 0

    cdef int feed_raw(self, const float *log_probs, int32_t n_frames) except -1:
        cdef int32_t done, n
        cdef int status
        cdef const pynna_ctc_scorer *scorer = self._scorer()
        for done in range(0, n_frames, self._max_frames):
            n = min(self._max_frames, n_frames - done)
            with nogil:
                status = pynna_ctc_feed_scored(self._state, scorer, log_probs + <Py_ssize_t> done * self.n_labels, n)
            check(status, "decoder")
            self._take()
            if self.words is not None:
                self.words._check()
        return 0

    def set_hot_words(self, next, bonus, end):
        """Other hot words from now on: int32 [n, n_labels], float64 [n, n_labels], float64 [n]; see `HotWords`."""
        held = self.words._held
        cdef pynna_words before = self.words.w
        cdef pynna_ctc_scorer scorer_before
        check(pynna_words_scorer(&before, &scorer_before), "hot words")
        self.words._set_hot_words(next, bonus, end)
        check(pynna_ctc_change_scorer(self._state, &scorer_before, &self.words.scorer), "hot words")
        self.words._check()
        del held  # the tables before, until here

    cdef const pynna_ctc_scorer *_scorer(self):
        if self.words is None or (self.words.w.n_nodes == 0 and self.words.w.n_hot == 0):
            return NULL
        return &self.words.scorer

    def tails(self, int n):
        """The n best [(score, labels after the committed ones)], best first."""
        cdef int32_t n_hypotheses = 0, n_tokens = 0, i, k
        cdef pynna_ctc_hypothesis *hypotheses = <pynna_ctc_hypothesis *> allocate(n * sizeof(pynna_ctc_hypothesis))
        cdef pynna_ctc_token *tokens = NULL
        try:
            pynna_ctc_nbest(self._state, n, hypotheses, &n_hypotheses, 0, NULL, &n_tokens)  # tells the room it needs
            tokens = <pynna_ctc_token *> allocate((n_tokens + 1) * sizeof(pynna_ctc_token))
            check(pynna_ctc_nbest(self._state, n, hypotheses, &n_hypotheses, n_tokens, tokens, &n_tokens), "decoder")
            return [(hypotheses[i].score, [as_tuple(&tokens[hypotheses[i].first + k])
                                           for k in range(hypotheses[i].n_tokens)]) for i in range(n_hypotheses)]
        finally:
            free(hypotheses)
            free(tokens)

    def finish(self):
        """Ends the stream."""
        check(pynna_ctc_finish_scored(self._state, self._scorer()), "decoder")
        if self.words is not None:
            self.words._check()

    @property
    def stats(self):
        """The search's counters: a dict."""
        cdef pynna_ctc_stats stats
        check(pynna_ctc_get_stats(self._state, &stats), "decoder")
        return dict(stats)


cdef class Graph:
    """A grammar as an automaton over labels, immutable: the sentences are the paths from `start` to a final state.

    Arcs of state s are first_arc[s] to first_arc[s + 1] - 1; a label of -1 (`ANY`) is free speech."""

    cdef pynna_graph g
    cdef const uint8_t[::1] _block

    def __cinit__(self, const int32_t[::1] first_arc, const int32_t[::1] arc_label, const int32_t[::1] arc_next,
                  const uint8_t[::1] is_final, int start, int n_labels):
        cdef Py_ssize_t n_states = is_final.shape[0], n_arcs = arc_label.shape[0]
        if n_states == 0 or first_arc.shape[0] != n_states + 1 or arc_next.shape[0] != n_arcs:
            raise ArgumentError(f"graph: {n_states} states, {first_arc.shape[0]} first_arc, {n_arcs} labels and "
                                f"{arc_next.shape[0]} next states; n + 1 for n states, and as many of both, is right")
        cdef pynna_graph given = pynna_graph(n_labels, <int32_t> n_states, <int32_t> n_arcs, start, &first_arc[0],
                                             NULL, NULL, &is_final[0])
        if n_arcs > 0:
            given.arc_label, given.arc_next = &arc_label[0], &arc_next[0]
        cdef const char *wrong = pynna_graph_error(&given)
        if wrong is not NULL:
            raise ArgumentError(f"graph: {text(wrong)}")
        block = np.empty(pynna_graph_bytes(&given), np.uint8)
        cdef uint8_t[::1] target = block
        check(pynna_graph_save(&given, &target[0], target.shape[0]), "graph")
        self._use(block)

    cdef int _use(self, const uint8_t[::1] block) except -1:
        self._block = block
        check(pynna_graph_open(&block[0], block.shape[0], &self.g), "graph")
        return 0

    @staticmethod
    def from_bytes(data):
        """The graph that `to_bytes` wrote; raises ModelFileError for anything else."""
        cdef Graph graph = Graph.__new__(Graph, np.zeros(2, np.int32), np.zeros(0, np.int32), np.zeros(0, np.int32),
                                         np.zeros(1, np.uint8), 0, 2)
        block = np.frombuffer(data, np.uint8).copy()
        if len(block) == 0:
            raise ArgumentError("graph: no bytes")
        graph._use(block)
        return graph

    def to_bytes(self):
        """The graph as one block, which the C core uses in place."""
        return bytes(self._block)

    @property
    def n_labels(self):
        """Labels of the networks that it fits, the blank included."""
        return self.g.n_labels

    @property
    def n_states(self):
        """States."""
        return self.g.n_states

    @property
    def n_arcs(self):
        """Arcs."""
        return self.g.n_arcs

    @property
    def n_bytes(self):
        """Bytes in memory."""
        return self._block.shape[0]


cdef class GraphBuilder:
    """Minimal deterministic automata, put together from their ends: each method gives a state, which stands for what may
    follow it. `space` is the label between words, -1 for none. Raises StateError when `max_states` are not enough."""

    cdef void *_memory
    cdef pynna_builder *_state

    def __cinit__(self, int max_states, int space):
        cdef size_t size = pynna_builder_size(max_states)
        if size == 0:
            raise ArgumentError(f"max_states is {max_states}; 16 to 67108864 is right")
        if posix_memalign(&self._memory, 64, size) != 0:  # not zeroed: what is not used stays untouched
            raise MemoryError(f"{size} bytes could not be allocated")
        check(pynna_builder_init(self._memory, size, max_states, space, &self._state), "graph")

    def __dealloc__(self):
        free(self._memory)

    cdef int _check(self, int status) except -1:
        if status == PYNNA_ERR_FULL:
            raise StateError("graph: it takes more states than there is room for")
        return check(status, "graph")

    def end(self):
        """Where a text has ended."""
        cdef int32_t made
        self._check(pynna_builder_end(self._state, &made))
        return made

    def before(self, const int32_t[::1] labels, int then):
        """These labels, one after the other, then what follows `then`."""
        cdef int32_t made, n = <int32_t> labels.shape[0]
        self._check(pynna_builder_before(self._state, &labels[0] if n else NULL, n, then, &made))
        return made

    def texts(self, const int32_t[::1] labels, const int32_t[::1] ends, int then):
        """One of some sorted texts, then what follows `then`; text t is labels[ends[t - 1] : ends[t]]."""
        cdef int32_t made, n = <int32_t> ends.shape[0]
        if n == 0 or ends[n - 1] != labels.shape[0]:
            raise ArgumentError("graph: the last of the texts must end with the labels")
        self._check(pynna_builder_texts(self._state, &labels[0] if labels.shape[0] else NULL, &ends[0], n, then, &made))
        return made

    def union(self, const int32_t[::1] states):
        """What follows any of the states."""
        cdef int32_t made, n = <int32_t> states.shape[0]
        self._check(pynna_builder_union(self._state, &states[0] if n else NULL, n, &made))
        return made

    def strip(self, int state):
        """What follows the state, without a space in front."""
        cdef int32_t made
        self._check(pynna_builder_strip(self._state, state, &made))
        return made

    def arrays(self, int start):
        """The automaton of a state, which is the last of its states: first_arc, arc_label, arc_next, is_final."""
        cdef int32_t n_states, n_arcs
        self._check(pynna_builder_graph(self._state, start, &n_states, &n_arcs, NULL, NULL, NULL, NULL))
        arrays = (np.empty(n_states + 1, np.int32), np.empty(n_arcs, np.int32), np.empty(n_arcs, np.int32),
                  np.empty(n_states, np.uint8))
        cdef int32_t[::1] first = arrays[0], labels = arrays[1], following = arrays[2]
        cdef uint8_t[::1] final = arrays[3]
        self._check(pynna_builder_graph(self._state, start, &n_states, &n_arcs, &first[0],
                                        &labels[0] if n_arcs else NULL, &following[0] if n_arcs else NULL, &final[0]))
        return arrays


cdef class GraphDecoder(Decoder):
    """The sentence of a graph that fits best. A label comes as (label, first frame, frame of its highest probability,
    log-probability there, loss): the loss in nats is against the unconstrained best path; a label of free speech is told
    as n_labels + label."""

    cdef readonly Graph graph
    cdef void *_memory
    cdef pynna_search *_state
    cdef readonly int n_best
    cdef int64_t _n_fed
    cdef object _kept
    cdef float[:, ::1] _kept_rows  # [keep_frames, n_labels], a ring

    def __cinit__(self, Graph graph, int blank, *, int n_best=1, int max_active=4096, double margin=30.0,
                  double any_cost=0.5, double any_entry=2.0, double noise_cost=float("inf"), int space=-1,
                  label_bias=None, int keep_frames=0):
        cdef pynna_search_config config
        cdef const float[::1] bias
        pynna_search_defaults(graph.g.n_labels, &config)
        config.blank, config.n_best, config.margin = blank, n_best, margin
        config.max_active = max(16, min(max_active, graph.g.n_arcs + graph.g.n_states))
        config.n_records = max(32768, 8 * max(1, n_best) * config.max_active)
        config.any_cost, config.any_entry = any_cost, any_entry
        config.noise_cost, config.space = noise_cost, space
        if label_bias is not None:
            bias = label_bias
            if bias.shape[0] != graph.g.n_labels:
                raise ArgumentError(f"label_bias has {bias.shape[0]} entries; {graph.g.n_labels} is right")
            config.label_bias = &bias[0]
        cdef const char *wrong = pynna_search_config_error(&graph.g, &config)
        if wrong is not NULL:
            raise ArgumentError(f"grammar search: {text(wrong)}")
        self.graph = graph
        self.n_labels = graph.g.n_labels
        self.n_best = n_best
        self._kept = np.empty((max(keep_frames, 0), self.n_labels), np.float32)
        self._kept_rows = self._kept
        self.committed = []
        cdef size_t size = pynna_search_size(&graph.g, &config)
        self._memory = allocate(size)
        check(pynna_search_init(self._memory, size, &graph.g, &config, &self._state), "grammar search")

    def __dealloc__(self):
        free(self._memory)

    cdef int feed_raw(self, const float *log_probs, int32_t n_frames) except -1:
        cdef int32_t done = 0, n, i, n_tokens
        cdef int status
        cdef pynna_search_stats stats
        cdef pynna_search_token tokens[64]
        while done < n_frames:
            check(pynna_search_get_stats(self._state, &stats), "grammar search")
            n = min(stats.n_room, n_frames - done)
            with nogil:
                status = pynna_search_feed(self._state, &self.graph.g, log_probs + <Py_ssize_t> done * self.n_labels, n)
            check(status, "grammar search")
            done += n
            n_tokens = 64
            while n_tokens == 64:
                check(pynna_search_take(self._state, 64, tokens, &n_tokens), "grammar search")
                for i in range(n_tokens):
                    self.committed.append(as_search_tuple(&tokens[i]))
        self._keep(log_probs, n_frames)
        return 0

    cdef void _keep(self, const float *log_probs, int32_t n_frames) noexcept:
        cdef Py_ssize_t room = self._kept_rows.shape[0], i
        for i in range(max(0, n_frames - room), n_frames):
            memcpy(&self._kept_rows[(self._n_fed + i) % room, 0], log_probs + i * self.n_labels,
                   self.n_labels * sizeof(float))
        self._n_fed += n_frames

    def kept(self):
        """(first frame, float32 [n, n_labels]): the last `keep_frames` frames that were fed."""
        n, room = self._n_fed, len(self._kept)
        if n <= room:
            return 0, self._kept[:n].copy()
        return n - room, np.roll(self._kept, -(n % room), axis=0) if room else self._kept

    def hypotheses(self, int n):
        """The n best [(score, labels after the committed ones, whether it is a whole sentence, nats lost to noise)], best
        first: after `finish` whole ones alone, if there are any."""
        cdef int32_t n_hypotheses = 0, n_tokens = 0, i, k
        cdef pynna_search_hypothesis hypotheses[16]
        cdef pynna_search_token *tokens = NULL
        n = max(1, min(n, 16))
        try:
            pynna_search_nbest(self._state, &self.graph.g, n, hypotheses, &n_hypotheses, 0, NULL, &n_tokens)
            tokens = <pynna_search_token *> allocate((n_tokens + 1) * sizeof(pynna_search_token))
            check(pynna_search_nbest(self._state, &self.graph.g, n, hypotheses, &n_hypotheses, n_tokens, tokens,
                                     &n_tokens), "grammar search")
            return [(hypotheses[i].score, [as_search_tuple(&tokens[hypotheses[i].first + k])
                                           for k in range(hypotheses[i].n_tokens)], bool(hypotheses[i].complete),
                     hypotheses[i].noise_loss)
                    for i in range(n_hypotheses)]
        finally:
            free(tokens)

    def tails(self, int n):
        """The n best [(score, labels after the committed ones)]: after `finish` sentences, if any is complete."""
        return [(score, tokens) for score, tokens, *_ in self.hypotheses(n)]

    def finish(self):
        """Ends the stream."""
        check(pynna_search_finish(self._state), "grammar search")

    @property
    def complete(self):
        """Whether the best hypothesis is a whole sentence of the graph."""
        return self.hypotheses(1)[0][2]

    @property
    def stats(self):
        """The search's counters: a dict; `free_score` is the unconstrained best path's."""
        cdef pynna_search_stats stats
        check(pynna_search_get_stats(self._state, &stats), "grammar search")
        return dict(stats)


cdef object as_search_tuple(const pynna_search_token *t):
    return t.label, t.start, t.frame, t.log_prob, t.loss
