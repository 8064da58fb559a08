/* moments: B^T B against plain loops, cut into parts, by label, at a million cells.
 * SPDX-License-Identifier: MIT */
#include "test.h"

#if defined(_OPENMP)
#include <omp.h>
#endif

/* Cells on a ring with random chords: a relation that is symmetric, and one that is not. */
typedef struct sample {
    cel_mat x;
    cel_csr sym, w;
    cel_relations ties[3]; /* the first 1, 2 and 3 relations */
} sample;

static void sample_free(sample *s)
{
    int k;
    cel_mat_free(&s->x);
    cel_csr_free(&s->sym);
    cel_csr_free(&s->w);
    for (k = 0; k < 3; k++) cel_relations_free(&s->ties[k]);
}

static int sample_new(int64_t cells, int64_t genes, sample *s)
{
    int64_t e, count = cells > 1 ? 3 * cells : 0, *row = (int64_t *)malloc((size_t)(2 * count + 1) * sizeof *row);
    cel_rng rng = cel_rng_at(6, 0, 0, 0);
    int ok = row != NULL;
    memset(s, 0, sizeof *s);
    for (e = 0; e < count && ok; e++) {
        row[e] = e % cells;
        row[count + e] = (e % cells + 1 + (e < cells ? 0 : cel_rng_integer(&rng, cells > 51 ? 50 : (uint32_t)cells - 1))) % cells;
    }
    ok = ok && cel_csr_from_edges(cells, cells, count, row, row + count, NULL, &s->w, NULL) == CEL_OK;
    ok = ok && cel_csr_symmetrise(&s->w, &s->sym) == CEL_OK && test_relations(&s->ties[0], cells, NULL, NULL, NULL) &&
         test_relations(&s->ties[1], cells, &s->sym, NULL, NULL) && test_relations(&s->ties[2], cells, &s->sym, &s->w, NULL);
    ok = ok && cel_mat_new(cells, genes, &s->x) == CEL_OK;
    if (ok) cel_rng_normals(&rng, s->x.data, cells * genes);
    free(row);
    if (!CHECK(ok)) sample_free(s);
    return ok;
}

/* Row i of B in double. */
static void plain_row(const sample *s, int64_t relations, int64_t i, double *b)
{
    int64_t n = s->x.cols, r, e, j, col = n;
    int side;
    for (j = 0; j < n; j++) b[j] = (double)s->x.data[i * n + j];
    for (r = 0; r < relations; r++)
        for (side = 0; side < 2; side++) {
            const cel_csr *w = side ? s->ties[2].at[r].wt : s->ties[2].at[r].w;
            if (!w) continue;
            for (j = 0; j < n; j++) b[col + j] = 0;
            for (e = w->start[i]; e < w->start[i + 1]; e++)
                for (j = 0; j < n; j++) b[col + j] += (double)w->value[e] * (double)s->x.data[w->index[e] * n + j];
            col += n;
        }
    b[col] = 0.5;
}

/* Largest difference from the plain sums over the cells with label[i] == which (all where label is NULL). */
static double distance(const sample *s, int64_t relations, const int32_t *label, int32_t which, const cel_moments *m)
{
    int64_t side = m->blocks * m->genes + 1, i, j, k, cells = 0;
    double *sum = (double *)calloc((size_t)(side * side), sizeof *sum), *b = (double *)calloc((size_t)side, sizeof *b);
    double worst = 0;
    if (!CHECK(sum && b)) exit(1);
    for (i = 0; i < s->x.rows; i++) {
        if (label && label[i] != which) continue;
        cells++;
        plain_row(s, relations, i, b);
        for (j = 0; j < side; j++)
            for (k = 0; k < side; k++) sum[j * side + k] += b[j] * b[k];
    }
    for (j = 0; j < side * side; j++) {
        double err = fabs(m->gram[j] - sum[j]);
        worst = err <= worst ? worst : err;
    }
    CHECK(m->cells == cells);
    free(sum);
    free(b);
    return worst;
}

static void moments_against_plain(void)
{
    static const int64_t cells[] = {1, 7, 1024, 5000}, genes[] = {1, 5, 16, 9};
    int c;
    int64_t relations;
    for (c = 0; c < 4; c++)
        for (relations = 1; relations <= 3; relations++) {
            sample s;
            cel_moments m;
            int64_t side, i, j;
            double asymmetry = 0, allowed = (sizeof(cel_real) == 8 ? 1e-13 : 1e-5) * (10 + (double)cells[c]);
            if (!sample_new(cells[c], genes[c], &s)) return;
            OK_OR_RETURN(cel_moments_new(genes[c], &s.ties[relations - 1], &m));
            CHECK(m.blocks == (relations == 3 && cells[c] > 1 ? 4 : relations));
            OK_OR_RETURN(cel_moments_add(&m, &s.ties[relations - 1], s.x, NULL, 0, NULL));
            NEAR(distance(&s, relations, NULL, 0, &m), 0, allowed);
            side = m.blocks * m.genes + 1;
            for (i = 0; i < side; i++)
                for (j = 0; j < i; j++) asymmetry = fmax(asymmetry, fabs(m.gram[i * side + j] - m.gram[j * side + i]));
            NEAR(asymmetry, 0, 0);
            cel_moments_free(&m);
            sample_free(&s);
        }
}

