/* Adam, the published estimator, spherical angles and the published generator. SPDX-License-Identifier: MIT */
#include "test.h"

#ifdef _OPENMP
#include <omp.h>
#endif

void suite_published(void);

/* Empty moments of the identity, or of it and a symmetric relation. */
static int two_blocks(int64_t n, int64_t blocks, cel_moments *out)
{
    int64_t row[2] = {0, 1}, col[2] = {1, 0};
    cel_csr w;
    cel_relations r;
    int ok = CHECK(cel_csr_from_edges(2, 2, 2, row, col, NULL, &w, NULL) == CEL_OK) &&
             CHECK(test_relations(&r, 2, blocks > 1 ? &w : NULL, NULL, NULL)) && CHECK(cel_moments_new(n, &r, out) == CEL_OK);
    cel_csr_free(&w);
    cel_relations_free(&r);
    return ok;
}

/* Moments of S random unit rows under a random directed 0/1 relation, by plain loops in double. */
static int random_moments(uint64_t seed, int64_t n, int64_t cells, cel_moments *out)
{
    double *b;
    int64_t size = 2 * n + 1, i, j, k;
    if (!two_blocks(n, 2, out)) return 0;
    b = (double *)calloc((size_t)(cells * size), sizeof(double));
    for (i = 0; i < cells; i++) {
        cel_rng rng = cel_rng_at(seed, 1, (uint32_t)i, 0);
        double norm = 0;
        for (j = 0; j < n; j++) {
            b[i * size + j] = fabs(cel_rng_normal(&rng));
            norm += b[i * size + j] * b[i * size + j];
        }
        for (j = 0; j < n; j++) b[i * size + j] /= sqrt(norm);
        b[i * size + 2 * n] = 0.5;
    }
    for (i = 0; i < cells; i++) {
        cel_rng rng = cel_rng_at(seed, 2, (uint32_t)i, 0);
        for (k = 0; k < 4; k++) {
            int64_t other = cel_rng_integer(&rng, (uint32_t)cells);
            for (j = 0; j < n; j++) b[i * size + n + j] += b[other * size + j] / 3;
        }
    }
    for (k = 0; k < cells; k++)
        for (i = 0; i < size; i++)
            for (j = 0; j < size; j++) out->gram[i * size + j] += b[k * size + i] * b[k * size + j];
    out->cells = cells;
    free(b);
    return 1;
}

/* A model with entries uniform on [low, high), not symmetric. */
static int random_model(uint64_t seed, int64_t n, double low, double high, cel_model *m)
{
    int64_t i;
    cel_rng rng = cel_rng_at(seed, 3, 0, 0);
    if (!CHECK(cel_model_new(n, 2, 0, m) == CEL_OK)) return 0;
    for (i = 0; i < 2 * n * n; i++) m->force.data[i] = (cel_real)(low + (high - low) * cel_rng_uniform(&rng));
    return 1;
}

static double distance(const cel_model *a, const cel_model *b)
{
    double most = 0;
    int64_t i;
    for (i = 0; i < 2 * a->genes * a->genes; i++) {
        double d = fabs((double)a->force.data[i] - (double)b->force.data[i]);
        if (!(d <= most)) most = d;
    }
    return most;
}

static void adam_by_hand(void)
{
    cel_adam a;
    cel_adam_options o;
    cel_real p[2] = {1, -2}, g[2];
    cel_mat param = cel_mat_view(p, 1, 2), grad = cel_mat_view(g, 1, 2);
    double m = 0, v = 0, want = 1, tol = sizeof(cel_real) == 8 ? 1e-14 : 1e-6;
    int t;
    memset(&o, 0, sizeof o);
    OK_OR_RETURN(cel_adam_new(2, &a));
    /* The first step is lr against the sign of the gradient, whatever its size. */
    for (t = 1; t <= 5; t++) {
        double first = 3.0 * t - 7;
        g[0] = (cel_real)first;
        g[1] = (cel_real)(1e-3 / t);
        cel_adam_step(&a, grad, NULL, param);
        if (t == 1) {
            NEAR(p[0], 1 + 0.001, 1e-10 + tol);
            NEAR(p[1], -2 - 0.001, 1e-7 + tol);
        }
        m = 0.9 * m + 0.1 * first;
        v = 0.999 * v + 0.001 * first * first;
        want -= 0.001 * (m / (1 - pow(0.9, t))) / (sqrt(v / (1 - pow(0.999, t))) + 1e-8);
        NEAR(p[0], want, tol);
    }
    CHECK(a.step == 5);
    cel_adam_free(&a);
    CHECK(!a.m && !a.v && a.count == 0);

    /* Every option in use: two steps worked by hand. */
    o.lr = 0.5;
    o.beta1 = 0.5;
    o.beta2 = 0.75;
    o.eps = 1;
    o.weight_decay = 0.1;
    OK_OR_RETURN(cel_adam_new(1, &a));
    {
        cel_real x = 10;
        grad = cel_mat_view(g, 1, 1);
        param = cel_mat_view(&x, 1, 1);
        g[0] = 2;
        cel_adam_step(&a, grad, &o, param); /* m = 1 -> 2, v = 1 -> 4: 10 - 0.5 * 2 / 3 - 0.5 * 0.1 * 10 */
        NEAR(x, 10 - 1.0 / 3 - 0.5, 1e-6);
        g[0] = -1; /* m = 0 -> 0, so only the decay is left */
        cel_adam_step(&a, grad, &o, param);
        NEAR(x, (10 - 1.0 / 3 - 0.5) * 0.95, 1e-6);
    }
    cel_adam_free(&a);
    CHECK(cel_adam_new(-1, &a) == CEL_ERR_ARG);
}

static void adam_finds_a_minimum(void)
{
    enum { N = 50 };
    cel_adam a;
    cel_adam_options o;
    cel_real p[N] = {0}, g[N + 15] = {0};
    cel_mat param = cel_mat_view(p, 5, 10), grad = cel_mat_block(cel_mat_view(g, 5, 13), 0, 0, 5, 10); /* rows apart */
    int t, i;
    memset(&o, 0, sizeof o);
    OK_OR_RETURN(cel_adam_new(N, &a));
    for (t = 0; t < 3000; t++) {
        o.lr = t < 2000 ? 0.01 : 0.001;
        for (i = 0; i < N; i++) g[i / 10 * 13 + i % 10] = (cel_real)((1 + 20.0 * i) * ((double)p[i] - 0.1 * i));
        cel_adam_step(&a, grad, &o, param);
    }
    for (i = 0; i < N; i++) NEAR(p[i], 0.1 * i, 1e-3);
    cel_adam_free(&a);
}

