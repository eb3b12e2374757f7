/* SPDX-License-Identifier: Apache-2.0 */
/* The loader against hostile files: cut short at every place, flipped at every field and hundreds of other places, and
 * with a right checksum over wrong values. Each ends in a status, or in a model whose steps give the same bits on every
 * instruction set. Files stand at the end of heap blocks, for the address sanitizer to see who reads on. */
#include "small_model.h"

/* All kinds of padding: no width is a multiple of 4. */
static const plan small = {5, 2, 7, 19, 21, 18, 17, 23, 11, 0, 77, 0, 0, 8, 0, 0, 0};
/* The same with weights of 4 bits in all layers but two. */
static const plan small_4 = {5, 2, 7, 19, 21, 18, 17, 23, 11, 0, 77, 127, 0x5b, 0, 0, 0, 0};
/* And with scales; the last line of those of layer_2 stands before a single line. */
static const plan small_scaled = {5, 2, 7, 19, 258, 18, 17, 23, 11, 0, 77, 127 << 7, 0x5b | 0x5b << 7, 0, 0, 0, 0};

typedef struct {
    unsigned char *bytes;
    size_t size;
} blob;

static blob file_of(const plan *p)
{
    blob b;
    b.bytes = make_file(p, &b.size);
    return b;
}

static blob small_file(void)
{
    return file_of(&small);
}

/* Loads a copy of the first n bytes that ends where its heap block ends. */
static int load_exact(const unsigned char *file, size_t n)
{
    unsigned char *copy = exact_block(n);
    void *memory = exact_block(pynna_model_size());
    const pynna_model *model = NULL;
    if (n)
        memcpy(copy, file, n);
    const int status = pynna_model_init(memory, pynna_model_size(), copy, n, &model);
    CHECK((status == PYNNA_OK) == (model != NULL));
    CHECK(strcmp(pynna_status_name(status), "PYNNA_ERR_UNKNOWN") != 0);
    free(copy);
    free(memory);
    return status;
}

static int is_file_error(int status)
{
    return status >= PYNNA_ERR_FILE_FOREIGN && status <= PYNNA_ERR_FILE_VALUE;
}

static void expect(blob b, int status, const char *what)
{
    fix_checksum(b.bytes, b.size);
    const int is = load_exact(b.bytes, b.size);
    if (is != status)
        printf("%s: %s, not %s\n", what, pynna_status_name(is), pynna_status_name(status));
    CHECK(is == status);
}

/* ---- what is right ----------------------------------------------------------------------------------------------- */

static void test_a_good_file_is_what_its_sections_say(void)
{
    blob b = small_file();
    machine m = open_machine(b.bytes, b.size, NULL, 16);
    const pynna_geometry *g = pynna_model_geometry(m.model);
    CHECK(g->sample_rate == 16000 && g->window == 512 && g->step == 320 && g->n_coefficients == 5 && g->n_mel == 40);
    CHECK(g->n_context == 2 && g->n_labels == 7 && g->blank == 6 && g->n_cell == 19 && g->cell_fraction_bits == 11);
    CHECK(g->h_multiplier == 127 * 128 && g->h_shift == 22 && g->mel_lower_hz == 20 && g->mel_upper_hz == 4000);
    CHECK(pynna_model_layer(m.model, 3)->n_rows == 4 * 32 && pynna_model_layer(m.model, 3)->n_columns == 17);
    CHECK(pynna_model_layer(m.model, 6)->n_rows == 7 && pynna_model_layer(m.model, 0)->input_signed == 1);
    CHECK(pynna_model_layer(m.model, 7) == NULL && pynna_model_layer(m.model, -1) == NULL);
    CHECK(pynna_layer_name(7) == NULL && pynna_layer_name(-1) == NULL && strcmp(pynna_layer_name(4), "lstm_h") == 0);
    CHECK(strcmp(pynna_model_label(m.model, 0), "!") == 0 && strcmp(pynna_model_label(m.model, 5), "&") == 0);
    CHECK(strcmp(pynna_model_label(m.model, 6), "") == 0 && pynna_model_label(m.model, 7) == NULL);
    CHECK(pynna_model_label(m.model, -1) == NULL);
    CHECK(pynna_model_label_priors(m.model)[6] == 1.0f / 7 && pynna_model_feature_gain(m.model)[4] == 1.5f);
    size_t n = 0;
    CHECK(memcmp(pynna_model_metadata(m.model, &n), "{}", 2) == 0 && n == 2);
    close_machine(m);
    free(b.bytes);
}

static void test_wrong_memory_and_null_are_refused(void)
{
    blob b = small_file();
    const size_t size = pynna_model_size();
    unsigned char *memory = exact_block(size + 64), *shifted = exact_block(b.size + 64);
    const pynna_model *model = NULL;
    memcpy(shifted + 4, b.bytes, b.size);
    CHECK(pynna_model_init(NULL, size, b.bytes, b.size, &model) == PYNNA_ERR_ARGUMENT);
    CHECK(pynna_model_init(memory, size, NULL, b.size, &model) == PYNNA_ERR_ARGUMENT);
    CHECK(pynna_model_init(memory, size, b.bytes, b.size, NULL) == PYNNA_ERR_ARGUMENT);
    CHECK(pynna_model_init(memory, size, shifted + 4, b.size, &model) == PYNNA_ERR_ARGUMENT);
    CHECK(pynna_model_init(memory, size - 1, b.bytes, b.size, &model) == PYNNA_ERR_MEMORY);
    CHECK(pynna_model_init(memory + 16, size, b.bytes, b.size, &model) == PYNNA_ERR_MEMORY);
    CHECK(model == NULL);
    free(memory);
    free(shifted);
    free(b.bytes);
}

