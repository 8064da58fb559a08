/* Expression and neighbour graphs against plain formulas and brute force. SPDX-License-Identifier: MIT */
#include "test.h"

#include <float.h>

#if defined(_OPENMP)
#include <omp.h>
#endif

/* The most variable genes are those at the totals that were given, not at the sums of what is there. */
static void slide_prepare_takes_the_totals(void)
{
    enum { S = 60, N = 30 };
    cel_slide slide = CEL_ZERO;
    cel_slide_recipe recipe = CEL_ZERO;
    cel_slide_rows rows;
    cel_genes_options by = CEL_ZERO;
    double total[S];
    int32_t index[N];
    int64_t i, count;
    OK_OR_RETURN(cel_mat_new(S, N, &slide.x));
    OK_OR_RETURN(cel_mat_new(S, 2, &slide.coords));
    for (i = 0; i < S; i++) {
        cel_rng rng = cel_rng_at(9, 1, (uint32_t)i, 0);
        int64_t j;
        for (j = 0; j < N; j++) slide.x.data[i * N + j] = (cel_real)cel_rng_poisson(&rng, 3 + (double)(j % 7));
        for (j = 0; j < 2; j++) slide.coords.data[i * 2 + j] = (cel_real)cel_rng_uniform(&rng);
        total[i] = 400 * exp(2 * cel_rng_uniform(&rng));
    }
    slide.total = by.total = total;
    recipe.genes_by = by.by = CEL_GENES_VARIABLE;
    recipe.top = by.top = 8;
    OK_OR_RETURN(cel_slide_genes(slide.x, &by, index, &count, NULL, NULL, NULL));
    OK_OR_RETURN(cel_slide_prepare(&slide, &recipe, &rows, NULL));
    CHECK(rows.x.cols == count && !memcmp(rows.gene, index, (size_t)count * sizeof *index));
    cel_slide_rows_free(&rows);
    cel_mat_free(&slide.x);
    cel_mat_free(&slide.coords);
}

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
    kept = cel_compact(keep, 25, label, sizeof *label);
    CHECK(kept == 22 && cel_compact(keep, 25, y.data, 12 * sizeof(cel_real)) == 22);
    y.rows = kept;
    CHECK(label[4] == 4 && label[5] == 6 && label[21] == 24);
    for (i = 0; i < kept; i++) NEAR(cel_vec_nrm2(y.data + i * 12, 12), 1, eps);
    NEAR(y.data[5 * 12 + 1] * cel_vec_nrm2(x.data + 6 * 12, 12), -3, 10 * eps);
    CHECK(cel_slide_unit(x, NULL, NULL, &err) == CEL_ERR_DATA && err.cell == 5 && err.offset == -1 && err.status == CEL_ERR_DATA);
    cel_mat_free(&x);
    cel_mat_free(&y);
}

static cel_status variable(cel_mat x, int64_t top, int32_t *index, double *score, cel_error *err)
{
    cel_genes_options o = CEL_ZERO;
    int64_t count;
    o.by = CEL_GENES_VARIABLE;
    o.top = top;
    return cel_slide_genes(x, &o, index, &count, NULL, score, err);
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
        CHECK(variable(x, 3, index, NULL, &err) == CEL_ERR_DATA && err.cell == 4 && err.offset == -1 && err.gene == 3);
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
    OK_OR_RETURN(variable(x, TOP, index, score, NULL));
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
    OK_OR_RETURN(cel_mat_columns(&y, index, TOP));
    CHECK(y.cols == TOP && y.stride == TOP && y.rows == CELLS);
    for (i = 0; i < CELLS; i++)
        for (j = 0; j < TOP; j++) NEAR(y.data[i * TOP + j], x.data[i * GENES + index[j]], 0);
    OK_OR_RETURN(variable(x, GENES, index, NULL, NULL));
    for (j = 0; j < GENES; j++) CHECK(index[j] == j);
    cel_mat_free(&x);
    cel_mat_free(&y);
}

static void variable_errors(void)
{
    cel_mat x = counts(5, 6, 4), one, view;
    int32_t index[4], wrong[2] = {2, 1}, right[2] = {0, 3};
    cel_error err;
    CHECK(variable(x, -1, index, NULL, &err) == CEL_ERR_ARG && err.status == CEL_ERR_ARG);
    CHECK(variable(x, 5, index, NULL, NULL) == CEL_ERR_ARG);
    one = cel_mat_block(x, 0, 0, 1, 4);
    CHECK(variable(one, 2, index, NULL, NULL) == CEL_ERR_ARG);
    CHECK(cel_mat_columns(&x, wrong, 2) == CEL_ERR_ARG && x.cols == 4);
    wrong[1] = 4;
    CHECK(cel_mat_columns(&x, wrong, 2) == CEL_ERR_ARG && x.cols == 4);
    view = cel_mat_block(x, 0, 0, 6, 3);
    right[1] = 2;
    OK_OR_RETURN(cel_mat_columns(&view, right, 2));
    CHECK(view.stride == 4 && view.cols == 2);
    cel_mat_free(&x);
}

/* ---- bugs of 0.1.0 ---- */

static void H15_rows_of_any_size_become_unit(void)
{
    static const double sizes[] = {1e200, 1e-200, 1e300, 1e30, 1e-30};
    int k;
    for (k = sizeof(cel_real) == 8 ? 0 : 3; k < 5; k++) {
        cel_real row[2] = {(cel_real)(3 * sizes[k]), (cel_real)(-4 * sizes[k])};
        uint8_t keep = 0;
        OK_OR_RETURN(cel_slide_unit(cel_mat_view(row, 1, 2), &keep, NULL, NULL));
        CHECK(keep == 1);
        NEAR(row[0], 0.6, 10 * eps);
        NEAR(row[1], -0.8, 10 * eps);
    }
}

