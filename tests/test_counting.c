/* Counts as draws of a latent field: modes, covariances, recovery, likelihoods, bits, bad input.
 * SPDX-License-Identifier: MIT */
#include "law.h"

/* A tissue of the law seen through counts: side x side cells of a torus, n genes, so many counts a cell. */
typedef struct seen {
    cel_relations relations;
    cel_model truth;
    cel_mat x, counts;
    int32_t *group;
} seen;

static seen see(int64_t side, int64_t n, double counts, uint64_t seed)
{
    seen s = CEL_ZERO;
    cel_csr w = torus(side);
    cel_sample_options sample = CEL_ZERO;
    double spread[2] = {4, 0.6}, total = 0, *mu = (double *)malloc((size_t)n * sizeof *mu);
    int64_t i, k, S = side * side;
    cel_rng rng = cel_rng_at(seed, 1, 0, 0);
    CHECK(cel_relations_new(S, &s.relations) == CEL_OK);
    CHECK(cel_relations_add(&s.relations, "inter", &w, NULL) == CEL_OK);
    s.truth = forces(seed, n, 2, spread, 0);
    CHECK(cel_mat_new(S, n, &s.x) == CEL_OK && cel_mat_new(S, n, &s.counts) == CEL_OK);
    cel_sample_uniform(seed, 0, 0, s.x);
    sample.seed = seed;
    sample.sweeps = sample.thin = 80;
    sample.warmup = 40;
    CHECK(cel_sample_run(&s.truth, &s.relations, &sample, s.x, NULL, NULL, NULL) == CEL_OK);
    for (k = 0; k < n; k++) total += mu[k] = exp(2 * cel_rng_uniform(&rng));
    s.group = (int32_t *)malloc((size_t)S * sizeof *s.group);
    for (i = 0; i < S; i++) {
        double size = exp(0.4 * cel_rng_normal(&rng)) * counts / total;
        s.group[i] = (int32_t)(4 * (4 * (i / side) / side) + 4 * (i % side) / side);
        for (k = 0; k < n; k++)
            s.counts.data[i * n + k] = (cel_real)cel_rng_poisson(
                &rng, size * mu[k] * exp(0.7 * sqrt((double)n) * (double)s.x.data[i * n + k]));
    }
    free(mu);
    return s;
}
static void drop(seen *s)
{
    cel_relations_free(&s->relations);
    cel_model_free(&s->truth);
    cel_mat_free(&s->x);
    cel_mat_free(&s->counts);
    free(s->group);
}
static cel_count_data data_of(const seen *s)
{
    cel_count_data d = CEL_ZERO;
    d.relations = &s->relations;
    d.counts = s->counts;
    return d;
}

static double agreement(cel_mat a, cel_mat b)
{
    double x = 0, y = 0, xx = 0, yy = 0, xy = 0, m = 0;
    int64_t i, j;
    for (i = 0; i < a.rows; i++)
        for (j = i + 1; j < a.rows; j++) {
            double p = (double)a.data[i * a.stride + j], q = (double)b.data[i * b.stride + j];
            x += p, y += q, xx += p * p, yy += q * q, xy += p * q, m++;
        }
    return (xy - x * y / m) / sqrt((xx - x * x / m) * (yy - y * y / m));
}

static void forces_come_back(void)
{
    seen s = see(30, 12, 400, 5);
    cel_count_data d = data_of(&s);
    cel_count_options o = CEL_ZERO;
    cel_count_result fit;
    cel_score_result plain = CEL_ZERO;
    cel_mat intra, inter;
    int64_t i, wrong = 0, called = 0, n = 12;
    o.group = s.group;
    OK_OR_RETURN(cel_count_fit(&d, &o, &fit, NULL));
    intra = cel_model_part(fit.report.partial, 0);
    inter = cel_model_part(fit.report.partial, 1);
    CHECK(agreement(intra, cel_model_force(&s.truth, 0)) > 0.75);
    CHECK(agreement(inter, cel_model_force(&s.truth, 1)) > 0.5);
    CHECK(fit.report.converged && fit.report.groups == 16 && fit.report.contacts[1] == 4 * 900);
    for (i = 0; i < n * n; i++) { /* what is called has the right sign */
        double f = (double)s.truth.force.data[i], p = (double)fit.report.partial.data[i];
        if (!((double)fit.report.q.data[i] < 0.05)) continue;
        called++;
        wrong += f * p < 0;
    }
    CHECK(called > 0 && wrong * 10 <= called);
    CHECK(cel_mat_dot(fit.report.se, fit.report.se) > 0);
    /* rows are of unit length and without the size direction, and go back to rates */
    for (i = 0; i < 900; i += 97) {
        double length = 0, along = 0;
        int64_t k;
        for (k = 0; k < n; k++) {
            double v = (double)fit.rows.data[i * n + k];
            length += v * v;
            along += v * fit.scaling.size[k];
        }
        NEAR(length, 1, 1e-5);
        NEAR(along, 0, 1e-5);
    }
    cel_count_free(&fit);
    cel_score_slide_free(&plain);
    drop(&s);
}

