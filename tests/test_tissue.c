/* Expression and neighbour graphs against plain formulas and brute force. SPDX-License-Identifier: MIT */
#include "test.h"

#if defined(_OPENMP)
#include <omp.h>
#endif

void suite_tissue(void);

static const double eps = sizeof(cel_real) == 8 ? 1e-14 : 1e-6;

static cel_mat matrix(int64_t rows, int64_t cols)
{
    cel_mat m;
    CHECK(cel_mat_new(rows, cols, &m) == CEL_OK);
    return m;
}

/* Counts with many zeros, one gene that never varies, one that is always 0. */
static cel_mat counts(uint64_t seed, int64_t cells, int64_t genes)
{
    cel_mat x = matrix(cells, genes);
    cel_rng rng = cel_rng_at(seed, 2, 0, 0);
    int64_t i, j;
    for (i = 0; i < cells; i++)
        for (j = 0; j < genes; j++) {
            double u = cel_rng_uniform(&rng), top = (double)(j % 11) * 3 + 1;
            x.data[i * genes + j] = j == 2 ? 0 : (cel_real)floor(u * u * u * top + (u > 0.9 ? (double)(j % 5) : 0));
        }
    return x;
}

static void scale_and_log(void)
{
    static const cel_slide_options options[] = {{0, 0}, {1e6, 0}, {500, 1}, {-1, 0}};
    int o;
    for (o = -1; o < 4; o++) {
        cel_mat x = counts(1, 30, 20), y = matrix(30, 20);
        int64_t i, j;
        for (j = 0; j < 20; j++) x.data[7 * 20 + j] = 0;
        cel_mat_copy(x, y);
        OK_OR_RETURN(cel_slide_scale(y, o < 0 ? NULL : options + o, NULL));
        for (i = 0; i < 30; i++) {
            double total = 0, target = o < 0 || o == 0 ? 1e4 : options[o].target_sum;
            for (j = 0; j < 20; j++) total += (double)x.data[i * 20 + j];
            for (j = 0; j < 20; j++) {
                double v = (double)x.data[i * 20 + j];
                if (target > 0 && total > 0) v = v / total * target;
                if (o != 2) v = log(1 + v);
                NEAR(y.data[i * 20 + j], v, 4 * eps * (1 + v));
            }
        }
        cel_mat_free(&x);
        cel_mat_free(&y);
    }
}

static void unit_rows(void)
{
    cel_mat x = counts(2, 25, 12), y = matrix(25, 12);
    uint8_t keep[25];
    int64_t zeros = -1, i, j, kept;
    int32_t label[25];
    cel_error err;
    for (i = 0; i < 25; i++) {
        label[i] = (int32_t)i;
        x.data[i * 12 + 1] = -3; /* prepared expression may be negative */
        for (j = 0; j < 12 && i % 8 == 5; j++) x.data[i * 12 + j] = 0;
    }
    cel_mat_copy(x, y);
    OK_OR_RETURN(cel_slide_unit(y, keep, &zeros, &err));
    CHECK(zeros == 3);
    for (i = 0; i < 25; i++) {
        double length = 0;
        for (j = 0; j < 12; j++) length += (double)x.data[i * 12 + j] * (double)x.data[i * 12 + j];
        CHECK(keep[i] == (i % 8 != 5));
        for (j = 0; j < 12; j++)
            NEAR(y.data[i * 12 + j], length > 0 ? (double)x.data[i * 12 + j] / sqrt(length) : 0, eps);
    }
    kept = cel_slide_keep(keep, 25, label, sizeof *label);
    CHECK(kept == 22 && cel_slide_keep(keep, 25, y.data, 12 * sizeof(cel_real)) == 22);
    y.rows = kept;
    CHECK(label[4] == 4 && label[5] == 6 && label[21] == 24);
    for (i = 0; i < kept; i++) NEAR(cel_vec_nrm2(y.data + i * 12, 12), 1, eps);
    NEAR(y.data[5 * 12 + 1] * cel_vec_nrm2(x.data + 6 * 12, 12), -3, 10 * eps);
    CHECK(cel_slide_unit(x, NULL, NULL, &err) == CEL_ERR_DATA && err.cell == 5 && err.status == CEL_ERR_DATA);
    cel_mat_free(&x);
    cel_mat_free(&y);
}