static void H24_unit_leaves_rows_alone_on_error(void)
{
    cel_real x[6] = {3, 4, 0, 0, 5, 12};
    uint8_t keep[3] = {7, 7, 7};
    int64_t zeros = 7;
    cel_error err;
    CHECK(cel_slide_unit(cel_mat_view(x, 3, 2), NULL, NULL, &err) == CEL_ERR_DATA && err.cell == 1 && err.offset == -1);
    CHECK(x[0] == 3 && x[1] == 4 && x[4] == 5);
    x[5] = (cel_real)NAN;
    CHECK(cel_slide_unit(cel_mat_view(x, 3, 2), keep, &zeros, &err) == CEL_ERR_DATA && err.cell == 2 && err.offset == -1 && err.gene == 1);
    CHECK(x[0] == 3 && zeros == 0 && !keep[0] && !keep[1] && !keep[2]);
}

static void H24_groups_and_tiles_are_zeroed_on_error(void)
{
    int32_t label[3] = {0, 3, 1}, list[3] = {9, 9, 9}, tile[3] = {9, 9, 9};
    int64_t start[3] = {9, 9, 9}, tiles = 9;
    cel_real at[6] = {0, 0, 1, 1, 2, 2};
    CHECK(cel_csr_groups(label, 3, 2, start, list, NULL) == CEL_ERR_ARG);
    CHECK(!start[0] && !start[1] && !start[2] && !list[0] && !list[1] && !list[2]);
    CHECK(cel_slide_tiles(cel_mat_view(at, 3, 2), label, 1, tile, &tiles, NULL) == CEL_ERR_DATA);
    CHECK(!tiles && !tile[0] && !tile[1] && !tile[2]);
}

/* ---- what numbers look like, genes to keep ---- */

static void describe(void)
{
    cel_mat x = counts(11, 300, 40), y = matrix(300, 40);
    double total[300];
    cel_slide_report r;
    cel_error err;
    int64_t i, j, zeros = 0;
    for (j = 0; j < 40; j++) x.data[17 * 40 + j] = 0;
    for (i = 0; i < 300 * 40; i++) zeros += !(x.data[i] > 0);
    cel_mat_copy(x, y);
    OK_OR_RETURN(cel_slide_describe(x, total, &r, NULL));
    CHECK(r.likely == CEL_KIND_COUNTS && r.empty == 1);
    NEAR(r.whole, 1, 0);
    NEAR(r.zeros, (double)zeros / 12000, 1e-12);
    NEAR(r.lowest, 0, 0);
    for (i = 0; i < 300; i++) {
        double sum = 0;
        for (j = 0; j < 40; j++) sum += (double)x.data[i * 40 + j];
        NEAR(total[i], sum, 1e-9);
    }
    OK_OR_RETURN(cel_slide_scale(y, NULL, NULL));
    OK_OR_RETURN(cel_slide_describe(y, NULL, &r, NULL));
    CHECK(r.likely == CEL_KIND_LOGNORM && r.log_multiples > 0.8 && r.whole < 0.99);
    for (i = 0; i < 12000; i++) y.data[i] = (cel_real)expm1((double)y.data[i]);
    OK_OR_RETURN(cel_slide_describe(y, NULL, &r, NULL));
    CHECK(r.likely == CEL_KIND_COUNTS && r.multiples > 0.8 && r.whole < 0.99);
    for (i = 0; i < 12000; i++) {
        cel_rng rng = cel_rng_at(5, 0, (uint32_t)i, 0);
        y.data[i] = (cel_real)exp(cel_rng_normal(&rng));
    }
    OK_OR_RETURN(cel_slide_describe(y, NULL, &r, NULL));
    CHECK(r.likely == CEL_KIND_INTENSITY);
    y.data[5] = -1;
    OK_OR_RETURN(cel_slide_describe(y, NULL, &r, NULL));
    CHECK(r.likely == CEL_KIND_INTENSITY && r.lowest < 0);
    y.data[3 * 40 + 7] = (cel_real)NAN;
    CHECK(cel_slide_describe(y, total, &r, &err) == CEL_ERR_DATA && err.cell == 3 && err.offset == -1 && err.gene == 7);
    CHECK(!(total[0] > 0) && !(r.zeros > 0) && !(r.largest > 0));
    cel_mat_free(&x);
    cel_mat_free(&y);
}

static void genes_to_keep(void)
{
    enum { CELLS = 200, GENES = 50 };
    cel_mat x = counts(12, CELLS, GENES), y = matrix(CELLS, GENES);
    double score[GENES], twin[GENES], total[CELLS], mean, least = HUGE_VAL;
    int32_t index[GENES], other[GENES];
    int64_t count, cells[GENES], i, j, in;
    cel_genes_options o = CEL_ZERO;
    cel_error err;
    for (i = 0; i < CELLS; i++) {
        x.data[i * GENES] = (cel_real)(i % 3);
        x.data[i * GENES + 7] = i == 3; /* gene 2 is in no cell, gene 7 in one */
    }
    OK_OR_RETURN(cel_slide_genes(x, NULL, index, &count, cells, score, NULL));
    CHECK(count == GENES && index[GENES - 1] == GENES - 1 && cells[2] == 0 && cells[7] == 1);
    for (j = 0; j < GENES; j++) {
        for (mean = 0, in = 0, i = 0; i < CELLS; i++) {
            mean += (double)x.data[i * GENES + j] / CELLS;
            in += x.data[i * GENES + j] > 0;
        }
        NEAR(score[j], mean, 1e-9);
        CHECK(cells[j] == in);
    }
    o.min_cells = 10;
    OK_OR_RETURN(cel_slide_genes(x, &o, index, &count, NULL, NULL, NULL));
    CHECK(count == GENES - 2 && index[2] == 3 && index[6] == 8);
    o.top = 12;
    OK_OR_RETURN(cel_slide_genes(x, &o, index, &count, NULL, score, NULL));
    CHECK(count == 12 && score[2] < -1e300 && score[7] < -1e300);
    for (j = 0; j < 12; j++) least = score[index[j]] < least ? score[index[j]] : least;
    for (in = 0, j = 0; j < GENES; j++) in += score[j] >= least;
    CHECK(in == 12);
    /* Counts with their totals are chosen as their log-normalised values are. */
    o.by = CEL_GENES_VARIABLE;
    cel_mat_copy(x, y);
    OK_OR_RETURN(cel_slide_scale(y, NULL, NULL));
    OK_OR_RETURN(cel_slide_genes(y, &o, index, &count, NULL, twin, NULL));
    OK_OR_RETURN(cel_slide_describe(x, total, (cel_slide_report *)memset(score, 0, sizeof score), NULL));
    o.total = total;
    OK_OR_RETURN(cel_slide_genes(x, &o, other, &count, NULL, score, NULL));
    CHECK(count == 12 && !memcmp(index, other, 12 * sizeof *index));
    for (j = 0; j < GENES; j++)
        if (j != 2 && j != 7) NEAR(score[j], twin[j], sizeof(cel_real) == 8 ? 1e-8 : 1e-3);
    o.total = NULL;
    x.data[4 * GENES + 1] = 701; /* logarithms are never so large: 0.1.0 dropped the most variable genes */
    CHECK(cel_slide_genes(x, &o, index, &count, NULL, NULL, &err) == CEL_ERR_DATA && err.cell == 4 && err.offset == -1 && err.gene == 1);
    o.by = (cel_genes_by)7;
    CHECK(cel_slide_genes(x, &o, index, &count, NULL, NULL, NULL) == CEL_ERR_ARG && count == 0);
    cel_mat_free(&x);
    cel_mat_free(&y);
}

