/* Forces through the counting itself on real slides, 60 genes by mean expression (osmFISH: its 33), beside the
 * recommended fit: what is called at the true and at permuted positions; held-out likelihood of counts of the right
 * half under laws of the left half; a gene of the right half predicted from the cell's other genes and the neighbours;
 * with types as fields where there are labels; time.
 *
 *   build/truth_em [--data DIR] [--csv FILE] [--quick] [EXPERIMENT ..]      EXPERIMENT: calls halves speed
 *
 * SPDX-License-Identifier: MIT */
#include <sys/resource.h>

#include "truth.h"

enum { TOP = 60, SLIDES = 6 };
static const char *const slide_name[SLIDES + 1] = {
    "xenium_breast", "merfish_mpoa", "osmfish_cortex", "st_bcl4", "st_her2_36slides", "negctrl_unstructured", NULL};
static const int64_t tile_side[SLIDES] = {6, 6, 6, 3, 2, 6};

/* Means by slide, or by slide and type where there are labels; NULL: as by slide. */
static int32_t *levels_of(const slide *s, int types)
{
    int32_t *level;
    int64_t i, count;
    if (!types || !s->type) return NULL;
    level = (int32_t *)get(s->x.rows, sizeof(int32_t));
    for (i = 0; i < s->x.rows; i++) level[i] = s->type[i] + (s->part ? s->part[i] * (int32_t)s->types : 0);
    count = s->types * (s->part ? s->parts : 1);
    number_anew(level, s->x.rows, &count);
    return level;
}

/* ---- calls, at the true and at permuted positions ---- */

static void calls(void)
{
    double called[SLIDES][2][2], sd[SLIDES][2][2];
    int job, done[SLIDES] = {0};
    OVER_SEEDS
    for (job = 0; job < 2 * SLIDES; job++) {
        int k = job / 2, r;
        slide s;
        fitted f;
        if (!have_data(slide_name[k]) || (quick && k != 2)) continue;
        s = load_slide(slide_name[k]);
        keep_genes(&s, TOP, CEL_GENES_MEAN);
        if (job % 2) permute_rows(s.coords, s.part, 1);
        neighbours(&s, 6, tile_side[k]);
        counted(&s, NULL, 1, &f);
        for (r = 0; r < 2; r++) {
            int64_t n = s.x.cols, a, b;
            double zz = 0, pairs = 0;
            called[k][job % 2][r] = 0;
            for (a = 0; a < n; a++)
                for (b = a + 1; b < n; b++) {
                    int64_t at = (r * n + a) * n + b;
                    called[k][job % 2][r] += (double)f.report.q.data[at] < 0.05;
                    zz += pow((double)f.report.z.data[at], 2);
                    pairs++;
                }
            sd[k][job % 2][r] = sqrt(zz / pairs);
        }
        free_fitted(&f);
        free_slide(&s);
        done[k] = 1;
    }
    for (job = 0; job < 4 * SLIDES; job++) {
        int k = job / 4, permuted = job / 2 % 2, r = job % 2;
        const char *name = permuted ? "through the counting, positions permuted" : "through the counting";
        if (!done[k]) continue;
        value("counting on slides", slide_name[k], name, r ? "inter" : "intra", "calls", called[k][permuted][r]);
        value("counting on slides", slide_name[k], name, r ? "inter" : "intra", "sd_of_z", sd[k][permuted][r]);
    }
}

/* ---- one half of a slide predicts the other ---- */

/* Both halves: left and right, or even and odd sections. */
typedef struct halves {
    slide half[2];
    int32_t *level[2];
} halves;

