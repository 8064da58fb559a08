/* Tables and compressed content: gzip, .npz, CSV, Matrix Market, folders of 10x. What other programs write is made by
 * tests/write_files.py where NumPy and SciPy are installed. SPDX-License-Identifier: MIT */
#include "test.h"

#include <sys/stat.h>

/* Deterministic, independent of the library. */
static uint32_t next_random(uint32_t *state)
{
    *state = *state * 1664525u + 1013904223u;
    return *state >> 8;
}

static void put_file(const char *path, const void *bytes, size_t size)
{
    FILE *f = fopen(path, "wb");
    if (!f) return;
    fwrite(bytes, 1, size, f);
    fclose(f);
}

static uint32_t slow_crc(const unsigned char *p, size_t n)
{
    uint32_t crc = 0xffffffffu;
    int k;
    for (; n > 0; n--, p++)
        for (crc ^= *p, k = 0; k < 8; k++) crc = crc & 1 ? crc >> 1 ^ 0xedb88320u : crc >> 1;
    return ~crc;
}

static size_t put_int(unsigned char *out, uint64_t v, int bytes)
{
    int k;
    for (k = 0; k < bytes; k++) out[k] = (unsigned char)(v >> 8 * k);
    return (size_t)bytes;
}

/* A gzip member that stores the content, with all that its header may have where flags say so; returns its size. */
static size_t gz_store(unsigned char *out, const void *content, size_t n, int flags)
{
    const unsigned char *p = (const unsigned char *)content;
    size_t at = 10, left = n;
    memcpy(out, "\x1f\x8b\x08\0\0\0\0\0\0\3", 10);
    out[3] = (unsigned char)flags;
    if (flags & 4) {
        memcpy(out + at, "\5\0extra", 7);
        at += 7;
    }
    if (flags & 8) {
        memcpy(out + at, "name", 5);
        at += 5;
    }
    if (flags & 16) {
        memcpy(out + at, "", 1);
        at += 1;
    }
    if (flags & 2) at += put_int(out + at, 0, 2);
    do {
        size_t block = left > 65535 ? 65535 : left;
        out[at++] = block == left;
        at += put_int(out + at, block, 2);
        at += put_int(out + at, ~block & 0xffff, 2);
        if (block) memcpy(out + at, p + n - left, block);
        at += block;
        left -= block;
    } while (left);
    at += put_int(out + at, slow_crc(p, n), 4);
    return at + put_int(out + at, n, 4);
}

/* The folder of tests/write_files.py, NULL where Python or its packages are missing. */
static const char *written(void)
{
    static char dir[80], command[200];
    static int tried;
    if (!tried) {
        tried = 1;
        snprintf(dir, sizeof dir, "%s/written", test_tmp());
        mkdir(dir, 0777);
        snprintf(command, sizeof command, "/usr/bin/python3 tests/write_files.py %s 2> /dev/null", dir);
        if (system(command) != 0) dir[0] = 0;
    }
    return dir[0] ? dir : NULL;
}

/* Unpacks a copy of exactly this size, so that a sanitizer sees every byte too many. */
static cel_status unpack(const unsigned char *bytes, size_t size, int64_t limit, void **out, size_t *n, cel_error *err)
{
    unsigned char *copy = (unsigned char *)malloc(size ? size : 1);
    cel_status status;
    memcpy(copy, bytes, size);
    status = cel_file_gunzip(copy, size, limit, out, n, err);
    free(copy);
    if (status) CHECK(!*out && !*n && err->status == status && err->what && err->offset <= (int64_t)size);
    return status;
}

static void gunzip_headers(void)
{
    static unsigned char text[200000], file[200200];
    void *out;
    size_t n, size, first;
    int flags;
    cel_error err;
    for (n = 0; n < sizeof text; n++) text[n] = (unsigned char)(n * n >> 7);
    for (flags = 0; flags < 32; flags++) { /* each optional part of the header */
        size = gz_store(file, text, 1000, flags);
        OK_OR_RETURN(unpack(file, size, 0, &out, &n, &err));
        CHECK(n == 1000 && memcmp(out, text, n) == 0);
        cel_file_free(out);
        for (first = 0; first < size; first += first < 40 ? 1 : 97)
            CHECK(unpack(file, first, 0, &out, &n, &err) == CEL_ERR_FORMAT);
    }
    size = gz_store(file, text, 100, 32);
    CHECK(unpack(file, size, 0, &out, &n, &err) == CEL_ERR_FORMAT); /* a flag from the future */
    first = gz_store(file, text, 150000, 8); /* two members, padding, then something else */
    size = first + gz_store(file + first, text + 150000, 10, 0);
    memset(file + size, 0, 40);
    OK_OR_RETURN(unpack(file, size + 40, 0, &out, &n, &err));
    CHECK(n == 150010 && memcmp(out, text, n) == 0);
    cel_file_free(out);
    CHECK(unpack(file, size, 150009, &out, &n, &err) == CEL_ERR_FORMAT && strstr(err.what, "limit"));
    file[size + 39] = 'x';
    CHECK(unpack(file, size + 40, 0, &out, &n, &err) == CEL_ERR_FORMAT);
    file[first - 5] ^= 1; /* a wrong CRC-32 */
    CHECK(unpack(file, first, 0, &out, &n, &err) == CEL_ERR_FORMAT && strstr(err.what, "damaged"));
    size = gz_store(file, NULL, 0, 0);
    OK_OR_RETURN(unpack(file, size, 0, &out, &n, &err));
    CHECK(n == 0 && out);
    cel_file_free(out);
    put_int(file + size - 4, 0xfffffff0u, 4); /* says 4 GiB: no memory is asked for */
    CHECK(unpack(file, size, 0, &out, &n, &err) == CEL_ERR_FORMAT);
}

