/* SPDX-License-Identifier: Apache-2.0 */
/* The loader of .nna files (doc/formats.md, "The model file"). The file is hostile until every check has passed. */
#include "model.h"

#include <math.h>
#include <string.h>

enum { HEADER_BYTES = 32, ENTRY_BYTES = 48, NAME_BYTES = 32, GEOMETRY_BYTES = 128, LAYER_BYTES = 64 };
enum { N_PLAIN_SECTIONS = 6, SECTIONS_A_LAYER = 4, N_SECTIONS = N_PLAIN_SECTIONS + SECTIONS_A_LAYER * PYNNA_N_LAYERS };
enum { FORMAT_VERSION = 1, MAX_WIDTH = 32768, MAX_METADATA = 1 << 20 };

static const unsigned char magic[8] = {0x89, 'N', 'N', 'A', '\r', '\n', 0x1a, '\n'};

static const char *const layer_names[PYNNA_N_LAYERS] = {"layer_1", "layer_2", "layer_3", "lstm_x",
                                                        "lstm_h",  "layer_5", "layer_6"};
static const char *const plain_names[N_PLAIN_SECTIONS] = {"geometry",     "layers",       "alphabet",
                                                          "label_priors", "feature_gain", "provenance"};

typedef struct {
    const unsigned char *data;
    uint64_t size;
} section;

#ifdef PYNNA_MICRO
enum { CRC_TABLES = 1 }; /* a stack is short there */
#else
enum { CRC_TABLES = 8 };
#endif

/* CRC-32 (IEEE 802.3, reflected), eight bytes a turn; the tables live on the stack, so that there is no global. */
static uint32_t crc32(const unsigned char *p, size_t n)
{
    uint32_t table[CRC_TABLES][256], crc = 0xffffffffu;
    for (uint32_t i = 0; i < 256; i++) {
        uint32_t c = i;
        for (int bit = 0; bit < 8; bit++)
            c = c >> 1 ^ (0xedb88320u & (0u - (c & 1)));
        table[0][i] = c;
    }
#ifndef PYNNA_MICRO
    for (int t = 1; t < CRC_TABLES; t++)
        for (uint32_t i = 0; i < 256; i++)
            table[t][i] = table[t - 1][i] >> 8 ^ table[0][table[t - 1][i] & 255];
    for (; n >= 8; n -= 8, p += 8) {
        uint32_t low, high;
        memcpy(&low, p, 4);
        memcpy(&high, p + 4, 4);
        low ^= crc;
        crc = table[7][low & 255] ^ table[6][low >> 8 & 255] ^ table[5][low >> 16 & 255] ^ table[4][low >> 24]
              ^ table[3][high & 255] ^ table[2][high >> 8 & 255] ^ table[1][high >> 16 & 255] ^ table[0][high >> 24];
    }
#endif
    for (; n; n--, p++)
        crc = crc >> 8 ^ table[0][(crc ^ *p) & 255];
    return ~crc;
}

static uint32_t get32(const unsigned char *p)
{
    uint32_t v;
    memcpy(&v, p, sizeof v);
    return v;
}

static uint64_t get64(const unsigned char *p)
{
    uint64_t v;
    memcpy(&v, p, sizeof v);
    return v;
}

static int check_header(const unsigned char *file, size_t n_bytes)
{
    if (n_bytes == 0 || memcmp(file, magic, n_bytes < sizeof magic ? n_bytes : sizeof magic) != 0)
        return PYNNA_ERR_FILE_FOREIGN;
    if (n_bytes < HEADER_BYTES)
        return PYNNA_ERR_FILE_SHORT;
    uint32_t version = get32(file + 8);
    if (version != FORMAT_VERSION)
        return version < FORMAT_VERSION ? PYNNA_ERR_FILE_OLD : PYNNA_ERR_FILE_NEW;
    if (get64(file + 16) > n_bytes)
        return PYNNA_ERR_FILE_SHORT;
    if (get64(file + 16) < n_bytes)
        return PYNNA_ERR_FILE_LAYOUT;
    if (crc32(file + 16, n_bytes - 16) != get32(file + 12))
        return PYNNA_ERR_FILE_CHECKSUM;
    if (get32(file + 24) != N_SECTIONS || get32(file + 28) != 0
        || n_bytes < HEADER_BYTES + (size_t)N_SECTIONS * ENTRY_BYTES)
        return PYNNA_ERR_FILE_LAYOUT;
    return PYNNA_OK;
}