static halves cut(int k, int types, int permuted)
{
    halves h;
    int which;
    memset(&h, 0, sizeof h);
    for (which = 0; which < 2; which++) {
        slide s = load_slide(slide_name[k]);
        int64_t i;
        uint8_t *keep = (uint8_t *)get(s.x.rows, 1);
        double *at = (double *)get(s.x.rows, sizeof(double)), middle;
        int32_t *level, *left = (int32_t *)get(s.x.rows, sizeof(int32_t));
        keep_genes(&s, TOP, CEL_GENES_MEAN);
        if (permuted) permute_rows(s.coords, s.part, 1);
        /* Levels are numbered over the whole, so that both halves mean the same by a number. Sections of one half are
         * not in the other: there one level has to do, or one a type. */
        if (s.part && types && s.type) {
            level = (int32_t *)get(s.x.rows, sizeof(int32_t));
            memcpy(level, s.type, (size_t)s.x.rows * sizeof *level);
        } else {
            level = s.part ? NULL : levels_of(&s, types);
        }
        for (i = 0; i < s.x.rows; i++) at[i] = (double)s.coords.data[i * s.coords.stride];
        middle = quantile(at, s.x.rows, 0.5);
        if (!level) level = (int32_t *)get(s.x.rows, sizeof(int32_t));
        for (i = 0; i < s.x.rows; i++) left[level[i]] += (s.part ? s.part[i] % 2 : at[i] >= middle) == 0;
        for (i = 0; i < s.x.rows; i++) /* what the first half hardly has it cannot predict */
            keep[i] = (s.part ? s.part[i] % 2 : at[i] >= middle) == which && left[level[i]] >= 20;
        cel_compact(keep, s.x.rows, level, sizeof(int32_t));
        h.level[which] = level;
        keep_cells(&s, keep);
        neighbours(&s, 6, tile_side[k]);
        h.half[which] = s;
        free(left);
        free(keep);
        free(at);
    }
    return h;
}
static void free_halves(halves *h)
{
    int which;
    for (which = 0; which < 2; which++) {
        free_slide(&h->half[which]);
        free(h->level[which]);
    }
}

static cel_count_data data_of(const slide *s, const cel_relations *relations, const int32_t *level)
{
    cel_count_data d = CEL_ZERO;
    d.relations = relations;
    d.counts = s->x;
    d.total = s->total;
    d.level = level;
    return d;
}

enum { BY_COUNTING, BY_OWN, BY_NOTHING, BY_PLAIN, BY_DEFAULT, LAWS };
static const char *const law_name[LAWS + 1] = {
    "through the counting", "own genes only", "no forces", "plain correlation", "recommended forces", NULL};

/* The scales d (n) for which forces P in partial-correlation units are of genes of deviation 1: A = D P D, and the
 * diagonal of (-2 A)^-1 is 1. Returns the factor by which P's off-diagonal entries must shrink to be of any law. */
static double scales_of(cel_mat partial, double *d)
{
    int64_t n = partial.cols, a, b;
    cel_mat l = new_mat(n, n), inverse = new_mat(n, n);
    double shrink = 1 / 0.95;
    do {
        shrink *= 0.95;
        for (a = 0; a < n; a++)
            for (b = 0; b < n; b++) {
                l.data[a * n + b] = (cel_real)(a == b ? 2 : -2 * shrink * (double)partial.data[a * partial.stride + b]);
                inverse.data[a * n + b] = a == b;
            }
    } while (cel_mat_cholesky(l));
    check(cel_mat_cholesky_solve(l, inverse), "law");
    for (a = 0; a < n; a++) d[a] = sqrt((double)inverse.data[a * n + a]);
    cel_mat_free(&l);
    cel_mat_free(&inverse);
    return shrink;
}

/* The law of such forces (R of neighbours may be missing), with the scaling of another. */
static void law_of(cel_mat partial, const cel_scaling *scaling, cel_model *out)
{
    int64_t n = partial.cols, a, b, r, k;
    double *d = (double *)get(n, sizeof(double)), shrink = scales_of(partial, d);
    const double *u = scaling->size;
    cel_mat turned = new_mat(n, n);
    check(cel_model_new(n, 2, 0, out), "memory");
    for (r = 0; r < 2 && r * n < partial.rows; r++) {
        cel_mat f = cel_model_force(out, r);
        for (a = 0; a < n; a++)
            for (b = 0; b < n; b++) {
                double p = (double)partial.data[(r * n + a) * partial.stride + b];
                if (r == 0) p = a == b ? -1 : shrink * p;
                f.data[a * n + b] = (cel_real)((double)(n - 1) * d[a] * d[b] * p);
            }
        for (b = 0; b < 2; b++) { /* without the size direction, from both sides */
            for (a = 0; a < n; a++) {
                double along = 0;
                for (k = 0; k < n; k++) along += u[k] * (double)f.data[a * n + k];
                for (k = 0; k < n; k++) f.data[a * n + k] -= (cel_real)(along * u[k]);
            }
            check(cel_mat_transpose(f, turned), "transpose");
            check(cel_mat_copy(turned, f), "copy");
        }
        for (a = 0; a < n * n && r == 0; a++)
            f.data[a] += (cel_real)(0.5 * (double)(n - 1) * ((a % (n + 1) ? 0 : 1) - u[a / n] * u[a % n]));
    }
    cel_mat_free(&turned);
    free(d);
}

