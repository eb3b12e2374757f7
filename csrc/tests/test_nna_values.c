/* SPDX-License-Identifier: Apache-2.0 */
/* The loader against files with a right checksum over wrong values: each is told by a status. */
#include "nna_blob.h"

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

int main(void)
{
    test_a_value_out_of_its_range_is_refused();
    test_weights_in_padded_columns_are_refused();
    test_a_weight_of_minus_128_is_refused_even_where_the_sum_is_right();
    test_a_weight_of_4_bits_of_minus_8_is_refused_even_where_the_sum_is_right();
    test_wrong_scales_and_values_are_refused_even_where_the_sum_is_right();
    test_a_last_label_without_an_end_is_refused();
    test_labels_must_be_utf_8();
    printf(n_failed ? "%d checks failed\n" : "values in model files: all is well\n", n_failed);
    return n_failed != 0;
}
