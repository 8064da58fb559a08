/* Spherical angles, and the published generator. SPDX-License-Identifier: MIT */
#include "test.h"

#ifdef _OPENMP
#include <omp.h>
#endif

void suite_generate(void);

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
    return CHECK(cel_paper_from_angles(t->angles, t->x) == CEL_OK);
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
    OK_OR_RETURN(cel_paper_from_angles(angles, back));
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
    OK_OR_RETURN(cel_paper_from_angles(cel_mat_view(t, 1, 2), cel_mat_view(x, 1, 3)));
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
    CHECK(cel_paper_to_angles(x, angles, &err) == CEL_ERR_DATA && err.cell == 1 && err.what);
    cel_mat_fill(cel_mat_block(x, 2, 0, 1, 4), 0);
    x.data[5] = 1;
    cel_mat_fill(angles, 7);
    CHECK(cel_paper_to_angles(x, angles, &err) == CEL_ERR_DATA && err.cell == 2);
    NEAR(angles.data[0], 0, 0);
    x.data[8] = (cel_real)INFINITY;
    CHECK(cel_paper_to_angles(x, angles, NULL) == CEL_ERR_DATA);
    CHECK(cel_paper_to_angles(x, x, &err) == CEL_ERR_SHAPE);
    CHECK(cel_paper_from_angles(x, angles) == CEL_ERR_SHAPE);
    CHECK(cel_paper_from_angles(cel_mat_block(x, 0, 0, 3, 0), cel_mat_block(x, 0, 0, 3, 1)) == CEL_ERR_ARG);
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
        OK_OR_RETURN(cel_paper_from_angles(angles, row));
        for (k = 0; k < N; k++) d_x[k] = c[k] * x[k] + 1;
        OK_OR_RETURN(cel_paper_angles_gradient(angles, cel_mat_view(d_x, 1, N), cel_mat_view(d_t, 1, N - 1), NULL));
        for (k = 0; k < N - 1; k++) {
            cel_real keep = t[k], high = keep + (cel_real)step, low = keep - (cel_real)step;
            double up, down;
            t[k] = high;
            OK_OR_RETURN(cel_paper_from_angles(angles, row));
            up = quadratic(row, c);
            t[k] = low;
            OK_OR_RETURN(cel_paper_from_angles(angles, row));
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
    cel_paper_generate_options o;
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
    OK_OR_RETURN(cel_paper_generate_loss(&t.model, &t.relations, t.x, &o, &at, d_x, NULL));
    OK_OR_RETURN(cel_paper_angles_gradient(t.angles, d_x, d_t, NULL));
    NEAR_REL(at.loss, at.log_z - 0.7 * (at.intra + at.inter), 1e-12);
    if (no_log_z) NEAR(at.log_z, 0, 0);
    for (i = 0; i < 12 * 5; i++) {
        cel_real keep = t.angles.data[i], high = keep + (cel_real)step, low = keep - (cel_real)step;
        double want;
        t.angles.data[i] = high;
        OK_OR_RETURN(cel_paper_from_angles(t.angles, t.x));
        OK_OR_RETURN(cel_paper_generate_loss(&t.model, &t.relations, t.x, &o, &up, none, NULL));
        t.angles.data[i] = low;
        OK_OR_RETURN(cel_paper_from_angles(t.angles, t.x));
        OK_OR_RETURN(cel_paper_generate_loss(&t.model, &t.relations, t.x, &o, &down, none, NULL));
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
    int64_t epoch[16], count, stop_at, done;
    cel_mat first; /* the expression at epoch 0 */
} record;

static void take_snapshot(void *user, int64_t epoch, cel_mat x)
{
    record *r = (record *)user;
    if (r->count < 16) r->epoch[r->count++] = epoch;
    if (epoch == 0) CHECK(cel_mat_copy(x, r->first) == CEL_OK);
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
    cel_paper_generate_options o;
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
        o.optimiser = (cel_optimiser)optimiser;
        o.lr = 0.005;
        o.snapshot = take_snapshot;
        o.snapshot_user = &r;
        o.progress.fn = take_progress;
        o.progress.user = &r;
        if (!open_tissue(&t, 5, 40, 6)) return;
        OK_OR_RETURN(cel_mat_new(40, 6, &x));
        OK_OR_RETURN(cel_mat_new(40, 6, &r.first));
        OK_OR_RETURN(cel_paper_generate(&t.model, &t.relations, &o, t.angles, x, losses, &last));
        for (e = 1; e < 50; e++) CHECK(losses[e] < losses[e - 1]);
        CHECK(last.loss < losses[49] && r.done == 50);
        CHECK(r.count == 10 && r.epoch[0] == 0 && r.epoch[1] == 5 && r.epoch[9] == 45);
        for (i = 0; i < 40 * 6; i++) NEAR(r.first.data[i], t.x.data[i], 0);
        /* What comes back fits together: x is the angles', the last loss is x's. */
        OK_OR_RETURN(cel_paper_from_angles(t.angles, t.x));
        for (i = 0; i < 40 * 6; i++) NEAR(x.data[i], t.x.data[i], 0);
        OK_OR_RETURN(cel_paper_generate_loss(&t.model, &t.relations, x, &o, &again, none, NULL));
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
    cel_paper_generate_options o;
    int64_t i;
    memset(&none, 0, sizeof none);
    memset(&o, 0, sizeof o);
    o.lr = 0.01;
    if (!open_tissue(&t, 6, 40, 6)) return;
    for (i = 0; i < 2; i++) CHECK(cel_mat_symmetrise(cel_model_force(&t.model, i)) == CEL_OK);
    OK_OR_RETURN(cel_csr_symmetrise(&t.w, &even));
    OK_OR_RETURN(cel_mat_new(40, 5, &other));
    OK_OR_RETURN(cel_mat_copy(t.angles, other));
    OK_OR_RETURN(cel_paper_generate(&t.model, &t.relations, &o, t.angles, none, NULL, NULL));
    cel_relations_free(&t.relations);
    CHECK(test_relations(&t.relations, even.rows, &even, NULL, NULL));
    OK_OR_RETURN(cel_paper_generate(&t.model, &t.relations, &o, other, none, NULL, NULL));
    for (i = 0; i < 40 * 5; i++) NEAR(other.data[i], t.angles.data[i], sizeof(cel_real) == 8 ? 1e-12 : 1e-4);
    cel_csr_free(&even);
    cel_mat_free(&other);
    close_tissue(&t);
}

static void progress_stops(void)
{
    tissue t;
    cel_paper_generate_options o;
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
    CHECK(cel_paper_generate(&t.model, &t.relations, &o, t.angles, x, losses, NULL) == CEL_ERR_STOPPED);
    CHECK(r.done == 4);
    NEAR(losses[4], 0, 0);
    CHECK(!(losses[3] >= 0 && losses[3] <= 0));
    o.progress.fn = NULL;
    o.epochs = 4;
    OK_OR_RETURN(cel_paper_generate(&t.model, &t.relations, &o, other, t.x, NULL, NULL));
    for (i = 0; i < 40 * 6; i++) NEAR(x.data[i], t.x.data[i], 0);
    cel_mat_free(&x);
    cel_mat_free(&other);
    close_tissue(&t);
}

static void refuses(void)
{
    tissue t;
    cel_paper_generate_options o;
    cel_model three, field;
    cel_paper_value loss;
    cel_mat none;
    double losses[50];
    memset(&o, 0, sizeof o);
    memset(&none, 0, sizeof none);
    if (!open_tissue(&t, 5, 10, 4)) return;
    OK_OR_RETURN(cel_model_new(4, 3, 0, &three));
    OK_OR_RETURN(cel_model_new(4, 2, 1, &field));
    CHECK(cel_paper_generate(&t.model, &t.relations, &o, t.x, none, NULL, NULL) == CEL_ERR_SHAPE);
    CHECK(cel_paper_generate(&t.model, &t.relations, &o, t.angles, t.angles, NULL, NULL) == CEL_ERR_SHAPE);
    CHECK(cel_paper_generate(&three, &t.relations, &o, t.angles, none, NULL, NULL) == CEL_ERR_SHAPE);
    CHECK(cel_paper_generate(&field, &t.relations, &o, t.angles, none, NULL, NULL) == CEL_ERR_ARG);
    CHECK(cel_paper_generate_loss(&t.model, &t.relations, t.x, &o, &loss, t.angles, NULL) == CEL_ERR_SHAPE);
    CHECK(cel_paper_generate_loss(&t.model, &t.relations, t.angles, &o, &loss, none, NULL) == CEL_ERR_SHAPE);
    o.epochs = -1;
    CHECK(cel_paper_generate(&t.model, &t.relations, &o, t.angles, none, NULL, NULL) == CEL_ERR_ARG);
    o.epochs = 0;
    /* Without log Z a field is welcome, and a share of `inter`. */
    o.no_log_z = 1;
    OK_OR_RETURN(cel_mat_copy(t.model.force, field.force));
    field.field[2] = 1;
    OK_OR_RETURN(cel_paper_generate(&field, &t.relations, &o, t.angles, t.x, NULL, &loss));
    {
        double h, share[3];
        OK_OR_RETURN(cel_model_energy(&field, &t.relations, t.x, &h, share, none, NULL));
        NEAR_REL(loss.loss, -0.1 * h, 1e-6);
        NEAR(loss.inter, share[1] + share[2], 1e-5 * (fabs(share[1]) + fabs(share[2])));
    }
    o.no_log_z = 0;
    t.model.force.data[1] = (cel_real)NAN;
    CHECK(cel_paper_generate(&t.model, &t.relations, &o, t.angles, none, losses, NULL) == CEL_ERR_NUMERIC);
    cel_model_free(&three);
    cel_model_free(&field);
    close_tissue(&t);
}

static void threads_do_not_matter(void)
{
#ifdef _OPENMP
    tissue t;
    cel_paper_generate_options o;
    cel_mat other, none;
    int before = cel_threads();
    memset(&o, 0, sizeof o);
    memset(&none, 0, sizeof none);
    o.epochs = 5;
    if (!open_tissue(&t, 5, 150, 30)) return;
    OK_OR_RETURN(cel_mat_new(150, 29, &other));
    OK_OR_RETURN(cel_mat_copy(t.angles, other));
    omp_set_num_threads(1);
    OK_OR_RETURN(cel_paper_generate(&t.model, &t.relations, &o, t.angles, none, NULL, NULL));
    omp_set_num_threads(3);
    OK_OR_RETURN(cel_paper_generate(&t.model, &t.relations, &o, other, none, NULL, NULL));
    omp_set_num_threads(before);
    CHECK(!memcmp(other.data, t.angles.data, 150 * 29 * sizeof(cel_real)));
    cel_mat_free(&other);
    close_tissue(&t);
#else
    SKIP("built without OpenMP");
#endif
}

void suite_generate(void)
{
    RUN(angles_of_every_sign);
    RUN(angles_of_random_rows);
    RUN(angles_by_hand);
    RUN(angles_refuse);
    RUN(back_propagation);
    RUN(objective_gradient);
    RUN(noise);
    RUN(descends);
    RUN(symmetric_relation);
    RUN(progress_stops);
    RUN(refuses);
    RUN(threads_do_not_matter);
}
