/* Tests of shifts: the differences of fits and their errors, the l1 problem by a plain loop, the size direction,
 * designs, what is refused. SPDX-License-Identifier: MIT */
#include "law.h"

static const double CLOSE = sizeof(cel_real) == 8 ? 1e-5 : 4e-3;

/* Cells on chains of eight, in groups of fifteen chains, correlated by condition; slides of two groups each. */
typedef struct design {
    int64_t n, conditions, groups, count; /* groups a condition; count moments */
    cel_mat x;
    cel_csr w;
    cel_relations relations;
    cel_moments *moments;
    int32_t *condition, *group, *slide; /* (count) */
    double *u;                          /* (n) of unit length, or NULL */
} design;

static void design_free(design *d)
{
    int64_t k;
    for (k = 0; k < d->count && d->moments; k++) cel_moments_free(d->moments + k);
    cel_mat_free(&d->x);
    cel_csr_free(&d->w);
    cel_relations_free(&d->relations);
    free(d->moments);
    free(d->condition);
    free(d->u);
    memset(d, 0, sizeof *d);
}

/* paired: group g of every condition is one group. */
static int design_make(design *d, int64_t n, int64_t conditions, int64_t groups, int size, int paired, uint64_t seed)
{
    enum { CHAIN = 8, CHAINS = 15 };
    int64_t i, j, k, one = CHAIN * CHAINS;
    int32_t *part;
    memset(d, 0, sizeof *d);
    d->n = n;
    d->conditions = conditions;
    d->groups = groups;
    d->count = conditions * groups;
    d->moments = (cel_moments *)calloc((size_t)d->count, sizeof *d->moments);
    d->condition = (int32_t *)calloc((size_t)(3 * d->count), sizeof(int32_t));
    d->group = d->condition + d->count;
    d->slide = d->group + d->count;
    if (size) d->u = (double *)calloc((size_t)n, sizeof(double));
    for (i = 0; i < n && size; i++) d->u[i] = 1 / sqrt((double)n);
    d->w = chain(d->count * CHAINS, CHAIN, 0, 1);
    part = (int32_t *)calloc((size_t)(d->count * one), sizeof(int32_t));
    if (!CHECK(!cel_mat_new(d->count * one, n, &d->x) &&
               test_relations(&d->relations, d->count * one, &d->w, NULL, NULL)))
        return 0;
    for (k = 0; k < d->count; k++) {
        d->condition[k] = (int32_t)(k / groups);
        d->group[k] = (int32_t)(paired ? k % groups : k);
        d->slide[k] = (int32_t)(k / 2);
        for (i = k * one; i < (k + 1) * one; i++) {
            cel_real *x = d->x.data + i * n;
            cel_rng rng = cel_rng_at(seed, 4, (uint32_t)i, 0);
            double along = 0, length = 0;
            part[i] = (int32_t)k;
            for (j = 0; j < n; j++) x[j] = (cel_real)cel_rng_normal(&rng);
            x[1] += (cel_real)(0.5 + 0.4 * (double)d->condition[k]) * x[0];
            if (i % CHAIN) x[2] += (cel_real)0.6 * x[3 - n];
            for (j = 0; j < n; j++) x[j] += (cel_real)(0.1 * (double)(k / 2 % 3) * (double)(j % 3));
            for (j = 0; j < n && size; j++) along += d->u[j] * (double)x[j];
            for (j = 0; j < n && size; j++) x[j] -= (cel_real)(along * d->u[j]);
            for (j = 0; j < n; j++) length += (double)x[j] * (double)x[j];
            for (j = 0; j < n; j++) x[j] /= (cel_real)sqrt(length);
        }
    }
    for (k = 0; k < d->count; k++) CHECK(!cel_moments_new(n, &d->relations, d->moments + k));
    i = CHECK(!cel_moments_add_by_label(d->moments, d->count, part, &d->relations, d->x, NULL));
    free(part);
    return (int)i;
}

