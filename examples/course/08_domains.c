/* 8. From disorder to domains, and why the most likely tissue is not a typical one.   Page: 08_domains.md
 *   cc -O2 -I. examples/course/08_domains.c -o 08 -lm && ./08      or      tcc -I. -run examples/course/08_domains.c
 * SPDX-License-Identifier: MIT */
#include "course.h"

enum { GENES = 3, SIDE = 32, PANELS = 5 };

/* Mean over contacts of x_i . x_j: 1 where neighbours are alike. */
static double alike(const sheet *s)
{
    cel_model probe = model_of(GENES, 0);
    double h;
    int g;
    for (g = 0; g < GENES; g++) set_weight(&probe, BETWEEN, g, g, 1);
    must(cel_model_energy(&probe, &s->relations, s->x, &h, NULL, cel_mat_none(), NULL));
    cel_model_free(&probe);
    return h / (double)cel_csr_count(&s->graph);
}

int main(int argc, char **argv)
{
    static const double coupling[PANELS] = {0, 0.25, 0.4, 0.8, 0.8};
    static const char *const name[PANELS] = {"weight 0", "weight 0.25", "weight 0.4", "weight 0.8", "0.8, most likely"};
    double near[PANELS], h[PANELS], sd = 0;
    cel_model m = model_of(GENES, 0);
    sheet s = sheet_new(SIDE, GENES);
    char below[64];
    draw d;
    int k, g;

    ask("Three genes; each goes with itself next door, all by the same weight. What does the\n"
        "tissue look like at weight 0, and as the weight grows? Is a typical tissue like the likeliest?");
    picture(&d, 960, 300, "From disorder to domains", "The gene that each cell expresses most");
    printf("tissue              neighbours alike   H a cell\n");
    for (k = 0; k < PANELS; k++) {
        cel_sample_options o = CEL_ZERO;
        cel_ascent_options up = CEL_ZERO;
        cel_sample_report typical;
        cel_ascent_report top;
        for (g = 0; g < GENES; g++) set_weight(&m, BETWEEN, g, g, coupling[k]);
        o.seed = 1;
        if (k < PANELS - 1) {
            cel_sample_uniform(1, 0, 0, s.x);
            must(cel_sample_run(&m, &s.relations, &o, s.x, NULL, &typical, NULL));
            h[k] = typical.energy / (double)s.cells, sd = typical.deviation / (double)s.cells;
        } else {
            must(cel_ascent_run(&m, &s.relations, &up, s.x, &top, NULL)); /* from the last tissue */
            h[k] = top.energy / (double)s.cells;
        }
        near[k] = alike(&s);
        printf("%-18s %17.3f %10.3f", name[k], near[k], h[k]);
        printf(k && k < PANELS - 1 ? " +- %.3f from draw to draw\n" : "\n", sd);
        snprintf(below, sizeof below, "H a cell %.2f, alike %.2f", h[k], near[k]);
        draw_tissue(&d, &s, 20 + 188 * k, 92, name[k], below);
    }
    claim(near[0] < near[1] && near[1] < near[2] && near[2] < near[3], "the larger the weight, the more alike");
    claim(h[4] - h[3] > 20 * sd, "the most likely tissue is not typical: its H is over 20 deviations higher");
    claim(near[4] > 0.999, "it is one even domain");
    sheet_free(&s);
    cel_model_free(&m);
    return finish(&d, argc, argv, "08_domains.svg");
}
