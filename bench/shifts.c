/* Which forces a condition changes. Planted: four conditions of 3,600 cells each on a hexagonal grid, 30 genes, forces
 * normal with deviation 4 within cells and 4 / 6 between (a share of .3 of the pairs); in each condition but the
 * control three genes are targets, and 10 pairs within cells and 5 between, each with a target in it, are shifted by
 * plus or minus 3 and 1.5; exact samples, tiles as replicates. Also seen through 1,000 counts a cell, as bench/counts.c
 * has it, and without any shift, but with other means, fewer counts or other shares of two types. Then real slides
 * between which nothing, or not much, should differ, and the gap genes of fly embryos of eight genotypes, embryos as
 * replicates. Beside it: fits of each condition alone, ridge picked, and their differences. make shifts keeps what it
 * prints.
 *
 *   build/truth_shifts [--data DIR] [--csv FILE] [--quick] [EXPERIMENT ..]   EXPERIMENT: planted batch controls gap
 *   build/truth_shifts --kept bench/shifts.csv        the tables of a run that was kept
 *
 * Seeds 1-10. SPDX-License-Identifier: MIT */
#include "truth.h"

enum { GENES = 30, SIDE = 60, CONDITIONS = 4, TARGETS = 3, RUNS = 10 };
static int runs_wanted(void) { return quick ? 1 : RUNS; }

/* Slides under conditions: one slide each. */
typedef struct screen {
    slide s;
    int32_t *condition;
    cel_model truth[CONDITIONS];
    int32_t target[CONDITIONS][TARGETS];
} screen;

static void free_screen(screen *p)
{
    int c;
    for (c = 0; c < CONDITIONS; c++) cel_model_free(&p->truth[c]);
    free(p->condition);
    free_slide(&p->s);
}

/* The forces of condition c: the base and, but for the control, its shifts. */
static void shift_forces(screen *p, int c, double size, uint64_t seed)
{
    cel_rng rng = cel_rng_at(seed, 400, (uint32_t)c, 0);
    int64_t r, k, a, b, t;
    if (c) {
        check(cel_model_new(GENES, 2, 0, &p->truth[c]), "memory");
        check(cel_mat_copy(p->truth[0].force, p->truth[c].force), "copy");
    }
    for (t = 0; t < TARGETS; t++) do {
            p->target[c][t] = (int32_t)cel_rng_integer(&rng, GENES);
            for (k = 0; k < t && p->target[c][k] != p->target[c][t]; k++) continue;
        } while (k < t);
    for (r = 0; r < 2 && c && size > 0; r++)
        for (k = 0; k < (r ? 5 : 10);) {
            cel_mat f = cel_model_force(&p->truth[c], r), base = cel_model_force(&p->truth[0], r);
            double sign = cel_rng_uniform(&rng) < 0.5 ? -1 : 1;
            a = p->target[c][k % TARGETS];
            b = cel_rng_integer(&rng, GENES);
            if (a == b || fabs((double)(f.data[a * GENES + b] - base.data[a * GENES + b])) > 0) continue;
            f.data[a * GENES + b] += (cel_real)(sign * size / (r ? 2 : 1));
            f.data[b * GENES + a] = f.data[a * GENES + b];
            k++;
        }
}

/* Tissue of every condition, one below another. */
static screen draw_screen(double size, uint64_t seed)
{
    static const setting set = {"base", NULL, GENES, SIDE, 4, 0.3, 0, 0, 0};
    screen p = CEL_ZERO;
    int64_t one = SIDE * SIDE, i;
    int c;
    p.s.x = new_mat(CONDITIONS * one, GENES);
    p.s.coords = new_mat(CONDITIONS * one, 2);
    p.s.part = (int32_t *)get(CONDITIONS * one, sizeof(int32_t));
    p.condition = (int32_t *)get(CONDITIONS * one, sizeof(int32_t));
    p.s.parts = CONDITIONS;
    plant(&set, seed, &p.truth[0]);
    for (c = 0; c < CONDITIONS; c++) {
        slide tissue = make_slide(&set);
        relate(&tissue);
        shift_forces(&p, c, size, seed);
        draw(&set, seed * CONDITIONS + (uint64_t)c, &p.truth[c], &tissue);
        check(cel_mat_copy(tissue.x, cel_mat_block(p.s.x, c * one, 0, one, GENES)), "copy");
        check(cel_mat_copy(tissue.coords, cel_mat_block(p.s.coords, c * one, 0, one, 2)), "copy");
        for (i = 0; i < one; i++) p.s.part[c * one + i] = p.condition[c * one + i] = c;
        free_slide(&tissue);
    }
    neighbours(&p.s, 6, 6);
    return p;
}

