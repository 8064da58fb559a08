/* Real perturbations: the gap proteins of the fly embryo (Petkova et al. 2019), wild type and seven maternal mutants.
 * "Hold three, predict the fourth": of each mutant three of the four mean profiles are given, and the change of the
 * fourth against its own wild-type controls is predicted, by what was learned from wild-type embryos alone: 28 tasks.
 * Ours: the measured fit on standardised intensities, rows of any length, the chain of neighbours along the axis; the
 * fourth gene is solved for along the whole axis at once. Its settings (ridge, neighbours or none) are those that
 * predict held-out wild-type embryos best, a whole profile from the other three; every setting tried is in the CSV.
 * Beside it the law of differences from the mean profile, one mean a position, its settings picked the same way.
 *
 *   build/truth_gap [--data DIR] [--csv FILE] [--quick]
 *
 * SPDX-License-Identifier: MIT */
#include "truth.h"

enum { GENES = 4, POINTS = 80, MUTANTS = 7, TASKS = MUTANTS * GENES, RESAMPLES = 200, FOLDS = 5, WIDEST = 20 };
typedef double profile[POINTS][GENES];

static const char *const gene_name[GENES] = {"Hb", "Kr", "Gt", "Kni"};
static const char *const mutant_name[MUTANTS] = {"bcd", "bcd_nos_tsl", "bcd_only", "bcd_osk", "bcd_tsl", "osk", "tsl"};

static int64_t embryos;
static profile *embryo;      /* intensities over the range of the file's mean wild-type profile */
static int *mutant, *series; /* (embryos) -1: wild type; labels */

/* ---- data ---- */

static int read_embryos(void)
{
    cel_mat x;
    char **text;
    int64_t i, lines, k;
    int seen = 0;
    char *name[32];
    if (!have_data("petkova_gap")) return 0;
    check(cel_npy_matrix(in_data("petkova_gap", "norm.npy").path, &x, NULL), "profiles");
    check(cel_file_lines(in_data("petkova_gap", "embryos.csv").path, &text, &lines, NULL), "embryos");
    embryos = lines - 1;
    if (x.rows != embryos * POINTS || x.cols != GENES) check(CEL_ERR_SHAPE, "profiles");
    embryo = (profile *)get(embryos, sizeof *embryo);
    mutant = (int *)get(embryos, sizeof(int));
    series = (int *)get(embryos, sizeof(int));
    for (i = 0; i < x.rows * GENES; i++) ((double *)embryo)[i] = (double)x.data[i];
    for (i = 0; i < embryos; i++) { /* slide,file,experiment,genotype,.. */
        char *of = strchr(strchr(text[i + 1], ',') + 1, ',') + 1, *genotype = strchr(of, ',') + 1;
        genotype[-1] = 0;
        genotype[strcspn(genotype, ",")] = 0;
        for (k = 0; k < seen && strcmp(name[k], of); k++) continue;
        if (k == seen) name[seen++] = of;
        series[i] = (int)k;
        for (k = MUTANTS - 1; k >= 0 && strcmp(mutant_name[k], genotype); k--) continue;
        mutant[i] = (int)k;
    }
    cel_file_free(text);
    cel_mat_free(&x);
    return 1;
}

/* The mean profile of the embryos listed. */
static void mean_of(const int64_t *list, int64_t count, profile out)
{
    int64_t k;
    int i, g;
    memset(out, 0, sizeof(profile));
    for (k = 0; k < count; k++)
        for (i = 0; i < POINTS; i++)
            for (g = 0; g < GENES; g++) out[i][g] += embryo[list[k]][i][g] / (double)count;
}
/* Embryos of a mutant (which >= 0), its wild-type controls of the same experiment (-1 - which), or all of the wild type
 * (WIDEST). */
static int64_t list_of(int which, int64_t *list)
{
    int64_t i, count = 0;
    int of = -1;
    for (i = 0; i < embryos && which < 0; i++)
        if (mutant[i] == -1 - which) of = series[i];
    for (i = 0; i < embryos; i++)
        if (which == WIDEST ? mutant[i] < 0 : which >= 0 ? mutant[i] == which : mutant[i] < 0 && series[i] == of)
            list[count++] = i;
    return count;
}