/* "aa", a literal each, beside a code of distances that has one symbol alone: of one bit it is taken, as zlib does, of
 * more it is damage. */
static void gunzip_lone_distances(void)
{
    static const struct {
        const char *stream;
        size_t size;
        int good;
    } c[] = {{"\x05\xe0\x81\0\0\0\0\0\x10\xb4\xfa\x9f\x80", 13, 1},
             {"\x05\xe0\x01\x01\0\0\0\x80\x10\x6c\xf5\xff\x84\x08", 14, 0},
             {"\x05\xe0\x01\x01\0\0\0\x02\x10\x6c\xf5\xff\x84\x08", 14, 0}};
    unsigned char file[40];
    void *out;
    size_t k, n, size;
    cel_error err;
    for (k = 0; k < 3; k++) {
        memcpy(file, "\x1f\x8b\x08\0\0\0\0\0\0\3", 10);
        memcpy(file + 10, c[k].stream, c[k].size);
        size = 10 + c[k].size;
        size += put_int(file + size, slow_crc((const unsigned char *)"aa", 2), 4);
        size += put_int(file + size, 2, 4);
        CHECK(unpack(file, size, 0, &out, &n, &err) == (c[k].good ? CEL_OK : CEL_ERR_FORMAT));
        if (c[k].good) CHECK(n == 2 && !memcmp(out, "aa", 2));
        cel_file_free(out);
    }
}

/* The next record of streams.bin; 0 at its end. */
static int next_stream(const cel_file *f, size_t *at, const unsigned char **content, size_t *n,
                       const unsigned char **stream, size_t *size)
{
    const unsigned char *p = (const unsigned char *)f->bytes + *at;
    if (f->size - *at < 8) return 0;
    *n = p[0] | (size_t)p[1] << 8 | (size_t)p[2] << 16 | (size_t)p[3] << 24;
    *size = p[4] | (size_t)p[5] << 8 | (size_t)p[6] << 16 | (size_t)p[7] << 24;
    *content = p + 8;
    *stream = p + 8 + *n;
    *at += 8 + *n + *size;
    return *at <= f->size;
}

static void gunzip_what_zlib_wrote(void)
{
    char path[128];
    const unsigned char *content, *stream;
    size_t at = 0, n, size, got;
    int count = 0;
    cel_file f;
    cel_error err;
    if (!written()) SKIP("no Python with NumPy and SciPy");
    snprintf(path, sizeof path, "%s/streams.bin", written());
    OK_OR_RETURN(cel_file_open(path, 0, &f, &err));
    while (next_stream(&f, &at, &content, &n, &stream, &size)) {
        void *out;
        if (!CHECK(unpack(stream, size, 0, &out, &got, &err) == CEL_OK)) continue;
        CHECK(got == n && memcmp(out, content, n) == 0);
        cel_file_free(out);
        count++;
    }
    CHECK(count >= 802 && at == f.size);
    cel_file_close(&f);
}

static void gunzip_cut_and_flipped(void)
{
    char path[128];
    const unsigned char *content, *stream;
    size_t at = 0, n, size, got, k, cut;
    uint32_t state = 3;
    int streams = 0, good = 0, bad = 0;
    cel_file f;
    cel_error err;
    void *out;
    if (!written()) SKIP("no Python with NumPy and SciPy");
    snprintf(path, sizeof path, "%s/streams.bin", written());
    OK_OR_RETURN(cel_file_open(path, 0, &f, &err));
    while (next_stream(&f, &at, &content, &n, &stream, &size)) {
        unsigned char *copy;
        if (size > 3000 || n < 50 || streams++ > (test_brief ? 20 : 200)) continue;
        copy = (unsigned char *)malloc(size);
        memcpy(copy, stream, size);
        for (cut = 1; cut < size; cut += 1 + size / 50)
            CHECK(unpack(copy, cut, 1 << 20, &out, &got, &err) == CEL_ERR_FORMAT);
        for (k = 0; k < 60; k++) { /* one bit, anywhere but where a header says nothing of the content */
            size_t bit = 8 * 10 + next_random(&state) % (8 * (size - 10));
            copy[bit / 8] ^= (unsigned char)(1u << bit % 8);
            if (unpack(copy, size, 1 << 20, &out, &got, &err) == CEL_OK) {
                good += got != n || memcmp(out, content, n) != 0; /* never another content */
                cel_file_free(out);
            } else {
                bad++;
            }
            copy[bit / 8] ^= (unsigned char)(1u << bit % 8);
        }
        free(copy);
    }
    CHECK(good == 0 && bad > 500);
    cel_file_close(&f);
}

