/* SPDX-License-Identifier: Apache-2.0 */
/* Sigmoid and tanh of the gates in integers: Q3.12 in, Q0.15 out (doc/network.md, "Sigmoid and tanh"). Internal. */
#ifndef PYNNA_ACTIVATION_H
#define PYNNA_ACTIVATION_H

#include <stdint.h>

/* Eight cubics each, [power][segment], Q0.15; every kernel reads these. */
extern const int16_t pn_sigmoid_coefficients[4][8];
extern const int16_t pn_tanh_coefficients[4][8];

/* The definition. Any q12 is valid; sigmoid gives 0 to 32767, tanh -32767 to 32767. */
int16_t pn_sigmoid(int16_t q12);
int16_t pn_tanh(int16_t q12);

#endif
