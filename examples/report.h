/* report.h - the pictures of celcomen's results, and a page that shows them; for the tool, over draw.h.
 *
 * Everything is read back from the tables that the tool wrote (pairs.csv, genes.csv, effects.csv, report.json), so that
 * a picture says what the files say; only maps of a slide take positions and values from the caller. A picture is drawn
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

/* One field from *s on, unquoted in place; *s is left on what ended it (',' , '\n' or the end), which is overwritten.
 */
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
static const double show_none = (double)NAN; /* no number */

/* "" where there is no such column. */
DRAW_API const char *show_at(const show_table *t, int row, int col)
{
    return col < 0 ? "" : t->field[row * t->cols + col];
}
/* NaN where there is no number. */
DRAW_API double show_value(const show_table *t, int row, int col)
{
    const char *s = show_at(t, row, col);
    char *end;
    double v = strtod(s, &end);
    return end == s ? show_none : v;
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
    double v = at ? strtod(at, &end) : show_none;
    return at && end == at ? show_none : v;
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
    show_pair *pair; /* (count) */
    double *value;   /* (relations, genes, genes) partial correlations, or raw forces; diagonal NaN */
    int partial, errors;
    int c_force, c_partial, c_test, c_se, c_q; /* columns */
} show_forces;

DRAW_API int show_by_name(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

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
    for (i = 0; i < f.relations * n; i++) f.value[(i / n * n + i % n) * n + i % n] = show_none;
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
/* What a relation is called for readers: "inter A | B" is that of two types, "inter_hop2" of second neighbours. The
 * text holds until the eighth call after. */
DRAW_API const char *show_relation(const char *name)
{
    static char text[8][200];
    static int next;
    char *out = text[next = (next + 1) % 8];
    if (strcmp(name, "intra") == 0) return "within cells";
    if (strncmp(name, "inter", 5)) return name;
    if (strncmp(name, "inter_hop", 9) == 0)
        snprintf(out, 200, "between cells %.*s steps apart%.150s", (int)strspn(name + 9, "0123456789"), name + 9,
                 name + 9 + strspn(name + 9, "0123456789"));
    else snprintf(out, 200, "between neighbours%s%.150s", name[5] == ' ' ? "," : "", name + 5);
    return out;
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
    for (i = 0; i < n && !size[i]; i++) {
    }
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

/* The matrix of a relation: genes in the given order, labelled, with its scale, in a square of `side` pixels whose
 * corner is (x, y); labels take about 80 pixels above and at the right, the scale 60 below. */
DRAW_API void show_matrix(draw *d, double x, double y, double side, const show_forces *f, int relation,
                          const int *order, int count, double most, int beyond)
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

/* A frame for rows with names at its left: `rows` of `row` pixels from (x, y), names no wider than `names`; the x axis
 * is drawn below. Sets p's place and margins. */
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

/* The strongest pairs of a relation with their errors, a row each, from (x, y) in `width` pixels; the height it takes.
 */
DRAW_API double show_strongest(draw *d, double x, double y, double width, const show_forces *f, int relation, int most)
{
    double value[64], error[64], zero = 0, wide = 0, row = 19;
    const show_pair *list[64];
    char name[64][200], says[400], cut[256];
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
    if (wide > 0.5 * width) wide = 0.5 * width;
    p.x.label = !f->errors   ? show_unit(f)
                : f->partial ? "partial correlation, bars: 2 standard errors"
                             : "force, bars: 2 standard errors";
    p.x.most = 1e-12;
    draw_hold(&p.x, &zero, NULL, 1);
    draw_hold(&p.x, value, error, n);
    show_row_frame(d, &p, x, y, width, wide, row * n);
    for (i = 0; i < n; i++) {
        double at = y + row * (i + 0.5);
        int up = value[i] > 0;
        const show_table *t = &f->pairs;
        draw_text(d, x + wide + 4, at + 4, 12, 'e', "", draw_cut(name[i], 12, wide, cut));
        if (isfinite(error[i]))
            draw_line(d, draw_x(&p, value[i] - error[i]), at, draw_x(&p, value[i] + error[i]), at,
                      up ? "l c1" : "l c0");
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
    static const char *const name[] = {"the cell's own other genes", "the same gene next door",
                                       "other genes next door"};
    double share[3], row = 17, wide = 0, zero = 0;
    int order[64], n = 0, i, j, k;
    draw_series legend[3];
    draw_plot p;
    char classes[24], says[300], cut[256];
    double next[64];
    memset(&p, 0, sizeof p);
    memset(legend, 0, sizeof legend);
    if (most > 64) most = 64;
    for (i = 1; i < genes->rows; i++) { /* the largest share of both kinds of neighbours first */
        double v =
            show_value(genes, i, show_column(genes, column[1])) + show_value(genes, i, show_column(genes, column[2]));
        for (j = n < most ? n++ : n; j > 0 && !(next[j - 1] >= v); j--)
            if (j < most) next[j] = next[j - 1], order[j] = order[j - 1];
        if (j < most) next[j] = v, order[j] = i;
    }
    for (k = 0; k < 3; k++) {
        legend[k].name = name[k];
        legend[k].colour = k;
        legend[k].kind = DRAW_BARS;
    }
    for (i = 0; i < n; i++) {
        double total = 0;
        for (k = 0; k < 3; k++) total += fmax(100 * show_value(genes, order[i], show_column(genes, column[k])), 0);
        if (total > p.x.most) p.x.most = total;
        if (draw_width(show_at(genes, order[i], 0), 11) > wide) wide = draw_width(show_at(genes, order[i], 0), 11);
    }
    if (wide > 0.4 * width) wide = 0.4 * width;
    y += draw_legend(d, x, y + 6, legend, 3) + 6;
    p.x.label = "% of the gene's variance on held-out tiles";
    draw_hold(&p.x, &zero, NULL, 1);
    p.x.most *= 1.03;
    p.x.tight = 1;
    show_row_frame(d, &p, x, y, width, wide, row * n);
    for (i = 0; i < n; i++) {
        double at = 0;
        draw_text(d, x + wide + 6, y + row * (i + 0.5) + 4, 11, 'e', "",
                  draw_cut(show_at(genes, order[i], 0), 11, wide, cut));
        for (k = 0; k < 3; k++) {
            share[k] = 100 * show_value(genes, order[i], show_column(genes, column[k]));
            if (!(share[k] > 0)) continue;
            snprintf(classes, sizeof classes, "f c%d", k);
            snprintf(says, sizeof says, "%.90s: %.3g %% by %s", show_at(genes, order[i], 0), share[k], name[k]);
            draw_rect(d, draw_x(&p, at), y + row * i + 2, draw_x(&p, at + share[k]) - draw_x(&p, at), row - 4, classes,
                      says);
            at += share[k];
        }
    }
    return 3 * 18 + 6 + row * n + 44;
}

/* Forces that are known against fitted ones, in (x, y) to (x + width, y + height); with a line where they agree, if
 * both are in the same unit. */
DRAW_API void show_planted(draw *d, double x, double y, double width, double height, const draw_series *pairs,
                           const char *unit, int same_unit)
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
        if (same_unit && low < high)
            draw_line(d, draw_x(&p, low), draw_y(&p, low), draw_x(&p, high), draw_y(&p, high), "axis");
    }
    draw_curve(d, &p, pairs);
}

/* ---- curves: held-out values, losses, a sampler's energy ---- */

/* One curve with axes in (x, y) to (x + width, y + height); mark: a point of it that is marked, or -1. */
DRAW_API void show_curve(draw *d, double x, double y, double width, double height, const draw_series *s,
                         const char *across, const char *up, int log_x, int mark)
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
        draw_marker(d, draw_x(&p, s->x ? s->x[mark] : mark), draw_y(&p, s->y[mark]), 7, 0, "l c1",
                    "the one that was picked");
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
    int genes, hops, first;                                /* rows of hop h are first + h * genes .. */
    int c_gene, c_effect, c_se, c_q, c_level[3], c_change; /* c_level: observed, sham, after, in the last unit */
    const char *unit;                                      /* of the levels */
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
    for (u = 0; u < 4; u++) {
        for (k = 0; k < 3; k++) {
            snprintf(name, sizeof name, unit[u] ? "%s_%s" : "%s", state[k], unit[u]);
            e.c_level[k] = show_column(&e.t, name);
        }
        snprintf(name, sizeof name, "effect_%s", unit[u] ? unit[u] : "");
        e.c_change = show_column(&e.t, name);
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
    for (k = 0; e.hops > 1 && k == 0;) { /* cells that were held as observed tell nothing */
        for (i = 0; i < e.genes; i++) {
            int row = e.first + (e.hops - 1) * e.genes + i;
            k |= fabs(show_value(&e.t, row, e.c_effect)) > 0 || show_value(&e.t, row, e.c_se) > 0;
        }
        e.hops -= !k;
    }
    return e;
}
DRAW_API double show_effect(const show_effects *e, int hop, int gene, int column)
{
    return show_value(&e->t, e->first + hop * e->genes + gene, column);
}
DRAW_API const char *show_effect_gene(const show_effects *e, int gene)
{
    return show_at(&e->t, e->first + gene, e->c_gene);
}

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
    double v[3][32], effect[32], error[32], reach[32], zero = 0, next = 0;
    draw_series s[4];
    draw_plot p;
    char off[80];
    int h, k, hops = e->hops < 32 ? e->hops : 32, from;
    memset(s, 0, sizeof s);
    for (h = 0; h < hops; h++) {
        for (k = 0; k < 3; k++) v[k][h] = show_effect(e, h, gene, e->c_level[k]);
        effect[h] = show_effect(e, h, gene, e->c_effect);
        error[h] = show_effect(e, h, gene, e->c_se);
        reach[h] = 2 * error[h];
        if (h && fabs(effect[h]) + reach[h] > next) next = fabs(effect[h]) + reach[h];
    }
    from = hops > 2 && fabs(effect[0]) > 3 * next; /* the cell itself would hide its neighbours */
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
    if (from) effect[0] = show_none;
    s[3].y = effect;
    s[3].error = error;
    s[3].kind = DRAW_POINTS | DRAW_TWO_ERRORS;
    p.y.most = 1e-12;
    draw_hold(&p.y, &zero, NULL, 1);
    draw_hold(&p.y, effect, reach, hops);
    draw_frame(d, &p);
    draw_line(d, p.left, draw_y(&p, 0), p.left + p.width, draw_y(&p, 0), "axis");
    draw_curve(d, &p, &s[3]);
    if (!from) return;
    snprintf(off, sizeof off, "the cell itself: %.3g", show_effect(e, 0, gene, e->c_effect));
    draw_text(d, p.left + 8, p.top + (show_effect(e, 1, gene, e->c_effect) > 0 ? 16 : p.height - 8), 11, 's', "soft",
              off);
}