/* The fit of cells, from moments of each condition, group and slide (labels; slide may be NULL). */
static cel_shift_report fit_shifts(const cel_relations *relations, cel_mat rows, const int32_t *condition,
                                   const int32_t *slide, const int32_t *group, const double *size)
{
    cel_score_options o = cel_score_measured(size);
    cel_shift_report report;
    cel_error err;
    int32_t *part = (int32_t *)get(rows.rows, sizeof(int32_t)), *of[3];
    int64_t *key = (int64_t *)get(rows.rows, sizeof(int64_t)), i, k, count = 0;
    cel_moments *moments;
    for (k = 0; k < 3; k++) of[k] = (int32_t *)get(rows.rows, sizeof(int32_t));
    for (i = 0; i < rows.rows; i++) {
        int64_t at = ((int64_t)condition[i] << 40) + ((int64_t)group[i] << 20) + (slide ? slide[i] : 0);
        for (k = count - 1; k >= 0 && key[k] != at; k--) continue;
        if (k < 0) {
            key[k = count++] = at;
            of[0][k] = condition[i];
            of[1][k] = group[i];
            of[2][k] = slide ? slide[i] : 0;
        }
        part[i] = (int32_t)k;
    }
    moments = (cel_moments *)get(count, sizeof *moments);
    for (k = 0; k < count; k++) check(cel_moments_new(rows.cols, relations, moments + k), "moments");
    check(cel_moments_add_by_label(moments, count, part, relations, rows, NULL), "moments");
    o.group = of[1];
    o.slide = of[2];
    if (cel_shift_fit(moments, count, of[0], &o, &report, &err, NULL)) {
        fprintf(stderr, "shifts: %s (%lld)\n", err.what, (long long)err.offset);
        exit(1);
    }
    for (k = 0; k < count; k++) cel_moments_free(moments + k);
    for (k = 0; k < 3; k++) free(of[k]);
    free(moments);
    free(part);
    free(key);
    return report;
}

enum { SPARSE, TESTS, APART, METHODS };
static const char *const method_name[METHODS + 1] = {"shifts, l1", "shifts, tests", "differences of fits", NULL};

/* partial (4 x 2n x n) = forces of each condition's own fit, ridge picked. */
static cel_mat fits_apart(const screen *p, cel_mat rows, const double *size)
{
    cel_mat partial = new_mat(CONDITIONS * 2 * GENES, GENES);
    int c;
    for (c = 0; c < CONDITIONS; c++) {
        slide one = CEL_ZERO;
        cel_score_options o = cel_score_measured(size);
        cel_model model;
        cel_score_report report;
        int64_t i, count = 0;
        one.x = new_mat(rows.rows, GENES);
        one.coords = new_mat(rows.rows, 2);
        for (i = 0; i < rows.rows; i++) {
            if (p->condition[i] != c) continue;
            check(cel_mat_copy(cel_mat_block(rows, i, 0, 1, GENES), cel_mat_block(one.x, count, 0, 1, GENES)), "copy");
            check(cel_mat_copy(cel_mat_block(p->s.coords, i, 0, 1, 2), cel_mat_block(one.coords, count++, 0, 1, 2)),
                  "copy");
        }
        one.x.rows = one.coords.rows = count;
        neighbours(&one, 6, 6);
        o.group = one.tile;
        o.no_errors = 1;
        o.no_shares = 1;
        check(cel_score_fit(&one.relations, one.x, &o, &model, &report, NULL, NULL), "fit");
        check(cel_mat_copy(report.partial, cel_mat_block(partial, c * 2 * GENES, 0, 2 * GENES, GENES)), "copy");
        cel_model_free(&model);
        cel_score_report_free(&report);
        free_slide(&one);
    }
    return partial;
}

typedef struct tally {
    double called, right, wanted;
} tally;
static double f1(tally t) { return 2 * t.right / (t.called + t.wanted); }

/* Figures of one run: average precision by method and relation, targets' F1, share of unshifted pairs called. */
typedef struct figures {
    double precision[METHODS][2], targets, targets_of_pairs, false_calls[2], power[2], false_share[2], null_targets;
} figures;

static void judge(const screen *p, const cel_shift_report *report, cel_mat apart, figures *out)
{
    enum { PAIRS = GENES * (GENES - 1) / 2 };
    double truth[PAIRS], score[METHODS][PAIRS];
    tally target = CEL_ZERO, naive = CEL_ZERO, pairs[2];
    int c, r, m, t;
    int64_t a, b, k;
    memset(pairs, 0, sizeof pairs);
    memset(out, 0, sizeof *out);
    for (c = 1; c < CONDITIONS; c++) {
        int hits[GENES] = {0};
        for (r = 0; r < 2; r++) {
            int64_t at = ((c - 1) * 2 + r) * GENES * GENES, base = r * GENES * GENES;
            for (k = a = 0; a < GENES; a++)
                for (b = a + 1; b < GENES; b++, k++) {
                    int64_t e = a * GENES + b;
                    int called = (double)report->q.data[at + e] < 0.05;
                    truth[k] = (double)(p->truth[c].force.data[base + e] - p->truth[0].force.data[base + e]);
                    score[SPARSE][k] = (double)report->sparse.data[at + e];
                    score[TESTS][k] = (double)report->z.data[at + e];
                    score[APART][k] =
                        apart.data ? (double)(apart.data[(c * 2 + r) * GENES * GENES + e] - apart.data[base + e]) : 0;
                    hits[a] += called;
                    hits[b] += called;
                    pairs[r].called += called;
                    pairs[r].right += called && fabs(truth[k]) > 0;
                    pairs[r].wanted += fabs(truth[k]) > 0;
                }
            for (m = 0; m < METHODS; m++)
                out->precision[m][r] += average_precision(truth, score[m], PAIRS) / (CONDITIONS - 1);
        }
        for (a = 0; a < GENES; a++) {
            int is = 0, called = (double)report->target_q.data[(c - 1) * GENES + a] < 0.05;
            for (t = 0; t < TARGETS; t++) is |= p->target[c][t] == a;
            target.called += called;
            target.right += called && is;
            target.wanted += is;
            naive.called += hits[a] > 1;
            naive.right += hits[a] > 1 && is;
            naive.wanted += is;
        }
    }
    out->targets = f1(target);
    out->targets_of_pairs = f1(naive);
    out->null_targets = target.called / ((CONDITIONS - 1) * GENES);
    for (r = 0; r < 2; r++) {
        double unshifted = (CONDITIONS - 1) * PAIRS - pairs[r].wanted, wrong = pairs[r].called - pairs[r].right;
        out->false_calls[r] = wrong / unshifted;
        out->false_share[r] = pairs[r].called > 0 ? wrong / pairs[r].called : 0;
        out->power[r] = pairs[r].wanted > 0 ? pairs[r].right / pairs[r].wanted : NAN;
    }
}

