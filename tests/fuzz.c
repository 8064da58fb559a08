/* A libFuzzer program: every parser fed bytes, every room fed random shapes and extreme values. The first byte chooses
 * the target, or FUZZ_TARGET=name in the environment fixes it. A target ends with what must hold: a status with its
 * words, or results that are finite, of unit length, or those of plain loops.
 *     clang -g -O1 -fsanitize=fuzzer,address,undefined -I. tests/fuzz.c -o build/fuzz -lm      (make fuzz, fuzz-long)
 * SPDX-License-Identifier: MIT */
#define CELCOMEN_IMPLEMENTATION
#include "celcomen.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define MUST(cond)                                                                                                     \
    do {                                                                                                               \
        if (!(cond)) {                                                                                                 \
            fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #cond);                                                 \
            abort();                                                                                                   \
        }                                                                                                              \
    } while (0)

/* ---- numbers and shapes out of bytes; zeros when they are used up ---- */

typedef struct source {
    const uint8_t *p, *end;
} source;

static unsigned byte(source *s) { return s->p < s->end ? *s->p++ : 0; }
static int64_t upto(source *s, int64_t most) { return (int64_t)((byte(s) << 8 | byte(s)) % (unsigned)(most + 1)); }
static int flag(source *s) { return (int)(byte(s) & 1); }

/* One in four is extreme. */
static double number(source *s)
{
    static const double extreme[] = {0, -0.0, 1, -1, 1e-30, 1e30, -1e30, 3.4e38, -3.4e38, 1e-44, 1e-310, 1e150, 1e200,
                                     1.7e308, 700, 710, 16384, 1e9, -1e9, 0.5, 16777217, 4294967296.0};
    const unsigned count = sizeof extreme / sizeof *extreme, k = byte(s);
    if (k >= 192) {
        const unsigned e = byte(s) % (count + 3);
        return e < count ? extreme[e] : e == count ? (double)NAN : e == count + 1 ? HUGE_VAL : -HUGE_VAL;
    }
    return ((double)k - 96) / 32;
}
static cel_mat matrix(source *s, int64_t rows, int64_t cols)
{
    cel_mat a = CEL_ZERO;
    int64_t i;
    MUST(cel_mat_new(rows, cols, &a) == CEL_OK);
    for (i = 0; i < rows * cols; i++) a.data[i] = (cel_real)number(s);
    return a;
}
/* Tame numbers, so that what follows gets past the door. */
static cel_mat tame(source *s, int64_t rows, int64_t cols)
{
    cel_mat a = CEL_ZERO;
    int64_t i;
    MUST(cel_mat_new(rows, cols, &a) == CEL_OK);
    for (i = 0; i < rows * cols; i++) a.data[i] = (cel_real)(((double)byte(s) - 100) / 64);
    return a;
}
static int finite_mat(cel_mat a)
{
    int64_t i, j;
    for (i = 0; i < a.rows; i++)
        for (j = 0; j < a.cols; j++)
            if (!isfinite((double)a.data[i * a.stride + j])) return 0;
    return 1;
}
/* A status is one of those documented, and a failure has its words. 1: it went well. */
static int well(cel_status status, const cel_error *err)
{
    MUST((int)status >= 0 && status <= CEL_ERR_STOPPED && *cel_strerror(status));
    if (status && err) MUST(err->status == status && err->what && *err->what);
    return status == CEL_OK;
}
/* The same number, NaN being itself, or apart by no more than so much. */
static int near_to(double a, double b, double by) { return (a != a && b != b) || a == b || fabs(a - b) <= by; }
static int same_mat(cel_mat a, cel_mat b, double by)
{
    int64_t i, j;
    for (i = 0; i < a.rows; i++)
        for (j = 0; j < a.cols; j++)
            if (!near_to((double)a.data[i * a.stride + j], (double)b.data[i * b.stride + j], by)) return 0;
    return a.rows == b.rows && a.cols == b.cols;
}
static double largest(cel_mat a)
{
    double most = 0;
    int64_t i;
    for (i = 0; i < a.rows * a.cols; i++)
        if (isnan((double)a.data[i])) return HUGE_VAL;
        else if (fabs((double)a.data[i]) > most) most = fabs((double)a.data[i]);
    return most;
}
static void labels(source *s, int32_t *label, int64_t count, int64_t most)
{
    int64_t i;
    for (i = 0; i < count; i++) label[i] = (int32_t)upto(s, most);
    if (byte(s) > 250 && count) label[upto(s, count - 1)] = flag(s) ? -1 : 1 << 20; /* now and then one that is none */
}
/* Stops long work after so many steps. */
static int stop_at(void *user, const char *stage, int64_t done, int64_t total, double value)
{
    (void)done, (void)total, (void)value;
    return !stage || !(*(int *)user)--;
}
static void unit_rows(cel_mat a)
{
    int64_t i;
    for (i = 0; i < a.rows; i++) MUST(fabs(cel_vec_nrm2(a.data + i * a.stride, a.cols) - 1) < 1e-4);
}
static cel_csr edges(source *s, int64_t cells, int extremes)
{
    int64_t count = upto(s, 3 * cells), row[100], col[100], e;
    cel_real value[100];
    cel_csr w = CEL_ZERO;
    MUST(count <= 100);
    for (e = 0; e < count; e++) {
        row[e] = upto(s, cells - 1);
        col[e] = upto(s, cells - 1);
        value[e] = (cel_real)(extremes ? number(s) : 1 + (double)byte(s) / 64);
        if (!extremes && row[e] == col[e]) col[e] = (col[e] + 1) % cells;
        if (row[e] == col[e] && cells == 1) count = e;
    }
    MUST(cel_csr_from_edges(cells, cells, count, row, col, value, &w, NULL) == CEL_OK);
    return w;
}
/* A tissue of unit rows on relations: the identity and one or two more. */
typedef struct made {
    cel_mat x;
    cel_relations relations;
    cel_model model;
    int64_t cells, genes;
} made;
static made tissue(source *s, int extremes)
{
    made t = CEL_ZERO;
    cel_csr w;
    int64_t i;
    t.cells = 2 + upto(s, 22);
    t.genes = 1 + upto(s, 5);
    t.x = flag(s) ? matrix(s, t.cells, t.genes) : tame(s, t.cells, t.genes);
    if (cel_slide_unit(t.x, NULL, NULL, NULL)) cel_sample_uniform(byte(s), 0, flag(s), t.x);
    MUST(cel_relations_new(t.cells, &t.relations) == CEL_OK);
    w = edges(s, t.cells, extremes);
    if (flag(s)) {
        cel_csr both;
        MUST(cel_csr_symmetrise(&w, &both) == CEL_OK);
        cel_csr_free(&w);
        w = both;
    }
    (void)cel_relations_add(&t.relations, "a", &w, NULL);
    MUST(cel_model_new(t.genes, t.relations.count, flag(s), &t.model) == CEL_OK);
    for (i = 0; i < t.relations.count * t.genes * t.genes; i++)
        t.model.force.data[i] = (cel_real)(extremes && flag(s) ? number(s) : ((double)byte(s) - 128) / 32);
    for (i = 0; t.model.field && i < t.genes; i++) t.model.field[i] = (cel_real)(((double)byte(s) - 128) / 32);
    return t;
}
static void untissue(made *t)
{
    cel_mat_free(&t->x);
    cel_relations_free(&t->relations);
    cel_model_free(&t->model);
}

/* ---- parsers ---- */

static void convert(const cel_npy *a)
{
    cel_real *real = (cel_real *)malloc((size_t)a->count * sizeof *real + 1);
    int64_t *integer = (int64_t *)malloc((size_t)a->count * sizeof *integer + 1);
    if (real) (void)cel_npy_to_real(a, real, NULL);
    if (integer) (void)cel_npy_to_int64(a, integer, NULL);
    free(real);
    free(integer);
}
static const char *scratch(void)
{
    static char path[64];
    if (!*path) snprintf(path, sizeof path, "/dev/shm/celcomen_fuzz_%ld.npz", (long)getpid());
    return path;
}
/* What was read is written, and read again it is the same, by every reader that takes it. */
static void rewrite(const cel_npy *a)
{
    const int text = a->kind == 'S', whole = !text && a->kind != 'f';
    cel_real *real = (cel_real *)calloc((size_t)a->count + 1, sizeof *real);
    int64_t *back = NULL, rows, cols, i;
    cel_error err = CEL_ZERO;
    cel_mat m = CEL_ZERO;
    cel_file f = CEL_ZERO;
    cel_npy b;
    MUST(real && well(cel_npy_write(scratch(), a, &err), &err));
    MUST(well(cel_file_open(scratch(), a->bytes & 1, &f, &err), &err) &&
         well(cel_npy_parse(f.bytes, f.size, &b, &err), &err));
    MUST(a->count == b.count && a->kind == b.kind && a->bytes == b.bytes && a->ndim == b.ndim && !b.trailing);
    MUST(!memcmp(a->data, b.data, (size_t)(a->count * a->bytes)) && a->fortran == b.fortran);
    cel_file_close(&f);
    if (!text) MUST(cel_npy_to_real(a, real, NULL) == CEL_OK);
    if (well(cel_npy_matrix(scratch(), &m, &err), &err)) {
        MUST(a->ndim == 2 && !text && m.rows == a->shape[0]);
        for (i = 0; i < a->count; i++) MUST(near_to((double)m.data[i], (double)real[i], 0));
        MUST(well(cel_npy_write_matrix(scratch(), m, &err), &err));
        cel_mat_free(&m);
        MUST(well(cel_npy_matrix(scratch(), &m, &err), &err) && m.rows == a->shape[0] && m.cols == a->shape[1]);
        for (i = 0; i < a->count; i++) MUST(near_to((double)m.data[i], (double)real[i], 0));
        MUST(cel_npy_write(scratch(), a, NULL) == CEL_OK);
    } else MUST(!m.data && (text || a->ndim != 2));
    if (well(cel_npy_integers(scratch(), &back, &rows, &cols, &err), &err)) {
        MUST(whole && rows * cols == a->count && rows == a->shape[0]);
        for (i = 0; i < a->count; i++) MUST((cel_real)back[i] == real[i]);
    } else MUST(!back && (!whole || a->ndim < 1 || a->ndim > 2 || a->bytes == 8));
    cel_mat_free(&m);
    cel_file_free(back);
    free(real);
}
static void fuzz_npy(source *s)
{
    const size_t size = (size_t)(s->end - s->p);
    cel_error err = CEL_ZERO;
    cel_npy a;
    cel_npz z;
    cel_csr m;
    char **lines;
    int64_t i;
    if (cel_npy_parse(s->p, size, &a, &err) == CEL_OK) {
        convert(&a);
        if (a.count < 512) rewrite(&a);
    } else MUST(err.what && err.offset >= 0 && err.offset <= (int64_t)size);
    if (cel_npz_parse(s->p, size, &z, NULL) == CEL_OK) {
        z.limit = 1 << 18;
        for (i = 0; i < z.count && i < 16; i++) {
            char name[64];
            cel_npz_name(&z, i, name, sizeof name);
            if (cel_npz_get(&z, name, &a, NULL) == CEL_OK) convert(&a);
        }
        if (cel_npz_to_csr(&z, &m, NULL) == CEL_OK) {
            cel_npz_member member[5];
            int64_t shape[2];
            cel_csr same;
            cel_npz_from_csr(&m, shape, member);
            MUST(well(cel_npz_write(scratch(), member, 5, &err), &err) &&
                 well(cel_npz_csr(scratch(), &same, &err), &err));
            MUST(same.rows == m.rows && same.cols == m.cols && cel_csr_count(&same) == cel_csr_count(&m));
            MUST(!cel_csr_count(&m) || !memcmp(same.index, m.index, (size_t)cel_csr_count(&m) * sizeof *m.index));
            cel_csr_free(&same);
            cel_csr_free(&m);
        }
        cel_npz_free(&z);
    }
    if (cel_file_parse_lines(s->p, size, &lines, &i, NULL) == CEL_OK) {
        char *text, **again;
        int64_t count;
        if (cel_file_join_lines(lines, i, &text, NULL) == CEL_OK) {
            MUST(cel_file_parse_lines(text, strlen(text), &again, &count, NULL) == CEL_OK && (count == i || size < 4));
            cel_file_free(again);
            if (size % 8 == 0 && strncmp(text, "\x1f\x8b", 2)) { /* a file takes longer; no gzip by chance */
                MUST(well(cel_file_write(scratch(), text, strlen(text), &err), &err));
                MUST(well(cel_file_lines(scratch(), &again, &count, &err), &err) && (count == i || size < 4));
                cel_file_free(again);
            }
            cel_file_free(text);
        }
        cel_file_free(lines);
    }
}

