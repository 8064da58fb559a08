/* The published method: is the gradient of its objective right, and where does the fit end?
 *   cc -O2 -I. examples/05_published.c -o build/05_published -lm && ./build/05_published
 * SPDX-License-Identifier: MIT */
#define CELCOMEN_IMPLEMENTATION
#include "celcomen.h"

#define TRY(call)                                                                                                      \
    do {                                                                                                               \
        if ((call) != CEL_OK) {                                                                                        \
            printf("%s\n", err.what ? err.what : "failed");                                                            \
            return 1;                                                                                                  \
        }                                                                                                              \
    } while (0)

enum { GENES = 4, CELLS = 100 };

int main(void)
{
    cel_error err = CEL_ZERO;
    cel_relations_options published = CEL_ZERO;
    cel_relations relations;
    cel_moments moments;
    cel_model model;
    cel_paper_options options = CEL_ZERO;
    cel_paper_report report;
    cel_paper_value at, up, down;
    cel_mat coords, x, gradient, none = CEL_ZERO;
    cel_csr graph;
    double losses[200], off = 0, size = 0;
    int i;

    /* A grid of 10 x 10 cells, their neighbours weighted as published, and cells that know nothing of each other. */
    TRY(cel_mat_new(CELLS, 2, &coords));
    TRY(cel_mat_new(CELLS, GENES, &x));
    TRY(cel_graph_hex_coords(10, 10, coords));
    TRY(cel_graph_radius(coords, NULL, 0, 1.6, 0, &graph, &err));
    published.weights = CEL_WEIGHTS_GCN;
    TRY(cel_relations_from_graph(&graph, &published, &relations, &err));
    cel_sample_uniform(1, 0, 1, x);
    TRY(cel_moments_new(GENES, &relations, &moments));
    TRY(cel_moments_add(&moments, &relations, x, NULL, 0, NULL));

    /* The gradient against central differences of the loss, force by force. */
    TRY(cel_model_new(GENES, 2, 0, &model));
    TRY(cel_paper_start(1, &model));
    TRY(cel_mat_new(2 * GENES, GENES, &gradient));
    TRY(cel_paper_loss(&model, &moments, &options, &at, gradient, &err));
    for (i = 0; i < 2 * GENES * GENES; i++) {
        cel_real keep = model.force.data[i], high = keep + (cel_real)1e-3, low = keep - (cel_real)1e-3;
        double slope;
        model.force.data[i] = high;
        TRY(cel_paper_loss(&model, &moments, &options, &up, none, &err));
        model.force.data[i] = low;
        TRY(cel_paper_loss(&model, &moments, &options, &down, none, &err));
        model.force.data[i] = keep;
        slope = (up.loss - down.loss) / ((double)high - (double)low);
        off += (slope - (double)gradient.data[i]) * (slope - (double)gradient.data[i]);
        size += slope * slope;
    }
    printf("loss %.6f = log Z %.6f - 0.1 (intra %.3f + inter %.3f)\n", at.loss, at.log_z, at.intra, at.inter);
    printf("gradient against differences of the loss: off by %.1e of its length\n", sqrt(off / size));

    TRY(cel_paper_fit(&moments, 1, &options, &model, losses, &report, &err));
    for (i = 0; i < 200; i = i ? 4 * i : 1) printf("epoch %3d  loss %10.4f\n", i, losses[i]);
    printf("%.0f %% of the forces between genes end at a bound of [0, 1]: the clamp decides, not the data.\n",
           100 * report.saturated);
    cel_mat_free(&coords);
    cel_mat_free(&x);
    cel_mat_free(&gradient);
    cel_csr_free(&graph);
    cel_relations_free(&relations);
    cel_moments_free(&moments);
    cel_model_free(&model);
    return 0;
}