static void report_runs(const char *experiment, const char *setting, const figures *f, int runs)
{
    static const char *const force[2] = {"intra", "inter"};
    double x[RUNS];
    int m, r, k;
#define FIGURE(method, relation, name, what)                                                                           \
    for (k = 0; k < runs; k++) x[k] = f[k].what;                                                                       \
    line(experiment, setting, method, relation, name, x, runs)
    for (r = 0; r < 2; r++) {
        for (m = 0; m < METHODS; m++) {
            FIGURE(method_name[m], force[r], "auprc", precision[m][r]);
        }
        FIGURE("shifts, tests", force[r], "false_calls", false_calls[r]);
        FIGURE("shifts, tests", force[r], "false_share", false_share[r]);
        FIGURE("shifts, tests", force[r], "power", power[r]);
    }
    FIGURE("shifts", "both", "target_f1", targets);
    FIGURE("genes of two called pairs", "both", "target_f1", targets_of_pairs);
    FIGURE("shifts", "both", "targets_called", null_targets);
#undef FIGURE
}

/* ---- planted shifts, seen exactly and through counts; and none, but with other means, depths or shares of types ----
 */

enum { MEANS = 1, DEPTH, TYPES, KNOWN };

/* Rows of the tissue as seen through 1,000 counts a cell, size (n) their size direction. Conditions differ besides by
 * what: genes' mean log rates, normal of deviation .3; depth, of .3, .5 and 2 times the control's; the share of a
 * second type, .65, .8 and .95 beside the control's .5, whose mean log rates are off by normals of deviation .7. KNOWN:
 * the same, and rows are centred by slide and type. */
static cel_mat seen_rows(const screen *p, int what, uint64_t seed, double *size)
{
    static const double depth[CONDITIONS] = {1, 0.3, 0.5, 2}, share[CONDITIONS] = {0.5, 0.65, 0.8, 0.95};
    const double root = sqrt((double)GENES);
    cel_mat y = new_mat(p->s.x.rows, GENES);
    cel_rng rng = cel_rng_at(seed, 110, 0, 0);
    cel_scaling_options how = CEL_ZERO;
    cel_scaling scaling;
    cel_error err;
    double mu[GENES], off[CONDITIONS][GENES], type[GENES], total = 0;
    int32_t *group = (int32_t *)get(y.rows, sizeof(int32_t));
    int64_t i, k;
    int c;
    for (k = 0; k < GENES; k++) {
        mu[k] = pow(10, 2 * cel_rng_uniform(&rng));
        type[k] = 0.7 * cel_rng_normal(&rng);
        for (c = 0; c < CONDITIONS; c++) off[c][k] = what == MEANS && c ? 0.3 * cel_rng_normal(&rng) : 0;
    }
    for (i = 0; i < y.rows; i++)
        for (k = 0; k < GENES; k++)
            total += mu[k] * exp(0.8 * root * (double)p->s.x.data[i * GENES + k]) / (double)y.rows;
    for (i = 0; i < y.rows; i++) {
        double factor;
        int second;
        c = p->condition[i];
        rng = cel_rng_at(seed, 111, (uint32_t)i, 0);
        factor = exp(0.5 * cel_rng_normal(&rng)) * (what == DEPTH ? depth[c] : 1) * 1000 / total;
        second = what >= TYPES && cel_rng_uniform(&rng) < share[c];
        group[i] = what == KNOWN ? 2 * c + second : c;
        for (k = 0; k < GENES; k++)
            y.data[i * GENES + k] = (cel_real)cel_rng_poisson(
                &rng, factor * mu[k] *
                          exp(0.8 * root * (double)p->s.x.data[i * GENES + k] + off[c][k] + (second ? type[k] : 0)));
    }
    how.kind = CEL_KIND_COUNTS;
    check(cel_scaling_fit(y, NULL, group, &how, &scaling, &err), "scaling");
    memcpy(size, scaling.size, GENES * sizeof(double));
    cel_scaling_free(&scaling);
    free(group);
    return y;
}

