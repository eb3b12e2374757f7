/* SPDX-License-Identifier: Apache-2.0 */
/* The recurrent half of an LSTM's training in bfloat16 on AVX-512 BF16, or on AMX where the processor has it: the time
 * loops of the forward and the backward pass. All that can be one large product over time (input half, weight
 * gradients) is left to the caller.
 *
 * H is a multiple of 64; T steps, B sequences; gates in the order i, c, f, o. Weights come packed in pairs of rows
 * (vdpbf16ps, tdpbf16ps), see lstm_pack. Built by lstm_cpu.py: cc -O3 -march=native -shared -fPIC. */
#include <immintrin.h>
#include <stdint.h>
#include <string.h>
#ifdef __AMX_BF16__
#include <sys/syscall.h>
#include <unistd.h>
#define ROWS 16 /* most sequences of a block: the rows of a tile */
#else
#define ROWS 6 /* 6 x 4 accumulators */
#endif
#define INLINE static inline __attribute__((always_inline))

typedef uint16_t bf16;

/* Asks Linux for the tiles (ARCH_REQ_XCOMP_PERM of XTILEDATA); 0, or an error. Without tiles there is nothing to
 * ask. */
int lstm_open(void) {
#ifdef __AMX_BF16__
    return (int)syscall(SYS_arch_prctl, 0x1023, 18);
#else
    return 0;
#endif
}

/* Sequences a block, so that the blocks are even: 8 go as 4 + 4, not as 6 + 2. */
static int block_rows(int B) {
    const int blocks = (B + ROWS - 1) / ROWS;
    return (B + blocks - 1) / blocks;
}

INLINE __m512 load_bf16(const bf16 *p) {
    return _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(_mm256_loadu_si256((const __m256i *)p)), 16));
}

INLINE void store_bf16(bf16 *p, __m512 x) { _mm256_storeu_si256((__m256i *)p, (__m256i)_mm512_cvtneps_pbh(x)); }

INLINE __m512 exp512(__m512 x) {
    x = _mm512_min_ps(_mm512_max_ps(x, _mm512_set1_ps(-80.f)), _mm512_set1_ps(80.f));
    const __m512 n = _mm512_roundscale_ps(_mm512_mul_ps(x, _mm512_set1_ps(1.44269504f)), 0);
    const __m512 r = _mm512_fnmadd_ps(n, _mm512_set1_ps(0.69314718f), x);
    __m512 p = _mm512_set1_ps(1.f / 720);
    p = _mm512_fmadd_ps(p, r, _mm512_set1_ps(1.f / 120));
    p = _mm512_fmadd_ps(p, r, _mm512_set1_ps(1.f / 24));
    p = _mm512_fmadd_ps(p, r, _mm512_set1_ps(1.f / 6));
    p = _mm512_fmadd_ps(p, r, _mm512_set1_ps(0.5f));
    p = _mm512_fmadd_ps(p, r, _mm512_set1_ps(1.f));
    p = _mm512_fmadd_ps(p, r, _mm512_set1_ps(1.f));
    return _mm512_scalef_ps(p, n);
}

INLINE __m512 sigmoid512(__m512 x) {
    const __m512 one = _mm512_set1_ps(1.f);
    return _mm512_div_ps(one, _mm512_add_ps(one, exp512(_mm512_sub_ps(_mm512_setzero_ps(), x))));
}

INLINE __m512 tanh512(__m512 x) {
    const __m512 two = _mm512_set1_ps(2.f);
    return _mm512_fmsub_ps(two, sigmoid512(_mm512_mul_ps(two, x)), _mm512_set1_ps(1.f));
}

#ifdef __AMX_BF16__
/* Tiles of so many sequences, unless they are shaped so already: 0 to 3 sums, 4 of a, 5 to 7 of weights. */
static int shape_tiles(int rows, int shaped) {
    if (rows == shaped)
        return shaped;
    struct {
        uint8_t palette, start, reserved[14];
        uint16_t bytes[16];
        uint8_t rows[16];
    } config = {.palette = 1};
    for (int tile = 0; tile < 8; ++tile) {
        config.bytes[tile] = 64;
        config.rows[tile] = tile < 5 ? (uint8_t)rows : 16;
    }
    _tile_loadconfig(&config);
    return rows;
}

static void release_tiles(void) { _tile_release(); }

