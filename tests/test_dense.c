/* dense: every kernel against a plain double twin. SPDX-License-Identifier: MIT */
#include "test.h"

#if defined(_OPENMP)
#include <omp.h>
#endif

#define EPS (sizeof(cel_real) == 8 ? 2.220446049250313e-16 : 1.1920928955078125e-7)

/* A rows x cols window into a wider matrix, filled with normals; free with cel_mat_free(whole). */
static cel_mat window(int64_t rows, int64_t cols, uint32_t key, cel_mat *whole)
{
    cel_rng rng = cel_rng_at(99, key, (uint32_t)rows, (uint32_t)cols);
    if (cel_mat_new(rows + 2, cols + 5, whole) != CEL_OK) exit(1);
    cel_rng_normals(&rng, whole->data, whole->rows * whole->cols);
    return cel_mat_block(*whole, 1, 3, rows, cols);
}

static double at(cel_mat a, int trans, int64_t i, int64_t j)
{
    return (double)(trans ? a.data[j * a.stride + i] : a.data[i * a.stride + j]);
}

/* Everything of `whole` outside of `inner` is as in `before`. */
static void check_frame(cel_mat whole, cel_mat inner, const cel_real *before)
{
    int64_t i, bad = 0;
    for (i = 0; i < whole.rows * whole.cols; i++) {
        int64_t row = i / whole.cols - 1, col = i % whole.cols - 3;
        if (row >= 0 && row < inner.rows && col >= 0 && col < inner.cols) continue;
        bad += memcmp(whole.data + i, before + i, sizeof(cel_real)) != 0;
    }
    CHECK(bad == 0);
}

/* |C - reference| <= (k + 4) eps sum |a| |b|, which NaN fails. */
static void check_gemm(int trans_a, int trans_b, int64_t m, int64_t n, int64_t k, double alpha, double beta,
                       cel_work *work)
{
    cel_mat wa, wb, wc, a, b, c;
    cel_real *before;
    int64_t i, j, p, bad = 0;
    a = trans_a ? window(k, m, 1, &wa) : window(m, k, 1, &wa);
    b = trans_b ? window(n, k, 2, &wb) : window(k, n, 2, &wb);
    c = window(m, n, 3, &wc);
    before = (cel_real *)malloc((size_t)(wc.rows * wc.cols) * sizeof(cel_real));
    memcpy(before, wc.data, (size_t)(wc.rows * wc.cols) * sizeof(cel_real));
    CHECK(cel_mat_gemm(trans_a, trans_b, (cel_real)alpha, a, b, (cel_real)beta, c, work) == CEL_OK);
    for (i = 0; i < m; i++)
        for (j = 0; j < n; j++) {
            double old = (double)before[(i + 1) * wc.stride + j + 3];
            double sum = 0, size = fabs(beta * old);
            for (p = 0; p < k; p++) {
                double t = alpha * at(a, trans_a, i, p) * at(b, trans_b, p, j);
                sum += t;
                size += fabs(t);
            }
            bad += !(fabs(at(c, 0, i, j) - sum - beta * old) <= (double)(k + 4) * EPS * size);
        }
    if (bad) printf("  gemm %d%d %dx%dx%d: %d wrong\n", trans_a, trans_b, (int)m, (int)n, (int)k, (int)bad);
    CHECK(bad == 0);
    check_frame(wc, c, before);
    free(before);
    cel_mat_free(&wa);
    cel_mat_free(&wb);
    cel_mat_free(&wc);
}

static void gemm_edges(void)
{
    cel_work work;
    int64_t m, t;
    memset(&work, 0, sizeof work);
    for (m = 1; m <= 70; m++)
        for (t = 0; t < 4; t++) {
            check_gemm((int)t & 1, (int)t >> 1, m, 71 - m, 1 + m * 7 % 40, 1, 0, &work);
            check_gemm((int)t & 1, (int)t >> 1, 1 + m * 11 % 37, m, 71 - m, -0.5, 1, &work);
            check_gemm((int)t & 1, (int)t >> 1, m, m, m, 2, 0.25, &work);
        }
    cel_work_free(&work);
}

