/* SPDX-License-Identifier: Apache-2.0 */
/* What is timed, and the machine's limits that it is held against. Built on the fly for this very machine, never
 * shipped. Every function fills seconds [repeats], one for each run. */
#define _GNU_SOURCE
#include "pynna.h"

#include <pthread.h>
#include <stdatomic.h>
#include <string.h>
#include <time.h>
#if defined(__x86_64__)
#include <immintrin.h>
#elif defined(__aarch64__)
#include <arm_neon.h>
#endif

enum { MAX_THREADS = 64, CHAINS = 12 };

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

/* ---- what is timed ---------------------------------------------------------------------------------------------- */

int bench_step(pynna_workspace *workspace, pynna_pool *pool, int32_t n_channels, int32_t n_steps,
               const pynna_channel *channels, int32_t repeats, double *seconds)
{
    for (int32_t i = 0; i < repeats; i++) {
        double start = now();
        int status = pynna_step(workspace, pool, n_channels, n_steps, channels);
        seconds[i] = now() - start;
        if (status != PYNNA_OK)
            return status;
    }
    return PYNNA_OK;
}

/* The kernel over n_copies of a layer's weights, one behind the other: more than the caches hold, or one copy for warm
 * ones. A run goes over all copies. */
int bench_mac(const char *isa, const int8_t *weights, int32_t weight_bits, int32_t layout, const int32_t *row_sum,
              int32_t n_copies, int32_t n_blocks, int32_t n_groups, const uint8_t *u, size_t u_stride,
              int32_t n_columns, int32_t *acc, int32_t repeats, double *seconds)
{
    const size_t n_lines = (size_t)n_groups * (size_t)weight_bits / 8;
    const size_t copy = (size_t)n_blocks * 64 * (n_lines + (layout ? (n_lines + 31) / 32 : 0));
    for (int32_t i = 0; i < repeats; i++) {
        double start = now();
        for (int32_t k = 0; k < n_copies; k++) {
            int status = pynna_mac(isa, weights + (size_t)k * copy, weight_bits, layout, row_sum, n_blocks, n_groups, u,
                                   u_stride, n_columns, acc);
            if (status != PYNNA_OK)
                return status;
        }
        seconds[i] = now() - start;
    }
    return PYNNA_OK;
}

/* MFCCs of n_frames frames. */
int bench_mfcc(const pynna_mfcc *mfcc, const int16_t *pcm, int32_t n_frames, float *out, void *scratch, int32_t repeats,
               double *seconds)
{
    const pynna_mfcc_config *c = pynna_mfcc_get_config(mfcc);
    for (int32_t i = 0; i < repeats; i++) {
        double start = now();
        for (int32_t k = 0; k < n_frames; k++) {
            int status = pynna_mfcc_frame(mfcc, pcm + (size_t)k * (size_t)c->step, out, scratch);
            if (status != PYNNA_OK)
                return status;
        }
        seconds[i] = now() - start;
    }
    return PYNNA_OK;
}

/* A beam search over log_probs, fed frame by frame and its labels taken as by a stream. */
int bench_ctc(pynna_ctc *decoder, const float *log_probs, int32_t n_frames, int32_t n_labels, pynna_ctc_token *tokens,
              int32_t max_tokens, int32_t repeats, double *seconds)
{
    for (int32_t i = 0; i < repeats; i++) {
        int status = pynna_ctc_reset(decoder);
        double start = now();
        for (int32_t k = 0; k < n_frames && status == PYNNA_OK; k++) {
            int32_t n;
            status = pynna_ctc_feed(decoder, log_probs + (size_t)k * (size_t)n_labels, 1);
            if (status == PYNNA_OK)
                status = pynna_ctc_take(decoder, max_tokens, tokens, &n);
        }
        seconds[i] = now() - start;
        if (status != PYNNA_OK)
            return status;
    }
    return PYNNA_OK;
}

/* One channel from PCM to text, decoded greedily. */
typedef struct bench_stream {
    pynna_frames *frames;
    pynna_ctc_greedy greedy;
    const int16_t *pcm;   /* n_samples of it, fed again and again */
    size_t n_samples, at; /* multiples of the step */
    char text[4096];      /* begun anew when it is full */
    size_t n_text;
} bench_stream;

