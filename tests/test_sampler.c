/* Exact samples against closed forms and quadrature. SPDX-License-Identifier: MIT */
#include "law.h"

#include <time.h>

/* Averages over sweeps, per group of cells: E x_j, E x_j x_k (one group's cells are averaged too), and for groups
 * of more than one cell E x_0j x_1k between the first two. */
typedef struct tally {
    int64_t size;
    double *sum; /* (groups x values) */
    int64_t count;
} tally;

static int tally_add(void *user, int64_t sweep, cel_mat x)
{
    tally *t = (tally *)user;
    int64_t n = x.cols, values = tally_values(n), i, j, k;
    (void)sweep;
    for (i = 0; i < x.rows; i++) {
        const cel_real *row = x.data + i * x.stride;
        double *to = t->sum + i / t->size * values;
        for (j = 0; j < n; j++) {
            to[j] += (double)row[j] / (double)t->size;
            for (k = 0; k < n; k++) to[n + j * n + k] += (double)row[j] * (double)row[k] / (double)t->size;
            for (k = 0; k < n && i % t->size == 0 && t->size > 1; k++)
                to[n + n * n + j * n + k] += (double)row[j] * (double)(row + x.stride)[k];
        }
    }
    t->count++;
    return 0;
}

/* Samples `groups` independent copies of a system of `size` cells and compares all averages with `truth`
 * (tally_values), allowing z standard errors over the groups. */
static void compare(const cel_model *m, const cel_relations *relations, cel_sample_options o, cel_mat x, int64_t size,
                    const double *truth, double z)
{
    int64_t groups = x.rows / size, values = tally_values(m->genes), v, g;
    tally t;
    cel_sample_report report;
    t.size = size;
    t.count = 0;
    t.sum = (double *)calloc((size_t)(groups * values), sizeof(double));
    o.each = tally_add;
    o.each_user = &t;
    if (!o.sweeps) o.sweeps = 200;
    CHECK(cel_sample_run(m, relations, &o, x, NULL, &report, NULL) == CEL_OK);
    CHECK(t.count == o.sweeps);
    for (v = 0; v < values; v++) {
        double mean = 0, square = 0, se;
        for (g = 0; g < groups; g++) {
            double a = t.sum[g * values + v] / (double)t.count;
            mean += a / (double)groups;
            square += a * a;
        }
        se = sqrt(fabs(square / (double)groups - mean * mean) / (double)(groups - 1));
        NEAR(mean, truth[v], z * se + 2e-6);
    }
    free(t.sum);
}

static void single_cells(void)
{
    int64_t n;
    int orthant, field;
    double s[] = {2.5}, truth[32];
    for (n = 2; n <= 3; n++)
        for (orthant = 0; orthant < 2; orthant++)
            for (field = 0; field < 2; field++) {
                cel_model m = forces(3 + (uint64_t)n, n, 1, s, field ? 1.5 : 0);
                cel_sample_options o;
                cel_mat x;
                memset(&o, 0, sizeof o);
                o.seed = 11;
                o.domain.orthant = orthant;
                CHECK(cel_mat_new(500, n, &x) == CEL_OK);
                cel_sample_uniform(1, 0, orthant, x);
                quadrature(&m, orthant, -1, truth);
                compare(&m, alone(x.rows), o, x, 1, truth, 4.5);
                cel_mat_free(&x);
                cel_model_free(&m);
            }
}

static void free_field(void)
{
    double s[] = {0}, truth[64];
    cel_model m = forces(1, 5, 1, s, 0);
    cel_sample_options o;
    cel_sample_report report;
    cel_mat x;
    int64_t j;
    memset(&o, 0, sizeof o);
    memset(truth, 0, sizeof truth);
    for (j = 0; j < 5; j++) truth[5 + 6 * j] = 0.2;
    CHECK(cel_mat_new(400, 5, &x) == CEL_OK);
    cel_sample_uniform(1, 0, 0, x);
    compare(&m, alone(x.rows), o, x, 1, truth, 4.5);
    /* The trajectory is a right angle, whatever the acceptance. */
    CHECK(cel_sample_run(&m, alone(x.rows), &o, x, NULL, &report, NULL) == CEL_OK);
    NEAR(report.acceptance, 1, 1e-4);
    NEAR(report.step, PI / 2 / (6 * sqrt(4.0)), 1e-6);
    cel_mat_free(&x);
    cel_model_free(&m);
}

