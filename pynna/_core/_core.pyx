# cython: language_level=3, boundscheck=False, wraparound=False, freethreading_compatible=False
# SPDX-License-Identifier: Apache-2.0
"""The only door to the C core. Objects here own their memory and check what the core can't; the rest is Python's."""

import hashlib
import mmap
import os

import numpy as np

from libc.stdint cimport int8_t, int16_t, int32_t, int64_t, uint8_t, uint32_t
from libc.stdlib cimport free, realloc
from libc.string cimport memcpy, memset
from libpynna cimport *

from pynna.errors import ArgumentError, IsaError, StateError, error_for_status


cdef extern from "stdlib.h":
    int posix_memalign(void **memory, size_t alignment, size_t size) nogil


cdef extern from *:
    """
    #include <sys/mman.h>

    /* Weights in huge pages are read a quarter faster: fewer addresses to look up. A wish, which may go unheard. */
    static void pn_want_huge_pages(void *memory, size_t size)
    {
    #ifdef MADV_HUGEPAGE
        (void)madvise(memory, size, MADV_HUGEPAGE);
    #else
        (void)memory;
        (void)size;
    #endif
    }

    #if defined(__VERSION__) && defined(__clang__)
    #define PN_COMPILER __VERSION__
    #elif defined(__VERSION__)
    #define PN_COMPILER "gcc " __VERSION__
    #else
    #define PN_COMPILER "unknown"
    #endif
    """
    const char *PN_COMPILER
    void pn_want_huge_pages(void *memory, size_t size) nogil


MAX_CHANNELS = PYNNA_MAX_CHANNELS
MAX_THREADS = PYNNA_MAX_THREADS

QUEUE = 32  # windows that a channel keeps unread, and the most steps that one call gives it
cdef enum:
    C_QUEUE = 32
    HUGE_PAGE = 2097152  # of x86-64, and of ARM with pages of 4 KB


cdef int check(int status, str what) except -1:
    if status != 0:
        raise error_for_status(status, what)
    return 0


cdef void *allocate(size_t size) except NULL:
    """64-byte aligned memory, zeroed."""
    cdef void *memory = NULL
    if size == 0 or posix_memalign(&memory, 64, size) != 0:
        raise MemoryError(f"{size} bytes could not be allocated")
    memset(memory, 0, size)
    return memory


cdef void *allocate_large(size_t size) except NULL:
    """Memory that is read again and again, from one huge page on in such; not zeroed."""
    cdef void *memory = NULL
    cdef size_t alignment = HUGE_PAGE if size >= HUGE_PAGE else 64
    if size == 0 or posix_memalign(&memory, alignment, size) != 0:
        raise MemoryError(f"{size} bytes could not be allocated")
    if size >= HUGE_PAGE:
        pn_want_huge_pages(memory, size)
    return memory


_PRIVATE = {"flags": mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS} if hasattr(mmap, "MAP_PRIVATE") else {}
"""What Unix must be told, or a process that forks would share the memory."""


cdef class _Block:
    """Zeroed memory of whole pages. Where much of it is never touched the operating system gives none for that, and it
    gets all back at once: a search for each utterance leaves no holes in the allocator's memory."""

    cdef object _map
    cdef unsigned char[::1] _bytes
    cdef void *start

    def __cinit__(self, size_t size):
        if size == 0:
            raise MemoryError("0 bytes could not be allocated")
        try:
            self._map = mmap.mmap(-1, size, **_PRIVATE)
        except (OSError, OverflowError, ValueError):
            raise MemoryError(f"{size} bytes could not be allocated") from None
        self._bytes = self._map
        self.start = &self._bytes[0]


cdef str text(const char *s):
    return s.decode("utf-8") if s is not NULL else ""


def version():
    """The C core's version."""
    return text(pynna_version())


def compiler():
    """What the extension was compiled with."""
    return text(PN_COMPILER)


def instruction_sets():
    """(name, whether this processor runs it) of all kernels in this build, the plainest first."""
    return [(text(pynna_isa_name(i)), bool(pynna_isa_available(i))) for i in range(pynna_isa_count())]


def default_isa():
    """The instruction set that models are run with unless told otherwise; None if PYNNA_ISA names one that can't be."""
    cdef const char *name = pynna_isa_default()
    return text(name) if name is not NULL else None


# Channels take decoders, and so all of it is one module.
include "network.pxi"
include "decoders.pxi"
include "graphs.pxi"