/* ---- scaling ---- */

enum { SC = 260, SN = 17 };

/* Counts in three groups, with a total over more genes than are here; gene 2 varies as well. Cells 9 and 40 are empty,
 * cell 60 has a total and none of these genes, cell 70 is of no group. */
static cel_mat scaled_counts(double *total, int32_t *group)
{
    cel_mat x = matrix(SC, SN);
    int64_t i, j;
    for (i = 0; i < SC; i++) {
        cel_rng rng = cel_rng_at(31, 0, (uint32_t)i, 0);
        double size = exp(0.4 * cel_rng_normal(&rng));
        group[i] = (int32_t)(i % 7 % 3);
        total[i] = (double)(i % 50);
        for (j = 0; j < SN; j++) {
            double rate = size * exp(0.3 * (double)j - 2 + 0.5 * cel_rng_normal(&rng)) * (group[i] == 1 ? 1.5 : 1);
            x.data[i * SN + j] = i == 9 || i == 40 || i == 60 ? 0 : (cel_real)cel_rng_poisson(&rng, rate);
            total[i] += (double)x.data[i * SN + j];
        }
    }
    total[9] = total[40] = 0;
    group[70] = -1;
    return x;
}

/* The definition, with plain loops: v, z and u in doubles. */
static void scaling_twin(cel_mat x, const double *total, const int32_t *group, double t, double *v, double *z,
                         double *u)
{
    double length = 0;
    int64_t i, j;
    int g;
    for (j = 0; j < SN; j++) {
        double mean[3] = {0}, count[3] = {0}, square = 0, slope = 0, all = 0;
        for (i = 0; i < SC; i++) {
            double q = total[i] > 0 ? (double)x.data[i * SN + j] * t / total[i] : 0;
            v[i * SN + j] = log(1 + q);
            if (group[i] < 0 || !(total[i] > 0)) continue;
            mean[group[i]] += v[i * SN + j];
            count[group[i]]++;
            slope += q / (1 + q);
            all++;
        }
        for (g = 0; g < 3; g++) mean[g] /= count[g];
        for (i = 0; i < SC; i++)
            if (group[i] >= 0 && total[i] > 0) square += pow(v[i * SN + j] - mean[group[i]], 2);
        for (i = 0; i < SC; i++)
            z[i * SN + j] = (v[i * SN + j] - mean[group[i] < 0 ? 0 : group[i]]) / sqrt(square / all);
        u[j] = slope / all / sqrt(square / all);
        length += u[j] * u[j];
    }
    for (j = 0; j < SN; j++) u[j] /= sqrt(length);
}

static int by_value(const void *a, const void *b)
{
    double d = *(const double *)a - *(const double *)b;
    return d > 0 ? 1 : d < 0 ? -1 : 0;
}

static void scaling_by_definition(void)
{
    double total[SC], sorted[SC], v[SC * SN], z[SC * SN], u[SN], t;
    int32_t group[SC];
    cel_mat x = scaled_counts(total, group), rows = matrix(SC, SN), back = matrix(SC, SN);
    cel_scaling s;
    int64_t i, j, kept = 0;
    for (i = 0; i < SC; i++)
        if (total[i] > 0) sorted[kept++] = total[i];
    qsort(sorted, (size_t)kept, sizeof *sorted, by_value);
    t = (sorted[(kept - 1) / 2] + sorted[kept / 2]) / 2;
    scaling_twin(x, total, group, t, v, z, u);
    cel_mat_copy(x, rows);
    OK_OR_RETURN(cel_scaling_fit(rows, total, group, NULL, &s, NULL));
    CHECK(s.kind == CEL_KIND_COUNTS && s.log && s.genes == SN && s.groups == 3 && s.cells == SC);
    NEAR(s.target, t, 1e-9);
    for (j = 0; j < SN; j++) NEAR(s.size[j], u[j], 1e-9);
    for (i = 0; i < SC; i++) {
        double c = 0, length = 0, dot = 0;
        for (j = 0; j < SN; j++) c += z[i * SN + j] * u[j];
        for (j = 0; j < SN; j++) length += pow(z[i * SN + j] - c * u[j], 2);
        length = sqrt(length);
        if (i == 9 || i == 40 || i == 70) length = c = 0;
        NEAR(s.cell[i].length, length, 1e-6 * (1 + length));
        NEAR(s.cell[i].size, c, 1e-9 * (1 + fabs(c)));
        NEAR(s.cell[i].total, total[i], 0);
        for (j = 0; j < SN; j++) {
            NEAR(rows.data[i * SN + j], length > 0 ? (z[i * SN + j] - c * u[j]) / length : 0, 4 * eps);
            dot += u[j] * (double)rows.data[i * SN + j];
        }
        NEAR(dot, 0, 4 * eps);
    }
    /* ... and back, in each unit. */
    OK_OR_RETURN(cel_scaling_values(&s, CEL_UNIT_GIVEN, rows, s.cell, back));
    for (i = 0; i < SC * SN; i++)
        NEAR(back.data[i], s.cell[i / SN].length > 0 ? (double)x.data[i] : 0, 20 * eps * (1 + (double)x.data[i]));
    OK_OR_RETURN(cel_scaling_values(&s, CEL_UNIT_LOG, rows, s.cell, back));
    for (i = 0; i < SC * SN; i++) NEAR(back.data[i], s.cell[i / SN].length > 0 ? v[i] : 0, 20 * eps);
    OK_OR_RETURN(cel_scaling_values(&s, CEL_UNIT_TYPICAL, rows, s.cell, rows)); /* in place */
    for (i = 0; i < SC * SN; i++)
        NEAR(rows.data[i], s.cell[i / SN].length > 0 ? (double)x.data[i] * t / total[i / SN] : 0,
             20 * eps * (1 + exp(v[i])));
    CHECK(cel_scaling_values(&s, CEL_UNIT_FOLD, rows, s.cell, back) == CEL_ERR_ARG);
    CHECK(cel_scaling_values(&s, CEL_UNIT_LOG, cel_mat_block(rows, 0, 0, SC, 3), s.cell, back) == CEL_ERR_SHAPE);
    cel_scaling_free(&s);
    CHECK(s.cell == NULL && s.genes == 0);
    cel_mat_free(&x);
    cel_mat_free(&rows);
    cel_mat_free(&back);
}

