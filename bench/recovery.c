/* The experiment behind the README's claims: forces that are known, tissue drawn from them (or made in another way),
 * and every estimator's answer beside three baselines. One CSV line a setting, method and figure; make recovery runs
 * all.
 *
 *   build/recovery [--data DIR] [--seeds N] [EXPERIMENT ..]     (default: all, 20 seeds)
 *   EXPERIMENT: exact published mechanistic calibration shuffled heldout
 *
 * Only off-diagonal entries count. A run whose answer is constant has no correlation: it is counted as failed and
 * enters the median as 0. Seeds are 0 .. N-1. SPDX-License-Identifier: MIT */
#include "bench.h"
#include "truth.h"

static int seeds = 20;

enum { PEARSON, SPEARMAN, SLOPE, AUPRC, ERROR, FIGURES };
static const char *const figure_name[FIGURES] = {"pearson", "spearman", "slope", "auprc", "relative_error"};

static void judge(cel_mat truth, cel_mat fitted, double *figure)
{
    int64_t room = truth.rows * truth.rows, count, i;
    double *t = (double *)get(2 * room, sizeof(double)), *f = t + room, tt = 0, dd = 0;
    count = upper(truth, t);
    upper(fitted, f);
    figure[PEARSON] = pearson(t, f, count, &figure[SLOPE]);
    figure[SPEARMAN] = spearman(t, f, count);
    figure[AUPRC] = average_precision(t, f, count);
    for (i = 0; i < count; i++) tt += t[i] * t[i], dd += (f[i] - t[i]) * (f[i] - t[i]);
    figure[ERROR] = sqrt(dd / tt);
    free(t);
}

/* ---- methods ---- */

enum { PUBLISHED, CORRELATION, UNTRAINED, IDENTITY, EXACT, MOMENT, ORTHANT, RIDGE, L1, FIELD, METHODS };
static const char *const method_name[METHODS] = {"published",   "correlation",   "untrained",     "identity",
                                                 "score-exact", "score-moments", "score-orthant", "score-ridge",
                                                 "score-l1",    "score-field"};

/* The published method's relations: in-edges, each divided by the root of both degrees. */
static cel_relations published_relations(const slide *s)
{
    cel_relations_options o = CEL_ZERO;
    cel_relations r;
    o.weights = CEL_WEIGHTS_GCN;
    check(cel_relations_from_graph(&s->graph, &o, &r, NULL), "graph");
    return r;
}
static void published_fit(const slide *s, int64_t epochs, double lr, double zmft, uint64_t seed, cel_model *out)
{
    cel_moments moments;
    cel_relations published = published_relations(s);
    cel_paper_options options;
    memset(&options, 0, sizeof options);
    options.epochs = epochs;
    options.lr = lr;
    options.zmft = zmft;
    options.seed = seed;
    check(cel_moments_new(s->x.cols, &published, &moments), "moments");
    check(cel_moments_add(&moments, &published, s->x, NULL, 0, NULL), "moments");
    cel_relations_free(&published);
    check(cel_paper_start(seed, out), "start");
    check(cel_paper_fit(&moments, 1, &options, out, NULL, NULL, NULL), "published fit");
    cel_moments_free(&moments);
}

/* Forces by a method into out (made here). Returns the time taken. report may be NULL. */
static double fit(int method, const slide *s, uint64_t seed, cel_model *out, cel_score_report *report)
{
    double start = clock_of(2);
    cel_score_options options;
    int64_t a, n = s->x.cols;
    if (method < EXACT) {
        check(cel_model_new(n, 2, 0, out), "memory");
        if (method == PUBLISHED) published_fit(s, 200, 0.05, 0.1, seed, out);
        if (method == CORRELATION)
            correlate(s->x, &s->relations, PLAIN, cel_model_force(out, 0), cel_model_force(out, 1));
        if (method == UNTRAINED) check(cel_paper_start(seed, out), "start");
        if (method == IDENTITY)
            for (a = 0; a < n; a++)
                cel_model_force(out, 0).data[a * n + a] = cel_model_force(out, 1).data[a * n + a] = 1;
        return clock_of(2) - start;
    }
    memset(&options, 0, sizeof options);
    options.field = method == FIELD ? CEL_SCORE_FIELD_SHARED : CEL_SCORE_FIELD_NONE;
    options.form = method == EXACT || method == FIELD ? CEL_SCORE_EXACT
                   : method == MOMENT                 ? CEL_SCORE_MOMENT
                   : method == ORTHANT                ? CEL_SCORE_ORTHANT
                                                      : CEL_SCORE_AUTO;
    options.ridge = method == RIDGE ? CEL_SCORE_PICKED : 0;
    options.l1 = method == L1 ? CEL_SCORE_PICKED : 0;
    options.no_errors = report == NULL;
    options.group = s->tile;
    check(cel_score_fit(&s->relations, s->x, &options, out, report, NULL, NULL), method_name[method]);
    return clock_of(2) - start;
}

