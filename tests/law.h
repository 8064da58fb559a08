/* Small systems with known averages, for the tests of sampler and optimum. SPDX-License-Identifier: MIT */
#ifndef CELCOMEN_TEST_LAW_H
#define CELCOMEN_TEST_LAW_H

#include "test.h"

#if defined(_OPENMP)
#include <omp.h>
#endif

#define PI 3.14159265358979323846

/* `copies` of a graph of `size` cells as one block-diagonal matrix: edges i -> i + 1, closed to a ring or not, in
 * both directions or one. */
static inline cel_csr chain(int64_t copies, int64_t size, int ring, int both)
{
    int64_t *row = (int64_t *)malloc((size_t)(2 * copies * size) * sizeof *row), count = 0, c, i;
    int64_t *col = (int64_t *)malloc((size_t)(2 * copies * size) * sizeof *col);
    cel_csr w;
    for (c = 0; c < copies; c++)
        for (i = 0; i + 1 < size + (ring ? 1 : 0); i++) {
            int64_t a = c * size + i, b = c * size + (i + 1) % size;
            row[count] = a;
            col[count++] = b;
            if (both) {
                row[count] = b;
                col[count++] = a;
            }
        }
    CHECK(cel_csr_from_edges(copies * size, copies * size, count, row, col, NULL, &w, NULL) == CEL_OK);
    free(row);
    free(col);
    return w;
}

/* A torus of side x side cells, four neighbours. */
static inline cel_csr torus(int64_t side)
{
    int64_t *row = (int64_t *)malloc((size_t)(4 * side * side) * sizeof *row), count = 0, i, j;
    int64_t *col = (int64_t *)malloc((size_t)(4 * side * side) * sizeof *col);
    cel_csr w;
    for (i = 0; i < side; i++)
        for (j = 0; j < side; j++) {
            int64_t a = i * side + j, b = i * side + (j + 1) % side, c = (i + 1) % side * side + j;
            row[count] = a, col[count++] = b;
            row[count] = b, col[count++] = a;
            row[count] = a, col[count++] = c;
            row[count] = c, col[count++] = a;
        }
    CHECK(cel_csr_from_edges(side * side, side * side, count, row, col, NULL, &w, NULL) == CEL_OK);
    free(row);
    free(col);
    return w;
}

/* Symmetric normal forces of deviation s[r], zero diagonal; a field of deviation f (none where 0). */
static inline cel_model forces(uint64_t seed, int64_t n, int64_t relations, const double *s, double f)
{
    cel_model m;
    cel_rng rng = cel_rng_at(seed, 9, 0, 0);
    int64_t r, i, j;
    CHECK(cel_model_new(n, relations, f > 0, &m) == CEL_OK);
    for (r = 0; r < relations; r++)
        for (i = 0; i < n; i++)
            for (j = 0; j < i; j++) {
                cel_mat a = cel_model_force(&m, r);
                a.data[i * a.stride + j] = a.data[j * a.stride + i] = (cel_real)(s[r] * cel_rng_normal(&rng));
            }
    for (i = 0; i < n && f > 0; i++) m.field[i] = (cel_real)(f * cel_rng_normal(&rng));
    return m;
}

static inline int64_t tally_values(int64_t n) { return n + 2 * n * n; }

/* H of a single cell, in double. */
static inline double single(const cel_model *m, const double *x)
{
    cel_mat f = cel_model_force(m, 0);
    int64_t i, j, n = m->genes;
    double h = 0;
    for (i = 0; i < n; i++) {
        if (m->field) h += (double)m->field[i] * x[i];
        for (j = 0; j < n; j++) h += x[i] * (double)f.data[i * f.stride + j] * x[j];
    }
    return h;
}

/* Moments of exp(H) of one cell of 2 or 3 genes by quadrature, on the sphere or orthant, gene 0 held at `dose`
 * where it is not negative. Returns the normaliser. */
static inline double quadrature(const cel_model *m, int orthant, double dose, double *truth)
{
    int64_t n = m->genes, grid = 400, a, b, j, k, values = tally_values(n);
    double z = 0, x[3] = {0, 0, 0};
    int circle = n == 2 || dose >= 0;
    memset(truth, 0, (size_t)values * sizeof *truth);
    for (a = 0; a < (circle ? 1 : grid); a++)
        for (b = 0; b < grid; b++) {
            /* Midpoints; the polar direction is cos t, uniform on the sphere of three dimensions. */
            double t = ((double)b + 0.5) / (double)grid * (orthant ? PI / 2 : 2 * PI), w, c;
            c = ((double)a + 0.5) / (double)grid * (orthant ? 1 : 2) - (orthant ? 0 : 1);
            if (circle) {
                double r = dose >= 0 ? sqrt(1 - dose * dose) : 1;
                x[n - 2] = r * cos(t);
                x[n - 1] = r * sin(t);
                if (n == 3) x[0] = dose;
            } else {
                x[0] = c;
                x[1] = sqrt(1 - c * c) * cos(t);
                x[2] = sqrt(1 - c * c) * sin(t);
            }
            w = exp(single(m, x));
            z += w;
            for (j = 0; j < n; j++) {
                truth[j] += w * x[j];
                for (k = 0; k < n; k++) truth[n + j * n + k] += w * x[j] * x[k];
            }
        }
    for (j = 0; j < values; j++) truth[j] /= z;
    return z * (orthant ? PI / 2 : 2 * PI) / (double)grid * (circle ? 1 : (orthant ? 1.0 : 2.0) / (double)grid);
}