/* Beyond one block of terms, rows or columns, packed and not, one and several threads. */
static void gemm_blocks(void)
{
    int t;
    for (t = 0; t < 4; t++) {
        check_gemm(t & 1, t >> 1, 130, 97, 300, 1, 0, NULL);
        check_gemm(t & 1, t >> 1, 331, 75, 140, 0.5, -1, NULL);
        check_gemm(t & 1, t >> 1, 17, 333, 530, 1, 1, NULL);
        check_gemm(t & 1, t >> 1, 200, 128, 512, 1, 0.5, NULL);
        check_gemm(t & 1, t >> 1, 3, 4300, 5, 1, 0, NULL);
    }
}

static void gemm_empty_and_wrong_shapes(void)
{
    cel_real x[12], y[12], z[12];
    int i;
    for (i = 0; i < 12; i++) x[i] = y[i] = z[i] = (cel_real)(i + 1);
    CHECK(cel_mat_gemm(0, 0, 1, cel_mat_view(x, 3, 0), cel_mat_view(y, 0, 4), 2, cel_mat_view(z, 3, 4), NULL) ==
          CEL_OK);
    for (i = 0; i < 12; i++) NEAR(z[i], 2 * (i + 1), 0);
    CHECK(cel_mat_gemm(0, 0, 1, cel_mat_view(x, 3, 4), cel_mat_view(y, 3, 4), 0, cel_mat_view(z, 3, 3), NULL) ==
          CEL_ERR_SHAPE);
    CHECK(cel_mat_gemm(0, 1, 1, cel_mat_view(x, 3, 4), cel_mat_view(y, 3, 4), 0, cel_mat_view(z, 3, 4), NULL) ==
          CEL_ERR_SHAPE);
    CHECK(cel_mat_syrk(0, 1, cel_mat_view(x, 3, 4), 0, cel_mat_view(z, 3, 4), NULL) == CEL_ERR_SHAPE);
}

/* A NaN reaches its row and column of the result and no other; beta == 0 clears one that was there. */
static void gemm_nan(void)
{
    const int64_t n = 45;
    cel_mat wa, wb, wc, a = window(n, n, 4, &wa), b = window(n, n, 5, &wb), c = window(n, n, 6, &wc);
    int64_t i, j, wrong = 0;
    a.data[7 * a.stride + 9] = (cel_real)NAN;
    c.data[3 * c.stride + 3] = (cel_real)NAN;
    OK_OR_RETURN(cel_mat_gemm(0, 0, 1, a, b, 0, c, NULL));
    for (i = 0; i < n; i++)
        for (j = 0; j < n; j++) wrong += (isnan((double)c.data[i * c.stride + j]) != 0) != (i == 7);
    CHECK(wrong == 0);
    cel_mat_free(&wa);
    cel_mat_free(&wb);
    cel_mat_free(&wc);
}

#if !defined(CELCOMEN_CBLAS)
/* Sizes whose tiles differ share bits: an element does not depend on what surrounds it. */
static void gemm_independent_of_surroundings(void)
{
    const int64_t n = 150, part = 61;
    cel_mat wa, wb, wc, wd, a = window(n, n, 1, &wa), b = window(n, n, 2, &wb), c = window(n, n, 3, &wc);
    cel_mat d = window(part, part, 4, &wd);
    int64_t i, j, differ = 0;
    OK_OR_RETURN(cel_mat_gemm(0, 0, 1, a, b, 0, c, NULL));
    OK_OR_RETURN(cel_mat_gemm(0, 0, 1, cel_mat_block(a, 5, 0, part, n), cel_mat_block(b, 0, 9, n, part), 0, d, NULL));
    for (i = 0; i < part; i++)
        for (j = 0; j < part; j++) differ += fabs(at(d, 0, i, j) - at(c, 0, i + 5, j + 9)) > 0;
    CHECK(differ == 0);
    cel_mat_free(&wa);
    cel_mat_free(&wb);
    cel_mat_free(&wc);
    cel_mat_free(&wd);
}
#else
static void gemm_independent_of_surroundings(void) { SKIP("CBLAS promises no such thing"); }
#endif