/* 3 GB of zeros in 3 MB of blocks of a fixed code, made here: length 258, distance 1, again and again. */
static void gunzip_bombs(void)
{
    static unsigned char file[100100];
    size_t bits = 0, n, k, size;
    void *out;
    cel_error err;
    memset(file, 0, sizeof file);
    memcpy(file, "\x1f\x8b\x08\0\0\0\0\0\0\3", 10);
    bits = 80;
#define BIT(b) (file[bits / 8] |= (unsigned char)((b) << bits % 8), bits++)
    BIT(1); /* the last block, of type 1 */
    BIT(1);
    BIT(0);
    for (k = 0; k < 8; k++) BIT("00110000"[k] - '0'); /* the literal 0 */
    while (bits < 8 * 99000) {
        for (k = 0; k < 8; k++) BIT("11000101"[k] - '0'); /* 285: 258 bytes */
        for (k = 0; k < 5; k++) BIT(0);                    /* from 1 before */
    }
    for (k = 0; k < 7; k++) BIT(0); /* the end */
    size = bits / 8 + 1 + 8;
    n = 1 + (8 * 99000 - 91 + 12) / 13 * 258;
    put_int(file + size - 4, n, 4);
    CHECK(unpack(file, size, 1 << 20, &out, &n, &err) == CEL_ERR_FORMAT && strstr(err.what, "limit"));
    CHECK(unpack(file, size, 0, &out, &n, &err) == CEL_ERR_FORMAT && strstr(err.what, "damaged")); /* its CRC-32 is 0 */
    put_int(file + size - 4, 5, 4); /* it lies about its length */
    CHECK(unpack(file, size, 1 << 20, &out, &n, &err) == CEL_ERR_FORMAT && strstr(err.what, "limit"));
}

/* ---- tables ---- */

static cel_status parse_table(const char *text, const cel_table_options *o, cel_table *out, cel_error *err)
{
    size_t n = strlen(text);
    char *copy = (char *)malloc(n ? n : 1);
    cel_status status;
    memcpy(copy, text, n);
    status = cel_table_parse(copy, n, o, out, err);
    free(copy);
    return status;
}

/* Names as "a|b|c|", "-" where there are none. */
static const char *joined(char *const *name, int64_t count)
{
    static char text[2][400];
    static int turn;
    char *out = text[turn = !turn];
    int64_t i;
    if (!name) return "-";
    for (*out = 0, i = 0; i < count; i++) {
        strncat(out, name[i], 60);
        strcat(out, "|");
    }
    return out;
}