static void bad_values(void)
{
    static const double bad[] = {-1, (double)NAN, (double)INFINITY, -(double)INFINITY};
    int b;
    for (b = 0; b < 4; b++) {
        cel_mat x = counts(3, 10, 6), y = matrix(10, 6);
        int32_t index[3];
        cel_error err;
        x.data[4 * 6 + 5] = x.data[4 * 6 + 3] = x.data[8 * 6] = (cel_real)bad[b];
        cel_mat_copy(x, y);
        CHECK(cel_slide_scale(x, NULL, &err) == CEL_ERR_DATA && err.cell == 4 && err.gene == 3 && err.offset == -1);
        CHECK(cel_slide_scale(x, NULL, NULL) == CEL_ERR_DATA);
        CHECK(!memcmp(x.data, y.data, 60 * sizeof(cel_real)));
        CHECK(cel_slide_variable(x, 3, index, NULL, &err) == CEL_ERR_DATA && err.cell == 4 && err.gene == 3);
        CHECK(cel_slide_unit(x, NULL, NULL, &err) == (b ? CEL_ERR_DATA : CEL_OK));
        if (b) CHECK(err.cell == 4 && err.gene == 3 && !memcmp(x.data, y.data, 60 * sizeof(cel_real)));
        cel_mat_free(&x);
        cel_mat_free(&y);
    }
}

/* The definition, gene by gene, with two passes over plain arrays. */
static void variable_twin(cel_mat x, double *score)
{
    int64_t n = x.cols, i, j, k;
    double *mean = (double *)calloc((size_t)n * 2, sizeof(double)), *disp = mean + n, low = HUGE_VAL, high = -HUGE_VAL;
    int *bin = (int *)calloc((size_t)n, sizeof(int));
    for (j = 0; j < n; j++) {
        double m = 0, v = 0;
        for (i = 0; i < x.rows; i++) m += exp((double)x.data[i * x.stride + j]) - 1;
        m /= (double)x.rows;
        for (i = 0; i < x.rows; i++) v += pow(exp((double)x.data[i * x.stride + j]) - 1 - m, 2);
        v /= (double)(x.rows - 1);
        if (m <= 0) m = 1e-12;
        disp[j] = v > 1e-20 ? log(v / m) : -HUGE_VAL;
        mean[j] = log(1 + m);
        if (mean[j] < low) low = mean[j];
        if (mean[j] > high) high = mean[j];
    }
    for (j = 0; j < n; j++) {
        double at = (mean[j] - low) / (high - low) * 20;
        bin[j] = (int)ceil(at) - 1;
        if (bin[j] < 0) bin[j] = 0;
        if (bin[j] > 19) bin[j] = 19;
    }
    for (j = 0; j < n; j++) {
        double sum = 0, square = 0, count = 0;
        if (disp[j] < -1e300) {
            score[j] = disp[j];
            continue;
        }
        for (k = 0; k < n; k++)
            if (bin[k] == bin[j] && disp[k] > -1e300) sum += disp[k], count++;
        for (k = 0; k < n; k++)
            if (bin[k] == bin[j] && disp[k] > -1e300) square += pow(disp[k] - sum / count, 2);
        score[j] = count < 2 ? 1 : (disp[j] - sum / count) / sqrt(square / (count - 1));
    }
    free(mean);
    free(bin);
}