/* What a fit learnt, applied to the same and to fewer cells, gives the same rows; log-normalised input, and published
 * rows, are special cases. */
static void scaling_kinds_agree(void)
{
    double total[SC];
    int32_t group[SC];
    cel_mat x = scaled_counts(total, group), rows = matrix(SC, SN), other = matrix(SC, SN);
    cel_scaling s, l;
    cel_scaling_cell cell[SC];
    cel_scaling_options o = CEL_ZERO;
    int64_t i, j;
    cel_mat_copy(x, rows);
    OK_OR_RETURN(cel_scaling_fit(rows, total, group, NULL, &s, NULL));
    cel_mat_copy(x, other);
    OK_OR_RETURN(cel_scaling_apply(&s, other, total, group, cell, NULL));
    CHECK(!memcmp(rows.data, other.data, SC * SN * sizeof(cel_real)));
    for (i = 0; i < SC; i++) CHECK(!memcmp(&cell[i].length, &s.cell[i].length, sizeof(double)));
    cel_mat_copy(x, other);
    OK_OR_RETURN(cel_scaling_apply(&s, cel_mat_block(other, 100, 0, 50, SN), total + 100, group + 100, cell, NULL));
    CHECK(!memcmp(rows.data + 100 * SN, other.data + 100 * SN, 50 * SN * sizeof(cel_real)));
    /* log1p(q) as input. Cell 60 has no count here: as log-normalised data it is empty. */
    for (i = 0; i < SC; i++)
        for (j = 0; j < SN; j++)
            other.data[i * SN + j] =
                (cel_real)(total[i] > 0 ? log1p((double)x.data[i * SN + j] * s.target / total[i]) : 0);
    group[60] = -1;
    cel_mat_copy(x, rows);
    cel_scaling_free(&s);
    OK_OR_RETURN(cel_scaling_fit(rows, total, group, NULL, &s, NULL));
    o.kind = CEL_KIND_LOGNORM;
    OK_OR_RETURN(cel_scaling_fit(other, NULL, group, &o, &l, NULL));
    CHECK(l.log && l.size != NULL);
    for (j = 0; j < SN; j++) NEAR(l.size[j], s.size[j], 10 * eps);
    for (i = 0; i < SC * SN; i++) NEAR(other.data[i], rows.data[i], 20 * eps);
    OK_OR_RETURN(cel_scaling_values(&l, CEL_UNIT_TYPICAL, other, l.cell, other));
    for (i = 0; i < SC * SN; i++)
        if (l.cell[i / SN].length > 0)
            NEAR(other.data[i], (double)x.data[i] * s.target / total[i / SN], 50 * eps * (1 + (double)x.data[i]));
    cel_scaling_free(&l);
    /* Centred data is not the logarithm of counts: no size direction. */
    for (i = 0; i < SC * SN; i++) other.data[i] = (cel_real)((double)x.data[i] - 3);
    OK_OR_RETURN(cel_scaling_fit(other, NULL, group, &o, &l, NULL));
    CHECK(l.size == NULL && l.scale != NULL);
    cel_scaling_free(&l);
    /* Asked for of what is far below any logarithm, it has a direction without an end. */
    o.size = 1;
    for (i = 0; i < SC * SN; i++) other.data[i] = (cel_real)((double)x.data[i] - 1e9 * (i % 3));
    CHECK(cel_scaling_fit(other, NULL, group, &o, &l, NULL) == CEL_ERR_DATA && !l.size);
    /* As published. */
    memset(&o, 0, sizeof o);
    o.plain = 1;
    o.target = 1e4;
    cel_mat_copy(x, other);
    cel_mat_copy(x, rows);
    OK_OR_RETURN(cel_scaling_fit(other, NULL, NULL, &o, &l, NULL));
    OK_OR_RETURN(cel_slide_scale(rows, NULL, NULL));
    OK_OR_RETURN(cel_slide_unit(rows, (uint8_t *)group, NULL, NULL));
    CHECK(!l.centre && !l.scale && !l.size && !(l.cell[9].length > 0) && !(l.cell[60].length > 0));
    for (i = 0; i < SC * SN; i++) NEAR(other.data[i], rows.data[i], 2 * eps);
    cel_scaling_free(&l);
    o.kind = CEL_KIND_UNIT;
    for (i = 0; i < SC * SN; i++) other.data[i] = (cel_real)((double)x.data[i] - 1.5);
    for (j = 0; j < SN; j++) other.data[5 * SN + j] = (cel_real)(j - SN / 2); /* sums to 0, and is a row all the same */
    cel_mat_copy(other, rows);
    OK_OR_RETURN(cel_scaling_fit(other, NULL, NULL, &o, &l, NULL));
    OK_OR_RETURN(cel_slide_unit(rows, NULL, NULL, NULL));
    CHECK(!memcmp(rows.data, other.data, SC * SN * sizeof(cel_real)));
    OK_OR_RETURN(cel_scaling_values(&l, CEL_UNIT_GIVEN, other, l.cell, other));
    CHECK(l.cell[5].length > 1);
    for (i = 6 * SN; i < SC * SN; i++) NEAR(other.data[i], (double)x.data[i] - 1.5, 10 * eps * (1 + (double)x.data[i]));
    cel_scaling_free(&l);
    cel_scaling_free(&s);
    cel_mat_free(&x);
    cel_mat_free(&rows);
    cel_mat_free(&other);
}