/* Log-likelihood a cell of the right half's counts under each law of the left half. */
static void likelihoods(const halves *h, double *value_of)
{
    const slide *left = &h->half[0], *right = &h->half[1];
    int64_t n = left->x.cols;
    cel_relations alone[2];
    cel_model law[LAWS];
    cel_scaling scaling[LAWS];
    cel_mat correlation = new_mat(n, n), both = new_mat(2 * n, n);
    fitted all, own, rows;
    int k;
    slide bare = *left;
    for (k = 0; k < 2; k++) check(cel_relations_new(h->half[k].x.rows, &alone[k]), "relations");
    bare.relations = alone[0];
    counted(left, h->level[0], 0, &all);
    counted(&bare, h->level[0], 0, &own);
    recommended(left, CEL_KIND_COUNTS, 0, h->level[0], 0, &rows);
    for (k = 0; k < LAWS; k++) scaling[k] = all.scaling;
    law[BY_COUNTING] = all.model;
    law[BY_OWN] = own.model;
    scaling[BY_OWN] = own.scaling;
    check(cel_model_new(n, 2, 0, &law[BY_NOTHING]), "memory");
    law_of(rows.force, &all.scaling, &law[BY_DEFAULT]);
    { /* plain correlation: the law whose correlations are those of the rows, - inverse as its P */
        cel_mat x = new_mat(left->x.rows, n), l = new_mat(n, n);
        cel_scaling_options how = CEL_ZERO;
        cel_scaling of;
        int64_t a, b;
        how.size = -1;
        check(cel_mat_copy(left->x, x), "copy");
        check(cel_scaling_fit(x, left->total, h->level[0], &how, &of, NULL), "scaling");
        correlate(x, &left->relations, PLAIN, l, correlation);
        cel_mat_fill(correlation, 0);
        for (a = 0; a < n; a++) l.data[a * n + a] = (cel_real)1.001, correlation.data[a * n + a] = 1;
        check(cel_mat_cholesky(l), "correlation");
        check(cel_mat_cholesky_solve(l, correlation), "correlation");
        for (a = 0; a < n; a++)
            for (b = 0; b < n; b++)
                both.data[a * n + b] = (cel_real)(-(double)correlation.data[a * n + b] /
                                                  sqrt((double)correlation.data[a * n + a] *
                                                       (double)correlation.data[b * n + b]));
        law_of(both, &all.scaling, &law[BY_PLAIN]);
        cel_scaling_free(&of);
        cel_mat_free(&x);
        cel_mat_free(&l);
    }
    for (k = 0; k < LAWS; k++) {
        cel_count_data d = data_of(right, k == BY_OWN ? &alone[1] : &right->relations, h->level[1]);
        cel_count_options how = CEL_ZERO;
        cel_count_result found;
        int64_t i, S = right->x.rows;
        double *each = (double *)get(S, sizeof(double));
        how.model = &law[k];
        how.scaling = &scaling[k];
        how.each = each;
        check(cel_count_fit(&d, &how, &found, NULL), law_name[k]);
        for (value_of[k] = 0, i = 0; i < S; i++) value_of[k] += each[i] / (double)S;
        cel_count_free(&found);
        free(each);
    }
    for (k = BY_NOTHING; k < LAWS; k++) cel_model_free(&law[k]);
    for (k = 0; k < 2; k++) cel_relations_free(&alone[k]);
    free_fitted(&all);
    free_fitted(&own);
    free_fitted(&rows);
    cel_mat_free(&correlation);
    cel_mat_free(&both);
}

enum { PREDICT_COUNTING, PREDICT_DEFAULT, PREDICT_LINEAR, PREDICTIONS };
static const char *const prediction_name[PREDICTIONS + 1] = {"through the counting", "recommended", "linear", NULL};

/* weight (2n x n): column g has the coefficients of gene g on the cell's other genes and on the neighbours: by forces
 * in partial-correlation units, P_gb d_b / d_g, or of regression on [x, W x], a light ridge. */
