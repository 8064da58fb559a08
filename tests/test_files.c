/* Files: .npy, .npz and texts, from memory and from disk. SPDX-License-Identifier: MIT */
#include "test.h"

#include <dirent.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

/* Deterministic, independent of the library. */
static uint32_t next_random(uint32_t *state)
{
    *state = *state * 1664525u + 1013904223u;
    return *state >> 8;
}

/* An .npy file of any version around a dictionary and data; returns its size. */
static size_t build(unsigned char *out, int version, const char *dict, const void *data, size_t bytes)
{
    size_t n = strlen(dict) + 1, field = version > 1 ? 4 : 2, k;
    memcpy(out, "\x93NUMPY", 6);
    out[6] = (unsigned char)version;
    out[7] = 0;
    for (k = 0; k < field; k++) out[8 + k] = (unsigned char)(n >> 8 * k);
    memcpy(out + 8 + field, dict, n - 1);
    out[8 + field + n - 1] = '\n';
    if (bytes) memcpy(out + 8 + field + n, data, bytes);
    return 8 + field + n + bytes;
}

/* The bits of the small integer v in a type. */
static void store(unsigned char *out, char kind, int bytes, int big, int v)
{
    uint64_t bits = 0;
    int k;
    if (kind == 'f' && bytes == 8) {
        double d = v;
        memcpy(&bits, &d, 8);
    } else if (kind == 'f' && bytes == 4) {
        float f = (float)v;
        uint32_t word;
        memcpy(&word, &f, 4);
        bits = word;
    } else if (kind == 'f') {
        int e = 0, a = v < 0 ? -v : v;
        while (a >> (e + 1)) e++;
        bits = (v < 0 ? 0x8000u : 0) | (a ? (unsigned)(e + 15) << 10 | (((unsigned)a << (10 - e)) & 1023) : 0);
    } else {
        bits = (uint64_t)(int64_t)v;
    }
    for (k = 0; k < bytes; k++) out[big ? bytes - 1 - k : k] = (unsigned char)(bits >> 8 * k);
}

/* A file's bytes into out; the number of them, 0 if there is no such file or it is longer. */
static size_t get_file(const char *path, void *out, size_t capacity)
{
    cel_file f;
    size_t size = 0;
    if (cel_file_open(path, 0, &f, NULL)) return 0;
    if (f.size <= capacity) memcpy(out, f.bytes, size = f.size);
    cel_file_close(&f);
    return size;
}

/* The bytes of the file of an array, or of an archive; 0 if the writer refuses it (as it should, by CEL_ERR_ARG). */
static size_t encode(const cel_npy *a, void *out, size_t capacity)
{
    char path[128];
    cel_status status;
    snprintf(path, sizeof path, "%s/encoded.npy", test_tmp());
    remove(path);
    status = cel_npy_write(path, a, NULL);
    CHECK(status == CEL_OK || status == CEL_ERR_ARG);
    return get_file(path, out, capacity);
}

static size_t encode_npz(const cel_npz_member *member, int64_t count, void *out, size_t capacity)
{
    char path[128];
    cel_status status;
    snprintf(path, sizeof path, "%s/encoded.npz", test_tmp());
    remove(path);
    status = cel_npz_write(path, member, count, NULL);
    CHECK(status == CEL_OK || status == CEL_ERR_ARG);
    return get_file(path, out, capacity);
}

static const struct {
    char kind;
    int bytes;
} numeric[] = {{'b', 1}, {'i', 1}, {'i', 2}, {'i', 4}, {'i', 8}, {'u', 1},
               {'u', 2}, {'u', 4}, {'u', 8}, {'f', 2}, {'f', 4}, {'f', 8}};

static void every_type_and_order(void)
{
    int t, big, fortran, version, i, j;
    for (t = 0; t < 12; t++)
        for (big = 0; big < 2; big++)
            for (fortran = 0; fortran < 2; fortran++)
                for (version = 1; version <= 3; version++) {
                    char dict[128], kind = numeric[t].kind;
                    int bytes = numeric[t].bytes;
                    unsigned char data[48], file[256];
                    cel_real real[6];
                    int64_t integer[6];
                    size_t size;
                    cel_npy a;
                    cel_error err;
                    for (i = 0; i < 2; i++)
                        for (j = 0; j < 3; j++) {
                            int v = kind == 'b' ? (i + j) % 2 : kind == 'u' ? 7 * i + 11 * j : 7 * i - 11 * j;
                            store(data + (fortran ? j * 2 + i : i * 3 + j) * bytes, kind, bytes, big, v);
                        }
                    snprintf(dict, sizeof dict, "{'descr': '%c%c%d', 'fortran_order': %s, 'shape': (2, 3), }",
                             big ? '>' : '<', kind, bytes, fortran ? "True" : "False");
                    size = build(file, version, dict, data, (size_t)(6 * bytes));
                    OK_OR_RETURN(cel_npy_parse(file, size, &a, &err));
                    CHECK(a.kind == kind && a.bytes == bytes && a.big_endian == big && a.fortran == fortran);
                    CHECK(a.ndim == 2 && a.shape[0] == 2 && a.shape[1] == 3 && a.count == 6 && a.trailing == 0);
                    CHECK(a.offset == (int64_t)size - 6 * bytes && a.data == file + a.offset);
                    OK_OR_RETURN(cel_npy_to_real(&a, real, &err));
                    memset(integer, 0, sizeof integer);
                    CHECK(cel_npy_to_int64(&a, integer, &err) == (kind == 'f' ? CEL_ERR_UNSUPPORTED : CEL_OK));
                    for (i = 0; i < 2; i++)
                        for (j = 0; j < 3; j++) {
                            int v = kind == 'b' ? (i + j) % 2 : kind == 'u' ? 7 * i + 11 * j : 7 * i - 11 * j;
                            NEAR(real[i * 3 + j], v, 0);
                            CHECK(integer[i * 3 + j] == (kind == 'f' ? 0 : v));
                        }
                }
}

static void extreme_values(void)
{
    static const unsigned char u8[16] = {1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 128};
    static const unsigned char half[14] = {1, 0, 255, 123, 0, 124, 0, 252, 0, 126, 0, 128, 255, 3};
    unsigned char file[256];
    const double huge = 1e300;
    cel_npy a;
    cel_error err;
    int64_t integer[2] = {5, 5};
    cel_real real[7];
    size_t size = build(file, 1, "{'descr': '<u8', 'fortran_order': False, 'shape': (2,), }", u8, 16);
    OK_OR_RETURN(cel_npy_parse(file, size, &a, &err));
    CHECK(cel_npy_to_int64(&a, integer, &err) == CEL_ERR_DATA && err.cell == 1 && err.offset >= 0);
    CHECK(integer[0] == 0 && integer[1] == 0);
    OK_OR_RETURN(cel_npy_to_real(&a, real, &err));
    NEAR(real[1], 9223372036854775808.0, 0);
    file[size - 9] = 128; /* the first becomes 2^63 + 1, read as signed: 1 - 2^63 */
    memcpy(strchr((char *)file + 10, 'u'), "i", 1);
    OK_OR_RETURN(cel_npy_parse(file, size, &a, &err));
    OK_OR_RETURN(cel_npy_to_int64(&a, integer, &err));
    CHECK(integer[0] == INT64_MIN + 1 && integer[1] == INT64_MIN);

    size = build(file, 1, "{'descr': '<f2', 'fortran_order': False, 'shape': (7,), }", half, 14);
    OK_OR_RETURN(cel_npy_parse(file, size, &a, &err));
    OK_OR_RETURN(cel_npy_to_real(&a, real, &err));
    NEAR(real[0], ldexp(1, -24), 0);
    NEAR(real[1], 65504, 0);
    CHECK(isinf(real[2]) && real[2] > 0 && isinf(real[3]) && real[3] < 0 && isnan(real[4]));
    CHECK(!(real[5] > 0) && signbit(real[5]));
    NEAR(real[6], 1023 * ldexp(1, -24), 0);

    size = build(file, 1, "{'descr': 'f8', 'fortran_order': False, 'shape': (1,), }", &huge, 8);
    OK_OR_RETURN(cel_npy_parse(file, size, &a, &err));
    OK_OR_RETURN(cel_npy_to_real(&a, real, &err));
    CHECK(sizeof(cel_real) == 8 ? real[0] > 9e299 : isinf(real[0]));
}