enum { LIMIT = 1 << 18 };

/* A raw stream: measured and unpacked it has one length, and into less room nothing fits. */
static void fuzz_inflate(source *s)
{
    celi_stream a = CEL_ZERO, b;
    size_t measured, n;
    const char *what;
    unsigned char *out;
    void *unzipped;
    cel_error err = CEL_ZERO;
    if (cel_file_gunzip(s->p, (size_t)(s->end - s->p), LIMIT, &unzipped, &n, &err) == CEL_OK) cel_file_free(unzipped);
    else MUST(err.what && !unzipped && !n);
    a.p = s->p;
    a.end = s->end;
    b = a;
    what = celi_inflate(&a, NULL, LIMIT, &measured);
    out = (unsigned char *)malloc(what ? LIMIT : measured ? measured : 1);
    if (!out) return;
    if (what) MUST(celi_inflate(&b, out, LIMIT, &n) == what);
    else {
        MUST(!celi_inflate(&b, out, measured, &n) && n == measured && a.p == b.p);
        b.p = s->p;
        if (measured) MUST(celi_inflate(&b, out, measured - 1, &n) == celi_full);
    }
    free(out);
}

static void fuzz_table(source *s)
{
    static const char *const pick[2] = {"x", "y"};
    cel_error err = CEL_ZERO;
    cel_table_options o = CEL_ZERO;
    cel_table t;
    unsigned way = byte(s);
    cel_status status;
    o.limit = LIMIT;
    o.genes_are_rows = way & 1;
    o.dense = way >> 1 & 1;
    o.header = (int)(way >> 2) % 3 - 1;
    o.row_names = (int)(way >> 4) % 3 - 1;
    o.places = flag(s);
    if (way & 64) o.pick = pick, o.picks = 2;
    if ((way & 128) && !o.genes_are_rows) o.label = "type";
    if ((s->end - s->p) % 8 == 0 && cel_file_write(scratch(), s->p, (size_t)(s->end - s->p), NULL) == CEL_OK) {
        status = cel_table_parse(s->p, (size_t)(s->end - s->p), &o, &t, NULL);
        cel_table_free(&t);
        MUST(cel_table_read(scratch(), &o, &t, &err) == status);
        well(status, &err);
        cel_table_free(&t);
    }
    if (cel_table_parse(s->p, (size_t)(s->end - s->p), &o, &t, &err) == CEL_OK) {
        MUST((t.x.data || t.sparse.start || !t.rows || !t.cols) && t.rows >= 0 && t.cols >= 0);
        cel_table_free(&t);
    } else MUST(err.what && !t.x.data && !t.sparse.start && !t.row && !t.col && !t.pool);
}

static void fuzz_interventions(source *s)
{
    static const char *const genes[] = {"ACTB", "g1", "HLA-A"}, *const types[] = {"T cell", "B", "stroma"};
    cel_intervention_names names = CEL_ZERO;
    cel_intervention *list;
    cel_error err = CEL_ZERO;
    int64_t count, i;
    unsigned way = byte(s);
    if (way & 1) names.genes = genes;
    if (way & 2) names.types = types;
    names.gene_count = names.type_count = 3;
    names.cells = 30;
    names.any_value = way >> 2 & 1;
    if (cel_intervention_parse((const char *)s->p, (size_t)(s->end - s->p), &names, &list, &count, &err)) {
        MUST(err.what && !list && !count);
        return;
    }
    for (i = 0; i < count; i++) {
        const cel_intervention *v = list + i;
        MUST(v->what >= CEL_DO_HOLD && v->what <= CEL_DO_REMOVE && v->line >= 1);
        MUST(v->what != CEL_DO_HOLD || (v->gene >= 0 && v->gene < 3 && isfinite(v->value)));
        MUST(names.any_value || fabs(v->value) <= 1);
        MUST(v->who != CEL_WHO_CELLS || v->cells || v->what == CEL_DO_ADD || v->what == CEL_DO_ADD_FREE ||
             (v->cell >= 0 && v->cell < 30));
        MUST(v->who != CEL_WHO_TYPE || (v->type >= 0 && v->type < 3));
    }
    cel_intervention_free(list);
}

/* A model file: what is read can be written, and is then the same. */
static void fuzz_model(source *s)
{
    const char *path = scratch();
    char copy[80];
    cel_model_record r, again;
    cel_error err = CEL_ZERO;
    FILE *f;
    snprintf(copy, sizeof copy, "%s.copy", path);
    f = fopen(path, "wb");
    if (!f) return;
    fwrite(s->p, 1, (size_t)(s->end - s->p), f);
    fclose(f);
    if (cel_model_read(path, &r, &err) == CEL_OK) {
        MUST(r.model.genes >= 0 && r.model.relations >= 1 && r.model.force.data);
        MUST((int)r.weights >= 0 && r.weights <= CEL_WEIGHTS_ADJACENCY && (int)r.scaling.kind >= 0 &&
             r.scaling.kind <= CEL_KIND_UNIT);
        if (cel_model_write(copy, &r, &err) == CEL_OK) {
            MUST(cel_model_read(copy, &again, &err) == CEL_OK && again.model.genes == r.model.genes);
            MUST(!memcmp(again.model.force.data, r.model.force.data,
                         (size_t)(r.model.force.rows * r.model.force.cols) * sizeof(cel_real)));
            cel_model_record_free(&again);
            remove(copy);
        }
        cel_model_record_free(&r);
    } else MUST(err.what && !r.model.force.data && !r.owned);
    remove(path);
}

/* Moments of two genes and one relation, as a file has them, whose arrays the bytes change before the checksum is made:
 * so that they get past it. What is read can be written, and merged unless it has the same cells. */
static void fuzz_moments(source *s)
{
    const char *path = scratch();
    double head[3] = {1, sizeof(cel_real), 0}, settings[12] = {1, 1, 0, 6, 0, 0, 0, 2, 1, 0, 1, 100}, scale[2] = {1, 2};
    double gram[30] = {3, 1, 4, 1, 0.5, 5, 0, 0, 0.25, 6, 1, 1, 1, 1, 1, 2, 1, 4, 1, 0.5, 5, 0, 0, 0.25, 6, 1, 1, 1, 1, 1};
    int64_t cells[1] = {8}, span[3] = {0, 0, 8}, contacts[2] = {0, 9}, blocks[3] = {0, 1, 2}, crc = 0, shape[2], k;
    int64_t parts[6] = {0, 0, 4, 0, 1, 4}, tiles[1] = {2};
    const struct { const char *name; char kind; int64_t rows, cols; void *data; } is[] = {
        {"celcomen_moments", 'f', 3, 0, head}, {"celcomen_model", 'f', 12, 0, settings}, {"centre", 'f', 1, 2, scale},
        {"scale", 'f', 2, 0, scale}, {"slide_cells", 'i', 1, 0, cells}, {"slide_tiles", 'i', 1, 0, tiles},
        {"spans", 'i', 1, 3, span},
        {"contacts", 'i', 2, 0, contacts}, {"blocks", 'i', 3, 0, blocks}, {"parts", 'i', 2, 3, parts},
        {"gram", 'f', 2, 15, gram}, {"gram_shuffled", 'f', 2, 15, gram}};
    enum { ARRAYS = sizeof is / sizeof is[0] };
    cel_npz_member member[ARRAYS + 5];
    cel_moments_record r, more;
    cel_error err = CEL_ZERO;
    int64_t count = 0;
    gram[14] = gram[29] = 1;
    for (k = 0; k < ARRAYS; k++) {
        const unsigned what = byte(s);
        shape[0] = is[k].rows;
        shape[1] = is[k].cols;
        if (what == 255) continue;
        if (what > 240) shape[what & 1] = upto(s, shape[what & 1]);
        if (what > 200 && what < 230) {
            const int64_t at = upto(s, is[k].rows * (is[k].cols ? is[k].cols : 1) - 1);
            if (is[k].kind == 'f') ((double *)is[k].data)[at] = number(s);
            else ((int64_t *)is[k].data)[at] = (int64_t)byte(s) - 3;
        }
        member[count].name = is[k].name;
        member[count++].array = cel_npy_describe(is[k].kind, 8, shape[1] ? 2 : 1, shape, is[k].data);
    }
    member[count++] = cel_npz_text("genes", byte(s) > 240 ? "A\n" : "A\nB\n");
    member[count++] = cel_npz_text("relations", byte(s) > 240 ? "" : "intra\ninter\n");
    member[count++] = cel_npz_text("slides", byte(s) > 240 ? "one" : "one\n");
    member[count++] = cel_npz_text("groups", byte(s) > 240 ? "one\ntwo\n" : "one\n");
    for (k = 0; k < count; k++) crc = celi_moments_crc((uint32_t)crc, member[k].name, &member[k].array);
    shape[0] = 1;
    member[count].name = "checksum";
    member[count++].array = cel_npy_describe('i', 8, 1, shape, &crc);
    if (cel_npz_write(path, member, count, &err)) return;
    if (cel_moments_read(path, 0, &r, &err) == CEL_OK) {
        int64_t slide;
        MUST(!celi_moments_wrong(&r) && cel_moments_missing(&r, &slide) >= 0);
        MUST(cel_moments_write(path, &r, &err) == CEL_OK && cel_moments_read(path, 0, &more, &err) == CEL_OK);
        MUST(!memcmp(r.part->gram, more.part->gram, 25 * sizeof(double)) && r.parts == more.parts);
        MUST(cel_moments_merge(&r, &more, &err) == CEL_ERR_DATA && err.what);
        for (k = 0; k < more.about.slides; k++) more.about.slide[k][0] ^= 3;
        if (cel_moments_merge(&r, &more, &err) == CEL_OK) MUST(!celi_moments_wrong(&r) && r.parts == 2 * more.parts);
        else MUST(err.what);
        cel_moments_record_free(&r);
        cel_moments_record_free(&more);
    } else MUST(err.what && !r.part && !r.owned);
    remove(path);
}

/* ---- rooms ---- */

/* Kernels at any level against plain loops, and what stands in base. */
static void fuzz_kernels(source *s)
{
    static const uint32_t bounds[] = {1, 2, 3, 1000, 0x80000001u, 0xffffffffu};
    cel_level best = cel_level_cap(CEL_LEVEL_AVX512), level = cel_level_cap((cel_level)((int)upto(s, 6) - 1));
    int64_t n = upto(s, 200), m = upto(s, n), i, kept = 0;
    cel_real x[200], y[200], z[200], sine[200], cosine[200], alpha = (cel_real)number(s);
    cel_rng rng = cel_rng_at(byte(s), byte(s), byte(s), byte(s)), again = rng;
    double dot = 0, square = 0, size = 0, mean = number(s);
    uint32_t bound = bounds[upto(s, 5)];
    uint8_t keep[200];
    cel_work work = CEL_ZERO;
    MUST(level <= best && level == cel_level_get() && *cel_level_name((cel_level)((int)byte(s) - 8)));
    MUST(*cel_strerror((cel_status)byte(s)) && *cel_version() && cel_threads() >= 1);
    for (i = 0; i < n; i++) {
        x[i] = (cel_real)number(s);
        z[i] = y[i] = i % 4 ? (cel_real)number(s) : x[i];
        dot += (double)x[i] * (double)y[i];
        square += (double)x[i] * (double)x[i];
        size += fabs((double)x[i] * (double)y[i]);
    }
    MUST(isfinite(dot) ? near_to(cel_vec_dot(x, y, n), dot, 1e-12 * size) : !isfinite(cel_vec_dot(x, y, n)));
    dot = cel_vec_nrm2(x, n);
    MUST(isfinite(square) ? near_to(dot, sqrt(square), 1e-12 * sqrt(square)) : !isfinite(dot));
    cel_vec_axpy(alpha, x, z, n);
    for (i = 0; i < n; i++) {
        const double a = (double)alpha * (double)x[i], sum = a + (double)y[i];
        if (!(fabs(a) + fabs((double)y[i]) > 1e38))
            MUST(near_to((double)z[i], sum, 2e-7 * (fabs(a) + fabs((double)y[i])) + 4e-45));
    }
    cel_vec_sincos(x, n, sine, cosine);
    for (i = 0; i < n; i++) {
        MUST(near_to((double)sine[i], sin((double)x[i]), 3e-7 * fabs(sin((double)x[i])) + 4e-45));
        MUST(near_to((double)cosine[i], cos((double)x[i]), 3e-7 * fabs(cos((double)x[i]))));
    }
    memcpy(z, x, sizeof z);
    cel_vec_sincos(z, n, z, y);
    for (i = 0; i < n; i++)
        MUST(near_to((double)z[i], (double)sine[i], 0) && near_to((double)y[i], (double)cosine[i], 0));
    cel_rng_normals(&rng, x, n);
    rng = again;
    cel_rng_normals(&rng, y, m);
    for (i = 0; i < n; i++) MUST((i >= m || x[i] == y[i]) && fabs((double)x[i]) < 8.5);
    rng = again;
    for (i = 0; i < 5; i++) {
        double u = cel_rng_uniform(&rng), v = cel_rng_normal(&rng), w = cel_rng_gamma(&rng, mean);
        int64_t count = cel_rng_poisson(&rng, mean);
        MUST(u >= 0 && u < 1 && isfinite(v) && w >= 0 && count >= 0 && (mean > 0 || (!count && !(w > 0))));
        MUST(cel_rng_integer(&rng, bound) < bound);
        MUST(cel_rng_uniform(&again) == u && cel_rng_normal(&again) == v && cel_rng_gamma(&again, mean) == w);
        MUST(cel_rng_poisson(&again, mean) == count);
        (void)cel_rng_integer(&again, bound);
    }
    for (i = 0; i < n; i++) {
        keep[i] = (uint8_t)flag(s);
        if (keep[i]) z[kept++] = x[i];
    }
    MUST(cel_compact(keep, n, x, sizeof *x) == kept && !memcmp(x, z, (size_t)kept * sizeof *x));
    for (i = 0; i < 3; i++) {
        size_t bytes = (size_t)upto(s, 5000);
        void *p = cel_work_get(&work, bytes);
        MUST(p && (uintptr_t)p % 64 == 0);
        memset(p, 1, bytes);
    }
    cel_work_free(&work);
    (void)cel_level_cap(CEL_LEVEL_AVX512);
}