/* ---- cut short, foreign, of another version ---------------------------------------------------------------------- */

static void check_cut(blob b, size_t n)
{
    const int status = load_exact(b.bytes, n);
    CHECK(status == (n == 0 ? PYNNA_ERR_FILE_FOREIGN : PYNNA_ERR_FILE_SHORT));
}

static void test_a_file_cut_short_anywhere_is_told_as_such(void)
{
    blob b = small_file();
    uint32_t random = 1;
    for (size_t n = 0; n < TABLE + ENTRY * N_SECTIONS + 64; n++)
        check_cut(b, n);
    for (int i = 0; i < N_SECTIONS; i++)
        for (int d = -1; d <= 1; d++) {
            check_cut(b, (size_t)(section_data(b.bytes, i) - b.bytes) + (size_t)d);
            const size_t end = (size_t)(section_data(b.bytes, i) - b.bytes) + section_size(b.bytes, i) + (size_t)d;
            if (end < b.size)
                check_cut(b, end);
        }
    for (int i = 0; i < 300; i++)
        check_cut(b, next_random(&random) % b.size);
    free(b.bytes);
}

/* The size in the header made to fit, and the checksum: now the sections do not. */
static void test_a_file_cut_short_with_a_header_to_match_is_laid_out_wrongly(void)
{
    blob b = small_file();
    uint32_t random = 2;
    for (int i = 0; i < 300; i++) {
        blob cut = {exact_block(b.size),
                    i < 40 ? b.size - 1 - (size_t)i : TABLE + next_random(&random) % (b.size - TABLE)};
        memcpy(cut.bytes, b.bytes, b.size);
        put64(cut.bytes + 16, cut.size);
        expect(cut, PYNNA_ERR_FILE_LAYOUT, "cut");
        free(cut.bytes);
    }
    free(b.bytes);
}

static void test_foreign_old_and_new_files_are_told_as_such(void)
{
    blob b = small_file();
    for (int i = 0; i < 8; i++) {
        b.bytes[i] ^= 1;
        expect(b, PYNNA_ERR_FILE_FOREIGN, "magic");
        b.bytes[i] ^= 1;
    }
    put32(b.bytes + 8, 0);
    expect(b, PYNNA_ERR_FILE_OLD, "version 0");
    put32(b.bytes + 8, 2);
    expect(b, PYNNA_ERR_FILE_NEW, "version 2");
    put32(b.bytes + 8, 0xffffffffu);
    expect(b, PYNNA_ERR_FILE_NEW, "version 2^32 - 1");
    put32(b.bytes + 8, 1);
    expect(b, PYNNA_OK, "as it was");
    CHECK(load_exact((const unsigned char *)"RIFF....WAVEfmt ", 16) == PYNNA_ERR_FILE_FOREIGN);
    free(b.bytes);
}

/* ---- damaged ----------------------------------------------------------------------------------------------------- */

static void test_every_flipped_bit_is_seen(void)
{
    blob b = small_file();
    uint32_t random = 3;
    for (size_t at = 0; at < b.size; at += at < TABLE ? 1 : 1 + next_random(&random) % 19) {
        const int bit = (int)(next_random(&random) % 8);
        for (int k = at < TABLE ? 0 : bit; k <= (at < TABLE ? 7 : bit); k++) {
            b.bytes[at] ^= (unsigned char)(1 << k);
            const int status = load_exact(b.bytes, b.size);
            if (at >= 24)
                CHECK(status == PYNNA_ERR_FILE_CHECKSUM);
            CHECK(is_file_error(status));
            b.bytes[at] ^= (unsigned char)(1 << k);
        }
    }
    for (int i = 0; i < 300; i++) { /* bursts */
        const size_t at = TABLE + next_random(&random) % (b.size - TABLE - 8);
        const uint64_t was = get64(b.bytes + at);
        put64(b.bytes + at, was ^ (1 | (uint64_t)next_random(&random) << 40));
        CHECK(load_exact(b.bytes, b.size) == PYNNA_ERR_FILE_CHECKSUM);
        put64(b.bytes + at, was);
    }
    CHECK(load_exact(b.bytes, b.size) == PYNNA_OK);
    free(b.bytes);
}

/* ---- hostile: the checksum is right ------------------------------------------------------------------------------ */

