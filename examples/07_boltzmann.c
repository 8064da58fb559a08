/* Boltzmann learning, step by step: forces grow by what the tissue has and a tissue drawn from them has not yet, until
 * the two have the same moments. cel_likelihood_fit is this loop with better steps.
 *   cc -O2 -I. examples/07_boltzmann.c -o build/07_boltzmann -lm && ./build/07_boltzmann
 * SPDX-License-Identifier: MIT */
#define CELCOMEN_IMPLEMENTATION
#include "celcomen.h"

enum { SIDE = 30, CELLS = SIDE * SIDE, GENES = 3, PAIRS = GENES * GENES, STEPS = 240 };
enum { WITHIN = 0 * GENES + 1, NEXT = PAIRS + 1 * GENES + 2 }; /* where genes 0 and 1 stand, and 1 and 2 next door */

static void check(cel_status status)
{
    if (status == CEL_OK) return;
    printf("%s\n", cel_strerror(status));
    exit(1);
}

/* The moments a cell: X^T X / S and X^T W X / S, one above the other. */
static void moments(const cel_relations *relations, cel_mat x, double out[2 * PAIRS])
{
    cel_moments m;
    int k, i;
    check(cel_moments_new(GENES, relations, &m));
    check(cel_moments_add(&m, relations, x, NULL, 0, NULL));
    for (k = 0; k < 2; k++) check(cel_moments_cross(&m, k, out + k * PAIRS));
    for (i = 0; i < 2 * PAIRS; i++) out[i] /= CELLS;
    cel_moments_free(&m);
}

static void set(cel_model *m, int relation, int a, int b, double force)
{
    cel_mat f = cel_model_force(m, relation);
    f.data[a * GENES + b] = f.data[b * GENES + a] = (cel_real)force;
}

int main(void)
{
    cel_mat coords, observed, chain;
    cel_csr graph;
    cel_relations relations;
    cel_model truth, model, fitted;
    cel_sample *sampler;
    cel_sample_options options = CEL_ZERO;
    double seen[2 * PAIRS], drawn[2 * PAIRS], mean[2 * PAIRS] = {0};
    int step, k, i;

    check(cel_mat_new(CELLS, 2, &coords));
    check(cel_graph_hex_coords(SIDE, SIDE, coords));
    check(cel_graph_knn(coords, NULL, 6, 0, &graph, NULL));
    check(cel_relations_from_graph(&graph, NULL, &relations, NULL));
    check(cel_mat_new(CELLS, GENES, &observed));
    check(cel_mat_new(CELLS, GENES, &chain));
    check(cel_model_new(GENES, 2, 0, &truth));
    check(cel_model_new(GENES, 2, 0, &model));

    /* The observed tissue: genes 0 and 1 together within a cell, 1 and 2 against each other in neighbours. */
    set(&truth, 0, 0, 1, 1.5);
    set(&truth, 1, 1, 2, -0.4);
    cel_sample_uniform(1, 0, 0, observed);
    check(cel_sample_run(&truth, &relations, NULL, observed, NULL, NULL, NULL));
    moments(&relations, observed, seen);

    /* The chain: tissue under the forces of now, which are none at first. It is never started again. */
    options.seed = 2;
    cel_sample_uniform(2, 0, 0, chain);
    check(cel_sample_new(&model, &relations, &options, &sampler, NULL));
    printf("          within cells, genes 0-1            neighbours, genes 1-2\n"
           "step   moment: seen  drawn   force    moment: seen  drawn   force\n");
    for (step = 0; step <= STEPS; step++) {
        double rate = step < STEPS / 2 ? 1 : 2.0 - 2.0 * step / STEPS; /* falls to 0 in the second half */
        cel_sample_refresh(sampler); /* it reads the forces again */
        for (k = 0; k < 2; k++) check(cel_sample_sweep(sampler, chain));
        moments(&relations, chain, drawn);
        if (step % 40 == 0)
            printf("%4d         %6.3f %6.3f  %6.3f           %6.3f %6.3f  %6.3f\n", step, seen[WITHIN], drawn[WITHIN],
                   (double)model.force.data[WITHIN], seen[NEXT], drawn[NEXT], (double)model.force.data[NEXT]);
        for (i = 0; i < 2 * PAIRS; i++) /* d log P / dF = seen - drawn; six neighbours make a moment vary more */
            model.force.data[i] += (cel_real)(rate * (i < PAIRS ? 0.5 : 0.1) * (seen[i] - drawn[i]));
        cel_model_gauge(&model); /* rows have unit length, so a multiple of the identity says nothing */
        for (i = 0; i < 2 * PAIRS && step > STEPS * 3 / 4; i++)
            mean[i] += 4.0 / STEPS * (double)model.force.data[i];
    }
    check(cel_likelihood_fit(&relations, observed, NULL, &fitted, NULL, NULL));
    printf("planted 1.50 and -0.40; the last quarter's mean %.2f and %.2f; cel_likelihood_fit %.2f and %.2f\n",
           mean[WITHIN], mean[NEXT], (double)fitted.force.data[WITHIN], (double)fitted.force.data[NEXT]);
    return 0;
}