static void variable_genes(void)
{
    enum { CELLS = 150, GENES = 137, TOP = 40 };
    cel_mat x = counts(4, CELLS, GENES), y;
    double score[GENES], twin[GENES], lowest = HUGE_VAL;
    int32_t index[GENES];
    int64_t i, j, in = 0;
    OK_OR_RETURN(cel_slide_scale(x, NULL, NULL));
    for (i = 0; i < CELLS; i++) x.data[i * GENES + 5] = (cel_real)0.3;
    variable_twin(x, twin);
    OK_OR_RETURN(cel_slide_variable(x, TOP, index, score, NULL));
    for (j = 0; j < GENES; j++) {
        if (j == 2 || j == 5 || twin[j] < -1e300) CHECK(score[j] < -1e300 && twin[j] < -1e300);
        else NEAR(score[j], twin[j], 1e-8);
    }
    for (j = 0; j < TOP; j++) {
        CHECK(j == 0 || index[j] > index[j - 1]);
        if (score[index[j]] < lowest) lowest = score[index[j]];
    }
    for (j = 0; j < GENES; j++) in += score[j] >= lowest;
    CHECK(in == TOP);
    y = matrix(CELLS, GENES);
    cel_mat_copy(x, y);
    OK_OR_RETURN(cel_slide_columns(&y, index, TOP));
    CHECK(y.cols == TOP && y.stride == TOP && y.rows == CELLS);
    for (i = 0; i < CELLS; i++)
        for (j = 0; j < TOP; j++) NEAR(y.data[i * TOP + j], x.data[i * GENES + index[j]], 0);
    OK_OR_RETURN(cel_slide_variable(x, GENES, index, NULL, NULL));
    for (j = 0; j < GENES; j++) CHECK(index[j] == j);
    cel_mat_free(&x);
    cel_mat_free(&y);
}

static void variable_errors(void)
{
    cel_mat x = counts(5, 6, 4), one, view;
    int32_t index[4], wrong[2] = {2, 1}, right[2] = {0, 3};
    cel_error err;
    CHECK(cel_slide_variable(x, 0, index, NULL, &err) == CEL_ERR_ARG && err.status == CEL_ERR_ARG);
    CHECK(cel_slide_variable(x, 5, index, NULL, NULL) == CEL_ERR_ARG);
    one = cel_mat_block(x, 0, 0, 1, 4);
    CHECK(cel_slide_variable(one, 2, index, NULL, NULL) == CEL_ERR_ARG);
    CHECK(cel_slide_columns(&x, wrong, 2) == CEL_ERR_ARG && x.cols == 4);
    wrong[1] = 4;
    CHECK(cel_slide_columns(&x, wrong, 2) == CEL_ERR_ARG && x.cols == 4);
    view = cel_mat_block(x, 0, 0, 6, 3);
    right[1] = 2;
    OK_OR_RETURN(cel_slide_columns(&view, right, 2));
    CHECK(view.stride == 4 && view.cols == 2);
    cel_mat_free(&x);
}

/* ---- graphs ---- */

enum { RANDOM, GRID, SAME, LINE, CLUSTERS, HALF_SAME, KINDS };

static cel_mat places(int kind, uint64_t seed, int64_t cells, int64_t dims)
{
    cel_mat c = matrix(cells, dims);
    cel_rng rng = cel_rng_at(seed, 3, 0, 0);
    int64_t i, d;
    for (i = 0; i < cells; i++) {
        double centre = floor(cel_rng_uniform(&rng) * 3), t = cel_rng_uniform(&rng);
        for (d = 0; d < dims; d++) {
            double u = cel_rng_uniform(&rng), v = u;
            if (kind == GRID) v = floor(u * 9);
            if (kind == SAME) v = 3;
            if (kind == LINE) v = t * (double)(d + 1);
            if (kind == CLUSTERS) v = centre * 1000 + u * u * u * 1e-3;
            if (kind == HALF_SAME && i % 2) v = 0.5;
            c.data[i * dims + d] = (cel_real)v;
        }
    }
    return c;
}