static void fuzz_dense(source *s)
{
    int64_t m = upto(s, 20), k = upto(s, 20), n = upto(s, 20), i, j, l;
    int ta = flag(s), tb = flag(s);
    cel_mat a = tame(s, ta ? k : m, ta ? m : k), b = tame(s, tb ? n : k, tb ? k : n), c = tame(s, m, n), q, v, copy;
    double w[20];
    MUST(cel_mat_gemm(ta, tb, 1, a, b, 0, c, NULL) == CEL_OK);
    for (i = 0; i < m; i++)
        for (j = 0; j < n; j++) {
            double sum = 0, size = 1e-6;
            for (l = 0; l < k; l++) {
                double t = (double)a.data[ta ? l * m + i : i * k + l] * (double)b.data[tb ? j * k + l : l * n + j];
                sum += t;
                size += fabs(t);
            }
            MUST(fabs(sum - (double)c.data[i * n + j]) <= 1e-5 * size);
        }
    q = flag(s) ? tame(s, n, n) : matrix(s, n, n);
    MUST(cel_mat_new(n, n, &v) == CEL_OK && cel_mat_new(n, n, &copy) == CEL_OK && cel_mat_symmetrise(q) == CEL_OK);
    cel_mat_copy(q, copy);
    if (cel_mat_eigen(q, w, v) == CEL_OK && finite_mat(copy)) {
        double top = 1e-30;
        for (i = 0; i < n; i++) top = fabs(w[i]) > top ? fabs(w[i]) : top;
        for (i = 0; i + 1 < n; i++) MUST(w[i] <= w[i + 1]);
        for (i = 0; i < n && top < 1e15; i++)
            for (j = 0; j < n; j++) {
                double sum = 0;
                for (l = 0; l < n; l++) sum += (double)v.data[i * n + l] * w[l] * (double)v.data[j * n + l];
                MUST(fabs(sum - (double)copy.data[i * n + j]) <= 1e-3 * top);
            }
    }
    if (cel_mat_cholesky(copy) == CEL_OK) (void)cel_mat_cholesky_solve(copy, v);
    cel_mat_free(&b);
    cel_mat_free(&c);
    { /* A A^T as a product; A^T and back; windows; a choice of columns */
        int64_t side = ta ? a.cols : a.rows, row = upto(s, a.rows), col = upto(s, a.cols), count = upto(s, 20);
        cel_mat window = cel_mat_block(a, row, col, upto(s, a.rows - row), upto(s, a.cols - col));
        cel_real alpha = (cel_real)number(s);
        double dot = 0;
        int32_t index[20];
        int ascending = count <= a.cols;
        MUST(cel_mat_new(side, side, &c) == CEL_OK && cel_mat_new(a.cols, a.rows, &b) == CEL_OK);
        MUST(cel_mat_syrk(ta, 1, a, 0, c, NULL) == CEL_OK && cel_mat_transpose(a, b) == CEL_OK);
        for (i = 0; i < side; i++)
            for (j = 0; j < side; j++) {
                double sum = 0;
                for (l = 0; l < k; l++)
                    sum += (double)a.data[ta ? l * side + i : i * k + l] *
                           (double)a.data[ta ? l * side + j : j * k + l];
                MUST(near_to((double)c.data[i * side + j], sum, 1e-4) && c.data[i * side + j] == c.data[j * side + i]);
            }
        cel_mat_free(&c);
        MUST(cel_mat_new(a.rows, a.cols, &c) == CEL_OK && cel_mat_transpose(b, c) == CEL_OK && same_mat(a, c, 0));
        MUST(a.rows == a.cols || cel_mat_axpy(1, a, b) == CEL_ERR_SHAPE);
        for (i = 0; i < a.rows * a.cols; i++) dot += (double)a.data[i] * (double)a.data[i];
        MUST(near_to(cel_mat_dot(a, cel_mat_view(c.data, a.rows, a.cols)), dot, 1e-9 * dot));
        MUST(cel_mat_axpy(alpha, a, c) == CEL_OK);
        for (i = 0; i < a.rows * a.cols && fabs((double)alpha) < 1e37; i++)
            MUST(near_to((double)c.data[i], (1 + (double)alpha) * (double)a.data[i],
                 1e-6 * (1 + fabs((double)alpha)) * fabs((double)a.data[i]) + 4e-45));
        MUST(cel_mat_copy(a, c) == CEL_OK);
        cel_mat_fill(window, 77);
        for (i = 0; i < a.rows; i++)
            for (j = 0; j < a.cols; j++) {
                int in = i >= row && i < row + window.rows && j >= col && j < col + window.cols;
                MUST(a.data[i * a.cols + j] == (in ? 77 : c.data[i * a.cols + j]));
            }
        for (j = 0; j < count; j++) {
            index[j] = (int32_t)(byte(s) > 240 ? upto(s, 40) - 20 : j + (j ? index[j - 1] - j + 1 : flag(s)));
            ascending &= index[j] >= 0 && index[j] < a.cols && (!j || index[j] > index[j - 1]);
        }
        cel_mat_free(&b);
        MUST(cel_mat_new(a.rows, a.cols, &b) == CEL_OK && cel_mat_copy(a, b) == CEL_OK);
        MUST(cel_mat_columns(&a, index, count) == (ascending ? CEL_OK : CEL_ERR_ARG));
        if (!ascending) MUST(same_mat(a, b, 0));
        for (i = 0; i < a.rows && ascending; i++)
            for (j = 0; j < count; j++) MUST(a.data[i * a.stride + j] == b.data[i * b.stride + index[j]]);
    }
    cel_mat_free(&a);
    cel_mat_free(&b);
    cel_mat_free(&c);
    cel_mat_free(&q);
    cel_mat_free(&v);
    cel_mat_free(&copy);
}

static void fuzz_sparse(source *s)
{
    int64_t n = 1 + upto(s, 29), i, e;
    cel_csr a = edges(s, n, 1), t = CEL_ZERO, back = CEL_ZERO, both = CEL_ZERO, hop = CEL_ZERO;
    cel_mat x = tame(s, n, 3), y = tame(s, n, 3);
    MUST(cel_csr_transpose(&a, &t) == CEL_OK && cel_csr_transpose(&t, &back) == CEL_OK);
    MUST(!memcmp(a.start, back.start, (size_t)(n + 1) * sizeof *a.start));
    MUST(!memcmp(a.value, back.value, (size_t)cel_csr_count(&a) * sizeof *a.value));
    MUST(cel_csr_symmetrise(&a, &both) == CEL_OK);
    for (i = 0; i < n; i++)
        for (e = both.start[i]; e < both.start[i + 1]; e++)
            MUST(both.index[e] >= 0 && both.index[e] < n && (e == both.start[i] || both.index[e] > both.index[e - 1]));
    if (cel_csr_hop(&a, 1 + (int)upto(s, 3), &hop) == CEL_OK) {
        for (i = 0; i < n; i++)
            for (e = hop.start[i]; e < hop.start[i + 1]; e++) MUST(hop.index[e] != i);
    }
    MUST(cel_csr_mul(1, &a, x, 0, y) == CEL_OK);
    { /* the rows of that product that are listed; symmetric or not; cells by label */
        int64_t count = upto(s, n), start[6], groups = 1 + upto(s, 4), c;
        int32_t list[30], label[30], by[30];
        int out = 0, plain = 1;
        cel_mat part = CEL_ZERO;
        cel_status status;
        for (i = 0; i < count; i++) {
            list[i] = (int32_t)(byte(s) > 250 ? upto(s, 100) - 50 : upto(s, n - 1));
            out |= list[i] < 0 || list[i] >= n;
        }
        MUST(cel_mat_new(count, 3, &part) == CEL_OK);
        MUST(cel_csr_mul_rows(1, &a, list, count, x, 0, part) == (out ? CEL_ERR_ARG : CEL_OK));
        for (i = 0; i < count && !out; i++)
            for (c = 0; c < 3; c++) MUST(near_to((double)part.data[i * 3 + c], (double)y.data[list[i] * 3 + c], 0));
        cel_mat_free(&part);
        for (i = 0; i < n; i++)
            for (c = 0; c < 3; c++) {
                double want = 0, size = 0;
                for (e = a.start[i]; e < a.start[i + 1]; e++) {
                    want += (double)a.value[e] * (double)x.data[a.index[e] * 3 + c];
                    size += fabs((double)a.value[e] * (double)x.data[a.index[e] * 3 + c]);
                }
                if (size < 1e37) MUST(near_to((double)y.data[i * 3 + c], want, 1e-5 * size + 1e-43));
            }
        for (e = 0; e < cel_csr_count(&both); e++) plain &= isfinite((double)both.value[e]) != 0;
        MUST(!plain || cel_csr_is_symmetric(&both));
        labels(s, label, n, groups - 1);
        for (out = 0, i = 0; i < n; i++) out |= label[i] < 0 || label[i] >= groups;
        status = cel_csr_groups(label, n, groups, start, by, NULL);
        MUST(status == (out ? CEL_ERR_ARG : CEL_OK) && start[0] == 0 && start[groups] == (out ? 0 : n));
        for (c = 0; c < groups; c++)
            for (e = start[c]; e < start[c + 1]; e++) MUST(label[by[e]] == c && (e == start[c] || by[e] > by[e - 1]));
    }
    (void)cel_csr_normalise(&a, (cel_csr_norm)upto(s, 3));
    cel_csr_free(&a);
    cel_csr_free(&t);
    cel_csr_free(&back);
    cel_csr_free(&both);
    cel_csr_free(&hop);
    cel_mat_free(&x);
    cel_mat_free(&y);
}