/* ---- predictors: from the other genes' profiles to the change of gene a ---- */

enum { NOTHING, LINEAR, QUADRATIC, LOCAL, OURS, OURS_BY_POSITION, PREDICTORS };
static const char *const predictor_name[PREDICTORS + 2] = {"no effect",
                                                           "linear regression",
                                                           "quadratic regression",
                                                           "slopes local in position",
                                                           "ours",
                                                           "ours with a mean by position",
                                                           "split halves (ceiling)",
                                                           NULL};

enum { TERMS = 10 }; /* 1, three genes, their squares and products */
static int terms_of(int predictor, int a, const double *x, double *term)
{
    int count = 0, g, h;
    term[count++] = 1;
    for (g = 0; g < GENES; g++)
        if (g != a) term[count++] = x[g];
    for (g = 0; g < GENES && predictor == QUADRATIC; g++)
        for (h = g; h < GENES; h++)
            if (g != a && h != a) term[count++] = x[g] * x[h];
    return count;
}

typedef struct law {
    double within[GENES][GENES], between[GENES][GENES]; /* A and G of the Gaussian form, in units of `scale` */
    double scale[GENES];
} law;

typedef struct predictors {
    double linear[GENES][TERMS], quadratic[GENES][TERMS], local[GENES][POINTS][TERMS];
    law law[2]; /* one mean for all positions; one each */
} predictors;

/* Least squares from sums: symmetric system (count x count), right-hand side; a trace of ridge for empty directions. */
static void solve_small(double *system, double *right, int count, double *x)
{
    double a[TERMS][TERMS + 1];
    int i, j, k;
    for (i = 0; i < count; i++) {
        for (j = 0; j < count; j++) a[i][j] = system[i * TERMS + j] + (i == j ? 1e-9 * system[0] : 0);
        a[i][count] = right[i];
    }
    for (k = 0; k < count; k++)
        for (i = 0; i < count; i++) {
            double f = a[i][k] / a[k][k];
            for (j = k; j <= count && i != k; j++) a[i][j] -= f * a[k][j];
        }
    for (i = 0; i < count; i++) x[i] = a[i][count] / a[i][i];
}
static void regress(int predictor, int a, const int64_t *list, int64_t count, int from, int to, double *beta)
{
    double system[TERMS * TERMS] = {0}, right[TERMS] = {0}, term[TERMS];
    int64_t k;
    int i, s, t, terms = 0;
    for (k = 0; k < count; k++)
        for (i = from; i < to; i++) {
            const double *x = embryo[list[k]][i];
            terms = terms_of(predictor, a, x, term);
            for (s = 0; s < terms; s++) {
                right[s] += term[s] * x[a];
                for (t = 0; t < terms; t++) system[s * TERMS + t] += term[s] * term[t];
            }
        }
    solve_small(system, right, terms, beta);
}

typedef struct choice {
    double ridge;
    int neighbours, by_position;
} choice;

