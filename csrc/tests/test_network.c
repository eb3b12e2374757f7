/* SPDX-License-Identifier: Apache-2.0 */
/* The network: the bits of its outputs for every instruction set, number of channels, threads and steps a call; what it
 * reads and writes; pools of threads. `test_network ROUNDS` runs the threads' tests that many times over. */
#include "small_model.h"

#include <math.h>

/* Widths that divide by nothing, that are less than a block, and that are even; all in one file each. */
static const plan plans[] = {
    {26, 9, 29, 31,  29,  31,  33,  30,  11, 0, 1,  0,      0,      0, 0, 0,    0   },
    {26, 9, 29, 64,  128, 64,  96,  64,  12, 0, 2,  0,      0,      0, 0, 0,    0   },
    {26, 9, 29, 100, 100, 100, 100, 100, 9,  1, 3,  0,      0,      0, 0, 0,    0   },
    {1,  0, 2,  1,   1,   1,   1,   1,   15, 0, 4,  0,      0,      0, 0, 0,    0   },
    {13, 2, 40, 17,  47,  2,   129, 65,  1,  1, 5,  0,      0,      0, 0, 0,    0   },
    {3,  1, 17, 16,  16,  16,  16,  16,  13, 0, 6,  0,      0,      0, 0, 0,    0   },
    {26, 9, 29, 68,  100, 36,  100, 100, 11, 0, 7,  127,    127,    0, 0, 0,    0   },
    {13, 2, 40, 17,  47,  2,   129, 65,  9,  1, 8,  127,    0x5a,   0, 0, 0,    0   },
    {26, 9, 29, 100, 36,  31,  40,  33,  12, 0, 9,  0,      0,      8, 0, 0,    0   },
    {13, 2, 40, 117, 47,  2,   129, 65,  9,  1, 10, 127,    0x5b,   8, 0, 0,    0   },
    {26, 9, 29, 33,  36,  31,  40,  34,  11, 0, 11, 0,      0,      8, 1, 0,    0   },
    {13, 2, 32, 17,  47,  2,   129, 65,  9,  1, 12, 127,    0x5b,   8, 1, 0,    0   },
    {26, 9, 29, 68,  100, 36,  261, 100, 11, 0, 13, 0x3f80, 0x3fff, 8, 1, 0,    0   },
    {13, 2, 40, 70,  47,  65,  129, 130, 9,  1, 14, 0x3f80, 0x2ddb, 8, 0, 0,    0   },
    {26, 9, 29, 33,  36,  31,  40,  34,  11, 0, 13, 0,      0,      8, 1, 0x41, 0   },
    {13, 2, 40, 117, 47,  2,   129, 65,  9,  1, 14, 4,      4,      8, 0, 0x7b, 0   },
    {26, 9, 29, 33,  36,  31,  40,  34,  11, 0, 17, 0,      0,      8, 0, 0,    0x27},
    {13, 2, 40, 117, 47,  2,   129, 65,  9,  1, 18, 4,      4,      0, 1, 0x7b, 0x25},
    {26, 9, 29, 68,  100, 36,  100, 100, 11, 0, 19, 0x3f80, 0x3fff, 8, 1, 0,    0x22},
};
enum { N_PLANS = (int)(sizeof plans / sizeof *plans), STEPS = 5 };

static const uint64_t hashes[N_PLANS] = {
    UINT64_C(0x5433e74c6d43a9ee), UINT64_C(0x6f91bc7c1d8bd3be), UINT64_C(0x1b7814ecffcf8811),
    UINT64_C(0x2cb6b3051e823986), UINT64_C(0xcb81b6efe3f6976a), UINT64_C(0xcc581e74615ed0ce),
    UINT64_C(0x8f31591b9df53e7c), UINT64_C(0x3c98ebeeba74f211), UINT64_C(0x8ced1d86bccb10f9),
    UINT64_C(0xb13ae476376b77c5), UINT64_C(0xea4af467fb69b778), UINT64_C(0xe2e9b6d4af63613d),
    UINT64_C(0xe926aa1ce4f9e4f3), UINT64_C(0xb515c7d43b6b86cc), UINT64_C(0xfa0a09059459fb96),
    UINT64_C(0x4593e7e5c5c896a4), UINT64_C(0x88b29c9bfa09ec9f), UINT64_C(0x680acd6485e5f5cf),
    UINT64_C(0x51278ad2041d0552),
};

