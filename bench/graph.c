/* Neighbour graphs, the sparse product, and how cost grows with the number of cells. graph FOLDER [quick]
 * FOLDER receives points.npy, graph.npz and graph_curve.npz, for the peers. SPDX-License-Identifier: MIT */
#include "bench.h"

typedef struct knn { cel_mat points; cel_csr out; } knn;

static void knn_fn(void *context)
{
    knn *k = (knn *)context;
    cel_csr_free(&k->out);
    check(cel_graph_knn(k->points, NULL, 6, 0, &k->out, NULL), "neighbours");
}

typedef struct spmm { const cel_csr *w; cel_mat x, y; } spmm;

static void spmm_fn(void *context)
{
    spmm *s = (spmm *)context;
    check(cel_csr_mul(1, s->w, s->x, 0, s->y), "sparse product");
}
/* X read once, Y written once, W read once. */
static double spmm_bytes(const cel_csr *w, int64_t cols)
{
    return (double)(w->rows + w->cols) * (double)cols * sizeof(cel_real) +
           (double)cel_csr_count(w) * (sizeof(cel_real) + sizeof(int32_t)) + (double)w->rows * sizeof(int64_t);
}

typedef struct passes {
    cel_mat x;
    cel_relations relations;
    cel_moments moments;
    cel_model model;
    cel_sample *sampler;
    cel_work work;
} passes;

static void moments_fn(void *context)
{
    passes *p = (passes *)context;
    check(cel_moments_add(&p->moments, &p->relations, p->x, NULL, 0, &p->work), "moments");
}
static void sweep_fn(void *context)
{
    passes *p = (passes *)context;
    check(cel_sample_sweep(p->sampler, p->x), "sweep");
}
static void new_passes(cel_mat points, int64_t genes, passes *p)
{
    cel_sample_options o;
    cel_rng rng = cel_rng_at(3, 0, 0, 0);
    memset(p, 0, sizeof *p);
    memset(&o, 0, sizeof o);
    p->relations = new_relations(points, CEL_WEIGHTS_MEAN);
    p->x = new_mat(points.rows, genes);
    cel_sample_uniform(1, 0, 0, p->x);
    check(cel_moments_new(genes, &p->relations, &p->moments), "moments");
    check(cel_model_new(genes, 2, 0, &p->model), "a model");
    cel_rng_normals(&rng, p->model.force.data, 2 * genes * genes);
    check(cel_mat_symmetrise(cel_model_force(&p->model, 0)), "symmetrise");
    check(cel_mat_symmetrise(cel_model_force(&p->model, 1)), "symmetrise");
    o.step = 0.1;
    check(cel_sample_new(&p->model, &p->relations, &o, &p->sampler, NULL), "a sampler");
}
static void free_passes(passes *p)
{
    cel_sample_free(p->sampler);
    cel_model_free(&p->model);
    cel_moments_free(&p->moments);
    cel_mat_free(&p->x);
    cel_relations_free(&p->relations);
    cel_work_free(&p->work);
}

/* Slope of log time on log cells, by least squares. */
static double exponent(const double *cells, const bench_case *list, int step, int count)
{
    double mx = 0, my = 0, xy = 0, xx = 0;
    int k;
    for (k = 0; k < count; k++) {
        mx += log(cells[k]) / count;
        my += log(list[k * step].value) / count;
    }
    for (k = 0; k < count; k++) {
        double x = log(cells[k]) - mx;
        xy += x * (log(list[k * step].value) - my);
        xx += x * x;
    }
    return xy / xx;
}
/* A copy of the points in the order of a space-filling walk. */
static cel_mat along_curve(cel_mat points)
{
    cel_mat out = new_mat(points.rows, points.cols);
    int32_t *order = (int32_t *)get(points.rows, sizeof *order);
    int64_t i;
    check(cel_graph_order(points, NULL, order, NULL), "order");
    for (i = 0; i < points.rows; i++) {
        out.data[2 * i] = points.data[2 * (int64_t)order[i]];
        out.data[2 * i + 1] = points.data[2 * (int64_t)order[i] + 1];
    }
    free(order);
    return out;
}
static double same_bits(void (*fn)(void *), void *context, const void *(*bytes)(void *, size_t *))
{
    size_t size;
    const void *p;
    void *one;
    int same;
    set_threads(1);
    fn(context);
    p = bytes(context, &size);
    one = get(1, size);
    memcpy(one, p, size);
    set_threads(2);
    fn(context);
    p = bytes(context, &size);
    same = !memcmp(one, p, size);
    free(one);
    return same;
}
static const void *knn_bytes(void *context, size_t *size)
{
    knn *k = (knn *)context;
    *size = (size_t)cel_csr_count(&k->out) * sizeof(int32_t);
    return k->out.index;
}
static const void *spmm_out(void *context, size_t *size)
{
    spmm *s = (spmm *)context;
    *size = (size_t)(s->y.rows * s->y.cols) * sizeof(cel_real);
    return s->y.data;
}
static const void *moments_bytes(void *context, size_t *size)
{
    passes *p = (passes *)context;
    *size = (size_t)(2 * p->moments.genes + 1) * sizeof(double);
    return p->moments.gram;
}
static void moments_anew(void *context)
{
    passes *p = (passes *)context;
    size_t side = (size_t)(p->moments.genes * p->moments.blocks + 1);
    memset(p->moments.gram, 0, side * side * sizeof(double));
    moments_fn(p);
}

