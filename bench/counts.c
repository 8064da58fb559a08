/* Forces recovered through counts. Tissue is drawn from known forces by the exact sampler and seen as sequencing and
 * imaging see it: gene k of cell i has the rate l_i mu_k exp(0.8 sqrt(n) x_ik) (on the orthant l_i mu_k sqrt(n)
 * x_ik), mu log-uniform over two decades and scaled so that a cell of median library size has so many counts in the
 * mean, the library size l log-normal (deviation 0.5 of its log, median 1), counts Poisson or negative binomial
 * (variance m + 0.3 m^2). Forces: normal with deviation s within cells and s / 6 between, zero diagonals; a share of
 * the pairs has them, the same pairs within and between, but where "apart" says that the two are drawn independently.
 *
 *   build/truth_counts [--data DIR] [--csv FILE] [--quick] [EXPERIMENT ..]
 * EXPERIMENT: recovery counting permuted knockout
 *
 * Seeds 1-5, and 11-15 as a fresh set. SPDX-License-Identifier: MIT */
#include "truth.h"

enum { LEVELS = 4, RUNS = 10, SEEDS = 5 };
static const double level_counts[LEVELS] = {100, 300, 1000, 5000};
static const char *const level_name[LEVELS] = {"100", "300", "1000", "5000"};

enum { RECOMMENDED, DEFAULT_010, CORRELATION, PARTIAL, UNTRAINED, COUNTING, EXACT, ORTHANT, METHODS };
static const char *const method_name[METHODS + 1] = {
    "recommended", "default of 0.1.0", "plain correlation", "partial correlation",
    "untrained",   "through the counting", "exact form",    "orthant form",        NULL};

typedef struct seen {
    setting set;
    double dispersion;     /* of the negative binomial; 0: Poisson */
    double bar[LEVELS][2];      /* asked of the recommended fit; 0: nothing */
    double counted[LEVELS][2];  /* and of the one through the counting */
} seen;

static const seen experiments[] = {
    {{"n30 share .3 hex", NULL, 30, 60, 5, 0.3, 0, 0, 1},
     0,
     {{.60, .37}, {.75, .47}, {.83, .66}, {.88, .75}},
     {{.68, .44}, {.79, .57}, {.87, .71}}},
    {{"n30 share .3 osmFISH graph", "osmfish_cortex", 30, 0, 5, 0.3, 0, 0, 1},
     0,
     {{.62, .42}, {.77, .54}, {.86, .70}, {.92, .80}},
     {{0}}},
    {{"n60 share .15 hex", NULL, 60, 60, 8, 0.15, 0, 0, 1},
     0,
     {{.41, .29}, {.60, .37}, {.74, .51}, {.86, .64}},
     {{.47, .34}, {.63, .44}, {.78, .55}}},
    {{"n10 dense hex", NULL, 10, 60, 3, 1, 0, 0, 1},
     0,
     {{.42, .45}, {.55, .55}, {.53, .62}, {.62, .66}},
     {{.48, .55}, {.57, .63}, {.58, .68}}},
    {{"n20 share .3 orthant", NULL, 20, 60, 4, 0.3, 1, 0, 1},
     0,
     {{.53, .38}, {.74, .50}, {.78, .57}, {.78, .60}},
     {{.71, .39}, {.82, .57}, {.85, .65}}},
    {{"n30 hex, negative binomial", NULL, 30, 60, 5, 0.3, 0, 0, 1},
     0.3,
     {{0}},
     {{.58, .41}, {.68, .46}, {.76, .56}}},
    {{"n30 share .3 hex apart", NULL, 30, 60, 5, 0.3, 0, 0, 0}, 0, {{0}}, {{0}}},
};
enum { EXPERIMENTS = sizeof experiments / sizeof experiments[0] };

#define seeds (quick ? 1 : SEEDS)
/* Only what is asked of is tried on the fresh seeds too. */
static int sets_of(const seen *how)
{
    return quick || !(how->bar[0][0] > 0) ? 1 : 2;
}

static uint64_t seed_of(int64_t run)
{
    return (uint64_t)(run < SEEDS ? 1 + run : 11 + run - SEEDS);
}