/* The law of the embryos listed. */
static law fit_law(const int64_t *list, int64_t count, choice how)
{
    law out;
    slide s = CEL_ZERO;
    fitted f;
    profile mean;
    int64_t k, cells = count * POINTS, edges = 0, *from = (int64_t *)get(4 * cells, sizeof(int64_t)),
               *to = from + 2 * cells;
    int i, g, h;
    double overall[GENES] = {0}, shift = 0, best = 0;
    mean_of(list, count, mean);
    for (i = 0; i < POINTS; i++)
        for (g = 0; g < GENES; g++) overall[g] += mean[i][g] / POINTS;
    s.x = new_mat(cells, GENES);
    for (k = 0; k < count; k++)
        for (i = 0; i < POINTS; i++) {
            int64_t cell = k * POINTS + i;
            for (g = 0; g < GENES; g++)
                s.x.data[cell * GENES + g] =
                    (cel_real)(embryo[list[k]][i][g] - (how.by_position ? mean[i][g] : overall[g]));
            if (i) from[edges] = cell - 1, to[edges++] = cell, from[edges] = cell, to[edges++] = cell - 1;
        }
    for (g = 0; g < GENES; g++) {
        double square = 0;
        for (k = 0; k < cells; k++) square += pow((double)s.x.data[k * GENES + g], 2) / (double)cells;
        out.scale[g] = sqrt(square);
        for (k = 0; k < cells; k++) s.x.data[k * GENES + g] /= (cel_real)(out.scale[g] * sqrt(GENES));
    }
    if (how.neighbours) {
        check(cel_csr_from_edges(cells, cells, edges, from, to, NULL, &s.graph, NULL), "chain");
        relate(&s);
    } else
        check(cel_relations_new(cells, &s.relations), "relations");
    s.tile = (int32_t *)get(cells, sizeof(int32_t));
    s.tiles = 1;
    flat_fit(&s, s.x, how.ridge, CEL_SCORE_FIELD_SHARED, 0, &f);
    /* The diagonal of F_0 comes in the gauge of trace 0; its true height is where A_ab / sqrt(A_aa A_bb) is as
     * reported, by the pair that says it best. */
    for (g = 0; g < GENES; g++)
        for (h = g + 1; h < GENES; h++) {
            double a = (double)f.model.force.data[g * (GENES + 1)] / GENES,
                   b = (double)f.model.force.data[h * (GENES + 1)] / GENES;
            double p = (double)f.force.data[g * GENES + h], ab = (double)f.model.force.data[g * GENES + h] / GENES / p;
            if (fabs(p) <= best) continue;
            best = fabs(p);
            shift = -(a + b) / 2 - sqrt((a - b) * (a - b) / 4 + ab * ab);
        }
    for (g = 0; g < GENES; g++)
        for (h = 0; h < GENES; h++) {
            out.within[g][h] = (double)f.model.force.data[g * GENES + h] / GENES + (g == h ? shift : 0);
            out.between[g][h] = how.neighbours ? (double)f.model.force.data[(GENES + g) * GENES + h] / GENES : 0;
        }
    s.x = cel_mat_none(); /* f.rows */
    free_fitted(&f);
    free_slide(&s);
    free(from);
    return out;
}
/* Gene a along the whole axis from the change of the others, change (POINTS x GENES), in place: the stationary point of
 * sum_i x_i A x_i + sum over neighbours x_i G x_j, a tridiagonal system. */
static void complete(const law *l, int a, profile change)
{
    double x[POINTS], above[POINTS], pivot = 0, off = l->between[a][a], on = l->within[a][a];
    int i, h, side;
    for (i = 0; i < POINTS; i++) {
        double right = 0;
        for (h = 0; h < GENES; h++) {
            if (h == a) continue;
            right -= l->within[a][h] * change[i][h] / l->scale[h];
            for (side = -1; side <= 1; side += 2)
                if (i + side >= 0 && i + side < POINTS) right -= l->between[a][h] * change[i + side][h] / l->scale[h];
        }
        pivot = i ? on - off * above[i - 1] : on;
        above[i] = off / pivot;
        x[i] = (right - (i ? off * x[i - 1] : 0)) / pivot;
    }
    for (i = POINTS - 2; i >= 0; i--) x[i] -= above[i] * x[i + 1];
    for (i = 0; i < POINTS; i++) change[i][a] = x[i] * l->scale[a];
}

