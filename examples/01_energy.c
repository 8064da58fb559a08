/* The energy of two cells: one force within a cell, one between neighbours.
 *   cc -O2 -I. examples/01_energy.c -o build/01_energy -lm && ./build/01_energy
 * SPDX-License-Identifier: MIT */
#define CELCOMEN_IMPLEMENTATION
#include "celcomen.h"

int main(void)
{
    /* Two genes. Between neighbours, gene 0 of one cell goes with gene 1 of the other. */
    int64_t row[2] = {0, 1}, col[2] = {1, 0};
    cel_csr neighbours;
    cel_relations relations; /* 0: within a cell, 1: between neighbours */
    cel_model model;
    cel_real *inter;
    int step;

    if (cel_csr_from_edges(2, 2, 2, row, col, NULL, &neighbours, NULL)) return 1;
    if (cel_relations_from_graph(&neighbours, NULL, &relations, NULL)) return 1;
    if (cel_model_new(2, 2, 0, &model)) return 1;
    cel_model_force(&model, 0).data[0] = 1;
    inter = cel_model_force(&model, 1).data;
    inter[1] = inter[2] = (cel_real)0.5;

    printf("Cell 0 expresses gene 0 only; cell 1 turns from gene 0 to gene 1.\n");
    printf("%8s %8s %8s %8s %8s\n", "angle", "H", "within", "between", "P/P(0)");
    for (step = 0; step <= 6; step++) {
        double angle = step * 15 * 3.14159265358979 / 180, h, share[3];
        static double h0;
        cel_real x[4], gradient[4];
        x[0] = 1, x[1] = 0;
        x[2] = (cel_real)cos(angle), x[3] = (cel_real)sin(angle);
        if (cel_model_energy(&model, &relations, cel_mat_view(x, 2, 2), &h, share, cel_mat_view(gradient, 2, 2), NULL))
            return 1;
        if (step == 0) h0 = h;
        printf("%8d %8.3f %8.3f %8.3f %8.3f\n", step * 15, h, share[0], share[1], exp(h - h0));
    }
    printf("Likeliest is 30 degrees, 1.28 times as likely as 0: there the force within, which holds cell 1 at gene 0,\n"
           "and the one between, which pulls it to the partner of its neighbour's gene, balance.\n");
    cel_model_free(&model);
    cel_relations_free(&relations);
    cel_csr_free(&neighbours);
    return 0;
}
