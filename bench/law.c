/* The law that generates the tissue: forces by score matching, by maximum likelihood, and as published, each asked for a
 * fresh tissue of the same cells (a new seed, 200 sweeps, from noise), whose statistics stand beside the real slide's.
 *
 *   build/truth_law [--data DIR] [--csv FILE] [--quick] [EXPERIMENT ..]     EXPERIMENT: check recovery knockout time
 *
 * SPDX-License-Identifier: MIT */
#include "truth.h"

enum { TOP = 60, SLIDES = 5 };
static const char *const slide_name[SLIDES + 1] = {"osmfish_cortex", "merfish_mpoa",      "xenium_breast",
                                                   "st_bcl4",        "st_her2_36slides", NULL};

/* ---- what a tissue looks like ---- */

typedef struct looks {
    int64_t genes;
    double *mean, *deviation, *moran, *within, *between; /* of x, (n) thrice and (n x n) twice */
} looks;

/* Of any matrix of cells x genes; Moran's I in units of the mean weight of a cell. */
static looks look_at(cel_mat x, const cel_relations *relations)
{
    int64_t n = x.cols, a, i;
    cel_moments m;
    looks l;
    const cel_csr *w = relations->at[1].w;
    double weight = 0;
    for (i = 0; i < w->start[x.rows]; i++) weight += (double)w->value[i] / (double)x.rows;
    l.genes = n;
    l.mean = (double *)get(3 * n + 2 * n * n, sizeof(double));
    l.deviation = l.mean + n;
    l.moran = l.mean + 2 * n;
    l.within = l.mean + 3 * n;
    l.between = l.within + n * n;
    check(cel_moments_new(n, relations, &m), "moments");
    check(cel_moments_add(&m, relations, x, NULL, 0, NULL), "moments");
    check(cel_moments_correlate(&m, 1, l.mean, l.deviation, l.moran, l.within, l.between), "moments");
    for (a = 0; a < n; a++) l.moran[a] /= weight;
    cel_moments_free(&m);
    return l;
}
/* Correlation and slope of drawn on real, over the pairs of genes off the diagonal. */
static double pairs_agree(int64_t n, const double *real, const double *drawn, double *slope)
{
    double *x = (double *)get(2 * n * n, sizeof(double)), *y = x + n * n, r;
    int64_t a, b, k = 0;
    for (a = 0; a < n; a++)
        for (b = 0; b < n; b++)
            if (a != b) x[k] = real[a * n + b], y[k++] = drawn[a * n + b];
    r = pearson(x, y, k, slope);
    free(x);
    return r;
}
static void compare_looks(const char *setting, const char *method, const looks *real, const looks *drawn)
{
    int64_t n = real->genes;
    double slope;
    value("check", setting, method, "rows", "moran_r", pearson(real->moran, drawn->moran, n, NULL));
    value("check", setting, method, "rows", "moran_real", quantile(real->moran, n, 0.5));
    value("check", setting, method, "rows", "moran_drawn", quantile(drawn->moran, n, 0.5));
    value("check", setting, method, "rows", "within_r", pairs_agree(n, real->within, drawn->within, &slope));
    value("check", setting, method, "rows", "within_slope", slope);
    value("check", setting, method, "rows", "between_r", pairs_agree(n, real->between, drawn->between, &slope));
    value("check", setting, method, "rows", "between_slope", slope);
}

/* ---- fresh tissue ---- */

enum { SCORE, LIKELIHOOD, PUBLISHED, METHODS };
static const char *const method_name[METHODS + 1] = {"score", "likelihood", "published", NULL};

/* Forces in genes' coordinates, and the law they are used with: rows without u, means of slides held near 0. */
static cel_mat fresh(const cel_model *model, const double *size, int centred, const slide *s, uint64_t seed)
{
    int64_t n = model->genes;
    cel_mat basis = new_mat(n, n - 1), x, out = new_mat(s->x.rows, n);
    cel_sample_options o = CEL_ZERO;
    cel_model small;
    check(cel_model_reduce(model, size, basis, &small), "model");
    x = new_mat(s->x.rows, n - 1);
    o.seed = seed;
    o.stream = 1;
    o.sweeps = 150;
    o.thin = 150;
    o.centred = centred;
    o.slide = s->part;
    cel_sample_uniform(seed, 0, 0, x);
    check(cel_sample_run(&small, &s->relations, &o, x, NULL, NULL, NULL), "sample");
    check(cel_mat_gemm(0, 1, 1, x, basis, 0, out, NULL), "rows");
    cel_mat_free(&x);
    cel_mat_free(&basis);
    cel_model_free(&small);
    return out;
}
/* The published fit on rows as published, and its generator from noise. */
static cel_mat published(const slide *s, cel_mat rows)
{
    int64_t n = rows.cols, k;
    cel_moments m;
    cel_model model;
    cel_mat angles = new_mat(rows.rows, n - 1), x = new_mat(rows.rows, n);
    check(cel_moments_new(n, &s->relations, &m), "moments");
    check(cel_moments_add(&m, &s->relations, rows, NULL, 0, NULL), "moments");
    check(cel_model_new(n, 2, 0, &model), "model");
    check(cel_paper_start(1, &model), "start");
    check(cel_paper_fit(&m, 1, NULL, &model, NULL, NULL, NULL), "published fit");
    cel_paper_noise_angles(1, 3.14159265358979323846, 1.57079632679489661923, angles);
    check(cel_paper_generate(&model, &s->relations, NULL, angles, x, NULL, NULL, NULL), "published generator");
    for (k = 0; k < 1; k++) cel_moments_free(&m);
    cel_model_free(&model);
    cel_mat_free(&angles);
    return x;
}

