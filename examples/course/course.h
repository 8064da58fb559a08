/* What the ten programs of the course share: a tissue on a grid, known forces, samples, a fit, claims that are checked,
 * and a picture at the end. Every program stops where something fails, and its exit status is 1 where a claim does not
 * hold. The plain kernels are used throughout, so that each machine prints the same numbers.
 * SPDX-License-Identifier: MIT */
#ifndef COURSE_H
#define COURSE_H
#define CELCOMEN_IMPLEMENTATION
#define CELCOMEN_STATIC /* compiles faster: what a program does not call is left out */
#define CELCOMEN_NO_SIMD
#include "celcomen.h"
#include "../draw.h"

static void must(cel_status status)
{
    if (status == CEL_OK) return;
    printf("stopped: %s\n", cel_strerror(status));
    exit(1);
}

/* To be answered before reading on. */
static void ask(const char *question)
{
    printf("Before you run it: %s\n\n", question);
}

/* Says whether something that the page claims holds. */
static int claims_failed;
CEL_UNUSED static void claim(int holds, const char *what)
{
    printf("%s %s\n", holds ? "[holds]" : "[FAILS]", what);
    claims_failed += !holds;
}

/* side x side cells, each with its (up to six) neighbours. */
typedef struct sheet {
    int64_t cells;
    cel_mat coords, x;
    cel_csr graph;
    cel_relations relations;
    int32_t *tile;
    int64_t tiles;
} sheet;

/* genes: columns of x, which are drawn uniformly on the sphere. */
CEL_UNUSED static sheet sheet_new(int side, int genes)
{
    sheet s = CEL_ZERO;
    s.cells = (int64_t)side * side;
    s.tile = (int32_t *)calloc((size_t)s.cells, sizeof *s.tile);
    must(s.tile ? CEL_OK : CEL_ERR_MEMORY);
    must(cel_mat_new(s.cells, 2, &s.coords));
    must(cel_mat_new(s.cells, genes, &s.x));
    must(cel_graph_hex_coords(side, side, s.coords));
    must(cel_graph_radius(s.coords, NULL, 0, 1.6, 0, &s.graph, NULL));
    must(cel_relations_from_graph(&s.graph, NULL, &s.relations, NULL));
    must(cel_slide_tiles(s.coords, NULL, side >= 30 ? 6 : 4, s.tile, &s.tiles, NULL));
    cel_sample_uniform(1, 0, 0, s.x);
    return s;
}
CEL_UNUSED static void sheet_free(sheet *s)
{
    cel_mat_free(&s->coords);
    cel_mat_free(&s->x);
    cel_csr_free(&s->graph);
    cel_relations_free(&s->relations);
    free(s->tile);
}

/* Two relations, within a cell (0) and between neighbours (1), without forces yet. */
CEL_UNUSED static cel_model model_of(int genes, int with_field)
{
    cel_model m;
    must(cel_model_new(genes, 2, with_field, &m));
    return m;
}
/* The weight of a pair of genes, both ways. */
enum { WITHIN = 0, BETWEEN = 1 };
CEL_UNUSED static void set_weight(cel_model *m, int relation, int a, int b, double weight)
{
    cel_mat f = cel_model_force(m, relation);
    f.data[a * f.stride + b] = f.data[b * f.stride + a] = (cel_real)weight;
}
CEL_UNUSED static double weight(cel_mat stacked, int relation, int a, int b)
{
    cel_mat f = cel_model_part(stacked, relation);
    return (double)f.data[a * f.stride + b];
}

/* One exact draw of the tissue from its law. */
CEL_UNUSED static cel_sample_report sample(sheet *s, const cel_model *m, uint64_t seed, int sweeps)
{
    cel_sample_options o = CEL_ZERO;
    cel_sample_report report;
    o.seed = seed;
    o.sweeps = sweeps;
    must(cel_sample_run(m, &s->relations, &o, s->x, NULL, &report, NULL));
    return report;
}