static predictors learn(const int64_t *list, int64_t count, const choice *how)
{
    predictors p;
    int a, i;
    memset(&p, 0, sizeof p);
    for (a = 0; a < GENES; a++) {
        regress(LINEAR, a, list, count, 0, POINTS, p.linear[a]);
        regress(QUADRATIC, a, list, count, 0, POINTS, p.quadratic[a]);
        for (i = 0; i < POINTS; i++) regress(LINEAR, a, list, count, i, i + 1, p.local[a][i]);
    }
    for (i = 0; i < 2; i++) p.law[i] = fit_law(list, count, how[i]);
    return p;
}
/* The predicted change (POINTS) of gene a from profile `from` to `to`, of which only the other genes are looked at. */
static void predict(const predictors *p, int predictor, int a, const profile from, const profile to, double *out)
{
    int i, g, t;
    profile change;
    for (i = 0; i < POINTS; i++) {
        double before[TERMS], after[TERMS];
        const double *beta = predictor == QUADRATIC ? p->quadratic[a]
                             : predictor == LOCAL   ? p->local[a][i]
                                                    : p->linear[a];
        int terms = terms_of(predictor, a, from[i], before);
        terms_of(predictor, a, to[i], after);
        out[i] = 0;
        for (t = 0; t < terms && predictor != NOTHING; t++) out[i] += beta[t] * (after[t] - before[t]);
        for (g = 0; g < GENES; g++) change[i][g] = to[i][g] - from[i][g];
    }
    if (predictor < OURS) return;
    complete(&p->law[predictor - OURS], a, change);
    for (i = 0; i < POINTS; i++) out[i] = change[i][a];
}

/* ---- settings, from wild-type embryos alone ---- */

/* Squared error of held-out wild-type embryos' whole profiles, each gene along the whole axis from the other three,
 * over its variance: geometric mean over genes. `apart`: of the embryo's difference from the mean profile, instead. */
static double held_out(choice how, int apart, const int64_t *wild, int64_t count)
{
    double error[GENES] = {0}, nothing[GENES] = {0}, product = 1, overall[GENES];
    int fold, a, i, g;
    int64_t k;
    for (fold = 0; fold < FOLDS; fold++) {
        int64_t *train = (int64_t *)get(count, sizeof(int64_t)), kept = 0;
        law l;
        profile mean;
        for (k = 0; k < count; k++)
            if (k % FOLDS != fold) train[kept++] = wild[k];
        mean_of(train, kept, mean);
        l = fit_law(train, kept, how);
        memset(overall, 0, sizeof overall);
        for (i = 0; i < POINTS; i++)
            for (g = 0; g < GENES; g++) overall[g] += mean[i][g] / POINTS;
        for (k = fold; k < count; k += FOLDS)
            for (a = 0; a < GENES; a++) {
                profile change;
                for (i = 0; i < POINTS; i++)
                    for (g = 0; g < GENES; g++)
                        change[i][g] = embryo[wild[k]][i][g] - (apart || how.by_position ? mean[i][g] : overall[g]);
                complete(&l, a, change);
                for (i = 0; i < POINTS; i++) {
                    double truth = embryo[wild[k]][i][a] - (apart || how.by_position ? mean[i][a] : overall[a]);
                    error[a] += pow(change[i][a] - truth, 2);
                    nothing[a] += pow(embryo[wild[k]][i][a] - (apart ? mean[i][a] : overall[a]), 2);
                }
            }
        free(train);
    }
    for (a = 0; a < GENES; a++) product *= pow(error[a] / nothing[a], 1.0 / GENES);
    return product;
}

/* ---- the 28 tasks ---- */

typedef struct outcome {
    double ratio[TASKS], r[TASKS], right, large; /* squared error over that of no effect; correlation; signs */
} outcome;

