/* The law that generates the tissue: forces by score matching, by maximum likelihood, and as published, each asked for
 * a fresh tissue of the same cells (a new seed, 200 sweeps, from noise): its statistics stand beside the real slide's.
 *
 *   build/truth_law [--data DIR] [--csv FILE] [--quick] [EXPERIMENT ..]     EXPERIMENT: check known
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

/* Counts of rows. INVERSE: values as measured, by the scaling's inverse at each cell's own total, made whole at random
 * so that the mean stays: the law is that of rows as they were measured, with the noise of counting in them. POISSON:
 * a draw about them, which has that noise twice. LEVELS: a law of pairs says nothing of the shape of one gene's values,
 * so the drawn rows give the order only: of each gene, cells of like total take the counts that such cells have on the
 * real slide, the least the least. Zeros and Fano factors are then the slide's; where they are is the law's. */
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
static void check_law(const cel_model *m, const fitted *of, int method, const slide *s, const fitted *f,
                      const char *setting)
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

/* ---- known forces: recovery, and what a knock-out does ---- */

typedef struct known {
    setting set;
    double counts; /* a cell; 0: seen without noise */
} known;
static const known tissues[] = {
    {{"n10 hex, clean", NULL, 10, 50, 3, 1, 0, 0, 1}, 0},
    {{"n30 hex, clean", NULL, 30, 50, 5, 0.3, 0, 0, 1}, 0},
    {{"n30 hex, 300 counts", NULL, 30, 60, 5, 0.3, 0, 0, 1}, 300},
    {{"n30 hex, 1000 counts", NULL, 30, 60, 5, 0.3, 0, 0, 1}, 1000},
    {{"n60 hex, 1000 counts", NULL, 60, 60, 8, 0.15, 0, 0, 1}, 1000},
};
enum { TISSUES = sizeof tissues / sizeof tissues[0], SEEDS = 3 };

/* The tissue, and, where there are counts, what is seen of it: as in counts.c. */
static slide tissue_of(const known *k, uint64_t seed, cel_model *truth, cel_mat *rows)
{
    slide s = hexagonal(k->set.side, k->set.genes);
    double mu[64], total = 0, root = sqrt((double)k->set.genes);
    cel_rng rng = cel_rng_at(seed, 110, 0, 0);
    int64_t i, j, n = k->set.genes;
    relate(&s);
    plant(&k->set, seed, truth);
    draw(&k->set, seed, truth, &s);
    *rows = new_mat(s.x.rows, n);
    check(cel_mat_copy(s.x, *rows), "copy");
    tile_slide(&s, 6);
    if (!(k->counts > 0)) return s;
    for (j = 0; j < n; j++) mu[j] = pow(10, 2 * cel_rng_uniform(&rng));
    for (i = 0; i < s.x.rows; i++)
        for (j = 0; j < n; j++) total += mu[j] * exp(0.8 * root * (double)s.x.data[i * n + j]) / (double)s.x.rows;
    s.total = (double *)get(s.x.rows, sizeof(double));
    for (i = 0; i < s.x.rows; i++) {
        double size;
        rng = cel_rng_at(seed, 111, (uint32_t)i, 0);
        size = exp(0.5 * cel_rng_normal(&rng)) * k->counts / total;
        for (j = 0; j < n; j++) {
            cel_real *at = s.x.data + i * n + j;
            *at = (cel_real)cel_rng_poisson(&rng, size * mu[j] * exp(0.8 * root * (double)*at));
            s.total[i] += (double)*at;
        }
        if (!(s.total[i] > 0)) s.total[i] = s.x.data[i * n] = 1; /* a cell a million: none is dropped */
    }
    return s;
}
/* Both laws of what was seen; forces to be judged (2n x n). */
static void both_laws(const known *k, const slide *s, fitted *score, cel_model *law, cel_mat force[2])
{
    cel_likelihood_options o = CEL_ZERO;
    cel_likelihood_report r;
    int64_t n = k->set.genes;
    if (k->counts > 0) recommended(s, CEL_KIND_COUNTS, 0, NULL, 0, score);
    else {
        cel_mat rows = new_mat(s->x.rows, n);
        check(cel_mat_copy(s->x, rows), "copy");
        plain_fit(s, rows, CEL_SCORE_AUTO, score);
    }
    o.size = score->scaling.size;
    o.centred = k->counts > 0;
    check(cel_likelihood_fit(&s->relations, score->rows, &o, law, &r, NULL), "likelihood");
    force[0] = new_mat(2 * n, n);
    force[1] = new_mat(2 * n, n);
    check(cel_mat_copy(score->force, force[0]), "copy");
    check(cel_mat_copy(k->counts > 0 ? r.partial : law->force, force[1]), "copy");
    cel_likelihood_report_free(&r);
}

