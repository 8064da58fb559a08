/* Which forces a condition changes. Planted: four conditions of 3,600 cells each on a hexagonal grid, 30 genes, forces
 * normal with deviation 4 within cells and 4 / 6 between (a share of .3 of the pairs); in each condition but the control
 * three genes are targets, and 10 pairs within cells and 5 between, each with a target in it, are shifted by plus or
 * minus 3 and 1.5; exact samples, tiles as replicates. Also seen through 1,000 counts a cell, as bench/counts.c has it,
 * and without any shift, but with other means, fewer counts or other shares of two types. Then real slides between
 * which nothing, or not much, should differ, and the gap genes of fly embryos of eight genotypes, embryos as replicates.
 * Beside it: fits of each condition alone, and their differences.
 *
 *   build/truth_shifts [--data DIR] [--csv FILE] [--quick] [EXPERIMENT ..]   EXPERIMENT: planted batch controls gap
 *
 * Seeds 1-10. SPDX-License-Identifier: MIT */
#include "truth.h"
#include <time.h>

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
    for (t = 0; t < TARGETS; t++)
        do {
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
            check(cel_mat_copy(cel_mat_block(p->s.coords, i, 0, 1, 2), cel_mat_block(one.coords, count++, 0, 1, 2)), "copy");
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
                    score[APART][k] = apart.data ? (double)(apart.data[(c * 2 + r) * GENES * GENES + e] - apart.data[base + e]) : 0;
                    hits[a] += called;
                    hits[b] += called;
                    pairs[r].called += called;
                    pairs[r].right += called && fabs(truth[k]) > 0;
                    pairs[r].wanted += fabs(truth[k]) > 0;
                }
            for (m = 0; m < METHODS; m++) out->precision[m][r] += average_precision(truth, score[m], PAIRS) / (CONDITIONS - 1);
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

static void planted(void)
{
    static const struct { const char *name; double size; } all[] = {{"shifts of 3", 3}, {"shifts of 2", 2}, {"no shift", 0}};
    int k, run;
    for (k = 0; k < 3; k++) {
        figures f[RUNS];
        if (quick && k == 1) continue;
        for (run = 0; run < runs_wanted(); run++) {
            screen p = draw_screen(all[k].size, (uint64_t)run + 1);
            cel_shift_report report;
            cel_mat apart = fits_apart(&p, p.s.x, NULL);
            double t0 = clock_of(2);
            report = fit_shifts(&p.s.relations, p.s.x, p.condition, p.s.part, p.s.tile, NULL);
            fprintf(stderr, "%s run %d: %.1f s cpu %.1f, ridge %g l1 %g path %d\n", all[k].name, run, clock_of(2) - t0, (double)clock()/1e6, report.ridge, report.l1, (int)report.path);
            judge(&p, &report, apart, &f[run]);
            cel_mat_free(&apart);
            cel_shift_report_free(&report);
            free_screen(&p);
        }
        report_runs("planted", all[k].name, f, runs_wanted());
    }
}

int main(int argc, char **argv)
{
    static const experiment all[] = {{"planted", planted}, {NULL, NULL}};
    run_experiments(argc, argv, all);
    return 0;
}
