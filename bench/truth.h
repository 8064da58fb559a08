/* What the experiments share: figures of merit, results kept for tables and CSV, planted forces and tissue drawn from
 * them, real slides, baselines. SPDX-License-Identifier: MIT */
#ifndef BENCH_TRUTH_H
#define BENCH_TRUTH_H

#if !defined(BENCH_H)
#define BENCH_LINKED
#endif
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "bench.h"

#if defined(_OPENMP)
#define OVER_SEEDS _Pragma("omp parallel for schedule(dynamic)")
#else
#define OVER_SEEDS
#endif

static const char *data_folder = "../shared/data";

/* ---- figures of merit; NaN where there is none ---- */

/* The quantile of what is not NaN. */
static double quantile(const double *x, int64_t count, double at)
{
    double *y = (double *)get(count, sizeof(double)), v;
    int64_t i, n = 0;
    for (i = 0; i < count; i++)
        if (x[i] <= x[i]) y[n++] = x[i];
    qsort(y, (size_t)n, sizeof(double), ascending);
    if (!n)
        v = NAN;
    else {
        double p = at * (double)(n - 1);
        int64_t k = (int64_t)p;
        v = k + 1 < n ? y[k] + (p - (double)k) * (y[k + 1] - y[k]) : y[n - 1];
    }
    free(y);
    return v;
}

static double pearson(const double *x, const double *y, int64_t count, double *slope)
{
    double mx = 0, my = 0, xx = 0, yy = 0, xy = 0;
    int64_t i;
    for (i = 0; i < count; i++) mx += x[i] / (double)count, my += y[i] / (double)count;
    for (i = 0; i < count; i++)
        xx += (x[i] - mx) * (x[i] - mx), yy += (y[i] - my) * (y[i] - my), xy += (x[i] - mx) * (y[i] - my);
    if (slope) *slope = xx > 0 ? xy / xx : NAN;
    /* Sums of rounding errors are no variance. */
    return xx > 1e-20 * (double)count * (1 + mx * mx) && yy > 1e-20 * (double)count * (1 + my * my) ? xy / sqrt(xx * yy)
                                                                                                    : NAN;
}

typedef struct ranked {
    double key;
    int64_t at;
} ranked;
static int by_key(const void *a, const void *b)
{
    const ranked *x = (const ranked *)a, *y = (const ranked *)b;
    return x->key < y->key ? -1 : x->key > y->key ? 1 : x->at < y->at ? -1 : 1;
}
/* Ranks from 0, equal values share the mean of theirs. */
static void rank_of(const double *x, int64_t count, double *rank)
{
    ranked *r = (ranked *)get(count, sizeof(ranked));
    int64_t i, j, k;
    for (i = 0; i < count; i++) r[i].key = x[i], r[i].at = i;
    qsort(r, (size_t)count, sizeof(ranked), by_key);
    for (i = 0; i < count; i = j) {
        for (j = i; j < count && !(r[j].key > r[i].key); j++) continue;
        for (k = i; k < j; k++) rank[r[k].at] = 0.5 * (double)(i + j - 1);
    }
    free(r);
}
static CEL_UNUSED double spearman(const double *x, const double *y, int64_t count)
{
    double *a = (double *)get(2 * count, sizeof(double)), r;
    rank_of(x, count, a);
    rank_of(y, count, a + count);
    r = pearson(a, a + count, count, NULL);
    free(a);
    return r;
}
/* Area under precision and recall (average precision) of |score| for the non-zero entries of truth. */
static CEL_UNUSED double average_precision(const double *truth, const double *score, int64_t count)
{
    ranked *r = (ranked *)get(count, sizeof(ranked));
    double found = 0, sum = 0;
    int64_t i, positive = 0;
    for (i = 0; i < count; i++) {
        r[i].key = -fabs(score[i]);
        r[i].at = i;
        positive += fabs(truth[i]) > 0;
    }
    qsort(r, (size_t)count, sizeof(ranked), by_key);
    for (i = 0; i < count; i++)
        if (fabs(truth[r[i].at]) > 0) sum += ++found / (double)(i + 1);
    free(r);
    return positive && positive < count ? sum / (double)positive : NAN;
}
/* Area under the receiver's curve: the share of pairs (present, absent) that |score| puts in order. */
static CEL_UNUSED double area_under_roc(const double *truth, const double *score, int64_t count)
{
    double *s = (double *)get(2 * count, sizeof(double)), *rank = s + count, sum = 0, positive = 0;
    int64_t i;
    for (i = 0; i < count; i++) s[i] = fabs(score[i]);
    rank_of(s, count, rank);
    for (i = 0; i < count; i++)
        if (fabs(truth[i]) > 0) sum += rank[i], positive++;
    free(s);
    return (sum - positive * (positive - 1) / 2) / (positive * ((double)count - positive));
}
/* The entries above the diagonal, symmetric part. */
static CEL_UNUSED int64_t upper(cel_mat a, double *out)
{
    int64_t i, j, k = 0;
    for (i = 0; i < a.rows; i++)
        for (j = i + 1; j < a.rows; j++)
            out[k++] = 0.5 * ((double)a.data[i * a.stride + j] + (double)a.data[j * a.stride + i]);
    return k;
}

