/* SPDX-License-Identifier: Apache-2.0 */
/* The loader against files that are damaged or lie about where things are: cut short at every place, flipped at hundreds,
 * of another version, with a header or a table that points elsewhere. Each ends in a status. */
#include "nna_blob.h"

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

int main(void)
{
    test_a_good_file_is_what_its_sections_say();
    test_wrong_memory_and_null_are_refused();
    test_a_file_cut_short_anywhere_is_told_as_such();
    test_a_file_cut_short_with_a_header_to_match_is_laid_out_wrongly();
    test_foreign_old_and_new_files_are_told_as_such();
    test_every_flipped_bit_is_seen();
    test_a_table_that_lies_is_refused();
    test_a_header_that_lies_is_refused();
    printf(n_failed ? "%d checks failed\n" : "model files: all is well\n", n_failed);
    return n_failed != 0;
}