/* A held value is the row of the cell with that count in place of its own: the same as from the counts themselves, the
 * closed form of its coordinate, and its inverse. */
static void scaling_holds_values(void)
{
    double total[SC];
    int32_t group[SC];
    cel_mat x = scaled_counts(total, group), rows = matrix(SC, SN), y = matrix(1, SN), v = matrix(1, SN);
    cel_scaling s;
    cel_error err;
    int32_t gene[2];
    int64_t i, j;
    int k;
    cel_mat_copy(x, rows);
    OK_OR_RETURN(cel_scaling_fit(rows, total, group, NULL, &s, NULL));
    for (i = 100; i < 110; i++)
        for (k = 0; k < 5; k++) {
            static const double wanted[5][2] = {{0, 0}, {7, 1}, {0.5, 30}, {2, 0}, {1.5, 1}};
            static const cel_unit units[5] = {CEL_UNIT_GIVEN, CEL_UNIT_GIVEN, CEL_UNIT_TYPICAL, CEL_UNIT_FOLD,
                                              CEL_UNIT_LOG};
            cel_scaling_cell cell = s.cell[i], fresh;
            cel_real row[SN];
            double q[2], factor = s.target / total[i];
            gene[0] = (int32_t)(i % SN);
            gene[1] = (int32_t)((i + 5) % SN);
            memcpy(row, rows.data + i * SN, sizeof row);
            memcpy(y.data, x.data + i * SN, sizeof row);
            for (j = 0; j < 2; j++) {
                q[j] = k < 2 ? wanted[k][j] * factor : k == 2 ? wanted[k][j] : k == 4 ? expm1(wanted[k][j])
                                                     : wanted[k][j] * (double)y.data[gene[j]] * factor;
                y.data[gene[j]] = (cel_real)(q[j] / factor);
            }
            OK_OR_RETURN(cel_scaling_hold(&s, units[k], 2, gene, wanted[k], row, &cell, NULL));
            total[i] += 1000; /* more than the replaced counts, and no part of what a row is made of */
            {
                double l = s.cell[i].total;
                cel_scaling at = s;
                at.target *= (l + 1000) / l;
                OK_OR_RETURN(cel_scaling_apply(&at, y, total + i, group + i, &fresh, NULL));
            }
            total[i] -= 1000;
            for (j = 0; j < SN; j++) NEAR(row[j], y.data[j], 10 * eps);
            NEAR_REL(cell.length, fresh.length, 10 * eps);
            NEAR(cell.size, fresh.size, 10 * eps * (1 + fabs(fresh.size)));
            OK_OR_RETURN(cel_scaling_values(&s, CEL_UNIT_TYPICAL, cel_mat_view(row, 1, SN), &cell, v));
            for (j = 0; j < SN; j++) {
                double expected = j == gene[0] ? q[0] : j == gene[1] ? q[1] : (double)x.data[i * SN + j] * factor;
                NEAR(v.data[j], expected, 40 * eps * (1 + expected));
            }
        }
    /* One gene: the closed form, rising with the value and bounded; the same value changes nothing. */
    for (i = 120; i < 124; i++) {
        int32_t a = (int32_t)(i % SN);
        double w = 1 - s.size[a] * s.size[a], last = -2, x_a = (double)rows.data[i * SN + a];
        for (k = 0; k < 12; k++) {
            cel_scaling_cell cell = s.cell[i];
            cel_real row[SN];
            double value = k < 11 ? 0.5 * k * k : (double)x.data[i * SN + a], d;
            memcpy(row, rows.data + i * SN, sizeof row);
            OK_OR_RETURN(cel_scaling_hold(&s, CEL_UNIT_GIVEN, 1, &a, &value, row, &cell, NULL));
            d = (log1p(value * s.target / total[i]) - log1p((double)x.data[i * SN + a] * s.target / total[i])) /
                s.scale[a] / s.cell[i].length;
            NEAR(row[a], (x_a + d * w) / sqrt(1 + 2 * d * x_a + d * d * w), 10 * eps);
            CHECK(fabs((double)row[a]) <= sqrt(w) + eps);
            if (k < 11) CHECK((double)row[a] > last);
            else NEAR(row[a], x_a, 10 * eps);
            last = (double)row[a];
        }
    }
    {
        cel_scaling_cell cell = s.cell[100], none = s.cell[9];
        cel_real row[SN];
        double value = -1;
        memcpy(row, rows.data + 100 * SN, sizeof row);
        gene[0] = 3;
        CHECK(cel_scaling_hold(&s, CEL_UNIT_GIVEN, 1, gene, &value, row, &cell, &err) == CEL_ERR_DATA && err.gene == 3);
        value = (double)NAN;
        CHECK(cel_scaling_hold(&s, CEL_UNIT_LOG, 1, gene, &value, row, &cell, &err) == CEL_ERR_DATA && err.gene == 3);
        value = 1;
        CHECK(cel_scaling_hold(&s, CEL_UNIT_LOG, 1, gene, &value, row, &none, &err) == CEL_ERR_DATA);
        CHECK(cel_scaling_hold(&s, (cel_unit)9, 1, gene, &value, row, &cell, &err) == CEL_ERR_ARG);
        gene[0] = SN;
        CHECK(cel_scaling_hold(&s, CEL_UNIT_GIVEN, 1, gene, &value, row, &cell, &err) == CEL_ERR_ARG && err.gene == SN);
        CHECK(!memcmp(row, rows.data + 100 * SN, sizeof row) && !memcmp(&cell.length, &s.cell[100].length, 16));
    }
    cel_scaling_free(&s);
    cel_mat_free(&x);
    cel_mat_free(&rows);
    cel_mat_free(&y);
    cel_mat_free(&v);
}