static void test_a_table_that_lies_is_refused(void)
{
    static const uint64_t places[] = {
        1, 32, 63, 64, 4096, 0x7fffffffffffffc0, 0x8000000000000000, 0xffffffffffffffc0, 0xffffffffffffffff};
    blob b = small_file();
    for (int i = 0; i < N_SECTIONS; i++) {
        unsigned char *entry = section_entry(b.bytes, i);
        const uint64_t offset = get64(entry + 32), size = get64(entry + 40);
        for (size_t k = 0; k < sizeof places / sizeof *places; k++) {
            put64(entry + 32, offset + places[k]);                        /* moved, misaligned, wrapped around */
            if (places[k] != 64 || i < LAYER_DATA || i == N_SECTIONS - 1) /* some padding may hold 64 bytes more */
                expect(b, PYNNA_ERR_FILE_LAYOUT, "offset");
            put64(entry + 32, places[k]);
            if (places[k] != offset)
                expect(b, PYNNA_ERR_FILE_LAYOUT, "offset");
            put64(entry + 32, offset);
            for (int sign = 0; sign < 2 && i != ALPHABET && i != METADATA; sign++) { /* those may have any size */
                put64(entry + 40, sign ? size - places[k] : size + places[k]);
                expect(b, PYNNA_ERR_FILE_LAYOUT, "size");
            }
            put64(entry + 40, size);
        }
        put64(entry + 32, get64(section_entry(b.bytes, i ? i - 1 : 1) + 32)); /* over its neighbour */
        expect(b, PYNNA_ERR_FILE_LAYOUT, "overlap");
        put64(entry + 32, offset);
        for (int k = 0; k < 32; k += 31) { /* another name, or one that does not end */
            entry[k] ^= 0x20;
            expect(b, PYNNA_ERR_FILE_LAYOUT, "name");
            entry[k] ^= 0x20;
        }
    }
    unsigned char swapped[ENTRY];
    memcpy(swapped, section_entry(b.bytes, 3), ENTRY);
    memcpy(section_entry(b.bytes, 3), section_entry(b.bytes, 4), ENTRY);
    memcpy(section_entry(b.bytes, 4), swapped, ENTRY);
    expect(b, PYNNA_ERR_FILE_LAYOUT, "order");
    free(b.bytes);
}

static void test_a_header_that_lies_is_refused(void)
{
    static const uint32_t counts[] = {0, 1, 33, 35, 0x80000000, 0xffffffff};
    blob b = small_file();
    for (size_t i = 0; i < sizeof counts / sizeof *counts; i++) {
        put32(b.bytes + 24, counts[i]);
        expect(b, PYNNA_ERR_FILE_LAYOUT, "number of sections");
    }
    put32(b.bytes + 24, N_SECTIONS);
    put32(b.bytes + 28, 1);
    expect(b, PYNNA_ERR_FILE_LAYOUT, "zero");
    put32(b.bytes + 28, 0);
    put64(b.bytes + 16, b.size - 1);
    expect(b, PYNNA_ERR_FILE_LAYOUT, "longer than it says");
    put64(b.bytes + 16, b.size + 1);
    expect(b, PYNNA_ERR_FILE_SHORT, "shorter than it says");
    put64(b.bytes + 16, UINT64_MAX);
    expect(b, PYNNA_ERR_FILE_SHORT, "shorter than it says");
    free(b.bytes);
}

typedef struct {
    int section;
    size_t at;
    uint32_t value;
    int status;
    const char *what;
} wrong_value;

enum { LAYOUT = PYNNA_ERR_FILE_LAYOUT, VALUE = PYNNA_ERR_FILE_VALUE };
#define NAN_BITS 0x7fc00000u
#define INFINITY_BITS 0x7f800000u
#define MINUS_ONE 0xbf800000u
#define ONE_AND_A_BIT 0x3f800001u

