/* report.h - the pictures of celcomen's results, and a page that shows them; for the tool, over draw.h.
 *
 * Everything is read back from the tables that the tool wrote (pairs.csv, genes.csv, effects.csv, report.json), so that a
 * picture says what the files say; only maps of a slide take positions and values from the caller. A picture is drawn
 * into a rectangle of a `draw`: alone in a file, several on a sheet, or each for itself in a page.
 * SPDX-License-Identifier: MIT */
#ifndef REPORT_H
#define REPORT_H

#include "draw.h"

/* ---- reading tables and reports ---- */

DRAW_API void *show_get(size_t count, size_t size)
{
    void *p = calloc(count ? count : 1, size);
    if (!p) {
        fputs("celcomen: out of memory\n", stderr);
        exit(1);
    }
    return p;
}

/* A CSV file. Row 0 holds the names of the columns; what a row lacks is "". */
typedef struct show_table {
    char *text;
    const char **field;
    int rows, cols;
} show_table;

/* One field from *s on, unquoted in place; *s is left on what ended it (',' , '\n' or the end), which is overwritten. */
DRAW_API char *show_field(char **s, char *end)
{
    char *from = *s, *field = from, *to = from;
    if (*from == '"') {
        for (from++; *from && (*from != '"' || from[1] == '"'); *to++ = *from++) from += *from == '"';
        from += *from == '"';
    }
    while (*from && *from != ',' && *from != '\n') *to++ = *from++;
    *end = *from;
    *to = 0;
    *s = from + (*end != 0);
    return field;
}

DRAW_API show_table show_parse(const char *csv)
{
    show_table t;
    size_t size = csv ? strlen(csv) : 0, room = 0;
    char *s, end = ',';
    memset(&t, 0, sizeof t);
    if (!size) return t;
    s = t.text = (char *)show_get(size + 1, 1);
    memcpy(s, csv, size);
    for (t.cols = 0; end == ','; t.cols++) show_field(&s, &end);
    memcpy(t.text, csv, size);
    for (s = t.text; *s; t.rows++) {
        int col = 0;
        if (((size_t)t.rows + 1) * (size_t)t.cols > room) {
            const char **old = t.field;
            room = 2 * room + 64 * (size_t)t.cols;
            t.field = (const char **)show_get(room, sizeof(char *));
            if (t.rows) memcpy(t.field, old, (size_t)t.rows * (size_t)t.cols * sizeof(char *));
            free(old);
        }
        for (end = ','; end == ',' && col < t.cols; col++) t.field[t.rows * t.cols + col] = show_field(&s, &end);
        for (; col < t.cols; col++) t.field[t.rows * t.cols + col] = "";
    }
    return t;
}
DRAW_API void show_table_free(show_table *t)
{
    free(t->text);
    free(t->field);
    memset(t, 0, sizeof *t);
}
DRAW_API int show_column(const show_table *t, const char *name)
{
    int k;
    for (k = 0; k < t->cols && t->rows; k++)
        if (strcmp(t->field[k], name) == 0) return k;
    return -1;
}
/* "" where there is no such column. */
DRAW_API const char *show_at(const show_table *t, int row, int col) { return col < 0 ? "" : t->field[row * t->cols + col]; }
/* NaN where there is no number. */
DRAW_API double show_value(const show_table *t, int row, int col)
{
    const char *s = show_at(t, row, col);
    char *end;
    double v = strtod(s, &end);
    return end == s ? NAN : v;
}

/* What follows "key": in a report.json of this tool, or NULL. */
DRAW_API const char *show_key(const char *json, const char *key)
{
    size_t n = strlen(key);
    const char *at = json;
    while (at && (at = strstr(at, key)) != NULL) {
        if (at > json && at[-1] == '"' && at[n] == '"' && at[n + 1] == ':') return at + n + 3;
        at += n;
    }
    return NULL;
}
DRAW_API double show_number(const char *json, const char *key)
{
    const char *at = show_key(json, key);
    char *end;
    double v = at ? strtod(at, &end) : NAN;
    return at && end == at ? NAN : v;
}
/* The text under a key, its escapes undone but for those of control characters; "" if there is none. To be freed. */
DRAW_API char *show_string(const char *json, const char *key)
{
    const char *at = show_key(json, key);
    char *out = (char *)show_get(at ? strlen(at) + 1 : 1, 1), *to = out;
    if (!at || *at != '"') return out;
    for (at++; *at && *at != '"'; *to++ = *at++)
        if (*at == '\\' && (at[1] == '"' || at[1] == '\\' || at[1] == '/')) at++;
    *to = 0;
    return out;
}
/* The numbers of an array, however nested, up to `room` of them; how many. */
DRAW_API int show_numbers(const char *json, const char *key, double *out, int room)
{
    const char *at = show_key(json, key);
    int depth = 0, count = 0;
    if (!at || *at != '[') return 0;
    do {
        char *end;
        depth += (*at == '[') - (*at == ']');
        at++;
        if (*at == '[' || *at == ']' || *at == ',' || *at == ' ') continue;
        out[count] = strtod(at, &end);
        if (end == at) continue;
        at = end - 1;
        if (++count == room) return count;
    } while (depth > 0 && *at);
    return count;
}

/* ---- forces, from pairs.csv ---- */

/* A row of pairs.csv, in the file's order: by relation and q. */
typedef struct show_pair {
    int relation, a, b, row;
} show_pair;