/* The gradient against central differences of the loss, entry by entry. */
static void check_gradient(cel_sphere sphere, double scale)
{
    enum { N = 5 };
    cel_moments moments;
    cel_model m;
    cel_paper_options o;
    cel_paper_value up, down, at;
    cel_mat d, none;
    double norm = 0, off = 0;
    int64_t i;
    memset(&o, 0, sizeof o);
    memset(&none, 0, sizeof none);
    o.q = 5;
    o.zmft = 0.3;
    o.sphere = sphere;
    if (!random_moments(4, N, 30, &moments) || !random_model(5, N, -scale, 2 * scale, &m)) return;
    OK_OR_RETURN(cel_mat_new(2 * N, N, &d));
    OK_OR_RETURN(cel_paper_loss(&m, &moments, &o, &at, d, NULL));
    NEAR_REL(at.loss, at.log_z - 0.3 * (at.intra + at.inter), 1e-13);
    for (i = 0; i < 2 * N * N; i++) {
        cel_real keep = m.force.data[i], high, low;
        double got = (double)d.data[i], want;
        high = keep + (cel_real)1e-4;
        low = keep - (cel_real)1e-4;
        m.force.data[i] = high;
        OK_OR_RETURN(cel_paper_loss(&m, &moments, &o, &up, none, NULL));
        m.force.data[i] = low;
        OK_OR_RETURN(cel_paper_loss(&m, &moments, &o, &down, none, NULL));
        m.force.data[i] = keep;
        want = (up.loss - down.loss) / ((double)high - (double)low);
        norm += want * want;
        off += (want - got) * (want - got);
    }
    NEAR(sqrt(off / norm), 0, sizeof(cel_real) == 8 ? 1e-6 : 1e-4);
    cel_mat_free(&d);
    cel_moments_free(&moments);
    cel_model_free(&m);
}

static void gradient_is_a_derivative(void)
{
    check_gradient(CEL_SPHERE_PAPER, 1);
    check_gradient(CEL_SPHERE_PAPER, 1e-3);
    check_gradient(CEL_SPHERE_PAPER, 30);
    check_gradient(CEL_SPHERE_RIGHT, 1);
    check_gradient(CEL_SPHERE_RIGHT, 30);
}

static void zero_forces(void)
{
    cel_moments moments;
    cel_model m;
    cel_paper_value loss;
    cel_mat d;
    if (!random_moments(4, 3, 30, &moments)) return;
    OK_OR_RETURN(cel_model_new(3, 2, 0, &m));
    OK_OR_RETURN(cel_mat_new(6, 3, &d));
    OK_OR_RETURN(cel_paper_loss(&m, &moments, NULL, &loss, d, NULL));
    NEAR_REL(loss.log_z, 30 * log(2.0), 1e-12); /* f(0) = log 2 */
    NEAR(loss.kappa, 0, 0);
    /* f'(k)/k -> 1/3 but u = 0: what is left is -S m m^T - z C0. */
    NEAR(d.data[1], -(2 * moments.gram[6 * 7 + 0] * 2 * moments.gram[6 * 7 + 1]) / 30 - 0.1 * moments.gram[1], 1e-5);
    cel_mat_free(&d);
    cel_moments_free(&moments);
    cel_model_free(&m);
}

/* In three dimensions the right sphere is the paper's, up to the constant S log(2 pi). */
static void spheres_agree_in_three_dimensions(void)
{
    cel_moments moments;
    cel_model m;
    cel_paper_options o;
    cel_paper_value paper, right;
    cel_mat none;
    memset(&o, 0, sizeof o);
    memset(&none, 0, sizeof none);
    if (!random_moments(6, 3, 40, &moments) || !random_model(7, 3, 0, 2, &m)) return;
    OK_OR_RETURN(cel_paper_loss(&m, &moments, &o, &paper, none, NULL));
    o.sphere = CEL_SPHERE_RIGHT;
    OK_OR_RETURN(cel_paper_loss(&m, &moments, &o, &right, none, NULL));
    NEAR_REL(right.log_z - paper.log_z, 40 * log(2 * 3.14159265358979323846), 1e-9);
    cel_moments_free(&moments);
    cel_model_free(&m);
}

static void start_is_symmetric(void)
{
    cel_model m, other;
    int64_t i, j;
    double sum = 0;
    OK_OR_RETURN(cel_model_new(40, 2, 0, &m));
    OK_OR_RETURN(cel_model_new(40, 2, 0, &other));
    OK_OR_RETURN(cel_paper_start(3, &m));
    OK_OR_RETURN(cel_paper_start(3, &other));
    NEAR(distance(&m, &other), 0, 0);
    OK_OR_RETURN(cel_paper_start(4, &other));
    CHECK(distance(&m, &other) > 0.1);
    for (i = 0; i < 40; i++)
        for (j = 0; j < 40; j++) {
            double a = (double)m.force.data[i * 40 + j];
            NEAR(a, m.force.data[j * 40 + i], 0);
            NEAR(a, m.force.data[(40 + i) * 40 + j], 0);
            CHECK(i == j ? a >= 1 && a <= 1 : a >= 0 && a < 1);
            if (i != j) sum += a / (40 * 39);
        }
    NEAR(sum, 0.5, 0.03); /* 780 means of two uniforms: deviation 0.0073 */
    cel_model_free(&m);
    cel_model_free(&other);
    OK_OR_RETURN(cel_model_new(4, 1, 0, &m));
    CHECK(cel_paper_start(1, &m) == CEL_ERR_SHAPE);
    cel_model_free(&m);
}

static void projection(void)
{
    enum { N = 6 };
    cel_moments moments;
    cel_model m;
    cel_paper_options o;
    cel_paper_report report;
    int64_t i, j, r, at_bound = 0;
    int optimiser;
    memset(&o, 0, sizeof o);
    o.epochs = 3;
    o.lr = 0.01;
    if (!random_moments(8, N, 25, &moments)) return;
    for (optimiser = 0; optimiser < 2; optimiser++) {
        if (!random_model(9, N, -0.5, 1.5, &m)) return;
        o.optimiser = (cel_optimiser)optimiser;
        OK_OR_RETURN(cel_paper_fit(&moments, 1, &o, &m, NULL, &report, NULL));
        for (r = 0, at_bound = 0; r < 2; r++)
            for (i = 0; i < N; i++)
                for (j = 0; j < N; j++) {
                    double a = (double)m.force.data[(r * N + i) * N + j];
                    CHECK(a >= 0 && a <= 1);
                    NEAR(a, m.force.data[(r * N + j) * N + i], 0);
                    if (i == j) NEAR(a, 1, 0);
                    else at_bound += a <= 0 || a >= 1;
                }
        CHECK(at_bound > 0 && at_bound < 2 * N * (N - 1));
        NEAR(report.saturated, (double)at_bound / (2 * N * (N - 1)), 1e-15);
        cel_model_free(&m);
    }
    cel_moments_free(&moments);
}

