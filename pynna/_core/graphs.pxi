# SPDX-License-Identifier: Apache-2.0
# Grammars' graphs: how they are put together, and the search over them.

cdef class Graph:
    """A grammar as an automaton over labels, immutable: the sentences are the paths from `start` to a final state.

    Arcs of state s are first_arc[s] to first_arc[s + 1] - 1; a label of -1 is the filler."""

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
    """Minimal deterministic automata, put together from their ends: each method gives a state, which stands for what
    may follow it. `space` is the label between words, -1 for none. Raises StateError when `max_states` are not enough."""

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


cdef enum:
    HOT_CELLS = 4  # room for paths with hot words apart, a place


cdef class GraphDecoder(Decoder):
    """The sentence of a graph that fits best. A label comes as (label, first frame, frame of its highest probability,
    log-probability there, loss): the loss in nats is against the unconstrained best path; a label of the filler is told
    as n_labels + label."""

    cdef readonly Graph graph
    cdef _Block _memory
    cdef pynna_search *_state
    cdef pynna_search_config _config
    cdef object _bias  # what the configuration points into
    cdef int _max_active
    cdef Words _hot  # None: no hot words
    cdef readonly int n_best
    cdef int64_t _n_fed
    cdef object _kept
    cdef float[:, ::1] _kept_rows  # [keep_frames, n_labels], a ring

    def __cinit__(self, Graph graph, int blank, *, int n_best=1, int max_active=4096, double margin=30.0,
                  double filler_cost=0.5, double filler_entry_cost=2.0, double noise_cost=float("inf"), int space=-1,
                  label_bias=None, int keep_frames=0):
        cdef pynna_search_config config
        cdef const float[::1] bias
        pynna_search_defaults(graph.g.n_labels, &config)
        config.blank, config.n_best, config.margin = blank, n_best, margin
        config.filler_cost, config.filler_entry_cost = filler_cost, filler_entry_cost
        config.noise_cost, config.space = noise_cost, space
        if label_bias is not None:
            bias = label_bias
            if bias.shape[0] != graph.g.n_labels:
                raise ArgumentError(f"label_bias has {bias.shape[0]} entries; {graph.g.n_labels} is right")
            config.label_bias = &bias[0]
        self.graph, self._config, self._bias, self._max_active = graph, config, label_bias, max_active
        self.n_labels = graph.g.n_labels
        self.n_best = n_best
        self._kept = np.empty((max(keep_frames, 0), self.n_labels), np.float32)
        self._kept_rows = self._kept
        self.committed = []
        self._make(1)

    cdef int _make(self, int cells_a_place) except -1:
        """The search, with room for so many cells a place, and `max_active` at most."""
        cdef pynna_graph *g = &self.graph.g
        cdef int64_t n_cells = <int64_t> cells_a_place * (g.n_arcs + g.n_states)
        self._config.max_active = <int32_t> max(16, min(self._max_active, n_cells))
        self._config.n_records = max(32768, 8 * max(1, self.n_best) * self._config.max_active)
        cdef const char *wrong = pynna_search_config_error(g, &self._config)
        if wrong is not NULL:
            raise ArgumentError(f"grammar search: {text(wrong)}")
        cdef size_t size = pynna_search_size(g, &self._config)
        self._memory = _Block(size)
        check(pynna_search_init(self._memory.start, size, g, &self._config, &self._state), "grammar search")
        return 0

    cdef const pynna_words *_tables(self):
        return NULL if self._hot is None else &self._hot.w

    def set_hot_words(self, next, bonus, end):
        """Other hot words from now on: int32 [n, n_labels], float64 [n, n_labels], float64 [n]; see `HotWords`.

        Paths with other hot words behind them are followed apart: before the first frame there is made room for four
        a place, later there is none but what the search has."""
        cdef Words hot = None
        if self._config.space < 0:
            raise ArgumentError("hot words need the label between words")
        if np.any(bonus):
            hot = Words(self.n_labels, self._config.space)
            hot._set_hot_words(next, bonus, end)
            if self._hot is None and self._n_fed == 0:
                self._make(HOT_CELLS)
        check(pynna_search_change_hot_words(self._state, &self.graph.g, self._tables(), NULL if hot is None else &hot.w),
              "hot words")
        self._hot = hot

    cdef int feed_raw(self, const float *log_probs, int32_t n_frames) except -1:
        cdef int32_t done = 0, n, i, n_tokens
        cdef int status
        cdef pynna_search_stats stats
        cdef pynna_search_token tokens[64]
        cdef const pynna_words *hot = self._tables()
        while done < n_frames:
            check(pynna_search_get_stats(self._state, &stats), "grammar search")
            n = min(stats.n_room, n_frames - done)
            with nogil:
                status = pynna_search_feed_hot(self._state, &self.graph.g, hot,
                                               log_probs + <Py_ssize_t> done * self.n_labels, n)
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
        """The n best [(score, labels after the committed ones, whether it is a whole sentence, nats lost to noise, nats
        of the score that hot words gave)], best first: after `finish` whole ones alone, if there are any."""
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
                     hypotheses[i].noise_loss, hypotheses[i].bonus)
                    for i in range(n_hypotheses)]
        finally:
            free(tokens)

    def tails(self, int n):
        """The n best [(score, labels after the committed ones)]: after `finish` sentences, if any is complete."""
        return [(score, tokens) for score, tokens, *_ in self.hypotheses(n)]

    def finish(self):
        """Ends the stream."""
        check(pynna_search_finish_hot(self._state, self._tables()), "grammar search")

    @property
    def complete(self):
        """Whether the best hypothesis is a whole sentence of the graph."""
        return self.hypotheses(1)[0][2]

    @property
    def stats(self):
        """The search's counters: a dict; `unconstrained_score` is the unconstrained best path's."""
        cdef pynna_search_stats stats
        check(pynna_search_get_stats(self._state, &stats), "grammar search")
        return dict(stats)


cdef object as_search_tuple(const pynna_search_token *t):
    return t.label, t.start, t.frame, t.log_prob, t.loss