static void syrk_is_gemm(void)
{
    static const int64_t size[][2] = {{1, 1}, {5, 3}, {31, 70}, {33, 12}, {64, 64}, {70, 300}, {200, 100}, {301, 270}};
    size_t s;
    int trans, beta;
    for (s = 0; s < sizeof size / sizeof size[0]; s++)
        for (trans = 0; trans < 2; trans++)
            for (beta = 0; beta < 2; beta++) {
                int64_t n = size[s][0], k = size[s][1], i, j, p, bad = 0;
                cel_mat wa, wc, a, c;
                cel_real *before;
                a = trans ? window(k, n, 1, &wa) : window(n, k, 1, &wa);
                c = window(n, n, 2, &wc);
                cel_mat_symmetrise(c);
                before = (cel_real *)malloc((size_t)(wc.rows * wc.cols) * sizeof(cel_real));
                memcpy(before, wc.data, (size_t)(wc.rows * wc.cols) * sizeof(cel_real));
                CHECK(cel_mat_syrk(trans, (cel_real)1.5, a, (cel_real)beta, c, NULL) == CEL_OK);
                for (i = 0; i < n; i++)
                    for (j = 0; j < n; j++) {
                        double sum = beta * (double)before[(i + 1) * wc.stride + j + 3], total = fabs(sum);
                        for (p = 0; p < k; p++) {
                            double t = 1.5 * at(a, trans, i, p) * at(a, trans, j, p);
                            sum += t;
                            total += fabs(t);
                        }
                        bad += !(fabs(at(c, 0, i, j) - sum) <= (double)(k + 4) * EPS * total);
                        bad += memcmp(c.data + i * c.stride + j, c.data + j * c.stride + i, sizeof(cel_real)) != 0;
                    }
                CHECK(bad == 0);
                check_frame(wc, c, before);
                free(before);
                cel_mat_free(&wa);
                cel_mat_free(&wc);
            }
}

static void vectors(void)
{
    static const int64_t count[] = {0, 1, 2, 7, 15, 16, 17, 31, 33, 63, 100, 257, 1000};
    size_t s;
    for (s = 0; s < sizeof count / sizeof count[0]; s++) {
        int64_t n = count[s], i;
        cel_mat wx, wy, x = window(1, n, 1, &wx), y = window(1, n, 2, &wy);
        double dot = 0, size = 0, norm = 0;
        for (i = 0; i < n; i++) {
            dot += (double)x.data[i] * (double)y.data[i];
            size += fabs((double)x.data[i] * (double)y.data[i]);
            norm += (double)x.data[i] * (double)x.data[i];
        }
        NEAR(cel_vec_dot(x.data, y.data, n), dot, 1e-15 * (double)(n + 1) * size);
        NEAR(cel_vec_nrm2(x.data, n), sqrt(norm), 1e-15 * (double)(n + 1) * sqrt(norm));
        NEAR(cel_mat_dot(x, y), dot, 1e-15 * (double)(n + 1) * size);
        for (i = 0; i < n; i++) {
            double want = (double)y.data[i] + 0.5 * (double)x.data[i];
            cel_real one = y.data[i];
            cel_vec_axpy((cel_real)0.5, x.data + i, &one, 1);
            NEAR(one, want, EPS * fabs(want));
        }
        cel_vec_axpy((cel_real)0.5, x.data, y.data, n);
        if (n > 3) {
            x.data[n - 1] = (cel_real)NAN;
            CHECK(isnan(cel_vec_dot(x.data, y.data, n)));
        }
        cel_mat_free(&wx);
        cel_mat_free(&wy);
    }
}