#define D(descr, order, shape) "{'descr': " descr ", 'fortran_order': " order ", 'shape': " shape ", }"

static void header_spellings(void)
{
    /* A dictionary, and the number of its array's elements (24 bytes of data follow), or minus a status. */
    static const struct {
        const char *dict;
        int version, expect;
    } c[] = {
        {D("'<f8'", "False", "(3,)"), 1, 3},
        {D("\"<f8\"", "True", "()"), 1, 1},
        {"{\"shape\":(1,3),'fortran_order':False,\"descr\":'<i4'}", 2, 3},
        {" {\t'descr' : '|b1' , 'fortran_order' : False , 'shape' : ( 2 , 3 , ) , } \r\n", 3, 6},
        {D("'<f8'", "False", "(3L, 1L)"), 1, 3},
        {D("'<f8'", "False", "(3L, 1L)"), 2, 3},
        {D("'<i1'", "False", "(0xb, 0x2)"), 1, 22},
        {D("'<i1'", "False", "(0, 10)"), 1, 0},
        {D("'|S8'", "False", "(3,)"), 1, 3},
        {D("'S24'", "False", "()"), 1, 1},
        {D("'S1'", "False", "(2, 12)"), 1, 24},
        {D("'float32'", "False", "(3,)"), 1, 3},
        {D("'uint8'", "False", "(3,)"), 1, 3},
        {D("'bool'", "False", "(3,)"), 1, 3},
        {D("'=i2'", "False", "(3,)"), 1, 3},
        {"{'shape': (99,), 'descr': '<f8', 'descr': '<i2', 'shape': (3,), 'fortran_order': False}", 1, 3},
        {D("'<f8'", "False", "(3, 9223372036854775807, 0)"), 1, -CEL_ERR_FORMAT},
        {D("'<f8'", "False", "(0, 9223372036854775808)"), 1, -CEL_ERR_FORMAT},
        {D("'<f8'", "False", "(4294967296, 4294967296)"), 1, -CEL_ERR_FORMAT},
        {D("'<f8'", "False", "(1152921504606846976,)"), 1, -CEL_ERR_FORMAT},
        {D("'<f8'", "False", "(4,)"), 1, -CEL_ERR_FORMAT},
        {D("'<f8'", "False", "(3)"), 1, -CEL_ERR_FORMAT},
        {D("'<f8'", "False", "(,)"), 1, -CEL_ERR_FORMAT},
        {D("'<f8'", "False", "(3,,)"), 1, -CEL_ERR_FORMAT},
        {D("'<f8'", "False", "(1 3)"), 1, -CEL_ERR_FORMAT},
        {D("'<f8'", "False", "(03,)"), 1, -CEL_ERR_FORMAT},
        {D("'<f8'", "False", "(00,)"), 1, -CEL_ERR_FORMAT},
        {D("'<f8'", "False", "(1_0,)"), 1, -CEL_ERR_FORMAT},
        {D("'<f8'", "False", "(0b1,)"), 1, -CEL_ERR_FORMAT},
        {D("'<f8'", "False", "(0o1,)"), 1, -CEL_ERR_FORMAT},
        {D("'<f8'", "False", "(0x,)"), 1, -CEL_ERR_FORMAT},
        {D("'<f8'", "False", "(L,)"), 1, -CEL_ERR_FORMAT},
        {D("'<f8'", "False", "(-3,)"), 1, -CEL_ERR_FORMAT},
        {D("'<f8'", "False", "(1.0,)"), 1, -CEL_ERR_FORMAT},
        {D("'<f8'", "False", "[3]"), 1, -CEL_ERR_FORMAT},
        {D("'<f8'", "Falsehood", "(3,)"), 1, -CEL_ERR_FORMAT},
        {D("'<f8'", "1", "(3,)"), 1, -CEL_ERR_FORMAT},
        {D("'<f3'", "False", "(3,)"), 1, -CEL_ERR_FORMAT},
        {D("'<b2'", "False", "(3,)"), 1, -CEL_ERR_FORMAT},
        {D("'int7'", "False", "(3,)"), 1, -CEL_ERR_FORMAT},
        {D("'bool16'", "False", "(3,)"), 1, -CEL_ERR_FORMAT},
        {D("'<f'", "False", "(3,)"), 1, -CEL_ERR_FORMAT},
        {D("''", "False", "(3,)"), 1, -CEL_ERR_FORMAT},
        {D("'<'", "False", "(3,)"), 1, -CEL_ERR_FORMAT},
        {D("'\\x3cf8'", "False", "(3,)"), 1, -CEL_ERR_FORMAT},
        {D("'<f16'", "False", "(1,)"), 1, -CEL_ERR_UNSUPPORTED},
        {D("'<c8'", "False", "(1,)"), 1, -CEL_ERR_UNSUPPORTED},
        {D("'|S0'", "False", "(1,)"), 1, -CEL_ERR_UNSUPPORTED},
        {D("'|S'", "False", "(1,)"), 1, -CEL_ERR_UNSUPPORTED},
        {D("'|S8x'", "False", "(1,)"), 1, -CEL_ERR_UNSUPPORTED},
        {D("'|S99999999999'", "False", "(0,)"), 1, -CEL_ERR_UNSUPPORTED},
        {D("'|S25'", "False", "(1,)"), 1, -CEL_ERR_FORMAT},
        {D("'<U2'", "False", "(1,)"), 1, -CEL_ERR_UNSUPPORTED},
        {D("'|V8'", "False", "(1,)"), 1, -CEL_ERR_UNSUPPORTED},
        {D("'|O'", "False", "(1,)"), 1, -CEL_ERR_UNSUPPORTED},
        {D("'<M8[ns]'", "False", "(1,)"), 1, -CEL_ERR_UNSUPPORTED},
        {D("'<f99999999999999999999'", "False", "(1,)"), 1, -CEL_ERR_UNSUPPORTED},
        {D("[('a', '<f8')]", "False", "(1,)"), 1, -CEL_ERR_UNSUPPORTED},
        {D("8", "False", "(1,)"), 1, -CEL_ERR_FORMAT},
        {"{'descr': '<f8', 'shape': (3,)}", 1, -CEL_ERR_FORMAT},
        {"{'descr': '<f8', 'fortran_order': False, 'shape': (3,), 'x': 1}", 1, -CEL_ERR_FORMAT},
        {"{'descr': '<f8', 'fortran_order': False, 'shape': (3,)} x", 1, -CEL_ERR_FORMAT},
        {"{'descr': '<f8', 'fortran_order': False, 'shape': (3,)", 1, -CEL_ERR_FORMAT},
        {"{'descr' '<f8', 'fortran_order': False, 'shape': (3,)}", 1, -CEL_ERR_FORMAT},
        {"{'descr': '<f8' 'fortran_order': False, 'shape': (3,)}", 1, -CEL_ERR_FORMAT},
        {"{,}", 1, -CEL_ERR_FORMAT},
        {"{", 1, -CEL_ERR_FORMAT},
        {"", 1, -CEL_ERR_FORMAT},
        {"{}", 1, -CEL_ERR_FORMAT},
    };
    static const char zeros[24] = "";
    unsigned char file[512];
    size_t i;
    for (i = 0; i < sizeof c / sizeof *c; i++) {
        cel_npy a;
        cel_error err = {CEL_OK, NULL, -1, -1, -1};
        size_t size = build(file, c[i].version, c[i].dict, zeros, 24);
        cel_status status = cel_npy_parse(file, size, &a, &err);
        int got = status ? -(int)status : (int)a.count;
        if (!CHECK(got == c[i].expect)) printf("    %s: %d, not %d\n", c[i].dict, got, c[i].expect);
        if (status)
            CHECK(err.status == status && err.what && err.offset >= 0 && err.offset <= (int64_t)size && !a.data);
    }
}