/* Texts that are all the matrix [[1, 0, 2.5], [0, -3, 4e2]], with or without names. */
static void texts_of_one_table(void)
{
    static const struct {
        const char *text, *row, *col;
        int turned;
    } c[] = {
        {"1,0,2.5\n0,-3,400\n", "-", "-", 0},
        {"\n\n1,0,2.5\n0,-3,4e2", "-", "-", 0},
        {"A,B,C\n1,0,2.5\n0,-3,400\n", "-", "A|B|C|", 0},
        {"RDX,PAR1,BZw1\n1,0,2.5\n0,-3,400\n", "-", "RDX|PAR1|BZw1|", 0}, /* genes, not kinds of files */
        {"\xEF\xBB\xBF"
         "A\tB\tC\r\n1\t0\t2.50\r\n0\t-3\t400.\r\n\r\n",
         "-", "A|B|C|", 0},
        {"cell,A,B,C\nx,1,0,2.5\ny,0,-3,400\n", "x|y|", "A|B|C|", 0},
        {",A,B,C\n0,1,0,2.5\n1,0,-3,400\n", "0|1|", "A|B|C|", 0},
        {"Cell_ID;A;B;C\n17;1;0;2.5\n18;0;-3;+400\n", "17|18|", "A|B|C|", 0},
        {"\"\",\"A\",\"B \"\"b\"\"\",\"C, c\"\n\"1\",1,0,2.5\n\"2\",0,-3,400\n", "1|2|", "A|B \"b\"|C, c|", 0},
        {"\"A\" \"B\" \"C\"\n\"x\" 1 0 2.5\n\"y\" 0 -3 400\n", "x|y|", "A|B|C|", 0},
        {"A,B,C\rx,1,0,2.5\ry,0,-3,400\r", "x|y|", "A|B|C|", 0},
        {"cell , A ,B\t,C\n x x ,1 , 0,2.5\ny, \"0\" ,\"-3\",\"400\"\n", "x x|y|", "A|B|C|", 0},
        {"x,1,0,2.5\ny,0,-3,400\n", "x|y|", "-", 0},
        {"1 0 2.5\n0 -3 400\n", "-", "-", 0},
        {"gene,x,y\nA,1,0\nB,0,-3\nC,2.5,400\n", "x|y|", "A|B|C|", 1},
        {"1,0\n0,-3\n2.5,400\n", "-", "-", 1},
        {",1,2\nA,1,0\nB,0,-3\nC,2.5,400\n", "1|2|", "A|B|C|", 1},
        {"%%MatrixMarket matrix coordinate real general\n% a\n%\n2 3 4\n2 3 400\n1 1 1\n1 3 2.5\n2 2 -3\n", "-", "-",
         0},
        {"%%matrixmarket MATRIX Array Real General\r\n2 3\r\n1\r\n0\r\n0\r\n-3\r\n2.5\r\n400\r\n", "-", "-", 0},
        {"%%MatrixMarket matrix coordinate real general\n3 2 4\n3 2 400\n1 1 1\n3 1 2.5\n2 2 -3", "-", "-", 1},
        {"%%MatrixMarket matrix array real general\n3 2\n1 0 2.5 0 -3 400", "-", "-", 1},
    };
    static const double want[6] = {1, 0, 2.5, 0, -3, 400};
    size_t i;
    int k, packed;
    for (i = 0; i < sizeof c / sizeof *c; i++)
        for (packed = 0; packed < 2; packed++) {
            unsigned char file[1000];
            cel_table_options o = CEL_ZERO;
            cel_table t;
            cel_error err = {CEL_OK, "", -1, -1, -1};
            cel_status status;
            o.genes_are_rows = c[i].turned;
            o.dense = 1;
            status = packed ? cel_table_parse(file, gz_store(file, c[i].text, strlen(c[i].text), 8), &o, &t, &err)
                            : parse_table(c[i].text, &o, &t, &err);
            if (!CHECK(status == CEL_OK)) printf("    %s: %s, line %d\n", c[i].text, err.what, (int)err.offset);
            if (status) continue;
            if (!CHECK(t.rows == 2 && t.cols == 3 && t.x.rows == 2 && t.x.cols == 3 && !t.sparse.start))
                printf("    %s: %d x %d\n", c[i].text, (int)t.rows, (int)t.cols);
            else
                for (k = 0; k < 6; k++) NEAR(t.x.data[k], want[k], 0);
            if (!CHECK(!strcmp(joined(t.row, t.rows), c[i].row) && !strcmp(joined(t.col, t.cols), c[i].col)))
                printf("    %s: %s, %s\n", c[i].text, joined(t.row, t.rows), joined(t.col, t.cols));
            cel_table_free(&t);
            CHECK(!t.x.data && !t.row && !t.pool);
        }
}

static void picked_columns(void)
{
    static const char text[] = "barcode,in_tissue,y,\"cell type\",x\nc1,1,10,T/NK,1\nc2,0,20,\"B, naive\",2\n";
    static const char *const xy[2] = {"x", "y"}, *const missing[2] = {"x", "z"};
    cel_table_options o = CEL_ZERO;
    cel_table t;
    cel_error err;
    CHECK(parse_table(text, NULL, &t, &err) == CEL_ERR_FORMAT && err.offset == 2 && err.gene == 3);
    o.pick = xy;
    o.picks = 2;
    o.label = "cell type";
    OK_OR_RETURN(parse_table(text, &o, &t, &err));
    CHECK(t.rows == 2 && t.cols == 2 && !strcmp(joined(t.row, 2), "c1|c2|") && !strcmp(joined(t.col, 2), "x|y|"));
    CHECK(!strcmp(joined(t.label, 2), "T/NK|B, naive|"));
    NEAR(t.x.data[0], 1, 0);
    NEAR(t.x.data[3], 20, 0);
    cel_table_free(&t);
    o.picks = 0;
    OK_OR_RETURN(parse_table(text, &o, &t, &err)); /* the words alone */
    CHECK(t.cols == 0 && t.rows == 2 && !strcmp(joined(t.label, 2), "T/NK|B, naive|"));
    cel_table_free(&t);
    o.label = "type";
    OK_OR_RETURN(parse_table("type\nT\nB\n", &o, &t, &err)); /* in the first column, where names would be */
    CHECK(!t.row && !strcmp(joined(t.label, 2), "T|B|"));
    cel_table_free(&t);
    o.label = NULL;
    o.pick = missing;
    o.picks = 2;
    CHECK(parse_table(text, &o, &t, &err) == CEL_ERR_FORMAT && strstr(err.what, "column") && err.offset == 1);
    CHECK(parse_table("x,z,x\n1,2,3\n", &o, &t, &err) == CEL_ERR_FORMAT && strstr(err.what, "twice"));
    CHECK(parse_table("1,2,3\n", &o, &t, &err) == CEL_ERR_FORMAT && strstr(err.what, "header"));
    memset(&o, 0, sizeof o);
    o.header = -1; /* numbers that look like names, names that look like numbers */
    o.row_names = 1;
    OK_OR_RETURN(parse_table("1,2,3\n4,5,6\n", &o, &t, &err));
    CHECK(t.rows == 2 && t.cols == 2 && !t.col && !strcmp(joined(t.row, 2), "1|4|"));
    cel_table_free(&t);
    o.header = 1;
    o.row_names = -1;
    OK_OR_RETURN(parse_table("1,2,3\n4,5,6\n", &o, &t, &err));
    CHECK(t.rows == 1 && t.cols == 3 && !t.row && !strcmp(joined(t.col, 3), "1|2|3|"));
    cel_table_free(&t);
    o.header = 2;
    CHECK(parse_table("1,2,3\n4,5,6\n", &o, &t, &err) == CEL_ERR_ARG);
}

