/* A sampler's sweep beside the matrix product, on its operation count. sample [quick]   SPDX-License-Identifier: MIT */
#include "bench.h"

typedef struct chain {
    char name[80];
    int64_t cells, genes;
    cel_relations relations;
    cel_model model;
    cel_sample *sampler;
    cel_mat x;
    double operations;
} chain;

#define MOVES 6

static void sweep_fn(void *context)
{
    chain *c = (chain *)context;
    check(cel_sample_sweep(c->sampler, c->x), "sweep");
}
static void new_chain(int64_t cells, int64_t genes, int orthant, chain *c)
{
    cel_sample_options o;
    cel_mat points = new_points(cells, 7);
    cel_rng rng = cel_rng_at(3, 0, 0, 0);
    int64_t i;
    memset(c, 0, sizeof *c);
    memset(&o, 0, sizeof o);
    o.moves = MOVES;
    o.domain.orthant = orthant;
    c->cells = cells;
    c->genes = genes;
    c->relations = new_relations(points, CEL_WEIGHTS_MEAN);
    check(cel_model_new(genes, 2, 0, &c->model), "a model");
    cel_rng_normals(&rng, c->model.force.data, 2 * genes * genes);
    for (i = 0; i < genes * genes; i++) c->model.force.data[genes * genes + i] /= 6;
    check(cel_mat_symmetrise(cel_model_force(&c->model, 0)), "symmetrise");
    check(cel_mat_symmetrise(cel_model_force(&c->model, 1)), "symmetrise");
    c->x = new_mat(cells, genes);
    cel_sample_uniform(1, 0, orthant, c->x);
    check(cel_sample_new(&c->model, &c->relations, &o, &c->sampler, NULL), "a sampler");
    for (i = 0; i < (orthant ? 0 : 50); i++) sweep_fn(c); /* the warm-up */
    /* A cell's field, and a product with F + F^T at the start and after every leapfrog step; the sparse product. */
    c->operations = 2.0 * (double)(MOVES + 2) * (double)cells * (double)genes * (double)genes +
                    2.0 * (double)cel_csr_count(c->relations.at[1].w) * (double)genes;
    /* On the orthant a pair's turn moves the gradient along two rows of F + F^T, n / 2 pairs a round. */
    if (orthant)
        c->operations = (2.0 * 2.0 + 2.0 * MOVES) * (double)cells * (double)genes * (double)genes +
                        2.0 * (double)cel_csr_count(c->relations.at[1].w) * (double)genes;
    snprintf(c->name, sizeof c->name, "sampler sweep%s %ld cells x %ld genes", orthant ? " orthant" : "", (long)cells,
             (long)genes);
    cel_mat_free(&points);
}
static double same_bits(int64_t cells, int64_t genes)
{
    chain a, b;
    int same;
    set_threads(1);
    new_chain(cells, genes, 0, &a);
    set_threads(2);
    new_chain(cells, genes, 0, &b);
    same = !memcmp(a.x.data, b.x.data, (size_t)(cells * genes) * sizeof(cel_real));
    cel_sample_free(a.sampler);
    cel_sample_free(b.sampler);
    return same;
}

int main(int argc, char **argv)
{
    int quick = argc > 1 && !strcmp(argv[1], "quick"), count = 0, k, threads;
    bench_case list[16];
    bench_gemm product = new_gemm(quick ? 512 : 2048, 0);
    chain c[3];
    char name[80];
    for (threads = 1; threads <= THREADS; threads++) {
        set_threads(threads);
        add_gemm(list, &count, &product, threads);
        if (threads == 1) {
            set_threads(THREADS); /* a sampler has scratch for the threads that it was made with */
            new_chain(quick ? 600 : 2500, quick ? 60 : 500, 0, c);
            new_chain(quick ? 2000 : 20000, 100, 0, c + 1);
            new_chain(quick ? 600 : 2500, 100, 1, c + 2);
        }
        for (k = 0; k < 3; k++) {
            snprintf(name, sizeof name, "%.60s %s", c[k].name, threads_name(threads));
            add_case(list, &count, name, "GFLOP/s", 1e-9 * c[k].operations, sweep_fn, c + k, threads, CEL_LEVEL_AVX512);
        }
    }
    run_cases(list, count);
    print_groups(list, count, 4);
    print_line("same bits 1 and 2 threads sampler", same_bits(quick ? 300 : 1000, 60), "yes", NULL, 0);
    return 0;
}