typedef struct show_forces {
    show_table pairs;
    int genes, relations, count;
    const char **gene, **relation;
    show_pair *pair;                       /* (count) */
    double *value;                         /* (relations, genes, genes) partial correlations, or raw forces; diagonal NaN */
    int partial, errors;
    int c_force, c_partial, c_test, c_se, c_q; /* columns */
} show_forces;

DRAW_API int show_by_name(const void *a, const void *b) { return strcmp(*(const char *const *)a, *(const char *const *)b); }

/* The names of two columns, sorted, each once; how many. */
DRAW_API int show_names(const show_table *t, int first, int second, const char ***out)
{
    int i, n = 0, all = 0, rows = t->rows > 0 ? t->rows : 1;
    const char **name = (const char **)show_get(2 * (size_t)rows, sizeof(char *));
    for (i = 1; i < t->rows; i++) {
        name[all++] = show_at(t, i, first);
        name[all++] = show_at(t, i, second);
    }
    qsort(name, (size_t)all, sizeof(char *), show_by_name);
    for (i = 0; i < all; i++)
        if (!n || strcmp(name[n - 1], name[i])) name[n++] = name[i];
    *out = name;
    return n;
}
DRAW_API int show_find(const char *const *name, int count, const char *wanted)
{
    const char **at = (const char **)bsearch(&wanted, name, (size_t)count, sizeof(char *), show_by_name);
    return at ? (int)(at - (const char **)(size_t)name) : -1;
}

DRAW_API show_forces show_read_forces(const char *csv)
{
    show_forces f;
    int i, n, relation, a, b;
    memset(&f, 0, sizeof f);
    f.pairs = show_parse(csv);
    relation = show_column(&f.pairs, "relation");
    a = show_column(&f.pairs, "gene_a");
    b = show_column(&f.pairs, "gene_b");
    f.c_force = show_column(&f.pairs, "force");
    f.c_partial = show_column(&f.pairs, "partial");
    f.c_test = show_column(&f.pairs, "test");
    f.c_se = show_column(&f.pairs, "se");
    f.c_q = show_column(&f.pairs, "q");
    if (f.pairs.rows < 2 || relation < 0 || a < 0 || b < 0 || f.c_force < 0) return f;
    f.partial = isfinite(show_value(&f.pairs, 1, f.c_partial));
    f.errors = isfinite(show_value(&f.pairs, 1, f.c_q));
    if (!isfinite(show_value(&f.pairs, 1, f.c_test))) f.c_test = f.partial ? f.c_partial : f.c_force;
    n = f.genes = show_names(&f.pairs, a, b, &f.gene);
    f.count = f.pairs.rows - 1;
    f.pair = (show_pair *)show_get((size_t)f.count, sizeof(show_pair));
    f.relation = (const char **)show_get((size_t)f.count, sizeof(char *));
    for (i = 0; i < f.count; i++) { /* relations follow each other */
        const char *name = show_at(&f.pairs, i + 1, relation);
        if (!f.relations || strcmp(f.relation[f.relations - 1], name)) f.relation[f.relations++] = name;
        f.pair[i].relation = f.relations - 1;
        f.pair[i].a = show_find(f.gene, n, show_at(&f.pairs, i + 1, a));
        f.pair[i].b = show_find(f.gene, n, show_at(&f.pairs, i + 1, b));
        f.pair[i].row = i + 1;
    }
    f.value = (double *)show_get((size_t)f.relations * (size_t)n * (size_t)n, sizeof(double));
    for (i = 0; i < f.relations * n; i++) f.value[(i / n * n + i % n) * n + i % n] = NAN;
    for (i = 0; i < 2 * f.count; i++) { /* the other way round first, where that is not in the file */
        const show_pair *p = &f.pair[i % f.count];
        double v = show_value(&f.pairs, p->row, f.partial ? f.c_partial : f.c_force);
        f.value[(p->relation * n + (i < f.count ? p->b : p->a)) * n + (i < f.count ? p->a : p->b)] = v;
    }
    return f;
}
DRAW_API void show_forces_free(show_forces *f)
{
    show_table_free(&f->pairs);
    free(f->gene);
    free(f->relation);
    free(f->pair);
    free(f->value);
    memset(f, 0, sizeof *f);
}
/* What a relation is called for readers. */
DRAW_API const char *show_relation(const char *name)
{
    return strcmp(name, "intra") == 0 ? "within cells" : strcmp(name, "inter") == 0 ? "between neighbours" : name;
}
DRAW_API const char *show_unit(const show_forces *f) { return f->partial ? "partial correlation" : "force"; }

/* ---- the order of a matrix ---- */

/* An order of n things in which alike ones stand together: average linkage on the distances (n x n, overwritten), by
 * chains of nearest neighbours, in O(n^2); each merge lays the ends that are nearest beside each other. */
DRAW_API void show_cluster(double *distance, int n, int *order)
{
    int *next = (int *)show_get(4 * (size_t)n, sizeof(int)), *last = next + n, *size = last + n, *chain = size + n;
    int i, left = n, top = 0, k;
    for (i = 0; i < n; i++) {
        next[i] = -1;
        last[i] = i;
        size[i] = 1;
    }
    while (left > 1) {
        int a, b = -1;
        double least = HUGE_VAL;
        if (!top)
            for (i = 0; i < n && !top; i++)
                if (size[i]) chain[top++] = i;
        a = chain[top - 1];
        for (i = 0; i < n; i++) {
            double d = distance[a * n + i];
            if (i == a || !size[i] || d > least || (!(d < least) && !(top > 1 && i == chain[top - 2]))) continue;
            least = d;
            b = i;
        }
        if (top < 2 || b != chain[top - 2]) {
            chain[top++] = b;
            continue;
        }
        top -= 2;
        for (i = 0; i < n; i++) {
            if (!size[i] || i == a || i == b) continue;
            distance[a * n + i] = (size[a] * distance[a * n + i] + size[b] * distance[b * n + i]) / (size[a] + size[b]);
            distance[i * n + a] = distance[a * n + i];
        }
        next[last[a]] = b; /* b's list after a's */
        last[a] = last[b];
        size[a] += size[b];
        size[b] = 0;
        left--;
    }
    for (i = 0; i < n && !size[i]; i++) {}
    for (k = 0; i >= 0 && k < n; i = next[i]) order[k++] = i;
    free(next);
}

