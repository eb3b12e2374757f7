/* SPDX-License-Identifier: Apache-2.0 */
/* The loader. An even first byte: the rest is the file as it stands. An odd one: a valid file of that seed with patches
 * in it, its checksum put right, so that what is behind the checksum is met. What loads must run, and every instruction
 * set must give the bits of the reference. */
#include "bytes.h"

#define exact_block block
#include "../../csrc/tests/small_model.h"

/* The checksum, four bytes at a time: small_model.h's own takes most of the time otherwise. */
static void seal(unsigned char *file, size_t n_bytes)
{
    static uint32_t table[4][256];
    uint32_t crc = 0xffffffffu;
    for (uint32_t i = 0; table[0][255] == 0 && i < 256; i++) {
        uint32_t c = i;
        for (int bit = 0; bit < 8; bit++)
            c = c >> 1 ^ (0xedb88320u & (0u - (c & 1)));
        table[0][i] = c;
    }
    for (int t = 1; table[3][255] == 0 && t < 4; t++)
        for (uint32_t i = 0; i < 256; i++)
            table[t][i] = table[t - 1][i] >> 8 ^ table[0][table[t - 1][i] & 255];
    size_t at = 16;
    for (; n_bytes - at >= 4; at += 4) {
        crc ^= get32(file + at);
        crc = table[3][crc & 255] ^ table[2][crc >> 8 & 255] ^ table[1][crc >> 16 & 255] ^ table[0][crc >> 24];
    }
    for (; at < n_bytes; at++)
        crc = crc >> 8 ^ table[0][(crc ^ file[at]) & 255];
    put32(file + 12, ~crc);
}

/* Layers of 4 bits, those of the first seven bits; with the eighth, all of them have scales. */
static int32_t four_bits(uint32_t byte)
{
    return (int32_t)((byte & 0x7f) | (byte & 0x80 ? (byte & 0x7f) << 7 : 0));
}

/* The plan's file in a block of its own; the last ones are kept, because most inputs patch a file that was made before. */
static unsigned char *valid_file(const plan *p, size_t *size)
{
    enum { KEPT = 64, MOST = 1 << 16 };
    static struct {
        plan of;
        size_t size;
        unsigned char file[MOST];
    } kept[KEPT];
    const uint64_t slot = hash_bytes(hash_start, p, sizeof *p) % KEPT;
    if (kept[slot].size == 0 || memcmp(&kept[slot].of, p, sizeof *p) != 0) {
        const size_t n_blocks = blocks.n_blocks;
        const unsigned char *made = make_file(p, &kept[slot].size);
        MUST(kept[slot].size <= MOST);
        memcpy(kept[slot].file, made, kept[slot].size);
        kept[slot].of = *p;
        release(n_blocks);
    }
    unsigned char *file = block(*size = kept[slot].size);
    memcpy(file, kept[slot].file, *size);
    return file;
}

static unsigned char *patched(bytes *in, size_t *size)
{
    const plan p = {.n_coefficients = 3,
                    .n_context = 1,
                    .n_labels = take_from(in, 2, 20),
                    .n_cell = take_from(in, 1, 20),
                    .width_1 = take_from(in, 1, 20),
                    .width_2 = 5,
                    .width_3 = 17,
                    .width_5 = 4,
                    .cell_fraction_bits = take_from(in, 1, 15),
                    .extreme = take_from(in, 0, 1),
                    .seed = take8(in),
                    .coarse = 0x7f,
                    .four_bits = four_bits(take8(in)),
                    .feature_residual_bits = 8 * take_from(in, 0, 1),
                    .speech_rows = take_from(in, 0, 1),
                    .sixteen_bits = (int32_t)take8(in) & 0x7f,
                    .output_residuals = (int32_t)take8(in) & 0x27};
    unsigned char *file = valid_file(&p, size);
    while (in->end - in->at >= 3) {
        size_t at = take16(in) % (*size * 8) / 8;
        if (take8(in) & 1) /* into the header and the small sections, where most is decided */
            at %= 2900 < *size ? 2900 : *size;
        const uint32_t kind = take8(in);
        const uint32_t n = kind & 1 ? 1 : 4;
        for (uint32_t i = 0; i < n && at + i < *size; i++)
            file[at + i] = (unsigned char)(kind & 2 ? file[at + i] + take8(in) - 2 : take8(in));
    }
    seal(file, *size);
    return file;
}

static void run(const pynna_model *model)
{
    const pynna_geometry *g = pynna_model_geometry(model);
    for (int32_t i = -1; i <= g->n_labels; i++)
        MUST((pynna_model_label(model, i) == NULL) == (i < 0 || i == g->n_labels));
    uint64_t reference = 0;
    for (int32_t i = 0; i < pynna_isa_count(); i++) {
        if (!pynna_isa_available(i))
            continue;
        const size_t n_blocks = blocks.n_blocks;
        pynna_workspace *w;
        const size_t size = pynna_workspace_size(model, 16);
        void *memory = block(size);
        MUST(pynna_workspace_init(memory, size, model, 16, pynna_isa_name(i), &w) == PYNNA_OK);
        const int32_t n_channels = 1 + g->n_cell % 3, n_steps = 1 + g->n_labels % 3;
        bundle b = make_bundle(model, n_channels, n_steps, 1);
        MUST(pynna_step(w, NULL, n_channels, n_steps, b.slots) == PYNNA_OK);
        uint64_t hash = 1;
        for (int32_t j = 0; j < n_channels; j++) {
            hash = hash_bytes(hash, b.log_probs[j], (size_t)n_steps * (size_t)g->n_labels * sizeof(float));
            hash = hash_bytes(hash, b.c[j], (size_t)g->n_cell * sizeof(int16_t));
            hash = hash_bytes(hash, b.h[j], (size_t)g->n_cell);
        }
        reference = i == 0 ? hash : reference;
        MUST(hash == reference);
        release(n_blocks);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    bytes in = {data, data + size};
    size_t n_bytes = size > 0 ? size - 1 : 0;
    unsigned char *file;
    if (take8(&in) & 1) {
        file = patched(&in, &n_bytes);
    } else {
        file = block(n_bytes);
        memcpy(file, in.at, n_bytes);
        if (n_bytes > 16)
            seal(file, n_bytes);
    }
    void *memory = block(pynna_model_size());
    const pynna_model *model = NULL;
    const int status = pynna_model_init(memory, pynna_model_size(), file, n_bytes, &model);
    MUST((status == PYNNA_OK) == (model != NULL));
    if (model != NULL && pynna_model_geometry(model)->n_cell <= 64)
        run(model);
    release(0);
    return 0;
}