/* All tasks on the embryos drawn: with `rng` embryos are drawn anew, with replacement, within mutants and controls. */
static void run_tasks(const predictors *p, cel_rng *rng, outcome *out)
{
    int64_t *list = (int64_t *)get(2 * embryos, sizeof(int64_t)), *drawn = list + embryos;
    int m, a, i, k;
    memset(out, 0, (PREDICTORS + 1) * sizeof *out);
    for (m = 0; m < MUTANTS; m++) {
        profile of[2], half[2];
        int side;
        for (side = 0; side < 2; side++) { /* controls, mutant */
            int64_t count = list_of(side ? m : -1 - m, list), e;
            for (e = 0; e < count; e++) drawn[e] = rng ? list[cel_rng_integer(rng, (uint32_t)count)] : list[e];
            mean_of(drawn, count, of[side]);
            if (!side) continue;
            for (e = 0; e < count; e++) drawn[e] = list[(2 * e) % count + (2 * e >= count && count % 2 == 0)];
            mean_of(drawn, count / 2, half[0]);
            mean_of(drawn + count / 2, count - count / 2, half[1]);
        }
        for (a = 0; a < GENES; a++)
            for (k = 0; k <= PREDICTORS; k++) {
                double change[POINTS], truth[POINTS], error = 0, nothing = 0;
                if (k < PREDICTORS) predict(p, k, a, of[0], of[1], change);
                for (i = 0; i < POINTS; i++) {
                    truth[i] = (k < PREDICTORS ? of[1][i][a] : half[1][i][a]) - of[0][i][a];
                    if (k == PREDICTORS) change[i] = half[0][i][a] - of[0][i][a];
                    error += pow(change[i] - truth[i], 2);
                    nothing += truth[i] * truth[i];
                    if (fabs(truth[i]) > 0.1) out[k].large++, out[k].right += change[i] * truth[i] > 0;
                }
                out[k].ratio[m * GENES + a] = error / nothing;
                out[k].r[m * GENES + a] = pearson(change, truth, POINTS, NULL);
            }
    }
    free(list);
}
static double geometric(const double *x, int count)
{
    double sum = 0;
    int i;
    for (i = 0; i < count; i++) sum += log(x[i]) / count;
    return exp(sum);
}
static double better(const double *ratio)
{
    double count = 0;
    int i;
    for (i = 0; i < TASKS; i++) count += ratio[i] < 1;
    return count;
}

/* ---- one picture: Kr where Kni and Gt are held at 0, beside the mutant that lacks both ---- */

static void picture(const predictors *p)
{
    static const double place[4][2] = {{45, 53}, {55, 62}, {62, 70}, {70, 80}};
    static const char *const place_name[4] = {"45-53", "55-62", "62-70", "70-80"};
    enum { KR = 1, GT, KNI };
    int64_t *list = (int64_t *)get(embryos, sizeof(int64_t)), count = list_of(-1 - 5, list), e;
    int i, b;
    double *kr = (double *)get(count * POINTS, sizeof(double)), place_sum[3][4] = {{0}}, points[4] = {0};
    profile wild, without;
    char name[64];
    mean_of(list, count, wild);
    for (e = 0; e < count; e++) { /* every control embryo */
        profile change;
        memset(change, 0, sizeof change);
        for (i = 0; i < POINTS; i++) change[i][GT] = -embryo[list[e]][i][GT], change[i][KNI] = -embryo[list[e]][i][KNI];
        complete(&p->law[0], KR, change);
        for (i = 0; i < POINTS; i++) kr[i * count + e] = embryo[list[e]][i][KR] + change[i][KR];
    }
    mean_of(list, list_of(5, list), without);
    for (i = 0; i < POINTS; i++) {
        double at = 10.45 + i;
        snprintf(name, sizeof name, "%.2f", at);
        line("picture", name, "predicted", "Kr", "intensity", kr + i * count, count);
        value("picture", name, "wild type", "Kr", "intensity", wild[i][KR]);
        value("picture", name, "osk", "Kr", "intensity", without[i][KR]);
        for (b = 0; b < 4; b++) {
            double mean = 0;
            if (at < place[b][0] || at >= place[b][1]) continue;
            for (e = 0; e < count; e++) mean += kr[i * count + e] / (double)count;
            points[b]++;
            place_sum[0][b] += without[i][KR] - wild[i][KR];
            place_sum[1][b] += mean - wild[i][KR];
        }
    }
    for (b = 0; b < 4; b++) {
        value("kr", place_name[b], "osk mutant", "Kr", "change", place_sum[0][b] / points[b]);
        value("kr", place_name[b], "Kni and Gt held at 0", "Kr", "change", place_sum[1][b] / points[b]);
        value("kr", place_name[b], "no effect", "Kr", "change", 0);
    }
    free(kr);
    free(list);
}