/* Effects of many genes by steps, as a heat map with its scale; the height it takes. */
DRAW_API double show_ripple(draw *d, double x, double y, double width, const show_effects *e, const int *gene,
                            int count)
{
    const char **name = (const char **)show_get((size_t)count, sizeof(char *));
    double *v = (double *)show_get((size_t)count * (size_t)e->hops, sizeof(double)), row = 17, wide = 0, step;
    static const char *const hop[] = {"0", "1", "2", "3", "4", "5", "6", "7", "8", "9"};
    const char *says[10];
    char cut[256];
    int i, h, hops = e->hops < 10 ? e->hops : 10, beyond;
    draw_heat map;
    memset(&map, 0, sizeof map);
    for (i = 0; i < count; i++) {
        name[i] = show_effect_gene(e, gene[i]);
        if (draw_width(name[i], 11) > wide) wide = draw_width(name[i], 11);
        for (h = 0; h < hops; h++) v[i * hops + h] = show_effect(e, h, gene[i], e->c_effect);
    }
    for (h = 0; h < hops; h++) says[h] = hop[h];
    if (wide > 0.4 * width) wide = 0.4 * width;
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
    for (i = 0; i < count; i++)
        draw_text(d, x + wide + 4, y + row * (i + 0.5) + 4, 11, 'e', "", draw_cut(name[i], 11, wide, cut));
    for (h = 0; h < hops; h++) draw_text(d, map.left + step * (h + 0.5), y + row * count + 15, 11, 'm', "", hop[h]);
    draw_text(d, map.left + map.width / 2, y + row * count + 33, 12, 'm', "soft",
              "steps from the cell that was changed");
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
    const int *slide;              /* (cells), or NULL: one slide */
    const char *const *slide_name; /* or NULL */
    const char *unit;              /* of length; NULL: not known */
    const unsigned char *ring;     /* (cells) 1: ringed; or NULL */
    int hover;                     /* in a page: what its script needs to name the cells goes with the picture */
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
    area = 0.48 * sqrt(area / (m->cells > 0 ? m->cells : 1)); /* the radius of a cell */
    for (s = 0; s < m->slides; s++) {
        box[4 * s] -= area;
        box[4 * s + 1] -= area;
        box[4 * s + 2] += 2 * area;
        box[4 * s + 3] += 2 * area;
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
    best.radius = area * best.scale;
    best.radius = best.radius < 0.7 ? 0.7 : best.radius > 8 ? 8 : best.radius;
    return best;
}

/* The place of cell i, in pixels: y grows downwards, as in images. */
DRAW_API void show_point(const show_map *m, const show_layout *l, int i, double *x, double *y)
{
    int s = m->slide ? m->slide[i] : 0;
    const double *b = l->box + 4 * s;
    *x = l->x + (s % l->cols) * (l->wide + (l->gap > 0 ? 10 : 0)) + 0.5 * (l->wide - b[2] * l->scale) +
         (m->x[i] - b[0]) * l->scale;
    *y = l->y + (s / l->cols) * (l->high + l->gap) + l->gap + 0.5 * (l->high - b[3] * l->scale) +
         (m->y[i] - b[1]) * l->scale;
}

#define SHOW_NONE 255     /* a level that is not drawn */
#define SHOW_VECTOR 20000 /* more cells than this are drawn into an image */

/* The cells as an image. */
DRAW_API void show_raster(draw *d, const show_map *m, const show_layout *l, const unsigned char *level,
                          draw_scale scale, double width, double height)
{
    const double fine = 1.6; /* pixels of the image a pixel */
    int cols = (int)(fine * width), rows = (int)(fine * height), i, u, v, pass, r = (int)ceil(fine * l->radius);
    unsigned char *pixel = (unsigned char *)show_get((size_t)cols * (size_t)rows, 1);
    double box[4];
    for (pass = 0; pass < DRAW_LEVELS; pass++) /* high levels above low ones */
        for (i = 0; i < m->cells; i++) {
            double x, y;
            if (level[i] != pass) continue;
            show_point(m, l, i, &x, &y);
            x = fine * (x - l->x);
            y = fine * (y - l->y);
            for (v = -r; v <= r; v++)
                for (u = -r; u <= r; u++) {
                    int px = (int)floor(x) + u, py = (int)floor(y) + v;
                    double dx = px + 0.5 - x, dy = py + 0.5 - y;
                    if (px < 0 || py < 0 || px >= cols || py >= rows ||
                        dx * dx + dy * dy > fine * fine * l->radius * l->radius)
                        continue;
                    pixel[(size_t)py * (size_t)cols + (size_t)px] = (unsigned char)(1 + level[i]);
                }
        }
    box[0] = l->x;
    box[1] = l->y;
    box[2] = cols / fine;
    box[3] = rows / fine;
    draw_image(d, box, pixel, cols, rows, scale);
    free(pixel);
}

/* A path of discs at the cells of a level, or (level -1) of all that are drawn. */
DRAW_API void show_discs(draw *d, const show_map *m, const show_layout *l, const unsigned char *level, int k,
                         double radius, const char *classes)
{
    int i, any = 0;
    for (i = 0; i < m->cells; i++) {
        double x, y;
        if (k < 0 ? level[i] == SHOW_NONE : level[i] != k) continue;
        if (!any++) draw_put(&d->out, "<path class=\"%s\" stroke-width=\"%.1f\" d=\"", classes, 2 * radius);
        show_point(m, l, i, &x, &y);
        draw_number(&d->out, "M", x);
        draw_number(&d->out, " ", y);
        draw_put(&d->out, "h0");
    }
    if (any) draw_put(&d->out, "\"/>\n");
}

/* The cells coloured by level, the slides' names, and a scale bar below: 26 pixels more. */
DRAW_API void show_cells(draw *d, const show_map *m, const show_layout *l, const unsigned char *level, draw_scale scale,
                         double width, double height)
{
    int i, k;
    double length, x, y;
    char text[80];
    draw_rect(d, l->x, l->y, width, height, "panel", NULL);
    if (m->cells > SHOW_VECTOR) show_raster(d, m, l, level, scale, width, height);
    else {
        if (scale == DRAW_SIGNED && m->cells < 5000) show_discs(d, m, l, level, -1, l->radius + 0.7, "dots rim");
        for (k = 0; k < DRAW_LEVELS; k++) {
            snprintf(text, sizeof text, "dots %c%d", draw_letter(scale), k);
            show_discs(d, m, l, level, k, l->radius, text);
        }
    }
    for (i = 0; m->ring && i < m->cells; i++) {
        if (!m->ring[i]) continue;
        show_point(m, l, i, &x, &y);
        draw_put(&d->out, "<circle class=\"l\" stroke-width=\"1.6\" r=\"%.1f\"", l->radius + 3);
        draw_number(&d->out, " cx=\"", x);
        draw_number(&d->out, "\" cy=\"", y);
        draw_put(&d->out, "\"/>\n");
    }
    for (i = 0; i < m->slides && m->slides > 1; i++)
        if (m->slide_name)
            draw_text(d, l->x + (i % l->cols) * (l->wide + 10) + 4, l->y + (i / l->cols) * (l->high + l->gap) + 14,
                      l->wide < 90 ? 9 : 11, 's', "soft", m->slide_name[i]);
    length = draw_step(0.3 * width / l->scale, 1);
    while (length * l->scale > 0.4 * width) length /= 2;
    draw_put(&d->out, "<path class=\"axis\" stroke-width=\"2.5\" d=\"");
    draw_number(&d->out, "M", l->x);
    draw_number(&d->out, " ", l->y + height + 10);
    draw_number(&d->out, "h", length * l->scale);
    draw_put(&d->out, "\"/>\n");
    snprintf(text, sizeof text, "%g %.50s", length, m->unit ? m->unit : "units of the positions");
    draw_text(d, l->x + length * l->scale + 8, l->y + height + 14, 11, 's', "", text);
}

/* Opens the group of a map's cells for the script of a page: the level of every cell, and either the scale's end (kinds
 * 0) or the kinds' names. */
DRAW_API void show_group(draw *d, const show_map *m, const unsigned char *level, double most, int both_signs,
                         const char *name, const char *const *kind, int kinds)
{
    static const char digit[] = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz-_";
    int i;
    draw_put(&d->out, m->hover ? "<g data-most=\"%g\" data-both=\"%d\" data-name=\"" : "<g>\n", most, both_signs);
    if (!m->hover) return;
    draw_escape(&d->out, name);
    draw_put(&d->out, "\" data-kinds=\"");
    for (i = 0; i < kinds; i++) {
        draw_escape(&d->out, kind[i]);
        draw_put(&d->out, i + 1 < kinds ? "|" : "");
    }
    draw_put(&d->out, "\" data-levels=\"");
    for (i = 0; i < m->cells; i++) draw_add(&d->out, level[i] < 63 ? &digit[level[i]] : "_", 1);
    draw_put(&d->out, "\">\n");
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

/* Where the cells of a map of `width` pixels are, as a JSON for the script of a page; id (cells): what they are called.
 */
DRAW_API void show_positions(draw_buffer *b, double width, const show_map *m, const long *id)
{
    double *box = (double *)show_get(4 * (size_t)m->slides, sizeof(double)), inner = width - 24, x, y;
    show_layout l = show_place(m, 12, 36, inner, show_map_height(m, inner), box);
    int i, k;
    draw_put(b, "{\"radius\":%.1f", l.radius);
    for (k = 0; k < 3; k++) {
        draw_put(b, k == 0 ? ",\"x\":[" : k == 1 ? ",\"y\":[" : ",\"id\":[");
        for (i = 0; i < m->cells; i++) {
            show_point(m, &l, i, &x, &y);
            if (k < 2) draw_number(b, i ? "," : "", k ? y : x);
            else draw_put(b, i ? ",%ld" : "%ld", id[i]);
        }
        draw_put(b, "]");
    }
    draw_put(b, "}");
    free(box);
}

/* Values as levels of a scale. */
DRAW_API void show_levels(const double *v, int count, draw_scale scale, double most, unsigned char *level)
{
    int i;
    for (i = 0; i < count; i++) level[i] = (unsigned char)(isfinite(v[i]) ? draw_level(scale, v[i], most) : SHOW_NONE);
}

/* A whole picture, begun here: a map of values (a gene, an effect) with its scale below. */
DRAW_API void show_value_map(draw *d, double width, const show_map *m, const double *v, draw_scale scale,
                             const char *title, const char *unit)
{
    double *box = (double *)show_get(4 * (size_t)m->slides, sizeof(double)), inner = width - 24, most;
    double high = show_map_height(m, inner);
    unsigned char *level = (unsigned char *)show_get((size_t)m->cells, 1);
    double *others = (double *)show_get((size_t)m->cells, sizeof(double));
    show_layout l;
    char desc[300];
    int beyond, i, n = 0;
    for (i = 0; i < m->cells; i++) /* what was changed itself would hide its neighbours */
        if (!m->ring || !m->ring[i]) others[n++] = v[i];
    most = n ? show_end(others, n, &beyond) : show_end(v, m->cells, &beyond);
    for (i = 0; i < m->cells; i++) beyond |= fabs(v[i]) > most;
    snprintf(desc, sizeof desc, "Map of %d cells coloured by %.100s; the scale ends at %g.", m->cells, title, most);
    draw_begin(d, width, high + 36 + 30 + 54, title, desc);
    draw_text(d, 12, 24, 14, 's', "b", title);
    l = show_place(m, 12, 36, inner, high, box);
    show_levels(v, m->cells, scale, most, level);
    show_group(d, m, level, most, scale == DRAW_SIGNED, title, NULL, 0);
    show_cells(d, m, &l, level, scale, inner, high);
    draw_put(&d->out, "</g>\n");
    draw_scale_bar(d, 16, 36 + high + 32, inner < 260 ? inner - 8 : 260, scale, most, unit, beyond);
    free(box);
    free(level);
    free(others);
}

#define SHOW_GREY 6 /* the class that is grey */

/* The class of colour of each kind: its own up to 16 kinds; of more, the 15 with the most cells have one each, and all
 * others are grey. How many are grey. */
DRAW_API int show_kind_colours(const int *count, int kinds, int *colour)
{
    double *weight = (double *)show_get((size_t)kinds, sizeof(double));
    unsigned char *keep = (unsigned char *)show_get((size_t)kinds, 1);
    int i, next = 0, grey = 0;
    for (i = 0; i < kinds; i++) weight[i] = count[i];
    if (kinds > DRAW_COLOURS) draw_keep(weight, kinds, DRAW_COLOURS - 1, keep);
    for (i = 0; i < kinds; i++) {
        if (kinds > DRAW_COLOURS && next == SHOW_GREY) next++;
        grey += kinds > DRAW_COLOURS && !keep[i];
        colour[i] = kinds <= DRAW_COLOURS ? i : keep[i] ? next++ : SHOW_GREY;
    }
    free(weight);
    free(keep);
    return grey;
}

/* A map of kinds (types of cells): kind -1 is not drawn; their names and numbers below, in two columns. */
DRAW_API void show_kind_map(draw *d, double width, const show_map *m, const int *kind, const char *const *name,
                            int kinds, const char *title)
{
    double *box = (double *)show_get(4 * (size_t)m->slides, sizeof(double)), inner = width - 24;
    double high = show_map_height(m, inner);
    unsigned char *level = (unsigned char *)show_get((size_t)m->cells, 1);
    int *count = (int *)show_get(2 * (size_t)kinds, sizeof(int)), *colour = count + kinds;
    int i, cols = width > 380 ? 2 : 1, grey, rows, at = 0, others = 0;
    show_layout l = show_place(m, 12, 36, inner, high, box);
    char text[160], classes[24];
    for (i = 0; i < m->cells; i++)
        if (kind[i] >= 0) count[kind[i]]++;
    grey = show_kind_colours(count, kinds, colour);
    rows = (kinds - grey + (grey > 0) + cols - 1) / cols;
    snprintf(text, sizeof text, "Map of %d cells coloured by their %d types.", m->cells, kinds);
    draw_begin(d, width, high + 36 + 36 + 17 * rows, title, text);
    draw_text(d, 12, 24, 14, 's', "b", title);
    for (i = 0; i < m->cells; i++) level[i] = (unsigned char)(kind[i] < 0 || kind[i] > 62 ? SHOW_NONE : kind[i]);
    show_group(d, m, level, 0, 0, "type", name, kinds);
    for (i = 0; i < m->cells; i++) level[i] = (unsigned char)(kind[i] < 0 ? SHOW_NONE : colour[kind[i]]);
    show_cells(d, m, &l, level, DRAW_KINDS, inner, high);
    draw_put(&d->out, "</g>\n");
    for (i = 0; i <= kinds; i++) {
        double x = 16 + (at / rows) * inner / cols, y = 36 + high + 38 + 17 * (at % rows);
        if (i < kinds && grey && colour[i] == SHOW_GREY) others += count[i];
        if (i < kinds ? grey && colour[i] == SHOW_GREY : !grey) continue;
        snprintf(classes, sizeof classes, "f c%d", i < kinds ? colour[i] : SHOW_GREY);
        draw_marker(d, x + 5, y, 5, 0, classes, NULL);
        if (i < kinds) snprintf(text, sizeof text, "%.60s (%d)", name[i], count[i]);
        else snprintf(text, sizeof text, "%d other types (%d)", grey, others);
        draw_text(d, x + 16, y + 4, 11, 's', "", text);
        at++;
    }
    free(box);
    free(level);
    free(count);
}

/* ---- the page ---- */

static const char *const page_css =
    ":root{color-scheme:light "
    "dark;--ink:#1c1f24;--soft:#595f69;--paper:#fff;--card:#f7f7f5;--line:#dddfe3;--mark:#0072b2;"
    "--good:#00704f;--bad:#b04400}"
    "@media screen and (prefers-color-scheme:dark){:root{--ink:#e6e8eb;--soft:#a4abb6;--paper:#15181c;--card:#1c2026;"
    "--line:#343a43;--mark:#6bbcf0;--good:#4fd0a8;--bad:#ff9a66}}"
    "*{box-sizing:border-box}html{-webkit-text-size-adjust:100%}"
    "body{margin:0;background:var(--paper);color:var(--ink);font:16px/1.55 system-ui,'Segoe "
    "UI',Helvetica,Arial,sans-serif}"
    "main{max-width:1120px;margin:0 auto;padding:28px 20px 60px}"
    "h1{font-size:30px;line-height:1.2;margin:0 0 6px}h2{font-size:21px;margin:40px 0 8px;padding-top:14px;"
    "border-top:1px solid var(--line)}h3{font-size:16px;margin:0 0 4px}"
    "p{max-width:46em;margin:8px 0 12px;overflow-wrap:anywhere}.soft,figcaption{color:var(--soft)}"
    "code,pre{font:13px/1.5 ui-monospace,'DejaVu Sans Mono',Menlo,monospace}"
    "pre{background:var(--card);border:1px solid var(--line);border-radius:6px;padding:10px 12px;white-space:pre-wrap;"
    "overflow-wrap:anywhere}"
    ".cards{display:grid;grid-template-columns:repeat(auto-fit,minmax(min(100%,196px),1fr));gap:14px;margin:18px 0}"
    ".card{background:var(--card);border:1px solid var(--line);border-radius:8px;padding:14px 16px}"
    ".card p{margin:6px 0 0;font-size:14px}.card .big{font-size:27px;font-weight:600;line-height:1.25;"
    "font-variant-numeric:tabular-nums}.card h3{font-size:13px;font-weight:600;color:var(--soft)}"
    ".card .big small{display:block;font-size:14px;font-weight:400;color:var(--ink)}"
    ".good{color:var(--good)}.bad{color:var(--bad)}"
    ".figures{display:grid;grid-template-columns:repeat(auto-fit,minmax(min(100%,420px),1fr));gap:20px "
    "18px;align-items:start}"
    ".figures.wide{grid-template-columns:1fr}"
    "figure{margin:0;min-width:0;border:1px solid var(--line);border-radius:8px;padding:4px 2px 12px}"
    "figure svg{width:100%;height:auto;max-width:600px;display:block}"
    ".wide figure{display:grid;grid-template-columns:minmax(0,780px) minmax(0,1fr);align-items:center}"
    ".wide figure svg{max-width:780px;min-width:540px}"
    "figcaption{font-size:14px;margin:4px 14px 0;max-width:44em}"
    ".tools{display:flex;flex-wrap:wrap;gap:10px 16px;align-items:end;margin:14px 0}"
    ".tools label{font-size:13px;color:var(--soft);display:grid;gap:3px}"
    "input,select{font:inherit;font-size:15px;padding:6px 9px;color:var(--ink);background:var(--paper);"
    "border:1px solid var(--soft);border-radius:6px;max-width:100%}"
    ".scroll{overflow-x:auto}.rows{max-height:27rem;overflow:auto;border:1px solid "
    "var(--line);border-radius:8px}table{border-collapse:collapse;width:100%;font-size:14px;font-variant-numeric:"
    "tabular-nums}"
    "th,td{padding:5px 10px;text-align:right;border-bottom:1px solid var(--line);white-space:nowrap}"
    "th{font-weight:600;position:sticky;top:0;background:var(--paper)}th "
    "button{font:inherit;color:inherit;background:none;"
    "border:0;padding:0;cursor:pointer}th button:hover{color:var(--mark)}th.t,td.t{text-align:left}"
    ":focus-visible{outline:2px solid var(--mark);outline-offset:2px}"
    "#tip{position:fixed;z-index:9;pointer-events:none;background:var(--ink);color:var(--paper);font-size:13px;"
    "padding:4px 8px;border-radius:5px;max-width:min(320px,90vw);display:none}"
    "details{margin:10px 0}summary{cursor:pointer;font-weight:600}"
    "@media(max-width:560px){main{padding:18px 14px 40px}h1{font-size:24px}h2{margin-top:36px}th,td{padding:5px 7px}}"
    "@media(max-width:900px){.wide figure{display:block}}"
    "@media print{body{font-size:11pt}main{max-width:none;padding:0}.tools,#tip{display:none}h2{break-after:avoid}"
    ".rows{max-height:none;border:0}tbody tr:nth-child(n+31){display:none}"
    "figure,.card,tr{break-inside:avoid}.figures{grid-template-columns:1fr 1fr}.wide figure svg{min-width:0}"
    ".figures.wide{grid-template-columns:1fr}a{color:inherit}}";

/* Pointing at parts of pictures, and filtering the table: the rest of the page works without. */
static const char *const page_js[] = {
    "(function(){'use strict';var tip=document.getElementById('tip'),T=null;"
    "function say(s,e){if(!s){tip.style.display='none';return}tip.textContent=s;tip.style.display='block';"
    "var w=tip.offsetWidth,h=tip.offsetHeight,x=e.clientX+14,y=e.clientY+16;"
    "if(x+w>innerWidth-4)x=Math.max(4,e.clientX-w-10);if(y+h>innerHeight-4)y=Math.max(4,e.clientY-h-12);"
    "tip.style.left=x+'px';tip.style.top=y+'px'}"
    "document.querySelectorAll('figure svg title').forEach(function(t){var p=t.parentNode;p.setAttribute('data-t',"
    "t.textContent);p.setAttribute('aria-label',t.textContent);t.remove()});"
    "var box=document.getElementById('rows');if(box){T=JSON.parse(box.textContent)}"
    "var where={};if(T&&T.pairs)T.rows.forEach(function(r){where[r[0]+'|'+r[1]+'|'+r[2]]=r});"
    "function matrix(g,e){var m=JSON.parse(g.getAttribute('data-matrix')),s=g.ownerSVGElement||g,p=s.createSVGPoint();"
    "p.x=e.clientX;p.y=e.clientY;p=p.matrixTransform(s.getScreenCTM().inverse());"
    "var n=m.genes.length,j=Math.floor((p.x-m.x)/m.side*n),i=Math.floor((p.y-m.y)/m.side*n);"
    "if(i<0||j<0||i>=n||j>=n||i===j)return '';var a=m.genes[i],b=m.genes[j],"
    "r=where[m.relation+'|'+a+'|'+b]||where[m.relation+'|'+b+'|'+a];"
    "return a+', '+b+': '+(r?T.head.slice(3).map(function(h,k){return h+' '+r[k+3]}).filter(function(x){"
    "return !/ $/.test(x)}).join(', '):'weaker than those listed below')}"
    "var C=document.getElementById('cells'),D='0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz-_';"
    "if(C)C=JSON.parse(C.textContent);"
    "function cell(g,e){if(!C)return '';var s=g.ownerSVGElement,p=s.createSVGPoint(),l=g.getAttribute('data-levels');"
    "p.x=e.clientX;p.y=e.clientY;p=p.matrixTransform(s.getScreenCTM().inverse());"
    "var near=Math.max(C.radius+1,3),best=near*near,at=-1,i,u,v;for(i=0;i<C.x.length;i++){u=C.x[i]-p.x;v=C.y[i]-p.y;"
    "if(u*u+v*v<best){best=u*u+v*v;at=i}}if(at<0||l[at]==='_')return '';"
    "var k=D.indexOf(l[at]),n=g.getAttribute('data-kinds'),m=parseFloat(g.getAttribute('data-most')),"
    "w=g.getAttribute('data-both')==='1'?m*(k/16-1):m*k/32;"
    "return 'cell '+C.id[at]+', '+g.getAttribute('data-name')+': '+(n?n.split('|')[k]:'about '+w.toPrecision(2))}"
    "function point(e){var t=e.target,g=t.closest?t.closest('[data-matrix]'):null;"
    "if(g)return say(matrix(g,e),e);g=t.closest?t.closest('[data-levels]'):null;if(g)return "
    "say(cell(g,e),e);t=t.closest?t.closest('[data-t]'):null;say(t?t.getAttribute('data-t'):'',e)}"
    "addEventListener('pointermove',point);addEventListener('pointerdown',point);"
    "addEventListener('scroll',function(){say('')},{passive:true});"
    ,
    "if(!T)return;var body=document.querySelector('#table tbody'),count=document.getElementById('count'),"
    "f={},key=-1,up=1,room=200,texts=T.texts;['text','group','q'].forEach(function(k){"
    "f[k]=document.getElementById('f-'+k);if(f[k])f[k].addEventListener('input',show)});"
    "function show(){var words=(f.text?f.text.value:'').toLowerCase().split(/[\\s,]+/).filter(Boolean),"
    "group=f.group?f.group.value:'',q=f.q?parseFloat(f.q.value):NaN,"
    "list=T.rows.filter(function(r){if(group&&r[0]!==group)return false;"
    "if(T.q>=0&&q<1&&!(r[T.q]!==''&&parseFloat(r[T.q])<q))return false;"
    "return words.every(function(w){for(var k=1;k<texts;k++)if(r[k].toLowerCase().indexOf(w)>=0)return true;return "
    "false})});"
    "if(key>=0)list=list.slice().sort(function(x,y){var "
    "a=x[key],b=y[key];if(key>=texts){a=parseFloat(a);b=parseFloat(b);"
    "if(T.size[key]){a=-Math.abs(a);b=-Math.abs(b)}if(a!==a)return 1;if(b!==b)return -1}return (a<b?-1:a>b?1:0)*up});"
    "body.textContent='';list.slice(0,room).forEach(function(r){var tr=document.createElement('tr');"
    "r.forEach(function(v,k){var td=document.createElement('td');if(k<texts)td.className='t';td.textContent=v;"
    "tr.appendChild(td)});body.appendChild(tr)});"
    "count.textContent=(list.length>room?'the first '+room+' of ':'')+list.length+' rows'}"
    "document.querySelectorAll('#table th').forEach(function(th,k){var b=document.createElement('button');"
    "b.textContent=th.textContent;b.type='button';th.textContent='';th.appendChild(b);b.addEventListener('click',"
    "function(){"
    "up=key===k?-up:1;key=k;document.querySelectorAll('#table "
    "th').forEach(function(t){t.removeAttribute('aria-sort')});"
    "th.setAttribute('aria-sort',up>0?'ascending':'descending');show()})});show()})();"};

/* Text as it is, with every %s of it escaped; no other conversions. */
DRAW_API void page_say(draw_buffer *b, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    while (*format) {
        size_t n = strcspn(format, "%");
        draw_add(b, format, n);
        format += n;
        if (!*format) break;
        if (format[1] == 's') draw_escape(b, va_arg(args, const char *));
        else draw_add(b, "%", 1);
        format += format[1] == 's' ? 2 : 1;
    }
    va_end(args);
}

/* A number of the results: as their file writes it (exact), shown with `digits` digits that count; whole numbers in
 * full. More of 0 .. 1 as a percentage. "not known" where there is none. */
DRAW_API void page_number(draw_buffer *b, const char *exact, int digits, int percent)
{
    char s[64], *end;
    double v = strtod(exact, &end);
    size_t n, k, lead;
    if (end == exact) {
        draw_put(b, "not known");
        return;
    }
    if (percent) snprintf(s, sizeof s, "%.*f", digits, 100 * v);
    else if (fabs(v) < 1e15 && !(floor(v) < v)) snprintf(s, sizeof s, "%.0f", v);
    else snprintf(s, sizeof s, "%.*g", digits, v);
    draw_put(b, "<data value=\"%.*s\">", (int)(end - exact), exact);
    n = strlen(s);
    lead = *s == '-';
    for (k = 0; k < n; k++) { /* 17,136 */
        draw_add(b, s + k, 1);
        if (n - lead > 4 && strspn(s + lead, "0123456789") == n - lead && k + 1 < n && k >= lead &&
            (n - k - 1) % 3 == 0)
            draw_put(b, ",");
    }
    draw_put(b, percent ? "</data>&#160;%%" : "</data>");
}
/* One under a key of a report. */
DRAW_API void page_key(draw_buffer *b, const char *json, const char *key, int digits, int percent)
{
    const char *at = show_key(json, key);
    page_number(b, at ? at : "", digits, percent);
}

/* A picture with its caption; the picture is freed. more: attributes of a group around it (a JSON for the script). */
DRAW_API void page_figure(draw_buffer *b, draw *d, const char *caption)
{
    draw_put(b, "<figure><div class=\"scroll\">\n");
    draw_write(d, 1, b);
    page_say(b, "</div><figcaption>%s</figcaption></figure>\n", caption);
    draw_free(d);
}

DRAW_API void page_open(draw_buffer *b, const char *title)
{
    page_say(b,
             "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\"/>\n<meta name=\"viewport\" "
             "content=\"width=device-width, initial-scale=1\"/>\n<title>%s</title>\n<style>",
             title);
    draw_put(b, "%s", page_css);
    draw_style(b);
    draw_put(b, "</style>\n</head>\n<body>\n<main>\n");
}
DRAW_API void page_close(draw_buffer *b)
{
    draw_put(b, "</main>\n<div id=\"tip\" role=\"status\"></div>\n<script>\n//<![CDATA[\n%s%s\n//]]>\n</script>\n",
             page_js[0], page_js[1]);
    draw_put(b, "</body>\n</html>\n");
}

/* A text in a JSON that stands in a page: no character of it can end the script. */
DRAW_API void page_json(draw_buffer *b, const char *s)
{
    draw_put(b, "\"");
    while (*s) {
        size_t n = draw_letter_size((const unsigned char *)s);
        unsigned char c = (unsigned char)*s;
        if (n == 0) draw_put(b, "?");
        else if (c == '<' || c == '>' || c == '&' || c == '"' || c == '\\' || c < 32) draw_put(b, "\\u%04x", c);
        else draw_add(b, s, n);
        s += n ? n : 1;
    }
    draw_put(b, "\"");
}

/* A column of the page's table: the head, the column of the CSV, digits that are shown (0: a text). */
typedef struct page_column {
    const char *head;
    int column, digits, by_size; /* by_size: sorted by |value| */
} page_column;

/* A field as the table shows it. */
DRAW_API void page_cell(const show_table *t, int row, const page_column *c, char *s, size_t room)
{
    const char *field = show_at(t, row, c->column);
    double v = show_value(t, row, c->column);
    if (c->digits && isfinite(v)) snprintf(s, room, "%.*g", c->digits, v);
    else snprintf(s, room, "%s", c->digits ? "" : strcmp(c->head, "relation") == 0 ? show_relation(field) : field);
}

#define PAGE_ROWS 15000 /* of the table at most: 300 genes have 90,000 pairs, and a page has an end */

/* The table: `first` rows of it as HTML, up to PAGE_ROWS from row `from` on for the script. texts: leading columns that
 * are no numbers; q: the column to filter by, or -1. */
DRAW_API void page_table(draw_buffer *b, const show_table *t, int from, int rows, const page_column *c, int columns,
                         int texts, int q, int pairs)
{
    char s[300];
    int i, k;
    draw_put(b, "<p class=\"soft\" id=\"count\">the first rows</p>\n<div class=\"rows\" tabindex=\"0\"><table "
                "id=\"table\"><thead><tr>");
    for (k = 0; k < columns; k++)
        page_say(b, k < texts ? "<th class=\"t\" scope=\"col\">%s</th>" : "<th scope=\"col\">%s</th>", c[k].head);
    draw_put(b, "</tr></thead><tbody>\n");
    for (i = 0; i < rows && i < 50; i++) {
        draw_put(b, "<tr>");
        for (k = 0; k < columns; k++) {
            page_cell(t, from + i, &c[k], s, sizeof s);
            if (k < texts) page_say(b, "<td class=\"t\">%s</td>", s);
            else if (*s) page_say(b, "<td><data value=\"%s\">%s</data></td>", show_at(t, from + i, c[k].column), s);
            else draw_put(b, "<td></td>");
        }
        draw_put(b, "</tr>\n");
    }
    draw_put(b,
             "</tbody></table></div>\n<script type=\"application/json\" "
             "id=\"rows\">{\"texts\":%d,\"q\":%d,\"pairs\":%d,\"head\":[",
             texts, q, pairs);
    for (k = 0; k < columns; k++) {
        if (k) draw_put(b, ",");
        page_json(b, c[k].head);
    }
    draw_put(b, "],\"size\":[");
    for (k = 0; k < columns; k++) draw_put(b, k ? ",%d" : "%d", c[k].by_size);
    draw_put(b, "],\"rows\":[\n");
    for (i = 0; i < rows && i < PAGE_ROWS; i++) {
        draw_put(b, i ? ",\n[" : "[");
        for (k = 0; k < columns; k++) {
            page_cell(t, from + i, &c[k], s, sizeof s);
            if (k) draw_put(b, ",");
            page_json(b, s);
        }
        draw_put(b, "]");
    }
    draw_put(b, "]}</script>\n");
}

/* The line of boxes that filter the table. group: the choices of the first column. */
DRAW_API void page_filters(draw_buffer *b, const char *label, const char *const *group, int groups,
                           const char *group_label, int q)
{
    int k;
    page_say(b, "<div class=\"tools\"><label>%s<input id=\"f-text\" type=\"search\" autocomplete=\"off\"/></label>\n",
             label);
    page_say(b, "<label>%s<select id=\"f-group\"><option value=\"\">all</option>", group_label);
    for (k = 0; k < groups; k++) page_say(b, "<option>%s</option>", group[k]);
    draw_put(b, "</select></label>\n");
    if (q)
        draw_put(b, "<label>q below<select id=\"f-q\"><option "
                    "value=\"1\">any</option><option>0.05</option><option>0.01</option><option>0.001</option>"
                    "</select></label>\n");
    draw_put(b, "</div>\n");
}

/* What a page is made of. Texts of files, or NULL; maps are freed by the page. */
typedef struct page_source {
    const char *json, *pairs, *genes, *effects;
    const char *shifts, *targets; /* of a fit of conditions, or NULL */
    const char *command; /* as it can be typed again */
    draw *map;
    const char *const *caption; /* of the maps */
    int maps;
    draw_buffer positions; /* of the maps' cells, by show_positions; freed by the page; or empty */
    const double *loss;    /* of the published method by epoch, or NULL */
    int losses;
} page_source;

/* The words that say what the rows are and whose neighbours count; shared by both kinds of page. */
DRAW_API void page_tissue(draw_buffer *b, const page_source *p)
{
    char *rows = show_string(p->json, "rows");
    draw_put(b, "<p>");
    page_key(b, p->json, "cells", 6, 0);
    draw_put(b, " cells");
    if (show_number(p->json, "cells_left_out") > 0) {
        draw_put(b, " (");
        page_key(b, p->json, "cells_left_out", 6, 0);
        draw_put(b, " more have no counts in the genes kept and are left out)");
    }
    draw_put(b, " and ");
    page_key(b, p->json, "genes", 6, 0);
    draw_put(b, " genes on ");
    page_key(b, p->json, "slides", 6, 0);
    page_say(b, "%s; ",
             show_number(p->json, "slides") > 1 ? " slides, between which no cell has neighbours" : " slide");
    page_key(b, p->json, "mean_degree", 3, 0);
    draw_put(b, " neighbours a cell. The numbers were made into rows so: <span class=\"k\">");
    draw_escape(b, rows);
    draw_put(b, "</span>.</p>\n");
    free(rows);
}
DRAW_API void page_command(draw_buffer *b, const page_source *p)
{
    char *version = show_string(p->json, "celcomen");
    page_say(b,
             "<pre class=\"k\"><code>%s</code></pre>\n<p class=\"soft\">Made by celcomen <span "
             "class=\"k\">%s</span>. The same command gives the same page.</p>\n",
             p->command, version);
    free(version);
}

/* A card: its head, a number, and what it means. */
DRAW_API void page_card(draw_buffer *b, const char *head)
{
    page_say(b, "<div class=\"card\"><h3>%s</h3><div class=\"big\">", head);
}
DRAW_API void page_verdict(draw_buffer *b, const char *mood, const char *words)
{
    page_say(b, "</div><p class=\"%s k\">%s</p></div>\n", mood, words);
}

/* ---- the page of a fit ---- */

/* How many pairs of a relation the report says were called (shuffled 0), or are called with the cells' places shuffled;
 * the text of the number, or "". */
DRAW_API const char *page_calls(const char *json, int relation, int shuffled)
{
    const char *at = show_key(json, "relations");
    int k;
    for (k = 0; at && k <= relation; k++) at = show_key(at, "calls");
    if (at && shuffled) at = show_key(at, "calls_shuffled");
    return at ? at : "";
}

DRAW_API void page_trust_counts(draw_buffer *b, const char *json)
{
    double counts = show_number(json, "target_sum");
    if (!isfinite(counts)) return;
    page_card(b, "Counts a cell (median)");
    page_key(b, json, "target_sum", 4, 0);
    if (counts < 300)
        page_verdict(
            b, "bad",
            "Few. On tissue with known forces, forces within cells need about three hundred counts a cell and forces "
            "between cells about a thousand. Read the ranks and signs of the strongest pairs, not their sizes.");
    else if (counts < 1000)
        page_verdict(
            b, "",
            "Enough for the ranks and signs of forces within cells; forces between cells need about a thousand. "
            "Sizes are not to be relied on.");
    else
        page_verdict(b, "good",
                     "Enough for the ranks and signs of forces within and between cells; their sizes are still "
                     "attenuated by counting noise.");
}

DRAW_API void page_trust_calls(draw_buffer *b, const show_forces *f, const char *json)
{
    double called = strtod(page_calls(json, 1, 0), NULL),
           chance = show_number(page_calls(json, 1, 0), "calls_shuffled");
    char count[32], head[100];
    int k, pairs[2] = {0, 0};
    for (k = 0; k < f->count; k++)
        if (f->pair[k].relation < 2) pairs[f->pair[k].relation]++;
    for (k = 0; k < 2 && k < f->relations && f->errors; k++) {
        snprintf(head, sizeof head, "Called %.80s", show_relation(f->relation[k]));
        page_card(b, head);
        page_number(b, page_calls(json, k, 0), 6, 0);
        draw_put(b, "<small>of ");
        snprintf(count, sizeof count, "%d", pairs[k]);
        page_number(b, count, 9, 0);
        draw_put(b, " pairs</small>");
        if (!k) {
            page_verdict(b, "", "Pairs of genes whose false discovery rate is below one in twenty.");
            continue;
        }
        draw_put(b, "<small>");
        page_number(b, page_calls(json, 1, 1), 6, 0);
        draw_put(b, " with the cells' places shuffled</small>");
        if (!isfinite(chance)) page_verdict(b, "", "There was no run with shuffled places to compare with.");
        else if (called <= 0) page_verdict(b, "", "None, which is the usual and often the right answer.");
        else if (2 * chance >= called)
            page_verdict(b, "bad", "Shuffled places call as many: do not believe these calls.");
        else if (10 * chance >= called)
            page_verdict(b, "", "Shuffled places call some too: about so many of these calls are false.");
        else
            page_verdict(b, "good",
                         "What shuffled places call is false; here places carry these calls. A gene that was not "
                         "measured, or types of cells that live side by side, can still stand behind them.");
    }
}

DRAW_API void page_trust_shares(draw_buffer *b, const char *json)
{
    static const char *const key[] = {"share_own_genes", "share_same_gene_next_door", "share_other_genes_next_door"};
    static const char *const words[] = {"the cell's own other genes", "the same gene next door",
                                        "other genes next door"};
    double other = show_number(json, key[2]);
    int k;
    if (!isfinite(other)) return;
    page_card(b, "Held-out variance explained");
    page_key(b, json, key[0], 1, 1);
    draw_put(b, "<small>");
    for (k = 0; k < 3; k++) {
        page_say(b, k ? "<br/>%s " : "by %s", words[k]);
        if (k) page_key(b, json, key[k], 1, 1);
    }
    draw_put(b, "</small>");
    page_verdict(
        b, other > 0 ? "" : "bad",
        other > 0 ? "Mean over genes, on tiles the fit did not see. What the same gene next door explains is "
                    "domains, or spill-over of molecules; only the last line is about pairs of genes between cells."
        : show_number(json, key[1]) > 0
            ? "On tiles that the fit did not see, other genes next door explain nothing: do not read the forces "
              "between neighbours."
            : "On tiles that the fit did not see, neighbours explain nothing: forces between them are noise, or the "
              "positions are in another order than the cells.");
}

DRAW_API void page_trust_fit(draw_buffer *b, const char *json)
{
    double converged = show_number(json, "converged");
    if (!isfinite(converged)) return;
    page_card(b, "Tiles behind the errors");
    page_key(b, json, "groups", 6, 0);
    if (!(converged > 0)) page_verdict(b, "bad", "The fit has not converged: do not use these forces.");
    else if (show_number(json, "groups") < 10)
        page_verdict(b, "bad", "Fewer than ten tiles say too little for a q value.");
    else
        page_verdict(b, "good",
                     "The fit converged. Errors come from leaving out one tile of the slide after the other.");
}

DRAW_API void page_fit_pictures(draw_buffer *b, const page_source *p, const show_forces *f)
{
    int *order = (int *)show_get((size_t)f->genes, sizeof(int)), count = show_order(f, 300, order), r, i, beyond;
    draw d;
    char title[200], caption[500];
    long square = (long)f->genes * f->genes;
    draw_put(b, "<h2>All pairs at once</h2>\n<p>Genes that go together stand together: one order, from the forces "
                "within cells, for all matrices. Each matrix has its own scale.</p>\n<div class=\"figures wide\">\n");
    for (r = 0; r < f->relations && r < 4; r++) {
        double most = show_end(f->value + r * square, square, &beyond);
        snprintf(title, sizeof title, "Forces %s", show_relation(f->relation[r]));
        snprintf(caption, sizeof caption,
                 "Matrix of the %ss %s of %d genes, clustered; blue is negative, orange positive.", show_unit(f),
                 show_relation(f->relation[r]), count);
        draw_begin(&d, 640, 710, title, caption);
        draw_text(&d, 20, 24, 14, 's', "b", title);
        draw_put(&d.out, "<g data-matrix='{\"relation\":");
        page_json(&d.out, show_relation(f->relation[r]));
        draw_put(&d.out, ",\"x\":20,\"y\":120,\"side\":520,\"genes\":[");
        for (i = 0; i < count; i++) {
            draw_buffer name;
            memset(&name, 0, sizeof name);
            page_json(&name, f->gene[order[i]]);
            draw_put(&d.out, i ? "," : "");
            for (char *c = name.data; c && *c; c++) draw_put(&d.out, *c == '\'' ? "\\u0027" : "%c", *c);
            free(name.data);
        }
        draw_put(&d.out, "]}'>\n");
        show_matrix(&d, 20, 120, 520, f, r, order, count, most, beyond);
        draw_put(&d.out, "</g>\n");
        snprintf(caption, sizeof caption,
                 "%s: %s of every pair of genes.%s%s", title, show_unit(f),
                 520 / count >= 7 ? " A dash marks negative squares, so that a grey copy can be read." : "",
                 count < f->genes ? " The genes with the strongest pairs are shown." : "");
        page_figure(b, &d, caption);
    }
    draw_put(b, "</div>\n");
    if (f->relations > 4)
        draw_put(b, "<p class=\"soft\">Further relations are in pairs.csv.</p>\n");
    free(order);
    (void)p;
}

DRAW_API void page_fit_strongest(draw_buffer *b, const show_forces *f)
{
    static const page_column all[] = {{"relation", 0, 0, 0},
                                      {"gene", 1, 0, 0},
                                      {"and gene", 2, 0, 0},
                                      {"force", 3, 4, 1},
                                      {"partial correlation", 4, 4, 1},
                                      {"standard error", 6, 3, 0},
                                      {"q", 9, 2, 0}};
    page_column column[7];
    const char *group[200];
    char title[200], caption[300];
    int r, k, n = 0, q = -1;
    draw d;
    draw_put(b, "<h2>The strongest pairs</h2>\n<div class=\"figures\">\n");
    for (r = 0; r < f->relations && r < 4; r++) {
        double high;
        snprintf(title, sizeof title, "Strongest pairs %s", show_relation(f->relation[r]));
        draw_begin(&d, 440, 100, title, "A row a pair of genes, the strongest first: its value, and any errors.");
        draw_text(&d, 12, 24, 14, 's', "b", title);
        high = show_strongest(&d, 12, 38, 424, f, r, 16);
        d.height = 38 + high + 4;
        snprintf(caption, sizeof caption, "Pairs of genes %s, the %s.", show_relation(f->relation[r]),
                 f->errors ? "surest first, with two standard errors to each side" : "largest first");
        page_figure(b, &d, caption);
    }
    draw_put(b, "</div>\n");
    for (k = 0; k < 7; k++) {
        if ((k == 4 && !f->partial) || (k > 4 && !f->errors)) continue;
        if (k == 6) q = n;
        column[n++] = all[k];
    }
    for (k = 0; k < f->relations && k < 200; k++) group[k] = show_relation(f->relation[k]);
    page_filters(b, "genes (one name, or two)", group, k, "relation", f->errors);
    page_table(b, &f->pairs, 1, f->count, column, n, 3, q, 1);
    draw_put(b, "<p class=\"soft\">A partial correlation has its force's sign and is comparable between genes; a raw "
                "force is as large as a gene is rare. All pairs, with z and p, are in pairs.csv.</p>\n");
}

/* The held-out curve by ridge, or a loss by epochs. */
DRAW_API int page_curve(draw *d, const page_source *p)
{
    double v[128], x[64], y[64], picked = show_number(p->json, "ridge");
    int n = show_numbers(p->json, "path", v, 128) / 2, i, mark = -1;
    draw_series s;
    memset(&s, 0, sizeof s);
    if (p->losses > 1) {
        s.name = "loss";
        s.y = p->loss;
        s.count = p->losses;
        s.kind = DRAW_LINE;
        draw_begin(d, 440, 310, "Loss by epoch", "The loss of the published method by epoch.");
        draw_text(d, 12, 24, 14, 's', "b", "Loss by epoch");
        show_curve(d, 10, 40, 424, 262, &s, "epoch", "loss", 0, -1);
        return 1;
    }
    if (n < 2) return 0;
    for (i = 0; i < n; i++) {
        x[i] = v[2 * i];
        y[i] = v[2 * i + 1];
        if (fabs(log(x[i] / picked)) < 1e-3) mark = i;
    }
    s.name = "held out";
    s.x = x;
    s.y = y;
    s.count = n;
    s.kind = DRAW_LINE | DRAW_POINTS;
    draw_begin(d, 440, 310, "How the ridge was picked", "Held-out value by ridge; the least is picked.");
    draw_text(d, 12, 24, 14, 's', "b", "How the ridge was picked");
    show_curve(d, 10, 40, 424, 262, &s, "ridge (lighter at the left)",
               show_number(p->json, "measured") > 0 ? "held-out log residual variance" : "held-out score", 1, mark);
    return 1;
}

DRAW_API void page_maps(draw_buffer *b, const page_source *p, const char *head, const char *words)
{
    int k;
    if (!p->maps) return;
    page_say(b, "<h2>%s</h2>\n<p>%s</p>\n<div class=\"figures\">\n", head, words);
    for (k = 0; k < p->maps; k++) page_figure(b, &p->map[k], p->caption[k]);
    draw_put(b, "</div>\n");
    if (!p->positions.data) return;
    draw_put(b, "<script type=\"application/json\" id=\"cells\">");
    draw_add(b, p->positions.data, p->positions.size);
    draw_put(b, "</script>\n");
}

DRAW_API void page_fit_rest(draw_buffer *b, const page_source *p)
{
    show_table genes = show_parse(p->genes);
    draw d;
    draw_put(b, "<h2>What explains the genes</h2>\n<div class=\"figures\">\n");
    if (genes.rows > 1) {
        double high;
        draw_begin(&d, 440, 100, "Shares of variance",
                   "A bar a gene: what its cell's own genes, the same gene next door, and other genes next door "
                   "explain on held-out tiles.");
        draw_text(&d, 12, 24, 14, 's', "b", "Shares of each gene's variance");
        high = show_shares(&d, 12, 38, 424, &genes, 24);
        d.height = 38 + high + 4;
        page_figure(b, &d,
                    genes.rows > 25 ? "The genes of which neighbours tell most. All are in genes.csv."
                                    : "All genes; also in genes.csv.");
    }
    if (page_curve(&d, p))
        page_figure(b, &d,
                    p->losses > 1
                        ? "The published method's objective has no minimum in most directions; the clamp ends it."
                        : "The value on tiles that the fit did not see, by ridge. The ringed one was used.");
    draw_put(b, "</div>\n");
    show_table_free(&genes);
}

/* What the words mean; the same on every page. */
DRAW_API void page_words(draw_buffer *b)
{
    draw_put(b, "<h2>What these numbers are, and are not</h2>\n"
                "<p>A force is an undirected conditional dependence: given everything else in the model, cells (or "
                "neighbouring cells) that "
                "are high in one gene are more often high in the other. It has no direction, is not a mechanism, and a "
                "gene that was not "
                "measured can stand behind it. With types of cells mixed, forces between neighbours also hold which "
                "types live side by "
                "side.</p>\n"
                "<details><summary>Words</summary><p><b>Partial correlation</b>: a force in the units of a "
                "correlation, given all other genes "
                "of the cell and its neighbours. <b>Standard error</b>: from leaving out one tile of the slide after "
                "the other. <b>q</b>: the "
                "share of false ones among all pairs at least as sure, as estimated. <b>Shuffled</b>: the same fit "
                "with the cells' places "
                "permuted; what it calls between cells is false. <b>Sham</b>: the same run, on the same random "
                "numbers, without the "
                "intervention. <b>Effect</b>: after minus sham.</p></details>\n");
}

/* The whole page of a fit. */
/* The rows of shifts.csv or targets.csv with q below .05, the first 40 of them. */
DRAW_API void page_shifted(draw_buffer *b, const char *csv, const char *words)
{
    show_table t = show_parse(csv);
    int q = show_column(&t, "q"), row, k, called = 0;
    for (row = 1; row < t.rows; row++) called += show_value(&t, row, q) < 0.05;
    page_say(b, "<p>%s: ", words);
    draw_put(b, called > 40 ? "%d, of which the first 40 are shown.</p>\n" : "%d.</p>\n", called);
    if (called) {
        draw_put(b, "<div class=\"rows\" tabindex=\"0\"><table><thead><tr>");
        for (k = 0; k < t.cols; k++) page_say(b, "<th scope=\"col\">%s</th>", show_at(&t, 0, k));
        draw_put(b, "</tr></thead><tbody>\n");
        for (row = 1, called = 0; row < t.rows && called < 40; row++) {
            if (!(show_value(&t, row, q) < 0.05)) continue;
            called++;
            draw_put(b, "<tr>");
            for (k = 0; k < t.cols; k++) page_say(b, "<td>%s</td>", show_at(&t, row, k));
            draw_put(b, "</tr>\n");
        }
        draw_put(b, "</tbody></table></div>\n");
    }
    show_table_free(&t);
}

DRAW_API void page_fit(draw_buffer *b, const page_source *p, const char *title)
{
    show_forces f = show_read_forces(p->pairs);
    char *method = show_string(p->json, "method");
    page_open(b, title);
    page_say(b, "<header><h1>%s</h1>\n", title);
    draw_put(b, "<p class=\"soft\">Forces between genes, within cells and between neighbouring "
                "cells.</p></header>\n<h2>What was run</h2>\n");
    page_tissue(b, p);
    if (strcmp(method, "paper") == 0)
        draw_put(b, "<p>The published method (CCE). Its objective is linear, hence without a minimum, in most "
                    "directions: this page shows what it gives, without errors, because it has none.</p>\n");
    else {
        draw_put(b, "<p>%s, with a ridge of ",
                 strcmp(method, "counts") == 0       ? "Expectation-maximisation through the counting"
                 : strcmp(method, "likelihood") == 0 ? "Maximum likelihood by sampling, from score matching's forces"
                                                     : "Score matching");
        page_key(b, p->json, "ridge", 3, 0);
        draw_put(b, f.errors ? "; the errors come from " : "; without errors.</p>\n");
        if (f.errors) page_key(b, p->json, "groups", 6, 0);
        if (f.errors) draw_put(b, " spatial tiles.</p>\n");
    }
    page_command(b, p);
    if (f.errors) {
        draw_put(b, "<h2>How far to trust it</h2>\n<div class=\"cards\">\n");
        page_trust_counts(b, p->json);
        page_trust_calls(b, &f, p->json);
        page_trust_shares(b, p->json);
        page_trust_fit(b, p->json);
        draw_put(b, "</div>\n");
    }
    if (p->shifts) {
        draw_put(b, "<h2>What the conditions change</h2>\n");
        page_shifted(b, p->shifts, "Forces that differ from the control's, with q below .05");
        page_shifted(b, p->targets, "Genes that these shifts point at");
        draw_put(b, "<p class=\"soft\">In partial-correlation units of the control. All pairs are in shifts.csv, all "
                    "genes in targets.csv.</p>\n");
    }
    page_fit_strongest(b, &f);
    page_fit_pictures(b, p, &f);
    page_fit_rest(b, p);
    page_maps(b, p, "The slide", "Genes of the surest pairs between neighbours, where they are on the slide.");
    page_words(b);
    page_close(b);
    show_forces_free(&f);
    free(method);
}

/* ---- the page of a counterfactual ---- */

DRAW_API void page_effect_cards(draw_buffer *b, const page_source *p)
{
    double size = show_number(p->json, "effect_size"), drift = show_number(p->json, "sham_drift");
    double beyond = show_number(p->json, "effect_beyond");
    draw_put(b, "<h2>How far to trust it</h2>\n<div class=\"cards\">\n");
    page_card(b, "Size of the effect");
    page_key(b, p->json, "effect_size", 3, 0);
    draw_put(b, "<small>drift of the sham: ");
    page_key(b, p->json, "sham_drift", 3, 0);
    draw_put(b, "</small>");
    page_verdict(
        b, "",
        drift > size
            ? "The untouched run moved further from the observed tissue than the intervention moved it from the "
              "untouched run: only after minus sham is effect, never after minus observed."
            : "After minus sham, over all cells and genes, beside how far the untouched run moved.");
    page_card(b, "Cells that may move");
    page_key(b, p->json, "cells_that_move", 6, 0);
    page_verdict(b, beyond > 0 ? "bad" : "",
                 beyond > 0
                     ? "Some effect reaches the border beyond which cells are held as observed: allow more steps."
                     : "Cells further away are held as observed.");
    page_card(b, "Repeats");
    page_key(b, p->json, "repeats", 6, 0);
    page_verdict(b, "",
                 "Errors are those of sampling, given the forces: they say nothing of how well the forces are known.");
    draw_put(b, "</div>\n");
}

DRAW_API void page_effect_pictures(draw_buffer *b, const show_effects *e)
{
    int order[30], n = show_changed(e, 30, order), k;
    draw d;
    double high;
    char caption[300];
    draw_put(b, "<h2>Step by step from the cell</h2>\n<div class=\"figures\">\n");
    for (k = 0; k < n && k < 4; k++) {
        const char *gene = show_effect_gene(e, order[k]);
        draw_begin(&d, 440, 460, gene,
                   "Observed, sham and after by steps from the cell, and the effect with two standard errors.");
        draw_text(&d, 12, 24, 14, 's', "b", gene);
        show_hops(&d, 8, 36, 428, 420, e, order[k]);
        snprintf(caption, sizeof caption,
                 "%.90s, means over the cells at each number of steps. Below: after minus sham in coordinates of the "
                 "row, bars two standard errors.",
                 gene);
        page_figure(b, &d, caption);
    }
    draw_begin(&d, 440, 100, "The ripple", "Effects of the genes that change most, by steps from the cell.");
    draw_text(&d, 12, 24, 14, 's', "b", "The ripple");
    high = show_ripple(&d, 12, 38, 424, e, order, n);
    d.height = 38 + high;
    page_figure(b, &d,
                "The genes that change most surely one step away. The scale is for the neighbours: the cell itself "
                "may lie beyond its end.");
    draw_put(b, "</div>\n");
}

DRAW_API void page_effect_table(draw_buffer *b, const show_effects *e)
{
    const char *group[32];
    page_column column[] = {{"steps", 1, 0, 0},  {"gene", 2, 0, 0},           {"observed", 0, 4, 0},
                            {"sham", 0, 4, 0},   {"after", 0, 4, 0},          {"change", 0, 3, 1},
                            {"effect", 0, 3, 1}, {"standard error", 0, 2, 0}, {"q", 0, 2, 0}};
    int h, n = 5;
    for (h = 0; h < 3; h++) column[2 + h].column = e->c_level[h];
    column[5].column = e->c_change;
    column[6].column = e->c_effect;
    column[7].column = e->c_se;
    column[8].column = e->c_q;
    for (h = 5; h < 9; h++)
        if (column[h].column >= 0) column[n++] = column[h];
    for (h = 0; h < e->hops && h < 32; h++) group[h] = show_at(&e->t, e->first + h * e->genes, 1);
    page_say(b,
             "<h2>All effects</h2>\n<p>Observed, sham, after and their change: %s. Effect and standard error: "
             "coordinates of the row, in which the sampler works and the test is made.</p>\n",
             e->unit);
    page_filters(b, "gene", group, h, "steps from the cell", 1);
    page_table(b, &e->t, e->first, e->genes * e->hops, column, n, 2, n - 1, 0);
}

/* The whole page of a counterfactual; words: what was done. */
DRAW_API void page_perturb(draw_buffer *b, const page_source *p, const char *title, const char *words)
{
    show_effects e = show_read_effects(p->effects);
    page_open(b, title);
    page_say(b,
             "<header><h1>%s</h1>\n<p class=\"soft\">What if: the tissue drawn twice on the same random numbers, "
             "with the intervention and without it (the sham).</p></header>\n<h2>What was run</h2>\n<pre "
             "class=\"k\">%s</pre>\n",
             title, words);
    page_tissue(b, p);
    page_command(b, p);
    page_effect_cards(b, p);
    page_maps(b, p, "Where it happens",
              "After minus sham, cell by cell, in the cells that may move; the changed ones are ringed.");
    if (e.genes) {
        page_effect_pictures(b, &e);
        page_effect_table(b, &e);
    }
    page_words(b);
    page_close(b);
    show_table_free(&e.t);
}
#endif
