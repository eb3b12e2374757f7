/* SPDX-License-Identifier: Apache-2.0 */
/* The front end: audio in any chunks, queues of any length, and saved blocks that come from outside. However it is cut,
 * the windows are the same. */
#include "bytes.h"

#include "pynna.h"

enum { MOST_SAMPLES = 2000, MOST_WINDOWS = 24 };

static uint64_t hash_floats(uint64_t hash, const float *x, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        uint32_t bits;
        memcpy(&bits, x + i, sizeof bits);
        hash = (hash ^ bits) * UINT64_C(0x100000001b3);
    }
    return hash;
}

typedef struct {
    const pynna_mfcc *mfcc;
    pynna_frames *frames;
    size_t size, n_values;
    float *window;
    void *scratch;
    uint64_t hash;
    int32_t n_windows;
} channel;

static void read_windows(channel *c, int32_t most)
{
    for (; most > 0 && pynna_frames_ready(c->frames) > 0; most--) {
        MUST(pynna_frames_window(c->frames, c->window) == PYNNA_OK);
        c->hash = hash_floats(c->hash, c->window, c->n_values);
        c->n_windows++;
    }
}

/* Moves the channel through a saved block, and hands in a damaged one, which it must survive. */
static void move(channel *c, bytes *in)
{
    const size_t n_blocks = blocks.n_blocks;
    unsigned char *saved = block(c->size), *damaged = block(c->size);
    memcpy(saved, c->frames, c->size);
    memcpy(damaged, saved, c->size);
    for (uint32_t n = take8(in) % 8; n > 0; n--)
        damaged[take16(in) % (take8(in) & 1 ? 96 : c->size)] = (unsigned char)take8(in);
    if (pynna_frames_restore(c->frames, damaged, c->size) == PYNNA_OK) {
        int16_t silence[64] = {0};
        size_t taken;
        for (int i = 0; i < 3 && pynna_frames_ready(c->frames) > 0; i++)
            MUST(pynna_frames_window(c->frames, c->window) == PYNNA_OK);
        pynna_frames_feed(c->frames, c->mfcc, silence, 64, &taken, c->scratch);
        pynna_frames_finish(c->frames, c->mfcc, c->scratch);
        while (pynna_frames_ready(c->frames) > 0)
            MUST(pynna_frames_window(c->frames, c->window) == PYNNA_OK);
    }
    MUST(pynna_frames_restore(c->frames, saved, c->size - 1) == PYNNA_ERR_ARGUMENT);
    MUST(pynna_frames_restore(c->frames, saved, c->size) == PYNNA_OK);
    release(n_blocks);
}

static uint64_t hear(channel *c, const int16_t *pcm, size_t n, bytes *in, int32_t *n_windows)
{
    size_t at = 0;
    c->hash = 1;
    c->n_windows = 0;
    pynna_frames_reset(c->frames);
    while (at < n) {
        const size_t wanted = in == NULL ? n - at : take16(in) % 700, piece = wanted < n - at ? wanted : n - at;
        size_t taken = 0;
        const int status = pynna_frames_feed(c->frames, c->mfcc, pcm + at, piece, &taken, c->scratch);
        MUST(status == PYNNA_OK || (status == PYNNA_ERR_FULL && taken == 0));
        MUST(taken <= piece);
        at += taken;
        if (in != NULL && in->at == in->end)
            in = NULL;
        if (in != NULL && take8(in) % 16 == 0)
            move(c, in);
        read_windows(c, in == NULL || status == PYNNA_ERR_FULL ? INT32_MAX : (int32_t)take8(in) % 4);
    }
    MUST(pynna_frames_finish(c->frames, c->mfcc, c->scratch) == PYNNA_OK);
    MUST(pynna_frames_finish(c->frames, c->mfcc, c->scratch) == PYNNA_ERR_FINISHED);
    read_windows(c, INT32_MAX);
    *n_windows = c->n_windows;
    return c->hash;
}

static void listen(channel *c, const pynna_mfcc_config *config, bytes *in)
{
    const size_t window = (size_t)config->window, step = (size_t)config->step;
    size_t n = take16(in) % MOST_SAMPLES;
    if (n > window + MOST_WINDOWS * step)
        n = window + n % (MOST_WINDOWS * step);
    int16_t *pcm = block(n * sizeof *pcm);
    uint32_t random = take8(in), loud = take8(in) % 16;
    for (size_t i = 0; i < n; i++) {
        random = random * 1664525u + 1013904223u;
        pcm[i] = loud == 15 ? (int16_t)(random >> 31 ? 32767 : -32768) : (int16_t)((random >> 16) >> loud);
    }
    int32_t whole, pieces;
    const uint64_t a = hear(c, pcm, n, NULL, &whole), b = hear(c, pcm, n, in, &pieces);
    MUST(a == b && whole == pieces && (size_t)whole == (n < window ? 1 : (n - window) / step + 2));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    bytes in = {data, data + size};
    const int odd = take8(&in) % 16 == 15; /* any numbers at all */
    pynna_mfcc_config config = {16000,
                                64 << take_from(&in, 0, 3),
                                take_from(&in, 40, 512),
                                take_from(&in, 1, 26),
                                take_from(&in, 1, 40),
                                (float)take16(&in),
                                (float)take16(&in)};
    if (odd)
        config = (pynna_mfcc_config){take32(&in), take32(&in),        take32(&in),       take32(&in),
                                     take32(&in), take_log_prob(&in), take_log_prob(&in)};
    const int32_t n_context = odd ? take32(&in) : take_from(&in, 0, 9),
                  n_queue = odd ? take32(&in) : take_from(&in, 1, 40);
    const size_t mfcc_size = pynna_mfcc_size(&config);
    MUST((pynna_mfcc_config_error(&config) != NULL) == (mfcc_size == 0));
    if (mfcc_size == 0)
        return 0;
    void *tables = block(mfcc_size);
    channel c = {0};
    MUST(pynna_mfcc_init(tables, mfcc_size, &config, &c.mfcc) == PYNNA_OK);
    c.size = pynna_frames_size(c.mfcc, n_context, n_queue);
    if (c.size > 0 && c.size < 1 << 22) {
        void *memory = block(c.size);
        c.n_values = (size_t)(2 * n_context + 1) * (size_t)config.n_coefficients;
        c.window = block(c.n_values * sizeof(float));
        c.scratch = block(pynna_mfcc_scratch_size(c.mfcc));
        MUST(pynna_frames_init(memory, c.size, c.mfcc, n_context, n_queue, &c.frames) == PYNNA_OK);
        listen(&c, &config, &in);
    }
    release(0);
    return 0;
}