/* ---- exact samples from known forces ---- */

static const setting settings[] = {
    {"n=4 s=2 S=900", NULL, 4, 30, 2, 1, 0, 0},
    {"n=5 s=2 S=3600", NULL, 5, 60, 2, 1, 0, 0},
    {"n=10 s=3 S=900", NULL, 10, 30, 3, 1, 0, 0},
    {"n=10 s=3 S=2500", NULL, 10, 50, 3, 1, 0, 0},
    {"n=10 s=3 S=3600", NULL, 10, 60, 3, 1, 0, 0},
    {"n=10 s=3 S=10000", NULL, 10, 100, 3, 1, 0, 0},
    {"n=10 s=3 S=40000", NULL, 10, 200, 3, 1, 0, 0},
    {"n=10 s=3 S=3600 30%", NULL, 10, 60, 3, 0.3, 0, 0},
    {"n=10 s=3 osmFISH graph", "osmfish_cortex", 10, 0, 3, 1, 0, 0},
    {"n=30 s=5 S=3600", NULL, 30, 60, 5, 1, 0, 0},
    {"n=30 s=5 S=3600 30%", NULL, 30, 60, 5, 0.3, 0, 0},
    {"n=60 s=8 S=3600", NULL, 60, 60, 8, 1, 0, 0},
    {"n=100 s=8 S=10000 30%", NULL, 100, 100, 8, 0.3, 0, 0},
    {"n=4 binary S=900", NULL, 4, 30, 0, 1, 0, 1},
    {"n=8 s=4 S=3600 orthant", NULL, 8, 60, 4, 1, 1, 0},
    {"n=20 s=4 S=3600 orthant", NULL, 20, 60, 4, 1, 1, 0},
};

/* The l1 path is for sparse forces, the orthant form for tissue that is not negative. */
static int applies(int method, const setting *set)
{
    if (method == ORTHANT) return set->orthant;
    if (method == EXACT) return set->genes <= 60;
    if (method == L1) return set->share < 1;
    if (method == FIELD) return 0;
    return 1;
}

