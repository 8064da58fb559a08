/* CSR matrices against dense twins. SPDX-License-Identifier: MIT */
#include "test.h"

#if defined(_OPENMP)
#include <omp.h>
#endif

void suite_sparse(void);

static const double eps = sizeof(cel_real) == 8 ? 1e-15 : 1e-6;

/* A random matrix of about count entries, some of them in the same place. */
static int64_t random_edges(uint64_t seed, int64_t rows, int64_t cols, int64_t count, int64_t *row, int64_t *col,
                            cel_real *value)
{
    cel_rng rng = cel_rng_at(seed, 1, 0, 0);
    int64_t e;
    for (e = 0; e < count; e++) {
        row[e] = (int64_t)cel_rng_integer(&rng, (uint32_t)rows);
        col[e] = (int64_t)cel_rng_integer(&rng, (uint32_t)cols);
        value[e] = (cel_real)(cel_rng_uniform(&rng) - 0.3);
        if (e % 7 == 3) row[e] = row[e - 1], col[e] = col[e - 1];
    }
    return count;
}

static cel_csr random_csr(uint64_t seed, int64_t rows, int64_t cols, int64_t count)
{
    int64_t *row = (int64_t *)malloc((size_t)(count + 1) * 8), *col = (int64_t *)malloc((size_t)(count + 1) * 8);
    cel_real *value = (cel_real *)malloc((size_t)(count + 1) * sizeof(cel_real));
    cel_csr a;
    random_edges(seed, rows, cols, count, row, col, value);
    CHECK(cel_csr_from_edges(rows, cols, count, row, col, value, &a, NULL) == CEL_OK);
    free(row);
    free(col);
    free(value);
    return a;
}

/* The dense twin, rows x cols; free it. */
static double *dense(const cel_csr *a)
{
    double *d = (double *)calloc((size_t)(a->rows * a->cols + 1), sizeof(double));
    int64_t i, e;
    for (i = 0; i < a->rows; i++)
        for (e = a->start[i]; e < a->start[i + 1]; e++) d[i * a->cols + a->index[e]] += (double)a->value[e];
    return d;
}

/* Sorted, no duplicates, offsets in order. */
static int well_formed(const cel_csr *a)
{
    int64_t i, e;
    if (!a->start || a->start[0] != 0) return 0;
    for (i = 0; i < a->rows; i++) {
        if (a->start[i + 1] < a->start[i]) return 0;
        for (e = a->start[i]; e < a->start[i + 1]; e++) {
            if (a->index[e] < 0 || a->index[e] >= a->cols) return 0;
            if (e > a->start[i] && a->index[e] <= a->index[e - 1]) return 0;
        }
    }
    return cel_csr_count(a) == a->start[a->rows];
}

static int same_csr(const cel_csr *a, const cel_csr *b)
{
    size_t n = (size_t)cel_csr_count(a);
    return a->rows == b->rows && a->cols == b->cols && cel_csr_count(a) == cel_csr_count(b) &&
           !memcmp(a->start, b->start, (size_t)(a->rows + 1) * sizeof *a->start) &&
           !memcmp(a->index, b->index, n * sizeof *a->index) && !memcmp(a->value, b->value, n * sizeof *a->value);
}

static cel_csr copy_csr(const cel_csr *a)
{
    cel_csr t = CEL_ZERO, b = CEL_ZERO;
    CHECK(cel_csr_transpose(a, &t) == CEL_OK && cel_csr_transpose(&t, &b) == CEL_OK);
    cel_csr_free(&t);
    return b;
}

static void from_edges(void)
{
    enum { ROWS = 23, COLS = 17, COUNT = 400 };
    int64_t row[COUNT], col[COUNT], e, i, j;
    cel_real value[COUNT];
    double twin[ROWS * COLS] = {0}, count[ROWS * COLS] = {0}, *d;
    cel_csr a, ones;
    random_edges(3, ROWS, COLS, COUNT, row, col, value);
    for (e = 0; e < COUNT; e++) {
        twin[row[e] * COLS + col[e]] += (double)value[e];
        count[row[e] * COLS + col[e]] += 1;
    }
    OK_OR_RETURN(cel_csr_from_edges(ROWS, COLS, COUNT, row, col, value, &a, NULL));
    OK_OR_RETURN(cel_csr_from_edges(ROWS, COLS, COUNT, row, col, NULL, &ones, NULL));
    CHECK(well_formed(&a) && well_formed(&ones));
    d = dense(&a);
    for (i = 0; i < ROWS * COLS; i++) NEAR(d[i], twin[i], 10 * eps);
    free(d);
    d = dense(&ones);
    for (i = 0; i < ROWS; i++)
        for (j = 0; j < COLS; j++) NEAR(d[i * COLS + j], count[i * COLS + j], 0);
    free(d);
    cel_csr_free(&a);
    cel_csr_free(&ones);
    cel_csr_free(&ones);
    CHECK(a.start == NULL && cel_csr_count(&a) == 0);
}