static void section_name(int i, char name[NAME_BYTES])
{
    static const char *const parts[SECTIONS_A_LAYER] = {".weights", ".bias", ".row_sum", ".multiplier"};
    memset(name, 0, NAME_BYTES);
    if (i < N_PLAIN_SECTIONS) {
        strcpy(name, plain_names[i]);
        return;
    }
    int layer = (i - N_PLAIN_SECTIONS) / SECTIONS_A_LAYER, part = (i - N_PLAIN_SECTIONS) % SECTIONS_A_LAYER;
    strcpy(name, layer_names[layer]);
    strcat(name, layer == PN_LAYER_6 && part == 3 ? ".logit_scale" : parts[part]);
}

/* The table's sections, which must follow one another in the order of doc/formats.md. */
static int read_sections(const unsigned char *file, size_t n_bytes, section sections[N_SECTIONS])
{
    uint64_t end = HEADER_BYTES + (uint64_t)N_SECTIONS * ENTRY_BYTES;
    for (int i = 0; i < N_SECTIONS; i++) {
        const unsigned char *entry = file + HEADER_BYTES + (size_t)i * ENTRY_BYTES;
        char name[NAME_BYTES];
        section_name(i, name);
        uint64_t offset = get64(entry + NAME_BYTES), size = get64(entry + NAME_BYTES + 8);
        if (memcmp(entry, name, NAME_BYTES) != 0 || offset % 64 != 0 || offset < end || offset > n_bytes
            || size > n_bytes - offset)
            return PYNNA_ERR_FILE_LAYOUT;
        end = offset + size;
        sections[i].data = file + offset;
        sections[i].size = size;
    }
    return PYNNA_OK;
}

static int between(int32_t v, int32_t low, int32_t high)
{
    return v >= low && v <= high;
}

static int finite_positive(const float *v, int32_t n)
{
    for (int32_t i = 0; i < n; i++)
        if (!(v[i] > 0.0f && v[i] <= 3.0e38f))
            return 0;
    return 1;
}

static int read_geometry(const section *s, pynna_geometry *g)
{
    if (s->size != GEOMETRY_BYTES)
        return PYNNA_ERR_FILE_LAYOUT;
    memcpy(g, s->data, sizeof *g);
    int good = between(g->sample_rate, 1000, 384000) && between(g->window, 16, 1 << 16)
               && between(g->step, 1, g->window) && between(g->n_coefficients, 1, 1024) && between(g->n_mel, 1, 1024)
               && g->n_coefficients <= g->n_mel && between(g->n_context, 0, 64) && between(g->n_labels, 2, 8192)
               && g->blank == g->n_labels - 1 && between(g->n_cell, 1, MAX_WIDTH / 4)
               && between(g->cell_fraction_bits, 1, 15) && between(g->h_multiplier, 0, 32767)
               && between(g->h_shift, 1, 30) && g->mel_lower_hz >= 0.0f && g->mel_upper_hz > g->mel_lower_hz
               && g->mel_upper_hz <= (float)g->sample_rate / 2.0f && finite_positive(&g->h_scale, 1)
               && (g->feature_residual_bits == 0 || g->feature_residual_bits == 8) && between(g->speech_rows, 0, 1);
    return good ? PYNNA_OK : PYNNA_ERR_FILE_VALUE;
}

/* Each layer takes what the one before it gives. */
static int check_shapes(const pynna_model *m)
{
    const pynna_geometry *g = &m->geometry;
    const pn_layer *l = m->layers;
    int32_t gate_rows = 4 * PN_BLOCK * pn_divide_up(g->n_cell, PN_BLOCK);
    int good = l[PN_LAYER_1].info.n_columns == (2 * g->n_context + 1) * g->n_coefficients
               && l[PN_LAYER_2].info.n_columns == l[PN_LAYER_1].info.n_rows
               && l[PN_LAYER_3].info.n_columns == l[PN_LAYER_2].info.n_rows
               && l[PN_LSTM_X].info.n_columns == l[PN_LAYER_3].info.n_rows && l[PN_LSTM_X].info.n_rows == gate_rows
               && l[PN_LSTM_H].info.n_rows == gate_rows && l[PN_LSTM_H].info.n_columns == g->n_cell
               && l[PN_LSTM_H].info.shift == l[PN_LSTM_X].info.shift && l[PN_LAYER_5].info.n_columns == g->n_cell
               && l[PN_LAYER_6].info.n_columns == l[PN_LAYER_5].info.n_rows
               && l[PN_LAYER_6].info.n_rows == g->n_labels + g->speech_rows;
    return good ? PYNNA_OK : PYNNA_ERR_FILE_VALUE;
}

