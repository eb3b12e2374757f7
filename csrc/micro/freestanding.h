/* SPDX-License-Identifier: Apache-2.0 */
/* What the core takes from libc and libm on a machine that has neither: all but memcpy and memset, which compilers call
 * by themselves. It comes before the core's files in the amalgamation, and renames what they call. */
#ifndef PN_FREESTANDING_H
#define PN_FREESTANDING_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

static inline void *pn_memmove(void *to, const void *from, size_t n)
{
    unsigned char *t = to;
    const unsigned char *f = from;
    if ((uintptr_t)t - (uintptr_t)f >= n) /* also where it lies before: forwards is right then */
        for (size_t i = 0; i < n; i++)
            t[i] = f[i];
    else
        while (n--)
            t[n] = f[n];
    return to;
}

static inline int pn_memcmp(const void *a, const void *b, size_t n)
{
    const unsigned char *x = a, *y = b;
    for (size_t i = 0; i < n; i++)
        if (x[i] != y[i])
            return x[i] < y[i] ? -1 : 1;
    return 0;
}

static inline size_t pn_strlen(const char *s)
{
    size_t n = 0;
    while (s[n])
        n++;
    return n;
}

static inline int pn_strcmp(const char *a, const char *b)
{
    while (*a && *a == *b)
        a++, b++;
    return (unsigned char)*a - (unsigned char)*b;
}

static inline char *pn_strcpy(char *to, const char *from)
{
    memcpy(to, from, pn_strlen(from) + 1);
    return to;
}

static inline char *pn_strcat(char *to, const char *from)
{
    pn_strcpy(to + pn_strlen(to), from);
    return to;
}

#if defined(__arm__) && (!defined(__ARM_FP) || (__ARM_FP & 8) == 0) || defined(__xtensa__)                             \
    || defined(__riscv) && (!defined(__riscv_flen) || __riscv_flen < 64)
/* The square root of 0, or of a positive normal number, rounded to the nearest as IEEE 754 has it: 54 bits of it, digit
 * by digit in integers. A remainder tells what lies beyond; no root lies halfway between two numbers. */
static inline double pn_sqrt(double x)
{
    uint64_t bits, root = 0, rest = 0;
    memcpy(&bits, &x, sizeof bits);
    if (bits == 0)
        return 0.0;
    int32_t e = (int32_t)(bits >> 52) - 1023;
    uint64_t m = (bits & 0x000fffffffffffffu) | 0x0010000000000000u; /* x = m 2^(e - 52) */
    if (e & 1) {
        m <<= 1;
        e--;
    }
    for (int i = 0; i < 54; i++) { /* two bits of m, which is 54 bits wide, then zeros */
        rest = rest << 2 | (m >> 52 & 3);
        m <<= 2;
        root <<= 1;
        if (rest >= (root << 1 | 1)) {
            rest -= root << 1 | 1;
            root |= 1;
        }
    }
    root = (root >> 1) + (root & 1); /* 53 bits; the last one rounds */
    bits = ((uint64_t)(e / 2 + 1023) << 52) + (root - 0x0010000000000000u);
    memcpy(&x, &bits, sizeof x);
    return x;
}
#define sqrt pn_sqrt
#elif defined(__arm__)
static inline double pn_sqrt(double x) /* a builtin would call libm, for errno */
{
    __asm__("vsqrt.f64 %P0, %P1" : "=w"(x) : "w"(x));
    return x;
}
#define sqrt pn_sqrt
#else
#define sqrt __builtin_sqrt /* an instruction: build with -fno-math-errno */
#endif

#define memmove pn_memmove
#define memcmp pn_memcmp
#define strlen pn_strlen
#define strcmp pn_strcmp
#define strcpy pn_strcpy
#define strcat pn_strcat

#endif
