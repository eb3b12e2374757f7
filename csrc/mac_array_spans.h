/* SPDX-License-Identifier: Apache-2.0 */
/* What NEON's kernels share where weights have scales: sums stay in registers for a span of lines, and are added up in
 * memory. Include it with TILE defined. */

/* 128 times the rows' sums of weights, for activations that enter less 128. */
TILE void begin_sums(const int32_t *row_sum, int32_t n_columns, int32_t *out)
{
    for (int32_t j = 0; j < n_columns; j++, out += PN_BLOCK)
        for (int i = 0; i < PN_BLOCK; i += 4)
            vst1q_s32(out + i, vshlq_n_s32(vld1q_s32(row_sum + i), 7));
}

/* Adds a span's sums of four rows, sixteen times too large, by the rows' scales. */
TILE void add_span(const int8_t *scales, int32x4_t sum, int32_t *out)
{
    const uint32_t four = (uint32_t)pn_load_group((const uint8_t *)scales);
    const int32x4_t by = vmovl_s16(vget_low_s16(vmovl_s8(vreinterpret_s8_u32(vdup_n_u32(four)))));
    vst1q_s32(out, vmlaq_s32(vld1q_s32(out), vshrq_n_s32(sum, 4), by));
}

/* Where the span that begins with line i ends, of n_lines. */
TILE int32_t span_end(int32_t i, int32_t n_lines)
{
    return i + PN_SPAN < n_lines ? i + PN_SPAN : n_lines;
}
