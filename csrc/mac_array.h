/* SPDX-License-Identifier: Apache-2.0 */
/* What an instruction set has to offer: the MAC array itself and what stands around it. doc/network.md defines the
 * bits; mac_array_ref.c is the definition in C, mac_array_<isa>.c the same faster. */
#ifndef PN_MAC_ARRAY_H
#define PN_MAC_ARRAY_H

#include "model.h"

#include <string.h>

/* A product of weights and activations: W[16 b + r][k] and u[j][k], packed as in doc/network.md. */
typedef struct {
    const int8_t *weights;  /* [n_blocks][lines][16][4], see pn_n_lines and pn_block_bytes */
    const int32_t *row_sum; /* [n_blocks * 16], for those that multiply signed by signed */
    int32_t n_blocks, n_groups, weight_bits, layout;
    const int8_t *next; /* the weights that will be read after these, to be fetched meanwhile */
    int32_t next_lines; /* how many of them, for kernels that do not fetch as much as they multiply */
    const uint8_t *u;   /* u[j] at u + j * u_stride */
    size_t u_stride;
    int32_t n_columns;    /* 1 to what the kernel takes, pn_kernels.max_columns */
    const uint16_t *used; /* of one column: the n_used lines whose u are not all zero; NULL: all lines */
    int32_t n_used;
} pn_product;

/* Where a cell block's four gates come from and where its cells go. */
typedef struct {
    const int32_t *acc_x, *acc_h;   /* [4 gates][x_columns][16] and [4 gates][n_columns][16] */
    const int32_t *bias_x, *bias_h; /* [4][16] */
    const int32_t *multiplier_x, *multiplier_h;
    int32_t shift, n_columns, x_columns; /* of a tile of x_columns >= n_columns, the first n_columns count */
    int32_t cell_fraction_bits, h_multiplier, h_shift;
    int16_t *c; /* cells of column j at c + j * c_stride, [16], in and out */
    size_t c_stride;
    uint8_t *h; /* h + 128 of column j at h + j * h_stride, [16], out */
    size_t h_stride;
} pn_lstm_tile;

/* Where column j of gate g begins in the two tiles. */
static inline const int32_t *pn_gate_x(const pn_lstm_tile *t, int32_t g, int32_t j)
{
    return t->acc_x + (g * t->x_columns + j) * PN_BLOCK;
}

static inline const int32_t *pn_gate_h(const pn_lstm_tile *t, int32_t g, int32_t j)
{
    return t->acc_h + (g * t->n_columns + j) * PN_BLOCK;
}

typedef struct {
    const char *name;

    /* acc[b][j][r] = sum over k of W[16 b + r][k] * u[j][k]; any number of blocks. */
    void (*mac)(const pn_product *p, int32_t *acc);

    /* out[j * out_stride + 16 b + r] = clamp(requantise(acc[b][j][r] + bias, multiplier, shift), 0, 255). */
    void (*requantise)(const int32_t *acc, int32_t n_blocks, int32_t n_columns, const int32_t *bias,
                       const int32_t *multiplier, int32_t shift, uint8_t *out, size_t out_stride);

    /* One block of 16 cells of every column: gates, cell state, hidden state. */
    void (*lstm)(const pn_lstm_tile *tile);

    /* With v = clamp(x[i] * gain[i], -127, 127): u[i] = 128 + rint(v) and, unless `residual` is NULL, the residual in
     * steps of a 256th, residual[i] = 128 + clamp(rint((v - rint(v)) * 256), -127, 127). */
    void (*quantise)(const float *x, const float *gain, int32_t n, uint8_t *u, uint8_t *residual);

    /* Gives back what `mac` holds of the processor between two calls; NULL: nothing. Every thread calls it when it has
     * done its part of the steps, so that nobody sleeps, or runs another's code, with it. */
    void (*release)(void);

    /* Columns that `mac` and `requantise` take at once: PN_COLUMNS, or PN_MANY_COLUMNS where more of them make each
     * weight's way shorter. */
    int32_t max_columns;
} pn_kernels;

#ifdef PYNNA_MICRO
enum { PN_COLUMNS = 16, PN_MANY_COLUMNS = PN_COLUMNS };
#else
enum { PN_COLUMNS = 16, PN_MANY_COLUMNS = 64 };
#endif

static inline void pn_release(const pn_kernels *k)
{
    if (k->release)
        k->release();
}

/* What stands around the MAC array, shared by the instruction sets of a family: declarations. */
#define PN_AROUND(family)                                                                                              \
    void family##_requantise(const int32_t *acc, int32_t n_blocks, int32_t n_columns, const int32_t *bias,             \
                             const int32_t *multiplier, int32_t shift, uint8_t *out, size_t out_stride);               \
    void family##_lstm(const pn_lstm_tile *tile);                                                                      \
    void family##_quantise(const float *x, const float *gain, int32_t n, uint8_t *u, uint8_t *residual);

