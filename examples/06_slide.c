/* From counts to forces in one call. Without arguments the slide is drawn: tissue of known forces, seen through counts.
 *   cc -O2 -I. examples/06_slide.c -o build/06_slide -lm && ./build/06_slide [counts.npy coords.npy]
 * SPDX-License-Identifier: MIT */
#define CELCOMEN_IMPLEMENTATION
#include "celcomen.h"

enum { SIDE = 60, CELLS = SIDE * SIDE, GENES = 12 };

static void check(cel_status status, const cel_error *err)
{
    if (status == CEL_OK) return;
    printf("%s (cell %d, gene %d)\n", err && err->what ? err->what : cel_strerror(status), err ? (int)err->cell : -1,
           err ? (int)err->gene : -1);
    exit(1);
}

static void set(cel_mat force, int a, int b, double value)
{
    force.data[a * GENES + b] = force.data[b * GENES + a] = (cel_real)value;
}

/* Counts of some 1,000 molecules a cell; library sizes differ two- or threefold between cells. */
static void draw(cel_slide *slide)
{
    cel_csr graph;
    cel_relations relations;
    cel_model truth;
    cel_mat x;
    int i, k;
    check(cel_mat_new(CELLS, 2, &slide->coords), NULL);
    check(cel_graph_hex_coords(SIDE, SIDE, slide->coords), NULL);
    check(cel_graph_make(slide->coords, NULL, NULL, &graph, NULL), NULL);
    check(cel_relations_from_graph(&graph, NULL, &relations, NULL), NULL);
    check(cel_model_new(GENES, 2, 0, &truth), NULL);
    set(cel_model_force(&truth, 0), 0, 1, 4);   /* together within a cell */
    set(cel_model_force(&truth, 0), 2, 3, -4);  /* against each other within a cell */
    set(cel_model_force(&truth, 1), 4, 5, 1.2); /* together across neighbours */
    check(cel_mat_new(CELLS, GENES, &x), NULL);
    check(cel_mat_new(CELLS, GENES, &slide->x), NULL);
    cel_sample_uniform(1, 0, 0, x);
    check(cel_sample_run(&truth, &relations, NULL, x, NULL, NULL, NULL), NULL);
    for (i = 0; i < CELLS; i++) {
        cel_rng rng = cel_rng_at(2, 0, (uint32_t)i, 0);
        double size = 80 * exp(0.5 * cel_rng_normal(&rng));
        for (k = 0; k < GENES; k++)
            slide->x.data[i * GENES + k] =
                (cel_real)cel_rng_poisson(&rng, size * exp(0.8 * sqrt((double)GENES) * (double)x.data[i * GENES + k]));
    }
    cel_mat_free(&x);
    cel_model_free(&truth);
    cel_relations_free(&relations);
    cel_csr_free(&graph);
    printf("planted: within 0-1 and 2-3 (negative), between 4-5\n");
}

int main(int argc, char **argv)
{
    cel_slide slide = CEL_ZERO;
    cel_score_result fit;
    cel_error err = CEL_ZERO;
    int64_t n, a, b;
    if (argc > 2) {
        check(cel_npy_matrix(argv[1], &slide.x, &err), &err);
        check(cel_npy_matrix(argv[2], &slide.coords, &err), &err);
    } else {
        draw(&slide);
    }
    check(cel_score_slide(&slide, NULL, &fit, &err), &err);
    n = fit.model.genes;
    printf("%d cells, %d genes, ridge %.3g; pairs with q < 0.05, in units of partial correlations:\n",
           (int)fit.rows.x.rows, (int)n, fit.report.ridge);
    for (a = 0; a < 2 * n; a++)
        for (b = a % n + 1; b < n; b++)
            if (fit.report.q.data[a * n + b] < (cel_real)0.05)
                printf("%-8s %d - %d   %6.3f +- %.3f\n", a < n ? "within" : "between", (int)fit.rows.gene[a % n],
                       (int)fit.rows.gene[b], (double)fit.report.test.data[a * n + b],
                       (double)fit.report.se.data[a * n + b]);
    cel_score_slide_free(&fit);
    cel_mat_free(&slide.x);
    cel_mat_free(&slide.coords);
    return 0;
}
