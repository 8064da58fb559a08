/* Adam, and the published estimator. SPDX-License-Identifier: MIT */
#include "test.h"

#ifdef _OPENMP
#include <omp.h>
#endif

void suite_fit(void);

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
    double p[2] = {1, -2}, m = 0, v = 0, want = 1;
    int t;
    memset(&o, 0, sizeof o);
    OK_OR_RETURN(cel_adam_new(2, &a));
    /* The first step is lr against the sign of the gradient, whatever its size. */
    for (t = 1; t <= 5; t++) {
        double g[2];
        g[0] = 3.0 * t - 7;
        g[1] = 1e-3 / t;
        cel_adam_step_double(&a, NULL, g, p);
        if (t == 1) {
            NEAR(p[0], 1 + 0.001, 1e-10);
            NEAR(p[1], -2 - 0.001, 1e-7);
        }
        m = 0.9 * m + 0.1 * g[0];
        v = 0.999 * v + 0.001 * g[0] * g[0];
        want -= 0.001 * (m / (1 - pow(0.9, t))) / (sqrt(v / (1 - pow(0.999, t))) + 1e-8);
        NEAR(p[0], want, 1e-14);
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
        cel_real g = 2, x = 10;
        cel_mat grad = cel_mat_view(&g, 1, 1), param = cel_mat_view(&x, 1, 1);
        cel_adam_step(&a, &o, grad, param); /* m = 1 -> 2, v = 1 -> 4: 10 - 0.5 * 2 / 3 - 0.5 * 0.1 * 10 */
        NEAR(x, 10 - 1.0 / 3 - 0.5, 1e-6);
        g = -1; /* m = 0 -> 0, so only the decay is left */
        cel_adam_step(&a, &o, grad, param);
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
        cel_adam_step(&a, &o, grad, param);
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
    cel_mat d[2], none;
    double norm = 0, off = 0;
    int64_t i;
    memset(&o, 0, sizeof o);
    memset(&none, 0, sizeof none);
    o.q = 5;
    o.zmft = 0.3;
    o.sphere = sphere;
    if (!random_moments(4, N, 30, &moments) || !random_model(5, N, -scale, 2 * scale, &m)) return;
    OK_OR_RETURN(cel_mat_new(N, N, d));
    OK_OR_RETURN(cel_mat_new(N, N, d + 1));
    OK_OR_RETURN(cel_paper_loss(&m, &moments, &o, &at, d[0], d[1]));
    NEAR_REL(at.loss, at.log_z - 0.3 * (at.intra + at.inter), 1e-13);
    for (i = 0; i < 2 * N * N; i++) {
        cel_real keep = m.force.data[i], high, low;
        double got = (double)d[i / (N * N)].data[i % (N * N)], want;
        high = keep + (cel_real)1e-4;
        low = keep - (cel_real)1e-4;
        m.force.data[i] = high;
        OK_OR_RETURN(cel_paper_loss(&m, &moments, &o, &up, none, none));
        m.force.data[i] = low;
        OK_OR_RETURN(cel_paper_loss(&m, &moments, &o, &down, none, none));
        m.force.data[i] = keep;
        want = (up.loss - down.loss) / ((double)high - (double)low);
        norm += want * want;
        off += (want - got) * (want - got);
    }
    NEAR(sqrt(off / norm), 0, sizeof(cel_real) == 8 ? 1e-6 : 1e-4);
    cel_mat_free(d);
    cel_mat_free(d + 1);
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
    cel_mat d[2];
    if (!random_moments(4, 3, 30, &moments)) return;
    OK_OR_RETURN(cel_model_new(3, 2, 0, &m));
    OK_OR_RETURN(cel_mat_new(3, 3, d));
    OK_OR_RETURN(cel_mat_new(3, 3, d + 1));
    OK_OR_RETURN(cel_paper_loss(&m, &moments, NULL, &loss, d[0], d[1]));
    NEAR_REL(loss.log_z, 30 * log(2.0), 1e-12); /* f(0) = log 2 */
    NEAR(loss.kappa, 0, 0);
    /* f'(k)/k -> 1/3 but u = 0: what is left is -S m m^T - z C0. */
    NEAR(d[0].data[1], -(2 * moments.gram[6 * 7 + 0] * 2 * moments.gram[6 * 7 + 1]) / 30 - 0.1 * moments.gram[1], 1e-5);
    cel_mat_free(d);
    cel_mat_free(d + 1);
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
    OK_OR_RETURN(cel_paper_loss(&m, &moments, &o, &paper, none, none));
    o.sphere = CEL_SPHERE_RIGHT;
    OK_OR_RETURN(cel_paper_loss(&m, &moments, &o, &right, none, none));
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
        OK_OR_RETURN(cel_paper_fit(&moments, 1, &o, &m, NULL, &report));
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
    cel_mat d[2];
    double trace;
    int64_t i;
    memset(&o, 0, sizeof o);
    o.epochs = 1;
    o.lr = 0.25;
    o.no_projection = 1;
    if (!random_moments(8, N, 25, &moments) || !random_model(9, N, -1, 1, &m) || !random_model(9, N, -1, 1, &start))
        return;
    OK_OR_RETURN(cel_mat_new(N, N, d));
    OK_OR_RETURN(cel_mat_new(N, N, d + 1));
    OK_OR_RETURN(cel_paper_loss(&m, &moments, &o, &loss, d[0], d[1]));
    OK_OR_RETURN(cel_paper_fit(&moments, 1, &o, &m, &trace, NULL));
    NEAR_REL(trace, loss.loss, 1e-12);
    for (i = 0; i < 2 * N * N; i++)
        NEAR(m.force.data[i], (double)start.force.data[i] - 0.25 * (double)d[i / (N * N)].data[i % (N * N)],
             sizeof(cel_real) == 8 ? 1e-12 : 1e-5);
    cel_mat_free(d);
    cel_mat_free(d + 1);
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
    OK_OR_RETURN(cel_paper_fit(&moments, 1, &o, &m, losses, &report));
    CHECK(report.converged && report.epochs > 1 && report.epochs < 200);
    NEAR_REL(losses[report.epochs - 1], losses[report.epochs - 2], 1e-9);
    NEAR(losses[report.epochs], 0, 0);
    NEAR(losses[199], 0, 0);
    NEAR_REL(report.final.loss, losses[report.epochs - 1], 1e-6);
    o.tolerance = 0;
    OK_OR_RETURN(cel_paper_fit(&moments, 1, &o, &m, losses, &report));
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
    OK_OR_RETURN(cel_paper_fit(s, 1, &o, &a, la, NULL));
    o.summed = 1;
    OK_OR_RETURN(cel_paper_fit(s, 1, &o, &b, lb, NULL));
    NEAR(distance(&a, &b), 0, 0);
    CHECK(!memcmp(la, lb, sizeof la));

    /* Summed: the slides' order does not matter; two copies at half the rate are one. */
    for (i = 0; i < 3; i++) swapped[i] = s[2 - i];
    OK_OR_RETURN(cel_paper_start(1, &a));
    OK_OR_RETURN(cel_paper_start(1, &b));
    OK_OR_RETURN(cel_paper_fit(s, 3, &o, &a, la, &report));
    OK_OR_RETURN(cel_paper_fit(swapped, 3, &o, &b, lb, NULL));
    NEAR(distance(&a, &b), 0, 1e-6);
    for (i = 0; i < 7; i++) NEAR_REL(la[i], lb[i], 1e-9);
    CHECK(report.final.loss < la[0]);
    twice[0] = twice[1] = s[1];
    OK_OR_RETURN(cel_paper_start(1, &a));
    OK_OR_RETURN(cel_paper_start(1, &b));
    OK_OR_RETURN(cel_paper_fit(s + 1, 1, &o, &a, la, NULL));
    o.lr /= 2;
    OK_OR_RETURN(cel_paper_fit(twice, 2, &o, &b, lb, NULL));
    o.lr *= 2;
    NEAR(distance(&a, &b), 0, 1e-6);
    for (i = 0; i < 7; i++) NEAR_REL(lb[i], 2 * la[i], 1e-9);

    /* A step a slide: the same seed is the same shuffle, another seed another path, and copies in any
     * order are a lone slide with as many epochs more. */
    o.summed = 0;
    o.seed = 1;
    OK_OR_RETURN(cel_paper_start(1, &a));
    OK_OR_RETURN(cel_paper_start(1, &b));
    OK_OR_RETURN(cel_paper_fit(s, 3, &o, &a, la, NULL));
    OK_OR_RETURN(cel_paper_fit(s, 3, &o, &b, lb, NULL));
    NEAR(distance(&a, &b), 0, 0);
    o.seed = 2;
    OK_OR_RETURN(cel_paper_start(1, &b));
    OK_OR_RETURN(cel_paper_fit(s, 3, &o, &b, lb, NULL));
    CHECK(memcmp(la, lb, sizeof la) != 0);
    OK_OR_RETURN(cel_paper_start(1, &a));
    OK_OR_RETURN(cel_paper_start(1, &b));
    o.epochs = 3;
    OK_OR_RETURN(cel_paper_fit(twice, 2, &o, &a, la, NULL));
    o.epochs = 6;
    OK_OR_RETURN(cel_paper_fit(s + 1, 1, &o, &b, lb, NULL));
    NEAR(distance(&a, &b), 0, sizeof(cel_real) == 8 ? 1e-13 : 1e-7);
    for (i = 0; i < 3; i++) NEAR_REL(la[i], lb[2 * i] + lb[2 * i + 1], 1e-12);

    /* q a slide. */
    OK_OR_RETURN(cel_paper_start(1, &a));
    OK_OR_RETURN(cel_paper_start(1, &b));
    OK_OR_RETURN(cel_paper_fit(s, 3, &o, &a, NULL, NULL));
    o.slide_q = q;
    OK_OR_RETURN(cel_paper_fit(s, 3, &o, &b, NULL, NULL));
    NEAR(distance(&a, &b), 0, 0);
    q[1] = 4.5;
    OK_OR_RETURN(cel_paper_fit(s, 3, &o, &b, NULL, NULL));
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
    cel_mat d[2];
    double losses[300];
    int64_t i;
    memset(&o, 0, sizeof o);
    o.optimiser = CEL_OPTIMISER_ADAM;
    o.no_projection = 1;
    o.epochs = 1;
    o.lr = 0.01;
    if (!random_moments(8, N, 25, &moments) || !random_model(9, N, 0, 1, &m) || !random_model(9, N, 0, 1, &start))
        return;
    OK_OR_RETURN(cel_mat_new(N, N, d));
    OK_OR_RETURN(cel_mat_new(N, N, d + 1));
    OK_OR_RETURN(cel_paper_loss(&m, &moments, &o, &loss, d[0], d[1]));
    OK_OR_RETURN(cel_paper_fit(&moments, 1, &o, &m, NULL, NULL));
    for (i = 0; i < 2 * N * N; i++) {
        double g = (double)d[i / (N * N)].data[i % (N * N)];
        NEAR(m.force.data[i], (double)start.force.data[i] - (g > 0 ? 0.01 : -0.01), 1e-6);
    }
    o.no_projection = 0;
    o.epochs = 300;
    OK_OR_RETURN(cel_paper_start(1, &m));
    OK_OR_RETURN(cel_paper_fit(&moments, 1, &o, &m, losses, &report));
    CHECK(report.final.loss < losses[0]);
    cel_mat_free(d);
    cel_mat_free(d + 1);
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

static void progress_stops(void)
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
    CHECK(cel_paper_fit(&moments, 1, &o, &a, losses, &report) == CEL_ERR_STOPPED);
    CHECK(seen == 3 && report.epochs == 3 && losses[2] > 0 && losses[3] <= 0);
    o.progress.fn = NULL;
    o.epochs = 3;
    OK_OR_RETURN(cel_paper_fit(&moments, 1, &o, &b, NULL, NULL));
    NEAR(distance(&a, &b), 0, 0);
    cel_moments_free(&moments);
    cel_model_free(&a);
    cel_model_free(&b);
}

