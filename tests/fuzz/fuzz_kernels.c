/* SPDX-License-Identifier: Apache-2.0 */
/* Every kernel against the reference, over shapes of the input's bytes and numbers of its seed, many at the ends of their
 * ranges; every array ends where it is said to. The ranges are those that the loader grants. */
#include "bytes.h"

#include "../../csrc/verify.h"

static uint64_t state;
static int extreme; /* every other number is at an end of its range */

static uint32_t any(void)
{
    state = state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return (uint32_t)(state >> 33);
}

static int32_t number(int32_t low, int32_t high)
{
    if (extreme && any() % 2)
        return any() % 2 ? low : high;
    return low + (int32_t)(any() % ((uint32_t)high - (uint32_t)low + 1));
}

static int32_t *numbers(size_t n, int32_t low, int32_t high)
{
    int32_t *all = block(n * sizeof *all);
    for (size_t i = 0; i < n; i++)
        all[i] = number(low, high);
    return all;
}

/* A fast kernel that can run here, or NULL; the first instruction set is the reference. Asked once: the processor takes
 * longer for its answer than a small product. */
static const pn_kernels *fast(int32_t i)
{
    static const pn_kernels *found[PN_MAX_KERNELS];
    static int is_asked;
    for (int32_t k = 0; !is_asked && k < pynna_isa_count(); k++)
        found[k] = pynna_isa_available(k) ? pn_kernels_find(pynna_isa_name(k)) : NULL;
    is_asked = 1;
    return found[i];
}

/* ---- the MAC array ----------------------------------------------------------------------------------------------- */

static void fill_scales(int8_t *block, int32_t n_lines)
{
    for (int32_t i = 0; i < n_lines; i += PN_SPAN)
        for (int32_t r = 0; r < PN_BLOCK; r++)
            block[pn_line_scales(block, i) - block + r] = (int8_t)number(1, PN_MAX_SCALE);
}

static void fill_block(int32_t bits, int32_t layout, int32_t n_lines, int8_t *block, int32_t *row_sum)
{
    if (layout == PN_SCALED)
        fill_scales(block, n_lines);
    for (int32_t i = 0; i < n_lines * PN_LINE; i++) {
        int32_t *sum = &row_sum[i / PN_GROUP % PN_BLOCK];
        if (bits == 8) {
            block[i] = (int8_t)number(-127, 127);
            *sum += block[i];
            continue;
        }
        const int32_t line = i / PN_LINE, low = number(-7, 7), high = number(-7, 7);
        int8_t *to = block + (layout == PN_SCALED ? pn_scaled_line(block, line) - block + i % PN_LINE : i);
        *to = (int8_t)((low & 15) | high * 16);
        *sum += (layout == PN_SCALED ? pn_line_scales(block, line)[i / PN_GROUP % PN_BLOCK] : 16) * (low + high);
    }
}