/* ---- counts ---- */

/* Counts of rows. INVERSE: values as measured, by the scaling's inverse at each cell's own total, made whole at random so
 * that the mean stays: the law is that of rows as they were measured, with the noise of counting in them. POISSON: a draw
 * about them, which has that noise twice. LEVELS: a law of pairs says nothing of the shape of one gene's values, so the
 * drawn rows give the order only: of each gene, cells of like total take the counts that such cells have on the real
 * slide, the least the least. Zeros and Fano factors are then the slide's; where they are is the law's. */
enum { INVERSE, POISSON, LEVELS, WAYS, BINS = 16 };
static const char *const way_name[WAYS] = {"counts by inverse", "counts by Poisson", "counts by levels"};

static int64_t *order_by(const double *key, int64_t count)
{
    ranked *r = (ranked *)get(count, sizeof(ranked));
    int64_t *order = (int64_t *)get(count, sizeof(int64_t)), i;
    for (i = 0; i < count; i++) r[i].key = key[i], r[i].at = i;
    qsort(r, (size_t)count, sizeof(ranked), by_key);
    for (i = 0; i < count; i++) order[i] = r[i].at;
    free(r);
    return order;
}
static void take_levels(cel_mat y, cel_mat real, const double *total)
{
    int64_t S = y.rows, *by_total = order_by(total, S), b, k, i;
    double *drawn = (double *)get(2 * S, sizeof(double)), *seen = drawn + S;
    for (b = 0; b < BINS; b++) {
        int64_t first = b * S / BINS, count = (b + 1) * S / BINS - first;
        for (k = 0; k < y.cols; k++) {
            int64_t *order;
            for (i = 0; i < count; i++) {
                drawn[i] = (double)y.data[by_total[first + i] * y.stride + k];
                seen[i] = (double)real.data[by_total[first + i] * real.stride + k];
            }
            qsort(seen, (size_t)count, sizeof(double), ascending);
            order = order_by(drawn, count);
            for (i = 0; i < count; i++) y.data[by_total[first + order[i]] * y.stride + k] = (cel_real)seen[i];
            free(order);
        }
    }
    free(by_total);
    free(drawn);
}
static cel_mat counts_of(const slide *s, const fitted *f, cel_mat rows, int how, uint64_t seed)
{
    cel_mat y = new_mat(rows.rows, rows.cols);
    int64_t i, k;
    check(cel_scaling_values(&f->scaling, CEL_UNIT_GIVEN, rows, f->scaling.cell, y), "values");
    if (how == LEVELS) take_levels(y, s->x, s->total);
    for (i = 0; i < y.rows && how != LEVELS; i++) {
        cel_rng rng = cel_rng_at(seed, 20, (uint32_t)i, 0);
        for (k = 0; k < y.cols; k++) {
            double at = (double)y.data[i * y.stride + k];
            if (how == POISSON) y.data[i * y.stride + k] = (cel_real)cel_rng_poisson(&rng, at);
            else y.data[i * y.stride + k] = (cel_real)(at > 0 ? floor(at + cel_rng_uniform(&rng)) : 0);
        }
    }
    return y;
}
/* Share of zeros and Fano factor of each gene (n) each; counts become their log1p. */
static void look_at_counts(cel_mat y, double *zeros, double *fano)
{
    int64_t i, k;
    for (k = 0; k < y.cols; k++) {
        double sum = 0, square = 0, S = (double)y.rows;
        zeros[k] = 0;
        for (i = 0; i < y.rows; i++) {
            cel_real *v = y.data + i * y.stride + k;
            zeros[k] += (double)*v > 0 ? 0 : 1 / S;
            sum += (double)*v / S;
            square += (double)*v * (double)*v / S;
            *v = (cel_real)log1p((double)*v);
        }
        fano[k] = sum > 0 ? (square - sum * sum) / sum : 0;
    }
}
static void compare_counts(const slide *s, const fitted *f, cel_mat rows, const char *setting, const char *method)
{
    int64_t n = rows.cols, k;
    double *real = (double *)get(4 * n, sizeof(double)), *drawn = real + 2 * n;
    cel_mat y = new_mat(rows.rows, n);
    looks a, b;
    int how;
    check(cel_mat_copy(s->x, y), "copy");
    look_at_counts(y, real, real + n);
    a = look_at(y, &s->relations);
    for (how = 0; how < WAYS; how++) {
        cel_mat z = counts_of(s, f, rows, how, 5);
        double off = 0;
        look_at_counts(z, drawn, drawn + n);
        b = look_at(z, &s->relations);
        for (k = 0; k < n; k++) off += fabs(real[k] - drawn[k]) / (double)n;
        value("check", setting, method, way_name[how], "zeros_off", off);
        value("check", setting, method, way_name[how], "fano_r", pearson(real + n, drawn + n, n, NULL));
        value("check", setting, method, way_name[how], "moran_r", pearson(a.moran, b.moran, n, NULL));
        value("check", setting, method, way_name[how], "mean_r", pearson(a.mean, b.mean, n, NULL));
        free(b.mean);
        cel_mat_free(&z);
    }
    free(a.mean);
    cel_mat_free(&y);
    free(real);
}

