/* SPDX-License-Identifier: Apache-2.0 */
/* AMX: a tile of up to 16 columns by 64 bytes of activations, times a tile of 16 lines of weights as they lie, to a
 * tile of sums [columns][16] as the accumulators have it; u8 by s8. One column, which is bound by reading, and all that
 * stands around the MAC array are AVX-512's. Blocks and prefetching are what was fastest on a Sapphire Rapids. */
#include "mac_array.h"
#if PN_HAS_AMX || defined(PN_EMULATED_TILES)

#ifdef PN_EMULATED_TILES /* a test has told what the instructions do, see tests/tiles.h */
#define TARGET
#else
#include <immintrin.h>

#define TARGET __attribute__((target("amx-tile,amx-int8,avx512f,avx512bw")))
#endif
#define TILE TARGET __attribute__((always_inline)) static inline

/* Compilers do not know which memory an instruction on tiles reads. */
#define WRITTEN() __asm__ volatile("" ::: "memory")

/* PART groups of four blocks' weights are 32 KB. */
enum { TILE_GROUPS = 16, PART = 8 * TILE_GROUPS };

/* Tiles 0 to 3 hold the sums of as many blocks. Of a row that is no multiple of 64 bytes, what is left over has tiles
 * of its own shape. */
#define U 4
#define W 5
#define LAST_U 6
#define LAST_W 7

typedef struct {
    uint8_t palette, start_row, reserved[14];
    uint16_t row_bytes[16];
    uint8_t rows[16];
} tile_shapes;
_Static_assert(sizeof(tile_shapes) == 64, "what ldtilecfg reads");

/* This thread's tiles, from the first product of a step until `release`; no columns: they have no shape. */
static _Thread_local struct {
    int32_t n_columns, left;
} shaped;

/* Shapes the tiles for n_columns, and for `left` groups at a row's end. */
TARGET static void set_shapes(int32_t n_columns, int32_t left)
{
    if (shaped.n_columns == n_columns && (left == 0 || shaped.left == left))
        return;
    tile_shapes s = {.palette = 1};
    for (int i = 0; i < 4; i++) {
        s.row_bytes[i] = PN_LINE;
        s.rows[i] = (uint8_t)n_columns;
    }
    s.row_bytes[U] = s.row_bytes[W] = PN_LINE;
    s.rows[U] = (uint8_t)n_columns;
    s.rows[W] = TILE_GROUPS;
    if (left > 0) {
        s.row_bytes[LAST_U] = (uint16_t)(left * PN_GROUP);
        s.row_bytes[LAST_W] = PN_LINE;
        s.rows[LAST_U] = (uint8_t)n_columns;
        s.rows[LAST_W] = (uint8_t)left;
    }
    shaped.n_columns = n_columns;
    shaped.left = left;
    WRITTEN();
    _tile_loadconfig(&s);
}

TARGET static void release(void)
{
    if (shaped.n_columns > 0)
        _tile_release();
    shaped.n_columns = 0;
}

typedef uint16_t halves __attribute__((vector_size(PN_LINE), aligned(1), may_alias));

/* n lines of a span, from line i of a block on, as two groups each. Values are made positive, so that a product by a
 * scale fits a byte, and one of 16 bits is that of two bytes. */
TILE void groups_of_span(const int8_t *block, int32_t i, int32_t n, int8_t *room)
{
    typedef uint8_t bytes __attribute__((vector_size(PN_LINE)));
    typedef uint32_t words __attribute__((vector_size(PN_LINE)));
    const halves *line = (const halves *)(const void *)pn_scaled_line(block, i);
    uint8_t rows __attribute__((vector_size(PN_BLOCK)));
    memcpy(&rows, pn_line_scales(block, i), sizeof rows);
    const halves scales = (halves)(__builtin_convertvector(rows, words) * 0x00010001u); /* each row's for two halves */
    const bytes eight = (bytes)(scales * 0x0808);
    for (halves *to = (halves *)(void *)room, *end = to + 2 * n; to < end; to += 2, line++) {
        to[0] = (halves)((bytes)(((*line & 0x0f0f) ^ 0x0808) * scales) - eight);
        to[1] = (halves)((bytes)(((*line >> 4 & 0x0f0f) ^ 0x0808) * scales) - eight);
    }
}

