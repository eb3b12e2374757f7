/* SPDX-License-Identifier: Apache-2.0 */
/* What the example asks of a board: board.c, or host.c for a PC. */
#ifndef PLATFORM_H
#define PLATFORM_H

#include <stdint.h>

/* Writes a zero-terminated text. */
void tell(const char *text);

/* A clock that under QEMU's -icount shift=0 counts instructions, to some tens of them; 0 where there is none. */
uint64_t instructions(void);

int main(void);

#endif
