/* Tissue from forces: samples of the model, and its most likely tissue.
 *   cc -O2 -I. examples/03_generate.c -o build/03_generate -lm && ./build/03_generate
 * SPDX-License-Identifier: MIT */
#define CELCOMEN_IMPLEMENTATION
#include "celcomen.h"

enum { SIDE = 24, CELLS = SIDE * SIDE };

static void check(cel_status status)
{
    if (status == CEL_OK) return;
    printf("%s\n", cel_strerror(status));
    exit(1);
}

static int strongest(cel_mat x, int64_t cell)
{
    const cel_real *row = x.data + cell * x.stride;
    int g, best = 0;
    for (g = 1; g < x.cols; g++)
        if (row[g] > row[best]) best = g;
    return best;
}

/* Which gene each cell expresses most, as a picture; and how often a neighbour expresses the same one most. */
static void draw(cel_mat x, const cel_csr *graph)
{
    int row, column;
    int64_t i, e, alike = 0;
    for (i = 0; i < x.rows; i++)
        for (e = graph->start[i]; e < graph->start[i + 1]; e++)
            alike += strongest(x, i) == strongest(x, graph->index[e]);
    printf("a neighbour expresses the same gene most: %.0f %%\n", 100.0 * (double)alike / (double)graph->start[x.rows]);
    for (row = 0; row < SIDE; row += 2) {
        printf("    ");
        for (column = 0; column < SIDE; column++) printf("%c ", ".o#"[strongest(x, row * SIDE + column)]);
        printf("\n");
    }
}

int main(void)
{
    cel_mat coords, x;
    cel_csr graph;
    cel_relations relations;
    cel_model model;
    cel_sample_options options = CEL_ZERO;
    cel_sample_report sampled;
    cel_ascent_options up = CEL_ZERO;
    cel_ascent_report top;
    static const double strength[3] = {0, 2, 8};
    int g, k;

    check(cel_mat_new(CELLS, 2, &coords));
    check(cel_graph_hex_coords(SIDE, SIDE, coords));
    check(cel_graph_knn(coords, NULL, 6, 0, &graph, NULL));
    check(cel_relations_from_graph(&graph, NULL, &relations, NULL));
    check(cel_model_new(3, 2, 0, &model));
    check(cel_mat_new(CELLS, 3, &x));

    /* The same gene in neighbouring cells: without a force, with one too weak for domains, and with domains. */
    for (k = 0; k < 3; k++) {
        for (g = 0; g < 3; g++) cel_model_force(&model, 1).data[4 * g] = (cel_real)strength[k];
        options.seed = 1;
        options.domain.orthant = 1; /* expression is not negative */
        cel_sample_uniform(1, 0, 1, x);
        check(cel_sample_run(&model, &relations, &options, x, NULL, &sampled, NULL));
        printf("force between neighbours %.0f: H = %.0f +- %.0f; ", strength[k], sampled.energy, sampled.deviation);
        draw(x, &graph);
    }
    up.domain.orthant = 1;
    check(cel_ascent_run(&model, &relations, &up, x, &top, NULL));
    printf("most likely tissue from there: H = %.0f after %d sweeps; ", top.energy, (int)top.sweeps);
    draw(x, &graph);
    cel_model_free(&model);
    cel_mat_free(&coords);
    cel_mat_free(&x);
    cel_csr_free(&graph);
    cel_relations_free(&relations);
    return 0;
}