/* A strong field: von Mises-Fisher. E x = A u, E x x^T = A/k I + (1 - n A/k) u u^T. */
static void strong_field(void)
{
    double s[] = {0}, k[] = {3, 30, 300}, truth[320];
    int64_t n = 12, c, i, j;
    for (c = 0; c < 3; c++) {
        cel_model m = forces(1, n, 1, s, 1);
        cel_sample_options o;
        cel_mat x;
        double a, length = cel_vec_nrm2(m.field, n);
        memset(&o, 0, sizeof o);
        memset(truth, 0, sizeof truth);
        o.sweeps = 120;
        cel_sphere_phi(n, k[c], &a, NULL);
        for (i = 0; i < n; i++) m.field[i] = (cel_real)((double)m.field[i] / length * k[c]);
        for (i = 0; i < n; i++) {
            double u = (double)m.field[i] / k[c];
            truth[i] = a * u;
            for (j = 0; j < n; j++)
                truth[n + i * n + j] =
                    (1 - (double)n * a / k[c]) * u * (double)m.field[j] / k[c] + (i == j ? a / k[c] : 0);
        }
        CHECK(cel_mat_new(300, n, &x) == CEL_OK);
        cel_sample_uniform(1, 0, 0, x);
        compare(&m, alone(x.rows), o, x, 1, truth, 4.8);
        cel_mat_free(&x);
        cel_model_free(&m);
    }
}

static void chains_and_rings(void)
{
    int kind;
    for (kind = 0; kind < 4; kind++) {
        int ring = kind & 1, both = kind < 2;
        int64_t size = ring ? 5 : 4, copies = 200;
        cel_csr w = chain(copies, size, ring, both);
        cel_model m = chain_model(both);
        cel_relations relations;
        cel_sample_options o;
        cel_mat x;
        double truth[10];
        memset(&o, 0, sizeof o);
        CHECK(test_relations(&relations, w.rows, &w, NULL, NULL));
        o.seed = 5;
        o.sweeps = 300;
        CHECK(cel_mat_new(copies * size, 2, &x) == CEL_OK);
        cel_sample_uniform(1, 0, 0, x);
        transfer(&m, both, size, ring, truth);
        compare(&m, &relations, o, x, size, truth, 4.5);
        cel_mat_free(&x);
        cel_model_free(&m);
        cel_csr_free(&w);
        cel_relations_free(&relations);
    }
}

/* Held values keep their bits and the rest has the conditional law; a frozen cell keeps its row. */
static void held(void)
{
    double s[] = {2.5}, truth[32], dose = 0.5;
    int64_t i, j;
    int orthant;
    for (orthant = 0; orthant < 2; orthant++) {
        cel_model m = forces(8, 3, 1, s, 1);
        cel_sample_options o;
        cel_mat x, before;
        uint8_t *hold = (uint8_t *)calloc(600 * 3, 1), *frozen = (uint8_t *)calloc(600, 1);
        memset(&o, 0, sizeof o);
        o.domain.orthant = orthant;
        o.domain.hold = hold;
        CHECK(cel_mat_new(600, 3, &x) == CEL_OK && cel_mat_new(600, 3, &before) == CEL_OK);
        cel_sample_uniform(1, 0, orthant, x);
        for (i = 0; i < 600; i++) {
            double r = sqrt(1 - dose * dose) / cel_vec_nrm2(x.data + i * x.stride + 1, 2);
            hold[3 * i] = 1;
            x.data[i * x.stride] = (cel_real)dose;
            for (j = 1; j < 3; j++) x.data[i * x.stride + j] = (cel_real)(r * (double)x.data[i * x.stride + j]);
        }
        quadrature(&m, orthant, dose, truth);
        compare(&m, alone(x.rows), o, x, 1, truth, 4.5);
        CHECK(cel_mat_copy(x, before) == CEL_OK);
        for (i = 0; i < 600; i += 2) frozen[i] = 1;
        hold[3] = hold[4] = hold[5] = 1;
        o.domain.frozen = frozen;
        o.sweeps = 20;
        CHECK(cel_sample_run(&m, alone(x.rows), &o, x, NULL, NULL, NULL) == CEL_OK);
        for (i = 0; i < 600; i++) {
            int64_t kept = frozen[i] || i == 1 ? 3 : 1;
            CHECK(!memcmp(x.data + i * x.stride, before.data + i * x.stride, (size_t)kept * sizeof(cel_real)));
            if (kept == 1)
                CHECK(memcmp(x.data + i * x.stride, before.data + i * x.stride, 3 * sizeof(cel_real)) != 0);
            NEAR(cel_vec_nrm2(x.data + i * x.stride, 3), 1, 1e-6);
        }
        free(hold);
        free(frozen);
        cel_mat_free(&x);
        cel_mat_free(&before);
        cel_model_free(&m);
    }
}

