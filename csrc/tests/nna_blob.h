/* SPDX-License-Identifier: Apache-2.0 */
/* Model files as the loader's tests change them: small ones of all kinds, loaded from the end of a heap block, for the
 * address sanitizer to see who reads on. Include it first. */
#ifndef NNA_BLOB_H
#define NNA_BLOB_H

#include "small_model.h"

/* All kinds of padding: no width is a multiple of 4. */
static const plan small = {5, 2, 7, 19, 21, 18, 17, 23, 11, 0, 77, 0, 0, 8, 0, 0, 0};
/* The same with weights of 4 bits in all layers but two. */
static const plan small_4 = {5, 2, 7, 19, 21, 18, 17, 23, 11, 0, 77, 127, 0x5b, 0, 0, 0, 0};
/* And with scales; the last line of those of layer_2 stands before a single line. */
static const plan small_scaled = {5, 2, 7, 19, 258, 18, 17, 23, 11, 0, 77, 127 << 7, 0x5b | 0x5b << 7, 0, 0, 0, 0};

typedef struct {
    unsigned char *bytes;
    size_t size;
} blob;

static inline blob file_of(const plan *p)
{
    blob b;
    b.bytes = make_file(p, &b.size);
    return b;
}

static inline blob small_file(void)
{
    return file_of(&small);
}

/* Loads a copy of the first n bytes that ends where its heap block ends. */
static inline int load_exact(const unsigned char *file, size_t n)
{
    unsigned char *copy = exact_block(n);
    void *memory = exact_block(pynna_model_size());
    const pynna_model *model = NULL;
    if (n)
        memcpy(copy, file, n);
    const int status = pynna_model_init(memory, pynna_model_size(), copy, n, &model);
    CHECK((status == PYNNA_OK) == (model != NULL));
    CHECK(strcmp(pynna_status_name(status), "PYNNA_ERR_UNKNOWN") != 0);
    free(copy);
    free(memory);
    return status;
}

static inline int is_file_error(int status)
{
    return status >= PYNNA_ERR_FILE_FOREIGN && status <= PYNNA_ERR_FILE_VALUE;
}

static inline void expect(blob b, int status, const char *what)
{
    fix_checksum(b.bytes, b.size);
    const int is = load_exact(b.bytes, b.size);
    if (is != status)
        printf("%s: %s, not %s\n", what, pynna_status_name(is), pynna_status_name(status));
    CHECK(is == status);
}

#endif
