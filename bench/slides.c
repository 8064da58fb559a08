/* Real slides, 60 genes by mean expression (osmFISH: its 33): what the neighbours add to the prediction of held-out
 * cells, calls at the true positions and at permuted ones, agreement of forces between sections or halves.
 *
 *   build/truth_slides [--data DIR] [--csv FILE] [--quick] [EXPERIMENT ..]     EXPERIMENT: heldout agreement likelihood genes
 *
 * SPDX-License-Identifier: MIT */
#include "truth.h"

enum { TOP = 60, SLIDES = 6, ALSO = SLIDES + 1 };
static const char *const slide_name[ALSO] = {
    "xenium_breast", "merfish_mpoa", "osmfish_cortex", "st_bcl4", "st_her2_36slides", "negctrl_unstructured", NULL};
static const int64_t tile_side[SLIDES] = {6, 6, 6, 3, 2, 6};

/* Folds are of consecutive tiles: numbered so that each is spread over the slide. */
static void spread_tiles(slide *s)
{
    int64_t i, t, next = 0, rest;
    int32_t *as = (int32_t *)get(s->tiles, sizeof(int32_t));
    for (rest = 0; rest < 5; rest++)
        for (t = rest; t < s->tiles; t += 5) as[t] = (int32_t)next++;
    for (i = 0; i < s->x.rows; i++) s->tile[i] = as[s->tile[i]];
    free(as);
}
static slide real_slide(int k, cel_genes_by how, int permuted)
{
    slide s = load_slide(slide_name[k]);
    keep_genes(&s, TOP, how);
    if (permuted) permute_rows(s.coords, s.part, 1);
    neighbours(&s, 6, tile_side[k]);
    spread_tiles(&s);
    return s;
}

/* ---- what neighbours explain, and what is called ---- */

/* Median over genes of the share of held-out variance that linear regression explains, from a cell's own genes or with
 * all genes of its neighbours too: trained on four fifths of the tiles, judged on the rest; log1p at the median total,
 * centred per slide, scaled, unit rows (a size direction taken out would give each gene away). */
static double linear(const slide *s, int both)
{
    int64_t n = s->x.cols, w = both ? 2 * n : n, S = s->x.rows, i, a, b, fold;
    cel_mat rows = new_mat(S, n), all = new_mat(S, w), c = new_mat(w, w), inverse = new_mat(w, w), b_of = new_mat(S, w);
    cel_scaling_options how = CEL_ZERO;
    cel_scaling scaling;
    double *wrong = (double *)get(2 * n, sizeof(double)), *total = wrong + n, median_share;
    how.size = -1;
    check(cel_mat_copy(s->x, rows), "copy");
    check(cel_scaling_fit(rows, s->total, s->part, &how, &scaling, NULL), "scaling");
    check(cel_mat_copy(rows, cel_mat_block(all, 0, 0, S, n)), "copy");
    if (both) check(cel_csr_mul(1, s->relations.at[1].w, rows, 0, cel_mat_block(all, 0, n, S, n)), "neighbours");
    for (fold = 0; fold < 5; fold++) {
        int64_t train = 0;
        for (i = 0; i < S; i++) { /* rows of what is held out are zeros */
            int out = s->tile[i] * 5 / s->tiles == fold;
            train += !out;
            for (a = 0; a < w; a++) b_of.data[i * w + a] = out ? 0 : all.data[i * w + a];
        }
        check(cel_mat_syrk(1, (cel_real)((double)n / (double)train), b_of, 0, c, NULL), "covariance");
        cel_mat_fill(inverse, 0);
        for (a = 0; a < w; a++) c.data[a * w + a] *= (cel_real)1.0001, inverse.data[a * w + a] = 1;
        check(cel_mat_cholesky(c), "regression");
        check(cel_mat_cholesky_solve(c, inverse), "regression");
        for (i = 0; i < S; i++) {
            if (s->tile[i] * 5 / s->tiles != fold) continue;
            for (a = 0; a < n; a++) {
                double residual = 0;
                for (b = 0; b < w; b++) residual += (double)inverse.data[a * w + b] * (double)all.data[i * w + b];
                wrong[a] += pow(residual / (double)inverse.data[a * w + a], 2);
                total[a] += pow((double)rows.data[i * n + a], 2);
            }
        }
    }
    for (a = 0; a < n; a++) wrong[a] = 1 - wrong[a] / total[a];
    median_share = quantile(wrong, n, 0.5);
    cel_scaling_free(&scaling);
    cel_mat_free(&rows);
    cel_mat_free(&all);
    cel_mat_free(&c);
    cel_mat_free(&inverse);
    cel_mat_free(&b_of);
    free(wrong);
    return median_share;
}