extern const pn_kernels pn_kernels_ref;
PN_AROUND(pn_ref)
#if defined(__x86_64__) && !defined(PYNNA_MICRO)
/* Compilers that know AVX-VNNI: gcc 11, clang 12. */
#if defined(__clang__) ? __clang_major__ >= 12 : __GNUC__ >= 11
#define PN_HAS_AVXVNNI 1
#else
#define PN_HAS_AVXVNNI 0
#endif
extern const pn_kernels pn_kernels_avx2, pn_kernels_avxvnni, pn_kernels_avx512vnni, pn_kernels_amx;
PN_AROUND(pn_avx2)
PN_AROUND(pn_avx512vnni)
/* AVX-512's MAC array, which AMX uses for a single column. */
void pn_avx512vnni_mac(const pn_product *p, int32_t *acc);
#elif defined(__aarch64__) && !defined(PYNNA_MICRO)
/* Before version 16, clang had the intrinsics of the dot product and of i8mm only where the whole file was compiled for
 * them. */
#if !defined(__clang__) || __clang_major__ >= 16
#define PN_HAS_NEON_DOT 1
#else
#define PN_HAS_NEON_DOT 0
#endif
extern const pn_kernels pn_kernels_neon, pn_kernels_neon_dot, pn_kernels_neon_i8mm;
PN_AROUND(pn_neon)
/* The dot product's MAC array, which i8mm uses for a single column. */
void pn_neon_dot_mac(const pn_product *p, int32_t *acc);
#endif

/* 32-bit ARM under Linux: the kernels of NEON are compiled in, and asked for at run time. */
#if defined(__arm__) && defined(__linux__) && defined(__ARM_FP) && !defined(PYNNA_MICRO)
#define PN_HAS_NEON_32 1
extern const pn_kernels pn_kernels_neon;
PN_AROUND(pn_neon)
#else
#define PN_HAS_NEON_32 0
#endif

/* Tiles: Linux gives them to who asks for them (see isa.c). Compilers that know them: gcc 11, clang 12; its memory
 * sanitizer does not. */
#if defined(__has_feature)
#if __has_feature(memory_sanitizer)
#define PN_HAS_AMX 0
#endif
#endif
#ifndef PN_HAS_AMX
#if defined(__x86_64__) && defined(__linux__) && !defined(PYNNA_MICRO)
#define PN_HAS_AMX PN_HAS_AVXVNNI
#else
#define PN_HAS_AMX 0
#endif
#endif

/* Microcontrollers: chosen when compiling, for there is nobody to ask at run time. */
#if defined(__ARM_FEATURE_MVE) && (__ARM_FEATURE_MVE & 1)
#define PN_HAS_MVE 1
extern const pn_kernels pn_kernels_mve;
#elif defined(__ARM_ARCH_PROFILE) && __ARM_ARCH_PROFILE == 'M' && defined(__ARM_FEATURE_DSP)
#define PN_HAS_DSP 1
extern const pn_kernels pn_kernels_dsp;
#endif
#ifndef PN_HAS_MVE
#define PN_HAS_MVE 0
#endif
#ifndef PN_HAS_DSP
#define PN_HAS_DSP 0
#endif

/* The kernels of that name (NULL: PYNNA_ISA, or the fastest); NULL where there are none that this processor runs. */
const pn_kernels *pn_kernels_find(const char *name);

#if defined(__GNUC__)
#define PN_INLINE static inline __attribute__((always_inline))
#else
#define PN_INLINE static inline
#endif

/* What a file makes three times: with GROUPS 1 for weights of 8 bits, 2 for those of 4, two groups a line, and with
 * SCALED where these have scales. */
#define PN_BY_KIND(function, p, acc)                                                                                   \
    ((p)->layout == PN_SCALED ? function(2, 1, p, acc)                                                                 \
     : (p)->weight_bits == 4  ? function(2, 0, p, acc)                                                                 \
                              : function(1, 0, p, acc))

/* Four activations, at any address. */
PN_INLINE int32_t pn_load_group(const uint8_t *u)
{
    int32_t v;
    memcpy(&v, u, sizeof v);
    return v;
}

PN_INLINE float pn_within_127(float v)
{
    v = v > 127.0f ? 127.0f : v;
    return v < -127.0f ? -127.0f : v;
}

/* Adding and taking away 1.5 * 2^23 rounds to the nearest integer, ties to even, without a call to libm. */
PN_INLINE float pn_round(float v)
{
    v = v + 12582912.0f;
    return v - 12582912.0f;
}

PN_INLINE void pn_quantise_loop(const float *x, const float *gain, int32_t n, uint8_t *u, uint8_t *residual)
{
    for (int32_t i = 0; i < n; i++)
        u[i] = (uint8_t)((int32_t)pn_round(pn_within_127(x[i] * gain[i])) + 128);
    for (int32_t i = 0; residual && i < n; i++) {
        float v = pn_within_127(x[i] * gain[i]);
        residual[i] = (uint8_t)((int32_t)pn_within_127(pn_round((v - pn_round(v)) * 256.0f)) + 128);
    }
}

#endif