/* Without projection a step is the plain gradient's, antisymmetric part and all. */
static void unprojected_step(void)
{
    enum { N = 6 };
    cel_moments moments;
    cel_model m, start;
    cel_paper_options o;
    cel_paper_value loss;
    cel_mat d;
    double trace;
    int64_t i;
    memset(&o, 0, sizeof o);
    o.epochs = 1;
    o.lr = 0.25;
    o.no_projection = 1;
    if (!random_moments(8, N, 25, &moments) || !random_model(9, N, -1, 1, &m) || !random_model(9, N, -1, 1, &start))
        return;
    OK_OR_RETURN(cel_mat_new(2 * N, N, &d));
    OK_OR_RETURN(cel_paper_loss(&m, &moments, &o, &loss, d, NULL));
    OK_OR_RETURN(cel_paper_fit(&moments, 1, &o, &m, &trace, NULL, NULL));
    NEAR_REL(trace, loss.loss, 1e-12);
    for (i = 0; i < 2 * N * N; i++)
        NEAR(m.force.data[i], (double)start.force.data[i] - 0.25 * (double)d.data[i],
             sizeof(cel_real) == 8 ? 1e-12 : 1e-5);
    cel_mat_free(&d);
    cel_moments_free(&moments);
    cel_model_free(&m);
    cel_model_free(&start);
}

static void early_stop(void)
{
    cel_moments moments;
    cel_model m;
    cel_paper_options o;
    cel_paper_report report;
    double losses[200];
    memset(&o, 0, sizeof o);
    o.tolerance = 1e-9;
    if (!random_moments(8, 4, 50, &moments)) return;
    OK_OR_RETURN(cel_model_new(4, 2, 0, &m));
    OK_OR_RETURN(cel_paper_start(1, &m));
    OK_OR_RETURN(cel_paper_fit(&moments, 1, &o, &m, losses, &report, NULL));
    CHECK(report.converged && report.epochs > 1 && report.epochs < 200);
    NEAR_REL(losses[report.epochs - 1], losses[report.epochs - 2], 1e-9);
    NEAR(losses[report.epochs], 0, 0);
    NEAR(losses[199], 0, 0);
    NEAR_REL(report.final.loss, losses[report.epochs - 1], 1e-6);
    o.tolerance = 0;
    OK_OR_RETURN(cel_paper_fit(&moments, 1, &o, &m, losses, &report, NULL));
    CHECK(!report.converged && report.epochs == 200);
    cel_moments_free(&moments);
    cel_model_free(&m);
}

static void several_slides(void)
{
    enum { N = 5 };
    cel_moments s[3], swapped[3], twice[2];
    cel_model a, b;
    cel_paper_options o;
    cel_paper_report report;
    double la[7], lb[7], q[3] = {6, 6, 6};
    int i;
    memset(&o, 0, sizeof o);
    o.epochs = 7;
    o.lr = 0.002;
    for (i = 0; i < 3; i++)
        if (!random_moments((uint64_t)(20 + i), N, 20 + 10 * i, s + i)) return;
    OK_OR_RETURN(cel_model_new(N, 2, 0, &a));
    OK_OR_RETURN(cel_model_new(N, 2, 0, &b));

    /* A lone slide: steps a slide or summed are one thing, to the bit. */
    OK_OR_RETURN(cel_paper_start(1, &a));
    OK_OR_RETURN(cel_paper_start(1, &b));
    OK_OR_RETURN(cel_paper_fit(s, 1, &o, &a, la, NULL, NULL));
    o.summed = 1;
    OK_OR_RETURN(cel_paper_fit(s, 1, &o, &b, lb, NULL, NULL));
    NEAR(distance(&a, &b), 0, 0);
    CHECK(!memcmp(la, lb, sizeof la));

    /* Summed: the slides' order does not matter; two copies at half the rate are one. */
    for (i = 0; i < 3; i++) swapped[i] = s[2 - i];
    OK_OR_RETURN(cel_paper_start(1, &a));
    OK_OR_RETURN(cel_paper_start(1, &b));
    OK_OR_RETURN(cel_paper_fit(s, 3, &o, &a, la, &report, NULL));
    OK_OR_RETURN(cel_paper_fit(swapped, 3, &o, &b, lb, NULL, NULL));
    NEAR(distance(&a, &b), 0, 1e-6);
    for (i = 0; i < 7; i++) NEAR_REL(la[i], lb[i], 1e-9);
    CHECK(report.final.loss < la[0]);
    twice[0] = twice[1] = s[1];
    OK_OR_RETURN(cel_paper_start(1, &a));
    OK_OR_RETURN(cel_paper_start(1, &b));
    OK_OR_RETURN(cel_paper_fit(s + 1, 1, &o, &a, la, NULL, NULL));
    o.lr /= 2;
    OK_OR_RETURN(cel_paper_fit(twice, 2, &o, &b, lb, NULL, NULL));
    o.lr *= 2;
    NEAR(distance(&a, &b), 0, 1e-6);
    for (i = 0; i < 7; i++) NEAR_REL(lb[i], 2 * la[i], 1e-9);

    /* A step a slide: the same seed is the same shuffle, another seed another path, and copies in any
     * order are a lone slide with as many epochs more. */
    o.summed = 0;
    o.seed = 1;
    OK_OR_RETURN(cel_paper_start(1, &a));
    OK_OR_RETURN(cel_paper_start(1, &b));
    OK_OR_RETURN(cel_paper_fit(s, 3, &o, &a, la, NULL, NULL));
    OK_OR_RETURN(cel_paper_fit(s, 3, &o, &b, lb, NULL, NULL));
    NEAR(distance(&a, &b), 0, 0);
    o.seed = 2;
    OK_OR_RETURN(cel_paper_start(1, &b));
    OK_OR_RETURN(cel_paper_fit(s, 3, &o, &b, lb, NULL, NULL));
    CHECK(memcmp(la, lb, sizeof la) != 0);
    OK_OR_RETURN(cel_paper_start(1, &a));
    OK_OR_RETURN(cel_paper_start(1, &b));
    o.epochs = 3;
    OK_OR_RETURN(cel_paper_fit(twice, 2, &o, &a, la, NULL, NULL));
    o.epochs = 6;
    OK_OR_RETURN(cel_paper_fit(s + 1, 1, &o, &b, lb, NULL, NULL));
    NEAR(distance(&a, &b), 0, sizeof(cel_real) == 8 ? 1e-13 : 1e-7);
    for (i = 0; i < 3; i++) NEAR_REL(la[i], lb[2 * i] + lb[2 * i + 1], 1e-12);

    /* q a slide. */
    OK_OR_RETURN(cel_paper_start(1, &a));
    OK_OR_RETURN(cel_paper_start(1, &b));
    OK_OR_RETURN(cel_paper_fit(s, 3, &o, &a, NULL, NULL, NULL));
    o.slide_q = q;
    OK_OR_RETURN(cel_paper_fit(s, 3, &o, &b, NULL, NULL, NULL));
    NEAR(distance(&a, &b), 0, 0);
    q[1] = 4.5;
    OK_OR_RETURN(cel_paper_fit(s, 3, &o, &b, NULL, NULL, NULL));
    CHECK(distance(&a, &b) > 0);
    for (i = 0; i < 3; i++) cel_moments_free(s + i);
    cel_model_free(&a);
    cel_model_free(&b);
}