static void copies_and_transposes(void)
{
    cel_mat wa, wb, wc, a = window(37, 50, 1, &wa), b = window(50, 37, 2, &wb), c = window(37, 50, 3, &wc);
    cel_mat bad;
    int64_t i, j, wrong = 0;
    OK_OR_RETURN(cel_mat_transpose(a, b));
    OK_OR_RETURN(cel_mat_copy(a, c));
    for (i = 0; i < 37; i++)
        for (j = 0; j < 50; j++) {
            wrong += fabs(at(a, 0, i, j) - at(b, 0, j, i)) > 0;
            wrong += fabs(at(a, 0, i, j) - at(c, 0, i, j)) > 0;
        }
    CHECK(wrong == 0);
    CHECK(cel_mat_copy(a, b) == CEL_ERR_SHAPE);
    CHECK(cel_mat_transpose(a, c) == CEL_ERR_SHAPE);
    CHECK(cel_mat_symmetrise(a) == CEL_ERR_SHAPE);
    OK_OR_RETURN(cel_mat_axpy(2, a, c));
    CHECK(cel_mat_axpy(2, a, b) == CEL_ERR_SHAPE && isnan(cel_mat_dot(a, b)));
    NEAR(at(c, 0, 36, 49), 3 * at(a, 0, 36, 49), 4 * EPS * fabs(at(a, 0, 36, 49)));
    cel_mat_fill(c, 3);
    NEAR(cel_mat_dot(c, c), 9.0 * 37 * 50, 1e-9);
    c = cel_mat_block(a, 0, 0, 37, 37);
    OK_OR_RETURN(cel_mat_symmetrise(c));
    for (i = 0; i < 37; i++)
        for (j = 0; j < 37; j++) wrong += fabs(at(c, 0, i, j) - at(c, 1, i, j)) > 0;
    CHECK(wrong == 0);
    CHECK(cel_mat_new(-1, 3, &bad) == CEL_ERR_ARG && bad.data == NULL);
    CHECK(cel_mat_new(INT64_MAX / 2, 1000, &bad) == CEL_ERR_MEMORY && bad.data == NULL);
    OK_OR_RETURN(cel_mat_new(0, 5, &bad));
    cel_mat_free(&bad);
    cel_mat_free(&wa);
    cel_mat_free(&wb);
    cel_mat_free(&wc);
}

/* A = G G^T / n + I. */
static cel_mat positive(int64_t n, cel_mat *whole)
{
    cel_mat wg, g = window(n, n, 8, &wg), a = window(n, n, 9, whole);
    int64_t i;
    cel_mat_syrk(0, (cel_real)(1.0 / (double)n), g, 0, a, NULL);
    for (i = 0; i < n; i++) a.data[i * a.stride + i] += 1;
    cel_mat_free(&wg);
    return a;
}

static void cholesky_solves(void)
{
    static const int64_t size[] = {1, 2, 5, 63, 64, 65, 130, 200};
    size_t s;
    for (s = 0; s < sizeof size / sizeof size[0]; s++) {
        int64_t n = size[s], m, i, j;
        cel_mat wa, l, a = positive(n, &wa);
        if (cel_mat_new(n, n, &l) != CEL_OK || cel_mat_copy(a, l) != CEL_OK) exit(1);
        OK_OR_RETURN(cel_mat_cholesky(l));
        for (i = 0; i < n; i++)
            for (j = i + 1; j < n; j++) CHECK(!(fabs(at(l, 0, i, j) - at(a, 0, i, j)) > 0));
        for (m = 1; m <= 35; m += 17) {
            cel_mat wx, x = window(n, m, 10, &wx), b;
            double worst = 0;
            if (cel_mat_new(n, m, &b) != CEL_OK) exit(1);
            OK_OR_RETURN(cel_mat_gemm(0, 0, 1, a, x, 0, b, NULL));
            OK_OR_RETURN(cel_mat_cholesky_solve(l, b));
            for (i = 0; i < n; i++)
                for (j = 0; j < m; j++) {
                    double e = fabs(at(b, 0, i, j) - at(x, 0, i, j));
                    if (!(e <= worst)) worst = e;
                }
            NEAR(worst, 0, 100 * EPS * sqrt((double)n));
            cel_mat_free(&b);
            cel_mat_free(&wx);
        }
        /* Not positive definite, and NaN. */
        OK_OR_RETURN(cel_mat_copy(a, l));
        l.data[(n - 1) * n + n - 1] = -1;
        CHECK(cel_mat_cholesky(l) == CEL_ERR_NUMERIC);
        OK_OR_RETURN(cel_mat_copy(a, l));
        l.data[(n - 1) * n] = (cel_real)NAN;
        CHECK(cel_mat_cholesky(l) == CEL_ERR_NUMERIC);
        cel_mat_free(&l);
        cel_mat_free(&wa);
    }
    {
        cel_real x[6] = {1, 0, 0, 0, 0, 0};
        CHECK(cel_mat_cholesky(cel_mat_view(x, 2, 3)) == CEL_ERR_SHAPE);
    }
}