static void weights_of(const fitted *fit, cel_mat weight)
{
    int64_t n = weight.cols, g, k;
    double *d = (double *)get(n, sizeof(double)), shrink = scales_of(fit->force, d);
    for (g = 0; g < n; g++)
        for (k = 0; k < 2 * n; k++)
            weight.data[k * n + g] = (cel_real)(k == g ? 0 : (k < n ? shrink : 1) * d[k % n] / d[g] *
                                                                 (double)fit->force.data[(k / n * n + g) * n + k % n]);
    free(d);
}
static void regress(const slide *s, cel_mat x, cel_mat weight)
{
    int64_t n = x.cols, w = 2 * n, g, k;
    cel_mat both = new_mat(x.rows, w), gram = new_mat(w, w), l = new_mat(w, w), y = new_mat(w, 1);
    check(cel_mat_copy(x, cel_mat_block(both, 0, 0, x.rows, n)), "copy");
    check(cel_csr_mul(1, s->relations.at[1].w, x, 0, cel_mat_block(both, 0, n, x.rows, n)), "neighbours");
    check(cel_mat_syrk(1, 1, both, 0, gram, NULL), "gram");
    for (g = 0; g < n; g++) {
        check(cel_mat_copy(gram, l), "copy");
        for (k = 0; k < w; k++) {
            y.data[k] = k == g ? 0 : gram.data[k * w + g];
            if (k != g) l.data[k * w + g] = l.data[g * w + k] = 0;
            l.data[k * w + k] *= (cel_real)1.01;
        }
        check(cel_mat_cholesky(l), "regression");
        check(cel_mat_cholesky_solve(l, y), "regression");
        for (k = 0; k < w; k++) weight.data[k * n + g] = y.data[k];
    }
    cel_mat_free(&both);
    cel_mat_free(&gram);
    cel_mat_free(&l);
    cel_mat_free(&y);
}

/* Median over genes of the Spearman correlation between a gene's share of a cell's counts, right half, and what the
 * left half's fit predicts from the cell's other genes and the neighbours. Of the two linear ones rows are log1p at the
 * median total, centred and scaled: a size direction taken out would give each gene away. */
static void predictions(const halves *h, double *median)
{
    const slide *left = &h->half[0], *right = &h->half[1];
    int64_t n = left->x.cols, S = right->x.rows, g, i, k;
    double *r = (double *)get(PREDICTIONS * n, sizeof(double)), *seen = (double *)get(2 * S, sizeof(double)),
           *guess = seen + S;
    uint8_t *look = (uint8_t *)get(n, 1);
    cel_scaling_cell *cell = (cel_scaling_cell *)get(S, sizeof *cell);
    cel_mat rows = new_mat(S, n), near = new_mat(S, n), x = new_mat(left->x.rows, n), weight = new_mat(2 * n, n);
    cel_scaling_options how = CEL_ZERO;
    cel_scaling of;
    fitted all, usual;
    int m;
    counted(left, h->level[0], 0, &all);
    recommended(left, CEL_KIND_COUNTS, 0, h->level[0], 0, &usual);
    how.size = -1;
    check(cel_mat_copy(left->x, x), "copy");
    check(cel_scaling_fit(x, left->total, h->level[0], &how, &of, NULL), "scaling");
    memset(look, 1, (size_t)n);
    for (m = 0; m < PREDICTIONS; m++) {
        if (m == PREDICT_DEFAULT) weights_of(&usual, weight);
        if (m == PREDICT_LINEAR) regress(left, x, weight);
        if (m == PREDICT_DEFAULT) {
            check(cel_mat_copy(right->x, rows), "copy");
            check(cel_scaling_apply(&of, rows, right->total, h->level[1], cell, NULL), "scaling");
            check(cel_csr_mul(1, right->relations.at[1].w, rows, 0, near), "neighbours");
        }
        for (g = 0; g < n; g++) {
            if (m == PREDICT_COUNTING) {
                cel_count_data d = data_of(right, &right->relations, h->level[1]);
                cel_count_options law = CEL_ZERO;
                cel_count_result found;
                d.seen = look;
                law.model = &all.model;
                law.scaling = &all.scaling;
                look[g] = 0;
                check(cel_count_fit(&d, &law, &found, NULL), "prediction");
                look[g] = 1;
                check(cel_mat_copy(found.rows, rows), "copy");
                memcpy(cell, found.scaling.cell, (size_t)S * sizeof *cell);
                cel_count_free(&found);
            }
            for (i = 0; i < S; i++) {
                const cel_scaling *s = m == PREDICT_COUNTING ? &all.scaling : &of;
                double z = m == PREDICT_COUNTING ? (double)rows.data[i * n + g] : 0;
                for (k = 0; k < n && m != PREDICT_COUNTING; k++)
                    z += (double)weight.data[k * n + g] * (double)rows.data[i * n + k] +
                         (double)weight.data[(n + k) * n + g] * (double)near.data[i * n + k];
                z = cell[i].length * z + (m == PREDICT_COUNTING ? cell[i].size * s->size[g] : 0);
                seen[i] = (double)right->x.data[i * right->x.stride + g] / right->total[i];
                guess[i] = s->centre[(cell[i].group < 0 ? 0 : cell[i].group) * n + g] + s->scale[g] * z;
            }
            r[m * n + g] = spearman(seen, guess, S);
        }
        median[m] = quantile(r + m * n, n, 0.5);
    }
    cel_scaling_free(&of);
    free_fitted(&all);
    free_fitted(&usual);
    cel_mat_free(&rows);
    cel_mat_free(&near);
    cel_mat_free(&x);
    cel_mat_free(&weight);
    free(r);
    free(seen);
    free(look);
    free(cell);
}