static double distance2(cel_mat c, int64_t i, int64_t j)
{
    double s = 0;
    int64_t d;
    for (d = 0; d < c.cols; d++) {
        double t = (double)c.data[i * c.stride + d] - (double)c.data[j * c.stride + d];
        s += t * t;
    }
    return s;
}

/* Row i's k nearest by selection, marked in near (S). */
static void nearest_twin(cel_mat c, const int32_t *slide, int64_t k, int64_t i, char *mark)
{
    int64_t n, j;
    memset(mark, 0, (size_t)c.rows);
    for (n = 0; n < k; n++) {
        int64_t best = -1;
        for (j = 0; j < c.rows; j++)
            if (j != i && !mark[j] && (!slide || slide[j] == slide[i]) &&
                (best < 0 || distance2(c, i, j) < distance2(c, i, best)))
                best = j;
        if (best < 0) return;
        mark[best] = 1;
    }
}

static void check_row(const cel_csr *g, int64_t i, const char *mark)
{
    int64_t j, e = g->start[i];
    int same = 1;
    for (j = 0; j < g->cols; j++)
        if (mark[j]) {
            same &= e < g->start[i + 1] && g->index[e] == j && g->value[e] >= 1 && g->value[e] <= 1;
            e++;
        }
    CHECK(same && e == g->start[i + 1]);
}

static void nearest(void)
{
    static const int64_t ks[] = {1, 2, 6, 13, 50, 149, 400};
    int kind, dims, k, slides;
    char mark[150];
    for (kind = 0; kind < KINDS; kind++)
        for (dims = 2; dims <= 3; dims++)
            for (slides = 0; slides < 2; slides++)
                for (k = 0; k < 7; k++) {
                    cel_mat c = places(kind, (uint64_t)(k + 1), 150, dims);
                    int32_t slide[150];
                    cel_csr g;
                    int64_t i;
                    /* label 3 has one cell, label 2 none */
                    for (i = 0; i < 150; i++) slide[i] = i == 77 ? 3 : (int32_t)(i * i % 5 == 1);
                    OK_OR_RETURN(cel_graph_knn(c, slides ? slide : NULL, ks[k], 1, &g, NULL));
                    CHECK(g.rows == 150 && g.cols == 150);
                    for (i = 0; i < 150; i++) {
                        nearest_twin(c, slides ? slide : NULL, ks[k], i, mark);
                        check_row(&g, i, mark);
                    }
                    cel_csr_free(&g);
                    cel_mat_free(&c);
                }
}

static void within(void)
{
    static const double inner[] = {0, 0, 0.1, 1, 0, 2}, outer[] = {0.2, 1, 0.3, 2.0, 1e6, 2.25};
    int kind, dims, r, slides;
    char mark[150];
    for (kind = 0; kind < KINDS; kind++)
        for (dims = 2; dims <= 3; dims++)
            for (slides = 0; slides < 2; slides++)
                for (r = 0; r < 6; r++) {
                    cel_mat c = places(kind, (uint64_t)(r + 1), 150, dims);
                    int32_t slide[150];
                    cel_csr g;
                    int64_t i, j;
                    for (i = 0; i < 150; i++) slide[i] = (int32_t)(i % 3);
                    OK_OR_RETURN(cel_graph_radius(c, slides ? slide : NULL, inner[r], outer[r], &g, NULL));
                    CHECK(cel_csr_is_symmetric(&g));
                    for (i = 0; i < 150; i++) {
                        for (j = 0; j < 150; j++) {
                            double d = distance2(c, i, j);
                            mark[j] = d > 0 && d >= inner[r] * inner[r] && d < outer[r] * outer[r] &&
                                      (!slides || slide[i] == slide[j]);
                        }
                        check_row(&g, i, mark);
                    }
                    cel_csr_free(&g);
                    cel_mat_free(&c);
                }
}

