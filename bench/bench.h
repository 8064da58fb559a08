/* What the benchmark programs share: cases timed in turns, five rounds, the median; CSV lines
 *     figure,value,unit,peer,peer_value,ratio
 * where a ratio above 1 means that we are faster: peer / ours of seconds, ours / peer of rates.
 * SPDX-License-Identifier: MIT */
#ifndef BENCH_H
#define BENCH_H

#if !defined(BENCH_LINKED) /* else the implementation is an object of its own */
#define CELCOMEN_IMPLEMENTATION
#endif
#include "celcomen.h"

#include "clock.h"

#if defined(_OPENMP)
#include <omp.h>
#define OMP_PARALLEL _Pragma("omp parallel")
#else
#define OMP_PARALLEL
#endif

#if defined(CELCOMEN_DOUBLE)
#define REAL "double"
#else
#define REAL "float"
#endif

/* work operations or bytes a call, in units of `unit` a second; 0: the figure is seconds. */
typedef struct bench_case {
    char name[80];
    const char *unit;
    double work;
    void (*fn)(void *context);
    void *context;
    int threads;
    cel_level cap;
    double value; /* the answer */
} bench_case;

static void check(cel_status status, const char *what)
{
    if (status == CEL_OK) return;
    fprintf(stderr, "bench: %s: %s\n", what, cel_strerror(status));
    exit(1);
}
static void *get(int64_t count, size_t size)
{
    void *p = calloc((size_t)(count > 0 ? count : 1), size);
    if (!p) check(CEL_ERR_MEMORY, "memory");
    return p;
}
static CEL_UNUSED cel_mat new_mat(int64_t rows, int64_t cols)
{
    cel_mat a;
    check(cel_mat_new(rows, cols, &a), "a matrix");
    return a;
}
static CEL_UNUSED void set_threads(int threads)
{
#if defined(_OPENMP)
    omp_set_num_threads(threads);
#else
    (void)threads;
#endif
}

static CEL_UNUSED const char *threads_name(int threads) { return threads > 1 ? "2 threads" : "1 thread"; }
static CEL_UNUSED bench_case *add_case(bench_case *list, int *count, const char *name, const char *unit, double work,
                                       void (*fn)(void *), void *context, int threads, cel_level cap)
{
    bench_case *c = list + (*count)++;
    memset(c, 0, sizeof *c);
    snprintf(c->name, sizeof c->name, "%s", name);
    c->unit = unit;
    c->work = work;
    c->fn = fn;
    c->context = context;
    c->threads = threads;
    c->cap = cap;
    return c;
}

/* Short cases are repeated until a turn takes 20 ms; a first call, not counted, warms up. Every round visits all cases,
 * so that a slow moment of the machine falls on all alike. */
static CEL_UNUSED void run_cases(bench_case *list, int count)
{
    double *time = (double *)get(count * ROUNDS, sizeof *time);
    int64_t *repeats = (int64_t *)get(count, sizeof *repeats), i;
    int k, round;
    for (round = -1; round < ROUNDS; round++)
        for (k = 0; k < count; k++) {
            bench_case *c = list + k;
            double start;
            set_threads(c->threads);
            cel_level_cap(c->cap);
            if (round < 0) {
                c->fn(c->context);
                start = clock_of(c->threads);
                c->fn(c->context);
                repeats[k] = 1 + (int64_t)(0.02 / (clock_of(c->threads) - start + 1e-9));
                continue;
            }
            start = clock_of(c->threads);
            for (i = 0; i < repeats[k]; i++) c->fn(c->context);
            time[k * ROUNDS + round] = (clock_of(c->threads) - start) / (double)repeats[k];
        }
    for (k = 0; k < count; k++) {
        double t = median(time + k * ROUNDS, ROUNDS);
        list[k].value = list[k].work > 0 ? list[k].work / t : t;
    }
    free(time);
    free(repeats);
    cel_level_cap(CEL_LEVEL_AVX512);
    set_threads(THREADS);
}

/* peer NULL: none (run.sh may find one). */
static void print_line(const char *name, double value, const char *unit, const char *peer, double peer_value)
{
    double ratio = strcmp(unit, "s") ? value / peer_value : peer_value / value;
    if (peer) printf("%s,%.6g,%s,%s,%.6g,%.4g\n", name, value, unit, peer, peer_value, ratio);
    else printf("%s,%.6g,%s,,,\n", name, value, unit);
    fflush(stdout);
}
static CEL_UNUSED void print_case(const bench_case *c, const bench_case *peer)
{
    print_line(c->name, c->value, c->unit, peer ? peer->name : NULL, peer ? peer->value : 0);
}

/* Cases in groups: the first of each is what the machine can do, the others stand beside it, and in seconds. */
static CEL_UNUSED void print_groups(const bench_case *list, int count, int group)
{
    char name[80];
    int k;
    for (k = 0; k < count; k++) {
        const bench_case *first = list + k - k % group;
        print_case(list + k, k % group ? first : NULL);
        snprintf(name, sizeof name, "%.60s seconds", list[k].name);
        if (k % group) print_line(name, list[k].work / list[k].value, "s", NULL, 0);
    }
}

/* ---- what the machine can do ---- */

typedef struct bench_copy { cel_real *from, *to; int64_t count; } bench_copy;

