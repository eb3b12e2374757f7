/* SPDX-License-Identifier: Apache-2.0 */
/* The front end: one frame of PCM to its mel-frequency cepstral coefficients, as TensorFlow's ops compute them.
 *
 *   pcm [window] -> windowed, as window / 2 complex points -> FFT -> amplitudes of the bins in use -> mel bands
 *     -> logarithms -> DCT -> out [n_coefficients]
 *
 * Everything is in double but two roundings that TensorFlow has too: a bin's power and the output are float. Every sum
 * has one order, and sine, cosine and logarithm are this file's own, so all machines give the same bits; the build must
 * not contract or reassociate (-ffp-contract=off, no -ffast-math). Loops run over contiguous arrays, real and imaginary
 * parts apart, so that a compiler can vectorise them as they stand. doc/front-end.md tells the arithmetic. */
#include "pynna.h"

#include <float.h>
#include <math.h>
#include <string.h>

#ifdef __FAST_MATH__
#error "the front end is defined to the bit: build it without -ffast-math"
#endif
_Static_assert(FLT_EVAL_METHOD == 0 || FLT_EVAL_METHOD == 16, "double arithmetic must be done in double");

static const double pi = 0x1.921fb54442d18p+1;
static const double log_floor = 1e-12;   /* a mel band's least value */
static const float power_floor = 1e-36f; /* less is 0: no denormals, so flush-to-zero modes change nothing */

struct pynna_mfcc {
    pynna_mfcc_config config;
    int32_t n_points;            /* of the complex FFT, window / 2 */
    int32_t first_bin;           /* of the real spectrum; bin 0, the mean, is never used */
    int32_t n_bins;              /* in use */
    int32_t dct_stride;          /* n_coefficients rounded up to 8 */
    double *even, *odd;          /* [n_points] each: the Hann window over 65536, at even and at odd samples */
    double *twiddle;             /* for each radix-4 stage over n points: w, w^2, w^3 as re, im: [6, n / 4] */
    double *split_re, *split_im; /* [n_bins] exp(-2 pi i k / window) of the bins in use */
    double *weight;              /* [n_bins] a bin's share that goes to the band on its left; the rest to its right */
    int32_t *edge;               /* [n_mel + 2] band b gets the rest of bins edge[b].. and the share of edge[b + 1].. */
    double *dct;                 /* [n_mel, dct_stride] */
};

typedef struct {
    double *re, *im;   /* [n_points + 1] each: a signal or its spectrum, with room to repeat the first point */
    double *re2, *im2; /* likewise: the stages of the FFT go to and fro */
} fft_buffers;

/* ---- elementary functions, by ordered double arithmetic, each good to about one unit in the last place ---- */

static double sin_octant(double x) /* 0 <= x <= pi / 4 */
{
    const double z = x * x;
    double s = 1.0 / 355687428096000.0; /* 1 / 17!, then down the Taylor series */
    s = s * z - 1.0 / 1307674368000.0;
    s = s * z + 1.0 / 6227020800.0;
    s = s * z - 1.0 / 39916800.0;
    s = s * z + 1.0 / 362880.0;
    s = s * z - 1.0 / 5040.0;
    s = s * z + 1.0 / 120.0;
    s = s * z - 1.0 / 6.0;
    return x + x * z * s;
}

static double cos_octant(double x)
{
    const double z = x * x;
    double c = 1.0 / 20922789888000.0; /* 1 / 16! */
    c = c * z - 1.0 / 87178291200.0;
    c = c * z + 1.0 / 479001600.0;
    c = c * z - 1.0 / 3628800.0;
    c = c * z + 1.0 / 40320.0;
    c = c * z - 1.0 / 720.0;
    c = c * z + 1.0 / 24.0;
    return 1.0 - (0.5 * z - z * z * c);
}

/* cos(2 pi a / n), folded into the first octant in integers, where nothing is lost. */
static double cos_turn(int64_t a, int64_t n)
{
    const int64_t turn = 8 * n, half = 4 * n, quarter = 2 * n, octant = n;
    int64_t r = 8 * (((a % n) + n) % n);
    if (r > half)
        r = turn - r;
    const int negative = r > quarter;
    if (negative)
        r = half - r;
    const double c = r <= octant ? cos_octant(2 * pi * (double)r / (double)turn)
                                 : sin_octant(2 * pi * (double)(quarter - r) / (double)turn);
    return negative ? -c : c;
}

static double sin_turn(int64_t a, int64_t n)
{
    return cos_turn(4 * a - n, 4 * n);
}

static uint64_t bits_of(double x)
{
    uint64_t u;
    memcpy(&u, &x, sizeof u);
    return u;
}