static const wrong_value wrong_values[] = {
    {GEOMETRY,                        0,           0,             VALUE,  "sample_rate"                        },
    {GEOMETRY,                        0,           0x80000000,    VALUE,  "sample_rate"                        },
    {GEOMETRY,                        4,           0,             VALUE,  "window"                             },
    {GEOMETRY,                        4,           0x7fffffff,    VALUE,  "window"                             },
    {GEOMETRY,                        8,           0,             VALUE,  "step"                               },
    {GEOMETRY,                        8,           513,           VALUE,  "step"                               },
    {GEOMETRY,                        8,           0xffffffff,    VALUE,  "step"                               },
    {GEOMETRY,                        12,          0,             VALUE,  "n_coefficients"                     },
    {GEOMETRY,                        12,          6,             VALUE,  "n_coefficients"                     },
    {GEOMETRY,                        12,          41,            VALUE,  "n_coefficients"                     },
    {GEOMETRY,                        12,          0x40000001,    VALUE,  "n_coefficients"                     },
    {GEOMETRY,                        16,          4,             VALUE,  "n_mel"                              },
    {GEOMETRY,                        16,          0xffffffff,    VALUE,  "n_mel"                              },
    {GEOMETRY,                        20,          0xffffffff,    VALUE,  "n_context"                          },
    {GEOMETRY,                        20,          1,             VALUE,  "n_context"                          },
    {GEOMETRY,                        20,          0x7fffffff,    VALUE,  "n_context"                          },
    {GEOMETRY,                        24,          1,             VALUE,  "n_labels"                           },
    {GEOMETRY,                        24,          8,             VALUE,  "n_labels"                           },
    {GEOMETRY,                        24,          0x7fffffff,    VALUE,  "n_labels"                           },
    {GEOMETRY,                        28,          0,             VALUE,  "blank"                              },
    {GEOMETRY,                        28,          7,             VALUE,  "blank"                              },
    {GEOMETRY,                        32,          0,             VALUE,  "n_cell"                             },
    {GEOMETRY,                        32,          18,            VALUE,  "n_cell"                             },
    {GEOMETRY,                        32,          0x7fffffff,    VALUE,  "n_cell"                             },
    {GEOMETRY,                        36,          0,             VALUE,  "cell_fraction_bits"                 },
    {GEOMETRY,                        36,          16,            VALUE,  "cell_fraction_bits"                 },
    {GEOMETRY,                        40,          0xffffffff,    VALUE,  "h_multiplier"                       },
    {GEOMETRY,                        40,          32768,         VALUE,  "h_multiplier"                       },
    {GEOMETRY,                        44,          0,             VALUE,  "h_shift"                            },
    {GEOMETRY,                        44,          31,            VALUE,  "h_shift"                            },
    {GEOMETRY,                        48,          NAN_BITS,      VALUE,  "mel_lower_hz"                       },
    {GEOMETRY,                        48,          MINUS_ONE,     VALUE,  "mel_lower_hz"                       },
    {GEOMETRY,                        52,          NAN_BITS,      VALUE,  "mel_upper_hz"                       },
    {GEOMETRY,                        52,          0,             VALUE,  "mel_upper_hz"                       },
    {GEOMETRY,                        52,          INFINITY_BITS, VALUE,  "mel_upper_hz"                       },
    {GEOMETRY,                        56,          0,             VALUE,  "h_scale"                            },
    {GEOMETRY,                        56,          NAN_BITS,      VALUE,  "h_scale"                            },
    {GEOMETRY,                        56,          INFINITY_BITS, VALUE,  "h_scale"                            },
    {GEOMETRY,                        60,          4,             VALUE,  "feature_residual_bits"              },
    {GEOMETRY,                        60,          0xffffffff,    VALUE,  "feature_residual_bits"              },
    {GEOMETRY,                        64,          1,             VALUE,  "speech_rows without the row"        },
    {GEOMETRY,                        64,          2,             VALUE,  "speech_rows"                        },
    {GEOMETRY,                        64,          0xffffffff,    VALUE,  "speech_rows"                        },
    {LAYERS,                          0,           0,             VALUE,  "n_rows"                             },
    {LAYERS,                          0,           22,            VALUE,  "n_rows"                             },
    {LAYERS,                          0,           0x80000000,    VALUE,  "n_rows"                             },
    {LAYERS,                          4,           0,             VALUE,  "n_columns"                          },
    {LAYERS,                          4,           26,            VALUE,  "n_columns"                          },
    {LAYERS,                          4,           32769,         VALUE,  "n_columns"                          },
    {LAYERS,                          8,           4,             LAYOUT, "weight_bits of 4, weights of 8"     },
    {LAYERS,                          8,           5,             VALUE,  "weight_bits"                        },
    {LAYERS,                          8,           0,             VALUE,  "weight_bits"                        },
    {LAYERS,                          8,           16,            LAYOUT, "weight_bits of 16, weights of 8"    },
    {LAYERS,                          8,           0x80000008,    VALUE,  "weight_bits"                        },
    {LAYERS,                          12,          1,             VALUE,  "layout"                             },
    {LAYERS,                          16,          0,             VALUE,  "input_signed"                       },
    {LAYERS,                          64 + 16,     1,             VALUE,  "input_signed"                       },
    {LAYERS,                          20,          0,             VALUE,  "shift"                              },
    {LAYERS,                          20,          63,            VALUE,  "shift"                              },
    {LAYERS,                          20,          64,            VALUE,  "shift"                              },
    {LAYERS,                          20,          0xffffffff,    VALUE,  "shift"                              },
    {LAYERS,                          20,          1,             VALUE,  "shift"                              },
    {LAYERS,                          3 * 64 + 20, 35,            VALUE,  "shift of one half of the LSTM"      },
    {LAYERS,                          24,          NAN_BITS,      VALUE,  "input_scale"                        },
    {LAYERS,                          24,          0,             VALUE,  "input_scale"                        },
    {LAYERS,                          28,          NAN_BITS,      VALUE,  "output_scale"                       },
    {LAYERS,                          28,          MINUS_ONE,     VALUE,  "output_scale"                       },
    {LAYERS,                          32,          4,             VALUE,  "output_residual_bits"               },
    {LAYERS,                          32,          0xffffffff,    VALUE,  "output_residual_bits"               },
    {LAYERS,                          3 * 64 + 32, 8,             VALUE,  "the LSTM's output_residual_bits"    },
    {LAYERS,                          4 * 64 + 32, 8,             VALUE,  "the LSTM's output_residual_bits"    },
    {LAYERS,                          6 * 64 + 32, 8,             VALUE,  "layer_6's output_residual_bits"     },
    {LAYERS,                          3 * 64,      64,            VALUE,  "LSTM's rows"                        },
    {LAYERS,                          6 * 64,      8,             VALUE,  "layer_6's rows"                     },
    {ALPHABET,                        0,           0,             VALUE,  "empty labels"                       },
    {ALPHABET,                        8,           0x41414141,    LAYOUT, "an alphabet without an end"         },
    {ALPHABET,                        0,           0x00ff00fe,    VALUE,  "no UTF-8"                           },
    {ALPHABET,                        0,           0x8000c300,    VALUE,  "an empty label before half a letter"},
    {PRIORS,                          0,           0,             VALUE,  "prior 0"                            },
    {PRIORS,                          24,          NAN_BITS,      VALUE,  "prior NaN"                          },
    {PRIORS,                          4,           MINUS_ONE,     VALUE,  "prior below 0"                      },
    {PRIORS,                          4,           ONE_AND_A_BIT, VALUE,  "prior above 1"                      },
    {GAIN,                            0,           0,             VALUE,  "gain 0"                             },
    {GAIN,                            16,          NAN_BITS,      VALUE,  "gain NaN"                           },
    {GAIN,                            8,           INFINITY_BITS, VALUE,  "infinite gain"                      },
    {GAIN,                            8,           MINUS_ONE,     VALUE,  "gain below 0"                       },
    {LAYER_DATA + BIAS,               0,           0x40000000,    VALUE,  "bias 2^30"                          },
    {LAYER_DATA + BIAS,               4,           0xc0000000,    VALUE,  "bias -2^30"                         },
    {LAYER_DATA + BIAS,               8,           0x80000000,    VALUE,  "bias -2^31"                         },
    {LAYER_DATA + MULTIPLIER,         0,           0xffffffff,    VALUE,  "multiplier -1"                      },
    {LAYER_DATA + MULTIPLIER,         4,           0x80000000,    VALUE,  "multiplier -2^31"                   },
    {LAYER_DATA + 4 * 6 + MULTIPLIER, 0,           NAN_BITS,      VALUE,  "logit_scale NaN"                    },
    {LAYER_DATA + 4 * 6 + MULTIPLIER, 0,           INFINITY_BITS, VALUE,  "logit_scale infinite"               },
    {LAYER_DATA + 4 * 6 + MULTIPLIER, 0,           MINUS_ONE,     VALUE,  "logit_scale below 0"                },
    {LAYER_DATA + ROW_SUM,            0,           0x12345,       VALUE,  "row_sum"                            },
    {LAYER_DATA + 4 * 3 + ROW_SUM,    4 * 127,     1,             VALUE,  "row_sum"                            },
};