static void check_eigen(cel_mat a)
{
    int64_t n = a.rows, i, j, k;
    double *w = (double *)malloc((size_t)n * sizeof(double)), scale = 0, worst = 0, skew = 0;
    cel_mat b, v;
    if (cel_mat_new(n, n, &b) != CEL_OK || cel_mat_new(n, n, &v) != CEL_OK) exit(1);
    cel_mat_copy(a, b);
    OK_OR_RETURN(cel_mat_eigen(b, w, v));
    for (i = 0; i < n; i++) {
        if (i > 0) CHECK(w[i - 1] <= w[i]);
        if (!(fabs(w[i]) <= scale)) scale = fabs(w[i]);
    }
    for (i = 0; i < n; i++)
        for (j = 0; j <= i; j++) {
            double sum = 0, dot = 0;
            for (k = 0; k < n; k++) {
                sum += at(v, 0, i, k) * w[k] * at(v, 0, j, k);
                dot += at(v, 0, k, i) * at(v, 0, k, j);
            }
            sum = fabs(sum - at(a, 0, i, j));
            dot = fabs(dot - (i == j));
            if (!(sum <= worst)) worst = sum;
            if (!(dot <= skew)) skew = dot;
        }
    NEAR(worst, 0, 20 * EPS * scale * sqrt((double)n));
    NEAR(skew, 0, 20 * EPS * sqrt((double)n));
    cel_mat_free(&b);
    cel_mat_free(&v);
    free(w);
}

static void eigen_rebuilds(void)
{
    static const int64_t size[] = {1, 2, 3, 4, 17, 64, 150};
    size_t s;
    int64_t i;
    cel_mat a, v;
    double w[3];
    for (s = 0; s < sizeof size / sizeof size[0]; s++) {
        cel_mat whole;
        a = window(size[s], size[s], 11, &whole);
        cel_mat_symmetrise(a);
        check_eigen(a);
        cel_mat_free(&whole);
    }
    /* Zero, diagonal, and equal values with a rank of one. */
    OK_OR_RETURN(cel_mat_new(40, 40, &a));
    check_eigen(a);
    for (i = 0; i < 40; i++) a.data[i * 41] = (cel_real)(i % 7 - 3);
    check_eigen(a);
    cel_mat_fill(a, 1);
    check_eigen(a);
    cel_mat_free(&a);
    /* Low rank, where rounding is all that is left after a few steps: constant, two blocks, 0/1 factors; any scale. */
    for (s = 31; s <= 130; s += s < 33 ? 1 : 97) {
        static const double scale[] = {1, 1e-30, 1e30, 1e-200, 1e200};
        size_t t;
        for (t = 0; t < (sizeof(cel_real) == 8 ? 5 : 3); t++) {
            int64_t n = (int64_t)s, j, r;
            cel_mat x;
            OK_OR_RETURN(cel_mat_new(n, n, &x));
            cel_mat_fill(x, (cel_real)(1.4 * scale[t]));
            check_eigen(x);
            for (i = 0; i < n; i++)
                for (j = 0; j < n; j++) x.data[i * n + j] = (cel_real)(scale[t] * (i % 2 == j % 2 ? 0.3 : -0.2));
            check_eigen(x);
            for (i = 0; i < n; i++)
                for (j = 0; j < n; j++)
                    for (x.data[i * n + j] = 0, r = 0; r < 5; r++)
                        if ((i * (r + 3) % 7 < 3) && (j * (r + 3) % 7 < 3)) x.data[i * n + j] += (cel_real)scale[t];
            check_eigen(x);
            cel_mat_free(&x);
        }
    }
    /* diag(2, 1, 3) and a rotation's worth of off-diagonal: 3 and (3 +- sqrt 5) / 2. */
    OK_OR_RETURN(cel_mat_new(3, 3, &a));
    OK_OR_RETURN(cel_mat_new(3, 3, &v));
    a.data[0] = 2;
    a.data[4] = 1;
    a.data[8] = 3;
    a.data[1] = a.data[3] = 1;
    OK_OR_RETURN(cel_mat_eigen(a, w, v));
    NEAR(w[0], (3 - sqrt(5.0)) / 2, 1e-14);
    NEAR(w[1], (3 + sqrt(5.0)) / 2, 1e-14);
    NEAR(w[2], 3, 1e-14);
    cel_mat_fill(a, 1);
    a.data[1] = a.data[3] = (cel_real)NAN;
    CHECK(cel_mat_eigen(a, w, v) == CEL_ERR_NUMERIC);
    NEAR(w[2], 0, 0);
    cel_mat_free(&a);
    cel_mat_free(&v);
}