static void one_run(const screen *p, cel_mat rows, const double *size, int with_apart, figures *out)
{
    cel_shift_report report = fit_shifts(&p->s.relations, rows, p->condition, p->s.part, p->s.tile, size);
    cel_mat apart = with_apart ? fits_apart(p, rows, size) : cel_mat_none();
    judge(p, &report, apart, out);
    cel_mat_free(&apart);
    cel_shift_report_free(&report);
}

static const char *const planted_name[] = {"shifts of 3", "shifts of 2", NULL};
static const char *const counts_name[] = {"shifts of 3, 1000 counts", NULL};
static const char *const null_name[] = {
    "none", "none, 1000 counts", "other means", "other depths", "other shares of types", "the same, types known", NULL};

static void planted(void)
{
    int k, run, runs = runs_wanted();
    for (k = 0; k < 2; k++) {
        figures exact[RUNS], seen[RUNS];
        for (run = 0; run < runs; run++) {
            double size[GENES];
            screen p = draw_screen(3 - k, (uint64_t)run + 1);
            cel_mat y = k ? cel_mat_none() : seen_rows(&p, 0, (uint64_t)run + 1, size);
            one_run(&p, p.s.x, NULL, 1, &exact[run]);
            if (!k) one_run(&p, y, size, 1, &seen[run]);
            cel_mat_free(&y);
            free_screen(&p);
        }
        report_runs("planted", planted_name[k], exact, runs);
        if (!k) report_runs("planted", counts_name[0], seen, runs);
    }
}

static void batch(void)
{
    static figures f[6][RUNS];
    int k, run, runs = runs_wanted();
    for (run = 0; run < runs; run++) {
        screen p = draw_screen(0, (uint64_t)run + 1);
        one_run(&p, p.s.x, NULL, 0, &f[0][run]);
        for (k = 0; k < 5; k++) {
            double size[GENES];
            cel_mat y = seen_rows(&p, k, (uint64_t)run + 1, size);
            one_run(&p, y, size, 0, &f[k + 1][run]);
            cel_mat_free(&y);
        }
        free_screen(&p);
    }
    for (k = 0; k < 6; k++) report_runs("batch", null_name[k], f[k], runs);
}

/* ---- real slides ---- */

/* Calls of a slide's conditions (labels 0 ..; cells of another sign are dropped before), and its strongest shifts. */
static void control(const char *title, slide *s, const int32_t *condition, char *const *name, int strongest)
{
    cel_scaling_options how = CEL_ZERO;
    cel_scaling scaling;
    cel_shift_report report;
    cel_error err;
    int64_t n = s->x.cols, c, r, a, b, e, best, *shown = (int64_t *)get(strongest + 1, sizeof(int64_t));
    int k, j;
    how.kind = CEL_KIND_COUNTS;
    check(cel_scaling_fit(s->x, s->total, s->part, &how, &scaling, &err), "scaling");
    report = fit_shifts(&s->relations, s->x, condition, s->part, s->tile, scaling.size);
    for (r = 0; r < 2; r++) {
        double calls = 0, sparse = 0, square = 0, pairs = (double)(report.conditions * n * (n - 1) / 2), untied = 0;
        for (c = 0; c < report.conditions; c++)
            for (a = 0; a < n; a++)
                for (b = a + 1; b < n; b++) {
                    e = (((c * 2 + r) * n) + a) * n + b;
                    calls += (double)report.q.data[e] < 0.05;
                    sparse += fabs((double)report.sparse.data[e]) > 0;
                    square += pow((double)report.z.data[e], 2);
                    untied += fabs((double)report.z.data[e]) > 0;
                }
        value("controls", title, "shifts, tests", r ? "inter" : "intra", "called", calls / pairs);
        value("controls", title, "shifts, tests", r ? "inter" : "intra", "calls", calls);
        value("controls", title, "shifts, tests", r ? "inter" : "intra", "sd_of_z", sqrt(square / untied));
        value("controls", title, "shifts, l1", r ? "inter" : "intra", "selected", sparse / pairs);
    }
    if (strongest)
        printf("\nStrongest shifts, %s\n\n| condition | force | genes | shift | error | q | l1 "
               "|\n|---|---|---|---|---|---|---|\n",
               title);
    for (k = 0; k < strongest; k++) { /* by |z|, of those called */
        char text[4][24];
        for (best = -1, e = 0; e < report.q.rows * n; e++) {
            if (e % n <= e / n % n || !((double)report.q.data[e] < 0.05)) continue;
            for (j = 0; j < k && shown[j] != e; j++) continue;
            if (j == k && (best < 0 || fabs((double)report.z.data[e]) > fabs((double)report.z.data[best]))) best = e;
        }
        if (best < 0) break;
        shown[k] = best;
        printf("| %s | %s | %s, %s | %s | %s | %s | %s |\n", name[best / (2 * n * n) + 1],
               best / (n * n) % 2 ? "inter" : "intra", s->gene[best / n % n], s->gene[best % n],
               short_number((double)report.shift.data[best], text[0]),
               short_number((double)report.se.data[best], text[1]), short_number((double)report.q.data[best], text[2]),
               short_number((double)report.sparse.data[best], text[3]));
    }
    free(shown);
    cel_scaling_free(&scaling);
    cel_shift_report_free(&report);
}

