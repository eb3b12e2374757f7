/* SPDX-License-Identifier: Apache-2.0 */
/* The example on a PC: what it tells there is what every board has to tell. */
#include "platform.h"

#include <stdio.h>

void tell(const char *text)
{
    fputs(text, stdout);
}

uint64_t instructions(void)
{
    return 0;
}