/* Two genes, one held: the other has two values only, with known odds. */
static void one_free_value(void)
{
    double s[] = {1}, dose = 0.6, free_value = 0.8, truth[10], up;
    cel_model m = forces(2, 2, 1, s, 0.6);
    cel_sample_options o;
    cel_mat x, f = cel_model_force(&m, 0);
    uint8_t hold[800];
    int64_t i;
    memset(&o, 0, sizeof o);
    memset(truth, 0, sizeof truth);
    CHECK(cel_mat_new(400, 2, &x) == CEL_OK);
    for (i = 0; i < 400; i++) {
        hold[2 * i] = 1;
        hold[2 * i + 1] = 0;
        x.data[i * x.stride] = (cel_real)dose;
        x.data[i * x.stride + 1] = (cel_real)free_value;
    }
    o.domain.hold = hold;
    up = 1 / (1 + exp(-2 * free_value * ((double)m.field[1] + 2 * dose * (double)f.data[1])));
    truth[0] = dose;
    truth[1] = free_value * (2 * up - 1);
    truth[2] = dose * dose;
    truth[3] = truth[4] = dose * truth[1];
    truth[5] = free_value * free_value;
    compare(&m, alone(x.rows), o, x, 1, truth, 4.5);
    cel_mat_free(&x);
    cel_model_free(&m);
}

static void same_bits(const cel_model *m, const cel_relations *relations, int orthant, int64_t cells)
{
    cel_mat x[2];
    int k;
    for (k = 0; k < 2; k++) {
        cel_sample_options o;
        memset(&o, 0, sizeof o);
        o.seed = 4;
        o.domain.orthant = orthant;
        o.sweeps = 4;
        o.warmup = 4;
#if defined(_OPENMP)
        omp_set_num_threads(1 + 2 * k);
#endif
        CHECK(cel_mat_new(cells, m->genes, &x[k]) == CEL_OK);
        cel_sample_uniform(2, 0, orthant, x[k]);
        CHECK(cel_sample_run(m, relations, &o, x[k], NULL, NULL, NULL) == CEL_OK);
        CHECK(cel_ascent_run(m, relations, NULL, x[k], NULL, NULL) == CEL_OK);
    }
    CHECK(!memcmp(x[0].data, x[1].data, (size_t)(cells * m->genes) * sizeof(cel_real)));
    cel_mat_free(&x[0]);
    cel_mat_free(&x[1]);
}

static void threads_give_the_same_bits(void)
{
    double s[] = {3, 0.5};
    cel_model m = forces(5, 30, 2, s, 0.5);
    cel_csr w = torus(16);
    cel_relations relations;
    int threads = cel_threads();
    CHECK(test_relations(&relations, w.rows, &w, NULL, NULL));
    same_bits(&m, &relations, 0, 256);
    same_bits(&m, &relations, 1, 256);
#if defined(_OPENMP)
    omp_set_num_threads(threads);
#endif
    (void)threads;
    cel_csr_free(&w);
    cel_relations_free(&relations);
    cel_model_free(&m);
}

/* Many genes and cells: the step is found, and rows keep their length. */
static void large_tissue(void)
{
    double s[] = {3, 0.5}, trace[40];
    cel_model m = forces(6, 100, 2, s, 0);
    cel_csr w = torus(60);
    cel_relations relations;
    cel_sample_options o;
    cel_sample_report report;
    cel_mat x;
    int64_t i;
    CHECK(test_relations(&relations, w.rows, &w, NULL, NULL));
    memset(&o, 0, sizeof o);
    o.sweeps = 40;
    o.warmup = 30;
    CHECK(cel_mat_new(3600, 100, &x) == CEL_OK);
    cel_sample_uniform(2, 0, 0, x);
    OK_OR_RETURN(cel_sample_run(&m, &relations, &o, x, trace, &report, NULL));
    CHECK(report.acceptance > 0.7 && report.acceptance < 0.99);
    CHECK(report.colours >= 2 && report.colours <= 5 && report.recorded == 40);
    CHECK(report.ess > 2);
    for (i = 0; i < 3600; i++) NEAR(cel_vec_nrm2(x.data + i * x.stride, 100), 1, 1e-6);
    cel_mat_free(&x);
    cel_csr_free(&w);
    cel_relations_free(&relations);
    cel_model_free(&m);
}