/* Clipped ReLUs may give residuals, if their shift leaves room for 256ths. */
static int is_residual_right(int layer, const pynna_layer_info *f)
{
    const int is_relu = layer != PN_LSTM_X && layer != PN_LSTM_H && layer != PN_LAYER_6;
    return f->output_residual_bits == 0 || (f->output_residual_bits == 8 && is_relu && f->shift > 8);
}

/* Whether each layer's inputs have a residual that counts: it comes from the features, or from the layer before. */
static void read_residuals(pynna_model *m)
{
    pn_layer *l = m->layers;
    l[PN_LAYER_1].has_residual = m->geometry.feature_residual_bits != 0;
    l[PN_LAYER_2].has_residual = l[PN_LAYER_1].info.output_residual_bits != 0;
    l[PN_LAYER_3].has_residual = l[PN_LAYER_2].info.output_residual_bits != 0;
    l[PN_LSTM_X].has_residual = l[PN_LAYER_3].info.output_residual_bits != 0;
    l[PN_LSTM_H].has_residual = l[PN_LAYER_5].has_residual = 0;
    l[PN_LAYER_6].has_residual = l[PN_LAYER_5].info.output_residual_bits != 0;
}

static int read_layer_infos(const section *s, pynna_model *m)
{
    if (s->size != (uint64_t)PYNNA_N_LAYERS * LAYER_BYTES)
        return PYNNA_ERR_FILE_LAYOUT;
    for (int i = 0; i < PYNNA_N_LAYERS; i++) {
        pn_layer *l = &m->layers[i];
        memcpy(&l->info, s->data + (size_t)i * LAYER_BYTES, sizeof l->info);
        const pynna_layer_info *f = &l->info;
        int is_signed = i == PN_LAYER_1 || i == PN_LSTM_H || i == PN_LAYER_5;
        if (!between(f->n_rows, 1, MAX_WIDTH) || !between(f->n_columns, 1, MAX_WIDTH)
            || (f->weight_bits != 8 && f->weight_bits != 4 && f->weight_bits != 16)
            || !between(f->layout, PN_PLAIN, f->weight_bits == 4 ? PN_SCALED : PN_PLAIN) || f->input_signed != is_signed
            || !between(f->shift, 1, 62) || !finite_positive(&f->input_scale, 1) || !isfinite(f->output_scale)
            || f->output_scale < 0.0f || !is_residual_right(i, f))
            return PYNNA_ERR_FILE_VALUE;
        l->n_blocks = pn_divide_up(f->n_rows, PN_BLOCK);
        l->n_groups = pn_n_groups(f->n_columns, f->weight_bits);
    }
    read_residuals(m);
    return check_shapes(m);
}

/* Scales are from 1 to 16, or 0 where a last stretch has no lines; of 4 bits, no weight is -8. */
static int check_scales(const pn_layer *l, const int8_t *block)
{
    const int32_t n_lines = pn_n_lines(l->n_groups, l->info.weight_bits);
    int wrong = 0;
    for (int32_t i = 0; i < n_lines; i++) {
        const int8_t *line = pn_scaled_line(block, i);
        for (int k = 0; k < PN_LINE; k++)
            wrong |= (line[k] & 15) == 8 || (line[k] & 0xf0) == 0x80;
    }
    for (int32_t i = 0; i < pn_divide_up(n_lines, PN_STRETCH) * PN_STRETCH; i += PN_SPAN)
        for (int r = 0; r < PN_BLOCK; r++)
            wrong |= !between(pn_line_scales(block, i)[r], i < n_lines, i < n_lines ? PN_MAX_SCALE : 0);
    return wrong ? PYNNA_ERR_FILE_VALUE : PYNNA_OK;
}

/* The weights add up to row_sum, none is -128 (some kernels' sums could overflow), and columns that only fill up a
 * group are zero: what lies behind the activations there is anything. */
static int check_weights(const pn_layer *l, const int8_t *block, const int32_t *row_sum)
{
    const int32_t bits = l->info.weight_bits, layout = l->info.layout;
    for (int32_t b = 0; b < l->n_blocks; b++, block += pn_block_bytes(l->n_groups, bits, layout)) {
        int32_t sum[PN_BLOCK] = {0}, wrong = 0;
        int8_t room[PN_LINE];
        if (layout == PN_SCALED && check_scales(l, block) != PYNNA_OK)
            return PYNNA_ERR_FILE_VALUE;
        for (int32_t g = 0; g < l->n_groups; g++) {
            const int8_t *w = pn_group_weights(block, g, bits, layout, room);
            for (int32_t r = 0; r < PN_BLOCK; r++)
                sum[r] += w[4 * r] + w[4 * r + 1] + w[4 * r + 2] + w[4 * r + 3];
            for (int i = 0; i < PN_LINE; i++)
                wrong |= w[i] == -128;
        }
        for (int32_t k = l->info.n_columns; k < l->n_groups * PN_GROUP; k++)
            for (int32_t r = 0; r < PN_BLOCK; r++)
                wrong |= pn_group_weights(block, k / PN_GROUP, bits, layout, room)[r * PN_GROUP + k % PN_GROUP];
        if (wrong || memcmp(sum, row_sum + b * PN_BLOCK, sizeof sum) != 0)
            return PYNNA_ERR_FILE_VALUE;
    }
    return PYNNA_OK;
}