static const char *const control_name[] = {"st_bcl4, four slides", "xenium_breast, tiles by turns",
                                           "xenium_breast, left and right", "osmfish_cortex, regions", NULL};

static void controls(void)
{
    slide s;
    int64_t i, k, lines;
    int32_t *label;
    char **region;
    if (have_data("st_bcl4")) {
        s = load_slide("st_bcl4");
        keep_genes(&s, 60, CEL_GENES_MEAN);
        neighbours(&s, 6, 4);
        control(control_name[0], &s, s.part, NULL, 0);
        free_slide(&s);
    }
    if (have_data("xenium_breast")) {
        s = load_slide("xenium_breast");
        keep_genes(&s, 60, CEL_GENES_MEAN);
        neighbours(&s, 6, 8);
        label = (int32_t *)get(s.x.rows, sizeof(int32_t));
        for (k = 0; k < 2; k++) {
            slide t = s;
            double *x = (double *)get(s.x.rows, sizeof(double)), middle;
            t.x = new_mat(s.x.rows, s.x.cols);
            check(cel_mat_copy(s.x, t.x), "copy");
            for (i = 0; i < s.x.rows; i++) x[i] = (double)s.coords.data[i * s.coords.stride];
            middle = quantile(x, s.x.rows, 0.5);
            for (i = 0; i < s.x.rows; i++) label[i] = k ? x[i] > middle : (s.tile[i] / 8 + s.tile[i] % 8) % 2;
            control(control_name[1 + k], &t, label, NULL, 0);
            cel_mat_free(&t.x);
            free(x);
        }
        free(label);
        free_slide(&s);
    }
    if (!have_data("osmfish_cortex")) return;
    s = load_slide("osmfish_cortex");
    label = read_labels("osmfish_cortex", "regions.txt", &k);
    check(cel_file_lines(in_data("osmfish_cortex", "regions.txt").path, &region, &lines, NULL), "regions");
    {
        char *name[64];
        int32_t as[64];
        int64_t size[64] = {0}, many = 1;
        uint8_t *keep = (uint8_t *)get(lines, 1);
        for (i = 0; i < lines; i++) {
            name[label[i]] = region[i];
            size[label[i]]++;
        }
        for (i = 0; i < k; i++) as[i] = strcmp(name[i], "Layer 4") ? -1 : 0;
        for (i = 0; i < k; i++)
            if (as[i] < 0 && size[i] >= 400 && !strstr(name[i], "xcluded")) as[i] = (int32_t)many++;
        for (i = 0; i < lines; i++) label[i] = as[label[i]];
        for (i = 0; i < lines; i++) keep[i] = label[i] >= 0;
        for (i = 0; i < k; i++)
            if (as[i] >= 0) name[32 + as[i]] = name[i];
        keep_cells(&s, keep);
        cel_compact(keep, lines, label, sizeof(int32_t));
        neighbours(&s, 6, 8);
        control(control_name[3], &s, label, name + 32, 15);
        free(keep);
    }
    cel_file_free(region);
    free(label);
    free_slide(&s);
}

/* ---- gap genes ---- */

enum { GAP = 4, POINTS = 80, GENOTYPES = 8, KINDS = 4, GAP_PAIRS = 6 };
static const char *const genotype_name[GENOTYPES + 1] = {"WT",      "bcd", "bcd_nos_tsl", "bcd_only", "bcd_osk",
                                                         "bcd_tsl", "osk", "tsl",         NULL};
static const char *const kind_name[KINDS + 1] = {"forces within", "forces between", "correlations",
                                                 "partial correlations", NULL};
static const char *const gap_name[] = {"about the embryo's mean", "about the genotype's mean profile", NULL};

/* Correlations of sums (4 x 4 second moments), or partial ones, of the six pairs. */
static void gap_correlations(const double *sum, int partial, double *out)
{
    cel_mat a = new_mat(GAP, GAP), inverse = new_mat(GAP, GAP);
    int64_t i, j, k = 0;
    for (i = 0; i < GAP * GAP; i++)
        a.data[i] = (cel_real)(sum[i] / sqrt(sum[i / GAP * (GAP + 1)] * sum[i % GAP * (GAP + 1)]));
    for (i = 0; i < GAP; i++) inverse.data[i * (GAP + 1)] = 1;
    if (partial) {
        check(cel_mat_cholesky(a), "inverse");
        check(cel_mat_cholesky_solve(a, inverse), "inverse");
    }
    for (i = 0; i < GAP; i++)
        for (j = i + 1; j < GAP; j++, k++) {
            const cel_real *m = partial ? inverse.data : a.data;
            double v = (double)m[i * GAP + j] / sqrt((double)m[i * (GAP + 1)] * (double)m[j * (GAP + 1)]);
            out[k] = partial ? -v : v;
        }
    cel_mat_free(&a);
    cel_mat_free(&inverse);
}