/* [0] as measured, [1] positions permuted, [2] with types as fields. */
static const char *const way_name[3] = {"", ", positions permuted", ", types as fields"};

static void run_halves(void)
{
    double law[SLIDES - 1][3][LAWS], predicted[SLIDES - 1][3][PREDICTIONS];
    int job, done[SLIDES - 1][3] = {{0}}, m;
    OVER_SEEDS
    for (job = 0; job < 3 * (SLIDES - 1); job++) {
        int k = job / 3, way = job % 3;
        halves h;
        if (!have_data(slide_name[k]) || (quick && k != 2)) continue;
        h = cut(k, way == 2, way == 1);
        if (way < 2 || h.half[0].type) {
            likelihoods(&h, law[k][way]);
            if (way != 1) predictions(&h, predicted[k][way]);
            done[k][way] = 1;
        }
        free_halves(&h);
    }
    for (job = 0; job < 3 * (SLIDES - 1); job++) {
        int k = job / 3, way = job % 3;
        char name[64];
        snprintf(name, sizeof name, "%s%s", slide_name[k], way_name[way]);
        for (m = 0; m < LAWS && done[k][way]; m++)
            value("counting on halves", name, law_name[m], "all", "log_likelihood_of_counts", law[k][way][m]);
        for (m = 0; m < PREDICTIONS && done[k][way] && way != 1; m++)
            value("counting on halves", name, prediction_name[m], "all", "median_spearman", predicted[k][way][m]);
    }
}

/* ---- time and memory ---- */

static void speed(void)
{
    slide s;
    fitted f;
    double clock;
    if (have_data(slide_name[0])) {
        s = load_slide(slide_name[0]);
        keep_genes(&s, TOP, CEL_GENES_MEAN);
        neighbours(&s, 6, 6);
        clock = clock_of(2);
        counted(&s, NULL, 1, &f);
        value("counting speed", "17,136 cells x 60 genes", "with error bars", "all", "seconds", clock_of(2) - clock);
        free_fitted(&f);
        clock = clock_of(2);
        recommended(&s, CEL_KIND_COUNTS, 0, NULL, 1, &f);
        value("counting speed", "17,136 cells x 60 genes", "recommended", "all", "seconds", clock_of(2) - clock);
        free_fitted(&f);
        free_slide(&s);
    }
    if (!quick) { /* counts of no structure take as many products as others */
        cel_rng rng = cel_rng_at(1, 0, 0, 0);
        struct rusage use;
        int64_t i;
        s = hexagonal(1000, 100);
        s.total = (double *)get(s.x.rows, sizeof(double));
        for (i = 0; i < s.x.rows * s.x.cols; i++) {
            s.x.data[i] = (cel_real)cel_rng_poisson(&rng, 0.2 * (double)(1 + i % 7) * (0.3 + cel_rng_uniform(&rng)));
            s.total[i / s.x.cols] += (double)s.x.data[i];
        }
        relate(&s);
        clock = clock_of(2);
        counted(&s, NULL, 0, &f);
        value("counting speed", "1,000,000 cells x 100 genes", "without error bars", "all", "seconds",
              clock_of(2) - clock);
        getrusage(RUSAGE_SELF, &use);
        value("counting speed", "1,000,000 cells x 100 genes", "without error bars", "all", "gigabytes",
              (double)use.ru_maxrss / 1048576);
        free_fitted(&f);
        free_slide(&s);
    }
}