/* ---- results: a line of CSV each, kept for the tables ---- */

typedef struct result {
    char experiment[32], setting[64], method[48], force[24], figure[32];
    double median;
} result;
static result *results;
static int64_t result_count;
static FILE *csv; /* NULL: stdout */

/* A run whose answer is constant has no correlation: it is counted as failed and enters the median as 0. */
static void line(const char *experiment, const char *setting, const char *method, const char *force, const char *figure,
                 const double *x, int64_t count)
{
    double *y = (double *)get(count, sizeof(double));
    int64_t i, failed = 0;
    int correlation = !strcmp(figure, "pearson") || !strcmp(figure, "spearman");
    for (i = 0; i < count; i++) {
        y[i] = x[i];
        if (x[i] <= x[i]) continue;
        failed++;
        if (correlation) y[i] = 0;
    }
    if (failed < count || correlation) {
        result *r;
        fprintf(csv ? csv : stdout,
                strchr(method, ',') ? "%s,\"%s\",\"%s\",%s,%s,%.4g,%.4g,%.4g,%lld,%lld\n"
                                    : "%s,\"%s\",%s,%s,%s,%.4g,%.4g,%.4g,%lld,%lld\n",
                experiment, setting, method, force, figure, quantile(y, count, 0.5), quantile(y, count, 0.25),
                quantile(y, count, 0.75), (long long)failed, (long long)count);
        results = (result *)realloc(results, (size_t)(result_count + 1) * sizeof(result));
        if (!results) check(CEL_ERR_MEMORY, "results");
        r = results + result_count++;
        snprintf(r->experiment, sizeof r->experiment, "%s", experiment);
        snprintf(r->setting, sizeof r->setting, "%s", setting);
        snprintf(r->method, sizeof r->method, "%s", method);
        snprintf(r->force, sizeof r->force, "%s", force);
        snprintf(r->figure, sizeof r->figure, "%s", figure);
        r->median = quantile(y, count, 0.5);
    }
    fflush(csv ? csv : stdout);
    free(y);
}
static CEL_UNUSED void value(const char *experiment, const char *setting, const char *method, const char *force,
                             const char *figure, double x)
{
    line(experiment, setting, method, force, figure, &x, 1);
}
/* The median that was kept, NaN if none was. */
static CEL_UNUSED double found(const char *experiment, const char *setting, const char *method, const char *force,
                               const char *figure)
{
    int64_t i;
    for (i = 0; i < result_count; i++) {
        const result *r = results + i;
        if (!strcmp(r->experiment, experiment) && !strcmp(r->setting, setting) && !strcmp(r->method, method) &&
            !strcmp(r->force, force) && !strcmp(r->figure, figure))
            return r->median;
    }
    return NAN;
}
/* .634, as in the tables of others; "-" for NaN. */
static CEL_UNUSED const char *short_number(double x, char *text)
{
    if (!(x <= x)) return "-";
    if (fabs(x) >= 100)
        snprintf(text, 24, "%.0f", x);
    else if (fabs(x) >= 1)
        snprintf(text, 24, "%.2f", x);
    else {
        char digits[16];
        snprintf(digits, sizeof digits, "%.3f", fabs(x));
        snprintf(text, 24, "%s%s", x < -0.0005 ? "-" : "", digits[0] == '0' ? digits + 1 : digits);
    }
    return text;
}
/* A table of an experiment's figure, a row a method and a column a setting, cells "intra / inter" (or one `force`).
 * Names kept in settings (NULL-ended); methods without a result are left out. */