/* The pairs' values of a genotype and their variances by deleting its embryos in turn. sums (embryos x 16). */
static void gap_jackknife(const double *sums, const int32_t *genotype, int64_t embryos, int which, int partial,
                          double *at, double *variance)
{
    double all[GAP * GAP] = {0}, one[GAP * GAP], out[GAP_PAIRS], count = 0, s[GAP_PAIRS] = {0}, ss[GAP_PAIRS] = {0};
    int64_t e, k;
    for (e = 0; e < embryos; e++)
        for (k = 0; k < GAP * GAP && genotype[e] == which; k++) all[k] += sums[e * GAP * GAP + k];
    gap_correlations(all, partial, at);
    for (e = 0; e < embryos; e++) {
        if (genotype[e] != which) continue;
        count++;
        for (k = 0; k < GAP * GAP; k++) one[k] = all[k] - sums[e * GAP * GAP + k];
        gap_correlations(one, partial, out);
        for (k = 0; k < GAP_PAIRS; k++) s[k] += out[k] - at[k], ss[k] += (out[k] - at[k]) * (out[k] - at[k]);
    }
    for (k = 0; k < GAP_PAIRS; k++) variance[k] = (count - 1) / count * (ss[k] - s[k] * s[k] / count);
}

/* How far the six values of a genotype are from those of the wild type. */
static void gap_line(const char *setting, int kind, int g, const double *wild, const double *mutant, const double *q)
{
    double calls = 0, flips = 0, off = 0, size = 0;
    int k;
    for (k = 0; k < GAP_PAIRS; k++) {
        calls += q[k] < 0.05;
        flips += q[k] < 0.05 && wild[k] * mutant[k] < 0;
        off += pow(mutant[k] - wild[k], 2);
        size += pow(wild[k], 2);
    }
    value("gap", setting, kind_name[kind], genotype_name[g], "changed", calls);
    value("gap", setting, kind_name[kind], genotype_name[g], "changed_sign", flips);
    value("gap", setting, kind_name[kind], genotype_name[g], "change_over_wild_type", sqrt(off / size));
}

/* Both kinds of correlations. members (genotypes): embryos. */
static void gap_plain(const char *setting, cel_mat x, const int32_t *genotype, int64_t embryos, const int64_t *members)
{
    double *sums = (double *)get(embryos * GAP * GAP, sizeof(double)), at[2][GAP_PAIRS], variance[2][GAP_PAIRS],
           p[GAP_PAIRS];
    int64_t i, k;
    int kind, g;
    for (i = 0; i < x.rows; i++)
        for (k = 0; k < GAP * GAP; k++)
            sums[i / POINTS * GAP * GAP + k] += (double)x.data[i * GAP + k / GAP] * (double)x.data[i * GAP + k % GAP];
    for (kind = 0; kind < 2; kind++) {
        gap_jackknife(sums, genotype, embryos, 0, kind, at[0], variance[0]);
        for (g = 1; g < GENOTYPES; g++) {
            gap_jackknife(sums, genotype, embryos, g, kind, at[1], variance[1]);
            for (k = 0; k < GAP_PAIRS; k++)
                p[k] = cel_student_p((at[1][k] - at[0][k]) / sqrt(variance[0][k] + variance[1][k]),
                                     (double)members[g] - 1);
            check(cel_fdr(p, GAP_PAIRS, p), "q");
            gap_line(setting, 2 + kind, g, at[0], at[1], p);
        }
    }
    free(sums);
}

/* Forces, from rows of any length. */
static void gap_forces(const char *setting, cel_mat x, const int32_t *genotype, const cel_relations *chain)
{
    int32_t *embryo = (int32_t *)get(2 * x.rows, sizeof(int32_t)), *condition = embryo + x.rows;
    cel_shift_report report;
    int64_t i, j, k, r, g;
    for (i = 0; i < x.rows; i++) embryo[i] = (int32_t)(i / POINTS), condition[i] = genotype[i / POINTS];
    report = fit_shifts(chain, x, condition, embryo, embryo, NULL);
    for (g = 1; g < GENOTYPES; g++)
        for (r = 0; r < 2; r++) {
            double wild[GAP_PAIRS], mutant[GAP_PAIRS], q[GAP_PAIRS];
            const int64_t first = (g - 1) * 2 * GAP * GAP; /* of the shifts within */
            for (k = i = 0; i < GAP; i++)
                for (j = i + 1; j < GAP; j++, k++) {
                    int64_t e = (r * GAP + i) * GAP + j, at = first + e;
                    char name[24];
                    /* The mutant's in its own units, as correlations are: A_aa is -1 + shift in the control's. */
                    wild[k] = (double)report.control.data[e];
                    mutant[k] = wild[k] + (double)report.shift.data[at];
                    mutant[k] /= sqrt((1 - (double)report.shift.data[first + i * (GAP + 1)]) *
                                      (1 - (double)report.shift.data[first + j * (GAP + 1)]));
                    q[k] = (double)report.q.data[at];
                    snprintf(name, sizeof name, "pair%d", (int)k);
                    value("gap_pairs", setting, kind_name[r], genotype_name[g], name, (double)report.shift.data[at]);
                    snprintf(name, sizeof name, "error%d", (int)k);
                    value("gap_pairs", setting, kind_name[r], genotype_name[g], name, (double)report.se.data[at]);
                    snprintf(name, sizeof name, "q%d", (int)k);
                    value("gap_pairs", setting, kind_name[r], genotype_name[g], name, q[k]);
                    snprintf(name, sizeof name, "wild%d", (int)k);
                    value("gap_pairs", setting, kind_name[r], genotype_name[g], name, wild[k]);
                }
            gap_line(setting, (int)r, (int)g, wild, mutant, q);
        }
    cel_shift_report_free(&report);
    free(embryo);
}