/* A copy of the whole, a part a thread; it moves 2 count sizeof(cel_real) bytes. */
static CEL_UNUSED void copy_fn(void *context)
{
    bench_copy *c = (bench_copy *)context;
    OMP_PARALLEL
    {
        int64_t part = 0, parts = 1, first, last;
#if defined(_OPENMP)
        part = omp_get_thread_num();
        parts = omp_get_num_threads();
#endif
        first = c->count * part / parts;
        last = c->count * (part + 1) / parts;
        memcpy(c->to + first, c->from + first, (size_t)(last - first) * sizeof(cel_real));
    }
}
static CEL_UNUSED bench_copy new_copy(int64_t bytes)
{
    bench_copy c;
    c.count = bytes / (int64_t)sizeof(cel_real);
    c.from = (cel_real *)get(c.count, sizeof(cel_real));
    c.to = (cel_real *)get(c.count, sizeof(cel_real));
    memset(c.from, 1, (size_t)c.count * sizeof(cel_real));
    memset(c.to, 1, (size_t)c.count * sizeof(cel_real));
    return c;
}

static CEL_UNUSED bench_case *add_copy(bench_case *list, int *count, bench_copy *c, int threads)
{
    char name[80];
    snprintf(name, sizeof name, "memory copy %s", threads_name(threads));
    return add_case(list, count, name, "GB/s", 2e-9 * (double)c->count * sizeof(cel_real), copy_fn, c, threads,
                    CEL_LEVEL_AVX512);
}

typedef struct bench_gemm { cel_mat a, b, c; cel_work work; int syrk; } bench_gemm;

static CEL_UNUSED bench_gemm new_gemm(int64_t n, int syrk)
{
    bench_gemm g;
    cel_rng rng = cel_rng_at(1, 0, 0, 0);
    memset(&g, 0, sizeof g);
    g.a = new_mat(n, n);
    g.b = new_mat(n, n);
    g.c = new_mat(n, n);
    g.syrk = syrk;
    cel_rng_normals(&rng, g.a.data, n * n);
    cel_rng_normals(&rng, g.b.data, n * n);
    return g;
}
static CEL_UNUSED void gemm_fn(void *context)
{
    bench_gemm *g = (bench_gemm *)context;
    if (g->syrk) check(cel_mat_syrk(1, 1, g->a, 0, g->c, &g->work), "syrk");
    else check(cel_mat_gemm(0, 0, 1, g->a, g->b, 0, g->c, &g->work), "gemm");
}

/* The rate of a large product, which other figures are measured against. */
static CEL_UNUSED bench_case *add_gemm(bench_case *list, int *count, bench_gemm *g, int threads)
{
    char name[80];
    double n = (double)g->a.rows;
    snprintf(name, sizeof name, "gemm %s %s n=%.0f", REAL, threads_name(threads), n);
    return add_case(list, count, name, "GFLOP/s", 2e-9 * n * n * n, gemm_fn, g, threads, CEL_LEVEL_AVX512);
}

/* ---- tissue ---- */

/* S points uniform on the unit square, S x 2. */
static CEL_UNUSED cel_mat new_points(int64_t cells, uint64_t seed)
{
    cel_mat a = new_mat(cells, 2);
    cel_rng rng = cel_rng_at(seed, 1, 0, 0);
    int64_t i;
    for (i = 0; i < 2 * cells; i++) a.data[i] = (cel_real)cel_rng_uniform(&rng);
    return a;
}
/* Expression as of a slide: rates with gene means over three decades and 8 programmes that vary over space, Poisson
 * counts, scaled, log1p, unit rows. */
static CEL_UNUSED cel_mat new_slide(cel_mat coords, int64_t genes, uint64_t seed)
{
    int64_t cells = coords.rows, i, j, k;
    cel_mat x = new_mat(cells, genes), load = new_mat(8, genes);
    cel_rng rng = cel_rng_at(seed, 2, 0, 0);
    cel_rng_normals(&rng, load.data, 8 * genes);
    for (i = 0; i < cells; i++) {
        const cel_real *p = coords.data + i * coords.stride;
        cel_real *row = x.data + i * x.stride;
        double act[8];
        cel_rng draw = cel_rng_at(seed, 3, (uint32_t)i, 0);
        for (k = 0; k < 8; k++)
            act[k] = 0.3 * cel_rng_normal(&draw) + 0.6 * sin((double)p[0] * (double)(4 + 3 * k) + (double)k) *
                                                        cos((double)p[1] * (double)(31 - 3 * k));
        for (j = 0; j < genes; j++) {
            double rate = log(10.0) * (-2.0 + 3.0 * (double)(j * 7919 % genes) / (double)genes), limit, p1 = 1;
            for (k = 0; k < 8; k++) rate += 0.5 * act[k] * (double)load.data[k * genes + j];
            limit = exp(-exp(rate < 3.4 ? rate : 3.4));
            for (k = -1; p1 > limit; k++) p1 *= 1 - cel_rng_uniform(&draw);
            row[j] = (cel_real)(k < 0 ? 0 : k);
        }
        row[i % genes] += 1;
    }
    check(cel_slide_scale(x, NULL, NULL), "scale");
    check(cel_slide_unit(x, NULL, NULL, NULL), "unit rows");
    cel_mat_free(&load);
    return x;
}
/* The identity and the 6 nearest neighbours. */
static CEL_UNUSED cel_relations new_relations(cel_mat coords, cel_weights weights)
{
    cel_relations_options o = CEL_ZERO;
    cel_relations r;
    cel_csr graph;
    o.weights = weights;
    check(cel_graph_knn(coords, NULL, 6, 0, &graph, NULL), "graph");
    check(cel_relations_from_graph(&graph, &o, &r, NULL), "relations");
    cel_csr_free(&graph);
    return r;
}
static CEL_UNUSED const char *in_folder(const char *folder, const char *name)
{
    static char path[4][1024];
    static int turn;
    turn = (turn + 1) % 4;
    snprintf(path[turn], sizeof path[turn], "%s/%s", folder, name);
    return path[turn];
}
#endif