/* Neighbours against a comparison of all pairs, in the order that the header promises. */
static void fuzz_graph(source *s)
{
    int64_t n = 1 + upto(s, 60), d = 2 + flag(s), k = 1 + upto(s, 7), i, j, c, r;
    cel_mat places = flag(s) ? matrix(s, n, d) : tame(s, n, d);
    double inner = fabs(number(s)), outer = fabs(number(s));
    int32_t label[61], order[61];
    int64_t tiles;
    cel_csr g = CEL_ZERO, b = CEL_ZERO;
    cel_error err = CEL_ZERO;
    if (flag(s)) /* many ties */
        for (i = 0; i < n * d; i++) places.data[i] = (cel_real)((int)byte(s) % 5);
    if (cel_graph_knn(places, NULL, k, 1, &g, &err) == CEL_OK) {
        for (i = 0; i < n; i++) {
            int64_t has = g.start[i + 1] - g.start[i];
            MUST(has == celi_min(k, n - 1));
            for (j = 0; j < n; j++) { /* j is a neighbour exactly if fewer than k others come before it */
                double dj = 0;
                int64_t before = 0, e;
                int is = 0;
                if (j == i) continue;
                for (c = 0; c < d; c++) {
                    double t = (double)places.data[i * d + c] - (double)places.data[j * d + c];
                    dj += t * t;
                }
                for (r = 0; r < n; r++) {
                    double dr = 0;
                    if (r == i || r == j) continue;
                    for (c = 0; c < d; c++) {
                        double t = (double)places.data[i * d + c] - (double)places.data[r * d + c];
                        dr += t * t;
                    }
                    before += dr < dj || (!(dr > dj) && r < j);
                }
                for (e = g.start[i]; e < g.start[i + 1]; e++) is |= g.index[e] == j;
                MUST(is == (before < k));
            }
        }
    } else MUST(err.what && !g.start);
    if (cel_graph_radius(places, NULL, inner, outer, fabs(number(s)), &b, &err) == CEL_OK) {
        for (i = 0; i < n; i++) {
            int64_t has = 0;
            for (j = 0; j < n; j++) {
                double square = 0;
                for (c = 0; c < d; c++) {
                    double t = (double)places.data[i * d + c] - (double)places.data[j * d + c];
                    square += t * t;
                }
                has += j != i && square > 0 && square >= inner * inner && square < outer * outer;
            }
            MUST(has == b.start[i + 1] - b.start[i]);
        }
    } else MUST(err.what && !b.start);
    if (cel_graph_order(places, NULL, order, NULL) == CEL_OK) {
        char seen[61] = {0};
        for (i = 0; i < n; i++) seen[order[i]] = 1;
        for (i = 0; i < n; i++) MUST(seen[i]);
    }
    if (cel_slide_tiles(places, NULL, 1 + upto(s, 4), label, &tiles, NULL) == CEL_OK)
        for (i = 0; i < n; i++) MUST(label[i] >= 0 && label[i] < tiles);
    { /* by options as directly, on slides; what is said of it; the part between two types; a grid */
        cel_graph_options o = CEL_ZERO;
        cel_graph_report report;
        cel_csr direct = CEL_ZERO, some = CEL_ZERO;
        cel_status status;
        int64_t most = 0, alone = 0, coinciding = 0, e, from = upto(s, 2), to = upto(s, 2), left = 0;
        int32_t slide[61], type[61];
        cel_csr_free(&g);
        labels(s, slide, n, flag(s) ? 0 : n > 2 ? 2 : n - 1);
        labels(s, type, n, 2);
        o.k = upto(s, 9) - 1;
        if (flag(s)) o.inner = number(s), o.radius = number(s), o.decay = number(s);
        if (well(cel_graph_make(places, slide, &o, &g, &err), &err)) {
            status = o.radius > 0 ? cel_graph_radius(places, slide, o.inner, o.radius, o.decay, &direct, NULL) :
                                    cel_graph_knn(places, slide, o.k ? o.k : 6, 1, &direct, NULL);
            MUST(!status && cel_csr_count(&g) == cel_csr_count(&direct));
            MUST(!memcmp(g.start, direct.start, (size_t)(n + 1) * sizeof *g.start));
            MUST(!cel_csr_count(&g) || !memcmp(g.index, direct.index, (size_t)cel_csr_count(&g) * sizeof *g.index));
            for (i = 0; i < n; i++) {
                int twin = 0;
                if (g.start[i + 1] - g.start[i] > most) most = g.start[i + 1] - g.start[i];
                alone += g.start[i + 1] == g.start[i];
                for (j = 0; j < n; j++) {
                    int same = j != i && slide[i] == slide[j];
                    for (c = 0; c < d; c++)
                        same &= !(fabs((double)places.data[i * d + c] - (double)places.data[j * d + c]) > 0);
                    twin |= same;
                }
                coinciding += twin;
                for (e = g.start[i]; e < g.start[i + 1]; e++) left += type[i] == from && type[g.index[e]] == to;
            }
            MUST(well(cel_graph_describe(places, slide, &g, &report, &err), &err));
            MUST(report.most == most && report.isolated == alone && report.coinciding == coinciding);
            MUST(report.nearest >= 0 && report.resolution >= 0 &&
                 near_to(report.mean * (double)n, (double)cel_csr_count(&g), 1e-6 * (double)n));
            if (cel_graph_types(&g, type, (int32_t)from, (int32_t)to, &some) == CEL_OK)
                MUST(cel_csr_count(&some) == left);
        } else MUST(!g.start);
        cel_csr_free(&direct);
        cel_csr_free(&some);
        from = upto(s, 20) - 1;
        to = upto(s, 3) - 1;
        MUST((cel_graph_hex_coords(from, to, places) == CEL_OK) == (from >= 0 && to >= 0 && d == 2 && from * to == n));
    }
    cel_csr_free(&g);
    cel_csr_free(&b);
    cel_mat_free(&places);
}

static void fuzz_slide(source *s)
{
    int64_t n = 2 + upto(s, 18), genes = 1 + upto(s, 5), i, count;
    cel_mat x = flag(s) ? matrix(s, n, genes) : tame(s, n, genes), copy = CEL_ZERO, v = CEL_ZERO;
    cel_slide_report report;
    cel_error err = CEL_ZERO;
    cel_genes_options pick = CEL_ZERO;
    cel_scaling_options how = CEL_ZERO;
    cel_slide_options scale = CEL_ZERO;
    cel_scaling made_ = CEL_ZERO;
    int32_t index[6];
    int64_t cells[6];
    double score[6], total[20];
    uint8_t keep[20];
    if (flag(s))
        for (i = 0; i < n * genes; i++) x.data[i] = (cel_real)fabs((double)x.data[i]);
    MUST(cel_mat_new(n, genes, &copy) == CEL_OK && cel_mat_new(n, genes, &v) == CEL_OK);
    if (cel_slide_describe(x, total, &report, &err)) MUST(err.what);
    pick.by = (cel_genes_by)flag(s);
    pick.top = upto(s, genes);
    if (cel_slide_genes(x, &pick, index, &count, cells, score, &err) == CEL_OK) {
        for (i = 0; i < count; i++) MUST(index[i] >= 0 && index[i] < genes && (!i || index[i] > index[i - 1]));
        for (i = 0; i < genes; i++) MUST(!(score[i] != score[i]));
    } else MUST(err.what && count == 0);
    cel_mat_copy(x, copy);
    scale.no_log = flag(s);
    if (cel_slide_scale(copy, &scale, &err) == CEL_OK) MUST(finite_mat(copy));
    cel_mat_copy(x, copy);
    if (cel_slide_unit(copy, keep, NULL, &err) == CEL_OK) {
        for (i = 0; i < n; i++)
            MUST(!keep[i] || fabs(cel_vec_nrm2(copy.data + i * genes, genes) - 1) < 1e-5);
    }
    cel_mat_copy(x, copy);
    how.kind = (cel_kind)upto(s, 3);
    how.log = (int)upto(s, 2) - 1;
    how.size = (int)upto(s, 2) - 1;
    how.plain = flag(s);
    how.target = flag(s) ? number(s) : 0;
    if (cel_scaling_fit(copy, NULL, NULL, &how, &made_, &err) == CEL_OK) {
        MUST(finite_mat(copy));
        for (i = 0; i < n; i++)
            MUST(!(made_.cell[i].length > 0) || fabs(cel_vec_nrm2(copy.data + i * genes, genes) - 1) < 1e-4);
        MUST(cel_scaling_values(&made_, (cel_unit)upto(s, 2), copy, made_.cell, v) == CEL_OK);
        {
            cel_scaling_cell again[20];
            cel_mat_copy(x, v);
            MUST(well(cel_scaling_apply(&made_, v, NULL, NULL, again, &err), &err) && same_mat(copy, v, 0));
            MUST(again[n - 1].length == made_.cell[n - 1].length && again[0].size == made_.cell[0].size);
        }
        if (made_.cell[0].length > 0) {
            int32_t gene = 0;
            double value = number(s);
            cel_scaling_cell cell = made_.cell[0];
            if (cel_scaling_hold(&made_, (cel_unit)upto(s, 3), 1, &gene, &value, copy.data, &cell, &err))
                MUST(err.what);
        }
        cel_scaling_free(&made_);
    } else MUST(err.what && !made_.cell);
    {
        cel_mat places = flag(s) ? matrix(s, n, 2) : tame(s, n, 2);
        cel_slide_recipe recipe = CEL_ZERO;
        cel_slide slide = CEL_ZERO;
        cel_slide_rows rows;
        int32_t type[20], of[20];
        labels(s, type, n, flag(s));
        labels(s, of, n, flag(s));
        slide.x = x;
        slide.coords = places;
        if (flag(s)) slide.type = type;
        if (flag(s)) slide.slide = of;
        if (flag(s)) slide.total = total;
        recipe.scaling = how;
        recipe.genes_by = pick.by;
        recipe.top = upto(s, 7) - 1;
        recipe.min_cells = upto(s, 4) - 1;
        recipe.graph.k = upto(s, 4) - 1;
        recipe.tiles = upto(s, 4) - 1;
        if (well(cel_slide_prepare(&slide, &recipe, &rows, &err), &err)) {
            MUST(rows.x.rows <= n && rows.x.cols <= genes && rows.graph.rows == rows.x.rows && finite_mat(rows.x));
            for (i = 0; i < rows.x.rows; i++) {
                MUST(rows.cell[i] >= 0 && rows.cell[i] < n && (!i || rows.cell[i] > rows.cell[i - 1]));
                MUST(rows.tile[i] >= 0 && rows.tile[i] < rows.tiles && rows.slide[i] >= 0 &&
                     rows.slide[i] < rows.slides);
                MUST(!(rows.scaling.cell[i].length > 0) ||
                     near_to(cel_vec_nrm2(rows.x.data + i * rows.x.stride, rows.x.cols), 1, 1e-4));
            }
            cel_slide_rows_free(&rows);
        }
        MUST(!rows.x.data && !rows.cell && !rows.owned);
        cel_mat_free(&places);
    }
    cel_mat_free(&x);
    cel_mat_free(&copy);
    cel_mat_free(&v);
}