/* The error of y in units of the last place of the true value. */
static double ulps(cel_real y, long double truth)
{
    int exponent;
    frexp((double)truth, &exponent);
    if (!(fabsl(truth) >= (sizeof(cel_real) == 8 ? 2.3e-308L : 1.2e-38L)))
        exponent = sizeof(cel_real) == 8 ? -1021 : -125;
    return (double)(fabsl((long double)y - truth) / ldexpl(1, exponent - (sizeof(cel_real) == 8 ? 53 : 24)));
}

enum { SAMPLES = 40000 };
/* Arguments spread evenly (spread == 0) or over the powers of two between low and high. */
static void arguments(cel_real *x, double low, double high, int spread, uint32_t key)
{
    cel_rng rng = cel_rng_at(5, key, 0, 0);
    int i;
    for (i = 0; i < SAMPLES; i++) {
        double u = cel_rng_uniform(&rng);
        x[i] = (cel_real)(spread ? exp(log(low) + u * (log(high) - log(low))) : low + u * (high - low));
    }
}

static void sincos_error(void)
{
    static const double range[][2] = {{-0.8, 0.8}, {-7, 7}, {-1e4, 1e4}, {1e-30, 1}};
    cel_real *x = (cel_real *)malloc(3 * SAMPLES * sizeof(cel_real)), *s = x + SAMPLES, *c = s + SAMPLES;
    double worst = 0;
    int r, i;
    for (r = 0; r < 4; r++) {
        arguments(x, range[r][0], range[r][1], r == 3, (uint32_t)r);
        /* Among them multiples of pi / 2, where the reduction cancels most. */
        for (i = 0; i < SAMPLES && r == 2; i += 4) x[i] = (cel_real)(1.5707963267948966 * (i / 4 % 6300));
        cel_vec_sincos(x, SAMPLES, s, c);
        for (i = 0; i < SAMPLES; i++) {
            double es = ulps(s[i], sinl((long double)x[i])), ec = ulps(c[i], cosl((long double)x[i]));
            if (!(es <= worst)) worst = es;
            if (!(ec <= worst)) worst = ec;
        }
    }
    NEAR(worst, 0, 2);
    free(x);
}

static void sincos_specials(void)
{
    cel_real x[37], s[37], c[37], again[37], alone[2], inf = (cel_real)INFINITY;
    int i;
    for (i = 0; i < 37; i++) x[i] = (cel_real)(i * 0.1);
    x[3] = (cel_real)NAN;
    x[5] = inf;
    x[20] = -inf;
    x[36] = (cel_real)1e6;
    cel_vec_sincos(x, 37, s, c);
    for (i = 0; i < 37; i++) {
        if (i == 3 || i == 5 || i == 20) {
            CHECK(isnan((double)s[i]) && isnan((double)c[i]));
        } else {
            NEAR(s[i], sin((double)x[i]), 2 * EPS);
            NEAR(c[i], cos((double)x[i]), 2 * EPS);
        }
    }
    /* In place, and an element alone as among others. */
    cel_vec_sincos(x + 9, 1, alone, alone + 1);
    CHECK(memcmp(alone, s + 9, sizeof(cel_real)) == 0 && memcmp(alone + 1, c + 9, sizeof(cel_real)) == 0);
    cel_vec_sincos(x, 37, x, again);
    CHECK(memcmp(x + 6, s + 6, 14 * sizeof(cel_real)) == 0 && memcmp(again + 6, c + 6, 14 * sizeof(cel_real)) == 0);
}

