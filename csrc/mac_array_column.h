/* SPDX-License-Identifier: Apache-2.0 */
/* One column, where weights are read as fast as memory gives them: four blocks at a time, of SOME lines alone where
 * `used` lists them. Include it behind the file's `four_sums` (a type), `begin_four`, `add_line_of_four`,
 * `add_spans_of_four`, `four_plain_blocks` and `one_block`. */

/* Weights with scales: the sums of a span's lines, of those that are used, stay in registers. */
TILE void four_scaled_blocks(const int SOME, const pn_product *p, const int8_t *weights, int32_t *acc)
{
    const size_t block_bytes = pn_block_bytes(p->n_groups, 4, PN_SCALED);
    const int32_t n_lines = p->n_groups / 2;
    memset(acc, 0, 4 * PN_BLOCK * sizeof *acc);
    for (int32_t i = 0, k = 0; i < n_lines; i += PN_SPAN) {
        const int8_t *lines = pn_scaled_line(weights, i);
        const uint8_t *u = p->u + 8 * (size_t)i;
        const int32_t n = n_lines - i < PN_SPAN ? n_lines - i : PN_SPAN;
        four_sums sum;
        begin_four(sum);
        for (; SOME && k < p->n_used && p->used[k] < i + n; k++)
            add_line_of_four(2, lines + 64 * (p->used[k] - i), block_bytes, u + 8 * (p->used[k] - i), sum);
        for (int32_t line = 0; !SOME && line < n; line++)
            add_line_of_four(2, lines + 64 * line, block_bytes, u + 8 * line, sum);
        add_spans_of_four(pn_line_scales(weights, i), block_bytes, sum, acc);
    }
}

TILE void four_blocks(const int GROUPS, const int SCALED, const int SOME, const pn_product *p, const int8_t *weights,
                      int32_t *acc)
{
    if (SCALED)
        four_scaled_blocks(SOME, p, weights, acc);
    else
        four_plain_blocks(GROUPS, SOME, p, weights, acc);
}

TILE void one_column(const int GROUPS, const int SCALED, const pn_product *p, int32_t *acc)
{
    const size_t block_bytes = pn_block_bytes(p->n_groups, 8 / GROUPS, SCALED ? PN_SCALED : PN_PLAIN);
    int32_t b = 0;
    for (; b + 4 <= p->n_blocks; b += 4, acc += 4 * PN_BLOCK)
        if (p->used)
            four_blocks(GROUPS, SCALED, 1, p, p->weights + (size_t)b * block_bytes, acc);
        else
            four_blocks(GROUPS, SCALED, 0, p, p->weights + (size_t)b * block_bytes, acc);
    for (; b < p->n_blocks; b++, acc += PN_BLOCK)
        one_block(GROUPS, SCALED, p, p->weights + (size_t)b * block_bytes, acc);
}