/* Tiles sum to the whole, by label and by list; a tile taken away again leaves the rest. */
static void moments_parts(void)
{
    enum { CELLS = 6000, GENES = 6, LABELS = 5 };
    sample s;
    cel_moments part[LABELS], whole, sum, listed;
    cel_work work;
    int32_t *label = (int32_t *)malloc(CELLS * sizeof *label), *list = (int32_t *)malloc(CELLS * sizeof *list), l;
    int64_t i, count = 0, side = 4 * GENES + 1;
    double allowed = (sizeof(cel_real) == 8 ? 1e-13 : 1e-5) * CELLS, mean[GENES], cross[GENES * GENES], worst = 0;
    memset(&work, 0, sizeof work);
    if (!CHECK(label && list) || !sample_new(CELLS, GENES, &s)) return;
    for (i = 0; i < CELLS; i++) label[i] = (int32_t)(i * 7 / 300 % 6) - 1; /* -1: in no part; label 4: all others */
    for (i = 0; i < 9; i++) label[i] = 3;
    for (l = 0; l < LABELS; l++) OK_OR_RETURN(cel_moments_new(GENES, &s.ties[2], part + l));
    OK_OR_RETURN(cel_moments_new(GENES, &s.ties[2], &whole));
    OK_OR_RETURN(cel_moments_new(GENES, &s.ties[2], &sum));
    OK_OR_RETURN(cel_moments_new(GENES, &s.ties[2], &listed));
    OK_OR_RETURN(cel_moments_add_by_label(part, LABELS, label, &s.ties[2], s.x, &work));
    for (l = 0; l < LABELS; l++) {
        NEAR(distance(&s, 3, label, l, part + l), 0, allowed / 3);
        OK_OR_RETURN(cel_moments_sum(&sum, 1, part + l));
    }
    for (i = 0; i < CELLS; i++)
        if (label[i] < 0) list[count++] = (int32_t)i;
    CHECK(count > 500);
    OK_OR_RETURN(cel_moments_add(&listed, &s.ties[2], s.x, list, count, &work));
    NEAR(distance(&s, 3, label, -1, &listed), 0, allowed / 3);
    OK_OR_RETURN(cel_moments_sum(&sum, 1, &listed));
    OK_OR_RETURN(cel_moments_add(&whole, &s.ties[2], s.x, NULL, 0, &work));
    CHECK(sum.cells == CELLS && whole.cells == CELLS);
    for (i = 0; i < side * side; i++) worst = fmax(worst, fabs(sum.gram[i] - whole.gram[i]));
    NEAR(worst, 0, allowed);
    OK_OR_RETURN(cel_moments_sum(&sum, -1, &whole));
    CHECK(sum.cells == 0);
    for (worst = 0, i = 0; i < side * side; i++) worst = fmax(worst, fabs(sum.gram[i]));
    NEAR(worst, 0, allowed);

    cel_moments_mean(&whole, mean);
    NEAR(mean[2] * CELLS, 2 * whole.gram[(side - 1) * side + 2], 1e-9);
    OK_OR_RETURN(cel_moments_cross(&whole, 3, cross));
    for (i = 0; i < GENES * GENES; i++) NEAR(cross[i], whole.gram[i / GENES * side + 3 * GENES + i % GENES], 0);
    CHECK(cel_moments_cross(&whole, 4, cross) == CEL_ERR_ARG);
    for (l = 0; l < LABELS; l++) cel_moments_free(part + l);
    cel_moments_free(&whole);
    cel_moments_free(&sum);
    cel_moments_free(&listed);
    cel_work_free(&work);
    sample_free(&s);
    free(label);
    free(list);
}

