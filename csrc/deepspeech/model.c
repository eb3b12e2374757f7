/* SPDX-License-Identifier: Apache-2.0 */
/* Models: the mapped file, its labels, what runs its steps; and the table of handles. See client.h. */
#define _DEFAULT_SOURCE /* madvise */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "client.h"

enum { DEFAULT_BEAM = 500, MAX_COLUMNS = 64, MACS_A_THREAD = 8000000, MAX_DEFAULT_THREADS = 4 };

/* ---- memory ---------------------------------------------------------------------------------------------------- */

/* In huge pages from one of them on: weights in such are read a quarter faster. */
static void *aligned(size_t size)
{
    const size_t huge_page = (size_t)2 << 20;
    void *memory = NULL;
    if (size == 0 || posix_memalign(&memory, size < huge_page ? 64 : huge_page, (size + 63) & ~(size_t)63) != 0)
        return NULL;
#ifdef MADV_HUGEPAGE
    if (size >= huge_page)
        (void)madvise(memory, size, MADV_HUGEPAGE);
#endif
    return memory;
}

/* ---- handles --------------------------------------------------------------------------------------------------- */

static pthread_mutex_t handles_lock = PTHREAD_MUTEX_INITIALIZER;
static struct {
    const void *handle;
    ds_kind kind;
} * handles;
static size_t n_handles, handle_room;

static size_t find_handle(const void *handle, ds_kind kind)
{
    size_t i = 0;
    while (i < n_handles && (handles[i].handle != handle || handles[i].kind != kind))
        i++;
    return i;
}

int ds_handle_add(const void *handle, ds_kind kind)
{
    int status = 0;
    pthread_mutex_lock(&handles_lock);
    if (n_handles == handle_room) {
        const size_t room = handle_room == 0 ? 64 : 2 * handle_room;
        void *larger = realloc(handles, room * sizeof *handles);
        if (larger == NULL) {
            status = -1;
        } else {
            handles = larger;
            handle_room = room;
        }
    }
    if (status == 0) {
        handles[n_handles].handle = handle;
        handles[n_handles++].kind = kind;
    }
    pthread_mutex_unlock(&handles_lock);
    return status;
}

int ds_handle_is(const void *handle, ds_kind kind)
{
    pthread_mutex_lock(&handles_lock);
    const int found = handle != NULL && find_handle(handle, kind) < n_handles;
    pthread_mutex_unlock(&handles_lock);
    return found;
}

int ds_handle_remove(const void *handle, ds_kind kind)
{
    pthread_mutex_lock(&handles_lock);
    const size_t i = find_handle(handle, kind);
    const int found = handle != NULL && i < n_handles;
    if (found)
        handles[i] = handles[--n_handles];
    pthread_mutex_unlock(&handles_lock);
    return found;
}

/* ---- the file --------------------------------------------------------------------------------------------------- */

static int has_magic(const void *data, size_t size)
{
    return size > 8 && memcmp(data, "\x89NNA\r\n\x1a\n", 8) == 0;
}

/* The bytes that there are of a file, at most size. */
static size_t read_all(int file, uint8_t *data, size_t size)
{
    size_t at = 0;
    while (at < size) {
        const ssize_t n = read(file, data + at, size - at);
        if (n == 0 || (n < 0 && errno != EINTR))
            break;
        at += n > 0 ? (size_t)n : 0;
    }
    return at;
}

/* Reads a .nna file: 1 if it is one, 0 if it is another file, -1 if it cannot be read. It is not mapped, so that it may
 * be replaced or cut short while it is used. */
static int read_nna(const char *path, ModelState *m)
{
    struct stat about;
    uint8_t head[16];
    const int file = open(path, O_RDONLY | O_CLOEXEC);
    if (file < 0)
        return -1;
    int found = 0;
    if (fstat(file, &about) == 0 && S_ISREG(about.st_mode) && read_all(file, head, sizeof head) == sizeof head
        && has_magic(head, sizeof head) && lseek(file, 0, SEEK_SET) == 0) {
        m->file = aligned((size_t)about.st_size);
        m->file_size = m->file != NULL ? read_all(file, m->file, (size_t)about.st_size) : 0;
        found = m->file != NULL ? 1 : -1;
    }
    close(file);
    return found;
}

static int find_file(const char *path, ModelState *m, int missing, int wrong)
{
    const int found = path == NULL || path[0] == 0 ? -1 : read_nna(path, m);
    if (found != 0)
        return found > 0 ? DS_ERR_OK : missing;
    char *beside = malloc(strlen(path) + 5);
    if (beside == NULL)
        return DS_ERR_FAIL_CREATE_MODEL;
    strcpy(beside, path);
    strcat(beside, ".nna");
    const int second = read_nna(beside, m);
    free(beside);
    return second > 0 ? DS_ERR_OK : wrong;
}