static int n_rounds = 1;

/* ---- the definition ---------------------------------------------------------------------------------------------- */

/* Each channel alone, one step a call, plain C. */
static void run_alone(const unsigned char *file, size_t n_bytes, bundle *b)
{
    machine m = open_machine(file, n_bytes, "ref", 16);
    for (int32_t j = 0; j < b->n_channels; j++)
        for (int32_t s = 0; s < b->n_steps; s++) {
            pynna_channel one = b->slots[j];
            one.x += (size_t)s * one.x_stride;
            one.log_probs += (size_t)s * (size_t)b->n_labels;
            one.speech += s;
            CHECK(pynna_step(m.workspace, NULL, 1, 1, &one) == PYNNA_OK);
        }
    close_machine(m);
}

static void test_the_reference_gives_the_bits_of_every_other_machine(void)
{
    for (int i = 0; i < N_PLANS; i++) {
        size_t n_bytes;
        unsigned char *file = make_file(&plans[i], &n_bytes);
        machine m = open_machine(file, n_bytes, "ref", 16);
        bundle b = make_bundle(m.model, 3, 20, 7);
        run_alone(file, n_bytes, &b);
        uint64_t hash = hash_start;
        for (int32_t j = 0; j < b.n_channels; j++)
            hash = hash_channel(hash, &b, j);
        if (hash != hashes[i])
            printf("plan %d: hash 0x%016llx\n", i, (unsigned long long)hash);
        CHECK(hash == hashes[i]);
        free_bundle(b);
        close_machine(m);
        free(file);
    }
}

/* ---- every other way to the same bits ---------------------------------------------------------------------------- */

static void check_one_way(const unsigned char *file, size_t n_bytes, const uint64_t *want, int32_t n_channels,
                          const char *isa, int32_t max_columns, pynna_pool *pool)
{
    machine m = open_machine(file, n_bytes, isa, max_columns);
    bundle b = make_bundle(m.model, n_channels, STEPS, 99);
    CHECK(strcmp(pynna_workspace_isa(m.workspace), isa) == 0);
    CHECK(pynna_step(m.workspace, pool, n_channels, STEPS, b.slots) == PYNNA_OK);
    for (int32_t j = 0; j < n_channels; j++) {
        const int same = hash_channel(hash_start, &b, j) == want[j];
        if (!same)
            printf("%s, %d channels, %d columns, %d threads, channel %d\n", isa, n_channels, max_columns,
                   pynna_pool_threads(pool), j);
        CHECK(same);
    }
    free_bundle(b);
    close_machine(m);
}

static void test_every_instruction_set_channel_and_thread_count_gives_the_same_bits(pynna_pool *const pools[3])
{
    static const int32_t counts[] = {1, 2, 3, 5, 8, 11, 16}, columns[] = {16, 37, 256};
    for (int i = 0; i < N_PLANS; i++) {
        size_t n_bytes;
        unsigned char *file = make_file(&plans[i], &n_bytes);
        machine m = open_machine(file, n_bytes, "ref", 16);
        bundle alone = make_bundle(m.model, PYNNA_MAX_CHANNELS, STEPS, 99);
        uint64_t want[PYNNA_MAX_CHANNELS];
        run_alone(file, n_bytes, &alone);
        for (int32_t j = 0; j < PYNNA_MAX_CHANNELS; j++)
            want[j] = hash_channel(hash_start, &alone, j);
        free_bundle(alone);
        close_machine(m);
        for (int32_t k = 0; k < pynna_isa_count(); k++)
            for (int n = 0; n < 7 * 3 * 3 && is_tested(k); n++)
                check_one_way(file, n_bytes, want, counts[n % 7], pynna_isa_name(k), columns[n / 7 % 3], pools[n / 21]);
        free(file);
    }
}

