/* The pictures of bench/ and the README, drawn from bench/truth.csv, shifts.csv and recovery.csv.
 *
 *   cc -O2 -I. bench/pictures.c -o build/pictures -lm && build/pictures bench        (make truth and make recovery do)
 *
 * SPDX-License-Identifier: MIT */
#include "examples/report.h"

static const char *folder;

static show_table read_csv(const char *name)
{
    char path[600], *text;
    long size;
    FILE *f;
    show_table t;
    snprintf(path, sizeof path, "%.500s/%s", folder, name);
    f = fopen(path, "rb");
    if (!f || fseek(f, 0, SEEK_END) || (size = ftell(f)) < 0) {
        fprintf(stderr, "%s: cannot be read\n", path);
        exit(1);
    }
    rewind(f);
    text = (char *)show_get((size_t)size + 1, 1);
    if (fread(text, 1, (size_t)size, f) != (size_t)size) size = 0;
    fclose(f);
    t = show_parse(text);
    free(text);
    return t;
}

static void save(draw *d, const char *name)
{
    char path[600];
    snprintf(path, sizeof path, "%.500s/%s", folder, name);
    if (draw_save(d, path)) {
        fprintf(stderr, "%s: cannot be written\n", path);
        exit(1);
    }
    printf("%s\n", path);
}

/* The tables' columns: experiment,setting,method,force,figure,median,lower_quartile,upper_quartile. */
enum { EXPERIMENT, SETTING, METHOD, FORCE, FIGURE, MEDIAN, LOW, HIGH };

static int is(const show_table *t, int row, int column, const char *word)
{
    return strcmp(show_at(t, row, column), word) == 0;
}

/* "n30 share .3 hex, 300" is a setting seen through 300 counts; its name is shown as "30 genes share .3 hex". */
static int counts_of(const char *setting, size_t *name)
{
    const char *comma = strrchr(setting, ',');
    *name = comma ? (size_t)(comma - setting) : strlen(setting);
    return comma ? atoi(comma + 1) : 0;
}

typedef struct curve {
    double x[128], y[128], low[128], high[128];
    int count;
} curve;

static void add_point(curve *c, double x, const show_table *t, int row)
{
    int i = c->count;
    if (c->count == 128) return;
    for (c->count++; i > 0 && c->x[i - 1] > x; i--) { /* by x */
        c->x[i] = c->x[i - 1];
        c->y[i] = c->y[i - 1];
        c->low[i] = c->low[i - 1];
        c->high[i] = c->high[i - 1];
    }
    c->x[i] = x;
    c->y[i] = show_value(t, row, MEDIAN);
    c->low[i] = show_value(t, row, LOW);
    c->high[i] = show_value(t, row, HIGH);
}

static const char *const count_methods[] = {"recommended", "orthant form", "partial correlation", "default of 0.1.0",
                                            "plain correlation"};
static const int count_colours[] = {0, 3, 2, 1, 6};

/* One setting and force: a curve a method. */
static void panel(draw *d, double x, double y, const show_table *t, const char *setting, size_t length,
                  const char *force)
{
    draw_plot p;
    char title[80];
    int m, row;
    size_t name;
    memset(&p, 0, sizeof p);
    p.left = x + 50;
    p.top = y + 24;
    p.width = 160;
    p.height = 118;
    p.x.log = p.x.tight = p.y.tight = 1;
    p.x.least = 80;
    p.x.most = 6300;
    p.y.most = 1;
    snprintf(title, sizeof title, "%.*s genes%.*s", (int)strcspn(setting + 1, " "), setting + 1,
             (int)length - 1 - (int)strcspn(setting + 1, " "), setting + 1 + strcspn(setting + 1, " "));
    if (strcmp(force, "intra") == 0) draw_text(d, p.left, y + 14, 11, 's', "", title);
    else p.x.label = "counts a cell";
    draw_frame(d, &p);
    for (m = 0; m < 5; m++) {
        curve c;
        draw_series s;
        memset(&s, 0, sizeof s);
        c.count = 0;
        for (row = 1; row < t->rows; row++)
            if (is(t, row, EXPERIMENT, "recovery") && is(t, row, FIGURE, "pearson") && is(t, row, FORCE, force) &&
                is(t, row, METHOD, count_methods[m]) && counts_of(show_at(t, row, SETTING), &name) && name == length &&
                strncmp(show_at(t, row, SETTING), setting, length) == 0)
                add_point(&c, counts_of(show_at(t, row, SETTING), &name), t, row);
        s.name = count_methods[m];
        s.x = c.x;
        s.y = c.y;
        s.count = c.count;
        s.colour = count_colours[m];
        s.kind = DRAW_LINE | DRAW_POINTS;
        if (!c.count) continue;
        draw_band(d, &p, c.x, c.low, c.high, c.count, s.colour);
        draw_curve(d, &p, &s);
    }
}