/* Adam's first step moves every free entry by lr against its gradient's sign. */
static void adam_fit(void)
{
    enum { N = 5 };
    cel_moments moments;
    cel_model m, start;
    cel_paper_options o;
    cel_paper_report report;
    cel_paper_value loss;
    cel_mat d;
    double losses[300];
    int64_t i;
    memset(&o, 0, sizeof o);
    o.optimiser = CEL_OPTIMISER_ADAM;
    o.no_projection = 1;
    o.epochs = 1;
    o.lr = 0.01;
    if (!random_moments(8, N, 25, &moments) || !random_model(9, N, 0, 1, &m) || !random_model(9, N, 0, 1, &start))
        return;
    OK_OR_RETURN(cel_mat_new(2 * N, N, &d));
    OK_OR_RETURN(cel_paper_loss(&m, &moments, &o, &loss, d, NULL));
    OK_OR_RETURN(cel_paper_fit(&moments, 1, &o, &m, NULL, NULL, NULL));
    for (i = 0; i < 2 * N * N; i++) {
        double g = (double)d.data[i];
        NEAR(m.force.data[i], (double)start.force.data[i] - (g > 0 ? 0.01 : -0.01), 1e-6);
    }
    o.no_projection = 0;
    o.epochs = 300;
    OK_OR_RETURN(cel_paper_start(1, &m));
    OK_OR_RETURN(cel_paper_fit(&moments, 1, &o, &m, losses, &report, NULL));
    CHECK(report.final.loss < losses[0]);
    cel_mat_free(&d);
    cel_moments_free(&moments);
    cel_model_free(&m);
    cel_model_free(&start);
}

static int stop_at(void *user, const char *stage, int64_t done, int64_t total, double value)
{
    CHECK(!strcmp(stage, "fit") && total == 200 && value > 0);
    *(int64_t *)user = done;
    return done == 3;
}

static void fit_progress_stops(void)
{
    cel_moments moments;
    cel_model a, b;
    cel_paper_options o;
    cel_paper_report report;
    double losses[200];
    int64_t seen = 0;
    memset(&o, 0, sizeof o);
    o.lr = 1e-3;
    o.progress.fn = stop_at;
    o.progress.user = &seen;
    if (!random_moments(8, 4, 50, &moments)) return;
    OK_OR_RETURN(cel_model_new(4, 2, 0, &a));
    OK_OR_RETURN(cel_model_new(4, 2, 0, &b));
    OK_OR_RETURN(cel_paper_start(1, &a));
    OK_OR_RETURN(cel_paper_start(1, &b));
    CHECK(cel_paper_fit(&moments, 1, &o, &a, losses, &report, NULL) == CEL_ERR_STOPPED);
    CHECK(seen == 3 && report.epochs == 3 && losses[2] > 0 && losses[3] <= 0);
    o.progress.fn = NULL;
    o.epochs = 3;
    OK_OR_RETURN(cel_paper_fit(&moments, 1, &o, &b, NULL, NULL, NULL));
    NEAR(distance(&a, &b), 0, 0);
    cel_moments_free(&moments);
    cel_model_free(&a);
    cel_model_free(&b);
}

static void fit_refuses(void)
{
    cel_moments moments, few;
    cel_model m, field, three, start;
    cel_paper_options o;
    cel_paper_report report;
    cel_paper_value loss;
    cel_mat wrong, none;
    double q = 0;
    memset(&o, 0, sizeof o);
    memset(&none, 0, sizeof none);
    if (!random_moments(8, 4, 50, &moments) || !random_model(1, 4, 0, 1, &m) || !random_model(1, 4, 0, 1, &start))
        return;
    OK_OR_RETURN(cel_model_new(4, 2, 1, &field));
    OK_OR_RETURN(cel_model_new(4, 3, 0, &three));
    if (!two_blocks(4, 1, &few)) return;
    OK_OR_RETURN(cel_mat_new(3, 4, &wrong));
    CHECK(cel_paper_fit(&moments, 1, NULL, &field, NULL, NULL, NULL) == CEL_ERR_ARG);
    CHECK(cel_paper_fit(&moments, 1, NULL, &three, NULL, NULL, NULL) == CEL_ERR_SHAPE);
    CHECK(cel_paper_fit(&few, 1, NULL, &m, NULL, NULL, NULL) == CEL_ERR_SHAPE);
    CHECK(cel_paper_fit(&moments, 0, NULL, &m, NULL, NULL, NULL) == CEL_ERR_ARG);
    CHECK(cel_paper_loss(&m, &moments, NULL, &loss, wrong, NULL) == CEL_ERR_SHAPE);
    o.epochs = -1;
    CHECK(cel_paper_fit(&moments, 1, &o, &m, NULL, NULL, NULL) == CEL_ERR_ARG);
    o.epochs = 0;
    o.slide_q = &q;
    CHECK(cel_paper_fit(&moments, 1, &o, &m, NULL, NULL, NULL) == CEL_ERR_ARG);
    o.slide_q = NULL;
    moments.cells = 0;
    CHECK(cel_paper_fit(&moments, 1, &o, &m, NULL, NULL, NULL) == CEL_ERR_DATA);
    moments.cells = 50;
    /* A diverging run leaves the forces as they were given. */
    o.lr = 1e300;
    o.no_projection = 1;
    CHECK(cel_paper_fit(&moments, 1, &o, &m, NULL, &report, NULL) == CEL_ERR_NUMERIC);
    CHECK(report.epochs == 0);
    NEAR(distance(&m, &start), 0, 0);
    cel_moments_free(&moments);
    cel_moments_free(&few);
    cel_model_free(&m);
    cel_model_free(&start);
    cel_model_free(&field);
    cel_model_free(&three);
    cel_mat_free(&wrong);
}

/* The published fit forks no threads: on a busy machine a parallel region an epoch made it 60 times slower. */
static void H20_published_fit_needs_no_threads(void)
{
#ifdef _OPENMP
    enum { N = 210 };
    cel_moments moments;
    cel_model a, b;
    cel_paper_options o = CEL_ZERO;
    double one, many;
    int before = cel_threads();
    o.epochs = test_brief ? 2 : 100;
    o.lr = 1e-4;
    if (!random_moments(8, N, 20, &moments)) return;
    OK_OR_RETURN(cel_model_new(N, 2, 0, &a));
    OK_OR_RETURN(cel_model_new(N, 2, 0, &b));
    OK_OR_RETURN(cel_paper_start(1, &a));
    OK_OR_RETURN(cel_paper_start(1, &b));
    omp_set_num_threads(1);
    one = omp_get_wtime();
    OK_OR_RETURN(cel_paper_fit(&moments, 1, &o, &a, NULL, NULL, NULL));
    one = omp_get_wtime() - one;
    omp_set_num_threads(32); /* more than there are processors */
    many = omp_get_wtime();
    OK_OR_RETURN(cel_paper_fit(&moments, 1, &o, &b, NULL, NULL, NULL));
    many = omp_get_wtime() - many;
    omp_set_num_threads(before);
    CHECK(many < 10 * one + 0.2);
    CHECK(!memcmp(a.force.data, b.force.data, 2 * N * N * sizeof(cel_real)));
    cel_moments_free(&moments);
    cel_model_free(&a);
    cel_model_free(&b);
#else
    SKIP("built without OpenMP");
#endif
}

