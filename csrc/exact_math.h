/* SPDX-License-Identifier: Apache-2.0 */
/* exp and log with the same bits on every platform.
 *
 * The C library's differ in the last bit from one system to the next, and so would a beam's ties and everything after
 * them. These are made of +, -, * and / alone, in a written order, and IEEE 754 rounds those in one way only. They need
 * -ffp-contract=off (no fused multiply-add) and no -ffast-math; vectorising them changes nothing.
 *
 * Each reduces its argument to a short range around 0 and sums the Taylor series there, high powers first.
 */
#ifndef PYNNA_EXACT_MATH_H
#define PYNNA_EXACT_MATH_H

#include <math.h>
#include <stdint.h>
#include <string.h>

#define PN_LOG2_E 1.4426950408889634
#define PN_LN2_HIGH 0x1.62e42feep-1      /* the first 32 bits of ln 2: times a small integer it is exact */
#define PN_LN2_LOW 0x1.a39ef35793c76p-33 /* the rest of it */
#define PN_LN2 0.69314718055994530942

/* 2^k for k in -1022..1023. */
static inline double pn_exp2_int(int k)
{
    const uint64_t bits = (uint64_t)(k + 1023) << 52;
    double power;
    memcpy(&power, &bits, sizeof power);
    return power;
}

/* e^r for |r| <= 0.35: the series up to r^13 / 13!, summed in four strands for the processor's sake; error < 2^-52. */
static inline double pn_exp_near_0(double r)
{
    const double r2 = r * r, r4 = r2 * r2;
    const double a = (1.0 + r) + r2 * (1.0 / 2 + r * (1.0 / 6));
    const double b = (1.0 / 24 + r * (1.0 / 120)) + r2 * (1.0 / 720 + r * (1.0 / 5040));
    const double c = (1.0 / 40320 + r * (1.0 / 362880)) + r2 * (1.0 / 3628800 + r * (1.0 / 39916800));
    const double d = 1.0 / 479001600 + r * (1.0 / 6227020800.0);
    return a + r4 * (b + r4 * (c + r4 * d));
}

/* e^x, relative error < 4e-16 where the result is a normal number; 0 below -745.2, infinity above 709.8. */
static inline double pn_exp(double x)
{
    if (!(x > -745.2))
        return x != x ? x : 0.0;
    if (x > 709.8)
        return (double)INFINITY;
    const int k = (int)(x * PN_LOG2_E + (x < 0 ? -0.5 : 0.5));
    const double r = (x - k * PN_LN2_HIGH) - k * PN_LN2_LOW;
    const int half = k / 2; /* in two steps: 2^k alone may lie outside the normal numbers */
    return pn_exp_near_0(r) * pn_exp2_int(half) * pn_exp2_int(k - half);
}

/* log((1 + s) / (1 - s)) for |s| <= 0.1716: 2 (s + s^3/3 + ... + s^21/21). */
static inline double pn_log_ratio(double s)
{
    const double z = s * s, z2 = z * z, z4 = z2 * z2;
    const double a = 1.0 / 3 + z * (1.0 / 5);
    const double b = 1.0 / 7 + z * (1.0 / 9);
    const double c = 1.0 / 11 + z * (1.0 / 13);
    const double d = 1.0 / 15 + z * (1.0 / 17);
    const double e = 1.0 / 19 + z * (1.0 / 21);
    return 2.0 * s + 2.0 * s * (z * ((a + z2 * b) + z4 * ((c + z2 * d) + z4 * e)));
}

/* ln x, error < 4e-16 times the larger of 1 and |ln x|; -infinity for 0, NaN below 0 and for NaN. */
static inline double pn_log(double x)
{
    if (!(x > 0.0))
        return x == 0.0 ? -(double)INFINITY : (double)NAN;
    if (x > 1.7976931348623157e308)
        return x;
    int k = 0;
    if (x < 2.2250738585072014e-308) {
        x *= 18014398509481984.0; /* 2^54: a subnormal number becomes a normal one */
        k = -54;
    }
    uint64_t bits;
    memcpy(&bits, &x, sizeof bits);
    k += (int)(bits >> 52) - 1023;
    bits = (bits & 0x000fffffffffffffu) | 0x3ff0000000000000u;
    double m; /* in [1, 2), then in [sqrt(1/2), sqrt(2)) */
    memcpy(&m, &bits, sizeof m);
    if (m >= 1.4142135623730951) {
        m *= 0.5;
        k++;
    }
    return k * PN_LN2_HIGH + (k * PN_LN2_LOW + pn_log_ratio((m - 1.0) / (m + 1.0)));
}

/* ln(1 + e^x) for x <= 0, absolute error < 4e-16; 0 below -40, where it would be less than 5e-18. */
static inline double pn_log1p_exp(double x)
{
    if (!(x > -40.0))
        return x != x ? x : 0.0;
    const int k = (int)(x * PN_LOG2_E - 0.5);
    const double u = pn_exp_near_0((x - k * PN_LN2_HIGH) - k * PN_LN2_LOW) * pn_exp2_int(k);
    /* 1 + u = (1 + s)/(1 - s) with s = u/(u + 2), or twice that with s = (u - 1)/(u + 3): s must stay short */
    const int far = u > 0.41421356237309503;
    const double s = (far ? u - 1.0 : u) / (far ? u + 3.0 : u + 2.0);
    return (far ? PN_LN2 : 0.0) + pn_log_ratio(s);
}

/* ln(e^a + e^b): the sum of two probabilities given by their logarithms; -infinity stands for 0. */
static inline double pn_log_add(double a, double b)
{
    const double high = a > b ? a : b, low = a > b ? b : a;
    return low > -(double)INFINITY ? high + pn_log1p_exp(low - high) : high;
}

#endif