/* Off-diagonal agreement with the truth, intra and inter. */
static void judge_forces(const cel_model *truth, cel_mat force, double out[2])
{
    int64_t n = truth->genes, r;
    double *a = (double *)get(2 * n * n, sizeof(double)), *b = a + n * n;
    for (r = 0; r < 2; r++) {
        int64_t count = upper(cel_model_force(truth, r), a);
        upper(cel_model_part(force, r), b);
        out[r] = pearson(a, b, count, NULL);
    }
    free(a);
}

/* Gene 0 held low (counts: at none, else one and a half deviations below its mean) in 40 cells far apart; effects on
 * the other genes in these cells and next to them, mean over cells (2 (n - 1)); the sham's drift over their size. */
static double *knock_out(const cel_model *model, const slide *s, cel_mat rows, const cel_scaling *scaling,
                         double *drift)
{
    enum { CELLS = 40 };
    int64_t n = rows.cols, j, side = (int64_t)(sqrt((double)rows.rows) + 0.5);
    int32_t cells[CELLS];
    cel_intervention what = CEL_ZERO;
    cel_perturb_setup setup = CEL_ZERO;
    cel_perturb_options o = CEL_ZERO;
    cel_tissue tissue = CEL_ZERO;
    cel_perturb plan;
    cel_effect effect;
    cel_model law = CEL_ZERO;
    double *out = (double *)get(2 * (n - 1), sizeof(double));
    int k, hop;
    for (k = 0; k < CELLS; k++) cells[k] = (int32_t)((3 + k / 7 * 8) * side + 3 + k % 7 * 7);
    what.cells = cells;
    what.count = CELLS;
    what.value = scaling ? 0 : -1.5 / sqrt((double)n);
    check(cel_model_new(n, 2, 0, &law), "model");
    check(cel_mat_copy(model->force, law.force), "model");
    if (scaling) {
        setup.scaling = scaling;
        setup.cell = scaling->cell;
        setup.unit = CEL_UNIT_TYPICAL;
        check(cel_model_confine(&law, scaling->size), "model");
    }
    tissue.x = rows;
    tissue.relations = &s->relations;
    o.seed = 9;
    setup.reach = 2;
    check(cel_perturb_new(&law, &tissue, &what, 1, &setup, &plan, NULL), "perturb");
    check(cel_perturb_run(&plan, &o, &effect, NULL), "perturb");
    for (hop = 0; hop < 2; hop++)
        for (j = 1; j < n; j++) out[hop * (n - 1) + j - 1] = effect.table[0].mean[hop * effect.table[0].columns + j];
    *drift = effect.drift / effect.size;
    cel_effect_free(&effect);
    cel_perturb_free(&plan);
    cel_model_free(&law);
    return out;
}

typedef struct known_result {
    double force[2][2];   /* [score, likelihood][intra, inter] */
    double r[2], slope[2], off[2], drift[3]; /* of effects against the truth's; drift: truth, score, likelihood */
} known_result;

