/* SPDX-License-Identifier: Apache-2.0 */
/* Matrix tiles in plain C, so that the kernel of AMX runs on every processor: the intrinsics it uses, which stop the
 * program where a processor would. One thread. Around the products stands the reference. Include it in front of
 * mac_array_amx.c. */
#ifndef TILES_H
#define TILES_H

#include "mac_array.h"

#include <stdio.h>
#include <stdlib.h>

#define PN_EMULATED_TILES
#define pn_kernels_amx kernels_of_emulated_tiles
#define pn_avx512vnni_mac pn_kernels_ref.mac
#define pn_avx512vnni_requantise pn_ref_requantise
#define pn_avx512vnni_lstm pn_ref_lstm
#define pn_avx512vnni_quantise pn_ref_quantise

enum { N_TILES = 8, TILE_ROWS = 16, TILE_ROW = 64 };

static struct {
    uint8_t config[64];
    uint8_t bytes[N_TILES][TILE_ROWS][TILE_ROW];
    int shaped, n_shapings;
} tiles;

static void tiles_need(int condition, const char *what)
{
    if (condition)
        return;
    printf("tiles: %s\n", what);
    exit(1);
}

static size_t tile_row_bytes(int tile)
{
    return tiles.config[16 + 2 * tile] + 256u * tiles.config[17 + 2 * tile];
}

static int tile_rows(int tile)
{
    return tiles.config[48 + tile];
}

static void tiles_need_shape(int tile)
{
    tiles_need(tiles.shaped && tile >= 0 && tile < N_TILES && tile_rows(tile) > 0, "a tile without a shape");
}

static void _tile_loadconfig(const void *config)
{
    memset(&tiles.bytes, 0, sizeof tiles.bytes);
    memcpy(tiles.config, config, sizeof tiles.config);
    tiles.n_shapings++;
    tiles.shaped = 1;
    tiles_need(tiles.config[0] == 1, "a palette other than 1");
    for (int i = 1; i < 64; i++)
        tiles_need(tiles.config[i] == 0 || (i >= 16 && i < 32) || (i >= 48 && i < 56), "a reserved byte is not zero");
    for (int i = 0; i < N_TILES; i++) {
        tiles_need(tile_row_bytes(i) <= TILE_ROW && tile_rows(i) <= TILE_ROWS, "a tile too large");
        tiles_need((tile_row_bytes(i) == 0) == (tile_rows(i) == 0), "a tile of rows without bytes");
    }
}

static void _tile_release(void)
{
    memset(&tiles.bytes, 0, sizeof tiles.bytes);
    memset(tiles.config, 0, sizeof tiles.config);
    tiles.shaped = 0;
}

static void _tile_zero(int tile)
{
    tiles_need_shape(tile);
    memset(tiles.bytes[tile], 0, sizeof tiles.bytes[tile]);
}

static void _tile_loadd(int tile, const void *from, size_t stride)
{
    _tile_zero(tile);
    for (int i = 0; i < tile_rows(tile); i++)
        memcpy(tiles.bytes[tile][i], (const uint8_t *)from + (size_t)i * stride, tile_row_bytes(tile));
}

static void _tile_stored(int tile, void *to, size_t stride)
{
    tiles_need_shape(tile);
    for (int i = 0; i < tile_rows(tile); i++)
        memcpy((uint8_t *)to + (size_t)i * stride, tiles.bytes[tile][i], tile_row_bytes(tile));
}

/* sums[m][n] += the sum over k of u[m][k], without a sign, times the bytes w[k / 4][n][k % 4], with one. */
static void _tile_dpbusd(int sums, int u, int w)
{
    tiles_need_shape(sums);
    tiles_need_shape(u);
    tiles_need_shape(w);
    tiles_need(sums != u && sums != w && u != w, "a product of a tile with itself");
    tiles_need(tile_rows(sums) == tile_rows(u) && tile_row_bytes(sums) == tile_row_bytes(w)
                   && tile_row_bytes(u) == 4 * (size_t)tile_rows(w) && tile_row_bytes(sums) % 4 == 0,
               "a product of tiles that do not fit");
    for (int m = 0; m < tile_rows(sums); m++)
        for (size_t n = 0; n < tile_row_bytes(sums) / 4; n++) {
            int32_t sum;
            memcpy(&sum, &tiles.bytes[sums][m][4 * n], sizeof sum);
            for (size_t k = 0; k < tile_row_bytes(u); k++)
                sum += tiles.bytes[u][m][k] * (int8_t)tiles.bytes[w][k / 4][4 * n + k % 4];
            memcpy(&tiles.bytes[sums][m][4 * n], &sum, sizeof sum);
        }
}

#endif
