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

void suite_moments(void);

void suite_moments(void)
{
    RUN(moments_against_plain);
    RUN(moments_parts);
    RUN(moments_of_a_million_cells);
    RUN(moments_same_bits_any_threads);
    RUN(moments_errors);
}