static cel_score_options options_of(const design *d)
{
    cel_score_options o = cel_score_measured(d->u);
    o.group = d->group;
    o.slide = d->slide;
    o.ridge = 0.01;
    o.tolerance = sizeof(cel_real) == 8 ? 1e-9 : 1e-6;
    return o;
}

/* shift is the difference of the conditions' own fits in the control's units, se the root of both squares. */
static void shifts_are_differences_of_fits(void)
{
    design d;
    cel_shift_report report;
    cel_model model[3];
    cel_score_report own[3];
    cel_score_options o;
    int64_t c, r, i, j, n = 6;
    double worst = 0, worst_se = 0, size = 0;
    if (!design_make(&d, n, 3, 8, 0, 0, 1)) return;
    o = options_of(&d);
    o.l1 = 1;
    CHECK(!cel_shift_fit(d.moments, d.count, d.condition, &o, &report, NULL, NULL));
    CHECK(report.conditions == 2 && report.groups == 24 && report.shift.rows == 2 * 2 * n && report.target.rows == 2);
    for (c = 0; c < 3; c++) {
        int32_t slide[8];
        for (i = 0; i < 8; i++) slide[i] = (int32_t)(i / 2);
        o.slide = slide;
        o.l1 = 0;
        CHECK(!cel_score_fit_moments(d.moments + 8 * c, 8, &o, model + c, own + c, NULL, NULL));
    }
    for (c = 1; c < 3; c++)
        for (r = 0; r < 2; r++)
            for (i = 0; i < n; i++)
                for (j = 0; j < n; j++) {
                    int64_t e = (r * n + i) * n + j, at = (c - 1) * 2 * n * n + e;
                    double unit = (double)own[0].test.data[e] / (double)model[0].force.data[e];
                    double expected = ((double)model[c].force.data[e] - (double)model[0].force.data[e]) * unit, se;
                    double units = unit * (double)model[c].force.data[e] / (double)own[c].test.data[e];
                    if (i == j || fabs((double)own[0].test.data[e]) < 0.02 || fabs((double)own[c].test.data[e]) < 0.02)
                        continue;
                    se = hypot((double)own[0].se.data[e], (double)own[c].se.data[e] * units);
                    worst = fmax(worst, fabs((double)report.shift.data[at] - expected));
                    worst_se = fmax(worst_se, fabs((double)report.se.data[at] / se - 1));
                    size = fmax(size, fabs(expected));
                }
    NEAR(worst, 0, 5 * CLOSE * size);
    NEAR(worst_se, 0, 0.05);
    for (i = 0; i < 2 * n; i++) /* the control's units */
        for (j = 0; j < n; j++)
            if (i != j) NEAR((double)report.control.data[i * n + j], (double)own[0].test.data[i * n + j], CLOSE);
    for (c = 0; c < 3; c++) {
        cel_model_free(model + c);
        cel_score_report_free(own + c);
    }
    /* A weight that leaves nothing leaves no targets either; sparse shifts of hardly any weight are those above. */
    for (i = 0; i < report.sparse.rows * n; i++)
        if (i / n % n != i % n) CHECK((double)report.sparse.data[i] == 0.0);
    for (i = 0; i < 2 * n; i++) CHECK((double)report.target.data[i] == 0.0 && (double)report.target_se.data[i] == 0.0);
    cel_shift_report_free(&report);
    design_free(&d);
}

/* The l1 problem within cells, in double, by small steps: least sum_c 1/2 <T, K_c T> + factor s_c tr T + ridge / 2
 * unit |f_0|^2 + l1 w_c |f_c|, T = P (f_0 + f_c) P; K_c the moments about slides' means times factor^2 / S. */