/* What cannot be read: the status, the line, the field, and a word of what is said. */
static void refused_tables(void)
{
    static const struct {
        const char *text;
        size_t size; /* 0: to its end */
        int status, line, field;
        const char *says;
    } c[] = {
        {"", 0, CEL_ERR_FORMAT, 1, -1, "empty"},
        {"\n\r\n ", 0, CEL_ERR_FORMAT, 1, -1, "empty"},
        {"A,B\n", 0, CEL_ERR_FORMAT, 1, -1, "header"},
        {"A,B\n1,2\n3\n", 0, CEL_ERR_FORMAT, 3, -1, "fewer"},
        {"A,B\n1,2\n3,4,5\n", 0, CEL_ERR_FORMAT, 3, -1, "more"},
        {"A,B\n1,2\n\n3,4\n", 0, CEL_ERR_FORMAT, 3, -1, "empty line"},
        {"A,B\n1,2\n3,x\n", 0, CEL_ERR_FORMAT, 3, 1, "text"},
        {"A,B\r\n1,2\r\n3,\r\n", 0, CEL_ERR_FORMAT, 3, 1, "empty field"},
        {"A,B\n1,2\nNA,4\n", 0, CEL_ERR_FORMAT, 3, 0, "missing"},
        {"A,B\n1,2\n1,nan\n", 0, CEL_ERR_FORMAT, 3, 1, "missing"},
        {"A,B\n1,2\n1,inf\n", 0, CEL_ERR_FORMAT, 3, 1, "text"},
        {"A;B\n1;2\n1,5;3\n", 0, CEL_ERR_FORMAT, 3, 0, "decimal comma"},
        {"A,B\n1,2\n\"3,4\n", 0, CEL_ERR_FORMAT, 3, 0, "quote"},
        {"A,B\n1,2\n\"3\"x,4\n", 0, CEL_ERR_FORMAT, 3, 0, "quote"},
        {"A,B\n1,2\n3,\"4\"x\n", 0, CEL_ERR_FORMAT, 3, 1, "quote"},
        {"A,B\n\"1\"x,2\n", 0, CEL_ERR_FORMAT, 2, -1, "quote"},
        {"\"A,B\n1,2\n", 0, CEL_ERR_FORMAT, 1, -1, "quote"},
        {"Actb\nGapdh\n", 0, CEL_ERR_FORMAT, 1, -1, "names"},
        {"A,B\n1,2\n\0,4\n", 12, CEL_ERR_FORMAT, 3, -1, "zero byte"},
        {"\xFF\xFE"
         "A\0,\0B\0",
         8, CEL_ERR_FORMAT, 1, -1, "UTF-8"},
        {"%%MatrixMarket matrix coordinate complex general\n1 1 1\n1 1 1 1\n", 0, CEL_ERR_UNSUPPORTED, 1, -1, "real"},
        {"%%MatrixMarket matrix coordinate real symmetric\n1 1 1\n1 1 1\n", 0, CEL_ERR_UNSUPPORTED, 1, -1, "symmetry="},
        {"%%MatrixMarket vector array real general\n1 1\n1\n", 0, CEL_ERR_UNSUPPORTED, 1, -1, "real"},
        {"%%MatrixMarket matrix coordinate real general\n", 0, CEL_ERR_FORMAT, 1, -1, "number"},
        {"%%MatrixMarket matrix coordinate real general\n2 2 1\n3 1 1\n", 0, CEL_ERR_FORMAT, 3, -1, "range"},
        {"%%MatrixMarket matrix coordinate real general\n2 2 1\n0 1 1\n", 0, CEL_ERR_FORMAT, 3, -1, "range"},
        {"%%MatrixMarket matrix coordinate real general\n2 2 1\n1.5 1 1\n", 0, CEL_ERR_FORMAT, 3, -1, "range"},
        {"%%MatrixMarket matrix coordinate real general\n2 2 1\n1 1 x\n", 0, CEL_ERR_FORMAT, 3, -1, "number"},
        {"%%MatrixMarket matrix coordinate real general\n2 2 2\n1 1 1\n", 0, CEL_ERR_FORMAT, 2, -1, "shorter"},
        {"%%MatrixMarket matrix coordinate real general\n2 2 1\n1 1 1\n1 2 1\n", 0, CEL_ERR_FORMAT, 4, -1, "goes on"},
        {"%%MatrixMarket matrix coordinate real general\n2147483647 2147483647 0\n", 0, CEL_ERR_MEMORY, -1, -1,
         "limit"},
        {"%%MatrixMarket matrix array real general\n2147483647 2147483647\n", 0, CEL_ERR_FORMAT, 2, -1, "shorter"},
        {"\x89HDF\r\n\x1a\n", 0, CEL_ERR_UNSUPPORTED, 0, -1, "read_h5ad"},
        {"X\n\0\0\0\3", 6, CEL_ERR_UNSUPPORTED, 0, -1, "readRDS"},
        {"RDX3\nX\n\0", 8, CEL_ERR_UNSUPPORTED, 0, -1, "load("},
        {"PAR1\x15\0", 6, CEL_ERR_UNSUPPORTED, 0, -1, "read_parquet"},
        {"BZh91AY", 0, CEL_ERR_UNSUPPORTED, 0, -1, "bunzip2"},
        {"\xFD"
         "7zXZ\0",
         6, CEL_ERR_UNSUPPORTED, 0, -1, "unxz"},
        {"PK\3\4", 4, CEL_ERR_FORMAT, 4, -1, "directory"},
        {"PK\5\6\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0", 22, CEL_ERR_FORMAT, 1, -1, "zero byte"},
        {"\x93NUMPY\1\0", 8, CEL_ERR_FORMAT, 8, -1, "header"},
    };
    static unsigned char file[2000];
    size_t i, n;
    cel_table t;
    cel_error err;
    char path[128];
    for (i = 0; i < sizeof c / sizeof *c; i++) {
        cel_status status;
        n = c[i].size ? c[i].size : strlen(c[i].text);
        memset(&t, 1, sizeof t);
        err.what = "";
        status = cel_table_parse(c[i].text, n, NULL, &t, &err);
        if (!CHECK((int)status == c[i].status && err.offset == c[i].line && err.gene == c[i].field &&
                   strstr(err.what, c[i].says)))
            printf("    %s: %d, %s, line %d, field %d\n", c[i].text, (int)status, err.what, (int)err.offset,
                   (int)err.gene);
        CHECK(!t.x.data && !t.sparse.start && !t.row && !t.col && !t.pool);
        n = gz_store(file, c[i].text, n, 0);
        CHECK((int)cel_table_parse(file, n, NULL, &t, NULL) == c[i].status);
    }
    n = gz_store(file, file + 1000, gz_store(file + 1000, "1", 1, 0), 0);
    CHECK(cel_table_parse(file, n, NULL, &t, &err) == CEL_ERR_UNSUPPORTED && strstr(err.what, "twice"));
    snprintf(path, sizeof path, "%s/store.zarr", test_tmp());
    CHECK(cel_table_read(path, NULL, &t, &err) == CEL_ERR_IO && strstr(err.what, "no file"));
    mkdir(path, 0777);
    CHECK(cel_table_read(path, NULL, &t, &err) == CEL_ERR_IO && strstr(err.what, "matrix.mtx"));
    strcat(path, "/.zgroup");
    put_file(path, "{}", 2);
    *strrchr(path, '/') = 0;
    CHECK(cel_table_read(path, NULL, &t, &err) == CEL_ERR_UNSUPPORTED && strstr(err.what, "read_zarr"));
}