static void dimensions_and_caps(void)
{
    static char dict[20000];
    static unsigned char file[20100];
    cel_npy a;
    cel_error err;
    size_t size;
    int d, n;
    for (n = 31; n <= 33; n++) {
        strcpy(dict, "{'descr': '<i1', 'fortran_order': True, 'shape': (");
        for (d = 0; d < n; d++) strcat(dict, "1, ");
        strcat(dict, ")}");
        size = build(file, 1, dict, "\5", 1);
        CHECK(cel_npy_parse(file, size, &a, &err) == (n > 32 ? CEL_ERR_FORMAT : CEL_OK));
        CHECK(a.ndim == (n > 32 ? 0 : n));
    }
    for (n = 9998; n <= 10001; n++) { /* with its line end a header of n + 1 bytes */
        memset(dict, ' ', (size_t)n);
        dict[n] = 0;
        memcpy(dict, "{'descr': '<i1', 'fortran_order': True, 'shape': ()}", 52);
        size = build(file, 2, dict, "\5", 1);
        CHECK(cel_npy_parse(file, size, &a, &err) == (n + 1 > 10000 ? CEL_ERR_FORMAT : CEL_OK));
    }
    CHECK(cel_npy_parse(file, size, &a, NULL) == CEL_ERR_FORMAT); /* no cel_error is fine */
    CHECK(cel_npy_parse(file, 0, &a, &err) == CEL_ERR_FORMAT && err.offset == 0);
}

static void encoded_bytes(void)
{
    static const int64_t shape[3] = {2, 3, 5}, wrong[1] = {-1}, endless[2] = {INT64_MAX, 3};
    static const int32_t v[6] = {1, -2, 3, -4, 5, -6};
    static const char text[] = "{'descr': '<i4', 'fortran_order': False, 'shape': (2, 3), }";
    const uint16_t one = 1;
    unsigned char file[256];
    int64_t back[6];
    size_t size = 0, k;
    cel_npy a = cel_npy_describe('i', 4, 2, shape, v), b;
    cel_error err;
    size = encode(&a, file, sizeof file);
    CHECK(size == 128 + 24);
    CHECK(memcmp(file, "\x93NUMPY\1\0\x76\0", 10) == 0 && file[127] == '\n' && file[126] == ' ');
    if (*(const unsigned char *)&one == 1) CHECK(memcmp(file + 10, text, sizeof text - 1) == 0);
    OK_OR_RETURN(cel_npy_parse(file, size, &b, &err));
    OK_OR_RETURN(cel_npy_to_int64(&b, back, &err));
    for (k = 0; k < 6; k++) CHECK(back[k] == v[k]);
    for (k = 0; k < 12; k++) { /* every type, of 0, 1 and 3 dimensions */
        static const unsigned char data[240];
        int ndim;
        for (ndim = 0; ndim <= 3; ndim++) {
            unsigned char big[512];
            a = cel_npy_describe(numeric[k].kind, numeric[k].bytes, ndim, shape, data);
            size = encode(&a, big, sizeof big);
            OK_OR_RETURN(cel_npy_parse(big, size, &b, &err));
            CHECK(b.kind == a.kind && b.bytes == a.bytes && b.ndim == ndim && b.count == a.count && b.trailing == 0);
            CHECK(memcmp(b.shape, a.shape, sizeof a.shape) == 0 && b.offset % 64 == 0);
        }
    }
    a = cel_npy_describe('i', 4, 1, wrong, v);
    CHECK(encode(&a, file, sizeof file) == 0);
    a = cel_npy_describe('i', 4, 2, endless, v);
    CHECK(encode(&a, file, sizeof file) == 0);
    a = cel_npy_describe('f', 1, 1, shape, v);
    CHECK(encode(&a, file, sizeof file) == 0);
    a = cel_npy_describe('c', 8, 1, shape, v);
    CHECK(encode(&a, file, sizeof file) == 0);
    a = cel_npy_describe('i', 4, 33, shape, v);
    CHECK(encode(&a, file, sizeof file) == 0);
    a = cel_npy_describe('i', 4, 1, shape, NULL);
    CHECK(encode(&a, file, sizeof file) == 0);
}

/* Parses a copy of exactly this size, so that a sanitizer sees every byte too many. */
static cel_status parse_exact(const unsigned char *bytes, size_t size, cel_error *err)
{
    unsigned char *copy = (unsigned char *)malloc(size ? size : 1);
    cel_npy a;
    cel_status status;
    memcpy(copy, bytes, size);
    status = cel_npy_parse(copy, size, &a, err);
    if (status == CEL_OK) {
        int64_t *integer = (int64_t *)malloc((size_t)a.count * 8 + 1);
        cel_real *real = (cel_real *)malloc((size_t)a.count * sizeof *real + 1);
        CHECK(a.count >= 0 && a.offset + a.count * a.bytes + a.trailing == (int64_t)size);
        (void)cel_npy_to_int64(&a, integer, NULL);
        CHECK(cel_npy_to_real(&a, real, NULL) == (a.kind == 'S' ? CEL_ERR_UNSUPPORTED : CEL_OK));
        free(integer);
        free(real);
    }
    free(copy);
    return status;
}

static void npy_cut_and_mutated(void)
{
    static const int64_t shape[2] = {4, 3};
    static const int16_t v[12] = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11};
    static const char hot[] = "{}()[]'\",:0123456789TFLx_-<>|=biufcSUOVM \n\r\\\0\x93\xff";
    unsigned char file[256], copy[256];
    cel_npy a = cel_npy_describe('i', 2, 2, shape, v);
    size_t size, n;
    uint32_t state = 1;
    int round, good = 0;
    cel_error err;
    size = encode(&a, file, sizeof file);
    for (n = 0; n < size; n++) {
        CHECK(parse_exact(file, n, &err) == CEL_ERR_FORMAT);
        CHECK(err.offset == (int64_t)n && err.what);
    }
    CHECK(parse_exact(file, size, &err) == CEL_OK);
    for (round = 0; round < 20000; round++) {
        int k, changes = 1 + (int)(next_random(&state) % 4);
        memcpy(copy, file, size);
        for (k = 0; k < changes; k++) {
            size_t at = next_random(&state) % 80;
            uint32_t r = next_random(&state);
            copy[at] = (unsigned char)(k % 2 ? r : (uint32_t)hot[r % (sizeof hot - 1)]);
        }
        err.what = NULL;
        err.offset = -1;
        n = size - (round % 8 ? 0 : next_random(&state) % size);
        if (parse_exact(copy, n, &err) == CEL_OK) good++;
        else CHECK(err.what && err.offset >= 0 && err.offset <= (int64_t)n);
    }
    CHECK(good > 100 && good < 19000);
}

/* The matrix [[0, 2, 0], [0, 0, 0], [-1, 0, 4]] as an archive; returns its size. */
static size_t small_csr(unsigned char *out, size_t capacity)
{
    static const int64_t row[3] = {0, 2, 2}, col[3] = {1, 0, 2};
    static const cel_real value[3] = {2, -1, 4};
    cel_csr a;
    cel_npz_member member[5];
    int64_t shape[2];
    size_t size;
    if (cel_csr_from_edges(3, 3, 3, row, col, value, &a, NULL)) return 0;
    cel_npz_from_csr(&a, shape, member);
    size = encode_npz(member, 5, out, capacity);
    cel_csr_free(&a);
    return size;
}

static cel_status read_csr(const unsigned char *bytes, size_t size, cel_csr *out, cel_error *err)
{
    cel_npz z;
    cel_status status = cel_npz_parse(bytes, size, &z, err);
    memset(out, 0, sizeof *out);
    if (status) return status;
    status = cel_npz_to_csr(&z, out, err);
    cel_npz_free(&z);
    return status;
}