/* One element of an array of any number type and byte order. */
static void put(void *data, int64_t at, const cel_npy *a, double v)
{
    unsigned char raw[8], *to = (unsigned char *)data + at * a->bytes;
    float f = (float)v;
    int64_t whole = a->kind == 'f' ? 0 : (int64_t)v;
    int k;
    if (a->kind != 'f') memcpy(raw, &whole, 8);
    else if (a->bytes == 4) memcpy(raw, &f, 4);
    else memcpy(raw, &v, 8);
    for (k = 0; k < a->bytes; k++) to[a->big_endian ? a->bytes - 1 - k : k] = raw[k];
}
/* Rows that are read on the way against the same rows held dense, from a matrix, a sparse one or an array. */
static void fuzz_rows(source *s)
{
    enum { CELLS = 20, GENES = 6 };
    const int64_t all = 1 + upto(s, CELLS - 1), width = 1 + upto(s, GENES - 1), n = 1 + upto(s, width - 1);
    const int64_t cells = 1 + upto(s, CELLS - 1), shape[2] = {all, width}, first = upto(s, n - 1);
    const int extremes = byte(s) > 200, store = (int)upto(s, 2), wild = byte(s) > 240;
    cel_npy array = cel_npy_describe("fiu"[extremes ? 0 : upto(s, 2)], 8, 2, shape, NULL);
    double data[CELLS * GENES], total[CELLS], a_total[CELLS], b_total[CELLS], a_score[GENES], b_score[GENES];
    int32_t row[CELLS], gene[GENES], group[CELLS], list[CELLS], a_index[GENES], b_index[GENES];
    int64_t i, k, a_count, b_count, a_cells[GENES], b_cells[GENES], from[CELLS * GENES], to[CELLS * GENES], count = 0;
    cel_mat full = CEL_ZERO, x = CEL_ZERO, copy = CEL_ZERO, out = CEL_ZERO;
    cel_scaling_cell a_cell[CELLS], b_cell[CELLS];
    cel_slide_report a_report = CEL_ZERO, b_report = CEL_ZERO;
    cel_genes_options pick = CEL_ZERO;
    cel_scaling_options how = CEL_ZERO;
    cel_scaling a = CEL_ZERO, b = CEL_ZERO;
    cel_rows rows = CEL_ZERO;
    cel_csr sparse = CEL_ZERO;
    cel_error err = CEL_ZERO;
    cel_status status;
    int bad = 0;
    array.bytes = array.kind == 'f' ? 4 << flag(s) : 1 << upto(s, 3);
    array.big_endian = flag(s);
    array.fortran = flag(s);
    array.data = data;
    MUST(cel_mat_new(all, width, &full) == CEL_OK && cel_mat_new(cells, n, &x) == CEL_OK);
    MUST(cel_mat_new(cells, n, &copy) == CEL_OK && cel_mat_new(cells, n, &out) == CEL_OK);
    for (i = 0; i < all; i++)
        for (k = 0; k < width; k++) {
            double v = extremes ? number(s) : (double)(byte(s) % 8);
            full.data[i * width + k] = (cel_real)v;
            put(data, array.fortran ? k * all + i : i * width + k, &array, (double)full.data[i * width + k]);
            if (v == 0) continue;
            from[count] = i;
            to[count] = k;
            count++;
        }
    for (i = 0; i < cells; i++) row[i] = (int32_t)upto(s, all - 1);
    for (k = 0; k < n; k++) gene[k] = (int32_t)((first + k) % width);
    if (wild) row[upto(s, cells - 1)] = (int32_t)upto(s, 100) - 50;
    if (wild && flag(s)) gene[upto(s, n - 1)] = (int32_t)upto(s, 20) - 10;
    for (i = 0; i < cells; i++) bad |= row[i] < 0 || row[i] >= all;
    for (k = 0; k < n; k++) {
        bad |= gene[k] < 0 || gene[k] >= width;
        for (i = 0; i < k; i++) bad |= gene[i] == gene[k];
    }
    for (i = 0; i < cells && !bad; i++)
        for (k = 0; k < n; k++) x.data[i * n + k] = full.data[row[i] * width + gene[k]];
    {
        cel_real value[CELLS * GENES];
        for (i = 0; i < count; i++) value[i] = full.data[from[i] * width + to[i]];
        MUST(cel_csr_from_edges(all, width, count, from, to, value, &sparse, NULL) == CEL_OK);
    }
    rows.cells = cells;
    rows.genes = n;
    rows.row = row;
    rows.gene = gene;
    if (store == 0) rows.dense = full;
    else if (store == 1) rows.sparse = &sparse;
    else rows.array = &array;
    for (i = 0; i < cells; i++) list[i] = (int32_t)upto(s, cells - 1);
    status = cel_rows_read(&rows, bad ? NULL : list, 0, out, &err);
    if (bad) {
        MUST(!well(status, &err) && (status == CEL_ERR_ARG || status == CEL_ERR_SHAPE));
        MUST(!well(cel_rows_describe(&rows, a_total, &a_report, &err), &err));
        goto done;
    }
    MUST(status == CEL_OK);
    for (i = 0; i < cells; i++)
        for (k = 0; k < n; k++) MUST(near_to((double)out.data[i * n + k], (double)x.data[list[i] * n + k], 0));
    /* looked at */
    status = cel_rows_describe(&rows, a_total, &a_report, &err);
    MUST(cel_slide_describe(x, b_total, &b_report, NULL) == status && near_to(a_report.lowest, b_report.lowest, 0));
    if (well(status, &err)) MUST(!memcmp(a_total, b_total, (size_t)cells * sizeof *a_total));
    MUST(a_report.zeros == b_report.zeros && a_report.likely == b_report.likely &&
         a_report.multiples == b_report.multiples);
    pick.by = (cel_genes_by)(upto(s, 3) - flag(s));
    pick.top = upto(s, n + 1) - flag(s);
    pick.min_cells = upto(s, 3);
    if (flag(s)) pick.total = a_total;
    status = cel_rows_genes(&rows, &pick, a_index, &a_count, a_cells, a_score, &err);
    MUST(cel_slide_genes(x, &pick, b_index, &b_count, b_cells, b_score, NULL) == status && a_count == b_count);
    if (well(status, &err))
        MUST(!memcmp(a_index, b_index, (size_t)a_count * sizeof *a_index) &&
             !memcmp(a_cells, b_cells, (size_t)n * sizeof *a_cells));
    for (k = 0; k < n && !status; k++) MUST(near_to(a_score[k], b_score[k], 0));
    /* prepared */
    how.kind = (cel_kind)upto(s, 4);
    how.target = flag(s) ? 0 : flag(s) ? number(s) : 10;
    how.log = (int)upto(s, 2) - 1;
    how.size = (int)upto(s, 2) - 1;
    how.plain = byte(s) > 200;
    labels(s, group, cells, flag(s) && cells > 1);
    for (i = 0; i < cells; i++) total[i] = b_total[i] + (flag(s) ? 5 : fabs(number(s)));
    {
        const int32_t *g = flag(s) ? group : NULL;
        const double *of = flag(s) ? total : NULL;
        cel_mat_copy(x, copy);
        status = cel_rows_scaling(&rows, of, g, &how, NULL, &a, &err);
        MUST(cel_scaling_fit(copy, of, g, &how, &b, NULL) == status);
        if (well(status, &err)) {
            MUST(a.genes == n && b.genes == n && a.groups == b.groups && a.target == b.target &&
                 !a.centre == !b.centre);
            MUST(!a.centre || !memcmp(a.centre, b.centre, (size_t)(n * a.groups) * sizeof *a.centre));
            MUST(!a.scale || !memcmp(a.scale, b.scale, (size_t)n * sizeof *a.scale));
            MUST(!a.size || !memcmp(a.size, b.size, (size_t)n * sizeof *a.size));
            for (i = 0; i < cells; i++)
                MUST(a.cell[i].length == b.cell[i].length && a.cell[i].total == b.cell[i].total);
            rows.scaling = &a;
            MUST(cel_rows_read(&rows, NULL, 0, out, &err) == CEL_OK && same_mat(out, copy, 0) && finite_mat(out));
            rows.scaling = NULL;
            status = cel_rows_apply(&rows, &a, of, g, a_cell, &err);
            cel_mat_copy(x, out);
            MUST(well(status, &err) && cel_scaling_apply(&a, out, of, g, b_cell, NULL) == CEL_OK);
            for (i = 0; i < cells; i++) MUST(a_cell[i].length == b_cell[i].length && a_cell[i].size == b_cell[i].size);
        }
        if (cells > 1) { /* in two parts that are added */
            cel_scaling_sums one = CEL_ZERO, two = CEL_ZERO;
            cel_scaling added = CEL_ZERO;
            cel_rows half = rows;
            const int64_t groups = status || !a.cell ? 1 : a.groups;
            const int32_t *rest = g ? g + cells / 2 : NULL;
            const double *rest_of = of ? of + cells / 2 : NULL;
            half.cells = cells / 2;
            status = cel_rows_sums(&half, of, g, groups, &how, &one, &err);
            half.row += cells / 2;
            half.cells = cells - cells / 2;
            if (well(status, &err) && well(cel_rows_sums(&half, rest_of, rest, groups, &how, &two, &err), &err)) {
                MUST(one.count == groups * (1 + 3 * n) && two.count == one.count);
                for (i = 0; i < one.count; i++) one.cells[i] += two.cells[i];
                if (well(cel_rows_scaling(&rows, of, g, &how, &one, &added, &err), &err) && a.centre && !extremes)
                    for (i = 0; i < n * groups; i++)
                        MUST(near_to(added.centre[i], a.centre[i], 1e-9 * (1 + fabs(a.centre[i]))));
            }
            cel_scaling_sums_free(&one);
            cel_scaling_sums_free(&two);
            cel_scaling_free(&added);
        }
    }
done:
    cel_mat_free(&full);
    cel_mat_free(&x);
    cel_mat_free(&copy);
    cel_mat_free(&out);
    cel_csr_free(&sparse);
    cel_scaling_free(&a);
    cel_scaling_free(&b);
}

/* Moments by label add up to those of all, which are those of plain loops and those of rows read on the way. */
static void fuzz_sums(source *s)
{
    made t = tissue(s, 0);
    cel_moments all = CEL_ZERO, part[4], sum = CEL_ZERO, read[4];
    cel_rows rows = CEL_ZERO;
    int32_t label[24];
    double mean[6], deviation[6], moran[6], within[36], between[36];
    int64_t i, j, k, side, n = t.genes;
    cel_work work = CEL_ZERO;
    cel_status status;
    cel_mat b[3];
    MUST(cel_moments_new(n, &t.relations, &all) == CEL_OK && cel_moments_new(n, &t.relations, &sum) == CEL_OK);
    for (i = 0; i < 4; i++)
        MUST(cel_moments_new(n, &t.relations, part + i) == CEL_OK &&
             cel_moments_new(n, &t.relations, read + i) == CEL_OK);
    labels(s, label, t.cells, 3);
    MUST(cel_moments_add(&all, &t.relations, t.x, NULL, 0, &work) == CEL_OK && all.cells == t.cells);
    status = cel_moments_add_by_label(part, 4, label, &t.relations, t.x, &work);
    rows.cells = t.cells;
    rows.genes = n;
    rows.dense = t.x;
    MUST(cel_moments_add_rows(read, 4, label, &t.relations, &rows, &work) == status);
    for (i = 0; i < t.cells; i++) MUST(status || label[i] < 4);
    side = all.blocks * n + 1;
    for (i = 0; i < 4; i++) {
        MUST(!memcmp(part[i].gram, read[i].gram, (size_t)(side * side) * sizeof(double)) &&
             part[i].cells == read[i].cells);
        MUST(cel_moments_sum(&sum, 1, part + i) == CEL_OK);
    }
    b[0] = t.x;
    for (k = 1; k < all.blocks; k++) { /* the blocks of B */
        const cel_relation *w = t.relations.at + 1;
        MUST(cel_mat_new(t.cells, n, b + k) == CEL_OK && cel_csr_mul(1, k > 1 ? w->wt : w->w, t.x, 0, b[k]) == CEL_OK);
    }
    MUST(all.gram[side * side - 1] == 0.25 * (double)t.cells);
    for (i = 0; i < side - 1; i++)
        for (j = 0; j < side; j++) {
            double want = 0, size = 1e-6;
            for (k = 0; k < t.cells; k++) {
                double v = (double)b[i / n].data[k * n + i % n] *
                           (j + 1 < side ? (double)b[j / n].data[k * n + j % n] : 0.5);
                want += v;
                size += fabs(v);
            }
            MUST(near_to(all.gram[i * side + j], want, 1e-5 * size) &&
                 all.gram[i * side + j] == all.gram[j * side + i]);
        }
    if (sum.cells == all.cells)
        for (i = 0; i < side * side; i++)
            MUST(near_to(sum.gram[i], all.gram[i],
                 1e-5 * (1 + sqrt(all.gram[i % side * (side + 1)] * all.gram[i / side * (side + 1)]))));
    cel_moments_mean(&all, mean);
    for (i = 0; i < n; i++)
        MUST(near_to(mean[i] * (double)t.cells, 2 * all.gram[i * side + side - 1], 1e-9 * (double)t.cells));
    MUST(cel_moments_cross(&all, 0, within) == CEL_OK && within[n * n - 1] == all.gram[(n - 1) * side + n - 1]);
    MUST(cel_moments_cross(&all, all.blocks, within) != CEL_OK && cel_moments_cross(&all, -1, within) != CEL_OK);
    k = upto(s, all.blocks + 1) - 1;
    status = cel_moments_correlate(&all, k, mean, deviation, moran, within, between);
    MUST((status == CEL_OK) == (k >= 1 && k < all.blocks));
    for (i = 0; i < n * n && !status; i++)
        MUST(fabs(within[i]) <= 1.05 && fabs(between[i]) <= 1.05 && isfinite(moran[i / n]) && deviation[i / n] >= 0);
    for (k = 1; k < all.blocks; k++) cel_mat_free(b + k);
    for (i = 0; i < 4; i++) cel_moments_free(part + i), cel_moments_free(read + i);
    cel_moments_free(&all);
    cel_moments_free(&sum);
    cel_work_free(&work);
    untissue(&t);
}

