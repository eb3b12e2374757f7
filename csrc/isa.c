/* SPDX-License-Identifier: Apache-2.0 */
/* Which kernels there are, and which of them this processor runs. */
#ifndef _DEFAULT_SOURCE
#define _DEFAULT_SOURCE /* syscall */
#endif
#include "verify.h"

#if (defined(__aarch64__) || defined(__arm__)) && defined(__linux__) && !defined(PYNNA_MICRO)
#include <asm/hwcap.h>
#include <sys/auxv.h>
#endif
#ifndef PYNNA_MICRO
#include <stdlib.h>
#endif
#include <string.h>

#if defined(__x86_64__) && !defined(PYNNA_MICRO)
#include <cpuid.h>
#if PN_HAS_AMX
#include <stdatomic.h>
#include <sys/syscall.h>
#include <unistd.h>
#endif

static int has_avx2(void)
{
    return __builtin_cpu_supports("avx2");
}

#if PN_HAS_AVXVNNI
static int has_avxvnni(void) /* not every compiler that has the instructions knows their name at run time */
{
    unsigned a, b, c, d;
    return has_avx2() && __get_cpuid_count(7, 1, &a, &b, &c, &d) && (a >> 4 & 1);
}
#endif

static int has_avx512vnni(void)
{
    return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512vl")
           && __builtin_cpu_supports("avx512vnni") && has_avx2();
}

#if PN_HAS_AMX
/* The processor has tiles of 8-bit products, the system keeps them when threads take turns, and this process may use
 * them: the kernel wants to be asked, because they make what it keeps of a thread 8 KB larger. */
static int ask_for_tiles(void)
{
    enum { REQUEST_PERMISSION = 0x1023, TILE_DATA = 18 }; /* of arch_prctl; in XCR0, behind the tiles' shapes */
    unsigned a, b, c, d, low, high;
    if (!has_avx512vnni() || !__get_cpuid(1, &a, &b, &c, &d) || !(c >> 27 & 1))
        return 0;
    if (!__get_cpuid_count(7, 0, &a, &b, &c, &d) || (d >> 24 & 3) != 3)
        return 0;
    __asm__ volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
    return (low >> (TILE_DATA - 1) & 3) == 3 && syscall(SYS_arch_prctl, REQUEST_PERMISSION, TILE_DATA) == 0;
}

static int has_amx(void)
{
    enum { UNKNOWN, NO, YES };
    static atomic_int answer = UNKNOWN; /* of all threads: who asks twice hears the same */
    if (atomic_load(&answer) == UNKNOWN)
        atomic_store(&answer, ask_for_tiles() ? YES : NO);
    return atomic_load(&answer) == YES;
}
#endif
#endif

#if defined(__aarch64__) && PN_HAS_NEON_DOT && !defined(PYNNA_MICRO)
static int has_dot_product(void)
{
#if defined(__linux__)
    return (getauxval(AT_HWCAP) & HWCAP_ASIMDDP) != 0;
#else
    return 1; /* every 64-bit processor of Apple's computers */
#endif
}

static int has_i8mm(void)
{
#if defined(__linux__) && defined(HWCAP2_I8MM)
    return has_dot_product() && (getauxval(AT_HWCAP2) & HWCAP2_I8MM) != 0;
#else
    return 0;
#endif
}
#endif

#if PN_HAS_NEON_32
static int has_neon(void)
{
    return (getauxval(AT_HWCAP) & HWCAP_NEON) != 0;
}
#endif

static int always(void)
{
    return 1;
}

/* The plainest first, the fastest last. */
static const struct {
    const pn_kernels *kernels;
    int (*available)(void);
} table[] = {
    {&pn_kernels_ref,        always        },
#if defined(__x86_64__) && !defined(PYNNA_MICRO)
    {&pn_kernels_avx2,       has_avx2      },
#if PN_HAS_AVXVNNI
    {&pn_kernels_avxvnni,    has_avxvnni   },
#endif
    {&pn_kernels_avx512vnni, has_avx512vnni},
#if PN_HAS_AMX
    {&pn_kernels_amx,        has_amx       },
#endif
#elif defined(__aarch64__) && !defined(PYNNA_MICRO)
    {&pn_kernels_neon, always},
#if PN_HAS_NEON_DOT
    {&pn_kernels_neon_dot, has_dot_product},
    {&pn_kernels_neon_i8mm, has_i8mm},
#endif
#elif PN_HAS_NEON_32
    {&pn_kernels_neon, has_neon},
#elif PN_HAS_MVE
    {&pn_kernels_mve, always},
#elif PN_HAS_DSP
    {&pn_kernels_dsp, always},
#endif
};

enum { N_KERNELS = (int)(sizeof table / sizeof *table) };
_Static_assert(sizeof table / sizeof *table <= PN_MAX_KERNELS, "verify.c has a place for each");

int32_t pynna_isa_count(void)
{
    return N_KERNELS;
}

const char *pynna_isa_name(int32_t i)
{
    return i >= 0 && i < N_KERNELS ? table[i].kernels->name : NULL;
}

int32_t pynna_isa_available(int32_t i)
{
    return i >= 0 && i < N_KERNELS && table[i].available() ? 1 : 0;
}

const pn_kernels *pn_kernels_find(const char *name)
{
#ifndef PYNNA_MICRO
    if (!name)
        name = getenv("PYNNA_ISA");
#endif
    for (int i = N_KERNELS - 1; i >= 0; i--)
        if ((!name || !*name || strcmp(name, table[i].kernels->name) == 0) && table[i].available())
            return pn_verified(table[i].kernels, i);
    return NULL;
}

const char *pynna_isa_default(void)
{
    const pn_kernels *k = pn_kernels_find(NULL);
    return k ? k->name : NULL;
}

int pynna_mac(const char *isa, const int8_t *weights, int32_t weight_bits, int32_t layout, const int32_t *row_sum,
              int32_t n_blocks, int32_t n_groups, const uint8_t *u, size_t u_stride, int32_t n_columns, int32_t *acc)
{
    if (!weights || !row_sum || !u || !acc || n_blocks < 0 || n_groups < 0 || n_columns < 1
        || n_columns > PYNNA_MAX_CHANNELS)
        return PYNNA_ERR_ARGUMENT;
    if (weight_bits != 8 && (weight_bits != 4 || n_groups % 2 != 0))
        return PYNNA_ERR_ARGUMENT;
    if (layout != PN_PLAIN && (layout != PN_SCALED || weight_bits != 4))
        return PYNNA_ERR_ARGUMENT;
    const pn_kernels *k = pn_kernels_find(isa);
    if (!k)
        return PYNNA_ERR_ISA;
    const pn_product product = {weights, row_sum, n_blocks, n_groups,  weight_bits, layout, weights,
                                0,       u,       u_stride, n_columns, NULL,        0};
    k->mac(&product, acc);
    pn_release(k);
    return PYNNA_OK;
}
