/* SPDX-License-Identifier: Apache-2.0 */
/* Numbers of files at any address, in the machine's byte order: little-endian, as the readers have checked. */
#ifndef DS_UNALIGNED_H
#define DS_UNALIGNED_H

#include <stdint.h>
#include <string.h>

#define DS_UNALIGNED(type, name)                                                                                       \
    static inline type name(const void *p)                                                                             \
    {                                                                                                                  \
        type v;                                                                                                        \
        memcpy(&v, p, sizeof v);                                                                                       \
        return v;                                                                                                      \
    }

DS_UNALIGNED(int32_t, ds_read_i32)
DS_UNALIGNED(int64_t, ds_read_i64)
DS_UNALIGNED(uint32_t, ds_read_u32)
DS_UNALIGNED(uint64_t, ds_read_u64)
DS_UNALIGNED(float, ds_read_f32)
DS_UNALIGNED(double, ds_read_f64)

#undef DS_UNALIGNED

#endif