static double of_bits(uint64_t u)
{
    double x;
    memcpy(&x, &u, sizeof x);
    return x;
}

/* ln x of a positive, normal x = m 2^k, m in [sqrt 1/2, sqrt 2): k ln 2 + 2 artanh s with s = (m - 1) / (m + 1). No
 * branch, no table, 64-bit integers only added, masked and shifted left or logically right, so that it vectorises. */
static inline double log_positive(double x)
{
    const double ln2_hi = 0x1.62e42fefa3800p-1, ln2_lo = 0x1.ef35793c76730p-45; /* k ln2_hi is exact */
    const uint64_t u = bits_of(x);
    const uint64_t biased = (u - UINT64_C(0x3fe6a09e667f3bcd) + (UINT64_C(1024) << 52)) >> 52; /* k + 1024 */
    const double k = of_bits(biased | UINT64_C(0x4330000000000000)) - (0x1p52 + 1024.0);
    const double f = of_bits(u - (biased << 52) + (UINT64_C(1024) << 52)) - 1.0;
    const double s = f / (2.0 + f), z = s * s;
    double r = 2.0 / 21.0;
    r = r * z + 2.0 / 19.0;
    r = r * z + 2.0 / 17.0;
    r = r * z + 2.0 / 15.0;
    r = r * z + 2.0 / 13.0;
    r = r * z + 2.0 / 11.0;
    r = r * z + 2.0 / 9.0;
    r = r * z + 2.0 / 7.0;
    r = r * z + 2.0 / 5.0;
    r = r * z + 2.0 / 3.0;
    r = r * z;
    return k * ln2_hi + (f - (s * (f - r) - k * ln2_lo)); /* 2 s = f - s f */
}

/* ---- building the tables ---- */

static double mel(double hz)
{
    return 1127.0 * log_positive(1.0 + hz / 700.0);
}

/* The sizes, bins counted as TensorFlow rounds them; the tables are not laid out yet. */
static pynna_mfcc plan(const pynna_mfcc_config *config)
{
    const double hz_per_bin = 0.5 * config->sample_rate / (config->window / 2);
    pynna_mfcc m = {.config = *config};
    m.n_points = config->window / 2;
    m.dct_stride = (config->n_coefficients + 7) / 8 * 8;
    m.first_bin = (int32_t)(1.5 + config->lower_hz / hz_per_bin);
    m.n_bins = (int32_t)(config->upper_hz / hz_per_bin) - m.first_bin + 1;
    return m;
}

const char *pynna_mfcc_config_error(const pynna_mfcc_config *c)
{
    if (!c)
        return "there is no configuration";
    if (c->sample_rate < 1000 || c->sample_rate > 384000)
        return "sample_rate must be from 1000 to 384000 Hz";
    if (c->window < 64 || c->window > 4096 || (c->window & (c->window - 1)))
        return "window must be a power of two from 64 to 4096 samples";
    if (c->step < 1 || c->step > c->window)
        return "step must be from 1 sample to window";
    if (c->n_mel < 1 || c->n_mel > 128)
        return "n_mel must be from 1 to 128";
    if (c->n_coefficients < 1 || c->n_coefficients > c->n_mel)
        return "n_coefficients must be from 1 to n_mel";
    if (!(c->lower_hz >= 0))
        return "lower_hz must be 0 or more";
    if (!(c->upper_hz > c->lower_hz && c->upper_hz <= 0.5 * c->sample_rate))
        return "upper_hz must be above lower_hz and at most half the sample rate";
    if (plan(c).n_bins < 1)
        return "no bin of the spectrum lies between lower_hz and upper_hz";
    return NULL;
}

static double *take(unsigned char *base, size_t *used, size_t n_doubles)
{
    double *p = base ? (double *)(void *)(base + *used) : NULL;
    *used += (n_doubles * sizeof(double) + 63) / 64 * 64;
    return p;
}

/* Where everything lies behind the struct at `base`; with base NULL it only measures. Returns the bytes in all. */
static size_t lay_out(pynna_mfcc *m, unsigned char *base)
{
    size_t used = (sizeof *m + 63) / 64 * 64, n_twiddles = 0;
    for (int32_t n = m->n_points; n >= 4; n /= 4)
        n_twiddles += 6 * (size_t)(n / 4);
    m->even = take(base, &used, (size_t)m->n_points);
    m->odd = take(base, &used, (size_t)m->n_points);
    m->twiddle = take(base, &used, n_twiddles);
    m->split_re = take(base, &used, (size_t)m->n_bins);
    m->split_im = take(base, &used, (size_t)m->n_bins);
    m->weight = take(base, &used, (size_t)m->n_bins);
    m->dct = take(base, &used, (size_t)m->config.n_mel * (size_t)m->dct_stride);
    m->edge = (int32_t *)(void *)take(base, &used, (size_t)m->config.n_mel + 2);
    return used;
}