/* The law's L (n x n) from a result, in units of z. */
static double law_at(const cel_count_result *fit, int64_t n, int64_t a, int64_t b)
{
    const double *u = fit->scaling.size;
    double f = (double)cel_model_force(&fit->model, 0).data[a * n + b] / (double)(n - 1);
    return -2 * f + (a == b) - u[a] * u[b] + 0.05 * u[a] * u[b];
}

/* z of a cell, from its row. */
static double latent(const cel_count_result *fit, int64_t n, int64_t i, int64_t k)
{
    const cel_scaling_cell *c = fit->scaling.cell + i;
    return c->length * (double)fit->rows.data[i * n + k] + c->size * fit->scaling.size[k];
}

/* At the mode the gradient s (y - rate) - L z + 2 G N is zero; errors are those of the dense inverse of L + s^2 rate,
 * about: by a bin's mean rate. */
static void modes_and_errors(void)
{
    enum { N = 5 };
    seen s = see(16, N, 200, 3);
    cel_count_data d = data_of(&s);
    cel_count_options law = CEL_ZERO;
    cel_count_result fit, found;
    const cel_csr *w = s.relations.at[1].w;
    int64_t i, a, b, e;
    double ratio = 0, worst = 0;
    OK_OR_RETURN(cel_count_fit(&d, NULL, &fit, NULL));
    law.model = &fit.model;
    law.scaling = &fit.scaling;
    OK_OR_RETURN(cel_count_fit(&d, &law, &found, NULL));
    for (i = 0; i < s.counts.rows; i++) {
        cel_mat m, inverse;
        const cel_scaling_cell *c = fit.scaling.cell + i;
        CHECK(cel_mat_new(N, N, &m) == CEL_OK && cel_mat_new(N, N, &inverse) == CEL_OK);
        found.model = fit.model;
        for (a = 0; a < N; a++) {
            double sa = fit.scaling.scale[a], z = latent(&found, N, i, a);
            double rate = c->total / fit.scaling.target * exp(found.scaling.centre[a] + sa * z), gradient;
            gradient = sa * ((double)s.counts.data[i * N + a] - rate);
            for (b = 0; b < N; b++) {
                double g = (double)cel_model_force(&fit.model, 1).data[a * N + b] / (N - 1), near = 0;
                for (e = w->start[i]; e < w->start[i + 1]; e++)
                    near += (double)w->value[e] * latent(&found, N, w->index[e], b);
                gradient += 2 * g * near - law_at(&found, N, a, b) * latent(&found, N, i, b);
                m.data[a * N + b] = (cel_real)(law_at(&found, N, a, b) + (a == b ? sa * sa * rate : 0.0));
            }
            inverse.data[a * N + a] = 1;
            worst = fmax(worst, fabs(gradient));
        }
        CHECK(cel_mat_cholesky(m) == CEL_OK && cel_mat_cholesky_solve(m, inverse) == CEL_OK);
        for (a = 0; a < N; a++)
            ratio += (double)found.error.data[i * N + a] /
                     (fit.scaling.scale[a] * sqrt((double)inverse.data[a * N + a])) / (double)(N * s.counts.rows);
        cel_mat_free(&m);
        cel_mat_free(&inverse);
    }
    CHECK(worst < 0.02);
    NEAR(ratio, 1, 0.1);
    memset(&found.model, 0, sizeof found.model);
    cel_count_free(&found);
    cel_count_free(&fit);
    drop(&s);
}