static void plain_l1(const design *d, double ridge, double l1, double *f)
{
    int64_t n = d->n, C = d->conditions, side = d->moments->blocks * n + 1, c, k, i, j, a, step;
    double *K = (double *)calloc((size_t)(C * n * n), sizeof(double)),
           *g = (double *)calloc((size_t)(C * n * n), sizeof(double));
    double *T = (double *)calloc((size_t)(2 * n * n), sizeof(double)), *Q = T + n * n, S = 0, trace = 0, factor,
           unit = 0;
    double dim = (double)(n - (d->u != NULL)), limit;
    for (k = 0; k < d->count; k++) {
        S += (double)d->moments[k].cells;
        for (i = 0; i < n; i++) trace += 4 * d->moments[k].gram[i * (side + 1)];
    }
    factor = 2 / sqrt(trace / (dim * S));
    for (k = 0; k < d->count; k += 2) { /* a slide has two */
        const double *one = d->moments[k].gram, *two = d->moments[k + 1].gram;
        double cells = (double)(d->moments[k].cells + d->moments[k + 1].cells);
        for (i = 0; i < n; i++)
            for (j = 0; j < n; j++) {
                double mi = 2 * (one[i * side + side - 1] + two[i * side + side - 1]);
                double mj = 2 * (one[j * side + side - 1] + two[j * side + side - 1]);
                K[d->condition[k] * n * n + i * n + j] +=
                    factor * factor / S * (one[i * side + j] + two[i * side + j] - mi * mj / cells);
            }
    }
    for (c = 0; c < C; c++)
        for (i = 0; i < n; i++) unit += K[c * n * n + i * (n + 1)] / dim;
    limit = 2 * unit * dim + ridge * unit;
    memset(f, 0, (size_t)(C * n * n) * sizeof *f);
    for (step = 0; step < 20000; step++) {
        for (i = 0; i < n * n; i++) g[i] = ridge * unit * f[i];
        for (c = 0; c < C; c++) {
            for (i = 0; i < n * n; i++) T[i] = f[i] + (c ? f[c * n * n + i] : 0);
            for (a = 0; a < 2; a++) { /* T = P T P, then its gradient likewise */
                double both = 0, right[16], left[16];
                for (i = 0; i < n && d->u; i++) {
                    right[i] = left[i] = 0;
                    for (j = 0; j < n; j++) right[i] += T[i * n + j] * d->u[j], left[i] += d->u[j] * T[j * n + i];
                }
                for (i = 0; i < n && d->u; i++) both += d->u[i] * right[i];
                for (i = 0; i < n * n && d->u; i++)
                    T[i] -= right[i / n] * d->u[i % n] + d->u[i / n] * left[i % n] - both * d->u[i / n] * d->u[i % n];
                if (a) break;
                for (i = 0; i < n; i++)
                    for (j = 0; j < n; j++)
                        for (Q[i * n + j] = i == j ? factor / (double)C : 0, k = 0; k < n; k++)
                            Q[i * n + j] +=
                                (K[c * n * n + i * n + k] * T[k * n + j] + T[i * n + k] * K[c * n * n + k * n + j]) / 2;
                memcpy(T, Q, (size_t)(n * n) * sizeof *T);
            }
            for (i = 0; i < n * n; i++) {
                g[i] += T[i];
                if (c) g[c * n * n + i] = T[i];
            }
        }
        for (i = 0; i < C * n * n; i++) {
            double by = i >= n * n && i / n % n != i % n ? l1 * 2 * sqrt((double)(C - 1)) / (double)C / limit : 0;
            f[i] -= g[i] / limit;
            f[i] = f[i] > by ? f[i] - by : f[i] < -by ? f[i] + by : 0;
        }
    }
    for (i = 0; i < C * n * n; i++) f[i] *= factor / 2; /* forces */
    free(K);
    free(g);
    free(T);
}

