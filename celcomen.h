/* celcomen.h - 0.1.0 - forces between genes, within and between the cells of a tissue
 *
 * A single-file C library (C99, C++11) for Celcomen, a maximum-entropy model of spatial
 * transcriptomics: infer the forces from a slide, generate tissue from forces, ask counterfactuals.
 *
 * SPDX-License-Identifier: MIT (the text is at the end of this file)
 *
 * Do this in ONE C or C++ file:
 *     #define CELCOMEN_IMPLEMENTATION
 *     #include "celcomen.h"
 * and plainly include "celcomen.h" in the others. Compile with  cc -O2 main.c -lm  (add -fopenmp for
 * threads). It needs libc and libm only; the fast kernels are chosen when the program runs.
 *
 * ---------------------------------------------------------------------------------------------------
 * CONTENTS
 *     1  The model                        6  Score matching, the estimator to use
 *     2  The published estimator (CCE)    7  The partition function
 *     3  Spherical angles                 8  Files, memory, threads, errors, promises
 *     4  The published generator (SCE)    9  Compile-time switches
 *     5  Sampling, ascent, interventions 10  Rooms of this file
 *
 * ---------------------------------------------------------------------------------------------------
 * QUICK START
 *
 *     cel_mat x;                                   (S x n) expression, read from counts.npy
 *     cel_csr graph, w;                            who is whose neighbour
 *     cel_relation relation[2];                    0 = the identity: within a cell
 *     cel_npy_matrix("counts.npy", &x, NULL);
 *     cel_slide_normalise(...);                    library size, log1p, rows of unit length
 *     cel_graph_knn(...);                          6 nearest neighbours
 *     cel_csr_symmetrise(&graph, &w);
 *     relation[0].w = NULL; relation[1].w = &w;    (wt NULL: W is symmetric)
 *     cel_score_fit(...);                          forces, standard errors, q values
 *     cel_sample_run(...);                         a new tissue from the forces
 *     cel_perturb_new(...), cel_perturb_run(...);   what if a gene were knocked out here?
 * The numbered programs in examples/ are this, compiled and run by the tests.
 *
 * ---------------------------------------------------------------------------------------------------
 * 1  THE MODEL
 *
 * S cells, n genes. X is S x n; its row x_i, cell i's expression, has unit length. A relation r is a
 * sparse S x S matrix W_r (who may act on whom, how strongly); a force is the n x n matrix F_r attached
 * to it; h (n) is an optional field, the same for every cell.
 *
 *     H(X) = sum_r sum_ij (W_r)_ij x_i^T F_r x_j + sum_i h^T x_i = sum_r <F_r, X^T W_r X> + h . sum_i x_i
 *     P(X) = exp(H(X)) / Z
 *     dH/dX = sum_r (W_r X F_r^T + W_r^T X F_r) + 1 h^T
 *
 * The paper's model (ICLR 2025, eq. 2) is two relations: the identity, with the intra-cellular force g',
 * and the neighbour graph J, with the inter-cellular force g. Second neighbours, pairs of cell types,
 * distance bands and dissociated cells (a slide whose only relation is the identity) are further
 * relations, not further code. The sum runs over ordered pairs: where "pairs <i,j>" is meant, the force
 * is twice as large. If W_r is symmetric only the symmetric part of F_r matters.
 *
 * Gauge: F_0 -> F_0 + c I adds the constant c S to H, because rows have unit length, so P is unchanged.
 * The diagonal of the intra force is known up to a multiple of I: compare fits after tr F_0 = 0
 * (cel_model_gauge), or compare off-diagonal entries only.
 *
 * A force is a statement about conditional dependence: a_ab > 0 says that, all else held, cells (or
 * neighbours) that are high in a are more often high in b. It has no direction.
 *
 * ---------------------------------------------------------------------------------------------------
 * 2  THE PUBLISHED ESTIMATOR (CCE)
 *
 * Edges j -> i from directed k nearest neighbours; d_i the in-degree; W_ij = 1/sqrt(d_i d_j). With m the
 * mean row of X, q the number of neighbours, z the "zmft scalar", A = g' + (q/2) g, M = q g + 2 g',
 * u = M m, k = |u|:
 *
 *     log Z  = -S m^T A m + S f(k),      f(k) = log((e^k - e^-k)/k)
 *     loss   =  log Z - z <g, X^T W X> - z <g', X^T X>
 *     dloss/dg  = S f'(k) q (u/k) m^T - S (q/2) m m^T - z X^T W X,       f'(k) = coth k - 1/k
 *     dloss/dg' = 2 S f'(k) (u/k) m^T - S m m^T - z X^T X
 *     step: g <- P(g - lr dg), g' likewise;  P symmetrises, clamps to [0, 1], sets the diagonal to 1.
 *
 * X enters through X^T X, X^T W X and m only: after the moments an epoch costs O(n^2) whatever S is.
 * log Z depends on (g, g') only through A m and M m, so the loss is linear, hence unbounded, in every
 * other direction and the clamp decides: entries end at 0 or 1. This estimator is here to reproduce the
 * paper. Use section 6 to learn something about a tissue.
 *
 * ---------------------------------------------------------------------------------------------------
 * 3  SPHERICAL ANGLES
 *
 * n - 1 angles a cell: x_k = cos(t_k) prod_{j<k} sin(t_j), last x_n = prod_j sin(t_j). Inverse, for every
 * sign: t_k = atan2(|x_{k+1..n}|, x_k), last t_{n-1} = atan2(x_n, x_{n-1}). Back-propagation in O(n), with
 * p_k = prod_{j<k} sin t_j and G = dL/dx:
 *
 *     R = G_n;  for k = n-1 .. 1:  dL/dt_k = p_k (cos t_k R - sin t_k G_k);  R = G_k cos t_k + sin t_k R
 *
 * The product of sines underflows a float beyond 100-200 genes, and the gradients with it: angles are for
 * fidelity to the paper. Section 5 moves on the sphere itself.
 *
 * ---------------------------------------------------------------------------------------------------
 * 4  THE PUBLISHED GENERATOR (SCE)
 *
 * Forces fixed, the angles are optimised on the loss of section 2, m now being the mean of the current X:
 *
 *     dL/dX = (1/S) 1 (dm)^T - z (W X g^T + W^T X g + X (g' + g'^T)),  dm = S f'(k) M^T u/k - S (A + A^T) m
 *
 * A knock-out sets the gene to 0 in the chosen cells, rescales those rows and starts from there; nothing
 * holds the gene at 0 afterwards, and there is no control.
 *
 * ---------------------------------------------------------------------------------------------------
 * 5  SAMPLING, ASCENT, INTERVENTIONS
 *
 * Given all other cells, P(x_i | rest) ~ exp(x_i^T F_0 x_i + b_i^T x_i), b_i = h + sum_r ((W_r X)_i F_r^T +
 * (W_r^T X)_i F_r) over the relations but the identity. Cells of one colour of the joint graph are
 * independent given the rest; a sweep updates a colour at once by geodesic Hamiltonian Monte Carlo on the
 * sphere (Byrne & Girolami 2013) with a decision per cell, or, on the non-negative orthant, by
 * rotations in pairs of genes. Exact, and its acceptance does not fall with S.
 *
 * Most likely tissue: monotone ascent x_i <- (F_0 + c I) x_i + b_i / 2, rescaled, with c large enough.
 *
 * do(x_i^a = v): that coordinate is held, the row's free part lives on the sphere of radius sqrt(1 - v^2).
 * Whole rows can be held, added, removed. The effect is the difference of two runs from the observed
 * tissue on the same random numbers (keyed by cell and sweep), with and without the intervention, cells
 * beyond R hops held as observed. The second run is the sham: without it, the drift of the whole tissue is
 * read as an effect. Repeats give the Monte-Carlo error.
 *
 * ---------------------------------------------------------------------------------------------------
 * 6  SCORE MATCHING, THE ESTIMATOR TO USE
 *
 * No partition function, quadratic and so convex, a unique minimum once the gauge is fixed, consistent
 * (Hyvarinen 2005; Mardia, Kent & Laha 2016). With v_i = dH/dx_i, linear in the parameters, N_r = W_r X:
 *
 *     J = sum_i 1/2 |v_i - x_i (x_i . v_i)|^2 + sum_i Lap_i H
 *     Lap_i H = 2 tr F_0 - 2 n x_i^T F_0 x_i - 2 (n-1) sum_r x_i^T F_r (N_r)_i - (n-1) h^T x_i
 *
 * for symmetric W_r; otherwise N+ = W_r X enters v with F_r^T and N- = W_r^T X with F_r.
 *
 * Moment form: dropping the radial part x_i (x_i . v_i) leaves B = [X, N_1, .., N_R, 1/2] and the normal
 * matrix 4 B^T B: one pass over the cells, then they are never touched again. From about 30 genes up it
 * cannot be told from the exact form; below, its slopes are 1/n too small.
 *
 * Non-negative data: P lives on the positive orthant, where plain score matching has a boundary term.
 * Weighting the rotation of genes (j, k) by s_j s_k removes it; with p1 = sum s, p3 = sum s^3, g = dH/ds:
 *
 *     J+ = sum_i 1/2 [p3 sum_k s_k g_k^2 - (sum_k s_k^2 g_k)^2] + sum_k c_k g_k
 *          + p3 sum_k s_k (2 F_0)_kk - (s^2)^T (2 F_0) (s^2),      c_k = p3 - 2 p1 s_k^2 + s_k^3
 *
 * Exact zeros are atoms that neither form models. Penalties (ridge, l1, groups over relations) are picked
 * by the held-out value of J over tiles or slides, never by reproducibility.
 *
 * Error bars: moments per spatial tile or slide; a delete-one jackknife replicate is a subtraction and a
 * re-solve. z = force / standard error, p from Student's t with (groups - 1) degrees of freedom, q by
 * Benjamini & Hochberg (1995) over the pairs of a relation.
 *
 * ---------------------------------------------------------------------------------------------------
 * 7  THE PARTITION FUNCTION
 *
 * The paper's log Z (section 2) uses the integral of the ordinary sphere in 3 dimensions, whatever n is.
 * The right one: log C_n(k) = (n/2) log 2 pi + log I_{n/2-1}(k) - (n/2 - 1) log k, with derivative
 * A_n(k) = I_{n/2}(k) / I_{n/2-1}(k), written as log |S^{n-1}| + phi_n(k), phi_n(0) = 0. Both are mean-field
 * values. A rigorous lower bound comes from a product of von Mises-Fisher densities; the truth, with an
 * error bar, from annealed importance sampling (Neal 2001) with the sampler of section 5.
 *
 * ---------------------------------------------------------------------------------------------------
 * 8  FILES, MEMORY, THREADS, ERRORS, PROMISES
 *
 * Layout     Cells are rows, genes are columns, row-major, always; every array's comment says its shape.
 * Errors     Fallible functions return cel_status, 0 for success; a cel_error, where taken, names the
 *            byte, cell or gene. On error nothing leaks and outputs are zeroed. Nothing prints or exits.
 * Options    Structs for which all-zero means the documented defaults.
 * Memory     Through CELCOMEN_MALLOC, REALLOC, FREE. An epoch, a sweep, an iteration allocates nothing.
 * State      No mutable global but the cache of the kernel level: two threads may work on two models.
 * Same bits  Same seed, input and kernel level give the same bits for any number of threads. Random
 *            numbers are a function of (seed, stream, cell, sweep); sums are cut in fixed blocks.
 * Precision  cel_real is float (double with CELCOMEN_DOUBLE); sums over cells are kept in double.
 * Files      Writers write to a temporary name in the same folder and rename: never half a file.
 * Kernels    scalar, AVX2+FMA, AVX-512, NEON, chosen when the program first needs one. The environment
 *            variable CELCOMEN_LEVEL (scalar, neon, avx2, avx512) caps the choice; so does cel_level_cap.
 *            -ffast-math is refused: NaN must stay NaN.
 *
 * ---------------------------------------------------------------------------------------------------
 * 9  COMPILE-TIME SWITCHES
 *
 *     CELCOMEN_IMPLEMENTATION   in one file: the code.
 *     CELCOMEN_STATIC           before every include: all functions and data are static.
 *     CELCOMEN_DOUBLE           everywhere: cel_real is double.
 *     CELCOMEN_NO_STDIO         with the implementation: no file access; parsing from memory remains.
 *     CELCOMEN_NO_SIMD          with the implementation: plain C only.
 *     CELCOMEN_CBLAS            with the implementation: matrix products through <cblas.h>.
 *     CELCOMEN_MALLOC(size), CELCOMEN_REALLOC(p, size), CELCOMEN_FREE(p)
 *                               with the implementation, all or none: another allocator.
 * OpenMP is used when the compiler's flag for it is on.
 *
 * ---------------------------------------------------------------------------------------------------
 * 10  ROOMS OF THIS FILE, twice in this order: interface, then implementation. A room calls rooms above it.
 *
 *     base       cel_, cel_rng_      status, memory, threads, random numbers, statistics
 *     kernels    cel_level_, cel_vec_   what is vectorised by hand
 *     dense      cel_mat_            row-major matrices, products, solves
 *     sparse     cel_csr_            CSR matrices
 *     files      cel_file_, cel_npy_, cel_npz_   .npy, .npz, lists of names
 *     tissue     cel_slide_, cel_graph_   unit rows, neighbour graphs, tiles
 *     model      cel_relations_, cel_model_, cel_sphere_   relations, forces, the Hamiltonian, log Z
 *     moments    cel_moments_        the statistics that a fit needs
 *     score      cel_score_          score matching
 *     published  cel_adam_, cel_paper_   the paper's estimator and generator
 *     sampler    cel_sample_         exact samples
 *     optimum    cel_ascent_, cel_logz_   the most likely tissue, log Z by sampling
 *     perturb    cel_perturb_, cel_effect_   interventions, sham, paired effects
 */
#ifndef CELCOMEN_H
#define CELCOMEN_H

#define CELCOMEN_VERSION_MAJOR 0
#define CELCOMEN_VERSION_MINOR 1
#define CELCOMEN_VERSION_PATCH 0
#define CELCOMEN_VERSION "0.1.0"

#include <stddef.h>
#include <stdint.h>

#if defined(__GNUC__) || defined(__clang__)
#define CEL_UNUSED __attribute__((unused))
#else
#define CEL_UNUSED
#endif

#if defined(CELCOMEN_STATIC)
#define CEL_API static CEL_UNUSED
#else
#define CEL_API extern
#endif

/* Every struct of this file may be zeroed so, in C and in C++:  cel_score_options o = CEL_ZERO; */
#ifdef __cplusplus
#define CEL_ZERO {}
#else
#define CEL_ZERO {0}
#endif

/* The number type of every array of the library. */
#if defined(CELCOMEN_DOUBLE)
typedef double cel_real;
#else
typedef float cel_real;
#endif

#ifdef __cplusplus
extern "C" {
#endif

/* ======================================================================== */
/* base: status, memory, threads, random numbers, statistics                */
/* ======================================================================== */

/* Every fallible function returns one of these; 0 is success. */
typedef enum cel_status {
    CEL_OK = 0,
    CEL_ERR_ARG,         /* an argument is out of its documented range */
    CEL_ERR_SHAPE,       /* the shapes of two arguments do not fit */
    CEL_ERR_MEMORY,      /* an allocation failed */
    CEL_ERR_IO,          /* a file could not be opened, read, written or renamed */
    CEL_ERR_FORMAT,      /* a file is not what it claims to be, or is truncated */
    CEL_ERR_UNSUPPORTED, /* valid, but a kind that the library does not read */
    CEL_ERR_DATA,        /* NaN, infinite or negative data, a row of zeros, an empty set */
    CEL_ERR_NUMERIC,     /* a matrix is not positive definite, or an iteration diverged */
    CEL_ERR_STOPPED      /* the progress callback asked to stop */
} cel_status;

/* What went wrong, in detail. Every function that takes one accepts NULL. `what` is a constant
 * string; a place that does not apply is -1. */
typedef struct cel_error {
    cel_status status;
    const char *what; /* one phrase, constant, never NULL after a failure */
    int64_t offset;   /* byte offset in the file, or line (from 1) of a text */
    int64_t cell;     /* row, from 0 */
    int64_t gene;     /* column, from 0 */
} cel_error;

/* The text of a status code: a constant string, never NULL. */
CEL_API const char *cel_strerror(cel_status status);

/* The version of the implementation that was compiled, e.g. "0.1.0". */
CEL_API const char *cel_version(void);

/* Progress of long work: `done` of `total` steps of `stage`, and its current value (a loss, an
 * energy). A non-zero return stops the work, which then returns CEL_ERR_STOPPED. Called from the
 * calling thread only. All-zero means no callback. */
typedef struct cel_progress {
    int (*fn)(void *user, const char *stage, int64_t done, int64_t total, double value);
    void *user;
} cel_progress;

/* A scratch buffer that grows on demand and is reused, so that a loop allocates nothing after its
 * first round. All-zero is an empty one; free with cel_work_free. Not to be shared by threads. */
typedef struct cel_work {
    void *data;
    size_t bytes;
    struct cel_work *inner; /* for what the function that uses this one calls */
} cel_work;

/* At least `bytes` of 64-byte aligned memory, its content undefined; NULL when out of memory (the
 * old buffer is then kept). Any earlier pointer into the same work is invalid afterwards. */
CEL_API void *cel_work_get(cel_work *work, size_t bytes);
CEL_API void cel_work_free(cel_work *work);

/* How many threads a parallel loop would use: OpenMP's setting, or 1 without OpenMP or inside of such a loop. */
CEL_API int cel_threads(void);

/* Counter-based random numbers (Philox 4x32, 10 rounds): a draw is a pure function of (seed,
 * stream, cell, sweep, index), so results do not depend on threads or on the order of work.
 * Draws never depend on what was drawn for another cell or sweep. */
typedef struct cel_rng {
    uint64_t seed;
    uint32_t stream, cell, sweep; /* what is drawn, for whom, when */
    uint32_t block;               /* next counter value */
    uint32_t word[4];             /* the current block */
    int left;                     /* words of it not yet used */
} cel_rng;

CEL_API cel_rng cel_rng_at(uint64_t seed, uint32_t stream, uint32_t cell, uint32_t sweep);
/* Uniform on [0, 1), 53 bits (two words a draw). */
CEL_API double cel_rng_uniform(cel_rng *rng);
/* A standard normal draw (Box-Muller; one of the pair is discarded: use cel_rng_normals, in dense, for many). */
CEL_API double cel_rng_normal(cel_rng *rng);
/* An unbiased integer in [0, bound), bound >= 1. */
CEL_API uint32_t cel_rng_integer(cel_rng *rng, uint32_t bound);
/* count uniforms on [0, 1) (count), 24 bits in float, 53 in double: from the next whole block on. */
CEL_API void cel_rng_uniforms(cel_rng *rng, cel_real *out, int64_t count);

/* P(|T| >= |t|) for Student's t with df > 0 degrees of freedom; NaN for NaN. */
CEL_API double cel_student_p(double t, double df);
/* Benjamini & Hochberg (1995): q[i] = min over p[j] >= p[i] of p[j] count / rank(j), at most 1. q may be p.
 * Allocates count indices. */
CEL_API cel_status cel_fdr(const double *p, int64_t count, double *q);

/* ======================================================================== */
/* kernels: what is vectorised by hand, and the level in use                */
/* ======================================================================== */

/* The kernels that can be chosen at run time, slowest first. */
typedef enum cel_level {
    CEL_LEVEL_SCALAR = 0,
    CEL_LEVEL_NEON = 1,
    CEL_LEVEL_AVX2 = 2,   /* with FMA */
    CEL_LEVEL_AVX512 = 3  /* F, DQ, VL, BW */
} cel_level;

/* The level in use: the best that the machine has, capped by the environment variable
 * CELCOMEN_LEVEL (scalar, neon, avx2, avx512), read once, and by cel_level_cap. */
CEL_API cel_level cel_level_get(void);
/* Use at most this level from now on (not while other threads compute). Returns the level in use. */
CEL_API cel_level cel_level_cap(cel_level cap);
CEL_API const char *cel_level_name(cel_level level);

/* y += alpha x (count). */
CEL_API void cel_vec_axpy(int64_t count, cel_real alpha, const cel_real *x, cel_real *y);
/* sum x_i y_i and |x|, accumulated in double in fixed blocks. */
CEL_API double cel_vec_dot(int64_t count, const cel_real *x, const cel_real *y);
CEL_API double cel_vec_nrm2(int64_t count, const cel_real *x);

/* Sines and cosines of x (count each); an output may be the input. Errors, measured against extended precision:
 * at most 2 ulp in float and in double, next to their zeros too. The sign of a zero may be lost. NaN, infinities
 * and |x| > 16384 are libm's. */
CEL_API void cel_vec_sincos(int64_t count, const cel_real *x, cel_real *sine, cel_real *cosine);

/* count standard normals (count), the fast way: Box-Muller on the blocks that begin at the next whole one,
 * 32 normals from 8 (double: 16) of them. The first m of n are those of a call for m alone. In float a
 * normal is below 6.8 in size, in double below 8.5. Bits depend on the level, not on threads. */
CEL_API void cel_rng_normals(cel_rng *rng, cel_real *out, int64_t count);

/* ======================================================================== */
/* dense: row-major matrices                                                */
/* ======================================================================== */

/* A matrix, or a window into one: element (i, j) is data[i * stride + j]. A view carries no const:
 * functions write only to the arguments that they document as written. */
typedef struct cel_mat {
    cel_real *data;
    int64_t rows, cols, stride;
} cel_mat;

/* A zeroed matrix, rows 64-byte aligned only where cols * sizeof(cel_real) is a multiple of 64
 * (stride == cols). Zero rows or columns are fine. Free with cel_mat_free (all-zero afterwards). */
CEL_API cel_status cel_mat_new(int64_t rows, int64_t cols, cel_mat *out);
CEL_API void cel_mat_free(cel_mat *a);
/* A view of the caller's (rows x cols) array, stride == cols. */
CEL_API cel_mat cel_mat_view(const cel_real *data, int64_t rows, int64_t cols);
/* The window of a that starts at (row, col). */
CEL_API cel_mat cel_mat_block(cel_mat a, int64_t row, int64_t col, int64_t rows, int64_t cols);
/* b = a, same shape; a and b may be views into larger matrices, not overlapping. */
CEL_API cel_status cel_mat_copy(cel_mat a, cel_mat b);
CEL_API void cel_mat_fill(cel_mat a, cel_real value);

/* C = alpha op(A) op(B) + beta C, op = transpose where the flag is non-zero; C (m x n), overlapping
 * neither A nor B. beta == 0 overwrites C, NaN included. work may be NULL (then the scratch is
 * allocated and freed in the call). Bits do not depend on the number of threads. */
CEL_API cel_status cel_mat_gemm(int trans_a, int trans_b, cel_real alpha, cel_mat a, cel_mat b,
                                cel_real beta, cel_mat c, cel_work *work);
/* C = alpha A A^T + beta C (trans == 0) or alpha A^T A + beta C; both triangles of C are written and
 * C is exactly symmetric if it was on entry or beta == 0. */
CEL_API cel_status cel_mat_syrk(int trans, cel_real alpha, cel_mat a, cel_real beta, cel_mat c, cel_work *work);
/* y = alpha op(A) x + beta y. */
CEL_API cel_status cel_mat_gemv(int trans, cel_real alpha, cel_mat a, const cel_real *x, cel_real beta, cel_real *y);
/* <A, B> = sum_ij A_ij B_ij, and B += alpha A, for views of one shape. */
CEL_API double cel_mat_dot(cel_mat a, cel_mat b);
CEL_API void cel_mat_axpy(cel_real alpha, cel_mat a, cel_mat b);
/* B = A^T; A = (A + A^T) / 2 in place, square. */
CEL_API cel_status cel_mat_transpose(cel_mat a, cel_mat b);
CEL_API cel_status cel_mat_symmetrise(cel_mat a);
/* In place A = L L^T, A symmetric (n x n), its lower triangle read and overwritten by L, the upper
 * left alone; CEL_ERR_NUMERIC unless positive definite. Then solve L L^T X = B in place, B (n x m). */
CEL_API cel_status cel_mat_cholesky(cel_mat a);
CEL_API cel_status cel_mat_cholesky_solve(cel_mat l, cel_mat b);
/* A = V diag(w) V^T, A symmetric (n x n), w ascending (n), V (n x n) with eigenvectors in
 * its columns. Householder tridiagonalisation and implicit QL in double. CEL_ERR_NUMERIC if a
 * value needs more than 60 iterations (NaN input). */
CEL_API cel_status cel_mat_eigen(cel_mat a, double *w, cel_mat v);

/* ======================================================================== */
/* sparse: CSR matrices                                                     */
/* ======================================================================== */

/* Row i's entries are index[start[i] .. start[i+1]-1], ascending columns, no duplicates, with their
 * values. All-zero is an empty matrix. Free with cel_csr_free.
 *
 * order is the walk in which passes over all rows visit them: NULL for their own order, else a permutation that
 * puts neighbours close together. The graphs of the tissue room have one where it pays: large, and cells that
 * are not stored near their neighbours. A square matrix made from another takes it over. Rows of a product do
 * not depend on it, and stay where they are; sums over cells (cel_moments_add) are rounded in its order. */
typedef struct cel_csr {
    int64_t rows, cols;
    int64_t *start; /* (rows + 1) */
    int32_t *index; /* (start[rows]) */
    cel_real *value; /* (start[rows]) */
    int32_t *order;  /* (rows) or NULL */
} cel_csr;

CEL_API void cel_csr_free(cel_csr *a);
CEL_API int64_t cel_csr_count(const cel_csr *a);
/* From count entries (row[e], col[e], value[e]) in any order; value NULL = all 1; entries of one
 * place are summed in their order, in double. CEL_ERR_ARG for an index out of range (err->offset = e) or more
 * than 2^31 - 1 rows or columns. O(count + rows + cols). */
CEL_API cel_status cel_csr_from_edges(int64_t rows, int64_t cols, int64_t count, const int64_t *row, const int64_t *col,
                                      const cel_real *value, cel_csr *out, cel_error *err);
CEL_API cel_status cel_csr_copy(const cel_csr *a, cel_csr *out);
CEL_API cel_status cel_csr_transpose(const cel_csr *a, cel_csr *out);
/* (A + A^T) / 2 for square A. */
CEL_API cel_status cel_csr_symmetrise(const cel_csr *a, cel_csr *out);
/* 1 if A equals its transpose exactly, else 0. */
CEL_API int cel_csr_is_symmetric(const cel_csr *a);

typedef enum cel_csr_norm {
    CEL_NORM_ROW,  /* each row divided by its sum: the mean over neighbours */
    CEL_NORM_SYM,  /* A_ij / sqrt(r_i c_j), r and c the row and column sums */
    CEL_NORM_GCN   /* A_ij / sqrt(d_i d_j), d the row sums: the graph convolution's weights without
                      self loops when row i lists the sources of i's in-edges */
} cel_csr_norm;
/* In place. A zero sum leaves zeros. SYM and GCN need non-negative sums (else CEL_ERR_DATA, A untouched), GCN a
 * square matrix. */
CEL_API cel_status cel_csr_normalise(cel_csr *a, cel_csr_norm kind);
/* Y = alpha A X + beta Y, X (cols x n), Y (rows x n), not overlapping; beta == 0 overwrites.
 * Each row of Y is summed in ascending column order by one thread: same bits for any number. */
CEL_API cel_status cel_csr_mul(cel_real alpha, const cel_csr *a, cel_mat x, cel_real beta, cel_mat y);
/* The same for the rows listed only: y.row(r) = alpha (A X).row(list[r]) + beta y.row(r). */
CEL_API cel_status cel_csr_mul_rows(cel_real alpha, const cel_csr *a, const int32_t *list, int64_t count, cel_mat x,
                                    cel_real beta, cel_mat y);
/* Pairs at exactly `hops` steps in the undirected graph of A's stored entries (square), hops >= 1: symmetric,
 * value 1, no diagonal. */
CEL_API cel_status cel_csr_hop(const cel_csr *a, int hops, cel_csr *out);

/* ======================================================================== */
/* files: .npy, .npz and lists of names, in and out                         */
/* ======================================================================== */

#define CEL_NPY_DIMS 32

/* An array in memory as an .npy file describes it: what was parsed, or what is to be written. `data`
 * points into the buffer that was parsed (any alignment), or at the caller's array. */
typedef struct cel_npy {
    char kind;      /* 'b' bool, 'i' signed, 'u' unsigned, 'f' floating point, 'S' text */
    int bytes;      /* size of an element: 1, 2, 4 or 8; of text its width, shorter ones end in NUL bytes */
    int big_endian; /* byte order of the elements */
    int fortran;    /* 1: the first index runs fastest */
    int ndim;       /* 0 (a scalar) to CEL_NPY_DIMS */
    int64_t shape[CEL_NPY_DIMS];
    int64_t count;    /* elements, the product of the shape */
    const void *data; /* (count * bytes) bytes */
    int64_t offset;   /* of the data in the file */
    int64_t trailing; /* bytes that follow the data: another array, or garbage */
} cel_npy;

/* Reads the header of a .npy file of `size` bytes, versions 1 to 3, every boolean, integer and floating type
 * of up to 8 bytes, and bytes of text. Copies nothing, allocates nothing. CEL_ERR_FORMAT if it is malformed or
 * shorter than its shape says; CEL_ERR_UNSUPPORTED for Unicode, dates, complex, long double, structures and
 * Python objects. err->offset is the byte. Repeated keys: the last counts. Negative lengths are refused. */
CEL_API cel_status cel_npy_parse(const void *bytes, size_t size, cel_npy *out, cel_error *err);
/* The elements in C order, whatever the type and the orders, into out (count). Rounds to nearest; a
 * double beyond the range of a float becomes infinite; bool gives 0 and 1; NaN passes. CEL_ERR_UNSUPPORTED
 * for text. */
CEL_API cel_status cel_npy_to_real(const cel_npy *a, cel_real *out, cel_error *err);
/* The same for integers and bool into out (count): CEL_ERR_UNSUPPORTED for floating point and text,
 * CEL_ERR_DATA (out zeroed, err->cell the element) for an unsigned value above INT64_MAX. */
CEL_API cel_status cel_npy_to_int64(const cel_npy *a, int64_t *out, cel_error *err);
/* The elements in place, without a copy, if they are native cel_real in C order and aligned; else NULL. */
CEL_API const cel_real *cel_npy_view(const cel_npy *a);
/* Describes the caller's native, C-ordered array for the writers: e.g. ('f', sizeof(cel_real), 2, shape, x). */
CEL_API cel_npy cel_npy_describe(char kind, int bytes, int ndim, const int64_t *shape, const void *data);

/* A zip archive of .npy files in memory, its directory checked by cel_npz_parse (zip64 too). */
typedef struct cel_npz {
    const void *bytes;
    size_t size;
    int64_t count;     /* members */
    int64_t directory; /* offset of the central directory */
} cel_npz;

/* An array to be written under a name (without ".npy"). */
typedef struct cel_npz_member {
    const char *name;
    cel_npy array;
} cel_npz_member;

CEL_API cel_status cel_npz_parse(const void *bytes, size_t size, cel_npz *out, cel_error *err);
/* The name of member i without ".npy", cut to capacity - 1 bytes and terminated. Returns its full length. */
CEL_API size_t cel_npz_name(const cel_npz *z, int64_t i, char *name, size_t capacity);
/* The last member of that name (CEL_ERR_ARG if there is none), its CRC-32 checked; its data are in the archive.
 * Only stored members can be read: CEL_ERR_UNSUPPORTED for a deflated one (err->what says how to save
 * uncompressed). */
CEL_API cel_status cel_npz_get(cel_npz *z, const char *name, cel_npy *out, cel_error *err);
/* The matrix that scipy.sparse.save_npz(..., compressed=False) wrote, of format csr: entries sorted,
 * duplicates summed. Free with cel_csr_free. */
CEL_API cel_status cel_npz_to_csr(cel_npz *z, cel_csr *out, cel_error *err);
/* Describes a as SciPy's five members, to be written; shape (2) is filled and, like a, must live until then. */
CEL_API void cel_npz_from_csr(const cel_csr *a, int64_t *shape, cel_npz_member *member);
/* A text (UTF-8, any length) as a member of kind 'u1': data and count of what cel_npz_get finds are its bytes,
 * for cel_file_parse_lines if it is a list; in Python z["name"].tobytes().decode(). */
CEL_API cel_npz_member cel_npz_text(const char *name, const char *text);

/* One string a line of a text of `size` bytes: bytes kept as they are, "\r\n" ends a line as "\n" does, a
 * last line needs neither, a leading byte order mark is dropped. CEL_ERR_FORMAT for a NUL byte (err->offset
 * is the line, from 1). *lines (count, and a NULL after them) is one allocation: free with cel_file_free. */
CEL_API cel_status cel_file_parse_lines(const void *bytes, size_t size, char ***lines, int64_t *count, cel_error *err);
/* The inverse: a text of `count` lines, each ended by "\n". CEL_ERR_DATA if a line has an end within
 * (err->offset its number, from 1). Free *text with cel_file_free. */
CEL_API cel_status cel_file_join_lines(char *const *lines, int64_t count, char **text, cel_error *err);
/* Frees what a function of this room allocated; NULL is fine. */
CEL_API void cel_file_free(void *p);

#if !defined(CELCOMEN_NO_STDIO)

/* The content of a file: read into memory (map == 0), or mapped where the system can (POSIX, a regular file) and
 * read elsewhere: a pipe works too, and is read once. A mapped file must not be shortened by another program
 * before it is closed. */
typedef struct cel_file {
    const void *bytes; /* (size), 64-byte aligned, never NULL after a success */
    size_t size;
    int mapped;
} cel_file;

CEL_API cel_status cel_file_open(const char *path, int map, cel_file *out, cel_error *err);
CEL_API void cel_file_close(cel_file *file);
/* Writes to a temporary name in the same folder, then renames: path holds the whole content or what it held
 * before, and nothing else is left behind. Where the system can (POSIX) the content is on the disk before the
 * name is: a power cut leaves the old file or the new one. The writers below do the same. */
CEL_API cel_status cel_file_write(const char *path, const void *bytes, size_t size, cel_error *err);

/* A 2-D numeric .npy into a new matrix (cel_mat_free). Bytes after the data are refused
 * (CEL_ERR_FORMAT), another number of dimensions too (CEL_ERR_SHAPE). */
CEL_API cel_status cel_npy_matrix(const char *path, cel_mat *out, cel_error *err);
/* A 1-D (rows x 1) or 2-D (rows x cols) .npy of integers, as above; *data is freed with cel_file_free. */
CEL_API cel_status cel_npy_integers(const char *path, int64_t **data, int64_t *rows, int64_t *cols, cel_error *err);
CEL_API cel_status cel_npz_csr(const char *path, cel_csr *out, cel_error *err);
CEL_API cel_status cel_file_lines(const char *path, char ***lines, int64_t *count, cel_error *err);

CEL_API cel_status cel_npy_write(const char *path, const cel_npy *a, cel_error *err);
/* A matrix or view as a 2-D array of cel_real. */
CEL_API cel_status cel_npy_write_matrix(const char *path, cel_mat a, cel_error *err);
/* An archive of `count` arrays, stored: at most 65,534 and 4 GiB (CEL_ERR_ARG). The same arrays give the same
 * bytes. */
CEL_API cel_status cel_npz_write(const char *path, const cel_npz_member *member, int64_t count, cel_error *err);

#endif

/* ======================================================================== */
/* tissue: expression, slides, neighbour graphs                             */
/* ======================================================================== */

/* From counts to expression. All-zero: scale to 10,000 a cell, then log1p. A cell's result depends on
 * that cell alone. */
typedef struct cel_slide_options {
    double target_sum; /* a cell's counts are scaled to this total; 0 = 1e4 (published: 1e6), negative = not scaled */
    int no_log;        /* non-zero leaves out x <- log(1 + x) */
} cel_slide_options;

/* In place on counts X (S x n): library-size scaling and log1p. options may be NULL. Rows of zeros stay.
 * CEL_ERR_DATA for a negative, NaN or infinite count (err: cell, gene); X is then untouched. */
CEL_API cel_status cel_slide_scale(cel_mat x, const cel_slide_options *options, cel_error *err);
/* In place on X (S x n): every row divided by its length. Rows of zeros stay, keep[i] (S, or NULL) tells 1
 * for a usable row and 0 for zeros, and *zeros (or NULL) counts them; where both are NULL a row of
 * zeros is CEL_ERR_DATA (err: cell). NaN or infinity is CEL_ERR_DATA (err: cell, gene), X untouched. */
CEL_API cel_status cel_slide_unit(cel_mat x, uint8_t *keep, int64_t *zeros, cel_error *err);
/* Compacts items (count of `size` bytes each) in place to those whose keep is non-zero, in order, and
 * returns how many. For the rows of a matrix, size = stride * sizeof(cel_real); for labels, 4. */
CEL_API int64_t cel_slide_keep(const uint8_t *keep, int64_t count, void *items, size_t size);

/* The `top` most variable genes of log1p data X (S x n, S >= 2, not negative), the classic Seurat flavour:
 * mean and dispersion (variance / mean) of expm1(x), their logarithms, genes in 20 bins of equal width
 * in log1p(mean), score = (log dispersion - its mean in the bin) / its standard deviation in the bin. A
 * gene alone in its bin scores 1; a gene that does not vary scores -infinity. index (top) receives the
 * columns, ascending; ties go to the lower column. score (n, or NULL) receives every gene's score. */
CEL_API cel_status cel_slide_variable(cel_mat x, int64_t top, int32_t *index, double *score, cel_error *err);
/* Keeps the columns index (count, ascending) of *x in place and sets its cols; where x was contiguous it
 * stays so. */
CEL_API cel_status cel_slide_columns(cel_mat *x, const int32_t *index, int64_t count);

/* Cells by label: list[start[g] .. start[g+1]-1] are the cells of label g, ascending; start (groups + 1),
 * list (count). CEL_ERR_ARG for a label outside 0..groups-1 (err: cell). */
CEL_API cel_status cel_slide_groups(const int32_t *label, int64_t count, int64_t groups, int64_t *start, int32_t *list,
                                    cel_error *err);
/* Cuts every slide into per_side x per_side spatial tiles of nearly equal numbers of cells: strips of equal
 * count in the first coordinate, each cut into equal counts in the second. coords (S x 2 or 3), slide
 * (S, or NULL for one slide); tile (S) receives labels, tiles of a slide numbered together, 0..*tiles-1;
 * every label is used where each slide has at least per_side squared cells, else fewer tiles are made. */
CEL_API cel_status cel_slide_tiles(cel_mat coords, const int32_t *slide, int64_t per_side, int32_t *tile,
                                   int64_t *tiles, cel_error *err);

/* Neighbour graphs. coords (S x 2 or 3); slide (S, labels in 0..S-1, or NULL for one slide): no edge leaves
 * its slide. Row i of the result lists the neighbours of cell i, value 1, never i itself. Distances are
 * computed in double; exact, in O(S log S), nothing of size S x S. CEL_ERR_DATA for a coordinate that is
 * NaN or infinite (err: cell, gene = column). Same result for any number of threads. */

/* The k nearest others; equal distances go to the lower index, and cells at the same place are neighbours
 * like any other. A slide of k cells or fewer is CEL_ERR_DATA (err: its first cell), unless fewer is
 * non-zero: its cells then have all the others as neighbours. */
CEL_API cel_status cel_graph_knn(cel_mat coords, const int32_t *slide, int64_t k, int fewer, cel_csr *out,
                                 cel_error *err);
/* All cells at a distance d with inner <= d < outer and d > 0 (the published rule: inner = 0; cells at the
 * same place are not neighbours). 0 <= inner < outer. Bands that share a border share no pair. Symmetric;
 * a cell may have no neighbour. */
CEL_API cel_status cel_graph_radius(cel_mat coords, const int32_t *slide, double inner, double outer, cel_csr *out,
                                    cel_error *err);
/* The published simulation's grid of nx columns and ny rows: row step sqrt(1.25), even rows shifted by
 * +0.5; coords (nx ny x 2), cell = row * nx + column. */
CEL_API cel_status cel_graph_hex_coords(int64_t nx, int64_t ny, cel_mat coords);
/* The relation from one type of cell to another: A's entries whose row is of type a and column of type b;
 * type (S). */
CEL_API cel_status cel_graph_types(const cel_csr *graph, const int32_t *type, int32_t a, int32_t b, cel_csr *out);
/* Which of the graphs above: all-zero, or NULL, is that of the 6 nearest. */
typedef struct cel_graph_options {
    int64_t k;            /* nearest others, fewer on a slide that has fewer; 0: 6 unless radius is set */
    double inner, radius; /* above 0: all cells from inner to below radius instead */
} cel_graph_options;
CEL_API cel_status cel_graph_make(cel_mat coords, const int32_t *slide, const cel_graph_options *options, cel_csr *out,
                                  cel_error *err);
/* The cells slide by slide in the order of the leaves of a k-d tree, so that cells near in space are near in
 * memory when they are stored so: order (S) receives a permutation, cell order[r] comes r-th. */
CEL_API cel_status cel_graph_order(cel_mat coords, const int32_t *slide, int32_t *order, cel_error *err);

/* ======================================================================== */
/* model: relations, forces, the Hamiltonian, log Z                         */
/* ======================================================================== */

/* Who may act on whom: W (S x S), NULL for the identity (within a cell), and its transpose, NULL where W is
 * symmetric. Made, checked and owned by a cel_relations. */
typedef struct cel_relation {
    const cel_csr *w, *wt;
} cel_relation;

/* The relations of a tissue, and the one owner of their matrices. What holds for all of them is checked where
 * one comes in, and nowhere else: square of S cells, columns ascending, finite, without a diagonal (a cell's own
 * share belongs to the identity), a transpose beside what is not symmetric, the identity first and only there.
 * Read only. Free with cel_relations_free. */
typedef struct cel_relations {
    int64_t cells;    /* S */
    int64_t count;    /* R, at least 1 */
    cel_relation *at; /* (R) at[0] is the identity */
    char **name;      /* (R) "intra", then as given */
    cel_csr *owned;   /* (2 R) what `at` points to: W and transpose in turn */
} cel_relations;

/* How the relations between cells are made from a graph whose row i lists the neighbours of cell i. */
typedef enum cel_weights {
    CEL_WEIGHTS_MEAN = 0,  /* (A + A^T) / 2: symmetric whatever the graph */
    CEL_WEIGHTS_GCN,       /* as published: A^T, each entry divided by the root of both degrees */
    CEL_WEIGHTS_ADJACENCY  /* A^T as it is */
} cel_weights;

/* All-zero, or NULL: one relation, "inter". */
typedef struct cel_relations_options {
    cel_weights weights;
    int64_t hops;          /* 0: 1; one relation for each number of steps, unweighted from the second on: "inter_hop2" */
    const int32_t *type;   /* (S), or NULL: one relation for each unordered pair of types, "inter A | B"; from one type
                              to another it is not symmetric */
    int64_t types;         /* labels are 0 .. types - 1 */
    char *const *type_name; /* (types), or NULL: numbers */
} cel_relations_options;

/* The identity alone: dissociated cells. */
CEL_API cel_status cel_relations_new(int64_t cells, cel_relations *out);
/* The identity and what the options ask for: the usual case in one call. CEL_ERR_DATA as of cel_relations_add,
 * CEL_ERR_ARG for a label or an option out of range. */
CEL_API cel_status cel_relations_from_graph(const cel_csr *graph, const cel_relations_options *options,
                                            cel_relations *out, cel_error *err);
/* One more: a band of distances (cel_graph_radius), or any other graph. Takes W over, *w is empty afterwards even
 * on failure; makes its transpose where it needs one. The relations are unchanged after CEL_ERR_SHAPE (another number
 * of cells), CEL_ERR_DATA (err->cell: a row out of order, a value not finite, a cell related to itself),
 * CEL_ERR_ARG (a name that is taken). */
CEL_API cel_status cel_relations_add(cel_relations *r, const char *name, cel_csr *w, cel_error *err);
CEL_API void cel_relations_free(cel_relations *r);

/* A model: one force (n x n) per relation, stacked, and an optional field.
 *   H(X) = sum_r <F_r, X^T W_r X> + sum_i h . x_i                              (manual, section 1)
 * The sum runs over ordered pairs of cells. Relation 0 is by convention the identity. */
typedef struct cel_model {
    int64_t genes;     /* n */
    int64_t relations; /* R */
    cel_mat force;     /* (R n x n) */
    cel_real *field;   /* (n), or NULL for none */
} cel_model;

/* A zeroed model; with_field != 0 allocates the field. Free with cel_model_free. */
CEL_API cel_status cel_model_new(int64_t genes, int64_t relations, int with_field, cel_model *out);
CEL_API void cel_model_free(cel_model *m);
/* The force of relation r: a view (n x n). */
CEL_API cel_mat cel_model_force(const cel_model *m, int64_t r);
/* Fixes the gauge (manual, section 1): subtracts c I from force 0 so that its trace is 0. Returns c. */
CEL_API double cel_model_gauge(cel_model *m);

/* H(X), X (S x n), relation (R). energy (R + 1, or NULL) receives each relation's share and, last, the
 * field's. gradient (S x n, or data NULL, not overlapping x) receives dH/dX = sum_r (W_r X F_r^T + W_r^T X F_r)
 * + 1 h^T (manual, section 1). Cells in fixed blocks, sums in double; scratch (2048 + R n) n reals, whatever S is.
 * On error the outputs are zeroed. */
CEL_API cel_status cel_model_energy(const cel_model *m, const cel_relations *relations, cel_mat x, double *h,
                                    double *energy, cel_mat gradient, cel_work *work);

/* phi_n(k) = log of the mean of exp(k u.x) over the unit sphere S^{n-1}, and its derivative
 * A_n(k) = I_{n/2}(k) / I_{n/2-1}(k); n >= 2, k >= 0, up to n = 20,000; relative error 1e-10 (absolute
 * 1e-10 below 1). A and its own derivative may be NULL. */
CEL_API double cel_sphere_phi(int64_t n, double k, double *a, double *da);
/* log of the area of S^{n-1}. */
CEL_API double cel_sphere_log_area(int64_t n);

/* The normaliser of the Fisher-Bingham density exp(-sum_j lambda_j x_j^2 + sum_j gamma_j x_j) on S^{n-1},
 * n >= 2, by the third-order saddlepoint approximation (Kume and Wood, 2005); lambda, gamma (n). For a
 * density exp(x^T F x + b^T x), lambda = -eigenvalues of F and gamma = b in their basis. mean (n) and
 * square (n), each or NULL: E x_j and E x_j^2, the exact derivatives of this approximation, O(n).
 * Error of log c up to 0.05 at n = 3, about 1e-5 at n = 50, 1e-7 at n = 500; but 0.1 at any n where one
 * lambda lies more than n/2 below the others and its gamma is small. CEL_ERR_DATA for NaN or infinity. */
CEL_API cel_status cel_sphere_log_fb(int64_t n, const double *lambda, const double *gamma, double *logc,
                                     double *mean, double *square);

/* The mean-field log partition function of the paper (manual, section 2: the sphere integral of three
 * dimensions whatever n is), or with the right sphere (manual, section 7). */
typedef enum cel_sphere { CEL_SPHERE_PAPER = 0, CEL_SPHERE_RIGHT = 1 } cel_sphere;
/* log Z = -S m.A m + S f(k), A = F_0 + (q/2) F_1, M = q F_1 + 2 F_0, k = |M m|, for a model of two
 * relations (intra, inter); mean (n). f is log((e^k - e^-k)/k) of the paper (CEL_SPHERE_PAPER), or
 * log |S^{n-1}| + phi_n(k) (CEL_SPHERE_RIGHT). Derivatives, each may be absent (data NULL):
 * d_intra, d_inter (n x n) and d_mean (n). kappa (or NULL) receives k. */
CEL_API cel_status cel_model_logz(const cel_model *m, cel_sphere sphere, double q, int64_t cells, const double *mean,
                                  double *logz, cel_mat d_intra, cel_mat d_inter, double *d_mean, double *kappa);

/* A model, and all that must be known to use it on another slide: what model.npz holds. Whoever fills one in may point
 * into its own arrays; only what cel_model_read made is freed with cel_model_record_free. */
typedef struct cel_model_record {
    cel_model model;         /* forces, and the field or the mean of the slides' */
    char **gene, **relation; /* (n), (R) names */
    int64_t types, slides;
    char **type, **slide;    /* (types), (slides) names, or NULL */
    cel_mat slide_field;     /* (slides x n) each slide's field, or none */
    cel_mat se, z, p, q;     /* (R n x n) as in the report of a fit, or none */
    cel_mat partial;         /* (R n x n) the forces in units of partial correlations, or none */
    int64_t hops;            /* how the relations were made: as in cel_relations_options */
    cel_weights weights;
    cel_graph_options graph; /* of this graph */
    char *note;              /* anything else that is to be kept, a text; or NULL */
    void *owned;
} cel_model_record;

#if !defined(CELCOMEN_NO_STDIO)
/* Writes a record as an archive of arrays that NumPy reads: force (R, n, n), field, se, ..., names as text (manual,
 * section 8). CEL_ERR_DATA for a name with a line's end (err->gene, or err->cell its number). */
CEL_API cel_status cel_model_write(const char *path, const cel_model_record *record, cel_error *err);
/* Reads one. CEL_ERR_FORMAT for an archive that is none or whose arrays do not fit each other, CEL_ERR_UNSUPPORTED for
 * a later format. Forces written in the other number type are rounded. */
CEL_API cel_status cel_model_read(const char *path, cel_model_record *out, cel_error *err);
#endif
CEL_API void cel_model_record_free(cel_model_record *record);
/* Which of the `count` genes named `name` each of the record's is: column (n). CEL_ERR_DATA if one is missing or stands
 * twice (err->gene: the record's). */
CEL_API cel_status cel_model_columns(const cel_model_record *record, char *const *name, int64_t count, int32_t *column,
                                     cel_error *err);

/* ======================================================================== */
/* moments: the additive statistics that a fit needs                        */
/* ======================================================================== */

/* Manual, section 6. With B = [X, N_1, .., N_p, 1/2] (S x ((p+1) n + 1)), where each relation but the identity adds
 * N = W X (and, if W is not symmetric, W^T X after it):  gram = B^T B, in double. It holds
 * X^T X, X^T W X, N^T N, the sums of X and of N, and S/4: everything that the paper's fit and the moment
 * form of score matching need. Additive over slides, and over any cut of the cells. */
typedef struct cel_moments {
    int64_t genes;     /* n */
    int64_t relations; /* R, the identity included */
    int64_t blocks;    /* p + 1: gene-wide blocks of B */
    int32_t *block;    /* (R + 1) relation r's blocks are block[r] .. block[r + 1] - 1: two where W is not symmetric */
    int64_t cells;     /* S: rows accumulated */
    double *gram;      /* ((blocks n + 1) squared), symmetric */
} cel_moments;

/* No cells yet, for these relations. Allocates 8 (blocks n + 1)^2 bytes. */
CEL_API cel_status cel_moments_new(int64_t genes, const cel_relations *relations, cel_moments *out);
CEL_API void cel_moments_free(cel_moments *m);
/* Adds cells' rows of B: all S cells (list NULL, count ignored), or the count rows in list (their
 * neighbours carried along through W, so the moments of a partition sum to those of the whole). X (S x n).
 * Cells in fixed blocks: products in cel_real, sums in double. X is read once where neighbours are near in
 * memory. Scratch: about (1024 + side) side reals a thread, side = (p + 1) n + 1, whatever S is. CEL_ERR_SHAPE and
 * CEL_ERR_ARG (list) leave m alone; after CEL_ERR_MEMORY some cells may have been added. */
CEL_API cel_status cel_moments_add(cel_moments *m, const cel_relations *relations, cel_mat x,
                                   const int32_t *list, int64_t count, cel_work *work);
/* The same cut by label, such as tiles or slides: cell i is added to m[label[i]], or to none where its label
 * is negative; label (S), m (labels), each as from cel_moments_new. CEL_ERR_ARG for a label too large. */
CEL_API cel_status cel_moments_add_by_label(cel_moments *m, int64_t labels, const int32_t *label,
                                            const cel_relations *relations, cel_mat x,
                                            cel_work *work);
/* into += scale * from; cells += round(scale) * from's. */
CEL_API cel_status cel_moments_sum(cel_moments *into, double scale, const cel_moments *from);
/* The mean row of X, mean (n), zeros for no cells. */
CEL_API void cel_moments_mean(const cel_moments *m, double *mean);
/* out (n x n) = X^T times block `block` of B: X^T X for 0, X^T N_block from 1 on. */
CEL_API cel_status cel_moments_cross(const cel_moments *m, int64_t block, double *out);

/* ======================================================================== */
/* score: score matching on the sphere, the estimator to use                */
/* ======================================================================== */

/* What is minimised (manual, section 6). Every form is quadratic in the forces and the field. */
typedef enum cel_score_form {
    CEL_SCORE_AUTO = 0, /* EXACT below 30 genes, MOMENT from there up, where the two agree */
    CEL_SCORE_MOMENT,   /* without the radial part: moments only, cells are read once */
    CEL_SCORE_EXACT,    /* J: two products over the cells a step; to about 24 genes one pass for all */
    CEL_SCORE_ORTHANT,  /* J+, for data without negative entries: likewise */
    CEL_SCORE_PICK      /* AUTO's form or ORTHANT, whichever has the better held-out J+ over the groups;
                           AUTO's where an entry is negative */
} cel_score_form;

typedef enum cel_score_field {
    CEL_SCORE_FIELD_NONE = 0, /* the paper's model */
    CEL_SCORE_FIELD_SHARED,   /* one h for all cells */
    CEL_SCORE_FIELD_SLIDE     /* one h a slide, so that a slide's mean expression is not read as a force */
} cel_score_field;

/* As a penalty's weight: picked by the held-out J over folds of the groups. */
#define CEL_SCORE_PICKED (-1.0)

/* All-zero means AUTO, no field, no penalty. With C = 4 tr(N_r^T N_r) / (n S), the mean curvature of relation
 * r's entries, and all forces in units of 1 / sqrt(C), the objective per cell gains
 *   ridge / 2 sum |F_r|^2  +  l1 sum over pairs (off the diagonals) |F_r,ab|,
 * with group: the l1 term is the sum over pairs of the length of the vector over relations. So weights are
 * pure numbers, comparable between slides. Diagonals are never in the l1 term. At most one weight can be
 * PICKED at a time. */
typedef struct cel_score_options {
    cel_score_form form;
    cel_score_field field;
    double ridge;          /* 0: none; CEL_SCORE_PICKED, or a weight */
    double l1;             /* 0: none; CEL_SCORE_PICKED, or a weight */
    int group;             /* 1: l1 over groups: all relations of a pair of genes enter or leave together */
    int64_t folds;         /* 0: 5; of consecutive groups, for what is picked; at most the number of groups */
    double tolerance;      /* 0: 1e-5; residual at which the iteration ends, relative to the right-hand side */
    int64_t iterations;    /* 0: 500 (with l1: 5,000); at most so many steps a solution */
    int no_errors;         /* 1: no jackknife */
    cel_progress progress; /* stages "fit" (steps; value: residual), "pick" (solutions; held-out J), "errors"
                              (replicates): these in turn, after as many as threads solve at a time */
} cel_score_options;

#define CEL_SCORE_PATH 24

/* What a fit found out. Matrices are (R n x n) like the model's forces, data NULL where there are none. Free
 * with cel_score_report_free. */
typedef struct cel_score_report {
    cel_score_form form;        /* the form used */
    double ridge, l1;           /* the weights used */
    int64_t iterations;         /* steps of the solution itself */
    double residual;            /* reached, relative */
    int converged;              /* 1: the tolerance ended it */
    double value;               /* J per cell of the fit on its own data, of the form used, without penalties */
    double held_out;            /* of PICKED or PICK: the best mean held-out J per cell (J+ of PICK), else 0 */
    double held_out_other;      /* of PICK: that of the form not chosen */
    int64_t path;               /* weights tried, heavy first, until held-out J per cell has risen twice in a row */
    double path_weight[CEL_SCORE_PATH], path_value[CEL_SCORE_PATH];
    int64_t groups;             /* of the jackknife; 0: no error bars */
    double zeros;               /* share of X's entries that are exactly 0; not from moments (0) */
    cel_mat se, z, p, q;        /* standard error, force / se, two-sided p of Student's t with groups - 1 degrees of
                                   freedom, and Benjamini-Hochberg q over the pairs of a relation: n (n - 1) / 2, or
                                   n (n - 1) where it is not symmetric. q is 1 on the diagonals: not tested */
    cel_mat field;              /* (slides x n), with CEL_SCORE_FIELD_SLIDE: each slide's h */
} cel_score_report;

CEL_API void cel_score_report_free(cel_score_report *report);

/* Forces of X (S x n), rows of unit length, over the R relations (relation 0 the identity; alone for
 * dissociated cells). Several slides are one X with block-diagonal W and slide (S) labels 0, 1, ..., which only
 * the per-slide field needs (NULL: one slide). group (S), labels 0, 1, ..: spatial tiles (cel_slide_tiles) or
 * slides, what the jackknife deletes and what the folds are made of; NULL: no error bars, nothing can be
 * picked. Tiles must not cross slides with a per-slide field.
 * out is made by the call (cel_model_free): gauge tr F_0 = 0, force r exactly symmetric where W_r is; its
 * field is h, or the mean over cells of the slides' h. report (or NULL) receives the rest.
 * A jackknife replicate is the same fit, weights kept, without one group, warm-started, solved until its error is
 * a small part (under a tenth) of the standard error. Error bars of ORTHANT are of no use where report->zeros is not
 * small: exact zeros are atoms that its model lacks, they hardly vary between groups, and q then calls nearly all
 * pairs. MOMENT solves replicates and folds side by side, one a thread, and allocates (groups + folds + 4 + 5 threads)
 * ((R + 1) n)^2 doubles at most, the others 2 S (R + 2) n reals and, up to about 24 genes (700 unknowns), at most
 * 500 MB of normal equations by group. CEL_ERR_DATA: fewer than two groups where groups are needed, an empty group,
 * a negative entry with ORTHANT. CEL_ERR_NUMERIC: not finite; data where the minimum is not unique give one of the
 * minima (use a ridge). */
CEL_API cel_status cel_score_fit(const cel_relations *relations, cel_mat x, const int32_t *slide,
                                 const int32_t *group, const cel_score_options *options, cel_model *out,
                                 cel_score_report *report, cel_work *work);

/* The moment form from stored moments alone: moments (groups), one a group; slide (groups, or NULL): each
 * group's slide. Of the relations only whether wt is NULL is read. options->form must be AUTO or MOMENT. */
CEL_API cel_status cel_score_fit_moments(const cel_moments *moments, int64_t groups, const int32_t *slide,
                                         const cel_score_options *options,
                                         cel_model *out, cel_score_report *report, cel_work *work);

/* J per cell of any model on any data, lower is better: MOMENT, EXACT (also AUTO) or ORTHANT. Differences between
 * models on the same cells say which predicts them better; values of different forms do not compare. each (S,
 * or NULL) receives every cell's. EXACT does not change with the gauge, MOMENT does. */
CEL_API cel_status cel_score_value(const cel_model *model, const cel_relations *relations, cel_mat x,
                                       cel_score_form form, double *value, double *each, cel_work *work);
/* The same, MOMENT, from moments. */
CEL_API cel_status cel_score_value_moments(const cel_model *model, const cel_moments *moments, double *value);

/* Pseudo-likelihood, an independent referee: each (S, or NULL) receives log p(x_i | all other cells) with respect to
 * the sphere's area, mean their mean; higher is better. The normaliser is the Fisher-Bingham saddlepoint
 * approximation of Kume & Wood (2005), cel_sphere_log_fb. Unlike J it is a likelihood: nats per cell. */
CEL_API cel_status cel_score_pseudo_likelihood(const cel_model *model, const cel_relations *relations, cel_mat x,
                                             double *mean, double *each, cel_work *work);

/* ======================================================================== */
/* published: the paper's estimator (CCE) and generator (SCE), and Adam     */
/* ======================================================================== */

/* Adam (Kingma and Ba, 2015), usable for anything. With gradient g at step t = 1, 2, ...:
 *   m <- beta1 m + (1 - beta1) g,  v <- beta2 v + (1 - beta2) g^2,
 *   p <- p - lr (m / (1 - beta1^t)) / (sqrt(v / (1 - beta2^t)) + eps) - lr weight_decay p
 * (weight decay decoupled from the gradient: Loshchilov and Hutter, 2019). All-zero options mean
 * lr 0.001, beta1 0.9, beta2 0.999, eps 1e-8, no decay. */
typedef struct cel_adam_options {
    double lr, beta1, beta2, eps, weight_decay;
} cel_adam_options;

typedef struct cel_adam {
    int64_t count; /* parameters */
    int64_t step;  /* steps taken */
    double *m, *v; /* (count) each */
} cel_adam;

/* A state of zeros for count parameters. Free with cel_adam_free (all-zero afterwards). */
CEL_API cel_status cel_adam_new(int64_t count, cel_adam *out);
CEL_API void cel_adam_free(cel_adam *a);
/* One step on param down grad, both of one shape with rows x cols = count; the second form is for arrays
 * (count) of double. options may be NULL. Neither allocates. */
CEL_API void cel_adam_step(cel_adam *a, const cel_adam_options *options, cel_mat grad, cel_mat param);
CEL_API void cel_adam_step_double(cel_adam *a, const cel_adam_options *options, const double *grad, double *param);

typedef enum cel_optimiser { CEL_OPTIMISER_SGD = 0, CEL_OPTIMISER_ADAM = 1 } cel_optimiser;

/* The published objective, for a model of two relations without a field (force 0 within, force 1
 * between cells):  loss = log Z - zmft (<F_1, X^T W X> + <F_0, X^T X>)       (manual, section 2) */
typedef struct cel_paper_value {
    double loss, log_z;
    double intra, inter; /* <F_0, X^T X> and <F_1, X^T W X>, without zmft */
    double kappa;        /* |(q F_1 + 2 F_0) m|; of several slides the largest */
} cel_paper_value;

/* All-zero means the published settings. */
typedef struct cel_paper_options {
    int64_t epochs;          /* 0: 200 */
    double lr;               /* 0: 0.05 */
    double zmft;             /* 0: 0.1; the weight of the data against log Z */
    double q;                /* 0: 6; the number of neighbours in log Z */
    const double *slide_q;   /* (slides) q of each slide, such as its true mean degree; NULL: q for all */
    cel_optimiser optimiser; /* SGD as published, or Adam with betas and eps as by default */
    cel_sphere sphere;       /* log Z as published, or of the right sphere */
    int no_projection;       /* 1: forces stay as stepped; 0: after every step they are made symmetric,
                                clamped to [0, 1], their diagonals set to 1 */
    int summed;              /* 1: one step an epoch down the sum of the slides' gradients; 0: a step a
                                slide, slides shuffled anew every epoch */
    double tolerance;        /* stop when an epoch changes the loss by at most this, relative; 0: never */
    uint64_t seed;           /* of the shuffle */
    cel_progress progress;   /* stage "fit", a step an epoch, the epoch's loss */
} cel_paper_options;

typedef struct cel_paper_report {
    int64_t epochs;       /* epochs run */
    cel_paper_value final; /* at the fitted forces, summed over slides */
    double saturated;     /* share of off-diagonal entries of both forces at exactly 0 or 1 */
    int converged;        /* 1: the tolerance ended the fit */
} cel_paper_report;

/* The published start: both forces the same symmetric matrix of means of two uniforms on [0, 1), unit
 * diagonal. The model must have two relations. */
CEL_API cel_status cel_paper_start(uint64_t seed, const cel_model *model);

/* The objective of one slide at the model's forces, and its gradients by F_0 and F_1 (n x n each, or
 * data NULL), not symmetrised. moments as from cel_moments_add with relations {identity, W}. Of the
 * options zmft, q and sphere count; NULL: published. */
CEL_API cel_status cel_paper_loss(const cel_model *model, const cel_moments *moments,
                                      const cel_paper_options *options, cel_paper_value *loss, cel_mat d_intra,
                                      cel_mat d_inter);

/* The published estimator (manual, section 2), from and to the model's forces. moments (slides), one a
 * slide: cells are never touched again, an epoch costs O(slides n^2) whatever their number. With
 * projection on, an optimiser other than SGD sees the symmetric part of the gradient. losses (epochs, or
 * NULL) receives each epoch's loss: the sum over slides, each before its own step; entries of epochs
 * that were not run are 0. report may be NULL. Computes in double: allocates 2 n^2 doubles (Adam 8 n^2) and
 * 2 n^2 more a slide, nothing in an epoch. CEL_ERR_SHAPE where model and moments do not fit, CEL_ERR_NUMERIC when the
 * loss is no longer finite (the forces are then left as given), CEL_ERR_STOPPED by progress (the forces
 * reached so far are kept). */
CEL_API cel_status cel_paper_fit(const cel_moments *moments, int64_t slides, const cel_paper_options *options,
                                 const cel_model *model, double *losses, cel_paper_report *report);

/* Unit rows x (S x n) from angles (S x n-1), n >= 2 (manual, section 3):
 *   x_k = cos(t_k) prod_{j<k} sin(t_j),  x_n = prod_j sin(t_j). */
CEL_API cel_status cel_paper_from_angles(cel_mat angles, cel_mat x);
/* The inverse, for rows of any length and any signs: t_k = atan2(|x after k|, x_k) in [0, pi], the last
 * atan2(x_n, x_{n-1}) in (-pi, pi]. The published knock-out starts from the angles of rows in which the gene was
 * set to 0. CEL_ERR_DATA with err->cell for a row of zeros or not finite. */
CEL_API cel_status cel_paper_to_angles(cel_mat x, cel_mat angles, cel_error *err);
/* d_angles (S x n-1) = dL/dt from d_x (S x n) = dL/dx, in O(n) a cell. d_angles may not overlap angles. */
CEL_API cel_status cel_paper_angles_gradient(cel_mat angles, cel_mat d_x, cel_mat d_angles, cel_work *work);
/* Independent normal angles; the published noise has mean pi and deviation pi/2. */
CEL_API void cel_paper_noise_angles(uint64_t seed, double mean, double deviation, cel_mat angles);

/* All-zero means the published settings. */
typedef struct cel_paper_generate_options {
    int64_t epochs;          /* 0: 50 */
    double lr;               /* 0: 0.001 */
    double zmft;             /* 0: 0.1; the weight of H against log Z */
    double q;                /* 0: 6; the number of neighbours in log Z */
    cel_optimiser optimiser; /* SGD as published, or Adam with betas and eps as by default */
    cel_sphere sphere;       /* log Z as published, or of the right sphere */
    int no_log_z;            /* 1: plain ascent of zmft H; the model may then have any relations and a field */
    int64_t snapshot_every;  /* 0: 5 */
    /* If set, called at epochs 0, snapshot_every, ... with x (S x n) before the epoch's step. */
    void (*snapshot)(void *user, int64_t epoch, cel_mat x);
    void *snapshot_user;
    cel_progress progress; /* stage "generate", a step an epoch, the epoch's loss */
} cel_paper_generate_options;

/* The objective at expression x (S x n), cells of unit length: the loss of cel_paper_value with the mean
 * row of x in log Z (manual, section 4), and its gradient d_x (S x n, or data NULL). relation (as many
 * as the model has; W's transpose is needed where W is not symmetric). Of the options zmft, q, sphere
 * and no_log_z count; NULL: published. inter sums all relations after the first and the field. */
CEL_API cel_status cel_paper_generate_loss(const cel_model *model, const cel_relations *relations, cel_mat x,
                                      const cel_paper_generate_options *options, cel_paper_value *loss, cel_mat d_x,
                                      cel_work *work);

/* The published generator (manual, section 4): gradient descent of that objective in the angles
 * (S x n-1), from and to `angles`. x (S x n, or data NULL) receives the expression after the last step;
 * losses (epochs, or NULL) each epoch's loss before its step; last (or NULL) the objective after the
 * last step. Nothing is held fixed. Allocates 2 S n reals (Adam 2 S n doubles more) and what
 * cel_model_energy needs, once. CEL_ERR_NUMERIC when the loss is no longer finite, CEL_ERR_STOPPED by
 * progress; angles and x are then those reached so far. */
CEL_API cel_status cel_paper_generate(const cel_model *model, const cel_relations *relations, const cel_paper_generate_options *options,
                                 cel_mat angles, cel_mat x, double *losses, cel_paper_value *last);

/* ======================================================================== */
/* sampler: exact samples                                                   */
/* ======================================================================== */

/* Rows uniform on the sphere, or on its non-negative part. Row i is a function of (seed, stream, i). */
CEL_API void cel_sample_uniform(uint64_t seed, uint32_t stream, int orthant, cel_mat x);

/* Colours 0 .. *colours - 1 of the cells (S), such that no relation joins two cells of a colour: greedy in the order
 * of the cells. also: further relations of the same cells, or NULL. CEL_ERR_SHAPE where the cells differ. */
CEL_API cel_status cel_sample_colour(const cel_relations *relations, const cel_relations *also, int32_t *colour,
                                     int32_t *colours, cel_error *err);

/* Where rows live and who may move, of the sampler and of the ascent. All-zero: every cell, on the whole sphere. The
 * arrays stay the caller's, and must outlive what uses them. */
typedef struct cel_sample_domain {
    int orthant;           /* 1: the non-negative part of the sphere; x must be there */
    const uint8_t *hold;   /* (S x n) 1: the value is held. The free part of such a row lives on its smaller
                              sphere; held values keep their bits. NULL: none */
    const uint8_t *frozen; /* (S) 1: the cell does not move. NULL: none */
    const int32_t *colour; /* (S) as of cel_sample_colour, so that paired runs visit in one order; NULL: computed */
    const uint32_t *id;    /* (S) whose random numbers a cell draws, so that paired runs on different cells draw the
                              same; NULL: its row */
} cel_sample_domain;

/* All-zero means the defaults. */
typedef struct cel_sample_options {
    uint64_t seed;
    uint32_t stream;
    int moves;             /* a sweep's leapfrog steps of a cell, or on the orthant its rounds of pairs; 0: 6 */
    int64_t sweeps;        /* of cel_sample_run, after the warm-up; 0: 100 */
    int64_t warmup;        /* sweeps in which the step is adapted; 0: 50, negative: none */
    int64_t thin;          /* the energy is recorded, and `each` called, every so many sweeps; 0: 1 */
    double step;           /* leapfrog step; 0: adapted in warm-up to an acceptance of 0.8, then frozen */
    cel_sample_domain domain;
    int (*each)(void *user, int64_t sweep, cel_mat x); /* after every thin-th sweep that counts, from 0 on; a
                              non-zero return ends the run with CEL_ERR_STOPPED */
    void *each_user;
    cel_progress progress; /* stage "sample", a step a sweep, its acceptance */
} cel_sample_options;

/* A sampler of P(X) = exp(H(X)) / Z (manual, section 5): colour by colour, geodesic Hamiltonian Monte Carlo for
 * each cell given the others and a reflection of its free part; on the orthant rotations of random pairs of genes
 * by slice sampling. Model and relations must outlive it. Allocates O(S + R n^2) and a block of rows for each thread;
 * what follows allocates nothing:
 *     cel_sample_new(&model, &relations, &options, &s, &err);
 *     for (t = 0; t < 200 && !status; t++) status = cel_sample_sweep(s, x);
 * CEL_ERR_SHAPE where model and relations do not fit, CEL_ERR_ARG for an option or err->cell's colour out of range,
 * CEL_ERR_DATA with err->cell for an edge within a given colour. */
typedef struct cel_sample cel_sample;
CEL_API cel_status cel_sample_new(const cel_model *model, const cel_relations *relations,
                                  const cel_sample_options *options, cel_sample **out, cel_error *err);
CEL_API void cel_sample_free(cel_sample *s);
/* One sweep over all cells of x (S x n), in place; rows of unit length stay so to 1e-6. The first `warmup` sweeps
 * adapt the step. Rows are not checked. Same bits for any number of threads. */
CEL_API cel_status cel_sample_sweep(cel_sample *s, cel_mat x);
/* Starts the random numbers of another stream, at sweep 0. The step stays as it is and is not adapted. */
CEL_API void cel_sample_restart(cel_sample *s, uint32_t stream);
/* The law becomes exp(scale H): 1 at first. */
CEL_API void cel_sample_temper(cel_sample *s, double scale);
/* Reads the model's forces and field again, after the caller changed them in place; the step and the random numbers
 * go on as they were. O(R n^2). */
CEL_API void cel_sample_refresh(cel_sample *s);
/* The leapfrog step, and the share of moves accepted in the last sweep. */
CEL_API double cel_sample_step(const cel_sample *s);
CEL_API double cel_sample_acceptance(const cel_sample *s);

/* Effective sample size and split R-hat of chains (chains x length, one after the other) of a scalar, by the
 * autocorrelations of the half chains and Geyer's initial monotone sequence (Gelman et al., Bayesian Data
 * Analysis, 3rd ed., section 11.4). Both are NaN for a length below 8 and for a constant. O(chains x length), with a
 * copy of the chains; CEL_ERR_MEMORY. */
CEL_API cel_status cel_sample_diagnose(const double *trace, int64_t chains, int64_t length, double *ess,
                                       double *rhat);

typedef struct cel_sample_report {
    double step, acceptance;  /* the step used, and the mean acceptance after the warm-up */
    int64_t sweeps, recorded; /* done after the warm-up; entries of the trace */
    double energy, deviation; /* of H over the trace */
    double ess, rhat;         /* of H */
    int32_t colours;
} cel_sample_report;

/* Warm-up and sweeps from and to x (S x n, rows of unit length to 1e-3; CEL_ERR_DATA with err->cell, also for a
 * negative entry on the orthant). trace (sweeps / thin, or NULL) receives H after every thin-th sweep. report may
 * be NULL. Errors as of cel_sample_new. */
CEL_API cel_status cel_sample_run(const cel_model *model, const cel_relations *relations,
                                  const cel_sample_options *options, cel_mat x, double *trace,
                                  cel_sample_report *report, cel_error *err);

/* ======================================================================== */
/* optimum: the most likely tissue, log Z by sampling                       */
/* ======================================================================== */

/* All-zero means the defaults. */
typedef struct cel_ascent_options {
    cel_sample_domain domain; /* its id is not used */
    int64_t sweeps;        /* at most; 0: 500 */
    double tolerance;      /* ends when a sweep raises H by less than this, relative to |H|; 0: 1e-7 */
    double *trace;         /* (sweeps + 1, or NULL) H at the start and after every sweep */
    cel_progress progress; /* stage "ascent", a step a sweep, H */
} cel_ascent_options;

typedef struct cel_ascent_report {
    double start, energy; /* H before and after */
    int64_t sweeps;
    int converged;
} cel_ascent_report;

/* The most likely tissue from x (S x n), in place: colour by colour each cell moves to the maximiser of H given the
 * others, x_i . F_0 x_i + b_i . x_i on its sphere (a secular equation in the eigenbasis of F_0), and beyond it
 * (over-relaxation) as far as H does not fall, far in the first 15 sweeps. Cells with held values and the orthant
 * take steps to the maximiser of ((F_0 + F_0^T + c I) x_i + b_i) . y, c the gauge that makes the quadratic form
 * positive. H never falls (manual, section 5). A local maximum. Allocates as the sampler. Options and report may be
 * NULL. Errors as of cel_sample_run. */
CEL_API cel_status cel_ascent_run(const cel_model *model, const cel_relations *relations,
                                  const cel_ascent_options *options, cel_mat x, cel_ascent_report *report,
                                  cel_error *err);

/* All-zero means the defaults. */
typedef struct cel_logz_options {
    uint64_t seed;
    int orthant;   /* the annealing's; the bound refuses it */
    int64_t runs;  /* of the annealing, independent; 0: 16, at least 2 */
    int64_t rungs; /* of the annealing: temperatures, a sweep at each; 0: 200 */
    int moves;     /* as of the sampler */
    int64_t sweeps; /* of the bound, at most; 0: 100 */
    cel_progress progress; /* stage "logz", a step a rung, log Z of the runs so far; or "bound", a step a sweep */
} cel_logz_options;

typedef struct cel_logz_report {
    double logz;        /* log of the mean weight of the runs */
    double se;          /* its standard error over the runs; NaN where it has not converged */
    double spread;      /* standard deviation of single runs' log weights */
    double least, most; /* of them */
    double acceptance;  /* the lowest of a rung */
    int converged;      /* 1: spread is at most 1. Else one run stands for all, the error would come out near 1 however
                           far the runs are apart, and log Z is most likely too low: it needs more rungs */
} cel_logz_report;

/* log Z by annealed importance sampling (Neal, 2001): each run anneals a uniform tissue up to exp(H). Z is the
 * integral over the product of the spheres (orthants) with their surface measure, so that without forces it is
 * S cel_sphere_log_area(n). The rungs needed grow with the cells and the forces. Allocates as the sampler,
 * and (S x n). */
CEL_API cel_status cel_logz_ais(const cel_model *model, const cel_relations *relations,
                                const cel_logz_options *options, cel_logz_report *report, cel_error *err);

/* A rigorous lower bound of the same log Z (mean field; Gibbs, Bogoliubov): a product of von Mises-Fisher laws,
 * one per cell, improved from a start that the seed gives. CEL_ERR_ARG on the orthant. Allocates as the ascent,
 * and (S x n). */
CEL_API cel_status cel_logz_bound(const cel_model *model, const cel_relations *relations,
                                  const cel_logz_options *options, double *bound, cel_error *err);

/* ======================================================================== */
/* perturb: interventions, sham control, paired effects                     */
/* ======================================================================== */

/* What is done to a cell. Values are in the units of unit rows, so |value| <= 1; whatever of the row is
 * not held lives on the sphere of radius sqrt(1 - sum of the squares of the held values). */
typedef enum cel_do {
    CEL_DO_HOLD = 0, /* a gene is held at a value: 0 a knock-out, more over-expression or a dose */
    CEL_DO_ROW,      /* the whole row is held at a profile */
    CEL_DO_ADD,      /* a new cell, its row held at a profile */
    CEL_DO_ADD_FREE, /* a new cell whose row starts at a profile and is free from then on */
    CEL_DO_REMOVE    /* the cell is taken away: its rows and columns of every relation */
} cel_do;

/* To which cells. */
typedef enum cel_who {
    CEL_WHO_CELLS = 0, /* the listed ones */
    CEL_WHO_TYPE,      /* all observed cells of a type */
    CEL_WHO_DISC       /* all observed cells within `radius` of `place`, on every slide */
} cel_who;

typedef struct cel_intervention {
    cel_do what;
    cel_who who;
    const int32_t *cells;    /* (count) of CELLS; NULL: the one cell `cell` */
    int64_t count, cell;
    int32_t type;            /* of TYPE */
    double place[3], radius; /* of DISC; of ADD and ADD_FREE where the new cell is */
    int64_t gene;            /* of HOLD */
    double value;            /* of HOLD */
    const cel_real *row;     /* (n) the profile of ROW and ADD, of any length above 0: it is rescaled; NULL: that of */
    int64_t like;            /* this observed cell, whose type a new cell takes */
    int64_t line;            /* line of the text it came from, 0 for none; errors repeat it in err->offset */
} cel_intervention;

/* Whom a text of interventions may name. */
typedef struct cel_intervention_names {
    const char *const *genes; /* (gene_count), or NULL: columns as numbers */
    int64_t gene_count;
    const char *const *types; /* (type_count) label t is types[t], or NULL: labels as numbers */
    int64_t type_count;
    int64_t cells;            /* S */
} cel_intervention_names;

/* Interventions from text, one a line; spaces around fields do not matter, # starts a comment:
 *     cell, gene, value
 *     cells of type T, gene, value
 *     cells within R of x,y, gene, value          (or x,y,z)
 *     cell i with profile of cell j               (the row is held)
 *     add cell at x,y with profile of cell j      (or x,y,z; "add free cell": the row is not held)
 *     remove cell i
 * Cells count from 0. *out (free with cel_intervention_free) receives *count interventions. On failure err->offset
 * is the line, from 1, and cell and gene the culprits: CEL_ERR_FORMAT for a line of no known form, CEL_ERR_ARG for
 * an unknown gene or type, a cell out of range, a value beyond 1. */
CEL_API cel_status cel_intervention_parse(const char *text, size_t length, const cel_intervention_names *names,
                                          cel_intervention **out, int64_t *count, cel_error *err);
CEL_API void cel_intervention_free(cel_intervention *list);

/* The observed tissue. Nothing of it is copied or kept by cel_perturb_new but the rows it needs. */
typedef struct cel_tissue {
    cel_mat x;                      /* (S x n) rows of unit length */
    const cel_relations *relations; /* as many as the model has */
    cel_mat coords;                 /* (S x 2 or 3), or data NULL where no intervention needs places */
    const int32_t *type;            /* (S), or NULL where no intervention needs types */
} cel_tissue;

typedef struct cel_perturb_setup {
    int reach;                  /* R: cells further than R hops from every intervened cell are held as observed.
                                   0: the default, 3, so the least is 1. Negative: nothing is held, R = -reach
                                   only for reporting */
    const cel_relations *after; /* the relations with the new cells, of S + added cells, new ones last in the order of
                                   the interventions; NULL where no cell is added */
} cel_perturb_setup;

/* A prepared perturbation: the part of the tissue within R + 1 hops of an intervened cell (all of it where
 * nothing is held), in two arms on the same cells: `after` with the intervention, `sham` without. Cells that an
 * arm lacks (added, removed) have no relations there. Ids: 0..S-1 the observed cells, S.. the added ones. */
typedef struct cel_perturb {
    const cel_model *model; /* the caller's */
    int64_t observed, added, cells, genes; /* S, A, L (local cells), n */
    int reach, open;        /* R; 1 where nothing is held beyond R */
    int32_t *id;            /* (L) ascending */
    int32_t *hop;           /* (L) steps to the nearest intervened cell over all relations of both arms; -1: no way */
    int32_t *type;          /* (L) or NULL; -1: an added cell without a type */
    cel_mat coords;         /* (L x 2 or 3), or data NULL */
    cel_mat start[2];       /* (L x n) where the arms start: [0] sham, the observed rows; [1] after, holds imposed
                               and the free parts rescaled (one of zeros starts at equal values) */
    uint8_t *present[2];    /* (L) 1 where the arm has the cell */
    uint8_t *fixed[2];      /* (L) 1 where the arm does not move the row: beyond R, held whole, or absent */
    uint8_t *hold;          /* (L x n) 1 where arm [1] holds the value */
    cel_relations relations[2]; /* of L cells */
    void *memory;           /* owns the arrays */
} cel_perturb;

/* Prepares any number of interventions at once. The model must outlive it. Allocates what is above; O(S) and
 * one breadth-first search. Refused, with err->offset the intervention's line (its number from 1 where it has
 * none), err->cell and err->gene: CEL_ERR_ARG for a cell or gene out of range, |value| > 1, the same gene held twice
 * in a cell, all genes of a cell held at 0, squares of held values above 1 or, where the whole row is
 * held, not 1 (to 1e-6), a removed cell that is also held, an added cell without relations `after`; CEL_ERR_DATA for
 * a row that is not of unit length (to 1e-3), a profile of zeros, no cell at all. setup may be NULL. Free with
 * cel_perturb_free. */
CEL_API cel_status cel_perturb_new(const cel_model *model, const cel_tissue *tissue, const cel_intervention *list,
                                   int64_t count, const cel_perturb_setup *setup, cel_perturb *out, cel_error *err);
CEL_API void cel_perturb_free(cel_perturb *p);
/* Writes local rows (L x n) to the rows id[] of full, ((S + A) x n, or S x n: added cells are then left out). */
CEL_API cel_status cel_perturb_scatter(const cel_perturb *p, cel_mat local, cel_mat full);

/* Groups of local cells to average over: label (L), -1 for none; groups of them. */
typedef struct cel_grouping {
    const int32_t *label;
    int64_t groups;
} cel_grouping;

/* Labels (L) of the usual groupings; each returns the number of groups. By hop: 0..R, then R + 1 for all
 * further cells. By the least distance d to an intervened cell: group b where edge[b] <= d < edge[b + 1],
 * edge (bands + 1) ascending, from 0 up. By type: the labels given; 0 groups without types. */
CEL_API int64_t cel_perturb_by_hop(const cel_perturb *p, int32_t *label);
CEL_API int64_t cel_perturb_by_distance(const cel_perturb *p, const double *edge, int64_t bands, int32_t *label);
CEL_API int64_t cel_perturb_by_type(const cel_perturb *p, int32_t *label);

typedef enum cel_method {
    CEL_METHOD_PAIRED = 0, /* sampling in both arms on the same random numbers, repeated: the one to use */
    CEL_METHOD_RELAX,      /* both arms ascend to their most likely tissue */
    CEL_METHOD_LINEAR,     /* one Newton step (conjugate gradient on the conditional Hessian) from the relaxed sham with
                              the intervention imposed: to first order both of the above. On the
                              orthant, genes at the bound that are pushed against it stay there */
    CEL_METHOD_PAPER       /* the published generator from start[], nothing held; needs a negative reach */
} cel_method;

/* All-zero means the defaults. */
typedef struct cel_perturb_options {
    cel_method method;
    int64_t repeats;    /* PAIRED, 0: 16; at least 2 */
    int64_t warmup;     /* PAIRED: sweeps of a repeat before it is measured; 0: 20, negative: none */
    int64_t sweeps;     /* PAIRED: sweeps of a repeat that are averaged, 0: 20; RELAX, LINEAR: most sweeps of an
                           ascent, 0: 500 */
    int unpaired;       /* PAIRED, 1: the arms draw different numbers (to see what pairing is worth) */
    int orthant;        /* 1: cells live on the non-negative orthant */
    double tolerance;   /* RELAX, LINEAR: of the ascent, 0: its default */
    uint64_t seed;
    const cel_paper_generate_options *paper;   /* PAPER, NULL: published */
    const cel_grouping *grouping;   /* (groupings) to tabulate; NULL: by hop */
    int64_t groupings;
    cel_mat sets;                   /* (sets x n) gene-set scores: the weights of the genes' effects; or data NULL */
    cel_progress progress;          /* stage "perturb", a step a repeat (PAIRED) or an arm */
} cel_perturb_options;

/* Effects averaged over the cells of each group, in columns: n genes, then the sets. Errors are those of the
 * group's average over repeats; p two-sided from Student's t with repeats - 1 degrees of freedom; q by
 * Benjamini and Hochberg (1995) over the genes of a group, and over its sets. Only cells that both arms have are
 * counted. Methods without repeats leave se, z, p, q NaN. */
typedef struct cel_effect_table {
    int64_t groups, columns, genes;
    int64_t *cells;               /* (groups) averaged over */
    double *mean, *se, *z, *p, *q; /* (groups x columns) each */
} cel_effect_table;

typedef struct cel_effect {
    cel_mat after, sham; /* (L x n) the arms' rows: averages over repeats and sweeps (PAIRED) or final (the others) */
    cel_mat mean, se;    /* (L x n) their difference, 0 for cells that an arm lacks; its standard error over repeats,
                            NaN without repeats */
    int64_t repeats;
    cel_effect_table *table; /* (tables) in the order of the groupings */
    int64_t tables;
    double beyond;      /* share of sum |mean| in cells further than R hops; 0 where these are held */
    double size;        /* |after - sham|, over all cells and genes */
    double moved, drift; /* |after - start| of the intervened arm, |sham - start| of the sham */
    double energy[2];   /* RELAX, LINEAR, PAPER: H of the sham and of the intervened arm at the end */
    double acceptance;  /* PAIRED: share of moves accepted, over both arms */
    int64_t iterations; /* RELAX: sweeps of both arms; LINEAR: of conjugate gradient */
    int converged;      /* RELAX: both arms; LINEAR: the sham and the solve (0 also where the Hessian is not negative
                           definite: the step so far is then reported) */
    void *memory;       /* owns the arrays */
} cel_effect;

/* The effect of a prepared perturbation. In PAIRED each repeat starts both arms at start[] and averages their
 * difference over the measured sweeps; repeats differ in their random numbers only, so that the error is that of
 * the sampling, not of the forces or of the tissue. Held values keep their bits. Allocates four (L x n) arrays, and
 * in PAIRED three a thread, in LINEAR four; a sweep allocates nothing. A small local part runs on the calling thread
 * only. CEL_ERR_ARG for an option out of range and PAPER with cells held beyond R; CEL_ERR_DATA, with the tissue's
 * number of the cell in err->cell, for a start that is not on the orthant where `orthant` asks for it. Free with
 * cel_effect_free. */
CEL_API cel_status cel_perturb_run(const cel_perturb *p, const cel_perturb_options *options, cel_effect *out,
                                   cel_error *err);
CEL_API void cel_effect_free(cel_effect *e);
/* order (genes) receives the genes of a group by falling |z| (by |mean| where there are no errors), ties by number;
 * zeros where memory ran out. */
CEL_API cel_status cel_effect_rank(const cel_effect_table *t, int64_t group, int32_t *order);

#ifdef __cplusplus
}
#endif
#endif /* CELCOMEN_H */

/* ======================================================================== */
/*                    Stop here if you only want to use it                  */
/* ======================================================================== */

#if (defined(CELCOMEN_IMPLEMENTATION) || defined(__INTELLISENSE__)) && !defined(CELCOMEN_IMPLEMENTATION_INCLUDED)
#define CELCOMEN_IMPLEMENTATION_INCLUDED

#include <float.h>
#include <limits.h>
#include <math.h>
#include <string.h>

#if !defined(CELCOMEN_NO_STDIO)
#include <stdio.h>
#if defined(__unix__) || (defined(__APPLE__) && defined(__MACH__))
#define CELI_MMAP 1
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>
#else
#define CELI_MMAP 0
#endif
#endif

#if defined(CELCOMEN_MALLOC) && defined(CELCOMEN_REALLOC) && defined(CELCOMEN_FREE)
#elif !defined(CELCOMEN_MALLOC) && !defined(CELCOMEN_REALLOC) && !defined(CELCOMEN_FREE)
#include <stdlib.h>
#if defined(__linux__)
#include <sys/mman.h>
#endif
#if defined(MADV_HUGEPAGE) /* by the C library's default feature set */
#define CELI_HUGE_PAGE ((size_t)1 << 21)
#endif
#define CELI_CALLOC(size) calloc(1, size)
#define CELCOMEN_MALLOC(size) malloc(size)
#define CELCOMEN_REALLOC(p, size) realloc(p, size)
#define CELCOMEN_FREE(p) free(p)
#else
#error "define all or none of CELCOMEN_MALLOC, CELCOMEN_REALLOC and CELCOMEN_FREE"
#endif

#if defined(CELCOMEN_CBLAS)
#include <cblas.h>
#endif

/* Which hand-vectorised kernels this compiler and machine can have. */
#if !defined(CELCOMEN_NO_SIMD) && (defined(__GNUC__) || defined(__clang__)) && defined(__x86_64__)
#define CELI_X86
#include <immintrin.h>
#include <stdlib.h>
#elif !defined(CELCOMEN_NO_SIMD) && (defined(__GNUC__) || defined(__clang__)) && defined(__AARCH64EL__)
#define CELI_NEON
#include <arm_neon.h>
#include <stdlib.h>
#endif

/* An OpenMP pragma that is nothing without OpenMP. Never inside a function with a target attribute:
 * clang's outlined body loses the attribute. */
#if defined(_OPENMP)
#include <omp.h>
#define CELI_OMP(x) _Pragma(#x)
#else
#define CELI_OMP(x)
#endif

#if defined(CELCOMEN_STATIC)
#define CEL_API_DEF static CEL_UNUSED
#else
#define CEL_API_DEF
#endif

#ifdef __cplusplus
extern "C" {
#endif

/* ======================================================================== */
/* base                                                                     */
/* ======================================================================== */

CEL_API_DEF const char *cel_strerror(cel_status status)
{
    switch (status) {
    case CEL_OK: return "success";
    case CEL_ERR_ARG: return "an argument is out of range";
    case CEL_ERR_SHAPE: return "the shapes do not fit";
    case CEL_ERR_MEMORY: return "out of memory";
    case CEL_ERR_IO: return "a file could not be opened, read or written";
    case CEL_ERR_FORMAT: return "malformed or truncated file";
    case CEL_ERR_UNSUPPORTED: return "a kind of file that is not supported";
    case CEL_ERR_DATA: return "unusable data";
    case CEL_ERR_NUMERIC: return "numerical failure: not positive definite, or no convergence";
    case CEL_ERR_STOPPED: return "stopped by the progress callback";
    }
    return "unknown status";
}

CEL_API_DEF const char *cel_version(void) { return CELCOMEN_VERSION; }

/* Fills err, if there is one, and returns its status. */
static CEL_UNUSED cel_status celi_fail(cel_error *err, cel_status status, const char *what, int64_t offset,
                                       int64_t cell, int64_t gene)
{
    if (err) {
        err->status = status;
        err->what = what;
        err->offset = offset;
        err->cell = cell;
        err->gene = gene;
    }
    return status;
}

/* Below so many numbers to touch, threads cost more than they bring: for the `if` of a parallel loop. */
enum { CELI_FORK = 1 << 16 };

/* `bytes` of memory, zeroed or of undefined content. Every block is 64-byte aligned (a cache line, an AVX-512
 * register); the allocator's own pointer is kept in the slot before it. Large ones of the C library begin on a
 * huge page and ask the system for more, because it takes longer to get as many small ones than to fill them. */
static void *celi_alloc_bytes(size_t bytes, int zeroed)
{
    size_t align = 64, whole;
    char *base;
    void *p;
#if defined(CELI_HUGE_PAGE)
    if (bytes >= 4 * CELI_HUGE_PAGE) align = CELI_HUGE_PAGE;
#endif
    whole = bytes + align + sizeof base;
    if (whole < bytes || whole > (size_t)PTRDIFF_MAX) return NULL;
#if defined(CELI_CALLOC) /* knows which pages are fresh, hence zero */
    base = (char *)(zeroed ? CELI_CALLOC(whole) : CELCOMEN_MALLOC(whole));
#else
    base = (char *)CELCOMEN_MALLOC(whole);
    if (base && zeroed) memset(base, 0, whole);
#endif
    if (!base) return NULL;
    p = base + sizeof base + align - ((uintptr_t)base + sizeof base) % align;
    memcpy((char *)p - sizeof base, &base, sizeof base);
#if defined(CELI_HUGE_PAGE)
    if (align == CELI_HUGE_PAGE) (void)madvise(p, bytes, MADV_HUGEPAGE); /* may be refused */
#endif
    return p;
}

static CEL_UNUSED void *celi_alloc_raw(size_t bytes) { return celi_alloc_bytes(bytes, 0); }

/* count * size zeroed bytes, 64-byte aligned; NULL when out of memory or when the product overflows. Never
 * NULL for a count of zero otherwise. */
static CEL_UNUSED void *celi_alloc(size_t count, size_t size)
{
    if (size && count > (size_t)PTRDIFF_MAX / size) return NULL;
    return celi_alloc_bytes(count * size, 1);
}

/* Frees what celi_alloc returned; NULL is fine. */
static void celi_free(void *p)
{
    void *base;
    if (!p) return;
    memcpy(&base, (char *)p - sizeof base, sizeof base);
    CELCOMEN_FREE(base);
}

/* Blocks that live and die together: chained, one free for all. The first failure is kept in status, so that a
 * list of allocations is checked once, at its end. */
typedef struct celi_pool {
    void *last;
    cel_status status;
} celi_pool;

/* count * size zeroed bytes, 64-byte aligned; NULL after a failure, also of an earlier call. */
static CEL_UNUSED void *celi_pool_get(celi_pool *pool, int64_t count, size_t size)
{
    enum { HEAD = 64 }; /* keeps the alignment */
    void **block = NULL;
    if (pool->status) return NULL;
    if (count >= 0 && (!size || (uint64_t)count <= ((size_t)PTRDIFF_MAX - HEAD) / size))
        block = (void **)celi_alloc_bytes(HEAD + (size_t)count * size, 1);
    if (!block) {
        pool->status = CEL_ERR_MEMORY;
        return NULL;
    }
    *block = pool->last;
    pool->last = block;
    return (char *)block + HEAD;
}

/* A zeroed matrix of the pool's; data NULL after a failure. */
static CEL_UNUSED cel_mat celi_pool_mat(celi_pool *pool, int64_t rows, int64_t cols)
{
    cel_mat a = CEL_ZERO;
    if (rows < 0 || cols < 0 || (cols > 0 && rows > PTRDIFF_MAX / cols)) pool->status = CEL_ERR_MEMORY;
    a.data = (cel_real *)celi_pool_get(pool, pool->status ? 0 : rows * cols, sizeof(cel_real));
    a.rows = rows;
    a.cols = a.stride = cols;
    return a;
}

static CEL_UNUSED void celi_pool_free(celi_pool *pool)
{
    while (pool->last) {
        void *block = pool->last;
        pool->last = *(void **)block;
        celi_free(block);
    }
    pool->status = CEL_OK;
}

CEL_API_DEF void *cel_work_get(cel_work *work, size_t bytes)
{
    void *p;
    if (work->data && work->bytes >= bytes) return work->data;
    p = celi_alloc_raw(bytes);
    if (!p) return NULL;
    celi_free(work->data);
    work->data = p;
    work->bytes = bytes;
    return p;
}

CEL_API_DEF void cel_work_free(cel_work *work)
{
    cel_work *next;
    celi_free(work->data);
    for (next = work->inner; next;) {
        cel_work *here = next;
        next = here->inner;
        celi_free(here->data);
        celi_free(here);
    }
    memset(work, 0, sizeof *work);
}

/* The scratch of what a function calls while its own lies in work: made on first use, freed with work.
 * NULL, which every function takes for work, when out of memory. */
static CEL_UNUSED cel_work *celi_work_inner(cel_work *work)
{
    if (!work->inner) work->inner = (cel_work *)celi_alloc(1, sizeof *work->inner);
    return work->inner;
}

CEL_API_DEF int cel_threads(void)
{
#if defined(_OPENMP)
    return omp_in_parallel() ? 1 : omp_get_max_threads();
#else
    return 1;
#endif
}

/* Philox 4x32-10 (Salmon et al. 2011, "Parallel random numbers: as easy as 1, 2, 3"): the counter
 * (block, sweep, cell, stream) under the key (seed's low word, high word). */
#define CELI_PHILOX_M0 0xD2511F53u
#define CELI_PHILOX_M1 0xCD9E8D57u
#define CELI_PHILOX_W0 0x9E3779B9u
#define CELI_PHILOX_W1 0xBB67AE85u
static void celi_philox(const cel_rng *rng, uint32_t block, uint32_t *out)
{
    uint32_t c0 = block, c1 = rng->sweep, c2 = rng->cell, c3 = rng->stream;
    uint32_t k0 = (uint32_t)(rng->seed & 0xffffffffu), k1 = (uint32_t)(rng->seed >> 32);
    int round;
    for (round = 0; round < 10; round++) {
        uint64_t p0 = (uint64_t)CELI_PHILOX_M0 * c0, p1 = (uint64_t)CELI_PHILOX_M1 * c2;
        c0 = (uint32_t)(p1 >> 32) ^ c1 ^ k0;
        c1 = (uint32_t)(p1 & 0xffffffffu);
        c2 = (uint32_t)(p0 >> 32) ^ c3 ^ k1;
        c3 = (uint32_t)(p0 & 0xffffffffu);
        k0 += CELI_PHILOX_W0;
        k1 += CELI_PHILOX_W1;
    }
    out[0] = c0;
    out[1] = c1;
    out[2] = c2;
    out[3] = c3;
}

static uint32_t celi_rng_next(cel_rng *rng)
{
    if (rng->left == 0) {
        celi_philox(rng, rng->block++, rng->word);
        rng->left = 4;
    }
    return rng->word[4 - rng->left--];
}

CEL_API_DEF cel_rng cel_rng_at(uint64_t seed, uint32_t stream, uint32_t cell, uint32_t sweep)
{
    cel_rng rng;
    memset(&rng, 0, sizeof rng);
    rng.seed = seed;
    rng.stream = stream;
    rng.cell = cell;
    rng.sweep = sweep;
    return rng;
}

/* 53 bits of two words, on [0, 1). */
static double celi_unit53(uint32_t a, uint32_t b)
{
    return ((double)(a >> 5) * 67108864.0 + (double)(b >> 6)) * (1.0 / 9007199254740992.0);
}

CEL_API_DEF double cel_rng_uniform(cel_rng *rng)
{
    uint32_t a = celi_rng_next(rng), b = celi_rng_next(rng);
    return celi_unit53(a, b);
}

CEL_API_DEF double cel_rng_normal(cel_rng *rng)
{
    double u = cel_rng_uniform(rng), v = cel_rng_uniform(rng);
    return sqrt(-2 * log(1 - u)) * cos(6.283185307179586476925 * v);
}

CEL_API_DEF uint32_t cel_rng_integer(cel_rng *rng, uint32_t bound)
{
    /* The high word of word * bound; the low words that would favour some values are drawn again
     * (Lemire 2019, "Fast random integer generation in an interval"). */
    uint64_t m = (uint64_t)celi_rng_next(rng) * bound;
    uint32_t reject = (0u - bound) % (bound ? bound : 1u);
    while ((uint32_t)(m & 0xffffffffu) < reject) m = (uint64_t)celi_rng_next(rng) * bound;
    return (uint32_t)(m >> 32);
}

CEL_API_DEF void cel_rng_uniforms(cel_rng *rng, cel_real *out, int64_t count)
{
    int64_t i;
    rng->left = 0;
    for (i = 0; i < count; i++)
        out[i] = sizeof(cel_real) == 4 ? (cel_real)(celi_rng_next(rng) >> 8) * (cel_real)(1.0 / 16777216.0)
                                       : (cel_real)cel_rng_uniform(rng);
    rng->left = 0;
}

static int64_t celi_min(int64_t a, int64_t b) { return a < b ? a : b; }
static int64_t celi_round_up(int64_t a, int64_t unit) { return (a + unit - 1) / unit * unit; }
static double celi_or(double value, double otherwise) { return value < 0 || value > 0 ? value : otherwise; }

CEL_API_DEF double cel_student_p(double t, double df)
{
    /* I_x(a, 1/2), x = df / (df + t^2), a = df / 2, by the continued fraction of the incomplete beta
     * function (DLMF 8.17.22) in Lentz's form, on the side where it converges fast. */
    double a = df / 2, b = 0.5, x, front, c = 1, d, f;
    int k, swap;
    if (!(t * t >= 0) || !(df > 0)) return (double)NAN;
    x = df / (df + t * t);
    if (!(x > 0)) return 0;
    if (!(t * t > 0)) return 1;
    front = exp(lgamma(a + b) - lgamma(a) - lgamma(b) + a * log(x) + b * log(t * t / (df + t * t)));
    swap = x > (a + 1) / (a + b + 2);
    if (swap) {
        x = t * t / (df + t * t);
        b = a;
        a = 0.5;
    }
    d = 1 - (a + b) * x / (a + 1);
    d = 1 / (fabs(d) < 1e-300 ? 1e-300 : d);
    f = d;
    for (k = 1; k < 1000; k++) {
        double e = k * (b - k) * x / ((a + 2 * k - 1) * (a + 2 * k)), step;
        d = 1 + e * d;
        c = 1 + e / c;
        d = 1 / (fabs(d) < 1e-300 ? 1e-300 : d);
        f *= d * c;
        e = -(a + k) * (a + b + k) * x / ((a + 2 * k) * (a + 2 * k + 1));
        d = 1 + e * d;
        c = 1 + e / c;
        d = 1 / (fabs(d) < 1e-300 ? 1e-300 : d);
        step = d * c;
        f *= step;
        if (fabs(step - 1) < 1e-15) break;
    }
    f *= front / a;
    return swap ? 1 - f : f;
}

/* Sorts index (count) so that key[index] ascends, ties by index: heap sort. */
static void celi_sort_by(const double *key, int64_t *index, int64_t count)
{
    int64_t start = count / 2, end = count;
    while (end > 1) {
        int64_t at, child, moving;
        if (start > 0) {
            moving = index[--start];
        } else {
            moving = index[--end];
            index[end] = index[0];
        }
        for (at = start; (child = 2 * at + 1) < end; at = child) {
            if (child + 1 < end && (key[index[child]] < key[index[child + 1]] ||
                                    (!(key[index[child]] > key[index[child + 1]]) && index[child] < index[child + 1])))
                child++;
            if (key[moving] > key[index[child]] || (!(key[moving] < key[index[child]]) && moving > index[child])) break;
            index[at] = index[child];
        }
        index[at] = moving;
    }
}

CEL_API_DEF cel_status cel_fdr(const double *p, int64_t count, double *q)
{
    int64_t *order, i;
    double best = 1;
    if (count < 0) return CEL_ERR_ARG;
    order = (int64_t *)celi_alloc((size_t)count, sizeof *order);
    if (!order) return CEL_ERR_MEMORY;
    for (i = 0; i < count; i++) order[i] = i;
    celi_sort_by(p, order, count);
    for (i = count - 1; i >= 0; i--) {
        double v = p[order[i]] * (double)count / (double)(i + 1);
        if (v < p[order[i]]) v = p[order[i]]; /* by rounding */
        if (v < best) best = v;
        q[order[i]] = best;
    }
    celi_free(order);
    return CEL_OK;
}

/* ======================================================================== */
/* kernels                                                                  */
/* ======================================================================== */

#if defined(__FINITE_MATH_ONLY__) && __FINITE_MATH_ONLY__ > 0
#error "celcomen.h checks data for NaN: compile without -ffast-math (-ffinite-math-only)"
#endif

/* The numerical contract. The vector kernels say themselves where a product and a sum are fused: a bare
 * product is never added, so a compiler that contracts (gcc -std=gnu99) and one that does not (gcc
 * -std=c99) give the same bits. The scalar kernels never fuse on x86. Block lengths along a sum are fixed
 * for each level, a tile of a result belongs to one thread, and an element is computed alike wherever it
 * lies: bits depend on the level, not on threads, neighbours or padding.
 *
 * Kernel text is written once, as macros over S, the prefix of an instruction set's operations: S##_add
 * and so on, on vectors S##_v of cel_real, S##_i of integers as wide, S##_x of 64-bit integers. T is the
 * attribute that lets the compiler use the set; every helper carries it. The kernels are reached
 * through a table, and OpenMP stays outside of them: clang's outlined loops lose the attribute. */

#if defined(CELI_X86) || defined(CELI_NEON)
#define CELI_PASTE_(a, b, c) a##b##c
#define CELI_PASTE(a, b, c) CELI_PASTE_(a, b, c)
#define CELI_INLINE static inline CEL_UNUSED __attribute__((always_inline))
#define CELI_OP1(T, S, name, body) T CELI_INLINE S##_v S##_##name(S##_v a) { return body; }
#define CELI_OP2(T, S, name, body) T CELI_INLINE S##_v S##_##name(S##_v a, S##_v b) { return body; }
#define CELI_OP3(T, S, name, body) T CELI_INLINE S##_v S##_##name(S##_v a, S##_v b, S##_v c) { return body; }
#define CELI_IOP1(T, S, name, body) T CELI_INLINE S##_i S##_##name(S##_i a) { return body; }
#define CELI_IOP2(T, S, name, body) T CELI_INLINE S##_i S##_##name(S##_i a, S##_i b) { return body; }
#define CELI_XOP1(T, S, name, body) T CELI_INLINE S##_x S##_##name(S##_x a) { return body; }
#define CELI_XOP2(T, S, name, body) T CELI_INLINE S##_x S##_##name(S##_x a, S##_x b) { return body; }
#endif

#if defined(CELCOMEN_DOUBLE)
typedef int64_t celi_int;
#define CELI_MANTISSA 52
#else
typedef int32_t celi_int;
#define CELI_MANTISSA 23
#endif
#define CELI_SIGN_SHIFT ((int)sizeof(cel_real) * 8 - 2)

#if defined(CELI_X86)
#define CELI_AVX2 __attribute__((target("avx2,fma")))
#define CELI_AVX512 __attribute__((target("avx2,fma,avx512f,avx512dq,avx512vl,avx512bw")))
#if defined(CELCOMEN_DOUBLE)
#define CELI_PS _pd
#define CELI_EPI _epi64
#define CELI_CASTPS _castpd_
#define celi_avx2_iset(x) _mm256_set1_epi64x(x)
#define celi_avx512_iset(x) _mm512_set1_epi64(x)
#define celi_avx2_dload(p) _mm256_loadu_pd(p)
#define celi_avx512_dload(p) _mm512_loadu_pd(p)
typedef __m256d celi_avx2_v;
typedef __m512d celi_avx512_v;
#else
#define CELI_PS _ps
#define CELI_EPI _epi32
#define CELI_CASTPS _castps_
#define celi_avx2_iset(x) _mm256_set1_epi32(x)
#define celi_avx512_iset(x) _mm512_set1_epi32(x)
#define celi_avx2_dload(p) _mm256_cvtps_pd(_mm_loadu_ps(p))
#define celi_avx512_dload(p) _mm512_cvtps_pd(_mm256_loadu_ps(p))
typedef __m256 celi_avx2_v;
typedef __m512 celi_avx512_v;
#endif
typedef __m256i celi_avx2_i;
typedef __m512i celi_avx512_i;
typedef __m256i celi_avx2_x;
typedef __m512i celi_avx512_x;
typedef __m256d celi_avx2_d;
typedef __m512d celi_avx512_d;

/* M is the intrinsics' prefix, B the bitwise type's name. */
#define CELI_X86_OPS(T, S, M, B)                                                                                      \
    T CELI_INLINE S##_v S##_load(const cel_real *p) { return CELI_PASTE(M, _loadu, CELI_PS)(p); }                     \
    T CELI_INLINE void S##_store(cel_real *p, S##_v a) { CELI_PASTE(M, _storeu, CELI_PS)(p, a); }                     \
    T CELI_INLINE S##_v S##_set(cel_real a) { return CELI_PASTE(M, _set1, CELI_PS)(a); }                              \
    T CELI_INLINE S##_v S##_zero(void) { return CELI_PASTE(M, _setzero, CELI_PS)(); }                                 \
    CELI_OP2(T, S, add, CELI_PASTE(M, _add, CELI_PS)(a, b))                                                           \
    CELI_OP2(T, S, sub, CELI_PASTE(M, _sub, CELI_PS)(a, b))                                                           \
    CELI_OP2(T, S, mul, CELI_PASTE(M, _mul, CELI_PS)(a, b))                                                           \
    CELI_OP2(T, S, div, CELI_PASTE(M, _div, CELI_PS)(a, b))                                                           \
    CELI_OP2(T, S, max, CELI_PASTE(M, _max, CELI_PS)(a, b))                                                           \
    CELI_OP2(T, S, min, CELI_PASTE(M, _min, CELI_PS)(a, b))                                                           \
    CELI_OP1(T, S, sqrt, CELI_PASTE(M, _sqrt, CELI_PS)(a))                                                            \
    CELI_OP3(T, S, fma, CELI_PASTE(M, _fmadd, CELI_PS)(a, b, c))                                                      \
    CELI_OP3(T, S, fms, CELI_PASTE(M, _fmsub, CELI_PS)(a, b, c))                                                      \
    CELI_OP3(T, S, fnma, CELI_PASTE(M, _fnmadd, CELI_PS)(a, b, c))                                                    \
    T CELI_INLINE S##_i S##_bits(S##_v a) { return CELI_PASTE(M, CELI_CASTPS, B)(a); }                                \
    T CELI_INLINE S##_v S##_real(S##_i a) { return CELI_PASTE(M, CELI_PASTE(_cast, B, ), CELI_PS)(a); }               \
    CELI_IOP2(T, S, iadd, CELI_PASTE(M, _add, CELI_EPI)(a, b))                                                        \
    CELI_IOP2(T, S, isub, CELI_PASTE(M, _sub, CELI_EPI)(a, b))                                                        \
    CELI_IOP2(T, S, iand, CELI_PASTE(M, _and_, B)(a, b))                                                              \
    CELI_IOP2(T, S, ior, CELI_PASTE(M, _or_, B)(a, b))                                                                \
    CELI_IOP2(T, S, ixor, CELI_PASTE(M, _xor_, B)(a, b))                                                              \
    CELI_IOP1(T, S, ishr_mantissa, CELI_PASTE(M, _srli, CELI_EPI)(a, CELI_MANTISSA))                                  \
    CELI_IOP1(T, S, ishl_sign, CELI_PASTE(M, _slli, CELI_EPI)(a, CELI_SIGN_SHIFT))                                    \
    T CELI_INLINE int S##_any(S##_i a)                                                                                \
    {                                                                                                                 \
        uint64_t w[sizeof(S##_i) / 8], s = 0;                                                                         \
        size_t j;                                                                                                     \
        memcpy(w, &a, sizeof a);                                                                                      \
        for (j = 0; j < sizeof(S##_i) / 8; j++) s |= w[j];                                                            \
        return s != 0;                                                                                                \
    }                                                                                                                 \
    T CELI_INLINE S##_d S##_dzero(void) { return CELI_PASTE(M, _setzero, _pd)(); }                                    \
    T CELI_INLINE S##_d S##_dset(double a) { return CELI_PASTE(M, _set1, _pd)(a); }                                   \
    T CELI_INLINE S##_d S##_dget(const double *p) { return CELI_PASTE(M, _loadu, _pd)(p); }                           \
    T CELI_INLINE void S##_dput(double *p, S##_d a) { CELI_PASTE(M, _storeu, _pd)(p, a); }                            \
    T CELI_INLINE S##_d S##_dmul(S##_d a, S##_d b) { return CELI_PASTE(M, _mul, _pd)(a, b); }                         \
    T CELI_INLINE S##_d S##_dfma(S##_d a, S##_d b, S##_d c) { return CELI_PASTE(M, _fmadd, _pd)(a, b, c); }           \
    T CELI_INLINE S##_d S##_dfnma(S##_d a, S##_d b, S##_d c) { return CELI_PASTE(M, _fnmadd, _pd)(a, b, c); }         \
    T CELI_INLINE S##_x S##_xset(uint32_t a)                                                                          \
    {                                                                                                                 \
        return CELI_PASTE(M, _set1, _epi32)((int)a);                                                                  \
    }                                                                                                                 \
    CELI_XOP2(T, S, xmul, CELI_PASTE(M, _mul, _epu32)(a, b))                                                          \
    CELI_XOP1(T, S, xhigh, CELI_PASTE(M, _srli, _epi64)(a, 32))                                                       \
    CELI_XOP1(T, S, xshl, CELI_PASTE(M, _slli, _epi64)(a, 32))                                                        \
    CELI_XOP2(T, S, xxor, CELI_PASTE(M, _xor_, B)(a, b))                                                              \
    CELI_X86_CONVERT(T, S, M, B)

/* Numbers from the low words of the lanes of a and b: in double on [1, 2), one a lane, a the high word; in
 * float on [0, 2^31], two a lane, of a and of b. */
#if defined(CELCOMEN_DOUBLE)
#define CELI_X86_CONVERT(T, S, M, B)                                                                                  \
    T CELI_INLINE S##_v S##_unit(S##_x a, S##_x b)                                                                    \
    {                                                                                                                 \
        S##_x w = CELI_PASTE(M, _or_, B)(S##_xshl(a), S##_xhigh(S##_xshl(b)));                                        \
        return S##_real(S##_ior(CELI_PASTE(M, _srli, _epi64)(w, 12), S##_bits(S##_set(1))));                          \
    }
#else
#define CELI_X86_CONVERT(T, S, M, B)                                                                                  \
    T CELI_INLINE S##_v S##_unit(S##_x a, S##_x b)                                                                    \
    {                                                                                                                 \
        S##_x w = CELI_PASTE(M, _or_, B)(S##_xhigh(S##_xshl(a)), S##_xshl(b));                                        \
        return CELI_PASTE(M, _cvtepi32, _ps)(CELI_PASTE(M, _srli, _epi32)(w, 1));                                     \
    }
#endif

CELI_X86_OPS(CELI_AVX2, celi_avx2, _mm256, si256)
CELI_X86_OPS(CELI_AVX512, celi_avx512, _mm512, si512)
#endif /* CELI_X86 */

#if defined(CELI_NEON)
#if defined(CELCOMEN_DOUBLE)
#define CELI_F64 f64
#define CELI_U64 u64
#define celi_neon_dload(p) vld1q_f64(p)
#define celi_neon_iset(x) vdupq_n_u64((uint64_t)(x))
typedef float64x2_t celi_neon_v;
typedef uint64x2_t celi_neon_i;
#else
#define CELI_F64 f32
#define CELI_U64 u32
#define celi_neon_dload(p) vcvt_f64_f32(vld1_f32(p))
#define celi_neon_iset(x) vdupq_n_u32((uint32_t)(x))
typedef float32x4_t celi_neon_v;
typedef uint32x4_t celi_neon_i;
#endif
typedef float64x2_t celi_neon_d;
typedef uint64x2_t celi_neon_x;
#define CELI_NF(op) CELI_PASTE(v, op, CELI_PASTE(q_, CELI_F64, ))
#define CELI_NU(op) CELI_PASTE(v, op, CELI_PASTE(q_, CELI_U64, ))
CELI_INLINE celi_neon_v celi_neon_load(const cel_real *p) { return CELI_NF(ld1)(p); }
CELI_INLINE void celi_neon_store(cel_real *p, celi_neon_v a) { CELI_NF(st1)(p, a); }
CELI_INLINE celi_neon_v celi_neon_set(cel_real a) { return CELI_PASTE(vdupq_n_, CELI_F64, )(a); }
CELI_INLINE celi_neon_v celi_neon_zero(void) { return celi_neon_set(0); }
CELI_OP2(, celi_neon, add, CELI_NF(add)(a, b))
CELI_OP2(, celi_neon, sub, CELI_NF(sub)(a, b))
CELI_OP2(, celi_neon, mul, CELI_NF(mul)(a, b))
CELI_OP2(, celi_neon, div, CELI_NF(div)(a, b))
CELI_OP2(, celi_neon, max, CELI_NF(maxnm)(a, b))
CELI_OP2(, celi_neon, min, CELI_NF(minnm)(a, b))
CELI_OP1(, celi_neon, sqrt, CELI_NF(sqrt)(a))
CELI_OP3(, celi_neon, fma, CELI_NF(fma)(c, a, b))
CELI_OP3(, celi_neon, fms, CELI_NF(neg)(CELI_NF(fms)(c, a, b)))
CELI_OP3(, celi_neon, fnma, CELI_NF(fms)(c, a, b))
CELI_INLINE celi_neon_i celi_neon_bits(celi_neon_v a)
{
    return CELI_PASTE(vreinterpretq_, CELI_U64, CELI_PASTE(_, CELI_F64, ))(a);
}
CELI_INLINE celi_neon_v celi_neon_real(celi_neon_i a)
{
    return CELI_PASTE(vreinterpretq_, CELI_F64, CELI_PASTE(_, CELI_U64, ))(a);
}
CELI_IOP2(, celi_neon, iadd, CELI_NU(add)(a, b))
CELI_IOP2(, celi_neon, isub, CELI_NU(sub)(a, b))
CELI_IOP2(, celi_neon, iand, CELI_NU(and)(a, b))
CELI_IOP2(, celi_neon, ior, CELI_NU(orr)(a, b))
CELI_IOP2(, celi_neon, ixor, CELI_NU(eor)(a, b))
CELI_IOP1(, celi_neon, ishr_mantissa, CELI_PASTE(vshrq_n_, CELI_U64, )(a, CELI_MANTISSA))
CELI_IOP1(, celi_neon, ishl_sign, CELI_PASTE(vshlq_n_, CELI_U64, )(a, CELI_SIGN_SHIFT))
CELI_INLINE int celi_neon_any(celi_neon_i a)
{
    uint64_t w[2];
    memcpy(w, &a, sizeof a);
    return (w[0] | w[1]) != 0;
}
CELI_INLINE celi_neon_d celi_neon_dzero(void) { return vdupq_n_f64(0); }
CELI_INLINE celi_neon_d celi_neon_dset(double a) { return vdupq_n_f64(a); }
CELI_INLINE celi_neon_d celi_neon_dget(const double *p) { return vld1q_f64(p); }
CELI_INLINE void celi_neon_dput(double *p, celi_neon_d a) { vst1q_f64(p, a); }
CELI_INLINE celi_neon_d celi_neon_dmul(celi_neon_d a, celi_neon_d b) { return vmulq_f64(a, b); }
CELI_INLINE celi_neon_d celi_neon_dfma(celi_neon_d a, celi_neon_d b, celi_neon_d c) { return vfmaq_f64(c, a, b); }
CELI_INLINE celi_neon_d celi_neon_dfnma(celi_neon_d a, celi_neon_d b, celi_neon_d c) { return vfmsq_f64(c, a, b); }
CELI_INLINE celi_neon_x celi_neon_xset(uint32_t a) { return vdupq_n_u64(a); }
CELI_XOP2(, celi_neon, xmul, vmull_u32(vmovn_u64(a), vmovn_u64(b)))
CELI_XOP1(, celi_neon, xhigh, vshrq_n_u64(a, 32))
CELI_XOP1(, celi_neon, xshl, vshlq_n_u64(a, 32))
CELI_XOP2(, celi_neon, xxor, veorq_u64(a, b))
CELI_INLINE celi_neon_v celi_neon_unit(celi_neon_x a, celi_neon_x b)
{
#if defined(CELCOMEN_DOUBLE)
    uint64x2_t w = vorrq_u64(vshlq_n_u64(a, 32), vshrq_n_u64(vshlq_n_u64(b, 32), 32));
    return celi_neon_real(vorrq_u64(vshrq_n_u64(w, 12), celi_neon_bits(celi_neon_set(1))));
#else
    uint64x2_t w = vorrq_u64(vshrq_n_u64(vshlq_n_u64(a, 32), 32), vshlq_n_u64(b, 32));
    return vcvtq_f32_u32(vshrq_n_u32(vreinterpretq_u32_u64(w), 1));
#endif
}
#endif /* CELI_NEON */

/* ---- The product of a tile ---- */

/* c (MR x NR, rows ldc apart) = alpha a b + beta c over k terms; a's element (i, p) is a[i * rs + p * cs], b's
 * (p, j) is b[p * ldb + j]. beta == 0 does not read c. */
typedef void celi_tile_fn(int64_t k, const cel_real *a, int64_t rs, int64_t cs, const cel_real *b, int64_t ldb,
                          cel_real alpha, cel_real beta, cel_real *c, int64_t ldc);

enum { CELI_PANEL = 32 }; /* numbers of a row that rotations take at a time */

static int celi_is_zero(cel_real x) { return x >= 0 && x <= 0; }

#if defined(CELI_X86) || defined(CELI_NEON)
/* Named accumulators, because gcc spills arrays of them. Two vectors wide; rows are addressed from every
 * third one, which leaves registers and fits x86 addressing. */
#define CELI_ROWS6(X, S) X(S, 0, a, 0) X(S, 1, a, 1) X(S, 2, a, 2) X(S, 3, a3, 0) X(S, 4, a3, 1) X(S, 5, a3, 2)
#define CELI_ROWS8(X, S) CELI_ROWS6(X, S) X(S, 6, a6, 0) X(S, 7, a6, 1)
#define CELI_ROWS12(X, S) CELI_ROWS8(X, S) X(S, 8, a6, 2) X(S, 9, a9, 0) X(S, 10, a9, 1) X(S, 11, a9, 2)
#define CELI_TILE_ZERO(S, i, base, r) S##_v u##i = S##_zero(), v##i = S##_zero();
#define CELI_TILE_STEP(S, i, base, r)                                                                                 \
    t = S##_set(base[r * rs]);                                                                                        \
    u##i = S##_fma(t, b0, u##i);                                                                                      \
    v##i = S##_fma(t, b1, v##i);
#define CELI_TILE_K(S, ROWS)                                                                                          \
    b0 = S##_load(b);                                                                                                 \
    b1 = S##_load(b + W);                                                                                             \
    ROWS(CELI_TILE_STEP, S)                                                                                           \
    a += cs;                                                                                                          \
    a3 += cs;                                                                                                         \
    a6 += cs;                                                                                                         \
    a9 += cs;                                                                                                         \
    b += ldb;
#define CELI_TILE_SET(S, i, base, r)                                                                                  \
    S##_store(c + i * ldc, S##_mul(t, u##i));                                                                         \
    S##_store(c + i * ldc + W, S##_mul(t, v##i));
#define CELI_TILE_ADD(S, i, base, r)                                                                                  \
    S##_store(c + i * ldc, S##_fma(t, u##i, S##_mul(b0, S##_load(c + i * ldc))));                                     \
    S##_store(c + i * ldc + W, S##_fma(t, v##i, S##_mul(b0, S##_load(c + i * ldc + W))));
#define CELI_TILE(T, S, ROWS, COUNT)                                                                                  \
    T static void S##_tile(int64_t k, const cel_real *a, int64_t rs, int64_t cs, const cel_real *b, int64_t ldb,      \
                           cel_real alpha, cel_real beta, cel_real *c, int64_t ldc)                                   \
    {                                                                                                                 \
        enum { W = (int)(sizeof(S##_v) / sizeof(cel_real)) };                                                         \
        const cel_real *a3 = a + 3 * rs, *a6 = a3 + 3 * rs, *a9 = a6 + 3 * rs;                                        \
        S##_v t, b0, b1;                                                                                              \
        ROWS(CELI_TILE_ZERO, S)                                                                                       \
        const cel_real *fetch = c;                                                                                    \
        int64_t share = (k / COUNT + 2) & ~(int64_t)1, left;                                                          \
        for (; k > 0; k -= share, fetch += ldc) { /* C is fetched a row at a time while the sums run */               \
            __builtin_prefetch(fetch);                                                                                \
            __builtin_prefetch(fetch + W);                                                                            \
            for (left = k < share ? k : share; left >= 2; left -= 2) {                                                \
                CELI_TILE_K(S, ROWS)                                                                                  \
                CELI_TILE_K(S, ROWS)                                                                                  \
            }                                                                                                         \
            if (left > 0) {                                                                                           \
                CELI_TILE_K(S, ROWS)                                                                                  \
            }                                                                                                         \
        }                                                                                                             \
        (void)a9;                                                                                                     \
        t = S##_set(alpha);                                                                                           \
        b0 = S##_set(beta);                                                                                           \
        if (celi_is_zero(beta)) {                                                                                     \
            ROWS(CELI_TILE_SET, S)                                                                                    \
        } else {                                                                                                      \
            ROWS(CELI_TILE_ADD, S)                                                                                    \
        }                                                                                                             \
    }

/* ---- Vectors ---- */

/* y += alpha x, and the sum of x_i y_i, over a multiple of 16. The sum has four double accumulators. */
#define CELI_VECTORS(T, S)                                                                                            \
    T static void S##_axpy(int64_t n, cel_real alpha, const cel_real *x, cel_real *y)                                 \
    {                                                                                                                 \
        enum { W = (int)(sizeof(S##_v) / sizeof(cel_real)) };                                                         \
        S##_v t = S##_set(alpha);                                                                                     \
        for (; n > 0; n -= W, x += W, y += W) S##_store(y, S##_fma(t, S##_load(x), S##_load(y)));                     \
    }                                                                                                                 \
    T static double S##_dot(int64_t n, const cel_real *x, const cel_real *y)                                          \
    {                                                                                                                 \
        enum { W = (int)(sizeof(S##_d) / sizeof(double)) };                                                           \
        S##_d s0 = S##_dzero(), s1 = s0, s2 = s0, s3 = s0;                                                            \
        double sum[4 * W];                                                                                            \
        int j;                                                                                                        \
        for (; n >= 4 * W; n -= 4 * W, x += 4 * W, y += 4 * W) {                                                      \
            s0 = S##_dfma(S##_dload(x), S##_dload(y), s0);                                                            \
            s1 = S##_dfma(S##_dload(x + W), S##_dload(y + W), s1);                                                    \
            s2 = S##_dfma(S##_dload(x + 2 * W), S##_dload(y + 2 * W), s2);                                            \
            s3 = S##_dfma(S##_dload(x + 3 * W), S##_dload(y + 3 * W), s3);                                            \
        }                                                                                                             \
        for (; n > 0; n -= W, x += W, y += W) s0 = S##_dfma(S##_dload(x), S##_dload(y), s0);                          \
        memcpy(sum, &s0, sizeof s0);                                                                                  \
        memcpy(sum + W, &s1, sizeof s1);                                                                              \
        memcpy(sum + 2 * W, &s2, sizeof s2);                                                                          \
        memcpy(sum + 3 * W, &s3, sizeof s3);                                                                          \
        for (j = 4 * W / 2; j > 0; j /= 2) {                                                                          \
            int i;                                                                                                    \
            for (i = 0; i < j; i++) sum[i] += sum[i + j];                                                             \
        }                                                                                                             \
        return sum[0];                                                                                                \
    }

/* For eigenvectors, in double: row -= a w + b v, and row . u after it, over a multiple of 32; and Givens rotations
 * (c, s of each) of a row of CELI_PANEL numbers with the one above, the next pair one row up. */
#define CELI_RANK2(S, k)                                                                                              \
    t = S##_dfnma(va, S##_dget(w + j + k * W), S##_dget(row + j + k * W));                                            \
    t = S##_dfnma(vb, S##_dget(v + j + k * W), t);                                                                    \
    S##_dput(row + j + k * W, t);                                                                                     \
    s##k = S##_dfma(t, S##_dget(u + j + k * W), s##k);
#define CELI_GIVENS(S, k)                                                                                             \
    x = S##_dget(low + k * W);                                                                                        \
    S##_dput(low + CELI_PANEL + k * W, S##_dfma(c, h##k, S##_dmul(s, x)));                                            \
    h##k = S##_dfnma(s, h##k, S##_dmul(c, x));
#define CELI_EIGEN(T, S)                                                                                              \
    T static double S##_rank2(int64_t n, double *row, double a, const double *w, double b, const double *v,           \
                              const double *u)                                                                        \
    {                                                                                                                 \
        enum { W = (int)(sizeof(S##_d) / sizeof(double)) };                                                           \
        S##_d va = S##_dset(a), vb = S##_dset(b), s0 = S##_dzero(), s1 = s0, s2 = s0, s3 = s0, t;                     \
        double sum[W];                                                                                                \
        int64_t j;                                                                                                    \
        for (j = 0; j < n; j += 4 * W) {                                                                              \
            CELI_RANK2(S, 0)                                                                                          \
            CELI_RANK2(S, 1)                                                                                          \
            CELI_RANK2(S, 2)                                                                                          \
            CELI_RANK2(S, 3)                                                                                          \
        }                                                                                                             \
        t = S##_dset(1);                                                                                              \
        S##_dput(sum, S##_dfma(t, S##_dfma(t, s0, s1), S##_dfma(t, s2, s3)));                                         \
        for (j = 1; j < W; j++) sum[0] += sum[j];                                                                     \
        return sum[0];                                                                                                \
    }                                                                                                                 \
    T static void S##_givens(int64_t count, const double *rotation, double *high)                                     \
    {                                                                                                                 \
        enum { W = (int)(sizeof(S##_d) / sizeof(double)) };                                                           \
        int64_t k;                                                                                                    \
        int j;                                                                                                        \
        for (j = 0; j < CELI_PANEL; j += 4 * W) {                                                                     \
            double *low = high - CELI_PANEL + j;                                                                      \
            S##_d h0 = S##_dget(high + j), h1 = S##_dget(high + j + W), h2 = S##_dget(high + j + 2 * W);              \
            S##_d h3 = S##_dget(high + j + 3 * W), x;                                                                 \
            for (k = 0; k < count; k++, low -= CELI_PANEL) {                                                          \
                S##_d c = S##_dset(rotation[2 * k]), s = S##_dset(rotation[2 * k + 1]);                               \
                CELI_GIVENS(S, 0)                                                                                     \
                CELI_GIVENS(S, 1)                                                                                     \
                CELI_GIVENS(S, 2)                                                                                     \
                CELI_GIVENS(S, 3)                                                                                     \
            }                                                                                                         \
            low += CELI_PANEL;                                                                                        \
            S##_dput(low, h0);                                                                                        \
            S##_dput(low + W, h1);                                                                                    \
            S##_dput(low + 2 * W, h2);                                                                                \
            S##_dput(low + 3 * W, h3);                                                                                \
        }                                                                                                             \
    }

#endif /* CELI_X86 or CELI_NEON */

/* ---- Elementary functions ---- */

/* Polynomials are minimax fits (Remez), highest power first; arguments are reduced by two or three parts of
 * the period with fused products, exact for the arguments that the kernels take. Angles beyond CELI_SINCOS_HIGH, NaN
 * among them, are reported (non-zero return) and left to libm. */
#if defined(CELCOMEN_DOUBLE)
#define CELI_TWO_TO_23_OR_52 4503599627370496.0
#define CELI_ROUNDER 6755399441055744.0 /* 1.5 * 2^52: adding it rounds to an integer, kept in the low bits */
#define CELI_ONE_BITS 0x3ff0000000000000
#define CELI_SQRT_HALF_BITS 0x3fe6a09e667f3bcd
#define CELI_EXPONENT_BIAS 1023
#define CELI_HALF_PI_1 1.5707963267948966
#define CELI_HALF_PI_2 6.123233995736766e-17
#define CELI_HALF_PI_3 (-1.4973849048591698e-33)
#define CELI_LN2_1 0.6931471805596629565116018 /* 41 bits, so that its product with an exponent is exact */
#define CELI_LN2_2 2.823529056303157712258845e-13
#define CELI_SIN_TERMS(X)                                                                                             \
    X(1.58901267164044749e-10)                                                                                        \
    X(-2.50506436259180031e-8) X(2.7557312965188277e-6) X(-1.98412698277288377e-4) X(8.33333333331984038e-3)          \
    X(-0.166666666666666218)
#define CELI_COS_TERMS(X)                                                                                             \
    X(-1.13542951393056789e-11)                                                                                       \
    X(2.08756192848359487e-9) X(-2.75573135826988778e-7) X(2.48015872868013186e-5) X(-1.38888888888698024e-3)         \
    X(4.16666666666665743e-2)
#define CELI_LOG_TERMS(X)                                                                                             \
    X(0.147975116017762787)                                                                                           \
    X(0.15313902847151884) X(0.181835697564254476) X(0.222221984756287605) X(0.285714287432668326)                    \
    X(0.39999999999411068) X(0.66666666666667349)
#else
#define CELI_TWO_TO_23_OR_52 8388608.0f
#define CELI_ROUNDER 12582912.0f /* 1.5 * 2^23: adding it rounds to an integer, kept in the low bits */
#define CELI_ONE_BITS 0x3f800000
#define CELI_SQRT_HALF_BITS 0x3f3504f3
#define CELI_EXPONENT_BIAS 127
#define CELI_HALF_PI_1 1.5707963705062866f
#define CELI_HALF_PI_2 (-4.371138828673793e-08f)
#define CELI_HALF_PI_3 (-1.7151245100058819e-15f)
#define CELI_LN2_1 0.693145751953125f /* 15 bits, so that its product with an exponent is exact */
#define CELI_LN2_2 1.4286068203094172321e-6f
#define CELI_SIN_TERMS(X) X(-1.95030686255019743e-4f) X(8.33207088484857556e-3f) X(-0.16666653192350488f)
#define CELI_COS_TERMS(X) X(2.44191975159191994e-5f) X(-1.38871942375021252e-3f) X(4.16666431830521447e-2f)
#define CELI_LOG_TERMS(X) X(0.298730783750953593f) X(0.399774953820725164f) X(0.666667767186633947f)
#endif
#define CELI_SINCOS_HIGH ((cel_real)16384)
#define CELI_TWO_PI ((cel_real)6.283185307179586476925)
#define CELI_TWO_OVER_PI ((cel_real)0.63661977236758134308)

#if defined(CELI_X86) || defined(CELI_NEON)
#define celi_avx2_horner(c) p = celi_avx2_fma(p, z, celi_avx2_set(c));
#define celi_avx512_horner(c) p = celi_avx512_fma(p, z, celi_avx512_set(c));
#define celi_neon_horner(c) p = celi_neon_fma(p, z, celi_neon_set(c));

#define CELI_ELEMENTARY(T, S)                                                                                         \
    T CELI_INLINE void S##_sincos_v(S##_v x, S##_v *sine, S##_v *cosine)                                              \
    {                                                                                                                 \
        const S##_v rounder = S##_set(CELI_ROUNDER);                                                                  \
        S##_v turns = S##_fma(x, S##_set(CELI_TWO_OVER_PI), rounder), q = S##_sub(turns, rounder);                    \
        S##_v r, z, s, c, p;                                                                                          \
        S##_i quadrant = S##_bits(turns), one = S##_iset(1), two = S##_iset(2), swap;                                 \
        r = S##_fnma(q, S##_set(CELI_HALF_PI_1), x);                                                                  \
        r = S##_fnma(q, S##_set(CELI_HALF_PI_2), r);                                                                  \
        r = S##_fnma(q, S##_set(CELI_HALF_PI_3), r);                                                                  \
        z = S##_mul(r, r);                                                                                            \
        p = S##_zero();                                                                                               \
        CELI_SIN_TERMS(S##_horner)                                                                                    \
        s = S##_fma(S##_mul(r, z), p, r);                                                                             \
        p = S##_zero();                                                                                               \
        CELI_COS_TERMS(S##_horner)                                                                                    \
        c = S##_fma(S##_mul(z, z), p, S##_fnma(z, S##_set((cel_real)0.5), S##_set(1)));                               \
        swap = S##_iand(S##_ixor(S##_bits(s), S##_bits(c)), S##_isub(S##_iset(0), S##_iand(quadrant, one)));          \
        *sine = S##_real(S##_ixor(S##_ixor(S##_bits(s), swap), S##_ishl_sign(S##_iand(quadrant, two))));              \
        quadrant = S##_iadd(quadrant, one);                                                                           \
        *cosine = S##_real(S##_ixor(S##_ixor(S##_bits(c), swap), S##_ishl_sign(S##_iand(quadrant, two))));            \
    }                                                                                                                 \
    /* log of x = 2^e m, m in [sqrt(1/2), sqrt(2)), f = m - 1: f - f^2/2 + s (f^2/2 + R), s = f / (2 + f), where */   \
    /* s R is what 2 atanh(s) has beyond 2 s. */                                                                      \
    T CELI_INLINE S##_v S##_log_v(S##_v x)                                                                            \
    {                                                                                                                 \
        const S##_i shift = S##_iset(CELI_ONE_BITS - CELI_SQRT_HALF_BITS);                                            \
        S##_i i = S##_iadd(S##_bits(x), shift);                                                                       \
        S##_v e, f, s, z, p, half;                                                                                    \
        e = S##_real(S##_ior(S##_ishr_mantissa(i), S##_bits(S##_set(CELI_TWO_TO_23_OR_52))));                         \
        e = S##_sub(e, S##_set(CELI_TWO_TO_23_OR_52 + CELI_EXPONENT_BIAS));                                           \
        i = S##_iand(i, S##_iset(((celi_int)1 << CELI_MANTISSA) - 1));                                                \
        f = S##_sub(S##_real(S##_iadd(i, S##_iset(CELI_SQRT_HALF_BITS))), S##_set(1));                                \
        s = S##_div(f, S##_add(f, S##_set(2)));                                                                       \
        z = S##_mul(s, s);                                                                                            \
        p = S##_zero();                                                                                               \
        CELI_LOG_TERMS(S##_horner)                                                                                    \
        half = S##_mul(f, S##_set((cel_real)0.5));                                                                    \
        p = S##_fma(s, S##_fma(z, p, S##_mul(half, f)), S##_mul(e, S##_set(CELI_LN2_2)));                             \
        return S##_fma(e, S##_set(CELI_LN2_1), S##_sub(f, S##_fms(half, f, p)));                                      \
    }                                                                                                                 \
    T static int S##_sincos(int64_t n, const cel_real *x, cel_real *y, cel_real *y2)                                  \
    {                                                                                                                 \
        enum { W = (int)(sizeof(S##_v) / sizeof(cel_real)) };                                                         \
        S##_i odd = S##_iset(0);                                                                                      \
        for (; n > 0; n -= W, x += W, y += W, y2 += W) {                                                              \
            S##_v v = S##_load(x), s, c, in;                                                                          \
            in = S##_min(S##_max(v, S##_set(-CELI_SINCOS_HIGH)), S##_set(CELI_SINCOS_HIGH));                          \
            odd = S##_ior(odd, S##_ixor(S##_bits(in), S##_bits(v)));                                                  \
            S##_sincos_v(in, &s, &c);                                                                                 \
            S##_store(y, s);                                                                                          \
            S##_store(y2, c);                                                                                         \
        }                                                                                                             \
        return S##_any(odd);                                                                                          \
    }                                                                                                                 \
    /* 32 normals from the blocks of words that begin at block: 16 pairs, cosines first. */                           \
    T static void S##_normals(const cel_rng *rng, uint32_t block, cel_real *out)                                      \
    {                                                                                                                 \
        enum { W = (int)(sizeof(S##_v) / sizeof(cel_real)), LANES = (int)(sizeof(S##_x) / 8) };                       \
        int g, round;                                                                                                 \
        for (g = 0; g < 16; g += W) {                                                                                 \
            uint64_t counter[LANES];                                                                                  \
            uint32_t k0 = (uint32_t)(rng->seed & 0xffffffffu), k1 = (uint32_t)(rng->seed >> 32);                      \
            S##_x c0, c1 = S##_xset(rng->sweep), c2 = S##_xset(rng->cell), c3 = S##_xset(rng->stream);                \
            S##_v u, v, s, c;                                                                                         \
            for (round = 0; round < LANES; round++) counter[round] = block++;                                         \
            memcpy(&c0, counter, sizeof c0);                                                                          \
            for (round = 0; round < 10; round++) {                                                                    \
                S##_x p0 = S##_xmul(c0, S##_xset(CELI_PHILOX_M0)), p1 = S##_xmul(c2, S##_xset(CELI_PHILOX_M1));       \
                c0 = S##_xxor(S##_xxor(S##_xhigh(p1), c1), S##_xset(k0));                                             \
                c2 = S##_xxor(S##_xxor(S##_xhigh(p0), c3), S##_xset(k1));                                             \
                c1 = p1;                                                                                              \
                c3 = p0;                                                                                              \
                k0 += CELI_PHILOX_W0;                                                                                 \
                k1 += CELI_PHILOX_W1;                                                                                 \
            }                                                                                                         \
            CELI_NORMAL_UV(S)                                                                                         \
            u = S##_sqrt(S##_mul(S##_set(-2), S##_log_v(u)));                                                         \
            S##_sincos_v(v, &s, &c);                                                                                  \
            S##_store(out + g, S##_mul(u, c));                                                                        \
            S##_store(out + 16 + g, S##_mul(u, s));                                                                   \
        }                                                                                                             \
    }
/* u on (0, 1], the angle v on [0, 2 pi]. */
#if defined(CELCOMEN_DOUBLE)
#define CELI_NORMAL_UV(S)                                                                                             \
    u = S##_sub(S##_set(2), S##_unit(c0, c1));                                                                        \
    v = S##_mul(S##_sub(S##_unit(c2, c3), S##_set(1)), S##_set(CELI_TWO_PI));
#else
#define CELI_NORMAL_UV(S)                                                                                             \
    u = S##_fma(S##_unit(c0, c2), S##_set(1.0f / 2147483648.0f), S##_set(1.0f / 8589934592.0f));                      \
    v = S##_mul(S##_unit(c1, c3), S##_set(CELI_TWO_PI / 2147483648.0f));
#endif

#if defined(CELI_X86)
#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC diagnostic push /* gcc 12's own AVX-512 header passes undefined vectors around */
#pragma GCC diagnostic ignored "-Wuninitialized"
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"
#endif
CELI_TILE(CELI_AVX2, celi_avx2, CELI_ROWS6, 6)
CELI_VECTORS(CELI_AVX2, celi_avx2)
CELI_EIGEN(CELI_AVX2, celi_avx2)
CELI_ELEMENTARY(CELI_AVX2, celi_avx2)
CELI_TILE(CELI_AVX512, celi_avx512, CELI_ROWS8, 8)
CELI_VECTORS(CELI_AVX512, celi_avx512)
CELI_EIGEN(CELI_AVX512, celi_avx512)
CELI_ELEMENTARY(CELI_AVX512, celi_avx512)
#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC diagnostic pop
#endif
#else
CELI_TILE(, celi_neon, CELI_ROWS12, 12)
CELI_VECTORS(, celi_neon)
CELI_EIGEN(, celi_neon)
CELI_ELEMENTARY(, celi_neon)
#endif
#endif /* CELI_X86 or CELI_NEON */

/* ---- The scalar twins ---- */

#define CELI_SCALAR_TILE 4
static void celi_scalar_tile(int64_t k, const cel_real *a, int64_t rs, int64_t cs, const cel_real *b, int64_t ldb,
                             cel_real alpha, cel_real beta, cel_real *c, int64_t ldc)
{
    cel_real sum[CELI_SCALAR_TILE][CELI_SCALAR_TILE];
    int64_t p;
    int i, j;
    memset(sum, 0, sizeof sum);
    for (p = 0; p < k; p++, a += cs, b += ldb)
        for (i = 0; i < CELI_SCALAR_TILE; i++) {
            cel_real f = a[i * rs];
            for (j = 0; j < CELI_SCALAR_TILE; j++) sum[i][j] += f * b[j];
        }
    for (i = 0; i < CELI_SCALAR_TILE; i++, c += ldc)
        for (j = 0; j < CELI_SCALAR_TILE; j++)
            c[j] = celi_is_zero(beta) ? alpha * sum[i][j] : alpha * sum[i][j] + beta * c[j];
}

static void celi_scalar_axpy(int64_t n, cel_real alpha, const cel_real *x, cel_real *y)
{
    int64_t i;
    for (i = 0; i < n; i++) y[i] += alpha * x[i];
}

static double celi_scalar_dot(int64_t n, const cel_real *x, const cel_real *y)
{
    double s[4] = {0, 0, 0, 0};
    int64_t i;
    for (i = 0; i < n; i++) s[i & 3] += (double)x[i] * (double)y[i];
    return (s[0] + s[2]) + (s[1] + s[3]);
}

static double celi_scalar_rank2(int64_t n, double *row, double a, const double *w, double b, const double *v,
                                const double *u)
{
    double s = 0;
    int64_t j;
    for (j = 0; j < n; j++) {
        row[j] -= a * w[j] + b * v[j];
        s += row[j] * u[j];
    }
    return s;
}

static void celi_scalar_givens(int64_t count, const double *rotation, double *high)
{
    for (; count > 0; count--, rotation += 2, high -= CELI_PANEL) {
        int j;
        for (j = 0; j < CELI_PANEL; j++) {
            double h = high[j], x = high[j - CELI_PANEL];
            high[j] = rotation[1] * x + rotation[0] * h;
            high[j - CELI_PANEL] = rotation[0] * x - rotation[1] * h;
        }
    }
}

static int celi_scalar_sincos(int64_t n, const cel_real *x, cel_real *y, cel_real *y2)
{
    for (; n > 0; n--, x++, y++, y2++) {
#if defined(CELCOMEN_DOUBLE)
        *y = sin(*x);
        *y2 = cos(*x);
#else
        *y = sinf(*x);
        *y2 = cosf(*x);
#endif
    }
    return 0;
}

static void celi_scalar_normals(const cel_rng *rng, uint32_t block, cel_real *out)
{
    cel_real u[16], angle[16];
    int i;
    for (i = 0; i < 16; i++) {
        uint32_t w[4];
#if defined(CELCOMEN_DOUBLE)
        celi_philox(rng, block++, w);
        u[i] = 1 - (double)(((uint64_t)w[0] << 32 | w[1]) >> 12) / CELI_TWO_TO_23_OR_52;
        angle[i] = (double)(((uint64_t)w[2] << 32 | w[3]) >> 12) / CELI_TWO_TO_23_OR_52 * CELI_TWO_PI;
#else
        celi_philox(rng, block + (uint32_t)(i / 2), w);
        u[i] = (float)(w[i % 2 * 2] >> 1) * (1.0f / 2147483648.0f) + 1.0f / 8589934592.0f;
        angle[i] = (float)(w[i % 2 * 2 + 1] >> 1) * (CELI_TWO_PI / 2147483648.0f);
#endif
    }
    celi_scalar_sincos(16, angle, out + 16, out);
    for (i = 0; i < 16; i++) {
        cel_real r = (cel_real)sqrt(-2 * log((double)u[i]));
        out[i] *= r;
        out[16 + i] *= r;
    }
}

/* ---- Dispatch ---- */

/* A level's kernels, the shape of its tile and its block sizes: kc terms of a sum at a time, mc rows of A
 * (mc x kc fits the second-level cache), nc columns of B. */
typedef struct celi_kernels {
    cel_level level;
    int mr, nr;
    int64_t kc, mc, nc;
    celi_tile_fn *tile;
    void (*axpy)(int64_t n, cel_real alpha, const cel_real *x, cel_real *y);
    double (*dot)(int64_t n, const cel_real *x, const cel_real *y);
    double (*rank2)(int64_t n, double *row, double a, const double *w, double b, const double *v, const double *u);
    void (*givens)(int64_t count, const double *rotation, double *high);
    int (*sincos)(int64_t n, const cel_real *x, cel_real *sine, cel_real *cosine);
    void (*normals)(const cel_rng *rng, uint32_t block, cel_real *out);
} celi_kernels;

#define CELI_LANES(bytes) ((int)((bytes) / sizeof(cel_real)))
#define CELI_TABLE(S, level, mr, nr, kc, mc, nc)                                                                      \
    {                                                                                                                 \
        level, mr, nr, kc, mc, nc, S##_tile, S##_axpy, S##_dot, S##_rank2, S##_givens, S##_sincos, S##_normals        \
    }
/* Best last: the first is always there. */
static const celi_kernels celi_tables[] = {
    CELI_TABLE(celi_scalar, CEL_LEVEL_SCALAR, CELI_SCALAR_TILE, CELI_SCALAR_TILE, 256, 128, 4096),
#if defined(CELI_X86)
    CELI_TABLE(celi_avx2, CEL_LEVEL_AVX2, 6, CELI_LANES(64), CELI_LANES(2048), 72, 2048),
    CELI_TABLE(celi_avx512, CEL_LEVEL_AVX512, 8, CELI_LANES(128), CELI_LANES(2048), 384, 4096),
#elif defined(CELI_NEON)
    CELI_TABLE(celi_neon, CEL_LEVEL_NEON, 12, CELI_LANES(32), 256, 120, 4096),
#endif
};

/* The only mutable global: 1 + the index of the table in use, 0 before the first look. Threads that race
 * here write the same value. */
static int celi_table_cache = 0;
#if defined(__GNUC__) || defined(__clang__)
#define CELI_ATOMIC_LOAD(p) __atomic_load_n(p, __ATOMIC_RELAXED)
#define CELI_ATOMIC_STORE(p, v) __atomic_store_n(p, v, __ATOMIC_RELAXED)
#else
#define CELI_ATOMIC_LOAD(p) (*(volatile int *)(p))
#define CELI_ATOMIC_STORE(p, v) (*(volatile int *)(p) = (v))
#endif

#if defined(CELI_X86)
static void celi_cpuid(uint32_t leaf, uint32_t *r)
{
    __asm__ __volatile__("cpuid" : "=a"(r[0]), "=b"(r[1]), "=c"(r[2]), "=d"(r[3]) : "a"(leaf), "c"(0));
}

/* Whether the processor has the instructions and the system saves the registers. */
static int celi_has_level(cel_level level)
{
    const uint32_t avx512 = 1u << 16 | 1u << 17 | 1u << 30 | 1u << 31; /* F, DQ, BW, VL */
    uint32_t r[4], low, high;
    if (level == CEL_LEVEL_SCALAR) return 1;
    celi_cpuid(0, r);
    if (r[0] < 7) return 0;
    celi_cpuid(1, r);
    if (!(r[2] >> 12 & 1) || !(r[2] >> 27 & 1) || !(r[2] >> 28 & 1)) return 0; /* FMA, OSXSAVE, AVX */
    /* xgetbv, in bytes for old assemblers: bits 1, 2 = xmm, ymm; 5 to 7 = the AVX-512 state */
    __asm__ __volatile__(".byte 0x0f, 0x01, 0xd0" : "=a"(low), "=d"(high) : "c"(0));
    celi_cpuid(7, r);
    if ((low & 6) != 6 || !(r[1] >> 5 & 1)) return 0;
    return level == CEL_LEVEL_AVX2 || ((low & 0xe6) == 0xe6 && (r[1] & avx512) == avx512);
}
#else
static int celi_has_level(cel_level level)
{
    (void)level;
    return 1;
}
#endif

CEL_API_DEF const char *cel_level_name(cel_level level)
{
    switch (level) {
    case CEL_LEVEL_SCALAR: return "scalar";
    case CEL_LEVEL_NEON: return "neon";
    case CEL_LEVEL_AVX2: return "avx2";
    case CEL_LEVEL_AVX512: return "avx512";
    }
    return "unknown";
}

CEL_API_DEF cel_level cel_level_cap(cel_level cap)
{
    int best = 0, i;
#if defined(CELI_X86) || defined(CELI_NEON)
    const char *name = getenv("CELCOMEN_LEVEL");
    for (i = CEL_LEVEL_SCALAR; name && i < (int)cap; i++)
        if (!strcmp(name, cel_level_name((cel_level)i))) cap = (cel_level)i;
#endif
    for (i = 1; i < (int)(sizeof celi_tables / sizeof celi_tables[0]); i++)
        if (celi_tables[i].level <= cap && celi_has_level(celi_tables[i].level)) best = i;
    CELI_ATOMIC_STORE(&celi_table_cache, best + 1);
    return celi_tables[best].level;
}

static const celi_kernels *celi_kernel(void)
{
    int i = CELI_ATOMIC_LOAD(&celi_table_cache);
    if (i == 0) {
        cel_level_cap(CEL_LEVEL_AVX512);
        i = CELI_ATOMIC_LOAD(&celi_table_cache);
    }
    return &celi_tables[i - 1];
}

CEL_API_DEF cel_level cel_level_get(void) { return celi_kernel()->level; }

CEL_API_DEF void cel_vec_axpy(int64_t count, cel_real alpha, const cel_real *x, cel_real *y)
{
    const celi_kernels *kern = celi_kernel();
    int64_t whole = count & ~(int64_t)15, rest = count - whole;
    kern->axpy(whole, alpha, x, y);
    if (rest > 0) { /* padded, so that every element sees the same kernel */
        cel_real px[16] = {0}, py[16] = {0};
        memcpy(px, x + whole, (size_t)rest * sizeof(cel_real));
        memcpy(py, y + whole, (size_t)rest * sizeof(cel_real));
        kern->axpy(16, alpha, px, py);
        memcpy(y + whole, py, (size_t)rest * sizeof(cel_real));
    }
}

CEL_API_DEF double cel_vec_dot(int64_t count, const cel_real *x, const cel_real *y)
{
    int64_t whole = count & ~(int64_t)15, i;
    double s = celi_kernel()->dot(whole, x, y), rest = 0;
    for (i = whole; i < count; i++) rest += (double)x[i] * (double)y[i];
    return s + rest;
}

CEL_API_DEF double cel_vec_nrm2(int64_t count, const cel_real *x) { return sqrt(cel_vec_dot(count, x, x)); }

/* In blocks that are copied and padded, so that an element does not see its neighbours and an output may be x. What
 * the kernel does not take is done again by libm (the scalar twin). */
CEL_API_DEF void cel_vec_sincos(int64_t count, const cel_real *x, cel_real *sine, cel_real *cosine)
{
    enum { BLOCK = 256 };
    const celi_kernels *kern = celi_kernel();
    int64_t at;
    CELI_OMP(omp parallel for schedule(static) if (count >= 64 * BLOCK))
    for (at = 0; at < count; at += BLOCK) {
        cel_real in[BLOCK], out[2][BLOCK];
        int64_t now = celi_min(BLOCK, count - at), whole = (now + 15) & ~(int64_t)15, i;
        memcpy(in, x + at, (size_t)now * sizeof(cel_real));
        for (i = now; i < whole; i++) in[i] = 1;
        if (kern->sincos(whole, in, out[0], out[1]))
            for (i = 0; i < now; i++)
                if (!(in[i] >= -CELI_SINCOS_HIGH && in[i] <= CELI_SINCOS_HIGH))
                    celi_scalar_sincos(1, in + i, out[0] + i, out[1] + i);
        memcpy(sine + at, out[0], (size_t)now * sizeof(cel_real));
        memcpy(cosine + at, out[1], (size_t)now * sizeof(cel_real));
    }
}

CEL_API_DEF void cel_rng_normals(cel_rng *rng, cel_real *out, int64_t count)
{
    const celi_kernels *kern = celi_kernel();
    for (; count > 0; out += 32, count -= 32) {
        if (count >= 32) {
            kern->normals(rng, rng->block, out);
        } else {
            cel_real last[32];
            kern->normals(rng, rng->block, last);
            memcpy(out, last, (size_t)count * sizeof(cel_real));
        }
        rng->block += 2 * sizeof(cel_real);
    }
    rng->left = 0;
}

/* ======================================================================== */
/* dense                                                                    */
/* ======================================================================== */

CEL_API_DEF cel_status cel_mat_new(int64_t rows, int64_t cols, cel_mat *out)
{
    memset(out, 0, sizeof *out);
    if (rows < 0 || cols < 0) return CEL_ERR_ARG;
    if (cols > 0 && rows > PTRDIFF_MAX / cols) return CEL_ERR_MEMORY;
    out->data = (cel_real *)celi_alloc((size_t)(rows * cols), sizeof(cel_real));
    if (!out->data) return CEL_ERR_MEMORY;
    out->rows = rows;
    out->cols = cols;
    out->stride = cols;
    return CEL_OK;
}

CEL_API_DEF void cel_mat_free(cel_mat *a)
{
    celi_free(a->data);
    memset(a, 0, sizeof *a);
}

CEL_API_DEF cel_mat cel_mat_view(const cel_real *data, int64_t rows, int64_t cols)
{
    cel_mat a;
    /* A view carries no const (see cel_mat); memcpy drops it without a cast. */
    memcpy(&a.data, &data, sizeof data);
    a.rows = rows;
    a.cols = cols;
    a.stride = cols;
    return a;
}

CEL_API_DEF cel_mat cel_mat_block(cel_mat a, int64_t row, int64_t col, int64_t rows, int64_t cols)
{
    a.data += row * a.stride + col;
    a.rows = rows;
    a.cols = cols;
    return a;
}

static int celi_same_shape(cel_mat a, cel_mat b) { return a.rows == b.rows && a.cols == b.cols; }

CEL_API_DEF cel_status cel_mat_copy(cel_mat a, cel_mat b)
{
    int64_t i;
    if (!celi_same_shape(a, b)) return CEL_ERR_SHAPE;
    for (i = 0; i < a.rows && a.cols > 0; i++)
        memcpy(b.data + i * b.stride, a.data + i * a.stride, (size_t)a.cols * sizeof(cel_real));
    return CEL_OK;
}

CEL_API_DEF void cel_mat_fill(cel_mat a, cel_real value)
{
    int64_t i, j;
    for (i = 0; i < a.rows; i++)
        for (j = 0; j < a.cols; j++) a.data[i * a.stride + j] = value;
}


/* C = beta C, where beta == 0 also removes NaN. */
static void celi_scale(cel_mat c, cel_real beta)
{
    int64_t i, j;
    for (i = 0; i < c.rows; i++)
        for (j = 0; j < c.cols; j++) {
            cel_real *p = c.data + i * c.stride + j;
            *p = celi_is_zero(beta) ? 0 : beta * *p;
        }
}

/* Squares that are transposed in registers, of side CELI_FLIP: b = a^T. SSE2 is part of x86-64. */
#if defined(CELI_X86) && defined(CELCOMEN_DOUBLE)
enum { CELI_FLIP = 2 };
static void celi_flip(const double *a, int64_t lda, double *b, int64_t ldb)
{
    __m128d r0 = _mm_loadu_pd(a), r1 = _mm_loadu_pd(a + lda);
    _mm_storeu_pd(b, _mm_unpacklo_pd(r0, r1));
    _mm_storeu_pd(b + ldb, _mm_unpackhi_pd(r0, r1));
}
#elif defined(CELI_X86)
enum { CELI_FLIP = 4 };
static void celi_flip(const float *a, int64_t lda, float *b, int64_t ldb)
{
    __m128 r0 = _mm_loadu_ps(a), r1 = _mm_loadu_ps(a + lda), r2 = _mm_loadu_ps(a + 2 * lda),
           r3 = _mm_loadu_ps(a + 3 * lda);
    _MM_TRANSPOSE4_PS(r0, r1, r2, r3);
    _mm_storeu_ps(b, r0);
    _mm_storeu_ps(b + ldb, r1);
    _mm_storeu_ps(b + 2 * ldb, r2);
    _mm_storeu_ps(b + 3 * ldb, r3);
}
#else
enum { CELI_FLIP = 1 };
static void celi_flip(const cel_real *a, int64_t lda, cel_real *b, int64_t ldb)
{
    (void)lda, (void)ldb;
    *b = *a;
}
#endif

/* b (cols x rows) = a^T, a (rows x cols), not overlapping. */
static void celi_transpose(int64_t rows, int64_t cols, const cel_real *a, int64_t lda, cel_real *b, int64_t ldb)
{
    int64_t i, j, r;
    for (i = 0; i + CELI_FLIP <= rows; i += CELI_FLIP) {
        for (j = 0; j + CELI_FLIP <= cols; j += CELI_FLIP) celi_flip(a + i * lda + j, lda, b + j * ldb + i, ldb);
        for (; j < cols; j++)
            for (r = i; r < i + CELI_FLIP; r++) b[j * ldb + r] = a[r * lda + j];
    }
    for (; i < rows; i++)
        for (j = 0; j < cols; j++) b[j * ldb + i] = a[i * lda + j];
}

/* The upper triangle of C becomes the mirror of the lower. */
static void celi_mirror(cel_mat c)
{
    enum { BLOCK = 16, PART = 4 };
    int64_t at;
    CELI_OMP(omp parallel for schedule(dynamic) if (c.rows > 256))
    for (at = 0; at < c.rows; at += BLOCK) {
        int64_t end = celi_min(at + BLOCK, c.rows), ld = c.stride, k, i, j;
        for (j = 0; j < at; j += BLOCK)
            celi_transpose(end - at, BLOCK, c.data + at * ld + j, ld, c.data + j * ld + at, ld);
        for (k = at; k < end; k += PART) { /* on the diagonal: left of the parts, then the parts themselves */
            int64_t last = celi_min(k + PART, end);
            celi_transpose(last - k, k - at, c.data + k * ld + at, ld, c.data + at * ld + k, ld);
            for (i = k; i < last; i++)
                for (j = k; j < i; j++) c.data[j * ld + i] = c.data[i * ld + j];
        }
    }
}

/* One factor of a product: the storage behind op(A), element (i, p) at data[i * stride + p], or, transposed,
 * at data[p * stride + i]. */
typedef struct celi_factor {
    const cel_real *data;
    int64_t stride;
    int trans;
} celi_factor;

static const cel_real *celi_at(celi_factor f, int64_t i, int64_t p)
{
    return f.data + (f.trans ? p * f.stride + i : i * f.stride + p);
}

#define CELI_PACK_CASE(w)                                                                                             \
    case w:                                                                                                           \
        for (t = 0; t < k; t++) memcpy(dst + t * w, src + t * f.stride, w * sizeof(cel_real));                        \
        break;

/* A panel: `width` rows (of which `rows` exist, the others are zero) of k terms from f's (i, p), term by term:
 * dst[p * width + i]. Storage that runs along the rows is copied, else transposed. */
static void celi_pack(celi_factor f, int64_t i, int64_t p, int64_t rows, int64_t k, int width, cel_real *dst)
{
    const cel_real *src = celi_at(f, i, p);
    int64_t r, t;
    if (rows < width) memset(dst, 0, (size_t)(k * width) * sizeof(cel_real));
    if (f.trans && rows == width) {
        switch (width) { /* sizes that the compiler knows become moves */
            CELI_PACK_CASE(4)
            CELI_PACK_CASE(6)
            CELI_PACK_CASE(8)
            CELI_PACK_CASE(12)
            CELI_PACK_CASE(16)
            CELI_PACK_CASE(32)
        }
    } else if (f.trans) {
        for (t = 0; t < k; t++)
            for (r = 0; r < rows; r++) dst[t * width + r] = src[t * f.stride + r];
    } else {
        celi_transpose(rows, k, src, f.stride, dst, width);
    }
}

/* The same for A, whose panel may keep rows as runs of k, since tiles take any two strides. */
static void celi_pack_a(celi_factor f, int64_t i, int64_t p, int64_t rows, int64_t k, int width, cel_real *dst)
{
    int64_t r;
    if (f.trans) {
        celi_pack(f, i, p, rows, k, width, dst);
        return;
    }
    for (r = 0; r < rows; r++) memcpy(dst + r * k, celi_at(f, i + r, p), (size_t)k * sizeof(cel_real));
    if (rows < width) memset(dst + rows * k, 0, (size_t)((width - rows) * k) * sizeof(cel_real));
}

#define CELI_SMALL 3e6 /* terms in a product below which operands are used where they lie */

/* One product in progress: a block of its terms and columns. Packed or not, an element's sum is the same. */
typedef struct celi_product {
    const celi_kernels *kern;
    celi_factor a, b; /* b transposed: both have the terms p as their second index */
    cel_mat c;
    cel_real alpha, beta;
    int64_t p, k;   /* the block of terms */
    int64_t j, n;   /* the block of columns */
    cel_real *b_packed;
    int pack_a, pack_b, lower; /* lower: only tiles that touch C's lower triangle */
} celi_product;

/* Rows i .. i + m of the block; a_packed has room for them in panels. */
static void celi_product_rows(const celi_product *g, int64_t i, int64_t m, cel_real *a_packed)
{
    const celi_kernels *kern = g->kern;
    const int mr = kern->mr, nr = kern->nr;
    int64_t ir, jr, n = g->n;
    if (g->lower && i + m - g->j < n) n = i + m - g->j;
    for (ir = 0; ir < m; ir += mr)
        if (g->pack_a || ir + mr > m)
            celi_pack_a(g->a, i + ir, g->p, celi_min(mr, m - ir), g->k, mr, a_packed + (g->pack_a ? ir * g->k : 0));
    for (jr = 0; jr < n; jr += nr) {
        int packed_b = g->pack_b || jr + nr > g->n;
        const cel_real *b = packed_b ? g->b_packed + (g->pack_b ? jr * g->k : 0) : celi_at(g->b, g->j + jr, g->p);
        int64_t ldb = packed_b ? nr : g->b.stride;
        for (ir = 0; ir < m; ir += mr) {
            int packed_a = g->pack_a || ir + mr > m;
            const cel_real *a = packed_a ? a_packed + (g->pack_a ? ir * g->k : 0) : celi_at(g->a, i + ir, g->p);
            int64_t rs = g->a.trans ? 1 : packed_a ? g->k : g->a.stride;
            int64_t cs = !g->a.trans ? 1 : packed_a ? mr : g->a.stride;
            cel_real *c = g->c.data + (i + ir) * g->c.stride + g->j + jr;
            if (g->lower && i + ir + mr <= g->j + jr) continue;
            if (ir + mr <= m && jr + nr <= g->n) {
                kern->tile(g->k, a, rs, cs, b, ldb, g->alpha, g->beta, c, g->c.stride);
            } else { /* an edge goes through a whole tile */
                cel_real edge[512];
                int64_t rows = m - ir < mr ? m - ir : mr, cols = g->n - jr < nr ? g->n - jr : nr, r;
                memset(edge, 0, (size_t)(mr * nr) * sizeof(cel_real));
                for (r = 0; r < rows; r++)
                    memcpy(edge + r * nr, c + r * g->c.stride, (size_t)cols * sizeof(cel_real));
                kern->tile(g->k, a, rs, cs, b, ldb, g->alpha, g->beta, edge, nr);
                for (r = 0; r < rows; r++)
                    memcpy(c + r * g->c.stride, edge + r * nr, (size_t)cols * sizeof(cel_real));
            }
        }
    }
}

/* The panel of B at column j of the block, unless it is used where it lies. */
static void celi_product_pack(const celi_product *g, int64_t j)
{
    const int nr = g->kern->nr;
    if (g->pack_b || j + nr > g->n)
        celi_pack(g->b, g->j + j, g->p, celi_min(nr, g->n - j), g->k, nr, g->b_packed + (g->pack_b ? j * g->k : 0));
}

static int celi_thread(void)
{
#if defined(_OPENMP)
    return omp_get_thread_num();
#else
    return 0;
#endif
}

/* C = alpha op(A) op(B) + beta C, of k terms; a and b as in celi_product; shapes have been checked. */
static cel_status celi_product_run(celi_factor a, celi_factor b, int64_t k, cel_real alpha, cel_real beta, cel_mat c,
                                   int lower, cel_work *work)
{
    const celi_kernels *kern = celi_kernel();
    const int64_t m = c.rows, n = c.cols, kc = celi_min(kern->kc, k);
    const double size = (double)m * (double)n * (double)k;
    int64_t nc = celi_min(kern->nc, celi_round_up(n, kern->nr)), mc, blocks, a_size, threads;
    cel_work own = {NULL, 0, NULL};
    celi_product g;
    cel_real *a_packed;
    if (m == 0 || n == 0) return CEL_OK;
    if (k == 0) {
        celi_scale(c, beta);
        return CEL_OK;
    }
    threads = size > 2e6 ? cel_threads() : 1;
    /* Row blocks: as many as fit the cache, a multiple of the threads. */
    blocks = celi_round_up((m + kern->mc - 1) / kern->mc, lower ? 2 * threads : threads);
    mc = celi_round_up((m + blocks - 1) / blocks, kern->mr);
    a_size = celi_round_up(mc * kc, 16);
    if (!work) work = &own;
    g.b_packed = (cel_real *)cel_work_get(work, (size_t)(kc * nc + threads * a_size) * sizeof(cel_real));
    if (!g.b_packed) return CEL_ERR_MEMORY;
    a_packed = g.b_packed + kc * nc;
    g.kern = kern;
    g.a = a;
    g.b = b;
    g.c = c;
    g.alpha = alpha;
    g.lower = lower;
    /* Packing pays where a panel is used often, and where rows far apart would evict each other. */
    g.pack_a = size > CELI_SMALL;
    g.pack_b = !b.trans || size > CELI_SMALL;
    for (g.j = 0; g.j < n; g.j += nc) {
        g.n = celi_min(nc, n - g.j);
        for (g.p = 0; g.p < k; g.p += kc) {
            int64_t i;
            g.k = celi_min(kc, k - g.p);
            g.beta = g.p > 0 ? 1 : beta;
            if (threads > 1) {
                CELI_OMP(omp parallel for schedule(static))
                for (i = 0; i < g.n; i += kern->nr) celi_product_pack(&g, i);
                CELI_OMP(omp parallel for schedule(dynamic))
                for (i = 0; i < m; i += mc) { /* of a triangle the longest rows first, or one thread ends late */
                    int64_t at = lower ? (m - 1) / mc * mc - i : i;
                    celi_product_rows(&g, at, celi_min(mc, m - at), a_packed + celi_thread() * a_size);
                }
            } else { /* without the cost of a parallel region */
                for (i = 0; i < g.n; i += kern->nr) celi_product_pack(&g, i);
                for (i = 0; i < m; i += mc) celi_product_rows(&g, i, celi_min(mc, m - i), a_packed);
            }
        }
    }
    cel_work_free(&own);
    return CEL_OK;
}

#if defined(CELCOMEN_CBLAS)
#if defined(CELCOMEN_DOUBLE)
#define CELI_CBLAS(name) cblas_d##name
#else
#define CELI_CBLAS(name) cblas_s##name
#endif
/* Sizes that BLAS takes: none of them zero, all of them an int. */
static int celi_cblas_takes(int64_t m, int64_t n, int64_t k, cel_mat a, cel_mat b, cel_mat c)
{
    return m > 0 && n > 0 && k > 0 && m <= INT_MAX && n <= INT_MAX && k <= INT_MAX && a.stride <= INT_MAX &&
           b.stride <= INT_MAX && c.stride <= INT_MAX;
}
#endif

CEL_API_DEF cel_status cel_mat_gemm(int trans_a, int trans_b, cel_real alpha, cel_mat a, cel_mat b, cel_real beta,
                                    cel_mat c, cel_work *work)
{
    int64_t m = trans_a ? a.cols : a.rows, k = trans_a ? a.rows : a.cols, n = trans_b ? b.rows : b.cols;
    celi_factor fa, fb;
    if (m != c.rows || n != c.cols || k != (trans_b ? b.cols : b.rows)) return CEL_ERR_SHAPE;
#if defined(CELCOMEN_CBLAS)
    if (celi_cblas_takes(m, n, k, a, b, c)) {
        CELI_CBLAS(gemm)(CblasRowMajor, trans_a ? CblasTrans : CblasNoTrans, trans_b ? CblasTrans : CblasNoTrans,
                         (int)m, (int)n, (int)k, alpha, a.data, (int)a.stride, b.data, (int)b.stride, beta, c.data,
                         (int)c.stride);
        return CEL_OK;
    }
#endif
    fa.data = a.data;
    fa.stride = a.stride;
    fa.trans = trans_a != 0;
    fb.data = b.data;
    fb.stride = b.stride;
    fb.trans = trans_b == 0;
    return celi_product_run(fa, fb, k, alpha, beta, c, 0, work);
}

/* cel_mat_syrk, but only the lower triangle of c holds the result: for sums over many calls. */
static cel_status celi_syrk_lower(int trans, cel_real alpha, cel_mat a, cel_real beta, cel_mat c, cel_work *work)
{
    int64_t n = trans ? a.cols : a.rows, k = trans ? a.rows : a.cols;
    celi_factor f;
    if (c.rows != n || c.cols != n) return CEL_ERR_SHAPE;
#if defined(CELCOMEN_CBLAS)
    if (celi_cblas_takes(n, n, k, a, a, c)) {
        CELI_CBLAS(syrk)(CblasRowMajor, CblasLower, trans ? CblasTrans : CblasNoTrans, (int)n, (int)k, alpha, a.data,
                         (int)a.stride, beta, c.data, (int)c.stride);
        return CEL_OK;
    }
#endif
    f.data = a.data;
    f.stride = a.stride;
    f.trans = trans != 0;
    return celi_product_run(f, f, k, alpha, beta, c, 1, work);
}

CEL_API_DEF cel_status cel_mat_syrk(int trans, cel_real alpha, cel_mat a, cel_real beta, cel_mat c, cel_work *work)
{
    cel_status status = celi_syrk_lower(trans, alpha, a, beta, c, work);
    if (status == CEL_OK) celi_mirror(c);
    return status;
}

CEL_API_DEF cel_status cel_mat_gemv(int trans, cel_real alpha, cel_mat a, const cel_real *x, cel_real beta, cel_real *y)
{
    enum { BLOCK = 512 };
    const int64_t n = trans ? a.cols : a.rows;
    int64_t at;
    celi_scale(cel_mat_view(y, 1, n), beta);
    if (!trans) {
        CELI_OMP(omp parallel for schedule(static) if (a.rows * a.cols > 100000))
        for (at = 0; at < n; at++) y[at] += alpha * (cel_real)cel_vec_dot(a.cols, a.data + at * a.stride, x);
    } else {
        CELI_OMP(omp parallel for schedule(static) if (a.rows * a.cols > 100000))
        for (at = 0; at < n; at += BLOCK) {
            int64_t i, count = celi_min(BLOCK, n - at);
            for (i = 0; i < a.rows; i++) cel_vec_axpy(count, alpha * x[i], a.data + i * a.stride + at, y + at);
        }
    }
    return CEL_OK;
}

CEL_API_DEF double cel_mat_dot(cel_mat a, cel_mat b)
{
    double s = 0;
    int64_t i;
    for (i = 0; i < a.rows; i++) s += cel_vec_dot(a.cols, a.data + i * a.stride, b.data + i * b.stride);
    return s;
}

CEL_API_DEF void cel_mat_axpy(cel_real alpha, cel_mat a, cel_mat b)
{
    int64_t i;
    CELI_OMP(omp parallel for schedule(static) if (a.rows * a.cols > 16 * CELI_FORK))
    for (i = 0; i < a.rows; i++) cel_vec_axpy(a.cols, alpha, a.data + i * a.stride, b.data + i * b.stride);
}

CEL_API_DEF cel_status cel_mat_transpose(cel_mat a, cel_mat b)
{
    enum { BLOCK = 32 };
    int64_t i, j;
    if (a.rows != b.cols || a.cols != b.rows) return CEL_ERR_SHAPE;
    for (i = 0; i < a.rows; i += BLOCK)
        for (j = 0; j < a.cols; j += BLOCK)
            celi_transpose(celi_min(BLOCK, a.rows - i), celi_min(BLOCK, a.cols - j), a.data + i * a.stride + j,
                           a.stride, b.data + j * b.stride + i, b.stride);
    return CEL_OK;
}

CEL_API_DEF cel_status cel_mat_symmetrise(cel_mat a)
{
    enum { BLOCK = 32 };
    int64_t i0;
    if (a.rows != a.cols) return CEL_ERR_SHAPE;
    CELI_OMP(omp parallel for schedule(dynamic) if (a.rows > 256))
    for (i0 = 0; i0 < a.rows; i0 += BLOCK) {
        int64_t j0, i, j;
        for (j0 = 0; j0 <= i0; j0 += BLOCK)
            for (i = i0; i < i0 + BLOCK && i < a.rows; i++)
                for (j = j0; j < j0 + BLOCK && j < i; j++) {
                    cel_real s = (a.data[i * a.stride + j] + a.data[j * a.stride + i]) / 2;
                    a.data[i * a.stride + j] = a.data[j * a.stride + i] = s;
                }
    }
    return CEL_OK;
}

CEL_API_DEF cel_status cel_mat_cholesky(cel_mat a)
{
    enum { BLOCK = 64 };
    const int64_t n = a.rows;
    cel_work work = {NULL, 0, NULL};
    cel_status status = CEL_OK;
    int64_t j0;
    if (n != a.cols) return CEL_ERR_SHAPE;
    /* Left-looking: a block of columns is brought up to date from the finished ones, then factored. */
    for (j0 = 0; j0 < n && status == CEL_OK; j0 += BLOCK) {
        const int64_t end = celi_min(j0 + BLOCK, n);
        int64_t i, j;
        if (j0 > 0 && end < n)
            status = cel_mat_gemm(0, 1, -1, cel_mat_block(a, end, 0, n - end, j0),
                                  cel_mat_block(a, j0, 0, end - j0, j0), 1,
                                  cel_mat_block(a, end, j0, n - end, end - j0), &work);
        for (j = j0; j < end && status == CEL_OK; j++) {
            cel_real *lj = a.data + j * a.stride;
            double d;
            for (i = j0; i < j; i++) {
                const cel_real *li = a.data + i * a.stride;
                lj[i] = (cel_real)(((double)lj[i] - cel_vec_dot(i, lj, li)) / (double)li[i]);
            }
            d = (double)lj[j] - cel_vec_dot(j, lj, lj);
            if (d > 0) lj[j] = (cel_real)sqrt(d);
            else status = CEL_ERR_NUMERIC;
        }
        if (status != CEL_OK) break;
        CELI_OMP(omp parallel for schedule(static) if (n - end > 64))
        for (i = end; i < n; i++) {
            cel_real *li = a.data + i * a.stride;
            int64_t t;
            for (t = j0; t < end; t++) {
                const cel_real *lt = a.data + t * a.stride;
                li[t] = (cel_real)(((double)li[t] - cel_vec_dot(t - j0, li + j0, lt + j0)) / (double)lt[t]);
            }
        }
    }
    cel_work_free(&work);
    return status;
}

CEL_API_DEF cel_status cel_mat_cholesky_solve(cel_mat l, cel_mat b)
{
    enum { BLOCK = 64 };
    const int64_t n = l.rows;
    cel_work work = {NULL, 0, NULL};
    cel_status status = CEL_OK;
    int64_t i0, i, j;
    if (n != l.cols || b.rows != n) return CEL_ERR_SHAPE;
    for (i0 = 0; i0 < n && status == CEL_OK; i0 += BLOCK) {
        const int64_t end = celi_min(i0 + BLOCK, n);
        if (i0 > 0)
            status = cel_mat_gemm(0, 0, -1, cel_mat_block(l, i0, 0, end - i0, i0),
                                  cel_mat_block(b, 0, 0, i0, b.cols), 1,
                                  cel_mat_block(b, i0, 0, end - i0, b.cols), &work);
        for (i = i0; i < end; i++) {
            cel_real *bi = b.data + i * b.stride, d = l.data[i * l.stride + i];
            for (j = i0; j < i; j++) cel_vec_axpy(b.cols, -l.data[i * l.stride + j], b.data + j * b.stride, bi);
            for (j = 0; j < b.cols; j++) bi[j] /= d;
        }
    }
    for (i0 = n > 0 ? (n - 1) / BLOCK * BLOCK : -1; i0 >= 0 && status == CEL_OK; i0 -= BLOCK) {
        const int64_t end = celi_min(i0 + BLOCK, n);
        if (end < n)
            status = cel_mat_gemm(1, 0, -1, cel_mat_block(l, end, i0, n - end, end - i0),
                                  cel_mat_block(b, end, 0, n - end, b.cols), 1,
                                  cel_mat_block(b, i0, 0, end - i0, b.cols), &work);
        for (i = end - 1; i >= i0; i--) {
            cel_real *bi = b.data + i * b.stride, d = l.data[i * l.stride + i];
            for (j = 0; j < b.cols; j++) bi[j] /= d;
            for (j = i0; j < i; j++) cel_vec_axpy(b.cols, -l.data[i * l.stride + j], bi, b.data + j * b.stride);
        }
    }
    cel_work_free(&work);
    return status;
}

/* Eigenvectors in three steps, all in double: reflections make the matrix tridiagonal, implicit QL finds its
 * eigenvalues and leaves a list of rotations, and the eigenvectors are the unit vectors rotated, then reflected.
 * Rows are stride apart, a multiple of CELI_PANEL, zero behind n. */
typedef struct celi_eigen {
    const celi_kernels *kern;
    int64_t n, stride, count; /* count: rotations listed */
    double *a;                /* (n x stride) the matrix, then its eigenvectors */
    double *u;                /* (n x stride) the reflections I - beta u u^T; zero up to their own row */
    double *beta, *e, *v, *w; /* (stride) */
    double *panel;            /* (stride / CELI_PANEL x n x CELI_PANEL) the tridiagonal one's vectors; first scratch */
    double *rotation;         /* (2 x 32 n) */
    int64_t sweep[64][2];     /* first row and number of rotations */
    int sweeps;
} celi_eigen;

/* d and e: the diagonal and, from 0, what is beside it. The rows are brought up to date with step k - 1 (v, w) in the
 * same pass that multiplies them with the reflection of step k. */
static void celi_eigen_reduce(celi_eigen *q, double *d)
{
    const int64_t n = q->n;
    int64_t i, k;
    for (k = 0; k < n; k++) {
        double *row = q->a + k * q->stride, *u = q->u + k * q->stride, norm = 0, alpha, dot = 0, beta;
        int64_t from = (k + 1) / CELI_PANEL * CELI_PANEL, width = q->stride - from;
        q->kern->rank2(q->stride, row, q->v[k], q->w, q->w[k], q->v, u); /* u is zero */
        d[k] = row[k];
        q->beta[k] = 0;
        q->e[k] = k + 1 < n ? row[k + 1] : 0;
        if (k + 2 >= n) continue;
        for (i = k + 1; i < n; i++) norm += row[i] * row[i];
        /* The largest entry is 1. What is this small is rounding, left by a matrix of low rank, and shrinks on. */
        if (norm < 1e-40) {
            memset(row + k + 1, 0, (size_t)(n - k - 1) * sizeof *row);
            norm = 0;
        }
        alpha = row[k + 1] > 0 ? -sqrt(norm) : sqrt(norm);
        q->e[k] = alpha;
        beta = norm - alpha * row[k + 1];
        q->beta[k] = beta = beta > 0 ? 1 / beta : 0;
        memcpy(u + k + 1, row + k + 1, (size_t)(n - k - 1) * sizeof *u);
        u[k + 1] -= alpha;
        CELI_OMP(omp parallel for schedule(static) if ((n - k) * width > 4 * CELI_FORK))
        for (i = k + 1; i < n; i++)
            q->panel[i] = beta * q->kern->rank2(width, q->a + i * q->stride + from, q->v[i], q->w + from, q->w[i],
                                                q->v + from, u + from);
        for (i = k + 1; i < n; i++) dot += q->panel[i] * u[i];
        q->w[k] = 0;
        for (i = k + 1; i < n; i++) q->w[i] = q->panel[i] - beta / 2 * dot * u[i];
        memcpy(q->v, u, (size_t)q->stride * sizeof *u);
    }
}

static void celi_eigen_rotate(celi_eigen *q)
{
    int64_t p;
    CELI_OMP(omp parallel for schedule(static) if (q->count * q->n > 16 * CELI_FORK))
    for (p = 0; p < q->stride / CELI_PANEL; p++) {
        const double *rotation = q->rotation;
        int k;
        for (k = 0; k < q->sweeps; rotation += 2 * q->sweep[k++][1])
            q->kern->givens(q->sweep[k][1], rotation, q->panel + (p * q->n + q->sweep[k][0]) * CELI_PANEL);
    }
    q->count = q->sweeps = 0;
}

/* Implicit QL with Wilkinson's shift on (d, e). */
static cel_status celi_eigen_ql(celi_eigen *q, double *d)
{
    const int64_t n = q->n;
    double *e = q->e, least = 0;
    int64_t l, m, i;
    for (l = 0; l < n; l++)
        if (DBL_EPSILON * (fabs(d[l]) + fabs(e[l])) > least) least = DBL_EPSILON * (fabs(d[l]) + fabs(e[l]));
    for (l = 0; l < n; l++) {
        int round;
        for (round = 0;; round++) {
            double g, r, p = 0, s = 1, c = 1, *list;
            for (m = l; m + 1 < n; m++)
                if (fabs(e[m]) <= least) break;
            if (m == l) break;
            if (round == 60) return CEL_ERR_NUMERIC;
            if (q->sweeps == 64 || q->count + m - l > 32 * n) celi_eigen_rotate(q);
            list = q->rotation + 2 * q->count;
            g = (d[l + 1] - d[l]) / (2 * e[l]);
            r = sqrt(g * g + 1);
            g = d[m] - d[l] + e[l] / (g + (g < 0 ? -r : r));
            for (i = m - 1; i >= l; i--) {
                double f = s * e[i], b = c * e[i];
                r = sqrt(f * f + g * g);
                e[i + 1] = r;
                if (!(r > 0)) {
                    if (!(r <= 0)) return CEL_ERR_NUMERIC;
                    d[i + 1] -= p;
                    e[m] = 0;
                    break;
                }
                s = f / r;
                c = g / r;
                g = d[i + 1] - p;
                r = (d[i] - g) * s + 2 * c * b;
                p = s * r;
                d[i + 1] = g + p;
                g = c * r - b;
                *list++ = c;
                *list++ = s;
            }
            q->sweep[q->sweeps][0] = m;
            q->sweep[q->sweeps++][1] = m - 1 - i;
            q->count += m - 1 - i;
            if (i >= l) continue;
            d[l] -= p;
            e[l] = g;
            e[m] = 0;
        }
    }
    celi_eigen_rotate(q);
    return CEL_OK;
}

/* Rows of a = the eigenvectors: the panels' rows, reflected, some at a time. */
static void celi_eigen_reflect(celi_eigen *q)
{
    enum { ROWS = 4 };
    const int64_t n = q->n, width = q->stride;
    int64_t first;
    CELI_OMP(omp parallel for schedule(static) if (n * width > 2 * CELI_FORK))
    for (first = 0; first < n; first += ROWS) {
        double dot[ROWS] = {0};
        int64_t i, k, p;
        for (i = first; i < first + ROWS && i < n; i++)
            for (p = 0; p < width / CELI_PANEL; p++)
                memcpy(q->a + i * width + p * CELI_PANEL, q->panel + (p * n + i) * CELI_PANEL,
                       CELI_PANEL * sizeof(double));
        /* In the pass that takes reflection k off, the row is multiplied with the next one, k - 1. */
        for (k = n - 1; k >= 0; k--) {
            int64_t from = k / CELI_PANEL * CELI_PANEL;
            const double *u = q->u + k * width + from, *next = k > 0 ? u - width : u;
            for (i = 0; i < ROWS && first + i < n; i++)
                dot[i] = q->kern->rank2(width - from, q->a + (first + i) * width + from, q->beta[k] * dot[i], u, 0, u,
                                        next);
        }
    }
}

CEL_API_DEF cel_status cel_mat_eigen(cel_mat a, double *w, cel_mat v)
{
    int64_t n = a.rows, stride = celi_round_up(n, CELI_PANEL), i, j, k;
    celi_eigen q;
    double top = 0, swap; /* the largest entry is made 1 */
    cel_status status;
    memset(&q, 0, sizeof q);
    if (a.cols != n || v.rows != n || v.cols != n) return CEL_ERR_SHAPE;
    if (n > 0 && stride > PTRDIFF_MAX / (4 * (n + 32))) return CEL_ERR_MEMORY;
    q.kern = celi_kernel();
    q.n = n;
    q.stride = stride;
    q.a = (double *)celi_alloc((size_t)(3 * n * stride + 4 * stride + 64 * n), sizeof(double));
    if (!q.a) return CEL_ERR_MEMORY;
    q.u = q.a + n * stride;
    q.panel = q.u + n * stride;
    q.beta = q.panel + n * stride;
    q.e = q.beta + stride;
    q.v = q.e + stride;
    q.w = q.v + stride;
    q.rotation = q.w + stride;
    for (i = 0; i < n; i++)
        for (j = 0; j < n; j++)
            if (fabs((double)a.data[i * a.stride + j]) > top) top = fabs((double)a.data[i * a.stride + j]);
    if (!(top > 0)) top = 1;
    for (i = 0; i < n; i++)
        for (j = 0; j < n; j++) q.a[i * stride + j] = (double)a.data[i * a.stride + j] / top;
    celi_eigen_reduce(&q, w);
    memset(q.panel, 0, (size_t)(n * stride) * sizeof(double));
    for (i = 0; i < n; i++) q.panel[(i / CELI_PANEL * n + i) * CELI_PANEL + i % CELI_PANEL] = 1;
    status = celi_eigen_ql(&q, w);
    for (i = 0; i < n; i++) w[i] *= top;
    for (i = 0; i < n && status == CEL_OK; i++)
        if (!(fabs(w[i]) <= DBL_MAX)) status = CEL_ERR_NUMERIC;
    if (status != CEL_OK) {
        memset(w, 0, (size_t)n * sizeof(double));
        cel_mat_fill(v, 0);
    } else {
        celi_eigen_reflect(&q);
        for (i = 0; i < n; i++) {
            const double *row;
            for (k = i, j = i + 1; j < n; j++)
                if (w[j] < w[k]) k = j;
            row = q.a + k * stride;
            for (j = 0; j < n; j++) v.data[j * v.stride + i] = (cel_real)row[j];
            swap = w[k];
            w[k] = w[i];
            w[i] = swap;
            if (k != i) memcpy(q.a + k * stride, q.a + i * stride, (size_t)n * sizeof(double));
        }
    }
    celi_free(q.a);
    return status;
}

/* ======================================================================== */
/* sparse                                                                   */
/* ======================================================================== */

CEL_API_DEF void cel_csr_free(cel_csr *a)
{
    if (!a) return;
    celi_free(a->start);
    celi_free(a->index);
    celi_free(a->value);
    celi_free(a->order);
    memset(a, 0, sizeof *a);
}

CEL_API_DEF int64_t cel_csr_count(const cel_csr *a)
{
    return a->start ? a->start[a->rows] : 0;
}

/* A matrix of zeros with room for count entries, no row holding any. */
static cel_status celi_csr_new(int64_t rows, int64_t cols, int64_t count, cel_csr *out)
{
    memset(out, 0, sizeof *out);
    if (rows < 0 || cols < 0 || rows > INT32_MAX || cols > INT32_MAX || count < 0) return CEL_ERR_ARG;
    out->rows = rows;
    out->cols = cols;
    out->start = (int64_t *)celi_alloc((size_t)rows + 1, sizeof *out->start);
    out->index = (int32_t *)celi_alloc((size_t)count, sizeof *out->index);
    out->value = (cel_real *)celi_alloc((size_t)count, sizeof *out->value);
    if (out->start && out->index && out->value) return CEL_OK;
    cel_csr_free(out);
    return CEL_ERR_MEMORY;
}

/* celi_csr_new, with the walk of a square matrix that out is made from. */
static cel_status celi_csr_like(const cel_csr *a, int64_t rows, int64_t cols, int64_t count, cel_csr *out)
{
    cel_status status = celi_csr_new(rows, cols, count, out);
    if (status || !a->order || a->rows != a->cols) return status;
    out->order = (int32_t *)celi_alloc_raw((size_t)rows * sizeof *out->order);
    if (out->order) {
        memcpy(out->order, a->order, (size_t)rows * sizeof *out->order);
        return CEL_OK;
    }
    cel_csr_free(out);
    return CEL_ERR_MEMORY;
}

/* Counts in start[r + 1] become offsets; start[0] must be 0. */
static void celi_csr_offsets(int64_t rows, int64_t *start)
{
    int64_t r;
    for (r = 0; r < rows; r++) start[r + 1] += start[r];
}

/* Filling moved start[r] to the end of row r: move all back by one row. */
static void celi_csr_rewind(int64_t rows, int64_t *start)
{
    memmove(start + 1, start, (size_t)rows * sizeof *start);
    start[0] = 0;
}

/* A stable counting sort by column: the columns of the result ascend within each row whatever the order
 * in A's rows, and entries of one place keep their order. */
CEL_API_DEF cel_status cel_csr_transpose(const cel_csr *a, cel_csr *out)
{
    int64_t i, e, count = cel_csr_count(a);
    cel_status status = celi_csr_like(a, a->cols, a->rows, count, out);
    if (status) return status;
    for (e = 0; e < count; e++) out->start[a->index[e] + 1]++;
    celi_csr_offsets(out->rows, out->start);
    for (i = 0; i < a->rows; i++)
        for (e = a->start[i]; e < a->start[i + 1]; e++) {
            int64_t to = out->start[a->index[e]]++;
            out->index[to] = (int32_t)i;
            out->value[to] = a->value[e];
        }
    celi_csr_rewind(out->rows, out->start);
    return CEL_OK;
}

/* Sums entries of one place in sorted rows, in place. */
static void celi_csr_merge(cel_csr *a)
{
    int64_t i, e = 0, to = 0;
    for (i = 0; i < a->rows; i++) {
        int64_t end = a->start[i + 1];
        a->start[i] = to;
        while (e < end) {
            int32_t j = a->index[e];
            double sum = (double)a->value[e];
            for (e++; e < end && a->index[e] == j; e++) sum += (double)a->value[e];
            a->index[to] = j;
            a->value[to++] = (cel_real)sum;
        }
    }
    if (a->start) a->start[a->rows] = to;
}

CEL_API_DEF cel_status cel_csr_from_edges(int64_t rows, int64_t cols, int64_t count, const int64_t *row,
                                          const int64_t *col, const cel_real *value, cel_csr *out, cel_error *err)
{
    cel_csr t;
    int64_t e;
    cel_status status;
    memset(out, 0, sizeof *out);
    for (e = 0; e < count; e++)
        if (row[e] < 0 || row[e] >= rows || col[e] < 0 || col[e] >= cols)
            return celi_fail(err, CEL_ERR_ARG, "an edge's index is out of range", e, -1, -1);
    /* Sorted by column as the transpose, then by row: two stable passes. */
    status = celi_csr_new(cols, rows, count, &t);
    if (!status) {
        for (e = 0; e < count; e++) t.start[col[e] + 1]++;
        celi_csr_offsets(cols, t.start);
        for (e = 0; e < count; e++) {
            int64_t to = t.start[col[e]]++;
            t.index[to] = (int32_t)row[e];
            t.value[to] = value ? value[e] : 1;
        }
        celi_csr_rewind(cols, t.start);
        status = cel_csr_transpose(&t, out);
        cel_csr_free(&t);
    }
    if (status) return celi_fail(err, status, "edges to a sparse matrix", -1, -1, -1);
    celi_csr_merge(out);
    return CEL_OK;
}

CEL_API_DEF cel_status cel_csr_copy(const cel_csr *a, cel_csr *out)
{
    int64_t count = cel_csr_count(a);
    cel_status status = celi_csr_like(a, a->rows, a->cols, count, out);
    if (status || !a->start) return status;
    memcpy(out->start, a->start, (size_t)(a->rows + 1) * sizeof *a->start);
    if (count) {
        memcpy(out->index, a->index, (size_t)count * sizeof *a->index);
        memcpy(out->value, a->value, (size_t)count * sizeof *a->value);
    }
    return CEL_OK;
}

CEL_API_DEF cel_status cel_csr_symmetrise(const cel_csr *a, cel_csr *out)
{
    cel_csr t;
    int64_t i, to = 0;
    cel_status status;
    memset(out, 0, sizeof *out);
    if (a->rows != a->cols) return CEL_ERR_SHAPE;
    status = cel_csr_transpose(a, &t);
    if (status) return status;
    status = celi_csr_like(a, a->rows, a->cols, 2 * cel_csr_count(a), out);
    for (i = 0; !status && i < a->rows; i++) {
        int64_t e = a->start[i], e_end = a->start[i + 1], f = t.start[i], f_end = t.start[i + 1];
        while (e < e_end || f < f_end) {
            int use_a = e < e_end && (f >= f_end || a->index[e] <= t.index[f]);
            int use_t = f < f_end && (e >= e_end || t.index[f] <= a->index[e]);
            out->index[to] = use_a ? a->index[e] : t.index[f];
            out->value[to++] = ((use_a ? a->value[e] : 0) + (use_t ? t.value[f] : 0)) / 2;
            e += use_a;
            f += use_t;
        }
        out->start[i + 1] = to;
    }
    cel_csr_free(&t);
    return status;
}

CEL_API_DEF int cel_csr_is_symmetric(const cel_csr *a)
{
    int64_t i, e;
    if (a->rows != a->cols) return 0;
    for (i = 0; i < a->rows; i++)
        for (e = a->start[i]; e < a->start[i + 1]; e++) {
            int64_t low = a->start[a->index[e]], high = a->start[a->index[e] + 1], end = high;
            while (low < high) {
                int64_t middle = low + (high - low) / 2;
                if (a->index[middle] < i) low = middle + 1;
                else high = middle;
            }
            if (low == end || a->index[low] != i) return 0;
            if (!(a->value[low] <= a->value[e] && a->value[low] >= a->value[e])) return 0;
        }
    return 1;
}

CEL_API_DEF cel_status cel_csr_normalise(cel_csr *a, cel_csr_norm kind)
{
    double *row, *col; /* sums */
    int64_t i, e;
    cel_status status = CEL_OK;
    if (kind == CEL_NORM_GCN && a->rows != a->cols) return CEL_ERR_SHAPE;
    if (kind != CEL_NORM_ROW && kind != CEL_NORM_SYM && kind != CEL_NORM_GCN) return CEL_ERR_ARG;
    row = (double *)celi_alloc((size_t)(a->rows + a->cols), sizeof *row);
    if (!row) return CEL_ERR_MEMORY;
    col = kind == CEL_NORM_GCN ? row : row + a->rows;
    for (i = 0; i < a->rows; i++)
        for (e = a->start[i]; e < a->start[i + 1]; e++) {
            row[i] += (double)a->value[e];
            if (kind == CEL_NORM_SYM) col[a->index[e]] += (double)a->value[e];
        }
    for (i = 0; kind != CEL_NORM_ROW && i < a->rows + a->cols; i++)
        if (!(row[i] >= 0)) status = CEL_ERR_DATA;
    for (i = 0; !status && i < a->rows; i++)
        for (e = a->start[i]; e < a->start[i + 1]; e++) {
            double d = kind == CEL_NORM_ROW ? row[i] : sqrt(row[i] * col[a->index[e]]);
            a->value[e] = d > 0 || d < 0 ? (cel_real)((double)a->value[e] / d) : 0;
        }
    celi_free(row);
    return status;
}

/* One row of a product: y (n) = alpha sum_e value[e] x.row(index[e]) + beta y over count entries. */
typedef void celi_csr_row_fn(int64_t n, int64_t count, const int32_t *index, const cel_real *value, cel_real alpha,
                             const cel_real *x, int64_t stride, cel_real beta, cel_real *y);

static void celi_scalar_csr_row(int64_t n, int64_t count, const int32_t *index, const cel_real *value, cel_real alpha,
                                const cel_real *x, int64_t stride, cel_real beta, cel_real *y)
{
    int64_t e, j;
    for (j = 0; j < n; j++) y[j] = beta > 0 || beta < 0 ? beta * y[j] : 0;
    for (e = 0; e < count; e++) {
        const cel_real *from = x + index[e] * stride;
        cel_real w = alpha * value[e];
        for (j = 0; j < n; j++) y[j] += w * from[j];
    }
}

#if defined(CELI_X86) || defined(CELI_NEON)
/* Some vectors of columns at a time, summed over all entries in named accumulators. The last vector overlaps the
 * one before, so that every column is computed alike. */
#define CELI_CSR_ONE(X, S) X(S, 0)
#define CELI_CSR_FOUR(X, S) CELI_CSR_ONE(X, S) X(S, 1) X(S, 2) X(S, 3)
#define CELI_CSR_EIGHT(X, S) CELI_CSR_FOUR(X, S) X(S, 4) X(S, 5) X(S, 6) X(S, 7)
#define CELI_CSR_ZERO(S, i) S##_v u##i = S##_zero();
#define CELI_CSR_STEP(S, i) u##i = S##_fma(w, S##_load(from + i * W), u##i);
#define CELI_CSR_SET(S, i) S##_store(to + i * W, S##_mul(w, u##i));
#define CELI_CSR_ADD(S, i) S##_store(to + i * W, S##_fma(b, S##_load(y + i * W), S##_mul(w, u##i)));
#define CELI_CSR_COLUMNS(T, S, name, COLUMNS)                                                                         \
    T CELI_INLINE void S##_csr_##name(int64_t count, const int32_t *index, const cel_real *value, cel_real alpha,      \
                                     const cel_real *x, int64_t stride, cel_real beta, const cel_real *y,            \
                                     cel_real *to)                                                                    \
    {                                                                                                                 \
        enum { W = (int)(sizeof(S##_v) / sizeof(cel_real)) };                                                         \
        S##_v w, b;                                                                                                   \
        int64_t e;                                                                                                    \
        COLUMNS(CELI_CSR_ZERO, S)                                                                                     \
        for (e = 0; e < count; e++) {                                                                                 \
            const cel_real *from = x + index[e] * stride;                                                             \
            w = S##_set(value[e]);                                                                                    \
            COLUMNS(CELI_CSR_STEP, S)                                                                                 \
        }                                                                                                             \
        w = S##_set(alpha);                                                                                           \
        b = S##_set(beta);                                                                                            \
        if (celi_is_zero(beta)) {                                                                                     \
            COLUMNS(CELI_CSR_SET, S)                                                                                  \
        } else {                                                                                                      \
            COLUMNS(CELI_CSR_ADD, S)                                                                                  \
        }                                                                                                             \
    }
#define CELI_CSR_ROW(T, S)                                                                                            \
    CELI_CSR_COLUMNS(T, S, one, CELI_CSR_ONE)                                                                         \
    CELI_CSR_COLUMNS(T, S, four, CELI_CSR_FOUR)                                                                       \
    CELI_CSR_COLUMNS(T, S, eight, CELI_CSR_EIGHT)                                                                     \
    T static void S##_csr_row(int64_t n, int64_t count, const int32_t *index, const cel_real *value, cel_real alpha,  \
                              const cel_real *x, int64_t stride, cel_real beta, cel_real *y)                          \
    {                                                                                                                 \
        enum { W = (int)(sizeof(S##_v) / sizeof(cel_real)) };                                                         \
        cel_real last[8 * W];                                                                                         \
        int64_t j, step = n >= 8 * W ? 8 * W : n >= 4 * W ? 4 * W : W;                                                \
        if (n < W) {                                                                                                  \
            celi_scalar_csr_row(n, count, index, value, alpha, x, stride, beta, y);                                   \
            return;                                                                                                   \
        }                                                                                                             \
        for (j = 0; j < n; j += step) {                                                                               \
            int64_t at = celi_min(j, n - step);                                                                       \
            cel_real *to = at == j || celi_is_zero(beta) ? y + at : last;                                             \
            if (step == 8 * W) S##_csr_eight(count, index, value, alpha, x + at, stride, beta, y + at, to);           \
            else if (step == 4 * W) S##_csr_four(count, index, value, alpha, x + at, stride, beta, y + at, to);       \
            else S##_csr_one(count, index, value, alpha, x + at, stride, beta, y + at, to);                           \
            if (to == last) memcpy(y + j, last + (j - at), (size_t)(n - j) * sizeof *y);                              \
        }                                                                                                             \
    }
#if defined(CELI_X86)
CELI_CSR_ROW(CELI_AVX2, celi_avx2)
CELI_CSR_ROW(CELI_AVX512, celi_avx512)
#else
CELI_CSR_ROW(, celi_neon)
#endif
#endif

static celi_csr_row_fn *celi_csr_kernel(void)
{
    switch (cel_level_get()) {
#if defined(CELI_X86)
    case CEL_LEVEL_AVX512: return celi_avx512_csr_row;
    case CEL_LEVEL_AVX2: return celi_avx2_csr_row;
#elif defined(CELI_NEON)
    case CEL_LEVEL_NEON: return celi_neon_csr_row;
#endif
    default: return celi_scalar_csr_row;
    }
}

/* A product in progress: result r is the sum over A's row list[r], or r where list is NULL. It is y's row r, or, in
 * a walk, the row that it is the sum over. */
typedef struct celi_csr_product {
    celi_csr_row_fn *kernel;
    const cel_csr *a;
    const int32_t *list;
    cel_real alpha, beta;
    cel_mat x, y;
    int walk;
} celi_csr_product;

enum { CELI_CSR_RECENT = 256, CELI_CSR_RUN = 256 };

#if defined(__GNUC__) || defined(__clang__)
#define CELI_PREFETCH(p) __builtin_prefetch(p)
#else
#define CELI_PREFETCH(p) ((void)(p))
#endif

static void celi_csr_fetch(const cel_real *row, int64_t cols)
{
    int64_t j;
    for (j = 0; j < cols; j += 64 / (int64_t)sizeof *row) CELI_PREFETCH(row + j);
}

/* Fetches X's row i unless `recent` remembers it. */
static void celi_csr_fetch_x(const celi_csr_product *p, int32_t *recent, int64_t i)
{
    if (recent[i % CELI_CSR_RECENT] == (int32_t)i) return;
    recent[i % CELI_CSR_RECENT] = (int32_t)i;
    celi_csr_fetch(p->x.data + i * p->x.stride, p->x.cols);
}

/* Results first .. last - 1. What they add up is fetched some rows ahead. Of a square matrix in its own order, the rows
 * of the same numbers are fetched long before: they are neighbours of what follows, and memory likes their order
 * better. In a list or a walk, A's own rows are fetched in time for this, and y's. */
static void celi_csr_run(const celi_csr_product *p, int64_t first, int64_t last)
{
    enum { NEAR = 4, MIDDLE = 16, FAR = 64 };
    const cel_csr *a = p->a;
    const int32_t *list = p->list;
    const int64_t *start = a->start, count = p->y.rows;
    int32_t recent[CELI_CSR_RECENT];
    int64_t r, i, e;
    memset(recent, -1, sizeof recent);
    for (r = first - NEAR; r < last; r++) {
        if (r + FAR < count) {
            if (list) CELI_PREFETCH(start + list[r + FAR]);
            else if (a->rows == a->cols) celi_csr_fetch_x(p, recent, r + FAR);
        }
        if (list && r + MIDDLE < count) {
            CELI_PREFETCH(a->index + start[list[r + MIDDLE]]);
            CELI_PREFETCH(a->value + start[list[r + MIDDLE]]);
        }
        if (r + NEAR < last) {
            i = list ? list[r + NEAR] : r + NEAR;
            for (e = start[i]; e < start[i + 1]; e++) celi_csr_fetch_x(p, recent, a->index[e]);
            if (list && p->walk) celi_csr_fetch(p->y.data + i * p->y.stride, p->y.cols);
        }
        if (r < first) continue;
        i = list ? list[r] : r;
        p->kernel(p->x.cols, start[i + 1] - start[i], a->index + start[i], a->value + start[i], p->alpha, p->x.data,
                  p->x.stride, p->beta, p->y.data + (p->walk ? i : r) * p->y.stride);
    }
}

/* Rows of the product: as in celi_csr_product. */
static cel_status celi_csr_mul(cel_real alpha, const cel_csr *a, const int32_t *list, int walk, cel_mat x,
                               cel_real beta, cel_mat y)
{
    celi_csr_product p;
    int64_t r, count = y.rows;
    if (a->cols != x.rows || x.cols != y.cols) return CEL_ERR_SHAPE;
    for (r = 0; list && r < count; r++)
        if (list[r] < 0 || list[r] >= a->rows) return CEL_ERR_ARG;
    p.kernel = celi_csr_kernel();
    p.a = a;
    p.list = list;
    p.alpha = alpha;
    p.beta = beta;
    p.x = x;
    p.y = y;
    p.walk = walk;
    CELI_OMP(omp parallel for schedule(static) if (count * x.cols > CELI_FORK))
    for (r = 0; r < count; r += CELI_CSR_RUN) celi_csr_run(&p, r, celi_min(r + CELI_CSR_RUN, count));
    return CEL_OK;
}

CEL_API_DEF cel_status cel_csr_mul_rows(cel_real alpha, const cel_csr *a, const int32_t *list, int64_t count, cel_mat x,
                                        cel_real beta, cel_mat y)
{
    return y.rows == count ? celi_csr_mul(alpha, a, list, 0, x, beta, y) : CEL_ERR_SHAPE;
}

CEL_API_DEF cel_status cel_csr_mul(cel_real alpha, const cel_csr *a, cel_mat x, cel_real beta, cel_mat y)
{
    return y.rows == a->rows ? celi_csr_mul(alpha, a, a->order, 1, x, beta, y) : CEL_ERR_SHAPE;
}

/* Breadth-first from every cell, twice: once to count, once to fill. The pairs come out by rows in any
 * order of columns; they are symmetric, so transposing sorts them. */
CEL_API_DEF cel_status cel_csr_hop(const cel_csr *a, int hops, cel_csr *out)
{
    cel_csr s, found;
    int32_t *seen, *queue;
    int64_t i, e, q, total = 0;
    int fill;
    cel_status status;
    memset(out, 0, sizeof *out);
    memset(&found, 0, sizeof found);
    if (hops < 1) return CEL_ERR_ARG;
    status = cel_csr_symmetrise(a, &s);
    if (status) return status;
    seen = (int32_t *)celi_alloc((size_t)s.rows * 2, sizeof *seen);
    queue = seen ? seen + s.rows : NULL;
    if (!seen) status = CEL_ERR_MEMORY;
    for (fill = 0; fill < 2 && !status; fill++) {
        if (fill) {
            status = celi_csr_like(&s, s.rows, s.cols, total, &found);
            memset(seen, 0, (size_t)s.rows * sizeof *seen);
            total = 0;
        }
        for (i = 0; i < s.rows && !status; i++) {
            int64_t from = 0, to = 1;
            int hop;
            queue[0] = (int32_t)i;
            seen[i] = (int32_t)i + 1;
            for (hop = 0; hop < hops && from < to; hop++) {
                int64_t end = to;
                for (q = from; q < end; q++)
                    for (e = s.start[queue[q]]; e < s.start[queue[q] + 1]; e++) {
                        int32_t j = s.index[e];
                        if (seen[j] == (int32_t)i + 1) continue;
                        seen[j] = (int32_t)i + 1;
                        queue[to++] = j;
                    }
                from = end;
            }
            if (fill) {
                for (q = from; q < to; q++) {
                    found.index[total + q - from] = queue[q];
                    found.value[total + q - from] = 1;
                }
                found.start[i + 1] = total + to - from;
            }
            total += to - from;
        }
    }
    celi_free(seen);
    cel_csr_free(&s);
    if (!status) status = cel_csr_transpose(&found, out);
    cel_csr_free(&found);
    return status;
}

/* ======================================================================== */
/* files                                                                    */
/* ======================================================================== */

static cel_status celi_bad(cel_error *err, cel_status status, const char *what, int64_t offset)
{
    return celi_fail(err, status, what, offset, -1, -1);
}

static cel_status celi_no_memory(cel_error *err) { return celi_bad(err, CEL_ERR_MEMORY, "out of memory", -1); }

/* ---- .npy: reading ---- */

static int celi_host_big_endian(void)
{
    static const uint16_t one = 1;
    return *(const unsigned char *)&one == 0;
}

/* An unsigned integer of 1, 2, 4 or 8 bytes at any alignment. */
static uint64_t celi_load(const unsigned char *p, int bytes, int big_endian)
{
    uint64_t v = 0;
    int i;
    for (i = 0; i < bytes; i++) v = v << 8 | p[big_endian ? i : bytes - 1 - i];
    return v;
}

static uint32_t celi_load16(const unsigned char *p) { return (uint32_t)celi_load(p, 2, 0); }
static uint32_t celi_load32(const unsigned char *p) { return (uint32_t)celi_load(p, 4, 0); }

/* The 12 types of numbers: kind and size as in a header, and the name that may stand there instead. */
static const char *const celi_npy_types[12][2] = {
    {"b1", "bool"},   {"i1", "int8"},   {"i2", "int16"},   {"i4", "int32"},   {"i8", "int64"},   {"u1", "uint8"},
    {"u2", "uint16"}, {"u4", "uint32"}, {"u8", "uint64"}, {"f2", "float16"}, {"f4", "float32"}, {"f8", "float64"}};

/* Whether numbers of this kind and size exist. */
static int celi_npy_numeric(const cel_npy *a)
{
    int k;
    for (k = 0; k < 12; k++)
        if (a->kind == celi_npy_types[k][0][0] && a->bytes == celi_npy_types[k][0][1] - '0') return 1;
    return 0;
}

/* Fills a->count. 0 if a length is negative or the array has more bytes than a pointer can span; lengths of
 * zero do not hide an overflow of the others. */
static int celi_npy_count(cel_npy *a)
{
    int64_t total = a->bytes;
    int d, empty = 0;
    if (a->bytes < 1 || a->ndim < 0 || a->ndim > CEL_NPY_DIMS) return 0;
    for (d = 0; d < a->ndim; d++) {
        if (a->shape[d] < 0 || (a->shape[d] && total > PTRDIFF_MAX / a->shape[d])) return 0;
        if (a->shape[d]) total *= a->shape[d];
        else empty = 1;
    }
    a->count = empty ? 0 : total / a->bytes;
    return 1;
}

/* A place in a header, which is a Python literal that ends at `end`. */
typedef struct celi_cursor {
    const unsigned char *p;
    size_t at, end;
    cel_error *err;
} celi_cursor;

/* What is wrong at the place. */
static cel_status celi_wrong(const celi_cursor *c, cel_status status, const char *what)
{
    return celi_bad(c->err, status, what, (int64_t)c->at);
}

/* The next character after white space, or 0 at the end. */
static int celi_peek(celi_cursor *c)
{
    while (c->at < c->end && memchr(" \t\r\n\f", c->p[c->at], 5)) c->at++;
    return c->at < c->end ? c->p[c->at] : 0;
}

/* Skips white space, and the text if it is next; whether it was. */
static int celi_accept(celi_cursor *c, const char *text)
{
    size_t n = strlen(text);
    (void)celi_peek(c);
    if (n > c->end - c->at || memcmp(c->p + c->at, text, n) != 0) return 0;
    c->at += n;
    return 1;
}

/* A string in either kind of quotes. Escapes stay as they are: no key and no type has any. */
static int celi_string(celi_cursor *c, const char **s, size_t *length)
{
    int quote = celi_peek(c);
    const char *end;
    if (quote != '\'' && quote != '"') return 0;
    *s = (const char *)c->p + c->at + 1;
    end = (const char *)memchr(*s, quote, c->end - c->at - 1);
    if (!end) return 0;
    *length = (size_t)(end - *s);
    c->at += *length + 2;
    return 1;
}

/* Whether a piece of a text is this word. */
static int celi_same(const char *s, size_t length, const char *word)
{
    return length == strlen(word) && memcmp(s, word, length) == 0;
}

/* An integer >= 0 as NumPy writes it: decimal without leading zeros, in files of Python 2 with an L behind;
 * hexadecimal (0x) occurs in the wild. 0 if it is none or exceeds INT64_MAX. */
static int celi_integer(celi_cursor *c, int64_t *out)
{
    int base = celi_accept(c, "0x") ? 16 : 10, digits = 0;
    int64_t v = 0;
    for (; c->at < c->end; c->at++, digits++) {
        int next = c->p[c->at], lower = next | 32;
        int digit = next >= '0' && next <= '9' ? next - '0' : lower >= 'a' && lower <= 'f' ? lower - 'a' + 10 : 16;
        if (digit >= base) break;
        if ((base == 10 && digits && !v) || v > (INT64_MAX - digit) / base) return 0;
        v = v * base + digit;
    }
    if (c->at < c->end && c->p[c->at] == 'L') c->at++;
    *out = v;
    return digits > 0;
}

/* A tuple of lengths. */
static cel_status celi_shape(celi_cursor *c, cel_npy *a)
{
    int comma = 1;
    a->ndim = 0;
    if (!celi_accept(c, "(")) return celi_wrong(c, CEL_ERR_FORMAT, "the shape is not a tuple");
    while (!celi_accept(c, ")")) {
        if (!comma) return celi_wrong(c, CEL_ERR_FORMAT, "the shape is malformed");
        if (a->ndim == CEL_NPY_DIMS) return celi_wrong(c, CEL_ERR_FORMAT, "the array has more than 32 dimensions");
        if (!celi_integer(c, a->shape + a->ndim))
            return celi_wrong(c, CEL_ERR_FORMAT, "a length in the shape is negative, too big or not an integer");
        a->ndim++;
        comma = celi_accept(c, ",");
    }
    return a->ndim == 1 && !comma ? celi_wrong(c, CEL_ERR_FORMAT, "the shape is not a tuple") : CEL_OK;
}

/* The type: an optional byte order and a code, or a name. */
static cel_status celi_descr(celi_cursor *c, cel_npy *a)
{
    const celi_cursor start = *c;
    const char *s, *code;
    size_t length, n, i;
    int64_t width = 0;
    int k;
    if (celi_peek(c) == '[' || celi_peek(c) == '(') return celi_wrong(c, CEL_ERR_UNSUPPORTED, "an array of structures");
    if (!celi_string(c, &s, &length)) return celi_wrong(c, CEL_ERR_FORMAT, "descr is not a string");
    k = length && memchr("<>=|", s[0], 4);
    code = s + k;
    n = length - (size_t)k;
    a->big_endian = k && (s[0] == '<' || s[0] == '>') ? s[0] == '>' : celi_host_big_endian();
    for (k = 0; k < 12; k++)
        if (celi_same(code, n, celi_npy_types[k][0]) || celi_same(s, length, celi_npy_types[k][1])) {
            a->kind = celi_npy_types[k][0][0];
            a->bytes = celi_npy_types[k][0][1] - '0';
            return CEL_OK;
        }
    for (i = 1; i < n && width < INT_MAX / 20 && code[i] >= '0' && code[i] <= '9'; i++)
        width = 10 * width + code[i] - '0';
    if (i == n && width && code[0] == 'S') {
        a->kind = 'S';
        a->bytes = (int)width;
        return CEL_OK;
    }
    if (n && (memchr("aSUVOcMm", code[0], 8) || (n > 2 && code[0] == 'f' && code[1] >= '0' && code[1] <= '9')))
        return celi_wrong(&start, CEL_ERR_UNSUPPORTED,
                          "elements that are neither bool, integer, real of at most 8 bytes nor bytes of text");
    return celi_wrong(&start, CEL_ERR_FORMAT, "descr is not a type");
}

/* The header's dictionary, up to the end. Python keeps the last of repeated keys, and so does this: a key's value is
 * read again, and `seen` (descr 1, fortran_order 2, shape 4) only says which were there. */
static cel_status celi_header(celi_cursor *c, cel_npy *a)
{
    const char *s;
    size_t length;
    int seen = 0, comma = 1;
    cel_status status = CEL_OK;
    if (!celi_accept(c, "{")) return celi_wrong(c, CEL_ERR_FORMAT, "the header is not a dictionary");
    while (!celi_accept(c, "}")) {
        if (!comma || !celi_string(c, &s, &length) || !celi_accept(c, ":"))
            return celi_wrong(c, CEL_ERR_FORMAT, "the header's dictionary is malformed");
        if (celi_same(s, length, "descr")) {
            status = celi_descr(c, a);
            seen |= 1;
        } else if (celi_same(s, length, "fortran_order")) {
            a->fortran = celi_accept(c, "True");
            if (!a->fortran && !celi_accept(c, "False"))
                return celi_wrong(c, CEL_ERR_FORMAT, "fortran_order is neither True nor False");
            seen |= 2;
        } else if (celi_same(s, length, "shape")) {
            status = celi_shape(c, a);
            seen |= 4;
        } else {
            return celi_wrong(c, CEL_ERR_FORMAT, "the header has an unknown key");
        }
        if (status) return status;
        comma = celi_accept(c, ",");
    }
    if (seen != 7) return celi_wrong(c, CEL_ERR_FORMAT, "the header lacks descr, fortran_order or shape");
    (void)celi_peek(c);
    return c->at < c->end ? celi_wrong(c, CEL_ERR_FORMAT, "the header goes on after its dictionary") : CEL_OK;
}

CEL_API_DEF cel_status cel_npy_parse(const void *bytes, size_t size, cel_npy *out, cel_error *err)
{
    static const unsigned char magic[6] = {0x93, 'N', 'U', 'M', 'P', 'Y'};
    const unsigned char *p = (const unsigned char *)bytes;
    size_t field = size >= 8 && p[6] > 1 ? 4 : 2; /* bytes of the header's length */
    celi_cursor c;
    cel_npy a = CEL_ZERO;
    cel_status status;
    memset(out, 0, sizeof *out);
    c.p = p;
    c.err = err;
    for (c.at = 0; c.at < 6 && c.at < size; c.at++)
        if (p[c.at] != magic[c.at])
            return celi_wrong(&c, CEL_ERR_FORMAT, size > 3 && memcmp(p, "PK\3\4", 4) == 0
                                                      ? "an .npz archive, not an .npy file" : "not an .npy file");
    if (size >= 8 && (p[6] < 1 || p[6] > 3 || p[7] != 0))
        return celi_wrong(&c, CEL_ERR_FORMAT, "not version 1, 2 or 3 of the .npy format");
    c.at = 8 + field;
    c.end = c.at + (size >= c.at ? (size_t)celi_load(p + 8, (int)field, 0) : 0);
    if (c.end - c.at > 10000) return celi_bad(err, CEL_ERR_FORMAT, "the header is longer than 10,000 bytes", 8);
    if (c.end > size) return celi_bad(err, CEL_ERR_FORMAT, "the file ends inside its header", (int64_t)size);
    status = celi_header(&c, &a);
    if (status) return status;
    if (!celi_npy_count(&a)) return celi_wrong(&c, CEL_ERR_FORMAT, "the shape is too big");
    /* '\r' before this, '\n' here: every number would be a byte off */
    if (c.end < size && p[c.end - 1] == '\r' && p[c.end] == '\n')
        return celi_wrong(&c, CEL_ERR_FORMAT, "the file's line ends were converted on its way: transfer it as binary");
    a.trailing = (int64_t)(size - c.end) - a.count * a.bytes;
    if (a.trailing < 0)
        return celi_bad(err, CEL_ERR_FORMAT, "the data are shorter than the shape says", (int64_t)size);
    a.data = p + c.end;
    a.offset = (int64_t)c.end;
    *out = a;
    return CEL_OK;
}

/* Whether the elements lie in memory as an array of cel_real, aligned or not. An array of one dimension is in both
 * orders, whatever its header says. */
static int celi_npy_is_real(const cel_npy *a)
{
    return a->kind == 'f' && a->bytes == (int)sizeof(cel_real) && a->big_endian == celi_host_big_endian() &&
           (!a->fortran || a->ndim < 2);
}

/* The value of the bits of a float of 2, 4 or 8 bytes (IEEE 754). */
static double celi_float(uint64_t bits, int bytes)
{
    int exponent = (int)(bits >> 10 & 31), mantissa = (int)(bits & 1023);
    uint32_t word = (uint32_t)bits;
    float single;
    double v;
    if (bytes == 8) {
        memcpy(&v, &bits, sizeof v);
    } else if (bytes == 4) {
        memcpy(&single, &word, sizeof single);
        v = (double)single;
    } else {
        v = exponent == 31 ? (mantissa ? (double)NAN : (double)INFINITY)
                           : ldexp(mantissa + (exponent ? 1024 : 0), (exponent ? exponent : 1) - 25);
        if (bits >> 15) v = -v;
    }
    return v;
}

/* The elements in C order into `real` or, for integers, into `integer`. Returns the number converted:
 * less than count where an unsigned value does not fit an int64. */
static int64_t celi_npy_convert(const cel_npy *a, cel_real *real, int64_t *integer)
{
    const unsigned char *data = (const unsigned char *)a->data;
    const uint64_t sign = (uint64_t)1 << (8 * a->bytes - 1);
    int64_t stride[CEL_NPY_DIMS], index[CEL_NPY_DIMS], i, at = 0, step = a->bytes;
    int d;
    for (d = 0; d < a->ndim; d++) {
        int k = a->fortran ? d : a->ndim - 1 - d;
        index[k] = 0;
        stride[k] = step;
        step *= a->shape[k];
    }
    for (i = 0; i < a->count; i++) {
        uint64_t bits = celi_load(data + at, a->bytes, a->big_endian);
        if (a->kind == 'f') {
            real[i] = (cel_real)celi_float(bits, a->bytes);
        } else if (a->kind == 'i') {
            int64_t v = (int64_t)((bits ^ sign) - sign);
            if (integer) integer[i] = v;
            else real[i] = (cel_real)v;
        } else {
            if (a->kind == 'b') bits = bits != 0;
            if (integer && bits > (uint64_t)INT64_MAX) return i;
            if (integer) integer[i] = (int64_t)bits;
            else real[i] = (cel_real)bits;
        }
        for (d = a->ndim - 1; d >= 0; d--) { /* the next element: an odometer of the indices */
            at += stride[d];
            if (++index[d] < a->shape[d]) break;
            at -= stride[d] * a->shape[d];
            index[d] = 0;
        }
    }
    return i;
}

CEL_API_DEF cel_status cel_npy_to_real(const cel_npy *a, cel_real *out, cel_error *err)
{
    if (!celi_npy_numeric(a)) return celi_bad(err, CEL_ERR_UNSUPPORTED, "not an array of numbers", a->offset);
    if (!celi_npy_is_real(a)) (void)celi_npy_convert(a, out, NULL);
    else if (a->count) memcpy(out, a->data, (size_t)a->count * sizeof(cel_real));
    return CEL_OK;
}

CEL_API_DEF cel_status cel_npy_to_int64(const cel_npy *a, int64_t *out, cel_error *err)
{
    int64_t done;
    if (!celi_npy_numeric(a) || a->kind == 'f')
        return celi_bad(err, CEL_ERR_UNSUPPORTED, "not an array of integers", a->offset);
    done = celi_npy_convert(a, NULL, out);
    if (done == a->count) return CEL_OK;
    memset(out, 0, (size_t)a->count * sizeof *out);
    return celi_fail(err, CEL_ERR_DATA, "an unsigned integer above 2^63 - 1", a->offset, done, -1);
}

CEL_API_DEF const cel_real *cel_npy_view(const cel_npy *a)
{
    if (!celi_npy_is_real(a) || (uintptr_t)a->data % sizeof(cel_real)) return NULL;
    return (const cel_real *)a->data;
}

CEL_API_DEF cel_npy cel_npy_describe(char kind, int bytes, int ndim, const int64_t *shape, const void *data)
{
    cel_npy a = CEL_ZERO;
    int d;
    a.kind = kind;
    a.bytes = bytes;
    a.big_endian = celi_host_big_endian();
    a.ndim = ndim;
    a.data = data;
    for (d = 0; d < ndim && ndim <= CEL_NPY_DIMS; d++) a.shape[d] = shape[d];
    if (!celi_npy_count(&a)) a.count = -1; /* the writers refuse it */
    return a;
}

/* ---- .npz: a zip archive (PKWARE's APPNOTE) ---- */

/* CRC-32, half a byte at a time. */
static uint32_t celi_crc(uint32_t crc, const void *bytes, size_t n)
{
    static const uint32_t table[16] = {
        0x00000000u, 0x1db71064u, 0x3b6e20c8u, 0x26d930acu, 0x76dc4190u, 0x6b6b51f4u, 0x4db26158u, 0x5005713cu,
        0xedb88320u, 0xf00f9344u, 0xd6d6a3e8u, 0xcb61b38cu, 0x9b64c2b0u, 0x86d3d2d4u, 0xa00ae278u, 0xbdbdf21cu};
    const unsigned char *p = (const unsigned char *)bytes;
    size_t i;
    crc = ~crc;
    for (i = 0; i < n; i++) {
        crc = crc >> 4 ^ table[(crc ^ p[i]) & 15];
        crc = crc >> 4 ^ table[(crc ^ p[i] >> 4) & 15];
    }
    return ~crc;
}

/* What the central directory says of a member. Sizes are repeated before the content itself, but there they may be
 * missing (writers that stream), so that only these are used. */
typedef struct celi_zip_entry {
    const unsigned char *name;
    size_t name_length; /* without ".npy" */
    uint32_t flags, method, crc;
    uint64_t stored, size, local; /* bytes in the archive and unpacked; offset of the local header */
} celi_zip_entry;

/* The directory entry at *at, which moves to the next one; 0, and *at stays, unless it lies before `end`. */
static int celi_zip_next(const unsigned char *p, size_t end, size_t *at, celi_zip_entry *e)
{
    size_t extra, extra_end, next;
    if (end - *at < 46 || celi_load32(p + *at) != 0x02014b50u) return 0;
    p += *at;
    e->flags = celi_load16(p + 8);
    e->method = celi_load16(p + 10);
    e->crc = celi_load32(p + 16);
    e->stored = celi_load32(p + 20);
    e->size = celi_load32(p + 24);
    e->local = celi_load32(p + 42);
    e->name = p + 46;
    e->name_length = celi_load16(p + 28);
    extra = 46 + e->name_length;
    extra_end = extra + celi_load16(p + 30);
    next = extra_end + celi_load16(p + 32);
    if (next > end - *at) return 0;
    while (extra + 4 <= extra_end) {
        size_t field = extra + 4, field_end = field + celi_load16(p + extra + 2);
        if (field_end > extra_end) return 0;
        if (celi_load16(p + extra) == 1) { /* zip64: those of the three that do not fit 32 bits, in this order */
            uint64_t *wide[3] = {&e->size, &e->stored, &e->local};
            int k;
            for (k = 0; k < 3; k++) {
                if (*wide[k] != 0xffffffffu) continue;
                if (field + 8 > field_end) return 0;
                *wide[k] = celi_load(p + field, 8, 0);
                field += 8;
            }
        }
        extra = field_end;
    }
    *at += next;
    if (e->name_length >= 4 && memcmp(e->name + e->name_length - 4, ".npy", 4) == 0) e->name_length -= 4;
    return 1;
}

CEL_API_DEF cel_status cel_npz_parse(const void *bytes, size_t size, cel_npz *out, cel_error *err)
{
    const unsigned char *p = (const unsigned char *)bytes;
    uint64_t count, directory, length, i;
    size_t comment = 0, end, at;
    celi_zip_entry e;
    memset(out, 0, sizeof *out);
    if (size < 4 || memcmp(p, "PK", 2) != 0) return celi_bad(err, CEL_ERR_FORMAT, "not a zip archive", 0);
    /* The end record is the last 22 bytes, but for a comment of at most 65,535. */
    for (; comment <= 65535 && comment + 22 <= size; comment++) {
        end = size - 22 - comment;
        if (celi_load32(p + end) == 0x06054b50u && celi_load16(p + end + 20) == comment) break;
    }
    if (comment > 65535 || comment + 22 > size)
        return celi_bad(err, CEL_ERR_FORMAT, "the archive has no directory: it is cut short", (int64_t)size);
    end = size - 22 - comment;
    count = celi_load16(p + end + 10);
    length = celi_load32(p + end + 12);
    directory = celi_load32(p + end + 16);
    if (end >= 76 && celi_load32(p + end - 20) == 0x07064b50u) { /* zip64: the record is elsewhere, and wider */
        uint64_t wide = celi_load(p + end - 12, 8, 0);
        if (wide > end - 76 || celi_load32(p + wide) != 0x06064b50u)
            return celi_bad(err, CEL_ERR_FORMAT, "the archive's zip64 record is missing", (int64_t)end - 20);
        end = (size_t)wide;
        count = celi_load(p + end + 32, 8, 0);
        length = celi_load(p + end + 40, 8, 0);
        directory = celi_load(p + end + 48, 8, 0);
    }
    if (directory > end || length > end - directory)
        return celi_bad(err, CEL_ERR_FORMAT, "the archive's directory lies outside it", (int64_t)end);
    at = (size_t)directory; /* checked once here, so that later walks need not look whether an entry is whole */
    for (i = 0; i < count; i++)
        if (!celi_zip_next(p, (size_t)(directory + length), &at, &e))
            return celi_bad(err, CEL_ERR_FORMAT, "the archive's directory is malformed", (int64_t)at);
    out->bytes = bytes;
    out->size = size;
    out->count = (int64_t)count;
    out->directory = (int64_t)directory;
    return CEL_OK;
}

CEL_API_DEF size_t cel_npz_name(const cel_npz *z, int64_t i, char *name, size_t capacity)
{
    size_t at = (size_t)z->directory, n = 0;
    celi_zip_entry e;
    e.name_length = 0;
    if (i >= 0 && i < z->count) {
        while (celi_zip_next((const unsigned char *)z->bytes, z->size, &at, &e) && i-- > 0) {}
        n = e.name_length < capacity ? e.name_length : capacity ? capacity - 1 : 0;
    }
    if (n) memcpy(name, e.name, n);
    if (capacity) name[n] = 0;
    return e.name_length;
}

CEL_API_DEF cel_status cel_npz_get(cel_npz *z, const char *name, cel_npy *out, cel_error *err)
{
    const unsigned char *p = (const unsigned char *)z->bytes;
    uint64_t limit = (uint64_t)z->directory, data;
    size_t at = (size_t)z->directory;
    int64_t here, k;
    celi_zip_entry e, found = CEL_ZERO;
    cel_status status;
    memset(out, 0, sizeof *out);
    /* The last of a name counts, as for Python: zip archives are updated by appending. */
    for (k = 0; k < z->count && celi_zip_next(p, z->size, &at, &e); k++)
        if (celi_same((const char *)e.name, e.name_length, name)) found = e;
    e = found;
    if (!e.name) return celi_bad(err, CEL_ERR_ARG, "the archive has no such array", z->directory);
    here = (int64_t)(e.name - p);
    if (e.flags & 1) return celi_bad(err, CEL_ERR_UNSUPPORTED, "an encrypted member", here);
    if (e.method != 0)
        return celi_bad(err, CEL_ERR_UNSUPPORTED,
                         "a compressed member: save it uncompressed, with numpy.savez instead of savez_compressed "
                         "or scipy.sparse.save_npz(..., compressed=False)", here);
    if (limit < 30 || e.local > limit - 30 || celi_load32(p + e.local) != 0x04034b50u)
        return celi_bad(err, CEL_ERR_FORMAT, "a member is not where the directory says", here);
    data = e.local + 30 + celi_load16(p + e.local + 26) + celi_load16(p + e.local + 28);
    if (data > limit || e.size > limit - data || e.size != e.stored)
        return celi_bad(err, CEL_ERR_FORMAT, "a member is not as long as the directory says", here);
    if (celi_crc(0, p + data, (size_t)e.size) != e.crc)
        return celi_bad(err, CEL_ERR_FORMAT, "a member's content does not match its CRC-32", (int64_t)data);
    status = cel_npy_parse(p + data, (size_t)e.size, out, err);
    if (status == CEL_OK) out->offset += (int64_t)data;
    else if (err) err->offset += (int64_t)data;
    return status;
}

/* SciPy's members, in the order in which it writes them. */
static const char *const celi_csr_names[5] = {"indices", "indptr", "format", "shape", "data"};

CEL_API_DEF cel_status cel_npz_to_csr(cel_npz *z, cel_csr *out, cel_error *err)
{
    cel_npy a[5];
    int64_t size[2], *start, *row, *col, count, i, e;
    cel_real *value;
    celi_pool pool = CEL_ZERO;
    cel_status status = CEL_OK;
    int k;
    memset(out, 0, sizeof *out);
    for (k = 0; k < 5 && !status; k++) status = cel_npz_get(z, celi_csr_names[k], a + k, err);
    if (status) return status;
    if (a[2].kind != 'S' || a[2].count != 1 || !celi_same((const char *)a[2].data, (size_t)a[2].bytes, "csr"))
        return celi_bad(err, CEL_ERR_UNSUPPORTED, "a sparse matrix that is not of format csr", a[2].offset);
    if (a[3].count == 2) status = cel_npy_to_int64(a + 3, size, err);
    if (status) return status;
    count = a[0].count;
    if (a[3].count != 2 || size[0] < 0 || size[1] < 0 || size[1] > INT32_MAX || a[1].count - 1 != size[0] ||
        a[4].count != count)
        return celi_bad(err, CEL_ERR_FORMAT, "the lengths of a sparse matrix's arrays do not fit", a[3].offset);
    /* Each count is at most the size of the archive in bytes: no lie about lengths asks for much memory. */
    start = (int64_t *)celi_pool_get(&pool, a[1].count, sizeof *start);
    row = (int64_t *)celi_pool_get(&pool, count, sizeof *row);
    col = (int64_t *)celi_pool_get(&pool, count, sizeof *col);
    value = (cel_real *)celi_pool_get(&pool, count, sizeof *value);
    status = pool.status ? celi_no_memory(err) : cel_npy_to_int64(a + 1, start, err);
    if (!status) status = cel_npy_to_int64(a, col, err);
    if (!status) status = cel_npy_to_real(a + 4, value, err);
    if (!status && (start[0] != 0 || start[size[0]] != count))
        status = celi_bad(err, CEL_ERR_FORMAT, "indptr does not run from 0 to the number of entries", a[1].offset);
    for (i = 0; !status && i < size[0]; i++) {
        if (start[i] > start[i + 1] || start[i + 1] > count)
            status = celi_fail(err, CEL_ERR_FORMAT, "indptr is not ascending", a[1].offset, i, -1);
        for (e = start[i]; !status && e < start[i + 1]; e++) {
            row[e] = i;
            if (col[e] < 0 || col[e] >= size[1])
                status = celi_fail(err, CEL_ERR_FORMAT, "a column is out of range", a[0].offset, i, -1);
        }
    }
    if (!status) status = cel_csr_from_edges(size[0], size[1], count, row, col, value, out, err);
    celi_pool_free(&pool);
    return status;
}

CEL_API_DEF void cel_npz_from_csr(const cel_csr *a, int64_t *shape, cel_npz_member *member)
{
    int64_t count = cel_csr_count(a), starts = a->rows + 1, two = 2;
    int k;
    shape[0] = a->rows;
    shape[1] = a->cols;
    for (k = 0; k < 5; k++) member[k].name = celi_csr_names[k];
    member[0].array = cel_npy_describe('i', 4, 1, &count, a->index);
    member[1].array = cel_npy_describe('i', 8, 1, &starts, a->start);
    member[2].array = cel_npy_describe('S', 3, 0, NULL, "csr");
    member[3].array = cel_npy_describe('i', 8, 1, &two, shape);
    member[4].array = cel_npy_describe('f', (int)sizeof(cel_real), 1, &count, a->value);
}

CEL_API_DEF cel_npz_member cel_npz_text(const char *name, const char *text)
{
    int64_t length = (int64_t)strlen(text);
    cel_npz_member m;
    m.name = name;
    m.array = cel_npy_describe('u', 1, 1, &length, text);
    return m;
}

/* ---- lists of names ---- */

CEL_API_DEF cel_status cel_file_parse_lines(const void *bytes, size_t size, char ***lines, int64_t *count,
                                            cel_error *err)
{
    const char *p = (const char *)bytes;
    size_t n = 0, i;
    char **list, *text, *end;
    *lines = NULL;
    *count = 0;
    if (size >= 3 && memcmp(p, "\xEF\xBB\xBF", 3) == 0) {
        p += 3;
        size -= 3;
    }
    for (i = 0; i < size; i++) {
        if (p[i] == 0) return celi_bad(err, CEL_ERR_FORMAT, "a text with a NUL byte", (int64_t)n + 1);
        n += p[i] == '\n';
    }
    if (size && p[size - 1] != '\n') n++;
    /* the list, a NULL, and behind them a copy of the text */
    list = n > (SIZE_MAX - size) / sizeof *list - 2 ? NULL : (char **)celi_alloc((n + 1) * sizeof *list + size + 1, 1);
    if (!list) return celi_no_memory(err);
    text = (char *)(list + n + 1);
    if (size) memcpy(text, p, size);
    for (i = 0; i < n; i++, text = end + 1) {
        list[i] = text;
        end = strchr(text, '\n');
        if (!end) end = text + strlen(text);
        *end = 0;
        if (end > text && end[-1] == '\r') end[-1] = 0;
    }
    *lines = list;
    *count = (int64_t)n;
    return CEL_OK;
}

CEL_API_DEF cel_status cel_file_join_lines(char *const *lines, int64_t count, char **text, cel_error *err)
{
    size_t size = 1, length;
    int64_t i;
    char *p;
    *text = NULL;
    for (i = 0; i < count; i++) {
        if (strpbrk(lines[i], "\r\n")) return celi_bad(err, CEL_ERR_DATA, "a name with a line end in it", i + 1);
        size += strlen(lines[i]) + 1;
    }
    *text = p = (char *)celi_alloc(size, 1);
    if (!p) return celi_no_memory(err);
    for (i = 0; i < count; i++) {
        length = strlen(lines[i]);
        memcpy(p, lines[i], length);
        p[length] = '\n';
        p += length + 1;
    }
    return CEL_OK;
}

CEL_API_DEF void cel_file_free(void *p) { celi_free(p); }

/* ---- the disk ---- */

#if !defined(CELCOMEN_NO_STDIO)

/* All of a file from its beginning, or of a pipe; closes it. NULL is one that could not be opened. */
static cel_status celi_file_read(FILE *f, cel_file *out, cel_error *err)
{
    size_t capacity, size = 0, n;
    long hint;
    int failed;
    char *p;
    memset(out, 0, sizeof *out);
    if (!f) return celi_bad(err, CEL_ERR_IO, "the file cannot be opened", -1);
    hint = fseek(f, 0, SEEK_END) == 0 ? ftell(f) : -1; /* a pipe has none: then by doubling */
    rewind(f);
    capacity = hint > 0 ? (size_t)hint + 1 : 65536;
    p = (char *)celi_alloc_raw(capacity);
    if (!p) p = (char *)celi_alloc_raw(capacity = 65536); /* a folder claims to be endless */
    while (p && (n = fread(p + size, 1, capacity - size, f)) > 0) {
        size += n;
        if (size == capacity) {
            char *more = capacity <= SIZE_MAX / 2 ? (char *)celi_alloc_raw(2 * capacity) : NULL;
            if (more) memcpy(more, p, size);
            celi_free(p);
            p = more;
            capacity *= 2;
        }
    }
    failed = ferror(f);
    (void)fclose(f);
    if (!p) return celi_no_memory(err);
    out->bytes = p;
    out->size = size;
    if (!failed) return CEL_OK;
    cel_file_close(out);
    return celi_bad(err, CEL_ERR_IO, "the file cannot be read", (int64_t)size);
}

CEL_API_DEF cel_status cel_file_open(const char *path, int map, cel_file *out, cel_error *err)
{
#if CELI_MMAP
    struct stat info;
    /* Its kind is asked before it is opened: what was written to a pipe is lost when that is opened twice. */
    if (map && stat(path, &info) == 0 && S_ISREG(info.st_mode)) {
        void *view = MAP_FAILED;
        int fd = open(path, O_RDONLY);
        if (fd >= 0 && fstat(fd, &info) == 0 && info.st_size > 0 && (uint64_t)info.st_size <= (uint64_t)PTRDIFF_MAX)
            view = mmap(NULL, (size_t)info.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
        if (fd >= 0) (void)close(fd);
        if (view != MAP_FAILED) {
            out->bytes = view;
            out->size = (size_t)info.st_size;
            out->mapped = 1;
            return CEL_OK;
        }
    }
#else
    (void)map;
#endif
    return celi_file_read(fopen(path, "rb"), out, err);
}

CEL_API_DEF void cel_file_close(cel_file *file)
{
    void *p;
    memcpy(&p, &file->bytes, sizeof p); /* drops the const */
#if CELI_MMAP
    if (file->mapped) {
        (void)munmap(p, file->size);
        p = NULL;
    }
#endif
    celi_free(p);
    memset(file, 0, sizeof *file);
}

/* A file being written: bytes so far, and whether one of them could not be. */
typedef struct celi_sink {
    FILE *file;
    uint64_t size;
    int failed;
} celi_sink;

/* What puts an array, an archive of `count` arrays or `count` bytes; CEL_ERR_ARG if they cannot be written as
 * described. */
typedef cel_status (*celi_encoder)(celi_sink *s, const void *what, int64_t count);

static void celi_put(celi_sink *s, const void *bytes, size_t n)
{
    if (n && !s->failed) s->failed = fwrite(bytes, 1, n, s->file) != n;
    s->size += n;
}

/* Little-endian. */
static void celi_put_int(celi_sink *s, uint64_t v, int bytes)
{
    unsigned char b[8];
    int i;
    for (i = 0; i < bytes; i++) b[i] = (unsigned char)(v >> 8 * i & 255);
    celi_put(s, b, (size_t)bytes);
}

static cel_status celi_put_bytes(celi_sink *s, const void *what, int64_t count)
{
    celi_put(s, what, (size_t)count);
    return CEL_OK;
}

/* Writes beside `path`, under a name that nobody else uses, and puts the whole in place. */
static cel_status celi_save(const char *path, celi_encoder put, const void *what, int64_t count, cel_error *err)
{
    size_t n = strlen(path);
    char *temporary = (char *)celi_alloc(n + 7, 1);
    celi_sink s = CEL_ZERO;
    cel_status status;
    int k;
    if (!temporary) return celi_no_memory(err);
    memcpy(temporary, path, n);
    memcpy(temporary + n, ".tmp", 4);
    for (k = 0; k < 100 && !s.file; k++) {
        temporary[n + 4] = (char)('0' + k / 10);
        temporary[n + 5] = (char)('0' + k % 10);
        s.file = fopen(temporary, "wbx");
    }
    if (!s.file) {
        celi_free(temporary);
        return celi_bad(err, CEL_ERR_IO, "no file can be created in that folder", -1);
    }
    status = put(&s, what, count);
    if (fclose(s.file) != 0) s.failed = 1;
#if CELI_MMAP
    /* A name may reach the disk before its content does: wait for the content. Any descriptor of the file will do. */
    if (!status && !s.failed) {
        int fd = open(temporary, O_WRONLY);
        s.failed = fd < 0 || fsync(fd) != 0;
        if (fd >= 0) (void)close(fd);
    }
#endif
    if (status) (void)celi_bad(err, status, "the arrays cannot be written as described", -1);
    else if (s.failed) status = celi_bad(err, CEL_ERR_IO, "the file cannot be written", (int64_t)s.size);
#if defined(_WIN32)
    if (!status) (void)remove(path); /* rename does not replace there */
#endif
    if (!status && rename(temporary, path) != 0)
        status = celi_bad(err, CEL_ERR_IO, "the file cannot be put in place", -1);
    if (status) (void)remove(temporary);
    celi_free(temporary);
    return status;
}

CEL_API_DEF cel_status cel_file_write(const char *path, const void *bytes, size_t size, cel_error *err)
{
    return celi_save(path, celi_put_bytes, bytes, (int64_t)size, err);
}

/* The file's one array of `low` to two dimensions, with nothing after it; closes f. Close `file` in any case. */
static cel_status celi_npy_open(FILE *f, int low, cel_file *file, cel_npy *a, cel_error *err)
{
    cel_status status = celi_file_read(f, file, err);
    if (status == CEL_OK) status = cel_npy_parse(file->bytes, file->size, a, err);
    if (status) return status;
    if (a->trailing)
        return celi_bad(err, CEL_ERR_FORMAT, "the file goes on after its data", a->offset + a->count * a->bytes);
    if (a->ndim >= low && a->ndim <= 2) return CEL_OK;
    return celi_bad(err, CEL_ERR_SHAPE, low == 2 ? "the array has not two dimensions"
                                                : "the array has neither one dimension nor two", a->offset);
}

/* 1 if the elements of a file's one matrix need no conversion: then f stands before them. */
static int celi_npy_is_direct(FILE *f, cel_npy *a)
{
    char head[10240]; /* more than any header */
    long size = f && fseek(f, 0, SEEK_END) == 0 ? ftell(f) : -1;
    size_t n;
    if (size <= 0) return 0; /* a pipe, too */
    rewind(f);
    n = fread(head, 1, sizeof head, f);
    return (n == sizeof head || n == (size_t)size) && cel_npy_parse(head, (size_t)size, a, NULL) == CEL_OK &&
           celi_npy_is_real(a) && a->ndim == 2 && !a->trailing && fseek(f, (long)a->offset, SEEK_SET) == 0;
}

CEL_API_DEF cel_status cel_npy_matrix(const char *path, cel_mat *out, cel_error *err)
{
    FILE *f = fopen(path, "rb");
    cel_file file = CEL_ZERO;
    cel_npy a;
    int direct = celi_npy_is_direct(f, &a);
    cel_status status = CEL_OK;
    memset(out, 0, sizeof *out);
    if (!direct) status = celi_npy_open(f, 2, &file, &a, err);
    if (!status) {
        status = cel_mat_new(a.shape[0], a.shape[1], out);
        if (status) (void)celi_no_memory(err);
        else if (!direct) status = cel_npy_to_real(&a, out->data, err);
        else if (fread(out->data, sizeof(cel_real), (size_t)a.count, f) != (size_t)a.count)
            status = celi_bad(err, CEL_ERR_IO, "the file cannot be read", a.offset);
    }
    if (status) cel_mat_free(out);
    if (direct) (void)fclose(f);
    cel_file_close(&file);
    return status;
}

CEL_API_DEF cel_status cel_npy_integers(const char *path, int64_t **data, int64_t *rows, int64_t *cols, cel_error *err)
{
    cel_file file;
    cel_npy a;
    cel_status status = celi_npy_open(fopen(path, "rb"), 1, &file, &a, err);
    *data = NULL;
    *rows = *cols = 0;
    if (!status) {
        *data = (int64_t *)celi_alloc((size_t)a.count, sizeof **data);
        status = *data ? cel_npy_to_int64(&a, *data, err) : celi_no_memory(err);
    }
    if (!status) {
        *rows = a.shape[0];
        *cols = a.ndim == 2 ? a.shape[1] : 1;
    } else {
        celi_free(*data);
        *data = NULL;
    }
    cel_file_close(&file);
    return status;
}

CEL_API_DEF cel_status cel_npz_csr(const char *path, cel_csr *out, cel_error *err)
{
    cel_file file;
    cel_npz z;
    cel_status status = cel_file_open(path, 0, &file, err);
    memset(out, 0, sizeof *out);
    if (!status) status = cel_npz_parse(file.bytes, file.size, &z, err);
    if (!status) status = cel_npz_to_csr(&z, out, err);
    cel_file_close(&file);
    return status;
}

CEL_API_DEF cel_status cel_file_lines(const char *path, char ***lines, int64_t *count, cel_error *err)
{
    cel_file file;
    cel_status status = cel_file_open(path, 0, &file, err);
    *lines = NULL;
    *count = 0;
    if (!status) status = cel_file_parse_lines(file.bytes, file.size, lines, count, err);
    cel_file_close(&file);
    return status;
}

/* Texts in a header, which is long enough. */
static size_t celi_add(unsigned char *header, size_t at, const char *text)
{
    size_t n = strlen(text);
    memcpy(header + at, text, n);
    return at + n;
}

static size_t celi_add_decimal(unsigned char *header, size_t at, int64_t v)
{
    char digit[21] = "";
    int i = 20;
    do digit[--i] = (char)('0' + v % 10);
    while ((v /= 10) > 0);
    return celi_add(header, at, digit + i);
}

/* The header of an array's .npy file of version 1, at most 1024 bytes: 32 lengths of at most 21 characters, and 60
 * around them. Its data are 64-byte aligned. Returns its length, 0 if the description is none that can be written. */
static size_t celi_npy_header(const cel_npy *a, unsigned char *header)
{
    cel_npy copy = *a;
    char type[3] = "";
    size_t n = 10;
    int d;
    if (!celi_npy_count(&copy) || copy.count != a->count || (a->count && !a->data)) return 0;
    if (!celi_npy_numeric(a) && a->kind != 'S') return 0;
    type[0] = a->bytes == 1 || a->kind == 'S' ? '|' : a->big_endian ? '>' : '<';
    type[1] = a->kind;
    n = celi_add(header, n, "{'descr': '");
    n = celi_add(header, n, type);
    n = celi_add_decimal(header, n, a->bytes);
    n = celi_add(header, n, "', 'fortran_order': ");
    n = celi_add(header, n, a->fortran ? "True, 'shape': (" : "False, 'shape': (");
    for (d = 0; d < a->ndim; d++) {
        n = celi_add_decimal(header, n, a->shape[d]);
        n = celi_add(header, n, d + 1 < a->ndim ? ", " : a->ndim == 1 ? "," : "");
    }
    n = celi_add(header, n, "), }");
    while (n % 64 != 63) n = celi_add(header, n, " ");
    n = celi_add(header, n, "\n");
    memcpy(header, "\x93NUMPY\1", 8);
    header[8] = (unsigned char)((n - 10) & 255);
    header[9] = (unsigned char)((n - 10) >> 8);
    return n;
}

static cel_status celi_put_npy(celi_sink *s, const void *what, int64_t count)
{
    const cel_npy *a = (const cel_npy *)what;
    unsigned char header[1024];
    size_t n = celi_npy_header(a, header);
    (void)count;
    if (!n) return CEL_ERR_ARG;
    celi_put(s, header, n);
    celi_put(s, a->data, (size_t)a->count * (size_t)a->bytes);
    return CEL_OK;
}

CEL_API_DEF cel_status cel_npy_write(const char *path, const cel_npy *a, cel_error *err)
{
    return celi_save(path, celi_put_npy, a, 1, err);
}

CEL_API_DEF cel_status cel_npy_write_matrix(const char *path, cel_mat a, cel_error *err)
{
    int64_t shape[2];
    cel_mat copy = CEL_ZERO;
    cel_npy described;
    cel_status status;
    shape[0] = a.rows;
    shape[1] = a.cols;
    if (a.stride != a.cols && a.rows > 1) { /* a window: its rows must be brought together */
        if (cel_mat_new(a.rows, a.cols, &copy)) return celi_no_memory(err);
        (void)cel_mat_copy(a, copy);
        a = copy;
    }
    described = cel_npy_describe('f', (int)sizeof(cel_real), 2, shape, a.data);
    status = cel_npy_write(path, &described, err);
    cel_mat_free(&copy);
    return status;
}

/* An archive is its members, each behind a local header, then the directory, then the end record. What both headers
 * say is put by one function, so that they agree; the CRC-32 comes before the content, which is read twice for it.
 *
 * A member with its local header or, with the offset of that, its entry in the directory. Returns the length of
 * the former, or 0 if the member cannot be written. */
static uint64_t celi_put_member(celi_sink *s, const cel_npz_member *m, int64_t local)
{
    unsigned char header[1024];
    const size_t name = strlen(m->name), head = celi_npy_header(&m->array, header);
    const uint64_t data = head ? (uint64_t)m->array.count * (uint64_t)m->array.bytes : 0, size = head + data;
    if (name > 60000 || !head || size > 0xffffffffu) return 0;
    celi_put(s, local < 0 ? "PK\3\4" : "PK\1\2\24", local < 0 ? 4 : 6); /* by, and for, version 2.0 */
    celi_put_int(s, 0x08000014, 4); /* the name is UTF-8 */
    celi_put_int(s, 0, 2);          /* stored */
    celi_put_int(s, 0x00210000, 4); /* 1 January 1980, 0:00: the same input gives the same bytes */
    celi_put_int(s, celi_crc(celi_crc(0, header, head), m->array.data, (size_t)data), 4);
    celi_put_int(s, size, 4);
    celi_put_int(s, size, 4);
    celi_put_int(s, name + 4, 4); /* no extra field */
    if (local >= 0) {
        celi_put_int(s, 0, 6); /* no comment, disk 0, binary */
        celi_put_int(s, 0, 4); /* no attributes */
        celi_put_int(s, (uint64_t)local, 4);
    }
    celi_put(s, m->name, name);
    celi_put(s, ".npy", 4);
    if (local < 0) (void)celi_put_npy(s, &m->array, 1);
    return 30 + name + 4 + size;
}

static cel_status celi_put_npz(celi_sink *s, const void *what, int64_t count)
{
    const cel_npz_member *member = (const cel_npz_member *)what;
    uint64_t directory = 0, length, at = 0;
    int64_t i;
    if (count < 0 || count >= 0xffff) return CEL_ERR_ARG;
    for (i = 0; i < count; i++) {
        length = celi_put_member(s, member + i, -1);
        directory += length;
        if (!length || directory >= 0xffffffffu) return CEL_ERR_ARG;
    }
    for (i = 0; i < count; i++) at += celi_put_member(s, member + i, (int64_t)at);
    length = s->size - directory;
    celi_put(s, "PK\5\6\0\0\0", 8);
    celi_put_int(s, (uint64_t)count, 2);
    celi_put_int(s, (uint64_t)count, 2);
    celi_put_int(s, length, 4);
    celi_put_int(s, directory, 4);
    celi_put_int(s, 0, 2);
    return CEL_OK;
}

CEL_API_DEF cel_status cel_npz_write(const char *path, const cel_npz_member *member, int64_t count, cel_error *err)
{
    return celi_save(path, celi_put_npz, member, count, err);
}

#endif

/* ======================================================================== */
/* tissue                                                                   */
/* ======================================================================== */

/* The first value, row by row, that is not finite or, where wanted, negative. */
static cel_status celi_scan(cel_mat x, int negative, const char *what, cel_error *err)
{
    const double low = negative ? -DBL_MAX : 0;
    int64_t i, j, first = x.rows;
    CELI_OMP(omp parallel for schedule(static) reduction(min : first) if (x.rows * x.cols > CELI_FORK))
    for (i = 0; i < x.rows; i++) {
        const cel_real *row = x.data + i * x.stride;
        int64_t c;
        int good = 1;
        for (c = 0; c < x.cols; c++) good &= (double)row[c] >= low && (double)row[c] <= DBL_MAX;
        if (!good && i < first) first = i;
    }
    if (first == x.rows) return CEL_OK;
    for (j = 0; j + 1 < x.cols; j++) {
        double v = (double)x.data[first * x.stride + j];
        if (!(v >= low && v <= DBL_MAX)) break;
    }
    return celi_fail(err, CEL_ERR_DATA, what, -1, first, j);
}

CEL_API_DEF cel_status cel_slide_scale(cel_mat x, const cel_slide_options *options, cel_error *err)
{
    double target = options ? options->target_sum : 0;
    int no_log = options ? options->no_log : 0;
    int64_t i;
    cel_status status = celi_scan(x, 0, "a count is negative or not finite", err);
    if (status) return status;
    if (!(target > 0 || target < 0)) target = 1e4;
    CELI_OMP(omp parallel for schedule(static) if (x.rows * x.cols > CELI_FORK))
    for (i = 0; i < x.rows; i++) {
        cel_real *row = x.data + i * x.stride;
        double total = 0, scale;
        int64_t j;
        for (j = 0; j < x.cols; j++) total += (double)row[j];
        scale = target > 0 && total > 0 ? target / total : 1;
        for (j = 0; j < x.cols; j++)
            if (row[j] > 0) {
                double v = (double)row[j] * scale;
                row[j] = (cel_real)(no_log ? v : log1p(v));
            }
    }
    return CEL_OK;
}

CEL_API_DEF cel_status cel_slide_unit(cel_mat x, uint8_t *keep, int64_t *zeros, cel_error *err)
{
    int64_t i, none = 0, first = x.rows;
    cel_status status;
    if (zeros) *zeros = 0;
    if (keep) memset(keep, 0, (size_t)x.rows);
    status = celi_scan(x, 1, "an expression value is not finite", err);
    if (status) return status;
    CELI_OMP(omp parallel for reduction(+ : none) reduction(min : first) if (x.rows * x.cols > CELI_FORK))
    for (i = 0; i < x.rows; i++) {
        cel_real *row = x.data + i * x.stride;
        double length = cel_vec_nrm2(x.cols, row);
        int64_t j;
        if (keep) keep[i] = length > 0;
        if (length > 0) {
            for (j = 0; j < x.cols; j++) row[j] = (cel_real)((double)row[j] / length);
        } else {
            none++;
            if (i < first) first = i;
        }
    }
    if (zeros) *zeros = none;
    if (none && !zeros && !keep) return celi_fail(err, CEL_ERR_DATA, "a cell has no expression", -1, first, -1);
    return CEL_OK;
}

CEL_API_DEF int64_t cel_slide_keep(const uint8_t *keep, int64_t count, void *items, size_t size)
{
    unsigned char *p = (unsigned char *)items;
    int64_t i, to = 0;
    for (i = 0; i < count; i++) {
        if (!keep[i]) continue;
        if (to != i) memcpy(p + (size_t)to * size, p + (size_t)i * size, size);
        to++;
    }
    return to;
}

/* A cell's place, or any key, with its number. */
typedef struct celi_point {
    double p[3];
    int32_t cell;
} celi_point;

/* Ascending in one coordinate, ties by cell. */
static int celi_before(const celi_point *a, const celi_point *b, int dim)
{
    if (a->p[dim] < b->p[dim]) return 1;
    if (a->p[dim] > b->p[dim]) return 0;
    return a->cell < b->cell;
}

/* Quickselect: afterwards the points [low, middle) come before those of [middle, high). The pivots are
 * pseudo-random, so that no usual order of points is slow. */
static void celi_select(celi_point *point, int64_t low, int64_t middle, int64_t high, int dim)
{
    uint64_t state = 1;
    if (middle <= low || middle >= high) return;
    while (high - low > 1) {
        celi_point pivot, swap;
        int64_t i = low, j = high - 1;
        state = state * 6364136223846793005u + 1442695040888963407u;
        pivot = point[low + (int64_t)((state >> 33) % (uint64_t)(high - low))];
        while (i <= j) {
            while (celi_before(&point[i], &pivot, dim)) i++;
            while (celi_before(&pivot, &point[j], dim)) j--;
            if (i > j) break;
            swap = point[i];
            point[i++] = point[j];
            point[j--] = swap;
        }
        if (middle <= j) high = j + 1;
        else if (middle >= i) low = i;
        else return;
    }
}

/* log(1 + mean) and log(variance / mean) of expm1 of columns from..to-1; -infinity for a gene that does not
 * vary. The sums are of differences to the first cell, so that such a gene has a variance of exactly 0. */
static void celi_dispersions(cel_mat x, int64_t from, int64_t to, double *mean, double *dispersion, double *first)
{
    int64_t i, j;
    for (j = from; j < to; j++) {
        first[j] = expm1((double)x.data[j]);
        mean[j] = dispersion[j] = 0;
    }
    for (i = 1; i < x.rows; i++) {
        const cel_real *row = x.data + i * x.stride;
        for (j = from; j < to; j++) {
            double d = (row[j] > 0 ? expm1((double)row[j]) : 0) - first[j];
            mean[j] += d;
            dispersion[j] += d * d;
        }
    }
    for (j = from; j < to; j++) {
        double s = (double)x.rows, d = mean[j] / s, m = first[j] + d;
        double variance = (dispersion[j] - mean[j] * d) / (s - 1);
        if (!(m > 1e-12)) m = 1e-12;
        dispersion[j] = variance > 0 ? log(variance / m) : -HUGE_VAL;
        mean[j] = log1p(m);
    }
}

/* Log dispersions become scores: standardised within 20 bins of the mean, right edges included. */
static void celi_standardise(int64_t genes, const double *mean, double *dispersion)
{
    enum { BINS = 20 };
    double low = mean[0], high = mean[0];
    int64_t j;
    int b, pass;
    for (j = 1; j < genes; j++) {
        if (mean[j] < low) low = mean[j];
        if (mean[j] > high) high = mean[j];
    }
    for (b = 0; b < BINS; b++) {
        double step = (high - low) / (double)BINS, count = 0, sum = 0, square = 0;
        double from = b > 0 ? low + b * step : -HUGE_VAL, to = b < BINS - 1 ? low + (b + 1) * step : HUGE_VAL;
        for (pass = 0; pass < 3; pass++)
            for (j = 0; j < genes; j++) {
                double d = dispersion[j] - (pass ? sum / count : 0);
                if (!(d >= -DBL_MAX) || mean[j] <= from || mean[j] > to) continue;
                if (pass == 0) {
                    sum += d;
                    count++;
                } else if (pass == 1) {
                    square += d * d;
                } else {
                    dispersion[j] = count < 2 ? 1 : square > 0 ? d / sqrt(square / (count - 1)) : 0;
                }
            }
    }
}

CEL_API_DEF cel_status cel_slide_variable(cel_mat x, int64_t top, int32_t *index, double *score, cel_error *err)
{
    int64_t j, strip, strips = (x.cols + 63) / 64;
    double *mean;
    celi_point *gene;
    cel_status status;
    if (top < 1 || top > x.cols || x.cols > INT32_MAX)
        return celi_fail(err, CEL_ERR_ARG, "more variable genes asked than there are, or none", -1, -1, -1);
    memset(index, 0, (size_t)top * sizeof *index);
    if (x.rows < 2) return celi_fail(err, CEL_ERR_ARG, "variable genes need two cells", -1, -1, -1);
    status = celi_scan(x, 0, "a value of log data is negative or not finite", err);
    if (status) return status;
    mean = (double *)celi_alloc((size_t)x.cols * 3, sizeof *mean);
    gene = (celi_point *)celi_alloc((size_t)x.cols, sizeof *gene);
    if (mean && gene) {
        double *dispersion = mean + x.cols;
        CELI_OMP(omp parallel for schedule(static) if (x.rows * x.cols > CELI_FORK))
        for (strip = 0; strip < strips; strip++) {
            int64_t to = strip * 64 + 64 < x.cols ? strip * 64 + 64 : x.cols;
            celi_dispersions(x, strip * 64, to, mean, dispersion, dispersion + x.cols);
        }
        celi_standardise(x.cols, mean, dispersion);
        for (j = 0; j < x.cols; j++) {
            gene[j].p[0] = -dispersion[j];
            gene[j].cell = (int32_t)j;
            if (score) score[j] = dispersion[j];
            mean[j] = 0;
        }
        celi_select(gene, 0, top, x.cols, 0);
        for (j = 0; j < top; j++) mean[gene[j].cell] = 1;
        for (j = 0; j < x.cols; j++)
            if (mean[j] > 0) *index++ = (int32_t)j;
    } else {
        status = celi_fail(err, CEL_ERR_MEMORY, "variable genes", -1, -1, -1);
    }
    celi_free(mean);
    celi_free(gene);
    return status;
}

CEL_API_DEF cel_status cel_slide_columns(cel_mat *x, const int32_t *index, int64_t count)
{
    int64_t i, j, stride = x->stride == x->cols ? count : x->stride;
    for (j = 0; j < count; j++)
        if (index[j] < 0 || index[j] >= x->cols || (j && index[j] <= index[j - 1])) return CEL_ERR_ARG;
    for (i = 0; i < x->rows; i++)
        for (j = 0; j < count; j++) x->data[i * stride + j] = x->data[i * x->stride + index[j]];
    x->cols = count;
    x->stride = stride;
    return CEL_OK;
}

/* cel_slide_groups without its checks, of cells in the order of a walk (NULL: their own): cells of negative label are
 * left out; label NULL is one group. */
static void celi_group(const int32_t *label, const int32_t *walk, int64_t count, int64_t groups, int64_t *start,
                       int32_t *list)
{
    int64_t i;
    memset(start, 0, (size_t)(groups + 1) * sizeof *start);
    for (i = 0; i < count; i++)
        if (!label || label[i] >= 0) start[label ? label[i] + 1 : 1]++;
    celi_csr_offsets(groups, start);
    for (i = 0; i < count; i++) {
        int32_t cell = walk ? walk[i] : (int32_t)i;
        if (!label || label[cell] >= 0) list[start[label ? label[cell] : 0]++] = cell;
    }
    celi_csr_rewind(groups, start);
}

CEL_API_DEF cel_status cel_slide_groups(const int32_t *label, int64_t count, int64_t groups, int64_t *start,
                                        int32_t *list, cel_error *err)
{
    int64_t i;
    if (groups < 0 || count < 0 || count > INT32_MAX)
        return celi_fail(err, CEL_ERR_ARG, "the number of groups or cells is out of range", -1, -1, -1);
    memset(start, 0, (size_t)(groups + 1) * sizeof *start);
    for (i = 0; i < count; i++)
        if (label[i] < 0 || label[i] >= groups)
            return celi_fail(err, CEL_ERR_ARG, "a label is out of range", -1, i, -1);
    celi_group(label, NULL, count, groups, start, list);
    return CEL_OK;
}

/* A balanced k-d tree over the points of one slide. Node j of level d holds the points
 * [count j >> d, count (j + 1) >> d) and is box[2^d - 1 + j]; the leaves are level `depth`. Boxes are tight
 * and know their lowest cell, which decides ties without visiting crowds of equal distance. */
typedef struct celi_box {
    double low[3], high[3];
    int32_t first;
} celi_box;

typedef struct celi_tree {
    celi_point *point;
    celi_box *box;
    int64_t count;
    int depth;
} celi_tree;

/* The places of all cells, sorted by slide: those of slide g are point[start[g] .. start[g+1]-1]. tree (slides)
 * and box are there where they were asked for. */
typedef struct celi_slides {
    celi_point *point;
    int64_t *start;
    int64_t slides;
    celi_tree *tree;
    celi_box *box;
} celi_slides;

static void celi_slides_free(celi_slides *s)
{
    celi_free(s->point);
    celi_free(s->start);
    celi_free(s->tree);
    celi_free(s->box);
    memset(s, 0, sizeof *s);
}

enum { CELI_LEAF = 16 };

static int celi_tree_depth(int64_t count)
{
    int depth = 0;
    while ((count - 1) >> depth >= CELI_LEAF) depth++;
    return depth;
}

/* Gives a graph the walk through its slides' trees, unless it is small or most neighbours are stored near each other
 * already. */
static cel_status celi_slides_walk(const celi_slides *s, cel_csr *graph)
{
    enum { FEW = 16384, NEAR = 4096 };
    int64_t i, e, far = 0;
    for (i = 0; i < graph->rows; i++)
        for (e = graph->start[i]; e < graph->start[i + 1]; e++)
            far += graph->index[e] > i + NEAR || graph->index[e] < i - NEAR;
    if (graph->rows < FEW || far <= cel_csr_count(graph) / 4) return CEL_OK;
    graph->order = (int32_t *)celi_alloc_raw((size_t)graph->rows * sizeof *graph->order);
    for (i = 0; graph->order && i < graph->rows; i++) graph->order[i] = s->point[i].cell;
    return graph->order ? CEL_OK : CEL_ERR_MEMORY;
}

static int64_t celi_tree_from(const celi_tree *t, int level, int64_t j) { return t->count * j >> level; }
static celi_box *celi_tree_box(const celi_tree *t, int level, int64_t j)
{
    return t->box + ((int64_t)1 << level) - 1 + j;
}

static void celi_tree_node(celi_tree *t, int level, int64_t j)
{
    int64_t i, from = celi_tree_from(t, level, j), to = celi_tree_from(t, level, j + 1);
    celi_box *box = celi_tree_box(t, level, j);
    int d, widest = 0;
    for (d = 0; d < 3; d++) box->low[d] = box->high[d] = from < to ? t->point[from].p[d] : 0;
    box->first = INT32_MAX;
    for (i = from; i < to; i++) {
        const celi_point *p = t->point + i;
        for (d = 0; d < 3; d++) {
            if (p->p[d] < box->low[d]) box->low[d] = p->p[d];
            if (p->p[d] > box->high[d]) box->high[d] = p->p[d];
        }
        if (p->cell < box->first) box->first = p->cell;
    }
    for (d = 1; d < 3; d++)
        if (box->high[d] - box->low[d] > box->high[widest] - box->low[widest]) widest = d;
    if (level < t->depth) celi_select(t->point, from, celi_tree_from(t, level + 1, 2 * j + 1), to, widest);
}

/* Builds a tree for every slide, level by level; the points of a slide end in the order of its leaves. */
static cel_status celi_slides_trees(celi_slides *s)
{
    int64_t g, j, boxes = 0;
    int level;
    for (g = 0; g < s->slides; g++) boxes += (int64_t)2 << celi_tree_depth(s->start[g + 1] - s->start[g]);
    s->tree = (celi_tree *)celi_alloc((size_t)s->slides, sizeof *s->tree);
    s->box = (celi_box *)celi_alloc((size_t)boxes, sizeof *s->box);
    if (!s->tree || !s->box) return CEL_ERR_MEMORY;
    for (boxes = 0, g = 0; g < s->slides; g++) {
        celi_tree *t = s->tree + g;
        t->point = s->point + s->start[g];
        t->box = s->box + boxes;
        t->count = s->start[g + 1] - s->start[g];
        t->depth = celi_tree_depth(t->count);
        boxes += (int64_t)2 << t->depth;
        for (level = 0; level <= t->depth; level++) {
            int64_t nodes = (int64_t)1 << level;
            CELI_OMP(omp parallel for schedule(static) if (t->count > 4096))
            for (j = 0; j < nodes; j++) celi_tree_node(t, level, j);
        }
    }
    return CEL_OK;
}

/* Ends with its trees where asked; all-zero after a failure. */
static cel_status celi_slides_new(cel_mat coords, const int32_t *slide, int trees, celi_slides *out, cel_error *err)
{
    int64_t i, j, cells = coords.rows;
    int32_t *list;
    cel_status status;
    memset(out, 0, sizeof *out);
    if (coords.cols < 2 || coords.cols > 3)
        return celi_fail(err, CEL_ERR_SHAPE, "coordinates need 2 or 3 columns", -1, -1, -1);
    if (cells > INT32_MAX) return celi_fail(err, CEL_ERR_ARG, "too many cells", -1, -1, -1);
    status = celi_scan(coords, 1, "a coordinate is not finite", err);
    if (status) return status;
    out->slides = 1;
    for (i = 0; slide && i < cells; i++) {
        if (slide[i] < 0 || slide[i] >= cells)
            return celi_fail(err, CEL_ERR_DATA, "a slide label is out of range", -1, i, -1);
        if (slide[i] >= out->slides) out->slides = slide[i] + 1;
    }
    out->point = (celi_point *)celi_alloc((size_t)cells, sizeof *out->point);
    out->start = (int64_t *)celi_alloc((size_t)out->slides + 1, sizeof *out->start);
    list = (int32_t *)celi_alloc((size_t)cells, sizeof *list);
    if (!out->point || !out->start || !list) status = CEL_ERR_MEMORY;
    if (!status) celi_group(slide, NULL, cells, out->slides, out->start, list);
    for (i = 0; !status && i < cells; i++) {
        out->point[i].cell = list[i];
        for (j = 0; j < coords.cols; j++) out->point[i].p[j] = (double)coords.data[list[i] * coords.stride + j];
    }
    celi_free(list);
    if (!status && trees) status = celi_slides_trees(out);
    if (!status) return CEL_OK;
    celi_slides_free(out);
    return celi_fail(err, status, "a neighbour graph", -1, -1, -1);
}

/* The squared distance between the nearest places of two boxes, low[..] to high[..]; a point is a box of its
 * own. Never above that of two points in them: every step is monotone in floating point as well. */
static double celi_gap(const double *low, const double *high, const double *low2, const double *high2)
{
    double sum[3];
    int c;
    for (c = 0; c < 3; c++) {
        double below = low[c] - high2[c], above = low2[c] - high[c], d = below > above ? below : above;
        sum[c] = d > 0 ? d * d : 0;
    }
    return sum[0] + sum[1] + sum[2];
}

static double celi_box_far(const celi_box *box, const double *p)
{
    double d[3];
    int c;
    for (c = 0; c < 3; c++) {
        double below = p[c] - box->low[c], above = box->high[c] - p[c];
        d[c] = below > above ? below : above;
    }
    return d[0] * d[0] + d[1] * d[1] + d[2] * d[2];
}

static double celi_distance2(const double *p, const double *q)
{
    double a = p[0] - q[0], b = p[1] - q[1], c = p[2] - q[2];
    return a * a + b * b + c * c;
}

static void celi_sort_cells(int32_t *cell, int64_t count)
{
    int64_t gap, i, j;
    for (gap = count > 8 ? count * 5 / 11 : 1; gap > 0; gap = gap == 2 ? 1 : gap * 5 / 11)
        for (i = gap; i < count; i++) {
            int32_t v = cell[i];
            for (j = i; j >= gap && cell[j - gap] > v; j -= gap) cell[j] = cell[j - gap];
            cell[j] = v;
        }
}

/* A cell at a squared distance. The k best so far are a heap with the worst on top, filled at first with
 * places that anything beats. */
typedef struct celi_found {
    double distance;
    int32_t cell;
} celi_found;

static celi_found celi_find(double distance, int32_t cell)
{
    celi_found f;
    f.distance = distance;
    f.cell = cell;
    return f;
}

static int celi_worse(celi_found a, celi_found b)
{
    if (a.distance > b.distance) return 1;
    if (a.distance < b.distance) return 0;
    return a.cell > b.cell;
}

static void celi_replace_top(celi_found *heap, int64_t k, celi_found by)
{
    int64_t at = 0, child;
    while ((child = 2 * at + 1) < k) {
        if (child + 1 < k && celi_worse(heap[child + 1], heap[child])) child++;
        if (!celi_worse(heap[child], by)) break;
        heap[at] = heap[child];
        at = child;
    }
    heap[at] = by;
}

/* The cells of one leaf search together, so that they share the way through the tree: points from..to-1 with
 * a heap of k each; bound is the worst of the heaps' tops. */
typedef struct celi_search {
    const celi_tree *tree;
    const celi_box *own;
    int64_t from, to, k;
    celi_found *heap, bound;
} celi_search;

/* The best that a box may hold for the leaf. */
static celi_found celi_search_best(const celi_search *s, const celi_box *box)
{
    return celi_find(celi_gap(box->low, box->high, s->own->low, s->own->high), box->first);
}

static void celi_search_leaf(celi_search *s, const celi_box *box, int64_t from, int64_t to)
{
    celi_found *heap = s->heap;
    int64_t i, q;
    s->bound = celi_find(-1, 0);
    for (q = s->from; q < s->to; q++, heap += s->k) {
        const celi_point *p = s->tree->point + q;
        if (celi_worse(*heap, celi_find(celi_gap(box->low, box->high, p->p, p->p), box->first)))
            for (i = from; i < to; i++) {
                const celi_point *other = s->tree->point + i;
                celi_found f = celi_find(celi_distance2(p->p, other->p), other->cell);
                if (!(f.distance > heap->distance) && i != q && celi_worse(*heap, f)) celi_replace_top(heap, s->k, f);
            }
        if (celi_worse(*heap, s->bound)) s->bound = *heap;
    }
}

static void celi_search_node(celi_search *s, int level, int64_t j)
{
    const celi_tree *t = s->tree;
    celi_found best[2];
    int turn, c;
    if (level == t->depth) {
        celi_search_leaf(s, celi_tree_box(t, level, j), celi_tree_from(t, level, j), celi_tree_from(t, level, j + 1));
        return;
    }
    for (c = 0; c < 2; c++) best[c] = celi_search_best(s, celi_tree_box(t, level + 1, 2 * j + c));
    for (turn = 0, c = celi_worse(best[0], best[1]); turn < 2; turn++, c = !c)
        if (celi_worse(s->bound, best[c])) celi_search_node(s, level + 1, 2 * j + c);
}

/* The k nearest of every point of a leaf, from the leaf upwards: each ancestor's other half. */
static void celi_nearest_leaf(const celi_tree *t, int64_t leaf, celi_found *heap, int64_t k, cel_csr *out)
{
    celi_search s;
    int64_t i, n, j = leaf;
    int level;
    s.tree = t;
    s.own = celi_tree_box(t, t->depth, leaf);
    s.from = celi_tree_from(t, t->depth, leaf);
    s.to = celi_tree_from(t, t->depth, leaf + 1);
    s.k = k;
    s.heap = heap;
    for (n = 0; n < k * (s.to - s.from); n++) heap[n] = celi_find(HUGE_VAL, INT32_MAX);
    celi_search_node(&s, t->depth, leaf);
    for (level = t->depth; level > 0; level--, j >>= 1) {
        celi_found best = celi_search_best(&s, celi_tree_box(t, level, j ^ 1));
        if (celi_worse(s.bound, best)) celi_search_node(&s, level, j ^ 1);
    }
    for (i = s.from; i < s.to; i++, heap += k) {
        int32_t *index = out->index + out->start[t->point[i].cell];
        for (n = 0; n < k; n++) index[n] = heap[n].cell;
        celi_sort_cells(index, k);
    }
}

/* Counts the points at inner2 <= d^2 < outer2 below a node, d > 0, and writes their cells unless NULL. */
static int64_t celi_within(const celi_tree *t, int level, int64_t j, const double *p, double inner2, double outer2,
                           int32_t *out)
{
    int64_t i, n = 0, to = celi_tree_from(t, level, j + 1);
    const celi_box *box = celi_tree_box(t, level, j);
    double reach = celi_box_far(box, p);
    if (!(celi_gap(box->low, box->high, p, p) < outer2) || reach < inner2 || !(reach > 0)) return 0;
    if (level < t->depth) {
        n = celi_within(t, level + 1, 2 * j, p, inner2, outer2, out);
        return n + celi_within(t, level + 1, 2 * j + 1, p, inner2, outer2, out ? out + n : NULL);
    }
    for (i = celi_tree_from(t, level, j); i < to; i++) {
        double d = celi_distance2(p, t->point[i].p);
        if (!(d > 0 && d >= inner2 && d < outer2)) continue;
        if (out) out[n] = t->point[i].cell;
        n++;
    }
    return n;
}

CEL_API_DEF cel_status cel_graph_knn(cel_mat coords, const int32_t *slide, int64_t k, int fewer, cel_csr *out,
                                     cel_error *err)
{
    enum { CHUNKS = 64 };
    celi_slides s;
    celi_found *heap = NULL;
    int64_t g, i, chunk, count = 0, most = 0;
    cel_status status;
    memset(out, 0, sizeof *out);
    if (k < 1) return celi_fail(err, CEL_ERR_ARG, "k must be at least 1", -1, -1, -1);
    status = celi_slides_new(coords, slide, 1, &s, err);
    if (status) return status;
    for (g = 0; g < s.slides; g++) {
        int64_t n = s.tree[g].count, degree = celi_min(k, n - 1);
        if (n > 0 && degree < k && !fewer)
            status = celi_fail(err, CEL_ERR_DATA, "a slide has no more than k cells", -1, s.tree[g].box->first, -1);
        if (status) goto done;
        if (n > 0) count += n * degree;
        if (degree > most) most = degree;
    }
    heap = (celi_found *)celi_alloc((size_t)most * CHUNKS * CELI_LEAF, sizeof *heap);
    status = heap ? celi_csr_new(coords.rows, coords.rows, count, out) : CEL_ERR_MEMORY;
    if (status) {
        celi_fail(err, status, "a neighbour graph", -1, -1, -1);
        goto done;
    }
    for (g = 0; g < s.slides; g++)
        for (i = s.start[g]; i < s.start[g + 1]; i++)
            out->start[s.point[i].cell + 1] = celi_min(k, s.tree[g].count - 1);
    celi_csr_offsets(out->rows, out->start);
    for (g = 0; g < s.slides; g++) {
        const celi_tree *t = s.tree + g;
        CELI_OMP(omp parallel for schedule(dynamic) if (t->count > 4096))
        for (chunk = 0; chunk < CHUNKS; chunk++) {
            int64_t leaf, to = ((int64_t)1 << t->depth) * (chunk + 1) / CHUNKS;
            for (leaf = ((int64_t)1 << t->depth) * chunk / CHUNKS; leaf < to && t->count > 1; leaf++)
                celi_nearest_leaf(t, leaf, heap + most * chunk * CELI_LEAF, celi_min(k, t->count - 1), out);
        }
    }
    for (i = 0; i < count; i++) out->value[i] = 1;
    status = celi_slides_walk(&s, out);
    if (status) {
        cel_csr_free(out);
        celi_fail(err, status, "a neighbour graph", -1, -1, -1);
    }
done:
    celi_free(heap);
    celi_slides_free(&s);
    return status;
}

CEL_API_DEF cel_status cel_graph_radius(cel_mat coords, const int32_t *slide, double inner, double outer, cel_csr *out,
                                        cel_error *err)
{
    celi_slides s;
    cel_csr a;
    int64_t g, i;
    int fill;
    cel_status status;
    memset(out, 0, sizeof *out);
    memset(&a, 0, sizeof a);
    if (!(inner >= 0 && inner < outer))
        return celi_fail(err, CEL_ERR_ARG, "a radius graph needs 0 <= inner < outer", -1, -1, -1);
    status = celi_slides_new(coords, slide, 1, &s, err);
    if (!status) status = celi_csr_new(coords.rows, coords.rows, 0, &a);
    for (fill = 0; fill < 2 && !status; fill++) {
        if (fill) {
            celi_csr_offsets(a.rows, a.start);
            status = celi_csr_new(a.rows, a.rows, a.start[a.rows], out);
            if (status) break;
            memcpy(out->start, a.start, (size_t)(a.rows + 1) * sizeof *a.start);
        }
        for (g = 0; g < s.slides; g++) {
            const celi_tree *t = s.tree + g;
            CELI_OMP(omp parallel for schedule(dynamic, 256) if (t->count > 4096))
            for (i = 0; i < t->count; i++) {
                int32_t cell = t->point[i].cell, *to = fill ? out->index + out->start[cell] : NULL;
                int64_t n = celi_within(t, 0, 0, t->point[i].p, inner * inner, outer * outer, to);
                if (fill) celi_sort_cells(to, n);
                else a.start[cell + 1] = n;
            }
        }
    }
    for (i = 0; !status && i < out->start[out->rows]; i++) out->value[i] = 1;
    if (!status) status = celi_slides_walk(&s, out);
    if (status) cel_csr_free(out);
    if (status == CEL_ERR_MEMORY) celi_fail(err, status, "a neighbour graph", -1, -1, -1);
    cel_csr_free(&a);
    celi_slides_free(&s);
    return status;
}

CEL_API_DEF cel_status cel_graph_order(cel_mat coords, const int32_t *slide, int32_t *order, cel_error *err)
{
    celi_slides s;
    int64_t i;
    cel_status status = celi_slides_new(coords, slide, 1, &s, err);
    for (i = 0; i < coords.rows; i++) order[i] = status ? 0 : s.point[i].cell;
    celi_slides_free(&s);
    return status;
}

CEL_API_DEF cel_status cel_graph_hex_coords(int64_t nx, int64_t ny, cel_mat coords)
{
    int64_t i, j;
    if (nx < 0 || ny < 0 || coords.rows != nx * ny || coords.cols != 2) return CEL_ERR_SHAPE;
    for (i = 0; i < ny; i++)
        for (j = 0; j < nx; j++) {
            cel_real *p = coords.data + (i * nx + j) * coords.stride;
            p[0] = (cel_real)((double)j + (i % 2 ? 0 : 0.5));
            p[1] = (cel_real)((double)i * sqrt(1.25));
        }
    return CEL_OK;
}

CEL_API_DEF cel_status cel_graph_types(const cel_csr *graph, const int32_t *type, int32_t a, int32_t b, cel_csr *out)
{
    int64_t i, e, n = 0;
    cel_status status;
    memset(out, 0, sizeof *out);
    if (graph->rows != graph->cols) return CEL_ERR_SHAPE;
    for (i = 0; i < graph->rows; i++)
        for (e = graph->start[i]; type[i] == a && e < graph->start[i + 1]; e++) n += type[graph->index[e]] == b;
    status = celi_csr_like(graph, graph->rows, graph->cols, n, out);
    for (n = 0, i = 0; !status && i < graph->rows; i++) {
        for (e = graph->start[i]; type[i] == a && e < graph->start[i + 1]; e++) {
            if (type[graph->index[e]] != b) continue;
            out->index[n] = graph->index[e];
            out->value[n++] = graph->value[e];
        }
        out->start[i + 1] = n;
    }
    return status;
}

CEL_API_DEF cel_status cel_graph_make(cel_mat coords, const int32_t *slide, const cel_graph_options *options,
                                      cel_csr *out, cel_error *err)
{
    cel_graph_options o = CEL_ZERO;
    if (options) o = *options;
    if (o.radius > 0 && !o.k) return cel_graph_radius(coords, slide, o.inner, o.radius, out, err);
    memset(out, 0, sizeof *out);
    if (o.k < 0 || o.inner > 0 || o.radius > 0 || o.radius < 0)
        return celi_fail(err, CEL_ERR_ARG, "a graph of nearest cells or of a radius, not both", -1, -1, -1);
    return cel_graph_knn(coords, slide, o.k ? o.k : 6, 1, out, err);
}

CEL_API_DEF cel_status cel_slide_tiles(cel_mat coords, const int32_t *slide, int64_t per_side, int32_t *tile,
                                       int64_t *tiles, cel_error *err)
{
    celi_slides s;
    int64_t g, i, a, b, made = 0;
    cel_status status;
    *tiles = 0;
    memset(tile, 0, (size_t)coords.rows * sizeof *tile);
    if (per_side < 1 || per_side > 46340) return celi_fail(err, CEL_ERR_ARG, "tiles per side", -1, -1, -1);
    status = celi_slides_new(coords, slide, 0, &s, err);
    for (g = 0; !status && g < s.slides; g++) {
        celi_point *p = s.point + s.start[g];
        int64_t n = s.start[g + 1] - s.start[g], side = per_side;
        while (side > 1 && side * side > n) side--;
        if (n == 0) continue;
        for (a = 0; a < side; a++) {
            int64_t from = n * a / side, to = n * (a + 1) / side;
            celi_select(p, from, to, n, 0);
            for (b = 0; b < side; b++) {
                int64_t low = from + (to - from) * b / side, high = from + (to - from) * (b + 1) / side;
                celi_select(p, low, high, to, 1);
                for (i = low; i < high; i++) tile[p[i].cell] = (int32_t)(made + a * side + b);
            }
        }
        made += side * side;
    }
    if (!status) *tiles = made;
    celi_slides_free(&s);
    return status;
}

/* ======================================================================== */
/* model                                                                    */
/* ======================================================================== */

/* The one place that looks at what a relation is made of. */
static cel_status celi_relation_check(const cel_csr *w, int64_t cells, cel_error *err)
{
    int64_t i, e;
    if (w->rows != cells || w->cols != cells || (cells > 0 && !w->start))
        return celi_fail(err, CEL_ERR_SHAPE, "a relation has not as many rows and columns as there are cells", -1, -1, -1);
    for (i = 0; i < cells; i++) {
        if (w->start[0] != 0 || w->start[i + 1] < w->start[i])
            return celi_fail(err, CEL_ERR_DATA, "a relation's rows are out of order", -1, i, -1);
        for (e = w->start[i]; e < w->start[i + 1]; e++) {
            if (w->index[e] < 0 || w->index[e] >= cells || (e > w->start[i] && w->index[e] <= w->index[e - 1]))
                return celi_fail(err, CEL_ERR_DATA, "a relation's columns do not ascend or are out of range", e, i, -1);
            if (w->index[e] == i) return celi_fail(err, CEL_ERR_DATA, "a cell is its own neighbour", e, i, -1);
            if (!(fabs((double)w->value[e]) <= DBL_MAX))
                return celi_fail(err, CEL_ERR_DATA, "a relation's weight is not a number", e, i, -1);
        }
    }
    return CEL_OK;
}

/* Points the relations at their matrices, which may have moved. */
static void celi_relations_point(cel_relations *r)
{
    int64_t k;
    for (k = 1; k < r->count; k++) {
        r->at[k].w = r->owned + 2 * k;
        r->at[k].wt = r->owned[2 * k + 1].start ? r->owned + 2 * k + 1 : NULL;
    }
}

/* Room for one more relation, under a copy of its name; its matrices are empty. */
static cel_status celi_relations_grow(cel_relations *r, const char *name)
{
    size_t had = (size_t)r->count, length = strlen(name) + 1;
    cel_relation *at = (cel_relation *)celi_alloc(had + 1, sizeof *at);
    char **names = (char **)celi_alloc(had + 1, sizeof *names), *copy = (char *)celi_alloc(length, 1);
    cel_csr *owned = (cel_csr *)celi_alloc(had + 1, 2 * sizeof *owned);
    if (!at || !names || !copy || !owned) {
        celi_free(at);
        celi_free(names);
        celi_free(copy);
        celi_free(owned);
        return CEL_ERR_MEMORY;
    }
    if (had) {
        memcpy(names, r->name, had * sizeof *names);
        memcpy(owned, r->owned, had * 2 * sizeof *owned);
    }
    memcpy(copy, name, length);
    names[had] = copy;
    celi_free(r->at);
    celi_free(r->name);
    celi_free(r->owned);
    r->at = at;
    r->name = names;
    r->owned = owned;
    r->count++;
    celi_relations_point(r);
    return CEL_OK;
}

CEL_API_DEF cel_status cel_relations_new(int64_t cells, cel_relations *out)
{
    memset(out, 0, sizeof *out);
    if (cells < 0 || cells > INT32_MAX) return CEL_ERR_ARG;
    out->cells = cells;
    return celi_relations_grow(out, "intra");
}

/* Appends text, or a number where text is NULL, to what `to` holds. */
static void celi_name_add(char *to, const char *text, int64_t number)
{
    char digits[24];
    int d = (int)sizeof digits - 1;
    digits[d] = 0;
    do digits[--d] = (char)('0' + number % 10);
    while ((number /= 10) > 0);
    strcat(to, text ? text : digits + d);
}

/* One relation of `hop` steps (w is taken over), or where there are types one for each pair of them. */
static cel_status celi_relations_hop(cel_relations *r, cel_csr *w, int64_t hop, const cel_relations_options *o,
                                     cel_error *err)
{
    int64_t a, b, types = o->type ? o->types : 1;
    size_t room = 64;
    char *name;
    cel_status status = CEL_OK;
    for (a = 0; a < types && o->type_name; a++)
        if (room < 64 + 2 * strlen(o->type_name[a])) room = 64 + 2 * strlen(o->type_name[a]);
    name = (char *)celi_alloc(room, 1);
    if (!name) status = celi_fail(err, CEL_ERR_MEMORY, "the name of a relation", -1, -1, -1);
    for (a = 0; a < types && !status; a++)
        for (b = a; b < types && !status; b++) {
            cel_csr part = CEL_ZERO;
            strcpy(name, "inter");
            if (hop > 1) celi_name_add(name, "_hop", 0), celi_name_add(name, NULL, hop);
            if (o->type) {
                celi_name_add(name, " ", 0), celi_name_add(name, o->type_name ? o->type_name[a] : NULL, a);
                celi_name_add(name, " | ", 0), celi_name_add(name, o->type_name ? o->type_name[b] : NULL, b);
                status = cel_graph_types(w, o->type, (int32_t)a, (int32_t)b, &part);
                if (status) celi_fail(err, status, "the relation of two types", -1, -1, -1);
            }
            if (!status) status = cel_relations_add(r, name, o->type ? &part : w, err);
        }
    celi_free(name);
    cel_csr_free(w);
    return status;
}

CEL_API_DEF cel_status cel_relations_from_graph(const cel_csr *graph, const cel_relations_options *options,
                                                cel_relations *out, cel_error *err)
{
    cel_relations_options o = CEL_ZERO;
    int64_t hop, i;
    cel_csr w = CEL_ZERO;
    cel_status status;
    memset(out, 0, sizeof *out);
    if (options) o = *options;
    if (!o.hops) o.hops = 1;
    if (o.hops < 0 || o.hops > INT32_MAX || (int)o.weights < 0 || o.weights > CEL_WEIGHTS_ADJACENCY ||
        (o.type && o.types < 1))
        return celi_fail(err, CEL_ERR_ARG, "an option of the relations is out of range", -1, -1, -1);
    for (i = 0; i < graph->rows && o.type; i++)
        if (o.type[i] < 0 || o.type[i] >= o.types)
            return celi_fail(err, CEL_ERR_ARG, "a cell's type is out of range", -1, i, -1);
    status = celi_relation_check(graph, graph->rows, err);
    if (!status) {
        status = cel_relations_new(graph->rows, out);
        if (status) celi_fail(err, status, "the relations of a graph", -1, -1, -1);
    }
    for (hop = 1; hop <= o.hops && !status; hop++) {
        status = hop > 1                               ? cel_csr_hop(graph, (int)hop, &w)
                 : o.weights == CEL_WEIGHTS_MEAN ? cel_csr_symmetrise(graph, &w)
                                                       : cel_csr_transpose(graph, &w);
        if (!status && hop == 1 && o.weights == CEL_WEIGHTS_GCN) status = cel_csr_normalise(&w, CEL_NORM_GCN);
        if (status) celi_fail(err, status, "the relations of a graph", -1, -1, -1);
        if (!status) status = celi_relations_hop(out, &w, hop, &o, err);
        cel_csr_free(&w);
    }
    if (status) cel_relations_free(out);
    return status;
}

CEL_API_DEF cel_status cel_relations_add(cel_relations *r, const char *name, cel_csr *w, cel_error *err)
{
    cel_csr own = *w, wt = CEL_ZERO;
    int64_t k;
    cel_status status = celi_relation_check(&own, r->cells, err);
    memset(w, 0, sizeof *w);
    for (k = 0; k < r->count && !status; k++)
        if (!strcmp(r->name[k], name)) status = celi_fail(err, CEL_ERR_ARG, "two relations of one name", -1, -1, -1);
    if (!status) {
        if (!cel_csr_is_symmetric(&own)) status = cel_csr_transpose(&own, &wt);
        if (!status) status = celi_relations_grow(r, name);
        if (status) celi_fail(err, status, "a relation", -1, -1, -1);
    }
    if (status) {
        cel_csr_free(&own);
        cel_csr_free(&wt);
        return status;
    }
    r->owned[2 * (r->count - 1)] = own;
    r->owned[2 * (r->count - 1) + 1] = wt;
    celi_relations_point(r);
    return CEL_OK;
}

CEL_API_DEF void cel_relations_free(cel_relations *r)
{
    int64_t k;
    for (k = 0; k < r->count; k++) {
        celi_free(r->name[k]);
        cel_csr_free(r->owned + 2 * k);
        cel_csr_free(r->owned + 2 * k + 1);
    }
    celi_free(r->at);
    celi_free(r->name);
    celi_free(r->owned);
    memset(r, 0, sizeof *r);
}

CEL_API_DEF cel_status cel_model_new(int64_t genes, int64_t relations, int with_field, cel_model *out)
{
    cel_status status;
    memset(out, 0, sizeof *out);
    if (genes < 1 || relations < 1) return CEL_ERR_ARG;
    if (relations > INT64_MAX / genes) return CEL_ERR_MEMORY;
    status = cel_mat_new(relations * genes, genes, &out->force);
    if (status) return status;
    out->genes = genes;
    out->relations = relations;
    if (with_field) out->field = (cel_real *)celi_alloc((size_t)genes, sizeof(cel_real));
    if (!with_field || out->field) return CEL_OK;
    cel_model_free(out);
    return CEL_ERR_MEMORY;
}

CEL_API_DEF void cel_model_free(cel_model *m)
{
    cel_mat_free(&m->force);
    celi_free(m->field);
    memset(m, 0, sizeof *m);
}

CEL_API_DEF cel_mat cel_model_force(const cel_model *m, int64_t r)
{
    return cel_mat_block(m->force, r * m->genes, 0, m->genes, m->genes);
}

CEL_API_DEF double cel_model_gauge(cel_model *m)
{
    cel_mat f = cel_model_force(m, 0);
    double c = 0;
    int64_t i;
    for (i = 0; i < m->genes; i++) c += (double)f.data[i * f.stride + i];
    c /= (double)m->genes;
    for (i = 0; i < m->genes; i++) {
        cel_real *d = f.data + i * f.stride + i;
        *d = (cel_real)((double)*d - c);
    }
    return c;
}

/* Rows first .. first + count - 1 of a: a view, to be read only. */
static cel_csr celi_csr_rows(const cel_csr *a, int64_t first, int64_t count)
{
    cel_csr view = *a;
    view.order = NULL;
    view.start += first;
    view.rows = count;
    return view;
}

/* What a set of relations and a model on expression of `cells` rows must agree on; model NULL: any number of forces. */
static cel_status celi_relations_fit(const cel_relations *relations, const cel_model *model, int64_t cells)
{
    return relations->cells == cells && (!model || model->relations == relations->count) ? CEL_OK : CEL_ERR_SHAPE;
}

/* What every function that moves or perturbs a tissue relies on: rows of unit length to 1e-3, on the orthant none
 * with a negative value. */
static CEL_UNUSED cel_status celi_rows_unit(cel_mat x, int orthant, cel_error *err)
{
    int64_t i, j;
    for (i = 0; i < x.rows; i++) {
        const cel_real *row = x.data + i * x.stride;
        if (!(fabs(cel_vec_nrm2(x.cols, row) - 1) <= 1e-3))
            return celi_fail(err, CEL_ERR_DATA, "a row is not of unit length", -1, i, -1);
        for (j = 0; orthant && j < x.cols; j++)
            if (row[j] < 0) return celi_fail(err, CEL_ERR_DATA, "a negative value on the orthant", -1, i, j);
    }
    return CEL_OK;
}

/* Cells at a time in the sums over cells: the scratch stays in cache. */
#define CELI_MODEL_BLOCK 1024

/* <A, B>, every row in double by one thread, rows added in their order; add += B, where it has data. sums (rows
 * of a). */
static double celi_rows_dot(cel_mat a, cel_mat b, double *sums, cel_mat add)
{
    double total = 0;
    int64_t i;
    CELI_OMP(omp parallel for schedule(static) if (a.rows * a.cols > CELI_FORK))
    for (i = 0; i < a.rows; i++) {
        sums[i] = cel_vec_dot(a.cols, a.data + i * a.stride, b.data + i * b.stride);
        if (add.data) cel_vec_axpy(a.cols, 1, b.data + i * b.stride, add.data + i * add.stride);
    }
    for (i = 0; i < a.rows; i++) total += sums[i];
    return total;
}

/* One block of cells of one relation: its share of H, and its part of the gradient (or data NULL), added, or set
 * where t is the gradient. With N = W X and W symmetric, N (F + F^T) is the gradient and half its product with X
 * the energy: one product; `both` holds F + F^T. Else N F^T and (W^T X) F are taken in turn. */
static cel_status celi_model_block(cel_mat force, cel_mat both, const cel_relation *relation, cel_mat x, int64_t first,
                                   cel_mat n, cel_mat t, double *sums, double *share, cel_mat gradient, cel_work *work)
{
    cel_mat here = cel_mat_block(x, first, 0, n.rows, x.cols), side = here, add;
    cel_status status = CEL_OK;
    if (relation->w) {
        cel_csr w = celi_csr_rows(relation->w, first, n.rows);
        status = cel_csr_mul(1, &w, x, 0, n);
        side = n;
    }
    if (!status) status = cel_mat_gemm(0, !both.data, 1, side, both.data ? both : force, 0, t, work);
    if (status) return status;
    add = gradient;
    if (t.data == gradient.data) add.data = NULL;
    *share += (both.data ? 0.5 : 1.0) * celi_rows_dot(here, t, sums, add);
    if (gradient.data && relation->wt) {
        cel_csr wt = celi_csr_rows(relation->wt, first, n.rows);
        status = cel_csr_mul(1, &wt, x, 0, n);
        if (!status) status = cel_mat_gemm(0, 0, 1, n, force, 1, gradient, work);
    }
    return status;
}

CEL_API_DEF cel_status cel_model_energy(const cel_model *m, const cel_relations *relations, cel_mat x, double *h,
                                        double *energy, cel_mat gradient, cel_work *work)
{
    int64_t genes = m->genes, block = x.rows < CELI_MODEL_BLOCK ? x.rows : CELI_MODEL_BLOCK, first, r, i;
    int64_t forces = gradient.data ? m->relations : 0;
    cel_status status = celi_relations_fit(relations, m, x.rows);
    cel_work temporary;
    cel_mat both, scratch, none;
    double *sums, total = 0;
    memset(&temporary, 0, sizeof temporary);
    memset(&none, 0, sizeof none);
    if (!work) work = &temporary;
    if (h) *h = 0;
    if (energy) memset(energy, 0, (size_t)(m->relations + 1) * sizeof *energy);
    if (x.cols != genes || (gradient.data && (gradient.rows != x.rows || gradient.cols != genes)))
        status = CEL_ERR_SHAPE;
    if (status) return status;
    /* Doubles first, then F + F^T of each relation, N and the product of a block. */
    sums = (double *)cel_work_get(work, (size_t)(block + m->relations + 1) * sizeof(double) +
                                            (size_t)((forces * genes + 2 * block) * genes) * sizeof(cel_real));
    if (!sums) return CEL_ERR_MEMORY;
    both = cel_mat_view((cel_real *)(sums + block + m->relations + 1), forces * genes, genes);
    scratch = cel_mat_view(both.data + both.rows * genes, 2 * block, genes);
    for (r = 0; r < forces; r++) {
        cel_mat f = cel_model_force(m, r), b = cel_mat_block(both, r * genes, 0, genes, genes);
        cel_mat_transpose(f, b);
        cel_mat_axpy(1, f, b);
    }
    memset(sums + block, 0, (size_t)(m->relations + 1) * sizeof(double));
    for (first = 0; first < x.rows && !status; first += block) {
        int64_t count = x.rows - first < block ? x.rows - first : block;
        cel_mat n = cel_mat_block(scratch, 0, 0, count, genes), t = cel_mat_block(scratch, block, 0, count, genes);
        cel_mat g = none;
        if (gradient.data) g = cel_mat_block(gradient, first, 0, count, genes);
        for (r = 0; r < m->relations && !status; r++) {
            cel_mat pair = forces && !relations->at[r].wt ? cel_mat_block(both, r * genes, 0, genes, genes) : none;
            status = celi_model_block(cel_model_force(m, r), pair, relations->at + r, x, first, n,
                                      r == 0 && g.data ? g : t, sums, sums + block + r, g, celi_work_inner(work));
        }
        for (i = 0; i < count && m->field; i++) {
            sums[block + m->relations] += cel_vec_dot(genes, m->field, x.data + (first + i) * x.stride);
            if (g.data) cel_vec_axpy(genes, 1, m->field, g.data + i * g.stride);
        }
    }
    for (r = 0; r <= m->relations && !status; r++) {
        total += sums[block + r];
        if (energy) energy[r] = sums[block + r];
    }
    if (h) *h = total;
    if (status && gradient.data) cel_mat_fill(gradient, 0);
    cel_work_free(&temporary);
    return status;
}

/* The polynomials U_1 .. U_6 of the uniform expansion of Bessel functions of large order (DLMF 10.41.10);
 * U_j = p^j (c_0 + c_1 p^2 + .. + c_j p^2j). */
static const double celi_debye[] = {
    3.0 / 24, -5.0 / 24,
    81.0 / 1152, -462.0 / 1152, 385.0 / 1152,
    30375.0 / 414720, -369603.0 / 414720, 765765.0 / 414720, -425425.0 / 414720,
    4465125.0 / 39813120, -94121676.0 / 39813120, 349922430.0 / 39813120, -446185740.0 / 39813120,
    185910725.0 / 39813120,
    1519035525.0 / 6688604160.0, -49286948607.0 / 6688604160.0, 284499769554.0 / 6688604160.0,
    -614135872350.0 / 6688604160.0, 566098157625.0 / 6688604160.0, -188699385875.0 / 6688604160.0,
    2757049477875.0 / 4815794995200.0, -127577298354750.0 / 4815794995200.0, 1050760774457901.0 / 4815794995200.0,
    -3369032068261860.0 / 4815794995200.0, 5104696716244125.0 / 4815794995200.0,
    -3685299006138750.0 / 4815794995200.0, 1023694168371875.0 / 4815794995200.0};

/* U = sum_j U_j(p) / nu^j, returned as U - 1, with d1 = p U', d2 = p^2 U''. */
static double celi_debye_sum(double nu, double p, double *d1, double *d2)
{
    const double *c = celi_debye;
    double u = 0, power = 1;
    int i, j;
    *d1 = *d2 = 0;
    for (j = 1; j <= 6; j++) {
        double term;
        power *= p / nu;
        term = power;
        for (i = 0; i <= j; i++, c++) {
            int degree = j + 2 * i;
            u += *c * term;
            *d1 += *c * term * degree;
            *d2 += *c * term * degree * (degree - 1);
            term *= p * p;
        }
    }
    return u;
}

/* phi_n(k), s = A_n(k) / k and A_n'(k). For orders nu = n/2 - 1 of 40 and more, the uniform expansion
 * (DLMF 10.41.3) and its derivatives, written so that nothing cancels for small or large k:
 *   phi = nu (t - log(1 + t/2)) - log(w)/2 + log U(p) - log U(1),
 *   w = sqrt(1 + (k/nu)^2), t = w - 1, p = 1/w.
 * Smaller n start at n + 2 m and come down by the recurrence of Bessel functions,
 *   s_n = 1 / (n + k^2 s_(n+2)),  phi_n = phi_(n+2) + log(1 + k^2 s_(n+2) / n),
 * which damps the error of s. */
static double celi_sphere(int64_t n, double k, double *s, double *da)
{
    const double least = 40;
    int64_t top = n / 2 - 1 >= (int64_t)least ? n : n + 2 * ((int64_t)least - (n / 2 - 1)), j;
    double nu = (double)top / 2 - 1, z = k / nu, w = sqrt(1 + z * z), t = z * z / (1 + w), p = 1 / w, p2 = p * p;
    double d1, d2, unused1, unused2, u = celi_debye_sum(nu, p, &d1, &d2);
    double u_at_1 = celi_debye_sum(nu, 1, &unused1, &unused2), l1 = d1 / (1 + u), l2 = d2 / (1 + u) - l1 * l1;
    double phi = nu * (t - log1p(t / 2)) - log1p(z * z) / 4 + log1p((u - u_at_1) / (1 + u_at_1));
    *s = (1 / (1 + w) - p2 / nu * (0.5 + l1)) / nu;
    *da = (p / (1 + w) - p2 / nu * (p2 - 0.5 + l1 - (1 - p2) * (3 * l1 + l2))) / nu;
    for (j = top - 2; j >= n; j -= 2) {
        double order = (double)j, below = order + k * k * *s;
        phi += log1p(k * k * *s / order);
        *da = (order - k * k * *da) / (below * below);
        *s = 1 / below;
    }
    return phi;
}

CEL_API_DEF double cel_sphere_phi(int64_t n, double k, double *a, double *da)
{
    double s, slope, phi;
    if (n < 2 || !(k >= 0)) {
        if (a) *a = (double)NAN;
        if (da) *da = (double)NAN;
        return (double)NAN;
    }
    phi = celi_sphere(n, k, &s, &slope);
    if (a) *a = k * s;
    if (da) *da = slope;
    return phi;
}

CEL_API_DEF double cel_sphere_log_area(int64_t n)
{
    return log(2.0) + (double)n / 2 * log(3.141592653589793238463) - lgamma((double)n / 2);
}

CEL_API_DEF cel_status cel_sphere_log_fb(int64_t n, const double *lambda, const double *gamma, double *logc,
                                         double *mean, double *square)
{
    double low, high, tau, least, g_least = 0, g_all = 0, f1 = 0, k2 = 1, k3 = 0, k4 = 0, k5 = 0, logs = 0, lift = 0;
    double t, c2, c3, c4, at_t;
    int64_t j;
    int round;
    *logc = 0;
    if (n < 2) return CEL_ERR_ARG;
    if (mean) memset(mean, 0, (size_t)n * sizeof *mean);
    if (square) memset(square, 0, (size_t)n * sizeof *square);
    least = lambda[0];
    for (j = 0; j < n; j++) {
        if (!(fabs(lambda[j]) <= DBL_MAX) || !(fabs(gamma[j]) <= DBL_MAX)) return CEL_ERR_DATA;
        if (lambda[j] <= least) {
            least = lambda[j];
            g_least = fabs(gamma[j]);
        }
        g_all += gamma[j] * gamma[j];
    }
    /* K'(tau) = sum 1/(2 d) + gamma^2/(4 d^2), d = lambda - least + tau, falls; K' = 1 lies between: */
    low = 0.25 + 0.5 * sqrt(0.25 + g_least * g_least);
    high = (double)n / 4 + 0.5 * sqrt((double)n * (double)n / 4 + g_all);
    tau = low;
    for (round = 0; round < 100; round++) {
        double step;
        f1 = k2 = 0;
        for (j = 0; j < n; j++) {
            double d = 1 / (lambda[j] - least + tau), g = gamma[j] * gamma[j] * d;
            f1 += d * (0.5 + 0.25 * g);
            k2 += d * d * (0.5 + 0.5 * g);
        }
        if (f1 >= 1) low = tau;
        else high = tau;
        /* Newton on 1/K', nearly a straight line; halving when it leaves the bracket. */
        step = (f1 - 1) * f1 / k2;
        t = tau + step;
        if (!(t >= low && t <= high)) t = 0.5 * (low + high);
        step = t - tau;
        tau = t;
        if (fabs(step) <= 1e-15 * tau) break;
    }
    k2 = 0;
    for (j = 0; j < n; j++) {
        double d = 1 / (lambda[j] - least + tau), dd = d * d, g = gamma[j] * gamma[j] * d;
        k2 += dd * (0.5 + 0.5 * g);
        k3 += dd * d * (1 + 1.5 * g);
        k4 += dd * dd * (3 + 6 * g);
        k5 += dd * dd * d * (12 + 30 * g);
        logs += log1p((lambda[j] - least) / tau);
        lift += 0.25 * g;
    }
    t = least - tau;
    *logc = 0.5 * log(2.0) + (double)(n - 1) / 2 * log(3.141592653589793238463) - 0.5 * log(k2) -
            0.5 * ((double)n * log(tau) + logs) + lift - t + k4 / (8 * k2 * k2) - 5 * k3 * k3 / (24 * k2 * k2 * k2);
    /* Derivatives of log c by K2, K3, K4, and by t at fixed lambda and gamma (K' = 1 there). */
    c2 = -0.5 / k2 - k4 / (4 * k2 * k2 * k2) + 5 * k3 * k3 / (8 * k2 * k2 * k2 * k2);
    c3 = -5 * k3 / (12 * k2 * k2 * k2);
    c4 = 1 / (8 * k2 * k2);
    at_t = c2 * k3 + c3 * k4 + c4 * k5;
    for (j = 0; j < n && (mean || square); j++) {
        double d = 1 / (lambda[j] - least + tau), dd = d * d, g = gamma[j] * gamma[j] * d;
        double slope = at_t / k2; /* minus that by K', through t */
        if (mean) mean[j] = gamma[j] * (0.5 * d + dd * (-0.5 * slope + d * (c2 + d * (3 * c3 + d * 12 * c4))));
        if (square)
            square[j] = d * (0.5 + 0.25 * g) - dd * slope * (0.5 + 0.5 * g) +
                        dd * d * (c2 * (1 + 1.5 * g) + d * (c3 * (3 + 6 * g) + d * c4 * (12 + 30 * g)));
    }
    return CEL_OK;
}

/* A_ij and (A m)_i, A = F_0 + (q/2) F_1. */
static double celi_force_at(cel_mat intra, cel_mat inter, double q, int64_t i, int64_t j)
{
    return (double)intra.data[i * intra.stride + j] + q / 2 * (double)inter.data[i * inter.stride + j];
}

static double celi_mean_force(cel_mat intra, cel_mat inter, double q, const double *mean, int64_t i)
{
    double sum = 0;
    int64_t j;
    for (j = 0; j < intra.cols; j++) sum += mean[j] * celi_force_at(intra, inter, q, i, j);
    return sum;
}

CEL_API_DEF cel_status cel_model_logz(const cel_model *m, cel_sphere sphere, double q, int64_t cells,
                                      const double *mean, double *logz, cel_mat d_intra, cel_mat d_inter,
                                      double *d_mean, double *kappa)
{
    int64_t n = m->genes, i, j;
    cel_mat intra, inter;
    double k = 0, ama = 0, s, slope, f, count = (double)cells;
    if (logz) *logz = 0;
    if (kappa) *kappa = 0;
    if (d_mean) memset(d_mean, 0, (size_t)n * sizeof *d_mean);
    if (m->relations != 2 || (d_intra.data && (d_intra.rows != n || d_intra.cols != n)) ||
        (d_inter.data && (d_inter.rows != n || d_inter.cols != n)))
        return CEL_ERR_SHAPE;
    if (cells < 0 || (sphere != CEL_SPHERE_PAPER && (sphere != CEL_SPHERE_RIGHT || n < 2))) return CEL_ERR_ARG;
    intra = cel_model_force(m, 0);
    inter = cel_model_force(m, 1);
    /* M = 2 A: one product serves both. Rows of A m are computed anew in the second pass: nothing to store. */
    for (i = 0; i < n; i++) {
        double a = celi_mean_force(intra, inter, q, mean, i);
        ama += mean[i] * a;
        k += 4 * a * a;
    }
    k = sqrt(k);
    if (!(k <= DBL_MAX)) return CEL_ERR_NUMERIC;
    /* The paper's f is that of three dimensions: log 2 + phi_3. */
    f = sphere == CEL_SPHERE_PAPER ? log(2.0) + celi_sphere(3, k, &s, &slope)
                                   : cel_sphere_log_area(n) + celi_sphere(n, k, &s, &slope);
    if (logz) *logz = count * (f - ama);
    if (kappa) *kappa = k;
    for (i = 0; i < n && (d_mean || d_intra.data || d_inter.data); i++) {
        /* dlog Z / dA_ij = S (2 s u_i - m_i) m_j with u = 2 A m, s = f'(k) / k. */
        double a = celi_mean_force(intra, inter, q, mean, i), by_a = count * (4 * s * a - mean[i]);
        for (j = 0; j < n; j++) {
            if (d_intra.data) d_intra.data[i * d_intra.stride + j] = (cel_real)(by_a * mean[j]);
            if (d_inter.data) d_inter.data[i * d_inter.stride + j] = (cel_real)(by_a * q / 2 * mean[j]);
            if (d_mean) d_mean[j] += by_a * celi_force_at(intra, inter, q, i, j);
        }
        if (d_mean) d_mean[i] -= count * a;
    }
    return CEL_OK;
}

/* ---- the model file ---- */

enum { CELI_MODEL_FORMAT = 1, CELI_MODEL_MEMBERS = 20, CELI_MODEL_NUMBERS = 8 };

#if !defined(CELCOMEN_NO_STDIO)

/* What is written: members, the texts and shapes they point to. */
typedef struct celi_model_writer {
    cel_npz_member member[CELI_MODEL_MEMBERS];
    int64_t shape[CELI_MODEL_MEMBERS][3];
    char *text[CELI_MODEL_MEMBERS];
    int64_t count;
    cel_status status;
    cel_error *err;
} celi_model_writer;

/* Adds `blocks` matrices of (rows / blocks x cols), one after the other, as an array of three dimensions, or of two or
 * one where the leading lengths are 0. */
static void celi_model_put(celi_model_writer *w, const char *name, const void *data, int bytes, int64_t a, int64_t b,
                           int64_t c)
{
    int64_t *shape = w->shape[w->count];
    int dims = a ? 3 : b ? 2 : 1;
    if (!data || w->status) return;
    shape[0] = a ? a : b ? b : c;
    shape[1] = a ? b : c;
    shape[2] = c;
    w->member[w->count].name = name;
    w->member[w->count++].array = cel_npy_describe('f', bytes, dims, shape, data);
}

static void celi_model_put_names(celi_model_writer *w, const char *name, char *const *lines, int64_t count)
{
    char **text = &w->text[w->count];
    if (!lines || w->status) return;
    w->status = cel_file_join_lines(lines, count, text, w->err);
    if (!w->status) w->member[w->count++] = cel_npz_text(name, *text);
}

CEL_API_DEF cel_status cel_model_write(const char *path, const cel_model_record *record, cel_error *err)
{
    static const char *const stacked[] = {"se", "z", "p", "q", "partial"};
    const cel_model *m = &record->model;
    const cel_mat *matrix[5];
    const int real = (int)sizeof(cel_real);
    const int64_t n = m->genes, R = m->relations;
    double number[CELI_MODEL_NUMBERS] = {CELI_MODEL_FORMAT, 0, 0, 0, 0, 0, 0, 0};
    celi_model_writer w = CEL_ZERO;
    int64_t k;
    w.err = err;
    number[1] = (double)record->hops;
    number[2] = (double)record->weights;
    number[3] = (double)record->graph.k;
    number[4] = record->graph.inner;
    number[5] = record->graph.radius;
    celi_model_put(&w, "celcomen_model", number, 8, 0, 0, CELI_MODEL_NUMBERS);
    celi_model_put(&w, "force", m->force.data, real, R, n, n);
    celi_model_put(&w, "field", m->field, real, 0, 0, n);
    celi_model_put(&w, "slide_field", record->slide_field.data, real, 0, record->slide_field.rows, n);
    matrix[0] = &record->se, matrix[1] = &record->z, matrix[2] = &record->p, matrix[3] = &record->q;
    matrix[4] = &record->partial;
    for (k = 0; k < 5; k++) {
        if (matrix[k]->data && (matrix[k]->rows != R * n || matrix[k]->cols != n || matrix[k]->stride != n))
            w.status = celi_fail(err, CEL_ERR_SHAPE, "a record whose matrices do not fit its model", -1, -1, -1);
        celi_model_put(&w, stacked[k], matrix[k]->data, real, R, n, n);
    }
    celi_model_put_names(&w, "genes", record->gene, n);
    celi_model_put_names(&w, "relations", record->relation, R);
    celi_model_put_names(&w, "types", record->type, record->types);
    celi_model_put_names(&w, "slides", record->slide, record->slides);
    w.member[w.count].name = NULL;
    if (record->note && !w.status) w.member[w.count++] = cel_npz_text("note", record->note);
    if (!w.status) w.member[w.count++] = cel_npz_text("version", CELCOMEN_VERSION);
    if (!w.status) w.status = cel_npz_write(path, w.member, w.count, err);
    for (k = 0; k < CELI_MODEL_MEMBERS; k++) cel_file_free(w.text[k]);
    return w.status;
}

/* What is read: the archive, where copies go, and the first failure. */
typedef struct celi_model_reader {
    cel_npz archive;
    celi_pool *pool;
    cel_status status;
    cel_error *err;
} celi_model_reader;

/* Array `name` of the last `dims` of the lengths a, b, c in cel_real (real), or in double. NULL where it is absent. */
static void *celi_model_get(celi_model_reader *r, const char *name, int real, int dims, int64_t a, int64_t b, int64_t c)
{
    int64_t want[3], k;
    size_t bytes = real ? sizeof(cel_real) : sizeof(double);
    cel_npy array;
    void *out;
    want[0] = a, want[1] = b, want[2] = c;
    if (r->status || cel_npz_get(&r->archive, name, &array, NULL) == CEL_ERR_ARG) return NULL;
    r->status = cel_npz_get(&r->archive, name, &array, r->err);
    for (k = 0; k < dims && !r->status; k++)
        if (array.ndim != dims || array.shape[k] != want[3 - dims + k] || array.kind != 'f' ||
            (!real && (array.bytes != 8 || array.big_endian != celi_host_big_endian())))
            r->status = celi_fail(r->err, CEL_ERR_FORMAT, "an array of the model has another shape or type than its "
                                                          "forces ask for", array.offset, -1, -1);
    if (r->status) return NULL;
    out = celi_pool_get(r->pool, array.count, bytes);
    if (!out) r->status = celi_fail(r->err, CEL_ERR_MEMORY, "reading a model", -1, -1, -1);
    else if (real) r->status = cel_npy_to_real(&array, (cel_real *)out, r->err);
    else memcpy(out, array.data, (size_t)array.count * bytes);
    return r->status ? NULL : out;
}

static cel_mat celi_model_get_mat(celi_model_reader *r, const char *name, int64_t relations, int64_t n)
{
    cel_mat a = CEL_ZERO;
    a.data = (cel_real *)celi_model_get(r, name, 1, 3, relations, n, n);
    if (!a.data) return a;
    a.rows = relations * n;
    a.cols = a.stride = n;
    return a;
}

/* The text of member `name`, terminated; NULL where it is absent. */
static char *celi_model_get_text(celi_model_reader *r, const char *name, int64_t *size)
{
    cel_npy array;
    char *out;
    *size = 0;
    if (r->status || cel_npz_get(&r->archive, name, &array, NULL) == CEL_ERR_ARG) return NULL;
    r->status = cel_npz_get(&r->archive, name, &array, r->err);
    if (!r->status && (array.kind != 'u' || array.bytes != 1))
        r->status = celi_fail(r->err, CEL_ERR_FORMAT, "a text of the model is none", array.offset, -1, -1);
    if (r->status) return NULL;
    out = (char *)celi_pool_get(r->pool, array.count + 1, 1);
    if (!out) r->status = celi_fail(r->err, CEL_ERR_MEMORY, "reading a model", -1, -1, -1);
    else if (array.count) memcpy(out, array.data, (size_t)array.count);
    *size = array.count;
    return out;
}

/* The lines of member `name`, *count of them; where count was not negative before, so many are asked for. */
static char **celi_model_get_names(celi_model_reader *r, const char *name, int64_t *count)
{
    int64_t size, lines = 0, k;
    char *text = celi_model_get_text(r, name, &size), **out;
    for (k = 0; text && k < size; k++) lines += text[k] == '\n';
    if (text && *count >= 0 && lines != *count)
        r->status = celi_fail(r->err, CEL_ERR_FORMAT, "the model has more names, or fewer, than what they name", -1, -1,
                              -1);
    *count = lines;
    out = text && !r->status ? (char **)celi_pool_get(r->pool, lines + 1, sizeof *out) : NULL;
    if (!out) return NULL;
    for (k = 0; k < lines; k++) {
        out[k] = text;
        text = strchr(text, '\n');
        *text++ = 0;
    }
    return out;
}

/* Everything of an archive that is a model of n genes and so many relations. */
static void celi_model_load(celi_model_reader *r, int64_t n, int64_t relations, cel_model_record *out)
{
    static const double none[CELI_MODEL_NUMBERS] = {0, 0, 0, 0, 0, 0, 0, 0};
    const double *number = (const double *)celi_model_get(r, "celcomen_model", 0, 1, 0, 0, CELI_MODEL_NUMBERS);
    int64_t size;
    if (!number) number = none;
    if (!r->status && (int64_t)number[0] != CELI_MODEL_FORMAT)
        r->status = celi_fail(r->err, CEL_ERR_UNSUPPORTED, "a model of another format: fit it again, or use the "
                                                           "version that wrote it", -1, -1, -1);
    if (r->status) return;
    out->hops = (int64_t)number[1];
    out->weights = (cel_weights)(int)number[2];
    out->graph.k = (int64_t)number[3];
    out->graph.inner = number[4];
    out->graph.radius = number[5];
    out->model.genes = n;
    out->model.relations = relations;
    out->model.force = celi_model_get_mat(r, "force", relations, n);
    out->model.field = (cel_real *)celi_model_get(r, "field", 1, 1, 0, 0, n);
    out->se = celi_model_get_mat(r, "se", relations, n);
    out->z = celi_model_get_mat(r, "z", relations, n);
    out->p = celi_model_get_mat(r, "p", relations, n);
    out->q = celi_model_get_mat(r, "q", relations, n);
    out->partial = celi_model_get_mat(r, "partial", relations, n);
    out->gene = celi_model_get_names(r, "genes", &n);
    out->relation = celi_model_get_names(r, "relations", &relations);
    out->types = out->slides = -1;
    out->type = celi_model_get_names(r, "types", &out->types);
    out->slide = celi_model_get_names(r, "slides", &out->slides);
    out->note = celi_model_get_text(r, "note", &size);
    out->slide_field.data = (cel_real *)celi_model_get(r, "slide_field", 1, 2, 0, out->slides, out->model.genes);
    if (!out->slide_field.data) return;
    out->slide_field.rows = out->slides;
    out->slide_field.cols = out->slide_field.stride = out->model.genes;
}

CEL_API_DEF cel_status cel_model_read(const char *path, cel_model_record *out, cel_error *err)
{
    celi_model_reader r = CEL_ZERO;
    cel_file file;
    cel_npy force;
    memset(out, 0, sizeof *out);
    r.err = err;
    r.status = cel_file_open(path, 0, &file, err);
    if (r.status) return r.status;
    r.status = cel_npz_parse(file.bytes, file.size, &r.archive, err);
    if (!r.status && (cel_npz_get(&r.archive, "celcomen_model", &force, NULL) ||
                      cel_npz_get(&r.archive, "force", &force, NULL) || force.ndim != 3 || force.shape[0] < 1 || force.shape[1] < 1 || force.shape[1] != force.shape[2]))
        r.status = celi_fail(err, CEL_ERR_FORMAT, "an archive, but not of a model", -1, -1, -1);
    out->owned = r.status ? NULL : celi_alloc(1, sizeof *r.pool);
    r.pool = (celi_pool *)out->owned;
    if (!r.status && !r.pool) r.status = celi_fail(err, CEL_ERR_MEMORY, "reading a model", -1, -1, -1);
    if (!r.status) celi_model_load(&r, force.shape[1], force.shape[0], out);
    if (!r.status && r.pool->status) r.status = celi_fail(err, CEL_ERR_MEMORY, "reading a model", -1, -1, -1);
    cel_file_close(&file);
    if (r.status) cel_model_record_free(out);
    return r.status;
}

#endif

CEL_API_DEF void cel_model_record_free(cel_model_record *record)
{
    if (record->owned) celi_pool_free((celi_pool *)record->owned);
    celi_free(record->owned);
    memset(record, 0, sizeof *record);
}

CEL_API_DEF cel_status cel_model_columns(const cel_model_record *record, char *const *name, int64_t count,
                                         int32_t *column, cel_error *err)
{
    int64_t g, k;
    memset(column, 0, (size_t)record->model.genes * sizeof *column);
    if (!record->gene) return celi_fail(err, CEL_ERR_DATA, "the model has no gene names", -1, -1, -1);
    for (g = 0; g < record->model.genes; g++) {
        int64_t found = -1;
        for (k = 0; k < count; k++) {
            if (strcmp(name[k], record->gene[g])) continue;
            if (found >= 0) return celi_fail(err, CEL_ERR_DATA, "a gene of the model stands twice", -1, -1, g);
            found = k;
        }
        if (found < 0) return celi_fail(err, CEL_ERR_DATA, "a gene of the model is missing", -1, -1, g);
        column[g] = (int32_t)found;
    }
    return CEL_OK;
}

/* ======================================================================== */
/* moments                                                                  */
/* ======================================================================== */

/* The side of the gram matrix. */
static int64_t celi_moments_side(const cel_moments *m) { return m->blocks * m->genes + 1; }

/* Empty moments of relations whose blocks begin where `block` says (relations + 1). */
static cel_status celi_moments_open(int64_t genes, int64_t relations, const int32_t *block, cel_moments *out)
{
    int64_t blocks = block[relations], side;
    memset(out, 0, sizeof *out);
    if (genes < 1 || blocks < 1) return CEL_ERR_ARG;
    if (blocks > INT32_MAX / genes) return CEL_ERR_MEMORY;
    side = blocks * genes + 1;
    out->gram = (double *)celi_alloc((size_t)side * (size_t)side, sizeof(double));
    out->block = (int32_t *)celi_alloc((size_t)relations + 1, sizeof *block);
    if (!out->gram || !out->block) {
        cel_moments_free(out);
        return CEL_ERR_MEMORY;
    }
    memcpy(out->block, block, (size_t)(relations + 1) * sizeof *block);
    out->genes = genes;
    out->relations = relations;
    out->blocks = blocks;
    return CEL_OK;
}

CEL_API_DEF cel_status cel_moments_new(int64_t genes, const cel_relations *relations, cel_moments *out)
{
    int32_t *block = (int32_t *)celi_alloc((size_t)relations->count + 1, sizeof *block);
    int64_t r;
    cel_status status = CEL_ERR_MEMORY;
    memset(out, 0, sizeof *out);
    for (r = 0; r < relations->count && block; r++) block[r + 1] = block[r] + (relations->at[r].wt ? 2 : 1);
    if (block) status = celi_moments_open(genes, relations->count, block, out);
    celi_free(block);
    return status;
}

/* 1 where the moments are of relations like these. */
static int celi_moments_of(const cel_moments *m, const cel_relations *relations)
{
    int64_t r;
    if (m->relations != relations->count) return 0;
    for (r = 0; r < m->relations; r++)
        if (m->block[r + 1] - m->block[r] != (relations->at[r].wt ? 2 : 1)) return 0;
    return 1;
}

/* 1 where both are of the same genes and of relations of the same kinds. */
static int celi_moments_alike(const cel_moments *a, const cel_moments *b)
{
    return a->genes == b->genes && a->relations == b->relations &&
           !memcmp(a->block, b->block, (size_t)(a->relations + 1) * sizeof *a->block);
}

CEL_API_DEF void cel_moments_free(cel_moments *m)
{
    celi_free(m->gram);
    celi_free(m->block);
    memset(m, 0, sizeof *m);
}

/* Rows of B at a time, few enough to stay in cache, and how many such blocks are summed in cel_real before
 * they go to the double sums: enough that this costs little beside the products. The kernels sum 256 terms
 * at a time, so 4096 rows lose less than 1e-5 even where all roundings agree. */
#define CELI_MOMENTS_BLOCK 1024
#define CELI_MOMENTS_FLUSH 4

/* Rows first .. first + count of B into b: of cells list[..], or of all in turn. */
static cel_status celi_moments_rows(const cel_relations *relations, cel_mat x, const int32_t *list,
                                    int64_t first, int64_t count, cel_mat b)
{
    int64_t genes = x.cols, r, side, i, col = genes;
    cel_status status = CEL_OK;
    CELI_OMP(omp parallel for schedule(static) if (count * genes > CELI_FORK))
    for (i = 0; i < count; i++) {
        cel_real *row = b.data + i * b.stride;
        memcpy(row, x.data + (list ? list[first + i] : first + i) * x.stride, (size_t)genes * sizeof(cel_real));
        row[b.cols - 1] = (cel_real)0.5;
    }
    for (r = 0; r < relations->count; r++)
        for (side = 0; side < 2 && !status; side++) {
            const cel_csr *w = side ? relations->at[r].wt : relations->at[r].w;
            cel_mat to = cel_mat_block(b, 0, col, count, genes);
            cel_csr rows;
            if (!w) continue;
            rows = list ? *w : celi_csr_rows(w, first, count);
            status = cel_csr_mul_rows(1, &rows, list ? list + first : NULL, count, x, 0, to);
            col += genes;
        }
    return status;
}

/* The walk of the first relation that has one, or NULL. */
static const int32_t *celi_relation_walk(const cel_relations *relations)
{
    int64_t r;
    for (r = 0; r < relations->count; r++)
        if (relations->at[r].w && relations->at[r].w->order) return relations->at[r].w->order;
    return NULL;
}

/* The lower triangle of product into the gram's. */
static void celi_moments_flush(cel_moments *m, cel_mat product)
{
    int64_t side = celi_moments_side(m), i;
    CELI_OMP(omp parallel for schedule(dynamic, 16) if (side * side > 2 * CELI_FORK))
    for (i = 0; i < product.rows; i++) {
        const cel_real *from = product.data + i * product.stride;
        double *to = m->gram + i * side;
        int64_t j;
        for (j = 0; j <= i; j++) to[j] += (double)from[j];
    }
}

/* The lower triangle of B^T B of cells first .. first + count - 1, block after block in the rows of b. */
static cel_status celi_moments_group(const cel_relations *relations, cel_mat x, const int32_t *list,
                                     int64_t first, int64_t count, cel_mat product, cel_mat b, cel_work *work)
{
    const int64_t block = b.rows;
    int64_t at;
    cel_status status = CEL_OK;
    for (at = 0; at < count && !status; at += block) {
        b.rows = celi_min(block, count - at);
        status = celi_moments_rows(relations, x, list, first + at, b.rows, b);
        if (!status) status = celi_syrk_lower(1, 1, b, at > 0 ? 1 : 0, product, work);
    }
    return status;
}

CEL_API_DEF cel_status cel_moments_add(cel_moments *m, const cel_relations *relations, cel_mat x,
                                       const int32_t *list, int64_t count, cel_work *work)
{
    const int64_t side = celi_moments_side(m), stride = celi_round_up(side, 16);
    const int64_t block = CELI_MOMENTS_BLOCK;
    int64_t first, i, j, lanes = cel_threads(), each = (side + block) * stride, group;
    cel_status status = celi_relations_fit(relations, NULL, x.rows);
    cel_work temporary, *inner;
    cel_real *data;
    if (!list) {
        count = x.rows;
        if (!status) list = celi_relation_walk(relations);
    }
    if (x.cols != m->genes || !celi_moments_of(m, relations)) status = CEL_ERR_SHAPE;
    for (i = 0; i < count && list && !status; i++)
        if (list[i] < 0 || list[i] >= x.rows) status = CEL_ERR_ARG;
    if (status) return status;
    /* Threads take whole groups where there are enough, and their sums are small; else they share each product. */
    group = count < 8 * block * CELI_MOMENTS_FLUSH ? block : block * CELI_MOMENTS_FLUSH;
    if (side > 1024 || count < 2 * lanes * group) lanes = 1;
    memset(&temporary, 0, sizeof temporary);
    if (!work) work = &temporary;
    data = (cel_real *)cel_work_get(work, (size_t)(lanes * each) * sizeof *data);
    for (i = 0, inner = work; i < lanes && data; i++) /* one for the products of each thread, in a chain */
        if ((inner = celi_work_inner(inner)) == NULL) data = NULL;
    if (!data) status = CEL_ERR_MEMORY;
    CELI_OMP(omp parallel for ordered schedule(dynamic) num_threads((int)lanes) if (lanes > 1))
    for (first = 0; first < (data ? count : 0); first += group) {
        const int64_t lane = lanes > 1 ? celi_thread() : 0, cells = celi_min(group, count - first);
        cel_mat product = cel_mat_view(data + lane * each, side, side), b;
        cel_work *own = work->inner;
        cel_status here;
        int64_t t;
        product.stride = stride;
        b = product;
        b.data += side * stride;
        b.rows = block;
        for (t = 0; t < lane; t++) own = own->inner;
        here = celi_moments_group(relations, x, list, first, cells, product, b, own);
        CELI_OMP(omp ordered)
        {
            if (here) status = here;
            if (!status) {
                celi_moments_flush(m, product);
                m->cells += cells;
            }
        }
    }
    for (i = 0; i < side; i++)
        for (j = i + 1; j < side; j++) m->gram[i * side + j] = m->gram[j * side + i];
    cel_work_free(&temporary);
    return status;
}

CEL_API_DEF cel_status cel_moments_add_by_label(cel_moments *m, int64_t labels, const int32_t *label,
                                                const cel_relations *relations, cel_mat x,
                                                cel_work *work)
{
    int64_t i, l, *start;
    int32_t *list;
    cel_work temporary;
    cel_status status = CEL_OK;
    memset(&temporary, 0, sizeof temporary);
    for (l = 0; l < labels; l++)
        if (m[l].genes != x.cols || !celi_moments_of(m + l, relations)) return CEL_ERR_SHAPE;
    for (i = 0; i < x.rows; i++)
        if (label[i] >= labels) return CEL_ERR_ARG;
    if (!work) work = &temporary;
    start = (int64_t *)cel_work_get(work, (size_t)(labels + 1) * sizeof *start + (size_t)x.rows * sizeof *list);
    if (!start) return CEL_ERR_MEMORY;
    list = (int32_t *)(start + labels + 1);
    celi_group(label, celi_relation_walk(relations), x.rows, labels, start, list);
    for (l = 0; l < labels && !status; l++)
        status = cel_moments_add(m + l, relations, x, list + start[l], start[l + 1] - start[l],
                                 celi_work_inner(work));
    cel_work_free(&temporary);
    return status;
}

CEL_API_DEF cel_status cel_moments_sum(cel_moments *into, double scale, const cel_moments *from)
{
    int64_t side = celi_moments_side(into), i;
    if (!celi_moments_alike(into, from)) return CEL_ERR_SHAPE;
    CELI_OMP(omp parallel for schedule(static) if (side * side > CELI_FORK))
    for (i = 0; i < side * side; i++) into->gram[i] += scale * from->gram[i];
    into->cells += (int64_t)floor(scale + 0.5) * from->cells;
    return CEL_OK;
}

CEL_API_DEF void cel_moments_mean(const cel_moments *m, double *mean)
{
    const double *half = m->gram + m->blocks * m->genes * celi_moments_side(m);
    int64_t i;
    for (i = 0; i < m->genes; i++) mean[i] = m->cells > 0 ? 2 * half[i] / (double)m->cells : 0;
}

CEL_API_DEF cel_status cel_moments_cross(const cel_moments *m, int64_t block, double *out)
{
    int64_t i;
    if (block < 0 || block >= m->blocks) return CEL_ERR_ARG;
    for (i = 0; i < m->genes; i++)
        memcpy(out + i * m->genes, m->gram + i * celi_moments_side(m) + block * m->genes,
               (size_t)m->genes * sizeof *out);
    return CEL_OK;
}

/* ======================================================================== */
/* score                                                                    */
/* ======================================================================== */

CEL_API_DEF void cel_score_report_free(cel_score_report *report)
{
    cel_mat_free(&report->se);
    cel_mat_free(&report->z);
    cel_mat_free(&report->p);
    cel_mat_free(&report->q);
    cel_mat_free(&report->field);
    memset(report, 0, sizeof *report);
}

/* All three forms are sums over cells of one expression. With v = dH/dx_i,
 *     J_i = 1/2 v^T D_i v - l_i . v + 2 <F_0, I - x x^T>,   D_i = I, l_i = (n - 1) x           MOMENT
 *     J_i = 1/2 v^T D_i v - l_i . v + 2 <F_0, D_i>,         D_i = I - x x^T, l_i = (n - 1) x   EXACT
 *     the same with D_i = diag(a) - u u^T, a = p3 x, u = x^2, l_i = -c                         ORTHANT
 * (manual, section 6). v = Z T(F), where Z holds 2 X, then for a symmetric relation 2 N and T the force; for
 * another N+ with F^T and N- with F. Fields are eliminated: given the forces, h minimises J in closed form.
 *
 * Unknowns f are forces divided by scale, so that each relation's mean curvature is 1, and, where the
 * form and the penalty allow it, in the basis of genes that nearly diagonalises all blocks of the gram matrix: there
 * the normal equations nearly fall apart into one small system a pair of genes, the preconditioner. */
#define CELI_SCORE_CHUNKS 16 /* of the cells, each summed by one thread */
#define CELI_SCORE_ROWS 256  /* cells a product */

/* Groups of cells, of the moment form: the scaled gram matrix in the basis in use, about the whole's means, and a
 * slide (m + 1) the sums of Z less the whole's mean, in double, with the number of cells. */
typedef struct celi_score_piece {
    cel_mat gram; /* (m x m), / the whole's cells */
    double *sum;
} celi_score_piece;

typedef struct celi_score {
    int64_t n, relations, blocks, m; /* m = blocks n: rows of T */
    int64_t cells, groups, slides;   /* slides: of the fields, 1 unless one field a slide */
    cel_score_form form;
    int has_field, plain; /* plain: all relations symmetric */
    int32_t *owner;     /* (blocks) the block's relation */
    int32_t *transpose; /* (blocks) 0: T's block is f, symmetric; 1: f^T; 2: f */
    double *scale;      /* (relations) F = scale f */
    double *factor;     /* (blocks) Z's block = factor B's block */
    cel_mat basis;      /* (n x n), columns; data NULL: the genes themselves */
    double *weight;     /* (n) of the preconditioner: mean of D's diagonal */
    /* the subset in use, and scratch: a twin (celi_score_twins) has its own */
    int64_t included;   /* cells of the subset */
    double constant;    /* what the eliminated fields add to its objective, all cells together */
    uint8_t *skip;      /* (groups) left out of the subset */
    cel_mat gram;       /* (m x m) Z^T Z / cells, fields eliminated; of the moment form: of the subset */
    cel_mat rhs;        /* (R n x n) of the subset */
    cel_real *h;        /* (slides n) */
    double *now;        /* (slides (m + 1)) sums of Z and cells of the subset */
    cel_mat t, g;       /* (m x n) */
    double *diag;       /* (blocks^2 n) the diagonals of gram's blocks */
    double *small;      /* (CHUNKS x (4 R^2 + 2 R)) of the preconditioner */
    cel_mat inverse;    /* (3 n x n) of celi_score_invert, or NULL */
    cel_mat f, r, d, s, y; /* (R n x n) of the replicates and the solvers */
    double *sum;        /* ((m + 1)^2) of the moments, or ((m + n) n) of the cells */
    celi_score_piece part_of;
    cel_work *work, own_work;
    double value;       /* held-out J of celi_score_try, residual of celi_score_replicate */
    cel_status failed;  /* of what a twin was told to do */
    /* moments */
    const cel_moments *part; /* (groups) */
    const int32_t *part_slide;
    cel_moments total;
    /* cells */
    cel_mat z, v;          /* (S x m), (S x n) */
    const int32_t *slide;  /* (S) or NULL */
    const int32_t *group;  /* (S) or NULL */
    int64_t *start;        /* (groups + 1) the groups' cells in list */
    int32_t *list;         /* (S) */
    double *lin_all, *lin; /* (m + slides (n + 1)) x n: sums of Z l^T, then D and l a slide; whole, subset */
    cel_mat curv;          /* (slides n x n) Cholesky factors of the slides' sums of D */
    double *centre, *mean; /* (slides m) means: of B in the whole; of Z in the whole, in the basis */
    celi_score_piece whole;
    double *acc;           /* (CHUNKS x m n) */
    double *acc_h;         /* (CHUNKS x slides n) */
    cel_mat chunk_g;       /* (CHUNKS m x n) */
    /* cells, few genes: the normal equations themselves */
    int64_t params, inner; /* 0 or the unknowns, the last of them the fields; without fields */
    int64_t *place;        /* (params x 6) two entries (row, column) of T, the second -1 if none; two of f, likewise */
    double *normals;       /* (groups or 1) x (params + 1) x params: rows of A, then the right-hand side */
    double *normal;        /* ((params + 1) x params) of the subset, fields eliminated from the last upwards */
    cel_mat dense;         /* (inner x inner) of it, per cell */
    cel_real *flat;        /* (2 params) */
    cel_work *chunk_work;  /* (CHUNKS) */
    cel_progress progress;
} celi_score;

static void celi_score_piece_free(celi_score_piece *p)
{
    cel_mat_free(&p->gram);
    celi_free(p->sum);
    p->sum = NULL;
}

static cel_status celi_score_piece_new(const celi_score *sc, celi_score_piece *p)
{
    p->sum = (double *)celi_alloc((size_t)(sc->slides * (sc->m + 1)), sizeof(double));
    return p->sum ? cel_mat_new(sc->m, sc->m, &p->gram) : CEL_ERR_MEMORY;
}

static void celi_score_scratch_free(celi_score *sc)
{
    celi_free(sc->skip);
    celi_free(sc->h);
    celi_free(sc->now);
    celi_free(sc->diag);
    celi_free(sc->small);
    celi_free(sc->sum);
    cel_mat_free(&sc->gram);
    cel_mat_free(&sc->inverse);
    cel_mat_free(&sc->rhs);
    cel_mat_free(&sc->t);
    cel_mat_free(&sc->g);
    cel_mat_free(&sc->f);
    cel_mat_free(&sc->r);
    cel_mat_free(&sc->d);
    cel_mat_free(&sc->s);
    cel_mat_free(&sc->y);
    celi_score_piece_free(&sc->part_of);
    cel_work_free(&sc->own_work);
}

/* What celi_score_scratch_free frees; on failure the rest is NULL. groups: room for skip. */
static cel_status celi_score_scratch(celi_score *sc, int64_t groups)
{
    int64_t n = sc->n, m = sc->m, R = sc->relations;
    int64_t size = (m + 1) * (m + 3) > (m + n) * n ? (m + 1) * (m + 3) : (m + n) * n;
    cel_status status;
    memset(&sc->gram, 0, sizeof sc->gram);
    sc->inverse = sc->rhs = sc->t = sc->g = sc->f = sc->r = sc->d = sc->s = sc->y = sc->part_of.gram = sc->gram;
    sc->part_of.sum = NULL;
    memset(&sc->own_work, 0, sizeof sc->own_work);
    sc->skip = (uint8_t *)celi_alloc((size_t)groups, 1);
    sc->h = (cel_real *)celi_alloc((size_t)(sc->slides * n), sizeof(cel_real));
    sc->now = (double *)celi_alloc((size_t)(sc->slides * (m + 1)), sizeof(double));
    sc->diag = (double *)celi_alloc((size_t)(sc->blocks * m), sizeof(double));
    sc->small = (double *)celi_alloc((size_t)(CELI_SCORE_CHUNKS * (4 * R * R + 2 * R)), sizeof(double));
    sc->sum = (double *)celi_alloc((size_t)size, sizeof(double));
    if (!sc->skip || !sc->h || !sc->now || !sc->diag || !sc->small || !sc->sum) return CEL_ERR_MEMORY;
    if ((status = cel_mat_new(m, m, &sc->gram)) || (status = cel_mat_new(R * n, n, &sc->rhs)) ||
        (status = cel_mat_new(m, n, &sc->t)) || (status = cel_mat_new(m, n, &sc->g)) ||
        (status = cel_mat_new(R * n, n, &sc->f)) || (status = cel_mat_new(R * n, n, &sc->r)) ||
        (status = cel_mat_new(R * n, n, &sc->d)) || (status = cel_mat_new(R * n, n, &sc->s)) ||
        (status = cel_mat_new(R * n, n, &sc->y)) ||
        (R == 2 && sc->plain && (status = cel_mat_new(3 * n, n, &sc->inverse))))
        return status;
    return celi_score_piece_new(sc, &sc->part_of);
}

/* Copies of a problem in the moment form, which share what does not depend on the subset: one for each thread, so that
 * subsets are solved side by side; *twin (*count), the first with sc's own scratch. Of another form only that one. */
static void celi_score_twins_free(celi_score *twin, int64_t count)
{
    int64_t k;
    for (k = 1; k < count && twin; k++) celi_score_scratch_free(twin + k);
    celi_free(twin);
}

static cel_status celi_score_twins(const celi_score *sc, int64_t jobs, celi_score **twin, int64_t *count)
{
    int64_t threads = cel_threads(), waves;
    cel_status status = CEL_OK;
    /* More threads than jobs are better used within each product, where that is large. */
    if (sc->z.data || (jobs < threads && (double)sc->m * (double)sc->m * (double)sc->n > 2e6)) threads = 1;
    waves = (jobs + threads - 1) / threads;
    threads = (jobs + waves - 1) / waves;
    *count = 1;
    *twin = (celi_score *)celi_alloc((size_t)threads, sizeof **twin);
    if (!*twin) return CEL_ERR_MEMORY;
    **twin = *sc;
    for (; *count < threads && !status; ++*count) {
        celi_score *to = *twin + *count;
        *to = *sc;
        status = celi_score_scratch(to, sc->groups);
        to->work = &to->own_work;
        if (status) celi_score_scratch_free(to);
    }
    if (status) --*count; /* fewer will do */
    return CEL_OK;
}

static void celi_score_free(celi_score *sc)
{
    int c;
    celi_score_scratch_free(sc);
    celi_free(sc->owner);
    celi_free(sc->transpose);
    celi_free(sc->scale);
    celi_free(sc->factor);
    celi_free(sc->weight);
    celi_free(sc->start);
    celi_free(sc->list);
    celi_free(sc->lin_all);
    celi_free(sc->lin);
    celi_free(sc->centre);
    celi_free(sc->place);
    celi_free(sc->normals);
    celi_free(sc->normal);
    celi_free(sc->flat);
    cel_mat_free(&sc->dense);
    celi_free(sc->mean);
    celi_score_piece_free(&sc->whole);
    celi_free(sc->acc);
    celi_free(sc->acc_h);
    cel_mat_free(&sc->basis);
    cel_mat_free(&sc->z);
    cel_mat_free(&sc->v);
    cel_mat_free(&sc->curv);
    cel_mat_free(&sc->chunk_g);
    cel_moments_free(&sc->total);
    for (c = 0; c < CELI_SCORE_CHUNKS && sc->chunk_work; c++) cel_work_free(sc->chunk_work + c);
    celi_free(sc->chunk_work);
    memset(sc, 0, sizeof *sc);
}

/* t = T(f), and its adjoint: out = the projection of g (m x n) on the unknowns. */
static void celi_score_embed(celi_score *sc, cel_mat f)
{
    int64_t b;
    for (b = 0; b < sc->blocks; b++) {
        cel_mat from = cel_mat_block(f, sc->owner[b] * sc->n, 0, sc->n, sc->n);
        cel_mat to = cel_mat_block(sc->t, b * sc->n, 0, sc->n, sc->n);
        if (sc->transpose[b] == 1) cel_mat_transpose(from, to);
        else cel_mat_copy(from, to);
    }
}

static void celi_score_project(celi_score *sc, cel_mat g, cel_mat out)
{
    int64_t b, n = sc->n;
    for (b = 0; b < sc->blocks; b++) {
        cel_mat from = cel_mat_block(g, b * n, 0, n, n), to = cel_mat_block(out, sc->owner[b] * n, 0, n, n);
        if (sc->transpose[b] == 1) {
            cel_mat_transpose(from, to);
        } else if (sc->transpose[b] == 2) {
            cel_mat_axpy(1, from, to);
        } else {
            if (from.data != to.data) cel_mat_copy(from, to);
            cel_mat_symmetrise(to);
        }
    }
}

/* x . y of the unknowns (R n x n), by a fixed number of threads' shares: the same bits for any. */
static double celi_score_dot(cel_mat x, cel_mat y)
{
    int64_t count = x.rows * x.cols, part = (count / CELI_SCORE_CHUNKS + 16) & ~(int64_t)15, c;
    double share[CELI_SCORE_CHUNKS] = {0}, sum = 0;
    CELI_OMP(omp parallel for schedule(static) if (count > 16 * CELI_FORK))
    for (c = 0; c < CELI_SCORE_CHUNKS; c++)
        if (c * part < count)
            share[c] = cel_vec_dot(celi_min(part, count - c * part), x.data + c * part, y.data + c * part);
    for (c = 0; c < CELI_SCORE_CHUNKS; c++) sum += share[c];
    return sum;
}

/* ---- the moment form: gram and right-hand side of a subset ---- */

/* out = in (m) scaled and turned into the basis. */
static void celi_score_turn(const celi_score *sc, const double *in, double *out)
{
    int64_t n = sc->n, b, i, j;
    for (b = 0; b < sc->blocks; b++) {
        for (j = 0; j < n; j++) out[b * n + j] = sc->basis.data ? 0.0 : sc->factor[b] * in[b * n + j];
        for (i = 0; i < n && sc->basis.data; i++)
            for (j = 0; j < n; j++)
                out[b * n + j] += sc->factor[b] * in[b * n + i] * (double)sc->basis.data[i * n + j];
    }
}

/* The piece of the groups whose skip is 1 (all: every group). Taken about the whole's means, since their direction
 * outweighs all others and, turned in float together with them, would drown them. */
static cel_status celi_score_measure(celi_score *sc, int all, celi_score_piece *piece)
{
    int64_t n = sc->n, m = sc->m, w = m + 1, g, i, a, b, s;
    double *G = sc->sum, *sums = G + w * w, inv = 1 / (double)sc->cells;
    cel_status status = CEL_OK;
    if (all) memcpy(G, sc->total.gram, (size_t)(w * w) * sizeof *G);
    else memset(G, 0, (size_t)(w * w) * sizeof *G);
    for (g = 0; g < sc->groups && !all; g++) {
        const double *p = sc->part[g].gram;
        if (!sc->skip[g]) continue;
        CELI_OMP(omp parallel for schedule(static) if (w * w > CELI_FORK))
        for (i = 0; i < w; i++) {
            int64_t k;
            for (k = 0; k < w; k++) G[i * w + k] += p[i * w + k];
        }
    }
    for (s = 0; s < sc->slides; s++) {
        double *mean = sc->centre + s * m, count;
        for (i = 0; i < w && sc->slides == 1; i++) sums[i] = 2 * G[i * w + m];
        if (sc->slides > 1) memset(sums, 0, (size_t)w * sizeof *sums);
        for (g = 0; g < sc->groups && sc->slides > 1; g++)
            for (i = 0; i < w && sc->part_slide[g] == s && (all || sc->skip[g]); i++)
                sums[i] += 2 * sc->part[g].gram[i * w + m];
        count = 2 * sums[m];
        for (i = 0; i < m && all && count > 0.5; i++) mean[i] = sums[i] / count;
        CELI_OMP(omp parallel for schedule(static) if (m * m > CELI_FORK))
        for (i = 0; i < m; i++) {
            int64_t k;
            for (k = 0; k < m; k++) G[i * w + k] -= sums[i] * mean[k] + mean[i] * (sums[k] - count * mean[k]);
        }
        for (i = 0; i < m; i++) sums[i] = all ? 0 : sums[i] - count * mean[i];
        celi_score_turn(sc, sums, piece->sum + s * w);
        piece->sum[s * w + m] = count;
        if (all) celi_score_turn(sc, mean, sc->mean + s * m);
    }
    for (a = 0; a < sc->blocks && !status; a++) {
        for (b = a; b < sc->blocks && !status; b++) {
            cel_mat c = cel_mat_block(sc->t, 0, 0, n, n), half = cel_mat_block(sc->r, 0, 0, n, n);
            cel_mat to = cel_mat_block(piece->gram, a * n, b * n, n, n);
            double k = sc->factor[a] * sc->factor[b] * inv;
            CELI_OMP(omp parallel for schedule(static) if (n * n > CELI_FORK))
            for (i = 0; i < n; i++) {
                int64_t j;
                for (j = 0; j < n; j++) c.data[i * n + j] = (cel_real)(k * G[(a * n + i) * w + b * n + j]);
            }
            if (sc->basis.data) {
                status = cel_mat_gemm(0, 0, 1, c, sc->basis, 0, half, sc->work);
                if (!status) status = cel_mat_gemm(1, 0, 1, sc->basis, half, 0, to, sc->work);
            } else {
                cel_mat_copy(c, to);
            }
            if (a == b) cel_mat_symmetrise(to);
            else cel_mat_transpose(to, cel_mat_block(piece->gram, b * n, a * n, n, n));
        }
    }
    return status;
}

/* gram, rhs (manual, section 6: 2 n X^T X - 2 S I, and 2 (n - 1) N^T X) and means of the piece (inside), or of the
 * whole without it. */
static void celi_score_use(celi_score *sc, const celi_score_piece *piece, int inside)
{
    int64_t n = sc->n, m = sc->m, w = m + 1, s, i;
    double unit = 1 / sc->factor[0], inv = 1 / (double)sc->cells, cells = 0;
    sc->constant = 0;
    for (s = 0; s < sc->slides; s++) {
        double *now = sc->now + s * w;
        const double *from = piece->sum + s * w;
        now[m] = inside ? from[m] : sc->whole.sum[s * w + m] - from[m];
        cells += now[m];
        for (i = 0; i < m; i++) now[i] = (inside ? from[i] : -from[i]) + now[m] * sc->mean[s * m + i];
        for (i = 0; i < n && now[m] > 0.5 && sc->has_field; i++)
            sc->constant -= 0.5 * (double)((n - 1) * (n - 1)) / now[m] * unit * unit * now[i] * now[i];
    }
    sc->included = (int64_t)(cells + 0.5);
    CELI_OMP(omp parallel for schedule(static) if (m * m > CELI_FORK))
    for (i = 0; i < m; i++) {
        int64_t slide, k;
        cel_real *to = sc->gram.data + i * m, *rhs = sc->g.data + i * n;
        const cel_real *whole = sc->whole.gram.data + i * m, *part = piece->gram.data + i * m;
        double c = unit * (double)(i < n ? n : n - 1);
        for (k = 0; k < m; k++) to[k] = inside ? part[k] : whole[k] - part[k];
        for (k = 0; k < n; k++) rhs[k] = (cel_real)(c * (double)to[k]);
        if (i < n) rhs[i] -= (cel_real)(sc->factor[0] * inv * cells);
        for (slide = 0; slide < sc->slides; slide++) {
            /* dev: the sums about the whole's mean; about the subset's own they vanish. */
            const double *now = sc->now + slide * w, *mean = sc->mean + slide * m;
            double over = now[m] > 0.5 ? inv / now[m] : 0.0, dev = over * (now[i] - now[m] * mean[i]);
            double sum = over * now[i], kept = sc->has_field ? 0.0 : sum;
            for (k = 0; k < m; k++)
                to[k] += (cel_real)(kept * now[k] - dev * (now[k] - now[m] * mean[k]));
            kept = c * sum - (sc->has_field ? unit * (double)(n - 1) * sum : 0.0);
            for (k = 0; k < n; k++)
                rhs[k] += (cel_real)(kept * now[k] - c * dev * (now[k] - now[m] * mean[k]));
        }
        for (k = 0; k < sc->blocks; k++)
            sc->diag[(i / n * sc->blocks + k) * n + i % n] = (double)to[k * n + i % n];
    }
    celi_score_project(sc, sc->g, sc->rhs);
}

/* ---- the forms over the cells ---- */

/* D_i = diag(a) - u u^T and l_i of cell x (n), each (n). */
static void celi_score_cell(cel_score_form form, int64_t n, const cel_real *x, double unit, double *a, double *u,
                            double *l)
{
    int64_t k;
    double p1 = 0, p3 = 0;
    if (form != CEL_SCORE_ORTHANT) {
        for (k = 0; k < n; k++) {
            a[k] = 1;
            u[k] = form == CEL_SCORE_EXACT ? unit * (double)x[k] : 0;
            l[k] = (double)(n - 1) * unit * (double)x[k];
        }
        return;
    }
    for (k = 0; k < n; k++) {
        double y = unit * (double)x[k];
        p1 += y;
        p3 += y * y * y;
    }
    for (k = 0; k < n; k++) {
        double y = unit * (double)x[k];
        a[k] = p3 * y;
        u[k] = y * y;
        l[k] = 2 * p1 * y * y - p3 - y * y * y;
    }
}

/* out = D_i v, or out += D_i v (add); v may be out. x is unit times cell i. */
static void celi_score_curve(int orthant, int64_t n, const cel_real *x, cel_real unit, const cel_real *v, int add,
                             cel_real *out)
{
    int64_t k;
    cel_real dot = 0, p3 = 0;
    if (orthant) {
        for (k = 0; k < n; k++) {
            dot += x[k] * x[k] * v[k];
            p3 += x[k] * x[k] * x[k];
        }
        dot *= unit * unit * unit * unit;
        p3 *= unit * unit * unit * unit;
        for (k = 0; k < n; k++) {
            cel_real value = p3 * x[k] * v[k] - dot * x[k] * x[k];
            out[k] = add ? out[k] + value : value;
        }
    } else {
        for (k = 0; k < n; k++) dot += x[k] * v[k];
        dot *= unit * unit;
        for (k = 0; k < n; k++) {
            cel_real value = v[k] - dot * x[k];
            out[k] = add ? out[k] + value : value;
        }
    }
}

/* lin += sign * the sums over the cells list (count; NULL: all): rows of Z l^T, and of each slide D and l. */
static cel_status celi_score_linear(celi_score *sc, double sign, const int32_t *list, int64_t count, double *lin)
{
    int64_t n = sc->n, m = sc->m, rows = m + n + 1, tiles = (rows + 31) / 32, tile;
    double unit = 1 / sc->factor[0];
    double *scratch = (double *)celi_alloc((size_t)(tiles * 3 * n), sizeof(double));
    if (!scratch) return CEL_ERR_MEMORY;
    CELI_OMP(omp parallel for schedule(static) if (count * rows > CELI_FORK))
    for (tile = 0; tile < tiles; tile++) {
        double *a = scratch + tile * 3 * n, *u = a + n, *l = u + n;
        int64_t c, k, j, last = tile * 32 + 32 < rows ? tile * 32 + 32 : rows;
        for (c = 0; c < count; c++) {
            int64_t i = list ? list[c] : c, s = sc->slides > 1 ? sc->slide[i] : 0;
            const cel_real *z = sc->z.data + i * m;
            double *own = lin + (m + s * (n + 1)) * n;
            celi_score_cell(sc->form, n, z, unit, a, u, l);
            for (k = tile * 32; k < last; k++) {
                double *to = k < m ? lin + k * n : own + (k - m) * n;
                const double *from = k < m || k == m + n ? l : u;
                double w = sign * (k < m ? (double)z[k] : k < m + n ? -u[k - m] : 1.0);
                for (j = 0; j < n; j++) to[j] += w * from[j];
                if (k >= m && k < m + n) to[k - m] += sign * a[k - m];
            }
        }
    }
    celi_free(scratch);
    return CEL_OK;
}

/* out = the projection of Z^T D (Z T(f) + h) over the subset's cells / S, where h = (sum D)^-1 (q - sum D Z T(f)) a
 * slide, if there are fields, and q = the slides' sums of l (with_q) or 0. f.data NULL: f = 0. */
static cel_status celi_score_pass(celi_score *sc, cel_mat f, int with_q, cel_mat out)
{
    int64_t n = sc->n, m = sc->m, S = sc->cells, c, i, s;
    cel_status failed[CELI_SCORE_CHUNKS];
    int stage;
    cel_real unit = (cel_real)(1 / sc->factor[0]);
    cel_status status = CEL_OK;
    if (f.data) celi_score_embed(sc, f);
    memset(sc->acc, 0, (size_t)(CELI_SCORE_CHUNKS * m * n) * sizeof *sc->acc);
    memset(sc->acc_h, 0, (size_t)(CELI_SCORE_CHUNKS * sc->slides * n) * sizeof *sc->acc_h);
    memset(failed, 0, sizeof failed);
    for (stage = 0; stage < 1 + sc->has_field && !status; stage++) {
        CELI_OMP(omp parallel for schedule(static) if (S * n > CELI_FORK / 4))
        for (c = 0; c < CELI_SCORE_CHUNKS; c++) {
            int64_t first = c * S / CELI_SCORE_CHUNKS, end = (c + 1) * S / CELI_SCORE_CHUNKS, row, k, j;
            cel_mat part = cel_mat_block(sc->chunk_g, c * m, 0, m, n);
            for (; first < end && !failed[c]; first += CELI_SCORE_ROWS) {
                int64_t rows = end - first < CELI_SCORE_ROWS ? end - first : CELI_SCORE_ROWS;
                cel_mat z = cel_mat_block(sc->z, first, 0, rows, m), v = cel_mat_block(sc->v, first, 0, rows, n);
                if (stage == 0) {
                    if (f.data) failed[c] = cel_mat_gemm(0, 0, 1, z, sc->t, 0, v, &sc->chunk_work[c]);
                    else cel_mat_fill(v, 0);
                }
                for (row = 0; row < rows && !failed[c]; row++) {
                    cel_real *y = v.data + row * n;
                    int64_t cell = first + row, sl = sc->slides > 1 ? sc->slide[cell] : 0;
                    if (sc->group && sc->skip[sc->group[cell]]) {
                        for (k = 0; k < n; k++) y[k] = 0;
                        continue;
                    }
                    celi_score_curve(sc->form == CEL_SCORE_ORTHANT, n, z.data + row * m, unit,
                                     stage ? sc->h + sl * n : y, stage, y);
                    if (stage < sc->has_field) {
                        double *to = sc->acc_h + (c * sc->slides + sl) * n;
                        for (k = 0; k < n; k++) to[k] += (double)y[k];
                    }
                }
                if (stage < sc->has_field || failed[c]) continue;
                failed[c] = cel_mat_gemm(1, 0, 1, z, v, 0, part, &sc->chunk_work[c]);
                for (j = 0; j < m * n; j++) sc->acc[c * m * n + j] += (double)part.data[j];
            }
        }
        for (c = 0; c < CELI_SCORE_CHUNKS; c++)
            if (failed[c]) status = failed[c];
        for (s = 0; s < sc->slides && stage < sc->has_field && !status; s++) {
            cel_mat l = cel_mat_block(sc->curv, s * n, 0, n, n), h = cel_mat_view(sc->h + s * n, n, 1);
            const double *q = sc->lin + (sc->m + s * (n + 1) + n) * n;
            for (i = 0; i < n; i++) {
                double sum = 0;
                for (c = 0; c < CELI_SCORE_CHUNKS; c++) sum += sc->acc_h[(c * sc->slides + s) * n + i];
                h.data[i] = (cel_real)((with_q ? q[i] : 0.0) - sum);
            }
            status = cel_mat_cholesky_solve(l, h);
        }
    }
    if (status) return status;
    for (i = 0; i < m * n; i++) {
        double sum = 0;
        for (c = 0; c < CELI_SCORE_CHUNKS; c++) sum += sc->acc[c * m * n + i];
        sc->g.data[i] = (cel_real)(sum / (double)S);
    }
    celi_score_project(sc, sc->g, out);
    return CEL_OK;
}

/* Right-hand side and curvature of the fields of a subset of the cells. */
static cel_status celi_score_subset_cells(celi_score *sc)
{
    int64_t n = sc->n, m = sc->m, g, s, i, j;
    double tiny, whole;
    int empty;
    cel_mat none;
    cel_status status = CEL_OK;
    memset(&none, 0, sizeof none);
    memcpy(sc->lin, sc->lin_all, (size_t)((m + sc->slides * (n + 1)) * n) * sizeof(double));
    sc->included = sc->cells;
    sc->constant = 0;
    for (g = 0; g < sc->groups && !status; g++) {
        int64_t count = sc->start[g + 1] - sc->start[g];
        if (!sc->skip[g]) continue;
        sc->included -= count;
        status = celi_score_linear(sc, -1, sc->list + sc->start[g], count, sc->lin);
    }
    if (status) return status;
    for (i = 0; i < m * n; i++) sc->g.data[i] = (cel_real)(sc->lin[i] / (double)sc->cells);
    for (s = 0; s < sc->slides && !status; s++) {
        const double *D = sc->lin + (m + s * (n + 1)) * n;
        for (i = 0; i < n * n; i++) sc->g.data[i] -= (cel_real)(sc->factor[0] * D[i] / (double)sc->cells);
        if (!sc->has_field) continue;
        /* Kept off zero by rounding's size; of a slide that the subset leaves out any regular matrix will do. */
        for (tiny = whole = 0, i = 0; i < n; i++) {
            tiny += D[i * n + i];
            whole += sc->lin_all[(m + s * (n + 1) + i) * n + i];
        }
        empty = !(tiny > 1e-9 * whole);
        tiny *= sizeof(cel_real) == 4 ? 1e-6 : 1e-13;
        for (i = 0; i < n; i++)
            for (j = 0; j < n; j++)
                sc->curv.data[(s * n + i) * n + j] = (cel_real)(empty ? i == j : D[i * n + j] + (i == j ? tiny : 0.0));
        status = cel_mat_cholesky(cel_mat_block(sc->curv, s * n, 0, n, n));
    }
    if (status) return status;
    celi_score_project(sc, sc->g, sc->rhs);
    if (!sc->has_field) return CEL_OK;
    status = celi_score_pass(sc, none, 1, sc->r);
    cel_mat_axpy(-1, sc->r, sc->rhs);
    for (s = 0; s < sc->slides; s++)
        for (i = 0; i < n; i++)
            sc->constant -= 0.5 * sc->lin[(m + s * (n + 1) + n) * n + i] * (double)sc->h[s * n + i];
    return status;
}

/* ---- the forms over the cells, few genes ---- */

#define CELI_SCORE_PARAMS 700
#define CELI_SCORE_BYTES 5e8

/* Unknown p moves T's entries e, e' (rows above m: the slides' fields) and so v by phi_p = z_e unit(e) + ..: its normal
 * equations are sums of phi^T diag(a) phi, from one weighted gram matrix of z a gene, less the squares of u . phi. */
static cel_status celi_score_normals(celi_score *sc)
{
    int64_t n = sc->n, m = sc->m, M = m + (sc->has_field ? sc->slides : 0), P = 0, R = sc->relations;
    int64_t r, i, j, b, p, q, g;
    int64_t parts = sc->groups > 0 ? sc->groups : 1;
    double unit = 1 / sc->factor[0], *cell, *H;
    cel_mat rows, features, product;
    cel_status status = CEL_OK;
    for (b = 0; b < sc->blocks; b++) P += sc->transpose[b] == 0 ? n * (n + 1) / 2 : sc->transpose[b] == 1 ? n * n : 0;
    sc->inner = P;
    P += (M - m) * n;
    if (P > CELI_SCORE_PARAMS || (double)parts * (double)(P * P) * 8 > CELI_SCORE_BYTES) return CEL_OK;
    memset(&rows, 0, sizeof rows);
    memset(&features, 0, sizeof features);
    memset(&product, 0, sizeof product);
    sc->place = (int64_t *)celi_alloc((size_t)(P * 6), sizeof(int64_t));
    sc->normals = (double *)celi_alloc((size_t)(parts * (P + 1) * P), sizeof(double));
    sc->normal = (double *)celi_alloc((size_t)((P + 1) * P), sizeof(double));
    sc->flat = (cel_real *)celi_alloc((size_t)(2 * P), sizeof(cel_real));
    cell = (double *)celi_alloc((size_t)(3 * n * CELI_SCORE_ROWS + n * M * M + M * n), sizeof(double));
    H = cell ? cell + 3 * n * CELI_SCORE_ROWS : NULL;
    if (!sc->place || !sc->normals || !sc->normal || !sc->flat || !cell) status = CEL_ERR_MEMORY;
    if (!status) status = cel_mat_new(sc->inner, sc->inner, &sc->dense);
    if (!status) status = cel_mat_new(2 * CELI_SCORE_ROWS, M, &rows);
    if (!status) status = cel_mat_new(CELI_SCORE_ROWS, P, &features);
    if (!status) status = cel_mat_new(P > M ? P : M, P > M ? P : M, &product);
    for (p = 0, r = 0, b = 0; r < R && !status; b += sc->transpose[b] ? 2 : 1, r++) {
        for (i = 0; i < n; i++) {
            for (j = sc->transpose[b] ? 0 : i; j < n; j++, p++) {
                int64_t *to = sc->place + p * 6;
                int two = sc->transpose[b] || i != j;
                to[0] = b * n + (two ? j : i);
                to[1] = i;
                to[2] = two ? (sc->transpose[b] ? b + 1 : b) * n + i : -1;
                to[3] = j;
                to[4] = (r * n + i) * n + j;
                to[5] = sc->transpose[b] || i == j ? -1 : (r * n + j) * n + i;
            }
        }
    }
    for (; p < P && !status; p++) {
        int64_t *to = sc->place + p * 6;
        to[0] = m + (p - sc->inner) / n;
        to[1] = (p - sc->inner) % n;
        to[2] = to[4] = to[5] = -1;
    }
    for (g = 0; g < parts && !status; g++) {
        double *A = sc->normals + g * (P + 1) * P, *l_sum = H + n * M * M;
        int64_t first = sc->groups > 0 ? sc->start[g] : 0, end = sc->groups > 0 ? sc->start[g + 1] : sc->cells, c, k;
        memset(H, 0, (size_t)(n * M * M + M * n) * sizeof(double));
        for (; first < end && !status; first += CELI_SCORE_ROWS) {
            int64_t count = end - first < CELI_SCORE_ROWS ? end - first : CELI_SCORE_ROWS;
            cel_mat z = cel_mat_block(rows, 0, 0, count, M), weighted = cel_mat_block(rows, count, 0, count, M);
            cel_mat square = cel_mat_block(product, 0, 0, M, M);
            for (c = 0; c < count; c++) {
                int64_t at = sc->groups > 0 ? sc->list[first + c] : first + c;
                double *a = cell + c * 3 * n, *u = a + n, *l = u + n;
                cel_real *row = z.data + c * M;
                for (k = 0; k < M; k++) row[k] = k < m ? sc->z.data[at * m + k] : 0;
                if (M > m) row[m + (sc->slides > 1 ? sc->slide[at] : 0)] = 1;
                celi_score_cell(sc->form, n, row, unit, a, u, l);
                for (p = 0; p < P; p++) {
                    const int64_t *e = sc->place + p * 6;
                    double value = (double)row[e[0]] * u[e[1]] + (e[2] < 0 ? 0.0 : (double)row[e[2]] * u[e[3]]);
                    features.data[c * P + p] = (cel_real)value;
                }
                for (i = 0; i < M; i++)
                    for (j = 0; j < n; j++) {
                        l_sum[i * n + j] += (double)row[i] * l[j];
                        if (i < n) l_sum[i * n + j] -= sc->factor[0] * ((i == j ? a[i] : 0.0) - u[i] * u[j]);
                    }
            }
            for (k = 0; k < n && !status; k++) {
                for (c = 0; c < count; c++)
                    for (i = 0; i < M; i++)
                        weighted.data[c * M + i] = (cel_real)sqrt(fabs(cell[c * 3 * n + k])) * z.data[c * M + i];
                if (k == 0 || sc->form == CEL_SCORE_ORTHANT) status = cel_mat_syrk(1, 1, weighted, 0, square, sc->work);
                for (i = 0; i < M; i++)
                    for (j = 0; j < M; j++) H[(k * M + i) * M + j] += (double)square.data[i * square.stride + j];
            }
            square = cel_mat_block(product, 0, 0, P, P);
            if (!status) status = cel_mat_syrk(1, 1, cel_mat_block(features, 0, 0, count, P), 0, square, sc->work);
            for (p = 0; p < P; p++)
                for (q = 0; q < P; q++) A[p * P + q] -= (double)square.data[p * square.stride + q];
        }
        for (p = 0; p < P; p++) {
            const int64_t *e = sc->place + p * 6;
            for (i = 0; i < 4 && e[i] >= 0; i += 2) {
                A[P * P + p] += l_sum[e[i] * n + e[i + 1]];
                for (q = 0; q < P; q++) {
                    const int64_t *d = sc->place + q * 6;
                    for (j = 0; j < 4 && d[j] >= 0; j += 2)
                        if (d[j + 1] == e[i + 1]) A[p * P + q] += H[(e[i + 1] * M + e[i]) * M + d[j]];
                }
            }
        }
    }
    celi_free(cell);
    cel_mat_free(&rows);
    cel_mat_free(&features);
    cel_mat_free(&product);
    if (!status) sc->params = P;
    return status;
}

/* The matrices of the groups whose skip is 0, fields eliminated. */
static void celi_score_subset_normals(celi_score *sc)
{
    int64_t P = sc->params, size = (P + 1) * P, g, i, j, p;
    double *A = sc->normal, *rhs = A + P * P, inv = 1 / (double)sc->cells;
    memset(A, 0, (size_t)size * sizeof *A);
    sc->included = sc->cells;
    sc->constant = 0;
    for (g = 0; g == 0 || g < sc->groups; g++) {
        if (sc->groups > 0 && sc->skip[g]) sc->included -= sc->start[g + 1] - sc->start[g];
        else for (i = 0; i < size; i++) A[i] += sc->normals[g * size + i];
    }
    for (i = sc->inner; i < P; i++) sc->flat[i] = (cel_real)A[i * P + i];
    for (p = P - 1; p >= sc->inner; p--) {
        /* The reciprocal pivot takes the pivot's place; a direction without curvature stays out. */
        double top = A[p * P + p], over = top > 1e-9 * (double)sc->flat[p] && top > 0 ? 1 / top : 0.0;
        A[p * P + p] = over;
        for (i = 0; i < p; i++) {
            double c = over * A[i * P + p];
            for (j = 0; j < p; j++) A[i * P + j] -= c * A[p * P + j];
            rhs[i] -= c * rhs[p];
        }
        sc->constant -= 0.5 * over * rhs[p] * rhs[p];
    }
    for (p = 0; p < sc->inner; p++) {
        const int64_t *e = sc->place + p * 6;
        double value = inv * rhs[p] / (e[5] < 0 ? 1 : 2);
        for (j = 0; j < sc->inner; j++) sc->dense.data[p * sc->inner + j] = (cel_real)(inv * A[p * P + j]);
        for (i = 4; i < 6 && e[i] >= 0; i++) sc->rhs.data[e[i]] = (cel_real)value;
    }
}

/* out = A f, or, with out.data NULL, h = the fields that go with f. */
static cel_status celi_score_apply_normals(celi_score *sc, cel_mat f, cel_mat out)
{
    int64_t P = sc->params, inner = sc->inner, i, p;
    cel_real *x = sc->flat, *y = x + P;
    cel_status status = CEL_OK;
    for (p = 0; p < inner; p++) x[p] = f.data[sc->place[p * 6 + 4]];
    if (out.data) status = cel_mat_gemv(0, 1, sc->dense, x, 0, y);
    for (p = 0; p < inner && out.data; p++) {
        const int64_t *e = sc->place + p * 6;
        for (i = 4; i < 6 && e[i] >= 0; i++) out.data[e[i]] = y[p] / (e[5] < 0 ? 1 : 2);
    }
    for (p = inner; p < P && !out.data; p++) {
        double h = sc->normal[P * P + p];
        for (i = 0; i < p; i++) h -= sc->normal[p * P + i] * (double)x[i];
        x[p] = sc->h[p - inner] = (cel_real)(h * sc->normal[p * P + p]);
    }
    return status;
}

/* ---- both ---- */

/* The problem of the groups whose skip is 0, or, inside, of the others. piece: theirs, of the moment form, if known. */
static cel_status celi_score_subset(celi_score *sc, int inside, const celi_score_piece *piece)
{
    cel_status status = CEL_OK;
    int64_t g;
    if (sc->z.data) {
        for (g = 0; g < sc->groups && inside; g++) sc->skip[g] = !sc->skip[g];
        if (!sc->params) return celi_score_subset_cells(sc);
        celi_score_subset_normals(sc);
        return CEL_OK;
    }
    if (!piece) status = celi_score_measure(sc, 0, &sc->part_of);
    if (!status) celi_score_use(sc, piece ? piece : &sc->part_of, inside);
    return status;
}

/* out = A f of the subset, per cell of the whole, with the ridge. */
static cel_status celi_score_apply(celi_score *sc, cel_mat f, double ridge, cel_mat out)
{
    cel_status status;
    if (sc->params) {
        status = celi_score_apply_normals(sc, f, out);
    } else if (sc->z.data) {
        status = celi_score_pass(sc, f, 0, out);
    } else {
        /* Symmetric relations alone: T(f) = f. */
        cel_mat t = sc->plain ? f : sc->t, g = sc->plain ? out : sc->g;
        if (!sc->plain) celi_score_embed(sc, f);
        status = cel_mat_gemm(0, 0, 1, sc->gram, t, 0, g, sc->work);
        celi_score_project(sc, g, out);
    }
    if (ridge > 0) cel_mat_axpy((cel_real)(ridge * (double)sc->included / (double)sc->cells), f, out);
    return status;
}

/* The objective of the subset at f, without penalties, per cell of the subset. Overwrites s. */
static cel_status celi_score_objective(celi_score *sc, cel_mat f, double *value)
{
    cel_status status = celi_score_apply(sc, f, 0, sc->s);
    *value = ((0.5 * cel_mat_dot(f, sc->s) - cel_mat_dot(f, sc->rhs)) * (double)sc->cells + sc->constant) /
             (double)sc->included;
    return status;
}

/* ---- solving ---- */

/* The paper's model, the usual case, two symmetric relations: the inverses of the pairs' 2 x 2 matrices. */
static void celi_score_invert(celi_score *sc, double ridge)
{
    int64_t n = sc->n, i;
    const double *d = sc->diag, *w = sc->weight;
    double extra = 2 * ridge * (double)sc->included / (double)sc->cells;
    if (!sc->inverse.data) return;
    CELI_OMP(omp parallel for schedule(static) if (n * n > CELI_FORK))
    for (i = 0; i < n; i++) {
        cel_real *to = sc->inverse.data + i * n;
        int64_t j;
        for (j = 0; j < n; j++) {
            double p = w[j] * d[i] + w[i] * d[j] + extra, o = w[j] * d[n + i] + w[i] * d[n + j];
            double v = w[j] * d[3 * n + i] + w[i] * d[3 * n + j] + extra, det;
            /* Kept positive definite; the mean curvature is 1. */
            if (!(p > 1e-7)) p = 1e-7;
            if (!(v > 1e-7)) v = 1e-7;
            det = p * v - o * o;
            if (!(det > 1e-4 * p * v)) {
                det = 1e-4 * p * v;
                o = (o < 0 ? -1 : 1) * sqrt(p * v - det);
            }
            det = 2 / det;
            to[j] = (cel_real)(v * det);
            to[n * n + j] = (cel_real)(-o * det);
            to[2 * n * n + j] = (cel_real)(p * det);
        }
    }
}

/* out = an approximate (A + ridge)^-1 r: each pair of genes (i, j) on its own, all its unknowns together, as if the
 * blocks of the gram matrix were diagonal in the basis in use. */
static void celi_score_precondition(celi_score *sc, double ridge, cel_mat r, cel_mat out)
{
    int64_t n = sc->n, R = sc->relations, c, room = 4 * R * R + 2 * R, tiles = (n + 15) / 16;
    double extra = ridge * (double)sc->included / (double)sc->cells;
    if (sc->inverse.data) {
        CELI_OMP(omp parallel for schedule(static) if (n * n > CELI_FORK))
        for (c = 0; c < n; c++) {
            const cel_real *p = sc->inverse.data + c * n, *o = p + n * n, *v = o + n * n;
            const cel_real *r0 = r.data + c * n, *r1 = r0 + n * n;
            cel_real *to = out.data + c * n;
            int64_t j;
            for (j = 0; j < n; j++) {
                to[j] = p[j] * r0[j] + o[j] * r1[j];
                to[n * n + j] = o[j] * r0[j] + v[j] * r1[j];
            }
        }
        return;
    }
    CELI_OMP(omp parallel for schedule(static) if (n * n > CELI_FORK / 4))
    for (c = 0; c < CELI_SCORE_CHUNKS; c++) {
        double *M = sc->small + c * room, *u = M + 4 * R * R;
        int64_t tile, i, j, a, b, k, q, dim;
        /* Squares of 16 x 16 pairs, for the sake of the columns; a chunk has every 16th of them. */
        for (tile = c; tile < tiles * tiles; tile += CELI_SCORE_CHUNKS) {
            int64_t row = tile / tiles * 16, column = tile % tiles * 16;
            if (column < row) continue;
            for (i = row; i < row + 16 && i < n; i++) {
                for (j = i > column ? i : column; j < column + 16 && j < n; j++) {
                    int side;
                    dim = 0;
                    /* Unknowns: f_ij = f_ji of a symmetric relation; f_ij, f_ji of another. */
                    for (b = 0; b < sc->blocks; b++) {
                        const cel_real *rb = r.data + sc->owner[b] * n * n;
                        if (sc->transpose[b] == 0) {
                            u[dim++] = 2 * (double)rb[i * n + j];
                        } else if (sc->transpose[b] == 1) {
                            u[dim++] = (double)rb[i * n + j] * (i == j ? 2 : 1);
                            if (i != j) u[dim++] = (double)rb[j * n + i];
                        }
                    }
                    for (k = 0; k < dim * dim; k++) M[k] = 0;
                    for (side = 0; side < 2; side++) {
                        const double *diag = sc->diag + (side ? j : i);
                        int64_t at_a = 0, at_b;
                        double w = sc->weight[side ? i : j];
                        for (a = 0; a < sc->blocks; a++) {
                            int64_t pa = at_a + (sc->transpose[a] && i != j && (sc->transpose[a] == 1) == !side);
                            for (b = 0, at_b = 0; b < sc->blocks; b++) {
                                int64_t pb = at_b + (sc->transpose[b] && i != j && (sc->transpose[b] == 1) == !side);
                                M[pa * dim + pb] += w * diag[(a * sc->blocks + b) * n];
                                if (sc->transpose[b] != 1) at_b += sc->transpose[b] == 2 && i != j ? 2 : 1;
                            }
                            M[pa * dim + pa] += sc->transpose[a] != 1 ? extra : 0.0;
                            if (sc->transpose[a] != 1) at_a += sc->transpose[a] == 2 && i != j ? 2 : 1;
                        }
                    }
                    /* Cholesky, pivots kept off zero, and the two substitutions. */
                    for (k = 0; k < dim; k++) {
                        double top = M[k * dim + k], pivot = top;
                        for (q = 0; q < k; q++) pivot -= M[k * dim + q] * M[k * dim + q];
                        pivot = sqrt(pivot > 1e-4 * top ? pivot : 1e-4 * top + 1e-30);
                        M[k * dim + k] = pivot;
                        for (a = k + 1; a < dim; a++) {
                            double v = M[a * dim + k];
                            for (q = 0; q < k; q++) v -= M[a * dim + q] * M[k * dim + q];
                            M[a * dim + k] = v / pivot;
                        }
                        for (q = 0; q < k; q++) u[k] -= M[k * dim + q] * u[q];
                        u[k] /= pivot;
                    }
                    for (k = dim - 1; k >= 0; k--) {
                        for (q = k + 1; q < dim; q++) u[k] -= M[q * dim + k] * u[q];
                        u[k] /= M[k * dim + k];
                    }
                    dim = 0;
                    for (b = 0; b < sc->blocks; b++) {
                        cel_real *ob = out.data + sc->owner[b] * n * n;
                        if (sc->transpose[b] == 2) continue;
                        ob[i * n + j] = (cel_real)u[dim++];
                        if (i != j) ob[j * n + i] = sc->transpose[b] ? (cel_real)u[dim++] : ob[i * n + j];
                    }
                }
            }
        }
    }
}

/* How a solution ends, and what it took. */
typedef struct celi_score_solve {
    double tolerance;
    int relative; /* to the residual at the start */
    int announce; /* progress stage "fit" */
    int64_t limit, steps;
    double residual;
} celi_score_solve;

static cel_status celi_score_step(celi_score *sc, celi_score_solve *how)
{
    how->steps++;
    if (how->announce && sc->progress.fn &&
        sc->progress.fn(sc->progress.user, "fit", how->steps, how->limit, how->residual))
        return CEL_ERR_STOPPED;
    return isfinite(how->residual) ? CEL_OK : CEL_ERR_NUMERIC;
}

/* (A + ridge) f = rhs by preconditioned conjugate gradient from f. */
static cel_status celi_score_cg(celi_score *sc, cel_mat f, double ridge, celi_score_solve *how)
{
    double rz, zero, curvature;
    cel_status status = CEL_OK;
    cel_mat swap;
    cel_mat_copy(sc->rhs, sc->r);
    celi_score_invert(sc, ridge);
    celi_score_precondition(sc, ridge, sc->r, sc->s);
    rz = zero = celi_score_dot(sc->r, sc->s);
    if (celi_score_dot(f, f) > 0) {
        status = celi_score_apply(sc, f, ridge, sc->y);
        if (status) return status;
        cel_mat_axpy(-1, sc->y, sc->r);
        celi_score_precondition(sc, ridge, sc->r, sc->s);
        rz = celi_score_dot(sc->r, sc->s);
    }
    if (how->relative) zero = rz;
    cel_mat_copy(sc->s, sc->d);
    how->steps = 0;
    /* zero < 0, or NaN: in rounding's hands, hence not converged */
    how->residual = zero > 0 ? sqrt(fabs(rz) / zero) : zero <= 0 && zero >= 0 ? 0.0 : HUGE_VAL;
    while (how->residual > how->tolerance && how->steps < how->limit) {
        double next;
        status = celi_score_apply(sc, sc->d, ridge, sc->y);
        if (status) return status;
        curvature = celi_score_dot(sc->d, sc->y);
        if (!(curvature > 0)) break;
        cel_mat_axpy((cel_real)(rz / curvature), sc->d, f);
        cel_mat_axpy((cel_real)(-rz / curvature), sc->y, sc->r);
        celi_score_precondition(sc, ridge, sc->r, sc->s);
        next = celi_score_dot(sc->r, sc->s);
        cel_mat_axpy((cel_real)(next / rz), sc->d, sc->s); /* the next direction */
        swap = sc->d;
        sc->d = sc->s;
        sc->s = swap;
        rz = next;
        how->residual = sqrt(fabs(rz) / zero);
        status = celi_score_step(sc, how);
        if (status) return status;
    }
    return isfinite(how->residual) ? CEL_OK : CEL_ERR_NUMERIC;
}

/* f = the point of least threshold |.|_1 + 1/2 |f - .|^2, off the diagonals; with group the lengths over relations. */
static void celi_score_shrink(const celi_score *sc, int group, double threshold, cel_mat f)
{
    int64_t n = sc->n, i;
    CELI_OMP(omp parallel for schedule(static) if (n * n > CELI_FORK))
    for (i = 0; i < n; i++) {
        int64_t j, r;
        for (j = i + 1; j < n; j++) {
            double length = 0, keep;
            for (r = 0; r < sc->relations; r++) {
                double a = (double)f.data[(r * n + i) * n + j], b = (double)f.data[(r * n + j) * n + i];
                length += a * a + b * b;
            }
            length = sqrt(length);
            for (r = 0; r < sc->relations; r++) {
                cel_real *at[2];
                int e;
                at[0] = f.data + (r * n + i) * n + j;
                at[1] = f.data + (r * n + j) * n + i;
                for (e = 0; e < 2; e++) {
                    double size = group ? length : fabs((double)*at[e]);
                    double cut = group ? threshold * sqrt(2.0) : threshold;
                    keep = size > cut ? 1 - cut / size : 0.0;
                    *at[e] = (cel_real)(keep * (double)*at[e]);
                }
            }
        }
    }
}

/* Least 1/2 f A f - rhs f + ridge + l1: accelerated proximal gradient (Beck & Teboulle 2009) from f, restarted when
 * the step turns back (O'Donoghue & Candes 2015). Ends when no entry moves by more than the tolerance times l1. */
static cel_status celi_score_prox(celi_score *sc, cel_mat f, double ridge, double l1, int group, celi_score_solve *how)
{
    int64_t count = f.rows * f.cols, i, k, n = sc->n;
    double bound = 0, t = 1;
    cel_status status;
    /* The largest row sum bounds the eigenvalues; D is at most the identity, and a subset's A at most the whole's. */
    for (i = 0; i < sc->m; i++) {
        double sum = 0;
        for (k = 0; k < sc->m; k++) sum += fabs((double)sc->gram.data[i * sc->m + k]);
        if (sum * (sc->transpose[i / n] ? 2 : 1) > bound) bound = sum * (sc->transpose[i / n] ? 2 : 1);
    }
    bound = bound * 1.001 + ridge;
    cel_mat_copy(f, sc->d);
    how->steps = 0;
    do {
        double turn = 0, move = 0, next = (1 + sqrt(1 + 4 * t * t)) / 2;
        status = celi_score_apply(sc, sc->d, ridge, sc->y);
        if (status) return status;
        /* r = d - (A d - rhs) / bound, shrunk; d its predecessor's extrapolation; s the step. */
        for (k = 0; k < count; k++)
            sc->r.data[k] = sc->d.data[k] - (sc->y.data[k] - sc->rhs.data[k]) / (cel_real)bound;
        celi_score_shrink(sc, group, l1 / bound, sc->r);
        for (k = 0; k < count; k++) {
            double gap = (double)sc->d.data[k] - (double)sc->r.data[k];
            turn += gap * ((double)sc->r.data[k] - (double)f.data[k]);
            if (!(fabs(gap) <= move)) move = fabs(gap);
        }
        if (turn > 0) t = next = 1;
        for (k = 0; k < count; k++) {
            sc->d.data[k] = sc->r.data[k] + (cel_real)((t - 1) / next) * (sc->r.data[k] - f.data[k]);
            f.data[k] = sc->r.data[k];
        }
        t = next;
        how->residual = move * bound / l1;
        status = celi_score_step(sc, how);
        if (status) return status;
    } while (how->residual > how->tolerance && how->steps < how->limit);
    return CEL_OK;
}

/* The fit of the subset in use, from f. replicate: only to a small part of the way from f. */
static cel_status celi_score_solve_at(celi_score *sc, const cel_score_options *o, int replicate, int announce,
                                      cel_mat f, double ridge, double l1, celi_score_solve *how)
{
    double tolerance = o->tolerance > 0 ? o->tolerance : 1e-5;
    memset(how, 0, sizeof *how);
    how->announce = announce;
    how->limit = o->iterations > 0 ? o->iterations : l1 > 0 ? 5000 : 500;
    how->relative = replicate;
    if (l1 > 0) {
        how->tolerance = 100 * tolerance;
        return celi_score_prox(sc, f, ridge, l1, o->group, how);
    }
    how->tolerance = replicate ? (tolerance < 1e-5 ? 1e3 * tolerance : 0.05) : tolerance;
    return celi_score_cg(sc, f, ridge, how);
}

/* force (R n x n) = the forces at f, and, if asked (data), the fields (slides x n) that go with them. */
static cel_status celi_score_forces(celi_score *sc, cel_mat f, cel_mat force, cel_mat field)
{
    int64_t n = sc->n, r, s, b, i, j;
    cel_status status = CEL_OK;
    cel_mat none;
    memset(&none, 0, sizeof none);
    if (field.data && sc->z.data) {
        status = sc->params ? celi_score_apply_normals(sc, f, none) : celi_score_pass(sc, f, 1, sc->s);
    } else if (field.data) {
        /* h = (n - 1) mean of x - mean of Z T. */
        celi_score_embed(sc, f);
        for (s = 0; s < sc->slides; s++) {
            const double *now = sc->now + s * (sc->m + 1);
            double over = now[sc->m] > 0.5 ? 1 / now[sc->m] : 0.0;
            for (j = 0; j < n; j++) {
                double h = (double)(n - 1) * now[j] / sc->factor[0];
                for (i = 0; i < sc->m; i++) h -= now[i] * (double)sc->t.data[i * n + j];
                sc->h[s * n + j] = (cel_real)(h * over);
            }
        }
    }
    for (s = 0; s < sc->slides && field.data && !status; s++)
        status = sc->basis.data ? cel_mat_gemv(0, 1, sc->basis, sc->h + s * n, 0, field.data + s * field.stride)
                                : cel_mat_copy(cel_mat_view(sc->h + s * n, 1, n), cel_mat_block(field, s, 0, 1, n));
    for (r = 0; r < sc->relations && !status; r++) {
        cel_mat from = cel_mat_block(f, r * n, 0, n, n), to = cel_mat_block(force, r * n, 0, n, n);
        if (sc->basis.data) {
            cel_mat half = cel_mat_block(sc->r, 0, 0, n, n);
            status = cel_mat_gemm(0, 0, (cel_real)sc->scale[r], sc->basis, from, 0, half, sc->work);
            if (!status) status = cel_mat_gemm(0, 1, 1, half, sc->basis, 0, to, sc->work);
        } else {
            cel_mat_fill(to, 0);
            cel_mat_axpy((cel_real)sc->scale[r], from, to);
        }
    }
    for (b = 0; b < sc->blocks && !status; b++)
        if (!sc->transpose[b]) cel_mat_symmetrise(cel_mat_block(force, sc->owner[b] * n, 0, n, n));
    return status;
}

/* Fixes the gauge of stacked forces: tr F_0 = 0. */
static void celi_score_gauge(int64_t n, cel_mat force)
{
    double trace = 0;
    int64_t i;
    for (i = 0; i < n; i++) trace += (double)force.data[i * n + i];
    for (i = 0; i < n; i++) force.data[i * n + i] -= (cel_real)(trace / (double)n);
}

/* Everything that does not depend on the subset. part: the moments by group (MOMENT), or of all cells (the others, with
 * x and relation). */
static cel_status celi_score_new(celi_score *sc, cel_score_form form, const cel_score_options *o,
                                 const cel_relations *relations, const cel_moments *part,
                                 int64_t parts, const int32_t *part_slide, int64_t slides, cel_mat x,
                                 const int32_t *slide, const int32_t *group, int64_t groups, cel_work *work)
{
    int64_t n = part[0].genes, b = 0, r, i, m, size, S;
    cel_status status = CEL_OK;
    cel_mat gather;
    memset(sc, 0, sizeof *sc);
    memset(&gather, 0, sizeof gather);
    sc->work = work;
    sc->progress = o->progress;
    sc->form = form;
    sc->has_field = o->field != CEL_SCORE_FIELD_NONE;
    sc->n = n;
    sc->relations = part[0].relations;
    sc->blocks = part[0].blocks;
    sc->plain = sc->blocks == sc->relations;
    sc->m = m = sc->blocks * n;
    sc->slides = o->field == CEL_SCORE_FIELD_SLIDE ? slides : 1;
    sc->groups = parts;
    sc->part = part;
    sc->part_slide = part_slide;
    sc->owner = (int32_t *)celi_alloc((size_t)sc->blocks, sizeof(int32_t));
    sc->transpose = (int32_t *)celi_alloc((size_t)sc->blocks, sizeof(int32_t));
    sc->scale = (double *)celi_alloc((size_t)sc->relations, sizeof(double));
    sc->factor = (double *)celi_alloc((size_t)sc->blocks, sizeof(double));
    sc->weight = (double *)celi_alloc((size_t)n, sizeof(double));
    sc->centre = (double *)celi_alloc((size_t)(sc->slides * m), sizeof(double));
    sc->mean = (double *)celi_alloc((size_t)(sc->slides * m), sizeof(double));
    if (!sc->owner || !sc->transpose || !sc->scale || !sc->factor || !sc->weight || !sc->centre || !sc->mean)
        return CEL_ERR_MEMORY;
    if ((status = celi_score_scratch(sc, groups > parts ? groups : parts)) ||
        (status = celi_moments_open(n, sc->relations, part[0].block, &sc->total)) || (status = celi_score_piece_new(sc, &sc->whole)))
        return status;
    for (i = 0; i < parts && !status; i++) status = cel_moments_sum(&sc->total, 1, part + i);
    if (status) return status;
    sc->cells = S = sc->total.cells;
    if (S < 1) return CEL_ERR_DATA;
    /* Blocks: their relation, how the force enters, and the scale that makes the mean curvature 1. */
    for (r = 0; r < sc->relations; r++) {
        int64_t count = part[0].block[r + 1] - part[0].block[r], k;
        double coefficient = count > 1 ? 1 : 2, trace = 0;
        for (k = 0; k < count; k++, b++) {
            sc->owner[b] = (int32_t)r;
            sc->transpose[b] = count > 1 ? (int32_t)k + 1 : 0;
            for (i = b * n; i < (b + 1) * n; i++) trace += sc->total.gram[i * (m + 1) + i];
        }
        trace *= coefficient * coefficient / ((double)n * (double)S);
        if (!isfinite(trace)) return CEL_ERR_NUMERIC;
        sc->scale[r] = trace > 0 ? 1 / sqrt(trace) : 1;
        for (k = b - count; k < b; k++) sc->factor[k] = coefficient * sc->scale[r];
    }
    for (i = 0; i < n; i++) sc->weight[i] = 1;
    /* The basis: eigenvectors of a mean of the blocks, fields eliminated. An l1 penalty and J+ need the genes' own. */
    status = celi_score_measure(sc, 1, &sc->whole);
    if (!status) celi_score_use(sc, &sc->whole, 1);
    if (!status && !(o->l1 > 0) && !(o->l1 < 0) && form != CEL_SCORE_ORTHANT) {
        double *values = (double *)celi_alloc((size_t)n, sizeof(double));
        if (!values) return CEL_ERR_MEMORY;
        status = cel_mat_new(n, n, &gather);
        if (!status) status = cel_mat_new(n, n, &sc->basis);
        for (b = 0; b < sc->blocks && !status; b++) {
            /* A block counts by the geometric mean of its eigenvalues, kept off zero: where one block's are all small,
             * it has as much to say as another about what is large and what is small. */
            cel_mat from = cel_mat_block(sc->gram, b * n, b * n, n, n), l = cel_mat_block(sc->r, 0, 0, n, n);
            double log_det = 0, trace = 0;
            for (i = 0; i < n; i++) trace += (double)from.data[i * m + i];
            cel_mat_copy(from, l);
            for (i = 0; i < n; i++) l.data[i * n + i] += (cel_real)(1e-5 * trace / (double)n);
            status = cel_mat_cholesky(l);
            for (i = 0; i < n && !status; i++) log_det += 2 * log((double)l.data[i * n + i]);
            if (!status) cel_mat_axpy((cel_real)exp(-log_det / (double)n), from, gather);
            if (status == CEL_ERR_NUMERIC) status = CEL_OK;
        }
        if (!status) status = cel_mat_eigen(gather, values, sc->basis);
        celi_free(values);
        cel_mat_free(&gather);
        if (!status) status = celi_score_measure(sc, 1, &sc->whole);
        if (!status) celi_score_use(sc, &sc->whole, 1);
    }
    if (status || form == CEL_SCORE_MOMENT) return status;

    sc->slide = slide;
    sc->group = groups > 0 ? group : NULL;
    sc->groups = groups;
    size = (m + sc->slides * (n + 1)) * n;
    sc->lin_all = (double *)celi_alloc((size_t)size, sizeof(double));
    sc->lin = (double *)celi_alloc((size_t)size, sizeof(double));
    sc->acc = (double *)celi_alloc((size_t)(CELI_SCORE_CHUNKS * m * n), sizeof(double));
    sc->acc_h = (double *)celi_alloc((size_t)(CELI_SCORE_CHUNKS * sc->slides * n), sizeof(double));
    sc->start = (int64_t *)celi_alloc((size_t)groups + 1, sizeof(int64_t));
    sc->list = (int32_t *)celi_alloc((size_t)S, sizeof(int32_t));
    sc->chunk_work = (cel_work *)celi_alloc(CELI_SCORE_CHUNKS, sizeof(cel_work));
    if (!sc->lin_all || !sc->lin || !sc->acc || !sc->acc_h || !sc->start || !sc->list || !sc->chunk_work)
        return CEL_ERR_MEMORY;
    if ((status = cel_mat_new(S, m, &sc->z)) || (status = cel_mat_new(S, n, &sc->v)) ||
        (status = cel_mat_new(sc->slides * n, n, &sc->curv)) ||
        (status = cel_mat_new(CELI_SCORE_CHUNKS * m, n, &sc->chunk_g)))
        return status;
    if (groups > 0) status = cel_slide_groups(group, S, groups, sc->start, sc->list, NULL);
    if (status) return status;
    {
        cel_mat first = cel_mat_block(sc->z, 0, 0, S, n);
        if (sc->basis.data) {
            status = cel_mat_gemm(0, 0, (cel_real)sc->factor[0], x, sc->basis, 0, first, work);
        } else {
            cel_mat_fill(first, 0);
            cel_mat_axpy((cel_real)sc->factor[0], x, first);
        }
        for (b = 1; b < sc->blocks && !status; b++) {
            const cel_relation *one = relations->at + sc->owner[b];
            status = cel_csr_mul((cel_real)(sc->factor[b] / sc->factor[0]), sc->transpose[b] == 2 ? one->wt : one->w,
                                 first, 0, cel_mat_block(sc->z, 0, b * n, S, n));
        }
    }
    if (!status) status = celi_score_linear(sc, 1, NULL, S, sc->lin_all);
    for (i = 0; i < n; i++) {
        double sum = 0;
        for (b = 0; b < sc->slides; b++) sum += sc->lin_all[(m + b * (n + 1) + i) * n + i];
        sc->weight[i] = sum > 1e-3 * (double)S ? sum / (double)S : 1e-3;
    }
    return status ? status : celi_score_normals(sc);
}

static cel_status celi_score_tell(const celi_score *sc, const char *stage, int64_t done, int64_t total, double value)
{
    return sc->progress.fn && sc->progress.fn(sc->progress.user, stage, done, total, value) ? CEL_ERR_STOPPED : CEL_OK;
}

/* Everything. */
static cel_status celi_score_all(celi_score *sc)
{
    memset(sc->skip, 0, (size_t)sc->groups);
    if (sc->z.data) return celi_score_subset(sc, 0, NULL);
    celi_score_use(sc, &sc->whole, 1);
    return CEL_OK;
}

/* Fold k of the groups is k groups / folds .. (k + 1) groups / folds - 1: selects it as what is skipped. */
static void celi_score_fold(celi_score *sc, int64_t folds, int64_t k)
{
    int64_t g;
    for (g = 0; g < sc->groups; g++) sc->skip[g] = g >= k * sc->groups / folds && g < (k + 1) * sc->groups / folds;
}

static int64_t celi_score_folds(const celi_score *sc, const cel_score_options *o)
{
    int64_t folds = o->folds > 0 ? o->folds : 5;
    return folds < sc->groups ? folds : sc->groups;
}

/* Fits all but fold k, from f, and rates it on fold k: value, included. */
static cel_status celi_score_try(celi_score *sc, const cel_score_options *o, int64_t folds, int64_t k,
                                 const celi_score_piece *piece, cel_mat f, double ridge, double l1)
{
    celi_score_solve how;
    cel_status status;
    celi_score_fold(sc, folds, k);
    status = celi_score_subset(sc, 0, piece);
    if (!status) status = celi_score_solve_at(sc, o, 0, 0, f, ridge, l1, &how);
    if (!status) status = celi_score_subset(sc, 1, piece);
    return status ? status : celi_score_objective(sc, f, &sc->value);
}

/* Picks the weight that is to be picked by held-out J, trying heavy penalties first, until it has risen twice in a row.
 * J is quadratic: at a residual of 1e-3 it is right to 1e-6 of itself. */
static cel_status celi_score_pick(celi_score *sc, const cel_score_options *o, double *ridge, double *l1,
                                  cel_score_report *report)
{
    int64_t folds = celi_score_folds(sc, o), n = sc->n, all = sc->relations * n, steps, k, p, i, best = 0, twins = 0;
    double *target = *ridge < 0 ? ridge : l1, top = 100;
    celi_score_piece *piece = (celi_score_piece *)celi_alloc((size_t)folds, sizeof *piece);
    celi_score *twin = NULL;
    celi_score_solve how;
    cel_score_options rough = *o;
    cel_mat f, trail;
    cel_status status;
    memset(&trail, 0, sizeof trail);
    memset(&f, 0, sizeof f);
    rough.tolerance = target == ridge && !(*l1 > 0) ? 1e-3 : 1e-4;
    if (o->tolerance > rough.tolerance) rough.tolerance = o->tolerance;
    steps = target == ridge ? 15 : 16;
    status = piece ? cel_mat_new(all, n, &f) : CEL_ERR_MEMORY;
    if (!status) status = cel_mat_new(folds * all, n, &trail);
    for (k = 0; k < folds && !sc->z.data && !status; k++) {
        celi_score_fold(sc, folds, k);
        status = celi_score_piece_new(sc, piece + k);
        if (!status) status = celi_score_measure(sc, 0, piece + k);
    }
    if (!status && target == l1) {
        /* Upwards of the least weight at which every entry off the diagonals is zero: first with the diagonals zero,
         * too, then with those fitted at that weight. */
        int round;
        status = celi_score_all(sc);
        for (round = 0; round < 2 && !status; round++) {
            if (round) status = celi_score_solve_at(sc, &rough, 0, 0, f, *ridge, top, &how);
            if (!status) status = celi_score_apply(sc, f, *ridge, sc->y);
            for (top = 1e-30, i = 0; i < n * n && !status; i++) {
                double length = 0;
                for (p = 0; p < sc->relations && i / n != i % n; p++) {
                    double e = (double)sc->rhs.data[p * n * n + i] - (double)sc->y.data[p * n * n + i];
                    length = o->group ? sqrt(length * length + e * e) : fabs(e) > length ? fabs(e) : length;
                }
                if (length > top) top = length;
            }
        }
    }
    if (!status) status = celi_score_twins(sc, folds, &twin, &twins);
    for (p = 0; p < steps && p < best + 3 && !status; p++) {
        double sum = 0, tested = 0;
        *target = top * pow(10, -0.5 * (double)p * (target == l1 ? 1 / 3.0 : 1));
        for (k = 0; k < folds && !status; k += twins) {
            int64_t at;
            CELI_OMP(omp parallel for schedule(static, 1) if (twins > 1))
            for (at = k; at < k + twins; at++)
                if (at < folds)
                    twin[at - k].failed = celi_score_try(twin + at - k, &rough, folds, at,
                                                         piece[at].sum ? piece + at : NULL,
                                                         cel_mat_block(trail, at * all, 0, all, n), *ridge, *l1);
            for (at = k; at < k + twins && at < folds && !status; at++) {
                const celi_score *done = twin + at - k;
                status = done->failed;
                sum += done->value * (double)done->included;
                tested += (double)done->included;
                if (!status) status = celi_score_tell(sc, "pick", p * folds + at + 1, folds * steps, done->value);
            }
        }
        if (status) break;
        report->path = p + 1;
        report->path_weight[p] = *target;
        report->path_value[p] = sum / tested;
        if (report->path_value[p] < report->path_value[best]) best = p;
    }
    *target = report->path_weight[best];
    report->held_out = report->path_value[best];
    celi_score_twins_free(twin, twins);
    for (k = 0; k < folds && piece; k++) celi_score_piece_free(piece + k);
    celi_free(piece);
    cel_mat_free(&f);
    cel_mat_free(&trail);
    return status;
}

/* force = the forces, gauge fixed, fitted without group g, from f; value: the residual. */
static cel_status celi_score_replicate(celi_score *sc, const cel_score_options *o, int64_t g, double ridge, double l1,
                                       cel_mat f, cel_mat force)
{
    celi_score_solve how;
    cel_mat none;
    cel_status status;
    memset(&none, 0, sizeof none);
    memset(sc->skip, 0, (size_t)sc->groups);
    sc->skip[g] = 1;
    cel_mat_copy(f, sc->f);
    status = celi_score_subset(sc, 0, NULL);
    if (!status) status = celi_score_solve_at(sc, o, 1, 0, sc->f, ridge, l1, &how);
    if (!status) status = celi_score_forces(sc, sc->f, force, none);
    if (!status) celi_score_gauge(sc->n, force);
    sc->value = status ? 0 : how.residual;
    return status;
}

/* Delete-one-group jackknife of the forces at f, whose gauge-fixed values are in force. */
static cel_status celi_score_jackknife(celi_score *sc, const cel_score_options *o, double ridge, double l1, cel_mat f,
                                       cel_mat force, cel_score_report *report)
{
    int64_t n = sc->n, all = sc->relations * n, count = all * n, G = sc->groups, twins = 0, g, i, r;
    double *sum = (double *)celi_alloc((size_t)count, 2 * sizeof *sum), *square = sum + count;
    double *p = (double *)celi_alloc((size_t)(n * n), sizeof *p);
    cel_mat replicate;
    celi_score *twin = NULL;
    cel_status status = CEL_OK;
    memset(&replicate, 0, sizeof replicate);
    if (!sum || !p) status = CEL_ERR_MEMORY;
    if (!status) status = cel_mat_new(all, n, &report->se);
    if (!status) status = cel_mat_new(all, n, &report->z);
    if (!status) status = cel_mat_new(all, n, &report->p);
    if (!status) status = cel_mat_new(all, n, &report->q);
    if (!status) status = celi_score_twins(sc, G, &twin, &twins);
    if (!status) status = cel_mat_new(twins * all, n, &replicate);
    for (g = 0; g < G && !status; g += twins) {
        int64_t at;
        CELI_OMP(omp parallel for schedule(static, 1) if (twins > 1))
        for (at = g; at < g + twins; at++)
            if (at < G)
                twin[at - g].failed = celi_score_replicate(twin + at - g, o, at, ridge, l1, f,
                                                           cel_mat_block(replicate, (at - g) * all, 0, all, n));
        for (at = g; at < g + twins && at < G && !status; at++) {
            const cel_real *from = replicate.data + (at - g) * count;
            status = twin[at - g].failed;
            if (status) break;
            CELI_OMP(omp parallel for schedule(static) if (count > CELI_FORK))
            for (i = 0; i < count; i++) {
                double d = (double)from[i] - (double)force.data[i];
                sum[i] += d;
                square[i] += d * d;
            }
            status = celi_score_tell(sc, "errors", at + 1, G, twin[at - g].value);
        }
    }
    report->groups = G;
    for (r = 0; r < sc->relations && !status; r++) {
        int64_t pairs = 0, j;
        int symmetric = 1, b;
        for (b = 0; b < sc->blocks; b++)
            if (sc->owner[b] == r && sc->transpose[b]) symmetric = 0;
        for (i = 0; i < n; i++) {
            for (j = 0; j < n; j++) {
                int64_t e = (r * n + i) * n + j;
                double var = (double)(G - 1) / (double)G * (square[e] - sum[e] * sum[e] / (double)G);
                double se = sqrt(var > 0 ? var : 0.0), z = se > 0 ? (double)force.data[e] / se : 0.0;
                double tail = cel_student_p(z, (double)(G - 1));
                report->se.data[e] = (cel_real)se;
                report->z.data[e] = (cel_real)z;
                report->p.data[e] = (cel_real)tail;
                report->q.data[e] = 1;
                if (i != j && (i < j || !symmetric)) p[pairs++] = tail;
            }
        }
        status = cel_fdr(p, pairs, p);
        for (pairs = 0, i = 0; i < n; i++)
            for (j = 0; j < n; j++)
                if (i != j && (i < j || !symmetric)) report->q.data[(r * n + i) * n + j] = (cel_real)p[pairs++];
        for (i = 0; i < n && symmetric; i++)
            for (j = 0; j < i; j++) report->q.data[(r * n + i) * n + j] = report->q.data[(r * n + j) * n + i];
    }
    celi_free(sum);
    celi_free(p);
    celi_score_twins_free(twin, twins);
    cel_mat_free(&replicate);
    return status;
}

/* The fit of a problem that is set up: weights, forces, fields, errors. out's force exists. */
static cel_status celi_score_run(celi_score *sc, const cel_score_options *o, cel_model *out, cel_score_report *report)
{
    int64_t n = sc->n, s, j, g;
    double ridge = o->ridge, l1 = o->l1;
    celi_score_solve how;
    cel_mat f, field;
    cel_status status = cel_mat_new(sc->relations * n, n, &f);
    memset(&field, 0, sizeof field);
    if (!status && sc->has_field) status = cel_mat_new(sc->slides, n, &field);
    if (!status && (ridge < 0 || l1 < 0)) status = celi_score_pick(sc, o, &ridge, &l1, report);
    if (!status) status = celi_score_all(sc);
    if (!status) status = celi_score_solve_at(sc, o, 0, 1, f, ridge, l1, &how);
    if (!status) {
        report->form = sc->form;
        report->ridge = ridge;
        report->l1 = l1;
        report->iterations = how.steps;
        report->residual = how.residual;
        report->converged = how.residual <= how.tolerance;
        status = celi_score_objective(sc, f, &report->value);
        if (!status && !isfinite(report->value)) status = CEL_ERR_NUMERIC;
    }
    if (!status) status = celi_score_forces(sc, f, out->force, field);
    if (!status) {
        celi_score_gauge(n, out->force);
        for (s = 0; s < sc->slides && sc->has_field; s++) {
            double share = 1;
            if (sc->slides > 1) {
                int64_t cells = 0;
                if (sc->z.data) for (g = 0; g < sc->cells; g++) cells += sc->slide[g] == s;
                else for (g = 0; g < sc->groups; g++) cells += sc->part_slide[g] == s ? sc->part[g].cells : 0;
                share = (double)cells / (double)sc->cells;
            }
            for (j = 0; j < n; j++) out->field[j] += (cel_real)(share * (double)field.data[s * n + j]);
        }
    }
    if (o->field == CEL_SCORE_FIELD_SLIDE) {
        report->field = field;
        memset(&field, 0, sizeof field);
    }
    if (!status && !o->no_errors && sc->groups > 1)
        status = celi_score_jackknife(sc, o, ridge, l1, f, out->force, report);
    cel_mat_free(&f);
    cel_mat_free(&field);
    return status;
}

/* The number of labels 0, 1, .. in label (count), each used; -1 where one is negative or not used. */
static int64_t celi_score_labels(const int32_t *label, int64_t count)
{
    int64_t i, top = 0;
    uint8_t *seen;
    for (i = 0; i < count; i++) {
        if (label[i] < 0 || label[i] >= count) return -1;
        if (label[i] >= top) top = (int64_t)label[i] + 1;
    }
    seen = (uint8_t *)celi_alloc((size_t)top, 1);
    if (!seen) return -2;
    for (i = 0; i < count; i++) seen[label[i]] = 1;
    for (i = 0; i < top && seen[i]; i++) continue;
    celi_free(seen);
    return i < top ? -1 : top;
}

/* What cel_score_fit was given, checked. */
typedef struct celi_score_data {
    const cel_relations *relations;
    cel_mat x;
    const int32_t *slide, *group;
    int64_t slides, groups;
    int negative; /* some entry is */
    double zeros; /* share of the entries */
} celi_score_data;

static cel_status celi_score_check(celi_score_data *d, const cel_score_options *o, int needs_groups)
{
    int64_t i, j;
    if (d->x.cols < 2 || d->x.rows < 1) return CEL_ERR_ARG;
    if (celi_relations_fit(d->relations, NULL, d->x.rows)) return CEL_ERR_SHAPE;
    for (i = 0; i < d->x.rows; i++) {
        const cel_real *x = d->x.data + i * d->x.stride;
        double square = 0;
        for (j = 0; j < d->x.cols; j++) {
            square += (double)x[j] * (double)x[j];
            if (x[j] < 0) d->negative = 1;
            d->zeros += x[j] < 0 || x[j] > 0 ? 0.0 : 1 / ((double)d->x.rows * (double)d->x.cols);
        }
        if (!(fabs(square - 1) <= 1e-3)) return CEL_ERR_DATA;
    }
    if (o->form == CEL_SCORE_ORTHANT && d->negative) return CEL_ERR_DATA;
    d->slides = d->groups = 0;
    if (o->field != CEL_SCORE_FIELD_SLIDE) d->slide = NULL;
    d->slides = d->slide ? celi_score_labels(d->slide, d->x.rows) : 1;
    if (!needs_groups) d->group = NULL;
    if (d->group) d->groups = celi_score_labels(d->group, d->x.rows);
    if (d->slides == -2 || d->groups == -2) return CEL_ERR_MEMORY;
    return d->slides < 0 || d->groups < 0 || d->groups == 1 ? CEL_ERR_DATA : CEL_OK;
}

/* Sets up sc for one form; parts and part_slide are the caller's to free. */
static cel_status celi_score_open(celi_score *sc, const celi_score_data *d, cel_score_form form,
                                  const cel_score_options *o, cel_moments **parts, int64_t *count, int32_t **part_slide,
                                  cel_work *work)
{
    int64_t i;
    const int32_t *label = form != CEL_SCORE_MOMENT ? NULL : d->group ? d->group : d->slide;
    cel_status status = CEL_OK;
    *count = label ? (d->group ? d->groups : d->slides) : 1;
    *parts = (cel_moments *)celi_alloc((size_t)*count, sizeof **parts);
    *part_slide = (int32_t *)celi_alloc((size_t)*count, sizeof **part_slide);
    if (!*parts || !*part_slide) return CEL_ERR_MEMORY;
    for (i = 0; i < *count && !status; i++) status = cel_moments_new(d->x.cols, d->relations, *parts + i);
    if (!status)
        status = label ? cel_moments_add_by_label(*parts, *count, label, d->relations, d->x, work)
                       : cel_moments_add(*parts, d->relations, d->x, NULL, 0, work);
    if (!status && label && d->slide) {
        for (i = 0; i < d->x.rows; i++) (*part_slide)[label[i]] = d->slide[i];
        for (i = 0; i < d->x.rows && !status; i++)
            if ((*part_slide)[label[i]] != d->slide[i]) status = CEL_ERR_DATA;
    }
    /* Of the forms over cells the moments only make the preconditioner: one part, one field for all. */
    if (!status)
        status = celi_score_new(sc, form, o, d->relations, *parts, *count, *part_slide, d->slides, d->x,
                                d->slide, d->group, d->groups, work);
    return status;
}

static void celi_score_close(celi_score *sc, cel_moments **parts, int64_t count, int32_t **part_slide)
{
    int64_t i;
    celi_score_free(sc);
    for (i = 0; i < count && *parts; i++) cel_moments_free(*parts + i);
    celi_free(*parts);
    celi_free(*part_slide);
    *parts = NULL;
    *part_slide = NULL;
}

/* Held-out J+ per cell of a form; a weight that is to be picked is picked first, and put into o. */
static cel_status celi_score_rate(const celi_score_data *d, cel_score_form form, cel_score_options *o, double *value,
                                  cel_score_report *report, cel_work *work)
{
    celi_score sc;
    cel_moments *parts = NULL;
    int32_t *part_slide = NULL;
    int64_t count = 0, folds, k, i, n = d->x.cols;
    double *each = (double *)celi_alloc((size_t)d->x.rows, sizeof *each), all;
    celi_score_solve how;
    cel_model model;
    cel_mat f, field, none;
    cel_status status = each ? CEL_OK : CEL_ERR_MEMORY;
    memset(&sc, 0, sizeof sc);
    memset(&f, 0, sizeof f);
    memset(&none, 0, sizeof none);
    memset(&field, 0, sizeof field);
    memset(&model, 0, sizeof model);
    *value = 0;
    if (!status) status = cel_model_new(n, d->relations->count, o->field != CEL_SCORE_FIELD_NONE, &model);
    if (!status) status = celi_score_open(&sc, d, form, o, &parts, &count, &part_slide, work);
    if (!status) status = cel_mat_new(d->relations->count * n, n, &f);
    if (!status) status = cel_mat_new(sc.slides, n, &field);
    if (!status && (o->ridge < 0 || o->l1 < 0)) status = celi_score_pick(&sc, o, &o->ridge, &o->l1, report);
    folds = status ? 0 : celi_score_folds(&sc, o);
    for (k = 0; k < folds && !status; k++) {
        cel_mat_fill(f, 0);
        celi_score_fold(&sc, folds, k);
        status = celi_score_subset(&sc, 0, NULL);
        if (!status) status = celi_score_solve_at(&sc, o, 0, 0, f, o->ridge, o->l1, &how);
        if (!status) status = celi_score_forces(&sc, f, model.force, model.field ? field : none);
        for (i = 0; i < n && model.field && !status; i++) {
            int64_t s;
            for (model.field[i] = 0, s = 0; s < sc.slides; s++)
                model.field[i] += field.data[s * n + i] / (cel_real)sc.slides;
        }
        if (!status) status = cel_score_value(&model, d->relations, d->x, CEL_SCORE_ORTHANT, &all, each, work);
        for (i = 0; i < d->x.rows && !status; i++)
            if (d->group[i] >= k * d->groups / folds && d->group[i] < (k + 1) * d->groups / folds)
                *value += each[i] / (double)d->x.rows;
    }
    celi_free(each);
    cel_mat_free(&f);
    cel_mat_free(&field);
    cel_model_free(&model);
    celi_score_close(&sc, &parts, count, &part_slide);
    return status;
}

CEL_API_DEF cel_status cel_score_fit(const cel_relations *relations, cel_mat x, const int32_t *slide,
                                     const int32_t *group, const cel_score_options *options, cel_model *out,
                                     cel_score_report *report, cel_work *work)
{
    celi_score sc;
    celi_score_data d;
    cel_score_options o, other;
    cel_score_report own, own_other;
    cel_score_form plain;
    cel_moments *parts = NULL;
    int32_t *part_slide = NULL;
    int64_t count = 0;
    cel_work temporary;
    cel_status status;
    memset(&sc, 0, sizeof sc);
    memset(&d, 0, sizeof d);
    memset(&o, 0, sizeof o);
    memset(&own, 0, sizeof own);
    memset(out, 0, sizeof *out);
    memset(&temporary, 0, sizeof temporary);
    if (report) memset(report, 0, sizeof *report);
    if (options) o = *options;
    if (!work) work = &temporary;
    d.relations = relations;
    d.x = x;
    d.slide = slide;
    d.group = group;
    if ((o.ridge < 0 && o.l1 < 0) || !isfinite(o.ridge) || !isfinite(o.l1)) return CEL_ERR_ARG;
    if (o.form == CEL_SCORE_PICK || o.ridge < 0 || o.l1 < 0) {
        if (!group) return CEL_ERR_DATA;
        count = 1;
    }
    status = celi_score_check(&d, &o, count || !o.no_errors);
    if (status) return status;
    count = 0;
    plain = x.cols < 30 ? CEL_SCORE_EXACT : CEL_SCORE_MOMENT;
    if (o.form == CEL_SCORE_AUTO || (o.form == CEL_SCORE_PICK && d.negative)) o.form = plain;
    if (o.form == CEL_SCORE_PICK) {
        double value = 0, value_other = 0;
        memset(&own_other, 0, sizeof own_other);
        other = o;
        status = celi_score_rate(&d, plain, &o, &value, &own, work);
        if (!status) status = celi_score_rate(&d, CEL_SCORE_ORTHANT, &other, &value_other, &own_other, work);
        o.form = plain;
        if (value_other < value) {
            o = other;
            own = own_other;
            o.form = CEL_SCORE_ORTHANT;
        }
        own.held_out = value_other < value ? value_other : value;
        own.held_out_other = value_other < value ? value : value_other;
    }
    if (!status) status = cel_model_new(x.cols, relations->count, o.field != CEL_SCORE_FIELD_NONE, out);
    own.zeros = d.zeros;
    if (!status) status = celi_score_open(&sc, &d, o.form, &o, &parts, &count, &part_slide, work);
    if (!status) status = celi_score_run(&sc, &o, out, &own);
    celi_score_close(&sc, &parts, count, &part_slide);
    if (status) cel_model_free(out);
    if (status || !report) cel_score_report_free(&own);
    else *report = own;
    cel_work_free(&temporary);
    return status;
}

CEL_API_DEF cel_status cel_score_fit_moments(const cel_moments *moments, int64_t groups, const int32_t *slide,
                                             const cel_score_options *options, cel_model *out,
                                             cel_score_report *report, cel_work *work)
{
    celi_score sc;
    cel_score_options o;
    cel_score_report own;
    cel_work temporary;
    cel_mat none;
    int64_t g, slides = 1;
    cel_status status = CEL_OK;
    memset(&sc, 0, sizeof sc);
    memset(&o, 0, sizeof o);
    memset(&own, 0, sizeof own);
    memset(&none, 0, sizeof none);
    memset(out, 0, sizeof *out);
    memset(&temporary, 0, sizeof temporary);
    if (report) memset(report, 0, sizeof *report);
    if (options) o = *options;
    if (!work) work = &temporary;
    if ((o.form != CEL_SCORE_AUTO && o.form != CEL_SCORE_MOMENT) || groups < 1 ||
        (o.ridge < 0 && o.l1 < 0) || !isfinite(o.ridge) || !isfinite(o.l1))
        return CEL_ERR_ARG;
    if ((o.ridge < 0 || o.l1 < 0) && groups < 2) return CEL_ERR_DATA;
    for (g = 0; g < groups; g++) {
        if (!celi_moments_alike(moments + g, moments)) return CEL_ERR_SHAPE;
        if (moments[g].cells < 1) return CEL_ERR_DATA;
    }
    if (o.field == CEL_SCORE_FIELD_SLIDE && slide) {
        for (g = 0; g < groups; g++) {
            if (slide[g] < 0 || slide[g] >= groups) return CEL_ERR_ARG;
            if (slide[g] >= slides) slides = (int64_t)slide[g] + 1;
        }
    }
    status = cel_model_new(moments[0].genes, moments[0].relations, o.field != CEL_SCORE_FIELD_NONE, out);
    if (!status)
        status = celi_score_new(&sc, CEL_SCORE_MOMENT, &o, NULL, moments, groups, slide, slides, none,
                                NULL, NULL, groups, work);
    if (!status) status = celi_score_run(&sc, &o, out, &own);
    celi_score_free(&sc);
    if (status) cel_model_free(out);
    if (status || !report) cel_score_report_free(&own);
    else *report = own;
    cel_work_free(&temporary);
    return status;
}

CEL_API_DEF cel_status cel_score_value(const cel_model *model, const cel_relations *relations, cel_mat x,
                                           cel_score_form form, double *value, double *each, cel_work *work)
{
    int64_t n = model->genes, S = x.rows, c, i;
    double *scratch = (double *)celi_alloc((size_t)(CELI_SCORE_CHUNKS * (3 * n + 1)), sizeof *scratch);
    cel_mat v;
    cel_status status;
    *value = 0;
    memset(&v, 0, sizeof v);
    if (form == CEL_SCORE_AUTO) form = CEL_SCORE_EXACT;
    status = !scratch ? CEL_ERR_MEMORY : form == CEL_SCORE_PICK || S < 1 ? CEL_ERR_ARG : cel_mat_new(S, n, &v);
    if (!status) status = cel_model_energy(model, relations, x, NULL, NULL, v, work);
    if (!status) {
        cel_mat F = cel_model_force(model, 0);
        CELI_OMP(omp parallel for schedule(static) if (S * n > CELI_FORK / 4))
        for (c = 0; c < CELI_SCORE_CHUNKS; c++) {
            double *a = scratch + c * (3 * n + 1), *u = a + n, *l = u + n;
            int64_t cell, j, k;
            for (cell = c * S / CELI_SCORE_CHUNKS; cell < (c + 1) * S / CELI_SCORE_CHUNKS; cell++) {
                const cel_real *y = x.data + cell * x.stride, *w = v.data + cell * n;
                double value_i = 0, along = 0;
                celi_score_cell(form, n, y, 1, a, u, l);
                for (k = 0; k < n; k++) {
                    value_i += (0.5 * a[k] * (double)w[k] - l[k]) * (double)w[k];
                    along += u[k] * (double)w[k];
                }
                value_i -= 0.5 * along * along;
                for (k = 0; k < n; k++) {
                    double sum = 0, from = form == CEL_SCORE_MOMENT ? (double)y[k] : u[k];
                    for (j = 0; j < n; j++)
                        sum += (double)F.data[k * F.stride + j] * (form == CEL_SCORE_MOMENT ? (double)y[j] : u[j]);
                    value_i += 2 * (a[k] * (double)F.data[k * F.stride + k] - from * sum);
                }
                l[n] += value_i;
                if (each) each[cell] = value_i;
            }
        }
        for (i = 0; i < CELI_SCORE_CHUNKS; i++) *value += scratch[i * (3 * n + 1) + 3 * n] / (double)S;
        if (!isfinite(*value)) status = CEL_ERR_NUMERIC;
    }
    if (status) *value = 0;
    celi_free(scratch);
    cel_mat_free(&v);
    return status;
}

CEL_API_DEF cel_status cel_score_value_moments(const cel_model *model, const cel_moments *moments, double *value)
{
    /* J = 1/2 <T, G T> - <T, l> + 2 <F_0, S I - X^T X>, T the coefficients of B in v: blocks 2 F (symmetric), F^T and F
     * (else), and 2 h; l = (n - 1) B^T X. */
    int64_t n = model->genes, m = moments->blocks * n, w = m + 1, b = 0, r, i;
    double *t, *share, total = 0;
    *value = 0;
    if (moments->genes != n || moments->relations != model->relations) return CEL_ERR_SHAPE;
    if (moments->cells < 1) return CEL_ERR_DATA;
    t = (double *)celi_alloc((size_t)(w * (n + 1)), sizeof *t);
    share = t + w * n;
    if (!t) return CEL_ERR_MEMORY;
    for (r = 0; r < model->relations; r++) {
        cel_mat F = cel_model_force(model, r);
        int64_t j, k, count = moments->block[r + 1] - b;
        for (k = 0; k < count; k++, b++)
            for (i = 0; i < n; i++)
                for (j = 0; j < n; j++) {
                    double f = (double)F.data[i * F.stride + j], ft = (double)F.data[j * F.stride + i];
                    t[(b * n + i) * n + j] = count < 2 ? f + ft : k ? f : ft;
                }
    }
    for (i = 0; i < n; i++) t[m * n + i] = model->field ? 2 * (double)model->field[i] : 0.0;
    CELI_OMP(omp parallel for schedule(static) if (w * w * n > CELI_FORK))
    for (i = 0; i < w; i++) {
        int64_t j, k;
        for (k = 0; k < w; k++) {
            const double *a = t + i * n, *c = t + k * n;
            double dot = 0;
            for (j = 0; j < n; j++) dot += a[j] * c[j];
            share[i] += 0.5 * dot * moments->gram[i * w + k];
        }
        for (j = 0; j < n; j++) share[i] -= (double)(n - 1) * t[i * n + j] * moments->gram[i * w + j];
        for (j = 0; j < n && i < n; j++)
            share[i] += t[i * n + j] * ((i == j ? (double)moments->cells : 0.0) - moments->gram[i * w + j]);
    }
    for (i = 0; i < w; i++) total += share[i];
    celi_free(t);
    *value = total / (double)moments->cells;
    return isfinite(*value) ? CEL_OK : CEL_ERR_NUMERIC;
}

CEL_API_DEF cel_status cel_score_pseudo_likelihood(const cel_model *model, const cel_relations *relations, cel_mat x,
                                                 double *mean, double *each, cel_work *work)
{
    /* log p(x_i | rest) = x^T F_0 x + b^T x - log c(F_0, b), b = dH/dx_i - 2 F_0 x: all but i's own part. */
    int64_t n = model->genes, S = x.rows, c, i;
    double *scratch = (double *)celi_alloc((size_t)(n + CELI_SCORE_CHUNKS * (n + 1)), sizeof *scratch);
    cel_status failed[CELI_SCORE_CHUNKS], status;
    cel_mat v, own, turned, F, basis;
    *mean = 0;
    memset(failed, 0, sizeof failed);
    memset(&v, 0, sizeof v);
    memset(&F, 0, sizeof F);
    memset(&own, 0, sizeof own);
    memset(&basis, 0, sizeof basis);
    memset(&turned, 0, sizeof turned);
    status = !scratch ? CEL_ERR_MEMORY : S < 1 ? CEL_ERR_ARG : cel_mat_new(S, n, &v);
    if (!status) status = cel_mat_new(S, n, &own);
    if (!status) status = cel_mat_new(S, n, &turned);
    if (!status) status = cel_mat_new(n, n, &F);
    if (!status) status = cel_mat_new(n, n, &basis);
    if (!status) status = cel_model_energy(model, relations, x, NULL, NULL, v, work);
    if (!status) {
        cel_mat_copy(cel_model_force(model, 0), F);
        cel_mat_symmetrise(F);
        status = cel_mat_gemm(0, 0, 2, x, F, 0, own, work);
    }
    if (!status) {
        cel_mat_axpy(-1, own, v);
        status = cel_mat_eigen(F, scratch, basis);
    }
    if (!status) status = cel_mat_gemm(0, 0, 1, v, basis, 0, turned, work);
    if (!status) {
        for (i = 0; i < n; i++) scratch[i] = -scratch[i];
        CELI_OMP(omp parallel for schedule(static) if (S * n > CELI_FORK / 8))
        for (c = 0; c < CELI_SCORE_CHUNKS; c++) {
            double *gamma = scratch + n + c * (n + 1), log_c;
            int64_t cell, k;
            for (cell = c * S / CELI_SCORE_CHUNKS; cell < (c + 1) * S / CELI_SCORE_CHUNKS && !failed[c]; cell++) {
                const cel_real *y = x.data + cell * x.stride;
                double log_p;
                for (k = 0; k < n; k++) gamma[k] = (double)turned.data[cell * n + k];
                failed[c] = cel_sphere_log_fb(n, scratch, gamma, &log_c, NULL, NULL);
                log_p = cel_vec_dot(n, y, v.data + cell * n) + 0.5 * cel_vec_dot(n, y, own.data + cell * n) - log_c;
                gamma[n] += log_p;
                if (each) each[cell] = log_p;
            }
        }
        for (c = 0; c < CELI_SCORE_CHUNKS; c++) {
            if (failed[c]) status = failed[c];
            *mean += scratch[n + c * (n + 1) + n] / (double)S;
        }
    }
    if (status) *mean = 0;
    celi_free(scratch);
    cel_mat_free(&v);
    cel_mat_free(&own);
    cel_mat_free(&turned);
    cel_mat_free(&F);
    cel_mat_free(&basis);
    return status;
}

/* ======================================================================== */
/* published                                                                */
/* ======================================================================== */

/* The streams of random numbers drawn here and in the published generator. */
enum { CELI_STREAM_START = 0x70610001, CELI_STREAM_SHUFFLE = 0x70610002, CELI_STREAM_ANGLES = 0x70610003 };

CEL_API_DEF cel_status cel_adam_new(int64_t count, cel_adam *out)
{
    memset(out, 0, sizeof *out);
    if (count < 0) return CEL_ERR_ARG;
    out->m = (double *)celi_alloc((size_t)count, sizeof(double));
    out->v = (double *)celi_alloc((size_t)count, sizeof(double));
    out->count = count;
    if (out->m && out->v) return CEL_OK;
    cel_adam_free(out);
    return CEL_ERR_MEMORY;
}

CEL_API_DEF void cel_adam_free(cel_adam *a)
{
    celi_free(a->m);
    celi_free(a->v);
    memset(a, 0, sizeof *a);
}

/* The constants of one step, bias corrections included. */
typedef struct celi_adam_rule {
    double b1, b2, rate, root, eps, decay;
} celi_adam_rule;

/* Opens step t + 1 of the state. */
static celi_adam_rule celi_adam_next(cel_adam *a, const cel_adam_options *o)
{
    cel_adam_options none;
    celi_adam_rule r;
    double t = (double)++a->step, lr;
    memset(&none, 0, sizeof none);
    if (!o) o = &none;
    lr = celi_or(o->lr, 0.001);
    r.b1 = celi_or(o->beta1, 0.9);
    r.b2 = celi_or(o->beta2, 0.999);
    r.eps = celi_or(o->eps, 1e-8);
    r.decay = lr * o->weight_decay;
    r.rate = lr / (1 - pow(r.b1, t));
    r.root = 1 / (1 - pow(r.b2, t));
    return r;
}

/* What to take off the parameter p with gradient g, its moments m and v brought up to date. */
static double celi_adam_delta(const celi_adam_rule *r, double g, double p, double *m, double *v)
{
    *m = r->b1 * *m + (1 - r->b1) * g;
    *v = r->b2 * *v + (1 - r->b2) * g * g;
    return r->rate * *m / (sqrt(*v * r->root) + r->eps) + r->decay * p;
}

CEL_API_DEF void cel_adam_step(cel_adam *a, const cel_adam_options *options, cel_mat grad, cel_mat param)
{
    celi_adam_rule r = celi_adam_next(a, options);
    int64_t i;
    CELI_OMP(omp parallel for schedule(static) if (a->count > 10000))
    for (i = 0; i < param.rows; i++) {
        const cel_real *g = grad.data + i * grad.stride;
        cel_real *x = param.data + i * param.stride;
        double *m = a->m + i * param.cols, *v = a->v + i * param.cols;
        int64_t j;
        for (j = 0; j < param.cols; j++)
            x[j] = (cel_real)((double)x[j] - celi_adam_delta(&r, (double)g[j], (double)x[j], m + j, v + j));
    }
}

CEL_API_DEF void cel_adam_step_double(cel_adam *a, const cel_adam_options *options, const double *grad, double *param)
{
    celi_adam_rule r = celi_adam_next(a, options);
    int64_t i;
    CELI_OMP(omp parallel for schedule(static) if (a->count > 10000))
    for (i = 0; i < a->count; i++) param[i] -= celi_adam_delta(&r, grad[i], param[i], a->m + i, a->v + i);
}

/* What the kernels below need of one row of both forces, and of the slide to step down or to evaluate. */
typedef struct celi_paper_row {
    double *intra, *inter;               /* (n) the row, of the forces or of their gradient */
    const double *c0, *c1, *mean, *u;    /* (n) of the slide */
    double by_mean, by_u;                /* r_j = by_mean mean_j + by_u u_j */
    double r_intra, r_inter, data;       /* intra += r_intra r + data c0, inter += r_inter r + data c1, */
    double low, high;                    /* then clamped to [low, high] */
    double q, own, *spread;              /* spread_j += own (2 intra_j + q inter_j) */
    double total[3];                     /* sums of (2 intra + q inter) mean, intra c0, inter c1 */
} celi_paper_row;

/* The kernels' text, on vectors S##_d of doubles: columns j of a row, `bytes` of a vector at its end. NaN
 * passes the clamp: the second operand of dmin and dmax is what an unordered pair gives. */
#if !defined(CELI_INLINE)
#define CELI_INLINE static inline CEL_UNUSED
#endif
#define CELI_PAPER_KERNELS(T, S)                                                                                      \
    T CELI_INLINE S##_d S##_part(const double *p, size_t bytes)                                                       \
    {                                                                                                                 \
        S##_d v = S##_dset(0);                                                                                        \
        memcpy(&v, p, bytes);                                                                                         \
        return v;                                                                                                     \
    }                                                                                                                 \
    T CELI_INLINE void S##_paper_step_at(const celi_paper_row *a, int64_t j, size_t bytes)                            \
    {                                                                                                                 \
        S##_d r = S##_dfma(S##_dset(a->by_u), S##_part(a->u + j, bytes), S##_dset(0)), g, h;                          \
        r = S##_dfma(S##_dset(a->by_mean), S##_part(a->mean + j, bytes), r);                                          \
        g = S##_dfma(S##_dset(a->r_intra), r, S##_part(a->intra + j, bytes));                                         \
        h = S##_dfma(S##_dset(a->r_inter), r, S##_part(a->inter + j, bytes));                                         \
        g = S##_dfma(S##_dset(a->data), S##_part(a->c0 + j, bytes), g);                                               \
        h = S##_dfma(S##_dset(a->data), S##_part(a->c1 + j, bytes), h);                                               \
        g = S##_dmin(S##_dset(a->high), S##_dmax(S##_dset(a->low), g));                                               \
        h = S##_dmin(S##_dset(a->high), S##_dmax(S##_dset(a->low), h));                                               \
        memcpy(a->intra + j, &g, bytes);                                                                              \
        memcpy(a->inter + j, &h, bytes);                                                                              \
    }                                                                                                                 \
    T static void S##_paper_step(const celi_paper_row *a, int64_t j, int64_t n)                                       \
    {                                                                                                                 \
        enum { W = (int)(sizeof(S##_d) / sizeof(double)) };                                                           \
        for (; j + W <= n; j += W) S##_paper_step_at(a, j, sizeof(S##_d));                                            \
        if (j < n) S##_paper_step_at(a, j, (size_t)(n - j) * sizeof(double));                                         \
    }                                                                                                                 \
    T CELI_INLINE void S##_paper_sum_at(const celi_paper_row *a, int64_t j, size_t bytes, S##_d *sum)                 \
    {                                                                                                                 \
        S##_d g = S##_part(a->intra + j, bytes), h = S##_part(a->inter + j, bytes), both, v;                          \
        both = S##_dfma(S##_dset(a->q), h, S##_dfma(S##_dset(2), g, S##_dset(0)));                                    \
        v = S##_dfma(S##_dset(a->own), both, S##_part(a->spread + j, bytes));                                         \
        memcpy(a->spread + j, &v, bytes);                                                                             \
        sum[0] = S##_dfma(both, S##_part(a->mean + j, bytes), sum[0]);                                                \
        sum[1] = S##_dfma(g, S##_part(a->c0 + j, bytes), sum[1]);                                                     \
        sum[2] = S##_dfma(h, S##_part(a->c1 + j, bytes), sum[2]);                                                     \
    }                                                                                                                 \
    T static void S##_paper_sum(celi_paper_row *a, int64_t j, int64_t n)                                              \
    {                                                                                                                 \
        enum { W = (int)(sizeof(S##_d) / sizeof(double)) };                                                           \
        S##_d sum[3];                                                                                                 \
        double lane[3][W];                                                                                            \
        int k, l;                                                                                                     \
        sum[0] = sum[1] = sum[2] = S##_dset(0);                                                                       \
        for (; j + W <= n; j += W) S##_paper_sum_at(a, j, sizeof(S##_d), sum);                                        \
        if (j < n) S##_paper_sum_at(a, j, (size_t)(n - j) * sizeof(double), sum);                                     \
        memcpy(lane, sum, sizeof sum);                                                                                \
        for (k = 0; k < 3; k++)                                                                                       \
            for (a->total[k] = lane[k][0], l = 1; l < W; l++) a->total[k] += lane[k][l];                              \
    }

typedef double celi_scalar_d;
#define celi_scalar_dset(a) (a)
#define celi_scalar_dfma(a, b, c) ((a) * (b) + (c))
#define celi_scalar_dmin(a, b) celi_pick((a) < (b), a, b)
#define celi_scalar_dmax(a, b) celi_pick((a) > (b), a, b)
static double celi_pick(int first, double a, double b) { return first ? a : b; }
CELI_PAPER_KERNELS(, celi_scalar)
#if defined(CELI_X86)
#define celi_avx2_dmin(a, b) _mm256_min_pd(a, b)
#define celi_avx2_dmax(a, b) _mm256_max_pd(a, b)
CELI_PAPER_KERNELS(CELI_AVX2, celi_avx2)
#elif defined(CELI_NEON)
#define celi_neon_dmin(a, b) vminq_f64(a, b)
#define celi_neon_dmax(a, b) vmaxq_f64(a, b)
CELI_PAPER_KERNELS(, celi_neon)
#endif

typedef struct celi_paper_kernels {
    void (*step)(const celi_paper_row *a, int64_t from, int64_t n);
    void (*sum)(celi_paper_row *a, int64_t from, int64_t n);
} celi_paper_kernels;

static celi_paper_kernels celi_paper_kernel(void)
{
    celi_paper_kernels k;
#define CELI_PAPER_PICK(S) (k.step = S##_paper_step, k.sum = S##_paper_sum)
    CELI_PAPER_PICK(celi_scalar);
#if defined(CELI_X86)
    if (cel_level_get() >= CEL_LEVEL_AVX2) CELI_PAPER_PICK(celi_avx2); /* wider ones wait for memory */
#elif defined(CELI_NEON)
    if (cel_level_get() == CEL_LEVEL_NEON) CELI_PAPER_PICK(celi_neon);
#endif
#undef CELI_PAPER_PICK
    return k;
}

/* Rows are cut into this many runs, each with its own partial sums: bits do not depend on threads. */
enum { CELI_PAPER_RUNS = 16 };

/* One slide as the published objective sees it. log Z's gradient is q r by F_1 and 2 r by F_0, with
 * r = S (f'(k)/k) u m^T - (S/2) m m^T, because A = M / 2 in manual, section 2. */
typedef struct celi_paper_slide {
    double *c0, *c1;    /* (n x n) X^T X and X^T W X */
    double *mean, *u;   /* (n) m, and M m at the last evaluation */
    double *spread;     /* (CELI_PAPER_RUNS x n) the runs' shares of M m */
    double energy[CELI_PAPER_RUNS][2];
    double cells, q;
    double curl; /* S f'(k) / k at the last evaluation */
    cel_paper_value loss;
} celi_paper_slide;

/* The state of a fit: forces in double, whatever cel_real is. Once folded, forces are symmetric with unit
 * diagonals, and only what is right of the diagonal is kept up to date. */
typedef struct celi_paper_fit {
    int64_t n, slides;
    double *intra, *inter; /* (n x n) */
    double *gradient;      /* (2 x n x n), Adam only: intra, inter */
    celi_paper_slide *slide;
    double *arrays; /* what the slides point into */
    cel_adam adam;
    double zmft;
    cel_sphere sphere;
    int folded;
} celi_paper_fit;

static void celi_paper_close(celi_paper_fit *f)
{
    celi_free(f->intra);
    celi_free(f->gradient);
    celi_free(f->slide);
    celi_free(f->arrays);
    cel_adam_free(&f->adam);
    memset(f, 0, sizeof *f);
}

/* Checks and opens everything; on failure nothing is left open. */
static cel_status celi_paper_open(celi_paper_fit *f, const cel_moments *moments, int64_t slides,
                                  const cel_paper_options *o, const cel_model *model)
{
    int64_t n = model->genes, s, i, j, each = n * (2 * n + CELI_PAPER_RUNS + 2);
    size_t square = (size_t)n * (size_t)n;
    memset(f, 0, sizeof *f);
    if (model->field || n < 1 || slides < 1 || o->epochs < 0 || o->lr < 0 || o->q < 0) return CEL_ERR_ARG;
    if (model->relations != 2 || model->force.rows != 2 * n || model->force.cols != n) return CEL_ERR_SHAPE;
    if (o->sphere == CEL_SPHERE_RIGHT && n < 2) return CEL_ERR_ARG;
    for (s = 0; s < slides; s++) {
        if (moments[s].genes != n || moments[s].blocks < 2) return CEL_ERR_SHAPE;
        if (moments[s].cells < 1) return CEL_ERR_DATA;
        if (o->slide_q && !(o->slide_q[s] > 0)) return CEL_ERR_ARG;
    }
    f->n = n;
    f->slides = slides;
    f->zmft = celi_or(o->zmft, 0.1);
    f->sphere = o->sphere;
    f->intra = (double *)celi_alloc(2 * square, sizeof(double));
    f->slide = (celi_paper_slide *)celi_alloc((size_t)slides, sizeof(celi_paper_slide));
    f->arrays = (double *)celi_alloc((size_t)slides, (size_t)each * sizeof(double));
    if (!f->intra || !f->slide || !f->arrays) goto fail;
    f->inter = f->intra + square;
    if (o->optimiser == CEL_OPTIMISER_ADAM) {
        f->gradient = (double *)celi_alloc(2 * square, sizeof(double));
        if (!f->gradient || cel_adam_new(2 * n * n, &f->adam) != CEL_OK) goto fail;
    }
    for (s = 0; s < slides; s++) {
        celi_paper_slide *t = f->slide + s;
        t->c0 = f->arrays + s * each;
        t->c1 = t->c0 + n * n;
        t->mean = t->c1 + n * n;
        t->u = t->mean + n;
        t->spread = t->u + n;
        t->cells = (double)moments[s].cells;
        t->q = o->slide_q ? o->slide_q[s] : celi_or(o->q, 6);
        cel_moments_mean(moments + s, t->mean);
        cel_moments_cross(moments + s, 0, t->c0);
        cel_moments_cross(moments + s, 1, t->c1);
    }
    for (i = 0; i < n; i++)
        for (j = 0; j < n; j++) {
            f->intra[i * n + j] = (double)model->force.data[i * model->force.stride + j];
            f->inter[i * n + j] = (double)model->force.data[(n + i) * model->force.stride + j];
        }
    return CEL_OK;
fail:
    celi_paper_close(f);
    return CEL_ERR_MEMORY;
}

/* a (n x n) = (a + a^T) / 2. */
static void celi_paper_symmetrise(int64_t n, double *a)
{
    int64_t i, j;
    for (i = 0; i < n; i++)
        for (j = 0; j < i; j++) a[i * n + j] = a[j * n + i] = (a[i * n + j] + a[j * n + i]) / 2;
}

/* Before the first projected step: P(F - lr dF) needs the symmetric parts of F and of dF only. */
static void celi_paper_fold(celi_paper_fit *f)
{
    int64_t n = f->n, i;
    celi_paper_symmetrise(n, f->intra);
    celi_paper_symmetrise(n, f->inter);
    for (i = 0; i < n; i++) f->intra[i * n + i] = f->inter[i * n + i] = 1;
    for (i = 0; i < f->slides; i++) celi_paper_symmetrise(n, f->slide[i].c1);
    f->folded = 1;
}

/* What the kernels need of row i of slide t. */
static void celi_paper_at(celi_paper_row *a, const celi_paper_fit *f, const celi_paper_slide *t, int64_t i,
                          double *intra, double *inter)
{
    a->intra = intra;
    a->inter = inter;
    a->c0 = t->c0 + i * f->n;
    a->c1 = t->c1 + i * f->n;
    a->mean = t->mean;
    a->u = t->u;
    a->q = t->q;
}

/* Row i, from column `from`, of (intra, inter) -= rate * the gradient of slide t, then clamped. */
static void celi_paper_descend(const celi_paper_fit *f, const celi_paper_kernels *kern, const celi_paper_slide *t,
                               int64_t i, int64_t from, double rate, int clamp, double *intra, double *inter)
{
    celi_paper_row a;
    double w = f->folded ? 0.5 : 1;
    celi_paper_at(&a, f, t, i, intra, inter);
    a.by_mean = w * t->curl * t->u[i] - t->cells / 2 * t->mean[i];
    a.by_u = (1 - w) * t->curl * t->mean[i];
    a.r_intra = -2 * rate;
    a.r_inter = -t->q * rate;
    a.data = f->zmft * rate;
    a.low = clamp ? 0 : -HUGE_VAL;
    a.high = clamp ? 1 : HUGE_VAL;
    kern->step(&a, from, f->n);
}

/* Row i's share of M m and of the energies of slide t, into a run's sums. */
static void celi_paper_evaluate(const celi_paper_fit *f, const celi_paper_kernels *kern, celi_paper_slide *t, int64_t i,
                                int64_t run)
{
    celi_paper_row a;
    double twice = f->folded ? 2 : 1;
    celi_paper_at(&a, f, t, i, f->intra + i * f->n, f->inter + i * f->n);
    a.own = f->folded ? t->mean[i] : 0;
    a.spread = t->spread + run * f->n;
    kern->sum(&a, f->folded ? i + 1 : 0, f->n);
    a.spread[i] += a.total[0];
    t->energy[run][0] += twice * a.total[1];
    t->energy[run][1] += twice * a.total[2];
    if (f->folded) {
        a.spread[i] += (2 * a.intra[i] + t->q * a.inter[i]) * t->mean[i];
        t->energy[run][0] += a.intra[i] * a.c0[i];
        t->energy[run][1] += a.inter[i] * a.c1[i];
    }
}

/* log Z and the loss of a slide from its runs' sums. */
static void celi_paper_finish(const celi_paper_fit *f, celi_paper_slide *t)
{
    int64_t n = f->n, dim = f->sphere == CEL_SPHERE_RIGHT ? n : 3, i, run;
    double kk = 0, mu = 0, a, k;
    cel_paper_value *l = &t->loss;
    memset(l, 0, sizeof *l);
    for (i = 0; i < n; i++) {
        for (run = 1, t->u[i] = t->spread[i]; run < CELI_PAPER_RUNS; run++) t->u[i] += t->spread[run * n + i];
        kk += t->u[i] * t->u[i];
        mu += t->mean[i] * t->u[i];
    }
    for (run = 0; run < CELI_PAPER_RUNS; run++) {
        l->intra += t->energy[run][0];
        l->inter += t->energy[run][1];
    }
    l->kappa = k = sqrt(kk);
    /* log((e^k - e^-k)/k) is log 2 + phi_3(k). */
    l->log_z = f->sphere == CEL_SPHERE_RIGHT ? cel_sphere_log_area(n) : 0.69314718055994530942;
    l->log_z = t->cells * (l->log_z + cel_sphere_phi(dim, k, &a, NULL) - mu / 2);
    l->loss = l->log_z - f->zmft * (l->intra + l->inter);
    t->curl = t->cells * (k > 0 ? a / k : 1 / (double)dim);
}

/* The first row of a run: runs of equal work, for whole rows or for what is right of the diagonal. */
static int64_t celi_paper_run(const celi_paper_fit *f, int64_t run)
{
    double share = (double)run / (double)CELI_PAPER_RUNS;
    if (run == CELI_PAPER_RUNS) return f->n;
    return (int64_t)((double)f->n * (f->folded ? 1 - sqrt(1 - share) : share));
}

/* A run's rows of one pass over the forces: a step at rate lr down the gradients of slides down[0..downs), or with
 * Adam those gradients only, and the loss of slides next[0..nexts) at the result. */
static void celi_paper_rows(celi_paper_fit *f, const celi_paper_kernels *kern, int64_t run, double lr,
                            const int64_t *down, int64_t downs, const int64_t *next, int64_t nexts)
{
    int64_t n = f->n, i, k, end = celi_paper_run(f, run + 1);
    for (k = 0; k < nexts; k++) {
        celi_paper_slide *t = f->slide + next[k];
        memset(t->spread + run * n, 0, (size_t)n * sizeof(double));
        t->energy[run][0] = t->energy[run][1] = 0;
    }
    for (i = celi_paper_run(f, run); i < end; i++) {
        double *intra = (f->gradient ? f->gradient : f->intra) + i * n, *inter = intra + n * n;
        if (f->gradient && downs > 0) {
            memset(intra, 0, (size_t)n * sizeof(double));
            memset(inter, 0, (size_t)n * sizeof(double));
        }
        for (k = 0; k < downs; k++)
            celi_paper_descend(f, kern, f->slide + down[k], i, f->folded ? i + 1 : 0, f->gradient ? -1 : lr,
                               f->folded && !f->gradient && k + 1 == downs, intra, inter);
        for (k = 0; k < nexts; k++) celi_paper_evaluate(f, kern, f->slide + next[k], i, run);
    }
}

static void celi_paper_pass(celi_paper_fit *f, double lr, const int64_t *down, int64_t downs, const int64_t *next,
                            int64_t nexts)
{
    celi_paper_kernels kern = celi_paper_kernel();
    int adam = f->gradient && downs > 0;
    int64_t run, i;
    CELI_OMP(omp parallel for schedule(static, 1) if (f->n >= 200))
    for (run = 0; run < CELI_PAPER_RUNS; run++)
        celi_paper_rows(f, &kern, run, lr, down, downs, next, adam ? 0 : nexts);
    if (adam) { /* once folded, what is not right of the diagonal has no gradient and stays */
        cel_adam_options options;
        memset(&options, 0, sizeof options);
        options.lr = lr;
        cel_adam_step_double(&f->adam, &options, f->gradient, f->intra);
        for (i = 0; f->folded && i < f->adam.count; i++)
            f->intra[i] = f->intra[i] < 0 ? 0 : f->intra[i] > 1 ? 1 : f->intra[i];
        celi_paper_pass(f, lr, NULL, 0, next, nexts);
        return;
    }
    for (run = 0; run < nexts; run++) celi_paper_finish(f, f->slide + next[run]);
}

CEL_API_DEF cel_status cel_paper_start(uint64_t seed, const cel_model *model)
{
    int64_t n = model->genes, i, j;
    cel_mat f = model->force;
    if (model->relations != 2 || f.rows != 2 * n || f.cols != n) return CEL_ERR_SHAPE;
    for (i = 0; i < n; i++) {
        cel_rng rng = cel_rng_at(seed, CELI_STREAM_START, (uint32_t)i, 0);
        for (j = 0; j <= i; j++) {
            double u = cel_rng_uniform(&rng), v = i == j ? 1 : (u + cel_rng_uniform(&rng)) / 2;
            f.data[i * f.stride + j] = f.data[j * f.stride + i] = (cel_real)v;
            f.data[(n + i) * f.stride + j] = f.data[(n + j) * f.stride + i] = (cel_real)v;
        }
    }
    return CEL_OK;
}

CEL_API_DEF cel_status cel_paper_loss(const cel_model *model, const cel_moments *moments,
                                          const cel_paper_options *options, cel_paper_value *loss, cel_mat d_intra,
                                          cel_mat d_inter)
{
    cel_paper_options o;
    celi_paper_fit f;
    celi_paper_kernels kern = celi_paper_kernel();
    cel_status status;
    int64_t n = model->genes, i, j, first = 0;
    double *row;
    memset(loss, 0, sizeof *loss);
    memset(&o, 0, sizeof o);
    if (options) o = *options;
    o.slide_q = NULL;
    o.optimiser = CEL_OPTIMISER_SGD;
    if (d_intra.data && (d_intra.rows != n || d_intra.cols != n)) return CEL_ERR_SHAPE;
    if (d_inter.data && (d_inter.rows != n || d_inter.cols != n)) return CEL_ERR_SHAPE;
    status = celi_paper_open(&f, moments, 1, &o, model);
    if (status != CEL_OK) return status;
    celi_paper_pass(&f, 0, NULL, 0, &first, 1);
    *loss = f.slide[0].loss;
    row = f.slide[0].spread; /* free again: a row of each gradient */
    for (i = 0; i < n; i++) {
        memset(row, 0, 2 * (size_t)n * sizeof(double));
        celi_paper_descend(&f, &kern, f.slide, i, 0, -1, 0, row, row + n);
        for (j = 0; j < n && d_intra.data; j++) d_intra.data[i * d_intra.stride + j] = (cel_real)row[j];
        for (j = 0; j < n && d_inter.data; j++) d_inter.data[i * d_inter.stride + j] = (cel_real)row[n + j];
    }
    celi_paper_close(&f);
    return CEL_OK;
}

CEL_API_DEF cel_status cel_paper_fit(const cel_moments *moments, int64_t slides, const cel_paper_options *options,
                                     const cel_model *model, double *losses, cel_paper_report *report)
{
    cel_paper_options o;
    cel_paper_report made;
    celi_paper_fit f;
    cel_status status;
    int64_t n = model->genes, epochs, e, i, j, *order, at_bound = 0;
    double lr, before = 0;
    memset(&o, 0, sizeof o);
    memset(&made, 0, sizeof made);
    if (options) o = *options;
    if (report) *report = made;
    epochs = o.epochs > 0 ? o.epochs : 200;
    lr = celi_or(o.lr, 0.05);
    status = celi_paper_open(&f, moments, slides, &o, model);
    if (status != CEL_OK) return status;
    if (losses) memset(losses, 0, (size_t)epochs * sizeof(double));
    order = (int64_t *)celi_alloc((size_t)slides, sizeof(int64_t));
    if (!order) status = CEL_ERR_MEMORY;
    for (i = 0; i < slides && order; i++) order[i] = i;
    for (e = 0; e < epochs && status == CEL_OK && !made.converged; e++) {
        double loss = 0;
        int64_t together = o.summed ? slides : 1;
        cel_rng rng = cel_rng_at(o.seed, CELI_STREAM_SHUFFLE, 0, (uint32_t)e);
        for (i = slides - 1; i > 0 && !o.summed; i--) {
            int64_t k = cel_rng_integer(&rng, (uint32_t)(i + 1)), t = order[i];
            order[i] = order[k];
            order[k] = t;
        }
        if (e == 0) {
            celi_paper_pass(&f, lr, NULL, 0, order, together);
            if (!o.no_projection) celi_paper_fold(&f);
        } else if (!o.summed && slides > 1) {
            celi_paper_pass(&f, lr, NULL, 0, order, 1);
        }
        for (i = 0; i < slides; i += together) {
            int64_t left = slides - i - together, k;
            for (k = 0; k < together; k++) loss += f.slide[order[i + k]].loss.loss;
            /* The pass that steps down one slide evaluates the next; a lone slide, or all, itself again. */
            if (together == slides) celi_paper_pass(&f, lr, order, slides, order, slides);
            else celi_paper_pass(&f, lr, order + i, 1, order + i + 1, left > 0 ? 1 : 0);
        }
        if (losses) losses[e] = loss;
        made.epochs = e + 1;
        if (!(fabs(loss) <= DBL_MAX)) status = CEL_ERR_NUMERIC;
        else if (e > 0 && o.tolerance > 0 && fabs(loss - before) <= o.tolerance * fabs(before)) made.converged = 1;
        before = loss;
        if (status == CEL_OK && o.progress.fn && o.progress.fn(o.progress.user, "fit", e + 1, epochs, loss))
            status = CEL_ERR_STOPPED;
    }
    for (i = 0; i < slides && (status == CEL_OK || status == CEL_ERR_STOPPED); i++) {
        cel_paper_value *l = &f.slide[i].loss;
        celi_paper_pass(&f, lr, NULL, 0, &i, 1);
        made.final.loss += l->loss;
        made.final.log_z += l->log_z;
        made.final.intra += l->intra;
        made.final.inter += l->inter;
        if (l->kappa > made.final.kappa) made.final.kappa = l->kappa;
        if (!(fabs(l->loss) <= DBL_MAX)) status = CEL_ERR_NUMERIC;
    }
    if (status == CEL_OK || status == CEL_ERR_STOPPED) {
        for (i = 0; i < n; i++)
            for (j = 0; j < n; j++) {
                int64_t at = f.folded && j < i ? j * n + i : i * n + j;
                double a = f.intra[at], b = f.inter[at];
                model->force.data[i * model->force.stride + j] = (cel_real)a;
                model->force.data[(n + i) * model->force.stride + j] = (cel_real)b;
                if (i != j) at_bound += (a <= 0 || a >= 1) + (b <= 0 || b >= 1);
            }
        made.saturated = n > 1 ? (double)at_bound / (2 * (double)n * (double)(n - 1)) : 0;
        if (report) *report = made;
    }
    celi_free(order);
    celi_paper_close(&f);
    return status;
}

/* Cells are cut into at most this many runs, each with its own scratch and its own partial sums: the
 * result does not depend on how many threads share the runs. */
enum { CELI_GEN_RUNS = 64 };

static int64_t celi_gen_run_start(int64_t cells, int64_t run) { return cells * run / CELI_GEN_RUNS; }

/* Smaller expressions and gradients become 0. They are below any rounding of rows of unit length, and
 * denormal numbers would slow the products that follow many times over. */
#define CELI_ANGLES_TINY (sizeof(cel_real) == 4 ? 1e-30 : 1e-290)

static cel_real celi_angles_real(double v) { return fabs(v) < CELI_ANGLES_TINY ? 0 : (cel_real)v; }

static int celi_angles_fit(cel_mat angles, cel_mat x) { return angles.rows == x.rows && angles.cols == x.cols - 1; }

/* Bytes of one run's scratch: products of sines, sines and cosines. */
static size_t celi_angles_scratch(int64_t n) { return (size_t)n * (2 * sizeof(cel_real) + sizeof(double)); }

/* x from angles where d_angles.data is NULL; else d_angles from x, which then holds dL/dx. */
static void celi_angles_all(cel_mat angles, cel_mat x, cel_mat d_angles, char *scratch)
{
    int64_t run, n = x.cols;
    CELI_OMP(omp parallel for schedule(static) if (x.rows * n > CELI_FORK / 16))
    for (run = 0; run < CELI_GEN_RUNS; run++) {
        int64_t i, k, end = celi_gen_run_start(x.rows, run + 1);
        double *prefix = (double *)(void *)(scratch + (size_t)run * celi_angles_scratch(n)), p;
        cel_real *s = (cel_real *)(void *)(prefix + n), *c = s + n;
        for (i = celi_gen_run_start(x.rows, run); i < end; i++) {
            cel_real *g = x.data + i * x.stride, *d = d_angles.data ? d_angles.data + i * d_angles.stride : NULL;
            cel_vec_sincos(n - 1, angles.data + i * angles.stride, s, c);
            for (p = 1, k = 0; k < n - 1; k++) {
                prefix[k] = p;
                p *= (double)s[k];
            }
            if (!d) {
                for (k = 0; k < n - 1; k++) g[k] = celi_angles_real((double)c[k] * prefix[k]);
                g[n - 1] = celi_angles_real(p);
                continue;
            }
            for (p = (double)g[n - 1], k = n - 2; k >= 0; k--) {
                double v = (double)g[k], sk = (double)s[k], ck = (double)c[k];
                d[k] = celi_angles_real(prefix[k] * (ck * p - sk * v)); /* d may be g */
                p = v * ck + sk * p;
            }
        }
    }
}

CEL_API_DEF cel_status cel_paper_from_angles(cel_mat angles, cel_mat x)
{
    char *scratch;
    cel_mat none;
    memset(&none, 0, sizeof none);
    if (x.cols < 2) return CEL_ERR_ARG;
    if (!celi_angles_fit(angles, x)) return CEL_ERR_SHAPE;
    scratch = (char *)celi_alloc(CELI_GEN_RUNS, celi_angles_scratch(x.cols));
    if (!scratch) {
        cel_mat_fill(x, 0);
        return CEL_ERR_MEMORY;
    }
    celi_angles_all(angles, x, none, scratch);
    celi_free(scratch);
    return CEL_OK;
}

CEL_API_DEF cel_status cel_paper_to_angles(cel_mat x, cel_mat angles, cel_error *err)
{
    int64_t i, j, n = x.cols;
    if (n < 2) return celi_fail(err, CEL_ERR_ARG, "fewer than two genes", -1, -1, -1);
    if (!celi_angles_fit(angles, x)) return celi_fail(err, CEL_ERR_SHAPE, "angles are not S x (n-1)", -1, -1, -1);
    for (i = 0; i < x.rows; i++) {
        double size = 0;
        for (j = 0; j < n; j++) size += fabs((double)x.data[i * x.stride + j]);
        if (size > 0 && size <= DBL_MAX) continue;
        cel_mat_fill(angles, 0);
        return celi_fail(err, CEL_ERR_DATA, "a row is zero or not finite", -1, i, -1);
    }
    CELI_OMP(omp parallel for schedule(static) if (x.rows * n > CELI_FORK / 16))
    for (i = 0; i < x.rows; i++) {
        const cel_real *row = x.data + i * x.stride;
        cel_real *t = angles.data + i * angles.stride;
        double last = (double)row[n - 2], tail = (double)row[n - 1];
        int64_t k;
        t[n - 2] = (cel_real)atan2(tail, last);
        tail = hypot(tail, last);
        for (k = n - 3; k >= 0; k--) {
            t[k] = (cel_real)atan2(tail, (double)row[k]);
            tail = hypot(tail, (double)row[k]);
        }
    }
    return CEL_OK;
}

CEL_API_DEF cel_status cel_paper_angles_gradient(cel_mat angles, cel_mat d_x, cel_mat d_angles, cel_work *work)
{
    cel_work own;
    char *scratch;
    memset(&own, 0, sizeof own);
    if (d_x.cols < 2) return CEL_ERR_ARG;
    if (!celi_angles_fit(angles, d_x) || !celi_angles_fit(d_angles, d_x)) return CEL_ERR_SHAPE;
    scratch = (char *)cel_work_get(work ? work : &own, CELI_GEN_RUNS * celi_angles_scratch(d_x.cols));
    if (scratch) celi_angles_all(angles, d_x, d_angles, scratch);
    else cel_mat_fill(d_angles, 0);
    cel_work_free(&own);
    return scratch ? CEL_OK : CEL_ERR_MEMORY;
}

CEL_API_DEF void cel_paper_noise_angles(uint64_t seed, double mean, double deviation, cel_mat angles)
{
    int64_t i;
    CELI_OMP(omp parallel for schedule(static) if (angles.rows * angles.cols > CELI_FORK / 16))
    for (i = 0; i < angles.rows; i++) {
        cel_real *t = angles.data + i * angles.stride;
        cel_rng rng = cel_rng_at(seed, CELI_STREAM_ANGLES, (uint32_t)i, 0);
        int64_t k;
        cel_rng_normals(&rng, t, angles.cols);
        for (k = 0; k < angles.cols; k++) t[k] = (cel_real)(mean + deviation * (double)t[k]);
    }
}

/* mean (n) = the mean row of x; a strip of columns is one thread's. */
static void celi_gen_mean(cel_mat x, double *mean)
{
    enum { STRIP = 32 };
    int64_t first;
    memset(mean, 0, (size_t)x.cols * sizeof(double));
    CELI_OMP(omp parallel for schedule(static) if (x.rows * x.cols > CELI_FORK))
    for (first = 0; first < x.cols; first += STRIP) {
        int64_t i, j, end = celi_min(first + STRIP, x.cols);
        for (i = 0; i < x.rows; i++)
            for (j = first; j < end; j++) mean[j] += (double)x.data[i * x.stride + j];
        for (j = first; j < end; j++) mean[j] /= (double)x.rows;
    }
}

/* cel_paper_generate_loss with its scratch for the energies (relations + 1) given. */
static cel_status celi_gen_loss(const cel_model *model, const cel_relations *relations, cel_mat x,
                                const cel_paper_generate_options *o, cel_paper_value *loss, cel_mat d_x, double *energy,
                                cel_work *work)
{
    int64_t n = model->genes, i;
    double zmft = celi_or(o->zmft, 0.1), h = 0, *mean, *d_mean;
    cel_mat none;
    cel_status status;
    memset(loss, 0, sizeof *loss);
    memset(&none, 0, sizeof none);
    status = cel_model_energy(model, relations, x, &h, energy, d_x, work);
    if (status != CEL_OK) return status;
    mean = (double *)cel_work_get(work, 2 * (size_t)n * sizeof(double));
    if (!mean) return CEL_ERR_MEMORY;
    d_mean = mean + n;
    memset(d_mean, 0, (size_t)n * sizeof(double));
    if (!o->no_log_z) {
        celi_gen_mean(x, mean);
        status = cel_model_logz(model, o->sphere, celi_or(o->q, 6), x.rows, mean, &loss->log_z, none, none, d_mean,
                                &loss->kappa);
        if (status != CEL_OK) return status;
    }
    loss->intra = energy[0];
    loss->inter = h - energy[0];
    loss->loss = loss->log_z - zmft * h;
    if (!d_x.data) return CEL_OK;
    CELI_OMP(omp parallel for schedule(static) if (x.rows * n > CELI_FORK))
    for (i = 0; i < x.rows; i++) {
        cel_real *g = d_x.data + i * d_x.stride;
        int64_t k;
        for (k = 0; k < n; k++) g[k] = (cel_real)(d_mean[k] / (double)x.rows - zmft * (double)g[k]);
    }
    return CEL_OK;
}

/* What both public functions ask of their arguments. */
static cel_status celi_gen_check(const cel_model *model, const cel_paper_generate_options *o, int64_t rows, int64_t cols)
{
    if (rows < 1 || o->q < 0 || o->lr < 0 || o->epochs < 0 || o->snapshot_every < 0) return CEL_ERR_ARG;
    if (model->genes < 2 || (!o->no_log_z && model->field)) return CEL_ERR_ARG;
    if (cols != model->genes || model->relations < 1 || (!o->no_log_z && model->relations != 2)) return CEL_ERR_SHAPE;
    return CEL_OK;
}

CEL_API_DEF cel_status cel_paper_generate_loss(const cel_model *model, const cel_relations *relations, cel_mat x,
                                          const cel_paper_generate_options *options, cel_paper_value *loss, cel_mat d_x,
                                          cel_work *work)
{
    cel_paper_generate_options o;
    cel_status status;
    cel_work own;
    double *energy;
    memset(&o, 0, sizeof o);
    memset(&own, 0, sizeof own);
    memset(loss, 0, sizeof *loss);
    if (options) o = *options;
    status = celi_gen_check(model, &o, x.rows, x.cols);
    if (status != CEL_OK) return status;
    if (d_x.data && !celi_same_shape(d_x, x)) return CEL_ERR_SHAPE;
    energy = (double *)celi_alloc((size_t)(model->relations + 1), sizeof(double));
    status = CEL_ERR_MEMORY;
    if (energy) status = celi_gen_loss(model, relations, x, &o, loss, d_x, energy, work ? work : &own);
    if (status != CEL_OK && d_x.data) cel_mat_fill(d_x, 0);
    celi_free(energy);
    cel_work_free(&own);
    return status;
}

/* What a run of the generator holds; all-zero is closed. */
typedef struct celi_gen_state {
    cel_mat x, d_x;         /* (S x n) */
    char *scratch;          /* of the angles */
    double *energy;         /* (R + 1) */
    cel_adam adam;          /* Adam only: (S (n-1)) */
    cel_work work;          /* of cel_model_energy */
    cel_relations even_set; /* the relations, with (W + W^T) / 2 where that serves; owns nothing */
    cel_csr *even;          /* (R) what it points to where W was made symmetric */
    int64_t relations;
} celi_gen_state;

/* 1 if the force equals its transpose exactly. */
static int celi_gen_symmetric(cel_mat f)
{
    int64_t i, j;
    for (i = 0; i < f.rows; i++)
        for (j = 0; j < i; j++) {
            cel_real a = f.data[i * f.stride + j], b = f.data[j * f.stride + i];
            if (!(a >= b && a <= b)) return 0;
        }
    return 1;
}

static void celi_gen_close(celi_gen_state *g)
{
    int64_t r;
    cel_mat_free(&g->x);
    cel_mat_free(&g->d_x);
    celi_free(g->scratch);
    celi_free(g->energy);
    cel_adam_free(&g->adam);
    cel_work_free(&g->work);
    for (r = 0; r < g->relations && g->even; r++) cel_csr_free(g->even + r);
    celi_free(g->even);
    celi_free(g->even_set.at);
}

/* Where a force is symmetric only the symmetric part of its relation matters, and the products with it are
 * half as many: a directed W gives way to (W + W^T) / 2. */
static cel_status celi_gen_open(celi_gen_state *g, const cel_model *model, const cel_relations *relations,
                                const cel_paper_generate_options *o, int64_t cells)
{
    int64_t n = model->genes, r;
    cel_status status;
    memset(g, 0, sizeof *g);
    g->relations = model->relations;
    status = celi_relations_fit(relations, model, cells);
    if (status == CEL_OK) status = cel_mat_new(cells, n, &g->x);
    if (status == CEL_OK) status = cel_mat_new(cells, n, &g->d_x);
    if (status == CEL_OK && o->optimiser == CEL_OPTIMISER_ADAM) status = cel_adam_new(cells * (n - 1), &g->adam);
    if (status == CEL_OK) {
        g->scratch = (char *)celi_alloc(CELI_GEN_RUNS, celi_angles_scratch(n));
        g->energy = (double *)celi_alloc((size_t)(model->relations + 1), sizeof(double));
        g->even_set = *relations;
        g->even_set.at = (cel_relation *)celi_alloc((size_t)g->relations, sizeof(cel_relation));
        g->even = (cel_csr *)celi_alloc((size_t)g->relations, sizeof(cel_csr));
        if (!g->scratch || !g->energy || !g->even_set.at || !g->even) status = CEL_ERR_MEMORY;
    }
    for (r = 0; r < g->relations && status == CEL_OK; r++) {
        g->even_set.at[r] = relations->at[r];
        if (!relations->at[r].w || !relations->at[r].wt || !celi_gen_symmetric(cel_model_force(model, r))) continue;
        status = cel_csr_symmetrise(relations->at[r].w, g->even + r);
        g->even_set.at[r].w = g->even + r;
        g->even_set.at[r].wt = NULL;
    }
    if (status != CEL_OK) celi_gen_close(g);
    return status;
}

/* angles -= the optimiser's step down d (same shape). */
static void celi_gen_step(celi_gen_state *g, double lr, cel_mat d, cel_mat angles)
{
    int64_t i;
    cel_adam_options options;
    memset(&options, 0, sizeof options);
    options.lr = lr;
    if (g->adam.count > 0) {
        cel_adam_step(&g->adam, &options, d, angles);
        return;
    }
    CELI_OMP(omp parallel for schedule(static) if (angles.rows * angles.cols > CELI_FORK / 4))
    for (i = 0; i < angles.rows; i++)
        cel_vec_axpy(angles.cols, (cel_real)-lr, d.data + i * d.stride, angles.data + i * angles.stride);
}

CEL_API_DEF cel_status cel_paper_generate(const cel_model *model, const cel_relations *relations,
                                     const cel_paper_generate_options *options, cel_mat angles, cel_mat x, double *losses,
                                     cel_paper_value *last)
{
    cel_paper_generate_options o;
    celi_gen_state g;
    cel_paper_value loss;
    cel_status status;
    int64_t e, epochs, every;
    cel_mat d_angles, none;
    memset(&o, 0, sizeof o);
    memset(&none, 0, sizeof none);
    memset(&loss, 0, sizeof loss);
    if (last) *last = loss;
    if (options) o = *options;
    status = celi_gen_check(model, &o, angles.rows, angles.cols + 1);
    if (status != CEL_OK) return status;
    if (x.data && !celi_angles_fit(angles, x)) return CEL_ERR_SHAPE;
    epochs = o.epochs > 0 ? o.epochs : 50;
    every = o.snapshot_every > 0 ? o.snapshot_every : 5;
    if (losses) memset(losses, 0, (size_t)epochs * sizeof(double));
    status = celi_gen_open(&g, model, relations, &o, angles.rows);
    if (status != CEL_OK) {
        if (x.data) cel_mat_fill(x, 0);
        return status;
    }
    d_angles = cel_mat_block(g.d_x, 0, 0, angles.rows, angles.cols);
    for (e = 0; e <= epochs; e++) {
        celi_angles_all(angles, g.x, none, g.scratch);
        if (e == epochs || status != CEL_OK) break;
        status = celi_gen_loss(model, &g.even_set, g.x, &o, &loss, g.d_x, g.energy, &g.work);
        if (status == CEL_OK && !(fabs(loss.loss) <= DBL_MAX)) status = CEL_ERR_NUMERIC;
        if (status != CEL_OK) break;
        if (losses) losses[e] = loss.loss;
        if (o.snapshot && e % every == 0) o.snapshot(o.snapshot_user, e, g.x);
        celi_angles_all(angles, g.d_x, d_angles, g.scratch);
        celi_gen_step(&g, celi_or(o.lr, 0.001), d_angles, angles);
        if (o.progress.fn && o.progress.fn(o.progress.user, "generate", e + 1, epochs, loss.loss))
            status = CEL_ERR_STOPPED;
    }
    if (last && (status == CEL_OK || status == CEL_ERR_STOPPED)) {
        cel_status lost = celi_gen_loss(model, &g.even_set, g.x, &o, last, none, g.energy, &g.work);
        if (lost != CEL_OK) status = lost;
    }
    if (x.data) cel_mat_copy(g.x, x);
    celi_gen_close(&g);
    return status;
}

/* ======================================================================== */
/* sampler                                                                  */
/* ======================================================================== */

/* Random numbers outside the sweeps are drawn at this sweep number. */
#define CELI_START_SWEEP 0xffffffffu

CEL_API_DEF void cel_sample_uniform(uint64_t seed, uint32_t stream, int orthant, cel_mat x)
{
    int64_t i, j;
    CELI_OMP(omp parallel for schedule(static) private(j))
    for (i = 0; i < x.rows; i++) {
        cel_rng rng = cel_rng_at(seed, stream, (uint32_t)i, CELI_START_SWEEP);
        cel_real *row = x.data + i * x.stride;
        double length;
        cel_rng_normals(&rng, row, x.cols);
        length = cel_vec_nrm2(x.cols, row);
        for (j = 0; j < x.cols; j++) {
            double v = (double)row[j] / length;
            row[j] = (cel_real)(orthant ? fabs(v) : v);
        }
    }
}

/* Marks the colours of cell i's neighbours in W with i + 1. */
static void celi_colour_mark(const cel_csr *w, int64_t i, const int32_t *colour, int32_t *mark)
{
    int64_t e;
    if (!w) return;
    for (e = w->start[i]; e < w->start[i + 1]; e++)
        if (colour[w->index[e]] >= 0) mark[colour[w->index[e]]] = (int32_t)i + 1;
}

CEL_API_DEF cel_status cel_sample_colour(const cel_relations *relations, const cel_relations *also, int32_t *colour,
                                         int32_t *colours, cel_error *err)
{
    int64_t i, r, cells = relations->cells, count = relations->count + (also ? also->count : 0);
    int32_t *mark;
    *colours = 0;
    for (i = 0; i < cells; i++) colour[i] = -1;
    if (also && celi_relations_fit(also, NULL, cells))
        return celi_fail(err, CEL_ERR_SHAPE, "the relations are not of the same cells", -1, -1, -1);
    mark = (int32_t *)celi_alloc((size_t)cells + 1, sizeof *mark);
    if (!mark) return celi_fail(err, CEL_ERR_MEMORY, "colouring the cells", -1, -1, -1);
    for (i = 0; i < cells; i++) {
        int32_t c = 0;
        for (r = 0; r < count; r++) {
            const cel_relation *one = r < relations->count ? relations->at + r : also->at + (r - relations->count);
            celi_colour_mark(one->w, i, colour, mark);
            celi_colour_mark(one->wt, i, colour, mark);
        }
        while (mark[c] == (int32_t)i + 1) c++;
        colour[i] = c;
        if (c >= *colours) *colours = c + 1;
    }
    celi_free(mark);
    return CEL_OK;
}

/* Colours that the caller brings must be in range and keep neighbours apart, or two cells that act on each other
 * would be drawn at once. W suffices: an edge of its transpose is one of W. */
static cel_status celi_colours_check(const cel_relations *relations, const int32_t *colour, cel_error *err)
{
    int64_t i, r, e;
    for (i = 0; i < relations->cells; i++)
        if (colour[i] < 0 || colour[i] >= relations->cells)
            return celi_fail(err, CEL_ERR_ARG, "a colour is out of range", -1, i, -1);
    for (i = 0; i < relations->cells; i++)
        for (r = 0; r < relations->count; r++) {
            const cel_csr *w = relations->at[r].w;
            for (e = w ? w->start[i] : 0; w && e < w->start[i + 1]; e++)
                if (colour[w->index[e]] == colour[i])
                    return celi_fail(err, CEL_ERR_DATA, "neighbours have the same colour", -1, i, -1);
        }
    return CEL_OK;
}

/* Scratch of one thread: a block of cells of a colour. Rows are padded with zeros to whole vectors. */
typedef struct celi_lane {
    cel_mat x, u, b, t;   /* (block x n): free parts, momenta, fields, scratch */
    double *radius;       /* (block) of the free part's sphere */
    double *scalar;       /* (4 block) per cell */
    int32_t *order;       /* (n) */
    cel_work work;
    cel_status status;
} celi_lane;

struct cel_sample {
    celi_pool pool;
    const cel_model *model;
    const cel_relations *relations;
    cel_sample_options options;
    int64_t cells, genes, width; /* width: n, padded */
    int64_t colours, block, lanes;
    int64_t *first;    /* (colours + 1) where each colour begins in */
    int32_t *list;     /* (cells that move) by colour */
    uint8_t *held;     /* (cells) 1 where some value is held */
    cel_mat g2;        /* (n x n) F + F^T of all identity relations together */
    cel_mat right;     /* (2 R n x n) what W X, and W^T X, are multiplied with */
    cel_mat basis;     /* (n x n) and (n): eigenvectors of g2 and their values, where the ascent made them */
    double *value;
    celi_lane *lane;
    double *share;     /* (2 x most blocks of a colour) moves accepted and made */
    double scale, step, step_most, step_log, acceptance;
    uint32_t sweep;
    int64_t adapt;     /* sweeps that adapt the step */
};

typedef struct celi_batch {
    cel_mat x;           /* all cells (S x n) */
    const int32_t *cell; /* (count) */
    int64_t count;
    double *share;       /* [0] moves accepted, [1] moves made */
    void *context;
} celi_batch;

typedef void celi_batch_fn(const cel_sample *s, celi_lane *lane, const celi_batch *batch);

/* Blocks big enough for the products, small enough for the caches, and even in number, so that two threads share them;
 * a function of the count alone, or bits would depend on the number of threads. */
static int64_t celi_sampler_block(const cel_sample *s, int64_t count)
{
    int64_t block = (count + 7) / 8, least = 32 + s->genes / 4, blocks;
    if (block < least) block = least;
    if (block > 256) block = 256;
    blocks = (count + block - 1) / block;
    if (blocks % 2 && count >= 2 * least) blocks += blocks > 1 && count <= 256 * (blocks - 1) ? -1 : 1;
    return blocks > 0 ? (count + blocks - 1) / blocks : 1;
}

/* Lists the cells that move by their colours. held is 1 where a value of the cell is held, 2 where it does not move. */
static void celi_sampler_list(cel_sample *s, const int32_t *colour)
{
    const cel_sample_domain *d = &s->options.domain;
    int64_t i, j, c;
    for (i = 0; i < s->cells; i++)
        if (colour[i] >= s->colours) s->colours = colour[i] + 1;
    s->first = (int64_t *)celi_pool_get(&s->pool, s->colours + 2, sizeof *s->first);
    s->list = (int32_t *)celi_pool_get(&s->pool, s->cells + 1, sizeof *s->list);
    s->held = (uint8_t *)celi_pool_get(&s->pool, s->cells + 1, 1);
    if (s->pool.status) return;
    for (i = 0; i < s->cells; i++) {
        int64_t held = 0;
        for (j = 0; d->hold && j < s->genes; j++) held += d->hold[i * s->genes + j] != 0;
        s->held[i] = held > 0;
        if (held == s->genes || (d->frozen && d->frozen[i])) s->held[i] = 2;
        else s->first[colour[i] + 2]++;
    }
    for (c = 0; c < s->colours; c++) s->first[c + 2] += s->first[c + 1];
    for (i = 0; i < s->cells; i++)
        if (s->held[i] < 2) s->list[s->first[colour[i] + 1]++] = (int32_t)i;
}

/* One lane a thread, with the products' own scratch taken once, so that a sweep allocates nothing. */
static cel_status celi_sampler_lanes(cel_sample *s)
{
    int64_t k, c, blocks = 1;
    s->block = 1;
    for (c = 0; c < s->colours; c++) {
        int64_t count = s->first[c + 1] - s->first[c], block = celi_min(celi_sampler_block(s, count), count);
        if (block > s->block) s->block = block;
        if (block && (count + block - 1) / block > blocks) blocks = (count + block - 1) / block;
    }
    s->share = (double *)celi_pool_get(&s->pool, 2 * blocks, sizeof *s->share);
    s->lanes = celi_min(cel_threads(), blocks);
    s->lane = (celi_lane *)celi_pool_get(&s->pool, s->lanes, sizeof *s->lane);
    for (k = 0; k < s->lanes && !s->pool.status; k++) {
        celi_lane *l = s->lane + k;
        cel_mat all = celi_pool_mat(&s->pool, 4 * s->block, s->width);
        l->radius = (double *)celi_pool_get(&s->pool, 5 * s->block, sizeof *l->radius);
        l->order = (int32_t *)celi_pool_get(&s->pool, s->genes, sizeof *l->order);
        if (s->pool.status) break;
        l->scalar = l->radius + s->block;
        l->x = cel_mat_block(all, 0, 0, s->block, s->genes);
        l->u = cel_mat_block(all, s->block, 0, s->block, s->genes);
        l->b = cel_mat_block(all, 2 * s->block, 0, s->block, s->genes);
        l->t = cel_mat_block(all, 3 * s->block, 0, s->block, s->genes);
        s->pool.status = cel_mat_gemm(0, 0, 1, l->x, s->g2, 0, l->u, &l->work);
    }
    return s->pool.status;
}

/* cel_sample_new for colours that are known to be right, as of samplers that share them. */
static cel_status celi_sampler_open(const cel_model *model, const cel_relations *relations,
                                    const cel_sample_options *options, cel_sample **out, cel_error *err)
{
    cel_sample *s;
    int32_t *own = NULL, colours;
    cel_status status = CEL_OK;
    *out = NULL;
    if (celi_relations_fit(relations, model, relations->cells))
        return celi_fail(err, CEL_ERR_SHAPE, "the model has another number of relations", -1, -1, -1);
    if (options && (options->moves < 0 || !(options->step >= 0)))
        return celi_fail(err, CEL_ERR_ARG, "a negative option of the sampler", -1, -1, -1);
    s = (cel_sample *)celi_alloc(1, sizeof *s);
    if (!s) return celi_fail(err, CEL_ERR_MEMORY, "a sampler", -1, -1, -1);
    s->model = model;
    s->relations = relations;
    if (options) s->options = *options;
    if (!s->options.moves) s->options.moves = 6;
    if (!s->options.warmup) s->options.warmup = 50;
    s->cells = relations->cells;
    s->genes = model->genes;
    s->width = celi_round_up(s->genes, 16);
    s->scale = 1;
    /* A whole trajectory turns a free cell by a right angle, which makes the next draw independent; never more. */
    s->step_most = 1.5707963 / (s->options.moves * sqrt(s->genes > 1 ? (double)(s->genes - 1) : 1.0));
    s->step = s->options.step > 0 ? s->options.step : s->step_most / 2;
    s->adapt = s->options.step > 0 || s->options.domain.orthant || s->options.warmup < 0 ? 0 : s->options.warmup;
    if (!s->options.domain.colour) {
        own = (int32_t *)celi_pool_get(&s->pool, s->cells, sizeof *own);
        if (own) status = cel_sample_colour(relations, NULL, own, &colours, NULL);
    }
    s->g2 = celi_pool_mat(&s->pool, s->genes, s->width);
    s->g2.cols = s->genes;
    s->right = celi_pool_mat(&s->pool, 2 * model->relations * s->genes, s->genes);
    if (!status) status = s->pool.status;
    if (!status) {
        cel_sample_refresh(s);
        celi_sampler_list(s, own ? own : s->options.domain.colour);
        status = s->pool.status ? s->pool.status : celi_sampler_lanes(s);
    }
    if (status) {
        cel_sample_free(s);
        return celi_fail(err, status, "a sampler", -1, -1, -1);
    }
    *out = s;
    return CEL_OK;
}

CEL_API_DEF cel_status cel_sample_new(const cel_model *model, const cel_relations *relations,
                                      const cel_sample_options *options, cel_sample **out, cel_error *err)
{
    *out = NULL;
    if (options && options->domain.colour) {
        cel_status status = celi_colours_check(relations, options->domain.colour, err);
        if (status) return status;
    }
    return celi_sampler_open(model, relations, options, out, err);
}

CEL_API_DEF void cel_sample_free(cel_sample *s)
{
    int64_t k;
    if (!s) return;
    for (k = 0; k < s->lanes && s->lane; k++) cel_work_free(&s->lane[k].work);
    celi_pool_free(&s->pool);
    celi_free(s);
}

/* Loads a block: free parts into lane->x, their radii, and into lane->b
 *   scale (h + sum_r (W_r X F_r^T + W_r^T X F_r) + (F_0 + F_0^T) held part):
 * held values act on the free ones like a field. */
static cel_status celi_batch_load(const cel_sample *s, celi_lane *l, const celi_batch *batch, cel_mat *x, cel_mat *u,
                                  cel_mat *b)
{
    int64_t n = s->genes, m = batch->count, i, j, r;
    const uint8_t *hold = s->options.domain.hold;
    cel_mat t = cel_mat_block(l->t, 0, 0, m, n);
    cel_real scale = (cel_real)s->scale;
    int any = 0, side;
    cel_status status = CEL_OK;
    *x = cel_mat_block(l->x, 0, 0, m, n);
    *u = cel_mat_block(l->u, 0, 0, m, n);
    *b = cel_mat_block(l->b, 0, 0, m, n);
    for (i = 0; i < m; i++) {
        cel_real *to = b->data + i * b->stride;
        memset(to, 0, (size_t)n * sizeof *to);
        if (s->model->field) cel_vec_axpy(n, scale, s->model->field, to);
        any |= s->held[batch->cell[i]];
    }
    for (r = 0; r < s->model->relations; r++)
        for (side = 0; side < 2 && !status; side++) {
            const cel_csr *w = side ? s->relations->at[r].wt : s->relations->at[r].w;
            if (!w) continue;
            status = cel_csr_mul_rows(1, w, batch->cell, m, batch->x, 0, t);
            if (!status)
                status = cel_mat_gemm(0, 0, scale, t, cel_mat_block(s->right, (2 * r + side) * n, 0, n, n), 1, *b,
                                      &l->work);
        }
    for (i = 0; i < m; i++) {
        int64_t cell = batch->cell[i];
        const cel_real *from = batch->x.data + cell * batch->x.stride;
        cel_real *to = x->data + i * x->stride, *rest = t.data + i * t.stride;
        double held = 0;
        memcpy(to, from, (size_t)n * sizeof *to);
        if (any) memset(rest, 0, (size_t)n * sizeof *rest);
        for (j = 0; s->held[cell] && j < n; j++)
            if (hold[cell * n + j]) {
                rest[j] = to[j];
                held += (double)to[j] * (double)to[j];
                to[j] = 0;
            }
        l->radius[i] = held < 1 ? sqrt(1 - held) : 0;
    }
    if (any && !status) status = cel_mat_gemm(0, 0, scale, t, s->g2, 1, *b, &l->work);
    return status;
}

/* Sets to zero what is held of a row of cell `cell`. */
static void celi_batch_mask(const cel_sample *s, int64_t cell, cel_real *row)
{
    int64_t j;
    for (j = 0; s->held[cell] && j < s->genes; j++)
        if (s->options.domain.hold[cell * s->genes + j]) row[j] = 0;
}

/* Writes the free part `row` to cell `cell` of x, rescaled to the radius, so that rounding cannot pile up over the
 * sweeps; sign is 1 or -1. Held values are not touched: they keep their bits. */
static void celi_batch_store(const cel_sample *s, const celi_batch *batch, int64_t cell, const cel_real *row,
                             double radius, double sign)
{
    const uint8_t *hold = s->options.domain.hold;
    cel_real *to = batch->x.data + cell * batch->x.stride, f;
    double length = cel_vec_nrm2(s->genes, row);
    int64_t j;
    if (!(length > 0)) return;
    f = (cel_real)(sign * radius / length);
    if (s->held[cell]) {
        for (j = 0; j < s->genes; j++)
            if (!hold[cell * s->genes + j]) to[j] = f * row[j];
    } else {
        for (j = 0; j < s->genes; j++) to[j] = f * row[j];
    }
}

/* x <- a x + b u, u <- c x + d u, on padded rows. Inner loops of constant length over local arrays are what
 * compilers vectorise at -O2. */
static void celi_turn(int64_t width, cel_real *x, cel_real *u, cel_real a, cel_real b, cel_real c, cel_real d)
{
    cel_real from[16], by[16], to[16];
    int64_t j;
    int k;
    for (j = 0; j < width; j += 16) {
        memcpy(from, x + j, sizeof from);
        memcpy(by, u + j, sizeof by);
        for (k = 0; k < 16; k++) to[k] = a * from[k] + b * by[k];
        memcpy(x + j, to, sizeof to);
        for (k = 0; k < 16; k++) to[k] = c * from[k] + d * by[k];
        memcpy(u + j, to, sizeof to);
    }
}

/* Geodesic Hamiltonian Monte Carlo (Byrne and Girolami, 2013) of a block of cells given the others: kicks along the
 * gradient in turn with great circles, which are exact. u is the momentum divided by the cell's step, so that a kick is
 * u += x G2 + b: the product adds to u itself. After a kick by alpha from a tangent u, x.u = alpha (x.G2 x + x.b): the
 * energy costs no further product. A kick leaves u with a part along x; it is taken out where it is needed, in the
 * length of u and in the coefficients of the turn, rather than by another pass over the row. */
static void celi_batch_hmc(const cel_sample *s, celi_lane *l, const celi_batch *batch)
{
    double *step = l->scalar, *change = step + s->block, *pick = change + s->block, *side = pick + s->block;
    int64_t n = s->genes, i, m = batch->count;
    int k, moves = s->options.moves;
    cel_mat x, u, b;
    l->status = celi_batch_load(s, l, batch, &x, &u, &b);
    for (i = 0; i < m; i++) {
        int64_t cell = batch->cell[i];
        cel_rng rng = cel_rng_at(s->options.seed, s->options.stream,
                                 s->options.domain.id ? s->options.domain.id[cell] : (uint32_t)cell, s->sweep);
        cel_real *xi = x.data + i * x.stride, *ui = u.data + i * u.stride;
        double r2 = l->radius[i] * l->radius[i], along;
        /* A step of random length, or trajectories of a period would come back to where they began. */
        step[i] = s->step * l->radius[i] * (0.8 + 0.4 * cel_rng_uniform(&rng));
        pick[i] = cel_rng_uniform(&rng);
        side[i] = cel_rng_uniform(&rng);
        cel_rng_normals(&rng, ui, n);
        celi_batch_mask(s, cell, ui);
        along = r2 > 0 ? cel_vec_dot(n, xi, ui) / r2 : 0;
        cel_vec_axpy(n, (cel_real)-along, xi, ui);
        change[i] = cel_vec_dot(n, ui, ui) / 2;
        if (!(step[i] > 0)) continue;
        celi_turn(s->width, xi, ui, 1, 0, 0, (cel_real)(1 / step[i]));
    }
    for (k = 0; k <= moves && !l->status; k++) {
        double alpha = k == 0 || k == moves ? 0.5 : 1;
        l->status = cel_mat_gemm(0, 0, (cel_real)(alpha * s->scale), x, s->g2, 1, u, &l->work);
        for (i = 0; i < m && !l->status; i++) {
            cel_real *xi = x.data + i * x.stride, *ui = u.data + i * u.stride, *bi = b.data + i * b.stride;
            double r = l->radius[i], r2 = r * r, along, length, c, t;
            cel_vec_axpy(s->width, (cel_real)alpha, bi, ui);
            celi_batch_mask(s, batch->cell[i], ui);
            if (!(step[i] > 0)) continue;
            along = cel_vec_dot(s->width, xi, ui);
            length = cel_vec_dot(s->width, ui, ui) - along * along / r2;
            length = length > 0 ? sqrt(length) : 0;
            /* change: H less the kinetic energy, at the end less at the start. */
            if (k == 0) change[i] -= along + cel_vec_dot(s->width, xi, bi) / 2;
            if (k == moves) {
                double field = cel_vec_dot(s->width, xi, bi), kinetic = step[i] * length;
                change[i] += along + field / 2 - kinetic * kinetic / 2;
                continue;
            }
            t = length * step[i] * step[i] / r;
            c = cos(t);
            t = sin(t);
            celi_turn(s->width, xi, ui, (cel_real)(length > 0 ? c - t * along / (r * length) : 1),
                      (cel_real)(length > 0 ? r * t / length : 0), (cel_real)(-length / r * t - c * along / r2),
                      (cel_real)c);
        }
    }
    /* Accept or reject, then a reflection of the free part, which only the field sees, by its exact odds. */
    for (i = 0; i < m && !l->status; i++) {
        cel_real *xi = x.data + i * x.stride;
        int64_t cell = batch->cell[i];
        int moved = step[i] > 0 && pick[i] < exp(change[i]), flip;
        if (!(l->radius[i] > 0)) continue;
        batch->share[0] += change[i] < 0 ? exp(change[i]) : change[i] >= 0 ? 1 : 0;
        batch->share[1] += 1;
        if (!moved) {
            memcpy(xi, batch->x.data + cell * batch->x.stride, (size_t)n * sizeof *xi);
            celi_batch_mask(s, cell, xi);
        }
        flip = side[i] * (1 + exp(2 * cel_vec_dot(s->width, xi, b.data + i * b.stride))) < 1;
        if (moved || flip) celi_batch_store(s, batch, cell, xi, l->radius[i], flip ? -1 : 1);
    }
}

/* The orthant: a pair of values is rotated within its quarter circle by slice sampling with shrinkage (Neal,
 * 2003), at most 15 proposals, each of which costs O(1): H is quadratic in the pair, and g is its gradient, kept up to
 * date. Every pair draws from its own place of the stream, so that paired runs stay in step. */
static void celi_pair_turn(const cel_sample *s, cel_real *x, cel_real *g, int64_t j, int64_t k, cel_rng *rng,
                           double *share)
{
    double xj = (double)x[j], xk = (double)x[k], r = sqrt(xj * xj + xk * xk), least, low = 0, high, now;
    const cel_real *gj = s->g2.data + j * s->g2.stride, *gk = s->g2.data + k * s->g2.stride;
    double jj = (double)gj[j] * s->scale / 2, kk = (double)gk[k] * s->scale / 2, jk = (double)gj[k] * s->scale;
    int tries;
    if (!(r > 0)) return;
    least = log(1 - cel_rng_uniform(rng)); /* the slice: H may fall by this much */
    now = atan2(xk, xj);
    high = 1.570796326794896619;
    for (tries = 0; tries < 15; tries++) {
        double t = low + (high - low) * cel_rng_uniform(rng), dj = r * cos(t) - xj, dk = r * sin(t) - xk;
        share[1] += 1;
        if ((double)g[j] * dj + (double)g[k] * dk + jj * dj * dj + kk * dk * dk + jk * dj * dk >= least) {
            share[0] += 1;
            x[j] = (cel_real)(xj + dj);
            x[k] = (cel_real)(xk + dk);
            if (x[j] < 0) x[j] = 0;
            if (x[k] < 0) x[k] = 0;
            cel_vec_axpy(s->genes, (cel_real)(s->scale * dj), gj, g);
            cel_vec_axpy(s->genes, (cel_real)(s->scale * dk), gk, g);
            return;
        }
        if (t < now) low = t;
        else high = t;
    }
}

static void celi_batch_orthant(const cel_sample *s, celi_lane *l, const celi_batch *batch)
{
    int64_t n = s->genes, i, j, m = batch->count;
    const uint8_t *hold = s->options.domain.hold;
    cel_mat x, u, b;
    int k;
    l->status = celi_batch_load(s, l, batch, &x, &u, &b);
    if (!l->status) l->status = cel_mat_gemm(0, 0, (cel_real)s->scale, x, s->g2, 1, b, &l->work);
    for (i = 0; i < m && !l->status; i++) {
        int64_t cell = batch->cell[i];
        cel_rng rng = cel_rng_at(s->options.seed, s->options.stream,
                                 s->options.domain.id ? s->options.domain.id[cell] : (uint32_t)cell, s->sweep);
        cel_real *xi = x.data + i * x.stride, *gi = b.data + i * b.stride;
        for (j = 0; j < n; j++) l->order[j] = (int32_t)j;
        for (k = 0; k < s->options.moves; k++) {
            uint32_t place = (uint32_t)k * (uint32_t)(5 * n);
            rng.block = place;
            rng.left = 0;
            for (j = n - 1; j > 0; j--) {
                uint32_t other = cel_rng_integer(&rng, (uint32_t)j + 1);
                int32_t t = l->order[j];
                l->order[j] = l->order[other];
                l->order[other] = t;
            }
            for (j = 0; j + 1 < n; j += 2) {
                int64_t a = l->order[j], c = l->order[j + 1];
                if (s->held[cell] && (hold[cell * n + a] || hold[cell * n + c])) continue;
                rng.block = place + (uint32_t)(n + 4 * j);
                rng.left = 0;
                celi_pair_turn(s, xi, gi, a, c, &rng, batch->share);
            }
        }
        celi_batch_store(s, batch, cell, xi, l->radius[i], 1);
    }
}

/* Multiplications of a colour up to which threads cost more than they bring. */
#define CELI_SAMPLE_SMALL 200000

/* fn for every block of every colour. The cells of a colour do not act on each other, so that its blocks may go at
 * once: which lane works on which block, and when, does not matter to the result. Acceptance is summed block by block in
 * their order, for the same reason. */
static cel_status celi_sampler_pass(cel_sample *s, cel_mat x, celi_batch_fn *fn, void *context)
{
    int64_t c, k;
    double done = 0, made = 0;
    if (x.rows != s->cells || x.cols != s->genes) return CEL_ERR_SHAPE;
    for (k = 0; k < s->lanes; k++) s->lane[k].status = CEL_OK;
    for (c = 0; c < s->colours; c++) {
        int64_t first = s->first[c], count = s->first[c + 1] - first, block = celi_sampler_block(s, count);
        int64_t blocks = (count + block - 1) / block, work = count * s->genes * (s->genes + 50) * s->options.moves;
        int64_t lanes = work > CELI_SAMPLE_SMALL ? s->lanes : 1;
        CELI_OMP(omp parallel for schedule(static) if (lanes > 1))
        for (k = 0; k < lanes; k++) {
            int64_t at;
            for (at = k; at < blocks && !s->lane[k].status; at += lanes) {
                celi_batch batch;
                batch.x = x;
                batch.cell = s->list + first + at * block;
                batch.count = count - at * block < block ? count - at * block : block;
                batch.share = s->share + 2 * at;
                batch.context = context;
                batch.share[0] = batch.share[1] = 0;
                fn(s, s->lane + k, &batch);
            }
        }
        for (k = 0; k < lanes; k++)
            if (s->lane[k].status) return s->lane[k].status;
        for (k = 0; k < blocks; k++) {
            done += s->share[2 * k];
            made += s->share[2 * k + 1];
        }
    }
    s->acceptance = made > 0 ? done / made : 0;
    return CEL_OK;
}

/* Robbins-Monro on log step towards an acceptance of 0.8, near the best for Hamiltonian moves. */
static void celi_sampler_adapt(cel_sample *s, double gain)
{
    s->step *= exp(gain * (s->acceptance - 0.8));
    if (s->step > s->step_most) s->step = s->step_most;
}

CEL_API_DEF cel_status cel_sample_sweep(cel_sample *s, cel_mat x)
{
    cel_status status = celi_sampler_pass(s, x, s->options.domain.orthant ? celi_batch_orthant : celi_batch_hmc, NULL);
    int64_t t = s->sweep++;
    if (status || t >= s->adapt) return status;
    celi_sampler_adapt(s, 2 / sqrt(1 + (double)t));
    /* The step that stays is the mean (of its logarithm) over the second half. */
    if (t >= s->adapt / 2) s->step_log += log(s->step);
    if (t + 1 == s->adapt) s->step = exp(s->step_log / (double)(s->adapt - s->adapt / 2));
    return CEL_OK;
}

CEL_API_DEF void cel_sample_restart(cel_sample *s, uint32_t stream)
{
    s->options.stream = stream;
    s->sweep = 0;
    s->adapt = 0;
}

CEL_API_DEF void cel_sample_temper(cel_sample *s, double scale) { s->scale = scale; }

/* The forces as the products need them: G2, and for each relation F + F^T where W is symmetric, else F^T and F. */
CEL_API_DEF void cel_sample_refresh(cel_sample *s)
{
    int64_t n = s->genes, r;
    cel_mat_fill(s->g2, 0);
    for (r = 0; r < s->model->relations; r++) {
        cel_mat f = cel_model_force(s->model, r);
        cel_mat a = cel_mat_block(s->right, 2 * r * n, 0, n, n), b = cel_mat_block(s->right, (2 * r + 1) * n, 0, n, n);
        cel_mat_transpose(f, a);
        cel_mat_copy(f, b);
        if (s->relations->at[r].wt) continue;
        cel_mat_axpy(1, b, a);
        if (!s->relations->at[r].w) cel_mat_axpy(1, a, s->g2);
    }
}

CEL_API_DEF double cel_sample_step(const cel_sample *s) { return s->step; }
CEL_API_DEF double cel_sample_acceptance(const cel_sample *s) { return s->acceptance; }

/* Autocovariances of centred series (count x length) at the lags lag and lag + 1 < length. */
static void celi_autocovariances(const double *h, int64_t count, int64_t length, int64_t lag, double *at)
{
    int64_t c, t;
    at[0] = at[1] = 0;
    for (c = 0; c < count; c++, h += length) {
        double last = h[length - 1] * h[length - 1 - lag];
        for (t = 0; t + lag + 1 < length; t++) {
            at[0] += h[t] * h[t + lag];
            at[1] += h[t] * h[t + lag + 1];
        }
        at[0] += last;
    }
    at[0] /= (double)(length * count);
    at[1] /= (double)(length * count);
}

/* Geyer's estimate of 1 + 2 (sum of the autocorrelations): pairs of neighbouring lags while their sum is positive,
 * made to fall. The variance of a value is as within and between the series. Returns 0 where there are more than
 * `most` lags to it. */
static int celi_geyer(const double *h, int64_t count, int64_t length, int64_t most, double within, double variance,
                      double *time)
{
    double sum = 0, last = DBL_MAX, at[2], scale = (double)length / (double)(length - 1);
    int64_t t;
    for (t = 0; t + 1 < length; t += 2) {
        double pair;
        if (t >= most) return 0;
        celi_autocovariances(h, count, length, t, at);
        pair = 2 - (within - at[0] * scale) / variance - (within - at[1] * scale) / variance;
        if (!(pair > 0)) break;
        if (pair > last) pair = last;
        last = pair;
        sum += pair;
    }
    sum = 2 * sum - 1;
    *time = fmax(sum, 1 / log10((double)(length * count) + 10));
    return 1;
}

CEL_API_DEF cel_status cel_sample_diagnose(const double *trace, int64_t chains, int64_t length, double *ess,
                                           double *rhat)
{
    enum { LAGS = 64 };
    int64_t half = length / 2, count = 2 * chains, c, t;
    double all = 0, between = 0, within, variance, first = 0, time, at[2], n = (double)half, m = (double)count, *h;
    *ess = *rhat = (double)NAN;
    if (chains < 1 || length < 8) return CEL_OK;
    h = (double *)celi_alloc((size_t)count, (size_t)half * sizeof *h);
    if (!h) return CEL_ERR_MEMORY;
    for (c = 0; c < count; c++) {
        memcpy(h + c * half, trace + c / 2 * length + (c % 2 ? length - half : 0), (size_t)half * sizeof *h);
        for (t = 0; t < half; t++) all += h[c * half + t] / (n * m);
    }
    for (c = 0; c < count; c++) {
        double mean = 0;
        for (t = 0; t < half; t++) mean += h[c * half + t] / n;
        for (t = 0; t < half; t++) h[c * half + t] -= mean;
        between += (mean - all) * (mean - all) / (m - 1);
    }
    /* Averaging neighbours leaves the mean of the trace, and so the variance of that mean, as it is, and halves the
     * lags: where the sequence is long it is followed on averages, and the cost stays linear. */
    for (;;) {
        celi_autocovariances(h, count, half, 0, at);
        within = at[0] * (double)half / (double)(half - 1);
        variance = at[0] + between;
        if (!(first > 0)) {
            if (!(within > 1e-24 * all * all)) break; /* rounding only */
            first = variance;
            *rhat = sqrt(variance / within);
        }
        if (celi_geyer(h, count, half, half > 4 * LAGS ? LAGS : half, within, variance, &time)) {
            *ess = (double)(half * count) / time * (first / variance);
            break;
        }
        for (c = 0; c < count; c++)
            for (t = 0; t < half / 2; t++)
                h[c * (half / 2) + t] = (h[c * half + 2 * t] + h[c * half + 2 * t + 1]) / 2;
        half /= 2;
    }
    celi_free(h);
    return CEL_OK;
}

/* The rows of a tissue that is to be moved. */
static cel_status celi_sample_check(const cel_model *model, const cel_relations *relations, cel_mat x, int orthant,
                                    cel_error *err)
{
    if (celi_relations_fit(relations, model, x.rows) || x.cols != model->genes)
        return celi_fail(err, CEL_ERR_SHAPE, "expression, relations and model do not fit", -1, -1, -1);
    return celi_rows_unit(x, orthant, err);
}

/* What a run's trace says, and the sampler at its end. */
static cel_status celi_sample_tell(const cel_sample *s, const double *trace, cel_sample_report *r)
{
    double count = (double)r->recorded;
    int64_t t;
    for (t = 0; t < r->recorded; t++) r->energy += trace[t] / count;
    for (t = 0; t < r->recorded; t++) r->deviation += (trace[t] - r->energy) * (trace[t] - r->energy);
    r->deviation = r->recorded > 1 ? sqrt(r->deviation / (count - 1)) : 0;
    r->acceptance /= r->sweeps ? (double)r->sweeps : 1;
    r->step = s->step;
    r->colours = (int32_t)s->colours;
    return cel_sample_diagnose(trace, 1, r->recorded, &r->ess, &r->rhat);
}

CEL_API_DEF cel_status cel_sample_run(const cel_model *model, const cel_relations *relations,
                                      const cel_sample_options *options, cel_mat x, double *trace,
                                      cel_sample_report *report, cel_error *err)
{
    cel_sample_options o = CEL_ZERO;
    cel_sample_report r = CEL_ZERO;
    cel_sample *s = NULL;
    double *own = NULL;
    cel_work work = CEL_ZERO;
    int64_t t, total;
    cel_status status;
    if (options) o = *options;
    if (!o.sweeps) o.sweeps = 100;
    if (!o.warmup) o.warmup = 50;
    if (o.warmup < 0) o.warmup = 0;
    if (!o.thin) o.thin = 1;
    if (report) *report = r;
    if (o.sweeps < 0 || o.thin < 0) return celi_fail(err, CEL_ERR_ARG, "a negative number of sweeps", -1, -1, -1);
    status = celi_sample_check(model, relations, x, o.domain.orthant, err);
    if (!status) status = cel_sample_new(model, relations, options, &s, err);
    if (status) return status;
    if (!trace) trace = own = (double *)celi_alloc((size_t)(o.sweeps / o.thin) + 1, sizeof *own);
    if (!trace) status = celi_fail(err, CEL_ERR_MEMORY, "the trace of the energy", -1, -1, -1);
    total = o.warmup + o.sweeps;
    for (t = 0; t < total && !status; t++) {
        int64_t sweep = t - o.warmup;
        status = cel_sample_sweep(s, x);
        if (!status && sweep >= 0) {
            r.acceptance += s->acceptance;
            r.sweeps++;
        }
        if (!status && sweep >= 0 && (sweep + 1) % o.thin == 0) {
            status = cel_model_energy(model, relations, x, trace + r.recorded, NULL, cel_mat_view(NULL, 0, 0), &work);
            r.recorded++;
            if (!status && o.each && o.each(o.each_user, sweep, x)) status = CEL_ERR_STOPPED;
        }
        if (!status && o.progress.fn && o.progress.fn(o.progress.user, "sample", t + 1, total, s->acceptance))
            status = CEL_ERR_STOPPED;
    }
    if (!status || status == CEL_ERR_STOPPED) {
        cel_status told = celi_sample_tell(s, trace, &r);
        if (report) *report = r;
        if (told) status = told;
    }
    if (status) celi_fail(err, status, status == CEL_ERR_STOPPED ? "a sampler was stopped" : "a sampler", -1, -1, -1);
    celi_free(own);
    cel_work_free(&work);
    cel_sample_free(s);
    return status;
}

/* ======================================================================== */
/* optimum                                                                  */
/* ======================================================================== */

/* The eigenvalues and the basis of F_0 + F_0^T, and the gauge of the ascent: adds c I to the quadratic form so that
 * it is positive, which on rows of unit length changes H by a constant. A convex function rises at least as fast as its
 * tangent, so the maximiser of the tangent never lowers it. *half receives c / 2. */
static cel_status celi_ascent_gauge(cel_sample *s, double *half)
{
    int64_t n = s->genes, i;
    double c = 0;
    cel_mat a = celi_pool_mat(&s->pool, n, n);
    s->basis = celi_pool_mat(&s->pool, n, n);
    s->value = (double *)celi_pool_get(&s->pool, n, sizeof *s->value);
    *half = 0;
    if (!s->pool.status) s->pool.status = cel_mat_copy(s->g2, a);
    if (!s->pool.status) s->pool.status = cel_mat_eigen(a, s->value, s->basis);
    if (s->pool.status) return s->pool.status;
    if (s->value[0] < 0) c = -s->value[0] + 1e-5 * (s->value[n - 1] - s->value[0]);
    for (i = 0; i < n; i++) {
        cel_real *d = s->g2.data + i * s->g2.stride + i;
        *d = (cel_real)((double)*d + c);
    }
    *half = c / 2;
    return CEL_OK;
}

/* Row x goes to the maximiser of w . y over the sphere or orthant of its radius. */
static void celi_maximiser(const cel_sample *s, const cel_real *w, cel_real *x, double radius, const uint8_t *hold)
{
    int64_t n = s->genes, j, best = -1;
    int orthant = s->options.domain.orthant;
    double length = 0;
    for (j = 0; j < n; j++) {
        if (hold && hold[j]) continue;
        if (best < 0 || w[j] > w[best]) best = j;
        if (!orthant || w[j] > 0) length += (double)w[j] * (double)w[j];
    }
    if (!(length > 0) && !orthant) return;
    /* On the orthant a field that nowhere points inwards leads to its best corner. */
    for (j = 0; j < n; j++)
        if ((hold && hold[j]) || (orthant && !(w[j] > 0))) x[j] = !(length > 0) && j == best ? (cel_real)radius : 0;
        else x[j] = (cel_real)(radius / sqrt(length) * (double)w[j]);
}

static void celi_rescale(int64_t n, cel_real *x, double radius)
{
    cel_real f = (cel_real)(radius / cel_vec_nrm2(n, x));
    int64_t j;
    for (j = 0; j < n; j++) x[j] *= f;
}

/* sum_j value_j z_j^2 / 2 + w_j z_j: H as a function of a free cell, in the eigenbasis. */
static double celi_secular_value(const cel_sample *s, const cel_real *w, const cel_real *z)
{
    double sum = 0;
    int64_t j;
    for (j = 0; j < s->genes; j++) sum += (s->value[j] / 2 * (double)z[j] + (double)w[j]) * (double)z[j];
    return sum;
}

/* y becomes the maximiser of that over |y| = radius: y_j = w_j / (v - value_j) with v above all values, from
 * |y| = radius by Newton's method on 1 / |y|, which rises to it. Then z moves towards y and `beyond` < 1 times as far
 * again, or less where the sum would fall. t (n) is scratch. */
static void celi_secular(const cel_sample *s, cel_real *w, cel_real *z, cel_real *y, cel_real *t, double radius,
                         double beyond)
{
    int64_t n = s->genes, j, top = n - 1;
    double least = 1e-9 * (radius * (s->value[top] - s->value[0]) + cel_vec_nrm2(n, w)), first = fabs((double)w[top]);
    double rise, now;
    int round;
    if (!(least > 0)) return;
    /* Without a field along the last axis its sign is free: it stays. */
    if (first < least) w[top] = (cel_real)(z[top] < 0 ? -least : least);
    if (first < least) first = least;
    now = celi_secular_value(s, w, z);
    rise = first / radius; /* v - value_top */
    for (round = 0; round < 60; round++) {
        double square = 0, slope = 0, length;
        for (j = 0; j < n; j++) {
            double gap = rise + (s->value[top] - s->value[j]), v = (double)w[j] / gap;
            y[j] = (cel_real)v;
            square += v * v;
            slope += v * v / gap;
        }
        length = sqrt(square);
        if (!(length > radius * (1 + 1e-9))) break;
        rise += square / slope * (length / radius - 1);
    }
    celi_rescale(n, y, radius);
    for (; beyond > 0.2; beyond /= 2) {
        for (j = 0; j < n; j++) t[j] = (cel_real)((1 + beyond) * (double)y[j] - beyond * (double)z[j]);
        celi_rescale(n, t, radius);
        if (celi_secular_value(s, w, t) >= now) break;
    }
    memcpy(z, beyond > 0.2 ? t : y, (size_t)n * sizeof *z);
}

/* A free cell goes to the maximiser of H given the others, and beyond it; a held one, or one on the orthant, where
 * that may leave it, takes four steps of the gauge. */
static void celi_batch_ascent(const cel_sample *s, celi_lane *l, const celi_batch *batch)
{
    int64_t n = s->genes, i, m = batch->count;
    cel_mat x, u, b, t = cel_mat_block(l->t, 0, 0, m, n);
    int k, any = s->options.domain.orthant;
    l->status = celi_batch_load(s, l, batch, &x, &u, &b);
    for (i = 0; i < m; i++) any |= s->held[batch->cell[i]];
    for (k = 0; k < 4 && any && !l->status; k++) {
        cel_mat_copy(b, u);
        l->status = cel_mat_gemm(0, 0, 1, x, s->g2, 1, u, &l->work);
        for (i = 0; i < m && !l->status; i++) {
            int64_t cell = batch->cell[i];
            if (s->options.domain.orthant || s->held[cell])
                celi_maximiser(s, u.data + i * u.stride, x.data + i * x.stride, l->radius[i],
                               s->held[cell] ? s->options.domain.hold + cell * n : NULL);
        }
    }
    if (!s->options.domain.orthant && !l->status) {
        l->status = cel_mat_gemm(0, 0, 1, x, s->basis, 0, t, &l->work);
        if (!l->status) l->status = cel_mat_gemm(0, 0, 1, b, s->basis, 0, u, &l->work);
        for (i = 0; i < m && !l->status; i++)
            if (!s->held[batch->cell[i]])
                celi_secular(s, u.data + i * u.stride, t.data + i * t.stride, b.data + i * b.stride,
                             x.data + i * x.stride, l->radius[i], *(double *)batch->context);
        if (!l->status) l->status = cel_mat_gemm(0, 1, 1, t, s->basis, 0, u, &l->work);
    }
    for (i = 0; i < m && !l->status; i++) {
        int64_t cell = batch->cell[i];
        const cel_mat *from = s->options.domain.orthant || s->held[cell] ? &x : &u;
        celi_batch_store(s, batch, cell, from->data + i * from->stride, l->radius[i], 1);
    }
}

/* In the first of its sweeps the ascent goes far beyond each cell's maximum, which leads past poor local ones. */
enum { CELI_ASCENT_FAR = 15 };

CEL_API_DEF cel_status cel_ascent_run(const cel_model *model, const cel_relations *relations,
                                      const cel_ascent_options *options, cel_mat x, cel_ascent_report *report,
                                      cel_error *err)
{
    cel_ascent_options o = CEL_ZERO;
    cel_sample_options so = CEL_ZERO;
    cel_ascent_report r = CEL_ZERO;
    cel_sample *s = NULL;
    double half;
    cel_work work = CEL_ZERO;
    cel_mat none = CEL_ZERO;
    cel_status status;
    if (options) o = *options;
    if (!o.sweeps) o.sweeps = 500;
    if (!(o.tolerance > 0)) o.tolerance = 1e-7;
    so.domain = o.domain;
    if (report) *report = r;
    status = celi_sample_check(model, relations, x, o.domain.orthant, err);
    if (!status) status = cel_sample_new(model, relations, &so, &s, err);
    if (status) return status;
    status = celi_ascent_gauge(s, &half);
    if (!status) status = cel_model_energy(model, relations, x, &r.start, NULL, none, &work);
    r.energy = r.start;
    if (o.trace) o.trace[0] = r.start;
    while (r.sweeps < o.sweeps && !r.converged && !status) {
        double before = r.energy, beyond = r.sweeps < CELI_ASCENT_FAR ? 0.97 : 0.7;
        status = celi_sampler_pass(s, x, celi_batch_ascent, &beyond);
        if (!status) status = cel_model_energy(model, relations, x, &r.energy, NULL, none, &work);
        if (status) break;
        if (o.trace) o.trace[r.sweeps + 1] = r.energy;
        r.converged = (r.sweeps >= CELI_ASCENT_FAR || o.domain.orthant) &&
                      r.energy - before <= o.tolerance * fabs(r.energy);
        r.sweeps++;
        if (o.progress.fn && o.progress.fn(o.progress.user, "ascent", r.sweeps, o.sweeps, r.energy))
            status = CEL_ERR_STOPPED;
    }
    if (status) celi_fail(err, status, "the ascent", -1, -1, -1);
    if (report) *report = r;
    cel_work_free(&work);
    cel_sample_free(s);
    return status;
}

/* An annealing: what all its runs share. */
typedef struct celi_annealing {
    const cel_logz_options *o;
    cel_sample *s;
    cel_mat x;      /* (S x n) */
    double *step;   /* (rungs) */
    double *weight; /* (runs) log weights, with the area of the spheres */
    double area;
    cel_work work;
    cel_logz_report *report;
} celi_annealing;

/* One run, from the uniform law up to exp(H), in temperatures that rise with the square of the rung: most of the change
 * is at the start. Run 0 only finds the step of every rung: those that count must not adapt to what they weigh. */
static cel_status celi_annealing_run(celi_annealing *a, int64_t run, double *weight)
{
    const cel_logz_options *o = a->o;
    cel_sample *s = a->s;
    double before = 0, h = 0, sum = 0;
    int64_t k;
    cel_status status = CEL_OK;
    cel_sample_restart(s, (uint32_t)run);
    cel_sample_uniform(o->seed, (uint32_t)run, o->orthant, a->x);
    for (k = 0; k < o->rungs && !status; k++) {
        double now = (double)(k + 1) / (double)o->rungs;
        now *= now;
        status = cel_model_energy(s->model, s->relations, a->x, &h, NULL, cel_mat_view(NULL, 0, 0), &a->work);
        sum += (now - before) * h;
        before = now;
        if (status || (run && k + 1 == o->rungs)) break;
        cel_sample_temper(s, now);
        if (run) s->step = a->step[k];
        status = cel_sample_sweep(s, a->x);
        if (!run) celi_sampler_adapt(s, 0.5);
        if (!run) a->step[k] = s->step;
        else if (s->acceptance < a->report->acceptance) a->report->acceptance = s->acceptance;
        if (!status && o->progress.fn &&
            o->progress.fn(o->progress.user, "logz", run * o->rungs + k, (o->runs + 1) * o->rungs, a->report->logz))
            status = CEL_ERR_STOPPED;
    }
    *weight = sum + a->area;
    return status;
}

/* The report of the first `runs` log weights. log Z is that of the mean weight, of which the largest may be all there
 * is; the error of that mean is an estimate only where the weights are of one size. */
static void celi_annealing_tell(const double *weight, int64_t runs, cel_logz_report *r)
{
    double sum = 0, square = 0, mean = 0, count = (double)runs;
    int64_t k;
    r->least = r->most = weight[0];
    for (k = 1; k < runs; k++) r->least = fmin(r->least, weight[k]), r->most = fmax(r->most, weight[k]);
    for (k = 0; k < runs; k++) sum += exp(weight[k] - r->most) / count, mean += weight[k] / count;
    r->logz = r->most + log(sum);
    for (r->spread = 0, k = 0; k < runs; k++) {
        double d = exp(weight[k] - r->most) - sum;
        square += d * d;
        r->spread += (weight[k] - mean) * (weight[k] - mean);
    }
    r->spread = runs > 1 ? sqrt(r->spread / (count - 1)) : 0;
    r->converged = runs > 1 && r->spread <= 1;
    r->se = r->converged ? sqrt(square / (count * (count - 1))) / sum : (double)NAN;
}

CEL_API_DEF cel_status cel_logz_ais(const cel_model *model, const cel_relations *relations,
                                    const cel_logz_options *options, cel_logz_report *report, cel_error *err)
{
    const int64_t cells = relations->cells, n = model->genes;
    cel_logz_options o = CEL_ZERO;
    cel_sample_options so = CEL_ZERO;
    celi_annealing a = CEL_ZERO;
    celi_pool pool = CEL_ZERO;
    double unused;
    int64_t run;
    cel_status status;
    memset(report, 0, sizeof *report);
    if (options) o = *options;
    if (!o.runs) o.runs = 16;
    if (!o.rungs) o.rungs = 200;
    if (o.runs < 2 || o.rungs < 1)
        return celi_fail(err, CEL_ERR_ARG, "annealing needs two runs and a rung", -1, -1, -1);
    so.seed = o.seed;
    so.domain.orthant = o.orthant;
    so.moves = o.moves;
    so.warmup = -1;
    status = cel_sample_new(model, relations, &so, &a.s, err);
    if (status) return status;
    a.o = &o;
    a.report = report;
    a.area = (double)cells * (cel_sphere_log_area(n) - (o.orthant ? (double)n * log(2.0) : 0));
    a.x = celi_pool_mat(&pool, cells, n);
    a.step = (double *)celi_pool_get(&pool, o.rungs, sizeof *a.step);
    a.weight = (double *)celi_pool_get(&pool, o.runs, sizeof *a.weight);
    report->acceptance = 1;
    status = pool.status ? pool.status : celi_annealing_run(&a, 0, &unused);
    for (run = 0; run < o.runs && !status; run++) {
        status = celi_annealing_run(&a, run + 1, a.weight + run);
        if (!status && !(fabs(a.weight[run]) <= DBL_MAX)) status = CEL_ERR_NUMERIC;
        if (!status) celi_annealing_tell(a.weight, run + 1, report);
    }
    if (status) {
        memset(report, 0, sizeof *report);
        celi_fail(err, status, status == CEL_ERR_NUMERIC ? "energy is not finite" : "annealing", -1, -1, -1);
    }
    celi_pool_free(&pool);
    cel_work_free(&a.work);
    cel_sample_free(a.s);
    return status;
}

/* One cell's law in the mean field: von Mises-Fisher, concentration k, direction mu, so that E x = A mu and
 * E x x^T = A/k I + (1 - n A/k) mu mu^T. Its share of the bound, E x.G x plus its entropy but without the field, is
 * A/k tr G + (1 - n A/k) mu.G mu + phi - k A. */
typedef struct celi_bound {
    double trace, gauge; /* of the quadratic form as shifted, and the shift */
    double *k, *share;   /* (cells) */
    int measure;         /* 1: share is measured and nothing moves */
} celi_bound;

/* The concentration for quadratic form q = mu.G mu and field f = b.mu: from k, a few steps of the fixed point of
 *   A' (f - k) + (A'/k - A/k^2) (tr G - n q) = 0, each halved until the bound rises. */
static double celi_bound_concentration(const celi_bound *c, int64_t n, double q, double f, double k)
{
    double d = c->trace - (double)n * q, a, da, now = 0;
    int round, half;
    for (round = 0; round < 4; round++) {
        double to = k, value;
        value = cel_sphere_phi(n, k, &a, &da);
        now = value + a * (d / k + f - k);
        if (da > 0) to = f + (1 / k - a / (k * k * da)) * d;
        if (!(to > 1e-6)) to = 1e-6;
        for (half = 0; half < 8; half++) {
            value = cel_sphere_phi(n, to, &a, NULL);
            if (value + a * (d / to + f - to) >= now) break;
            to = (to + k) / 2;
        }
        if (half == 8) break;
        k = to;
    }
    return k;
}

/* Two rounds for each cell's direction and then its concentration, given the means of the others, which are what x
 * holds; or, to measure, its share. */
static void celi_batch_bound(const cel_sample *s, celi_lane *l, const celi_batch *batch)
{
    celi_bound *c = (celi_bound *)batch->context;
    int64_t n = s->genes, i, j, m = batch->count;
    cel_mat x, u, b;
    int k, rounds = c->measure ? 0 : 2;
    l->status = celi_batch_load(s, l, batch, &x, &u, &b);
    for (i = 0; i < m; i++) {
        cel_real *mu = x.data + i * x.stride;
        double length = cel_vec_nrm2(n, mu);
        for (j = 0; j < n; j++) mu[j] = length > 0 ? (cel_real)((double)mu[j] / length) : 0;
    }
    for (k = 0; k <= rounds && !l->status; k++) {
        l->status = cel_mat_gemm(0, 0, 1, x, s->g2, 0, u, &l->work);
        for (i = 0; i < m && !l->status; i++) {
            int64_t cell = batch->cell[i];
            cel_real *mu = x.data + i * x.stride, *w = u.data + i * u.stride, *bi = b.data + i * b.stride;
            double a, q = cel_vec_dot(n, mu, w) / 2, phi;
            if (k == rounds && !c->measure)
                c->k[cell] = celi_bound_concentration(c, n, q, cel_vec_dot(n, mu, bi), c->k[cell]);
            phi = cel_sphere_phi(n, c->k[cell], &a, NULL);
            if (k < rounds) {
                double bend = 1 - (double)n * a / c->k[cell];
                for (j = 0; j < n; j++) w[j] = (cel_real)(bend * (double)w[j] + a * (double)bi[j]);
                celi_maximiser(s, w, mu, 1, NULL);
            } else if (c->measure) {
                a /= c->k[cell];
                c->share[cell] = a * c->trace + (1 - (double)n * a) * q - c->gauge + phi - c->k[cell] * c->k[cell] * a;
            } else {
                cel_real *to = batch->x.data + cell * batch->x.stride;
                for (j = 0; j < n; j++) to[j] = (cel_real)(a * (double)mu[j]);
            }
        }
    }
}

CEL_API_DEF cel_status cel_logz_bound(const cel_model *model, const cel_relations *relations,
                                      const cel_logz_options *options, double *bound, cel_error *err)
{
    const int64_t cells = relations->cells;
    cel_logz_options o = CEL_ZERO;
    cel_ascent_options ascent = CEL_ZERO;
    cel_sample *s = NULL;
    cel_work work = CEL_ZERO;
    celi_bound c = CEL_ZERO;
    celi_pool pool = CEL_ZERO;
    cel_mat x, none = CEL_ZERO;
    double *energy, area = (double)cells * cel_sphere_log_area(model->genes), last = 0, all;
    int64_t t, i;
    cel_status status;
    *bound = 0;
    if (options) o = *options;
    if (!o.sweeps) o.sweeps = 100;
    if (o.orthant || o.sweeps < 0)
        return celi_fail(err, CEL_ERR_ARG, "the bound is of the whole sphere, and takes sweeps", -1, -1, -1);
    status = cel_sample_new(model, relations, NULL, &s, err);
    if (status) return status;
    x = celi_pool_mat(&pool, cells, model->genes);
    c.k = (double *)celi_pool_get(&pool, cells, sizeof *c.k);
    c.share = (double *)celi_pool_get(&pool, cells, sizeof *c.share);
    energy = (double *)celi_pool_get(&pool, model->relations + 1, sizeof *energy);
    status = pool.status;
    if (!status) {
        ascent.sweeps = 10;
        cel_sample_uniform(o.seed, 0, 0, x);
        status = cel_ascent_run(model, relations, &ascent, x, NULL, NULL);
    }
    if (!status) status = celi_ascent_gauge(s, &c.gauge);
    if (!status) {
        for (i = 0; i < model->genes; i++) c.trace += (double)s->g2.data[i * s->g2.stride + i] / 2;
        for (i = 0; i < cells; i++) c.k[i] = (double)model->genes;
        /* No concentration at all is a valid trial as well. */
        last = *bound = area + (double)cells * (c.trace / (double)model->genes - c.gauge);
    }
    for (t = 0; t < o.sweeps && !status; t++) {
        for (c.measure = 0; c.measure < 2 && !status; c.measure++)
            status = celi_sampler_pass(s, x, celi_batch_bound, &c);
        if (!status) status = cel_model_energy(model, relations, x, &all, energy, none, &work);
        if (status) break;
        /* A cell's own force is in its share, by the law's second moments; H of the means is right for the rest. */
        all -= energy[0];
        for (all += area, i = 0; i < cells; i++) all += c.share[i];
        if (all > *bound) *bound = all;
        if (t && fabs(all - last) <= 1e-9 * fabs(all)) break;
        last = all;
        if (o.progress.fn && o.progress.fn(o.progress.user, "bound", t + 1, o.sweeps, *bound)) status = CEL_ERR_STOPPED;
    }
    if (status) {
        *bound = 0;
        celi_fail(err, status, "the mean-field bound", -1, -1, -1);
    }
    celi_pool_free(&pool);
    cel_work_free(&work);
    cel_sample_free(s);
    return status;
}

/* ======================================================================== */
/* perturb                                                                  */
/* ======================================================================== */

static int celi_adds(const cel_intervention *v) { return v->what == CEL_DO_ADD || v->what == CEL_DO_ADD_FREE; }

/* ---- interventions as text ---- */

/* What is left of a line. */
typedef struct celi_text {
    const char *at, *end;
} celi_text;

static int celi_text_blank(char c) { return c == ' ' || c == '\t' || c == '\r'; }

/* The next character that is not blank, 0 at the end. */
static char celi_text_peek(celi_text *t)
{
    while (t->at < t->end && celi_text_blank(*t->at)) t->at++;
    return t->at < t->end ? *t->at : (char)0;
}

/* A decimal number, whatever the locale. Up to 15 digits and 22 places are rounded correctly. */
static int celi_text_number(celi_text *t, double *out)
{
    double m = 0, e = 0;
    int digits = 0, point = 0, scale = 0, negative, down = 0;
    char c = celi_text_peek(t);
    negative = c == '-';
    if (c == '-' || c == '+') t->at++;
    for (; t->at < t->end; t->at++) {
        c = *t->at;
        if (c == '.' && !point) point = 1;
        else if (c >= '0' && c <= '9') {
            m = m * 10 + (c - '0');
            digits++;
            scale -= point;
        } else break;
    }
    if (!digits) return 0;
    if (t->at < t->end && (*t->at == 'e' || *t->at == 'E')) {
        t->at++;
        down = t->at < t->end && *t->at == '-';
        if (down || (t->at < t->end && *t->at == '+')) t->at++;
        for (digits = 0; t->at < t->end && *t->at >= '0' && *t->at <= '9'; t->at++, digits++)
            if (e < 1e4) e = e * 10 + (*t->at - '0');
        if (!digits) return 0;
    }
    e = scale + (down ? -e : e);
    m = e < 0 ? m / pow(10, -e) : m * pow(10, e);
    *out = negative ? -m : m;
    return 1;
}

/* An index below `bound`; a whole number out of range is taken too, as -1. */
static int celi_text_index(celi_text *t, int64_t bound, int64_t *out)
{
    double v;
    if (!celi_text_number(t, &v) || floor(v) < v) return 0;
    *out = v >= 0 && v < (double)bound ? (int64_t)v : -1;
    return 1;
}

/* A field up to the next comma that names one of `names` (NULL: a number below count); -1: none. */
static int64_t celi_text_name(celi_text *t, const char *const *names, int64_t count)
{
    const char *from;
    size_t length;
    int64_t i = -1;
    celi_text_peek(t);
    if (!names) return celi_text_index(t, count, &i) ? i : -1;
    for (from = t->at; t->at < t->end && *t->at != ','; t->at++) {}
    length = (size_t)(t->at - from);
    while (length && celi_text_blank(from[length - 1])) length--;
    for (i = 0; i < count; i++)
        if (strlen(names[i]) == length && !memcmp(names[i], from, length)) return i;
    return -1;
}

/* Takes the words and commas of a form up to its next capital or its end, and returns what is left of the form; NULL
 * where the text goes on otherwise. */
static const char *celi_text_words(celi_text *t, const char *form)
{
    while (*form && !(*form >= 'A' && *form <= 'Z')) {
        if (*form == ' ') {
            form++;
            continue;
        }
        celi_text_peek(t);
        for (; *form && *form != ' '; form++, t->at++)
            if (t->at >= t->end || *t->at != *form) return NULL;
        if (form[-1] != ',' && t->at < t->end && !celi_text_blank(*t->at)) return NULL;
    }
    return form;
}

/* x,y or x,y,z: whatever leaves as many commas in the line as there are in the rest of the form. */
static int celi_text_place(celi_text *t, const char *rest, double *place)
{
    const char *c;
    int64_t d, dims = 1;
    for (c = t->at; c < t->end; c++) dims += *c == ',';
    for (c = rest; *c; c++) dims -= *c == ',';
    if (dims < 2 || dims > 3) return 0;
    for (d = 0; d < dims; d++)
        if ((d && !celi_text_words(t, ",")) || !celi_text_number(t, place + d)) return 0;
    return 1;
}

/* Reads what the capital at *form stands for: C and L a cell, T a type, G a gene, V a value, R a radius, P a place.
 * FORMAT where it is none, ARG and the reason in *wrong where it is one that cannot be. */
static cel_status celi_text_field(celi_text *t, const char *form, const cel_intervention_names *names,
                                  cel_intervention *v, const char **wrong)
{
    int64_t *cell = *form == 'L' ? &v->like : &v->cell, type = 0;
    int read = 1, fits = 1;
    switch (*form) {
    case 'T':
        type = celi_text_name(t, names->types, names->types ? names->type_count : INT32_MAX);
        v->type = (int32_t)type;
        fits = type >= 0;
        *wrong = "unknown type";
        break;
    case 'G':
        v->gene = celi_text_name(t, names->genes, names->gene_count);
        fits = v->gene >= 0;
        *wrong = "unknown gene";
        break;
    case 'V':
        read = celi_text_number(t, &v->value);
        fits = fabs(v->value) <= 1;
        *wrong = "a value beyond 1";
        break;
    case 'R': read = celi_text_number(t, &v->radius); break;
    case 'P': read = celi_text_place(t, form, v->place); break;
    default: /* C, L */
        read = celi_text_index(t, names->cells, cell);
        fits = *cell >= 0;
        *wrong = "a cell out of range";
    }
    return !read ? CEL_ERR_FORMAT : fits ? CEL_OK : CEL_ERR_ARG;
}

/* One line, neither empty nor a comment. */
static cel_status celi_intervention_line(const cel_intervention_names *names, celi_text line, cel_intervention *v,
                                         cel_error *err)
{
    /* The form of a line is the first whose words up to the first capital it begins with; the last begins with none. */
    static const struct {
        const char *text;
        cel_do what;
        cel_who who;
    } forms[] = {{"add free cell at P with profile of cell L", CEL_DO_ADD_FREE, CEL_WHO_CELLS},
                 {"add cell at P with profile of cell L", CEL_DO_ADD, CEL_WHO_CELLS},
                 {"remove cell C", CEL_DO_REMOVE, CEL_WHO_CELLS},
                 {"cell C with profile of cell L", CEL_DO_ROW, CEL_WHO_CELLS},
                 {"cells of type T , G , V", CEL_DO_HOLD, CEL_WHO_TYPE},
                 {"cells within R of P , G , V", CEL_DO_HOLD, CEL_WHO_DISC},
                 {"C , G , V", CEL_DO_HOLD, CEL_WHO_CELLS}};
    const char *wrong = NULL, *form;
    celi_text t = line;
    cel_status status = CEL_OK;
    int k = 0;
    while ((form = celi_text_words(&t, forms[k].text)) == NULL) k++, t = line;
    v->what = forms[k].what;
    v->who = forms[k].who;
    v->gene = -1;
    while (!status && form && *form) {
        status = celi_text_field(&t, form, names, v, &wrong);
        if (!status) form = celi_text_words(&t, form + 1);
    }
    if (!status && (!form || celi_text_peek(&t))) status = CEL_ERR_FORMAT;
    if (!status) return CEL_OK;
    return celi_fail(err, status, status == CEL_ERR_FORMAT ? "a line of no known form" : wrong, v->line,
                     v->who == CEL_WHO_CELLS && !celi_adds(v) ? v->cell : -1, v->gene);
}

CEL_API_DEF cel_status cel_intervention_parse(const char *text, size_t length, const cel_intervention_names *names,
                                              cel_intervention **out, int64_t *count, cel_error *err)
{
    const char *end = text + length, *c;
    cel_intervention *list;
    int64_t line = 0, most = 1, k = 0;
    cel_status status = CEL_OK;
    *out = NULL;
    *count = 0;
    for (c = text; c < end; c++) most += *c == '\n';
    list = (cel_intervention *)celi_alloc((size_t)most, sizeof *list);
    if (!list) return celi_fail(err, CEL_ERR_MEMORY, "reading interventions", -1, -1, -1);
    for (c = text; c < end && !status; c++) {
        celi_text t;
        t.at = c;
        while (c < end && *c != '\n') c++;
        line++;
        for (t.end = t.at; t.end < c && *t.end != '#'; t.end++) {}
        if (!celi_text_peek(&t)) continue;
        list[k].line = line;
        status = celi_intervention_line(names, t, &list[k++], err);
    }
    if (status) {
        celi_free(list);
        return status;
    }
    *out = list;
    *count = k;
    return CEL_OK;
}

CEL_API_DEF void cel_intervention_free(cel_intervention *list) { celi_free(list); }

/* ---- preparing ---- */

enum { CELI_HELD = 1, CELI_GONE = 2 };
static const char celi_preparing[] = "preparing a perturbation";

/* All that preparing needs, over the U = S + A observed and added cells. */
typedef struct celi_prep {
    const cel_tissue *tissue;
    const cel_intervention *list;
    int64_t count, cells;           /* interventions; U */
    const cel_relations *after;     /* as given, or NULL */
    const cel_relations *arm[2];    /* sham, of S cells; after, of U */
    uint8_t *mark;                  /* (U) what is done to the cell, 0 for nothing */
    int32_t *hop, *queue, *map, *by; /* (U) map: the local cell or -1; by: (L) the last intervention on a local cell */
    cel_perturb *p;
    celi_pool own, scratch; /* what p keeps, and what goes */
    cel_error *err;
} celi_prep;

static cel_status celi_refuse(const celi_prep *c, cel_status status, int64_t k, const char *what, int64_t cell,
                              int64_t gene)
{
    return celi_fail(c->err, status, what, k < 0 ? -1 : c->list[k].line ? c->list[k].line : k + 1, cell, gene);
}

/* Whether intervention v, on a type or a disc, is on observed cell i. */
static int celi_prep_inside(const cel_tissue *tissue, const cel_intervention *v, int64_t i)
{
    const cel_real *place = tissue->coords.data + i * tissue->coords.stride;
    double square = 0;
    int64_t d;
    if (v->who == CEL_WHO_TYPE) return tissue->type[i] == v->type;
    for (d = 0; d < tissue->coords.cols; d++)
        square += ((double)place[d] - v->place[d]) * ((double)place[d] - v->place[d]);
    return square <= v->radius * v->radius;
}

typedef cel_status celi_prep_fn(celi_prep *c, int64_t k, int64_t cell);

/* fn for every cell of every intervention in turn; new cells have the ids from S up, in the order of the list. */
static cel_status celi_prep_each(celi_prep *c, celi_prep_fn *fn)
{
    int64_t k, i, added = c->p->observed;
    cel_status status = CEL_OK;
    for (k = 0; k < c->count && !status; k++) {
        const cel_intervention *v = &c->list[k];
        int64_t cells = celi_adds(v) ? 1 : v->who != CEL_WHO_CELLS ? c->p->observed : v->cells ? v->count : 1, hits = 0;
        for (i = 0; i < cells && !status; i++) {
            if (!celi_adds(v) && v->who != CEL_WHO_CELLS && !celi_prep_inside(c->tissue, v, i)) continue;
            hits++;
            status = fn(c, k, celi_adds(v) ? added++ : v->who != CEL_WHO_CELLS ? i : v->cells ? v->cells[i] : v->cell);
        }
        if (!hits) status = celi_refuse(c, CEL_ERR_DATA, k, "an intervention on no cell", -1, -1);
    }
    return status;
}

/* Checks an intervention by itself. */
static cel_status celi_prep_check(const celi_prep *c, int64_t k)
{
    const cel_intervention *v = &c->list[k];
    int adds = celi_adds(v), profile = v->what == CEL_DO_ROW || adds;
    if ((int)v->what < 0 || v->what > CEL_DO_REMOVE || (int)v->who < 0 || v->who > CEL_WHO_DISC)
        return celi_refuse(c, CEL_ERR_ARG, k, "an intervention of no known kind", -1, -1);
    if (v->what == CEL_DO_HOLD && (v->gene < 0 || v->gene >= c->p->genes))
        return celi_refuse(c, CEL_ERR_ARG, k, "a gene out of range", -1, v->gene);
    if (v->what == CEL_DO_HOLD && !(fabs(v->value) <= 1))
        return celi_refuse(c, CEL_ERR_ARG, k, "a value beyond 1", v->cell, v->gene);
    if (adds && !c->after)
        return celi_refuse(c, CEL_ERR_ARG, k, "an added cell without the relations after it is added", -1, -1);
    if (profile && !v->row && (v->like < 0 || v->like >= c->p->observed))
        return celi_refuse(c, CEL_ERR_ARG, k, "the profile of a cell out of range", v->like, -1);
    if (!adds && ((v->who == CEL_WHO_TYPE && !c->tissue->type) || (v->who == CEL_WHO_DISC && !c->tissue->coords.data)))
        return celi_refuse(c, CEL_ERR_ARG, k, "a tissue without the types or coordinates asked for", -1, -1);
    return CEL_OK;
}

static cel_status celi_prep_mark(celi_prep *c, int64_t k, int64_t cell)
{
    if (cell < 0 || cell >= c->cells) return celi_refuse(c, CEL_ERR_ARG, k, "a cell out of range", cell, -1);
    c->mark[cell] |= c->list[k].what == CEL_DO_REMOVE ? CELI_GONE : CELI_HELD;
    if (c->mark[cell] == (CELI_GONE | CELI_HELD))
        return celi_refuse(c, CEL_ERR_ARG, k, "a removed cell that is also held or added", cell, -1);
    return CEL_OK;
}

/* Puts the neighbours of cell i in W that have no hop yet into the queue; returns its new end. */
static int64_t celi_prep_visit(celi_prep *c, const cel_csr *w, int64_t i, int64_t write)
{
    int64_t e;
    if (!w || i >= w->rows) return write;
    for (e = w->start[i]; e < w->start[i + 1]; e++) {
        int32_t j = w->index[e];
        if (c->hop[j] >= 0) continue;
        c->hop[j] = c->hop[i] + 1;
        c->queue[write++] = j;
    }
    return write;
}

/* Breadth-first from the marked cells over the relations of both arms, whatever their direction. */
static void celi_prep_hops(celi_prep *c)
{
    int64_t i, r, read = 0, write = 0;
    int arm;
    for (i = 0; i < c->cells; i++) {
        c->hop[i] = c->mark[i] ? 0 : -1;
        if (c->mark[i]) c->queue[write++] = (int32_t)i;
    }
    while (read < write) {
        i = c->queue[read++];
        for (r = 0; r < c->arm[0]->count; r++)
            for (arm = 0; arm < 2; arm++) {
                write = celi_prep_visit(c, c->arm[arm]->at[r].w, i, write);
                write = celi_prep_visit(c, c->arm[arm]->at[r].wt, i, write);
            }
    }
}

/* The part of A among the listed cells (count, ascending) that are present (NULL: all are); map is the list's
 * inverse (-1: not in it), defined for all of A's rows. */
static cel_status celi_csr_part(const cel_csr *a, const int32_t *list, int64_t count, const uint8_t *present,
                                const int32_t *map, cel_csr *out)
{
    int64_t i, e, total = 0;
    cel_status status;
    for (i = 0; i < count; i++)
        if (list[i] < a->rows) total += a->start[list[i] + 1] - a->start[list[i]];
    status = celi_csr_new(count, count, total, out);
    for (i = 0, total = 0; i < count && !status; i++) {
        if ((!present || present[i]) && list[i] < a->rows)
            for (e = a->start[list[i]]; e < a->start[list[i] + 1]; e++) {
                int32_t j = map[a->index[e]];
                if (j < 0 || (present && !present[j])) continue;
                out->index[total] = j;
                out->value[total++] = a->value[e];
            }
        out->start[i + 1] = total;
    }
    return status;
}

/* All relations of an arm, restricted. */
static cel_status celi_relations_part(const cel_relations *from, const int32_t *list, int64_t count,
                                      const uint8_t *present, const int32_t *map, cel_relations *to)
{
    int64_t r;
    cel_status status = cel_relations_new(count, to);
    for (r = 1; r < from->count && !status; r++) {
        cel_csr part;
        status = celi_csr_part(from->at[r].w, list, count, present, map, &part);
        if (!status) status = cel_relations_add(to, from->name[r], &part, NULL);
    }
    return status;
}

/* Chooses the local cells and describes them. */
static cel_status celi_prep_local(celi_prep *c)
{
    cel_perturb *p = c->p;
    const cel_tissue *tissue = c->tissue;
    int64_t i, d, n = p->genes, S = p->observed, added = 0, dims = tissue->coords.data ? tissue->coords.cols : 0;
    int arm;
    cel_status status;
    for (i = 0; i < c->cells; i++)
        c->map[i] = p->open || (c->hop[i] >= 0 && c->hop[i] <= p->reach + 1) ? (int32_t)p->cells++ : -1;
    p->id = (int32_t *)celi_pool_get(&c->own, p->cells, sizeof *p->id);
    p->hop = (int32_t *)celi_pool_get(&c->own, p->cells, sizeof *p->hop);
    p->hold = (uint8_t *)celi_pool_get(&c->own, p->cells * n, 1);
    if (tissue->type) p->type = (int32_t *)celi_pool_get(&c->own, p->cells, sizeof *p->type);
    if (dims) p->coords = celi_pool_mat(&c->own, p->cells, dims);
    for (arm = 0; arm < 2; arm++) {
        p->present[arm] = (uint8_t *)celi_pool_get(&c->own, p->cells, 1);
        p->fixed[arm] = (uint8_t *)celi_pool_get(&c->own, p->cells, 1);
        p->start[arm] = celi_pool_mat(&c->own, p->cells, n);
    }
    if (c->own.status) return c->own.status;
    for (i = 0; i < c->cells; i++) {
        int64_t to = c->map[i];
        const cel_intervention *v = NULL;
        /* Every added cell is one that is intervened on, hence local. */
        while (i >= S && !v) v = celi_adds(&c->list[added++]) ? &c->list[added - 1] : NULL;
        if (to < 0) continue;
        p->id[to] = (int32_t)i;
        p->hop[to] = c->hop[i];
        p->present[0][to] = i < S;
        p->present[1][to] = !(c->mark[i] & CELI_GONE);
        for (d = 0; d < dims; d++)
            p->coords.data[to * dims + d] =
                v ? (cel_real)v->place[d] : tissue->coords.data[i * tissue->coords.stride + d];
        if (p->type) p->type[to] = !v ? tissue->type[i] : v->row ? -1 : tissue->type[v->like];
    }
    for (arm = 0, status = CEL_OK; arm < 2 && !status; arm++)
        status = celi_relations_part(c->arm[arm], p->id, p->cells, p->present[arm], c->map, &p->relations[arm]);
    return status;
}

/* Does intervention k to its cell: what is held, and at what. */
static cel_status celi_prep_apply(celi_prep *c, int64_t k, int64_t cell)
{
    cel_perturb *p = c->p;
    const cel_intervention *v = &c->list[k];
    const cel_real *row = v->row ? v->row : c->tissue->x.data + v->like * c->tissue->x.stride;
    int64_t g, n = p->genes, local = c->map[cell];
    cel_real *x = p->start[1].data + local * n;
    uint8_t *hold = p->hold + local * n;
    int free_row = v->what == CEL_DO_ADD_FREE;
    double scale = 1;
    c->by[local] = (int32_t)k;
    if (v->what == CEL_DO_REMOVE) return CEL_OK;
    if (v->what == CEL_DO_HOLD) {
        if (hold[v->gene]) return celi_refuse(c, CEL_ERR_ARG, k, "the same gene held twice in a cell", cell, v->gene);
        hold[v->gene] = 1;
        x[v->gene] = (cel_real)v->value;
        return CEL_OK;
    }
    if (v->row) scale = cel_vec_nrm2(n, row);
    if (!(scale > 0 && scale <= DBL_MAX))
        return celi_refuse(c, CEL_ERR_DATA, k, "a profile of zeros or not finite", cell, -1);
    for (g = 0; g < n; g++) {
        if (hold[g] && !free_row)
            return celi_refuse(c, CEL_ERR_ARG, k, "the same gene held twice in a cell", cell, g);
        if (!hold[g]) x[g] = (cel_real)((double)row[g] / scale);
        if (!free_row) hold[g] = 1;
    }
    return CEL_OK;
}

/* Rescales the free values of a row (n) to length sqrt(1 - squares of the held ones). */
static void celi_free_part(int64_t n, const uint8_t *hold, cel_real *row)
{
    double held = 0, rest = 0, radius;
    int64_t g, places = 0;
    for (g = 0; g < n; g++) {
        double v = (double)row[g];
        if (hold[g]) held += v * v;
        else rest += v * v, places++;
    }
    radius = held < 1 ? sqrt(1 - held) : 0;
    for (g = 0; g < n; g++)
        if (!hold[g])
            row[g] = (cel_real)(rest > 0 ? (double)row[g] * (radius / sqrt(rest)) : radius / sqrt((double)places));
}

/* A local cell after all that was done to it: its free part takes what length the held values leave, if any. */
static cel_status celi_prep_settle(celi_prep *c, int64_t i)
{
    cel_perturb *p = c->p;
    int64_t g, n = p->genes, held = 0, k = c->by[i];
    uint8_t *hold = p->hold + i * n;
    cel_real *row = p->start[1].data + i * n;
    int far = !p->open && (p->hop[i] < 0 || p->hop[i] > p->reach);
    double squares = 0;
    for (g = 0; g < n; g++)
        if (hold[g]) held++, squares += (double)row[g] * (double)row[g];
    if (held == n && !(squares > 0))
        return celi_refuse(c, CEL_ERR_ARG, k, "all genes of a cell held at 0", p->id[i], -1);
    if (squares > 1 + 1e-6) return celi_refuse(c, CEL_ERR_ARG, k, "squares of held values above 1", p->id[i], -1);
    if (held == n && k >= 0 && c->list[k].what == CEL_DO_HOLD && squares < 1 - 1e-6)
        return celi_refuse(c, CEL_ERR_ARG, k, "a held row that is not of unit length", p->id[i], -1);
    if (held && held < n) celi_free_part(n, hold, row);
    if (held && squares > 1 - 1e-6) held = n; /* nothing is left for the others */
    if (held == n) memset(hold, 1, (size_t)n);
    p->fixed[0][i] = (uint8_t)(far || !p->present[0][i]);
    p->fixed[1][i] = (uint8_t)(far || !p->present[1][i] || held == n);
    /* The sham has no such cell, but its rows are rows too. */
    if (!p->present[0][i]) memcpy(p->start[0].data + i * n, row, (size_t)n * sizeof *row);
    return CEL_OK;
}

/* The rows of both arms, what is held, and who moves. */
static cel_status celi_prep_rows(celi_prep *c)
{
    cel_perturb *p = c->p;
    int64_t i, n = p->genes, seen = 0;
    cel_error inner = CEL_ZERO;
    cel_status status;
    for (i = 0; i < p->cells; i++) {
        c->by[i] = -1;
        if (p->present[0][i])
            memcpy(p->start[0].data + i * n, c->tissue->x.data + p->id[i] * c->tissue->x.stride,
                   (size_t)n * sizeof(cel_real));
        seen += p->present[0][i];
    }
    /* Observed cells come first. */
    if (celi_rows_unit(cel_mat_block(p->start[0], 0, 0, seen, n), 0, &inner))
        return celi_refuse(c, inner.status, -1, inner.what, p->id[inner.cell], -1);
    memcpy(p->start[1].data, p->start[0].data, (size_t)(seen * n) * sizeof(cel_real));
    status = celi_prep_each(c, celi_prep_apply);
    for (i = 0; i < p->cells && !status; i++) status = celi_prep_settle(c, i);
    return status;
}

/* What is asked for, as a whole and each by itself. */
static cel_status celi_prep_begin(celi_prep *c)
{
    const cel_tissue *t = c->tissue;
    const cel_model *model = c->p->model;
    int64_t k;
    cel_status status = CEL_OK;
    c->arm[0] = t->relations;
    c->arm[1] = c->p->added && c->after ? c->after : t->relations;
    if (t->x.cols != model->genes || (t->coords.data && (t->coords.rows != t->x.rows || t->coords.cols > 3)))
        return celi_refuse(c, CEL_ERR_SHAPE, -1, "expression, coordinates and model do not fit", -1, -1);
    if (celi_relations_fit(c->arm[0], model, t->x.rows) ||
        celi_relations_fit(c->arm[1], model, c->p->added && c->after ? c->cells : t->x.rows))
        return celi_refuse(c, CEL_ERR_SHAPE, -1, "relations, cells and model do not fit", -1, -1);
    if (c->count < 1 || t->x.rows < 1 || c->cells > INT32_MAX || c->count > INT32_MAX)
        return celi_refuse(c, CEL_ERR_DATA, -1, "no intervention, or no cell", -1, -1);
    for (k = 0; k < c->count && !status; k++) status = celi_prep_check(c, k);
    c->mark = (uint8_t *)celi_pool_get(&c->scratch, c->cells, 1);
    c->hop = (int32_t *)celi_pool_get(&c->scratch, c->cells, sizeof *c->hop);
    c->queue = (int32_t *)celi_pool_get(&c->scratch, c->cells, sizeof *c->queue);
    c->map = (int32_t *)celi_pool_get(&c->scratch, c->cells, sizeof *c->map);
    c->by = (int32_t *)celi_pool_get(&c->scratch, c->cells, sizeof *c->by);
    return status ? status : c->scratch.status ? celi_refuse(c, c->scratch.status, -1, celi_preparing, -1, -1) : CEL_OK;
}

CEL_API_DEF cel_status cel_perturb_new(const cel_model *model, const cel_tissue *tissue, const cel_intervention *list,
                                       int64_t count, const cel_perturb_setup *setup, cel_perturb *out, cel_error *err)
{
    celi_prep c = CEL_ZERO;
    int reach = setup ? setup->reach : 0;
    int64_t k;
    cel_status status;
    memset(out, 0, sizeof *out);
    out->model = model;
    out->observed = tissue->x.rows;
    out->genes = model->genes;
    out->open = reach < 0;
    out->reach = reach < 0 ? -reach : reach ? reach : 3;
    for (k = 0; k < count; k++) out->added += celi_adds(&list[k]);
    c.tissue = tissue;
    c.list = list;
    c.count = count;
    c.cells = out->observed + out->added;
    c.after = setup ? setup->after : NULL;
    c.p = out;
    c.err = err;
    status = celi_prep_begin(&c);
    if (!status) status = celi_prep_each(&c, celi_prep_mark);
    if (!status) {
        celi_prep_hops(&c);
        status = celi_prep_local(&c);
        if (status) celi_refuse(&c, status, -1, celi_preparing, -1, -1);
    }
    if (!status) status = celi_prep_rows(&c);
    celi_pool_free(&c.scratch);
    out->memory = c.own.last;
    if (status) cel_perturb_free(out);
    return status;
}

CEL_API_DEF void cel_perturb_free(cel_perturb *p)
{
    celi_pool pool = CEL_ZERO;
    if (!p) return;
    cel_relations_free(&p->relations[0]);
    cel_relations_free(&p->relations[1]);
    pool.last = p->memory;
    celi_pool_free(&pool);
    memset(p, 0, sizeof *p);
}

CEL_API_DEF cel_status cel_perturb_scatter(const cel_perturb *p, cel_mat local, cel_mat full)
{
    int64_t i;
    if (local.rows != p->cells || local.cols != full.cols || full.rows < p->observed) return CEL_ERR_SHAPE;
    for (i = 0; i < p->cells; i++)
        if (p->id[i] < full.rows)
            memcpy(full.data + p->id[i] * full.stride, local.data + i * local.stride,
                   (size_t)full.cols * sizeof *full.data);
    return CEL_OK;
}

CEL_API_DEF int64_t cel_perturb_by_hop(const cel_perturb *p, int32_t *label)
{
    int64_t i;
    for (i = 0; i < p->cells; i++)
        label[i] = p->hop[i] >= 0 && p->hop[i] <= p->reach ? p->hop[i] : (int32_t)p->reach + 1;
    return p->reach + 2;
}

CEL_API_DEF int64_t cel_perturb_by_distance(const cel_perturb *p, const double *edge, int64_t bands, int32_t *label)
{
    int64_t i, j, d, dims = p->coords.cols;
    if (!p->coords.data) return 0;
    for (i = 0; i < p->cells; i++) label[i] = (int32_t)bands;
    for (j = 0; j < p->cells; j++) {
        const cel_real *b = p->coords.data + j * dims;
        if (p->hop[j]) continue;
        CELI_OMP(omp parallel for schedule(static) private(d) if (p->cells > CELI_FORK))
        for (i = 0; i < p->cells; i++) {
            double square = 0;
            for (d = 0; d < dims; d++) {
                double step = (double)p->coords.data[i * dims + d] - (double)b[d];
                square += step * step;
            }
            /* The nearest intervened cell is the one of the lowest band. */
            while (label[i] >= 0 && square < edge[label[i]] * edge[label[i]]) label[i]--;
        }
    }
    for (i = 0; i < p->cells; i++)
        if (label[i] == bands) label[i] = -1;
    return bands;
}

CEL_API_DEF int64_t cel_perturb_by_type(const cel_perturb *p, int32_t *label)
{
    int64_t i, groups = 0;
    for (i = 0; i < p->cells; i++) {
        label[i] = p->type ? p->type[i] : -1;
        if (label[i] >= groups) groups = label[i] + 1;
    }
    return groups;
}

/* ---- the effect: averages and tables ---- */

/* Values (cells x genes) up to which threads cost more than they bring. */
#define CELI_PERTURB_SMALL 65536
/* Values from which repeats run one after the other, for the sake of memory. */
#define CELI_PERTURB_LARGE 4000000

/* A run's surroundings. */
typedef struct celi_effect_run {
    const cel_perturb *p;
    const cel_perturb_options *o;
    cel_effect *e;
    celi_pool own, scratch; /* what e keeps, and what goes */
    double *sums;           /* (groups x columns) of the largest table */
    int32_t *colour;        /* (L) of the relations of both arms together */
    cel_work work;
    cel_error *err;         /* cells as of p; the caller's come last */
} celi_effect_run;

static int celi_both(const cel_perturb *p, int64_t i) { return p->present[0][i] && p->present[1][i]; }

/* An empty table of a grouping. */
static cel_status celi_effect_table_new(celi_effect_run *run, const cel_grouping *by, cel_effect_table *t)
{
    const cel_perturb *p = run->p;
    int64_t i, size;
    t->groups = by->groups;
    t->genes = p->genes;
    t->columns = p->genes + (run->o->sets.data ? run->o->sets.rows : 0);
    size = t->groups * t->columns;
    t->cells = (int64_t *)celi_pool_get(&run->own, t->groups, sizeof *t->cells);
    t->mean = (double *)celi_pool_get(&run->own, size, 5 * sizeof *t->mean);
    if (run->own.status) return run->own.status;
    t->se = t->mean + size;
    t->z = t->se + size;
    t->p = t->z + size;
    t->q = t->p + size;
    for (i = 0; i < p->cells; i++) {
        int32_t g = by->label[i];
        if (g >= t->groups) return celi_fail(run->err, CEL_ERR_ARG, "a label beyond its groups", -1, i, -1);
        if (g >= 0) t->cells[g] += celi_both(p, i);
    }
    return CEL_OK;
}

static cel_status celi_effect_new(celi_effect_run *run)
{
    const cel_perturb *p = run->p;
    cel_effect *e = run->e;
    int64_t t, most = 1;
    cel_status status;
    e->after = celi_pool_mat(&run->own, p->cells, p->genes);
    e->sham = celi_pool_mat(&run->own, p->cells, p->genes);
    e->mean = celi_pool_mat(&run->own, p->cells, p->genes);
    e->se = celi_pool_mat(&run->own, p->cells, p->genes);
    e->tables = run->o->groupings;
    e->table = (cel_effect_table *)celi_pool_get(&run->own, e->tables, sizeof *e->table);
    status = run->own.status;
    for (t = 0; t < e->tables && !status; t++) {
        status = celi_effect_table_new(run, &run->o->grouping[t], &e->table[t]);
        if (e->table[t].groups * e->table[t].columns > most) most = e->table[t].groups * e->table[t].columns;
    }
    run->sums = (double *)celi_pool_get(&run->scratch, most, sizeof *run->sums);
    return status ? status : run->scratch.status;
}

/* A repeat's average differences of each group into its table: running mean, and sum of squared deviations. */
static void celi_effect_add_table(celi_effect_run *run, const cel_mat *arm, int64_t which, double share)
{
    const cel_perturb *p = run->p;
    cel_effect_table *table = &run->e->table[which];
    const int32_t *label = run->o->grouping[which].label;
    cel_mat sets = run->o->sets;
    int64_t i, g, k, n = p->genes, size = table->groups * table->columns;
    memset(run->sums, 0, (size_t)size * sizeof *run->sums);
    for (i = 0; i < p->cells; i++) {
        double *sum;
        if (label[i] < 0 || !celi_both(p, i)) continue;
        sum = run->sums + label[i] * table->columns;
        for (g = 0; g < n; g++) sum[g] += (double)arm[1].data[i * n + g] - (double)arm[0].data[i * n + g];
    }
    for (k = 0; k < table->groups; k++) {
        double *sum = run->sums + k * table->columns;
        for (g = 0; g < n && table->cells[k]; g++) sum[g] /= (double)table->cells[k];
        for (g = n; g < table->columns; g++)
            for (i = 0; i < n; i++) sum[g] += (double)sets.data[(g - n) * sets.stride + i] * sum[i];
    }
    for (k = 0; k < size; k++) {
        double step = run->sums[k] - table->mean[k];
        table->mean[k] += step * share;
        table->se[k] += step * (run->sums[k] - table->mean[k]);
    }
}

/* Takes in the two arms of repeat `repeat` (from 1): running means and sums of squared deviations (Welford 1962)
 * of the difference, by cell and by group. The arms may be e->sham and e->after themselves. */
static void celi_effect_add(celi_effect_run *run, const cel_mat *arm, int64_t repeat)
{
    const cel_perturb *p = run->p;
    cel_effect *e = run->e;
    int64_t i, g, t, n = p->genes;
    double share = 1.0 / (double)repeat;
    CELI_OMP(omp parallel for schedule(static) private(g) if (p->cells * n > CELI_PERTURB_SMALL))
    for (i = 0; i < p->cells; i++)
        for (g = 0; g < n; g++) {
            int64_t at = i * n + g;
            cel_real sham = arm[0].data[at], after = arm[1].data[at], d = celi_both(p, i) ? after - sham : 0;
            cel_real step = d - e->mean.data[at];
            e->after.data[at] += (after - e->after.data[at]) * (cel_real)share;
            e->sham.data[at] += (sham - e->sham.data[at]) * (cel_real)share;
            e->mean.data[at] += step * (cel_real)share;
            e->se.data[at] += step * (d - e->mean.data[at]);
        }
    for (t = 0; t < e->tables; t++) celi_effect_add_table(run, arm, t, share);
    e->repeats = repeat;
}

/* A table's errors and tests from its sums of squares; scale NaN without repeats. */
static cel_status celi_effect_test(cel_effect_table *t, int64_t repeats, double scale)
{
    int64_t k, sets = t->columns - t->genes;
    cel_status status = CEL_OK;
    for (k = 0; k < t->groups * t->columns; k++) {
        double mean = t->mean[k], se = sqrt(t->se[k] * scale);
        t->se[k] = se;
        t->z[k] = se > 0 ? mean / se : mean > 0 ? HUGE_VAL : mean < 0 ? -HUGE_VAL : 0;
        if (repeats < 2) t->z[k] = (double)NAN;
        t->q[k] = t->p[k] = cel_student_p(t->z[k], (double)(repeats - 1));
    }
    for (k = 0; k < t->groups && !status && repeats > 1; k++) {
        double *q = t->q + k * t->columns;
        status = cel_fdr(q, t->genes, q);
        if (!status) status = cel_fdr(q + t->genes, sets, q + t->genes);
    }
    return status;
}

/* Errors and tests from the sums of squares, and the sizes of it all. */
static cel_status celi_effect_finish(celi_effect_run *run)
{
    const cel_perturb *p = run->p;
    cel_effect *e = run->e;
    int64_t i, g, t, n = p->genes;
    double scale = e->repeats > 1 ? 1.0 / ((double)e->repeats * (double)(e->repeats - 1)) : (double)NAN;
    double all = 0, far = 0;
    cel_status status = CEL_OK;
    for (i = 0; i < p->cells; i++)
        for (g = 0; g < n; g++) {
            int64_t at = i * n + g;
            double d = (double)e->mean.data[at], m = (double)(e->after.data[at] - p->start[1].data[at]);
            double s = (double)(e->sham.data[at] - p->start[0].data[at]);
            e->se.data[at] = (cel_real)sqrt((double)e->se.data[at] * scale);
            all += fabs(d);
            if (p->hop[i] < 0 || p->hop[i] > p->reach) far += fabs(d);
            e->size += d * d;
            if (p->present[1][i]) e->moved += m * m;
            if (p->present[0][i]) e->drift += s * s;
        }
    e->beyond = all > 0 ? far / all : 0;
    e->size = sqrt(e->size);
    e->moved = sqrt(e->moved);
    e->drift = sqrt(e->drift);
    for (t = 0; t < e->tables && !status; t++) status = celi_effect_test(&e->table[t], e->repeats, scale);
    return status;
}

/* ---- methods without repeats: the arms are e->sham and e->after ---- */

/* v becomes tangent: 0 where mask is set, and in each row orthogonal to the free part of x. lambda (L, or NULL)
 * receives x.v / x.x over the free part as v was. */
static void celi_tangent(const uint8_t *mask, cel_mat x, cel_mat v, double *lambda)
{
    int64_t i, g, n = x.cols;
    CELI_OMP(omp parallel for schedule(static) private(g) if (x.rows * n > CELI_PERTURB_SMALL))
    for (i = 0; i < x.rows; i++) {
        const cel_real *a = x.data + i * n;
        cel_real *b = v.data + i * n;
        double ab = 0, aa = 0, c;
        for (g = 0; g < n; g++)
            if (mask[i * n + g]) b[g] = 0;
            else {
                ab += (double)a[g] * (double)b[g];
                aa += (double)a[g] * (double)a[g];
            }
        c = aa > 0 ? ab / aa : 0;
        for (g = 0; g < n; g++)
            if (!mask[i * n + g]) b[g] = (cel_real)((double)b[g] - c * (double)a[g]);
        if (lambda) lambda[i] = c;
    }
}

/* Conjugate gradient for -Hess H(x) v = r on the tangent space; r is overwritten, d and a are scratch. For a quadratic
 * H on spheres, Hess H(x) d is the tangent part of (dH/dX)(d) without the field, less lambda_i d_i,
 * lambda_i = x_i . (dH/dx_i) / |x_i|^2. Where the curvature is not negative the step so far has to do. */
static cel_status celi_newton_solve(celi_effect_run *run, const uint8_t *mask, const double *lambda, cel_mat x,
                                    cel_mat r, cel_mat v, cel_mat d, cel_mat a)
{
    enum { STEPS = 1000 };
    cel_model plain = *run->p->model;
    int64_t i, g, n = x.cols, k;
    double first = cel_mat_dot(r, r), rr = first, next, curve, enough = sizeof(cel_real) == 4 ? 1e-9 : 1e-18;
    plain.field = NULL;
    cel_mat_copy(r, d);
    for (k = 0; k < STEPS && rr > first * enough; k++) {
        cel_status status = cel_model_energy(&plain, &run->p->relations[1], d, NULL, NULL, a, &run->work);
        if (status) return status;
        celi_tangent(mask, x, a, NULL);
        for (i = 0; i < x.rows; i++)
            for (g = i * n; g < (i + 1) * n; g++)
                a.data[g] = (cel_real)(lambda[i] * (double)d.data[g] - (double)a.data[g]);
        curve = cel_mat_dot(d, a);
        if (!(curve > 0)) break;
        cel_mat_axpy((cel_real)(rr / curve), d, v);
        cel_mat_axpy((cel_real)(-rr / curve), a, r);
        next = cel_mat_dot(r, r);
        for (i = 0; i < x.rows * n; i++) d.data[i] = r.data[i] + (cel_real)(next / rr) * d.data[i];
        rr = next;
    }
    run->e->iterations = k;
    if (!(rr <= first * enough)) run->e->converged = 0;
    return CEL_OK;
}

/* One Newton step of the intervened arm from x, in place, on the tangent space of the free parts. On the orthant what
 * is at the bound and pushed against it stays there. */
static cel_status celi_newton(celi_effect_run *run, cel_mat x)
{
    const cel_perturb *p = run->p;
    int64_t i, g, n = p->genes, size = p->cells * n;
    celi_pool pool = CEL_ZERO;
    cel_mat v = celi_pool_mat(&pool, p->cells, n), r = celi_pool_mat(&pool, p->cells, n);
    cel_mat d = celi_pool_mat(&pool, p->cells, n), a = celi_pool_mat(&pool, p->cells, n);
    uint8_t *mask = (uint8_t *)celi_pool_get(&pool, size, 1);
    double *lambda = (double *)celi_pool_get(&pool, p->cells, sizeof *lambda);
    cel_status status = pool.status;
    if (!status) status = cel_model_energy(p->model, &p->relations[1], x, NULL, NULL, r, &run->work);
    if (!status) {
        for (i = 0; i < size; i++)
            mask[i] = p->hold[i] || p->fixed[1][i / n] || (run->o->orthant && !(x.data[i] > 0) && !(r.data[i] > 0));
        celi_tangent(mask, x, r, lambda);
        status = celi_newton_solve(run, mask, lambda, x, r, v, d, a);
    }
    for (i = 0; i < p->cells && !status; i++) {
        if (p->fixed[1][i]) continue;
        for (g = i * n; g < (i + 1) * n; g++) {
            if (mask[g]) continue;
            x.data[g] += v.data[g];
            if (run->o->orthant && !(x.data[g] > 0)) x.data[g] = 0;
        }
        celi_free_part(n, p->hold + i * n, x.data + i * n);
    }
    celi_pool_free(&pool);
    return status;
}

/* The published generator for the cells that an arm has, from where the arm starts, into x. */
static cel_status celi_effect_paper(celi_effect_run *run, int arm, cel_mat x)
{
    const cel_perturb *p = run->p;
    int64_t i, count = 0, n = p->genes;
    celi_pool pool = CEL_ZERO;
    int32_t *list = (int32_t *)celi_pool_get(&pool, p->cells, sizeof *list);
    int32_t *map = (int32_t *)celi_pool_get(&pool, p->cells, sizeof *map);
    cel_relations relations = CEL_ZERO;
    cel_mat rows = celi_pool_mat(&pool, p->cells, n), angles = celi_pool_mat(&pool, p->cells, n - 1);
    cel_status status = pool.status;
    for (i = 0; i < p->cells && !status; i++) {
        map[i] = p->present[arm][i] ? (int32_t)count : -1;
        if (map[i] < 0) continue;
        memcpy(rows.data + count * n, p->start[arm].data + i * n, (size_t)n * sizeof *rows.data);
        list[count++] = (int32_t)i;
    }
    rows.rows = angles.rows = count;
    if (!status) status = celi_relations_part(&p->relations[arm], list, count, NULL, map, &relations);
    if (!status) {
        status = cel_paper_to_angles(rows, angles, run->err);
        if (status && run->err->cell >= 0) run->err->cell = list[run->err->cell];
    }
    if (!status) status = cel_paper_generate(p->model, &relations, run->o->paper, angles, rows, NULL, NULL);
    for (i = 0; i < count && !status; i++)
        memcpy(x.data + list[i] * n, rows.data + i * n, (size_t)n * sizeof *x.data);
    cel_relations_free(&relations);
    celi_pool_free(&pool);
    return status;
}

/* Ascends an arm from x; only the cells with frozen 0 move. */
static cel_status celi_effect_ascend(celi_effect_run *run, int arm, const uint8_t *frozen, cel_mat x)
{
    const cel_perturb *p = run->p;
    cel_ascent_options ascent = CEL_ZERO;
    cel_ascent_report report;
    cel_status status;
    ascent.domain.orthant = run->o->orthant;
    ascent.domain.hold = arm ? p->hold : NULL;
    ascent.domain.frozen = frozen;
    ascent.domain.colour = run->colour;
    ascent.sweeps = run->o->sweeps;
    ascent.tolerance = run->o->tolerance;
    status = cel_ascent_run(p->model, &p->relations[arm], &ascent, x, &report, run->err);
    run->e->iterations += report.sweeps;
    run->e->converged &= report.converged;
    return status;
}

/* The relaxed sham with the intervention imposed, the intervened rows relaxed, and one Newton step of all. */
static cel_status celi_effect_linear(celi_effect_run *run, cel_mat sham, cel_mat x)
{
    const cel_perturb *p = run->p;
    int64_t i, g, n = p->genes;
    uint8_t *frozen = (uint8_t *)celi_alloc((size_t)p->cells, 1);
    cel_status status;
    if (!frozen) return CEL_ERR_MEMORY;
    for (i = 0; i < p->cells; i++) {
        const cel_real *from = (p->present[0][i] ? sham.data : p->start[1].data) + i * n;
        cel_real *row = x.data + i * n;
        int64_t held = 0;
        for (g = 0; g < n; g++) {
            held += p->hold[i * n + g];
            row[g] = p->hold[i * n + g] ? p->start[1].data[i * n + g] : from[g];
        }
        if (held && held < n) celi_free_part(n, p->hold + i * n, row);
        frozen[i] = p->hop[i] || p->fixed[1][i];
    }
    status = celi_effect_ascend(run, 1, frozen, x);
    celi_free(frozen);
    return status ? status : celi_newton(run, x);
}

/* An arm by a method without repeats; the sham comes first. */
static cel_status celi_effect_arm(celi_effect_run *run, int arm, const cel_mat *x)
{
    if (run->o->method == CEL_METHOD_PAPER) return celi_effect_paper(run, arm, x[arm]);
    if (run->o->method == CEL_METHOD_LINEAR && arm) return celi_effect_linear(run, x[0], x[1]);
    return celi_effect_ascend(run, arm, run->p->fixed[arm], x[arm]);
}

static cel_status celi_effect_once(celi_effect_run *run)
{
    const cel_perturb *p = run->p;
    const cel_progress *progress = &run->o->progress;
    cel_mat x[2];
    int arm;
    cel_status status = CEL_OK;
    x[0] = run->e->sham;
    x[1] = run->e->after;
    for (arm = 0; arm < 2; arm++) cel_mat_copy(p->start[arm], x[arm]);
    for (arm = 0; arm < 2 && !status; arm++) {
        status = celi_effect_arm(run, arm, x);
        if (!status && progress->fn && progress->fn(progress->user, "perturb", arm + 1, 2, 0)) status = CEL_ERR_STOPPED;
    }
    for (arm = 0; arm < 2 && !status; arm++)
        status = cel_model_energy(p->model, &p->relations[arm], x[arm], &run->e->energy[arm], NULL,
                                  cel_mat_view(NULL, 0, 0), &run->work);
    if (!status) celi_effect_add(run, x, 1);
    return status;
}

/* ---- the paired method ---- */

/* Sweeps in which the step of a run is found. */
enum { CELI_EFFECT_ADAPT = 50 };

/* A sampler of an arm; step 0 makes it adapt one in its warm-up. The colours are those of this run. */
static cel_status celi_effect_sampler(celi_effect_run *run, int arm, double step, cel_sample **out)
{
    const cel_perturb *p = run->p;
    cel_sample_options sample = CEL_ZERO;
    sample.seed = run->o->seed;
    sample.stream = UINT32_MAX;
    sample.warmup = step > 0 ? -1 : CELI_EFFECT_ADAPT;
    sample.step = step;
    sample.domain.orthant = run->o->orthant;
    sample.domain.hold = arm ? p->hold : NULL;
    sample.domain.frozen = p->fixed[arm];
    sample.domain.id = (const uint32_t *)p->id;
    sample.domain.colour = run->colour;
    return celi_sampler_open(p->model, &p->relations[arm], &sample, out, run->err);
}

/* What one thread needs for a repeat. */
typedef struct celi_repeat {
    cel_sample *sampler[2];
    cel_mat x, arm[2]; /* (L x n) the tissue, and the arms' means */
    double acceptance;
    cel_status status;
} celi_repeat;

/* Both arms of a repeat: their means over the sweeps after the warm-up. */
static void celi_effect_repeat(const celi_effect_run *run, celi_repeat *l, int64_t repeat)
{
    const cel_perturb_options *o = run->o;
    int64_t sweep, k, size = run->p->cells * run->p->genes;
    int arm;
    l->acceptance = 0;
    for (arm = 0; arm < 2; arm++) {
        cel_real *mean = l->arm[arm].data;
        cel_sample_restart(l->sampler[arm], (uint32_t)(repeat + (arm && o->unpaired ? o->repeats : 0)));
        cel_mat_copy(run->p->start[arm], l->x);
        cel_mat_fill(l->arm[arm], 0);
        for (sweep = -o->warmup; sweep < o->sweeps && !l->status; sweep++) {
            cel_real share = (cel_real)(1.0 / (double)(sweep + 1));
            l->status = cel_sample_sweep(l->sampler[arm], l->x);
            l->acceptance += cel_sample_acceptance(l->sampler[arm]);
            /* A running mean, so that a value that never changes keeps its bits. */
            for (k = 0; k < size && sweep >= 0; k++) mean[k] += (l->x.data[k] - mean[k]) * share;
        }
    }
}

/* The step that the sham adapts, for both arms; x is scratch. */
static cel_status celi_effect_step(celi_effect_run *run, cel_mat x, double *step)
{
    cel_sample *sham;
    int k;
    cel_status status = celi_effect_sampler(run, 0, 0, &sham);
    if (status) return status;
    cel_mat_copy(run->p->start[0], x);
    for (k = 0; k < CELI_EFFECT_ADAPT && !status; k++) status = cel_sample_sweep(sham, x);
    *step = cel_sample_step(sham);
    cel_sample_free(sham);
    return status;
}

/* Both arms with one step, one order of visits, and per repeat one stream of random numbers, drawn by the cells' ids.
 * Threads take whole repeats unless the tissue is large. */
static cel_status celi_effect_paired(celi_effect_run *run)
{
    const cel_perturb *p = run->p;
    const cel_perturb_options *o = run->o;
    int64_t repeat, k, lanes = celi_min(p->cells * p->genes > CELI_PERTURB_LARGE ? 1 : cel_threads(), o->repeats);
    celi_repeat *lane = (celi_repeat *)celi_pool_get(&run->scratch, lanes, sizeof *lane);
    double step = 0;
    int arm;
    cel_status status;
    for (k = 0; k < lanes && lane; k++) {
        lane[k].x = celi_pool_mat(&run->scratch, p->cells, p->genes);
        for (arm = 0; arm < 2; arm++) lane[k].arm[arm] = celi_pool_mat(&run->scratch, p->cells, p->genes);
    }
    status = run->scratch.status;
    if (!o->orthant && !status) status = celi_effect_step(run, lane->x, &step);
    for (k = 0; k < 2 * lanes && !status; k++)
        status = celi_effect_sampler(run, (int)(k % 2), step, &lane[k / 2].sampler[k % 2]);
    for (repeat = 0; repeat < o->repeats && !status; repeat += lanes) {
        int64_t now = celi_min(o->repeats - repeat, lanes);
        CELI_OMP(omp parallel for schedule(static, 1) if (now > 1))
        for (k = 0; k < now; k++) celi_effect_repeat(run, lane + k, repeat + k);
        for (k = 0; k < now && !status; k++) {
            status = lane[k].status;
            run->e->acceptance += lane[k].acceptance / (2.0 * (double)o->repeats * (double)(o->warmup + o->sweeps));
            if (!status) celi_effect_add(run, lane[k].arm, repeat + k + 1);
            if (!status && o->progress.fn && o->progress.fn(o->progress.user, "perturb", repeat + k + 1, o->repeats, 0))
                status = CEL_ERR_STOPPED;
        }
    }
    for (k = 0; k < 2 * lanes && lane; k++) cel_sample_free(lane[k / 2].sampler[k % 2]);
    return status;
}

/* Everything after the options: with inner errors, which count cells as p does. */
static cel_status celi_effect_go(celi_effect_run *run)
{
    const cel_perturb *p = run->p;
    int arm, moves_within = run->o->method != CEL_METHOD_PAPER;
    int32_t colours;
    cel_status status = celi_effect_new(run);
    for (arm = 0; arm < 2 && !status && moves_within; arm++)
        status = celi_rows_unit(p->start[arm], run->o->orthant, run->err);
    if (!status && moves_within) {
        run->colour = (int32_t *)celi_pool_get(&run->scratch, p->cells, sizeof *run->colour);
        status = run->scratch.status;
        if (!status) status = cel_sample_colour(&p->relations[0], &p->relations[1], run->colour, &colours, run->err);
    }
    if (!status) status = run->o->method == CEL_METHOD_PAIRED ? celi_effect_paired(run) : celi_effect_once(run);
    return status ? status : celi_effect_finish(run);
}

CEL_API_DEF cel_status cel_perturb_run(const cel_perturb *p, const cel_perturb_options *options, cel_effect *out,
                                       cel_error *err)
{
    cel_perturb_options o = CEL_ZERO;
    cel_grouping by_hop;
    celi_effect_run run = CEL_ZERO;
    cel_error inner = CEL_ZERO;
    int32_t *label;
    cel_status status;
    memset(out, 0, sizeof *out);
    if (options) o = *options;
    if (!o.repeats) o.repeats = 16;
    o.warmup = o.warmup < 0 ? 0 : o.warmup ? o.warmup : 20;
    if (!o.sweeps) o.sweeps = o.method == CEL_METHOD_PAIRED ? 20 : 500;
    if (o.repeats < 2 || o.sweeps < 1 || (o.sets.data && o.sets.cols != p->genes) || (int)o.method < 0 ||
        o.method > CEL_METHOD_PAPER || (o.method == CEL_METHOD_PAPER && !p->open))
        return celi_fail(err, CEL_ERR_ARG, "options of a perturbation", -1, -1, -1);
    run.p = p;
    run.o = &o;
    run.e = out;
    run.err = &inner;
    if (!o.grouping) {
        label = (int32_t *)celi_pool_get(&run.scratch, p->cells, sizeof *label);
        by_hop.label = label;
        by_hop.groups = label ? cel_perturb_by_hop(p, label) : 0;
        o.grouping = &by_hop;
        o.groupings = 1;
    }
    out->converged = 1;
    status = run.scratch.status ? run.scratch.status : celi_effect_go(&run);
    celi_pool_free(&run.scratch);
    cel_work_free(&run.work);
    out->memory = run.own.last;
    if (!status) return CEL_OK;
    cel_effect_free(out);
    if (!inner.status) celi_fail(&inner, status, "the effect of a perturbation", -1, -1, -1);
    /* The caller knows the cells of the tissue, not those of the prepared part. */
    if (inner.cell >= 0 && inner.cell < p->cells) inner.cell = p->id[inner.cell];
    if (err) *err = inner;
    return status;
}

CEL_API_DEF void cel_effect_free(cel_effect *e)
{
    celi_pool pool = CEL_ZERO;
    if (!e) return;
    pool.last = e->memory;
    celi_pool_free(&pool);
    memset(e, 0, sizeof *e);
}

CEL_API_DEF cel_status cel_effect_rank(const cel_effect_table *t, int64_t group, int32_t *order)
{
    const double *z = t->z + group * t->columns, *by = z[0] >= 0 || z[0] < 0 ? z : t->mean + group * t->columns;
    celi_pool pool = CEL_ZERO;
    double *key = (double *)celi_pool_get(&pool, t->genes, sizeof *key);
    int64_t *index = (int64_t *)celi_pool_get(&pool, t->genes, sizeof *index), g;
    cel_status status = pool.status;
    for (g = 0; g < t->genes && !status; g++) key[g] = -fabs(by[g]), index[g] = g;
    if (!status) celi_sort_by(key, index, t->genes);
    for (g = 0; g < t->genes; g++) order[g] = status ? 0 : (int32_t)index[g];
    celi_pool_free(&pool);
    return status;
}

#ifdef __cplusplus
}
#endif
#endif /* CELCOMEN_IMPLEMENTATION */

/*
 * MIT License
 *
 * Copyright (c) 2026 the celcomen.h authors
 *
 * Permission is hereby granted, free of charge, to any person obtaining a copy of this software and
 * associated documentation files (the "Software"), to deal in the Software without restriction,
 * including without limitation the rights to use, copy, modify, merge, publish, distribute,
 * sublicense, and/or sell copies of the Software, and to permit persons to whom the Software is
 * furnished to do so, subject to the following conditions:
 *
 * The above copyright notice and this permission notice shall be included in all copies or
 * substantial portions of the Software.
 *
 * THE SOFTWARE IS PROVIDED "AS IS", WITHOUT WARRANTY OF ANY KIND, EXPRESS OR IMPLIED, INCLUDING BUT
 * NOT LIMITED TO THE WARRANTIES OF MERCHANTABILITY, FITNESS FOR A PARTICULAR PURPOSE AND
 * NONINFRINGEMENT. IN NO EVENT SHALL THE AUTHORS OR COPYRIGHT HOLDERS BE LIABLE FOR ANY CLAIM,
 * DAMAGES OR OTHER LIABILITY, WHETHER IN AN ACTION OF CONTRACT, TORT OR OTHERWISE, ARISING FROM, OUT
 * OF OR IN CONNECTION WITH THE SOFTWARE OR THE USE OR OTHER DEALINGS IN THE SOFTWARE.
 */