/* Crowds of equal places must not cost the square of their size: 20,000 squared is half a minute of tests. */
static void crowds(void)
{
    int kind, dims;
    for (kind = 0; kind < KINDS; kind++)
        for (dims = 2; dims <= 3; dims++) {
            cel_mat c = places(kind, 9, 20000, dims);
            cel_csr g;
            int64_t i;
            OK_OR_RETURN(cel_graph_knn(c, NULL, 6, 0, &g, NULL));
            for (i = 0; i < 20000; i++) CHECK(g.start[i + 1] - g.start[i] == 6);
            for (i = 0; i < 10 && kind == SAME; i++)
                CHECK(g.index[i * 6] == (i ? 0 : 1) && g.index[i * 6 + 5] == (i < 6 ? 6 : 5));
            cel_csr_free(&g);
            if (kind == SAME || kind == HALF_SAME) {
                OK_OR_RETURN(cel_graph_radius(c, NULL, 0, 1e-3, &g, NULL));
                CHECK(kind != SAME || cel_csr_count(&g) == 0);
                cel_csr_free(&g);
            }
            cel_mat_free(&c);
        }
}

static void graph_errors(void)
{
    cel_mat c = places(RANDOM, 1, 20, 2), wide = matrix(5, 4), none = matrix(0, 2);
    int32_t slide[20] = {0};
    int64_t i;
    cel_csr g;
    cel_error err;
    CHECK(cel_graph_knn(c, NULL, 0, 0, &g, &err) == CEL_ERR_ARG && g.start == NULL && err.status == CEL_ERR_ARG);
    CHECK(cel_graph_knn(c, NULL, 20, 0, &g, &err) == CEL_ERR_DATA && err.cell == 0 && g.start == NULL);
    for (i = 11; i < 15; i++) slide[i] = 4;
    CHECK(cel_graph_knn(c, slide, 4, 0, &g, &err) == CEL_ERR_DATA && err.cell == 11);
    OK_OR_RETURN(cel_graph_knn(c, slide, 3, 0, &g, &err));
    cel_csr_free(&g);
    slide[6] = 20;
    CHECK(cel_graph_knn(c, slide, 3, 0, &g, &err) == CEL_ERR_DATA && err.cell == 6);
    slide[6] = -1;
    CHECK(cel_graph_radius(c, slide, 0, 1, &g, &err) == CEL_ERR_DATA && err.cell == 6 && g.start == NULL);
    CHECK(cel_graph_order(c, slide, slide, &err) == CEL_ERR_DATA);
    CHECK(cel_graph_knn(wide, NULL, 1, 0, &g, &err) == CEL_ERR_SHAPE && g.start == NULL);
    CHECK(cel_graph_radius(c, NULL, 1, 1, &g, &err) == CEL_ERR_ARG);
    CHECK(cel_graph_radius(c, NULL, -1, 1, &g, &err) == CEL_ERR_ARG);
    CHECK(cel_graph_radius(c, NULL, 0, (double)NAN, &g, &err) == CEL_ERR_ARG);
    c.data[2 * 13 + 1] = (cel_real)NAN;
    CHECK(cel_graph_knn(c, NULL, 2, 0, &g, &err) == CEL_ERR_DATA && err.cell == 13 && err.gene == 1);
    c.data[2 * 13 + 1] = (cel_real)INFINITY;
    CHECK(cel_graph_radius(c, NULL, 0, 2, &g, &err) == CEL_ERR_DATA && err.cell == 13 && err.gene == 1);
    OK_OR_RETURN(cel_graph_knn(none, NULL, 3, 0, &g, &err));
    CHECK(g.rows == 0 && cel_csr_count(&g) == 0);
    cel_csr_free(&g);
    cel_mat_free(&c);
    cel_mat_free(&wide);
    cel_mat_free(&none);
}