static void refuses(void)
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
    CHECK(cel_paper_fit(&moments, 1, NULL, &field, NULL, NULL) == CEL_ERR_ARG);
    CHECK(cel_paper_fit(&moments, 1, NULL, &three, NULL, NULL) == CEL_ERR_SHAPE);
    CHECK(cel_paper_fit(&few, 1, NULL, &m, NULL, NULL) == CEL_ERR_SHAPE);
    CHECK(cel_paper_fit(&moments, 0, NULL, &m, NULL, NULL) == CEL_ERR_ARG);
    CHECK(cel_paper_loss(&m, &moments, NULL, &loss, wrong, none) == CEL_ERR_SHAPE);
    CHECK(cel_paper_loss(&m, &moments, NULL, &loss, none, wrong) == CEL_ERR_SHAPE);
    o.epochs = -1;
    CHECK(cel_paper_fit(&moments, 1, &o, &m, NULL, NULL) == CEL_ERR_ARG);
    o.epochs = 0;
    o.slide_q = &q;
    CHECK(cel_paper_fit(&moments, 1, &o, &m, NULL, NULL) == CEL_ERR_ARG);
    o.slide_q = NULL;
    moments.cells = 0;
    CHECK(cel_paper_fit(&moments, 1, &o, &m, NULL, NULL) == CEL_ERR_DATA);
    moments.cells = 50;
    /* A diverging run leaves the forces as they were given. */
    o.lr = 1e300;
    o.no_projection = 1;
    CHECK(cel_paper_fit(&moments, 1, &o, &m, NULL, &report) == CEL_ERR_NUMERIC);
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