static void scaling_errors(void)
{
    double total[SC];
    int32_t group[SC];
    cel_mat x = scaled_counts(total, group), copy = matrix(SC, SN);
    cel_scaling s, good;
    cel_scaling_cell cell[SC];
    cel_scaling_options o = CEL_ZERO;
    cel_error err;
    int64_t i;
    int k;
    cel_mat_copy(x, copy);
    OK_OR_RETURN(cel_scaling_fit(copy, total, group, NULL, &good, NULL));
    for (k = 0; k < 9; k++) {
        cel_status expected = k < 3 ? CEL_ERR_ARG : CEL_ERR_DATA;
        cel_mat use = x;
        double told[SC];
        memcpy(told, total, sizeof told);
        memset(&o, 0, sizeof o);
        if (k == 0) o.kind = (cel_kind)4;
        if (k == 1) o.target = (double)NAN;
        if (k == 2) use.rows = 0;
        if (k == 3) told[50] = 1;
        if (k == 4) x.data[50 * SN + 3] = -1;
        if (k == 5) x.data[50 * SN + 3] = (cel_real)INFINITY;
        if (k == 6) group[50] = SC;
        for (i = 0; k == 7 && i < SC; i++) x.data[i * SN + 3] = 0; /* gene 3 is in no cell */
        if (k == 8) told[50] = (double)NAN;
        cel_mat_copy(x, copy);
        CHECK(cel_scaling_fit(use, told, group, &o, &s, &err) == expected && err.status == expected);
        CHECK(!memcmp(x.data, copy.data, SC * SN * sizeof(cel_real)) && s.cell == NULL && s.scale == NULL);
        if (k == 7) CHECK(err.gene == 3 && err.cell == -1);
        else if (k > 2) CHECK(err.cell == 50);
        if (k == 4 || k == 5) {
            CHECK(err.gene == 3);
            CHECK(cel_scaling_apply(&good, x, told, group, cell, &err) == CEL_ERR_DATA && err.cell == 50 && err.offset == -1);
            CHECK(!(cell[3].total > 0));
        }
        x.data[50 * SN + 3] = 1;
        if (k < 7) group[50] = 1;
    }
    CHECK(cel_scaling_apply(&good, cel_mat_block(x, 0, 0, SC, 3), total, group, cell, &err) == CEL_ERR_SHAPE);
    group[50] = 3;
    CHECK(cel_scaling_apply(&good, x, total, group, cell, &err) == CEL_ERR_DATA && err.cell == 50 && err.offset == -1);
    for (i = 0; i < SC; i++) group[i] = -1;
    CHECK(cel_scaling_fit(x, NULL, group, NULL, &s, &err) == CEL_ERR_DATA);
    /* A group of one cell leaves nothing of it, not a row of rounding errors. */
    for (i = 0; i < SC; i++) group[i] = i == 50;
    OK_OR_RETURN(cel_slide_scale(x, NULL, NULL));
    o.kind = CEL_KIND_INTENSITY;
    for (i = 0; i < SC; i++) x.data[i * SN + 3] = (cel_real)(0.3 * (double)(i % 2));
    OK_OR_RETURN(cel_scaling_fit(x, NULL, group, &o, &s, &err));
    CHECK(s.groups == 2 && !(s.cell[50].length > 0) && s.cell[51].length > 0 && s.size == NULL && !s.log);
    cel_scaling_free(&s);
    cel_scaling_free(&good);
    cel_mat_free(&x);
    cel_mat_free(&copy);
}

static void scaling_threads(void)
{
#if defined(_OPENMP)
    enum { CELLS = 9000, GENES = 40 };
    cel_mat x = counts(13, CELLS, GENES), y[2];
    static int32_t group[CELLS];
    cel_scaling s[2];
    int threads = omp_get_max_threads(), t;
    int64_t i;
    for (i = 0; i < CELLS; i++) {
        group[i] = (int32_t)(i % 5);
        x.data[i * GENES] = x.data[i * GENES + 2] = (cel_real)(i % 3); /* in no cell elsewhere */
    }
    for (t = 0; t < 2; t++) {
        y[t] = matrix(CELLS, GENES);
        cel_mat_copy(x, y[t]);
        omp_set_num_threads(t + 1);
        OK_OR_RETURN(cel_scaling_fit(y[t], NULL, group, NULL, s + t, NULL));
    }
    omp_set_num_threads(threads);
    CHECK(!memcmp(y[0].data, y[1].data, CELLS * GENES * sizeof(cel_real)));
    CHECK(!memcmp(s[0].centre, s[1].centre, 5 * GENES * sizeof(double)));
    CHECK(!memcmp(s[0].scale, s[1].scale, GENES * sizeof(double)));
    CHECK(!memcmp(s[0].size, s[1].size, GENES * sizeof(double)));
    for (t = 0; t < 2; t++) {
        cel_scaling_free(s + t);
        cel_mat_free(y + t);
    }
    cel_mat_free(&x);
#else
    SKIP("no OpenMP");
#endif
}

static int write_doubles(const char *name, const double *data, int64_t rows, int64_t cols)
{
    char path[1024];
    int64_t shape[2];
    cel_npy a;
    shape[0] = rows;
    shape[1] = cols;
    a = cel_npy_describe('f', 8, cols ? 2 : 1, shape, data);
    snprintf(path, sizeof path, "%s/%s.npy", test_tmp(), name);
    return CHECK(cel_npy_write(path, &a, NULL) == CEL_OK);
}