/* Cells draw by their id: the same tissue without one cell that touches nobody, ids and colours given, goes the same
 * way. */
static void identity_of_cells(void)
{
    double s[] = {2, 1};
    cel_model m = forces(5, 7, 2, s, 0);
    int64_t row[] = {1, 2, 2, 3, 1, 3}, col[] = {2, 1, 3, 2, 3, 1}, row2[6], col2[6], i, t;
    cel_csr w, w2;
    cel_relations relations, relations2;
    cel_sample_options o;
    cel_sample *a, *b;
    cel_mat x = CEL_ZERO, y = CEL_ZERO;
    uint32_t id[] = {1, 2, 3};
    int32_t colour[4], colours;
    for (i = 0; i < 6; i++) row2[i] = row[i] - 1, col2[i] = col[i] - 1;
    memset(&o, 0, sizeof o);
    CHECK(cel_csr_from_edges(4, 4, 6, row, col, NULL, &w, NULL) == CEL_OK);
    CHECK(cel_csr_from_edges(3, 3, 6, row2, col2, NULL, &w2, NULL) == CEL_OK);
    CHECK(test_relations(&relations, 4, &w, NULL, NULL) && test_relations(&relations2, 3, &w2, NULL, NULL));
    CHECK(cel_mat_new(4, 7, &x) == CEL_OK && cel_mat_new(3, 7, &y) == CEL_OK);
    cel_sample_uniform(3, 0, 0, x);
    CHECK(cel_mat_copy(cel_mat_block(x, 1, 0, 3, 7), y) == CEL_OK);
    CHECK(cel_sample_colour(&relations, NULL, colour, &colours, NULL) == CEL_OK && colours == 3);
    CHECK(colour[0] == 0 && colour[1] == 0 && colour[2] == 1 && colour[3] == 2);
    o.step = 0.1;
    o.domain.colour = colour;
    OK_OR_RETURN(cel_sample_new(&m, &relations, &o, &a, NULL));
    o.domain.colour = colour + 1;
    o.domain.id = id;
    OK_OR_RETURN(cel_sample_new(&m, &relations2, &o, &b, NULL));
    for (t = 0; t < 5; t++) {
        CHECK(cel_sample_sweep(a, x) == CEL_OK && cel_sample_sweep(b, y) == CEL_OK);
        for (i = 0; i < 21; i++) NEAR(x.data[7 + i], y.data[i], 1e-4);
    }
    /* The same stream again gives the same; another does not. */
    cel_sample_restart(b, 0);
    cel_sample_restart(a, 0);
    CHECK(cel_mat_copy(cel_mat_block(x, 1, 0, 3, 7), y) == CEL_OK);
    CHECK(cel_sample_sweep(a, x) == CEL_OK && cel_sample_sweep(b, y) == CEL_OK);
    NEAR(x.data[7], y.data[0], 1e-4);
    cel_sample_restart(b, 1);
    cel_sample_restart(a, 0);
    CHECK(cel_mat_copy(cel_mat_block(x, 1, 0, 3, 7), y) == CEL_OK);
    CHECK(cel_sample_sweep(a, x) == CEL_OK && cel_sample_sweep(b, y) == CEL_OK);
    CHECK(fabs((double)x.data[7] - (double)y.data[0]) > 1e-3);
    cel_sample_free(a);
    cel_sample_free(b);
    cel_mat_free(&x);
    cel_mat_free(&y);
    cel_csr_free(&w);
    cel_csr_free(&w2);
    cel_relations_free(&relations);
    cel_relations_free(&relations2);
    cel_model_free(&m);
}