static void npz_round_trip(void)
{
    static unsigned char file[4096];
    size_t size = small_csr(file, sizeof file);
    char name[16];
    cel_npz z;
    cel_npy a;
    cel_csr m;
    cel_error err;
    int64_t i;
    static const char *const want[5] = {"indices", "indptr", "format", "shape", "data"};
    OK_OR_RETURN(cel_npz_parse(file, size, &z, &err));
    CHECK(z.count == 5);
    for (i = 0; i < 5; i++) {
        CHECK(cel_npz_name(&z, i, name, sizeof name) == strlen(want[i]) && strcmp(name, want[i]) == 0);
        CHECK(cel_npz_get(&z, name, &a, &err) == CEL_OK);
    }
    CHECK(cel_npz_name(&z, 0, name, 3) == 7 && strcmp(name, "in") == 0);
    CHECK(cel_npz_name(&z, 5, name, 3) == 0 && !*name && cel_npz_name(&z, -1, name, 3) == 0);
    CHECK(cel_npz_name(&z, 4, name, 0) == 4);
    OK_OR_RETURN(cel_npz_get(&z, "shape", &a, &err));
    CHECK(a.count == 2 && a.kind == 'i');
    OK_OR_RETURN(cel_npz_get(&z, "format", &a, &err));
    CHECK(a.count == 1 && a.kind == 'S' && a.bytes == 3 && a.ndim == 0 && memcmp(a.data, "csr", 3) == 0);
    CHECK(cel_npy_to_int64(&a, &i, &err) == CEL_ERR_UNSUPPORTED);
    CHECK(cel_npz_get(&z, "shap", &a, &err) == CEL_ERR_ARG && err.offset >= 0);
    OK_OR_RETURN(cel_npz_to_csr(&z, &m, &err));
    CHECK(m.rows == 3 && m.cols == 3 && cel_csr_count(&m) == 3);
    CHECK(m.start[1] == 1 && m.start[2] == 1 && m.index[0] == 1 && m.index[1] == 0 && m.index[2] == 2);
    NEAR(m.value[0], 2, 0);
    NEAR(m.value[1], -1, 0);
    NEAR(m.value[2], 4, 0);
    cel_csr_free(&m);
    size = encode_npz(NULL, 0, file, sizeof file); /* an empty archive */
    CHECK(cel_npz_parse(file, size, &z, &err) == CEL_OK && z.count == 0);
}

/* Names of two lengths, one empty, one in UTF-8, and an empty text. */
static void npz_texts(void)
{
    static char names[3][8] = {"Actb", "", "g\xC3\xA9ne"};
    char *list[3] = {names[0], names[1], names[2]}, *text, **line;
    static unsigned char file[2048];
    cel_npz_member member[3];
    int64_t shape[1] = {2}, n;
    cel_npz z;
    cel_npy a;
    cel_error err;
    size_t size;
    OK_OR_RETURN(cel_file_join_lines(list, 3, &text, &err));
    CHECK(strcmp(text, "Actb\n\ng\xC3\xA9ne\n") == 0);
    member[0] = cel_npz_text("genes", text);
    member[1] = cel_npz_text("none", "");
    member[2].name = "fixed";
    member[2].array = cel_npy_describe('S', 4, 1, shape, "ab\0\0cdef");
    size = encode_npz(member, 3, file, sizeof file);
    cel_file_free(text);
    OK_OR_RETURN(cel_npz_parse(file, size, &z, &err));
    OK_OR_RETURN(cel_npz_get(&z, "genes", &a, &err));
    OK_OR_RETURN(cel_file_parse_lines(a.data, (size_t)a.count, &line, &n, &err));
    CHECK(n == 3 && !strcmp(line[0], names[0]) && !strcmp(line[1], "") && !strcmp(line[2], names[2]));
    cel_file_free(line);
    OK_OR_RETURN(cel_npz_get(&z, "none", &a, &err));
    CHECK(a.kind == 'u' && a.count == 0);
    OK_OR_RETURN(cel_npz_get(&z, "fixed", &a, &err));
    CHECK(a.kind == 'S' && a.bytes == 4 && a.count == 2 && memcmp((const char *)a.data + 4, "cdef", 4) == 0);
    strcpy(names[1], "a\rb");
    CHECK(cel_file_join_lines(list, 3, &text, &err) == CEL_ERR_DATA && err.offset == 2 && !text);
    OK_OR_RETURN(cel_file_join_lines(list, 0, &text, &err));
    CHECK(!*text);
    cel_file_free(text);
}

static void npz_refused(void)
{
    static unsigned char file[4096], copy[4200];
    int i;
    size_t size = small_csr(file, sizeof file), k;
    cel_csr m;
    cel_error err;
    cel_npz z;
    cel_npy a;
    CHECK(size > 0);
    for (i = 8; i <= 12; i += 4) { /* members that are said to be deflated, or compressed by bzip2 */
        memcpy(copy, file, size);
        for (k = 0; k + 46 < size; k++)
            if (memcmp(copy + k, "PK\1\2", 4) == 0) copy[k + 10] = (unsigned char)i;
        CHECK(read_csr(copy, size, &m, &err) == (i == 8 ? CEL_ERR_FORMAT : CEL_ERR_UNSUPPORTED) && err.offset >= 0);
        CHECK(strstr(err.what, i == 8 ? "damaged" : "savez_compressed"));
    }
    memcpy(copy, file, size); /* encrypted */
    for (k = 0; k + 46 < size; k++)
        if (memcmp(copy + k, "PK\1\2", 4) == 0) copy[k + 8] = 1;
    CHECK(read_csr(copy, size, &m, &err) == CEL_ERR_UNSUPPORTED);
    memcpy(copy, file, size); /* one wrong byte of data */
    OK_OR_RETURN(cel_npz_parse(copy, size, &z, &err));
    OK_OR_RETURN(cel_npz_get(&z, "data", &a, &err));
    copy[a.offset + 1] ^= 1;
    CHECK(cel_npz_get(&z, "data", &a, &err) == CEL_ERR_FORMAT && strstr(err.what, "CRC"));
    CHECK(!a.data && err.offset > 0);
    memcpy(copy, file, size); /* a comment after the directory is part of the format */
    copy[size - 2] = 100;
    memset(copy + size, 'P', 100);
    CHECK(cel_npz_parse(copy, size + 100, &z, &err) == CEL_OK && z.count == 5);
    CHECK(cel_npz_parse(copy, size + 99, &z, &err) == CEL_ERR_FORMAT);
    CHECK(cel_npy_parse(file, size, &a, &err) == CEL_ERR_FORMAT && strstr(err.what, ".npz"));
}

/* Encodes arrays of integers as SciPy's members and reads them as a matrix. */
static cel_status csr_of(const char *format, const int64_t *shape, int64_t starts, const int64_t *indptr, int64_t count,
                         const int64_t *indices, const int64_t *data, cel_csr *m, cel_error *err)
{
    static unsigned char file[4096];
    static const int64_t two = 2;
    cel_npz_member member[5];
    size_t size;
    member[0].name = "data";
    member[0].array = cel_npy_describe('i', 8, 1, &count, data);
    member[1].name = "format";
    member[1].array = cel_npy_describe('S', (int)strlen(format), 0, NULL, format);
    member[2].name = "shape";
    member[2].array = cel_npy_describe('i', 8, 1, &two, shape);
    member[3].name = "indices";
    member[3].array = cel_npy_describe('i', 8, 1, &count, indices);
    member[4].name = "indptr";
    member[4].array = cel_npy_describe('i', 8, 1, &starts, indptr);
    size = encode_npz(member, 5, file, sizeof file);
    return size ? read_csr(file, size, m, err) : CEL_ERR_ARG;
}

/* A matrix that is read as it stands: its values in one dimension said to be in the order of columns, which changes
 * nothing, and in two, of which the order does. */