static void gap(void)
{
    static const double ridges[] = {30, 10, 3, 1, .3, .1, .03, .01};
    enum { RIDGES = sizeof ridges / sizeof ridges[0], TRIED = 4 * RIDGES };
    choice tried[TRIED], picked[2];
    double whole[TRIED], apart[TRIED];
    outcome result[PREDICTORS + 1], of[TRIED], *again;
    int64_t *wild, count, k;
    int best[2] = {0, TRIED / 2}, i, m, a;
    predictors p;
    if (!read_embryos()) return;
    wild = (int64_t *)get(embryos, sizeof(int64_t));
    count = list_of(WIDEST, wild);
    for (i = 0; i < TRIED; i++) {
        tried[i].ridge = ridges[i % RIDGES];
        tried[i].neighbours = i / RIDGES % 2 == 0;
        tried[i].by_position = i / RIDGES >= 2;
    }
    OVER_SEEDS
    for (i = 0; i < TRIED; i++) {
        outcome mine[PREDICTORS + 1];
        choice both[2];
        predictors here;
        both[0] = both[1] = tried[i];
        here = learn(wild, count, both);
        whole[i] = held_out(tried[i], 0, wild, count);
        apart[i] = held_out(tried[i], 1, wild, count);
        run_tasks(&here, NULL, mine);
        of[i] = mine[OURS];
    }
    for (i = 0; i < TRIED; i++) {
        char name[64];
        if (whole[i] < whole[best[tried[i].by_position]]) best[tried[i].by_position] = i;
        snprintf(name, sizeof name, "ridge %g, %s, %s", tried[i].ridge, tried[i].neighbours ? "chain" : "no neighbours",
                 tried[i].by_position ? "mean by position" : "one mean");
        value("settings", name, "ours", "all", "held_out_whole_profile", whole[i]);
        value("settings", name, "ours", "all", "held_out_difference_from_mean", apart[i]);
        value("settings", name, "ours", "all", "better_than_no_effect", better(of[i].ratio));
        value("settings", name, "ours", "all", "geometric_mean_ratio", geometric(of[i].ratio, TASKS));
    }
    for (i = 0; i < 2; i++) {
        picked[i] = tried[best[i]];
        value("picked", predictor_name[OURS + i], "ours", "all", "ridge", picked[i].ridge);
        value("picked", predictor_name[OURS + i], "ours", "all", "neighbours", picked[i].neighbours);
    }
    p = learn(wild, count, picked);
    run_tasks(&p, NULL, result);
    again = (outcome *)get(RESAMPLES * (PREDICTORS + 1), sizeof *again);
    OVER_SEEDS
    for (k = 0; k < RESAMPLES; k++) {
        cel_rng rng = cel_rng_at(1, 500, (uint32_t)k, 0);
        run_tasks(&p, &rng, again + k * (PREDICTORS + 1));
    }
    for (i = 0; i <= PREDICTORS; i++) {
        double ratio[RESAMPLES], wins[RESAMPLES];
        for (k = 0; k < RESAMPLES; k++) {
            const outcome *o = again + k * (PREDICTORS + 1) + i;
            ratio[k] = geometric(o->ratio, TASKS);
            wins[k] = better(o->ratio);
        }
        if (i != NOTHING) {
            value("tasks", "28 tasks", predictor_name[i], "all", "better_than_no_effect", better(result[i].ratio));
            value("tasks", "28 tasks", predictor_name[i], "all", "geometric_mean_ratio",
                  geometric(result[i].ratio, TASKS));
            value("tasks", "28 tasks", predictor_name[i], "all", "median_correlation",
                  quantile(result[i].r, TASKS, 0.5));
            value("tasks", "28 tasks", predictor_name[i], "all", "sign_right", result[i].right / result[i].large);
        }
        if (i != NOTHING && i != PREDICTORS) {
            value("tasks", "28 tasks", predictor_name[i], "all", "ratio_low", quantile(ratio, RESAMPLES, 0.025));
            value("tasks", "28 tasks", predictor_name[i], "all", "ratio_high", quantile(ratio, RESAMPLES, 0.975));
            value("tasks", "28 tasks", predictor_name[i], "all", "better_low", quantile(wins, RESAMPLES, 0.025));
            value("tasks", "28 tasks", predictor_name[i], "all", "better_high", quantile(wins, RESAMPLES, 0.975));
        }
        for (m = 0; m < MUTANTS; m++)
            for (a = 0; a < GENES && i != NOTHING; a++)
                value("task", mutant_name[m], predictor_name[i], gene_name[a], "error_ratio",
                      result[i].ratio[m * GENES + a]);
    }
    picture(&p);
    free(again);
    free(wild);
}