static CEL_UNUSED void table(const char *title, const char *experiment, const char *figure, const char *force,
                             const char *const *settings, const char *const *methods)
{
    char text[2][24];
    int k, m;
    printf("\n%s\n\n| method |", title);
    for (k = 0; settings[k]; k++) printf(" %s |", settings[k]);
    printf("\n|---|");
    for (k = 0; settings[k]; k++) printf("---|");
    for (m = 0; methods[m]; m++) {
        int any = 0;
        for (k = 0; settings[k]; k++) {
            const char *one = force ? force : "intra";
            double x = found(experiment, settings[k], methods[m], one, figure);
            double y = force ? NAN : found(experiment, settings[k], methods[m], "inter", figure);
            if (!any && !(x <= x) && !(y <= y)) {
                int later, some = 0;
                for (later = k + 1; settings[later] && !some; later++)
                    some = found(experiment, settings[later], methods[m], one, figure) <= HUGE_VAL;
                if (!some) break;
            }
            if (!any) printf("\n| %s |", methods[m]);
            any = 1;
            if (force)
                printf(" %s |", short_number(x, text[0]));
            else
                printf(" %s / %s |", short_number(x, text[0]), short_number(y, text[1]));
        }
    }
    printf("\n");
    fflush(stdout);
}

/* What was asked and what was measured; a row each, the last line counts. sign +1: at least, -1: at most. */
static int asked_count CEL_UNUSED, asked_met CEL_UNUSED;
static CEL_UNUSED void asked_title(void)
{
    printf("\n| asked | bar | measured | |\n|---|---|---|---|\n");
}
static CEL_UNUSED void asked(const char *what, double measured, int sign, double bar)
{
    char text[2][24];
    int met = sign > 0 ? measured >= bar : measured <= bar;
    asked_count++;
    asked_met += met;
    printf("| %s | %s %s | %s | %s |\n", what, sign > 0 ? ">=" : "<=", short_number(bar, text[0]),
           short_number(measured, text[1]), met ? "met" : "MISSED");
    fflush(stdout);
}
static CEL_UNUSED void asked_total(void)
{
    printf("\n%d of %d met\n", asked_met, asked_count);
}

/* ---- the programs: [--data DIR] [--csv FILE] [--quick] [EXPERIMENT ..]; all of them if none is named ---- */

typedef struct experiment {
    const char *name;
    void (*run)(void);
} experiment;
static int quick CEL_UNUSED;

static CEL_UNUSED int run_experiments(int argc, char **argv, const experiment *all)
{
    int i, k, named = 0;
    for (i = 1; i < argc; i++) {
        if (!strcmp(argv[i], "--data") && i + 1 < argc)
            data_folder = argv[++i];
        else if (!strcmp(argv[i], "--quick"))
            quick = 1;
        else if (!strcmp(argv[i], "--csv") && i + 1 < argc)
            csv = fopen(argv[++i], "w");
        else
            named++;
    }
    fprintf(csv ? csv : stdout,
            "experiment,setting,method,force,figure,median,lower_quartile,upper_quartile,failed,runs\n");
    for (k = 0; all[k].name; k++) {
        int wanted = !named;
        double start = clock_of(2);
        for (i = 1; i < argc; i++) wanted |= !strcmp(argv[i], all[k].name);
        if (!wanted) continue;
        all[k].run();
        fprintf(stderr, "%s: %.0f s\n", all[k].name, clock_of(2) - start);
    }
    if (csv) fclose(csv);
    csv = NULL;
    return 0;
}

/* ---- tissue ---- */

typedef struct slide {
    cel_mat x, coords; /* (S x n) counts or rows, (S x 2) */
    cel_csr graph;
    cel_relations relations;
    double *total;               /* (S) counts over all measured genes */
    int32_t *tile, *part, *type; /* (S) labels: tiles, slides, types; NULL where there are none */
    int64_t tiles, parts, types;
    char **gene; /* (n) names, or NULL */
} slide;