/* No sum may leave 32 bits, neither before its multiplier nor after its shift, nor 64 in between; nor may two of them
 * (the LSTM's halves) with their one rounding. */
static int check_row_values(const pn_layer *l)
{
    int64_t largest_sum = (int64_t)l->info.n_columns * (255 * 127 + (l->has_residual ? 64 : 0) + (l->fine ? 127 : 0));
    int64_t half = (int64_t)1 << (l->info.shift - 1);
    for (int32_t r = 0; r < l->n_blocks * PN_BLOCK; r++) {
        int64_t bias = l->bias[r] < 0 ? -(int64_t)l->bias[r] : l->bias[r];
        if (bias >= (int64_t)1 << 30)
            return PYNNA_ERR_FILE_VALUE;
        if (l->logit_scale) {
            if (!isfinite(l->logit_scale[r]) || l->logit_scale[r] < 0.0f)
                return PYNNA_ERR_FILE_VALUE;
            continue;
        }
        int64_t product = (largest_sum + bias) * l->multiplier[r];
        if (product < 0 || product > (INT64_MAX - half) / 2 || (product + half) >> l->info.shift >= (int64_t)1 << 30)
            return PYNNA_ERR_FILE_VALUE;
    }
    return PYNNA_OK;
}

static int read_layer_data(const section sections[N_SECTIONS], pynna_model *m)
{
    for (int i = 0; i < PYNNA_N_LAYERS; i++) {
        const section *s = sections + N_PLAIN_SECTIONS + SECTIONS_A_LAYER * i;
        pn_layer *l = &m->layers[i];
        const uint64_t rows = (uint64_t)l->n_blocks * PN_BLOCK, parts = l->info.weight_bits == 16 ? 2 : 1;
        const uint64_t bytes = (uint64_t)l->n_blocks * pn_block_bytes(l->n_groups, l->info.weight_bits, l->info.layout);
        if (s[0].size != parts * bytes || s[1].size != rows * 4 || s[2].size != parts * rows * 4
            || s[3].size != rows * 4)
            return PYNNA_ERR_FILE_LAYOUT;
        l->weights = (const int8_t *)s[0].data;
        l->bias = (const int32_t *)(const void *)s[1].data;
        l->row_sum = (const int32_t *)(const void *)s[2].data;
        l->fine = parts == 2 ? l->weights + bytes : NULL;
        l->fine_sum = parts == 2 ? l->row_sum + rows : NULL;
        l->multiplier = i == PN_LAYER_6 ? NULL : (const int32_t *)(const void *)s[3].data;
        l->logit_scale = i == PN_LAYER_6 ? (const float *)(const void *)s[3].data : NULL;
        int status = check_weights(l, l->weights, l->row_sum);
        if (!status && l->fine)
            status = check_weights(l, l->fine, l->fine_sum);
        if (!status)
            status = check_row_values(l);
        if (status)
            return status;
    }
    return PYNNA_OK;
}

/* UTF-8 without overlong forms, surrogates and what is above U+10FFFF. A label's zero byte ends a letter, too. */
static int is_utf8(const unsigned char *p, uint64_t n)
{
    for (uint64_t i = 0; i < n;) {
        unsigned char c = p[i++];
        int more = c < 0x80 ? 0 : c < 0xc2 ? -1 : c < 0xe0 ? 1 : c < 0xf0 ? 2 : c < 0xf5 ? 3 : -1;
        unsigned char low = c == 0xe0   ? 0xa0
                            : c == 0xf0 ? 0x90
                                        : 0x80,
                      high = c == 0xed   ? 0x9f
                             : c == 0xf4 ? 0x8f
                                         : 0xbf;
        if (more < 0)
            return 0;
        for (; more; more--, i++, low = 0x80, high = 0xbf)
            if (i == n || p[i] < low || p[i] > high)
                return 0;
    }
    return 1;
}