static void fill_window(pynna_mfcc *m)
{
    const int32_t n = m->config.window;
    /* 1 / 32768 for the samples; 1 / 2 for the sums of two in split_power: powers of two, so nothing is lost. */
    for (int32_t i = 0; i < n; i++)
        (i % 2 ? m->odd : m->even)[i / 2] = (0.5 - 0.5 * cos_turn(i, n)) / 65536.0;
}

static void fill_twiddles(pynna_mfcc *m)
{
    double *t = m->twiddle;
    for (int32_t n = m->n_points; n >= 4; n /= 4)
        for (int32_t power = 1; power <= 3; power++, t += 2 * (n / 4))
            for (int32_t p = 0; p < n / 4; p++) {
                t[p] = cos_turn(power * p, n);
                t[n / 4 + p] = -sin_turn(power * p, n);
            }
}

static void fill_split(pynna_mfcc *m)
{
    for (int32_t i = 0; i < m->n_bins; i++) {
        m->split_re[i] = cos_turn(m->first_bin + i, m->config.window);
        m->split_im[i] = -sin_turn(m->first_bin + i, m->config.window);
    }
}

/* n_mel triangles; the peaks stand evenly on the mel scale, each at its neighbours' feet. A bin between the peaks of
 * bands b - 1 and b gives the share `weight` to b - 1, the rest to b. */
static void fill_bands(pynna_mfcc *m)
{
    const double hz_per_bin = 0.5 * m->config.sample_rate / (double)m->n_points;
    const double low = mel(m->config.lower_hz);
    const double spacing = (mel(m->config.upper_hz) - low) / (double)(m->config.n_mel + 1);
    int32_t b = 0; /* the band whose peak is next on the right */
    m->edge[0] = 0;
    for (int32_t i = 0; i < m->n_bins; i++) {
        const double at = mel((m->first_bin + i) * hz_per_bin);
        while (b < m->config.n_mel && low + spacing * (b + 1) < at)
            m->edge[++b] = i;
        const double left = b ? low + spacing * b : low, right = low + spacing * (b + 1);
        m->weight[i] = (right - at) / (right - left);
    }
    while (b < m->config.n_mel + 1)
        m->edge[++b] = m->n_bins;
}

static void fill_dct(pynna_mfcc *m)
{
    const int32_t n = m->config.n_mel, stride = m->dct_stride;
    const double norm = sqrt(2.0 / n);
    for (int32_t j = 0; j < n; j++)
        for (int32_t i = 0; i < stride; i++)
            m->dct[j * stride + i] = i < m->config.n_coefficients ? norm * cos_turn(i * (2 * j + 1), 4 * n) : 0.0;
}

size_t pynna_mfcc_size(const pynna_mfcc_config *config)
{
    if (pynna_mfcc_config_error(config))
        return 0;
    pynna_mfcc m = plan(config);
    return lay_out(&m, NULL);
}

int pynna_mfcc_init(void *memory, size_t size, const pynna_mfcc_config *config, const pynna_mfcc **out)
{
    if (!memory || !out || pynna_mfcc_config_error(config))
        return PYNNA_ERR_ARGUMENT;
    if ((uintptr_t)memory % 64 || size < pynna_mfcc_size(config))
        return PYNNA_ERR_MEMORY;
    pynna_mfcc *m = memory;
    *m = plan(config);
    lay_out(m, memory);
    fill_window(m);
    fill_twiddles(m);
    fill_split(m);
    fill_bands(m);
    fill_dct(m);
    *out = m;
    return PYNNA_OK;
}

const pynna_mfcc_config *pynna_mfcc_get_config(const pynna_mfcc *mfcc)
{
    return mfcc ? &mfcc->config : NULL;
}

/* ---- a frame ---- */

/* Even samples become the real parts, odd samples the imaginary ones. */
static void apply_window(const double *restrict even, const double *restrict odd, const int16_t *restrict pcm,
                         double *restrict re, double *restrict im, int32_t n)
{
    for (int32_t i = 0; i < n; i++) {
        re[i] = pcm[2 * i] * even[i];
        im[i] = pcm[2 * i + 1] * odd[i];
    }
}

typedef struct {
    double r0, i0, r1, i1, r2, i2, r3, i3;
} four_points;