/* The genes to show, at most `most`: those of the smallest q (else the largest |value|), in clustered order by the two
 * first relations together. order has room for f->genes; how many. */
DRAW_API int show_order(const show_forces *f, int most, int *order)
{
    int n = f->genes, count = 0, i, j, r;
    int *pick = (int *)show_get((size_t)n, sizeof(int));
    double *weight = (double *)show_get((size_t)n, sizeof(double)), *distance;
    unsigned char *keep = (unsigned char *)show_get((size_t)n, 1);
    for (i = 0; i < n * n; i++)
        for (r = 0; r < f->relations && r < 2; r++)
            if (fabs(f->value[r * n * n + i]) > weight[i / n]) weight[i / n] = fabs(f->value[r * n * n + i]);
    draw_keep(weight, n, most < n ? most : n, keep);
    for (i = 0; i < n; i++)
        if (keep[i]) pick[count++] = i;
    distance = (double *)show_get((size_t)count * (size_t)count, sizeof(double));
    for (i = 0; i < count; i++)
        for (j = 0; j < count; j++) {
            double v = i == j ? 0 : f->value[pick[i] * n + pick[j]];
            distance[i * count + j] = -v;
        }
    show_cluster(distance, count, order);
    for (i = 0; i < count; i++) order[i] = pick[order[i]];
    free(pick);
    free(weight);
    free(distance);
    free(keep);
    return count;
}

/* ---- pictures of forces ---- */

/* The end of a colour scale that few of |v| exceed: the 99th of a hundred, rounded up; *beyond: some do. */
DRAW_API double show_end(const double *v, long count, int *beyond)
{
    double *s = (double *)show_get((size_t)count, sizeof(double)), end = 1;
    long i, n = 0;
    for (i = 0; i < count; i++)
        if (isfinite(v[i])) s[n++] = fabs(v[i]);
    qsort(s, (size_t)n, sizeof(double), draw_falling);
    if (n) end = draw_round_up(s[n / 100]);
    *beyond = n && s[0] > end;
    free(s);
    return end;
}

/* The matrix of a relation: genes in the given order, labelled, with its scale, in a square of `side` pixels whose corner
 * is (x, y); labels take about 80 pixels above and at the right, the scale 60 below. */
DRAW_API void show_matrix(draw *d, double x, double y, double side, const show_forces *f, int relation, const int *order,
                          int count, double most, int beyond)
{
    double *v = (double *)show_get((size_t)count * (size_t)count, sizeof(double));
    double *weight = (double *)show_get((size_t)count, sizeof(double));
    const char **name = (const char **)show_get((size_t)count, sizeof(char *));
    draw_heat h;
    draw_labels l;
    int i, j, n = f->genes;
    memset(&h, 0, sizeof h);
    memset(&l, 0, sizeof l);
    for (i = 0; i < count; i++) {
        name[i] = f->gene[order[i]];
        for (j = 0; j < count; j++) {
            v[i * count + j] = f->value[(relation * n + order[i]) * n + order[j]];
            if (fabs(v[i * count + j]) > weight[i]) weight[i] = fabs(v[i * count + j]);
        }
    }
    h.left = x;
    h.top = y;
    h.width = h.height = l.length = side;
    h.value = v;
    h.rows = h.cols = l.count = count;
    h.scale = DRAW_SIGNED;
    h.most = most;
    h.row_name = h.col_name = l.name = name;
    draw_heat_map(d, &h);
    l.x = x + side;
    l.y = y;
    l.weight = weight;
    draw_label_many(d, &l);
    l.x = x;
    l.turned = 1;
    draw_label_many(d, &l);
    draw_scale_bar(d, x, y + side + 12, side < 260 ? side : 260, DRAW_SIGNED, most, show_unit(f), beyond);
    free(v);
    free(weight);
    free(name);
}

/* A frame for rows with names at its left: `rows` of `row` pixels from (x, y), names no wider than `names`; the x axis is
 * drawn below. Sets p's place and margins. */
DRAW_API void show_row_frame(draw *d, draw_plot *p, double x, double y, double width, double names, double height)
{
    double at[24], step, bottom = y + height;
    int ticks, k;
    p->left = x + names + 14;
    p->top = y;
    p->width = width - names - 24;
    p->height = height;
    draw_room(&p->x);
    ticks = draw_ticks(&p->x, p->width, 1, at, &step);
    draw_rect(d, p->left, y, p->width, height, "panel", NULL);
    for (k = 0; k < ticks; k++) {
        char s[40];
        double where = draw_x(p, at[k]);
        draw_line(d, where, y, where, bottom, fabs(at[k]) < 1e-9 * step ? "axis" : "grid");
        draw_tick_text(at[k], step, s, sizeof s);
        draw_text(d, where, bottom + 16, 11, 'm', "", s);
    }
    if (p->x.label) draw_text(d, p->left + p->width / 2, bottom + 35, 12, 'm', "soft", p->x.label);
}

