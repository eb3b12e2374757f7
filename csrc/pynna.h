/* pynna: LSTM speech recognition in fixed point, one 20 ms step at a time.
 *
 * The whole public C API. Conventions, for every function here:
 *  - nothing allocates, locks or prints; memory is handed in by the caller. An object of run-time size has
 *    pynna_X_size(...), which tells how many bytes it takes, and pynna_X_init(memory, ...), which builds it there;
 *    `memory` must be aligned to 64 bytes, belongs to the caller and must outlive the object; there is no pynna_X_free.
 *  - a function that can fail returns a pynna_status (0 is success) and changes nothing when it fails.
 *  - const objects may be shared by any number of threads; other objects belong to one thread at a time.
 *  - the header is plain C11 without conditional code after the includes, so that cffi can parse it.
 */
#ifndef PYNNA_H
#define PYNNA_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* ---- status.c: what a call returns ---------------------------------------------------------------------------- */

typedef enum {
    PYNNA_OK = 0,
    PYNNA_ERR_ARGUMENT = 1,      /* a null pointer, a count or an option out of range */
    PYNNA_ERR_MEMORY = 2,        /* the memory handed in is too small or not aligned to 64 bytes */
    PYNNA_ERR_NOT_FINITE = 3,    /* a NaN or an infinity among the inputs */
    PYNNA_ERR_FULL = 4,          /* a bounded buffer has no room: take something out first */
    PYNNA_ERR_FINISHED = 5,      /* fed after finish */
    PYNNA_ERR_ISA = 6,           /* this processor lacks the instruction set asked for */
    PYNNA_ERR_FILE_FOREIGN = 16, /* not a .nna file */
    PYNNA_ERR_FILE_OLD = 17,     /* written in an older version of the format, no longer read */
    PYNNA_ERR_FILE_NEW = 18,     /* written in a newer version of the format */
    PYNNA_ERR_FILE_SHORT = 19,   /* cut short */
    PYNNA_ERR_FILE_CHECKSUM = 20,/* damaged: the checksum differs */
    PYNNA_ERR_FILE_LAYOUT = 21,  /* sections missing, overlapping, unaligned or of a wrong size */
    PYNNA_ERR_FILE_VALUE = 22    /* a value out of its range */
} pynna_status;

/* The name of a status ("PYNNA_ERR_FILE_SHORT") and one plain English sentence about it; never NULL. */
const char *pynna_status_name(int status);
const char *pynna_status_text(int status);

/* The library's version, "0.1.0". */
const char *pynna_version(void);

/* ---- mfcc.c: the front end -------------------------------------------------------------------------------------- */

/* ---- frames.c: audio to context windows --------------------------------------------------------------------------- */

/* ---- nna_file.c: the mapped model's file -------------------------------------------------------------------------- */

/* ---- network.c: the fixed-point network --------------------------------------------------------------------------- */

/* ---- ctc.c: labels' probabilities to text ------------------------------------------------------------------------- */

#ifdef __cplusplus
}
#endif
#endif