static void csr_of_columns(void)
{
    enum { ROWS = 1000 };
    static unsigned char file[40000];
    static int32_t indices[ROWS];
    static int64_t indptr[ROWS + 1];
    static float data[ROWS];
    static const int64_t shape[2] = {ROWS, 4}, two = 2, rows = ROWS, starts = ROWS + 1, square[2] = {ROWS / 2, 2};
    cel_npz_member member[5];
    int64_t i, k;
    cel_csr m;
    cel_error err;
    for (i = 0; i < ROWS; i++) {
        indices[i] = (int32_t)(i % 4);
        indptr[i + 1] = i + 1;
        data[i] = (float)i;
    }
    member[0].name = "format";
    member[0].array = cel_npy_describe('S', 3, 0, NULL, "csr");
    member[1].name = "shape";
    member[1].array = cel_npy_describe('i', 8, 1, &two, shape);
    member[2].name = "indices";
    member[2].array = cel_npy_describe('i', 4, 1, &rows, indices);
    member[3].name = "indptr";
    member[3].array = cel_npy_describe('i', 8, 1, &starts, indptr);
    member[4].name = "data";
    for (k = 0; k < 2; k++) {
        member[4].array = cel_npy_describe('f', 4, k ? 2 : 1, k ? square : &rows, data);
        member[4].array.fortran = 1;
        OK_OR_RETURN(read_csr(file, encode_npz(member, 5, file, sizeof file), &m, &err));
        for (i = 0; i < ROWS; i++) NEAR(m.value[i], (double)data[k ? i % 2 * (ROWS / 2) + i / 2 : i], 0);
        cel_csr_free(&m);
    }
}

static void csr_checked(void)
{
    static const int64_t shape[2] = {2, 4}, wide_of[2] = {4, 2}, indptr[3] = {0, 3, 4}, indices[4] = {3, 0, 3, 1},
                         data[4] = {1, 2, 4, 8};
    static const int64_t descending[3] = {0, 5, 4}, late[3] = {1, 3, 4};
    static const int64_t outside[4] = {3, 0, 4, 1}, negative[4] = {3, -1, 3, 1};
    static const int64_t wide[2] = {2, 3000000000}, tall[2] = {INT64_MAX, 4}, minus[2] = {2, -4};
    cel_csr m;
    cel_error err;
    OK_OR_RETURN(csr_of("csr", shape, 3, indptr, 4, indices, data, &m, &err)); /* unsorted, and (0, 3) twice */
    CHECK(m.rows == 2 && m.cols == 4 && cel_csr_count(&m) == 3);
    CHECK(m.index[0] == 0 && m.index[1] == 3 && m.index[2] == 1);
    NEAR(m.value[0], 2, 0);
    NEAR(m.value[1], 5, 0);
    NEAR(m.value[2], 8, 0);
    cel_csr_free(&m);
    OK_OR_RETURN(csr_of("csc", wide_of, 3, indptr, 4, indices, data, &m, &err)); /* the same, turned */
    CHECK(m.rows == 4 && m.cols == 2 && cel_csr_count(&m) == 3 && m.index[m.start[3]] == 0 && m.index[m.start[1]] == 1);
    NEAR(m.value[m.start[3]], 5, 0);
    cel_csr_free(&m);
    CHECK(csr_of("bsr", shape, 3, indptr, 4, indices, data, &m, &err) == CEL_ERR_UNSUPPORTED && err.offset >= 0);
    CHECK(csr_of("coo", shape, 3, indptr, 4, indices, data, &m, &err) == CEL_ERR_ARG); /* it has no member "row" */
    CHECK(csr_of("csrx", shape, 3, indptr, 4, indices, data, &m, &err) == CEL_ERR_UNSUPPORTED);
    CHECK(csr_of("csr", shape, 2, indptr, 4, indices, data, &m, &err) == CEL_ERR_FORMAT);
    CHECK(csr_of("csr", shape, 3, indptr, 3, indices, data, &m, &err) == CEL_ERR_FORMAT);
    CHECK(csr_of("csr", shape, 3, descending, 4, indices, data, &m, &err) == CEL_ERR_FORMAT);
    CHECK(csr_of("csr", shape, 3, late, 4, indices, data, &m, &err) == CEL_ERR_FORMAT);
    CHECK(csr_of("csr", shape, 3, indptr, 4, outside, data, &m, &err) == CEL_ERR_FORMAT && err.cell == 0);
    CHECK(csr_of("csr", shape, 3, indptr, 4, negative, data, &m, &err) == CEL_ERR_FORMAT);
    CHECK(csr_of("csr", wide, 3, indptr, 4, indices, data, &m, &err) == CEL_ERR_FORMAT);
    CHECK(csr_of("csr", tall, 3, indptr, 4, indices, data, &m, &err) == CEL_ERR_FORMAT);
    CHECK(csr_of("csr", minus, 3, indptr, 4, indices, data, &m, &err) == CEL_ERR_FORMAT);
    CHECK(m.rows == 0 && m.start == NULL);
}

static void npz_cut_and_mutated(void)
{
    static unsigned char file[4096];
    size_t size = small_csr(file, sizeof file), n, directory = 0, k;
    uint32_t state = 7;
    int round, rounds = test_brief ? 2000 : 20000, good = 0;
    cel_csr m;
    cel_error err;
    for (k = size; k-- > 0 && memcmp(file + k, "PK\1\2", 4);) {}
    for (directory = 0; directory < k && memcmp(file + directory, "PK\1\2", 4); directory++) {}
    for (n = 0; n < size; n++) {
        unsigned char *copy = (unsigned char *)malloc(n + 1);
        memcpy(copy, file, n);
        CHECK(read_csr(copy, n, &m, &err) == CEL_ERR_FORMAT && err.offset >= 0 && err.offset <= (int64_t)n);
        free(copy);
    }
    for (round = 0; round < rounds; round++) {
        unsigned char *copy = (unsigned char *)malloc(size);
        int changes = 1 + (int)(next_random(&state) % 3);
        memcpy(copy, file, size);
        while (changes-- > 0) {
            /* mostly the directory: the CRC guards the rest */
            n = round % 4 ? directory + next_random(&state) % (size - directory) : next_random(&state) % size;
            copy[n] = (unsigned char)(round % 2 ? next_random(&state) : 255);
        }
        err.what = NULL;
        err.offset = -1;
        if (read_csr(copy, size, &m, &err) == CEL_OK) {
            good++;
            cel_csr_free(&m);
        } else {
            CHECK(err.what && err.offset >= 0 && err.offset <= (int64_t)size);
        }
        free(copy);
    }
    CHECK(good > rounds / 100 && good < rounds);
}

static size_t put_int(unsigned char *out, uint64_t v, int bytes)
{
    int k;
    for (k = 0; k < bytes; k++) out[k] = (unsigned char)(v >> 8 * k);
    return (size_t)bytes;
}

/* P9: a file's integers are little-endian, whatever the machine is. */
static uint64_t get_int(const unsigned char *in, int bytes)
{
    uint64_t v = 0;
    while (bytes-- > 0) v = v << 8 | in[bytes];
    return v;
}