/* The DFT of four points, of which the last three are then turned by w, w^2 and w^3, (wNr, wNi). */
static inline four_points butterfly(four_points x, double w1r, double w1i, double w2r, double w2i, double w3r,
                                    double w3i)
{
    const double sum02r = x.r0 + x.r2, sum02i = x.i0 + x.i2, dif02r = x.r0 - x.r2, dif02i = x.i0 - x.i2;
    const double sum13r = x.r1 + x.r3, sum13i = x.i1 + x.i3, dif13r = x.r1 - x.r3, dif13i = x.i1 - x.i3;
    const double r1 = dif02r + dif13i, i1 = dif02i - dif13r;
    const double r2 = sum02r - sum13r, i2 = sum02i - sum13i;
    const double r3 = dif02r - dif13i, i3 = dif02i + dif13r;
    return (four_points){sum02r + sum13r,     sum02i + sum13i,     r1 * w1r - i1 * w1i, r1 * w1i + i1 * w1r,
                         r2 * w2r - i2 * w2i, r2 * w2i + i2 * w2r, r3 * w3r - i3 * w3i, r3 * w3i + i3 * w3r};
}

/* The first stage of the self-sorting FFT, where each point has a turn of its own: x [4, m] to y [m, 4]. w [6, m]. */
static void stage4_first(const double *restrict w, const double *restrict xr, const double *restrict xi,
                         double *restrict yr, double *restrict yi, int32_t m)
{
    for (int32_t p = 0; p < m; p++) {
        const four_points x = {xr[p],         xi[p],         xr[p + m],     xi[p + m],
                               xr[p + 2 * m], xi[p + 2 * m], xr[p + 3 * m], xi[p + 3 * m]};
        const four_points y = butterfly(x, w[p], w[m + p], w[2 * m + p], w[3 * m + p], w[4 * m + p], w[5 * m + p]);
        yr[4 * p] = y.r0, yr[4 * p + 1] = y.r1, yr[4 * p + 2] = y.r2, yr[4 * p + 3] = y.r3;
        yi[4 * p] = y.i0, yi[4 * p + 1] = y.i1, yi[4 * p + 2] = y.i2, yi[4 * p + 3] = y.i3;
    }
}

/* A later stage: x [4, m, s] to y [m, 4, s]; the s neighbours turn together, by w [6, m]. */
static void stage4(const double *restrict w, const double *restrict xr, const double *restrict xi, double *restrict yr,
                   double *restrict yi, int32_t m, int32_t s)
{
    const int32_t apart = m * s;
    for (int32_t p = 0; p < m; p++, xr += s, xi += s, yr += 4 * s, yi += 4 * s) {
        const double w1r = w[p], w1i = w[m + p], w2r = w[2 * m + p];
        const double w2i = w[3 * m + p], w3r = w[4 * m + p], w3i = w[5 * m + p];
        for (int32_t q = 0; q < s; q++) {
            const four_points x = {xr[q],
                                   xi[q],
                                   xr[q + apart],
                                   xi[q + apart],
                                   xr[q + 2 * apart],
                                   xi[q + 2 * apart],
                                   xr[q + 3 * apart],
                                   xi[q + 3 * apart]};
            const four_points y = butterfly(x, w1r, w1i, w2r, w2i, w3r, w3i);
            yr[q] = y.r0, yr[q + s] = y.r1, yr[q + 2 * s] = y.r2, yr[q + 3 * s] = y.r3;
            yi[q] = y.i0, yi[q + s] = y.i1, yi[q + 2 * s] = y.i2, yi[q + 3 * s] = y.i3;
        }
    }
}

/* The last stage where the points are an odd power of two: x [2, s] to y [2, s]. */
static void stage2(const double *restrict x, double *restrict y, int32_t s)
{
    for (int32_t q = 0; q < s; q++) {
        y[q] = x[q] + x[q + s];
        y[q + s] = x[q] - x[q + s];
    }
}

/* Stockham's FFT, radix 4: each stage reads one buffer and writes the other in its final order, and there is no bit
 * reversal. Ends in b->re, b->im. */
static void fft(const pynna_mfcc *m, fft_buffers *b)
{
    const double *w = m->twiddle;
    int32_t n = m->n_points, s = 1;
    for (; n >= 4; w += 6 * (n / 4), n /= 4, s *= 4) {
        if (s == 1)
            stage4_first(w, b->re, b->im, b->re2, b->im2, n / 4);
        else
            stage4(w, b->re, b->im, b->re2, b->im2, n / 4, s);
        *b = (fft_buffers){b->re2, b->im2, b->re, b->im};
    }
    if (n == 2) {
        stage2(b->re, b->re2, s);
        stage2(b->im, b->im2, s);
        *b = (fft_buffers){b->re2, b->im2, b->re, b->im};
    }
}