/* The strongest pairs of a relation with their errors, a row each, from (x, y) in `width` pixels; the height it takes. */
DRAW_API double show_strongest(draw *d, double x, double y, double width, const show_forces *f, int relation, int most)
{
    double value[64], error[64], zero = 0, wide = 0, row = 19;
    const show_pair *list[64];
    char name[64][200], says[400];
    draw_plot p;
    int i, n = 0;
    memset(&p, 0, sizeof p);
    for (i = 0; i < f->count && n < most && n < 64; i++)
        if (f->pair[i].relation == relation) list[n++] = &f->pair[i];
    for (i = 0; i < n; i++) {
        value[i] = show_value(&f->pairs, list[i]->row, f->c_test);
        error[i] = 2 * show_value(&f->pairs, list[i]->row, f->c_se);
        snprintf(name[i], sizeof name[i], "%.90s \xE2\x80\x93 %.90s", f->gene[list[i]->a], f->gene[list[i]->b]);
        if (draw_width(name[i], 12) > wide) wide = draw_width(name[i], 12);
    }
    if (wide > 0.6 * width) wide = 0.6 * width;
    p.x.label = !f->errors ? show_unit(f) : f->partial ? "partial correlation, bars: 2 standard errors" : "force, bars: 2 standard errors";
    p.x.most = 1e-12;
    draw_hold(&p.x, &zero, NULL, 1);
    draw_hold(&p.x, value, error, n);
    show_row_frame(d, &p, x, y, width, wide, row * n);
    for (i = 0; i < n; i++) {
        double at = y + row * (i + 0.5);
        int up = value[i] > 0;
        const show_table *t = &f->pairs;
        draw_text(d, x + wide + 4, at + 4, 12, 'e', "", name[i]);
        if (isfinite(error[i]))
            draw_line(d, draw_x(&p, value[i] - error[i]), at, draw_x(&p, value[i] + error[i]), at, up ? "l c1" : "l c0");
        snprintf(says, sizeof says, isfinite(error[i]) ? "%s: %.4g, standard error %.3g, q %.2g" : "%s: %.4g", name[i],
                 value[i], error[i] / 2, show_value(t, list[i]->row, f->c_q));
        draw_marker(d, draw_x(&p, value[i]), at, 4, up, up ? "f c1" : "f c0", says);
    }
    return row * n + 44;
}

/* Shares of each gene's variance, from genes.csv: the genes of which neighbours tell most, a bar each; the height. */
DRAW_API double show_shares(draw *d, double x, double y, double width, const show_table *genes, int most)
{
    static const char *const column[] = {"share_own_genes", "share_same_gene_next_door", "share_other_genes_next_door"};
    static const char *const name[] = {"the cell's own other genes", "the same gene next door", "other genes next door"};
    double *next = (double *)show_get((size_t)genes->rows, sizeof(double)), wide = 0, row = 17, zero = 0;
    unsigned char *keep = (unsigned char *)show_get((size_t)genes->rows, 1);
    draw_series legend[3];
    draw_plot p;
    char classes[8], says[300];
    int i, k, n = genes->rows - 1, shown = n < most ? n : most;
    memset(&p, 0, sizeof p);
    memset(legend, 0, sizeof legend);
    for (i = 0; i < n; i++) {
        double total = 0;
        next[i] = show_value(genes, i + 1, show_column(genes, column[1])) + show_value(genes, i + 1, show_column(genes, column[2]));
        for (k = 0; k < 3; k++) {
            double v = 100 * show_value(genes, i + 1, show_column(genes, column[k]));
            total += v > 0 ? v : 0;
        }
        if (total > p.x.most) p.x.most = total;
    }
    draw_keep(next, n, shown, keep);
    for (i = 0; i < n; i++)
        if (keep[i] && draw_width(show_at(genes, i + 1, 0), 11) > wide) wide = draw_width(show_at(genes, i + 1, 0), 11);
    for (k = 0; k < 3; k++) {
        legend[k].name = name[k];
        legend[k].colour = k;
        legend[k].kind = DRAW_BARS;
    }
    y += draw_legend(d, x, y + 6, legend, 3) + 6;
    p.x.label = "% of the gene's variance on held-out tiles";
    draw_hold(&p.x, &zero, NULL, 1);
    p.x.tight = 1;
    show_row_frame(d, &p, x, y, width, wide, row * shown);
    for (i = 0, shown = 0; i < n; i++) {
        double at = 0;
        if (!keep[i]) continue;
        draw_text(d, x + wide + 6, y + row * (shown + 0.5) + 4, 11, 'e', "", show_at(genes, i + 1, 0));
        for (k = 0; k < 3; k++) {
            double v = 100 * show_value(genes, i + 1, show_column(genes, column[k]));
            if (!(v > 0)) continue;
            snprintf(classes, sizeof classes, "f c%d", k);
            snprintf(says, sizeof says, "%.90s: %.3g %% by %s", show_at(genes, i + 1, 0), v, name[k]);
            draw_rect(d, draw_x(&p, at), y + row * shown + 2, draw_x(&p, at + v) - draw_x(&p, at), row - 4, classes, says);
            at += v;
        }
        shown++;
    }
    free(next);
    free(keep);
    return 3 * 18 + 6 + row * shown + 44;
}