/* Against strtod, which is exact: within one unit of the last place of cel_real. */
static void numbers(void)
{
    static const char *const special[] = {"0",
                                          "-0",
                                          "1e400",
                                          "-1e400",
                                          "1e-400",
                                          "4.9e-324",
                                          "2.2250738585072014e-308",
                                          "1.7976931348623157e308",
                                          "9007199254740993",
                                          "123456789012345678901234567890",
                                          "0.000000000000000000000000000000123456789012345678901",
                                          "3.4028235e38",
                                          "1.17549435e-38",
                                          "1e22",
                                          "1e23",
                                          "8.5e-23",
                                          "00012.50",
                                          ".5",
                                          "5.",
                                          "+7",
                                          "1E+05",
                                          "1e-5"};
    static const char *const none[] = {"",     ".",     "-",   "+-1", "1e",  "1e+",      "e5", "1.2.3",
                                       "0x10", "1_000", "1 2", "12a", "--1", "Infinity", "1,5"};
    uint32_t state = 11;
    int i, k;
    for (i = 0; i < 20000; i++) {
        char text[128];
        double want, step;
        cel_table t;
        cel_table_options o = CEL_ZERO;
        cel_error err;
        if (i < (int)(sizeof special / sizeof *special)) {
            strcpy(text, special[i]);
        } else {
            int digits = 1 + (int)(next_random(&state) % (i % 4 ? 17 : 40)), n = 0,
                point = (int)(next_random(&state) % 25);
            if (next_random(&state) % 2) text[n++] = '-';
            for (k = 0; k < digits; k++) {
                if (k == point) text[n++] = '.';
                text[n++] = (char)('0' + next_random(&state) % 10);
            }
            text[n] = 0;
            if (i % 3 == 0)
                sprintf(text + n, "e%d", (int)(next_random(&state) % (i % 2 ? 80 : 700)) - (i % 2 ? 40 : 350));
        }
        o.header = o.row_names = -1;
        OK_OR_RETURN(parse_table(text, &o, &t, &err));
        want = (double)(cel_real)strtod(text, NULL);
        step = sizeof(cel_real) == 8 ? fmax(fabs(nextafter(want, INFINITY) - want), fabs(nextafter(want, 0) - want))
                                     : (double)fmaxf(fabsf(nextafterf((float)want, INFINITY) - (float)want), 1e-45f);
        if (isinf(want) || isinf((double)t.x.data[0])) CHECK((double)t.x.data[0] == want || fabs(want) > 1e308);
        else if (!CHECK(fabs((double)t.x.data[0] - want) <= step)) printf("    %s: %.17g\n", text, (double)t.x.data[0]);
        cel_table_free(&t);
    }
    for (i = 0; i < (int)(sizeof none / sizeof *none); i++) {
        char text[64];
        cel_table t;
        cel_table_options o = CEL_ZERO;
        o.header = o.row_names = -1;
        snprintf(text, sizeof text, "1\t2\n3\t%s\n", none[i]);
        if (!CHECK(parse_table(text, &o, &t, NULL) == CEL_ERR_FORMAT)) printf("    %s\n", none[i]);
    }
}