/* The power of the real spectrum's bins from the complex spectrum z of even + i odd samples: X[k] = E[k] + w^k O[k], E
 * and O from z[k] and the conjugate of z[n - k]. zr, zi are at z[first_bin]; mr, mi at z[n - first_bin] and go down. */
static void split_power(const double *restrict wr, const double *restrict wi, const double *restrict zr,
                        const double *restrict zi, const double *restrict mr, const double *restrict mi,
                        double *restrict power, int32_t n_bins)
{
    for (int32_t k = 0; k < n_bins; k++) {
        const double even_r = zr[k] + mr[-k], even_i = zi[k] - mi[-k];
        const double odd_r = zi[k] + mi[-k], odd_i = mr[-k] - zr[k];
        const double re = even_r + (wr[k] * odd_r - wi[k] * odd_i);
        const double im = even_i + (wr[k] * odd_i + wi[k] * odd_r);
        const float rounded = (float)(re * re + im * im);
        power[k] = rounded < power_floor ? 0.0 : (double)rounded;
    }
}

/* Each bin's amplitude, parted between the band on its left and the band on its right. */
static void part_amplitudes(const double *restrict power, const double *restrict weight, double *restrict to_left,
                            double *restrict to_right, int32_t n_bins)
{
    for (int32_t k = 0; k < n_bins; k++)
        to_right[k] = sqrt(power[k]);
    for (int32_t k = 0; k < n_bins; k++) {
        to_left[k] = to_right[k] * weight[k];
        to_right[k] -= to_left[k];
    }
}

/* The logarithms of the bands' sums; a band's bins are added from low to high. */
static void log_bands(const int32_t *restrict edge, const double *restrict to_left, const double *restrict to_right,
                      double *restrict bands, int32_t n_mel)
{
    for (int32_t b = 0; b < n_mel; b++) {
        double sum = 0.0;
        for (int32_t k = edge[b]; k < edge[b + 1]; k++)
            sum += to_right[k];
        for (int32_t k = edge[b + 1]; k < edge[b + 2]; k++)
            sum += to_left[k];
        bands[b] = sum < log_floor ? log_floor : sum;
    }
    for (int32_t b = 0; b < n_mel; b++)
        bands[b] = log_positive(bands[b]);
}

/* bands [n_mel] to sums [stride], over dct [n_mel, stride]; each sum goes through the bands in their order. */
static void transform(const double *restrict dct, const double *restrict bands, double *restrict sums, int32_t n_mel,
                      int32_t stride)
{
    for (int32_t i = 0; i < stride; i++)
        sums[i] = 0.0;
    for (int32_t j = 0; j < n_mel; j++)
        for (int32_t i = 0; i < stride; i++)
            sums[i] += dct[j * stride + i] * bands[j];
}

/* Doubles in each of the four parts of the scratch: all points and one more, or all bands. */
static int32_t scratch_part(const pynna_mfcc *m)
{
    return m->n_points + 8 > 128 ? m->n_points + 8 : 128;
}

size_t pynna_mfcc_scratch_size(const pynna_mfcc *mfcc)
{
    return mfcc ? 4 * (size_t)scratch_part(mfcc) * sizeof(double) : 0;
}

int pynna_mfcc_frame(const pynna_mfcc *m, const int16_t *pcm, float *out, void *scratch)
{
    if (!m || !pcm || !out || !scratch)
        return PYNNA_ERR_ARGUMENT;
    if ((uintptr_t)scratch % 64)
        return PYNNA_ERR_MEMORY;
    const int32_t n = m->n_points, first = m->first_bin, n_bins = m->n_bins, part = scratch_part(m);
    double *s = scratch;
    fft_buffers b = {s, s + part, s + 2 * part, s + 3 * part};
    apply_window(m->even, m->odd, pcm, b.re, b.im, n);
    fft(m, &b);
    b.re[n] = b.re[0]; /* the spectrum is periodic, and bin n asks for z[n] and z[0] */
    b.im[n] = b.im[0];
    split_power(m->split_re, m->split_im, b.re + first, b.im + first, b.re + n - first, b.im + n - first, b.re2,
                n_bins);
    part_amplitudes(b.re2, m->weight, b.re, b.im, n_bins);
    double *bands = b.re2, *sums = b.im2;
    log_bands(m->edge, b.re, b.im, bands, m->config.n_mel);
    transform(m->dct, bands, sums, m->config.n_mel, m->dct_stride);
    for (int32_t i = 0; i < m->config.n_coefficients; i++)
        out[i] = (float)sums[i];
    return PYNNA_OK;
}