static void draw_counts(const show_table *t)
{
    const char *setting[16];
    size_t length[16], name;
    draw_series legend[5];
    draw d;
    int n = 0, row, k, m;
    for (row = 1; row < t->rows; row++) {
        if (!is(t, row, EXPERIMENT, "recovery") || !is(t, row, FIGURE, "pearson")) continue;
        counts_of(show_at(t, row, SETTING), &name);
        for (k = 0; k < n && !(length[k] == name && strncmp(setting[k], show_at(t, row, SETTING), name) == 0); k++) {}
        if (k < n || n == 16) continue;
        setting[n] = show_at(t, row, SETTING);
        length[n++] = name;
    }
    draw_begin(&d, 900, 74 + 380 * ((n + 3) / 4), "Forces recovered through counts",
               "Correlation of fitted with planted forces by counts a cell, for seven kinds of tissue and five "
               "methods: the recommended fit is highest or level nearly everywhere within cells.");
    draw_heading(&d, "Forces recovered through counts", "Correlation of fitted forces with the planted ones (off the "
                 "diagonal) by counts a cell: medians of five tissues, bands from quartile to quartile.");
    for (k = 0; k < n; k++) {
        double y = 64 + 380 * (k / 4);
        panel(&d, 4 + 220 * (k % 4), y, t, setting[k], length[k], "intra");
        panel(&d, 4 + 220 * (k % 4), y + 180, t, setting[k], length[k], "inter");
        if (k % 4) continue;
        draw_turned(&d, 16, y + 83, -90, 12, 'm', "b", "within cells");
        draw_turned(&d, 16, y + 263, -90, 12, 'm', "b", "between neighbours");
    }
    memset(legend, 0, sizeof legend);
    for (m = 0; m < 5; m++) {
        legend[m].name = count_methods[m];
        legend[m].colour = count_colours[m];
        legend[m].kind = DRAW_LINE | DRAW_POINTS;
    }
    draw_legend(&d, 50 + 220 * (n % 4), d.height - 340, legend, 5);
    save(&d, "truth_counts.svg");
}