static known_result try_known(const known *k, uint64_t seed)
{
    known_result out;
    cel_model truth, law;
    cel_mat rows, force[2];
    slide s = tissue_of(k, seed, &truth, &rows);
    fitted score;
    int64_t n = k->set.genes, j;
    double *real, *drawn;
    int m;
    both_laws(k, &s, &score, &law, force);
    real = knock_out(&truth, &s, rows, NULL, &out.drift[0]);
    for (m = 0; m < 2; m++) {
        double square = 0, off = 0;
        judge_forces(&truth, force[m], out.force[m]);
        drawn = knock_out(m ? &law : &score.model, &s, score.rows, k->counts > 0 ? &score.scaling : NULL,
                          &out.drift[1 + m]);
        out.r[m] = pearson(real, drawn, 2 * (n - 1), &out.slope[m]);
        for (j = 0; j < 2 * (n - 1); j++)
            square += real[j] * real[j], off += (real[j] - drawn[j]) * (real[j] - drawn[j]);
        out.off[m] = sqrt(off / square); /* 1: as good as to say that nothing changes */
        free(drawn);
        cel_mat_free(&force[m]);
    }
    free(real);
    cel_model_free(&truth);
    cel_model_free(&law);
    cel_mat_free(&rows);
    free_fitted(&score);
    free_slide(&s);
    return out;
}
static void known_forces(void)
{
    static known_result all[TISSUES][SEEDS];
    int job, m, r, seeds = quick ? 1 : SEEDS;
    OVER_SEEDS
    for (job = 0; job < TISSUES * seeds; job++)
        all[job / seeds][job % seeds] = try_known(&tissues[job / seeds], 1 + (uint64_t)(job % seeds));
    for (job = 0; job < TISSUES; job++) {
        double x[SEEDS];
        int k;
#define KEEP(method, force, figure, expression)                                                                        \
    do {                                                                                                               \
        for (k = 0; k < seeds; k++) x[k] = all[job][k].expression;                                                     \
        line("known", tissues[job].set.name, method, force, figure, x, seeds);                                         \
    } while (0)
        for (m = 0; m < 2; m++) {
            for (r = 0; r < 2; r++) KEEP(method_name[m], r ? "inter" : "intra", "pearson", force[m][r]);
            KEEP(method_name[m], "knock-out", "effects_r", r[m]);
            KEEP(method_name[m], "knock-out", "effects_slope", slope[m]);
            if (!(tissues[job].counts > 0)) KEEP(method_name[m], "knock-out", "effects_off", off[m]);
            KEEP(method_name[m], "knock-out", "drift_over_effect", drift[1 + m]);
        }
        KEEP("the truth", "knock-out", "drift_over_effect", drift[0]);
#undef KEEP
    }
}

/* ---- tables ---- */