/* Each cell's own row in place of its neighbours': as many sums, read as a copy reads. Only index is allocated. */
static cel_csr own_rows(const cel_csr *a)
{
    cel_csr own = *a;
    int64_t i, e;
    own.index = (int32_t *)get(cel_csr_count(a), sizeof *own.index);
    for (i = 0; i < a->rows; i++)
        for (e = a->start[i]; e < a->start[i + 1]; e++) own.index[e] = (int32_t)i;
    return own;
}

int main(int argc, char **argv)
{
    const char *folder = argc > 1 ? argv[1] : ".";
    int quick = argc > 2 && !strcmp(argv[2], "quick"), count = 0, k, t;
    int64_t cells = quick ? 50000 : 1000000, genes = 300, n = 30;
    cel_npz_member member[5];
    int64_t shape[2];
    bench_copy copy = new_copy(cells * genes * 4);
    bench_case list[64];
    char name[80];
    static const double fractions[] = {0.01, 0.032, 0.1, 0.32, 1};
    double size[5];
    knn random, curve, part[5];
    static const char *const place[] = {"along the curve", "in random order", "own rows for neighbours"};
    spmm product[3];
    cel_csr own;
    passes pass[5];

    memset(&random, 0, sizeof random);
    memset(&curve, 0, sizeof curve);
    memset(part, 0, sizeof part);
    random.points = new_points(cells, 1);
    curve.points = along_curve(random.points);
    knn_fn(&random);
    knn_fn(&curve);
    check(cel_npy_write_matrix(in_folder(folder, "points.npy"), random.points, NULL), "writing");
    cel_npz_from_csr(&random.out, shape, member);
    check(cel_npz_write(in_folder(folder, "graph.npz"), member, 5, NULL), "writing");
    cel_npz_from_csr(&curve.out, shape, member);
    check(cel_npz_write(in_folder(folder, "graph_curve.npz"), member, 5, NULL), "writing");

    for (t = 1; t <= THREADS; t++) {
        snprintf(name, sizeof name, "k nearest neighbours %s", threads_name(t));
        add_case(list, &count, name, "s", 0, knn_fn, &random, t, CEL_LEVEL_AVX512);
    }
    snprintf(name, sizeof name, "k nearest neighbours cells along the curve %s", threads_name(THREADS));
    add_case(list, &count, name, "s", 0, knn_fn, &curve, THREADS, CEL_LEVEL_AVX512);
    run_cases(list, count);
    for (k = 0; k < count; k++) print_case(list + k, NULL);

    count = 0;
    product[0].x = product[1].x = product[2].x = new_mat(cells, genes);
    product[0].y = product[1].y = product[2].y = new_mat(cells, genes);
    cel_sample_uniform(1, 0, 0, product[0].x);
    product[0].w = &curve.out;
    product[1].w = &random.out;
    own = own_rows(&curve.out);
    product[2].w = &own;
    for (t = THREADS; t >= 1; t--) {
        add_copy(list, &count, &copy, t);
        for (k = 0; k < 3; k++) {
            snprintf(name, sizeof name, "csr x dense cells %s %s", place[k], threads_name(t));
            add_case(list, &count, name, "GB/s", 1e-9 * spmm_bytes(product[k].w, genes), spmm_fn, product + k, t,
                     CEL_LEVEL_AVX512);
        }
    }
    run_cases(list, count);
    print_groups(list, count, 4);
    free(own.index);
    print_line("same bits 1 and 2 threads neighbours", same_bits(knn_fn, &random, knn_bytes), "yes", NULL, 0);
    print_line("same bits 1 and 2 threads csr x dense", same_bits(spmm_fn, product, spmm_out), "yes", NULL, 0);
    free(copy.from);
    free(copy.to);
    cel_mat_free(&product[0].x);
    cel_mat_free(&product[0].y);

    /* Growth, cells along the curve, 30 genes. */
    count = 0;
    for (k = 0; k < 5; k++) {
        cel_mat here = new_points((int64_t)(fractions[k] * (double)cells), 2);
        size[k] = (double)here.rows;
        part[k].points = along_curve(here);
        cel_mat_free(&here);
        new_passes(part[k].points, n, pass + k);
        snprintf(name, sizeof name, "neighbours %.0f cells", size[k]);
        add_case(list, &count, name, "s", 0, knn_fn, part + k, THREADS, CEL_LEVEL_AVX512);
        snprintf(name, sizeof name, "moments %.0f cells x 30 genes", size[k]);
        add_case(list, &count, name, "s", 0, moments_fn, pass + k, THREADS, CEL_LEVEL_AVX512);
        snprintf(name, sizeof name, "sampler sweep %.0f cells x 30 genes", size[k]);
        add_case(list, &count, name, "s", 0, sweep_fn, pass + k, THREADS, CEL_LEVEL_AVX512);
    }
    run_cases(list, count);
    for (k = 0; k < count; k++) print_case(list + k, NULL);
    print_line("growth exponent neighbours", exponent(size, list, 3, 5), "power of cells", NULL, 0);
    print_line("growth exponent moments", exponent(size, list + 1, 3, 5), "power of cells", NULL, 0);
    print_line("growth exponent sampler sweep", exponent(size, list + 2, 3, 5), "power of cells", NULL, 0);
    print_line("same bits 1 and 2 threads moments", same_bits(moments_anew, pass, moments_bytes), "yes", NULL, 0);
    for (k = 0; k < 5; k++) {
        free_passes(pass + k);
        cel_csr_free(&part[k].out);
        cel_mat_free(&part[k].points);
    }
    return 0;
}
