/* SPDX-License-Identifier: Apache-2.0 */
/* One channel's audio to context windows, as the DeepSpeech client makes them.
 *
 * Two buffers stand behind one another in the object. Samples gather in `audio` until it holds a window of them; then
 * their MFCCs are appended to `rows`, and the last window - step samples stay as the beginning of the next frame.
 * `rows` begins with n_context vectors of zeros; wherever 2 * n_context + 1 rows are in it, the first of them being
 * `first`, a network's input lies there contiguously, and reading it means to move `first` on by one row. When the
 * buffer's end is reached, the rows still needed move back to its beginning; half of the buffer is spare, so this is
 * rare. */
#include "pynna.h"

#include <string.h>

typedef struct {
    uint32_t magic;                       /* frames_magic, so that a foreign block is not taken for a state */
    int32_t window, step, n_coefficients; /* of the front end */
    int32_t n_context, n_queue;
    int32_t capacity; /* rows of the buffer */
    int32_t finished; /* 0 or 1 */
    int32_t n_audio;  /* samples in `audio`, fewer than window between calls */
    int32_t first;    /* the row at which the next window starts */
    int32_t end;      /* one past the last row written */
    int32_t reserved; /* 0; the header takes 48 bytes */
} frames_header;

struct pynna_frames {
    frames_header h;
    /* int16_t audio [window], then float rows [capacity, n_coefficients] at the next multiple of 64 bytes */
};

static const uint32_t frames_magic = 0x314d5246; /* "FRM1" */

static size_t audio_offset(void)
{
    return (sizeof(frames_header) + 63) / 64 * 64;
}

static size_t rows_offset(const frames_header *h)
{
    return audio_offset() + ((size_t)h->window * sizeof(int16_t) + 63) / 64 * 64;
}

static size_t total_size(const frames_header *h)
{
    return rows_offset(h) + ((size_t)h->capacity * (size_t)h->n_coefficients * sizeof(float) + 63) / 64 * 64;
}

static int16_t *audio_of(pynna_frames *f)
{
    return (int16_t *)(void *)((unsigned char *)f + audio_offset());
}

static float *row_of(pynna_frames *f, int32_t row)
{
    float *rows = (float *)(void *)((unsigned char *)f + rows_offset(&f->h));
    return rows + (size_t)row * (size_t)f->h.n_coefficients;
}

/* A fresh stream's header. */
static frames_header plan(const pynna_mfcc_config *c, int32_t n_context, int32_t n_queue)
{
    const int32_t needed = 2 * n_context + n_queue + 1 + n_context; /* a full queue, and what finish appends */
    frames_header h = {.magic = frames_magic, .window = c->window, .step = c->step};
    h.n_coefficients = c->n_coefficients;
    h.n_context = n_context;
    h.n_queue = n_queue;
    h.capacity = 2 * needed;
    h.end = n_context;
    return h;
}

static int in_range(const pynna_mfcc *mfcc, int32_t n_context, int32_t n_queue)
{
    return mfcc && n_context >= 0 && n_context <= 64 && n_queue >= 1 && n_queue <= 65536;
}

size_t pynna_frames_size(const pynna_mfcc *mfcc, int32_t n_context, int32_t n_queue)
{
    if (!in_range(mfcc, n_context, n_queue))
        return 0;
    const frames_header h = plan(pynna_mfcc_get_config(mfcc), n_context, n_queue);
    return total_size(&h);
}

int pynna_frames_init(void *memory, size_t size, const pynna_mfcc *mfcc, int32_t n_context, int32_t n_queue,
                      pynna_frames **out)
{
    if (!memory || !out || !in_range(mfcc, n_context, n_queue))
        return PYNNA_ERR_ARGUMENT;
    if ((uintptr_t)memory % 64 || size < pynna_frames_size(mfcc, n_context, n_queue))
        return PYNNA_ERR_MEMORY;
    pynna_frames *f = memory;
    f->h = plan(pynna_mfcc_get_config(mfcc), n_context, n_queue);
    pynna_frames_reset(f);
    *out = f;
    return PYNNA_OK;
}

void pynna_frames_reset(pynna_frames *f)
{
    if (!f)
        return;
    /* All is cleared: a saved stream must not carry an earlier speaker's audio. */
    frames_header h = f->h;
    h.finished = h.n_audio = h.first = 0;
    h.end = h.n_context;
    memset(f, 0, total_size(&h));
    f->h = h;
}

int32_t pynna_frames_ready(const pynna_frames *f)
{
    if (!f)
        return 0;
    const int32_t n = f->h.end - f->h.first - 2 * f->h.n_context;
    return n > 0 ? n : 0;
}

/* n more rows, zeroed, behind the last; they always fit: see plan. */
static float *append_rows(pynna_frames *f, int32_t n)
{
    frames_header *h = &f->h;
    const size_t row_bytes = (size_t)h->n_coefficients * sizeof(float);
    if (h->end + n > h->capacity) {
        memmove(row_of(f, 0), row_of(f, h->first), (size_t)(h->end - h->first) * row_bytes);
        h->end -= h->first;
        h->first = 0;
    }
    float *rows = row_of(f, h->end);
    memset(rows, 0, (size_t)n * row_bytes);
    h->end += n;
    return rows;
}