/* The Hamiltonian and what is made of a model against plain loops. */
static void fuzz_forces(source *s)
{
    made t = tissue(s, flag(s) && flag(s));
    const int64_t n = t.genes, S = t.cells;
    int64_t r, i, j, e, k;
    double h, want = 0, size = 1e-6, share[8], trace = 0, diagonal = 0, c, value, length = 0;
    double direction[6], mean[6], slope[6];
    cel_mat gradient = CEL_ZERO, copy = CEL_ZERO;
    cel_relations made_ = CEL_ZERO;
    cel_relations_options o = CEL_ZERO;
    cel_error err = CEL_ZERO;
    cel_status status;
    int32_t type[24], column[6];
    cel_csr graph;
    int plain;
    MUST(cel_mat_new(S, n, &gradient) == CEL_OK && cel_mat_new(S, n, &copy) == CEL_OK);
    status = cel_model_energy(&t.model, &t.relations, t.x, &h, share, gradient, NULL);
    for (r = 0; r < t.relations.count; r++) {
        const cel_csr *w = t.relations.at[r].w;
        cel_mat f = cel_model_force(&t.model, r);
        MUST(f.data == cel_model_part(t.model.force, r).data && f.rows == n && f.cols == n);
        for (i = 0; i < S; i++)
            for (e = w ? w->start[i] : 0; e < (w ? w->start[i + 1] : 1); e++)
                for (j = 0; j < n; j++)
                    for (k = 0; k < n; k++) {
                        double v = (double)t.x.data[i * n + j] * (double)f.data[j * f.stride + k] *
                                   (double)t.x.data[(w ? w->index[e] : i) * n + k] * (w ? (double)w->value[e] : 1);
                        want += v;
                        size += fabs(v) + (w ? fabs((double)w->value[e]) : 0);
                    }
    }
    for (i = 0; i < S * n && t.model.field; i++) {
        want += (double)t.model.field[i % n] * (double)t.x.data[i];
        size += fabs((double)t.model.field[i % n] * (double)t.x.data[i]);
    }
    plain = size < 1e12 && largest(t.model.force) < 1e12;
    if (plain) MUST(status == CEL_OK && near_to(h, want, 1e-5 * size) && finite_mat(gradient));
    if (plain) { /* the gauge adds a constant */
        for (i = 0; i < n; i++) diagonal += fabs((double)t.model.force.data[i * n + i]);
        c = cel_model_gauge(&t.model);
        for (i = 0; i < n; i++) trace += (double)t.model.force.data[i * n + i];
        MUST(fabs(trace) <= 1e-5 * diagonal + 1e-40);
        MUST(cel_model_energy(&t.model, &t.relations, t.x, &value, NULL, cel_mat_none(), NULL) == CEL_OK);
        MUST(near_to(value + c * (double)S, h, 1e-5 * (size + fabs(c) * (double)S)));
    }
    if (plain && t.relations.count == 2) { /* log Z and its slope by the mean */
        cel_mean_field at, up, down;
        cel_sphere sphere = (cel_sphere)((int)upto(s, 3) - 1);
        double q = flag(s) ? number(s) : 6;
        k = upto(s, n - 1);
        for (i = 0; i < n; i++) mean[i] = (double)t.x.data[i];
        status = cel_model_logz(&t.model, sphere, q, S, mean, &at, cel_mat_none(), slope);
        MUST(status || (sphere == CEL_SPHERE_PAPER || (sphere == CEL_SPHERE_RIGHT && n > 1)));
        if (status == CEL_OK && fabs(q) < 100 && at.kappa < 1e4) {
            mean[k] += 1e-5;
            MUST(cel_model_logz(&t.model, sphere, q, S, mean, &up, cel_mat_none(), NULL) == CEL_OK);
            mean[k] -= 2e-5;
            MUST(cel_model_logz(&t.model, sphere, q, S, mean, &down, cel_mat_none(), NULL) == CEL_OK);
            MUST(near_to((up.logz - down.logz) / 2e-5, slope[k],
                 1e-4 * (1 + fabs(slope[k]) + size + fabs(at.logz) + at.kappa * at.kappa)));
        }
    }
    for (i = 0; i < n; i++) {
        direction[i] = (double)byte(s) - 100;
        length += direction[i] * direction[i];
    }
    for (i = 0; i < n && length > 0; i++) direction[i] /= sqrt(length);
    if (plain && length > 0) { /* without a direction: the same energy in a coordinate less */
        cel_mat basis = CEL_ZERO, fewer = CEL_ZERO, unit = CEL_ZERO;
        cel_model less;
        for (i = 0; i < S; i++)
            for (c = 0, j = 0; j < n; j++) {
                for (c = 0, k = 0; k < n; k++) c += direction[k] * (double)t.x.data[i * n + k];
                copy.data[i * n + j] = (cel_real)((double)t.x.data[i * n + j] - c * direction[j]);
            }
        MUST(cel_mat_new(n, n - 1, &basis) == CEL_OK && cel_mat_new(S, n - 1, &fewer) == CEL_OK);
        MUST(cel_mat_new(n - 1, n - 1, &unit) == CEL_OK);
        MUST(cel_model_reduce(&t.model, direction, basis, &less) == (n > 2 ? CEL_OK : CEL_ERR_SHAPE));
        if (n > 2) {
            MUST(cel_mat_syrk(1, 1, basis, 0, unit, NULL) == CEL_OK);
            for (i = 0; i < (n - 1) * (n - 1); i++) MUST(near_to((double)unit.data[i], i % n == 0, 1e-5));
            MUST(cel_mat_gemm(0, 0, 1, copy, basis, 0, fewer, NULL) == CEL_OK);
            MUST(cel_model_energy(&t.model, &t.relations, copy, &h, NULL, cel_mat_none(), NULL) == CEL_OK);
            MUST(cel_model_energy(&less, &t.relations, fewer, &value, NULL, cel_mat_none(), NULL) == CEL_OK);
            for (c = 0, i = 0; i < t.model.force.rows * n; i++) c += fabs((double)t.model.force.data[i]);
            MUST(near_to(h, value, 1e-4 * (1 + size + c * (double)S)));
            cel_model_free(&less);
        }
        MUST(cel_score_check(&t.model, &t.relations, t.x, (cel_score_form)upto(s, 2), 2, &value, NULL) == CEL_OK);
        MUST(value < 1e-2);
        MUST(cel_model_confine(&t.model, direction) == CEL_OK && finite_mat(t.model.force));
        cel_mat_free(&basis);
        cel_mat_free(&fewer);
        cel_mat_free(&unit);
    }
    graph = edges(s, S, byte(s) > 200); /* relations by options */
    o.weights = (cel_weights)((int)upto(s, 4) - 1);
    o.hops = upto(s, 4) - 1;
    o.types = upto(s, 3);
    labels(s, type, S, o.types ? o.types - 1 : 0);
    if (flag(s)) o.type = type;
    if (well(cel_relations_from_graph(&graph, &o, &made_, &err), &err)) {
        MUST(made_.cells == S && made_.count >= 1 && !made_.at[0].w);
        for (r = 1; r < made_.count; r++)
            MUST(*made_.name[r] && (made_.at[r].wt != NULL) != cel_csr_is_symmetric(made_.at[r].w));
    } else MUST(!made_.at);
    { /* whose gene is whose */
        char name[8][2], *of[8];
        cel_model_record record = CEL_ZERO;
        int64_t has[6] = {0};
        for (i = 0; i < 8; i++) {
            name[i][0] = (char)('a' + upto(s, 7));
            name[i][1] = 0;
            of[i] = name[i];
        }
        record.model = t.model;
        record.gene = of;
        k = 8 - upto(s, 8);
        for (i = 0; i < n; i++)
            for (j = 0; j < k; j++) has[i] += name[8 - k + j][0] == name[i][0];
        for (e = 1, i = 0; i < n; i++) e &= has[i] == 1;
        MUST(well(cel_model_columns(&record, of + 8 - k, k, column, &err), &err) == (int)e);
        for (i = 0; i < n && e; i++) MUST(name[8 - k + column[i]][0] == name[i][0]);
    }
    MUST(isfinite(cel_sphere_log_area(1 + upto(s, 20000))));
    cel_csr_free(&graph);
    cel_relations_free(&made_);
    cel_mat_free(&gradient);
    cel_mat_free(&copy);
    untissue(&t);
}

static void fuzz_score(source *s)
{
    made t = tissue(s, flag(s) && flag(s));
    cel_score_options o = CEL_ZERO;
    cel_score_report r = CEL_ZERO;
    cel_model m = CEL_ZERO;
    cel_error err = CEL_ZERO;
    int32_t group[24], slide[24];
    double value;
    int64_t i;
    for (i = 0; i < t.cells; i++) {
        group[i] = (int32_t)upto(s, 3);
        slide[i] = (int32_t)flag(s);
    }
    o.form = (cel_score_form)upto(s, 5);
    o.field = (cel_score_field)upto(s, 3);
    o.group = flag(s) ? group : NULL;
    o.slide = flag(s) ? slide : NULL;
    o.ridge = flag(s) ? CEL_SCORE_PICKED : flag(s) ? 0.1 : flag(s) ? number(s) : 0;
    o.l1 = flag(s) ? 0 : number(s);
    o.together = flag(s);
    o.measured = flag(s);
    o.folds = upto(s, 3);
    o.tolerance = flag(s) ? number(s) : 0;
    o.iterations = 1 + upto(s, 40);
    o.no_errors = flag(s);
    if (cel_score_fit(&t.relations, t.x, &o, &m, &r, &err, NULL) == CEL_OK) {
        MUST(finite_mat(m.force) && isfinite(r.value));
        cel_model_free(&m);
        cel_score_report_free(&r);
    } else MUST(err.what && !m.force.data && !r.se.data && !r.contacts);
    (void)cel_score_value(&t.model, &t.relations, t.x, (cel_score_form)upto(s, 5), &value, NULL, NULL);
    MUST(isfinite(value));
    (void)cel_score_pseudo_likelihood(&t.model, &t.relations, t.x, &value, NULL, NULL);
    MUST(isfinite(value));
    { /* the same from moments, and from counts and places in one call */
        cel_moments part[3], all = CEL_ZERO;
        cel_slide counted = CEL_ZERO;
        cel_slide_recipe recipe = CEL_ZERO;
        cel_score_result result;
        cel_mat places = tame(s, t.cells, 2), counts = tame(s, t.cells, t.genes);
        int32_t of[3];
        double by_moments;
        MUST(isfinite(cel_score_memory(&t.relations, t.genes, upto(s, 4), upto(s, 2), &o)));
        labels(s, of, 3, 1);
        for (i = 0; i < t.cells; i++) group[i] = (int32_t)upto(s, 2);
        MUST(cel_moments_new(t.genes, &t.relations, &all) == CEL_OK);
        for (i = 0; i < 3; i++) MUST(cel_moments_new(t.genes, &t.relations, part + i) == CEL_OK);
        MUST(cel_moments_add_by_label(part, 3, group, &t.relations, t.x, NULL) == CEL_OK);
        for (i = 0; i < 3; i++) MUST(cel_moments_sum(&all, 1, part + i) == CEL_OK);
        if (cel_score_value(&t.model, &t.relations, t.x, CEL_SCORE_MOMENT, &value, NULL, NULL) == CEL_OK &&
            cel_score_value_moments(&t.model, &all, &by_moments) == CEL_OK && largest(t.model.force) < 1e3)
            MUST(near_to(value, by_moments, 1e-4 * (10 + fabs(value))) || fabs(value) > 1e6);
        o.group = o.slide = NULL;
        if (flag(s)) o = cel_score_measured(NULL);
        o.form = CEL_SCORE_MOMENT;
        o.slide = flag(s) ? of : NULL;
        if (well(cel_score_fit_moments(part, 1 + upto(s, 2), &o, &m, &r, &err, NULL), &err)) MUST(finite_mat(m.force));
        else MUST(!m.force.data && !r.se.data);
        cel_model_free(&m);
        cel_score_report_free(&r);
        if (byte(s) > 200) {
            for (i = 0; i < t.cells * t.genes; i++) counts.data[i] = (cel_real)(byte(s) % 16);
            counted.x = counts;
            counted.coords = places;
            if (flag(s)) counted.slide = group;
            recipe.min_cells = 1;
            recipe.tiles = 1 + upto(s, 2);
            recipe.graph.k = upto(s, 3);
            if (well(cel_score_slide(&counted, &recipe, &result, &err), &err)) {
                MUST(finite_mat(result.model.force) && result.rows.x.rows == result.relations.cells);
                cel_score_slide_free(&result);
            }
            MUST(!result.rows.owned && !result.model.force.data && !result.relations.memory);
        }
        for (i = 0; i < 3; i++) cel_moments_free(part + i);
        cel_moments_free(&all);
        cel_mat_free(&places);
        cel_mat_free(&counts);
    }
    untissue(&t);
}

