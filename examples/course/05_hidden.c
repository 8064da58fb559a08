/* 5. The hidden cause: a weight that a gene you did not measure puts there.   Page: 05_hidden.md
 *   cc -O2 -I. examples/course/05_hidden.c -o 05 -lm && ./05      or      tcc -I. -run examples/course/05_hidden.c
 * SPDX-License-Identifier: MIT */
#include "course.h"

enum { GENES = 6, SIDE = 50, PAIRS = 3 };

int main(int argc, char **argv)
{
    static const int pair[PAIRS][2] = {{0, 1}, {0, 2}, {3, 4}};
    static const char *const name[PAIRS] = {"A-B", "A-C", "D-E"};
    double seen[PAIRS], seen_error[PAIRS], blind[PAIRS], blind_error[PAIRS];
    draw d;
    draw_plot p = named(64, 420, name, PAIRS, "fitted weight, planted: 0");
    draw_series points[2];
    cel_model truth = model_of(GENES, 0), whole, part;
    cel_score_report report, less;
    cel_mat x;
    sheet s;
    int k;

    ask("a gene H goes with A and with B, weight 6 each, within a cell. A and B have no weight.\n"
        "You fit once with H and once to the same cells without its column. What becomes of A-B?");
    s = sheet_new(SIDE, GENES);
    set_weight(&truth, WITHIN, 5, 0, 6);
    set_weight(&truth, WITHIN, 5, 1, 6);
    sample(&s, &truth, 1, 20);
    whole = fit(&s, s.x, 0, &report);
    must(cel_mat_new(s.cells, GENES - 1, &x)); /* the tissue as a panel without H sees it */
    must(cel_mat_copy(cel_mat_block(s.x, 0, 0, s.cells, GENES - 1), x));
    must(cel_slide_unit(x, NULL, NULL, NULL));
    part = fit(&s, x, 0, &less);
    printf("pair   planted   fitted with H     fitted without\n");
    for (k = 0; k < PAIRS; k++) {
        int a = pair[k][0], b = pair[k][1];
        seen[k] = weight(whole.force, WITHIN, a, b), seen_error[k] = weight(report.se, WITHIN, a, b);
        blind[k] = weight(part.force, WITHIN, a, b), blind_error[k] = weight(less.se, WITHIN, a, b);
        printf("%s %10.2f %+9.2f +- %.2f %+10.2f +- %.2f\n", name[k], weight(truth.force, WITHIN, a, b), seen[k],
               seen_error[k], blind[k], blind_error[k]);
    }
    claim(fabs(seen[0]) < 2 * seen_error[0], "with H in the fit, A-B is within two errors of 0");
    claim(blind[0] > 10 * blind_error[0], "without H, A-B is more than ten errors above 0");
    claim(fabs(blind[2]) < 2 * blind_error[2], "D-E, which H has nothing to do with, stays within two errors of 0");

    points[0] = series("H measured", NULL, seen, seen_error, PAIRS, 0, DRAW_POINTS);
    points[1] = series("H not measured", NULL, blind, blind_error, PAIRS, 1, DRAW_POINTS);
    picture(&d, 540, 350, "The hidden cause", "No pair shown has a planted weight; H drives A and B");
    plot(&d, &p, points, 2, 350, 94);
    cel_mat_free(&x);
    cel_score_report_free(&report);
    cel_score_report_free(&less);
    cel_model_free(&truth);
    cel_model_free(&whole);
    cel_model_free(&part);
    sheet_free(&s);
    return finish(&d, argc, argv, "05_hidden.svg");
}