/* The scale of each gene's rate (n) at so many counts a cell. */
static void gene_scales(cel_mat x, int orthant, double counts, uint64_t seed, double *mu)
{
    cel_rng rng = cel_rng_at(seed, 110, 0, 0);
    double root = sqrt((double)x.cols), total = 0;
    int64_t i, k;
    for (k = 0; k < x.cols; k++) mu[k] = pow(10, 2 * cel_rng_uniform(&rng));
    for (i = 0; i < x.rows; i++)
        for (k = 0; k < x.cols; k++) {
            double at = root * (double)x.data[i * x.stride + k];
            total += mu[k] * (orthant ? at : exp(0.8 * at)) / (double)x.rows;
        }
    for (k = 0; k < x.cols; k++) mu[k] *= counts / total;
}
/* Counts y (S x n) of the tissue x. */
static void count(cel_mat x, int orthant, const double *mu, double dispersion, uint64_t seed, cel_mat y)
{
    double root = sqrt((double)x.cols);
    int64_t i, k;
    for (i = 0; i < x.rows; i++) {
        cel_rng rng = cel_rng_at(seed, 111, (uint32_t)i, 0);
        double size = exp(0.5 * cel_rng_normal(&rng));
        for (k = 0; k < x.cols; k++) {
            double at = root * (double)x.data[i * x.stride + k], rate = size * mu[k] * (orthant ? at : exp(0.8 * at));
            if (dispersion > 0) rate *= dispersion * cel_rng_gamma(&rng, 1 / dispersion);
            y.data[i * y.stride + k] = (cel_real)cel_rng_poisson(&rng, rate);
        }
    }
}

/* A tissue, its forces, and room for what is seen of it. */
typedef struct planted {
    slide tissue, seen;
    cel_model truth;
} planted;

static planted plant_tissue(const setting *set, uint64_t seed)
{
    planted p = CEL_ZERO;
    p.tissue = make_slide(set);
    relate(&p.tissue);
    plant(set, seed, &p.truth);
    draw(set, seed, &p.truth, &p.tissue);
    return p;
}
/* The slide as seen at so many counts; cells without counts are dropped. mu (n) receives the scales. */
static void see(planted *p, const seen *how, double counts, uint64_t seed, double *mu)
{
    slide *s = &p->seen;
    cel_mat x = p->tissue.x;
    int64_t i, k;
    uint8_t *keep = (uint8_t *)get(x.rows, 1);
    free_slide(s);
    s->x = new_mat(x.rows, x.cols);
    s->coords = new_mat(x.rows, 2);
    s->total = (double *)get(x.rows, sizeof(double));
    check(cel_mat_copy(p->tissue.coords, s->coords), "copy");
    gene_scales(x, how->set.orthant, counts, seed, mu);
    count(x, how->set.orthant, mu, how->dispersion, seed, s->x);
    for (i = 0; i < x.rows; i++) {
        for (k = 0; k < x.cols; k++) s->total[i] += (double)s->x.data[i * s->x.stride + k];
        keep[i] = s->total[i] > 0;
    }
    keep_cells(s, keep);
    neighbours(s, 6, 6);
    free(keep);
}
static void free_planted(planted *p)
{
    free_slide(&p->tissue);
    free_slide(&p->seen);
    cel_model_free(&p->truth);
}

/* Which methods are tried: the two that read cells only where they are affordable and not said to be for more genes. */
static int tried(int method, const setting *set, int64_t run)
{
    if (method == EXACT) return set->genes < 30 && run < SEEDS;
    if (method == ORTHANT) return set->genes <= 30 && run < SEEDS && !set->graph;
    return 1;
}

/* F - v c^T - c v^T with the least sum of absolute values off the diagonal, by reweighted least squares. */
static void sparsest(cel_mat f, const double *v)
{
    int64_t n = f.rows, a, b;
    int round;
    cel_mat weight = new_mat(n, n), system = new_mat(n, n), c = new_mat(n, 1), left = new_mat(n, n);
    cel_mat_fill(weight, 1);
    for (round = 0; round < 30; round++) {
        double mean = 0;
        for (a = 0; a < n; a++) {
            double diagonal = 1e-6, right = 0;
            for (b = 0; b < n; b++) {
                double w = a == b ? 0 : (double)weight.data[a * n + b];
                diagonal += w * v[b] * v[b];
                right += w * (double)f.data[a * n + b] * v[b];
                system.data[a * n + b] = (cel_real)(w * v[a] * v[b]);
            }
            system.data[a * n + a] += (cel_real)diagonal;
            c.data[a] = (cel_real)right;
        }
        check(cel_mat_cholesky(system), "gauge");
        check(cel_mat_cholesky_solve(system, c), "gauge");
        for (a = 0; a < n; a++)
            for (b = 0; b < n; b++) {
                double x = (double)f.data[a * n + b] - v[a] * (double)c.data[b] - (double)c.data[a] * v[b];
                left.data[a * n + b] = (cel_real)x;
                mean += fabs(x) / (double)(n * n);
            }
        for (a = 0; a < n * n; a++)
            weight.data[a] = (cel_real)(1 / fmax(fabs((double)left.data[a]), 1e-3 * mean + 1e-6));
        if (round == 0) continue;
        for (b = 0, mean = 0; b < n * n; b++) mean += (double)weight.data[b] / (double)(n * n);
        for (b = 0; b < n * n; b++) weight.data[b] /= (cel_real)mean; /* only ratios count: within range of a float */
    }
    check(cel_mat_copy(left, f), "copy");
    cel_mat_free(&weight);
    cel_mat_free(&system);
    cel_mat_free(&c);
    cel_mat_free(&left);
}