static void experiment_exact(void)
{
    size_t k;
    for (k = 0; k < sizeof settings / sizeof settings[0]; k++) {
        const setting *set = &settings[k];
        int64_t runs = set->genes >= 60 || set->side >= 200 ? (seeds + 3) / 4 : seeds, run, m, r, f;
        double *figure = (double *)get(METHODS * 2 * (FIGURES + 1) * runs, sizeof(double));
#define FIGURE(m, r, f, run) figure[(((m)*2 + (r)) * (FIGURES + 1) + (f)) * runs + (run)]
        if (set->graph && !have_data(set->graph)) continue;
        OVER_SEEDS
        for (run = 0; run < runs; run++) {
            cel_model truth, fitted;
            slide s = make_slide(set);
            int64_t mm, rr, ff;
            relate(&s);
            tile_slide(&s, 6);
            plant(set, (uint64_t)run, &truth);
            draw(set, (uint64_t)run, &truth, &s);
            for (mm = 0; mm < METHODS; mm++) {
                double took, of[FIGURES];
                if (!applies((int)mm, set)) {
                    for (rr = 0; rr < 2; rr++)
                        for (ff = 0; ff <= FIGURES; ff++) FIGURE(mm, rr, ff, run) = NAN;
                    continue;
                }
                took = fit((int)mm, &s, (uint64_t)run, &fitted, NULL);
                for (rr = 0; rr < 2; rr++) {
                    judge(cel_model_force(&truth, rr), cel_model_force(&fitted, rr), of);
                    for (ff = 0; ff < FIGURES; ff++) FIGURE(mm, rr, ff, run) = of[ff];
                    FIGURE(mm, rr, FIGURES, run) = took;
                }
                cel_model_free(&fitted);
            }
            cel_model_free(&truth);
            free_slide(&s);
        }
        for (m = 0; m < METHODS; m++) {
            if (!applies((int)m, set)) continue;
            for (r = 0; r < 2; r++)
                for (f = 0; f < FIGURES; f++) {
                    if (f == AUPRC && set->share >= 1 && !set->binary) continue;
                    if ((f == SLOPE || f == ERROR) && m < EXACT) continue;
                    line("exact", set->name, method_name[m], r ? "inter" : "intra", figure_name[f], &FIGURE(m, r, f, 0),
                         runs);
                }
            line("exact", set->name, method_name[m], "both", "seconds", &FIGURE(m, 0, FIGURES, 0), runs);
        }
        free(figure);
    }
}

/* ---- the published simulation, as published (and read off the diagonal too) ---- */

/* 4 genes, 10 x 10 grid, angles N(pi, pi/2), binary truth for both forces, 2,000 + 2,000 epochs, rate 0.1, zmft 0.1.
 * Every estimator then sees the tissue that the published generator made, which is not a sample of the model. */
static void experiment_published(void)
{
    enum { RUNS = 100, SHOWN = 5 };
    static const int methods[SHOWN] = {PUBLISHED, UNTRAINED, CORRELATION, EXACT, RIDGE};
    setting set = {"n=4 binary", NULL, 4, 10, 0, 1, 0, 1};
    double *whole = (double *)get(SHOWN * 2 * RUNS, sizeof(double)),
           *off = (double *)get(SHOWN * 2 * RUNS, sizeof(double));
    int64_t run, m, r;
    OVER_SEEDS
    for (run = 0; run < RUNS; run++) {
        cel_model truth, fitted;
        cel_mat angles;
        cel_relations published;
        cel_paper_options options;
        slide s = make_slide(&set);
        int64_t mm, rr, i;
        relate(&s);
        tile_slide(&s, 2);
        plant(&set, (uint64_t)run, &truth);
        check(cel_mat_new(100, 3, &angles), "memory");
        cel_paper_noise_angles((uint64_t)run, 3.14159265358979323846, 1.57079632679489661923, angles);
        memset(&options, 0, sizeof options);
        options.epochs = 2000;
        options.lr = 0.1;
        published = published_relations(&s);
        check(cel_paper_generate(&truth, &published, &options, angles, s.x, NULL, NULL, NULL), "published generator");
        cel_relations_free(&published);
        for (mm = 0; mm < SHOWN; mm++) {
            if (methods[mm] == PUBLISHED) {
                check(cel_model_new(4, 2, 0, &fitted), "memory");
                published_fit(&s, 2000, 0.1, 0.1, (uint64_t)run, &fitted);
            } else
                fit(methods[mm], &s, (uint64_t)run, &fitted, NULL);
            for (rr = 0; rr < 2; rr++) {
                double t[16], f[16];
                int64_t count;
                for (i = 0; i < 16; i++) {
                    t[i] = (double)cel_model_force(&truth, rr).data[i];
                    f[i] = (double)cel_model_force(&fitted, rr).data[i];
                }
                whole[(mm * 2 + rr) * RUNS + run] = spearman(t, f, 16);
                count = upper(cel_model_force(&truth, rr), t);
                upper(cel_model_force(&fitted, rr), f);
                off[(mm * 2 + rr) * RUNS + run] = spearman(t, f, count);
            }
            cel_model_free(&fitted);
        }
        cel_mat_free(&angles);
        cel_model_free(&truth);
        free_slide(&s);
    }
    for (m = 0; m < SHOWN; m++)
        for (r = 0; r < 2; r++) {
            double *kept = &whole[(m * 2 + r) * RUNS];
            int64_t i, n = 0;
            double alive[RUNS];
            for (i = 0; i < RUNS; i++)
                if (kept[i] <= kept[i]) alive[n++] = kept[i];
            line("published", "surviving runs, with diagonal", method_name[methods[m]], r ? "inter" : "intra",
                 "spearman", alive, n);
            line("published", "all runs, with diagonal", method_name[methods[m]], r ? "inter" : "intra", "spearman",
                 kept, RUNS);
            line("published", "all runs, off the diagonal", method_name[methods[m]], r ? "inter" : "intra", "spearman",
                 &off[(m * 2 + r) * RUNS], RUNS);
        }
    free(whole);
    free(off);
}

