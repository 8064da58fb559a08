/* 10. Counts: what the noise of measuring does, and what undoes some of it.   Page: 10_counts.md
 *   cc -O2 -I. examples/course/10_counts.c -o 10 -lm && ./10      or      tcc -I. -run examples/course/10_counts.c
 * SPDX-License-Identifier: MIT */
#include "course.h"

enum { GENES = 12, SIDE = 40, DEPTHS = 4, WAYS = 3 };

/* Poisson counts, cells of different sizes, genes of different levels. Returns the mean count of a cell. */
static double count_molecules(const sheet *s, double depth, uint32_t stream, cel_mat y)
{
    double all = 0;
    int64_t k;
    for (k = 0; k < s->cells * GENES; k++) {
        cel_rng cell = cel_rng_at(11, stream, (uint32_t)(k / GENES), 0), one = cel_rng_at(12, stream, (uint32_t)k, 0);
        double level = 0.3 * (double)(k % GENES) - 1.5 + 0.7 * sqrt((double)GENES) * (double)s->x.data[k];
        y.data[k] = (cel_real)cel_rng_poisson(&one, depth / 29 * exp(0.5 * cel_rng_normal(&cell) + level));
        all += (double)y.data[k] / (double)s->cells;
    }
    return all;
}

int main(int argc, char **argv)
{
    static const double depth[DEPTHS] = {30, 100, 300, 1000};
    double r[WAYS][2][DEPTHS], want[GENES * GENES], got[GENES * GENES], counts[DEPTHS];
    draw d;
    draw_plot p = axes(70, 430, "counts a cell", "correlation, within cells");
    draw_series line[WAYS];
    cel_model truth = model_of(GENES, 0);
    cel_rng rng = cel_rng_at(10, 0, 0, 0);
    cel_mat y;
    sheet s = sheet_new(SIDE, GENES);
    int k, way, part, a, b;

    ask("The law is seen through counts: a molecule is found or not, and cells differ in size. What becomes of the\n"
        "planted weights when counts are taken as they are? What helps more: ten times the counts, or better rows?");
    for (a = 0; a < GENES; a++)
        for (b = a + 1; b < GENES; b++) {
            if (cel_rng_uniform(&rng) < 0.3) set_weight(&truth, WITHIN, a, b, 4 * cel_rng_normal(&rng));
            if (cel_rng_uniform(&rng) < 0.3) set_weight(&truth, BETWEEN, a, b, 0.6 * cel_rng_normal(&rng));
        }
    sample(&s, &truth, 1, 20);
    must(cel_mat_new(s.cells, GENES, &y));
    printf("r within, between:  counts as rows  standardised  without size\n");
    for (k = 0; k < DEPTHS; k++) {
        for (way = 0; way < WAYS; way++) {
            cel_scaling scaling;
            cel_scaling_options rows = CEL_ZERO;
            cel_score_options how = CEL_ZERO;
            cel_score_report report;
            cel_model m;
            counts[k] = count_molecules(&s, depth[k], (uint32_t)k, y);
            if (way == 0) printf("%5.0f counts a cell", counts[k]);
            rows.plain = way == 0;         /* log (1 + count), divided by its length */
            rows.size = way == 2 ? 1 : -1; /* else genes centred and scaled; the direction of size taken out */
            must(cel_scaling_fit(y, NULL, NULL, &rows, &scaling, NULL));
            if (way) how = cel_score_measured(scaling.size);
            else how.field = CEL_SCORE_FIELD_SHARED;
            how.group = s.tile;
            must(cel_score_fit(&s.relations, y, &how, &m, &report, NULL, NULL));
            for (part = WITHIN; part <= BETWEEN; part++) {
                pairs_of(truth.force, part, 0, want);
                r[way][part][k] = correlation(want, got, pairs_of(way ? report.partial : m.force, part, 0, got));
            }
            printf("    %5.2f %5.2f", r[way][0][k], r[way][1][k]);
            cel_model_free(&m), cel_score_report_free(&report), cel_scaling_free(&scaling);
        }
        printf("\n");
    }
    claim(r[0][0][0] < 0.2 && r[2][0][0] > 0.4, "few counts say nothing as they are, and something in good rows");
    claim(r[2][0][0] > r[0][0][3] && r[2][0][0] > r[1][0][3], "good rows are worth more than thirty times the counts");
    picture(&d, 540, 370, "Weights through counts", "How counts are made rows matters more than how many there are");
    line[0] = series("counts as rows", counts, r[0][WITHIN], NULL, DEPTHS, 0, DRAW_LINE | DRAW_POINTS);
    line[1] = series("standardised", counts, r[1][WITHIN], NULL, DEPTHS, 1, DRAW_LINE | DRAW_POINTS);
    line[2] = series("and without size", counts, r[2][WITHIN], NULL, DEPTHS, 2, DRAW_LINE | DRAW_POINTS);
    p.x.log = 1, p.y.most = 1;
    plot(&d, &p, line, WAYS, 360, 254);
    cel_mat_free(&y), cel_model_free(&truth), sheet_free(&s);
    return finish(&d, argc, argv, "10_counts.svg");
}