static void edges_out_of_range(void)
{
    int64_t row[3] = {0, 1, 2}, col[3] = {0, 4, 1};
    cel_csr a;
    cel_error err = {CEL_OK, NULL, 0, 0, 0};
    CHECK(cel_csr_from_edges(3, 4, 3, row, col, NULL, &a, &err) == CEL_ERR_ARG);
    CHECK(err.status == CEL_ERR_ARG && err.offset == 1 && err.what != NULL && err.cell == -1);
    CHECK(a.start == NULL && a.rows == 0);
    row[0] = -1;
    CHECK(cel_csr_from_edges(3, 5, 3, row, col, NULL, &a, &err) == CEL_ERR_ARG && err.offset == 0);
    CHECK(cel_csr_from_edges(-1, 5, 0, row, col, NULL, &a, NULL) == CEL_ERR_ARG);
    CHECK(cel_csr_from_edges(3, (int64_t)1 << 40, 0, row, col, NULL, &a, NULL) == CEL_ERR_ARG);
    CHECK(cel_csr_from_edges(3, 5, -1, row, col, NULL, &a, NULL) == CEL_ERR_ARG);
    OK_OR_RETURN(cel_csr_from_edges(0, 0, 0, row, col, NULL, &a, NULL));
    CHECK(cel_csr_count(&a) == 0);
    cel_csr_free(&a);
}

static void transpose(void)
{
    cel_csr a = random_csr(5, 31, 12, 150), t, back;
    double *d = dense(&a), *dt;
    int64_t i, j;
    OK_OR_RETURN(cel_csr_transpose(&a, &t));
    OK_OR_RETURN(cel_csr_transpose(&t, &back));
    CHECK(well_formed(&t) && t.rows == 12 && t.cols == 31);
    dt = dense(&t);
    for (i = 0; i < a.rows; i++)
        for (j = 0; j < a.cols; j++) NEAR(dt[j * t.cols + i], d[i * a.cols + j], 0);
    CHECK(same_csr(&a, &back));
    free(d);
    free(dt);
    cel_csr_free(&a);
    cel_csr_free(&t);
    cel_csr_free(&back);
}

static void symmetrise(void)
{
    cel_csr a = random_csr(7, 29, 29, 120), s, wide = random_csr(7, 3, 4, 5), out;
    double *d = dense(&a), *ds;
    int64_t i, j;
    CHECK(!cel_csr_is_symmetric(&a) && !cel_csr_is_symmetric(&wide));
    OK_OR_RETURN(cel_csr_symmetrise(&a, &s));
    CHECK(well_formed(&s) && cel_csr_is_symmetric(&s));
    ds = dense(&s);
    for (i = 0; i < 29; i++)
        for (j = 0; j < 29; j++) NEAR(ds[i * 29 + j], (d[i * 29 + j] + d[j * 29 + i]) / 2, 4 * eps);
    for (i = s.start[5]; s.index[i] == 5; i++) {
    }
    s.value[i] = s.value[i] * 2 + 1;
    CHECK(!cel_csr_is_symmetric(&s));
    CHECK(cel_csr_symmetrise(&wide, &out) == CEL_ERR_SHAPE && out.start == NULL);
    free(d);
    free(ds);
    cel_csr_free(&a);
    cel_csr_free(&s);
    cel_csr_free(&wide);
}

static void normalise(void)
{
    int kind;
    for (kind = 0; kind < 3; kind++) {
        cel_csr a = random_csr(11, 40, 40, 160), b;
        double r[40] = {0}, c[40] = {0}, *d, *n;
        int64_t i, j, e;
        for (e = 0; e < cel_csr_count(&a); e++) a.value[e] = (cel_real)fabs((double)a.value[e]);
        for (e = a.start[4]; e < a.start[5]; e++) a.value[e] = 0;
        b = copy_csr(&a);
        OK_OR_RETURN(cel_csr_normalise(&b, (cel_csr_norm)kind));
        d = dense(&a);
        n = dense(&b);
        for (i = 0; i < 40; i++)
            for (j = 0; j < 40; j++) {
                r[i] += d[i * 40 + j];
                c[j] += d[i * 40 + j];
            }
        for (i = 0; i < 40; i++)
            for (j = 0; j < 40; j++) {
                double by = kind == CEL_NORM_ROW ? r[i] : sqrt(r[i] * (kind == CEL_NORM_SYM ? c[j] : r[j]));
                NEAR(n[i * 40 + j], by > 0 ? d[i * 40 + j] / by : 0, 4 * eps);
            }
        free(d);
        free(n);
        cel_csr_free(&a);
        cel_csr_free(&b);
    }
}

