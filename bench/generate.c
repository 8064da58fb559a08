/* A step of the published generator in angles, 500 genes x 2,500 cells. generate FOLDER [quick]
 * FOLDER receives angles.npy and force.npy, for the peer; it holds paper.npz of fit.c. SPDX-License-Identifier: MIT */
#include "bench.h"

typedef struct descent {
    cel_model model;
    cel_relations relations;
    cel_mat start, angles, x, gradient;
    cel_work work;
    double loss[10];
} descent;

/* Ten steps, so that what is allocated once counts little. */
static void steps_fn(void *context)
{
    descent *d = (descent *)context;
    cel_paper_options o;
    cel_paper_value last;
    memset(&o, 0, sizeof o);
    o.epochs = 10;
    o.lr = 1e-6;
    cel_mat_copy(d->start, d->angles);
    check(cel_paper_generate(&d->model, &d->relations, &o, d->angles, d->x, d->loss, &last, NULL), "the generator");
}
static void forward_fn(void *context)
{
    descent *d = (descent *)context;
    check(cel_paper_from_angles(d->start, d->x, &d->work), "from angles");
}
static void loss_fn(void *context)
{
    descent *d = (descent *)context;
    cel_paper_value loss;
    check(cel_paper_generate_loss(&d->model, &d->relations, d->x, NULL, &loss, d->gradient, NULL, &d->work),
          "the loss");
}
static void backward_fn(void *context)
{
    descent *d = (descent *)context;
    check(cel_paper_angles_gradient(d->start, d->gradient, d->angles, &d->work), "the angles' gradient");
}

int main(int argc, char **argv)
{
    const char *folder = argc > 1 ? argv[1] : ".";
    int quick = argc > 2 && !strcmp(argv[2], "quick"), count = 0, same;
    int64_t cells = quick ? 600 : 2500, genes = quick ? 60 : 500, i;
    bench_case list[16];
    bench_gemm product = new_gemm(quick ? 512 : 2048, 0);
    cel_mat points = new_points(cells, 5), one = new_mat(cells, genes - 1);
    double operations;
    descent d;

    memset(&d, 0, sizeof d);
    d.relations = new_relations(points, CEL_WEIGHTS_GCN);
    check(cel_model_new(genes, 2, 0, &d.model), "a model");
    check(cel_paper_start(1, &d.model), "forces");
    d.start = new_mat(cells, genes - 1);
    d.angles = new_mat(cells, genes - 1);
    d.x = new_mat(cells, genes);
    d.gradient = new_mat(cells, genes);
    /* Close to a right angle, where the product of 500 sines does not underflow. */
    cel_paper_noise_angles(1, 1.5707963, 0.1, d.start);
    check(cel_npy_write_matrix(in_folder(folder, "angles.npy"), d.start, NULL), "writing");
    check(cel_npy_write_matrix(in_folder(folder, "force.npy"), cel_model_force(&d.model, 0), NULL), "writing");

    forward_fn(&d);
    add_gemm(list, &count, &product, THREADS);
    add_case(list, &count, "sce 10 steps in angles", "s", 0, steps_fn, &d, THREADS, CEL_LEVEL_AVX512);
    add_case(list, &count, "sce angles to expression", "s", 0, forward_fn, &d, THREADS, CEL_LEVEL_AVX512);
    add_case(list, &count, "sce loss and its gradient", "s", 0, loss_fn, &d, THREADS, CEL_LEVEL_AVX512);
    add_case(list, &count, "sce gradient to angles", "s", 0, backward_fn, &d, THREADS, CEL_LEVEL_AVX512);
    run_cases(list, count);
    print_case(list, NULL);
    print_line("sce step in angles", list[1].value / 10, "s", NULL, 0);
    /* The floor: three products of S x n with n x n, one for each force's gradient and one for the transposed W. */
    operations = 6e-9 * (double)cells * (double)genes * (double)genes;
    print_line("sce step in angles", list[1].value / 10, "s", "floor by gemm", operations / list[0].value);
    for (i = 2; i < count; i++) print_case(list + i, NULL);
    steps_fn(&d);
    print_line("sce loss at the start", d.loss[0], "loss", NULL, 0);
    set_threads(1);
    steps_fn(&d);
    cel_mat_copy(d.angles, one);
    set_threads(2);
    steps_fn(&d);
    same = !memcmp(one.data, d.angles.data, (size_t)(cells * (genes - 1)) * sizeof(cel_real));
    print_line("same bits 1 and 2 threads sce", same, "yes", NULL, 0);
    return 0;
}