/* The exact form on the recommended rows. These have no part along the size direction u, which it would read as a
 * force: it sees them in n - 1 coordinates, by the reflection that takes u to the last axis. Its forces come back the
 * same way, in partial-correlation units, and in the gauge u c^T + c u^T of the least sum of absolute values. */
static void exact_fit(const slide *s, fitted *out)
{
    int64_t n = s->x.cols, i, a, b, r;
    int turn;
    double v[64], w[64], square = 0, *u;
    cel_mat rows = new_mat(s->x.rows, n), less = new_mat(s->x.rows, n - 1), force = new_mat(2 * n, n);
    cel_scaling scaling;
    check(cel_mat_copy(s->x, rows), "copy");
    check(cel_scaling_fit(rows, s->total, NULL, NULL, &scaling, NULL), "scaling");
    u = scaling.size;
    for (a = 0; a < n; a++) v[a] = u[a] + (a == n - 1 ? 1 : 0), square += v[a] * v[a];
    for (i = 0; i < rows.rows; i++) {
        double dot = 0;
        for (a = 0; a < n; a++) dot += v[a] * (double)rows.data[i * n + a];
        for (a = 0; a + 1 < n; a++)
            less.data[i * (n - 1) + a] = (cel_real)((double)rows.data[i * n + a] - 2 * v[a] * dot / square);
    }
    plain_fit(s, less, CEL_SCORE_EXACT, out);
    for (r = 0; r < 2; r++) { /* A = F / n - I / 2 within, G = F / n between, turned back from both sides */
        cel_mat f = cel_mat_block(force, r * n, 0, n, n);
        for (a = 0; a + 1 < n; a++)
            for (b = 0; b + 1 < n; b++)
                f.data[a * n + b] =
                    (cel_real)((double)cel_model_force(&out->model, r).data[a * (n - 1) + b] / (double)(n - 1) -
                               (!r && a == b ? 0.5 : 0));
        for (turn = 0; turn < 2; turn++) {
            for (a = 0; a < n; a++) {
                double dot = 0;
                for (b = 0; b < n; b++) dot += v[b] * (double)f.data[a * n + b];
                for (b = 0; b < n; b++) f.data[a * n + b] -= (cel_real)(2 * v[b] * dot / square);
            }
            for (a = 0; a < n; a++)
                for (b = 0; b < a; b++) {
                    cel_real swap = f.data[a * n + b];
                    f.data[a * n + b] = f.data[b * n + a];
                    f.data[b * n + a] = swap;
                }
        }
    }
    for (a = 0; a < n; a++) w[a] = sqrt(fabs((double)force.data[a * n + a]));
    for (i = 0; i < 2 * n * n; i++) force.data[i] /= (cel_real)(w[i / n % n] * w[i % n]);
    for (a = 0; a < n; a++) w[a] = u[a] / w[a];
    for (r = 0; r < 2; r++) sparsest(cel_mat_block(force, r * n, 0, n, n), w);
    cel_mat_free(&out->force);
    cel_mat_free(&rows);
    out->force = force;
    out->scaling = scaling;
}

static void answer(int method, const slide *s, uint64_t seed, int errors, fitted *out)
{
    int64_t n = s->x.cols;
    memset(out, 0, sizeof *out);
    if (method == RECOMMENDED)
        recommended(s, CEL_KIND_COUNTS, 0, NULL, errors, out);
    else if (method == COUNTING)
        counted(s, NULL, errors, out);
    else if (method == DEFAULT_010)
        plain_fit(s, log_rows(s, 0), CEL_SCORE_AUTO, out);
    else if (method == ORTHANT)
        plain_fit(s, log_rows(s, quantile(s->total, s->x.rows, 0.5)), CEL_SCORE_ORTHANT, out);
    else if (method == EXACT)
        exact_fit(s, out);
    else {
        check(cel_mat_new(2 * n, n, &out->force), "memory");
        if (method == UNTRAINED) {
            check(cel_model_new(n, 2, 0, &out->model), "memory");
            check(cel_paper_start(seed, &out->model), "start");
            check(cel_mat_copy(out->model.force, out->force), "copy");
            return;
        }
        out->rows = log_rows(s, 0);
        correlate(out->rows, &s->relations, method == PARTIAL ? PARTIAL_ALL : PLAIN,
                  cel_mat_block(out->force, 0, 0, n, n), cel_mat_block(out->force, n, 0, n, n));
    }
}

/* ---- recovery, and calibration of what is called ---- */

enum { FALSE_CALLS, CALLS, FOUND, PLANTED, NULL_Z, NULL_PAIRS, TALLIES };

