/* 2. Correlation is not a weight: a chain of genes, A - B - C.   Page: 02_chain.md
 *   cc -O2 -I. examples/course/02_chain.c -o 02 -lm && ./02      or      tcc -I. -run examples/course/02_chain.c
 * SPDX-License-Identifier: MIT */
#include "course.h"

enum { GENES = 5, SIDE = 50, PAIRS = 4 };

int main(int argc, char **argv)
{
    static const int pair[PAIRS][2] = {{0, 1}, {1, 2}, {0, 2}, {3, 4}};
    static const char *const name[PAIRS] = {"A-B", "B-C", "A-C", "D-E"};
    double r[PAIRS], planted[PAIRS], found[PAIRS], error[PAIRS];
    draw d;
    draw_plot left = named(64, 190, name, PAIRS, "correlation"), right = named(320, 210, name, PAIRS, "weight");
    draw_series bars = series("correlation", NULL, r, NULL, PAIRS, 5, DRAW_BARS), points[2];
    cel_model truth = model_of(GENES, 0), m;
    cel_score_report report;
    sheet s;
    int k;

    ask("A goes with B, and B with C, within a cell; A and C have no weight at all.\n"
        "Will A and C correlate? Will a fit that sees every gene give A-C a weight?");
    s = sheet_new(SIDE, GENES);
    set_weight(&truth, WITHIN, 0, 1, 4);
    set_weight(&truth, WITHIN, 1, 2, 4);
    sample(&s, &truth, 1, 20);
    m = fit(&s, s.x, 0, &report);
    printf("pair   planted   correlation   fitted weight\n");
    for (k = 0; k < PAIRS; k++) {
        int a = pair[k][0], b = pair[k][1];
        r[k] = gene_correlation(s.x, a, b);
        planted[k] = weight(truth.force, WITHIN, a, b);
        found[k] = weight(m.force, WITHIN, a, b);
        error[k] = weight(report.se, WITHIN, a, b);
        printf("%s %10.2f %+13.2f %+9.2f +- %.2f\n", name[k], planted[k], r[k], found[k], error[k]);
    }
    claim(r[2] > 0.4, "A and C, without a weight, correlate by more than 0.4");
    claim(fabs(found[2]) < 2 * error[2], "their fitted weight is within two errors of 0");
    claim(fabs(found[0] - 4) < 2 * error[0] && fabs(found[1] - 4) < 2 * error[1], "the others within two errors of 4");

    points[0] = series("planted", NULL, planted, NULL, PAIRS, 1, DRAW_POINTS);
    points[1] = series("fitted", NULL, found, error, PAIRS, 0, DRAW_POINTS);
    picture(&d, 560, 350, "Correlation is not a weight", "A chain A - B - C: A and C correlate, and have no weight");
    plot(&d, &left, &bars, 1, 0, 0);
    plot(&d, &right, points, 2, 440, 92);
    cel_score_report_free(&report);
    cel_model_free(&truth);
    cel_model_free(&m);
    sheet_free(&s);
    return finish(&d, argc, argv, "02_chain.svg");
}