/* Calls at q < .05, and the deviation of z, of a relation. */
static void count_calls(const cel_score_report *report, int64_t n, int64_t r, double *calls, double *sd)
{
    double zz = 0, pairs = 0;
    int64_t a, b;
    *calls = 0;
    for (a = 0; a < n; a++)
        for (b = a + 1; b < n; b++) {
            int64_t at = (r * n + a) * n + b;
            *calls += (double)report->q.data[at] < 0.05;
            zz += pow((double)report->z.data[at], 2);
            pairs++;
        }
    *sd = sqrt(zz / pairs);
}

typedef struct heldout_result {
    int done;
    double log_residual[3], linear[2], share[3], calls[2], sd[2];
} heldout_result;

static heldout_result look(int k, cel_genes_by how, int permuted)
{
    heldout_result out = CEL_ZERO;
    slide s = real_slide(k, how, permuted);
    int64_t n = s.x.cols, r, a;
    fitted f;
    recommended(&s, CEL_KIND_COUNTS, 0, NULL, 1, &f);
    out.done = 1;
    for (r = 0; r < 3; r++) {
        double share[512];
        out.log_residual[r] = f.report.log_residual[r];
        for (a = 0; a < n; a++) {
            int64_t step;
            for (share[a] = 0, step = 0; step <= r; step++) share[a] += (double)f.report.share.data[step * n + a];
        }
        out.share[r] = quantile(share, n, 0.5);
    }
    for (r = 0; r < 2; r++) count_calls(&f.report, n, r, &out.calls[r], &out.sd[r]);
    if (!permuted)
        for (r = 0; r < 2; r++) out.linear[r] = linear(&s, (int)r);
    free_fitted(&f);
    free_slide(&s);
    return out;
}
static void tell(const char *experiment, const char *name, const char *method, const heldout_result *l)
{
    static const char *const what[3] = {"own genes", "the same gene next door", "all genes next door"};
    int64_t r;
    for (r = 0; r < 3; r++) {
        value(experiment, name, method, what[r], "log_residual_variance", l->log_residual[r]);
        value(experiment, name, method, what[r], "share_explained", l->share[r]);
    }
    for (r = 0; r < 2; r++) {
        value(experiment, name, method, r ? "inter" : "intra", "calls", l->calls[r]);
        value(experiment, name, method, r ? "inter" : "intra", "sd_of_z", l->sd[r]);
    }
}

static void heldout(void)
{
    heldout_result all[SLIDES][2];
    int k;
    memset(all, 0, sizeof all);
    OVER_SEEDS
    for (k = 0; k < 2 * SLIDES; k++)
        if (have_data(slide_name[k / 2]) && !(quick && k / 2 != 2))
            all[k / 2][k % 2] = look(k / 2, CEL_GENES_MEAN, k % 2);
    for (k = 0; k < SLIDES; k++) {
        if (!all[k][0].done) continue;
        tell("heldout", slide_name[k], "recommended", &all[k][0]);
        tell("heldout", slide_name[k], "positions permuted", &all[k][1]);
        value("heldout", slide_name[k], "linear, own genes", "all", "share_explained", all[k][0].linear[0]);
        value("heldout", slide_name[k], "linear, own genes and neighbours", "all", "share_explained",
              all[k][0].linear[1]);
    }
}

/* ---- agreement of forces between sections or halves ---- */