/* ---- real slides ---- */

/* whole -1, or the left (0) or right (1) half. */
static slide real_slide(int k, int half)
{
    static const int64_t tiles[SLIDES] = {6, 6, 6, 3, 2};
    slide s = load_slide(slide_name[k]);
    int64_t i;
    keep_genes(&s, TOP, CEL_GENES_MEAN);
    if (half >= 0) {
        uint8_t *keep = (uint8_t *)get(s.x.rows, 1);
        double *at = (double *)get(s.x.rows, sizeof(double)), middle;
        for (i = 0; i < s.x.rows; i++) at[i] = (double)s.coords.data[i * s.coords.stride];
        middle = quantile(at, s.x.rows, 0.5);
        for (i = 0; i < s.x.rows; i++) keep[i] = (at[i] >= middle) == half;
        keep_cells(&s, keep);
        free(keep);
        free(at);
    }
    neighbours(&s, 6, tiles[k]);
    return s;
}
/* The likelihood fit on the recommended rows, from the recommended forces. */
static void learn(const slide *s, const fitted *f, cel_model *out, cel_likelihood_report *report)
{
    cel_likelihood_options o = CEL_ZERO;
    cel_error err = CEL_ZERO;
    o.size = f->scaling.size;
    o.centred = 1;
    o.slide = s->part;
    if (cel_likelihood_fit(&s->relations, f->rows, &o, out, report, &err)) check(err.status, err.what);
}
static void check_law(const cel_model *m, const fitted *of, int method, const slide *s, const fitted *f, const char *setting)
{
    cel_mat x = fresh(m, of->scaling.size, method == LIKELIHOOD, s, 99);
    looks real = look_at(f->rows, &s->relations), drawn = look_at(x, &s->relations);
    compare_looks(setting, method_name[method], &real, &drawn);
    compare_counts(s, f, x, setting, method_name[method]);
    free(real.mean);
    free(drawn.mean);
    cel_mat_free(&x);
}
static void check_slide(int k)
{
    int half;
    char name[64];
    for (half = -1; half < (k < 3 && !quick ? 1 : 0); half++) {
        slide s = real_slide(k, half), t;
        fitted f, g;
        cel_model law;
        cel_likelihood_report r;
        double start = clock_of(2);
        cel_mat rows, x;
        looks real, drawn;
        recommended(&s, CEL_KIND_COUNTS, 0, NULL, 0, &f);
        snprintf(name, sizeof name, "%s%s", slide_name[k], half < 0 ? "" : ", left half");
        check_law(&f.model, &f, SCORE, &s, &f, name);
        start = clock_of(2);
        learn(&s, &f, &law, &r);
        value("check", name, "likelihood", "fit", "seconds", clock_of(2) - start);
        value("check", name, "likelihood", "fit", "within_two_errors", r.within);
        value("check", name, "likelihood", "fit", "gap_over_noise", r.gap / r.noise);
        value("check", name, "likelihood", "fit", "steps", (double)r.steps);
        check_law(&law, &f, LIKELIHOOD, &s, &f, name);
        rows = log_rows(&s, 0);
        x = published(&s, rows);
        real = look_at(rows, &s.relations);
        drawn = look_at(x, &s.relations);
        compare_looks(name, "published", &real, &drawn);
        free(real.mean);
        free(drawn.mean);
        cel_mat_free(&rows);
        cel_mat_free(&x);
        if (half == 0) {
            t = real_slide(k, 1);
            recommended(&t, CEL_KIND_COUNTS, 0, NULL, 0, &g);
            snprintf(name, sizeof name, "%s, left to right", slide_name[k]);
            check_law(&f.model, &f, SCORE, &t, &g, name);
            check_law(&law, &f, LIKELIHOOD, &t, &g, name);
            free_fitted(&g);
            free_slide(&t);
        }
        cel_likelihood_report_free(&r);
        cel_model_free(&law);
        free_fitted(&f);
        free_slide(&s);
    }
}
static void check_all(void)
{
    int k;
    for (k = 0; k < (quick ? 1 : SLIDES); k++)
        if (have_data(slide_name[k])) check_slide(k);
}

int main(int argc, char **argv)
{
    static const experiment all[] = {{"check", check_all}, {NULL, NULL}};
    run_experiments(argc, argv, all);
    return 0;
}