/* Feeds a step of audio; at the beginning as many as the first window needs. */
static int feed(bench_stream *s, const pynna_mfcc *mfcc, void *scratch)
{
    const size_t step = (size_t)pynna_mfcc_get_config(mfcc)->step;
    do {
        size_t taken;
        int status = pynna_frames_feed(s->frames, mfcc, s->pcm + s->at, step, &taken, scratch);
        if (status != PYNNA_OK)
            return status;
        s->at = (s->at + step) % s->n_samples;
    } while (pynna_frames_ready(s->frames) == 0);
    return PYNNA_OK;
}

static int read_text(bench_stream *s, const pynna_model *model, const float *log_probs)
{
    pynna_ctc_token token;
    int32_t n;
    int status = pynna_ctc_greedy_feed(&s->greedy, log_probs, 1, &token, &n);
    if (status != PYNNA_OK || n == 0)
        return status;
    const char *label = pynna_model_label(model, token.label);
    size_t size = strlen(label);
    s->n_text = s->n_text + size < sizeof s->text ? s->n_text : 0;
    memcpy(s->text + s->n_text, label, size + 1);
    s->n_text += size;
    return PYNNA_OK;
}

/* A run is a step of every channel: 20 ms of audio each to its MFCC, its window, the network, greedy text. */
int bench_pipeline(const pynna_model *model, const pynna_mfcc *mfcc, void *scratch, pynna_workspace *workspace,
                   pynna_pool *pool, int32_t n_channels, struct bench_stream *streams, pynna_channel *channels,
                   int32_t repeats, double *seconds)
{
    for (int32_t i = 0; i < repeats; i++) {
        double start = now();
        int status = PYNNA_OK;
        for (int32_t j = 0; j < n_channels && status == PYNNA_OK; j++) {
            status = feed(&streams[j], mfcc, scratch);
            channels[j].x = pynna_frames_peek(streams[j].frames);
        }
        if (status == PYNNA_OK)
            status = pynna_step(workspace, pool, n_channels, 1, channels);
        for (int32_t j = 0; j < n_channels && status == PYNNA_OK; j++) {
            pynna_frames_advance(streams[j].frames, 1);
            status = read_text(&streams[j], model, channels[j].log_probs);
        }
        seconds[i] = now() - start;
        if (status != PYNNA_OK)
            return status;
    }
    return PYNNA_OK;
}

/* ---- threads that start together --------------------------------------------------------------------------------- */

typedef struct {
    void (*work)(void *argument, int32_t thread, int32_t n_threads);
    void *argument;
    int32_t n_threads;
    atomic_int arrived, left;
} crew;

typedef struct {
    crew *crew;
    int32_t thread;
    double start, end;
} member;

static void *run_member(void *p)
{
    member *m = p;
    crew *c = m->crew;
    atomic_fetch_add(&c->arrived, 1);
    while (atomic_load(&c->arrived) < c->n_threads)
        ;
    m->start = now();
    c->work(c->argument, m->thread, c->n_threads);
    m->end = now();
    return NULL;
}

/* Seconds from the first one's start to the last one's end; negative if a thread cannot be had. */
static double run_crew(void (*work)(void *, int32_t, int32_t), void *argument, int32_t n_threads)
{
    crew c = {work, argument, n_threads, 0, 0};
    member members[MAX_THREADS];
    pthread_t ids[MAX_THREADS];
    if (n_threads < 1 || n_threads > MAX_THREADS)
        return -1.0;
    for (int32_t i = 0; i < n_threads; i++)
        members[i] = (member){&c, i, 0.0, 0.0};
    for (int32_t i = 1; i < n_threads; i++)
        if (pthread_create(&ids[i], NULL, run_member, &members[i]) != 0) {
            atomic_store(&c.arrived, n_threads); /* let those go that wait */
            for (int32_t k = 1; k < i; k++)
                pthread_join(ids[k], NULL);
            return -1.0;
        }
    run_member(&members[0]);
    double start = members[0].start, end = members[0].end;
    for (int32_t i = 1; i < n_threads; i++) {
        pthread_join(ids[i], NULL);
        start = members[i].start < start ? members[i].start : start;
        end = members[i].end > end ? members[i].end : end;
    }
    return end - start;
}

/* ---- limit: bytes a second --------------------------------------------------------------------------------------- */

typedef struct {
    const uint8_t *bytes;
    size_t size;
    atomic_uint sink; /* keeps the compiler from leaving the reading out */
} reading;

