/* What WebAssembly's vectors bring: the kernels and what is made of them, timed on the processor clock, best of 5.
 * Compiled three times by bench/wasm.sh. SPDX-License-Identifier: MIT */
#define CELCOMEN_IMPLEMENTATION
#include "celcomen.h"

#include <stdio.h>
#include <time.h>

enum { SIDE = 100, CELLS = SIDE * SIDE, GENES = 100, N = 256, WHAT = 8 };

#if defined(__EMSCRIPTEN__) /* whose clock() is the wall's */
#include <emscripten.h>
static double seconds(void) { return EM_ASM_DOUBLE({ return process.cpuUsage().user / 1e6; }); }
#else
static double seconds(void) { return (double)clock() / CLOCKS_PER_SEC; }
#endif

#define TIME(k, repeats, ...)                                                                                          \
    do {                                                                                                               \
        double start = seconds();                                                                                      \
        int q;                                                                                                         \
        for (q = 0; q < (repeats); q++) { __VA_ARGS__; }                                                               \
        start = (seconds() - start) / (repeats);                                                                       \
        if (round == 0 || start < best[k]) best[k] = start;                                                            \
    } while (0)
#define MUST(call)                                                                                                     \
    do {                                                                                                               \
        if (call) {                                                                                                    \
            printf("failed: %s\n", #call);                                                                             \
            return 1;                                                                                                  \
        }                                                                                                              \
    } while (0)

int main(void)
{
    cel_mat a, b, c, x, y, coords, gram;
    cel_csr graph;
    cel_relations relations;
    cel_model model;
    cel_score_report report;
    cel_sample_options sample = CEL_ZERO;
    cel_rng rng = cel_rng_at(1, 2, 3, 4);
    double best[WHAT], value[N], sum = 0;
    int round, i, j;
    MUST(cel_mat_new(N, N, &a) || cel_mat_new(N, N, &b) || cel_mat_new(N, N, &c) || cel_mat_new(CELLS, GENES, &x));
    MUST(cel_mat_new(CELLS, GENES, &y) || cel_mat_new(CELLS, 2, &coords) || cel_mat_new(GENES, GENES, &gram));
    cel_rng_normals(&rng, a.data, N * N);
    cel_rng_normals(&rng, b.data, N * N);
    cel_rng_normals(&rng, x.data, CELLS * GENES);
    for (i = 0; i < N; i++)
        for (j = 0; j < i; j++) a.data[i * N + j] = a.data[j * N + i];
    MUST(cel_slide_unit(x, NULL, NULL, NULL));
    MUST(cel_graph_hex_coords(SIDE, SIDE, coords) || cel_graph_knn(coords, NULL, 6, 0, &graph, NULL));
    MUST(cel_relations_from_graph(&graph, NULL, &relations, NULL));
    sample.warmup = 1;
    sample.sweeps = 2;
    for (round = 0; round < 5; round++) {
        TIME(0, 5, MUST(cel_mat_gemm(0, 0, 1, a, b, 0, c, NULL)));
        TIME(1, 5, MUST(cel_mat_syrk(1, 1, x, 0, gram, NULL)));
        TIME(2, 5, MUST(cel_csr_mul(1, relations.at[1].w, x, 0, y)));
        TIME(3, 20, sum += cel_vec_dot(x.data, y.data, CELLS * GENES));
        TIME(4, 2, MUST(cel_mat_eigen(a, value, b)));
        TIME(5, 2, cel_rng_normals(&rng, y.data, CELLS * GENES));
        TIME(6, 1, MUST(cel_score_fit(&relations, x, NULL, &model, &report, NULL, NULL)); cel_score_report_free(&report));
        TIME(7, 1, MUST(cel_sample_run(&model, &relations, &sample, x, NULL, NULL, NULL)));
        cel_model_free(&model);
    }
    printf("%s,%.1f,%.1f,%.1f,%.2f,%.1f,%.0f,%.0f,%.0f%s\n", cel_level_name(cel_level_get()), 2e-9 * N * N * N / best[0],
           1e-9 * CELLS * GENES * GENES / best[1], 1e-9 * 8 * CELLS * GENES * sizeof(cel_real) / best[2],
           1e-9 * CELLS * GENES / best[3], 1e3 * best[4], 1e-6 * CELLS * GENES / best[5], 1e3 * best[6], 1e3 * best[7],
           sum < -1e300 ? " " : "");
    return 0;
}
