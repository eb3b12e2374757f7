/* SPDX-License-Identifier: Apache-2.0 */
/* A small valid .nna file in memory, made of a seed by integers alone, as doc/formats.md ("The model file") describes
 * it; and what tests of it need: exact heap blocks, checksums, random numbers. Include it once, before anything
 * else. */
#ifndef SMALL_MODEL_H
#define SMALL_MODEL_H

#ifndef _POSIX_C_SOURCE
#define _POSIX_C_SOURCE 200809L
#endif
#include "pynna.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int n_failed;

#define CHECK(condition)                                                                                               \
    do {                                                                                                               \
        if (!(condition)) {                                                                                            \
            printf("%s:%d: failed: %s\n", __FILE__, __LINE__, #condition);                                             \
            n_failed++;                                                                                                \
        }                                                                                                              \
    } while (0)

enum { N_SECTIONS = 34, TABLE = 32, ENTRY = 48 };
enum { GEOMETRY, LAYERS, ALPHABET, PRIORS, GAIN, METADATA, LAYER_DATA }; /* sections; then four for each layer */
enum { WEIGHTS, BIAS, ROW_SUM, MULTIPLIER };

#ifndef exact_block /* else the caller's own */
/* A block that ends with its last byte, so that a sanitizer sees who reads on; aligned to 64 as the API wants it. */
static inline void *exact_block(size_t size)
{
    void *p = NULL;
    if (posix_memalign(&p, 64, size) != 0)
        abort();
    return p;
}
#endif

static inline uint32_t next_random(uint32_t *x)
{
    *x = *x * 1664525u + 1013904223u;
    return *x >> 8;
}

static inline void put32(unsigned char *p, uint32_t v)
{
    memcpy(p, &v, sizeof v);
}

static inline void put64(unsigned char *p, uint64_t v)
{
    memcpy(p, &v, sizeof v);
}

static inline uint32_t get32(const unsigned char *p)
{
    uint32_t v;
    memcpy(&v, p, sizeof v);
    return v;
}

static inline uint64_t get64(const unsigned char *p)
{
    uint64_t v;
    memcpy(&v, p, sizeof v);
    return v;
}

static inline unsigned char *section_entry(unsigned char *file, int section)
{
    return file + TABLE + ENTRY * section;
}

static inline size_t section_size(unsigned char *file, int section)
{
    return (size_t)get64(section_entry(file, section) + 40);
}

static inline unsigned char *section_data(unsigned char *file, int section)
{
    return file + get64(section_entry(file, section) + 32);
}

static inline int layer_section(int layer, int part)
{
    return LAYER_DATA + 4 * layer + part;
}

/* CRC-32 bit by bit: slow, and not the loader's way of doing it. */
static inline void fix_checksum(unsigned char *file, size_t n_bytes)
{
    uint32_t crc = 0xffffffffu;
    for (size_t i = 16; i < n_bytes; i++) {
        crc ^= file[i];
        for (int bit = 0; bit < 8; bit++)
            crc = crc >> 1 ^ (0xedb88320u & (0u - (crc & 1)));
    }
    put32(file + 12, ~crc);
}

/* ---- the file ------------------------------------------------------------------------------------------------- */

typedef struct {
    int32_t n_coefficients, n_context, n_labels, n_cell;
    int32_t width_1, width_2, width_3, width_5; /* rows of the dense layers */
    int32_t cell_fraction_bits;
    int32_t extreme; /* all weights -127 or 127 */
    uint32_t seed;
    /* Layers, a bit each: weights that are multiples of 16; packed in 4 bits. Seven bits further: multiples of scales; of
     * those in 4 bits, packed with them. */
    int32_t coarse, four_bits;
    int32_t feature_residual_bits; /* 0 or 8 */
    int32_t speech_rows;           /* 0 or 1 */
    int32_t sixteen_bits;          /* layers, a bit each: of 16 bits */
    int32_t output_residuals;      /* layers, a bit each: whose outputs have 16 bits */
} plan;

typedef struct {
    int32_t n_rows, n_columns, is_signed, rows16;
    int32_t bits, lines, columns_padded; /* lines of 64 bytes in a block of 16 rows, those of scales too */
    int32_t scaled;
} shape;

static inline int32_t up(int32_t n, int32_t multiple)
{
    return (n + multiple - 1) / multiple * multiple;
}

static inline shape layer_shape(const plan *p, int layer)
{
    const int32_t window = (2 * p->n_context + 1) * p->n_coefficients, gates = 4 * up(p->n_cell, 16);
    const int32_t rows[PYNNA_N_LAYERS] = {
        p->width_1, p->width_2, p->width_3, gates, gates, p->width_5, p->n_labels + p->speech_rows};
    const int32_t columns[PYNNA_N_LAYERS] = {window,    p->width_1, p->width_2, p->width_3,
                                             p->n_cell, p->n_cell,  p->width_5};
    shape s = {rows[layer], columns[layer], layer == 0 || layer == 4 || layer == 5, 0, 0, 0, 0, 0};
    s.rows16 = up(s.n_rows, 16);
    s.bits = (p->four_bits & ~p->sixteen_bits) >> layer & 1 ? 4 : 8; /* weights of 16 bits are two of 8 */
    s.columns_padded = up(s.n_columns, 32 / s.bits);
    s.scaled = s.bits == 4 && (p->four_bits >> (layer + 7) & 1);
    s.lines = s.columns_padded * s.bits / 32;
    s.lines += s.scaled ? (s.lines + 31) / 32 : 0;
    return s;
}

/* The scale of a row's 64 columns about column k. */
static inline int32_t scale_of(int32_t r, int32_t k)
{
    return 1 + (r * 7 + k / 64 * 5) % 16;
}

/* Where a row's scale stands: a line of [4 spans][16 rows] is followed by 32 lines of 8 columns. */
static inline unsigned char *scale_place(const shape *s, unsigned char *weights, int32_t r, int32_t k)
{
    return weights + (r / 16 * s->lines + k / 256 * 33) * 64 + k / 64 % 4 * 16 + r % 16;
}

/* All scales among zeros. */
static inline void put_scales(const shape *s, unsigned char *weights, int32_t rows16)
{
    for (int32_t r = 0; r < rows16 && s->scaled; r++)
        for (int32_t k = 0; k < s->columns_padded; k += 64)
            *scale_place(s, weights, r, k) = (unsigned char)scale_of(r, k);
}

/* Puts a weight into its place among zeros: of 4 bits, into half of a byte. */
static inline void put_weight(const shape *s, unsigned char *weights, int32_t r, int32_t k, int32_t w)
{
    const int32_t line = r / 16 * s->lines + k * s->bits / 32 + (s->scaled ? 1 + k / 256 : 0);
    unsigned char *at = weights + (line * 16 + r % 16) * 4 + k % 4;
    const int32_t half = s->scaled ? w / scale_of(r, k) : w / 16;
    *at |= (unsigned char)(s->bits == 8 ? w : k / 4 % 2 ? half * 16 : half & 15);
}

/* The nearest weight that 4 bits hold: 7 or fewer times the scale. */
static inline int32_t of_4_bits(int32_t w, int32_t scale)
{
    const int32_t v = w / scale;
    return (v > 7 ? 7 : v < -7 ? -7 : v) * scale;
}

/* Whether the file's row stands for something: the LSTM's rows are blocks of 16 cells with their four gates. */
static inline int is_row(const plan *p, int layer, int32_t r)
{
    if (layer == 3 || layer == 4)
        return r / 64 * 16 + r % 16 < p->n_cell;
    return r < layer_shape(p, layer).n_rows;
}

static inline int64_t square_root(int64_t n)
{
    int64_t r = 1;
    while (r * r < n)
        r++;
    return r;
}

/* The residual of a row's weights, which lies behind all of them. */
static inline void fill_residual(const shape *s, unsigned char *data[4], int32_t r, uint32_t *random)
{
    int32_t sum = 0;
    for (int32_t k = 0; k < s->n_columns; k++) {
        const int32_t w = (int32_t)(next_random(random) % 255) - 127;
        put_weight(s, data[WEIGHTS] + (size_t)s->rows16 * (size_t)s->lines * 4, r, k, w);
        sum += w;
    }
    put32(data[ROW_SUM] + 4 * (s->rows16 + r), (uint32_t)sum);
}

/* Weights, and the factors with which a row's outputs fill their range: biases and multipliers about a typical sum. */
static inline void fill_layer(const plan *p, int layer, unsigned char *data[4], uint32_t *random)
{
    const shape s = layer_shape(p, layer);
    const int64_t typical = 255 / 3 * (p->extreme ? 127 : 40) * square_root(s.n_columns);
    const int64_t spread = layer == 3 || layer == 4 ? 8000 : 250;
    const int32_t middle = s.is_signed ? 128 : 80; /* what inputs are about, taken out by the bias */
    put_scales(&s, data[WEIGHTS], s.rows16);
    for (int32_t r = 0; r < s.rows16; r++) {
        int32_t sum = 0;
        if (!is_row(p, layer, r))
            continue;
        for (int32_t k = 0; k < s.n_columns; k++) {
            const int32_t v = (int32_t)(next_random(random) % 139 + next_random(random) % 117) - 127;
            int32_t w = p->extreme ? (v < 0 ? -127 : 127) : v;
            if (s.scaled || p->coarse >> (layer + 7) & 1)
                w = of_4_bits(w, scale_of(r, k));
            else if (p->coarse >> layer & 1)
                w = of_4_bits(w, 16);
            put_weight(&s, data[WEIGHTS], r, k, w);
            sum += w;
        }
        const int64_t bias = typical * ((int32_t)(next_random(random) % 201) - 100) / 250 - middle * sum;
        const float scale = 9.0f / (float)typical;
        put32(data[ROW_SUM] + 4 * r, (uint32_t)sum);
        if (p->sixteen_bits >> layer & 1)
            fill_residual(&s, data, r, random);
        put32(data[BIAS] + 4 * r, (uint32_t)(int32_t)bias);
        if (layer == 6)
            memcpy(data[MULTIPLIER] + 4 * r, &scale, 4);
        else {
            const int64_t m = (spread << 34) / typical * (50 + next_random(random) % 100) / 100;
            put32(data[MULTIPLIER] + 4 * r, (uint32_t)(m < INT32_MAX ? m : INT32_MAX));
        }
    }
}

static inline void fill_plain(const plan *p, unsigned char *file)
{
    const int32_t numbers[12] = {16000,       512,
                                 320,         p->n_coefficients,
                                 40,          p->n_context,
                                 p->n_labels, p->n_labels - 1,
                                 p->n_cell,   p->cell_fraction_bits,
                                 127 * 128,   22};
    const float reals[3] = {20, 4000, 1.0f / 127};
    const size_t at = sizeof numbers + sizeof reals;
    memcpy(section_data(file, GEOMETRY), numbers, sizeof numbers);
    memcpy(section_data(file, GEOMETRY) + sizeof numbers, reals, sizeof reals);
    memcpy(section_data(file, GEOMETRY) + at, &p->feature_residual_bits, sizeof p->feature_residual_bits);
    memcpy(section_data(file, GEOMETRY) + at + 4, &p->speech_rows, sizeof p->speech_rows);
    for (int i = 0; i < PYNNA_N_LAYERS; i++) {
        const shape s = layer_shape(p, i);
        const int32_t bits = p->sixteen_bits >> i & 1 ? 16 : s.bits;
        const int32_t entry[6] = {s.n_rows, s.n_columns, bits, s.scaled, s.is_signed, i == 6 ? 1 : 34};
        const float scales[2] = {1, 1};
        memcpy(section_data(file, LAYERS) + 64 * i, entry, sizeof entry);
        memcpy(section_data(file, LAYERS) + 64 * i + 24, scales, sizeof scales);
        put32(section_data(file, LAYERS) + 64 * i + 32, p->output_residuals >> i & 1 ? 8 : 0);
    }
    for (int32_t i = 0; i < p->n_labels - 1; i++) /* a zero byte follows each */
        section_data(file, ALPHABET)[2 * i] = (unsigned char)('!' + i % 94);
    for (int32_t i = 0; i < p->n_labels; i++) {
        const float prior = 1.0f / (float)p->n_labels;
        memcpy(section_data(file, PRIORS) + 4 * i, &prior, 4);
    }
    for (int32_t i = 0; i < p->n_coefficients; i++) {
        const float gain = 1.0f + 0.125f * (float)(i % 24);
        memcpy(section_data(file, GAIN) + 4 * i, &gain, 4);
    }
    memcpy(section_data(file, METADATA), "{}", 2);
}

static inline size_t planned_size(const plan *p, int section)
{
    const size_t plain[LAYER_DATA] = {
        128, 64 * PYNNA_N_LAYERS, 2 * (size_t)(p->n_labels - 1), 4 * (size_t)p->n_labels, 4 * (size_t)p->n_coefficients,
        2};
    if (section < LAYER_DATA)
        return plain[section];
    const int layer = (section - LAYER_DATA) / 4, part = (section - LAYER_DATA) % 4;
    const shape s = layer_shape(p, layer);
    const size_t twice = p->sixteen_bits >> layer & 1 && (part == WEIGHTS || part == ROW_SUM) ? 2 : 1;
    return twice * (size_t)s.rows16 * (part == WEIGHTS ? (size_t)s.lines * 4 : 4);
}

static inline void planned_name(int section, char name[32])
{
    static const char *const plain[LAYER_DATA] = {"geometry",     "layers",       "alphabet",
                                                  "label_priors", "feature_gain", "provenance"};
    static const char *const parts[4] = {"weights", "bias", "row_sum", "multiplier"};
    memset(name, 0, 32);
    if (section < LAYER_DATA)
        snprintf(name, 32, "%s", plain[section]);
    else if (section == layer_section(6, MULTIPLIER))
        snprintf(name, 32, "layer_6.logit_scale");
    else
        snprintf(name, 32, "%s.%s", pynna_layer_name((section - LAYER_DATA) / 4), parts[(section - LAYER_DATA) % 4]);
}

/* The file's bytes in an exact block, to be freed. */
static inline unsigned char *make_file(const plan *p, size_t *n_bytes)
{
    static const unsigned char magic[8] = {0x89, 'N', 'N', 'A', '\r', '\n', 0x1a, '\n'};
    size_t at = TABLE + ENTRY * N_SECTIONS, offsets[N_SECTIONS];
    for (int i = 0; i < N_SECTIONS; i++) {
        offsets[i] = (at + 63) / 64 * 64;
        at = offsets[i] + planned_size(p, i);
    }
    unsigned char *file = exact_block(at);
    memset(file, 0, at);
    memcpy(file, magic, sizeof magic);
    put32(file + 8, 1);
    put64(file + 16, at);
    put32(file + 24, N_SECTIONS);
    for (int i = 0; i < N_SECTIONS; i++) {
        planned_name(i, (char *)section_entry(file, i));
        put64(section_entry(file, i) + 32, offsets[i]);
        put64(section_entry(file, i) + 40, planned_size(p, i));
    }
    fill_plain(p, file);
    uint32_t random = p->seed;
    for (int layer = 0; layer < PYNNA_N_LAYERS; layer++) {
        unsigned char *data[4];
        for (int part = 0; part < 4; part++)
            data[part] = section_data(file, layer_section(layer, part));
        fill_layer(p, layer, data, &random);
    }
    fix_checksum(file, at);
    *n_bytes = at;
    return file;
}

/* ---- running it ------------------------------------------------------------------------------------------------- */

typedef struct {
    void *memory, *workspace_memory;
    const pynna_model *model;
    pynna_workspace *workspace;
} machine;

static inline machine open_machine(const unsigned char *file, size_t n_bytes, const char *isa, int32_t max_columns)
{
    machine m = {exact_block(pynna_model_size()), NULL, NULL, NULL};
    CHECK(pynna_model_init(m.memory, pynna_model_size(), file, n_bytes, &m.model) == PYNNA_OK);
    const size_t size = m.model ? pynna_workspace_size(m.model, max_columns) : 0;
    m.workspace_memory = exact_block(size);
    CHECK(pynna_workspace_init(m.workspace_memory, size, m.model, max_columns, isa, &m.workspace) == PYNNA_OK);
    if (!m.workspace)
        exit(1);
    return m;
}

static inline void close_machine(machine m)
{
    free(m.memory);
    free(m.workspace_memory);
}

/* Channels with arrays of their own, each in a block that ends where the array does. */
typedef struct {
    int32_t n_channels, n_steps, n_cell, n_labels, speech_rows;
    size_t n_x;
    float *x[PYNNA_MAX_CHANNELS], *log_probs[PYNNA_MAX_CHANNELS], *speech[PYNNA_MAX_CHANNELS];
    int16_t *c[PYNNA_MAX_CHANNELS];
    int8_t *h[PYNNA_MAX_CHANNELS];
    pynna_channel slots[PYNNA_MAX_CHANNELS];
} bundle;

/* Features of all sizes: ordinary, on rounding ties, saturating, denormal; states among them at their limits. */
static inline bundle make_bundle(const pynna_model *model, int32_t n_channels, int32_t n_steps, uint32_t seed)
{
    static const float special[8] = {0.5f, -1.5f, 1e30f, -1e30f, 1e-41f, 0.0f, 2.5f, -0.5f};
    const pynna_geometry *g = pynna_model_geometry(model);
    const size_t window = (size_t)(2 * g->n_context + 1) * (size_t)g->n_coefficients;
    bundle b = {.n_channels = n_channels,
                .n_steps = n_steps,
                .n_cell = g->n_cell,
                .n_labels = g->n_labels,
                .speech_rows = g->speech_rows};
    b.n_x = window + (size_t)(n_steps - 1) * (size_t)g->n_coefficients;
    for (int32_t j = 0; j < n_channels; j++) {
        uint32_t random = seed + 977u * (uint32_t)j;
        b.x[j] = exact_block(b.n_x * sizeof(float));
        b.log_probs[j] = exact_block((size_t)n_steps * (size_t)g->n_labels * sizeof(float));
        b.speech[j] = exact_block((size_t)n_steps * sizeof(float));
        b.c[j] = exact_block((size_t)g->n_cell * sizeof(int16_t));
        b.h[j] = exact_block((size_t)g->n_cell);
        for (size_t i = 0; i < b.n_x; i++) {
            const uint32_t r = next_random(&random);
            b.x[j][i] = r % 29 == 0 ? special[r / 29 % 8] : ((float)(r % 4001) - 2000.0f) / 64.0f;
        }
        for (int32_t i = 0; i < g->n_cell; i++) {
            const uint32_t r = next_random(&random);
            b.c[j][i] = (int16_t)(r % 7 == 0 ? -32768 : r % 7 == 1 ? 32767 : (int32_t)(r % 65536) - 32768);
            b.h[j][i] = (int8_t)(r % 11 == 0 ? -128 : r % 11 == 1 ? 127 : (int32_t)(r / 11 % 255) - 127);
        }
        b.slots[j] = (pynna_channel){
            b.x[j], (size_t)g->n_coefficients, b.c[j], b.h[j], b.c[j], b.h[j], b.log_probs[j], b.speech[j]};
    }
    return b;
}

static inline void free_bundle(bundle b)
{
    for (int32_t j = 0; j < b.n_channels; j++) {
        free(b.x[j]);
        free(b.speech[j]);
        free(b.log_probs[j]);
        free(b.c[j]);
        free(b.h[j]);
    }
}

/* FNV-1a over bytes; the floats' too, for all machines here are little-endian. */
static inline uint64_t hash_bytes(uint64_t hash, const void *data, size_t n)
{
    const unsigned char *p = data;
    for (size_t i = 0; i < n; i++)
        hash = (hash ^ p[i]) * UINT64_C(0x100000001b3);
    return hash;
}

static const uint64_t hash_start = UINT64_C(0xcbf29ce484222325);

/* Of one channel's results: log-probabilities and states. */
static inline uint64_t hash_channel(uint64_t hash, const bundle *b, int32_t j)
{
    hash = hash_bytes(hash, b->log_probs[j], (size_t)b->n_steps * (size_t)b->n_labels * sizeof(float));
    if (b->speech_rows)
        hash = hash_bytes(hash, b->speech[j], (size_t)b->n_steps * sizeof(float));
    hash = hash_bytes(hash, b->c[j], (size_t)b->n_cell * sizeof(int16_t));
    return hash_bytes(hash, b->h[j], (size_t)b->n_cell);
}

/* Whether this processor has it; where PYNNA_ISA names one, the others are left out (under a slow emulator). */
static inline int is_tested(int32_t isa)
{
    const char *only = getenv("PYNNA_ISA");
    return pynna_isa_available(isa) && (!only || strcmp(only, pynna_isa_name(isa)) == 0);
}

#endif
