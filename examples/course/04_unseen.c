/* 4. Weights that nobody can see: gauge, size, superposition.   Page: 04_unseen.md
 *   cc -O2 -I. examples/course/04_unseen.c -o 04 -lm && ./04      or      tcc -I. -run examples/course/04_unseen.c
 * SPDX-License-Identifier: MIT */
#include "course.h"

enum { GENES = 4, PROGRAMMES = 6, TISSUES = 20, WAYS = 4 };

/* H of random tissues, less their mean, which is returned; u, if given: rows have lost their part along it. */
static double energies(sheet *s, const cel_model *m, const double *u, double *h)
{
    double mean = 0;
    int64_t i, t, g;
    for (t = 0; t < TISSUES; t++) {
        cel_sample_uniform(7, (uint32_t)t, 0, s->x);
        for (i = 0; u && i < s->cells * GENES; i += GENES) {
            cel_real along = 0;
            for (g = 0; g < GENES; g++) along += s->x.data[i + g] * (cel_real)u[g];
            for (g = 0; g < GENES; g++) s->x.data[i + g] -= along * (cel_real)u[g];
        }
        must(cel_slide_unit(s->x, NULL, NULL, NULL));
        must(cel_model_energy(m, &s->relations, s->x, &h[t], NULL, cel_mat_none(), NULL));
        mean += h[t] / TISSUES;
    }
    for (t = 0; t < TISSUES; t++) h[t] -= mean;
    return mean;
}

/* Weights as a sum of programmes, F = sum_k p_k p_k'; turned: each programme mixed with the next one. */
static void superpose(cel_model *m, int turned, double *p)
{
    cel_rng rng = cel_rng_at(4, 0, 0, 0);
    int k, a;
    for (k = 0; k < PROGRAMMES * GENES; k++) p[k] = cel_rng_normal(&rng) / 2;
    for (k = 0; turned && k < (PROGRAMMES - 1) * GENES; k++) {
        double x = p[k], y = p[k + GENES];
        p[k] = 0.6 * x + 0.8 * y, p[k + GENES] = 0.6 * y - 0.8 * x;
    }
    for (k = 0; k < PROGRAMMES * GENES; k++)
        for (a = 0; a < GENES; a++) m->force.data[k % GENES * GENES + a] += (cel_real)(p[k] * p[k / GENES * GENES + a]);
}

int main(int argc, char **argv)
{
    static const char *const name[WAYS] = {"1 gauge", "2 size", "3 superposition", "4 a real weight"};
    static const double u[GENES] = {0.5, 0.5, 0.5, 0.5}, c[GENES] = {2, -1, 3, 0};
    double h[WAYS][2][TISSUES], entries[2][PROGRAMMES * GENES], mean[2], beyond[WAYS];
    draw d;
    draw_plot plane = axes(70, 430, "H before, less its mean", "H after, less its mean");
    draw_series dots[WAYS];
    sheet s = sheet_new(16, GENES);
    int way, side, a, b, count = 0;

    ask("Four changes of the weights: (1) each gene's weight with itself + 3; (2) rows have lost their part\n"
        "along u, the direction of size: u c' + c u' added; (3) the weights are a sum of 6 programmes of 4 genes:\n"
        "each programme mixed with the next; (4) one weight + 0.5. Which makes a tissue likelier than another?");
    printf("change            entries differ by   H of 20 tissues moves: all alike   beyond that\n");
    for (way = 0; way < WAYS; way++) {
        for (side = 0; side < 2; side++) {
            cel_model m = model_of(GENES, 0);
            if (way == 2) superpose(&m, side, entries[side]);
            else set_weight(&m, WITHIN, 0, 1, way == 3 && side ? 1.5 : 1);
            for (a = 0; side && way < 2 && a < GENES; a++)
                for (b = 0; b < GENES; b++)
                    m.force.data[a * GENES + b] += (cel_real)(way == 0 ? 3.0 * (a == b) : u[a] * c[b] + c[a] * u[b]);
            count = way == 2 ? PROGRAMMES * GENES : pairs_of(m.force, WITHIN, 1, entries[side]);
            mean[side] = energies(&s, &m, way == 1 ? u : NULL, h[way][side]);
            cel_model_free(&m);
        }
        beyond[way] = apart(h[way][0], h[way][1], TISSUES);
        printf("%-17s %18.2f %32.1f %13.2f\n", name[way], apart(entries[0], entries[1], count), fabs(mean[1] - mean[0]),
               beyond[way]);
        dots[way] = series(name[way], h[way][0], h[way][1], NULL, TISSUES, way, DRAW_POINTS);
    }
    claim(beyond[0] + beyond[1] + beyond[2] < 0.02, "1, 2 and 3 change no tissue against another: nobody can see them");
    claim(beyond[3] > 1, "4 does, with the smallest change of all");
    picture(&d, 540, 370, "Weights that nobody can see", "H of 20 tissues: what leaves the line changes the law");
    plot(&d, &plane, dots, WAYS, 90, 96);
    sheet_free(&s);
    return finish(&d, argc, argv, "04_unseen.svg");
}