static void tile_slide(slide *s, int64_t side)
{
    if (!s->tile) s->tile = (int32_t *)get(s->coords.rows, sizeof(int32_t));
    check(cel_slide_tiles(s->coords, s->part, side, s->tile, &s->tiles, NULL), "tiles");
}
static CEL_UNUSED slide hexagonal(int64_t side, int64_t genes)
{
    slide s = CEL_ZERO;
    check(cel_mat_new(side * side, 2, &s.coords), "memory");
    check(cel_mat_new(side * side, genes, &s.x), "memory");
    check(cel_graph_hex_coords(side, side, s.coords), "grid");
    check(cel_graph_knn(s.coords, NULL, 6, 0, &s.graph, NULL), "graph");
    return s;
}
static CEL_UNUSED void free_slide(slide *s)
{
    cel_mat_free(&s->x);
    cel_mat_free(&s->coords);
    cel_csr_free(&s->graph);
    cel_relations_free(&s->relations);
    cel_file_free(s->gene);
    free(s->total);
    free(s->tile);
    free(s->part);
    free(s->type);
    memset(s, 0, sizeof *s);
}
/* The relations of a slide's graph: within cells and between neighbours. */
static void relate(slide *s)
{
    cel_relations_free(&s->relations);
    check(cel_relations_from_graph(&s->graph, NULL, &s->relations, NULL), "relations");
}

/* ---- exact samples from known forces ---- */

typedef struct setting {
    const char *name, *graph; /* graph: a slide's coordinates, or NULL for the hexagonal grid */
    int64_t genes, side;
    double scale, share;
    int orthant, binary;
    int together; /* 1: the pairs that have a force within cells are those that have one between */
} setting;

/* Forces normal with deviation `scale` within cells and scale / 6 between, zero diagonals, each kept with probability
 * `share`; or the paper's recipe: one 0/1 matrix for both, unit diagonal, never constant. */
static CEL_UNUSED void plant(const setting *set, uint64_t seed, cel_model *truth)
{
    int64_t n = set->genes, a, b, r;
    cel_rng rng = cel_rng_at(seed, 100, 0, 0);
    check(cel_model_new(n, 2, 0, truth), "memory");
    if (set->binary) {
        double p = cel_rng_uniform(&rng), sum;
        cel_mat f = cel_model_force(truth, 0);
        do {
            for (sum = 0, a = 0; a < n; a++)
                for (b = a, f.data[a * n + a] = 1; ++b < n;) {
                    f.data[a * n + b] = f.data[b * n + a] = cel_rng_uniform(&rng) < p;
                    sum += (double)f.data[a * n + b];
                }
        } while (sum < 0.5 || sum > (double)(n * (n - 1) / 2) - 0.5);
        check(cel_mat_copy(f, cel_model_force(truth, 1)), "memory");
        return;
    }
    for (r = 0; r < 2; r++)
        for (a = 0; a < n; a++)
            for (b = a + 1; b < n; b++) {
                double keep = cel_rng_uniform(&rng), x = cel_rng_normal(&rng) * (r ? set->scale / 6 : set->scale);
                cel_mat f = cel_model_force(truth, r);
                int kept = r && set->together ? fabs((double)truth->force.data[a * n + b]) > 0 : keep < set->share;
                f.data[a * n + b] = f.data[b * n + a] = kept ? (cel_real)x : 0;
            }
}

static CEL_UNUSED int have_data(const char *name)
{
    char path[1024];
    FILE *f;
    snprintf(path, sizeof path, "%s/%s/coords.npy", data_folder, name);
    f = fopen(path, "rb");
    if (f)
        fclose(f);
    else
        fprintf(stderr, "skipped: no %s\n", path);
    return f != NULL;
}

static CEL_UNUSED slide make_slide(const setting *set)
{
    slide s = CEL_ZERO;
    char path[1024];
    if (!set->graph) return hexagonal(set->side, set->genes);
    snprintf(path, sizeof path, "%s/%s/coords.npy", data_folder, set->graph);
    check(cel_npy_matrix(path, &s.coords, NULL), path);
    check(cel_mat_new(s.coords.rows, set->genes, &s.x), "memory");
    check(cel_graph_knn(s.coords, NULL, 6, 0, &s.graph, NULL), "graph");
    return s;
}

static CEL_UNUSED void draw(const setting *set, uint64_t seed, const cel_model *truth, slide *s)
{
    cel_sample_options options = CEL_ZERO;
    options.seed = seed;
    options.stream = 1;
    options.domain.orthant = set->orthant;
    options.sweeps = set->orthant ? 300 : 150;
    options.warmup = 50;
    options.thin = options.sweeps;
    cel_sample_uniform(seed, 0, set->orthant, s->x);
    check(cel_sample_run(truth, &s->relations, &options, s->x, NULL, NULL, NULL), "sample");
}

/* ---- slides of others ---- */

