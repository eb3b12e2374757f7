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

/* A block aligned to 64 that ends with its last byte. */
static inline void *block(size_t size)
{
    void *p = NULL;
    if (posix_memalign(&p, 64, size > 0 ? size : 1) != 0)
        abort();
    if (size < 1 << 16) /* larger ones take too long */
        memset(p, 0xA5, size);
    return p;
}

#endif