static void test_a_value_out_of_its_range_is_refused(void)
{
    blob b = small_file();
    for (size_t i = 0; i < sizeof wrong_values / sizeof *wrong_values; i++) {
        const wrong_value *w = &wrong_values[i];
        unsigned char *at = section_data(b.bytes, w->section) + w->at;
        const uint32_t was = get32(at);
        put32(at, w->value);
        expect(b, w->status, w->what);
        put32(at, was);
    }
    expect(b, PYNNA_OK, "as it was");
    free(b.bytes);
}

/* What stands in the columns that only fill up a group would be multiplied by whatever lies behind the activations. */
static void test_weights_in_padded_columns_are_refused(void)
{
    for (int layer = 0; layer < 3 * PYNNA_N_LAYERS; layer++) {
        static const plan *const all[] = {&small, &small_4, &small_scaled};
        const plan *p = all[layer / PYNNA_N_LAYERS];
        const shape s = layer_shape(p, layer % PYNNA_N_LAYERS);
        blob b = file_of(p);
        unsigned char *weights = section_data(b.bytes, layer_section(layer % PYNNA_N_LAYERS, WEIGHTS));
        unsigned char *sums = section_data(b.bytes, layer_section(layer % PYNNA_N_LAYERS, ROW_SUM));
        const size_t size = (size_t)(s.rows16 * s.lines * 4);
        unsigned char *kept = exact_block(size);
        memcpy(kept, weights, size);
        for (int32_t r = 0; r < s.rows16; r += 5)
            for (int32_t k = s.n_columns; k < s.columns_padded; k++) {
                const int32_t w = s.scaled ? scale_of(r, k) : 16;
                put_weight(&s, weights, r, k, w);
                put32(sums + 4 * r, get32(sums + 4 * r) + (uint32_t)w);
                expect(b, PYNNA_ERR_FILE_VALUE, "padded column");
                memcpy(weights, kept, size);
                put32(sums + 4 * r, get32(sums + 4 * r) - (uint32_t)w);
            }
        expect(b, PYNNA_OK, "as it was");
        free(kept);
        free(b.bytes);
    }
}

static void test_a_weight_of_minus_128_is_refused_even_where_the_sum_is_right(void)
{
    for (int layer = 0; layer < PYNNA_N_LAYERS; layer++) {
        blob b = small_file();
        unsigned char *w = section_data(b.bytes, layer_section(layer, WEIGHTS)) + 4 * 5; /* row 5, column 0 */
        unsigned char *sum = section_data(b.bytes, layer_section(layer, ROW_SUM)) + 4 * 5;
        for (int32_t value = -127; value >= -128; value--) {
            put32(sum, get32(sum) - (uint32_t)(int8_t)*w + (uint32_t)value);
            *w = (unsigned char)value;
            expect(b, value == -127 ? PYNNA_OK : PYNNA_ERR_FILE_VALUE, "weight");
        }
        free(b.bytes);
    }
}

static void test_a_weight_of_4_bits_of_minus_8_is_refused_even_where_the_sum_is_right(void)
{
    for (int half = 0; half < 2; half++) {
        blob b = file_of(&small_4);
        unsigned char *w = section_data(b.bytes, layer_section(0, WEIGHTS)) + 4 * 5; /* row 5, columns 0 and 4 */
        unsigned char *sum = section_data(b.bytes, layer_section(0, ROW_SUM)) + 4 * 5;
        for (int32_t value = 9; value >= 8; value--) { /* -7, -8 */
            const int32_t was = (int8_t)(unsigned char)(half ? *w & 0xf0 : *w << 4);
            put32(sum, get32(sum) - (uint32_t)was + (uint32_t)(value * 16 - 256));
            *w = (unsigned char)(half ? (*w & 15) | value << 4 : (*w & 0xf0) | value);
            expect(b, value == 9 ? PYNNA_OK : PYNNA_ERR_FILE_VALUE, "weight");
        }
        free(b.bytes);
    }
}

