/* 1. One weight, one law: a weight is the slope of a log probability.   Page: 01_weight.md
 *   cc -O2 -I. examples/course/01_weight.c -o 01 -lm && ./01      or      tcc -I. -run examples/course/01_weight.c
 * SPDX-License-Identifier: MIT */
#include "course.h"

enum { SIDE = 50, DRAWS = 6, BINS = 12 };

int main(int argc, char **argv)
{
    static const double WEIGHT = 0.8, PI = 3.14159265358979;
    double at[BINS], count[BINS] = {0}, y[BINS], error[BINS], law[BINS], norm = 0, all = 0;
    double sw = 0, sx = 0, sy = 0, sxx = 0, sxy = 0, slope, slope_error, chi = 0;
    draw d;
    draw_plot p = axes(70, 440, "sin 2t", "log (P / P without weight)");
    draw_series line[2];
    cel_model model = model_of(2, 0);
    sheet s;
    int k, draws;
    int64_t i;

    ask("Two genes in a cell: a row (cos t, sin t). Their weight is 0.8, so H = 2 x 0.8 cos t sin t = 0.8 sin 2t.\n"
        "At which angles do most cells lie? If you plot log P against sin 2t, what do you see?");
    s = sheet_new(SIDE, 2);
    set_weight(&model, WITHIN, 0, 1, WEIGHT);
    for (draws = 0; draws < DRAWS; draws++) {
        sample(&s, &model, (uint64_t)draws + 1, 10);
        for (i = 0; i < s.cells; i++, all++) {
            double t = atan2((double)s.x.data[2 * i + 1], (double)s.x.data[2 * i]);
            count[(int)((t + 2 * PI) / PI * BINS) % BINS]++; /* t and t + 180 degrees are as likely */
        }
    }
    for (k = 0; k < BINS; k++) norm += exp(WEIGHT * sin(2 * PI * (k + 0.5) / BINS)) / BINS;
    printf("   t (degrees)   sin 2t     cells   log(P/P0) +- error      law\n");
    for (k = 0; k < BINS; k++) {
        double t = PI * (k + 0.5) / BINS, w = count[k];
        at[k] = sin(2 * t) * sin(PI / BINS) / (PI / BINS); /* the mean over the bin */
        y[k] = log(count[k] / all * BINS);
        error[k] = 1 / sqrt(count[k]);
        law[k] = WEIGHT * at[k] - log(norm);
        printf("%14.1f %8.2f %9.0f %11.3f +- %.3f %8.3f\n", t / PI * 180, at[k], count[k], y[k], error[k], law[k]);
        sw += w, sx += w * at[k], sy += w * y[k], sxx += w * at[k] * at[k], sxy += w * at[k] * y[k];
        chi += (y[k] - law[k]) * (y[k] - law[k]) / error[k] / error[k];
    }
    slope = (sxy - sx * sy / sw) / (sxx - sx * sx / sw);
    slope_error = 1 / sqrt(sxx - sx * sx / sw);
    printf("slope of log P: %.3f +- %.3f\n", slope, slope_error);
    claim(fabs(slope - WEIGHT) < 2 * slope_error, "the slope is the weight, within two errors");
    claim(chi < 21, "and the counts lie on the law (chi squared of 12 bins below 21)");
    line[0] = series("cells counted", at, y, error, BINS, 0, DRAW_POINTS);
    line[1] = series("the law: a line of slope 0.8", at, law, NULL, BINS, 1, DRAW_LINE);
    picture(&d, 540, 370, "A weight is the slope of a log probability", "15,000 cells of two genes");
    plot(&d, &p, line, 2, 90, 96);
    sheet_free(&s);
    cel_model_free(&model);
    return finish(&d, argc, argv, "01_weight.svg");
}
