/* 3. Can behaviour give the weights back? Errors fall like 1 / sqrt(cells), or they do not.   Page: 03_recover.md
 *   cc -O2 -I. examples/course/03_recover.c -o 03 -lm && ./03      or      tcc -I. -run examples/course/03_recover.c
 * SPDX-License-Identifier: MIT */
#include "course.h"

enum { GENES = 4, SIZES = 3, TISSUES = 6, PAIRS = GENES * (GENES - 1) };

/* The weights of all pairs, within cells and between them. */
static void all_pairs(cel_mat stacked, double *out)
{
    pairs_of(stacked, WITHIN, 0, out);
    pairs_of(stacked, BETWEEN, 0, out + PAIRS / 2);
}

int main(int argc, char **argv)
{
    double cells[SIZES], off[SIZES] = {0}, stated[SIZES] = {0}, r_fit[SIZES] = {0}, r_old[SIZES] = {0};
    double want[PAIRS], got[PAIRS], fall, c;
    draw d;
    draw_plot p = axes(70, 430, "cells", "error of a weight");
    draw_series line[2];
    int k, t, i, r, constant = 0;

    ask("Random weights between four genes, within cells and between neighbours. From four times the cells,\n"
        "how much smaller is the error of a fitted weight? And how do the weights of the published estimator fare?");
    printf("                                        correlation with the planted weights\n"
           "  cells   off by   error stated        of the fit   of the published estimator\n");
    for (k = 0; k < SIZES; k++) {
        for (t = 0; t < TISSUES; t++) {
            cel_model truth = model_of(GENES, 0), m, old;
            cel_rng rng = cel_rng_at(3, (uint32_t)t, 0, 0);
            cel_score_report report;
            sheet s = sheet_new(12 << k, GENES);
            for (r = WITHIN; r <= BETWEEN; r++)
                for (i = 0; i < GENES * GENES; i++)
                    if (i / GENES < i % GENES)
                        set_weight(&truth, r, i / GENES, i % GENES, (r == WITHIN ? 3 : 0.6) * cel_rng_uniform(&rng));
            sample(&s, &truth, (uint64_t)t + 1, 20);
            m = fit(&s, s.x, 0, &report);
            all_pairs(truth.force, want), all_pairs(m.force, got);
            for (i = 0; i < PAIRS; i++) off[k] += (got[i] - want[i]) * (got[i] - want[i]) / PAIRS / TISSUES;
            r_fit[k] += correlation(want, got, PAIRS) / TISSUES;
            all_pairs(report.se, got);
            for (i = 0; i < PAIRS; i++) stated[k] += got[i] * got[i] / PAIRS / TISSUES;
            old = published_fit(&s, (uint64_t)t + 1);
            all_pairs(old.force, got);
            c = correlation(want, got, PAIRS);
            if (c >= -1 && c <= 1) r_old[k] += c / TISSUES;
            else constant++; /* all weights the same: no correlation, counted as 0 */
            cel_model_free(&truth), cel_model_free(&m), cel_model_free(&old);
            cel_score_report_free(&report), sheet_free(&s);
        }
        cells[k] = (12 << k) * (12 << k);
        off[k] = sqrt(off[k]), stated[k] = sqrt(stated[k]);
        printf("%7.0f %8.2f %14.2f %17.2f %28.2f\n", cells[k], off[k], stated[k], r_fit[k], r_old[k]);
    }
    fall = log(off[SIZES - 1] / off[0]) / log(cells[SIZES - 1] / cells[0]);
    printf("The error of the fit falls like cells to the power %.2f. The published estimator gave all pairs the same\n"
           "weight in %d of %d tissues (correlation counted as 0).\n", fall, constant, SIZES * TISSUES);
    claim(fall < -0.4 && fall > -0.7, "the error of the fit falls about like 1 / sqrt(cells), a power of -0.5");
    claim(fabs(log(stated[2] / off[2])) < 0.35, "the error that it states is about the error that it makes");
    claim(r_fit[2] > 0.95, "sixteen times the cells bring it to the planted weights");
    claim(r_old[2] < 0.2, "they bring the published estimator no nearer");
    p.x.log = p.y.log = 1;
    line[0] = series("how far the fit is off", cells, off, NULL, SIZES, 0, DRAW_LINE | DRAW_POINTS);
    line[1] = series("the error that it states", cells, stated, NULL, SIZES, 1, DRAW_LINE | DRAW_POINTS);
    picture(&d, 540, 370, "Can behaviour give the weights back?", "Four times the cells, half the error");
    plot(&d, &p, line, 2, 330, 96);
    return finish(&d, argc, argv, "03_recover.svg");
}