static void tally(const cel_model *truth, const cel_score_report *report, int64_t r, double *sum)
{
    int64_t n = truth->genes, a, b;
    for (a = 0; a < n; a++)
        for (b = a + 1; b < n; b++) {
            int64_t at = (r * n + a) * n + b;
            int null = !(fabs((double)truth->force.data[at]) > 0), called = (double)report->q.data[at] < 0.05;
            double z = (double)report->z.data[at];
            sum[FALSE_CALLS] += null && called;
            sum[CALLS] += called;
            sum[FOUND] += !null && called;
            sum[PLANTED] += !null;
            if (null) sum[NULL_Z] += z * z, sum[NULL_PAIRS] += 1;
        }
}

/* Correlation with the truth by method, force and run of one level, [METHODS][2][RUNS], and the tallies [2][RUNS]. */
typedef struct level_result {
    double r[METHODS][2][RUNS], ap[METHODS][2][RUNS], tally[METHODS][2][RUNS][TALLIES], ridge[RUNS];
} level_result;

/* Seeds 1-5, 11-15, and all of them. */
static const char *const recovery_name[3] = {"recovery", "recovery fresh seeds", "recovery all seeds"};
static const char *const calibration_name[3] = {"calibration", "calibration fresh seeds", "calibration all seeds"};

/* Of methods first .. end - 1, which were tried. */
static void report_level(const seen *how, int level, const level_result *l, int first_method, int end)
{
    static const char *const figure[] = {"false_discovery_proportion", "power", "sd_of_null_z", "calls"};
    char name[64];
    int64_t m, r, half, run, k;
    snprintf(name, sizeof name, "%s, %s", how->set.name, level_name[level]);
    for (half = 0; half < (sets_of(how) > 1 ? 3 : 1); half++)
        for (m = first_method; m < end; m++)
            for (r = 0; r < 2; r++) {
                const char *force = r ? "inter" : "intra";
                int64_t first = half % 2 * SEEDS, runs = half == 2 ? RUNS : seeds;
                if (!tried((int)m, &how->set, half ? SEEDS : 0)) continue;
                line(recovery_name[half], name, method_name[m], force, "pearson", &l->r[m][r][first], runs);
                if (how->set.share < 1)
                    line(recovery_name[half], name, method_name[m], force, "auprc", &l->ap[m][r][first], runs);
            }
    if (first_method == RECOMMENDED) line("recovery", name, "recommended", "both", "ridge", l->ridge, seeds);
    m = first_method;
    for (half = 0; half < (sets_of(how) > 1 ? 3 : 1) && how->set.share < 1 && m != EXACT; half++)
        for (r = 0; r < 2; r++) {
            double sum[TALLIES] = {0}, shown[4];
            int64_t first = half % 2 * SEEDS, runs = half == 2 ? RUNS : seeds;
            for (run = first; run < first + runs; run++)
                for (k = 0; k < TALLIES; k++) sum[k] += l->tally[m][r][run][k];
            shown[0] = sum[CALLS] > 0 ? sum[FALSE_CALLS] / sum[CALLS] : 0;
            shown[1] = sum[FOUND] / sum[PLANTED];
            shown[2] = sqrt(sum[NULL_Z] / sum[NULL_PAIRS]);
            shown[3] = sum[CALLS] / (double)runs;
            for (k = 0; k < 4; k++)
                value(calibration_name[half], name, method_name[m], r ? "inter" : "intra", figure[k], shown[k]);
        }
}

/* By methods first .. end - 1; the first of them has tests. */
static void recover(int first, int end)
{
    int64_t k, run;
    int level;
    for (k = 0; k < EXPERIMENTS; k++) {
        const seen *how = experiments + k;
        level_result *l = (level_result *)get(LEVELS, sizeof *l);
        if (how->set.graph && !have_data(how->set.graph)) continue;
        OVER_SEEDS
        for (run = 0; run < RUNS; run++) {
            double mu[64], t[64 * 64], f[64 * 64];
            int at, m;
            int64_t r, n = how->set.genes, pairs;
            planted p;
            if (run % SEEDS >= seeds || run / SEEDS >= sets_of(how)) continue;
            p = plant_tissue(&how->set, seed_of(run));
            for (at = 0; at < LEVELS; at++) {
                see(&p, how, level_counts[at], seed_of(run), mu);
                for (m = first; m < end; m++) {
                    fitted fit;
                    if (!tried(m, &how->set, run)) continue;
                    answer(m, &p.seen, seed_of(run), 1, &fit);
                    for (r = 0; r < 2; r++) {
                        pairs = upper(cel_model_force(&p.truth, r), t);
                        upper(cel_mat_block(fit.force, r * n, 0, n, n), f);
                        l[at].r[m][r][run] = pearson(t, f, pairs, NULL);
                        l[at].ap[m][r][run] = average_precision(t, f, pairs);
                        if (m == first && m != EXACT) tally(&p.truth, &fit.report, r, l[at].tally[m][r][run]);
                    }
                    if (m == RECOMMENDED) l[at].ridge[run] = fit.report.ridge;
                    free_fitted(&fit);
                }
            }
            free_planted(&p);
        }
        for (level = 0; level < LEVELS; level++) report_level(how, level, l + level, first, end);
        free(l);
    }
}
static void recovery(void)
{
    recover(RECOMMENDED, COUNTING);
    recover(EXACT, METHODS);
}
static void counting(void)
{
    recover(COUNTING, EXACT);
}

