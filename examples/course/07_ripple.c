/* 7. Ripple: how far an intervention reaches, and what attribution foretells of it.   Page: 07_ripple.md
 *   cc -O2 -I. examples/course/07_ripple.c -o 07 -lm && ./07      or      tcc -I. -run examples/course/07_ripple.c
 * SPDX-License-Identifier: MIT */
#include "course.h"

enum { GENES = 3, SIDE = 21, WEIGHTS = 3, HOPS = 4, CELL = SIDE * SIDE / 2, SWEEPS = 100 };

/* Covariance of A in cells so many steps apart, in an undisturbed tissue that lives on (its mean is 0). */
static void covariance(sheet *s, const cel_model *m, double *out)
{
    cel_csr apart[HOPS];
    cel_sample *sampler = living(s, m, 2);
    int hop, t;
    int64_t i, e;
    for (hop = 1; hop < HOPS; hop++) must(cel_csr_hop(&s->graph, hop, &apart[hop]));
    for (hop = 0; hop < HOPS; hop++) out[hop] = 0;
    for (t = 0; t < SWEEPS; t++) {
        must(cel_sample_sweep(sampler, s->x));
        for (i = 0; i < s->cells; i++) {
            double a = (double)s->x.data[i * GENES];
            out[0] += a * a / (double)s->cells;
            for (hop = 1; hop < HOPS; hop++)
                for (e = apart[hop].start[i]; e < apart[hop].start[i + 1]; e++)
                    out[hop] += a * (double)s->x.data[apart[hop].index[e] * GENES] / (double)apart[hop].start[s->cells];
        }
    }
    for (hop = 1; hop < HOPS; hop++) cel_csr_free(&apart[hop]);
    cel_sample_free(sampler);
}

int main(int argc, char **argv)
{
    static const double coupling[WEIGHTS] = {0.06, 0.12, 0.24};
    static const char *const step[HOPS - 1] = {"1 step away", "2 steps", "3 steps"};
    static const char *const name[WEIGHTS] = {"weight 0.06", "weight 0.12", "weight 0.24"};
    double effect[WEIGHTS][HOPS], error[WEIGHTS][HOPS], foretold[WEIGHTS][HOPS], off = 0;
    draw d;
    draw_plot p = named(70, 430, step, HOPS - 1, "effect on A");
    draw_series line[2 * WEIGHTS];
    int k, hop;

    ask("A goes with itself in neighbouring cells, and you hold A at 0.9 in one cell. How does the effect on A\n"
        "fall with the steps from there? What if the weight is doubled? Could a tissue left alone have told you?");
    printf("weight   steps   effect on A +- error   foretold by the undisturbed tissue\n");
    for (k = 0; k < WEIGHTS; k++) {
        cel_model m = model_of(GENES, 0);
        cel_intervention hold = CEL_ZERO;
        sheet s = sheet_new(SIDE, GENES);
        cel_effect e;
        set_weight(&m, BETWEEN, 0, 0, coupling[k]);
        sample(&s, &m, 1, 20);
        hold.cell = CELL;
        hold.value = 0.9;
        e = intervene(&s, &m, &hold, 6);
        covariance(&s, &m, foretold[k]);
        for (hop = HOPS - 1; hop >= 0; hop--) foretold[k][hop] *= e.table->mean[0] / foretold[k][0];
        for (hop = 0; hop < HOPS; hop++) {
            effect[k][hop] = e.table->mean[hop * GENES], error[k][hop] = e.table->se[hop * GENES];
            printf("%6.2f %7d %13.4f +- %.4f %23.4f\n", coupling[k], hop, effect[k][hop], error[k][hop],
                   foretold[k][hop]);
            off += hop ? pow((effect[k][hop] - foretold[k][hop]) / error[k][hop], 2) / WEIGHTS / (HOPS - 1) : 0;
        }
        line[2 * k] = series(name[k], NULL, effect[k] + 1, error[k] + 1, HOPS - 1, k, DRAW_POINTS);
        line[2 * k + 1] = series("foretold", NULL, foretold[k] + 1, NULL, HOPS - 1, k, DRAW_LINE);
        cel_effect_free(&e), cel_model_free(&m), sheet_free(&s);
    }
    claim(effect[0][1] > 3 * error[0][1] && effect[0][2] < 3 * error[0][2], "the smallest weight reaches one step");
    claim(effect[2][2] > 3 * error[2][2] && effect[2][2] > effect[0][1], "four times that weight reaches further");
    claim(sqrt(off) < 2, "a tissue left alone foretells the effects, to less than two errors (root mean square)");
    picture(&d, 540, 370, "Ripple", "Points: effect of A held at 0.9. Lines: foretold by a tissue left alone");
    plot(&d, &p, line, 2 * WEIGHTS, 360, 96);
    return finish(&d, argc, argv, "07_ripple.svg");
}