/* Forces that are known against fitted ones, in (x, y) to (x + width, y + height): the line is fitted = planted. */
DRAW_API void show_planted(draw *d, double x, double y, double width, double height, const draw_series *pairs, const char *unit)
{
    draw_plot p;
    memset(&p, 0, sizeof p);
    p.left = x + 56;
    p.top = y;
    p.width = width - 66;
    p.height = height - 44;
    p.x.label = "planted force";
    p.y.label = unit;
    draw_hold(&p.x, pairs->x, NULL, pairs->count);
    draw_hold(&p.y, pairs->y, pairs->error, pairs->count);
    draw_frame(d, &p);
    {
        double low = fmax(p.x.least, p.y.least), high = fmin(p.x.most, p.y.most);
        if (low < high) draw_line(d, draw_x(&p, low), draw_y(&p, low), draw_x(&p, high), draw_y(&p, high), "axis");
    }
    draw_curve(d, &p, pairs);
}

/* ---- curves: held-out values, losses, a sampler's energy ---- */

/* One curve with axes in (x, y) to (x + width, y + height); mark: a point of it that is marked, or -1. */
DRAW_API void show_curve(draw *d, double x, double y, double width, double height, const draw_series *s, const char *across,
                         const char *up, int log_x, int mark)
{
    draw_plot p;
    memset(&p, 0, sizeof p);
    p.left = x + 60;
    p.top = y;
    p.width = width - 70;
    p.height = height - 44;
    p.x.label = across;
    p.x.log = log_x;
    p.y.label = up;
    if (s->x) draw_hold(&p.x, s->x, NULL, s->count);
    else p.x.most = s->count > 1 ? s->count - 1 : 1;
    draw_hold(&p.y, s->y, NULL, s->count);
    draw_frame(d, &p);
    draw_curve(d, &p, s);
    if (mark >= 0)
        draw_marker(d, draw_x(&p, s->x ? s->x[mark] : mark), draw_y(&p, s->y[mark]), 7, 0, "l c1", "the one that was picked");
}

/* The autocorrelation of x at lags 0 .. lags - 1. */
DRAW_API void show_autocorrelation(const double *x, int count, double *out, int lags)
{
    double mean = 0, var = 0;
    int i, k;
    for (i = 0; i < count; i++) mean += x[i] / count;
    for (i = 0; i < count; i++) var += (x[i] - mean) * (x[i] - mean);
    for (k = 0; k < lags; k++) {
        out[k] = 0;
        for (i = 0; i + k < count; i++) out[k] += (x[i] - mean) * (x[i + k] - mean) / (var > 0 ? var : 1);
    }
}

/* ---- effects, from effects.csv ---- */

typedef struct show_effects {
    show_table t;
    int genes, hops, first; /* rows of hop h are first + h * genes .. */
    int c_gene, c_effect, c_se, c_q, c_cells, c_level[3]; /* c_level: observed, sham, after, in the last unit */
    const char *unit;       /* of the levels */
} show_effects;

DRAW_API show_effects show_read_effects(const char *csv)
{
    static const char *const state[] = {"observed", "sham", "after"};
    static const char *const unit[] = {"counts", "value", "log", NULL};
    static const char *const words[] = {"counts", "in the input's unit", "log(1 + counts)", "coordinate of the row"};
    show_effects e;
    char name[40];
    int i, k, u, by;
    memset(&e, 0, sizeof e);
    e.t = show_parse(csv);
    by = show_column(&e.t, "by");
    e.c_gene = show_column(&e.t, "gene");
    e.c_effect = show_column(&e.t, "effect");
    e.c_se = show_column(&e.t, "se");
    e.c_q = show_column(&e.t, "q");
    e.c_cells = show_column(&e.t, "cells");
    for (u = 0; u < 4; u++) {
        for (k = 0; k < 3; k++) {
            snprintf(name, sizeof name, unit[u] ? "%s_%s" : "%s", state[k], unit[u]);
            e.c_level[k] = show_column(&e.t, name);
        }
        e.unit = words[u];
        if (e.c_level[0] >= 0) break;
    }
    if (by < 0 || e.c_gene < 0 || e.c_effect < 0) return e;
    for (i = 1; i < e.t.rows; i++) {
        int group = atoi(show_at(&e.t, i, by + 1));
        if (strcmp(show_at(&e.t, i, by), "hop")) continue;
        if (!e.first) e.first = i;
        if (group == atoi(show_at(&e.t, e.first, by + 1))) e.genes++;
        e.hops = (i - e.first) / (e.genes ? e.genes : 1) + 1;
    }
    return e;
}
DRAW_API double show_effect(const show_effects *e, int hop, int gene, int column)
{
    return show_value(&e->t, e->first + hop * e->genes + gene, column);
}
DRAW_API const char *show_effect_gene(const show_effects *e, int gene) { return show_at(&e->t, e->first + gene, e->c_gene); }

/* The genes by how surely they change one step away (|effect| / se), the surest first, at most `most`; how many. */
DRAW_API int show_changed(const show_effects *e, int most, int *order)
{
    int i, j, n = 0, hop = e->hops > 1 ? 1 : 0;
    double *z = (double *)show_get((size_t)e->genes, sizeof(double));
    for (i = 0; i < e->genes; i++) {
        double se = show_effect(e, hop, i, e->c_se), v = fabs(show_effect(e, hop, i, e->c_effect));
        z[i] = se > 0 ? v / se : v;
        for (j = n < most ? n++ : n; j > 0 && z[order[j - 1]] < z[i]; j--)
            if (j < most) order[j] = order[j - 1];
        if (j < most) order[j] = i;
    }
    free(z);
    return n;
}

