/* SPDX-License-Identifier: Apache-2.0 */
/* The sums of many pairs of probabilities at once: pn_log_add's bits, in a loop without a branch that compilers turn
 * into vector instructions. */
#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC optimize(                                                                                                  \
    "no-trapping-math") /* nobody reads the exceptions' flags: both sides of a choice may be computed */
#endif
#include "ctc_log_add.h"

#include "exact_math.h"

enum { TOGETHER = 64 }; /* pairs: loops of one thing each, so that compilers see through them */

static inline __attribute__((always_inline)) double power_of_2(int32_t k)
{
    const uint64_t bits = (uint64_t)(int64_t)(k + 1023) << 52;
    double power;
    memcpy(&power, &bits, sizeof power);
    return power;
}

/* pn_log1p_exp of x from -40 to 0. */
static inline __attribute__((always_inline)) double log1p_exp(double x)
{
    const int32_t k = (int32_t)(x * PN_LOG2_E - 0.5);
    const double u = pn_exp_near_0((x - k * PN_LN2_HIGH) - k * PN_LN2_LOW) * power_of_2(k);
    const double less = u - 1.0, much = u + 3.0, some = u + 2.0; /* all are made: there is no branch */
    const int far = u > 0.41421356237309503;
    const double s = (far ? less : u) / (far ? much : some);
    return (far ? PN_LN2 : 0.0) + pn_log_ratio(s);
}

static inline __attribute__((always_inline)) void add_all(const double *restrict a, const double *restrict b,
                                                          double *restrict sum, int32_t n)
{
    for (int32_t first = 0; first < n; first += TOGETHER) {
        const int32_t m = n - first < TOGETHER ? n - first : TOGETHER;
        double apart[TOGETHER], high[TOGETHER], more[TOGETHER];
        for (int32_t i = 0; i < m; i++) {
            const double x = a[first + i], y = b[first + i];
            high[i] = x > y ? x : y;
            apart[i] = (x > y ? y : x) - high[i]; /* not a number where both are -infinity */
        }
        for (int32_t i = 0; i < m; i++)
            more[i] = apart[i] > -40.0 ? apart[i] : -40.0;
        for (int32_t i = 0; i < m; i++)
            more[i] = log1p_exp(more[i]);
        for (int32_t i = 0; i < m; i++)
            sum[first + i] = high[i] + (apart[i] > -40.0 ? more[i] : 0.0);
    }
}

#if defined(__x86_64__) && !defined(PYNNA_MICRO)
__attribute__((target("avx2"))) static void add_all_avx2(const double *restrict a, const double *restrict b,
                                                         double *restrict sum, int32_t n)
{
    add_all(a, b, sum, n);
}

#ifdef __clang__ /* has no such word here, and warns */
#define WIDE ""
#else
#define WIDE ",prefer-vector-width=512"
#endif
__attribute__((target("avx2,avx512f,avx512dq,avx512vl" WIDE))) static void
add_all_avx512(const double *restrict a, const double *restrict b, double *restrict sum, int32_t n)
{
    add_all(a, b, sum, n);
}
#endif

void pn_log_add_all(const double *restrict a, const double *restrict b, double *restrict sum, int32_t n)
{
#if defined(__x86_64__) && !defined(PYNNA_MICRO)
    if (__builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl")) {
        add_all_avx512(a, b, sum, n);
        return;
    }
    if (__builtin_cpu_supports("avx2")) {
        add_all_avx2(a, b, sum, n);
        return;
    }
#endif
    add_all(a, b, sum, n);
}