static void graph_threads(void)
{
#if defined(_OPENMP)
    int threads = omp_get_max_threads(), t, which;
    cel_mat c = places(CLUSTERS, 5, 20000, 2);
    for (which = 0; which < 2; which++) {
        cel_csr g[2];
        for (t = 0; t < 2; t++) {
            omp_set_num_threads(t + 1);
            if (which) OK_OR_RETURN(cel_graph_radius(c, NULL, 0, 2e-5, g + t, NULL));
            else OK_OR_RETURN(cel_graph_knn(c, NULL, 6, 0, g + t, NULL));
        }
        omp_set_num_threads(threads);
        CHECK(cel_csr_count(g) == cel_csr_count(g + 1) && cel_csr_count(g) > 0);
        CHECK(!memcmp(g[0].start, g[1].start, 20001 * sizeof(int64_t)));
        CHECK(!memcmp(g[0].index, g[1].index, (size_t)cel_csr_count(g) * sizeof(int32_t)));
        cel_csr_free(g);
        cel_csr_free(g + 1);
    }
    cel_mat_free(&c);
#else
    SKIP("no OpenMP");
#endif
}

static void hexagonal(void)
{
    cel_mat c = matrix(12, 2), wrong = matrix(11, 2);
    OK_OR_RETURN(cel_graph_hex_coords(4, 3, c));
    NEAR(c.data[0], 0.5, 0);
    NEAR(c.data[1], 0, 0);
    NEAR(c.data[2 * 4], 0, 0);
    NEAR(c.data[2 * 4 + 1], sqrt(1.25), eps);
    NEAR(c.data[2 * 11], 3.5, 0);
    NEAR(c.data[2 * 11 + 1], 2 * sqrt(1.25), eps);
    CHECK(cel_graph_hex_coords(4, 3, wrong) == CEL_ERR_SHAPE);
    cel_mat_free(&c);
    cel_mat_free(&wrong);
}

static void types(void)
{
    cel_mat c = places(RANDOM, 3, 60, 2);
    cel_csr g, t, sum = {0, 0, NULL, NULL, NULL, NULL};
    int32_t type[60];
    int64_t i, e, total = 0;
    int a, b;
    for (i = 0; i < 60; i++) type[i] = (int32_t)(i * 7 % 3) - 1;
    OK_OR_RETURN(cel_graph_knn(c, NULL, 5, 0, &g, NULL));
    for (a = -1; a < 2; a++)
        for (b = -1; b < 2; b++) {
            OK_OR_RETURN(cel_graph_types(&g, type, a, b, &t));
            CHECK(t.rows == 60 && t.cols == 60);
            for (i = 0; i < 60; i++)
                for (e = t.start[i]; e < t.start[i + 1]; e++) {
                    int64_t f = g.start[i];
                    CHECK(type[i] == a && type[t.index[e]] == b);
                    while (f < g.start[i + 1] && g.index[f] != t.index[e]) f++;
                    CHECK(f < g.start[i + 1]);
                }
            total += cel_csr_count(&t);
            cel_csr_free(&t);
        }
    CHECK(total == cel_csr_count(&g));
    sum.rows = 2;
    CHECK(cel_graph_types(&sum, type, 0, 0, &t) == CEL_ERR_SHAPE);
    cel_csr_free(&g);
    cel_mat_free(&c);
}

static void groups(void)
{
    int32_t label[9] = {2, 0, 2, 3, 0, 2, 3, 3, 0}, list[9];
    static const int32_t expected[9] = {1, 4, 8, 0, 2, 5, 3, 6, 7};
    int64_t start[6];
    cel_error err;
    OK_OR_RETURN(cel_slide_groups(label, 9, 5, start, list, NULL));
    CHECK(!memcmp(list, expected, sizeof list));
    CHECK(start[0] == 0 && start[1] == 3 && start[2] == 3 && start[3] == 6 && start[4] == 9 && start[5] == 9);
    label[4] = 5;
    CHECK(cel_slide_groups(label, 9, 5, start, list, &err) == CEL_ERR_ARG && err.cell == 4);
    label[4] = -1;
    CHECK(cel_slide_groups(label, 9, 5, start, list, &err) == CEL_ERR_ARG && err.cell == 4);
}

