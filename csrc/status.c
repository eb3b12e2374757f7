/* SPDX-License-Identifier: Apache-2.0 */
#include "pynna.h"

typedef struct {
    int status;
    const char *name, *text;
} status_entry;

static const status_entry entries[] = {
    {PYNNA_OK,                "PYNNA_OK",                "success"                                                      },
    {PYNNA_ERR_ARGUMENT,      "PYNNA_ERR_ARGUMENT",      "an argument is null or out of range"                          },
    {PYNNA_ERR_MEMORY,        "PYNNA_ERR_MEMORY",        "the memory handed in is too small or not aligned to 64 bytes" },
    {PYNNA_ERR_NOT_FINITE,    "PYNNA_ERR_NOT_FINITE",    "the input holds a NaN or an infinity"                         },
    {PYNNA_ERR_FULL,          "PYNNA_ERR_FULL",          "a bounded buffer is full"                                     },
    {PYNNA_ERR_FINISHED,      "PYNNA_ERR_FINISHED",      "the stream is finished and takes no more input"               },
    {PYNNA_ERR_ISA,           "PYNNA_ERR_ISA",           "this processor lacks the instruction set asked for"           },
    {PYNNA_ERR_FILE_FOREIGN,  "PYNNA_ERR_FILE_FOREIGN",  "not a .nna model file"                                        },
    {PYNNA_ERR_FILE_OLD,      "PYNNA_ERR_FILE_OLD",      "the file is of an older format version that is no longer read"},
    {PYNNA_ERR_FILE_NEW,      "PYNNA_ERR_FILE_NEW",      "the file is of a newer format version than this library reads"},
    {PYNNA_ERR_FILE_SHORT,    "PYNNA_ERR_FILE_SHORT",    "the file is cut short"                                        },
    {PYNNA_ERR_FILE_CHECKSUM, "PYNNA_ERR_FILE_CHECKSUM", "the file is damaged: its checksum differs"                    },
    {PYNNA_ERR_FILE_LAYOUT,   "PYNNA_ERR_FILE_LAYOUT",   "the file's sections are missing, misplaced or of a wrong size"},
    {PYNNA_ERR_FILE_VALUE,    "PYNNA_ERR_FILE_VALUE",    "the file holds a value out of its range"                      },
};

static const status_entry *find(int status)
{
    for (size_t i = 0; i < sizeof entries / sizeof *entries; i++)
        if (entries[i].status == status)
            return &entries[i];
    return NULL;
}

const char *pynna_status_name(int status)
{
    const status_entry *e = find(status);
    return e ? e->name : "PYNNA_ERR_UNKNOWN";
}

const char *pynna_status_text(int status)
{
    const status_entry *e = find(status);
    return e ? e->text : "unknown status";
}

const char *pynna_version(void)
{
    return "0.1.0";
}
