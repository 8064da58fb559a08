/* Fits of 500 genes x 2,500 cells, and the moments of a large mapped file. fit FOLDER [quick]
 * FOLDER receives x.npy, start.npy, paper.npz and large.npy, for the peers. SPDX-License-Identifier: MIT */
#include "bench.h"

typedef struct tissue {
    cel_mat points, x, start;
    cel_relations paper, published, own; /* the published weights; these made symmetric; our own */
    cel_moments moments;
    cel_model model;
    cel_work work;
    int32_t *tile;
    double loss;
    int errors, epochs;
    int64_t iterations;
    cel_mat se; /* of the last fit */
} tissue;

static void paper_graph_fn(void *context)
{
    tissue *t = (tissue *)context;
    cel_csr even;
    cel_relations_free(&t->paper);
    cel_relations_free(&t->published);
    t->paper = new_relations(t->points, CEL_WEIGHTS_GCN);
    /* Forces that are made symmetric see the symmetric part of W only: half the moments. */
    check(cel_csr_symmetrise(t->paper.at[1].w, &even), "symmetrise");
    check(cel_relations_new(t->points.rows, &t->published), "relations");
    check(cel_relations_add(&t->published, "inter", &even, NULL), "relations");
}
static void paper_moments_fn(void *context)
{
    tissue *t = (tissue *)context;
    cel_moments_free(&t->moments);
    check(cel_moments_new(t->x.cols, &t->published, &t->moments), "moments");
    check(cel_moments_add(&t->moments, &t->published, t->x, NULL, 0, &t->work), "moments");
}
static void paper_fit_fn(void *context)
{
    tissue *t = (tissue *)context;
    cel_paper_options o;
    cel_paper_report report;
    memset(&o, 0, sizeof o);
    o.epochs = t->epochs;
    o.lr = 1e-4; /* so small that the clamp does not decide all at once */
    cel_mat_copy(t->start, cel_model_force(&t->model, 0));
    cel_mat_copy(t->start, cel_model_force(&t->model, 1));
    check(cel_paper_fit(&t->moments, 1, &o, &t->model, NULL, &report, NULL), "the published fit");
    t->loss = report.final.loss;
}
static void paper_all_fn(void *context)
{
    paper_moments_fn(context);
    paper_fit_fn(context);
}
/* The value J of forces by the cells, and by what was kept of them. */
static void value_fn(void *context)
{
    tissue *t = (tissue *)context;
    double value;
    check(cel_score_value(&t->model, &t->published, t->x, CEL_SCORE_MOMENT, &value, NULL, &t->work), "the value");
}
static void value_moments_fn(void *context)
{
    tissue *t = (tissue *)context;
    double value;
    check(cel_score_value_moments(&t->model, &t->moments, &value), "the value from moments");
}
static void score_fn(void *context)
{
    tissue *t = (tissue *)context;
    cel_score_options o;
    cel_score_report report;
    int64_t tiles;
    memset(&o, 0, sizeof o);
    o.no_errors = !t->errors;
    cel_relations_free(&t->own);
    cel_model_free(&t->model);
    cel_mat_free(&t->se);
    t->own = new_relations(t->points, CEL_WEIGHTS_MEAN);
    if (t->errors) check(cel_slide_tiles(t->points, NULL, 6, t->tile, &tiles, NULL), "tiles");
    o.group = t->errors ? t->tile : NULL;
    check(cel_score_fit(&t->own, t->x, &o, &t->model, &report, NULL, &t->work), "the fit");
    t->iterations = report.iterations;
    t->se = report.se;
    memset(&report.se, 0, sizeof report.se);
    cel_score_report_free(&report);
}
static void score_errors_fn(void *context)
{
    tissue *t = (tissue *)context;
    t->errors = 1;
    score_fn(t);
    t->errors = 0;
}

typedef struct large { const char *path; cel_relations relations; cel_moments moments; cel_work work; } large;

static void mapped_fn(void *context)
{
    large *l = (large *)context;
    cel_file file;
    cel_npy array;
    const cel_real *data;
    memset(&array, 0, sizeof array);
    check(cel_file_open(l->path, 1, &file, NULL), "mapping");
    check(cel_npy_parse(file.bytes, file.size, &array, NULL), "the header");
    check(array.kind == 'f' && array.bytes == (int)sizeof(cel_real) ? CEL_OK : CEL_ERR_FORMAT, "an array of cel_real");
    data = (const cel_real *)array.data;
    check(cel_moments_add(&l->moments, &l->relations, cel_mat_view(data, array.shape[0], array.shape[1]), NULL, 0,
                          &l->work), "moments");
    cel_file_close(&file);
}
static void load_fn(void *context)
{
    cel_mat x;
    check(cel_npy_matrix(((large *)context)->path, &x, NULL), "loading");
    cel_mat_free(&x);
}

static double same_forces(tissue *t, void (*fn)(void *))
{
    size_t bytes = (size_t)(t->model.force.rows * t->model.force.cols) * sizeof(cel_real);
    void *one = get(2, bytes);
    int same;
    set_threads(1);
    fn(t);
    memcpy(one, t->model.force.data, bytes);
    if (t->se.data) memcpy((char *)one + bytes, t->se.data, bytes);
    set_threads(2);
    fn(t);
    same = !memcmp(one, t->model.force.data, bytes);
    if (t->se.data) same &= !memcmp((char *)one + bytes, t->se.data, bytes);
    free(one);
    return same;
}