/* Part 0 or 1: sections of even and odd number, or left and right half where there is one section. */
static slide half_slide(int k, int which, int permuted)
{
    slide s = load_slide(slide_name[k]);
    int64_t i;
    uint8_t *keep = (uint8_t *)get(s.x.rows, 1);
    double *at = (double *)get(s.x.rows, sizeof(double)), middle;
    keep_genes(&s, TOP, CEL_GENES_MEAN);
    for (i = 0; i < s.x.rows; i++) at[i] = (double)s.coords.data[i * s.coords.stride];
    middle = quantile(at, s.x.rows, 0.5);
    for (i = 0; i < s.x.rows; i++) keep[i] = (s.part ? s.part[i] % 2 : at[i] >= middle) == which;
    keep_cells(&s, keep);
    if (permuted) permute_rows(s.coords, s.part, (uint64_t)which);
    neighbours(&s, 6, tile_side[k]);
    free(keep);
    free(at);
    return s;
}

static void agreement(void)
{
    static const char *const method[2] = {"recommended", "default of 0.1.0"};
    double r[SLIDES][2][2][2]; /* [slide][permuted][method][relation] */
    int job, done[SLIDES] = {0};
    OVER_SEEDS
    for (job = 0; job < 2 * SLIDES; job++) {
        int k = job / 2, permuted = job % 2, which, m, rel;
        fitted f[2][2];
        int64_t n;
        if (!have_data(slide_name[k]) || (quick && k != 2)) continue;
        for (which = 0; which < 2; which++) {
            slide s = half_slide(k, which, permuted);
            recommended(&s, CEL_KIND_COUNTS, 0, NULL, 0, &f[which][0]);
            plain_fit(&s, log_rows(&s, 0), CEL_SCORE_AUTO, &f[which][1]);
            free_slide(&s);
        }
        n = f[0][0].rows.cols;
        for (m = 0; m < 2; m++)
            for (rel = 0; rel < 2; rel++) {
                double *a = (double *)get(2 * n * n, sizeof(double)), *b = a + n * n;
                int64_t count = upper(cel_mat_block(f[0][m].force, rel * n, 0, n, n), a);
                upper(cel_mat_block(f[1][m].force, rel * n, 0, n, n), b);
                r[k][permuted][m][rel] = pearson(a, b, count, NULL);
                free(a);
            }
        for (m = 0; m < 4; m++) free_fitted(&f[m / 2][m % 2]);
        done[k] = 1;
    }
    for (job = 0; job < SLIDES; job++) {
        int m, permuted, rel;
        if (!done[job]) continue;
        for (m = 0; m < 2; m++)
            for (permuted = 0; permuted < 2; permuted++)
                for (rel = 0; rel < 2; rel++) {
                    char name[64];
                    snprintf(name, sizeof name, "%s%s", method[m], permuted ? ", positions permuted" : "");
                    value("agreement", slide_name[job], name, rel ? "inter" : "intra", "pearson",
                          r[job][permuted][m][rel]);
                }
    }
}

/* ---- does a fitted law predict the other half better than no forces? ---- */

/* The rows of a half of the slide (as half_slide cuts it), from the rows of the whole. */
static cel_mat half_rows(const slide *whole, cel_mat rows, int which)
{
    double *at = (double *)get(whole->x.rows, sizeof(double)), middle;
    cel_mat out = new_mat(rows.rows, rows.cols);
    int64_t i;
    out.rows = 0;
    for (i = 0; i < rows.rows; i++) at[i] = (double)whole->coords.data[i * whole->coords.stride];
    middle = quantile(at, rows.rows, 0.5);
    for (i = 0; i < rows.rows; i++)
        if ((at[i] >= middle) == which) {
            out.rows++;
            check(cel_mat_copy(cel_mat_block(rows, i, 0, 1, rows.cols),
                               cel_mat_block(out, out.rows - 1, 0, 1, rows.cols)),
                  "copy");
        }
    free(at);
    return out;
}

/* Log pseudo-likelihood a cell of the right half under the law of the left half, and under none; the slide's own
 * scaling is kept for both. method 0: the recommended rows and fit, 1: the default of 0.1.0. */