/* One gene more than two, no neighbours: the likelihood against an integral over a grid of z. */
static void likelihood_is_an_integral(void)
{
    enum { N = 3, CELLS = 40, STEPS = 60 };
    double scale[N] = {0.7, 0.8, 0.6}, centre[N] = {1.5, 2, 1}, size[N], length = 0, each[CELLS], total[CELLS];
    cel_relations alone;
    cel_model model;
    cel_scaling s = CEL_ZERO;
    cel_count_data d = CEL_ZERO;
    cel_count_options law = CEL_ZERO;
    cel_count_result found, of = CEL_ZERO;
    cel_rng rng = cel_rng_at(1, 2, 3, 4);
    int64_t i, k, a, b;
    double off = 0;
    for (k = 0; k < N; k++) length += 1 / (scale[k] * scale[k]);
    for (k = 0; k < N; k++) size[k] = 1 / (scale[k] * sqrt(length));
    OK_OR_RETURN(cel_relations_new(CELLS, &alone));
    OK_OR_RETURN(cel_model_new(N, 1, 0, &model));
    OK_OR_RETURN(cel_mat_new(CELLS, N, &d.counts));
    for (i = 0; i < CELLS; i++) {
        total[i] = 100;
        for (k = 0; k < N; k++)
            d.counts.data[i * N + k] = (cel_real)cel_rng_poisson(&rng, exp(centre[k] + scale[k] * cel_rng_normal(&rng)));
    }
    s.kind = CEL_KIND_COUNTS;
    s.log = CEL_LOG_LATENT;
    s.genes = N;
    s.groups = 1;
    s.target = 100;
    s.centre = centre;
    s.scale = scale;
    s.size = size;
    d.relations = &alone;
    d.total = total;
    law.model = &model;
    law.scaling = &s;
    law.each = each;
    OK_OR_RETURN(cel_count_fit(&d, &law, &found, NULL));
    of.model = model;
    of.scaling = s;
    for (i = 0; i < CELLS; i++) {
        double sum = 0, det = 1, l[N][N], step = 12.0 / STEPS, wide = 8;
        int64_t g[N];
        for (a = 0; a < N; a++)
            for (b = 0; b < N; b++) l[a][b] = law_at(&of, N, a, b);
        det = l[0][0] * (l[1][1] * l[2][2] - l[1][2] * l[2][1]) - l[0][1] * (l[1][0] * l[2][2] - l[1][2] * l[2][0]) +
              l[0][2] * (l[1][0] * l[2][1] - l[1][1] * l[2][0]);
        step = 2 * wide / STEPS;
        for (g[0] = 0; g[0] <= STEPS; g[0]++)
            for (g[1] = 0; g[1] <= STEPS; g[1]++)
                for (g[2] = 0; g[2] <= STEPS; g[2]++) {
                    double z[N], v = 0;
                    for (k = 0; k < N; k++) z[k] = -wide + step * (double)g[k];
                    for (a = 0; a < N; a++) {
                        double y = (double)d.counts.data[i * N + a], log_rate = centre[a] + scale[a] * z[a];
                        v += y * log_rate - exp(log_rate) - lgamma(y + 1);
                        for (b = 0; b < N; b++) v -= 0.5 * z[a] * l[a][b] * z[b];
                    }
                    sum += exp(v);
                }
        off += (each[i] - log(sum * step * step * step * sqrt(det) / pow(2 * PI, 1.5))) / CELLS;
    }
    NEAR(off, 0, 0.1);
    cel_count_free(&found);
    cel_mat_free(&d.counts);
    cel_model_free(&model);
    cel_relations_free(&alone);
}

/* Counts that were not looked at are better told with neighbours and other genes than by the mean; a law that is true
 * beats none; the same bits for any number of threads; means that are not known are found. */
