/* SPDX-License-Identifier: Apache-2.0 */
/* What the loader accepts runs, and gives the same bits on every instruction set: with random values under a right
 * checksum, and with sums as large as the bounds let them be. */
#include "nna_blob.h"

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
    test_no_file_with_a_right_checksum_leads_to_undefined_behaviour(&small);
    test_no_file_with_a_right_checksum_leads_to_undefined_behaviour(&small_4);
    test_no_file_with_a_right_checksum_leads_to_undefined_behaviour(&small_scaled);
    test_the_largest_sums_that_are_accepted_add_up_the_same_everywhere();
    test_products_that_could_leave_64_bits_are_refused();
    printf(n_failed ? "%d checks failed\n" : "accepted model files: all is well\n", n_failed);
    return n_failed != 0;
}
