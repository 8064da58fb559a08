/* celcomen.h - 0.4.0 - forces between genes, within and between the cells of a tissue
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
 * QUICK START: from a slide to forces. The README's program, which the tests compile.
 *
 *     cel_slide slide = CEL_ZERO;                  cells x genes of counts, cells x 2 of coordinates
 *     cel_score_result fit;
 *     cel_error err = CEL_ZERO;
 *     if (cel_npy_matrix("counts.npy", &slide.x, &err) || cel_npy_matrix("coords.npy", &slide.coords, &err) ||
 *         cel_score_slide(&slide, NULL, &fit, &err)) {
 *         printf("%s (cell %d, gene %d)\n", err.what, (int)err.cell, (int)err.gene);
 *         return 1;
 *     }
 *     cel_mat q = fit.report.q;                    (2 n x n): within a cell above, between neighbours below
 *     ...                                          fit.report.partial, fit.report.se, fit.model, fit.rows.gene
 *     cel_score_slide_free(&fit);
 *
 * Step by step, where more is asked for than the usual case:
 *     counts to rows       cel_slide_genes, cel_scaling_fit       (cel_scaling_values goes back; not dense: cel_rows)
 *     who acts on whom     cel_graph_make, cel_relations_from_graph, cel_relations_add
 *     forces               cel_score_fit, or from stored moments cel_score_fit_moments
 *     to a file and back   cel_model_write, cel_model_read
 *     a new tissue         cel_sample_run          what if      cel_perturb_new, cel_perturb_run
 * The numbered programs in examples/ are this, compiled and run by the tests.
 *
 * In a hurry: every struct starts as CEL_ZERO, which means the defaults; options may be NULL wherever a function takes
 * them by pointer, and so may err, work, reports and progress. What a function made, its _free undoes. Which form:
 * cel_score_measured for anything measured; AUTO for rows known to be drawn from the law. Tiles: 6 x 6 a slide; fewer
 * than 10 with contacts say too little for a q value. Words: a relation says which cells may act on which; a force is a
 * gene x gene matrix on a relation; a hop is a step in the graph; the sham is the run without the intervention; gauge
 * means forces that differ but give the same law.
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
 * by the held-out value over tiles or slides, never by reproducibility.
 *
 * Error bars: moments per spatial tile or slide; a delete-one jackknife replicate is a subtraction and a
 * re-solve. z = force / standard error, p from Student's t with (groups - 1) degrees of freedom, q by
 * Benjamini & Hochberg (1995) over the pairs of a relation.
 *
 * Measured data. Counts are the law seen through sampling, and rows made of them carelessly hide it. With y counts, l_i
 * a cell's total over all measured genes and t the median of these (cel_scaling):
 *
 *     q = t y / l,  v = log(1 + q),  z = (v - mean in the slide) / sd,  r = z - u (u . z),  x = r / |r|
 *
 * u ~ mean of q / (1 + q) over sd is the direction in which library size moves a row: it is taken out, and the law
 * lives on the sphere orthogonal to it, n - 1 standing for n. In A = F_0 / n - I / 2 and G_r = F_r / n the moment form
 * is: least 1/2 <Theta, K Theta> + tr A, K the centred moments of (x, N_1, ..). The ridge on Theta is picked by the
 * held-out log residual variance of each gene given all else, which needs moments only. Forces are reported as
 * A_ab / sqrt(A_aa A_bb), partial correlations, less v c^T + c v^T, which the rows cannot see, for the c that leaves
 * the fewest. Tests come from a second solution at a light ridge. Figures: bench/README.md.
 *
 * Through the counting (cel_count_fit): y_ik ~ Poisson(l_i exp(m_k + s_k z_ik)), z_i given all others Gaussian with
 * precision L = -2 A and pull 2 sum_r G_r (W_r z)_i. Expectation: the mode of z by conjugate gradient, its covariance
 * (L + diag(rate))^-1 from 32 bins of cells. Maximisation: the moment form above on the moments of both.
 * Likelihood (cel_likelihood_fit): score matching gets each cell's conditional right, and the tissue need not be. The
 * law with the observed moments has d log P / dF_r = X^T W_r X - E X^T W_r X: persistent chains of section 5 draw the
 * second term, and F_r += rate / 2 K^-1 (the gap) C^-1, K and C the moment form's curvatures, until it is noise.
 * Conditions: forces F + D^c with sparse shifts D^c, F the control's, a convex problem on all moments (cel_shift_fit):
 * an l1 term selects, differences of the conditions' own fits are tested, genes are ranked as targets.
 * Many genes: chosen ones against all (cel_chosen_fit), rows of (K + ridge)^-1 by an S x S inverse in place of an n x n
 * one, after the strongest factors, which are types and states of cells, are taken out of all rows.
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
 * Errors     Fallible functions return cel_status, 0 for success. Whatever can fail for a reason in the data takes a
 *            cel_error (or NULL), which says what and where: byte or line, cell, gene, in the caller's own numbers.
 *            On error nothing leaks and outputs are zeroed. Nothing prints or exits.
 * Options    Structs for which all-zero means the documented defaults; NULL stands for such a one. Enums are checked.
 * Order      Of arguments: what is acted on, its sizes, options, outputs, error, work.
 * Memory     Through CELCOMEN_MALLOC, REALLOC, FREE. An epoch, a sweep, an iteration allocates nothing.
 * Large      Expression may stay sparse, or in a mapped file larger than memory (cel_rows): read once by each of
 *            cel_rows_describe and _genes, three times by _scaling, some 1.2 times by cel_moments_add_rows.
 * Threads    OpenMP, where the compiler's flag is on. On a machine that others use too, set OMP_WAIT_POLICY=passive.
 *            No function keeps a thread. Two of the caller's threads may call anything on objects of their own.
 *            After fork() libgomp's threads are gone and a parallel loop of the child would wait for ever: exec, or
 *            omp_set_num_threads(1) in the child (Python: multiprocessing's "spawn", or OMP_NUM_THREADS=1).
 * State      No mutable global but the cache of the kernel level: two threads may work on two models.
 * Same bits  Same seed, input and kernel level give the same bits for any number of threads. Random
 *            numbers are a function of (seed, stream, cell, sweep); sums are cut in fixed blocks.
 * Precision  cel_real is float (double with CELCOMEN_DOUBLE); sums over cells are kept in double.
 * Files      Writers write to a temporary name in the same folder and rename: never half a file.
 * Moments    A moments file is an .npz; whole numbers are int64, others float64 of this byte order. Of R relations, P
 *            parts (tiles), n genes: celcomen_moments [format 1, bytes of cel_real, 1 if the slide has no name of its
 *            own]; genes, relations, slides, groups, types: lines of text; celcomen_model, centre (groups x n), scale,
 *            size as in model.npz; slide_cells (slides); spans (., 3), ascending: a slide, the first and last + 1 of
 *            its cells in here; contacts (R); blocks (R + 1); parts (P x 3): slide, tile, cells; gram, gram_shuffled
 *            (P x s (s + 1) / 2): lower triangles of the moments, row after row, s their side; checksum: CRC-32 over
 *            name, bytes, name, bytes .. of all other arrays in the file's order. Files add up (cel_moments_merge,
 *            examples/add_moments.py) where rows were made alike: a row of unit length is no linear function of its
 *            counts, so that moments of another scale, target or gene are moments of something else.
 * Kernels    scalar, AVX2+FMA, AVX-512, NEON, WebAssembly's simd128 (-msimd128), chosen when the program first needs
 *            one. The environment variable CELCOMEN_LEVEL (scalar, neon, simd128, avx2, avx512; else: scalar) caps it,
 *            as cel_level_cap does.
 *            -ffast-math is refused: NaN must stay NaN.
 * Extremes   What comes in                       scaling, unit rows          graphs        fits and what follows
 *            NaN, infinity                       DATA, cell and gene         DATA          DATA
 *            a negative count                    DATA (unit rows: fine)                    fine (ORTHANT: DATA)
 *            values of 1e30; beyond 1e150        fine; DATA (unit: fine)     fine; DATA    fine; NUMERIC without a
 *                                                                                          ridge where genes vanish
 *            denormal numbers                    fine; a total below 1e-290, in double, is DATA
 *            a cell of zeros                     length 0, keep 0; else DATA               DATA
 *            a gene of zeros, or constant        DATA, gene; unit rows: fine               zeros: DATA without a ridge
 *            equal genes; more genes than cells  fine                                      fine: one of the minima
 *            one gene; one cell                  fine                        fine: empty   ARG; fine with a ridge
 *            a cell without neighbours                                       fine          fine
 *            all cells at one place              fine                        by number     fine
 *            a slide or group without cells      fine                        fine          slides fine; groups: DATA
 *            distances below 1e-150, in double                               0: one place
 *
 * ---------------------------------------------------------------------------------------------------
 * 9  COMPILE-TIME SWITCHES
 *
 *     CELCOMEN_IMPLEMENTATION   in one file: the code.
 *     CELCOMEN_STATIC           before every include: all functions and data are static.
 *     CEL_API                   before every include: what stands before public functions, instead of extern; to
 *                               export them: extern __attribute__((visibility("default"))).
 *     CELCOMEN_DOUBLE           everywhere, or it does not link: cel_real is double.
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
 *     kernels    cel_level_, cel_vec_, cel_rng_   what is vectorised by hand
 *     dense      cel_mat_            row-major matrices, products, solves
 *     sparse     cel_csr_            CSR matrices
 *     files      cel_file_, cel_npy_, cel_npz_, cel_table_, cel_keep_   .npy, .npz, names, tables, checkpoints
 *     tissue     cel_slide_, cel_scaling_, cel_rows_, cel_graph_   from counts to rows and back, tiles, neighbours
 *     model      cel_relations_, cel_model_, cel_sphere_   relations, forces, the Hamiltonian, log Z
 *     moments    cel_moments_        the statistics that a fit needs
 *     solve      celi_               one quadratic problem and its solutions; nothing public
 *     score      cel_score_          score matching
 *     shifts     cel_shift_          which forces a condition changes
 *     chosen     cel_chosen_         many genes: chosen ones against all
 *     counting   cel_count_          the same through the counting: a latent field
 *     published  cel_adam_, cel_paper_   the paper's estimator and generator
 *     sampler    cel_sample_         exact samples
 *     optimum    cel_ascent_, cel_logz_   the most likely tissue, log Z by sampling
 *     likelihood cel_likelihood_     the law that generates the tissue, by sampling
 *     perturb    cel_intervention_, cel_perturb_, cel_effect_   interventions, sham, paired effects
 */
#ifndef CELCOMEN_H
#define CELCOMEN_H

#define CELCOMEN_VERSION_MAJOR 0
#define CELCOMEN_VERSION_MINOR 4
#define CELCOMEN_VERSION_PATCH 0
#define CELCOMEN_VERSION "0.4.0"

#include <stddef.h>
#include <stdint.h>

#if defined(__GNUC__) || defined(__clang__)
#define CEL_UNUSED __attribute__((unused))
#define CEL_USED __attribute__((used))
#else
#define CEL_UNUSED
#define CEL_USED
#endif

#if defined(CELCOMEN_STATIC)
#define CEL_API static CEL_UNUSED
#elif !defined(CEL_API)
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
#define CEL_REAL_TYPE cel_real_is_double
#else
typedef float cel_real;
#define CEL_REAL_TYPE cel_real_is_float
#endif

#ifdef __cplusplus
extern "C" {
#endif

/* Every file that includes this asks the linker for the symbol of its number type, and the implementation has only
 * its own: an undefined cel_real_is_float or cel_real_is_double means CELCOMEN_DOUBLE here but not there. */
#if !defined(CELCOMEN_STATIC)
extern const char CEL_REAL_TYPE;
static const char *const celi_real_type CEL_USED = &CEL_REAL_TYPE;
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

/* The version of the implementation that was compiled, e.g. "0.4.0". */
CEL_API const char *cel_version(void);

/* Progress of long work: `done` of `total` steps of `stage`, and its current value (a loss, an
 * energy). A non-zero return stops the work, which then returns CEL_ERR_STOPPED. Called from the
 * calling thread only. All-zero means no callback. */
typedef struct cel_progress {
    int (*fn)(void *user, const char *stage, int64_t done, int64_t total, double value);
    void *user;
} cel_progress;

/* A memo of finished parts of long work, so that it can be gone on with, however it ended. What has one in its options
 * asks it for each part, at places where all that follows depends on nothing else, computes what is not there, and
 * saves it: with a memo, without, or with one that lost any of its parts, the result has the same bits.
 *     load  fills data (bytes) with what was saved under stage and step, and returns 1; 0: there is none of that size
 *     save  replaces what was saved there; a status other than CEL_OK ends the work, which returns it
 * Both are called from the calling thread only. Parts are of one input, options, version, number type and kernel level:
 * that is for the memo to see to. cel_keep_open is one in a file. */
typedef struct cel_keep {
    int (*load)(void *user, const char *stage, int64_t step, void *data, size_t bytes);
    cel_status (*save)(void *user, const char *stage, int64_t step, const void *data, size_t bytes);
    void *user;
    const char *part; /* NULL, or a word: stages are then "part/stage", so that several works share a memo */
} cel_keep;

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

/* The generator of one such place; its first draw is that of index 0. Any number of them may be in use. */
CEL_API cel_rng cel_rng_at(uint64_t seed, uint32_t stream, uint32_t cell, uint32_t sweep);
/* Uniform on [0, 1), 53 bits (two words a draw). */
CEL_API double cel_rng_uniform(cel_rng *rng);
/* A standard normal draw (Box-Muller; one of the pair is discarded: use cel_rng_normals for many). */
CEL_API double cel_rng_normal(cel_rng *rng);
/* An unbiased integer in [0, bound), bound >= 1. */
CEL_API uint32_t cel_rng_integer(cel_rng *rng, uint32_t bound);
/* A Poisson draw: by inversion below a mean of 10, above by transformed rejection (Hormann 1993, PTRS). A mean that is
 * not above 0 gives 0; above 1e15 the mean itself, rounded. */
CEL_API int64_t cel_rng_poisson(cel_rng *rng, double mean);
/* A Gamma draw of mean `shape` > 0 and scale 1 (Marsaglia and Tsang 2000); 0 for another shape. Counts of mean m and
 * variance m + m^2 / r (negative binomial) are cel_rng_poisson(rng, m / r * cel_rng_gamma(rng, r)). */
CEL_API double cel_rng_gamma(cel_rng *rng, double shape);

/* P(|T| >= |t|) for Student's t with df > 0 degrees of freedom; NaN for NaN. */
CEL_API double cel_student_p(double t, double df);
/* Benjamini & Hochberg (1995): q[i] = min over p[j] >= p[i] of p[j] count / rank(j), at most 1. q may be p.
 * Allocates count indices. */
CEL_API cel_status cel_fdr(const double *p, int64_t count, double *q);

/* Compacts items (count of `size` bytes each) in place to those whose keep is non-zero, in order, and
 * returns how many. For the rows of a matrix, size = stride * sizeof(cel_real); for labels, 4. */
CEL_API int64_t cel_compact(const uint8_t *keep, int64_t count, void *items, size_t size);

/* ======================================================================== */
/* kernels: what is vectorised by hand, and the level in use                */
/* ======================================================================== */

/* The kernels that can be chosen at run time, slowest first. */
typedef enum cel_level {
    CEL_LEVEL_SCALAR = 0,
    CEL_LEVEL_NEON = 1,
    CEL_LEVEL_SIMD128 = 1, /* of WebAssembly, as wide as NEON, without its fused products */
    CEL_LEVEL_AVX2 = 2,   /* with FMA */
    CEL_LEVEL_AVX512 = 3  /* F, DQ, VL, BW */
} cel_level;

/* The level in use: the best that the machine has, capped by the environment variable CELCOMEN_LEVEL (scalar, neon,
 * simd128, avx2, avx512) and by cel_level_cap. The variable is read once, when a kernel is first needed; a name that is
 * none of these means scalar, so that a misspelling is seen here and not obeyed by chance. */
CEL_API cel_level cel_level_get(void);
/* Use at most this level from now on (not while other threads compute); a number that is no level changes nothing.
 * Returns the level in use. */
CEL_API cel_level cel_level_cap(cel_level cap);
/* "scalar", "neon" (in WebAssembly "simd128"), "avx2", "avx512"; "unknown" for what is no level. A constant string. */
CEL_API const char *cel_level_name(cel_level level);

/* y += alpha x (count). */
CEL_API void cel_vec_axpy(cel_real alpha, const cel_real *x, cel_real *y, int64_t count);
/* sum x_i y_i and |x| (count), accumulated in double in fixed blocks. */
CEL_API double cel_vec_dot(const cel_real *x, const cel_real *y, int64_t count);
CEL_API double cel_vec_nrm2(const cel_real *x, int64_t count);

/* Sines and cosines of x (count each); an output may be the input. Errors, measured against extended precision:
 * at most 2 ulp in float and in double, next to their zeros too. The sign of a zero may be lost. NaN, infinities
 * and |x| > 16384 are libm's. */
CEL_API void cel_vec_sincos(const cel_real *x, int64_t count, cel_real *sine, cel_real *cosine);

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
/* No matrix: all-zero, for an argument that may be left out. */
CEL_API cel_mat cel_mat_none(void);
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
/* <A, B> = sum_ij A_ij B_ij (NaN if the shapes differ), and B += alpha A; both (m x n). */
CEL_API double cel_mat_dot(cel_mat a, cel_mat b);
CEL_API cel_status cel_mat_axpy(cel_real alpha, cel_mat a, cel_mat b);
/* B = A^T; A = (A + A^T) / 2 in place, square. */
CEL_API cel_status cel_mat_transpose(cel_mat a, cel_mat b);
CEL_API cel_status cel_mat_symmetrise(cel_mat a);
/* In place A = L L^T, A symmetric (n x n), its lower triangle read and overwritten by L, the upper
 * left alone; CEL_ERR_NUMERIC unless positive definite. Then solve L L^T X = B in place, B (n x m). */
CEL_API cel_status cel_mat_cholesky(cel_mat a);
CEL_API cel_status cel_mat_cholesky_solve(cel_mat l, cel_mat b);
/* A = V diag(w) V^T, A symmetric (n x n), w ascending (n), V (n x n) with eigenvectors in
 * its columns. Householder tridiagonalisation and implicit QL in double. CEL_ERR_NUMERIC if a
 * value needs more than 60 iterations (NaN input); w and V are then zero. */
CEL_API cel_status cel_mat_eigen(cel_mat a, double *w, cel_mat v);

/* Keeps the columns index (count, ascending, else CEL_ERR_ARG and *a untouched) of *a in place and sets its cols;
 * where a was contiguous it stays so. */
CEL_API cel_status cel_mat_columns(cel_mat *a, const int32_t *index, int64_t count);

/* ======================================================================== */
/* sparse: CSR matrices                                                     */
/* ======================================================================== */

/* Row i's entries are index[start[i] .. start[i+1]-1], ascending columns, no duplicates, with their
 * values. All-zero is an empty matrix. Free with cel_csr_free.
 *
 * order, where not NULL, is a permutation of the rows that a product visits them by, because consecutive ones share
 * columns and the matrix that is multiplied is then found in cache. No result depends on it, and its rows stay where
 * they are. A square matrix that is made from another takes over a copy. */
typedef struct cel_csr {
    int64_t rows, cols;
    int64_t *start; /* (rows + 1) */
    int32_t *index; /* (start[rows]) */
    cel_real *value; /* (start[rows]) */
    int32_t *order;  /* (rows) or NULL */
} cel_csr;

/* Frees what a matrix owns; all-zero afterwards, and fine before. */
CEL_API void cel_csr_free(cel_csr *a);
/* The number of stored entries. */
CEL_API int64_t cel_csr_count(const cel_csr *a);
/* From count entries (row[e], col[e], value[e]) in any order; value NULL = all 1; entries of one
 * place are summed in their order, in double. CEL_ERR_ARG for an index out of range (err->offset = e) or more
 * than 2^31 - 1 rows or columns. O(count + rows + cols). */
CEL_API cel_status cel_csr_from_edges(int64_t rows, int64_t cols, int64_t count, const int64_t *row, const int64_t *col,
                                      const cel_real *value, cel_csr *out, cel_error *err);
/* A^T. */
CEL_API cel_status cel_csr_transpose(const cel_csr *a, cel_csr *out);
/* (A + A^T) / 2 for square A. */
CEL_API cel_status cel_csr_symmetrise(const cel_csr *a, cel_csr *out);
/* 1 if A equals its transpose exactly, else 0. */
CEL_API int cel_csr_is_symmetric(const cel_csr *a);

/* How cel_csr_normalise scales the entries. */
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
/* The same for the rows listed only: y.row(r) = alpha (A X).row(list[r]) + beta y.row(r), Y (count x n), list (count)
 * or NULL for the first count; CEL_ERR_ARG for a row that A has not. */
CEL_API cel_status cel_csr_mul_rows(cel_real alpha, const cel_csr *a, const int32_t *list, int64_t count, cel_mat x,
                                    cel_real beta, cel_mat y);
/* Pairs at exactly `hops` steps in the undirected graph of A's stored entries (square), hops >= 1: symmetric,
 * value 1, no diagonal. */
CEL_API cel_status cel_csr_hop(const cel_csr *a, int hops, cel_csr *out);

/* Cells by label, as rows of a CSR matrix are laid out: list[start[g] .. start[g+1]-1] are the cells of label g,
 * ascending; start (groups + 1), list (count). CEL_ERR_ARG for a label outside 0..groups-1 (err: cell); both are then
 * zeroed. */
CEL_API cel_status cel_csr_groups(const int32_t *label, int64_t count, int64_t groups, int64_t *start, int32_t *list,
                                  cel_error *err);

/* ======================================================================== */
/* files: .npy, .npz, lists of names and tables, in and out                 */
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
/* Describes the caller's native, C-ordered array for the writers: e.g. ('f', sizeof(cel_real), 2, shape, x). */
CEL_API cel_npy cel_npy_describe(char kind, int bytes, int ndim, const int64_t *shape, const void *data);

/* Compressed content may be a thousand times longer than the file: none is unpacked, and no table made, of more bytes
 * than this (8 GiB), unless the caller gives another limit. */
#define CEL_UNPACK_LIMIT ((int64_t)1 << 33)

/* Unpacks a gzip file in memory, all its members, lengths and CRC-32 checked. Allocates the content and nothing else:
 * *out (*length), free with cel_file_free. limit 0 means CEL_UNPACK_LIMIT. CEL_ERR_FORMAT if it is damaged, cut short
 * or longer (err->offset is the byte in the file). */
CEL_API cel_status cel_file_gunzip(const void *bytes, size_t size, int64_t limit, void **out, size_t *length,
                                   cel_error *err);

/* A zip archive of .npy files in memory, its directory checked by cel_npz_parse (zip64 too). */
typedef struct cel_npz {
    const void *bytes;
    size_t size;
    int64_t count;     /* members */
    int64_t directory; /* offset of the central directory */
    int64_t limit;     /* bytes that a compressed member may unpack to; 0: CEL_UNPACK_LIMIT */
    void *unpacked;    /* private: those members */
} cel_npz;

/* An array to be written under a name (without ".npy"). */
typedef struct cel_npz_member {
    const char *name;
    cel_npy array;
} cel_npz_member;

/* Reads the directory of an archive of `size` bytes, which must outlive *out. Copies nothing, allocates nothing.
 * CEL_ERR_FORMAT where it is none or damaged (err->offset: the byte). */
CEL_API cel_status cel_npz_parse(const void *bytes, size_t size, cel_npz *out, cel_error *err);
/* The name of member i without ".npy", cut to capacity - 1 bytes and terminated. Returns its full length. */
CEL_API size_t cel_npz_name(const cel_npz *z, int64_t i, char *name, size_t capacity);
/* The last member of that name (CEL_ERR_ARG if there is none), its CRC-32 checked. The data of a stored one are in the
 * archive; a compressed one (numpy.savez_compressed) is unpacked into memory that z keeps until cel_npz_free, and its
 * out->offset is that of the member. */
CEL_API cel_status cel_npz_get(cel_npz *z, const char *name, cel_npy *out, cel_error *err);
/* Frees what cel_npz_get unpacked; arrays of it end with it. Nothing to do where all members are stored. */
CEL_API void cel_npz_free(cel_npz *z);
/* The matrix that scipy.sparse.save_npz wrote, of format csr, csc or coo: entries sorted, duplicates summed. Free with
 * cel_csr_free. */
CEL_API cel_status cel_npz_to_csr(cel_npz *z, cel_csr *out, cel_error *err);
/* Describes a as SciPy's five members, to be written; shape (2) is filled and, like a, must live until then. */
CEL_API void cel_npz_from_csr(const cel_csr *a, int64_t *shape, cel_npz_member *member);
/* A text (UTF-8, any length) as a member of kind 'u1': data and count of what cel_npz_get finds are its bytes,
 * for cel_file_parse_lines if it is a list; in Python z["name"].tobytes().decode(). */
CEL_API cel_npz_member cel_npz_text(const char *name, const char *text);

/* One string a line of a text of `size` bytes: bytes kept as they are, "\r\n" ends a line as "\n" does, a
 * last line needs neither, a leading byte order mark is dropped. CEL_ERR_FORMAT for a NUL byte (err->offset
 * is the line, from 1). *lines (count, and a NULL after them) is one allocation: free with cel_file_free. */
CEL_API cel_status cel_file_parse_lines(const void *bytes, size_t size, char ***lines, int64_t *count,
                                        cel_error *err);
/* The inverse: a text of `count` lines, each ended by "\n". CEL_ERR_DATA if a line has an end within
 * (err->offset its number, from 1). Free *text with cel_file_free. */
CEL_API cel_status cel_file_join_lines(char *const *lines, int64_t count, char **text, cel_error *err);
/* Frees what a function of this room allocated; NULL is fine. */
CEL_API void cel_file_free(void *p);

/* How a table is read. All-zero: a cell a row, header and names found out, every column a number. */
typedef struct cel_table_options {
    int genes_are_rows; /* 1: the file has a gene a row, and is turned (not needed for a 10x folder) */
    int header;         /* 1 / -1: a text's first line is a header / is none; 0: by its looks */
    int row_names;      /* 1 / -1: a text's first column holds names / does not; 0: by its looks */
    int dense;          /* 1: a sparse matrix is made dense */
    const char *const *pick; /* (picks) the columns of a text that are wanted, in this order, by name */
    int64_t picks;           /* 0: all, or with a label none */
    const char *label;       /* a column of a text that holds words, or NULL; not with genes_are_rows */
    int64_t limit;           /* bytes of memory for what is read; 0: CEL_UNPACK_LIMIT */
    int places;              /* 1: columns (up to 3, of a text or .npy) are coordinates: a large offset, of stages or
                                maps, is taken off in double before they are rounded, and returned in shift */
} cel_table_options;

/* Numbers with the names of their rows (cells) and columns (genes). They are in x or in sparse, the other is empty; to
 * keep one, copy it and zero it here. Free with cel_table_free. */
typedef struct cel_table {
    int64_t rows, cols;
    cel_mat x;      /* (rows x cols) */
    cel_csr sparse; /* (rows x cols) of Matrix Market's coordinate files and SciPy's matrices */
    char **row;     /* (rows) names, or NULL where the file has none */
    char **col;     /* (cols) */
    char **label;   /* (rows) the words asked for, or NULL */
    double shift[3]; /* of places: what was taken off each column; 0 where the first place is within 65,536 */
    void *pool;     /* private: where the names are */
} cel_table;

/* The table in a file's bytes, of a kind that is found from them; gzip around it is unpacked:
 *   - text: CSV, TSV, semicolons or spaces between fields, quotes as in CSV, any line ends, UTF-8. The first line is a
 *     header if one of its fields (not the first) is no number, or if it is a field shorter than the second; the first
 *     column holds names if its first field is no number, or by its header. Numbers have a decimal point whatever the
 *     locale, and are within 1 ulp of what is written.
 *   - Matrix Market, coordinate or array, real, integer or pattern, general.
 *   - .npy with two dimensions; .npz of SciPy's (csr, csc, coo), or the first such array in one.
 * CEL_ERR_UNSUPPORTED names other kinds (.h5ad, .rds, ..) and says how to export them. CEL_ERR_FORMAT otherwise: of a
 * text err->offset is the line (from 1), err->gene the field (from 0). CEL_ERR_MEMORY, too, beyond the limit. */
CEL_API cel_status cel_table_parse(const void *bytes, size_t size, const cel_table_options *options, cel_table *out,
                                   cel_error *err);
CEL_API void cel_table_free(cel_table *table);

#if !defined(CELCOMEN_NO_STDIO)

/* The content of a file: read into memory (map == 0), or mapped where the system can (POSIX, a regular file) and
 * read elsewhere: a pipe works too, and is read once. A mapped file must not be shortened by another program
 * before it is closed. */
typedef struct cel_file {
    const void *bytes; /* (size), 64-byte aligned, never NULL after a success */
    size_t size;
    int mapped;
} cel_file;

/* Opens, and frees or unmaps. CEL_ERR_IO for what cannot be opened or read, CEL_ERR_MEMORY; *out is then all-zero. */
CEL_API cel_status cel_file_open(const char *path, int map, cel_file *out, cel_error *err);
CEL_API void cel_file_close(cel_file *file);
/* Writes to a temporary name in the same folder, then renames: path holds the whole content or what it held
 * before, and nothing else is left behind. Where the system can (POSIX) the content is on the disk before the
 * name is: a power cut leaves the old file or the new one. The writers below do the same. */
CEL_API cel_status cel_file_write(const char *path, const void *bytes, size_t size, cel_error *err);

/* A 2-D numeric .npy into a new matrix (cel_mat_free); of coordinates beyond 65,536 see cel_table_options. Bytes after
 * the data are refused (CEL_ERR_FORMAT), another number of dimensions too (CEL_ERR_SHAPE). */
CEL_API cel_status cel_npy_matrix(const char *path, cel_mat *out, cel_error *err);
/* A 1-D (rows x 1) or 2-D (rows x cols) .npy of integers, as above; *data is freed with cel_file_free. */
CEL_API cel_status cel_npy_integers(const char *path, int64_t **data, int64_t *rows, int64_t *cols, cel_error *err);
CEL_API cel_status cel_npz_csr(const char *path, cel_csr *out, cel_error *err);
/* cel_file_parse_lines of a file, also of one in gzip. */
CEL_API cel_status cel_file_lines(const char *path, char ***lines, int64_t *count, cel_error *err);
/* cel_table_parse of a file; or of a folder of 10x Genomics with matrix.mtx, features.tsv (genes.tsv) and barcodes.tsv,
 * each as it is or in gzip: names of genes are the second column, and whether the matrix has genes in its rows (as 10x
 * writes it) or cells is seen from the number of names. */
CEL_API cel_status cel_table_read(const char *path, const cel_table_options *options, cel_table *out, cel_error *err);

/* An array as an .npy file. CEL_ERR_ARG for a description that no such file can have, CEL_ERR_IO. */
CEL_API cel_status cel_npy_write(const char *path, const cel_npy *a, cel_error *err);
/* A matrix or view as a 2-D array of cel_real. */
CEL_API cel_status cel_npy_write_matrix(const char *path, cel_mat a, cel_error *err);
/* An archive of `count` arrays, stored: at most 65,534 and 4 GiB (CEL_ERR_ARG). The same arrays give the same
 * bytes. */
CEL_API cel_status cel_npz_write(const char *path, const cel_npz_member *member, int64_t count, cel_error *err);

/* A memo in a file: a log, to which what is saved is added with its CRC-32, so that whenever the program ends, kill -9
 * and power cuts included, all but what was being written is found again. mark (size bytes) is what the parts depend
 * on: the options, and a sum over the input; version, number type and kernel level are looked after here.
 * Opens the file, *found receiving the number of its parts, or makes it. A damaged or torn end is taken off. What was
 * replaced takes no more room than what was not, and 16 MiB. One process at a time. CEL_ERR_DATA: a checkpoint of
 * another mark, or of another version, number type or level (err->what); CEL_ERR_FORMAT: another file; CEL_ERR_IO. What
 * is there is then left alone. `save` fails with CEL_ERR_IO or CEL_ERR_MEMORY. */
CEL_API cel_status cel_keep_open(const char *path, const void *mark, size_t size, cel_keep *out, int64_t *found,
                                 cel_error *err);
/* Closes the file, which stays. All-zero afterwards. Copies of *out, with a `part` of their own, end with it. */
CEL_API void cel_keep_close(cel_keep *keep);

#endif

/* ======================================================================== */
/* tissue: expression, scaling there and back, places, neighbour graphs     */
/* ======================================================================== */

/* Functions that change X (S x n) in place leave it untouched on error. */

/* From counts to log-normalised expression. All-zero: scaled to 10,000 a cell, then log1p. */
typedef struct cel_slide_options {
    double target_sum; /* a cell's counts are scaled to this total; 0 = 1e4 (published: 1e6), negative = not scaled */
    int no_log;        /* non-zero leaves out x <- log(1 + x) */
} cel_slide_options;

/* In place on counts X (S x n): library-size scaling and log1p, cell by cell. options may be NULL. Rows of zeros
 * stay. CEL_ERR_DATA for a negative, NaN or infinite count (err: cell, gene). */
CEL_API cel_status cel_slide_scale(cel_mat x, const cel_slide_options *options, cel_error *err);
/* In place on X (S x n): every row divided by its length. Rows of zeros stay, keep[i] (S, or NULL) tells 1
 * for a usable row and 0 for zeros, and *zeros (or NULL) counts them; where both are NULL a row of
 * zeros is CEL_ERR_DATA (err: cell). NaN or infinity is CEL_ERR_DATA (err: cell, gene); keep and *zeros are then 0. */
CEL_API cel_status cel_slide_unit(cel_mat x, uint8_t *keep, int64_t *zeros, cel_error *err);

/* What kind of numbers a matrix holds. */
typedef enum cel_kind {
    CEL_KIND_COUNTS = 0, /* molecules or reads */
    CEL_KIND_LOGNORM,    /* counts that were scaled and logged, x = log1p(q) */
    CEL_KIND_INTENSITY,  /* fluorescence and the like: no library size */
    CEL_KIND_UNIT        /* rows to be taken as they are, but for their length */
} cel_kind;

/* What a matrix looks like, so that a user who names another kind can be warned. */
typedef struct cel_slide_report {
    double whole, zeros;    /* shares of all values: whole numbers, zeros */
    double lowest, largest; /* values */
    int64_t empty;          /* cells of nothing but zeros */
    double multiples;       /* of the values above 0 in a sample of cells, the share that is a whole multiple of its */
    double log_multiples;   /* cell's smallest one: near 1 for scaled counts; the same of expm1(x): for logged ones */
    cel_kind likely;        /* COUNTS (scaled ones if whole is not near 1), LOGNORM or INTENSITY */
} cel_slide_report;

/* Looks at X (S x n); total (S, or NULL) receives each cell's sum: what cel_scaling_fit wants, taken before genes are
 * left out. CEL_ERR_DATA for NaN or infinity (err: cell, gene), outputs zeroed. */
CEL_API cel_status cel_slide_describe(cel_mat x, double *total, cel_slide_report *report, cel_error *err);

/* What makes a gene worth keeping. */
typedef enum cel_genes_by {
    CEL_GENES_MEAN = 0, /* the most expressed: highest mean of X. Counts say most about these */
    CEL_GENES_VARIABLE  /* the most variable, by the classic Seurat flavour: prefers rare genes */
} cel_genes_by;

/* All-zero: every gene. */
typedef struct cel_genes_options {
    cel_genes_by by;
    int64_t top;         /* so many of the highest score; 0 = all that pass */
    int64_t min_cells;   /* leave out genes that are expressed (not 0) in fewer cells; 0 = none is left out */
    const double *total; /* (S) VARIABLE on counts: each cell's total; NULL: X is log data, x = log1p(q) */
} cel_genes_options;

/* Genes to keep of X (S x n, S >= 2): index (top, else n) receives *count columns, ascending; ties go to the lower
 * one. For all genes (n), or NULL: cells, in how many each is expressed; score, its mean, or for VARIABLE: mean and
 * dispersion (variance / mean) of q (counts scaled to 1e4; expm1(x)), their logarithms, 20 bins of equal width in
 * log1p(mean), (log dispersion - its mean in the bin) / its standard deviation in the bin. A gene alone in its bin
 * scores 1, one that does not vary or is left out -infinity. CEL_ERR_DATA for NaN, infinity, and for VARIABLE a
 * negative value or log data above 700 (err: cell, gene). On error *count is 0. Allocates about 6 n doubles. */
CEL_API cel_status cel_slide_genes(cel_mat x, const cel_genes_options *options, int32_t *index, int64_t *count,
                                   int64_t *cells, double *score, cel_error *err);

/* From the user's numbers to the rows that a fit takes, and back (manual, section 6). With l_i a cell's total over
 * ALL measured genes, t their median, g its group (slide, or slide and type):
 *   q_ik = t y_ik / l_i,  v_ik = log(1 + q_ik)           the library size taken out, the noise of large counts evened
 *   z_ik = (v_ik - m_gk) / s_k                            mean 0 in each group, standard deviation 1
 *   r_i  = z_i - c_i u,  c_i = u . z_i                    without what a change of library size does to z:
 *   x_i  = r_i / L_i,    L_i = |r_i|                      u_k ~ mean_i (dv / dlog l = q / (1 + q)) / s_k, |u| = 1
 * log-normalised data start at v, with q = expm1(v); intensities have q = y, v = q, or log1p(q) where asked for, and
 * no u. With L_i, c_i, l_i and g kept every step has an inverse, so that nothing is lost. */
typedef struct cel_scaling_options {
    cel_kind kind;
    double target; /* COUNTS: the total t to scale to; 0 = the median of the totals, negative = not scaled, q = y */
    int log;       /* v = log1p(q)? 1 yes, -1 no, 0 = COUNTS yes, INTENSITY no; LOGNORM is logged already */
    int size;      /* take u out? 1 yes, -1 no, 0 = COUNTS yes, LOGNORM where all values are in 0..30, else no */
    int plain;     /* 1: x_i = v_i / |v_i| as published: m = 0, s = 1, no u. UNIT always is */
} cel_scaling_options;

/* As cel_scaling.log: of rows that cel_count_fit makes, and nothing else. */
#define CEL_LOG_LATENT 2

/* What was taken out of one cell's row. */
typedef struct cel_scaling_cell {
    double total;  /* l_i; 0 for a cell without counts */
    double length; /* L_i; 0 for a cell without a row: no counts, no group, or nothing left after centring */
    double size;   /* c_i */
    int32_t group; /* g; negative: of no group */
} cel_scaling_cell;

/* All that is needed to map both ways. Free with cel_scaling_free; all-zero is none. */
typedef struct cel_scaling {
    cel_kind kind;
    int log;                       /* v = log1p(q); CEL_LOG_LATENT: v = log(q), q > 0 a rate that is never seen */
    int64_t genes, groups, cells;  /* n, G, S */
    double target;                 /* t; 0: not scaled */
    double *centre, *scale, *size; /* m (G x n), s (n), u (n); each NULL where that step is left out */
    cel_scaling_cell *cell;        /* (S) */
} cel_scaling;

/* Measures X (S x n) and makes its rows in place. total (S, or NULL: row sums); group (S, labels from 0 below S, one
 * group where NULL): cells of negative label, like those without counts, are not measured and get rows of zeros, with
 * length 0 in scaling->cell. options may be NULL. CEL_ERR_DATA: NaN, infinity, a negative count, a total below the
 * row's sum (err: cell), a gene that does not vary within the groups (err: gene; see cel_slide_genes). On error
 * out is all-zero. X is read three times and written once; sums are in double, in blocks of 1,024 cells of a group: the
 * same bits for any number of threads. Allocates about 6 n doubles a block and 80 bytes a cell. */
CEL_API cel_status cel_scaling_fit(cel_mat x, const double *total, const int32_t *group,
                                   const cel_scaling_options *options, cel_scaling *out, cel_error *err);
/* The same steps on other cells of the same genes: rows in place of X, cell (S) receives what was taken out of each.
 * total NULL (row sums) only where the fit had NULL. group as above, labels below scaling->groups. On error cell is
 * zeroed. */
CEL_API cel_status cel_scaling_apply(const cel_scaling *scaling, cel_mat x, const double *total, const int32_t *group,
                                     cel_scaling_cell *cell, cel_error *err);
CEL_API void cel_scaling_free(cel_scaling *scaling);

/* Units in which a user reads and sets expression. */
typedef enum cel_unit {
    CEL_UNIT_GIVEN = 0, /* as X was: counts at the cell's own total, log-normalised values, intensities */
    CEL_UNIT_LOG,       /* v: differences are log fold changes where expression is high */
    CEL_UNIT_TYPICAL,   /* q: counts at the median total */
    CEL_UNIT_FOLD       /* cel_scaling_hold only: times the cell's own q */
} cel_unit;

/* Values (S x n, may be rows) of rows (S x n) in a unit: v = m_g + s (L_i x_i + c_i u), then q and y. Rows that a
 * sampler drew take the lengths and sizes of the cells they stand for; values below 0 then mean less than no
 * expression. Cells without a row (length 0) get zeros. */
CEL_API cel_status cel_scaling_values(const cel_scaling *scaling, cel_unit unit, cel_mat rows,
                                      const cel_scaling_cell *cell, cel_mat values);
/* The row (n) the cell would have had with gene[j] at value[j] (count each) in place of its own: projected and
 * normalised again, in place, with *cell. Its coordinate x_a is what a sampler holds for "gene a at this value". With
 * d = (z'_a - z_a) / L and w = 1 - u_a^2 it is (x_a + d w) / sqrt(1 + 2 d x_a + d^2 w) for one gene: rising in the
 * value, within -sqrt(w) .. sqrt(w). cel_scaling_values with the new *cell gives the value back. CEL_ERR_DATA for a
 * cell without a row and a value that is NaN, infinite or a negative count, CEL_ERR_ARG for a gene out of range (err:
 * gene); row and *cell are then untouched. */
CEL_API cel_status cel_scaling_hold(const cel_scaling *scaling, cel_unit unit, int64_t count, const int32_t *gene,
                                    const double *value, cel_real *row, cel_scaling_cell *cell, cel_error *err);

/* Where expression comes from, and how rows are made of it when they are read: nothing need be held dense. A mapped
 * file (cel_file_open, then cel_npy_parse) may be larger than memory. The arrays stay the caller's. */
typedef struct cel_rows {
    int64_t cells, genes;       /* S, n */
    cel_mat dense;              /* one of three: a matrix, */
    const cel_csr *sparse;      /* a sparse one, */
    const cel_npy *array;       /* or an array of two dimensions and any number type */
    int mapped;                 /* 1: array lies in a file that is mapped (cel_file.mapped): pages are let go of again
                                   when they have been read, so that memory does not grow with the file */
    const int32_t *row;         /* (S) rows of that store, or NULL: all in turn. Cells left out, shuffled, a band */
    const int32_t *gene;        /* (n) columns of that store, all different, or NULL: all */
    const cel_scaling *scaling; /* NULL: values as stored; else rows are prepared by it and by its cell[i] of cell i */
} cel_rows;

/* cel_slide_describe, cel_slide_genes (both with scaling left aside): the same results; a sparse store takes time by
 * its entries. err: cells and genes of rows. CEL_ERR_ARG, CEL_ERR_SHAPE, here and below, for what rows cannot be. */
CEL_API cel_status cel_rows_describe(const cel_rows *rows, double *total, cel_slide_report *report, cel_error *err);
CEL_API cel_status cel_rows_genes(const cel_rows *rows, const cel_genes_options *options, int32_t *index,
                                  int64_t *count, int64_t *cells, double *score, cel_error *err);

/* What centres, scales and the size direction follow from, additive over cells: over chunks, or the ranks of a cluster.
 * The arrays stand one after another from `cells` on, so that a sum is that of `count` doubles:
 *     for (i = 0; i < a.count; i++) a.cells[i] += b.cells[i];
 * Free with cel_scaling_sums_free. */
typedef struct cel_scaling_sums {
    int64_t genes, groups;        /* n, G */
    int64_t count;                /* G (1 + 3 n) */
    double *cells;                /* (G) cells measured */
    double *sum, *square, *slope; /* (G x n) of v, of v^2, and of dv / dlog q = q / (1 + q) */
} cel_scaling_sums;

/* The light pass over rows (scaling left aside): total, group and options as of cel_scaling_fit, group labels below
 * groups. What depends on all parts must be said: the target of COUNTS (for the median of all, gather the totals), the
 * size of LOGNORM; else CEL_ERR_ARG. A part may be without cells of a group, or measured by itself. */
CEL_API cel_status cel_rows_sums(const cel_rows *rows, const double *total, const int32_t *group, int64_t groups,
                                 const cel_scaling_options *options, cel_scaling_sums *out, cel_error *err);
CEL_API void cel_scaling_sums_free(cel_scaling_sums *sums);
/* cel_scaling_fit of rows (scaling left aside), which are not written: total, length and size of every cell are in
 * out->cell, ready for rows->scaling. Measured on these rows, or as sums (NULL: none) of the same options have it: then
 * labels are below its groups, and a gene whose deviation is below some 3e-6 of its size counts as not varying. Reads
 * every row three times: to check and sum it, to measure (not with sums), for its length. */
CEL_API cel_status cel_rows_scaling(const cel_rows *rows, const double *total, const int32_t *group,
                                    const cel_scaling_options *options, const cel_scaling_sums *sums, cel_scaling *out,
                                    cel_error *err);
/* cel_scaling_apply of rows (scaling left aside), which are not written: cell (S) is what goes with this scaling. */
CEL_API cel_status cel_rows_apply(const cel_rows *rows, const cel_scaling *scaling, const double *total,
                                  const int32_t *group, cel_scaling_cell *cell, cel_error *err);
/* Cells list[first], list[first + 1], .. (NULL: first, first + 1, ..) become the rows of out (count x n): as stored, or
 * prepared, in the arithmetic of cel_scaling_fit. On error out is zeroed. */
CEL_API cel_status cel_rows_read(const cel_rows *rows, const int32_t *list, int64_t first, cel_mat out, cel_error *err);

/* Places. coords (S x 2 or 3); slide (S, labels in 0..S-1, or NULL for one slide). CEL_ERR_DATA for a coordinate that
 * is NaN, infinite or beyond 1e150 (err: cell, gene = column). Distances are computed in double. Same result for
 * any number of threads. */

/* Cuts every slide into per_side x per_side spatial tiles of nearly equal numbers of cells: strips of equal
 * count in the first coordinate, each cut into equal counts in the second. tile (S) receives labels, tiles of a slide
 * numbered together, 0..*tiles-1; every label is used where each slide has at least per_side squared cells, else
 * fewer tiles are made. On error both are zeroed. */
CEL_API cel_status cel_slide_tiles(cel_mat coords, const int32_t *slide, int64_t per_side, int32_t *tile,
                                   int64_t *tiles, cel_error *err);

/* Neighbour graphs. Row i of the result lists the neighbours of cell i, never i itself; no edge leaves its slide.
 * Exact, in O(S log S), nothing of size S x S. On error out is empty. */

/* The k nearest others, value 1; equal distances go to the lower index, and cells at the same place are neighbours
 * like any other. A slide of k cells or fewer is CEL_ERR_DATA (err: its first cell), unless fewer is
 * non-zero: its cells then have all the others as neighbours. */
CEL_API cel_status cel_graph_knn(cel_mat coords, const int32_t *slide, int64_t k, int fewer, cel_csr *out,
                                 cel_error *err);
/* All cells at a distance d with inner <= d < outer and d > 0 (the published rule: inner = 0; cells at the
 * same place are not neighbours). 0 <= inner < outer. Bands that share a border share no pair. Symmetric;
 * a cell may have no neighbour. Values are 1 (decay 0), or exp(-d^2 / decay^2) for what fades with distance. */
CEL_API cel_status cel_graph_radius(cel_mat coords, const int32_t *slide, double inner, double outer, double decay,
                                    cel_csr *out, cel_error *err);
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
    double decay;         /* above 0: with values that fade, exp(-d^2 / decay^2) */
} cel_graph_options;
CEL_API cel_status cel_graph_make(cel_mat coords, const int32_t *slide, const cel_graph_options *options, cel_csr *out,
                                  cel_error *err);
/* The cells slide by slide in the order of the leaves of a k-d tree, so that cells near in space are near in
 * memory when they are stored so: order (S, zeroed on error) receives a permutation, cell order[r] comes r-th. */
CEL_API cel_status cel_graph_order(cel_mat coords, const int32_t *slide, int32_t *order, cel_error *err);

/* What deserves a warning before a fit. */
typedef struct cel_graph_report {
    double nearest;          /* median distance of a cell to the nearest other one of its slide */
    double resolution;       /* step of cel_real at the largest coordinate: places closer than that are one place */
    int64_t coinciding;      /* cells that share their place with another one */
    int64_t isolated, most;  /* of graph: cells without a neighbour; the largest number of neighbours */
    double mean;             /* mean number of neighbours */
} cel_graph_report;

/* Looks at coords and, unless NULL, at a graph (S x S) on them. On error report is zeroed. */
CEL_API cel_status cel_graph_describe(cel_mat coords, const int32_t *slide, const cel_csr *graph,
                                      cel_graph_report *report, cel_error *err);

/* A slide, or several, as measured. The arrays stay the caller's and are not written to. */
typedef struct cel_slide {
    cel_mat x;            /* (S x n) counts, or what the recipe says */
    cel_mat coords;       /* (S x 2 or 3) */
    const int32_t *slide; /* (S) labels from 0, or NULL: one slide */
    const int32_t *type;  /* (S) labels from 0 of types that are centred each by itself, or NULL */
    const double *total;  /* (S) totals over all genes that were measured, or NULL: x has them all */
} cel_slide;

/* How it becomes rows and neighbours. All-zero, or NULL: counts, the 100 genes of the highest mean, 6 neighbours, 6 x 6
 * tiles a slide. */
typedef struct cel_slide_recipe {
    cel_scaling_options scaling;
    cel_genes_by genes_by;
    int64_t top, min_cells; /* genes: 0: 100, or all where there are fewer, in 10 cells or more */
    cel_graph_options graph;
    int64_t tiles;          /* a side; 0: 6 */
} cel_slide_recipe;

/* What came of it: the cells and genes that could be used, and whose they were. Free with cel_slide_rows_free. */
typedef struct cel_slide_rows {
    cel_mat x, coords;    /* (C x m) rows of unit length; (C x 2 or 3) */
    int32_t *cell, *gene; /* (C), (m) rows and columns of the caller's slide, ascending */
    int32_t *slide, *tile; /* (C) labels; tile runs over all slides */
    int64_t slides, tiles;
    cel_scaling scaling;  /* its cells are those kept */
    cel_csr graph;        /* (C x C) */
    void *owned;
} cel_slide_rows;

/* From a slide to rows, neighbours and tiles: cel_slide_genes, cel_scaling_fit, cel_graph_make and cel_slide_tiles in
 * turn, without the cells that have no counts. Errors as of those, in the caller's cells and genes; CEL_ERR_SHAPE for
 * coordinates of another number of cells. Allocates a copy of the kept columns and what the graph needs. */
CEL_API cel_status cel_slide_prepare(const cel_slide *slide, const cel_slide_recipe *recipe, cel_slide_rows *out,
                                     cel_error *err);
CEL_API void cel_slide_rows_free(cel_slide_rows *rows);

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
    void *memory;     /* owns the arrays */
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
    int64_t hops;          /* 0: 1; a relation for each number of steps, unweighted from the second on: "inter_hop2" */
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
/* The same of any matrix that is stacked like the forces, such as a report's se, q or partial (R n x n): a view. */
CEL_API cel_mat cel_model_part(cel_mat stacked, int64_t r);
/* Fixes the gauge (manual, section 1): subtracts c I from force 0 so that its trace is 0. Returns c. */
CEL_API double cel_model_gauge(cel_model *m);
/* Rows without a direction u (n, of unit length), such as the size of a cel_scaling, live on the sphere orthogonal to
 * it, and so does their law. The same law in n - 1 coordinates: basis B (n x n-1, orthonormal, B^T u = 0) and a new
 * model of forces B^T F B and field B^T h, for rows X B; X = (X B) B^T. */
CEL_API cel_status cel_model_reduce(const cel_model *m, const double *direction, cel_mat basis, cel_model *out);
/* Where genes must keep their coordinates, because some are held: c u u^T is taken from force 0, c so large that rows
 * of all n coordinates stay near that sphere, closer than the model keeps any direction to its mean. */
CEL_API cel_status cel_model_confine(cel_model *m, const double *direction);

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
typedef struct cel_mean_field {
    double logz, kappa;
} cel_mean_field;
/* log Z = -S m.A m + S f(k), A = F_0 + (q/2) F_1, M = q F_1 + 2 F_0, k = |M m|, for a model of two
 * relations (intra, inter); mean (n). f is log((e^k - e^-k)/k) of the paper (CEL_SPHERE_PAPER), or
 * log |S^{n-1}| + phi_n(k) (CEL_SPHERE_RIGHT). Derivatives, each may be absent (data NULL): d_force (2 n x n),
 * by F_0 above that by F_1, and d_mean (n). */
CEL_API cel_status cel_model_logz(const cel_model *m, cel_sphere sphere, double q, int64_t cells, const double *mean,
                                  cel_mean_field *out, cel_mat d_force, double *d_mean);

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
    cel_scaling scaling;     /* how the rows were made, its cells left out; all-zero: not known */
    char **group;            /* (scaling.groups) names of what was centred apart, or NULL */
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
/* The same of rows wherever they are; label NULL: all to the one m. A thread reads some 1,024 cells along the
 * relations' walk, and their neighbours, into a tile, prepares them there and multiplies them: a row is read as often
 * as tiles hold it, about 1.2 times where cells that are near in space come near each other in the walk. The bits are
 * those of rows made before and added by label. Scratch besides: a tile a thread, of as many rows as 1,024 cells and
 * their neighbours may be. */
CEL_API cel_status cel_moments_add_rows(cel_moments *m, int64_t labels, const int32_t *label,
                                        const cel_relations *relations, const cel_rows *rows, cel_work *work);
/* into += scale * from; cells += round(scale) * from's. */
CEL_API cel_status cel_moments_sum(cel_moments *into, double scale, const cel_moments *from);
/* The mean row of X, mean (n), zeros for no cells. */
CEL_API void cel_moments_mean(const cel_moments *m, double *mean);
/* out (n x n) = X^T times block `block` of B: X^T X for 0, X^T N_block from 1 on. */
CEL_API cel_status cel_moments_cross(const cel_moments *m, int64_t block, double *out);
/* What X, of any lengths, looks like: each gene's mean and deviation (n), the correlations of genes within cells and of
 * x_a with N_b of block `block` (n x n), and moran (n), cov(x_a, N_a) / var(x_a), which is Moran's I times the mean row
 * sum of W. 0 where a gene does not vary. CEL_ERR_ARG for a block that is none or 0, CEL_ERR_DATA without cells. */
CEL_API cel_status cel_moments_correlate(const cel_moments *m, int64_t block, double *mean, double *deviation,
                                         double *moran, double *within, double *between);

/* The moments of a tissue in parts, and all that must be known of them to fit, and to add those of other slides or of
 * the other cells of these. Grams add up where the rows behind them were made alike: unit length is no linear step, so
 * that genes, scale, size direction and target must be those of all, while each slide has means of its own. */
typedef struct cel_moments_record {
    cel_model_record about; /* names of genes, relations, slides (1 or more), types and, where rows are centred, groups;
                               how relations and rows were made; no forces */
    int real;               /* bytes of the cel_real they were summed in; 0: this one's */
    int unnamed;            /* 1: the one slide bears the name of its file */
    int64_t parts;          /* P */
    cel_moments *part;      /* (P) tiles, cut where their slides are cut: what cel_score_fit_moments takes */
    cel_moments *shuffled;  /* (P) the same of a control whose cells changed places, or NULL */
    int32_t *slide, *tile;  /* (P) each part's slide, and its number, by which parts of one slide find each other */
    int64_t *contacts;      /* (R) entries of W_r in the rows of these cells */
    int64_t *slide_cells;   /* (slides) the cells of each whole slide */
    int64_t spans, *span;   /* (spans x 3) ascending: a slide, the first and the last + 1 of its cells in here */
    void *owned;
} cel_moments_record;

#if !defined(CELCOMEN_NO_STDIO)
/* Writes such a record as an archive of arrays that NumPy reads (manual, section 8), with a checksum over all of it.
 * CEL_ERR_ARG: names or numbers are missing or do not fit, or it is longer than 4 GiB. Allocates half of the grams. */
CEL_API cel_status cel_moments_write(const char *path, const cel_moments_record *record, cel_error *err);
/* Reads one; bare 1: without its grams, part and shuffled NULL. CEL_ERR_FORMAT: none, damaged, changed since it was
 * written, or its arrays do not fit each other; CEL_ERR_UNSUPPORTED: of another version. */
CEL_API cel_status cel_moments_read(const char *path, int bare, cel_moments_record *out, cel_error *err);
/* Adds to `into` what another has: slides that it has not, with their centres, and other cells of slides that it has,
 * which add up part by part, in the memory that into has; parts are then sorted by slide and tile. CEL_ERR_DATA where
 * rows or relations were made otherwise (err: what, gene), or where cells are in both (err->cell: the slide's number in
 * from). On error into is as it was. */
CEL_API cel_status cel_moments_merge(cel_moments_record *into, const cel_moments_record *from, cel_error *err);
#endif
/* How many cells of its slides are in no span; *slide: the first that lacks some, or -1. Fit when there are none. */
CEL_API int64_t cel_moments_missing(const cel_moments_record *record, int64_t *slide);
/* Frees what cel_moments_read and cel_moments_merge made; all-zero afterwards. */
CEL_API void cel_moments_record_free(cel_moments_record *record);

/* ======================================================================== */
/* solve: one quadratic problem; no public names                            */
/* ======================================================================== */

/* ======================================================================== */
/* score: score matching on the sphere, the estimator to use                */
/* ======================================================================== */

/* What is minimised (manual, section 6). Every form is quadratic in the forces and the field. */
typedef enum cel_score_form {
    CEL_SCORE_AUTO = 0, /* EXACT below 30 genes, MOMENT from there up, where the two agree */
    CEL_SCORE_MOMENT,   /* without the radial part: moments only, cells are read once */
    CEL_SCORE_EXACT,    /* J: two products over the cells a step */
    CEL_SCORE_ORTHANT,  /* J+, for data without negative entries: likewise */
    CEL_SCORE_PICK      /* AUTO's form or ORTHANT, whichever has the better held-out J+ over the groups;
                           AUTO's where an entry is negative */
} cel_score_form;

/* Whether cells feel a field h besides the forces. */
typedef enum cel_score_field {
    CEL_SCORE_FIELD_NONE = 0, /* the paper's model */
    CEL_SCORE_FIELD_SHARED,   /* one h for all cells */
    CEL_SCORE_FIELD_SLIDE     /* one h a slide, so that a slide's mean expression is not read as a force */
} cel_score_field;

/* Of measured data, at least so many groups must have contacts in a relation for its forces to be tested. */
#define CEL_SCORE_TILES 10

/* As a penalty's weight: picked by the held-out value over folds of the groups. */
#define CEL_SCORE_PICKED (-1.0)

/* All-zero, or NULL, means AUTO, no field, no penalty, no groups. With C = 4 tr(N_r^T N_r) / (n S), the mean
 * curvature of relation r's entries, and all forces in units of 1 / sqrt(C), the objective per cell gains
 *   ridge / 2 sum |F_r|^2  +  l1 sum over pairs (off the diagonals) |F_r,ab|,
 * with together: the l1 term is the sum over pairs of the length of the vector over relations. So weights are
 * pure numbers, comparable between slides. Diagonals are never in the l1 term. */
typedef struct cel_score_options {
    cel_score_form form;
    cel_score_field field;
    const int32_t *slide;  /* (S) labels 0, 1, ..: which only the per-slide field needs; NULL: one slide. The field of a
                              slide without cells is 0 */
    const int32_t *group;  /* (S) labels 0, 1, ..: spatial tiles (cel_slide_tiles) or slides, what the jackknife deletes
                              and what the folds are made of. NULL: no error bars, nothing can be picked. Tiles must
                              not cross slides with a per-slide field */
    double ridge;          /* 0: none; CEL_SCORE_PICKED, or a weight */
    double l1;             /* 0: none; CEL_SCORE_PICKED, or a weight; only one of the two can be PICKED */
    int together;          /* 1: all relations of a pair of genes enter or leave together */
    int64_t folds;         /* 0: 5, of which 2 are tried beyond 1,000 genes; or 2 or more, of consecutive groups, for
                              what is picked; at most the groups */
    double tolerance;      /* 0: 1e-5; residual at which the iteration ends, relative to the right-hand side */
    int64_t iterations;    /* 0: 500 (with l1: 5,000); at most so many steps a solution */
    int no_errors;         /* 1: no jackknife */
    const double *size;    /* (n) of unit length, or NULL: a direction that the rows are without, such as library size
                              (cel_scaling). The law then lives on the sphere orthogonal to it: n - 1 stands for n, and
                              the forces have no part along it. MOMENT only, without l1 */
    int measured;          /* 1: for measured data, below; MOMENT only */
    double test_ridge;     /* of measured data: the ridge of error bars and tests. 0: 0.01 */
    int no_shares;         /* of measured data: 1: without report->share, as for a control with shuffled positions */
    double memory;         /* 0: no limit; bytes: what needs more (cel_score_memory) is refused before it starts */
    cel_progress progress; /* stages "fit" (steps; value: residual), "pick" (solutions; held-out value), "errors"
                              (replicates), "shares" (solutions): these in turn, after as many as threads solve at a
                              time */
    const cel_keep *keep;  /* a memo, or NULL: of the moments, weights tried, solutions, replicates and shares */
} cel_score_options;

#define CEL_SCORE_PATH 24

/* measured: rows made from counts or intensities (COUNTS of the manual: centred, scaled, freed of the size direction,
 * unit length) call for another use of the same moments. With A = F_0 / n - I / 2 and G_r = F_r / n, x scaled by
 * sqrt(n) is to first order a Gaussian of precision - 2 A given its neighbours: the fit is that of
 *     least 1/2 <Theta, K Theta> + tr A,   Theta = (A; G_1; ..), all symmetric or general as before,
 * K the moments of (x, N_1, ..) about their means (take a field), each relation's scaled to mean diagonal 1, plus the
 * ridge: which shrinks towards no precision and no force rather than towards F_0 = 0. A PICKED ridge, of 10^1.5 ..
 * 10^-2.5, has the least held-out log residual variance of a gene given all else: of a held-out fold's moments
 *     mean over genes a of log (m_a K m_a^T),   m_a = (A_a. / A_aa, G_a. / A_aa).
 * report->partial has the forces in partial-correlation units, A_ab / sqrt(A_aa A_bb) and G_ab / sqrt(A_aa A_bb), and,
 * where there is a size direction u, in the gauge of fewest forces: since the rows have no part along u, adding
 * u c^T + c u^T to a force changes nothing; c is chosen for the least sum of absolute values off the diagonal, which
 * assumes that most pairs have no force (of symmetric forces; others keep the part along u at 0). It holds about n
 * pairs at 0: those up to 2/1000 of the mean size, and all pairs of fewer than 5 genes, have z 0 and q 1. Error bars
 * and tests are those of a second solution, report->test, at the
 * light test_ridge, in the same units: a ridge that predicts well lets forces within cells leak into those between. */

/* The recommended options for such rows: MOMENT, a field a slide, the ridge picked; size (n) as above, or NULL. Set
 * slide and group. */
CEL_API cel_score_options cel_score_measured(const double *size);

/* What a fit found out. Matrices are (R n x n) like the model's forces, data NULL where there are none. Free
 * with cel_score_report_free. */
typedef struct cel_score_report {
    cel_score_form form;        /* the form used */
    double ridge, l1;           /* the weights used */
    int64_t iterations;         /* steps of the solution itself */
    double residual;            /* reached, relative */
    int converged;              /* 1: the tolerance ended it */
    double value;               /* J per cell of the fit on its own data, of the form used, without penalties; measured:
                                   log residual variance a gene, as below */
    double held_out;            /* of PICKED or PICK: the best mean held-out J per cell (J+ of PICK), else 0; each held-
                                   out fold with the field that suits it best; measured: log residual variance */
    int path_end;               /* 1: what was picked is the heaviest weight of its path, -1: the lightest */
    double held_out_other;      /* of PICK: that of the form not chosen */
    int64_t path;               /* weights tried, heavy first, until held-out J per cell has risen twice in a row */
    double path_weight[CEL_SCORE_PATH], path_value[CEL_SCORE_PATH];
    int64_t groups;             /* of the jackknife; 0: no error bars */
    double zeros;               /* share of X's entries that are exactly 0; not from moments (0) */
    cel_mat se, z, p, q;        /* standard error, force / se, two-sided p of Student's t with groups - 1 degrees of
                                   freedom, and Benjamini-Hochberg q over the pairs of a relation: n (n - 1) / 2, or
                                   n (n - 1) where it is not symmetric. q is 1 on the diagonals: not tested */
    cel_mat field;              /* (slides x n), with CEL_SCORE_FIELD_SLIDE: each slide's h */
    int64_t *contacts;          /* (R) stored entries of W_r; of the identity, and of moments alone, 0 */
    int64_t *contact_groups;    /* (R) groups with cells that have such contacts */
    cel_mat partial, test;      /* measured: forces in partial-correlation units, at the ridge and at that of tests; se,
                                   z, p and q are those of test. q of a relation whose contacts touch fewer than
                                   CEL_SCORE_TILES groups is 1: not tested; nor are pairs that the gauge
                                   holds at 0. The diagonals of G, the same gene next door,
                                   have a z and a p: read them as domains or spill-over, not as forces */
    cel_mat share;              /* (3 x n), measured, with groups: of a gene's held-out variance, the share explained by
                                   the cell's other genes; by the same gene next door besides; by all genes next door
                                   besides (less than 0: worse than nothing). Each is a fit of its own at the ridge */
    double log_residual[3];     /* the same three as log residual variance, mean over genes */
} cel_score_report;

/* All-zero afterwards. */
CEL_API void cel_score_report_free(cel_score_report *report);

/* Forces of X (S x n), rows of unit length, over the R relations. Several slides are one X with block-diagonal W.
 * out is made by the call (cel_model_free): gauge tr F_0 = 0, force r exactly symmetric where W_r is; its
 * field is h, or the mean over cells of the slides' h. report (or NULL) receives the rest.
 * A jackknife replicate is the same fit, weights kept, without one group, warm-started, solved until its error is
 * a small part (under a tenth) of the standard error. Error bars of ORTHANT are of no use where report->zeros is not
 * small: exact zeros are atoms that its model lacks, they hardly vary between groups, and q then calls nearly all
 * pairs. MOMENT solves replicates and folds side by side, one a thread.
 * CEL_ERR_ARG: an enum or a weight that is none; CEL_ERR_SHAPE: X is not of the relations' cells. CEL_ERR_DATA, err
 * says which: a value not finite (cell, gene), a row not of unit length (cell), a negative entry with ORTHANT (cell,
 * gene), a gene that no cell or one group alone has while no ridge is given (gene; not measured), a label out of range
 * or a tile across slides (cell), a group without cells (err->offset), fewer than two groups where groups are needed.
 * CEL_ERR_MEMORY: also what options->memory refuses (err->offset: bytes needed).
 * CEL_ERR_NUMERIC: not finite; data where the minimum is not unique give one of the minima (use a ridge). Outputs are
 * zeroed on error. */
CEL_API cel_status cel_score_fit(const cel_relations *relations, cel_mat x, const cel_score_options *options,
                                 cel_model *out, cel_score_report *report, cel_error *err, cel_work *work);

/* The moment form from stored moments alone: moments (groups), one a group, so options->group is ignored;
 * options->slide (groups, or NULL): each group's slide. options->form must be AUTO or MOMENT. err->offset: the group at
 * fault. */
CEL_API cel_status cel_score_fit_moments(const cel_moments *moments, int64_t groups, const cel_score_options *options,
                                         cel_model *out, cel_score_report *report, cel_error *err, cel_work *work);

/* The most bytes that cel_score_fit has allocated at once beyond X and the relations, outputs included, for n = genes,
 * groups and slides as labelled (0: none), on the threads of now (cel_threads). Fewer genes, groups or threads take
 * less; MOMENT, unlike the others, does not grow with the number of cells. */
CEL_API double cel_score_memory(const cel_relations *relations, int64_t genes, int64_t groups, int64_t slides,
                                const cel_score_options *options);

/* J per cell of any model on any data, lower is better: MOMENT, EXACT (also AUTO) or ORTHANT. Differences between
 * models on the same cells say which predicts them better; values of different forms do not compare. each (S,
 * or NULL) receives every cell's. EXACT does not change with the gauge, MOMENT does. Scratch: 2 S n reals. On error
 * value and each are zeroed. */
CEL_API cel_status cel_score_value(const cel_model *model, const cel_relations *relations, cel_mat x,
                                   cel_score_form form, double *value, double *each, cel_work *work);
/* The same, MOMENT, from moments. */
CEL_API cel_status cel_score_value_moments(const cel_model *model, const cel_moments *moments, double *value);

/* Checks the above against their definitions on the user's own model and data, at up to `cells` cells spread over X
 * (rows of unit length): dH/dx_i of cel_model_energy against central differences of H, and J (any form but PICK)
 * against differences of that along all n (n - 1) / 2 rotations, by plain loops in double. worst receives the largest
 * difference, relative to the size of what is compared: 1e-4 or less in float, 1e-6 in double, where all is well.
 * O(cells R n^2). */
CEL_API cel_status cel_score_check(const cel_model *model, const cel_relations *relations, cel_mat x,
                                   cel_score_form form, int64_t cells, double *worst, cel_work *work);

/* Pseudo-likelihood, an independent referee: each (S, or NULL) receives log p(x_i | all other cells) with respect to
 * the sphere's area, mean their mean; higher is better. The normaliser is the Fisher-Bingham saddlepoint
 * approximation of Kume & Wood (2005), cel_sphere_log_fb. Unlike J it is a likelihood: nats per cell. On error mean
 * and each are zeroed. */
CEL_API cel_status cel_score_pseudo_likelihood(const cel_model *model, const cel_relations *relations, cel_mat x,
                                               double *mean, double *each, cel_work *work);

/* A slide's forces, and all that went into them. Free with cel_score_slide_free. */
typedef struct cel_score_result {
    cel_slide_rows rows;
    cel_relations relations; /* the identity and the neighbours */
    cel_model model;
    cel_score_report report;
} cel_score_result;

/* From a slide to forces in one call, as recommended: cel_slide_prepare, cel_relations_from_graph, cel_score_fit with
 * cel_score_measured. recipe may be NULL. Errors as of those, in the caller's cells and genes. */
CEL_API cel_status cel_score_slide(const cel_slide *slide, const cel_slide_recipe *recipe, cel_score_result *out,
                                   cel_error *err);
CEL_API void cel_score_slide_free(cel_score_result *result);

/* ======================================================================== */
/* shifts: which forces a condition changes                                 */
/* ======================================================================== */

/* Under condition c = 0 (the control), 1 .. C the forces are F + D^c, few entries of the shifts D^c other than 0, and
 * each slide has a field, so that a difference in the mean is no shift. Of measured rows (cel_score_measured), with
 * T = (A; G_1; ..) of F, T^c of F + D^c, K_c the moments of condition c and s_c its share of the cells:
 *     least  sum_c s_c (1/2 <T^c, K_c T^c> + tr A^c) + ridge / 2 |T|^2 + l1 sum_c w_c |D^c|_1,
 * one convex problem; w_c = 2 sqrt(s_c (1 - s_c)) as the noise of D^c; |.|_1 without the diagonals and, where there is
 * a size direction, in the gauge that is best for D. That selects. Tests are of the differences of each condition's own
 * fit at a light ridge, whose errors are known. What changes many forces a little, such as another depth,
 * is a shift of many pairs: prepare the rows together, and compare like with like. */
typedef struct cel_shift_report {
    int64_t conditions;   /* C */
    int64_t groups;       /* of the jackknife */
    double ridge, l1;     /* the weights used */
    int64_t path;         /* l1 weights tried, heavy first; the first leaves no shift */
    double path_weight[CEL_SCORE_PATH], path_value[CEL_SCORE_PATH]; /* held-out log residual variance a gene */
    /* All in partial-correlation units of the control. */
    cel_mat control;      /* (R n x n) its forces, at the ridge of tests */
    cel_mat sparse;       /* (C R n x n) selected shifts: those of condition c and relation r are block (c - 1) R + r */
    cel_mat shift, se, z, p, q; /* (C R n x n) shifts without l1, errors and tests as of cel_score_report; degrees of
                             freedom: the groups of the condition or of the control, whichever are fewer, less 1 */
    cel_mat target, target_se, target_p, target_q; /* (C x n) genes as targets: ranked by the sum of |sparse| over the
                             pairs that no better one has; of these pairs the sum of `shift`, with the signs of sparse,
                             its error, Simes' p of their tests, and q over the genes */
    void *owned;
} cel_shift_report;

/* Of moments (count), each of one condition, slide and group: condition (count) 0 .. C; options->slide (count, or NULL)
 * and options->group (count): tiles, slides or animals, which may have several slides and conditions. Groups are what
 * the jackknife deletes and folds are made of, alike of every condition. Other options as of cel_score_measured, with
 * l1, 0 being PICKED; together, the flags and memory are not used. Errors as of cel_score_fit_moments, and CEL_ERR_DATA
 * for only one condition, or one with fewer than two groups (err->offset). Memory: a problem of cel_score_fit for each
 * condition and thread. */
CEL_API cel_status cel_shift_fit(const cel_moments *moments, int64_t count, const int32_t *condition,
                                 const cel_score_options *options, cel_shift_report *report, cel_error *err,
                                 cel_work *work);
/* All-zero afterwards. */
CEL_API void cel_shift_report_free(cel_shift_report *report);

/* ======================================================================== */
/* chosen: many genes, chosen ones against all                              */
/* ======================================================================== */

/* With n = 20,000 genes no n x n matrix is kept, nor could all its pairs be told apart from some thousand cells: what
 * can be asked is which partners some genes have. Rows as measured (cel_score_measured), z = (x, N_1, ..) about their
 * means in each slide, each relation's scaled to mean diagonal 1, K its moments. Of (A; G_1; ..) = - 1/2 K^-1 only the
 * chosen genes' rows are made, through the cells: with Z (S x R n) the rows z,
 *     (K + ridge I)^-1 = (I - Z^T V Z) / ridge,   V = (Z Z^T + S ridge I)^-1   (S x S),
 * genes being read a tile at a time. Before it, Z is freed of its strongest factors (principal directions: types and
 * states of cells, domains), and of the size direction: what all genes share would drown what two do. In their place
 * stands what a direction has on average, so that factors are neither forces nor holes. Low rank beside sparse: forces
 * are those that the factors leave. The defaults are those that recovered planted forces best and called least that was
 * not there (bench/genes.md); screening pairs by correlation first finds the factors' pairs, not the forces. */
typedef struct cel_chosen_options {
    const int32_t *slide; /* (S) labels 0, 1, ..: means are taken in each; NULL: one slide */
    const int32_t *group; /* (S) labels 0, 1, .. of tiles or slides, for error bars and tests; NULL: none */
    const double *size;   /* (n) of unit length: a direction that the rows are without; NULL: that of rows->scaling */
    double ridge;         /* 0: 1, or R n / S where that is more */
    int64_t factors;      /* 0: 20, but at most n / 15; negative: none */
    double memory;        /* 0: no limit; bytes: what needs more (cel_chosen_memory) is refused before it starts */
    cel_progress progress; /* stages "kernel" and "chosen", a step a tile of genes */
} cel_chosen_options;

/* Matrices are (R c x n): row r c + k is chosen gene k in relation r, columns are all genes. Units and signs as in
 * cel_score_report: partial-correlation units, error bars by the jackknife over groups, Benjamini & Hochberg's q over
 * the chosen genes' pairs of a relation, a pair of two chosen genes counted once. q is 1 on a gene's own column, of
 * relations whose contacts touch fewer than CEL_SCORE_TILES groups, and between cells where R n > 10 S: so few cells
 * fit anything, and calls remain with positions permuted. se, z, p, q have data NULL without groups. */
typedef struct cel_chosen_report {
    int64_t genes, relations, count; /* n, R, c */
    int64_t groups, factors;         /* 0: no error bars; taken out */
    double ridge;
    cel_mat partial, se, z, p, q;
    double *share;                   /* (factors) of all the variance of (x, N_1, ..), strongest first */
    int64_t *contact_groups;         /* (R) groups with cells that have contacts */
    void *owned;
} cel_chosen_report;

/* Genes chosen (count, all different) of rows (S x n), of unit length as cel_scaling_fit makes them, whose relations
 * are all symmetric. A replicate leaves out a group, with scales, means and factors of the whole. The gauge of
 * cel_score_report is not looked for: it is of the size 1 / n. The time is some 5 R n S^2 operations, so this is for
 * some thousand cells; with many more, and genes up to two thousand, cel_score_fit takes all pairs. CEL_ERR_ARG: an
 * option, a gene that is none or stands twice (err: gene); CEL_ERR_SHAPE: rows and relations of other cells;
 * CEL_ERR_UNSUPPORTED: a relation that is not symmetric; CEL_ERR_DATA: a value not finite or a row not of unit length
 * (err: cell, gene), labels as in cel_score_fit; CEL_ERR_MEMORY, also what options->memory refuses (err->offset: bytes
 * needed); CEL_ERR_NUMERIC: more factors than the data have directions; CEL_ERR_STOPPED. On error the report is
 * all-zero. */
CEL_API cel_status cel_chosen_fit(const cel_rows *rows, const cel_relations *relations, const int32_t *chosen,
                                  int64_t count, const cel_chosen_options *options, cel_chosen_report *report,
                                  cel_error *err, cel_work *work);
CEL_API void cel_chosen_report_free(cel_chosen_report *report);
/* The most bytes that cel_chosen_fit has allocated at once beyond rows and relations, the report included: 2 S^2 reals,
 * 5 R count n reals, and some hundred a cell and gene. */
CEL_API double cel_chosen_memory(const cel_relations *relations, int64_t genes, int64_t count, int64_t groups,
                                 const cel_chosen_options *options);

/* ======================================================================== */
/* counting: forces through the counting itself                             */
/* ======================================================================== */

/* Counts as Poisson draws of a latent field whose law is the model's (manual, section 6). With l_i a cell's total over
 * the median total, g its level (slide, or slide and type), u ~ 1 / s the direction in which library size moves z,
 *     y_ik ~ Poisson(l_i exp(m_gk + s_k z_ik)),
 *     p(z_i | all others) ~ exp(-1/2 z_i^T L z_i + 2 z_i^T sum_r G_r (W_r z)_i),  L = -2 A + next to nothing along u,
 *     A = F_0 / (n - 1) - (I - u u^T) / 2,  G_r = F_r / (n - 1):
 * z is to measured rows what a rate is to its count, and forces mean the same. A law is a cel_model and a cel_scaling
 * whose log is CEL_LOG_LATENT, of rows (z - u (u . z)) / L_i, which all that takes a model and rows can use. */
typedef struct cel_count_data {
    const cel_relations *relations; /* of S cells, each symmetric */
    cel_mat counts;                 /* (S x n) */
    const double *total;            /* (S) over all genes that were measured; NULL: the sums of these */
    const int32_t *level;           /* (S) labels 0, 1, .. of cells with means of their own; NULL: one for all */
    const uint8_t *seen;            /* (n) 0: the gene's counts are not looked at, as to predict it; NULL: all are.
                                       Under a known law only */
} cel_count_data;

/* All-zero, or NULL, means the defaults. */
typedef struct cel_count_options {
    double ridge;          /* 0: 0.01; towards independent genes. From 0.02 on, q between cells is too low */
    const int32_t *group;  /* (S) labels 0, 1, ..: tiles, what the jackknife deletes; NULL: no error bars */
    const cel_model *model; /* a law that is known: nothing is fitted but means that are NaN in .. */
    const cel_scaling *scaling; /* .. its scaling, whose levels data->level names; NULL both: the law is fitted */
    double *each;          /* (S), or NULL: receives log p(y_i | the neighbours' counts), nats, higher is better; of
                              the neighbours z is the mode given their own counts alone, which have not seen y_i; the
                              integral over z_i is Laplace's. Of any law: other forces, or none (all zero) */
    cel_progress progress; /* stages "fit" (cycles; value: what moves, relative) and "errors" (replicates) */
    const cel_keep *keep;  /* a memo, or NULL: of a fit's cycles and replicates */
} cel_count_options;

/* Free with cel_count_free. */
typedef struct cel_count_result {
    cel_model model;         /* without field; like the report, only of a law that was fitted */
    cel_scaling scaling;     /* with its cells */
    cel_score_report report; /* partial (= test), se, z, p, q, contacts: as of measured data; ridge, iterations
                                (cycles), residual (what the last one moved), converged */
    cel_mat rows;            /* (S x n) latent rows. As expression, by cel_scaling_values: LOG, log counts at the median
                                total; TYPICAL, these counts; GIVEN, counts as expected */
    cel_mat error;           /* (S x n) standard deviations of the first, given counts and law */
} cel_count_result;

/* Expectation-maximisation: modes of z by conjugate gradient, covariances (L + diag(rate))^-1 of 32 bins of cells, then
 * the measured fit of cel_score_fit_moments to the moments of both. Neighbours come in by their means. Replicates redo
 * the cycles, side by side. CEL_ERR_DATA: a count that is negative or not finite (cell, gene), a total below the row's
 * sum (cell), a gene without counts (gene), a label out of range (cell), fewer than two groups. CEL_ERR_ARG: a relation
 * that is not symmetric (offset), fewer than three genes, the ridge. CEL_ERR_NUMERIC: nothing finite fits, or the law
 * is none. A cycle takes about 10 S n^2 products; memory is 4 S n reals, with error bars 2 S n a thread besides. On
 * error out is all-zero. */
CEL_API cel_status cel_count_fit(const cel_count_data *data, const cel_count_options *options, cel_count_result *out,
                                 cel_error *err);
CEL_API void cel_count_free(cel_count_result *result);

/* ======================================================================== */
/* published: the paper's estimator (CCE) and generator (SCE), and Adam     */
/* ======================================================================== */

/* The paper's method, whole and apart, to reproduce the paper; cel_score_fit and cel_sample_run are what to use on
 * data. Of the rooms below only perturb calls this one, in a single place (CEL_METHOD_PAPER) that sees whether it
 * is there: without both of its parts the rest of this file compiles. */

/* Adam (Kingma and Ba, 2015), usable for anything. With gradient g at step t = 1, 2, ...:
 *   m <- beta1 m + (1 - beta1) g,  v <- beta2 v + (1 - beta2) g^2,
 *   p <- p - lr (m / (1 - beta1^t)) / (sqrt(v / (1 - beta2^t)) + eps) - lr weight_decay p
 * (weight decay decoupled from the gradient: Loshchilov and Hutter, 2019). All-zero options mean
 * lr 0.001, beta1 0.9, beta2 0.999, eps 1e-8, no decay. */
typedef struct cel_adam_options {
    double lr, beta1, beta2, eps, weight_decay;
} cel_adam_options;

/* The state of an optimiser: running means of the gradient and of its square. */
typedef struct cel_adam {
    int64_t count; /* parameters */
    int64_t step;  /* steps taken */
    double *m, *v; /* (count) each */
} cel_adam;

/* A state of zeros for count parameters. Free with cel_adam_free (all-zero afterwards). */
CEL_API cel_status cel_adam_new(int64_t count, cel_adam *out);
CEL_API void cel_adam_free(cel_adam *a);
/* One step on param down grad, both of one shape with rows x cols = count. options may be NULL. Allocates nothing. */
CEL_API void cel_adam_step(cel_adam *a, cel_mat grad, const cel_adam_options *options, cel_mat param);

/* How the published method steps: plain gradient descent, or Adam. */
typedef enum cel_optimiser { CEL_OPTIMISER_SGD = 0, CEL_OPTIMISER_ADAM = 1 } cel_optimiser;

/* Of the fit and of the generator. All-zero means the published settings; a negative or NaN setting is CEL_ERR_ARG. */
typedef struct cel_paper_options {
    int64_t epochs;          /* 0: 200 of the fit, 50 of the generator */
    double lr;               /* step; 0: 0.05 of the fit, 0.001 of the generator */
    double zmft;             /* weight of the data (of H) against log Z; 0: 0.1 */
    double q;                /* number of neighbours in log Z; 0: 6 */
    cel_optimiser optimiser; /* SGD as published, or Adam with betas and eps as by default */
    cel_sphere sphere;       /* log Z as published, or of the right sphere (two genes or more) */
    cel_progress progress;   /* stage "fit" or "generate", a step an epoch, the epoch's loss */
    /* Of the fit alone. */
    const double *slide_q; /* (slides) q of each slide, such as its true mean degree; NULL: q for all */
    int no_projection;     /* 1: forces stay as stepped; 0: after every step they are made symmetric,
                              clamped to [0, 1], their diagonals set to 1 */
    int summed;            /* 1: one step an epoch down the sum of the slides' gradients; 0: a step a
                              slide, slides shuffled anew every epoch */
    double tolerance;      /* stop when an epoch changes the loss by at most this, relative; 0: never */
    uint64_t seed;         /* of the shuffle */
    /* Of the generator alone. */
    int no_log_z; /* 1: plain ascent of zmft H; the model may then have any relations and a field */
    int64_t thin; /* `each` is called at epochs 0, thin, 2 thin, ... before the epoch's step; 0: 5 */
    int (*each)(void *user, int64_t epoch, cel_mat x); /* x (S x n); non-zero ends the run with CEL_ERR_STOPPED */
    void *each_user;
} cel_paper_options;

/* The published objective, for a model of two relations without a field (force 0 within, force 1
 * between cells):  loss = log Z - zmft (<F_1, X^T W X> + <F_0, X^T X>)       (manual, section 2) */
typedef struct cel_paper_value {
    double loss, log_z;
    double intra, inter; /* <F_0, X^T X> and <F_1, X^T W X>, without zmft */
    double kappa;        /* |(q F_1 + 2 F_0) m|; of several slides the largest */
} cel_paper_value;

/* What a published fit came to. */
typedef struct cel_paper_report {
    int64_t epochs;        /* epochs run */
    cel_paper_value final; /* at the fitted forces, summed over slides */
    double saturated;      /* share of off-diagonal entries of both forces at exactly 0 or 1 */
    int converged;         /* 1: the tolerance ended the fit */
} cel_paper_report;

/* The published start: both forces the same symmetric matrix of means of two uniforms on [0, 1), unit
 * diagonal. CEL_ERR_SHAPE unless the model has two relations. */
CEL_API cel_status cel_paper_start(uint64_t seed, cel_model *model);

/* The objective of one slide at the model's forces, and d_force (2n x n as model->force, or data NULL), its gradient
 * by them, not symmetrised. moments as from cel_moments_add of the identity and W. Of the options zmft, q
 * and sphere count; NULL: published. Allocates 4 n^2 doubles. Fails as cel_paper_fit does; outputs are then zeros. */
CEL_API cel_status cel_paper_loss(const cel_model *model, const cel_moments *moments, const cel_paper_options *options,
                                  cel_paper_value *loss, cel_mat d_force, cel_error *err);

/* The published estimator (manual, section 2), from and to the model's forces. moments (slides), one a
 * slide: cells are never touched again, an epoch costs O(slides n^2) whatever their number. With
 * projection on, an optimiser other than SGD sees the symmetric part of the gradient. losses (epochs, or
 * NULL) receives each epoch's loss: the sum over slides, each before its own step; entries of epochs
 * that were not run are 0. report may be NULL. Computes in double, on one thread: allocates 2 n^2 doubles (Adam 6 n^2)
 * and 2 n^2 more a slide, nothing in an epoch. CEL_ERR_SHAPE where model and moments do not fit, CEL_ERR_ARG for
 * options or a model with a field, CEL_ERR_DATA for a slide without cells, CEL_ERR_NUMERIC when the loss is no longer
 * finite: forces are then as given, losses and report zeros. CEL_ERR_STOPPED by progress keeps what was reached. */
CEL_API cel_status cel_paper_fit(const cel_moments *moments, int64_t slides, const cel_paper_options *options,
                                 cel_model *model, double *losses, cel_paper_report *report, cel_error *err);

/* Unit rows x (S x n) from angles (S x n-1), n >= 2 (manual, section 3):
 *   x_k = cos(t_k) prod_{j<k} sin(t_j),  x_n = prod_j sin(t_j).
 * work may be NULL, here and below: scratch is then allocated, O(n) whatever S is, and freed in the call. */
CEL_API cel_status cel_paper_from_angles(cel_mat angles, cel_mat x, cel_work *work);
/* The inverse, for rows of any length and any signs: t_k = atan2(|x after k|, x_k) in [0, pi], the last
 * atan2(x_n, x_{n-1}) in (-pi, pi]. The published knock-out starts from the angles of rows in which the gene was
 * set to 0. CEL_ERR_DATA with err->cell for a row of zeros or not finite. */
CEL_API cel_status cel_paper_to_angles(cel_mat x, cel_mat angles, cel_error *err);
/* d_angles (S x n-1) = dL/dt from d_x (S x n) = dL/dx, in O(n) a cell. d_angles may not overlap angles. */
CEL_API cel_status cel_paper_angles_gradient(cel_mat angles, cel_mat d_x, cel_mat d_angles, cel_work *work);
/* Independent normal angles; the published noise has mean pi and deviation pi/2. */
CEL_API void cel_paper_noise_angles(uint64_t seed, double mean, double deviation, cel_mat angles);

/* The objective at expression x (S x n), cells of unit length: the loss of cel_paper_value with the mean
 * row of x in log Z (manual, section 4), and its gradient d_x (S x n, or data NULL). Of the options zmft, q, sphere
 * and no_log_z count; NULL: published. inter sums all relations after the first and the field. Scratch as of
 * cel_model_energy. On failure, CEL_ERR_NUMERIC for a loss that is not finite foremost, outputs are zeros. */
CEL_API cel_status cel_paper_generate_loss(const cel_model *model, const cel_relations *relations, cel_mat x,
                                           const cel_paper_options *options, cel_paper_value *loss, cel_mat d_x,
                                           cel_error *err, cel_work *work);

/* The published generator (manual, section 4): gradient descent of that objective in the angles
 * (S x n-1), from and to `angles`. x (S x n, or data NULL) receives the expression after the last step;
 * losses (epochs, or NULL) each epoch's loss before its step; last (or NULL) the objective after the
 * last step. Nothing is held fixed. Allocates 2 S n reals (Adam 2 S n doubles more) and what
 * cel_model_energy needs, once. CEL_ERR_DATA for an angle that is not finite (err: cell, gene), CEL_ERR_NUMERIC when
 * the loss is no longer finite: outputs are then zeros, and angles those reached. CEL_ERR_STOPPED by a callback keeps
 * all that was reached. */
CEL_API cel_status cel_paper_generate(const cel_model *model, const cel_relations *relations,
                                      const cel_paper_options *options, cel_mat angles, cel_mat x, double *losses,
                                      cel_paper_value *last, cel_error *err);

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
    int centred;           /* 1: the mean row of each slide stays near 0, as that of rows that were centred by slide:
                              how much there is of what is not for the forces to say. H gains - n / 4 S |mean|^2 of
                              each slide of S cells, by a field that follows the mean from colour to colour: right
                              where a colour has many cells */
    const int32_t *slide;  /* (S) labels 0, 1, .. of centred slides; NULL: one */
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

/* What a run of the sampler was like, and what H it found. */
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

/* What an ascent came to. */
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

/* An estimate of log Z, and whether to believe it. */
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
/* likelihood: the law that generates the tissue, by sampling               */
/* ======================================================================== */

/* The law whose expected moments are the observed ones, as the paper asks (eq. A1, A2): maximum likelihood, whose
 * gradient takes samples instead of Z,
 *   d log P / dF_r = X^T W_r X - E[X^T W_r X],   d log P / dh = sum_i x_i - E[sum_i x_i].
 * Score matching gets each cell right given the others and says little about the tissue as a whole where the model is
 * wrong; this is the law to generate tissue from. A persistent chain of tissue takes a few sweeps under the forces of
 * now, and these a natural step along what observed and drawn moments differ by a cell, D (the blocks of B^T X, manual,
 * section 6): with K = B^T B / S, which is also the normal matrix of score matching, and C = X^T X / S,
 *   T += rate / 2 K^-1 D C^-1.
 * The rate falls to 0 in the second half of the steps, and the forces of that half are averaged. All-zero, or
 * NULL, means the defaults. */
typedef struct cel_likelihood_options {
    uint64_t seed;
    int64_t steps;         /* 0: 150; the second half starts earlier once D is no more than its Monte-Carlo error */
    int64_t sweeps;        /* of each chain a step; 0: 3 */
    int64_t chains;        /* 0: 1 */
    int64_t warmup;        /* sweeps of the chains before the first step, from noise; 0: 50, negative: none */
    int64_t check;         /* sweeps under the forces found, for the report, in 12 batches; 0: 120, negative: none */
    double rate;           /* 0: 0.2 */
    double ridge, l1;      /* log P a cell loses ridge / 2 sum |F_r|^2 + l1 sum over pairs |F_r,ab|, forces in units in
                              which the mean curvature of log P a cell is 1. With l1 K and C are no more than their
                              scales, or the steps would not end at its maximum: it takes some 300 of them */
    int field;             /* 1: a field h, the same for every cell */
    int centred;           /* 1: rows are centred by slide, and the law keeps each slide's mean near 0 (see
                              cel_sample_options): what the fields of slides are to score matching. Without, a tissue of
                              large domains has no such law: what is drawn falls to one of their sides */
    const int32_t *slide;  /* (S) labels of centred slides; NULL: one */
    const double *size;    /* (n) of unit length, or NULL: a direction that the rows are without, as in
                              cel_score_options; without l1, `hold` and the orthant */
    const cel_model *start; /* forces to start from; NULL: score matching, a light ridge */
    cel_sample_domain domain; /* the orthant; values and cells that are held as observed, such as those around a part
                              that is missing: chains then start at x */
    cel_mat chain;         /* (chains S x n), or data NULL: receives the chains, one above the other */
    int resume;            /* 1: chain holds those of an earlier call: they go on from there, without warm-up. Take
                              another seed, or they meet the random numbers of that call again */
    cel_progress progress; /* stages "likelihood", a step a step, the size of D over that of its error, and "check", a
                              step a batch */
    const cel_keep *keep;  /* a memo, or NULL: of every 10th step, with the chains and where they are in the random
                              numbers; not of a start that is not given */
} cel_likelihood_options;

/* What a fit came to, and whether the law has the observed moments: expected ones are those of the last `check` sweeps,
 * whose batches give the errors. Free with cel_likelihood_report_free. */
typedef struct cel_likelihood_report {
    int64_t steps;         /* taken */
    int floor;             /* 1: D came down to its Monte-Carlo error before half of the steps were taken */
    double acceptance, step; /* of the sampler, at the end */
    double energy, ess;    /* H a cell of the last sweeps; effective sample size of it */
    double gap, noise;     /* root mean squares of the entries of error and se */
    double within;         /* share of the pairs of genes, over all relations, with |error| <= 2 se */
    cel_mat error, se;     /* (R n x n) moments X^T W_r X a cell, observed - expected, and their Monte-Carlo error, that
                              of the forces, whose average is one of samples too, included */
    cel_mat partial;       /* (R n x n) forces in partial-correlation units, as of cel_score_report; data NULL on the
                              orthant and where a gene's precision is not positive */
    cel_mat trace;         /* (steps asked x 2) root mean square of D's entries, within cells and between */
} cel_likelihood_report;
CEL_API void cel_likelihood_report_free(cel_likelihood_report *report);

/* The forces of X (S x n), rows of unit length, over the R relations. out is made by the call (cel_model_free): gauge
 * tr F_0 = 0, force r exactly symmetric where W_r is. report may be NULL. A step allocates nothing; chains take S n
 * reals each. The same bits for any number of threads.
 * CEL_ERR_ARG for options out of range or at odds, CEL_ERR_SHAPE where shapes differ, CEL_ERR_DATA with err->cell for a
 * row not of unit length or not orthogonal to the size, CEL_ERR_NUMERIC where the steps diverge (a lower rate helps),
 * CEL_ERR_STOPPED by progress. Outputs are zeroed on error. */
CEL_API cel_status cel_likelihood_fit(const cel_relations *relations, cel_mat x, const cel_likelihood_options *options,
                                      cel_model *out, cel_likelihood_report *report, cel_error *err);

/* ======================================================================== */
/* perturb: interventions, sham control, paired effects                     */
/* ======================================================================== */

/* What is done to a cell. Values are in the units of unit rows, so |value| <= 1 (but see the setup's scaling); whatever
 * of the row is not held lives on the sphere of radius sqrt(1 - sum of the squares of the held values). */
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

/* One thing done to one or more cells: `what`, to `who`, and the fields that these two call for. */
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
    int any_value;            /* 1: values are not in units of rows, and may be beyond 1 */
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

/* How far a perturbation may reach. All-zero means the defaults. */
typedef struct cel_perturb_setup {
    int reach;                  /* R: cells further than R hops from every intervened cell are held as observed.
                                   0: the default, 3, so the least is 1. Negative: nothing is held, R = -reach
                                   only for reporting */
    const cel_relations *after; /* the relations with the new cells, of S + added cells, new ones last in the order of
                                   the interventions; NULL where no cell is added */
    const cel_scaling *scaling; /* how the rows were made: values of HOLD are then in `unit`, and cell by cell made
                                   coordinates of the row that the cell would have with them (cel_scaling_hold); NULL:
                                   they are coordinates */
    const cel_scaling_cell *cell; /* (S), with scaling: what was taken out of each row */
    cel_unit unit;
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
    cel_scaling_cell *cell[2]; /* (L) with a scaling: what cel_scaling_values needs for the arms' rows; else NULL */
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

/* How both arms find their way from the start to where they are compared. */
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
    const struct cel_paper_options *paper; /* PAPER, NULL: published */
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

/* What an intervention did: both arms, their difference, and tables of it. Free with cel_effect_free. */
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
#if defined(__linux__) /* all of <unistd.h> would bring names such as pipe, link and access into the caller's file */
#ifdef __cplusplus
extern "C" {
#endif
extern int close(int fd);
extern int fsync(int fd);
#ifdef __cplusplus
}
#endif
#else
#include <unistd.h>
#endif
#else
#define CELI_MMAP 0
#endif
#endif

#if defined(__linux__)
#if defined(__cplusplus)
#include <sys/mman.h>
#else /* by hand, because -std=c99 hides it, and neither speed nor memory should depend on that */
extern int madvise(void *start, size_t bytes, int advice);
#endif
#define CELI_MADV_DONTNEED 4
#define CELI_MADV_HUGEPAGE 14
#endif

#if defined(CELCOMEN_MALLOC) && defined(CELCOMEN_REALLOC) && defined(CELCOMEN_FREE)
#elif !defined(CELCOMEN_MALLOC) && !defined(CELCOMEN_REALLOC) && !defined(CELCOMEN_FREE)
#include <stdlib.h>
#if defined(__linux__)
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
#elif !defined(CELCOMEN_NO_SIMD) && defined(__wasm_simd128__)
#define CELI_WASM
#include <stdlib.h>
#endif

#if defined(__SANITIZE_ADDRESS__)
#define CELI_ASAN
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define CELI_ASAN
#endif
#endif
#if defined(CELI_ASAN)
#include <sanitizer/asan_interface.h>
#endif

#if defined(__GNUC__) || defined(__clang__)
#define CELI_NOINLINE __attribute__((noinline))
#else
#define CELI_NOINLINE
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

#if !defined(CELCOMEN_STATIC)
const char CEL_REAL_TYPE = 1; /* see the interface */
#endif

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

/* celi_fail for what has no place; success passes through, so that it can stand around a call or end a function. */
static CEL_UNUSED cel_status celi_note(cel_error *err, cel_status status, const char *what)
{
    return status ? celi_fail(err, status, what, -1, -1, -1) : CEL_OK;
}

static int64_t celi_min(int64_t a, int64_t b) { return a < b ? a : b; }
static int64_t celi_round_up(int64_t a, int64_t unit) { return (a + unit - 1) / unit * unit; }
static int celi_finite(double value) { return value >= -DBL_MAX && value <= DBL_MAX; }
static double celi_or(double value, double otherwise) { return value < 0 || value > 0 ? value : otherwise; }

/* Below so many numbers to touch, threads cost more than they bring: for the `if` of a parallel loop. */
enum { CELI_FORK = 1 << 16 };

/* Under AddressSanitizer what a block has beyond its bytes is poisoned: overruns would hide in the slack. */
#if defined(CELI_ASAN)
#define CELI_POISON(p, bytes) ASAN_POISON_MEMORY_REGION(p, bytes)
#define CELI_UNPOISON(p, bytes) ASAN_UNPOISON_MEMORY_REGION(p, bytes)
#else
#define CELI_POISON(p, bytes) ((void)0)
#define CELI_UNPOISON(p, bytes) ((void)0)
#endif

/* Stands right before every block: what the allocator returned, and how much of it. */
typedef struct celi_head {
    char *base;
    size_t whole;
} celi_head;

/* `bytes` of memory, zeroed or of undefined content. Every block is 64-byte aligned (a cache line, an AVX-512
 * register). Large ones of the C library begin on a huge page and ask the system for more, because it takes longer to
 * get as many small ones than to fill them. */
static void *celi_alloc_bytes(size_t bytes, int zeroed)
{
    size_t align = 64;
    celi_head head;
    char *p;
#if defined(CELI_HUGE_PAGE)
    if (bytes >= 4 * CELI_HUGE_PAGE) align = CELI_HUGE_PAGE;
#endif
    head.whole = bytes + align + sizeof head;
    if (head.whole < bytes || head.whole > (size_t)PTRDIFF_MAX) return NULL;
#if defined(CELI_CALLOC) /* knows which pages are fresh, hence zero */
    head.base = (char *)(zeroed ? CELI_CALLOC(head.whole) : CELCOMEN_MALLOC(head.whole));
#else
    head.base = (char *)CELCOMEN_MALLOC(head.whole);
    if (head.base && zeroed) memset(head.base, 0, head.whole);
#endif
    if (!head.base) return NULL;
    p = head.base + sizeof head;
    p += align - (uintptr_t)p % align;
    memcpy(p - sizeof head, &head, sizeof head);
#if defined(CELI_HUGE_PAGE)
    if (align == CELI_HUGE_PAGE) (void)madvise(p, bytes, CELI_MADV_HUGEPAGE); /* may be refused */
#endif
    CELI_POISON(head.base, (size_t)(p - head.base));
    CELI_POISON(p + bytes, (size_t)(head.base + head.whole - (p + bytes)));
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
    celi_head head;
    if (!p) return;
    CELI_UNPOISON((char *)p - sizeof head, sizeof head);
    memcpy(&head, (char *)p - sizeof head, sizeof head);
    CELI_UNPOISON(head.base, head.whole); /* the allocator may be one that reuses it */
    CELCOMEN_FREE(head.base);
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
    enum { CELI_HEAD = 64 }; /* keeps the alignment */
    void **block = NULL;
    if (pool->status) return NULL;
    if (count >= 0 && (!size || (uint64_t)count <= ((size_t)PTRDIFF_MAX - CELI_HEAD) / size))
        block = (void **)celi_alloc_bytes(CELI_HEAD + (size_t)count * size, 1);
    if (!block) {
        pool->status = CEL_ERR_MEMORY;
        return NULL;
    }
    *block = pool->last;
    pool->last = block;
    return (char *)block + CELI_HEAD;
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

/* Frees the blocks of a pool that an object keeps by its last one. */
static CEL_UNUSED void celi_chain_free(void *last)
{
    while (last) {
        void *block = last;
        last = *(void **)block;
        celi_free(block);
    }
}

static CEL_UNUSED void celi_pool_free(celi_pool *pool)
{
    celi_chain_free(pool->last);
    pool->last = NULL;
    pool->status = CEL_OK;
}

/* Where a part that is kept lies, or a piece of it. */
typedef struct celi_extent {
    void *data;
    size_t bytes;
} celi_extent;
enum { CELI_STAGE = 64 }; /* bytes of a stage's name, its end included */

/* The pieces, as one, from the memo or to it. CEL_ERR_DATA: it has none. */
static cel_status celi_keep_move(const cel_keep *keep, int save, const char *stage, int64_t step,
                                 const celi_extent *piece, int pieces)
{
    const char *const text[] = {keep->part ? keep->part : "", keep->part ? "/" : "", stage};
    char name[CELI_STAGE] = "", *whole, *at;
    size_t bytes = 0, n = 0;
    int k;
    cel_status status = CEL_OK;
    for (k = 0; k < 3; k++) {
        const size_t length = strlen(text[k]);
        if (n + length < sizeof name) memcpy(name + n, text[k], length);
        n += length;
    }
    for (k = 0; k < pieces; k++) bytes += piece[k].bytes;
    whole = (char *)celi_alloc_raw(bytes);
    if (!whole) return CEL_ERR_MEMORY;
    for (k = 0, at = whole; k < pieces && save; at += piece[k++].bytes)
        if (piece[k].bytes) memcpy(at, piece[k].data, piece[k].bytes);
    if (save) status = keep->save(keep->user, name, step, whole, bytes);
    else if (!keep->load(keep->user, name, step, whole, bytes)) status = CEL_ERR_DATA;
    for (k = 0, at = whole; k < pieces && !save && !status; at += piece[k++].bytes)
        if (piece[k].bytes) memcpy(piece[k].data, at, piece[k].bytes);
    celi_free(whole);
    return status;
}

/* 1: the part was kept, and is there again. */
static int celi_recall(const cel_keep *keep, const char *stage, int64_t step, const celi_extent *piece, int pieces)
{
    return keep && !celi_keep_move(keep, 0, stage, step, piece, pieces);
}
static cel_status celi_retain(const cel_keep *keep, const char *stage, int64_t step, const celi_extent *piece,
                              int pieces)
{
    return keep ? celi_keep_move(keep, 1, stage, step, piece, pieces) : CEL_OK;
}

CEL_API_DEF void *cel_work_get(cel_work *work, size_t bytes)
{
    if (!work->data || work->bytes < bytes) {
        void *p = celi_alloc_raw(bytes);
        if (!p) return NULL;
        celi_free(work->data);
        work->data = p;
        work->bytes = bytes;
    }
    CELI_UNPOISON(work->data, bytes);
    CELI_POISON((char *)work->data + bytes, work->bytes - bytes); /* of an earlier, larger request */
    return work->data;
}

CEL_API_DEF void cel_work_free(cel_work *work)
{
    cel_work *inner = work->inner;
    celi_free(work->data);
    while (inner) { /* a chain: its own links are allocated */
        cel_work *next = inner->inner;
        celi_free(inner->data);
        celi_free(inner);
        inner = next;
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

/* Inside of a parallel loop its caller has shared out the work already. */
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

/* The next of the four words of a block; a new block where they are used up. */
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
    cel_rng rng = CEL_ZERO;
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

/* Box and Muller (1958); 1 - u is on (0, 1], so that its logarithm is finite. */
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

/* log Gamma(x), x > 0, to rounding: Stirling's series (DLMF 5.11.1) from 12 on, smaller ones moved there by
 * Gamma(x + 1) = x Gamma(x). The C library's lgamma writes a global, its sign, and two threads would race. */
static double celi_log_gamma(double x)
{
    double moved = 1, r;
    for (; x < 12; x += 1) moved *= x;
    r = 1 / (x * x);
    r = 1.0 / 12 - r * (1.0 / 360 - r * (1.0 / 1260 - r * (1.0 / 1680 - r * (1.0 / 1188 - r * (691.0 / 360360)))));
    return (x - 0.5) * log(x) - x + 0.918938533204672741780 + r / x - log(moved);
}

CEL_API_DEF int64_t cel_rng_poisson(cel_rng *rng, double mean)
{
    double a, b, v, k = 0;
    if (!(mean > 0)) return 0;
    if (mean < 10) { /* the uniform falls into one of the terms, added up from 0 */
        double term = exp(-mean), u = cel_rng_uniform(rng);
        while (u >= term && term > 0) {
            u -= term;
            term *= mean / ++k;
        }
        return (int64_t)k;
    }
    if (mean > 1e15) return (int64_t)(mean < 9e18 ? mean : 9e18);
    b = 0.931 + 2.53 * sqrt(mean);
    a = -0.059 + 0.02483 * b;
    for (;;) {
        double u = cel_rng_uniform(rng) - 0.5, s = 0.5 - fabs(u);
        v = 1 - cel_rng_uniform(rng);
        k = s > 0 ? floor((2 * a / s + b) * u + mean + 0.43) : -1;
        if (s >= 0.07 && v <= 0.9277 - 3.6224 / (b - 2)) return (int64_t)k;
        if (k < 0 || (s < 0.013 && v > s)) continue;
        if (log(v * (1.1239 + 1.1328 / (b - 3.4)) / (a / (s * s) + b)) <=
            k * log(mean) - mean - celi_log_gamma(k + 1))
            return (int64_t)k;
    }
}

CEL_API_DEF double cel_rng_gamma(cel_rng *rng, double shape)
{
    double d = (shape < 1 ? shape + 1 : shape) - 1 / 3.0, c = 1 / sqrt(9 * d);
    if (!(shape > 0 && shape <= DBL_MAX)) return 0;
    for (;;) {
        double z = cel_rng_normal(rng), v = 1 + c * z, u = 1 - cel_rng_uniform(rng);
        v = v * v * v;
        if (!(v > 0 && log(u) < 0.5 * z * z + d - d * v + d * log(v))) continue;
        return shape < 1 ? d * v * pow(1 - cel_rng_uniform(rng), 1 / shape) : d * v;
    }
}

CEL_API_DEF double cel_student_p(double t, double df)
{
    /* I_x(a, b), x = df / (df + t^2), a = df / 2, b = 1/2, or 1 - I_{1-x}(b, a) where that converges faster, by the
     * continued fraction of the incomplete beta function (DLMF 8.17.22): f, in Lentz's form from the ratios c and d of
     * neighbouring numerators and denominators. */
    double a = df / 2, b = 0.5, x = df / (df + t * t), y = t * t / (df + t * t), front, c = HUGE_VAL, d = 1, f = 1;
    double step = 0;
    int k, swap;
    if (!(t * t >= 0) || !(df > 0)) return (double)NAN;
    if (!(x > 0)) return 0;
    if (!(t * t > 0)) return 1;
    front = exp(celi_log_gamma(a + b) - celi_log_gamma(a) - celi_log_gamma(b) + a * log(x) + b * log(y));
    swap = x > (a + 1) / (a + b + 2);
    if (swap) {
        x = y;
        b = a;
        a = 0.5;
    }
    for (k = 0; k < 2000 && !(fabs(step - 1) < 1e-15); k++) {
        double m = (double)(k / 2), e = k % 2 ? (m + 1) * (b - m - 1) : -(a + m) * (a + b + m);
        e *= x / ((a + k) * (a + k + 1));
        d = 1 + e * d;
        d = 1 / (fabs(d) < 1e-300 ? 1e-300 : d);
        c = 1 + e / c;
        if (fabs(c) < 1e-300) c = 1e-300;
        step = c * d;
        f *= step;
    }
    f *= front / a;
    return swap ? 1 - f : f;
}

/* Whether a's key comes after b's; among equal ones the later index. */
static int celi_after(const double *key, int64_t a, int64_t b)
{
    return key[a] > key[b] || (!(key[a] < key[b]) && a > b);
}

/* Sorts index (count) so that key[index] ascends, ties by index: heap sort. */
static void celi_sort_by(const double *key, int64_t *index, int64_t count)
{
    int64_t start = count / 2, end = count;
    while (end > 1) {
        int64_t at, child, moving;
        if (start > 0) { /* make a heap of what is not yet one .. */
            moving = index[--start];
        } else { /* .. then take its top, the largest, to the end */
            moving = index[--end];
            index[end] = index[0];
        }
        for (at = start; (child = 2 * at + 1) < end; at = child) {
            if (child + 1 < end && celi_after(key, index[child + 1], index[child])) child++;
            if (celi_after(key, moving, index[child])) break;
            index[at] = index[child];
        }
        index[at] = moving;
    }
}

/* From the largest p down, so that the running least is the minimum over all that are at least as large. */
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

CEL_API_DEF int64_t cel_compact(const uint8_t *keep, int64_t count, void *items, size_t size)
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
 * Kernel text is written once, as macros over S, the prefix of an instruction set, on vectors of the compiler's own
 * (GCC's vector_size): S##_v of cel_real, S##_d of double, S##_i of unsigned integers as wide as cel_real, S##_x of
 * 64-bit ones. Their + - * / & ^ << and comparisons are the language's, a cast between them keeps the bits; only what
 * has no operator is an intrinsic. T is the attribute that lets the compiler use the set; every helper carries it. The
 * kernels are reached through one table, and OpenMP stays outside of them: clang's outlined loops lose the attribute.
 *
 * Edges have one rule: a kernel works on whole vectors; what is left over is copied, padded and given to the same
 * kernel, so that every element sees the same operations. */

/* c (MR x NR, rows ldc apart) = alpha a b + beta c over k terms; a's element (i, p) is a[i * rs + p * cs], b's
 * (p, j) is b[p * ldb + j]. beta == 0 does not read c. */
/* A struct, since a call with so many arguments would pass most of them through memory anyway. */
typedef struct celi_tile {
    const cel_real *a, *b;
    int64_t rs, cs, ldb, ldc, k;
    cel_real alpha, beta, *c;
} celi_tile;

/* What the rows of a sparse product share: y (n) = alpha sum_e value[e] x.row(index[e]) + beta y, over the count
 * entries of a row; x's rows are stride apart. */
typedef struct celi_spread {
    const cel_real *x;
    int64_t n, stride;
    cel_real alpha, beta;
} celi_spread;
typedef void celi_csr_row_fn(const celi_spread *p, int64_t count, const int32_t *index, const cel_real *value,
                             cel_real *y);

enum { CELI_PANEL = 32 }; /* numbers of a row that rotations take at a time */

static int celi_is_zero(cel_real x) { return x >= 0 && x <= 0; }

/* Polynomials are minimax fits (Remez), highest power first; arguments are reduced by two or three parts of
 * the period with fused products, exact for the arguments that the kernels take. */
#if defined(CELCOMEN_DOUBLE)
typedef uint64_t celi_bits;
#define CELI_MANTISSA 52
#define CELI_TWO_TO_MANTISSA 4503599627370496.0
#define CELI_ROUNDER 6755399441055744.0 /* 1.5 * 2^52: adding it rounds to an integer, kept in the low bits */
#define CELI_ONE_BITS ((celi_bits)0x3ff0000000000000)
#define CELI_SQRT_HALF_BITS ((celi_bits)0x3fe6a09e667f3bcd)
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
typedef uint32_t celi_bits;
#define CELI_MANTISSA 23
#define CELI_TWO_TO_MANTISSA 8388608.0f
#define CELI_ROUNDER 12582912.0f /* 1.5 * 2^23: adding it rounds to an integer, kept in the low bits */
#define CELI_ONE_BITS ((celi_bits)0x3f800000)
#define CELI_SQRT_HALF_BITS ((celi_bits)0x3f3504f3)
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
#define CELI_SINCOS_HIGH ((cel_real)16384) /* angles beyond, and NaN, are libm's */
#define CELI_TWO_PI ((cel_real)6.283185307179586476925)
#define CELI_TWO_OVER_PI ((cel_real)0.63661977236758134308)

#if defined(CELI_X86) || defined(CELI_NEON) || defined(CELI_WASM)
#define CELI_PASTE_(a, b, c) a##b##c
#define CELI_PASTE(a, b, c) CELI_PASTE_(a, b, c)
#define CELI_INLINE static inline CEL_UNUSED __attribute__((always_inline))

/* What every instruction set has, `bytes` wide. Subtracting zero broadcasts a scalar and keeps the sign of its zero. */
#define CELI_VECTOR(T, S, bytes)                                                                                      \
    typedef cel_real S##_v __attribute__((vector_size(bytes)));                                                       \
    typedef double S##_d __attribute__((vector_size(bytes)));                                                         \
    typedef celi_bits S##_i __attribute__((vector_size(bytes)));                                                      \
    typedef uint64_t S##_x __attribute__((vector_size(bytes)));                                                       \
    enum { S##_W = bytes / sizeof(cel_real), S##_D = bytes / sizeof(double) };                                        \
    T CELI_INLINE S##_v S##_set(cel_real a) { S##_v zero = {0}; return a - zero; }                                    \
    T CELI_INLINE S##_d S##_dset(double a) { S##_d zero = {0}; return a - zero; }                                     \
    typedef cel_real S##_at __attribute__((vector_size(bytes), aligned(sizeof(cel_real)), may_alias));                \
    typedef double S##_dat __attribute__((vector_size(bytes), aligned(sizeof(double)), may_alias));                   \
    T CELI_INLINE S##_v S##_load(const cel_real *p) { return *(const S##_at *)p; }                                    \
    T CELI_INLINE S##_d S##_dget(const double *p) { return *(const S##_dat *)p; }                                     \
    T CELI_INLINE void S##_store(cel_real *p, S##_v a) { *(S##_at *)p = a; }                                          \
    T CELI_INLINE void S##_dput(double *p, S##_d a) { *(S##_dat *)p = a; }

/* What is an intrinsic: fused products, roots, S##_dload (a vector of doubles from numbers), S##_low (the products of
 * the low words of 64-bit integers) and, in float, S##_number (of integers below 2^31). */
#if defined(CELI_X86)
#define CELI_AVX2 __attribute__((target("avx2,fma")))
#define CELI_AVX512 __attribute__((target("avx2,fma,avx512f,avx512dq,avx512vl,avx512bw")))
#if defined(CELCOMEN_DOUBLE)
#define CELI_PS _pd
#define CELI_X86_FLOAT(T, S, M, HALF, I)                                                                              \
    T CELI_INLINE S##_d S##_dload(const cel_real *p) { return S##_dget(p); }
#else
#define CELI_PS _ps
#define CELI_X86_FLOAT(T, S, M, HALF, I)                                                                              \
    T CELI_INLINE S##_d S##_dload(const cel_real *p) { return M##_cvtps_pd(HALF##_loadu_ps(p)); }                     \
    T CELI_INLINE S##_v S##_number(S##_i a) { return M##_cvtepi32_ps((I)a); }
#endif
#define CELI_X86_OPS(T, S, M, HALF, I)                                                                                \
    T CELI_INLINE S##_v S##_fma(S##_v a, S##_v b, S##_v c) { return CELI_PASTE(M, _fmadd, CELI_PS)(a, b, c); }        \
    T CELI_INLINE S##_d S##_dfma(S##_d a, S##_d b, S##_d c) { return M##_fmadd_pd(a, b, c); }                         \
    T CELI_INLINE S##_v S##_sqrt(S##_v a) { return CELI_PASTE(M, _sqrt, CELI_PS)(a); }                                \
    T CELI_INLINE S##_x S##_low(S##_x a, S##_x b) { return (S##_x)M##_mul_epu32((I)a, (I)b); }                        \
    CELI_X86_FLOAT(T, S, M, HALF, I)
CELI_VECTOR(CELI_AVX2, celi_avx2, 32)
CELI_X86_OPS(CELI_AVX2, celi_avx2, _mm256, _mm, __m256i)
CELI_VECTOR(CELI_AVX512, celi_avx512, 64)
CELI_X86_OPS(CELI_AVX512, celi_avx512, _mm512, _mm256, __m512i)
#elif defined(CELI_WASM)
/* Products are not fused, so that the elementary functions, whose reduction of angles is exact only where they are,
 * stay libm's. What an optimiser makes of the scalar twins has less than a third of these kernels' speed. */
CELI_VECTOR(, celi_wasm, 16)
CELI_INLINE celi_wasm_d celi_wasm_dfma(celi_wasm_d a, celi_wasm_d b, celi_wasm_d c) { return a * b + c; }
CELI_INLINE celi_wasm_v celi_wasm_fma(celi_wasm_v a, celi_wasm_v b, celi_wasm_v c) { return a * b + c; }
CELI_INLINE celi_wasm_d celi_wasm_dload(const cel_real *p) { celi_wasm_d d = {p[0], p[1]}; return d; }
#else
CELI_VECTOR(, celi_neon, 16)
CELI_INLINE celi_neon_d celi_neon_dfma(celi_neon_d a, celi_neon_d b, celi_neon_d c)
{
    return (celi_neon_d)vfmaq_f64((float64x2_t)c, (float64x2_t)a, (float64x2_t)b);
}
CELI_INLINE celi_neon_x celi_neon_low(celi_neon_x a, celi_neon_x b)
{
    return (celi_neon_x)vmull_u32(vmovn_u64((uint64x2_t)a), vmovn_u64((uint64x2_t)b));
}
#if defined(CELCOMEN_DOUBLE)
CELI_INLINE celi_neon_v celi_neon_fma(celi_neon_v a, celi_neon_v b, celi_neon_v c) { return celi_neon_dfma(a, b, c); }
CELI_INLINE celi_neon_v celi_neon_sqrt(celi_neon_v a) { return (celi_neon_v)vsqrtq_f64((float64x2_t)a); }
CELI_INLINE celi_neon_d celi_neon_dload(const cel_real *p) { return celi_neon_dget(p); }
#else
CELI_INLINE celi_neon_v celi_neon_fma(celi_neon_v a, celi_neon_v b, celi_neon_v c)
{
    return (celi_neon_v)vfmaq_f32((float32x4_t)c, (float32x4_t)a, (float32x4_t)b);
}
CELI_INLINE celi_neon_v celi_neon_sqrt(celi_neon_v a) { return (celi_neon_v)vsqrtq_f32((float32x4_t)a); }
CELI_INLINE celi_neon_d celi_neon_dload(const cel_real *p) { return (celi_neon_d)vcvt_f64_f32(vld1_f32(p)); }
CELI_INLINE celi_neon_v celi_neon_number(celi_neon_i a) { return (celi_neon_v)vcvtq_f32_u32((uint32x4_t)a); }
#endif
#endif

/* ---- The product of a tile ---- */

/* Two vectors wide, in named accumulators, because gcc spills arrays of them. Rows are addressed from every third one,
 * which leaves registers and fits x86 addressing. */
#define CELI_ROWS6(X, S) X(S, 0, a, 0) X(S, 1, a, 1) X(S, 2, a, 2) X(S, 3, a3, 0) X(S, 4, a3, 1) X(S, 5, a3, 2)
#define CELI_ROWS8(X, S) CELI_ROWS6(X, S) X(S, 6, a6, 0) X(S, 7, a6, 1)
#define CELI_ROWS12(X, S) CELI_ROWS8(X, S) X(S, 8, a6, 2) X(S, 9, a9, 0) X(S, 10, a9, 1) X(S, 11, a9, 2)
#define CELI_TILE_ZERO(S, i, base, r) S##_v u##i = {0}, v##i = {0};
#define CELI_TILE_STEP(S, i, base, r)                                                                                 \
    t = S##_set(base[r * rs]);                                                                                        \
    u##i = S##_fma(t, b0, u##i);                                                                                      \
    v##i = S##_fma(t, b1, v##i);
#define CELI_TILE_TERM(S, ROWS)                                                                                       \
    b0 = S##_load(b);                                                                                                 \
    b1 = S##_load(b + S##_W);                                                                                         \
    ROWS(CELI_TILE_STEP, S)                                                                                           \
    a += cs;                                                                                                          \
    a3 += cs;                                                                                                         \
    a6 += cs;                                                                                                         \
    a9 += cs;                                                                                                         \
    b += ldb;
#define CELI_TILE_SET(S, i, base, r)                                                                                  \
    S##_store(c + i * ldc, u##i * alpha);                                                                             \
    S##_store(c + i * ldc + S##_W, v##i * alpha);
#define CELI_TILE_ADD(S, i, base, r)                                                                                  \
    S##_store(c + i * ldc, S##_fma(t, u##i, S##_load(c + i * ldc) * beta));                                           \
    S##_store(c + i * ldc + S##_W, S##_fma(t, v##i, S##_load(c + i * ldc + S##_W) * beta));
#define CELI_TILE(T, S, ROWS, COUNT)                                                                                  \
    T static void S##_tile(const celi_tile *g)                                                                        \
    {                                                                                                                 \
        const cel_real alpha = g->alpha, beta = g->beta, *a = g->a, *b = g->b, *fetch = g->c;                         \
        const int64_t rs = g->rs, cs = g->cs, ldb = g->ldb, ldc = g->ldc, share = (g->k / COUNT + 2) & ~(int64_t)1;   \
        const cel_real *a3 = a + 3 * rs, *a6 = a3 + 3 * rs, *a9 = a6 + 3 * rs;                                        \
        cel_real *c = g->c;                                                                                           \
        int64_t k = g->k, left;                                                                                       \
        S##_v t, b0, b1;                                                                                              \
        ROWS(CELI_TILE_ZERO, S)                                                                                       \
        for (; k > 0; k -= share, fetch += ldc) { /* C is fetched a row at a time while the sums run */               \
            __builtin_prefetch(fetch);                                                                                \
            __builtin_prefetch(fetch + S##_W);                                                                        \
            for (left = k < share ? k : share; left >= 2; left -= 2) {                                                \
                CELI_TILE_TERM(S, ROWS)                                                                               \
                CELI_TILE_TERM(S, ROWS)                                                                               \
            }                                                                                                         \
            if (left > 0) {                                                                                           \
                CELI_TILE_TERM(S, ROWS)                                                                               \
            }                                                                                                         \
        }                                                                                                             \
        (void)a9;                                                                                                     \
        t = S##_set(alpha);                                                                                           \
        if (celi_is_zero(beta)) {                                                                                     \
            ROWS(CELI_TILE_SET, S)                                                                                    \
        } else {                                                                                                      \
            ROWS(CELI_TILE_ADD, S)                                                                                    \
        }                                                                                                             \
    }

/* ---- Vectors, and a row of a sparse product ---- */

/* y += alpha x, and the sum of x_i y_i, over a multiple of 16. The sum has four double accumulators, halved until one
 * number is left. */
#define CELI_VECTORS(T, S)                                                                                            \
    T static void S##_axpy(int64_t n, cel_real alpha, const cel_real *x, cel_real *y)                                 \
    {                                                                                                                 \
        S##_v t = S##_set(alpha);                                                                                     \
        for (; n > 0; n -= S##_W, x += S##_W, y += S##_W) S##_store(y, S##_fma(t, S##_load(x), S##_load(y)));         \
    }                                                                                                                 \
    T static double S##_dot(int64_t n, const cel_real *x, const cel_real *y)                                          \
    {                                                                                                                 \
        enum { CELI_D = S##_D };                                                                                      \
        S##_d s0 = {0}, s1 = s0, s2 = s0, s3 = s0;                                                                    \
        double sum[4 * CELI_D];                                                                                       \
        int half, i;                                                                                                  \
        for (; n >= 4 * CELI_D; n -= 4 * CELI_D, x += 4 * CELI_D, y += 4 * CELI_D) {                                  \
            s0 = S##_dfma(S##_dload(x), S##_dload(y), s0);                                                            \
            s1 = S##_dfma(S##_dload(x + CELI_D), S##_dload(y + CELI_D), s1);                                          \
            s2 = S##_dfma(S##_dload(x + 2 * CELI_D), S##_dload(y + 2 * CELI_D), s2);                                  \
            s3 = S##_dfma(S##_dload(x + 3 * CELI_D), S##_dload(y + 3 * CELI_D), s3);                                  \
        }                                                                                                             \
        for (; n > 0; n -= CELI_D, x += CELI_D, y += CELI_D) s0 = S##_dfma(S##_dload(x), S##_dload(y), s0);           \
        S##_dput(sum, s0);                                                                                            \
        S##_dput(sum + CELI_D, s1);                                                                                   \
        S##_dput(sum + 2 * CELI_D, s2);                                                                               \
        S##_dput(sum + 3 * CELI_D, s3);                                                                               \
        for (half = 2 * CELI_D; half > 0; half /= 2)                                                                  \
            for (i = 0; i < half; i++) sum[i] += sum[i + half];                                                       \
        return sum[0];                                                                                                \
    }

/* Some vectors of columns at a time, summed over all entries in named accumulators. The last vectors overlap the ones
 * before, so that every column is computed alike; rows narrower than a vector are the scalar twin's. */
#define CELI_CSR_ONE(X, S) X(S, 0)
#define CELI_CSR_FOUR(X, S) CELI_CSR_ONE(X, S) X(S, 1) X(S, 2) X(S, 3)
#define CELI_CSR_EIGHT(X, S) CELI_CSR_FOUR(X, S) X(S, 4) X(S, 5) X(S, 6) X(S, 7)
#define CELI_CSR_ZERO(S, i) S##_v u##i = {0};
#define CELI_CSR_STEP(S, i) u##i = S##_fma(w, S##_load(from + i * S##_W), u##i);
#define CELI_CSR_SET(S, i) S##_store(to + i * S##_W, u##i * alpha);
#define CELI_CSR_ADD(S, i) S##_store(to + i * S##_W, S##_fma(b, S##_load(y + i * S##_W), u##i * alpha));
#define CELI_CSR_COLUMNS(T, S, name, COLUMNS)                                                                         \
    T CELI_INLINE void S##_csr_##name(const celi_spread *p, int64_t at, int64_t count, const int32_t *index,          \
                                      const cel_real *value, const cel_real *y, cel_real *to)                         \
    {                                                                                                                 \
        const cel_real *x = p->x + at, alpha = p->alpha;                                                              \
        const int64_t stride = p->stride;                                                                             \
        int64_t e;                                                                                                    \
        COLUMNS(CELI_CSR_ZERO, S)                                                                                     \
        for (e = 0; e < count; e++) {                                                                                 \
            const cel_real *from = x + index[e] * stride;                                                             \
            S##_v w = S##_set(value[e]);                                                                              \
            COLUMNS(CELI_CSR_STEP, S)                                                                                 \
        }                                                                                                             \
        if (celi_is_zero(p->beta)) {                                                                                  \
            COLUMNS(CELI_CSR_SET, S)                                                                                  \
        } else {                                                                                                      \
            S##_v b = S##_set(p->beta);                                                                               \
            COLUMNS(CELI_CSR_ADD, S)                                                                                  \
        }                                                                                                             \
    }
#define CELI_CSR_ROW(T, S)                                                                                            \
    CELI_CSR_COLUMNS(T, S, one, CELI_CSR_ONE)                                                                         \
    CELI_CSR_COLUMNS(T, S, four, CELI_CSR_FOUR)                                                                       \
    CELI_CSR_COLUMNS(T, S, eight, CELI_CSR_EIGHT)                                                                     \
    T static void S##_csr_row(const celi_spread *p, int64_t count, const int32_t *index, const cel_real *value,       \
                              cel_real *y)                                                                            \
    {                                                                                                                 \
        enum { CELI_W = S##_W };                                                                                      \
        cel_real last[8 * CELI_W];                                                                                    \
        int64_t j, n = p->n, step = n >= 8 * CELI_W ? 8 * CELI_W : n >= 4 * CELI_W ? 4 * CELI_W : CELI_W;             \
        if (n < CELI_W) {                                                                                             \
            celi_scalar_csr_row(p, count, index, value, y);                                                           \
            return;                                                                                                   \
        }                                                                                                             \
        for (j = 0; j < n; j += step) {                                                                               \
            int64_t at = celi_min(j, n - step);                                                                       \
            cel_real *to = at == j || celi_is_zero(p->beta) ? y + at : last;                                          \
            if (step == 8 * CELI_W) S##_csr_eight(p, at, count, index, value, y + at, to);                            \
            else if (step == 4 * CELI_W) S##_csr_four(p, at, count, index, value, y + at, to);                        \
            else S##_csr_one(p, at, count, index, value, y + at, to);                                                 \
            if (to == last) memcpy(y + j, last + (j - at), (size_t)(n - j) * sizeof(cel_real));                       \
        }                                                                                                             \
    }

/* For eigenvectors, in double: row -= a w + b v, and row . u after it, over a multiple of 32; and Givens rotations
 * (c, s of each) of a row of CELI_PANEL numbers with the one above, the next pair one row up. */
#define CELI_RANK2(S, k)                                                                                              \
    t = S##_dfma(minus_a, S##_dget(w + j + k * S##_D), S##_dget(row + j + k * S##_D));                                \
    t = S##_dfma(minus_b, S##_dget(v + j + k * S##_D), t);                                                            \
    S##_dput(row + j + k * S##_D, t);                                                                                 \
    s##k = S##_dfma(t, S##_dget(u + j + k * S##_D), s##k);
#define CELI_GIVENS(S, k)                                                                                             \
    x = S##_dget(low + k * S##_D);                                                                                    \
    S##_dput(low + CELI_PANEL + k * S##_D, S##_dfma(c, h##k, s * x));                                                 \
    h##k = S##_dfma(-s, h##k, c * x);
#define CELI_EIGEN(T, S)                                                                                              \
    T static double S##_rank2(int64_t n, double *row, double a, const double *w, double b, const double *v,           \
                              const double *u)                                                                        \
    {                                                                                                                 \
        S##_d minus_a = S##_dset(-a), minus_b = S##_dset(-b), s0 = {0}, s1 = s0, s2 = s0, s3 = s0, t;                 \
        double sum[S##_D];                                                                                            \
        int64_t j;                                                                                                    \
        for (j = 0; j < n; j += 4 * S##_D) {                                                                          \
            CELI_RANK2(S, 0)                                                                                          \
            CELI_RANK2(S, 1)                                                                                          \
            CELI_RANK2(S, 2)                                                                                          \
            CELI_RANK2(S, 3)                                                                                          \
        }                                                                                                             \
        S##_dput(sum, (s0 + s1) + (s2 + s3));                                                                         \
        for (j = 1; j < S##_D; j++) sum[0] += sum[j];                                                                 \
        return sum[0];                                                                                                \
    }                                                                                                                 \
    T static void S##_givens(int64_t count, const double *rotation, double *high)                                     \
    {                                                                                                                 \
        int64_t k;                                                                                                    \
        int j;                                                                                                        \
        for (j = 0; j < CELI_PANEL; j += 4 * S##_D) {                                                                 \
            double *low = high - CELI_PANEL + j;                                                                      \
            S##_d h0 = S##_dget(high + j), h1 = S##_dget(high + j + S##_D), h2 = S##_dget(high + j + 2 * S##_D);      \
            S##_d h3 = S##_dget(high + j + 3 * S##_D), x;                                                             \
            for (k = 0; k < count; k++, low -= CELI_PANEL) {                                                          \
                S##_d c = S##_dset(rotation[2 * k]), s = S##_dset(rotation[2 * k + 1]);                               \
                CELI_GIVENS(S, 0)                                                                                     \
                CELI_GIVENS(S, 1)                                                                                     \
                CELI_GIVENS(S, 2)                                                                                     \
                CELI_GIVENS(S, 3)                                                                                     \
            }                                                                                                         \
            low += CELI_PANEL;                                                                                        \
            S##_dput(low, h0);                                                                                        \
            S##_dput(low + S##_D, h1);                                                                                \
            S##_dput(low + 2 * S##_D, h2);                                                                            \
            S##_dput(low + 3 * S##_D, h3);                                                                            \
        }                                                                                                             \
    }

/* ---- Elementary functions ---- */

#define celi_avx2_horner(c) p = celi_avx2_fma(p, z, celi_avx2_set(c));
#define celi_avx512_horner(c) p = celi_avx512_fma(p, z, celi_avx512_set(c));
#define celi_neon_horner(c) p = celi_neon_fma(p, z, celi_neon_set(c));

/* The normals' numbers from the words of a block of random bits: u on (0, 1], the angle v on [0, 2 pi]. A double takes
 * 52 bits of two words, behind the exponent of 1; a float 31 bits of one. */
#if defined(CELCOMEN_DOUBLE)
#define CELI_UNIT(S, a, b) ((S##_v)(((a) << 32 | (b) << 32 >> 32) >> 12 | CELI_ONE_BITS)) /* on [1, 2) */
#define CELI_NORMAL_UV(S)                                                                                             \
    u = 2 - CELI_UNIT(S, c0, c1);                                                                                     \
    v = (CELI_UNIT(S, c2, c3) - 1) * CELI_TWO_PI;
#else
#define CELI_UNIT(S, a, b) S##_number((S##_i)((a) << 32 >> 32 | (b) << 32) >> 1) /* on [0, 2^31], two a lane */
#define CELI_NORMAL_UV(S)                                                                                             \
    u = S##_fma(CELI_UNIT(S, c0, c2), S##_set(1.0f / 2147483648.0f), S##_set(1.0f / 8589934592.0f));                  \
    v = CELI_UNIT(S, c1, c3) * (CELI_TWO_PI / 2147483648.0f);
#endif

#define CELI_ELEMENTARY(T, S)                                                                                         \
    /* The nearest multiple q of pi/2 is taken off x; where q is odd sine and cosine change places, and bit 1 of q */ \
    /* (for the cosine, of q + 1) is the sign. */                                                                     \
    T CELI_INLINE void S##_sincos_v(S##_v x, S##_v *sine, S##_v *cosine)                                              \
    {                                                                                                                 \
        const S##_i one = (S##_i)S##_set(0) + 1, two = one + one;                                                     \
        const int sign = (int)sizeof(cel_real) * 8 - 2; /* takes bit 1 to the sign bit */                             \
        S##_v turns = S##_fma(x, S##_set(CELI_TWO_OVER_PI), S##_set(CELI_ROUNDER)), minus_q = CELI_ROUNDER - turns;   \
        S##_v r, z, s, c, p;                                                                                          \
        S##_i quadrant = (S##_i)turns, swap;                                                                          \
        r = S##_fma(minus_q, S##_set(CELI_HALF_PI_1), x);                                                             \
        r = S##_fma(minus_q, S##_set(CELI_HALF_PI_2), r);                                                             \
        r = S##_fma(minus_q, S##_set(CELI_HALF_PI_3), r);                                                             \
        z = r * r;                                                                                                    \
        p = S##_set(0);                                                                                               \
        CELI_SIN_TERMS(S##_horner)                                                                                    \
        s = S##_fma(r * z, p, r);                                                                                     \
        p = S##_set(0);                                                                                               \
        CELI_COS_TERMS(S##_horner)                                                                                    \
        c = S##_fma(z * z, p, S##_fma(z, S##_set((cel_real)-0.5), S##_set(1)));                                       \
        swap = ((S##_i)s ^ (S##_i)c) & -(quadrant & one);                                                             \
        *sine = (S##_v)((S##_i)s ^ swap ^ (quadrant & two) << sign);                                                  \
        *cosine = (S##_v)((S##_i)c ^ swap ^ ((quadrant + one) & two) << sign);                                        \
    }                                                                                                                 \
    /* log of x = 2^e m, m in [sqrt(1/2), sqrt(2)), f = m - 1: f - f^2/2 + s (f^2/2 + R), s = f / (2 + f), where */   \
    /* s R is what 2 atanh(s) has beyond 2 s. */                                                                      \
    T CELI_INLINE S##_v S##_log_v(S##_v x)                                                                            \
    {                                                                                                                 \
        const celi_bits mantissa = ((celi_bits)1 << CELI_MANTISSA) - 1;                                               \
        S##_i i = (S##_i)x + (CELI_ONE_BITS - CELI_SQRT_HALF_BITS);                                                   \
        S##_v e = (S##_v)(i >> CELI_MANTISSA | (S##_i)S##_set(CELI_TWO_TO_MANTISSA)), f, s, z, p, half;               \
        e = e - (CELI_TWO_TO_MANTISSA + CELI_EXPONENT_BIAS);                                                          \
        f = (S##_v)((i & mantissa) + CELI_SQRT_HALF_BITS) - 1;                                                        \
        s = f / (f + 2);                                                                                              \
        z = s * s;                                                                                                    \
        p = S##_set(0);                                                                                               \
        CELI_LOG_TERMS(S##_horner)                                                                                    \
        half = f * (cel_real)0.5;                                                                                     \
        p = S##_fma(s, S##_fma(z, p, half * f), e * CELI_LN2_2);                                                      \
        return S##_fma(e, S##_set(CELI_LN2_1), f - S##_fma(half, f, -p));                                             \
    }                                                                                                                 \
    /* Non-zero where some of x is beyond CELI_SINCOS_HIGH, or NaN: what stands in its place is nonsense. Without */  \
    /* its sign a number's bits grow with it, and NaN's are the largest. */                                           \
    T static int S##_sincos(int64_t n, const cel_real *x, cel_real *sine, cel_real *cosine)                           \
    {                                                                                                                 \
        const celi_bits unsign = ~(celi_bits)0 >> 1;                                                                  \
        celi_bits lane[S##_W], any = 0;                                                                               \
        S##_i beyond = (S##_i)S##_set(0), high = (S##_i)S##_set(CELI_SINCOS_HIGH);                                    \
        int k;                                                                                                        \
        for (; n > 0; n -= S##_W, x += S##_W, sine += S##_W, cosine += S##_W) {                                       \
            S##_v v = S##_load(x), s, c;                                                                              \
            beyond |= high - ((S##_i)v & unsign);                                                                     \
            S##_sincos_v(v, &s, &c);                                                                                  \
            S##_store(sine, s);                                                                                       \
            S##_store(cosine, c);                                                                                     \
        }                                                                                                             \
        memcpy(lane, &beyond, sizeof beyond);                                                                         \
        for (k = 0; k < S##_W; k++) any |= lane[k];                                                                   \
        return any > unsign;                                                                                          \
    }                                                                                                                 \
    /* 32 normals from the blocks of words that begin at block: 16 pairs, cosines first. Philox as in celi_philox; */ \
    /* of a 64-bit lane only the low word counts. */                                                                  \
    T static void S##_normals(const cel_rng *rng, uint32_t block, cel_real *out)                                      \
    {                                                                                                                 \
        enum { CELI_COUNTERS = sizeof(S##_x) / 8 };                                                                   \
        int g, round;                                                                                                 \
        for (g = 0; g < 16; g += S##_W) {                                                                             \
            uint64_t counter[CELI_COUNTERS], k0 = rng->seed & 0xffffffffu, k1 = rng->seed >> 32;                      \
            S##_x zero = {0}, m0 = zero + CELI_PHILOX_M0, m1 = zero + CELI_PHILOX_M1;                                 \
            S##_x c0, c1 = zero + rng->sweep, c2 = zero + rng->cell, c3 = zero + rng->stream;                         \
            S##_v u, v, s, c;                                                                                         \
            for (round = 0; round < CELI_COUNTERS; round++) counter[round] = block++;                                 \
            memcpy(&c0, counter, sizeof c0);                                                                          \
            for (round = 0; round < 10; round++) {                                                                    \
                S##_x p0 = S##_low(c0, m0), p1 = S##_low(c2, m1);                                                     \
                c0 = p1 >> 32 ^ c1 ^ k0;                                                                              \
                c2 = p0 >> 32 ^ c3 ^ k1;                                                                              \
                c1 = p1;                                                                                              \
                c3 = p0;                                                                                              \
                k0 += CELI_PHILOX_W0;                                                                                 \
                k1 += CELI_PHILOX_W1;                                                                                 \
            }                                                                                                         \
            CELI_NORMAL_UV(S)                                                                                         \
            u = S##_sqrt(S##_log_v(u) * -2);                                                                          \
            S##_sincos_v(v, &s, &c);                                                                                  \
            S##_store(out + g, u * c);                                                                                \
            S##_store(out + 16 + g, u * s);                                                                           \
        }                                                                                                             \
    }
#endif /* CELI_X86, CELI_NEON or CELI_WASM */

/* ---- The scalar twins: the same in plain C, for every machine and as the reference of the tests ---- */

#define CELI_SCALAR_TILE 4
/* Sixteen sums stay in registers, which four loads feed: a plain triple loop would wait for memory. */
static void celi_scalar_tile(const celi_tile *g)
{
    enum { CELI_N = CELI_SCALAR_TILE };
    cel_real sum[CELI_N][CELI_N] = {{0}};
    int64_t p;
    int i, j;
    for (p = 0; p < g->k; p++)
        for (i = 0; i < CELI_N; i++) {
            cel_real f = g->a[i * g->rs + p * g->cs];
            for (j = 0; j < CELI_N; j++) sum[i][j] += f * g->b[p * g->ldb + j];
        }
    for (i = 0; i < CELI_N; i++)
        for (j = 0; j < CELI_N; j++) {
            cel_real *c = g->c + i * g->ldc + j;
            *c = celi_is_zero(g->beta) ? g->alpha * sum[i][j] : g->alpha * sum[i][j] + g->beta * *c;
        }
}

static void celi_scalar_axpy(int64_t n, cel_real alpha, const cel_real *x, cel_real *y)
{
    int64_t i;
    for (i = 0; i < n; i++) y[i] += alpha * x[i];
}

/* Four sums in turn, because one would wait for its last addition every time. */
static double celi_scalar_dot(int64_t n, const cel_real *x, const cel_real *y)
{
    double s[4] = {0, 0, 0, 0};
    int64_t i;
    for (i = 0; i < n; i++) s[i & 3] += (double)x[i] * (double)y[i];
    return (s[0] + s[2]) + (s[1] + s[3]);
}

/* Never inlined: within a vector kernel its sums would be fused. */
CELI_NOINLINE static void celi_scalar_csr_row(const celi_spread *p, int64_t count, const int32_t *index,
                                              const cel_real *value, cel_real *y)
{
    const cel_real alpha = p->alpha, beta = p->beta;
    const int64_t n = p->n;
    int64_t e, j;
    for (j = 0; j < n; j++) y[j] = celi_is_zero(beta) ? 0 : beta * y[j];
    for (e = 0; e < count; e++) {
        const cel_real *from = p->x + index[e] * p->stride, w = alpha * value[e];
        for (j = 0; j < n; j++) y[j] += w * from[j];
    }
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

static int celi_scalar_sincos(int64_t n, const cel_real *x, cel_real *sine, cel_real *cosine)
{
    int64_t i;
    for (i = 0; i < n; i++) {
#if defined(CELCOMEN_DOUBLE)
        sine[i] = sin(x[i]);
        cosine[i] = cos(x[i]);
#else
        sine[i] = sinf(x[i]);
        cosine[i] = cosf(x[i]);
#endif
    }
    return 0;
}

/* The same words, and the same pairs, as the vector kernels': only the logarithm, sine and cosine are libm's. */
static void celi_scalar_normals(const cel_rng *rng, uint32_t block, cel_real *out)
{
    cel_real u[16], angle[16];
    int i;
    for (i = 0; i < 16; i++) {
        uint32_t w[4];
#if defined(CELCOMEN_DOUBLE)
        celi_philox(rng, block++, w);
        u[i] = 1 - (double)(((uint64_t)w[0] << 32 | w[1]) >> 12) / CELI_TWO_TO_MANTISSA;
        angle[i] = (double)(((uint64_t)w[2] << 32 | w[3]) >> 12) / CELI_TWO_TO_MANTISSA * CELI_TWO_PI;
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

#if defined(CELI_X86) && !defined(__clang__)
#pragma GCC diagnostic push /* gcc 12's own AVX-512 header passes undefined vectors around */
#pragma GCC diagnostic ignored "-Wuninitialized"
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"
#endif
#define CELI_KERNELS(T, S, ROWS, COUNT)                                                                               \
    CELI_TILE(T, S, ROWS, COUNT) CELI_VECTORS(T, S) CELI_CSR_ROW(T, S) CELI_EIGEN(T, S) CELI_ELEMENTARY(T, S)
#if defined(CELI_X86)
CELI_KERNELS(CELI_AVX2, celi_avx2, CELI_ROWS6, 6)
CELI_KERNELS(CELI_AVX512, celi_avx512, CELI_ROWS8, 8)
#elif defined(CELI_NEON)
CELI_KERNELS(, celi_neon, CELI_ROWS12, 12)
#elif defined(CELI_WASM)
CELI_TILE(, celi_wasm, CELI_ROWS6, 6) CELI_VECTORS(, celi_wasm) CELI_CSR_ROW(, celi_wasm) CELI_EIGEN(, celi_wasm)
#define celi_wasm_sincos celi_scalar_sincos
#define celi_wasm_normals celi_scalar_normals
#endif
#if defined(CELI_X86) && !defined(__clang__)
#pragma GCC diagnostic pop
#endif

/* A level's kernels, the shape of its tile and its block sizes: kc terms of a sum at a time, mc rows of A
 * (mc x kc fits the second-level cache), nc columns of B. Constants, never asked of the machine: kc decides how a sum
 * is cut, and so its bits. */
typedef struct celi_kernels {
    cel_level level;
    int mr, nr;
    int64_t kc, mc, nc;
    void (*tile)(const celi_tile *tile);
    void (*axpy)(int64_t n, cel_real alpha, const cel_real *x, cel_real *y);
    double (*dot)(int64_t n, const cel_real *x, const cel_real *y);
    celi_csr_row_fn *csr_row;
    double (*rank2)(int64_t n, double *row, double a, const double *w, double b, const double *v, const double *u);
    void (*givens)(int64_t count, const double *rotation, double *high);
    int (*sincos)(int64_t n, const cel_real *x, cel_real *sine, cel_real *cosine);
    void (*normals)(const cel_rng *rng, uint32_t block, cel_real *out);
} celi_kernels;

#define CELI_LANES(bytes) ((int)((bytes) / sizeof(cel_real)))
#define CELI_TABLE(S, level, mr, nr, kc, mc, nc)                                                                      \
    {level,    mr,          nr,       kc,        mc,         nc,       S##_tile,                                      \
     S##_axpy, S##_dot,     S##_csr_row, S##_rank2, S##_givens, S##_sincos, S##_normals}
/* Best last: the first is always there. */
static const celi_kernels celi_tables[] = {
    CELI_TABLE(celi_scalar, CEL_LEVEL_SCALAR, CELI_SCALAR_TILE, CELI_SCALAR_TILE, 256, 128, 4096),
#if defined(CELI_X86)
    CELI_TABLE(celi_avx2, CEL_LEVEL_AVX2, 6, CELI_LANES(64), CELI_LANES(2048), 72, 2048),
    CELI_TABLE(celi_avx512, CEL_LEVEL_AVX512, 8, CELI_LANES(128), CELI_LANES(2048), 384, 4096),
#elif defined(CELI_NEON)
    CELI_TABLE(celi_neon, CEL_LEVEL_NEON, 12, CELI_LANES(32), 256, 120, 4096),
#elif defined(CELI_WASM)
    CELI_TABLE(celi_wasm, CEL_LEVEL_SIMD128, 6, CELI_LANES(32), 256, 120, 4096),
#endif
};

/* Whether the processor has the instructions and the system saves the registers. By hand, because the compilers' own
 * test comes from a run-time library that not every linker is given. */
static int celi_has_level(cel_level level)
{
#if defined(CELI_X86)
    const uint32_t avx512 = 1u << 16 | 1u << 17 | 1u << 30 | 1u << 31; /* F, DQ, BW, VL */
    uint32_t a, b, c, d, low;
    if (level == CEL_LEVEL_SCALAR) return 1;
    __asm__ __volatile__("cpuid" : "=a"(a), "=b"(b), "=c"(c), "=d"(d) : "a"(0), "c"(0));
    if (a < 7) return 0;
    __asm__ __volatile__("cpuid" : "=a"(a), "=b"(b), "=c"(c), "=d"(d) : "a"(1), "c"(0));
    if (!(c >> 12 & 1) || !(c >> 27 & 1) || !(c >> 28 & 1)) return 0; /* FMA, OSXSAVE, AVX */
    /* xgetbv, in bytes for old assemblers: bits 1, 2 = xmm, ymm; 5 to 7 = the AVX-512 state */
    __asm__ __volatile__(".byte 0x0f, 0x01, 0xd0" : "=a"(low), "=d"(d) : "c"(0));
    __asm__ __volatile__("cpuid" : "=a"(a), "=b"(b), "=c"(c), "=d"(d) : "a"(7), "c"(0));
    if ((low & 6) != 6 || !(b >> 5 & 1)) return 0;
    return level == CEL_LEVEL_AVX2 || ((low & 0xe6) == 0xe6 && (b & avx512) == avx512);
#else
    (void)level;
    return 1;
#endif
}

/* The only mutable global: the table in use, NULL before the first look, and the environment's cap. Threads that race
 * here write the same values. */
static struct celi_level_state {
    const celi_kernels *kernels;
    int wish;
} celi_level_now = {NULL, 0};
#if defined(__GNUC__) || defined(__clang__)
#define CELI_ATOMIC_LOAD(p) __atomic_load_n(p, __ATOMIC_RELAXED)
#define CELI_ATOMIC_STORE(p, v) __atomic_store_n(p, v, __ATOMIC_RELAXED)
#else
#define CELI_ATOMIC_LOAD(p) (*(p))
#define CELI_ATOMIC_STORE(p, v) (*(p) = (v))
#endif

/* What CELCOMEN_LEVEL asks for. A name that is none counts as scalar: a library cannot print, but slow and "scalar" is
 * seen, where the best level would hide that the wish was not understood. */
static int celi_level_wish(void)
{
    int level = CEL_LEVEL_AVX512;
#if defined(CELI_X86) || defined(CELI_NEON) || defined(CELI_WASM)
    const char *name = getenv("CELCOMEN_LEVEL");
    if (!name || !*name) return level;
    while (level > CEL_LEVEL_SCALAR && strcmp(name, cel_level_name((cel_level)level))) level--;
#endif
    return level;
}

/* The best table up to cap and the environment's wish becomes the one in use. Not inlined, for celi_kernel to be. */
CELI_NOINLINE static const celi_kernels *celi_level_choose(int cap, int wish)
{
    const celi_kernels *best = celi_tables;
    size_t i;
    for (i = 1; i < sizeof celi_tables / sizeof celi_tables[0]; i++)
        if ((int)celi_tables[i].level <= celi_min(cap, wish) && celi_has_level(celi_tables[i].level))
            best = celi_tables + i;
    CELI_ATOMIC_STORE(&celi_level_now.wish, wish);
    CELI_ATOMIC_STORE(&celi_level_now.kernels, best);
    return best;
}

static const celi_kernels *celi_kernel(void)
{
    const celi_kernels *kern = CELI_ATOMIC_LOAD(&celi_level_now.kernels);
    return kern ? kern : celi_level_choose(CEL_LEVEL_AVX512, celi_level_wish());
}

CEL_API_DEF cel_level cel_level_get(void) { return celi_kernel()->level; }

CEL_API_DEF cel_level cel_level_cap(cel_level cap)
{
    const celi_kernels *kern = celi_kernel(); /* the environment is read once, here at the latest */
    if ((int)cap >= CEL_LEVEL_SCALAR && (int)cap <= CEL_LEVEL_AVX512)
        kern = celi_level_choose((int)cap, CELI_ATOMIC_LOAD(&celi_level_now.wish));
    return kern->level;
}

CEL_API_DEF const char *cel_level_name(cel_level level)
{
    switch (level) {
    case CEL_LEVEL_SCALAR: return "scalar";
#if defined(CELI_WASM)
    case CEL_LEVEL_SIMD128: return "simd128";
#else
    case CEL_LEVEL_NEON: return "neon";
#endif
    case CEL_LEVEL_AVX2: return "avx2";
    case CEL_LEVEL_AVX512: return "avx512";
    }
    return "unknown";
}

CEL_API_DEF void cel_vec_axpy(cel_real alpha, const cel_real *x, cel_real *y, int64_t count)
{
    const celi_kernels *kern = celi_kernel();
    int64_t whole = count & ~(int64_t)15;
    size_t rest = (size_t)(count - whole) * sizeof(cel_real);
    kern->axpy(whole, alpha, x, y);
    if (rest > 0) {
        cel_real px[16] = {0}, py[16] = {0};
        memcpy(px, x + whole, rest);
        memcpy(py, y + whole, rest);
        kern->axpy(16, alpha, px, py);
        memcpy(y + whole, py, rest);
    }
}

/* The rest, of at most 15, is added by plain C: in double its order hardly matters, and is the same at every level. */
CEL_API_DEF double cel_vec_dot(const cel_real *x, const cel_real *y, int64_t count)
{
    int64_t whole = count & ~(int64_t)15, i;
    double s = celi_kernel()->dot(whole, x, y), rest = 0;
    for (i = whole; i < count; i++) rest += (double)x[i] * (double)y[i];
    return s + rest;
}

CEL_API_DEF double cel_vec_nrm2(const cel_real *x, int64_t count) { return sqrt(cel_vec_dot(x, x, count)); }

/* In blocks, copied whole so that an output may be x. What the kernel does not take is done again by libm (the scalar
 * twin). */
CEL_API_DEF void cel_vec_sincos(const cel_real *x, int64_t count, cel_real *sine, cel_real *cosine)
{
    enum { CELI_BLOCK = 256 };
    const celi_kernels *kern = celi_kernel();
    int64_t at;
    CELI_OMP(omp parallel for schedule(static) if (count >= 64 * CELI_BLOCK))
    for (at = 0; at < count; at += CELI_BLOCK) {
        cel_real in[CELI_BLOCK], s[CELI_BLOCK], c[CELI_BLOCK];
        int64_t now = celi_min(CELI_BLOCK, count - at), whole = celi_round_up(now, 16), i;
        memcpy(in, x + at, (size_t)now * sizeof(cel_real));
        for (i = now; i < whole; i++) in[i] = 1;
        if (kern->sincos(whole, in, s, c))
            for (i = 0; i < now; i++)
                if (!(in[i] >= -CELI_SINCOS_HIGH && in[i] <= CELI_SINCOS_HIGH))
                    celi_scalar_sincos(1, in + i, s + i, c + i);
        memcpy(sine + at, s, (size_t)now * sizeof(cel_real));
        memcpy(cosine + at, c, (size_t)now * sizeof(cel_real));
    }
}

/* The kernel makes 32 at a time. Of the last ones some may be thrown away, together with their blocks of random bits:
 * then the first m of n are those of a call for m, and what comes next begins on a new block. */
CEL_API_DEF void cel_rng_normals(cel_rng *rng, cel_real *out, int64_t count)
{
    const celi_kernels *kern = celi_kernel();
    for (; count > 0; out += 32, count -= 32) {
        cel_real last[32];
        kern->normals(rng, rng->block, count >= 32 ? out : last);
        if (count < 32) memcpy(out, last, (size_t)count * sizeof(cel_real));
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
    cel_mat a = CEL_ZERO;
    /* A view carries no const (see cel_mat); memcpy drops it without a cast. */
    memcpy(&a.data, &data, sizeof data);
    a.rows = rows;
    a.cols = cols;
    a.stride = cols;
    return a;
}

CEL_API_DEF cel_mat cel_mat_none(void)
{
    cel_mat a = CEL_ZERO;
    return a;
}

CEL_API_DEF cel_mat cel_mat_block(cel_mat a, int64_t row, int64_t col, int64_t rows, int64_t cols)
{
    if (a.data) a.data += row * a.stride + col; /* not even zero may be added to NULL */
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
    if (celi_is_zero(beta)) cel_mat_fill(c, 0);
    else
        for (i = 0; i < c.rows; i++)
            for (j = 0; j < c.cols; j++) c.data[i * c.stride + j] *= beta;
}

/* Squares that are transposed in registers, of side CELI_FLIP: b = a^T. SSE2 is part of x86-64, so that this needs no
 * dispatch. */
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

/* b (cols x rows) = a^T, a (rows x cols), not overlapping: whole squares in registers, what is left at the right and
 * at the bottom one by one. */
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

/* The upper triangle of C becomes the mirror of the lower. In blocks, because columns of a large matrix share few sets
 * of the cache. */
static void celi_mirror(cel_mat c)
{
    enum { CELI_BLOCK = 16, CELI_PART = 4 };
    int64_t at;
    CELI_OMP(omp parallel for schedule(dynamic) if (c.rows > 256))
    for (at = 0; at < c.rows; at += CELI_BLOCK) {
        int64_t end = celi_min(at + CELI_BLOCK, c.rows), ld = c.stride, k, i, j;
        for (j = 0; j < at; j += CELI_BLOCK)
            celi_transpose(end - at, CELI_BLOCK, c.data + at * ld + j, ld, c.data + j * ld + at, ld);
        for (k = at; k < end; k += CELI_PART) { /* on the diagonal: left of the parts, then the parts themselves */
            int64_t last = celi_min(k + CELI_PART, end);
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

static celi_factor celi_factor_of(cel_mat a, int trans)
{
    celi_factor f;
    f.data = a.data;
    f.stride = a.stride;
    f.trans = trans != 0;
    return f;
}

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

/* The same for A, whose panel may keep rows as runs of k, since tiles take any two strides: copying runs is cheaper
 * than transposing. */
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

/* A product of m x n x k = so many terms is shared by threads; of so many its operands are packed first, where packing
 * pays for itself. */
#define CELI_PRODUCT_FORK 2e6
#define CELI_PRODUCT_PACK 3e6

/* One product in progress, as Goto and van de Geijn (2008) cut it: nc columns of B and kc terms of the sum at a time;
 * their panel of B stays in the third-level cache while blocks of A's rows, mc x kc, pass through the second, and each
 * tile of C is one call of the kernel. Packed or not, an element's sum is the same. */
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

/* A tile of which only rows x cols exist goes through a whole one. */
static void celi_product_edge(const celi_kernels *kern, celi_tile *t, int64_t rows, int64_t cols)
{
    cel_real edge[512], *c = t->c;
    int64_t r, ldc = t->ldc;
    memset(edge, 0, (size_t)(kern->mr * kern->nr) * sizeof(cel_real));
    for (r = 0; r < rows; r++) memcpy(edge + r * kern->nr, c + r * ldc, (size_t)cols * sizeof(cel_real));
    t->c = edge;
    t->ldc = kern->nr;
    kern->tile(t);
    t->ldc = ldc;
    for (r = 0; r < rows; r++) memcpy(c + r * ldc, edge + r * kern->nr, (size_t)cols * sizeof(cel_real));
}

/* Rows i .. i + m of the block; a_packed has room for them in panels. Where nothing else is packed the last panels are,
 * since a tile reads whole ones. */
static void celi_product_rows(const celi_product *g, int64_t i, int64_t m, cel_real *a_packed)
{
    const int mr = g->kern->mr, nr = g->kern->nr;
    int64_t ir, jr, n = g->lower ? celi_min(g->n, i + m - g->j) : g->n;
    celi_tile t;
    t.k = g->k;
    t.alpha = g->alpha;
    t.beta = g->beta;
    t.ldc = g->c.stride;
    for (ir = 0; ir < m; ir += mr)
        if (g->pack_a || ir + mr > m)
            celi_pack_a(g->a, i + ir, g->p, celi_min(mr, m - ir), g->k, mr, a_packed + (g->pack_a ? ir * g->k : 0));
    for (jr = 0; jr < n; jr += nr) {
        int packed_b = g->pack_b || jr + nr > g->n;
        t.b = packed_b ? g->b_packed + (g->pack_b ? jr * g->k : 0) : celi_at(g->b, g->j + jr, g->p);
        t.ldb = packed_b ? nr : g->b.stride;
        for (ir = 0; ir < m; ir += mr) {
            int packed_a = g->pack_a || ir + mr > m;
            if (g->lower && i + ir + mr <= g->j + jr) continue; /* above the diagonal */
            t.a = packed_a ? a_packed + (g->pack_a ? ir * g->k : 0) : celi_at(g->a, i + ir, g->p);
            t.rs = g->a.trans ? 1 : packed_a ? g->k : g->a.stride;
            t.cs = !g->a.trans ? 1 : packed_a ? mr : g->a.stride;
            t.c = g->c.data + (i + ir) * g->c.stride + g->j + jr;
            if (ir + mr <= m && jr + nr <= g->n) g->kern->tile(&t);
            else celi_product_edge(g->kern, &t, celi_min(mr, m - ir), celi_min(nr, g->n - jr));
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

/* C = alpha op(A) op(B) + beta C, of k terms; a and b as in celi_product; shapes have been checked. Small products are
 * made by one thread: to wake others would take longer. */
static cel_status celi_product_run(celi_factor a, celi_factor b, int64_t k, cel_real alpha, cel_real beta, cel_mat c,
                                   int lower, cel_work *work)
{
    const celi_kernels *kern = celi_kernel();
    const int64_t m = c.rows, n = c.cols, kc = celi_min(kern->kc, k);
    const double size = (double)m * (double)n * (double)k;
    int64_t nc = celi_min(kern->nc, celi_round_up(n, kern->nr)), mc, blocks, a_size, threads;
    cel_work own = CEL_ZERO;
    celi_product g;
    cel_real *a_packed;
    if (m == 0 || n == 0) return CEL_OK;
    if (k == 0) {
        celi_scale(c, beta);
        return CEL_OK;
    }
    threads = size > CELI_PRODUCT_FORK ? cel_threads() : 1;
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
    g.pack_a = size > CELI_PRODUCT_PACK;
    g.pack_b = !b.trans || size > CELI_PRODUCT_PACK;
    /* The first block of terms scales C by beta, the others add to what is there. Panels of B are written before any
     * thread reads them; after that rows of C belong to one thread each, so nothing depends on how many there are. */
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
    if (m != c.rows || n != c.cols || k != (trans_b ? b.cols : b.rows)) return CEL_ERR_SHAPE;
#if defined(CELCOMEN_CBLAS)
    if (celi_cblas_takes(m, n, k, a, b, c)) {
        CELI_CBLAS(gemm)(CblasRowMajor, trans_a ? CblasTrans : CblasNoTrans, trans_b ? CblasTrans : CblasNoTrans,
                         (int)m, (int)n, (int)k, alpha, a.data, (int)a.stride, b.data, (int)b.stride, beta, c.data,
                         (int)c.stride);
        return CEL_OK;
    }
#endif
    return celi_product_run(celi_factor_of(a, trans_a), celi_factor_of(b, !trans_b), k, alpha, beta, c, 0, work);
}

/* cel_mat_syrk, but only the lower triangle of c holds the result: for sums over many calls, of which the last is
 * mirrored. */
static cel_status celi_syrk_lower(int trans, cel_real alpha, cel_mat a, cel_real beta, cel_mat c, cel_work *work)
{
    int64_t n = trans ? a.cols : a.rows, k = trans ? a.rows : a.cols;
    celi_factor f = celi_factor_of(a, trans);
    if (c.rows != n || c.cols != n) return CEL_ERR_SHAPE;
#if defined(CELCOMEN_CBLAS)
    if (celi_cblas_takes(n, n, k, a, a, c)) {
        CELI_CBLAS(syrk)(CblasRowMajor, CblasLower, trans ? CblasTrans : CblasNoTrans, (int)n, (int)k, alpha, a.data,
                         (int)a.stride, beta, c.data, (int)c.stride);
        return CEL_OK;
    }
#endif
    return celi_product_run(f, f, k, alpha, beta, c, 1, work);
}

CEL_API_DEF cel_status cel_mat_syrk(int trans, cel_real alpha, cel_mat a, cel_real beta, cel_mat c, cel_work *work)
{
    cel_status status = celi_syrk_lower(trans, alpha, a, beta, c, work);
    if (!status) celi_mirror(c);
    return status;
}

/* By one thread, a row after the other, each in double: the sum is the same for any number of threads, and long
 * matrices lose nothing. */
CEL_API_DEF double cel_mat_dot(cel_mat a, cel_mat b)
{
    double s = 0;
    int64_t i;
    if (!celi_same_shape(a, b)) return (double)NAN;
    for (i = 0; i < a.rows; i++) s += cel_vec_dot(a.data + i * a.stride, b.data + i * b.stride, a.cols);
    return s;
}

CEL_API_DEF cel_status cel_mat_axpy(cel_real alpha, cel_mat a, cel_mat b)
{
    int64_t i;
    if (!celi_same_shape(a, b)) return CEL_ERR_SHAPE;
    CELI_OMP(omp parallel for schedule(static) if (a.rows * a.cols > 16 * CELI_FORK))
    for (i = 0; i < a.rows; i++) cel_vec_axpy(alpha, a.data + i * a.stride, b.data + i * b.stride, a.cols);
    return CEL_OK;
}

CEL_API_DEF cel_status cel_mat_transpose(cel_mat a, cel_mat b)
{
    enum { CELI_BLOCK = 32 }; /* of both matrices, so that the lines of the cache that one side touches are used up */
    int64_t i, j;
    if (a.rows != b.cols || a.cols != b.rows) return CEL_ERR_SHAPE;
    for (i = 0; i < a.rows; i += CELI_BLOCK)
        for (j = 0; j < a.cols; j += CELI_BLOCK)
            celi_transpose(celi_min(CELI_BLOCK, a.rows - i), celi_min(CELI_BLOCK, a.cols - j),
                           a.data + i * a.stride + j, a.stride, b.data + j * b.stride + i, b.stride);
    return CEL_OK;
}

CEL_API_DEF cel_status cel_mat_symmetrise(cel_mat a)
{
    enum { CELI_BLOCK = 32 };
    int64_t i0;
    if (a.rows != a.cols) return CEL_ERR_SHAPE;
    CELI_OMP(omp parallel for schedule(dynamic) if (a.rows > 256))
    for (i0 = 0; i0 < a.rows; i0 += CELI_BLOCK) {
        int64_t j0, i, j;
        for (j0 = 0; j0 <= i0; j0 += CELI_BLOCK)
            for (i = i0; i < i0 + CELI_BLOCK && i < a.rows; i++)
                for (j = j0; j < j0 + CELI_BLOCK && j < i; j++) {
                    cel_real s = (a.data[i * a.stride + j] + a.data[j * a.stride + i]) / 2;
                    a.data[i * a.stride + j] = a.data[j * a.stride + i] = s;
                }
    }
    return CEL_OK;
}

CEL_API_DEF cel_status cel_mat_cholesky(cel_mat a)
{
    enum { CELI_BLOCK = 64 };
    const int64_t n = a.rows;
    cel_work work = CEL_ZERO;
    cel_status status = CEL_OK;
    int64_t j0;
    if (n != a.cols) return CEL_ERR_SHAPE;
    /* Left-looking: a block of columns is brought up to date from the finished ones by a product, which is nearly all
     * of the work, then factored: the square on the diagonal, and what is below it, a row of which needs only that
     * square. Inner products are in double, as everything that is subtracted from a pivot should be. */
    for (j0 = 0; j0 < n && !status; j0 += CELI_BLOCK) {
        const int64_t end = celi_min(j0 + CELI_BLOCK, n);
        int64_t i, j;
        if (j0 > 0 && end < n)
            status = cel_mat_gemm(0, 1, -1, cel_mat_block(a, end, 0, n - end, j0),
                                  cel_mat_block(a, j0, 0, end - j0, j0), 1,
                                  cel_mat_block(a, end, j0, n - end, end - j0), &work);
        for (j = j0; j < end && !status; j++) {
            cel_real *lj = a.data + j * a.stride;
            double d;
            for (i = j0; i < j; i++) {
                const cel_real *li = a.data + i * a.stride;
                lj[i] = (cel_real)(((double)lj[i] - cel_vec_dot(lj, li, i)) / (double)li[i]);
            }
            d = (double)lj[j] - cel_vec_dot(lj, lj, j);
            if (d > 0) lj[j] = (cel_real)sqrt(d);
            else status = CEL_ERR_NUMERIC;
        }
        if (status) break;
        /* What is below the square: every row by itself. */
        CELI_OMP(omp parallel for schedule(static) if (n - end > 64))
        for (i = end; i < n; i++) {
            cel_real *li = a.data + i * a.stride;
            int64_t t;
            for (t = j0; t < end; t++) {
                const cel_real *lt = a.data + t * a.stride;
                li[t] = (cel_real)(((double)li[t] - cel_vec_dot(li + j0, lt + j0, t - j0)) / (double)lt[t]);
            }
        }
    }
    cel_work_free(&work);
    return status;
}

CEL_API_DEF cel_status cel_mat_cholesky_solve(cel_mat l, cel_mat b)
{
    enum { CELI_BLOCK = 64 };
    const int64_t n = l.rows;
    cel_work work = CEL_ZERO;
    cel_status status = CEL_OK;
    int64_t i0, i, j;
    if (n != l.cols || b.rows != n) return CEL_ERR_SHAPE;
    /* L Y = B from the top, then L^T X = Y from the bottom, both in place: a block of rows takes off what the finished
     * rows contribute by one product, then is solved within itself. */
    for (i0 = 0; i0 < n && !status; i0 += CELI_BLOCK) {
        const int64_t end = celi_min(i0 + CELI_BLOCK, n);
        if (i0 > 0)
            status = cel_mat_gemm(0, 0, -1, cel_mat_block(l, i0, 0, end - i0, i0),
                                  cel_mat_block(b, 0, 0, i0, b.cols), 1,
                                  cel_mat_block(b, i0, 0, end - i0, b.cols), &work);
        for (i = i0; i < end; i++) {
            cel_real *bi = b.data + i * b.stride, d = l.data[i * l.stride + i];
            for (j = i0; j < i; j++) cel_vec_axpy(-l.data[i * l.stride + j], b.data + j * b.stride, bi, b.cols);
            for (j = 0; j < b.cols; j++) bi[j] /= d;
        }
    }
    for (i0 = n > 0 ? (n - 1) / CELI_BLOCK * CELI_BLOCK : -1; i0 >= 0 && !status; i0 -= CELI_BLOCK) {
        const int64_t end = celi_min(i0 + CELI_BLOCK, n);
        if (end < n)
            status = cel_mat_gemm(1, 0, -1, cel_mat_block(l, end, i0, n - end, end - i0),
                                  cel_mat_block(b, end, 0, n - end, b.cols), 1,
                                  cel_mat_block(b, i0, 0, end - i0, b.cols), &work);
        for (i = end - 1; i >= i0; i--) {
            cel_real *bi = b.data + i * b.stride, d = l.data[i * l.stride + i];
            for (j = 0; j < b.cols; j++) bi[j] /= d;
            for (j = i0; j < i; j++) cel_vec_axpy(-l.data[i * l.stride + j], bi, b.data + j * b.stride, b.cols);
        }
    }
    cel_work_free(&work);
    return status;
}

/* m u = given u, in place, m (dim x dim) symmetric, positive definite and small; only its lower triangle is read, and
 * becomes its Cholesky factor. A pivot below `share` of its diagonal entry is raised to that, and by `least`: this is
 * for preconditioners, where a nearly singular system wants a bounded answer rather than a refusal. */
static void celi_small_solve(double *m, double *u, int64_t dim, double share, double least)
{
    int64_t i, j, k;
    for (k = 0; k < dim; k++) {
        double *row = m + k * dim, lowest = share * row[k], pivot = row[k];
        for (j = 0; j < k; j++) pivot -= row[j] * row[j];
        row[k] = pivot = sqrt(pivot > lowest ? pivot : lowest + least);
        for (i = k + 1; i < dim; i++) {
            for (j = 0; j < k; j++) m[i * dim + k] -= m[i * dim + j] * row[j];
            m[i * dim + k] /= pivot;
        }
        for (j = 0; j < k; j++) u[k] -= row[j] * u[j]; /* L y = u goes along */
        u[k] /= pivot;
    }
    for (k = dim - 1; k >= 0; k--) { /* L^T u = y */
        for (i = k + 1; i < dim; i++) u[k] -= m[i * dim + k] * u[i];
        u[k] /= m[k * dim + k];
    }
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

/* Householder: d and e become the diagonal and, from 0, what is beside it. Reflection k, I - beta u u^T, takes row k
 * to (d, e, 0, ..); on both sides of A it is A - u w^T - w u^T with p = beta A u and w = p - (beta / 2) (p . u) u.
 * The rows are brought up to date with step k - 1 (v is its u, w) in the same pass that multiplies them with the
 * reflection of step k, so the matrix goes through the cache once a step and not twice. */
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

/* Applies the sweeps listed to the vectors. A panel is CELI_PANEL columns of all of them and fits the cache, so it
 * takes every rotation before the next panel is looked at; panels are independent, so threads share them. */
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

/* One sweep of implicit QL with Wilkinson's shift on rows l .. m of (d, e): chases the bulge from m up to l and lists
 * the rotations. CEL_ERR_NUMERIC for NaN. */
static cel_status celi_eigen_sweep(celi_eigen *q, double *d, int64_t l, int64_t m)
{
    double *e = q->e, *list = q->rotation + 2 * q->count, p = 0, s = 1, c = 1, g, r;
    int64_t i;
    g = (d[l + 1] - d[l]) / (2 * e[l]);
    r = sqrt(g * g + 1);
    g = d[m] - d[l] + e[l] / (g + (g < 0 ? -r : r));
    for (i = m - 1; i >= l; i--) {
        double f = s * e[i], b = c * e[i];
        e[i + 1] = r = sqrt(f * f + g * g);
        if (!(r > 0)) { /* the matrix falls apart here: the sweep ends early */
            if (!(r <= 0)) return CEL_ERR_NUMERIC;
            d[i + 1] -= p;
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
    if (i < l) {
        d[l] -= p;
        e[l] = g;
    }
    e[m] = 0;
    q->sweep[q->sweeps][0] = m;
    q->sweep[q->sweeps++][1] = m - 1 - i;
    q->count += m - 1 - i;
    return CEL_OK;
}

/* Sweeps until every e is nothing beside the matrix; d then holds the eigenvalues. Rotations are listed, and applied
 * many at a time, since each touches two rows of every panel. */
static cel_status celi_eigen_ql(celi_eigen *q, double *d)
{
    const int64_t n = q->n;
    double *e = q->e, least = 0;
    int64_t l, m;
    for (l = 0; l < n; l++) least = fmax(least, DBL_EPSILON * (fabs(d[l]) + fabs(e[l])));
    for (l = 0; l < n; l++) {
        int round;
        for (round = 0;; round++) {
            cel_status status;
            for (m = l; m + 1 < n && !(fabs(e[m]) <= least); m++) {
            }
            if (m == l) break;
            if (round == 60) return CEL_ERR_NUMERIC;
            if (q->sweeps == 64 || q->count + m - l > 32 * n) celi_eigen_rotate(q);
            status = celi_eigen_sweep(q, d, l, m);
            if (status) return status;
        }
    }
    celi_eigen_rotate(q);
    return CEL_OK;
}

/* Rows of a = the eigenvectors: the panels' rows, reflected. Some at a time, so that a reflection that has been loaded
 * serves them all; each row is its own, so threads share them. */
static void celi_eigen_reflect(celi_eigen *q)
{
    enum { CELI_ROWS = 4 };
    const int64_t n = q->n, width = q->stride;
    int64_t first;
    CELI_OMP(omp parallel for schedule(static) if (n * width > 2 * CELI_FORK))
    for (first = 0; first < n; first += CELI_ROWS) {
        double dot[CELI_ROWS] = {0};
        int64_t i, k, p;
        for (i = first; i < first + CELI_ROWS && i < n; i++)
            for (p = 0; p < width / CELI_PANEL; p++)
                memcpy(q->a + i * width + p * CELI_PANEL, q->panel + (p * n + i) * CELI_PANEL,
                       CELI_PANEL * sizeof(double));
        /* In the pass that takes reflection k off, the row is multiplied with the next one, k - 1. */
        for (k = n - 1; k >= 0; k--) {
            int64_t from = k / CELI_PANEL * CELI_PANEL;
            const double *u = q->u + k * width + from, *next = k > 0 ? u - width : u;
            for (i = 0; i < CELI_ROWS && first + i < n; i++)
                dot[i] = q->kern->rank2(width - from, q->a + (first + i) * width + from, q->beta[k] * dot[i], u, 0, u,
                                        next);
        }
    }
}

CEL_API_DEF cel_status cel_mat_eigen(cel_mat a, double *w, cel_mat v)
{
    const int64_t n = a.rows, stride = celi_round_up(n, CELI_PANEL);
    int64_t i, j, k;
    celi_pool pool = CEL_ZERO;
    celi_eigen q = CEL_ZERO;
    double top = 0; /* the largest entry, which is made 1: squares then neither overflow nor vanish */
    cel_status status;
    if (a.cols != n || v.rows != n || v.cols != n) return CEL_ERR_SHAPE;
    if (n > 0 && stride > PTRDIFF_MAX / n) return CEL_ERR_MEMORY;
    q.kern = celi_kernel();
    q.n = n;
    q.stride = stride;
    q.a = (double *)celi_pool_get(&pool, n * stride, sizeof(double));
    q.u = (double *)celi_pool_get(&pool, n * stride, sizeof(double));
    q.panel = (double *)celi_pool_get(&pool, n * stride, sizeof(double));
    q.beta = (double *)celi_pool_get(&pool, stride, sizeof(double));
    q.e = (double *)celi_pool_get(&pool, stride, sizeof(double));
    q.v = (double *)celi_pool_get(&pool, stride, sizeof(double));
    q.w = (double *)celi_pool_get(&pool, stride, sizeof(double));
    q.rotation = (double *)celi_pool_get(&pool, n, 64 * sizeof(double));
    status = pool.status;
    if (!status) {
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
    }
    for (i = 0; i < n && !status; i++) {
        w[i] *= top;
        if (!(fabs(w[i]) <= DBL_MAX)) status = CEL_ERR_NUMERIC;
    }
    if (!status) celi_eigen_reflect(&q);
    for (i = 0; i < n && !status; i++) { /* ascending: the least of what is left goes to column i, row i to its place */
        double least;
        for (k = i, j = i + 1; j < n; j++)
            if (w[j] < w[k]) k = j;
        least = w[k];
        w[k] = w[i];
        w[i] = least;
        for (j = 0; j < n; j++) v.data[j * v.stride + i] = (cel_real)q.a[k * stride + j];
        if (k != i) memcpy(q.a + k * stride, q.a + i * stride, (size_t)n * sizeof(double));
    }
    if (status) {
        if (n > 0) memset(w, 0, (size_t)n * sizeof(double));
        cel_mat_fill(v, 0);
    }
    celi_pool_free(&pool);
    return status;
}

CEL_API_DEF cel_status cel_mat_columns(cel_mat *a, const int32_t *index, int64_t count)
{
    int64_t i, j, stride = a->stride == a->cols ? count : a->stride;
    for (j = 0; j < count; j++)
        if (index[j] < 0 || index[j] >= a->cols || (j && index[j] <= index[j - 1])) return CEL_ERR_ARG;
    for (i = 0; i < a->rows; i++)
        for (j = 0; j < count; j++) a->data[i * stride + j] = a->data[i * a->stride + index[j]];
    a->cols = count;
    a->stride = stride;
    return CEL_OK;
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

/* A matrix of zeros with room for count entries, no row holding any: start is all 0, which callers count in. */
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

/* celi_csr_new, with the walk of the square matrix that out is made from. */
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

/* Rows first .. first + count - 1 of a: a view, to be read only. */
static cel_csr celi_csr_rows(const cel_csr *a, int64_t first, int64_t count)
{
    cel_csr view = *a;
    view.order = NULL;
    view.start += first;
    view.rows = count;
    return view;
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

/* Sums entries of one place in sorted rows, in place: reading runs ahead of writing. In double, since a pair of cells
 * may be listed many times. */
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
    cel_csr t = CEL_ZERO;
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
    /* What is one place in the matrix now stands side by side, in the order of the edges. */
    if (status) return celi_note(err, status, "edges to a sparse matrix");
    celi_csr_merge(out);
    return CEL_OK;
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

CEL_API_DEF cel_status cel_csr_symmetrise(const cel_csr *a, cel_csr *out)
{
    cel_csr t;
    int64_t i, to = 0;
    cel_status status;
    memset(out, 0, sizeof *out);
    if (a->rows != a->cols) return CEL_ERR_SHAPE;
    status = cel_csr_transpose(a, &t);
    if (status) return status;
    /* Rows of A and of A^T, both ascending, are merged; a place that both have is written once. */
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
            /* Is (j, i) there? By halving row j, whose columns ascend. */
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
    double *row, *col; /* sums, in double: a large hub adds many small weights */
    int64_t i, e;
    cel_status status = CEL_OK;
    if (kind == CEL_NORM_GCN && a->rows != a->cols) return CEL_ERR_SHAPE;
    if (kind != CEL_NORM_ROW && kind != CEL_NORM_SYM && kind != CEL_NORM_GCN) return CEL_ERR_ARG;
    row = (double *)celi_alloc((size_t)(a->rows + a->cols), sizeof *row);
    if (!row) return CEL_ERR_MEMORY;
    /* GCN divides by the row sums on both sides. Checked before anything is changed. */
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

/* A product in progress: result r is the sum over A's row list[r], or r where list is NULL. It is y's row r, or, in
 * a walk, the row that it is the sum over. */
typedef struct celi_csr_product {
    const celi_kernels *kern;
    const cel_csr *a;
    const int32_t *list;
    cel_real alpha, beta;
    cel_mat x, y;
    int walk;
} celi_csr_product;

/* How many fetched rows are remembered, by their number's last bits, so that neighbours that neighbours share are not
 * asked for again; and how many results a thread makes before it takes the next lot. */
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

/* Results first .. last - 1. The time is that of fetching X's rows, so they are asked for ahead. Of a square matrix in
 * its own order, the rows of the same numbers are fetched long before: they are neighbours of what follows, and memory
 * likes their order better. In a list or a walk, A's own rows are fetched in time for this, and y's. */
static void celi_csr_run(const celi_csr_product *p, int64_t first, int64_t last)
{
    enum { CELI_SOON = 4, CELI_LATER = 16, CELI_LATEST = 64 };
    const cel_csr *a = p->a;
    const int32_t *list = p->list;
    const int64_t *start = a->start, count = p->y.rows;
    int32_t recent[CELI_CSR_RECENT];
    celi_spread spread;
    int64_t r, i, e;
    memset(recent, -1, sizeof recent);
    spread.x = p->x.data;
    spread.n = p->x.cols;
    spread.stride = p->x.stride;
    spread.alpha = p->alpha;
    spread.beta = p->beta;
    for (r = first - CELI_SOON; r < last; r++) {
        if (r + CELI_LATEST < count) {
            if (list) CELI_PREFETCH(start + list[r + CELI_LATEST]);
            else if (a->rows == a->cols) celi_csr_fetch_x(p, recent, r + CELI_LATEST);
        }
        if (list && r + CELI_LATER < count) {
            CELI_PREFETCH(a->index + start[list[r + CELI_LATER]]);
            CELI_PREFETCH(a->value + start[list[r + CELI_LATER]]);
        }
        if (r + CELI_SOON < last) {
            i = list ? list[r + CELI_SOON] : r + CELI_SOON;
            for (e = start[i]; e < start[i + 1]; e++) celi_csr_fetch_x(p, recent, a->index[e]);
            if (list && p->walk) celi_csr_fetch(p->y.data + i * p->y.stride, p->y.cols);
        }
        if (r < first) continue;
        i = list ? list[r] : r;
        p->kern->csr_row(&spread, start[i + 1] - start[i], a->index + start[i], a->value + start[i],
                         p->y.data + (p->walk ? i : r) * p->y.stride);
    }
}

/* The product that celi_csr_product describes, begun. */
static cel_status celi_csr_product_run(cel_real alpha, const cel_csr *a, const int32_t *list, int walk, cel_mat x,
                                       cel_real beta, cel_mat y)
{
    celi_csr_product p;
    int64_t r, count = y.rows;
    if (a->cols != x.rows || x.cols != y.cols) return CEL_ERR_SHAPE;
    p.kern = celi_kernel();
    p.a = a;
    p.list = list;
    p.alpha = alpha;
    p.beta = beta;
    p.x = x;
    p.y = y;
    p.walk = walk;
    /* A row of the result is one thread's and is summed in A's order: the same bits for any number of threads. */
    CELI_OMP(omp parallel for schedule(static) if (count * x.cols > CELI_FORK))
    for (r = 0; r < count; r += CELI_CSR_RUN) celi_csr_run(&p, r, celi_min(r + CELI_CSR_RUN, count));
    return CEL_OK;
}

CEL_API_DEF cel_status cel_csr_mul(cel_real alpha, const cel_csr *a, cel_mat x, cel_real beta, cel_mat y)
{
    /* order needs no check: its maker made it a permutation */
    return y.rows == a->rows ? celi_csr_product_run(alpha, a, a->order, 1, x, beta, y) : CEL_ERR_SHAPE;
}

CEL_API_DEF cel_status cel_csr_mul_rows(cel_real alpha, const cel_csr *a, const int32_t *list, int64_t count, cel_mat x,
                                        cel_real beta, cel_mat y)
{
    int64_t r;
    if (y.rows != count || (!list && count > a->rows)) return CEL_ERR_SHAPE;
    for (r = 0; list && r < count; r++)
        if (list[r] < 0 || list[r] >= a->rows) return CEL_ERR_ARG;
    return celi_csr_product_run(alpha, a, list, 0, x, beta, y);
}

/* Breadth-first from cell i. seen holds 1 + the last cell that a node was reached from; the nodes at exactly `hops`
 * steps become queue[result .. *end - 1]. */
static int64_t celi_csr_ring(const cel_csr *a, int64_t i, int hops, int32_t *seen, int32_t *queue, int64_t *end)
{
    const int32_t mark = (int32_t)i + 1;
    int64_t from = 0, to = 1, last, e;
    queue[0] = (int32_t)i;
    seen[i] = mark;
    for (; hops > 0 && from < to; hops--)
        for (last = to; from < last; from++)
            for (e = a->start[queue[from]]; e < a->start[queue[from] + 1]; e++) {
                int32_t j = a->index[e];
                if (seen[j] == mark) continue;
                seen[j] = mark;
                queue[to++] = j;
            }
    *end = to;
    return from;
}

/* Twice over all cells: once to count, once to fill. The columns of a row come in the order in which they were met;
 * the pairs are symmetric, so transposing sorts them. */
CEL_API_DEF cel_status cel_csr_hop(const cel_csr *a, int hops, cel_csr *out)
{
    cel_csr s = CEL_ZERO, found = CEL_ZERO;
    celi_pool pool = CEL_ZERO;
    int32_t *seen, *queue;
    int64_t i, from, end, total = 0;
    cel_status status;
    memset(out, 0, sizeof *out);
    if (hops < 1) return CEL_ERR_ARG;
    status = cel_csr_symmetrise(a, &s);
    seen = (int32_t *)celi_pool_get(&pool, s.rows, sizeof *seen);
    queue = (int32_t *)celi_pool_get(&pool, s.rows, sizeof *queue);
    if (!status) status = pool.status;
    for (i = 0; !status && i < s.rows; i++) {
        from = celi_csr_ring(&s, i, hops, seen, queue, &end);
        total += end - from;
    }
    if (!status) status = celi_csr_like(&s, s.rows, s.cols, total, &found);
    if (!status) memset(seen, 0, (size_t)s.rows * sizeof *seen);
    for (i = 0; !status && i < s.rows; i++) {
        int64_t at = found.start[i], k;
        from = celi_csr_ring(&s, i, hops, seen, queue, &end);
        for (k = from; k < end; k++) found.index[at + k - from] = queue[k];
        found.start[i + 1] = at + end - from;
    }
    for (i = 0; !status && i < total; i++) found.value[i] = 1;
    if (!status) status = cel_csr_transpose(&found, out);
    celi_pool_free(&pool);
    cel_csr_free(&s);
    cel_csr_free(&found);
    return status;
}

/* cel_csr_groups without its checks, of cells in the order of a walk (NULL: their own): cells of negative label are
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

CEL_API_DEF cel_status cel_csr_groups(const int32_t *label, int64_t count, int64_t groups, int64_t *start,
                                      int32_t *list, cel_error *err)
{
    int64_t i;
    if (groups < 0 || count < 0 || count > INT32_MAX)
        return celi_note(err, CEL_ERR_ARG, "the number of groups or cells is out of range");
    memset(start, 0, (size_t)(groups + 1) * sizeof *start);
    memset(list, 0, (size_t)count * sizeof *list);
    for (i = 0; i < count; i++)
        if (label[i] < 0 || label[i] >= groups)
            return celi_fail(err, CEL_ERR_ARG, "a label is out of range", -1, i, -1);
    celi_group(label, NULL, count, groups, start, list);
    return CEL_OK;
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

/* As little-endian, without the loop. */
static uint64_t celi_load64(const unsigned char *p)
{
    uint64_t v;
    if (celi_host_big_endian()) return celi_load(p, 8, 0);
    memcpy(&v, p, sizeof v);
    return v;
}

/* The fields of zip and gzip. */
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

/* A place in a header, which is a Python literal that ends at `end`. Only what NumPy writes there is understood: NumPy
 * evaluates the text, so that stranger things could stand in it, and a file that needs them is none to trust. The place
 * is where an error is reported. */
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

/* The type: an optional byte order and a code, or a name. What NumPy has beside numbers (dates, complex numbers,
 * objects) is told apart from what is no type at all: the one file is fine and not for us, the other is broken. */
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
        return celi_wrong(&start, CEL_ERR_UNSUPPORTED, code[0] == 'O' ?
                          "Python objects, not numbers: of a sparse matrix save .toarray()" :
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
                                                      ? "an .npz archive, not the .npy file of a dense array"
                                                      : "not an .npy file");
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
static int64_t celi_npy_convert(const cel_npy *a, cel_real *real, int64_t *integer, const double *shift)
{
    const int64_t columns = shift ? a->shape[a->ndim - 1] : 0;
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
    for (i = 0; i < a->count; i++) { /* i runs in C order, `at` is the element's place in the file's order */
        uint64_t bits = celi_load(data + at, a->bytes, a->big_endian);
        if (a->kind == 'f') {
            double v = celi_float(bits, a->bytes);
            real[i] = (cel_real)(shift ? v - shift[i % columns] : v);
        } else if (a->kind == 'i') {
            int64_t v = (int64_t)((bits ^ sign) - sign);
            if (integer) integer[i] = v;
            else real[i] = shift ? (cel_real)((double)v - shift[i % columns]) : (cel_real)v;
        } else {
            if (a->kind == 'b') bits = bits != 0;
            if (integer && bits > (uint64_t)INT64_MAX) return i;
            if (integer) integer[i] = (int64_t)bits;
            else real[i] = shift ? (cel_real)((double)bits - shift[i % columns]) : (cel_real)bits;
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
    if (!celi_npy_is_real(a)) (void)celi_npy_convert(a, out, NULL, NULL);
    else if (a->count) memcpy(out, a->data, (size_t)a->count * sizeof(cel_real));
    return CEL_OK;
}

CEL_API_DEF cel_status cel_npy_to_int64(const cel_npy *a, int64_t *out, cel_error *err)
{
    int64_t done;
    if (!celi_npy_numeric(a) || a->kind == 'f')
        return celi_bad(err, CEL_ERR_UNSUPPORTED, "not an array of integers", a->offset);
    done = celi_npy_convert(a, NULL, out, NULL);
    if (done == a->count) return CEL_OK;
    memset(out, 0, (size_t)a->count * sizeof *out);
    return celi_fail(err, CEL_ERR_DATA, "an unsigned integer above 2^63 - 1", a->offset, done, -1);
}

/* Row i of a matrix of any number type: its columns col (count), or the first ones (NULL). What machines write is read
 * by a loop of its own, what is rare one number at a time. */
#define CELI_NPY_ROW(type)                                                                                             \
    for (j = 0; j < count; j++) {                                                                                      \
        type v;                                                                                                        \
        memcpy(&v, row + (col ? col[j] : j) * across, sizeof v);                                                       \
        out[j] = (cel_real)v;                                                                                          \
    }
static void celi_npy_row(const cel_npy *a, int64_t i, const int32_t *col, int64_t count, cel_real *out)
{
    const int64_t across = a->bytes * (a->fortran ? a->shape[0] : 1);
    const unsigned char *row = (const unsigned char *)a->data + i * a->bytes * (a->fortran ? 1 : a->shape[1]);
    const int type = a->bytes > 1 && a->big_endian != celi_host_big_endian() ? 0 : a->kind * 16 + a->bytes;
    cel_npy one = *a;
    int64_t j;
    switch (type) {
    case 'f' * 16 + 4: CELI_NPY_ROW(float) break;
    case 'f' * 16 + 8: CELI_NPY_ROW(double) break;
    case 'u' * 16 + 1: CELI_NPY_ROW(uint8_t) break;
    case 'u' * 16 + 2: CELI_NPY_ROW(uint16_t) break;
    case 'u' * 16 + 4: CELI_NPY_ROW(uint32_t) break;
    case 'i' * 16 + 4: CELI_NPY_ROW(int32_t) break;
    case 'i' * 16 + 8: CELI_NPY_ROW(int64_t) break;
    default:
        one.ndim = 0;
        one.count = 1;
        for (j = 0; j < count; j++) {
            one.data = row + (col ? col[j] : j) * across;
            (void)celi_npy_convert(&one, out + j, NULL, NULL);
        }
    }
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

/* ---- compressed content: deflate (RFC 1951), as gzip (RFC 1952) and zip hold it ---- */

/* A deflate stream is a row of blocks. A block is stored, or it is a row of symbols in a Huffman code: a byte, the end
 * of the block, or a length, which a distance in a second code follows: copy so many bytes from so far back. The output
 * is its own dictionary, so that it is unpacked in one piece, into memory whose size is known before: said by the file
 * and checked, or measured by a first pass that decodes and writes nothing. Every count is checked before it is used;
 * what is wrong ends the work with a text, never with a write or a read outside. */

/* CRC-32, eight bytes at a time: table[k] says what a byte does to the sum when k others follow it. The table is made
 * anew, which takes some microseconds: a constant of 8 KiB would be longer than all of this. */
static uint32_t celi_crc(uint32_t crc, const void *bytes, size_t n)
{
    uint32_t table[8][256], i, a, b;
    const unsigned char *p = (const unsigned char *)bytes;
    int k;
    for (i = 0; i < 256; i++) {
        table[0][i] = i;
        for (k = 0; k < 8; k++) table[0][i] = table[0][i] >> 1 ^ (table[0][i] & 1 ? 0xedb88320u : 0);
    }
    for (k = 1; k < 8; k++)
        for (i = 0; i < 256; i++) table[k][i] = table[k - 1][i] >> 8 ^ table[0][table[k - 1][i] & 255];
    crc = ~crc;
    for (; n >= 8; n -= 8, p += 8) {
        a = crc ^ celi_load32(p);
        b = celi_load32(p + 4);
        crc = table[7][a & 255] ^ table[6][a >> 8 & 255] ^ table[5][a >> 16 & 255] ^ table[4][a >> 24] ^
              table[3][b & 255] ^ table[2][b >> 8 & 255] ^ table[1][b >> 16 & 255] ^ table[0][b >> 24];
    }
    for (; n > 0; n--, p++) crc = crc >> 8 ^ table[0][(crc ^ *p) & 255];
    return ~crc;
}

/* The bits of a stream, the next one lowest in `hold`. Behind the last byte come zeros, so that nobody need ask for the
 * end at every bit; they are counted, and whoever has used one has read too far. */
typedef struct celi_stream {
    const unsigned char *p, *end;
    uint64_t hold;
    int have, past; /* bits in hold; bytes of zeros among them */
} celi_stream;

/* Makes at least 56 bits available; 0 if bits behind the end have been used. */
static int celi_stream_fill(celi_stream *b)
{
    if (b->end - b->p >= 8) { /* what does not fit is read again next time, as the same bits in the same place */
        b->hold |= celi_load64(b->p) << b->have;
        b->p += (63 - b->have) >> 3;
        b->have |= 56;
        return 1;
    }
    for (; b->have <= 56; b->have += 8)
        if (b->p < b->end) b->hold |= (uint64_t)*b->p++ << b->have;
        else b->past++;
    return 8 * b->past <= b->have;
}

/* The next n <= 16 bits as a number; they must be available. */
static int celi_stream_take(celi_stream *b, int n)
{
    int v = (int)(b->hold & (((uint64_t)1 << n) - 1));
    b->hold >>= n;
    b->have -= n;
    return v;
}

/* Goes on at the next whole byte: p stands before it. 0 if that lies behind the end. */
static int celi_stream_align(celi_stream *b)
{
    int whole = (b->have >> 3) - b->past;
    if (whole < 0) return 0;
    b->p -= whole;
    b->hold = 0;
    b->have = b->past = 0;
    return 1;
}

/* A Huffman code. The first bits of the stream point to the symbol and the length of its code; the rare codes that are
 * longer are found by counting, length by length. */
enum { CELI_CODE_FAST = 10 };
typedef struct celi_code {
    uint16_t fast[1 << CELI_CODE_FAST]; /* symbol << 4 | length, 0 where the code is longer or there is none */
    uint16_t count[16];                 /* codes of each length */
    uint16_t symbol[288];               /* in the order of their codes */
} celi_code;

/* The code of n symbols with these lengths (0 to 15; 0: without a code). Codes are given out by length, then by symbol
 * (RFC 1951, 3.2.2): counts and an order say all. They stand in the stream highest bit first, all else lowest first;
 * hence the table of the next bits holds them reversed, at every place whose low bits they are. Returns 0 if there are
 * more codes than bits allow, or fewer: then zlib takes none at all and a single one of one bit (a file that has no
 * distance, or one), but not for the code of lengths (n == 19). */
static int celi_code_make(celi_code *c, const unsigned char *length, int n)
{
    int left = 1, used = 0, i, k, code = 0, at[16];
    memset(c, 0, sizeof *c);
    for (i = 0; i < n; i++) c->count[length[i]]++;
    c->count[0] = 0;
    for (k = 1; k < 16; k++) {
        at[k] = used;
        used += c->count[k];
        left = 2 * left - c->count[k];
        if (left < 0) return 0;
    }
    if (left > 0 && used > 0 && (n == 19 || used > 1 || c->count[1] == 0)) return 0;
    for (i = 0; i < n; i++)
        if (length[i]) c->symbol[at[length[i]]++] = (uint16_t)i;
    for (k = 1, i = 0; k <= CELI_CODE_FAST; k++, code <<= 1)
        for (; i < at[k]; i++, code++) {
            int reversed = 0, bit;
            for (bit = 0; bit < k; bit++) reversed |= (code >> bit & 1) << (k - 1 - bit);
            for (; reversed < 1 << CELI_CODE_FAST; reversed += 1 << k)
                c->fast[reversed] = (uint16_t)(c->symbol[i] << 4 | k);
        }
    return 1;
}

/* The next symbol, of at most 15 available bits; -1 if these bits are no code. */
static int celi_code_next(const celi_code *c, celi_stream *b)
{
    int entry = c->fast[b->hold & ((1 << CELI_CODE_FAST) - 1)], k, code = 0, first = 0, index = 0;
    if (entry) {
        (void)celi_stream_take(b, entry & 15);
        return entry >> 4;
    }
    for (k = 1; k < 16; k++) { /* codes of k bits are first, first + 1, .. */
        code |= (int)(b->hold >> (k - 1) & 1);
        if (code - first < c->count[k]) {
            (void)celi_stream_take(b, k);
            return c->symbol[index + code - first];
        }
        index += c->count[k];
        first = (first + c->count[k]) << 1;
        code <<= 1;
    }
    return -1;
}

/* What can be wrong. Their addresses are what the functions below return; NULL is success. Too little room is told
 * apart from damage, because it is the one that a larger buffer cures. */
static const char celi_cut[] = "the compressed content is cut short: copy the file again";
static const char celi_damaged[] = "the compressed content is damaged: copy the file again";
static const char celi_full[] = "the content is longer than the file says";

/* The two codes of a block: type 1 has fixed ones, type 2 begins with their lengths, themselves coded. */
static const char *celi_inflate_codes(celi_stream *b, int type, celi_code *literal, celi_code *distance)
{
    static const unsigned char order[19] = {16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1, 15};
    unsigned char length[320] = {0};
    int literals = 288, distances = 32, lengths, i, s, n;
    if (type == 1) {
        memset(length, 8, 288);
        memset(length + 144, 9, 112);
        memset(length + 256, 7, 24);
        memset(length + 288, 5, 32);
    } else {
        literals = 257 + celi_stream_take(b, 5);
        distances = 1 + celi_stream_take(b, 5);
        lengths = 4 + celi_stream_take(b, 4);
        if (literals > 286 || distances > 30) return celi_damaged;
        for (i = 0; i < lengths; i++) {
            if (!celi_stream_fill(b)) return celi_cut;
            length[order[i]] = (unsigned char)celi_stream_take(b, 3);
        }
        if (!celi_code_make(literal, length, 19)) return celi_damaged;
        memset(length, 0, 19);
        for (i = 0; i < literals + distances; i += n) { /* 0 to 15 are lengths, 16 to 18 repeat the last one or 0 */
            if (!celi_stream_fill(b)) return celi_cut;
            s = celi_code_next(literal, b);
            if (s < 0 || (s == 16 && i == 0)) return celi_damaged;
            n = s < 16 ? 1 : s == 18 ? 11 + celi_stream_take(b, 7) : 3 + celi_stream_take(b, s == 17 ? 3 : 2);
            if (n > literals + distances - i) return celi_damaged;
            memset(length + i, s < 16 ? s : s == 16 ? length[i - 1] : 0, (size_t)n);
        }
        if (!length[256]) return celi_damaged; /* a block without an end */
    }
    return celi_code_make(literal, length, literals) && celi_code_make(distance, length + literals, distances)
               ? NULL : celi_damaged;
}

/* length bytes from `distance` before, which may overlap: then what is copied repeats. `room` bytes may be written. */
static void celi_inflate_copy(unsigned char *to, size_t distance, size_t length, size_t room)
{
    const unsigned char *from = to - distance;
    size_t i;
    if (distance >= 8 && room >= length + 8)
        for (i = 0; i < length; i += 8) memcpy(to + i, from + i, 8); /* what is too much is overwritten later */
    else if (distance == 1)
        memset(to, *from, length);
    else
        for (i = 0; i < length; i++) to[i] = from[i];
}

/* The symbols of a block: bytes, and copies of what came before. */
static const char *celi_inflate_block(celi_stream *bits, const celi_code *literal, const celi_code *distance,
                                      unsigned char *out, size_t capacity, size_t *size)
{
    celi_stream b = *bits; /* a copy that stays in registers, whatever is written to out */
    const char *what = NULL;
    size_t at = *size, length, back;
    int s, extra; /* a symbol, and how many bits follow it */
    while (!what) {
        if (b.have < 48 && !celi_stream_fill(&b)) { /* 48 bits are the longest copy */
            what = celi_cut;
            break;
        }
        s = celi_code_next(literal, &b);
        if (s >= 0 && s < 256) {
            if (at == capacity) what = celi_full;
            else if (out) out[at++] = (unsigned char)s;
            else at++;
            continue;
        }
        if (s == 256) break;
        if (s < 0 || s > 285) {
            what = celi_damaged;
            break;
        }
        /* Lengths 3, 4, .. 10; then every 4 symbols the step doubles; the last is 258. Distances: every 2 symbols. */
        s -= 257;
        extra = s < 8 || s == 28 ? 0 : (s >> 2) - 1;
        length = s == 28 ? 258 : (size_t)((s < 8 ? s : (4 + (s & 3)) << extra) + 3 + celi_stream_take(&b, extra));
        s = celi_code_next(distance, &b);
        extra = s < 4 ? 0 : (s >> 1) - 1;
        if (s < 0 || s > 29) {
            what = celi_damaged;
            break;
        }
        back = (size_t)((s < 4 ? s : (2 + (s & 1)) << extra) + 1 + celi_stream_take(&b, extra));
        if (back > at) what = celi_damaged;
        else if (length > capacity - at) what = celi_full;
        else if (out) celi_inflate_copy(out + at, back, length, capacity - at);
        at += length;
    }
    *bits = b;
    *size = at;
    return what;
}

/* Unpacks a deflate stream into out (capacity), or only measures it (out NULL). *size is its length. On success b
 * stands behind it. The only memory is two codes on the stack; a copy looks back into out itself. */
static const char *celi_inflate(celi_stream *b, unsigned char *out, size_t capacity, size_t *size)
{
    celi_code literal, distance;
    const char *what = NULL;
    int last = 0;
    *size = 0;
    while (!last && !what) {
        int type;
        if (!celi_stream_fill(b)) return celi_cut;
        last = celi_stream_take(b, 1);
        type = celi_stream_take(b, 2);
        if (type == 3) return celi_damaged;
        if (type == 0) { /* stored: a length, its complement, and bytes */
            size_t n;
            if (!celi_stream_align(b) || b->end - b->p < 4) return celi_cut;
            n = celi_load16(b->p);
            if ((n ^ celi_load16(b->p + 2)) != 0xffff) return celi_damaged;
            b->p += 4;
            if (n > (size_t)(b->end - b->p)) return celi_cut;
            if (n > capacity - *size) return celi_full;
            if (out && n) memcpy(out + *size, b->p, n);
            b->p += n;
            *size += n;
        } else {
            what = celi_inflate_codes(b, type, &literal, &distance);
            if (!what) what = celi_inflate_block(b, &literal, &distance, out, capacity, size);
        }
    }
    return what ? what : celi_stream_align(b) ? NULL : celi_cut;
}

/* All members of a gzip file, one after the other, as above; *where is the byte at which the work ended. */
static const char *celi_gunzip(const unsigned char *p, size_t size, unsigned char *out, size_t capacity, size_t *length,
                               size_t *where)
{
    celi_stream b = CEL_ZERO;
    const char *what = NULL;
    b.p = p;
    b.end = p + size;
    *length = 0;
    do {
        size_t n = 0, head = 10, left = (size_t)(b.end - b.p);
        int flags = left < 18 ? 0 : b.p[3], k;
        if (left < 18) what = celi_cut;
        else if (b.p[0] != 0x1f || b.p[1] != 0x8b || b.p[2] != 8 || flags & 0xe0) what = celi_damaged;
        if (!what && flags & 4) head += 2 + celi_load16(b.p + 10); /* an extra field */
        for (k = 8; !what && k <= 16; k <<= 1) /* the name, then a comment: each ends in a zero */
            if (flags & k) {
                while (head < left && b.p[head]) head++;
                head++;
            }
        if (!what && flags & 2) head += 2; /* the header's checksum */
        if (!what && head + 8 > left) what = celi_cut;
        if (!what) {
            b.p += head;
            what = celi_inflate(&b, out ? out + *length : NULL, capacity - *length, &n);
        }
        if (!what && b.end - b.p < 8) what = celi_cut;
        if (!what && ((n & 0xffffffffu) != celi_load32(b.p + 4) ||
                      (out && celi_crc(0, out + *length, n) != celi_load32(b.p)))) what = celi_damaged;
        *length += n;
        if (!what)
            for (b.p += 8; b.p < b.end && *b.p == 0;) b.p++; /* padding of tapes */
    } while (!what && b.p < b.end);
    *where = (size_t)(b.p - p);
    return what;
}

/* What may be unpacked, as a number of bytes that memory can have. */
static uint64_t celi_unpack_limit(int64_t limit)
{
    return (uint64_t)celi_min(limit > 0 ? limit : CEL_UNPACK_LIMIT, PTRDIFF_MAX);
}

/* Refuses what would need more memory than the limit, before it gets any. */
static cel_status celi_limited(uint64_t entries, size_t bytes, int64_t limit, cel_error *err)
{
    if (entries <= celi_unpack_limit(limit) / bytes) return CEL_OK;
    return celi_bad(err, CEL_ERR_MEMORY,
                    "the table needs more memory than the limit: raise the limit if the file can be trusted", -1);
}

CEL_API_DEF cel_status cel_file_gunzip(const void *bytes, size_t size, int64_t limit, void **out, size_t *length,
                                       cel_error *err)
{
    const unsigned char *p = (const unsigned char *)bytes;
    const uint64_t most = celi_unpack_limit(limit);
    size_t n = size >= 18 ? celi_load32(p + size - 4) : 0, where = 0;
    const char *what = celi_full;
    *out = NULL;
    *length = 0;
    /* The last 4 bytes are the length of the last member. Mostly it is the only one: try that. Otherwise, and where the
     * length is no possible one (deflate makes at most 1032 of a byte), measure first: no lie gets memory. */
    if (n <= most && n / 1032 <= size) { /* in one pass */
        *out = celi_alloc_raw(n);
        if (!*out) return celi_no_memory(err);
        what = celi_gunzip(p, size, (unsigned char *)*out, n, length, &where);
    }
    if (what == celi_full) {
        celi_free(*out);
        *out = NULL;
        what = celi_gunzip(p, size, NULL, (size_t)most, &n, &where);
        if (what == celi_full)
            what = "the content is longer than the limit: raise the limit if the file can be trusted";
        if (!what && (*out = celi_alloc_raw(n)) == NULL) return celi_no_memory(err);
        if (!what) what = celi_gunzip(p, size, (unsigned char *)*out, n, length, &where);
    }
    if (!what) return CEL_OK;
    celi_free(*out);
    *out = NULL;
    *length = 0;
    return celi_bad(err, CEL_ERR_FORMAT, what, (int64_t)where);
}

/* ---- .npz: a zip archive (PKWARE's APPNOTE) ---- */

/* An archive is read from its end: the end record says where the central directory is, the directory where the members
 * are. Each number is checked against the bytes that are there before it is used as a place. Offsets of more than 32
 * bits stand elsewhere (zip64), which NumPy uses for arrays of 4 GiB. */

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

/* The last entry of that name: zip archives are updated by appending. 0 if there is none. */
static int celi_zip_find(const cel_npz *z, const char *name, celi_zip_entry *found)
{
    size_t at = (size_t)z->directory;
    celi_zip_entry e;
    int64_t i;
    int any = 0;
    for (i = 0; i < z->count && celi_zip_next((const unsigned char *)z->bytes, z->size, &at, &e); i++)
        if (celi_same((const char *)e.name, e.name_length, name)) {
            *found = e;
            any = 1;
        }
    return any;
}

/* The content of a compressed member, which begins at p, in memory that z keeps. `at` is p's place in the archive. */
static cel_status celi_zip_inflate(cel_npz *z, const unsigned char *p, const celi_zip_entry *e, int64_t at,
                                   const void **content, cel_error *err)
{
    celi_stream b = CEL_ZERO;
    celi_pool pool = CEL_ZERO;
    const char *what;
    unsigned char *out;
    size_t n;
    if (e->size > celi_unpack_limit(z->limit) || e->size / 1032 > e->stored)
        return celi_bad(err, CEL_ERR_FORMAT, "a member says that it is longer than it can be, or than the limit", at);
    pool.last = z->unpacked;
    *content = out = (unsigned char *)celi_pool_get(&pool, (int64_t)e->size, 1);
    z->unpacked = pool.last;
    if (!out) return celi_no_memory(err);
    b.p = p;
    b.end = p + e->stored;
    what = celi_inflate(&b, out, (size_t)e->size, &n);
    if (!what && (n != e->size || b.p != b.end)) what = celi_damaged;
    return what ? celi_bad(err, CEL_ERR_FORMAT, what, at) : CEL_OK;
}

CEL_API_DEF cel_status cel_npz_get(cel_npz *z, const char *name, cel_npy *out, cel_error *err)
{
    const unsigned char *p = (const unsigned char *)z->bytes;
    uint64_t limit = (uint64_t)z->directory, data;
    int64_t here;
    const void *content;
    celi_zip_entry e;
    cel_status status;
    memset(out, 0, sizeof *out);
    if (!celi_zip_find(z, name, &e)) return celi_bad(err, CEL_ERR_ARG, "the archive has no such array", z->directory);
    here = (int64_t)(e.name - p);
    if (e.flags & 1) return celi_bad(err, CEL_ERR_UNSUPPORTED, "an encrypted member", here);
    if (e.method != 0 && e.method != 8)
        return celi_bad(err, CEL_ERR_UNSUPPORTED,
                        "a member compressed otherwise than by deflate: save it by numpy.savez_compressed", here);
    if (limit < 30 || e.local > limit - 30 || celi_load32(p + e.local) != 0x04034b50u)
        return celi_bad(err, CEL_ERR_FORMAT, "a member is not where the directory says", here);
    data = e.local + 30 + celi_load16(p + e.local + 26) + celi_load16(p + e.local + 28);
    if (data > limit || e.stored > limit - data || (!e.method && e.size != e.stored))
        return celi_bad(err, CEL_ERR_FORMAT, "a member is not as long as the directory says", here);
    content = p + data;
    status = e.method ? celi_zip_inflate(z, p + data, &e, (int64_t)data, &content, err) : CEL_OK;
    if (status) return status;
    if (celi_crc(0, content, (size_t)e.size) != e.crc)
        return celi_bad(err, CEL_ERR_FORMAT, "a member's content does not match its CRC-32", (int64_t)data);
    status = cel_npy_parse(content, (size_t)e.size, out, err);
    /* Unpacked bytes have no place in the file: the member's must do. */
    if (!status) out->offset = (int64_t)data + (e.method ? 0 : out->offset);
    else if (err) err->offset = (int64_t)data + (e.method ? 0 : err->offset);
    return status;
}

CEL_API_DEF void cel_npz_free(cel_npz *z)
{
    celi_chain_free(z->unpacked);
    memset(z, 0, sizeof *z);
}

/* The row of each entry, from where the rows begin: start (rows + 1). For CSC, columns. */
static cel_status celi_csr_expand(const int64_t *start, int64_t rows, int64_t count, int64_t *row, int64_t offset,
                                  cel_error *err)
{
    int64_t i, e;
    if (start[0] != 0 || start[rows] != count)
        return celi_bad(err, CEL_ERR_FORMAT, "indptr does not run from 0 to the number of entries", offset);
    for (i = 0; i < rows; i++) {
        if (start[i] > start[i + 1] || start[i + 1] > count)
            return celi_fail(err, CEL_ERR_FORMAT, "indptr is not ascending", offset, i, -1);
        for (e = start[i]; e < start[i + 1]; e++) row[e] = i;
    }
    return CEL_OK;
}

/* A CSR matrix whose arrays are as they should be is taken as it is: without this it would pass through three times its
 * own memory. 0, with out empty, for one that needs sorting or has something wrong. */
static int celi_csr_direct(const cel_npy *major, const cel_npy *minor, const cel_npy *data, const int64_t *size,
                           cel_csr *out)
{
    int64_t i, e, count = data->count;
    int good = minor->kind == 'i' && minor->bytes == 4 && minor->big_endian == celi_host_big_endian() &&
               celi_npy_numeric(data) && celi_csr_new(size[0], size[1], count, out) == CEL_OK;
    if (good) good = cel_npy_to_int64(major, out->start, NULL) == CEL_OK;
    if (good) good = out->start[0] == 0 && out->start[size[0]] == count;
    for (i = 0; i < size[0] && good; i++) good = out->start[i] <= out->start[i + 1];
    if (good && count) memcpy(out->index, minor->data, (size_t)count * sizeof *out->index);
    for (i = 0; i < size[0] && good; i++)
        for (e = out->start[i]; e < out->start[i + 1]; e++)
            good &= out->index[e] > (e > out->start[i] ? out->index[e - 1] : -1) && out->index[e] < size[1];
    if (good) celi_npy_row(data, 0, NULL, count, out->value);
    if (!good) cel_csr_free(out);
    return good;
}

CEL_API_DEF cel_status cel_npz_to_csr(cel_npz *z, cel_csr *out, cel_error *err)
{
    cel_npy format, shape, data, major, minor;
    int64_t size[2], *start, *place[2], count, e;
    cel_real *value;
    celi_pool pool = CEL_ZERO;
    const char *name;
    size_t length;
    int csc, coo; /* the major index runs along columns; both indices are given for every entry */
    cel_status status = cel_npz_get(z, "format", &format, err);
    memset(out, 0, sizeof *out);
    if (status) return status;
    name = (const char *)format.data;
    length = format.kind == 'S' && format.count == 1 ? (size_t)format.bytes : 0;
    csc = celi_same(name, length, "csc");
    coo = celi_same(name, length, "coo");
    if (!csc && !coo && !celi_same(name, length, "csr"))
        return celi_bad(err, CEL_ERR_UNSUPPORTED,
                        "a sparse matrix that is not of format csr, csc or coo: save its .tocsr()", format.offset);
    status = cel_npz_get(z, coo ? "col" : "indices", &minor, err);
    if (!status) status = cel_npz_get(z, coo ? "row" : "indptr", &major, err);
    if (!status) status = cel_npz_get(z, "shape", &shape, err);
    if (!status) status = cel_npz_get(z, "data", &data, err);
    if (!status && shape.count == 2) status = cel_npy_to_int64(&shape, size, err);
    if (status) return status;
    count = data.count;
    if (shape.count != 2 || size[0] < 0 || size[1] < 0 || size[0] > INT32_MAX || size[1] > INT32_MAX ||
        minor.count != count || major.count != (coo ? count : size[csc] + 1))
        return celi_bad(err, CEL_ERR_FORMAT, "the lengths of a sparse matrix's arrays do not fit", shape.offset);
    status = celi_limited((uint64_t)(size[0] + size[1]), 8, z->limit, err);
    if (status) return status;
    if (!csc && !coo && celi_csr_direct(&major, &minor, &data, size, out)) return CEL_OK;
    /* Each count is at most the number of bytes that are there: no lie about lengths asks for much memory. */
    start = (int64_t *)celi_pool_get(&pool, coo ? 0 : major.count, sizeof *start);
    place[0] = (int64_t *)celi_pool_get(&pool, count, sizeof *place[0]);
    place[1] = (int64_t *)celi_pool_get(&pool, count, sizeof *place[1]);
    value = (cel_real *)celi_pool_get(&pool, count, sizeof *value);
    status = pool.status ? celi_no_memory(err) : cel_npy_to_int64(&minor, place[!csc], err);
    if (!status) status = cel_npy_to_int64(&major, coo ? place[0] : start, err);
    if (!status) status = cel_npy_to_real(&data, value, err);
    if (!status && !coo) status = celi_csr_expand(start, size[csc], count, place[csc], major.offset, err);
    for (e = 0; !status && e < count; e++)
        if (place[0][e] < 0 || place[0][e] >= size[0] || place[1][e] < 0 || place[1][e] >= size[1])
            status = celi_fail(err, CEL_ERR_FORMAT, "an index of a sparse matrix is out of range", minor.offset,
                               place[0][e], -1);
    if (!status) status = cel_csr_from_edges(size[0], size[1], count, place[0], place[1], value, out, err);
    celi_pool_free(&pool);
    return status;
}

CEL_API_DEF void cel_npz_from_csr(const cel_csr *a, int64_t *shape, cel_npz_member *member)
{
    static const char *const name[5] = {"indices", "indptr", "format", "shape", "data"};
    int64_t count = cel_csr_count(a), starts = a->rows + 1, two = 2;
    int k;
    shape[0] = a->rows;
    shape[1] = a->cols;
    for (k = 0; k < 5; k++) member[k].name = name[k];
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
        if (p[i] == 0)
            return celi_bad(err, CEL_ERR_FORMAT,
                            ((unsigned char)p[0] & 0xFE) == 0xFE && ((unsigned char)p[1] & 0xFE) == 0xFE
                                ? "a text in UTF-16: save it as UTF-8" : "a text with a NUL byte", (int64_t)n + 1);
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

/* ---- tables ---- */

/* m 10^e, in double within 1 ulp, mostly exact. Powers up to 10^22 are doubles, and so are integers up to 2^53: then
 * one rounding is all. Otherwise the value is a sum of two doubles (high + low), scaled in steps of at most 10^22: of
 * each product and quotient fma gives what the rounding took. */
static double celi_decimal(uint64_t m, int e)
{
    static const double power[23] = {1e0,  1e1,  1e2,  1e3,  1e4,  1e5,  1e6,  1e7,  1e8,  1e9,  1e10, 1e11,
                                     1e12, 1e13, 1e14, 1e15, 1e16, 1e17, 1e18, 1e19, 1e20, 1e21, 1e22};
    double high = (double)m, low, next, by;
    int step;
    if (m == 0 || e < -400) return 0;
    if (e > 400) return (double)INFINITY;
    if (m <= (uint64_t)1 << 53 && e >= -22 && e <= 22) return e < 0 ? high / power[-e] : high * power[e];
    low = (double)(int64_t)(m - (uint64_t)high);
    for (; e > 0; e -= step) {
        step = e < 22 ? e : 22;
        by = power[step];
        next = high * by;
        if (next > DBL_MAX) return next;
        low = low * by + fma(high, by, -next);
        high = next;
    }
    for (; e < 0; e += step) {
        step = -e < 22 ? -e : 22;
        by = power[step];
        next = high / by;
        low = (low + fma(-next, by, high)) / by;
        high = next;
    }
    return high + low;
}

/* A decimal number, a point before its fraction whatever the locale; 0 if the n bytes are none. Digits behind the 19th
 * count as zeros: less than 1e-18 of the value. */
static int celi_number(const char *s, size_t n, double *out)
{
    const int64_t most = 100000; /* no exponent needs more, and no sum of two overflows */
    uint64_t m = 0;
    int64_t e = 0, x = 0;
    size_t i = n > 0 && (s[0] == '-' || s[0] == '+');
    int digits = 0, point = 0, below;
    for (; i < n && ((s[i] >= '0' && s[i] <= '9') || (s[i] == '.' && !point)); i++) {
        if (s[i] == '.') {
            point = 1;
            continue;
        }
        digits = 1;
        if (m < (uint64_t)1000000000000000000) m = 10 * m + (uint64_t)(s[i] - '0');
        else e++;
        e -= point;
    }
    if (digits && i + 1 < n && (s[i] == 'e' || s[i] == 'E')) {
        below = s[++i] == '-';
        i += s[i] == '-' || s[i] == '+';
        digits = i < n;
        for (; i < n && s[i] >= '0' && s[i] <= '9'; i++) x = celi_min(10 * x + s[i] - '0', most);
        e += below ? -x : x;
    }
    *out = celi_decimal(m, (int)(e < -most ? -most : celi_min(e, most)));
    if (n > 0 && s[0] == '-') *out = -*out;
    return digits && i == n;
}

/* A text is read in place, field by field, twice: its first two lines to see what it is, then all of it into memory of
 * the right size. Nothing of it is copied but the names. Fields end at the separator or with the line: "\n", "\r\n" or
 * "\r". */
typedef struct celi_reader {
    const char *at, *end;
    int64_t line; /* from 1 */
    char separator;
} celi_reader;

typedef struct celi_field {
    const char *s; /* (n) without spaces around it, without its quotes, a quote inside of those still doubled */
    size_t n;
    int quoted;
} celi_field;

/* The next field. Returns 1 if more follow on this line, 0 if it was the last, -1 if its quotes are not closed. */
static int celi_reader_field(celi_reader *t, celi_field *f)
{
    const char *p = t->at, *end = t->end;
    /* Spaces around a field are nobody's intention: "Actb " would be another gene than "Actb". In quotes they stay. */
    while (p < end && *p == ' ') p++;
    f->quoted = p < end && *p == '"';
    p += f->quoted;
    f->s = p;
    if (f->quoted) {
        for (; p < end && *p != '\n' && *p != '\r'; p++) {
            if (*p != '"') continue;
            if (end - p < 2 || p[1] != '"') break;
            p++;
        }
        f->n = (size_t)(p - f->s);
        if (p == end || *p != '"') return -1;
        for (p++; p < end && *p == ' ' && t->separator != ' ';) p++;
        if (p < end && *p != t->separator && *p != '\n' && *p != '\r') return -1;
    } else {
        while (p < end && *p != t->separator && *p != '\n' && *p != '\r') p++;
        for (f->n = (size_t)(p - f->s); f->n > 0 && (f->s[f->n - 1] == ' ' || f->s[f->n - 1] == '\t');) f->n--;
    }
    t->at = p;
    if (p < end && *p == t->separator) {
        t->at++;
        return 1;
    }
    if (p < end) t->at += *p == '\r' && end - p > 1 && p[1] == '\n' ? 2 : 1;
    t->line++;
    return 0;
}

/* A field as a string in the pool's memory; NULL when there is none (pool->status). */
static char *celi_keep(celi_pool *pool, celi_field f)
{
    char *name = (char *)celi_pool_get(pool, (int64_t)f.n + 1, 1);
    size_t i, n = 0;
    for (i = 0; name && i < f.n; i++) {
        name[n++] = f.s[i];
        if (f.quoted && f.s[i] == '"') i++; /* the second of two */
    }
    return name;
}

/* CEL_ERR_FORMAT, in a line of a text and, unless -1, a field of it. */
static cel_status celi_bad_line(cel_error *err, const char *what, int64_t line, int64_t field)
{
    return celi_fail(err, CEL_ERR_FORMAT, what, line, -1, field);
}

/* A text: no zero byte in it, its byte order mark skipped, blank lines around it left out. Zero bytes are what UTF-16
 * and unknown binary formats have in common. */
static cel_status celi_reader_open(const void *bytes, size_t size, celi_reader *t, cel_error *err)
{
    const char *p = (const char *)bytes, *zero = size ? (const char *)memchr(p, 0, size) : NULL;
    t->line = 1;
    t->end = p + size;
    if (zero) {
        for (; p < zero; p++) t->line += *p == '\n';
        return celi_bad_line(err, "a zero byte: an unknown kind of file, or a text not in UTF-8 (save it as CSV UTF-8)",
                             t->line, -1);
    }
    if (size >= 3 && memcmp(p, "\xEF\xBB\xBF", 3) == 0) p += 3;
    while (t->end > p && strchr(" \r\n", t->end[-1])) t->end--;
    for (; p < t->end && (*p == '\n' || *p == '\r'); p++) t->line += *p == '\n';
    t->at = p;
    t->separator = '\t';
    return CEL_OK;
}

static const char celi_bad_quotes[] = "a quote that is not closed on its line, or text behind a closed one";

/* How the lines of a table are to be understood. Three habits must be told apart: a header above every column (pandas,
 * Excel), one without a field above the names (R's write.table), and none. A file where the looks deceive, as one whose
 * genes are numbers, needs the options. */
typedef struct celi_layout {
    int64_t fields, rows, cols; /* fields of a line; lines of numbers; numbers of a line that are wanted */
    int64_t label;              /* the field of the label, or -1 */
    int header, names, shift;   /* a header; names in the first field; the header has no field above them */
    int64_t *to;                /* (fields) the column in which a field's number goes, -1: none */
    int places;     /* columns are coordinates */
} celi_layout;

/* Whether a piece of a text is this word, in upper or lower case. */
static int celi_alike(const char *s, size_t n, const char *word)
{
    size_t i;
    for (i = 0; i < n && word[i]; i++)
        if (s[i] != word[i] && ((s[i] | 32) != (word[i] | 32) || (s[i] | 32) < 'a' || (s[i] | 32) > 'z')) return 0;
    return i == n && !word[i];
}

/* Whether a header's first field says that names of rows are below it. */
static int celi_names_below(celi_field f)
{
    static const char *const word[12] = {"",        "cell",      "cell_id", "barcode", "spot", "gene",
                                         "gene_id", "gene_name", "symbol",  "index",   "id",   "name"};
    int k;
    for (k = 0; k < 12; k++)
        if (celi_alike(f.s, f.n, word[k])) return 1;
    return 0;
}

/* The separator: what is most frequent in the first line outside of quotes, a space only if there is nothing else. */
static char celi_separator(celi_reader t)
{
    static const char kind[] = "\t;, ";
    int count[4] = {0, 0, 0, 0}, quoted = 0, k, best = 2;
    for (; t.at < t.end && *t.at != '\n' && *t.at != '\r'; t.at++) {
        if (*t.at == '"') quoted = !quoted;
        for (k = 0; k < 4 && !quoted; k++) count[k] += *t.at == kind[k];
    }
    for (k = 1; k >= 0; k--)
        if (count[k] && count[k] >= count[best]) best = k;
    return kind[count[best] || !count[3] ? best : 3];
}

/* The number of fields of a line, its first one, and how many others (or an only one) are no numbers; t goes on to the
 * next line. 0 if quotes are not closed. */
static int64_t celi_layout_line(celi_reader *t, celi_field *first, int64_t *words)
{
    int64_t n = 0;
    int more = 1;
    celi_field f;
    double v;
    *words = 0;
    for (; more > 0; n++) {
        more = celi_reader_field(t, &f);
        if (n == 0) *first = f;
        if ((n > 0 || !more) && !celi_number(f.s, f.n, &v)) ++*words;
    }
    return more < 0 ? 0 : n;
}

/* Which of the l->fields columns are wanted, by their names in the header at t. */
static int celi_layout_pick(celi_reader t, const cel_table_options *o, celi_layout *l)
{
    int64_t j, k;
    celi_field f;
    for (j = 0; j < l->fields; j++) l->to[j] = -1;
    for (j = l->shift; j < l->fields; j++) {
        (void)celi_reader_field(&t, &f);
        for (k = 0; k < o->picks; k++)
            if (celi_same(f.s, f.n, o->pick[k])) l->to[j] = k;
        if (o->label && celi_same(f.s, f.n, o->label)) l->label = j;
    }
    if (l->to[0] >= 0 || l->label == 0) l->names = 0; /* what is asked for is no name */
    for (k = 0; k < o->picks; k++) {
        int64_t found = 0;
        for (j = 0; j < l->fields; j++) found += l->to[j] == k;
        if (found != 1) return 0;
    }
    return !o->label || l->label >= 0;
}

/* Finds the layout from the first two lines and the options. Names that are numbers are known by the header above them,
 * as Xenium's cell_id; words in the first column can be nothing else. */
static cel_status celi_layout_find(celi_reader t, const cel_table_options *o, celi_pool *pool, celi_layout *l,
                                   cel_error *err)
{
    const celi_reader head = t;
    celi_field corner, first;
    int64_t words, below, n, n2 = 0, j;
    double v;
    n = celi_layout_line(&t, &corner, &words);
    first = corner;
    if (n && t.at < t.end) n2 = celi_layout_line(&t, &first, &below);
    if (!n || (!n2 && t.at < t.end)) return celi_bad_line(err, celi_bad_quotes, head.line + (n > 0), -1);
    l->shift = n2 == n + 1;
    l->header = o->header ? o->header > 0 : words || l->shift || (n > 1 && corner.n == 0);
    if (!l->header) first = corner;
    l->names = o->row_names
                   ? o->row_names > 0
                   : l->shift || (l->header && n > 1 && celi_names_below(corner)) || !celi_number(first.s, first.n, &v);
    l->fields = n + l->shift;
    l->label = -1;
    l->to = (int64_t *)celi_pool_get(pool, l->fields, sizeof *l->to);
    if (!l->to) return celi_no_memory(err);
    for (j = 0; j < l->fields; j++) l->to[j] = j - l->names;
    l->cols = l->fields - l->names;
    if (!o->picks && !o->label) return l->cols ? CEL_OK : celi_bad_line(err, "names without numbers", head.line, -1);
    l->cols = o->picks;
    if (!l->header) return celi_bad_line(err, "columns are asked for by name: give the table a header", head.line, -1);
    return celi_layout_pick(head, o, l)
               ? CEL_OK
               : celi_bad_line(err, "the header lacks a column that is asked for, or has it twice", head.line, -1);
}

/* What is wrong with a field that should be a number, and the cure. Missing values are refused, not read as NaN: no
 * function of this library has a use for them, and here the line is known. */
static const char *celi_no_number(celi_field f, char separator)
{
    double v;
    size_t k;
    if (f.n == 0) return "an empty field where a number should be: write 0 if it is none";
    for (k = 0; k < f.n; k++)
        if (f.s[k] == ',' && separator != ',' && celi_number(f.s, k, &v) && celi_number(f.s + k + 1, f.n - k - 1, &v))
            return "a decimal comma: export with decimal points";
    if (celi_alike(f.s, f.n, "NA") || celi_alike(f.s, f.n, "NaN") || celi_alike(f.s, f.n, "NULL"))
        return "a missing value: leave that cell or gene out, or write what it should be";
    return "text where a number should be: name the columns that are wanted, or leave this one out";
}

/* What is taken off a column of coordinates that begins with v. Floats are 1/128 apart at 65,536, and without a bound
 * all places would move by a rounding. */
static double celi_place_shift(double v) { return fabs(v) > 65536 && celi_finite(v) ? floor(v) : 0; }

/* The numbers and names below the header: l->rows lines of l->fields, as rows of the file. Without memory for them
 * (out->x.data NULL) it only looks for what is wrong. */
static cel_status celi_layout_read(celi_reader *t, const celi_layout *l, int turn, celi_pool *pool, cel_table *out,
                                   cel_error *err)
{
    int64_t i, j, line;
    celi_field f;
    for (i = 0; i < l->rows; i++) {
        int more = 1;
        line = t->line;
        if (t->at < t->end && (*t->at == '\n' || *t->at == '\r') && l->fields > 1)
            return celi_bad_line(err, "an empty line inside of the table", line, -1);
        for (j = 0; more > 0 && j < l->fields; j++) {
            double v;
            more = celi_reader_field(t, &f);
            if (more < 0) return celi_bad_line(err, celi_bad_quotes, line, j);
            if (!out->x.data) continue;
            if (j == 0 && l->names) out->row[i] = celi_keep(pool, f);
            if (j == l->label) out->label[i] = celi_keep(pool, f);
            if (l->to[j] < 0) continue;
            if (!celi_number(f.s, f.n, &v)) return celi_bad_line(err, celi_no_number(f, t->separator), line, j);
            if (i == 0 && l->places) out->shift[l->to[j]] = celi_place_shift(v);
            if (l->places) v -= out->shift[l->to[j]];
            out->x.data[turn ? l->to[j] * l->rows + i : i * l->cols + l->to[j]] = (cel_real)v;
        }
        if (more) return celi_bad_line(err, "a line with more fields than the first", line, -1);
        if (j < l->fields)
            return celi_bad_line(err, "a line with fewer fields than the first: is it complete, and are names with "
                                      "separators in quotes?", line, -1);
        if (pool->status) return celi_no_memory(err);
    }
    return CEL_OK;
}

/* Memory for the numbers and names of a table, and those of its header at t, which goes on to the next line. */
static cel_status celi_layout_names(celi_reader *t, const celi_layout *l, int turn, celi_pool *pool, cel_table *out,
                                    cel_error *err)
{
    int64_t j;
    celi_field f;
    if (cel_mat_new(turn ? l->cols : l->rows, turn ? l->rows : l->cols, &out->x)) return celi_no_memory(err);
    if (l->names) out->row = (char **)celi_pool_get(pool, l->rows, sizeof *out->row);
    if (l->label >= 0) out->label = (char **)celi_pool_get(pool, l->rows, sizeof *out->label);
    if (l->header) out->col = (char **)celi_pool_get(pool, l->cols, sizeof *out->col);
    for (j = l->shift; j < l->fields && l->header && !pool->status; j++) {
        (void)celi_reader_field(t, &f);
        if (l->to[j] >= 0) out->col[l->to[j]] = celi_keep(pool, f);
    }
    return pool->status ? celi_no_memory(err) : CEL_OK;
}

/* CSV, TSV, or numbers between spaces. */
static cel_status celi_table_text(const void *bytes, size_t size, const cel_table_options *o, celi_pool *pool,
                                  cel_table *out, cel_error *err)
{
    celi_pool scratch = CEL_ZERO;
    celi_layout l = CEL_ZERO;
    celi_reader t;
    const char *p;
    cel_status status = celi_reader_open(bytes, size, &t, err);
    if (status) return status;
    if (t.at == t.end) return celi_bad_line(err, "an empty file", 1, -1);
    t.separator = celi_separator(t);
    status = celi_layout_find(t, o, &scratch, &l, err);
    l.places = o->places && !o->genes_are_rows && l.cols <= 3;
    /* Lines are counted by their ends; the last has none, because the blank rest of the text was left out. */
    l.rows = !l.header;
    for (p = t.at; p < t.end; p++) l.rows += *p == '\n' || (*p == '\r' && t.end - p > 1 && p[1] != '\n');
    if (!status && !l.rows) status = celi_bad_line(err, "a header without lines below it", t.line, -1);
    /* A file too short for so many lines of so many fields gets no memory: it has a wrong line, which will be found. */
    if (!status && l.rows <= (t.end - t.at) / l.fields + 1) {
        status = celi_limited((uint64_t)l.rows * (uint64_t)l.cols, sizeof(cel_real), o->limit, err);
        if (!status) status = celi_layout_names(&t, &l, o->genes_are_rows, pool, out, err);
    } else if (!status && l.header) {
        celi_field first;
        int64_t words;
        (void)celi_layout_line(&t, &first, &words);
    }
    if (!status) status = celi_layout_read(&t, &l, o->genes_are_rows, pool, out, err);
    if (o->genes_are_rows) {
        char **row = out->row;
        out->row = out->col;
        out->col = row;
    }
    celi_pool_free(&scratch);
    return status;
}

/* Between the words of Matrix Market. In a text without zero bytes, whatever the locale. */
static int celi_is_space(char c) { return c == ' ' || c == '\t' || c == '\r' || c == '\n'; }

/* The next word of a Matrix Market file; its length, 0 at the end. */
static size_t celi_market_word(celi_reader *t, const char **s)
{
    for (; t->at < t->end && celi_is_space(*t->at); t->at++) t->line += *t->at == '\n';
    for (*s = t->at; t->at < t->end && !celi_is_space(*t->at);) t->at++;
    return (size_t)(t->at - *s);
}

/* The next word as a number; 0 if it is none. */
static int celi_market_number(celi_reader *t, double *v)
{
    const char *s;
    size_t n = celi_market_word(t, &s);
    return celi_number(s, n, v);
}

/* The next word as a whole number from low to high; 0 if it is none. */
static int celi_market_integer(celi_reader *t, int64_t low, int64_t high, int64_t *out)
{
    double v;
    if (!celi_market_number(t, &v) || v < (double)low || v > (double)high) return 0;
    *out = (int64_t)v;
    return (double)*out >= v;
}

static const char celi_bad_entry[] = "not a number of the kind, or not in the range, that the file's head says";

/* The entries of a coordinate file: row, column, value, from 1, in any order. To turn the matrix is to exchange rows
 * and columns here, at no cost. */
static cel_status celi_market_entries(celi_reader *t, const int64_t *shape, int64_t count, int pattern, int turn,
                                      cel_csr *out, cel_error *err)
{
    celi_pool pool = CEL_ZERO;
    int64_t *place[2], e;
    cel_real *value;
    double v = 1;
    int k;
    cel_status status = CEL_OK;
    for (k = 0; k < 2; k++) place[k] = (int64_t *)celi_pool_get(&pool, count, sizeof **place);
    value = (cel_real *)celi_pool_get(&pool, count, sizeof *value);
    if (pool.status) status = celi_no_memory(err);
    for (e = 0; !status && e < count; e++) {
        for (k = 0; k < 2; k++) {
            if (!celi_market_integer(t, 1, shape[k], place[k] + e)) status = CEL_ERR_FORMAT;
            place[k][e]--;
        }
        if (!status && !pattern && !celi_market_number(t, &v)) status = CEL_ERR_FORMAT;
        value[e] = (cel_real)v;
        if (status) (void)celi_bad_line(err, celi_bad_entry, t->line, -1);
    }
    if (!status)
        status = cel_csr_from_edges(shape[turn], shape[!turn], count, place[turn], place[!turn], value, out, err);
    celi_pool_free(&pool);
    return status;
}

/* The numbers of an array file, column by column. */
static cel_status celi_market_array(celi_reader *t, const int64_t *shape, int turn, cel_mat *out, cel_error *err)
{
    int64_t i, j;
    double v;
    if (cel_mat_new(shape[turn], shape[!turn], out)) return celi_no_memory(err);
    for (j = 0; j < shape[1]; j++)
        for (i = 0; i < shape[0]; i++) {
            if (!celi_market_number(t, &v)) return celi_bad_line(err, celi_bad_entry, t->line, -1);
            out->data[turn ? j * shape[0] + i : i * shape[1] + j] = (cel_real)v;
        }
    return CEL_OK;
}

/* Matrix Market (Boisvert, Pozo and Remington 1996): coordinate and array, general. The sizes in its head are believed
 * only as far as the file is long enough for them, and within the limit. */
static cel_status celi_table_market(const void *bytes, size_t size, const cel_table_options *o, cel_table *out,
                                    cel_error *err)
{
    int64_t shape[2] = {0, 0}, count;
    int k, array, pattern, turn = o->genes_are_rows != 0;
    char head[100] = "";
    const char *s;
    celi_reader t;
    cel_status status = celi_reader_open(bytes, size, &t, err);
    if (status) return status;
    for (k = 0; k < 99 && t.at < t.end && *t.at != '\n' && *t.at != '\r'; k++, t.at++)
        head[k] = (char)(*t.at >= 'A' && *t.at <= 'Z' ? *t.at + 32 : *t.at); /* in any case */
    array = strstr(head, " matrix array ") != NULL;
    pattern = strstr(head, " pattern ") != NULL;
    if ((!array && !strstr(head, " matrix coordinate ")) || (array && pattern) || strstr(head, " complex "))
        return celi_bad(err, CEL_ERR_UNSUPPORTED, "a Matrix Market file, but not a matrix of real numbers", 1);
    if (!strstr(head, " general"))
        return celi_bad(err, CEL_ERR_UNSUPPORTED, "a Matrix Market file of one triangle: write all entries, in Python "
                                                  "scipy.io.mmwrite(file, a, symmetry='general')", 1);
    do { /* comments, up to the sizes */
        while (t.at < t.end && *t.at != '\n') t.at++;
        for (; t.at < t.end && celi_is_space(*t.at); t.at++) t.line += *t.at == '\n';
    } while (t.at < t.end && *t.at == '%');
    for (k = 0; k < 2; k++)
        if (!celi_market_integer(&t, 0, INT32_MAX, shape + k)) return celi_bad_line(err, celi_bad_entry, t.line, -1);
    count = shape[0] * shape[1];
    if (!array && !celi_market_integer(&t, 0, (int64_t)1 << 48, &count))
        return celi_bad_line(err, celi_bad_entry, t.line, -1);
    if (count > (t.end - t.at) / (array ? 2 : pattern ? 4 : 6)) /* the bytes that an entry has at least */
        return celi_bad_line(err, "the file is shorter than its head says: copy it again", t.line, -1);
    status = celi_limited((uint64_t)(shape[0] + shape[1] + 4 * count), 8, o->limit, err);
    if (!status)
        status = array ? celi_market_array(&t, shape, turn, &out->x, err)
                       : celi_market_entries(&t, shape, count, pattern, turn, &out->sparse, err);
    if (!status && celi_market_word(&t, &s))
        status = celi_bad_line(err, "the file goes on after its entries", t.line, -1);
    return status;
}

/* ---- tables: which kind ---- */

/* An array as a matrix, or its transpose: the same bytes in the other order. */
static cel_status celi_table_npy(cel_npy a, const cel_table_options *o, cel_table *out, cel_error *err)
{
    int64_t rows = a.shape[0], j;
    cel_npy first;
    if (a.ndim != 2) return celi_bad(err, CEL_ERR_SHAPE, "the array has not two dimensions", a.offset);
    if (o->genes_are_rows) {
        a.fortran = !a.fortran;
        a.shape[0] = a.shape[1];
        a.shape[1] = rows;
    }
    if (celi_limited((uint64_t)a.count, sizeof(cel_real), o->limit, err)) return CEL_ERR_MEMORY;
    if (cel_mat_new(a.shape[0], a.shape[1], &out->x)) return celi_no_memory(err);
    if (!o->places || a.shape[1] > 3 || !a.count || !celi_npy_numeric(&a)) return cel_npy_to_real(&a, out->x.data, err);
    first = a;
    first.count = a.shape[1]; /* in C order: the first place */
    (void)celi_npy_convert(&first, out->x.data, NULL, NULL);
    for (j = 0; j < a.shape[1]; j++) out->shift[j] = celi_place_shift((double)out->x.data[j]);
    (void)celi_npy_convert(&a, out->x.data, NULL, out->shift);
    return CEL_OK;
}

/* A sparse matrix of SciPy's, known by its member "format", or the first matrix of numbers. Other members, such as
 * names in Unicode, are passed over. */
static cel_status celi_table_npz(const void *bytes, size_t size, const cel_table_options *o, cel_table *out,
                                 cel_error *err)
{
    char name[256];
    celi_zip_entry e;
    cel_csr turned;
    cel_npz z;
    cel_npy a;
    int64_t i;
    cel_status status = cel_npz_parse(bytes, size, &z, err);
    if (status) return status;
    z.limit = o->limit;
    if (celi_zip_find(&z, "format", &e)) {
        status = cel_npz_to_csr(&z, &out->sparse, err);
        if (!status && o->genes_are_rows) {
            status = cel_csr_transpose(&out->sparse, &turned);
            if (status) (void)celi_no_memory(err);
            cel_csr_free(&out->sparse);
            out->sparse = turned;
        }
    } else {
        status =
            celi_bad(err, CEL_ERR_UNSUPPORTED,
                     "a zip archive without a matrix of numbers; if it is an Excel workbook, save the sheet as CSV",
                     z.directory);
        for (i = 0; i < z.count && status; i++) {
            (void)cel_npz_name(&z, i, name, sizeof name);
            if (cel_npz_get(&z, name, &a, NULL) == CEL_OK && a.ndim == 2 && celi_npy_numeric(&a)) break;
        }
        if (i < z.count) status = celi_table_npy(a, o, out, err);
    }
    cel_npz_free(&z);
    return status;
}

/* The sparse matrix of a table as a dense one. */
static cel_status celi_table_dense(cel_table *t, int64_t limit, cel_error *err)
{
    const cel_csr *a = &t->sparse;
    int64_t i, e;
    if (a->cols && celi_limited((uint64_t)a->rows, sizeof(cel_real) * (size_t)a->cols, limit, err))
        return CEL_ERR_MEMORY;
    if (cel_mat_new(a->rows, a->cols, &t->x)) return celi_no_memory(err);
    for (i = 0; i < a->rows; i++)
        for (e = a->start[i]; e < a->start[i + 1]; e++) t->x.data[i * a->cols + a->index[e]] = a->value[e];
    cel_csr_free(&t->sparse);
    return CEL_OK;
}

/* The content of a file that may be in gzip; then it is in *owned, to be freed. */
static cel_status celi_unpack(const void **bytes, size_t *size, int64_t limit, void **owned, cel_error *err)
{
    cel_status status;
    *owned = NULL;
    if (*size < 2 || memcmp(*bytes, "\x1F\x8B", 2) != 0) return CEL_OK;
    status = cel_file_gunzip(*bytes, *size, limit, owned, size, err);
    *bytes = *owned;
    return status;
}

/* Kinds of files that are known by their first bytes and not read, and what to do. The bytes are more than a name of a
 * gene could be: RDX is one. */
static const struct {
    const char *magic;
    size_t length;
    const char *what;
} celi_refused[] = {
    {"\x89HDF", 4, "an HDF5 file (.h5ad, .h5, .loom). Export it in Python: a = anndata.read_h5ad(FILE); "
                   "a.to_df().to_csv('counts.csv')"},
    {"X\n\0", 3, "an R file (.rds). Export it in R: x <- readRDS(FILE); write.csv(as.matrix(x), 'counts.csv')"},
    {"RDX3\n", 5, "an R file (.RData). Export it in R: load(FILE); write.csv(as.matrix(x), 'counts.csv')"},
    {"PAR1\x15", 5, "a Parquet file. Export it in Python: pandas.read_parquet(FILE).to_csv('table.csv', index=False)"},
    {"BZh", 3, "compressed by bzip2: unpack it first, by bunzip2"},
    {"\xFD" "7zXZ", 5, "compressed by xz: unpack it first, by unxz"},
    {"\x1F\x8B", 2, "compressed twice: unpack it first, by gunzip"}};

CEL_API_DEF cel_status cel_table_parse(const void *bytes, size_t size, const cel_table_options *options, cel_table *out,
                                       cel_error *err)
{
    cel_table_options o = CEL_ZERO;
    celi_pool pool = CEL_ZERO;
    void *unpacked = NULL;
    cel_npy a;
    size_t k;
    cel_status status;
    if (options) o = *options;
    memset(out, 0, sizeof *out);
    if (o.header < -1 || o.header > 1 || o.row_names < -1 || o.row_names > 1 || o.picks < 0 ||
        (o.label && o.genes_are_rows))
        return celi_bad(err, CEL_ERR_ARG, "an option is out of its range", -1);
    status = celi_unpack(&bytes, &size, o.limit, &unpacked, err);
    for (k = 0; k < sizeof celi_refused / sizeof *celi_refused && !status; k++)
        if (size >= celi_refused[k].length && memcmp(bytes, celi_refused[k].magic, celi_refused[k].length) == 0)
            status = celi_bad(err, CEL_ERR_UNSUPPORTED, celi_refused[k].what, 0);
    if (status) {
    } else if (size >= 6 && memcmp(bytes, "\x93NUMPY", 6) == 0) {
        status = cel_npy_parse(bytes, size, &a, err);
        if (!status && a.trailing)
            status = celi_bad(err, CEL_ERR_FORMAT, "the file goes on after its data", a.offset + a.count * a.bytes);
        if (!status) status = celi_table_npy(a, &o, out, err);
    } else if (size >= 4 && memcmp(bytes, "PK\3\4", 4) == 0) {
        status = celi_table_npz(bytes, size, &o, out, err);
    } else if (size >= 14 && celi_alike((const char *)bytes, 14, "%%MatrixMarket")) {
        status = celi_table_market(bytes, size, &o, out, err);
    } else {
        status = celi_table_text(bytes, size, &o, &pool, out, err);
    }
    if (!status && o.dense && out->sparse.start) status = celi_table_dense(out, o.limit, err);
    celi_free(unpacked);
    out->rows = out->sparse.start ? out->sparse.rows : out->x.rows;
    out->cols = out->sparse.start ? out->sparse.cols : out->x.cols;
    out->pool = pool.last;
    if (status) cel_table_free(out);
    return status;
}

CEL_API_DEF void cel_table_free(cel_table *table)
{
    celi_chain_free(table->pool);
    cel_mat_free(&table->x);
    cel_csr_free(&table->sparse);
    memset(table, 0, sizeof *table);
}

/* ---- the disk ---- */

#if !defined(CELCOMEN_NO_STDIO)

/* All of a file from its beginning, or of a pipe; closes it. NULL is one that could not be opened. The size is a hint,
 * and not believed: files of /proc have none, and a file may grow while it is read. */
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

/* Writes n bytes, unless something failed before: a list of writes is checked once, at its end. */
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

/* What cel_file_write puts. */
static cel_status celi_put_bytes(celi_sink *s, const void *what, int64_t count)
{
    celi_put(s, what, (size_t)count);
    return CEL_OK;
}

/* A new file to write, or NULL; what is there already is left alone. Not by fopen's "x", which msvcrt and other old
 * libraries lack. */
static FILE *celi_create(const char *name)
{
#if CELI_MMAP
    FILE *f;
    int fd = open(name, O_WRONLY | O_CREAT | O_EXCL, 0666);
    if (fd < 0) return NULL;
    (void)close(fd);
    f = fopen(name, "wb");
    if (!f) (void)remove(name);
    return f;
#else
    FILE *there = fopen(name, "rb");
    if (there) {
        (void)fclose(there);
        return NULL;
    }
    return fopen(name, "wb");
#endif
}

/* Replaces `path` in one step by a file of another name. */
#if defined(_WIN32) /* by hand: <windows.h> would bring thousands of names */
__declspec(dllimport) int __stdcall MoveFileExA(const char *from, const char *to, unsigned long flags);
#endif
static int celi_replace(const char *from, const char *path)
{
#if defined(_WIN32)
    return MoveFileExA(from, path, 1 | 8) ? 0 : -1; /* replacing, and through to the disk */
#else
    return rename(from, path);
#endif
}

/* Writes beside `path`, under a name that nobody else uses, and puts the whole in place, so that a reader, or a crash
 * at any moment, meets the old content or the new. What crashes left behind takes a few of very many names. */
static cel_status celi_save(const char *path, celi_encoder put, const void *what, int64_t count, cel_error *err)
{
    size_t n = strlen(path), digit;
    char *temporary = (char *)celi_alloc(n + 9, 1);
    celi_sink s = CEL_ZERO;
    cel_status status;
    int k, rest;
    if (!temporary) return celi_no_memory(err);
    memcpy(temporary, path, n);
    memcpy(temporary + n, ".tmp", 4);
    for (k = 0; k < 10000 && !s.file; k++) {
        for (digit = n + 8, rest = k; digit-- > n + 4; rest /= 10) temporary[digit] = (char)('0' + rest % 10);
        s.file = celi_create(temporary);
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
    if (!status && celi_replace(temporary, path) != 0)
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
    if (!status) {
        status = cel_npz_to_csr(&z, out, err);
        cel_npz_free(&z);
    }
    cel_file_close(&file);
    return status;
}

CEL_API_DEF cel_status cel_file_lines(const char *path, char ***lines, int64_t *count, cel_error *err)
{
    cel_file file;
    const void *bytes;
    size_t size;
    void *owned = NULL;
    cel_status status = cel_file_open(path, 0, &file, err);
    *lines = NULL;
    *count = 0;
    bytes = file.bytes;
    size = file.size;
    if (!status) status = celi_unpack(&bytes, &size, 0, &owned, err);
    if (!status) status = cel_file_parse_lines(bytes, size, lines, count, err);
    celi_free(owned);
    cel_file_close(&file);
    return status;
}

/* A table in a file, not in a folder. It is mapped: a text is as large as what becomes of it, and not needed after. */
static cel_status celi_table_file(const char *path, const cel_table_options *options, cel_table *out, cel_error *err)
{
    cel_file file;
    cel_status status = cel_file_open(path, 1, &file, err);
    memset(out, 0, sizeof *out);
    if (!status) status = cel_table_parse(file.bytes, file.size, options, out, err);
    cel_file_close(&file);
    return status;
}

/* folder/name in memory of the pool; NULL when there is none. */
static char *celi_folder_path(celi_pool *pool, const char *folder, const char *name)
{
    size_t n = strlen(folder), m = strlen(name);
    char *path = (char *)celi_pool_get(pool, (int64_t)(n + m + 2), 1);
    if (!path) return NULL;
    memcpy(path, folder, n);
    path[n] = '/';
    memcpy(path + n + 1, name, m);
    return path;
}

/* Names, a line each, of the first of four files that is there: what stands before the first tab, or with `second`
 * between it and the next. They are kept in pool. */
static cel_status celi_folder_names(const char *folder, const char *const *file, int second, celi_pool *pool,
                                    char ***names, int64_t *count, cel_error *err)
{
    celi_pool scratch = CEL_ZERO;
    char **line = NULL;
    int64_t i;
    int k;
    cel_status status = CEL_ERR_IO;
    for (k = 0; k < 4 && status == CEL_ERR_IO; k++) {
        const char *path = celi_folder_path(&scratch, folder, file[k]);
        status = path ? cel_file_lines(path, &line, count, err) : celi_no_memory(err);
    }
    celi_pool_free(&scratch);
    if (status == CEL_ERR_IO)
        return celi_bad(err, status,
                        second ? "the folder has no features.tsv[.gz]" : "the folder has no barcodes.tsv[.gz]", -1);
    if (!status) *names = (char **)celi_pool_get(pool, *count + 1, sizeof **names);
    for (i = 0; !status && !pool->status && i < *count; i++) {
        celi_field f = CEL_ZERO;
        f.s = line[i];
        f.n = strcspn(f.s, "\t");
        if (second && f.s[f.n]) {
            f.s += f.n + 1;
            f.n = strcspn(f.s, "\t");
        }
        (*names)[i] = celi_keep(pool, f);
    }
    celi_free(line);
    return !status && pool->status ? celi_no_memory(err) : status;
}

/* A folder as 10x Genomics writes it. CEL_ERR_IO if there is no matrix (out empty) or one without names. 10x has a gene
 * a row, others who write the three files often have not; the numbers of names tell, unless there are as many genes as
 * cells. */
static cel_status celi_table_folder(const char *folder, const cel_table_options *options, cel_table *out,
                                    cel_error *err)
{
    static const char *const file[3][4] = {{"matrix.mtx.gz", "matrix.mtx", "", ""},
                                           {"features.tsv.gz", "features.tsv", "genes.tsv.gz", "genes.tsv"},
                                           {"barcodes.tsv.gz", "barcodes.tsv", "", ""}};
    cel_table_options o = CEL_ZERO;
    celi_pool pool = CEL_ZERO;
    int64_t genes = 0, cells = 0;
    int k;
    cel_csr turned;
    cel_status status = CEL_ERR_IO;
    o.limit = options->limit;
    o.genes_are_rows = 1;
    for (k = 0; k < 2 && status == CEL_ERR_IO; k++) {
        const char *path = celi_folder_path(&pool, folder, file[0][k]);
        status = path ? celi_table_file(path, &o, out, err) : celi_no_memory(err);
    }
    celi_pool_free(&pool);
    if (status) return status;
    pool.last = out->pool;
    status = celi_folder_names(folder, file[1], 1, &pool, &out->col, &genes, err);
    if (!status) status = celi_folder_names(folder, file[2], 0, &pool, &out->row, &cells, err);
    out->pool = pool.last;
    if (!status && (out->rows != cells || out->cols != genes)) {
        if (!out->sparse.start || out->rows != genes || out->cols != cells)
            return celi_bad(err, CEL_ERR_FORMAT,
                            "features.tsv and barcodes.tsv have not as many lines as the matrix has "
                            "rows and columns: are the files of one sample?", -1);
        if (cel_csr_transpose(&out->sparse, &turned)) return celi_no_memory(err); /* it had cells in its rows */
        cel_csr_free(&out->sparse);
        out->sparse = turned;
        out->rows = cells;
        out->cols = genes;
    }
    if (!status && options->dense && out->sparse.start) status = celi_table_dense(out, o.limit, err);
    return status;
}

CEL_API_DEF cel_status cel_table_read(const char *path, const cel_table_options *options, cel_table *out,
                                      cel_error *err)
{
    static const char *const zarr[4] = {".zgroup", ".zarray", ".zattrs", "zarr.json"};
    static const cel_table_options none = CEL_ZERO;
    celi_pool pool = CEL_ZERO;
    int k;
    cel_status status = celi_table_file(path, options, out, err);
    if (status != CEL_ERR_IO) return status;
    status = celi_table_folder(path, options ? options : &none, out, err);
    if (status == CEL_ERR_IO && !out->x.data && !out->sparse.start)
        (void)celi_bad(err, status, "no file that can be read, and no folder with a matrix.mtx or matrix.mtx.gz", -1);
    for (k = 0; k < 4 && status == CEL_ERR_IO && !out->x.data && !out->sparse.start; k++) {
        const char *name = celi_folder_path(&pool, path, zarr[k]);
        FILE *f = name ? fopen(name, "rb") : NULL;
        if (!f) continue;
        (void)fclose(f);
        status = celi_bad(err, CEL_ERR_UNSUPPORTED,
                          "a .zarr folder. Export it in Python: a = anndata.read_zarr(FOLDER); "
                          "a.to_df().to_csv('counts.csv')", -1);
    }
    celi_pool_free(&pool);
    if (status) cel_table_free(out);
    return status;
}

/* Texts in a header, which is long enough (see celi_npy_header): no printf, which would ask the locale. */
static size_t celi_add(unsigned char *header, size_t at, const char *text)
{
    size_t n = strlen(text);
    memcpy(header + at, text, n);
    return at + n;
}

/* A number >= 0, in decimal. */
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

/* One array: its header and its bytes as they are. */
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

/* The archive. Places are counted in 32 bits: zip64 is read, but not written. */
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

/* ---- a memo in a file ---- */

/* The file is a head, the mark, and records, each before its data. Everything is as this machine has it in memory: no
 * other would go on to the same bits. */
typedef struct celi_memo_head {
    char magic[8], version[16];
    uint32_t real, level;
    uint64_t size; /* of the mark */
} celi_memo_head;

typedef struct celi_record {
    char stage[CELI_STAGE];
    int64_t step;
    uint64_t bytes;
    uint32_t magic, crc; /* of what stands before it, and of the data */
    uint64_t at;         /* where it is; not in the file */
} celi_record;
enum { CELI_RECORD = 0x7473696c, CELI_RECORD_HEAD = offsetof(celi_record, at), CELI_MEMO_DEAD = 1 << 24 };

typedef struct celi_memo {
    celi_pool pool;            /* of path and head */
    char *path, *head;         /* head (begin) has the mark, too */
    uint64_t begin, end, dead; /* of the records, and how much of them was replaced */
    celi_record *record;       /* (count) those that were not */
    int64_t count, room;
    const char *from;          /* what the file held, while it is written anew */
    FILE *file;
} celi_memo;

static uint32_t celi_record_crc(const celi_record *r, const void *data)
{
    return celi_crc(celi_crc(0, r, offsetof(celi_record, crc)), data, (size_t)r->bytes);
}

/* Which of the records it is; count: there is none. */
static int64_t celi_memo_find(const celi_memo *m, const char *stage, int64_t step)
{
    int64_t k = 0;
    while (k < m->count && (m->record[k].step != step || strcmp(m->record[k].stage, stage))) k++;
    return k;
}

/* Takes in a record that stands at the end; what it replaces is dead. */
static cel_status celi_memo_enter(celi_memo *m, const celi_record *r)
{
    const int64_t k = celi_memo_find(m, r->stage, r->step);
    if (k == m->room) {
        celi_record *more = (celi_record *)celi_alloc((size_t)(2 * k + 16), sizeof *more);
        if (!more) return CEL_ERR_MEMORY;
        if (k) memcpy(more, m->record, (size_t)k * sizeof *more);
        celi_free(m->record);
        m->record = more;
        m->room = 2 * k + 16;
    }
    if (k < m->count) m->dead += CELI_RECORD_HEAD + m->record[k].bytes;
    else m->count++;
    m->record[k] = *r;
    m->record[k].at = m->end;
    m->end += CELI_RECORD_HEAD + r->bytes;
    return CEL_OK;
}

static cel_status celi_put_memo(celi_sink *s, const void *what, int64_t count)
{
    const celi_memo *m = (const celi_memo *)what;
    int64_t k;
    celi_put(s, m->head, (size_t)m->begin);
    for (k = 0; k < count; k++)
        celi_put(s, m->from + m->record[k].at, CELI_RECORD_HEAD + (size_t)m->record[k].bytes);
    return CEL_OK;
}

/* Whether the file is of this head; the reason where it is not. */
static cel_status celi_memo_check(const celi_memo *m, const cel_file *file, cel_error *err)
{
    const char *what = "a checkpoint of other input or other options, or one whose head is damaged";
    const size_t same = offsetof(celi_memo_head, size);
    cel_status status = CEL_ERR_DATA;
    if (!file->size || (file->size >= m->begin && !memcmp(file->bytes, m->head, (size_t)m->begin))) return CEL_OK;
    if (file->size < same || memcmp(file->bytes, m->head, 8)) {
        what = "the file is no checkpoint";
        status = CEL_ERR_FORMAT;
    } else if (memcmp(file->bytes, m->head, same)) {
        what = "a checkpoint of another version of celcomen, another number type, or other kernels (CELCOMEN_LEVEL)";
    }
    return celi_bad(err, status, what, -1);
}

/* Reads all records that are whole, and has nothing else in the file; opens it. */
static cel_status celi_memo_read(celi_memo *m, cel_error *err)
{
    FILE *created = celi_create(m->path);
    celi_record r;
    cel_file file;
    int64_t k;
    cel_status status;
    if (created) (void)fclose(created);
    status = cel_file_open(m->path, 1, &file, err);
    if (!status) status = celi_memo_check(m, &file, err);
    m->from = (const char *)file.bytes;
    m->count = 0;
    m->dead = 0;
    for (m->end = m->begin; !status && file.size >= m->end + CELI_RECORD_HEAD;) {
        memcpy(&r, m->from + m->end, CELI_RECORD_HEAD);
        if (r.magic != CELI_RECORD || r.bytes > file.size - m->end - CELI_RECORD_HEAD || r.stage[CELI_STAGE - 1] ||
            celi_record_crc(&r, m->from + m->end + CELI_RECORD_HEAD) != r.crc)
            break;
        if (celi_memo_enter(m, &r)) status = celi_no_memory(err);
    }
    if (!status && (m->dead || m->end != file.size)) {
        status = celi_save(m->path, celi_put_memo, m, m->count, err);
        for (m->dead = 0, m->end = m->begin, k = 0; k < m->count; k++) {
            m->record[k].at = m->end;
            m->end += CELI_RECORD_HEAD + m->record[k].bytes;
        }
    }
    cel_file_close(&file);
    if (!status && !(m->file = fopen(m->path, "r+b")))
        status = celi_bad(err, CEL_ERR_IO, "the checkpoint cannot be written to", -1);
    return status;
}

static int celi_memo_seek(const celi_memo *m, uint64_t at)
{
    return m->file && at <= (uint64_t)LONG_MAX && fseek(m->file, (long)at, SEEK_SET) == 0;
}

static int celi_memo_load(void *user, const char *stage, int64_t step, void *data, size_t bytes)
{
    const celi_memo *m = (const celi_memo *)user;
    const celi_record *r = m->record + celi_memo_find(m, stage, step);
    if (r == m->record + m->count || r->bytes != bytes || !celi_memo_seek(m, r->at + CELI_RECORD_HEAD)) return 0;
    return (!bytes || fread(data, bytes, 1, m->file) == 1) && celi_record_crc(r, data) == r->crc;
}

static cel_status celi_memo_save(void *user, const char *stage, int64_t step, const void *data, size_t bytes)
{
    celi_memo *m = (celi_memo *)user;
    celi_record r = CEL_ZERO;
    const size_t n = strlen(stage);
    cel_status status;
    if (n >= sizeof r.stage) return CEL_ERR_ARG;
    memcpy(r.stage, stage, n);
    r.step = step;
    r.bytes = bytes;
    r.magic = CELI_RECORD;
    r.crc = celi_record_crc(&r, data);
    if (!celi_memo_seek(m, m->end) || fwrite(&r, CELI_RECORD_HEAD, 1, m->file) != 1 ||
        (bytes && fwrite(data, bytes, 1, m->file) != 1) || fflush(m->file))
        return CEL_ERR_IO;
    status = celi_memo_enter(m, &r);
    if (status || m->dead < CELI_MEMO_DEAD || m->dead < m->end / 2) return status;
    (void)fclose(m->file); /* a file that is open cannot be replaced everywhere */
    m->file = NULL;
    return celi_memo_read(m, NULL);
}

CEL_API_DEF cel_status cel_keep_open(const char *path, const void *mark, size_t size, cel_keep *out, int64_t *found,
                                     cel_error *err)
{
    celi_memo *m = (celi_memo *)celi_alloc(1, sizeof *m);
    celi_memo_head head = CEL_ZERO;
    cel_status status = CEL_ERR_MEMORY;
    memset(out, 0, sizeof *out);
    *found = 0;
    if (!m) return celi_no_memory(err);
    memcpy(head.magic, "celkeep", 8);
    memcpy(head.version, CELCOMEN_VERSION, sizeof CELCOMEN_VERSION);
    head.real = sizeof(cel_real);
    head.level = (uint32_t)cel_level_get();
#if defined(CELCOMEN_CBLAS)
    head.level += 256; /* other products, other bits */
#endif
    head.size = size;
    out->user = m;
    m->begin = sizeof head + size;
    m->path = (char *)celi_pool_get(&m->pool, (int64_t)strlen(path) + 1, 1);
    m->head = (char *)celi_pool_get(&m->pool, (int64_t)m->begin, 1);
    if (m->pool.status) {
        (void)celi_no_memory(err);
    } else {
        memcpy(m->path, path, strlen(path));
        memcpy(m->head, &head, sizeof head);
        if (size) memcpy(m->head + sizeof head, mark, size);
        status = celi_memo_read(m, err);
    }
    if (status) cel_keep_close(out);
    if (status) return status;
    *found = m->count;
    out->load = celi_memo_load;
    out->save = celi_memo_save;
    return CEL_OK;
}

CEL_API_DEF void cel_keep_close(cel_keep *keep)
{
    celi_memo *m = (celi_memo *)keep->user;
    if (m && m->file) (void)fclose(m->file);
    if (m) celi_free(m->record);
    if (m) celi_pool_free(&m->pool);
    celi_free(m);
    memset(keep, 0, sizeof *keep);
}

#endif

/* ======================================================================== */
/* tissue                                                                   */
/* ======================================================================== */

/* Rows of one of three stores, checked and ready. What reads them takes a cell at a time: a dense store's row where it
 * lies, another's in a scratch row. */
typedef struct celi_store {
    cel_rows rows;
    cel_mat there;     /* the dense store, or an array of the library's own numbers; data NULL for others */
    int32_t *column;   /* which of the genes a column of `sparse` is, or -1; NULL: they are the genes */
    cel_real *scratch; /* (threads x n), or NULL where rows are read where they lie */
} celi_store;

static celi_store celi_store_of(cel_mat x)
{
    celi_store s = CEL_ZERO;
    s.there = x;
    s.rows.cells = x.rows;
    s.rows.genes = x.cols;
    s.rows.dense = x;
    return s;
}

/* What a cel_rows says must be true of its store before anything is read; of its cells, unless only some are wanted. */
static cel_status celi_store_open(const cel_rows *r, int some, celi_pool *pool, celi_store *s, cel_error *err)
{
    int64_t rows = r->sparse ? r->sparse->rows : r->array ? r->array->shape[0] : r->dense.rows, i;
    int64_t cols = r->sparse ? r->sparse->cols : r->array ? r->array->shape[1] : r->dense.cols;
    memset(s, 0, sizeof *s);
    s->rows = *r;
    s->there = r->dense;
    if ((r->sparse != NULL) + (r->array != NULL) + (r->dense.data != NULL) != 1 ||
        (r->array && (r->array->ndim != 2 || !celi_npy_numeric(r->array))))
        return celi_note(err, CEL_ERR_ARG, "rows need one store: a matrix, a sparse one, or an array of numbers");
    if ((!r->row && r->cells != rows) || (!r->gene && r->genes != cols) || r->cells > INT32_MAX ||
        (r->scaling && (r->scaling->genes != r->genes || r->scaling->cells != r->cells)))
        return celi_note(err, CEL_ERR_SHAPE, "rows of other cells or genes than their store or scaling has");
    for (i = 0; i < r->cells && r->row && !some; i++)
        if (r->row[i] < 0 || r->row[i] >= rows) return celi_fail(err, CEL_ERR_ARG, "no such row", -1, i, -1);
    for (i = 0; i < r->genes && r->gene; i++)
        if (r->gene[i] < 0 || r->gene[i] >= cols) return celi_fail(err, CEL_ERR_ARG, "no such column", -1, -1, i);
    if (r->array && celi_npy_is_real(r->array) && (uintptr_t)r->array->data % sizeof(cel_real) == 0)
        s->there = cel_mat_view((const cel_real *)r->array->data, rows, cols);
    if (!s->there.data || r->gene)
        s->scratch = (cel_real *)celi_pool_get(pool, cel_threads() * r->genes, sizeof(cel_real));
    if (r->sparse && r->gene) s->column = (int32_t *)celi_pool_get(pool, cols, sizeof *s->column);
    if (pool->status) return celi_note(err, CEL_ERR_MEMORY, "rows");
    for (i = 0; i < cols && s->column; i++) s->column[i] = -1;
    for (i = 0; i < r->genes && s->column; i++) s->column[r->gene[i]] = (int32_t)i;
    return CEL_OK;
}

/* A cell's values as they are stored: where they lie, or in row (n). Everything that looks at expression asks here, or
 * below where zeros that are left out need not be seen, and never minds what the store is: so a dense matrix and a
 * sparse one or a file of the same numbers go through the same arithmetic, and give the same bits. */
static const cel_real *celi_store_row(const celi_store *s, int64_t cell, cel_real *row)
{
    const cel_rows *r = &s->rows;
    const int64_t at = r->row ? r->row[cell] : cell;
    int64_t j;
    if (s->there.data && !r->gene) return s->there.data + at * s->there.stride;
    if (r->sparse) {
        memset(row, 0, (size_t)r->genes * sizeof *row);
        for (j = r->sparse->start[at]; j < r->sparse->start[at + 1]; j++) {
            int32_t k = s->column ? s->column[r->sparse->index[j]] : r->sparse->index[j];
            if (k >= 0) row[k] = r->sparse->value[j];
        }
    } else if (s->there.data) {
        for (j = 0; j < r->genes; j++) row[j] = s->there.data[at * s->there.stride + r->gene[j]];
    } else {
        celi_npy_row(r->array, at, r->gene, r->genes, row);
    }
    return row;
}

/* The scratch row of a thread in a parallel loop. */
static cel_real *celi_store_scratch(const celi_store *s)
{
    return s->scratch ? s->scratch + celi_thread() * s->rows.genes : NULL;
}

/* The count values of a cell that may differ from 0, in the order of its genes: of a sparse store, those it has, so
 * that passes that sum or count take time by its entries, whatever the number of genes. Picked columns are too few for
 * that to matter, and take the way of a row. */
static const cel_real *celi_store_values(const celi_store *s, int64_t cell, cel_real *row, int64_t *count)
{
    const int64_t at = s->rows.row ? s->rows.row[cell] : cell;
    *count = s->rows.genes;
    if (!s->rows.sparse || s->column) return celi_store_row(s, cell, row);
    *count = s->rows.sparse->start[at + 1] - s->rows.sparse->start[at];
    return s->rows.sparse->value + s->rows.sparse->start[at];
}

/* Lets go of the pages of a mapped file: they are the system's again, and read anew when they are asked for. Of cells
 * from..to - 1 of a pass that have been read: it happens every so many, so that memory does not grow with the file. */
enum { CELI_PAGES = 4096 };
static void celi_store_release(const celi_store *s, int64_t from, int64_t to)
{
#if defined(CELI_MADV_DONTNEED)
    const uintptr_t page = 65536; /* a multiple of every size of a page */
    const cel_npy *a = s->rows.mapped && from / CELI_PAGES != to / CELI_PAGES ? s->rows.array : NULL;
    uintptr_t low = a ? ((uintptr_t)a->data + page - 1) / page * page : 0;
    uintptr_t high = a ? ((uintptr_t)a->data + (uintptr_t)(a->count * a->bytes)) / page * page : 0;
    if (high > low) (void)madvise((void *)low, (size_t)(high - low), CELI_MADV_DONTNEED);
#else
    (void)s;
    (void)from;
    (void)to;
#endif
}

/* The sum of a row. Two sums, so that an addition need not wait for the one before. */
static double celi_sum_of(const cel_real *row, int64_t count)
{
    double sum[2] = {0, 0};
    int64_t c;
    for (c = 1; c < count; c += 2) {
        sum[0] += (double)row[c - 1];
        sum[1] += (double)row[c];
    }
    return sum[0] + sum[1] + (c == count ? (double)row[c - 1] : 0);
}

static void celi_scaling_row(const cel_scaling *s, const double *inverse, cel_real *row, cel_scaling_cell *cell,
                             double *v);

/* Cells list[first], .. (NULL: first, ..) as rows of out, prepared where there is a scaling: v is then scratch of
 * celi_store_doubles. Shares of the tile are a thread's, or all of them the caller's. */
enum { CELI_SHARES_OF_TILE = 16 };
static int64_t celi_store_doubles(const celi_store *s)
{
    return s->rows.scaling ? (CELI_SHARES_OF_TILE + 1) * s->rows.genes : 0;
}
static void celi_store_tile(const celi_store *s, const int32_t *list, int64_t first, cel_mat out, double *v)
{
    const cel_scaling *scaling = s->rows.scaling;
    const int64_t n = s->rows.genes;
    double *inverse = v + CELI_SHARES_OF_TILE * n;
    int64_t j, share;
    for (j = 0; v && scaling && scaling->scale && j < n; j++) inverse[j] = 1 / scaling->scale[j];
    CELI_OMP(omp parallel for schedule(static) if (out.rows * n > CELI_FORK))
    for (share = 0; share < CELI_SHARES_OF_TILE; share++) {
        int64_t i, end = out.rows * (share + 1) / CELI_SHARES_OF_TILE;
        for (i = out.rows * share / CELI_SHARES_OF_TILE; i < end; i++) {
            const int64_t cell = list ? list[first + i] : first + i;
            cel_real *row = out.data + i * out.stride;
            const cel_real *from = celi_store_row(s, cell, row);
            if (from != row) memcpy(row, from, (size_t)n * sizeof *row);
            if (v && scaling) {
                cel_scaling_cell own = scaling->cell[cell];
                celi_scaling_row(scaling, inverse, row, &own, v + share * n);
            }
        }
    }
}

/* The first value, row by row, that is not within low..high, which has 0; total (S, or NULL) receives the row sums. The
 * pass over all rows asks only whether one has such a value, which compilers vectorise; its column is looked for
 * afterwards, in the first such row, so that the answer is the same for any number of threads. */
static cel_status celi_store_scan(const celi_store *s, double low, double high, const char *what, double *total,
                                  cel_error *err)
{
    int64_t i, j, cells = s->rows.cells, genes = s->rows.genes, first = cells;
    const cel_real *found;
    CELI_OMP(omp parallel for schedule(static) reduction(min : first) if (cells * genes > CELI_FORK))
    for (i = 0; i < cells; i++) {
        int64_t c, count;
        const cel_real *row = celi_store_values(s, i, celi_store_scratch(s), &count);
        int good = 1;
        for (c = 0; c < count; c++) good &= (double)row[c] >= low && (double)row[c] <= high;
        if (!good && i < first) first = i;
        if (total) total[i] = celi_sum_of(row, count);
        celi_store_release(s, i, i + 1);
    }
    if (first == cells) return CEL_OK;
    found = celi_store_row(s, first, s->scratch);
    for (j = 0; j + 1 < genes; j++)
        if (!((double)found[j] >= low && (double)found[j] <= high)) break;
    return celi_fail(err, CEL_ERR_DATA, what, -1, first, j);
}

static cel_status celi_scan(cel_mat x, double low, double high, const char *what, double *total, cel_error *err)
{
    const celi_store s = celi_store_of(x);
    return celi_store_scan(&s, low, high, what, total, err);
}

/* Sums and squares of values up to here stay within a double, and so do quotients by totals from CELI_TINY up. */
#define CELI_LARGE 1e150
#define CELI_TINY 1e-290
static const char celi_count_wrong[] = "a count is negative, not finite, or beyond 1e150";
static const char celi_total_tiny[] = "a cell's counts are too small to be scaled";

/* How one cell's values become v = log(1 + factor y). Most counts are small whole numbers, of which a cell has few
 * different ones: their logarithms are taken once. */
enum { CELI_FEW = 64 };
typedef struct celi_logs {
    double factor, known[CELI_FEW];
    int log;
} celi_logs;

static void celi_logs_at(celi_logs *l, const cel_scaling *s, double total)
{
    int k;
    l->factor = s->kind == CEL_KIND_COUNTS && s->target > 0 && total > 0 ? s->target / total : 1;
    l->log = s->log && s->kind != CEL_KIND_LOGNORM;
    for (k = 0; k < CELI_FEW; k++) l->known[k] = -1;
}

/* -1 in `known` is a logarithm that nothing has asked for yet: of counts none is negative. */
static double celi_log(celi_logs *l, double y)
{
    if (!l->log) return l->factor * y;
    if (y >= 0 && y < (double)CELI_FEW) {
        int k = (int)y;
        if (!(y > k)) return l->known[k] < 0 ? (l->known[k] = log1p(l->factor * y)) : l->known[k];
    }
    return log1p(l->factor * y);
}

static double celi_row_total(cel_mat x, int64_t i)
{
    double total = 0;
    int64_t j;
    for (j = 0; j < x.cols; j++) total += (double)x.data[i * x.stride + j];
    return total;
}

/* The first step of a scaling, and none of the others. */
CEL_API_DEF cel_status cel_slide_scale(cel_mat x, const cel_slide_options *options, cel_error *err)
{
    cel_scaling s = CEL_ZERO;
    int64_t i;
    cel_status status = celi_scan(x, 0, CELI_LARGE, celi_count_wrong, NULL, err);
    for (i = 0; i < x.rows && !status; i++) {
        double total = sizeof(cel_real) == sizeof(double) ? celi_row_total(x, i) : 0; /* no float is so small */
        if (total > 0 && total < CELI_TINY) status = celi_fail(err, CEL_ERR_DATA, celi_total_tiny, -1, i, -1);
    }
    if (status) return status;
    s.target = celi_or(options ? options->target_sum : 0, 1e4);
    s.log = !(options && options->no_log);
    CELI_OMP(omp parallel for schedule(static) if (x.rows * x.cols > CELI_FORK))
    for (i = 0; i < x.rows; i++) {
        cel_real *row = x.data + i * x.stride;
        celi_logs l;
        int64_t j;
        celi_logs_at(&l, &s, celi_row_total(x, i));
        for (j = 0; j < x.cols; j++) row[j] = (cel_real)celi_log(&l, (double)row[j]);
    }
    return CEL_OK;
}

/* Divides a row by its length, and returns that; one of zeros, or not finite, stays and has 0. Where squares leave the
 * range of a double, the row is divided by its largest value first. */
static double celi_unit_row(cel_real *row, int64_t n)
{
    double length = cel_vec_nrm2(row, n), top = 0;
    int64_t j;
    if (length > 1e-140 && length < 1e140) {
        for (j = 0; j < n; j++) row[j] = (cel_real)((double)row[j] * (1 / length));
        return length;
    }
    for (j = 0; j < n; j++)
        if (fabs((double)row[j]) > top) top = fabs((double)row[j]);
    if (!(length >= 0 && top > 0 && top <= DBL_MAX)) return 0;
    for (j = 0; j < n; j++) row[j] = (cel_real)((double)row[j] / top);
    return top * celi_unit_row(row, n);
}

/* All that can be wrong is looked for before the first row is written. */
CEL_API_DEF cel_status cel_slide_unit(cel_mat x, uint8_t *keep, int64_t *zeros, cel_error *err)
{
    int64_t i, none = 0, first = x.rows;
    cel_status status = celi_scan(x, -DBL_MAX, DBL_MAX, "an expression value is not finite", NULL, err);
    if (zeros) *zeros = 0;
    if (keep) memset(keep, 0, (size_t)x.rows);
    if (status) return status;
    CELI_OMP(omp parallel for reduction(+ : none) reduction(min : first) if (x.rows * x.cols > CELI_FORK))
    for (i = 0; i < x.rows; i++) {
        const cel_real *row = x.data + i * x.stride;
        int64_t j = 0;
        while (j < x.cols && !(row[j] > 0 || row[j] < 0)) j++;
        if (keep) keep[i] = j < x.cols;
        none += j == x.cols;
        if (j == x.cols && i < first) first = i;
    }
    if (zeros) *zeros = none;
    if (none && !zeros && !keep) return celi_fail(err, CEL_ERR_DATA, "a cell has no expression", -1, first, -1);
    CELI_OMP(omp parallel for if (x.rows * x.cols > CELI_FORK))
    for (i = 0; i < x.rows; i++) (void)celi_unit_row(x.data + i * x.stride, x.cols);
    return CEL_OK;
}

/* 1 where v is within a hundredth of a whole number (in float, logged counts are no closer); huge ones tell nothing. */
static int celi_whole(double v) { return v < 1e5 && fabs(v - floor(v + 0.5)) < 0.01; }

/* Counts the values of a row above 0 but one of the smallest, those that are whole multiples of it, and the same of
 * expm1. A cell's smallest count is nearly always 1, so whatever it was divided by cancels in the ratio: counts are
 * told from other numbers without knowing how they were scaled. */
static void celi_multiples(const cel_real *row, int64_t n, int64_t *counts)
{
    double least = HUGE_VAL;
    int64_t j;
    for (j = 0; j < n; j++)
        if (row[j] > 0 && (double)row[j] < least) least = (double)row[j];
    if (!(least < 700)) return; /* nothing, or no logarithms */
    for (j = 0; j < n; j++) {
        if (!(row[j] > 0)) continue;
        counts[0]++;
        counts[1] += celi_whole((double)row[j] / least);
        counts[2] += celi_whole(expm1((double)row[j]) / expm1(least));
    }
    for (j = 0; j < 3; j++) counts[j]--;
}

/* One pass, since a file may be large: what is not finite is counted, and where it is is looked for afterwards. Values
 * that a sparse store leaves out are zeros, which are whole numbers. */
static cel_status celi_store_describe(const celi_store *s, double *total, cel_slide_report *report, cel_error *err)
{
    enum { CELI_SAMPLE = 1000 };
    const int64_t cells = s->rows.cells, genes = s->rows.genes, sample = celi_min(cells, CELI_SAMPLE);
    double low = HUGE_VAL, high = -HUGE_VAL, values = (double)cells * (double)genes;
    int64_t i, count, whole = 0, zeros = 0, empty = 0, bad = 0, counts[3] = {0, 0, 0};
    memset(report, 0, sizeof *report);
    CELI_OMP(omp parallel for schedule(static) reduction(+ : whole, zeros, empty, bad) reduction(min : low) \
             reduction(max : high) if (values > (double)CELI_FORK))
    for (i = 0; i < cells; i++) {
        int64_t j, none, here;
        const cel_real *row = celi_store_values(s, i, celi_store_scratch(s), &here);
        none = genes - here;
        for (j = 0; j < here; j++) {
            double v = (double)row[j];
            if (!(fabs(v) > 0)) { /* NaN, too, which is bad, and then nothing else counts */
                none++;
                bad += !(v >= 0);
                continue;
            }
            bad += fabs(v) > DBL_MAX;
            whole += !(v > floor(v));
            if (v < low) low = v;
            if (v > high) high = v;
        }
        if (none && low > 0) low = 0;
        if (none && high < 0) high = 0;
        whole += none;
        zeros += none;
        empty += none == genes;
        if (total) total[i] = celi_sum_of(row, here);
        celi_store_release(s, i, i + 1);
    }
    if (bad && total) memset(total, 0, (size_t)cells * sizeof *total);
    if (bad) return celi_store_scan(s, -DBL_MAX, DBL_MAX, "a value is not finite", NULL, err);
    if (!(values > 0)) return CEL_OK;
    /* Cells spread evenly over the slide: neighbours in memory may be of one kind. */
    for (i = 0; i < sample; i++) {
        const cel_real *row = celi_store_values(s, cells * i / sample, s->scratch, &count);
        celi_multiples(row, count, counts);
    }
    celi_store_release(s, 0, CELI_PAGES);
    report->whole = (double)whole / values;
    report->zeros = (double)zeros / values;
    report->lowest = low;
    report->largest = high;
    report->empty = empty;
    if (counts[0] > 0) report->multiples = (double)counts[1] / (double)counts[0];
    if (counts[0] > 0) report->log_multiples = (double)counts[2] / (double)counts[0];
    /* Of numbers that are no counts some 2 in 100 are whole by chance, of counts nearly all; 0.6 is far from both. */
    if (low >= 0 && report->whole > 0.999) report->likely = CEL_KIND_COUNTS;
    else if (low < 0 || (report->multiples < 0.6 && report->log_multiples < 0.6)) report->likely = CEL_KIND_INTENSITY;
    else report->likely = report->log_multiples < report->multiples ? CEL_KIND_COUNTS : CEL_KIND_LOGNORM;
    return CEL_OK;
}

CEL_API_DEF cel_status cel_slide_describe(cel_mat x, double *total, cel_slide_report *report, cel_error *err)
{
    const celi_store s = celi_store_of(x);
    return celi_store_describe(&s, total, report, err);
}

/* Sums over the cells of columns from..to-1: how many express a gene, the sum of X; for VARIABLE also log(1 + mean)
 * and log(variance / mean) of q, -infinity for a gene that varies by no more than rounding. The sums are of
 * differences to the first cell, so that little cancels. */
typedef struct celi_genes {
    double *sum, *mean, *dispersion, *first; /* (n) each */
    int64_t *cells;                          /* (n) */
    double low, high;                        /* what values may be */
} celi_genes;

/* What VARIABLE looks at, q: counts at 1e4 a cell, by this scale of its cell; or from logarithms. */
static double celi_genes_scale(const cel_genes_options *o, int64_t cell)
{
    return o->total && o->total[cell] > 0 ? 1e4 / o->total[cell] : 1;
}
static double celi_genes_q(const cel_genes_options *o, double scale, double v)
{
    return o->total ? v * scale : v > 0 ? expm1(v) : 0;
}

/* Rows of cells from `first` on; 1 where a value is not within the limits of g. A strip of genes over all cells, in
 * their order, is one thread's: the same bits for any number of them. */
static int celi_genes_add(const celi_genes *g, cel_mat x, int64_t first, const cel_genes_options *o, int64_t from,
                          int64_t to)
{
    int64_t i, j;
    int good = 1;
    for (i = 0; i < x.rows; i++) {
        const cel_real *row = x.data + i * x.stride;
        const double scale = celi_genes_scale(o, first + i);
        for (j = from; j < to; j++) {
            g->cells[j] += row[j] > 0 || row[j] < 0;
            g->sum[j] += (double)row[j];
            good &= (double)row[j] >= g->low && (double)row[j] <= g->high;
        }
        for (j = from; o->by == CEL_GENES_VARIABLE && j < to; j++) {
            double q = celi_genes_q(o, scale, (double)row[j]), d;
            if (first + i == 0) g->first[j] = q;
            d = q - g->first[j];
            g->mean[j] += d;
            g->dispersion[j] += d * d;
        }
    }
    return !good;
}

/* The same of a sparse store, at the cost of what it has: a cell whose value is left out has the difference -first. */
static int celi_genes_sparse(const celi_genes *g, const celi_store *s, const cel_genes_options *o)
{
    const cel_csr *a = s->rows.sparse;
    int64_t i, j, e;
    int good = 1;
    for (i = 0; i < s->rows.cells; i++) {
        const int64_t at = s->rows.row ? s->rows.row[i] : i;
        const double scale = celi_genes_scale(o, i);
        for (e = a->start[at]; e < a->start[at + 1]; e++) {
            const double v = (double)a->value[e];
            double d;
            j = a->index[e];
            good &= v >= g->low && v <= g->high;
            if (!(v > 0 || v < 0)) continue;
            g->cells[j]++;
            g->sum[j] += v;
            if (o->by != CEL_GENES_VARIABLE) continue;
            d = celi_genes_q(o, scale, v);
            if (i == 0) g->first[j] = d;
            d -= g->first[j];
            g->mean[j] += d;
            g->dispersion[j] += d * d;
        }
    }
    for (j = 0; o->by == CEL_GENES_VARIABLE && j < a->cols; j++) {
        double none = (double)(s->rows.cells - g->cells[j]);
        g->mean[j] -= none * g->first[j];
        g->dispersion[j] += none * g->first[j] * g->first[j];
    }
    return !good;
}

/* Sums become the logarithms that VARIABLE wants. */
static void celi_genes_end(const celi_genes *g, int64_t cells, int64_t genes)
{
    int64_t j;
    for (j = 0; j < genes; j++) {
        double s = (double)cells, d = g->mean[j] / s, m = g->first[j] + d;
        double variance = (g->dispersion[j] - g->mean[j] * d) / (s - 1);
        if (!(m > 1e-12)) m = 1e-12;
        g->dispersion[j] = variance > 1e-20 * m * m ? log(variance / m) : -HUGE_VAL;
        g->mean[j] = log1p(m);
    }
}

/* All cells of a store; of a file, or where rows are picked, a tile of them at a time, so that strips do not read the
 * file over and over. Returns whether a value is wrong. */
static int celi_genes_sum(const celi_genes *g, const celi_store *s, const cel_genes_options *o, celi_pool *pool)
{
    const int64_t cells = s->rows.cells, genes = s->rows.genes, strips = (genes + 63) / 64;
    const int copied = !s->there.data || s->rows.gene || s->rows.row, sparse = s->rows.sparse && !s->column;
    const int64_t tile = copied || s->rows.mapped ? celi_min(cells, CELI_PAGES / 4) : cells;
    cel_mat x = CEL_ZERO;
    int64_t first, strip;
    int wrong = 0;
    if (sparse) wrong = celi_genes_sparse(g, s, o);
    else if (copied) x = celi_pool_mat(pool, tile, genes);
    for (first = 0; first < cells && !sparse && !pool->status; first += tile) {
        const int64_t count = celi_min(tile, cells - first);
        x = copied ? cel_mat_block(x, 0, 0, count, genes) : cel_mat_block(s->there, first, 0, count, genes);
        if (copied) celi_store_tile(s, NULL, first, x, NULL);
        CELI_OMP(omp parallel for schedule(static) reduction(| : wrong) if (count * genes > CELI_FORK))
        for (strip = 0; strip < strips; strip++)
            wrong |= celi_genes_add(g, x, first, o, strip * 64, celi_min(strip * 64 + 64, genes));
        celi_store_release(s, first, first + tile);
    }
    if (o->by == CEL_GENES_VARIABLE) celi_genes_end(g, cells, genes);
    return wrong;
}

/* Log dispersions become scores: standardised within 20 bins of the mean, right edges included, because dispersion
 * rises with the mean for reasons that have nothing to do with the gene. The passes over a bin are its mean, its
 * squares about that, its scores. A mean of NaN is of a gene that is left out. */
static void celi_standardise(int64_t genes, const double *mean, double *dispersion)
{
    enum { CELI_BINS = 20 };
    double low = HUGE_VAL, high = -HUGE_VAL;
    int64_t j;
    int b, pass;
    for (j = 0; j < genes; j++) {
        if (mean[j] < low) low = mean[j];
        if (mean[j] > high) high = mean[j];
    }
    for (b = 0; b < CELI_BINS; b++) {
        double step = (high - low) / (double)CELI_BINS, count = 0, sum = 0, square = 0;
        double from = b > 0 ? low + b * step : -HUGE_VAL, to = b < CELI_BINS - 1 ? low + (b + 1) * step : HUGE_VAL;
        for (pass = 0; pass < 3; pass++)
            for (j = 0; j < genes; j++) {
                double d = dispersion[j] - (pass ? sum / count : 0);
                if (!(d >= -DBL_MAX) || !(mean[j] > from && mean[j] <= to)) continue;
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

static cel_status celi_store_genes(const celi_store *s, const cel_genes_options *options, int32_t *index,
                                   int64_t *count, int64_t *cells, double *score, cel_error *err)
{
    const cel_genes_options all = CEL_ZERO, *o = options ? options : &all;
    const int variable = o->by == CEL_GENES_VARIABLE;
    const int64_t genes = s->rows.genes;
    int64_t j, passed = 0, *order;
    int wrong = 0;
    celi_pool pool = CEL_ZERO;
    celi_genes g;
    cel_status status;
    *count = 0;
    if ((o->by != CEL_GENES_MEAN && !variable) || o->top < 0 || o->top > genes || genes > INT32_MAX ||
        s->rows.cells < 2)
        return celi_note(err, CEL_ERR_ARG, "genes to keep: no such way, more than there are, or not two cells");
    g.low = variable ? 0 : -CELI_LARGE;
    g.high = variable && !o->total ? 700 : CELI_LARGE;
    g.sum = (double *)celi_pool_get(&pool, genes * 4, sizeof(double));
    g.cells = (int64_t *)celi_pool_get(&pool, genes, sizeof(int64_t));
    order = (int64_t *)celi_pool_get(&pool, genes, sizeof *order);
    if (!pool.status) {
        g.mean = g.sum + genes;
        g.dispersion = g.mean + genes;
        g.first = g.dispersion + genes;
        wrong = celi_genes_sum(&g, s, o, &pool);
    }
    status = celi_note(err, pool.status, "genes to keep");
    if (wrong)
        status = celi_store_scan(s, g.low, g.high, !variable ? "a value is not finite, or beyond 1e150" : o->total
                                 ? celi_count_wrong : "negative, not finite, or above 700 and so not log data", NULL,
                                 err);
    if (status) {
        celi_pool_free(&pool);
        return status;
    }
    for (j = 0; j < genes; j++) {
        if (!variable) g.dispersion[j] = g.sum[j] / (double)s->rows.cells;
        if (g.cells[j] >= o->min_cells) {
            order[passed++] = j;
            continue;
        }
        g.mean[j] = (double)NAN;
        g.dispersion[j] = -HUGE_VAL;
    }
    if (variable) celi_standardise(genes, g.mean, g.dispersion);
    for (j = 0; j < genes; j++) {
        if (cells) cells[j] = g.cells[j];
        if (score) score[j] = g.dispersion[j];
        g.sum[j] = -g.dispersion[j];
    }
    celi_sort_by(g.sum, order, passed);
    for (j = 0; j < passed && (!o->top || j < o->top); j++) g.cells[order[j]] = -1; /* chosen */
    for (j = 0; j < genes; j++)
        if (g.cells[j] < 0) index[(*count)++] = (int32_t)j;
    celi_pool_free(&pool);
    return CEL_OK;
}

CEL_API_DEF cel_status cel_slide_genes(cel_mat x, const cel_genes_options *options, int32_t *index, int64_t *count,
                                       int64_t *cells, double *score, cel_error *err)
{
    const celi_store s = celi_store_of(x);
    return celi_store_genes(&s, options, index, count, cells, score, err);
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
 * pseudo-random, so that no usual order of points is slow. What is wanted here never needs a sort, only which side of a
 * cut a point is on, and no two points are equal (ties go by cell), so that the sides are always the same. */
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

/* The median of the first coordinates, the mean of the middle two where count is even; reorders the points. */
static double celi_median(celi_point *point, int64_t count)
{
    double below = -HUGE_VAL, above = HUGE_VAL;
    int64_t i, half = count / 2;
    if (count == 0) return 0;
    celi_select(point, 0, half, count, 0);
    for (i = 0; i < half; i++)
        if (point[i].p[0] > below) below = point[i].p[0];
    for (; i < count; i++)
        if (point[i].p[0] < above) above = point[i].p[0];
    return count % 2 ? above : below + (above - below) / 2;
}

/* Checks X and its labels (below s->groups), and fills cell with totals and groups; cells of no use get a negative
 * group. A total may be below the sum by what rounding to float explains; the values that have a logarithm of 1 + v end
 * just above -1. */
static cel_status celi_scaling_cells(const cel_scaling *s, const celi_store *x, const double *total,
                                     const int32_t *group, cel_scaling_cell *cell, cel_error *err)
{
    double *sum = (double *)celi_alloc((size_t)x->rows.cells, sizeof *sum);
    int counts = s->kind == CEL_KIND_COUNTS;
    double low = counts ? 0 : s->log && s->kind == CEL_KIND_INTENSITY ? DBL_EPSILON - 1 : -CELI_LARGE;
    int64_t i;
    cel_status status = sum ? CEL_OK : celi_note(err, CEL_ERR_MEMORY, "a scaling");
    if (!status)
        status = celi_store_scan(x, low, CELI_LARGE, counts ? celi_count_wrong : "a value is not finite, beyond 1e150, "
                                 "or -1 or less and has no logarithm", sum, err);
    for (i = 0; !status && i < x->rows.cells; i++) {
        cel_scaling_cell *c = cell + i;
        c->total = total && counts ? total[i] : sum[i];
        c->group = group ? group[i] : 0;
        if (c->group >= s->groups) status = celi_fail(err, CEL_ERR_DATA, "a group label is out of range", -1, i, -1);
        if (counts && !(c->total >= sum[i] * (1 - 1e-5) && c->total <= DBL_MAX))
            status = celi_fail(err, CEL_ERR_DATA, "a cell's total is below the sum of its genes", -1, i, -1);
        if (counts && c->total > 0 && c->total < CELI_TINY)
            status = celi_fail(err, CEL_ERR_DATA, celi_total_tiny, -1, i, -1);
        /* no counts, or none before they were logged; other numbers may well sum to 0 */
        if ((counts || (s->size && s->kind == CEL_KIND_LOGNORM)) && !(c->total > 0)) c->group = -1;
    }
    celi_free(sum);
    return status;
}

/* A block of cells of one group, and what it adds, (n) each: first, v of its first cell; sum and square of
 * d = v - first; slope, the sum of dv / dlog q; and scratch. Differences to a cell of the same block lose nothing where
 * the mean is large, and a gene of one value gives exactly 0. With v = log(1 + q) the slope is q / (1 + q), which is
 * 1 - 1 / (1 + q) from counts and 1 - exp(-v) from logs, neither of which cancels; without a logarithm v = q is it. */
typedef struct celi_span {
    int64_t from, to, group; /* places in the list of cells by group */
    double *sums;            /* (5 x n) */
} celi_span;

static void celi_scaling_span(const cel_scaling *s, const celi_store *x, const int32_t *list, const celi_span *b)
{
    int64_t i, j, n = s->genes;
    double *first = b->sums, *sum = first + n, *square = sum + n, *slope = square + n, *v = slope + n;
    for (i = b->from; i < b->to; i++) {
        const cel_real *row = celi_store_row(x, list[i], celi_store_scratch(x));
        celi_logs l;
        celi_logs_at(&l, s, s->cell[list[i]].total);
        for (j = 0; j < n; j++) v[j] = row[j] > 0 || row[j] < 0 ? celi_log(&l, (double)row[j]) : 0;
        if (i == b->from) memcpy(first, v, (size_t)n * sizeof *v);
        for (j = 0; j < n; j++) {
            double d = v[j] - first[j];
            sum[j] += d;
            square[j] += d * d;
        }
        for (j = 0; s->size && j < n; j++) {
            if (s->kind == CEL_KIND_LOGNORM) slope[j] -= row[j] > 0 || row[j] < 0 ? expm1(-v[j]) : 0;
            else slope[j] += s->log ? 1 - 1 / (1 + l.factor * (double)row[j]) : v[j];
        }
    }
    celi_store_release(x, b->from, b->to);
}

/* Merges the blocks in their order: means of groups, squares about them (Chan, Golub and LeVeque 1979), slopes. When
 * `here` cells of mean m join `seen` ones, the mean moves by its share of the gap `off` between the two, and squares
 * about the new mean are those about the old ones plus off^2 seen here / (seen + here). cells (groups, or NULL: then
 * squares and slopes are of all groups together) receives how many each has. Returns the number of all. */
static double celi_scaling_merge(cel_scaling *s, const celi_span *block, int64_t blocks, double *cells)
{
    double seen = 0, all = 0; /* seen: cells of this group so far */
    int64_t b, j, n = s->genes;
    for (b = 0; b < blocks; b++) {
        const double *first = block[b].sums, *sum = first + n, *square = sum + n, *slope = square + n;
        double *centre = s->centre + block[b].group * n, here = (double)(block[b].to - block[b].from);
        double *scale = s->scale + (cells ? block[b].group * n : 0), *size = s->size;
        if (size && cells) size += block[b].group * n;
        if (b == 0 || block[b].group != block[b - 1].group) seen = 0;
        for (j = 0; j < n; j++) {
            double d = sum[j] / here, off = first[j] + d - centre[j];
            centre[j] += off * (here / (seen + here));
            scale[j] += square[j] - sum[j] * d + off * off * (seen * here / (seen + here));
            if (size) size[j] += slope[j];
        }
        seen += here;
        all += here;
        if (cells) cells[block[b].group] = seen;
    }
    return all;
}

/* From squares about the means, of all groups together, to the scales; from slopes to the size direction: z is v in
 * units of the scale, so the slope of v becomes that of z by the same division. */
static cel_status celi_scaling_finish(cel_scaling *s, double all, cel_error *err)
{
    double length = 0;
    int64_t j, n = s->genes;
    /* A gene that is alike everywhere has no scale. It would be noise of rounding blown up to full size. */
    for (j = 0; j < n; j++) {
        s->scale[j] = sqrt(s->scale[j] / all);
        if (!(s->scale[j] > 0 && s->scale[j] <= DBL_MAX))
            return celi_fail(err, CEL_ERR_DATA, "a gene does not vary, or has values too large to square", -1, -1, j);
        if (s->size) s->size[j] /= s->scale[j];
        if (s->size) length += s->size[j] * s->size[j];
    }
    for (j = 0; s->size && j < n; j++) s->size[j] /= sqrt(length);
    if (s->size && !(length > 0)) return celi_note(err, CEL_ERR_DATA, "size has no direction");
    return CEL_OK;
}

#define CELI_SCALING_LOW 4.0 /* standard deviations below its mean at which a latent gene counts as held at 0 */
enum { CELI_SPAN = 1024 }; /* cells of a block, whose sums are one thread's */

/* What centres, scales and the size direction follow from, summed over the cells in groups, in blocks of one group
 * each. Which cells make a block depends on the labels only, and blocks are merged in turn: the same bits for any
 * number of threads. cells as in celi_scaling_merge; *all is the number of cells. */
static cel_status celi_scaling_measure(cel_scaling *s, const celi_store *x, double *cells, double *all, cel_error *err)
{
    celi_pool pool = CEL_ZERO;
    const int64_t count = x->rows.cells;
    int64_t i, g, b, n = s->genes, most = count / CELI_SPAN + s->groups, blocks = 0;
    int32_t *label = (int32_t *)celi_pool_get(&pool, count, sizeof *label);
    int32_t *list = (int32_t *)celi_pool_get(&pool, count, sizeof *list);
    int64_t *start = (int64_t *)celi_pool_get(&pool, s->groups + 1, sizeof *start);
    celi_span *block = (celi_span *)celi_pool_get(&pool, most, sizeof *block);
    double *sums;
    cel_status status = pool.status;
    for (i = 0; !status && i < count; i++) label[i] = s->cell[i].group;
    if (!status) celi_group(label, NULL, count, s->groups, start, list);
    for (g = 0; !status && g < s->groups; g++)
        for (i = start[g]; i < start[g + 1]; i += CELI_SPAN, blocks++) {
            block[blocks].from = i;
            block[blocks].to = celi_min(i + CELI_SPAN, start[g + 1]);
            block[blocks].group = g;
        }
    if (!status && blocks == 0 && !cells) status = celi_note(err, CEL_ERR_DATA, "no cell has counts and a group");
    sums = status ? NULL : (double *)celi_pool_get(&pool, blocks * 5 * n, sizeof *sums);
    for (b = 0; sums && b < blocks; b++) block[b].sums = sums + b * 5 * n;
    if (pool.status) status = celi_note(err, pool.status, "a scaling");
    if (!status) {
        CELI_OMP(omp parallel for schedule(dynamic) if (count * n > CELI_FORK))
        for (b = 0; b < blocks; b++) celi_scaling_span(s, x, list, block + b);
        *all = celi_scaling_merge(s, block, blocks, cells);
    }
    celi_pool_free(&pool);
    return status;
}

/* One row of X becomes a row of the fit; inverse (n) is 1 / s, v (n) scratch. What rounding alone leaves after the
 * projection is no row. The product with u has two sums, so that an addition need not wait for the one before. */
static void celi_scaling_row(const cel_scaling *s, const double *inverse, cel_real *row, cel_scaling_cell *cell,
                             double *v)
{
    int64_t j, n = s->genes;
    double even = 0, odd = 0, along;
    celi_logs l;
    celi_logs_at(&l, s, cell->total);
    for (j = 0; j < n; j++) v[j] = cell->group >= 0 && (row[j] > 0 || row[j] < 0) ? celi_log(&l, (double)row[j]) : 0;
    if (s->centre && cell->group >= 0) {
        const double *centre = s->centre + cell->group * n;
        for (j = 0; j < n; j++) v[j] = (v[j] - centre[j]) * inverse[j];
    }
    for (j = 1; s->size && j < n; j += 2) {
        even += s->size[j - 1] * v[j - 1];
        odd += s->size[j] * v[j];
    }
    if (s->size && n % 2) even += s->size[n - 1] * v[n - 1];
    cell->size = along = even + odd;
    for (j = 0; j < n; j++) row[j] = (cel_real)(s->size ? v[j] - along * s->size[j] : v[j]);
    cell->length = celi_unit_row(row, n);
    if (cell->length > 1e-12 * fabs(cell->size)) return;
    cell->length = 0;
    for (j = 0; j < n; j++) row[j] = 0;
}

/* What is taken out of every cell; `write`: the rows of a dense store become those of the fit, where they lie. Else
 * they are made to know their lengths, which say what cells there are, and made again when they are read: nothing that
 * is as large as the expression is kept. */
static cel_status celi_scaling_rows(const cel_scaling *s, const celi_store *x, int write, cel_scaling_cell *cell,
                                    cel_error *err)
{
    const int64_t cells = x->rows.cells, lanes = cel_threads();
    int64_t i, j, n = s->genes;
    double *v = (double *)celi_alloc((size_t)((lanes + 1) * n), sizeof *v), *inverse;
    cel_real *copy = write ? NULL : (cel_real *)celi_alloc((size_t)(lanes * n), sizeof *copy);
    cel_status status = v && (write || copy) ? CEL_OK : celi_note(err, CEL_ERR_MEMORY, "a scaling");
    inverse = status ? NULL : v + lanes * n;
    for (j = 0; s->scale && inverse && j < n; j++) inverse[j] = 1 / s->scale[j];
    CELI_OMP(omp parallel for schedule(static) if (cells * n > CELI_FORK))
    for (i = 0; i < (status ? 0 : cells); i++) {
        cel_real *row = write ? x->rows.dense.data + i * x->rows.dense.stride : copy + celi_thread() * n;
        const cel_real *from = write ? row : celi_store_row(x, i, row);
        if (from != row) memcpy(row, from, (size_t)n * sizeof *row);
        celi_scaling_row(s, inverse, row, cell + i, v + celi_thread() * n);
        celi_store_release(x, i, i + 1);
    }
    celi_free(copy);
    celi_free(v);
    return status;
}

/* The options completed, and room for what will be measured. Log data get a size direction only where they look like
 * logarithms of counts: others may be negative, or have no q to speak of. */
static cel_status celi_scaling_open(const cel_scaling_options *o, const celi_store *x, int64_t groups, cel_scaling *s)
{
    const int64_t n = x->rows.genes;
    int plain = o->plain || o->kind == CEL_KIND_UNIT, counts = o->kind == CEL_KIND_COUNTS, size = o->size > 0;
    s->kind = o->kind;
    s->log = o->kind == CEL_KIND_LOGNORM || o->log > 0 || (counts && o->log == 0);
    s->genes = n;
    s->groups = groups;
    s->cells = x->rows.cells;
    if (o->size == 0) size = counts || o->kind == CEL_KIND_LOGNORM;
    if (size && !o->size && !counts) size = !celi_store_scan(x, 0, 30, "", NULL, NULL); /* as logs of counts are */
    s->cell = (cel_scaling_cell *)celi_alloc((size_t)s->cells, sizeof *s->cell);
    if (!plain) s->centre = (double *)celi_alloc((size_t)groups * (size_t)n, sizeof *s->centre);
    if (!plain) s->scale = (double *)celi_alloc((size_t)n, sizeof *s->scale);
    if (!plain && size) s->size = (double *)celi_alloc((size_t)n, sizeof *s->size);
    return s->cell && (plain || (s->centre && s->scale && (s->size || !size))) ? CEL_OK : CEL_ERR_MEMORY;
}

/* The median total of the cells that have counts. */
static cel_status celi_scaling_target(cel_scaling *s)
{
    celi_point *point = (celi_point *)celi_alloc((size_t)s->cells, sizeof *point);
    int64_t i, count = 0;
    if (!point) return CEL_ERR_MEMORY;
    for (i = 0; i < s->cells; i++)
        if (s->cell[i].total > 0) point[count++].p[0] = s->cell[i].total;
    s->target = celi_median(point, count);
    celi_free(point);
    return CEL_OK;
}

/* Sums of v, of its square and slope, as others than these cells may have added to, in place of what is measured. They
 * are about 0 and not about a cell, or they would not add up: where a gene hardly varies beside its mean, what is left
 * of its squares is rounding, and no scale is made of it. */
static double celi_scaling_known(cel_scaling *s, const cel_scaling_sums *sums)
{
    double all = 0;
    int64_t g, j, n = s->genes;
    for (g = 0; g < sums->groups; g++) {
        all += sums->cells[g];
        for (j = 0; j < n && sums->cells[g] > 0; j++) {
            const double sum = sums->sum[g * n + j], square = sums->square[g * n + j], mean = sum / sums->cells[g];
            s->centre[g * n + j] = mean;
            if (square - sum * mean > 1e-11 * square) s->scale[j] += square - sum * mean; /* else rounding */
            if (s->size) s->size[j] += sums->slope[g * n + j];
        }
    }
    return all;
}

/* The steps in turn. A label is below the number of cells, so that one by mistake cannot ask for all memory. */
static cel_status celi_scaling_make(const celi_store *x, const double *total, const int32_t *group,
                                    const cel_scaling_options *options, const cel_scaling_sums *sums, int write,
                                    cel_scaling *out, cel_error *err)
{
    const cel_scaling_options standard = CEL_ZERO, *o = options ? options : &standard;
    const int64_t cells = x->rows.cells;
    cel_scaling s = CEL_ZERO; /* X is written last, when nothing but memory for scratch can fail, and that is first */
    int64_t i, groups = sums ? sums->groups : 1;
    double all = 0;
    cel_status status;
    memset(out, 0, sizeof *out);
    if ((int)o->kind < 0 || o->kind > CEL_KIND_UNIT || !(o->target <= DBL_MAX))
        return celi_note(err, CEL_ERR_ARG, "a scaling of an unknown kind or target");
    if (cells < 1 || x->rows.genes < 1 || cells > INT32_MAX || x->rows.genes > INT32_MAX)
        return celi_note(err, CEL_ERR_ARG, "a scaling of no cells or genes, or too many");
    for (i = 0; group && !sums && i < cells; i++) {
        if (group[i] >= cells) return celi_fail(err, CEL_ERR_DATA, "a group label is out of range", -1, i, -1);
        if (group[i] >= groups) groups = group[i] + 1;
    }
    status = celi_note(err, celi_scaling_open(o, x, groups, &s), "a scaling");
    if (!status) status = celi_scaling_cells(&s, x, total, group, s.cell, err);
    if (o->target > 0) s.target = o->target;
    if (!status && s.kind == CEL_KIND_COUNTS && !(o->target > 0 || o->target < 0))
        status = celi_note(err, celi_scaling_target(&s), "a scaling");
    if (!status && s.centre && sums) all = celi_scaling_known(&s, sums);
    if (!status && s.centre && !sums) status = celi_scaling_measure(&s, x, NULL, &all, err);
    if (!status && s.centre) status = celi_scaling_finish(&s, all, err);
    if (!status) status = celi_scaling_rows(&s, x, write, s.cell, err);
    if (status) cel_scaling_free(&s);
    *out = s;
    return status;
}

CEL_API_DEF cel_status cel_scaling_fit(cel_mat x, const double *total, const int32_t *group,
                                       const cel_scaling_options *options, cel_scaling *out, cel_error *err)
{
    const celi_store s = celi_store_of(x);
    return celi_scaling_make(&s, total, group, options, NULL, 1, out, err);
}

static cel_status celi_scaling_same(const cel_scaling *s, const celi_store *x, int write, const double *total,
                                    const int32_t *group, cel_scaling_cell *cell, cel_error *err)
{
    cel_status status = celi_note(err, x->rows.genes == s->genes ? CEL_OK : CEL_ERR_SHAPE, "a scaling of other genes");
    if (!status && s->log == CEL_LOG_LATENT)
        status = celi_note(err, CEL_ERR_ARG, "rows of a latent field are inferred, not scaled");
    if (!status) status = celi_scaling_cells(s, x, total, group, cell, err);
    if (!status) status = celi_scaling_rows(s, x, write, cell, err);
    if (status) memset(cell, 0, (size_t)x->rows.cells * sizeof *cell);
    return status;
}

CEL_API_DEF cel_status cel_scaling_apply(const cel_scaling *s, cel_mat x, const double *total, const int32_t *group,
                                         cel_scaling_cell *cell, cel_error *err)
{
    const celi_store store = celi_store_of(x);
    return celi_scaling_same(s, &store, 1, total, group, cell, err);
}

CEL_API_DEF void cel_scaling_free(cel_scaling *s)
{
    celi_free(s->centre);
    celi_free(s->scale);
    celi_free(s->size);
    celi_free(s->cell);
    memset(s, 0, sizeof *s);
}

/* 1 for units of v itself. */
static int celi_unit_is_log(const cel_scaling *s, cel_unit unit)
{
    return unit == CEL_UNIT_LOG || (unit == CEL_UNIT_GIVEN && s->kind == CEL_KIND_LOGNORM);
}

/* v of a value in a unit, and the value of v: the two are inverse to each other, and both are affine but for the
 * logarithm. factor is t / l, from the cell's own counts to q. */
static double celi_unit_in(const cel_scaling *s, cel_unit unit, double factor, double value)
{
    if (celi_unit_is_log(s, unit)) return value;
    if (unit == CEL_UNIT_GIVEN) value *= factor;
    return s->log == CEL_LOG_LATENT ? log(value) : s->log ? log1p(value) : value;
}

static double celi_unit_out(const cel_scaling *s, cel_unit unit, double factor, double v)
{
    if (celi_unit_is_log(s, unit)) return v;
    if (s->log) v = s->log == CEL_LOG_LATENT ? exp(v) : expm1(v);
    return unit == CEL_UNIT_GIVEN ? v / factor : v;
}

/* v of a row's coordinate k. */
static double celi_scaling_undo(const cel_scaling *s, const cel_scaling_cell *cell, double x, int64_t k)
{
    double z = cell->length * x + (s->size ? cell->size * s->size[k] : 0);
    return s->centre ? s->centre[cell->group * s->genes + k] + s->scale[k] * z : z;
}

CEL_API_DEF cel_status cel_scaling_values(const cel_scaling *s, cel_unit unit, cel_mat rows,
                                          const cel_scaling_cell *cell, cel_mat values)
{
    int64_t i;
    if ((int)unit < 0 || unit > CEL_UNIT_TYPICAL) return CEL_ERR_ARG;
    if (rows.cols != s->genes || values.cols != s->genes || rows.rows != values.rows) return CEL_ERR_SHAPE;
    CELI_OMP(omp parallel for schedule(static) if (rows.rows * rows.cols > CELI_FORK))
    for (i = 0; i < rows.rows; i++) {
        const cel_real *row = rows.data + i * rows.stride;
        cel_real *to = values.data + i * values.stride;
        int64_t k;
        celi_logs l;
        celi_logs_at(&l, s, cell[i].total);
        for (k = 0; k < s->genes; k++)
            to[k] = cell[i].length > 0
                        ? (cel_real)celi_unit_out(s, unit, l.factor, celi_scaling_undo(s, cell + i, (double)row[k], k))
                        : 0;
    }
    return CEL_OK;
}

/* How far the cell's z of gene a, whose row has x, is from a held value. */
static double celi_hold_step(const cel_scaling *s, cel_unit unit, double factor, const cel_scaling_cell *cell, double x,
                             int64_t a, double value)
{
    double now = celi_scaling_undo(s, cell, x, a);
    double v = unit == CEL_UNIT_FOLD
                   ? celi_unit_in(s, CEL_UNIT_TYPICAL, 1, value * celi_unit_out(s, CEL_UNIT_TYPICAL, 1, now))
                   : celi_unit_in(s, unit, factor, value);
    if (s->log == CEL_LOG_LATENT && !(v > -DBL_MAX)) /* 0 has no logarithm: very low stands for it */
        v = s->centre[cell->group * s->genes + a] - CELI_SCALING_LOW * s->scale[a];
    return (v - now) / (s->scale ? s->scale[a] : 1);
}

CEL_API_DEF cel_status cel_scaling_hold(const cel_scaling *s, cel_unit unit, int64_t count, const int32_t *gene,
                                        const double *value, cel_real *row, cel_scaling_cell *cell, cel_error *err)
{
    const int may_be_negative =
        celi_unit_is_log(s, unit) || (unit != CEL_UNIT_FOLD && !s->log && s->kind != CEL_KIND_COUNTS);
    double shift = 0;
    int64_t j, k;
    celi_logs l;
    if ((int)unit < 0 || unit > CEL_UNIT_FOLD) return celi_note(err, CEL_ERR_ARG, "an unknown unit");
    if (!(cell->length > 0)) return celi_note(err, CEL_ERR_DATA, "a cell without a row");
    for (j = 0; j < count; j++) {
        if (gene[j] < 0 || gene[j] >= s->genes)
            return celi_fail(err, CEL_ERR_ARG, "a gene out of range", -1, -1, gene[j]);
        if (!(value[j] >= (may_be_negative ? -DBL_MAX : 0) && value[j] <= DBL_MAX))
            return celi_fail(err, CEL_ERR_DATA, "a held value is negative or not finite", -1, -1, gene[j]);
    }
    celi_logs_at(&l, s, cell->total);
    for (j = 0; j < count; j++) {
        double d = celi_hold_step(s, unit, l.factor, cell, (double)row[gene[j]], gene[j], value[j]);
        if (!(fabs(d) <= 1e18 * cell->length)) /* of which a float has the square */
            return celi_fail(err, CEL_ERR_DATA, "a held value is beyond all expression", -1, -1, gene[j]);
    }
    /* Each held gene moves z by d along its axis, z' = z + sum d e_a, and the projection is linear:
     *   c' = u . z' = c + sum d u_a,    r' = z' - c' u = r + sum d (e_a - u_a u)
     * so that the row is not made from its values again. In units of the old length, r / L = x: first the axes, then u
     * once for all. What is left is to take x' to unit length, and L' is L times the length it had. */
    for (j = 0; j < count; j++) {
        int64_t a = gene[j];
        double d = celi_hold_step(s, unit, l.factor, cell, (double)row[a], a, value[j]);
        row[a] = (cel_real)((double)row[a] + d / cell->length);
        if (s->size) shift += d * s->size[a];
    }
    for (k = 0; s->size && k < s->genes; k++)
        row[k] = (cel_real)((double)row[k] - shift / cell->length * s->size[k]);
    cell->size += shift;
    cell->length *= celi_unit_row(row, s->genes);
    return CEL_OK;
}

/* ---- rows of any store ---- */

CEL_API_DEF cel_status cel_rows_describe(const cel_rows *rows, double *total, cel_slide_report *report, cel_error *err)
{
    celi_pool pool = CEL_ZERO;
    celi_store s;
    cel_status status = celi_store_open(rows, 0, &pool, &s, err);
    memset(report, 0, sizeof *report);
    if (!status) status = celi_store_describe(&s, total, report, err);
    celi_pool_free(&pool);
    return status;
}

CEL_API_DEF cel_status cel_rows_genes(const cel_rows *rows, const cel_genes_options *options, int32_t *index,
                                      int64_t *count, int64_t *cells, double *score, cel_error *err)
{
    celi_pool pool = CEL_ZERO;
    celi_store s;
    cel_status status = celi_store_open(rows, 0, &pool, &s, err);
    *count = 0;
    if (!status) status = celi_store_genes(&s, options, index, count, cells, score, err);
    celi_pool_free(&pool);
    return status;
}

/* Measured as a scaling is, but that squares and slopes are kept by group; then from squares about the means to those
 * about 0, which add up whatever the means of the others are. The arrays of the sums stand in for those of a scaling
 * until then. */
CEL_API_DEF cel_status cel_rows_sums(const cel_rows *rows, const double *total, const int32_t *group, int64_t groups,
                                     const cel_scaling_options *options, cel_scaling_sums *out, cel_error *err)
{
    const cel_scaling_options standard = CEL_ZERO, *o = options ? options : &standard;
    const int64_t n = rows->genes;
    celi_pool pool = CEL_ZERO;
    celi_store x;
    cel_scaling s = CEL_ZERO;
    cel_scaling_sums a = CEL_ZERO;
    double all = 0;
    int64_t i;
    cel_status status = celi_store_open(rows, 0, &pool, &x, err);
    memset(out, 0, sizeof *out);
    if (!status && (groups < 1 || n < 1 || groups > INT32_MAX / n || (int)o->kind < 0 || o->kind > CEL_KIND_INTENSITY ||
                    o->plain || (o->kind == CEL_KIND_COUNTS && !(o->target > 0 || o->target < 0)) ||
                    (o->kind == CEL_KIND_LOGNORM && !o->size)))
        status = celi_note(err, CEL_ERR_ARG, "sums of parts need groups, and a target and size that do not depend on "
                           "the part");
    if (!status) {
        a.genes = n;
        a.groups = groups;
        a.count = groups * (1 + 3 * n);
        a.cells = (double *)celi_alloc((size_t)a.count, sizeof(double));
        s.cell = (cel_scaling_cell *)celi_alloc((size_t)rows->cells, sizeof *s.cell);
        if (!a.cells || !s.cell) status = celi_note(err, CEL_ERR_MEMORY, "sums");
    }
    if (!status) {
        s.kind = o->kind;
        s.log = o->kind == CEL_KIND_LOGNORM || o->log > 0 || (o->kind == CEL_KIND_COUNTS && o->log == 0);
        s.genes = n;
        s.groups = groups;
        s.cells = rows->cells;
        s.target = o->target > 0 ? o->target : 0;
        s.centre = a.sum = a.cells + groups;
        s.scale = a.square = a.sum + groups * n;
        s.size = a.slope = a.square + groups * n;
        status = celi_scaling_cells(&s, &x, total, group, s.cell, err);
    }
    if (!status) status = celi_scaling_measure(&s, &x, a.cells, &all, err);
    for (i = 0; i < groups * n && !status; i++) {
        a.square[i] += a.cells[i / n] * a.sum[i] * a.sum[i];
        a.sum[i] *= a.cells[i / n];
    }
    if (status) cel_scaling_sums_free(&a);
    *out = a;
    celi_free(s.cell);
    celi_pool_free(&pool);
    return status;
}

CEL_API_DEF void cel_scaling_sums_free(cel_scaling_sums *sums)
{
    celi_free(sums->cells);
    memset(sums, 0, sizeof *sums);
}

CEL_API_DEF cel_status cel_rows_scaling(const cel_rows *rows, const double *total, const int32_t *group,
                                        const cel_scaling_options *options, const cel_scaling_sums *sums,
                                        cel_scaling *out, cel_error *err)
{
    celi_pool pool = CEL_ZERO;
    celi_store s;
    cel_status status = celi_store_open(rows, 0, &pool, &s, err);
    memset(out, 0, sizeof *out);
    if (!status && sums && (sums->genes != rows->genes || !options ||
                            (options->kind == CEL_KIND_COUNTS && !(options->target > 0 || options->target < 0)) ||
                            (options->kind == CEL_KIND_LOGNORM && !options->size)))
        status = celi_note(err, CEL_ERR_ARG, "sums of other genes, or options that sums cannot have");
    if (!status) status = celi_scaling_make(&s, total, group, options, sums, 0, out, err);
    celi_pool_free(&pool);
    return status;
}

CEL_API_DEF cel_status cel_rows_apply(const cel_rows *rows, const cel_scaling *scaling, const double *total,
                                      const int32_t *group, cel_scaling_cell *cell, cel_error *err)
{
    celi_pool pool = CEL_ZERO;
    celi_store s;
    cel_status status = celi_store_open(rows, 0, &pool, &s, err);
    memset(cell, 0, (size_t)rows->cells * sizeof *cell);
    if (!status) status = celi_scaling_same(scaling, &s, 0, total, group, cell, err);
    celi_pool_free(&pool);
    return status;
}

CEL_API_DEF cel_status cel_rows_read(const cel_rows *rows, const int32_t *list, int64_t first, cel_mat out,
                                     cel_error *err)
{
    celi_pool pool = CEL_ZERO;
    celi_store s;
    double *v;
    int64_t i;
    cel_status status = celi_store_open(rows, 1, &pool, &s, err);
    const int64_t stored = rows->sparse ? rows->sparse->rows : rows->array ? rows->array->shape[0] : rows->dense.rows;
    if (!status && out.cols != rows->genes) status = celi_note(err, CEL_ERR_SHAPE, "a tile of other genes");
    for (i = 0; i < out.rows && !status; i++) {
        int64_t cell = list ? list[first + i] : first + i;
        if (cell < 0 || cell >= rows->cells) status = celi_fail(err, CEL_ERR_ARG, "no such cell", -1, cell, -1);
        else if (rows->row && (rows->row[cell] < 0 || rows->row[cell] >= stored))
            status = celi_fail(err, CEL_ERR_ARG, "no such row", -1, cell, -1);
    }
    v = status ? NULL : (double *)celi_pool_get(&pool, celi_store_doubles(&s), sizeof *v);
    if (!status) status = celi_note(err, pool.status, "rows");
    if (!status) celi_store_tile(&s, list, first, out, v);
    celi_store_release(&s, first, list ? first + CELI_PAGES : first + out.rows);
    for (i = 0; i < out.rows && status; i++)
        memset(out.data + i * out.stride, 0, (size_t)out.cols * sizeof *out.data);
    celi_pool_free(&pool);
    return status;
}

/* A balanced k-d tree over the points of one slide. Node j of level d holds the points
 * [count j >> d, count (j + 1) >> d) and is box[2^d - 1 + j]; the leaves are level `depth`. So a node's children,
 * parent, points and box follow from its numbers, nothing is linked, and a level can be made by many threads. Boxes are
 * tight and know their lowest cell, which decides ties without visiting crowds of equal distance. */
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
 * is there where it was asked for. Free the pool. */
typedef struct celi_slides {
    celi_point *point;
    int64_t *start;
    int64_t slides;
    celi_tree *tree;
    celi_pool pool;
} celi_slides;

enum { CELI_LEAF = 16 };

/* Levels below the root, so many that a leaf has at most CELI_LEAF points. */
static int celi_tree_depth(int64_t count)
{
    int depth = 0;
    while ((count - 1) >> depth >= CELI_LEAF) depth++;
    return depth;
}

static int64_t celi_tree_from(const celi_tree *t, int level, int64_t j) { return t->count * j >> level; }
static celi_box *celi_tree_box(const celi_tree *t, int level, int64_t j)
{
    return t->box + ((int64_t)1 << level) - 1 + j;
}

/* Makes a node's box and parts its points for its children, across the widest side: boxes near to squares have the
 * fewest neighbours. */
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
    celi_box *box;
    for (g = 0; g < s->slides; g++) boxes += (int64_t)2 << celi_tree_depth(s->start[g + 1] - s->start[g]);
    s->tree = (celi_tree *)celi_pool_get(&s->pool, s->slides, sizeof *s->tree);
    box = (celi_box *)celi_pool_get(&s->pool, boxes, sizeof *box);
    if (s->pool.status) return s->pool.status;
    for (g = 0; g < s->slides; g++) {
        celi_tree *t = s->tree + g;
        t->point = s->point + s->start[g];
        t->box = box;
        t->count = s->start[g + 1] - s->start[g];
        t->depth = celi_tree_depth(t->count);
        box += (int64_t)2 << t->depth;
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
        return celi_note(err, CEL_ERR_SHAPE, "coordinates need 2 or 3 columns");
    if (cells > INT32_MAX) return celi_note(err, CEL_ERR_ARG, "too many cells");
    status = celi_scan(coords, -CELI_LARGE, CELI_LARGE, "a coordinate is not finite, or beyond 1e150", NULL, err);
    if (status) return status;
    out->slides = 1;
    for (i = 0; slide && i < cells; i++) {
        if (slide[i] < 0 || slide[i] >= cells)
            return celi_fail(err, CEL_ERR_DATA, "a slide label is out of range", -1, i, -1);
        if (slide[i] >= out->slides) out->slides = slide[i] + 1;
    }
    out->point = (celi_point *)celi_pool_get(&out->pool, cells, sizeof *out->point);
    out->start = (int64_t *)celi_pool_get(&out->pool, out->slides + 1, sizeof *out->start);
    list = (int32_t *)celi_pool_get(&out->pool, cells, sizeof *list);
    status = out->pool.status;
    if (!status) celi_group(slide, NULL, cells, out->slides, out->start, list);
    for (i = 0; !status && i < cells; i++) {
        out->point[i].cell = list[i];
        for (j = 0; j < coords.cols; j++) out->point[i].p[j] = (double)coords.data[list[i] * coords.stride + j];
    }
    if (!status && trees) status = celi_slides_trees(out);
    if (!status) return CEL_OK;
    celi_pool_free(&out->pool);
    return celi_note(err, status, "places of cells");
}

/* Ends a graph on the slides, which are freed. Unless it is small, or most neighbours are stored near each other
 * already, it gets a walk through the slides' trees. After a failure, of which only that of memory is not in err yet,
 * the graph is freed as well. */
static cel_status celi_slides_end(celi_slides *s, cel_status status, cel_csr *graph, cel_error *err)
{
    enum { CELI_MANY = 16384, CELI_NEAR = 4096 };
    int64_t i, e, remote = 0;
    for (i = 0; !status && i < graph->rows; i++)
        for (e = graph->start[i]; e < graph->start[i + 1]; e++)
            remote += graph->index[e] > i + CELI_NEAR || graph->index[e] < i - CELI_NEAR;
    if (!status && graph->rows >= CELI_MANY && remote > cel_csr_count(graph) / 4) {
        graph->order = (int32_t *)celi_alloc_raw((size_t)graph->rows * sizeof *graph->order);
        for (i = 0; graph->order && i < graph->rows; i++) graph->order[i] = s->point[i].cell;
        if (!graph->order) status = CEL_ERR_MEMORY;
    }
    if (status) cel_csr_free(graph);
    if (status == CEL_ERR_MEMORY) celi_note(err, status, "a neighbour graph");
    celi_pool_free(&s->pool);
    return status;
}

/* Strips by selection in the first coordinate, tiles by selection in the second within a strip. side falls until no
 * tile of the slide is empty. */
CEL_API_DEF cel_status cel_slide_tiles(cel_mat coords, const int32_t *slide, int64_t per_side, int32_t *tile,
                                       int64_t *tiles, cel_error *err)
{
    celi_slides s;
    int64_t g, i, a, b, made = 0;
    cel_status status;
    *tiles = 0;
    memset(tile, 0, (size_t)coords.rows * sizeof *tile);
    if (per_side < 1 || per_side > 46340) return celi_note(err, CEL_ERR_ARG, "tiles per side");
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
    celi_pool_free(&s.pool);
    return status;
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

/* The squared distance of the farthest corner of a box: nothing in it is farther away. */
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

/* Shell's sort: rows of a graph are short. */
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

/* Farther, or as far and of a higher number: a strict order, so that the k best are the same in whatever order they are
 * met, and so by any tree. */
static int celi_worse(celi_found a, celi_found b)
{
    if (a.distance > b.distance) return 1;
    if (a.distance < b.distance) return 0;
    return a.cell > b.cell;
}

/* The gap at the top moves down along the worse children until `by` fits. */
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

/* Every point of the leaf sees every point of a box that its heap could still take something from. */
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

/* The better child first: what it brings lowers the bound, which may save the way into the other. */
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

/* The k nearest of every point of a leaf, from the leaf upwards: each ancestor's other half. After the leaf itself the
 * heaps hold near points already, so that most of those halves are left at their first box. */
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

/* Counts the points at inner2 <= d^2 < outer2 below a node, d > 0, and writes their cells unless NULL. A box that lies
 * wholly beyond the band, or within its hole, is not entered. */
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

/* The number of neighbours is known beforehand, so that every leaf writes its cells' rows where they belong. */
CEL_API_DEF cel_status cel_graph_knn(cel_mat coords, const int32_t *slide, int64_t k, int fewer, cel_csr *out,
                                     cel_error *err)
{
    enum { CELI_SHARES = 64 };
    celi_slides s;
    celi_found *heap;
    int64_t g, i, chunk, count = 0, most = 0;
    cel_status status;
    memset(out, 0, sizeof *out);
    if (k < 1) return celi_note(err, CEL_ERR_ARG, "k must be at least 1");
    status = celi_slides_new(coords, slide, 1, &s, err);
    if (status) return status;
    for (g = 0; !status && g < s.slides; g++) {
        int64_t n = s.tree[g].count, degree = celi_min(k, n - 1);
        if (n > 0) count += n * degree;
        if (degree > most) most = degree;
        if (n > 0 && degree < k && !fewer)
            status = celi_fail(err, CEL_ERR_DATA, "a slide has no more than k cells", -1, s.tree[g].box->first, -1);
    }
    heap = status ? NULL : (celi_found *)celi_pool_get(&s.pool, most * CELI_SHARES * CELI_LEAF, sizeof *heap);
    if (!status) status = s.pool.status;
    if (!status) status = celi_csr_new(coords.rows, coords.rows, count, out);
    for (g = 0; !status && g < s.slides; g++)
        for (i = s.start[g]; i < s.start[g + 1]; i++)
            out->start[s.point[i].cell + 1] = celi_min(k, s.tree[g].count - 1);
    if (!status) celi_csr_offsets(out->rows, out->start);
    /* A chunk of leaves has heaps of its own; chunks are many more than threads, which then end together. */
    for (g = 0; !status && g < s.slides; g++) {
        const celi_tree *t = s.tree + g;
        CELI_OMP(omp parallel for schedule(dynamic) if (t->count > 4096))
        for (chunk = 0; chunk < CELI_SHARES; chunk++) {
            int64_t leaf, to = ((int64_t)1 << t->depth) * (chunk + 1) / CELI_SHARES;
            for (leaf = ((int64_t)1 << t->depth) * chunk / CELI_SHARES; leaf < to && t->count > 1; leaf++)
                celi_nearest_leaf(t, leaf, heap + most * chunk * CELI_LEAF, celi_min(k, t->count - 1), out);
        }
    }
    for (i = 0; !status && i < count; i++) out->value[i] = 1;
    return celi_slides_end(&s, status, out, err);
}

/* Weights of the edges of cell i that fade with distance. */
static void celi_decay(cel_mat coords, double decay, int64_t i, cel_csr *graph)
{
    int64_t e, c;
    for (e = graph->start[i]; e < graph->start[i + 1]; e++) {
        double sum = 0;
        for (c = 0; c < coords.cols; c++) {
            double d = (double)coords.data[i * coords.stride + c] -
                       (double)coords.data[graph->index[e] * coords.stride + c];
            sum += d * d;
        }
        graph->value[e] = decay > 0 ? (cel_real)exp(-sum / decay / decay) : 1;
    }
}

CEL_API_DEF cel_status cel_graph_radius(cel_mat coords, const int32_t *slide, double inner, double outer, double decay,
                                        cel_csr *out, cel_error *err)
{
    celi_slides s;
    int64_t g, i, *start = NULL;
    int fill;
    cel_status status;
    memset(out, 0, sizeof *out);
    if (!(inner >= 0 && inner < outer && decay >= 0))
        return celi_note(err, CEL_ERR_ARG, "a radius graph needs 0 <= inner < outer and a decay of 0 or more");
    status = celi_slides_new(coords, slide, 1, &s, err);
    if (status) return status;
    start = (int64_t *)celi_pool_get(&s.pool, coords.rows + 1, sizeof *start); /* degrees, then offsets */
    status = s.pool.status;
    /* Twice the same search: once to count, once to fill what then has the right size. */
    for (fill = 0; fill < 2 && !status; fill++) {
        if (fill) {
            celi_csr_offsets(coords.rows, start);
            status = celi_csr_new(coords.rows, coords.rows, start[coords.rows], out);
            if (status) break;
            memcpy(out->start, start, (size_t)(coords.rows + 1) * sizeof *start);
        }
        for (g = 0; g < s.slides; g++) {
            const celi_tree *t = s.tree + g;
            CELI_OMP(omp parallel for schedule(dynamic, 256) if (t->count > 4096))
            for (i = 0; i < t->count; i++) {
                int32_t cell = t->point[i].cell, *to = fill ? out->index + start[cell] : NULL;
                int64_t n = celi_within(t, 0, 0, t->point[i].p, inner * inner, outer * outer, to);
                if (!fill) {
                    start[cell + 1] = n;
                    continue;
                }
                celi_sort_cells(to, n);
                celi_decay(coords, decay, cell, out);
            }
        }
    }
    return celi_slides_end(&s, status, out, err);
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

/* Counted first, then copied: columns stay in their order. */
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
    if (o.radius > 0 && !o.k) return cel_graph_radius(coords, slide, o.inner, o.radius, o.decay, out, err);
    memset(out, 0, sizeof *out);
    if (o.k < 0 || !(fabs(o.inner) + fabs(o.decay) + fabs(o.radius) <= 0))
        return celi_note(err, CEL_ERR_ARG, "a graph of nearest cells or of a radius, not both");
    return cel_graph_knn(coords, slide, o.k ? o.k : 6, 1, out, err);
}

CEL_API_DEF cel_status cel_graph_order(cel_mat coords, const int32_t *slide, int32_t *order, cel_error *err)
{
    celi_slides s;
    int64_t i;
    cel_status status = celi_slides_new(coords, slide, 1, &s, err);
    for (i = 0; i < coords.rows; i++) order[i] = status ? 0 : s.point[i].cell;
    celi_pool_free(&s.pool);
    return status;
}

/* The largest coordinate's size, and the median of the distances along a graph of one nearest neighbour; counts those
 * of 0. point (S) is scratch. */
static void celi_nearest(cel_mat coords, const cel_csr *nearest, celi_point *point, cel_graph_report *report)
{
    int64_t i, c, count = 0;
    double largest = 0;
    for (i = 0; i < coords.rows; i++) {
        double sum = 0;
        for (c = 0; c < coords.cols; c++) {
            double p = (double)coords.data[i * coords.stride + c], d = p;
            if (fabs(p) > largest) largest = fabs(p);
            if (nearest->start[i] < nearest->start[i + 1])
                d -= (double)coords.data[nearest->index[nearest->start[i]] * coords.stride + c];
            sum += d * d;
        }
        if (nearest->start[i] == nearest->start[i + 1]) continue; /* alone on its slide */
        report->coinciding += !(sum > 0);
        point[count++].p[0] = sqrt(sum);
    }
    report->nearest = celi_median(point, count);
    report->resolution = largest * (sizeof(cel_real) == 4 ? (double)FLT_EPSILON : DBL_EPSILON);
}

CEL_API_DEF cel_status cel_graph_describe(cel_mat coords, const int32_t *slide, const cel_csr *graph,
                                          cel_graph_report *report, cel_error *err)
{
    cel_csr one;
    celi_point *point;
    int64_t i;
    cel_status status;
    memset(report, 0, sizeof *report);
    if (graph && graph->rows != coords.rows)
        return celi_note(err, CEL_ERR_SHAPE, "a graph of another number of cells");
    status = cel_graph_knn(coords, slide, 1, 1, &one, err);
    if (status) return status;
    point = (celi_point *)celi_alloc((size_t)coords.rows, sizeof *point);
    if (point) celi_nearest(coords, &one, point, report);
    else status = celi_note(err, CEL_ERR_MEMORY, "nearest distances");
    for (i = 0; graph && !status && i < graph->rows; i++) {
        int64_t degree = graph->start[i + 1] - graph->start[i];
        report->isolated += degree == 0;
        if (degree > report->most) report->most = degree;
        report->mean += (double)degree / (double)graph->rows;
    }
    celi_free(point);
    cel_csr_free(&one);
    return status;
}

/* Moves the cells that have a row to the front; nothing is allocated. Until then every array has a place for each cell
 * of the slide, which is simpler than to know beforehand who will have a row. */
static void celi_rows_compact(cel_slide_rows *r, uint8_t *keep)
{
    const size_t real = sizeof(cel_real);
    int64_t i, cells = r->x.rows, left;
    for (i = 0; i < cells; i++) keep[i] = r->scaling.cell[i].length > 0;
    left = cel_compact(keep, cells, r->x.data, (size_t)r->x.stride * real);
    cel_compact(keep, cells, r->coords.data, (size_t)r->coords.stride * real);
    cel_compact(keep, cells, r->cell, sizeof *r->cell);
    cel_compact(keep, cells, r->slide, sizeof *r->slide);
    cel_compact(keep, cells, r->scaling.cell, sizeof *r->scaling.cell);
    r->x.rows = r->coords.rows = r->scaling.cells = left;
}

/* Copies of what is kept of a slide, and for each cell its group: one for each slide, or slide and type. */
static cel_status celi_rows_open(const cel_slide *s, cel_slide_rows *r, celi_pool *pool, int32_t *group, cel_error *err)
{
    int64_t cells = s->x.rows, genes = r->x.cols, types = 1, i, j;
    r->x = celi_pool_mat(pool, cells, genes);
    r->coords = celi_pool_mat(pool, cells, s->coords.cols);
    r->cell = (int32_t *)celi_pool_get(pool, cells, sizeof *r->cell);
    r->slide = (int32_t *)celi_pool_get(pool, cells, sizeof *r->slide);
    r->tile = (int32_t *)celi_pool_get(pool, cells, sizeof *r->tile);
    if (pool->status) return celi_note(err, CEL_ERR_MEMORY, "the rows of a slide");
    for (i = 0; i < cells; i++) {
        int32_t slide = s->slide ? s->slide[i] : 0, type = s->type ? s->type[i] : 0;
        if (slide < 0 || slide >= cells || type < 0 || type >= cells)
            return celi_fail(err, CEL_ERR_ARG, "a label of a slide or type is out of range", -1, i, -1);
        if (slide >= r->slides) r->slides = (int64_t)slide + 1;
        if (type >= types) types = (int64_t)type + 1;
        r->slide[i] = slide;
        r->cell[i] = (int32_t)i;
        memcpy(r->coords.data + i * r->coords.cols, s->coords.data + i * s->coords.stride,
               (size_t)r->coords.cols * sizeof(cel_real));
    }
    CELI_OMP(omp parallel for schedule(static) private(j) if (cells * genes > CELI_FORK))
    for (i = 0; i < cells; i++)
        for (j = 0; j < genes; j++) r->x.data[i * genes + j] = s->x.data[i * s->x.stride + r->gene[j]];
    if (r->slides * types > cells)
        return celi_note(err, CEL_ERR_ARG, "more slides and types than cells");
    for (i = 0; i < cells; i++) group[i] = (int32_t)(r->slide[i] * types + (s->type ? s->type[i] : 0));
    return CEL_OK;
}

/* What fails inside speaks of the kept cells and genes: its error is the function's own until the numbers are the
 * caller's again. */
CEL_API_DEF cel_status cel_slide_prepare(const cel_slide *slide, const cel_slide_recipe *recipe, cel_slide_rows *out,
                                         cel_error *err)
{
    cel_slide_recipe o = CEL_ZERO;
    cel_genes_options genes = CEL_ZERO;
    cel_slide_report look;
    celi_pool scratch = CEL_ZERO, pool = CEL_ZERO;
    int64_t cells = slide->x.rows, count = 0;
    double *total = (double *)celi_pool_get(&scratch, cells, sizeof *total);
    int32_t *group = (int32_t *)celi_pool_get(&scratch, cells, sizeof *group);
    uint8_t *keep = (uint8_t *)celi_pool_get(&scratch, cells, 1);
    cel_error own = CEL_ZERO;
    cel_status status = CEL_OK;
    memset(out, 0, sizeof *out);
    if (recipe) o = *recipe;
    out->gene = (int32_t *)celi_pool_get(&pool, slide->x.cols, sizeof *out->gene);
    if (pool.status || scratch.status)
        status = celi_note(&own, CEL_ERR_MEMORY, "the rows of a slide");
    else if (slide->coords.rows != cells)
        status = celi_note(&own, CEL_ERR_SHAPE, "as many coordinates as cells are needed");
    if (!status) status = cel_slide_describe(slide->x, total, &look, &own);
    genes.by = o.genes_by;
    genes.top = celi_min(o.top ? o.top : 100, slide->x.cols);
    genes.min_cells = celi_min(o.min_cells ? o.min_cells : 10, cells);
    genes.total = o.scaling.kind != CEL_KIND_COUNTS ? NULL : slide->total ? slide->total : total;
    if (!status) status = cel_slide_genes(slide->x, &genes, out->gene, &count, NULL, NULL, &own);
    out->x.cols = count;
    if (!status && count < 2)
        status = celi_note(&own, CEL_ERR_DATA, "fewer than two genes are expressed in enough cells");
    if (!status) status = celi_rows_open(slide, out, &pool, group, &own);
    out->owned = pool.last;
    if (!status) {
        status = cel_scaling_fit(out->x, slide->total ? slide->total : total, group, &o.scaling, &out->scaling, &own);
        if (own.gene >= 0 && own.gene < count) own.gene = out->gene[own.gene];
    }
    if (!status) {
        celi_rows_compact(out, keep);
        status = cel_graph_make(out->coords, out->slide, &o.graph, &out->graph, &own);
        if (!status)
            status = cel_slide_tiles(out->coords, out->slide, o.tiles ? o.tiles : 6, out->tile, &out->tiles, &own);
        if (status && own.cell >= 0 && own.cell < out->x.rows) own.cell = out->cell[own.cell];
    }
    celi_pool_free(&scratch);
    if (status && err) *err = own;
    if (status) cel_slide_rows_free(out);
    return status;
}

CEL_API_DEF void cel_slide_rows_free(cel_slide_rows *rows)
{
    celi_chain_free(rows->owned);
    cel_csr_free(&rows->graph);
    cel_scaling_free(&rows->scaling);
    memset(rows, 0, sizeof *rows);
}

/* ======================================================================== */
/* model                                                                    */
/* ======================================================================== */

/* The one place that looks at what a relation is made of. Columns that ascend are what the test of symmetry halves and
 * the merge of a matrix with its transpose walks along; an entry on the diagonal would be a second identity. */
static cel_status celi_relation_check(const cel_csr *w, int64_t cells, cel_error *err)
{
    int64_t i, e;
    if (w->rows != cells || w->cols != cells || (cells > 0 && !w->start))
        return celi_note(err, CEL_ERR_SHAPE, "a relation is not of as many rows and columns as cells");
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

/* One more relation, under a copy of its name, that takes over w and its transpose (empty: symmetric). Arrays that are
 * full are made anew with twice the room; the old ones stay until all is freed, which is less than as much again. */
static cel_status celi_relations_grow(cel_relations *r, const char *name, const cel_csr *w, const cel_csr *wt)
{
    const int64_t had = r->count, room = had & (had - 1) ? 0 : had ? 2 * had : 1; /* full at powers of two */
    celi_pool pool = CEL_ZERO;
    cel_relation *at = r->at;
    char **names = r->name, *copy;
    cel_csr *owned = r->owned;
    int64_t k;
    pool.last = r->memory;
    copy = (char *)celi_pool_get(&pool, (int64_t)strlen(name) + 1, 1);
    if (room) {
        at = (cel_relation *)celi_pool_get(&pool, room, sizeof *at);
        names = (char **)celi_pool_get(&pool, room, sizeof *names);
        owned = (cel_csr *)celi_pool_get(&pool, room, 2 * sizeof *owned);
    }
    r->memory = pool.last;
    if (pool.status) return pool.status;
    if (room && had) {
        memcpy(names, r->name, (size_t)had * sizeof *names);
        memcpy(owned, r->owned, (size_t)had * 2 * sizeof *owned);
    }
    names[had] = strcpy(copy, name);
    owned[2 * had] = *w;
    owned[2 * had + 1] = *wt;
    for (k = 1; k <= had; k++) { /* matrices may have moved */
        at[k].w = owned + 2 * k;
        at[k].wt = owned[2 * k + 1].start ? owned + 2 * k + 1 : NULL;
    }
    r->at = at;
    r->name = names;
    r->owned = owned;
    r->count++;
    return CEL_OK;
}

/* The identity is no matrix: a NULL for W, which products skip. */
CEL_API_DEF cel_status cel_relations_new(int64_t cells, cel_relations *out)
{
    const cel_csr none = CEL_ZERO;
    cel_status status;
    memset(out, 0, sizeof *out);
    if (cells < 0 || cells > INT32_MAX) return CEL_ERR_ARG;
    out->cells = cells;
    status = celi_relations_grow(out, "intra", &none, &none);
    if (status) cel_relations_free(out);
    return status;
}

/* Appends `before` and then text, or a number where text is NULL, to what `to` holds. */
static void celi_name_add(char *to, const char *before, const char *text, int64_t number)
{
    char digits[24];
    int d = (int)sizeof digits - 1;
    digits[d] = 0;
    do digits[--d] = (char)('0' + number % 10);
    while ((number /= 10) > 0);
    strcat(strcat(to, before), text ? text : digits + d);
}

/* One relation of `hop` steps (w is taken over), or where there are types one for each pair of them, a before b: what
 * leads back from b to a is the transpose, which the relation has anyway. */
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
    if (!name) status = celi_note(err, CEL_ERR_MEMORY, "the name of a relation");
    for (a = 0; a < types && !status; a++)
        for (b = a; b < types && !status; b++) {
            cel_csr part = CEL_ZERO;
            strcpy(name, "inter");
            if (hop > 1) celi_name_add(name, "_hop", NULL, hop);
            if (o->type) {
                celi_name_add(name, " ", o->type_name ? o->type_name[a] : NULL, a);
                celi_name_add(name, " | ", o->type_name ? o->type_name[b] : NULL, b);
                status = celi_note(err, cel_graph_types(w, o->type, (int32_t)a, (int32_t)b, &part),
                                   "the relation of two types");
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
        return celi_note(err, CEL_ERR_ARG, "an option of the relations is out of range");
    for (i = 0; i < graph->rows && o.type; i++)
        if (o.type[i] < 0 || o.type[i] >= o.types)
            return celi_fail(err, CEL_ERR_ARG, "a cell's type is out of range", -1, i, -1);
    status = celi_relation_check(graph, graph->rows, err);
    if (!status) status = celi_note(err, cel_relations_new(graph->rows, out), "the relations of a graph");
    for (hop = 1; hop <= o.hops && !status; hop++) {
        if (hop > 1) status = cel_csr_hop(graph, (int)hop, &w);
        else if (o.weights == CEL_WEIGHTS_MEAN) status = cel_csr_symmetrise(graph, &w);
        else status = cel_csr_transpose(graph, &w);
        if (!status && hop == 1 && o.weights == CEL_WEIGHTS_GCN) status = cel_csr_normalise(&w, CEL_NORM_GCN);
        celi_note(err, status, "the relations of a graph");
        if (!status) status = celi_relations_hop(out, &w, hop, &o, err);
        cel_csr_free(&w);
    }
    if (status) cel_relations_free(out);
    return status;
}

/* W is emptied before anything can fail, so that a caller frees it in no case, and never twice. */
CEL_API_DEF cel_status cel_relations_add(cel_relations *r, const char *name, cel_csr *w, cel_error *err)
{
    cel_csr own = *w, wt = CEL_ZERO;
    int64_t k;
    cel_status status = celi_relation_check(&own, r->cells, err);
    memset(w, 0, sizeof *w);
    for (k = 0; k < r->count && !status; k++)
        if (!strcmp(r->name[k], name)) status = celi_note(err, CEL_ERR_ARG, "two relations of one name");
    if (!status && !cel_csr_is_symmetric(&own)) status = celi_note(err, cel_csr_transpose(&own, &wt), "a relation");
    if (!status) status = celi_note(err, celi_relations_grow(r, name, &own, &wt), "a relation");
    if (status) {
        cel_csr_free(&own);
        cel_csr_free(&wt);
    }
    return status;
}

CEL_API_DEF void cel_relations_free(cel_relations *r)
{
    int64_t k;
    for (k = 0; k < 2 * r->count; k++) cel_csr_free(r->owned + k);
    celi_chain_free(r->memory);
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

CEL_API_DEF cel_mat cel_model_force(const cel_model *m, int64_t r) { return cel_model_part(m->force, r); }

CEL_API_DEF cel_mat cel_model_part(cel_mat stacked, int64_t r)
{
    return cel_mat_block(stacked, r * stacked.cols, 0, stacked.cols, stacked.cols);
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

CEL_API_DEF cel_status cel_model_reduce(const cel_model *m, const double *u, cel_mat basis, cel_model *out)
{
    int64_t n = m->genes, r, i, j;
    double last = u[n - 1] < 0 ? -1 : 1, over = 1 / (1 + fabs(u[n - 1]));
    celi_pool pool = CEL_ZERO;
    cel_mat half = celi_pool_mat(&pool, n, n - 1);
    cel_status status = basis.rows == n && basis.cols == n - 1 && n > 2 ? pool.status : CEL_ERR_SHAPE;
    memset(out, 0, sizeof *out);
    if (!status) status = cel_model_new(n - 1, m->relations, m->field != NULL, out);
    /* Columns of the reflection that takes u to the last axis. */
    for (i = 0; !status && i < n; i++)
        for (j = 0; j < n - 1; j++)
            basis.data[i * basis.stride + j] =
                (cel_real)((i == j ? 1.0 : 0.0) - over * (u[i] + (i == n - 1 ? last : 0.0)) * u[j]);
    for (r = 0; r < m->relations && !status; r++) {
        status = cel_mat_gemm(0, 0, 1, cel_model_force(m, r), basis, 0, half, NULL);
        if (!status) status = cel_mat_gemm(1, 0, 1, basis, half, 0, cel_model_force(out, r), NULL);
    }
    if (!status && m->field)
        status = cel_mat_gemm(0, 0, 1, cel_mat_view(m->field, 1, n), basis, 0, cel_mat_view(out->field, 1, n - 1),
                              NULL);
    if (status) cel_model_free(out);
    celi_pool_free(&pool);
    return status;
}

CEL_API_DEF cel_status cel_model_confine(cel_model *m, const double *u)
{
    int64_t n = m->genes, i, j;
    celi_pool pool = CEL_ZERO;
    cel_mat f = celi_pool_mat(&pool, n, n), v = celi_pool_mat(&pool, n, n), force = cel_model_force(m, 0);
    double *w = (double *)celi_pool_get(&pool, n, sizeof(double));
    cel_status status = pool.status;
    if (!status) status = cel_mat_copy(force, f);
    if (!status) status = cel_mat_eigen(f, w, v);
    /* In the direction of an eigenvalue w rows have the precision 2 (a - w), a some n / 2 above the largest: below, u
     * gets four times that of the stiffest one. */
    for (i = 0; !status && i < n; i++)
        for (j = 0; j < n; j++) {
            double c = 3 * (w[n - 1] - w[0]) - w[0] + 2 * (double)n;
            force.data[i * force.stride + j] -= (cel_real)(c * u[i] * u[j]);
        }
    celi_pool_free(&pool);
    return status;
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
        if (!(fabs(cel_vec_nrm2(row, x.cols) - 1) <= 1e-3))
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
        sums[i] = cel_vec_dot(a.data + i * a.stride, b.data + i * b.stride, a.cols);
        if (add.data) cel_vec_axpy(1, b.data + i * b.stride, add.data + i * add.stride, a.cols);
    }
    for (i = 0; i < a.rows; i++) total += sums[i];
    return total;
}

/* 1 if a force equals its transpose exactly. */
static int celi_force_symmetric(cel_mat f)
{
    int64_t i, j;
    for (i = 0; i < f.rows; i++)
        for (j = 0; j < i; j++) {
            cel_real a = f.data[i * f.stride + j], b = f.data[j * f.stride + i];
            if (!(a >= b && a <= b)) return 0;
        }
    return 1;
}

/* Cells at a time, and what their share of H and of its gradient is made from. */
typedef struct celi_energy_block {
    cel_mat x;        /* (S x n) all cells */
    int64_t first;    /* the block's first */
    cel_mat n, t;     /* (block x n) N = W X, and its product with the force */
    cel_mat gradient; /* (block x n), or data NULL */
    double *sums;     /* (block) */
    cel_work *work;
} celi_energy_block;

/* Adds a relation's part of the gradient (set, where `set` is not 0) and returns its share of H. With N = W X and W
 * symmetric, N (F + F^T) is the gradient and half its product with X the energy: one product; `both` holds F + F^T. So
 * it is with F symmetric and N = (W + W^T) X / 2. Else N F^T and (W^T X) F are taken in turn. */
static cel_status celi_model_block(const celi_energy_block *b, cel_mat force, cel_mat both,
                                   const cel_relation *relation, int set, double *share)
{
    cel_mat here = cel_mat_block(b->x, b->first, 0, b->n.rows, b->x.cols), side = here, add = b->gradient;
    cel_mat t = set ? b->gradient : b->t;
    cel_status status = CEL_OK;
    if (relation->w) {
        cel_csr w = celi_csr_rows(relation->w, b->first, b->n.rows);
        int halves = both.data && relation->wt;
        status = cel_csr_mul(halves ? (cel_real)0.5 : 1, &w, b->x, 0, b->n);
        if (!status && halves) {
            cel_csr wt = celi_csr_rows(relation->wt, b->first, b->n.rows);
            status = cel_csr_mul((cel_real)0.5, &wt, b->x, 1, b->n);
        }
        side = b->n;
    }
    if (!status) status = cel_mat_gemm(0, !both.data, 1, side, both.data ? both : force, 0, t, b->work);
    if (status) return status;
    if (set) add.data = NULL;
    *share += (both.data ? 0.5 : 1.0) * celi_rows_dot(here, t, b->sums, add);
    if (b->gradient.data && relation->wt && !both.data) {
        cel_csr wt = celi_csr_rows(relation->wt, b->first, b->n.rows);
        status = cel_csr_mul(1, &wt, b->x, 0, b->n);
        if (!status) status = cel_mat_gemm(0, 0, 1, b->n, force, 1, b->gradient, b->work);
    }
    return status;
}

/* H by a block of cells at a time, over all relations, so that the block's rows of X and of the gradient are still in
 * cache for the next relation. Each relation has a sum of its own: they differ in size, and a caller may want them
 * apart. */
CEL_API_DEF cel_status cel_model_energy(const cel_model *m, const cel_relations *relations, cel_mat x, double *h,
                                        double *energy, cel_mat gradient, cel_work *work)
{
    int64_t genes = m->genes, block = celi_min(x.rows, CELI_MODEL_BLOCK), r, i;
    int64_t forces = gradient.data ? m->relations : 0;
    cel_status status = celi_relations_fit(relations, m, x.rows);
    cel_work temporary = CEL_ZERO;
    celi_energy_block b = CEL_ZERO;
    cel_mat both, scratch;
    double *sums, total = 0;
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
        cel_mat f = cel_model_force(m, r), pair = cel_mat_block(both, r * genes, 0, genes, genes);
        cel_mat_transpose(f, pair);
        cel_mat_axpy(1, f, pair);
    }
    memset(sums + block, 0, (size_t)(m->relations + 1) * sizeof(double));
    b.x = x;
    b.sums = sums;
    b.work = celi_work_inner(work);
    for (; b.first < x.rows && !status; b.first += block) {
        int64_t count = celi_min(block, x.rows - b.first);
        b.n = cel_mat_block(scratch, 0, 0, count, genes);
        b.t = cel_mat_block(scratch, block, 0, count, genes);
        if (gradient.data) b.gradient = cel_mat_block(gradient, b.first, 0, count, genes);
        for (r = 0; r < m->relations && !status; r++) {
            cel_mat force = cel_model_force(m, r), pair = CEL_ZERO;
            if (forces && (!relations->at[r].wt || celi_force_symmetric(force)))
                pair = cel_mat_block(both, r * genes, 0, genes, genes);
            status = celi_model_block(&b, force, pair, relations->at + r, r == 0 && gradient.data, sums + block + r);
        }
        for (i = 0; i < count && m->field; i++) {
            sums[block + m->relations] += cel_vec_dot(m->field, x.data + (b.first + i) * x.stride, genes);
            if (gradient.data) cel_vec_axpy(1, m->field, b.gradient.data + i * gradient.stride, genes);
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
 * U_j = p^j (c_0 + c_1 p^2 + .. + c_j p^2j). Uniform: the error falls with the order alone, whatever the argument is,
 * where the series for small and the expansion for large arguments would each leave a gap between them. */
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
 * which damps the error of s. s and not A is carried, because it stays away from 0 as k vanishes. */
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
    double s = (double)NAN, slope = s, phi = s;
    if (n >= 2 && k >= 0) phi = celi_sphere(n, k, &s, &slope);
    if (a) *a = k * s;
    if (da) *da = slope;
    return phi;
}

CEL_API_DEF double cel_sphere_log_area(int64_t n)
{
    return log(2.0) + (double)n / 2 * log(3.141592653589793238463) - celi_log_gamma((double)n / 2);
}

/* With x_j independent normals of mean gamma / (2 (lambda - t)) and variance 1 / (2 (lambda - t)), for any shift t
 * below all lambda, the normaliser is an elementary factor times the density of |x|^2 at 1. The cumulants of |x|^2 are
 * sums over j, and its density is approximated from them for the shift that puts its mean at 1, K'(t) = 1: a bell curve
 * there, corrected by its skewness and kurtosis. Everything is written in d_j = lambda_j - t = lambda_j - min lambda +
 * tau > 0, tau being what is solved for; then no two large numbers are subtracted, and
 *   K' = sum 1/(2 d) + g^2/(4 d^2),  K2 = sum 1/(2 d^2) + g^2/(2 d^3),  K3, K4, K5 likewise (g = gamma_j)
 *   log c = const - log(K2)/2 - sum log(d)/2 + sum g^2/(4 d) - t + K4 / (8 K2^2) - 5 K3^2 / (24 K2^3)
 * The moments are derivatives by gamma and lambda, d moving along with them so that K' = 1 stays true. */
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
                                      const double *mean, cel_mean_field *out, cel_mat d_force, double *d_mean)
{
    int64_t n = m->genes, i, j;
    cel_mat intra, inter;
    double k = 0, ama = 0, s, slope, f, count = (double)cells;
    memset(out, 0, sizeof *out);
    if (d_mean) memset(d_mean, 0, (size_t)n * sizeof *d_mean);
    if (m->relations != 2 || (d_force.data && (d_force.rows != 2 * n || d_force.cols != n))) return CEL_ERR_SHAPE;
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
    out->logz = count * (f - ama);
    out->kappa = k;
    for (i = 0; i < n && (d_mean || d_force.data); i++) {
        /* dlog Z / dA_ij = S (2 s u_i - m_i) m_j with u = 2 A m, s = f'(k) / k. */
        double a = celi_mean_force(intra, inter, q, mean, i), by_a = count * (4 * s * a - mean[i]);
        for (j = 0; j < n; j++) {
            if (d_force.data) {
                d_force.data[i * d_force.stride + j] = (cel_real)(by_a * mean[j]);
                d_force.data[(n + i) * d_force.stride + j] = (cel_real)(by_a * q / 2 * mean[j]);
            }
            if (d_mean) d_mean[j] += by_a * celi_force_at(intra, inter, q, i, j);
        }
        if (d_mean) d_mean[i] -= count * a;
    }
    return CEL_OK;
}

/* ---- the model file ---- */

#if !defined(CELCOMEN_NO_STDIO)

/* What is kept of a record. Writing and reading walk the same two lists, so that neither forgets what the other knows.
 * The numbers are one array, after that of the format; one that an older file has not is 0. */
typedef struct celi_figure {
    size_t at; /* where it stands in the record */
    char kind; /* i int64_t, e an int or enum, d double */
    const char *other; /* said where two that must be prepared alike differ in it; NULL: they may */
} celi_figure;
#define CELI_FIGURE(kind, member, other) {offsetof(cel_model_record, member), kind, other}
static const celi_figure celi_figures[] = {
    CELI_FIGURE('i', hops, "another number of hops"),
    CELI_FIGURE('e', weights, "other weights of the neighbours"),
    CELI_FIGURE('i', graph.k, "another number of neighbours"),
    CELI_FIGURE('d', graph.inner, "another inner radius of the neighbours"),
    CELI_FIGURE('d', graph.radius, "another radius of the neighbours"),
    CELI_FIGURE('d', graph.decay, "another decay of the neighbours"),
    CELI_FIGURE('i', scaling.genes, NULL),
    CELI_FIGURE('i', scaling.groups, NULL),
    CELI_FIGURE('e', scaling.kind, "another kind of numbers"),
    CELI_FIGURE('e', scaling.log, "another logarithm"),
    CELI_FIGURE('d', scaling.target, "another target total")};

/* Arrays and texts, each under its name; what the record has not is left out, and NULL when read. Names come first,
 * because they tell how long arrays behind them are. */
typedef struct celi_member {
    const char *name, *lengths; /* a letter for each dimension: see celi_record_length */
    char kind;                  /* m cel_mat, r cel_real *, d double *, l names, t text */
    size_t at;
    const char *other;          /* as of a figure */
} celi_member;
#define CELI_MEMBER(name, lengths, kind, member, other) {name, lengths, kind, offsetof(cel_model_record, member), other}
static const celi_member celi_members[] = {
    CELI_MEMBER("genes", "n", 'l', gene, "other genes"),
    CELI_MEMBER("relations", "R", 'l', relation, "other relations"),
    CELI_MEMBER("types", "T", 'l', type, "other types"),
    CELI_MEMBER("slides", "S", 'l', slide, NULL),
    CELI_MEMBER("groups", "G", 'l', group, NULL),
    CELI_MEMBER("note", "", 't', note, "another note on how they were made"),
    CELI_MEMBER("force", "Rnn", 'm', model.force, NULL),
    CELI_MEMBER("field", "n", 'r', model.field, NULL),
    CELI_MEMBER("slide_field", "Sn", 'm', slide_field, NULL),
    CELI_MEMBER("se", "Rnn", 'm', se, NULL),
    CELI_MEMBER("z", "Rnn", 'm', z, NULL),
    CELI_MEMBER("p", "Rnn", 'm', p, NULL),
    CELI_MEMBER("q", "Rnn", 'm', q, NULL),
    CELI_MEMBER("partial", "Rnn", 'm', partial, NULL),
    CELI_MEMBER("centre", "Gn", 'd', scaling.centre, NULL),
    CELI_MEMBER("scale", "n", 'd', scaling.scale, "another scale"),
    CELI_MEMBER("size", "n", 'd', scaling.size, "another direction of library size")};
enum {
    CELI_MODEL_FORMAT = 1,
    CELI_FIGURES = sizeof celi_figures / sizeof celi_figures[0],
    CELI_MEMBERS = sizeof celi_members / sizeof celi_members[0]
};

/* Number k of a record, which is set first where `set` is not NULL. */
static double celi_record_number(cel_model_record *record, int64_t k, const double *set)
{
    void *at = (char *)record + celi_figures[k].at;
    switch (celi_figures[k].kind) {
    case 'i': return (double)(set ? *(int64_t *)at = (int64_t)*set : *(int64_t *)at);
    case 'e': return set ? *(int *)at = (int)*set : *(int *)at;
    }
    return set ? *(double *)at = *set : *(double *)at;
}

static int64_t *celi_record_length(cel_model_record *record, char which)
{
    switch (which) {
    case 'R': return &record->model.relations;
    case 'T': return &record->types;
    case 'S': return &record->slides;
    case 'G': return &record->scaling.groups;
    }
    return &record->model.genes;
}

/* The lengths of a member's array; returns how many. */
static int celi_record_shape(cel_model_record *record, const celi_member *m, int64_t *shape)
{
    int d;
    for (d = 0; m->lengths[d]; d++) shape[d] = *celi_record_length(record, m->lengths[d]);
    return d;
}

/* Describes a member for the archive; to->name stays NULL where the record has none. *text owns what names become. */
static cel_status celi_record_put(cel_model_record *record, const celi_member *m, char **text, cel_npz_member *to,
                                  cel_error *err)
{
    const void *at = (char *)record + m->at;
    const cel_mat *a = (const cel_mat *)at; /* if it is one */
    int64_t shape[3];
    int dims = celi_record_shape(record, m, shape);
    void *data; /* of whatever type: a cel_mat's comes first */
    cel_status status = CEL_OK;
    memcpy(&data, at, sizeof data);
    to->name = data ? m->name : NULL;
    if (!data) return CEL_OK;
    if (m->kind == 'l') status = cel_file_join_lines((char **)data, shape[0], text, err);
    if (status) return status;
    if (m->kind == 'l' || m->kind == 't') *to = cel_npz_text(m->name, m->kind == 't' ? (char *)data : *text);
    else to->array = cel_npy_describe('f', (int)(m->kind == 'd' ? 8 : sizeof(cel_real)), dims, shape, data);
    if (m->kind == 'm' && (a->rows * a->cols != to->array.count || a->cols != shape[dims - 1] || a->stride != a->cols))
        status = celi_note(err, CEL_ERR_SHAPE, "a record whose matrices do not fit its model");
    return status;
}

/* What writes a record: its members for the archive, and what they point at. It is as long-lived as the writing, and on
 * the stack: its arrays are few and short. */
typedef struct celi_record_sink {
    cel_model_record r; /* a copy, so that what walks its members may point into it */
    int64_t numbers, count;
    double number[1 + CELI_FIGURES];
    char *text[CELI_MEMBERS];
    cel_npz_member member[CELI_MEMBERS + 16]; /* with room for what others add */
} celi_record_sink;

/* Describes all that a record has. Free with celi_record_end. */
static cel_status celi_record_describe(const cel_model_record *record, celi_record_sink *s, cel_error *err)
{
    int64_t k;
    cel_status status = CEL_OK;
    memset(s, 0, sizeof *s);
    s->r = *record;
    s->numbers = 1 + CELI_FIGURES;
    if (s->r.scaling.genes && s->r.scaling.genes != s->r.model.genes)
        return celi_note(err, CEL_ERR_SHAPE, "a record whose scaling is of other genes");
    s->number[0] = CELI_MODEL_FORMAT;
    for (k = 0; k < CELI_FIGURES; k++) s->number[1 + k] = celi_record_number(&s->r, k, NULL);
    s->member[s->count].name = "celcomen_model";
    s->member[s->count++].array = cel_npy_describe('f', 8, 1, &s->numbers, s->number);
    s->member[s->count++] = cel_npz_text("version", CELCOMEN_VERSION);
    for (k = 0; k < CELI_MEMBERS && !status; k++) {
        status = celi_record_put(&s->r, celi_members + k, s->text + k, s->member + s->count, err);
        s->count += s->member[s->count].name != NULL;
    }
    return status;
}

static void celi_record_end(celi_record_sink *s)
{
    int64_t k;
    for (k = 0; k < CELI_MEMBERS; k++) cel_file_free(s->text[k]);
}

CEL_API_DEF cel_status cel_model_write(const char *path, const cel_model_record *record, cel_error *err)
{
    celi_record_sink s;
    cel_status status = celi_record_describe(record, &s, err);
    if (!status) status = cel_npz_write(path, s.member, s.count, err);
    celi_record_end(&s);
    return status;
}

/* The lines of a text of `size` bytes, of which *count are asked for unless that is negative: *data, the text, becomes
 * a list of them. */
static cel_status celi_record_lines(void **data, int64_t size, int64_t *count, celi_pool *pool, cel_error *err)
{
    char *text = (char *)*data, *end = text + size, **line;
    int64_t lines = 0, k;
    for (k = 0; k < size; k++) lines += text[k] == '\n';
    if (memchr(text, 0, (size_t)size)) return celi_note(err, CEL_ERR_FORMAT, "a name of the model has a NUL byte");
    if (*count >= 0 && lines != *count)
        return celi_note(err, CEL_ERR_FORMAT, "the model has more names, or fewer, than what they name");
    *data = line = (char **)celi_pool_get(pool, lines + 1, sizeof *line);
    if (!line) return celi_note(err, CEL_ERR_MEMORY, "reading a model");
    *count = lines;
    for (k = 0; k < lines; k++) {
        line[k] = text;
        text = (char *)memchr(text, '\n', (size_t)(end - text));
        *text++ = 0;
    }
    return CEL_OK;
}

/* A copy, in the pool, of a member that the archive has; the archive's own bytes end with the file. Doubles are what
 * scalings are made of and are wanted to the last bit, cel_real may have been written in the other type. */
static cel_status celi_record_get(cel_model_record *record, const celi_member *m, cel_npz *archive, celi_pool *pool,
                                  cel_error *err)
{
    const int text = m->kind == 'l' || m->kind == 't', real = m->kind == 'm' || m->kind == 'r';
    const size_t bytes = text ? 1 : real ? sizeof(cel_real) : sizeof(double);
    void *at = (char *)record + m->at, *data;
    int64_t shape[3];
    int d, dims = celi_record_shape(record, m, shape), fits;
    cel_npy a;
    cel_status status = cel_npz_get(archive, m->name, &a, NULL);
    if (status == CEL_ERR_ARG) return CEL_OK;
    status = cel_npz_get(archive, m->name, &a, err);
    if (status) return status;
    fits = a.kind == (text ? 'u' : 'f') && (text || a.ndim == dims);
    for (d = 0; fits && d < dims && !text; d++) {
        if (shape[d] < 0) *celi_record_length(record, m->lengths[d]) = shape[d] = a.shape[d]; /* no names tell */
        fits = a.shape[d] == shape[d];
    }
    if (!real) fits = fits && a.bytes == (int)bytes && a.big_endian == celi_host_big_endian() && !a.fortran;
    if (!fits)
        return celi_fail(err, CEL_ERR_FORMAT, text ? "a text of the model is none"
                         : "an array of the model has another shape or type than its forces ask for", a.offset, -1, -1);
    data = celi_pool_get(pool, a.count + text, bytes); /* a text is terminated */
    if (!data) return celi_note(err, CEL_ERR_MEMORY, "reading a model");
    if (real) status = cel_npy_to_real(&a, (cel_real *)data, err);
    else if (a.count) memcpy(data, a.data, (size_t)a.count * bytes);
    if (m->kind == 'l')
        status = celi_record_lines(&data, a.count, celi_record_length(record, m->lengths[0]), pool, err);
    if (m->kind == 'm') *(cel_mat *)at = cel_mat_view((cel_real *)data, a.count / shape[dims - 1], shape[dims - 1]);
    else memcpy(at, &data, sizeof data);
    return status;
}

/* What the archive must be, and the numbers of the record. How many genes and relations there are the shape of `force`
 * says, which all other members have to fit, or, -1, their names will tell, as those of types and slides do. */
static cel_status celi_record_begin(cel_model_record *r, cel_npz *archive, int forces, cel_error *err)
{
    cel_npy force, number;
    double v[1 + CELI_FIGURES];
    int64_t k;
    if ((forces && (cel_npz_get(archive, "force", &force, NULL) || force.ndim != 3 || force.shape[0] < 1 ||
                    force.shape[1] < 1 || force.shape[1] != force.shape[2])) ||
        cel_npz_get(archive, "celcomen_model", &number, NULL) ||
        number.kind != 'f' || number.bytes != 8 || number.big_endian != celi_host_big_endian() || number.count < 1)
        return celi_note(err, CEL_ERR_FORMAT,
                         forces ? "an archive, but not of a model" : "an archive, but not of moments");
    memset(v, 0, sizeof v);
    memcpy(v, number.data, (size_t)celi_min(number.count, 1 + CELI_FIGURES) * sizeof *v);
    if (!(fabs(v[0] - (double)CELI_MODEL_FORMAT) < 0.5))
        return celi_note(err, CEL_ERR_UNSUPPORTED,
                         "a model of another format: fit it again, or use the version that wrote it");
    for (k = 0; k < CELI_FIGURES; k++) {
        if (celi_figures[k].kind != 'd' && !(v[1 + k] >= 0 && v[1 + k] <= INT32_MAX))
            return celi_note(err, CEL_ERR_FORMAT, "a setting of the model is out of range");
        (void)celi_record_number(r, k, v + 1 + k);
    }
    if (r->weights > CEL_WEIGHTS_ADJACENCY) return celi_note(err, CEL_ERR_FORMAT, "weights of no known kind");
    r->model.genes = forces ? force.shape[1] : -1;
    r->model.relations = forces ? force.shape[0] : -1;
    r->types = r->slides = -1;
    return CEL_OK;
}

/* The record of an archive, which has forces or has none; on failure what is in the pool is still to be freed. */
static cel_status celi_record_take(cel_npz *archive, int forces, cel_model_record *r, celi_pool *pool, cel_error *err)
{
    int64_t k;
    cel_status status = celi_record_begin(r, archive, forces, err);
    for (k = 0; k < CELI_MEMBERS && !status; k++)
        status = celi_record_get(r, celi_members + k, archive, pool, err);
    if (status) return status;
    if (!r->scaling.centre != !r->scaling.scale)
        return celi_note(err, CEL_ERR_FORMAT, "a scaling with half of its arrays");
    if (r->scaling.genes && (r->scaling.genes != r->model.genes || r->scaling.groups < 1 || (int)r->scaling.kind < 0 ||
                             r->scaling.kind > CEL_KIND_UNIT))
        return celi_note(err, CEL_ERR_FORMAT, "a scaling of no known kind");
    if (r->types < 0) r->types = 0;
    if (r->slides < 0) r->slides = 0;
    return CEL_OK;
}

CEL_API_DEF cel_status cel_model_read(const char *path, cel_model_record *out, cel_error *err)
{
    cel_model_record r = CEL_ZERO;
    celi_pool pool = CEL_ZERO;
    cel_npz archive;
    cel_file file;
    cel_status status = cel_file_open(path, 0, &file, err);
    memset(out, 0, sizeof *out);
    if (status) return status;
    status = cel_npz_parse(file.bytes, file.size, &archive, err);
    if (!status) status = celi_record_take(&archive, 1, &r, &pool, err);
    cel_npz_free(&archive);
    cel_file_close(&file);
    r.owned = pool.last;
    if (status) cel_model_record_free(&r);
    *out = r;
    return status;
}

/* Numbers of records prepared alike may differ by what another kind of processor rounds otherwise: scales are means
 * over many cells of what is rounded in float, and come far nearer than this; another preparation is far larger. What
 * such a difference would do to the forces is less than what sums in float lose.
 * A number that is none is not near to any. */
static int celi_record_near(double a, double b) { return fabs(a - b) <= 1e-6 * (fabs(a) + fabs(b)); }

/* 1 where member m of two records differs; *gene: the first gene of a's, or -1. Lists are compared in order, because
 * arrays stand in that order. */
static int celi_record_differs(cel_model_record *a, cel_model_record *b, const celi_member *m, int64_t *gene)
{
    void *p, *q;
    int64_t i = 0, had[3], has[3];
    memcpy(&p, (char *)a + m->at, sizeof p);
    memcpy(&q, (char *)b + m->at, sizeof q);
    *gene = -1;
    if (!p || !q) return p || q;
    if (m->kind == 't') return strcmp((char *)p, (char *)q) != 0;
    /* Lists may be of different lengths, which is a difference too: at the first that one has and the other has not. */
    (void)celi_record_shape(a, m, had);
    (void)celi_record_shape(b, m, has);
    while (i < had[0] && i < has[0] && (m->kind == 'l' ? !strcmp(((char **)p)[i], ((char **)q)[i])
                                                       : celi_record_near(((double *)p)[i], ((double *)q)[i]))) i++;
    if (m->lengths[0] == 'n' && i < had[0]) *gene = i;
    return i < had[0] || i < has[0];
}

/* What two records that must be prepared alike differ in, or NULL. Arrays come first: of other genes all else differs
 * too, and the genes are what should be told. */
static const char *celi_record_other(cel_model_record *a, cel_model_record *b, int64_t *gene)
{
    int64_t k;
    for (k = 0; k < CELI_MEMBERS; k++)
        if (celi_members[k].other && celi_record_differs(a, b, celi_members + k, gene)) return celi_members[k].other;
    *gene = -1;
    for (k = 0; k < CELI_FIGURES; k++)
        if (celi_figures[k].other && !celi_record_near(celi_record_number(a, k, NULL), celi_record_number(b, k, NULL)))
            return celi_figures[k].other;
    return NULL;
}

#endif

CEL_API_DEF void cel_model_record_free(cel_model_record *record)
{
    celi_chain_free(record->owned);
    memset(record, 0, sizeof *record);
}

/* Every pair is compared: gene lists are short, and a second match has to be seen in any case. */
CEL_API_DEF cel_status cel_model_columns(const cel_model_record *record, char *const *name, int64_t count,
                                         int32_t *column, cel_error *err)
{
    int64_t g, k;
    memset(column, 0, (size_t)record->model.genes * sizeof *column);
    if (!record->gene) return celi_note(err, CEL_ERR_DATA, "the model has no gene names");
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

/* What a relation adds to B: W X, and W^T X where that is another matrix. */
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

/* 1 where both are of the same genes and of relations of the same kinds, so that block stands above block in a sum. */
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

/* What moments are summed of: the cells in list, or all; X, or where the rows are not as they are wanted, a store. */
typedef struct celi_moments_input {
    const cel_relations *relations;
    cel_mat x;
    const celi_store *store; /* or NULL */
    const int32_t *list;     /* or NULL */
} celi_moments_input;

/* The number of cell k of those. */
static int64_t celi_moments_cell(const celi_moments_input *in, int64_t k) { return in->list ? in->list[k] : k; }

/* The cells that a block of rows of B needs, its own and their neighbours, read into a tile of X, and a relation's rows
 * with their columns in it. Where a cell is in the tile is found by hashing, so that nothing here grows with S. */
typedef struct celi_patch {
    int64_t cells, mask; /* of the tile; slots - 1 */
    int32_t *slot, *cell; /* (mask + 1) places in the tile, or -1; (cells) which they are */
    int64_t *start;      /* (block + 1) a relation's rows */
    int32_t *index;
    cel_real *value, *data; /* data (cells x n) */
    double *v;
} celi_patch;

/* Where a cell is in the tile; one that is not there is added. */
static int32_t celi_patch_find(celi_patch *t, int32_t cell)
{
    int64_t at = (int64_t)((uint32_t)cell * 2654435761u >> 7) & t->mask;
    while (t->slot[at] >= 0 && t->cell[t->slot[at]] != cell) at = (at + 1) & t->mask;
    if (t->slot[at] < 0) {
        t->slot[at] = (int32_t)t->cells;
        t->cell[t->cells++] = cell;
    }
    return t->slot[at];
}

/* W's rows of cells first .. first + count - 1, in t. Their entries keep the order that they have in W, so that a sum
 * over neighbours is made in that order, and has the same bits, whichever tile its cell is in. */
static cel_csr celi_patch_rows(celi_patch *t, const celi_moments_input *in, const cel_csr *w, int64_t first,
                               int64_t count)
{
    cel_csr rows = CEL_ZERO;
    int64_t i, e, n = 0;
    t->start[0] = 0;
    for (i = 0; i < count; i++) {
        const int64_t cell = celi_moments_cell(in, first + i);
        for (e = w->start[cell]; e < w->start[cell + 1]; e++) {
            t->index[n] = celi_patch_find(t, w->index[e]);
            t->value[n++] = w->value[e];
        }
        t->start[i + 1] = n;
    }
    rows.rows = count;
    rows.cols = t->cells;
    rows.start = t->start;
    rows.index = t->index;
    rows.value = t->value;
    return rows;
}

/* Reads the tile of cells first .. first + count - 1. Which cells it needs is found first, over all relations, since
 * neighbours are shared; then each is read and prepared once. */
static cel_mat celi_patch_read(celi_patch *t, const celi_moments_input *in, int64_t first, int64_t count)
{
    cel_mat x;
    int64_t r, i;
    memset(t->slot, -1, (size_t)(t->mask + 1) * sizeof *t->slot);
    t->cells = 0;
    for (i = 0; i < count; i++) (void)celi_patch_find(t, (int32_t)celi_moments_cell(in, first + i));
    for (r = 0; r < in->relations->count; r++) {
        if (in->relations->at[r].w) (void)celi_patch_rows(t, in, in->relations->at[r].w, first, count);
        if (in->relations->at[r].wt) (void)celi_patch_rows(t, in, in->relations->at[r].wt, first, count);
    }
    x = cel_mat_view(t->data, t->cells, in->store->rows.genes);
    celi_store_tile(in->store, t->cell, 0, x, t->v);
    return x;
}

/* The most cells, and the most contacts of one relation, that a block needs: counted before anything is read, as if no
 * two cells had a neighbour in common. What is not touched of that memory costs nothing. */
static void celi_patch_most(const celi_moments_input *in, int64_t count, int64_t *cells, int64_t *contacts)
{
    const cel_relations *relations = in->relations;
    int64_t first, r, i;
    *cells = *contacts = 0;
    for (first = 0; first < count; first += CELI_MOMENTS_BLOCK) {
        int64_t end = celi_min(count, first + CELI_MOMENTS_BLOCK), all = end - first;
        for (r = 0; r < 2 * relations->count; r++) {
            const cel_csr *w = r % 2 ? relations->at[r / 2].wt : relations->at[r / 2].w;
            int64_t here = 0;
            for (i = first; i < end && w; i++) {
                int64_t cell = celi_moments_cell(in, i);
                here += w->start[cell + 1] - w->start[cell];
            }
            if (here > *contacts) *contacts = here;
            all += here;
        }
        if (all > *cells) *cells = all;
    }
    *cells = celi_min(*cells, relations->cells);
}

/* A tile of at most so many cells and contacts, all of it in work. Twice as many slots as cells keep searches short. */
static cel_status celi_patch_open(celi_patch *t, const celi_store *store, int64_t cells, int64_t contacts,
                                  cel_work *work)
{
    int64_t genes = store->rows.genes, slots = 1024, doubles = celi_store_doubles(store);
    while (slots < 2 * cells) slots *= 2;
    memset(t, 0, sizeof *t);
    t->mask = slots - 1;
    /* longest first, so that each is aligned */
    t->start = (int64_t *)cel_work_get(work, (size_t)(CELI_MOMENTS_BLOCK + 1) * sizeof *t->start +
                                       (size_t)doubles * sizeof *t->v + (size_t)(slots + cells + contacts) * 4 +
                                       (size_t)(cells * genes + contacts) * sizeof(cel_real));
    if (!t->start) return CEL_ERR_MEMORY;
    t->v = (double *)(t->start + CELI_MOMENTS_BLOCK + 1);
    t->data = (cel_real *)(t->v + doubles);
    t->value = t->data + cells * genes;
    t->slot = (int32_t *)(t->value + contacts);
    t->cell = t->slot + slots;
    t->index = t->cell + cells;
    return CEL_OK;
}

/* Rows first .. first + count - 1 of B into b: by way of a tile, or where X is there, NULL. */
static cel_status celi_moments_rows(const celi_moments_input *in, celi_patch *tile, int64_t first, int64_t count,
                                    cel_mat b)
{
    const cel_mat x = tile ? celi_patch_read(tile, in, first, count) : in->x;
    const int32_t *list = in->list && !tile ? in->list + first : NULL;
    int64_t genes = x.cols, r, side, i, col = genes;
    cel_status status = CEL_OK;
    CELI_OMP(omp parallel for schedule(static) if (count * genes > CELI_FORK))
    for (i = 0; i < count; i++) {
        cel_real *row = b.data + i * b.stride;
        int64_t cell = celi_moments_cell(in, first + i);
        if (tile) cell = celi_patch_find(tile, (int32_t)cell);
        memcpy(row, x.data + cell * x.stride, (size_t)genes * sizeof(cel_real));
        row[b.cols - 1] = (cel_real)0.5;
    }
    for (r = 0; r < in->relations->count; r++)
        for (side = 0; side < 2 && !status; side++) {
            const cel_csr *w = side ? in->relations->at[r].wt : in->relations->at[r].w;
            cel_mat to = cel_mat_block(b, 0, col, count, genes);
            cel_csr rows;
            if (!w) continue;
            rows = tile ? celi_patch_rows(tile, in, w, first, count) : list ? *w : celi_csr_rows(w, first, count);
            status = cel_csr_mul_rows(1, &rows, list, count, x, 0, to);
            col += genes;
        }
    return status;
}

/* The walk of the first relation that has one, or NULL: the cells are at the same places for all, so that what keeps
 * the neighbours of one in cache does so for the others. */
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
static cel_status celi_moments_group(const celi_moments_input *in, celi_patch *tile, int64_t first, int64_t count,
                                     cel_mat product, cel_mat b, cel_work *work)
{
    const int64_t block = b.rows;
    int64_t at;
    cel_status status = CEL_OK;
    for (at = 0; at < count && !status; at += block) {
        b.rows = celi_min(block, count - at);
        status = celi_moments_rows(in, tile, first + at, b.rows, b);
        if (!status) status = celi_syrk_lower(1, 1, b, at > 0 ? 1 : 0, product, work);
    }
    if (in->store) celi_store_release(in->store, 0, CELI_PAGES);
    return status;
}

/* The work of lane t: two links of a chain, for its products and for its tile. */
static cel_work *celi_moments_lane(cel_work *work, int64_t t)
{
    for (work = work->inner; t > 0; t--) work = work->inner->inner;
    return work;
}

/* The count cells that `in` lists, or all; each has been found to exist. A lane has a tile of its own beside its
 * products, both in links of `work`, so that a second call with the same work allocates nothing. Tiles are as large as
 * the block that needs most. */
static cel_status celi_moments_add(cel_moments *m, const celi_moments_input *in, int64_t count, cel_work *work)
{
    const int64_t side = celi_moments_side(m), stride = celi_round_up(side, 16);
    const int64_t block = CELI_MOMENTS_BLOCK;
    int64_t first, i, j, lanes = cel_threads(), each = (side + block) * stride, group, cells = 0, contacts = 0;
    cel_status status = CEL_OK;
    cel_work temporary = CEL_ZERO, *inner;
    cel_real *data;
    /* Threads take whole groups where there are enough, and their sums are small; else they share each product. */
    group = count < 8 * block * CELI_MOMENTS_FLUSH ? block : block * CELI_MOMENTS_FLUSH;
    if (side > 1024 || count < 2 * lanes * group) lanes = 1;
    if (!work) work = &temporary;
    data = (cel_real *)cel_work_get(work, (size_t)(lanes * each) * sizeof *data);
    for (i = 0, inner = work; i < 2 * lanes && data; i++)
        if ((inner = celi_work_inner(inner)) == NULL) data = NULL;
    if (!data) status = CEL_ERR_MEMORY;
    if (in->store) celi_patch_most(in, count, &cells, &contacts);
    /* Lanes add to the gram in the order of the groups, whoever is done first: the same bits for any number of them. */
    CELI_OMP(omp parallel for ordered schedule(dynamic) num_threads((int)lanes) if (lanes > 1))
    for (first = 0; first < (data ? count : 0); first += group) {
        const int64_t lane = lanes > 1 ? celi_thread() : 0, here = celi_min(group, count - first);
        cel_mat product = cel_mat_view(data + lane * each, side, side), b;
        cel_work *own = celi_moments_lane(work, lane);
        celi_patch tile;
        cel_status failed = in->store ? celi_patch_open(&tile, in->store, cells, contacts, own->inner) : CEL_OK;
        product.stride = stride;
        b = product;
        b.data += side * stride;
        b.rows = block;
        if (!failed) failed = celi_moments_group(in, in->store ? &tile : NULL, first, here, product, b, own);
        CELI_OMP(omp ordered)
        {
            if (failed) status = failed;
            if (!status) {
                celi_moments_flush(m, product);
                m->cells += here;
            }
        }
    }
    for (i = 0; i < side; i++)
        for (j = i + 1; j < side; j++) m->gram[i * side + j] = m->gram[j * side + i];
    cel_work_free(&temporary);
    return status;
}

CEL_API_DEF cel_status cel_moments_add(cel_moments *m, const cel_relations *relations, cel_mat x,
                                       const int32_t *list, int64_t count, cel_work *work)
{
    celi_moments_input in = CEL_ZERO;
    int64_t i;
    if (celi_relations_fit(relations, NULL, x.rows) || x.cols != m->genes || !celi_moments_of(m, relations))
        return CEL_ERR_SHAPE;
    for (i = 0; i < count && list; i++)
        if (list[i] < 0 || list[i] >= x.rows) return CEL_ERR_ARG;
    in.relations = relations;
    in.x = x;
    in.list = list ? list : celi_relation_walk(relations);
    return celi_moments_add(m, &in, list ? count : x.rows, work);
}

/* The cells of each label, in turn, along the walk: with tiles for labels they are near each other anyway, and within a
 * label the walk keeps a block's neighbours few. */
static cel_status celi_moments_labels(cel_moments *m, int64_t labels, const int32_t *label, celi_moments_input *in,
                                      int64_t genes, cel_work *work)
{
    const int64_t cells = in->relations->cells;
    int64_t i, l, *start;
    int32_t *list;
    cel_work temporary = CEL_ZERO;
    cel_status status = CEL_OK;
    for (l = 0; l < labels; l++)
        if (m[l].genes != genes || !celi_moments_of(m + l, in->relations)) return CEL_ERR_SHAPE;
    for (i = 0; i < cells && label; i++)
        if (label[i] >= labels) return CEL_ERR_ARG;
    if (!work) work = &temporary;
    start = (int64_t *)cel_work_get(work, (size_t)(labels + 1) * sizeof *start + (size_t)cells * sizeof *list);
    if (!start) return CEL_ERR_MEMORY;
    list = (int32_t *)(start + labels + 1);
    celi_group(label, celi_relation_walk(in->relations), cells, labels, start, list);
    for (l = 0; l < labels && !status; l++) {
        in->list = list + start[l];
        status = celi_moments_add(m + l, in, start[l + 1] - start[l], celi_work_inner(work));
    }
    cel_work_free(&temporary);
    return status;
}

CEL_API_DEF cel_status cel_moments_add_by_label(cel_moments *m, int64_t labels, const int32_t *label,
                                                const cel_relations *relations, cel_mat x, cel_work *work)
{
    celi_moments_input in = CEL_ZERO;
    in.relations = relations;
    in.x = x;
    return relations->cells == x.rows ? celi_moments_labels(m, labels, label, &in, x.cols, work) : CEL_ERR_SHAPE;
}

CEL_API_DEF cel_status cel_moments_add_rows(cel_moments *m, int64_t labels, const int32_t *label,
                                            const cel_relations *relations, const cel_rows *rows, cel_work *work)
{
    celi_moments_input in = CEL_ZERO;
    celi_pool pool = CEL_ZERO;
    celi_store store;
    cel_status status = celi_store_open(rows, 0, &pool, &store, NULL);
    if (!status && (relations->cells != rows->cells || (!label && labels != 1))) status = CEL_ERR_SHAPE;
    in.relations = relations;
    in.x = rows->dense;
    if (!rows->dense.data || rows->row || rows->gene || rows->scaling) in.store = &store;
    if (!status) status = celi_moments_labels(m, labels, label, &in, rows->genes, work);
    celi_pool_free(&pool);
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

/* B's last column is 1/2, so that the last row of the gram has half of every sum. */
CEL_API_DEF void cel_moments_mean(const cel_moments *m, double *mean)
{
    const double *half = m->gram + m->blocks * m->genes * celi_moments_side(m);
    int64_t i;
    for (i = 0; i < m->genes; i++) mean[i] = m->cells > 0 ? 2 * half[i] / (double)m->cells : 0;
}

/* The first n rows of the gram are X^T B. */
CEL_API_DEF cel_status cel_moments_cross(const cel_moments *m, int64_t block, double *out)
{
    int64_t i;
    if (block < 0 || block >= m->blocks) return CEL_ERR_ARG;
    for (i = 0; i < m->genes; i++)
        memcpy(out + i * m->genes, m->gram + i * celi_moments_side(m) + block * m->genes,
               (size_t)m->genes * sizeof *out);
    return CEL_OK;
}

/* Of two columns of B. */
static double celi_moments_covariance(const cel_moments *m, int64_t i, int64_t j)
{
    const int64_t side = celi_moments_side(m);
    const double *half = m->gram + (side - 1) * side, cells = (double)m->cells;
    return m->gram[i * side + j] / cells - 4 * half[i] * half[j] / (cells * cells);
}

CEL_API_DEF cel_status cel_moments_correlate(const cel_moments *m, int64_t block, double *mean, double *deviation,
                                             double *moran, double *within, double *between)
{
    int64_t n = m->genes, a, b;
    if (block < 1 || block >= m->blocks) return CEL_ERR_ARG;
    if (m->cells < 1) return CEL_ERR_DATA;
    cel_moments_mean(m, mean);
    for (a = 0; a < n; a++) {
        double v = celi_moments_covariance(m, a, a);
        deviation[a] = v > 0 ? sqrt(v) : 0;
        moran[a] = v > 0 ? celi_moments_covariance(m, a, block * n + a) / v : 0;
        for (b = 0; b < n; b++) { /* variances from rounding alone are none */
            const int64_t at = block * n + b;
            double next = celi_moments_covariance(m, b, b);
            double beside = celi_moments_covariance(m, at, at);
            within[a * n + b] = v > 0 && next > 0 ? celi_moments_covariance(m, a, b) / sqrt(v * next) : 0;
            between[a * n + b] = v > 0 && beside > 0 ? celi_moments_covariance(m, a, at) / sqrt(v * beside) : 0;
        }
    }
    return CEL_OK;
}

/* ---- the moments file ---- */

#if !defined(CELCOMEN_NO_STDIO)

/* The file is made of the record of names and settings that a model has, too, and of arrays beside it. A gram is nearly
 * all of it, and symmetric, so that its lower triangle is kept. Whoever adds files without this library, in NumPy, can
 * make the checksum: that is why it is over names and plain bytes and not over the archive, whose layout is its
 * writer's. What it covers beyond the CRC-32 that each member has: that none is missing, renamed or from elsewhere.
 *
 * The format is raised whenever the arrays, or what their numbers mean, change: sums that mean something else must not
 * be added. The limit of members keeps a hostile directory from costing time. */
enum { CELI_MOMENTS_FORMAT = 1, CELI_MOMENTS_MEMBERS = 64 };

/* Entries of the lower triangle of a gram. */
static int64_t celi_moments_triangle(const cel_moments *m)
{
    const int64_t side = celi_moments_side(m);
    return side * (side + 1) / 2;
}

/* The lower triangle of a gram, row after row: in NumPy g[numpy.tril_indices(side)] = .. undoes it. Returns the end of
 * it. */
static double *celi_moments_pack(const cel_moments *m, double *to)
{
    const int64_t side = celi_moments_side(m);
    int64_t i;
    for (i = 0; i < side; to += ++i) memcpy(to, m->gram + i * side, (size_t)(i + 1) * sizeof *to);
    return to;
}

/* CRC-32 over the names and the arrays' bytes of members in turn; the checksum itself is left out. */
static uint32_t celi_moments_crc(uint32_t crc, const char *name, const cel_npy *a)
{
    if (!strcmp(name, "checksum")) return crc;
    return celi_crc(celi_crc(crc, name, strlen(name)), a->data, (size_t)a->count * (size_t)a->bytes);
}

/* What is wrong with a record, or NULL: asked before one is written or merged, and of what a file says. Later steps
 * rely on it. */
static const char *celi_moments_wrong(const cel_moments_record *r)
{
    const cel_model_record *a = &r->about;
    int64_t p, k;
    if (a->model.genes < 1 || a->model.relations < 1 || a->slides < 1 || !a->gene || !a->relation || !a->slide ||
        !r->slide_cells || !r->contacts || (a->scaling.centre && !a->group) || r->parts < 1 || !r->part || !r->slide ||
        !r->tile || r->spans < 1 || !r->span)
        return "moments without some of their names and numbers";
    for (p = 0; p < r->parts; p++) {
        const cel_moments *m = r->part + p, *s = r->shuffled ? r->shuffled + p : m;
        if (m->genes != a->model.genes || m->relations != a->model.relations || !celi_moments_alike(m, r->part) ||
            !celi_moments_alike(s, m) || s->cells != m->cells || m->cells < 0)
            return "moments that are not of these genes and relations";
        if (r->slide[p] < 0 || r->slide[p] >= a->slides) return "moments of a slide that has no name";
    }
    for (k = 0; k < r->spans; k++) {
        const int64_t *s = r->span + 3 * k;
        if (s[0] < 0 || s[0] >= a->slides || s[1] < 0 || s[2] <= s[1] || s[2] > r->slide_cells[s[0]])
            return "moments of cells that a slide has not";
        if (k && (s[-3] > s[0] || (s[-3] == s[0] && s[-1] > s[1]))) return "moments with spans out of order, or twice";
    }
    return NULL;
}

/* One more member of what is to be written: all have 8 bytes an entry, signed or floating, so that a reader in another
 * language needs two types. */
static void celi_moments_put(celi_record_sink *s, const char *name, char kind, int64_t rows, int64_t cols,
                             const void *data)
{
    int64_t shape[2];
    shape[0] = rows;
    shape[1] = cols;
    s->member[s->count].name = name;
    s->member[s->count++].array = cel_npy_describe(kind, 8, cols ? 2 : 1, shape, data);
}

/* The triangles are one array, and the members point at it and at the record's own arrays: what is written is read once
 * for the checksum, and twice by the archive's writer. The few numbers of parts and blocks are brought into the one
 * type that the file has for whole numbers. */
CEL_API_DEF cel_status cel_moments_write(const char *path, const cel_moments_record *record, cel_error *err)
{
    const int64_t P = record->parts, R = record->about.model.relations;
    const char *wrong = celi_moments_wrong(record);
    const int kinds = record->shuffled ? 2 : 1;
    double number[3] = {CELI_MOMENTS_FORMAT}, *gram, *to;
    celi_pool pool = CEL_ZERO;
    celi_record_sink s;
    int64_t triangle, p, sum, *part, *block;
    uint32_t crc = 0;
    cel_status status;
    if (wrong) return celi_note(err, CEL_ERR_ARG, wrong);
    triangle = celi_moments_triangle(record->part);
    /* Asked in double, before any memory is: beyond the limit the archive's offsets have no room, and what is asked
     * for may be more than there is. */
    if (8.0 * kinds * (double)P * (double)triangle > 4e9)
        return celi_note(err, CEL_ERR_ARG, "moments of more than 4 GiB: fewer tiles or genes, or no shuffled control");
    number[1] = record->real ? record->real : (int)sizeof(cel_real);
    number[2] = record->unnamed;
    to = gram = (double *)celi_pool_get(&pool, kinds * P * triangle, sizeof *gram);
    part = (int64_t *)celi_pool_get(&pool, 3 * P, sizeof *part);
    block = (int64_t *)celi_pool_get(&pool, R + 1, sizeof *block);
    status = celi_record_describe(&record->about, &s, err);
    if (!status) status = celi_note(err, pool.status, "writing moments");
    for (p = 0; p < kinds * P && !status; p++)
        to = celi_moments_pack(p < P ? record->part + p : record->shuffled + (p - P), to);
    for (p = 0; p < P && !status; p++) {
        part[3 * p] = record->slide[p];
        part[3 * p + 1] = record->tile[p];
        part[3 * p + 2] = record->part[p].cells;
    }
    for (p = 0; p <= R && !status; p++) block[p] = record->part->block[p];
    if (!status) {
        celi_moments_put(&s, "celcomen_moments", 'f', 3, 0, number);
        celi_moments_put(&s, "slide_cells", 'i', record->about.slides, 0, record->slide_cells);
        celi_moments_put(&s, "spans", 'i', record->spans, 3, record->span);
        celi_moments_put(&s, "contacts", 'i', R, 0, record->contacts);
        celi_moments_put(&s, "blocks", 'i', R + 1, 0, block);
        celi_moments_put(&s, "parts", 'i', P, 3, part);
        celi_moments_put(&s, "gram", 'f', P, triangle, gram);
        if (kinds > 1) celi_moments_put(&s, "gram_shuffled", 'f', P, triangle, gram + P * triangle);
        for (p = 0; p < s.count; p++) crc = celi_moments_crc(crc, s.member[p].name, &s.member[p].array);
        sum = crc;
        celi_moments_put(&s, "checksum", 'i', 1, 0, &sum);
        status = cel_npz_write(path, s.member, s.count, err);
    }
    celi_record_end(&s);
    celi_pool_free(&pool);
    return status;
}

/* Whole numbers of a member with so many rows (-1: as it has, which *rows receives) and columns (0: one dimension).
 * NULL where there are none such, or no memory. */
static int64_t *celi_moments_whole(cel_npz *archive, const char *name, int64_t *rows, int64_t cols, celi_pool *pool)
{
    int64_t *out;
    cel_npy a;
    if (pool->status || cel_npz_get(archive, name, &a, NULL) || a.ndim != (cols ? 2 : 1) || a.shape[0] < 1 ||
        (*rows >= 0 && a.shape[0] != *rows) || (cols && a.shape[1] != cols)) return NULL;
    *rows = a.shape[0];
    out = (int64_t *)celi_pool_get(pool, a.count, sizeof *out);
    return out && cel_npy_to_int64(&a, out, NULL) == CEL_OK ? out : NULL;
}

/* The grams of one kind; NULL where they are none, are not finite or not of so many cells: the last entry is a quarter
 * of the number, whoever summed. */
static cel_moments *celi_moments_grams(cel_npz *archive, const char *name, const cel_moments *like,
                                       const int64_t *part, int64_t parts, celi_pool *pool)
{
    const int64_t side = celi_moments_side(like), triangle = celi_moments_triangle(like);
    const char *from;
    cel_moments *m;
    double *gram;
    int64_t p, i;
    cel_npy a;
    if (cel_npz_get(archive, name, &a, NULL) || a.kind != 'f' || a.bytes != 8 || a.ndim != 2 || a.fortran ||
        a.big_endian != celi_host_big_endian() || a.shape[0] != parts || a.shape[1] != triangle) return NULL;
    m = (cel_moments *)celi_pool_get(pool, parts, sizeof *m);
    gram = (double *)celi_pool_get(pool, parts * side, (size_t)side * sizeof *gram);
    if (pool->status) return NULL;
    from = (const char *)a.data;
    for (p = 0; p < parts; p++) {
        m[p] = *like;
        m[p].cells = part[3 * p + 2];
        m[p].gram = gram + p * side * side;
        for (i = 0; i < side; i++) { /* the archive's bytes may stand anywhere */
            double *row = m[p].gram + i * side;
            int64_t j;
            memcpy(row, from, (size_t)(i + 1) * sizeof *row);
            from += (size_t)(i + 1) * sizeof *row;
            for (j = 0; j <= i; j++) {
                if (!(fabs(row[j]) <= DBL_MAX)) return NULL;
                m[p].gram[j * side + i] = row[j];
            }
        }
        if (!(fabs(4 * m[p].gram[side * side - 1] / (double)m[p].cells - 1) <= 1e-6)) return NULL;
    }
    return m;
}

/* That the content is what was written, and of this format. The format comes first: a later one may have another
 * checksum. */
static cel_status celi_moments_begin(cel_moments_record *r, cel_npz *archive, cel_error *err)
{
    cel_npy a;
    double number[3];
    int64_t k, sum;
    uint32_t crc = 0;
    char name[64];
    cel_status status;
    if (archive->count > CELI_MOMENTS_MEMBERS || cel_npz_get(archive, "celcomen_moments", &a, NULL) || a.kind != 'f' ||
        a.bytes != 8 || a.count < 3 || a.big_endian != celi_host_big_endian())
        return celi_note(err, CEL_ERR_FORMAT, "an archive, but not of moments, or damaged");
    memcpy(number, a.data, sizeof number);
    if (!(fabs(number[0] - (double)CELI_MOMENTS_FORMAT) < 0.5))
        return celi_note(err, CEL_ERR_UNSUPPORTED, "moments of another version: make them again, or use that version");
    /* By name, so that of two members of one name the last is summed twice, as a reader sees it: whoever repeats one
     * does not have the writer's sum. */
    for (k = 0; k < archive->count; k++) {
        if (cel_npz_name(archive, k, name, sizeof name) >= sizeof name || strlen(name) < 1)
            return celi_note(err, CEL_ERR_FORMAT, "moments with an array of no known name");
        status = cel_npz_get(archive, name, &a, err);
        if (status) return status;
        crc = celi_moments_crc(crc, name, &a);
    }
    if (cel_npz_get(archive, "checksum", &a, NULL) || a.count != 1 || cel_npy_to_int64(&a, &sum, NULL) || sum != crc)
        return celi_note(err, CEL_ERR_FORMAT, "moments that have been changed or damaged: the checksum is another");
    if (!(number[1] > 3.5 && number[1] < 8.5)) return celi_note(err, CEL_ERR_FORMAT, "moments of no known number type");
    r->real = (int)number[1];
    r->unnamed = number[2] > 0.5;
    return CEL_OK;
}

/* All that stands beside the record of names, once that is known. Each number is within bounds before anything is
 * reached by it; moments share one array of blocks. */
static cel_status celi_moments_take(cel_moments_record *r, cel_npz *archive, int bare, celi_pool *pool, cel_error *err)
{
    const int64_t n = r->about.model.genes;
    int64_t R = r->about.model.relations, ends = R + 1, k, *part, *block;
    const char *wrong = "moments with arrays that are missing or do not fit each other";
    cel_moments like = CEL_ZERO;
    cel_npy a;
    if (R < 1 || n < 1) return celi_note(err, CEL_ERR_FORMAT, wrong);
    r->parts = r->spans = -1;
    r->slide_cells = celi_moments_whole(archive, "slide_cells", &r->about.slides, 0, pool);
    r->span = celi_moments_whole(archive, "spans", &r->spans, 3, pool);
    r->contacts = celi_moments_whole(archive, "contacts", &R, 0, pool);
    block = celi_moments_whole(archive, "blocks", &ends, 0, pool);
    part = celi_moments_whole(archive, "parts", &r->parts, 3, pool);
    if (pool->status) return celi_note(err, pool->status, "reading moments");
    if (!r->slide_cells || !r->span || !r->contacts || !block || !part) return celi_note(err, CEL_ERR_FORMAT, wrong);
    like.block = (int32_t *)celi_pool_get(pool, ends, sizeof *like.block);
    r->slide = (int32_t *)celi_pool_get(pool, r->parts, sizeof *r->slide);
    r->tile = (int32_t *)celi_pool_get(pool, r->parts, sizeof *r->tile);
    if (pool->status) return celi_note(err, pool->status, "reading moments");
    for (k = 0; k <= R; k++) { /* one block of the identity, one or two of every other */
        const int64_t wide = k ? block[k] - block[k - 1] : block[0] + 1;
        if (wide < 1 || wide > 1 + (k > 1) || block[k] > INT32_MAX / n) return celi_note(err, CEL_ERR_FORMAT, wrong);
        like.block[k] = (int32_t)block[k];
    }
    for (k = 0; k < r->parts; k++) {
        const int64_t *is = part + 3 * k;
        if (is[0] < 0 || is[0] >= r->about.slides || is[1] < 0 || is[1] > INT32_MAX || is[2] < 1)
            return celi_note(err, CEL_ERR_FORMAT, wrong);
        r->slide[k] = (int32_t)is[0];
        r->tile[k] = (int32_t)is[1];
    }
    like.genes = n;
    like.relations = R;
    like.blocks = block[R];
    if (bare) return CEL_OK;
    /* Grams of one kind are one allocation, the largest, and its size follows from what the archive holds: a small file
     * cannot ask for much. Of the two kinds the second may be absent, but not be there and wrong. */
    r->part = celi_moments_grams(archive, "gram", &like, part, r->parts, pool);
    if (r->part && cel_npz_get(archive, "gram_shuffled", &a, NULL) == CEL_OK &&
        !(r->shuffled = celi_moments_grams(archive, "gram_shuffled", &like, part, r->parts, pool))) r->part = NULL;
    if (pool->status) return celi_note(err, pool->status, "reading moments");
    if (r->part) wrong = celi_moments_wrong(r);
    return wrong ? celi_note(err, CEL_ERR_FORMAT, wrong) : CEL_OK;
}

/* The file is mapped, so that the grams are copied once, from it. All memory is in one pool, which the record keeps: a
 * part's gram is a place in it, never to be freed by itself. */
CEL_API_DEF cel_status cel_moments_read(const char *path, int bare, cel_moments_record *out, cel_error *err)
{
    cel_moments_record r = CEL_ZERO;
    celi_pool pool = CEL_ZERO;
    cel_npz archive = CEL_ZERO;
    cel_file file;
    cel_status status = cel_file_open(path, 1, &file, err);
    memset(out, 0, sizeof *out);
    if (status) return status;
    status = cel_npz_parse(file.bytes, file.size, &archive, err);
    if (!status) status = celi_moments_begin(&r, &archive, err);
    if (!status) status = celi_record_take(&archive, 0, &r.about, &pool, err);
    if (!status) status = celi_moments_take(&r, &archive, bare, &pool, err);
    cel_npz_free(&archive);
    cel_file_close(&file);
    if (status) {
        celi_pool_free(&pool);
        return status;
    }
    r.owned = pool.last;
    *out = r;
    return CEL_OK;
}

/* ---- adding records ---- */

/* Names, spans, centres and parts in turn are made anew, with room for both, in one pool: a sum is asked for once in
 * the life of its parts, so that nothing is gained by growing in place, and until the end the old ones are whole.
 *
 * The names of both, those that a has not behind a's; to (nb) says where b's came. Names of a stay where they are,
 * those of b are copied: its record may end before the sum. */
static char **celi_merge_names(char *const *a, int64_t na, char *const *b, int64_t nb, int64_t *to, int64_t *count,
                               celi_pool *pool)
{
    char **out = (char **)celi_pool_get(pool, na + nb, sizeof *out);
    int64_t i, k;
    *count = na;
    for (i = 0; i < na && out; i++) out[i] = a[i];
    for (k = 0; k < nb && out; k++) {
        const size_t bytes = strlen(b[k]) + 1;
        for (i = 0; i < na && strcmp(a[i], b[k]); i++) {}
        to[k] = i < na ? i : (*count)++;
        if (i < na) continue;
        out[to[k]] = (char *)celi_pool_get(pool, (int64_t)bytes, 1);
        if (!out[to[k]]) return NULL;
        memcpy(out[to[k]], b[k], bytes);
    }
    return out;
}

/* Slides and their spans of cells: to (slides of from) becomes their numbers in r. A slide is known by its name, its
 * cells by their numbers in an order that all files of a slide share: a cell that is in both says that a file was given
 * twice, which no sum would show. */
static cel_status celi_merge_slides(cel_moments_record *r, const cel_moments_record *from, int64_t *to, celi_pool *pool,
                                    cel_error *err)
{
    const int64_t had = r->about.slides, spans = r->spans, *old = r->span, *cells = r->slide_cells;
    int64_t k, j, *s;
    r->about.slide = celi_merge_names(r->about.slide, had, from->about.slide, from->about.slides, to,
                                      &r->about.slides, pool);
    r->slide_cells = (int64_t *)celi_pool_get(pool, r->about.slides, sizeof *r->slide_cells);
    r->span = s = (int64_t *)celi_pool_get(pool, spans + from->spans, 3 * sizeof *s);
    if (pool->status) return celi_note(err, pool->status, "merging moments");
    memcpy(r->slide_cells, cells, (size_t)had * sizeof *cells);
    memcpy(s, old, (size_t)(3 * spans) * sizeof *s);
    /* Bands of one slide agree on how many cells it has; else one was made before cells were added or left out. */
    for (k = 0; k < from->about.slides; k++) {
        if (to[k] < had && cells[to[k]] != from->slide_cells[k])
            return celi_fail(err, CEL_ERR_DATA, "another number of cells of a slide", -1, k, -1);
        r->slide_cells[to[k]] = from->slide_cells[k];
    }
    for (k = 0; k < from->spans; k++) { /* each to its place; behind it nothing begins before it ends */
        const int64_t *f = from->span + 3 * k, slide = to[f[0]];
        for (j = r->spans; j > 0 && (s[3 * j - 3] > slide || (s[3 * j - 3] == slide && s[3 * j - 2] >= f[2])); j--) {}
        if (j > 0 && s[3 * j - 3] == slide && s[3 * j - 1] > f[1])
            return celi_fail(err, CEL_ERR_DATA, "cells that are there already: the same slide twice?", -1, f[0], -1);
        memmove(s + 3 * j + 3, s + 3 * j, (size_t)(3 * (r->spans - j)) * sizeof *s);
        s[3 * j] = slide;
        s[3 * j + 1] = f[1];
        s[3 * j + 2] = f[2];
        r->spans++;
    }
    for (k = j = 1; k < r->spans; k++) { /* what continues the one before becomes one with it */
        if (s[3 * k] == s[3 * j - 3] && s[3 * k + 1] == s[3 * j - 1]) s[3 * j - 1] = s[3 * k + 2];
        else memmove(s + 3 * j++, s + 3 * k, 3 * sizeof *s);
    }
    r->spans = j;
    return CEL_OK;
}

/* The means of what was centred apart; of groups in both they must be the same, or the rows of a slide's two bands
 * would be rows of two tissues. The scale says what is small. */
static cel_status celi_merge_centres(cel_moments_record *r, const cel_moments_record *from, celi_pool *pool,
                                     cel_error *err)
{
    cel_scaling *s = &r->about.scaling;
    const cel_scaling *f = &from->about.scaling;
    const int64_t n = s->genes, had = s->groups;
    const double *centre = s->centre;
    int64_t g, k, *to;
    if (!centre) return CEL_OK;
    to = (int64_t *)celi_pool_get(pool, f->groups, sizeof *to);
    if (to) r->about.group = celi_merge_names(r->about.group, had, from->about.group, f->groups, to, &s->groups, pool);
    s->centre = (double *)celi_pool_get(pool, s->groups * n, sizeof *centre);
    if (pool->status) return celi_note(err, pool->status, "merging moments");
    memcpy(s->centre, centre, (size_t)(had * n) * sizeof *centre);
    for (g = 0; g < f->groups; g++) {
        for (k = 0; k < n && to[g] < had; k++) {
            const double a = centre[to[g] * n + k], b = f->centre[g * n + k];
            if (!(fabs(a - b) <= 1e-6 * (fabs(a) + fabs(b) + s->scale[k])))
                return celi_fail(err, CEL_ERR_DATA, "another mean in the same slide or type", -1, -1, k);
        }
        if (to[g] >= had) memcpy(s->centre + to[g] * n, f->centre + g * n, (size_t)n * sizeof *centre);
    }
    return CEL_OK;
}

/* A part on its way into the sum: its slide is the number in the sum, whichever record it comes from, so that parts
 * of one tile stand beside each other when they are sorted.
 * A list of them is as long as both records. */
typedef struct celi_merge_part {
    int64_t slide, tile, fresh; /* fresh: it comes from the other record */
    const cel_moments *m[2];    /* its moments, and the shuffled ones or NULL */
} celi_merge_part;

/* All parts by slide and tile, so that folds of them do not depend on the order of the files; the older of two of one
 * tile comes first. Both lists are nearly in order: each part looks for its place from behind. */
static void celi_merge_sort(celi_merge_part *list, int64_t count)
{
    int64_t p, k;
    for (p = 1; p < count; p++) {
        const celi_merge_part part = list[p];
        for (k = p; k > 0 && (list[k - 1].slide > part.slide ||
                              (list[k - 1].slide == part.slide && list[k - 1].tile > part.tile)); k--)
            list[k] = list[k - 1];
        list[k] = part;
    }
}

/* The parts of both: those of one tile add up, in the memory of r, others of `from` are copied. The last step, since
 * it changes sums: all memory is there before the first is touched. to says which slides of r those of from are. */
static cel_status celi_merge_parts(cel_moments_record *r, const cel_moments_record *from, const int64_t *to,
                                   celi_pool *pool, cel_error *err)
{
    const int64_t had = r->parts, all = had + from->parts, side = celi_moments_side(r->part);
    celi_merge_part *list = (celi_merge_part *)celi_pool_get(pool, all, sizeof *list);
    cel_moments *out[2] = {NULL, NULL};
    int64_t p, c, fresh = 0, kinds = r->shuffled ? 2 : 1;
    int32_t *of[2];
    double *gram;
    for (p = 0; p < all && list; p++) {
        const cel_moments_record *is = p < had ? r : from;
        const int64_t k = p < had ? p : p - had;
        list[p].slide = p < had ? is->slide[k] : to[is->slide[k]];
        list[p].tile = is->tile[k];
        list[p].fresh = p >= had;
        list[p].m[0] = is->part + k;
        list[p].m[1] = is->shuffled ? is->shuffled + k : NULL;
    }
    if (list) celi_merge_sort(list, all);
    for (p = 0; p < all && list; p++) /* what joins the part before it needs no memory */
        if (p && list[p].slide == list[p - 1].slide && list[p].tile == list[p - 1].tile) list[p].fresh = -1;
        else fresh += list[p].fresh;
    for (c = 0; c < 2; c++) of[c] = (int32_t *)celi_pool_get(pool, all, sizeof *of[c]);
    for (c = 0; c < kinds; c++) out[c] = (cel_moments *)celi_pool_get(pool, all, sizeof *out[c]);
    gram = (double *)celi_pool_get(pool, kinds * fresh * side, (size_t)side * sizeof *gram);
    if (pool->status) return celi_note(err, pool->status, "merging moments");
    /* In the order of the list: a part that is the older record's keeps its memory, one that is fresh gets a copy, and
     * one that joins is added to the part before it. */
    for (p = 0, r->parts = 0; p < all; p++) {
        const int64_t at = r->parts - (list[p].fresh < 0);
        for (c = 0; c < kinds; c++) {
            if (list[p].fresh < 0) (void)cel_moments_sum(out[c] + at, 1, list[p].m[c]);
            else out[c][at] = *list[p].m[c];
            if (list[p].fresh < 1) continue;
            out[c][at].block = r->part->block;
            out[c][at].gram = (double *)memcpy(gram, list[p].m[c]->gram, (size_t)(side * side) * sizeof *gram);
            gram += side * side;
        }
        of[0][at] = (int32_t)list[p].slide;
        of[1][at] = (int32_t)list[p].tile;
        r->parts = at + 1;
    }
    r->part = out[0];
    r->shuffled = out[1];
    r->slide = of[0];
    r->tile = of[1];
    return CEL_OK;
}

/* What may be refused comes first, and works on a copy of the struct; its old arrays are left alone but for sums. */
CEL_API_DEF cel_status cel_moments_merge(cel_moments_record *into, const cel_moments_record *from, cel_error *err)
{
    cel_moments_record r = *into, f = *from;
    celi_pool pool = CEL_ZERO;
    int64_t k, gene = -1, *to;
    const char *wrong = celi_moments_wrong(into);
    void **first;
    cel_status status = CEL_OK;
    if (!wrong) wrong = celi_moments_wrong(from);
    if (wrong) return celi_note(err, CEL_ERR_ARG, wrong);
    if (!r.real) r.real = (int)sizeof(cel_real);
    if (!f.real) f.real = (int)sizeof(cel_real);
    wrong = celi_record_other(&r.about, &f.about, &gene);
    if (!wrong && !celi_moments_alike(r.part, f.part)) wrong = "relations that are symmetric in only one of them";
    if (!wrong && r.real != f.real) wrong = "another number type: one of float, one of double";
    if (!wrong && !r.shuffled != !f.shuffled) wrong = "only one with a shuffled control";
    if (wrong) return celi_fail(err, CEL_ERR_DATA, wrong, -1, -1, gene);
    to = (int64_t *)celi_pool_get(&pool, f.about.slides, sizeof *to);
    if (!to) status = celi_note(err, CEL_ERR_MEMORY, "merging moments");
    if (!status) status = celi_merge_slides(&r, &f, to, &pool, err);
    if (!status) status = celi_merge_centres(&r, &f, &pool, err);
    if (!status) status = celi_merge_parts(&r, &f, to, &pool, err);
    if (status) {
        celi_pool_free(&pool);
        return status;
    }
    for (k = 0; k < r.about.model.relations; k++) r.contacts[k] += f.contacts[k];
    r.unnamed = r.unnamed && f.unnamed && r.about.slides == 1;
    for (first = (void **)pool.last; *first; first = (void **)*first) {} /* the older memory hangs on behind */
    *first = into->owned;
    r.owned = pool.last;
    *into = r;
    return CEL_OK;
}

#endif

/* Spans of a slide never overlap, which writing, reading and merging see to, so that lengths tell. A fit with cells
 * missing would take the tiles that lack them for whole ones. */
CEL_API_DEF int64_t cel_moments_missing(const cel_moments_record *record, int64_t *slide)
{
    int64_t s, k, missing = 0;
    *slide = -1;
    for (s = 0; s < record->about.slides; s++) {
        int64_t cells = record->slide_cells[s];
        for (k = 0; k < record->spans; k++)
            if (record->span[3 * k] == s) cells -= record->span[3 * k + 2] - record->span[3 * k + 1];
        if (cells && *slide < 0) *slide = s;
        missing += cells;
    }
    return missing;
}

CEL_API_DEF void cel_moments_record_free(cel_moments_record *record)
{
    celi_chain_free(record->owned);
    memset(record, 0, sizeof *record);
}

/* ======================================================================== */
/* solve                                                                    */
/* ======================================================================== */

/* This room knows no cell and no gene. It solves, for `stacks` square matrices f_r of one side, stacked,
 *
 *     least  1/2 <f, A f> - <rhs, f> + constant + ridge / 2 sum_r unit_r |f_r|^2 + l1 share sum_{i != j} |f_r,ij|,
 *
 * where A and rhs belong to a subset of parts: all of them, all but a few, or a few alone. Another room says what A
 * is by the actions below. What A looks like is known only roughly, for the preconditioner: A f is the gradient of
 *
 *     1/2 sum_{a b} <T_a, G_ab T_b D>,   T_b = f_r or its transpose, r = owner[b],
 *
 * with D about diag(weight), and with blocks G_ab that are nearly diagonal, G_ab about diag(diag_ab). */
typedef struct celi_quadratic celi_quadratic;

/* Parts first .. end - 1 alone (inside), or all the others. */
typedef struct celi_subset {
    int64_t first, end;
    int inside;
    int64_t keep; /* >= 0: a number under which what is found out about these parts may be kept; else -1 */
} celi_subset;

typedef struct celi_actions {
    /* Makes `which` the subset in hand: sets rhs, share, unit, constant, diag. */
    cel_status (*subset)(celi_quadratic *q, celi_subset which);
    /* out = A f of the subset in hand. */
    cel_status (*apply)(celi_quadratic *q, cel_mat f, cel_mat out);
    /* A copy for another thread, with a subset of its own; NULL where there can be only one. */
    cel_status (*twin)(const celi_quadratic *q, celi_quadratic *out);
    void (*drop)(celi_quadratic *q);
} celi_actions;

/* How a block's matrix T_b comes from its stack: a symmetric one once, another as its transpose and as it is. */
enum { CELI_SYMMETRIC = 0, CELI_TRANSPOSED = 1, CELI_UPRIGHT = 2 };

struct celi_quadratic {
    const celi_actions *act;
    void *context;
    int64_t side, stacks, parts, blocks;
    const int32_t *owner, *kind; /* (blocks) */
    const double *weight;        /* (side) */
    const double *sparse;        /* (stacks) what each bears of the l1 weight, or NULL: 1 */
    const double *stiff;         /* (stacks), or NULL: 1 */
    double bound;                /* <f, A f> of any subset is at most bound sum_r stiff_r |f_r|^2 */
    /* the subset in hand */
    cel_mat rhs;     /* (stacks side x side) */
    double *diag;    /* (blocks^2 side) */
    double *unit;    /* (stacks) */
    double *limit;   /* (stacks) scratch of celi_solve_prox */
    double share;    /* of the whole */
    double constant;
    /* scratch */
    celi_pool pool;
    cel_mat f, r, d, s, y; /* (stacks side x side): a replicate; residual, direction, step, A d */
    cel_mat inverse;       /* (3 side x side) of two symmetric stacks, else data NULL */
    int32_t *place;        /* (2 x 2 x blocks) of celi_pairs_place */
    int64_t dim[2];
    double *pair;          /* (CELI_CHUNKS x 2 stacks (2 stacks + 1)) */
    double ridge;          /* of the last solution */
    double value;          /* what a job has to say: a held-out value, or a residual */
    cel_status failed;
};

#define CELI_CHUNKS 16 /* a sum over many is cut in so many, whatever the number of threads: the same bits for any */
#define CELI_PAIRS 16   /* pairs a side that are solved together, for the sake of the columns */
/* Least curvature of a pair's unknown, where the mean is 1, and least share of a pivot that elimination may leave:
 * beyond, the preconditioner is kept positive definite rather than exact. */
#define CELI_FLAT 1e-7
#define CELI_PIVOT 1e-4

/* ---- scratch, small operations ---- */

/* Pairs of entries (i, j), (j, i) of all stacks are solved on their own: a symmetric stack has one unknown, another
 * two, f_ij and f_ji; on the diagonal (second table) always one. place says which of them block b's entries T_b,ij
 * (first row) and T_b,ji (second) are. */
static void celi_pairs_place(celi_quadratic *q)
{
    int64_t b;
    int table;
    for (table = 0; table < 2; table++) {
        int32_t *here = q->place + table * 2 * q->blocks, *there = here + q->blocks, next = 0;
        const int32_t two = table == 0;
        for (b = 0; b < q->blocks; b++) {
            if (q->kind[b] == CELI_SYMMETRIC) {
                here[b] = there[b] = next++;
            } else if (q->kind[b] == CELI_TRANSPOSED) {
                here[b] = next + two;
                there[b] = next;
                next += 1 + two;
            } else {
                here[b] = there[b - 1];
                there[b] = here[b - 1];
            }
        }
        q->dim[table] = next;
    }
}

/* The scratch of a problem whose sizes are set. */
static cel_status celi_quadratic_open(celi_quadratic *q)
{
    int64_t n = q->side, R = q->stacks;
    q->rhs = celi_pool_mat(&q->pool, R * n, n);
    q->f = celi_pool_mat(&q->pool, R * n, n);
    q->r = celi_pool_mat(&q->pool, R * n, n);
    q->d = celi_pool_mat(&q->pool, R * n, n);
    q->s = celi_pool_mat(&q->pool, R * n, n);
    q->y = celi_pool_mat(&q->pool, R * n, n);
    if (R == 2 && q->blocks == 2) q->inverse = celi_pool_mat(&q->pool, 3 * n, n);
    q->unit = (double *)celi_pool_get(&q->pool, R, sizeof(double));
    q->limit = (double *)celi_pool_get(&q->pool, R, sizeof(double));
    q->diag = (double *)celi_pool_get(&q->pool, q->blocks * q->blocks * n, sizeof(double));
    q->pair = (double *)celi_pool_get(&q->pool, CELI_CHUNKS * 2 * R * (2 * R + 1), sizeof(double));
    q->place = (int32_t *)celi_pool_get(&q->pool, 4 * q->blocks, sizeof(int32_t));
    if (!q->pool.status) celi_pairs_place(q);
    return q->pool.status;
}

static void celi_quadratic_close(celi_quadratic *q)
{
    if (q->act) q->act->drop(q);
    celi_pool_free(&q->pool);
    memset(q, 0, sizeof *q);
}

/* The bytes that celi_quadratic_open asks for. */
static double celi_quadratic_bytes(double side, double stacks, double blocks)
{
    double mats = 6 * stacks + (stacks < 3 && stacks > 1 && blocks < 3 ? 3 : 0);
    return mats * side * side * sizeof(cel_real) +
           8 * (blocks * blocks * side + CELI_CHUNKS * 2 * stacks * (2 * stacks + 1));
}

/* x . y of unknowns, in a fixed number of shares. */
static double celi_stacks_dot(cel_mat x, cel_mat y)
{
    int64_t count = x.rows * x.cols, part = (count / CELI_CHUNKS + 16) & ~(int64_t)15, c;
    double share[CELI_CHUNKS] = {0}, sum = 0;
    CELI_OMP(omp parallel for schedule(static) if (count > 16 * CELI_FORK))
    for (c = 0; c < CELI_CHUNKS; c++)
        if (c * part < count)
            share[c] = cel_vec_dot(x.data + c * part, y.data + c * part, celi_min(part, count - c * part));
    for (c = 0; c < CELI_CHUNKS; c++) sum += share[c];
    return sum;
}

/* out = (A + ridge) f. */
static cel_status celi_quadratic_apply(celi_quadratic *q, cel_mat f, double ridge, cel_mat out)
{
    int64_t n = q->side, r;
    cel_status status = q->act->apply(q, f, out);
    for (r = 0; r < q->stacks && ridge > 0 && !status; r++)
        cel_mat_axpy((cel_real)(ridge * q->unit[r]), cel_mat_block(f, r * n, 0, n, n),
                     cel_mat_block(out, r * n, 0, n, n));
    return status;
}

/* The objective of the subset at f without penalties, for a whole of the subset's size. Overwrites s. */
static cel_status celi_quadratic_value(celi_quadratic *q, cel_mat f, double *value)
{
    cel_status status = q->act->apply(q, f, q->s);
    *value = (0.5 * cel_mat_dot(f, q->s) - cel_mat_dot(f, q->rhs) + q->constant) / q->share;
    return status;
}

/* ---- the preconditioner: each pair of entries on its own ---- */

/* Two symmetric stacks, the usual case: the inverses of the pairs' 2 x 2 matrices (p o; o v), kept. */
static void celi_pairs_invert(celi_quadratic *q, double ridge)
{
    int64_t n = q->side, i;
    const double *d = q->diag, *w = q->weight;
    if (!q->inverse.data) return;
    CELI_OMP(omp parallel for schedule(static) if (n * n > CELI_FORK))
    for (i = 0; i < n; i++) {
        cel_real *to = q->inverse.data + i * n;
        int64_t j;
        for (j = 0; j < n; j++) {
            double p = w[j] * d[i] + w[i] * d[j] + 2 * ridge * q->unit[0], o = w[j] * d[n + i] + w[i] * d[n + j];
            double v = w[j] * d[3 * n + i] + w[i] * d[3 * n + j] + 2 * ridge * q->unit[1], det;
            if (!(p > CELI_FLAT)) p = CELI_FLAT;
            if (!(v > CELI_FLAT)) v = CELI_FLAT;
            det = p * v - o * o;
            if (!(det > CELI_PIVOT * p * v)) {
                det = CELI_PIVOT * p * v;
                o = (o < 0 ? -1 : 1) * sqrt(p * v - det);
            }
            det = 2 / det; /* both entries of the pair are moved: twice the gradient of one */
            to[j] = (cel_real)(v * det);
            to[n * n + j] = (cel_real)(-o * det);
            to[2 * n * n + j] = (cel_real)(p * det);
        }
    }
}

static void celi_pairs_product(const celi_quadratic *q, cel_mat r, cel_mat out)
{
    int64_t n = q->side, i;
    CELI_OMP(omp parallel for schedule(static) if (n * n > CELI_FORK))
    for (i = 0; i < n; i++) {
        const cel_real *p = q->inverse.data + i * n, *o = p + n * n, *v = o + n * n;
        const cel_real *r0 = r.data + i * n, *r1 = r0 + n * n;
        cel_real *to = out.data + i * n;
        int64_t j;
        for (j = 0; j < n; j++) {
            to[j] = p[j] * r0[j] + o[j] * r1[j];
            to[n * n + j] = o[j] * r0[j] + v[j] * r1[j];
        }
    }
}

/* The matrix M (dim x dim) and right-hand side u of pair (i, j), any stacks; returns dim. The objective's part in
 * T_a,ij T_b,ij is weight_j diag_ab,i, and the same with i and j exchanged; if i is j, both are one and the same. */
static int64_t celi_pair_load(const celi_quadratic *q, double ridge, int64_t i, int64_t j, cel_mat r, double *M,
                              double *u)
{
    int64_t n = q->side, B = q->blocks, dim = q->dim[i == j], a, b, end;
    memset(M, 0, (size_t)(dim * dim) * sizeof *M);
    for (end = 0; end < 2; end++) {
        const int32_t *at = q->place + ((i == j) * 2 + end) * B;
        const double *diag = q->diag + (end ? j : i), w = q->weight[end ? i : j];
        for (a = 0; a < B; a++) {
            double *row = M + at[a] * dim;
            for (b = 0; b < B; b++) row[at[b]] += w * diag[(a * B + b) * n];
            if (q->kind[a] != CELI_TRANSPOSED) row[at[a]] += ridge * q->unit[q->owner[a]];
        }
    }
    for (b = 0; b < B; b++) {
        const cel_real *from = r.data + q->owner[b] * n * n;
        const int32_t *at = q->place + (i == j) * 2 * B;
        double up = (double)from[i * n + j], down = (double)from[j * n + i];
        if (q->kind[b] == CELI_SYMMETRIC || (q->kind[b] == CELI_UPRIGHT && i == j)) u[at[b]] = up + down;
        else if (q->kind[b] == CELI_UPRIGHT) u[at[b]] = up;
        else if (i != j) u[at[b]] = down;
    }
    return dim;
}

static void celi_pair_store(const celi_quadratic *q, const double *u, int64_t i, int64_t j, cel_mat out)
{
    int64_t n = q->side, b;
    for (b = 0; b < q->blocks; b++) {
        const int32_t *at = q->place + (i == j) * 2 * q->blocks + b;
        cel_real *to = out.data + q->owner[b] * n * n;
        if (q->kind[b] == CELI_TRANSPOSED) continue;
        to[i * n + j] = (cel_real)u[at[0]];
        to[j * n + i] = (cel_real)u[at[q->blocks]];
    }
}

/* out = an approximate (A + ridge)^-1 r: each pair of entries on its own, all its unknowns together. With two symmetric
 * stacks after celi_pairs_invert. */
static void celi_precondition(celi_quadratic *q, double ridge, cel_mat r, cel_mat out)
{
    int64_t n = q->side, tiles = (n + CELI_PAIRS - 1) / CELI_PAIRS, most = 2 * q->stacks, c;
    if (q->inverse.data) {
        celi_pairs_product(q, r, out);
        return;
    }
    CELI_OMP(omp parallel for schedule(static) if (n * n > CELI_FORK / 4))
    for (c = 0; c < CELI_CHUNKS; c++) {
        double *M = q->pair + c * most * (most + 1), *u = M + most * most;
        int64_t tile, i, j;
        for (tile = c; tile < tiles * tiles; tile += CELI_CHUNKS) {
            int64_t row = tile / tiles * CELI_PAIRS, column = tile % tiles * CELI_PAIRS;
            for (i = row; i < celi_min(row + CELI_PAIRS, n) && column >= row; i++)
                for (j = i > column ? i : column; j < celi_min(column + CELI_PAIRS, n); j++) {
                    int64_t dim = celi_pair_load(q, ridge, i, j, r, M, u);
                    celi_small_solve(M, u, dim, CELI_PIVOT, CELI_FLAT * CELI_FLAT);
                    celi_pair_store(q, u, i, j, out);
                }
        }
    }
}

/* ---- solutions ---- */

/* What is solved for, how it ends, and what it took. */
typedef struct celi_solve {
    double ridge, l1;
    int together;    /* the l1 term is over the length of a pair's vector over the stacks */
    double tolerance;
    int relative;    /* to the residual at the start */
    int64_t limit;   /* steps at most */
    const cel_progress *progress; /* of stage "fit", or NULL */
    int64_t steps;
    double residual;
} celi_solve;

static cel_status celi_tell(const cel_progress *progress, const char *stage, int64_t done, int64_t total, double value)
{
    int stop = progress && progress->fn && progress->fn(progress->user, stage, done, total, value);
    return stop ? CEL_ERR_STOPPED : CEL_OK;
}

static cel_status celi_solve_step(celi_solve *how)
{
    cel_status status = celi_tell(how->progress, "fit", ++how->steps, how->limit, how->residual);
    return status ? status : celi_finite(how->residual) ? CEL_OK : CEL_ERR_NUMERIC;
}

/* (A + ridge) f = rhs by preconditioned conjugate gradient from f. The residual is measured by the preconditioner:
 * sqrt(r . P r), relative to that of f = 0 or of the start. */
static cel_status celi_solve_cg(celi_quadratic *q, cel_mat f, celi_solve *how)
{
    double rz, zero, curvature;
    cel_status status = CEL_OK;
    cel_mat swap;
    cel_mat_copy(q->rhs, q->r);
    celi_pairs_invert(q, how->ridge);
    celi_precondition(q, how->ridge, q->r, q->s);
    rz = zero = celi_stacks_dot(q->r, q->s);
    if (celi_stacks_dot(f, f) > 0) {
        status = celi_quadratic_apply(q, f, how->ridge, q->y);
        if (status) return status;
        cel_mat_axpy(-1, q->y, q->r);
        celi_precondition(q, how->ridge, q->r, q->s);
        rz = celi_stacks_dot(q->r, q->s);
    }
    if (how->relative) zero = rz;
    cel_mat_copy(q->s, q->d);
    /* zero below 0, or NaN, is rounding's doing: nothing can be solved, which is not convergence. */
    how->residual = zero > 0 ? sqrt(fabs(rz) / zero) : zero <= 0 && zero >= 0 ? 0.0 : HUGE_VAL;
    while (how->residual > how->tolerance && how->steps < how->limit) {
        double next;
        status = celi_quadratic_apply(q, q->d, how->ridge, q->y);
        if (status) return status;
        curvature = celi_stacks_dot(q->d, q->y);
        if (!(curvature > 0)) break;
        cel_mat_axpy((cel_real)(rz / curvature), q->d, f);
        cel_mat_axpy((cel_real)(-rz / curvature), q->y, q->r);
        celi_precondition(q, how->ridge, q->r, q->s);
        next = celi_stacks_dot(q->r, q->s);
        cel_mat_axpy((cel_real)(next / rz), q->d, q->s); /* the next direction */
        swap = q->d;
        q->d = q->s;
        q->s = swap;
        rz = next;
        how->residual = sqrt(fabs(rz) / zero);
        status = celi_solve_step(how);
        if (status) return status;
    }
    return celi_finite(how->residual) ? CEL_OK : CEL_ERR_NUMERIC;
}

/* The factor by which the l1 term's proximal step shortens something of this length. */
static cel_real celi_shrink_factor(double length, double threshold)
{
    return (cel_real)(length > threshold ? 1 - threshold / length : 0.0);
}

/* f = the point of least l1 |.|_1 + sum_r limit_r / 2 |f - .|^2, off the diagonals; together: the length over the
 * stacks (which then have one limit) of both entries of a pair takes the place of |.|, once for two entries, hence the
 * root of 2. */
static void celi_shrink(const celi_quadratic *q, const celi_solve *how, double l1, cel_mat f)
{
    int64_t n = q->side, i;
    CELI_OMP(omp parallel for schedule(static) if (n * n > CELI_FORK))
    for (i = 0; i < n; i++) {
        int64_t j, r;
        for (j = i + 1; j < n; j++) {
            double length = 0;
            for (r = 0; r < q->stacks; r++) {
                double a = (double)f.data[(r * n + i) * n + j], b = (double)f.data[(r * n + j) * n + i];
                length += a * a + b * b;
            }
            length = sqrt(length);
            for (r = 0; r < q->stacks; r++) {
                cel_real *a = f.data + (r * n + i) * n + j, *b = f.data + (r * n + j) * n + i;
                const double threshold = l1 / q->limit[r];
                const double own = q->sparse ? threshold * q->sparse[r] : threshold;
                *a *= how->together ? celi_shrink_factor(length, sqrt(2.0) * threshold)
                               : celi_shrink_factor(fabs((double)*a), own);
                *b *= how->together ? celi_shrink_factor(length, sqrt(2.0) * threshold)
                               : celi_shrink_factor(fabs((double)*b), own);
            }
        }
    }
}

/* With l1: accelerated proximal gradient (Beck & Teboulle 2009) from f, restarted when the step turns back (O'Donoghue
 * & Candes 2015). Ends when no entry moves by more than the tolerance times l1. */
static cel_status celi_solve_prox(celi_quadratic *q, cel_mat f, celi_solve *how)
{
    const int64_t one = q->side * q->side;
    int64_t count = f.rows * f.cols, k;
    double t = 1, l1 = how->l1 * q->share, unit = 0;
    cel_status status;
    for (k = 0; k < q->stacks; k++)
        if (q->unit[k] > unit) unit = q->unit[k];
    for (k = 0; k < q->stacks; k++) q->limit[k] = q->bound * (q->stiff ? q->stiff[k] : 1) + how->ridge * unit;
    cel_mat_copy(f, q->d);
    do {
        double turn = 0, move = 0, next = (1 + sqrt(1 + 4 * t * t)) / 2;
        status = celi_quadratic_apply(q, q->d, how->ridge, q->y);
        if (status) return status;
        /* r = d - (A d - rhs) / bound, shrunk; d the extrapolation that it was taken from. */
        for (k = 0; k < count; k++)
            q->r.data[k] = q->d.data[k] - (q->y.data[k] - q->rhs.data[k]) / (cel_real)q->limit[k / one];
        celi_shrink(q, how, l1, q->r);
        for (k = 0; k < count; k++) {
            double gap = ((double)q->d.data[k] - (double)q->r.data[k]) * q->limit[k / one];
            turn += gap * ((double)q->r.data[k] - (double)f.data[k]);
            if (!(fabs(gap) <= move)) move = fabs(gap);
        }
        if (turn > 0) t = next = 1;
        for (k = 0; k < count; k++) {
            q->d.data[k] = q->r.data[k] + (cel_real)((t - 1) / next) * (q->r.data[k] - f.data[k]);
            f.data[k] = q->r.data[k];
        }
        t = next;
        how->residual = move / l1;
        status = celi_solve_step(how);
        if (status) return status;
    } while (how->residual > how->tolerance && how->steps < how->limit);
    return CEL_OK;
}

/* The solution of the subset in hand, from f. */
static cel_status celi_solve_from(celi_quadratic *q, cel_mat f, celi_solve *how)
{
    how->steps = 0;
    q->ridge = how->ridge;
    return how->l1 > 0 ? celi_solve_prox(q, f, how) : celi_solve_cg(q, f, how);
}

/* The same, which `keep` may have. */
static cel_status celi_solve_kept(celi_quadratic *q, cel_mat f, celi_solve *how, const cel_keep *keep,
                                  const char *stage)
{
    const celi_extent part[] = {{f.data, (size_t)(f.rows * f.cols) * sizeof(cel_real)},
                              {&how->steps, sizeof how->steps},
                              {&how->residual, sizeof how->residual}};
    cel_status status;
    q->ridge = how->ridge;
    if (celi_recall(keep, stage, 0, part, 3)) return CEL_OK;
    status = celi_solve_from(q, f, how);
    return status ? status : celi_retain(keep, stage, 0, part, 3);
}

/* The least l1 weight at which every entry off the diagonals of the subset's solution is zero, at this ridge: found
 * with the diagonals zero, too, then with those fitted at that weight. Overwrites f. */
static cel_status celi_solve_l1_top(celi_quadratic *q, cel_mat f, celi_solve *how, double *top)
{
    int64_t n = q->side, i, r;
    int round;
    cel_status status = CEL_OK;
    cel_mat_fill(f, 0);
    for (round = 0; round < 2 && !status; round++) {
        if (round) {
            how->l1 = *top;
            status = celi_solve_from(q, f, how);
        }
        if (!status) status = celi_quadratic_apply(q, f, how->ridge, q->y);
        for (*top = 1e-30, i = 0; i < n * n && !status; i++) {
            double length = 0;
            for (r = 0; r < q->stacks && i / n != i % n; r++) {
                double e = fabs((double)q->rhs.data[r * n * n + i] - (double)q->y.data[r * n * n + i]);
                length = how->together ? sqrt(length * length + e * e) : e > length ? e : length;
            }
            if (length > *top) *top = length;
        }
    }
    return status;
}

/* ---- many subsets, side by side ---- */

/* A problem and its copies, one a thread. */
typedef struct celi_team {
    celi_quadratic *first, *twin; /* (count - 1) */
    int64_t count;
} celi_team;

static celi_quadratic *celi_team_member(const celi_team *team, int64_t k)
{
    return k ? team->twin + k - 1 : team->first;
}

static void celi_team_free(celi_team *team)
{
    int64_t k;
    for (k = 1; k < team->count; k++) celi_quadratic_close(celi_team_member(team, k));
    celi_free(team->twin);
    memset(team, 0, sizeof *team);
}

/* Threads beyond the jobs are better used within each product where that is at least so large. */
#define CELI_TEAM_LARGE 2e6

/* How many of them work on so many jobs. */
static int64_t celi_team_size(int64_t jobs, double side, double blocks)
{
    int64_t threads = cel_threads(), waves;
    if (jobs < 1 || (jobs < threads && blocks * blocks * side * side * side > CELI_TEAM_LARGE)) threads = 1;
    waves = (jobs + threads - 1) / threads;
    return waves > 0 ? (jobs + waves - 1) / waves : 1;
}

static cel_status celi_team_new(celi_quadratic *q, int64_t jobs, celi_team *team)
{
    int64_t size = q->act->twin ? celi_team_size(jobs, (double)q->side, (double)q->blocks) : 1;
    memset(team, 0, sizeof *team);
    team->twin = (celi_quadratic *)celi_alloc((size_t)size, sizeof *team->twin);
    if (!team->twin) return CEL_ERR_MEMORY;
    team->first = q;
    for (team->count = 1; team->count < size; team->count++) {
        celi_quadratic *to = celi_team_member(team, team->count);
        if (!q->act->twin(q, to)) continue;
        celi_quadratic_close(to); /* fewer will do */
        break;
    }
    return CEL_OK;
}

typedef cel_status (*celi_job)(celi_quadratic *q, int64_t job, void *arg);

/* work(first), work(first + 1) .. jobs - 1, as many at a time as there are members; after each such wave done, in
 * order, by the calling thread. */
static cel_status celi_team_run(celi_team *team, int64_t first, int64_t jobs, celi_job work, celi_job done, void *arg)
{
    int64_t wave, at;
    cel_status status = CEL_OK;
    for (wave = first; wave < jobs && !status; wave += team->count) {
        int64_t end = celi_min(wave + team->count, jobs);
        CELI_OMP(omp parallel for schedule(static, 1) if (end - wave > 1))
        for (at = wave; at < end; at++) {
            celi_quadratic *q = celi_team_member(team, at - wave);
            q->failed = work(q, at, arg);
        }
        for (at = wave; at < end && !status; at++) {
            celi_quadratic *q = celi_team_member(team, at - wave);
            status = q->failed ? q->failed : done(q, at, arg);
        }
    }
    return status;
}

/* ---- weights by held-out value, over folds of the parts ---- */

/* Rates f, fitted without the subset's parts, on these: the subset in hand. Less is better. */
typedef cel_status (*celi_rate)(celi_quadratic *q, celi_subset fold, cel_mat f, void *arg, double *value);

typedef struct celi_path {
    celi_solve how;   /* the weight to pick is how.ridge or, pick_l1, how.l1 */
    int pick_l1;
    int64_t folds;    /* of consecutive parts */
    int64_t rated;    /* the first so many of them are tried */
    const int64_t *edge; /* (folds + 1) the parts where they begin, or NULL: about equal numbers of parts */
    celi_rate rate;   /* NULL: the objective */
    void *rater;
    cel_mat trail;    /* (rated stacks side x side) each fold's solution, the next weight's start */
    const cel_progress *progress;
    const cel_keep *keep;
    const char *stage; /* of these two */
    int64_t form;     /* what tells apart the paths of a fit that has several */
    int64_t total;    /* solutions announced */
    int64_t done;
    double sum, tested;
} celi_path;

static celi_subset celi_fold(const celi_path *p, int64_t parts, int64_t k, int inside)
{
    celi_subset s;
    s.first = p->edge ? p->edge[k] : k * parts / p->folds;
    s.end = p->edge ? p->edge[k + 1] : (k + 1) * parts / p->folds;
    s.inside = inside;
    s.keep = k;
    return s;
}

static cel_status celi_path_fold(celi_quadratic *q, int64_t k, void *arg)
{
    const celi_path *p = (const celi_path *)arg;
    int64_t rows = q->stacks * q->side;
    celi_solve how = p->how;
    celi_subset fold = celi_fold(p, q->parts, k, 1);
    cel_mat f = cel_mat_block(p->trail, k * rows, 0, rows, q->side);
    cel_status status = q->act->subset(q, celi_fold(p, q->parts, k, 0));
    if (!status) status = celi_solve_from(q, f, &how);
    if (!status && p->rate) return p->rate(q, fold, f, p->rater, &q->value);
    if (!status) status = q->act->subset(q, fold);
    return status ? status : celi_quadratic_value(q, f, &q->value);
}

static cel_status celi_path_add(celi_quadratic *q, int64_t k, void *arg)
{
    celi_path *p = (celi_path *)arg;
    (void)k;
    p->sum += q->value * q->share;
    p->tested += q->share;
    return celi_tell(p->progress, p->stage, ++p->done, p->total, q->value);
}

/* The mean held-out value at the weights of p->how. */
static cel_status celi_path_value(celi_team *team, celi_path *p, double *value)
{
    cel_status status;
    p->sum = p->tested = 0;
    status = celi_team_run(team, 0, p->rated, celi_path_fold, celi_path_add, p);
    *value = p->sum / p->tested;
    return status;
}

/* Tries weight[0 .. steps - 1], heavy first, until the held-out value has risen `rises` times in a row; value (steps)
 * receives what was found, *tried how many. p->how is left with the best, whose number is *best. */
static cel_status celi_path_pick(celi_team *team, celi_path *p, int64_t steps, const double *weight, int64_t rises,
                                 double *value, int64_t *tried, int64_t *best)
{
    const celi_extent part[] = {{tried, sizeof *tried},
                              {best, sizeof *best},
                              {&p->done, sizeof p->done},
                              {value, (size_t)steps * sizeof *value},
                              {p->trail.data, (size_t)(p->trail.rows * p->trail.cols) * sizeof(cel_real)}};
    double *target = p->pick_l1 ? &p->how.l1 : &p->how.ridge;
    cel_status status = CEL_OK;
    int64_t k = 0;
    p->total = steps * p->rated;
    *best = 0;
    if (celi_recall(p->keep, p->stage, p->form, part, 5)) k = *tried;
    for (; k < steps && k <= *best + rises && !status; k++) {
        *target = weight[k];
        status = celi_path_value(team, p, value + k);
        *tried = k + 1;
        if (!status && value[k] < value[*best]) *best = k;
        if (!status) status = celi_retain(p->keep, p->stage, p->form, part, 5);
    }
    *target = weight[*best];
    return status;
}

/* ---- the delete-one jackknife ---- */

typedef struct celi_jackknife {
    celi_solve how;   /* of a replicate, from f */
    cel_mat f;        /* the solution of all parts */
    cel_mat centre;   /* what is reported of it: the replicates scatter about it */
    cel_status (*report)(celi_quadratic *q, cel_mat f, void *arg, cel_mat out);
    void *arg;
    cel_mat out;      /* (members centre.rows x centre.cols) */
    int64_t members;
    const double *root;           /* (parts) sqrt((G - 1) / G) where parts differ in their number of alike, or NULL */
    double *sum, *square;         /* (entries of centre) of the replicates' distances from it */
    const cel_progress *progress; /* of stage "errors" */
    const cel_keep *keep;
    int64_t first, done;          /* replicates that were kept, and that are in the sums */
    celi_extent part[3];            /* to be kept: these and the sums */
} celi_jackknife;

static cel_mat celi_jackknife_out(const celi_jackknife *j, int64_t k)
{
    return cel_mat_block(j->out, k % j->members * j->centre.rows, 0, j->centre.rows, j->centre.cols);
}

static cel_status celi_jackknife_replicate(celi_quadratic *q, int64_t k, void *arg)
{
    const celi_jackknife *j = (const celi_jackknife *)arg;
    celi_solve how = j->how;
    celi_subset without;
    cel_status status;
    without.first = k;
    without.end = k + 1;
    without.inside = 0;
    without.keep = -1;
    cel_mat_copy(j->f, q->f);
    status = q->act->subset(q, without);
    if (!status) status = celi_solve_from(q, q->f, &how);
    if (!status) status = j->report(q, q->f, j->arg, celi_jackknife_out(j, k));
    q->value = how.residual;
    return status;
}

static cel_status celi_jackknife_add(celi_quadratic *q, int64_t k, void *arg)
{
    celi_jackknife *j = (celi_jackknife *)arg;
    int64_t count = j->centre.rows * j->centre.cols, i;
    const cel_real *from = celi_jackknife_out(j, k).data;
    const double root = j->root ? j->root[k] : sqrt((double)(q->parts - 1) / (double)q->parts);
    cel_status status = CEL_OK;
    CELI_OMP(omp parallel for schedule(static) if (count > CELI_FORK))
    for (i = 0; i < count; i++) {
        double d = root * ((double)from[i] - (double)j->centre.data[i]);
        j->sum[i] += d;
        j->square[i] += d * d;
    }
    j->done = k + 1;
    if ((j->done - j->first) % j->members == 0 || j->done == q->parts)
        status = celi_retain(j->keep, "errors", 0, j->part, 3);
    return status ? status : celi_tell(j->progress, "errors", j->done, q->parts, q->value);
}

/* se = the standard errors of what is reported: sqrt((G - 1) / G sum_g (r_g - mean r)^2) over the G replicates. */
static cel_status celi_jackknife_run(celi_quadratic *q, celi_jackknife *j, cel_mat se)
{
    int64_t count = j->centre.rows * j->centre.cols, G = q->parts, i;
    celi_pool pool = CEL_ZERO;
    celi_team team;
    cel_status status = celi_team_new(q, G, &team);
    j->members = team.count;
    j->sum = (double *)celi_pool_get(&pool, count, sizeof(double));
    j->square = (double *)celi_pool_get(&pool, count, sizeof(double));
    if (!status) j->out = celi_pool_mat(&pool, team.count * j->centre.rows, j->centre.cols);
    if (!status) status = pool.status;
    j->part[0].data = &j->done;
    j->part[0].bytes = sizeof j->done;
    j->part[1].data = j->sum;
    j->part[2].data = j->square;
    j->part[1].bytes = j->part[2].bytes = (size_t)count * sizeof(double);
    if (!status && celi_recall(j->keep, "errors", 0, j->part, 3)) j->first = j->done;
    if (!status) status = celi_team_run(&team, j->first, G, celi_jackknife_replicate, celi_jackknife_add, j);
    for (i = 0; i < count && !status; i++) {
        double var = j->square[i] - j->sum[i] * j->sum[i] / (double)G;
        se.data[i] = (cel_real)sqrt(var > 0 ? var : 0.0);
    }
    celi_team_free(&team);
    celi_pool_free(&pool);
    return status;
}

/* ======================================================================== */
/* score                                                                    */
/* ======================================================================== */

CEL_API_DEF cel_score_options cel_score_measured(const double *size)
{
    cel_score_options o = CEL_ZERO;
    o.form = CEL_SCORE_MOMENT;
    o.field = CEL_SCORE_FIELD_SLIDE;
    o.ridge = CEL_SCORE_PICKED;
    o.size = size;
    o.measured = 1;
    return o;
}

CEL_API_DEF void cel_score_report_free(cel_score_report *report)
{
    cel_mat *const mats[] = {&report->se,    &report->z,       &report->p,    &report->q,
                             &report->field, &report->partial, &report->test, &report->share};
    size_t k;
    for (k = 0; k < sizeof mats / sizeof *mats; k++) cel_mat_free(mats[k]);
    celi_free(report->contacts);
    celi_free(report->contact_groups);
    memset(report, 0, sizeof *report);
}

/* All three forms are sums over cells of one expression. With v = dH/dx_i,
 *     J_i = 1/2 v^T D_i v - l_i . v + 2 <F_0, I - x x^T>,   D_i = I, l_i = (n - 1) x           MOMENT
 *     J_i = 1/2 v^T D_i v - l_i . v + 2 <F_0, D_i>,         D_i = I - x x^T, l_i = (n - 1) x   EXACT
 *     the same with D_i = diag(a) - u u^T, a = p3 x, u = x^2, l_i = -c                         ORTHANT
 * (manual, section 6). v = Z T(F) + h, where Z holds 2 X, then for a symmetric relation 2 N and T the force; for
 * another N+ with F^T and N- with F. Given the forces, h minimises J in closed form, a slide at a time:
 *     h = (sum D)^-1 sum (l - D Z T),
 * so that it is eliminated, and J stays quadratic in the forces alone.
 *
 * The unknowns f of the solver are forces divided by scale, so that each relation's mean curvature is 1, and, where the
 * form and the penalty allow it, in a basis of the genes' space that nearly diagonalises all blocks of the gram matrix:
 * there the normal equations nearly fall apart into one small system a pair, which is the solver's preconditioner.
 *
 * Two backends stand behind the solver: the sums (MOMENT: all from the moments) and the cells (the other two). */
#define CELI_SCORE_ROWS 256 /* cells a product */
#define CELI_SCORE_FOLDS 5
/* Beyond so many unknowns a side a fold takes minutes, and what it says of a weight, a mean over as many genes, differs
 * from another's by far less than weights do: of the folds so many are tried, and the path ends at the first rise. */
#define CELI_SCORE_LARGE 1000
#define CELI_SCORE_RATED 2
#define CELI_SCORE_MANY 30 /* genes from which on AUTO is MOMENT */
#define CELI_SCORE_TOLERANCE 1e-5
#define CELI_SCORE_STEPS 500
#define CELI_SCORE_STEPS_L1 5000
/* A weight is picked from solutions no finer than this (J is quadratic: right to the square of it), an l1 solution ends
 * at so many times the tolerance, and a replicate at this share of its way from the fit. */
#define CELI_SCORE_ROUGH 1e-3
#define CELI_SCORE_ROUGH_L1 1e-4
#define CELI_SCORE_LOOSE_L1 100
#define CELI_SCORE_REPLICATE 0.05
#define CELI_SCORE_RISES 2
#define CELI_SCORE_RIDGES 9 /* of measured data: 10^1.5 .. 10^-2.5 */
#define CELI_SCORE_TEST_RIDGE 0.01
#define CELI_SCORE_THIN 1e-3 /* least mean of D's diagonal that the preconditioner takes for true */
#define CELI_SCORE_UNIT 1e-3 /* by so much may the squared length of a row be off 1 */

static const celi_subset celi_everything = {0, 0, 0, -1};

/* A penalty's weight is given, or to be picked. */
static int celi_score_on(double weight) { return weight < 0 || weight > 0; }

/* 1 where the solution outside of the space that the rows span is known: see celi_score_rest. */
static int celi_score_confined(const cel_score_options *o)
{
    return o->measured && !celi_score_on(o->l1) && celi_score_on(o->ridge);
}

/* What AUTO and PICK stand for, unless J+ is better. */
static cel_score_form celi_score_form_used(const cel_score_options *o, int64_t genes)
{
    if (o->measured || o->size) return CEL_SCORE_MOMENT;
    if (o->form != CEL_SCORE_AUTO && o->form != CEL_SCORE_PICK) return o->form;
    return genes < CELI_SCORE_MANY ? CEL_SCORE_EXACT : CEL_SCORE_MOMENT;
}

/* What a fit was given, checked, and the moments of it. */
typedef struct celi_score_data {
    const cel_relations *relations; /* NULL: moments alone */
    cel_mat x;
    const int32_t *slide, *group;   /* (S), or NULL: one slide, no groups */
    int64_t slides, groups, cells;
    double *slide_cells;            /* (slides) */
    int64_t *edge;                  /* (folds + 1) parts where folds begin, where parts are not groups; or NULL */
    int negative;                   /* some entry is */
    double zeros;                   /* share of the entries */
    const cel_moments *part;        /* (parts) */
    cel_moments *own;               /* part, where it is ours to free */
    const int32_t *part_slide;      /* (parts) */
    cel_mat space;                  /* (genes x inner) of celi_score_reduce, or data NULL */
    const struct celi_score *like;  /* scales and basis are taken from it, or NULL */
    int64_t parts;
    celi_pool pool;
} celi_score_data;

/* Moments of some parts, about the whole's means (c, of each cell's slide), scaled and in the basis: their direction
 * outweighs all others and, turned in float together with them, would drown them. */
typedef struct celi_piece {
    cel_mat gram;  /* (m x m) sum of (z - c)(z - c)^T / cells of the whole */
    double *dev;   /* (slides m) sums of z - c */
    double *count; /* (slides) cells */
    int ready;
} celi_piece;

/* For the table of what explains a gene: all forces, none between cells, or there only those of a gene on itself. */
enum { CELI_ALL = 0, CELI_OWN = 1, CELI_SAME = 2 };

/* What does not depend on the subset, and the problem. */
typedef struct celi_score {
    const celi_score_data *data;
    cel_score_options o;             /* the form used; weights as given, or picked */
    int64_t genes, dim;              /* n; dimension of the space that the rows live in */
    int64_t side;                    /* columns of the basis, the unknowns' side */
    int64_t inner;                   /* columns of the rows as summed up: genes, or fewer (celi_score_reduce) */
    int64_t relations, blocks, m, w; /* m = blocks side: rows of T; w = blocks inner + 1: side of the moments */
    int64_t slides;                  /* of the fields: 1 unless one field a slide */
    int has_field, plain;            /* plain: all relations symmetric */
    int only;                        /* which forces are fitted: CELI_ALL .. */
    int32_t *owner, *kind;           /* (blocks) the block's relation, and how it enters (CELI_SYMMETRIC ..) */
    double *scale;                   /* (relations) F = scale f */
    double *factor;                  /* (blocks) Z's block = factor B's block */
    cel_mat basis;                   /* (genes x side), orthonormal columns */
    cel_mat turn;                    /* (inner x side) the same for the rows as summed up */
    double *weight;                  /* (side) of the preconditioner: mean of D's diagonal */
    cel_moments total;
    double *centre, *mean;           /* (slides w) mean of B, then cells / 2; (slides m) of Z, in the basis */
    celi_piece whole, *kept;         /* kept (keeps): pieces asked for again and again */
    int64_t keeps;
    cel_work *work;
    celi_pool pool;
    celi_quadratic q;
} celi_score;

/* What both backends have, at their beginning. They live in their problem's pool. */
typedef struct celi_backend {
    const celi_score *sc;
    cel_mat t, g;  /* (m x side) T(f), and its gradient */
    cel_mat half;  /* (genes x side) */
    cel_mat square; /* (inner x inner), of the sums */
    cel_mat h;     /* (slides x side) */
    cel_work *work, own_work;
} celi_backend;

/* A problem, with a context of so many bytes that begins with a backend; q->pool.status says whether it succeeded. work
 * NULL: with one of its own. */
static celi_backend *celi_backend_open(const celi_score *sc, size_t bytes, cel_work *work, const celi_actions *act,
                                       celi_quadratic *q)
{
    celi_backend *b;
    memset(q, 0, sizeof *q);
    b = (celi_backend *)celi_pool_get(&q->pool, 1, bytes);
    if (!b) return NULL;
    q->act = act;
    q->context = b;
    q->side = sc->side;
    q->stacks = sc->relations;
    q->parts = sc->o.form == CEL_SCORE_MOMENT ? sc->data->parts : sc->data->groups;
    q->blocks = sc->blocks;
    q->owner = sc->owner;
    q->kind = sc->kind;
    q->weight = sc->weight;
    celi_quadratic_open(q);
    b->sc = sc;
    b->work = work ? work : &b->own_work;
    b->t = celi_pool_mat(&q->pool, sc->m, sc->side);
    b->g = celi_pool_mat(&q->pool, sc->m, sc->side);
    b->half = celi_pool_mat(&q->pool, sc->genes, sc->side);
    b->h = celi_pool_mat(&q->pool, sc->slides, sc->side);
    return b;
}

/* g (side x side, of a relation between cells) without the forces that are not fitted: none are (OWN), or only those of
 * a gene on itself (SAME). The latter are a diagonal in the genes' own space: B g B^T takes g there, D is its diagonal,
 * and B^T D B comes back. Only the diagonal is ever formed: row i of B g times row i of B. The map is its own adjoint,
 * so that it stands on both sides of A, which stays symmetric. */
static cel_status celi_backend_restrict(celi_backend *b, cel_mat g)
{
    const celi_score *sc = b->sc;
    int64_t n = sc->side, i, k;
    cel_status status;
    if (sc->only == CELI_OWN) {
        cel_mat_fill(g, 0);
        return CEL_OK;
    }
    status = cel_mat_gemm(0, 0, 1, sc->basis, g, 0, b->half, b->work);
    for (i = 0; i < sc->genes; i++) {
        cel_real *half = b->half.data + i * n;
        const cel_real *base = sc->basis.data + i * n, d = (cel_real)cel_vec_dot(half, base, n);
        for (k = 0; k < n; k++) half[k] = d * base[k];
    }
    return status ? status : cel_mat_gemm(1, 0, 1, sc->basis, b->half, 0, g, b->work);
}

/* T(f), of the forces that are fitted: f itself where all relations are symmetric, else b->t. */
static cel_status celi_backend_embed(celi_backend *b, cel_mat f, cel_mat *t)
{
    const celi_score *sc = b->sc;
    int64_t n = sc->side, k;
    cel_status status = CEL_OK;
    *t = f;
    if (sc->plain && !sc->only) return CEL_OK;
    *t = b->t;
    for (k = 0; k < sc->blocks && !status; k++) {
        cel_mat from = cel_mat_block(f, sc->owner[k] * n, 0, n, n), to = cel_mat_block(b->t, k * n, 0, n, n);
        if (sc->kind[k] == CELI_TRANSPOSED) cel_mat_transpose(from, to);
        else cel_mat_copy(from, to);
        if (sc->only && sc->owner[k] > 0) status = celi_backend_restrict(b, to);
    }
    return status;
}

/* Its adjoint: out = the projection of g (m x side) on the unknowns. g may be out where all relations are symmetric. */
static cel_status celi_backend_project(celi_backend *b, cel_mat g, cel_mat out)
{
    const celi_score *sc = b->sc;
    int64_t n = sc->side, k;
    cel_status status = CEL_OK;
    for (k = 0; k < sc->blocks && !status; k++) {
        cel_mat from = cel_mat_block(g, k * n, 0, n, n), to = cel_mat_block(out, sc->owner[k] * n, 0, n, n);
        if (sc->only && sc->owner[k] > 0) status = celi_backend_restrict(b, from);
        if (sc->kind[k] == CELI_TRANSPOSED) {
            cel_mat_transpose(from, to);
        } else if (sc->kind[k] == CELI_UPRIGHT) {
            cel_mat_axpy(1, from, to);
        } else {
            if (from.data != to.data) cel_mat_copy(from, to);
            cel_mat_symmetrise(to);
        }
    }
    return status;
}

/* ---- the sums: the moment form's gram matrix and right-hand side of a subset ---- */

typedef struct celi_sums {
    celi_backend base;
    celi_piece part;      /* scratch, of the subset's or the left-out parts */
    celi_piece now;       /* of the subset; its gram matrix becomes Z^T Z / cells of the whole, fields eliminated */
    double *sum;          /* (slides m) of the subset: sums of z */
    double *gather;       /* (w x w) */
    double *sums;         /* (slides w) */
    cel_mat wide;         /* (2 m x genes), of measured data, like what follows */
    cel_mat pull;         /* (genes x genes) of celi_size_gauge */
    double *lines;        /* (5 genes) */
    cel_real *line;       /* (5 genes) */
} celi_sums;

/* sums (slides w) = each slide's sums of the rows of B, of parts first .. end - 1; the last of them is half the number
 * of cells. */
static void celi_score_sums(const celi_score *sc, int64_t first, int64_t end, double *sums)
{
    int64_t w = sc->w, g, i;
    memset(sums, 0, (size_t)(sc->slides * w) * sizeof *sums);
    for (g = first; g < end; g++) {
        const double *from = sc->data->part[g].gram;
        double *to = sums + (sc->slides > 1 ? sc->data->part_slide[g] : 0) * w;
        for (i = 0; i < w; i++) to[i] += 2 * from[i * w + w - 1];
    }
}

/* gather (w x w) = their moments. Those of all parts were summed once: folds and replicates ask for the whole less some
 * parts, and subtract. */
static void celi_score_gather(const celi_score *sc, int64_t first, int64_t end, double *gather)
{
    const int all = end - first == sc->data->parts;
    int64_t w = sc->w, g, i;
    if (all) memcpy(gather, sc->total.gram, (size_t)(w * w) * sizeof *gather);
    else memset(gather, 0, (size_t)(w * w) * sizeof *gather);
    for (g = first; g < end && !all; g++) {
        const double *from = sc->data->part[g].gram;
        CELI_OMP(omp parallel for schedule(static) if (w * w > CELI_FORK))
        for (i = 0; i < w * w; i++) gather[i] += from[i];
    }
}

/* The same about the whole's means: of each slide
 * sum (b - c)(b - c)^T = sum b b^T - (sum b) c^T - c (sum b)^T + count c c^T, and sum (b - c) = sum b - count c. */
static void celi_score_about_means(const celi_score *sc, double *gather, double *sums)
{
    int64_t w = sc->w, s, i;
    for (s = 0; s < sc->slides; s++) {
        double *sum = sums + s * w, count = 2 * sum[w - 1];
        const double *c = sc->centre + s * w;
        CELI_OMP(omp parallel for schedule(static) if (w * w > CELI_FORK))
        for (i = 0; i < w - 1; i++) {
            int64_t k;
            for (k = 0; k < w - 1; k++) gather[i * w + k] -= sum[i] * c[k] + c[i] * (sum[k] - count * c[k]);
        }
        for (i = 0; i < w - 1; i++) sum[i] -= count * c[i];
    }
}

/* out (m) = in (w - 1), scaled and in the basis. */
static void celi_score_turn(const celi_score *sc, const double *in, double *out)
{
    int64_t n = sc->inner, side = sc->side, b, i, j;
    memset(out, 0, (size_t)sc->m * sizeof *out);
    for (b = 0; b < sc->blocks; b++, in += n, out += side)
        for (i = 0; i < n; i++)
            for (j = 0; j < side; j++) out[j] += sc->factor[b] * in[i] * (double)sc->turn.data[i * side + j];
}

/* to = V^T G V, G = block (a, c) of gather, scaled. V (genes x any); data NULL: G itself. */
static cel_status celi_score_block(celi_backend *b, const double *gather, int64_t a, int64_t c, cel_mat V, cel_mat to)
{
    const celi_score *sc = b->sc;
    const int64_t n = sc->inner, w = sc->w;
    const double *from = gather + a * n * w + c * n, k = sc->factor[a] * sc->factor[c] / (double)sc->data->cells;
    cel_mat square = V.data ? b->square : to, half = cel_mat_block(b->half, 0, 0, n, V.cols);
    int64_t i;
    cel_status status;
    CELI_OMP(omp parallel for schedule(static) if (n * n > CELI_FORK))
    for (i = 0; i < n; i++) {
        int64_t j;
        for (j = 0; j < n; j++) square.data[i * square.stride + j] = (cel_real)(k * from[i * w + j]);
    }
    if (!V.data) return CEL_OK;
    status = cel_mat_gemm(0, 0, 1, square, V, 0, half, b->work);
    if (!status) status = cel_mat_gemm(1, 0, 1, V, half, 0, to, b->work);
    if (a == c) cel_mat_symmetrise(to);
    return status;
}

static cel_status celi_piece_open(const celi_score *sc, celi_pool *pool, celi_piece *p)
{
    p->gram = celi_pool_mat(pool, sc->m, sc->m);
    p->dev = (double *)celi_pool_get(pool, sc->slides * sc->m, sizeof(double));
    p->count = (double *)celi_pool_get(pool, sc->slides, sizeof(double));
    return pool->status;
}

/* The piece of parts first .. end - 1. */
static cel_status celi_sums_measure(celi_sums *u, int64_t first, int64_t end, celi_piece *piece)
{
    const celi_score *sc = u->base.sc;
    int64_t side = sc->side, w = sc->w, s, a, b;
    cel_status status = CEL_OK;
    celi_score_sums(sc, first, end, u->sums);
    celi_score_gather(sc, first, end, u->gather);
    celi_score_about_means(sc, u->gather, u->sums);
    for (s = 0; s < sc->slides; s++) {
        celi_score_turn(sc, u->sums + s * w, piece->dev + s * sc->m);
        /* The last column of B is 1/2, hence the 2. */
        piece->count[s] = 2 * u->sums[s * w + w - 1];
    }
    for (a = 0; a < sc->blocks; a++)
        for (b = a; b < sc->blocks && !status; b++) {
            cel_mat to = cel_mat_block(piece->gram, a * side, b * side, side, side);
            status = celi_score_block(&u->base, u->gather, a, b, sc->turn, to);
            if (a < b) cel_mat_transpose(to, cel_mat_block(piece->gram, b * side, a * side, side, side));
        }
    piece->ready = !status;
    return status;
}

/* now = the piece, or the whole without it, and what follows from its sums. */
static void celi_sums_count(celi_quadratic *q, celi_sums *u, const celi_piece *piece, int inside)
{
    const celi_score *sc = u->base.sc;
    const double unit = 1 / sc->factor[0], n1 = sc->o.measured ? 0 : (double)(sc->dim - 1);
    int64_t m = sc->m, s, i;
    double cells = 0;
    CELI_OMP(omp parallel for schedule(static) if (m * m > CELI_FORK))
    for (i = 0; i < m * m; i++)
        u->now.gram.data[i] = inside ? piece->gram.data[i] : sc->whole.gram.data[i] - piece->gram.data[i];
    q->constant = 0;
    for (s = 0; s < sc->slides; s++) {
        double square = 0, count = inside ? piece->count[s] : sc->whole.count[s] - piece->count[s];
        u->now.count[s] = count;
        cells += count;
        for (i = s * m; i < (s + 1) * m; i++) {
            u->now.dev[i] = inside ? piece->dev[i] : sc->whole.dev[i] - piece->dev[i];
            u->sum[i] = u->now.dev[i] + count * sc->mean[i];
        }
        for (i = s * m; i < s * m + sc->side; i++) square += unit * unit * u->sum[i] * u->sum[i];
        /* What h = (n - 1) mean of x brings where there are no forces. */
        if (sc->has_field && count > 0.5) q->constant -= 0.5 * n1 * n1 * square / (count * (double)sc->data->cells);
    }
    q->share = cells / (double)sc->data->cells;
    for (i = 0; i < sc->relations; i++) q->unit[i] = q->share;
}

/* The problem of the piece (inside), or of the whole without it. With K the gram matrix about the subset's own means,
 * M = sum sum^T / count the means' part of it (of each slide, and then added), and x = unit z_0:
 *     gram = K, or K + M without a field;
 *     rhs_b = (n - 1) unit gram_b0, from l = (n - 1) x, and for b = 0 also unit (K + M)_00 - factor_0 I share, from
 *     - 2 <F_0, I - x x^T>.
 * Of measured data f_0 stands for 2 n A / factor_0: only - factor_0 I share is left, and the ridge is in units of the
 * blocks' mean diagonal. */
static cel_status celi_sums_use(celi_quadratic *q, const celi_piece *piece, int inside)
{
    celi_sums *u = (celi_sums *)q->context;
    const celi_score *sc = u->base.sc;
    int64_t n = sc->side, m = sc->m, i;
    double unit = sc->o.measured ? 0 : 1 / sc->factor[0], n1 = (double)(sc->dim - 1), cells = (double)sc->data->cells;
    celi_sums_count(q, u, piece, inside);
    /* now is about the whole's means c. About the subset's own it is less by dev dev^T / count, and about zero more
     * than that by sum sum^T / count. So only small numbers are subtracted in cel_real. The sums over slides of both
     * are added row by row of gram, each row by one thread. */
    CELI_OMP(omp parallel for schedule(static) if (m * m > CELI_FORK))
    for (i = 0; i < m; i++) {
        int64_t s, k;
        cel_real *to = u->now.gram.data + i * m, *rhs = u->base.g.data + i * n;
        for (k = 0; k < n; k++) rhs[k] = 0;
        for (s = 0; s < sc->slides; s++) {
            const double *dev = u->now.dev + s * m, *sum = u->sum + s * m;
            double over = u->now.count[s] > 0.5 ? 1 / (u->now.count[s] * cells) : 0.0;
            double own = over * dev[i], mean = over * sum[i], kept = sc->has_field ? 0.0 : mean;
            for (k = 0; k < m; k++) to[k] += (cel_real)(kept * sum[k] - own * dev[k]);
            for (k = 0; k < n && i < n && sc->has_field; k++) rhs[k] += (cel_real)(mean * sum[k]);
        }
        for (k = 0; k < n; k++)
            rhs[k] = (cel_real)(unit * (n1 * (double)to[k] + (i < n ? (double)to[k] + (double)rhs[k] : 0.0)));
        if (i < n) rhs[i] -= (cel_real)(sc->factor[0] * q->share);
        /* Nearly all that the preconditioner knows of A: the diagonals of the blocks of gram. */
        for (k = 0; k < sc->blocks; k++) q->diag[(i / n * sc->blocks + k) * n + i % n] = (double)to[k * n + i % n];
    }
    for (i = 0; i < sc->relations && sc->o.measured; i++) q->unit[i] = 0;
    for (i = 0; i < m && sc->o.measured; i++)
        q->unit[sc->owner[i / n]] += (double)u->now.gram.data[i * (m + 1)] / (double)sc->dim;
    return celi_backend_project(&u->base, u->base.g, q->rhs);
}

static cel_status celi_sums_subset(celi_quadratic *q, celi_subset which)
{
    celi_sums *u = (celi_sums *)q->context;
    const celi_score *sc = u->base.sc;
    celi_piece *piece = which.keep >= 0 && which.keep < sc->keeps ? sc->kept + which.keep : &u->part;
    cel_status status = CEL_OK;
    if (which.first == which.end && !which.inside) return celi_sums_use(q, &sc->whole, 1);
    if (piece == &u->part || !piece->ready) status = celi_sums_measure(u, which.first, which.end, piece);
    return status ? status : celi_sums_use(q, piece, which.inside);
}

static cel_status celi_sums_apply(celi_quadratic *q, cel_mat f, cel_mat out)
{
    celi_sums *u = (celi_sums *)q->context;
    cel_mat t, g = u->base.sc->plain ? out : u->base.g;
    cel_status status = celi_backend_embed(&u->base, f, &t);
    /* Without forces between cells the rest is zeros, and not asked for. */
    const int64_t rows = u->base.sc->only == CELI_OWN ? t.cols : t.rows;
    if (!status)
        status = cel_mat_gemm(0, 0, 1, cel_mat_block(u->now.gram, 0, 0, rows, rows),
                              cel_mat_block(t, 0, 0, rows, t.cols), 0, cel_mat_block(g, 0, 0, rows, t.cols),
                              u->base.work);
    return status ? status : celi_backend_project(&u->base, g, out);
}

/* h = (n - 1) mean of x - mean of Z T; of measured data, where the forces are about the means, without the first. */
static cel_status celi_sums_fields(celi_quadratic *q, cel_mat f)
{
    celi_sums *u = (celi_sums *)q->context;
    const celi_score *sc = u->base.sc;
    const double n1 = sc->o.measured ? 0 : (double)(sc->dim - 1);
    int64_t n = sc->side, s, i, j;
    cel_mat t;
    cel_status status = celi_backend_embed(&u->base, f, &t);
    for (s = 0; s < sc->slides; s++) {
        const double *sum = u->sum + s * sc->m;
        double over = u->now.count[s] > 0.5 ? 1 / u->now.count[s] : 0.0;
        for (j = 0; j < n; j++) {
            double h = n1 * sum[j] / sc->factor[0];
            for (i = 0; i < sc->m; i++) h -= sum[i] * (double)t.data[i * n + j];
            u->base.h.data[s * n + j] = (cel_real)(h * over);
        }
    }
    return status;
}

/* A problem of the sums. */
static cel_status celi_sums_open(const celi_score *sc, cel_work *work, const celi_actions *act, celi_quadratic *q)
{
    celi_sums *u = (celi_sums *)celi_backend_open(sc, sizeof *u, work, act, q);
    celi_pool *p = &q->pool;
    int64_t n = sc->genes;
    if (!u) return CEL_ERR_MEMORY;
    celi_piece_open(sc, p, &u->part);
    celi_piece_open(sc, p, &u->now);
    u->sum = (double *)celi_pool_get(p, sc->slides * sc->m, sizeof(double));
    u->base.square = celi_pool_mat(p, sc->inner, sc->inner);
    u->gather = (double *)celi_pool_get(p, sc->w * sc->w, sizeof(double));
    u->sums = (double *)celi_pool_get(p, sc->slides * sc->w, sizeof(double));
    if (!sc->o.measured) return p->status;
    u->wide = celi_pool_mat(p, 2 * sc->m, n);
    u->pull = celi_pool_mat(p, n, n);
    u->lines = (double *)celi_pool_get(p, 5 * n, sizeof(double));
    u->line = (cel_real *)celi_pool_get(p, 5 * n, sizeof(cel_real));
    return p->status;
}

static cel_status celi_sums_twin(const celi_quadratic *q, celi_quadratic *out)
{
    cel_status status = celi_sums_open(((const celi_backend *)q->context)->sc, NULL, q->act, out);
    out->bound = q->bound;
    return status;
}

static void celi_sums_drop(celi_quadratic *q) { cel_work_free(&((celi_backend *)q->context)->own_work); }

static const celi_actions celi_sums_actions = {celi_sums_subset, celi_sums_apply, celi_sums_twin, celi_sums_drop};

/* ---- the cells: the exact form and J+, by two products over all cells an application ---- */

typedef struct celi_cells {
    celi_backend base;
    cel_mat z, v;           /* (S x m), (S x side): cells in the order of the groups */
    int32_t *slide;         /* (S) in that order */
    int64_t *start;         /* (groups + 1) the groups' rows */
    int64_t first, end;     /* the rows of the subset in hand, if inside, else those left out */
    int inside;
    double *lin_all, *lin;  /* (m + slides (side + 1)) x side: sums of Z l^T, then a slide of D and l; whole, subset */
    cel_mat curve;          /* (slides side x side) Cholesky factors of the slides' sums of D */
    cel_mat l, u;           /* (ROWS x side) */
    double *sum;            /* (side) of l of a few cells */
    cel_mat now;            /* T of the forces in hand */
    double *acc, *acc_h;    /* (CHUNKS x m side), (CHUNKS x slides side) */
    cel_mat chunk_g;        /* (CHUNKS m x side) */
    cel_work *chunk_work;   /* (CHUNKS) */
    cel_status failed[CELI_CHUNKS];
} celi_cells;

/* What D_i = diag(a) - u u^T and l_i of a cell take from its whole row y (n): sums of y and of y^3. */
typedef struct celi_cell {
    int orthant;
    double n1, p1, p3;
} celi_cell;

static celi_cell celi_cell_of(cel_score_form form, int64_t n, const cel_real *x, double unit)
{
    celi_cell c = CEL_ZERO;
    int64_t k;
    c.orthant = form == CEL_SCORE_ORTHANT;
    c.n1 = (double)(n - 1);
    for (k = 0; k < n && c.orthant; k++) {
        double y = unit * (double)x[k];
        c.p1 += y;
        c.p3 += y * y * y;
    }
    return c;
}

/* Their entries where that of the row is y. */
static void celi_cell_entry(const celi_cell *c, double y, double *a, double *u, double *l)
{
    *a = c->orthant ? c->p3 * y : 1;
    *u = c->orthant ? y * y : y;
    *l = c->orthant ? 2 * c->p1 * y * y - c->p3 - y * y * y : c->n1 * y;
}

/* out = D_i v, or out += D_i v (add); v may be out. The cell's row is unit x. In cel_real: it is run for every cell of
 * every step. */
static void celi_score_curve(int orthant, int64_t n, const cel_real *x, cel_real unit, const cel_real *v, int add,
                             cel_real *out)
{
    const cel_real scale = orthant ? unit * unit * unit * unit : unit * unit;
    cel_real dot = 0, p3 = 0;
    int64_t k;
    for (k = 0; k < n; k++) {
        cel_real u = orthant ? x[k] * x[k] : x[k];
        dot += u * v[k];
        p3 += u * x[k];
    }
    dot *= scale;
    p3 *= scale;
    for (k = 0; k < n; k++) {
        cel_real value = orthant ? p3 * x[k] * v[k] - dot * x[k] * x[k] : v[k] - dot * x[k];
        out[k] = add ? out[k] + value : value;
    }
}

/* The sums of D (side x side) and l (side) of slide s in lin. */
static double *celi_cells_slide(const celi_score *sc, double *lin, int64_t s)
{
    return lin + (sc->m + s * (sc->side + 1)) * sc->side;
}

/* lin += sign times the sums over rows first .. end - 1, up to ROWS of one slide at a time. */
static cel_status celi_cells_add(celi_cells *c, double sign, int64_t first, int64_t end, double *lin)
{
    const celi_score *sc = c->base.sc;
    int64_t n = sc->side, m = sc->m, rows, i, k;
    const double unit = 1 / sc->factor[0];
    cel_mat square = cel_mat_block(c->base.half, 0, 0, n, n);
    cel_status status = CEL_OK;
    for (; first < end && !status; first += rows) {
        double *own = celi_cells_slide(sc, lin, c->slide[first]), a, u, l;
        cel_mat ls = c->l, us = c->u;
        memset(c->sum, 0, (size_t)n * sizeof *c->sum);
        for (rows = 0; rows < celi_min(CELI_SCORE_ROWS, end - first); rows++) {
            const cel_real *x = c->z.data + (first + rows) * m;
            const celi_cell cell = celi_cell_of(sc->o.form, n, x, unit);
            if (c->slide[first + rows] != c->slide[first]) break;
            for (k = 0; k < n; k++) {
                celi_cell_entry(&cell, unit * (double)x[k], &a, &u, &l);
                us.data[rows * n + k] = (cel_real)u;
                ls.data[rows * n + k] = (cel_real)l;
                own[k * n + k] += sign * a;
                c->sum[k] += l;
            }
        }
        ls.rows = us.rows = rows;
        status = cel_mat_gemm(1, 0, 1, cel_mat_block(c->z, first, 0, rows, m), ls, 0, c->base.g, c->base.work);
        if (!status) status = cel_mat_syrk(1, 1, us, 0, square, c->base.work);
        for (i = 0; i < m * n; i++) lin[i] += sign * (double)c->base.g.data[i];
        for (i = 0; i < n; i++)
            for (k = 0; k < n; k++) own[i * n + k] -= sign * (double)square.data[i * square.stride + k];
        for (k = 0; k < n; k++) own[n * n + k] += sign * c->sum[k];
    }
    return status;
}

/* The next run of the subset's rows from *at on, before end: at most ROWS of them, 0 if there is none. */
static int64_t celi_cells_run(const celi_cells *c, int64_t *at, int64_t end)
{
    if (c->inside) {
        if (*at < c->first) *at = c->first;
        end = celi_min(end, c->end);
    } else {
        if (*at >= c->first && *at < c->end) *at = c->end;
        if (*at < c->first) end = celi_min(end, c->first);
    }
    return *at < end ? celi_min(CELI_SCORE_ROWS, end - *at) : 0;
}

/* v = D_i times rows of Z T, and each slide's sum of it where fields are to be eliminated. Without T in hand: zeros. */
static cel_status celi_cells_forward(celi_cells *c, int64_t chunk, int64_t at, int64_t rows)
{
    const celi_score *sc = c->base.sc;
    const int orthant = sc->o.form == CEL_SCORE_ORTHANT;
    const cel_real unit = (cel_real)(1 / sc->factor[0]);
    int64_t n = sc->side, m = sc->m, i, k;
    cel_mat z = cel_mat_block(c->z, at, 0, rows, m), v = cel_mat_block(c->v, at, 0, rows, n);
    cel_status status;
    cel_mat_fill(v, 0);
    if (!c->now.data) return CEL_OK;
    status = cel_mat_gemm(0, 0, 1, z, c->now, 0, v, c->chunk_work + chunk);
    for (i = 0; i < rows; i++) {
        cel_real *y = v.data + i * n;
        double *to = c->acc_h + (chunk * sc->slides + c->slide[at + i]) * n;
        celi_score_curve(orthant, n, z.data + i * m, unit, y, 0, y);
        for (k = 0; k < n && sc->has_field; k++) to[k] += (double)y[k];
    }
    return status;
}

/* The chunk's gradient += Z^T (v + D h). */
static cel_status celi_cells_back(celi_cells *c, int64_t chunk, int64_t at, int64_t rows)
{
    const celi_score *sc = c->base.sc;
    const int orthant = sc->o.form == CEL_SCORE_ORTHANT;
    const cel_real unit = (cel_real)(1 / sc->factor[0]);
    int64_t n = sc->side, m = sc->m, i;
    cel_mat z = cel_mat_block(c->z, at, 0, rows, m), v = cel_mat_block(c->v, at, 0, rows, n);
    cel_mat part = cel_mat_block(c->chunk_g, chunk * m, 0, m, n);
    double *to = c->acc + chunk * m * n;
    cel_status status;
    for (i = 0; i < rows && sc->has_field; i++)
        celi_score_curve(orthant, n, z.data + i * m, unit, c->base.h.data + c->slide[at + i] * n, 1, v.data + i * n);
    status = cel_mat_gemm(1, 0, 1, z, v, 0, part, c->chunk_work + chunk);
    for (i = 0; i < m * n; i++) to[i] += (double)part.data[i];
    return status;
}

/* One step over all rows of the subset: chunks of rows, each by one thread, with sums of its own. How many there are
 * does not depend on the threads, and so neither do the sums. */
static cel_status celi_cells_sweep(celi_cells *c,
                                   cel_status (*step)(celi_cells *c, int64_t chunk, int64_t at, int64_t rows))
{
    int64_t S = c->z.rows, chunk;
    cel_status status = CEL_OK;
    CELI_OMP(omp parallel for schedule(static) if (S * c->base.sc->m > 4 * CELI_FORK))
    for (chunk = 0; chunk < CELI_CHUNKS; chunk++) {
        int64_t at = chunk * S / CELI_CHUNKS, end = (chunk + 1) * S / CELI_CHUNKS, rows;
        cel_status here = CEL_OK;
        for (; !here && (rows = celi_cells_run(c, &at, end)) > 0; at += rows) here = step(c, chunk, at, rows);
        c->failed[chunk] = here;
    }
    for (chunk = 0; chunk < CELI_CHUNKS && !status; chunk++) status = c->failed[chunk];
    return status;
}

/* h = (sum D)^-1 ((sum of l, if asked) - sum of D Z T), a slide. An application of A is linear in f and goes without l;
 * what l brings is the same for all f, and is part of the right-hand side. */
static cel_status celi_cells_eliminate(celi_cells *c, int with_l)
{
    const celi_score *sc = c->base.sc;
    int64_t n = sc->side, s, i, k;
    cel_status status = CEL_OK;
    for (s = 0; s < sc->slides && !status; s++) {
        cel_mat h = cel_mat_view(c->base.h.data + s * n, n, 1);
        const double *l = celi_cells_slide(sc, c->lin, s) + n * n;
        for (i = 0; i < n; i++) {
            double sum = 0;
            for (k = 0; k < CELI_CHUNKS; k++) sum += c->acc_h[(k * sc->slides + s) * n + i];
            h.data[i] = (cel_real)((with_l ? l[i] : 0.0) - sum);
        }
        status = cel_mat_cholesky_solve(cel_mat_block(c->curve, s * n, 0, n, n), h);
    }
    return status;
}

/* out = the projection of the sum over the subset of Z^T D (Z T(f) + h) / S, h as eliminated. f.data NULL: f = 0. The
 * fields need all of D Z T before any cell can be given its h: hence two sweeps. */
static cel_status celi_cells_pass(celi_cells *c, cel_mat f, int with_l, cel_mat out)
{
    const celi_score *sc = c->base.sc;
    int64_t n = sc->side, size = sc->m * n, i, k;
    cel_status status = CEL_OK;
    c->now = f;
    if (f.data) status = celi_backend_embed(&c->base, f, &c->now);
    memset(c->acc, 0, (size_t)(CELI_CHUNKS * size) * sizeof *c->acc);
    memset(c->acc_h, 0, (size_t)(CELI_CHUNKS * sc->slides * n) * sizeof *c->acc_h);
    if (!status) status = celi_cells_sweep(c, celi_cells_forward);
    if (!status && sc->has_field) status = celi_cells_eliminate(c, with_l);
    if (!status) status = celi_cells_sweep(c, celi_cells_back);
    for (i = 0; i < size; i++) {
        double sum = 0;
        for (k = 0; k < CELI_CHUNKS; k++) sum += c->acc[k * size + i];
        c->base.g.data[i] = (cel_real)(sum / (double)c->z.rows);
    }
    return status ? status : celi_backend_project(&c->base, c->base.g, out);
}

/* The factor of slide s's sum of D, kept off singular by rounding's size. A slide without rows in the subset has
 * no field to find: the identity will do. */
static cel_status celi_cells_factor(celi_cells *c, int64_t s)
{
    const celi_score *sc = c->base.sc;
    int64_t n = sc->side, i, k;
    const double *D = celi_cells_slide(sc, c->lin, s), *all = celi_cells_slide(sc, c->lin_all, s);
    double part = 0, whole = 0, tiny;
    cel_mat to = cel_mat_block(c->curve, s * n, 0, n, n);
    int empty;
    for (i = 0; i < n; i++) {
        part += D[i * n + i];
        whole += all[i * n + i];
    }
    empty = !(part > 1e-9 * whole);
    tiny = part * (sizeof(cel_real) == 4 ? 1e-6 : 1e-13);
    for (i = 0; i < n; i++)
        for (k = 0; k < n; k++)
            to.data[i * n + k] = (cel_real)(empty ? (i == k ? 1.0 : 0.0) : D[i * n + k] + (i == k ? tiny : 0.0));
    return cel_mat_cholesky(to);
}

/* The subset's right-hand side: sums of Z l^T, of - 2 <F_0, D>, and what the fields bring: with h_0 = (sum D)^-1 sum l,
 * the fields where there are no forces, rhs -= Z^T D h_0 and constant -= 1/2 h_0 . sum l. Sums over the few rows left
 * out are taken from the whole's, which saves nearly all of a replicate's preparation. */
static cel_status celi_cells_subset(celi_quadratic *q, celi_subset which)
{
    celi_cells *c = (celi_cells *)q->context;
    const celi_score *sc = c->base.sc;
    int64_t n = sc->side, m = sc->m, S = c->z.rows, s, i;
    size_t bytes = (size_t)((m + sc->slides * (n + 1)) * n) * sizeof(double);
    cel_mat none = CEL_ZERO;
    cel_status status;
    c->first = c->start[which.first];
    c->end = c->start[which.end];
    c->inside = which.inside;
    q->constant = 0;
    q->share = (double)(which.inside ? c->end - c->first : S - (c->end - c->first)) / (double)S;
    for (i = 0; i < sc->relations; i++) q->unit[i] = q->share;
    if (which.inside) memset(c->lin, 0, bytes);
    else memcpy(c->lin, c->lin_all, bytes);
    status = celi_cells_add(c, which.inside ? 1 : -1, c->first, c->end, c->lin);
    for (i = 0; i < m * n; i++) c->base.g.data[i] = (cel_real)(c->lin[i] / (double)S);
    for (s = 0; s < sc->slides && !status; s++) {
        const double *D = celi_cells_slide(sc, c->lin, s);
        for (i = 0; i < n * n; i++) c->base.g.data[i] -= (cel_real)(sc->factor[0] * D[i] / (double)S);
        if (sc->has_field) status = celi_cells_factor(c, s);
    }
    if (!status) status = celi_backend_project(&c->base, c->base.g, q->rhs);
    if (status || !sc->has_field) return status;
    status = celi_cells_pass(c, none, 1, q->r);
    cel_mat_axpy(-1, q->r, q->rhs);
    for (s = 0; s < sc->slides; s++) {
        const double *l = celi_cells_slide(sc, c->lin, s) + n * n;
        for (i = 0; i < n; i++) q->constant -= 0.5 * l[i] * (double)c->base.h.data[s * n + i] / (double)S;
    }
    return status;
}

static cel_status celi_cells_apply(celi_quadratic *q, cel_mat f, cel_mat out)
{
    return celi_cells_pass((celi_cells *)q->context, f, 0, out);
}

static cel_status celi_cells_fields(celi_quadratic *q, cel_mat f)
{
    return celi_cells_pass((celi_cells *)q->context, f, 1, q->s);
}

static void celi_cells_drop(celi_quadratic *q)
{
    celi_cells *c = (celi_cells *)q->context;
    int k;
    for (k = 0; k < CELI_CHUNKS && c->chunk_work; k++) cel_work_free(c->chunk_work + k);
}

static const celi_actions celi_cells_actions = {celi_cells_subset, celi_cells_apply, NULL, celi_cells_drop};

/* Z, by rows of B in the order `list`. */
static cel_status celi_cells_fill(celi_cells *c, const int32_t *list)
{
    const celi_score *sc = c->base.sc;
    const celi_score_data *d = sc->data;
    int64_t S = d->x.rows, n = sc->genes, first, b;
    celi_pool pool = CEL_ZERO;
    cel_mat rows = celi_pool_mat(&pool, CELI_MOMENTS_BLOCK, sc->w);
    celi_moments_input in = CEL_ZERO;
    cel_status status = pool.status;
    in.relations = d->relations;
    in.x = d->x;
    in.list = list;
    for (first = 0; first < S && !status; first += rows.rows) {
        rows.rows = celi_min(CELI_MOMENTS_BLOCK, S - first);
        status = celi_moments_rows(&in, NULL, first, rows.rows, rows);
        for (b = 0; b < sc->blocks && !status; b++)
            status = cel_mat_gemm(0, 0, (cel_real)sc->factor[b], cel_mat_block(rows, 0, b * n, rows.rows, n), sc->turn,
                                  0, cel_mat_block(c->z, first, b * sc->side, rows.rows, sc->side), c->base.work);
    }
    celi_pool_free(&pool);
    return status;
}

/* A problem of the cells. */
static cel_status celi_cells_open(celi_score *sc, cel_work *work, celi_quadratic *q)
{
    const celi_score_data *d = sc->data;
    celi_cells *c = (celi_cells *)celi_backend_open(sc, sizeof *c, work, &celi_cells_actions, q);
    int64_t n = sc->side, m = sc->m, S = d->x.rows, size = (m + sc->slides * (n + 1)) * n, i, s;
    celi_pool *p = &q->pool;
    int32_t *list;
    cel_status status;
    if (!c) return CEL_ERR_MEMORY;
    c->z = celi_pool_mat(p, S, m);
    c->v = celi_pool_mat(p, S, n);
    c->slide = (int32_t *)celi_pool_get(p, S, sizeof(int32_t));
    c->start = (int64_t *)celi_pool_get(p, d->groups + 1, sizeof(int64_t));
    c->lin_all = (double *)celi_pool_get(p, size, sizeof(double));
    c->lin = (double *)celi_pool_get(p, size, sizeof(double));
    c->curve = celi_pool_mat(p, sc->slides * n, n);
    c->l = celi_pool_mat(p, CELI_SCORE_ROWS, n);
    c->u = celi_pool_mat(p, CELI_SCORE_ROWS, n);
    c->sum = (double *)celi_pool_get(p, n, sizeof(double));
    c->acc = (double *)celi_pool_get(p, CELI_CHUNKS * m * n, sizeof(double));
    c->acc_h = (double *)celi_pool_get(p, CELI_CHUNKS * sc->slides * n, sizeof(double));
    c->chunk_g = celi_pool_mat(p, CELI_CHUNKS * m, n);
    c->chunk_work = (cel_work *)celi_pool_get(p, CELI_CHUNKS, sizeof(cel_work));
    list = (int32_t *)celi_pool_get(p, S, sizeof(int32_t));
    if (p->status) return p->status;
    /* By group, so that a subset is one run of rows or all but one; within it as cells lie in the tissue. */
    for (i = 0; i < S; i++) list[i] = (int32_t)i;
    if (d->groups > 0) celi_group(d->group, celi_relation_walk(d->relations), S, d->groups, c->start, list);
    for (i = 0; i < S && sc->slides > 1; i++) c->slide[i] = d->slide[list[i]];
    status = celi_cells_fill(c, list);
    if (!status) status = celi_cells_add(c, 1, 0, S, c->lin_all);
    for (i = 0; i < n; i++) {
        double sum = 0;
        for (s = 0; s < sc->slides; s++) sum += celi_cells_slide(sc, c->lin_all, s)[i * n + i];
        sc->weight[i] = sum > CELI_SCORE_THIN * (double)S ? sum / (double)S : CELI_SCORE_THIN;
    }
    return status;
}

/* ---- a problem, opened ---- */

/* Sizes, and how relations enter: by blocks, each with the scale that makes the mean curvature 1. */
static cel_status celi_score_blocks(celi_score *sc)
{
    const celi_score_data *d = sc->data;
    const int32_t *block = d->part[0].block;
    int64_t r, b, i, n = sc->inner;
    sc->owner = (int32_t *)celi_pool_get(&sc->pool, sc->blocks, sizeof(int32_t));
    sc->kind = (int32_t *)celi_pool_get(&sc->pool, sc->blocks, sizeof(int32_t));
    sc->scale = (double *)celi_pool_get(&sc->pool, sc->relations, sizeof(double));
    sc->factor = (double *)celi_pool_get(&sc->pool, sc->blocks, sizeof(double));
    if (sc->pool.status) return sc->pool.status;
    for (r = 0; r < sc->relations; r++) {
        int two = block[r + 1] - block[r] == 2;
        double coefficient = two ? 1 : 2, trace = 0;
        for (b = block[r]; b < block[r + 1]; b++) {
            sc->owner[b] = (int32_t)r;
            sc->kind[b] = !two ? CELI_SYMMETRIC : b == block[r] ? CELI_TRANSPOSED : CELI_UPRIGHT;
            for (i = b * n; i < (b + 1) * n; i++) trace += sc->total.gram[i * sc->w + i];
        }
        trace *= coefficient * coefficient / ((double)sc->dim * (double)d->cells);
        if (!celi_finite(trace)) return CEL_ERR_NUMERIC;
        sc->scale[r] = trace > 0 ? 1 / sqrt(trace) : 1;
        for (b = block[r]; b < block[r + 1]; b++) sc->factor[b] = coefficient * sc->scale[r];
    }
    return CEL_OK;
}

/* How a block counts in the basis: 1 / the geometric mean of its eigenvalues, kept off zero. Where one block's are all
 * small, it has as much to say as another about what is large and what is small. Overwrites l; 0: says nothing. */
static double celi_score_voice(cel_mat block, cel_mat l)
{
    int64_t n = block.rows, i;
    double log_det = 0, trace = 0;
    for (i = 0; i < n; i++) trace += (double)block.data[i * block.stride + i];
    cel_mat_copy(block, l);
    for (i = 0; i < n; i++) l.data[i * n + i] += (cel_real)(1e-5 * trace / (double)n);
    if (cel_mat_cholesky(l)) return 0;
    for (i = 0; i < n; i++) log_det += 2 * log((double)l.data[i * n + i]);
    return exp(-log_det / (double)n);
}

/* Columns (n x n - 1), orthonormal and orthogonal to u: those of the reflection that takes u to the last axis. */
static void celi_score_without(int64_t n, const double *u, cel_mat out)
{
    double sign = u[n - 1] < 0 ? -1 : 1, over = 1 / (1 + fabs(u[n - 1]));
    int64_t i, j;
    for (i = 0; i < n; i++) {
        double w = over * (u[i] + (i == n - 1 ? sign : 0.0));
        for (j = 0; j < n - 1; j++) out.data[i * out.stride + j] = (cel_real)((i == j ? 1.0 : 0.0) - w * u[j]);
    }
}

/* The basis: eigenvectors of a mean of the gram matrix's diagonal blocks, fields eliminated, within the space that the
 * rows live in; the `side` of largest eigenvalue. An l1 penalty and J+ need the genes' own: the identity. */
static cel_status celi_score_basis(celi_score *sc)
{
    const int without = sc->o.size && !sc->data->space.data;
    const int64_t n = sc->inner, dim = without ? n - 1 : n;
    int64_t b;
    celi_pool pool = CEL_ZERO;
    celi_backend scratch = CEL_ZERO;
    double *gather = (double *)celi_pool_get(&pool, sc->w * sc->w, sizeof(double));
    double *sums = (double *)celi_pool_get(&pool, sc->slides * sc->w, sizeof(double));
    double *values = (double *)celi_pool_get(&pool, dim, sizeof(double));
    cel_mat within = celi_pool_mat(&pool, dim, dim), mean = celi_pool_mat(&pool, dim, dim), space = CEL_ZERO;
    cel_mat l = celi_pool_mat(&pool, dim, dim);
    cel_status status;
    scratch.sc = sc;
    scratch.work = sc->work;
    scratch.square = celi_pool_mat(&pool, n, n);
    scratch.half = celi_pool_mat(&pool, n, dim);
    if (without) space = celi_pool_mat(&pool, n, dim);
    status = pool.status;
    if (!status && without) celi_score_without(n, sc->o.size, space);
    if (!status) celi_score_sums(sc, 0, sc->data->parts, sums);
    if (!status) celi_score_gather(sc, 0, sc->data->parts, gather);
    if (!status && sc->has_field) celi_score_about_means(sc, gather, sums);
    for (b = 0; b < sc->blocks && !status; b++) {
        status = celi_score_block(&scratch, gather, b, b, space, within);
        if (!status) cel_mat_axpy((cel_real)celi_score_voice(within, l), within, mean);
    }
    if (!status) status = cel_mat_eigen(mean, values, l);
    l = cel_mat_block(l, 0, dim - sc->side, dim, sc->side);
    if (!status && without) status = cel_mat_gemm(0, 0, 1, space, l, 0, sc->turn, sc->work);
    else if (!status) cel_mat_copy(l, sc->turn);
    if (!status && sc->data->space.data)
        status = cel_mat_gemm(0, 0, 1, sc->data->space, sc->turn, 0, sc->basis, sc->work);
    celi_pool_free(&pool);
    return status;
}

/* Everything that does not depend on the subset. */
static cel_status celi_score_prepare(celi_score *sc, const celi_score_data *d, const cel_score_options *o,
                                     cel_work *work)
{
    int64_t w, s, i;
    cel_status status;
    sc->data = d;
    sc->work = work;
    sc->o = *o;
    sc->inner = d->part[0].genes;
    sc->genes = d->space.data ? d->space.rows : sc->inner;
    sc->dim = sc->genes - (o->size ? 1 : 0);
    sc->side = celi_score_on(o->l1) ? sc->inner : celi_min(sc->dim, sc->inner);
    /* Fewer cells than genes: all rows, their neighbours' too, lie in a space of so many dimensions. */
    if (celi_score_confined(o)) sc->side = celi_min(sc->side, d->cells);
    sc->relations = d->part[0].relations;
    sc->blocks = d->part[0].blocks;
    sc->plain = sc->blocks == sc->relations;
    sc->m = sc->blocks * sc->side;
    sc->w = w = celi_moments_side(d->part);
    sc->has_field = o->field != CEL_SCORE_FIELD_NONE;
    sc->slides = o->field == CEL_SCORE_FIELD_SLIDE ? d->slides : 1;
    sc->centre = (double *)celi_pool_get(&sc->pool, sc->slides * w, sizeof(double));
    sc->turn = celi_pool_mat(&sc->pool, sc->inner, sc->side);
    sc->basis = d->space.data ? celi_pool_mat(&sc->pool, sc->genes, sc->side) : sc->turn;
    sc->weight = (double *)celi_pool_get(&sc->pool, sc->side, sizeof(double));
    sc->mean = (double *)celi_pool_get(&sc->pool, sc->slides * sc->m, sizeof(double));
    status = celi_piece_open(sc, &sc->pool, &sc->whole);
    if (!status) status = celi_moments_open(sc->inner, sc->relations, d->part[0].block, &sc->total);
    for (i = 0; i < d->parts && !status; i++) status = cel_moments_sum(&sc->total, 1, d->part + i);
    if (!status) status = celi_score_blocks(sc);
    if (!status) celi_score_sums(sc, 0, d->parts, sc->centre);
    for (s = 0; s < sc->slides && !status; s++) {
        double *centre = sc->centre + s * w, cells = 2 * centre[w - 1];
        for (i = 0; i < w - 1; i++) centre[i] /= cells > 0.5 ? cells : 1;
    }
    for (i = 0; i < sc->side && !status; i++) sc->turn.data[i * (sc->side + 1)] = (cel_real)(sc->weight[i] = 1);
    if (!status && d->like) {
        memcpy(sc->scale, d->like->scale, (size_t)sc->relations * sizeof *sc->scale);
        memcpy(sc->factor, d->like->factor, (size_t)sc->blocks * sizeof *sc->factor);
        cel_mat_copy(d->like->turn, sc->turn);
    } else if (!status && !celi_score_on(o->l1) && o->form != CEL_SCORE_ORTHANT) {
        status = celi_score_basis(sc);
    }
    for (s = 0; s < sc->slides && !status; s++) celi_score_turn(sc, sc->centre + s * w, sc->mean + s * sc->m);
    return status;
}

static void celi_fit_close(celi_score *sc)
{
    celi_quadratic_close(&sc->q);
    cel_moments_free(&sc->total);
    celi_pool_free(&sc->pool);
    memset(sc, 0, sizeof *sc);
}

static int64_t celi_score_folds(const cel_score_options *o, int64_t groups)
{
    return celi_min(o->folds > 0 ? o->folds : CELI_SCORE_FOLDS, groups);
}

/* How many of them are tried. */
static int64_t celi_score_rated(const cel_score_options *o, int64_t folds, int64_t side)
{
    return o->folds > 0 || side <= CELI_SCORE_LARGE ? folds : celi_min(folds, CELI_SCORE_RATED);
}

/* The largest row sum of the gram matrix bounds A: D is at most the identity, a subset's A at most the whole's. */
static double celi_sums_bound(const celi_score *sc, cel_mat gram)
{
    double bound = 0;
    int64_t i, k;
    for (i = 0; i < sc->m; i++) {
        double sum = 0;
        for (k = 0; k < sc->m; k++) sum += fabs((double)gram.data[i * sc->m + k]);
        sum *= sc->kind[i / sc->side] == CELI_SYMMETRIC ? 1 : 2;
        if (sum > bound) bound = sum;
    }
    return bound * 1.001;
}

/* sc is zeroed. Of the cells' forms the sums make the preconditioner and the bound, and go. */
static cel_status celi_fit_open(celi_score *sc, const celi_score_data *d, const cel_score_options *o, cel_work *work)
{
    celi_quadratic sums = CEL_ZERO;
    cel_status status = celi_score_prepare(sc, d, o, work);
    if (!status) status = celi_sums_open(sc, work, &celi_sums_actions, &sums);
    if (!status) status = celi_sums_measure((celi_sums *)sums.context, 0, d->parts, &sc->whole);
    if (!status) status = celi_sums_subset(&sums, celi_everything);
    if (!status) sums.bound = celi_sums_bound(sc, ((celi_sums *)sums.context)->now.gram);
    if (status || o->form == CEL_SCORE_MOMENT) {
        sc->q = sums;
        return status;
    }
    status = celi_cells_open(sc, work, &sc->q);
    if (!status) memcpy(sc->q.diag, sums.diag, (size_t)(sc->blocks * sc->m) * sizeof *sums.diag);
    sc->q.bound = sums.bound;
    celi_quadratic_close(&sums);
    return status;
}

/* ---- from unknowns to forces ---- */

/* f += c (I - u u^T), on F_0. */
static void celi_score_lift(const celi_score *sc, double c, cel_mat f)
{
    const double *u = sc->o.size;
    int64_t n = sc->genes, i, j;
    for (i = 0; i < n; i++) {
        f.data[i * f.stride + i] += (cel_real)c;
        for (j = 0; j < n && u; j++) f.data[i * f.stride + j] -= (cel_real)(c * u[i] * u[j]);
    }
}

/* Where the data have fewer dimensions than the rows' space, the ridge alone decides in the rest, and makes f_0 this
 * multiple of the identity there: ridge unit_0 f_0 = - factor_0 share. */
static double celi_score_rest(const celi_quadratic *q, const celi_score *sc)
{
    return sc->side < sc->dim ? -sc->factor[0] * q->share / (q->ridge * q->unit[0]) : 0;
}

/* force (R n x n) = the forces at f, up to a multiple of I - u u^T in F_0. */
static cel_status celi_score_untwist(celi_quadratic *q, cel_mat f, cel_mat force)
{
    celi_backend *base = (celi_backend *)q->context;
    const celi_score *sc = base->sc;
    int64_t n = sc->genes, side = sc->side, b, i;
    cel_real rest = (cel_real)celi_score_rest(q, sc);
    cel_status status = CEL_OK;
    /* B f B^T is zero outside of the basis, where f_0 should be `rest`: taken off inside, it is `rest` off everywhere,
     * and a multiple of the identity is free. f itself is put back at the end. */
    for (i = 0; i < side; i++) f.data[i * side + i] -= rest;
    for (b = 0; b < sc->blocks && !status; b++) {
        const int64_t r = sc->owner[b];
        cel_mat from = cel_mat_block(f, r * side, 0, side, side), to = cel_mat_block(force, r * n, 0, n, n);
        if (sc->kind[b] == CELI_TRANSPOSED) continue; /* its twin, the next block, says the same */
        status = cel_mat_gemm(0, 0, (cel_real)sc->scale[r], sc->basis, from, 0, base->half, base->work);
        if (!status) status = cel_mat_gemm(0, 1, 1, base->half, sc->basis, 0, to, base->work);
        if (sc->kind[b] == CELI_SYMMETRIC) cel_mat_symmetrise(to);
    }
    for (i = 0; i < side; i++) f.data[i * side + i] += rest;
    return status;
}

/* The forces in the gauge tr F_0 = 0. */
static cel_status celi_score_forces(celi_quadratic *q, cel_mat f, void *unused, cel_mat force)
{
    const celi_score *sc = ((const celi_backend *)q->context)->sc;
    cel_status status = celi_score_untwist(q, f, force);
    double trace = 0;
    int64_t i;
    (void)unused;
    for (i = 0; i < sc->genes; i++) trace += (double)force.data[i * force.stride + i];
    if (!status) celi_score_lift(sc, -trace / (double)sc->dim, force);
    return status;
}

/* ---- measured data: partial-correlation units, the size gauge, nodewise residuals ---- */

/* y = M c, M = diag(rowsum(w v^2)) + w v v^T entrywise (pull w, diagonal first); line is scratch. */
static void celi_size_product(const celi_sums *u, const double *diagonal, const double *v, const double *c, double *y)
{
    int64_t n = u->base.sc->genes, i;
    for (i = 0; i < n; i++) u->line[i] = (cel_real)(v[i] * c[i]);
    for (i = 0; i < n; i++) y[i] = diagonal[i] * c[i] + v[i] * cel_vec_dot(u->pull.data + i * n, u->line, n);
}

/* M c = r by conjugate gradient from c, preconditioned by the diagonal: M is dominated by it, so few steps do.
 * r is overwritten. */
static void celi_size_solve(const celi_sums *u, const double *diagonal, const double *v, double *r, double *c)
{
    enum { CELI_STEPS = 60 };
    const double tolerance = sizeof(cel_real) == 4 ? 1e-6 : 1e-10;
    int64_t n = u->base.sc->genes, i;
    double *d = u->lines + 3 * n, *y = d + n, rz = 0, zero = 0;
    int step;
    for (i = 0; i < n; i++) zero += r[i] * r[i] / diagonal[i];
    celi_size_product(u, diagonal, v, c, y);
    for (i = 0; i < n; i++) {
        r[i] -= y[i];
        d[i] = r[i] / diagonal[i];
        rz += r[i] * d[i];
    }
    for (step = 0; step < CELI_STEPS && rz > tolerance * tolerance * zero; step++) {
        double next = 0, curvature = 0;
        celi_size_product(u, diagonal, v, d, y);
        for (i = 0; i < n; i++) curvature += d[i] * y[i];
        if (!(curvature > 0)) break; /* two genes: c has one dimension that changes nothing off the diagonal */
        for (i = 0; i < n; i++) {
            c[i] += rz / curvature * d[i];
            r[i] -= rz / curvature * y[i];
            next += r[i] * r[i] / diagonal[i];
        }
        for (i = 0; i < n; i++) d[i] = r[i] / diagonal[i] + next / rz * d[i];
        rz = next;
    }
}

/* Rounds of reweighting; replicates of many genes make do with fewer: they scatter about their own mean. */
enum { CELI_SIZE_ROUNDS = 30, CELI_SIZE_FEWER = 10, CELI_SIZE_MANY = 300 };

/* What the gauge does not tell from 0, for it weighs nothing smaller more; mean: of the absolute values. */
static double celi_size_least(double mean) { return 1e-3 * mean + 1e-6; }

/* f (n x n, symmetric) -= v c^T + c v^T, c by least sum of absolute values off the diagonal: reweighted least squares,
 * weights 1 / |what was left|. v = u / d, the size direction in f's units. */
static void celi_size_gauge(const celi_sums *u, const double *v, int rounds, cel_mat f)
{
    int64_t n = u->base.sc->genes, i, j;
    double *c = u->lines, *r = c + n, *diagonal = r + n;
    cel_real *vs = u->line + n, *cs = vs + n, *squares = cs + n, *ones = squares + n, least = 1;
    memset(c, 0, (size_t)n * sizeof *c);
    for (i = 0; i < n; i++) {
        vs[i] = (cel_real)v[i];
        squares[i] = vs[i] * vs[i];
        ones[i] = 1;
        for (j = 0; j < n; j++) u->pull.data[i * n + j] = 1;
    }
    for (; rounds > 0; rounds--) {
        double mean = 0;
        for (i = 0; i < n; i++) { /* weights, and the least squares problem that they make */
            cel_real *w = u->pull.data + i * n;
            const cel_real *from = f.data + i * f.stride;
            for (j = 0; j < n; j++) w[j] = 1 / (w[j] > least ? w[j] : least);
            w[i] = 0;
            for (j = 0; j < n; j++) u->line[j] = w[j] * from[j];
            diagonal[i] = 1e-9 + cel_vec_dot(w, squares, n);
            r[i] = cel_vec_dot(u->line, vs, n);
        }
        celi_size_solve(u, diagonal, v, r, c);
        for (i = 0; i < n; i++) cs[i] = (cel_real)c[i];
        for (i = 0; i < n; i++) { /* what is left */
            cel_real *left = u->pull.data + i * n;
            const cel_real *from = f.data + i * f.stride;
            for (j = 0; j < n; j++) left[j] = (cel_real)fabs((double)(from[j] - vs[i] * cs[j] - cs[i] * vs[j]));
            mean += cel_vec_dot(left, ones, n) / ((double)n * (double)n);
        }
        least = (cel_real)celi_size_least(mean);
    }
    for (i = 0; i < n; i++)
        for (j = 0; j < n; j++) f.data[i * f.stride + j] -= (cel_real)(v[i] * c[j] + c[i] * v[j]);
}

/* The genes' units: d = sqrt(-A_aa), found or given. */
typedef struct celi_units {
    double *d; /* (n) */
    double *v; /* (n) u / d */
    int given;
} celi_units;

/* out = the forces at f in partial-correlation units: A = F_0 / n - I / 2, here f_0 without the I, and G. */
static cel_status celi_score_partial(celi_quadratic *q, cel_mat f, void *arg, cel_mat out)
{
    celi_sums *u = (celi_sums *)q->context;
    const celi_score *sc = u->base.sc;
    celi_units *units = (celi_units *)arg;
    int64_t n = sc->genes, r, i, j, b = 0;
    const int rounds = units->given && n > CELI_SIZE_MANY ? CELI_SIZE_FEWER : CELI_SIZE_ROUNDS;
    cel_status status = celi_score_untwist(q, f, out);
    celi_score_lift(sc, sc->scale[0] * celi_score_rest(q, sc), out);
    for (i = 0; i < n && !units->given; i++) {
        double a = -(double)out.data[i * n + i] / (double)sc->dim;
        units->d[i] = sqrt(a > DBL_MIN ? a : DBL_MIN);
        units->v[i] = sc->o.size ? sc->o.size[i] / units->d[i] : 0;
    }
    for (r = 0; r < sc->relations && !status; b += sc->kind[b] == CELI_SYMMETRIC ? 1 : 2, r++) {
        cel_mat to = cel_mat_block(out, r * n, 0, n, n);
        for (i = 0; i < n; i++)
            for (j = 0; j < n; j++) {
                double unit = (double)sc->dim * units->d[i] * units->d[j];
                to.data[i * n + j] = (cel_real)((double)to.data[i * n + j] / unit);
            }
        if (sc->o.size && sc->kind[b] == CELI_SYMMETRIC) celi_size_gauge(u, units->v, rounds, to);
    }
    return status;
}

/* out (n) = the diagonal of t^T G t, t (rows x n) being the first rows of u->wide and G of the subset's gram matrix. */
static cel_status celi_sums_spread(celi_sums *u, int64_t rows, double *out)
{
    int64_t n = u->wide.cols, a, i;
    cel_mat t = cel_mat_block(u->wide, 0, 0, rows, n), product = cel_mat_block(u->wide, u->wide.rows / 2, 0, rows, n);
    cel_mat G = cel_mat_block(u->now.gram, 0, 0, rows, rows);
    cel_status status = cel_mat_gemm(0, 0, 1, G, t, 0, product, u->base.work);
    for (a = 0; a < n; a++) out[a] = 0;
    for (a = 0; a < n; a++)
        for (i = 0; i < rows; i++) out[a] += (double)t.data[i * n + a] * (double)product.data[i * n + a];
    return status;
}

/* Rates f, fitted without the fold, on it: with v = Z T(f) = 2 n (A x + G N), gene a's residual given all else is
 * v_a / (2 n A_aa); its variance comes from the fold's gram matrix. value = its log, mean over genes. share, if there
 * is one, (folds x 4 x n) receives the residual variances, by what is fitted (CELI_ALL ..), and then the variances. */
static cel_status celi_score_nodewise(celi_quadratic *q, celi_subset fold, cel_mat f, void *share, double *value)
{
    celi_sums *u = (celi_sums *)q->context;
    const celi_score *sc = u->base.sc;
    int64_t n = sc->genes, side = sc->side, a, i;
    double *own = u->lines, *sum = own + n, rest = celi_score_rest(q, sc), dim = (double)sc->dim;
    double *to = share ? (double *)share + fold.keep * 4 * n : NULL;
    cel_mat t;
    /* Of the fit: T in the genes' space, and A_aa. */
    cel_status status = celi_backend_embed(&u->base, f, &t);
    if (!status) status = cel_mat_gemm(0, 1, 1, t, sc->basis, 0, cel_mat_block(u->wide, 0, 0, sc->m, n), u->base.work);
    for (a = 0; a < n; a++) {
        double covered = 0, along = sc->o.size ? sc->o.size[a] : 0;
        for (own[a] = 0, i = 0; i < side; i++) {
            double b = (double)sc->basis.data[a * side + i];
            own[a] += b * (double)u->wide.data[i * n + a];
            covered += b * b;
        }
        own[a] = sc->scale[0] * (own[a] + rest * (1 - along * along - covered)) / dim;
    }
    /* Of the fold: the residuals' variance, rows times sqrt(n). */
    if (!status) status = q->act->subset(q, fold);
    if (!status) status = celi_sums_spread(u, sc->m, sum);
    for (a = 0, *value = 0; a < n; a++) {
        double scale = 2 * dim * own[a], residual = dim * sum[a] / (q->share * scale * scale);
        *value += log(residual) / (double)n;
        if (to) to[sc->only * n + a] = residual * q->share;
    }
    if (!celi_finite(*value) && !status) status = CEL_ERR_NUMERIC;
    if (!to || sc->only != CELI_ALL || status) return status;
    /* And the genes' own variance: that of x = unit z_0. */
    cel_mat_transpose(sc->basis, cel_mat_block(u->wide, 0, 0, side, n));
    status = celi_sums_spread(u, side, to + 3 * n);
    for (a = 3 * n; a < 4 * n; a++) to[a] = dim * to[a] / (sc->factor[0] * sc->factor[0]);
    return status;
}

/* The fields that go with f: report->field (slides x n), and their mean over the cells in out->field. */
static cel_status celi_score_fields(celi_score *sc, cel_mat f, cel_model *out, cel_score_report *report)
{
    int64_t n = sc->genes, s, j;
    cel_mat field = CEL_ZERO;
    cel_status status = sc->o.form == CEL_SCORE_MOMENT ? celi_sums_fields(&sc->q, f) : celi_cells_fields(&sc->q, f);
    if (!status) status = cel_mat_new(sc->slides, n, &field);
    if (!status)
        status = cel_mat_gemm(0, 1, 1, ((const celi_backend *)sc->q.context)->h, sc->basis, 0, field, sc->work);
    for (s = 0; s < sc->slides && !status; s++) {
        double share = sc->slides > 1 ? sc->data->slide_cells[s] / (double)sc->data->cells : 1;
        for (j = 0; j < n; j++) out->field[j] += (cel_real)(share * (double)field.data[s * n + j]);
    }
    if (!status && sc->o.field == CEL_SCORE_FIELD_SLIDE) report->field = field;
    else cel_mat_free(&field);
    return status;
}

/* ---- weights, errors ---- */

static double celi_score_tolerance(const cel_score_options *o)
{
    return o->tolerance > 0 ? o->tolerance : CELI_SCORE_TOLERANCE;
}

/* How a solution of this fit ends. */
static celi_solve celi_fit_how(const celi_score *sc)
{
    const cel_score_options *o = &sc->o;
    const int l1 = celi_score_on(o->l1);
    celi_solve how = CEL_ZERO;
    how.ridge = o->ridge;
    how.l1 = o->l1;
    how.together = o->together;
    how.tolerance = celi_score_tolerance(o) * (l1 ? CELI_SCORE_LOOSE_L1 : 1);
    how.limit = o->iterations > 0 ? o->iterations : l1 ? CELI_SCORE_STEPS_L1 : CELI_SCORE_STEPS;
    return how;
}

/* What goes over folds: a path, its room, and those who walk it. Memory for them is there only as long as the walk. */
typedef struct celi_walk {
    celi_path path;
    celi_pool pool;
    celi_team team;
} celi_walk;

/* Kept pieces of the sums, one a fold, are the walk's and end with it. */
static cel_status celi_walk_open(celi_score *sc, celi_rate rate, void *rater, int64_t most, celi_walk *walk)
{
    celi_path *path = &walk->path;
    int64_t k, rows = sc->relations * sc->side, folds;
    cel_status status;
    memset(walk, 0, sizeof *walk);
    path->how = celi_fit_how(sc);
    path->folds = celi_score_folds(&sc->o, sc->data->edge ? sc->data->groups : sc->q.parts);
    path->rated = folds = celi_score_rated(&sc->o, path->folds, sc->side);
    path->edge = sc->data->edge;
    path->rate = rate;
    path->rater = rater;
    path->progress = &sc->o.progress;
    path->keep = sc->o.keep;
    path->stage = "pick";
    path->form = (int64_t)sc->o.form;
    path->trail = celi_pool_mat(&walk->pool, folds * rows, sc->side);
    if (sc->o.form == CEL_SCORE_MOMENT) sc->kept = (celi_piece *)celi_pool_get(&walk->pool, folds, sizeof *sc->kept);
    else sc->kept = NULL;
    for (k = 0; k < folds && sc->kept; k++) celi_piece_open(sc, &walk->pool, sc->kept + k);
    status = walk->pool.status;
    if (!status) status = celi_team_new(&sc->q, celi_min(most, folds), &walk->team);
    if (!status && sc->kept) sc->keeps = folds;
    return status;
}

static void celi_walk_close(celi_score *sc, celi_walk *walk)
{
    sc->keeps = 0;
    celi_team_free(&walk->team);
    celi_pool_free(&walk->pool);
}

/* The weights to try, heavy first: ridges 100 .. 1e-5, or of measured data 10^1.5 .. 10^-2.5, two a decade; l1 from the
 * least that leaves nothing off the diagonals, six a decade. Returns how many. */
static int64_t celi_fit_weights(const celi_score *sc, int pick_l1, double top, double *weight)
{
    int64_t steps = pick_l1 ? 16 : sc->o.measured ? CELI_SCORE_RIDGES : 15, k;
    if (!pick_l1) top = sc->o.measured ? sqrt(1000.0) : 100;
    for (k = 0; k < steps; k++) weight[k] = top * pow(10, -(double)k / (pick_l1 ? 6 : 2));
    return steps;
}

/* Picks the weight that is to be picked, by the held-out objective, or of measured data by nodewise residuals. */
static cel_status celi_fit_pick(celi_score *sc, cel_score_report *report)
{
    const int pick_l1 = sc->o.l1 < 0, loose = celi_score_on(sc->o.l1), measured = sc->o.measured;
    const double rough = loose || measured ? CELI_SCORE_ROUGH_L1 : CELI_SCORE_ROUGH;
    double top = 0, tolerance = celi_score_tolerance(&sc->o);
    int64_t k, steps, best = 0;
    celi_walk walk;
    celi_path *path = &walk.path;
    cel_status status;
    if (!pick_l1 && !(sc->o.ridge < 0)) return CEL_OK;
    status = celi_walk_open(sc, measured ? celi_score_nodewise : NULL, NULL, INT64_MAX, &walk);
    path->pick_l1 = pick_l1;
    path->how.tolerance = (rough > tolerance ? rough : tolerance) * (loose ? CELI_SCORE_LOOSE_L1 : 1);
    if (pick_l1 && !status) {
        celi_solve how = path->how;
        cel_mat f = celi_pool_mat(&walk.pool, sc->relations * sc->side, sc->side);
        status = walk.pool.status ? walk.pool.status : sc->q.act->subset(&sc->q, celi_everything);
        if (!status) status = celi_solve_l1_top(&sc->q, f, &how, &top);
    }
    steps = celi_fit_weights(sc, pick_l1, top, report->path_weight);
    if (!status)
        status = celi_path_pick(&walk.team, path, steps, report->path_weight,
                                path->rated < path->folds ? 1 : CELI_SCORE_RISES, report->path_value, &report->path,
                                &best);
    for (k = report->path; k < steps; k++) report->path_weight[k] = 0;
    report->held_out = report->path_value[best];
    report->path_end = best == 0 ? 1 : best == steps - 1 ? -1 : 0;
    sc->o.ridge = path->how.ridge;
    sc->o.l1 = path->how.l1;
    celi_walk_close(sc, &walk);
    return status;
}

/* What explains a gene on held-out folds: three fits a fold at the ridge, without forces between cells, with only those
 * of each gene on itself, with all. */
static cel_status celi_fit_shares(celi_score *sc, cel_score_report *report)
{
    static const int order[3] = {CELI_OWN, CELI_SAME, CELI_ALL};
    const int64_t n = sc->genes;
    const int64_t folds = celi_score_rated(&sc->o, celi_score_folds(&sc->o, sc->data->groups), sc->side);
    celi_pool pool = CEL_ZERO;
    double *share = (double *)celi_pool_get(&pool, folds * 4 * n, sizeof(double));
    celi_walk walk;
    int64_t a, k, row = 0;
    cel_status status = celi_walk_open(sc, celi_score_nodewise, share, INT64_MAX, &walk);
    const celi_extent part[] = {{&row, sizeof row},
                              {share, (size_t)(folds * 4 * n) * sizeof *share},
                              {report->log_residual, sizeof report->log_residual},
                              {walk.path.trail.data, (size_t)(walk.path.trail.rows * sc->side) * sizeof(cel_real)}};
    walk.path.stage = "shares";
    walk.path.total = 3 * walk.path.rated;
    walk.path.how.tolerance = 1e-4;
    if (!status) status = pool.status ? pool.status : cel_mat_new(3, n, &report->share);
    if (!status && celi_recall(sc->o.keep, "shares", 0, part, 4)) walk.path.done = row * walk.path.rated;
    while (row < 3 && !status) {
        sc->only = order[row];
        /* Each fit starts from the narrower one before it. */
        status = celi_path_value(&walk.team, &walk.path, report->log_residual + row);
        row++;
        if (!status) status = celi_retain(sc->o.keep, "shares", 0, part, 4);
    }
    sc->only = CELI_ALL;
    for (a = 0; a < n && !status; a++) {
        double sum[4] = {0, 0, 0, 0};
        for (k = 0; k < folds * 4; k++) sum[k % 4] += share[k * n + a];
        report->share.data[a] = (cel_real)(1 - sum[CELI_OWN] / sum[3]);
        report->share.data[n + a] = (cel_real)((sum[CELI_OWN] - sum[CELI_SAME]) / sum[3]);
        report->share.data[2 * n + a] = (cel_real)((sum[CELI_SAME] - sum[CELI_ALL]) / sum[3]);
    }
    celi_walk_close(sc, &walk);
    celi_pool_free(&pool);
    return status;
}

/* Where the size gauge chose: its n numbers hold about n pairs at 0, in every replicate alike, so that both a force and
 * its error are what the iteration left of them. Absolute values up to what is returned say nothing: twice what the
 * gauge does not tell from 0, or all where it explains more pairs than it leaves. */
static double celi_score_gauged(const celi_score *sc, const cel_real *force, int symmetric)
{
    int64_t n = sc->genes, i;
    double mean = 0;
    if (!sc->o.size || !sc->o.measured || !symmetric) return -1;
    if (n * (n - 1) / 2 < 2 * n) return HUGE_VAL;
    for (i = 0; i < n * n; i++) mean += fabs((double)force[i]) / ((double)n * (double)n);
    return 2 * celi_size_least(mean);
}

/* z, p and q of the forces and their standard errors. */
static cel_status celi_score_tests(const celi_score *sc, cel_mat force, cel_score_report *report)
{
    int64_t n = sc->genes, r, i, j, pairs, b = 0;
    double *p = (double *)celi_alloc((size_t)(n * n), sizeof *p), df = (double)(report->groups - 1);
    cel_status status = p ? CEL_OK : CEL_ERR_MEMORY;
    for (r = 0; r < sc->relations && !status; b += sc->kind[b] == CELI_SYMMETRIC ? 1 : 2, r++) {
        int symmetric = sc->kind[b] == CELI_SYMMETRIC;
        int tested = !sc->o.measured || report->contact_groups[r] >= CEL_SCORE_TILES;
        double least = celi_score_gauged(sc, force.data + r * n * n, symmetric);
        for (pairs = 0, i = 0; i < n; i++)
            for (j = 0; j < n; j++) {
                int64_t e = (r * n + i) * n + j;
                double se = (double)report->se.data[e], z = se > 0 ? (double)force.data[e] / se : 0.0, tail;
                if (i != j && fabs((double)force.data[e]) <= least) z = 0;
                tail = cel_student_p(z, df);
                report->z.data[e] = (cel_real)z;
                report->p.data[e] = (cel_real)tail;
                report->q.data[e] = 1;
                if (i != j && (i < j || !symmetric)) p[pairs++] = tail;
            }
        status = cel_fdr(p, pairs, p);
        for (pairs = 0, i = 0; i < n && tested; i++)
            for (j = 0; j < n; j++)
                if (i != j && (i < j || !symmetric)) report->q.data[(r * n + i) * n + j] = (cel_real)p[pairs++];
        for (i = 0; i < n && symmetric; i++)
            for (j = 0; j < i; j++) report->q.data[(r * n + i) * n + j] = report->q.data[(r * n + j) * n + i];
    }
    celi_free(p);
    return status;
}

/* Error bars of what j->report makes of j->f, which is j->centre, at this ridge. A replicate starts at the fit, and so
 * near its end: it stops when a share of that way is left, and only a fine tolerance asks for more. */
static cel_status celi_fit_errors(celi_score *sc, celi_jackknife *j, double ridge, cel_score_report *report)
{
    cel_mat *const mats[] = {&report->se, &report->z, &report->p, &report->q};
    const double tolerance = celi_score_tolerance(&sc->o);
    cel_status status = CEL_OK;
    int k;
    for (k = 0; k < 4 && !status; k++) status = cel_mat_new(j->centre.rows, j->centre.cols, mats[k]);
    j->how = celi_fit_how(sc);
    j->how.ridge = ridge;
    if (!(sc->o.l1 > 0)) {
        j->how.relative = 1;
        j->how.tolerance = tolerance < CELI_SCORE_TOLERANCE ? 1e3 * tolerance : CELI_SCORE_REPLICATE;
    }
    j->progress = &sc->o.progress;
    j->keep = sc->o.keep;
    report->groups = sc->q.parts;
    if (!status) status = celi_jackknife_run(&sc->q, j, report->se);
    return status ? status : celi_score_tests(sc, j->centre, report);
}

/* Of measured data: partial-correlation units at the fit's ridge and, from a second solution, at that of the tests.
 * f, the fit's solution, is overwritten. */
static cel_status celi_fit_measured(celi_score *sc, cel_mat f, int errors, cel_score_report *report)
{
    celi_solve how = celi_fit_how(sc);
    celi_pool pool = CEL_ZERO;
    celi_units units = CEL_ZERO;
    celi_jackknife j = CEL_ZERO;
    cel_status status;
    units.d = (double *)celi_pool_get(&pool, sc->genes, sizeof(double));
    units.v = (double *)celi_pool_get(&pool, sc->genes, sizeof(double));
    how.ridge = celi_or(sc->o.test_ridge, CELI_SCORE_TEST_RIDGE);
    status = pool.status;
    if (!status) status = cel_mat_new(sc->relations * sc->genes, sc->genes, &report->partial);
    if (!status) status = cel_mat_new(report->partial.rows, sc->genes, &report->test);
    if (!status) status = celi_score_partial(&sc->q, f, &units, report->partial);
    if (!status) status = sc->q.act->subset(&sc->q, celi_everything);
    if (!status) status = celi_solve_kept(&sc->q, f, &how, sc->o.keep, "tests");
    if (!status) status = celi_score_partial(&sc->q, f, &units, report->test);
    /* Replicates keep the units of the fit: else the error bars would be those of ratios. */
    units.given = 1;
    j.f = f;
    j.centre = report->test;
    j.report = celi_score_partial;
    j.arg = &units;
    if (!status && errors) status = celi_fit_errors(sc, &j, how.ridge, report);
    celi_pool_free(&pool);
    return status;
}

static int celi_mat_finite(cel_mat a)
{
    int64_t i, j;
    for (i = 0; i < a.rows; i++)
        for (j = 0; j < a.cols; j++)
            if (!celi_finite((double)a.data[i * a.stride + j])) return 0;
    return 1;
}

/* The fit, its weights known: forces, fields, errors. out exists. */
static cel_status celi_fit_run(celi_score *sc, cel_model *out, cel_score_report *report)
{
    const int measured = sc->o.measured, errors = !sc->o.no_errors && sc->data->groups > 1;
    celi_solve how = celi_fit_how(sc);
    celi_pool pool = CEL_ZERO;
    celi_jackknife j = CEL_ZERO;
    cel_mat f = celi_pool_mat(&pool, sc->relations * sc->side, sc->side);
    cel_status status = pool.status;
    how.progress = &sc->o.progress;
    if (!status) status = sc->q.act->subset(&sc->q, celi_everything);
    if (!status) status = celi_solve_kept(&sc->q, f, &how, sc->o.keep, "fit");
    report->form = sc->o.form;
    report->ridge = sc->o.ridge;
    report->l1 = sc->o.l1;
    report->iterations = how.steps;
    report->residual = how.residual;
    report->converged = how.residual <= how.tolerance;
    if (!status) status = measured ? celi_score_nodewise(&sc->q, celi_everything, f, NULL, &report->value)
                                   : celi_quadratic_value(&sc->q, f, &report->value);
    if (!status && !celi_finite(report->value)) status = CEL_ERR_NUMERIC;
    if (!status) status = celi_score_forces(&sc->q, f, NULL, out->force);
    if (!status && !celi_mat_finite(out->force)) status = CEL_ERR_NUMERIC;
    if (!status && sc->has_field) status = celi_score_fields(sc, f, out, report);
    j.f = f;
    j.centre = out->force;
    j.report = celi_score_forces;
    if (!status && errors && !measured) status = celi_fit_errors(sc, &j, sc->o.ridge, report);
    if (!status && measured) status = celi_fit_measured(sc, f, errors, report);
    if (!status && measured && sc->data->groups > 1 && !(sc->o.l1 > 0) && !sc->o.no_shares)
        status = celi_fit_shares(sc, report);
    celi_pool_free(&pool);
    return status;
}

/* ---- which form ---- */

/* J+ of a fit's forces on a held-out fold, by the problem of J+. Neither changes with the gauge. The judge's unknowns
 * are the genes' own, so that its f is the forces but for its scale. */
static cel_status celi_fit_judge(celi_quadratic *q, celi_subset fold, cel_mat f, void *arg, double *value)
{
    celi_score *judge = (celi_score *)arg;
    const int64_t n = judge->genes;
    int64_t i;
    cel_status status = celi_score_forces(q, f, NULL, judge->q.f);
    for (i = 0; i < judge->relations * n * n; i++) judge->q.f.data[i] *= (cel_real)(1 / judge->scale[i / (n * n)]);
    if (!status) status = judge->q.act->subset(&judge->q, fold);
    q->share = judge->q.share;
    return status ? status : celi_quadratic_value(&judge->q, judge->q.f, value);
}

/* PICK: each form with the weight that suits it, then the one with the better mean held-out J+. form[0] is AUTO's,
 * form[1] J+, which is the judge, and there is one. Returns which; the report is that of the one chosen. */
static cel_status celi_fit_choose(celi_score *form, cel_score_report *report, int *chosen)
{
    cel_score_report one[2];
    celi_walk walk;
    double value[2] = {0, 0};
    int k;
    cel_status status = CEL_OK;
    memset(one, 0, sizeof one);
    /* J values of different forms do not compare: both forms' forces are judged by the same J+ on the same folds. */
    for (k = 0; k < 2 && !status; k++) {
        const celi_extent part = {value + k, sizeof *value};
        status = celi_fit_pick(form + k, one + k);
        if (status) break;
        status = celi_walk_open(form + k, celi_fit_judge, form + 1, 1, &walk);
        walk.path.total = walk.path.rated;
        if (!status && !celi_recall(form->o.keep, "judge", k, &part, 1)) {
            status = celi_path_value(&walk.team, &walk.path, value + k);
            if (!status) status = celi_retain(form->o.keep, "judge", k, &part, 1);
        }
        celi_walk_close(form + k, &walk);
    }
    *chosen = value[1] < value[0];
    *report = one[*chosen];
    report->held_out = value[*chosen];
    report->held_out_other = value[!*chosen];
    return status;
}

/* ---- what comes in ---- */

static int celi_score_weight(double w)
{
    return celi_finite(w) && (w >= 0 || (w <= CEL_SCORE_PICKED && w >= CEL_SCORE_PICKED));
}

/* The number of labels 0, 1, .. in label (count); each is used, if `all`. */
static cel_status celi_score_labels(const int32_t *label, int64_t count, int all, int64_t *labels, cel_error *err)
{
    int64_t i, top = 0;
    uint8_t *seen;
    *labels = 0;
    for (i = 0; i < count; i++) {
        if (label[i] < 0 || label[i] >= count)
            return celi_fail(err, CEL_ERR_DATA, "a label is out of range", -1, i, -1);
        if (label[i] >= top) top = (int64_t)label[i] + 1;
    }
    *labels = top;
    if (!all) return CEL_OK;
    seen = (uint8_t *)celi_alloc((size_t)top, 1);
    if (!seen) return celi_fail(err, CEL_ERR_MEMORY, "out of memory", -1, -1, -1);
    for (i = 0; i < count; i++) seen[label[i]] = 1;
    for (i = 0; i < top && seen[i]; i++) continue;
    celi_free(seen);
    return i == top ? CEL_OK
                    : celi_fail(err, CEL_ERR_DATA, "no cell has this label, but one has a larger one", i, -1, -1);
}

/* Options, their size direction (n) among them. */
static cel_status celi_score_options_check(const cel_score_options *o, int64_t n, cel_error *err)
{
    const char *what = NULL;
    cel_status status = CEL_ERR_ARG;
    double square = 0;
    int64_t i;
    for (i = 0; i < n && o->size; i++) square += o->size[i] * o->size[i];
    if ((int)o->form < CEL_SCORE_AUTO || o->form > CEL_SCORE_PICK) what = "options: there is no such form";
    else if ((int)o->field < CEL_SCORE_FIELD_NONE || o->field > CEL_SCORE_FIELD_SLIDE)
        what = "options: there is no such field";
    else if (!celi_score_weight(o->ridge) || !celi_score_weight(o->l1))
        what = "options: a weight is a number from 0 on, or CEL_SCORE_PICKED";
    else if (o->ridge < 0 && o->l1 < 0) what = "options: only one weight can be picked at a time";
    else if (o->measured && o->form != CEL_SCORE_AUTO && o->form != CEL_SCORE_MOMENT)
        what = "options: measured data have only the moment form";
    else if (o->size && (celi_score_on(o->l1) || (o->form != CEL_SCORE_MOMENT && !o->measured)))
        what = "options: without a size direction there is only the moment form, without l1";
    else if (!(o->test_ridge >= 0 && o->test_ridge <= DBL_MAX)) what = "options: no ridge of tests";
    else if (o->folds == 1) what = "options: one fold leaves nothing to fit";
    else if (!(o->tolerance >= 0) || !(o->memory >= 0) || o->folds < 0 || o->iterations < 0)
        what = "options: a negative number";
    else if (o->size && n > 0 && !(fabs(square - 1) <= 1e-6)) {
        what = "the size direction is not of unit length";
        status = CEL_ERR_DATA;
    }
    return what ? celi_fail(err, status, what, -1, -1, -1) : CEL_OK;
}

/* What a share of the rows says: the first cell at fault and the first with a negative entry, or -1; zero entries. */
typedef struct celi_score_rows {
    int64_t bad, negative;
    double zeros;
} celi_score_rows;

static celi_score_rows celi_score_rows_check(cel_mat x, const double *size, int64_t first, int64_t end)
{
    celi_score_rows out = {-1, -1, 0};
    int64_t i, j;
    for (i = first; i < end && out.bad < 0; i++) {
        double square = 0, along = 0;
        for (j = 0; j < x.cols; j++) {
            double y = (double)x.data[i * x.stride + j];
            square += y * y;
            if (size) along += size[j] * y;
            out.zeros += y < 0 || y > 0 ? 0 : 1;
            if (y < 0 && out.negative < 0) out.negative = i;
        }
        if (!(fabs(square - 1) <= CELI_SCORE_UNIT && fabs(along) <= CELI_SCORE_UNIT)) out.bad = i;
    }
    return out;
}

/* Says what is wrong with a cell's row: it is not finite, or too long or short, or else not orthogonal to the size.
 * Apart from the search, which goes over all entries and is to be quick. */
static cel_status celi_score_row_fault(cel_mat x, int64_t cell, cel_error *err)
{
    const cel_real *row = x.data + cell * x.stride;
    double square = 0;
    int64_t j;
    for (j = 0; j < x.cols && celi_finite((double)row[j]); j++) square += (double)row[j] * (double)row[j];
    return celi_fail(err, CEL_ERR_DATA,
                     j < x.cols                              ? "a value is not finite"
                     : fabs(square - 1) <= CELI_SCORE_UNIT ? "a row is not orthogonal to the size direction"
                                                           : "a row is not of unit length",
                     -1, cell, j < x.cols ? j : -1);
}

/* X's rows are of unit length, and orthogonal to the size direction. */
static cel_status celi_score_x_check(celi_score_data *d, const cel_score_options *o, cel_error *err)
{
    celi_score_rows part[CELI_CHUNKS];
    int64_t S = d->x.rows, c, j;
    CELI_OMP(omp parallel for schedule(static) if (S * d->x.cols > CELI_FORK))
    for (c = 0; c < CELI_CHUNKS; c++)
        part[c] = celi_score_rows_check(d->x, o->size, c * S / CELI_CHUNKS, (c + 1) * S / CELI_CHUNKS);
    for (c = 0; c < CELI_CHUNKS; c++) {
        const cel_real *row = d->x.data + part[c].negative * d->x.stride;
        d->zeros += part[c].zeros / ((double)S * (double)d->x.cols);
        if (part[c].bad >= 0) return celi_score_row_fault(d->x, part[c].bad, err);
        if (part[c].negative < 0) continue;
        d->negative = 1;
        for (j = 0; !(row[j] < 0); j++) continue;
        if (o->form == CEL_SCORE_ORTHANT)
            return celi_fail(err, CEL_ERR_DATA, "a negative entry, but the form is ORTHANT", -1, part[c].negative, j);
    }
    return CEL_OK;
}

/* What cel_score_fit was given, apart from its options. */
static cel_status celi_score_given(celi_score_data *d, const cel_score_options *o, cel_error *err)
{
    const int picks = o->form == CEL_SCORE_PICK || o->ridge < 0 || o->l1 < 0;
    double bytes = 0;
    int64_t i;
    cel_status status;
    if (d->x.cols < 2 || d->x.rows < 1)
        return celi_fail(err, CEL_ERR_ARG, "there are no cells, or fewer than two genes", -1, -1, -1);
    if (celi_relations_fit(d->relations, NULL, d->x.rows))
        return celi_fail(err, CEL_ERR_SHAPE, "the expression and the relations differ in cells", -1, -1, -1);
    if (picks && !o->group) return celi_fail(err, CEL_ERR_DATA, "to pick anything takes groups of cells", -1, -1, -1);
    status = celi_score_x_check(d, o, err);
    d->cells = d->x.rows;
    d->slide = o->field == CEL_SCORE_FIELD_SLIDE ? o->slide : NULL;
    d->group = picks || !o->no_errors ? o->group : NULL;
    if (!status && d->slide) status = celi_score_labels(d->slide, d->cells, 0, &d->slides, err);
    if (!status && d->group) status = celi_score_labels(d->group, d->cells, 1, &d->groups, err);
    if (status) return status;
    if (d->groups == 1) return celi_fail(err, CEL_ERR_DATA, "there is only one group", -1, -1, -1);
    if (o->memory > 0) bytes = cel_score_memory(d->relations, d->x.cols, d->groups, d->slides, o);
    if (bytes > o->memory)
        return celi_fail(err, CEL_ERR_MEMORY, "the fit needs more memory (offset: bytes) than options.memory "
                         "allows: fewer genes, fewer groups or fewer threads take less", (int64_t)bytes, -1, -1);
    d->slide_cells = (double *)celi_pool_get(&d->pool, d->slides, sizeof(double));
    for (i = 0; i < d->cells && d->slide && d->slide_cells; i++) d->slide_cells[d->slide[i]]++;
    return d->pool.status;
}

/* Stored moments are of one kind, with cells in each. */
static cel_status celi_score_given_moments(celi_score_data *d, const cel_score_options *o, cel_error *err)
{
    int64_t g;
    if (o->form != CEL_SCORE_AUTO && o->form != CEL_SCORE_MOMENT)
        return celi_fail(err, CEL_ERR_ARG, "moments alone have only the moment form", -1, -1, -1);
    if (d->parts < 1 || d->part[0].genes < 2)
        return celi_fail(err, CEL_ERR_ARG, "there are no moments, or fewer than two genes", -1, -1, -1);
    if ((o->ridge < 0 || o->l1 < 0) && d->parts < 2)
        return celi_fail(err, CEL_ERR_DATA, "to pick a weight takes two groups", -1, -1, -1);
    d->part_slide = o->field == CEL_SCORE_FIELD_SLIDE ? o->slide : NULL;
    d->groups = d->parts;
    for (g = 0; g < d->parts; g++) {
        if (!celi_moments_alike(d->part, d->part + g))
            return celi_fail(err, CEL_ERR_SHAPE, "moments of other genes or relations than the first", g, -1, -1);
        if (d->part[g].cells < 1) return celi_fail(err, CEL_ERR_DATA, "a group without cells", g, -1, -1);
        d->cells += d->part[g].cells;
        if (!d->part_slide) continue;
        if (d->part_slide[g] < 0 || d->part_slide[g] >= d->parts)
            return celi_fail(err, CEL_ERR_DATA, "a group's slide is out of range", g, -1, -1);
        if (d->part_slide[g] >= d->slides) d->slides = (int64_t)d->part_slide[g] + 1;
    }
    d->slide_cells = (double *)celi_pool_get(&d->pool, d->slides, sizeof(double));
    for (g = 0; g < d->parts && d->slide_cells; g++)
        d->slide_cells[d->part_slide ? d->part_slide[g] : 0] += (double)d->part[g].cells;
    return d->pool.status;
}

/* J falls without bound along the diagonal of a gene that no cell has, unless a ridge is given; so do the replicates
 * and folds of one that only one group has. */
static cel_status celi_score_lacking(const celi_score_data *d, const cel_score_options *o, cel_error *err)
{
    const int64_t n = d->relations ? d->x.cols : d->part[0].genes, count = d->relations ? d->x.rows : d->parts;
    const int least = d->groups > 1 && (d->relations || !o->no_errors) ? 2 : 1;
    int64_t i, j;
    if (o->measured || o->ridge > 0 || o->form == CEL_SCORE_ORTHANT) return CEL_OK;
    for (j = 0; j < n; j++) {
        int64_t last = -1;
        int seen = 0;
        for (i = 0; i < count && seen < least; i++) {
            double y = d->relations ? (double)d->x.data[i * d->x.stride + j]
                                    : d->part[i].gram[j * (d->part[i].blocks * n + 2)];
            int64_t group = d->relations && d->group ? d->group[i] : i;
            if ((!(y > 0) && !(y < 0)) || group == last) continue;
            last = group;
            seen++;
        }
        if (seen < least)
            return celi_fail(err, CEL_ERR_DATA, seen ? "a gene that only one group has takes a given ridge"
                                                     : "a gene that no cell has takes a given ridge", -1, -1, j);
    }
    return CEL_OK;
}

/* Fewer cells than genes: X in coordinates of the space that its rows span, x = X B, and B in d->space. B = X^T V / s
 * from the eigenvectors V of X X^T and their eigenvalues s^2, but for those next to nothing; then, B^T B being I only
 * to rounding over the least s, a Newton step towards orthonormal columns: B (3 I - B^T B) / 2. */
static cel_status celi_score_reduce(celi_score_data *d, cel_work *work)
{
    const double least = sizeof(cel_real) == 4 ? 1e-6 : 1e-13;
    int64_t S = d->x.rows, n = d->x.cols, i, k, none = 0;
    celi_pool pool = CEL_ZERO;
    double *values = (double *)celi_pool_get(&pool, S, sizeof(double));
    cel_mat square = celi_pool_mat(&pool, S, S), v = celi_pool_mat(&pool, S, S), rough, rows;
    cel_status status = pool.status;
    if (!status) status = cel_mat_syrk(0, 1, d->x, 0, square, work);
    if (!status) status = cel_mat_eigen(square, values, v);
    for (i = 0; i < S && !status && !(values[i] > least * values[S - 1]); i++) none++;
    v = cel_mat_block(v, 0, none, S, S - none);
    for (i = 0; i < S && !status; i++)
        for (k = 0; k < v.cols; k++) v.data[i * v.stride + k] *= (cel_real)(1 / sqrt(values[none + k]));
    rough = celi_pool_mat(&pool, n, v.cols);
    d->space = celi_pool_mat(&d->pool, n, v.cols);
    rows = celi_pool_mat(&d->pool, S, v.cols);
    if (!status) status = pool.status ? pool.status : d->pool.status;
    if (!status) status = cel_mat_gemm(1, 0, 1, d->x, v, 0, rough, work);
    square = cel_mat_block(square, 0, 0, v.cols, v.cols);
    if (!status) status = cel_mat_syrk(1, (cel_real)-0.5, rough, 0, square, work);
    for (i = 0; i < v.cols && !status; i++) square.data[i * square.stride + i] += (cel_real)1.5;
    if (!status) status = cel_mat_gemm(0, 0, 1, rough, square, 0, d->space, work);
    if (!status) status = cel_mat_gemm(0, 0, 1, d->x, d->space, 0, rows, work);
    if (!status) d->x = rows;
    celi_pool_free(&pool);
    return status;
}

/* What part each group is (groups): one of its own, or, where no group is deleted by itself, those of a fold and slide
 * that follow each other together, so that there are no more moments than are asked for. */
static void celi_score_merge(celi_score_data *d, const cel_score_options *o, const int32_t *slide, int32_t *part)
{
    const int64_t folds = celi_score_folds(o, d->groups);
    int64_t g, k = 0;
    d->edge = o->no_errors && o->measured ? (int64_t *)celi_pool_get(&d->pool, folds + 1, sizeof *d->edge) : NULL;
    for (d->parts = 0, g = 0; g < d->groups; g++) {
        const int begins = k < folds && g == k * d->groups / folds;
        if (begins && d->edge) d->edge[k] = d->parts;
        k += begins;
        d->parts += begins || !d->edge || slide[g] != slide[g - 1];
        part[g] = (int32_t)(d->parts - 1);
    }
    if (d->edge) d->edge[folds] = d->parts;
}

/* Where the moments are, for a memo; NULL where they are larger than the rows, and sooner made again than read. */
static celi_extent *celi_score_extents(celi_score_data *d)
{
    const int64_t w = celi_moments_side(d->part);
    celi_extent *kept = NULL;
    int64_t i;
    if ((double)(d->parts * w * w) * sizeof(double) <= (double)d->x.rows * (double)d->x.cols * sizeof(cel_real))
        kept = (celi_extent *)celi_pool_get(&d->pool, d->parts, sizeof *kept);
    for (i = 0; i < d->parts && kept; i++) {
        kept[i].data = d->own[i].gram;
        kept[i].bytes = (size_t)(w * w) * sizeof(double);
    }
    return kept;
}

/* The moments: by group (or by slide, where fields need that) for the moment form, else of all cells at once. */
static cel_status celi_score_sum_up(celi_score_data *d, const cel_score_options *o, cel_error *err, cel_work *work)
{
    const int by_group = o->form == CEL_SCORE_MOMENT && d->group;
    const int64_t labels = by_group ? d->groups : d->slides;
    const int32_t *label = o->form != CEL_SCORE_MOMENT ? NULL : d->group ? d->group : d->slide;
    int32_t *part = (int32_t *)celi_pool_get(&d->pool, labels, sizeof *part);
    int32_t *slide = (int32_t *)celi_pool_get(&d->pool, labels, sizeof *slide), *of, *at;
    celi_extent *kept;
    int64_t i;
    cel_status status = d->pool.status;
    for (i = 0; i < d->cells && label && d->slide && !status; i++) slide[label[i]] = d->slide[i];
    for (i = 0; i < d->cells && label && d->slide && !status; i++)
        if (slide[label[i]] != d->slide[i])
            return celi_fail(err, CEL_ERR_DATA, "a group crosses slides, which have fields of their own", -1, i, -1);
    d->parts = label ? labels : 1;
    if (by_group && !status) celi_score_merge(d, o, slide, part);
    d->part = d->own = (cel_moments *)celi_pool_get(&d->pool, d->parts, sizeof *d->own);
    d->part_slide = of = (int32_t *)celi_pool_get(&d->pool, d->parts, sizeof *of);
    at = d->edge ? (int32_t *)celi_pool_get(&d->pool, d->cells, sizeof *at) : NULL;
    if (!status) status = d->pool.status;
    for (i = 0; i < d->parts && !status; i++) status = cel_moments_new(d->x.cols, d->relations, d->own + i);
    for (i = 0; i < labels && label && !status; i++) of[by_group ? part[i] : i] = slide[i];
    for (i = 0; i < d->cells && at && !status; i++) at[i] = part[label[i]];
    kept = status ? NULL : celi_score_extents(d);
    if (kept && celi_recall(o->keep, "moments", 0, kept, (int)d->parts)) { /* a gram matrix ends with cells / 4 */
        for (i = 0; i < d->parts; i++)
            d->own[i].cells = (int64_t)(4 * d->own[i].gram[kept->bytes / sizeof(double) - 1] + 0.5);
        return CEL_OK;
    }
    if (!status && label)
        status = cel_moments_add_by_label(d->own, d->parts, at ? at : label, d->relations, d->x, work);
    if (!status && !label) status = cel_moments_add(d->own, d->relations, d->x, NULL, 0, work);
    return status || !kept ? status : celi_retain(o->keep, "moments", 0, kept, (int)d->parts);
}

static void celi_score_data_free(celi_score_data *d)
{
    int64_t i;
    for (i = 0; i < d->parts && d->own; i++) cel_moments_free(d->own + i);
    celi_pool_free(&d->pool);
}

/* How many contacts each relation has, and in how many groups, since groups, not contacts, are the jackknife's sample:
 * of moments alone, groups with moments of N. */
static cel_status celi_score_contacts(const celi_score_data *d, cel_score_report *report)
{
    int64_t R = d->part[0].relations, r, g, i, b, n = d->part[0].genes, w = celi_moments_side(d->part);
    uint8_t *seen = (uint8_t *)celi_alloc((size_t)(R * (d->groups + 1)), 1);
    report->contacts = (int64_t *)celi_alloc((size_t)R, sizeof(int64_t));
    report->contact_groups = (int64_t *)celi_alloc((size_t)R, sizeof(int64_t));
    for (r = 1; r < R && seen && d->relations && report->contacts; r++) {
        const cel_csr *sides[2];
        sides[0] = d->relations->at[r].w;
        sides[1] = d->relations->at[r].wt ? d->relations->at[r].wt : sides[0];
        report->contacts[r] = cel_csr_count(sides[0]);
        for (b = 0; b < 2; b++)
            for (i = 0; i < d->cells && d->group; i++)
                if (sides[b]->start[i + 1] > sides[b]->start[i]) seen[r * d->groups + d->group[i]] = 1;
    }
    for (r = 1; r < R && seen && !d->relations; r++)
        for (g = 0; g < d->groups; g++)
            for (i = d->part[0].block[r] * n; i < d->part[0].block[r + 1] * n; i++)
                if (d->part[g].gram[i * (w + 1)] > 0) seen[r * d->groups + g] = 1;
    for (r = 0; r < R && seen && report->contact_groups; r++)
        for (g = 0; g < d->groups; g++) report->contact_groups[r] += r == 0 || seen[r * d->groups + g];
    celi_free(seen);
    return seen && report->contacts && report->contact_groups ? CEL_OK : CEL_ERR_MEMORY;
}

/* Both fits: of cells, or of moments alone (d->relations NULL). What is made in `own` is handed over at the end. */
static cel_status celi_score_all(celi_score_data *d, const cel_score_options *options, cel_model *out,
                                 cel_score_report *report, cel_error *err, cel_work *work)
{
    const int64_t genes = d->relations ? d->x.cols : d->parts > 0 ? d->part[0].genes : 0;
    cel_score_options o = CEL_ZERO;
    cel_score_report own = CEL_ZERO;
    celi_score form[2];
    cel_work temporary = CEL_ZERO;
    int pick, chosen = 0;
    cel_status status;
    memset(out, 0, sizeof *out);
    memset(form, 0, sizeof form);
    if (report) memset(report, 0, sizeof *report);
    if (err) memset(err, 0, sizeof *err);
    if (options) o = *options;
    if (!work) work = &temporary;
    d->slides = 1;
    status = celi_score_options_check(&o, genes, err);
    if (!status) status = d->relations ? celi_score_given(d, &o, err) : celi_score_given_moments(d, &o, err);
    if (!status) status = celi_score_lacking(d, &o, err);
    pick = o.form == CEL_SCORE_PICK && !d->negative;
    o.form = d->relations ? celi_score_form_used(&o, genes) : CEL_SCORE_MOMENT;
    if (!status && d->relations && celi_score_confined(&o) && d->x.rows < genes - 1)
        status = celi_score_reduce(d, work);
    if (!status && d->relations) status = celi_score_sum_up(d, &o, err, work);
    if (!status) status = cel_model_new(genes, d->part->relations, o.field != CEL_SCORE_FIELD_NONE, out);
    if (!status) status = celi_fit_open(form, d, &o, work);
    o.form = CEL_SCORE_ORTHANT;
    if (!status && pick) status = celi_fit_open(form + 1, d, &o, work);
    if (!status) status = pick ? celi_fit_choose(form, &own, &chosen) : celi_fit_pick(form, &own);
    own.zeros = d->zeros;
    if (!status) status = celi_score_contacts(d, &own);
    if (!status) status = celi_fit_run(form + chosen, out, &own);
    celi_fit_close(form);
    celi_fit_close(form + 1);
    celi_score_data_free(d);
    cel_work_free(&temporary);
    if (status) cel_model_free(out);
    if (status && err && !err->status)
        celi_note(err, status, status != CEL_ERR_NUMERIC ? cel_strerror(status)
                  : "nothing finite fits: too few cells in a group, or cells, genes or neighbours that repeat each "
                    "other; a heavier ridge may do");
    if (status || !report) cel_score_report_free(&own);
    else *report = own;
    return status;
}

CEL_API_DEF cel_status cel_score_fit(const cel_relations *relations, cel_mat x, const cel_score_options *options,
                                     cel_model *out, cel_score_report *report, cel_error *err, cel_work *work)
{
    celi_score_data d = CEL_ZERO;
    d.relations = relations;
    d.x = x;
    return celi_score_all(&d, options, out, report, err, work);
}

CEL_API_DEF cel_status cel_score_fit_moments(const cel_moments *moments, int64_t groups,
                                             const cel_score_options *options, cel_model *out,
                                             cel_score_report *report, cel_error *err, cel_work *work)
{
    celi_score_data d = CEL_ZERO;
    d.part = moments;
    d.parts = groups;
    return celi_score_all(&d, options, out, report, err, work);
}

/* ---- the value ---- */

/* 1/2 v^T D v - l . v + 2 <F_0, D> of one cell (of MOMENT: 2 <F_0, I - x x^T>); along = F_0 x, or F_0 x^2 with J+. */
static double celi_score_value_cell(cel_score_form form, cel_mat F, const cel_real *x, const cel_real *v,
                                    const cel_real *along)
{
    const celi_cell cell = celi_cell_of(form, F.rows, x, 1);
    double square = 0, dot = 0, linear = 0, trace = 0, quadratic = 0, a, u, l;
    int64_t k;
    for (k = 0; k < F.rows; k++) {
        celi_cell_entry(&cell, (double)x[k], &a, &u, &l);
        square += a * (double)v[k] * (double)v[k];
        dot += u * (double)v[k];
        linear += l * (double)v[k];
        trace += a * (double)F.data[k * F.stride + k];
        quadratic += u * (double)along[k];
    }
    if (form == CEL_SCORE_MOMENT) dot = 0;
    return 0.5 * (square - dot * dot) - linear + 2 * (trace - quadratic);
}

/* ---- how much memory ---- */

/* The scratch of a product with factors of so many columns: its packed panels. */
static double celi_product_bytes(double columns)
{
    double panels = 600 * (columns + 200);
    return (double)sizeof(cel_real) * (panels < 2e6 ? panels : 2e6);
}

CEL_API_DEF double cel_score_memory(const cel_relations *relations, int64_t genes, int64_t groups, int64_t slides,
                                    const cel_score_options *options)
{
    cel_score_options o = CEL_ZERO;
    const double real = sizeof(cel_real), S = (double)relations->cells, n = (double)genes, R = (double)relations->count;
    const double threads = cel_threads();
    double blocks = 0, k = n, m, w, parts, team, folds, fields, sums, cells = 0, moments;
    int64_t r;
    int by_group;
    if (options) o = *options;
    for (r = 0; r < relations->count; r++) blocks += relations->at[r].wt ? 2 : 1;
    if (celi_score_confined(&o) && S < n - 1) k = S;
    m = blocks * k;
    w = m + 1;
    fields = o.field == CEL_SCORE_FIELD_SLIDE && slides > 1 ? (double)slides : 1;
    by_group = celi_score_form_used(&o, genes) == CEL_SCORE_MOMENT;
    parts = !by_group ? 1 : groups > 0 ? (double)groups : fields;
    folds = (double)celi_score_rated(&o, celi_score_folds(&o, groups > 0 ? groups : 1), (int64_t)k);
    if (o.measured && o.no_errors && groups > 0)
        parts = celi_min(groups, celi_score_folds(&o, groups) + (fields > 1 ? (int64_t)fields : 0));
    /* The moments, their sum, and what their making takes; eigenvectors need less than that. */
    moments = 8 * w * w * (parts + 1) + threads * ((w + 16) * (w + CELI_MOMENTS_BLOCK) * real + celi_product_bytes(w));
    if (3 * k * (k + 64) * 8 > 8 * w * w) moments += 3 * k * (k + 64) * 8;
    if (k < n) moments += (3 * n * k + 3 * k * k) * real;
    /* A problem of the sums, for each thread that solves one; the path's folds; the whole, basis, f, the outputs. */
    team = by_group ? (double)celi_team_size(groups > 0 ? groups : 1, k, blocks) : 1;
    sums = celi_quadratic_bytes(k, R, blocks) + (2 * m * k + k * k + n * k + 2 * m * m + R * n * n) * real + 8 * w * w +
           8 * fields * (3 * w + m) + celi_product_bytes(w) +
           (o.measured ? (R * k * k + n * n + 2 * m * n) * real + 80 * n : 0);
    moments += team * sums + (m * m + (9 * R + 4) * n * n) * real + 16 * R * n * n + 8 * n * n + 16 * fields * w;
    if (o.measured) moments += (2 * R * n * n + 3 * n) * real + 32 * folds * n;
    if (o.ridge < 0 || o.l1 < 0 || o.form == CEL_SCORE_PICK || o.measured)
        moments += folds * (R * k * k + (by_group ? m * m : 0)) * real + 8 * folds * fields * m;
    /* A problem of the cells, and of J+ beside another. */
    if (!by_group || o.form == CEL_SCORE_PICK)
        cells = S * ((m + n) * real + 8) + (CELI_MOMENTS_BLOCK * w + 2 * CELI_SCORE_ROWS * n + fields * n * n) * real +
                (8 + real) * CELI_CHUNKS * m * n + 8 * (CELI_CHUNKS + 2 * (n + 1)) * fields * n + 16 * m * n +
                celi_quadratic_bytes(n, R, blocks) + (2 * m * n + n * n) * real + threads * celi_product_bytes(w);
    if (o.form == CEL_SCORE_PICK) cells += (by_group ? 1 : 2) * cells + 8 * w * w + m * m * real;
    return moments + cells + S * 12 + 8 * fields + 1e5;
}

CEL_API_DEF cel_status cel_score_value(const cel_model *model, const cel_relations *relations, cel_mat x,
                                       cel_score_form form, double *value, double *each, cel_work *work)
{
    const int64_t n = model->genes, S = x.rows, block = celi_min(CELI_MODEL_BLOCK, S);
    celi_pool pool = CEL_ZERO;
    cel_mat v, u, along, F = cel_model_force(model, 0);
    int64_t first, i, j;
    double *sums;
    cel_status status = CEL_OK;
    *value = 0;
    if (form == CEL_SCORE_AUTO) form = CEL_SCORE_EXACT;
    if (S < 1 || (int)form < CEL_SCORE_MOMENT || form > CEL_SCORE_ORTHANT) status = CEL_ERR_ARG;
    if (!status && x.cols != n) status = CEL_ERR_SHAPE;
    v = celi_pool_mat(&pool, status ? 0 : S, n);
    u = celi_pool_mat(&pool, block, n);
    along = celi_pool_mat(&pool, block, n);
    sums = (double *)celi_pool_get(&pool, block, sizeof *sums);
    if (!status) status = pool.status;
    if (!status) status = cel_model_energy(model, relations, x, NULL, NULL, v, work);
    for (first = 0; first < S && !status; first += u.rows) {
        u.rows = along.rows = celi_min(block, S - first);
        for (i = 0; i < u.rows; i++)
            for (j = 0; j < n; j++) {
                cel_real y = x.data[(first + i) * x.stride + j];
                u.data[i * n + j] = form == CEL_SCORE_ORTHANT ? y * y : y;
            }
        status = cel_mat_gemm(0, 1, 1, u, F, 0, along, work);
        CELI_OMP(omp parallel for schedule(static) if (u.rows * n > CELI_FORK / 4))
        for (i = 0; i < u.rows; i++)
            sums[i] = celi_score_value_cell(form, F, x.data + (first + i) * x.stride, v.data + (first + i) * n,
                                            along.data + i * n);
        for (i = 0; i < u.rows && !status; i++) {
            *value += sums[i] / (double)S;
            if (each) each[first + i] = sums[i];
        }
    }
    if (!status && !celi_finite(*value)) status = CEL_ERR_NUMERIC;
    if (status) *value = 0;
    for (i = 0; i < S && each && status; i++) each[i] = 0;
    celi_pool_free(&pool);
    return status;
}

CEL_API_DEF cel_status cel_score_value_moments(const cel_model *model, const cel_moments *moments, double *value)
{
    /* J = 1/2 <T, G T> - <T, l> + 2 <F_0, S I - X^T X>, T the coefficients of B in v: blocks 2 F (symmetric), F^T and F
     * (else), and 2 h; l = (n - 1) B^T X. */
    int64_t n = model->genes, m = moments->blocks * n, w = m + 1, r, b, i;
    celi_pool pool = CEL_ZERO;
    double *t, *share, total = 0;
    *value = 0;
    if (moments->genes != n || moments->relations != model->relations) return CEL_ERR_SHAPE;
    if (moments->cells < 1) return CEL_ERR_DATA;
    t = (double *)celi_pool_get(&pool, w * n, sizeof *t);
    share = (double *)celi_pool_get(&pool, w, sizeof *share);
    if (pool.status) {
        celi_pool_free(&pool);
        return CEL_ERR_MEMORY;
    }
    for (r = 0; r < model->relations; r++) {
        cel_mat F = cel_model_force(model, r);
        int64_t j, from = moments->block[r], end = moments->block[r + 1];
        for (b = from; b < end; b++)
            for (i = 0; i < n; i++)
                for (j = 0; j < n; j++) {
                    double f = (double)F.data[i * F.stride + j], ft = (double)F.data[j * F.stride + i];
                    t[(b * n + i) * n + j] = end - from == 1 ? f + ft : b > from ? f : ft;
                }
    }
    for (i = 0; i < n; i++) t[m * n + i] = model->field ? 2 * (double)model->field[i] : 0.0;
    CELI_OMP(omp parallel for schedule(static) if (w * w * n > CELI_FORK))
    for (i = 0; i < w; i++) {
        int64_t j, k;
        const double *gram = moments->gram + i * w;
        for (k = 0; k < w; k++) {
            const double *a = t + i * n, *c = t + k * n;
            double dot = 0;
            for (j = 0; j < n; j++) dot += a[j] * c[j];
            share[i] += 0.5 * dot * gram[k];
        }
        for (j = 0; j < n; j++) share[i] -= (double)(n - 1) * t[i * n + j] * gram[j];
        for (j = 0; j < n && i < n; j++)
            share[i] += t[i * n + j] * ((i == j ? (double)moments->cells : 0.0) - gram[j]);
    }
    for (i = 0; i < w; i++) total += share[i];
    celi_pool_free(&pool);
    *value = total / (double)moments->cells;
    if (celi_finite(*value)) return CEL_OK;
    *value = 0;
    return CEL_ERR_NUMERIC;
}

/* ---- the definitions, by plain loops ---- */

/* b = dH/dx_i of all but the cell's own pair term: h + sum_r (F_r N+ + F_r^T N-), neighbour by neighbour. */
static void celi_naive_field(const cel_model *model, const cel_relations *relations, cel_mat x, int64_t cell, double *b)
{
    int64_t n = model->genes, r, e, j, k;
    for (k = 0; k < n; k++) b[k] = model->field ? (double)model->field[k] : 0.0;
    for (r = 2; r < 2 * relations->count; r++) { /* each relation as it is, then transposed */
        const cel_relation *one = relations->at + r / 2;
        const cel_csr *a = r % 2 && one->wt ? one->wt : one->w;
        const cel_real *F = cel_model_force(model, r / 2).data;
        for (e = a->start[cell]; e < a->start[cell + 1]; e++)
            for (k = 0; k < n * n; k++) {
                j = r % 2 ? k % n * n + k / n : k;
                b[k / n] += (double)a->value[e] * (double)F[j] * (double)x.data[a->index[e] * x.stride + k % n];
            }
    }
}

/* H as far as it depends on the cell's row y: y^T F_0 y + b . y. */
static double celi_naive_energy(cel_mat F, const double *b, const double *y)
{
    double h = 0;
    int64_t j, k;
    for (k = 0; k < F.rows; k++) {
        h += b[k] * y[k];
        for (j = 0; j < F.rows; j++) h += y[k] * (double)F.data[k * F.stride + j] * y[j];
    }
    return h;
}

/* (weighted: y_j y_k times) the derivative of H along the rotation of y in the plane (j, k), where it is turned by
 * `angle` there; g = dH/dy at y, which changes by (F_0 + F_0^T) times the turn. */
static double celi_naive_turn(cel_mat F, const double *g, const double *y, int64_t j, int64_t k, double angle,
                              int weighted)
{
    double yj = y[j] * cos(angle) - y[k] * sin(angle), yk = y[k] * cos(angle) + y[j] * sin(angle);
    double cross = (double)F.data[j * F.stride + k] + (double)F.data[k * F.stride + j];
    double gj = g[j] + 2 * (double)F.data[j * F.stride + j] * (yj - y[j]) + cross * (yk - y[k]);
    double gk = g[k] + 2 * (double)F.data[k * F.stride + k] * (yk - y[k]) + cross * (yj - y[j]);
    return (weighted ? yj * yk : 1) * (yj * gk - yk * gj);
}

/* J of one cell from its definition: over the rotations of pairs of axes, whose squares sum to the gradient's and whose
 * second derivatives to the Laplacian, 1/2 w (XH)^2 + X (w XH), w = 1 or, J+, y_j y_k. MOMENT has the radial part. */
static double celi_naive_j(cel_mat F, const double *g, const double *y, cel_score_form form)
{
    const double e = 1e-4;
    const int plus = form == CEL_SCORE_ORTHANT;
    double J = 0, radial = 0;
    int64_t j, k;
    for (j = 0; j < F.rows; j++) {
        radial += g[j] * y[j];
        for (k = j + 1; k < F.rows; k++) {
            double slope = celi_naive_turn(F, g, y, j, k, 0, 0);
            J += 0.5 * (plus ? y[j] * y[k] : 1) * slope * slope;
            J += (celi_naive_turn(F, g, y, j, k, e, plus) - celi_naive_turn(F, g, y, j, k, -e, plus)) / (2 * e);
        }
    }
    return form == CEL_SCORE_MOMENT ? J + 0.5 * radial * radial : J;
}

/* The larger of: the difference of the gradient (n) at the cell's row y from H's central differences, and of J. */
static double celi_naive_compare(cel_mat F, const double *b, double *y, const cel_real *gradient, double *g, double J,
                                 cel_score_form form)
{
    const double e = 1e-4;
    double size = 0, off = 0, naive;
    int64_t k;
    for (k = 0; k < F.rows; k++) {
        double here = y[k], up;
        y[k] = here + e;
        up = celi_naive_energy(F, b, y);
        y[k] = here - e;
        g[k] = (up - celi_naive_energy(F, b, y)) / (2 * e);
        y[k] = here;
        size += g[k] * g[k];
        off += (g[k] - (double)gradient[k]) * (g[k] - (double)gradient[k]);
    }
    off = sqrt(off / (size > 0 ? size : 1));
    naive = fabs(celi_naive_j(F, g, y, form) - J) / (1 + size + fabs(J));
    return naive <= off ? off : naive;
}

CEL_API_DEF cel_status cel_score_check(const cel_model *model, const cel_relations *relations, cel_mat x,
                                       cel_score_form form, int64_t cells, double *worst, cel_work *work)
{
    int64_t n = model->genes, c, k;
    celi_pool pool = CEL_ZERO;
    double *each = (double *)celi_pool_get(&pool, x.rows, sizeof *each);
    double *b = (double *)celi_pool_get(&pool, n, sizeof *b), *y = (double *)celi_pool_get(&pool, n, sizeof *y), mean;
    double *g = (double *)celi_pool_get(&pool, n, sizeof *g);
    cel_mat gradient = celi_pool_mat(&pool, x.rows, n), F = cel_model_force(model, 0);
    cel_status status = pool.status;
    *worst = 0;
    if (!status) status = cel_score_value(model, relations, x, form, &mean, each, work);
    if (!status) status = cel_model_energy(model, relations, x, NULL, NULL, gradient, work);
    cells = celi_min(cells, x.rows);
    for (c = 0; c < cells && !status; c++) {
        int64_t cell = c * x.rows / cells;
        double off;
        for (k = 0; k < n; k++) y[k] = (double)x.data[cell * x.stride + k];
        celi_naive_field(model, relations, x, cell, b);
        off = celi_naive_compare(F, b, y, gradient.data + cell * n, g, each[cell], form);
        if (!(off <= *worst)) *worst = off;
    }
    celi_pool_free(&pool);
    return status;
}

/* ---- the pseudo-likelihood ---- */

/* What log p of all cells takes: X, the fields b = dH/dx_i - 2 F_0 x of all but the cells' own parts, those parts, and
 * the fields in the basis of F_0's eigenvectors; minus the eigenvalues. */
typedef struct celi_likelihood {
    cel_mat x, b, own, turned; /* (S x n) */
    double *lambda, *gamma;    /* (n); (CHUNKS x n) scratch */
} celi_likelihood;

/* log p of cell i, and the status of its normaliser. */
static cel_status celi_likelihood_cell(const celi_likelihood *p, int64_t i, double *gamma, double *log_p)
{
    const cel_real *y = p->x.data + i * p->x.stride;
    int64_t n = p->x.cols, k;
    double log_c;
    cel_status status;
    for (k = 0; k < n; k++) gamma[k] = (double)p->turned.data[i * n + k];
    status = cel_sphere_log_fb(n, p->lambda, gamma, &log_c, NULL, NULL);
    *log_p = cel_vec_dot(y, p->b.data + i * n, n) + 0.5 * cel_vec_dot(y, p->own.data + i * n, n) - log_c;
    return status;
}

static cel_status celi_likelihood_open(const cel_model *model, const cel_relations *relations, celi_pool *pool,
                                       celi_likelihood *p, cel_work *work)
{
    int64_t n = p->x.cols, S = p->x.rows, k;
    cel_mat F = celi_pool_mat(pool, n, n), basis = celi_pool_mat(pool, n, n);
    cel_status status;
    p->b = celi_pool_mat(pool, S, n);
    p->own = celi_pool_mat(pool, S, n);
    p->turned = celi_pool_mat(pool, S, n);
    p->lambda = (double *)celi_pool_get(pool, n, sizeof(double));
    p->gamma = (double *)celi_pool_get(pool, CELI_CHUNKS * n, sizeof(double));
    status = pool->status ? pool->status : cel_model_energy(model, relations, p->x, NULL, NULL, p->b, work);
    if (status) return status;
    cel_mat_copy(cel_model_force(model, 0), F);
    cel_mat_symmetrise(F);
    status = cel_mat_gemm(0, 0, 2, p->x, F, 0, p->own, work);
    cel_mat_axpy(-1, p->own, p->b);
    if (!status) status = cel_mat_eigen(F, p->lambda, basis);
    if (!status) status = cel_mat_gemm(0, 0, 1, p->b, basis, 0, p->turned, work);
    for (k = 0; k < n; k++) p->lambda[k] = -p->lambda[k];
    return status;
}

/* log p(x_i | rest) = x^T F_0 x + b^T x - log c(F_0, b). */
CEL_API_DEF cel_status cel_score_pseudo_likelihood(const cel_model *model, const cel_relations *relations, cel_mat x,
                                                   double *mean, double *each, cel_work *work)
{
    const int64_t n = model->genes, S = x.rows;
    int64_t c, i;
    celi_pool pool = CEL_ZERO;
    celi_likelihood p = CEL_ZERO;
    double sum[CELI_CHUNKS] = {0};
    cel_status failed[CELI_CHUNKS], status = S < 1 ? CEL_ERR_ARG : x.cols != n ? CEL_ERR_SHAPE : CEL_OK;
    *mean = 0;
    p.x = x;
    if (!status) status = celi_likelihood_open(model, relations, &pool, &p, work);
    CELI_OMP(omp parallel for schedule(static) if (S * n > CELI_FORK / 8))
    for (c = 0; c < (status ? 0 : CELI_CHUNKS); c++) {
        int64_t cell;
        failed[c] = CEL_OK;
        for (cell = c * S / CELI_CHUNKS; cell < (c + 1) * S / CELI_CHUNKS && !failed[c]; cell++) {
            double log_p;
            failed[c] = celi_likelihood_cell(&p, cell, p.gamma + c * n, &log_p);
            sum[c] += log_p;
            if (each) each[cell] = log_p;
        }
    }
    for (c = 0; c < CELI_CHUNKS && !status; c++) {
        status = failed[c];
        *mean += sum[c] / (double)S;
    }
    if (status) *mean = 0;
    for (i = 0; i < S && each && status; i++) each[i] = 0;
    celi_pool_free(&pool);
    return status;
}

CEL_API_DEF cel_status cel_score_slide(const cel_slide *slide, const cel_slide_recipe *recipe, cel_score_result *out,
                                       cel_error *err)
{
    cel_slide_rows *rows = &out->rows;
    cel_error own = CEL_ZERO;
    cel_status status;
    memset(out, 0, sizeof *out);
    status = cel_slide_prepare(slide, recipe, rows, err);
    if (status) return status;
    status = cel_relations_from_graph(&rows->graph, NULL, &out->relations, &own);
    if (!status) {
        cel_score_options o = cel_score_measured(rows->scaling.size);
        o.slide = rows->slide;
        o.group = rows->tile;
        status = cel_score_fit(&out->relations, rows->x, &o, &out->model, &out->report, &own, NULL);
    }
    if (!status) return CEL_OK;
    if (own.cell >= 0 && own.cell < rows->x.rows) own.cell = rows->cell[own.cell];
    if (own.gene >= 0 && own.gene < rows->x.cols) own.gene = rows->gene[own.gene];
    if (err) *err = own;
    cel_score_slide_free(out);
    return status;
}

CEL_API_DEF void cel_score_slide_free(cel_score_result *result)
{
    cel_slide_rows_free(&result->rows);
    cel_relations_free(&result->relations);
    cel_model_free(&result->model);
    cel_score_report_free(&result->report);
    memset(result, 0, sizeof *result);
}

/* ======================================================================== */
/* shifts                                                                   */
/* ======================================================================== */

/* Who is in which group. Groups are numbered so that a run of them, a fold, takes alike of every condition. */
typedef struct celi_shift_design {
    int64_t conditions, groups;
    int64_t *begin;            /* (conditions groups + 1) the moments of a condition and group, in this order */
    int64_t *members;          /* (conditions) groups in each */
    double *root;              /* (groups) of the jackknife: G is the members of a group's condition, or the most */
    celi_score_data *data;     /* (1 + conditions) all moments, then each condition's */
    const int32_t *list;       /* (count) the caller's number of each moment */
    celi_pool pool;
} celi_shift_design;

/* One problem of `solve` for all conditions. Each has a celi_score of its own, in the scales and the basis of `all`,
 * which has everything under one condition; the unknowns are stacks f_0 and, of conditions but the control, f_c, and
 * condition c's quadratic is applied to T^c = f_0 + f_c. */
typedef struct celi_shift {
    celi_score all, *of;     /* (conditions) */
    int apart;               /* 1: T^c = f_c, each on its own */
    int64_t conditions, groups;
    const int64_t *begin;    /* of celi_shift_design */
    int32_t *owner, *kind;   /* (conditions blocks) */
    double *sparse, *stiff;  /* (conditions R) w_c; curvature beside that of f_0 */
    celi_quadratic q;
} celi_shift;

/* What each copy of the problem has. */
typedef struct celi_shift_copy {
    const celi_shift *sh;
    celi_quadratic *of; /* (conditions) */
    cel_mat t, g;       /* (R n x n) */
    double *line;       /* (2 n) */
} celi_shift_copy;

#define CELI_SHIFT_ROUGH 0.05 /* of solutions that an l1 weight is picked from: J is right to the square of it */

/* t = P t P, P = I - u u^T, block by block: in the genes' own basis the law is without u because of this alone. */
static void celi_shift_confine(const celi_shift_copy *k, cel_mat t)
{
    const double *u = k->sh->all.o.size;
    int64_t n = t.cols, r, i, j;
    double *right = k->line, *left = right + n;
    for (r = 0; r < t.rows && u && n == k->sh->all.genes; r += n) {
        double both = 0;
        memset(left, 0, (size_t)n * sizeof *left);
        for (i = 0; i < n; i++) {
            const cel_real *row = t.data + (r + i) * n;
            for (right[i] = 0, j = 0; j < n; j++) {
                right[i] += (double)row[j] * u[j];
                left[j] += u[i] * (double)row[j];
            }
            both += u[i] * right[i];
        }
        for (i = 0; i < n; i++)
            for (j = 0; j < n; j++)
                t.data[(r + i) * n + j] -= (cel_real)(right[i] * u[j] + u[i] * left[j] - both * u[i] * u[j]);
    }
}

/* The unknowns of condition c: those of F where c is 0, else of D^c. */
static cel_mat celi_shift_stack(const celi_shift_copy *k, cel_mat f, int64_t c)
{
    return cel_mat_block(f, c * k->t.rows, 0, k->t.rows, f.cols);
}

/* k->t = T^c. */
static void celi_shift_total(const celi_shift_copy *k, cel_mat f, int64_t c)
{
    cel_mat_copy(celi_shift_stack(k, f, c), k->t);
    if (c && !k->sh->apart) cel_mat_axpy(1, celi_shift_stack(k, f, 0), k->t);
    celi_shift_confine(k, k->t);
}

/* Its adjoint: g, which is condition c's, for the stacks that T^c is the sum of. */
static void celi_shift_share(const celi_shift_copy *k, cel_mat g, int64_t c, cel_mat out)
{
    celi_shift_confine(k, g);
    cel_mat_copy(g, celi_shift_stack(k, out, c));
    if (c && !k->sh->apart) cel_mat_axpy(1, g, celi_shift_stack(k, out, 0));
}

/* Each condition's own quadratic is applied to its total, and what comes out goes to every stack that the total is made
 * of: the chain rule, so that the sum is symmetric and needs no matrix of all conditions. */
static cel_status celi_shift_apply(celi_quadratic *q, cel_mat f, cel_mat out)
{
    const celi_shift_copy *k = (const celi_shift_copy *)q->context;
    int64_t c;
    cel_status status = CEL_OK;
    for (c = 0; c < k->sh->conditions && !status; c++) {
        celi_shift_total(k, f, c);
        status = celi_sums_apply(k->of + c, k->t, k->g);
        celi_shift_share(k, k->g, c, out);
    }
    return status;
}

/* The moments of condition c in groups `which`, as its own celi_score counts them. */
static celi_subset celi_shift_range(const celi_shift *sh, int64_t c, celi_subset which)
{
    const int64_t *begin = sh->begin + c * sh->groups;
    which.first = begin[which.first] - begin[0];
    which.end = begin[which.end] - begin[0];
    which.keep = -1;
    return which;
}

/* Folds and replicates are groups, and a condition takes those of its own: the moments stay apart by condition, so that
 * nothing has to be summed twice. */
static cel_status celi_shift_subset(celi_quadratic *q, celi_subset which)
{
    const celi_shift_copy *k = (const celi_shift_copy *)q->context;
    const int64_t R = k->sh->all.relations, B = k->sh->all.blocks, n = q->side;
    int64_t c, a;
    cel_status status = CEL_OK;
    q->share = 0;
    memset(q->unit, 0, (size_t)q->stacks * sizeof *q->unit);
    memset(q->diag, 0, (size_t)(q->blocks * q->blocks * n) * sizeof *q->diag);
    for (c = 0; c < k->sh->conditions && !status; c++) {
        celi_quadratic *one = k->of + c;
        status = celi_sums_subset(one, celi_shift_range(k->sh, c, which));
        q->share += one->share;
        celi_shift_share(k, one->rhs, c, q->rhs);
        for (a = 0; a < R; a++) q->unit[(k->sh->apart ? c : 0) * R + a] += one->unit[a];
        for (a = 0; a < B; a++) /* which an l1 solution does not need */
            memcpy(q->diag + ((c * B + a) * q->blocks + c * B) * n, one->diag + a * B * n,
                   (size_t)(B * n) * sizeof(double));
    }
    return status;
}

/* The problem, or another copy of it. */
static cel_status celi_shift_copy_open(const celi_shift *sh, cel_work *work, const celi_actions *act, celi_quadratic *q)
{
    const celi_score *all = &sh->all;
    celi_shift_copy *k;
    int64_t c;
    cel_status status;
    memset(q, 0, sizeof *q);
    q->context = k = (celi_shift_copy *)celi_pool_get(&q->pool, 1, sizeof *k);
    if (!k) return CEL_ERR_MEMORY;
    q->act = act;
    q->side = all->side;
    q->stacks = sh->conditions * all->relations;
    q->parts = sh->groups;
    q->blocks = sh->conditions * all->blocks;
    q->owner = sh->owner;
    q->kind = sh->kind;
    q->weight = all->weight;
    q->sparse = sh->sparse;
    q->stiff = sh->stiff;
    q->bound = 2 * all->q.bound; /* <f_0 + f_c, A (f_0 + f_c)> is at most twice that of each */
    celi_quadratic_open(q);
    /* Every copy has quadratics of its own: a subset of each is in hand. */
    k->sh = sh;
    k->t = celi_pool_mat(&q->pool, all->relations * q->side, q->side);
    k->g = celi_pool_mat(&q->pool, all->relations * q->side, q->side);
    k->line = (double *)celi_pool_get(&q->pool, 2 * q->side, sizeof(double));
    k->of = (celi_quadratic *)celi_pool_get(&q->pool, sh->conditions, sizeof *k->of);
    status = q->pool.status;
    for (c = 0; c < sh->conditions && !status; c++)
        status = celi_sums_open(sh->of + c, work, &celi_sums_actions, k->of + c);
    return status;
}

/* A thread of its own for every condition's problem. */
static cel_status celi_shift_twin(const celi_quadratic *q, celi_quadratic *out)
{
    return celi_shift_copy_open(((const celi_shift_copy *)q->context)->sh, NULL, q->act, out);
}

/* The conditions themselves belong to the celi_shift, which outlives its copies. */
static void celi_shift_drop(celi_quadratic *q)
{
    const celi_shift_copy *k = (const celi_shift_copy *)q->context;
    int64_t c;
    for (c = 0; k->of && c < k->sh->conditions; c++) celi_quadratic_close(k->of + c);
}

static const celi_actions celi_shift_actions = {celi_shift_subset, celi_shift_apply, celi_shift_twin, celi_shift_drop};

/* The mean over a fold's cells of the log residual variance, each condition by its own forces. */
static cel_status celi_shift_rate(celi_quadratic *q, celi_subset fold, cel_mat f, void *unused, double *value)
{
    const celi_shift_copy *k = (const celi_shift_copy *)q->context;
    int64_t c;
    cel_status status = CEL_OK;
    (void)unused;
    for (*value = q->share = 0, c = 0; c < k->sh->conditions && !status; c++) {
        const celi_subset here = celi_shift_range(k->sh, c, fold);
        double one;
        if (here.first == here.end) continue;
        celi_shift_total(k, f, c);
        status = celi_score_nodewise(k->of + c, here, k->t, NULL, &one);
        *value += k->of[c].share * one;
        q->share += k->of[c].share;
    }
    *value /= q->share;
    return status;
}

/* A problem for each condition, and one of all that lends them its scales: the control's forces and a shift must be in
 * the same units to be added. A shift weighs as its noise, which is least where a condition is half of the cells. */
static cel_status celi_shift_open(celi_shift *sh, const celi_shift_design *d, const cel_score_options *o,
                                  cel_work *work)
{
    celi_score *all = &sh->all;
    const int64_t C = d->conditions;
    int64_t c, k;
    cel_status status = celi_fit_open(all, d->data, o, work);
    sh->conditions = C;
    sh->groups = d->groups;
    sh->begin = d->begin;
    sh->of = (celi_score *)celi_pool_get(&all->pool, C, sizeof *sh->of);
    sh->owner = (int32_t *)celi_pool_get(&all->pool, C * all->blocks, sizeof(int32_t));
    sh->kind = (int32_t *)celi_pool_get(&all->pool, C * all->blocks, sizeof(int32_t));
    sh->sparse = (double *)celi_pool_get(&all->pool, C * all->relations, sizeof(double));
    sh->stiff = (double *)celi_pool_get(&all->pool, C * all->relations, sizeof(double));
    if (!status) status = all->pool.status;
    for (c = 0; c < C && !status; c++) {
        /* The same scales and basis for all, or their unknowns could not be added. */
        celi_score *one = sh->of + c;
        d->data[1 + c].like = all;
        status = celi_fit_open(one, d->data + 1 + c, o, work);
        for (k = 0; k < all->blocks; k++) {
            sh->owner[c * all->blocks + k] = (int32_t)(c * all->relations + all->owner[k]);
            sh->kind[c * all->blocks + k] = all->kind[k];
        }
        for (k = 0; k < all->relations && !status; k++) {
            sh->sparse[c * all->relations + k] = c ? 2 * sqrt(one->q.share * (1 - one->q.share)) : 0;
            sh->stiff[c * all->relations + k] = c ? one->q.bound / all->q.bound : 1;
        }
    }
    return status ? status : celi_shift_copy_open(sh, work, &celi_shift_actions, &sh->q);
}

/* Copies first: they lean on the problems of the conditions. */
static void celi_shift_close(celi_shift *sh)
{
    int64_t c;
    celi_quadratic_close(&sh->q);
    for (c = 0; sh->of && c < sh->conditions; c++) celi_fit_close(sh->of + c);
    celi_fit_close(&sh->all);
}

/* f = the solution under the l1 weight, which is picked if it is less than 0. It begins with what is shared, f_0 alone,
 * from where the steepest shift says what weight leaves none. */
static cel_status celi_shift_select(celi_shift *sh, double l1, cel_mat f, cel_shift_report *report)
{
    celi_score *all = &sh->all;
    celi_quadratic *q = &sh->q;
    const int64_t n = q->side;
    celi_pool pool = CEL_ZERO;
    celi_team team = CEL_ZERO;
    celi_path path = CEL_ZERO;
    double top = 1e-30;
    int64_t e, k, steps, best;
    cel_status status;
    /* What is shared, by the problem of everything under one condition, which has no penalty but the ridge. */
    all->o.l1 = 0;
    path.how = celi_fit_how(all);
    status = celi_solve_from(&all->q, cel_mat_block(f, 0, 0, all->relations * n, n), &path.how);
    celi_shift_confine((const celi_shift_copy *)q->context, cel_mat_block(f, 0, 0, all->relations * n, n));
    if (!status) status = q->act->subset(q, celi_everything);
    if (!status) status = celi_shift_apply(q, f, q->y);
    for (e = all->relations * n * n; e < f.rows * n && !status; e++) {
        const double slope = fabs((double)q->rhs.data[e] - (double)q->y.data[e]) / sh->sparse[e / (n * n)];
        if (e % n != e / n % n && slope > top) top = slope;
    }
    /* Each fold starts there, too, and goes on from weight to weight. */
    all->o.l1 = l1;
    path.how = celi_fit_how(all);
    if (l1 < 0 && !status) {
        path.how.tolerance = CELI_SHIFT_ROUGH;
        path.pick_l1 = 1;
        path.rated = path.folds = celi_score_folds(&all->o, sh->groups);
        path.rate = celi_shift_rate;
        path.progress = &all->o.progress;
        path.keep = all->o.keep;
        path.stage = "select";
        path.trail = celi_pool_mat(&pool, path.folds * f.rows, n);
        status = pool.status ? pool.status : celi_team_new(q, path.folds, &team);
        for (k = 0; k < path.folds && !status; k++)
            cel_mat_copy(f, cel_mat_block(path.trail, k * f.rows, 0, f.rows, n));
        steps = celi_fit_weights(all, 1, top, report->path_weight);
        if (!status)
            status = celi_path_pick(&team, &path, steps, report->path_weight, CELI_SCORE_RISES, report->path_value,
                                    &report->path, &best);
        for (k = report->path; k < steps; k++) report->path_weight[k] = 0;
        all->o.l1 = path.how.l1;
        path.how = celi_fit_how(all);
    }
    report->l1 = all->o.l1;
    path.how.progress = &all->o.progress;
    if (!status) status = q->act->subset(q, celi_everything);
    if (!status) status = celi_solve_kept(q, f, &path.how, all->o.keep, "fit");
    celi_team_free(&team);
    celi_pool_free(&pool);
    return status;
}

/* What the jackknife needs to know besides. */
typedef struct celi_shift_tests {
    celi_units units;
    cel_mat sparse;
    int32_t *rank; /* (C x n) of genes as targets */
} celi_shift_tests;

/* Which of genes i and j has their pair. */
static int64_t celi_shift_owner(const int32_t *rank, int64_t i, int64_t j) { return rank[i] < rank[j] ? i : j; }

/* out (C R n + C x n) = the shifts at f in units, then the targets' sums of them. */
static cel_status celi_shift_measure(celi_quadratic *q, cel_mat f, void *arg, cel_mat out)
{
    const celi_shift_copy *k = (const celi_shift_copy *)q->context;
    celi_shift_tests *tests = (celi_shift_tests *)arg;
    int64_t C = k->sh->conditions - 1, n = out.cols, size = k->sh->all.relations * n * n, c, e;
    cel_status status = CEL_OK;
    for (c = 0; c < C && !status; c++) {
        cel_mat to = cel_mat_block(out, c * size / n, 0, size / n, n);
        cel_real *sum = out.data + C * size + c * n;
        const cel_real *sparse = tests->sparse.data + c * size;
        cel_mat_copy(celi_shift_stack(k, f, c + 1), k->t);
        cel_mat_axpy(-1, celi_shift_stack(k, f, 0), k->t);
        k->of[c].ridge = HUGE_VAL; /* a difference has nothing outside of the basis */
        status = celi_score_partial(k->of + c, k->t, &tests->units, to);
        /* Every pair counts for the better ranked of its genes; it has two entries. */
        memset(sum, 0, (size_t)n * sizeof *sum);
        for (e = 0; e < size; e++)
            if (e % n != e / n % n && fabs((double)sparse[e]) > 0)
                sum[celi_shift_owner(tests->rank + c * n, e % n, e / n % n)] +=
                    (sparse[e] < 0 ? -to.data[e] : to.data[e]) / 2;
    }
    return status;
}

/* Ranks genes as targets: next is the one with the largest sum of |sparse| over the pairs left. */
static void celi_shift_rank(cel_mat sparse, double *left, int32_t *rank)
{
    int64_t n = sparse.cols, g, e, step;
    for (g = 0; g < n; g++) {
        rank[g] = INT32_MAX;
        left[g] = 0;
    }
    for (e = 0; e < sparse.rows * n; e++)
        if (e % n != e / n % n) {
            left[e % n] += fabs((double)sparse.data[e]);
            left[e / n % n] += fabs((double)sparse.data[e]);
        }
    for (step = 0; step < n; step++) {
        int64_t next = -1;
        for (g = 0; g < n; g++)
            if (rank[g] == INT32_MAX && (next < 0 || left[g] > left[next])) next = g;
        rank[next] = (int32_t)step;
        for (e = 0; e < sparse.rows * n; e++)
            if (e % n == next || e / n % n == next) left[e % n + e / n % n - next] -= fabs((double)sparse.data[e]);
    }
}

/* Tests of condition c (from 1), its pairs and then its targets. */
static cel_status celi_shift_judge(const celi_shift *sh, int64_t c, const int64_t *groups, const int32_t *rank,
                                   cel_shift_report *report)
{
    const celi_score *all = &sh->all;
    const int64_t n = all->genes, rows = all->relations * n, row = (c - 1) * rows;
    celi_pool pool = CEL_ZERO;
    double *p = (double *)celi_pool_get(&pool, rows * n, sizeof(double));
    const celi_score_data *side[2] = {sh->of[0].data, sh->of[c].data};
    cel_score_report one = CEL_ZERO, two = CEL_ZERO;
    cel_mat target_p = cel_mat_block(report->target_p, c - 1, 0, 1, n);
    int64_t g, e, k;
    cel_status status = pool.status ? pool.status : celi_score_contacts(side[0], &one);
    if (!status) status = celi_score_contacts(side[1], &two);
    /* A relation is tested where both conditions have contacts of it: a force that one of them could not have shown is
     * no shift. As few groups as the design has will do. */
    for (k = 0; k < all->relations && !status; k++)
        if (one.contact_groups[k] >= celi_min(CEL_SCORE_TILES, side[0]->parts) &&
            two.contact_groups[k] >= celi_min(CEL_SCORE_TILES, side[1]->parts))
            one.contact_groups[k] = CEL_SCORE_TILES;
        else one.contact_groups[k] = 0;
    one.groups = celi_min(groups[0], groups[c]);
    one.se = cel_mat_block(report->se, row, 0, rows, n);
    one.z = cel_mat_block(report->z, row, 0, rows, n);
    one.p = cel_mat_block(report->p, row, 0, rows, n);
    one.q = cel_mat_block(report->q, row, 0, rows, n);
    if (!status) status = celi_score_tests(all, cel_mat_block(report->shift, row, 0, rows, n), &one);
    for (g = 0; g < n && !status; g++) {
        for (k = 0, e = 0; e < rows * n; e++)
            if (e % n != e / n % n && celi_shift_owner(rank, e % n, e / n % n) == g) p[k++] = (double)one.p.data[e];
        status = cel_fdr(p, k, p); /* the least of these q is Simes' p */
        for (target_p.data[g] = 1; k-- > 0;)
            if (p[k] < (double)target_p.data[g]) target_p.data[g] = (cel_real)p[k];
    }
    for (g = 0; g < n && !status; g++) p[g] = (double)target_p.data[g];
    if (!status) status = cel_fdr(p, n, p);
    for (g = 0; g < n && !status; g++) report->target_q.data[(c - 1) * n + g] = (cel_real)p[g];
    celi_free(one.contacts);
    celi_free(one.contact_groups);
    celi_free(two.contacts);
    celi_free(two.contact_groups);
    celi_pool_free(&pool);
    return status;
}

/* value = shifts and targets of the solution f at the ridge of tests; se = their errors; and their tests. */
static cel_status celi_shift_errors(celi_shift *sh, const celi_shift_design *d, cel_mat f, celi_shift_tests *tests,
                                    cel_mat value, cel_mat se, cel_shift_report *report)
{
    celi_jackknife j = CEL_ZERO;
    int64_t c;
    cel_status status = celi_shift_measure(&sh->q, f, tests, value);
    j.f = f;
    j.centre = value;
    j.report = celi_shift_measure;
    j.arg = tests;
    j.root = d->root;
    j.how = celi_fit_how(&sh->all);
    j.how.relative = 1;
    j.how.tolerance = CELI_SCORE_REPLICATE;
    j.progress = &sh->all.o.progress;
    j.keep = sh->all.o.keep;
    if (!status) status = celi_jackknife_run(&sh->q, &j, se);
    for (c = 1; c < d->conditions && !status; c++)
        status = celi_shift_judge(sh, c, d->members, tests->rank + (c - 1) * value.cols, report);
    return status;
}

/* The report's matrices, of which shifts and targets are one piece each. */
static void celi_shift_room(int64_t C, int64_t rows, int64_t n, cel_mat *whole, celi_pool *out,
                            cel_shift_report *report)
{
    cel_mat *const shift[4] = {&report->shift, &report->se, &report->p, &report->q};
    cel_mat *const target[4] = {&report->target, &report->target_se, &report->target_p, &report->target_q};
    int k;
    for (k = 0; k < 4; k++) {
        whole[k] = celi_pool_mat(out, C * rows + C, n);
        *shift[k] = cel_mat_block(whole[k], 0, 0, C * rows, n);
        *target[k] = cel_mat_block(whole[k], C * rows, 0, C, n);
    }
    report->z = celi_pool_mat(out, C * rows, n);
    report->sparse = celi_pool_mat(out, C * rows, n);
    report->control = celi_pool_mat(out, rows, n);
}

/* The fit, of a design that was checked: two problems, since the l1 term needs the genes' own basis and the others are
 * solved much faster in the one that nearly diagonalises them. */
static cel_status celi_shift_run(const celi_shift_design *d, cel_score_options *o, cel_shift_report *report,
                                 celi_pool *out, cel_work *work)
{
    const int64_t C = d->conditions - 1, n = d->data->part->genes, rows = d->data->part->relations * n;
    const double l1 = celi_or(o->l1, CEL_SCORE_PICKED);
    celi_pool pool = CEL_ZERO;
    celi_shift test = CEL_ZERO, select = CEL_ZERO;
    celi_shift_tests tests = CEL_ZERO;
    cel_score_report picked = CEL_ZERO;
    celi_solve how;
    cel_mat whole[4], f, s = celi_pool_mat(&pool, (C + 1) * rows, n);
    double *left = (double *)celi_pool_get(&pool, n, sizeof(double));
    int64_t k;
    cel_status status;
    celi_shift_room(C, rows, n, whole, out, report);
    tests.sparse = report->sparse;
    tests.units.d = (double *)celi_pool_get(&pool, n, sizeof(double));
    tests.units.v = (double *)celi_pool_get(&pool, n, sizeof(double));
    tests.rank = (int32_t *)celi_pool_get(&pool, C * n, sizeof(int32_t));
    /* The tests' problem: each condition on its own. */
    test.apart = 1;
    o->l1 = 0;
    status = celi_shift_open(&test, d, o, work);
    if (!status) status = celi_fit_pick(&test.all, &picked);
    report->ridge = o->ridge = test.all.o.ridge;
    test.all.o.ridge = celi_or(o->test_ridge, CELI_SCORE_TEST_RIDGE);
    how = celi_fit_how(&test.all);
    f = celi_pool_mat(&pool, test.q.stacks * test.q.side, test.q.side);
    if (!status) status = out->status ? out->status : pool.status;
    if (!status) status = test.q.act->subset(&test.q, celi_everything);
    if (!status) status = celi_solve_kept(&test.q, f, &how, o->keep, "tests");
    if (!status) {
        const celi_shift_copy *copy = (const celi_shift_copy *)test.q.context;
        copy->of->ridge = how.ridge;
        status = celi_score_partial(copy->of, celi_shift_stack(copy, f, 0), &tests.units, report->control);
        tests.units.given = 1; /* a replicate keeps them */
    }
    /* The selection's: any l1 weight asks for the genes' own basis. */
    o->l1 = 1;
    if (!status) status = celi_shift_open(&select, d, o, work);
    if (!status) status = celi_shift_select(&select, l1, s, report);
    for (k = 0; k < C * rows * n && !status; k++) {
        const double unit = (double)select.all.dim * tests.units.d[k / n % n] * tests.units.d[k % n];
        const double force = select.all.scale[k / (n * n) % (rows / n)] * (double)s.data[rows * n + k];
        report->sparse.data[k] = (cel_real)(force / unit + 0.0); /* no minus before a zero */
    }
    celi_shift_close(&select);
    /* Which genes have which pairs is settled by the selection; their sums and errors are of the tests' shifts. */
    for (k = 0; k < C && !status; k++)
        celi_shift_rank(cel_mat_block(report->sparse, k * rows, 0, rows, n), left, tests.rank + k * n);
    if (!status) status = celi_shift_errors(&test, d, f, &tests, whole[0], whole[1], report);
    celi_shift_close(&test);
    celi_pool_free(&pool);
    return status;
}

/* Views of the moments given, by condition and group. A group's number goes by its place among the groups of its first
 * condition, as a share of them. */
static cel_status celi_shift_arrange(const cel_moments *moments, int64_t count, const int32_t *condition,
                                     const cel_score_options *o, celi_shift_design *d)
{
    const int64_t C = d->conditions, G = d->groups;
    celi_pool *pool = &d->pool;
    int32_t *key = (int32_t *)celi_pool_get(pool, count, sizeof *key);
    int32_t *list = (int32_t *)celi_pool_get(pool, count, sizeof *list);
    int32_t *slide = (int32_t *)celi_pool_get(pool, count, sizeof *slide);
    int32_t *number = (int32_t *)celi_pool_get(pool, G, sizeof *number); /* the first condition, before */
    int64_t *order = (int64_t *)celi_pool_get(pool, G, sizeof *order), *of, k, g, c;
    double *place = (double *)celi_pool_get(pool, G, sizeof *place);
    cel_moments *part = (cel_moments *)celi_pool_get(pool, count, sizeof *part);
    of = (int64_t *)celi_pool_get(pool, C, sizeof *of);
    d->begin = (int64_t *)celi_pool_get(pool, C * G + 1, sizeof *d->begin);
    d->members = (int64_t *)celi_pool_get(pool, C, sizeof *d->members);
    d->root = (double *)celi_pool_get(pool, G, sizeof *d->root);
    d->data = (celi_score_data *)celi_pool_get(pool, 1 + C, sizeof *d->data);
    if (C * G > INT32_MAX || pool->status) return CEL_ERR_MEMORY;
    for (g = 0; g < G; g++) number[g] = INT32_MAX;
    for (k = 0; k < count; k++)
        if (condition[k] < number[o->group[k]]) number[o->group[k]] = condition[k];
    /* Labels follow slides and tiles, so that neighbouring places are neighbours in the tissue, too. */
    for (g = 0; g < G; g++) place[g] = (double)of[number[g]]++ + 0.5;
    for (g = 0; g < G; g++) place[order[g] = g] /= (double)of[number[g]];
    celi_sort_by(place, order, G);
    for (g = 0; g < G; g++) number[order[g]] = (int32_t)g;
    for (k = 0; k < count; k++) key[k] = condition[k] * (int32_t)G + number[o->group[k]];
    celi_group(key, NULL, count, C * G, d->begin, list);
    for (k = 0; k < count; k++) {
        part[k] = moments[list[k]];
        slide[k] = o->slide ? o->slide[list[k]] : 0;
    }
    for (k = 0; k < C * G; k++) d->members[k / G] += d->begin[k + 1] > d->begin[k];
    for (g = 0; g < G; g++) {
        double most = 1;
        for (c = 0; c < C; c++)
            if (d->begin[c * G + g + 1] > d->begin[c * G + g] && (double)d->members[c] > most)
                most = (double)d->members[c];
        d->root[g] = sqrt((most - 1) / most);
    }
    d->list = list;
    d->data->part = part;
    d->data->parts = count;
    d->data->slides = 1;
    d->data->part_slide = slide;
    return CEL_OK;
}

/* What was given, checked; and each condition's share of it. */
static cel_status celi_shift_given(const cel_moments *moments, int64_t count, const int32_t *condition,
                                   const cel_score_options *options, celi_shift_design *d, cel_error *err)
{
    cel_score_options o = *options;
    int64_t c;
    cel_status status;
    o.l1 = 0; /* which no other fit has with a size direction */
    status = celi_score_options_check(&o, count > 0 ? moments->genes : 0, err);
    if (!status && !celi_score_weight(options->l1)) status = celi_note(err, CEL_ERR_ARG, "options: no weight of l1");
    if (!status && !o.group) status = celi_note(err, CEL_ERR_DATA, "shifts take groups");
    if (!status) status = celi_score_labels(condition, count, 1, &d->conditions, err);
    if (!status) status = celi_score_labels(o.group, count, 1, &d->groups, err);
    if (!status && d->conditions < 2) status = celi_note(err, CEL_ERR_DATA, "there is only one condition");
    if (!status) status = celi_shift_arrange(moments, count, condition, &o, d);
    if (status) return status;
    o.slide = d->data->part_slide;
    status = celi_score_given_moments(d->data, &o, err);
    if (status && err && err->offset >= 0 && err->offset < count) err->offset = d->list[err->offset];
    for (c = 0; c < d->conditions && !status; c++) {
        celi_score_data *one = d->data + 1 + c;
        *one = *d->data;
        one->part += d->begin[c * d->groups];
        one->part_slide += d->begin[c * d->groups];
        one->parts = one->groups = d->begin[(c + 1) * d->groups] - d->begin[c * d->groups];
        if (d->members[c] < 2) status = celi_fail(err, CEL_ERR_DATA, "a condition of fewer than two groups", c, -1, -1);
    }
    return status;
}

CEL_API_DEF cel_status cel_shift_fit(const cel_moments *moments, int64_t count, const int32_t *condition,
                                     const cel_score_options *options, cel_shift_report *report, cel_error *err,
                                     cel_work *work)
{
    celi_shift_design d = CEL_ZERO;
    celi_pool out = CEL_ZERO;
    cel_work temporary = CEL_ZERO;
    cel_score_options o = CEL_ZERO;
    cel_status status;
    memset(report, 0, sizeof *report);
    if (err) memset(err, 0, sizeof *err);
    if (options) o = *options;
    /* What is fixed here, whatever the options say. */
    o.measured = 1;
    o.field = CEL_SCORE_FIELD_SLIDE;
    o.together = 0;
    status = celi_shift_given(moments, count, condition, &o, &d, err);
    o.form = CEL_SCORE_MOMENT;
    if (!status) status = celi_shift_run(&d, &o, report, &out, work ? work : &temporary);
    report->conditions = d.conditions - 1;
    report->groups = d.groups;
    report->owned = out.last;
    if (d.data) celi_pool_free(&d.data->pool);
    celi_pool_free(&d.pool);
    cel_work_free(&temporary);
    if (!status) return CEL_OK;
    cel_shift_report_free(report);
    if (err && !err->status)
        celi_note(err, status, status != CEL_ERR_NUMERIC ? cel_strerror(status)
                  : "nothing finite fits: too few cells in a condition, or genes that repeat each other; a heavier "
                    "ridge may do");
    return status;
}

CEL_API_DEF void cel_shift_report_free(cel_shift_report *report)
{
    celi_chain_free(report->owned);
    memset(report, 0, sizeof *report);
}

/* ======================================================================== */
/* chosen                                                                   */
/* ======================================================================== */

#define CELI_CHOSEN_RIDGE 1.0
#define CELI_CHOSEN_FACTORS 20
#define CELI_CHOSEN_MOST 10   /* columns a cell, beyond which forces between cells are not tested */
#define CELI_CHOSEN_SPARE 8   /* directions more than factors, which make the iteration sharper at its end */
#define CELI_CHOSEN_ROUNDS 12
enum { CELI_CHOSEN_TILE = 256 }; /* genes read at a time */

/* Places are cells in the order of their groups, so that a group is a run of rows. */
typedef struct celi_chosen {
    const cel_rows *rows;
    const cel_relations *relations;
    const int32_t *gene;              /* (c) chosen */
    int64_t cells, genes, count, blocks; /* S, n, c, R */
    int64_t slides, groups, factors;
    const int32_t *slide;             /* (S), or NULL */
    const double *size;               /* (n), or NULL */
    double ridge;
    int64_t *start;                   /* (groups + 1), or one group of all */
    int32_t *list, *column;           /* (S) the cell at a place; (tile) genes in hand */
    double *root;                     /* (R) what a relation's columns are multiplied by */
    double *mean;                     /* (slides x R tile) */
    double *held;                     /* (slides) cells */
    cel_mat kernel, inverse;          /* (S x S) Z Z^T, then the Cholesky factor of what is inverted */
    cel_mat u, f;                     /* (k x S) factors as directions of the cells; sigma^-1 U Z Z^T */
    cel_mat phi;                      /* (k + 1 x R n) as directions of the genes, the size direction last */
    double *sigma;                    /* (k) */
    double *diag;                     /* (R n) of the inverse of K */
    cel_mat x, tile, product;         /* (S x tile); (S x R tile) twice */
    cel_mat right, held_out;          /* (S x R c) V Z of the chosen columns; V_ff^-1 of it, each group's */
    cel_mat out;                      /* (R c x R tile) */
    double share[3];                  /* sums over groups of s, s^2, s = (S - |f|) / S */
    const cel_progress *progress;
    cel_work *work;
} celi_chosen;

/* x (S x count): values of genes column[0 .. count - 1], prepared by the scaling of rows, whose cells say what was
 * taken out of their whole rows. */
static cel_status celi_chosen_read(const celi_chosen *c, int64_t count, cel_error *err)
{
    cel_rows part = *c->rows;
    const cel_scaling *s = c->rows->scaling;
    cel_mat x = cel_mat_block(c->x, 0, 0, c->cells, count);
    celi_pool pool = CEL_ZERO;
    int64_t i, j;
    cel_status status;
    /* The rows' genes may be columns of the store by a list of their own. Values are read as they are stored, because
     * cel_rows_read would take a tile for the whole row: its size and length are known already. */
    int32_t *column = (int32_t *)celi_pool_get(&pool, count, sizeof *column);
    if (!column) return celi_note(err, CEL_ERR_MEMORY, "a tile of genes");
    for (j = 0; j < count; j++) column[j] = c->rows->gene ? c->rows->gene[c->column[j]] : c->column[j];
    part.gene = column;
    part.genes = count;
    part.scaling = NULL;
    status = cel_rows_read(&part, NULL, 0, x, err);
    celi_pool_free(&pool);
    if (status || !s) return status;
    CELI_OMP(omp parallel for schedule(static) private(j) if (c->cells * count > CELI_FORK))
    for (i = 0; i < c->cells; i++) {
        const cel_scaling_cell *cell = s->cell + i;
        cel_real *row = x.data + i * x.stride;
        celi_logs l;
        celi_logs_at(&l, s, cell->total);
        for (j = 0; j < count; j++) {
            const int64_t g = c->column[j];
            double v = celi_log(&l, (double)row[j]);
            if (s->centre && cell->group >= 0) v = (v - s->centre[cell->group * c->genes + g]) / s->scale[g];
            if (s->size) v -= cell->size * s->size[g];
            row[j] = (cel_real)(cell->length > 0 ? v / cell->length : 0);
        }
    }
    return CEL_OK;
}

/* tile = the columns (x, N_1, ..) of these genes, a relation's beside one another, rows by place, about the means in
 * each slide, times root. */
static cel_status celi_chosen_columns(const celi_chosen *c, int64_t count, cel_error *err)
{
    const int64_t width = c->blocks * count;
    int64_t r, i, j;
    cel_status status = celi_chosen_read(c, count, err);
    cel_mat x = cel_mat_block(c->x, 0, 0, c->cells, count);
    memset(c->mean, 0, (size_t)(c->slides * width) * sizeof *c->mean);
    /* The same means for all replicates: a group's share of them is a matter of 1 / groups squared. */
    for (r = 0; r < c->blocks && !status; r++) {
        cel_mat to = cel_mat_block(c->tile, 0, r * count, c->cells, count);
        if (r) status = cel_csr_mul_rows(1, c->relations->at[r].w, c->list, c->cells, x, 0, to);
        for (i = 0; !r && i < c->cells; i++)
            memcpy(to.data + i * to.stride, x.data + c->list[i] * x.stride, (size_t)count * sizeof(cel_real));
    }
    for (i = 0; i < c->cells && !status; i++) {
        const cel_real *row = c->tile.data + i * c->tile.stride;
        const int64_t s = c->slide ? c->slide[c->list[i]] : 0;
        for (j = 0; j < width; j++) c->mean[s * width + j] += (double)row[j] / c->held[s];
    }
    CELI_OMP(omp parallel for schedule(static) private(j) if (c->cells * width > CELI_FORK))
    for (i = 0; i < c->cells; i++) {
        cel_real *row = c->tile.data + i * c->tile.stride;
        const double *mean = c->mean + (c->slide ? c->slide[c->list[i]] : 0) * width;
        for (j = 0; j < width; j++) row[j] = (cel_real)(((double)row[j] - mean[j]) * c->root[j / count]);
    }
    return status;
}

/* The next tile of genes, from `first` on; how many it has. */
static cel_status celi_chosen_tile(const celi_chosen *c, int64_t first, int64_t *count, cel_error *err)
{
    int64_t j;
    *count = celi_min(CELI_CHOSEN_TILE, c->genes - first);
    for (j = 0; j < *count; j++) c->column[j] = (int32_t)(first + j);
    return celi_chosen_columns(c, *count, err);
}

/* Scales, and a look at every row: root is 1 until then. Genes come in tiles, so a row's length is known, and what is
 * wrong with it told, when the last tile has been read. */
static cel_status celi_chosen_measure(celi_chosen *c, cel_error *err)
{
    celi_pool pool = CEL_ZERO;
    double *square = (double *)celi_pool_get(&pool, c->cells, sizeof *square);
    double *trace = (double *)celi_pool_get(&pool, c->blocks, sizeof *trace);
    const double dim = (double)(c->genes - (c->size ? 1 : 0));
    int64_t first, count, i, j;
    cel_status status = celi_note(err, pool.status, "the fit of chosen genes");
    for (i = 0; i < c->blocks && !status; i++) c->root[i] = 1;
    for (first = 0; first < c->genes && !status; first += count) {
        status = celi_chosen_tile(c, first, &count, err);
        for (i = 0; i < c->cells && !status; i++) {
            const cel_real *row = c->x.data + i * c->x.stride, *centred = c->tile.data + i * c->tile.stride;
            for (j = 0; j < count && !status; j++) {
                square[i] += (double)row[j] * (double)row[j];
                if (!celi_finite((double)row[j]))
                    status = celi_fail(err, CEL_ERR_DATA, "a value is not finite", -1, i, first + j);
            }
            for (j = 0; j < c->blocks * count; j++) trace[j / count] += (double)centred[j] * (double)centred[j];
        }
    }
    for (i = 0; i < c->cells && !status; i++)
        if (!(fabs(square[i] - 1) <= CELI_SCORE_UNIT))
            status = celi_fail(err, CEL_ERR_DATA, "a row is not of unit length", -1, i, -1);
    for (i = 0; i < c->blocks && !status; i++)
        c->root[i] = trace[i] > 0 ? sqrt(dim * (double)c->cells / trace[i]) : 0;
    if (!status && !(trace[0] > 1e-9 * (double)c->cells)) status = celi_note(err, CEL_ERR_DATA, "all cells are alike");
    celi_pool_free(&pool);
    return status;
}

/* kernel = Z Z^T, tile by tile: all that the genes who are not chosen say about the cells, in a matrix that does not
 * grow with them. */
static cel_status celi_chosen_kernel(celi_chosen *c, cel_error *err)
{
    int64_t first, count = 1;
    cel_status status = CEL_OK;
    for (first = 0; first < c->genes && !status; first += count) {
        status = celi_chosen_tile(c, first, &count, err);
        if (status) break;
        status = cel_mat_syrk(0, 1, cel_mat_block(c->tile, 0, 0, c->cells, c->blocks * count), first > 0 ? 1 : 0,
                              c->kernel, c->work);
        if (!status) status = celi_tell(c->progress, "kernel", first + count, c->genes, 0);
    }
    return status;
}

/* Rows of a (k x S) orthonormal: Gram and Schmidt, twice. A row of nothing stays nothing. */
static void celi_chosen_orthonormal(cel_mat a)
{
    int64_t i, j, round;
    for (i = 0; i < a.rows; i++) {
        cel_real *row = a.data + i * a.stride;
        double length;
        for (round = 0; round < 2; round++)
            for (j = 0; j < i; j++) {
                const cel_real *before = a.data + j * a.stride;
                cel_vec_axpy((cel_real)-cel_vec_dot(before, row, a.cols), before, row, a.cols);
            }
        length = cel_vec_nrm2(row, a.cols);
        for (j = 0; j < a.cols; j++) row[j] = (cel_real)(length > 0 ? (double)row[j] / length : 0);
    }
}

/* The factors: U, the strongest directions of the cells, by iteration of a subspace; sigma, so that U Z Z^T U^T is
 * diagonal; and f. The factors' directions among genes, sigma^-1/2 U Z, are then orthonormal whether or not the
 * iteration has come to its end, and Z without them, Z - f^T U Z, has the kernel Z Z^T - f^T diag(sigma) f exactly. */
static cel_status celi_chosen_factors(celi_chosen *c, double *share)
{
    const int64_t S = c->cells, k = c->factors, spare = k ? celi_min(k + CELI_CHOSEN_SPARE, S) : 0;
    celi_pool pool = CEL_ZERO;
    cel_mat u = celi_pool_mat(&pool, spare, S), next = celi_pool_mat(&pool, spare, S);
    cel_mat small = celi_pool_mat(&pool, spare, spare), turn = celi_pool_mat(&pool, spare, spare);
    double *w = (double *)celi_pool_get(&pool, spare, sizeof *w), trace = 0;
    int64_t i, j, round;
    cel_status status = pool.status;
    for (i = 0; i < spare && !status; i++) {
        cel_rng rng = cel_rng_at(0, 0, (uint32_t)i, 0);
        cel_rng_normals(&rng, u.data + i * u.stride, S);
    }
    if (!status) celi_chosen_orthonormal(u);
    for (round = 0; round < CELI_CHOSEN_ROUNDS && k && !status; round++) {
        status = cel_mat_gemm(0, 0, 1, u, c->kernel, 0, next, c->work);
        if (!status) status = cel_mat_copy(next, u);
        if (!status) celi_chosen_orthonormal(u);
    }
    if (!status && k) status = cel_mat_gemm(0, 0, 1, u, c->kernel, 0, next, c->work);
    if (!status && k) status = cel_mat_gemm(0, 1, 1, next, u, 0, small, c->work);
    if (!status && k) status = cel_mat_symmetrise(small);
    if (!status && k) status = cel_mat_eigen(small, w, turn);
    /* Directions within the subspace, of which the spare ones are left out again: they have met the iteration's end
     * less than the others. Eigenvalues ascend: the strongest are the last columns. */
    if (!status && k) status = cel_mat_gemm(1, 0, 1, cel_mat_block(turn, 0, spare - k, spare, k), u, 0, c->u, c->work);
    if (!status && k) status = cel_mat_gemm(0, 0, 1, c->u, c->kernel, 0, c->f, c->work);
    for (i = 0; i < S && !status; i++) trace += (double)c->kernel.data[i * (c->kernel.stride + 1)];
    for (i = 0; i < k && !status; i++) {
        c->sigma[i] = w[spare - k + i];
        share[k - 1 - i] = c->sigma[i] / trace;
        if (!(c->sigma[i] > 1e-5 * w[spare - 1])) status = CEL_ERR_NUMERIC; /* fewer directions than factors */
        for (j = 0; j < S && !status; j++)
            c->f.data[i * c->f.stride + j] = (cel_real)((double)c->f.data[i * c->f.stride + j] / c->sigma[i]);
    }
    celi_pool_free(&pool);
    return status;
}

/* kernel without the factors and with the ridge; its Cholesky factor; inverse = V. */
static cel_status celi_chosen_invert(celi_chosen *c)
{
    const int64_t S = c->cells, k = c->factors;
    celi_pool pool = CEL_ZERO;
    cel_mat scaled = celi_pool_mat(&pool, k, S);
    int64_t i, j;
    cel_status status = pool.status;
    for (i = 0; i < k && !status; i++)
        for (j = 0; j < S; j++)
            scaled.data[i * S + j] = (cel_real)(c->sigma[i] * (double)c->f.data[i * c->f.stride + j]);
    if (k && !status) status = cel_mat_gemm(1, 0, -1, c->f, scaled, 1, c->kernel, c->work);
    /* All of the inverse is needed: its squares on the diagonal for the replicates, the rest for every gene's own
     * precision. With the ridge near the mean of the eigenvalues float is enough. */
    for (i = 0; i < S && !status; i++) {
        c->kernel.data[i * (c->kernel.stride + 1)] += (cel_real)((double)S * c->ridge);
        c->inverse.data[i * (c->inverse.stride + 1)] = 1;
    }
    if (!status) status = cel_mat_cholesky(c->kernel);
    if (!status) status = cel_mat_cholesky_solve(c->kernel, c->inverse);
    celi_pool_free(&pool);
    return status;
}

/* Takes the factors out of the tile (S x width), as the kernel is without them; phi (k x width) receives the genes'
 * shares of them. */
static cel_status celi_chosen_free_of_factors(const celi_chosen *c, cel_mat tile, cel_mat phi)
{
    const int64_t k = c->factors;
    int64_t i, j;
    cel_status status = k ? cel_mat_gemm(0, 0, 1, c->u, tile, 0, phi, c->work) : CEL_OK;
    if (k && !status) status = cel_mat_gemm(1, 0, -1, c->f, phi, 1, tile, c->work);
    for (i = 0; i < k && !status; i++)
        for (j = 0; j < phi.cols; j++)
            phi.data[i * phi.stride + j] = (cel_real)((double)phi.data[i * phi.stride + j] / sqrt(c->sigma[i]));
    return status;
}

/* right = V Z_C, and of each group V_ff^-1 of its rows: what a group's absence changes is, of columns a and b,
 * (V Z_a)_f^T V_ff^-1 (V Z_b)_f / ridge (Woodbury's identity). Chosen genes come a tile at a time like all others. */
static cel_status celi_chosen_right(celi_chosen *c, cel_error *err)
{
    celi_pool pool = CEL_ZERO;
    cel_mat phi = celi_pool_mat(&pool, c->factors, CELI_CHOSEN_TILE); /* not needed here */
    int64_t first, count, r, g, i;
    cel_status status = celi_note(err, pool.status, "the fit of chosen genes");
    for (first = 0; first < c->count && !status; first += count) {
        count = celi_min(CELI_CHOSEN_TILE, c->count - first);
        memcpy(c->column, c->gene + first, (size_t)count * sizeof *c->column);
        status = celi_chosen_columns(c, count, err);
        for (r = 0; r < c->blocks && !status; r++)
            status = celi_chosen_free_of_factors(c, cel_mat_block(c->tile, 0, r * count, c->cells, count),
                                                 cel_mat_block(phi, 0, 0, c->factors, count));
        for (r = 0; r < c->blocks && !status; r++)
            status = cel_mat_gemm(0, 0, 1, c->inverse, cel_mat_block(c->tile, 0, r * count, c->cells, count), 0,
                                  cel_mat_block(c->right, 0, r * c->count + first, c->cells, count), c->work);
    }
    if (!status && c->groups) status = cel_mat_copy(c->right, c->held_out);
    for (g = 0; g < c->groups && !status; g++) {
        const int64_t from = c->start[g], m = c->start[g + 1] - from;
        cel_mat l = cel_mat_block(c->kernel, 0, 0, m, m); /* which is done with */
        for (i = 0; i < m; i++)
            memcpy(l.data + i * l.stride, c->inverse.data + (from + i) * c->inverse.stride + from,
                   (size_t)m * sizeof(cel_real));
        status = cel_mat_cholesky(l);
        if (!status) status = cel_mat_cholesky_solve(l, cel_mat_block(c->held_out, from, 0, m, c->right.cols));
    }
    celi_pool_free(&pool);
    return status;
}

/* Entry j of row r c + k of the report's order, of a product (R c x R count) of chosen columns with a tile's: within
 * cells that of x and x; between them the mean of gene j next door of k and of k next door of j, which for a symmetric
 * relation are one force. */
static double celi_chosen_entry(const celi_chosen *c, int64_t count, int64_t r, int64_t k, int64_t j)
{
    const cel_real *out = c->out.data;
    const double one = (double)out[k * c->out.stride + r * count + j];
    return r ? 0.5 * (one + (double)out[(r * c->count + k) * c->out.stride + j]) : one;
}

/* Of the tile of genes from `first` on: rows of K^-1, and over groups the sums of e, e s and e^2 of what their absence
 * changes, in the report's place for z, p and se; and the diagonal of K^-1. */
static cel_status celi_chosen_pass(celi_chosen *c, int64_t first, int64_t count, cel_chosen_report *report)
{
    const int64_t S = c->cells, width = c->blocks * count, rows = c->blocks * c->count;
    cel_mat tile = cel_mat_block(c->tile, 0, 0, S, width), product = cel_mat_block(c->product, 0, 0, S, width);
    cel_mat out = cel_mat_block(c->out, 0, 0, rows, width);
    int64_t g, i, j;
    cel_status status = cel_mat_gemm(0, 0, 1, c->inverse, tile, 0, product, c->work);
    for (i = 0; i < S && !status; i++)
        for (j = 0; j < width; j++)
            c->diag[j / count * c->genes + first + j % count] -=
                (double)tile.data[i * tile.stride + j] * (double)product.data[i * product.stride + j] / c->ridge;
    if (!status) status = cel_mat_gemm(1, 0, 1, c->right, tile, 0, out, c->work);
    for (i = 0; i < rows && !status; i++)
        for (j = 0; j < count; j++) {
            const int64_t r = i / c->count, k = i % c->count;
            report->partial.data[i * c->genes + first + j] =
                (cel_real)(((r == 0 && c->gene[k] == first + j) - celi_chosen_entry(c, count, r, k, j)) / c->ridge);
        }
    for (g = 0; g < c->groups && !status; g++) {
        const int64_t from = c->start[g], m = c->start[g + 1] - from;
        const double s = (double)(S - m) / (double)S;
        /* Sums in place of replicates: what is reported of them, their spread, needs the diagonal of all K^-1, which is
         * known at the end only. */
        status = cel_mat_gemm(1, 0, 1, cel_mat_block(c->held_out, from, 0, m, rows),
                              cel_mat_block(product, from, 0, m, width), 0, out, c->work);
        CELI_OMP(omp parallel for schedule(static) private(j) if (rows * count > CELI_FORK))
        for (i = 0; i < rows; i++)
            for (j = 0; j < count; j++) {
                const double e = s / c->ridge * celi_chosen_entry(c, count, i / c->count, i % c->count, j);
                const int64_t at = i * c->genes + first + j;
                report->z.data[at] += (cel_real)e;
                report->p.data[at] += (cel_real)(e * s);
                report->se.data[at] += (cel_real)(e * e);
            }
    }
    return status;
}

/* Directions that were taken out (phi) left a hole, no precision at all along them: they get the mean precision that
 * genes have there, as if they had been one direction among others. */
static cel_status celi_chosen_lift(celi_chosen *c, cel_chosen_report *report)
{
    const int64_t n = c->genes, all = c->blocks * n, K = c->phi.rows;
    celi_pool pool = CEL_ZERO;
    cel_mat lift = celi_pool_mat(&pool, K, c->blocks * c->count);
    double *level = (double *)celi_pool_get(&pool, K, sizeof *level);
    int64_t k, i, r;
    cel_status status = pool.status;
    for (k = 0; k < K && !status; k++)
        for (i = 0; i < all; i++) {
            const double v = (double)c->phi.data[k * all + i];
            c->diag[i] -= v * v / c->ridge;
        }
    /* A direction's own share in the genes' precision along it is taken off: what remains is of 1 - sum v^4 of it. */
    for (k = 0; k < K && !status; k++) {
        double sum = 0, fourth = 0;
        for (i = 0; i < all; i++) {
            const double v = (double)c->phi.data[k * all + i];
            sum += v * v * c->diag[i];
            fourth += v * v * v * v;
        }
        level[k] = fourth < 0.999 ? sum / (1 - fourth) : 0; /* 1: the direction is a single gene */
    }
    for (k = 0; k < K && !status; k++) {
        for (i = 0; i < all; i++) {
            const double v = (double)c->phi.data[k * all + i];
            c->diag[i] += v * v * level[k];
        }
        for (i = 0; i < c->blocks * c->count; i++)
            lift.data[k * lift.stride + i] =
                (cel_real)((level[k] - 1 / c->ridge) *
                           (double)c->phi.data[k * all + i / c->count * n + c->gene[i % c->count]]);
    }
    /* The chosen genes' rows of phi^T (level - 1 / ridge) phi, both halves of a force between cells. */
    for (r = 0; r < c->blocks && K && !status; r++) {
        cel_mat to = cel_mat_block(report->partial, r * c->count, 0, c->count, n);
        const cel_real half = (cel_real)(r ? 0.5 : 1);
        status = cel_mat_gemm(1, 0, half, cel_mat_block(lift, 0, 0, K, c->count), cel_mat_block(c->phi, 0, r * n, K, n),
                              1, to, c->work);
        if (r && !status)
            status = cel_mat_gemm(1, 0, half, cel_mat_block(lift, 0, r * c->count, K, c->count),
                                  cel_mat_block(c->phi, 0, 0, K, n), 1, to, c->work);
    }
    celi_pool_free(&pool);
    return status;
}

/* From rows of K^-1 and sums over groups to partial-correlation units, error bars, z and p. A replicate is
 * s (theta + e / s), theta the whole's and e its change times s; K^-1's diagonal is the whole's. */
static cel_status celi_chosen_units(const celi_chosen *c, cel_chosen_report *report)
{
    const int64_t n = c->genes, rows = c->blocks * c->count;
    const double G = (double)c->groups;
    int64_t i, j;
    for (i = 0; i < n; i++)
        if (!(c->diag[i] > 0)) return CEL_ERR_NUMERIC;
    CELI_OMP(omp parallel for schedule(dynamic) private(j))
    for (i = 0; i < rows; i++)
        for (j = 0; j < n; j++) {
            const int64_t at = i * n + j;
            const double unit = c->root[i / c->count] / c->root[0] / sqrt(c->diag[c->gene[i % c->count]] * c->diag[j]);
            const double theta = (double)report->partial.data[at];
            double sum, square, variance;
            report->partial.data[at] = (cel_real)(-theta * unit + 0.0);
            if (!c->groups) continue;
            /* Over groups, of s theta + e: the sum, and the sum of squares. */
            sum = theta * c->share[0] + (double)report->z.data[at];
            square = theta * theta * c->share[1] + 2 * theta * (double)report->p.data[at] + (double)report->se.data[at];
            variance = (G - 1) / G * (square - sum * sum / G);
            report->se.data[at] = (cel_real)(variance > 0 ? unit * sqrt(variance) : 0);
            report->z.data[at] = (cel_real)(variance > 0 ? -theta / sqrt(variance) : 0);
            report->p.data[at] = (cel_real)cel_student_p((double)report->z.data[at], G - 1);
        }
    return CEL_OK;
}

/* q of each relation over pairs with a chosen gene; where both are chosen, the later one's row repeats it. */
static cel_status celi_chosen_tests(const celi_chosen *c, cel_chosen_report *report)
{
    const int64_t n = c->genes;
    celi_pool pool = CEL_ZERO;
    double *p = (double *)celi_pool_get(&pool, c->count * n, sizeof *p);
    int32_t *place = (int32_t *)celi_pool_get(&pool, n, sizeof *place);
    int64_t r, k, j, pairs;
    cel_status status = pool.status;
    for (j = 0; j < n && !status; j++) place[j] = INT32_MAX;
    for (k = 0; k < c->count && !status; k++) place[c->gene[k]] = (int32_t)k;
    for (r = 0; r < c->blocks && !status; r++) {
        cel_real *q = report->q.data + r * c->count * n;
        const int tested = report->contact_groups[r] >= CEL_SCORE_TILES &&
                           (r == 0 || c->blocks * n <= CELI_CHOSEN_MOST * c->cells);
        for (pairs = 0, k = 0; k < c->count; k++)
            for (j = 0; j < n; j++)
                if (place[j] > k) p[pairs++] = (double)report->p.data[(r * c->count + k) * n + j];
        status = cel_fdr(p, pairs, p);
        for (pairs = 0, k = 0; k < c->count && !status; k++)
            for (j = 0; j < n; j++) {
                q[k * n + j] = 1;
                if (place[j] > k) q[k * n + j] = (cel_real)(tested ? p[pairs] : 1), pairs++;
                else if (place[j] < k) q[k * n + j] = q[place[j] * n + c->gene[k]];
            }
    }
    celi_pool_free(&pool);
    return status;
}

/* Groups with contacts of each relation; of the identity, all. As of cel_score_report: what few tiles have seen has an
 * error bar that says nothing. */
static void celi_chosen_contacts(const celi_chosen *c, cel_chosen_report *report)
{
    int64_t r, g, i;
    for (r = 0; r < c->blocks; r++)
        for (g = 0; g < c->groups; g++) {
            int seen = r == 0;
            for (i = c->start[g]; i < c->start[g + 1] && !seen; i++)
                seen = c->relations->at[r].w->start[c->list[i] + 1] > c->relations->at[r].w->start[c->list[i]];
            report->contact_groups[r] += seen;
        }
}

/* Options and arguments; what is said here needs no memory. The ridge grows with columns a cell: where these are many,
 * K has nothing but a ridge to hold its lower eigenvalues, and a light one fits every cell exactly. */
static cel_status celi_chosen_check(celi_chosen *c, const cel_chosen_options *o, int64_t *labels, cel_error *err)
{
    cel_score_options like = CEL_ZERO;
    int64_t r, k, most;
    cel_status status;
    c->size = o->size ? o->size : c->rows->scaling ? c->rows->scaling->size : NULL;
    c->ridge = celi_or(o->ridge, (double)(c->blocks * c->genes) / (double)(c->cells > 0 ? c->cells : 1));
    if (!(o->ridge > 0) && c->ridge < CELI_CHOSEN_RIDGE) c->ridge = CELI_CHOSEN_RIDGE;
    if (c->rows->cells != c->relations->cells || c->genes < 1)
        return celi_note(err, CEL_ERR_SHAPE, "rows and relations are of other cells");
    if (!(o->ridge >= 0 && o->ridge <= DBL_MAX) || !(o->memory >= 0) || c->count < 1 || c->count > c->genes)
        return celi_note(err, CEL_ERR_ARG, "options: no ridge or memory, or no genes chosen");
    like.measured = 1;
    like.size = c->size;
    status = celi_score_options_check(&like, c->genes, err);
    for (r = 1; r < c->blocks && !status; r++)
        if (c->relations->at[r].wt)
            status = celi_note(err, CEL_ERR_UNSUPPORTED, "chosen genes take relations that are symmetric");
    /* With an asymmetric one a gene next door is sender or receiver: two forces, and half of each pair's data. */
    for (k = 0; k < c->count && !status; k++)
        if (c->gene[k] < 0 || c->gene[k] >= c->genes)
            status = celi_fail(err, CEL_ERR_ARG, "a chosen gene is none of the genes", -1, -1, c->gene[k]);
    if (!status && o->slide) status = celi_score_labels(o->slide, c->cells, 1, labels, err);
    c->slides = o->slide ? *labels : 1;
    if (!status && o->group) status = celi_score_labels(o->group, c->cells, 1, labels, err);
    c->groups = o->group ? *labels : 0;
    if (!status && o->group && c->groups < 2)
        status = celi_note(err, CEL_ERR_DATA, "error bars take two groups or more");
    most = celi_min(c->cells, c->blocks * c->genes) - 1;
    c->factors = o->factors < 0 ? 0 : o->factors ? o->factors : celi_min(CELI_CHOSEN_FACTORS, c->genes / 15);
    if (!status && o->factors > most) status = celi_note(err, CEL_ERR_ARG, "options: more factors than rows can have");
    c->factors = celi_min(c->factors, most > 0 ? most : 0);
    return status;
}

/* Memory for all of it, the report in `out`. */
static cel_status celi_chosen_open(celi_chosen *c, const cel_chosen_options *o, celi_pool *pool, celi_pool *out,
                                   cel_chosen_report *report)
{
    const int64_t S = c->cells, n = c->genes, rows = c->blocks * c->count, wide = celi_min(CELI_CHOSEN_TILE, n);
    int64_t g;
    c->start = (int64_t *)celi_pool_get(pool, c->groups + 2, sizeof *c->start);
    c->list = (int32_t *)celi_pool_get(pool, S, sizeof *c->list);
    if (pool->status) return pool->status;
    celi_group(o->group, NULL, S, c->groups > 0 ? c->groups : 1, c->start, c->list);
    for (g = 0; g < c->groups; g++) {
        const double s = (double)(S - (c->start[g + 1] - c->start[g])) / (double)S;
        c->share[0] += s;
        c->share[1] += s * s;
    }
    c->slide = o->slide;
    c->column = (int32_t *)celi_pool_get(pool, wide, sizeof *c->column);
    c->root = (double *)celi_pool_get(pool, c->blocks, sizeof *c->root);
    c->mean = (double *)celi_pool_get(pool, c->slides * c->blocks * wide, sizeof *c->mean);
    c->held = (double *)celi_pool_get(pool, c->slides, sizeof *c->held);
    c->sigma = (double *)celi_pool_get(pool, c->factors, sizeof *c->sigma);
    c->diag = (double *)celi_pool_get(pool, c->blocks * n, sizeof *c->diag);
    c->kernel = celi_pool_mat(pool, S, S);
    c->inverse = celi_pool_mat(pool, S, S);
    c->u = celi_pool_mat(pool, c->factors, S);
    c->f = celi_pool_mat(pool, c->factors, S);
    c->phi = celi_pool_mat(pool, c->factors + (c->size ? 1 : 0), c->blocks * n);
    c->x = celi_pool_mat(pool, S, wide);
    c->tile = celi_pool_mat(pool, S, c->blocks * wide);
    c->product = celi_pool_mat(pool, S, c->blocks * wide);
    c->right = celi_pool_mat(pool, S, rows);
    c->held_out = celi_pool_mat(pool, c->groups ? S : 0, rows);
    c->out = celi_pool_mat(pool, rows, c->blocks * wide);
    report->partial = celi_pool_mat(out, rows, n);
    if (c->groups) {
        report->se = celi_pool_mat(out, rows, n);
        report->z = celi_pool_mat(out, rows, n);
        report->p = celi_pool_mat(out, rows, n);
        report->q = celi_pool_mat(out, rows, n);
    }
    report->share = (double *)celi_pool_get(out, c->factors, sizeof(double));
    report->contact_groups = (int64_t *)celi_pool_get(out, c->blocks, sizeof(int64_t));
    for (g = 0; g < S && !pool->status; g++) c->held[c->slide ? c->slide[g] : 0]++;
    return pool->status ? pool->status : out->status;
}

/* The fit itself, of what was checked and opened. */
static cel_status celi_chosen_run(celi_chosen *c, cel_chosen_report *report, cel_error *err)
{
    const int64_t n = c->genes;
    int64_t first, count = 1, r, j;
    cel_status status = celi_chosen_measure(c, err);
    if (!status) status = celi_chosen_kernel(c, err);
    if (!status) status = celi_chosen_factors(c, report->share);
    if (!status) status = celi_chosen_invert(c);
    if (!status) status = celi_chosen_right(c, err);
    for (j = 0; j < c->blocks * n && !status; j++) c->diag[j] = 1 / c->ridge;
    for (j = 0; j < n && c->size && !status; j++)
        c->phi.data[c->factors * c->phi.stride + j] = (cel_real)c->size[j];
    for (first = 0; first < n && !status; first += count) {
        status = celi_chosen_tile(c, first, &count, err);
        for (r = 0; r < c->blocks && !status; r++)
            status = celi_chosen_free_of_factors(c, cel_mat_block(c->tile, 0, r * count, c->cells, count),
                                                 cel_mat_block(c->phi, 0, r * n + first, c->factors, count));
        if (!status) status = celi_chosen_pass(c, first, count, report);
        if (!status) status = celi_tell(c->progress, "chosen", first + count, n, 0);
    }
    if (!status) status = celi_chosen_lift(c, report);
    if (!status) status = celi_chosen_units(c, report);
    if (!status && c->groups) status = celi_chosen_tests(c, report);
    return status;
}

CEL_API_DEF cel_status cel_chosen_fit(const cel_rows *rows, const cel_relations *relations, const int32_t *chosen,
                                      int64_t count, const cel_chosen_options *options, cel_chosen_report *report,
                                      cel_error *err, cel_work *work)
{
    celi_chosen c = CEL_ZERO;
    cel_chosen_options o = CEL_ZERO;
    celi_pool pool = CEL_ZERO, out = CEL_ZERO;
    cel_work temporary = CEL_ZERO;
    int64_t labels = 0, j;
    double bytes;
    cel_status status;
    memset(report, 0, sizeof *report);
    if (err) memset(err, 0, sizeof *err);
    if (options) o = *options;
    c.rows = rows;
    c.relations = relations;
    c.gene = chosen;
    c.cells = rows->cells;
    c.genes = rows->genes;
    c.count = count;
    c.blocks = relations->count;
    c.progress = &o.progress;
    c.work = work ? work : &temporary;
    status = celi_chosen_check(&c, &o, &labels, err);
    bytes = status ? 0 : cel_chosen_memory(relations, c.genes, count, c.groups, &o);
    if (!status && o.memory > 0 && bytes > o.memory)
        status = celi_fail(err, CEL_ERR_MEMORY, "chosen genes need more memory than that", (int64_t)bytes, -1, -1);
    if (!status) status = celi_chosen_open(&c, &o, &pool, &out, report);
    for (j = 0; j < count && !status; j++) {
        if (c.diag[chosen[j]] > 0) status = celi_fail(err, CEL_ERR_ARG, "a gene is chosen twice", -1, -1, chosen[j]);
        c.diag[chosen[j]] = 1;
    }
    if (!status) celi_chosen_contacts(&c, report);
    if (!status) status = celi_chosen_run(&c, report, err);
    report->genes = c.genes;
    report->relations = c.blocks;
    report->count = count;
    report->groups = c.groups;
    report->factors = c.factors;
    report->ridge = c.ridge;
    report->owned = out.last;
    celi_pool_free(&pool);
    cel_work_free(&temporary);
    if (!status) return CEL_OK;
    cel_chosen_report_free(report);
    if (err && !err->status)
        celi_note(err, status, status != CEL_ERR_NUMERIC ? cel_strerror(status)
                  : "nothing finite fits: too few cells or genes for so many factors, or too light a ridge");
    return status;
}

CEL_API_DEF void cel_chosen_report_free(cel_chosen_report *report)
{
    celi_chain_free(report->owned);
    memset(report, 0, sizeof *report);
}

CEL_API_DEF double cel_chosen_memory(const cel_relations *relations, int64_t genes, int64_t count, int64_t groups,
                                     const cel_chosen_options *options)
{
    const double S = (double)relations->cells, n = (double)genes, R = (double)relations->count, c = (double)count;
    const double wide = n < CELI_CHOSEN_TILE ? n : CELI_CHOSEN_TILE, real = sizeof(cel_real);
    double k = options && options->factors ? (double)options->factors : CELI_CHOSEN_FACTORS, slides = 1;
    int64_t i;
    if (k < 0) k = 0;
    for (i = 0; i < relations->cells && options && options->slide; i++)
        if (options->slide[i] + 1.0 > slides) slides = options->slide[i] + 1.0;
    return real * (2 * S * S + S * (wide * (1 + 2 * R) + 4 * k + 2 * CELI_CHOSEN_SPARE) + 2 * S * R * c +
                   (k + 1) * (R * (n + c) + wide) + R * R * c * wide + (groups ? 5 : 1) * R * c * n) +
           8 * (R * n + 2 * c * n + slides * R * wide) + 24 * S + celi_product_bytes(S) * cel_threads() + 1e5;
}

/* ======================================================================== */
/* counting                                                                 */
/* ======================================================================== */

/* Cells of like totals have like rates, hence like covariances: they are sorted into bins once, and a bin is a job. */
enum { CELI_COUNT_BINS = 32, CELI_COUNT_ROWS = 256, CELI_COUNT_MATS = 7 };
enum { CELI_COUNT_CYCLES = 40, CELI_COUNT_REPLICATE = 7 }; /* most of a fit; those of a replicate */
enum { CELI_COUNT_ROUNDS = 8 };                            /* of steps to modes from far away */
#define CELI_COUNT_RIDGE 0.01
#define CELI_COUNT_STILL 0.01 /* what a cycle moves, relative, where the fit ends */
#define CELI_COUNT_LOOSE 0.05 /* precision along the size direction */
#define CELI_COUNT_FAR 2.0    /* longest step of a coordinate of z */

/* A fit or a replicate, which shares the first part. */
typedef struct celi_count {
    const cel_count_data *in;
    cel_count_options o;
    int64_t cells, genes, relations, levels, bins, lanes;
    cel_scaling scaling;   /* of the fit: s, u, and each cell's total and level */
    int32_t *list, *bin;   /* (S) cells by bin, ascending; each cell's bin */
    int64_t *start;        /* (bins + 1) */
    double *each;          /* (S) where likelihoods go, or NULL */
    double log_det;        /* of L, for likelihoods */
    double change;         /* what the last cycle moved */
    int64_t without, keep; /* the group that is left out, or -1; cells that count */
    cel_moments moments;
    celi_score_data data;
    celi_score sc;
    cel_mat f;             /* its unknowns */
    cel_work work;
    celi_pool pool;
    /* (S x n) z, and where the next is made; (R n x n) A, G_1, .. and L, 2 G_1, ..; of celi_count_mix, and the forces
     * that the cycle began with or, for likelihoods, L^-1; (bins n x n) covariances, and scratch */
    cel_mat x, next, force, law, past, before, cover, lower;
    double *mean, *counts; /* (levels x n) m; sums of y over cells that count */
    double *members;       /* (levels) how many these are */
    double *rate, *part;   /* (bins x n) sums of s^2 rate; (bins x levels x 2 n) of rates and of z, cells that count */
    double *share;         /* (R x bins) how much of a bin's covariance is in the moments of N_r; 0: of z itself */
    int32_t *kept;         /* (keep) */
    cel_real *scratch;     /* (lanes x MATS x ROWS x n) */
    cel_work *products;    /* (lanes) what their products pack in */
} celi_count;

/* ---- expectation ---- */

/* e (n) = a cell's rates at z; none of genes that are not seen. */
static void celi_count_rates(const celi_count *c, const cel_scaling_cell *cell, const cel_real *z, cel_real *e)
{
    const double *m = c->mean + cell->group * c->genes, *s = c->scaling.scale;
    const double l = log((cell->total > 1 ? cell->total : 1) / c->scaling.target);
    int64_t k;
    for (k = 0; k < c->genes; k++) {
        double v = l + m[k] + s[k] * (double)z[k];
        e[k] = (cel_real)(c->in->seen && !c->in->seen[k] ? 0.0 : exp(v > 25 ? 25 : v < -40 ? -40 : v));
    }
}

/* log p(y) of row i by Laplace at the mode z, with h the neighbours' pull and D = diag(s^2 e) the counts' curvature:
 * sum (y log e - e - log y!) - 1/2 z L z + h z - 1/2 h L^-1 h + 1/2 log |L| - 1/2 log |L + D|. m: y, z, h, e, L z,
 * L^-1 h (cells x n); square is scratch. NaN where L + D is not positive definite. */
static double celi_count_laplace(const celi_count *c, const cel_mat *m, int64_t i, cel_mat square)
{
    const int64_t n = c->genes;
    double sum = 0.5 * c->log_det;
    int64_t k;
    cel_mat_copy(cel_mat_block(c->law, 0, 0, n, n), square);
    for (k = 0; k < n; k++) {
        const int64_t at = i * n + k;
        double y = (double)m[0].data[at], z = (double)m[1].data[at], h = (double)m[2].data[at];
        double e = (double)m[3].data[at];
        square.data[k * n + k] += (cel_real)(c->scaling.scale[k] * c->scaling.scale[k] * e);
        sum += z * (h - 0.5 * (double)m[4].data[at]) - 0.5 * h * (double)m[5].data[at];
        if (e > 0) sum += y * log(e) - e - celi_log_gamma(y + 1);
    }
    if (cel_mat_cholesky(square)) return (double)NAN;
    for (k = 0; k < n; k++) sum -= log((double)square.data[k * n + k]);
    return sum;
}

/* Steps towards the modes of a block of cells of a bin: conjugate gradient, preconditioned by the bin's covariance,
 * which is nearly the inverse curvature, with the cell's own curvature along the direction. m: y, z, h, e, r, d, q
 * (cells x n). */
static cel_status celi_count_steps(celi_count *c, int64_t bin, const int32_t *list, const cel_mat *m, int64_t steps,
                                   cel_work *work)
{
    const cel_mat z = m[1], r = m[4], d = m[5], q = m[6];
    const int64_t n = c->genes;
    const cel_mat law = cel_mat_block(c->law, 0, 0, n, n), cover = cel_mat_block(c->cover, bin * n, 0, n, n);
    double rz[CELI_COUNT_ROWS] = {0};
    cel_status status = CEL_OK;
    int64_t i, k, step;
    for (step = 0; step < steps && !status; step++) {
        status = cel_mat_gemm(0, 0, 1, z, law, 0, q, work);
        for (i = 0; i < z.rows; i++) {
            cel_real *e = m[3].data + i * n;
            celi_count_rates(c, c->scaling.cell + list[i], z.data + i * n, e);
            for (k = i * n; k < (i + 1) * n; k++) {
                cel_real s = (cel_real)c->scaling.scale[k - i * n];
                r.data[k] = s * (m[0].data[k] - m[3].data[k]) - q.data[k] + m[2].data[k];
                m[3].data[k] *= s * s;
            }
        }
        if (!status) status = cel_mat_gemm(0, 0, 1, r, cover, 0, q, work);
        for (i = 0; i < z.rows; i++) {
            double now = cel_vec_dot(q.data + i * n, r.data + i * n, n);
            cel_real beta = (cel_real)(step && now < rz[i] ? now / rz[i] : 0.0);
            for (k = i * n; k < (i + 1) * n; k++) d.data[k] = q.data[k] + (step ? beta * d.data[k] : 0);
            rz[i] = now;
        }
        if (!status) status = cel_mat_gemm(0, 0, 1, d, law, 0, q, work);
        for (i = 0; i < z.rows; i++) {
            double slope = cel_vec_dot(d.data + i * n, r.data + i * n, n);
            for (k = i * n; k < (i + 1) * n; k++) q.data[k] += m[3].data[k] * d.data[k];
            slope /= cel_vec_dot(d.data + i * n, q.data + i * n, n) + DBL_MIN;
            for (k = i * n; k < (i + 1) * n; k++) {
                double move = slope * (double)d.data[k];
                if (fabs(move) > CELI_COUNT_FAR) move = move < 0 ? -CELI_COUNT_FAR : CELI_COUNT_FAR;
                z.data[k] += (cel_real)move;
            }
        }
    }
    return status;
}

/* A block of a bin's cells: counts, z and the neighbours' pull (none: alone) are gathered, then steps, sums and, where
 * they are wanted, likelihoods. */
static cel_status celi_count_block(celi_count *c, int64_t bin, int64_t first, int64_t count, int64_t steps, int alone,
                                   int64_t lane)
{
    const int64_t n = c->genes;
    const int32_t *list = c->list + first;
    cel_real *scratch = c->scratch + lane * CELI_COUNT_MATS * CELI_COUNT_ROWS * n;
    cel_work *work = c->products + lane;
    cel_mat m[CELI_COUNT_MATS];
    cel_status status = CEL_OK;
    int64_t i, k, r;
    for (k = 0; k < CELI_COUNT_MATS; k++) m[k] = cel_mat_view(scratch + k * CELI_COUNT_ROWS * n, count, n);
    for (i = 0; i < count; i++) {
        const cel_mat y = c->in->counts;
        memcpy(m[0].data + i * n, y.data + list[i] * y.stride, (size_t)n * sizeof(cel_real));
        memcpy(m[1].data + i * n, c->x.data + list[i] * n, (size_t)n * sizeof(cel_real));
        for (k = 0; k < n && c->in->seen; k++)
            if (!c->in->seen[k]) m[0].data[i * n + k] = 0;
    }
    cel_mat_fill(m[2], 0);
    for (r = 1; r < c->relations && !alone && !status; r++) {
        status = cel_csr_mul_rows(1, c->in->relations->at[r].w, list, count, c->x, 0, m[3]);
        if (!status) status = cel_mat_gemm(0, 0, 1, m[3], cel_mat_block(c->law, r * n, 0, n, n), 1, m[2], work);
    }
    if (!status) status = celi_count_steps(c, bin, list, m, steps, work);
    if (!status && c->each) status = cel_mat_gemm(0, 0, 1, m[1], cel_mat_block(c->law, 0, 0, n, n), 0, m[4], work);
    if (!status && c->each) status = cel_mat_gemm(0, 0, 1, m[2], cel_mat_block(c->before, 0, 0, n, n), 0, m[5], work);
    for (i = 0; i < count && !status; i++) {
        const cel_scaling_cell *cell = c->scaling.cell + list[i];
        const cel_real *z = m[1].data + i * n, *e = m[3].data + i * n;
        double *rate = c->rate + bin * n, *part = c->part + (bin * c->levels + cell->group) * 2 * n;
        celi_count_rates(c, cell, z, m[3].data + i * n);
        memcpy(c->next.data + list[i] * n, z, (size_t)n * sizeof(cel_real));
        for (k = 0; k < n; k++) rate[k] += c->scaling.scale[k] * c->scaling.scale[k] * (double)e[k];
        for (k = 0; k < n && !(c->o.group && c->o.group[list[i]] == c->without); k++) {
            part[k] += (double)e[k];
            part[n + k] += (double)z[k];
        }
        if (c->each) c->each[list[i]] = celi_count_laplace(c, m, i, cel_mat_block(c->lower, bin * n, 0, n, n));
    }
    return status;
}

/* The status of jobs side by side, of which each set the bit of its own: want of memory first, since what follows from
 * it may look like anything. */
static cel_status celi_count_failure(int bits)
{
    return bits & 1 << CEL_ERR_MEMORY ? CEL_ERR_MEMORY : bits > 1 << CEL_OK ? CEL_ERR_NUMERIC : CEL_OK;
}

/* z of all cells, rates, and covariances: cover = (L + diag(rate))^-1 of every bin. */
static cel_status celi_count_expect(celi_count *c, int64_t steps, int alone)
{
    const int64_t n = c->genes;
    cel_mat swap = c->x;
    int64_t b;
    int failed = 0;
    memset(c->part, 0, (size_t)(c->bins * c->levels * 2 * n) * sizeof *c->part);
    memset(c->rate, 0, (size_t)(c->bins * n) * sizeof *c->rate);
    CELI_OMP(omp parallel for schedule(dynamic) num_threads((int)c->lanes) reduction(| : failed) if (c->lanes > 1))
    for (b = 0; b < c->bins; b++) {
        const int64_t lane = c->lanes > 1 ? celi_thread() : 0;
        cel_mat l = cel_mat_block(c->lower, b * n, 0, n, n), v = cel_mat_block(c->cover, b * n, 0, n, n);
        int64_t first = c->start[b], end = c->start[b + 1], k;
        cel_status solved;
        for (; first < end; first += CELI_COUNT_ROWS)
            failed |= 1 << celi_count_block(c, b, first, celi_min(CELI_COUNT_ROWS, end - first), steps, alone, lane);
        cel_mat_copy(cel_mat_block(c->law, 0, 0, n, n), l);
        cel_mat_fill(v, 0);
        for (k = 0; k < n; k++) {
            double rate = c->rate[b * n + k] / (double)(end - c->start[b]);
            l.data[k * n + k] += (cel_real)rate;
            v.data[k * n + k] = 1;
        }
        solved = cel_mat_cholesky(l);
        if (!solved) solved = cel_mat_cholesky_solve(l, v);
        failed |= 1 << solved;
    }
    c->x = c->next;
    c->next = swap;
    return celi_count_failure(failed);
}

/* Means of z over a level's cells are moved into m, and m is where as many counts are expected as were seen: under the
 * covariance a rate's mean is rate exp(s^2 v / 2). open (levels), or NULL: the levels whose m is to be found. */
static void celi_count_settle(celi_count *c, const uint8_t *open)
{
    const int64_t n = c->genes, G = c->levels;
    /* what z moves by goes to part, (levels x 2 n) of bin 0, when that has been added up */
    int64_t b, i;
    for (i = 0; i < G * n; i++) {
        double s = c->scaling.scale[i % n], rate = 0, z = 0, *to = c->part + i / n * 2 * n + i % n;
        for (b = 0; b < c->bins; b++) {
            const double *part = to + b * G * 2 * n;
            rate += part[0] * exp(0.5 * s * s * (double)c->cover.data[(b * n + i % n) * n + i % n]);
            z += part[n];
        }
        *to = !(rate > 0) || (open && !open[i / n]) ? 0 : z / c->members[i / n];
        if (rate > 0 && (!open || open[i / n])) c->mean[i] += s * *to + log((c->counts[i] + 0.5) / rate);
    }
    CELI_OMP(omp parallel for schedule(static) if (c->cells * n > CELI_FORK))
    for (i = 0; i < c->cells; i++) {
        const double *z = c->part + c->scaling.cell[i].group * 2 * n;
        int64_t j;
        for (j = 0; j < n; j++) c->x.data[i * n + j] -= (cel_real)z[j];
    }
}

/* ---- maximisation ---- */

/* The moments of (z, N_1, ..) about zero: of the modes, and of the covariances. */
static cel_status celi_count_measure(celi_count *c)
{
    const int64_t n = c->genes, R = c->relations, w = R * n + 1;
    double *gram = c->moments.gram;
    cel_status status;
    int64_t i, b, k;
    memset(gram, 0, (size_t)(w * w) * sizeof *gram);
    c->moments.cells = 0;
    status = cel_moments_add(&c->moments, c->in->relations, c->x, c->kept, c->keep, &c->work);
    for (i = 0; i < R * n; i++) {
        double *to = gram + i * w + i / n * n;
        for (b = 0; b < c->bins; b++)
            for (k = 0; k < n; k++)
                to[k] += c->share[i / n * c->bins + b] * (double)c->cover.data[(b * n + i % n) * n + k];
        gram[i * w + w - 1] = gram[(w - 1) * w + i] = 0; /* no field */
    }
    return status;
}

/* The problem of the maximisation; its scales and basis are those of the first moments, and stay. */
static cel_status celi_count_problem(celi_count *c)
{
    cel_score_options o = cel_score_measured(c->scaling.size);
    cel_status status;
    o.field = CEL_SCORE_FIELD_NONE;
    o.ridge = c->o.ridge;
    c->data.part = &c->moments;
    c->data.slides = c->data.parts = 1;
    c->data.cells = c->keep;
    status = celi_fit_open(&c->sc, &c->data, &o, &c->work);
    c->sc.q.ridge = o.ridge;
    cel_mat_free(&c->f);
    return status ? status : cel_mat_new(c->relations * c->sc.side, c->sc.side, &c->f);
}

/* The forces that the moments ask for: A and G, since z is sqrt(n - 1) times as long as a measured row. The ridge draws
 * towards the mean variance and keeps it: added alone it would take precision off in every cycle, without end where
 * counts say little. */
static cel_status celi_count_maximise(celi_count *c)
{
    const int64_t w = c->relations * c->genes + 1;
    celi_quadratic *q = &c->sc.q;
    celi_solve how;
    cel_status status;
    int64_t i;
    if (!c->sc.data) {
        status = celi_count_problem(c);
    } else {
        memcpy(c->sc.total.gram, c->moments.gram, (size_t)(w * w) * sizeof(double));
        status = celi_sums_measure((celi_sums *)q->context, 0, 1, &c->sc.whole);
        if (!status) status = q->act->subset(q, celi_everything);
    }
    if (status) return status;
    how = celi_fit_how(&c->sc);
    how.tolerance = CELI_SCORE_ROUGH_L1;
    status = celi_solve_from(q, c->f, &how);
    if (!status) status = celi_score_untwist(q, c->f, c->force);
    celi_score_lift(&c->sc, c->sc.scale[0] * celi_score_rest(q, &c->sc), c->force);
    for (i = 0; i < c->force.rows * c->genes; i++) c->force.data[i] *= (cel_real)(1 + c->o.ridge);
    return status;
}

/* The law of the forces. */
static void celi_count_law(celi_count *c)
{
    const int64_t n = c->genes;
    const double *u = c->scaling.size;
    int64_t i;
    for (i = 0; i < c->relations * n * n; i++)
        c->law.data[i] = (cel_real)(i < n * n ? CELI_COUNT_LOOSE * u[i / n] * u[i % n] - 2 * (double)c->force.data[i]
                                              : 2 * (double)c->force.data[i]);
}

/* A cycle has taken forces f to g. Where the next begins (Anderson 1965, one cycle back): as much of the last change of
 * g is taken off as leaves the least of g - f, each relation in units of its own size; g itself where the last move
 * made things much worse. past: g and g - f a cycle ago; as that is gone, g is where it stood. */
static void celi_count_mix(celi_count *c)
{
    const int64_t n = c->genes, count = c->relations * n * n;
    cel_real *g = c->force.data, *f = c->before.data, *old = c->past.data, *off = old + count;
    double along = 0, square = DBL_MIN, last = c->change, back;
    int64_t i, r;
    for (c->change = 0, r = 0; r < c->relations; r++) {
        double moved = 0, whole = DBL_MIN, sums[2] = {0, 0};
        for (i = r * n * n; i < (r + 1) * n * n; i++) {
            double d = (double)g[i] - (double)f[i], turn = d - (double)off[i];
            moved += d * d;
            whole += (double)g[i] * (double)g[i];
            sums[0] += d * turn;
            sums[1] += turn * turn;
        }
        along += sums[0] / whole;
        square += sums[1] / whole;
        if (c->change < sqrt(moved / whole)) c->change = sqrt(moved / whole);
    }
    back = c->change < 1.5 * last && last < HUGE_VAL ? along / square : 0;
    for (i = 0; i < count; i++) {
        double now = (double)g[i];
        off[i] = g[i] - f[i];
        f[i] = (cel_real)(now - back * (now - (double)old[i]));
        old[i] = g[i];
    }
    memcpy(g, f, (size_t)count * sizeof *g);
    celi_count_law(c);
    cel_mat_copy(cel_mat_block(c->law, 0, 0, n, n), cel_mat_block(c->lower, 0, 0, n, n));
    if (!cel_mat_cholesky(cel_mat_block(c->lower, 0, 0, n, n))) return;
    memcpy(g, old, (size_t)count * sizeof *g); /* too far: no law is there */
    memcpy(f, old, (size_t)count * sizeof *g);
    celi_count_law(c);
}

/* One turn of expectation-maximisation, means in between: they must be right before moments about them are taken. */
static cel_status celi_count_cycle(celi_count *c, int64_t steps)
{
    cel_status status = celi_count_expect(c, steps, 0);
    if (!status) celi_count_settle(c, NULL);
    if (!status) status = celi_count_measure(c);
    if (!status) status = celi_count_maximise(c);
    if (!status) celi_count_mix(c);
    return status;
}

/* A -= (I - u u^T) / 2, which is that of no forces. */
static void celi_count_none(celi_count *c)
{
    const double *u = c->scaling.size;
    int64_t n = c->genes, i;
    for (i = 0; i < n * n; i++) c->force.data[i] += (cel_real)(0.5 * (u[i / n] * u[i % n] - (i % (n + 1) ? 0.0 : 1.0)));
}

/* ---- opening ---- */

/* What a fit or a replicate has for itself. */
static cel_status celi_count_room(celi_count *c)
{
    const int64_t n = c->genes, R = c->relations;
    celi_pool *p = &c->pool;
    if (!c->lanes) c->lanes = celi_min(cel_threads(), c->bins);
    c->x = celi_pool_mat(p, c->cells, n);
    c->next = celi_pool_mat(p, c->cells, n);
    c->force = celi_pool_mat(p, R * n, n);
    c->law = celi_pool_mat(p, R * n, n);
    c->before = celi_pool_mat(p, R * n, n);
    c->past = celi_pool_mat(p, 2 * R * n, n);
    c->cover = celi_pool_mat(p, c->bins * n, n);
    c->lower = celi_pool_mat(p, c->bins * n, n);
    c->mean = (double *)celi_pool_get(p, c->levels * n, sizeof(double));
    c->counts = (double *)celi_pool_get(p, c->levels * n, sizeof(double));
    c->rate = (double *)celi_pool_get(p, c->bins * n, sizeof(double));
    c->part = (double *)celi_pool_get(p, c->bins * c->levels * 2 * n, sizeof(double));
    c->members = (double *)celi_pool_get(p, c->levels, sizeof(double));
    c->share = (double *)celi_pool_get(p, R * c->bins, sizeof(double));
    c->kept = (int32_t *)celi_pool_get(p, c->cells, sizeof(int32_t));
    c->products = (cel_work *)celi_pool_get(p, c->lanes, sizeof *c->products);
    c->scratch = (cel_real *)celi_pool_get(p, c->lanes * CELI_COUNT_MATS * CELI_COUNT_ROWS * n, sizeof(cel_real));
    return p->status ? p->status : cel_moments_new(n, c->in->relations, &c->moments);
}

/* Of a replicate only what is its own: what it shares with the fit is in the fit's pool. */
static void celi_count_close(celi_count *c)
{
    int64_t k;
    for (k = 0; k < c->lanes && c->products; k++) cel_work_free(c->products + k);
    celi_fit_close(&c->sc);
    cel_mat_free(&c->f);
    cel_moments_free(&c->moments);
    cel_work_free(&c->work);
    celi_pool_free(&c->pool);
}

/* The cells that count: all but a group's, and what follows. Of the covariances of bin b z has one a cell, and N = W z
 * of cell i those of its neighbours: sum_j W_ij^2 cov z_j. */
static void celi_count_keep(celi_count *c, int64_t without)
{
    const int64_t n = c->genes;
    int64_t r, i, k;
    c->without = without;
    c->keep = 0;
    memset(c->share, 0, (size_t)(c->relations * c->bins) * sizeof *c->share);
    memset(c->members, 0, (size_t)c->levels * sizeof *c->members);
    memset(c->counts, 0, (size_t)(c->levels * n) * sizeof *c->counts);
    for (i = 0; i < c->cells; i++) {
        double *counts = c->counts + c->scaling.cell[i].group * n;
        if (c->o.group && c->o.group[i] == without) continue;
        c->kept[c->keep++] = (int32_t)i;
        c->members[c->scaling.cell[i].group]++;
        for (k = 0; k < n; k++) counts[k] += (double)c->in->counts.data[i * c->in->counts.stride + k];
        c->share[c->bin[i]]++;
        for (r = 1; r < c->relations; r++) {
            const cel_csr *a = c->in->relations->at[r].w;
            for (k = a->start[i]; k < a->start[i + 1]; k++)
                c->share[r * c->bins + c->bin[a->index[k]]] += (double)a->value[k] * (double)a->value[k];
        }
    }
}

/* Everything but the law, for so many levels. */
static cel_status celi_count_open(celi_count *c, const cel_count_data *in, int64_t levels, cel_error *err)
{
    const cel_scaling_options how = CEL_ZERO;
    const celi_store store = celi_store_of(in->counts);
    const int64_t S = in->counts.rows;
    int64_t i, *order;
    double *total;
    cel_status status;
    c->in = in;
    c->genes = in->counts.cols;
    c->cells = S;
    c->levels = levels;
    c->relations = in->relations->count;
    c->bins = S < 8 * CELI_COUNT_BINS ? 1 + S / 8 : (int64_t)CELI_COUNT_BINS;
    if (S < 2 || c->genes < 3) return celi_note(err, CEL_ERR_ARG, "fewer than two cells or three genes");
    if (celi_relations_fit(in->relations, NULL, S))
        return celi_note(err, CEL_ERR_SHAPE, "the counts and the relations differ in cells");
    for (i = 1; i < c->relations; i++)
        if (in->relations->at[i].wt) return celi_fail(err, CEL_ERR_ARG, "a relation is not symmetric", i, -1, -1);
    c->list = (int32_t *)celi_pool_get(&c->pool, S, sizeof(int32_t));
    c->bin = (int32_t *)celi_pool_get(&c->pool, S, sizeof(int32_t));
    c->start = (int64_t *)celi_pool_get(&c->pool, c->bins + 1, sizeof(int64_t));
    total = (double *)celi_pool_get(&c->pool, S, sizeof *total);
    order = (int64_t *)celi_pool_get(&c->pool, S, sizeof *order);
    status = celi_count_room(c);
    if (!status) status = celi_scaling_open(&how, &store, levels, &c->scaling);
    if (!status)
        status = celi_scaling_cells(&c->scaling, &store, in->total, in->level, c->scaling.cell, err);
    if (!status) status = celi_scaling_target(&c->scaling);
    if (status) return status;
    c->scaling.log = CEL_LOG_LATENT;
    for (i = 0; i < S; i++) {
        if (in->level && in->level[i] < 0) return celi_fail(err, CEL_ERR_DATA, "a label is out of range", -1, i, -1);
        c->scaling.cell[i].group = in->level ? in->level[i] : 0; /* cells without counts are at their level's mean */
        total[i] = c->scaling.cell[i].total;
        order[i] = i;
    }
    celi_sort_by(total, order, S);
    for (i = 0; i < S; i++) c->bin[order[i]] = (int32_t)(i * c->bins / S);
    celi_count_keep(c, -1);
    return cel_csr_groups(c->bin, S, c->bins, c->start, c->list, err);
}

/* Where the fit starts: no forces, means, and scales by moments, which are the units of the ridge: counts of a
 * log-normal rate have E y (y - 1) = (E y)^2 exp(s^2) at equal totals. */
static cel_status celi_count_begin(celi_count *c, cel_error *err)
{
    const int64_t n = c->genes;
    double *square = c->rate, *expected = c->scaling.size, length = 0;
    cel_real *e = c->scratch;
    cel_status status;
    int64_t i, k;
    for (k = 0; k < n; k++) c->scaling.scale[k] = 0;
    celi_count_law(c);
    for (i = 0; i < n; i++) c->law.data[i * n + i] = 1;
    status = celi_count_expect(c, 0, 1);
    if (status) return status;
    celi_count_settle(c, NULL);
    memset(square, 0, (size_t)n * sizeof *square);
    for (i = 0; i < c->cells; i++) {
        celi_count_rates(c, c->scaling.cell + i, c->x.data, e);
        for (k = 0; k < n; k++) {
            double y = (double)c->in->counts.data[i * c->in->counts.stride + k];
            square[k] += y * (y - 1);
            expected[k] += (double)e[k] * (double)e[k];
        }
    }
    for (k = 0; k < n; k++) {
        double v = square[k] > 0 ? log(square[k] / expected[k]) : 0;
        for (i = 0; i < c->levels && !(c->counts[i * n + k] > 0); i++) continue;
        if (i == c->levels) return celi_fail(err, CEL_ERR_DATA, "a gene without counts", -1, -1, k);
        c->scaling.scale[k] = sqrt(v < 0.1 ? 0.1 : v > 4 ? 4 : v);
        length += 1 / (c->scaling.scale[k] * c->scaling.scale[k]);
    }
    for (k = 0; k < n; k++) c->scaling.size[k] = 1 / (c->scaling.scale[k] * sqrt(length));
    celi_count_none(c);
    celi_count_law(c);
    cel_mat_copy(c->force, c->before);
    c->change = HUGE_VAL;
    status = celi_count_expect(c, 0, 1);
    if (!status) celi_count_settle(c, NULL);
    return status ? status : celi_count_expect(c, 0, 1);
}

/* A law that is known, and modes under it; means that are NaN are found. */
static cel_status celi_count_known(celi_count *c, cel_error *err)
{
    const cel_scaling *s = c->o.scaling;
    const cel_model *model = c->o.model;
    const int64_t n = c->genes;
    uint8_t *open = (uint8_t *)celi_pool_get(&c->pool, c->levels, 1);
    cel_status status = c->pool.status;
    int64_t i;
    if (s->log != CEL_LOG_LATENT || s->genes != n || model->genes != n || model->relations != c->relations)
        return celi_note(err, CEL_ERR_SHAPE, "the law, its scaling, the counts and the relations do not fit");
    c->scaling.target = s->target;
    memcpy(c->scaling.scale, s->scale, (size_t)n * sizeof(double));
    memcpy(c->scaling.size, s->size, (size_t)n * sizeof(double));
    cel_mat_axpy((cel_real)(1 / (double)(n - 1)), model->force, c->force);
    celi_count_none(c);
    celi_count_law(c);
    for (i = 0; i < c->levels * n && !status; i++) {
        if (s->centre[i] <= DBL_MAX) c->mean[i] = s->centre[i];
        else open[i / n] = 1;
    }
    if (!status) status = celi_count_expect(c, 0, 1);
    for (i = 0; i < CELI_COUNT_ROUNDS && !status; i++) {
        celi_count_settle(c, open);
        status = celi_count_expect(c, 2, 0);
    }
    return status;
}

/* Rows of z, what was taken out of each, and errors. */
static void celi_count_give(const celi_count *c, cel_mat rows, cel_mat error)
{
    const int64_t n = c->genes;
    const double *u = c->scaling.size;
    int64_t i;
    CELI_OMP(omp parallel for schedule(static) if (c->cells * n > CELI_FORK))
    for (i = 0; i < c->cells; i++) {
        const cel_real *z = c->x.data + i * n;
        cel_real *row = rows.data + i * n;
        cel_scaling_cell *cell = c->scaling.cell + i;
        int64_t k;
        for (cell->size = 0, k = 0; k < n; k++) cell->size += u[k] * (double)z[k];
        for (k = 0; k < n; k++) {
            double v = (double)c->cover.data[(c->bin[i] * n + k) * n + k];
            row[k] = (cel_real)((double)z[k] - cell->size * u[k]);
            error.data[i * n + k] = (cel_real)(c->scaling.scale[k] * sqrt(v));
        }
        cell->length = celi_unit_row(row, n);
    }
}

/* All that the cycles leave to what follows, but for what the first one settles: the problem. */
enum { CELI_COUNT_PARTS = 10 };
static void celi_count_state(celi_count *c, int64_t *cycles, celi_extent *part)
{
    const cel_mat mat[] = {c->x, c->force, c->law, c->past, c->before, c->cover, c->f};
    int k;
    for (k = 0; k < 7; k++) {
        part[k].data = mat[k].data;
        part[k].bytes = (size_t)(mat[k].rows * mat[k].cols) * sizeof(cel_real);
    }
    part[7].data = c->mean;
    part[7].bytes = (size_t)(c->levels * c->genes) * sizeof(double);
    part[8].data = &c->change;
    part[8].bytes = sizeof c->change;
    part[9].data = cycles;
    part[9].bytes = sizeof *cycles;
}

/* From counts to forces, by as many cycles as it takes; those that are kept are not done again. */
static cel_status celi_count_run(celi_count *c, int64_t *cycles, cel_error *err)
{
    const size_t n = (size_t)c->genes * sizeof(double), w = (size_t)celi_moments_side(&c->moments);
    const celi_extent first[] = {
        {c->moments.gram, w * w * sizeof(double)}, {c->scaling.scale, n}, {c->scaling.size, n}};
    celi_extent part[CELI_COUNT_PARTS];
    cel_status status = CEL_OK;
    *cycles = 0;
    if (celi_recall(c->o.keep, "first", 0, first, 3)) {
        status = celi_count_problem(c);
        celi_count_state(c, cycles, part);
        if (!status && !celi_recall(c->o.keep, "cycles", 0, part, CELI_COUNT_PARTS)) {
            celi_fit_close(&c->sc);
            memset(c->scaling.size, 0, n);
        }
    }
    if (!status && !*cycles) status = celi_count_begin(c, err);
    while (!status && *cycles < CELI_COUNT_CYCLES && (*cycles < 2 || c->change > CELI_COUNT_STILL)) {
        status = celi_count_cycle(c, *cycles ? 3 : CELI_COUNT_ROUNDS);
        celi_count_state(c, cycles, part);
        if (!status && ++*cycles == 1) status = celi_retain(c->o.keep, "first", 0, first, 3);
        if (!status) status = celi_retain(c->o.keep, "cycles", 0, part, CELI_COUNT_PARTS);
        if (!status) status = celi_tell(&c->o.progress, "fit", *cycles, CELI_COUNT_CYCLES, c->change);
    }
    return status;
}

/* ---- the jackknife ---- */

/* A replicate: the cycles again without a group, from the fit's end. */
static cel_status celi_count_replicate(const celi_count *fit, celi_count *c, int64_t group, celi_units units,
                                       cel_mat out)
{
    cel_status status = CEL_OK;
    int64_t k;
    cel_mat_copy(fit->x, c->x);
    cel_mat_copy(fit->force, c->before);
    cel_mat_copy(fit->law, c->law);
    c->change = HUGE_VAL;
    cel_mat_copy(fit->cover, c->cover);
    memcpy(c->mean, fit->mean, (size_t)(c->levels * c->genes) * sizeof *c->mean);
    celi_fit_close(&c->sc);
    celi_count_keep(c, group);
    for (k = 0; k < CELI_COUNT_REPLICATE && !status; k++) status = celi_count_cycle(c, 2);
    return status ? status : celi_score_partial(&c->sc.q, c->f, &units, out);
}

/* se of the forces in partial-correlation units, from all replicates, as many side by side as there are threads. */
static cel_status celi_count_errors(celi_count *fit, int64_t groups, celi_units units, cel_mat partial, cel_mat se)
{
    const int64_t rows = partial.rows, count = rows * partial.cols, lanes = celi_min(cel_threads(), groups);
    celi_pool pool = CEL_ZERO;
    celi_count *lane = (celi_count *)celi_pool_get(&pool, lanes, sizeof *lane);
    cel_mat out = celi_pool_mat(&pool, lanes * rows, partial.cols);
    double *sum = (double *)celi_pool_get(&pool, 2 * count, sizeof *sum);
    int64_t i, k, g = 0;
    const celi_extent part[] = {{&g, sizeof g}, {sum, 2 * (size_t)count * sizeof *sum}};
    cel_status status = pool.status;
    for (k = 0; k < lanes && !status; k++) {
        memcpy(lane + k, fit, offsetof(celi_count, moments)); /* what follows is zeroed */
        lane[k].lanes = 1; /* side by side already */
        status = celi_count_room(lane + k);
    }
    if (!status) (void)celi_recall(fit->o.keep, "errors", 0, part, 2);
    while (g < groups && !status) {
        int failed = 0;
        CELI_OMP(omp parallel for schedule(static, 1) reduction(| : failed) if (lanes > 1))
        for (k = g; k < celi_min(g + lanes, groups); k++)
            failed |= 1 << celi_count_replicate(fit, lane + k - g, k, units,
                                                cel_mat_block(out, (k - g) * rows, 0, rows, out.cols));
        for (k = g; k < celi_min(g + lanes, groups); k++)
            for (i = 0; i < count; i++) {
                double d = (double)out.data[(k - g) * count + i] - (double)partial.data[i];
                sum[i] += d;
                sum[count + i] += d * d;
            }
        g = k;
        status = celi_count_failure(failed);
        if (!status) status = celi_retain(fit->o.keep, "errors", 0, part, 2);
        if (!status) status = celi_tell(&fit->o.progress, "errors", g, groups, fit->change);
    }
    for (i = 0; i < count && !status; i++) {
        double v = (sum[count + i] - sum[i] * sum[i] / (double)groups) * (double)(groups - 1) / (double)groups;
        se.data[i] = (cel_real)sqrt(v > 0 ? v : 0.0);
    }
    for (k = 0; k < lanes && lane; k++) celi_count_close(lane + k);
    celi_pool_free(&pool);
    return status;
}

/* ---- what is public ---- */

/* What the fit found: forces, their errors and tests. */
static cel_status celi_count_report(celi_count *c, int64_t groups, cel_model *model, cel_score_report *report)
{
    cel_mat *const mats[] = {&report->partial, &report->test, &report->se, &report->z, &report->p, &report->q};
    const int64_t n = c->genes, R = c->relations;
    celi_units units = CEL_ZERO;
    cel_status status = cel_model_new(n, R, 0, model);
    int k;
    units.d = (double *)celi_pool_get(&c->pool, n, sizeof(double));
    units.v = (double *)celi_pool_get(&c->pool, n, sizeof(double));
    if (!status) status = c->pool.status;
    for (k = 0; k < (groups ? 6 : 2) && !status; k++) status = cel_mat_new(R * n, n, mats[k]);
    if (!status) status = celi_score_partial(&c->sc.q, c->f, &units, report->partial);
    if (status) return status;
    units.given = 1;
    cel_mat_copy(report->partial, report->test);
    cel_mat_axpy((cel_real)(n - 1), c->force, model->force);
    celi_score_lift(&c->sc, 0.5 * (double)(n - 1), model->force);
    report->form = CEL_SCORE_MOMENT;
    report->ridge = c->o.ridge;
    report->residual = c->change;
    report->converged = c->change <= CELI_COUNT_STILL;
    report->groups = groups;
    c->data.relations = c->in->relations;
    c->data.group = c->o.group;
    c->data.groups = groups;
    status = celi_score_contacts(&c->data, report);
    if (!status && groups) status = celi_count_errors(c, groups, units, report->partial, report->se);
    return !status && groups ? celi_score_tests(&c->sc, report->test, report) : status;
}

/* log p(y): neighbours by their own counts, then modes given those. */
static cel_status celi_count_judge(celi_count *c, double *each)
{
    const int64_t n = c->genes;
    cel_mat l = cel_mat_block(c->lower, 0, 0, n, n), inverse = cel_mat_block(c->before, 0, 0, n, n);
    cel_status status = celi_count_expect(c, CELI_COUNT_ROUNDS, 1);
    int64_t i;
    cel_mat_copy(cel_mat_block(c->law, 0, 0, n, n), l);
    cel_mat_fill(inverse, 0);
    for (i = 0; i < n; i++) inverse.data[i * n + i] = 1;
    if (!status) status = cel_mat_cholesky(l);
    if (!status) status = cel_mat_cholesky_solve(l, inverse);
    for (i = 0; i < n && !status; i++) c->log_det += 2 * log((double)l.data[i * n + i]);
    c->each = each;
    return status ? status : celi_count_expect(c, CELI_COUNT_ROUNDS, 0);
}

CEL_API_DEF cel_status cel_count_fit(const cel_count_data *data, const cel_count_options *options,
                                     cel_count_result *out, cel_error *err)
{
    celi_count c = CEL_ZERO;
    int64_t groups = 0, levels = 1, cycles = 0;
    cel_status status = CEL_OK;
    memset(out, 0, sizeof *out);
    if (err) memset(err, 0, sizeof *err);
    if (options) c.o = *options;
    if (!(c.o.ridge >= 0 && c.o.ridge <= DBL_MAX)) return celi_note(err, CEL_ERR_ARG, "the ridge is out of range");
    if (!c.o.model != !c.o.scaling) return celi_note(err, CEL_ERR_ARG, "a known law is a model and its scaling");
    if (data->seen && !c.o.model) return celi_note(err, CEL_ERR_ARG, "genes are left unseen under a known law only");
    c.o.ridge = celi_or(c.o.ridge, CELI_COUNT_RIDGE);
    if (c.o.group) status = celi_score_labels(c.o.group, data->counts.rows, 1, &groups, err);
    if (!status && groups == 1) status = celi_note(err, CEL_ERR_DATA, "there is only one group");
    if (!status && data->level) status = celi_score_labels(data->level, data->counts.rows, 0, &levels, err);
    if (!status) status = celi_count_open(&c, data, c.o.scaling ? c.o.scaling->groups : levels, err);
    if (!status) status = c.o.model ? celi_count_known(&c, err) : celi_count_run(&c, &cycles, err);
    out->report.iterations = cycles;
    if (!status && !c.o.model) status = celi_count_report(&c, groups, &out->model, &out->report);
    if (!status) status = cel_mat_new(c.cells, c.genes, &out->rows);
    if (!status) status = cel_mat_new(c.cells, c.genes, &out->error);
    if (!status) celi_count_give(&c, out->rows, out->error);
    if (!status) memcpy(c.scaling.centre, c.mean, (size_t)(c.levels * c.genes) * sizeof(double));
    if (!status && c.o.each) status = celi_count_judge(&c, c.o.each);
    out->scaling = c.scaling;
    celi_count_close(&c);
    if (status) cel_count_free(out);
    return status && err && !err->status ? celi_note(err, status, cel_strerror(status)) : status;
}

CEL_API_DEF void cel_count_free(cel_count_result *result)
{
    cel_model_free(&result->model);
    cel_scaling_free(&result->scaling);
    cel_score_report_free(&result->report);
    cel_mat_free(&result->rows);
    cel_mat_free(&result->error);
    memset(result, 0, sizeof *result);
}

/* ======================================================================== */
/* published                                                                */
/* ======================================================================== */

#define CELI_PUBLISHED /* for the one call from below: see the interface */

/* The streams of random numbers drawn here. */
enum { CELI_STREAM_START = 0x70610001, CELI_STREAM_SHUFFLE = 0x70610002, CELI_STREAM_ANGLES = 0x70610003 };

/* ---- Adam ---- */

CEL_API_DEF cel_status cel_adam_new(int64_t count, cel_adam *out)
{
    memset(out, 0, sizeof *out);
    if (count < 0) return CEL_ERR_ARG;
    out->m = (double *)celi_alloc((size_t)count, 2 * sizeof(double));
    if (!out->m) return CEL_ERR_MEMORY;
    out->v = out->m + count;
    out->count = count;
    return CEL_OK;
}

CEL_API_DEF void cel_adam_free(cel_adam *a)
{
    celi_free(a->m);
    memset(a, 0, sizeof *a);
}

/* The constants of one step. The means m and v start at zero and so are too small at first; 1 - beta^t is by how much,
 * and rate and root hold its inverse, so that an entry costs one root and one division. */
typedef struct celi_adam_rule {
    double b1, b2, rate, root, eps, decay;
} celi_adam_rule;

/* Opens step t + 1 of the state. */
static celi_adam_rule celi_adam_next(cel_adam *a, const cel_adam_options *options)
{
    cel_adam_options o = CEL_ZERO;
    celi_adam_rule r;
    double t = (double)++a->step, lr;
    if (options) o = *options;
    lr = celi_or(o.lr, 0.001);
    r.b1 = celi_or(o.beta1, 0.9);
    r.b2 = celi_or(o.beta2, 0.999);
    r.eps = celi_or(o.eps, 1e-8);
    r.decay = lr * o.weight_decay;
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

CEL_API_DEF void cel_adam_step(cel_adam *a, cel_mat grad, const cel_adam_options *options, cel_mat param)
{
    celi_adam_rule r = celi_adam_next(a, options);
    int64_t i;
    CELI_OMP(omp parallel for schedule(static) if (a->count > CELI_FORK / 4))
    for (i = 0; i < param.rows; i++) {
        const cel_real *g = grad.data + i * grad.stride;
        cel_real *x = param.data + i * param.stride;
        double *m = a->m + i * param.cols, *v = a->v + i * param.cols;
        int64_t j;
        for (j = 0; j < param.cols; j++)
            x[j] = (cel_real)((double)x[j] - celi_adam_delta(&r, (double)g[j], (double)x[j], m + j, v + j));
    }
}

/* ---- the estimator: gradient, step, project, loss (manual, section 2) ---- */

/* One slide as the objective sees it: whatever the number of its cells, these sums are all that the loss needs. */
typedef struct celi_paper_slide {
    double *c0, *c1;      /* (n x n) X^T X and X^T W X */
    double *mean, *u;     /* (n) m, and M m at the last evaluation */
    double cells, q;
    double curl;          /* S f'(k) / k at the last evaluation */
    cel_paper_value loss; /* there */
} celi_paper_slide;

/* A fit. Forces are in double whatever cel_real is: 200 steps add up, and one may be smaller than what a float of size
 * 1 can tell. Once folded they are symmetric with unit diagonals, and only what is right of the diagonal is read and
 * kept up to date: half the work. */
typedef struct celi_paper_fit {
    int64_t n, slides;
    double *force;  /* (2 x n x n) intra, inter */
    double *row;    /* (2 x n) a row of each one's gradient */
    int64_t *order; /* (slides) in which they take their turns */
    celi_paper_slide *slide;
    celi_pool pool; /* owns all of these */
    cel_adam adam;  /* empty for SGD */
    double lr, zmft;
    cel_sphere sphere;
    int folded;
} celi_paper_fit;

static void celi_paper_close(celi_paper_fit *f)
{
    celi_pool_free(&f->pool);
    cel_adam_free(&f->adam);
}

/* A slide's moments, out of what cel_moments_add gathered: the first block is the identity's, the next that of W. */
static cel_status celi_paper_slide_open(celi_paper_fit *f, const cel_moments *moments, double q, celi_paper_slide *t,
                                        cel_error *err)
{
    int64_t n = f->n;
    if (moments->genes != n || moments->relations != 2)
        return celi_note(err, CEL_ERR_SHAPE, "the moments are not of this model");
    if (moments->cells < 1) return celi_note(err, CEL_ERR_DATA, "a slide without cells");
    if (!(q > 0 && q <= DBL_MAX)) return celi_note(err, CEL_ERR_ARG, "a slide's q is not positive");
    t->c0 = (double *)celi_pool_get(&f->pool, 2 * (n + 1) * n, sizeof(double));
    if (!t->c0) return celi_no_memory(err);
    t->c1 = t->c0 + n * n;
    t->mean = t->c1 + n * n;
    t->u = t->mean + n;
    t->cells = (double)moments->cells;
    t->q = q;
    cel_moments_mean(moments, t->mean);
    cel_moments_cross(moments, 0, t->c0);
    cel_moments_cross(moments, moments->block[1], t->c1);
    return CEL_OK;
}

/* 1 for a setting that is 0 (the default) or positive; NaN is neither. */
static int celi_paper_setting(double v) { return v >= 0 && v <= DBL_MAX; }

/* What the fit and the generator ask of their options; genes for the sphere, whose log area has no meaning for one gene
 * (the paper's is of three dimensions whatever the genes are). */
static cel_status celi_paper_check(const cel_paper_options *o, int64_t genes, cel_error *err)
{
    const char *wrong = NULL;
    if (o->epochs < 0 || o->thin < 0) wrong = "a negative number of epochs";
    else if (!celi_paper_setting(o->lr)) wrong = "lr is negative or not finite";
    else if (!celi_paper_setting(o->zmft)) wrong = "zmft is negative or not finite";
    else if (!celi_paper_setting(o->q)) wrong = "q is negative or not finite";
    else if (!celi_paper_setting(o->tolerance)) wrong = "tolerance is negative or not finite";
    else if (o->optimiser != CEL_OPTIMISER_SGD && o->optimiser != CEL_OPTIMISER_ADAM) wrong = "no such optimiser";
    else if (o->sphere != CEL_SPHERE_PAPER && o->sphere != CEL_SPHERE_RIGHT) wrong = "no such sphere";
    else if (genes < 1 || (o->sphere == CEL_SPHERE_RIGHT && genes < 2)) wrong = "too few genes";
    return wrong ? celi_note(err, CEL_ERR_ARG, wrong) : CEL_OK;
}

/* What the published log Z asks of a model. */
static cel_status celi_paper_model(const cel_model *m, cel_error *err)
{
    if (m->field) return celi_note(err, CEL_ERR_ARG, "the published model has no field");
    if (m->relations == 2 && m->force.rows == 2 * m->genes && m->force.cols == m->genes) return CEL_OK;
    return celi_note(err, CEL_ERR_SHAPE, "not a model of two relations");
}

/* Checks all that is given and opens a fit; on failure nothing is left open. */
static cel_status celi_paper_open(celi_paper_fit *f, const cel_model *model, const cel_moments *moments, int64_t slides,
                                  const cel_paper_options *o, cel_error *err)
{
    int64_t n = model->genes, s, i, j;
    cel_status status = celi_paper_check(o, n, err);
    memset(f, 0, sizeof *f);
    if (!status) status = celi_paper_model(model, err);
    if (status) return status;
    if (slides < 1) return celi_note(err, CEL_ERR_ARG, "no slides");
    f->n = n;
    f->slides = slides;
    f->lr = celi_or(o->lr, 0.05);
    f->zmft = celi_or(o->zmft, 0.1);
    f->sphere = o->sphere;
    f->force = (double *)celi_pool_get(&f->pool, 2 * n * n, sizeof(double));
    f->row = (double *)celi_pool_get(&f->pool, 2 * n, sizeof(double));
    f->order = (int64_t *)celi_pool_get(&f->pool, slides, sizeof(int64_t));
    f->slide = (celi_paper_slide *)celi_pool_get(&f->pool, slides, sizeof(celi_paper_slide));
    status = f->pool.status;
    if (!status && o->optimiser == CEL_OPTIMISER_ADAM) status = cel_adam_new(2 * n * n, &f->adam);
    if (status) celi_no_memory(err);
    for (s = 0; s < slides && !status; s++) {
        f->order[s] = s;
        status = celi_paper_slide_open(f, moments + s, o->slide_q ? o->slide_q[s] : celi_or(o->q, 6), f->slide + s,
                                       err);
    }
    for (i = 0; i < 2 * n && !status; i++)
        for (j = 0; j < n; j++) f->force[i * n + j] = (double)model->force.data[i * model->force.stride + j];
    if (status) celi_paper_close(f);
    return status;
}

/* a (n x n) = (a + a^T) / 2. */
static void celi_paper_symmetrise(int64_t n, double *a)
{
    int64_t i, j;
    for (i = 0; i < n; i++)
        for (j = 0; j < i; j++) a[i * n + j] = a[j * n + i] = (a[i * n + j] + a[j * n + i]) / 2;
}

/* Before the first projected step: P(F - lr dF) needs the symmetric parts of F and of dF only. C0 = X^T X is symmetric
 * already; C1 need not be, where W is not, and its symmetric part has the same products with symmetric forces. */
static void celi_paper_fold(celi_paper_fit *f)
{
    int64_t s;
    if (f->folded) return;
    celi_paper_symmetrise(f->n, f->force);
    celi_paper_symmetrise(f->n, f->force + f->n * f->n);
    for (s = 0; s < f->slides; s++) celi_paper_symmetrise(f->n, f->slide[s].c1);
    f->folded = 1;
}

/* The loss of a slide at the forces, and u, k and S f'(k)/k, which its gradient needs, in one walk over the forces:
 * with M = 2 F_0 + q F_1 it adds up u = M m, k = |u|, <F_0, C0> and <F_1, C1>. Folded, it sees each pair of genes once,
 * and what is right of the diagonal stands for both sides. */
static void celi_paper_evaluate(const celi_paper_fit *f, celi_paper_slide *t)
{
    int64_t n = f->n, i, j;
    double q = t->q, kk = 0, mu = 0, phi, slope, *u = t->u;
    const double *m = t->mean;
    cel_paper_value l = CEL_ZERO;
    memset(u, 0, (size_t)n * sizeof *u);
    for (i = 0; i < n; i++) {
        const double *a = f->force + i * n, *b = a + n * n, *c0 = t->c0 + i * n, *c1 = t->c1 + i * n;
        double own = f->folded ? m[i] : 0, row = 0, intra = 0, inter = 0;
        CELI_OMP(omp simd reduction(+ : row, intra, inter))
        for (j = f->folded ? i + 1 : 0; j < n; j++) {
            double both = 2 * a[j] + q * b[j];
            row += both * m[j];
            u[j] += own * both; /* row j's share, which is left of its diagonal */
            intra += a[j] * c0[j];
            inter += b[j] * c1[j];
        }
        u[i] += f->folded ? row + (2 + q) * m[i] : row; /* diagonals are 1 */
        l.intra += f->folded ? 2 * intra + c0[i] : intra;
        l.inter += f->folded ? 2 * inter + c1[i] : inter;
    }
    for (i = 0; i < n; i++) {
        kk += u[i] * u[i];
        mu += m[i] * u[i];
    }
    l.kappa = sqrt(kk);
    /* log((e^k - e^-k)/k) is log 2 + phi_3(k); m^T A m is m^T u / 2. */
    phi = f->sphere == CEL_SPHERE_PAPER ? log(2.0) + celi_sphere(3, l.kappa, &t->curl, &slope)
                                        : cel_sphere_log_area(n) + celi_sphere(n, l.kappa, &t->curl, &slope);
    t->curl *= t->cells;
    l.log_z = t->cells * (phi - mu / 2);
    l.loss = l.log_z - f->zmft * (l.intra + l.inter);
    t->loss = l;
}

/* Adds scale times row i of a slide's gradient to intra and inter (n each). With
 *   r = S (f'(k)/k) u m^T - (S/2) m m^T:   dloss/dF_0 = 2 r - z C0,   dloss/dF_1 = q r - z C1,
 * for A is M / 2. Folded, it is the row of the symmetric part, right of the diagonal: u m^T gives half of itself to
 * (i, j) and half to (j, i), so that row i sees u_i m_j / 2 (by_m) and m_i u_j / 2 (by_u). */
static void celi_paper_gradient(const celi_paper_fit *f, const celi_paper_slide *t, int64_t i, double scale,
                                double *intra, double *inter)
{
    int64_t n = f->n, j;
    const double *m = t->mean, *u = t->u, *c0 = t->c0 + i * n, *c1 = t->c1 + i * n;
    double share = f->folded ? 0.5 : 1, q = t->q, data = scale * f->zmft;
    double by_m = scale * (share * t->curl * u[i] - t->cells / 2 * m[i]), by_u = scale * (1 - share) * t->curl * m[i];
    CELI_OMP(omp simd)
    for (j = f->folded ? i + 1 : 0; j < n; j++) {
        double r = by_m * m[j] + by_u * u[j];
        intra[j] += 2 * r - data * c0[j];
        inter[j] += q * r - data * c1[j];
    }
}

/* Clamps a row to [0, 1]: written as two choices, which compilers make minima and maxima of. NaN stays, so that a fit
 * that diverged is told from one that did not. */
static void celi_paper_project(double *a, int64_t count)
{
    int64_t j;
    CELI_OMP(omp simd)
    for (j = 0; j < count; j++) {
        double v = a[j] < 0 ? 0 : a[j];
        a[j] = v > 1 ? 1 : v;
    }
}

/* A step down the gradients of the slides in list, summed, each at its last evaluation. */
static void celi_paper_step(celi_paper_fit *f, const int64_t *list, int64_t count)
{
    int64_t n = f->n, i, j, k, r;
    celi_adam_rule rule = CEL_ZERO;
    cel_adam_options adam = CEL_ZERO;
    adam.lr = f->lr;
    if (f->adam.count) rule = celi_adam_next(&f->adam, &adam);
    for (i = 0; i < n; i++) {
        double *intra = f->force + i * n, *inter = intra + n * n;
        int64_t from = f->folded ? i + 1 : 0;
        if (!f->adam.count) {
            /* u and m are those of the last evaluation, so that a row may step before the next one's gradient. */
            for (k = 0; k < count; k++) celi_paper_gradient(f, f->slide + list[k], i, -f->lr, intra, inter);
        } else {
            memset(f->row, 0, 2 * (size_t)n * sizeof *f->row);
            for (k = 0; k < count; k++) celi_paper_gradient(f, f->slide + list[k], i, 1, f->row, f->row + n);
            for (r = 0; r < 2; r++)
                for (j = from; j < n; j++) {
                    int64_t at = (r * n + i) * n + j;
                    f->force[at] -= celi_adam_delta(&rule, f->row[r * n + j], f->force[at], f->adam.m + at,
                                                    f->adam.v + at);
                }
        }
        if (!f->folded) continue;
        celi_paper_project(intra + from, n - from);
        celi_paper_project(inter + from, n - from);
    }
}

/* Epoch e: the slides one by one in a fresh order, or all together. Returns their losses, each before its own step. The
 * order is a shuffle of the last epoch's (Fisher and Yates), by numbers that are a function of seed and epoch. */
static double celi_paper_epoch(celi_paper_fit *f, const cel_paper_options *o, int64_t e)
{
    int64_t together = o->summed ? f->slides : 1, i, k;
    cel_rng rng = cel_rng_at(o->seed, CELI_STREAM_SHUFFLE, 0, (uint32_t)e);
    double loss = 0;
    for (i = f->slides - 1; i > 0 && !o->summed; i--) {
        int64_t other = cel_rng_integer(&rng, (uint32_t)(i + 1)), t = f->order[i];
        f->order[i] = f->order[other];
        f->order[other] = t;
    }
    for (i = 0; i < f->slides; i += together) {
        for (k = i; k < i + together; k++) {
            celi_paper_evaluate(f, f->slide + f->order[k]);
            loss += f->slide[f->order[k]].loss.loss;
        }
        if (!o->no_projection) celi_paper_fold(f);
        celi_paper_step(f, f->order + i, together);
    }
    return loss;
}

/* Forces out, unfolded, and what the report says of them; CEL_ERR_NUMERIC, nothing written, where the loss is not
 * finite. */
static cel_status celi_paper_finish(celi_paper_fit *f, cel_model *model, cel_paper_report *report)
{
    cel_paper_value *sum = &report->final;
    int64_t n = f->n, s, i, j, at_bound = 0;
    for (s = 0; s < f->slides; s++) {
        cel_paper_value *l = &f->slide[s].loss;
        celi_paper_evaluate(f, f->slide + s);
        sum->loss += l->loss;
        sum->log_z += l->log_z;
        sum->intra += l->intra;
        sum->inter += l->inter;
        if (l->kappa > sum->kappa) sum->kappa = l->kappa;
    }
    if (!celi_finite(sum->loss)) return CEL_ERR_NUMERIC;
    for (i = 0; i < 2 * n * n; i++)
        if (!celi_finite((double)(cel_real)f->force[i])) return CEL_ERR_NUMERIC; /* a float's range is less */
    for (i = 0; i < 2 * n && f->folded; i++)
        for (j = 0; j <= i % n; j++) /* what is left of the diagonal is the column above it, of the same force */
            f->force[i * n + j] = j == i % n ? 1 : f->force[(i / n * n + j) * n + i % n];
    for (i = 0; i < 2 * n; i++)
        for (j = 0; j < n; j++) {
            double v = f->force[i * n + j];
            model->force.data[i * model->force.stride + j] = (cel_real)v;
            at_bound += i % n != j && (v <= 0 || v >= 1);
        }
    report->saturated = n > 1 ? (double)at_bound / (2 * (double)n * (double)(n - 1)) : 0;
    return CEL_OK;
}

CEL_API_DEF cel_status cel_paper_start(uint64_t seed, cel_model *model)
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
                                      const cel_paper_options *options, cel_paper_value *loss, cel_mat d_force,
                                      cel_error *err)
{
    cel_paper_options o = CEL_ZERO;
    celi_paper_fit f;
    cel_status status;
    int64_t n = model->genes, i, j;
    memset(loss, 0, sizeof *loss);
    if (options) o = *options;
    /* A fit of one slide that is opened, evaluated and never stepped. */
    o.slide_q = NULL;
    o.optimiser = CEL_OPTIMISER_SGD;
    if (d_force.data) cel_mat_fill(d_force, 0);
    if (d_force.data && (d_force.rows != 2 * n || d_force.cols != n))
        return celi_note(err, CEL_ERR_SHAPE, "the gradient is not of the forces' shape");
    status = celi_paper_open(&f, model, moments, 1, &o, err);
    if (status) return status;
    celi_paper_evaluate(&f, f.slide);
    *loss = f.slide->loss;
    for (i = 0; i < n && d_force.data; i++) {
        cel_real *intra = d_force.data + i * d_force.stride, *inter = intra + n * d_force.stride;
        memset(f.row, 0, 2 * (size_t)n * sizeof *f.row);
        celi_paper_gradient(&f, f.slide, i, 1, f.row, f.row + n);
        for (j = 0; j < n; j++) {
            intra[j] = (cel_real)f.row[j];
            inter[j] = (cel_real)f.row[n + j];
        }
    }
    celi_paper_close(&f);
    return CEL_OK;
}

CEL_API_DEF cel_status cel_paper_fit(const cel_moments *moments, int64_t slides, const cel_paper_options *options,
                                     cel_model *model, double *losses, cel_paper_report *report, cel_error *err)
{
    cel_paper_options o = CEL_ZERO;
    cel_paper_report made = CEL_ZERO;
    celi_paper_fit f;
    cel_status status;
    int64_t epochs, e;
    double before = 0;
    if (options) o = *options;
    if (report) *report = made;
    epochs = o.epochs ? o.epochs : 200;
    if (losses && epochs > 0) memset(losses, 0, (size_t)epochs * sizeof *losses);
    status = celi_paper_open(&f, model, moments, slides, &o, err);
    if (status) return status;
    for (e = 0; e < epochs && !status && !made.converged; e++) {
        double loss = celi_paper_epoch(&f, &o, e);
        if (losses) losses[e] = loss;
        made.epochs = e + 1;
        made.converged = e > 0 && o.tolerance > 0 && fabs(loss - before) <= o.tolerance * fabs(before);
        before = loss;
        if (!(fabs(loss) <= DBL_MAX)) status = CEL_ERR_NUMERIC;
        else status = celi_tell(&o.progress, "fit", e + 1, epochs, loss);
    }
    /* Stopped or not, what was reached is evaluated; the model's forces are written only if that is finite. */
    if (status != CEL_ERR_NUMERIC && celi_paper_finish(&f, model, &made)) status = CEL_ERR_NUMERIC;
    celi_note(err, status, cel_strerror(status));
    if (status == CEL_ERR_NUMERIC) {
        if (losses) memset(losses, 0, (size_t)epochs * sizeof *losses);
    } else if (report) {
        *report = made;
    }
    celi_paper_close(&f);
    return status;
}

/* ---- angles (manual, section 3) ---- */

/* Cells are cut into so many runs, each with its own scratch, whatever the number of threads. */
enum { CELI_ANGLES_RUNS = 64 };

/* Smaller expressions and gradients become 0. They are below any rounding of rows of unit length, and
 * denormal numbers would slow the products that follow many times over. */
#define CELI_ANGLES_TINY (sizeof(cel_real) == 4 ? 1e-30 : 1e-290)

static cel_real celi_angles_real(double v) { return fabs(v) < CELI_ANGLES_TINY ? 0 : (cel_real)v; }

static int celi_angles_fit(cel_mat angles, cel_mat x) { return angles.rows == x.rows && angles.cols == x.cols - 1; }

/* x from angles where d_angles.data is NULL; else d_angles from x, which then holds dL/dx. A run's scratch holds the
 * products of sines, the sines and the cosines of a cell. Backwards, p is the derivative by the product of sines that
 * x_(k+1) and all after it share, so that one walk from the last gene to the first serves all angles. */
static cel_status celi_angles_all(cel_mat angles, cel_mat x, cel_mat d_angles, cel_work *work)
{
    int64_t run, n = x.cols;
    size_t each = (size_t)n * (sizeof(double) + 2 * sizeof(cel_real));
    cel_work own = CEL_ZERO;
    char *scratch;
    if (n < 2) return CEL_ERR_ARG;
    if (!celi_angles_fit(angles, x)) return CEL_ERR_SHAPE;
    scratch = (char *)cel_work_get(work ? work : &own, CELI_ANGLES_RUNS * each);
    if (!scratch) {
        cel_mat_fill(d_angles.data ? d_angles : x, 0);
        return CEL_ERR_MEMORY;
    }
    CELI_OMP(omp parallel for schedule(static) if (x.rows * n > CELI_FORK / 16))
    for (run = 0; run < CELI_ANGLES_RUNS; run++) {
        int64_t i, k, end = x.rows * (run + 1) / CELI_ANGLES_RUNS;
        double *prefix = (double *)(void *)(scratch + (size_t)run * each), p;
        cel_real *s = (cel_real *)(void *)(prefix + n), *c = s + n;
        for (i = x.rows * run / CELI_ANGLES_RUNS; i < end; i++) {
            cel_real *g = x.data + i * x.stride, *d = d_angles.data ? d_angles.data + i * d_angles.stride : NULL;
            cel_vec_sincos(angles.data + i * angles.stride, n - 1, s, c);
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
    cel_work_free(&own);
    return CEL_OK;
}

CEL_API_DEF cel_status cel_paper_from_angles(cel_mat angles, cel_mat x, cel_work *work)
{
    return celi_angles_all(angles, x, cel_mat_none(), work);
}

CEL_API_DEF cel_status cel_paper_to_angles(cel_mat x, cel_mat angles, cel_error *err)
{
    int64_t i, j, n = x.cols;
    if (n < 2) return celi_note(err, CEL_ERR_ARG, "fewer than two genes");
    if (!celi_angles_fit(angles, x)) return celi_note(err, CEL_ERR_SHAPE, "angles are not S x (n-1)");
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
        /* From the end: the length of what is after k is that of what is after k + 1, and x_(k+1). */
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
    return celi_angles_fit(d_angles, d_x) ? celi_angles_all(angles, d_x, d_angles, work) : CEL_ERR_SHAPE;
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

/* ---- the generator (manual, section 4) ---- */

/* mean (n) = the mean row of x; a strip of columns is one thread's, so that a sum over cells has one order whatever
 * the number of threads. */
static void celi_paper_mean(cel_mat x, double *mean)
{
    enum { CELI_STRIP = 32 };
    int64_t first;
    memset(mean, 0, (size_t)x.cols * sizeof(double));
    CELI_OMP(omp parallel for schedule(static) if (x.rows * x.cols > CELI_FORK))
    for (first = 0; first < x.cols; first += CELI_STRIP) {
        int64_t i, j, end = celi_min(first + CELI_STRIP, x.cols);
        for (i = 0; i < x.rows; i++)
            for (j = first; j < end; j++) mean[j] += (double)x.data[i * x.stride + j];
        for (j = first; j < end; j++) mean[j] /= (double)x.rows;
    }
}

CEL_API_DEF cel_status cel_paper_generate_loss(const cel_model *model, const cel_relations *relations, cel_mat x,
                                               const cel_paper_options *options, cel_paper_value *loss, cel_mat d_x,
                                               cel_error *err, cel_work *work)
{
    cel_mean_field at;
    cel_paper_options o = CEL_ZERO;
    int64_t n = model->genes, i;
    double zmft, h = 0, *mean, *d_mean = NULL, *energy = NULL;
    cel_work own = CEL_ZERO;
    cel_status status;
    memset(loss, 0, sizeof *loss);
    if (options) o = *options;
    status = celi_paper_check(&o, n, err);
    if (!status && !o.no_log_z) status = celi_paper_model(model, err);
    if (!status && x.rows < 1) status = celi_note(err, CEL_ERR_ARG, "no cells");
    if (!status && (x.cols != n || (d_x.data && !celi_same_shape(d_x, x))))
        status = celi_note(err, CEL_ERR_SHAPE, "x or its gradient does not fit the model");
    if (!work) work = &own;
    mean = (double *)cel_work_get(work, (size_t)(2 * n + model->relations + 1) * sizeof(double));
    if (!status && !mean) status = celi_no_memory(err);
    if (!status) {
        d_mean = mean + n;
        energy = d_mean + n;
        memset(d_mean, 0, (size_t)n * sizeof(double));
        status = cel_model_energy(model, relations, x, &h, energy, d_x, celi_work_inner(work));
        if (!status && !o.no_log_z) {
            celi_paper_mean(x, mean);
            status = cel_model_logz(model, o.sphere, celi_or(o.q, 6), x.rows, mean, &at, cel_mat_none(), d_mean);
            loss->log_z = at.logz;
            loss->kappa = at.kappa;
        }
        if (!status && !(fabs(loss->log_z) + fabs(h) <= DBL_MAX)) status = CEL_ERR_NUMERIC;
        celi_note(err, status, cel_strerror(status));
    }
    if (status) {
        memset(loss, 0, sizeof *loss);
        if (d_x.data) cel_mat_fill(d_x, 0);
    } else {
        zmft = celi_or(o.zmft, 0.1);
        loss->intra = energy[0];
        loss->inter = h - energy[0];
        loss->loss = loss->log_z - zmft * h;
        CELI_OMP(omp parallel for schedule(static) if (x.rows * n > CELI_FORK))
        for (i = 0; i < d_x.rows; i++) {
            cel_real *g = d_x.data + i * d_x.stride;
            int64_t k;
            /* A cell is one S-th of the mean row, which is all that log Z sees of it. */
            for (k = 0; k < n; k++) g[k] = (cel_real)(d_mean[k] / (double)x.rows - zmft * (double)g[k]);
        }
    }
    cel_work_free(&own);
    return status;
}

CEL_API_DEF cel_status cel_paper_generate(const cel_model *model, const cel_relations *relations,
                                          const cel_paper_options *options, cel_mat angles, cel_mat x, double *losses,
                                          cel_paper_value *last, cel_error *err)
{
    cel_paper_options o = CEL_ZERO;
    cel_adam_options step = CEL_ZERO;
    cel_paper_value value = CEL_ZERO;
    cel_adam adam = CEL_ZERO;
    cel_work work = CEL_ZERO;
    celi_pool pool = CEL_ZERO;
    cel_mat d_x, d_angles = CEL_ZERO, rows;
    int64_t S = angles.rows, n = model->genes, e, epochs;
    cel_status status = CEL_OK, stopped = CEL_OK;
    if (options) o = *options;
    step.lr = celi_or(o.lr, 0.001);
    epochs = o.epochs ? o.epochs : 50;
    if (last) *last = value;
    if (losses && epochs > 0) memset(losses, 0, (size_t)epochs * sizeof *losses);
    if (n < 2) status = celi_note(err, CEL_ERR_ARG, "fewer than two genes");
    else if (angles.cols != n - 1 || (x.data && !celi_angles_fit(angles, x)))
        status = celi_note(err, CEL_ERR_SHAPE, "angles or x do not fit the model");
    else status = celi_scan(angles, -DBL_MAX, DBL_MAX, "an angle is not finite", NULL, err);
    rows = x.data ? x : celi_pool_mat(&pool, S, n);
    d_x = celi_pool_mat(&pool, S, n);
    if (!status) status = pool.status;
    if (!status && o.optimiser == CEL_OPTIMISER_ADAM) status = cel_adam_new(S * (n - 1), &adam);
    /* The gradient by the angles overwrites the one by x, from the last gene to the first. */
    if (!status) d_angles = cel_mat_block(d_x, 0, 0, S, n - 1);
    for (e = 0; !status; e++) {
        /* After the last step once more, without a gradient, for what is handed out. */
        int ended = e == epochs || stopped;
        status = cel_paper_from_angles(angles, rows, &work);
        if (!status)
            status = cel_paper_generate_loss(model, relations, rows, &o, &value, ended ? cel_mat_none() : d_x, err,
                                             &work);
        if (status || ended) break;
        if (losses) losses[e] = value.loss;
        if (o.each && e % (o.thin ? o.thin : 5) == 0 && o.each(o.each_user, e, rows)) stopped = CEL_ERR_STOPPED;
        if (stopped) break;
        status = cel_paper_angles_gradient(angles, d_x, d_angles, &work);
        if (status) break;
        if (adam.count) cel_adam_step(&adam, d_angles, &step, angles);
        else cel_mat_axpy((cel_real)-step.lr, d_angles, angles);
        stopped = celi_tell(&o.progress, "generate", e + 1, epochs, value.loss);
    }
    cel_adam_free(&adam);
    cel_work_free(&work);
    celi_pool_free(&pool);
    if (!status && last) *last = value;
    if (!status) return celi_note(err, stopped, cel_strerror(stopped));
    if (status == CEL_ERR_MEMORY) celi_no_memory(err);
    if (x.data) cel_mat_fill(x, 0);
    if (losses && epochs > 0) memset(losses, 0, (size_t)epochs * sizeof *losses);
    return status;
}

/* What perturb calls: rows x (S x n) become what the published generator makes of them. The angles of rows of zeros
 * are not defined, which is an error here as it is there. */
static CEL_UNUSED cel_status celi_paper_relax(const cel_model *model, const cel_relations *relations,
                                              const cel_paper_options *options, cel_mat x, cel_error *err)
{
    cel_mat angles = CEL_ZERO;
    cel_status status = x.cols < 2 ? CEL_ERR_ARG : cel_mat_new(x.rows, x.cols - 1, &angles);
    if (!status) status = cel_paper_to_angles(x, angles, err);
    if (!status) status = cel_paper_generate(model, relations, options, angles, x, NULL, NULL, err);
    cel_mat_free(&angles);
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
        length = cel_vec_nrm2(row, x.cols);
        for (j = 0; j < x.cols; j++) {
            double v = (double)row[j] / length;
            row[j] = (cel_real)(orthant ? fabs(v) : v);
        }
    }
}

/* Marks the colours of cell i's neighbours in W with i + 1. What other cells marked is below that, so that the marks
 * need no clearing between cells. */
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
        return celi_note(err, CEL_ERR_SHAPE, "the relations are not of the same cells");
    mark = (int32_t *)celi_alloc((size_t)cells + 1, sizeof *mark);
    if (!mark) return celi_note(err, CEL_ERR_MEMORY, "colouring the cells");
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
    for (i = 0; i < relations->cells; i++) {
        if (colour[i] < 0 || colour[i] >= relations->cells)
            return celi_fail(err, CEL_ERR_ARG, "a colour is out of range", -1, i, -1);
        for (r = 1; r < relations->count; r++) { /* the identity joins nobody */
            const cel_csr *w = relations->at[r].w;
            for (e = w->start[i]; e < w->start[i + 1]; e++)
                if (colour[w->index[e]] == colour[i])
                    return celi_fail(err, CEL_ERR_DATA, "neighbours have the same colour", -1, i, -1);
        }
    }
    return CEL_OK;
}

/* Scratch of one thread: a block of cells of a colour. Rows are padded with zeros to whole vectors. */
typedef struct celi_lane {
    cel_mat x, u, b, t;   /* (cells of the block x n): free parts, momenta, fields, scratch */
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
    int64_t slides;    /* centred ones, or 0 */
    double *sum;       /* (colours + 1 x slides x n) rows' sums of those that move; at last, of all cells of a slide */
    double *count;     /* (slides) its cells */
    cel_mat pull;      /* (slides x n) the field that brings its mean back */
    double scale, step, step_most, step_log, acceptance;
    uint32_t sweep;
    int64_t adapt;     /* sweeps that adapt the step */
};

/* The cells of a block. */
typedef struct celi_batch {
    cel_mat x;           /* all cells (S x n) */
    const int32_t *cell; /* (count) */
    int64_t count;
    double *share;       /* [0] moves accepted, [1] moves made */
    void *context;
} celi_batch;

/* What is done to a block of cells that lies loaded in a lane. */
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

/* sum (slides x n) = the rows' sums over cells list[..] (NULL: all, in turn), slide by slide. */
static void celi_sampler_sums(const cel_sample *s, cel_mat x, const int32_t *list, int64_t count, double *sum)
{
    int64_t n = s->genes, i, j;
    memset(sum, 0, (size_t)(s->slides * n) * sizeof *sum);
    for (i = 0; i < count; i++) {
        const int64_t cell = list ? list[i] : i;
        const cel_real *row = x.data + cell * x.stride;
        double *to = sum + (s->options.slide ? s->options.slide[cell] : 0) * n;
        for (j = 0; j < n; j++) to[j] += (double)row[j];
    }
}

/* Brings the slides' sums up to date after the cells of a colour have moved (colour < 0: at the start of a sweep), and
 * with them the field that holds the means at 0. */
static void celi_sampler_centre(cel_sample *s, cel_mat x, int64_t colour)
{
    int64_t size = s->slides * s->genes, c, j;
    double *all = s->sum + s->colours * size;
    for (c = colour < 0 ? 0 : colour; c < (colour < 0 ? s->colours : colour + 1); c++) {
        double *own = s->sum + c * size;
        for (j = 0; j < size && colour >= 0; j++) all[j] -= own[j];
        celi_sampler_sums(s, x, s->list + s->first[c], s->first[c + 1] - s->first[c], own);
        for (j = 0; j < size && colour >= 0; j++) all[j] += own[j];
    }
    if (colour < 0) celi_sampler_sums(s, x, NULL, s->cells, all);
    for (j = 0; j < size; j++)
        s->pull.data[j] =
            (cel_real)(s->count[j / s->genes] > 0 ? -0.5 * (double)s->genes * all[j] / s->count[j / s->genes] : 0);
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

/* Room for what keeps the slides centred. */
static cel_status celi_sampler_slides(cel_sample *s, cel_error *err)
{
    const int32_t *slide = s->options.slide;
    int64_t i;
    s->slides = 1;
    for (i = 0; i < s->cells && slide; i++) {
        if (slide[i] < 0 || slide[i] >= s->cells)
            return celi_fail(err, CEL_ERR_ARG, "a slide's label is out of range", -1, i, -1);
        if (slide[i] >= s->slides) s->slides = (int64_t)slide[i] + 1;
    }
    s->sum = (double *)celi_pool_get(&s->pool, (s->colours + 1) * s->slides * s->genes, sizeof *s->sum);
    s->count = (double *)celi_pool_get(&s->pool, s->slides, sizeof *s->count);
    s->pull = celi_pool_mat(&s->pool, s->slides, s->genes);
    for (i = 0; i < s->cells && !s->pool.status; i++) s->count[slide ? slide[i] : 0]++;
    return s->pool.status;
}

/* The options with their defaults; a warm-up below 0 becomes none. */
static cel_sample_options celi_sample_defaults(const cel_sample_options *options)
{
    cel_sample_options o = CEL_ZERO;
    if (options) o = *options;
    if (!o.moves) o.moves = 6;
    if (!o.sweeps) o.sweeps = 100;
    if (!o.thin) o.thin = 1;
    o.warmup = o.warmup < 0 ? 0 : o.warmup ? o.warmup : 50;
    return o;
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
        return celi_note(err, CEL_ERR_SHAPE, "the model has another number of relations");
    if (options && (options->moves < 0 || !(options->step >= 0)))
        return celi_note(err, CEL_ERR_ARG, "a negative option of the sampler");
    s = (cel_sample *)celi_alloc(1, sizeof *s);
    if (!s) return celi_note(err, CEL_ERR_MEMORY, "a sampler");
    s->model = model;
    s->relations = relations;
    s->options = celi_sample_defaults(options);
    s->cells = relations->cells;
    s->genes = model->genes;
    s->width = celi_round_up(s->genes, 16);
    s->scale = 1;
    /* A whole trajectory turns a free cell by a right angle, which makes the next draw independent; never more. */
    s->step_most = 1.5707963 / (s->options.moves * sqrt(s->genes > 1 ? (double)(s->genes - 1) : 1.0));
    s->step = s->options.step > 0 ? s->options.step : s->step_most / 2;
    s->adapt = s->options.step > 0 || s->options.domain.orthant ? 0 : s->options.warmup;
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
        if (s->options.centred) status = celi_sampler_slides(s, err);
        if (!status) status = s->pool.status ? s->pool.status : celi_sampler_lanes(s);
    }
    if (status) {
        cel_sample_free(s);
        return status == CEL_ERR_ARG ? status : celi_note(err, status, "a sampler");
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

/* What is held of a cell that moves (n), or NULL. */
static const uint8_t *celi_hold(const cel_sample *s, int64_t cell)
{
    return s->held[cell] ? s->options.domain.hold + cell * s->genes : NULL;
}

/* Loads a block: free parts into lane->x, their radii, and into lane->b
 *   scale (h + sum_r (W_r X F_r^T + W_r^T X F_r) + (F_0 + F_0^T) held part):
 * held values act on the free ones like a field. With it H is, up to a constant and as a function of one free part,
 *   scale y . G2 y / 2 + b . y, whatever relations there are and whatever is held of the cell. */
static cel_status celi_batch_load(const cel_sample *s, celi_lane *l, const celi_batch *batch)
{
    int64_t n = s->genes, m = batch->count, i, j, r;
    cel_real scale = (cel_real)s->scale;
    int any = 0, side;
    cel_status status = CEL_OK;
    l->x.rows = l->u.rows = l->b.rows = l->t.rows = m;
    for (i = 0; i < m; i++) {
        cel_real *to = l->b.data + i * l->b.stride;
        memset(to, 0, (size_t)n * sizeof *to);
        if (s->model->field) cel_vec_axpy(scale, s->model->field, to, n);
        if (s->slides)
            cel_vec_axpy(scale, s->pull.data + (s->options.slide ? s->options.slide[batch->cell[i]] : 0) * n, to, n);
        any |= s->held[batch->cell[i]];
    }
    for (r = 0; r < s->model->relations; r++)
        for (side = 0; side < 2 && !status; side++) {
            const cel_csr *w = side ? s->relations->at[r].wt : s->relations->at[r].w;
            if (!w) continue;
            status = cel_csr_mul_rows(1, w, batch->cell, m, batch->x, 0, l->t);
            if (!status)
                status = cel_mat_gemm(0, 0, scale, l->t, cel_mat_block(s->right, (2 * r + side) * n, 0, n, n), 1, l->b,
                                      &l->work);
        }
    for (i = 0; i < m; i++) {
        const uint8_t *hold = celi_hold(s, batch->cell[i]);
        cel_real *to = l->x.data + i * l->x.stride, *rest = l->t.data + i * l->t.stride;
        double held = 0;
        memcpy(to, batch->x.data + batch->cell[i] * batch->x.stride, (size_t)n * sizeof *to);
        if (any) memset(rest, 0, (size_t)n * sizeof *rest);
        for (j = 0; hold && j < n; j++)
            if (hold[j]) {
                rest[j] = to[j];
                held += (double)to[j] * (double)to[j];
                to[j] = 0;
            }
        l->radius[i] = held < 1 ? sqrt(1 - held) : 0;
    }
    if (any && !status) status = cel_mat_gemm(0, 0, scale, l->t, s->g2, 1, l->b, &l->work);
    return status;
}

/* The random numbers of a cell in this sweep: those of its id, so that paired runs draw alike on different cells. */
static cel_rng celi_cell_rng(const cel_sample *s, int64_t cell)
{
    uint32_t id = s->options.domain.id ? s->options.domain.id[cell] : (uint32_t)cell;
    return cel_rng_at(s->options.seed, s->options.stream, id, s->sweep);
}

/* Sets to zero what is held of a row of cell `cell`. */
static void celi_batch_mask(const cel_sample *s, int64_t cell, cel_real *row)
{
    const uint8_t *hold = celi_hold(s, cell);
    int64_t j;
    for (j = 0; hold && j < s->genes; j++)
        if (hold[j]) row[j] = 0;
}

/* Writes the free part `row` to cell `cell` of x, rescaled to the radius, so that rounding cannot pile up over the
 * sweeps; sign is 1 or -1. Held values are not touched: they keep their bits. */
static void celi_batch_store(const cel_sample *s, const celi_batch *batch, int64_t cell, const cel_real *row,
                             double radius, double sign)
{
    const uint8_t *hold = celi_hold(s, cell);
    cel_real *to = batch->x.data + cell * batch->x.stride, f;
    double length = cel_vec_nrm2(row, s->genes);
    int64_t j;
    if (!(length > 0)) return;
    f = (cel_real)(sign * radius / length);
    for (j = 0; j < s->genes; j++)
        if (!hold || !hold[j]) to[j] = f * row[j];
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
    cel_mat x = l->x, u = l->u, b = l->b;
    /* A normal momentum, made tangent: orthogonal to x and zero where values are held. */
    for (i = 0; i < m; i++) {
        int64_t cell = batch->cell[i];
        cel_rng rng = celi_cell_rng(s, cell);
        cel_real *xi = x.data + i * x.stride, *ui = u.data + i * u.stride;
        double r2 = l->radius[i] * l->radius[i], along;
        /* A step of random length, or trajectories of a period would come back to where they began. */
        step[i] = s->step * l->radius[i] * (0.8 + 0.4 * cel_rng_uniform(&rng));
        pick[i] = cel_rng_uniform(&rng);
        side[i] = cel_rng_uniform(&rng);
        cel_rng_normals(&rng, ui, n);
        celi_batch_mask(s, cell, ui);
        along = r2 > 0 ? cel_vec_dot(xi, ui, n) / r2 : 0;
        cel_vec_axpy((cel_real)-along, xi, ui, n);
        change[i] = cel_vec_dot(ui, ui, n) / 2;
        if (!(step[i] > 0)) continue;
        celi_turn(s->width, xi, ui, 1, 0, 0, (cel_real)(1 / step[i]));
    }
    for (k = 0; k <= moves && !l->status; k++) {
        double alpha = k == 0 || k == moves ? 0.5 : 1;
        l->status = cel_mat_gemm(0, 0, (cel_real)(alpha * s->scale), x, s->g2, 1, u, &l->work);
        for (i = 0; i < m && !l->status; i++) {
            cel_real *xi = x.data + i * x.stride, *ui = u.data + i * u.stride, *bi = b.data + i * b.stride;
            double r = l->radius[i], r2 = r * r, along, length, c, t;
            cel_vec_axpy((cel_real)alpha, bi, ui, s->width);
            celi_batch_mask(s, batch->cell[i], ui);
            if (!(step[i] > 0)) continue;
            /* The tangent part is u - (along / r^2) x, of this length. */
            along = cel_vec_dot(xi, ui, s->width);
            length = cel_vec_dot(ui, ui, s->width) - along * along / r2;
            length = length > 0 ? sqrt(length) : 0;
            /* change: H less the kinetic energy, at the end less at the start. */
            if (k == 0) change[i] -= along + cel_vec_dot(xi, bi, s->width) / 2;
            if (k == moves) {
                double field = cel_vec_dot(xi, bi, s->width), kinetic = step[i] * length;
                change[i] += along + field / 2 - kinetic * kinetic / 2;
                continue;
            }
            /* The speed is |u| times the step, so that a time of one step turns by this angle: x towards the tangent
             * part of u, and u back towards x, with what takes the part along x out folded into the factors. */
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
        flip = side[i] * (1 + exp(2 * cel_vec_dot(xi, b.data + i * b.stride, s->width))) < 1;
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
            cel_vec_axpy((cel_real)(s->scale * dj), gj, g, s->genes);
            cel_vec_axpy((cel_real)(s->scale * dk), gk, g, s->genes);
            return;
        }
        if (t < now) low = t;
        else high = t;
    }
}

/* Rounds of random pairs for each cell of a block: a shuffle, and its neighbours make the pairs. b becomes the gradient
 * of H. Pair k begins at its own word of the cell's numbers, whatever its predecessors drew. */
static void celi_batch_orthant(const cel_sample *s, celi_lane *l, const celi_batch *batch)
{
    int64_t n = s->genes, i, j, m = batch->count;
    cel_mat x = l->x, b = l->b;
    int k;
    l->status = cel_mat_gemm(0, 0, (cel_real)s->scale, x, s->g2, 1, b, &l->work);
    for (i = 0; i < m && !l->status; i++) {
        int64_t cell = batch->cell[i];
        const uint8_t *hold = celi_hold(s, cell);
        cel_rng rng = celi_cell_rng(s, cell);
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
                if (hold && (hold[a] || hold[c])) continue;
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
 * once: which lane works on which block, and when, does not matter to the result. Acceptance is summed block by block
 * in their order, for the same reason. */
static cel_status celi_sampler_pass(cel_sample *s, cel_mat x, celi_batch_fn *fn, void *context)
{
    int64_t c, k;
    double done = 0, made = 0;
    if (x.rows != s->cells || x.cols != s->genes) return CEL_ERR_SHAPE;
    for (k = 0; k < s->lanes; k++) s->lane[k].status = CEL_OK;
    if (s->slides) celi_sampler_centre(s, x, -1);
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
                batch.count = celi_min(count - at * block, block);
                batch.share = s->share + 2 * at;
                batch.context = context;
                batch.share[0] = batch.share[1] = 0;
                s->lane[k].status = celi_batch_load(s, s->lane + k, &batch);
                if (!s->lane[k].status) fn(s, s->lane + k, &batch);
            }
        }
        for (k = 0; k < lanes; k++)
            if (s->lane[k].status) return s->lane[k].status;
        for (k = 0; k < blocks; k++) {
            done += s->share[2 * k];
            made += s->share[2 * k + 1];
        }
        if (s->slides) celi_sampler_centre(s, x, c);
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
    enum { CELI_LAGS = 64 };
    int64_t half = length / 2, count = 2 * chains, c, t;
    double all = 0, between = 0, within, variance, first = 0, time, at[2], n = (double)half, m = (double)count, *h;
    *ess = *rhat = (double)NAN;
    if (chains < 1 || length < 8) return CEL_OK;
    h = (double *)celi_alloc((size_t)count, (size_t)half * sizeof *h);
    if (!h) return CEL_ERR_MEMORY;
    /* Half chains: a trend within a chain shows as a difference between its halves. */
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
        if (celi_geyer(h, count, half, half > 4 * CELI_LAGS ? (int64_t)CELI_LAGS : half, within, variance, &time)) {
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
        return celi_note(err, CEL_ERR_SHAPE, "expression, relations and model do not fit");
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
    cel_sample_options o = celi_sample_defaults(options);
    cel_sample_report r = CEL_ZERO;
    cel_sample *s = NULL;
    double *own = NULL;
    cel_work work = CEL_ZERO;
    int64_t t, total = o.warmup + o.sweeps;
    cel_status status;
    if (report) *report = r;
    if (o.sweeps < 0 || o.thin < 0) return celi_note(err, CEL_ERR_ARG, "a negative number of sweeps");
    status = celi_sample_check(model, relations, x, o.domain.orthant, err);
    if (!status) status = cel_sample_new(model, relations, options, &s, err);
    if (status) return status;
    if (!trace) trace = own = (double *)celi_alloc((size_t)(o.sweeps / o.thin) + 1, sizeof *own);
    if (!trace) status = celi_note(err, CEL_ERR_MEMORY, "the trace of the energy");
    for (t = 0; t < total && !status; t++) {
        int64_t sweep = t - o.warmup; /* from 0 on those that count */
        status = cel_sample_sweep(s, x);
        if (status) break;
        r.acceptance += sweep >= 0 ? s->acceptance : 0;
        r.sweeps += sweep >= 0;
        if (sweep >= 0 && (sweep + 1) % o.thin == 0) {
            status = cel_model_energy(model, relations, x, trace + r.recorded, NULL, cel_mat_none(), &work);
            r.recorded++;
            if (!status && o.each && o.each(o.each_user, sweep, x)) status = CEL_ERR_STOPPED;
        }
        if (!status) status = celi_tell(&o.progress, "sample", t + 1, total, s->acceptance);
    }
    if (!status || status == CEL_ERR_STOPPED) {
        /* A run that was stopped reports what it has seen. */
        cel_status told = celi_sample_tell(s, trace, &r);
        if (report) *report = r;
        if (told) status = told;
    }
    celi_note(err, status, status == CEL_ERR_STOPPED ? "a sampler was stopped" : "a sampler");
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

/* x becomes of length radius. */
static void celi_rescale(int64_t n, cel_real *x, double radius)
{
    cel_real f = (cel_real)(radius / cel_vec_nrm2(x, n));
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
 * |y| = radius. That is the secular equation: |y| falls from infinity at the largest value to 0, so that it has one
 * root. Newton's method is on 1 / |y|, which is close to straight in v and concave: from the left, where one axis alone
 * has length radius, it rises to the root and never oversteps. v is kept as what it is above the largest value, because
 * the two may be almost equal. Then z moves towards y and `beyond` < 1 times as far again, or less where the sum would
 * fall. t (n) is scratch. */
static void celi_secular(const cel_sample *s, cel_real *w, cel_real *z, cel_real *y, cel_real *t, double radius,
                         double beyond)
{
    int64_t n = s->genes, j, top = n - 1;
    double least = 1e-9 * (radius * (s->value[top] - s->value[0]) + cel_vec_nrm2(w, n)), first = fabs((double)w[top]);
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
    int64_t i, m = batch->count;
    cel_mat x = l->x, u = l->u, b = l->b, t = l->t;
    int k, any = s->options.domain.orthant;
    for (i = 0; i < m; i++) any |= s->held[batch->cell[i]];
    for (k = 0; k < 4 && any && !l->status; k++) {
        cel_mat_copy(b, u);
        l->status = cel_mat_gemm(0, 0, 1, x, s->g2, 1, u, &l->work);
        for (i = 0; i < m && !l->status; i++) {
            int64_t cell = batch->cell[i];
            if (s->options.domain.orthant || s->held[cell])
                celi_maximiser(s, u.data + i * u.stride, x.data + i * x.stride, l->radius[i], celi_hold(s, cell));
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
    if (!status) status = cel_model_energy(model, relations, x, &r.start, NULL, cel_mat_none(), &work);
    r.energy = r.start;
    if (o.trace) o.trace[0] = r.start;
    while (r.sweeps < o.sweeps && !r.converged && !status) {
        double before = r.energy, beyond = r.sweeps < CELI_ASCENT_FAR ? 0.97 : 0.7;
        status = celi_sampler_pass(s, x, celi_batch_ascent, &beyond);
        if (!status) status = cel_model_energy(model, relations, x, &r.energy, NULL, cel_mat_none(), &work);
        if (status) break;
        if (o.trace) o.trace[r.sweeps + 1] = r.energy;
        r.converged = (r.sweeps >= CELI_ASCENT_FAR || o.domain.orthant) &&
                      r.energy - before <= o.tolerance * fabs(r.energy);
        r.sweeps++;
        status = celi_tell(&o.progress, "ascent", r.sweeps, o.sweeps, r.energy);
    }
    celi_note(err, status, "the ascent");
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
 * is at the start. The weight is Neal's: before each move the tissue's H counts with the rise in
 * temperature, and the last rung needs no move, for nothing is weighed after it. Run 0 only finds the step of every
 * rung: those that count must not adapt to what they weigh. */
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
        status = cel_model_energy(s->model, s->relations, a->x, &h, NULL, cel_mat_none(), &a->work);
        sum += (now - before) * h;
        before = now;
        if (status || (run && k + 1 == o->rungs)) break;
        cel_sample_temper(s, now);
        if (run) s->step = a->step[k];
        status = cel_sample_sweep(s, a->x);
        if (!run) celi_sampler_adapt(s, 0.5);
        if (!run) a->step[k] = s->step;
        else if (s->acceptance < a->report->acceptance) a->report->acceptance = s->acceptance;
        if (!status)
            status = celi_tell(&o->progress, "logz", run * o->rungs + k, (o->runs + 1) * o->rungs, a->report->logz);
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
    if (o.runs < 2 || o.rungs < 1) return celi_note(err, CEL_ERR_ARG, "annealing needs two runs and a rung");
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
        celi_note(err, status, status == CEL_ERR_NUMERIC ? "energy is not finite" : "annealing");
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
    cel_mat x = l->x, u = l->u, b = l->b;
    int k, rounds = c->measure ? 0 : 2;
    for (i = 0; i < m; i++) {
        cel_real *mu = x.data + i * x.stride;
        double length = cel_vec_nrm2(mu, n);
        for (j = 0; j < n; j++) mu[j] = length > 0 ? (cel_real)((double)mu[j] / length) : 0;
    }
    for (k = 0; k <= rounds && !l->status; k++) {
        l->status = cel_mat_gemm(0, 0, 1, x, s->g2, 0, u, &l->work);
        for (i = 0; i < m && !l->status; i++) {
            int64_t cell = batch->cell[i];
            cel_real *mu = x.data + i * x.stride, *w = u.data + i * u.stride, *bi = b.data + i * b.stride;
            double a, q = cel_vec_dot(mu, w, n) / 2, phi;
            if (k == rounds && !c->measure)
                c->k[cell] = celi_bound_concentration(c, n, q, cel_vec_dot(mu, bi, n), c->k[cell]);
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
    cel_mat x;
    double *energy, area = (double)cells * cel_sphere_log_area(model->genes), last = 0, all;
    int64_t t, i;
    cel_status status;
    *bound = 0;
    if (options) o = *options;
    if (!o.sweeps) o.sweeps = 100;
    if (o.orthant || o.sweeps < 0)
        return celi_note(err, CEL_ERR_ARG, "the bound is of the whole sphere, and takes sweeps");
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
        if (!status) status = cel_model_energy(model, relations, x, &all, energy, cel_mat_none(), &work);
        if (status) break;
        /* A cell's own force is in its share, by the law's second moments; H of the means is right for the rest. */
        all -= energy[0];
        for (all += area, i = 0; i < cells; i++) all += c.share[i];
        if (all > *bound) *bound = all;
        if (t && fabs(all - last) <= 1e-9 * fabs(all)) break;
        last = all;
        status = celi_tell(&o.progress, "bound", t + 1, o.sweeps, *bound);
    }
    if (status) {
        *bound = 0;
        celi_note(err, status, "the mean-field bound");
    }
    celi_pool_free(&pool);
    cel_work_free(&work);
    cel_sample_free(s);
    return status;
}

/* ======================================================================== */
/* likelihood                                                               */
/* ======================================================================== */

/* A fit. Where rows are without a size direction all is done in the n - 1 coordinates orthogonal to it. */
typedef struct celi_learn {
    const cel_relations *relations;
    cel_likelihood_options o;
    celi_pool pool;          /* owns all that has no free of its own */
    int64_t genes, n, cells; /* n: coordinates */
    cel_mat basis;           /* (genes x n), or data NULL */
    cel_model model, mean;   /* the forces of now, and the average */
    cel_moments seen, drawn;
    cel_sample **chain;      /* (chains) */
    cel_mat rows;            /* (chains S x n) */
    double *place;           /* (chains x 4) where the samplers are, for what keeps it */
    cel_mat left, right;     /* K^-1 (side x side), C^-1 (n x n) */
    cel_mat gap, half, step; /* (side x n) D, K^-1 D, its product with C^-1 */
    cel_mat sum, square;     /* (side x n) of D, over a window of steps */
    double *field;           /* (n) of it, as of the rows' means */
    double *curvature;       /* (R) of log P a cell, mean over entries: 2 E x_a^2 E N_b^2, as of cells that are
                                independent of each other; the unit of the priors' weights */
    cel_mat lifted;          /* (2 genes x genes) scratch: a moment in the genes' coordinates */
    cel_work work;
} celi_learn;

/* Moments are told apart from their noise over a WINDOW of steps; errors of what is learnt come from BATCHES of the
 * falling half; the sampler's own step is let go of after ADAPT steps, since a law that chases it never settles. */
enum { CELI_LEARN_WINDOW = 10, CELI_LEARN_BATCHES = 12, CELI_LEARN_ADAPT = 20, CELI_STREAM_LEARN = 0x6c650001 };

/* Whatever was opened, also half: chains that were never made are NULL. */
static void celi_learn_close(celi_learn *l)
{
    int64_t c;
    for (c = 0; c < l->o.chains && l->chain; c++) cel_sample_free(l->chain[c]);
    cel_model_free(&l->model);
    cel_model_free(&l->mean);
    cel_moments_free(&l->seen);
    cel_moments_free(&l->drawn);
    cel_work_free(&l->work);
    celi_pool_free(&l->pool);
}

CEL_API_DEF void cel_likelihood_report_free(cel_likelihood_report *report)
{
    cel_mat_free(&report->error);
    cel_mat_free(&report->se);
    cel_mat_free(&report->partial);
    cel_mat_free(&report->trace);
    memset(report, 0, sizeof *report);
}

/* What would end in a wrong law rather than in an error: rows that are not of unit length or, where the size direction
 * was taken out, still have some of it. */
static cel_status celi_learn_check(const celi_learn *l, cel_mat x, cel_error *err)
{
    const cel_likelihood_options *o = &l->o;
    cel_score_options size = CEL_ZERO;
    const char *what = NULL;
    cel_status status = CEL_ERR_ARG;
    int64_t i, j;
    if (celi_relations_fit(l->relations, o->start, x.rows) || (o->start && o->start->genes != x.cols) ||
        (o->chain.data && (o->chain.rows != o->chains * x.rows || o->chain.cols != x.cols)))
        return celi_note(err, CEL_ERR_SHAPE, "expression, relations, start and chains do not fit");
    if (x.cols < 2 || x.rows < 2) what = "fewer than two genes or cells";
    else if (o->steps < 4 || o->sweeps < 1 || o->chains < 1 || !(o->rate > 0 && o->rate <= 2) || !(o->ridge >= 0) ||
             !(o->l1 >= 0) || !celi_finite(o->ridge + o->l1) || (o->check > 0 && o->check < CELI_LEARN_BATCHES))
        what = "options out of range";
    else if (o->size && (o->l1 > 0 || o->domain.hold || o->domain.orthant))
        what = "without a size direction there is neither l1 nor the orthant, nor can values be held";
    else if (o->centred && o->domain.orthant) what = "rows on the orthant are not centred";
    else if (o->resume && !o->chain.data) what = "no chains to go on with";
    if (what) return celi_note(err, status, what);
    size.size = o->size;
    size.measured = 1;
    status = celi_score_options_check(&size, x.cols, err);
    for (i = 0; i < x.rows && !status && o->size; i++) {
        double along = 0;
        for (j = 0; j < x.cols; j++) along += o->size[j] * (double)x.data[i * x.stride + j];
        if (!(fabs(along) <= CELI_SCORE_UNIT))
            status = celi_fail(err, CEL_ERR_DATA, "a row is not orthogonal to the size direction", -1, i, -1);
    }
    if (!status) status = celi_rows_unit(x, o->domain.orthant, err);
    if (!status && o->resume) status = celi_rows_unit(o->chain, o->domain.orthant, err);
    return status;
}

/* Where to start: the caller's forces, or those of score matching, in the coordinates of the fit. The ridge is light
 * enough for forces of the right size, and heavy enough that tissue of a few hundred cells has a start. */
static cel_status celi_learn_start(celi_learn *l, cel_mat x, cel_error *err)
{
    const cel_likelihood_options *o = &l->o;
    cel_score_options how = CEL_ZERO;
    cel_model own = CEL_ZERO, reduced = CEL_ZERO;
    const cel_model *start = o->start;
    cel_status status = CEL_OK;
    int64_t j;
    if (o->size || o->centred) how = cel_score_measured(o->size);
    else if (o->field) how.field = CEL_SCORE_FIELD_SHARED;
    how.slide = o->slide;
    how.ridge = 0.1;
    how.no_errors = 1;
    if (o->domain.orthant) how.form = CEL_SCORE_ORTHANT;
    if (!start) {
        status = cel_score_fit(l->relations, x, &how, &own, NULL, err, NULL);
        start = &own;
    }
    if (!status && o->size) {
        l->basis = celi_pool_mat(&l->pool, l->genes, l->n);
        status = l->pool.status ? l->pool.status : cel_model_reduce(start, o->size, l->basis, &reduced);
        start = &reduced;
    }
    if (!status) status = cel_model_new(l->n, l->relations->count, o->field, &l->model);
    if (!status) status = cel_model_new(l->n, l->relations->count, o->field, &l->mean);
    if (!status) status = cel_mat_copy(start->force, l->model.force);
    for (j = 0; j < l->n && !status && o->field && start->field; j++) l->model.field[j] = start->field[j];
    if (!status) cel_model_gauge(&l->model);
    cel_model_free(&own);
    cel_model_free(&reduced);
    return status;
}

/* a^-1, with a ridge in units of each block's mean diagonal, without which directions that hardly vary would take the
 * longest steps; scaled: of the mean diagonal alone. `a` is overwritten. */
static cel_status celi_learn_invert(cel_mat a, int64_t n, int scaled, double ridge, cel_mat out)
{
    const int64_t side = a.rows;
    int64_t i, j, b;
    cel_status status;
    cel_mat_fill(out, 0);
    for (b = 0; b < side / n; b++) {
        double mean = 0;
        for (i = b * n; i < (b + 1) * n; i++) mean += (double)a.data[i * a.stride + i] / (double)n;
        if (!(mean > 0)) mean = 1; /* a relation without contacts */
        for (i = b * n; i < (b + 1) * n; i++) {
            for (j = 0; j < side && scaled; j++) a.data[i * a.stride + j] = 0;
            a.data[i * a.stride + i] += (cel_real)(mean * (scaled ? 1 + ridge : ridge));
            out.data[i * out.stride + i] = 1;
        }
    }
    status = cel_mat_cholesky(a);
    return status ? status : cel_mat_cholesky_solve(a, out);
}

/* The observed moments, and the metric of the steps. */
static cel_status celi_learn_metric(celi_learn *l, cel_mat x)
{
    const int64_t n = l->n, blocks = l->seen.blocks, side = blocks * n, w = side + 1;
    int64_t i, j, r;
    double own = 0, ridge = 0.01 + sqrt(l->o.ridge); /* the prior's curvature, as a product of two */
    cel_status status;
    cel_mat k = celi_pool_mat(&l->pool, side, side);
    l->left = celi_pool_mat(&l->pool, side, side);
    l->right = celi_pool_mat(&l->pool, n, n);
    l->gap = celi_pool_mat(&l->pool, side, n);
    l->half = celi_pool_mat(&l->pool, side, n);
    l->step = celi_pool_mat(&l->pool, side, n);
    l->sum = celi_pool_mat(&l->pool, side, n);
    l->square = celi_pool_mat(&l->pool, side, n);
    l->lifted = celi_pool_mat(&l->pool, 2 * l->genes, l->genes);
    l->field = (double *)celi_pool_get(&l->pool, 2 * n, sizeof(double));
    l->curvature = (double *)celi_pool_get(&l->pool, l->relations->count, sizeof(double));
    if (l->pool.status) return l->pool.status;
    if (cel_moments_add(&l->seen, l->relations, x, NULL, 0, &l->work)) return CEL_ERR_MEMORY;
    for (i = 0; i < n; i++) own += l->seen.gram[i * w + i] / (double)(n * l->cells);
    for (r = 0; r < l->relations->count; r++)
        for (i = l->seen.block[r] * n; i < l->seen.block[r + 1] * n; i++)
            l->curvature[r] += 2 * own * l->seen.gram[i * w + i] /
                               (double)((l->seen.block[r + 1] - l->seen.block[r]) * n * l->cells);
    for (i = 0; i < side; i++)
        for (j = 0; j < side; j++) k.data[i * k.stride + j] = (cel_real)(l->seen.gram[i * w + j] / (double)l->cells);
    status = celi_learn_invert(k, n, l->o.l1 > 0, ridge, l->left);
    if (status) return status;
    k.rows = k.cols = n;
    for (i = 0; i < n; i++)
        for (j = 0; j < n; j++) k.data[i * k.stride + j] = (cel_real)(l->seen.gram[i * w + j] / (double)l->cells);
    return celi_learn_invert(k, n, l->o.l1 > 0, ridge, l->right);
}

/* The chains, from noise, from where they are to go on, or, where something is held, from x. */
static cel_status celi_learn_chains(celi_learn *l, cel_mat x, cel_error *err)
{
    cel_likelihood_options *o = &l->o;
    cel_sample_options so = CEL_ZERO;
    const int held = o->domain.hold || o->domain.frozen;
    int64_t c;
    cel_status status;
    /* From noise: a chain that starts at the observed tissue keeps its domains for hundreds of sweeps, so that forces
     * too weak to make domains seem strong enough: the means of the moments would come out right, the law not. */
    l->chain = (cel_sample **)celi_pool_get(&l->pool, o->chains, sizeof(cel_sample *));
    l->rows = celi_pool_mat(&l->pool, o->chains * l->cells, l->n);
    l->place = (double *)celi_pool_get(&l->pool, 4 * o->chains, sizeof(double));
    status = l->pool.status;
    so.seed = o->seed;
    so.warmup = CELI_LEARN_ADAPT;
    so.centred = o->centred;
    so.slide = o->slide;
    so.domain = o->domain;
    for (c = 0; c < o->chains && !status; c++) {
        cel_mat rows = cel_mat_block(l->rows, c * l->cells, 0, l->cells, l->n), from = x;
        so.stream = CELI_STREAM_LEARN + (uint32_t)c;
        if (o->resume) from = cel_mat_block(o->chain, c * l->cells, 0, l->cells, l->genes);
        if (!o->resume && !held) cel_sample_uniform(o->seed, so.stream, o->domain.orthant, rows);
        else if (o->resume && l->basis.data) status = cel_mat_gemm(0, 0, 1, from, l->basis, 0, rows, &l->work);
        else status = cel_mat_copy(from, rows);
        if (!status) status = cel_sample_new(&l->model, l->relations, &so, l->chain + c, err);
    }
    return status;
}

static cel_status celi_learn_warm(celi_learn *l)
{
    cel_status status = CEL_OK;
    int64_t c, t;
    for (c = 0; c < l->o.chains; c++)
        for (t = 0; t < l->o.warmup && !l->o.resume && !status; t++)
            status = cel_sample_sweep(l->chain[c], cel_mat_block(l->rows, c * l->cells, 0, l->cells, l->n));
    return status;
}

/* So many sweeps under the forces of now, and D. Moments are taken once, at the end: neighbouring sweeps are alike, and
 * the products cost as much as a third of a sweep. */
static cel_status celi_learn_draw(celi_learn *l, int64_t sweeps)
{
    const int64_t n = l->n, side = l->seen.blocks * n, w = side + 1, S = l->cells;
    double drawn = 1 / (double)l->o.chains;
    int64_t c, t, i, j;
    cel_status status = CEL_OK;
    memset(l->drawn.gram, 0, (size_t)(w * w) * sizeof(double));
    for (c = 0; c < l->o.chains && !status; c++) {
        cel_mat rows = cel_mat_block(l->rows, c * S, 0, S, n);
        cel_sample_refresh(l->chain[c]);
        for (t = 0; t < sweeps && !status; t++) status = cel_sample_sweep(l->chain[c], rows);
        if (!status) status = cel_moments_add(&l->drawn, l->relations, rows, NULL, 0, &l->work);
    }
    for (i = 0; i < side; i++)
        for (j = 0; j < n; j++)
            l->gap.data[i * n + j] =
                (cel_real)((l->seen.gram[i * w + j] - drawn * l->drawn.gram[i * w + j]) / (double)S);
    for (j = 0; j < n; j++)
        l->field[j] = 2 * (l->seen.gram[side * w + j] - drawn * l->drawn.gram[side * w + j]) / (double)S;
    return status;
}

/* Root mean squares of the entries of D: within cells, and of the rest. */
static void celi_learn_size(cel_mat gap, double *within, double *between)
{
    const int64_t n = gap.cols;
    *within = sqrt(cel_mat_dot(cel_mat_block(gap, 0, 0, n, n), cel_mat_block(gap, 0, 0, n, n))) / (double)n;
    gap = cel_mat_block(gap, n, 0, gap.rows - n, n);
    *between = gap.rows ? sqrt(cel_mat_dot(gap, gap) / (double)(gap.rows * n)) : 0;
}

/* The forces take a step along D, less what the priors ask for. T holds a symmetric relation's force, of another one
 * its transpose above itself. What a sweep can change of a moment is about K and C, so that all modes come down at
 * about the same pace; a plain step, or Adam's, leaves those of little variance behind. */
static cel_status celi_learn_move(celi_learn *l, double rate)
{
    const int64_t n = l->n;
    int64_t r, b, i, j;
    cel_status status;
    /* The ridge is a prior's pull: it stands beside observed less drawn moments, in the unit of their curvature. */
    for (b = 0, r = 0; r < l->relations->count && l->o.ridge > 0; r++)
        for (; b < l->seen.block[r + 1]; b++) {
            const cel_mat f = cel_model_force(&l->model, r);
            const int turned = l->relations->at[r].wt && b == l->seen.block[r];
            for (i = 0; i < n * n; i++)
                l->gap.data[b * n * n + i] -= (cel_real)(l->o.ridge * l->curvature[r] *
                                                         (double)f.data[turned ? i % n * n + i / n : i]);
        }
    /* A natural step: the gap is turned and scaled by the curvature on both sides, so that genes that hardly vary and
     * those that vary much arrive together. */
    status = cel_mat_gemm(0, 0, (cel_real)(rate / 2), l->left, l->gap, 0, l->half, &l->work);
    if (!status) status = cel_mat_gemm(0, 0, 1, l->half, l->right, 0, l->step, &l->work);
    for (r = 0; r < l->relations->count && !status; r++) {
        cel_mat f = cel_model_force(&l->model, r);
        cel_real least = (cel_real)(l->o.l1 * rate / sqrt(l->curvature[r] > 0 ? l->curvature[r] : 1));
        const cel_real *at = l->step.data + l->seen.block[r] * n * n;
        for (i = 0; i < n; i++)
            for (j = 0; j < n; j++) { /* the transpose's place is that of the second block, or of the same one */
                const cel_real *too = l->relations->at[r].wt ? at + n * n + i * n + j : at + i * n + j;
                cel_real v = f.data[i * f.stride + j] + (cel_real)0.5 * (at[j * n + i] + *too);
                if (i != j) v = v > least ? v - least : v < -least ? v + least : 0;
                f.data[i * f.stride + j] = v;
            }
        if (!l->relations->at[r].wt) cel_mat_symmetrise(f);
        if (!celi_finite(cel_mat_dot(f, f))) status = CEL_ERR_NUMERIC;
    }
    for (i = 0; i < n && l->o.field; i++) /* cells answer a field together: a fifth of a step */
        for (j = 0; j < n; j++)
            l->model.field[i] += (cel_real)(0.2 * rate * (double)l->right.data[i * n + j] * l->field[j]);
    cel_model_gauge(&l->model);
    return status;
}

/* Whether the mean of D over the window that ends here is no more than chance makes it: its square is then that of one
 * step about the mean over the number of steps, or less where the steps pull it back. The window is emptied. */
static int celi_learn_floor(celi_learn *l)
{
    const double W = CELI_LEARN_WINDOW, mean = cel_mat_dot(l->sum, l->sum) / (W * W);
    double square = 0;
    int64_t i;
    for (i = 0; i < l->square.rows * l->n; i++) square += (double)l->square.data[i];
    cel_mat_fill(l->sum, 0);
    cel_mat_fill(l->square, 0);
    return mean <= (square - W * mean) / (W - 1) / W;
}

/* Where the samplers are in their random numbers, to `place` or from it. */
static void celi_learn_place(celi_learn *l, int back)
{
    int64_t c;
    for (c = 0; c < l->o.chains; c++) {
        cel_sample *s = l->chain[c];
        double *p = l->place + 4 * c;
        if (back) {
            s->step = p[0];
            s->step_log = p[1];
            s->acceptance = p[2];
            s->sweep = (uint32_t)p[3];
        }
        p[0] = s->step;
        p[1] = s->step_log;
        p[2] = s->acceptance;
        p[3] = s->sweep;
    }
}

/* The steps: at the full rate until D is down to its error, at most half of them, then half of them at a falling one.
 * *averaged becomes the number of steps whose forces are in the mean. */
static cel_status celi_learn_run(celi_learn *l, cel_likelihood_report *report, int64_t *averaged)
{
    const cel_likelihood_options *o = &l->o;
    int64_t half = o->steps / 2, fall = o->steps - half, t, i;
    const size_t forces = (size_t)(l->model.force.rows * l->n) * sizeof(cel_real);
    const size_t field = o->field ? (size_t)l->n * sizeof(cel_real) : 0;
    const celi_extent kept[] = {
        {&report->steps, sizeof report->steps},
        {&half, sizeof half},
        {averaged, sizeof *averaged},
        {&report->floor, sizeof report->floor},
        {report->trace.data, 2 * (size_t)o->steps * sizeof(cel_real)},
        {l->model.force.data, forces},
        {l->mean.force.data, forces},
        {l->model.field, field},
        {l->mean.field, field},
        {l->sum.data, (size_t)(l->sum.rows * l->n) * sizeof(cel_real)},
        {l->square.data, (size_t)(l->square.rows * l->n) * sizeof(cel_real)},
        {l->rows.data, (size_t)(l->rows.rows * l->n) * sizeof(cel_real)},
        {l->place, 4 * (size_t)o->chains * sizeof(double)}};
    const int parts = sizeof kept / sizeof *kept;
    cel_status status = CEL_OK;
    *averaged = 0;
    if (celi_recall(o->keep, "likelihood", 0, kept, parts)) celi_learn_place(l, 1);
    else status = celi_learn_warm(l);
    for (t = report->steps; t < half + fall && !status; t++) {
        double rate = o->rate * (t < half ? 1 : 1 - (double)(t - half) / (double)fall), within, between;
        status = celi_learn_draw(l, o->sweeps);
        celi_learn_size(l->gap, &within, &between);
        report->trace.data[2 * t] = (cel_real)within;
        report->trace.data[2 * t + 1] = (cel_real)between;
        cel_mat_axpy(1, l->gap, l->sum);
        for (i = 0; i < l->gap.rows * l->n; i++) l->square.data[i] += l->gap.data[i] * l->gap.data[i];
        if ((t + 1) % CELI_LEARN_WINDOW == 0 && celi_learn_floor(l) && t < half && t + 1 >= o->steps / 4) {
            half = t + 1;
            report->floor = 1;
        }
        if (!status) status = celi_learn_move(l, rate);
        if (t >= half) {
            const cel_real part = (cel_real)(1 / (double)++*averaged);
            for (i = 0; i < l->mean.force.rows * l->n; i++)
                l->mean.force.data[i] += part * (l->model.force.data[i] - l->mean.force.data[i]);
            for (i = 0; i < l->n && o->field; i++)
                l->mean.field[i] += part * (l->model.field[i] - l->mean.field[i]);
        }
        report->steps = t + 1;
        celi_learn_place(l, 0);
        if (!status && ((t + 1) % CELI_LEARN_WINDOW == 0 || t + 1 == half + fall))
            status = celi_retain(o->keep, "likelihood", 0, kept, parts);
        if (!status) status = celi_tell(&o->progress, "likelihood", t + 1, half + fall, between > 0 ? between : within);
    }
    return status;
}

/* H a cell, of the observed tissue (drawn 0) or of the drawn one. */
static double celi_learn_energy(const celi_learn *l, int drawn)
{
    const int64_t n = l->n, w = l->seen.blocks * n + 1;
    int64_t r, i, j, b;
    double h = 0;
    for (r = 0; r < l->relations->count; r++)
        for (b = l->seen.block[r] * n, i = 0; i < n; i++)
            for (j = 0; j < n; j++) {
                double moment = l->seen.gram[(b + j) * w + i] / (double)l->cells;
                if (drawn) moment -= (double)l->gap.data[(b + j) * n + i];
                h += (double)l->model.force.data[(r * n + i) * n + j] * moment;
            }
    return h;
}

/* to (genes x genes) = B a B^T, transposed if asked for: a moment or a force in the genes' own coordinates. */
static cel_status celi_learn_lift(celi_learn *l, cel_mat a, int turned, cel_mat to)
{
    cel_mat half = cel_mat_block(l->lifted, 0, 0, l->genes, l->n);
    cel_status status;
    if (!l->basis.data) return turned ? cel_mat_transpose(a, to) : cel_mat_copy(a, to);
    status = cel_mat_gemm(0, turned, 1, l->basis, a, 0, half, &l->work);
    return status ? status : cel_mat_gemm(0, 1, 1, half, l->basis, 0, to, &l->work);
}

/* Batches of sweeps under the forces found: report->error, se and what they come to. Batches follow each other, so that
 * neighbouring ones are alike: how much, pooled over all moments, makes the error larger. So does the average of the
 * forces, which is one of `averaged` steps. */
static cel_status celi_learn_judge(celi_learn *l, int64_t averaged, cel_likelihood_report *report)
{
    const int64_t n = l->genes, R = l->relations->count, batches = CELI_LEARN_BATCHES;
    const int64_t length = l->o.check / batches;
    cel_mat now = celi_pool_mat(&l->pool, R * n, n), last = celi_pool_mat(&l->pool, R * n, n), m = report->error;
    double *trace = (double *)celi_pool_get(&l->pool, l->o.check, sizeof(double)), along = 0, all = 0, grow, rhat;
    double pairs = 0;
    int64_t k, t, r, i, j;
    cel_status status = l->pool.status;
    if (status) return status;
    for (k = 0; k < batches && !status; k++) {
        cel_mat_fill(l->sum, 0);
        for (t = 0; t < length && !status; t++) {
            status = celi_learn_draw(l, 1);
            trace[k * length + t] = celi_learn_energy(l, 1);
            cel_mat_axpy((cel_real)(1 / (double)length), l->gap, l->sum);
        }
        for (r = 0; r < R && !status; r++)
            status = celi_learn_lift(l, cel_mat_block(l->sum, l->seen.block[r] * l->n, 0, l->n, l->n), 1,
                                     cel_mat_block(now, r * n, 0, n, n));
        for (i = 0; i < R * n * n; i++) { /* the running mean, squares about it, and products of neighbours */
            double off = (double)(now.data[i] - m.data[i]), mean = (double)m.data[i] + off / (double)(k + 1);
            report->se.data[i] += (cel_real)(off * ((double)now.data[i] - mean));
            if (k) along += ((double)now.data[i] - mean) * ((double)last.data[i] - mean);
            m.data[i] = (cel_real)mean;
            last.data[i] = now.data[i];
        }
        if (!status) status = celi_tell(&l->o.progress, "check", k + 1, batches, trace[(k + 1) * length - 1]);
    }
    for (i = 0; i < R * n * n; i++) all += (double)report->se.data[i];
    /* Where the chain is slow a batch resembles the one before it, and the mean is worth fewer than there are. */
    grow = 1 + (all > 0 && along > 0 ? 2 * along / all : 0);
    /* A step's moments are one sweep's, and the falling rate gives late ones little weight: the average is worth about
     * half as many sweeps as it has steps. */
    if (averaged > 0) grow *= 1 + 2 * (double)(batches * length) / (double)averaged;
    for (r = 0; r < R; r++)
        for (i = 0; i < n; i++)
            for (j = 0; j < n; j++) {
                cel_real *se = report->se.data + (r * n + i) * n + j, e = m.data[(r * n + i) * n + j];
                *se = (cel_real)sqrt((double)*se / (double)(batches - 1) / (double)batches * grow);
                report->gap += (double)e * (double)e / (double)(R * n * n);
                report->noise += (double)*se * (double)*se / (double)(R * n * n);
                if (i == j) continue;
                pairs++;
                report->within += fabs((double)e) <= 2 * (double)*se;
            }
    report->gap = sqrt(report->gap);
    report->noise = sqrt(report->noise);
    report->within /= pairs;
    for (t = 0; t < batches * length; t++)
        report->energy += trace[t] / (double)(batches * length);
    return status ? status : cel_sample_diagnose(trace, 1, batches * length, &report->ess, &rhat);
}

/* Partial-correlation units, as of measured data (manual, section 6). A = F_0 / n - c I: on the sphere c is free; here
 * it is that at which the law's Gaussian form has the rows' length, c = 1/2 + H / n. */
static cel_status celi_learn_units(celi_learn *l, const cel_model *m, cel_mat *out)
{
    const int64_t n = l->genes;
    double dim = (double)l->n, c = 0.5 + celi_learn_energy(l, 0) / dim, *d, *v;
    celi_score sc = CEL_ZERO;
    celi_sums u = CEL_ZERO;
    int64_t r, i, j;
    sc.genes = n;
    u.base.sc = &sc;
    u.pull = celi_pool_mat(&l->pool, n, n);
    u.lines = (double *)celi_pool_get(&l->pool, 5 * n, sizeof(double));
    u.line = (cel_real *)celi_pool_get(&l->pool, 5 * n, sizeof(cel_real));
    d = (double *)celi_pool_get(&l->pool, 2 * n, sizeof(double));
    if (l->pool.status) return l->pool.status;
    v = d + n;
    for (i = 0; i < n; i++) {
        const double along = l->o.size ? l->o.size[i] : 0;
        d[i] = c * (1 - along * along) - (double)m->force.data[i * n + i] / dim;
        if (!(d[i] > 0)) return CEL_OK;
        d[i] = sqrt(d[i]);
        v[i] = along / d[i];
    }
    if (cel_mat_new(m->relations * n, n, out)) return CEL_ERR_MEMORY;
    for (r = 0; r < m->relations; r++) {
        cel_mat to = cel_model_part(*out, r), f = cel_model_force(m, r);
        for (i = 0; i < n; i++)
            for (j = 0; j < n; j++) {
                double one = r ? 0 : c * ((i == j ? 1 : 0) - (l->o.size ? l->o.size[i] * l->o.size[j] : 0));
                to.data[i * n + j] = (cel_real)(((double)f.data[i * f.stride + j] / dim - one) / (d[i] * d[j]));
            }
        if (l->o.size && !l->relations->at[r].wt) celi_size_gauge(&u, v, CELI_SIZE_ROUNDS, to);
    }
    return CEL_OK;
}

/* The average becomes the forces of now, is judged, and goes out in the genes' coordinates; so do the chains. */
static cel_status celi_learn_finish(celi_learn *l, int64_t averaged, cel_model *out, cel_likelihood_report *report)
{
    const int64_t n = l->genes;
    int64_t r, j;
    cel_status status = cel_model_new(n, l->relations->count, l->o.field, out);
    if (!status) status = cel_mat_copy(l->mean.force, l->model.force);
    if (status) return status;
    for (j = 0; j < l->n && l->o.field; j++) l->model.field[j] = l->mean.field[j];
    for (r = 0; r < l->relations->count && !status; r++) {
        status = celi_learn_lift(l, cel_model_force(&l->model, r), 0, cel_model_force(out, r));
        if (!l->relations->at[r].wt) cel_mat_symmetrise(cel_model_force(out, r));
    }
    if (!status && l->o.field && l->basis.data)
        status = cel_mat_gemm(0, 1, 1, cel_mat_view(l->model.field, 1, l->n), l->basis, 0,
                              cel_mat_view(out->field, 1, n), &l->work);
    for (j = 0; j < n && l->o.field && !l->basis.data; j++) out->field[j] = l->model.field[j];
    cel_model_gauge(out);
    report->acceptance = cel_sample_acceptance(l->chain[0]);
    report->step = cel_sample_step(l->chain[0]);
    if (!status && l->o.check >= CELI_LEARN_BATCHES) status = celi_learn_judge(l, averaged, report);
    if (!status && !l->o.domain.orthant) status = celi_learn_units(l, out, &report->partial);
    if (status || !l->o.chain.data) return status;
    return l->basis.data ? cel_mat_gemm(0, 1, 1, l->rows, l->basis, 0, l->o.chain, &l->work)
                         : cel_mat_copy(l->rows, l->o.chain);
}

CEL_API_DEF cel_status cel_likelihood_fit(const cel_relations *relations, cel_mat x,
                                          const cel_likelihood_options *options, cel_model *out,
                                          cel_likelihood_report *report, cel_error *err)
{
    celi_learn l = CEL_ZERO;
    cel_likelihood_options *o = &l.o;
    cel_likelihood_report own = CEL_ZERO;
    cel_mat seen = x;
    int64_t averaged = 0;
    cel_status status;
    memset(out, 0, sizeof *out);
    if (report) *report = own;
    if (err) memset(err, 0, sizeof *err);
    if (options) *o = *options;
    o->steps = o->steps ? o->steps : 150;
    o->sweeps = o->sweeps ? o->sweeps : 3;
    o->chains = o->chains ? o->chains : 1;
    o->warmup = o->warmup ? o->warmup : 50;
    o->check = o->check ? o->check : 120;
    o->rate = celi_or(o->rate, 0.2);
    l.relations = relations;
    l.genes = x.cols;
    l.cells = x.rows;
    l.n = x.cols - (o->size ? 1 : 0);
    status = celi_learn_check(&l, x, err);
    if (!status) status = celi_learn_start(&l, x, err);
    else o->chains = 0;
    if (!status && o->size) {
        seen = celi_pool_mat(&l.pool, x.rows, l.n);
        status = l.pool.status ? l.pool.status : cel_mat_gemm(0, 0, 1, x, l.basis, 0, seen, &l.work);
    }
    if (!status) status = cel_moments_new(l.n, relations, &l.seen);
    if (!status) status = cel_moments_new(l.n, relations, &l.drawn);
    if (!status) status = celi_learn_metric(&l, seen);
    if (!status) status = celi_learn_chains(&l, seen, err);
    if (!status) status = cel_mat_new(relations->count * x.cols, x.cols, &own.error);
    if (!status) status = cel_mat_new(relations->count * x.cols, x.cols, &own.se);
    if (!status) status = cel_mat_new(o->steps, 2, &own.trace);
    if (!status) status = celi_learn_run(&l, &own, &averaged);
    if (!status) status = celi_learn_finish(&l, averaged, out, &own);
    celi_learn_close(&l);
    if (status) cel_model_free(out);
    if (status && err && !err->status) /* else it was said where it was found */
        celi_note(err, status, status != CEL_ERR_NUMERIC ? cel_strerror(status)
                  : "the steps diverge, or genes or cells repeat each other: a lower rate or fewer genes may do");
    if (status || !report) cel_likelihood_report_free(&own);
    else *report = own;
    return status;
}

/* ======================================================================== */
/* perturb                                                                  */
/* ======================================================================== */

static int celi_adds(const cel_intervention *v) { return v->what == CEL_DO_ADD || v->what == CEL_DO_ADD_FREE; }

/* ---- interventions as text ---- */

/* Takes the character c where it is next, without blanks before it. */
static int celi_text_take(celi_cursor *t, char c)
{
    if (t->at >= t->end || t->p[t->at] != (unsigned char)c) return 0;
    t->at++;
    return 1;
}

/* A decimal number, read as in tables: as much of the text as can be part of one. */
static int celi_text_number(celi_cursor *t, double *out)
{
    size_t first;
    (void)celi_peek(t);
    for (first = t->at; t->at < t->end && memchr("+-.0123456789eE", t->p[t->at], 15);) t->at++;
    return celi_number((const char *)t->p + first, t->at - first, out);
}

/* An index below `bound`; a whole number out of range is taken too, as -1. */
static int celi_text_index(celi_cursor *t, int64_t bound, int64_t *out)
{
    double v;
    if (!celi_text_number(t, &v) || floor(v) < v) return 0;
    *out = v >= 0 && v < (double)bound ? (int64_t)v : -1;
    return 1;
}

/* The number of the name that stands here, in quotes or not: the longest that a comma or the end follows, because a
 * name may have commas itself. Without names, the number that stands here. -1: neither. */
static int64_t celi_text_name(celi_cursor *t, const char *const *names, int64_t count)
{
    size_t next = t->at, most = 0;
    int64_t i = -1, found = -1;
    int quoted = celi_peek(t) == '"';
    if (!names) return celi_text_index(t, count, &i) ? i : -1;
    for (i = 0; i < count; i++) {
        celi_cursor s = *t;
        size_t length = strlen(names[i]);
        s.at += (size_t)quoted;
        if (length < most || s.end - s.at < length || memcmp(s.p + s.at, names[i], length) != 0) continue;
        s.at += length;
        if (quoted && !celi_text_take(&s, '"')) continue;
        if (celi_peek(&s) && s.p[s.at] != ',') continue;
        found = i;
        most = length;
        next = s.at;
    }
    t->at = next;
    return found;
}

/* Takes the words and commas of a form up to its next capital or its end, and returns what is left of the form; NULL
 * where the text goes on otherwise. A word ends at a blank, so that "cells" is not "cell" and an s. */
static const char *celi_text_words(celi_cursor *t, const char *form)
{
    for (;;) {
        while (*form == ' ') form++;
        if (!*form || (*form >= 'A' && *form <= 'Z')) return form;
        (void)celi_peek(t);
        for (; *form && *form != ' '; form++)
            if (!celi_text_take(t, *form)) return NULL;
        if (form[-1] != ',' && t->at < t->end && !memchr(" \t\r\f", t->p[t->at], 4)) return NULL;
    }
}

/* x,y or x,y,z: whatever leaves as many commas in the line as there are in the rest of the form. */
static int celi_text_place(celi_cursor *t, const char *rest, double *place)
{
    int64_t d, dims = 1;
    size_t at;
    for (at = t->at; at < t->end; at++) dims += t->p[at] == ',';
    for (; *rest; rest++) dims -= *rest == ',';
    if (dims < 2 || dims > 3) return 0;
    for (d = 0; d < dims; d++)
        if ((d && !celi_text_words(t, ",")) || !celi_text_number(t, place + d)) return 0;
    return 1;
}

/* Reads what the capital at *form stands for: C and L a cell, T a type, G a gene, V a value, R a radius, P a place.
 * FORMAT where it is none, ARG and the reason in *wrong where it is one that cannot be. */
static cel_status celi_text_field(celi_cursor *t, const char *form, const cel_intervention_names *names,
                                  cel_intervention *v, const char **wrong)
{
    int64_t *cell = *form == 'L' ? &v->like : &v->cell;
    int read = 1, fits = 1;
    switch (*form) {
    case 'T':
        v->type = (int32_t)celi_text_name(t, names->types, names->types ? names->type_count : INT32_MAX);
        fits = v->type >= 0;
        *wrong = "unknown type";
        break;
    case 'G':
        v->gene = celi_text_name(t, names->genes, names->gene_count);
        fits = v->gene >= 0;
        *wrong = "unknown gene";
        break;
    case 'V':
        read = celi_text_number(t, &v->value);
        fits = celi_finite(v->value) && (names->any_value || fabs(v->value) <= 1);
        *wrong = "a value beyond 1, or not finite";
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
static cel_status celi_intervention_line(const cel_intervention_names *names, celi_cursor line, cel_intervention *v,
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
    celi_cursor t = line;
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
    if (!status && (!form || celi_peek(&t))) status = CEL_ERR_FORMAT;
    if (!status) return CEL_OK;
    return celi_fail(err, status, status == CEL_ERR_FORMAT ? "a line of no known form" : wrong, v->line,
                     v->who == CEL_WHO_CELLS && !celi_adds(v) ? v->cell : -1, v->gene);
}

CEL_API_DEF cel_status cel_intervention_parse(const char *text, size_t length, const cel_intervention_names *names,
                                              cel_intervention **out, int64_t *count, cel_error *err)
{
    cel_intervention *list;
    celi_cursor t = CEL_ZERO;
    int64_t line = 0, most = 1, k = 0;
    size_t at;
    cel_status status = CEL_OK;
    *out = NULL;
    *count = 0;
    for (at = 0; at < length; at++) most += text[at] == '\n';
    list = (cel_intervention *)celi_alloc((size_t)most, sizeof *list);
    if (!list) return celi_note(err, CEL_ERR_MEMORY, "reading interventions");
    t.p = (const unsigned char *)text;
    for (at = 0; at < length && !status; at++) {
        t.at = at;
        while (at < length && text[at] != '\n') at++;
        line++;
        for (t.end = t.at; t.end < at && text[t.end] != '#'; t.end++) {}
        if (!celi_peek(&t)) continue;
        list[k].line = line;
        status = celi_intervention_line(names, t, &list[k++], err);
    }
    if (status) {
        cel_intervention_free(list);
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

/* All that preparing needs, over the U = S + A observed and added cells. Three numberings meet here: ids (of the U
 * cells), local cells (those near enough to matter, ascending by id), and interventions (their place in the list).
 * Each step is a walk over one of them: check (list), mark (ids), hops (ids), local (ids to local), apply (list),
 * settle (local). */
typedef struct celi_prep {
    const cel_tissue *tissue;
    const cel_intervention *list;
    int64_t count, cells;           /* interventions; U */
    const cel_perturb_setup *setup; /* as given, or all-zero */
    const cel_relations *arm[2];    /* sham, of S cells; after, of U, or the same where no cell is added */
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
    const cel_real *place;
    double square = 0;
    int64_t d;
    if (v->who == CEL_WHO_TYPE) return tissue->type[i] == v->type;
    place = tissue->coords.data + i * tissue->coords.stride;
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
        int adds = celi_adds(v), all = !adds && v->who != CEL_WHO_CELLS, listed = !adds && !all && v->cells;
        int64_t cells = all ? c->p->observed : listed ? v->count : 1, hits = 0;
        for (i = 0; i < cells && !status; i++) {
            if (all && !celi_prep_inside(c->tissue, v, i)) continue;
            hits++;
            status = fn(c, k, adds ? added++ : all ? i : listed ? v->cells[i] : v->cell);
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
    if (v->what == CEL_DO_HOLD && !c->setup->scaling && !(fabs(v->value) <= 1))
        return celi_refuse(c, CEL_ERR_ARG, k, "a value beyond 1", v->cell, v->gene);
    if (adds && !c->setup->after)
        return celi_refuse(c, CEL_ERR_ARG, k, "an added cell without the relations after it is added", -1, -1);
    if (profile && !v->row && (v->like < 0 || v->like >= c->p->observed))
        return celi_refuse(c, CEL_ERR_ARG, k, "the profile of a cell out of range", v->like, -1);
    if (!adds && ((v->who == CEL_WHO_TYPE && !c->tissue->type) || (v->who == CEL_WHO_DISC && !c->tissue->coords.data)))
        return celi_refuse(c, CEL_ERR_ARG, k, "a tissue without the types or coordinates asked for", -1, -1);
    return CEL_OK;
}

/* Marks a cell as intervened on. Whether a gene is held twice shows only where the rows are. */
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

/* Breadth-first from the marked cells over the relations of both arms, whatever their direction: a removed cell acts
 * through the edges it had, an added one through those it gets. The queue is in the order of the hops. */
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

/* The part of A among the listed cells (count, ascending). map, of all of A's rows, is the list's inverse; cells of -1
 * have no entries, be they listed or not. A may have fewer rows than the list's last: the sham's has no added cells. */
static cel_status celi_csr_part(const cel_csr *a, const int32_t *list, int64_t count, const int32_t *map, cel_csr *out)
{
    int64_t i, e, total = 0;
    cel_status status;
    for (i = 0; i < count; i++)
        if (list[i] < a->rows) total += a->start[list[i] + 1] - a->start[list[i]];
    status = celi_csr_new(count, count, total, out);
    for (i = 0, total = 0; i < count && !status; i++) {
        int has = list[i] < a->rows && map[list[i]] >= 0;
        for (e = has ? a->start[list[i]] : 0; has && e < a->start[list[i] + 1]; e++) {
            if (map[a->index[e]] < 0) continue;
            out->index[total] = map[a->index[e]];
            out->value[total++] = a->value[e];
        }
        out->start[i + 1] = total;
    }
    return status;
}

/* All relations of an arm, restricted. */
static cel_status celi_relations_part(const cel_relations *from, const int32_t *list, int64_t count,
                                      const int32_t *map, cel_relations *to)
{
    int64_t r;
    cel_status status = cel_relations_new(count, to);
    for (r = 1; r < from->count && !status; r++) {
        cel_csr part;
        status = celi_csr_part(from->at[r].w, list, count, map, &part);
        if (!status) status = cel_relations_add(to, from->name[r], &part, NULL);
    }
    return status;
}

/* Chooses the local cells and describes them. The arms have the same cells, so that their rows can be subtracted; a
 * cell that an arm lacks stays there without relations. */
static cel_status celi_prep_local(celi_prep *c)
{
    cel_perturb *p = c->p;
    const cel_tissue *tissue = c->tissue;
    int64_t i, d, n = p->genes, S = p->observed, added = 0, dims = tissue->coords.data ? tissue->coords.cols : 0;
    int arm;
    cel_status status = CEL_OK;
    /* One ring more than may move: what a cell at the reach feels of its neighbours beyond must be there. */
    for (i = 0; i < c->cells; i++)
        c->map[i] = p->open || (c->hop[i] >= 0 && c->hop[i] - 1 <= p->reach) ? (int32_t)p->cells++ : -1;
    p->id = (int32_t *)celi_pool_get(&c->own, p->cells, sizeof *p->id);
    p->hop = (int32_t *)celi_pool_get(&c->own, p->cells, sizeof *p->hop);
    p->hold = (uint8_t *)celi_pool_get(&c->own, p->cells * n, 1);
    if (tissue->type) p->type = (int32_t *)celi_pool_get(&c->own, p->cells, sizeof *p->type);
    if (dims) p->coords = celi_pool_mat(&c->own, p->cells, dims);
    for (arm = 0; arm < 2; arm++) {
        p->present[arm] = (uint8_t *)celi_pool_get(&c->own, p->cells, 1);
        p->fixed[arm] = (uint8_t *)celi_pool_get(&c->own, p->cells, 1);
        p->start[arm] = celi_pool_mat(&c->own, p->cells, n);
        if (c->setup->scaling)
            p->cell[arm] = (cel_scaling_cell *)celi_pool_get(&c->own, p->cells, sizeof *p->cell[arm]);
    }
    if (c->own.status) return c->own.status;
    for (i = 0; i < c->cells; i++) {
        int64_t to = c->map[i];
        const cel_intervention *v = NULL;
        /* Every added cell is intervened on, hence local; the a-th is that of the a-th intervention that adds. */
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
        for (arm = 0; arm < 2 && p->cell[arm]; arm++)
            if (!v || !v->row) p->cell[arm][to] = c->setup->cell[v ? v->like : i];
    }
    for (arm = 0; arm < 2 && !status; arm++) {
        /* The queue is done with, and becomes the map of the cells that this arm has. */
        for (i = 0; i < c->cells; i++)
            c->queue[i] = c->map[i] >= 0 && p->present[arm][c->map[i]] ? c->map[i] : -1;
        status = celi_relations_part(c->arm[arm], p->id, p->cells, c->queue, &p->relations[arm]);
    }
    return status;
}

/* Does intervention k to its cell: what is held, and at what. Of several on one cell each may hold its own genes; a
 * free row is only where to start, and leaves what another one holds. */
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
        if (c->setup->scaling) { /* the values of genes held before stay as they are, their coordinates follow */
            int32_t gene = (int32_t)v->gene;
            cel_error inner = CEL_ZERO;
            cel_status status = cel_scaling_hold(c->setup->scaling, c->setup->unit, 1, &gene, &v->value, x,
                                                 &p->cell[1][local], &inner);
            return status ? celi_refuse(c, status, k, inner.what, cell, v->gene) : CEL_OK;
        }
        x[v->gene] = (cel_real)v->value;
        return CEL_OK;
    }
    if (v->row) scale = cel_vec_nrm2(row, n);
    if (!(scale > 0 && scale <= DBL_MAX))
        return celi_refuse(c, CEL_ERR_DATA, k, "a profile of zeros or not finite", cell, -1);
    for (g = 0; g < n; g++) {
        if (hold[g] && !free_row) return celi_refuse(c, CEL_ERR_ARG, k, "the same gene held twice in a cell", cell, g);
        if (!hold[g]) x[g] = (cel_real)((double)row[g] / scale);
        if (!free_row) hold[g] = 1;
    }
    if (p->cell[1] && !v->row) {
        p->cell[1][local].length = c->setup->cell[v->like].length;
        p->cell[1][local].size = c->setup->cell[v->like].size;
    }
    return CEL_OK;
}

/* Rescales the free values of a row (n) to length sqrt(1 - squares of the held ones), which makes the whole row one of
 * unit length again. Free values that are all zero have no direction: they become equal. */
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

/* A local cell after all that was done to it: its free part takes what length the held values leave, if any. Where they
 * leave none, to rounding, the whole row is held; and a row that is held whole must be of unit length itself, which a
 * profile is. */
static cel_status celi_prep_settle(celi_prep *c, int64_t i)
{
    cel_perturb *p = c->p;
    int64_t g, n = p->genes, held = 0, k = c->by[i];
    uint8_t *hold = p->hold + i * n;
    cel_real *row = p->start[1].data + i * n;
    int remote = !p->open && (p->hop[i] < 0 || p->hop[i] > p->reach);
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
    p->fixed[0][i] = (uint8_t)(remote || !p->present[0][i]);
    p->fixed[1][i] = (uint8_t)(remote || !p->present[1][i] || held == n);
    /* The sham has no such cell, but its rows are rows too. */
    if (!p->present[0][i]) memcpy(p->start[0].data + i * n, row, (size_t)n * sizeof *row);
    return CEL_OK;
}

/* The rows of both arms, what is held, and who moves. Both arms start at the observed rows, so that they differ by what
 * is done and by nothing else; only rows that are used are checked. */
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
    cel_mat_copy(p->start[0], p->start[1]);
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
    if (t->x.cols != model->genes || (c->setup->scaling && c->setup->scaling->genes != model->genes) ||
        (t->coords.data && (t->coords.rows != t->x.rows || t->coords.cols > 3)))
        return celi_refuse(c, CEL_ERR_SHAPE, -1, "expression, coordinates and model do not fit", -1, -1);
    if (celi_relations_fit(c->arm[0], model, t->x.rows) ||
        celi_relations_fit(c->arm[1], model, c->p->added && c->setup->after ? c->cells : t->x.rows))
        return celi_refuse(c, CEL_ERR_SHAPE, -1, "relations, cells and model do not fit", -1, -1);
    if (c->count < 1 || t->x.rows < 1 || c->cells > INT32_MAX || c->count > INT32_MAX)
        return celi_refuse(c, CEL_ERR_DATA, -1, "no intervention, or no cell", -1, -1);
    for (k = 0; k < c->count && !status; k++) status = celi_prep_check(c, k);
    c->mark = (uint8_t *)celi_pool_get(&c->scratch, c->cells, 1);
    c->hop = (int32_t *)celi_pool_get(&c->scratch, c->cells, sizeof *c->hop);
    c->queue = (int32_t *)celi_pool_get(&c->scratch, c->cells, sizeof *c->queue);
    c->map = (int32_t *)celi_pool_get(&c->scratch, c->cells, sizeof *c->map);
    c->by = (int32_t *)celi_pool_get(&c->scratch, c->cells, sizeof *c->by);
    return status ? status : celi_note(c->err, c->scratch.status, celi_preparing);
}

CEL_API_DEF cel_status cel_perturb_new(const cel_model *model, const cel_tissue *tissue, const cel_intervention *list,
                                       int64_t count, const cel_perturb_setup *setup, cel_perturb *out, cel_error *err)
{
    const cel_perturb_setup standard = CEL_ZERO;
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
    c.setup = setup ? setup : &standard;
    c.arm[0] = tissue->relations;
    c.arm[1] = out->added && c.setup->after ? c.setup->after : tissue->relations;
    c.p = out;
    c.err = err;
    status = celi_prep_begin(&c);
    if (!status) status = celi_prep_each(&c, celi_prep_mark);
    if (!status) {
        celi_prep_hops(&c);
        status = celi_note(err, celi_prep_local(&c), celi_preparing);
    }
    if (!status) status = celi_prep_rows(&c);
    celi_pool_free(&c.scratch);
    out->memory = c.own.last;
    if (status) cel_perturb_free(out);
    return status;
}

CEL_API_DEF void cel_perturb_free(cel_perturb *p)
{
    if (!p) return;
    cel_relations_free(&p->relations[0]);
    cel_relations_free(&p->relations[1]);
    celi_chain_free(p->memory);
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
    int32_t *colour;        /* (L) of the relations of both arms together */
    cel_work work;
    cel_error *err;         /* cells as of p; the caller's come last */
} celi_effect_run;

static int celi_both(const cel_perturb *p, int64_t i) { return p->present[0][i] && p->present[1][i]; }

/* An empty table of a grouping. Behind q is room for the sums of one repeat, as large as each of the five. */
static cel_status celi_effect_table_new(celi_effect_run *run, const cel_grouping *by, cel_effect_table *t)
{
    const cel_perturb *p = run->p;
    int64_t i, size;
    t->groups = by->groups;
    t->genes = p->genes;
    t->columns = p->genes + (run->o->sets.data ? run->o->sets.rows : 0);
    size = t->groups * t->columns;
    t->cells = (int64_t *)celi_pool_get(&run->own, t->groups, sizeof *t->cells);
    t->mean = (double *)celi_pool_get(&run->own, size, 6 * sizeof *t->mean);
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

/* An empty effect with its tables. */
static cel_status celi_effect_new(celi_effect_run *run)
{
    const cel_perturb *p = run->p;
    cel_effect *e = run->e;
    int64_t t;
    cel_status status;
    e->after = celi_pool_mat(&run->own, p->cells, p->genes);
    e->sham = celi_pool_mat(&run->own, p->cells, p->genes);
    e->mean = celi_pool_mat(&run->own, p->cells, p->genes);
    e->se = celi_pool_mat(&run->own, p->cells, p->genes);
    e->tables = run->o->groupings;
    e->table = (cel_effect_table *)celi_pool_get(&run->own, e->tables, sizeof *e->table);
    status = run->own.status;
    for (t = 0; t < e->tables && !status; t++)
        status = celi_effect_table_new(run, &run->o->grouping[t], &e->table[t]);
    return status;
}

/* A repeat's average differences of each group into its table: running mean, and sum of squared deviations. A set's
 * value is a weighted sum of the genes' averages, so that it has the error of its own sum, correlations included. */
static void celi_effect_add_table(celi_effect_run *run, const cel_mat *arm, int64_t which, double share)
{
    const cel_perturb *p = run->p;
    cel_effect_table *table = &run->e->table[which];
    const int32_t *label = run->o->grouping[which].label;
    cel_mat sets = run->o->sets;
    int64_t i, g, k, n = p->genes, size = table->groups * table->columns;
    double *sums = table->q + size;
    memset(sums, 0, (size_t)size * sizeof *sums);
    for (i = 0; i < p->cells; i++) {
        double *sum;
        if (label[i] < 0 || !celi_both(p, i)) continue;
        sum = sums + label[i] * table->columns;
        for (g = 0; g < n; g++) sum[g] += (double)arm[1].data[i * n + g] - (double)arm[0].data[i * n + g];
    }
    for (k = 0; k < table->groups; k++) {
        double *sum = sums + k * table->columns;
        for (g = 0; g < n && table->cells[k]; g++) sum[g] /= (double)table->cells[k];
        for (g = n; g < table->columns; g++)
            for (i = 0; i < n; i++) sum[g] += (double)sets.data[(g - n) * sets.stride + i] * sum[i];
    }
    for (k = 0; k < size; k++) {
        double step = sums[k] - table->mean[k];
        table->mean[k] += step * share;
        table->se[k] += step * (sums[k] - table->mean[k]);
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

/* A table's errors and tests from its sums of squares; scale NaN without repeats. A difference that is the same in all
 * repeats, as of a held gene, has no error, and an infinite z. */
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

/* Errors and tests from the sums of squares, and the sizes of it all. scale makes of a sum of squared deviations the
 * square of the error of the mean. */
static cel_status celi_effect_finish(celi_effect_run *run)
{
    const cel_perturb *p = run->p;
    cel_effect *e = run->e;
    int64_t i, g, t, n = p->genes;
    double scale = e->repeats > 1 ? 1.0 / ((double)e->repeats * (double)(e->repeats - 1)) : (double)NAN;
    double all = 0, remote = 0;
    cel_status status = CEL_OK;
    for (i = 0; i < p->cells; i++)
        for (g = 0; g < n; g++) {
            int64_t at = i * n + g;
            double d = (double)e->mean.data[at], m = (double)(e->after.data[at] - p->start[1].data[at]);
            double s = (double)(e->sham.data[at] - p->start[0].data[at]);
            e->se.data[at] = (cel_real)sqrt((double)e->se.data[at] * scale);
            all += fabs(d);
            if (p->hop[i] < 0 || p->hop[i] > p->reach) remote += fabs(d);
            e->size += d * d;
            if (p->present[1][i]) e->moved += m * m;
            if (p->present[0][i]) e->drift += s * s;
        }
    e->beyond = all > 0 ? remote / all : 0;
    e->size = sqrt(e->size);
    e->moved = sqrt(e->moved);
    e->drift = sqrt(e->drift);
    for (t = 0; t < e->tables && !status; t++) status = celi_effect_test(&e->table[t], e->repeats, scale);
    return status;
}

/* ---- methods without repeats: the arms are e->sham and e->after ---- */

/* v becomes tangent: 0 where mask is set, and in each row orthogonal to the free part of x, which only turns on its
 * sphere. lambda (L, or NULL) receives x.v / x.x over the free part as v was: of a gradient, the multiplier of the
 * sphere. */
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
 * lambda_i = x_i . (dH/dx_i) / |x_i|^2: the second term is the bending of the sphere, the pull that keeps the cell on
 * it. Products keep to the tangent space, and so does every step. Where the curvature is not negative the step so far
 * has to do. */
static cel_status celi_newton_solve(celi_effect_run *run, const uint8_t *mask, const double *lambda, cel_mat x,
                                    cel_mat r, cel_mat v, cel_mat d, cel_mat a)
{
    enum { CELI_STEPS = 1000 };
    cel_model plain = *run->p->model;
    int64_t i, g, n = x.cols, k;
    double first = cel_mat_dot(r, r), rr = first, next, curve, enough = sizeof(cel_real) == 4 ? 1e-9 : 1e-18;
    plain.field = NULL;
    cel_mat_copy(r, d);
    for (k = 0; k < CELI_STEPS && rr > first * enough; k++) {
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

/* One Newton step of the intervened arm from x, in place, on the tangent space of the free parts: with the gradient r
 * there, v solves r + Hess v = 0, x becomes x + v, and rows go back to their spheres. What cannot move is masked in all
 * of these, as if it were not a variable. On the orthant what is at the bound and pushed against it stays there. */
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

/* The published generator for the cells that an arm has, from where the arm starts, into x. It knows no cell that does
 * not count, so that its rows and relations are those of the cells present, closed up: list is their inverse. */
static cel_status celi_effect_paper(celi_effect_run *run, int arm, cel_mat x)
{
    const cel_perturb *p = run->p;
    int64_t i, count = 0, n = p->genes;
    celi_pool pool = CEL_ZERO;
    int32_t *list = (int32_t *)celi_pool_get(&pool, p->cells, sizeof *list);
    int32_t *map = (int32_t *)celi_pool_get(&pool, p->cells, sizeof *map);
    cel_relations relations = CEL_ZERO;
    cel_mat rows = celi_pool_mat(&pool, p->cells, n);
    cel_status status = pool.status;
    for (i = 0; i < p->cells && !status; i++) {
        map[i] = p->present[arm][i] ? (int32_t)count : -1;
        if (map[i] < 0) continue;
        memcpy(rows.data + count * n, p->start[arm].data + i * n, (size_t)n * sizeof *rows.data);
        list[count++] = (int32_t)i;
    }
    rows.rows = count;
    if (!status) status = celi_relations_part(&p->relations[arm], list, count, map, &relations);
#if defined(CELI_PUBLISHED)
    if (!status) status = celi_paper_relax(p->model, &relations, run->o->paper, rows, run->err);
    if (status && run->err->cell >= 0 && run->err->cell < count) run->err->cell = list[run->err->cell];
#else
    if (!status) status = celi_note(run->err, CEL_ERR_UNSUPPORTED, "built without the published method");
#endif
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

/* The relaxed sham with the intervention imposed, the intervened rows relaxed, and one Newton step of all. The sham is
 * at a maximum, so that its gradient is 0 and the step is the response to the intervention alone. */
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

/* Both arms by a method without repeats: the sham first, from whose end LINEAR goes on. */
static cel_status celi_effect_once(celi_effect_run *run)
{
    const cel_perturb *p = run->p;
    cel_mat x[2];
    int arm;
    cel_status status = CEL_OK;
    x[0] = run->e->sham;
    x[1] = run->e->after;
    for (arm = 0; arm < 2; arm++) cel_mat_copy(p->start[arm], x[arm]);
    for (arm = 0; arm < 2 && !status; arm++) {
        if (run->o->method == CEL_METHOD_PAPER) status = celi_effect_paper(run, arm, x[arm]);
        else if (run->o->method == CEL_METHOD_LINEAR && arm) status = celi_effect_linear(run, x[0], x[1]);
        else status = celi_effect_ascend(run, arm, p->fixed[arm], x[arm]);
        if (!status) status = celi_tell(&run->o->progress, "perturb", arm + 1, 2, 0);
    }
    for (arm = 0; arm < 2 && !status; arm++)
        status = cel_model_energy(p->model, &p->relations[arm], x[arm], &run->e->energy[arm], NULL,
                                  cel_mat_none(), &run->work);
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

/* Both arms of a repeat: their means over the sweeps after the warm-up. One arm after the other: the stream is started
 * anew, and the sweeps count from 0, so that the second draws what the first drew. */
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

/* The step that the sham adapts, for both arms: were each to adapt its own, they would not make the same moves. x is
 * scratch. */
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
 * Where the intervention is not felt the arms then make the same moves, and their difference is 0 without noise; what
 * is left is the effect. Threads take whole repeats unless the tissue is large; what they found is taken in by the
 * number of the repeat, so that the sums are the same for any number of threads. */
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
            if (!status) status = celi_tell(&o->progress, "perturb", repeat + k + 1, o->repeats, 0);
        }
    }
    for (k = 0; k < 2 * lanes && lane; k++) cel_sample_free(lane[k / 2].sampler[k % 2]);
    return status;
}

/* Everything after the options: with inner errors, which count cells as p does. The colours are of the relations of
 * both arms together, for two arms that visit their cells in different orders would not make the same moves. */
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
        return celi_note(err, CEL_ERR_ARG, "options of a perturbation");
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
    if (!inner.status) celi_note(&inner, status, "the effect of a perturbation");
    /* The caller knows the cells of the tissue, not those of the prepared part. */
    if (inner.cell >= 0 && inner.cell < p->cells) inner.cell = p->id[inner.cell];
    if (err) *err = inner;
    return status;
}

CEL_API_DEF void cel_effect_free(cel_effect *e)
{
    if (!e) return;
    celi_chain_free(e->memory);
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
