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