/* Positions permuted: what is then called between cells is false. */
static void permuted(void)
{
    static const int method[2] = {RECOMMENDED, COUNTING};
    double calls[2][SEEDS] = {{0}}, sd[2][SEEDS] = {{0}};
    int64_t run, m;
    OVER_SEEDS
    for (run = 0; run < seeds; run++) {
        planted p = plant_tissue(&experiments[0].set, seed_of(run));
        double mu[64];
        int64_t n = p.truth.genes, a, b, k;
        see(&p, experiments, 1000, seed_of(run), mu);
        permute_rows(p.seen.coords, NULL, seed_of(run));
        neighbours(&p.seen, 6, 6);
        for (k = 0; k < 2; k++) {
            double zz = 0, pairs = 0;
            fitted fit;
            answer(method[k], &p.seen, seed_of(run), 1, &fit);
            for (a = 0; a < n; a++)
                for (b = a + 1; b < n; b++) {
                    int64_t at = (n + a) * n + b;
                    calls[k][run] += (double)fit.report.q.data[at] < 0.05;
                    zz += pow((double)fit.report.z.data[at], 2);
                    pairs++;
                }
            sd[k][run] = sqrt(zz / pairs);
            free_fitted(&fit);
        }
        free_planted(&p);
    }
    for (m = 0; m < 2; m++) {
        line("permuted", "n30 share .3 hex, 1000", method_name[method[m]], "inter", "calls", calls[m], seeds);
        line("permuted", "n30 share .3 hex, 1000", method_name[method[m]], "inter", "sd_of_z", sd[m], seeds);
    }
}

/* ---- knock-outs, predicted from fitted forces and from the true ones ---- */

/* A gene is brought down to a tenth of its mean rate in 36 cells far from each other: under the true forces on the
 * tissue itself, and by the fitted ones on what was seen of it, at the same dose in counts. Effects on the six
 * neighbours, in units of log1p of counts at the total that each method scales to, at which both the true effect and
 * the predicted one are brought: counts say nothing of a change of all genes together. */
enum { KNOCKED = 6, GRID = 6 };
enum { BY_RECOMMENDED, BY_010, BY_COUNTING, BY_NOTHING, PREDICTORS };
static const char *const predictor_name[PREDICTORS + 1] = {"recommended", "default of 0.1.0", "through the counting",
                                                           "no effect", NULL};

static int64_t knocked_cell(int64_t i)
{
    return (5 + 10 * (i / GRID)) * 60 + 5 + 10 * (i % GRID);
}

/* The mean effect (S x n) of holding gene at value[i] in cell knocked_cell(i). */
static void effect_of(const cel_model *model, const cel_relations *relations, cel_mat x, int64_t gene,
                      const double *hold, int64_t repeats, uint64_t seed, cel_mat out)
{
    cel_intervention list[GRID * GRID];
    cel_tissue tissue = CEL_ZERO;
    cel_perturb_setup setup = CEL_ZERO;
    cel_perturb_options options = CEL_ZERO;
    cel_perturb p;
    cel_effect effect;
    cel_error err;
    int64_t i;
    memset(list, 0, sizeof list);
    for (i = 0; i < GRID * GRID; i++) {
        list[i].what = CEL_DO_HOLD;
        list[i].cell = knocked_cell(i);
        list[i].gene = gene;
        list[i].value = hold[i];
    }
    tissue.x = x;
    tissue.relations = relations;
    setup.reach = 2;
    if (cel_perturb_new(model, &tissue, list, GRID * GRID, &setup, &p, &err)) check(err.status, err.what);
    options.repeats = repeats;
    options.seed = seed;
    check(cel_perturb_run(&p, &options, &effect, &err), "perturb");
    cel_mat_fill(out, 0);
    check(cel_perturb_scatter(&p, effect.mean, out), "scatter");
    cel_effect_free(&effect);
    cel_perturb_free(&p);
}

/* log1p(q) of rates scaled to `target` a cell, for row x of the tissue moved by change (NULL: not). */
static void typical(const cel_real *x, const cel_real *change, int64_t n, const double *mu, double target, double *q)
{
    double sum = 0, root = sqrt((double)n);
    int64_t k;
    for (k = 0; k < n; k++) sum += q[k] = mu[k] * exp(0.8 * root * ((double)x[k] + (change ? (double)change[k] : 0)));
    for (k = 0; k < n; k++) q[k] *= target / sum;
}

typedef struct knocked {
    double pearson[2][PREDICTORS], error[2][PREDICTORS]; /* [0] genes, averaged over cells; [1] genes and cells */
} knocked;