/* A million equal cells, where rounding has the same sign in every sum, and a million random ones. */
static void moments_of_a_million_cells(void)
{
    int64_t cells = test_brief ? 20000 : 1000000, i;
    cel_real row[3] = {(cel_real)0.267261242, (cel_real)0.534522484, (cel_real)0.801783726};
    cel_mat x;
    cel_moments m;
    cel_relations identity;
    double sum[3] = {0, 0, 0};
    cel_rng rng = cel_rng_at(2, 0, 0, 0);
    OK_OR_RETURN(cel_mat_new(cells, 3, &x));
    for (i = 0; i < 3 * cells; i++) x.data[i] = row[i % 3];
    OK_OR_RETURN(cel_relations_new(cells, &identity));
    OK_OR_RETURN(cel_moments_new(3, &identity, &m));
    OK_OR_RETURN(cel_moments_add(&m, &identity, x, NULL, 0, NULL));
    for (i = 0; i < 9; i++)
        NEAR_REL(m.gram[i / 3 * 4 + i % 3], (double)cells * (double)row[i / 3] * (double)row[i % 3], 1e-5);
    for (i = 0; i < 3; i++) NEAR_REL(m.gram[12 + i], 0.5 * (double)cells * (double)row[i], 1e-5);
    cel_moments_free(&m);
    cel_relations_free(&identity);
    for (i = 0; i < 3 * cells; i++) x.data[i] = (cel_real)cel_rng_uniform(&rng);
    for (i = 0; i < cells; i++) {
        sum[0] += (double)x.data[3 * i] * (double)x.data[3 * i];
        sum[1] += (double)x.data[3 * i] * (double)x.data[3 * i + 1];
        sum[2] += (double)x.data[3 * i + 2] / 2;
    }
    OK_OR_RETURN(cel_relations_new(cells, &identity));
    OK_OR_RETURN(cel_moments_new(3, &identity, &m));
    OK_OR_RETURN(cel_moments_add(&m, &identity, x, NULL, 0, NULL));
    NEAR_REL(m.gram[0], sum[0], 1e-6);
    NEAR_REL(m.gram[4], sum[1], 1e-6);
    NEAR_REL(m.gram[14], sum[2], 1e-6);
    CHECK(m.cells == cells);
    cel_moments_free(&m);
    cel_relations_free(&identity);
    cel_mat_free(&x);
}

/* Few cells, whose products the threads share, and many, of which each takes its own. */
static void moments_same_bits_any_threads(void)
{
#if defined(_OPENMP)
    static const int64_t cells[] = {5000, 27000};
    int before = omp_get_max_threads(), k;
    for (k = 0; k < 2; k++) {
        sample s;
        cel_moments a, b;
        if (!sample_new(cells[k], 40, &s)) return;
        OK_OR_RETURN(cel_moments_new(40, &s.ties[2], &a));
        OK_OR_RETURN(cel_moments_new(40, &s.ties[2], &b));
        omp_set_num_threads(1);
        CHECK(cel_moments_add(&a, &s.ties[2], s.x, NULL, 0, NULL) == CEL_OK);
        omp_set_num_threads(3);
        CHECK(cel_moments_add(&b, &s.ties[2], s.x, NULL, 0, NULL) == CEL_OK);
        omp_set_num_threads(before);
        CHECK(a.cells == cells[k] && b.cells == cells[k]);
        CHECK(memcmp(a.gram, b.gram, 161 * 161 * sizeof(double)) == 0);
        cel_moments_free(&a);
        cel_moments_free(&b);
        sample_free(&s);
    }
#else
    SKIP("built without OpenMP");
#endif
}

static void moments_errors(void)
{
    sample s;
    cel_moments m, other;
    int32_t list[2] = {3, 20}, label[20];
    int i;
    if (!sample_new(20, 4, &s)) return;
    CHECK(cel_moments_new(0, &s.ties[0], &m) == CEL_ERR_ARG && !m.gram);
    OK_OR_RETURN(cel_moments_new(4, &s.ties[1], &m));
    OK_OR_RETURN(cel_moments_new(4, &s.ties[2], &other));
    CHECK(cel_moments_add(&m, &s.ties[2], s.x, NULL, 0, NULL) == CEL_ERR_SHAPE);
    CHECK(cel_moments_add(&m, &s.ties[1], cel_mat_block(s.x, 0, 0, 19, 4), NULL, 0, NULL) == CEL_ERR_SHAPE);
    CHECK(cel_moments_add(&m, &s.ties[1], cel_mat_block(s.x, 0, 0, 20, 3), NULL, 0, NULL) == CEL_ERR_SHAPE);
    CHECK(cel_moments_add(&m, &s.ties[1], s.x, list, 2, NULL) == CEL_ERR_ARG);
    CHECK(cel_moments_sum(&m, 1, &other) == CEL_ERR_SHAPE);
    for (i = 0; i < 20; i++) label[i] = i / 19;
    CHECK(cel_moments_add_by_label(&m, 1, label, &s.ties[1], s.x, NULL) == CEL_ERR_ARG);
    for (i = 0; i < 81; i++) CHECK(!(fabs(m.gram[i]) > 0));
    CHECK(m.cells == 0);
    CHECK(cel_moments_add(&m, &s.ties[1], s.x, list, 0, NULL) == CEL_OK && m.cells == 0); /* an empty list */
    cel_moments_free(&m);
    cel_moments_free(&other);
    sample_free(&s);
}