/* The same archive as zip64: sizes and offsets in extra fields, the directory in a record of its own. */
static void npz_wide(void)
{
    static unsigned char file[4096], wide[8192];
    size_t size = small_csr(file, sizeof file), at, n, end, start, k;
    cel_csr m;
    cel_error err;
    CHECK(size > 22);
    start = (size_t)get_int(file + size - 6, 4);
    memcpy(wide, file, start);
    for (at = start, n = start; memcmp(file + at, "PK\1\2", 4) == 0; at += k) {
        uint64_t length = get_int(file + at + 20, 4), local = get_int(file + at + 42, 4);
        k = 46 + (size_t)file[at + 28];
        memcpy(wide + n, file + at, k);
        memset(wide + n + 20, 255, 8);
        memset(wide + n + 42, 255, 4);
        wide[n + 30] = 5 + 28;
        n += k;
        memcpy(wide + n, "\2\1\1\0x\1\0\30", 9); /* another field first */
        n += 9;
        n += put_int(wide + n, length, 8);
        n += put_int(wide + n, length, 8);
        n += put_int(wide + n, local, 8);
    }
    end = n;
    memcpy(wide + n, "PK\6\6", 4);
    n += 4;
    n += put_int(wide + n, 44, 8);
    n += put_int(wide + n, 45 | 45 << 16, 4);
    n += put_int(wide + n, 0, 8);
    n += put_int(wide + n, 5, 8);
    n += put_int(wide + n, 5, 8);
    n += put_int(wide + n, end - start, 8);
    n += put_int(wide + n, start, 8);
    memcpy(wide + n, "PK\6\7\0\0\0", 8);
    n += 8;
    n += put_int(wide + n, end, 8);
    n += put_int(wide + n, 1, 4);
    memcpy(wide + n, "PK\5\6", 4);
    memset(wide + n + 4, 0, 4);
    memset(wide + n + 8, 255, 12);
    memset(wide + n + 20, 0, 2);
    n += 22;
    OK_OR_RETURN(read_csr(wide, n, &m, &err));
    CHECK(m.rows == 3 && cel_csr_count(&m) == 3);
    cel_csr_free(&m);
    for (k = 0; k < n; k++) CHECK(read_csr(wide, k, &m, &err) == CEL_ERR_FORMAT);
    for (k = start; k < n; k++) { /* no byte of the directory can lead outside */
        unsigned char old = wide[k];
        for (at = 0; at < 8; at++) {
            wide[k] = (unsigned char)(old ^ 1u << at);
            if (read_csr(wide, n, &m, &err) == CEL_OK) cel_csr_free(&m);
            else CHECK(err.what && err.offset >= 0 && err.offset <= (int64_t)n);
        }
        wide[k] = old;
    }
}

/* ---- the corpus of files by other writers ---- */

/* 1 if the manifest's dtype is one that the library reads: numbers, and bytes of text. */
static int is_read(const char *dtype)
{
    return strlen(dtype) == 3 && strchr("<>|=", dtype[0]) && strchr("biufS", dtype[1]) && strchr("1248", dtype[2]);
}

/* The array against a manifest's dtype, shape "[2, 3]", and first values separated by any of `gap`. */
static void compare(const char *file, const cel_npy *a, const char *dtype, const char *shape, const char *first,
                    const char *stop, const char *gap)
{
    int64_t *integer = (int64_t *)calloc((size_t)a->count + 1, sizeof *integer), i = 0;
    cel_real *real = (cel_real *)calloc((size_t)a->count + 1, sizeof *real);
    const char *p = shape + 1;
    const uint16_t one = 1;
    const int host_is_big = *(const unsigned char *)&one == 0;
    int d, bad = 0;
    /* An '=' in the file is the machine's order; the manifest was written by a little-endian one. */
    if (host_is_big && a->bytes > 1 && a->big_endian && dtype[0] != '>') {
        free(integer);
        free(real);
        return;
    }
    bad |= a->kind != dtype[1] || a->bytes != dtype[2] - '0' || (a->bytes > 1 && a->big_endian != (dtype[0] == '>'));
    for (d = 0; d < a->ndim; d++) {
        char *end;
        bad |= strtoll(p, &end, 10) != a->shape[d];
        p = end + strspn(end, ", ");
    }
    bad |= *p != ']';
    if (a->kind == 'S') { /* b'ab' b'c' */
        first += strspn(first, gap);
        if (!CHECK(!bad && first[0] == 'b' && first[2] == *(const char *)a->data)) printf("    %s: its text\n", file);
        free(integer);
        free(real);
        return;
    }
    bad |= cel_npy_to_real(a, real, NULL) != CEL_OK;
    if (a->kind != 'f') (void)cel_npy_to_int64(a, integer, NULL);
    for (p = first + strspn(first, gap); p < stop && i < a->count && i < 8; i++, p += strspn(p, gap)) {
        char *end;
        double want = *p == 'T' ? 1 : *p == 'F' ? 0 : strtod(p, &end), got = (double)real[i];
        double tol = sizeof(cel_real) == 8 ? 1e-15 : 1e-7;
        if (isnan(want)) bad |= !isnan(got);
        else if (sizeof(cel_real) == 4 && fabs(want) > 1e39) bad |= !isinf(got) || (got > 0) != (want > 0);
        else if (isinf(want)) bad |= got != want;
        else bad |= !(fabs(got - want) <= tol * fabs(want) + (sizeof(cel_real) == 4 ? 1e-45 : 0));
        bad |= want == 0 && *p == '-' && !signbit(got);
        if ((a->kind == 'i' || a->kind == 'u') && strlen(p) && want < 9e18) bad |= strtoll(p, NULL, 10) != integer[i];
        p += strcspn(p, gap);
    }
    bad |= i != (a->count < 8 ? a->count : 8);
    if (!CHECK(!bad)) printf("    %s: not as in the manifest\n", file);
    free(integer);
    free(real);
}

/* Every member of an archive that the manifest describes as {"name": {"dtype": "<f8", "shape": [2], ..}, ..}. */
static int corpus_npz(const char *file, const cel_file *f, const char *text)
{
    int64_t i;
    int read = 0;
    cel_npz z;
    cel_error err;
    if (!CHECK(cel_npz_parse(f->bytes, f->size, &z, &err) == CEL_OK)) return 0;
    for (i = 0; i < z.count; i++) {
        char name[64], key[80];
        cel_npy a;
        cel_status status;
        const char *entry, *dtype, *first;
        cel_npz_name(&z, i, name, sizeof name);
        snprintf(key, sizeof key, "\"%s\": {\"dtype\": \"", name);
        entry = strstr(text, key);
        if (!CHECK(entry != NULL)) continue;
        dtype = entry + strlen(key);
        status = cel_npz_get(&z, name, &a, &err);
        CHECK(status == CEL_OK || (status == CEL_ERR_UNSUPPORTED && err.what && err.offset >= 0));
        if (status) continue;
        snprintf(key, sizeof key, "%.3s", dtype);
        first = strstr(dtype, "\"first\": [") + 10;
        compare(file, &a, key, strstr(dtype, "\"shape\": ") + 9, first, strchr(first, ']'), "\", ");
        read++;
    }
    cel_npz_free(&z);
    return read;
}

static void corpus(void)
{
    /* numpy reads these, but not what was written (see the manifest's notes): refused here. */
    static const char *const lenient[] = {"valid/gen__odd_crlf_mangled.npy", "valid/gen__odd_shape_neg.npy",
                                          "valid/gen__odd_shape_neg1.npy"};
    char path[1200];
    static char line[16384];
    int numbers = 0, refused = 0, members = 0, k;
    FILE *manifest;
    if (!test_shared()) SKIP("no shared corpus");
    snprintf(path, sizeof path, "%s/npy_corpus/MANIFEST.tsv", test_shared());
    manifest = fopen(path, "r");
    if (!manifest) SKIP("no shared corpus");
    CHECK(fgets(line, sizeof line, manifest) != NULL);
    while (fgets(line, sizeof line, manifest)) {
        char *field[9], *p = line;
        int valid, expect, map;
        for (k = 0; k < 9; k++) {
            field[k] = p;
            p += strcspn(p, "\t\n");
            if (*p) *p++ = 0;
        }
        valid = strncmp(field[0], "valid/", 6) == 0;
        expect = valid && is_read(field[2]);
        for (k = 0; k < 3; k++)
            if (strcmp(field[0], lenient[k]) == 0) expect = 0;
        snprintf(path, sizeof path, "%s/npy_corpus/%s", test_shared(), field[0]);
        for (map = 0; map < 2; map++) {
            cel_file f;
            cel_npy a;
            cel_error err = {CEL_OK, NULL, -1, -1, -1};
            cel_status status;
            if (!CHECK(cel_file_open(path, map, &f, &err) == CEL_OK)) continue;
            CHECK((uintptr_t)f.bytes % 64 == 0);
            status = cel_npy_parse(f.bytes, f.size, &a, &err);
            if (!CHECK((status == CEL_OK) == expect)) printf("    %s: %s\n", field[0], status ? err.what : "read");
            if (status == CEL_OK) {
                CHECK(a.fortran == (field[4][0] == 'T'));
                CHECK(((const char *)f.bytes)[6] == field[1][0] - '0');
                compare(field[0], &a, field[2], field[3], field[5], field[5] + strlen(field[5]), " ");
                numbers++;
            } else {
                CHECK(err.status == status && err.what && err.offset >= 0 && err.offset <= (int64_t)f.size && !a.data);
                refused++;
            }
            if (strncmp(field[5], "npz: ", 5) == 0) members += corpus_npz(field[0], &f, field[5] + 5);
            cel_file_close(&f);
        }
    }
    fclose(manifest);
    CHECK(numbers > 200 && refused > 100 && members >= 8);
    printf("  corpus: %d arrays and %d members of archives read, %d files refused\n", numbers / 2, members / 2,
           refused / 2);
}