static CEL_UNUSED void shuffle(int32_t *list, int64_t count, cel_rng *rng)
{
    int64_t i;
    for (i = count - 1; i > 0; i--) {
        int64_t k = cel_rng_integer(rng, (uint32_t)i + 1);
        int32_t swap = list[i];
        list[i] = list[k];
        list[k] = swap;
    }
}
/* The rows of a change places, within parts (labels, or NULL). */
static CEL_UNUSED void permute_rows(cel_mat a, const int32_t *part, uint64_t seed)
{
    cel_rng rng = cel_rng_at(seed, 300, 0, 0);
    int32_t *order = (int32_t *)get(2 * a.rows, sizeof(int32_t)), *member = order + a.rows;
    cel_mat old = new_mat(a.rows, a.cols);
    int64_t i, count, last = 0, k;
    check(cel_mat_copy(a, old), "copy");
    for (i = 0; part && i < a.rows; i++) last = part[i] > last ? part[i] : last;
    for (k = 0; k <= last; k++) {
        for (count = i = 0; i < a.rows; i++)
            if (!part || part[i] == k) member[count] = (int32_t)i, order[count++] = (int32_t)i;
        shuffle(order, count, &rng);
        for (i = 0; i < count; i++)
            check(cel_mat_copy(cel_mat_block(old, order[i], 0, 1, a.cols), cel_mat_block(a, member[i], 0, 1, a.cols)),
                  "copy");
    }
    cel_mat_free(&old);
    free(order);
}

typedef struct data_file {
    char path[1024];
} data_file;
static CEL_UNUSED data_file in_data(const char *name, const char *file)
{
    data_file f;
    snprintf(f.path, sizeof f.path, "%s/%s/%s", data_folder, name, file);
    return f;
}
/* Labels of the lines of a text, numbered as they first appear; NULL where there is no such file. */
static CEL_UNUSED int32_t *read_labels(const char *name, const char *file, int64_t *count)
{
    char **text, **seen;
    int64_t lines, i, k;
    int32_t *label;
    *count = 0;
    if (cel_file_lines(in_data(name, file).path, &text, &lines, NULL)) return NULL;
    label = (int32_t *)get(lines, sizeof(int32_t));
    seen = (char **)get(lines, sizeof(char *));
    for (i = 0; i < lines; i++) {
        for (k = *count - 1; k >= 0 && strcmp(seen[k], text[i]); k--) continue;
        if (k < 0) seen[k = (*count)++] = text[i];
        label[i] = (int32_t)k;
    }
    free(seen);
    cel_file_free(text);
    return label;
}
/* Only the cells that are kept; parts and types are numbered anew. */
static void number_anew(int32_t *label, int64_t count, int64_t *labels)
{
    int32_t *as = (int32_t *)get(*labels, sizeof(int32_t));
    int64_t i, used = 0;
    for (i = 0; i < *labels; i++) as[i] = -1;
    for (i = 0; i < count; i++) {
        if (as[label[i]] < 0) as[label[i]] = (int32_t)used++;
        label[i] = as[label[i]];
    }
    *labels = used;
    free(as);
}
static CEL_UNUSED void keep_cells(slide *s, const uint8_t *keep)
{
    int64_t rows = s->x.rows;
    s->x.rows = cel_compact(keep, rows, s->x.data, (size_t)s->x.stride * sizeof(cel_real));
    s->coords.rows = cel_compact(keep, rows, s->coords.data, (size_t)s->coords.stride * sizeof(cel_real));
    cel_compact(keep, rows, s->total, sizeof(double));
    if (s->part) cel_compact(keep, rows, s->part, sizeof(int32_t));
    if (s->type) cel_compact(keep, rows, s->type, sizeof(int32_t));
    if (s->part) number_anew(s->part, s->x.rows, &s->parts);
    if (s->type) number_anew(s->type, s->x.rows, &s->types);
}
/* Counts of all genes in the file, empty cells dropped; totals over all measured genes; labels where there are any. */
static CEL_UNUSED slide load_slide(const char *name)
{
    slide s = CEL_ZERO;
    int64_t i, k, *whole, rows, cols, lines;
    uint8_t *keep;
    check(cel_npy_matrix(in_data(name, "counts.npy").path, &s.x, NULL), in_data(name, "counts.npy").path);
    check(cel_npy_matrix(in_data(name, "coords.npy").path, &s.coords, NULL), in_data(name, "coords.npy").path);
    check(cel_file_lines(in_data(name, "genes.txt").path, &s.gene, &lines, NULL), in_data(name, "genes.txt").path);
    s.part = read_labels(name, "slides.txt", &s.parts);
    s.type = read_labels(name, "labels.txt", &s.types);
    s.total = (double *)get(s.x.rows, sizeof(double));
    keep = (uint8_t *)get(s.x.rows, 1);
    for (i = 0; i < s.x.rows; i++) {
        for (k = 0; k < s.x.cols; k++) s.total[i] += (double)s.x.data[i * s.x.stride + k];
        keep[i] = s.total[i] > 0;
    }
    if (!cel_npy_integers(in_data(name, "total_counts_all_genes.npy").path, &whole, &rows, &cols, NULL)) {
        for (i = 0; i < rows; i++) s.total[i] = (double)whole[i];
        cel_file_free(whole);
    }
    keep_cells(&s, keep);
    free(keep);
    return s;
}
/* The `top` genes with the most counts (or the most variable), of those seen in at least 10 cells; cells without any
 * of them are dropped. */