static void normalise_errors(void)
{
    cel_csr wide = random_csr(13, 4, 5, 9), a, b;
    int64_t row[2] = {0, 1}, col[2] = {1, 0};
    cel_real value[2] = {-1, 2};
    CHECK(cel_csr_normalise(&wide, CEL_NORM_GCN) == CEL_ERR_SHAPE);
    CHECK(cel_csr_normalise(&wide, (cel_csr_norm)9) == CEL_ERR_ARG);
    OK_OR_RETURN(cel_csr_from_edges(2, 2, 2, row, col, value, &a, NULL));
    b = copy_csr(&a);
    CHECK(cel_csr_normalise(&a, CEL_NORM_SYM) == CEL_ERR_DATA && same_csr(&a, &b));
    CHECK(cel_csr_normalise(&a, CEL_NORM_GCN) == CEL_ERR_DATA && same_csr(&a, &b));
    OK_OR_RETURN(cel_csr_normalise(&a, CEL_NORM_ROW));
    NEAR(a.value[0], 1, 0);
    cel_csr_free(&wide);
    cel_csr_free(&a);
    cel_csr_free(&b);
}

/* y = alpha A x + beta y for every width up to past a few registers, strided views, long and empty rows. */
static void multiply(void)
{
    static const int64_t width[] = {1, 2, 3, 4, 5, 7, 8, 9, 15, 16, 17, 31, 32, 33, 63, 64, 65, 100, 129, 200, 0};
    int w, turn;
    for (w = 0; w < 21; w++)
        for (turn = 0; turn < 3; turn++) {
            int64_t n = width[w], i, j, k, rows = 37, cols = 26;
            cel_csr a = random_csr((uint64_t)(w + 1), rows, cols, turn == 2 ? 700 : 60);
            cel_real alpha = turn == 1 ? (cel_real)-0.7 : 1, beta = turn == 1 ? (cel_real)0.4 : 0;
            cel_mat x, y, xv, yv;
            cel_rng rng = cel_rng_at(2, 0, 0, 0);
            double *d = dense(&a);
            OK_OR_RETURN(cel_mat_new(cols, n + 3, &x));
            OK_OR_RETURN(cel_mat_new(rows, n + 5, &y));
            xv = cel_mat_block(x, 0, 1, cols, n);
            yv = cel_mat_block(y, 0, 2, rows, n);
            cel_rng_normals(&rng, x.data, cols * (n + 3));
            cel_mat_fill(y, beta < 0 || beta > 0 ? (cel_real)0.5 : (cel_real)NAN);
            OK_OR_RETURN(cel_csr_mul(alpha, &a, xv, beta, yv));
            for (i = 0; i < rows; i++)
                for (j = 0; j < n; j++) {
                    double sum = 0, size = 1;
                    for (k = 0; k < cols; k++) {
                        double t = d[i * cols + k] * (double)xv.data[k * xv.stride + j];
                        sum += t;
                        size += fabs(t);
                    }
                    NEAR(yv.data[i * yv.stride + j], (double)alpha * sum + (double)beta * 0.5, 10 * eps * size);
                }
            for (i = 0; i < rows; i++) /* the margins are untouched */
                for (j = 0; j < 4; j++) {
                    double margin = (double)y.data[i * y.stride + (j < 2 ? j : n + j)];
                    CHECK(turn == 1 ? !(margin > 0.5 || margin < 0.5) : isnan(margin));
                }
            free(d);
            cel_csr_free(&a);
            cel_mat_free(&x);
            cel_mat_free(&y);
        }
}