static void check_mac(bytes *in)
{
    const uint32_t kind = take8(in);
    const int32_t bits = kind % 2 ? 4 : 8, layout = kind % 4 == 3 ? PN_SCALED : PN_PLAIN;
    const int32_t n_blocks = take_from(in, 0, 3), n_lines = take_size(in, 0, 40);
    const int32_t n_groups = n_lines * 8 / bits, n = take_from(in, 0, 2) ? take_size(in, 1, 16) : 1;
    const size_t stride = 4 * (size_t)n_groups + (size_t)take_from(in, 0, 5), sparse = take8(in) % 4;
    const size_t n_u = (size_t)(n - 1) * stride + 4 * (size_t)n_groups, n_acc = 16 * (size_t)(n_blocks * n);
    const size_t block_bytes = pn_block_bytes(n_groups, bits, layout);
    int8_t *weights = block((size_t)n_blocks * block_bytes);
    uint8_t *u = block(n_u);
    uint16_t *used = block((size_t)n_lines * sizeof *used);
    int32_t *row_sum = block(16 * (size_t)n_blocks * sizeof *row_sum);
    int32_t *want = block(n_acc * sizeof *want), *got = block(n_acc * sizeof *got), n_used = 0;
    memset(row_sum, 0, 16 * (size_t)n_blocks * sizeof *row_sum);
    for (int32_t b = 0; b < n_blocks; b++)
        fill_block(bits, layout, n_lines, weights + (size_t)b * block_bytes, row_sum + b * PN_BLOCK);
    for (size_t i = 0; i < n_u; i++)
        u[i] = sparse > 1 && any() % 8 ? 0 : (uint8_t)number(0, 255);
    for (int32_t i = 0; i < n_lines; i++) {
        int is_used = 0;
        for (int32_t k = 0; k < 32 / bits; k++)
            is_used |= u[i * 32 / bits + k];
        if (is_used)
            used[n_used++] = (uint16_t)i;
    }
    const pn_product p = {.weights = weights,
                          .row_sum = row_sum,
                          .n_blocks = n_blocks,
                          .n_groups = n_groups,
                          .weight_bits = bits,
                          .layout = layout,
                          .next = weights,
                          .u = u,
                          .u_stride = stride,
                          .n_columns = n,
                          .used = n == 1 && sparse ? used : NULL,
                          .n_used = n_used};
    pn_kernels_ref.mac(&p, want);
    for (int32_t i = 0; i < pynna_isa_count(); i++) {
        const pn_kernels *k = fast(i);
        if (k == NULL)
            continue;
        memset(got, 0x5a, n_acc * sizeof *got);
        k->mac(&p, got);
        MUST(memcmp(want, got, n_acc * sizeof *got) == 0);
    }
}

/* ---- what stands around it --------------------------------------------------------------------------------------- */

/* A multiplier that keeps sums up to `largest` within what the loader grants. */
static int32_t multiplier(int64_t largest, int32_t shift)
{
    const int64_t half = (int64_t)1 << (shift - 1);
    int64_t m = number(0, INT32_MAX);
    while (m > 0 && (largest * m > (INT64_MAX - half) / 2 || (largest * m + half) >> shift >= (int64_t)1 << 30))
        m /= 2;
    return (int32_t)m;
}

static int32_t *multipliers(size_t n, int64_t largest, int32_t shift)
{
    int32_t *all = block(n * sizeof *all);
    for (size_t i = 0; i < n; i++)
        all[i] = multiplier(largest, shift);
    return all;
}

static void check_requantise(bytes *in)
{
    const int32_t n_blocks = take_from(in, 0, 3), n = take_size(in, 1, 16), shift = take_from(in, 1, 62);
    const int32_t most = 1 << take_from(in, 4, 29), bias_most = 1 << take_from(in, 4, 29);
    const size_t rows = 16 * (size_t)n_blocks, stride = rows + (size_t)take_from(in, 0, 5);
    const size_t n_out = rows > 0 ? (size_t)(n - 1) * stride + rows : 0;
    int32_t *acc = numbers(rows * (size_t)n, -most, most), *bias = numbers(rows, -bias_most, bias_most);
    int32_t *by = multipliers(rows, (int64_t)most + bias_most, shift);
    uint8_t *want = block(n_out), *got = block(n_out);
    memset(want, 0, n_out);
    pn_kernels_ref.requantise(acc, n_blocks, n, bias, by, shift, want, stride);
    for (int32_t i = 0; i < pynna_isa_count(); i++) {
        const pn_kernels *k = fast(i);
        if (k == NULL)
            continue;
        memset(got, 0, n_out);
        k->requantise(acc, n_blocks, n, bias, by, shift, got, stride);
        MUST(memcmp(want, got, n_out) == 0);
    }
}