/* The same with scales, where -8 may be a small number; and the scales themselves, of a row without weights. */
static void test_wrong_scales_and_values_are_refused_even_where_the_sum_is_right(void)
{
    static const struct {
        unsigned char scale;
        int status;
    } scales[] = {
        {0,   VALUE   },
        {1,   PYNNA_OK},
        {16,  PYNNA_OK},
        {17,  VALUE   },
        {128, VALUE   },
        {255, VALUE   }
    };
    const shape s = layer_shape(&small_scaled, 1);
    blob b = file_of(&small_scaled);
    unsigned char *weights = section_data(b.bytes, layer_section(1, WEIGHTS));
    unsigned char *sum = section_data(b.bytes, layer_section(1, ROW_SUM)) + 4 * 5;
    for (int32_t line = 0; line < s.lines; line++) /* of row 5 */
        if (line % 33)
            memset(weights + line * 64 + 4 * 5, 0, 4);
    put32(sum, 0);
    for (size_t i = 0; i < sizeof scales / sizeof *scales; i++)
        for (int32_t k = 0; k < s.columns_padded; k += 64) {
            *scale_place(&s, weights, 5, k) = scales[i].scale;
            expect(b, scales[i].status, "scale");
            *scale_place(&s, weights, 5, k) = 1;
        }
    for (int32_t value = -7; value >= -8; value--)
        for (int odd = 0; odd < 2; odd++) {
            weights[64 + 4 * 5] = (unsigned char)(odd ? value * 16 : value & 15);
            put32(sum, (uint32_t)value);
            expect(b, value == -7 ? PYNNA_OK : VALUE, "value");
        }
    weights[64 + 4 * 5] = 0;
    put32(sum, 0);
    *scale_place(&s, weights, 5, 256 + 64) = 1;
    expect(b, VALUE, "a scale of no line");
    *scale_place(&s, weights, 5, 256 + 64) = 0;
    expect(b, PYNNA_OK, "as it was");
    put32(section_data(b.bytes, LAYERS) + 64 + 12, 0);
    expect(b, LAYOUT, "layout 0, weights of layout 1");
    put32(section_data(b.bytes, LAYERS) + 64 + 12, 2);
    expect(b, VALUE, "layout 2");
    free(b.bytes);
}

static void test_a_last_label_without_an_end_is_refused(void)
{
    blob b = small_file();
    const size_t n = section_size(b.bytes, ALPHABET);
    section_data(b.bytes, ALPHABET)[n] = 'x'; /* one more, in the padding; as many ends as there should be */
    put64(section_entry(b.bytes, ALPHABET) + 40, n + 1);
    expect(b, PYNNA_ERR_FILE_LAYOUT, "a last label without an end");
    free(b.bytes);
}

/* UTF-8 as RFC 3629 has it: no overlong form, no surrogate, nothing above U+10FFFF, nothing cut. */
static void test_labels_must_be_utf_8(void)
{
    static const struct {
        const char *text;
        int good;
    } cases[] = {
        {"\xc3\xa9",         1},
        {"\xe2\x82\xac",     1},
        {"\xf0\x9f\x98\x80", 1},
        {"\xc2\x80",         1},
        {"\xf4\x8f\xbf\xbf", 1},
        {"\xed\x9f\xbf",     1},
        {"\xee\x80\x80",     1},
        {"\xe0\xa0\x80",     1},
        {"\xf0\x90\x80\x80", 1},
        {"\x7f",             1},
        {"\x80",             0},
        {"\xc3",             0},
        {"\xc3(",            0},
        {"\xc0\x80",         0},
        {"\xc1\xbf",         0},
        {"\xe0\x9f\xbf",     0},
        {"\xed\xa0\x80",     0},
        {"\xe2\x82",         0},
        {"\xf0\x8f\xbf\xbf", 0},
        {"\xf4\x90\x80\x80", 0},
        {"\xf5\x80\x80\x80", 0},
        {"\xff",             0},
        {"a\xe2\x82",        0},
        {"\xc3\xa9\xa9",     0},
        {"\xf0\x9f\x98",     0},
    };
    static const plan two_labels = {5, 2, 6, 19, 21, 18, 17, 23, 11, 0, 77, 0, 0, 0, 0, 0, 0};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const size_t n = strlen(cases[i].text);
        blob b;
        b.bytes = make_file(&two_labels, &b.size);
        unsigned char *alphabet = section_data(b.bytes, ALPHABET); /* "!" '"' "#" "$" "%", ten bytes */
        memset(alphabet, 0, 10);
        memcpy(alphabet, cases[i].text, n); /* the first label, then three of a letter, then one that fills up */
        memcpy(alphabet + n, "\0", 1);
        for (size_t k = n + 1, label = 1; label < 5; label++, k += 2)
            alphabet[k] = 'a';
        put64(section_entry(b.bytes, ALPHABET) + 40, n + 9);
        expect(b, cases[i].good ? PYNNA_OK : PYNNA_ERR_FILE_VALUE, cases[i].good ? "UTF-8" : "no UTF-8");
        free(b.bytes);
    }
}

