/* SPDX-License-Identifier: Apache-2.0 */
/* NEON's intrinsics for both of ARM's widths: what 32-bit cores have no instruction for, made of those they have.
 * Include it before any other intrinsic: on 32 bits it has what follows in the file compiled for ARMv7 with NEON,
 * whatever the rest of the library is compiled for. */
#ifndef PN_NEON_32_H
#define PN_NEON_32_H

#if PN_HAS_NEON_32
#if !defined(__ARM_NEON)
#pragma GCC target("arch=armv7-a+neon", "fpu=neon")
#endif
#include <arm_neon.h>

#define PN_NEON_32 __attribute__((always_inline)) static inline

PN_NEON_32 int64x2_t vmull_high_s32(int32x4_t a, int32x4_t b)
{
    return vmull_s32(vget_high_s32(a), vget_high_s32(b));
}

PN_NEON_32 int64x2_t vmlal_high_s32(int64x2_t sum, int32x4_t a, int32x4_t b)
{
    return vmlal_s32(sum, vget_high_s32(a), vget_high_s32(b));
}

PN_NEON_32 int32x4_t vpaddq_s32(int32x4_t a, int32x4_t b)
{
    return vcombine_s32(vpadd_s32(vget_low_s32(a), vget_high_s32(a)), vpadd_s32(vget_low_s32(b), vget_high_s32(b)));
}

PN_NEON_32 uint8x16_t vqtbl1q_u8(uint8x16_t table, uint8x16_t at)
{
    const uint8x8x2_t halves = {
        {vget_low_u8(table), vget_high_u8(table)}
    };
    return vcombine_u8(vtbl2_u8(halves, vget_low_u8(at)), vtbl2_u8(halves, vget_high_u8(at)));
}

PN_NEON_32 uint16x8_t vcltzq_s16(int16x8_t a)
{
    return vcltq_s16(a, vdupq_n_s16(0));
}
#else
#include <arm_neon.h>
#endif

#endif