int main(int argc, char **argv)
{
    static const experiment all[] = {{"gap", gap}, {NULL, NULL}};
    static const char *const task[] = {"28 tasks", NULL}, *const places[] = {"45-53", "55-62", "62-70", "70-80", NULL};
    static const char *const shown[] = {"no effect", "Kni and Gt held at 0", "osk mutant", NULL};
    static const char *const figure[] = {"better_than_no_effect", "better_low", "better_high",
                                         "geometric_mean_ratio",  "ratio_low",  "ratio_high",
                                         "median_correlation",    "sign_right"};
    int i, k, m;
    char text[24];
    run_experiments(argc, argv, all);
    if (!(found("tasks", task[0], "ours", "all", "sign_right") <= 1)) return 0;
    printf("\nGap genes: hold three, predict the fourth; 7 mutants x 4 genes\n\n| method | better than no effect | 95 "
           "%% low | "
           "high | geometric mean ratio of errors | 95 %% low | high | median correlation | sign right where the "
           "change is > .1 "
           "|\n|---|---|---|---|---|---|---|---|---|\n| no effect | - | - | - | 1 | - | - | - | - |\n");
    for (i = 1; i <= PREDICTORS; i++) {
        printf("| %s |", predictor_name[i]);
        for (k = 0; k < 8; k++)
            printf(" %s |", short_number(found("tasks", task[0], predictor_name[i], "all", figure[k]), text));
        printf("\n");
    }
    printf("\nSquared error over that of no effect (ours / linear / quadratic)\n\n| mutant | Hb | Kr | Gt | Kni "
           "|\n|---|---|---|---|---|\n");
    for (m = 0; m < MUTANTS; m++) {
        printf("| %s |", mutant_name[m]);
        for (k = 0; k < GENES; k++)
            for (i = 0; i < 3; i++) {
                static const int order[3] = {OURS, LINEAR, QUADRATIC};
                printf("%s%s%s", i ? " / " : " ",
                       short_number(
                           found("task", mutant_name[m], predictor_name[order[i]], gene_name[k], "error_ratio"), text),
                       i == 2 ? " |" : "");
            }
        printf("\n");
    }
    printf("\nPicked on held-out wild-type embryos: ridge %g, %s; with a mean by position: ridge %g, %s\n",
           found("picked", "ours", "ours", "all", "ridge"),
           found("picked", "ours", "ours", "all", "neighbours") > 0 ? "chain" : "no neighbours",
           found("picked", predictor_name[OURS_BY_POSITION], "ours", "all", "ridge"),
           found("picked", predictor_name[OURS_BY_POSITION], "ours", "all", "neighbours") > 0 ? "chain"
                                                                                              : "no neighbours");
    table("Kr, by % egg length: change in the osk mutant, which lacks Kni and posterior Gt, and as predicted in "
          "wild-type "
          "embryos",
          "kr", "change", "Kr", places, shown);
    asked_title();
    asked("gap genes: tasks of 28 better than no effect", found("tasks", task[0], "ours", "all", figure[0]), 1, 18);
    asked_total();
    return 0;
}