static void draw_gap(const show_table *t)
{
    static const char *const method[] = {"wild type", "osk", "predicted"};
    static const char *const name[] = {"wild type, observed", "osk mutant (no Kni, no posterior Gt), observed",
                                       "wild-type embryos with Kni and Gt held at 0, predicted"};
    static const int colour[] = {6, 1, 0};
    draw_series s[3];
    curve c[3];
    draw_plot p;
    draw d;
    int k, row;
    memset(&p, 0, sizeof p);
    memset(s, 0, sizeof s);
    p.left = 64;
    p.top = 140;
    p.width = 680;
    p.height = 270;
    p.x.label = "position, % egg length";
    p.y.label = "Kr";
    for (k = 0; k < 3; k++) {
        c[k].count = 0;
        for (row = 1; row < t->rows; row++)
            if (is(t, row, EXPERIMENT, "picture") && is(t, row, METHOD, method[k]))
                add_point(&c[k], show_value(t, row, SETTING), t, row);
        s[k].name = name[k];
        s[k].x = c[k].x;
        s[k].y = c[k].y;
        s[k].count = c[k].count;
        s[k].colour = colour[k];
        s[k].kind = DRAW_LINE;
        draw_hold(&p.x, c[k].x, NULL, c[k].count);
        draw_hold(&p.y, k == 2 ? c[k].high : c[k].y, NULL, c[k].count);
        draw_hold(&p.y, c[k].y, NULL, c[k].count);
    }
    draw_begin(&d, 770, 470, "Kr where Kni and Gt are missing",
               "Kr along the embryo: predicted with Kni and Gt held at 0 it rises behind its wild-type domain, but "
               "less than in the mutant.");
    draw_heading(&d, "Kr where Kni and Gt are missing",
                 "Fitted on wild-type embryos alone; the band holds half of them.");
    draw_legend(&d, 64, 68, s, 3);
    draw_frame(&d, &p);
    draw_put(&d.out, "<g opacity=\".3\">\n");
    draw_rect(&d, draw_x(&p, 45), p.top, draw_x(&p, 53) - draw_x(&p, 45), p.height, "f c6", NULL);
    draw_rect(&d, draw_x(&p, 55), p.top, draw_x(&p, 80) - draw_x(&p, 55), p.height, "f c5", NULL);
    draw_put(&d.out, "</g>\n");
    draw_text(&d, draw_x(&p, 67.5), p.top + 16, 11, 'm', "", "fair");
    draw_text(&d, draw_x(&p, 49), p.top - 6, 11, 'm', "", "the whole map moves");
    draw_band(&d, &p, c[2].x, c[2].low, c[2].high, c[2].count, 0);
    for (k = 0; k < 3; k++) draw_curve(&d, &p, &s[k]);
    save(&d, "truth_gap.svg");
}

static const char *const methods[] = {"untrained",   "published",     "correlation",
                                      "score-exact", "score-moments", "score-orthant"};
static const int method_colours[] = {15, 1, 6, 0, 2, 3};

/* The rows of one force: each setting's methods, a mark at the median and a line from quartile to quartile. */
static void recovery_panel(draw *d, double x, double width, const show_table *t, const char *const *setting, int n,
                           const char *force, const char *title, int names)
{
    draw_plot p;
    double row_high = 24, top = 112;
    int k, m, row;
    memset(&p, 0, sizeof p);
    p.x.least = -0.6;
    p.x.most = 1.05;
    p.x.tight = 1;
    p.x.label = "off-diagonal Pearson correlation with the truth";
    show_row_frame(d, &p, x, top, width, names ? 160 : 0, row_high * n);
    draw_text(d, p.left, top - 10, 13, 's', "b", title);
    for (k = 0; k < n; k++) {
        double y = top + row_high * (k + 0.5);
        if (names) draw_text(d, p.left - 8, y + 4, 11, 'e', "", setting[k]);
        for (m = 0; m < 6; m++)
            for (row = 1; row < t->rows; row++) {
                char line[16], mark[16], says[200];
                double low, high;
                if (!is(t, row, EXPERIMENT, "exact") || !is(t, row, FIGURE, "pearson") || !is(t, row, FORCE, force) ||
                    !is(t, row, METHOD, methods[m]) || !is(t, row, SETTING, setting[k]))
                    continue;
                snprintf(line, sizeof line, "l c%d", method_colours[m]);
                snprintf(mark, sizeof mark, "f c%d", method_colours[m]);
                snprintf(says, sizeof says, "%s, %s: %s", setting[k], methods[m], show_at(t, row, MEDIAN));
                low = fmax(show_value(t, row, LOW), p.x.least);
                high = fmin(show_value(t, row, HIGH), p.x.most);
                draw_line(d, draw_x(&p, low), y, draw_x(&p, high), y, line);
                draw_marker(d, draw_x(&p, show_value(t, row, MEDIAN)), y, 4.6, method_colours[m], mark, says);
            }
    }
}