/* ---- tissue that does not come from the model: a mechanistic simulator with directed, signed edges ---- */

typedef struct mechanism {
    const char *name;
    int64_t side, iterations, batches;
    double rate, noise;
} mechanism;

static const mechanism mechanisms[] = {
    {"2 iterations, 2 x 15 x 15, rate 0.2, noise 0.2", 15, 2, 2, 0.2, 0.2},
    {"1 iteration, 40 x 40, rate 0.1, noise 0.1", 40, 1, 1, 0.1, 0.1},
    {"published: 5 iterations, 5 x 10 x 10, rate 0.5, noise 0.1", 10, 5, 5, 0.5, 0.1},
};

/* Edges start <= end with weights -1, 0, 1 at 0.4, 0.2, 0.4, separately within and between cells. Start uniform, rows
 * of unit length. An iteration: the within-cell edges in random order, x_b += w rate x_a in place; the between-cell
 * edges, x_b += w rate (sum over the neighbours of the iteration's start)_a; clip to [0, 1], noise, clip, unit rows.
 * Neighbours: rows of cells one apart, even rows shifted by half a cell, distance at most 1: left and right. */
static void mechanistic(const mechanism *how, uint64_t seed, slide *s, cel_model *truth)
{
    enum { N = 4, EDGES = N * (N + 1) / 2 };
    int64_t side = how->side, cells = side * side * how->batches, i, it, e, a, b, count = 0;
    int64_t *from = (int64_t *)get(4 * cells, sizeof(int64_t)), *to = from + 2 * cells;
    cel_rng rng = cel_rng_at(seed, 200, 0, 0);
    int start[EDGES], end[EDGES], weight[2][EDGES];
    int32_t order[EDGES];
    cel_mat old;
    memset(s, 0, sizeof *s);
    check(cel_model_new(N, 2, 0, truth), "memory");
    check(cel_mat_new(cells, N, &s->x), "memory");
    check(cel_mat_new(cells, N, &old), "memory");
    check(cel_mat_new(cells, 2, &s->coords), "memory");
    for (i = 0; i < cells; i++) {
        int64_t column = i % side, row = i / side % side, batch = i / (side * side);
        s->coords.data[2 * i] = (cel_real)((double)column - (row % 2 ? 0 : 0.5) + (double)(batch * (side + 10)));
        s->coords.data[2 * i + 1] = (cel_real)row;
        if (column > 0) from[count] = i, to[count++] = i - 1;
        if (column + 1 < side) from[count] = i, to[count++] = i + 1;
    }
    check(cel_csr_from_edges(cells, cells, count, from, to, NULL, &s->graph, NULL), "graph");
    for (e = 0, a = 0; a < N; a++)
        for (b = a; b < N; b++, e++) {
            int r;
            start[e] = (int)a;
            end[e] = (int)b;
            for (r = 0; r < 2; r++) {
                double u = cel_rng_uniform(&rng);
                weight[r][e] = u < 0.4 ? -1 : u < 0.6 ? 0 : 1;
                cel_model_force(truth, r).data[a * N + b] = cel_model_force(truth, r).data[b * N + a] =
                    (cel_real)weight[r][e];
            }
        }
    for (e = 0; e < cells * N; e++) { /* 24 bits of each word of a block */
        if (e % 4 == 0) rng.left = 0, cel_rng_uniform(&rng);
        s->x.data[e] = (cel_real)(rng.word[e % 4] >> 8) * (cel_real)(1.0 / 16777216.0);
    }
    rng.left = 0;
    check(cel_slide_unit(s->x, NULL, NULL, NULL), "rows");
    for (it = 0; it < how->iterations; it++) {
        check(cel_csr_mul(1, &s->graph, s->x, 0, old), "neighbours");
        for (e = 0; e < EDGES; e++) order[e] = (int32_t)e;
        shuffle(order, EDGES, &rng);
        for (e = 0; e < EDGES; e++)
            for (i = 0; i < cells; i++)
                s->x.data[i * N + end[order[e]]] +=
                    (cel_real)(weight[0][order[e]] * how->rate) * s->x.data[i * N + start[order[e]]];
        shuffle(order, EDGES, &rng);
        for (e = 0; e < EDGES; e++)
            for (i = 0; i < cells; i++)
                s->x.data[i * N + end[order[e]]] +=
                    (cel_real)(weight[1][order[e]] * how->rate) * old.data[i * N + start[order[e]]];
        for (i = 0; i < cells * N; i++) {
            double v = (double)s->x.data[i];
            v = (v < 0 ? 0 : v > 1 ? 1 : v) + how->noise * cel_rng_normal(&rng);
            s->x.data[i] = (cel_real)(v < 0 ? 0 : v > 1 ? 1 : v);
        }
        for (i = 0; i < cells; i++) /* a cell that lost everything keeps a trace */
            if (!(cel_vec_nrm2(s->x.data + i * N, N) > 0)) s->x.data[i * N + i % N] = 1;
        check(cel_slide_unit(s->x, NULL, NULL, NULL), "rows");
    }
    cel_mat_free(&old);
    free(from);
    relate(s);
    tile_slide(s, 4);
}