static void test_weights_of_4_bits_give_the_bits_of_the_same_weights_in_8(void)
{
    for (int i = 0, layers = 1; layers < 128; layers = i++ % 2 ? 2 * layers + (layers > 32) : layers) {
        const int scaled = i % 2;
        uint64_t hash[2];
        for (int packed = 0; packed < 2; packed++) {
            const plan p = {5,
                            2,
                            7,
                            19,
                            21,
                            18,
                            17,
                            23,
                            11,
                            layers & 1,
                            77,
                            scaled ? 127 << 7 : 127,
                            packed ? layers | layers * scaled << 7 : 0,
                            layers & 2 ? 8 : 0,
                            layers >> 2 & 1,
                            0,
                            0};
            size_t n_bytes;
            unsigned char *file = make_file(&p, &n_bytes);
            machine m = open_machine(file, n_bytes, NULL, 16);
            bundle b = make_bundle(m.model, 1, STEPS, 3);
            run_alone(file, n_bytes, &b);
            CHECK(pynna_model_layer(m.model, 6)->weight_bits == (packed && layers & 64 ? 4 : 8));
            CHECK(pynna_model_layer(m.model, 6)->layout == (packed && layers & 64 && scaled));
            hash[packed] = hash_channel(hash_start, &b, 0);
            free_bundle(b);
            close_machine(m);
            free(file);
        }
        CHECK(hash[0] == hash[1]);
    }
}

static void test_states_may_move_to_another_slot_in_the_middle_of_an_utterance(void)
{
    size_t n_bytes;
    unsigned char *file = make_file(&plans[0], &n_bytes);
    machine m = open_machine(file, n_bytes, NULL, 16);
    bundle alone = make_bundle(m.model, 4, STEPS, 5), moved = make_bundle(m.model, 4, STEPS, 5);
    run_alone(file, n_bytes, &alone);
    for (int32_t s = 0; s < STEPS; s++) {
        pynna_channel slots[4];
        for (int32_t j = 0; j < 4; j++) {
            slots[(j + s) % 4] = moved.slots[j];
            slots[(j + s) % 4].x += (size_t)s * moved.slots[j].x_stride;
            slots[(j + s) % 4].log_probs += (size_t)s * (size_t)moved.n_labels;
            slots[(j + s) % 4].speech += s;
        }
        CHECK(pynna_step(m.workspace, NULL, 4, 1, slots) == PYNNA_OK);
    }
    for (int32_t j = 0; j < 4; j++)
        CHECK(hash_channel(hash_start, &moved, j) == hash_channel(hash_start, &alone, j));
    free_bundle(alone);
    free_bundle(moved);
    close_machine(m);
    free(file);
}

/* ---- errors ------------------------------------------------------------------------------------------------------ */

static void test_what_is_not_finite_is_refused_and_nothing_is_written(void)
{
    static const float bad[3] = {NAN, INFINITY, -INFINITY};
    size_t n_bytes;
    unsigned char *file = make_file(&plans[0], &n_bytes);
    machine m = open_machine(file, n_bytes, NULL, 16);
    bundle b = make_bundle(m.model, 3, STEPS, 1);
    for (int32_t j = 0; j < 3; j++)
        memset(b.log_probs[j], 0x5a, (size_t)STEPS * (size_t)b.n_labels * sizeof(float));
    uint64_t before = hash_start, after = hash_start;
    for (int32_t j = 0; j < 3; j++)
        before = hash_channel(before, &b, j);
    for (size_t at = 0; at < b.n_x; at += at + 1 < b.n_x && at + 31 >= b.n_x ? b.n_x - 1 - at : 31) {
        const float good = b.x[at % 3][at];
        b.x[at % 3][at] = bad[at / 31 % 3];
        CHECK(pynna_step(m.workspace, NULL, 3, STEPS, b.slots) == PYNNA_ERR_NOT_FINITE);
        b.slots[at % 3].x_stride = 1000 * b.n_x; /* only the first window, then: the others would lie elsewhere */
        const int32_t window = 19 * 26;
        if (at < (size_t)window)
            CHECK(pynna_step(m.workspace, NULL, 3, 1, b.slots) == PYNNA_ERR_NOT_FINITE);
        b.slots[at % 3].x_stride = 26;
        b.x[at % 3][at] = good;
    }
    for (int32_t j = 0; j < 3; j++)
        after = hash_channel(after, &b, j);
    CHECK(before == after);
    CHECK(pynna_step(m.workspace, NULL, 3, STEPS, b.slots) == PYNNA_OK);
    free_bundle(b);
    close_machine(m);
    free(file);
}

