/* 6. Ablate a unit, patch a cell, ablate a weight: the drift is not the effect.   Page: 06_ablate.md
 *   cc -O2 -I. examples/course/06_ablate.c -o 06 -lm && ./06      or      tcc -I. -run examples/course/06_ablate.c
 * SPDX-License-Identifier: MIT */
#include "course.h"

enum { GENES = 4, SIDE = 20, WAYS = 3, B = 1, CELL = SIDE * SIDE / 2 + SIDE / 2, SWEEPS = 100 };

/* A in one cell times B next door, mean over contacts, of a tissue that lives on with these weights. */
static double next_door(const sheet *s, const cel_model *m)
{
    cel_model probe = model_of(GENES, 0);
    cel_sample *sampler = living(s, m, 5);
    cel_mat x;
    double h, sum = 0;
    int t;
    set_weight(&probe, BETWEEN, 0, B, 0.5);
    must(cel_mat_new(s->cells, GENES, &x));
    must(cel_mat_copy(s->x, x));
    for (t = 0; t < SWEEPS; t++) {
        must(cel_sample_sweep(sampler, x));
        must(cel_model_energy(&probe, &s->relations, x, &h, NULL, cel_mat_none(), NULL));
        sum += h / (double)cel_csr_count(&s->graph) / SWEEPS;
    }
    cel_sample_free(sampler), cel_mat_free(&x), cel_model_free(&probe);
    return sum;
}

int main(int argc, char **argv)
{
    static const char *const name[WAYS] = {"ablate unit A", "patch the cell", "ablate unit D"};
    double after[WAYS], sham[WAYS], effect[WAYS], z[WAYS], with, without;
    draw d;
    draw_plot p = named(64, 420, name, WAYS, "|change| of the tissue");
    draw_series bars[3];
    cel_model m = model_of(GENES, 1);
    sheet s;
    int way, g;

    ask("A goes with B next door; D has no weight at all. You hold A at 0 in one cell and look at the tissue\n"
        "around it a while later. How much of the change did you cause? And had you held D at 0?");
    s = sheet_new(SIDE, GENES);
    set_weight(&m, BETWEEN, 0, B, 0.8);
    set_weight(&m, WITHIN, B, 2, 2);
    for (g = 0; g < GENES; g++) m.field[g] = (cel_real)0.5;
    sample(&s, &m, 1, 20);
    printf("                       |change| of the tissue                   B in the six neighbours\n"
           "                 after - start   sham - start   after - sham   after - sham             z\n");
    for (way = 0; way < WAYS; way++) {
        cel_intervention what = CEL_ZERO;
        cel_effect e;
        what.cell = CELL;
        what.gene = way == 2 ? 3 : 0; /* held at 0 */
        if (way == 1) what.what = CEL_DO_ROW, what.like = 17; /* or the whole row held at that of cell 17 */
        e = intervene(&s, &m, &what, 3);
        after[way] = e.moved, sham[way] = e.drift, effect[way] = e.size, z[way] = e.table->z[GENES + B];
        printf("%-15s %14.2f %14.2f %14.2f %+13.4f +- %.4f %7.1f\n", name[way], after[way], sham[way], effect[way],
               e.table->mean[GENES + B], e.table->se[GENES + B], z[way]);
        cel_effect_free(&e);
    }
    with = next_door(&s, &m);
    set_weight(&m, BETWEEN, 0, B, 0);
    without = next_door(&s, &m);
    printf("ablate the weight A-B: A times B next door %.3f with it, %.3f without\n", with, without);
    claim(fabs(after[0] / after[2] - 1) < 0.05, "without a control, ablating A looks like ablating D");
    claim(fabs(z[0]) > 5 && fabs(z[1]) > 5, "against the sham, A and the patch act on B next door");
    claim(fabs(z[2]) < 2, "and D does not");
    claim(without < with / 4, "most of A next to B is due to the one weight between them");
    bars[0] = series("after - start: what you see without a control", NULL, after, NULL, WAYS, 0, DRAW_BARS);
    bars[1] = series("sham - start: the drift", NULL, sham, NULL, WAYS, 4, DRAW_BARS);
    bars[2] = series("after - sham: the effect", NULL, effect, NULL, WAYS, 1, DRAW_BARS);
    picture(&d, 540, 350, "The drift is not the effect", "Most of what changes after it changes without it too");
    p.y.least = 0, p.y.most = 5;
    plot(&d, &p, bars, 3, 180, 92);
    cel_model_free(&m);
    sheet_free(&s);
    return finish(&d, argc, argv, "06_ablate.svg");
}