static void experiment_mechanistic(void)
{
    enum { RUNS = 40, SHOWN = 7, PAIRS = 6 };
    static const int methods[SHOWN] = {PUBLISHED, CORRELATION, UNTRAINED, EXACT, MOMENT, ORTHANT, FIELD};
    size_t k;
    for (k = 0; k < sizeof mechanisms / sizeof mechanisms[0]; k++) {
        double *r = (double *)get(SHOWN * 2 * RUNS, sizeof(double));
        double *pooled = (double *)get(SHOWN * 2 * 2 * RUNS * PAIRS, sizeof(double));
        int64_t run, m, q;
        OVER_SEEDS
        for (run = 0; run < RUNS; run++) {
            cel_model truth, fitted;
            slide s;
            int64_t mm, rr;
            mechanistic(&mechanisms[k], (uint64_t)run, &s, &truth);
            for (mm = 0; mm < SHOWN; mm++) {
                if (methods[mm] == PUBLISHED) {
                    check(cel_model_new(4, 2, 0, &fitted), "memory");
                    published_fit(&s, 20, 5e-4, 0.1, (uint64_t)run, &fitted);
                } else
                    fit(methods[mm], &s, (uint64_t)run, &fitted, NULL);
                for (rr = 0; rr < 2; rr++) {
                    double *t = &pooled[((mm * 2 + rr) * 2 * RUNS + run) * PAIRS], *f = t + RUNS * PAIRS;
                    upper(cel_model_force(&truth, rr), t);
                    upper(cel_model_force(&fitted, rr), f);
                    r[(mm * 2 + rr) * RUNS + run] = pearson(t, f, PAIRS, NULL);
                }
                cel_model_free(&fitted);
            }
            cel_model_free(&truth);
            free_slide(&s);
        }
        for (m = 0; m < SHOWN; m++)
            for (q = 0; q < 2; q++) {
                double *t = &pooled[(m * 2 + q) * 2 * RUNS * PAIRS],
                       all = pearson(t, t + RUNS * PAIRS, RUNS * PAIRS, NULL);
                line("mechanistic", mechanisms[k].name, method_name[methods[m]], q ? "inter" : "intra", "pearson",
                     &r[(m * 2 + q) * RUNS], RUNS);
                line("mechanistic", mechanisms[k].name, method_name[methods[m]], q ? "inter" : "intra",
                     "pooled_pearson", &all, 1);
            }
        free(r);
        free(pooled);
    }
}

