/* SPDX-License-Identifier: Apache-2.0 */
/* Sigmoid and tanh: eight cubics and a symmetry (doc/network.md, "Sigmoid and tanh"). This is the definition. */
#include "activation.h"

/* Fitted by tests/golden/make_activation.py; maximal errors 2.3 * 2^-15 for sigmoid, 3.2 * 2^-15 for tanh up to 4. */
const int16_t pn_sigmoid_coefficients[4][8] = {
    {16384, 23955, 28862, 31213, 32178, 32548, 32687, 32738},
    {8219,  6469,  3435,  1476,  581,   215,   79,    30   },
    {-138,  -1638, -1296, -632,  -267,  -88,   -34,   -15  },
    {-510,  75,    213,   121,   56,    11,    6,     4    },
};
const int16_t pn_tanh_coefficients[4][8] = {
    {0,     15141, 24956, 29661, 31589, 32330, 32606, 32708},
    {16430, 12940, 6874,  2946,  1154,  431,   157,   59   },
    {-246,  -3273, -2602, -1278, -525,  -192,  -65,   -26  },
    {-1044, 146,   432,   261,   111,   36,    10,    5    },
};

/* Rounded product of two Q0.15 numbers: pmulhrsw, sqrdmulh. No product of a cubic overflows. */
static int32_t mulhrs(int32_t a, int32_t b)
{
    return (a * b + (1 << 14)) >> 15;
}

static int32_t cubic(const int16_t c[4][8], int32_t k, int32_t t)
{
    return c[0][k] + mulhrs(t, c[1][k] + mulhrs(t, c[2][k] + mulhrs(t, c[3][k])));
}

/* |x|, with the one int16 that has no positive counterpart brought in. */
static int32_t magnitude(int16_t x)
{
    int32_t v = x < 0 ? -(int32_t)x : x;
    return v < 32767 ? v : 32767;
}

int16_t pn_sigmoid(int16_t q12)
{
    int32_t v = magnitude(q12);
    int32_t y = cubic(pn_sigmoid_coefficients, v >> 12, (v & 4095) << 3);
    return (int16_t)(q12 < 0 ? 32768 - y : y);
}

int16_t pn_tanh(int16_t q12)
{
    int32_t v = magnitude(q12);
    if (v > 16383) {
        v = 16383; /* tanh is 1 from 4 on, as near as the last cubic comes */
    }
    int32_t y = cubic(pn_tanh_coefficients, v >> 11, (v & 2047) << 4);
    return (int16_t)(q12 < 0 ? -y : y);
}