static void test_gaps_between_windows_may_hold_anything(void)
{
    size_t n_bytes;
    unsigned char *file = make_file(&plans[5], &n_bytes); /* windows of 9 floats */
    machine m = open_machine(file, n_bytes, NULL, 16);
    bundle b = make_bundle(m.model, 1, 3, 1);
    float x[2 * 12 + 9];
    for (int i = 0; i < 33; i++)
        x[i] = i % 12 < 9 ? 0.25f * (float)i : NAN;
    b.slots[0].x = x;
    b.slots[0].x_stride = 12;
    CHECK(pynna_step(m.workspace, NULL, 1, 3, b.slots) == PYNNA_OK);
    x[12 + 8] = NAN;
    CHECK(pynna_step(m.workspace, NULL, 1, 3, b.slots) == PYNNA_ERR_NOT_FINITE);
    free_bundle(b);
    close_machine(m);
    free(file);
}

static void test_wrong_arguments_have_a_status_each(void)
{
    size_t n_bytes;
    unsigned char *file = make_file(&plans[3], &n_bytes);
    machine m = open_machine(file, n_bytes, NULL, 16);
    bundle b = make_bundle(m.model, 1, 1, 1);
    CHECK(pynna_step(NULL, NULL, 1, 1, b.slots) == PYNNA_ERR_ARGUMENT);
    CHECK(pynna_step(m.workspace, NULL, 1, 1, NULL) == PYNNA_ERR_ARGUMENT);
    CHECK(pynna_step(m.workspace, NULL, 0, 1, b.slots) == PYNNA_ERR_ARGUMENT);
    CHECK(pynna_step(m.workspace, NULL, -1, 1, b.slots) == PYNNA_ERR_ARGUMENT);
    CHECK(pynna_step(m.workspace, NULL, 17, 1, b.slots) == PYNNA_ERR_ARGUMENT);
    CHECK(pynna_step(m.workspace, NULL, 1, 0, b.slots) == PYNNA_ERR_ARGUMENT);
    CHECK(pynna_step(m.workspace, NULL, 1, -5, b.slots) == PYNNA_ERR_ARGUMENT);
    for (int missing = 0; missing < 6; missing++) {
        pynna_channel c = b.slots[0];
        c.x = missing == 0 ? NULL : c.x;
        c.c_in = missing == 1 ? NULL : c.c_in;
        c.h_in = missing == 2 ? NULL : c.h_in;
        c.c_out = missing == 3 ? NULL : c.c_out;
        c.h_out = missing == 4 ? NULL : c.h_out;
        c.log_probs = missing == 5 ? NULL : c.log_probs;
        CHECK(pynna_step(m.workspace, NULL, 1, 1, &c) == PYNNA_ERR_ARGUMENT);
    }
    const size_t size = pynna_workspace_size(m.model, 16);
    pynna_workspace *w = NULL;
    CHECK(pynna_workspace_size(m.model, 15) == 0 && pynna_workspace_size(m.model, 257) == 0);
    CHECK(pynna_workspace_size(NULL, 16) == 0 && pynna_workspace_size(m.model, 256) > size);
    CHECK(pynna_workspace_init(NULL, size, m.model, 16, NULL, &w) == PYNNA_ERR_ARGUMENT);
    CHECK(pynna_workspace_init(m.workspace_memory, size, NULL, 16, NULL, &w) == PYNNA_ERR_ARGUMENT);
    CHECK(pynna_workspace_init(m.workspace_memory, size, m.model, 15, NULL, &w) == PYNNA_ERR_ARGUMENT);
    CHECK(pynna_workspace_init(m.workspace_memory, size, m.model, 16, NULL, NULL) == PYNNA_ERR_ARGUMENT);
    CHECK(pynna_workspace_init(m.workspace_memory, size - 1, m.model, 16, NULL, &w) == PYNNA_ERR_MEMORY);
    CHECK(pynna_workspace_init((char *)m.workspace_memory + 32, size, m.model, 16, NULL, &w) == PYNNA_ERR_MEMORY);
    CHECK(pynna_workspace_init(m.workspace_memory, size, m.model, 16, "z80", &w) == PYNNA_ERR_ISA);
    CHECK(w == NULL);
    int8_t weights[64] = {0};
    uint8_t u[4] = {0};
    int32_t acc[16], row_sum[16] = {0};
    CHECK(pynna_mac("z80", weights, 8, 0, row_sum, 1, 1, u, 4, 1, acc) == PYNNA_ERR_ISA);
    CHECK(pynna_mac("ref", NULL, 8, 0, row_sum, 1, 1, u, 4, 1, acc) == PYNNA_ERR_ARGUMENT);
    CHECK(pynna_mac("ref", weights, 8, 0, NULL, 1, 1, u, 4, 1, acc) == PYNNA_ERR_ARGUMENT);
    CHECK(pynna_mac("ref", weights, 8, 0, row_sum, 1, 1, NULL, 4, 1, acc) == PYNNA_ERR_ARGUMENT);
    CHECK(pynna_mac("ref", weights, 8, 0, row_sum, 1, 1, u, 4, 1, NULL) == PYNNA_ERR_ARGUMENT);
    CHECK(pynna_mac("ref", weights, 8, 0, row_sum, -1, 1, u, 4, 1, acc) == PYNNA_ERR_ARGUMENT);
    CHECK(pynna_mac("ref", weights, 8, 0, row_sum, 1, -1, u, 4, 1, acc) == PYNNA_ERR_ARGUMENT);
    CHECK(pynna_mac("ref", weights, 8, 0, row_sum, 1, 1, u, 4, 0, acc) == PYNNA_ERR_ARGUMENT);
    CHECK(pynna_mac("ref", weights, 8, 0, row_sum, 1, 1, u, 4, 17, acc) == PYNNA_ERR_ARGUMENT);
    CHECK(pynna_mac("ref", weights, 5, 0, row_sum, 1, 1, u, 4, 1, acc) == PYNNA_ERR_ARGUMENT);
    CHECK(pynna_mac("ref", weights, 4, 0, row_sum, 1, 1, u, 4, 1, acc) == PYNNA_ERR_ARGUMENT); /* half a line */
    CHECK(pynna_mac("ref", weights, 8, 1, row_sum, 1, 1, u, 4, 1, acc) == PYNNA_ERR_ARGUMENT);
    CHECK(pynna_mac("ref", weights, 4, 2, row_sum, 1, 0, u, 4, 1, acc) == PYNNA_ERR_ARGUMENT);
    CHECK(pynna_isa_name(-1) == NULL && pynna_isa_name(pynna_isa_count()) == NULL);
    CHECK(!pynna_isa_available(-1) && !pynna_isa_available(pynna_isa_count()) && pynna_isa_available(0));
    free_bundle(b);
    close_machine(m);
    free(file);
}

