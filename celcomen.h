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
 *     cel_fit_score(...);                          forces, standard errors, q values
 *     cel_gen_sample(...);                         a new tissue from the forces
 *     cel_perturb_paired(...);                     what if a gene were knocked out here?
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
 *     base      cel_          status, memory, threads, random numbers
 *     dense     cel_mat_      row-major matrices, products, solves, the kernels
 *     sparse    cel_csr_      CSR matrices
 *     files     cel_npy_      .npy and .npz
 *     tissue    cel_slide_, cel_graph_   unit rows, neighbour graphs, tiles
 *     model     cel_model_    relations, forces, the Hamiltonian, log Z
 *     moments   cel_moments_  the statistics that a fit needs
 *     fit       cel_fit_, cel_adam_      the published estimator, score matching
 *     generate  cel_gen_      angles, sampling, ascent
 *     perturb   cel_perturb_  interventions, sham, paired effects
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
/* base: status, memory, threads, random numbers                            */
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

/* ======================================================================== */
/* dense: row-major matrices and their kernels                              */
/* ======================================================================== */

/* A matrix, or a window into one: element (i, j) is data[i * stride + j]. A view carries no const:
 * functions write only to the arguments that they document as written. */
typedef struct cel_mat {
    cel_real *data;
    int64_t rows, cols, stride;
} cel_mat;

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
/* y += alpha x (count). */
CEL_API void cel_axpy(int64_t count, cel_real alpha, const cel_real *x, cel_real *y);
/* sum x_i y_i and |x|, accumulated in double in fixed blocks. */
CEL_API double cel_dot(int64_t count, const cel_real *x, const cel_real *y);
CEL_API double cel_nrm2(int64_t count, const cel_real *x);
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
/* A = V diag(w) V^T, A symmetric (n x n, destroyed), w ascending (n), V (n x n) with eigenvectors in
 * its columns. Householder tridiagonalisation and implicit QL in double. CEL_ERR_NUMERIC if a
 * value needs more than 60 iterations (NaN input). */
CEL_API cel_status cel_mat_eigen(cel_mat a, double *w, cel_mat v);

/* Elementwise functions (count); an output may be the input. Errors, measured against extended precision:
 * at most 2 ulp in float and in double, where a sine or cosine within 1e-4 of zero at large |x| included.
 * NaN, infinities, and arguments beyond the kernels' range (|x| > 16384 for sincos) are libm's. */
CEL_API void cel_vec_sincos(int64_t count, const cel_real *x, cel_real *sine, cel_real *cosine);
CEL_API void cel_vec_exp(int64_t count, const cel_real *x, cel_real *y);
CEL_API void cel_vec_log(int64_t count, const cel_real *x, cel_real *y);

/* count standard normals (count), the fast way: Box-Muller on the blocks that begin at the next whole one,
 * 32 normals from 8 (double: 16) of them. The first m of n are those of a call for m alone. In float a
 * normal is below 6.8 in size, in double below 8.5. Bits depend on the level, not on threads. */
CEL_API void cel_rng_normals(cel_rng *rng, cel_real *out, int64_t count);

/* ======================================================================== */
/* sparse: CSR matrices                                                     */
/* ======================================================================== */

/* Row i's entries are index[start[i] .. start[i+1]-1], ascending columns, no duplicates, with their
 * values. All-zero is an empty matrix. Free with cel_csr_free. */
typedef struct cel_csr {
    int64_t rows, cols;
    int64_t *start; /* (rows + 1) */
    int32_t *index; /* (start[rows]) */
    cel_real *value; /* (start[rows]) */
} cel_csr;

CEL_API void cel_csr_free(cel_csr *a);
CEL_API int64_t cel_csr_count(const cel_csr *a);
/* From count entries (row[e], col[e], value[e]) in any order; value NULL = all 1; entries of one
 * place are summed in their order. CEL_ERR_ARG for an index out of range (err->offset = e). */
CEL_API cel_status cel_csr_from_edges(int64_t rows, int64_t cols, int64_t count, const int64_t *row, const int64_t *col,
                                      const cel_real *value, cel_csr *out, cel_error *err);
CEL_API cel_status cel_csr_copy(const cel_csr *a, cel_csr *out);
CEL_API cel_status cel_csr_transpose(const cel_csr *a, cel_csr *out);
/* (A + A^T) / 2 for square A. */
CEL_API cel_status cel_csr_symmetrise(const cel_csr *a, cel_csr *out);
/* 1 if A equals its transpose exactly, else 0. */
CEL_API int cel_csr_is_symmetric(const cel_csr *a);

typedef enum cel_norm {
    CEL_NORM_ROW,  /* each row divided by its sum: the mean over neighbours */
    CEL_NORM_SYM,  /* A_ij / sqrt(r_i c_j), r and c the row and column sums */
    CEL_NORM_GCN   /* A_ij / sqrt(d_i d_j), d the row sums: the graph convolution's weights without
                      self loops when row i lists the sources of i's in-edges */
} cel_norm;
/* In place. A zero sum leaves zeros. SYM and GCN need non-negative sums, GCN a square matrix. */
CEL_API cel_status cel_csr_normalise(cel_csr *a, cel_norm kind);
/* Y = alpha A X + beta Y, X (cols x n), Y (rows x n), not overlapping; beta == 0 overwrites.
 * Each row of Y is summed in ascending column order by one thread: same bits for any number. */
CEL_API cel_status cel_csr_mul(cel_real alpha, const cel_csr *a, cel_mat x, cel_real beta, cel_mat y);
/* The same for the rows listed only: y.row(r) = alpha (A X).row(list[r]) + beta y.row(r). */
CEL_API cel_status cel_csr_mul_rows(cel_real alpha, const cel_csr *a, const int32_t *list, int64_t count, cel_mat x,
                                    cel_real beta, cel_mat y);
/* Pairs at exactly `hops` steps in the undirected 0/1 graph of A (square), hops >= 1: symmetric, value
 * 1, no diagonal. */
CEL_API cel_status cel_csr_hop(const cel_csr *a, int hops, cel_csr *out);

/* ======================================================================== */
/* files: .npy, .npz and lists of names, in and out                         */
/* ======================================================================== */

#define CEL_NPY_DIMS 32

/* An array in memory as an .npy file describes it: what was parsed, or what is to be written. `data`
 * points into the buffer that was parsed (any alignment), or at the caller's array. */