/* Enums and weights are checked, errors say why, and outputs are zeros. */
static void H17_published_options_are_checked(void)
{
    enum { CASES = 8 };
    cel_moments moments;
    cel_model m, start;
    cel_mat angles, x, none = CEL_ZERO;
    cel_relations alone;
    int k;
    if (!random_moments(8, 4, 50, &moments) || !random_model(1, 4, 0, 1, &m) || !random_model(1, 4, 0, 1, &start))
        return;
    OK_OR_RETURN(cel_relations_new(3, &alone));
    OK_OR_RETURN(cel_mat_new(3, 3, &angles));
    OK_OR_RETURN(cel_mat_new(3, 4, &x));
    for (k = 0; k < CASES; k++) {
        cel_paper_options o = CEL_ZERO;
        cel_paper_report report;
        cel_paper_value value;
        cel_error err = CEL_ZERO;
        double losses[200], q = 6;
        o.slide_q = &q;
        if (k == 0) o.optimiser = (cel_optimiser)9;
        if (k == 1) o.sphere = (cel_sphere)9;
        if (k == 2) o.lr = NAN;
        if (k == 3) o.lr = -1;
        if (k == 4) o.zmft = NAN;
        if (k == 5) o.q = -1;
        if (k == 6) o.tolerance = NAN;
        if (k == 7) o.thin = -1;
        losses[0] = losses[199] = report.final.loss = 7;
        CHECK(cel_paper_fit(&moments, 1, &o, &m, losses, &report, &err) == CEL_ERR_ARG);
        CHECK(err.status == CEL_ERR_ARG && err.what && *err.what);
        NEAR(distance(&m, &start), 0, 0);
        NEAR(losses[0], 0, 0);
        NEAR(losses[199], 0, 0);
        NEAR(report.final.loss, 0, 0);
        CHECK(cel_paper_loss(&m, &moments, &o, &value, none, NULL) == (k == 0 ? CEL_OK : CEL_ERR_ARG));
        memset(&err, 0, sizeof err);
        losses[0] = losses[49] = value.loss = 7;
        cel_mat_fill(x, 7);
        CHECK(cel_paper_generate(&m, &alone, &o, angles, x, losses, &value, &err) == CEL_ERR_ARG);
        CHECK(err.status == CEL_ERR_ARG && err.what && *err.what);
        NEAR(losses[0], 0, 0);
        NEAR(losses[49], 0, 0);
        NEAR(value.loss, 0, 0);
        NEAR(x.data[11], 0, 0);
    }
    cel_relations_free(&alone);
    cel_moments_free(&moments);
    cel_model_free(&m);
    cel_model_free(&start);
    cel_mat_free(&angles);
    cel_mat_free(&x);
}

/* ---- angles and the generator ---- */

static const double tight = sizeof(cel_real) == 8 ? 1e-14 : 1e-6;

/* A random directed graph with 3 sources a cell, its transpose, and a model that is not symmetric. */
typedef struct tissue {
    cel_csr w;
    cel_relations relations;
    cel_model model;
    cel_mat angles, x;
} tissue;

static int open_tissue(tissue *t, uint64_t seed, int64_t cells, int64_t n)
{
    int64_t *row = (int64_t *)calloc((size_t)cells * 3, sizeof(int64_t));
    int64_t *col = (int64_t *)calloc((size_t)cells * 3, sizeof(int64_t)), i;
    cel_rng rng = cel_rng_at(seed, 1, 0, 0);
    int ok;
    memset(t, 0, sizeof *t);
    for (i = 0; i < 3 * cells; i++) {
        row[i] = i / 3;
        col[i] = (row[i] + 1 + cel_rng_integer(&rng, (uint32_t)(cells - 1))) % cells;
    }
    ok = CHECK(cel_csr_from_edges(cells, cells, 3 * cells, row, col, NULL, &t->w, NULL) == CEL_OK) &&
         CHECK(test_relations(&t->relations, cells, &t->w, NULL, NULL)) && CHECK(cel_model_new(n, 2, 0, &t->model) == CEL_OK) &&
         CHECK(cel_mat_new(cells, n - 1, &t->angles) == CEL_OK) && CHECK(cel_mat_new(cells, n, &t->x) == CEL_OK);
    free(row);
    free(col);
    if (!ok) return 0;
    for (i = 0; i < 2 * n * n; i++) t->model.force.data[i] = (cel_real)(cel_rng_uniform(&rng) - 0.3);
    cel_paper_noise_angles(seed, 0.8, 0.4, t->angles);
    return CHECK(cel_paper_from_angles(t->angles, t->x, NULL) == CEL_OK);
}

static void close_tissue(tissue *t)
{
    cel_csr_free(&t->w);
    cel_relations_free(&t->relations);
    cel_model_free(&t->model);
    cel_mat_free(&t->angles);
    cel_mat_free(&t->x);
}

/* Rows (not of unit length, in general) to angles and back: the same direction. */
static void round_trip(cel_mat x)
{
    cel_mat angles, back;
    int64_t i, j, n = x.cols;
    OK_OR_RETURN(cel_mat_new(x.rows, n - 1, &angles));
    OK_OR_RETURN(cel_mat_new(x.rows, n, &back));
    OK_OR_RETURN(cel_paper_to_angles(x, angles, NULL));
    OK_OR_RETURN(cel_paper_from_angles(angles, back, NULL));
    for (i = 0; i < x.rows; i++) {
        double norm = cel_vec_nrm2(x.data + i * n, n);
        NEAR(cel_vec_nrm2(back.data + i * n, n), 1, tight * (double)n);
        for (j = 0; j < n; j++) NEAR(back.data[i * n + j], (double)x.data[i * n + j] / norm, tight * (double)n);
        for (j = 0; j < n - 1; j++)
            CHECK((double)angles.data[i * (n - 1) + j] >= (j == n - 2 ? -3.1415928 : 0) &&
                  (double)angles.data[i * (n - 1) + j] <= 3.1415928);
    }
    cel_mat_free(&angles);
    cel_mat_free(&back);
}

/* Every row with entries in {-1, 0, 1}, but zero, for 2 to 5 genes: every sign, axis and face. */
static void angles_of_every_sign(void)
{
    int64_t n, i, j, rows;
    for (n = 2, rows = 9; n <= 5; n++, rows *= 3) {
        cel_mat x;
        OK_OR_RETURN(cel_mat_new(rows - 1, n, &x));
        for (i = 0; i < rows - 1; i++) {
            int64_t code = i >= (rows - 1) / 2 ? i + 1 : i; /* the middle one is all zero */
            for (j = 0; j < n; j++, code /= 3) x.data[i * n + j] = (cel_real)(code % 3 - 1);
        }
        round_trip(x);
        cel_mat_free(&x);
    }
}

static void angles_of_random_rows(void)
{
    static const int64_t genes[] = {2, 3, 17, 200};
    int64_t g, i;
    for (g = 0; g < 4; g++) {
        cel_mat x;
        cel_rng rng = cel_rng_at(3, 1, (uint32_t)g, 0);
        OK_OR_RETURN(cel_mat_new(20, genes[g], &x));
        cel_rng_normals(&rng, x.data, 20 * genes[g]);
        for (i = 0; i < 20 * genes[g]; i += 1 + i % 7) x.data[i] = (i % 3) ? (cel_real)0 : (cel_real)-5;
        for (i = 0; i < 20; i++) x.data[i * genes[g]] = 1; /* no row of zeros */
        round_trip(x);
        cel_mat_free(&x);
    }
}