/* ---- threads ----------------------------------------------------------------------------------------------------- */

static pynna_pool *start_pool(int32_t n_threads)
{
    pynna_pool *pool = NULL;
    const size_t size = pynna_pool_size(n_threads);
    CHECK(pynna_pool_init(exact_block(size), size, n_threads, &pool) == PYNNA_OK);
    if (!pool)
        exit(1);
    return pool;
}

static void stop_pool(pynna_pool *pool)
{
    pynna_pool_stop(pool);
    free(pool);
}

static void test_wrong_pools_are_refused(void)
{
    pynna_pool *pool = NULL;
    const size_t size = pynna_pool_size(2);
    char *memory = exact_block(size + 64);
    CHECK(pynna_pool_size(0) == 0 && pynna_pool_size(-1) == 0 && pynna_pool_size(PYNNA_MAX_THREADS + 1) == 0);
    CHECK(pynna_pool_init(NULL, size, 2, &pool) == PYNNA_ERR_ARGUMENT);
    CHECK(pynna_pool_init(memory, size, 2, NULL) == PYNNA_ERR_ARGUMENT);
    CHECK(pynna_pool_init(memory, size, 0, &pool) == PYNNA_ERR_ARGUMENT);
    CHECK(pynna_pool_init(memory, size, 65, &pool) == PYNNA_ERR_ARGUMENT);
    CHECK(pynna_pool_init(memory, size - 1, 2, &pool) == PYNNA_ERR_MEMORY);
    CHECK(pynna_pool_init(memory + 8, size, 2, &pool) == PYNNA_ERR_MEMORY);
    CHECK(pool == NULL && pynna_pool_threads(NULL) == 1);
    pynna_pool_stop(NULL);
    free(memory);
}