/* The weights of n groups of a block from group g on, a line each: as they stand, or of 4 bits, which lie two groups a
 * line, made in `room`; with scales g is where a span begins. */
TILE const int8_t *groups_of(const int GROUPS, const int SCALED, const int8_t *block, int32_t g, int32_t n,
                             int8_t *room)
{
    const int8_t *line = block + (size_t)(g / GROUPS) * PN_LINE;
    const int32_t n_lines = n / 2;
    if (GROUPS == 1)
        return line;
    for (int32_t i = 0; SCALED && i < n_lines; i += PN_SPAN)
        groups_of_span(block, g / 2 + i, n_lines - i < PN_SPAN ? n_lines - i : PN_SPAN, room + 2 * i * PN_LINE);
    for (int32_t i = 0; !SCALED && i < n_lines; i++) {
        const halves w = ((const halves *)(const void *)line)[i];
        ((halves *)(void *)room)[2 * i] = w << 4 & 0xf0f0;
        ((halves *)(void *)room)[2 * i + 1] = w & 0xf0f0;
    }
    return room;
}

/* What is fetched meanwhile, to the second cache: `pace` lines with each tile of weights. */
typedef struct {
    const int8_t *at;
    int32_t pace;
} ahead;

TILE void fetch(ahead *next)
{
    for (int32_t i = 0; i < next->pace; i++, next->at += PN_LINE)
        __builtin_prefetch(next->at, 0, 2);
}

/* Block `b` of the NB, where there is one. */
#define BLOCK(b, u, w)                                                                                                 \
    if (NB > (b)) {                                                                                                    \
        _tile_loadd(w, lines[b] + k * PN_LINE, PN_LINE);                                                               \
        _tile_dpbusd(b, u, w);                                                                                         \
        fetch(next);                                                                                                   \
    }
#define ZERO(b)                                                                                                        \
    if (NB > (b))                                                                                                      \
    _tile_zero(b)
#define RESUME(b)                                                                                                      \
    if (NB > (b))                                                                                                      \
    _tile_loadd(b, acc + (b)*acc_block, PN_BLOCK * sizeof *acc)
#define STORE(b)                                                                                                       \
    if (NB > (b))                                                                                                      \
    _tile_stored(b, acc + (b)*acc_block, PN_BLOCK * sizeof *acc)

/* Where a part of the groups stands among all of them, and whether its tile of columns is the only one: then the sums
 * stay where they are from part to part. */
typedef struct {
    int first, last, alone;
} place;

/* A part of n groups of NB blocks by a tile of columns. */
TILE void part(const int NB, const int8_t *const lines[4], int32_t n, const uint8_t *u, size_t u_stride, place at,
               int32_t *acc, size_t acc_block, ahead *next)
{
    int32_t k = 0;
    if (at.first) {
        ZERO(0);
        ZERO(1);
        ZERO(2);
        ZERO(3);
    } else if (!at.alone) {
        RESUME(0);
        RESUME(1);
        RESUME(2);
        RESUME(3);
    }
    for (; k + TILE_GROUPS <= n; k += TILE_GROUPS) {
        _tile_loadd(U, u + k * PN_GROUP, u_stride);
        BLOCK(0, U, W)
        BLOCK(1, U, W)
        BLOCK(2, U, W)
        BLOCK(3, U, W)
    }
    if (k < n) {
        _tile_loadd(LAST_U, u + k * PN_GROUP, u_stride);
        BLOCK(0, LAST_U, LAST_W)
        BLOCK(1, LAST_U, LAST_W)
        BLOCK(2, LAST_U, LAST_W)
        BLOCK(3, LAST_U, LAST_W)
    }
    if (at.last || !at.alone) {
        STORE(0);
        STORE(1);
        STORE(2);
        STORE(3);
    }
}

/* NB blocks by n_tiles tiles of columns from column j on. A part of the weights stays in the first cache while all
 * tiles of columns pass; their sums wait in `acc` meanwhile. The sums of a single tile stay where they are. */