static const char *number(const char *setting, const char *method, const char *force, const char *figure)
{
    static char text[16][24];
    static int at;
    at = (at + 1) % 16;
    return short_number(found("check", setting, method, force, figure), text[at]);
}
static void print_checks(void)
{
    static const char *const ending[3] = {"", ", left half", ", left to right"};
    int k, e, m;
    printf("\nA tissue drawn anew (another seed, 200 sweeps, from noise) beside the real slide, 60 genes\n\n"
           "| slide | law | Moran's I: r (median real, drawn) | within pairs: r, slope | between pairs: r, slope |\n"
           "|---|---|---|---|---|\n");
    for (k = 0; k < SLIDES; k++)
        for (e = 0; e < 3; e++)
            for (m = 0; m < METHODS; m++) {
                char name[64];
                snprintf(name, sizeof name, "%s%s", slide_name[k], ending[e]);
                if (!(fabs(found("check", name, method_name[m], "rows", "moran_drawn")) <= 2)) continue;
                printf("| %s | %s | %s (%s, %s) | %s, %s | %s, %s |\n", name, method_name[m],
                       number(name, method_name[m], "rows", "moran_r"),
                       number(name, method_name[m], "rows", "moran_real"),
                       number(name, method_name[m], "rows", "moran_drawn"),
                       number(name, method_name[m], "rows", "within_r"),
                       number(name, method_name[m], "rows", "within_slope"),
                       number(name, method_name[m], "rows", "between_r"),
                       number(name, method_name[m], "rows", "between_slope"));
            }
    printf("\nIts counts, likelihood: off in the share of zeros (mean), Fano factors r, Moran's I of log counts r; "
           "ways of bench/law.c\n\n| slide | by levels | by inverse | by Poisson |\n|---|---|---|---|\n");
    for (k = 0; k < SLIDES; k++) {
        static const int order[WAYS] = {LEVELS, INVERSE, POISSON};
        if (!(found("check", slide_name[k], "likelihood", "rows", "moran_r") <= 1)) continue;
        printf("| %s |", slide_name[k]);
        for (m = 0; m < WAYS; m++)
            printf(" %s, %s, %s |", number(slide_name[k], "likelihood", way_name[order[m]], "zeros_off"),
                   number(slide_name[k], "likelihood", way_name[order[m]], "fano_r"),
                   number(slide_name[k], "likelihood", way_name[order[m]], "moran_r"));
        printf("\n");
    }
    printf("\nThe likelihood fit itself: moments within two Monte-Carlo errors, their gap over its error, seconds\n\n"
           "| slide | within | gap / error | steps | seconds |\n|---|---|---|---|---|\n");
    for (k = 0; k < SLIDES; k++)
        for (e = 0; e < 2; e++) {
            char name[64];
            snprintf(name, sizeof name, "%s%s", slide_name[k], ending[e]);
            if (!(found("check", name, "likelihood", "fit", "seconds") >= 0)) continue;
            printf("| %s | %s | %s | %s | %s |\n", name, number(name, "likelihood", "fit", "within_two_errors"),
                   number(name, "likelihood", "fit", "gap_over_noise"), number(name, "likelihood", "fit", "steps"),
                   number(name, "likelihood", "fit", "seconds"));
        }
}
static void print_known(void)
{
    int k, m;
    char text[8][24];
    printf("\nKnown forces, 3 seeds: Pearson off the diagonal (intra / inter); effects of a knock-out against those "
           "under the true forces (r, slope; off by, where nothing said is 1); the sham's drift over the effect's "
           "size\n\n"
           "| tissue | law | forces | effects | off by | drift / effect (truth) |\n|---|---|---|---|---|---|\n");
    for (k = 0; k < TISSUES; k++)
        for (m = 0; m < 2; m++) {
            const char *name = tissues[k].set.name, *law = method_name[m];
            if (!(found("known", name, law, "intra", "pearson") <= 1)) continue;
            printf("| %s | %s | %s / %s | %s, %s | %s | %s (%s) |\n", name, law,
                   short_number(found("known", name, law, "intra", "pearson"), text[0]),
                   short_number(found("known", name, law, "inter", "pearson"), text[1]),
                   short_number(found("known", name, law, "knock-out", "effects_r"), text[2]),
                   short_number(found("known", name, law, "knock-out", "effects_slope"), text[3]),
                   short_number(found("known", name, law, "knock-out", "effects_off"), text[4]),
                   short_number(found("known", name, law, "knock-out", "drift_over_effect"), text[5]),
                   short_number(found("known", name, "the truth", "knock-out", "drift_over_effect"), text[6]));
        }
}
static void asked_all(void)
{
    static const char *const ending[3] = {"", ", left half", ", left to right"};
    int k, e;
    asked_title();
    for (k = 0; k < SLIDES; k++)
        for (e = 0; e < 2; e++) {
            char name[64], what[128];
            double x;
            snprintf(name, sizeof name, "%s%s", slide_name[k], ending[e]);
            x = found("check", name, "likelihood", "rows", "moran_r");
            if (!(x <= 1)) continue;
            snprintf(what, sizeof what, "%s: Moran's I r", name);
            asked(what, x, 1, 0.95);
            snprintf(what, sizeof what, "%s: within pairs r", name);
            asked(what, found("check", name, "likelihood", "rows", "within_r"), 1, 0.97);
            snprintf(what, sizeof what, "%s: within pairs, slope off 1", name);
            asked(what, fabs(found("check", name, "likelihood", "rows", "within_slope") - 1), -1, 0.05);
            snprintf(what, sizeof what, "%s: between pairs r", name);
            asked(what, found("check", name, "likelihood", "rows", "between_r"), 1, 0.93);
            if (e) continue;
            snprintf(what, sizeof what, "%s: Moran's I of log counts r", name);
            asked(what, found("check", name, "likelihood", way_name[LEVELS], "moran_r"), 1, 0.9);
        }
    for (k = 0; k < TISSUES; k++) {
        int r;
        for (r = 0; r < 2; r++) {
            char what[128];
            double a = found("known", tissues[k].set.name, "likelihood", r ? "inter" : "intra", "pearson");
            if (!(a <= 1)) continue;
            snprintf(what, sizeof what, "%s, %s: below score by", tissues[k].set.name, r ? "inter" : "intra");
            asked(what, found("known", tissues[k].set.name, "score", r ? "inter" : "intra", "pearson") - a, -1, 0.01);
        }
    }
    asked_total();
}

int main(int argc, char **argv)
{
    static const experiment all[] = {{"check", check_all}, {"known", known_forces}, {NULL, NULL}};
    run_experiments(argc, argv, all);
    print_checks();
    print_known();
    asked_all();
    return 0;
}