static void tiles(void)
{
    enum { CELLS = 1000, SIDE = 6 };
    cel_mat c = places(RANDOM, 4, CELLS, 2);
    int32_t slide[CELLS], tile[CELLS], list[CELLS];
    int64_t made, start[3 * SIDE * SIDE + 1], i, t;
    cel_error err;
    /* slide 0 has 990 cells, slide 1 none, slide 2 ten: 3 x 3 tiles */
    for (i = 0; i < CELLS; i++) slide[i] = i % 100 == 50 ? 2 : 0;
    OK_OR_RETURN(cel_slide_tiles(c, slide, SIDE, tile, &made, NULL));
    CHECK(made == SIDE * SIDE + 9);
    OK_OR_RETURN(cel_slide_groups(tile, CELLS, made, start, list, NULL));
    for (t = 0; t < made; t++) {
        int64_t n = start[t + 1] - start[t];
        CHECK(t < SIDE * SIDE ? n >= 27 && n <= 28 : n >= 1 && n <= 2);
        for (i = start[t]; i < start[t + 1]; i++) CHECK(slide[list[i]] == (t < SIDE * SIDE ? 0 : 2));
    }
    /* Strips are in order of x, tiles of a strip in order of y. */
    for (t = 0; t + 1 < SIDE * SIDE; t++) {
        int64_t d = t % SIDE < SIDE - 1, j;
        if (!d && t / SIDE == SIDE - 1) break;
        for (i = start[t]; i < start[t + 1]; i++)
            for (j = start[t + 1]; j < start[t + 2]; j++) CHECK(c.data[list[i] * 2 + d] <= c.data[list[j] * 2 + d]);
    }
    CHECK(cel_slide_tiles(c, slide, 0, tile, &made, &err) == CEL_ERR_ARG && made == 0);
    c.data[5] = (cel_real)NAN;
    CHECK(cel_slide_tiles(c, slide, 2, tile, &made, &err) == CEL_ERR_DATA && err.cell == 2 && made == 0);
    cel_mat_free(&c);
}

static void order(void)
{
    enum { CELLS = 4000 };
    cel_mat c = places(RANDOM, 6, CELLS, 2);
    static int32_t slide[CELLS], at[CELLS], seen[CELLS];
    double near = 0, far = 0;
    int64_t i;
    for (i = 0; i < CELLS; i++) {
        slide[i] = (int32_t)(i % 3);
        seen[i] = 0;
    }
    OK_OR_RETURN(cel_graph_order(c, slide, at, NULL));
    for (i = 0; i < CELLS; i++) {
        CHECK(at[i] >= 0 && at[i] < CELLS && !seen[at[i]]++);
        CHECK(i == 0 || slide[at[i]] >= slide[at[i - 1]]);
        if (i == 0) continue;
        near += sqrt(distance2(c, at[i], at[i - 1]));
        far += sqrt(distance2(c, i, i - 1));
    }
    CHECK(near < far / 10);
    cel_mat_free(&c);
}

static int is_walk(const int32_t *at, int64_t cells)
{
    char *seen = (char *)calloc((size_t)cells, 1);
    int64_t i;
    int good = at != NULL && seen != NULL;
    for (i = 0; good && i < cells; i++) good = at[i] >= 0 && at[i] < cells && !seen[at[i]]++;
    free(seen);
    return good;
}

/* Cells of a large slide in random order: the graph and what is made of it have a walk, which changes no bit of a
 * product, for any number of threads, and of sums over cells no more than their last digits. */