static void bad_input(void)
{
    double s[] = {1, 1};
    cel_model m = forces(5, 3, 2, s, 0);
    int64_t row[] = {0, 1}, col[] = {1, 0};
    int32_t colour[] = {0, 0, 1};
    cel_csr w;
    cel_relations relations;
    cel_sample_options o;
    cel_sample *sampler;
    cel_error err;
    cel_mat x;
    memset(&o, 0, sizeof o);
    CHECK(cel_csr_from_edges(3, 3, 2, row, col, NULL, &w, NULL) == CEL_OK);
    CHECK(test_relations(&relations, 3, NULL, NULL, NULL));
    /* Two forces, one relation. */
    CHECK(cel_sample_new(&m, &relations, &o, &sampler, &err) == CEL_ERR_SHAPE && !sampler);
    cel_relations_free(&relations);
    CHECK(test_relations(&relations, 3, &w, NULL, NULL));
    colour[0] = colour[1] = 0;
    colour[2] = 1;
    o.domain.colour = colour;
    CHECK(cel_sample_new(&m, &relations, &o, &sampler, &err) == CEL_ERR_DATA && err.cell == 0 && err.offset == -1 && !sampler);
    colour[1] = 7;
    CHECK(cel_sample_new(&m, &relations, &o, &sampler, &err) == CEL_ERR_ARG && err.cell == 1 && err.offset == -1 && !sampler);
    o.domain.colour = NULL;
    CHECK(cel_mat_new(3, 3, &x) == CEL_OK);
    cel_sample_uniform(1, 0, 0, x);
    x.data[3] = -x.data[3] - 1;
    CHECK(cel_sample_run(&m, &relations, &o, x, NULL, NULL, &err) == CEL_ERR_DATA && err.cell == 1 && err.offset == -1);
    cel_sample_uniform(1, 0, 1, x);
    o.domain.orthant = 1;
    x.data[7] = -x.data[7];
    CHECK(cel_sample_run(&m, &relations, &o, x, NULL, NULL, &err) == CEL_ERR_DATA && err.cell == 2 && err.offset == -1 && err.gene == 1);
    cel_mat_free(&x);
    cel_csr_free(&w);
    cel_relations_free(&relations);
    cel_model_free(&m);
}

/* An autoregressive series x_t = a x_(t-1) + noise of unit variance. */
static void autoregressive(double a, int64_t count, double *trace)
{
    cel_rng rng = cel_rng_at(1, 0, 0, 0);
    int64_t i;
    for (i = 0; i < count; i++)
        trace[i] = i ? a * trace[i - 1] + sqrt(1 - a * a) * cel_rng_normal(&rng) : cel_rng_normal(&rng);
}

/* Its ESS is N (1 - a) / (1 + a). */
static void diagnostics(void)
{
    enum { N = 20000 };
    double *trace = (double *)malloc(2 * N * sizeof *trace), ess, rhat, a = 0.6;
    int64_t i;
    autoregressive(a, 2 * N, trace);
    CHECK(cel_sample_diagnose(trace, 2, N, &ess, &rhat) == CEL_OK);
    NEAR_REL(ess, 2 * N * (1 - a) / (1 + a), 0.15);
    NEAR(rhat, 1, 0.002);
    for (i = 0; i < N; i++) trace[i] += 3;
    CHECK(cel_sample_diagnose(trace, 2, N, &ess, &rhat) == CEL_OK);
    CHECK(rhat > 1.5 && ess < 20);
    for (i = 0; i < N; i++) trace[i] = 1;
    CHECK(cel_sample_diagnose(trace, 1, N, &ess, &rhat) == CEL_OK);
    CHECK(isnan(ess) && isnan(rhat));
    CHECK(cel_sample_diagnose(trace, 1, 7, &ess, &rhat) == CEL_OK && isnan(ess));
    free(trace);
}

