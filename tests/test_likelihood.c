/* The fit by sampling: exact moments of small systems, known forces, threads, restarts, what is refused.
 * SPDX-License-Identifier: MIT */
#include "law.h"

static int inside, asked;
static double lies; /* the average of (exact - observed)^2 / se^2 */

/* One entry: the exact moment of the fitted law against the observed one, in Monte-Carlo errors. */
static void judge(double exact, double observed, double se)
{
    double z = (exact - observed) / se;
    asked++;
    inside += fabs(z) <= 2;
    lies += z * z;
}

/* X^T W X / S, W NULL: the identity. */
static void moments_of(const cel_relations *r, cel_mat x, int64_t relation, double *out)
{
    cel_moments m;
    int64_t i;
    CHECK(cel_moments_new(x.cols, r, &m) == CEL_OK && cel_moments_add(&m, r, x, NULL, 0, NULL) == CEL_OK);
    CHECK(cel_moments_cross(&m, m.block[relation], out) == CEL_OK);
    for (i = 0; i < x.cols * x.cols; i++) out[i] /= (double)x.rows;
    cel_moments_free(&m);
}

/* Cells alone, three genes: the fitted law's moments by quadrature are the observed ones, to Monte-Carlo error. */
static void exact_alone(void)
{
    enum { CELLS = 400 };
    const cel_relations *relations = alone(CELLS);
    double s[] = {2.0}, truth[21], seen[9];
    uint64_t seed;
    int orthant;
    for (orthant = 0; orthant < 2; orthant++)
        for (seed = 1; seed <= 5; seed++) {
            cel_model law = forces(seed, 3, 1, s, orthant ? 0 : 0.5), fit;
            cel_likelihood_options o = CEL_ZERO;
            cel_likelihood_report r;
            cel_sample_options so = CEL_ZERO;
            cel_mat x;
            int i, j;
            CHECK(cel_mat_new(CELLS, 3, &x) == CEL_OK);
            so.seed = seed;
            so.stream = 1;
            so.domain.orthant = orthant;
            cel_sample_uniform(seed, 0, orthant, x);
            CHECK(cel_sample_run(&law, relations, &so, x, NULL, NULL, NULL) == CEL_OK);
            o.seed = seed;
            o.field = !orthant;
            o.sweeps = 2;
            o.domain.orthant = orthant;
            CHECK(cel_likelihood_fit(relations, x, &o, &fit, &r, NULL) == CEL_OK);
            moments_of(relations, x, 0, seen);
            quadrature(&fit, orthant, -1, truth);
            for (i = 0; i < 3; i++)
                for (j = i; j < 3; j++) judge(truth[3 + 3 * i + j], seen[3 * i + j], (double)r.se.data[3 * i + j]);
            CHECK(r.gap < 3 * r.noise && r.acceptance > 0.1);
            for (i = 0; i < 3 && !orthant; i++) {
                double mean = 0;
                int64_t k;
                for (k = 0; k < CELLS; k++) mean += (double)x.data[3 * k + i] / CELLS;
                NEAR(truth[i], mean, 0.1); /* fields are learnt slowly */
            }
            cel_likelihood_report_free(&r);
            cel_model_free(&law);
            cel_model_free(&fit);
            cel_mat_free(&x);
        }
}