static void test_pools_start_and_stop_at_any_time(void)
{
    for (int i = 0; i < 20 * n_rounds; i++) {
        pynna_pool *pool = start_pool(1 + i % 4);
        stop_pool(pool); /* at once, before its threads are up */
    }
    pynna_pool *largest = start_pool(PYNNA_MAX_THREADS);
    CHECK(pynna_pool_threads(largest) == PYNNA_MAX_THREADS || pynna_pool_threads(largest) == 1);
    stop_pool(largest);
}

/* Every step after a pause of another length, so that threads are met spinning, falling asleep and sleeping. */
static void test_thousands_of_steps_on_one_pool_are_the_same(void)
{
    size_t n_bytes;
    unsigned char *file = make_file(&plans[0], &n_bytes);
    machine a = open_machine(file, n_bytes, NULL, 16), b = open_machine(file, n_bytes, NULL, 16);
    bundle one = make_bundle(a.model, 2, 2, 3), many = make_bundle(a.model, 2, 2, 3);
    for (int round = 0; round < 4 * n_rounds; round++) {
        pynna_pool *pool = start_pool(2 + round % 2);
        for (int i = 0; i < 100; i++) {
            CHECK(pynna_step(a.workspace, NULL, 2, 1 + i % 2, one.slots) == PYNNA_OK);
            CHECK(pynna_step(b.workspace, pool, 2, 1 + i % 2, many.slots) == PYNNA_OK);
            for (volatile int spin = 0; spin < 1 << i % 18; spin = spin + 1)
                ;
        }
        CHECK(hash_channel(hash_start, &one, 0) == hash_channel(hash_start, &many, 0));
        CHECK(hash_channel(hash_start, &one, 1) == hash_channel(hash_start, &many, 1));
        stop_pool(pool);
    }
    free_bundle(one);
    free_bundle(many);
    close_machine(a);
    close_machine(b);
    free(file);
}

int main(int argc, char **argv)
{
    n_rounds = argc > 1 ? atoi(argv[1]) : 1;
    pynna_pool *pools[3] = {NULL, start_pool(2), start_pool(3)};
    test_the_reference_gives_the_bits_of_every_other_machine();
    test_every_instruction_set_channel_and_thread_count_gives_the_same_bits(pools);
    test_weights_of_4_bits_give_the_bits_of_the_same_weights_in_8();
    test_states_may_move_to_another_slot_in_the_middle_of_an_utterance();
    test_what_is_not_finite_is_refused_and_nothing_is_written();
    test_gaps_between_windows_may_hold_anything();
    test_wrong_arguments_have_a_status_each();
    test_wrong_pools_are_refused();
    test_pools_start_and_stop_at_any_time();
    test_thousands_of_steps_on_one_pool_are_the_same();
    stop_pool(pools[1]);
    stop_pool(pools[2]);
    printf(n_failed ? "%d checks failed\n" : "network: all is well\n", n_failed);
    return n_failed != 0;
}