static void gap(void)
{
    char **text;
    cel_mat x;
    cel_csr graph;
    cel_relations chain;
    int64_t embryos, i, k, lines, members[GENOTYPES] = {0}, *from, *to, edges = 0;
    int32_t *genotype;
    int how, g;
    if (!have_data("petkova_gap")) return;
    check(cel_file_lines(in_data("petkova_gap", "embryos.csv").path, &text, &lines, NULL), "embryos");
    embryos = lines - 1;
    genotype = (int32_t *)get(embryos, sizeof(int32_t));
    for (i = 0; i < embryos; i++) { /* slide,file,experiment,genotype,.. */
        const char *at = text[i + 1];
        for (k = 0; k < 3; k++) at = strchr(at, ',') + 1;
        for (g = GENOTYPES - 1;
             g > 0 && (strncmp(genotype_name[g], at, strlen(genotype_name[g])) || at[strlen(genotype_name[g])] != ',');
             g--)
            continue;
        members[genotype[i] = (int32_t)g]++;
    }
    from = (int64_t *)get(4 * embryos * POINTS, sizeof(int64_t));
    to = from + 2 * embryos * POINTS;
    for (i = 0; i < embryos * POINTS; i++)
        if (i % POINTS) from[edges] = i - 1, to[edges++] = i, from[edges] = i, to[edges++] = i - 1;
    check(cel_csr_from_edges(embryos * POINTS, embryos * POINTS, edges, from, to, NULL, &graph, NULL), "chain");
    check(cel_relations_from_graph(&graph, NULL, &chain, NULL), "chain");
    for (how = 0; how < 2; how++) {
        int32_t *group = (int32_t *)get(embryos * POINTS, sizeof(int32_t));
        check(cel_npy_matrix(in_data("petkova_gap", "norm.npy").path, &x, NULL), "profiles");
        for (i = 0; i < x.rows; i++)
            group[i] = how ? genotype[i / POINTS] * POINTS + (int32_t)(i % POINTS) : (int32_t)(i / POINTS);
        standardise(x, group, 1 / sqrt((double)GAP));
        gap_forces(gap_name[how], x, genotype, &chain);
        gap_plain(gap_name[how], x, genotype, embryos, members);
        cel_mat_free(&x);
        free(group);
    }
    cel_relations_free(&chain);
    cel_csr_free(&graph);
    cel_file_free(text);
    free(from);
    free(genotype);
}

/* ---- tables ---- */

static void planted_tables(void)
{
    static const char *const all[] = {"shifts of 3", "shifts of 2", "shifts of 3, 1000 counts", NULL};
    static const char *const tests[] = {"shifts, tests", NULL}, *const targets[] = {"shifts",
                                                                                    "genes of two called pairs", NULL};
    table("Planted shifts, area under precision and recall, intra / inter", "planted", "auprc", NULL, all, method_name);
    table("The tests at q < .05: share of what was planted that is called", "planted", "power", NULL, all, tests);
    table("The tests at q < .05: share of the calls that are false", "planted", "false_share", NULL, all, tests);
    table("Target genes, F1", "planted", "target_f1", "both", all, targets);
}

/* The pairs whose forces differ in a genotype. */
static void gap_pairs_table(const char *setting)
{
    static const char *const pair[GAP_PAIRS] = {"Hb Kr", "Hb Gt", "Hb Kni", "Kr Gt", "Kr Kni", "Gt Kni"};
    int g, r, k;
    printf("\nGap genes, %s: which forces differ (q < .05): wild type's, shift, error\n\n| | within | between |\n"
           "|---|---|---|", setting);
    for (g = 1; g < GENOTYPES; g++) {
        printf("\n| %s |", genotype_name[g]);
        for (r = 0; r < 2; r++, printf(" |"))
            for (k = 0; k < GAP_PAIRS; k++) {
                static const char *const figure[4] = {"q", "wild", "pair", "error"};
                double x[4];
                char name[24], text[3][24];
                int i;
                for (i = 0; i < 4; i++) {
                    snprintf(name, sizeof name, "%s%d", figure[i], k);
                    x[i] = found("gap_pairs", setting, kind_name[r], genotype_name[g], name);
                }
                if (x[0] < 0.05)
                    printf(" %s %s %s (%s);", pair[k], short_number(x[1], text[0]), short_number(x[2], text[1]),
                           short_number(x[3], text[2]));
            }
    }
    printf("\n");
}