/* Predicted against true: correlation and error relative to the truth, after averaging the `cells` entries of each of
 * `many` effects (stored cell by cell). */
static void compare(const double *predicted, const double *truth, int64_t many, int64_t cells, double *r, double *error)
{
    double *p = (double *)get(2 * many, sizeof(double)), *t = p + many, dd = 0, tt = 0;
    int64_t i, c;
    for (i = 0; i < many; i++)
        for (c = 0; c < cells; c++)
            p[i] += predicted[i * cells + c] / (double)cells, t[i] += truth[i * cells + c] / (double)cells;
    for (i = 0; i < many; i++) dd += (p[i] - t[i]) * (p[i] - t[i]), tt += t[i] * t[i];
    *r = pearson(p, t, many, NULL);
    *error = sqrt(dd / tt);
    free(p);
}

static knocked knock(uint64_t seed)
{
    const seen *how = experiments;
    knocked out;
    planted p = plant_tissue(&how->set, seed);
    int64_t n = how->set.genes, S = p.tissue.x.rows, i, k, g, c, e, near_count = 0, at[KNOCKED], m;
    int32_t *near = (int32_t *)get(S, sizeof(int32_t));
    cel_real latent[64];
    double mu[64], q[64], after[64], hold[GRID * GRID], dose[GRID * GRID], *store[2][PREDICTORS], t,
        root = sqrt((double)n);
    cel_mat effect = new_mat(S, n), moved = new_mat(S, n);
    const cel_csr *w = p.tissue.relations.at[1].w;
    fitted fit[3];
    see(&p, how, 1000, seed, mu);
    if (p.seen.x.rows != S) check(CEL_ERR_DATA, "a cell without counts");
    t = quantile(p.seen.total, S, 0.5);
    answer(RECOMMENDED, &p.seen, seed, 0, fit);
    answer(DEFAULT_010, &p.seen, seed, 0, fit + 1);
    answer(COUNTING, &p.seen, seed, 0, fit + 2);
    for (i = 0; i < GRID * GRID; i++)
        for (e = w->start[knocked_cell(i)]; e < w->start[knocked_cell(i) + 1]; e++) near[near_count++] = w->index[e];
    for (g = 0; g < KNOCKED; g++) { /* the most expressed */
        int64_t best = -1, j;
        for (k = 0; k < n; k++) {
            for (j = 0; j < g && at[j] != k; j++) continue;
            if (j == g && (best < 0 || mu[k] > mu[best])) best = k;
        }
        at[g] = best;
    }
    for (m = 0; m < PREDICTORS; m++)
        for (i = 0; i < 2; i++) store[i][m] = (double *)get(KNOCKED * n * near_count, sizeof(double));
    for (g = 0; g < KNOCKED; g++) {
        int64_t a = at[g];
        double mean = 0;
        for (i = 0; i < S; i++) mean += (double)p.tissue.x.data[i * n + a] / (double)S;
        for (i = 0; i < GRID * GRID; i++) {
            const cel_real *row = p.tissue.x.data + knocked_cell(i) * n;
            cel_real change[64] = {0};
            hold[i] = mean + log(0.1) / (0.8 * root);
            change[a] = (cel_real)(hold[i] - (double)row[a]);
            typical(row, change, n, mu, t, q);
            dose[i] = q[a];
        }
        effect_of(&p.truth, &p.tissue.relations, p.tissue.x, a, hold, 24, seed, moved);
        for (m = 0; m < PREDICTORS; m++) {
            const fitted *f = fit + m;
            double target = m == BY_010 ? 1e4 : t;
            for (i = 0; i < GRID * GRID && m < BY_NOTHING; i++) {
                int64_t cell = knocked_cell(i);
                int32_t gene = (int32_t)a;
                cel_real row[64];
                memcpy(row, f->rows.data + cell * n, (size_t)n * sizeof *row);
                if (m != BY_010) {
                    cel_scaling_cell of = f->scaling.cell[cell];
                    check(cel_scaling_hold(&f->scaling, CEL_UNIT_TYPICAL, 1, &gene, &dose[i], row, &of, NULL), "hold");
                    hold[i] = (double)row[a];
                } else {
                    double total = p.seen.total[cell], v = log1p(dose[i] * 1e4 / t), length = v * v;
                    for (k = 0; k < n; k++)
                        if (k != a) length += pow(log1p(1e4 / total * (double)p.seen.x.data[cell * n + k]), 2);
                    hold[i] = v / sqrt(length);
                }
            }
            if (m < BY_NOTHING) effect_of(&f->model, &p.seen.relations, f->rows, a, hold, 8, seed, effect);
            for (c = 0; c < near_count; c++) {
                int64_t cell = near[c];
                double length = 0, before, now;
                for (k = 0; k < n; k++)
                    length += pow(log1p(1e4 / p.seen.total[cell] * (double)p.seen.x.data[cell * n + k]), 2);
                typical(p.tissue.x.data + cell * n, NULL, n, mu, target, q);
                typical(p.tissue.x.data + cell * n, moved.data + cell * n, n, mu, target, after);
                for (k = 0; k < n; k++) store[0][m][(g * n + k) * near_count + c] = log1p(after[k]) - log1p(q[k]);
                if (m == BY_NOTHING) continue;
                check(m == BY_COUNTING ? cel_scaling_values(&f->scaling, CEL_UNIT_TYPICAL,
                                                            cel_mat_block(f->rows, cell, 0, 1, n),
                                                            f->scaling.cell + cell, cel_mat_view(latent, 1, n))
                                       : CEL_OK,
                      "values");
                for (before = now = 0, k = 0; k < n; k++) {
                    double unit = m == BY_010 ? sqrt(length) : f->scaling.scale[k] * f->scaling.cell[cell].length;
                    double one = m == BY_COUNTING ? 0 : 1; /* of log(1 + q): a rate has none */
                    q[k] = m == BY_COUNTING ? (double)latent[k]
                                            : target / p.seen.total[cell] * (double)p.seen.x.data[cell * n + k];
                    after[k] = fmax(0, (one + q[k]) * exp(unit * (double)effect.data[cell * n + k]) - one);
                    before += q[k];
                    now += after[k];
                }
                for (k = 0; k < n; k++)
                    store[1][m][(g * n + k) * near_count + c] = log1p(after[k] * before / now) - log1p(q[k]);
            }
        }
    }
    for (m = 0; m < PREDICTORS; m++)
        for (i = 0; i < 2; i++) {
            int64_t many = KNOCKED * n * (i ? near_count : 1), cells = i ? 1 : near_count;
            compare(store[1][m], store[0][m], many, cells, &out.pearson[i][m], &out.error[i][m]);
        }
    for (m = 0; m < PREDICTORS; m++) free(store[0][m]), free(store[1][m]);
    free_fitted(fit);
    free_fitted(fit + 1);
    free_fitted(fit + 2);
    cel_mat_free(&effect);
    cel_mat_free(&moved);
    free(near);
    free_planted(&p);
    return out;
}

