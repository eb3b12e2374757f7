/* SPDX-License-Identifier: Apache-2.0 */
/* See scorer.h. */
#define _POSIX_C_SOURCE 200809L
#include "scorer.h"
#include "unaligned.h"

#include <fcntl.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

enum { TRIE_MAGIC = 0x54524945, FST_MAGIC = 2125659606, STATE_BYTES = 20, ARC_BYTES = 16, ALIGNED = 4 };

static int is_final(const uint8_t *state)
{
    return !isinf(ds_read_f32(state));
}

/* ---- the automaton --------------------------------------------------------------------------------------------- */

/* A string of the header: int32 length, then its bytes. Returns where it ends, 0 if it is not `wanted`. */
static size_t expect(const uint8_t *data, size_t size, size_t at, const char *wanted)
{
    const size_t length = strlen(wanted);
    if (at > size || size - at < 4 + length || ds_read_i32(data + at) != (int32_t)length
        || memcmp(data + at + 4, wanted, length) != 0)
        return 0;
    return at + 4 + length;
}

static size_t align16(size_t at)
{
    return (at + 15) & ~(size_t)15;
}

/* Finds where each state's record begins: the states' arcs follow one another, each list as long as it says. */
static ds_scorer_status index_states(ds_tree *tree, const uint8_t *data, size_t size, size_t at)
{
    const uint64_t most = (size - at) / 12;
    if (tree->n_states > most)
        return DS_SCORER_BAD_TRIE;
    tree->places = malloc((size_t)(tree->n_states + 1) * sizeof *tree->places);
    if (tree->places == NULL)
        return DS_SCORER_MEMORY;
    for (uint64_t i = 0; i < tree->n_states; i++) {
        if (size - at < 12)
            return DS_SCORER_BAD_TRIE;
        const int64_t n = ds_read_i64(data + at + 4);
        if (n < 0 || (uint64_t)n > (size - at - 12) / ARC_BYTES)
            return DS_SCORER_BAD_TRIE;
        tree->places[i] = at;
        at += 12 + (size_t)n * ARC_BYTES;
    }
    tree->states = data;
    return DS_SCORER_OK;
}

static ds_scorer_status open_tree(ds_tree *tree, const uint8_t *data, size_t size, size_t at)
{
    if (size < at + 4 || ds_read_i32(data + at) != FST_MAGIC)
        return DS_SCORER_BAD_TRIE;
    const size_t constant = expect(data, size, at + 4, "const"), vector = expect(data, size, at + 4, "vector");
    const size_t kind_end = constant != 0 ? constant : vector;
    at = kind_end == 0 ? 0 : expect(data, size, kind_end, "standard");
    if (at == 0 || size - at < 40)
        return DS_SCORER_BAD_TRIE;
    const int32_t flags = ds_read_i32(data + at + 4);
    const int64_t n_states = ds_read_i64(data + at + 24), n_arcs = ds_read_i64(data + at + 32);
    tree->start = ds_read_i64(data + at + 16);
    at += 40;
    if (n_states < 1 || n_states > INT32_MAX || tree->start < 0 || tree->start >= n_states || flags & 3)
        return DS_SCORER_BAD_TRIE; /* symbol tables (1, 2) would stand here; no scorer has them */
    tree->n_states = (uint64_t)n_states;
    if (constant == 0)
        return index_states(tree, data, size, at);
    if (n_arcs < 0 || (uint64_t)n_arcs > size / ARC_BYTES)
        return DS_SCORER_BAD_TRIE;
    tree->n_arcs = (uint64_t)n_arcs;
    at = flags & ALIGNED ? align16(at) : at;
    if (at > size || tree->n_states > (size - at) / STATE_BYTES)
        return DS_SCORER_BAD_TRIE;
    tree->states = data + at;
    at += (size_t)tree->n_states * STATE_BYTES;
    at = flags & ALIGNED ? align16(at) : at;
    if (at > size || tree->n_arcs > (size - at) / ARC_BYTES)
        return DS_SCORER_BAD_TRIE;
    tree->arcs = data + at;
    return DS_SCORER_OK;
}

/* A state's record and its arcs; 0 where the file leads out of itself. */
static int view_state(const ds_tree *tree, int64_t state, const uint8_t **record, const uint8_t **arcs, uint64_t *n)
{
    if (state < 0 || (uint64_t)state >= tree->n_states)
        return 0;
    if (tree->places != NULL) {
        *record = tree->states + tree->places[state];
        *arcs = *record + 12;
        *n = (uint64_t)ds_read_i64(*record + 4);
        return 1;
    }
    *record = tree->states + (uint64_t)state * STATE_BYTES;
    const uint64_t first = (uint32_t)ds_read_i32(*record + 4);
    *n = (uint32_t)ds_read_i32(*record + 8);
    *arcs = tree->arcs + first * ARC_BYTES;
    return first + *n <= tree->n_arcs;
}