/* ---- error bars: are they right? ---- */

static void experiment_calibration(void)
{
    static const setting set = {"n=30 s=5 15% S=3600", NULL, 30, 60, 5, 0.15, 0, 0};
    double *sd = (double *)get(6 * seeds, sizeof(double));
    int64_t run, r;
    OVER_SEEDS
    for (run = 0; run < seeds; run++) {
        cel_model truth, fitted;
        cel_score_report report;
        slide s = make_slide(&set);
        int64_t a, b, rr, n = set.genes;
        relate(&s);
        tile_slide(&s, 6);
        plant(&set, (uint64_t)run, &truth);
        draw(&set, (uint64_t)run, &truth, &s);
        fit(MOMENT, &s, 0, &fitted, &report);
        for (rr = 0; rr < 2; rr++) {
            double zz = 0, null = 0, called = 0, wrong = 0, real = 0, found = 0;
            for (a = 0; a < n; a++)
                for (b = a + 1; b < n; b++) {
                    int64_t at = (rr * n + a) * n + b;
                    int is_null = !(fabs((double)truth.force.data[at]) > 0),
                        is_called = (double)report.q.data[at] < 0.05;
                    if (is_null)
                        zz += (double)report.z.data[at] * (double)report.z.data[at], null++;
                    else
                        real++, found += is_called;
                    called += is_called;
                    wrong += is_null && is_called;
                }
            sd[(rr * 3 + 0) * seeds + run] = sqrt(zz / null);
            sd[(rr * 3 + 1) * seeds + run] = called > 0 ? wrong / called : 0;
            sd[(rr * 3 + 2) * seeds + run] = found / real;
        }
        cel_score_report_free(&report);
        cel_model_free(&truth);
        cel_model_free(&fitted);
        free_slide(&s);
    }
    for (r = 0; r < 6; r++) {
        static const char *const name[] = {"sd_of_null_z", "false_discovery_proportion", "power"};
        double mean = 0;
        for (run = 0; run < seeds; run++) mean += sd[r * seeds + run] / seeds;
        line("calibration", set.name, "score-moments", r < 3 ? "intra" : "inter", name[r % 3], &sd[r * seeds], seeds);
        printf("calibration,\"%s\",score-moments,%s,mean_%s,%.4g,,,0,%d\n", set.name, r < 3 ? "intra" : "inter",
               name[r % 3], mean, seeds);
    }
    free(sd);
}

/* ---- real slides ---- */

/* Counts to unit rows of the `top` most expressed genes (0: all); rows without counts are dropped, labels with them. */
static slide unit_slide(const char *name, int64_t top, char ***slide_of)
{
    slide s;
    char path[1024];
    int64_t rows, zeros, lines;
    uint8_t *keep;
    int32_t *index = (int32_t *)get(top, sizeof(int32_t));
    memset(&s, 0, sizeof s);
    snprintf(path, sizeof path, "%s/%s/counts.npy", data_folder, name);
    check(cel_npy_matrix(path, &s.x, NULL), path);
    snprintf(path, sizeof path, "%s/%s/coords.npy", data_folder, name);
    check(cel_npy_matrix(path, &s.coords, NULL), path);
    if (slide_of) {
        snprintf(path, sizeof path, "%s/%s/slides.txt", data_folder, name);
        check(cel_file_lines(path, slide_of, &lines, NULL), path);
    }
    rows = s.x.rows;
    keep = (uint8_t *)get(rows, 1);
    check(cel_slide_scale(s.x, NULL, NULL), path);
    if (top) {
        cel_genes_options by = CEL_ZERO;
        by.top = top;
        check(cel_slide_genes(s.x, &by, index, &top, NULL, NULL, NULL), path);
        check(cel_mat_columns(&s.x, index, top), path);
    }
    check(cel_slide_unit(s.x, keep, &zeros, NULL), path);
    s.x.rows = cel_compact(keep, rows, s.x.data, (size_t)s.x.stride * sizeof(cel_real));
    s.coords.rows = cel_compact(keep, rows, s.coords.data, (size_t)s.coords.stride * sizeof(cel_real));
    if (slide_of) cel_compact(keep, rows, *slide_of, sizeof(char *));
    free(keep);
    free(index);
    return s;
}