/* The rows and u of the reference program beside COUNTS.md, and its rows of intensities. */
static void scaling_is_the_reference(void)
{
    static const char program[] =
        "/usr/bin/python3 -c \"import sys,numpy as np\n"
        "sys.path.insert(0,'%s'); sys.dont_write_bytecode=True\n"
        "from counts_reference import rows,intensity_rows\n"
        "d='%s/'; y,l,g=[np.load(d+f+'.npy') for f in ('ref_y','ref_l','ref_g')]\n"
        "x,u=rows(y,l,g); m=np.sqrt(y.shape[1]-1)\n"
        "np.save(d+'ref_x.npy',x/m); np.save(d+'ref_u.npy',u[None])\n"
        "for k in (0,1): np.save(d+'ref_i%%d.npy'%%k,intensity_rows(y,g,k)/np.sqrt(y.shape[1]))\" 2>/dev/null";
    double total[SC], y[SC * SN], l[SC], g[SC];
    int32_t group[SC];
    char text[4096];
    cel_mat x, rows, expected;
    cel_scaling s;
    int64_t i, j, kept = 0;
    int k;
    if (!test_shared()) SKIP("no ../shared");
    x = scaled_counts(total, group);
    for (i = 0; i < SC; i++) {
        if (!(total[i] > 0) || group[i] < 0) continue; /* the reference takes no cells without counts */
        l[kept] = total[i];
        g[kept] = group[i];
        group[kept] = group[i];
        for (j = 0; j < SN; j++) y[kept * SN + j] = (double)(x.data[kept * SN + j] = x.data[i * SN + j]);
        kept++;
    }
    x.rows = kept;
    if (!write_doubles("ref_y", y, kept, SN)) return;
    if (!write_doubles("ref_l", l, kept, 0) || !write_doubles("ref_g", g, kept, 0)) return;
    snprintf(text, sizeof text, program, test_shared(), test_tmp());
    if (system(text)) {
        cel_mat_free(&x);
        SKIP("no python3 with numpy");
    }
    rows = matrix(kept, SN);
    for (k = -1; k < 2; k++) {
        cel_scaling_options o = CEL_ZERO;
        if (k >= 0) o.kind = CEL_KIND_INTENSITY;
        o.log = k > 0;
        snprintf(text, sizeof text, k < 0 ? "%s/ref_x.npy" : "%s/ref_i%d.npy", test_tmp(), k);
        OK_OR_RETURN(cel_npy_matrix(text, &expected, NULL));
        cel_mat_copy(x, rows);
        OK_OR_RETURN(cel_scaling_fit(rows, l, group, &o, &s, NULL));
        for (i = 0; i < kept * SN; i++) NEAR(rows.data[i], expected.data[i], sizeof(cel_real) == 8 ? 1e-12 : 1e-6);
        cel_mat_free(&expected);
        if (k < 0) {
            snprintf(text, sizeof text, "%s/ref_u.npy", test_tmp());
            OK_OR_RETURN(cel_npy_matrix(text, &expected, NULL));
            for (j = 0; j < SN; j++) NEAR(s.size[j], expected.data[j], sizeof(cel_real) == 8 ? 1e-12 : 1e-7);
            cel_mat_free(&expected);
        }
        cel_scaling_free(&s);
    }
    cel_mat_free(&x);
    cel_mat_free(&rows);
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
    volatile double s = 0; /* rounded as the library's are once they are stored, also by x87 */
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

/* As many and as far as those marked: all that can be asked of x87, whose excess digits part what is as far. */
static void check_row_far(cel_mat c, const cel_csr *g, int64_t i, const char *mark)
{
    double expected = 0, found = 0;
    int64_t j, e = g->start[i + 1] - g->start[i];
    for (j = 0; j < g->cols; j++) {
        if (mark[j]) expected += distance2(c, i, j);
        e -= mark[j];
    }
    for (j = g->start[i]; j < g->start[i + 1]; j++) found += distance2(c, i, g->index[j]);
    CHECK(e == 0);
    NEAR(found, expected, 1e-12 * expected);
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
                        if (FLT_EVAL_METHOD == 2) check_row_far(c, &g, i, mark);
                        else check_row(&g, i, mark);
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
                    OK_OR_RETURN(cel_graph_radius(c, slides ? slide : NULL, inner[r], outer[r], 0, &g, NULL));
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
                OK_OR_RETURN(cel_graph_radius(c, NULL, 0, 1e-3, 0, &g, NULL));
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
    CHECK(cel_graph_knn(c, NULL, 20, 0, &g, &err) == CEL_ERR_DATA && err.cell == 0 && err.offset == -1 && g.start == NULL);
    for (i = 11; i < 15; i++) slide[i] = 4;
    CHECK(cel_graph_knn(c, slide, 4, 0, &g, &err) == CEL_ERR_DATA && err.cell == 11 && err.offset == -1);
    OK_OR_RETURN(cel_graph_knn(c, slide, 3, 0, &g, &err));
    cel_csr_free(&g);
    slide[6] = 20;
    CHECK(cel_graph_knn(c, slide, 3, 0, &g, &err) == CEL_ERR_DATA && err.cell == 6 && err.offset == -1);
    slide[6] = -1;
    CHECK(cel_graph_radius(c, slide, 0, 1, 0, &g, &err) == CEL_ERR_DATA && err.cell == 6 && err.offset == -1 && g.start == NULL);
    CHECK(cel_graph_order(c, slide, slide, &err) == CEL_ERR_DATA);
    CHECK(cel_graph_knn(wide, NULL, 1, 0, &g, &err) == CEL_ERR_SHAPE && g.start == NULL);
    CHECK(cel_graph_radius(c, NULL, 1, 1, 0, &g, &err) == CEL_ERR_ARG);
    CHECK(cel_graph_radius(c, NULL, -1, 1, 0, &g, &err) == CEL_ERR_ARG);
    CHECK(cel_graph_radius(c, NULL, 0, (double)NAN, 0, &g, &err) == CEL_ERR_ARG);
    c.data[2 * 13 + 1] = (cel_real)NAN;
    CHECK(cel_graph_knn(c, NULL, 2, 0, &g, &err) == CEL_ERR_DATA && err.cell == 13 && err.offset == -1 && err.gene == 1);
    c.data[2 * 13 + 1] = (cel_real)INFINITY;
    CHECK(cel_graph_radius(c, NULL, 0, 2, 0, &g, &err) == CEL_ERR_DATA && err.cell == 13 && err.offset == -1 && err.gene == 1);
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
            if (which) OK_OR_RETURN(cel_graph_radius(c, NULL, 0, 2e-5, 0, g + t, NULL));
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
    OK_OR_RETURN(cel_csr_groups(label, 9, 5, start, list, NULL));
    CHECK(!memcmp(list, expected, sizeof list));
    CHECK(start[0] == 0 && start[1] == 3 && start[2] == 3 && start[3] == 6 && start[4] == 9 && start[5] == 9);
    label[4] = 5;
    CHECK(cel_csr_groups(label, 9, 5, start, list, &err) == CEL_ERR_ARG && err.cell == 4 && err.offset == -1);
    label[4] = -1;
    CHECK(cel_csr_groups(label, 9, 5, start, list, &err) == CEL_ERR_ARG && err.cell == 4 && err.offset == -1);
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
    OK_OR_RETURN(cel_csr_groups(tile, CELLS, made, start, list, NULL));
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
    CHECK(cel_slide_tiles(c, slide, 2, tile, &made, &err) == CEL_ERR_DATA && err.cell == 2 && err.offset == -1 && made == 0);
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
    OK_OR_RETURN(cel_graph_radius(c, NULL, 0, sqrt(distance2(c, 0, g[0].index[0])), 0, g + 1, NULL));
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

/* Weights that fade with distance, within a radius. */
static void decay(void)
{
    cel_mat c = places(RANDOM, 21, 400, 3);
    cel_csr one, faded;
    cel_graph_options options = CEL_ZERO;
    int64_t i, e;
    OK_OR_RETURN(cel_graph_radius(c, NULL, 0.05, 0.3, 0, &one, NULL));
    OK_OR_RETURN(cel_graph_radius(c, NULL, 0.05, 0.3, 0.12, &faded, NULL));
    CHECK(cel_csr_count(&one) > 1000 && cel_csr_count(&one) == cel_csr_count(&faded) && cel_csr_is_symmetric(&faded));
    for (i = 0; i < 400; i++)
        for (e = one.start[i]; e < one.start[i + 1]; e++) {
            CHECK(one.index[e] == faded.index[e]);
            NEAR(one.value[e], 1, 0);
            NEAR(faded.value[e], exp(-distance2(c, i, one.index[e]) / (0.12 * 0.12)), eps);
        }
    cel_csr_free(&one);
    options.inner = 0.05;
    options.radius = 0.3;
    options.decay = 0.12;
    OK_OR_RETURN(cel_graph_make(c, NULL, &options, &one, NULL));
    CHECK(!memcmp(one.value, faded.value, (size_t)cel_csr_count(&faded) * sizeof(cel_real)));
    cel_csr_free(&one);
    cel_csr_free(&faded);
    options.radius = options.inner = 0; /* the nearest do not fade */
    CHECK(cel_graph_make(c, NULL, &options, &one, NULL) == CEL_ERR_ARG);
    memset(&options, 0, sizeof options);
    options.decay = -1; /* nothing is ignored */
    CHECK(cel_graph_make(c, NULL, &options, &one, NULL) == CEL_ERR_ARG);
    CHECK(cel_graph_radius(c, NULL, 0, 1, -1, &one, NULL) == CEL_ERR_ARG);
    CHECK(cel_graph_radius(c, NULL, 0, 1, (double)NAN, &one, NULL) == CEL_ERR_ARG);
    cel_mat_free(&c);
}

static void graph_report(void)
{
    enum { CELLS = 101 };
    cel_mat c = places(RANDOM, 22, CELLS, 2);
    int32_t slide[CELLS] = {0};
    double nearest[CELLS];
    cel_csr g;
    cel_graph_report r;
    cel_error err;
    int64_t i, j;
    slide[100] = 1; /* alone: no nearest cell */
    for (j = 0; j < 2; j++) c.data[2 * 7 + j] = c.data[2 * 90 + j] = c.data[2 * 30 + j];
    for (i = 0; i < 100; i++)
        for (nearest[i] = HUGE_VAL, j = 0; j < 100; j++)
            if (j != i && sqrt(distance2(c, i, j)) < nearest[i]) nearest[i] = sqrt(distance2(c, i, j));
    qsort(nearest, 100, sizeof *nearest, by_value);
    OK_OR_RETURN(cel_graph_radius(c, slide, 0, 0.15, 0, &g, NULL));
    OK_OR_RETURN(cel_graph_describe(c, slide, &g, &r, NULL));
    NEAR(r.nearest, (nearest[49] + nearest[50]) / 2, 1e-12);
    NEAR(r.mean, (double)cel_csr_count(&g) / CELLS, 1e-9);
    CHECK(r.coinciding == 3 && r.isolated >= 1 && r.most >= 6);
    CHECK(r.resolution > 0 && r.resolution < 1.2e-7);
    for (i = 0; i < 2 * CELLS; i++) c.data[i] += (cel_real)1e8; /* in float, most places fall together */
    OK_OR_RETURN(cel_graph_describe(c, NULL, NULL, &r, NULL));
    if (sizeof(cel_real) == 4) CHECK(r.coinciding == CELLS && r.resolution > 1 && !(r.nearest > 0));
    c.data[9] = (cel_real)NAN;
    CHECK(cel_graph_describe(c, NULL, &g, &r, &err) == CEL_ERR_DATA && err.cell == 4 && err.offset == -1 && !(r.resolution > 0));
    g.rows = 3;
    CHECK(cel_graph_describe(c, NULL, &g, &r, &err) == CEL_ERR_SHAPE);
    if (sizeof(cel_real) == 8) {
        c.data[9] = (cel_real)1e200; /* its square is no double */
        CHECK(cel_graph_knn(c, NULL, 2, 0, &g, &err) == CEL_ERR_DATA && err.cell == 4 && err.offset == -1 && err.gene == 1);
    }
    g.rows = CELLS;
    cel_csr_free(&g);
    cel_mat_free(&c);
}

void suite_tissue(void)
{
    RUN(scale_and_log);
    RUN(unit_rows);
    RUN(bad_values);
    RUN(variable_genes);
    RUN(variable_errors);
    RUN(H15_rows_of_any_size_become_unit);
    RUN(H24_unit_leaves_rows_alone_on_error);
    RUN(H24_groups_and_tiles_are_zeroed_on_error);
    RUN(describe);
    RUN(genes_to_keep);
    RUN(scaling_by_definition);
    RUN(scaling_kinds_agree);
    RUN(scaling_holds_values);
    RUN(scaling_errors);
    RUN(scaling_threads);
    RUN(scaling_is_the_reference);
    RUN(nearest);
    RUN(within);
    RUN(crowds);
    RUN(graph_errors);
    RUN(decay);
    RUN(graph_report);
    RUN(graph_threads);
    RUN(hexagonal);
    RUN(types);
    RUN(groups);
    RUN(tiles);
    RUN(order);
    RUN(walk);
    RUN(slide_prepare_takes_the_totals);
}