/* acc[row][tile] += a[row][0..K) x 64 packed columns; a's rows are `stride` apart. */
INLINE void product(const int rows, int K, const bf16 *a, int stride, const bf16 *w, __m512 acc[ROWS][4]) {
    (void)rows; /* as shape_tiles was told */
    _tile_loadd(0, acc[0], 256);
    _tile_loadd(1, acc[0] + 1, 256);
    _tile_loadd(2, acc[0] + 2, 256);
    _tile_loadd(3, acc[0] + 3, 256);
    for (int k = 0; k < K; k += 32, w += 16 * 128) {
        _tile_loadd(4, a + k, 2 * stride);
        _tile_loadd(5, w, 256);
        _tile_dpbf16ps(0, 4, 5);
        _tile_loadd(6, w + 32, 256);
        _tile_dpbf16ps(1, 4, 6);
        _tile_loadd(7, w + 64, 256);
        _tile_dpbf16ps(2, 4, 7);
        _tile_loadd(5, w + 96, 256);
        _tile_dpbf16ps(3, 4, 5);
    }
    _tile_stored(0, acc[0], 256);
    _tile_stored(1, acc[0] + 1, 256);
    _tile_stored(2, acc[0] + 2, 256);
    _tile_stored(3, acc[0] + 3, 256);
}

#define FOR_ROWS(rows, CALL) CALL(rows)
#else
static int shape_tiles(int rows, int shaped) {
    (void)rows;
    return shaped;
}

static void release_tiles(void) {}

/* As above, in registers. */
INLINE void product(const int rows, int K, const bf16 *a, int stride, const bf16 *w, __m512 acc[ROWS][4]) {
    for (int k = 0; k < K; k += 2, w += 128) {
        const __m512bh w0 = (__m512bh)_mm512_loadu_si512(w), w1 = (__m512bh)_mm512_loadu_si512(w + 32);
        const __m512bh w2 = (__m512bh)_mm512_loadu_si512(w + 64), w3 = (__m512bh)_mm512_loadu_si512(w + 96);
#pragma GCC unroll 6
        for (int r = 0; r < rows; ++r) {
            int32_t pair;
            memcpy(&pair, a + (long)r * stride + k, 4);
            const __m512bh x = (__m512bh)_mm512_set1_epi32(pair);
            acc[r][0] = _mm512_dpbf16_ps(acc[r][0], x, w0);
            acc[r][1] = _mm512_dpbf16_ps(acc[r][1], x, w1);
            acc[r][2] = _mm512_dpbf16_ps(acc[r][2], x, w2);
            acc[r][3] = _mm512_dpbf16_ps(acc[r][3], x, w3);
        }
    }
}

/* CALL with the rows as a constant, so that the sums stay in registers. */
#define FOR_ROWS(rows, CALL)                                                                                                 \
    switch (rows) {                                                                                                          \
    case 1: CALL(1); break;                                                                                                  \
    case 2: CALL(2); break;                                                                                                  \
    case 3: CALL(3); break;                                                                                                  \
    case 4: CALL(4); break;                                                                                                  \
    case 5: CALL(5); break;                                                                                                  \
    default: CALL(6);                                                                                                        \
    }
#endif

/* wh [H, 4H] bf16 -> forward [H/16][H/2][4 gates][16][2], backward [H/64][4H/2][4][16][2]. */
void lstm_pack(int H, const bf16 *wh, bf16 *forward, bf16 *backward) {
    for (int u = 0; u < H; u += 16)
        for (int k = 0; k < H; k += 2)
            for (int g = 0; g < 4; ++g)
                for (int j = 0; j < 16; ++j, forward += 2) {
                    forward[0] = wh[(long)k * 4 * H + g * H + u + j];
                    forward[1] = wh[(long)(k + 1) * 4 * H + g * H + u + j];
                }
    for (int n = 0; n < H; n += 64)
        for (int k = 0; k < 4 * H; k += 2)
            for (int j = 0; j < 64; ++j, backward += 2) {
                backward[0] = wh[(long)(n + j) * 4 * H + k];
                backward[1] = wh[(long)(n + j) * 4 * H + k + 1];
            }
}

INLINE void forward_block(const int rows, int H, int u, const bf16 *xg, const float *bias, const bf16 *w,
                          const bf16 *h_in, const float *c_in, bf16 *h_out, float *c_out, float *acts) {
    __m512 acc[ROWS][4];
    for (int r = 0; r < rows; ++r)
        for (int g = 0; g < 4; ++g)
            acc[r][g] = _mm512_add_ps(load_bf16(xg + (long)r * 4 * H + g * H + u), _mm512_loadu_ps(bias + g * H + u));
    product(rows, H, h_in, H, w, acc);
    for (int r = 0; r < rows; ++r) {
        const __m512 i = sigmoid512(acc[r][0]), g = tanh512(acc[r][1]);
        const __m512 f = sigmoid512(acc[r][2]), o = sigmoid512(acc[r][3]);
        const __m512 c = _mm512_fmadd_ps(f, _mm512_loadu_ps(c_in + (long)r * H + u), _mm512_mul_ps(i, g));
        float *a = acts + (long)r * 4 * H + u;
        _mm512_storeu_ps(a, i);
        _mm512_storeu_ps(a + H, g);
        _mm512_storeu_ps(a + 2 * H, f);
        _mm512_storeu_ps(a + 3 * H, o);
        _mm512_storeu_ps(c_out + (long)r * H + u, c);
        store_bf16(h_out + (long)r * H + u, _mm512_mul_ps(o, tanh512(c)));
    }
}