/* ---- the disk ---- */

static int entries(const char *dir)
{
    DIR *d = opendir(dir);
    int n = 0;
    while (d && readdir(d)) n++;
    if (d) closedir(d);
    return n - 2;
}

static void put_file(const char *path, const void *bytes, size_t size)
{
    FILE *f = fopen(path, "wb");
    if (!f) return;
    fwrite(bytes, 1, size, f);
    fclose(f);
}

static void disk_round_trip(void)
{
    static const int64_t shape[2] = {2, 3}, edges[6] = {0, 1, 2, 3, 4, 5};
    char dir[80], path[128];
    cel_real x[8] = {1, 2, 3, 99, 4, 5, 6, 99};
    cel_mat m;
    cel_npy a;
    cel_file f;
    cel_error err;
    int64_t *data, rows, cols;
    snprintf(dir, sizeof dir, "%s/round", test_tmp());
    mkdir(dir, 0777);
    snprintf(path, sizeof path, "%s/x.npy", dir);
    m = cel_mat_block(cel_mat_view(x, 2, 4), 0, 0, 2, 3); /* a window: rows apart */
    OK_OR_RETURN(cel_npy_write_matrix(path, m, &err));
    OK_OR_RETURN(cel_npy_matrix(path, &m, &err));
    CHECK(m.rows == 2 && m.cols == 3);
    NEAR(m.data[m.stride], 4, 0);
    NEAR(m.data[m.stride + 2], 6, 0);
    cel_mat_free(&m);
    OK_OR_RETURN(cel_file_open(path, 1, &f, &err));
    OK_OR_RETURN(cel_npy_parse(f.bytes, f.size, &a, &err));
#if defined(__linux__)
    CHECK(f.mapped && (uintptr_t)a.data % 64 == 0);
#endif
    cel_file_close(&f);
    CHECK(!f.bytes);
    CHECK(cel_npy_integers(path, &data, &rows, &cols, &err) == CEL_ERR_UNSUPPORTED && !data && !rows);
    a = cel_npy_describe('i', 8, 2, shape, edges);
    OK_OR_RETURN(cel_npy_write(path, &a, &err)); /* replaces what was there */
    OK_OR_RETURN(cel_npy_integers(path, &data, &rows, &cols, &err));
    CHECK(rows == 2 && cols == 3 && data[5] == 5);
    cel_file_free(data);
    a = cel_npy_describe('i', 8, 1, shape + 1, edges);
    OK_OR_RETURN(cel_npy_write(path, &a, &err));
    OK_OR_RETURN(cel_npy_integers(path, &data, &rows, &cols, &err));
    CHECK(rows == 3 && cols == 1 && data[2] == 2);
    cel_file_free(data);
    CHECK(cel_npy_matrix(path, &m, &err) == CEL_ERR_SHAPE && err.offset >= 0 && !m.data);
    a = cel_npy_describe('i', 8, 0, NULL, edges);
    OK_OR_RETURN(cel_npy_write(path, &a, &err));
    CHECK(cel_npy_integers(path, &data, &rows, &cols, &err) == CEL_ERR_SHAPE);
    CHECK(entries(dir) == 1);
}

static void disk_npz(void)
{
    static const int64_t row[2] = {0, 1}, col[2] = {1, 0}, row4[4] = {0, 0, 1, 1}, col4[4] = {0, 2, 1, 3}, square[2] = {2, 2};
    static const int32_t turned[4] = {0, 1, 2, 3};
    char path[128];
    cel_csr a, b;
    cel_npz_member member[5];
    int64_t shape[2];
    cel_error err;
    snprintf(path, sizeof path, "%s/graph.npz", test_tmp());
    OK_OR_RETURN(cel_csr_from_edges(2, 5, 2, row, col, NULL, &a, &err));
    cel_npz_from_csr(&a, shape, member);
    CHECK(cel_npz_write(path, member, 5, &err) == CEL_OK);
    CHECK(cel_npz_csr(path, &b, &err) == CEL_OK && b.rows == 2 && b.cols == 5 && cel_csr_count(&b) == 2);
    cel_csr_free(&b);
    member[1].array.count = 77;
    CHECK(cel_npz_write(path, member, 5, &err) == CEL_ERR_ARG && err.what);
    CHECK(cel_npz_csr(path, &b, &err) == CEL_OK); /* what was there before */
    cel_csr_free(&a);
    cel_csr_free(&b);
    /* Indices that are a matrix whose first index runs fastest: read in the order of their places, not of the file. */
    OK_OR_RETURN(cel_csr_from_edges(2, 4, 4, row4, col4, NULL, &a, &err));
    cel_npz_from_csr(&a, shape, member);
    member[0].array = cel_npy_describe('i', 4, 2, square, turned);
    member[0].array.fortran = 1;
    CHECK(cel_npz_write(path, member, 5, &err) == CEL_OK && cel_npz_csr(path, &b, &err) == CEL_OK);
    CHECK(b.rows == 2 && !memcmp(b.index, a.index, sizeof turned) && b.start[1] == 2);
    cel_csr_free(&a);
    cel_csr_free(&b);
    OK_OR_RETURN(cel_csr_from_edges(2, 0, 0, row4, col4, NULL, &a, &err)); /* nothing is a matrix, too */
    cel_npz_from_csr(&a, shape, member);
    CHECK(cel_npz_write(path, member, 5, &err) == CEL_OK && cel_npz_csr(path, &b, &err) == CEL_OK && b.rows == 2 && !b.cols);
    cel_csr_free(&a);
    cel_csr_free(&b);
}

/* A writer that was stopped half-way, a file written over a longer one, no file, a folder. */
static void disk_bad_files(void)
{
    static const int64_t shape[2] = {10, 10};
    static const double v[100];
    unsigned char bytes[1024];
    size_t size, n;
    char path[128], **lines;
    cel_npy a = cel_npy_describe('f', 8, 2, shape, v);
    cel_mat m;
    cel_csr c;
    cel_file f;
    int64_t count;
    cel_error err;
    size = encode(&a, bytes, sizeof bytes - 1);
    snprintf(path, sizeof path, "%s/half.npy", test_tmp());
    for (n = 0; n < size; n += 41) {
        put_file(path, bytes, n);
        CHECK(cel_npy_matrix(path, &m, &err) == CEL_ERR_FORMAT && err.offset == (int64_t)n && !m.data);
    }
    bytes[size] = 0;
    put_file(path, bytes, size + 1);
    CHECK(cel_npy_matrix(path, &m, &err) == CEL_ERR_FORMAT && err.offset == (int64_t)size && !m.data);
    CHECK(cel_npz_csr(path, &c, &err) == CEL_ERR_FORMAT && err.offset >= 0);
    remove(path);
    CHECK(cel_npy_matrix(path, &m, &err) == CEL_ERR_IO && strstr(err.what, "opened"));
    CHECK(cel_file_open(path, 1, &f, &err) == CEL_ERR_IO && !f.bytes);
    CHECK(cel_file_lines(path, &lines, &count, &err) == CEL_ERR_IO && !lines);
    CHECK(cel_npz_csr(path, &c, &err) == CEL_ERR_IO);
    CHECK(cel_npy_matrix(test_tmp(), &m, &err) == CEL_ERR_IO);
    CHECK(cel_file_open(test_tmp(), 1, &f, &err) == CEL_ERR_IO);
}