/* A gene by steps from the cell: observed, sham and after (above), and the effect with its errors (below). */
DRAW_API void show_hops(draw *d, double x, double y, double width, double height, const show_effects *e, int gene)
{
    static const char *const name[] = {"observed", "sham (the same run, untouched)", "after"};
    static const int colour[] = {6, 0, 1};
    double v[3][32], effect[32], error[32], zero = 0;
    draw_series s[4];
    draw_plot p;
    int h, k, hops = e->hops < 32 ? e->hops : 32;
    memset(s, 0, sizeof s);
    for (h = 0; h < hops; h++) {
        for (k = 0; k < 3; k++) v[k][h] = show_effect(e, h, gene, e->c_level[k]);
        effect[h] = show_effect(e, h, gene, e->c_effect);
        error[h] = 2 * show_effect(e, h, gene, e->c_se);
    }
    memset(&p, 0, sizeof p);
    p.left = x + 60;
    p.width = width - 70;
    p.top = y + 62;
    p.height = 0.5 * (height - 62 - 44) - 14;
    p.x.most = hops - 1;
    p.y.label = e->unit;
    for (k = 0; k < 3; k++) {
        s[k].name = name[k];
        s[k].y = v[k];
        s[k].count = hops;
        s[k].colour = colour[k];
        s[k].kind = DRAW_LINE | DRAW_POINTS;
        draw_hold(&p.y, v[k], NULL, hops);
    }
    draw_legend(d, x + 56, y + 6, s, 3);
    draw_frame(d, &p);
    for (k = 0; k < 3; k++) draw_curve(d, &p, &s[k]);
    p.top += p.height + 34;
    p.x.least = p.y.least = p.y.most = 0;
    p.x.most = hops - 1;
    p.x.label = "steps from the cell that was changed";
    p.y.label = "after \xE2\x88\x92 sham";
    s[3] = s[2];
    s[3].name = "effect";
    s[3].y = effect;
    s[3].error = error;
    s[3].kind = DRAW_POINTS;
    draw_hold(&p.y, &zero, NULL, 1);
    p.y.most = 1e-12;
    draw_hold(&p.y, effect, error, hops);
    draw_frame(d, &p);
    draw_line(d, p.left, draw_y(&p, 0), p.left + p.width, draw_y(&p, 0), "axis");
    draw_curve(d, &p, &s[3]);
}

/* Effects of many genes by steps, as a heat map with its scale; the height it takes. */
DRAW_API double show_ripple(draw *d, double x, double y, double width, const show_effects *e, const int *gene, int count)
{
    const char **name = (const char **)show_get((size_t)count, sizeof(char *));
    double *v = (double *)show_get((size_t)count * (size_t)e->hops, sizeof(double)), row = 17, wide = 0, step;
    static const char *const hop[] = {"0", "1", "2", "3", "4", "5", "6", "7", "8", "9"};
    const char *says[10];
    int i, h, hops = e->hops < 10 ? e->hops : 10, beyond;
    draw_heat map;
    memset(&map, 0, sizeof map);
    for (i = 0; i < count; i++) {
        name[i] = show_effect_gene(e, gene[i]);
        if (draw_width(name[i], 11) > wide) wide = draw_width(name[i], 11);
        for (h = 0; h < hops; h++) v[i * hops + h] = show_effect(e, h, gene[i], e->c_effect);
    }
    for (h = 0; h < hops; h++) says[h] = hop[h];
    map.left = x + wide + 10;
    map.top = y;
    map.width = width - wide - 20;
    map.height = row * count;
    map.value = v;
    map.rows = count;
    map.cols = hops;
    map.scale = DRAW_SIGNED;
    map.most = show_end(v, (long)count * hops, &beyond);
    map.row_name = name;
    map.col_name = says;
    if (count > 20) map.most = draw_round_up(map.most / 4), beyond = 1; /* the cell itself outshines its neighbours */
    draw_heat_map(d, &map);
    step = map.width / hops;
    for (i = 0; i < count; i++) draw_text(d, x + wide + 4, y + row * (i + 0.5) + 4, 11, 'e', "", name[i]);
    for (h = 0; h < hops; h++) draw_text(d, map.left + step * (h + 0.5), y + row * count + 15, 11, 'm', "", hop[h]);
    draw_text(d, map.left + map.width / 2, y + row * count + 33, 12, 'm', "soft", "steps from the cell that was changed");
    draw_scale_bar(d, map.left, y + row * count + 46, map.width < 260 ? map.width : 260, DRAW_SIGNED, map.most,
                   "after \xE2\x88\x92 sham, in coordinates of the row", beyond);
    free(name);
    free(v);
    return row * count + 100;
}

/* ---- maps of a slide ---- */

/* Cells, in units of their positions; slides lie beside each other. */
typedef struct show_map {
    int cells, slides;
    const double *x, *y;
    const int *slide;               /* (cells), or NULL: one slide */
    const char *const *slide_name;  /* or NULL */
    const char *unit;               /* of length; NULL: not known */
} show_map;

/* Where cells are drawn: a tile a slide, all at one scale. */
typedef struct show_layout {
    double scale, radius, wide, high, gap, *box; /* box (slides x 4): least x, least y, range x, range y */
    double x, y;
    int cols;
} show_layout;