static void judge_half(int k, int method, double *law, double *none)
{
    slide whole = real_slide(k, CEL_GENES_MEAN, 0), left = half_slide(k, 0, 0), right = half_slide(k, 1, 0);
    cel_score_options options = CEL_ZERO;
    cel_scaling scaling = CEL_ZERO;
    cel_mat rows, half;
    cel_model model, zero;
    if (method)
        rows = log_rows(&whole, 0);
    else {
        rows = new_mat(whole.x.rows, whole.x.cols);
        check(cel_mat_copy(whole.x, rows), "copy");
        check(cel_scaling_fit(rows, whole.total, NULL, NULL, &scaling, NULL), "scaling");
        options = cel_score_measured(scaling.size);
    }
    options.ridge = CEL_SCORE_PICKED;
    options.group = left.tile;
    options.no_errors = 1;
    half = half_rows(&whole, rows, 0);
    check(cel_score_fit(&left.relations, half, &options, &model, NULL, NULL, NULL), "fit");
    cel_mat_free(&half);
    half = half_rows(&whole, rows, 1);
    check(cel_model_new(rows.cols, 2, 0, &zero), "memory");
    check(cel_score_pseudo_likelihood(&model, &right.relations, half, law, NULL, NULL), "likelihood");
    check(cel_score_pseudo_likelihood(&zero, &right.relations, half, none, NULL, NULL), "likelihood");
    cel_mat_free(&half);
    cel_mat_free(&rows);
    cel_model_free(&model);
    cel_model_free(&zero);
    cel_scaling_free(&scaling);
    free_slide(&whole);
    free_slide(&left);
    free_slide(&right);
}

static void likelihood(void)
{
    static const char *const method[2] = {"recommended", "default of 0.1.0"};
    double got[6][2];
    int job, done[6] = {0};
    OVER_SEEDS
    for (job = 0; job < 6; job++) {
        if (!have_data(slide_name[job / 2]) || (quick && job / 2 != 2)) continue;
        judge_half(job / 2, job % 2, &got[job][0], &got[job][1]);
        done[job] = 1;
    }
    for (job = 0; job < 6; job++) {
        if (!done[job]) continue;
        value("likelihood", slide_name[job / 2], method[job % 2], "fitted", "log_pseudo_likelihood", got[job][0]);
        value("likelihood", slide_name[job / 2], method[job % 2], "no forces", "log_pseudo_likelihood", got[job][1]);
    }
}

/* ---- which genes: of the highest mean, or the most variable ---- */

static void genes(void)
{
    heldout_result all[2][2][2];
    int job;
    memset(all, 0, sizeof all);
    OVER_SEEDS
    for (job = 0; job < 8; job++)
        if (!quick && have_data(slide_name[job / 4]))
            all[job / 4][job / 2 % 2][job % 2] =
                look(job / 4, job / 2 % 2 ? CEL_GENES_VARIABLE : CEL_GENES_MEAN, job % 2);
    for (job = 0; job < 8; job++) {
        char name[64];
        snprintf(name, sizeof name, "%s%s", job / 2 % 2 ? "most variable" : "highest mean",
                 job % 2 ? ", permuted" : "");
        if (all[job / 4][job / 2 % 2][job % 2].done)
            tell("genes", slide_name[job / 4], name, &all[job / 4][job / 2 % 2][job % 2]);
    }
}

static void row(const char *experiment, const char *name, const char *method, const char *figure,
                const char *const *force)
{
    char text[24];
    int k;
    for (k = 0; force[k]; k++) printf(" %s |", short_number(found(experiment, name, method, force[k], figure), text));
}

static void asked_all(void)
{
    static const double bar[3] = {-.50, -.43, -.33}, below[3] = {.03, .02, .03};
    static const char *const relation[] = {"intra", "inter"};
    double got;
    char what[128];
    int k, m;
    asked_title();
    for (k = 0; k < 3; k++) {
        double off = found("heldout", slide_name[k], "recommended", "own genes", "log_residual_variance");
        double on = found("heldout", slide_name[k], "recommended", "all genes next door", "log_residual_variance");
        if (!(on <= 1)) continue;
        snprintf(what, sizeof what, "%s: held-out log residual variance", slide_name[k]);
        asked(what, on, -1, bar[k]);
        snprintf(what, sizeof what, "%s: below inter off by", slide_name[k]);
        asked(what, off - on, 1, below[k]);
    }
    for (k = 0; k < SLIDES; k++) {
        got = found("heldout", slide_name[k], "positions permuted", "inter", "calls");
        if (!(got >= 0)) continue;
        snprintf(what, sizeof what, "%s: inter calls, positions permuted", slide_name[k]);
        asked(what, got, -1, 1);
    }
    for (m = 0; m < 2; m++) {
        got = found("heldout", slide_name[5], "recommended", relation[m], "calls");
        if (got >= 0) asked(m ? "negctrl_unstructured: inter calls" : "negctrl_unstructured: intra calls", got, -1, 1);
    }
    got = found("agreement", slide_name[4], "recommended, positions permuted", "inter", "pearson");
    if (got <= 1)
        asked("st_her2, odd against even sections, positions permuted: size of inter agreement", fabs(got), -1, 0.05);
    asked_total();
}