/* The share of pairs called on a real slide, as it is and with its cells' positions permuted. */
static void experiment_shuffled(void)
{
    static const char *const name[] = {"no ridge", "ridge picked"};
    int shuffled, ridge, r;
    if (!have_data("xenium_breast")) return;
    for (ridge = 0; ridge < 2; ridge++)
        for (shuffled = 0; shuffled < 2; shuffled++) {
            cel_score_options options;
            cel_score_report report;
            cel_model fitted;
            slide s = unit_slide("xenium_breast", 60, NULL);
            int64_t n = s.x.cols, a, b;
            if (shuffled) permute_rows(s.coords, NULL, 1);
            check(cel_graph_knn(s.coords, NULL, 6, 0, &s.graph, NULL), "graph");
            relate(&s);
            tile_slide(&s, 6);
            memset(&options, 0, sizeof options);
            options.ridge = ridge ? CEL_SCORE_PICKED : 0;
            options.group = s.tile;
            check(cel_score_fit(&s.relations, s.x, &options, &fitted, &report, NULL, NULL), "fit");
            for (r = 0; r < 2; r++) {
                double called = 0;
                for (a = 0; a < n; a++)
                    for (b = a + 1; b < n; b++) called += (double)report.q.data[(r * n + a) * n + b] < 0.05;
                called /= (double)(n * (n - 1) / 2);
                line("shuffled", shuffled ? "xenium_breast 60 genes, positions permuted" : "xenium_breast 60 genes",
                     name[ridge], r ? "inter" : "intra", "share_of_pairs_called", &called, 1);
            }
            cel_score_report_free(&report);
            cel_model_free(&fitted);
            free_slide(&s);
        }
}

/* Forces of each st_bcl4 slide against those of the other three: fitted apart, so nothing leaks. As it is, and with the
 * positions permuted within slides: what agrees then is mean expression and within-cell law, not neighbours. */