static void fuzz_paper(source *s)
{
    made t = tissue(s, 0);
    cel_moments m = CEL_ZERO;
    cel_paper_options o = CEL_ZERO;
    cel_error err = CEL_ZERO;
    cel_mat angles = CEL_ZERO;
    o.epochs = 1 + upto(s, 4);
    o.lr = flag(s) ? number(s) : 0;
    o.zmft = flag(s) ? number(s) : 0;
    o.q = flag(s) ? number(s) : 0;
    o.optimiser = (cel_optimiser)upto(s, 2);
    o.sphere = (cel_sphere)upto(s, 2);
    o.no_projection = flag(s);
    o.summed = flag(s);
    MUST(cel_moments_new(t.genes, &t.relations, &m) == CEL_OK);
    MUST(cel_moments_add(&m, &t.relations, t.x, NULL, 0, NULL) == CEL_OK);
    if (t.model.relations == 2 && !t.model.field) {
        MUST(cel_paper_start(byte(s), &t.model) == CEL_OK);
        if (cel_paper_fit(&m, 1, &o, &t.model, NULL, NULL, &err)) MUST(err.what);
        MUST(finite_mat(t.model.force));
        if (t.genes > 1 && cel_mat_new(t.cells, t.genes - 1, &angles) == CEL_OK &&
            cel_paper_to_angles(t.x, angles, &err) == CEL_OK) {
            cel_mat copy = CEL_ZERO;
            int64_t i;
            MUST(cel_mat_new(t.cells, t.genes, &copy) == CEL_OK && cel_paper_from_angles(angles, copy, NULL) == CEL_OK);
            for (i = 0; i < t.cells * t.genes; i++) MUST(fabs((double)(copy.data[i] - t.x.data[i])) < 1e-4);
            if (cel_paper_generate(&t.model, &t.relations, &o, angles, copy, NULL, NULL, &err)) MUST(err.what);
            cel_mat_free(&copy);
        }
    }
    cel_mat_free(&angles);
    { /* slopes against differences, where numbers are plain; Adam against its formula */
        const cel_real step = (cel_real)0.0625;
        cel_paper_value at, up, down;
        cel_mat d_force = CEL_ZERO, d_x = CEL_ZERO, d_angles = CEL_ZERO, param = CEL_ZERO, start = CEL_ZERO;
        int64_t i, k, n = t.genes, total = t.relations.count * n * n;
        int plain = !(o.zmft > 100) && !(o.q > 100) && largest(t.model.force) < 100;
        cel_adam adam;
        cel_adam_options how = CEL_ZERO;
        MUST(cel_mat_new(t.relations.count * n, n, &d_force) == CEL_OK && cel_mat_new(t.cells, n, &d_x) == CEL_OK);
        MUST(cel_mat_new(t.relations.count * n, n, &param) == CEL_OK &&
             cel_mat_new(t.relations.count * n, n, &start) == CEL_OK);
        if (well(cel_paper_loss(&t.model, &m, &o, &at, d_force, &err), &err) && plain) {
            cel_real *f = t.model.force.data + (k = upto(s, total - 1)), was = *f;
            *f = was + step;
            MUST(cel_paper_loss(&t.model, &m, &o, &up, cel_mat_none(), &err) == CEL_OK);
            *f = was - step;
            MUST(cel_paper_loss(&t.model, &m, &o, &down, cel_mat_none(), &err) == CEL_OK);
            *f = was;
            MUST(near_to((up.loss - down.loss) / (2 * (double)step), (double)d_force.data[k],
                 0.05 * (1 + (double)t.cells * (1 + o.q))));
        }
        o.no_log_z = flag(s);
        if (well(cel_paper_generate_loss(&t.model, &t.relations, t.x, &o, &at, d_x, &err, NULL), &err) && plain) {
            cel_real *x = t.x.data + (k = upto(s, t.cells * n - 1)), was = *x;
            *x = was + step;
            MUST(cel_paper_generate_loss(&t.model, &t.relations, t.x, &o, &up, cel_mat_none(), &err, NULL) == CEL_OK);
            *x = was - step;
            MUST(cel_paper_generate_loss(&t.model, &t.relations, t.x, &o, &down, cel_mat_none(), &err, NULL) == CEL_OK);
            *x = was;
            MUST(near_to((up.loss - down.loss) / (2 * (double)step), (double)d_x.data[k],
                 0.05 * (1 + fabs(up.loss) + fabs(down.loss) + fabs((double)d_x.data[k]) + o.q * o.q)));
        }
        if (n > 1) {
            MUST(cel_mat_new(t.cells, n - 1, &angles) == CEL_OK && cel_mat_new(t.cells, n - 1, &d_angles) == CEL_OK);
            cel_paper_noise_angles(byte(s), 3, fabs(number(s)) > 5 ? 1 : number(s), angles);
            if (finite_mat(angles) && fabs((double)angles.data[0]) < 100) {
                cel_mat g = tame(s, t.cells, n);
                double slope[2];
                k = upto(s, t.cells * (n - 1) - 1);
                MUST(cel_paper_angles_gradient(angles, g, d_angles, NULL) == CEL_OK);
                for (i = 0; i < 2; i++) {
                    angles.data[k] += i ? 2 * step : -step;
                    MUST(cel_paper_from_angles(angles, d_x, NULL) == CEL_OK);
                    unit_rows(d_x);
                    slope[i] = cel_mat_dot(g, d_x);
                }
                MUST(near_to((slope[1] - slope[0]) / (2 * (double)step), (double)d_angles.data[k], 0.02));
                cel_mat_free(&g);
            }
        }
        if (flag(s))
            how.lr = number(s), how.beta1 = 0.5, how.beta2 = 0.25, how.eps = 0.125, how.weight_decay = number(s);
        MUST(cel_adam_new(total, &adam) == CEL_OK && cel_mat_copy(t.model.force, param) == CEL_OK &&
             cel_mat_copy(param, start) == CEL_OK);
        cel_adam_step(&adam, start, &how, param);
        for (i = 0; i < total; i++) {
            double p = (double)start.data[i], lr = fabs(how.lr) > 0 ? how.lr : 0.001;
            double eps = how.eps > 0 ? how.eps : 1e-8;
            double want = p - lr * p / (fabs(p) + eps) - lr * how.weight_decay * p;
            if (fabs(want) < 1e30)
                MUST(near_to((double)param.data[i], want,
                     1e-5 * (fabs(want) + fabs(lr) * (1 + fabs(how.weight_decay * p)) + fabs(p))));
        }
        MUST(adam.step == 1 && adam.count == total);
        cel_adam_free(&adam);
        MUST(!adam.m && !adam.v);
        cel_mat_free(&d_force);
        cel_mat_free(&d_x);
        cel_mat_free(&d_angles);
        cel_mat_free(&param);
        cel_mat_free(&start);
        cel_mat_free(&angles);
    }
    cel_moments_free(&m);
    untissue(&t);
}

static void fuzz_sample(source *s)
{
    made t = tissue(s, flag(s));
    cel_sample_options o = CEL_ZERO;
    cel_ascent_options up = CEL_ZERO;
    cel_logz_options z = CEL_ZERO;
    cel_logz_report lz;
    cel_error err = CEL_ZERO;
    double h, bound;
    uint8_t hold[24 * 6];
    int64_t i;
    for (i = 0; i < t.cells * t.genes; i++) hold[i] = (uint8_t)(byte(s) > 230);
    o.sweeps = o.warmup = z.sweeps = up.sweeps = 3;
    o.seed = byte(s);
    o.moves = (int)upto(s, 4);
    o.step = flag(s) ? number(s) : 0;
    o.domain.orthant = up.domain.orthant = z.orthant = flag(s);
    o.domain.hold = up.domain.hold = flag(s) ? hold : NULL;
    z.runs = 2;
    z.rungs = 2;
    if (o.domain.orthant) cel_sample_uniform(1, 0, 1, t.x);
    if (finite_mat(t.model.force)) {
        if (cel_sample_run(&t.model, &t.relations, &o, t.x, NULL, NULL, &err)) MUST(err.what);
        unit_rows(t.x);
        if (cel_ascent_run(&t.model, &t.relations, &up, t.x, NULL, &err)) MUST(err.what);
        unit_rows(t.x);
        (void)cel_model_energy(&t.model, &t.relations, t.x, &h, NULL, cel_mat_none(), NULL);
        if (t.genes > 1 && cel_logz_ais(&t.model, &t.relations, &z, &lz, &err)) MUST(err.what);
        if (t.genes > 1 && cel_logz_bound(&t.model, &t.relations, &z, &bound, &err)) MUST(err.what);
    }
    { /* colours; a sampler by hand, twice with the same bits; chains judged */
        int32_t colour[24], colours, slide[24];
        cel_sample *one = NULL, *two = NULL;
        cel_mat copy = CEL_ZERO;
        double trace[60], ess, rhat, scale = number(s);
        int64_t e, r, chains = 1 + upto(s, 3), length = upto(s, 15);
        MUST(cel_sample_colour(&t.relations, NULL, colour, &colours, &err) == CEL_OK && colours >= 1);
        for (r = 1; r < t.relations.count; r++)
            for (i = 0; i < t.cells; i++)
                for (e = t.relations.at[r].w->start[i]; e < t.relations.at[r].w->start[i + 1]; e++)
                    MUST(colour[i] != colour[t.relations.at[r].w->index[e]] && colour[i] < colours);
        labels(s, slide, t.cells, 1);
        labels(s, colour, t.cells, 30);
        o.centred = flag(s);
        o.slide = flag(s) ? slide : NULL;
        if (byte(s) > 200) o.domain.colour = colour;
        MUST(cel_mat_new(t.cells, t.genes, &copy) == CEL_OK);
        if (finite_mat(t.model.force) && well(cel_sample_new(&t.model, &t.relations, &o, &one, &err), &err)) {
            MUST(cel_mat_copy(t.x, copy) == CEL_OK && cel_sample_new(&t.model, &t.relations, &o, &two, NULL) == CEL_OK);
            cel_sample_restart(two, 9);
            cel_sample_refresh(two);
            cel_sample_restart(one, 9);
            if (fabs(scale) < 1e3) cel_sample_temper(one, scale), cel_sample_temper(two, scale);
            for (i = 0; i < 2; i++) {
                cel_status status = cel_sample_sweep(one, t.x);
                MUST(well(status, NULL) && cel_sample_sweep(two, copy) == status && same_mat(t.x, copy, 0));
                MUST(cel_sample_acceptance(one) >= 0 && cel_sample_acceptance(one) <= 1);
                MUST(near_to(cel_sample_step(one), cel_sample_step(two), 0));
            }
            unit_rows(t.x);
        }
        cel_sample_free(one);
        cel_sample_free(two);
        cel_mat_free(&copy);
        for (i = 0; i < chains * length; i++) trace[i] = number(s);
        MUST(cel_sample_diagnose(trace, chains, length, &ess, &rhat) == CEL_OK);
        MUST(length >= 8 || (ess != ess && rhat != rhat));
    }
    untissue(&t);
}

static void fuzz_perturb(source *s)
{
    made t = tissue(s, 0);
    cel_intervention list[3];
    cel_tissue seen = CEL_ZERO;
    cel_perturb p;
    cel_perturb_setup setup = CEL_ZERO;
    cel_error err = CEL_ZERO;
    cel_mat coords = flag(s) ? matrix(s, t.cells, 2) : tame(s, t.cells, 2);
    int32_t type[24], cells[3];
    int64_t count = 1 + upto(s, 2), i, d;
    memset(list, 0, sizeof list);
    for (i = 0; i < t.cells; i++) type[i] = (int32_t)upto(s, 3);
    for (i = 0; i < 3; i++) cells[i] = (int32_t)upto(s, t.cells) - flag(s);
    for (i = 0; i < count; i++) {
        cel_intervention *v = list + i;
        v->what = (cel_do)((int)upto(s, 6) - 1);
        v->who = (cel_who)((int)upto(s, 4) - 1);
        if (flag(s)) v->what = CEL_DO_HOLD, v->who = CEL_WHO_CELLS;
        if (flag(s)) v->cells = cells, v->count = upto(s, 3);
        v->cell = upto(s, t.cells) - flag(s);
        v->type = (int32_t)upto(s, 3);
        for (d = 0; d < 3; d++) v->place[d] = number(s);
        v->radius = number(s);
        v->gene = upto(s, t.genes) - flag(s);
        v->value = number(s) / 4;
        v->like = upto(s, t.cells) - flag(s);
        v->row = flag(s) ? t.x.data : NULL;
    }
    seen.x = t.x;
    seen.relations = &t.relations;
    if (flag(s)) seen.coords = coords;
    if (flag(s)) seen.type = type;
    setup.reach = (int)upto(s, 4) - 2;
    if (cel_perturb_new(&t.model, &seen, list, count, &setup, &p, &err) == CEL_OK) {
        cel_perturb_options o = CEL_ZERO;
        cel_effect e;
        o.method = (cel_method)upto(s, 4);
        o.repeats = 2;
        o.sweeps = o.warmup = 2;
        o.orthant = flag(s);
        if (cel_perturb_run(&p, &o, &e, &err) == CEL_OK) {
            int64_t k;
            MUST(finite_mat(e.mean) && finite_mat(e.after) && finite_mat(e.sham));
            for (i = 0; i < e.tables; i++)
                for (k = 0; k < e.table[i].groups; k++) {
                    const cel_effect_table *table = e.table + i;
                    const double *by = table->z + k * table->columns;
                    int32_t order[6];
                    if (by[0] != by[0]) by = table->mean + k * table->columns;
                    MUST(cel_effect_rank(table, k, order) == CEL_OK);
                    for (d = 1; d < table->genes; d++)
                        MUST(order[d] != order[d - 1] && !(fabs(by[order[d]]) > fabs(by[order[d - 1]])));
                }
            cel_effect_free(&e);
        } else MUST(err.what && !e.mean.data);
        { /* cells by hop, distance and type; rows back where they belong */
            double edge[4];
            int32_t *label = (int32_t *)malloc((size_t)p.cells * sizeof *label + 1);
            cel_mat full = CEL_ZERO;
            int64_t groups = cel_perturb_by_hop(&p, label), bands = 1 + upto(s, 2);
            MUST(label && groups == p.reach + 2);
            for (i = 0; i < p.cells; i++)
                MUST(label[i] >= 0 && label[i] < groups &&
                     (p.hop[i] < 0 || label[i] == celi_min(p.hop[i], groups - 1)));
            groups = cel_perturb_by_type(&p, label);
            for (i = 0; i < p.cells; i++)
                MUST(label[i] == (p.type ? p.type[i] : -1) && label[i] < groups + (groups == 0));
            edge[0] = 0;
            for (i = 0; i < bands; i++) { /* ascending, and no smaller than what has a square */
                const double step = fabs(number(s));
                edge[i + 1] = edge[i] + (step > 1e-150 ? step : 1);
            }
            groups = cel_perturb_by_distance(&p, edge, bands, label);
            MUST(groups == (p.coords.data ? bands : 0));
            for (i = 0; i < p.cells && groups; i++)
                MUST(label[i] >= -1 && label[i] < groups && (p.hop[i] || label[i] <= 0));
            MUST(cel_mat_new(p.observed + flag(s), t.genes, &full) == CEL_OK &&
                 cel_perturb_scatter(&p, p.start[1], full) == CEL_OK);
            for (i = 0; i < p.cells; i++)
                if (p.id[i] < full.rows)
                    MUST(!memcmp(full.data + p.id[i] * t.genes, p.start[1].data + i * p.start[1].stride,
                         (size_t)t.genes * sizeof(cel_real)));
            cel_mat_free(&full);
            free(label);
        }
        cel_perturb_free(&p);
    } else MUST(err.what && !p.id);
    cel_mat_free(&coords);
    untissue(&t);
}

