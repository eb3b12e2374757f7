/* SPDX-License-Identifier: Apache-2.0 */
/* The front end: the bits of its output, the framing, chunks, saved streams and errors. Exit code 1 on failure. */
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

enum { MAX_SAMPLES = 40000, MAX_WINDOWS = 256, WINDOW_FLOATS = 19 * 26 };

static void *allocate(size_t size)
{
    void *p = aligned_alloc(64, (size + 63) / 64 * 64);
    if (!p)
        abort();
    return p;
}

typedef struct {
    void *memory, *scratch;
    const pynna_mfcc *mfcc;
} front_end;

static front_end make_front_end(int32_t window, int32_t n_coefficients, int32_t n_mel, float upper_hz)
{
    const pynna_mfcc_config config = {16000, window, window * 5 / 8, n_coefficients, n_mel, 20, upper_hz};
    const size_t size = pynna_mfcc_size(&config);
    front_end e = {.memory = allocate(size)};
    CHECK(pynna_mfcc_init(e.memory, size, &config, &e.mfcc) == PYNNA_OK);
    e.scratch = allocate(pynna_mfcc_scratch_size(e.mfcc));
    return e;
}

static void free_front_end(front_end e)
{
    free(e.memory);
    free(e.scratch);
}

/* Silence, noise that swells, a full-scale square tone, one impulse: by integers alone. The tone falls on bins, so that
 * between its harmonics a long window shows nothing but the FFT's own rounding: a change of order or a contraction
 * anywhere in it changes many bits there. */
static void make_signal(int16_t *pcm, int32_t n)
{
    uint32_t x = 1;
    for (int32_t i = 0; i < n; i++) {
        x = x * 1664525u + 1013904223u;
        const int32_t noise = (int32_t)(x >> 16) - 32768;
        const int32_t part = 4 * i / n;
        pcm[i] = (int16_t)(part == 1 ? noise / (1 + (n / 2 - i)) : part == 2 ? (i / 8 % 2 ? 32767 : -32768) : 0);
    }
    pcm[n - n / 8] = -20000;
}

/* FNV-1a over the floats' bits, low byte first. */
static uint64_t hash_floats(uint64_t hash, const float *x, int32_t n)
{
    for (int32_t i = 0; i < n; i++) {
        uint32_t bits;
        memcpy(&bits, x + i, sizeof bits);
        for (int32_t b = 0; b < 4; b++)
            hash = (hash ^ (bits >> 8 * b & 255)) * UINT64_C(0x100000001b3);
    }
    return hash;
}

static uint64_t hash_mfcc(front_end e, const int16_t *pcm, int32_t n)
{
    const pynna_mfcc_config *c = pynna_mfcc_get_config(e.mfcc);
    uint64_t hash = UINT64_C(0xcbf29ce484222325);
    float out[128];
    for (int32_t i = 0; i + c->window <= n; i += c->step) {
        CHECK(pynna_mfcc_frame(e.mfcc, pcm + i, out, e.scratch) == PYNNA_OK);
        hash = hash_floats(hash, out, c->n_coefficients);
    }
    return hash;
}

static void test_bits_are_those_of_every_other_machine(void)
{
    static const struct {
        int32_t window, n_coefficients, n_mel;
        float upper_hz;
        uint64_t hash;
    } cases[] = {
        {512,  26,  40,  4000, UINT64_C(0x367584e101d8db6f)},
        {512,  26,  40,  8000, UINT64_C(0x90cf4d08032137f7)},
        {64,   13,  13,  8000, UINT64_C(0x7166d34fd09fc200)},
        {128,  5,   128, 8000, UINT64_C(0xaaa3dcfa39bfee2d)},
        {1024, 40,  40,  8000, UINT64_C(0x20110ae6910df7d4)},
        {4096, 101, 128, 7600, UINT64_C(0x4148ff34342dfd8e)},
    };
    static int16_t pcm[MAX_SAMPLES];
    make_signal(pcm, MAX_SAMPLES);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        front_end e = make_front_end(cases[i].window, cases[i].n_coefficients, cases[i].n_mel, cases[i].upper_hz);
        const uint64_t hash = hash_mfcc(e, pcm, MAX_SAMPLES);
        if (hash != cases[i].hash)
            printf("case %zu: hash 0x%016llx\n", i, (unsigned long long)hash);
        CHECK(hash == cases[i].hash);
        free_front_end(e);
    }
}

