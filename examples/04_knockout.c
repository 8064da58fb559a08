/* A knock-out in one cell, against a sham on the same random numbers: what changes how many steps away.
 *   cc -O2 -I. examples/04_knockout.c -o build/04_knockout -lm && ./build/04_knockout
 * SPDX-License-Identifier: MIT */
#define CELCOMEN_IMPLEMENTATION
#include "celcomen.h"

enum { SIDE = 21, CELLS = SIDE * SIDE, GENES = 6 };

static void check(cel_status status)
{
    if (status == CEL_OK) return;
    printf("%s\n", cel_strerror(status));
    exit(1);
}

int main(void)
{
    cel_mat coords, x;
    cel_csr graph;
    cel_relations relations;
    cel_model model;
    cel_tissue tissue = CEL_ZERO;
    cel_intervention knockout = CEL_ZERO;
    cel_perturb plan;
    cel_perturb_options options = CEL_ZERO;
    cel_effect effect;
    const cel_effect_table *table;
    int64_t hop, g;

    check(cel_mat_new(CELLS, 2, &coords));
    check(cel_graph_hex_coords(SIDE, SIDE, coords));
    check(cel_graph_knn(coords, NULL, 6, 0, &graph, NULL));
    check(cel_relations_from_graph(&graph, NULL, &relations, NULL));

    /* Gene 0 drives gene 1 in neighbouring cells; gene 1 drives gene 2 within a cell; the others do nothing. */
    check(cel_model_new(GENES, 2, 1, &model));
    cel_model_force(&model, 1).data[0 * GENES + 1] = cel_model_force(&model, 1).data[1 * GENES + 0] = 2;
    cel_model_force(&model, 0).data[1 * GENES + 2] = cel_model_force(&model, 0).data[2 * GENES + 1] = 3;
    for (g = 0; g < GENES; g++) model.field[g] = 1;
    check(cel_mat_new(CELLS, GENES, &x));
    cel_sample_uniform(1, 0, 0, x);
    check(cel_sample_run(&model, &relations, NULL, x, NULL, NULL, NULL));

    tissue.x = x;
    tissue.relations = &relations;
    knockout.cell = CELLS / 2; /* gene 0 held at 0 in the cell in the middle */
    check(cel_perturb_new(&model, &tissue, &knockout, 1, NULL, &plan, NULL));
    options.repeats = 32;
    check(cel_perturb_run(&plan, &options, &effect, NULL));

    table = &effect.table[0];
    printf("mean effect (z in brackets); cells beyond 3 steps are held as observed\n%-14s", "steps away");
    for (g = 0; g < GENES; g++) printf("        gene %d", (int)g);
    printf("\n");
    for (hop = 0; hop < 4; hop++) {
        printf("%d (%2d cells)  ", (int)hop, (int)table->cells[hop]);
        for (g = 0; g < GENES; g++)
            printf(" %+.3f (%+4.1f)", table->mean[hop * table->columns + g], table->z[hop * table->columns + g]);
        printf("\n");
    }
    printf("In the cell itself gene 0 falls to 0. Its row keeps unit length, so what gene 0 had is shared out: genes\n"
           "1 and 2, which the field and their own force hold up, rise there although gene 0 acts on neither within a\n"
           "cell. One step away gene 1, which gene 0 drove from next door, falls, and gene 2 with it; further out the\n"
           "effect fades.\n");
    cel_effect_free(&effect);
    cel_perturb_free(&plan);
    cel_model_free(&model);
    cel_mat_free(&coords);
    cel_mat_free(&x);
    cel_csr_free(&graph);
    cel_relations_free(&relations);
    return 0;
}
