/* Prints a hash of the bits of everything that is computed in parallel or by a fast kernel: the same for any number
 * of threads and any C dialect. SPDX-License-Identifier: MIT */
#define CELCOMEN_IMPLEMENTATION
#include "celcomen.h"

static void print_hash(const char *name, const void *data, size_t bytes)
{
    const unsigned char *p = (const unsigned char *)data;
    uint64_t h = 1469598103934665603u;
    size_t i;
    for (i = 0; i < bytes; i++) h = (h ^ p[i]) * 1099511628211u;
    printf("%-12s %016llx\n", name, (unsigned long long)h);
}
static void print_matrix(const char *name, cel_mat a)
{
    print_hash(name, a.data, (size_t)(a.rows * a.cols) * sizeof(cel_real));
}

#define MUST(call)                                                                                                     \
    do {                                                                                                               \
        cel_status s_ = (call);                                                                                        \
        if (s_) {                                                                                                      \
            printf("%s: %s\n", #call, cel_strerror(s_));                                                               \
            return 1;                                                                                                  \
        }                                                                                                              \
    } while (0)

#ifndef BITS_SIDE
#define BITS_SIDE 40 /* less of both where a program is watched instruction by instruction */
#define BITS_GENES 33
#endif

int main(void)
{
    enum { SIDE = BITS_SIDE, CELLS = SIDE * SIDE, GENES = BITS_GENES };
    cel_mat a, b, c, x, coords;
    cel_csr graph;
    cel_relations relations;
    cel_model model, fitted;
    cel_moments moments;
    cel_sample_options sample;
    cel_score_options score;
    cel_score_report report;
    cel_rng rng = cel_rng_at(7, 1, 2, 3);
    int32_t tile[CELLS];
    int64_t tiles, i, j;
    cel_scaling scaling;
    double h, value[GENES];

    MUST(cel_mat_new(301, 257, &a));
    MUST(cel_mat_new(257, 190, &b));
    MUST(cel_mat_new(301, 190, &c));
    cel_rng_normals(&rng, a.data, a.rows * a.cols);
    for (i = 0; i < b.rows * b.cols; i++) b.data[i] = (cel_real)cel_rng_uniform(&rng);
    print_matrix("normals", a);
    MUST(cel_mat_gemm(0, 0, 1, a, b, 0, c, NULL));
    print_matrix("gemm", c);

    MUST(cel_mat_new(CELLS, 2, &coords));
    MUST(cel_graph_hex_coords(SIDE, SIDE, coords));
    MUST(cel_graph_knn(coords, NULL, 6, 0, &graph, NULL));
    MUST(cel_relations_from_graph(&graph, NULL, &relations, NULL));
    print_hash("graph", relations.at[1].w->index, (size_t)cel_csr_count(relations.at[1].w) * sizeof(int32_t));
    MUST(cel_model_new(GENES, 2, 0, &model));
    for (i = 0; i < GENES; i++)
        for (j = 0; j <= i; j++) {
            cel_rng r = cel_rng_at(5, 0, (uint32_t)i, (uint32_t)j);
            cel_model_force(&model, 0).data[i * GENES + j] = cel_model_force(&model, 0).data[j * GENES + i] =
                (cel_real)(4 * cel_rng_normal(&r));
            cel_model_force(&model, 1).data[i * GENES + j] = cel_model_force(&model, 1).data[j * GENES + i] =
                (cel_real)cel_rng_normal(&r);
        }
    MUST(cel_mat_new(CELLS, GENES, &x));
    cel_sample_uniform(3, 0, 0, x);
    memset(&sample, 0, sizeof sample);
    sample.warmup = 10;
    sample.sweeps = 10;
    MUST(cel_sample_run(&model, &relations, &sample, x, NULL, NULL, NULL));
    print_matrix("sample", x);
    MUST(cel_model_energy(&model, &relations, x, &h, NULL, cel_mat_none(), NULL));
    print_hash("energy", &h, sizeof h);
    MUST(cel_moments_new(GENES, &relations, &moments));
    MUST(cel_moments_add(&moments, &relations, x, NULL, 0, NULL));
    print_hash("moments", moments.gram, (size_t)((2 * GENES + 1) * (2 * GENES + 1)) * sizeof(double));
    MUST(cel_slide_tiles(coords, NULL, 3, tile, &tiles, NULL));
    for (i = 0; i < 3; i++) {
        memset(&score, 0, sizeof score);
        score.form = i == 0 ? CEL_SCORE_MOMENT : i == 1 ? CEL_SCORE_EXACT : CEL_SCORE_AUTO;
        score.l1 = i == 2 ? 0.05 : 0;
        score.group = tile;
        MUST(cel_score_fit(&relations, x, &score, &fitted, &report, NULL, NULL));
        print_matrix(i == 0 ? "moment fit" : i == 1 ? "exact fit" : "l1 fit", fitted.force);
        print_matrix("its errors", report.se);
        cel_score_report_free(&report);
        cel_model_free(&fitted);
    }
    MUST(cel_ascent_run(&model, &relations, NULL, x, NULL, NULL));
    print_matrix("ascent", x);
    for (i = 0; i < x.rows * x.cols; i++)
        x.data[i] = (cel_real)cel_rng_poisson(&rng, 1 + 3 * (double)x.data[i] * (double)x.data[i]);
    MUST(cel_scaling_fit(x, NULL, tile, NULL, &scaling, NULL));
    print_matrix("scaling", x);
    MUST(cel_mat_new(GENES, GENES, &a));
    MUST(cel_mat_syrk(1, 1, x, 0, a, NULL));
    MUST(cel_mat_new(GENES, GENES, &b));
    MUST(cel_mat_eigen(a, value, b));
    print_hash("eigenvalues", value, sizeof value);
    return 0;
}