/* Chains of five cells, two genes, W symmetric and directed: the same by transfer matrices. */
static void exact_chains(void)
{
    enum { COPIES = 60, LONG = 5, CELLS = COPIES * LONG };
    double truth[10], seen[4];
    int both;
    for (both = 0; both < 2; both++) {
        cel_csr w = chain(COPIES, LONG, 1, both);
        cel_relations relations;
        cel_model law = chain_model(both), fit;
        uint64_t seed;
        CHECK(test_relations(&relations, CELLS, &w, NULL, NULL));
        for (seed = 1; seed <= 5; seed++) {
            cel_likelihood_options o = CEL_ZERO;
            cel_likelihood_report r;
            cel_sample_options so = CEL_ZERO;
            cel_mat x;
            int i, j;
            CHECK(cel_mat_new(CELLS, 2, &x) == CEL_OK);
            so.seed = seed;
            so.stream = 1;
            cel_sample_uniform(seed, 0, 0, x);
            CHECK(cel_sample_run(&law, &relations, &so, x, NULL, NULL, NULL) == CEL_OK);
            o.seed = seed;
            o.field = 1;
            o.sweeps = 2;
            CHECK(cel_likelihood_fit(&relations, x, &o, &fit, &r, NULL) == CEL_OK);
            transfer(&fit, both, LONG, 1, truth);
            moments_of(&relations, x, 1, seen);
            for (i = 0; i < 2; i++)
                for (j = 0; j < 2; j++)
                    judge(both ? truth[6 + 2 * i + j] + truth[6 + 2 * j + i] : truth[6 + 2 * i + j], seen[2 * i + j],
                          (double)r.se.data[4 + 2 * i + j]);
            cel_likelihood_report_free(&r);
            cel_model_free(&fit);
            cel_mat_free(&x);
        }
        cel_model_free(&law);
        cel_csr_free(&w);
        cel_relations_free(&relations);
    }
}

/* A tissue of known forces on a torus, and what a fit of it is compared by. */
enum { SIDE = 24, GENES = 8, CELLS = SIDE * SIDE };
static cel_csr w;
static cel_relations relations;
static cel_model law;
static cel_mat tissue;

static void make_tissue(void)
{
    double s[] = {2.5, 0.5};
    cel_sample_options so = CEL_ZERO;
    w = torus(SIDE);
    CHECK(test_relations(&relations, CELLS, &w, NULL, NULL));
    law = forces(5, GENES, 2, s, 0);
    CHECK(cel_mat_new(CELLS, GENES, &tissue) == CEL_OK);
    so.seed = 3;
    so.stream = 1;
    cel_sample_uniform(3, 0, 0, tissue);
    CHECK(cel_sample_run(&law, &relations, &so, tissue, NULL, NULL, NULL) == CEL_OK);
}
static double agree(const cel_model *a, const cel_model *b, int64_t r)
{
    cel_mat f = cel_model_force(a, r), g = cel_model_force(b, r);
    double x = 0, y = 0, xy = 0;
    int64_t i, j;
    for (i = 0; i < f.rows; i++)
        for (j = 0; j < i; j++) {
            double p = (double)f.data[i * f.stride + j], q = (double)g.data[i * g.stride + j];
            x += p * p;
            y += q * q;
            xy += p * q;
        }
    return xy / sqrt(x * y);
}

static void known_forces(void)
{
    cel_model score, fit, sparse, near;
    cel_likelihood_options o = CEL_ZERO;
    cel_likelihood_report r;
    int64_t i, zeros = 0;
    OK_OR_RETURN(cel_score_fit(&relations, tissue, NULL, &score, NULL, NULL, NULL));
    OK_OR_RETURN(cel_likelihood_fit(&relations, tissue, &o, &fit, &r, NULL));
    CHECK(agree(&fit, &law, 0) > agree(&score, &law, 0) - 0.03 && agree(&fit, &law, 0) > 0.85);
    CHECK(agree(&fit, &law, 1) > agree(&score, &law, 1) - 0.05);
    CHECK(r.steps > 75 && r.steps <= 150 && r.trace.rows == 150 && r.ess > 0 && r.partial.data);
    /* Misfit and its error are of one size, and most entries within two of theirs: neither is made small or large. */
    CHECK(r.gap > 0.1 * r.noise && r.gap < 2.5 * r.noise && r.within > 0.7);
    cel_likelihood_report_free(&r);
    /* Priors: a ridge shrinks, l1 makes zeros. */
    o.ridge = 2;
    OK_OR_RETURN(cel_likelihood_fit(&relations, tissue, &o, &near, NULL, NULL));
    CHECK(cel_mat_dot(near.force, near.force) < 0.5 * cel_mat_dot(fit.force, fit.force));
    o.ridge = 0;
    o.l1 = 0.3;
    OK_OR_RETURN(cel_likelihood_fit(&relations, tissue, &o, &sparse, NULL, NULL));
    for (i = 0; i < GENES * GENES; i++) zeros += fabs((double)sparse.force.data[GENES * GENES + i]) < 0.02;
    CHECK(zeros > GENES * GENES / 4);
    cel_model_free(&score);
    cel_model_free(&fit);
    cel_model_free(&near);
    cel_model_free(&sparse);
}

