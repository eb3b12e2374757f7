/* SPDX-License-Identifier: Apache-2.0 */
/* Adding up probabilities given by their logarithms, many at a time. Internal to the CTC decoder. */
#ifndef PYNNA_CTC_LOG_ADD_H
#define PYNNA_CTC_LOG_ADD_H

#include <stdint.h>

/* sum[i] = ln(e^a[i] + e^b[i]), the bits of pn_log_add; none is +infinity or not a number. */
void pn_log_add_all(const double *restrict a, const double *restrict b, double *restrict sum, int32_t n);

#endif