/* Geyer's initial monotone sequence over all lags of the two halves, one by one: what the averages must not change. */
static double ess_lag_by_lag(const double *trace, int64_t length)
{
    int64_t half = length / 2, t, lag;
    double mean[2] = {0, 0}, at[2], between, within = 0, variance = 0, sum = 0, last = 1e300;
    int c, k;
    for (c = 0; c < 2; c++)
        for (t = 0; t < half; t++) mean[c] += trace[c * half + t] / (double)half;
    between = (mean[0] - mean[1]) * (mean[0] - mean[1]) / 2;
    for (lag = 0; lag + 1 < half; lag += 2) {
        double pair;
        for (k = 0; k < 2; k++)
            for (at[k] = 0, c = 0; c < 2; c++)
                for (t = 0; t + lag + k < half; t++)
                    at[k] += (trace[c * half + t] - mean[c]) * (trace[c * half + t + lag + k] - mean[c]) /
                             (2 * (double)half);
        if (lag == 0) {
            within = at[0] * (double)half / (double)(half - 1);
            variance = at[0] + between;
        }
        for (pair = 2, k = 0; k < 2; k++) pair -= (within - at[k] * (double)half / (double)(half - 1)) / variance;
        if (!(pair > 0)) break;
        last = pair < last ? pair : last;
        sum += last;
    }
    return (double)length / (2 * sum - 1);
}

/* A trace of 100,000 in time linear in its length: 8.7 s in version 0.1.0. */
static void H10_diagnose_is_linear(void)
{
    enum { N = 100000 };
    static const double memory[] = {0.9, 0.99, 0.998};
    double *trace = (double *)malloc(N * sizeof *trace), ess, rhat, best = 1e9;
    int k, round;
    for (k = 0; k < 3; k++) {
        double a = memory[k];
        autoregressive(a, N, trace);
        for (round = 0; round < 3; round++) {
            clock_t start = clock();
            CHECK(cel_sample_diagnose(trace, 1, N, &ess, &rhat) == CEL_OK);
            best = fmin(best, (double)(clock() - start) / CLOCKS_PER_SEC);
        }
        NEAR_REL(ess, N * (1 - a) / (1 + a), k < 2 ? 0.2 : 0.5);
        if (!test_brief) NEAR_REL(ess, ess_lag_by_lag(trace, N), 0.1);
        CHECK(test_brief || best < 0.05);
    }
    free(trace);
}

/* A sampler whose forces changed in place goes on as one that is made with them. */
static void refreshed_forces(void)
{
    double s[] = {2, 0.5}, t[] = {0.5, 1};
    cel_model m = forces(1, 9, 2, s, 0.5), other = forces(2, 9, 2, t, 1);
    cel_csr w = chain(1, 40, 0, 0); /* directed: F and F^T apart */
    cel_relations relations;
    cel_sample_options o = CEL_ZERO;
    cel_sample *a, *b;
    cel_mat x, y;
    int k;
    CHECK(test_relations(&relations, w.rows, &w, NULL, NULL));
    CHECK(cel_mat_new(40, 9, &x) == CEL_OK && cel_mat_new(40, 9, &y) == CEL_OK);
    o.step = 0.1;
    OK_OR_RETURN(cel_sample_new(&m, &relations, &o, &a, NULL));
    OK_OR_RETURN(cel_sample_new(&other, &relations, &o, &b, NULL));
    cel_sample_uniform(1, 0, 0, x);
    for (k = 0; k < 3; k++) CHECK(cel_sample_sweep(a, x) == CEL_OK);
    CHECK(cel_mat_copy(other.force, m.force) == CEL_OK);
    memcpy(m.field, other.field, 9 * sizeof *m.field);
    cel_sample_refresh(a);
    CHECK(cel_mat_copy(x, y) == CEL_OK);
    cel_sample_restart(a, 5);
    cel_sample_restart(b, 5);
    for (k = 0; k < 3; k++) CHECK(cel_sample_sweep(a, x) == CEL_OK && cel_sample_sweep(b, y) == CEL_OK);
    CHECK(!memcmp(x.data, y.data, 40 * 9 * sizeof(cel_real)));
    cel_sample_free(a);
    cel_sample_free(b);
    cel_mat_free(&x);
    cel_mat_free(&y);
    cel_csr_free(&w);
    cel_relations_free(&relations);
    cel_model_free(&m);
    cel_model_free(&other);
}

void suite_sampler(void);
void suite_sampler(void)
{
    RUN(single_cells);
    RUN(free_field);
    RUN(strong_field);
    RUN(chains_and_rings);
    RUN(held);
    RUN(one_free_value);
    RUN(threads_give_the_same_bits);
    RUN(large_tissue);
    RUN(identity_of_cells);
    RUN(bad_input);
    RUN(diagnostics);
    RUN(H10_diagnose_is_linear);
    RUN(refreshed_forces);
}