static void experiment_heldout(void)
{
    enum { GENES = 60, SHOWN = 4, PERMUTATIONS = 999 };
    static const int methods[SHOWN] = {PUBLISHED, CORRELATION, MOMENT, RIDGE};
    int64_t shuffled, k, m, r;
    if (!have_data("st_bcl4")) return;
    for (shuffled = 0; shuffled < 2; shuffled++) {
        double agree[SHOWN][2][4], beyond[SHOWN][2];
        memset(beyond, 0, sizeof beyond);
        for (k = 0; k < 4; k++) {
            cel_model fitted[2][SHOWN];
            int part;
            for (part = 0; part < 2; part++) { /* 0: slide k; 1: the other three */
                char **label, name[16];
                slide s = unit_slide("st_bcl4", GENES, &label);
                int64_t i, count = 0, rows = s.x.rows;
                int32_t *of = (int32_t *)get(rows, sizeof(int32_t));
                uint8_t *keep = (uint8_t *)get(rows, 1);
                snprintf(name, sizeof name, "layer%d", (int)k + 1);
                for (i = 0; i < rows; i++) {
                    keep[i] = (strcmp(label[i], name) == 0) == (part == 0);
                    if (keep[i]) of[count++] = label[i][5] - '1';
                }
                s.x.rows = cel_compact(keep, rows, s.x.data, (size_t)s.x.stride * sizeof(cel_real));
                s.coords.rows = cel_compact(keep, rows, s.coords.data, (size_t)s.coords.stride * sizeof(cel_real));
                if (shuffled)
                    for (i = 0; i < count;) { /* slides are contiguous */
                        int64_t j = i;
                        while (j < count && of[j] == of[i]) j++;
                        permute_rows(cel_mat_block(s.coords, i, 0, j - i, s.coords.cols), NULL,
                                     (uint64_t)(10 * k + of[i]));
                        i = j;
                    }
                check(cel_graph_knn(s.coords, of, 6, 0, &s.graph, NULL), "graph");
                relate(&s);
                s.tile = (int32_t *)get(count, sizeof(int32_t));
                check(cel_slide_tiles(s.coords, of, 3, s.tile, &s.tiles, NULL), "tiles");
                for (m = 0; m < SHOWN; m++) fit(methods[m], &s, (uint64_t)part, &fitted[part][m], NULL);
                free_slide(&s);
                free(of);
                free(keep);
                cel_file_free(label);
            }
            for (m = 0; m < SHOWN; m++)
                for (r = 0; r < 2; r++) {
                    double *a = (double *)get(2 * GENES * GENES, sizeof(double)), *b = a + GENES * GENES;
                    int64_t count = upper(cel_model_force(&fitted[0][m], r), a), p, i, j;
                    int32_t gene[GENES];
                    cel_rng rng = cel_rng_at((uint64_t)k, 400, (uint32_t)m, (uint32_t)r);
                    cel_mat whole = cel_model_force(&fitted[1][m], r), mixed;
                    upper(whole, b);
                    agree[m][r][k] = spearman(a, b, count);
                    check(cel_mat_new(GENES, GENES, &mixed), "memory");
                    for (i = 0; i < GENES; i++) gene[i] = (int32_t)i;
                    for (p = 0; p < PERMUTATIONS;
                         p++) { /* genes relabelled: a permutation, not entries drawn with replacement */
                        shuffle(gene, GENES, &rng);
                        for (i = 0; i < GENES; i++)
                            for (j = 0; j < GENES; j++)
                                mixed.data[i * GENES + j] = whole.data[gene[i] * whole.stride + gene[j]];
                        upper(mixed, b);
                        beyond[m][r] += !(spearman(a, b, count) < agree[m][r][k]);
                    }
                    cel_mat_free(&mixed);
                    free(a);
                }
            for (m = 0; m < SHOWN; m++) cel_model_free(&fitted[0][m]), cel_model_free(&fitted[1][m]);
        }
        for (m = 0; m < SHOWN; m++)
            for (r = 0; r < 2; r++) {
                double p = (beyond[m][r] + 1) / (4 * PERMUTATIONS + 1);
                const char *name = shuffled ? "st_bcl4 60 genes, positions permuted" : "st_bcl4 60 genes";
                line("heldout", name, method_name[methods[m]], r ? "inter" : "intra", "spearman", agree[m][r], 4);
                line("heldout", name, method_name[methods[m]], r ? "inter" : "intra", "permutation_p", &p, 1);
            }
    }
}

int main(int argc, char **argv)
{
    static const struct {
        const char *name;
        void (*run)(void);
    } all[] = {{"exact", experiment_exact},
               {"published", experiment_published},
               {"mechanistic", experiment_mechanistic},
               {"calibration", experiment_calibration},
               {"shuffled", experiment_shuffled},
               {"heldout", experiment_heldout}};
    enum { ALL = sizeof all / sizeof all[0] };
    int i, named = 0;
    size_t k;
    for (i = 1; i < argc; i++) {
        if (!strcmp(argv[i], "--data") && i + 1 < argc)
            data_folder = argv[++i];
        else if (!strcmp(argv[i], "--seeds") && i + 1 < argc)
            seeds = atoi(argv[++i]);
    }
    if (seeds < 1) return 2;
    printf("experiment,setting,method,force,figure,median,lower_quartile,upper_quartile,failed,runs\n");
    for (k = 0; k < ALL; k++) {
        int wanted = 0;
        double start = clock_of(2);
        for (i = 1; i < argc; i++) {
            int j, known = 0;
            for (j = 0; j < ALL; j++) known |= !strcmp(argv[i], all[j].name);
            named |= known;
            wanted |= !strcmp(argv[i], all[k].name);
        }
        if (named && !wanted) continue;
        all[k].run();
        fprintf(stderr, "%s: %.0f s\n", all[k].name, clock_of(2) - start);
    }
    return 0;
}