static void angles_by_hand(void)
{
    cel_real t[2] = {(cel_real)1.0471975511965976, (cel_real)-2.6179938779914944}, x[3] = {0}; /* 60, -150 degrees */
    cel_real huge[3] = {0, (cel_real)-1e30, (cel_real)1e30}, small[3] = {0, (cel_real)-1e-30, (cel_real)1e-30};
    OK_OR_RETURN(cel_paper_from_angles(cel_mat_view(t, 1, 2), cel_mat_view(x, 1, 3), NULL));
    NEAR(x[0], 0.5, tight);
    NEAR(x[1], -0.75, tight);
    NEAR(x[2], -0.43301270189221932, tight);
    OK_OR_RETURN(cel_paper_to_angles(cel_mat_view(huge, 1, 3), cel_mat_view(t, 1, 2), NULL));
    NEAR(t[0], 1.5707963267948966, tight);
    NEAR(t[1], 2.3561944901923449, tight);
    OK_OR_RETURN(cel_paper_to_angles(cel_mat_view(small, 1, 3), cel_mat_view(t, 1, 2), NULL));
    NEAR(t[0], 1.5707963267948966, tight);
    NEAR(t[1], 2.3561944901923449, tight);
}

static void angles_refuse(void)
{
    cel_error err;
    cel_mat x, angles;
    OK_OR_RETURN(cel_mat_new(3, 4, &x));
    OK_OR_RETURN(cel_mat_new(3, 3, &angles));
    cel_mat_fill(x, 1);
    x.data[5] = (cel_real)NAN;
    CHECK(cel_paper_to_angles(x, angles, &err) == CEL_ERR_DATA && err.cell == 1 && err.what && err.offset == -1 && err.gene == -1);
    cel_mat_fill(cel_mat_block(x, 2, 0, 1, 4), 0);
    x.data[5] = 1;
    cel_mat_fill(angles, 7);
    CHECK(cel_paper_to_angles(x, angles, &err) == CEL_ERR_DATA && err.cell == 2 && err.offset == -1);
    NEAR(angles.data[0], 0, 0);
    x.data[8] = (cel_real)INFINITY;
    CHECK(cel_paper_to_angles(x, angles, NULL) == CEL_ERR_DATA);
    CHECK(cel_paper_to_angles(x, x, &err) == CEL_ERR_SHAPE);
    CHECK(cel_paper_from_angles(x, angles, NULL) == CEL_ERR_SHAPE);
    CHECK(cel_paper_from_angles(cel_mat_block(x, 0, 0, 3, 0), cel_mat_block(x, 0, 0, 3, 1), NULL) == CEL_ERR_ARG);
    CHECK(cel_paper_angles_gradient(angles, x, x, NULL) == CEL_ERR_SHAPE);
    cel_mat_free(&x);
    cel_mat_free(&angles);
}

/* L = sum of c_k x_k^2 / 2 + x_k: its gradient in x is c_k x_k + 1. */
static double quadratic(cel_mat x, const cel_real *c)
{
    double sum = 0;
    int64_t i;
    for (i = 0; i < x.cols; i++) sum += (0.5 * (double)c[i] * (double)x.data[i] + 1) * (double)x.data[i];
    return sum;
}

static void back_propagation(void)
{
    enum { N = 9 };
    cel_real t[N - 1] = {0}, c[N], x[N] = {0}, d_x[N] = {0}, d_t[N - 1] = {0};
    double step = sizeof(cel_real) == 8 ? 1e-5 : 1e-2, tol = sizeof(cel_real) == 8 ? 1e-8 : 1e-3;
    cel_mat angles = cel_mat_view(t, 1, N - 1), row = cel_mat_view(x, 1, N);
    int round, k;
    for (round = 0; round < 5; round++) {
        cel_rng rng = cel_rng_at(11, 1, (uint32_t)round, 0);
        cel_rng_normals(&rng, c, N);
        cel_paper_noise_angles((uint64_t)round, 0, 2, angles);
        if (round == 4) t[3] = 0; /* sin = 0: all beyond are 0, and the gradient still exists */
        OK_OR_RETURN(cel_paper_from_angles(angles, row, NULL));
        for (k = 0; k < N; k++) d_x[k] = c[k] * x[k] + 1;
        OK_OR_RETURN(cel_paper_angles_gradient(angles, cel_mat_view(d_x, 1, N), cel_mat_view(d_t, 1, N - 1), NULL));
        for (k = 0; k < N - 1; k++) {
            cel_real keep = t[k], high = keep + (cel_real)step, low = keep - (cel_real)step;
            double up, down;
            t[k] = high;
            OK_OR_RETURN(cel_paper_from_angles(angles, row, NULL));
            up = quadratic(row, c);
            t[k] = low;
            OK_OR_RETURN(cel_paper_from_angles(angles, row, NULL));
            down = quadratic(row, c);
            t[k] = keep;
            NEAR(d_t[k], (up - down) / ((double)high - (double)low), tol);
        }
        /* The gradient may be written over its argument. */
        OK_OR_RETURN(cel_paper_angles_gradient(angles, cel_mat_view(d_x, 1, N), cel_mat_view(d_x, 1, N - 1), NULL));
        for (k = 0; k < N - 1; k++) NEAR(d_x[k], d_t[k], 0);
    }
}

/* The objective's gradient, down to the angles, against central differences. */
static void check_objective(cel_sphere sphere, int no_log_z)
{
    tissue t;
    cel_paper_options o;
    cel_paper_value at, up, down;
    cel_mat d_x, d_t, none;
    double norm = 0, off = 0, step = sizeof(cel_real) == 8 ? 1e-5 : 3e-2;
    int64_t i;
    memset(&o, 0, sizeof o);
    memset(&none, 0, sizeof none);
    o.zmft = 0.7;
    o.q = 3;
    o.sphere = sphere;
    o.no_log_z = no_log_z;
    if (!open_tissue(&t, 5, 12, 6)) return;
    OK_OR_RETURN(cel_mat_new(12, 6, &d_x));
    OK_OR_RETURN(cel_mat_new(12, 5, &d_t));
    OK_OR_RETURN(cel_paper_generate_loss(&t.model, &t.relations, t.x, &o, &at, d_x, NULL, NULL));
    OK_OR_RETURN(cel_paper_angles_gradient(t.angles, d_x, d_t, NULL));
    NEAR_REL(at.loss, at.log_z - 0.7 * (at.intra + at.inter), 1e-12);
    if (no_log_z) NEAR(at.log_z, 0, 0);
    for (i = 0; i < 12 * 5; i++) {
        cel_real keep = t.angles.data[i], high = keep + (cel_real)step, low = keep - (cel_real)step;
        double want;
        t.angles.data[i] = high;
        OK_OR_RETURN(cel_paper_from_angles(t.angles, t.x, NULL));
        OK_OR_RETURN(cel_paper_generate_loss(&t.model, &t.relations, t.x, &o, &up, none, NULL, NULL));
        t.angles.data[i] = low;
        OK_OR_RETURN(cel_paper_from_angles(t.angles, t.x, NULL));
        OK_OR_RETURN(cel_paper_generate_loss(&t.model, &t.relations, t.x, &o, &down, none, NULL, NULL));
        t.angles.data[i] = keep;
        want = (up.loss - down.loss) / ((double)high - (double)low);
        norm += want * want;
        off += ((double)d_t.data[i] - want) * ((double)d_t.data[i] - want);
    }
    NEAR(sqrt(off / norm), 0, sizeof(cel_real) == 8 ? 1e-6 : 5e-3);
    cel_mat_free(&d_x);
    cel_mat_free(&d_t);
    close_tissue(&t);
}