static void walk(void)
{
    enum { CELLS = 20000, GENES = 37 };
    static int32_t at[CELLS], type[CELLS];
    cel_mat c = places(RANDOM, 16, CELLS, 2), sorted = matrix(CELLS, 2), x = matrix(CELLS, GENES), y[3];
    cel_csr g[6];
    cel_relations relations;
    cel_moments m[2];
    cel_rng rng = cel_rng_at(17, 0, 0, 0);
    int32_t *held;
    int64_t i, j;
    int k, threads = 1;
    OK_OR_RETURN(cel_graph_knn(c, NULL, 6, 0, g, NULL));
    OK_OR_RETURN(cel_graph_radius(c, NULL, 0, sqrt(distance2(c, 0, g[0].index[0])), g + 1, NULL));
    OK_OR_RETURN(cel_csr_transpose(g, g + 2));
    OK_OR_RETURN(cel_csr_symmetrise(g + 2, g + 3));
    OK_OR_RETURN(cel_csr_transpose(g + 3, g + 4));
    OK_OR_RETURN(cel_graph_types(g + 4, type, 0, 0, g + 5));
    for (k = 0; k < 6; k++) CHECK(is_walk(g[k].order, CELLS));
    cel_rng_normals(&rng, x.data, CELLS * GENES);
    for (k = 0; k < 3; k++) y[k] = matrix(CELLS, GENES);
    held = g[3].order;
#if defined(_OPENMP)
    threads = omp_get_max_threads();
#endif
    for (k = 0; k < 3; k++) {
        if (k == 2) g[3].order = NULL;
#if defined(_OPENMP)
        omp_set_num_threads(k == 1 ? 1 : 2);
#endif
        cel_mat_fill(y[k], (cel_real)0.5);
        OK_OR_RETURN(cel_csr_mul(2, g + 3, x, (cel_real)0.25, y[k]));
        if (k == 0) continue;
        CHECK(test_relations(&relations, CELLS, g + 3, NULL, NULL));
        OK_OR_RETURN(cel_moments_new(GENES, &relations, m + k - 1));
        OK_OR_RETURN(cel_moments_add(m + k - 1, &relations, x, NULL, 0, NULL));
        cel_relations_free(&relations);
    }
#if defined(_OPENMP)
    omp_set_num_threads(threads);
#endif
    g[3].order = held;
    (void)threads;
    for (k = 1; k < 3; k++) CHECK(!memcmp(y[0].data, y[k].data, CELLS * GENES * sizeof(cel_real)));
    CHECK(m[0].cells == CELLS && m[1].cells == CELLS);
    for (i = 0; i < (2 * GENES + 1) * (2 * GENES + 1); i++) NEAR(m[0].gram[i], m[1].gram[i], 100 * eps * CELLS);
    /* In the order of the walk there is no need of one. */
    OK_OR_RETURN(cel_graph_order(c, NULL, at, NULL));
    for (i = 0; i < CELLS; i++)
        for (j = 0; j < 2; j++) sorted.data[2 * i + j] = c.data[2 * at[i] + j];
    for (k = 0; k < 6; k++) cel_csr_free(g + k);
    OK_OR_RETURN(cel_graph_knn(sorted, NULL, 6, 0, g, NULL));
    CHECK(g[0].order == NULL);
    cel_csr_free(g);
    for (k = 0; k < 2; k++) cel_moments_free(m + k);
    for (k = 0; k < 3; k++) cel_mat_free(y + k);
    cel_mat_free(&c);
    cel_mat_free(&sorted);
    cel_mat_free(&x);
}

void suite_tissue(void)
{
    RUN(scale_and_log);
    RUN(unit_rows);
    RUN(bad_values);
    RUN(variable_genes);
    RUN(variable_errors);
    RUN(nearest);
    RUN(within);
    RUN(crowds);
    RUN(graph_errors);
    RUN(graph_threads);
    RUN(hexagonal);
    RUN(types);
    RUN(groups);
    RUN(tiles);
    RUN(order);
    RUN(walk);
}