static void laws_compare(void)
{
    seen s = see(24, 8, 300, 7), other = see(24, 8, 300, 7);
    cel_count_data d = data_of(&s);
    cel_count_options o = CEL_ZERO;
    cel_count_result fit, again, found;
    cel_model none;
    double *each = (double *)malloc((size_t)s.counts.rows * sizeof *each), sum[2] = {0, 0};
    int64_t i, k;
#if defined(_OPENMP)
    int threads = omp_get_max_threads();
    omp_set_num_threads(3);
#endif
    o.group = s.group;
    OK_OR_RETURN(cel_count_fit(&d, &o, &fit, NULL));
#if defined(_OPENMP)
    omp_set_num_threads(1);
#endif
    OK_OR_RETURN(cel_count_fit(&d, &o, &again, NULL));
    CHECK(!memcmp(fit.model.force.data, again.model.force.data, (size_t)(2 * 8 * 8) * sizeof(cel_real)));
    CHECK(!memcmp(fit.report.se.data, again.report.se.data, (size_t)(2 * 8 * 8) * sizeof(cel_real)));
    CHECK(!memcmp(fit.rows.data, again.rows.data, (size_t)(8 * s.counts.rows) * sizeof(cel_real)));
#if defined(_OPENMP)
    omp_set_num_threads(threads);
#endif
    cel_count_free(&again);
    OK_OR_RETURN(cel_model_new(8, 2, 0, &none));
    o.group = NULL;
    o.scaling = &fit.scaling;
    o.each = each;
    for (k = 0; k < 2; k++) {
        o.model = k ? &none : &fit.model;
        OK_OR_RETURN(cel_count_fit(&d, &o, &found, NULL));
        for (i = 0; i < s.counts.rows; i++) sum[k] += each[i];
        cel_count_free(&found);
    }
    CHECK(sum[0] > sum[1] + 100);
    o.model = &fit.model;
    o.each = NULL;
    for (k = 0; k < 8; k++) again.scaling = fit.scaling; /* the same means are found where they are not given */
    again.scaling.centre = (double *)malloc(8 * sizeof(double));
    for (k = 0; k < 8; k++) again.scaling.centre[k] = NAN;
    o.scaling = &again.scaling;
    OK_OR_RETURN(cel_count_fit(&d, &o, &found, NULL));
    for (k = 0; k < 8; k++) NEAR(found.scaling.centre[k], fit.scaling.centre[k], 0.05);
    free(again.scaling.centre);
    cel_count_free(&found);
    cel_count_free(&fit);
    cel_model_free(&none);
    free(each);
    drop(&s);
    drop(&other);
}

static void scalings_go_back(void)
{
    seen s = see(12, 4, 300, 2);
    cel_count_data d = data_of(&s);
    cel_count_result fit;
    cel_scaling_cell cell;
    cel_mat q;
    cel_error err;
    int32_t gene = 2;
    double down = 0.1, before;
    cel_real row[4];
    OK_OR_RETURN(cel_count_fit(&d, NULL, &fit, NULL));
    CHECK(cel_mat_new(1, 4, &q) == CEL_OK);
    memcpy(row, fit.rows.data, sizeof row);
    cell = fit.scaling.cell[0];
    CHECK(cel_scaling_values(&fit.scaling, CEL_UNIT_TYPICAL, cel_mat_view(row, 1, 4), &cell, q) == CEL_OK);
    before = (double)q.data[2];
    CHECK(cel_scaling_hold(&fit.scaling, CEL_UNIT_FOLD, 1, &gene, &down, row, &cell, NULL) == CEL_OK);
    CHECK(cel_scaling_values(&fit.scaling, CEL_UNIT_TYPICAL, cel_mat_view(row, 1, 4), &cell, q) == CEL_OK);
    NEAR_REL((double)q.data[2], 0.1 * before, 1e-3);
    down = 0; /* nothing has no logarithm: four deviations down */
    CHECK(cel_scaling_hold(&fit.scaling, CEL_UNIT_TYPICAL, 1, &gene, &down, row, &cell, NULL) == CEL_OK);
    CHECK(cel_scaling_values(&fit.scaling, CEL_UNIT_LOG, cel_mat_view(row, 1, 4), &cell, q) == CEL_OK);
    NEAR((double)q.data[2], fit.scaling.centre[2] - 4 * fit.scaling.scale[2], 1e-3);
    CHECK(cel_scaling_apply(&fit.scaling, s.counts, NULL, NULL, fit.scaling.cell, &err) == CEL_ERR_ARG);
    cel_mat_free(&q);
    cel_count_free(&fit);
    drop(&s);
}