int64_t ds_tree_next(const ds_tree *tree, int64_t state, int32_t label)
{
    const uint8_t *record, *arcs, *unused;
    uint64_t low = 0, high, n;
    if (!view_state(tree, state, &record, &arcs, &high))
        return -1;
    while (low < high) {
        const uint64_t middle = low + (high - low) / 2;
        const int32_t here = ds_read_i32(arcs + middle * ARC_BYTES);
        if (here == label) {
            const int64_t next = ds_read_i32(arcs + middle * ARC_BYTES + 12);
            if (!view_state(tree, next, &record, &unused, &n))
                return -1;
            return is_final(record) ? tree->start : next;
        }
        if (here < label)
            low = middle + 1;
        else
            high = middle;
    }
    return -1;
}

/* ---- the files -------------------------------------------------------------------------------------------------- */

/* The tree's header: the magic number, a version, whether labels are bytes, and from version 6 on alpha and beta. */
static ds_scorer_status open_behind(ds_scorer *s, const uint8_t *data, size_t size, size_t at)
{
    if (at >= size)
        return DS_SCORER_NO_TRIE;
    if (size - at < 9 || ds_read_i32(data + at) != TRIE_MAGIC)
        return DS_SCORER_BAD_TRIE;
    s->version = ds_read_i32(data + at + 4);
    if (s->version < 3 || s->version > 6)
        return DS_SCORER_BAD_VERSION;
    s->is_bytes = data[at + 8] != 0;
    at += 9;
    if (s->version == 6) {
        if (size - at < 16)
            return DS_SCORER_BAD_TRIE;
        s->alpha = ds_read_f64(data + at);
        s->beta = ds_read_f64(data + at + 8);
        at += 16;
        if (!isfinite(s->alpha) || !isfinite(s->beta))
            return DS_SCORER_BAD_TRIE;
    }
    return open_tree(&s->tree, data, size, at);
}

static const uint8_t *map_file(const char *path, size_t *size)
{
    struct stat about;
    const int file = open(path, O_RDONLY | O_CLOEXEC);
    if (file < 0)
        return NULL;
    void *map = MAP_FAILED;
    if (fstat(file, &about) == 0 && S_ISREG(about.st_mode) && about.st_size > 0) {
        *size = (size_t)about.st_size;
        map = mmap(NULL, *size, PROT_READ, MAP_SHARED, file, 0);
    }
    close(file);
    return map == MAP_FAILED ? NULL : map;
}

static ds_scorer *make(void)
{
    ds_scorer *s = calloc(1, sizeof *s);
    if (s != NULL) {
        s->alpha = 0.75;
        s->beta = 1.85;
        s->n_users = 1;
    }
    return s;
}

static ds_scorer_status open_all(ds_scorer *s, const uint8_t *data, size_t size, const uint8_t *trie, size_t trie_size)
{
    if (ds_lm_open(&s->lm, data, size) != 0)
        return DS_SCORER_NO_LM;
    return trie != NULL ? open_behind(s, trie, trie_size, 0) : open_behind(s, data, size, s->lm.end);
}

static ds_scorer_status settle(ds_scorer *s, ds_scorer_status status, ds_scorer **out)
{
    if (status == DS_SCORER_OK)
        *out = s;
    else
        ds_scorer_close(s);
    return status;
}

ds_scorer_status ds_scorer_open(const char *path, const char *trie, ds_scorer **out)
{
    ds_scorer *s = make();
    if (s == NULL)
        return DS_SCORER_MEMORY;
    ds_scorer_status status = DS_SCORER_OK;
    s->map[0] = map_file(path, &s->map_size[0]);
    if (trie != NULL)
        s->map[1] = map_file(trie, &s->map_size[1]);
    if (s->map[0] == NULL || (trie != NULL && s->map[1] == NULL))
        status = DS_SCORER_UNREADABLE;
    else
        status = open_all(s, s->map[0], s->map_size[0], s->map[1], s->map_size[1]);
    return settle(s, status, out);
}

ds_scorer_status ds_scorer_open_buffer(const uint8_t *data, size_t size, ds_scorer **out)
{
    ds_scorer *s = make();
    if (s == NULL)
        return DS_SCORER_MEMORY;
    s->copy = malloc(size > 0 ? size : 1);
    if (s->copy == NULL)
        return settle(s, DS_SCORER_MEMORY, out);
    memcpy(s->copy, data, size);
    return settle(s, open_all(s, s->copy, size, NULL, 0), out);
}

void ds_scorer_close(ds_scorer *s)
{
    if (s == NULL)
        return;
    for (int i = 0; i < 2; i++)
        if (s->map[i] != NULL)
            munmap((void *)(uintptr_t)s->map[i], s->map_size[i]);
    free(s->tree.places);
    free(s->copy);
    free(s);
}