TILE void blocks(const int GROUPS, const int SCALED, const int NB, const pn_product *p, const int8_t *block, int32_t j,
                 int32_t n_tiles, int32_t *acc, ahead *next)
{
    const size_t block_bytes = pn_block_bytes(p->n_groups, 8 / GROUPS, SCALED ? PN_SCALED : PN_PLAIN);
    const size_t acc_block = (size_t)p->n_columns * PN_BLOCK;
    _Alignas(64) int8_t room[4][GROUPS == 1 ? 1 : PART * PN_LINE]; /* of weights of 4 bits alone */
    const int8_t *lines[4] = {block, block, block, block};
    int32_t g = 0, n;
    do { /* once, too, where there is nothing to add */
        n = p->n_groups - g < PART ? p->n_groups - g : PART;
        WRITTEN();
        for (int b = 0; b < NB; b++)
            lines[b] = groups_of(GROUPS, SCALED, block + (size_t)b * block_bytes, g, n, room[b]);
        WRITTEN();
        const place at = {g == 0, g + n == p->n_groups, n_tiles == 1};
        for (int32_t t = 0; t < n_tiles; t++) {
            const size_t column = (size_t)(j + t * PN_COLUMNS);
            part(NB, lines, n, p->u + column * p->u_stride + g * PN_GROUP, p->u_stride, at, acc + column * PN_BLOCK,
                 acc_block, next);
        }
    } while ((g += n) < p->n_groups);
}

/* Tiles of n_tiles times n_columns columns from column j on. */
TILE void columns(const int GROUPS, const int SCALED, const pn_product *p, int32_t j, int32_t n_tiles,
                  int32_t n_columns, int32_t *acc, ahead *next)
{
    const size_t block_bytes = pn_block_bytes(p->n_groups, 8 / GROUPS, SCALED ? PN_SCALED : PN_PLAIN);
    const int8_t *weights = p->weights;
    set_shapes(n_columns, p->n_groups % TILE_GROUPS);
    for (int32_t b = p->n_blocks, nb; b > 0; b -= nb, acc += nb * p->n_columns * PN_BLOCK) {
        nb = b < 4 ? b : 4;
        switch (nb) {
        case 1: blocks(GROUPS, SCALED, 1, p, weights, j, n_tiles, acc, next); break;
        case 2: blocks(GROUPS, SCALED, 2, p, weights, j, n_tiles, acc, next); break;
        case 3: blocks(GROUPS, SCALED, 3, p, weights, j, n_tiles, acc, next); break;
        default: blocks(GROUPS, SCALED, 4, p, weights, j, n_tiles, acc, next);
        }
        weights += (size_t)nb * block_bytes;
    }
}

TILE void product(const int GROUPS, const int SCALED, const pn_product *p, int32_t *acc)
{
    const int32_t whole = p->n_columns / PN_COLUMNS, left = p->n_columns % PN_COLUMNS;
    const int32_t n_tiles = p->n_blocks * (whole + (left > 0)) * pn_divide_up(p->n_groups, TILE_GROUPS);
    /* A single tile of columns reads as fast as memory gives, and the processor's own prefetching is the better one. */
    ahead next = {p->next, whole > 1 && n_tiles > 0 ? pn_divide_up(p->next_lines, n_tiles) : 0};
    if (whole > 0)
        columns(GROUPS, SCALED, p, 0, whole, PN_COLUMNS, acc, &next);
    if (left > 0)
        columns(GROUPS, SCALED, p, whole * PN_COLUMNS, 1, left, acc, &next);
}

/* Two columns are few for a tile, and yet no more work than for AVX-512. */
TARGET static void mac(const pn_product *p, int32_t *acc)
{
    if (p->n_columns == 1)
        pn_avx512vnni_mac(p, acc);
    else
        PN_BY_KIND(product, p, acc);
}

const pn_kernels pn_kernels_amx = {
    "amx", mac, pn_avx512vnni_requantise, pn_avx512vnni_lstm, pn_avx512vnni_quantise, release, PN_MANY_COLUMNS};
#else
typedef int pn_no_amx;
#endif