static void multiply_rows(void)
{
    cel_csr a = random_csr(17, 50, 30, 200);
    int32_t list[6] = {3, 49, 0, 7, 7, 20}, bad[1] = {50};
    cel_mat x, y, part;
    cel_rng rng = cel_rng_at(3, 0, 0, 0);
    int r;
    OK_OR_RETURN(cel_mat_new(30, 21, &x));
    OK_OR_RETURN(cel_mat_new(50, 21, &y));
    OK_OR_RETURN(cel_mat_new(6, 21, &part));
    cel_rng_normals(&rng, x.data, 30 * 21);
    OK_OR_RETURN(cel_csr_mul((cel_real)1.5, &a, x, 0, y));
    OK_OR_RETURN(cel_csr_mul_rows((cel_real)1.5, &a, list, 6, x, 0, part));
    for (r = 0; r < 6; r++) CHECK(!memcmp(part.data + r * 21, y.data + list[r] * 21, 21 * sizeof(cel_real)));
    OK_OR_RETURN(cel_csr_mul_rows((cel_real)1.5, &a, NULL, 6, x, 0, part));
    CHECK(!memcmp(part.data, y.data, 6 * 21 * sizeof(cel_real)));
    CHECK(cel_csr_mul_rows(1, &a, NULL, 51, cel_mat_block(x, 0, 0, 30, 20), 0, cel_mat_view(y.data, 51, 20)) ==
          CEL_ERR_SHAPE);
    CHECK(cel_csr_mul_rows(1, &a, list, 5, x, 0, part) == CEL_ERR_SHAPE);
    CHECK(cel_csr_mul_rows(1, &a, bad, 1, x, 0, cel_mat_block(part, 0, 0, 1, 21)) == CEL_ERR_ARG);
    CHECK(cel_csr_mul(1, &a, y, 0, x) == CEL_ERR_SHAPE);
    CHECK(cel_csr_mul(1, &a, x, 0, cel_mat_block(y, 0, 0, 50, 20)) == CEL_ERR_SHAPE);
    cel_csr_free(&a);
    cel_mat_free(&x);
    cel_mat_free(&y);
    cel_mat_free(&part);
}

static void multiply_threads(void)
{
#if defined(_OPENMP)
    cel_csr a = random_csr(19, 3000, 3000, 20000);
    int threads = omp_get_max_threads();
    cel_mat x, y1, y2;
    cel_rng rng = cel_rng_at(4, 0, 0, 0);
    OK_OR_RETURN(cel_mat_new(3000, 37, &x));
    OK_OR_RETURN(cel_mat_new(3000, 37, &y1));
    OK_OR_RETURN(cel_mat_new(3000, 37, &y2));
    cel_rng_normals(&rng, x.data, 3000 * 37);
    omp_set_num_threads(1);
    OK_OR_RETURN(cel_csr_mul(1, &a, x, 0, y1));
    omp_set_num_threads(2);
    OK_OR_RETURN(cel_csr_mul(1, &a, x, 0, y2));
    omp_set_num_threads(threads);
    CHECK(!memcmp(y1.data, y2.data, 3000 * 37 * sizeof(cel_real)));
    cel_csr_free(&a);
    cel_mat_free(&x);
    cel_mat_free(&y1);
    cel_mat_free(&y2);
#else
    SKIP("no OpenMP");
#endif
}

/* Distances by Floyd and Warshall. */
static void hops(void)
{
    enum { N = 40 };
    int turn;
    for (turn = 0; turn < 3; turn++) {
        cel_csr a = random_csr(23 + (uint64_t)turn, N, N, 20 + 25 * turn), out;
        int d[N][N], i, j, k, h;
        for (i = 0; i < N; i++)
            for (j = 0; j < N; j++) d[i][j] = i == j ? 0 : 1000;
        for (i = 0; i < N; i++) {
            int64_t e;
            for (e = a.start[i]; e < a.start[i + 1]; e++)
                if (a.index[e] != i) d[i][a.index[e]] = d[a.index[e]][i] = 1;
        }
        for (k = 0; k < N; k++)
            for (i = 0; i < N; i++)
                for (j = 0; j < N; j++)
                    if (d[i][k] + d[k][j] < d[i][j]) d[i][j] = d[i][k] + d[k][j];
        for (h = 1; h < 8; h++) {
            double *found;
            OK_OR_RETURN(cel_csr_hop(&a, h, &out));
            CHECK(well_formed(&out) && cel_csr_is_symmetric(&out));
            found = dense(&out);
            for (i = 0; i < N; i++)
                for (j = 0; j < N; j++) NEAR(found[i * N + j], d[i][j] == h, 0);
            free(found);
            cel_csr_free(&out);
        }
        CHECK(cel_csr_hop(&a, 0, &out) == CEL_ERR_ARG && out.start == NULL);
        cel_csr_free(&a);
    }
    {
        cel_csr wide = random_csr(1, 3, 4, 5), out;
        CHECK(cel_csr_hop(&wide, 1, &out) == CEL_ERR_SHAPE && out.start == NULL);
        cel_csr_free(&wide);
    }
}

void suite_sparse(void)
{
    RUN(from_edges);
    RUN(edges_out_of_range);
    RUN(transpose);
    RUN(symmetrise);
    RUN(normalise);
    RUN(normalise_errors);
    RUN(multiply);
    RUN(multiply_rows);
    RUN(multiply_threads);
    RUN(hops);
}