typedef struct cel_npy {
    char kind;      /* 'b' bool, 'i' signed, 'u' unsigned, 'f' floating point ('S' text: written only) */
    int bytes;      /* size of an element: 1, 2, 4 or 8 */
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
 * of up to 8 bytes. Copies nothing, allocates nothing. CEL_ERR_FORMAT if it is malformed or shorter than its
 * shape says; CEL_ERR_UNSUPPORTED for text, dates, complex, long double, structures and Python objects.
 * err->offset is the byte. Repeated keys: the last counts. Negative lengths are refused. */
CEL_API cel_status cel_npy_parse(const void *bytes, size_t size, cel_npy *out, cel_error *err);
/* The elements in C order, whatever the type and the orders, into out (count). Rounds to nearest; a
 * double beyond the range of a float becomes infinite; bool gives 0 and 1; NaN passes. */
CEL_API cel_status cel_npy_to_real(const cel_npy *a, cel_real *out, cel_error *err);
/* The same for integers and bool into out (count): CEL_ERR_UNSUPPORTED for floating point,
 * CEL_ERR_DATA (out zeroed, err->cell the element) for an unsigned value above INT64_MAX. */
CEL_API cel_status cel_npy_to_int64(const cel_npy *a, int64_t *out, cel_error *err);
/* The elements in place, without a copy, if they are native cel_real in C order and aligned; else NULL. */
CEL_API const cel_real *cel_npy_view(const cel_npy *a);

/* Describes the caller's native, C-ordered array for the writers: e.g. ('f', sizeof(cel_real), 2, shape, x). */
CEL_API cel_npy cel_npy_describe(char kind, int bytes, int ndim, const int64_t *shape, const void *data);
/* The bytes of the .npy file (version 1, data 64-byte aligned) of an array into buffer (capacity); *size
 * receives the number needed. buffer NULL only asks for it. CEL_ERR_ARG if capacity is too small or the
 * description is none that an .npy file can have. */
CEL_API cel_status cel_npy_encode(const cel_npy *a, void *buffer, size_t capacity, size_t *size);

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
/* Member i, or the last of that name (CEL_ERR_ARG if there is none), its CRC-32 checked. Only stored
 * members can be read: CEL_ERR_UNSUPPORTED for a deflated one (err->what says how to save uncompressed). */
CEL_API cel_status cel_npz_get(const cel_npz *z, int64_t i, cel_npy *out, cel_error *err);
CEL_API cel_status cel_npz_find(const cel_npz *z, const char *name, cel_npy *out, cel_error *err);
/* The matrix that scipy.sparse.save_npz(..., compressed=False) wrote, of format csr: entries sorted,
 * duplicates summed. Free with cel_csr_free. */
CEL_API cel_status cel_npz_to_csr(const cel_npz *z, cel_csr *out, cel_error *err);
/* Describes a as SciPy's five members, to be encoded or written; shape (2) is filled and, like a, must live
 * until then. */
CEL_API void cel_npz_from_csr(const cel_csr *a, int64_t *shape, cel_npz_member *member);
/* The bytes of the archive of `count` arrays, stored; arguments as for cel_npy_encode. At most 65,534 arrays and
 * 4 GiB (CEL_ERR_ARG). */
CEL_API cel_status cel_npz_encode(const cel_npz_member *member, int64_t count, void *buffer, size_t capacity,
                                  size_t *size);

/* One string a line of a text of `size` bytes: bytes kept as they are, "\r\n" ends a line as "\n" does, a
 * last line needs neither, a leading byte order mark is dropped. CEL_ERR_FORMAT for a NUL byte (err->offset
 * is the line, from 1). *lines (count, and a NULL after them) is one allocation: free with cel_npy_free. */
CEL_API cel_status cel_text_parse(const void *bytes, size_t size, char ***lines, int64_t *count, cel_error *err);
/* Frees what a function of this room allocated; NULL is fine. */
CEL_API void cel_npy_free(void *p);

#if !defined(CELCOMEN_NO_STDIO)

/* The content of a file: read into memory (map == 0), or mapped where the system can (POSIX) and read
 * elsewhere. A mapped file must not be shortened by another program before it is closed. */
typedef struct cel_file {
    const void *bytes; /* (size), 64-byte aligned, never NULL after a success */
    size_t size;
    int mapped;
} cel_file;

CEL_API cel_status cel_file_open(const char *path, int map, cel_file *out, cel_error *err);
CEL_API void cel_file_close(cel_file *file);
/* Writes to a temporary name in the same folder, then renames: path holds the whole content or what it held
 * before, and nothing else is left behind. The writers below do the same. */
CEL_API cel_status cel_file_write(const char *path, const void *bytes, size_t size, cel_error *err);

/* A 2-D numeric .npy into a new matrix (cel_mat_free). Bytes after the data are refused
 * (CEL_ERR_FORMAT), another number of dimensions too (CEL_ERR_SHAPE). */
CEL_API cel_status cel_npy_matrix(const char *path, cel_mat *out, cel_error *err);
/* A 1-D (rows x 1) or 2-D (rows x cols) .npy of integers, as above; *data is freed with cel_npy_free. */
CEL_API cel_status cel_npy_integers(const char *path, int64_t **data, int64_t *rows, int64_t *cols, cel_error *err);
CEL_API cel_status cel_npz_csr(const char *path, cel_csr *out, cel_error *err);
CEL_API cel_status cel_text_lines(const char *path, char ***lines, int64_t *count, cel_error *err);

CEL_API cel_status cel_npy_write(const char *path, const cel_npy *a, cel_error *err);
/* A matrix or view as a 2-D array of cel_real. */
CEL_API cel_status cel_npy_write_matrix(const char *path, cel_mat a, cel_error *err);
CEL_API cel_status cel_npz_write(const char *path, const cel_npz_member *member, int64_t count, cel_error *err);

#endif

/* ======================================================================== */
/* tissue: expression, slides, neighbour graphs                             */
/* ======================================================================== */

/* From counts to expression. All-zero: scale to 10,000 a cell, then log1p. A cell's result depends on
 * that cell alone. */
typedef struct cel_slide_options {
    double target_sum; /* counts of a cell are scaled to this total; 0 = 1e4 (published runs: 1e6), negative = not scaled */
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
CEL_API cel_status cel_slide_tiles(cel_mat coords, const int32_t *slide, int64_t per_side, int32_t *tile, int64_t *tiles,
                                   cel_error *err);

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
/* The cells slide by slide in the order of the leaves of a k-d tree, so that cells near in space are near in
 * memory when they are stored so: order (S) receives a permutation, cell order[r] comes r-th. */
CEL_API cel_status cel_graph_order(cel_mat coords, const int32_t *slide, int32_t *order, cel_error *err);

/* ======================================================================== */
/* model: relations, forces, the Hamiltonian, log Z                         */
/* ======================================================================== */

/* Who may act on whom: W (S x S). w NULL is the identity (within a cell). wt is W's transpose, or NULL
 * where W is symmetric. The matrices stay the caller's. W's diagonal must be zero (it would be part
 * of the identity relation) for the sampler and the score matching fits. */
typedef struct cel_relation {
    const cel_csr *w;
    const cel_csr *wt;
} cel_relation;

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
CEL_API cel_status cel_model_energy(const cel_model *m, const cel_relation *relation, cel_mat x, double *h,
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

/* ======================================================================== */
/* moments: the additive statistics that a fit needs                        */
/* ======================================================================== */

/* Manual, section 6. With B = [X, N_1, .., N_p, 1/2] (S x ((p+1) n + 1)), where each relation but the identity adds
 * N = W X (and, if W is not symmetric, W^T X after it):  gram = B^T B, in double. It holds
 * X^T X, X^T W X, N^T N, the sums of X and of N, and S/4: everything that the paper's fit and the moment
 * form of score matching need. Additive over slides, and over any cut of the cells. */
typedef struct cel_moments {
    int64_t genes;  /* n */
    int64_t blocks; /* p + 1: gene-wide blocks of B */
    int64_t cells;  /* S: rows accumulated */
    double *gram;   /* ((blocks n + 1) squared), symmetric */
} cel_moments;

/* The number of gene-wide blocks of B for these relations. */
CEL_API int64_t cel_moments_blocks(const cel_relation *relation, int64_t relations);
CEL_API cel_status cel_moments_new(int64_t genes, int64_t blocks, cel_moments *out);
CEL_API void cel_moments_free(cel_moments *m);
/* Adds cells' rows of B: all S cells (list NULL, count ignored), or the count rows in list (their
 * neighbours carried along through W, so the moments of a partition sum to those of the whole). X (S x n).
 * Cells in fixed blocks: products in cel_real, sums in double. X is read once where neighbours are near in
 * memory. Scratch: about (1024 + side) side reals, side = (p + 1) n + 1, whatever S is. CEL_ERR_SHAPE and
 * CEL_ERR_ARG (list) leave m alone; after CEL_ERR_MEMORY some cells may have been added. */
CEL_API cel_status cel_moments_add(cel_moments *m, const cel_relation *relation, int64_t relations, cel_mat x,
                                   const int32_t *list, int64_t count, cel_work *work);
/* The same cut by label, such as tiles or slides: cell i is added to m[label[i]], or to none where its label
 * is negative; label (S), m (labels), each as from cel_moments_new. CEL_ERR_ARG for a label too large. */
CEL_API cel_status cel_moments_add_by_label(cel_moments *m, int64_t labels, const int32_t *label,
                                            const cel_relation *relation, int64_t relations, cel_mat x,
                                            cel_work *work);
/* into += scale * from; cells += round(scale) * from's. */
CEL_API cel_status cel_moments_sum(cel_moments *into, double scale, const cel_moments *from);
/* The mean row of X, mean (n), zeros for no cells. */
CEL_API void cel_moments_mean(const cel_moments *m, double *mean);
/* out (n x n) = X^T times block `block` of B: X^T X for 0, X^T N_block from 1 on. */
CEL_API cel_status cel_moments_cross(const cel_moments *m, int64_t block, double *out);

/* ======================================================================== */
/* fit: optimisers, and the published estimator (CCE)                       */
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
/* One step on param (count) down grad (count); the second form is for arrays of double. options may
 * be NULL. */
CEL_API void cel_adam_step(cel_adam *a, const cel_adam_options *options, const cel_real *grad, cel_real *param);
CEL_API void cel_adam_step_double(cel_adam *a, const cel_adam_options *options, const double *grad, double *param);

typedef enum cel_optimiser { CEL_OPTIMISER_SGD = 0, CEL_OPTIMISER_ADAM = 1 } cel_optimiser;

/* The published objective, for a model of two relations without a field (force 0 within, force 1
 * between cells):  loss = log Z - zmft (<F_1, X^T W X> + <F_0, X^T X>)       (manual, section 2) */
typedef struct cel_paper_loss {
    double loss, log_z;
    double intra, inter; /* <F_0, X^T X> and <F_1, X^T W X>, without zmft */
    double kappa;        /* |(q F_1 + 2 F_0) m|; of several slides the largest */
} cel_paper_loss;

/* All-zero means the published settings. */
typedef struct cel_fit_options {
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
} cel_fit_options;

typedef struct cel_fit_report {
    int64_t epochs;       /* epochs run */
    cel_paper_loss final; /* at the fitted forces, summed over slides */
    double saturated;     /* share of off-diagonal entries of both forces at exactly 0 or 1 */
    int converged;        /* 1: the tolerance ended the fit */
} cel_fit_report;

/* The published start: both forces the same symmetric matrix of means of two uniforms on [0, 1), unit
 * diagonal. The model must have two relations. */
CEL_API cel_status cel_fit_paper_start(uint64_t seed, const cel_model *model);

/* The objective of one slide at the model's forces, and its gradients by F_0 and F_1 (n x n each, or
 * data NULL), not symmetrised. moments as from cel_moments_add with relations {identity, W}. Of the
 * options zmft, q and sphere count; NULL: published. */
CEL_API cel_status cel_fit_paper_loss(const cel_model *model, const cel_moments *moments,
                                      const cel_fit_options *options, cel_paper_loss *loss, cel_mat d_intra,
                                      cel_mat d_inter);

/* The published estimator (manual, section 2), from and to the model's forces. moments (slides), one a
 * slide: cells are never touched again, an epoch costs O(slides n^2) whatever their number. With
 * projection on, an optimiser other than SGD sees the symmetric part of the gradient. losses (epochs, or
 * NULL) receives each epoch's loss: the sum over slides, each before its own step; entries of epochs
 * that were not run are 0. report may be NULL. Computes in double: allocates 2 n^2 doubles (Adam 8 n^2) and
 * 2 n^2 more a slide, nothing in an epoch. CEL_ERR_SHAPE where model and moments do not fit, CEL_ERR_NUMERIC when the
 * loss is no longer finite (the forces are then left as given), CEL_ERR_STOPPED by progress (the forces
 * reached so far are kept). */
CEL_API cel_status cel_fit_paper(const cel_moments *moments, int64_t slides, const cel_fit_options *options,
                                 const cel_model *model, double *losses, cel_fit_report *report);

/* ======================================================================== */
/* generate: spherical angles and the published generator (SCE)             */
/* ======================================================================== */

/* Unit rows x (S x n) from angles (S x n-1), n >= 2 (manual, section 3):
 *   x_k = cos(t_k) prod_{j<k} sin(t_j),  x_n = prod_j sin(t_j). */
CEL_API cel_status cel_gen_from_angles(cel_mat angles, cel_mat x);
/* The inverse, for rows of any length and any signs: t_k = atan2(|x after k|, x_k) in [0, pi], the last
 * atan2(x_n, x_{n-1}) in (-pi, pi]. CEL_ERR_DATA with err->cell for a row of zeros or not finite. */
CEL_API cel_status cel_gen_to_angles(cel_mat x, cel_mat angles, cel_error *err);
/* d_angles (S x n-1) = dL/dt from d_x (S x n) = dL/dx, in O(n) a cell. d_angles may not overlap angles. */
CEL_API cel_status cel_gen_angles_gradient(cel_mat angles, cel_mat d_x, cel_mat d_angles, cel_work *work);
/* Independent normal angles; the published noise has mean pi and deviation pi/2. */
CEL_API void cel_gen_noise_angles(uint64_t seed, double mean, double deviation, cel_mat angles);

/* All-zero means the published settings. */
typedef struct cel_gen_options {
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
} cel_gen_options;

/* The objective at expression x (S x n), cells of unit length: the loss of cel_paper_loss with the mean
 * row of x in log Z (manual, section 4), and its gradient d_x (S x n, or data NULL). relation (as many
 * as the model has; W's transpose is needed where W is not symmetric). Of the options zmft, q, sphere
 * and no_log_z count; NULL: published. inter sums all relations after the first and the field. */
CEL_API cel_status cel_gen_paper_loss(const cel_model *model, const cel_relation *relation, cel_mat x,
                                      const cel_gen_options *options, cel_paper_loss *loss, cel_mat d_x,
                                      cel_work *work);

/* The published generator (manual, section 4): gradient descent of that objective in the angles
 * (S x n-1), from and to `angles`. x (S x n, or data NULL) receives the expression after the last step;
 * losses (epochs, or NULL) each epoch's loss before its step; last (or NULL) the objective after the
 * last step. Nothing is held fixed. Allocates 2 S n reals (Adam 2 S n doubles more) and what
 * cel_model_energy needs, once. CEL_ERR_NUMERIC when the loss is no longer finite, CEL_ERR_STOPPED by
 * progress; angles and x are then those reached so far. */
CEL_API cel_status cel_gen_paper(const cel_model *model, const cel_relation *relation, const cel_gen_options *options,
                                 cel_mat angles, cel_mat x, double *losses, cel_paper_loss *last);

/* The published knock-out: sets x[cell][gene] = 0 for the listed cells (count) and rescales their rows to
 * unit length: a start for cel_gen_to_angles. Nothing holds the gene at 0 afterwards. CEL_ERR_ARG for a
 * cell or gene out of range, CEL_ERR_DATA for a cell that expresses nothing else; err->cell names it and
 * x is unchanged. */
CEL_API cel_status cel_gen_knockout_start(cel_mat x, const int32_t *cells, int64_t count, int64_t gene, cel_error *err);

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
/* base: status, memory, threads, random numbers                            */
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

/* Every block is 64-byte aligned (a cache line, an AVX-512 register); the allocator's own pointer is
 * kept in the slot before it. The content is undefined. */
static void *celi_alloc_raw(size_t bytes)
{
    const size_t extra = 64 + sizeof(void *);
    char *base;
    void *p;
    if (bytes > (size_t)PTRDIFF_MAX - extra) return NULL;
    base = (char *)CELCOMEN_MALLOC(bytes + extra);
    if (!base) return NULL;
    p = base + extra - ((uintptr_t)base + extra) % 64;
    memcpy((char *)p - sizeof base, &base, sizeof base);
    return p;
}

/* count * size zeroed bytes, 64-byte aligned; NULL when out of memory or when the product overflows. Never
 * NULL for a count of zero otherwise. */
static CEL_UNUSED void *celi_alloc(size_t count, size_t size)
{
    void *p;
    if (size && count > (size_t)PTRDIFF_MAX / size) return NULL;
    p = celi_alloc_raw(count * size);
    if (p) memset(p, 0, count * size);
    return p;
}

/* Frees what celi_alloc returned; NULL is fine. */
static void celi_free(void *p)
{
    void *base;
    if (!p) return;
    memcpy(&base, (char *)p - sizeof base, sizeof base);
    CELCOMEN_FREE(base);
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

/* ======================================================================== */
/* dense: row-major matrices and their kernels                              */
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
    CELI_IOP1(T, S, ishl_mantissa, CELI_PASTE(M, _slli, CELI_EPI)(a, CELI_MANTISSA))                                  \
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
    T CELI_INLINE S##_d S##_dfma(S##_d a, S##_d b, S##_d c) { return CELI_PASTE(M, _fmadd, _pd)(a, b, c); }           \
    T CELI_INLINE S##_x S##_xset(uint32_t a)                                                                          \
    {                                                                                                                 \
        return CELI_PASTE(M, _set1, _epi32)((int)a);                                                                  \
    }                                                                                                                 \
    CELI_XOP2(T, S, xmul, CELI_PASTE(M, _mul, _epu32)(a, b))                                                           \
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
CELI_IOP1(, celi_neon, ishl_mantissa, CELI_PASTE(vshlq_n_, CELI_U64, )(a, CELI_MANTISSA))
CELI_IOP1(, celi_neon, ishr_mantissa, CELI_PASTE(vshrq_n_, CELI_U64, )(a, CELI_MANTISSA))
CELI_IOP1(, celi_neon, ishl_sign, CELI_PASTE(vshlq_n_, CELI_U64, )(a, CELI_SIGN_SHIFT))
CELI_INLINE int celi_neon_any(celi_neon_i a)
{
    uint64_t w[2];
    memcpy(w, &a, sizeof a);
    return (w[0] | w[1]) != 0;
}
CELI_INLINE celi_neon_d celi_neon_dzero(void) { return vdupq_n_f64(0); }
CELI_INLINE celi_neon_d celi_neon_dfma(celi_neon_d a, celi_neon_d b, celi_neon_d c) { return vfmaq_f64(c, a, b); }
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

static int celi_is_zero(cel_real x) { return x >= 0 && x <= 0; }

#if defined(CELI_X86) || defined(CELI_NEON)
/* Named accumulators, because gcc spills arrays of them. Two vectors wide; rows are addressed from every
 * third one, which leaves registers and fits x86 addressing. */
#define CELI_ROWS6(X, S) X(S, 0, a, 0) X(S, 1, a, 1) X(S, 2, a, 2) X(S, 3, a3, 0) X(S, 4, a3, 1) X(S, 5, a3, 2)
#define CELI_ROWS8(X, S) CELI_ROWS6(X, S) X(S, 6, a6, 0) X(S, 7, a6, 1)
#define CELI_ROWS12(X, S) CELI_ROWS8(X, S) X(S, 8, a6, 2) X(S, 9, a9, 0) X(S, 10, a9, 1) X(S, 11, a9, 2)
#define CELI_TILE_ZERO(S, i, base, r) S##_v u##i = S##_zero(), v##i = S##_zero();
#define CELI_TILE_FETCH(S, i, base, r) __builtin_prefetch(c + i * ldc); __builtin_prefetch(c + i * ldc + W);
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
#define CELI_TILE(T, S, ROWS)                                                                                         \
    T static void S##_tile(int64_t k, const cel_real *a, int64_t rs, int64_t cs, const cel_real *b, int64_t ldb,      \
                           cel_real alpha, cel_real beta, cel_real *c, int64_t ldc)                                   \
    {                                                                                                                 \
        enum { W = (int)(sizeof(S##_v) / sizeof(cel_real)) };                                                         \
        const cel_real *a3 = a + 3 * rs, *a6 = a3 + 3 * rs, *a9 = a6 + 3 * rs;                                        \
        S##_v t, b0, b1;                                                                                              \
        ROWS(CELI_TILE_ZERO, S)                                                                                       \
        ROWS(CELI_TILE_FETCH, S)                                                                                      \
        for (; k >= 2; k -= 2) {                                                                                      \
            CELI_TILE_K(S, ROWS)                                                                                      \
            CELI_TILE_K(S, ROWS)                                                                                      \
        }                                                                                                             \
        if (k > 0) {                                                                                                  \
            CELI_TILE_K(S, ROWS)                                                                                      \
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

#endif /* CELI_X86 or CELI_NEON */

/* ---- Elementary functions ---- */

/* Polynomials are minimax fits (Remez), highest power first; arguments are reduced by two or three parts of
 * the period with fused products, exact for the arguments that the kernels take. Arguments outside of
 * CELI_*_LOW..CELI_*_HIGH, NaN among them, are reported (non-zero return) and left to libm. */
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
#define CELI_EXP_LOW (-708.0)
#define CELI_EXP_HIGH 709.0
#define CELI_LOG_LOW DBL_MIN
#define CELI_LOG_HIGH DBL_MAX
#define CELI_SIN_TERMS(X)                                                                                             \
    X(1.58901267164044749e-10)                                                                                        \
    X(-2.50506436259180031e-8) X(2.7557312965188277e-6) X(-1.98412698277288377e-4) X(8.33333333331984038e-3)          \
    X(-0.166666666666666218)
#define CELI_COS_TERMS(X)                                                                                             \
    X(-1.13542951393056789e-11)                                                                                       \
    X(2.08756192848359487e-9) X(-2.75573135826988778e-7) X(2.48015872868013186e-5) X(-1.38888888888698024e-3)         \
    X(4.16666666666665743e-2)
#define CELI_EXP_TERMS(X)                                                                                             \
    X(2.0826791295909202e-9)                                                                                          \
    X(2.51119388362945185e-8) X(2.75575803370788376e-7) X(2.75572352283927473e-6) X(2.48015869305770007e-5)           \
    X(1.98412698959032706e-4) X(1.38888888891114014e-3) X(8.33333333331729322e-3) X(4.16666666666661134e-2)           \
    X(0.166666666666666829) X(0.500000000000000004)
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
#define CELI_EXP_LOW (-87.0f)
#define CELI_EXP_HIGH 88.0f
#define CELI_LOG_LOW FLT_MIN
#define CELI_LOG_HIGH FLT_MAX
#define CELI_SIN_TERMS(X) X(-1.95030686255019743e-4f) X(8.33207088484857556e-3f) X(-0.16666653192350488f)
#define CELI_COS_TERMS(X) X(2.44191975159191994e-5f) X(-1.38871942375021252e-3f) X(4.16666431830521447e-2f)
#define CELI_EXP_TERMS(X)                                                                                             \
    X(1.38148494678132288e-3f)                                                                                        \
    X(8.36870986886016901e-3f) X(4.16683803096490913e-2f) X(0.166665208677933144f) X(0.499999935141114498f)
#define CELI_LOG_TERMS(X) X(0.298730783750953593f) X(0.399774953820725164f) X(0.666667767186633947f)
#endif
#define CELI_SINCOS_HIGH ((cel_real)16384)
#define CELI_TWO_PI ((cel_real)6.283185307179586476925)
#define CELI_LOG2_E ((cel_real)1.4426950408889634074)
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
    /* exp of x = n log 2 + r: 2^n (1 + r + r^2 P(r)). */                                                             \
    T CELI_INLINE S##_v S##_exp_v(S##_v x)                                                                            \
    {                                                                                                                 \
        const S##_v rounder = S##_set(CELI_ROUNDER);                                                                  \
        S##_v t = S##_fma(x, S##_set(CELI_LOG2_E), rounder), n = S##_sub(t, rounder), z, p;                           \
        z = S##_fnma(n, S##_set(CELI_LN2_1), x);                                                                      \
        z = S##_fnma(n, S##_set(CELI_LN2_2), z);                                                                      \
        p = S##_zero();                                                                                               \
        CELI_EXP_TERMS(S##_horner)                                                                                    \
        p = S##_add(S##_fma(S##_mul(z, z), p, z), S##_set(1));                                                        \
        return S##_real(S##_iadd(S##_bits(p), S##_ishl_mantissa(S##_bits(t))));                                       \
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
    CELI_ELEMENTARY_1(T, S, exp, CELI_EXP_LOW, CELI_EXP_HIGH)                                                         \
    CELI_ELEMENTARY_1(T, S, log, CELI_LOG_LOW, CELI_LOG_HIGH)                                                         \
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
#define CELI_ELEMENTARY_1(T, S, name, LOW, HIGH)                                                                      \
    T static int S##_##name(int64_t n, const cel_real *x, cel_real *y, cel_real *y2)                                  \
    {                                                                                                                 \
        enum { W = (int)(sizeof(S##_v) / sizeof(cel_real)) };                                                         \
        S##_i odd = S##_iset(0);                                                                                      \
        for (; n > 0; n -= W, x += W, y += W) {                                                                       \
            S##_v v = S##_load(x), in = S##_min(S##_max(v, S##_set(LOW)), S##_set(HIGH));                             \
            odd = S##_ior(odd, S##_ixor(S##_bits(in), S##_bits(v)));                                                  \
            S##_store(y, S##_##name##_v(in));                                                                         \
        }                                                                                                             \
        (void)y2;                                                                                                     \
        return S##_any(odd);                                                                                          \
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
CELI_TILE(CELI_AVX2, celi_avx2, CELI_ROWS6)
CELI_VECTORS(CELI_AVX2, celi_avx2)
CELI_ELEMENTARY(CELI_AVX2, celi_avx2)
CELI_TILE(CELI_AVX512, celi_avx512, CELI_ROWS8)
CELI_VECTORS(CELI_AVX512, celi_avx512)
CELI_ELEMENTARY(CELI_AVX512, celi_avx512)
#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC diagnostic pop
#endif
#else
CELI_TILE(, celi_neon, CELI_ROWS12)
CELI_VECTORS(, celi_neon)
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

static int celi_scalar_exp(int64_t n, const cel_real *x, cel_real *y, cel_real *y2)
{
    for (; n > 0; n--, x++, y++)
#if defined(CELCOMEN_DOUBLE)
        *y = exp(*x);
#else
        *y = expf(*x);
#endif
    (void)y2;
    return 0;
}

static int celi_scalar_log(int64_t n, const cel_real *x, cel_real *y, cel_real *y2)
{
    for (; n > 0; n--, x++, y++)
#if defined(CELCOMEN_DOUBLE)
        *y = log(*x);
#else
        *y = logf(*x);
#endif
    (void)y2;
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
    celi_scalar_log(16, u, u, NULL);
    celi_scalar_sincos(16, angle, out + 16, out);
    for (i = 0; i < 16; i++) {
        cel_real r = (cel_real)sqrt(-2 * (double)u[i]);
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
    int (*sincos)(int64_t n, const cel_real *x, cel_real *sine, cel_real *cosine);
    int (*exp)(int64_t n, const cel_real *x, cel_real *y, cel_real *unused);
    int (*log)(int64_t n, const cel_real *x, cel_real *y, cel_real *unused);
    void (*normals)(const cel_rng *rng, uint32_t block, cel_real *out);
} celi_kernels;

#define CELI_LANES(bytes) ((int)((bytes) / sizeof(cel_real)))
#define CELI_TABLE(S, level, mr, nr, kc, mc, nc)                                                                      \
    {                                                                                                                 \
        level, mr, nr, kc, mc, nc, S##_tile, S##_axpy, S##_dot, S##_sincos, S##_exp, S##_log, S##_normals             \
    }
/* Best last: the first is always there. */
static const celi_kernels celi_tables[] = {
    CELI_TABLE(celi_scalar, CEL_LEVEL_SCALAR, CELI_SCALAR_TILE, CELI_SCALAR_TILE, 256, 128, 4096),
#if defined(CELI_X86)
    CELI_TABLE(celi_avx2, CEL_LEVEL_AVX2, 6, CELI_LANES(64), 256, 144, 4096),
    CELI_TABLE(celi_avx512, CEL_LEVEL_AVX512, 8, CELI_LANES(128), 256, 192, 4096),
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

/* ---- Matrices ---- */

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

static int64_t celi_min(int64_t a, int64_t b) { return a < b ? a : b; }
static int64_t celi_round_up(int64_t a, int64_t unit) { return (a + unit - 1) / unit * unit; }

CEL_API_DEF void cel_axpy(int64_t count, cel_real alpha, const cel_real *x, cel_real *y)
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

CEL_API_DEF double cel_dot(int64_t count, const cel_real *x, const cel_real *y)
{
    int64_t whole = count & ~(int64_t)15, i;
    double s = celi_kernel()->dot(whole, x, y), rest = 0;
    for (i = whole; i < count; i++) rest += (double)x[i] * (double)y[i];
    return s + rest;
}

CEL_API_DEF double cel_nrm2(int64_t count, const cel_real *x) { return sqrt(cel_dot(count, x, x)); }

/* y = f(x) (and y2, or NULL) in blocks that are copied and padded with ones, so that an element does not see
 * its neighbours and y may be x. What the kernel does not take is done again by libm (the scalar twin). */
typedef int celi_map_fn(int64_t n, const cel_real *x, cel_real *y, cel_real *y2);
static void celi_map(celi_map_fn *kernel, celi_map_fn *scalar, cel_real low, cel_real high, int64_t n, const cel_real *x,
                     cel_real *y, cel_real *y2)
{
    enum { BLOCK = 256 };
    int64_t at;
    CELI_OMP(omp parallel for schedule(static) if (n >= 64 * BLOCK))
    for (at = 0; at < n; at += BLOCK) {
        cel_real in[BLOCK], out[2][BLOCK];
        int64_t count = celi_min(BLOCK, n - at), whole = (count + 15) & ~(int64_t)15, i;
        memcpy(in, x + at, (size_t)count * sizeof(cel_real));
        for (i = count; i < whole; i++) in[i] = 1;
        if (kernel(whole, in, out[0], out[1]))
            for (i = 0; i < count; i++)
                if (!(in[i] >= low && in[i] <= high)) scalar(1, in + i, out[0] + i, out[1] + i);
        memcpy(y + at, out[0], (size_t)count * sizeof(cel_real));
        if (y2) memcpy(y2 + at, out[1], (size_t)count * sizeof(cel_real));
    }
}

CEL_API_DEF void cel_vec_sincos(int64_t count, const cel_real *x, cel_real *sine, cel_real *cosine)
{
    celi_map(celi_kernel()->sincos, celi_scalar_sincos, -CELI_SINCOS_HIGH, CELI_SINCOS_HIGH, count, x, sine, cosine);
}

CEL_API_DEF void cel_vec_exp(int64_t count, const cel_real *x, cel_real *y)
{
    celi_map(celi_kernel()->exp, celi_scalar_exp, CELI_EXP_LOW, CELI_EXP_HIGH, count, x, y, NULL);
}

CEL_API_DEF void cel_vec_log(int64_t count, const cel_real *x, cel_real *y)
{
    celi_map(celi_kernel()->log, celi_scalar_log, CELI_LOG_LOW, CELI_LOG_HIGH, count, x, y, NULL);
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

/* The upper triangle of C becomes the mirror of the lower. */
static void celi_mirror(cel_mat c)
{
    enum { BLOCK = 32 };
    int64_t i0;
    CELI_OMP(omp parallel for schedule(dynamic) if (c.rows > 256))
    for (i0 = 0; i0 < c.rows; i0 += BLOCK) {
        int64_t j0, i, j;
        for (j0 = 0; j0 <= i0; j0 += BLOCK)
            for (i = i0; i < i0 + BLOCK && i < c.rows; i++)
                for (j = j0; j < j0 + BLOCK && j < i; j++) c.data[j * c.stride + i] = c.data[i * c.stride + j];
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

/* A panel: `width` rows (of which `rows` exist, the others are zero) of k terms from f's (i, p), term by term:
 * dst[p * width + i]. Storage that runs along the rows is copied, else transposed. */
static void celi_pack(celi_factor f, int64_t i, int64_t p, int64_t rows, int64_t k, int width, cel_real *dst)
{
    const cel_real *src = celi_at(f, i, p);
    int64_t r, t;
    if (rows < width) memset(dst, 0, (size_t)(k * width) * sizeof(cel_real));
    if (f.trans && rows == width) {
        for (t = 0; t < k; t++) memcpy(dst + t * width, src + t * f.stride, (size_t)width * sizeof(cel_real));
    } else if (f.trans) {
        for (t = 0; t < k; t++)
            for (r = 0; r < rows; r++) dst[t * width + r] = src[t * f.stride + r];
    } else {
        for (r = 0; r + 4 <= rows; r += 4) {
            const cel_real *s0 = src + r * f.stride, *s1 = s0 + f.stride, *s2 = s1 + f.stride, *s3 = s2 + f.stride;
            cel_real *d = dst + r;
            for (t = 0; t < k; t++, d += width) {
                d[0] = s0[t];
                d[1] = s1[t];
                d[2] = s2[t];
                d[3] = s3[t];
            }
        }
        for (; r < rows; r++)
            for (t = 0; t < k; t++) dst[t * width + r] = src[r * f.stride + t];
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

#define CELI_SMALL_A 1e6
#define CELI_SMALL_B 1e5

/* One product in progress: C's rows and columns, and a block of kc terms of them, B's panels packed (or, for
 * whole panels of a small untransposed B, where they lie). */
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
            celi_pack_a(g->a, i + ir, g->p, m - ir < mr ? m - ir : mr, g->k, mr, a_packed + (g->pack_a ? ir * g->k : 0));
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
    threads = size > 500000 ? cel_threads() : 1;
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
    g.pack_a = size > CELI_SMALL_A;
    g.pack_b = !b.trans || size > CELI_SMALL_B;
    for (g.j = 0; g.j < n; g.j += nc) {
        g.n = celi_min(nc, n - g.j);
        for (g.p = 0; g.p < k; g.p += kc) {
            int64_t i;
            g.k = celi_min(kc, k - g.p);
            g.beta = g.p > 0 ? 1 : beta;
            CELI_OMP(omp parallel for schedule(static) if (threads > 1))
            for (i = 0; i < g.n; i += kern->nr)
                if (g.pack_b || i + kern->nr > g.n)
                    celi_pack(b, g.j + i, g.p, celi_min(kern->nr, g.n - i), g.k, kern->nr,
                              g.b_packed + (g.pack_b ? i * g.k : 0));
            CELI_OMP(omp parallel for schedule(dynamic) if (threads > 1))
            for (i = 0; i < m; i += mc)
                celi_product_rows(&g, i, celi_min(mc, m - i), a_packed + celi_thread() * a_size);
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
        CELI_CBLAS(gemm)(CblasRowMajor, trans_a ? CblasTrans : CblasNoTrans, trans_b ? CblasTrans : CblasNoTrans, (int)m,
                         (int)n, (int)k, alpha, a.data, (int)a.stride, b.data, (int)b.stride, beta, c.data,
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

CEL_API_DEF cel_status cel_mat_syrk(int trans, cel_real alpha, cel_mat a, cel_real beta, cel_mat c, cel_work *work)
{
    int64_t n = trans ? a.cols : a.rows, k = trans ? a.rows : a.cols;
    celi_factor f;
    cel_status status;
    if (c.rows != n || c.cols != n) return CEL_ERR_SHAPE;
#if defined(CELCOMEN_CBLAS)
    if (celi_cblas_takes(n, n, k, a, a, c)) {
        CELI_CBLAS(syrk)(CblasRowMajor, CblasLower, trans ? CblasTrans : CblasNoTrans, (int)n, (int)k, alpha, a.data,
                         (int)a.stride, beta, c.data, (int)c.stride);
        celi_mirror(c);
        return CEL_OK;
    }
#endif
    f.data = a.data;
    f.stride = a.stride;
    f.trans = trans != 0;
    status = celi_product_run(f, f, k, alpha, beta, c, 1, work);
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
        for (at = 0; at < n; at++) y[at] += alpha * (cel_real)cel_dot(a.cols, a.data + at * a.stride, x);
    } else {
        CELI_OMP(omp parallel for schedule(static) if (a.rows * a.cols > 100000))
        for (at = 0; at < n; at += BLOCK) {
            int64_t i, count = celi_min(BLOCK, n - at);
            for (i = 0; i < a.rows; i++) cel_axpy(count, alpha * x[i], a.data + i * a.stride + at, y + at);
        }
    }
    return CEL_OK;
}

CEL_API_DEF double cel_mat_dot(cel_mat a, cel_mat b)
{
    double s = 0;
    int64_t i;
    for (i = 0; i < a.rows; i++) s += cel_dot(a.cols, a.data + i * a.stride, b.data + i * b.stride);
    return s;
}

CEL_API_DEF void cel_mat_axpy(cel_real alpha, cel_mat a, cel_mat b)
{
    int64_t i;
    for (i = 0; i < a.rows; i++) cel_axpy(a.cols, alpha, a.data + i * a.stride, b.data + i * b.stride);
}

CEL_API_DEF cel_status cel_mat_transpose(cel_mat a, cel_mat b)
{
    enum { BLOCK = 16 };
    int64_t i0, j0, i, j;
    if (a.rows != b.cols || a.cols != b.rows) return CEL_ERR_SHAPE;
    for (i0 = 0; i0 < a.rows; i0 += BLOCK)
        for (j0 = 0; j0 < a.cols; j0 += BLOCK)
            for (i = i0; i < i0 + BLOCK && i < a.rows; i++)
                for (j = j0; j < j0 + BLOCK && j < a.cols; j++) b.data[j * b.stride + i] = a.data[i * a.stride + j];
    return CEL_OK;
}

CEL_API_DEF cel_status cel_mat_symmetrise(cel_mat a)
{
    int64_t i, j;
    if (a.rows != a.cols) return CEL_ERR_SHAPE;
    for (i = 0; i < a.rows; i++)
        for (j = 0; j < i; j++) {
            cel_real s = (a.data[i * a.stride + j] + a.data[j * a.stride + i]) / 2;
            a.data[i * a.stride + j] = a.data[j * a.stride + i] = s;
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
            status = cel_mat_gemm(0, 1, -1, cel_mat_block(a, end, 0, n - end, j0), cel_mat_block(a, j0, 0, end - j0, j0),
                                  1, cel_mat_block(a, end, j0, n - end, end - j0), &work);
        for (j = j0; j < end && status == CEL_OK; j++) {
            cel_real *lj = a.data + j * a.stride;
            double d;
            for (i = j0; i < j; i++) {
                const cel_real *li = a.data + i * a.stride;
                lj[i] = (cel_real)(((double)lj[i] - cel_dot(i, lj, li)) / (double)li[i]);
            }
            d = (double)lj[j] - cel_dot(j, lj, lj);
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
                li[t] = (cel_real)(((double)li[t] - cel_dot(t - j0, li + j0, lt + j0)) / (double)lt[t]);
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
            status = cel_mat_gemm(0, 0, -1, cel_mat_block(l, i0, 0, end - i0, i0), cel_mat_block(b, 0, 0, i0, b.cols), 1,
                                  cel_mat_block(b, i0, 0, end - i0, b.cols), &work);
        for (i = i0; i < end; i++) {
            cel_real *bi = b.data + i * b.stride, d = l.data[i * l.stride + i];
            for (j = i0; j < i; j++) cel_axpy(b.cols, -l.data[i * l.stride + j], b.data + j * b.stride, bi);
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
            for (j = i0; j < i; j++) cel_axpy(b.cols, -l.data[i * l.stride + j], bi, b.data + j * b.stride);
        }
    }
    cel_work_free(&work);
    return status;
}

/* The symmetric matrix z (n x n) becomes tridiagonal, diagonal d and off-diagonal e (e[k] between k and
 * k + 1), and z the transposed transformation: row j of z is column j of Q. scratch (n). */
static void celi_tridiagonal(int64_t n, double *z, double *d, double *e, double *scratch)
{
    int64_t i, j, k;
    for (k = 0; k + 2 < n; k++) {
        double *v = z + k * n, norm = 0, alpha, beta, dot = 0;
        for (i = k + 1; i < n; i++) norm += v[i] * v[i];
        d[k] = v[k];
        alpha = v[k + 1] > 0 ? -sqrt(norm) : sqrt(norm);
        e[k] = alpha;
        /* H = I - beta u u^T with u = v - alpha e_1; beta is kept on the diagonal for the second pass. */
        beta = norm - alpha * v[k + 1];
        beta = beta > 0 ? 1 / beta : 0;
        v[k + 1] -= alpha;
        v[k] = beta;
        for (i = k + 1; i < n; i++) {
            double s = 0;
            for (j = k + 1; j < n; j++) s += z[i * n + j] * v[j];
            scratch[i] = beta * s;
            dot += scratch[i] * v[i];
        }
        for (i = k + 1; i < n; i++) scratch[i] -= beta / 2 * dot * v[i];
        for (i = k + 1; i < n; i++) {
            double vi = v[i], wi = scratch[i], *row = z + i * n;
            for (j = k + 1; j < n; j++) row[j] -= vi * scratch[j] + wi * v[j];
        }
    }
    for (k = n > 1 ? n - 2 : 0; k < n; k++) {
        d[k] = z[k * n + k];
        e[k] = k + 1 < n ? z[k * n + k + 1] : 0;
    }
    for (i = n > 1 ? n - 2 : 0; i < n; i++)
        for (j = n > 1 ? n - 2 : 0; j < n; j++) z[i * n + j] = i == j;
    for (k = n - 3; k >= 0; k--) {
        double beta;
        memcpy(scratch, z + k * n, (size_t)n * sizeof(double));
        beta = scratch[k];
        for (j = k; j < n; j++) z[k * n + j] = j == k;
        for (i = k + 1; i < n; i++) {
            double s = 0, *row = z + i * n;
            row[k] = 0;
            for (j = k + 1; j < n; j++) s += row[j] * scratch[j];
            s *= beta;
            for (j = k + 1; j < n; j++) row[j] -= s * scratch[j];
        }
    }
}

/* Implicit QL with Wilkinson's shift on (d, e); the rotations act on rows of z. */
static cel_status celi_ql(int64_t n, double *d, double *e, double *z)
{
    int64_t l, m, i, j;
    for (l = 0; l < n; l++) {
        int round;
        for (round = 0;; round++) {
            double g, r, p = 0, s = 1, c = 1;
            for (m = l; m + 1 < n; m++)
                if (fabs(e[m]) <= DBL_EPSILON * (fabs(d[m]) + fabs(d[m + 1]))) break;
            if (m == l) break;
            if (round == 60) return CEL_ERR_NUMERIC;
            g = (d[l + 1] - d[l]) / (2 * e[l]);
            r = sqrt(g * g + 1);
            g = d[m] - d[l] + e[l] / (g + (g < 0 ? -r : r));
            for (i = m - 1; i >= l; i--) {
                double f = s * e[i], b = c * e[i], *lo = z + i * n, *hi = lo + n;
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
                for (j = 0; j < n; j++) {
                    double h = hi[j];
                    hi[j] = s * lo[j] + c * h;
                    lo[j] = c * lo[j] - s * h;
                }
            }
            if (i >= l) continue;
            d[l] -= p;
            e[l] = g;
            e[m] = 0;
        }
    }
    return CEL_OK;
}

CEL_API_DEF cel_status cel_mat_eigen(cel_mat a, double *w, cel_mat v)
{
    int64_t n = a.rows, i, j, k;
    double *z, *e, *scratch;
    cel_status status;
    if (a.cols != n || v.rows != n || v.cols != n) return CEL_ERR_SHAPE;
    if (n > 0 && n > PTRDIFF_MAX / (n + 2)) return CEL_ERR_MEMORY;
    z = (double *)celi_alloc((size_t)(n * (n + 2)), sizeof(double));
    if (!z) return CEL_ERR_MEMORY;
    e = z + n * n;
    scratch = e + n;
    for (i = 0; i < n; i++)
        for (j = 0; j < n; j++) z[i * n + j] = (double)a.data[i * a.stride + j];
    celi_tridiagonal(n, z, w, e, scratch);
    status = celi_ql(n, w, e, z);
    for (i = 0; i < n && status == CEL_OK; i++)
        if (!(fabs(w[i]) <= DBL_MAX)) status = CEL_ERR_NUMERIC;
    if (status != CEL_OK) {
        memset(w, 0, (size_t)n * sizeof(double));
        cel_mat_fill(v, 0);
    } else {
        for (i = 0; i < n; i++) {
            for (k = i, j = i + 1; j < n; j++)
                if (w[j] < w[k]) k = j;
            if (k != i) {
                double t = w[i];
                w[i] = w[k];
                w[k] = t;
                memcpy(scratch, z + i * n, (size_t)n * sizeof(double));
                memcpy(z + i * n, z + k * n, (size_t)n * sizeof(double));
                memcpy(z + k * n, scratch, (size_t)n * sizeof(double));
            }
            for (j = 0; j < n; j++) v.data[j * v.stride + i] = (cel_real)z[i * n + j];
        }
    }
    celi_free(z);
    return status;
}

/* ======================================================================== */
/* sparse                                                                   */
/* ======================================================================== */

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

CEL_API_DEF void cel_csr_free(cel_csr *a)
{
    if (!a) return;
    celi_free(a->start);
    celi_free(a->index);
    celi_free(a->value);
    memset(a, 0, sizeof *a);
}

CEL_API_DEF int64_t cel_csr_count(const cel_csr *a)
{
    return a->start ? a->start[a->rows] : 0;
}

/* An uninitialised matrix with room for count entries; its start is zeroed. */
static cel_status celi_csr_new(int64_t rows, int64_t cols, int64_t count, cel_csr *out)
{
    memset(out, 0, sizeof *out);
    if (rows < 0 || cols < 0 || rows > INT32_MAX || cols > INT32_MAX || count < 0) return CEL_ERR_ARG;
    out->rows = rows;
    out->cols = cols;
    out->start = (int64_t *)celi_alloc((size_t)rows + 1, sizeof *out->start);
    out->index = (int32_t *)celi_alloc(count ? (size_t)count : 1, sizeof *out->index);
    out->value = (cel_real *)celi_alloc(count ? (size_t)count : 1, sizeof *out->value);
    if (out->start && out->index && out->value) return CEL_OK;
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
    cel_status status = celi_csr_new(a->cols, a->rows, count, out);
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
    cel_csr a, t;
    int64_t e;
    cel_status status;
    memset(out, 0, sizeof *out);
    for (e = 0; e < count; e++)
        if (row[e] < 0 || row[e] >= rows || col[e] < 0 || col[e] >= cols)
            return celi_fail(err, CEL_ERR_ARG, "an edge's index is out of range", e, -1, -1);
    /* Sorted by column as the transpose, then by row: two stable passes. */
    status = celi_csr_new(cols, rows, count, &t);
    if (status) return celi_fail(err, status, "edges to a sparse matrix", -1, -1, -1);
    for (e = 0; e < count; e++) t.start[col[e] + 1]++;
    celi_csr_offsets(cols, t.start);
    for (e = 0; e < count; e++) {
        int64_t to = t.start[col[e]]++;
        t.index[to] = (int32_t)row[e];
        t.value[to] = value ? value[e] : 1;
    }
    celi_csr_rewind(cols, t.start);
    status = cel_csr_transpose(&t, &a);
    cel_csr_free(&t);
    if (status) return celi_fail(err, status, "edges to a sparse matrix", -1, -1, -1);
    celi_csr_merge(&a);
    *out = a;
    return CEL_OK;
}

CEL_API_DEF cel_status cel_csr_copy(const cel_csr *a, cel_csr *out)
{
    int64_t count = cel_csr_count(a);
    cel_status status = celi_csr_new(a->rows, a->cols, count, out);
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
    status = celi_csr_new(a->rows, a->cols, 2 * cel_csr_count(a), out);
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

CEL_API_DEF cel_status cel_csr_normalise(cel_csr *a, cel_norm kind)
{
    double *row, *col;
    int64_t i, e;
    cel_status status = CEL_OK;
    if (kind == CEL_NORM_GCN && a->rows != a->cols) return CEL_ERR_SHAPE;
    if (kind != CEL_NORM_ROW && kind != CEL_NORM_SYM && kind != CEL_NORM_GCN) return CEL_ERR_ARG;
    row = (double *)celi_alloc((size_t)a->rows + 1, sizeof *row);
    col = (double *)celi_alloc((size_t)a->cols + 1, sizeof *col);
    if (!row || !col) status = CEL_ERR_MEMORY;
    if (!status) {
        for (i = 0; i < a->rows; i++)
            for (e = a->start[i]; e < a->start[i + 1]; e++) {
                row[i] += (double)a->value[e];
                col[a->index[e]] += (double)a->value[e];
            }
        if (kind != CEL_NORM_ROW) {
            double *sums = kind == CEL_NORM_SYM ? col : row;
            for (i = 0; i < a->rows; i++)
                if (!(row[i] >= 0)) status = CEL_ERR_DATA;
            for (i = 0; i < a->cols; i++)
                if (!(sums[i] >= 0)) status = CEL_ERR_DATA;
        }
    }
    for (i = 0; !status && i < a->rows; i++)
        for (e = a->start[i]; e < a->start[i + 1]; e++) {
            double c = kind == CEL_NORM_SYM ? col[a->index[e]] : kind == CEL_NORM_GCN ? row[a->index[e]] : row[i];
            double d = kind == CEL_NORM_ROW ? row[i] : sqrt(row[i] * c);
            a->value[e] = d > 0 || d < 0 ? (cel_real)((double)a->value[e] / d) : 0;
        }
    celi_free(row);
    celi_free(col);
    return status;
}

/* One row of a product: y (n) = alpha sum_e value[e] x.row(index[e]) + beta y over count entries. The entries
 * are followed by those of the next rows, `known` counted from index: what is read soon is fetched. */
typedef void celi_csr_row_fn(int64_t n, int64_t count, int64_t known, const int32_t *index, const cel_real *value,
                             cel_real alpha, const cel_real *x, int64_t stride, cel_real beta, cel_real *y);

static void celi_scalar_csr_row(int64_t n, int64_t count, int64_t known, const int32_t *index, const cel_real *value,
                                cel_real alpha, const cel_real *x, int64_t stride, cel_real beta, cel_real *y)
{
    int64_t e, j;
    (void)known;
    for (j = 0; j < n; j++) y[j] = beta > 0 || beta < 0 ? beta * y[j] : 0;
    for (e = 0; e < count; e++) {
        const cel_real *from = x + index[e] * stride;
        cel_real w = alpha * value[e];
        for (j = 0; j < n; j++) y[j] += w * from[j];
    }
}

#if defined(CELI_X86) || defined(CELI_NEON)
enum { CELI_CSR_AHEAD = 24 }; /* entries: about four rows of a neighbour graph */
#define CELI_CSR_OUT(S, u, k)                                                                                          \
    u = S##_mul(S##_set(alpha), u);                                                                                    \
    if (add) u = S##_fma(S##_set(beta), S##_load(y + k), u);
/* Four vectors of columns at a time, summed over all entries in registers. The last vector overlaps the one
 * before, so that every column is computed alike. */
#define CELI_CSR_ROW(T, S)                                                                                             \
    T static void S##_csr_row(int64_t n, int64_t count, int64_t known, const int32_t *index, const cel_real *value,    \
                              cel_real alpha, const cel_real *x, int64_t stride, cel_real beta, cel_real *y)           \
    {                                                                                                                  \
        enum { W = (int)(sizeof(S##_v) / sizeof(cel_real)) };                                                          \
        int add = beta > 0 || beta < 0;                                                                                \
        int64_t e, j;                                                                                                  \
        if (n < W) {                                                                                                   \
            celi_scalar_csr_row(n, count, known, index, value, alpha, x, stride, beta, y);                             \
            return;                                                                                                    \
        }                                                                                                              \
        for (j = 0; j + 4 * W <= n; j += 4 * W) {                                                                      \
            S##_v u0 = S##_zero(), u1 = u0, u2 = u0, u3 = u0;                                                          \
            for (e = 0; e < count; e++) {                                                                              \
                const cel_real *p = x + index[e] * stride + j;                                                         \
                S##_v t = S##_set(value[e]);                                                                           \
                u0 = S##_fma(t, S##_load(p), u0);                                                                      \
                u1 = S##_fma(t, S##_load(p + W), u1);                                                                  \
                u2 = S##_fma(t, S##_load(p + 2 * W), u2);                                                              \
                u3 = S##_fma(t, S##_load(p + 3 * W), u3);                                                              \
                if (e + CELI_CSR_AHEAD < known) {                                                                      \
                    p = x + index[e + CELI_CSR_AHEAD] * stride + j;                                                    \
                    __builtin_prefetch(p);                                                                             \
                    __builtin_prefetch(p + W);                                                                         \
                    __builtin_prefetch(p + 2 * W);                                                                     \
                    __builtin_prefetch(p + 3 * W);                                                                     \
                }                                                                                                      \
            }                                                                                                          \
            CELI_CSR_OUT(S, u0, j)                                                                                     \
            CELI_CSR_OUT(S, u1, j + W)                                                                                 \
            CELI_CSR_OUT(S, u2, j + 2 * W)                                                                             \
            CELI_CSR_OUT(S, u3, j + 3 * W)                                                                             \
            S##_store(y + j, u0);                                                                                      \
            S##_store(y + j + W, u1);                                                                                  \
            S##_store(y + j + 2 * W, u2);                                                                              \
            S##_store(y + j + 3 * W, u3);                                                                              \
        }                                                                                                              \
        for (; j < n; j += W) {                                                                                        \
            int64_t at = j + W <= n ? j : n - W;                                                                       \
            S##_v u = S##_zero();                                                                                      \
            for (e = 0; e < count; e++) u = S##_fma(S##_set(value[e]), S##_load(x + index[e] * stride + at), u);       \
            CELI_CSR_OUT(S, u, at)                                                                                     \
            if (at == j) {                                                                                             \
                S##_store(y + j, u);                                                                                   \
            } else {                                                                                                   \
                cel_real last[W];                                                                                      \
                S##_store(last, u);                                                                                    \
                memcpy(y + j, last + (j - at), (size_t)(n - j) * sizeof *y);                                           \
            }                                                                                                          \
        }                                                                                                              \
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

CEL_API_DEF cel_status cel_csr_mul_rows(cel_real alpha, const cel_csr *a, const int32_t *list, int64_t count, cel_mat x,
                                        cel_real beta, cel_mat y)
{
    celi_csr_row_fn *kernel = celi_csr_kernel();
    int64_t r;
    if (a->cols != x.rows || y.rows != count || x.cols != y.cols) return CEL_ERR_SHAPE;
    for (r = 0; list && r < count; r++)
        if (list[r] < 0 || list[r] >= a->rows) return CEL_ERR_ARG;
    CELI_OMP(omp parallel for schedule(static))
    for (r = 0; r < count; r++) {
        int64_t i = list ? list[r] : r, from = a->start[i], next = list ? i + 1 : a->rows;
        kernel(x.cols, a->start[i + 1] - from, a->start[next] - from, a->index + from, a->value + from, alpha, x.data,
               x.stride, beta, y.data + r * y.stride);
    }
    return CEL_OK;
}

CEL_API_DEF cel_status cel_csr_mul(cel_real alpha, const cel_csr *a, cel_mat x, cel_real beta, cel_mat y)
{
    return cel_csr_mul_rows(alpha, a, NULL, a->rows, x, beta, y);
}

/* Breadth-first from every cell, twice: once to count, once to fill. The pairs come out by rows in any
 * order of columns; they are symmetric, so transposing sorts them. */
CEL_API_DEF cel_status cel_csr_hop(const cel_csr *a, int hops, cel_csr *out)
{
    cel_csr s, found;
    int32_t *seen = NULL, *queue = NULL;
    int64_t i, e, q, total = 0;
    int fill;
    cel_status status;
    memset(out, 0, sizeof *out);
    memset(&found, 0, sizeof found);
    if (hops < 1) return CEL_ERR_ARG;
    status = cel_csr_symmetrise(a, &s);
    if (status) return status;
    seen = (int32_t *)celi_alloc((size_t)s.rows + 1, sizeof *seen);
    queue = (int32_t *)celi_alloc((size_t)s.rows + 1, sizeof *queue);
    if (!seen || !queue) status = CEL_ERR_MEMORY;
    for (fill = 0; fill < 2 && !status; fill++) {
        if (fill) {
            status = celi_csr_new(s.rows, s.cols, total, &found);
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
    celi_free(queue);
    cel_csr_free(&s);
    if (!status) status = cel_csr_transpose(&found, out);
    cel_csr_free(&found);
    return status;
}

/* ======================================================================== */
/* files: .npy, .npz and lists of names, in and out                         */
/* ======================================================================== */

static cel_status celi_malformed(cel_error *err, const char *what, int64_t offset)
{
    return celi_fail(err, CEL_ERR_FORMAT, what, offset, -1, -1);
}

static cel_status celi_no_memory(cel_error *err)
{
    return celi_fail(err, CEL_ERR_MEMORY, "out of memory", -1, -1, -1);
}

/* ---- .npy: reading ---- */

static int celi_host_big_endian(void)
{
    const uint16_t one = 1;
    unsigned char first;
    memcpy(&first, &one, 1);
    return first == 0;
}

/* An unsigned integer of 1, 2, 4 or 8 bytes at any alignment. */
static uint64_t celi_load(const unsigned char *p, int bytes, int big_endian)
{
    uint64_t v = 0;
    int i;
    if (bytes == 8 && big_endian == celi_host_big_endian()) { /* the common case, and the slowest byte by byte */
        memcpy(&v, p, 8);
        return v;
    }
    for (i = 0; i < bytes; i++) v = v << 8 | p[big_endian ? i : bytes - 1 - i];
    return v;
}

static uint32_t celi_load16(const unsigned char *p) { return (uint32_t)celi_load(p, 2, 0); }
static uint32_t celi_load32(const unsigned char *p) { return (uint32_t)celi_load(p, 4, 0); }

/* Whether numbers of this kind and size exist. */
static int celi_npy_type(char kind, int bytes)
{
    if (kind == 'b') return bytes == 1;
    if (kind != 'i' && kind != 'u' && kind != 'f') return 0;
    return bytes == 2 || bytes == 4 || bytes == 8 || (bytes == 1 && kind != 'f');
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

/* A place in a header: a Python literal in text[at .. end-1]; and what was found wrong with it there. */
typedef struct celi_literal {
    const unsigned char *text;
    size_t at, end;
    cel_status status;
    const char *what;
} celi_literal;

static cel_status celi_wrong(celi_literal *t, cel_status status, const char *what)
{
    t->what = what;
    return t->status = status;
}

/* The next character after white space, or 0 at the end. */
static int celi_peek(celi_literal *t)
{
    while (t->at < t->end && memchr(" \t\r\n\f", t->text[t->at], 5)) t->at++;
    return t->at < t->end ? t->text[t->at] : 0;
}

/* Skips white space and the character c if it is next. */
static int celi_accept(celi_literal *t, int c)
{
    if (celi_peek(t) != c) return 0;
    t->at++;
    return 1;
}

/* A string in either kind of quotes, without escapes. */
static int celi_string(celi_literal *t, const char **s, size_t *length)
{
    int quote = celi_peek(t);
    size_t i;
    if (quote != '\'' && quote != '"') return 0;
    for (i = t->at + 1; i < t->end && t->text[i] != quote; i++)
        if (t->text[i] == '\\' || t->text[i] == '\n' || t->text[i] == 0) return 0;
    if (i == t->end) return 0;
    *s = (const char *)t->text + t->at + 1;
    *length = i - t->at - 1;
    t->at = i + 1;
    return 1;
}

static int celi_same(const char *s, size_t length, const char *word)
{
    return length == strlen(word) && memcmp(s, word, length) == 0;
}

/* A word such as True, not followed by more of a name. */
static int celi_word(celi_literal *t, const char *word)
{
    size_t n = strlen(word), end = t->at + n;
    if (end > t->end || memcmp(t->text + t->at, word, n)) return 0;
    if (end < t->end && !memchr(" \t\r\n\f,}", t->text[end], 7)) return 0;
    t->at = end;
    return 1;
}

/* A Python integer >= 0: decimal without leading zeros, 0x, 0o or 0b, underscores between digits, and the
 * L of Python 2 where long_suffix. 0 if it is none or exceeds INT64_MAX. */
static int celi_integer(celi_literal *t, int long_suffix, int64_t *out)
{
    int64_t v = 0;
    int base = 10, digits = 0, zero;
    zero = celi_peek(t) == '0';
    if (zero && t->at + 1 < t->end) {
        int x = t->text[t->at + 1] | 32;
        base = x == 'x' ? 16 : x == 'o' ? 8 : x == 'b' ? 2 : 10;
        if (base != 10) t->at += 2;
    }
    for (; t->at < t->end; t->at++) {
        int c = t->text[t->at], lower = c | 32;
        int digit = c >= '0' && c <= '9' ? c - '0' : lower >= 'a' && lower <= 'f' ? lower - 'a' + 10 : 16;
        if (c == '_' && (digits || base != 10) && t->at + 1 < t->end && t->text[t->at + 1] != '_' &&
            t->text[t->at - 1] != '_')
            continue;
        if (digit >= base) break;
        if (v > (INT64_MAX - digit) / base) return 0;
        v = v * base + digit;
        digits++;
    }
    if (!digits || t->text[t->at - 1] == '_' || (zero && base == 10 && v)) return 0;
    if (long_suffix && t->at < t->end && t->text[t->at] == 'L') t->at++;
    *out = v;
    return 1;
}

/* A tuple of lengths. */
static cel_status celi_shape(celi_literal *t, int long_suffix, cel_npy *a)
{
    int comma = 1;
    a->ndim = 0;
    if (!celi_accept(t, '(')) return celi_wrong(t, CEL_ERR_FORMAT, "the shape is not a tuple");
    while (!celi_accept(t, ')')) {
        if (!comma) return celi_wrong(t, CEL_ERR_FORMAT, "the shape is malformed");
        if (celi_peek(t) == '-') return celi_wrong(t, CEL_ERR_FORMAT, "a length in the shape is negative");
        if (a->ndim == CEL_NPY_DIMS) return celi_wrong(t, CEL_ERR_FORMAT, "the array has more than 32 dimensions");
        if (!celi_integer(t, long_suffix, a->shape + a->ndim))
            return celi_wrong(t, CEL_ERR_FORMAT, "a length in the shape is not an integer, or too big");
        a->ndim++;
        comma = celi_accept(t, ',');
    }
    return a->ndim == 1 && !comma ? celi_wrong(t, CEL_ERR_FORMAT, "the shape is not a tuple") : CEL_OK;
}

/* The type from its text: an optional byte order, a kind and a size, or a name like float32. Bytes ('S') are
 * accepted here. CEL_ERR_FORMAT if it is no type at all. */
static cel_status celi_descr(const char *s, size_t length, cel_npy *a)
{
    static const char name[4][6] = {"float", "uint", "int", "bool"};
    const char *end = s + length;
    int k, named, size = 0;
    a->big_endian = celi_host_big_endian();
    for (k = 0; k < 4; k++)
        if (length >= strlen(name[k]) && memcmp(s, name[k], strlen(name[k])) == 0) break;
    named = k < 4;
    if (named) {
        a->kind = name[k][0];
        s += strlen(name[k]);
    } else {
        if (length && memchr("<>=|", s[0], 4)) {
            if (s[0] == '<' || s[0] == '>') a->big_endian = s[0] == '>';
            s++;
        }
        if (s == end) return CEL_ERR_FORMAT;
        a->kind = *s++;
    }
    if (memchr("aUVOcMm", a->kind, 7)) return CEL_ERR_UNSUPPORTED;
    if (named && a->kind == 'b' && s == end) size = 8;
    for (; s < end && *s >= '0' && *s <= '9'; s++)
        if ((size = size * 10 + (*s - '0')) > 100000) return CEL_ERR_UNSUPPORTED;
    if (s < end || (named && size % 8)) return CEL_ERR_FORMAT;
    if (named) size /= 8;
    a->bytes = size;
    if (a->kind == 'S') return size ? CEL_OK : CEL_ERR_UNSUPPORTED;
    if (a->kind == 'f' && (size == 10 || size == 12 || size == 16)) return CEL_ERR_UNSUPPORTED;
    return celi_npy_type(a->kind, size) ? CEL_OK : CEL_ERR_FORMAT;
}

/* The header's dictionary. */
static cel_status celi_header(celi_literal *t, int long_suffix, cel_npy *a)
{
    const char *s;
    size_t length, start;
    int seen = 0;
    cel_status status;
    if (!celi_accept(t, '{')) return celi_wrong(t, CEL_ERR_FORMAT, "the header is not a dictionary");
    while (!celi_accept(t, '}')) {
        if (!celi_string(t, &s, &length) || !celi_accept(t, ':'))
            return celi_wrong(t, CEL_ERR_FORMAT, "the header's dictionary is malformed");
        (void)celi_peek(t);
        if (celi_same(s, length, "descr")) {
            start = t->at;
            if (celi_peek(t) == '[' || celi_peek(t) == '(')
                return celi_wrong(t, CEL_ERR_UNSUPPORTED, "an array of structures");
            if (!celi_string(t, &s, &length)) return celi_wrong(t, CEL_ERR_FORMAT, "descr is not a string");
            status = celi_descr(s, length, a);
            if (status) t->at = start;
            if (status == CEL_ERR_FORMAT) return celi_wrong(t, status, "descr is not a type");
            if (status)
                return celi_wrong(t, status, "elements that are neither bool, integer nor real of at most 8 bytes");
            seen |= 1;
        } else if (celi_same(s, length, "fortran_order")) {
            a->fortran = celi_word(t, "True");
            if (!a->fortran && !celi_word(t, "False"))
                return celi_wrong(t, CEL_ERR_FORMAT, "fortran_order is neither True nor False");
            seen |= 2;
        } else if (celi_same(s, length, "shape")) {
            if (celi_shape(t, long_suffix, a)) return t->status;
            seen |= 4;
        } else {
            return celi_wrong(t, CEL_ERR_FORMAT, "the header has an unknown key");
        }
        if (!celi_accept(t, ',') && celi_peek(t) != '}')
            return celi_wrong(t, CEL_ERR_FORMAT, "the header's dictionary is malformed");
    }
    if (seen != 7) return celi_wrong(t, CEL_ERR_FORMAT, "the header lacks descr, fortran_order or shape");
    (void)celi_peek(t);
    if (t->at < t->end) return celi_wrong(t, CEL_ERR_FORMAT, "the header goes on after its dictionary");
    return CEL_OK;
}

/* The whole of a file: its status, and in t what is wrong and where. */
static cel_status celi_npy_read(const unsigned char *p, size_t size, celi_literal *t, int text, cel_npy *out)
{
    static const unsigned char magic[6] = {0x93, 'N', 'U', 'M', 'P', 'Y'};
    size_t field, length;
    memset(t, 0, sizeof *t);
    t->text = p;
    for (; t->at < 6 && t->at < size; t->at++)
        if (p[t->at] != magic[t->at])
            return celi_wrong(t, CEL_ERR_FORMAT, size > 3 && memcmp(p, "PK\3\4", 4) == 0
                                                     ? "an .npz archive, not an .npy file" : "not an .npy file");
    if (size >= 8 && (p[6] < 1 || p[6] > 3 || p[7] != 0))
        return celi_wrong(t, CEL_ERR_FORMAT, "not version 1, 2 or 3 of the .npy format");
    field = size >= 8 && p[6] > 1 ? 4 : 2;
    length = size >= 8 + field ? (size_t)celi_load(p + 8, (int)field, 0) : 0;
    t->at = 8;
    if (length > 10000) return celi_wrong(t, CEL_ERR_FORMAT, "the header is longer than 10,000 bytes");
    t->end = 8 + field + length;
    t->at = size;
    if (t->end > size) return celi_wrong(t, CEL_ERR_FORMAT, "the file ends inside its header");
    t->at = 8 + field;
    if (celi_header(t, p[6] < 3, out)) return t->status;
    t->at = 8 + field;
    if (!text && out->kind == 'S') return celi_wrong(t, CEL_ERR_UNSUPPORTED, "an array of text");
    if (!celi_npy_count(out)) return celi_wrong(t, CEL_ERR_FORMAT, "the shape is too big");
    t->at = t->end; /* '\r' before this, '\n' here: every number would be a byte off */
    if (t->end < size && p[t->end - 1] == '\r' && p[t->end] == '\n')
        return celi_wrong(t, CEL_ERR_FORMAT, "the file's line ends were converted on its way: transfer it as binary");
    t->at = size;
    if ((uint64_t)out->count * (uint64_t)out->bytes > size - t->end)
        return celi_wrong(t, CEL_ERR_FORMAT, "the data are shorter than the shape says");
    out->data = p + t->end;
    out->offset = (int64_t)t->end;
    out->trailing = (int64_t)(size - t->end) - out->count * out->bytes;
    return CEL_OK;
}

/* cel_npy_parse for a file that starts at byte `base` of another (offsets count from there), with or without
 * arrays of text. */
static cel_status celi_npy_parse(const void *bytes, size_t size, int64_t base, int text, cel_npy *out, cel_error *err)
{
    celi_literal t;
    memset(out, 0, sizeof *out);
    if (celi_npy_read((const unsigned char *)bytes, size, &t, text, out)) {
        memset(out, 0, sizeof *out);
        return celi_fail(err, t.status, t.what, base + (int64_t)t.at, -1, -1);
    }
    out->offset += base;
    return CEL_OK;
}

CEL_API_DEF cel_status cel_npy_parse(const void *bytes, size_t size, cel_npy *out, cel_error *err)
{
    return celi_npy_parse(bytes, size, 0, 0, out, err);
}

/* Whether the elements lie in memory as an array of cel_real, aligned or not. */
static int celi_npy_is_real(const cel_npy *a)
{
    return a->kind == 'f' && a->bytes == (int)sizeof(cel_real) && a->big_endian == celi_host_big_endian() &&
           (!a->fortran || a->ndim < 2);
}

CEL_API_DEF const cel_real *cel_npy_view(const cel_npy *a)
{
    if (!celi_npy_is_real(a) || (uintptr_t)a->data % sizeof(cel_real)) return NULL;
    return (const cel_real *)a->data;
}

static double celi_float(uint64_t bits, int bytes)
{
    if (bytes == 8) {
        double v;
        memcpy(&v, &bits, sizeof v);
        return v;
    }
    if (bytes == 4) {
        uint32_t word = (uint32_t)bits;
        float v;
        memcpy(&v, &word, sizeof v);
        return (double)v;
    } else {
        int exponent = (int)(bits >> 10 & 31), mantissa = (int)(bits & 1023);
        double v = exponent == 31 ? (mantissa ? (double)NAN : (double)INFINITY)
                 : exponent ? ldexp(mantissa + 1024, exponent - 25) : ldexp(mantissa, -24);
        return bits >> 15 ? -v : v;
    }
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
        for (d = a->ndim - 1; d >= 0; d--) {
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
    if (!celi_npy_type(a->kind, a->bytes))
        return celi_fail(err, CEL_ERR_UNSUPPORTED, "not an array of numbers", a->offset, -1, -1);
    if (a->count == 0) return CEL_OK;
    if (celi_npy_is_real(a)) memcpy(out, a->data, (size_t)a->count * sizeof(cel_real));
    else (void)celi_npy_convert(a, out, NULL);
    return CEL_OK;
}

CEL_API_DEF cel_status cel_npy_to_int64(const cel_npy *a, int64_t *out, cel_error *err)
{
    int64_t done;
    if (!celi_npy_type(a->kind, a->bytes) || a->kind == 'f')
        return celi_fail(err, CEL_ERR_UNSUPPORTED, "not an array of integers", a->offset, -1, -1);
    done = celi_npy_convert(a, NULL, out);
    if (done == a->count) return CEL_OK;
    memset(out, 0, (size_t)a->count * sizeof *out);
    return celi_fail(err, CEL_ERR_DATA, "an unsigned integer above 2^63 - 1", a->offset, done, -1);
}

/* ---- .npy: writing ---- */

/* Where bytes go: a file, a buffer, or nowhere (then they are only counted); with a table, their CRC-32 is
 * kept as well. */
typedef struct celi_sink {
#if !defined(CELCOMEN_NO_STDIO)
    FILE *file;
#endif
    unsigned char *buffer;
    size_t capacity, size;
    const uint32_t *table;
    uint32_t crc;
    int failed;
} celi_sink;

static void celi_crc_table(uint32_t *table)
{
    uint32_t i, v;
    int k;
    for (i = 0; i < 256; i++) {
        v = i;
        for (k = 0; k < 8; k++) v = v & 1 ? v >> 1 ^ 0xEDB88320u : v >> 1;
        table[i] = v;
    }
}

static uint32_t celi_crc(const uint32_t *table, uint32_t crc, const unsigned char *p, size_t n)
{
    size_t i;
    crc = ~crc;
    for (i = 0; i < n; i++) crc = crc >> 8 ^ table[(crc ^ p[i]) & 255];
    return ~crc;
}

static void celi_put(celi_sink *s, const void *bytes, size_t n)
{
    if (n == 0 || s->failed) return;
    if (n > SIZE_MAX - s->size) {
        s->failed = 1;
        return;
    }
    if (s->table) s->crc = celi_crc(s->table, s->crc, (const unsigned char *)bytes, n);
#if !defined(CELCOMEN_NO_STDIO)
    if (s->file && fwrite(bytes, 1, n, s->file) != n) s->failed = 1;
#endif
    if (s->buffer) {
        if (n > s->capacity - s->size) s->failed = 1;
        else memcpy(s->buffer + s->size, bytes, n);
    }
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

static void celi_put_text(celi_sink *s, const char *text) { celi_put(s, text, strlen(text)); }

static void celi_put_decimal(celi_sink *s, int64_t v)
{
    char digit[20];
    int i = 20;
    do digit[--i] = (char)('0' + v % 10);
    while ((v /= 10) > 0);
    celi_put(s, digit + i, (size_t)(20 - i));
}

/* Whether the description is one that can be written. */
static int celi_npy_valid(const cel_npy *a)
{
    cel_npy copy = *a;
    if (!celi_npy_count(&copy) || copy.count != a->count || (a->count && !a->data)) return 0;
    return celi_npy_type(a->kind, a->bytes) || (a->kind == 'S' && a->bytes <= 1000);
}

/* A valid array as an .npy file of version 1. */
static void celi_put_npy(celi_sink *s, const cel_npy *a)
{
    unsigned char header[1024]; /* 32 lengths of at most 21 characters, and 60 around them */
    celi_sink h;
    char type[2];
    int d;
    memset(&h, 0, sizeof h);
    h.buffer = header;
    h.capacity = sizeof header;
    type[0] = a->bytes == 1 || a->kind == 'S' ? '|' : a->big_endian ? '>' : '<';
    type[1] = a->kind;
    celi_put(&h, "\x93NUMPY\1\0\0", 10);
    celi_put_text(&h, "{'descr': '");
    celi_put(&h, type, 2);
    celi_put_decimal(&h, a->bytes);
    celi_put_text(&h, a->fortran ? "', 'fortran_order': True, 'shape': (" : "', 'fortran_order': False, 'shape': (");
    for (d = 0; d < a->ndim; d++) {
        celi_put_decimal(&h, a->shape[d]);
        celi_put_text(&h, d + 1 < a->ndim ? ", " : a->ndim == 1 ? "," : "");
    }
    celi_put_text(&h, "), }");
    while (h.size % 64 != 63) celi_put(&h, " ", 1);
    celi_put(&h, "\n", 1);
    header[8] = (unsigned char)((h.size - 10) & 255);
    header[9] = (unsigned char)((h.size - 10) >> 8);
    celi_put(s, header, h.size);
    celi_put(s, a->data, (size_t)a->count * (size_t)a->bytes);
}

CEL_API_DEF cel_npy cel_npy_describe(char kind, int bytes, int ndim, const int64_t *shape, const void *data)
{
    cel_npy a;
    int d;
    memset(&a, 0, sizeof a);
    a.kind = kind;
    a.bytes = bytes;
    a.big_endian = celi_host_big_endian();
    a.ndim = ndim;
    a.data = data;
    for (d = 0; d < ndim && ndim <= CEL_NPY_DIMS; d++) a.shape[d] = shape[d];
    if (!celi_npy_count(&a)) a.count = -1; /* the writers refuse it */
    return a;
}

CEL_API_DEF cel_status cel_npy_encode(const cel_npy *a, void *buffer, size_t capacity, size_t *size)
{
    celi_sink s;
    *size = 0;
    if (!celi_npy_valid(a)) return CEL_ERR_ARG;
    memset(&s, 0, sizeof s);
    s.buffer = (unsigned char *)buffer;
    s.capacity = capacity;
    celi_put_npy(&s, a);
    if (s.failed) return CEL_ERR_ARG;
    *size = s.size;
    return CEL_OK;
}

/* ---- .npz: a zip archive (PKWARE's APPNOTE) ---- */

typedef struct celi_zip_entry {
    const unsigned char *name;
    size_t name_length; /* without ".npy" */
    uint32_t flags, method, crc;
    uint64_t stored, size, local; /* bytes in the archive and unpacked; offset of the local header */
} celi_zip_entry;

/* The directory entry at *at, which moves to the next one; 0 unless it lies before `end`. */
static int celi_zip_next(const unsigned char *p, size_t end, size_t *at, celi_zip_entry *e)
{
    size_t extra, extra_end;
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
    if (extra_end + celi_load16(p + 32) > end - *at) return 0;
    *at += extra_end + celi_load16(p + 32);
    while (extra + 4 <= extra_end) {
        size_t field = extra + 4, field_end = field + celi_load16(p + extra + 2);
        if (field_end > extra_end) return 0;
        if (celi_load16(p + extra) == 1) { /* zip64: those of the three that do not fit 32 bits, in this order */
            uint64_t *wide[3];
            int k;
            wide[0] = &e->size;
            wide[1] = &e->stored;
            wide[2] = &e->local;
            for (k = 0; k < 3; k++) {
                if (*wide[k] != 0xffffffffu) continue;
                if (field + 8 > field_end) return 0;
                *wide[k] = celi_load(p + field, 8, 0);
                field += 8;
            }
        }
        extra = field_end;
    }
    if (e->name_length >= 4 && memcmp(e->name + e->name_length - 4, ".npy", 4) == 0) e->name_length -= 4;
    return 1;
}

CEL_API_DEF cel_status cel_npz_parse(const void *bytes, size_t size, cel_npz *out, cel_error *err)
{
    const unsigned char *p = (const unsigned char *)bytes;
    size_t tail = 0, at, end, length;
    uint64_t count, directory, i;
    celi_zip_entry e;
    memset(out, 0, sizeof *out);
    if (size < 4 || memcmp(p, "PK", 2) != 0)
        return celi_malformed(err, "not a zip archive", 0);
    /* The end record is the last 22 bytes, but for a comment of at most 65,535. */
    for (length = 0; length <= 65535 && length + 22 <= size; length++) {
        tail = size - 22 - length;
        if (celi_load32(p + tail) == 0x06054b50u && celi_load16(p + tail + 20) == length) break;
    }
    if (length > 65535 || length + 22 > size)
        return celi_malformed(err, "the archive has no directory: it is cut short", (int64_t)size);
    count = celi_load16(p + tail + 10);
    length = celi_load32(p + tail + 12);
    directory = celi_load32(p + tail + 16);
    end = tail;
    if (tail >= 76 && celi_load32(p + tail - 20) == 0x07064b50u) {
        uint64_t wide = celi_load(p + tail - 12, 8, 0);
        if (wide > tail - 76 || celi_load32(p + wide) != 0x06064b50u)
            return celi_malformed(err, "the archive's zip64 record is missing", (int64_t)tail - 20);
        end = (size_t)wide;
        count = celi_load(p + end + 32, 8, 0);
        directory = celi_load(p + end + 48, 8, 0);
        if (celi_load(p + end + 40, 8, 0) > end) directory = UINT64_MAX;
        else length = (size_t)celi_load(p + end + 40, 8, 0);
    }
    if (directory > end || length > end - directory)
        return celi_malformed(err, "the archive's directory lies outside it", (int64_t)tail);
    at = (size_t)directory;
    end = at + length;
    for (i = 0; i < count; i++) {
        size_t here = at;
        if (!celi_zip_next(p, end, &at, &e))
            return celi_malformed(err, "the archive's directory is malformed", (int64_t)here);
    }
    out->bytes = bytes;
    out->size = size;
    out->count = (int64_t)count;
    out->directory = (int64_t)directory;
    return CEL_OK;
}

/* Entry i, or with a name the last entry of that name; 0 if there is none. */
static int celi_zip_select(const cel_npz *z, int64_t i, const char *name, celi_zip_entry *found)
{
    size_t at = (size_t)z->directory;
    celi_zip_entry e;
    int64_t k;
    int any = 0;
    for (k = 0; k < z->count && celi_zip_next((const unsigned char *)z->bytes, z->size, &at, &e); k++)
        if (name ? celi_same((const char *)e.name, e.name_length, name) : k == i) {
            *found = e;
            any = 1;
            if (!name) break;
        }
    return any;
}

CEL_API_DEF size_t cel_npz_name(const cel_npz *z, int64_t i, char *name, size_t capacity)
{
    celi_zip_entry e;
    size_t n = 0;
    e.name_length = 0;
    if (celi_zip_select(z, i, NULL, &e) && capacity) {
        n = e.name_length < capacity ? e.name_length : capacity - 1;
        memcpy(name, e.name, n);
    }
    if (capacity) name[n] = 0;
    return e.name_length;
}

/* Member i or of that name, with or without arrays of text. */
static cel_status celi_npz_get(const cel_npz *z, int64_t i, const char *name, int text, cel_npy *out, cel_error *err)
{
    const unsigned char *p = (const unsigned char *)z->bytes;
    uint64_t limit = (uint64_t)z->directory, data;
    int64_t here;
    uint32_t table[256];
    celi_zip_entry e;
    memset(out, 0, sizeof *out);
    if (!celi_zip_select(z, i, name, &e))
        return celi_fail(err, CEL_ERR_ARG, "the archive has no such array", z->directory, -1, -1);
    here = (int64_t)(e.name - p);
    if (e.flags & 1) return celi_fail(err, CEL_ERR_UNSUPPORTED, "an encrypted member", here, -1, -1);
    if (e.method != 0)
        return celi_fail(err, CEL_ERR_UNSUPPORTED,
                         "a compressed member: save it uncompressed, with numpy.savez instead of savez_compressed "
                         "or scipy.sparse.save_npz(..., compressed=False)", here, -1, -1);
    if (limit < 30 || e.local > limit - 30 || celi_load32(p + e.local) != 0x04034b50u)
        return celi_malformed(err, "a member is not where the directory says", here);
    data = e.local + 30 + celi_load16(p + e.local + 26) + celi_load16(p + e.local + 28);
    if (data > limit || e.size > limit - data || e.size != e.stored)
        return celi_malformed(err, "a member is not as long as the directory says", here);
    celi_crc_table(table);
    if (celi_crc(table, 0, p + data, (size_t)e.size) != e.crc)
        return celi_malformed(err, "a member's content does not match its CRC-32", (int64_t)data);
    return celi_npy_parse(p + data, (size_t)e.size, (int64_t)data, text, out, err);
}

CEL_API_DEF cel_status cel_npz_get(const cel_npz *z, int64_t i, cel_npy *out, cel_error *err)
{
    return celi_npz_get(z, i, NULL, 0, out, err);
}

CEL_API_DEF cel_status cel_npz_find(const cel_npz *z, const char *name, cel_npy *out, cel_error *err)
{
    return celi_npz_get(z, -1, name, 0, out, err);
}

CEL_API_DEF cel_status cel_npz_to_csr(const cel_npz *z, cel_csr *out, cel_error *err)
{
    static const char name[5][8] = {"format", "shape", "indptr", "indices", "data"};
    cel_npy a[5];
    int64_t size[2], *start, *row, *col, count, i, e;
    cel_real *value;
    cel_status status;
    int k;
    memset(out, 0, sizeof *out);
    for (k = 0; k < 5; k++) {
        status = celi_npz_get(z, -1, name[k], k == 0, a + k, err);
        if (status) return status;
    }
    if (a[0].kind != 'S' || a[0].count != 1 || a[0].bytes != 3 || memcmp(a[0].data, "csr", 3) != 0)
        return celi_fail(err, CEL_ERR_UNSUPPORTED, "a sparse matrix that is not of format csr", a[0].offset, -1, -1);
    if (a[1].count != 2) return celi_malformed(err, "a sparse matrix without two lengths", a[1].offset);
    status = cel_npy_to_int64(a + 1, size, err);
    if (status) return status;
    count = a[3].count;
    if (size[0] < 0 || size[1] < 0 || size[1] > INT32_MAX || size[0] > INT64_MAX - 1 || a[2].count != size[0] + 1 ||
        a[4].count != count)
        return celi_malformed(err, "the lengths of a sparse matrix's arrays do not fit", a[1].offset);
    /* Both counts are at most the size of the archive in bytes, so the sum cannot overflow. */
    start = (int64_t *)celi_alloc((size_t)(size[0] + 1) + 2 * (size_t)count, sizeof *start);
    value = (cel_real *)celi_alloc((size_t)count, sizeof *value);
    if (!start || !value) {
        celi_free(start);
        celi_free(value);
        return celi_no_memory(err);
    }
    row = start + size[0] + 1;
    col = row + count;
    status = cel_npy_to_int64(a + 2, start, err);
    if (status == CEL_OK) status = cel_npy_to_int64(a + 3, col, err);
    if (status == CEL_OK) status = cel_npy_to_real(a + 4, value, err);
    if (status == CEL_OK && (start[0] != 0 || start[size[0]] != count))
        status = celi_malformed(err, "indptr does not run from 0 to the number of entries", a[2].offset);
    for (i = 0; i < size[0] && status == CEL_OK; i++) {
        if (start[i] > start[i + 1] || start[i + 1] > count)
            status = celi_fail(err, CEL_ERR_FORMAT, "indptr is not ascending", a[2].offset, i, -1);
        for (e = start[i]; e < start[i + 1] && status == CEL_OK; e++) {
            row[e] = i;
            if (col[e] < 0 || col[e] >= size[1])
                status = celi_fail(err, CEL_ERR_FORMAT, "a column is out of range", a[3].offset, i, -1);
        }
    }
    if (status == CEL_OK) status = cel_csr_from_edges(size[0], size[1], count, row, col, value, out, err);
    celi_free(start);
    celi_free(value);
    return status;
}

CEL_API_DEF void cel_npz_from_csr(const cel_csr *a, int64_t *shape, cel_npz_member *member)
{
    int64_t count = cel_csr_count(a), starts = a->rows + 1, two = 2;
    shape[0] = a->rows;
    shape[1] = a->cols;
    member[0].name = "indices";
    member[0].array = cel_npy_describe('i', 4, 1, &count, a->index);
    member[1].name = "indptr";
    member[1].array = cel_npy_describe('i', 8, 1, &starts, a->start);
    member[2].name = "format";
    member[2].array = cel_npy_describe('S', 3, 0, NULL, "csr");
    member[3].name = "shape";
    member[3].array = cel_npy_describe('i', 8, 1, &two, shape);
    member[4].name = "data";
    member[4].array = cel_npy_describe('f', (int)sizeof(cel_real), 1, &count, a->value);
}

/* A member's local header or its entry in the directory. */
static void celi_put_zip(celi_sink *s, const char *name, const celi_zip_entry *e, int local)
{
    celi_put(s, local ? "PK\3\4" : "PK\1\2\24", local ? 4 : 6); /* by, and for, version 2.0 */
    celi_put(s, "\24", 2);
    celi_put_int(s, e->flags, 2);
    celi_put_int(s, 0, 2);          /* stored */
    celi_put_int(s, 0x00210000, 4); /* 1 January 1980, 0:00: the same input gives the same bytes */
    celi_put_int(s, e->crc, 4);
    celi_put_int(s, e->size, 4);
    celi_put_int(s, e->size, 4);
    celi_put_int(s, e->name_length + 4, 2);
    celi_put_int(s, 0, 2); /* no extra field */
    if (!local) {
        celi_put_int(s, 0, 6); /* no comment, disk 0, binary */
        celi_put_int(s, 0, 4); /* no attributes */
        celi_put_int(s, e->local, 4);
    }
    celi_put(s, name, e->name_length);
    celi_put(s, ".npy", 4);
}

static cel_status celi_put_npz(celi_sink *s, const cel_npz_member *member, int64_t count)
{
    uint32_t table[256];
    uint64_t total = 0, directory;
    celi_zip_entry *entry;
    celi_sink npy;
    size_t k;
    int64_t i;
    if (count < 0 || count >= 0xffff) return CEL_ERR_ARG;
    for (i = 0; i < count; i++) {
        if (strlen(member[i].name) > 60000 || !celi_npy_valid(&member[i].array)) return CEL_ERR_ARG;
        total += (uint64_t)member[i].array.count * (uint64_t)member[i].array.bytes + 2 * strlen(member[i].name) + 2048;
        if (total >= 0xffffffffu) return CEL_ERR_ARG;
    }
    entry = (celi_zip_entry *)celi_alloc((size_t)count, sizeof *entry);
    if (!entry) return CEL_ERR_MEMORY;
    celi_crc_table(table);
    for (i = 0; i < count && !s->failed; i++) {
        const char *name = member[i].name;
        memset(&npy, 0, sizeof npy);
        npy.table = table;
        celi_put_npy(&npy, &member[i].array);
        entry[i].crc = npy.crc;
        entry[i].size = npy.size;
        entry[i].local = s->size;
        entry[i].name_length = strlen(name);
        for (k = 0; name[k]; k++)
            if ((unsigned char)name[k] > 127) entry[i].flags = 0x800; /* the name is UTF-8 */
        celi_put_zip(s, name, entry + i, 1);
        celi_put_npy(s, &member[i].array);
    }
    directory = s->size;
    for (i = 0; i < count && !s->failed; i++) celi_put_zip(s, member[i].name, entry + i, 0);
    total = s->size - directory;
    celi_put(s, "PK\5\6\0\0\0", 8);
    celi_put_int(s, (uint64_t)count, 2);
    celi_put_int(s, (uint64_t)count, 2);
    celi_put_int(s, total, 4);
    celi_put_int(s, directory, 4);
    celi_put_int(s, 0, 2);
    celi_free(entry);
    return CEL_OK;
}

CEL_API_DEF cel_status cel_npz_encode(const cel_npz_member *member, int64_t count, void *buffer, size_t capacity,
                                      size_t *size)
{
    celi_sink s;
    cel_status status;
    *size = 0;
    memset(&s, 0, sizeof s);
    s.buffer = (unsigned char *)buffer;
    s.capacity = capacity;
    status = celi_put_npz(&s, member, count);
    if (status == CEL_OK && s.failed) status = CEL_ERR_ARG;
    if (status == CEL_OK) *size = s.size;
    return status;
}

/* ---- lists of names ---- */

CEL_API_DEF cel_status cel_text_parse(const void *bytes, size_t size, char ***lines, int64_t *count, cel_error *err)
{
    const char *p = (const char *)bytes;
    size_t n = 0, i, start;
    char **list, *text;
    *lines = NULL;
    *count = 0;
    if (size >= 3 && memcmp(p, "\xEF\xBB\xBF", 3) == 0) {
        p += 3;
        size -= 3;
    }
    for (i = 0; i < size; i++) {
        if (p[i] == 0)
            return celi_malformed(err, "a text with a NUL byte", (int64_t)n + 1);
        n += p[i] == '\n';
    }
    if (size && p[size - 1] != '\n') n++;
    if (n > (SIZE_MAX - size) / (sizeof *list + 1) - 1) return celi_no_memory(err);
    list = (char **)celi_alloc((n + 1) * sizeof *list + size + n, 1);
    if (!list) return celi_no_memory(err);
    text = (char *)(list + n + 1);
    for (n = 0, start = 0; start < size; start = i + 1) {
        size_t end;
        for (i = start; i < size && p[i] != '\n'; i++) {}
        end = i > start && p[i - 1] == '\r' ? i - 1 : i;
        memcpy(text, p + start, end - start);
        list[n++] = text;
        text += end - start + 1;
    }
    *lines = list;
    *count = (int64_t)n;
    return CEL_OK;
}

CEL_API_DEF void cel_npy_free(void *p) { celi_free(p); }

/* ---- the disk ---- */

#if !defined(CELCOMEN_NO_STDIO)

/* All bytes from here to the end of a stream, whether or not its length can be asked for. */
static cel_status celi_file_read(FILE *f, cel_file *out, cel_error *err)
{
    long hint = fseek(f, 0, SEEK_END) == 0 ? ftell(f) : -1;
    size_t capacity = hint > 0 ? (size_t)hint + 1 : 65536, size = 0, n;
    char *p;
    if (hint >= 0 && fseek(f, 0, SEEK_SET) != 0)
        return celi_fail(err, CEL_ERR_IO, "the file cannot be read", -1, -1, -1);
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
    if (!p) return celi_no_memory(err);
    if (ferror(f)) {
        celi_free(p);
        return celi_fail(err, CEL_ERR_IO, "the file cannot be read", (int64_t)size, -1, -1);
    }
    out->bytes = p;
    out->size = size;
    return CEL_OK;
}

CEL_API_DEF cel_status cel_file_open(const char *path, int map, cel_file *out, cel_error *err)
{
    cel_status status;
    FILE *f;
    memset(out, 0, sizeof *out);
#if CELI_MMAP
    if (map) {
        int fd = open(path, O_RDONLY);
        struct stat info;
        if (fd >= 0) {
            if (fstat(fd, &info) == 0 && S_ISREG(info.st_mode) && info.st_size > 0 &&
                (uint64_t)info.st_size <= (uint64_t)PTRDIFF_MAX) {
                void *p = mmap(NULL, (size_t)info.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
                if (p != MAP_FAILED) {
                    out->bytes = p;
                    out->size = (size_t)info.st_size;
                    out->mapped = 1;
                }
            }
            (void)close(fd);
        }
        if (out->mapped) return CEL_OK;
    }
#else
    (void)map;
#endif
    f = fopen(path, "rb");
    if (!f) return celi_fail(err, CEL_ERR_IO, "the file cannot be opened", -1, -1, -1);
    status = celi_file_read(f, out, err);
    (void)fclose(f);
    return status;
}

CEL_API_DEF void cel_file_close(cel_file *file)
{
    void *p;
    memcpy(&p, &file->bytes, sizeof p);
#if CELI_MMAP
    if (file->mapped) (void)munmap(p, file->size);
    else celi_free(p);
#else
    celi_free(p);
#endif
    memset(file, 0, sizeof *file);
}

/* The file's one array, with nothing after it. Close the file after success. */
static cel_status celi_npy_open(const char *path, cel_file *file, cel_npy *a, cel_error *err)
{
    cel_status status = cel_file_open(path, 0, file, err);
    if (status) return status;
    status = cel_npy_parse(file->bytes, file->size, a, err);
    if (status == CEL_OK && a->trailing)
        status = celi_malformed(err, "the file goes on after its data", a->offset + a->count * a->bytes);
    if (status) cel_file_close(file);
    return status;
}

CEL_API_DEF cel_status cel_npy_matrix(const char *path, cel_mat *out, cel_error *err)
{
    cel_file file;
    cel_npy a;
    cel_status status;
    memset(out, 0, sizeof *out);
    status = celi_npy_open(path, &file, &a, err);
    if (status) return status;
    if (a.ndim != 2) {
        status = celi_fail(err, CEL_ERR_SHAPE, "the array has not two dimensions", a.offset, -1, -1);
    } else {
        status = cel_mat_new(a.shape[0], a.shape[1], out);
        if (status) (void)celi_fail(err, status, "out of memory for the matrix", -1, -1, -1);
        else status = cel_npy_to_real(&a, out->data, err);
    }
    cel_file_close(&file);
    return status;
}

CEL_API_DEF cel_status cel_npy_integers(const char *path, int64_t **data, int64_t *rows, int64_t *cols, cel_error *err)
{
    cel_file file;
    cel_npy a;
    cel_status status;
    *data = NULL;
    *rows = *cols = 0;
    status = celi_npy_open(path, &file, &a, err);
    if (status) return status;
    if (a.ndim != 1 && a.ndim != 2) {
        status = celi_fail(err, CEL_ERR_SHAPE, "the array has neither one dimension nor two", a.offset, -1, -1);
    } else {
        int64_t *p = (int64_t *)celi_alloc((size_t)a.count, sizeof *p);
        status = p ? cel_npy_to_int64(&a, p, err) : celi_no_memory(err);
        if (status) {
            celi_free(p);
        } else {
            *data = p;
            *rows = a.shape[0];
            *cols = a.ndim == 2 ? a.shape[1] : 1;
        }
    }
    cel_file_close(&file);
    return status;
}

CEL_API_DEF cel_status cel_npz_csr(const char *path, cel_csr *out, cel_error *err)
{
    cel_file file;
    cel_npz z;
    cel_status status;
    memset(out, 0, sizeof *out);
    status = cel_file_open(path, 0, &file, err);
    if (status) return status;
    status = cel_npz_parse(file.bytes, file.size, &z, err);
    if (status == CEL_OK) status = cel_npz_to_csr(&z, out, err);
    cel_file_close(&file);
    return status;
}

CEL_API_DEF cel_status cel_text_lines(const char *path, char ***lines, int64_t *count, cel_error *err)
{
    cel_file file;
    cel_status status;
    *lines = NULL;
    *count = 0;
    status = cel_file_open(path, 0, &file, err);
    if (status) return status;
    status = cel_text_parse(file.bytes, file.size, lines, count, err);
    cel_file_close(&file);
    return status;
}

/* A sink that writes beside `path`, under a name that nobody else uses; celi_file_finish puts it in place. */
static cel_status celi_file_begin(celi_sink *s, const char *path, char **temporary, cel_error *err)
{
    size_t n = strlen(path);
    int k;
    memset(s, 0, sizeof *s);
    *temporary = (char *)celi_alloc(n + 8, 1);
    if (!*temporary) return celi_no_memory(err);
    memcpy(*temporary, path, n);
    for (k = 0; k < 100 && !s->file; k++) {
        memcpy(*temporary + n, ".tmp", 4);
        (*temporary)[n + 4] = (char)('0' + k / 10);
        (*temporary)[n + 5] = (char)('0' + k % 10);
        s->file = fopen(*temporary, "wbx");
    }
    if (s->file) return CEL_OK;
    celi_free(*temporary);
    return celi_fail(err, CEL_ERR_IO, "no file can be created in that folder", -1, -1, -1);
}

static cel_status celi_file_finish(celi_sink *s, const char *path, char *temporary, cel_status status, cel_error *err)
{
    if (fclose(s->file) != 0) s->failed = 1;
    if (status) (void)celi_fail(err, status, "the arrays cannot be written as described", -1, -1, -1);
    else if (s->failed) status = celi_fail(err, CEL_ERR_IO, "the file cannot be written", (int64_t)s->size, -1, -1);
#if defined(_WIN32)
    if (!status) (void)remove(path); /* rename does not replace there */
#endif
    if (!status && rename(temporary, path) != 0)
        status = celi_fail(err, CEL_ERR_IO, "the file cannot be put in place", -1, -1, -1);
    if (status) (void)remove(temporary);
    celi_free(temporary);
    return status;
}

CEL_API_DEF cel_status cel_file_write(const char *path, const void *bytes, size_t size, cel_error *err)
{
    celi_sink s;
    char *temporary;
    cel_status status = celi_file_begin(&s, path, &temporary, err);
    if (status) return status;
    celi_put(&s, bytes, size);
    return celi_file_finish(&s, path, temporary, CEL_OK, err);
}

CEL_API_DEF cel_status cel_npy_write(const char *path, const cel_npy *a, cel_error *err)
{
    celi_sink s;
    char *temporary;
    cel_status status;
    if (!celi_npy_valid(a)) return celi_fail(err, CEL_ERR_ARG, "the array cannot be written as described", -1, -1, -1);
    status = celi_file_begin(&s, path, &temporary, err);
    if (status) return status;
    celi_put_npy(&s, a);
    return celi_file_finish(&s, path, temporary, CEL_OK, err);
}

CEL_API_DEF cel_status cel_npy_write_matrix(const char *path, cel_mat a, cel_error *err)
{
    int64_t shape[2];
    cel_mat copy;
    cel_npy described;
    cel_status status;
    memset(&copy, 0, sizeof copy);
    if (a.stride != a.cols && a.rows > 1) {
        status = cel_mat_new(a.rows, a.cols, &copy);
        if (status) return celi_fail(err, status, "out of memory", -1, -1, -1);
        (void)cel_mat_copy(a, copy);
        a = copy;
    }
    shape[0] = a.rows;
    shape[1] = a.cols;
    described = cel_npy_describe('f', (int)sizeof(cel_real), 2, shape, a.data);
    status = cel_npy_write(path, &described, err);
    cel_mat_free(&copy);
    return status;
}

CEL_API_DEF cel_status cel_npz_write(const char *path, const cel_npz_member *member, int64_t count, cel_error *err)
{
    celi_sink s;
    char *temporary;
    cel_status status = celi_file_begin(&s, path, &temporary, err);
    if (status) return status;
    status = celi_put_npz(&s, member, count);
    return celi_file_finish(&s, path, temporary, status, err);
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
    CELI_OMP(omp parallel for schedule(static) reduction(min : first))
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
    CELI_OMP(omp parallel for schedule(static))
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
    CELI_OMP(omp parallel for schedule(static) reduction(+ : none) reduction(min : first))
    for (i = 0; i < x.rows; i++) {
        cel_real *row = x.data + i * x.stride;
        double length = cel_nrm2(x.cols, row);
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

/* Quickselect: afterwards the points [low, middle) come before those of [middle, high). The pivot is the
 * median of three pseudo-random ones, so that no usual order of points is slow. */
static void celi_select(celi_point *point, int64_t low, int64_t middle, int64_t high, int dim)
{
    uint64_t state = 1;
    if (middle <= low || middle >= high) return;
    while (high - low > 1) {
        celi_point pivot, three[3], swap;
        int64_t i = low, j = high - 1;
        int t;
        for (t = 0; t < 3; t++) {
            state = state * 6364136223846793005u + 1442695040888963407u;
            three[t] = point[low + (int64_t)((state >> 33) % (uint64_t)(high - low))];
        }
        t = celi_before(&three[0], &three[1], dim);
        pivot = t ? three[1] : three[0];
        if (!celi_before(&pivot, &three[2], dim)) {
            pivot = t ? three[0] : three[1];
            if (celi_before(&pivot, &three[2], dim)) pivot = three[2];
        }
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
    double low = mean[0], high = mean[0], step, centre[BINS], spread[BINS];
    int64_t j, count[BINS];
    int b, pass;
    for (j = 1; j < genes; j++) {
        if (mean[j] < low) low = mean[j];
        if (mean[j] > high) high = mean[j];
    }
    step = (high - low) / (double)BINS;
    for (b = 0; b < BINS; b++) {
        centre[b] = spread[b] = 0;
        count[b] = 0;
    }
    for (pass = 0; pass < 3; pass++) {
        for (j = 0; j < genes; j++) {
            if (!(dispersion[j] >= -DBL_MAX)) continue;
            b = 0;
            while (b < BINS - 1 && mean[j] > low + (b + 1) * step) b++;
            if (pass == 0) {
                centre[b] += dispersion[j];
                count[b]++;
            } else if (pass == 1) {
                spread[b] += (dispersion[j] - centre[b]) * (dispersion[j] - centre[b]);
            } else if (count[b] == 1) {
                dispersion[j] = 1;
            } else {
                dispersion[j] = spread[b] > 0 ? (dispersion[j] - centre[b]) / spread[b] : 0;
            }
        }
        for (b = 0; b < BINS; b++) {
            if (pass == 0 && count[b]) centre[b] /= (double)count[b];
            if (pass == 1 && count[b] > 1) spread[b] = sqrt(spread[b] / (double)(count[b] - 1));
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
        CELI_OMP(omp parallel for schedule(static))
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

CEL_API_DEF cel_status cel_slide_groups(const int32_t *label, int64_t count, int64_t groups, int64_t *start,
                                        int32_t *list, cel_error *err)
{
    int64_t i;
    if (groups < 0 || count < 0 || count > INT32_MAX)
        return celi_fail(err, CEL_ERR_ARG, "the number of groups or cells is out of range", -1, -1, -1);
    memset(start, 0, (size_t)(groups + 1) * sizeof *start);
    for (i = 0; i < count; i++)
        if (label[i] < 0 || label[i] >= groups) {
            memset(start, 0, (size_t)(groups + 1) * sizeof *start);
            return celi_fail(err, CEL_ERR_ARG, "a label is out of range", -1, i, -1);
        } else {
            start[label[i] + 1]++;
        }
    celi_csr_offsets(groups, start);
    for (i = 0; i < count; i++) list[start[label[i]]++] = (int32_t)i;
    celi_csr_rewind(groups, start);
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
 * and box are there once celi_slides_trees was called. */
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

static cel_status celi_slides_new(cel_mat coords, const int32_t *slide, celi_slides *out, cel_error *err)
{
    int64_t i, j, cells = coords.rows;
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
    if (!out->point || !out->start) {
        celi_slides_free(out);
        return celi_fail(err, CEL_ERR_MEMORY, "a neighbour graph", -1, -1, -1);
    }
    for (i = 0; i < cells; i++) out->start[slide ? slide[i] + 1 : 1]++;
    celi_csr_offsets(out->slides, out->start);
    for (i = 0; i < cells; i++) {
        celi_point *p = out->point + out->start[slide ? slide[i] : 0]++;
        for (j = 0; j < coords.cols; j++) p->p[j] = (double)coords.data[i * coords.stride + j];
        p->cell = (int32_t)i;
    }
    celi_csr_rewind(out->slides, out->start);
    return CEL_OK;
}

enum { CELI_LEAF = 16 };

static int celi_tree_depth(int64_t count)
{
    int depth = 0;
    while ((count - 1) >> depth >= CELI_LEAF) depth++;
    return depth;
}

static void celi_tree_node(celi_tree *t, int level, int64_t j)
{
    int64_t i, from = t->count * j >> level, to = t->count * (j + 1) >> level;
    celi_box *box = t->box + ((int64_t)1 << level) - 1 + j;
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
    if (level < t->depth) celi_select(t->point, from, t->count * (2 * j + 1) >> (level + 1), to, widest);
}

/* Builds a tree for every slide, level by level; the points of a slide end in the order of its leaves. */
static cel_status celi_slides_trees(celi_slides *s, cel_error *err)
{
    int64_t g, j, boxes = 0;
    int level;
    for (g = 0; g < s->slides; g++) boxes += (int64_t)2 << celi_tree_depth(s->start[g + 1] - s->start[g]);
    s->tree = (celi_tree *)celi_alloc((size_t)s->slides, sizeof *s->tree);
    s->box = (celi_box *)celi_alloc((size_t)boxes, sizeof *s->box);
    if (!s->tree || !s->box) return celi_fail(err, CEL_ERR_MEMORY, "a neighbour graph", -1, -1, -1);
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

/* The squared distance between the nearest places of two boxes, and of a box and a point, never above that
 * of two points in them: every step is monotone in floating point as well. */
static double celi_box_gap(const celi_box *a, const celi_box *b)
{
    double d[3];
    int c;
    for (c = 0; c < 3; c++) {
        double below = a->low[c] - b->high[c], above = b->low[c] - a->high[c];
        d[c] = below > above ? below : above;
        d[c] = d[c] > 0 ? d[c] : 0;
    }
    return d[0] * d[0] + d[1] * d[1] + d[2] * d[2];
}

static double celi_box_near(const celi_box *box, const double *p)
{
    double d[3];
    int c;
    for (c = 0; c < 3; c++) {
        double below = box->low[c] - p[c], above = p[c] - box->high[c];
        d[c] = below > above ? below : above;
        d[c] = d[c] > 0 ? d[c] : 0;
    }
    return d[0] * d[0] + d[1] * d[1] + d[2] * d[2];
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

/* The k best so far: a heap with the worst on top, filled at first with places that anything beats. */
typedef struct celi_found {
    double distance;
    int32_t cell;
} celi_found;

static int celi_worse(double da, int32_t a, double db, int32_t b)
{
    if (da > db) return 1;
    if (da < db) return 0;
    return a > b;
}

static void celi_replace_top(celi_found *heap, int64_t k, double distance, int32_t cell)
{
    int64_t at = 0, child;
    while ((child = 2 * at + 1) < k) {
        if (child + 1 < k && celi_worse(heap[child + 1].distance, heap[child + 1].cell, heap[child].distance,
                                        heap[child].cell))
            child++;
        if (!celi_worse(heap[child].distance, heap[child].cell, distance, cell)) break;
        heap[at] = heap[child];
        at = child;
    }
    heap[at].distance = distance;
    heap[at].cell = cell;
}

/* The cells of one leaf search together, so that they share the way through the tree: points from..to-1 with
 * a heap of k each; bound is the worst of the heaps' tops. */
typedef struct celi_search {
    const celi_tree *tree;
    const celi_box *own;
    int64_t from, to, k;
    celi_found *heap;
    celi_found bound;
} celi_search;

static void celi_nearest_scan(celi_search *s, const celi_box *box, int64_t from, int64_t to)
{
    celi_found *heap = s->heap;
    int64_t i, q;
    for (q = s->from; q < s->to; q++, heap += s->k) {
        const celi_point *p = s->tree->point + q;
        if (!celi_worse(heap->distance, heap->cell, celi_box_near(box, p->p), box->first)) continue;
        for (i = from; i < to; i++) {
            const celi_point *other = s->tree->point + i;
            double d = celi_distance2(p->p, other->p);
            if (!(d > heap->distance) && i != q && celi_worse(heap->distance, heap->cell, d, other->cell))
                celi_replace_top(heap, s->k, d, other->cell);
        }
    }
    s->bound = *s->heap;
    for (q = s->from + 1, heap = s->heap + s->k; q < s->to; q++, heap += s->k)
        if (celi_worse(heap->distance, heap->cell, s->bound.distance, s->bound.cell)) s->bound = *heap;
}

static void celi_nearest_in(celi_search *s, int level, int64_t j)
{
    const celi_tree *t = s->tree;
    if (level == t->depth) {
        celi_nearest_scan(s, t->box + ((int64_t)1 << level) - 1 + j, t->count * j >> level,
                          t->count * (j + 1) >> level);
    } else {
        const celi_box *a = t->box + ((int64_t)2 << level) - 1 + 2 * j, *b = a + 1;
        double da = celi_box_gap(a, s->own), db = celi_box_gap(b, s->own);
        int turn, second = celi_worse(da, a->first, db, b->first);
        for (turn = 0; turn < 2; turn++, second = !second)
            if (celi_worse(s->bound.distance, s->bound.cell, second ? db : da, second ? b->first : a->first))
                celi_nearest_in(s, level + 1, 2 * j + second);
    }
}

/* The k nearest of every point of a leaf, from the leaf upwards: each ancestor's other half. */
static void celi_nearest_leaf(const celi_tree *t, int64_t leaf, celi_found *heap, int64_t k, cel_csr *out)
{
    celi_search s;
    int64_t i, n, j = leaf;
    int level;
    s.tree = t;
    s.own = t->box + ((int64_t)1 << t->depth) - 1 + leaf;
    s.from = t->count * leaf >> t->depth;
    s.to = t->count * (leaf + 1) >> t->depth;
    s.k = k;
    s.heap = heap;
    for (n = 0; n < k * (s.to - s.from); n++) {
        heap[n].distance = HUGE_VAL;
        heap[n].cell = INT32_MAX;
    }
    celi_nearest_in(&s, t->depth, leaf);
    for (level = t->depth; level > 0; level--, j >>= 1) {
        const celi_box *box = t->box + ((int64_t)1 << level) - 1 + (j ^ 1);
        if (celi_worse(s.bound.distance, s.bound.cell, celi_box_gap(box, s.own), box->first))
            celi_nearest_in(&s, level, j ^ 1);
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
    int64_t i, n = 0, to = t->count * (j + 1) >> level;
    const celi_box *box = t->box + ((int64_t)1 << level) - 1 + j;
    double reach = celi_box_far(box, p);
    if (!(celi_box_near(box, p) < outer2) || reach < inner2 || !(reach > 0)) return 0;
    if (level < t->depth) {
        n = celi_within(t, level + 1, 2 * j, p, inner2, outer2, out);
        return n + celi_within(t, level + 1, 2 * j + 1, p, inner2, outer2, out ? out + n : NULL);
    }
    for (i = t->count * j >> level; i < to; i++) {
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
    status = celi_slides_new(coords, slide, &s, err);
    for (g = 0; !status && g < s.slides; g++) {
        int64_t n = s.start[g + 1] - s.start[g], degree = k < n ? k : n - 1;
        if (n > 0 && degree < k && !fewer)
            status = celi_fail(err, CEL_ERR_DATA, "a slide has no more than k cells", -1, s.point[s.start[g]].cell, -1);
        if (n > 0) count += n * degree;
        if (degree > most) most = degree;
    }
    if (!status) status = celi_slides_trees(&s, err);
    if (!status && most) {
        heap = (celi_found *)celi_alloc((size_t)most * CHUNKS * CELI_LEAF, sizeof *heap);
        if (!heap) status = celi_fail(err, CEL_ERR_MEMORY, "a neighbour graph", -1, -1, -1);
    }
    if (!status) {
        status = celi_csr_new(coords.rows, coords.rows, count, out);
        if (status) celi_fail(err, status, "a neighbour graph", -1, -1, -1);
    }
    for (g = 0; !status && g < s.slides; g++) {
        int64_t n = s.start[g + 1] - s.start[g];
        for (i = s.start[g]; i < s.start[g + 1]; i++) out->start[s.point[i].cell + 1] = k < n ? k : n - 1;
    }
    if (!status) celi_csr_offsets(out->rows, out->start);
    for (g = 0; !status && g < s.slides; g++) {
        const celi_tree *t = s.tree + g;
        int64_t degree = k < t->count ? k : t->count - 1;
        if (degree < 1) continue;
        CELI_OMP(omp parallel for schedule(dynamic) if (t->count > 4096))
        for (chunk = 0; chunk < CHUNKS; chunk++) {
            int64_t leaf, to = ((int64_t)1 << t->depth) * (chunk + 1) / CHUNKS;
            for (leaf = ((int64_t)1 << t->depth) * chunk / CHUNKS; leaf < to; leaf++)
                celi_nearest_leaf(t, leaf, heap + most * chunk * CELI_LEAF, degree, out);
        }
    }
    for (i = 0; !status && i < count; i++) out->value[i] = 1;
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
    status = celi_slides_new(coords, slide, &s, err);
    if (!status) status = celi_slides_trees(&s, err);
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
    if (status == CEL_ERR_MEMORY) celi_fail(err, status, "a neighbour graph", -1, -1, -1);
    for (i = 0; !status && i < out->start[out->rows]; i++) out->value[i] = 1;
    cel_csr_free(&a);
    celi_slides_free(&s);
    return status;
}

CEL_API_DEF cel_status cel_graph_order(cel_mat coords, const int32_t *slide, int32_t *order, cel_error *err)
{
    celi_slides s;
    int64_t i;
    cel_status status = celi_slides_new(coords, slide, &s, err);
    if (!status) status = celi_slides_trees(&s, err);
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
    status = celi_csr_new(graph->rows, graph->cols, n, out);
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

CEL_API_DEF cel_status cel_slide_tiles(cel_mat coords, const int32_t *slide, int64_t per_side, int32_t *tile,
                                       int64_t *tiles, cel_error *err)
{
    celi_slides s;
    int64_t g, i, a, b, made = 0;
    cel_status status;
    *tiles = 0;
    memset(tile, 0, (size_t)coords.rows * sizeof *tile);
    if (per_side < 1 || per_side > 46340) return celi_fail(err, CEL_ERR_ARG, "tiles per side", -1, -1, -1);
    status = celi_slides_new(coords, slide, &s, err);
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
    if (with_field) {
        out->field = (cel_real *)celi_alloc((size_t)genes, sizeof(cel_real));
        if (!out->field) {
            cel_model_free(out);
            return CEL_ERR_MEMORY;
        }
    }
    return CEL_OK;
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
    view.start += first;
    view.rows = count;
    return view;
}

/* CEL_OK where every relation is square and of as many cells as X. */
static cel_status celi_relation_check(const cel_relation *relation, int64_t relations, int64_t cells)
{
    int64_t r;
    for (r = 0; r < relations; r++) {
        const cel_csr *w = relation[r].w, *wt = relation[r].wt;
        if (w && (w->rows != cells || w->cols != cells)) return CEL_ERR_SHAPE;
        if (wt && (!w || wt->rows != cells || wt->cols != cells)) return CEL_ERR_SHAPE;
    }
    return CEL_OK;
}

/* Cells at a time in the sums over cells: the scratch stays in cache. */
#define CELI_MODEL_BLOCK 1024

/* <A, B>, every row in double by one thread, rows added in their order. sums (rows of a). */
static double celi_rows_dot(cel_mat a, cel_mat b, double *sums)
{
    double total = 0;
    int64_t i;
    CELI_OMP(omp parallel for schedule(static))
    for (i = 0; i < a.rows; i++) sums[i] = cel_dot(a.cols, a.data + i * a.stride, b.data + i * b.stride);
    for (i = 0; i < a.rows; i++) total += sums[i];
    return total;
}

/* One block of cells of one relation: its share of H, and its part of the gradient (or data NULL). With
 * N = W X and W symmetric, N (F + F^T) is the gradient and half its product with X the energy: one
 * product; `both` holds F + F^T. Else N F^T and (W^T X) F are taken in turn. */
static cel_status celi_model_block(cel_mat force, cel_mat both, const cel_relation *relation, cel_mat x, int64_t first,
                                   cel_mat n, cel_mat t, double *sums, double *share, cel_mat gradient, cel_work *work)
{
    cel_mat here = cel_mat_block(x, first, 0, n.rows, x.cols), side = here;
    cel_status status = CEL_OK;
    if (relation->w) {
        cel_csr w = celi_csr_rows(relation->w, first, n.rows);
        status = cel_csr_mul(1, &w, x, 0, n);
        side = n;
    }
    if (!status) status = cel_mat_gemm(0, !both.data, 1, side, both.data ? both : force, 0, t, work);
    if (status) return status;
    *share += (both.data ? 0.5 : 1.0) * celi_rows_dot(here, t, sums);
    if (!gradient.data) return CEL_OK;
    cel_mat_axpy(1, t, gradient);
    if (relation->wt) {
        cel_csr wt = celi_csr_rows(relation->wt, first, n.rows);
        status = cel_csr_mul(1, &wt, x, 0, n);
        if (!status) status = cel_mat_gemm(0, 0, 1, n, force, 1, gradient, work);
    }
    return status;
}

CEL_API_DEF cel_status cel_model_energy(const cel_model *m, const cel_relation *relation, cel_mat x, double *h,
                                        double *energy, cel_mat gradient, cel_work *work)
{
    int64_t genes = m->genes, block = x.rows < CELI_MODEL_BLOCK ? x.rows : CELI_MODEL_BLOCK, first, r, i;
    int64_t forces = gradient.data ? m->relations : 0;
    cel_status status = celi_relation_check(relation, m->relations, x.rows);
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
        if (gradient.data) {
            g = cel_mat_block(gradient, first, 0, count, genes);
            cel_mat_fill(g, 0);
        }
        for (r = 0; r < m->relations && !status; r++) {
            cel_mat pair = forces && !relation[r].wt ? cel_mat_block(both, r * genes, 0, genes, genes) : none;
            status = celi_model_block(cel_model_force(m, r), pair, relation + r, x, first, n, t, sums,
                                      sums + block + r, g, celi_work_inner(work));
        }
        for (i = 0; i < count && m->field; i++) {
            sums[block + m->relations] += cel_dot(genes, m->field, x.data + (first + i) * x.stride);
            if (g.data) cel_axpy(genes, 1, m->field, g.data + i * g.stride);
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
    if (mean) memset(mean, 0, (size_t)n * sizeof *mean);
    if (square) memset(square, 0, (size_t)n * sizeof *square);
    if (n < 2) return CEL_ERR_ARG;
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
#define CELI_AM(i, out)                                                                                                \
    for (out = 0, j = 0; j < n; j++)                                                                                   \
        out += mean[j] *                                                                                               \
               ((double)intra.data[(i) * intra.stride + j] + q / 2 * (double)inter.data[(i) * inter.stride + j])
    for (i = 0; i < n; i++) {
        double a;
        CELI_AM(i, a);
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
        double a, by_a;
        CELI_AM(i, a);
        /* dlog Z / dA_ij = S (2 s u_i - m_i) m_j with u = 2 A m, s = f'(k) / k. */
        by_a = count * (4 * s * a - mean[i]);
        for (j = 0; j < n; j++) {
            double force = (double)intra.data[i * intra.stride + j] + q / 2 * (double)inter.data[i * inter.stride + j];
            if (d_intra.data) d_intra.data[i * d_intra.stride + j] = (cel_real)(by_a * mean[j]);
            if (d_inter.data) d_inter.data[i * d_inter.stride + j] = (cel_real)(by_a * q / 2 * mean[j]);
            if (d_mean) d_mean[j] += by_a * force;
        }
        if (d_mean) d_mean[i] -= count * a;
    }
#undef CELI_AM
    return CEL_OK;
}

/* ======================================================================== */
/* moments                                                                  */
/* ======================================================================== */

CEL_API_DEF int64_t cel_moments_blocks(const cel_relation *relation, int64_t relations)
{
    int64_t r, blocks = 1;
    for (r = 0; r < relations; r++) blocks += (relation[r].w != NULL) + (relation[r].wt != NULL);
    return blocks;
}

/* The side of the gram matrix. */
static int64_t celi_moments_side(const cel_moments *m) { return m->blocks * m->genes + 1; }

CEL_API_DEF cel_status cel_moments_new(int64_t genes, int64_t blocks, cel_moments *out)
{
    int64_t side;
    memset(out, 0, sizeof *out);
    if (genes < 1 || blocks < 1) return CEL_ERR_ARG;
    if (blocks > INT32_MAX / genes) return CEL_ERR_MEMORY;
    side = blocks * genes + 1;
    out->gram = (double *)celi_alloc((size_t)side * (size_t)side, sizeof(double));
    if (!out->gram) return CEL_ERR_MEMORY;
    out->genes = genes;
    out->blocks = blocks;
    return CEL_OK;
}

CEL_API_DEF void cel_moments_free(cel_moments *m)
{
    celi_free(m->gram);
    memset(m, 0, sizeof *m);
}

/* Rows of B at a time, few enough to stay in cache, and how many such blocks are summed in cel_real before
 * they go to the double sums: enough that this costs little beside the products. The kernels sum 256 terms
 * at a time, so 4096 rows lose less than 1e-5 even where all roundings agree. */
#define CELI_MOMENTS_BLOCK 1024
#define CELI_MOMENTS_FLUSH 4

/* Rows first .. first + count of B into b: of cells list[..], or of all in turn. */
static cel_status celi_moments_rows(const cel_relation *relation, int64_t relations, cel_mat x, const int32_t *list,
                                    int64_t first, int64_t count, cel_mat b)
{
    int64_t genes = x.cols, r, side, i, col = genes;
    cel_status status = CEL_OK;
    CELI_OMP(omp parallel for schedule(static))
    for (i = 0; i < count; i++) {
        cel_real *row = b.data + i * b.stride;
        memcpy(row, x.data + (list ? list[first + i] : first + i) * x.stride, (size_t)genes * sizeof(cel_real));
        row[b.cols - 1] = (cel_real)0.5;
    }
    for (r = 0; r < relations; r++)
        for (side = 0; side < 2 && !status; side++) {
            const cel_csr *w = side ? relation[r].wt : relation[r].w;
            cel_mat to = cel_mat_block(b, 0, col, count, genes);
            if (!w) continue;
            if (list) {
                status = cel_csr_mul_rows(1, w, list + first, count, x, 0, to);
            } else {
                cel_csr rows = celi_csr_rows(w, first, count);
                status = cel_csr_mul(1, &rows, x, 0, to);
            }
            col += genes;
        }
    return status;
}

/* The lower triangle of product into the gram's. */
static void celi_moments_flush(cel_moments *m, cel_mat product)
{
    int64_t side = celi_moments_side(m), i;
    CELI_OMP(omp parallel for schedule(dynamic, 16))
    for (i = 0; i < product.rows; i++) {
        const cel_real *from = product.data + i * product.stride;
        double *to = m->gram + i * side;
        int64_t j;
        for (j = 0; j <= i; j++) to[j] += (double)from[j];
    }
}

CEL_API_DEF cel_status cel_moments_add(cel_moments *m, const cel_relation *relation, int64_t relations, cel_mat x,
                                       const int32_t *list, int64_t count, cel_work *work)
{
    int64_t side = celi_moments_side(m), stride = (side + 15) / 16 * 16, block, first, i, j, held = 0;
    cel_status status = celi_relation_check(relation, relations, x.rows);
    cel_work temporary;
    cel_mat b, product;
    if (!list) count = x.rows;
    if (x.cols != m->genes || m->blocks != cel_moments_blocks(relation, relations)) status = CEL_ERR_SHAPE;
    for (i = 0; i < count && list && !status; i++)
        if (list[i] < 0 || list[i] >= x.rows) status = CEL_ERR_ARG;
    if (status) return status;
    memset(&temporary, 0, sizeof temporary);
    if (!work) work = &temporary;
    block = count < CELI_MOMENTS_BLOCK ? count : CELI_MOMENTS_BLOCK;
    product.data = (cel_real *)cel_work_get(work, (size_t)((side + block) * stride) * sizeof(cel_real));
    if (!product.data) return CEL_ERR_MEMORY;
    product.rows = product.cols = b.cols = side;
    product.stride = b.stride = stride;
    b.data = product.data + side * stride;
    for (first = 0; first < count && !status; first += b.rows) {
        b.rows = count - first < block ? count - first : block;
        status = celi_moments_rows(relation, relations, x, list, first, b.rows, b);
        if (!status) status = cel_mat_syrk(1, 1, b, held ? 1 : 0, product, celi_work_inner(work));
        if (status) break;
        if (++held == CELI_MOMENTS_FLUSH || first + b.rows == count) {
            celi_moments_flush(m, product);
            held = 0;
        }
        m->cells += b.rows;
    }
    for (i = 0; i < side; i++)
        for (j = i + 1; j < side; j++) m->gram[i * side + j] = m->gram[j * side + i];
    cel_work_free(&temporary);
    return status;
}

CEL_API_DEF cel_status cel_moments_add_by_label(cel_moments *m, int64_t labels, const int32_t *label,
                                                const cel_relation *relation, int64_t relations, cel_mat x,
                                                cel_work *work)
{
    int64_t i, l, *start;
    int32_t *list;
    cel_work temporary;
    cel_status status = CEL_OK;
    memset(&temporary, 0, sizeof temporary);
    for (l = 0; l < labels; l++)
        if (m[l].genes != x.cols || m[l].blocks != cel_moments_blocks(relation, relations)) return CEL_ERR_SHAPE;
    for (i = 0; i < x.rows; i++)
        if (label[i] >= labels) return CEL_ERR_ARG;
    if (!work) work = &temporary;
    start = (int64_t *)cel_work_get(work, (size_t)(labels + 1) * sizeof *start + (size_t)x.rows * sizeof *list);
    if (!start) return CEL_ERR_MEMORY;
    list = (int32_t *)(start + labels + 1);
    /* The cells by label, in their order: start[l + 1] counts, then moves from the start to the end of l. */
    memset(start, 0, (size_t)(labels + 1) * sizeof *start);
    for (i = 0; i < x.rows; i++)
        if (label[i] >= 0) start[label[i] + 1]++;
    for (l = 0; l < labels; l++) start[l + 1] += start[l];
    for (i = 0; i < x.rows; i++)
        if (label[i] >= 0) list[start[label[i]]++] = (int32_t)i;
    for (l = 0; l < labels && !status; l++) {
        int64_t from = l ? start[l - 1] : 0;
        status = cel_moments_add(m + l, relation, relations, x, list + from, start[l] - from, celi_work_inner(work));
    }
    cel_work_free(&temporary);
    return status;
}

CEL_API_DEF cel_status cel_moments_sum(cel_moments *into, double scale, const cel_moments *from)
{
    int64_t side = celi_moments_side(into), i;
    if (into->genes != from->genes || into->blocks != from->blocks) return CEL_ERR_SHAPE;
    CELI_OMP(omp parallel for schedule(static))
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
/* fit: optimisers, and the published estimator (CCE)                       */
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

static double celi_or(double value, double otherwise) { return value < 0 || value > 0 ? value : otherwise; }

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

CEL_API_DEF void cel_adam_step(cel_adam *a, const cel_adam_options *options, const cel_real *grad, cel_real *param)
{
    celi_adam_rule r = celi_adam_next(a, options);
    int64_t i;
    CELI_OMP(omp parallel for schedule(static) if (a->count > 10000))
    for (i = 0; i < a->count; i++) {
        double p = (double)param[i];
        param[i] = (cel_real)(p - celi_adam_delta(&r, (double)grad[i], p, a->m + i, a->v + i));
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
    T CELI_INLINE S##_d S##_dget(const double *p, size_t bytes)                                                       \
    {                                                                                                                 \
        S##_d v = S##_dset(0);                                                                                        \
        memcpy(&v, p, bytes);                                                                                         \
        return v;                                                                                                     \
    }                                                                                                                 \
    T CELI_INLINE void S##_paper_step_at(const celi_paper_row *a, int64_t j, size_t bytes)                            \
    {                                                                                                                 \
        S##_d r = S##_dfma(S##_dset(a->by_u), S##_dget(a->u + j, bytes), S##_dset(0)), g, h;                          \
        r = S##_dfma(S##_dset(a->by_mean), S##_dget(a->mean + j, bytes), r);                                          \
        g = S##_dfma(S##_dset(a->r_intra), r, S##_dget(a->intra + j, bytes));                                         \
        h = S##_dfma(S##_dset(a->r_inter), r, S##_dget(a->inter + j, bytes));                                         \
        g = S##_dfma(S##_dset(a->data), S##_dget(a->c0 + j, bytes), g);                                               \
        h = S##_dfma(S##_dset(a->data), S##_dget(a->c1 + j, bytes), h);                                               \
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
        S##_d g = S##_dget(a->intra + j, bytes), h = S##_dget(a->inter + j, bytes), both, v;                          \
        both = S##_dfma(S##_dset(a->q), h, S##_dfma(S##_dset(2), g, S##_dset(0)));                                    \
        v = S##_dfma(S##_dset(a->own), both, S##_dget(a->spread + j, bytes));                                         \
        memcpy(a->spread + j, &v, bytes);                                                                             \
        sum[0] = S##_dfma(both, S##_dget(a->mean + j, bytes), sum[0]);                                                \
        sum[1] = S##_dfma(g, S##_dget(a->c0 + j, bytes), sum[1]);                                                     \
        sum[2] = S##_dfma(h, S##_dget(a->c1 + j, bytes), sum[2]);                                                     \
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
#define celi_avx2_dset(a) _mm256_set1_pd(a)
#define celi_avx2_dmin(a, b) _mm256_min_pd(a, b)
#define celi_avx2_dmax(a, b) _mm256_max_pd(a, b)
CELI_PAPER_KERNELS(CELI_AVX2, celi_avx2)
#define celi_avx512_dset(a) _mm512_set1_pd(a)
/* The masked forms, because gcc warns of the undefined operand inside its plain ones. */
#define celi_avx512_dmin(a, b) _mm512_maskz_min_pd((__mmask8)0xff, a, b)
#define celi_avx512_dmax(a, b) _mm512_maskz_max_pd((__mmask8)0xff, a, b)
CELI_PAPER_KERNELS(CELI_AVX512, celi_avx512)
#elif defined(CELI_NEON)
#define celi_neon_dset(a) vdupq_n_f64(a)
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
    k.step = celi_scalar_paper_step;
    k.sum = celi_scalar_paper_sum;
#if defined(CELI_X86)
    if (cel_level_get() == CEL_LEVEL_AVX2) {
        k.step = celi_avx2_paper_step;
        k.sum = celi_avx2_paper_sum;
    } else if (cel_level_get() == CEL_LEVEL_AVX512) {
        k.step = celi_avx512_paper_step;
        k.sum = celi_avx512_paper_sum;
    }
#elif defined(CELI_NEON)
    if (cel_level_get() == CEL_LEVEL_NEON) {
        k.step = celi_neon_paper_step;
        k.sum = celi_neon_paper_sum;
    }
#endif
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
    cel_paper_loss loss;
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
    celi_free(f->inter);
    celi_free(f->gradient);
    celi_free(f->slide);
    celi_free(f->arrays);
    cel_adam_free(&f->adam);
    memset(f, 0, sizeof *f);
}

/* Checks and opens everything; on failure nothing is left open. */
static cel_status celi_paper_open(celi_paper_fit *f, const cel_moments *moments, int64_t slides,
                                  const cel_fit_options *o, const cel_model *model)
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
    f->intra = (double *)celi_alloc(square, sizeof(double));
    f->inter = (double *)celi_alloc(square, sizeof(double));
    f->slide = (celi_paper_slide *)celi_alloc((size_t)slides, sizeof(celi_paper_slide));
    f->arrays = (double *)celi_alloc((size_t)slides, (size_t)each * sizeof(double));
    if (!f->intra || !f->inter || !f->slide || !f->arrays) goto fail;
    if (o->optimiser == CEL_OPTIMISER_ADAM) {
        f->gradient = (double *)celi_alloc(2 * square, sizeof(double));
        if (!f->gradient || cel_adam_new(2 * n * n, &f->adam) != CEL_OK) goto fail;
    }
    for (s = 0; s < slides; s++) {
        celi_paper_slide *t = f->slide + s;
        int64_t ld = moments[s].blocks * n + 1;
        const double *gram = moments[s].gram, *half = gram + (ld - 1) * ld; /* half the sums of X */
        t->c0 = f->arrays + s * each;
        t->c1 = t->c0 + n * n;
        t->mean = t->c1 + n * n;
        t->u = t->mean + n;
        t->spread = t->u + n;
        t->cells = (double)moments[s].cells;
        t->q = o->slide_q ? o->slide_q[s] : celi_or(o->q, 6);
        for (j = 0; j < n; j++) t->mean[j] = 2 * half[j] / t->cells;
        for (i = 0; i < n; i++) {
            memcpy(t->c0 + i * n, gram + i * ld, (size_t)n * sizeof(double));
            memcpy(t->c1 + i * n, gram + i * ld + n, (size_t)n * sizeof(double));
        }
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

/* Row i, from column `from`, of (intra, inter) -= rate * the gradient of slide t, then clamped. */
static void celi_paper_descend(const celi_paper_fit *f, const celi_paper_kernels *kern, const celi_paper_slide *t,
                               int64_t i, int64_t from, double rate, int clamp, double *intra, double *inter)
{
    celi_paper_row a;
    double w = f->folded ? 0.5 : 1;
    memset(&a, 0, sizeof a);
    a.intra = intra;
    a.inter = inter;
    a.c0 = t->c0 + i * f->n;
    a.c1 = t->c1 + i * f->n;
    a.mean = t->mean;
    a.u = t->u;
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
    int64_t n = f->n;
    celi_paper_row a;
    double twice = f->folded ? 2 : 1;
    memset(&a, 0, sizeof a);
    a.intra = f->intra + i * n;
    a.inter = f->inter + i * n;
    a.c0 = t->c0 + i * n;
    a.c1 = t->c1 + i * n;
    a.mean = t->mean;
    a.q = t->q;
    a.own = f->folded ? t->mean[i] : 0;
    a.spread = t->spread + run * n;
    kern->sum(&a, f->folded ? i + 1 : 0, n);
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
    cel_paper_loss *l = &t->loss;
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

/* One pass over the forces: a step down the gradients of slides down[0..downs), and the loss of slides
 * next[0..nexts) at the result. rule NULL is gradient descent at rate lr. */
static void celi_paper_rows(celi_paper_fit *f, const celi_paper_kernels *kern, int64_t run, double lr,
                            const celi_adam_rule *rule, const int64_t *down, int64_t downs, const int64_t *next,
                            int64_t nexts)
{
    int64_t n = f->n, i, j, k, end = celi_paper_run(f, run + 1);
    int r;
    for (k = 0; k < nexts; k++) {
        celi_paper_slide *t = f->slide + next[k];
        memset(t->spread + run * n, 0, (size_t)n * sizeof(double));
        t->energy[run][0] = t->energy[run][1] = 0;
    }
    for (i = celi_paper_run(f, run); i < end; i++) {
        int64_t from = f->folded ? i + 1 : 0;
        double *row[2], *at[2];
        row[0] = f->intra + i * n;
        row[1] = f->inter + i * n;
        for (r = 0; r < 2; r++) {
            at[r] = rule ? f->gradient + (r * n + i) * n : row[r];
            if (rule && downs > 0) memset(at[r], 0, (size_t)n * sizeof(double));
        }
        for (k = 0; k < downs; k++)
            celi_paper_descend(f, kern, f->slide + down[k], i, from, rule ? -1 : lr,
                               f->folded && !rule && k + 1 == downs, at[0], at[1]);
        for (r = 0; r < 2 && rule && downs > 0; r++)
            for (j = from; j < n; j++) {
                int64_t e = (r * n + i) * n + j;
                double p = row[r][j] - celi_adam_delta(rule, at[r][j], row[r][j], f->adam.m + e, f->adam.v + e);
                row[r][j] = f->folded && p < 0 ? 0 : f->folded && p > 1 ? 1 : p;
            }
        for (k = 0; k < nexts; k++) celi_paper_evaluate(f, kern, f->slide + next[k], i, run);
    }
}

static void celi_paper_pass(celi_paper_fit *f, double lr, const int64_t *down, int64_t downs, const int64_t *next,
                            int64_t nexts)
{
    celi_paper_kernels kern = celi_paper_kernel();
    cel_adam_options options;
    celi_adam_rule rule, *adam = f->gradient ? &rule : NULL;
    int64_t run;
    memset(&options, 0, sizeof options);
    options.lr = lr;
    if (adam && downs > 0) rule = celi_adam_next(&f->adam, &options);
    CELI_OMP(omp parallel for schedule(static, 1) if (f->n >= 200))
    for (run = 0; run < CELI_PAPER_RUNS; run++) celi_paper_rows(f, &kern, run, lr, adam, down, downs, next, nexts);
    for (run = 0; run < nexts; run++) celi_paper_finish(f, f->slide + next[run]);
}

CEL_API_DEF cel_status cel_fit_paper_start(uint64_t seed, const cel_model *model)
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

CEL_API_DEF cel_status cel_fit_paper_loss(const cel_model *model, const cel_moments *moments,
                                          const cel_fit_options *options, cel_paper_loss *loss, cel_mat d_intra,
                                          cel_mat d_inter)
{
    cel_fit_options o;
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

CEL_API_DEF cel_status cel_fit_paper(const cel_moments *moments, int64_t slides, const cel_fit_options *options,
                                     const cel_model *model, double *losses, cel_fit_report *report)
{
    cel_fit_options o;
    cel_fit_report made;
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
        cel_paper_loss *l = &f.slide[i].loss;
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

/* ======================================================================== */
/* generate: spherical angles and the published generator (SCE)             */
/* ======================================================================== */

/* Cells are cut into at most this many runs, each with its own scratch and its own partial sums: the
 * result does not depend on how many threads share the runs. */
enum { CELI_GEN_RUNS = 64 };

static int64_t celi_gen_run_start(int64_t cells, int64_t run) { return cells * run / CELI_GEN_RUNS; }

/* Rows go through the angles in fours: the products along a row are one long chain, four of them
 * overlap. A group of fewer repeats its last row. */
#define CELI_ANGLES_ROWS 4

/* Smaller expressions and gradients become 0. They are below any rounding of rows of unit length, and
 * denormal numbers would slow the products that follow many times over. */
#define CELI_ANGLES_TINY (sizeof(cel_real) == 4 ? 1e-30 : 1e-290)

static cel_real celi_angles_real(double v) { return fabs(v) < CELI_ANGLES_TINY ? 0 : (cel_real)v; }

/* Sines and cosines (4 x n each) of the rows t (n-1). */
static void celi_angles_sincos(int64_t n, const cel_real *const *t, cel_real *sine, cel_real *cosine)
{
    int r;
    for (r = 0; r < CELI_ANGLES_ROWS; r++) cel_vec_sincos(n - 1, t[r], sine + r * n, cosine + r * n);
}

/* Unit rows x (n) of the angles t (n-1); scratch (8 n). The product of sines runs in double. */
static void celi_angles_forward(int64_t n, const cel_real *const *t, cel_real *const *x, cel_real *scratch)
{
    const cel_real *s = scratch, *c = scratch + CELI_ANGLES_ROWS * n;
    double p[CELI_ANGLES_ROWS];
    int64_t k;
    int r;
    celi_angles_sincos(n, t, scratch, scratch + CELI_ANGLES_ROWS * n);
    for (r = 0; r < CELI_ANGLES_ROWS; r++) p[r] = 1;
    for (k = 0; k < n - 1; k++)
        for (r = 0; r < CELI_ANGLES_ROWS; r++) {
            x[r][k] = celi_angles_real((double)c[r * n + k] * p[r]);
            p[r] *= (double)s[r * n + k];
        }
    for (r = 0; r < CELI_ANGLES_ROWS; r++) x[r][n - 1] = celi_angles_real(p[r]);
}

/* d (n-1) = dL/dt from g (n) = dL/dx; d may be g. prefix (4 n) holds the products of sines. */
static void celi_angles_backward(int64_t n, const cel_real *const *t, const cel_real *const *g, cel_real *const *d,
                                 cel_real *scratch, double *prefix)
{
    const cel_real *s = scratch, *c = scratch + CELI_ANGLES_ROWS * n;
    double p[CELI_ANGLES_ROWS], v[CELI_ANGLES_ROWS];
    int64_t k;
    int r;
    celi_angles_sincos(n, t, scratch, scratch + CELI_ANGLES_ROWS * n);
    for (r = 0; r < CELI_ANGLES_ROWS; r++) p[r] = 1;
    for (k = 0; k < n - 1; k++)
        for (r = 0; r < CELI_ANGLES_ROWS; r++) {
            prefix[k * CELI_ANGLES_ROWS + r] = p[r];
            p[r] *= (double)s[r * n + k];
        }
    for (r = 0; r < CELI_ANGLES_ROWS; r++) p[r] = (double)g[r][n - 1];
    for (k = n - 2; k >= 0; k--) {
        for (r = 0; r < CELI_ANGLES_ROWS; r++) v[r] = (double)g[r][k]; /* all read before one is written */
        for (r = 0; r < CELI_ANGLES_ROWS; r++) {
            double sk = (double)s[r * n + k], ck = (double)c[r * n + k];
            d[r][k] = celi_angles_real(prefix[k * CELI_ANGLES_ROWS + r] * (ck * p[r] - sk * v[r]));
            p[r] = v[r] * ck + sk * p[r];
        }
    }
}

static int celi_angles_fit(cel_mat angles, cel_mat x) { return angles.rows == x.rows && angles.cols == x.cols - 1; }

/* Bytes of one run's scratch, for groups of rows of n: sines, cosines and products of sines. */
static size_t celi_angles_scratch(int64_t n)
{
    return CELI_ANGLES_ROWS * (size_t)n * (2 * sizeof(cel_real) + sizeof(double));
}

/* x from angles where d_angles.data is NULL; else d_angles from x, which then holds dL/dx. */
static void celi_angles_all(cel_mat angles, cel_mat x, cel_mat d_angles, char *scratch)
{
    int64_t run, n = x.cols;
    CELI_OMP(omp parallel for schedule(static))
    for (run = 0; run < CELI_GEN_RUNS; run++) {
        int64_t i, end = celi_gen_run_start(x.rows, run + 1);
        double *prefix = (double *)(void *)(scratch + (size_t)run * celi_angles_scratch(n));
        cel_real *own = (cel_real *)(void *)(prefix + CELI_ANGLES_ROWS * n);
        for (i = celi_gen_run_start(x.rows, run); i < end; i += CELI_ANGLES_ROWS) {
            const cel_real *t[CELI_ANGLES_ROWS], *g[CELI_ANGLES_ROWS];
            cel_real *to[CELI_ANGLES_ROWS], *d[CELI_ANGLES_ROWS];
            int r;
            for (r = 0; r < CELI_ANGLES_ROWS; r++) {
                int64_t row = i + r < end ? i + r : end - 1;
                t[r] = angles.data + row * angles.stride;
                g[r] = to[r] = x.data + row * x.stride;
                d[r] = d_angles.data ? d_angles.data + row * d_angles.stride : NULL;
            }
            if (d_angles.data) celi_angles_backward(n, t, g, d, own, prefix);
            else celi_angles_forward(n, t, to, own);
        }
    }
}

CEL_API_DEF cel_status cel_gen_from_angles(cel_mat angles, cel_mat x)
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

CEL_API_DEF cel_status cel_gen_to_angles(cel_mat x, cel_mat angles, cel_error *err)
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
    CELI_OMP(omp parallel for schedule(static))
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

CEL_API_DEF cel_status cel_gen_angles_gradient(cel_mat angles, cel_mat d_x, cel_mat d_angles, cel_work *work)
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

CEL_API_DEF void cel_gen_noise_angles(uint64_t seed, double mean, double deviation, cel_mat angles)
{
    int64_t i;
    CELI_OMP(omp parallel for schedule(static))
    for (i = 0; i < angles.rows; i++) {
        cel_real *t = angles.data + i * angles.stride;
        cel_rng rng = cel_rng_at(seed, CELI_STREAM_ANGLES, (uint32_t)i, 0);
        int64_t k;
        cel_rng_normals(&rng, t, angles.cols);
        for (k = 0; k < angles.cols; k++) t[k] = (cel_real)(mean + deviation * (double)t[k]);
    }
}

/* mean (n) = the mean row of x; partial (CELI_GEN_RUNS x n). */
static void celi_gen_mean(cel_mat x, double *mean, double *partial)
{
    int64_t run, j, n = x.cols;
    CELI_OMP(omp parallel for schedule(static))
    for (run = 0; run < CELI_GEN_RUNS; run++) {
        int64_t i, k, end = celi_gen_run_start(x.rows, run + 1);
        double *own = partial + run * n;
        memset(own, 0, (size_t)n * sizeof(double));
        for (i = celi_gen_run_start(x.rows, run); i < end; i++)
            for (k = 0; k < n; k++) own[k] += (double)x.data[i * x.stride + k];
    }
    for (j = 0; j < n; j++) {
        double sum = 0;
        for (run = 0; run < CELI_GEN_RUNS; run++) sum += partial[run * n + j];
        mean[j] = sum / (double)x.rows;
    }
}

/* cel_gen_paper_loss with its scratch for the energies (relations + 1) given. */
static cel_status celi_gen_loss(const cel_model *model, const cel_relation *relation, cel_mat x,
                                const cel_gen_options *o, cel_paper_loss *loss, cel_mat d_x, double *energy,
                                cel_work *work)
{
    int64_t n = model->genes, i;
    double zmft = celi_or(o->zmft, 0.1), h = 0, *mean, *d_mean;
    cel_mat none;
    cel_status status;
    memset(loss, 0, sizeof *loss);
    memset(&none, 0, sizeof none);
    status = cel_model_energy(model, relation, x, &h, energy, d_x, work);
    if (status != CEL_OK) return status;
    mean = (double *)cel_work_get(work, (CELI_GEN_RUNS + 2) * (size_t)n * sizeof(double));
    if (!mean) return CEL_ERR_MEMORY;
    d_mean = mean + n;
    memset(d_mean, 0, (size_t)n * sizeof(double));
    if (!o->no_log_z) {
        celi_gen_mean(x, mean, mean + 2 * n);
        status = cel_model_logz(model, o->sphere, celi_or(o->q, 6), x.rows, mean, &loss->log_z, none, none, d_mean,
                                &loss->kappa);
        if (status != CEL_OK) return status;
    }
    loss->intra = energy[0];
    loss->inter = h - energy[0];
    loss->loss = loss->log_z - zmft * h;
    if (!d_x.data) return CEL_OK;
    CELI_OMP(omp parallel for schedule(static))
    for (i = 0; i < x.rows; i++) {
        cel_real *g = d_x.data + i * d_x.stride;
        int64_t k;
        for (k = 0; k < n; k++) g[k] = (cel_real)(d_mean[k] / (double)x.rows - zmft * (double)g[k]);
    }
    return CEL_OK;
}

/* What both public functions ask of their arguments. */
static cel_status celi_gen_check(const cel_model *model, const cel_gen_options *o, int64_t rows, int64_t cols)
{
    if (rows < 1 || o->q < 0 || o->lr < 0 || o->epochs < 0 || o->snapshot_every < 0) return CEL_ERR_ARG;
    if (model->genes < 2 || (!o->no_log_z && model->field)) return CEL_ERR_ARG;
    if (cols != model->genes || model->relations < 1 || (!o->no_log_z && model->relations != 2)) return CEL_ERR_SHAPE;
    return CEL_OK;
}

CEL_API_DEF cel_status cel_gen_paper_loss(const cel_model *model, const cel_relation *relation, cel_mat x,
                                          const cel_gen_options *options, cel_paper_loss *loss, cel_mat d_x,
                                          cel_work *work)
{
    cel_gen_options o;
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
    if (energy) status = celi_gen_loss(model, relation, x, &o, loss, d_x, energy, work ? work : &own);
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
    cel_relation *relation; /* (R) */
    cel_csr *even;          /* (R) what it points to where the caller's matrix was made symmetric */
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
    celi_free(g->relation);
}

/* Where a force is symmetric only the symmetric part of its relation matters, and the products with it are
 * half as many: a directed W gives way to (W + W^T) / 2. */
static cel_status celi_gen_open(celi_gen_state *g, const cel_model *model, const cel_relation *relation,
                                const cel_gen_options *o, int64_t cells)
{
    int64_t n = model->genes, r;
    cel_status status;
    memset(g, 0, sizeof *g);
    g->relations = model->relations;
    status = cel_mat_new(cells, n, &g->x);
    if (status == CEL_OK) status = cel_mat_new(cells, n, &g->d_x);
    if (status == CEL_OK && o->optimiser == CEL_OPTIMISER_ADAM) status = cel_adam_new(cells * (n - 1), &g->adam);
    if (status == CEL_OK) {
        g->scratch = (char *)celi_alloc(CELI_GEN_RUNS, celi_angles_scratch(n));
        g->energy = (double *)celi_alloc((size_t)(model->relations + 1), sizeof(double));
        g->relation = (cel_relation *)celi_alloc((size_t)g->relations, sizeof(cel_relation));
        g->even = (cel_csr *)celi_alloc((size_t)g->relations, sizeof(cel_csr));
        if (!g->scratch || !g->energy || !g->relation || !g->even) status = CEL_ERR_MEMORY;
    }
    for (r = 0; r < g->relations && status == CEL_OK; r++) {
        g->relation[r] = relation[r];
        if (!relation[r].w || !relation[r].wt || !celi_gen_symmetric(cel_model_force(model, r))) continue;
        status = cel_csr_symmetrise(relation[r].w, g->even + r);
        g->relation[r].w = g->even + r;
        g->relation[r].wt = NULL;
    }
    if (status != CEL_OK) celi_gen_close(g);
    return status;
}

/* angles -= the optimiser's step down d (same shape). */
static void celi_gen_step(celi_gen_state *g, double lr, cel_mat d, cel_mat angles)
{
    int64_t i;
    int adam = g->adam.count > 0;
    cel_adam_options options;
    celi_adam_rule rule;
    memset(&options, 0, sizeof options);
    memset(&rule, 0, sizeof rule);
    options.lr = lr;
    if (adam) rule = celi_adam_next(&g->adam, &options);
    CELI_OMP(omp parallel for schedule(static))
    for (i = 0; i < angles.rows; i++) {
        cel_real *t = angles.data + i * angles.stride;
        const cel_real *s = d.data + i * d.stride;
        int64_t k, at = i * angles.cols;
        if (!adam) cel_axpy(angles.cols, (cel_real)-lr, s, t);
        for (k = 0; k < angles.cols && adam; k++) {
            double p = (double)t[k];
            t[k] = (cel_real)(p - celi_adam_delta(&rule, (double)s[k], p, g->adam.m + at + k, g->adam.v + at + k));
        }
    }
}

CEL_API_DEF cel_status cel_gen_paper(const cel_model *model, const cel_relation *relation,
                                     const cel_gen_options *options, cel_mat angles, cel_mat x, double *losses,
                                     cel_paper_loss *last)
{
    cel_gen_options o;
    celi_gen_state g;
    cel_paper_loss loss;
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
    status = celi_gen_open(&g, model, relation, &o, angles.rows);
    if (status != CEL_OK) {
        if (x.data) cel_mat_fill(x, 0);
        return status;
    }
    d_angles = cel_mat_block(g.d_x, 0, 0, angles.rows, angles.cols);
    for (e = 0; e <= epochs; e++) {
        celi_angles_all(angles, g.x, none, g.scratch);
        if (e == epochs || status != CEL_OK) break;
        status = celi_gen_loss(model, g.relation, g.x, &o, &loss, g.d_x, g.energy, &g.work);
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
        cel_status lost = celi_gen_loss(model, g.relation, g.x, &o, last, none, g.energy, &g.work);
        if (lost != CEL_OK) status = lost;
    }
    if (x.data) cel_mat_copy(g.x, x);
    celi_gen_close(&g);
    return status;
}

CEL_API_DEF cel_status cel_gen_knockout_start(cel_mat x, const int32_t *cells, int64_t count, int64_t gene,
                                              cel_error *err)
{
    int64_t c, j;
    if (gene < 0 || gene >= x.cols) return celi_fail(err, CEL_ERR_ARG, "no such gene", -1, -1, gene);
    for (c = 0; c < count; c++) {
        double rest = 0;
        if (cells[c] < 0 || cells[c] >= x.rows) return celi_fail(err, CEL_ERR_ARG, "no such cell", -1, cells[c], -1);
        for (j = 0; j < x.cols; j++) rest += j == gene ? 0 : fabs((double)x.data[cells[c] * x.stride + j]);
        if (!(rest > 0 && rest <= DBL_MAX))
            return celi_fail(err, CEL_ERR_DATA, "a cell expresses no other gene, or is not finite", -1, cells[c], gene);
    }
    for (c = 0; c < count; c++) {
        cel_real *row = x.data + cells[c] * x.stride;
        double norm;
        row[gene] = 0;
        norm = cel_nrm2(x.cols, row);
        for (j = 0; j < x.cols; j++) row[j] = (cel_real)((double)row[j] / norm);
    }
    return CEL_OK;
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
