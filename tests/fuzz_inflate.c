/* A libFuzzer target: whatever the bytes, what unpacks them and the reader of tables neither crash, nor read or write
 * outside, nor ask for more memory than the limit.
 *     clang -g -O1 -fsanitize=fuzzer,address,undefined -I. tests/fuzz_inflate.c -o build/fuzz_inflate -lm
 *     mkdir -p build/fuzz && build/fuzz_inflate -max_total_time=60 -max_len=4096 build/fuzz
 * SPDX-License-Identifier: MIT */
#define CELCOMEN_IMPLEMENTATION
#define CELCOMEN_NO_STDIO
#include "celcomen.h"

#include <stdlib.h>

enum { LIMIT = 1 << 18 };

/* A raw stream: measured and unpacked it has one length, and into less room nothing fits. */
static void raw(const uint8_t *bytes, size_t size)
{
    celi_stream a = CEL_ZERO, b;
    size_t measured, n;
    const char *what;
    unsigned char *out;
    a.p = bytes;
    a.end = bytes + size;
    b = a;
    what = celi_inflate(&a, NULL, LIMIT, &measured);
    if (what) {
        out = (unsigned char *)malloc(LIMIT);
        if (out && celi_inflate(&b, out, LIMIT, &n) != what) abort();
        free(out);
        return;
    }
    out = (unsigned char *)malloc(measured ? measured : 1);
    if (!out) return;
    if (celi_inflate(&b, out, measured, &n) || n != measured || a.p != b.p) abort();
    if (measured) {
        b.p = bytes;
        if (celi_inflate(&b, out, measured - 1, &n) != celi_full) abort();
    }
    free(out);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    static const char *const pick[2] = {"x", "y"};
    cel_error err = CEL_ZERO;
    cel_table_options o = CEL_ZERO;
    cel_table t;
    void *out;
    size_t n;
    int way = size ? bytes[size - 1] : 0; /* options; the last byte is trailing in most formats */
    raw(bytes, size);
    if (cel_file_gunzip(bytes, size, LIMIT, &out, &n, &err) == CEL_OK) cel_file_free(out);
    else if (!err.what || out || n) abort();
    o.limit = LIMIT;
    o.genes_are_rows = way & 1;
    o.dense = way >> 1 & 1;
    o.header = (way >> 2) % 3 - 1;
    o.row_names = (way >> 4) % 3 - 1;
    if (way & 64) {
        o.pick = pick;
        o.picks = 2;
    }
    if ((way & 128) && !o.genes_are_rows) o.label = "type";
    if (cel_table_parse(bytes, size, &o, &t, &err) == CEL_OK) cel_table_free(&t);
    else if (!err.what || t.x.data || t.sparse.start || t.row || t.col || t.pool) abort();
    return 0;
}