static void draw_recovery(const show_table *t)
{
    static const char *const name[] = {"untrained start",       "published method",        "plain correlation",
                                       "score matching, exact", "score matching, moments", "score matching, orthant"};
    const char *setting[64];
    draw_series legend[6];
    draw d;
    int n = 0, row, k;
    for (row = 1; row < t->rows; row++) {
        if (!is(t, row, EXPERIMENT, "exact") || !is(t, row, FIGURE, "pearson")) continue;
        for (k = 0; k < n && strcmp(setting[k], show_at(t, row, SETTING)); k++) {}
        if (k == n && n < 64) setting[n++] = show_at(t, row, SETTING);
    }
    draw_begin(&d, 980, 160 + 24 * n, "Recovery of known forces",
               "Correlation of fitted with known forces for 16 settings: score matching is near 1, the published "
               "method hardly above an untrained start.");
    draw_heading(&d, "Recovery of known forces", "Tissue without noise; medians and quartiles over seeds.");
    memset(legend, 0, sizeof legend);
    for (k = 0; k < 6; k++) {
        legend[k].name = name[k];
        legend[k].colour = method_colours[k];
        legend[k].kind = DRAW_POINTS;
        draw_legend(&d, 330 + 205 * (k % 3), 32 + 22 * (k / 3), &legend[k], 1);
    }
    recovery_panel(&d, 8, 580, t, setting, n, "intra", "within cells", 1);
    recovery_panel(&d, 578, 404, t, setting, n, "inter", "between neighbours", 0);
    save(&d, "recovery.svg");
}

/* How far each genotype's forces and correlations are from the wild type's, from shifts.csv. */
static void draw_shifts(const show_table *t)
{
    static const char *const setting[] = {"about the embryo's mean", "about the genotype's mean profile"};
    static const char *const title[] = {"About each embryo's mean: the pattern is in it",
                                        "About the genotype's mean profile: fluctuations alone"};
    static const char *const kind[] = {"forces within", "forces between", "correlations", "partial correlations"};
    static const char *const genotype[] = {"bcd", "bcd_nos_tsl", "bcd_only", "bcd_osk", "bcd_tsl", "osk", "tsl"};
    draw_series s[4];
    draw_plot p;
    draw d;
    double x[7], y[4][7];
    int k, g, row, panel;
    memset(s, 0, sizeof s);
    draw_begin(&d, 770, 640, "Which of them a mutant leaves as they are",
               "Change of the gap genes' forces, correlations and partial correlations in seven maternal mutants. About "
               "the mean profiles forces change least in most mutants; with the pattern nothing stays.");
    draw_heading(&d, "Which of them a mutant leaves as they are",
                 "Gap genes of the fly: change of the six pairs in a mutant, over the size of the wild type's.");
    for (k = 0; k < 4; k++) {
        s[k].name = kind[k];
        s[k].x = x;
        s[k].y = y[k];
        s[k].count = 7;
        s[k].colour = k;
        s[k].kind = DRAW_POINTS; /* in the legend */
    }
    draw_legend(&d, 64, 68, s, 4);
    for (panel = 0; panel < 2; panel++) {
        memset(&p, 0, sizeof p);
        p.left = 64;
        p.top = 175 + 235 * panel;
        p.width = 680;
        p.height = 150;
        p.x.name = genotype;
        p.x.most = 6;
        p.x.tight = 1;
        p.y.label = "change / size";
        p.y.most = 2.7;
        for (k = 0; k < 4; k++)
            for (g = 0; g < 7; g++) {
                x[g] = g;
                y[k][g] = NAN;
                for (row = 1; row < t->rows; row++)
                    if (is(t, row, EXPERIMENT, "gap") && is(t, row, SETTING, setting[panel]) &&
                        is(t, row, METHOD, kind[k]) && is(t, row, FORCE, genotype[g]) &&
                        is(t, row, FIGURE, "change_over_wild_type"))
                        y[k][g] = show_value(t, row, MEDIAN);
            }
        draw_text(&d, p.left, p.top - 10, 12, 's', "", title[panel]);
        draw_frame(&d, &p);
        draw_bars(&d, &p, s, 4);
    }
    save(&d, "shifts_gap.svg");
}

int main(int argc, char **argv)
{
    show_table truth, recovery, shifts;
    folder = argc > 1 ? argv[1] : "bench";
    truth = read_csv("truth.csv");
    recovery = read_csv("recovery.csv");
    draw_counts(&truth);
    draw_gap(&truth);
    draw_recovery(&recovery);
    shifts = read_csv("shifts.csv");
    draw_shifts(&shifts);
    show_table_free(&shifts);
    show_table_free(&truth);
    show_table_free(&recovery);
    return 0;
}