/* ---- what is accepted runs, and the same everywhere -------------------------------------------------------------- */

static uint64_t run_model(const unsigned char *file, size_t n_bytes, const char *isa, int saturate)
{
    machine m = open_machine(file, n_bytes, isa, 16);
    bundle b = make_bundle(m.model, 2, 3, 8);
    for (size_t i = 0; saturate && i < 2 * b.n_x; i++)
        b.x[i % 2][i / 2] = 1e9f;
    for (int32_t i = 0; saturate && i < 2 * b.n_cell; i++)
        b.h[i % 2][i / 2] = 127;
    CHECK(pynna_step(m.workspace, NULL, 2, 3, b.slots) == PYNNA_OK);
    const uint64_t hash = hash_channel(hash_channel(hash_start, &b, 0), &b, 1);
    free_bundle(b);
    close_machine(m);
    return hash;
}

static void check_that_it_runs(const unsigned char *file, size_t n_bytes)
{
    for (int saturate = 0; saturate < 2; saturate++) {
        const uint64_t want = run_model(file, n_bytes, "ref", saturate);
        for (int32_t k = 1; k < pynna_isa_count(); k++)
            if (pynna_isa_available(k))
                CHECK(run_model(file, n_bytes, pynna_isa_name(k), saturate) == want);
    }
}

/* Random values at random places, the checksum right: a status, or a model that runs. */
static void test_no_file_with_a_right_checksum_leads_to_undefined_behaviour(const plan *p)
{
    static const uint32_t likely[] = {0,          1,          0x7f,       0xff, 0x7fffffff, 0x80000000,
                                      0xffffffff, 0x3fffffff, 0xc0000001, 61,   62};
    blob b = file_of(p);
    unsigned char *copy = exact_block(b.size);
    uint32_t random = 5;
    int n_accepted = 0;
    for (int i = 0; i < 1000; i++) {
        memcpy(copy, b.bytes, b.size);
        for (uint32_t n = 1 + next_random(&random) % 3; n; n--) {
            const int section = (int)(next_random(&random) % (N_SECTIONS + 6)) - 6; /* below 0: header and table */
            unsigned char *start = section < 0 ? copy + 24 : section_data(b.bytes, section) - b.bytes + copy;
            const size_t size = section < 0 ? TABLE + ENTRY * N_SECTIONS - 24 : section_size(b.bytes, section);
            const uint32_t r = next_random(&random) % 16;
            const uint32_t value = r < sizeof likely / sizeof *likely ? likely[r] : next_random(&random) * 257u;
            const size_t at = next_random(&random) % size;
            if (r % 3 == 0 || size < 8)
                start[at] = (unsigned char)value;
            else
                put32(start + at / 4 * 4 - (at / 4 * 4 + 4 > size ? 4 : 0), value);
        }
        fix_checksum(copy, b.size);
        const int status = load_exact(copy, b.size);
        CHECK(status == PYNNA_OK || is_file_error(status));
        if (status == PYNNA_OK) {
            check_that_it_runs(copy, b.size);
            n_accepted++;
        }
    }
    CHECK(n_accepted > 50 && n_accepted < 950); /* or this proves nothing */
    free(copy);
    free(b.bytes);
}

static void fill32(unsigned char *file, int section, uint32_t value)
{
    for (size_t i = 0; i < section_size(file, section); i += 4)
        put32(section_data(file, section) + i, value);
}

/* All of a layer's rows alike, its sums as large as they get; row_sum to match. */
static void fill_rows(const plan *p, unsigned char *file, int layer, int32_t weight, uint32_t bias, uint32_t multiplier)
{
    const shape s = layer_shape(p, layer); /* of 8 bits */
    fill32(file, layer_section(layer, BIAS), bias);
    fill32(file, layer_section(layer, MULTIPLIER), multiplier);
    fill32(file, layer_section(layer, ROW_SUM), (uint32_t)(weight * s.n_columns));
    unsigned char *weights = section_data(file, layer_section(layer, WEIGHTS));
    for (int32_t i = 0; i < s.rows16 * s.lines * 4; i++)
        weights[i] = i / 64 % s.lines * 4 + i % 4 < s.n_columns ? (unsigned char)weight : 0;
}

/* Both halves of the LSTM's sums just under the bound on each: together they must come out the same everywhere, or the
 * loader must refuse them. */
static void test_the_largest_sums_that_are_accepted_add_up_the_same_everywhere(void)
{
    static const plan narrow = {1, 0, 2, 1, 1, 1, 1, 1, 11, 0, 1, 0, 0, 0, 0, 0, 0};
    uint32_t random = 9;
    int n_accepted = 0;
    blob b;
    b.bytes = make_file(&narrow, &b.size);
    fill_rows(&narrow, b.bytes, 2, 127, (1u << 30) - 1, 1u << 30); /* layer_3 gives 255 */
    for (int i = 0; i < 400; i++) {
        const uint32_t shift = 24 + (uint32_t)i % 8;
        const int32_t bias = (1 << 30) - 1 - (int32_t)(next_random(&random) % (shift == 31 ? 32000 : 1 << 29));
        const int64_t m = ((INT64_C(1) << (30 + shift)) - 1) / (bias + 255 * 127) - (i / 8 % 3 == 0);
        for (int half = 3; half < 5; half++) {
            const int negative = i / 24 >> (half - 3) & 1;
            put32(section_data(b.bytes, LAYERS) + 64 * half + 20, shift);
            fill_rows(&narrow, b.bytes, half, negative ? -127 : 127, (uint32_t)(negative ? -bias : bias),
                      (uint32_t)(m < INT32_MAX ? m : INT32_MAX));
        }
        fix_checksum(b.bytes, b.size);
        if (load_exact(b.bytes, b.size) == PYNNA_OK) {
            check_that_it_runs(b.bytes, b.size);
            n_accepted++;
        }
    }
    CHECK(n_accepted > 50 && n_accepted < 350); /* or this proves nothing */
    free(b.bytes);
}