/* ---- labels ------------------------------------------------------------------------------------------------------ */

/* A character below 256 as a byte; 0 for any other text. */
static uint8_t byte_of(const char *text)
{
    const uint8_t *u = (const uint8_t *)text;
    if (u[0] != 0 && u[0] < 0x80 && u[1] == 0)
        return u[0];
    return (u[0] == 0xC2 || u[0] == 0xC3) && u[1] != 0 && u[2] == 0 ? (uint8_t)(u[0] << 6 | (u[1] & 0x3F)) : 0;
}

static int are_bytes(const pynna_model *model, int32_t n)
{
    for (int32_t i = 0; i < n; i++)
        if (byte_of(pynna_model_label(model, i)) != i + 1)
            return 0;
    return n == 255;
}

static int read_labels(ModelState *m)
{
    const int32_t n = m->geometry->n_labels - 1;
    m->label = calloc((size_t)n + 1, sizeof *m->label);
    m->label_bytes = calloc((size_t)n + 1, sizeof *m->label_bytes);
    if (m->label == NULL || m->label_bytes == NULL)
        return DS_ERR_FAIL_CREATE_MODEL;
    m->is_bytes = are_bytes(m->model, n);
    m->space = -1;
    for (int32_t i = 0; i < n; i++) {
        const char *text = pynna_model_label(m->model, i);
        const uint8_t byte = m->is_bytes ? (uint8_t)(i + 1) : 0;
        m->label_bytes[i] = m->is_bytes ? 1 : (int32_t)strlen(text);
        m->label[i] = malloc((size_t)m->label_bytes[i] + 1);
        if (m->label[i] == NULL)
            return DS_ERR_FAIL_CREATE_MODEL;
        memcpy(m->label[i], m->is_bytes ? (const void *)&byte : text, (size_t)m->label_bytes[i]);
        m->label[i][m->label_bytes[i]] = 0;
        if (strcmp((const char *)m->label[i], " ") == 0)
            m->space = i;
    }
    return DS_ERR_OK;
}

/* The number behind "beam_width": in the model's metadata; 500 without. */
static unsigned int metadata_beam_width(const pynna_model *model)
{
    static const char key[] = "\"beam_width\":";
    size_t size;
    const char *metadata = pynna_model_metadata(model, &size);
    for (size_t i = 0; i + sizeof key + 8 < size; i++)
        if (memcmp(metadata + i, key, sizeof key - 1) == 0) {
            unsigned int value = 0;
            i += sizeof key - 1;
            i += metadata[i] == ' ';
            for (; i < size && metadata[i] >= '0' && metadata[i] <= '9' && value < 10000; i++)
                value = 10 * value + (unsigned int)(metadata[i] - '0');
            return value > 0 && value <= 4096 ? value : DEFAULT_BEAM;
        }
    return DEFAULT_BEAM;
}

/* Threads that share a step: what PYNNA_THREADS says, or as many as have enough to do. */
static int32_t thread_count(const pynna_model *model)
{
    const char *wish = getenv("PYNNA_THREADS");
    if (wish != NULL && atoi(wish) >= 1 && atoi(wish) <= PYNNA_MAX_THREADS)
        return atoi(wish);
    int64_t macs = 0;
    for (int32_t i = 0; i < PYNNA_N_LAYERS; i++)
        macs += (int64_t)pynna_model_layer(model, i)->n_rows * pynna_model_layer(model, i)->n_columns;
    const int64_t cores = sysconf(_SC_NPROCESSORS_ONLN), useful = macs / MACS_A_THREAD;
    int64_t n = cores < useful ? cores : useful;
    n = n > MAX_DEFAULT_THREADS ? MAX_DEFAULT_THREADS : n;
    return n < 1 ? 1 : (int32_t)n;
}

static int open_model(ModelState *m, int wrong)
{
    m->model_memory = aligned(pynna_model_size());
    if (m->model_memory == NULL)
        return DS_ERR_FAIL_CREATE_MODEL;
    if (pynna_model_init(m->model_memory, pynna_model_size(), m->file, m->file_size, &m->model) != PYNNA_OK)
        return wrong;
    m->geometry = pynna_model_geometry(m->model);
    const pynna_geometry *g = m->geometry;
    const pynna_mfcc_config config = {g->sample_rate, g->window,       g->step,        g->n_coefficients,
                                      g->n_mel,       g->mel_lower_hz, g->mel_upper_hz};
    m->mfcc_memory = aligned(pynna_mfcc_size(&config));
    if (m->mfcc_memory == NULL
        || pynna_mfcc_init(m->mfcc_memory, pynna_mfcc_size(&config), &config, &m->mfcc) != PYNNA_OK)
        return DS_ERR_FAIL_CREATE_MODEL;
    m->beam_width = metadata_beam_width(m->model);
    m->n_threads = thread_count(m->model);
    m->times = DS_TIMES_PATH;
    m->delayed_start = 1;
    return read_labels(m);
}