/* ---- tables, and what is asked ---- */

static void tables(void)
{
    static const char *const method[] = {"through the counting", "through the counting, positions permuted", NULL};
    static const char *const figure[] = {"log_likelihood_of_counts", "median_spearman"};
    static const char *const title[] = {
        "Log-likelihood a cell of the right half's counts (odd sections), laws of the left half (even sections)",
        "A gene of the right half predicted from the cell's other genes and the neighbours: median Spearman "
        "correlation with its share of the counts"};
    char text[24];
    int k, way, f, m;
    table("Calls at q < .05, intra / inter", "counting on slides", "calls", NULL, slide_name, method);
    for (f = 0; f < 2; f++) {
        const char *const *name = f ? prediction_name : law_name;
        printf("\n%s\n\n| slide |", title[f]);
        for (m = 0; name[m]; m++) printf(" %s |", name[m]);
        printf("\n|---|");
        for (m = 0; name[m]; m++) printf("---|");
        for (k = 0; k < SLIDES - 1; k++)
            for (way = 0; way < 3; way++) {
                char row[64];
                snprintf(row, sizeof row, "%s%s", slide_name[k], way_name[way]);
                if (!(fabs(found("counting on halves", row, name[0], "all", figure[f])) <= HUGE_VAL)) continue;
                printf("\n| %s |", row);
                for (m = 0; name[m]; m++) {
                    double x = found("counting on halves", row, name[m], "all", figure[f]);
                    if (f) printf(" %s |", short_number(x, text));
                    else printf(" %.3f |", x);
                }
            }
        printf("\n");
    }
}

static void asked_all(void)
{
    static const char *const by = "through the counting";
    char what[160], row[64];
    int k, r, way;
    asked_title();
    for (k = 0; k < 5; k++) {
        double got = found("counting on slides", slide_name[k], "through the counting, positions permuted", "inter",
                           "calls");
        snprintf(what, sizeof what, "%s, positions permuted: inter calls through the counting", slide_name[k]);
        if (got >= 0) asked(what, got, -1, 1);
    }
    for (r = 0; r < 2; r++) {
        double got = found("counting on slides", slide_name[5], by, r ? "inter" : "intra", "calls");
        snprintf(what, sizeof what, "%s: %s calls through the counting", slide_name[5], r ? "inter" : "intra");
        if (got >= 0) asked(what, got, -1, 1);
    }
    for (k = 0; k < SLIDES - 1; k++) {
        double best = -1, usual = found("counting on halves", slide_name[k], "recommended", "all", "median_spearman");
        for (way = 0; way < 2; way++) {
            double gain;
            snprintf(row, sizeof row, "%s%s", slide_name[k], way_name[way]);
            gain = found("counting on halves", row, by, "all", "log_likelihood_of_counts") -
                   found("counting on halves", row, "own genes only", "all", "log_likelihood_of_counts");
            snprintf(what, sizeof what, "%s: held-out log-likelihood of counts above own genes only", row);
            if (fabs(gain) <= HUGE_VAL) asked(what, gain, way ? -1 : 1, 0);
        }
        for (way = 0; way < 3; way += 2) {
            snprintf(row, sizeof row, "%s%s", slide_name[k], way_name[way]);
            best = fmax(best, found("counting on halves", row, by, "all", "median_spearman") - usual);
        }
        snprintf(what, sizeof what, "%s: held-out prediction of a gene less that of the recommended fit",
                 slide_name[k]);
        if (usual >= -1) asked(what, best, 1, -0.01);
    }
    asked_total();
}

int main(int argc, char **argv)
{
    static const experiment all[] = {{"calls", calls}, {"halves", run_halves}, {"speed", speed}, {NULL, NULL}};
    run_experiments(argc, argv, all);
    tables();
    asked_all();
    return 0;
}