static void test_products_that_could_leave_64_bits_are_refused(void)
{
    static const plan wide = {1, 0, 2, 1, 32768, 1, 1, 1, 11, 0, 1, 0, 0, 0, 0, 0, 0};
    blob b;
    b.bytes = make_file(&wide, &b.size);
    put32(section_data(b.bytes, LAYERS) + 64 + 20, 62);
    put32(section_data(b.bytes, layer_section(1, BIAS)), (1u << 30) - 1);
    put32(section_data(b.bytes, layer_section(1, MULTIPLIER)), 1u << 30);
    expect(b, PYNNA_OK, "products of 61 bits");
    put32(section_data(b.bytes, layer_section(1, MULTIPLIER)), INT32_MAX);
    expect(b, PYNNA_ERR_FILE_VALUE, "products of 62 bits");
    free(b.bytes);
}

/* The features' residual adds to layer 1's sums, and so counts in their bound. */
static void test_the_bound_on_sums_holds_the_features_lower_halves(void)
{
    for (int32_t residual_bits = 0; residual_bits <= 8; residual_bits += 8) {
        const plan p = {1, 0, 2, 1, 1, 1, 1, 1, 11, 0, 1, 0, 0, residual_bits, 0, 0, 0};
        blob b;
        b.bytes = make_file(&p, &b.size);
        put32(section_data(b.bytes, LAYERS) + 20, 31);
        fill_rows(&p, b.bytes, 0, 127, (1u << 30) - 1 - 255 * 127, INT32_MAX);
        expect(b, residual_bits ? PYNNA_ERR_FILE_VALUE : PYNNA_OK, "a sum of 2^30 - 1 without a residual");
        free(b.bytes);
    }
}

/* So does that of a layer's outputs, in the next one's; and a shift must leave room for 256ths. */
static void test_the_bounds_hold_the_residuals_of_outputs(void)
{
    for (int32_t first = 0; first <= 1; first++) {
        const plan p = {1, 0, 2, 1, 1, 1, 1, 1, 11, 0, 1, 0, 0, 0, 0, 0, first};
        blob b;
        b.bytes = make_file(&p, &b.size);
        put32(section_data(b.bytes, LAYERS) + 64 + 20, 31);
        fill_rows(&p, b.bytes, 1, 127, (1u << 30) - 1 - 255 * 127, INT32_MAX);
        expect(b, first ? PYNNA_ERR_FILE_VALUE : PYNNA_OK, "a sum of 2^30 - 1 without a residual");
        fill_rows(&p, b.bytes, 1, 1, 0, 0);
        fill_rows(&p, b.bytes, 0, 1, 0, 1);
        for (uint32_t shift = 8; shift <= 9; shift++) {
            put32(section_data(b.bytes, LAYERS) + 20, shift);
            expect(b, first && shift == 8 ? PYNNA_ERR_FILE_VALUE : PYNNA_OK, "a shift of 8 with a residual");
        }
        free(b.bytes);
    }
}

int main(void)
{
    test_the_bounds_hold_the_residuals_of_outputs();
    test_the_bound_on_sums_holds_the_features_lower_halves();
    test_a_good_file_is_what_its_sections_say();
    test_wrong_memory_and_null_are_refused();
    test_a_file_cut_short_anywhere_is_told_as_such();
    test_a_file_cut_short_with_a_header_to_match_is_laid_out_wrongly();
    test_foreign_old_and_new_files_are_told_as_such();
    test_every_flipped_bit_is_seen();
    test_a_table_that_lies_is_refused();
    test_a_header_that_lies_is_refused();
    test_a_value_out_of_its_range_is_refused();
    test_weights_in_padded_columns_are_refused();
    test_a_weight_of_minus_128_is_refused_even_where_the_sum_is_right();
    test_a_weight_of_4_bits_of_minus_8_is_refused_even_where_the_sum_is_right();
    test_wrong_scales_and_values_are_refused_even_where_the_sum_is_right();
    test_a_last_label_without_an_end_is_refused();
    test_labels_must_be_utf_8();
    test_no_file_with_a_right_checksum_leads_to_undefined_behaviour(&small);
    test_no_file_with_a_right_checksum_leads_to_undefined_behaviour(&small_4);
    test_no_file_with_a_right_checksum_leads_to_undefined_behaviour(&small_scaled);
    test_the_largest_sums_that_are_accepted_add_up_the_same_everywhere();
    test_products_that_could_leave_64_bits_are_refused();
    printf(n_failed ? "%d checks failed\n" : "model files: all is well\n", n_failed);
    return n_failed != 0;
}