int main(int argc, char **argv)
{
    static const experiment all[] = {
        {"heldout", heldout}, {"agreement", agreement}, {"likelihood", likelihood}, {"genes", genes}, {NULL, NULL}};
    static const char *const step[] = {"own genes", "the same gene next door", "all genes next door", NULL};
    static const char *const relation[] = {"intra", "inter", NULL}, *const whole[] = {"all", NULL};
    static const char *const halves[] = {"recommended", "recommended, positions permuted", "default of 0.1.0",
                                         "default of 0.1.0, positions permuted", NULL};
    static const char *const law[] = {"recommended", "default of 0.1.0", NULL}, *const forces[] = {"fitted",
                                                                                                   "no forces", NULL};
    static const char *const pick[] = {"highest mean", "highest mean, permuted", "most variable",
                                       "most variable, permuted", NULL};
    int k, m;
    run_experiments(argc, argv, all);
    printf("\nHeld-out log residual variance a gene\n\n| slide | inter off | its diagonal | all | permuted: off | "
           "diagonal | all "
           "|\n|---|---|---|---|---|---|---|\n");
    for (k = 0; k < SLIDES; k++) {
        printf("| %s |", slide_name[k]);
        row("heldout", slide_name[k], "recommended", "log_residual_variance", step);
        row("heldout", slide_name[k], "positions permuted", "log_residual_variance", step);
        printf("\n");
    }
    printf(
        "\nShare of a gene's held-out variance that is explained, median gene\n\n| slide | linear, own genes | linear, "
        "neighbours too | ours: own genes | and the same gene next door | and all genes next door |\n"
        "|---|---|---|---|---|---|\n");
    for (k = 0; k < SLIDES; k++) {
        printf("| %s |", slide_name[k]);
        row("heldout", slide_name[k], "linear, own genes", "share_explained", whole);
        row("heldout", slide_name[k], "linear, own genes and neighbours", "share_explained", whole);
        row("heldout", slide_name[k], "recommended", "share_explained", step);
        printf("\n");
    }
    printf(
        "\nCalls at q < .05\n\n| slide | intra | inter | permuted: intra | inter | deviation of inter z, permuted |\n"
        "|---|---|---|---|---|---|\n");
    for (k = 0; k < SLIDES; k++) {
        printf("| %s |", slide_name[k]);
        row("heldout", slide_name[k], "recommended", "calls", relation);
        row("heldout", slide_name[k], "positions permuted", "calls", relation);
        row("heldout", slide_name[k], "positions permuted", "sd_of_z", relation + 1);
        printf("\n");
    }
    table("Agreement of forces between odd and even sections, or left and right halves: correlation", "agreement",
          "pearson", NULL, slide_name, halves);
    printf("\nLog pseudo-likelihood a cell of the right half, forces of the left half\n\n| slide | rows and fit | "
           "fitted | no "
           "forces |\n|---|---|---|---|\n");
    for (k = 0; k < 3; k++)
        for (m = 0; m < 2; m++) {
            printf("| %s | %s |", slide_name[k], law[m]);
            row("likelihood", slide_name[k], law[m], "log_pseudo_likelihood", forces);
            printf("\n");
        }
    printf("\nWhich 60 genes\n\n| slide | genes | own genes explain | and neighbours | intra calls | inter calls "
           "|\n|---|---|---|---|---|---|\n");
    for (k = 0; k < 2; k++)
        for (m = 0; pick[m]; m++) {
            char text[24];
            printf("| %s | %s |", slide_name[k], pick[m]);
            printf(" %s |", short_number(found("genes", slide_name[k], pick[m], step[0], "share_explained"), text));
            printf(" %s |", short_number(found("genes", slide_name[k], pick[m], step[2], "share_explained"), text));
            row("genes", slide_name[k], pick[m], "calls", relation);
            printf("\n");
        }
    asked_all();
    return 0;
}