/* The same bits for any number of threads; a fit that goes on from its own chains and forces; a stop. */
static int stop_at(void *user, const char *stage, int64_t done, int64_t total, double at)
{
    (void)stage;
    return done >= *(int *)user || done > total || !(at >= 0);
}
static void goes_on(void)
{
    cel_likelihood_options o = CEL_ZERO;
    cel_likelihood_report r;
    cel_model a, b;
    cel_error err;
    int last = 7;
    OK_OR_RETURN(cel_mat_new(2 * CELLS, GENES, &o.chain));
    o.seed = 4;
    o.steps = 12;
    o.chains = 2;
    OK_OR_RETURN(cel_likelihood_fit(&relations, tissue, &o, &a, NULL, NULL));
#if defined(_OPENMP)
    {
        int threads = omp_get_max_threads();
        omp_set_num_threads(threads > 1 ? 1 : 3);
        OK_OR_RETURN(cel_likelihood_fit(&relations, tissue, &o, &b, NULL, NULL));
        omp_set_num_threads(threads);
        CHECK(!memcmp(a.force.data, b.force.data, sizeof(cel_real) * 2 * GENES * GENES));
        cel_model_free(&b);
    }
#endif
    o.start = &a;
    o.resume = 1;
    OK_OR_RETURN(cel_likelihood_fit(&relations, tissue, &o, &b, &r, NULL));
    CHECK(agree(&b, &a, 0) > 0.9 && r.steps == 12);
    cel_likelihood_report_free(&r);
    cel_model_free(&b);
    o.progress.fn = stop_at;
    o.progress.user = &last;
    CHECK(cel_likelihood_fit(&relations, tissue, &o, &b, &r, &err) == CEL_ERR_STOPPED && !b.force.data && !r.se.data);
    CHECK(err.what && err.status == CEL_ERR_STOPPED);
    cel_model_free(&a);
    cel_mat_free(&o.chain);
}