/* ---- the moments file ---- */

/* Moments of a slide of 60 cells and 3 genes in 4 tiles, with all that a file holds. */
enum { HELD_CELLS = 60, HELD_GENES = 3, HELD_TILES = 4 };
typedef struct held {
    sample s;
    cel_moments part[HELD_TILES], shuffled[HELD_TILES];
    int32_t slide[HELD_TILES], tile[HELD_TILES];
    double centre[HELD_GENES], scale[HELD_GENES], size[HELD_GENES];
    int64_t contacts[2], cells, tiles, span[3];
    char *gene[HELD_GENES], *relation[2], *name[1];
    cel_moments_record r;
} held;

static void held_free(held *h)
{
    int p;
    for (p = 0; p < HELD_TILES; p++) {
        cel_moments_free(h->part + p);
        cel_moments_free(h->shuffled + p);
    }
    sample_free(&h->s);
}

/* Of the cells first .. last - 1 of the slide, which go to tiles in turn. */
static int held_new(const char *slide, int64_t first, int64_t last, held *h)
{
    static const char *const gene[] = {"A", "B", "C"}, *const relation[] = {"intra", "inter"};
    int32_t label[HELD_CELLS];
    int64_t i, p;
    int ok;
    memset(h, 0, sizeof *h);
    if (!sample_new(HELD_CELLS, HELD_GENES, &h->s)) return 0;
    for (i = 0; i < HELD_CELLS; i++) label[i] = i < first || i >= last ? -1 : (int32_t)(i % HELD_TILES);
    for (p = 0, ok = 1; p < HELD_TILES; p++) {
        ok = ok && cel_moments_new(HELD_GENES, &h->s.ties[1], h->part + p) == CEL_OK &&
             cel_moments_new(HELD_GENES, &h->s.ties[1], h->shuffled + p) == CEL_OK;
        h->tile[p] = (int32_t)p;
    }
    ok = ok && cel_moments_add_by_label(h->part, HELD_TILES, label, &h->s.ties[1], h->s.x, NULL) == CEL_OK &&
         cel_moments_add_by_label(h->shuffled, HELD_TILES, label, &h->s.ties[1], h->s.x, NULL) == CEL_OK;
    for (p = 0; p < HELD_GENES; p++) {
        h->gene[p] = (char *)gene[p];
        h->centre[p] = 0.5 + (double)p;
        h->scale[p] = 1 + (double)p;
        h->size[p] = 0.577;
    }
    h->relation[0] = (char *)relation[0];
    h->relation[1] = (char *)relation[1];
    h->name[0] = (char *)slide;
    h->contacts[1] = h->s.sym.start[last] - h->s.sym.start[first];
    h->cells = HELD_CELLS;
    h->tiles = 2;
    h->span[1] = first;
    h->span[2] = last;
    h->r.about.model.genes = h->r.about.scaling.genes = HELD_GENES;
    h->r.about.model.relations = 2;
    h->r.about.gene = h->gene;
    h->r.about.relation = h->relation;
    h->r.about.slide = h->r.about.group = h->name;
    h->r.about.slides = h->r.about.scaling.groups = 1;
    h->r.about.hops = 1;
    h->r.about.graph.k = 6;
    h->r.about.scaling.log = 1;
    h->r.about.scaling.target = 150;
    h->r.about.scaling.centre = h->centre;
    h->r.about.scaling.scale = h->scale;
    h->r.about.scaling.size = h->size;
    h->r.parts = HELD_TILES;
    h->r.part = h->part;
    h->r.shuffled = h->shuffled;
    h->r.slide = h->slide;
    h->r.tile = h->tile;
    h->r.contacts = h->contacts;
    h->r.slide_cells = &h->cells;
    h->r.slide_tiles = &h->tiles;
    h->r.spans = 1;
    h->r.span = h->span;
    if (!CHECK(ok)) held_free(h);
    return ok;
}

static int same_doubles(const double *a, const double *b, int64_t count)
{
    return (!a && !b) || (a && b && memcmp(a, b, (size_t)count * sizeof *a) == 0);
}