int main(int argc, char **argv)
{
    const char *folder = argc > 1 ? argv[1] : ".";
    int quick = argc > 2 && !strcmp(argv[2], "quick"), count = 0, k;
    int64_t cells = quick ? 600 : 2500, genes = quick ? 60 : 500, many = quick ? 30000 : 1000000, wide = 300;
    int64_t shape[2];
    cel_npz_member member[5];
    bench_case list[32];
    bench_gemm product = new_gemm(quick ? 512 : 2048, 0);
    bench_copy copy = new_copy(many * wide * 4);
    double side, floor_time, bytes, operations;
    cel_mat walk;
    int32_t *order;
    int64_t i;
    const cel_csr *graph;
    tissue t;
    large l;

    memset(&t, 0, sizeof t);
    memset(&l, 0, sizeof l);
    t.points = new_points(cells, 5);
    t.x = new_slide(t.points, genes, 5);
    t.tile = (int32_t *)get(cells, sizeof *t.tile);
    t.epochs = 200;
    paper_graph_fn(&t);
    check(cel_model_new(genes, 2, 0, &t.model), "a model");
    check(cel_paper_start(1, &t.model), "the start");
    t.start = new_mat(genes, genes);
    cel_mat_copy(cel_model_force(&t.model, 0), t.start);
    check(cel_npy_write_matrix(in_folder(folder, "x.npy"), t.x, NULL), "writing");
    check(cel_npy_write_matrix(in_folder(folder, "start.npy"), t.start, NULL), "writing");
    cel_npz_from_csr(t.paper.at[1].w, shape, member);
    check(cel_npz_write(in_folder(folder, "paper.npz"), member, 5, NULL), "writing");

    add_case(list, &count, "published graph", "s", 0, paper_graph_fn, &t, THREADS, CEL_LEVEL_AVX512);
    add_case(list, &count, "published moments", "s", 0, paper_moments_fn, &t, THREADS, CEL_LEVEL_AVX512);
    add_case(list, &count, "cce 200 epochs from moments", "s", 0, paper_fit_fn, &t, THREADS, CEL_LEVEL_AVX512);
    add_case(list, &count, "cce 200 epochs moments included", "s", 0, paper_all_fn, &t, THREADS, CEL_LEVEL_AVX512);
    add_case(list, &count, "score fit graph and moments included", "s", 0, score_fn, &t, THREADS, CEL_LEVEL_AVX512);
    add_case(list, &count, "score fit with error bars graph and moments included", "s", 0, score_errors_fn, &t, THREADS,
             CEL_LEVEL_AVX512);
    paper_all_fn(&t);
    add_case(list, &count, "value of forces from cells", "s", 0, value_fn, &t, THREADS, CEL_LEVEL_AVX512);
    add_case(list, &count, "value of forces from moments", "s", 0, value_moments_fn, &t, THREADS, CEL_LEVEL_AVX512);
    run_cases(list, count);
    for (k = 0; k < count; k++) print_case(list + k, NULL);
    paper_all_fn(&t);
    print_line("cce loss after 200 epochs", t.loss, "loss", NULL, 0);
    score_fn(&t);
    print_line("score fit iterations", (double)t.iterations, "iterations", NULL, 0);
    paper_all_fn(&t);
    print_line("same bits 1 and 2 threads cce", same_forces(&t, paper_all_fn), "yes", NULL, 0);
    score_errors_fn(&t);
    print_line("same bits 1 and 2 threads score fit and error bars", same_forces(&t, score_errors_fn), "yes", NULL, 0);

    /* A file that does not fit the caches, its cells in the order of the curve. */
    t.points = new_points(many, 6);
    order = (int32_t *)get(many, sizeof *order);
    walk = new_mat(many, 2);
    check(cel_graph_order(t.points, NULL, order, NULL), "order");
    for (i = 0; i < many; i++) memcpy(walk.data + 2 * i, t.points.data + 2 * order[i], 2 * sizeof(cel_real));
    l.relations = new_relations(walk, CEL_WEIGHTS_MEAN);
    graph = l.relations.at[1].w;
    {
        cel_mat x = new_mat(many, wide);
        cel_sample_uniform(1, 0, 0, x);
        l.path = in_folder(folder, "large.npy");
        check(cel_npy_write_matrix(l.path, x, NULL), "writing");
        cel_mat_free(&x);
    }
    check(cel_moments_new(wide, &l.relations, &l.moments), "moments");
    count = 0;
    add_copy(list, &count, &copy, THREADS);
    add_gemm(list, &count, &product, THREADS);
    add_case(list, &count, "moments of a mapped file", "s", 0, mapped_fn, &l, THREADS, CEL_LEVEL_AVX512);
    add_case(list, &count, "load of a large npy", "s", 0, load_fn, &l, THREADS, CEL_LEVEL_AVX512);
    run_cases(list, count);
    /* The floor: X and W from memory once; the products of one triangle of B^T B. */
    side = (double)(2 * wide + 1);
    bytes = (double)(many * wide) * sizeof(cel_real) + (double)cel_csr_count(graph) * (sizeof(cel_real) + 4.0);
    operations = (double)many * side * (side + 1) + 2.0 * (double)cel_csr_count(graph) * (double)wide;
    print_case(list, NULL);
    print_case(list + 1, NULL);
    floor_time = fmax(1e-9 * bytes / list[0].value, 1e-9 * operations / list[1].value);
    print_line(list[2].name, list[2].value, "s", bytes * list[1].value > operations * list[0].value
               ? "floor by memory copy" : "floor by gemm", floor_time);
    print_line("moments of a mapped file", 1e-9 * operations / list[2].value, "GFLOP/s", "gemm", list[1].value);
    print_case(list + 3, NULL);
    return 0;
}