static void same_as_dense(const char *name, int sparse, int turned)
{
    char path[200];
    cel_mat want;
    cel_table t;
    cel_table_options o = CEL_ZERO;
    cel_error err = {CEL_OK, "", -1, -1, -1};
    int64_t i, j;
    int way;
    snprintf(path, sizeof path, "%s/dense.npy", written());
    OK_OR_RETURN(cel_npy_matrix(path, &want, &err));
    snprintf(path, sizeof path, "%s/%s", written(), name);
    for (way = 0; way < 2; way++) {
        o.dense = way;
        o.genes_are_rows = turned;
        if (!CHECK(cel_table_read(path, &o, &t, &err) == CEL_OK)) printf("    %s: %s\n", name, err.what);
        CHECK((t.sparse.start != NULL) == (sparse && !way));
        CHECK(t.rows == (turned ? 30 : 50) && t.cols == (turned ? 50 : 30));
        for (i = 0; t.x.data && i < t.rows; i++)
            for (j = 0; j < t.cols; j++) NEAR(t.x.data[i * t.cols + j], want.data[turned ? j * 30 + i : i * 30 + j], 0);
        cel_table_free(&t);
    }
    cel_mat_free(&want);
}

static void what_scipy_wrote(void)
{
    static const char *const sparse[] = {"csr_0.npz", "csr_1.npz", "csc_0.npz", "csc_1.npz", "coo_0.npz", "coo_1.npz",
                                         "coordinate.mtx"};
    static const char *const dense[] = {"dense.npy", "dense.npz", "array.mtx", "plain.csv", "plain.txt.gz"};
    char path[200];
    size_t k;
    int turned;
    cel_csr a;
    cel_table t;
    cel_error err;
    if (!written()) SKIP("no Python with NumPy and SciPy");
    for (turned = 0; turned < 2; turned++) {
        for (k = 0; k < sizeof sparse / sizeof *sparse; k++) same_as_dense(sparse[k], 1, turned);
        for (k = 0; k < sizeof dense / sizeof *dense; k++) same_as_dense(dense[k], 0, turned);
    }
    snprintf(path, sizeof path, "%s/csc_1.npz", written());
    OK_OR_RETURN(cel_npz_csr(path, &a, &err));
    CHECK(a.rows == 50 && a.cols == 30);
    cel_csr_free(&a);
    snprintf(path, sizeof path, "%s/bsr.npz", written());
    CHECK(cel_table_read(path, NULL, &t, &err) == CEL_ERR_UNSUPPORTED && strstr(err.what, "tocsr"));
    snprintf(path, sizeof path, "%s/symmetric.mtx", written());
    CHECK(cel_table_read(path, NULL, &t, &err) == CEL_ERR_UNSUPPORTED && strstr(err.what, "general"));
}