static CEL_UNUSED void keep_genes(slide *s, int64_t top, cel_genes_by how)
{
    cel_genes_options by = CEL_ZERO;
    int32_t *index = (int32_t *)get(s->x.cols, sizeof(int32_t));
    uint8_t *keep = (uint8_t *)get(s->x.rows, 1);
    char **gene;
    int64_t count, i, k;
    by.top = top < s->x.cols ? top : 0;
    by.min_cells = 10;
    by.by = how;
    by.total = how == CEL_GENES_VARIABLE ? s->total : NULL;
    check(cel_slide_genes(s->x, &by, index, &count, NULL, NULL, NULL), "genes");
    check(cel_mat_columns(&s->x, index, count), "genes");
    gene = s->gene; /* one allocation: names are moved forward within it */
    for (i = 0; gene && i < count; i++) gene[i] = gene[index[i]];
    for (i = 0; i < s->x.rows; i++)
        for (k = 0; k < s->x.cols; k++) keep[i] |= (double)s->x.data[i * s->x.stride + k] > 0;
    keep_cells(s, keep);
    free(keep);
    free(index);
}
/* Six neighbours of the same part, the relations, side x side tiles a part. */
static CEL_UNUSED void neighbours(slide *s, int64_t k, int64_t side)
{
    cel_csr_free(&s->graph);
    check(cel_graph_knn(s->coords, s->part, k, 1, &s->graph, NULL), "graph");
    relate(s);
    tile_slide(s, side);
}

/* ---- baselines ---- */

/* PLAIN: correlations of genes within cells, and of a cell's with its neighbours' N = W X. PARTIAL: partial
 * correlations of [X, N], by the covariance of Ledoit and Wolf (2004). NODEWISE: row a has the coefficients of gene a
 * regressed on all else, standardised, with a light ridge: with a view of N that fades with distance a linear MISTy.
 * intra and inter (n x n), symmetric but for NODEWISE. */
