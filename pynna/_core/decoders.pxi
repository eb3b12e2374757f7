# SPDX-License-Identifier: Apache-2.0
# Decoders without a grammar: what collects, greedy decoding, the beam search and its words.

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


cdef enum:
    N_ANSWERS = 2048  # a language model's answers that a stream keeps
    MAX_MISSES = 4096  # questions after which it asks anew: contexts are numbered, and numbers are not kept for ever

ctypedef struct Answer:
    int32_t context, word, next, is_kept
    double score

ctypedef struct Answers:
    void *words  # the object of Words
    int32_t n_misses
    Answer kept[N_ANSWERS]


cdef double ask_for_word(void *context, int32_t state, int32_t word, int32_t *next) noexcept nogil:
    answers = <Answers *> context
    cdef uint32_t at = (<uint32_t> state * 2654435761u ^ <uint32_t> word * 2246822519u) >> 21
    cdef Answer *answer = &answers.kept[at]
    if not (answer.is_kept and answer.context == state and answer.word == word):
        if answers.n_misses == MAX_MISSES:
            memset(answers.kept, 0, sizeof(answers.kept))
            answers.n_misses = 0
        answers.n_misses += 1
        answer.context, answer.word, answer.next = state, word, next[0]
        answer.is_kept = ask_python(answers.words, answer)
    next[0] = answer.next
    return answer.score


cdef int32_t ask_python(void *context, Answer *answer) noexcept with gil:
    """Fills in an answer; 0 where that failed."""
    words = <Words> context
    answer.score = 0.0
    if words.error is None:
        try:
            answer.score, answer.next = words.score(answer.context, answer.word)
            return 1
        except BaseException as error:  # goes on in the thread that fed the frames
            words.error = error
    return 0


cdef class Words:
    """Vocabulary, language model and hot words of one beam search.

    `vocabulary`: (first_arc, arc_label, arc_next, word), int32 arrays of a tree over labels; None for any word.
    `score`: a function (context, word) -> (nats, context), word -1 for one outside the vocabulary, context 0 at the
    start; None for no language model. `most`: no less than it ever gives."""

    cdef pynna_words w
    cdef pynna_ctc_scorer scorer
    cdef object score, error
    cdef Answers *_answers
    cdef tuple _held  # the arrays that w points into

    def __cinit__(self, int n_labels, int space, *, vocabulary=None, double outside=float("-inf"),
                  double outside_letter=0.0, double unfinished=-1000.0, score=None, double most=0.0):
        cdef const int32_t[::1] first_arc, label, next, word
        memset(&self.w, 0, sizeof(self.w))
        self._held = (vocabulary, None)
        self.w.n_labels, self.w.space = n_labels, space
        self.w.outside, self.w.outside_letter, self.w.unfinished = outside, outside_letter, unfinished
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
            self._answers = <Answers *> allocate(sizeof(Answers))
            self._answers.words = <void *> self
            self.w.score, self.w.word_most, self.w.context = ask_for_word, most, self._answers
        self._make()

    def __dealloc__(self):
        free(self._answers)

    cdef int _make(self) except -1:
        cdef const char *wrong
        cdef int status = pynna_words_scorer(&self.w, &self.scorer)  # it looks all tables over: why is asked only then
        if status != 0:
            wrong = pynna_words_error(&self.w)
            if wrong is not NULL:
                raise ArgumentError(f"words: {text(wrong)}")
        check(status, "words")
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
        cdef size_t size = pynna_ctc_size(&config)
        self._memory = allocate(size)  # all of it is touched: from the allocator it is there sooner
        check(pynna_ctc_init(self._memory, size, &config, &self._state), "decoder")

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