/* Rows of a plane, centred: forces without a part along what the rows lack, means of slides near 0. */
static void plane(void)
{
    double u[GENES], length = 0;
    int32_t *slide = (int32_t *)calloc(CELLS, sizeof *slide);
    uint8_t *frozen = (uint8_t *)calloc(CELLS, 1);
    cel_likelihood_options o = CEL_ZERO;
    cel_likelihood_report r;
    cel_model fit;
    cel_mat x, f;
    int64_t i, j, k;
    OK_OR_RETURN(cel_mat_new(CELLS, GENES, &x));
    OK_OR_RETURN(cel_mat_copy(tissue, x));
    for (j = 0; j < GENES; j++) length += (double)((j + 1) * (j + 1));
    for (j = 0; j < GENES; j++) u[j] = (double)(j + 1) / sqrt(length);
    for (i = 0; i < CELLS; i++) {
        double along = 0;
        for (j = 0; j < GENES; j++) along += u[j] * (double)x.data[i * GENES + j];
        for (j = 0; j < GENES; j++) x.data[i * GENES + j] -= (cel_real)(along * u[j]);
        slide[i] = i % SIDE >= SIDE / 2;
        frozen[i] = i % 7 == 0;
    }
    for (k = 0; k < 8; k++) { /* unit rows whose slides have mean 0: a tissue of strong forces may have any */
        for (j = 0; j < GENES; j++) {
            double mean[2] = {0, 0};
            for (i = 0; i < CELLS; i++) mean[slide[i]] += (double)x.data[i * GENES + j] / (CELLS / 2);
            for (i = 0; i < CELLS; i++) x.data[i * GENES + j] -= (cel_real)mean[slide[i]];
        }
        OK_OR_RETURN(cel_slide_unit(x, NULL, NULL, NULL));
    }
    OK_OR_RETURN(cel_mat_new(CELLS, GENES, &o.chain));
    o.size = u;
    o.centred = 1;
    o.slide = slide;
    o.domain.frozen = frozen;
    OK_OR_RETURN(cel_likelihood_fit(&relations, x, &o, &fit, &r, NULL));
    for (i = 0; i < CELLS; i += 7)
        for (j = 0; j < GENES; j++) NEAR(o.chain.data[i * GENES + j], x.data[i * GENES + j], 1e-5);
    for (f = cel_model_force(&fit, 1), i = 0; i < GENES; i++) {
        double along = 0, mean[2] = {0, 0};
        for (j = 0; j < GENES; j++) along += u[j] * (double)f.data[i * GENES + j];
        NEAR(along, 0, 1e-4);
        for (j = 0; j < CELLS; j++) mean[slide[j]] += (double)o.chain.data[j * GENES + i] / (CELLS / 2);
        CHECK(fabs(mean[0]) < 0.1 && fabs(mean[1]) < 0.1);
    }
    CHECK(r.partial.data && r.within > 0.5);
    cel_model_free(&fit);
    slide[3] = -1;
    CHECK(cel_likelihood_fit(&relations, x, &o, &fit, NULL, NULL) != CEL_OK && !fit.force.data);
    slide[3] = 0;
    x.data[5 * GENES] += (cel_real)0.01;
    CHECK(cel_likelihood_fit(&relations, x, &o, &fit, NULL, NULL) == CEL_ERR_DATA && !fit.force.data);
    cel_likelihood_report_free(&r);
    cel_mat_free(&o.chain);
    cel_mat_free(&x);
    free(slide);
    free(frozen);
}

static void refused(void)
{
    cel_likelihood_options o = CEL_ZERO;
    cel_likelihood_report r;
    cel_model fit, other;
    cel_error err;
    double u[GENES] = {1};
    cel_mat x = tissue;
    OK_OR_RETURN(cel_model_new(GENES + 1, 2, 0, &other));
    o.start = &other;
    CHECK(cel_likelihood_fit(&relations, x, &o, &fit, &r, &err) == CEL_ERR_SHAPE && !fit.force.data && !r.steps);
    o.start = NULL;
    o.rate = -1;
    CHECK(cel_likelihood_fit(&relations, x, &o, &fit, &r, &err) == CEL_ERR_ARG && err.what);
    o.rate = 0;
    o.steps = 2;
    CHECK(cel_likelihood_fit(&relations, x, &o, &fit, &r, &err) == CEL_ERR_ARG);
    o.steps = 0;
    o.l1 = 1;
    o.size = u;
    CHECK(cel_likelihood_fit(&relations, x, &o, &fit, &r, &err) == CEL_ERR_ARG);
    o.l1 = 0;
    CHECK(cel_likelihood_fit(&relations, x, &o, &fit, &r, &err) == CEL_ERR_DATA && err.cell >= 0);
    o.size = NULL;
    o.resume = 1;
    CHECK(cel_likelihood_fit(&relations, x, &o, &fit, &r, &err) == CEL_ERR_ARG);
    o.resume = 0;
    o.domain.orthant = 1;
    CHECK(cel_likelihood_fit(&relations, x, &o, &fit, &r, &err) == CEL_ERR_DATA && err.cell >= 0 && err.gene >= 0);
    o.domain.orthant = 0;
    x.rows--;
    CHECK(cel_likelihood_fit(&relations, x, &o, &fit, &r, &err) == CEL_ERR_SHAPE);
    cel_model_free(&other);
}

