/* SPDX-License-Identifier: Apache-2.0 */
/* One column, where weights are read as fast as memory gives them: four blocks at a time, of SOME lines alone where
 * `used` lists them. Include it behind the file's `four_blocks` and `one_block`. */
TILE void one_column(const int GROUPS, const pn_product *p, int32_t *acc)
{
    const size_t block_bytes = (size_t)(p->n_groups / GROUPS) * PN_LINE;
    int32_t b = 0;
    for (; b + 4 <= p->n_blocks; b += 4, acc += 4 * PN_BLOCK)
        if (p->used)
            four_blocks(GROUPS, 1, p, p->weights + (size_t)b * block_bytes, acc);
        else
            four_blocks(GROUPS, 0, p, p->weights + (size_t)b * block_bytes, acc);
    for (; b < p->n_blocks; b++, acc += PN_BLOCK)
        one_block(GROUPS, p, p->weights + (size_t)b * block_bytes, acc);
}