/* xg [T,B,4H] input half's products; bias [4H]; h [T+1,B,H] and c [T+1,B,H], whose first step is the start;
 * acts [T,B,4H] gates after their functions, for the backward pass. */
void lstm_forward(int T, int B, int H, const bf16 *xg, const float *bias, const bf16 *packed, bf16 *h, float *c,
                  float *acts) {
    const long n = (long)B * H;
    const int most = block_rows(B);
    int shaped = 0;
    for (int t = 0; t < T; ++t)
        for (int i = 0; i < H; i += 16)
            for (int b = 0; b < B; b += most) {
                const int u = t % 2 ? H - 16 - i : i; /* to and fro: the last weights are the nearest */
                const int rows = B - b < most ? B - b : most;
                const long at = t * n + (long)b * H, wide = 4 * at;
                const bf16 *w = packed + (long)u * H * 4;
                shaped = shape_tiles(rows, shaped);
#define CALL(R) forward_block(R, H, u, xg + wide, bias, w, h + at, c + at, h + at + n, c + at + n, acts + wide)
                FOR_ROWS(rows, CALL);
#undef CALL
            }
    release_tiles();
}

INLINE void gate_gradients(int H, int j, __m512 dh, const float *acts, const float *c_in, const float *c_out, float *dc_io,
                           bf16 *dg) {
    const __m512 one = _mm512_set1_ps(1.f);
    const __m512 i = _mm512_loadu_ps(acts + j), g = _mm512_loadu_ps(acts + H + j);
    const __m512 f = _mm512_loadu_ps(acts + 2 * H + j), o = _mm512_loadu_ps(acts + 3 * H + j);
    const __m512 tc = tanh512(_mm512_loadu_ps(c_out + j));
    const __m512 through = _mm512_mul_ps(_mm512_mul_ps(dh, o), _mm512_fnmadd_ps(tc, tc, one));
    const __m512 dc = _mm512_add_ps(_mm512_loadu_ps(dc_io + j), through);
    const __m512 d_o = _mm512_mul_ps(_mm512_mul_ps(dh, tc), _mm512_mul_ps(o, _mm512_sub_ps(one, o)));
    const __m512 d_i = _mm512_mul_ps(_mm512_mul_ps(dc, g), _mm512_mul_ps(i, _mm512_sub_ps(one, i)));
    const __m512 d_g = _mm512_mul_ps(_mm512_mul_ps(dc, i), _mm512_fnmadd_ps(g, g, one));
    const __m512 d_f =
        _mm512_mul_ps(_mm512_mul_ps(dc, _mm512_loadu_ps(c_in + j)), _mm512_mul_ps(f, _mm512_sub_ps(one, f)));
    _mm512_storeu_ps(dc_io + j, _mm512_mul_ps(dc, f));
    store_bf16(dg + j, d_i);
    store_bf16(dg + H + j, d_g);
    store_bf16(dg + 2 * H + j, d_f);
    store_bf16(dg + 3 * H + j, d_o);
}

INLINE void backward_block(const int rows, int H, int n, const bf16 *dg_next, const bf16 *w, const bf16 *dy,
                           const float *acts, const float *c_in, const float *c_out, float *dc, bf16 *dg) {
    __m512 acc[ROWS][4];
    for (int r = 0; r < rows; ++r)
        for (int g = 0; g < 4; ++g)
            acc[r][g] = load_bf16(dy + (long)r * H + n + 16 * g);
    if (dg_next)
        product(rows, 4 * H, dg_next, 4 * H, w, acc);
    for (int r = 0; r < rows; ++r)
        for (int g = 0; g < 4; ++g) {
            const long at = (long)r * H;
            gate_gradients(H, n + 16 * g, acc[r][g], acts + 4 * at, c_in + at, c_out + at, dc + at, dg + 4 * at);
        }
}

/* dy [T,B,H] gradients of the outputs; dc [B,H] zeros, scratch; dg [T,B,4H] gradients of the gates' sums. */
void lstm_backward(int T, int B, int H, const bf16 *dy, const bf16 *packed, const float *c, const float *acts, float *dc,
                   bf16 *dg) {
    const long n = (long)B * H;
    const int most = block_rows(B);
    int shaped = 0;
    for (int t = T - 1; t >= 0; --t)
        for (int i = 0; i < H; i += 64)
            for (int b = 0; b < B; b += most) {
                const int u = t % 2 ? H - 64 - i : i;
                const int rows = B - b < most ? B - b : most;
                const long at = t * n + (long)b * H, wide = 4 * at;
                const bf16 *next = t + 1 < T ? dg + wide + 4 * n : 0, *w = packed + (long)u * H * 4;
                shaped = shape_tiles(rows, shaped);
#define CALL(R)                                                                                                              \
    backward_block(R, H, u, next, w, dy + at, acts + wide, c + at, c + at + n, dc + (long)b * H, dg + wide)
                FOR_ROWS(rows, CALL);
#undef CALL
            }
    release_tiles();
}