/* Through the counting, and what a condition changes. */
static void fuzz_counts(source *s)
{
    made t = tissue(s, 0);
    cel_mat counts = byte(s) > 230 ? matrix(s, t.cells, t.genes) : tame(s, t.cells, t.genes);
    cel_count_data data = CEL_ZERO;
    cel_count_options o = CEL_ZERO;
    cel_count_result result;
    cel_score_options how = cel_score_measured(NULL);
    cel_shift_report report;
    cel_moments part[6];
    cel_error err = CEL_ZERO;
    int32_t group[24], level[24], condition[6], slide[6];
    int64_t i, parts = 1 + upto(s, 5);
    double each[24];
    int left = (int)upto(s, 40);
    if (byte(s) < 250)
        for (i = 0; i < t.cells * t.genes; i++) counts.data[i] = (cel_real)(byte(s) % 16);
    labels(s, group, t.cells, 1 + upto(s, 2));
    labels(s, level, t.cells, 1);
    data.relations = &t.relations;
    data.counts = counts;
    if (flag(s)) data.level = level;
    if (flag(s)) o.group = group;
    if (flag(s)) o.each = each;
    o.ridge = flag(s) ? 0 : flag(s) ? 0.1 : number(s);
    if (flag(s)) o.progress.fn = stop_at, o.progress.user = &left;
    if (well(cel_count_fit(&data, &o, &result, &err), &err)) {
        MUST(finite_mat(result.model.force) && finite_mat(result.rows) && finite_mat(result.error));
        for (i = 0; i < t.cells && o.each; i++) MUST(isfinite(each[i]));
        cel_count_free(&result);
    }
    MUST(!result.rows.data && !result.model.force.data && !result.scaling.cell);
    for (i = 0; i < parts; i++) MUST(cel_moments_new(t.genes, &t.relations, part + i) == CEL_OK);
    labels(s, level, t.cells, parts - 1);
    labels(s, condition, parts, 1);
    labels(s, group, parts, 2);
    labels(s, slide, parts, 1);
    (void)cel_moments_add_by_label(part, parts, level, &t.relations, t.x, NULL);
    how.group = flag(s) ? group : NULL;
    how.slide = flag(s) ? slide : NULL;
    how.ridge = flag(s) ? CEL_SCORE_PICKED : flag(s) ? 0.1 : number(s);
    how.l1 = flag(s) ? 0.3 : flag(s) ? 0 : number(s);
    how.iterations = 1 + upto(s, 40);
    how.folds = upto(s, 3);
    how.progress = o.progress;
    if (well(cel_shift_fit(part, parts, condition, &how, &report, &err, NULL), &err)) {
        MUST(finite_mat(report.control) && finite_mat(report.sparse) && finite_mat(report.shift));
        cel_shift_report_free(&report);
    }
    MUST(!report.owned && !report.sparse.data);
    for (i = 0; i < parts; i++) cel_moments_free(part + i);
    cel_mat_free(&counts);
    untissue(&t);
}

/* The law by a few steps of sampling; genes chosen against all. */
static void fuzz_law(source *s)
{
    made t = tissue(s, 0);
    cel_likelihood_options o = CEL_ZERO;
    cel_likelihood_report report;
    cel_chosen_options how = CEL_ZERO;
    cel_chosen_report chosen;
    cel_rows rows = CEL_ZERO;
    cel_model m;
    cel_error err = CEL_ZERO;
    cel_mat chain = CEL_ZERO;
    uint8_t hold[24 * 6];
    int32_t label[24], slide[24], gene[6];
    double size[6] = {1, 0, 0, 0, 0, 0};
    int64_t i, count = upto(s, t.genes);
    int left = (int)upto(s, 8);
    for (i = 0; i < t.cells * t.genes; i++) hold[i] = (uint8_t)(byte(s) > 230);
    labels(s, label, t.cells, 1 + upto(s, 2));
    labels(s, slide, t.cells, 1);
    for (i = 0; i < count; i++) gene[i] = (int32_t)(byte(s) > 250 ? upto(s, 20) - 10 : i);
    o.seed = byte(s);
    o.steps = 1 + upto(s, 3);
    o.sweeps = 1;
    o.chains = upto(s, 2);
    o.warmup = flag(s) ? -1 : 2;
    o.check = flag(s) ? -1 : 12;
    o.rate = flag(s) ? 0 : number(s);
    o.ridge = flag(s) ? 0 : number(s);
    o.l1 = flag(s) ? 0 : number(s);
    o.field = flag(s);
    o.centred = flag(s);
    o.slide = flag(s) ? slide : NULL;
    o.size = byte(s) > 200 ? size : NULL;
    o.start = flag(s) ? &t.model : NULL;
    o.domain.orthant = flag(s);
    o.domain.hold = byte(s) > 200 ? hold : NULL;
    if (o.domain.orthant) cel_sample_uniform(1, 0, 1, t.x);
    if (flag(s)) MUST(cel_mat_new((o.chains ? o.chains : 1) * t.cells, t.genes, &chain) == CEL_OK);
    o.chain = chain;
    o.resume = byte(s) > 230;
    if (flag(s)) o.progress.fn = stop_at, o.progress.user = &left;
    if (well(cel_likelihood_fit(&t.relations, t.x, &o, &m, &report, &err), &err)) {
        MUST(finite_mat(m.force) && (!chain.data || o.resume || finite_mat(chain)));
        cel_likelihood_report_free(&report);
        cel_model_free(&m);
    }
    MUST(!m.force.data && !report.error.data && !report.trace.data);
    rows.cells = t.cells;
    rows.genes = t.genes;
    rows.dense = t.x;
    how.slide = flag(s) ? slide : NULL;
    how.group = flag(s) ? label : NULL;
    how.ridge = flag(s) ? 0 : number(s);
    how.factors = upto(s, 8) - 2;
    how.size = o.size;
    how.progress = o.progress;
    MUST(isfinite(cel_chosen_memory(&t.relations, t.genes, count, 3, &how)));
    if (well(cel_chosen_fit(&rows, &t.relations, gene, count, &how, &chosen, &err, NULL), &err)) {
        MUST(finite_mat(chosen.partial) && chosen.partial.rows == t.relations.count * count &&
             chosen.partial.cols == t.genes);
        cel_chosen_report_free(&chosen);
    }
    MUST(!chosen.owned && !chosen.partial.data);
    cel_mat_free(&chain);
    untissue(&t);
}

/* A checkpoint out of bytes, behind a head that is right or not: what is found is whole, and the file goes on. */
static void fuzz_keep(source *s)
{
    char path[64], data[64];
    cel_keep keep;
    cel_error err = CEL_ZERO;
    int64_t found, again;
    FILE *f;
    snprintf(path, sizeof path, "/tmp/celcomen_fuzz_%ld", (long)getpid());
    remove(path);
    if (flag(s)) {
        MUST(cel_keep_open(path, "m", 1, &keep, &found, NULL) == CEL_OK && !found);
        MUST(!keep.save(keep.user, "a", byte(s), "1234", 4));
        cel_keep_close(&keep);
    }
    f = fopen(path, "ab");
    MUST(f && fwrite(s->p, 1, (size_t)(s->end - s->p), f) == (size_t)(s->end - s->p) && !fclose(f));
    if (cel_keep_open(path, "m", 1, &keep, &found, &err) == CEL_OK) {
        MUST(!keep.save(keep.user, "b", 1, "12345678", 8) && keep.load(keep.user, "b", 1, data, 8));
        MUST(!memcmp(data, "12345678", 8));
        cel_keep_close(&keep);
        MUST(cel_keep_open(path, "m", 1, &keep, &again, &err) == CEL_OK && again == found + 1);
        cel_keep_close(&keep);
    } else MUST(err.what && !keep.user);
    remove(path);
}

static void fuzz_numbers(source *s)
{
    double x = number(s), y = number(s), a, da, lambda[6], gamma[6], logc, mean[6], square[6], p[6], q[6];
    int64_t n = 2 + upto(s, 4), i;
    cel_rng rng = cel_rng_at(byte(s), 1, 2, 3);
    a = cel_student_p(x, y);
    MUST(a != a || (a >= 0 && a <= 1 + 1e-12));
    MUST(cel_rng_poisson(&rng, x) >= 0 && cel_rng_gamma(&rng, y) >= 0);
    a = cel_sphere_phi(2 + (int64_t)byte(s) * 70, fabs(x), &a, &da);
    if (fabs(x) < 1e100) MUST(isfinite(a) && a >= 0);
    for (i = 0; i < n; i++) {
        lambda[i] = number(s);
        gamma[i] = number(s);
        p[i] = fabs(number(s));
        if (!(p[i] <= 1)) p[i] = 1;
    }
    if (cel_sphere_log_fb(n, lambda, gamma, &logc, mean, square) == CEL_OK) {
        double sum = 0, size = 1;
        for (i = 0; i < n; i++) {
            sum += square[i];
            size = fmax(size, fmax(fabs(lambda[i]), fabs(gamma[i])));
        }
        if (size < 1e6) MUST(isfinite(logc) && fabs(sum - 1) < 1e-3);
    }
    MUST(cel_fdr(p, n, q) == CEL_OK);
    for (i = 0; i < n; i++) MUST(q[i] >= p[i] && q[i] <= 1);
}

static const struct {
    const char *name;
    void (*run)(source *s);
} target[] = {{"npy", fuzz_npy}, {"inflate", fuzz_inflate}, {"table", fuzz_table},
              {"interventions", fuzz_interventions}, {"model", fuzz_model}, {"moments", fuzz_moments}, {"dense", fuzz_dense},
              {"sparse", fuzz_sparse}, {"graph", fuzz_graph}, {"slide", fuzz_slide}, {"rows", fuzz_rows},
              {"forces", fuzz_forces}, {"kernels", fuzz_kernels}, {"counts", fuzz_counts}, {"law", fuzz_law},
              {"sums", fuzz_sums},
              {"score", fuzz_score}, {"paper", fuzz_paper}, {"sample", fuzz_sample},
              {"perturb", fuzz_perturb}, {"numbers", fuzz_numbers}, {"keep", fuzz_keep}};

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    enum { TARGETS = sizeof target / sizeof *target };
    static int fixed = -2;
    source s;
    s.p = bytes;
    s.end = bytes + size;
    if (fixed == -2) { /* by name, from the environment: one build serves all */
        const char *name = getenv("FUZZ_TARGET");
        int k;
        for (fixed = -1, k = 0; name && k < TARGETS; k++)
            if (!strcmp(name, target[k].name)) fixed = k;
        if (name && fixed < 0) abort();
    }
    target[fixed >= 0 ? fixed : (int)(byte(&s) % TARGETS)].run(&s);
    return 0;
}