typedef enum baseline { PLAIN, PARTIAL_ALL, NODEWISE } baseline;
static CEL_UNUSED void correlate(cel_mat x, const cel_relations *relations, baseline how, cel_mat intra, cel_mat inter)
{
    int64_t n = x.cols, S = x.rows, w = 2 * n, i, a, b;
    cel_mat near = new_mat(S, n), solved = new_mat(w, w), inverse = new_mat(w, w);
    double *z = (double *)get(w * S, sizeof(double)),
           *c = (double *)get(w * w, sizeof(double)); /* [gene][cell], [X, N] */
    check(cel_csr_mul(1, relations->at[1].w, x, 0, near), "neighbours");
    for (a = 0; a < w; a++) {
        double mean = 0, square = 0, *column = z + a * S;
        for (i = 0; i < S; i++) {
            column[i] = (double)(a < n ? x.data[i * x.stride + a] : near.data[i * n + a - n]);
            mean += column[i] / (double)S;
        }
        for (i = 0; i < S; i++) column[i] -= mean, square += column[i] * column[i] / (double)S;
        for (i = 0; i < S && how == NODEWISE; i++) column[i] /= sqrt(square) + 1e-30;
        for (b = 0; b <= a; b++) {
            double sum = 0;
            for (i = 0; i < S; i++) sum += column[i] * z[b * S + i];
            c[a * w + b] = c[b * w + a] = sum / (double)S;
        }
    }
    if (how != PLAIN) {
        double shrink = 1e-3, distance, fourth = 0, trace = 0, square = 0;
        for (i = 0; i < S; i++) {
            double length = 0;
            for (a = 0; a < w; a++) length += z[a * S + i] * z[a * S + i];
            fourth += length * length / (double)S;
        }
        for (a = 0; a < w; a++) trace += c[a * w + a] / (double)w;
        for (a = 0; a < w * w; a++) square += c[a] * c[a];
        distance = square - (double)w * trace * trace;
        if (how == PARTIAL_ALL) shrink = fmin(1, (fourth - square) / (double)S / distance);
        for (a = 0; a < w * w; a++)
            solved.data[a] = (cel_real)((1 - shrink) * c[a] + (a % (w + 1) ? 0 : shrink * trace));
        for (a = 0; a < w; a++) inverse.data[a * w + a] = 1;
        check(cel_mat_cholesky(solved), "partial correlations");
        check(cel_mat_cholesky_solve(solved, inverse), "partial correlations");
        for (a = 0; a < w * w; a++) c[a] = a % (w + 1) ? -(double)inverse.data[a] : (double)inverse.data[a];
    }
    for (a = 0; a < n; a++)
        for (b = 0; b < n; b++) {
            double p = c[a * w + a], q = c[b * w + b], pn = c[(n + a) * (w + 1)], qn = c[(n + b) * (w + 1)];
            double within = c[a * w + b], ab = c[a * w + n + b], ba = c[b * w + n + a];
            within /= how == NODEWISE ? p : sqrt(p) * sqrt(q) + 1e-300;
            ab = how == NODEWISE ? ab / p
                                 : 0.5 * (ab / (sqrt(p) * sqrt(qn) + 1e-300) + ba / (sqrt(q) * sqrt(pn) + 1e-300));
            intra.data[a * intra.stride + b] = (cel_real)within;
            inter.data[a * inter.stride + b] = (cel_real)ab;
        }
    cel_mat_free(&near);
    cel_mat_free(&solved);
    cel_mat_free(&inverse);
    free(z);
    free(c);
}

/* ---- the fits ---- */

/* A fit and what it was made of; force (2n x n): the forces to be judged. */
typedef struct fitted {
    cel_mat rows, force;
    cel_scaling scaling;
    cel_model model;
    cel_score_report report;
} fitted;

static CEL_UNUSED void free_fitted(fitted *f)
{
    cel_mat_free(&f->rows);
    cel_mat_free(&f->force);
    cel_scaling_free(&f->scaling);
    cel_model_free(&f->model);
    cel_score_report_free(&f->report);
    memset(f, 0, sizeof *f);
}
/* The default for measured data: rows of the kind (log: intensities through log1p), centred by group (NULL: part), the
 * measured fit; errors: with tests and the table of shares. */
static CEL_UNUSED void recommended(const slide *s, cel_kind kind, int log, const int32_t *group, int errors,
                                   fitted *out)
{
    cel_scaling_options how = CEL_ZERO;
    cel_score_options options;
    cel_error err;
    memset(out, 0, sizeof *out);
    how.kind = kind;
    how.log = log;
    out->rows = new_mat(s->x.rows, s->x.cols);
    check(cel_mat_copy(s->x, out->rows), "copy");
    check(cel_scaling_fit(out->rows, kind == CEL_KIND_COUNTS ? s->total : NULL, group ? group : s->part, &how,
                          &out->scaling, &err),
          "scaling");
    options = cel_score_measured(out->scaling.size);
    options.slide = s->part;
    options.group = s->tile;
    options.no_errors = !errors;
    if (cel_score_fit(&s->relations, out->rows, &options, &out->model, &out->report, &err, NULL)) {
        fprintf(stderr, "fit: %s (cell %lld, gene %lld, %lld)\n", err.what, (long long)err.cell, (long long)err.gene,
                (long long)err.offset);
        exit(1);
    }
    check(cel_mat_new(2 * s->x.cols, s->x.cols, &out->force), "memory");
    check(cel_mat_copy(out->report.partial, out->force), "copy");
}
/* Through the counting itself, means by level (NULL: part), as a fit whose rows are latent. */
static CEL_UNUSED void counted(const slide *s, const int32_t *level, int errors, fitted *out)
{
    cel_count_data data = CEL_ZERO;
    cel_count_options options = CEL_ZERO;
    cel_count_result fit;
    cel_error err;
    memset(out, 0, sizeof *out);
    data.relations = &s->relations;
    data.counts = s->x;
    data.total = s->total;
    data.level = level ? level : s->part;
    options.group = errors ? s->tile : NULL;
    if (cel_count_fit(&data, &options, &fit, &err)) check(err.status, err.what);
    out->rows = fit.rows;
    out->scaling = fit.scaling;
    out->model = fit.model;
    out->report = fit.report;
    cel_mat_free(&fit.error);
    check(cel_mat_new(fit.report.partial.rows, s->x.cols, &out->force), "memory");
    check(cel_mat_copy(out->report.partial, out->force), "copy");
}
/* The measured fit on rows whose lengths differ (the law in its Gaussian form, flat): standardised genes over
 * sqrt(n). */