static void objective_gradient(void)
{
    check_objective(CEL_SPHERE_PAPER, 0);
    check_objective(CEL_SPHERE_RIGHT, 0);
    check_objective(CEL_SPHERE_PAPER, 1);
}

static void noise(void)
{
    cel_mat a, b;
    double sum = 0, square = 0;
    int64_t i, count = 200 * 50;
    OK_OR_RETURN(cel_mat_new(200, 50, &a));
    OK_OR_RETURN(cel_mat_new(200, 50, &b));
    cel_paper_noise_angles(1, 3.14159265358979, 1.57079632679490, a);
    cel_paper_noise_angles(1, 3.14159265358979, 1.57079632679490, b);
    CHECK(!memcmp(a.data, b.data, (size_t)count * sizeof(cel_real)));
    cel_paper_noise_angles(2, 3.14159265358979, 1.57079632679490, b);
    CHECK(memcmp(a.data, b.data, (size_t)count * sizeof(cel_real)) != 0);
    for (i = 0; i < count; i++) {
        sum += (double)a.data[i] / (double)count;
        square += (double)a.data[i] * (double)a.data[i] / (double)count;
    }
    NEAR(sum, 3.14159265, 0.08); /* 5 standard errors */
    NEAR(sqrt(square - sum * sum), 1.5707963, 0.06);
    cel_mat_free(&a);
    cel_mat_free(&b);
}

typedef struct record {
    int64_t epoch[16], count, stop_at, stop_each, done;
    cel_mat first; /* the expression at epoch 0 */
} record;

static int take_snapshot(void *user, int64_t epoch, cel_mat x)
{
    record *r = (record *)user;
    if (r->count < 16) r->epoch[r->count++] = epoch;
    if (epoch == 0 && r->first.data) CHECK(cel_mat_copy(x, r->first) == CEL_OK);
    return epoch == r->stop_each;
}

static int take_progress(void *user, const char *stage, int64_t done, int64_t total, double value)
{
    record *r = (record *)user;
    CHECK(!strcmp(stage, "generate") && total > 0 && value == value);
    r->done = done;
    return done == r->stop_at;
}

static void descends(void)
{
    tissue t;
    cel_paper_options o;
    cel_paper_value last, again;
    cel_mat x, none;
    record r;
    double losses[50];
    int optimiser;
    int64_t e, i;
    memset(&none, 0, sizeof none);
    for (optimiser = 0; optimiser < 2; optimiser++) {
        memset(&o, 0, sizeof o);
        memset(&r, 0, sizeof r);
        r.stop_each = -1;
        o.optimiser = (cel_optimiser)optimiser;
        o.lr = 0.005;
        o.each = take_snapshot;
        o.each_user = &r;
        o.progress.fn = take_progress;
        o.progress.user = &r;
        if (!open_tissue(&t, 5, 40, 6)) return;
        OK_OR_RETURN(cel_mat_new(40, 6, &x));
        OK_OR_RETURN(cel_mat_new(40, 6, &r.first));
        OK_OR_RETURN(cel_paper_generate(&t.model, &t.relations, &o, t.angles, x, losses, &last, NULL));
        for (e = 1; e < 50; e++) CHECK(losses[e] < losses[e - 1]);
        CHECK(last.loss < losses[49] && r.done == 50);
        CHECK(r.count == 10 && r.epoch[0] == 0 && r.epoch[1] == 5 && r.epoch[9] == 45);
        for (i = 0; i < 40 * 6; i++) NEAR(r.first.data[i], t.x.data[i], 0);
        /* What comes back fits together: x is the angles', the last loss is x's. */
        OK_OR_RETURN(cel_paper_from_angles(t.angles, t.x, NULL));
        for (i = 0; i < 40 * 6; i++) NEAR(x.data[i], t.x.data[i], 0);
        OK_OR_RETURN(cel_paper_generate_loss(&t.model, &t.relations, x, &o, &again, none, NULL, NULL));
        NEAR_REL(again.loss, last.loss, 1e-6);
        cel_mat_free(&x);
        cel_mat_free(&r.first);
        close_tissue(&t);
    }
}

/* A symmetric relation given with and without its transpose, symmetric forces: one answer. */
static void symmetric_relation(void)
{
    tissue t;
    cel_csr even;
    cel_mat other, none;
    cel_paper_options o;
    int64_t i;
    memset(&none, 0, sizeof none);
    memset(&o, 0, sizeof o);
    o.lr = 0.01;
    if (!open_tissue(&t, 6, 40, 6)) return;
    for (i = 0; i < 2; i++) CHECK(cel_mat_symmetrise(cel_model_force(&t.model, i)) == CEL_OK);
    OK_OR_RETURN(cel_csr_symmetrise(&t.w, &even));
    OK_OR_RETURN(cel_mat_new(40, 5, &other));
    OK_OR_RETURN(cel_mat_copy(t.angles, other));
    OK_OR_RETURN(cel_paper_generate(&t.model, &t.relations, &o, t.angles, none, NULL, NULL, NULL));
    cel_relations_free(&t.relations);
    CHECK(test_relations(&t.relations, even.rows, &even, NULL, NULL));
    OK_OR_RETURN(cel_paper_generate(&t.model, &t.relations, &o, other, none, NULL, NULL, NULL));
    for (i = 0; i < 40 * 5; i++) NEAR(other.data[i], t.angles.data[i], sizeof(cel_real) == 8 ? 1e-12 : 1e-4);
    cel_csr_free(&even);
    cel_mat_free(&other);
    close_tissue(&t);
}