static void interrupted(int sig) { (void)sig; }

/* A pipe that another process writes into is read whole, by the ways that map and by those that read: it is opened
 * once. 0.1.0 opened it twice, lost what had been written, and waited for ever. */
static void H16_a_pipe_is_read_once(void)
{
    static const int64_t shape[2] = {300, 100};
    static cel_real x[30000];
    char path[128], file[128];
    struct sigaction stop;
    int way;
    cel_npy a = cel_npy_describe('f', (int)sizeof *x, 2, shape, x);
    snprintf(path, sizeof path, "%s/pipe", test_tmp());
    snprintf(file, sizeof file, "%s/pipe.npy", test_tmp());
    for (way = 0; way < 30000; way++) x[way] = (cel_real)(way % 251);
    x[29999] = 7;
    OK_OR_RETURN(cel_npy_write(file, &a, NULL));
    if (mkfifo(path, 0600)) SKIP("no pipes here");
    memset(&stop, 0, sizeof stop);
    stop.sa_handler = interrupted; /* ends the waiting open of a failing version */
    sigaction(SIGALRM, &stop, NULL);
    for (way = 0; way < 4; way++) {
        cel_file f;
        cel_mat m;
        cel_csr c;
        cel_error err = {CEL_OK, NULL, -1, -1, -1};
        int ended;
        pid_t child = fork();
        if (child == 0) {
            static char bytes[300000];
            size_t size = get_file(file, bytes, sizeof bytes);
            FILE *out = fopen(path, "wb");
            signal(SIGPIPE, SIG_IGN);
            if (out) (void)!fwrite(bytes, 1, size, out);
            _exit(out && fclose(out) == 0 ? 0 : 1);
        }
        alarm(5);
        if (way < 2) {
            CHECK(cel_file_open(path, way, &f, &err) == CEL_OK && f.size == 128 + sizeof x && !f.mapped);
            CHECK(!memcmp((const char *)f.bytes + 128, x, sizeof x)); /* more than a pipe holds: in several pieces */
            cel_file_close(&f);
        } else if (way == 2) {
            CHECK(cel_npy_matrix(path, &m, &err) == CEL_OK && m.rows == 300 && m.data[29999] > 6);
            cel_mat_free(&m);
        } else {
            CHECK(cel_npz_csr(path, &c, &err) == CEL_ERR_FORMAT && err.what);
        }
        CHECK(waitpid(child, &ended, 0) == child && WIFEXITED(ended) && WEXITSTATUS(ended) == 0);
        alarm(0);
    }
    signal(SIGALRM, SIG_DFL);
    remove(path);
}

/* After a failure: the old content, and nothing beside it. */
static void disk_failed_writes(void)
{
    static unsigned char many[100000];
    char dir[80], path[128], sub[128];
    struct rlimit old, tight;
    cel_file f;
    cel_error err;
    cel_status status;
    snprintf(dir, sizeof dir, "%s/failed", test_tmp());
    mkdir(dir, 0777);
    snprintf(path, sizeof path, "%s/x", dir);
    OK_OR_RETURN(cel_file_write(path, "old", 3, &err));
    OK_OR_RETURN(cel_file_write(path, "new!", 4, &err));
    if (getrlimit(RLIMIT_FSIZE, &old) == 0) {
        tight = old;
        tight.rlim_cur = 5000;
        signal(SIGXFSZ, SIG_IGN);
        setrlimit(RLIMIT_FSIZE, &tight);
        status = cel_file_write(path, many, sizeof many, &err);
        setrlimit(RLIMIT_FSIZE, &old);
        signal(SIGXFSZ, SIG_DFL);
        CHECK(status == CEL_ERR_IO && strstr(err.what, "written"));
    }
    OK_OR_RETURN(cel_file_open(path, 0, &f, &err));
    CHECK(f.size == 4 && memcmp(f.bytes, "new!", 4) == 0);
    cel_file_close(&f);
    CHECK(entries(dir) == 1);
    snprintf(sub, sizeof sub, "%s/sub", dir);
    mkdir(sub, 0777);
    CHECK(cel_file_write(sub, "x", 1, &err) == CEL_ERR_IO && strstr(err.what, "place"));
    CHECK(entries(dir) == 2);
    snprintf(sub, sizeof sub, "%s/none/x", dir);
    CHECK(cel_file_write(sub, "x", 1, &err) == CEL_ERR_IO && strstr(err.what, "folder"));
    OK_OR_RETURN(cel_file_write(path, NULL, 0, &err)); /* an empty file */
    OK_OR_RETURN(cel_file_open(path, 1, &f, &err));
    CHECK(f.size == 0 && f.bytes);
    cel_file_close(&f);
}

static void texts(void)
{
    static const struct {
        const char *text;
        size_t size;
        int count;
        const char *line[3];
    } c[] = {
        {"", 0, 0, {0}},
        {"\n", 1, 1, {""}},
        {"A\nB\n", 4, 2, {"A", "B"}},
        {"A\r\nB\r\n\r\n", 8, 3, {"A", "B", ""}},
        {"A\n\nlast", 7, 3, {"A", "", "last"}},
        {"\xEF\xBB\xBFg\xC3\xA9ne 1", 10, 1, {"g\xC3\xA9ne 1"}},
        {"\xEF\xBB\xBF", 3, 0, {0}},
        {"a\rb\n \n", 6, 2, {"a\rb", " "}},
    };
    char **line, path[128];
    int64_t count;
    size_t i;
    int k;
    cel_error err;
    for (i = 0; i < sizeof c / sizeof *c; i++) {
        char *copy = (char *)malloc(c[i].size + 1);
        memcpy(copy, c[i].text, c[i].size);
        OK_OR_RETURN(cel_file_parse_lines(copy, c[i].size, &line, &count, &err));
        CHECK(count == c[i].count && line[count] == NULL);
        for (k = 0; k < c[i].count && k < count; k++) CHECK(strcmp(line[k], c[i].line[k]) == 0);
        cel_file_free(line);
        free(copy);
    }
    CHECK(cel_file_parse_lines("a\nb\0c\n", 6, &line, &count, &err) == CEL_ERR_FORMAT && err.offset == 2 && !line &&
          !count);
    snprintf(path, sizeof path, "%s/genes.txt", test_tmp());
    OK_OR_RETURN(cel_file_write(path, "Actb\nGapdh\n", 11, &err));
    OK_OR_RETURN(cel_file_lines(path, &line, &count, &err));
    CHECK(count == 2 && strcmp(line[1], "Gapdh") == 0);
    cel_file_free(line);
}

void suite_files(void);
void suite_files(void)
{
    RUN(every_type_and_order);
    RUN(extreme_values);
    RUN(header_spellings);
    RUN(dimensions_and_caps);
    RUN(encoded_bytes);
    RUN(npy_cut_and_mutated);
    RUN(npz_round_trip);
    RUN(npz_texts);
    RUN(npz_refused);
    RUN(csr_checked);
    RUN(csr_of_columns);
    RUN(npz_cut_and_mutated);
    RUN(npz_wide);
    RUN(corpus);
    RUN(disk_round_trip);
    RUN(disk_npz);
    RUN(disk_bad_files);
    RUN(H16_a_pipe_is_read_once);
    RUN(disk_failed_writes);
    RUN(texts);
}