static void normals_statistics(void)
{
    enum { N = 400000 };
    cel_real *z = (cel_real *)malloc(N * sizeof(cel_real)), few[45];
    cel_rng rng = cel_rng_at(21, 1, 2, 3), again = cel_rng_at(21, 1, 2, 3);
    double m1 = 0, m2 = 0, m3 = 0, m4 = 0, lag1 = 0, lag16 = 0, n = N;
    int i, beyond = 0, far = 0;
    cel_rng_normals(&rng, z, N);
    for (i = 0; i < N; i++) {
        double v = (double)z[i];
        CHECK(v > -9 && v < 9);
        m1 += v / n;
        m2 += v * v / n;
        m3 += v * v * v / n;
        m4 += v * v * v * v / n;
        if (i > 0) lag1 += v * (double)z[i - 1] / n;
        if (i > 15) lag16 += v * (double)z[i - 16] / n;
        beyond += fabs(v) > 1.959963984540054;
        far += fabs(v) > 4;
    }
    NEAR(m1, 0, 5 / sqrt(n));
    NEAR(m2, 1, 5 * sqrt(2 / n));
    NEAR(m3, 0, 5 * sqrt(15 / n));
    NEAR(m4, 3, 5 * sqrt(96 / n));
    NEAR(lag1, 0, 5 / sqrt(n));
    NEAR(lag16, 0, 5 / sqrt(n));
    NEAR(beyond, 0.05 * n, 5 * sqrt(0.05 * 0.95 * n));
    NEAR(far, 6.334e-5 * n, 5 * sqrt(6.334e-5 * n));
    /* The first ones of a long call are those of a short one. */
    cel_rng_normals(&again, few, 45);
    CHECK(memcmp(few, z, sizeof few) == 0);
    free(z);
}

/* Logarithm, sine and cosine by libm give the same normals to rounding. */
static void normals_of_every_level(void)
{
    enum { N = 3200 };
    cel_real z[N], plain[N];
    cel_level was = cel_level_get();
    cel_rng rng = cel_rng_at(22, 1, 2, 3), again = rng;
    int i;
    cel_rng_normals(&rng, z, N);
    cel_level_cap(CEL_LEVEL_SCALAR);
    cel_rng_normals(&again, plain, N);
    cel_level_cap(was);
    for (i = 0; i < N; i++) NEAR(z[i], plain[i], 8 * EPS);
}

/* The level can be lowered and raised again; the name of each is its own. */
static void levels(void)
{
    cel_level was = cel_level_get(), low;
    int i;
    CHECK(cel_level_cap(CEL_LEVEL_SCALAR) == CEL_LEVEL_SCALAR);
    CHECK(cel_level_get() == CEL_LEVEL_SCALAR);
    for (i = 1; i <= CEL_LEVEL_AVX512; i++) {
        low = cel_level_cap((cel_level)i);
        CHECK((int)low <= i && low == cel_level_get());
        CHECK(strcmp(cel_level_name((cel_level)i), cel_level_name((cel_level)(i - 1))) != 0);
    }
    CHECK(cel_level_cap(was) == was);
    CHECK(cel_level_cap((cel_level)77) == was && cel_level_cap((cel_level)-1) == was);
    CHECK(strcmp(cel_level_name((cel_level)77), "unknown") == 0);
}

/* The environment was read when the first kernel ran: what it says later is too late. */
static void H18_level_is_read_once(void)
{
    const char *now = getenv("CELCOMEN_LEVEL");
    char *before = now ? strdup(now) : NULL;
    cel_level was = cel_level_get();
    setenv("CELCOMEN_LEVEL", "scalar", 1);
    CHECK(cel_level_cap(was) == was);
    if (before) setenv("CELCOMEN_LEVEL", before, 1);
    else unsetenv("CELCOMEN_LEVEL");
    free(before);
}