/* The same, sweep by sweep: each cel_sample_sweep(.., x) is the tissue a little later. */
CEL_UNUSED static cel_sample *living(const sheet *s, const cel_model *m, uint64_t seed)
{
    cel_sample_options o = CEL_ZERO;
    cel_sample *sampler;
    o.seed = seed;
    must(cel_sample_new(m, &s->relations, &o, &sampler, NULL));
    return sampler;
}

/* Weights from behaviour: score matching on x, with errors over tiles. */
CEL_UNUSED static cel_model fit(const sheet *s, cel_mat x, int with_field, cel_score_report *report)
{
    cel_score_options o = CEL_ZERO;
    cel_model m;
    o.group = s->tile;
    o.field = with_field ? CEL_SCORE_FIELD_SHARED : CEL_SCORE_FIELD_NONE;
    must(cel_score_fit(&s->relations, x, &o, &m, report, NULL, NULL));
    return m;
}

/* Weights from the same behaviour as published, from that estimator's random start. */
CEL_UNUSED static cel_model published_fit(const sheet *s, uint64_t seed)
{
    cel_moments moments;
    cel_model m = model_of((int)s->x.cols, 0);
    must(cel_moments_new(s->x.cols, &s->relations, &moments));
    must(cel_moments_add(&moments, &s->relations, s->x, NULL, 0, NULL));
    must(cel_paper_start(seed, &m));
    must(cel_paper_fit(&moments, 1, NULL, &m, NULL, NULL, NULL));
    cel_moments_free(&moments);
    return m;
}

/* The weights (or errors) of a relation's pairs, those of a gene with itself where diagonal is not 0; how many. */
CEL_UNUSED static int pairs_of(cel_mat stacked, int relation, int diagonal, double *out)
{
    int a, b, count = 0;
    for (a = 0; a < stacked.cols; a++)
        for (b = a + !diagonal; b < stacked.cols; b++) out[count++] = weight(stacked, relation, a, b);
    return count;
}

/* What an intervention does to this tissue, against a sham on the same random numbers, up to `reach` steps away. */
CEL_UNUSED static cel_effect intervene(const sheet *s, const cel_model *m, const cel_intervention *what, int reach)
{
    cel_tissue tissue = CEL_ZERO;
    cel_perturb_setup setup = CEL_ZERO;
    cel_perturb_options o = CEL_ZERO;
    cel_perturb plan;
    cel_effect effect;
    tissue.x = s->x;
    tissue.relations = &s->relations;
    setup.reach = reach;
    o.repeats = 32;
    o.sweeps = 40;
    must(cel_perturb_new(m, &tissue, what, 1, &setup, &plan, NULL));
    must(cel_perturb_run(&plan, &o, &effect, NULL));
    cel_perturb_free(&plan);
    return effect;
}

/* Root mean square of the differences. */
CEL_UNUSED static double apart(const double *a, const double *b, int count)
{
    double sum = 0;
    int i;
    for (i = 0; i < count; i++) sum += (a[i] - b[i]) * (a[i] - b[i]);
    return sqrt(sum / count);
}

/* Pearson's correlation. */
CEL_UNUSED static double correlation(const double *a, const double *b, int count)
{
    double sa = 0, sb = 0, saa = 0, sbb = 0, sab = 0;
    int i;
    for (i = 0; i < count; i++) sa += a[i], sb += b[i], saa += a[i] * a[i], sbb += b[i] * b[i], sab += a[i] * b[i];
    sab -= sa * sb / count;
    return sab / sqrt((saa - sa * sa / count) * (sbb - sb * sb / count));
}
/* The same of two genes over the cells. */
CEL_UNUSED static double gene_correlation(cel_mat x, int a, int b)
{
    double *column = (double *)calloc((size_t)(2 * x.rows), sizeof *column), r;
    int64_t i;
    must(column ? CEL_OK : CEL_ERR_MEMORY);
    for (i = 0; i < x.rows; i++) {
        column[i] = (double)x.data[i * x.stride + a];
        column[x.rows + i] = (double)x.data[i * x.stride + b];
    }
    r = correlation(column, column + x.rows, (int)x.rows);
    free(column);
    return r;
}