/* Every bit of a compressed archive flipped, every truncation: an error, or the same. */
static void compressed_npz_damaged(void)
{
    char path[200];
    cel_file f;
    cel_error err;
    size_t k, size;
    int good = 0;
    if (!written()) SKIP("no Python with NumPy and SciPy");
    snprintf(path, sizeof path, "%s/csr_1.npz", written());
    OK_OR_RETURN(cel_file_open(path, 0, &f, &err));
    for (k = 0; k < 9 * f.size; k += test_brief ? 17 : 1) {
        unsigned char *copy;
        cel_table_options o = CEL_ZERO;
        cel_table t;
        size = k < 8 * f.size ? f.size : k - 8 * f.size;
        copy = (unsigned char *)malloc(size ? size : 1);
        memcpy(copy, f.bytes, size);
        if (k < 8 * f.size) copy[k / 8] ^= (unsigned char)(1u << k % 8);
        o.limit = 1 << 20;
        o.row_names = 1;
        if (cel_table_parse(copy, size, &o, &t, &err) == CEL_OK) {
            good++;
            CHECK(t.rows == 50 && t.cols == 30);
            cel_table_free(&t);
        } else {
            CHECK(err.what && err.offset <= (int64_t)size + 1); /* a line, perhaps: from 1 */
        }
        free(copy);
    }
    CHECK(good > 0);
    cel_file_close(&f);
}

static void folders_of_10x(void)
{
    static const char by_gene[] = "%%MatrixMarket matrix coordinate integer general\n%\n3 2 3\n1 1 5\n3 1 1\n2 2 7\n";
    static const char by_cell[] = "%%MatrixMarket matrix coordinate integer general\n%\n2 3 3\n1 1 5\n1 3 1\n2 2 7\n";
    static const char genes[] =
        "ENS1\tActb\tGene Expression\nENS2\tGap dh\tGene Expression\nENS3\tCd4\tGene Expression\n";
    static const char cells[] = "AAAC-1\nAAAG-1\n";
    static const double want[6] = {5, 0, 1, 0, 7, 0};
    static const char *const name[3] = {"matrix.mtx", "features.tsv", "barcodes.tsv"};
    char dir[80], path[200];
    unsigned char file[1000];
    cel_table t;
    cel_table_options o = CEL_ZERO;
    cel_error err;
    int way, k;
    for (way = 0; way < 4; way++) { /* gzip or not, genes or cells in rows */
        const char *text[3];
        o.dense = 0;
        text[0] = way & 2 ? by_cell : by_gene;
        text[1] = genes;
        text[2] = cells;
        snprintf(dir, sizeof dir, "%s/10x_%d", test_tmp(), way);
        mkdir(dir, 0777);
        for (k = 0; k < 3; k++) {
            snprintf(path, sizeof path, "%s/%s%s", dir, way == 2 && k == 1 ? "genes.tsv" : name[k],
                     way & 1 ? ".gz" : "");
            if (way & 1) put_file(path, file, gz_store(file, text[k], strlen(text[k]), 8));
            else put_file(path, text[k], strlen(text[k]));
        }
        OK_OR_RETURN(cel_table_read(dir, &o, &t, &err));
        CHECK(t.rows == 2 && t.cols == 3 && t.sparse.rows == 2 && t.sparse.cols == 3 && cel_csr_count(&t.sparse) == 3);
        CHECK(!strcmp(joined(t.col, 3), "Actb|Gap dh|Cd4|") && !strcmp(joined(t.row, 2), "AAAC-1|AAAG-1|"));
        cel_table_free(&t);
        o.dense = 1;
        OK_OR_RETURN(cel_table_read(dir, &o, &t, &err));
        for (k = 0; k < 6; k++) NEAR(t.x.data[k], want[k], 0);
        cel_table_free(&t);
    }
    snprintf(path, sizeof path, "%s/features.tsv.gz", dir);
    put_file(path, "A\nB\n", 4); /* not in gzip, whatever its name */
    CHECK(cel_table_read(dir, NULL, &t, &err) == CEL_ERR_FORMAT && strstr(err.what, "features.tsv") && !t.sparse.start);
    remove(path);
    CHECK(cel_table_read(dir, NULL, &t, &err) == CEL_ERR_IO && strstr(err.what, "features.tsv"));
    snprintf(path, sizeof path, "%s/matrix.mtx.gz", dir);
    put_file(path, "\x1f\x8b", 2);
    CHECK(cel_table_read(dir, NULL, &t, &err) == CEL_ERR_FORMAT && strstr(err.what, "cut short"));
}

static void names_in_gzip(void)
{
    unsigned char file[200];
    char path[128], **line;
    int64_t n;
    cel_error err;
    snprintf(path, sizeof path, "%s/names.txt.gz", test_tmp());
    put_file(path, file, gz_store(file, "Actb\nGapdh\n", 11, 0));
    OK_OR_RETURN(cel_file_lines(path, &line, &n, &err));
    CHECK(n == 2 && !strcmp(line[1], "Gapdh"));
    cel_file_free(line);
}

void suite_tables(void);
void suite_tables(void)
{
    RUN(gunzip_headers);
    RUN(gunzip_lone_distances);
    RUN(gunzip_what_zlib_wrote);
    RUN(gunzip_cut_and_flipped);
    RUN(gunzip_bombs);
    RUN(texts_of_one_table);
    RUN(picked_columns);
    RUN(refused_tables);
    RUN(numbers);
    RUN(what_scipy_wrote);
    RUN(compressed_npz_damaged);
    RUN(folders_of_10x);
    RUN(names_in_gzip);
}