static void read_share(void *argument, int32_t thread, int32_t n_threads)
{
    reading *r = argument;
    size_t lines = r->size / 256, from = lines * (size_t)thread / (size_t)n_threads;
    size_t to = lines * (size_t)(thread + 1) / (size_t)n_threads;
    typedef uint64_t v8 __attribute__((vector_size(64)));
    v8 sum[4] = {{0}, {0}, {0}, {0}};
    for (size_t i = from; i < to; i++) {
        const uint8_t *p = r->bytes + 256 * i;
        for (int k = 0; k < 4; k++) {
            v8 v; /* no prefetch by hand: the processor's own is faster alone */
            memcpy(&v, p + 64 * k, sizeof v);
            sum[k] |= v;
        }
    }
    sum[0] |= sum[1] | sum[2] | sum[3];
    atomic_fetch_or(&r->sink, (unsigned)(sum[0][0] ^ sum[0][3] ^ sum[0][7]));
}

int bench_read(const uint8_t *bytes, size_t size, int32_t n_threads, int32_t repeats, double *seconds)
{
    reading r = {bytes, size, 0};
    for (int32_t i = 0; i < repeats; i++)
        if ((seconds[i] = run_crew(read_share, &r, n_threads)) < 0.0)
            return PYNNA_ERR_ARGUMENT;
    return PYNNA_OK;
}

/* ---- limit: multiply-accumulates a second ------------------------------------------------------------------------ */

/* Registers only, CHAINS independent sums, so that neither memory nor latency counts. The sums have names of their own:
 * compilers keep an array in memory. The empty asm keeps them from merging what they see to be equal. */