/* 1 where two records hold the same. */
static int same_moments(const cel_moments_record *a, const cel_moments_record *b)
{
    const cel_model_record *x = &a->about, *y = &b->about;
    int64_t p, k, side;
    if (x->model.genes != y->model.genes || x->model.relations != y->model.relations || x->slides != y->slides ||
        x->types != y->types || x->scaling.groups != y->scaling.groups || x->hops != y->hops ||
        x->weights != y->weights || x->graph.k != y->graph.k || x->scaling.kind != y->scaling.kind ||
        x->scaling.log != y->scaling.log || !same_doubles(&x->scaling.target, &y->scaling.target, 1) ||
        !same_doubles(&x->graph.radius, &y->graph.radius, 1) || !same_doubles(&x->graph.inner, &y->graph.inner, 1) ||
        !same_doubles(&x->graph.decay, &y->graph.decay, 1) || a->unnamed != b->unnamed || a->parts != b->parts ||
        a->spans != b->spans || !a->shuffled != !b->shuffled) return 0;
    for (k = 0; k < x->model.genes; k++)
        if (strcmp(x->gene[k], y->gene[k])) return 0;
    for (k = 0; k < x->model.relations; k++)
        if (strcmp(x->relation[k], y->relation[k]) || a->contacts[k] != b->contacts[k]) return 0;
    for (k = 0; k < x->slides; k++)
        if (strcmp(x->slide[k], y->slide[k]) || a->slide_cells[k] != b->slide_cells[k] ||
            a->slide_tiles[k] != b->slide_tiles[k]) return 0;
    for (k = 0; k < x->scaling.groups; k++)
        if (strcmp(x->group[k], y->group[k])) return 0;
    if (memcmp(a->span, b->span, (size_t)a->spans * 3 * sizeof *a->span) ||
        !same_doubles(x->scaling.centre, y->scaling.centre, x->scaling.groups * x->model.genes) ||
        !same_doubles(x->scaling.scale, y->scaling.scale, x->model.genes) ||
        !same_doubles(x->scaling.size, y->scaling.size, x->model.genes)) return 0;
    for (p = 0; p < a->parts; p++) {
        side = a->part[p].blocks * a->part[p].genes + 1;
        if (a->slide[p] != b->slide[p] || a->tile[p] != b->tile[p] || a->part[p].cells != b->part[p].cells ||
            a->part[p].blocks != b->part[p].blocks || !same_doubles(a->part[p].gram, b->part[p].gram, side * side) ||
            (a->shuffled && !same_doubles(a->shuffled[p].gram, b->shuffled[p].gram, side * side))) return 0;
    }
    return 1;
}

/* The written bytes, in memory; they are the caller's to free. */
static unsigned char *held_bytes(const held *h, const char *path, size_t *size)
{
    cel_file file;
    cel_error err;
    unsigned char *out;
    if (!CHECK(cel_moments_write(path, &h->r, &err) == CEL_OK) || !CHECK(cel_file_open(path, 0, &file, &err) == CEL_OK))
        return NULL;
    out = (unsigned char *)malloc(file.size);
    if (out) memcpy(out, file.bytes, file.size);
    *size = file.size;
    cel_file_close(&file);
    return out;
}

static void put_bytes(const char *path, const unsigned char *bytes, size_t size)
{
    FILE *f = fopen(path, "wb");
    CHECK(f && fwrite(bytes, 1, size, f) == size && fclose(f) == 0);
}

static void moments_file(void)
{
    held h;
    cel_moments_record r;
    cel_model_record model;
    cel_error err;
    char path[600];
    int p;
    snprintf(path, sizeof path, "%s/moments.npz", test_tmp());
    if (!held_new("one", 0, HELD_CELLS, &h)) return;
    OK_OR_RETURN(cel_moments_write(path, &h.r, &err));
    if (!CHECK(cel_moments_read(path, 0, &r, &err) == CEL_OK)) printf("  %s\n", err.what);
    CHECK(same_moments(&h.r, &r) && r.real == (int)sizeof(cel_real) && !r.about.note);
    cel_moments_record_free(&r);
    CHECK(!r.part && cel_model_read(path, &model, &err) == CEL_ERR_FORMAT);
    h.r.shuffled = NULL; /* and without what may be absent */
    h.r.unnamed = 1;
    h.r.about.note = (char *)"made for a test";
    memset(&h.r.about.scaling, 0, sizeof h.r.about.scaling);
    h.r.about.group = NULL;
    OK_OR_RETURN(cel_moments_write(path, &h.r, &err));
    OK_OR_RETURN(cel_moments_read(path, 0, &r, &err));
    CHECK(same_moments(&h.r, &r) && !r.shuffled && !strcmp(r.about.note, "made for a test"));
    cel_moments_record_free(&r);
    h.r.slide[2] = 1;
    CHECK(cel_moments_write(path, &h.r, &err) == CEL_ERR_ARG);
    h.r.slide[2] = 0;
    h.span[2]++;
    CHECK(cel_moments_write(path, &h.r, &err) == CEL_ERR_ARG && err.what);
    h.span[2]--;
    h.r.about.scaling.centre = h.centre; /* of no genes, then without a scale */
    h.r.about.scaling.scale = h.scale;
    h.r.about.group = h.name;
    h.r.about.scaling.groups = 1;
    CHECK(cel_moments_write(path, &h.r, &err) == CEL_ERR_ARG && strstr(err.what, "scaling"));
    h.r.about.scaling.genes = HELD_GENES;
    h.r.about.scaling.scale = NULL;
    CHECK(cel_moments_write(path, &h.r, &err) == CEL_ERR_ARG && strstr(err.what, "scaling"));
    CHECK(cel_moments_merge(&h.r, &h.r, &err) == CEL_ERR_ARG && strstr(err.what, "scaling"));
    memset(&h.r.about.scaling, 0, sizeof h.r.about.scaling);
    for (p = 0; p < HELD_TILES; p++) h.part[p].genes = 30000; /* a file longer than an archive can be: before any work */
    h.r.about.model.genes = 30000;
    CHECK(cel_moments_write(path, &h.r, &err) == CEL_ERR_ARG && strstr(err.what, "4 GiB"));
    held_free(&h);
}

