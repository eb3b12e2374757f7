/* SPDX-License-Identifier: Apache-2.0 */
/* torture_client MODEL SCORER: a whole session with the clients' interface, again and again, while each of its
 * allocations in turn is refused. It must end in an error or a result, never in a crash, and give back all that it
 * took. Linked with -Wl,--wrap for malloc, calloc, realloc, posix_memalign and free. */
#define _POSIX_C_SOURCE 200809L
#include "deepspeech/deepspeech.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static long left = -1, n_live; /* allocations until one is refused; blocks that are out */

void *__real_malloc(size_t n);
void *__real_calloc(size_t n, size_t size);
void *__real_realloc(void *p, size_t n);
int __real_posix_memalign(void **p, size_t alignment, size_t n);
void __real_free(void *p);

static int refused(void)
{
    return left >= 0 && left-- == 0;
}

static void *count(void *p)
{
    n_live += p != NULL;
    return p;
}

void *__wrap_malloc(size_t n)
{
    return refused() ? NULL : count(__real_malloc(n));
}

void *__wrap_calloc(size_t n, size_t size)
{
    return refused() ? NULL : count(__real_calloc(n, size));
}

void *__wrap_realloc(void *p, size_t n)
{
    if (refused())
        return NULL;
    void *made = __real_realloc(p, n);
    n_live += p == NULL && made != NULL;
    return made;
}

int __wrap_posix_memalign(void **p, size_t alignment, size_t n)
{
    if (refused())
        return 12;
    const int status = __real_posix_memalign(p, alignment, n);
    n_live += status == 0;
    return status;
}

void __wrap_free(void *p)
{
    n_live -= p != NULL;
    __real_free(p);
}

static short pcm[16000];

static void session(const char *path, const char *scorer)
{
    ModelState *m = NULL;
    StreamingState *s = NULL;
    if (DS_CreateModel(path, &m) != DS_ERR_OK)
        return;
    DS_SetModelBeamWidth(m, 30);
    DS_EnableExternalScorer(m, scorer);
    DS_AddHotWord(m, "one", 2);
    DS_AddHotWord(m, "two", 2);
    DS_EraseHotWord(m, "two");
    DS_FreeString(DS_SpeechToText(m, pcm, 4000));
    DS_FreeMetadata(DS_SpeechToTextWithMetadata(m, pcm, 4000, 3));
    if (DS_CreateStream(m, &s) == DS_ERR_OK) {
        DS_FeedAudioContent(s, pcm, 6000);
        DS_FreeString(DS_IntermediateDecode(s));
        DS_FeedAudioContent(s, pcm + 6000, 4000);
        DS_FreeMetadata(DS_FinishStreamWithMetadata(s, 2));
    }
    if (DS_CreateStream(m, &s) == DS_ERR_OK) {
        DS_FeedAudioContent(s, pcm, 3000);
        DS_FreeStream(s);
    }
    DS_FreeString(DS_ErrorCodeToErrorMessage(DS_ERR_NO_MODEL));
    DS_FreeString(DS_Version());
    DS_FreeModel(m);
}

int main(int n, char **arguments)
{
    if (n != 3)
        return 2;
    unsigned int random = 1;
    for (size_t i = 0; i < sizeof pcm / sizeof *pcm; i++) {
        random = random * 1664525u + 1013904223u;
        pcm[i] = (short)((int)(random >> 18) - 8192);
    }
    session(arguments[1], arguments[2]); /* what stays for good, the table of handles, is there now */
    const long before = n_live;
    long i = 0;
    for (; i < 100000; i++) {
        left = i;
        session(arguments[1], arguments[2]);
        if (n_live != before) {
            printf("allocation %ld refused: %ld blocks are not given back\n", i, n_live - before);
            return 1;
        }
        if (left >= 0)
            break;
    }
    printf("%ld allocations, each refused once\n", i);
    return 0;
}