static CEL_UNUSED void flat_fit(const slide *s, cel_mat rows, double ridge, cel_score_field field, int errors,
                                fitted *out)
{
    cel_score_options options = cel_score_measured(NULL);
    cel_moments *moments = (cel_moments *)get(s->tiles, sizeof *moments);
    cel_error err;
    int64_t k;
    memset(out, 0, sizeof *out);
    out->rows = rows;
    for (k = 0; k < s->tiles; k++) check(cel_moments_new(rows.cols, &s->relations, moments + k), "moments");
    check(cel_moments_add_by_label(moments, s->tiles, s->tile, &s->relations, rows, NULL), "moments");
    options.ridge = ridge;
    options.field = field;
    options.no_errors = !errors;
    if (cel_score_fit_moments(moments, s->tiles, &options, &out->model, &out->report, &err, NULL))
        check(err.status, err.what);
    check(cel_mat_new(s->relations.count * rows.cols, rows.cols, &out->force), "memory");
    check(cel_mat_copy(out->report.partial, out->force), "copy");
    for (k = 0; k < s->tiles; k++) cel_moments_free(moments + k);
    free(moments);
}
/* Columns of mean 0 in each group (labels, or NULL) and standard deviation 1, times `scale`. */
static CEL_UNUSED void standardise(cel_mat x, const int32_t *group, double scale)
{
    int64_t i, k, g, groups = 1;
    for (i = 0; group && i < x.rows; i++) groups = group[i] >= groups ? group[i] + 1 : groups;
    for (k = 0; k < x.cols; k++) {
        double *sum = (double *)get(2 * groups, sizeof(double)), *cells = sum + groups, square = 0;
        for (i = 0; i < x.rows; i++) {
            g = group ? group[i] : 0;
            sum[g] += (double)x.data[i * x.stride + k];
            cells[g] += 1;
        }
        for (i = 0; i < x.rows; i++) {
            cel_real *v = x.data + i * x.stride + k;
            g = group ? group[i] : 0;
            *v -= (cel_real)(sum[g] / cells[g]);
            square += (double)*v * (double)*v / (double)x.rows;
        }
        for (i = 0; i < x.rows; i++) x.data[i * x.stride + k] *= (cel_real)(scale / (sqrt(square) + 1e-30));
        free(sum);
    }
}
/* Rows as 0.1.0 made them: log1p of counts scaled to `target` a cell (0: 10,000), of unit length. */
static CEL_UNUSED cel_mat log_rows(const slide *s, double target)
{
    cel_mat x = new_mat(s->x.rows, s->x.cols);
    int64_t i, k, zeros;
    for (i = 0; i < x.rows; i++)
        for (k = 0; k < x.cols; k++)
            x.data[i * x.stride + k] =
                (cel_real)log1p((target > 0 ? target : 1e4) / s->total[i] * (double)s->x.data[i * s->x.stride + k]);
    check(cel_slide_unit(x, NULL, &zeros, NULL), "rows");
    return x;
}
/* The fit of a form on rows, as 0.1.0's tool made it by default: no field, the ridge picked by the held-out J; raw
 * forces. */
static CEL_UNUSED void plain_fit(const slide *s, cel_mat rows, cel_score_form form, fitted *out)
{
    cel_score_options options = CEL_ZERO;
    memset(out, 0, sizeof *out);
    out->rows = rows;
    options.form = form;
    options.ridge = CEL_SCORE_PICKED;
    options.group = s->tile;
    options.no_errors = 1;
    check(cel_score_fit(&s->relations, rows, &options, &out->model, &out->report, NULL, NULL), "fit");
    check(cel_mat_new(2 * rows.cols, rows.cols, &out->force), "memory");
    check(cel_mat_copy(out->model.force, out->force), "copy");
}
#endif
