/* SPDX-License-Identifier: Apache-2.0 */
/* What the instruction sets with vectors of 256 bits share of the MAC array. Include it with TILE defined, for `load`;
 * and again behind the file's `tile`, with PN_TOGETHER, the columns that it takes at once: 4 or 6. */
#ifndef PN_TOGETHER

/* Eight rows (the first or the last, by `high`) of group i of a line. It has one of 8 bits, or two GROUPS of 4: the
 * first in the lower halves of the bytes, the second in the upper. */
TILE __m256i load(const int GROUPS, const int i, const int high, const int8_t *line)
{
    __m256i w = _mm256_loadu_si256((const __m256i *)(const void *)(line + 32 * high));
    if (GROUPS == 1)
        return w;
    return _mm256_and_si256(i ? w : _mm256_slli_epi16(w, 4), _mm256_set1_epi8((char)0xf0));
}

#else

/* All blocks by all columns, in parts as even as can be: of 6, 16 columns go as 5, 5, 6. */
TILE void product(const int GROUPS, const int SCALED, const pn_product *p, int32_t *acc)
{
    const size_t block_bytes = pn_block_bytes(p->n_groups, 8 / GROUPS, SCALED ? PN_SCALED : PN_PLAIN);
    const int32_t n_groups = p->n_groups, parts = pn_divide_up(p->n_columns, PN_TOGETHER);
    const int8_t *weights = p->weights;
    for (int32_t b = 0; b < p->n_blocks; b++, weights += block_bytes, acc += (size_t)p->n_columns * PN_BLOCK)
        for (int32_t i = 0; i < parts; i++) {
            int32_t j = i * p->n_columns / parts, nc = (i + 1) * p->n_columns / parts - j;
            const uint8_t *v = p->u + (size_t)j * p->u_stride;
            const int8_t *next = i + 1 < parts ? NULL : b + 1 < p->n_blocks ? weights + block_bytes : p->next;
            int32_t *a = acc + (size_t)j * PN_BLOCK;
            switch (nc) {
            case 1: tile(GROUPS, SCALED, 1, weights, n_groups, v, p->u_stride, NULL, a); break;
            case 2: tile(GROUPS, SCALED, 2, weights, n_groups, v, p->u_stride, next, a); break;
            case 3: tile(GROUPS, SCALED, 3, weights, n_groups, v, p->u_stride, next, a); break;
            case 4: tile(GROUPS, SCALED, 4, weights, n_groups, v, p->u_stride, next, a); break;
#if PN_TOGETHER == 6
            case 5: tile(GROUPS, SCALED, 5, weights, n_groups, v, p->u_stride, next, a); break;
            case 6: tile(GROUPS, SCALED, 6, weights, n_groups, v, p->u_stride, next, a); break;
#endif
            }
        }
}

#endif