/* The layout in a rectangle, with the number of columns that makes the cells largest. box has room for 4 x slides. */
DRAW_API show_layout show_place(const show_map *m, double x, double y, double width, double height, double *box)
{
    show_layout best;
    int i, s, cols;
    double area = 0;
    memset(&best, 0, sizeof best);
    for (s = 0; s < m->slides; s++) box[4 * s] = box[4 * s + 1] = HUGE_VAL, box[4 * s + 2] = box[4 * s + 3] = -HUGE_VAL;
    for (i = 0; i < m->cells; i++) {
        double *b = box + 4 * (m->slide ? m->slide[i] : 0);
        b[0] = fmin(b[0], m->x[i]);
        b[1] = fmin(b[1], m->y[i]);
        b[2] = fmax(b[2], m->x[i]);
        b[3] = fmax(b[3], m->y[i]);
    }
    for (s = 0; s < m->slides; s++) {
        box[4 * s + 2] -= box[4 * s];
        box[4 * s + 3] -= box[4 * s + 1];
        if (!(box[4 * s + 2] >= 0)) box[4 * s] = box[4 * s + 1] = box[4 * s + 2] = box[4 * s + 3] = 0; /* no cell */
        area += box[4 * s + 2] * box[4 * s + 3];
    }
    for (cols = 1; cols <= m->slides; cols++) {
        int rows = (m->slides + cols - 1) / cols;
        show_layout l = best;
        l.gap = m->slides > 1 ? 20 : 0;
        l.cols = cols;
        l.wide = (width - (m->slides > 1 ? 10 : 0) * (cols - 1)) / cols;
        l.high = (height - l.gap * rows) / rows;
        l.scale = HUGE_VAL;
        for (s = 0; s < m->slides; s++) {
            l.scale = fmin(l.scale, (l.wide - 6) / (box[4 * s + 2] > 0 ? box[4 * s + 2] : 1e-9));
            l.scale = fmin(l.scale, (l.high - 6) / (box[4 * s + 3] > 0 ? box[4 * s + 3] : 1e-9));
        }
        if (!(l.scale < 1e300)) l.scale = 1;
        if (cols == 1 || l.scale > best.scale) best = l;
    }
    best.x = x;
    best.y = y;
    best.box = box;
    best.radius = 0.5 * sqrt(area / (m->cells > 0 ? m->cells : 1)) * best.scale;
    best.radius = best.radius < 0.7 ? 0.7 : best.radius > 8 ? 8 : best.radius;
    return best;
}

/* The place of cell i, in pixels: y grows downwards, as in images. */
DRAW_API void show_point(const show_map *m, const show_layout *l, int i, double *x, double *y)
{
    int s = m->slide ? m->slide[i] : 0;
    const double *b = l->box + 4 * s;
    *x = l->x + (s % l->cols) * (l->wide + (l->gap > 0 ? 10 : 0)) + 0.5 * (l->wide - b[2] * l->scale) + (m->x[i] - b[0]) * l->scale;
    *y = l->y + (s / l->cols) * (l->high + l->gap) + l->gap + 0.5 * (l->high - b[3] * l->scale) + (m->y[i] - b[1]) * l->scale;
}

#define SHOW_NONE 255   /* a level that is not drawn */
#define SHOW_VECTOR 20000 /* more cells than this are drawn into an image */

/* The cells as an image of two pixels a pixel. */
DRAW_API void show_raster(draw *d, const show_map *m, const show_layout *l, const unsigned char *level, draw_scale scale,
                          double width, double height)
{
    int cols = (int)(2 * width + 0.5), rows = (int)(2 * height + 0.5), i, u, v, pass, r = (int)ceil(2 * l->radius);
    unsigned char *pixel = (unsigned char *)show_get((size_t)cols * (size_t)rows, 1);
    double box[4];
    for (pass = 0; pass < DRAW_LEVELS; pass++) /* high levels above low ones */
        for (i = 0; i < m->cells; i++) {
            double x, y;
            if (level[i] != pass) continue;
            show_point(m, l, i, &x, &y);
            x = 2 * (x - l->x);
            y = 2 * (y - l->y);
            for (v = -r; v <= r; v++)
                for (u = -r; u <= r; u++) {
                    int px = (int)floor(x) + u, py = (int)floor(y) + v;
                    double dx = px + 0.5 - x, dy = py + 0.5 - y;
                    if (px < 0 || py < 0 || px >= cols || py >= rows || dx * dx + dy * dy > 4 * l->radius * l->radius) continue;
                    pixel[(size_t)py * (size_t)cols + (size_t)px] = (unsigned char)(1 + level[i]);
                }
        }
    box[0] = l->x;
    box[1] = l->y;
    box[2] = 0.5 * cols;
    box[3] = 0.5 * rows;
    draw_image(d, box, pixel, cols, rows, scale);
    free(pixel);
}

