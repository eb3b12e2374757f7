/* SPDX-License-Identifier: Apache-2.0 */
/* Runs a fuzz target over the files that are named, where libFuzzer is not at hand. */
#include "bytes.h"

int main(int n, char **names)
{
    for (int i = 1; i < n; i++) {
        FILE *file = fopen(names[i], "rb");
        if (file == NULL || fseek(file, 0, SEEK_END) != 0)
            return 1;
        const long size = ftell(file);
        uint8_t *data = malloc(size > 0 ? (size_t)size : 1);
        rewind(file);
        if (data == NULL || size < 0 || fread(data, 1, (size_t)size, file) != (size_t)size)
            return 1;
        fclose(file);
        LLVMFuzzerTestOneInput(data, (size_t)size);
        free(data);
    }
    printf("%d inputs\n", n - 1);
    return 0;
}