static const char *const knock_setting[3] = {"over genes", "over genes and cells", NULL};

static void knockout(void)
{
    knocked all[SEEDS];
    int64_t run, i, m;
    OVER_SEEDS
    for (run = 0; run < seeds; run++) all[run] = knock(seed_of(run));
    for (i = 0; i < 2; i++)
        for (m = 0; m < PREDICTORS; m++) {
            double r[SEEDS], error[SEEDS];
            for (run = 0; run < seeds; run++) r[run] = all[run].pearson[i][m], error[run] = all[run].error[i][m];
            if (m != BY_NOTHING) line("knockout", knock_setting[i], predictor_name[m], "inter", "pearson", r, seeds);
            line("knockout", knock_setting[i], predictor_name[m], "inter", "relative_error", error, seeds);
        }
}

/* ---- tables, and what is asked ---- */

static void tables(void)
{
    int64_t k, m, r;
    int level;
    for (k = 0; k < EXPERIMENTS; k++) {
        char name[LEVELS][64], title[128];
        const char *column[LEVELS + 1] = {name[0], name[1], name[2], name[3], NULL};
        for (level = 0; level < LEVELS; level++)
            snprintf(name[level], sizeof name[level], "%s, %s", experiments[k].set.name, level_name[level]);
        snprintf(title, sizeof title, "%s, by counts a cell: correlation with the planted forces, intra / inter",
                 experiments[k].set.name);
        table(title, "recovery", "pearson", NULL, column, method_name);
    }
    printf("\nMean of the five tissues\n\n| method | 100 | 300 | 1000 | 5000 |\n|---|---|---|---|---|");
    for (m = 0; m < EXACT; m++) {
        printf("\n| %s |", method_name[m]);
        for (level = 0; level < LEVELS; level++) {
            double sum[2] = {0};
            char name[64], text[2][24];
            for (r = 0; r < 2; r++)
                for (k = 0; k < 5; k++) {
                    snprintf(name, sizeof name, "%s, %s", experiments[k].set.name, level_name[level]);
                    sum[r] += found("recovery", name, method_name[m], r ? "inter" : "intra", "pearson") / 5;
                }
            printf(" %s / %s |", short_number(sum[0], text[0]), short_number(sum[1], text[1]));
        }
    }
    printf("\n\nCalls at q < .05, intra / inter, %d seeds together\n\n| tissue, counts | method | false discovery "
           "proportion | power | deviation of null z | calls a slide |\n|---|---|---|---|---|---|\n",
           seeds);
    for (k = 0; k < EXPERIMENTS; k++)
        for (level = 0; level < 2 * LEVELS && experiments[k].set.share < 1; level++) {
            static const char *const figure[] = {"false_discovery_proportion", "power", "sd_of_null_z", "calls"};
            const char *method = method_name[level % 2 ? COUNTING : RECOMMENDED];
            char name[64], text[2][24];
            snprintf(name, sizeof name, "%s, %s", experiments[k].set.name, level_name[level / 2]);
            printf("| %s | %s |", name, method);
            for (m = 0; m < 4; m++)
                printf(" %s / %s |", short_number(found("calibration", name, method, "intra", figure[m]), text[0]),
                       short_number(found("calibration", name, method, "inter", figure[m]), text[1]));
            printf("\n");
        }
    table("Effect of a knock-out on the neighbours, against that under the true forces: correlation", "knockout",
          "pearson", "inter", knock_setting, predictor_name);
    table("The same: error relative to the effect (no effect: 1)", "knockout", "relative_error", "inter", knock_setting,
          predictor_name);
}