/* Every byte of a file with one of its bits turned and with all of them, and every length: refused, or the same. */
static void moments_file_damaged(void)
{
    held h;
    cel_moments_record r;
    cel_error err;
    unsigned char *bytes;
    size_t size, i, k, step = test_brief ? 37 : 1, refused = 0, same = 0;
    char path[600], other[600];
    snprintf(path, sizeof path, "%s/whole.npz", test_tmp());
    snprintf(other, sizeof other, "%s/damaged.npz", test_tmp());
    if (!held_new("one", 0, HELD_CELLS, &h) || (bytes = held_bytes(&h, path, &size)) == NULL) return;
    for (i = 0; i < size; i += step)
        for (k = 0; k < 2; k++) {
            const unsigned char change = (unsigned char)(k ? 255 : 1 << i % 8);
            bytes[i] ^= change;
            put_bytes(other, bytes, size);
            bytes[i] ^= change;
            if (cel_moments_read(other, 0, &r, &err) == CEL_OK) {
                same++;
                CHECK(same_moments(&h.r, &r));
            } else {
                refused++;
                CHECK(err.what && err.what[0] && !r.part && !r.owned);
            }
            cel_moments_record_free(&r);
        }
    CHECK(refused > same && same > 0); /* what numpy would not look at either: dates, flags of local headers */
    for (i = 0; i < size; i += step) {
        put_bytes(other, bytes, i);
        CHECK(cel_moments_read(other, 0, &r, &err) != CEL_OK && err.what && !r.part);
    }
    free(bytes);
    held_free(&h);
}

/* A member renumbered so that its CRC fits: a format of tomorrow. */
static void moments_file_of_another_version(void)
{
    const int64_t shape = 3;
    const double number[3] = {2, sizeof(cel_real), 0};
    cel_npz_member member;
    cel_moments_record r;
    cel_error err;
    char path[600];
    snprintf(path, sizeof path, "%s/tomorrow.npz", test_tmp());
    member.name = "celcomen_moments";
    member.array = cel_npy_describe('f', 8, 1, &shape, number);
    OK_OR_RETURN(cel_npz_write(path, &member, 1, &err));
    CHECK(cel_moments_read(path, 0, &r, &err) == CEL_ERR_UNSUPPORTED && strstr(err.what, "version"));
}

static uint32_t crc_of(uint32_t crc, const void *data, size_t size)
{
    const unsigned char *p = (const unsigned char *)data;
    int k;
    for (crc = ~crc; size--; p++)
        for (crc ^= *p, k = 0; k < 8; k++) crc = crc >> 1 ^ (crc & 1 ? 0xEDB88320u : 0);
    return ~crc;
}

/* Reads the file of h with its arrays of the names in `without` left out, one of `kind` put there if it has a name, and
 * a checksum that fits. */
static cel_status read_forged(const held *h, int bare, const char *without, const char *name, char kind, int dims,
                              const int64_t *shape, const void *data)
{
    static char names[32][64];
    cel_npz_member member[32];
    cel_moments_record r;
    cel_npz z;
    cel_error err;
    const int64_t one = 1;
    int64_t k, count = 0, sum = 0;
    size_t size;
    char path[600];
    cel_status status;
    unsigned char *bytes;
    snprintf(path, sizeof path, "%s/forged.npz", test_tmp());
    bytes = held_bytes(h, path, &size);
    if (!CHECK(bytes && cel_npz_parse(bytes, size, &z, NULL) == CEL_OK)) return CEL_OK;
    for (k = 0; k < z.count; k++) {
        (void)cel_npz_name(&z, k, names[count], sizeof names[count]);
        if (strstr(without, names[count]) || !strcmp(names[count], "checksum")) continue;
        member[count].name = names[count];
        CHECK(cel_npz_get(&z, names[count], &member[count].array, NULL) == CEL_OK);
        count++;
    }
    if (name) {
        member[count].name = name;
        member[count++].array = cel_npy_describe(kind, 8, dims, shape, data);
    }
    for (k = 0; k < count; k++)
        sum = crc_of(crc_of((uint32_t)sum, member[k].name, strlen(member[k].name)), member[k].array.data,
                     (size_t)(member[k].array.count * member[k].array.bytes));
    member[count].name = "checksum";
    member[count++].array = cel_npy_describe('i', 8, 1, &one, &sum);
    CHECK(cel_npz_write(path, member, count, NULL) == CEL_OK);
    status = cel_moments_read(path, bare, &r, &err);
    CHECK(status ? err.what && err.what[0] && !r.owned : r.about.model.genes == HELD_GENES);
    cel_moments_record_free(&r);
    cel_npz_free(&z);
    free(bytes);
    return status;
}