static int read_texts(const section sections[N_SECTIONS], pynna_model *m)
{
    const section *alphabet = &sections[2], *priors = &sections[3], *gain = &sections[4], *metadata = &sections[5];
    uint64_t n_labels = (uint64_t)m->geometry.n_labels;
    if (priors->size != n_labels * 4 || gain->size != (uint64_t)m->geometry.n_coefficients * 4
        || metadata->size > MAX_METADATA)
        return PYNNA_ERR_FILE_LAYOUT;
    uint64_t n_ends = 0;
    for (uint64_t i = 0; i < alphabet->size; i++) {
        if (alphabet->data[i] == 0 && (i == 0 || alphabet->data[i - 1] == 0))
            return PYNNA_ERR_FILE_VALUE; /* an empty label */
        n_ends += alphabet->data[i] == 0;
    }
    if (n_ends != n_labels - 1 || alphabet->data[alphabet->size - 1] != 0)
        return PYNNA_ERR_FILE_LAYOUT;
    if (!is_utf8(alphabet->data, alphabet->size))
        return PYNNA_ERR_FILE_VALUE;
    m->alphabet = (const char *)alphabet->data;
    m->label_priors = (const float *)(const void *)priors->data;
    m->feature_gain = (const float *)(const void *)gain->data;
    m->metadata = (const char *)metadata->data;
    m->metadata_bytes = (size_t)metadata->size;
    if (!finite_positive(m->label_priors, m->geometry.n_labels)
        || !finite_positive(m->feature_gain, m->geometry.n_coefficients))
        return PYNNA_ERR_FILE_VALUE;
    for (int32_t i = 0; i < m->geometry.n_labels; i++)
        if (m->label_priors[i] > 1.0f)
            return PYNNA_ERR_FILE_VALUE;
    return PYNNA_OK;
}

int pn_model_shape(const void *file, size_t n_bytes, pynna_model *model)
{
    section sections[N_SECTIONS];
    memset(model, 0, sizeof *model);
    if (!file || n_bytes < HEADER_BYTES + (size_t)N_SECTIONS * ENTRY_BYTES || memcmp(file, magic, sizeof magic) != 0)
        return PYNNA_ERR_FILE_FOREIGN;
    int status = read_sections(file, n_bytes, sections);
    if (!status)
        status = read_geometry(&sections[0], &model->geometry);
    return status ? status : read_layer_infos(&sections[1], model);
}

size_t pynna_model_size(void)
{
    return pn_align64(sizeof(pynna_model));
}

int pynna_model_init(void *memory, size_t size, const void *file, size_t n_bytes, const pynna_model **model)
{
    if (!memory || !file || !model || (uintptr_t)file % 64 != 0)
        return PYNNA_ERR_ARGUMENT;
    if (size < pynna_model_size() || (uintptr_t)memory % 64 != 0)
        return PYNNA_ERR_MEMORY;
    section sections[N_SECTIONS];
    pynna_model m;
    memset(&m, 0, sizeof m);
    int status = check_header(file, n_bytes);
    if (!status)
        status = read_sections(file, n_bytes, sections);
    if (!status)
        status = read_geometry(&sections[0], &m.geometry);
    if (!status)
        status = read_layer_infos(&sections[1], &m);
    if (!status)
        status = read_texts(sections, &m);
    if (!status)
        status = read_layer_data(sections, &m);
    if (status)
        return status;
    memcpy(memory, &m, sizeof m);
    *model = memory;
    return PYNNA_OK;
}

const pynna_geometry *pynna_model_geometry(const pynna_model *model)
{
    return &model->geometry;
}

const pynna_layer_info *pynna_model_layer(const pynna_model *model, int32_t layer)
{
    return between(layer, 0, PYNNA_N_LAYERS - 1) ? &model->layers[layer].info : NULL;
}

const char *pynna_layer_name(int32_t layer)
{
    return between(layer, 0, PYNNA_N_LAYERS - 1) ? layer_names[layer] : NULL;
}

const char *pynna_model_label(const pynna_model *model, int32_t label)
{
    if (!between(label, 0, model->geometry.n_labels - 1))
        return NULL;
    if (label == model->geometry.blank)
        return "";
    const char *text = model->alphabet;
    while (label--)
        text += strlen(text) + 1;
    return text;
}

const float *pynna_model_label_priors(const pynna_model *model)
{
    return model->label_priors;
}

const float *pynna_model_feature_gain(const pynna_model *model)
{
    return model->feature_gain;
}

const char *pynna_model_metadata(const pynna_model *model, size_t *n_bytes)
{
    *n_bytes = model->metadata_bytes;
    return model->metadata;
}