/* Cells in another order (a torus turned by half is the same graph), an extreme one first or last: the same fit. */
static void order_of_cells_is_nothing(void)
{
    seen s = see(12, 4, 300, 8);
    const int64_t S = 144, n = 4;
    cel_count_data d = data_of(&s);
    cel_count_options o = CEL_ZERO;
    cel_count_result fit[2];
    int64_t i, k;
    int turn;
    for (k = 0; k < n; k++) s.counts.data[k] *= (cel_real)(k == 1 ? 9 : 2);
    o.group = s.group;
    o.ridge = 0.1;
    for (turn = 0; turn < 2; turn++) {
        OK_OR_RETURN(cel_count_fit(&d, &o, fit + turn, NULL));
        for (i = 0; i < S / 2; i++) {
            int32_t g = s.group[i];
            s.group[i] = s.group[S - 1 - i];
            s.group[S - 1 - i] = g;
            for (k = 0; k < n; k++) {
                cel_real *a = s.counts.data + i * n + k, *b = s.counts.data + (S - 1 - i) * n + k, y = *a;
                *a = *b;
                *b = y;
            }
        }
    }
    for (i = 0; i < 2 * n * n; i++) {
        NEAR(fit[0].model.force.data[i], fit[1].model.force.data[i], 0.01);
        NEAR_REL(1 + fit[0].report.se.data[i], 1 + fit[1].report.se.data[i], 0.01);
    }
    for (turn = 0; turn < 2; turn++) cel_count_free(fit + turn);
    drop(&s);
}

static void bad_input(void)
{
    seen s = see(8, 4, 100, 1);
    cel_count_data d = data_of(&s);
    cel_count_options o = CEL_ZERO;
    cel_count_result fit;
    cel_error err;
    cel_real kept = s.counts.data[4 * 9 + 2];
    int64_t i;
    int32_t *level = (int32_t *)calloc(64, sizeof *level);
    s.counts.data[4 * 9 + 2] = -1;
    CHECK(cel_count_fit(&d, NULL, &fit, &err) == CEL_ERR_DATA && err.cell == 9 && err.offset == -1 && err.gene == 2);
    s.counts.data[4 * 9 + 2] = (cel_real)NAN;
    CHECK(cel_count_fit(&d, NULL, &fit, &err) == CEL_ERR_DATA && err.cell == 9 && err.offset == -1 && err.gene == 2);
    CHECK(fit.rows.data == NULL && fit.model.force.data == NULL && fit.scaling.cell == NULL);
    s.counts.data[4 * 9 + 2] = kept;
    o.ridge = -1;
    CHECK(cel_count_fit(&d, &o, &fit, &err) == CEL_ERR_ARG);
    o.ridge = 0;
    level[5] = -1;
    d.level = level;
    CHECK(cel_count_fit(&d, &o, &fit, &err) == CEL_ERR_DATA && err.cell == 5 && err.offset == -1);
    d.level = NULL;
    memset(level, 0, 64 * sizeof *level);
    o.group = level;
    CHECK(cel_count_fit(&d, &o, &fit, &err) == CEL_ERR_DATA);
    o.group = NULL;
    for (i = 0; i < 64; i++) s.counts.data[4 * i + 1] = 0;
    CHECK(cel_count_fit(&d, &o, &fit, &err) == CEL_ERR_DATA && err.gene == 1);
    d.counts.rows = 63;
    CHECK(cel_count_fit(&d, &o, &fit, &err) == CEL_ERR_SHAPE);
    d.counts.rows = 64;
    d.counts.cols = 2;
    CHECK(cel_count_fit(&d, &o, &fit, &err) == CEL_ERR_ARG);
    free(level);
    drop(&s);
}

void suite_counting(void);
void suite_counting(void)
{
    RUN(modes_and_errors);
    RUN(likelihood_is_an_integral);
    RUN(forces_come_back);
    RUN(laws_compare);
    RUN(scalings_go_back);
    RUN(order_of_cells_is_nothing);
    RUN(bad_input);
}