/* Errors that feed and finish share. */
static int check_call(const pynna_frames *f, const pynna_mfcc *mfcc, const void *scratch)
{
    if (!f || !mfcc || !scratch)
        return PYNNA_ERR_ARGUMENT;
    const pynna_mfcc_config *c = pynna_mfcc_get_config(mfcc);
    if (f->h.window != c->window || f->h.step != c->step || f->h.n_coefficients != c->n_coefficients)
        return PYNNA_ERR_ARGUMENT;
    if ((uintptr_t)scratch % 64)
        return PYNNA_ERR_MEMORY;
    return f->h.finished ? PYNNA_ERR_FINISHED : PYNNA_OK;
}

int pynna_frames_feed(pynna_frames *f, const pynna_mfcc *mfcc, const int16_t *pcm, size_t n_samples, size_t *n_consumed,
                      void *scratch)
{
    const int status = n_consumed && (pcm || !n_samples) ? check_call(f, mfcc, scratch) : PYNNA_ERR_ARGUMENT;
    if (status)
        return status;
    if (n_samples && pynna_frames_ready(f) >= f->h.n_queue)
        return PYNNA_ERR_FULL;
    const int32_t window = f->h.window, step = f->h.step;
    int16_t *audio = audio_of(f);
    size_t done = 0;
    while (done < n_samples && pynna_frames_ready(f) < f->h.n_queue) {
        const size_t missing = (size_t)(window - f->h.n_audio), left = n_samples - done;
        const size_t n = left < missing ? left : missing;
        memcpy(audio + f->h.n_audio, pcm + done, n * sizeof *pcm);
        done += n;
        f->h.n_audio += (int32_t)n;
        if (f->h.n_audio < window)
            break;
        pynna_mfcc_frame(mfcc, audio, append_rows(f, 1), scratch);
        memmove(audio, audio + step, (size_t)(window - step) * sizeof *audio);
        f->h.n_audio = window - step;
    }
    *n_consumed = done;
    return PYNNA_OK;
}

int pynna_frames_finish(pynna_frames *f, const pynna_mfcc *mfcc, void *scratch)
{
    const int status = check_call(f, mfcc, scratch);
    if (status)
        return status;
    int16_t *audio = audio_of(f);
    memset(audio + f->h.n_audio, 0, (size_t)(f->h.window - f->h.n_audio) * sizeof *audio);
    pynna_mfcc_frame(mfcc, audio, append_rows(f, 1 + f->h.n_context), scratch);
    f->h.n_audio = 0;
    f->h.finished = 1;
    return PYNNA_OK;
}

const float *pynna_frames_peek(const pynna_frames *f)
{
    /* row_of serves writers too; the rows are const from here on. */
    return pynna_frames_ready(f) ? row_of((pynna_frames *)(uintptr_t)f, f->h.first) : NULL;
}

int pynna_frames_advance(pynna_frames *f, int32_t n)
{
    if (!f || n < 0 || n > pynna_frames_ready(f))
        return PYNNA_ERR_ARGUMENT;
    f->h.first += n;
    return PYNNA_OK;
}

int pynna_frames_window(pynna_frames *f, float *x)
{
    const float *next = x ? pynna_frames_peek(f) : NULL;
    if (!next)
        return PYNNA_ERR_ARGUMENT;
    memcpy(x, next, (size_t)(2 * f->h.n_context + 1) * (size_t)f->h.n_coefficients * sizeof *x);
    return pynna_frames_advance(f, 1);
}

int pynna_frames_restore(pynna_frames *f, const void *saved, size_t size)
{
    frames_header s;
    if (!f || !saved || size != total_size(&f->h))
        return PYNNA_ERR_ARGUMENT;
    memcpy(&s, saved, sizeof s);
    const frames_header *h = &f->h;
    if (s.magic != h->magic || s.window != h->window || s.step != h->step || s.n_coefficients != h->n_coefficients
        || s.n_context != h->n_context || s.n_queue != h->n_queue || s.capacity != h->capacity || s.reserved)
        return PYNNA_ERR_ARGUMENT;
    if (s.finished < 0 || s.finished > 1 || s.n_audio < 0 || s.n_audio >= s.window || s.first < 0 || s.end > s.capacity)
        return PYNNA_ERR_ARGUMENT;
    /* More unread windows than a full queue and its finish would leave append_rows without room. */
    const int32_t most = 2 * s.n_context + s.n_queue + (s.finished ? 1 + s.n_context : 0);
    if (s.end - (int64_t)s.first < s.n_context || s.end - s.first > most)
        return PYNNA_ERR_ARGUMENT;
    memmove(f, saved, size);
    return PYNNA_OK;
}