/* Nothing is added to NULL, which clang's sanitizer sees. */
static void H11_no_arithmetic_on_null(void)
{
    cel_mat none = CEL_ZERO, part = cel_mat_block(none, 0, 0, 0, 0);
    cel_csr empty = CEL_ZERO, out;
    CHECK(part.data == NULL && cel_mat_copy(part, none) == CEL_OK && cel_mat_transpose(none, none) == CEL_OK);
    cel_vec_axpy(1, NULL, NULL, 0);
    cel_vec_sincos(NULL, 0, NULL, NULL);
    NEAR(cel_vec_dot(NULL, NULL, 0), 0, 0);
    NEAR(cel_mat_dot(none, none), 0, 0);
    CHECK(cel_mat_gemm(0, 0, 1, none, none, 0, none, NULL) == CEL_OK && cel_mat_axpy(1, none, none) == CEL_OK);
    CHECK(cel_mat_cholesky(none) == CEL_OK && cel_mat_cholesky_solve(none, none) == CEL_OK);
    CHECK(cel_mat_eigen(none, NULL, none) == CEL_OK);
    CHECK(cel_csr_mul(1, &empty, none, 0, none) == CEL_OK && cel_csr_is_symmetric(&empty));
    CHECK(cel_csr_hop(&empty, 1, &out) == CEL_OK);
    cel_csr_free(&out);
}

#if defined(_OPENMP) && !defined(CELCOMEN_CBLAS)
/* One thread and three give the same bits. */
static void threads_do_not_matter(void)
{
    const int64_t n = 300, k = 600;
    const int was = omp_get_max_threads();
    cel_mat wa, wb, wp, a = window(n, k, 1, &wa), b = window(k, n, 2, &wb), p = positive(n, &wp);
    cel_mat c[2], d[2], l[2], e[2];
    int t;
    for (t = 0; t < 2; t++) {
        if (cel_mat_new(n, n, &c[t]) || cel_mat_new(n, n, &d[t]) || cel_mat_new(n, n, &l[t]) ||
            cel_mat_new(n, k, &e[t]))
            exit(1);
        omp_set_num_threads(t ? 3 : 1);
        CHECK(cel_mat_gemm(0, 0, 1, a, b, 0, c[t], NULL) == CEL_OK);
        CHECK(cel_mat_syrk(1, 1, b, 0, d[t], NULL) == CEL_OK);
        CHECK(cel_mat_copy(p, l[t]) == CEL_OK && cel_mat_cholesky(l[t]) == CEL_OK);
        CHECK(cel_mat_copy(a, e[t]) == CEL_OK);
        cel_vec_sincos(e[t].data, n * n, e[t].data, e[t].data + n * n);
    }
    omp_set_num_threads(was);
    CHECK(memcmp(c[0].data, c[1].data, (size_t)(n * n) * sizeof(cel_real)) == 0);
    CHECK(memcmp(d[0].data, d[1].data, (size_t)(n * n) * sizeof(cel_real)) == 0);
    CHECK(memcmp(l[0].data, l[1].data, (size_t)(n * n) * sizeof(cel_real)) == 0);
    CHECK(memcmp(e[0].data, e[1].data, (size_t)(n * k) * sizeof(cel_real)) == 0);
    for (t = 0; t < 2; t++) {
        cel_mat_free(&c[t]);
        cel_mat_free(&d[t]);
        cel_mat_free(&l[t]);
        cel_mat_free(&e[t]);
    }
    cel_mat_free(&wa);
    cel_mat_free(&wb);
    cel_mat_free(&wp);
}
#else
static void threads_do_not_matter(void) { SKIP("no OpenMP, or CBLAS"); }
#endif

void suite_dense(void);
void suite_dense(void)
{
    RUN(gemm_edges);
    RUN(gemm_blocks);
    RUN(gemm_empty_and_wrong_shapes);
    RUN(gemm_nan);
    RUN(gemm_independent_of_surroundings);
    RUN(syrk_is_gemm);
    RUN(vectors);
    RUN(copies_and_transposes);
    RUN(cholesky_solves);
    RUN(eigen_rebuilds);
    RUN(sincos_error);
    RUN(sincos_specials);
    RUN(normals_statistics);
    RUN(normals_of_every_level);
    RUN(levels);
    RUN(H18_level_is_read_once);
    RUN(H11_no_arithmetic_on_null);
    RUN(threads_do_not_matter);
}