/* Selected shifts against that loop, up to the units, which a control of the same moments gives. */
static void the_l1_problem(void)
{
    int size;
    for (size = 0; size < 2; size++) {
        design d;
        cel_shift_report report;
        cel_relations identity;
        cel_score_options o;
        int64_t n = 6, i, k, zeros = 0, count = 0;
        double *f = (double *)calloc((size_t)(3 * n * n), sizeof(double)), dot = 0, ff = 0, ss = 0;
        if (!design_make(&d, n, 3, 6, size, 0, 2)) return;
        CHECK(!cel_relations_new(d.x.rows, &identity));
        for (k = 0; k < d.count; k++) { /* within cells only */
            int32_t list[120];
            cel_moments_free(d.moments + k);
            for (i = 0; i < 120; i++) list[i] = (int32_t)(120 * k + i);
            CHECK(!cel_moments_new(n, &identity, d.moments + k) &&
                  !cel_moments_add(d.moments + k, &identity, d.x, list, 120, NULL));
        }
        o = options_of(&d);
        o.l1 = 0.02;
        o.iterations = 20000;
        CHECK(!cel_shift_fit(d.moments, d.count, d.condition, &o, &report, NULL, NULL));
        plain_l1(&d, 0.01, 0.02, f);
        for (i = 0; i < 2 * n * n; i++) {
            /* d_a from the diagonal of the control: the entries' ratio is 1 / (n d_a d_b), the same for all conditions
             */
            double s = (double)report.sparse.data[i], g = f[n * n + i];
            if (i / n % n == i % n) continue;
            zeros += fabs(g) > 0 ? 0 : 1;
            count += (fabs(g) > 0) == (fabs(s) > 0);
            dot += s * g;
            ff += g * g;
            ss += s * s;
        }
        CHECK(zeros > 10 && zeros < 2 * n * (n - 1) - 2);
        CHECK(count >= 2 * n * (n - 1) - 2); /* but for those at the edge of the threshold */
        CHECK(dot > 0.98 * sqrt(ff * ss));   /* units differ by gene */
        cel_shift_report_free(&report);
        cel_relations_free(&identity);
        design_free(&d);
        free(f);
    }
}

/* The pair that changes comes first, its genes as targets; the weight is picked; the order of the moments does
 * not matter. */
static void planted_pair(void)
{
    design d, e;
    cel_shift_report report, again;
    cel_score_options o;
    int64_t n = 8, i, k, best = 0;
    if (!design_make(&d, n, 3, 10, 1, 0, 3)) return;
    o = options_of(&d);
    o.ridge = CEL_SCORE_PICKED;
    CHECK(!cel_shift_fit(d.moments, d.count, d.condition, &o, &report, NULL, NULL));
    CHECK(report.path > 2 && report.l1 > 0 && report.path_weight[0] > report.l1 && report.ridge > 0);
    for (i = 0; i < n * n; i++)
        if (fabs((double)report.sparse.data[2 * n * n + i]) > fabs((double)report.sparse.data[2 * n * n + best]))
            best = i;
    for (i = 0; i < n * n; i++) /* of condition 2, off the diagonal */
        if (i / n != i % n && (best / n == best % n || fabs((double)report.sparse.data[2 * n * n + i]) >
                                                           fabs((double)report.sparse.data[2 * n * n + best])))
            best = i;
    CHECK(best == 1 || best == n);
    CHECK(fmin((double)report.target_q.data[n], (double)report.target_q.data[n + 1]) < 0.05);
    CHECK((double)report.target_se.data[n] >= 0 && (double)report.q.data[2 * n * n + 1] < 0.05);
    e = d; /* moments in another order: groups keep their labels */
    e.moments = (cel_moments *)calloc((size_t)d.count, sizeof *e.moments);
    e.condition = (int32_t *)calloc((size_t)(3 * d.count), sizeof(int32_t));
    for (k = 0; k < d.count; k++) {
        e.moments[k] = d.moments[d.count - 1 - k];
        for (i = 0; i < 3; i++) e.condition[i * d.count + k] = d.condition[(i + 1) * d.count - 1 - k];
    }
    o.group = e.condition + d.count;
    o.slide = e.condition + 2 * d.count;
    CHECK(!cel_shift_fit(e.moments, e.count, e.condition, &o, &again, NULL, NULL));
    for (i = 0; i < report.sparse.rows * n; i++)
        NEAR((double)report.sparse.data[i], (double)again.sparse.data[i], CLOSE);
    free(e.moments);
    free(e.condition);
    cel_shift_report_free(&again);
    cel_shift_report_free(&report);
    design_free(&d);
}