/* The bars of the fit through the counting, seeds 1-5. */
static void asked_of_counting(void)
{
    static const char *const by = "through the counting";
    int64_t k, r;
    int level;
    char name[64], what[128];
    for (k = 0; k < EXPERIMENTS; k++)
        for (level = 0; level < LEVELS; level++)
            for (r = 0; r < 2; r++) {
                const char *force = r ? "inter" : "intra";
                double got;
                snprintf(name, sizeof name, "%s, %s", experiments[k].set.name, level_name[level]);
                got = found("recovery", name, by, force, "pearson");
                if (!(got <= 1)) continue;
                snprintf(what, sizeof what, "through the counting: %s, %s", name, force);
                if (experiments[k].counted[level][r] > 0) asked(what, got, 1, experiments[k].counted[level][r]);
                if (k > 0 || level == 0) continue;
                snprintf(what, sizeof what, "through the counting: false discovery proportion, %s, %s", name, force);
                asked(what, found("calibration", name, by, force, "false_discovery_proportion"), -1, r ? .12 : .10);
                snprintf(what, sizeof what, "through the counting: deviation of null z, %s, %s", name, force);
                asked(what, found("calibration", name, by, force, "sd_of_null_z"), 1, .9);
                asked(what, found("calibration", name, by, force, "sd_of_null_z"), -1, 1.1);
                got = found("calibration", name, by, force, "power") /
                      found("calibration", name, "recommended", force, "power");
                snprintf(what, sizeof what, "through the counting: power over the recommended fit's, %s, %s", name,
                         force);
                if (level == 1 && got > 0) asked(what, got, 1, 1.4);
            }
    asked("through the counting: positions permuted: inter calls, n30 share .3 hex, 1000",
          found("permuted", "n30 share .3 hex, 1000", by, "inter", "calls"), -1, 1);
}

static void asked_all(void)
{
    int64_t k, half, r;
    int level;
    char name[64], what[128];
    asked_title();
    for (half = 0; half < 3; half++)
        for (k = 0; k < EXPERIMENTS; k++)
            for (level = 0; level < LEVELS; level++)
                for (r = 0; r < 2; r++) {
                    double bar = experiments[k].bar[level][r], got;
                    snprintf(name, sizeof name, "%s, %s", experiments[k].set.name, level_name[level]);
                    got = found(recovery_name[half], name, "recommended", r ? "inter" : "intra", "pearson");
                    if (!(bar > 0) || !(got <= 1)) continue;
                    snprintf(what, sizeof what, "%s: %s, %s", recovery_name[half], name, r ? "inter" : "intra");
                    asked(what, got, 1, bar);
                }
    for (half = 0; half < 3; half++)
        for (level = 1; level < LEVELS; level++)
            for (r = 0; r < 2; r++) {
                double got;
                snprintf(name, sizeof name, "%s, %s", experiments[0].set.name, level_name[level]);
                got = found(calibration_name[half], name, "recommended", r ? "inter" : "intra",
                            "false_discovery_proportion");
                if (!(got <= 1)) continue;
                snprintf(what, sizeof what, "%s: false discovery proportion, %s, %s", calibration_name[half], name,
                         r ? "inter" : "intra");
                asked(what, got, -1, 0.15);
            }
    asked_of_counting();
    asked("positions permuted: inter calls, n30 share .3 hex, 1000",
          found("permuted", "n30 share .3 hex, 1000", "recommended", "inter", "calls"), -1, 1);
    asked("positions permuted: deviation of inter z",
          found("permuted", "n30 share .3 hex, 1000", "recommended", "inter", "sd_of_z"), 1, 0.8);
    asked("positions permuted: deviation of inter z",
          found("permuted", "n30 share .3 hex, 1000", "recommended", "inter", "sd_of_z"), -1, 1.1);
    asked_total();
}

int main(int argc, char **argv)
{
    static const experiment all[] = {
        {"recovery", recovery}, {"counting", counting}, {"permuted", permuted}, {"knockout", knockout}, {NULL, NULL}};
    run_experiments(argc, argv, all);
    tables();
    asked_all();
    return 0;
}