typedef struct {
    void *memory;
    size_t size;
    pynna_frames *frames;
} stream;

static stream make_stream(front_end e, int32_t n_context, int32_t n_queue)
{
    stream s = {.size = pynna_frames_size(e.mfcc, n_context, n_queue)};
    s.memory = allocate(s.size);
    CHECK(pynna_frames_init(s.memory, s.size, e.mfcc, n_context, n_queue, &s.frames) == PYNNA_OK);
    return s;
}

static uint32_t next_chunk(uint32_t *x)
{
    *x = *x * 1664525u + 1013904223u;
    return *x >> 24 ? (*x >> 16) % 700 : (*x >> 16) % 5000;
}

/* All windows of pcm to x [windows, 19, 26], fed in chunks drawn from a seed (0: as one); returns their number. */
static int32_t run(front_end e, stream s, const int16_t *pcm, size_t n, uint32_t seed, float *x)
{
    int32_t n_windows = 0;
    uint32_t state = seed;
    for (size_t done = 0, taken; done < n; done += taken) {
        const size_t chunk = seed ? next_chunk(&state) : n, left = n - done;
        CHECK(pynna_frames_feed(s.frames, e.mfcc, pcm + done, chunk < left ? chunk : left, &taken, e.scratch) == 0);
        while (pynna_frames_ready(s.frames))
            CHECK(pynna_frames_window(s.frames, x + WINDOW_FLOATS * (size_t)n_windows++) == PYNNA_OK);
    }
    CHECK(pynna_frames_finish(s.frames, e.mfcc, e.scratch) == PYNNA_OK);
    while (pynna_frames_ready(s.frames))
        CHECK(pynna_frames_window(s.frames, x + WINDOW_FLOATS * (size_t)n_windows++) == PYNNA_OK);
    return n_windows;
}

static void test_counts_and_bits_do_not_depend_on_chunks(void)
{
    static int16_t pcm[MAX_SAMPLES];
    static float whole[MAX_WINDOWS * WINDOW_FLOATS], parts[MAX_WINDOWS * WINDOW_FLOATS];
    static const size_t sizes[] = {0, 1, 319, 320, 511, 512, 513, 831, 832, 833, 16000, MAX_SAMPLES};
    make_signal(pcm, MAX_SAMPLES);
    front_end e = make_front_end(512, 26, 40, 4000);
    stream s = make_stream(e, 9, 200), t = make_stream(e, 9, 3);
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        const size_t n = sizes[i];
        const int32_t expected = n < 512 ? 1 : (int32_t)((n - 512) / 320) + 2;
        pynna_frames_reset(s.frames);
        CHECK(run(e, s, pcm, n, 0, whole) == expected);
        for (uint32_t seed = 1; seed < 6; seed++) {
            pynna_frames_reset(t.frames);
            CHECK(run(e, t, pcm, n, seed, parts) == expected);
            CHECK(!memcmp(whole, parts, (size_t)expected * WINDOW_FLOATS * sizeof *whole));
        }
    }
    free(s.memory);
    free(t.memory);
    free_front_end(e);
}

