/* A libFuzzer target: whatever the bytes, the readers of files neither crash nor read outside them.
 *     clang -g -O1 -fsanitize=fuzzer,address,undefined -I. tests/fuzz_npy.c -o build/fuzz_npy -lm
 *     mkdir -p build/fuzz && build/fuzz_npy -max_total_time=60 -max_len=4096 build/fuzz ../shared/npy_corpus/valid
 * SPDX-License-Identifier: MIT */
#define CELCOMEN_IMPLEMENTATION
#define CELCOMEN_NO_STDIO
#include "celcomen.h"

#include <stdlib.h>

static void convert(const cel_npy *a)
{
    cel_real *real = (cel_real *)malloc((size_t)a->count * sizeof *real + 1);
    int64_t *integer = (int64_t *)malloc((size_t)a->count * sizeof *integer + 1);
    if (real) (void)cel_npy_to_real(a, real, NULL);
    if (integer) (void)cel_npy_to_int64(a, integer, NULL);
    free(real);
    free(integer);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    cel_error err = {CEL_OK, NULL, -1, -1, -1};
    cel_npy a;
    cel_npz z;
    cel_csr m;
    char **lines;
    int64_t i;
    if (cel_npy_parse(bytes, size, &a, &err) == CEL_OK) convert(&a);
    else if (!err.what || err.offset < 0 || err.offset > (int64_t)size) abort();
    if (cel_npz_parse(bytes, size, &z, NULL) == CEL_OK) {
        for (i = 0; i < z.count && i < 16; i++) {
            char name[64];
            cel_npz_name(&z, i, name, sizeof name);
            if (cel_npz_get(&z, name, &a, NULL) == CEL_OK) convert(&a);
        }
        if (cel_npz_to_csr(&z, &m, NULL) == CEL_OK) cel_csr_free(&m);
    }
    if (cel_file_parse_lines(bytes, size, &lines, &i, NULL) == CEL_OK) cel_file_free(lines);
    return 0;
}