/* The cells coloured by level, the slides' names, and a scale bar below: 26 pixels more. */
DRAW_API void show_cells(draw *d, const show_map *m, const show_layout *l, const unsigned char *level, draw_scale scale,
                         double width, double height)
{
    int i, k, s;
    double length, x, y;
    char text[80];
    draw_rect(d, l->x, l->y, width, height, "panel", NULL);
    if (m->cells > SHOW_VECTOR) show_raster(d, m, l, level, scale, width, height);
    for (k = 0; k < DRAW_LEVELS && m->cells <= SHOW_VECTOR; k++) {
        int any = 0;
        for (i = 0; i < m->cells; i++) {
            if (level[i] != k) continue;
            if (!any++)
                draw_put(&d->out, "<path class=\"dots %c%d\" stroke-width=\"%.1f\" d=\"", draw_letter(scale), k, 2 * l->radius);
            show_point(m, l, i, &x, &y);
            draw_number(&d->out, "M", x);
            draw_number(&d->out, " ", y);
            draw_put(&d->out, "h0");
        }
        if (any) draw_put(&d->out, "\"/>\n");
    }
    for (s = 0; s < m->slides && m->slides > 1; s++)
        if (m->slide_name)
            draw_text(d, l->x + (s % l->cols) * (l->wide + 10) + 4, l->y + (s / l->cols) * (l->high + l->gap) + 14,
                      l->wide < 90 ? 9 : 11, 's', "soft", m->slide_name[s]);
    length = draw_step(0.3 * width / l->scale, 1) / 1;
    while (length * l->scale > 0.4 * width) length /= 2;
    draw_line(d, l->x, l->y + height + 10, l->x + length * l->scale, l->y + height + 10, "axis");
    draw_put(&d->out, "<path class=\"axis\" stroke-width=\"2.5\" d=\"");
    draw_number(&d->out, "M", l->x);
    draw_number(&d->out, " ", l->y + height + 10);
    draw_number(&d->out, "h", length * l->scale);
    draw_put(&d->out, "\"/>\n");
    snprintf(text, sizeof text, "%g %s", length, m->unit ? m->unit : "units of the positions");
    draw_text(d, l->x + length * l->scale + 8, l->y + height + 14, 11, 's', "", text);
}

/* The height of a map of `width` pixels that fits the shape of its slides. */
DRAW_API double show_map_height(const show_map *m, double width)
{
    double *box = (double *)show_get(4 * (size_t)m->slides, sizeof(double)), high, best = width;
    show_layout l = show_place(m, 0, 0, width, width, box);
    int s, rows = (m->slides + l.cols - 1) / l.cols;
    for (s = 0, high = 0; s < m->slides; s++) high = fmax(high, box[4 * s + 3] * l.scale + 6);
    best = fmin(best, rows * (high + l.gap));
    free(box);
    return best < 0.3 * width ? 0.3 * width : best;
}

/* Values as levels of a scale. */
DRAW_API void show_levels(const double *v, int count, draw_scale scale, double most, unsigned char *level)
{
    int i;
    for (i = 0; i < count; i++) level[i] = (unsigned char)(isfinite(v[i]) ? draw_level(scale, v[i], most) : SHOW_NONE);
}

/* A whole picture, begun here: a map of values (a gene, an effect) with its scale below. */
DRAW_API void show_value_map(draw *d, double width, const show_map *m, const double *v, draw_scale scale, const char *title,
                             const char *unit)
{
    double *box = (double *)show_get(4 * (size_t)m->slides, sizeof(double)), inner = width - 24, most;
    double high = show_map_height(m, inner), end;
    unsigned char *level = (unsigned char *)show_get((size_t)m->cells, 1);
    show_layout l;
    char desc[300];
    int beyond;
    most = show_end(v, m->cells, &beyond);
    for (end = most; end > 0 && beyond < 0;) end = 0;
    snprintf(desc, sizeof desc, "Map of %d cells coloured by %.100s; the scale ends at %g.", m->cells, title, most);
    draw_begin(d, width, high + 36 + 30 + 54, title, desc);
    draw_text(d, 12, 24, 14, 's', "b", title);
    l = show_place(m, 12, 36, inner, high, box);
    show_levels(v, m->cells, scale, most, level);
    show_cells(d, m, &l, level, scale, inner, high);
    draw_scale_bar(d, 16, 36 + high + 32, inner < 260 ? inner - 8 : 260, scale, most, unit, beyond);
    free(box);
    free(level);
}

/* A map of kinds (types of cells): kind -1 is not drawn; their names and numbers below, in two columns. */
DRAW_API void show_kind_map(draw *d, double width, const show_map *m, const int *kind, const char *const *name, int kinds,
                            const char *title)
{
    double *box = (double *)show_get(4 * (size_t)m->slides, sizeof(double)), inner = width - 24;
    double high = show_map_height(m, inner), y;
    unsigned char *level = (unsigned char *)show_get((size_t)m->cells, 1);
    int *count = (int *)show_get((size_t)kinds, sizeof(int)), i, cols = width > 380 ? 2 : 1, rows = (kinds + cols - 1) / cols;
    show_layout l;
    char text[160];
    for (i = 0; i < m->cells; i++) {
        level[i] = (unsigned char)(kind[i] < 0 ? SHOW_NONE : kind[i] % DRAW_COLOURS);
        if (kind[i] >= 0) count[kind[i]]++;
    }
    snprintf(text, sizeof text, "Map of %d cells coloured by their %d types.", m->cells, kinds);
    draw_begin(d, width, high + 36 + 36 + 17 * rows, title, text);
    draw_text(d, 12, 24, 14, 's', "b", title);
    l = show_place(m, 12, 36, inner, high, box);
    show_cells(d, m, &l, level, DRAW_KINDS, inner, high);
    y = 36 + high + 38;
    for (i = 0; i < kinds; i++) {
        double x = 16 + (i / rows) * inner / cols, at = y + 17 * (i % rows);
        char classes[8];
        snprintf(classes, sizeof classes, "f c%d", i % DRAW_COLOURS);
        draw_marker(d, x + 5, at, 5, i / DRAW_COLOURS, classes, NULL);
        snprintf(text, sizeof text, "%.60s (%d)", name[i], count[i]);
        draw_text(d, x + 16, at + 4, 11, 's', "", text);
    }
    free(box);
    free(level);
    free(count);
}
#endif
