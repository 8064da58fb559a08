/* celcomen - the command-line tool: a slide in, forces out, a tissue back.
 *
 *   cc -O2 -fopenmp -I. examples/celcomen.c -o build/celcomen -lm        (or: make tool)
 *
 * Uses only the public interface of celcomen.h. Exit status: 0 done, 1 bad input, 2 bad usage.
 * SPDX-License-Identifier: MIT */
#define _POSIX_C_SOURCE 200809L
#define CELCOMEN_IMPLEMENTATION
#include "celcomen.h"

#include <ctype.h>
#include <errno.h>
#include <stdarg.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

/* ---- messages, memory, text ---- */

static int quiet;

static void die(int status, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    fputs("celcomen: ", stderr);
    vfprintf(stderr, format, args);
    fputc('\n', stderr);
    va_end(args);
    exit(status);
}

/* Ends the program unless status is CEL_OK: one line that names the file and the place. */
static void must(cel_status status, const char *file, const cel_error *err)
{
    char place[128] = "";
    if (status == CEL_OK) return;
    if (err && err->status == status) {
        size_t n = 0;
        if (err->cell >= 0) n += (size_t)snprintf(place + n, sizeof place - n, ", cell %lld", (long long)err->cell);
        if (err->gene >= 0) n += (size_t)snprintf(place + n, sizeof place - n, ", gene %lld", (long long)err->gene);
        if (err->offset >= 0) snprintf(place + n, sizeof place - n, ", offset %lld", (long long)err->offset);
    }
    die(1, "%s: %s%s", file, err && err->status == status ? err->what : cel_strerror(status), place);
}

/* Said even to those who want quiet. */
static void warn(const char *text) { fprintf(stderr, "celcomen: warning: %s\n", text); }

static void note(const char *format, ...)
{
    va_list args;
    if (quiet) return;
    va_start(args, format);
    vfprintf(stderr, format, args);
    va_end(args);
    fputc('\n', stderr);
}

static void *get(size_t count, size_t size)
{
    void *p = calloc(count ? count : 1, size ? size : 1);
    if (!p) die(1, "out of memory (%zu x %zu bytes)", count, size);
    return p;
}