static ModelState *new_model(void)
{
    ModelState *m = calloc(1, sizeof *m);
    if (m != NULL) {
        m->n_users = 1;
        pthread_mutex_init(&m->lock, NULL);
    }
    return m;
}

static int finish_model(ModelState *m, int status, ModelState **out)
{
    if (status == DS_ERR_OK && ds_handle_add(m, DS_MODEL) != 0)
        status = DS_ERR_FAIL_CREATE_MODEL;
    if (status != DS_ERR_OK)
        ds_model_release(m);
    else
        *out = m;
    return status;
}

int ds_model_open(const char *path, int missing, int wrong, ModelState **out)
{
    ModelState *m = new_model();
    if (m == NULL)
        return DS_ERR_FAIL_CREATE_MODEL;
    int status = find_file(path, m, missing, wrong);
    if (status == DS_ERR_OK)
        status = open_model(m, wrong);
    return finish_model(m, status, out);
}

int ds_model_open_buffer(const void *data, size_t size, int wrong, ModelState **out)
{
    ModelState *m = new_model();
    if (m == NULL)
        return DS_ERR_FAIL_CREATE_MODEL;
    int status = wrong;
    if (data != NULL && has_magic(data, size)) {
        m->file = aligned(size);
        m->file_size = size;
        status = DS_ERR_FAIL_CREATE_MODEL;
        if (m->file != NULL) {
            memcpy(m->file, data, size);
            status = open_model(m, wrong);
        }
    }
    return finish_model(m, status, out);
}

static void free_runner(ds_runner *r)
{
    if (r == NULL)
        return;
    if (r->pool != NULL)
        pynna_pool_stop(r->pool);
    free(r->pool_memory);
    free(r->workspace_memory);
    free(r);
}

void ds_model_release(ModelState *m)
{
    pthread_mutex_lock(&m->lock);
    const int32_t left = --m->n_users;
    pthread_mutex_unlock(&m->lock);
    if (left > 0)
        return;
    while (m->idle != NULL) {
        ds_runner *next = m->idle->next;
        free_runner(m->idle);
        m->idle = next;
    }
    if (m->scorer != NULL && --m->scorer->n_users == 0)
        ds_scorer_close(m->scorer);
    for (int32_t i = 0; i < m->n_boosts; i++)
        free(m->boosts[i].word);
    for (int32_t i = 0; m->label != NULL && m->geometry != NULL && i < m->geometry->n_labels - 1; i++)
        free(m->label[i]);
    free(m->file);
    free(m->boosts);
    free(m->label);
    free(m->label_bytes);
    free(m->model_memory);
    free(m->mfcc_memory);
    pthread_mutex_destroy(&m->lock);
    free(m);
}

/* ---- what runs steps --------------------------------------------------------------------------------------------- */

static ds_runner *new_runner(const ModelState *m)
{
    ds_runner *r = calloc(1, sizeof *r);
    if (r == NULL)
        return NULL;
    const size_t size = pynna_workspace_size(m->model, MAX_COLUMNS);
    r->workspace_memory = aligned(size);
    if (r->workspace_memory == NULL
        || pynna_workspace_init(r->workspace_memory, size, m->model, MAX_COLUMNS, NULL, &r->workspace) != PYNNA_OK) {
        free_runner(r);
        return NULL;
    }
    if (m->n_threads > 1) { /* without its threads it runs as well */
        r->pool_memory = aligned(pynna_pool_size(m->n_threads));
        if (r->pool_memory == NULL
            || pynna_pool_init(r->pool_memory, pynna_pool_size(m->n_threads), m->n_threads, &r->pool) != PYNNA_OK)
            r->pool = NULL;
    }
    return r;
}

ds_runner *ds_runner_take(ModelState *m)
{
    pthread_mutex_lock(&m->lock);
    ds_runner *r = m->idle;
    if (r != NULL)
        m->idle = r->next;
    pthread_mutex_unlock(&m->lock);
    return r != NULL ? r : new_runner(m);
}

void ds_runner_give(ModelState *m, ds_runner *r)
{
    pthread_mutex_lock(&m->lock);
    r->next = m->idle;
    m->idle = r;
    pthread_mutex_unlock(&m->lock);
}