static void threads_do_not_matter(void)
{
#ifdef _OPENMP
    enum { N = 210 };
    cel_moments moments;
    cel_model a, b;
    cel_paper_options o;
    int before = cel_threads();
    memset(&o, 0, sizeof o);
    o.epochs = 5;
    o.lr = 1e-4;
    if (!random_moments(8, N, 20, &moments)) return;
    OK_OR_RETURN(cel_model_new(N, 2, 0, &a));
    OK_OR_RETURN(cel_model_new(N, 2, 0, &b));
    OK_OR_RETURN(cel_paper_start(1, &a));
    OK_OR_RETURN(cel_paper_start(1, &b));
    omp_set_num_threads(1);
    OK_OR_RETURN(cel_paper_fit(&moments, 1, &o, &a, NULL, NULL));
    omp_set_num_threads(3);
    OK_OR_RETURN(cel_paper_fit(&moments, 1, &o, &b, NULL, NULL));
    omp_set_num_threads(before);
    CHECK(!memcmp(a.force.data, b.force.data, 2 * N * N * sizeof(cel_real)));
    cel_moments_free(&moments);
    cel_model_free(&a);
    cel_model_free(&b);
#else
    SKIP("built without OpenMP");
#endif
}

void suite_fit(void)
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
    RUN(progress_stops);
    RUN(refuses);
    RUN(threads_do_not_matter);
}