static double seconds(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

/* A bar on a terminal, one line a stage otherwise. */
static int show_progress(void *user, const char *stage, int64_t done, int64_t total, double value)
{
    static char last[64];
    static double shown;
    int terminal = *(int *)user;
    double now = seconds();
    if (quiet) return 0;
    if (!terminal) {
        if (strcmp(last, stage)) note("%s: %lld steps", stage, (long long)total);
    } else if (done >= total || now - shown > 0.1) {
        int k, full = total > 0 ? (int)(30 * done / total) : 0;
        fprintf(stderr, "\r%-12s [", stage);
        for (k = 0; k < 30; k++) fputc(k < full ? '#' : '.', stderr);
        fprintf(stderr, "] %lld/%lld  %.6g   %s", (long long)done, (long long)total, value, done >= total ? "\n" : "");
        shown = now;
    }
    snprintf(last, sizeof last, "%s", stage);
    return 0;
}
static int on_terminal;
static cel_progress progress(void)
{
    cel_progress p;
    p.fn = show_progress;
    p.user = &on_terminal;
    return p;
}

/* A text that grows. */
typedef struct text {
    char *data;
    size_t size, room;
} text;

static void add(text *t, const char *format, ...)
{
    va_list args, again;
    int n;
    va_start(args, format);
    va_copy(again, args);
    n = vsnprintf(NULL, 0, format, args);
    va_end(args);
    if (n < 0) die(1, "a text could not be formatted");
    if (t->size + (size_t)n + 1 > t->room) {
        t->room = 2 * t->room + (size_t)n + 256;
        t->data = (char *)realloc(t->data, t->room);
        if (!t->data) die(1, "out of memory");
    }
    vsnprintf(t->data + t->size, (size_t)n + 1, format, again);
    va_end(again);
    t->size += (size_t)n;
}

/* A string as JSON or, with the same rules, as a quoted CSV field. */
static void add_quoted(text *t, const char *s, int csv)
{
    add(t, "\"");
    for (; *s; s++) {
        unsigned char c = (unsigned char)*s;
        if (csv)
            add(t, c == '"' ? "\"\"" : "%c", c);
        else if (c == '"' || c == '\\')
            add(t, "\\%c", c);
        else if (c < 32)
            add(t, "\\u%04x", c);
        else
            add(t, "%c", c);
    }
    add(t, "\"");
}
static void add_field(text *t, const char *s)
{
    if (strpbrk(s, ",\"\r\n"))
        add_quoted(t, s, 1);
    else
        add(t, "%s", s);
}
/* A number as JSON has it: NaN and infinities are null. */
static void add_number(text *t, double x)
{
    if (!isfinite(x))
        add(t, "null");
    else
        add(t, "%.10g", x);
}

static const char *in_folder(const char *folder, const char *name)
{
    char *path = (char *)get(strlen(folder) + strlen(name) + 2, 1);
    sprintf(path, "%s/%s", folder, name);
    return path;
}

/* Things sorted by a key: genes, or pairs of them. */
typedef struct pair {
    int64_t a, b;
    double key;
} pair;
static int compare_pairs(const void *x, const void *y)
{
    const pair *p = (const pair *)x, *q = (const pair *)y;
    if (p->key < q->key || p->key > q->key) return p->key < q->key ? -1 : 1;
    return p->a != q->a ? (p->a < q->a ? -1 : 1) : p->b < q->b ? -1 : p->b > q->b;
}

/* ---- options ---- */

typedef struct option_values {
    /* the slide */
    const char *counts, *expression, *coords, *genes, *slides, *types, *edges, *top_genes, *genes_by;
    double radius, target_sum;
    int64_t k, hops;
    int allow_isolated;
    /* the fit */
    const char *method, *optimizer, *inter0, *intra0, *weights, *ridge, *l1, *group, *field, *sphere;
    double lr, zmft, q, tolerance;
    int64_t epochs, tiles;
    int mean_degree, no_projection, summed, no_errors;
    /* tissue from forces */
    const char *model, *inter, *intra, *start, *angles0;
    int64_t sweeps, warmup, repeats;
    int orthant;
    /* counterfactuals */
    const char *interventions, *gene, *gene_sets, *distances;
    int64_t cell, within, permutations;
    double value;
    /* known forces */
    int64_t n_genes, side;
    double scale, share;
    /* all */
    const char *out;
    int64_t seed;
    int quiet, help;
} option_values;

static option_values o;

typedef struct option {
    const char *name;
    char kind; /* s text, i whole number, d number, f flag */
    void *value;
    const char *help;
} option;

static const option options[] = {
    {"counts", 's', &o.counts, "FILE.npy    raw counts (cells x genes)"},
    {"expression", 's', &o.expression, "FILE.npy    rows already prepared, of unit length (instead of --counts)"},
    {"coords", 's', &o.coords, "FILE.npy    positions (cells x 2 or 3)"},
    {"genes", 's', &o.genes, "FILE        gene names, one a line (default g0, g1, ..)"},
    {"slides", 's', &o.slides, "FILE        the slide of each cell, one a line; no neighbours across slides"},
    {"types", 's', &o.types, "FILE        the type of each cell, one a line: a between-cell force per pair of types"},
    {"top-genes", 's', &o.top_genes, "N           keep N genes only"},
    {"genes-by", 's', &o.genes_by,
     "NAME        which: variance (default: Seurat's flavour, dispersion beside genes of like mean, which\n"
     "                                prefers rare genes) or mean (the most expressed)"},
    {"target-sum", 'd', &o.target_sum, "X           counts of a cell are scaled to this total (default 10000)"},
    {"k", 'i', &o.k, "K           neighbours: the K nearest (default 6)"},
    {"radius", 'd', &o.radius, "R           neighbours: all closer than R"},
    {"edges", 's', &o.edges,
     "FILE        neighbours: .npy of (2 x E) integers, sources then targets, or .npz of a SciPy sparse matrix\n"
     "                                (CSR, cells x cells): row i's entries are cell i's neighbours, whatever their "
     "value"},
    {"allow-isolated", 'f', &o.allow_isolated, "            cells without neighbours are no error"},
    {"hops", 'i', &o.hops, "N           a between-cell force for neighbours at 1, .., N steps each (default 1)"},
    {"method", 's', &o.method, "NAME        fit: score (default), score-exact, score-moments, score-orthant, paper"},
    {"epochs", 'i', &o.epochs, "N           paper: epochs (default 200; generate 50)"},
    {"lr", 'd', &o.lr, "X           paper: learning rate (default 0.05; generate 0.001)"},
    {"zmft", 'd', &o.zmft, "X           paper: weight of the data against log Z (default 0.1)"},
    {"q", 'd', &o.q, "X           paper: number of neighbours in log Z (default 6)"},
    {"mean-degree", 'f', &o.mean_degree, "            paper: q is each slide's true mean degree"},
    {"weights", 's', &o.weights, "NAME        paper: gcn (default) or adjacency"},
    {"optimizer", 's', &o.optimizer, "NAME        paper: sgd (default) or adam"},
    {"sphere", 's', &o.sphere, "NAME        paper: log Z of the sphere in 3 (paper, default) or n dimensions (right)"},
    {"no-projection", 'f', &o.no_projection, "            paper: forces are not clamped to [0, 1]"},
    {"summed", 'f', &o.summed, "            paper: one step an epoch down the sum over slides"},
    {"tolerance", 'd', &o.tolerance, "X           paper: stop when the loss changes by less, relative"},
    {"inter0", 's', &o.inter0, "FILE.npy    paper: the between-cell force to start from"},
    {"intra0", 's', &o.intra0, "FILE.npy    paper: the within-cell force to start from"},
    {"ridge", 's', &o.ridge, "X|auto      score: ridge penalty (default auto: picked by held-out score; 0: none)"},
    {"l1", 's', &o.l1, "X|auto      score: l1 penalty (default 0)"},
    {"group", 's', &o.group, "X|auto      score: l1 penalty on a pair's forces of all relations together"},
    {"field", 's', &o.field, "NAME        score: none (default), shared, or slide: a field for every slide"},
    {"tiles", 'i', &o.tiles, "N           score: N x N tiles a slide for the error bars (default 6)"},
    {"no-errors", 'f', &o.no_errors, "            score: forces only"},
    {"model", 's', &o.model, "DIR         a folder that fit wrote"},
    {"inter", 's', &o.inter, "FILE.npy    between-cell force (instead of --model)"},
    {"intra", 's', &o.intra, "FILE.npy    within-cell force (instead of --model)"},
    {"start", 's', &o.start, "FILE.npy    expression (cells x genes) to start from"},
    {"angles0", 's', &o.angles0, "FILE.npy    angles (cells x genes-1) to start from"},
    {"sweeps", 'i', &o.sweeps, "N           sampler sweeps"},
    {"warmup", 'i', &o.warmup, "N           sampler sweeps before, to adapt the step"},
    {"repeats", 'i', &o.repeats, "N           independent repeats, for the error bars"},
    {"orthant", 'f', &o.orthant, "            expression is not negative"},
    {"interventions", 's', &o.interventions,
     "FILE        one a line: 'cell, gene, value', 'cells of type T, gene, 0',\n"
     "                                'cells within R of x, y, gene, value', 'add cell at x, y with profile of cell "
     "j',\n"
     "                                'remove cell i'"},
    {"cell", 'i', &o.cell, "I           the cell, from 0"},
    {"gene", 's', &o.gene, "NAME        the gene"},
    {"value", 'd', &o.value, "X           the level to hold it at (default 0)"},
    {"within", 'i', &o.within, "R           cells beyond R steps are held as observed (default 3; -1: none is)"},
    {"distances", 's', &o.distances,
     "A,B,..      effects also by the distance to the nearest intervened cell: A to B, ..\n"
     "                                (of the cells within --within steps and one more)"},
    {"gene-sets", 's', &o.gene_sets,
     "FILE        one set a line: its name, then its genes, separated by tabs or commas"},
    {"permutations", 'i', &o.permutations, "N           permutations for the p value (default 10000)"},
    {"n-genes", 'i', &o.n_genes, "N           genes (default 10)"},
    {"side", 'i', &o.side, "N           a grid of N x N cells (default 40)"},
    {"scale", 'd', &o.scale,
     "X           standard deviation of the within-cell forces; between cells a sixth (default 3)"},
    {"share", 'd', &o.share, "X           share of the pairs that have a force (default 1)"},
    {"seed", 'i', &o.seed, "N           of everything random (default 0)"},
    {"out", 's', &o.out, "DIR         folder for the results, made if absent"},
    {"quiet", 'f', &o.quiet, "            no progress"},
    {"help", 'f', &o.help, "            this text"},
};
#define OPTIONS ((int)(sizeof options / sizeof options[0]))

static double parse_number(const char *name, const char *s, int whole)
{
    char *end;
    double x;
    errno = 0;
    x = whole ? (double)strtoll(s, &end, 10) : strtod(s, &end);
    if (end == s || *end || errno || !isfinite(x))
        die(2, "--%s: '%s' is not a%s number", name, s, whole ? " whole" : "");
    return x;
}

/* The words of `allowed` are the options that the command takes. */
static int takes(const char *allowed, const char *name)
{
    size_t n = strlen(name);
    const char *p = allowed;
    while ((p = strstr(p, name)) != NULL) {
        if ((p == allowed || p[-1] == ' ') && (p[n] == ' ' || !p[n])) return 1;
        p += n;
    }
    return 0;
}

static void parse_options(int argc, char **argv, const char *command, const char *allowed)
{
    int a, k;
    o.cell = -1;
    o.within = 3;
    for (a = 2; a < argc; a++) {
        if (strcmp(argv[a], "-h") == 0) {
            o.help = 1;
            continue;
        }
        if (strncmp(argv[a], "--", 2))
            die(2, "%s: '%s' is not an option; see celcomen %s --help", command, argv[a], command);
        for (k = 0; k < OPTIONS && strcmp(argv[a] + 2, options[k].name); k++) continue;
        if (k == OPTIONS || !takes(allowed, options[k].name))
            die(2, "%s takes no option %s; see celcomen %s --help", command, argv[a], command);
        if (options[k].kind == 'f') {
            *(int *)options[k].value = 1;
            continue;
        }
        if (++a == argc) die(2, "%s needs a value", argv[a - 1]);
        if (options[k].kind == 's') *(const char **)options[k].value = argv[a];
        if (options[k].kind == 'i') *(int64_t *)options[k].value = (int64_t)parse_number(options[k].name, argv[a], 1);
        if (options[k].kind == 'd') *(double *)options[k].value = parse_number(options[k].name, argv[a], 0);
    }
    quiet = o.quiet;
}

static void need(const char *value, const char *command, const char *what)
{
    if (!value) die(2, "%s needs %s; see celcomen %s --help", command, what, command);
}

/* The value among the words a, b, .. (NULL-ended) as its number; the first is the default. */
static int choice(const char *name, const char *value, ...)
{
    va_list args;
    const char *word;
    int n = 0;
    if (!value) return 0;
    va_start(args, value);
    for (word = va_arg(args, const char *); word; word = va_arg(args, const char *), n++)
        if (strcmp(word, value) == 0) break;
    va_end(args);
    if (!word) die(2, "--%s: '%s' is not one of its values", name, value);
    return n;
}

/* ---- a slide: expression, names, neighbours ---- */

typedef struct names {
    char **name;
    int64_t count;
} names;

typedef struct tissue {
    cel_mat x;      /* (cells x genes), unit rows */
    cel_mat coords; /* (cells x 2 or 3), or data NULL */
    names genes, slides, types;
    int32_t *slide, *type; /* (cells), or NULL */
    int64_t *row;          /* (cells): the row of each cell in the input */
    int64_t rows;          /* of the input */
    cel_csr graph;         /* row i: the neighbours of i (edge i -> neighbour) */
    double mean_degree, load_seconds;
    const char *file; /* of the expression, for messages */
} tissue;

static int compare_names(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

/* Labels, one a line, as numbers of their sorted names. */
static int32_t *read_labels(const char *path, int64_t cells, const char *cells_file, names *out)
{
    cel_error err;
    char **line, **sorted;
    int64_t count, i, n = 0;
    int32_t *label;
    must(cel_file_lines(path, &line, &count, &err), path, &err);
    if (count != cells)
        die(1, "%s: %lld lines, but %s has %lld cells", path, (long long)count, cells_file, (long long)cells);
    sorted = (char **)get((size_t)count, sizeof(char *));
    for (i = 0; i < count; i++) sorted[i] = line[i];
    qsort(sorted, (size_t)count, sizeof(char *), compare_names);
    for (i = 0; i < count; i++)
        if (i == 0 || strcmp(sorted[i], sorted[n - 1])) sorted[n++] = sorted[i];
    label = (int32_t *)get((size_t)count, sizeof(int32_t));
    for (i = 0; i < count; i++) {
        char **found = (char **)bsearch(&line[i], sorted, (size_t)n, sizeof(char *), compare_names);
        label[i] = (int32_t)(found - sorted);
    }
    out->name = sorted;
    out->count = n;
    return label;
}

static void read_genes(const char *path, int64_t genes, const char *file, names *out)
{
    cel_error err;
    int64_t i;
    char **sorted;
    if (!path) {
        out->count = genes;
        out->name = (char **)get((size_t)genes, sizeof(char *));
        for (i = 0; i < genes; i++) sprintf(out->name[i] = (char *)get(24, 1), "g%lld", (long long)i);
        return;
    }
    must(cel_file_lines(path, &out->name, &out->count, &err), path, &err);
    if (out->count != genes)
        die(1, "%s: %lld names, but %s has %lld genes", path, (long long)out->count, file, (long long)genes);
    sorted = (char **)get((size_t)genes, sizeof(char *));
    for (i = 0; i < genes; i++) sorted[i] = out->name[i];
    qsort(sorted, (size_t)genes, sizeof(char *), compare_names);
    for (i = 1; i < genes; i++)
        if (strcmp(sorted[i], sorted[i - 1]) == 0) die(1, "%s: the gene %s is there twice", path, sorted[i]);
    free(sorted);
}

static int64_t find_name(const names *in, const char *name, const char *file, const char *what)
{
    int64_t i;
    for (i = 0; i < in->count; i++)
        if (strcmp(in->name[i], name) == 0) return i;
    die(1, "%s: no %s '%s'", file, what, name);
    return -1;
}

static void check_degrees(const tissue *t, const char *file)
{
    int64_t i;
    if (o.allow_isolated) return;
    for (i = 0; i < t->graph.rows; i++)
        if (t->graph.start[i + 1] == t->graph.start[i])
            die(1, "%s: cell %lld has no neighbour (--allow-isolated lets it be)", file, (long long)t->row[i]);
}

/* The pairs of --edges: count sources, then as many targets. *cells: how many cells there must be, or, where it
 * is negative, what the file says. */
static int64_t *read_edges(int64_t *cells, int64_t *count)
{
    size_t n = strlen(o.edges);
    int64_t *edge, *read, two, i, e;
    cel_error err;
    cel_csr a;
    if (n > 4 && strcmp(o.edges + n - 4, ".npz") == 0) {
        must(cel_npz_csr(o.edges, &a, &err), o.edges, &err);
        if (a.rows != a.cols || (*cells >= 0 && a.rows != *cells))
            die(1, "%s: %lld x %lld, not cells x cells", o.edges, (long long)a.rows, (long long)a.cols);
        *cells = a.rows;
        *count = cel_csr_count(&a);
        edge = (int64_t *)get((size_t)(2 * *count), sizeof(int64_t));
        for (i = 0; i < a.rows; i++)
            for (e = a.start[i]; e < a.start[i + 1]; e++) {
                edge[e] = i;
                edge[*count + e] = a.index[e];
            }
        cel_csr_free(&a);
        return edge;
    }
    must(cel_npy_integers(o.edges, &read, &two, count, &err), o.edges, &err);
    if (two != 2) die(1, "%s: %lld x %lld integers, not 2 x edges", o.edges, (long long)two, (long long)*count);
    edge = (int64_t *)get((size_t)(2 * *count), sizeof(int64_t));
    memcpy(edge, read, (size_t)(2 * *count) * sizeof(int64_t));
    cel_file_free(read);
    if (*cells < 0)
        for (i = 0; i < 2 * *count; i++)
            if (edge[i] >= *cells) *cells = edge[i] + 1;
    return edge;
}

/* The neighbour graph by --edges, --radius or --k. Edges name cells of the input. */
static void build_graph(tissue *t)
{
    cel_error err;
    int64_t i, cells = t->x.rows;
    double sum = 0;
    if (o.edges) {
        int64_t rows = t->rows, count, kept = 0, *edge = read_edges(&rows, &count);
        int64_t *to = (int64_t *)get((size_t)t->rows, sizeof(int64_t));
        for (i = 0; i < t->rows; i++) to[i] = -1;
        for (i = 0; i < cells; i++) to[t->row[i]] = i;
        for (i = 0; i < count; i++) {
            int64_t from = edge[i], into = edge[count + i];
            if (from < 0 || from >= t->rows || into < 0 || into >= t->rows)
                die(1, "%s: edge %lld joins cells %lld and %lld, of %lld", o.edges, (long long)i, (long long)from,
                    (long long)into, (long long)t->rows);
            if (from == into) die(1, "%s: edge %lld joins cell %lld to itself", o.edges, (long long)i, (long long)from);
            if (to[from] < 0 || to[into] < 0) continue;
            edge[kept] = to[from];
            edge[count + kept++] = to[into];
        }
        must(cel_csr_from_edges(cells, cells, kept, edge, edge + count, NULL, &t->graph, &err), o.edges, &err);
        for (i = 0; i < cel_csr_count(&t->graph); i++) t->graph.value[i] = 1;
        free(edge);
        free(to);
        check_degrees(t, o.edges);
    } else if (t->coords.data) {
        if (o.radius > 0)
            must(cel_graph_radius(t->coords, t->slide, 0, o.radius, 0, &t->graph, &err), o.coords, &err);
        else
            must(cel_graph_knn(t->coords, t->slide, o.k ? o.k : 6, o.allow_isolated, &t->graph, &err), o.coords, &err);
        check_degrees(t, o.coords);
    }
    for (i = 0; i < cells; i++) sum += (double)(t->graph.start ? t->graph.start[i + 1] - t->graph.start[i] : 0);
    t->mean_degree = sum / (double)cells;
}

/* Reads what the options name and prepares it: counts are scaled, logged, cut to --top-genes and
 * to unit rows; cells without counts are dropped. wanted (or NULL): the genes to keep, of an earlier fit. */
static tissue load_tissue(const char *command, const names *wanted)
{
    tissue t;
    cel_error err;
    int64_t i, zeros = 0;
    int by_mean = choice("genes-by", o.genes_by, "variance", "mean", (char *)NULL);
    uint8_t *keep;
    double start = seconds();
    memset(&t, 0, sizeof t);
    if (o.genes_by && !o.top_genes) die(2, "--genes-by needs --top-genes N");
    t.file = o.counts ? o.counts : o.expression;
    need(t.file, command, "--counts FILE.npy or --expression FILE.npy");
    if (o.counts && o.expression) die(2, "%s: --counts and --expression exclude each other", command);
    if (!o.coords && !o.edges) die(2, "%s needs --coords FILE.npy or --edges FILE", command);
    must(cel_npy_matrix(t.file, &t.x, &err), t.file, &err);
    if (t.x.rows < 2 || t.x.cols < 2)
        die(1, "%s: %lld cells x %lld genes: nothing to fit", t.file, (long long)t.x.rows, (long long)t.x.cols);
    t.rows = t.x.rows;
    read_genes(o.genes, t.x.cols, t.file, &t.genes);
    if (o.coords) {
        must(cel_npy_matrix(o.coords, &t.coords, &err), o.coords, &err);
        if (t.coords.rows != t.rows)
            die(1, "%s: %lld rows, but %s has %lld cells", o.coords, (long long)t.coords.rows, t.file,
                (long long)t.rows);
        if (t.coords.cols != 2 && t.coords.cols != 3)
            die(1, "%s: %lld columns, not 2 or 3", o.coords, (long long)t.coords.cols);
    }
    if (o.slides) t.slide = read_labels(o.slides, t.rows, t.file, &t.slides);
    if (o.types) t.type = read_labels(o.types, t.rows, t.file, &t.types);
    if (o.counts) {
        cel_slide_options scale;
        memset(&scale, 0, sizeof scale);
        scale.target_sum = o.target_sum;
        must(cel_slide_scale(t.x, &scale, &err), t.file, &err);
    }
    if (o.top_genes || wanted) {
        int64_t top = wanted ? wanted->count : (int64_t)parse_number("top-genes", o.top_genes, 1);
        int32_t *index = (int32_t *)get((size_t)(top > 0 ? top : 1), sizeof(int32_t));
        cel_genes_options by = CEL_ZERO;
        names cut;
        if (wanted) {
            for (i = 0; i < top; i++) {
                index[i] = (int32_t)find_name(&t.genes, wanted->name[i], o.genes ? o.genes : t.file, "gene");
                if (i && index[i] <= index[i - 1]) die(1, "%s: genes are in another order than in the model", o.genes);
            }
        } else {
            if (top < 2 || top > t.x.cols)
                die(1, "--top-genes %lld: %s has %lld genes", (long long)top, t.file, (long long)t.x.cols);
            by.by = by_mean ? CEL_GENES_MEAN : CEL_GENES_VARIABLE;
            by.top = top;
            must(cel_slide_genes(t.x, &by, index, &top, NULL, NULL, &err), t.file, &err);
        }
        cut.count = top;
        cut.name = (char **)get((size_t)top, sizeof(char *));
        for (i = 0; i < top; i++) cut.name[i] = t.genes.name[index[i]];
        must(cel_mat_columns(&t.x, index, top), t.file, NULL);
        t.genes = cut;
        free(index);
    }
    keep = (uint8_t *)get((size_t)t.rows, 1);
    t.row = (int64_t *)get((size_t)t.rows, sizeof(int64_t));
    for (i = 0; i < t.rows; i++) t.row[i] = i;
    if (o.expression)
        for (i = 0; i < t.rows; i++) {
            double length = cel_vec_nrm2(t.x.data + i * t.x.stride, t.x.cols);
            if (!(fabs(length - 1) < 1e-3)) die(1, "%s: cell %lld has length %g, not 1", t.file, (long long)i, length);
        }
    must(cel_slide_unit(t.x, keep, &zeros, &err), t.file, &err);
    if (zeros) {
        if (zeros == t.rows) die(1, "%s: every cell is without counts", t.file);
        for (i = 0; keep[i]; i++) continue;
        note("%s: %lld cells without counts are left out, the first is cell %lld", t.file, (long long)zeros,
             (long long)i);
        t.x.rows = cel_compact(keep, t.rows, t.x.data, (size_t)t.x.stride * sizeof(cel_real));
        cel_compact(keep, t.rows, t.row, sizeof(int64_t));
        if (t.slide) cel_compact(keep, t.rows, t.slide, sizeof(int32_t));
        if (t.type) cel_compact(keep, t.rows, t.type, sizeof(int32_t));
        if (t.coords.data)
            t.coords.rows = cel_compact(keep, t.rows, t.coords.data, (size_t)t.coords.stride * sizeof(cel_real));
    }
    free(keep);
    build_graph(&t);
    t.load_seconds = seconds() - start;
    note("%s: %lld cells, %lld genes, %lld slide%s, %.3g neighbours a cell (%.2f s)", t.file, (long long)t.x.rows,
         (long long)t.x.cols, (long long)(t.slide ? t.slides.count : 1), t.slide && t.slides.count > 1 ? "s" : "",
         t.mean_degree, t.load_seconds);
    return t;
}

/* ---- relations and model folders ---- */

/* Of a model on a tissue. paper: the published weights of the directed graph, or its adjacency; else (A + A^T) / 2, one
 * relation for each number of steps and each pair of types. */
static cel_relations make_relations(const tissue *t, int paper, int64_t hops)
{
    static const cel_weights weights[] = {CEL_WEIGHTS_GCN, CEL_WEIGHTS_ADJACENCY};
    cel_relations_options made = CEL_ZERO;
    cel_relations r;
    cel_error err;
    int64_t types = t->type && !paper ? t->types.count : 1;
    if (hops > 100 || types > 100 || hops * types * (types + 1) / 2 > 200)
        die(1, "%lld types and %lld hops make too many relations to fit", (long long)types, (long long)hops);
    if (paper) made.weights = weights[choice("weights", o.weights, "gcn", "adjacency", (char *)NULL)];
    made.hops = hops;
    if (types > 1) {
        made.type = t->type;
        made.types = types;
        made.type_name = t->types.name;
    }
    must(cel_relations_from_graph(&t->graph, &made, &r, &err), o.edges ? o.edges : o.coords, &err);
    return r;
}

/* The file of relation k: a number, because a type's name may be none that a file can have. */
static const char *relation_file(int64_t k, const char *end)
{
    char *name = (char *)get(48, 1);
    if (k < 2)
        snprintf(name, 48, "%s%s.npy", k ? "inter" : "intra", end);
    else
        snprintf(name, 48, "inter_%lld%s.npy", (long long)k, end);
    return name;
}

static cel_mat read_force(const char *path, int64_t genes)
{
    cel_error err;
    cel_mat a;
    int64_t i;
    must(cel_npy_matrix(path, &a, &err), path, &err);
    if (a.rows != a.cols || (genes && a.rows != genes))
        die(1, "%s: %lld x %lld, but there are %lld genes", path, (long long)a.rows, (long long)a.cols,
            (long long)genes);
    for (i = 0; i < a.rows * a.cols; i++)
        if (!isfinite((double)a.data[i]))
            die(1, "%s: not a number at row %lld, column %lld", path, (long long)(i / a.cols), (long long)(i % a.cols));
    return a;
}

/* The value of a key of a report.json that this tool wrote, or `otherwise`. */
static double report_value(const char *json, const char *key, double otherwise)
{
    char quoted[64];
    const char *p;
    snprintf(quoted, sizeof quoted, "\"%s\": ", key);
    p = strstr(json, quoted);
    return p ? strtod(p + strlen(quoted), NULL) : otherwise;
}
static int report_is(const char *json, const char *key, const char *word)
{
    char quoted[128];
    snprintf(quoted, sizeof quoted, "\"%s\": \"%s\"", key, word);
    return strstr(json, quoted) != NULL;
}

/* A fitted model: genes, relation names, forces, and how the neighbours were made. */
typedef struct fitted {
    names genes;
    char **relation; /* names, "intra" first */
    cel_model model;
    int paper;
    int64_t hops;
    char *json;
} fitted;

static fitted load_model(const char *folder)
{
    fitted f;
    cel_error err;
    const char *path = in_folder(folder, "report.json");
    cel_file file;
    char **line;
    int64_t k, count;
    memset(&f, 0, sizeof f);
    must(cel_file_open(path, 0, &file, &err), path, &err);
    f.json = (char *)get(file.size + 1, 1);
    memcpy(f.json, file.bytes, file.size);
    cel_file_close(&file);
    path = in_folder(folder, "genes.txt");
    must(cel_file_lines(path, &f.genes.name, &f.genes.count, &err), path, &err);
    path = in_folder(folder, "relations.txt");
    must(cel_file_lines(path, &line, &count, &err), path, &err);
    if (count < 1 || strcmp(line[0], "intra")) die(1, "%s: the first relation is not intra", path);
    f.relation = line;
    must(cel_model_new(f.genes.count, count, 0, &f.model), folder, NULL);
    for (k = 0; k < count; k++) {
        cel_mat a = read_force(in_folder(folder, relation_file(k, "")), f.genes.count);
        must(cel_mat_copy(a, cel_model_force(&f.model, k)), folder, NULL);
        cel_mat_free(&a);
    }
    f.paper = report_is(f.json, "method", "paper");
    f.hops = (int64_t)report_value(f.json, "hops", 1);
    /* The neighbours are made as they were for the fit, unless the command line says otherwise. */
    if (!o.k && !(o.radius > 0) && !o.edges) {
        o.k = (int64_t)report_value(f.json, "k", 0);
        o.radius = report_value(f.json, "radius", 0);
    }
    if (!(o.target_sum > 0)) o.target_sum = report_value(f.json, "target_sum", 0);
    return f;
}

/* The relations of a tissue for a fitted model: the same, by name. */
static cel_relations model_relations(const fitted *f, const tissue *t, const char *folder)
{
    cel_relations r = make_relations(t, f->paper, f->hops);
    int64_t k;
    if (r.count != f->model.relations)
        die(1, "%s: %lld relations, but the tissue has %lld%s", folder, (long long)f->model.relations,
            (long long)r.count, f->model.relations > r.count ? " (--types?)" : "");
    for (k = 0; k < r.count; k++)
        if (strcmp(r.name[k], f->relation[k]))
            die(1, "%s: relation %s, but the tissue has %s", folder, f->relation[k], r.name[k]);
    return r;
}

/* ---- results ---- */

/* The folder and those above it. */
static void make_folder(const char *path)
{
    char *part = (char *)get(strlen(path) + 1, 1), *p;
    strcpy(part, path);
    for (p = part + 1; *p; p++) {
        if (*p != '/') continue;
        *p = 0;
        mkdir(part, 0777);
        *p = '/';
    }
    if (mkdir(part, 0777) && errno != EEXIST) die(1, "%s: %s", path, strerror(errno));
    free(part);
}

static void write_matrix(const char *folder, const char *name, cel_mat a)
{
    cel_error err;
    const char *path = in_folder(folder, name);
    must(cel_npy_write_matrix(path, a, &err), path, &err);
}
static void write_doubles(const char *folder, const char *name, const double *x, int64_t count)
{
    cel_error err;
    const char *path = in_folder(folder, name);
    cel_npy a = cel_npy_describe('f', 8, 1, &count, x);
    must(cel_npy_write(path, &a, &err), path, &err);
}
static void write_text(const char *folder, const char *name, text *t)
{
    cel_error err;
    const char *path = in_folder(folder, name);
    must(cel_file_write(path, t->data ? t->data : "", t->size, &err), path, &err);
    free(t->data);
    memset(t, 0, sizeof *t);
}
static void write_lines(const char *folder, const char *name, char *const *line, int64_t count)
{
    text t;
    int64_t i;
    memset(&t, 0, sizeof t);
    for (i = 0; i < count; i++) add(&t, "%s\n", line[i]);
    write_text(folder, name, &t);
}

static void json_text(text *t, const char *key, const char *value)
{
    add(t, ",\n  \"%s\": ", key);
    add_quoted(t, value, 0);
}
static void json_number(text *t, const char *key, double value)
{
    add(t, ",\n  \"%s\": ", key);
    add_number(t, value);
}
/* The head of every report.json: the program, the tissue. Closed with add(t, "\n}\n"). */
static text report_head(const char *command, const tissue *t)
{
    text r;
    memset(&r, 0, sizeof r);
    add(&r, "{\n  \"celcomen\": \"%s\"", cel_version());
    json_text(&r, "command", command);
    json_text(&r, "kernels", cel_level_name(cel_level_get()));
    json_number(&r, "threads", cel_threads());
    json_number(&r, "seed", (double)o.seed);
    if (t) {
        json_text(&r, "expression", t->file);
        json_number(&r, "cells", (double)t->x.rows);
        json_number(&r, "cells_left_out", (double)(t->rows - t->x.rows));
        json_number(&r, "genes", (double)t->x.cols);
        json_number(&r, "slides", (double)(t->slide ? t->slides.count : 1));
        json_number(&r, "mean_degree", t->mean_degree);
        json_number(&r, "k", o.edges || o.radius > 0 ? 0 : (double)(o.k ? o.k : 6));
        json_number(&r, "radius", o.edges ? 0 : o.radius);
        json_number(&r, "target_sum", o.target_sum > 0 ? o.target_sum : 1e4);
        json_number(&r, "seconds_loading", t->load_seconds);
    }
    return r;
}

/* ---- info ---- */

static void print_array(const char *name, const cel_npy *a)
{
    int64_t i, bad = 0;
    int d;
    double low = INFINITY, high = -INFINITY, sum = 0;
    cel_real *x;
    cel_error err;
    if (a->kind == 'S') {
        printf("%s: text, %lld of %d bytes\n", name, (long long)a->count, a->bytes);
        return;
    }
    x = (cel_real *)get((size_t)a->count, sizeof(cel_real));
    printf("%s: %s%d, %s order, %s-endian, shape (", name,
           a->kind == 'f'   ? "float"
           : a->kind == 'i' ? "int"
           : a->kind == 'u' ? "uint"
                            : "bool",
           8 * a->bytes, a->fortran ? "Fortran" : "C", a->big_endian ? "big" : "little");
    for (d = 0; d < a->ndim; d++) printf("%s%lld", d ? " x " : "", (long long)a->shape[d]);
    must(cel_npy_to_real(a, x, &err), name, &err);
    for (i = 0; i < a->count; i++) {
        double v = (double)x[i];
        if (!isfinite(v))
            bad++;
        else {
            if (v < low) low = v;
            if (v > high) high = v;
            sum += v;
        }
    }
    printf("), %lld values", (long long)a->count);
    if (a->count > bad) printf(", least %g, mean %g, greatest %g", low, sum / (double)(a->count - bad), high);
    if (bad) printf(", %lld NaN or infinite", (long long)bad);
    printf("\n");
    free(x);
}

static void command_info(int argc, char **argv)
{
    int k;
    if (argc < 3) die(2, "info needs a FILE.npy or FILE.npz");
    for (k = 2; k < argc; k++) {
        cel_file file;
        cel_error err;
        cel_npy a;
        must(cel_file_open(argv[k], 1, &file, &err), argv[k], &err);
        if (file.size > 2 && memcmp(file.bytes, "PK", 2) == 0) {
            cel_npz z;
            int64_t i;
            must(cel_npz_parse(file.bytes, file.size, &z, &err), argv[k], &err);
            for (i = 0; i < z.count; i++) {
                char name[256];
                cel_npz_name(&z, i, name, sizeof name);
                if (cel_npz_get(&z, name, &a, &err) == CEL_OK)
                    print_array(name, &a);
                else
                    printf("%s: %s (offset %lld)\n", name, err.what, (long long)err.offset);
            }
        } else {
            must(cel_npy_parse(file.bytes, file.size, &a, &err), argv[k], &err);
            print_array(argv[k], &a);
        }
        cel_file_close(&file);
    }
}

/* ---- fit ---- */

static cel_optimiser optimiser_option(void)
{
    return choice("optimizer", o.optimizer, "sgd", "adam", (char *)NULL) ? CEL_OPTIMISER_ADAM : CEL_OPTIMISER_SGD;
}
static cel_sphere sphere_option(void)
{
    return choice("sphere", o.sphere, "paper", "right", (char *)NULL) ? CEL_SPHERE_RIGHT : CEL_SPHERE_PAPER;
}

static cel_paper_options paper_options(void)
{
    cel_paper_options p;
    memset(&p, 0, sizeof p);
    p.epochs = o.epochs;
    p.lr = o.lr;
    p.zmft = o.zmft;
    p.q = o.q;
    p.optimiser = optimiser_option();
    p.sphere = sphere_option();
    p.no_projection = o.no_projection;
    p.summed = o.summed;
    p.tolerance = o.tolerance;
    p.seed = (uint64_t)o.seed;
    p.progress = progress();
    return p;
}

static double force_at(const cel_model *m, int64_t r, int64_t a, int64_t b)
{
    cel_mat f = cel_model_force(m, r);
    return (double)f.data[a * f.stride + b];
}

/* The published method: moments once, then epochs that do not touch the cells. */
static void fit_paper(const tissue *t, const cel_relations *r, cel_model *model, double *losses, text *report)
{
    cel_paper_options p = paper_options();
    cel_paper_report done;
    cel_moments *moments;
    cel_work work = {0};
    cel_error err;
    int64_t s, i, slides = t->slide ? t->slides.count : 1;
    int64_t *start = (int64_t *)get((size_t)slides + 1, sizeof(int64_t));
    int32_t *list = (int32_t *)get((size_t)t->x.rows, sizeof(int32_t));
    double *q = (double *)get((size_t)slides, sizeof(double)), clock = seconds();
    moments = (cel_moments *)get((size_t)slides, sizeof(cel_moments));
    if (t->slide) must(cel_csr_groups(t->slide, t->x.rows, slides, start, list, &err), o.slides, &err);
    for (s = 0; s < slides; s++) {
        int64_t n = t->slide ? start[s + 1] - start[s] : t->x.rows;
        must(cel_moments_new(t->x.cols, r, &moments[s]), "moments", NULL);
        must(cel_moments_add(&moments[s], r, t->x, t->slide ? list + start[s] : NULL, t->slide ? n : 0, &work),
             "moments", NULL);
        for (i = 0; i < n; i++) {
            int64_t c = t->slide ? list[start[s] + i] : i;
            q[s] += (double)(t->graph.start[c + 1] - t->graph.start[c]) / (double)n;
        }
    }
    json_number(report, "seconds_moments", seconds() - clock);
    clock = seconds();
    if (o.mean_degree) p.slide_q = q;
    must(cel_paper_start((uint64_t)o.seed, model), "start", NULL);
    if (o.inter0) must(cel_mat_copy(read_force(o.inter0, t->x.cols), cel_model_force(model, 1)), o.inter0, NULL);
    if (o.intra0) must(cel_mat_copy(read_force(o.intra0, t->x.cols), cel_model_force(model, 0)), o.intra0, NULL);
    must(cel_paper_fit(moments, slides, &p, model, losses, &done, &err), "fit", &err);
    json_number(report, "seconds_fit", seconds() - clock);
    json_number(report, "epochs", (double)done.epochs);
    json_number(report, "lr", p.lr > 0 ? p.lr : 0.05);
    json_number(report, "zmft", p.zmft > 0 ? p.zmft : 0.1);
    json_number(report, "q", p.q > 0 ? p.q : 6);
    json_number(report, "loss", done.final.loss);
    json_number(report, "saturated", done.saturated);
    note("fit: %lld epochs, loss %.6g, %.0f %% of the off-diagonal forces at 0 or 1", (long long)done.epochs,
         done.final.loss, 100 * done.saturated);
    for (s = 0; s < slides; s++) cel_moments_free(&moments[s]);
    cel_work_free(&work);
    free(moments);
    free(start);
    free(list);
    free(q);
}

/* A penalty's weight from the command line. */
static double weight(const char *name, const char *value, double otherwise)
{
    double x;
    if (!value) return otherwise;
    if (strcmp(value, "auto") == 0) return CEL_SCORE_PICKED;
    x = parse_number(name, value, 0);
    if (x < 0) die(2, "--%s: a penalty cannot be negative", name);
    return x;
}

/* Groups for the error bars and the held-out folds: spatial tiles, about 36 of them in all, or runs of
 * consecutive cells where there are no coordinates. */
static int32_t *make_groups(const tissue *t, int64_t *groups)
{
    int64_t i, slides = t->slide ? t->slides.count : 1, side = o.tiles;
    int32_t *group = (int32_t *)get((size_t)t->x.rows, sizeof(int32_t));
    cel_error err;
    if (side < 0 || side == 1) die(2, "--tiles needs at least 2");
    if (!side) side = slides == 1 ? 6 : slides < 4 ? 4 : slides < 9 ? 3 : 2;
    if (t->coords.data)
        must(cel_slide_tiles(t->coords, t->slide, side, group, groups, &err), o.coords, &err);
    else {
        *groups = side * side * slides;
        if (*groups > t->x.rows) *groups = t->x.rows;
        for (i = 0; i < t->x.rows; i++) group[i] = (int32_t)(i * *groups / t->x.rows);
    }
    return group;
}

static const char *form_name(cel_score_form form)
{
    return form == CEL_SCORE_MOMENT ? "moments" : form == CEL_SCORE_EXACT ? "exact" : "orthant";
}

static void fit_score(const tissue *t, const cel_relations *r, cel_model *model, cel_score_report *done, text *report)
{
    cel_score_options s;
    cel_work work = {0};
    cel_error err;
    int64_t groups = 0, k;
    int32_t *group = make_groups(t, &groups);
    double clock = seconds();
    static const cel_score_form forms[] = {CEL_SCORE_AUTO, CEL_SCORE_EXACT, CEL_SCORE_MOMENT, CEL_SCORE_ORTHANT,
                                           CEL_SCORE_PICK};
    memset(&s, 0, sizeof s);
    s.form = forms[choice("method", o.method, "score", "score-exact", "score-moments", "score-orthant", "score-pick",
                          (char *)NULL)];
    s.field = (cel_score_field)choice("field", o.field, "none", "shared", "slide", (char *)NULL);
    s.ridge = weight("ridge", o.ridge, o.l1 || o.group ? 0 : CEL_SCORE_PICKED);
    s.l1 = weight(o.group ? "group" : "l1", o.group ? o.group : o.l1, 0);
    s.together = o.group != NULL;
    s.slide = t->slide;
    s.group = group;
    s.no_errors = o.no_errors;
    s.progress = progress();
    if (o.group && o.l1) die(2, "--l1 and --group exclude each other");
    must(cel_score_fit(r, t->x, &s, model, done, &err, &work), "fit", &err);
    json_text(report, "form", form_name(done->form));
    json_text(report, "field",
              s.field == CEL_SCORE_FIELD_SLIDE    ? "slide"
              : s.field == CEL_SCORE_FIELD_SHARED ? "shared"
                                                  : "none");
    json_number(report, "ridge", done->ridge);
    json_number(report, s.group ? "group" : "l1", done->l1);
    json_number(report, "iterations", (double)done->iterations);
    json_number(report, "residual", done->residual);
    json_number(report, "converged", done->converged);
    json_number(report, "value_per_cell", done->value);
    if (done->path || s.form == CEL_SCORE_PICK) json_number(report, "held_out_per_cell", done->held_out);
    if (s.form == CEL_SCORE_PICK) json_number(report, "held_out_of_the_other_form", done->held_out_other);
    if (done->path) {
        add(report, ",\n  \"path\": [");
        for (k = 0; k < done->path; k++)
            add(report, "%s[%.6g, %.10g]", k ? ", " : "", done->path_weight[k], done->path_value[k]);
        add(report, "]");
    }
    json_number(report, "groups", (double)done->groups);
    json_number(report, "seconds_fit", seconds() - clock);
    note("fit: %s form, J %.6g a cell, %lld steps, %lld replicates (%.2f s)", form_name(done->form), done->value,
         (long long)done->iterations, (long long)done->groups, seconds() - clock);
    if (!done->converged)
        warn("the fit has not converged: do not use these forces. Where the data leave them undetermined, a ridge "
             "makes the minimum unique, such as --ridge 0.01");
    cel_work_free(&work);
    free(group);
}

/* Whether the two orders of a pair of genes are different forces. */
static int is_directed(const cel_model *m, int64_t k)
{
    int64_t a, b;
    for (a = 0; a < m->genes; a++)
        for (b = 0; b < a; b++)
            if (force_at(m, k, a, b) < force_at(m, k, b, a) || force_at(m, k, a, b) > force_at(m, k, b, a)) return 1;
    return 0;
}

/* pairs.csv: every pair of genes with its force in every relation; with error bars sorted by the smallest q,
 * else by |inter - intra|. Both orders of a pair are listed where a relation is not symmetric. */
static void write_pairs(const char *folder, const names *genes, const cel_relations *r, const cel_model *m,
                        const cel_score_report *s)
{
    static const char *const ends[] = {"", "_se", "_z", "_p", "_q"};
    text t;
    int64_t n = genes->count, a, b, k, count = 0, directed = 0;
    int errors = s && s->groups > 0;
    pair *list;
    for (k = 0; k < r->count; k++) directed |= is_directed(m, k);
    list = (pair *)get((size_t)(n * n), sizeof(pair));
    for (a = 0; a < n; a++)
        for (b = directed ? 0 : a + 1; b < n; b++) {
            double key = 2, size = 0;
            if (a == b) continue;
            for (k = 0; k < r->count; k++) {
                if (!errors) continue;
                if ((double)s->q.data[(k * n + a) * s->q.stride + b] < key)
                    key = (double)s->q.data[(k * n + a) * s->q.stride + b];
                if (fabs((double)s->z.data[(k * n + a) * s->z.stride + b]) > size)
                    size = fabs((double)s->z.data[(k * n + a) * s->z.stride + b]);
            }
            /* Equal q values are common: |z| orders them. */
            list[count].key = errors         ? key - 1e-9 * size
                              : r->count > 1 ? -fabs(force_at(m, 1, a, b) - force_at(m, 0, a, b))
                                             : -fabs(force_at(m, 0, a, b));
            list[count].a = a;
            list[count++].b = b;
        }
    qsort(list, (size_t)count, sizeof(pair), compare_pairs);
    memset(&t, 0, sizeof t);
    add(&t, "gene_a,gene_b");
    for (k = 0; k < r->count; k++) {
        int c;
        for (c = 0; c < (errors ? 5 : 1); c++) {
            char *column = (char *)get(strlen(r->name[k]) + 4, 1);
            sprintf(column, "%s%s", r->name[k], ends[c]);
            add(&t, ",");
            add_field(&t, column);
            free(column);
        }
    }
    if (r->count > 1) add(&t, ",inter_minus_intra");
    add(&t, "\n");
    for (b = 0; b < count; b++) {
        add_field(&t, genes->name[list[b].a]);
        add(&t, ",");
        add_field(&t, genes->name[list[b].b]);
        for (k = 0; k < r->count; k++) {
            int64_t at = (k * n + list[b].a) * n + list[b].b;
            add(&t, ",%.7g", force_at(m, k, list[b].a, list[b].b));
            if (errors)
                add(&t, ",%.4g,%.4g,%.4g,%.4g", (double)s->se.data[at], (double)s->z.data[at], (double)s->p.data[at],
                    (double)s->q.data[at]);
        }
        if (r->count > 1) add(&t, ",%.7g", force_at(m, 1, list[b].a, list[b].b) - force_at(m, 0, list[b].a, list[b].b));
        add(&t, "\n");
    }
    write_text(folder, "pairs.csv", &t);
    free(list);
}

/* The strongest pairs of a relation on the screen. */
static void print_strongest(const names *genes, const cel_relations *r, const cel_model *m, const cel_score_report *s,
                            int64_t k, int64_t top)
{
    int64_t n = genes->count, a, b, count = 0, called = 0, directed = is_directed(m, k);
    int errors = s && s->groups > 0;
    pair *list = (pair *)get((size_t)(n * n), sizeof(pair));
    for (a = 0; a < n; a++)
        for (b = directed ? 0 : a + 1; b < n; b++) {
            if (a == b) continue;
            list[count].key = errors ? -fabs((double)s->z.data[(k * n + a) * n + b]) : -fabs(force_at(m, k, a, b));
            if (errors) called += (double)s->q.data[(k * n + a) * n + b] < 0.05;
            list[count].a = a;
            list[count++].b = b;
        }
    qsort(list, (size_t)count, sizeof(pair), compare_pairs);
    printf("%s%s", k ? "\n" : "", r->name[k]);
    if (errors) printf(": %lld of %lld pairs with q < 0.05", (long long)called, (long long)count);
    printf("\n  %-14s %-14s %10s%s\n", "gene", "gene", "force", errors ? "         se          q" : "");
    for (b = 0; b < top && b < count; b++) {
        int64_t at = (k * n + list[b].a) * n + list[b].b;
        printf("  %-14s %-14s %10.4g", genes->name[list[b].a], genes->name[list[b].b],
               force_at(m, k, list[b].a, list[b].b));
        if (errors) printf(" %10.3g %10.2g", (double)s->se.data[at], (double)s->q.data[at]);
        printf("\n");
    }
    free(list);
}

static void command_fit(void)
{
    int paper = o.method && strcmp(o.method, "paper") == 0;
    tissue t;
    cel_relations r;
    cel_model model;
    cel_score_report done;
    text report;
    int64_t k, epochs = o.epochs ? o.epochs : 200;
    double *losses = NULL;
    need(o.out, "fit", "--out DIR");
    if (o.epochs < 0 || o.hops < 0 || o.k < 0) die(2, "--epochs, --hops and --k cannot be negative");
    if (!paper)
        choice("method", o.method, "score", "score-exact", "score-moments", "score-orthant", "score-pick", "paper",
               (char *)NULL);
    if (paper && (o.types || o.hops > 1))
        die(2, "the published method has one between-cell force: no --types, no --hops");
    if (!o.hops) o.hops = 1;
    t = load_tissue("fit", NULL);
    r = make_relations(&t, paper, o.hops);
    report = report_head("fit", &t);
    json_text(&report, "method", paper ? "paper" : "score");
    json_number(&report, "hops", (double)o.hops);
    memset(&done, 0, sizeof done);
    if (paper) {
        must(cel_model_new(t.x.cols, 2, 0, &model), "model", NULL);
        losses = (double *)get((size_t)epochs, sizeof(double));
        fit_paper(&t, &r, &model, losses, &report);
    } else
        fit_score(&t, &r, &model, &done, &report);
    add(&report, "\n}\n");

    make_folder(o.out);
    for (k = 0; k < r.count; k++) {
        write_matrix(o.out, relation_file(k, ""), cel_model_force(&model, k));
        if (done.groups)
            write_matrix(o.out, relation_file(k, "_se"),
                         cel_mat_block(done.se, k * model.genes, 0, model.genes, model.genes));
    }
    if (model.field) write_matrix(o.out, "field.npy", cel_mat_view(model.field, 1, model.genes));
    if (losses) write_doubles(o.out, "losses.npy", losses, epochs);
    write_lines(o.out, "genes.txt", t.genes.name, t.genes.count);
    write_lines(o.out, "relations.txt", r.name, r.count);
    write_pairs(o.out, &t.genes, &r, &model, paper ? NULL : &done);
    write_text(o.out, "report.json", &report);
    if (!quiet) {
        for (k = 0; k < r.count && k < 6; k++) print_strongest(&t.genes, &r, &model, paper ? NULL : &done, k, 10);
        printf("written to %s\n", o.out);
    }
}

/* ---- tissue from forces ---- */

/* The model of --model, or of --inter and --intra. */
static fitted model_from_options(const char *command)
{
    fitted f;
    cel_mat intra, inter;
    int64_t i;
    if (o.model) return load_model(o.model);
    if (!o.intra || !o.inter) die(2, "%s needs --model DIR, or --inter FILE.npy and --intra FILE.npy", command);
    memset(&f, 0, sizeof f);
    intra = read_force(o.intra, 0);
    inter = read_force(o.inter, intra.rows);
    must(cel_model_new(intra.rows, 2, 0, &f.model), command, NULL);
    must(cel_mat_copy(intra, cel_model_force(&f.model, 0)), command, NULL);
    must(cel_mat_copy(inter, cel_model_force(&f.model, 1)), command, NULL);
    cel_mat_free(&intra);
    cel_mat_free(&inter);
    f.genes.count = f.model.genes;
    f.genes.name = (char **)get((size_t)f.model.genes, sizeof(char *));
    for (i = 0; i < f.model.genes; i++) sprintf(f.genes.name[i] = (char *)get(24, 1), "g%lld", (long long)i);
    f.relation = (char **)get(2, sizeof(char *));
    f.relation[0] = (char *)"intra";
    f.relation[1] = (char *)"inter";
    f.hops = 1;
    return f;
}

/* Positions and neighbours without expression: the cells of --coords, or of a start's rows. */
static tissue bare_tissue(const char *command, int64_t rows)
{
    tissue t;
    cel_error err;
    int64_t i;
    memset(&t, 0, sizeof t);
    if (!o.coords && !o.edges) die(2, "%s needs --coords FILE.npy or --edges FILE", command);
    t.file = o.coords ? o.coords : o.edges;
    t.rows = rows;
    if (o.coords) {
        must(cel_npy_matrix(o.coords, &t.coords, &err), o.coords, &err);
        if (rows >= 0 && t.coords.rows != rows)
            die(1, "%s: %lld rows, but the start has %lld", o.coords, (long long)t.coords.rows, (long long)rows);
        t.rows = t.coords.rows;
    } else if (rows < 0) {
        int64_t count;
        free(read_edges(&t.rows, &count));
    }
    if (t.rows < 1) die(1, "%s: no cells", t.file);
    t.x.rows = t.rows;
    if (o.slides) t.slide = read_labels(o.slides, t.rows, t.file, &t.slides);
    if (o.types) t.type = read_labels(o.types, t.rows, t.file, &t.types);
    t.row = (int64_t *)get((size_t)t.rows, sizeof(int64_t));
    for (i = 0; i < t.rows; i++) t.row[i] = i;
    build_graph(&t);
    return t;
}

/* The rows to start from: --start, or none (data NULL). */
static cel_mat read_start(int64_t genes)
{
    cel_mat x;
    cel_error err;
    memset(&x, 0, sizeof x);
    if (!o.start) return x;
    must(cel_npy_matrix(o.start, &x, &err), o.start, &err);
    if (x.cols != genes)
        die(1, "%s: %lld genes, but the forces have %lld", o.start, (long long)x.cols, (long long)genes);
    must(cel_slide_unit(x, NULL, NULL, &err), o.start, &err);
    return x;
}

static void generate_paper(const fitted *f)
{
    cel_paper_options p = paper_options();
    cel_error err;
    cel_mat angles, x = read_start(f->model.genes);
    int64_t n = f->model.genes, epochs = p.epochs ? p.epochs : 50;
    double *losses = (double *)get((size_t)epochs, sizeof(double)), clock;
    cel_paper_value last;
    tissue t;
    cel_relations r;
    text report;
    memset(&angles, 0, sizeof angles);
    if (n < 2 || f->model.relations != 2)
        die(1, "the published generator needs two genes and the relations intra and inter");
    if (o.angles0) {
        must(cel_npy_matrix(o.angles0, &angles, &err), o.angles0, &err);
        if (angles.cols != n - 1)
            die(1, "%s: %lld angles a cell, but the forces have %lld genes", o.angles0, (long long)angles.cols,
                (long long)n);
    }
    t = bare_tissue("generate", angles.data ? angles.rows : x.data ? x.rows : -1);
    r = make_relations(&t, 1, 1);
    if (!angles.data) {
        must(cel_mat_new(t.rows, n - 1, &angles), "angles", NULL);
        if (x.data)
            must(cel_paper_to_angles(x, angles, &err), o.start, &err);
        else
            cel_paper_noise_angles((uint64_t)o.seed, 3.14159265358979323846, 1.57079632679489661923, angles);
    }
    if (!x.data) must(cel_mat_new(t.rows, n, &x), "expression", NULL);
    clock = seconds();
    must(cel_paper_generate(&f->model, &r, &p, angles, x, losses, &last, &err), "generate", &err);
    report = report_head("generate", NULL);
    json_text(&report, "method", "paper");
    json_number(&report, "cells", (double)t.rows);
    json_number(&report, "genes", (double)n);
    json_number(&report, "epochs", (double)epochs);
    json_number(&report, "loss", last.loss);
    json_number(&report, "seconds", seconds() - clock);
    add(&report, "\n}\n");
    make_folder(o.out);
    write_matrix(o.out, "expression.npy", x);
    write_matrix(o.out, "angles.npy", angles);
    write_doubles(o.out, "losses.npy", losses, epochs);
    write_text(o.out, "report.json", &report);
    note("generate: %lld cells, %lld epochs, loss %.6g to %.6g; written to %s", (long long)t.rows, (long long)epochs,
         losses[0], last.loss, o.out);
}

/* ---- counterfactuals ---- */

/* The cell of the tissue that was row `row` of the input. */
static int64_t kept_cell(const tissue *t, int64_t row, const char *file)
{
    int64_t i;
    for (i = 0; i < t->x.rows; i++)
        if (t->row[i] == row) return i;
    die(1, "%s: cell %lld %s", file, (long long)row,
        row >= 0 && row < t->rows ? "has no counts" : "is not in the slide");
    return -1;
}

static cel_intervention *read_interventions(const tissue *t, int64_t *count)
{
    cel_intervention *list;
    cel_error err;
    int64_t i;
    if (o.interventions) {
        cel_file file;
        cel_intervention_names known = CEL_ZERO;
        known.genes = (const char *const *)t->genes.name;
        known.gene_count = t->genes.count;
        known.types = (const char *const *)t->types.name;
        known.type_count = t->types.count;
        known.cells = t->rows;
        must(cel_file_open(o.interventions, 0, &file, &err), o.interventions, &err);
        must(cel_intervention_parse((const char *)file.bytes, file.size, &known, &list, count, &err),
             o.interventions, &err);
        cel_file_close(&file);
        if (!*count) die(1, "%s: no intervention", o.interventions);
        for (i = 0; i < *count; i++) { /* lines name cells of the input; some may have been left out */
            if (list[i].who == CEL_WHO_CELLS && list[i].what != CEL_DO_ADD && list[i].what != CEL_DO_ADD_FREE)
                list[i].cell = kept_cell(t, list[i].cell, o.interventions);
            if (list[i].what != CEL_DO_HOLD && list[i].what != CEL_DO_REMOVE)
                list[i].like = kept_cell(t, list[i].like, o.interventions);
        }
        return list;
    }
    if (o.cell < 0 || !o.gene) die(2, "perturb needs --interventions FILE, or --cell I and --gene NAME");
    list = (cel_intervention *)get(1, sizeof *list);
    list->cell = kept_cell(t, o.cell, "--cell");
    list->gene = find_name(&t->genes, o.gene, o.genes ? o.genes : t->file, "gene");
    list->value = o.value;
    *count = 1;
    return list;
}

/* The tissue with the added cells after the others, and its relations: how the new cells are joined. */
static cel_relations relations_with(const fitted *f, const tissue *t, const cel_intervention *list, int64_t count,
                                int64_t added)
{
    tissue u = *t;
    int64_t i, k, n = t->x.rows;
    int d;
    if (!t->coords.data) die(1, "%s: new cells need --coords", o.interventions);
    if (o.edges) die(1, "%s: new cells need neighbours by --k or --radius, not --edges", o.interventions);
    must(cel_mat_new(n + added, t->coords.cols, &u.coords), "new cells", NULL);
    must(cel_mat_copy(t->coords, cel_mat_block(u.coords, 0, 0, n, t->coords.cols)), "new cells", NULL);
    u.x.rows = n + added;
    u.row = (int64_t *)get((size_t)(n + added), sizeof(int64_t));
    memcpy(u.row, t->row, (size_t)n * sizeof(int64_t));
    if (t->slide)
        memcpy(u.slide = (int32_t *)get((size_t)(n + added), sizeof(int32_t)), t->slide, (size_t)n * sizeof(int32_t));
    if (t->type)
        memcpy(u.type = (int32_t *)get((size_t)(n + added), sizeof(int32_t)), t->type, (size_t)n * sizeof(int32_t));
    for (i = 0, k = n; i < count; i++) {
        if (list[i].what != CEL_DO_ADD && list[i].what != CEL_DO_ADD_FREE) continue;
        for (d = 0; d < t->coords.cols; d++) u.coords.data[k * u.coords.stride + d] = (cel_real)list[i].place[d];
        if (t->slide) u.slide[k] = t->slide[list[i].like];
        if (t->type) u.type[k] = t->type[list[i].like];
        u.row[k] = t->rows + k - n;
        k++;
    }
    memset(&u.graph, 0, sizeof u.graph);
    build_graph(&u);
    return make_relations(&u, f->paper, f->hops);
}

/* Gene sets: one a line, its name, then its genes; genes that the slide lacks are counted and left out. */
typedef struct gene_sets {
    char **name;
    cel_mat member; /* (sets x genes) 0 or 1 */
    int64_t count, missing;
} gene_sets;

static gene_sets read_gene_sets(const char *path, const names *genes)
{
    gene_sets s;
    cel_error err;
    char **line, *word;
    int64_t lines, i, g;
    memset(&s, 0, sizeof s);
    must(cel_file_lines(path, &line, &lines, &err), path, &err);
    s.name = (char **)get((size_t)lines, sizeof(char *));
    must(cel_mat_new(lines, genes->count, &s.member), path, NULL);
    for (i = 0; i < lines; i++) {
        int64_t members = 0;
        if (!line[i][0] || line[i][0] == '#') continue;
        word = strtok(line[i], "\t,");
        if (!word) continue;
        s.name[s.count] = word;
        while ((word = strtok(NULL, "\t,")) != NULL) {
            char *end = word + strlen(word);
            while (*word == ' ') word++;
            while (end > word && end[-1] == ' ') *--end = 0;
            for (g = 0; g < genes->count && strcmp(genes->name[g], word); g++) continue;
            if (g == genes->count)
                s.missing++;
            else {
                s.member.data[s.count * s.member.stride + g] = 1;
                members++;
            }
        }
        if (!members)
            die(1, "%s: line %lld: none of the genes of '%s' is in the model", path, (long long)i + 1, s.name[s.count]);
        s.count++;
    }
    if (!s.count) die(1, "%s: no gene set", path);
    s.member.rows = s.count;
    if (s.missing) note("%s: %lld names are not among the genes", path, (long long)s.missing);
    return s;
}

static void write_effects(const char *folder, const char *file, const char *group, char *const *label,
                          const cel_effect_table *t, const names *genes, const gene_sets *sets)
{
    text out;
    int64_t g, c;
    memset(&out, 0, sizeof out);
    add(&out, "%s,gene,effect,se,q,cells\n", group);
    for (g = 0; g < t->groups; g++)
        for (c = 0; c < t->columns; c++) {
            int64_t at = g * t->columns + c;
            if (!t->cells[g]) continue;
            if (label)
                add_field(&out, label[g]);
            else
                add(&out, "%lld", (long long)g);
            add(&out, ",");
            if (c >= t->genes) add(&out, "set:");
            add_field(&out, c < t->genes ? genes->name[c] : sets->name[c - t->genes]);
            add(&out, ",%.7g,%.4g,%.4g,%lld\n", t->mean[at], t->se[at], t->q[at], (long long)t->cells[g]);
        }
    write_text(folder, file, &out);
}

/* The bands of --distances: edge[0] to edge[1], .. of the result, and their names. */
static double *read_distances(names *band)
{
    char *list = (char *)get(strlen(o.distances) + 1, 1), *word;
    double *edge = (double *)get(strlen(o.distances), sizeof(double));
    int64_t count = 0;
    strcpy(list, o.distances);
    for (word = strtok(list, ","); word; word = strtok(NULL, ",")) {
        edge[count] = parse_number("distances", word, 0);
        if (edge[count] < 0 || (count && !(edge[count] > edge[count - 1])))
            die(2, "--distances: numbers from 0 up, each above the one before");
        count++;
    }
    if (count < 2) die(2, "--distances needs two numbers at least");
    band->name = (char **)get((size_t)count, sizeof(char *));
    for (band->count = 0; band->count + 1 < count; band->count++)
        sprintf(band->name[band->count] = (char *)get(64, 1), "%g-%g", edge[band->count], edge[band->count + 1]);
    free(list);
    return edge;
}

/* The five genes that change most in each group: by hop (label NULL) or by distance. */
static void print_effects(char *const *label, const cel_effect_table *t, const names *genes)
{
    int32_t *order = (int32_t *)get((size_t)genes->count, sizeof(int32_t));
    int64_t g, i;
    for (g = 0; g < t->groups; g++) {
        if (!t->cells[g]) continue;
        if (label) printf("distance %s", label[g]);
        else printf("hop %lld", (long long)g);
        printf(", %lld cell%s:", (long long)t->cells[g], t->cells[g] > 1 ? "s" : "");
        must(cel_effect_rank(t, g, order), "perturb", NULL);
        for (i = 0; i < 5 && i < genes->count; i++) {
            int64_t at = g * t->columns + order[i];
            printf("  %s %+.3g", genes->name[order[i]], t->mean[at]);
            if (t->se[at] > 0) printf(" (q %.2g)", t->q[at]);
        }
        printf("\n");
    }
    free(order);
}

static void command_perturb(void)
{
    fitted f;
    tissue t;
    cel_relations r, after;
    cel_intervention *list;
    cel_perturb_setup setup;
    cel_perturb_options run;
    cel_paper_options published = paper_options();
    cel_grouping grouping[3];
    cel_perturb p;
    cel_effect e;
    cel_error err;
    cel_tissue observed;
    cel_mat full;
    gene_sets sets;
    names band;
    int32_t *label[3];
    int64_t count, i, added = 0, by_type = 0, by_distance = 0;
    double clock, *edge = NULL;
    text report;
    need(o.model, "perturb", "--model DIR");
    need(o.out, "perturb", "--out DIR");
    memset(&run, 0, sizeof run);
    memset(&setup, 0, sizeof setup);
    memset(&sets, 0, sizeof sets);
    memset(&band, 0, sizeof band);
    run.method = (cel_method)choice("method", o.method, "paired", "relax", "linear", "paper", (char *)NULL);
    if (o.within == 0) die(2, "--within is at least 1, or -1 to hold no cell");
    if (o.distances && !o.coords) die(2, "--distances needs --coords FILE.npy");
    if (o.distances) edge = read_distances(&band);
    f = load_model(o.model);
    t = load_tissue("perturb", &f.genes);
    r = model_relations(&f, &t, o.model);
    list = read_interventions(&t, &count);
    clock = seconds();
    for (i = 0; i < count; i++) added += list[i].what == CEL_DO_ADD || list[i].what == CEL_DO_ADD_FREE;
    if (added) {
        after = relations_with(&f, &t, list, count, added);
        setup.after = &after;
    }
    setup.reach = run.method == CEL_METHOD_PAPER ? -(int)(o.within > 0 ? o.within : 3)
                  : o.within < 0                 ? -3
                                                 : (int)o.within;
    observed.x = t.x;
    observed.relations = &r;
    observed.coords = t.coords;
    observed.type = t.type;
    must(cel_perturb_new(&f.model, &observed, list, count, &setup, &p, &err),
         o.interventions ? o.interventions : "--cell, --gene", &err);
    for (i = 0; i < 3; i++) {
        label[i] = (int32_t *)get((size_t)p.cells, sizeof(int32_t));
        grouping[i].label = label[i];
    }
    run.grouping = grouping;
    grouping[run.groupings++].groups = cel_perturb_by_hop(&p, label[0]);
    if (t.type) {
        by_type = run.groupings++;
        grouping[by_type].groups = cel_perturb_by_type(&p, label[by_type]);
    }
    if (o.distances) {
        by_distance = run.groupings++;
        grouping[by_distance].groups = cel_perturb_by_distance(&p, edge, band.count, label[by_distance]);
    }
    run.repeats = o.repeats;
    run.warmup = o.warmup;
    run.sweeps = o.sweeps;
    run.orthant = o.orthant;
    run.seed = (uint64_t)o.seed;
    run.progress = progress();
    published.q = published.q > 0 ? published.q : report_value(f.json, "q", 0);
    run.paper = &published;
    if (o.gene_sets) {
        sets = read_gene_sets(o.gene_sets, &t.genes);
        run.sets = sets.member;
    }
    must(cel_perturb_run(&p, &run, &e, &err), "perturb", &err);

    report = report_head("perturb", &t);
    json_text(&report, "method", o.method ? o.method : "paired");
    json_text(&report, "model", o.model);
    json_number(&report, "interventions", (double)count);
    json_number(&report, "cells_added", (double)added);
    json_number(&report, "within", p.open ? -1 : p.reach);
    json_number(&report, "cells_that_move", (double)p.cells);
    json_number(&report, "repeats", (double)e.repeats);
    json_number(&report, "effect_size", e.size);
    json_number(&report, "moved_from_start", e.moved);
    json_number(&report, "sham_drift", e.drift);
    json_number(&report, "effect_beyond", e.beyond);
    json_number(&report, "acceptance", e.acceptance);
    json_number(&report, "seconds", seconds() - clock);
    add(&report, "\n}\n");
    make_folder(o.out);
    must(cel_mat_new(t.x.rows + added, t.x.cols, &full), "results", NULL);
    must(cel_mat_copy(t.x, cel_mat_block(full, 0, 0, t.x.rows, t.x.cols)), "results", NULL);
    write_matrix(o.out, "before.npy", t.x);
    must(cel_perturb_scatter(&p, e.sham, cel_mat_block(full, 0, 0, t.x.rows, t.x.cols)), "results", NULL);
    write_matrix(o.out, "sham.npy", cel_mat_block(full, 0, 0, t.x.rows, t.x.cols));
    must(cel_perturb_scatter(&p, e.after, full), "results", NULL);
    write_matrix(o.out, "after.npy", full);
    write_effects(o.out, "effects.csv", "hop", NULL, &e.table[0], &t.genes, &sets);
    if (by_type)
        write_effects(o.out, "effects_by_type.csv", "type", t.types.name, &e.table[by_type], &t.genes, &sets);
    if (by_distance)
        write_effects(o.out, "effects_by_distance.csv", "distance", band.name, &e.table[by_distance], &t.genes, &sets);
    write_text(o.out, "report.json", &report);
    if (quiet) return;
    printf("effect = after - sham, averaged over the cells at each number of steps (%.2f s)\n", seconds() - clock);
    print_effects(NULL, &e.table[0], &t.genes);
    if (by_distance) print_effects(band.name, &e.table[by_distance], &t.genes);
    if (run.method == CEL_METHOD_PAPER)
        printf("|after - start| = %.4g, |after - sham| = %.4g: the rest is drift, which no control would have read as "
               "effect\n",
               e.moved, e.size);
    printf("written to %s\n", o.out);
}

/* ---- reading a model ---- */

static void command_score(void)
{
    fitted f;
    tissue t;
    cel_relations r;
    cel_model none;
    cel_work work = {0};
    double exact[2], moment[2], likelihood[2], off;
    int64_t k;
    need(o.model, "score", "--model DIR");
    f = load_model(o.model);
    t = load_tissue("score", &f.genes);
    r = model_relations(&f, &t, o.model);
    must(cel_model_new(f.model.genes, f.model.relations, 0, &none), "score", NULL);
    for (k = 0; k < 2; k++) {
        const cel_model *m = k ? &none : &f.model;
        must(cel_score_value(m, &r, t.x, CEL_SCORE_EXACT, &exact[k], NULL, &work), t.file, NULL);
        must(cel_score_value(m, &r, t.x, CEL_SCORE_MOMENT, &moment[k], NULL, &work), t.file, NULL);
        must(cel_score_pseudo_likelihood(m, &r, t.x, &likelihood[k], NULL, &work), t.file, NULL);
    }
    must(cel_score_check(&f.model, &r, t.x, CEL_SCORE_EXACT, 8, &off, &work), t.file, NULL);
    note("J and its gradient agree with their definitions, at 8 cells, to %.1g\n", off);
    printf("per cell                       %14s %14s\n", "this model", "no forces");
    printf("score J, exact   (lower best)  %14.6g %14.6g\n", exact[0], exact[1]);
    printf("score J, moments (lower best)  %14.6g %14.6g\n", moment[0], moment[1]);
    printf("log pseudo-likelihood (higher) %14.6g %14.6g\n", likelihood[0], likelihood[1]);
    cel_work_free(&work);
}

/* A gene's between-cell against its within-cell forces: the mean over the other genes of inter / sd(inter) - intra /
 * sd(intra), sd over the off-diagonal entries, because the two forces have different scales. */
static double *disentangle(const cel_model *m)
{
    int64_t n = m->genes, a, b, k;
    double *value = (double *)get((size_t)n, sizeof(double)), sd[2];
    for (k = 0; k < 2; k++) {
        double sum = 0, square = 0, count = (double)(n * (n - 1));
        for (a = 0; a < n; a++)
            for (b = 0; b < n; b++)
                if (a != b) sum += force_at(m, k, a, b), square += force_at(m, k, a, b) * force_at(m, k, a, b);
        sd[k] = sqrt(square / count - sum * sum / (count * count));
        if (!(sd[k] > 0)) die(1, "all %s forces are equal: nothing to rank", k ? "inter" : "intra");
    }
    for (a = 0; a < n; a++)
        for (b = 0; b < n; b++)
            if (a != b) value[a] += (force_at(m, 1, a, b) / sd[1] - force_at(m, 0, a, b) / sd[0]) / (double)(n - 1);
    return value;
}

static double set_difference(const double *value, const int32_t *pick, int64_t first, int64_t second)
{
    double a = 0, b = 0;
    int64_t i;
    for (i = 0; i < first; i++) a += value[pick[i]] / (double)first;
    for (i = 0; i < second; i++) b += value[pick[first + i]] / (double)second;
    return a - b;
}

/* Genes ranked by inter minus intra, and every two sets compared by permutation of their genes (the paper's Fig. 3b).
 */
static void command_disentangle(void)
{
    fitted f;
    double *value;
    int64_t n, i, j, g, s, u, rounds = o.permutations > 0 ? o.permutations : 10000;
    pair *list;
    need(o.model, "disentangle", "--model DIR");
    f = load_model(o.model);
    n = f.genes.count;
    if (f.model.relations < 2) die(1, "%s: there is no between-cell force", o.model);
    value = disentangle(&f.model);
    list = (pair *)get((size_t)n, sizeof(pair));
    for (i = 0; i < n; i++) {
        list[i].a = i;
        list[i].key = -value[i];
    }
    qsort(list, (size_t)n, sizeof(pair), compare_pairs);
    printf("most between cells:");
    for (i = 0; i < 10 && i < n; i++) printf("  %s %+.3f", f.genes.name[list[i].a], -list[i].key);
    printf("\nmost within cells: ");
    for (i = 0; i < 10 && i < n; i++) printf("  %s %+.3f", f.genes.name[list[n - 1 - i].a], -list[n - 1 - i].key);
    printf("\n");
    if (o.gene_sets) {
        gene_sets sets = read_gene_sets(o.gene_sets, &f.genes);
        int32_t *pick = (int32_t *)get((size_t)(2 * n), sizeof(int32_t));
        for (s = 0; s < sets.count; s++) {
            double sum = 0, members = 0;
            for (g = 0; g < n; g++)
                if (sets.member.data[s * sets.member.stride + g] > 0) sum += value[g], members++;
            printf("%-24s %4.0f genes, mean inter - intra %+.4f\n", sets.name[s], members, sum / members);
        }
        for (s = 0; s < sets.count; s++)
            for (u = s + 1; u < sets.count; u++) {
                int64_t first = 0, second = 0, beyond = 0;
                double seen;
                cel_rng rng = cel_rng_at((uint64_t)o.seed, 1, (uint32_t)s, (uint32_t)u);
                for (g = 0; g < n; g++)
                    if (sets.member.data[s * sets.member.stride + g] > 0) pick[first++] = (int32_t)g;
                for (g = 0; g < n; g++)
                    if (sets.member.data[u * sets.member.stride + g] > 0) pick[first + second++] = (int32_t)g;
                seen = set_difference(value, pick, first, second);
                for (j = 0; j < rounds; j++) {
                    for (i = first + second - 1; i > 0; i--) {
                        int64_t k = cel_rng_integer(&rng, (uint32_t)i + 1);
                        int32_t swap = pick[i];
                        pick[i] = pick[k];
                        pick[k] = swap;
                    }
                    beyond += fabs(set_difference(value, pick, first, second)) >= fabs(seen) * (1 - 1e-12);
                }
                printf("%s - %s: %+.4f, permutation p = %.4g\n", sets.name[s], sets.name[u], seen,
                       (double)(beyond + 1) / (double)(rounds + 1));
            }
    }
    if (o.out) {
        text t;
        memset(&t, 0, sizeof t);
        add(&t, "gene,inter_minus_intra\n");
        for (i = 0; i < n; i++) {
            add_field(&t, f.genes.name[list[i].a]);
            add(&t, ",%.7g\n", -list[i].key);
        }
        make_folder(o.out);
        write_text(o.out, "disentangled.csv", &t);
    }
}

/* ---- exact samples, the most likely tissue, log Z ---- */

static void generate_sample(const fitted *f, int ascent)
{
    cel_sample_options s;
    cel_sample_report done;
    cel_ascent_options up;
    cel_ascent_report top;
    cel_error err;
    cel_mat x = read_start(f->model.genes);
    tissue t = bare_tissue("generate", x.data ? x.rows : -1);
    cel_relations r = model_relations(f, &t, o.model ? o.model : o.inter);
    double clock = seconds(), *trace;
    text report;
    memset(&s, 0, sizeof s);
    memset(&up, 0, sizeof up);
    if (!x.data) {
        must(cel_mat_new(t.rows, f->model.genes, &x), "expression", NULL);
        cel_sample_uniform((uint64_t)o.seed, 0, o.orthant, x);
    }
    report = report_head("generate", NULL);
    json_text(&report, "method", ascent ? "ascent" : "sample");
    json_number(&report, "cells", (double)t.rows);
    json_number(&report, "genes", (double)f->model.genes);
    if (ascent) {
        up.domain.orthant = o.orthant;
        up.sweeps = o.sweeps > 0 ? o.sweeps : 200;
        up.progress = progress();
        up.trace = trace = (double *)get((size_t)up.sweeps + 1, sizeof(double));
        must(cel_ascent_run(&f->model, &r, &up, x, &top, &err), o.start ? o.start : "ascent", &err);
        s.sweeps = top.sweeps + 1;
        json_number(&report, "sweeps", (double)top.sweeps);
        json_number(&report, "energy", top.energy);
        note("ascent: H %.6g to %.6g in %lld sweeps%s", top.start, top.energy, (long long)top.sweeps,
             top.converged ? "" : " (not converged)");
    } else {
        s.seed = (uint64_t)o.seed;
        s.stream = 1;
        s.domain.orthant = o.orthant;
        s.sweeps = o.sweeps > 0 ? o.sweeps : 200;
        s.warmup = o.warmup;
        s.progress = progress();
        trace = (double *)get((size_t)s.sweeps, sizeof(double));
        must(cel_sample_run(&f->model, &r, &s, x, trace, &done, &err), o.start ? o.start : "sample", &err);
        json_number(&report, "sweeps", (double)done.sweeps);
        json_number(&report, "acceptance", done.acceptance);
        json_number(&report, "step", done.step);
        json_number(&report, "colours", done.colours);
        json_number(&report, "energy", done.energy);
        json_number(&report, "energy_deviation", done.deviation);
        json_number(&report, "effective_sample_size", done.ess);
        json_number(&report, "split_rhat", done.rhat);
        note("sample: %lld sweeps, acceptance %.2f, H %.6g +- %.3g, effective sample size %.0f, split R-hat %.3f",
             (long long)done.sweeps, done.acceptance, done.energy, done.deviation, done.ess, done.rhat);
    }
    json_number(&report, "seconds", seconds() - clock);
    add(&report, "\n}\n");
    make_folder(o.out);
    write_matrix(o.out, "expression.npy", x);
    write_doubles(o.out, "energy.npy", trace, s.sweeps);
    write_text(o.out, "report.json", &report);
    note("written to %s", o.out);
}

static void command_generate(void)
{
    fitted f;
    int method;
    need(o.out, "generate", "--out DIR");
    if (o.epochs < 0 || o.sweeps < 0) die(2, "--epochs and --sweeps cannot be negative");
    if (o.angles0 && o.start) die(2, "--angles0 and --start exclude each other");
    method = choice("method", o.method, "sample", "ascent", "paper", (char *)NULL);
    f = model_from_options("generate");
    if (method == 2)
        generate_paper(&f);
    else
        generate_sample(&f, method == 1);
}

static void command_logz(void)
{
    fitted f = model_from_options("logz");
    tissue t = bare_tissue("logz", -1);
    cel_relations r = model_relations(&f, &t, o.model ? o.model : o.inter);
    cel_logz_options a;
    cel_logz_report done;
    cel_mat none, x;
    cel_error err;
    double bound, q = o.q > 0 ? o.q : t.mean_degree, *mean;
    int64_t n = f.model.genes, i;
    memset(&a, 0, sizeof a);
    memset(&none, 0, sizeof none);
    a.seed = (uint64_t)o.seed;
    a.runs = o.repeats;
    a.rungs = o.sweeps;
    a.progress = progress();
    must(cel_logz_ais(&f.model, &r, &a, &done, &err), "logz", &err);
    must(cel_logz_bound(&f.model, &r, &a, &bound, &err), "logz", &err);
    printf("log Z of %lld cells, %lld genes; without forces it is %.6g\n", (long long)t.rows, (long long)n,
           (double)t.rows * cel_sphere_log_area(n));
    printf("annealed importance sampling  %14.6g ", done.logz);
    if (done.converged) printf("+- %.2g (single runs %.6g to %.6g)\n", done.se, done.least, done.most);
    else
        printf("not converged: single runs %.6g to %.6g; more --sweeps bring them together\n", done.least, done.most);
    printf("rigorous lower bound          %14.6g\n", bound);
    if (f.model.relations != 2) return;
    /* The mean-field formulas want a mean expression: that of the most likely tissue. */
    must(cel_mat_new(t.rows, n, &x), "logz", NULL);
    cel_sample_uniform((uint64_t)o.seed, 0, 0, x);
    must(cel_ascent_run(&f.model, &r, NULL, x, NULL, &err), "logz", &err);
    mean = (double *)get((size_t)n, sizeof(double));
    for (i = 0; i < t.rows * n; i++) mean[i % n] += (double)x.data[i] / (double)t.rows;
    for (i = 0; i < 2; i++) {
        must(cel_model_logz(&f.model, i ? CEL_SPHERE_RIGHT : CEL_SPHERE_PAPER, q, t.rows, mean, &bound, none, none,
                            NULL, NULL),
             "logz", NULL);
        printf("%s %14.6g   (at the most likely tissue's mean, q = %.3g)\n",
               i ? "mean field, sphere of n genes" : "mean field as published     ", bound, q);
    }
}

/* ---- known forces, and comparing ---- */

/* Random symmetric forces with zero diagonals on a hexagonal grid: a truth to recover. */
static void command_plant(void)
{
    cel_mat force[2], coords;
    int64_t n = o.n_genes ? o.n_genes : 10, side = o.side ? o.side : 40, a, b, k;
    double scale = o.scale > 0 ? o.scale : 3, share = o.share > 0 ? o.share : 1;
    names genes;
    need(o.out, "plant", "--out DIR");
    if (n < 2 || n > 20000 || side < 2 || side > 10000) die(2, "plant: --n-genes and --side are at least 2");
    genes.count = n;
    genes.name = (char **)get((size_t)n, sizeof(char *));
    for (a = 0; a < n; a++) sprintf(genes.name[a] = (char *)get(24, 1), "g%lld", (long long)a);
    for (k = 0; k < 2; k++) {
        must(cel_mat_new(n, n, &force[k]), "plant", NULL);
        for (a = 0; a < n; a++)
            for (b = a + 1; b < n; b++) {
                cel_rng rng = cel_rng_at((uint64_t)o.seed, (uint32_t)k, (uint32_t)a, (uint32_t)b);
                double x = cel_rng_uniform(&rng) < share ? (k ? scale / 6 : scale) * cel_rng_normal(&rng) : 0;
                force[k].data[a * n + b] = force[k].data[b * n + a] = (cel_real)x;
            }
    }
    must(cel_mat_new(side * side, 2, &coords), "plant", NULL);
    must(cel_graph_hex_coords(side, side, coords), "plant", NULL);
    make_folder(o.out);
    write_matrix(o.out, "intra.npy", force[0]);
    write_matrix(o.out, "inter.npy", force[1]);
    write_matrix(o.out, "coords.npy", coords);
    write_lines(o.out, "genes.txt", genes.name, n);
    note("plant: %lld genes, a grid of %lld cells; written to %s", (long long)n, (long long)(side * side), o.out);
}

static double *ranks(const double *x, int64_t count)
{
    pair *p = (pair *)get((size_t)count, sizeof(pair));
    double *r = (double *)get((size_t)count, sizeof(double));
    int64_t i, j, k;
    for (i = 0; i < count; i++) {
        p[i].a = i;
        p[i].b = 0;
        p[i].key = x[i];
    }
    qsort(p, (size_t)count, sizeof(pair), compare_pairs);
    for (i = 0; i < count; i = j) {
        for (j = i; j < count && !(p[j].key > p[i].key); j++) continue;
        for (k = i; k < j; k++) r[p[k].a] = 0.5 * (double)(i + j - 1);
    }
    free(p);
    return r;
}

/* Pearson's correlation, and the slope of y on x. */
static double correlate(const double *x, const double *y, int64_t count, double *slope)
{
    double mx = 0, my = 0, xx = 0, yy = 0, xy = 0;
    int64_t i;
    for (i = 0; i < count; i++) mx += x[i] / (double)count, my += y[i] / (double)count;
    for (i = 0; i < count; i++)
        xx += (x[i] - mx) * (x[i] - mx), yy += (y[i] - my) * (y[i] - my), xy += (x[i] - mx) * (y[i] - my);
    if (slope) *slope = xy / xx;
    return xy / sqrt(xx * yy);
}

static void command_compare(int argc, char **argv)
{
    cel_mat a, b;
    double *x, *y, slope, pearson;
    int64_t i, j, count = 0;
    if (argc != 4) die(2, "compare needs TRUTH.npy and FITTED.npy");
    a = read_force(argv[2], 0);
    b = read_force(argv[3], a.rows);
    x = (double *)get((size_t)(a.rows * a.rows), sizeof(double));
    y = (double *)get((size_t)(a.rows * a.rows), sizeof(double));
    for (i = 0; i < a.rows; i++)
        for (j = 0; j < a.rows; j++)
            if (i != j) {
                x[count] = (double)a.data[i * a.stride + j];
                y[count++] = (double)b.data[i * b.stride + j];
            }
    pearson = correlate(x, y, count, &slope);
    printf("off the diagonal: Pearson %.3f, Spearman %.3f, slope %.3f\n", pearson,
           correlate(ranks(x, count), ranks(y, count), count, NULL), slope);
}

/* ---- the commands ---- */

#define SLIDE_OPTIONS "counts expression coords genes slides types target-sum k radius edges allow-isolated"
#define PUBLISHED_OPTIONS "epochs lr zmft q optimizer sphere weights"

typedef struct command {
    const char *name, *summary, *example, *takes;
    void (*run)(void);
} command;

static const command commands[] = {
    {"fit", "forces from a slide, with error bars",
     "celcomen fit --counts counts.npy --coords coords.npy --genes genes.txt --top-genes 100 --out model",
     SLIDE_OPTIONS " top-genes genes-by hops method " PUBLISHED_OPTIONS
                   " mean-degree no-projection summed tolerance inter0 intra0 ridge l1 group"
                   " field tiles no-errors seed out quiet help",
     command_fit},
    {"generate", "tissue from forces: exact samples, the most likely tissue, or the published generator",
     "celcomen generate --model model --coords coords.npy --out tissue",
     "model inter intra coords slides types k radius edges allow-isolated angles0 start method orthant sweeps "
     "warmup " PUBLISHED_OPTIONS " seed out quiet help",
     command_generate},
    {"perturb", "what if: genes held, cells added or removed, with a sham control (also: knockout)",
     "celcomen knockout --model model --counts counts.npy --coords coords.npy --genes genes.txt --cell 17 --gene ERBB2 "
     "--out ko",
     "model " SLIDE_OPTIONS
     " method interventions cell gene value within distances gene-sets orthant repeats sweeps warmup " PUBLISHED_OPTIONS
     " seed out quiet help",
     command_perturb},
    {"score", "how well a model predicts another slide",
     "celcomen score --model model --counts other.npy --coords other_coords.npy --genes genes.txt",
     "model " SLIDE_OPTIONS " weights quiet help", command_score},
    {"disentangle", "genes ranked by between-cell minus within-cell force; gene sets compared",
     "celcomen disentangle --model model --gene-sets sets.txt", "model gene-sets permutations seed out quiet help",
     command_disentangle},
    {"logz", "the partition function: mean field, lower bound, annealed importance sampling",
     "celcomen logz --model model --coords coords.npy",
     "model inter intra coords slides types k radius edges allow-isolated q weights sphere repeats sweeps seed quiet "
     "help",
     command_logz},
    {"plant", "random known forces on a hexagonal grid, to try the others on",
     "celcomen plant --n-genes 10 --side 40 --out truth", "n-genes side scale share seed out quiet help",
     command_plant},
};
#define COMMANDS ((int)(sizeof commands / sizeof commands[0]))

static void usage(FILE *to)
{
    int k;
    fprintf(to, "celcomen %s: forces between genes, within and between the cells of a tissue\n\n", cel_version());
    fprintf(to, "  %-12s %s\n", "info", "what a .npy or .npz file holds: celcomen info FILE ..");
    fprintf(to, "  %-12s %s\n", "compare",
            "off-diagonal agreement of two forces: celcomen compare TRUTH.npy FITTED.npy");
    for (k = 0; k < COMMANDS; k++) fprintf(to, "  %-12s %s\n", commands[k].name, commands[k].summary);
    fprintf(to, "\ncelcomen COMMAND --help lists its options. Exit status: 0 done, 1 bad input, 2 bad usage.\n");
}

int main(int argc, char **argv)
{
    const char *name = argc > 1 ? argv[1] : "";
    int k, i;
    on_terminal = isatty(2);
    if (!strcmp(name, "--help") || !strcmp(name, "-h") || !strcmp(name, "help")) {
        usage(stdout);
        return 0;
    }
    if (!strcmp(name, "--version")) {
        printf("celcomen %s\n", cel_version());
        return 0;
    }
    if (!strcmp(name, "info") || !strcmp(name, "compare")) {
        if (argc > 2 && !strcmp(argv[2], "--help"))
            usage(stdout);
        else if (name[0] == 'i')
            command_info(argc, argv);
        else
            command_compare(argc, argv);
        return 0;
    }
    if (!strcmp(name, "knockout")) name = "perturb";
    if (!strcmp(name, "simulate")) name = "generate";
    for (k = 0; k < COMMANDS && strcmp(name, commands[k].name); k++) continue;
    if (k == COMMANDS) {
        usage(stderr);
        return 2;
    }
    parse_options(argc, argv, argv[1], commands[k].takes);
    if (o.help) {
        printf("celcomen %s: %s\n\n  %s\n\n", argv[1], commands[k].summary, commands[k].example);
        for (i = 0; i < OPTIONS; i++)
            if (takes(commands[k].takes, options[i].name)) printf("  --%-16s %s\n", options[i].name, options[i].help);
        return 0;
    }
    commands[k].run();
    return 0;
}