/* A picture with a title and a line below it, which is also what those who cannot see it are told. */
CEL_UNUSED static void picture(draw *d, double width, double height, const char *title, const char *below)
{
    draw_begin(d, width, height, title, below);
    draw_heading(d, title, below);
}

/* Axes with numbers, or with names along x. */
CEL_UNUSED static draw_plot axes(double left, double width, const char *x, const char *y)
{
    draw_plot p;
    memset(&p, 0, sizeof p);
    p.left = left;
    p.top = 76;
    p.width = width;
    p.height = 240;
    p.x.label = x;
    p.y.label = y;
    return p;
}
CEL_UNUSED static draw_plot named(double left, double width, const char *const *name, int count, const char *y)
{
    draw_plot p = axes(left, width, NULL, y);
    p.x.name = name;
    p.x.most = count - 1;
    return p;
}

/* For draw.h: y, with error or NULL, at x; x NULL: at the names of the axis. */
CEL_UNUSED static draw_series series(const char *name, const double *x, const double *y, const double *error, int count,
                                     int colour, int kind)
{
    draw_series s;
    memset(&s, 0, sizeof s);
    s.name = name;
    s.x = x;
    s.y = y;
    s.error = error;
    s.count = count;
    s.colour = colour;
    s.kind = kind;
    return s;
}

/* The tissue as a picture, 170 pixels wide: each cell in the colour of the gene that it expresses most. Even rows are
 * shifted by half a cell. */
CEL_UNUSED static void draw_tissue(draw *d, const sheet *s, double left, double top, const char *title,
                                   const char *below)
{
    enum { FINE = 4 };
    const double box[4] = {left, top, 170, 170};
    int side = (int)sqrt((double)s->cells + 0.5), wide = side * FINE + FINE / 2, y, x, g;
    unsigned char *pixel = (unsigned char *)calloc((size_t)(side * FINE), (size_t)wide);
    must(pixel ? CEL_OK : CEL_ERR_MEMORY);
    for (y = 0; y < side * FINE; y++)
        for (x = 0; x < wide; x++) {
            int row = y / FINE, column = (x - (row % 2 ? 0 : FINE / 2) + FINE) / FINE - 1, best = 0;
            const cel_real *cell = s->x.data + (row * side + column) * s->x.stride;
            if (column < 0 || column >= side) continue;
            for (g = 1; g < s->x.cols; g++)
                if (cell[g] > cell[best]) best = g;
            pixel[y * wide + x] = (unsigned char)(1 + best);
        }
    draw_image(d, box, pixel, wide, side * FINE, DRAW_KINDS);
    draw_text(d, left, top - 8, 12, 's', "b", title);
    draw_text(d, left, top + 186, 11, 's', "soft", below);
    free(pixel);
}

/* Axes that hold all the series, the series, and their legend (at 0, 0: none). */
CEL_UNUSED static void plot(draw *d, draw_plot *p, const draw_series *s, int series, double legend_x, double legend_y)
{
    int k;
    for (k = 0; k < series; k++) {
        if (s[k].x) draw_hold(&p->x, s[k].x, NULL, s[k].count);
        draw_hold(&p->y, s[k].y, s[k].error, s[k].count);
    }
    draw_frame(d, p);
    for (k = 0; k < series; k++)
        if (!(s[k].kind & DRAW_BARS)) draw_curve(d, p, &s[k]);
    if (s[0].kind & DRAW_BARS) draw_bars(d, p, s, series);
    if (legend_x > 0 || legend_y > 0) draw_legend(d, legend_x, legend_y, s, series);
}

/* Writes the picture, to the first argument where there is one, and says how it went: the exit status. */
CEL_UNUSED static int finish(draw *d, int argc, char **argv, const char *name)
{
    const char *path = argc > 1 ? argv[1] : name;
    if (draw_save(d, path)) {
        printf("stopped: the picture could not be written\n");
        return 1;
    }
    printf("picture: %s\n", path);
    return claims_failed > 0;
}
#endif