/* The figures that an earlier run kept, for tables without running it again. */
static void recall(const char *path)
{
    char **text;
    int64_t lines, i;
    check(cel_file_lines(path, &text, &lines, NULL), path);
    results = (result *)realloc(results, (size_t)lines * sizeof(result));
    for (i = 1; i < lines; i++) {
        result *r = results + result_count;
        char field[6][64] = {{0}}, *at = text[i];
        int k, quoted = 0;
        for (k = 0; k < 6; at++) {
            if (*at == '"') quoted = !quoted;
            else if (!*at || (*at == ',' && !quoted)) k++;
            else if (strlen(field[k]) < 63) field[k][strlen(field[k])] = *at;
            if (!*at) break;
        }
        snprintf(r->experiment, sizeof r->experiment, "%.31s", field[0]);
        snprintf(r->setting, sizeof r->setting, "%s", field[1]);
        snprintf(r->method, sizeof r->method, "%.47s", field[2]);
        snprintf(r->force, sizeof r->force, "%.23s", field[3]);
        snprintf(r->figure, sizeof r->figure, "%.31s", field[4]);
        r->median = strtod(field[5], NULL);
        result_count++;
    }
    cel_file_free(text);
}

int main(int argc, char **argv)
{
    static const experiment all[] = {
        {"planted", planted}, {"batch", batch}, {"controls", controls}, {"gap", gap}, {NULL, NULL}};
    static const char *const tests[] = {"shifts, tests", NULL}, *const shifts[] = {"shifts", NULL},
                             *const l1[] = {"shifts, l1", NULL};
    const char *one = planted_name[0], *counts = counts_name[0];
    int r, k;
    if (argc == 3 && !strcmp(argv[1], "--kept")) recall(argv[2]);
    else run_experiments(argc, argv, all);
    planted_tables();
    table("No shift planted: share of the pairs that are called at q < .05", "batch", "false_calls", NULL, null_name,
          tests);
    table("No shift planted: share of the genes that are called targets", "batch", "targets_called", "both", null_name,
          shifts);
    table("Slides that should differ little: share of the pairs that are called", "controls", "called", NULL,
          control_name, tests);
    table("The same, deviation of z", "controls", "sd_of_z", NULL, control_name, tests);
    table("The same, share that the l1 fit selects", "controls", "selected", NULL, control_name, l1);
    for (k = 0; gap_name[k]; k++) {
        int g, m;
        if (!(found("gap", gap_name[k], kind_name[0], "osk", "changed") <= 6)) continue;
        printf("\nGap genes, %s: pairs of 6 that differ from the wild type's (q < .05), of these with the other sign; "
               "change "
               "over size of the wild type's, roots of sums of squares\n\n| |",
               gap_name[k]);
        for (g = 1; g < GENOTYPES; g++) printf(" %s |", genotype_name[g]);
        printf("\n|---|---|---|---|---|---|---|---|");
        for (m = 0; m < KINDS; m++) {
            printf("\n| %s |", kind_name[m]);
            for (g = 1; g < GENOTYPES; g++) {
                char text[24];
                printf(" %.0f, %.0f; %s |", found("gap", gap_name[k], kind_name[m], genotype_name[g], "changed"),
                       found("gap", gap_name[k], kind_name[m], genotype_name[g], "changed_sign"),
                       short_number(found("gap", gap_name[k], kind_name[m], genotype_name[g], "change_over_wild_type"),
                                    text));
            }
        }
        printf("\n");
        gap_pairs_table(gap_name[k]);
    }
    asked_title();
    for (r = 0; r < 2; r++) {
        static const char *const text[2][3] = {
            {"planted shifts of 3, within: area", "planted shifts of 2, within: area less that of differences",
             "through 1,000 counts, within: the same"},
            {"planted shifts of 3, between: area", "planted shifts of 2, between: area less that of differences",
             "through 1,000 counts, between: the same"}};
        const char *force = r ? "inter" : "intra", *two = planted_name[1];
        asked(text[r][0], found("planted", one, method_name[SPARSE], force, "auprc"), 1, 0.9);
        asked(text[r][1],
              found("planted", two, method_name[SPARSE], force, "auprc") -
                  found("planted", two, method_name[APART], force, "auprc"),
              1, 0.1);
        asked(text[r][2],
              found("planted", counts, method_name[SPARSE], force, "auprc") -
                  found("planted", counts, method_name[APART], force, "auprc"),
              1, 0);
    }
    asked("planted shifts of 3: target genes, F1", found("planted", one, "shifts", "both", "target_f1"), 1, 0.85);
    for (k = 0; k < 9; k++) { /* within and between together: the larger share */
        const char *name = k < 6 ? null_name[k] : control_name[k - 6], *experiment = k < 6 ? "batch" : "controls",
                   *figure = k < 6 ? "false_calls" : "called";
        char text[100];
        snprintf(text, sizeof text, "%s%s: share called", k < 6 ? "no shift, " : "", k ? name : "exact samples");
        asked(text,
              fmax(found(experiment, name, "shifts, tests", "intra", figure),
                   found(experiment, name, "shifts, tests", "inter", figure)),
              -1, 0.01);
    }
    asked_total();
    return 0;
}
