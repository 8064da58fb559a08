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
static void fuzz_npy(source *s)
{
    const size_t size = (size_t)(s->end - s->p);
    cel_error err = CEL_ZERO;
    cel_npy a;
    cel_npz z;
    cel_csr m;
    char **lines;
    int64_t i;
    if (cel_npy_parse(s->p, size, &a, &err) == CEL_OK) convert(&a);
    else MUST(err.what && err.offset >= 0 && err.offset <= (int64_t)size);
    if (cel_npz_parse(s->p, size, &z, NULL) == CEL_OK) {
        z.limit = 1 << 18;
        for (i = 0; i < z.count && i < 16; i++) {
            char name[64];
            cel_npz_name(&z, i, name, sizeof name);
            if (cel_npz_get(&z, name, &a, NULL) == CEL_OK) convert(&a);
        }
        if (cel_npz_to_csr(&z, &m, NULL) == CEL_OK) cel_csr_free(&m);
        cel_npz_free(&z);
    }
    if (cel_file_parse_lines(s->p, size, &lines, &i, NULL) == CEL_OK) {
        char *text, **again;
        int64_t count;
        if (cel_file_join_lines(lines, i, &text, NULL) == CEL_OK) {
            MUST(cel_file_parse_lines(text, strlen(text), &again, &count, NULL) == CEL_OK && (count == i || size < 4));
            cel_file_free(again);
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
    o.limit = LIMIT;
    o.genes_are_rows = way & 1;
    o.dense = way >> 1 & 1;
    o.header = (int)(way >> 2) % 3 - 1;
    o.row_names = (int)(way >> 4) % 3 - 1;
    o.places = flag(s);
    if (way & 64) o.pick = pick, o.picks = 2;
    if ((way & 128) && !o.genes_are_rows) o.label = "type";
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
    static char path[64], copy[80];
    cel_model_record r, again;
    cel_error err = CEL_ZERO;
    FILE *f;
    if (!*path) snprintf(path, sizeof path, "/dev/shm/celcomen_fuzz_%ld.npz", (long)getpid());
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
    static char path[64];
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
    if (!*path) snprintf(path, sizeof path, "/dev/shm/celcomen_fuzz_%ld.npz", (long)getpid());
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
    (void)cel_csr_mul(1, &a, x, 0, y);
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
        if (made_.cell[0].length > 0) {
            int32_t gene = 0;
            double value = number(s);
            cel_scaling_cell cell = made_.cell[0];
            if (cel_scaling_hold(&made_, (cel_unit)upto(s, 3), 1, &gene, &value, copy.data, &cell, &err))
                MUST(err.what);
        }
        cel_scaling_free(&made_);
    } else MUST(err.what && !made_.cell);
    cel_mat_free(&x);
    cel_mat_free(&copy);
    cel_mat_free(&v);
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
            MUST(finite_mat(e.mean) && finite_mat(e.after) && finite_mat(e.sham));
            cel_effect_free(&e);
        } else MUST(err.what && !e.mean.data);
        cel_perturb_free(&p);
    } else MUST(err.what && !p.id);
    cel_mat_free(&coords);
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
              {"sparse", fuzz_sparse}, {"graph", fuzz_graph}, {"slide", fuzz_slide},
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