static void generate_progress_stops(void)
{
    tissue t;
    cel_paper_options o;
    cel_mat x, other;
    record r;
    double losses[50];
    int64_t i;
    memset(&o, 0, sizeof o);
    memset(&r, 0, sizeof r);
    r.stop_at = 4;
    o.progress.fn = take_progress;
    o.progress.user = &r;
    if (!open_tissue(&t, 5, 40, 6)) return;
    OK_OR_RETURN(cel_mat_new(40, 6, &x));
    OK_OR_RETURN(cel_mat_new(40, 5, &other));
    OK_OR_RETURN(cel_mat_copy(t.angles, other));
    CHECK(cel_paper_generate(&t.model, &t.relations, &o, t.angles, x, losses, NULL, NULL) == CEL_ERR_STOPPED);
    CHECK(r.done == 4);
    NEAR(losses[4], 0, 0);
    CHECK(!(losses[3] >= 0 && losses[3] <= 0));
    o.progress.fn = NULL;
    o.epochs = 4;
    OK_OR_RETURN(cel_paper_generate(&t.model, &t.relations, &o, other, t.x, NULL, NULL, NULL));
    for (i = 0; i < 40 * 6; i++) NEAR(x.data[i], t.x.data[i], 0);
    cel_mat_free(&x);
    cel_mat_free(&other);
    close_tissue(&t);
}

/* The callback of every thin epochs may end the run: x and the last loss are then those that it saw. */
static void snapshots_stop(void)
{
    tissue t;
    cel_paper_options o = CEL_ZERO;
    cel_paper_value last;
    cel_error err = CEL_ZERO;
    cel_mat x;
    record r;
    double losses[50];
    memset(&r, 0, sizeof r);
    r.stop_each = 6;
    o.thin = 3;
    o.each = take_snapshot;
    o.each_user = &r;
    if (!open_tissue(&t, 5, 40, 6)) return;
    OK_OR_RETURN(cel_mat_new(40, 6, &x));
    CHECK(cel_paper_generate(&t.model, &t.relations, &o, t.angles, x, losses, &last, &err) == CEL_ERR_STOPPED);
    CHECK(err.status == CEL_ERR_STOPPED && r.count == 3 && r.epoch[2] == 6);
    NEAR(last.loss, losses[6], 0);
    NEAR(losses[7], 0, 0);
    OK_OR_RETURN(cel_paper_from_angles(t.angles, t.x, NULL));
    CHECK(!memcmp(t.x.data, x.data, 40 * 6 * sizeof(cel_real)));
    /* An angle that is not finite is named. */
    t.angles.data[7 * 5 + 2] = (cel_real)NAN;
    CHECK(cel_paper_generate(&t.model, &t.relations, NULL, t.angles, x, losses, &last, &err) == CEL_ERR_DATA);
    CHECK(err.cell == 7 && err.gene == 2);
    NEAR(x.data[0], 0, 0);
    cel_mat_free(&x);
    close_tissue(&t);
}

static void generate_refuses(void)
{
    tissue t;
    cel_paper_options o;
    cel_model three, field;
    cel_paper_value loss;
    cel_mat none;
    double losses[50];
    memset(&o, 0, sizeof o);
    memset(&none, 0, sizeof none);
    if (!open_tissue(&t, 5, 10, 4)) return;
    OK_OR_RETURN(cel_model_new(4, 3, 0, &three));
    OK_OR_RETURN(cel_model_new(4, 2, 1, &field));
    CHECK(cel_paper_generate(&t.model, &t.relations, &o, t.x, none, NULL, NULL, NULL) == CEL_ERR_SHAPE);
    CHECK(cel_paper_generate(&t.model, &t.relations, &o, t.angles, t.angles, NULL, NULL, NULL) == CEL_ERR_SHAPE);
    CHECK(cel_paper_generate(&three, &t.relations, &o, t.angles, none, NULL, NULL, NULL) == CEL_ERR_SHAPE);
    CHECK(cel_paper_generate(&field, &t.relations, &o, t.angles, none, NULL, NULL, NULL) == CEL_ERR_ARG);
    CHECK(cel_paper_generate_loss(&t.model, &t.relations, t.x, &o, &loss, t.angles, NULL, NULL) == CEL_ERR_SHAPE);
    CHECK(cel_paper_generate_loss(&t.model, &t.relations, t.angles, &o, &loss, none, NULL, NULL) == CEL_ERR_SHAPE);
    o.epochs = -1;
    CHECK(cel_paper_generate(&t.model, &t.relations, &o, t.angles, none, NULL, NULL, NULL) == CEL_ERR_ARG);
    o.epochs = 0;
    /* Without log Z a field is welcome, and a share of `inter`. */
    o.no_log_z = 1;
    OK_OR_RETURN(cel_mat_copy(t.model.force, field.force));
    field.field[2] = 1;
    OK_OR_RETURN(cel_paper_generate(&field, &t.relations, &o, t.angles, t.x, NULL, &loss, NULL));
    {
        double h, share[3];
        OK_OR_RETURN(cel_model_energy(&field, &t.relations, t.x, &h, share, none, NULL));
        NEAR_REL(loss.loss, -0.1 * h, 1e-6);
        NEAR(loss.inter, share[1] + share[2], 1e-5 * (fabs(share[1]) + fabs(share[2])));
    }
    o.no_log_z = 0;
    t.model.force.data[1] = (cel_real)NAN;
    CHECK(cel_paper_generate(&t.model, &t.relations, &o, t.angles, none, losses, NULL, NULL) == CEL_ERR_NUMERIC);
    cel_model_free(&three);
    cel_model_free(&field);
    close_tissue(&t);
}

static void generate_threads_do_not_matter(void)
{
#ifdef _OPENMP
    tissue t;
    cel_paper_options o;
    cel_mat other, none;
    int before = cel_threads();
    memset(&o, 0, sizeof o);
    memset(&none, 0, sizeof none);
    o.epochs = 5;
    if (!open_tissue(&t, 5, 150, 30)) return;
    OK_OR_RETURN(cel_mat_new(150, 29, &other));
    OK_OR_RETURN(cel_mat_copy(t.angles, other));
    omp_set_num_threads(1);
    OK_OR_RETURN(cel_paper_generate(&t.model, &t.relations, &o, t.angles, none, NULL, NULL, NULL));
    omp_set_num_threads(3);
    OK_OR_RETURN(cel_paper_generate(&t.model, &t.relations, &o, other, none, NULL, NULL, NULL));
    omp_set_num_threads(before);
    CHECK(!memcmp(other.data, t.angles.data, 150 * 29 * sizeof(cel_real)));
    cel_mat_free(&other);
    close_tissue(&t);
#else
    SKIP("built without OpenMP");
#endif
}

void suite_published(void)
{
    RUN(adam_by_hand);
    RUN(adam_finds_a_minimum);
    RUN(gradient_is_a_derivative);
    RUN(zero_forces);
    RUN(spheres_agree_in_three_dimensions);
    RUN(start_is_symmetric);
    RUN(projection);
    RUN(unprojected_step);
    RUN(early_stop);
    RUN(several_slides);
    RUN(adam_fit);
    RUN(fit_progress_stops);
    RUN(fit_refuses);
    RUN(H20_published_fit_needs_no_threads);
    RUN(H17_published_options_are_checked);
    RUN(angles_of_every_sign);
    RUN(angles_of_random_rows);
    RUN(angles_by_hand);
    RUN(angles_refuse);
    RUN(back_propagation);
    RUN(objective_gradient);
    RUN(noise);
    RUN(descends);
    RUN(symmetric_relation);
    RUN(generate_progress_stops);
    RUN(snapshots_stop);
    RUN(generate_refuses);
    RUN(generate_threads_do_not_matter);
}