#define EACH(X) X(0) X(1) X(2) X(3) X(4) X(5) X(6) X(7) X(8) X(9) X(10) X(11)
#if defined(__x86_64__)
#define KEEP(v) __asm__ volatile("" : "+v"(v))
__attribute__((target("avx512f,avx512bw,avx512vnni"))) static void macs_avx512vnni(void *argument, int32_t thread,
                                                                                   int32_t n_threads)
{
    int64_t rounds = *(const int64_t *)argument;
    __m512i u = _mm512_set1_epi8((char)(thread + 3)), w = _mm512_set1_epi8((char)n_threads);
#define START(k) __m512i sum##k = _mm512_setzero_si512();
#define MAC(k)                                                                                                         \
    sum##k = _mm512_dpbusd_epi32(sum##k, u, w);                                                                        \
    KEEP(sum##k);
    EACH(START)
    for (int64_t i = 0; i < rounds; i++) {
        EACH(MAC)
    }
#undef START
#undef MAC
}

#if defined(__clang__) ? __clang_major__ >= 12 : __GNUC__ >= 11
#define HAS_AVXVNNI 1
__attribute__((target("avx2,avxvnni"))) static void macs_avxvnni(void *argument, int32_t thread, int32_t n_threads)
{
    int64_t rounds = *(const int64_t *)argument;
    __m256i u = _mm256_set1_epi8((char)(thread + 3)), w = _mm256_set1_epi8((char)n_threads);
#define START(k) __m256i sum##k = _mm256_setzero_si256();
#define MAC(k)                                                                                                         \
    sum##k = _mm256_dpbusd_avx_epi32(sum##k, u, w);                                                                    \
    KEEP(sum##k);
    EACH(START)
    for (int64_t i = 0; i < rounds; i++) {
        EACH(MAC)
    }
#undef START
#undef MAC
}
#endif

#if defined(__linux__) && (defined(__clang__) ? __clang_major__ >= 12 : __GNUC__ >= 11)
#define HAS_AMX 1
/* Twelve products in six tiles of sums, 16 by 16 by 64 each; the core has asked the system for tiles before. */
__attribute__((target("amx-tile,amx-int8"))) static void macs_amx(void *argument, int32_t thread, int32_t n_threads)
{
    int64_t rounds = *(const int64_t *)argument;
    uint8_t shapes[64] = {1};
    for (int t = 0; t < 8; t++) {
        shapes[16 + 2 * t] = 64;
        shapes[48 + t] = 16;
    }
    (void)thread;
    (void)n_threads;
    __asm__ volatile("" ::: "memory"); /* gcc does not know all that the next one reads */
    _tile_loadconfig(shapes);
    for (int64_t i = 0; i < 2 * rounds; i++) {
        _tile_dpbusd(0, 6, 7);
        _tile_dpbusd(1, 6, 7);
        _tile_dpbusd(2, 6, 7);
        _tile_dpbusd(3, 6, 7);
        _tile_dpbusd(4, 6, 7);
        _tile_dpbusd(5, 6, 7);
    }
    _tile_release();
}
#endif

/* What is exact without VNNI: 16-bit products, summed in pairs by the multiplication, then added. */
__attribute__((target("avx2"))) static void macs_avx2(void *argument, int32_t thread, int32_t n_threads)
{
    int64_t rounds = *(const int64_t *)argument;
    __m256i u = _mm256_set1_epi16((short)(thread + 3)), w = _mm256_set1_epi16((short)n_threads);
#define START(k) __m256i sum##k = _mm256_setzero_si256();
#define MAC(k)                                                                                                         \
    KEEP(u);                                                                                                           \
    sum##k = _mm256_add_epi32(sum##k, _mm256_madd_epi16(u, w));                                                        \
    KEEP(sum##k);
    EACH(START)
    for (int64_t i = 0; i < rounds; i++) {
        EACH(MAC)
    }
#undef START
#undef MAC
}
#elif defined(__aarch64__)
#define KEEP(v) __asm__ volatile("" : "+w"(v))
#define LOOP(name, arch, mac)                                                                                          \
    __attribute__((target(arch))) static void name(void *argument, int32_t thread, int32_t n_threads)                  \
    {                                                                                                                  \
        int64_t rounds = *(const int64_t *)argument;                                                                   \
        int8x16_t u = vdupq_n_s8((int8_t)(thread + 3)), w = vdupq_n_s8((int8_t)n_threads);                             \
        EACH(START)                                                                                                    \
        for (int64_t i = 0; i < rounds; i++) {                                                                         \
            EACH(mac)                                                                                                  \
        }                                                                                                              \
    }
#define START(k) int32x4_t sum##k = vdupq_n_s32(0);
/* Two products of 8 bits fit into 16; then they are added up in pairs. */
#define MAC_NEON(k)                                                                                                    \
    KEEP(u);                                                                                                           \
    sum##k = vpadalq_s16(sum##k, vmlal_high_s8(vmull_s8(vget_low_s8(u), vget_low_s8(w)), u, w));                       \
    KEEP(sum##k);
#define MAC_DOT(k)                                                                                                     \
    sum##k = vdotq_s32(sum##k, u, w);                                                                                  \
    KEEP(sum##k);
#define MAC_I8MM(k)                                                                                                    \
    sum##k = vmmlaq_s32(sum##k, u, w);                                                                                 \
    KEEP(sum##k);
LOOP(macs_neon, "arch=armv8-a", MAC_NEON)
#if !defined(__clang__) || __clang_major__ >= 16
#define HAS_DOT 1
LOOP(macs_dot, "arch=armv8.2-a+dotprod", MAC_DOT)
LOOP(macs_i8mm, "arch=armv8.2-a+i8mm", MAC_I8MM)
#endif
#endif

static const struct {
    const char *isa;
    void (*work)(void *, int32_t, int32_t);
    double macs; /* in a round of one chain */
} peaks[] = {
#if defined(__x86_64__)
#ifdef HAS_AMX
    {"amx",        macs_amx,        16384.0},
#endif
    {"avx512vnni", macs_avx512vnni, 64.0   },
#ifdef HAS_AVXVNNI
    {"avxvnni",    macs_avxvnni,    32.0   },
#endif
    {"avx2",       macs_avx2,       16.0   },
#elif defined(__aarch64__)
    {"neon", macs_neon, 16.0},
#ifdef HAS_DOT
    {"neondot", macs_dot, 16.0},
    {"neoni8mm", macs_i8mm, 32.0},
#endif
#endif
    {"",           NULL,            0.0    },
};

/* MACs of one round on one thread; 0 where no loop is written for the instruction set. */
double bench_peak_macs(const char *isa)
{
    for (size_t p = 0; peaks[p].work; p++)
        if (strcmp(peaks[p].isa, isa) == 0)
            return peaks[p].macs * CHAINS;
    return 0.0;
}

/* That many rounds on each thread. PYNNA_ERR_ISA where no loop is written for the instruction set. */
int bench_peak(const char *isa, int32_t n_threads, int64_t rounds, int32_t repeats, double *seconds)
{
    for (size_t p = 0; peaks[p].work; p++) {
        if (strcmp(peaks[p].isa, isa) != 0)
            continue;
        for (int32_t i = 0; i < repeats; i++)
            if ((seconds[i] = run_crew(peaks[p].work, &rounds, n_threads)) < 0.0)
                return PYNNA_ERR_ARGUMENT;
        return PYNNA_OK;
    }
    return PYNNA_ERR_ISA;
}