static void check_lstm(bytes *in)
{
    const int32_t n = take_size(in, 1, 16), x_columns = n + take_from(in, 0, 16 - n), shift = take_from(in, 1, 62);
    const int32_t most = 1 << take_from(in, 4, 28), bias_most = 1 << take_from(in, 4, 28);
    const size_t c_stride = 16 + (size_t)take_from(in, 0, 3), h_stride = 16 + (size_t)take_from(in, 0, 3);
    const size_t n_c = (size_t)(n - 1) * c_stride + 16, n_h = (size_t)(n - 1) * h_stride + 16;
    int32_t *acc_x = numbers(64 * (size_t)x_columns, -most, most), *acc_h = numbers(64 * (size_t)n, -most, most);
    int32_t *bias_x = numbers(64, -bias_most, bias_most), *bias_h = numbers(64, -bias_most, bias_most);
    int32_t *by_x = multipliers(64, (int64_t)most + bias_most, shift);
    int32_t *by_h = multipliers(64, (int64_t)most + bias_most, shift);
    int16_t *before = block(n_c * sizeof *before), *want_c = block(n_c * sizeof *want_c);
    int16_t *got_c = block(n_c * sizeof *got_c);
    uint8_t *want_h = block(n_h), *got_h = block(n_h);
    for (size_t i = 0; i < n_c; i++)
        before[i] = (int16_t)number(-32768, 32767);
    memcpy(want_c, before, n_c * sizeof *before);
    memset(want_h, 0, n_h);
    pn_lstm_tile tile = {acc_x,
                         acc_h,
                         bias_x,
                         bias_h,
                         by_x,
                         by_h,
                         shift,
                         n,
                         x_columns,
                         take_from(in, 1, 15),
                         number(0, 32767),
                         take_from(in, 1, 30),
                         want_c,
                         c_stride,
                         want_h,
                         h_stride};
    pn_kernels_ref.lstm(&tile);
    tile.c = got_c;
    tile.h = got_h;
    for (int32_t i = 0; i < pynna_isa_count(); i++) {
        const pn_kernels *k = fast(i);
        if (k == NULL)
            continue;
        memcpy(got_c, before, n_c * sizeof *before);
        memset(got_h, 0, n_h);
        k->lstm(&tile);
        MUST(memcmp(want_c, got_c, n_c * sizeof *got_c) == 0 && memcmp(want_h, got_h, n_h) == 0);
    }
}

static void check_quantise(bytes *in)
{
    const int32_t n = take_from(in, 0, 70), has_residual = take_from(in, 0, 1);
    float *x = block((size_t)n * sizeof *x), *gain = block((size_t)n * sizeof *gain);
    uint8_t *want = block(2 * (size_t)n), *got = block((size_t)n), *got_residual = block((size_t)n);
    for (int32_t i = 0; i < n; i++) {
        x[i] = extreme && any() % 4 == 0 ? take_log_prob(in) : (float)number(-100000, 100000) / 16;
        x[i] = isfinite(x[i]) ? x[i] : 0.5f; /* a step refuses others */
        gain[i] = (float)number(1, 1 << 20) / (float)(1 << take_from(in, 0, 24));
    }
    pn_kernels_ref.quantise(x, gain, n, want, has_residual ? want + n : NULL);
    for (int32_t i = 0; i < pynna_isa_count(); i++) {
        const pn_kernels *k = fast(i);
        if (k == NULL)
            continue;
        k->quantise(x, gain, n, got, has_residual ? got_residual : NULL);
        MUST(memcmp(want, got, (size_t)n) == 0);
        MUST(!has_residual || memcmp(want + n, got_residual, (size_t)n) == 0);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    bytes in = {data, data + size};
    const uint32_t kind = take8(&in);
    state = (uint64_t)(uint32_t)take32(&in) << 32 | (uint32_t)take32(&in);
    extreme = kind & 4;
    switch (kind % 4) {
    case 0: check_mac(&in); break;
    case 1: check_requantise(&in); break;
    case 2: check_lstm(&in); break;
    default: check_quantise(&in); break;
    }
    release(0);
    return 0;
}
