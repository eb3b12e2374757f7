/* SPDX-License-Identifier: Apache-2.0 */
/* What fuzz targets share: an input that is taken apart into numbers, and blocks that a sanitizer watches to the
 * byte. */
#ifndef FUZZ_BYTES_H
#define FUZZ_BYTES_H

#ifndef _POSIX_C_SOURCE
#define _POSIX_C_SOURCE 200809L
#endif
#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* What must hold whatever comes in. */
#define MUST(condition)                                                                                                \
    do {                                                                                                               \
        if (!(condition)) {                                                                                            \
            fprintf(stderr, "%s:%d: does not hold: %s\n", __FILE__, __LINE__, #condition);                             \
            abort();                                                                                                   \
        }                                                                                                              \
    } while (0)

typedef struct {
    const uint8_t *at, *end;
} bytes;

static inline uint32_t take8(bytes *b)
{
    return b->at < b->end ? *b->at++ : 0;
}

static inline uint32_t take16(bytes *b)
{
    const uint32_t low = take8(b);
    return low | take8(b) << 8;
}

static inline int32_t take32(bytes *b)
{
    const uint32_t low = take16(b);
    return (int32_t)(low | take16(b) << 16);
}

/* A number from low to high. */
static inline int32_t take_from(bytes *b, int32_t low, int32_t high)
{
    const uint32_t span = (uint32_t)high - (uint32_t)low + 1;
    return low + (int32_t)((span > 256 ? take16(b) : take8(b)) % span);
}

/* A size, mostly a small one: large ones meet little that is new, and take most of the time. */
static inline int32_t take_size(bytes *b, int32_t low, int32_t high)
{
    const int32_t span = high - low < 6 ? high - low : 6;
    return take8(b) % 16 == 0 ? take_from(b, low, high) : low + take_from(b, 0, span);
}

/* A log-probability: mostly one on a coarse grid, so that ties occur; impossible ones, and what is none. */
static inline float take_log_prob(bytes *b)
{
    const uint32_t v = take8(b);
    switch (v) {
    case 255: return -INFINITY;
    case 254: return v & take8(b) & 1 ? NAN : INFINITY;
    case 253: return -1e38f;
    case 252: return -1e-42f;
    case 251: {
        const int32_t bits = take32(b);
        float any;
        memcpy(&any, &bits, sizeof any);
        return any;
    }
    default: return -(float)v / 16;
    }
}

/* A frame's log-probabilities: mostly any, now and then all the same, none possible, or only one. */
static inline void take_row(bytes *b, float *row, int32_t n)
{
    const uint32_t kind = take8(b) % 16;
    if (kind >= 3) {
        for (int32_t i = 0; i < n; i++)
            row[i] = take_log_prob(b);
        return;
    }
    const float same = kind == 1 ? take_log_prob(b) : -INFINITY;
    for (int32_t i = 0; i < n; i++)
        row[i] = same;
    if (kind == 2)
        row[take_from(b, 0, n - 1)] = take_log_prob(b);
}

/* A double that an option may be: of any kind. */
static inline double take_option(bytes *b)
{
    static const double kinds[] = {0,         1,   0.5, -1, 1e-300, 1e300, 1e308, INFINITY,
                                   -INFINITY, NAN, 30,  2,  0.001,  -30,   5,     8};
    return kinds[take8(b) % 16];
}

/* Blocks of one case, out of one piece of memory that stays: asking the system for each took more time than what is
 * fuzzed. A sanitizer watches each to the byte, and what is given back; without one, the bytes behind it must stay. */
enum { GUARD = 64, GUARD_BYTE = 0xFD, FILLED = 1 << 14, ARENA = 1 << 26 };

typedef struct {
    _Alignas(64) unsigned char memory[ARENA];
    size_t used, n_blocks;
    size_t n_marked, end[4096]; /* where the first blocks end, guards left out, as the sanitizer was told last */
} arena;

static arena blocks;

#ifndef __has_feature
#define __has_feature(x) 0
#endif
#if defined(__SANITIZE_ADDRESS__) || __has_feature(address_sanitizer)
#include <sanitizer/asan_interface.h>
#define FORBID(p, n) __asan_poison_memory_region((p), (n))
#define ALLOW(p, n) __asan_unpoison_memory_region((p), (n))
#define FORGET(p, n) ((void)(p), (void)(n))
enum { HAS_SANITIZER = 1 };
#elif __has_feature(memory_sanitizer)
#include <sanitizer/msan_interface.h>
#define FORBID(p, n) __msan_allocated_memory((p), (n))
#define ALLOW(p, n) ((void)(p), (void)(n))
#define FORGET(p, n) __msan_allocated_memory((p), (n))
enum { HAS_SANITIZER = 1 };
#else
#define FORBID(p, n) memset((p), GUARD_BYTE, (n))
#define ALLOW(p, n) ((void)(p), (void)(n))
#define FORGET(p, n) ((void)(p), (void)(n))
enum { HAS_SANITIZER = 0 };
#endif

/* Tells the sanitizer where the next block ends. Cases are much alike: told is what changes. */
static inline void mark(unsigned char *p, size_t size, size_t room)
{
    const size_t i = blocks.n_blocks, end = blocks.used + size;
    if (HAS_SANITIZER && i < blocks.n_marked) {
        const size_t before = blocks.end[i];
        if (before < end)
            ALLOW(blocks.memory + before, end - before);
        else
            FORBID(p + size, before - end);
    } else
        ALLOW(p, size);
    if (i >= blocks.n_marked || blocks.end[i] != end)
        blocks.n_marked = i + 1; /* those behind it move */
    blocks.end[i] = end;
    FORBID(p + size, room - size);
}

/* A block aligned to 64 that ends with its last byte. */
static inline void *block(size_t size)
{
    const size_t room = (size + GUARD + 63) / 64 * 64;
    if (blocks.used == 0) { /* the first of all: nothing is allowed */
        blocks.used = GUARD;
        FORBID(blocks.memory, GUARD);
    }
    MUST(size < ARENA && room <= ARENA - blocks.used && blocks.n_blocks < sizeof blocks.end / sizeof *blocks.end);
    unsigned char *p = blocks.memory + blocks.used;
    mark(p, size, room);
    if (size < FILLED) /* larger ones take too long, and hold what was there before */
        memset(p, 0xA5, size);
    FORGET(p, size);
    blocks.used += room;
    blocks.n_blocks++;
    return p;
}

/* Gives back the blocks beyond the first n. */
static inline void release(size_t n)
{
    while (blocks.n_blocks > n) {
        const size_t i = --blocks.n_blocks;
        const size_t start = i > 0 ? (blocks.end[i - 1] + GUARD + 63) / 64 * 64 : GUARD;
        for (size_t at = blocks.end[i]; !HAS_SANITIZER && at < blocks.used; at++)
            MUST(blocks.memory[at] == GUARD_BYTE);
        blocks.used = start;
    }
}

#endif