/* What the moments say of genes and pairs, against plain loops. */
static void correlations(void)
{
    double mean[GENES], deviation[GENES], moran[GENES], within[GENES * GENES], between[GENES * GENES];
    double m[4] = {0, 0, 0, 0}, v[4] = {0, 0, 0, 0};
    cel_moments g;
    cel_mat near;
    int64_t i;
    OK_OR_RETURN(cel_moments_new(GENES, &relations, &g));
    CHECK(cel_moments_correlate(&g, 1, mean, deviation, moran, within, between) == CEL_ERR_DATA);
    OK_OR_RETURN(cel_moments_add(&g, &relations, tissue, NULL, 0, NULL));
    CHECK(cel_moments_correlate(&g, 0, mean, deviation, moran, within, between) == CEL_ERR_ARG);
    OK_OR_RETURN(cel_moments_correlate(&g, 1, mean, deviation, moran, within, between));
    OK_OR_RETURN(cel_mat_new(CELLS, GENES, &near));
    OK_OR_RETURN(cel_csr_mul(1, relations.at[1].w, tissue, 0, near));
    for (i = 0; i < CELLS; i++) {
        m[0] += (double)tissue.data[i * GENES + 2] / CELLS;
        m[1] += (double)tissue.data[i * GENES + 5] / CELLS;
        m[2] += (double)near.data[i * GENES + 5] / CELLS;
    }
    for (i = 0; i < CELLS; i++) {
        double a = (double)tissue.data[i * GENES + 2] - m[0], b = (double)tissue.data[i * GENES + 5] - m[1];
        double c = (double)near.data[i * GENES + 5] - m[2];
        v[0] += a * a / CELLS;
        v[1] += b * b / CELLS;
        v[2] += c * c / CELLS;
        v[3] += b * c / CELLS;
        m[3] += a * c / CELLS;
    }
    NEAR(mean[2], m[0], 1e-4);
    NEAR(deviation[5], sqrt(v[1]), 1e-4);
    NEAR(moran[5], v[3] / v[1], 1e-3);
    NEAR(between[2 * GENES + 5], m[3] / sqrt(v[0] * v[2]), 1e-3);
    NEAR(within[2 * GENES + 2], 1, 1e-6);
    /* A gene that is alike everywhere but for rounding correlates with nothing. */
    cel_moments_free(&g);
    OK_OR_RETURN(cel_moments_new(GENES, &relations, &g));
    for (i = 0; i < CELLS; i++) near.data[i * GENES + 3] = (cel_real)(0.577 + 1e-9 * (double)(i % 3));
    OK_OR_RETURN(cel_moments_add(&g, &relations, near, NULL, 0, NULL));
    OK_OR_RETURN(cel_moments_correlate(&g, 1, mean, deviation, moran, within, between));
    for (i = 0; i < GENES; i++) CHECK(fabs(within[3 * GENES + i]) + fabs(within[i * GENES + 3]) < 1e-30);
    CHECK(deviation[3] < 1e-30 && fabs(moran[3]) < 1e-30 && fabs(between[3 * GENES + 5]) < 1e-30);
    cel_mat_free(&near);
    cel_moments_free(&g);
}

/* Over all the small systems: 95 % of the moments within two errors, less two deviations of that share. */
static void exact_moments(void)
{
    inside = asked = 0;
    lies = 0;
    exact_alone();
    exact_chains();
    CHECK(inside >= 0.95 * asked - 2 * sqrt(0.05 * 0.95 * asked));
    CHECK(lies < 1.5 * asked);
}

void suite_likelihood(void);
void suite_likelihood(void)
{
    RUN(exact_moments);
    make_tissue();
    RUN(known_forces);
    RUN(goes_on);
    RUN(plane);
    RUN(refused);
    RUN(correlations);
    cel_mat_free(&tissue);
    cel_model_free(&law);
    cel_csr_free(&w);
    cel_relations_free(&relations);
}