/* Files whose checksum is right and whose arrays are not. */
static void moments_file_forged(void)
{
    static const int64_t none[3] = {2, 0, 0}, figures = 12, span[2] = {1, 3}, one = 1;
    static const int64_t spans[][3] = {{0, 0, HELD_CELLS + 1}, {0, 5, 5}, {0, -1, 9}, {0, 9, 3}, {1, 0, 9},
                                       {0, INT64_MIN, INT64_MAX}};
    static const int64_t cells[] = {-1, INT64_MAX, INT64_MIN, HELD_CELLS - 1};
    double number[12] = {1, 1, 0, 6, 0, 0, 0, HELD_GENES, 1, 0, 1, 150};
    held h;
    size_t k;
    int bare;
    if (!held_new("one", 0, HELD_CELLS, &h)) return;
    for (bare = 0; bare < 2; bare++) {
        CHECK(read_forged(&h, bare, "", NULL, 0, 0, NULL, NULL) == CEL_OK);
        CHECK(read_forged(&h, bare, "celcomen_model", "celcomen_model", 'f', 1, &figures, number) == CEL_OK);
        CHECK(read_forged(&h, bare, "genes centre scale size", "se", 'f', 3, none, number) == CEL_ERR_FORMAT);
        number[7] = 0; /* a scaling of no genes */
        CHECK(read_forged(&h, bare, "celcomen_model", "celcomen_model", 'f', 1, &figures, number) == CEL_ERR_FORMAT);
        number[7] = HELD_GENES;
        CHECK(read_forged(&h, bare, "scale", NULL, 0, 0, NULL, NULL) == CEL_ERR_FORMAT);
        CHECK(read_forged(&h, bare, "slide_tiles", NULL, 0, 0, NULL, NULL) == CEL_ERR_FORMAT);
        for (k = 0; k < sizeof spans / sizeof *spans; k++)
            CHECK(read_forged(&h, bare, "spans", "spans", 'i', 2, span, spans[k]) == CEL_ERR_FORMAT);
        for (k = 0; k < sizeof cells / sizeof *cells; k++)
            CHECK(read_forged(&h, bare, "slide_cells", "slide_cells", 'i', 1, &one, cells + k) == CEL_ERR_FORMAT);
    }
    held_free(&h);
}

/* What was read of a file that `h` is written to. */
static int held_read(const held *h, cel_moments_record *r)
{
    char path[600];
    snprintf(path, sizeof path, "%s/merge.npz", test_tmp());
    return CHECK(cel_moments_write(path, &h->r, NULL) == CEL_OK && cel_moments_read(path, 0, r, NULL) == CEL_OK);
}

/* Bands of a slide add up to it; another slide stands behind it; the order of the files does not matter. */
static void moments_merged(void)
{
    static const int64_t cut[][2] = {{0, 20}, {40, 60}, {20, 40}};
    const double allowed = sizeof(cel_real) == 8 ? 1e-12 : 1e-4;
    held whole, band, second;
    cel_moments_record r = CEL_ZERO, from;
    cel_error err;
    int64_t p, i, slide, k;
    if (!held_new("one", 0, HELD_CELLS, &whole) || !held_new("two", 0, HELD_CELLS, &second)) return;
    for (k = 0; k < 3; k++) {
        if (!held_new("one", cut[k][0], cut[k][1], &band) || !held_read(&band, k ? &from : &r)) return;
        if (k) OK_OR_RETURN(cel_moments_merge(&r, &from, &err));
        if (k == 1) CHECK(r.spans == 2 && cel_moments_missing(&r, &slide) == 20 && slide == 0);
        if (k == 1) { /* the same band once more: nothing is changed */
            CHECK(cel_moments_merge(&r, &from, &err) == CEL_ERR_DATA && err.cell == 0 && strstr(err.what, "twice"));
            CHECK(r.spans == 2 && r.part[0].cells == 10);
        }
        if (k) cel_moments_record_free(&from);
        held_free(&band);
    }
    CHECK(r.spans == 1 && r.span[1] == 0 && r.span[2] == HELD_CELLS && cel_moments_missing(&r, &slide) == 0);
    CHECK(r.parts == HELD_TILES && r.contacts[1] == whole.contacts[1] && r.about.slides == 1);
    OK_OR_RETURN(cel_moments_merge(&r, &second.r, &err));
    CHECK(r.parts == 2 * HELD_TILES && r.about.slides == 2 && !strcmp(r.about.slide[1], "two") && r.spans == 2);
    CHECK(r.about.scaling.groups == 2 && !strcmp(r.about.group[1], "two") && r.slide[HELD_TILES] == 1);
    for (p = 0; p < r.parts; p++)
        for (i = 0; i < 49; i++) {
            NEAR(r.part[p].gram[i], whole.part[p % HELD_TILES].gram[i], allowed);
            NEAR(r.shuffled[p].gram[i], whole.part[p % HELD_TILES].gram[i], allowed);
        }
    NEAR(r.about.scaling.centre[4], whole.centre[1], 0);
    cel_moments_record_free(&r);
    held_free(&whole);
    held_free(&second);
}