static void test_a_moved_stream_goes_on(void)
{
    static int16_t pcm[MAX_SAMPLES];
    static float whole[MAX_WINDOWS * WINDOW_FLOATS], rest[MAX_WINDOWS * WINDOW_FLOATS];
    make_signal(pcm, MAX_SAMPLES);
    front_end e = make_front_end(512, 26, 40, 4000);
    stream s = make_stream(e, 9, 16), t = make_stream(e, 9, 16);
    const int32_t n = run(e, s, pcm, MAX_SAMPLES, 0, whole);
    pynna_frames_reset(s.frames);
    size_t taken;
    CHECK(pynna_frames_feed(s.frames, e.mfcc, pcm, 7000, &taken, e.scratch) == PYNNA_OK && taken == 7000);
    CHECK(pynna_frames_advance(s.frames, 5) == PYNNA_OK);
    CHECK(pynna_frames_restore(t.frames, s.memory, s.size - 1) == PYNNA_ERR_ARGUMENT);
    CHECK(pynna_frames_restore(t.frames, s.memory, s.size) == PYNNA_OK);
    CHECK(run(e, t, pcm + 7000, MAX_SAMPLES - 7000, 9, rest) == n - 5);
    CHECK(!memcmp(whole + 5 * WINDOW_FLOATS, rest, (size_t)(n - 5) * WINDOW_FLOATS * sizeof *rest));
    ((int32_t *)s.memory)[10] = INT32_MAX; /* `end` of the header: rows far behind the buffer */
    CHECK(pynna_frames_restore(t.frames, s.memory, s.size) == PYNNA_ERR_ARGUMENT);
    free(s.memory);
    free(t.memory);
    free_front_end(e);
}

static void test_errors(void)
{
    pynna_mfcc_config config = {16000, 500, 320, 26, 40, 20, 4000};
    const pynna_mfcc *mfcc;
    CHECK(pynna_mfcc_config_error(&config) && pynna_mfcc_size(&config) == 0);
    config.window = 512;
    CHECK(!pynna_mfcc_config_error(&config));
    CHECK(pynna_mfcc_init(NULL, 1 << 20, &config, &mfcc) == PYNNA_ERR_ARGUMENT);
    front_end e = make_front_end(512, 26, 40, 4000);
    CHECK(pynna_mfcc_init(e.memory, pynna_mfcc_size(&config) - 1, &config, &mfcc) == PYNNA_ERR_MEMORY);
    stream s = make_stream(e, 9, 1);
    pynna_frames *frames;
    int16_t pcm[4096] = {0};
    float x[WINDOW_FLOATS];
    size_t taken;
    CHECK(pynna_frames_size(e.mfcc, -1, 1) == 0 && pynna_frames_size(e.mfcc, 9, 0) == 0);
    CHECK(pynna_frames_init(s.memory, s.size - 64, e.mfcc, 9, 1, &frames) == PYNNA_ERR_MEMORY);
    CHECK(pynna_frames_init((char *)s.memory + 8, s.size, e.mfcc, 9, 1, &frames) == PYNNA_ERR_MEMORY);
    CHECK(pynna_frames_window(s.frames, x) == PYNNA_ERR_ARGUMENT);
    CHECK(pynna_frames_feed(s.frames, e.mfcc, NULL, 1, &taken, e.scratch) == PYNNA_ERR_ARGUMENT);
    CHECK(pynna_frames_feed(s.frames, e.mfcc, pcm, 4096, &taken, e.scratch) == PYNNA_OK && taken == 512 + 9 * 320);
    CHECK(pynna_frames_feed(s.frames, e.mfcc, pcm, 1, &taken, e.scratch) == PYNNA_ERR_FULL);
    CHECK(pynna_frames_advance(s.frames, 2) == PYNNA_ERR_ARGUMENT);
    CHECK(pynna_frames_finish(s.frames, e.mfcc, e.scratch) == PYNNA_OK && pynna_frames_ready(s.frames) == 11);
    CHECK(pynna_frames_feed(s.frames, e.mfcc, pcm, 1, &taken, e.scratch) == PYNNA_ERR_FINISHED);
    CHECK(pynna_frames_finish(s.frames, e.mfcc, e.scratch) == PYNNA_ERR_FINISHED);
    free(s.memory);
    free_front_end(e);
}

int main(void)
{
    test_bits_are_those_of_every_other_machine();
    test_counts_and_bits_do_not_depend_on_chunks();
    test_a_moved_stream_goes_on();
    test_errors();
    printf(n_failed ? "front end: %d checks FAILED\n" : "front end: all checks passed\n", n_failed);
    return n_failed ? 1 : 0;
}
