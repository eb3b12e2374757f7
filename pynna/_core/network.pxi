# SPDX-License-Identifier: Apache-2.0
# Mapped models, what runs their steps, and channels of audio.

cdef enum:
    HEAD = 64  # bytes that tell whether it is a model's file


cdef class MappedModel:
    """A .nna file, read into memory and checked, and the tables of its front end. Immutable: what becomes of the file
    later does not matter."""

    cdef void *_file
    cdef size_t _size
    cdef void *_memory
    cdef void *_mfcc_memory
    cdef const pynna_model *model
    cdef const pynna_mfcc *mfcc
    cdef const pynna_geometry *g
    cdef readonly dict geometry

    def __cinit__(self, path):
        cdef int status
        self._memory = allocate(pynna_model_size())
        with open(path, "rb", buffering=0) as file:
            self._read(file, os.fspath(path))
        with nogil:
            status = pynna_model_init(self._memory, pynna_model_size(), self._file, self._size, &self.model)
        check(status, os.fspath(path))
        self.g = pynna_model_geometry(self.model)
        self.geometry = dict(self.g[0])
        self._init_mfcc(os.fspath(path))

    cdef int _read(self, file, str path) except -1:
        """All of the file; of one that is cut short meanwhile, what there is."""
        cdef size_t size = os.fstat(file.fileno()).st_size, done = 0
        cdef int status
        cdef uint8_t[::1] room
        if size == 0:
            raise error_for_status(16, path)
        self._file = allocate(size if size < HEAD else HEAD)
        room = <uint8_t[:(size if size < HEAD else HEAD)]> <uint8_t *> self._file
        done = file.readinto(room)
        status = pynna_model_init(self._memory, pynna_model_size(), self._file, done, &self.model)
        if status in (16, 17, 18):  # no file for us, however large
            raise error_for_status(status, path)
        free(self._file)
        self._file = NULL
        self._file = allocate_large(size)
        room = <uint8_t[:size]> <uint8_t *> self._file
        file.seek(0)
        done = 0
        while done < size:
            n = file.readinto(room[done:])
            if not n:
                break
            done += n
        self._size = done
        return 0

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
        free(self._file)
        free(self._memory)
        free(self._mfcc_memory)

    @property
    def n_bytes(self):
        """Size of the file."""
        return self._size

    @property
    def sha256(self):
        """The file's checksum, in hexadecimal."""
        return hashlib.sha256(<uint8_t[:self._size]> <uint8_t *> self._file).hexdigest()

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
        cdef const char *start = pynna_model_metadata(self.model, &n)
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

    def __cinit__(self, MappedModel model, int threads, isa=None, int max_columns=64):
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
        self._memory = allocate_large(size)
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
            channel._note(n_steps)
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
    cdef size_t _frames_size
    cdef float *_log  # [_log_room, n_labels], of which _n_log are there
    cdef Py_ssize_t _n_log, _log_room, _max_log
    cdef bint _is_logged
    cdef readonly Decoder decoder

    def __cinit__(self, MappedModel model, Decoder decoder, Py_ssize_t max_log=0):
        self._frames_size = pynna_frames_size(model.mfcc, model.g.n_context, QUEUE)
        self.model = model
        self.decoder = decoder
        self._max_log = max_log
        self._is_logged = max_log > 0
        self._memory = allocate(self._frames_size)
        check(pynna_frames_init(self._memory, self._frames_size, model.mfcc, model.g.n_context, C_QUEUE, &self.frames), "frames")
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
        free(self._log)

    cdef int _note(self, int32_t n) except -1:
        """Keeps the last steps' log-probabilities, up to the most that are kept; then none at all."""
        if not self._is_logged:
            return 0
        if self._n_log + n > self._max_log or not self._has_room(n):
            self._is_logged = False
            free(self._log)
            self._log = NULL
            return 0
        self._append(self.log_probs, n)
        return 0

    cdef bint _has_room(self, Py_ssize_t n):
        """Makes room for n more rows; False where there is no memory for them: then the stream goes on without a log."""
        cdef Py_ssize_t room = self._log_room
        cdef void *larger
        if self._n_log + n <= room:
            return True
        room = max(self._n_log + n, min(2 * room, self._max_log), 64)
        larger = realloc(self._log, room * self.model.g.n_labels * sizeof(float))
        if larger is NULL:
            return False
        self._log, self._log_room = <float *> larger, room
        return True

    cdef void _append(self, const float *rows, Py_ssize_t n) noexcept:
        cdef Py_ssize_t n_labels = self.model.g.n_labels
        memcpy(self._log + self._n_log * n_labels, rows, n * n_labels * sizeof(float))
        self._n_log += n

    @property
    def log(self):
        """All log-probabilities so far, float32 [n_frames, n_labels], a copy; None where they are more than are kept."""
        cdef Py_ssize_t n = self._n_log
        if not self._is_logged:
            return None
        if n == 0:
            return np.zeros((0, self.model.g.n_labels), np.float32)
        return np.array(<float[:n, :self.model.g.n_labels]> self._log)

    @log.setter
    def log(self, const float[:, ::1] rows):
        if rows.shape[1] != self.model.g.n_labels or rows.shape[0] > self._max_log:
            raise StateError(f"a log of {rows.shape[0]} frames of {rows.shape[1]} labels; up to {self._max_log} of "
                             f"{self.model.g.n_labels} are right")
        self._n_log = 0
        if rows.shape[0]:
            if not self._has_room(rows.shape[0]):
                raise MemoryError(f"{rows.shape[0]} frames could not be kept")
            self._append(&rows[0, 0], rows.shape[0])

    @property
    def frames_block(self):
        """Audio on its way to windows, as a block of bytes: what `pynna_frames_restore` takes."""
        return <bytes> (<const char *> self.frames)[:self._frames_size]

    @frames_block.setter
    def frames_block(self, const uint8_t[::1] block):
        if block.shape[0] == 0 or pynna_frames_restore(self.frames, &block[0], block.shape[0]) != 0:
            raise StateError("the frames of a saved state must be those of a stream of this model, and are damaged")

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
