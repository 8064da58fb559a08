/* 9. A method that cannot fail: a score that an untrained start passes, and how to build a null.   Page: 09_null.md
 *   cc -O2 -I. examples/course/09_null.c -o 09 -lm && ./09      or      tcc -I. -run examples/course/09_null.c
 * SPDX-License-Identifier: MIT */
#include "course.h"

enum { GENES = 4, SIDE = 20, TISSUES = 20, METHODS = 4 };

/* Correlation of a model's weights between cells with the planted ones; 0 where it gives all the same. */
static double score(const cel_model *truth, const cel_model *m, int diagonal)
{
    double want[GENES * GENES], got[GENES * GENES], r;
    int count = pairs_of(truth->force, BETWEEN, diagonal, want);
    pairs_of(m->force, BETWEEN, diagonal, got);
    r = correlation(want, got, count);
    return r >= -1 && r <= 1 ? r : 0;
}

/* A null: every cell as it is, at another one's place. What a fit then finds between cells is false. */
static void shuffle(cel_mat x, cel_rng *rng)
{
    int64_t i, j, g;
    for (i = x.rows - 1; i > 0; i--)
        for (g = 0, j = cel_rng_integer(rng, (uint32_t)i + 1); g < x.cols; g++) {
            cel_real keep = x.data[i * x.stride + g];
            x.data[i * x.stride + g] = x.data[j * x.stride + g];
            x.data[j * x.stride + g] = keep;
        }
}

int main(int argc, char **argv)
{
    static const char *const name[METHODS] = {"untrained", "published", "score matching", "same, shuffled"};
    double mean[2][METHODS] = {{0}}, square[2][METHODS] = {{0}}, error[2][METHODS];
    draw d;
    draw_plot p = named(64, 440, name, METHODS, "correlation with the truth");
    draw_series bars[2];
    int t, k, a, b;

    ask("Somebody plants weights between neighbours, large and equal on the diagonal, random elsewhere, fits, and\n"
        "reports the correlation of all entries with the truth. What would a fit score that has learnt nothing?");
    for (t = 0; t < TISSUES; t++) {
        cel_model truth = model_of(GENES, 0), m[METHODS];
        cel_rng rng = cel_rng_at(9, (uint32_t)t, 0, 0);
        cel_score_report report;
        sheet s = sheet_new(SIDE, GENES);
        for (a = 0; a < GENES; a++)
            for (b = a; b < GENES; b++) set_weight(&truth, BETWEEN, a, b, a == b ? 0.4 : 0.4 * cel_rng_uniform(&rng));
        sample(&s, &truth, (uint64_t)t + 1, 20);
        m[0] = model_of(GENES, 0);
        must(cel_paper_start((uint64_t)t + 1, &m[0])); /* where the published fit begins */
        m[1] = published_fit(&s, (uint64_t)t + 1);
        m[2] = fit(&s, s.x, 0, &report);
        cel_score_report_free(&report);
        shuffle(s.x, &rng);
        m[3] = fit(&s, s.x, 0, &report);
        cel_score_report_free(&report);
        for (k = 0; k < 2 * METHODS; k++) {
            double r = score(&truth, &m[k / 2], k % 2);
            mean[k % 2][k / 2] += r / TISSUES, square[k % 2][k / 2] += r * r / TISSUES;
        }
        for (k = 0; k < METHODS; k++) cel_model_free(&m[k]);
        cel_model_free(&truth), sheet_free(&s);
    }
    printf("correlation with the planted weights between cells, mean of %d tissues\n"
           "                         all entries   off the diagonal\n", TISSUES);
    for (k = 0; k < METHODS; k++) {
        for (t = 0; t < 2; t++) error[t][k] = sqrt((square[t][k] - mean[t][k] * mean[t][k]) / (TISSUES - 1));
        printf("%-21s %+6.2f +- %.2f %+8.2f +- %.2f\n", name[k], mean[1][k], error[1][k], mean[0][k], error[0][k]);
    }
    claim(mean[1][0] > 0.5 && fabs(mean[0][0]) < 2 * error[0][0], "the diagonal makes 0.5 out of an untrained 0");
    claim(fabs(mean[0][1]) < 2 * error[0][1], "off the diagonal the published fit scores 0 within two errors");
    claim(mean[0][2] > 0.5, "score matching scores above 0.5 there");
    claim(fabs(mean[0][3]) < 2 * error[0][3], "and on shuffled cells 0 within two errors: it can fail");
    bars[0] = series("off the diagonal", NULL, mean[0], error[0], METHODS, 0, DRAW_BARS);
    bars[1] = series("all entries", NULL, mean[1], error[1], METHODS, 5, DRAW_BARS);
    picture(&d, 540, 350, "A method that cannot fail", "What is equal by construction makes a score");
    p.y.most = 1.2;
    plot(&d, &p, bars, 2, 380, 92);
    return finish(&d, argc, argv, "09_null.svg");
}