/* What was prepared otherwise is named. */
static void refuse_merge(const held *a, const held *b, const char *word, int64_t gene)
{
    cel_moments_record r, copy;
    cel_error err;
    if (!held_read(a, &r) || !held_read(a, &copy)) return;
    CHECK(cel_moments_merge(&r, &b->r, &err) == CEL_ERR_DATA && err.gene == gene && (gene < 0 || err.offset == -1));
    if (!CHECK(strstr(err.what, word))) printf("  '%s' is not '%s'\n", err.what, word);
    CHECK(same_moments(&r, &copy));
    cel_moments_record_free(&r);
    cel_moments_record_free(&copy);
}

static void moments_not_merged(void)
{
    held a, b;
    cel_model_record *m = &b.r.about;
    if (!held_new("one", 0, 30, &a) || !held_new("one", 30, HELD_CELLS, &b)) return;
    b.gene[1] = (char *)"X";
    refuse_merge(&a, &b, "other genes", 1);
    b.gene[1] = a.gene[1];
    b.relation[1] = (char *)"outer";
    refuse_merge(&a, &b, "other relations", -1);
    b.relation[1] = a.relation[1];
    b.scale[2] *= 1.0001;
    refuse_merge(&a, &b, "scale", 2);
    b.scale[2] = a.scale[2] * (1 + 1e-9); /* as another processor rounds */
    b.size[0] = -b.size[0];
    refuse_merge(&a, &b, "library size", 0);
    b.size[0] = a.size[0];
    m->scaling.size = NULL;
    refuse_merge(&a, &b, "library size", -1);
    m->scaling.size = b.size;
    m->scaling.target++;
    refuse_merge(&a, &b, "target", -1);
    m->scaling.target--;
    m->scaling.kind = CEL_KIND_LOGNORM;
    refuse_merge(&a, &b, "kind of numbers", -1);
    m->scaling.kind = CEL_KIND_COUNTS;
    m->graph.k = 5;
    refuse_merge(&a, &b, "number of neighbours", -1);
    m->graph.k = 6;
    m->weights = CEL_WEIGHTS_GCN;
    refuse_merge(&a, &b, "weights", -1);
    m->weights = CEL_WEIGHTS_MEAN;
    m->note = (char *)"edges";
    refuse_merge(&a, &b, "note", -1);
    m->note = NULL;
    b.r.real = 12 - (int)sizeof(cel_real);
    refuse_merge(&a, &b, "number type", -1);
    b.r.real = 0;
    b.r.shuffled = NULL;
    refuse_merge(&a, &b, "shuffled", -1);
    b.r.shuffled = b.shuffled;
    b.cells++;
    refuse_merge(&a, &b, "number of cells", -1);
    b.cells--;
    b.tiles++;
    refuse_merge(&a, &b, "tiles a side", -1);
    b.tiles--;
    b.centre[1] += 0.01;
    refuse_merge(&a, &b, "another mean", 1);
    b.centre[1] = a.centre[1];
    b.span[1]--;
    refuse_merge(&a, &b, "already", -1);
    held_free(&a);
    held_free(&b);
}

void suite_moments(void);

void suite_moments(void)
{
    RUN(moments_against_plain);
    RUN(moments_parts);
    RUN(moments_of_a_million_cells);
    RUN(moments_same_bits_any_threads);
    RUN(moments_errors);
    RUN(moments_file);
    RUN(moments_file_damaged);
    RUN(moments_file_of_another_version);
    RUN(moments_file_forged);
    RUN(moments_merged);
    RUN(moments_not_merged);
}
