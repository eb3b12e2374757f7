/* SPDX-License-Identifier: Apache-2.0 */
/* One column, where weights are read as fast as memory gives them: four blocks at a time, of SOME lines alone where
 * `used` lists them. Include it behind the file's `four_blocks` and `one_block`. */
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
