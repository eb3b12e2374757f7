# SPDX-License-Identifier: Apache-2.0
"""csrc/pynna.h, as Cython sees it."""

from libc.stdint cimport int8_t, int16_t, int32_t, int64_t, uint8_t


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
    int pynna_frames_restore(pynna_frames *, const void *, size_t)

    ctypedef struct pynna_geometry:
        int32_t sample_rate, window, step, n_coefficients, n_mel, n_context, n_labels, blank, n_cell
        int32_t cell_fraction_bits, h_multiplier, h_shift
        float mel_lower_hz, mel_upper_hz, h_scale
        int32_t feature_residual_bits, speech_rows
    ctypedef struct pynna_layer_info:
        int32_t n_rows, n_columns, weight_bits, layout, input_signed, shift
        float input_scale, output_scale
        int32_t output_residual_bits
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
    const char *pynna_model_metadata(const pynna_model *, size_t *)

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
        double outside, outside_letter, unfinished, word_most
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
        double margin, filler_cost, filler_entry_cost, noise_cost
        int32_t space
        const float *label_bias
    ctypedef struct pynna_search_token:
        int32_t label, start, frame
        float log_prob, loss
    ctypedef struct pynna_search_hypothesis:
        double score
        int32_t first, n_tokens, complete
        double noise_loss, bonus
    ctypedef struct pynna_search_stats:
        double unconstrained_score
        int64_t n_dropped
        int32_t n_frames, n_active, most_active, n_waiting, n_room, finished
    ctypedef struct pynna_search:
        pass
    void pynna_search_defaults(int32_t, pynna_search_config *)
    const char *pynna_search_config_error(const pynna_graph *, const pynna_search_config *)
    size_t pynna_search_size(const pynna_graph *, const pynna_search_config *)
    int pynna_search_init(void *, size_t, const pynna_graph *, const pynna_search_config *, pynna_search **)
    int pynna_search_feed_hot(pynna_search *, const pynna_graph *, const pynna_words *, const float *, int32_t)
    int pynna_search_finish_hot(pynna_search *, const pynna_words *)
    int pynna_search_change_hot_words(pynna_search *, const pynna_graph *, const pynna_words *, const pynna_words *)
    int pynna_search_take(pynna_search *, int32_t, pynna_search_token *, int32_t *)
    int pynna_search_nbest(const pynna_search *, const pynna_graph *, int32_t, pynna_search_hypothesis *, int32_t *,
                           int32_t, pynna_search_token *, int32_t *)
    int pynna_search_get_stats(const pynna_search *, pynna_search_stats *)