/* Cells that touch nobody. */
static inline const cel_relations *alone(int64_t cells)
{
    static cel_relation identity[1];
    static cel_relations r;
    r.at = identity;
    r.count = 1;
    r.cells = cells;
    return &r;
}

/* Two genes on a chain or ring of `size` cells: every average by a transfer matrix over GRID angles. The energy
 * of a pair is x_i^T P x_(i+1). Returns log Z. */
enum { GRID = 96 };
static inline double transfer(const cel_model *m, int both, int64_t size, int ring, double *truth)
{
    static double t[GRID][GRID], left[16][GRID], right[16][GRID], full[16][GRID][GRID];
    cel_mat f = cel_model_force(m, 1);
    int64_t a, b, c, i, j, k;
    double z = 0, x[GRID][2], pair[2][2];
    for (j = 0; j < 2; j++)
        for (k = 0; k < 2; k++)
            pair[j][k] = (double)f.data[j * f.stride + k] + (both ? (double)f.data[k * f.stride + j] : 0);
    memset(truth, 0, (size_t)tally_values(2) * sizeof *truth);
    for (a = 0; a < GRID; a++) {
        x[a][0] = cos(2 * PI * (double)a / GRID);
        x[a][1] = sin(2 * PI * (double)a / GRID);
    }
    /* t: weight of b after a, with b's own weight; a chain's first cell has its own in left[0]. */
    for (a = 0; a < GRID; a++)
        for (b = 0; b < GRID; b++) {
            double h = single(m, x[b]);
            for (j = 0; j < 2; j++)
                for (k = 0; k < 2; k++) h += x[a][j] * pair[j][k] * x[b][k];
            t[a][b] = exp(h) * 2 * PI / GRID;
        }
    if (!ring) {
        for (a = 0; a < GRID; a++) {
            left[0][a] = exp(single(m, x[a])) * 2 * PI / GRID;
            right[size - 1][a] = 1;
        }
        for (i = 1; i < size; i++)
            for (a = 0; a < GRID; a++) {
                left[i][a] = right[size - 1 - i][a] = 0;
                for (b = 0; b < GRID; b++) {
                    left[i][a] += left[i - 1][b] * t[b][a];
                    right[size - 1 - i][a] += t[a][b] * right[size - i][b];
                }
            }
        for (a = 0; a < GRID; a++) z += left[size - 1][a];
        for (i = 0; i < size; i++)
            for (a = 0; a < GRID; a++) {
                double w = left[i][a] * right[i][a] / z;
                for (j = 0; j < 2; j++) {
                    truth[j] += w * x[a][j] / (double)size;
                    for (k = 0; k < 2; k++) truth[2 + 2 * j + k] += w * x[a][j] * x[a][k] / (double)size;
                }
                for (b = 0; b < GRID && i == 0; b++)
                    for (j = 0; j < 2; j++)
                        for (k = 0; k < 2; k++)
                            truth[6 + 2 * j + k] += left[0][a] * t[a][b] * right[1][b] / z * x[a][j] * x[b][k];
            }
        return log(z);
    }
    memcpy(full[1], t, sizeof t);
    for (i = 2; i <= size; i++)
        for (a = 0; a < GRID; a++)
            for (b = 0; b < GRID; b++) {
                full[i][a][b] = 0;
                for (c = 0; c < GRID; c++) full[i][a][b] += full[i - 1][a][c] * t[c][b];
            }
    for (a = 0; a < GRID; a++) z += full[size][a][a];
    for (a = 0; a < GRID; a++)
        for (j = 0; j < 2; j++) {
            double w = full[size][a][a] / z;
            truth[j] += w * x[a][j];
            for (k = 0; k < 2; k++) {
                truth[2 + 2 * j + k] += w * x[a][j] * x[a][k];
                for (b = 0; b < GRID; b++)
                    truth[6 + 2 * j + k] += t[a][b] * full[size - 1][b][a] / z * x[a][j] * x[b][k];
            }
        }
    return log(z);
}

/* A chain or ring of two genes; with `both` W is symmetric, else directed (and W's transpose given) with a force
 * that is not symmetric. */
static inline cel_model chain_model(int both)
{
    double s[] = {0.7, 0.3};
    cel_model m = forces(21, 2, 2, s, 0.5);
    cel_mat f = cel_model_force(&m, 1);
    f.data[0] = (cel_real)(both ? 0.4 : 0.8);
    f.data[f.stride + 1] = (cel_real)-0.3;
    if (!both) f.data[1] = (cel_real)-0.7;
    return m;
}

#endif