/* Groups that all conditions share are paired: what they have in common is not in the errors. */
static void paired_groups(void)
{
    design d;
    cel_shift_report report;
    cel_score_options o;
    if (!design_make(&d, 5, 2, 12, 0, 1, 4)) return;
    o = options_of(&d);
    CHECK(!cel_shift_fit(d.moments, d.count, d.condition, &o, &report, NULL, NULL));
    CHECK(report.groups == 12 && (double)report.se.data[1] > 0);
    cel_shift_report_free(&report);
    /* The same moments under both conditions: no shift, and no error of it. */
    {
        cel_moments *twice = (cel_moments *)calloc(24, sizeof *twice);
        int64_t k, i;
        for (k = 0; k < 24; k++) twice[k] = d.moments[k % 12];
        CHECK(!cel_shift_fit(twice, 24, d.condition, &o, &report, NULL, NULL));
        for (i = 0; i < 2 * 25; i++)
            CHECK(fabs((double)report.shift.data[i]) < CLOSE && (double)report.se.data[i] < CLOSE);
        cel_shift_report_free(&report);
        free(twice);
    }
    design_free(&d);
}

static void refusals(void)
{
    design d, other;
    cel_shift_report report;
    cel_score_options o;
    cel_error err;
    int32_t label[12];
    int64_t k;
    if (!design_make(&d, 4, 2, 6, 0, 0, 5) || !design_make(&other, 5, 2, 2, 0, 0, 5)) return;
    o = options_of(&d);
#define REFUSED(because, call)                                                                                         \
    memset(&report, 1, sizeof report);                                                                                 \
    CHECK((call) == because && err.status == because && err.what[0]);                                                  \
    CHECK(!report.shift.data && !report.owned && !report.conditions)
    for (k = 0; k < 12; k++) label[k] = 0;
    REFUSED(CEL_ERR_DATA, cel_shift_fit(d.moments, d.count, label, &o, &report, &err, NULL)); /* one condition */
    for (k = 0; k < 12; k++) label[k] = k ? 0 : 1;
    REFUSED(CEL_ERR_DATA, cel_shift_fit(d.moments, d.count, label, &o, &report, &err, NULL)); /* with one group */
    CHECK(err.offset == 1);
    for (k = 0; k < 12; k++) label[k] = k ? 0 : 2;
    REFUSED(CEL_ERR_DATA, cel_shift_fit(d.moments, d.count, label, &o, &report, &err, NULL)); /* a label left out */
    REFUSED(CEL_ERR_DATA, cel_shift_fit(d.moments, d.count, d.condition, NULL, &report, &err, NULL)); /* no groups */
    o.l1 = NAN;
    REFUSED(CEL_ERR_ARG, cel_shift_fit(d.moments, d.count, d.condition, &o, &report, &err, NULL));
    o.l1 = 0;
    o.form = CEL_SCORE_EXACT;
    REFUSED(CEL_ERR_ARG, cel_shift_fit(d.moments, d.count, d.condition, &o, &report, &err, NULL));
    o.form = CEL_SCORE_AUTO;
    {
        cel_moments mixed[12];
        for (k = 0; k < 12; k++) mixed[k] = k == 7 ? other.moments[0] : d.moments[k];
        REFUSED(CEL_ERR_SHAPE, cel_shift_fit(mixed, d.count, d.condition, &o, &report, &err, NULL));
    }
#undef REFUSED
    design_free(&other);
    design_free(&d);
}

void suite_shifts(void);
void suite_shifts(void)
{
    RUN(shifts_are_differences_of_fits);
    RUN(the_l1_problem);
    RUN(planted_pair);
    RUN(paired_groups);
    RUN(refusals);
}
