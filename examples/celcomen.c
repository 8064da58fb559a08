/* celcomen - the command-line tool: a slide in, forces out, a tissue back.
 *
 *   cc -O2 -fopenmp -I. examples/celcomen.c -o build/celcomen -lm        (or: make tool)
 *
 * Uses only the public interface of celcomen.h. Exit status: 0 done, 1 bad input, 2 bad usage.
 * SPDX-License-Identifier: MIT */
#define _GNU_SOURCE /* renameat2; POSIX 2008 elsewhere */
#define _DARWIN_C_SOURCE
#define CELCOMEN_IMPLEMENTATION
#include "celcomen.h"
#include "report.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>
#if !defined(_WIN32)
#include <sys/file.h>
#else
#define rename(from, to) (remove(to), rename(from, to)) /* which does not replace there */
#endif

/* ---- messages, memory, text ---- */

static int quiet, on_terminal;
static volatile sig_atomic_t stopped; /* by this signal; 0: none */

static void say(const char *head, const char *format, va_list args)
{
    fputs(head, stderr);
    vfprintf(stderr, format, args);
    fputc('\n', stderr);
}
static void die(int status, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    say("celcomen: ", format, args);
    va_end(args);
    exit(status);
}
/* Said even to those who want quiet. */
static void warn(const char *format, ...)
{
    va_list args;
    va_start(args, format);
    say("celcomen: warning: ", format, args);
    va_end(args);
}
static void note(const char *format, ...)
{
    va_list args;
    va_start(args, format);
    if (!quiet) say("", format, args);
    va_end(args);
}

static void *get(size_t count, size_t size)
{
    void *p = calloc(count ? count : 1, size ? size : 1);
    if (!p) die(1, "out of memory (%zu x %zu bytes)", count, size);
    return p;
}

/* The first `count` items of old in a new array of `room`. */
static void *grown(const void *old, int64_t count, int64_t room, size_t size)
{
    void *p = get((size_t)room, size);
    if (count) memcpy(p, old, (size_t)count * size);
    return p;
}

/* A text that grows. */
typedef struct text {
    char *data;
    size_t size, room;
} text;

static void add_args(text *t, const char *format, va_list args)
{
    va_list again;
    int n;
    va_copy(again, args);
    n = vsnprintf(NULL, 0, format, again);
    va_end(again);
    if (n < 0) die(1, "a text could not be formatted");
    if (t->size + (size_t)n + 1 > t->room) {
        t->room = 2 * t->room + (size_t)n + 1;
        t->data = (char *)realloc(t->data, t->room);
        if (!t->data) die(1, "out of memory");
    }
    vsnprintf(t->data + t->size, (size_t)n + 1, format, args);
    t->size += (size_t)n;
}
static void add(text *t, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    add_args(t, format, args);
    va_end(args);
}
/* A text of its own, as printf would write it. */
static char *format_text(const char *format, ...)
{
    text t = CEL_ZERO;
    va_list args;
    va_start(args, format);
    add_args(&t, format, args);
    va_end(args);
    return t.data;
}

typedef struct names {
    char **name;
    int64_t count;
} names;

static names numbered_genes(int64_t count)
{
    names out;
    int64_t i;
    out.count = count;
    out.name = (char **)get((size_t)count, sizeof(char *));
    for (i = 0; i < count; i++) out.name[i] = format_text("g%lld", (long long)i);
    return out;
}

static char *to_go_on = ""; /* what a stopped run says of its checkpoint */
static void end_if_stopped(void)
{
    if (stopped) die(128 + stopped, "stopped; nothing was written%s", to_go_on);
}

static int64_t find_name(const names *in, const char *name)
{
    int64_t i;
    for (i = 0; i < in->count; i++)
        if (strcmp(in->name[i], name) == 0) return i;
    return -1;
}

/* What the cells and genes of the tissue in use are called in the user's files. */
static struct {
    const int64_t *row;
    int64_t rows;
    const int32_t *column; /* of the genes; NULL: all, in order */
    names genes;
} input;

/* Ends the program unless status is CEL_OK: one line that names the file and the place. `place` is what the file
 * calls an offset, `column` what it calls a gene. */
static void must_at(cel_status status, const char *file, const cel_error *err, const char *place, const char *column)
{
    char at[256] = "";
    size_t n = 0;
    if (status == CEL_OK) return;
    if (status == CEL_ERR_STOPPED) end_if_stopped();
    if (!err || err->status != status) die(1, "%s: %s", file, cel_strerror(status));
    if (*column == 'f' && err->gene >= 0) /* in a table, counted from 1 as its lines are */
        die(1, "%s: %s, %s %lld, field %lld", file, err->what, place, (long long)err->offset, (long long)err->gene + 1);
    if (err->cell >= 0)
        n += (size_t)snprintf(at, sizeof at, ", cell %lld",
                              (long long)(err->cell < input.rows ? input.row[err->cell] : err->cell));
    if (err->gene >= 0 && *column == 'g' && err->gene < input.genes.count)
        n += (size_t)snprintf(at + n, sizeof at - n, ", gene %lld (%.99s)",
                              (long long)(input.column ? input.column[err->gene] : err->gene),
                              input.genes.name[err->gene]);
    else if (err->gene >= 0)
        n += (size_t)snprintf(at + n, sizeof at - n, ", %s %lld", column, (long long)err->gene);
    if (err->offset >= 0) snprintf(at + n, sizeof at - n, ", %s %lld", place, (long long)err->offset);
    die(1, "%s: %s%s", file, err->what, at);
}
static void must(cel_status status, const char *file, const cel_error *err)
{
    must_at(status, file, err, "offset", "gene");
}

static double seconds(void)
{
#if defined(_WIN32) /* where this is the time of the clock on the wall */
    return (double)clock() / CLOCKS_PER_SEC;
#else
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
#endif
}

/* A bar with the time left on a terminal; elsewhere a line a stage, and one every ten seconds of a long stage. user is
 * NULL or whose stages these are. The first step that is told of may have others before it that a checkpoint had, and
 * some at its side: none of them says how long a step takes. */
static int show_progress(void *user, const char *stage, int64_t done, int64_t total, double value)
{
    static char last[64], name[64];
    static double shown, began;
    static int64_t before;
    double now = seconds(), left;
    int k, full = total > 0 ? (int)(30 * done / total) : 0;
    if (stopped) return 1;
    if (quiet) return 0;
    snprintf(name, sizeof name, "%s%s%s", user ? (const char *)user : "", user ? ", " : "", stage);
    stage = name;
    if (strcmp(last, stage)) {
        shown = began = now;
        if (!on_terminal) note("%s: %lld steps", stage, (long long)total);
        snprintf(last, sizeof last, "%s", stage);
    }
    if (now - began < 0.01) before = done;
    left = done > before ? (now - began) * (double)(total - done) / (double)(done - before) : 0;
    if (!on_terminal && now - shown > 10 && done < total) {
        note("%s: %lld of %lld steps, at most %.0f s left", stage, (long long)done, (long long)total, left);
        shown = now;
    }
    if (!on_terminal || (done < total && now - shown < 0.1)) return 0;
    fprintf(stderr, "\r%-12s [", stage);
    for (k = 0; k < 30; k++) fputc(k < full ? '#' : '.', stderr);
    fprintf(stderr, "] %lld/%lld  %.6g  ", (long long)done, (long long)total, value);
    if (done < total) fprintf(stderr, "%4.0f s left  ", left);
    else fprintf(stderr, "%6.1f s      \n", now - began);
    shown = now;
    return 0;
}
static const cel_progress progress = {show_progress, NULL};
static const cel_progress progress_shuffled = {show_progress, (void *)"shuffled"};

/* The first Ctrl-C ends the work at its next step, and whatever this run wrote is removed; the second ends it here. */
static void on_signal(int number)
{
    stopped = number;
    signal(number, SIG_DFL);
}

/* A text as JSON has it; bytes that are not UTF-8 become its replacement character. */
static void json_string(text *t, const char *value)
{
    const unsigned char *c = (const unsigned char *)value;
    add(t, "\"");
    while (*c) {
        int k, n = *c < 0x80 ? 1 : *c < 0xC2 ? 0 : *c < 0xE0 ? 2 : *c < 0xF0 ? 3 : *c < 0xF5 ? 4 : 0;
        for (k = 1; k < n && (c[k] & 0xC0) == 0x80; k++) continue;
        if (n != k || (*c == 0xE0 && c[1] < 0xA0) || (*c == 0xED && c[1] > 0x9F) || (*c == 0xF0 && c[1] < 0x90) ||
            (*c == 0xF4 && c[1] > 0x8F)) {
            add(t, "\\ufffd");
            n = 1;
        } else if (n == 1 && (*c < 32 || *c == 127)) {
            add(t, "\\u%04x", *c);
        } else {
            add(t, *c == '"' || *c == '\\' ? "\\%.*s" : "%.*s", n, (const char *)c);
        }
        c += n;
    }
    add(t, "\"");
}
static void json_text(text *t, const char *key, const char *value)
{
    add(t, ",\n  \"%s\": ", key);
    json_string(t, value);
}
/* The next word of a list with blanks between; NULL at its end. */
static const char *next_word(const char **list, size_t *length)
{
    const char *word = *list + strspn(*list, " ");
    *length = strcspn(word, " ");
    *list = word + *length;
    return *length ? word : NULL;
}
/* Numbers under the keys, with blanks between: NUMBERS(&report, "cells genes", S, n). */
static void json_numbers(text *t, const char *keys, const double *value, size_t count)
{
    const char *key;
    size_t n, k = 0;
    while ((key = next_word(&keys, &n)) != NULL) {
        if (k == count) die(1, "a report with fewer numbers than keys");
        if (isfinite(value[k])) add(t, ",\n  \"%.*s\": %.10g", (int)n, key, value[k]);
        else add(t, ",\n  \"%.*s\": null", (int)n, key);
        k++;
    }
}
#define NUMBERS(t, keys, ...) \
    json_numbers(t, keys, (const double[]){__VA_ARGS__}, sizeof((const double[]){__VA_ARGS__}) / sizeof(double))

/* Things sorted by a key: genes, or pairs of them. */
typedef struct pair {
    int64_t a, b;
    double key, then;
} pair;
static int compare_pairs(const void *x, const void *y)
{
    const pair *p = (const pair *)x, *q = (const pair *)y;
    if (p->key < q->key || p->key > q->key) return p->key < q->key ? -1 : 1;
    if (p->then < q->then || p->then > q->then) return p->then < q->then ? -1 : 1;
    return p->a != q->a ? (p->a < q->a ? -1 : 1) : p->b < q->b ? -1 : p->b > q->b;
}

/* ---- options: one table, from which parsing, help, the man page and suggestions follow ---- */

static struct {
    /* the slide */
    const char *counts, *expression, *kind, *total, *centre_by, *coords, *genes, *genes_are, *slides, *types, *edges;
    const char *moments, *band, *slide_name;
    const char *genes_by;
    double radius, decay, target_sum;
    int64_t k, hops, top_genes, min_cells;
    int allow_isolated, no_shuffled;
    /* the fit */
    const char *method, *optimizer, *inter0, *intra0, *weights, *ridge, *l1, *group, *field, *sphere;
    const char *conditions, *control, *replicates, *checkpoint, *chosen;
    double lr, zmft, q, tolerance;
    int64_t epochs, tiles;
    int mean_degree, no_projection, summed, no_errors;
    /* tissue from forces */
    const char *model, *inter, *intra, *start, *angles0;
    int64_t sweeps, warmup, repeats, steps;
    int orthant;
    /* counterfactuals */
    const char *interventions, *cell, *gene, *gene_sets, *distances, *unit;
    int64_t within, permutations;
    double value, fold;
    /* known forces */
    int64_t n_genes, side;
    double scale, share;
    /* all */
    const char *out, *format, *report, *length_unit;
    int64_t rows;
    uint64_t seed;
    int quiet, help;
    char **file; /* what is no option */
    int files;
} o = {.within = 3, .permutations = 10000, .n_genes = 10, .side = 40, .scale = 3, .share = 1, .rows = 10};

/* What a value may be: a file to read (TABLE: or a folder that holds one), a text, one of `words`, a flag, a number
 * above 0, a number or a whole number from `least` to `most`, or a whole number of 64 bits. */
enum kind { FILE_NAME, TABLE, WORD, CHOICE, FLAG, POSITIVE, NUMBER, WHOLE, SEED };

typedef struct option {
    const char *name;     /* without its dashes */
    const char *commands; /* that take it; what a name means may differ between commands: then it has several rows */
    enum kind kind;
    void *value;
    double least, most;   /* of NUMBER and WHOLE; most 0: no limit */
    const char *words;    /* what the value is called; of a CHOICE, the values, the default first */
    const char *otherwise; /* what holds where it is not given, or NULL */
    const char *help;
} option;

/* Commands that prepare a slide's rows, that read a slide, that read at least places, that join neighbours, and that
 * write a folder. */
#define PREPARED "fit moments perturb score check cells denoise"
#define SLIDE PREPARED " draw"
#define PLACED SLIDE " simulate logz"
#define JOINED PREPARED " simulate logz"
#define WRITERS "fit simulate perturb check disentangle denoise plant"
#define EVERY PLACED " disentangle plant show compare merge"
#define METHODS "score score-exact score-moments score-orthant score-pick paper counts likelihood"

static const option options[] = {
    {"model", "simulate perturb score check disentangle denoise logz", WORD, &o.model, 0, 0, "DIR", NULL,
     "a folder that fit wrote"},
    {"moments", "fit", FILE_NAME, &o.moments, 0, 0, "FILE ..", NULL,
     "moments of slides, or of all bands of one, as 'celcomen moments' wrote them (instead of --counts and --coords)"},
    {"like", "moments", WORD, &o.model, 0, 0, "FILE ..", "measured anew",
     "genes, scale, size direction, target and neighbours are those of other moments, or of a folder that fit wrote: "
     "moments of slides that are to be fitted together must be prepared alike. Of several files: their mean by cells"},
    {"band", "moments", WORD, &o.band, 0, 0, "I/N", "all cells",
     "moments of the I-th of N bands of each slide's tiles only, I from 1; the other bands are other runs"},
    {"slide-name", "moments", WORD, &o.slide_name, 0, 0, "NAME", "the file of --counts",
     "what the slide is called, where there is one: moments of two slides of one name are refused"},
    {"no-shuffled", "moments", FLAG, &o.no_shuffled, 0, 0, NULL, NULL,
     "without the moments of shuffled positions, the control of fit: half of the time and of the file"},
    {"counts", SLIDE, TABLE, &o.counts, 0, 0, "FILE", NULL,
     "expression as measured, a cell a row and a gene a column: raw counts, or what --kind says. A .npy, a .npz "
     "(SciPy's, also compressed), a CSV or TSV with gene names, Matrix Market, any of them in gzip, or a 10x "
     "folder; - is standard input. fit and moments leave sparse matrices sparse and a .npy in its file, however large"},
    {"genes-are", SLIDE, CHOICE, &o.genes_are, 0, 0, "columns rows", "columns",
     "where --counts has its genes: columns, or rows, as R writes them (a 10x folder is known)"},
    {"kind", SLIDE, CHOICE, &o.kind, 0, 0, "counts lognorm intensity", "counts",
     "what --counts holds: counts, lognorm (counts that were scaled and logged), or intensity (fluorescence and "
     "the like: no library size)"},
    {"total", SLIDE, FILE_NAME, &o.total, 0, 0, "FILE", NULL,
     "a .npy of each cell's counts over all measured genes, where the file of --counts lacks some"},
    {"total", "simulate", FILE_NAME, &o.total, 0, 0, "FILE", "drawn, as on the slide of the fit",
     "a .npy of the totals that the cells' counts are to have"},
    {"centre-by", PREPARED, FILE_NAME, &o.centre_by, 0, 0, "FILE", "slides",
     "the type of each cell, as --types has it: genes are centred within types too"},
    {"expression", SLIDE, TABLE, &o.expression, 0, 0, "FILE", NULL,
     "rows already prepared, of unit length (instead of --counts)"},
    {"coords", PLACED, FILE_NAME, &o.coords, 0, 0, "FILE", NULL,
     "positions, a cell a row: a .npy (cells x 2 or 3); a CSV or TSV with columns x, y[, z] (or as Xenium, Vizgen and "
     "CosMx call them), FILE:COLUMN,COLUMN to name others; or tissue_positions.csv of 10x. Cells named in both "
     "files are matched by name"},
    {"genes", SLIDE, FILE_NAME, &o.genes, 0, 0, "FILE", "those of --counts, else g0, g1, ..",
     "gene names, one a line, or features.tsv of 10x"},
    {"slides", PLACED, FILE_NAME, &o.slides, 0, 0, "FILE", "one slide",
     "the slide of each cell: one a line, or FILE:COLUMN of a CSV; no neighbours across slides"},
    {"types", PLACED, FILE_NAME, &o.types, 0, 0, "FILE", NULL,
     "the type of each cell: one a line, or FILE:COLUMN of a CSV; fit: a between-cell force per pair of types"},
    {"top-genes", "fit moments", WHOLE, &o.top_genes, 2, 0, "N", "all", "keep N genes only"},
    {"genes-by", "fit moments", CHOICE, &o.genes_by, 0, 0, "mean variable", "mean",
     "which: mean (the most expressed, of which counts say most) or variable (Seurat's flavour, dispersion beside "
     "genes of like mean, which prefers rare genes)"},
    {"min-cells", "fit moments", WHOLE, &o.min_cells, 0, 0, "N",
     "10, or a tenth of fewer than 100; --expression: 1; --method paper: 0",
     "leave out genes that fewer cells express"},
    {"target-sum", SLIDE, POSITIVE, &o.target_sum, 0, 0, "X", "the median; --method paper and score-*: 10000",
     "counts of a cell are scaled to this total"},
    {"k", JOINED, WHOLE, &o.k, 1, 0, "K", "6, or as the model was fitted", "neighbours: the K nearest"},
    {"radius", JOINED, POSITIVE, &o.radius, 0, 0, "R", NULL, "neighbours: all closer than R"},
    {"decay", JOINED, POSITIVE, &o.decay, 0, 0, "L", NULL,
     "with --radius: a neighbour at distance d counts exp(-d^2 / L^2)"},
    {"edges", JOINED, FILE_NAME, &o.edges, 0, 0, "FILE", NULL,
     "neighbours: .npy of (2 x E) integers, sources then targets, or .npz of a SciPy sparse matrix (cells x "
     "cells): row i's entries are cell i's neighbours, whatever their value"},
    {"allow-isolated", JOINED, FLAG, &o.allow_isolated, 0, 0, NULL, NULL, "cells without neighbours are no error"},
    {"hops", "fit moments", WHOLE, &o.hops, 1, 0, "N", "1",
     "a between-cell force for neighbours at 1, .., N steps each"},
    {"method", "fit", CHOICE, &o.method, 0, 0, METHODS, "score",
     "how: score (score matching on rows that were measured); score-exact, score-moments, score-orthant, "
     "score-pick (its forms on rows as published); paper (the published estimator); counts (through "
     "the counting: counts as Poisson draws of a latent field); likelihood (score, then the "
     "forces under which a tissue drawn anew has the slide's correlations: the law to simulate and perturb with; "
     "error bars and q stay score's)"},
    {"method", "simulate", CHOICE, &o.method, 0, 0, "sample ascent paper", "sample",
     "how: sample (exact samples), ascent (the most likely tissue), paper (the published generator)"},
    {"method", "perturb", CHOICE, &o.method, 0, 0, "paired relax linear paper", "paired",
     "how: paired (two samplers on the same random numbers), relax (the most likely tissue of both arms), linear "
     "(to first order), paper (as published, which has no control)"},
    {"ridge", "fit", WORD, &o.ridge, 0, 0, "X|auto", "auto, picked by held-out score",
     "score: ridge penalty; 0 is none. counts: 0.01"},
    {"l1", "fit", WORD, &o.l1, 0, 0, "X|auto", "0", "score-*: l1 penalty"},
    {"group", "fit", WORD, &o.group, 0, 0, "X|auto", "0",
     "score-*: l1 penalty on a pair's forces of all relations together"},
    {"field", "fit", CHOICE, &o.field, 0, 0, "none shared slide", "slide; of --expression and score-*: none",
     "score: a mean expression beside the forces: none, shared, or slide (one for every slide)"},
    {"tiles", "fit moments", WHOLE, &o.tiles, 2, 0, "N", "6, fewer for several slides",
     "score: N x N tiles a slide for the error bars; a moments file grows with their number"},
    {"checkpoint", "fit", WORD, &o.checkpoint, 0, 0, "FILE", NULL,
     "keep finished parts of the fit here, so that after a crash, Ctrl-C or a time limit the same command goes on, to "
     "the same result; removed at the end"},
    {"no-errors", "fit", FLAG, &o.no_errors, 0, 0, NULL, NULL, "score: forces only"},
    {"conditions", "fit", FILE_NAME, &o.conditions, 0, 0, "FILE", NULL,
     "the condition of each cell: one a line, or FILE:COLUMN of a CSV; which forces differ from those of --control, in "
     "shifts.csv, and which genes they point at, in targets.csv"},
    {"control", "fit", WORD, &o.control, 0, 0, "NAME", NULL,
     "with --conditions: the one that others are compared with"},
    {"replicates", "fit", FILE_NAME, &o.replicates, 0, 0, "FILE", "tiles",
     "with --conditions: the animal, or other unit of replication, of each cell, as --conditions has it"},
    {"chosen", "fit", WORD, &o.chosen, 0, 0, "FILE|A,B,..", "all pairs",
     "many genes: these against all, one a line of a file or between commas; the partners of each, in chosen.csv, "
     "and no model of the whole. For up to some ten thousand cells"},
    {"inter", "simulate logz", FILE_NAME, &o.inter, 0, 0, "FILE", NULL, "between-cell force (instead of --model)"},
    {"intra", "simulate logz", FILE_NAME, &o.intra, 0, 0, "FILE", NULL, "within-cell force (instead of --model)"},
    {"start", "simulate", TABLE, &o.start, 0, 0, "FILE", "random rows", "expression (cells x genes) to start from"},
    {"interventions", "perturb", FILE_NAME, &o.interventions, 0, 0, "FILE", NULL,
     "one a line: 'cell, gene, value', 'cells of type T, gene, 0', 'cells within R of x, y, gene, value', 'add "
     "cell at x, y with profile of cell j', 'remove cell i'"},
    {"cell", "perturb", WORD, &o.cell, 0, 0, "I", NULL,
     "the cell: its row in --counts, from 0; its name; or best, the first that 'celcomen cells' lists"},
    {"gene", "perturb cells", WORD, &o.gene, 0, 0, "NAME", NULL, "the gene"},
    {"gene", "denoise", WORD, &o.gene, 0, 0, "NAME", NULL,
     "a gene whose counts are not looked at: predicted from the others and from the neighbours"},
    {"value", "perturb", NUMBER, &o.value, -1e300, 0, "X", "0", "the level to hold it at"},
    {"fold", "perturb", POSITIVE, &o.fold, 0, 0, "X", NULL, "or so many times its observed level"},
    {"unit", "perturb", CHOICE, &o.unit, 0, 0, "given log typical fold", "typical for counts, else given",
     "of levels: typical (at the median total), given (as in --counts: at the cell's own total), log (log-normalised), "
     "fold (of the observed level). Models of --expression: levels are coordinates of unit rows"},
    {"within", "perturb", WHOLE, &o.within, -1, 0, "R", "3",
     "cells beyond R steps are held as observed; -1: none is"},
    {"distances", "perturb", WORD, &o.distances, 0, 0, "A,B,..", NULL,
     "effects also by the distance to the nearest intervened cell: A to B, .. (of the cells within --within steps "
     "and one more)"},
    {"gene-sets", "perturb disentangle", FILE_NAME, &o.gene_sets, 0, 0, "FILE", NULL,
     "one set a line: its name, then its genes, separated by tabs or commas"},
    {"permutations", "disentangle", WHOLE, &o.permutations, 1, 0, "N", "10000", "permutations for the p value"},
    {"repeats", "perturb", WHOLE, &o.repeats, 2, 0, "N", "16", "paired: independent repeats, for the error bars"},
    {"repeats", "logz", WHOLE, &o.repeats, 2, 0, "N", "16", "independent annealings, for the error bar"},
    {"sweeps", "simulate", WHOLE, &o.sweeps, 1, 0, "N", "200", "sweeps of the sampler or the ascent"},
    {"sweeps", "perturb", WHOLE, &o.sweeps, 1, 0, "N", "20; relax, linear: at most 500",
     "sweeps of a repeat that are averaged"},
    {"sweeps", "logz", WHOLE, &o.sweeps, 1, 0, "N", "200", "temperatures of the annealing, a sweep at each"},
    {"sweeps", "check", WHOLE, &o.sweeps, 1, 0, "N", "200", "sweeps of the tissue that is drawn, from noise"},
    {"steps", "fit", WHOLE, &o.steps, 4, 0, "N", "150", "likelihood: steps of its fit"},
    {"warmup", "simulate", WHOLE, &o.warmup, 0, 0, "N", "50", "sweeps before, to adapt the step"},
    {"warmup", "perturb", WHOLE, &o.warmup, 0, 0, "N", "20", "paired: sweeps before"},
    {"orthant", "simulate perturb", FLAG, &o.orthant, 0, 0, NULL, NULL, "expression is not negative"},
    {"n-genes", "plant", WHOLE, &o.n_genes, 2, 20000, "N", "10", "genes"},
    {"side", "plant", WHOLE, &o.side, 2, 10000, "N", "40", "a grid of N x N cells"},
    {"scale", "plant", POSITIVE, &o.scale, 0, 0, "X", "3",
     "standard deviation of the within-cell forces; between cells a sixth"},
    {"share", "plant", NUMBER, &o.share, 0, 1, "X", "1", "share of the pairs that have a force"},
    {"epochs", "fit", WHOLE, &o.epochs, 1, 0, "N", "200", "paper: epochs"},
    {"epochs", "simulate perturb", WHOLE, &o.epochs, 1, 0, "N", "50", "paper: epochs"},
    {"lr", "fit", POSITIVE, &o.lr, 0, 0, "X", "0.05", "paper: learning rate"},
    {"lr", "simulate perturb", POSITIVE, &o.lr, 0, 0, "X", "0.001", "paper: learning rate"},
    {"zmft", "fit simulate perturb", POSITIVE, &o.zmft, 0, 0, "X", "0.1", "paper: weight of the data against log Z"},
    {"q", "fit simulate perturb", POSITIVE, &o.q, 0, 0, "X", "6", "paper: number of neighbours in log Z"},
    {"q", "logz", POSITIVE, &o.q, 0, 0, "X", "the mean", "number of neighbours in the mean-field log Z"},
    {"optimizer", "fit simulate perturb", CHOICE, &o.optimizer, 0, 0, "sgd adam", "sgd", "paper: sgd or adam"},
    {"sphere", "fit simulate perturb", CHOICE, &o.sphere, 0, 0, "paper right", "paper",
     "paper: log Z of the sphere in 3 dimensions (paper), or in as many as there are genes (right)"},
    {"weights", "fit simulate", CHOICE, &o.weights, 0, 0, "gcn adjacency", "gcn",
     "paper: of a neighbour, gcn or adjacency"},
    {"mean-degree", "fit", FLAG, &o.mean_degree, 0, 0, NULL, NULL, "paper: q is each slide's true mean degree"},
    {"no-projection", "fit", FLAG, &o.no_projection, 0, 0, NULL, NULL, "paper: forces are not clamped to [0, 1]"},
    {"summed", "fit", FLAG, &o.summed, 0, 0, NULL, NULL, "paper: one step an epoch down the sum over slides"},
    {"tolerance", "fit", POSITIVE, &o.tolerance, 0, 0, "X", "never",
     "paper: stop when the loss changes by less, relative"},
    {"inter0", "fit", FILE_NAME, &o.inter0, 0, 0, "FILE", NULL, "paper: the between-cell force to start from"},
    {"intra0", "fit", FILE_NAME, &o.intra0, 0, 0, "FILE", NULL, "paper: the within-cell force to start from"},
    {"angles0", "simulate", FILE_NAME, &o.angles0, 0, 0, "FILE", NULL,
     "paper: angles (cells x genes-1) to start from"},
    {"from", "draw", WORD, &o.model, 0, 0, "DIR", NULL, "a folder of results: of fit, perturb or simulate"},
    {"gene", "draw", WORD, &o.gene, 0, 0, "NAME", "hops: the surest ones", "slide, effect, hops: the gene"},
    {"intra", "draw", FILE_NAME, &o.intra, 0, 0, "FILE", NULL, "planted: the within-cell force that is known"},
    {"inter", "draw", FILE_NAME, &o.inter, 0, 0, "FILE", NULL, "planted: the between-cell force that is known"},
    {"length-unit", "fit perturb draw", WORD, &o.length_unit, 0, 0, "NAME", "units of the positions",
     "what positions are in, such as um: for the scale bars of maps"},
    {"report", "fit perturb", WORD, &o.report, 0, 0, "FILE.html", NULL,
     "a page for the browser, complete in itself: what was run, how far to trust it, pictures, tables"},
    {"out", "draw", WORD, &o.out, 0, 0, "FILE.svg", NULL, "the picture"},
    {"out", "moments merge", WORD, &o.out, 0, 0, "FILE.npz", NULL,
     "the moments; what was there stays until all is written"},
    {"rows", "show cells", WHOLE, &o.rows, 1, 0, "N", "10", "how many rows to list"},
    {"seed", "fit moments simulate perturb check disentangle logz plant", SEED, &o.seed, 0, 0, "N", "0",
     "of everything random, 64 bits"},
    {"format", WRITERS, CHOICE, &o.format, 0, 0, "npy csv", "npy",
     "of arrays: npy, or csv with the names of genes and cells (model.npz is always written)"},
    {"out", WRITERS, WORD, &o.out, 0, 0, "DIR", NULL,
     "folder for the results, made if absent; put in place as a whole, and what an earlier run wrote there goes"},
    {"quiet", EVERY, FLAG, &o.quiet, 0, 0, NULL, NULL, "no progress and no remarks: results and warnings only"},
    {"help", EVERY, FLAG, &o.help, 0, 0, NULL, NULL, "this text"},
};
#define OPTIONS ((int)(sizeof options / sizeof options[0]))
static char given[OPTIONS];

typedef struct verb {
    const char *name, *older; /* what 0.1.0 called it, still understood, or NULL */
    const char *summary, *example;
    const char *files;        /* what it takes that is no option, or NULL */
    int most_files;
    void (*run)(void);
} verb;

static const verb *running;
static struct {
    char **word;
    int count;
} command_line;

static int is_word(const char *list, const char *name, size_t length)
{
    const char *word;
    size_t n;
    while (list && (word = next_word(&list, &n)) != NULL)
        if (n == length && memcmp(word, name, n) == 0) return 1;
    return 0;
}

static int takes(const verb *c, const option *p) { return is_word(p->commands, c->name, strlen(c->name)); }

/* The row of an option as a command has it; -1: it takes none of that name. */
static int option_of(const verb *c, const char *name, size_t length)
{
    int k;
    for (k = 0; k < OPTIONS; k++)
        if (strlen(options[k].name) == length && memcmp(options[k].name, name, length) == 0 && takes(c, &options[k]))
            return k;
    return -1;
}
static int was_given(const char *name)
{
    int k = option_of(running, name, strlen(name));
    return k >= 0 && given[k];
}

/* Letters to change, add, drop or swap to turn a into b (at most 31 of each, case aside). */
static int distance_of(const char *a, const char *b)
{
    int d[32][32], i, j, n = (int)strlen(a), m = (int)strlen(b);
    if (n > 31 || m > 31) return 99;
    for (i = 0; i <= n; i++)
        for (j = 0; j <= m; j++) {
            int other = i && j && tolower((unsigned char)a[i - 1]) != tolower((unsigned char)b[j - 1]), least;
            if (!i || !j) {
                d[i][j] = i + j;
                continue;
            }
            least = d[i - 1][j - 1] + other;
            if (d[i - 1][j] + 1 < least) least = d[i - 1][j] + 1;
            if (d[i][j - 1] + 1 < least) least = d[i][j - 1] + 1;
            if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] && d[i - 2][j - 2] + 1 < least)
                least = d[i - 2][j - 2] + 1;
            d[i][j] = least;
        }
    return d[n][m];
}

/* "; did you mean NAME?", of the candidates offered to it one by one, or "". */
typedef struct guess {
    const char *wanted, *best;
    int distance;
} guess;
static void offer(guess *g, const char *candidate)
{
    int d = distance_of(g->wanted, candidate), n = (int)strlen(g->wanted), most = n < 3 ? 1 : n < 7 ? 2 : 3;
    if ((!d || d < n) && d <= most && (!g->best || d < g->distance)) g->best = candidate, g->distance = d;
}
static const char *suggestion(const guess *g, const char *before)
{
    return g->best ? format_text("; did you mean %s%s?", before, g->best) : "";
}
static const char *did_you_mean(const names *known, const char *wanted)
{
    guess g = {wanted, NULL, 0};
    int64_t i;
    for (i = 0; i < known->count; i++) offer(&g, known->name[i]);
    return suggestion(&g, "");
}

/* Options that would have no effect are refused, so that nobody believes they had. */
static void no_effect(const char *list, const char *why)
{
    const char *word;
    size_t n;
    while ((word = next_word(&list, &n)) != NULL) {
        int k = option_of(running, word, n);
        if (k >= 0 && given[k]) die(2, "--%s has no effect %s", options[k].name, why);
    }
}
static void one_of(const char *list)
{
    const char *word, *first = NULL;
    size_t n;
    while ((word = next_word(&list, &n)) != NULL) {
        int k = option_of(running, word, n);
        if (k < 0 || !given[k]) continue;
        if (first) die(2, "--%s and --%s exclude each other", first, options[k].name);
        first = options[k].name;
    }
}

static double parse_number(const char *name, const char *s)
{
    char *end;
    double x = strtod(s, &end);
    if (end == s || *end || !isfinite(x)) die(2, "--%s: '%s' is not a number", name, s);
    return x;
}
static int64_t parse_whole(const char *name, const char *s)
{
    char *end;
    long long i;
    double x;
    errno = 0;
    i = strtoll(s, &end, 10);
    if (end != s && !*end && !errno) return i;
    x = strtod(s, &end); /* 1e3 is a whole number too */
    if (end == s || *end || !(fabs(x) < 9e15) || floor(x) < x) die(2, "--%s: '%s' is not a whole number", name, s);
    return (int64_t)x;
}
static uint64_t parse_seed(const char *name, const char *s)
{
    char *end;
    unsigned long long i;
    errno = 0;
    i = strtoull(s, &end, 10);
    if (strchr(s, '-')) die(2, "--%s %s: at least 0", name, s);
    if (errno) die(2, "--%s %s: at most 18446744073709551615", name, s);
    return end == s || *end ? (uint64_t)parse_whole(name, s) : i;
}

/* A file that is named as FILE:COLUMN[,COLUMN] is FILE, unless there is one of the whole name: *column, if asked for,
 * receives what follows. */
static const char *file_part(const char *path, const char **column)
{
    struct stat s;
    const char *colon = strrchr(path, ':');
    if (column) *column = NULL;
    if (!colon || colon == path || stat(path, &s) == 0) return path;
    if (column) *column = colon + 1;
    return format_text("%.*s", (int)(colon - path), path);
}

static const char *parse_file(const char *name, const char *path, int folder)
{
    static const char *from_input;
    struct stat s;
    const char *file = file_part(path, NULL);
    if (!*path) die(2, "--%s: an empty file name", name);
    if (strcmp(path, "-") == 0) {
        if (from_input) die(2, "--%s and --%s cannot both read standard input", from_input, name);
        from_input = name;
        return "/dev/stdin";
    }
    if (stat(file, &s)) die(1, "%s: %s", file, strerror(errno));
    if (S_ISDIR(s.st_mode) && !folder) die(1, "%s: a folder, not a file", file);
    return path;
}

static void parse_choice(const option *p, const char *s)
{
    guess g = {s, NULL, 0};
    const char *word, *list = p->words;
    size_t n;
    if (is_word(list, s, strlen(s))) {
        *(const char **)p->value = s;
        return;
    }
    while ((word = next_word(&list, &n)) != NULL) offer(&g, format_text("%.*s", (int)n, word));
    die(2, "--%s: '%s' is none of: %s%s", p->name, s, p->words, suggestion(&g, ""));
}

static void parse_value(const option *p, const char *s)
{
    double x = 0;
    if (p->kind == FILE_NAME || p->kind == TABLE) *(const char **)p->value = parse_file(p->name, s, p->kind == TABLE);
    if (p->kind == WORD) *(const char **)p->value = s;
    if (p->kind == CHOICE) parse_choice(p, s);
    if (p->kind == SEED) *(uint64_t *)p->value = parse_seed(p->name, s);
    if (p->kind < FLAG || p->kind == SEED) return;
    if (p->kind == WHOLE) x = (double)(*(int64_t *)p->value = parse_whole(p->name, s));
    else x = *(double *)p->value = parse_number(p->name, s);
    if (p->kind == POSITIVE && !(x > 0)) die(2, "--%s %s: it must be above 0", p->name, s);
    if (p->kind != POSITIVE && x < p->least) die(2, "--%s %s: at least %g", p->name, s, p->least);
    if (p->kind != POSITIVE && p->most > 0 && x > p->most) die(2, "--%s %s: at most %g", p->name, s, p->most);
}

/* Ends with the word that is no option of the command, and the nearest that is. */
static void unknown_option(const char *name, size_t length)
{
    char *word = format_text("%.*s", (int)length, name);
    guess g = {word + strspn(word, "-"), NULL, 0};
    int k;
    for (k = 0; k < OPTIONS; k++)
        if (takes(running, &options[k])) offer(&g, options[k].name);
    for (k = 0; k < OPTIONS; k++)
        if (!strcmp(options[k].name, g.wanted))
            die(2, "%s takes no option --%s, which is one of: %s; see celcomen %s --help", running->name, g.wanted,
                options[k].commands, running->name);
    die(2, "%s takes no option %s%s; see celcomen %s --help", running->name, word, suggestion(&g, "--"), running->name);
}

static void parse_options(int argc, char **argv)
{
    int a;
    o.file = (char **)get((size_t)argc, sizeof(char *));
    for (a = 2; a < argc; a++) {
        const char *name = strcmp(argv[a], "-h") ? argv[a] : "--help", *value = strchr(name, '=');
        size_t length = value ? (size_t)(value - name) : strlen(name);
        int k;
        if (name[0] != '-' || (!name[1] && running->most_files)) {
            if (o.files == running->most_files)
                die(2, "%s: '%s' is not an option; see celcomen %s --help", running->name, name, running->name);
            o.file[o.files++] = argv[a];
            continue;
        }
        k = strncmp(name, "--", 2) ? -1 : option_of(running, name + 2, length - 2);
        if (k < 0) unknown_option(name, length);
        if (given[k]++) die(2, "--%s is given twice", options[k].name);
        if (options[k].kind == FLAG) {
            if (value) die(2, "--%s takes no value", options[k].name);
            *(int *)options[k].value = 1;
        } else {
            if (!value && ++a == argc) die(2, "%s needs a value", name);
            parse_value(&options[k], value ? value + 1 : argv[a]);
        }
    }
    quiet = o.quiet;
    if (o.decay > 0 && !(o.radius > 0)) die(2, "--decay needs --radius R");
}

static void need(const char *value, const char *command, const char *what)
{
    if (!value) die(2, "%s needs %s; see celcomen %s --help", command, what, command);
}

/* The number of a CHOICE's value among its words. */
static int choice(const char *name)
{
    int row = option_of(running, name, strlen(name)), k = 0;
    const char *word, *list, *value;
    size_t n;
    if (row < 0 || !given[row]) return 0;
    value = *(const char **)options[row].value;
    for (list = options[row].words; (word = next_word(&list, &n)) != NULL; k++)
        if (strlen(value) == n && memcmp(word, value, n) == 0) return k;
    return 0;
}
/* What it is called, the default where it is not given. */
static const char *chosen(const char *name)
{
    const char *list = options[option_of(running, name, strlen(name))].words, *word;
    size_t n;
    int k = choice(name);
    while ((word = next_word(&list, &n)) != NULL && k) k--;
    return format_text("%.*s", (int)n, word);
}
static cel_weights weights_option(void) { return choice("weights") ? CEL_WEIGHTS_ADJACENCY : CEL_WEIGHTS_GCN; }
static int64_t warmup_option(void) { return was_given("warmup") && !o.warmup ? -1 : o.warmup; }

/* Words of a text from column `at` on, with lines broken before `width` and begun at `margin`. */
static void wrap(FILE *to, const char *s, int at, int margin, int width)
{
    const char *word;
    size_t n;
    while ((word = next_word(&s, &n)) != NULL) {
        if (at > margin && at + 1 + (int)n > width) {
            fprintf(to, "\n%*s", margin, "");
            at = margin;
        }
        at += fprintf(to, "%s%.*s", at > margin ? " " : "", (int)n, word);
    }
    fputc('\n', to);
}

/* What is said of an option: its values, what it does, and what holds without it. */
static const char *option_text(const option *p)
{
    return p->otherwise ? format_text("%s (default: %s)", p->help, p->otherwise) : p->help;
}
static const char *option_head(const option *p)
{
    return format_text("--%s %s", p->name, p->kind == CHOICE ? "NAME" : p->words ? p->words : "");
}

static void command_help(const verb *c, FILE *to)
{
    int k;
    fprintf(to, "celcomen %s%s%s: ", c->name, c->files ? " " : "", c->files ? c->files : "");
    wrap(to, c->summary, 0, 0, 100);
    fprintf(to, "\n    %s\n\n", c->example);
    for (k = 0; k < OPTIONS; k++) {
        if (!takes(c, &options[k])) continue;
        int at = fprintf(to, "  %-23s ", option_head(&options[k]));
        wrap(to, option_text(&options[k]), at, 26, 110);
    }
}

/* ---- the folder of results ---- */

/* Results are written into a hidden folder beside --out, which takes its place in one step when all is there: whenever
 * a run ends, even by kill -9, --out holds all of the old results or all of the new, and nothing that belongs to
 * another run. Files of the user's own stay. What a killed run left beside is cleared away by the next one.
 * Where the folder cannot be exchanged (it is a mount, or somebody stands in it) its files are replaced one by one,
 * report.json last: a folder without one is not complete. */
static struct {
    char *folder; /* --out; the folder itself, where that is a link */
    char *made;   /* the topmost folder that this run made, or NULL */
    char *hidden; /* where files are written; NULL: nothing yet */
    int inside;   /* hidden is in the folder, not beside it */
    names files;
} output;

static const char *in_folder(const char *folder, const char *name) { return format_text("%s/%s", folder, name); }

static void add_name(names *list, const char *name)
{
    if ((list->count & (list->count - 1)) == 0) /* room for a power of two */
        list->name = (char **)grown(list->name, list->count, 2 * list->count + 1, sizeof(char *));
    list->name[list->count++] = format_text("%s", name);
}

/* What a folder holds, but for . and .. */
static names folder_content(const char *folder)
{
    names out = CEL_ZERO;
    DIR *d = opendir(folder);
    struct dirent *e;
    while (d && (e = readdir(d)) != NULL)
        if (strcmp(e->d_name, ".") && strcmp(e->d_name, "..")) add_name(&out, e->d_name);
    if (d) closedir(d);
    return out;
}

/* The whole of a text file, ended by a 0; NULL if there is none. */
static char *read_text(const char *path)
{
    cel_file file;
    char *s;
    if (cel_file_open(path, 0, &file, NULL)) return NULL;
    s = (char *)grown(file.bytes, (int64_t)file.size, (int64_t)file.size + 1, 1);
    cel_file_close(&file);
    return s;
}

/* The files that an earlier run, by its report, wrote to the folder. */
static names earlier_files(const char *folder)
{
    names out = CEL_ZERO;
    char *json = read_text(in_folder(folder, "report.json")), *at, *end;
    if (!json || strncmp(json, "{\n  \"celcomen\"", 14)) return out;
    at = strstr(json, "\n  \"files\": [");
    end = at ? strchr(at, ']') : NULL;
    if (!end) return out;
    *end = 0;
    for (at = strtok(at + 13, "\", "); at; at = strtok(NULL, "\", "))
        if (!strchr(at, '/')) add_name(&out, at);
    return out;
}

/* Empties and removes a folder of results that is in use no more: its own files go, the user's move to `keep`. */
static void retire(const char *folder, const char *keep)
{
    names ours = earlier_files(folder), all = folder_content(folder);
    int64_t i;
    int unfinished = find_name(&all, ".writing") >= 0;
    for (i = 0; i < all.count; i++) {
        const char *from = in_folder(folder, all.name[i]), *to = in_folder(keep, all.name[i]);
        struct stat s;
        if (!strcmp(all.name[i], "report.json") || !strcmp(all.name[i], ".writing")) continue;
        if (!unfinished && find_name(&ours, all.name[i]) < 0 && stat(to, &s)) rename(from, to);
        else remove(from); /* an older one, or a second name */
    }
    remove(in_folder(folder, "report.json")); /* the two that say which files are whose are the last to go */
    remove(in_folder(folder, ".writing"));
    rmdir(folder);
}

/* Hidden folders bear the name of --out and of the process. */
static char *hidden_name(const char *folder, int inside)
{
    const char *slash = strrchr(folder, '/');
    if (inside) return format_text("%s/.celcomen-%ld", folder, (long)getpid());
    if (!slash) return format_text(".%s.celcomen-%ld", folder, (long)getpid());
    return format_text("%.*s/.%s.celcomen-%ld", (int)(slash - folder), folder, slash + 1, (long)getpid());
}

/* Clears away what killed runs left: folders named as this run's, but for the number, that no process has locked. */
static void clear_leftovers(void)
{
#if !defined(_WIN32)
    const char *mine = output.hidden, *slash = strrchr(mine, '/'), *start = slash ? slash + 1 : mine;
    const char *parent = slash == mine ? "/" : slash ? format_text("%.*s", (int)(slash - mine), mine) : ".";
    size_t stem = (size_t)(strrchr(start, '-') + 1 - start);
    names all = folder_content(parent);
    struct stat s;
    int64_t i;
    for (i = 0; i < all.count; i++) {
        const char *path = in_folder(parent, all.name[i]);
        int fd;
        if (strncmp(all.name[i], start, stem) || !strcmp(all.name[i], start)) continue;
        fd = open(path, O_RDONLY);
        if (fd < 0) continue;
        if (flock(fd, LOCK_EX | LOCK_NB) == 0) {
            /* Killed between the two renames of exchange(). */
            if (stat(output.folder, &s) && stat(in_folder(path, ".writing"), &s)) rename(path, output.folder);
            else retire(path, output.folder);
        }
        close(fd);
    }
#endif
}

/* Refuses, before any work, what could not be written to. */
static void check_output(const char *command)
{
    char *part, *slash;
    struct stat s;
    size_t n;
    need(o.out, command, "--out DIR");
    for (n = strlen(o.out); n > 1 && o.out[n - 1] == '/'; n--) {}
    if (!n) die(2, "--out is empty");
    output.folder = format_text("%.*s", (int)n, o.out);
    part = format_text("%s", output.folder);
    while (stat(part, &s)) {
        if (errno != ENOENT) die(1, "%s: %s", part, strerror(errno));
        slash = strrchr(part, '/');
        if (!slash) strcpy(part, ".");
        else slash[slash == part] = 0;
    }
    if (!S_ISDIR(s.st_mode)) die(1, "%s: not a folder", part);
    if (access(part, W_OK | X_OK)) die(1, "%s: %s", part, strerror(errno));
    free(part);
}

/* Whatever this run left, gone. */
static void drop_output(void)
{
    int64_t i;
    char *slash;
    if (output.hidden) {
        for (i = 0; i < output.files.count; i++) remove(in_folder(output.hidden, output.files.name[i]));
        remove(in_folder(output.hidden, ".writing"));
        rmdir(output.hidden);
    }
    while (output.made && strlen(output.folder) >= strlen(output.made)) {
        rmdir(output.folder);
        slash = strrchr(output.folder, '/');
        if (!slash) break;
        *slash = 0;
    }
}

static int new_folder(const char *path)
{
#if defined(_WIN32)
    return mkdir(path);
#else
    return mkdir(path, 0777);
#endif
}

static void make_folder(char *path)
{
    if (new_folder(path) == 0) {
        if (!output.made) output.made = format_text("%s", path);
    } else if (errno != EEXIST) {
        die(1, "%s: %s", path, strerror(errno));
    }
}

/* Where the folder is in truth, and whether another can take its place. */
static void place_output(void)
{
#if defined(_WIN32)
    make_folder(output.folder);
    output.inside = 1;
#else
    struct stat s;
    char *here = getcwd(NULL, 0), *real = realpath(output.folder, NULL), *slash;
    if (!real) return;
    output.folder = real;
    slash = strrchr(real, '/');
    output.inside = !slash[1] || !here || (strncmp(here, real, strlen(real)) == 0 && strchr("/", here[strlen(real)]));
    if (!output.inside) {
        *slash = 0;
        output.inside = access(*real ? real : "/", W_OK | X_OK) != 0;
        if (stat(*real ? real : "/", &s) == 0 && (s.st_mode & S_ISVTX) && access(real, W_OK)) output.inside = 1;
        *slash = '/';
    }
    free(here);
#endif
}

static void start_output(void)
{
    char *p;
    FILE *mark;
    atexit(drop_output);
    for (p = output.folder + 1; *p; p++) {
        if (*p != '/') continue;
        *p = 0;
        make_folder(output.folder);
        *p = '/';
    }
    place_output();
    output.hidden = hidden_name(output.folder, output.inside);
    clear_leftovers();
    if (new_folder(output.hidden)) die(1, "%s: %s", output.hidden, strerror(errno));
#if !defined(_WIN32)
    {
        int fd = open(output.hidden, O_RDONLY); /* locked as long as this process lives */
        if (fd >= 0) (void)flock(fd, LOCK_EX | LOCK_NB);
    }
#endif
    mark = fopen(in_folder(output.hidden, ".writing"), "w");
    if (!mark || fclose(mark)) die(1, "%s: %s", output.hidden, strerror(errno));
}

static const char *out_file(const char *name)
{
    end_if_stopped();
    if (!output.hidden) start_output();
    add_name(&output.files, name);
    return in_folder(output.hidden, name);
}

/* Two folders change places in one step; 0 where that cannot be. */
static int exchange(const char *a, const char *b)
{
#if defined(RENAME_EXCHANGE)
    if (renameat2(AT_FDCWD, a, AT_FDCWD, b, RENAME_EXCHANGE) == 0) return 1;
#elif defined(RENAME_SWAP)
    if (renamex_np(a, b, RENAME_SWAP) == 0) return 1;
#endif
    {
        const char *aside = format_text("%s-old", a); /* in two: between them there is none under the name */
        if (rename(b, aside)) return 0;
        if (rename(a, b) == 0) return rename(aside, a) == 0;
        rename(aside, b);
        return 0;
    }
}

/* Puts the hidden folder in the place of the old one. */
static int replace_folder(void)
{
#if defined(_WIN32)
    return 0;
#else
    struct stat s;
    names ours, all;
    int64_t i;
    if (output.inside) return 0;
    if (stat(output.folder, &s)) return rename(output.hidden, output.folder) == 0;
    ours = earlier_files(output.folder);
    all = folder_content(output.folder);
    for (i = 0; i < all.count; i++) { /* the user's own, where a second name can be given; else they move afterwards */
        int other = find_name(&ours, all.name[i]) < 0;
        if (other) (void)!link(in_folder(output.folder, all.name[i]), in_folder(output.hidden, all.name[i]));
    }
    (void)!chmod(output.hidden, s.st_mode & 0777);
    if (!exchange(output.hidden, output.folder)) return 0;
    retire(output.hidden, output.folder);
    return 1;
#endif
}

/* Puts the files in place one by one. */
static void replace_files(void)
{
    names earlier = earlier_files(output.folder);
    int64_t i;
    make_folder(output.folder);
    remove(in_folder(output.folder, "report.json"));
    for (i = 0; i < output.files.count; i++) {
        const char *to = in_folder(output.folder, output.files.name[i]);
        if (rename(in_folder(output.hidden, output.files.name[i]), to)) die(1, "%s: %s", to, strerror(errno));
    }
    for (i = 0; i < earlier.count; i++)
        if (find_name(&output.files, earlier.name[i]) < 0) remove(in_folder(output.folder, earlier.name[i]));
    rmdir(output.hidden);
}

/* A file of the results that is written bit by bit; ends the program where it cannot be. */
static FILE *open_out(const char *name)
{
    const char *path = out_file(name);
    FILE *f = fopen(path, "w");
    if (!f) die(1, "%s: %s", path, strerror(errno));
    return f;
}
static void close_out(FILE *f)
{
    int bad = fflush(f) || ferror(f);
#if !defined(_WIN32)
    bad = bad || fsync(fileno(f));
#endif
    bad = fclose(f) || bad;
    if (bad) die(1, "%s: %s: %s", o.out, output.files.name[output.files.count - 1], strerror(errno));
}

/* A field of a CSV file, quoted where it must be; numbers that are none leave it empty. */
static void put_field(FILE *f, const char *s)
{
    if (!strpbrk(s, ",\"\r\n")) {
        fputs(s, f);
        return;
    }
    fputc('"', f);
    for (; *s; s++) fputs(*s == '"' ? "\"\"" : (char[2]){*s, 0}, f);
    fputc('"', f);
}
static void put_number(FILE *f, int digits, double x)
{
    fputc(',', f);
    if (isfinite(x)) fprintf(f, "%.*g", digits, x);
}

/* An array with the names of its rows and columns, or NULL, in the --format asked for: NAME.npy or NAME.csv. */
static void write_named(const char *name, cel_mat a, const char *corner, const names *rows, const names *cols)
{
    int stem = (int)(strlen(name) - 4), digits = sizeof(cel_real) == 8 ? 17 : 9;
    int64_t i, j;
    cel_error err;
    const char *path;
    FILE *f;
    if (!choice("format")) {
        path = out_file(name);
        must(cel_npy_write_matrix(path, a, &err), path, &err);
        return;
    }
    f = open_out(format_text("%.*s.csv", stem, name));
    if (cols) {
        if (rows) fputs(corner, f);
        for (j = 0; j < a.cols; j++) {
            if (rows || j) fputc(',', f);
            put_field(f, cols->name[j]);
        }
        fputc('\n', f);
    }
    for (i = 0; i < a.rows; i++) {
        if (rows) put_field(f, rows->name[i]);
        for (j = 0; j < a.cols; j++) {
            if (rows || j) fputc(',', f);
            fprintf(f, "%.*g", digits, (double)a.data[i * a.stride + j]);
        }
        fputc('\n', f);
    }
    close_out(f);
}
static void write_matrix(const char *name, cel_mat a) { write_named(name, a, NULL, NULL, NULL); }
static void write_doubles(const char *name, const double *x, int64_t count)
{
    cel_error err;
    const char *path;
    cel_npy a = cel_npy_describe('f', 8, 1, &count, x);
    int64_t i;
    FILE *f;
    if (!choice("format")) {
        path = out_file(name);
        must(cel_npy_write(path, &a, &err), path, &err);
        return;
    }
    f = open_out(format_text("%.*s.csv", (int)strlen(name) - 4, name));
    fprintf(f, "%.*s\n", (int)strlen(name) - 4, name);
    for (i = 0; i < count; i++) fprintf(f, "%.17g\n", x[i]);
    close_out(f);
}
static void write_text(const char *name, text *t)
{
    cel_error err;
    const char *path = out_file(name);
    must(cel_file_write(path, t->data ? t->data : "", t->size, &err), path, &err);
    free(t->data);
}
static void write_lines(const char *name, const names *line)
{
    FILE *f = open_out(name);
    int64_t i;
    for (i = 0; i < line->count; i++) fprintf(f, "%s\n", line->name[i]);
    close_out(f);
}

/* The head of every report.json: what ran, on what; finish_output ends it. */
static text report_head(const char *command)
{
    text r = CEL_ZERO;
    const char *comma = "";
    struct stat s;
    int k;
    add(&r, "{\n  \"celcomen\": \"%s\"", cel_version());
    json_text(&r, "command", command);
    add(&r, ",\n  \"command_line\": [");
    for (k = 0; k < command_line.count; k++) {
        if (k) add(&r, ", ");
        json_string(&r, command_line.word[k]);
    }
    add(&r, "],\n  \"inputs\": [");
    for (k = 0; k < OPTIONS; k++) {
        const char *path;
        if (!given[k] || (options[k].kind > TABLE && options[k].value != (void *)&o.model)) continue;
        path = *(const char **)options[k].value;
        add(&r, "%s{\"option\": \"%s\", \"file\": ", comma, options[k].name);
        json_string(&r, path);
        if (options[k].value == (void *)&o.model) path = in_folder(path, "model.npz");
        if (stat(file_part(path, NULL), &s) == 0 && S_ISREG(s.st_mode))
            add(&r, ", \"bytes\": %lld", (long long)s.st_size);
        add(&r, "}");
        comma = ", ";
    }
    add(&r, "]");
    json_text(&r, "precision", sizeof(cel_real) == 8 ? "double" : "float");
    json_text(&r, "kernels", cel_level_name(cel_level_get()));
    NUMBERS(&r, "threads", cel_threads());
    add(&r, ",\n  \"seed\": %llu", (unsigned long long)o.seed);
    return r;
}

/* Adds the report, which lists the files, and puts all in place. */
static void finish_output(text *report)
{
    int64_t i;
    add(report, ",\n  \"files\": [");
    for (i = 0; i < output.files.count; i++) add(report, "\"%s\", ", output.files.name[i]);
    add(report, "\"report.json\"]\n}\n");
    write_text("report.json", report);
    remove(in_folder(output.hidden, ".writing"));
    if (!replace_folder()) replace_files();
    output.made = output.hidden = NULL;
    note("written to %s", o.out);
}

/* ---- a slide: expression, names, neighbours ---- */

typedef struct tissue {
    cel_mat x;      /* (cells x genes), unit rows; without data where they are read from their store when needed */
    cel_rows from;  /* that store, and what is kept of it; or x as it came */
    cel_mat coords; /* (cells x 2 or 3), or data NULL */
    double shift[3]; /* what a file's coordinates are more than these */
    names genes, slides, types, groups;
    int32_t *slide, *type;  /* (cells), or NULL */
    int32_t *group;         /* (rows of the input) what is centred apart, or NULL */
    double *total;          /* (rows of the input) */
    cel_scaling_cell *cell; /* (cells) what was taken out of each row */
    cel_mat counts, error;  /* through the counting: (cells x genes) what the rows were inferred from, and how well */
    int64_t *row;          /* (cells): the row of each cell in the input */
    int64_t rows;          /* of the input */
    names cells;           /* (rows of the input) what the input calls them, or none */
    double *level;         /* (rows of the input) of --gene, as in the input; NULL without it */
    cel_csr graph;         /* row i: the neighbours of i (edge i -> neighbour) */
    double mean_degree, load_seconds;
    cel_kind kind;    /* of the input's numbers */
    const char *file; /* of the expression, for messages */
} tissue;

/* The rows, in memory or as they are read. */
static cel_rows rows_of(const tissue *t)
{
    cel_rows rows = CEL_ZERO;
    if (!t->x.data) return t->from;
    rows.cells = t->x.rows;
    rows.genes = t->x.cols;
    rows.dense = t->x;
    return rows;
}

/* A model, as its file holds it, and what this tool keeps in its note. */
typedef struct fitted {
    cel_model_record record;
    int paper, likelihood, edges; /* fitted by the published method, by likelihood; on neighbours that --edges gave */
    int counting;     /* fitted through the counting: rows are latent, inferred from counts */
    double q;
    cel_mat test; /* the forces that the errors are of, where that is not the model */
} fitted;

/* A file in memory, unpacked, so that it can be read in more ways than one. */
typedef struct source {
    const char *path;
    const char *bytes;
    size_t size;
} source;

static source open_source(const char *path)
{
    source s;
    cel_file file;
    cel_error err;
    void *unpacked;
    must(cel_file_open(path, 1, &file, &err), path, &err);
    s.path = path;
    s.bytes = (const char *)file.bytes;
    s.size = file.size;
    if (s.size < 2 || memcmp(s.bytes, "\x1f\x8b", 2)) return s;
    must(cel_file_gunzip(s.bytes, s.size, 0, &unpacked, &s.size, &err), path, &err);
    s.bytes = (const char *)unpacked;
    cel_file_close(&file);
    return s;
}
static int is_array(const source *s) { return s->size > 6 && memcmp(s->bytes, "\x93NUMPY", 6) == 0; }

/* The fields of the line at *at, which goes on to the next one; none at the end. As the library reads them. */
static names next_fields(const source *s, size_t *at, char separator)
{
    names out = CEL_ZERO;
    text t = CEL_ZERO;
    const char *p = s->bytes + *at, *end = s->bytes + s->size;
    int quoted = 0;
    if (*at == 0 && s->size >= 3 && memcmp(p, "\xef\xbb\xbf", 3) == 0) p += 3;
    for (; p < end; p++) {
        if (*p == '"') quoted = !quoted;
        if (*p == '"' && !(p + 1 < end && p[1] == '"' && !quoted)) continue;
        if (!quoted && (*p == separator || *p == '\n' || *p == '\r')) {
            add_name(&out, t.data ? t.data : "");
            if (t.data) t.data[t.size = 0] = 0;
            if (*p != separator) break;
        } else {
            add(&t, "%c", *p);
        }
    }
    if (p == end && (t.size || out.count)) add_name(&out, t.data ? t.data : "");
    if (p < end) p += *p == '\r' && p + 1 < end && p[1] == '\n' ? 2 : 1;
    *at = (size_t)(p - s->bytes);
    free(t.data);
    return out;
}

/* What is most frequent between the fields of the first line. */
static char separator_of(const source *s)
{
    static const char kind[] = "\t;, ";
    size_t count[4] = {0, 0, 0, 0}, i;
    int k, best = 2;
    for (i = 0; i < s->size && s->bytes[i] != '\n'; i++)
        for (k = 0; k < 4; k++) count[k] += s->bytes[i] == kind[k];
    for (k = 1; k >= 0; k--)
        if (count[k] && count[k] >= count[best]) best = k;
    return kind[count[best] || !count[3] ? best : 3];
}

/* The header of a table: the names of its columns. */
static names header_of(const source *s)
{
    size_t at = 0;
    return next_fields(s, &at, separator_of(s));
}

static char *listed(const names *in, int64_t most)
{
    text t = CEL_ZERO;
    int64_t i;
    for (i = 0; i < in->count && i < most; i++) add(&t, "%s%s", i ? ", " : "", in->name[i]);
    if (i < in->count) add(&t, ", .. (%lld)", (long long)in->count);
    return t.data ? t.data : format_text("");
}

/* A file of a kind that is not read here: what it is, and what to type. */
static void refuse_kind(const char *path, const cel_error *err)
{
    const char *what = err->what, *kind = strstr(what, ". Export it");
    const char *python = "    python3 examples/anndata_bridge.py export %s slide      (or, by hand:)\n"
                         "    import anndata, numpy\n    a = anndata.%s('%s')\n"
                         "    a.to_df().to_csv('counts.csv')      # or a.to_df(layer='counts'): raw counts are wanted\n"
                         "    numpy.save('coords.npy', a.obsm['spatial'])\n"
                         "    celcomen fit --counts counts.csv --coords coords.npy --top-genes 100 --out model";
    if (!kind) return;
    if (strstr(what, "HDF5") || strstr(what, "zarr"))
        die(1, format_text("%%s: %%.*s, which is not read here. Export it:\n%s", python), path, (int)(kind - what),
            what, path, strstr(what, "zarr") ? "read_zarr" : "read_h5ad", path);
    if (strstr(what, "an R file"))
        die(1, "%s: %.*s, which is not read here. Export it in R:\n    x <- %s('%s')      # a Seurat object: "
            "x <- GetAssayData(x, 'counts'); GetTissueCoordinates for the places\n"
            "    write.csv(as.matrix(x), 'counts.csv')\n"
            "    celcomen fit --counts counts.csv --genes-are rows --coords coords.csv --out model",
            path, (int)(kind - what), what, strstr(what, "RData") ? "load" : "readRDS", path);
}

static void must_table(cel_status status, const char *path, const cel_error *err)
{
    cel_error where = *err;
    int binary = status && (strstr(path, ".np") || strstr(err->what, "compressed") || strstr(err->what, "zip"));
    if (status == CEL_ERR_UNSUPPORTED) refuse_kind(path, err);
    if (status == CEL_ERR_UNSUPPORTED && !where.offset) where.offset = -1;
    must_at(status, path, &where, binary ? "offset" : "line", "field");
}
static cel_table parse_table(const source *s, cel_table_options how)
{
    cel_table table;
    cel_error err;
    how.dense = 1;
    must_table(cel_table_parse(s->bytes, s->size, &how, &table, &err), s->path, &err);
    return table;
}

/* The expression as it is stored: an array of numbers in its file, which is mapped, a sparse matrix, or else x. */
static void read_expression(tissue *t, names *genes)
{
    size_t n = strlen(t->file);
    cel_table_options how = CEL_ZERO;
    cel_table table = CEL_ZERO;
    cel_file file;
    cel_error err;
    cel_npy *a = (cel_npy *)get(1, sizeof *a);
    cel_csr *sparse = (cel_csr *)get(1, sizeof *sparse);
    int npy = n > 4 && strcmp(t->file + n - 4, ".npy") == 0 && !choice("genes-are");
    how.genes_are_rows = choice("genes-are");
    if (npy) { /* opened once: what a pipe has can be read once */
        must(cel_file_open(t->file, 1, &file, &err), t->file, &err);
        must(cel_npy_parse(file.bytes, file.size, a, &err), t->file, &err);
        if (a->ndim == 2 && a->kind != 'S' && !a->fortran && !a->trailing && a->count) {
            t->from.array = a;
            t->from.mapped = file.mapped;
            t->x.rows = a->shape[0];
            t->x.cols = a->shape[1];
        } else {
            const source whole = {t->file, (const char *)file.bytes, file.size};
            t->x = parse_table(&whole, how).x;
            cel_file_close(&file);
        }
    } else {
        must_table(cel_table_read(t->file, &how, &table, &err), t->file, &err);
        if (table.row) t->cells.name = table.row, t->cells.count = table.rows;
        if (table.col) genes->name = table.col, genes->count = table.cols;
        *sparse = table.sparse;
        t->x = table.x;
        t->x.rows = table.rows;
        t->x.cols = table.cols;
    }
    if (sparse->start) t->from.sparse = sparse;
    t->from.dense = t->x;
    t->from.cells = t->x.rows;
    t->from.genes = t->x.cols;
}

/* A matrix: an .npy file, or any table that the library reads. rows and cols (or NULL) receive its names, if it has
 * any: they live as long as the program. turned: it has genes in its rows. shift (3, or NULL): the columns are places,
 * receives what they are more than those returned. */
static cel_mat read_table(const char *path, int turned, names *rows, names *cols, double *shift)
{
    size_t n = strlen(path);
    cel_table_options how = CEL_ZERO;
    cel_table table;
    cel_error err;
    cel_mat a;
    if (n > 4 && strcmp(path + n - 4, ".npy") == 0 && !turned && !shift) {
        must(cel_npy_matrix(path, &a, &err), path, &err);
        return a;
    }
    how.dense = 1;
    how.genes_are_rows = turned;
    how.places = shift != NULL;
    must_table(cel_table_read(path, &how, &table, &err), path, &err);
    if (rows && table.row) rows->name = table.row, rows->count = table.rows;
    if (cols && table.col) cols->name = table.col, cols->count = table.cols;
    if (shift) memcpy(shift, table.shift, sizeof table.shift);
    return table.x;
}
static cel_mat read_matrix(const char *path) { return read_table(path, 0, NULL, NULL, NULL); }

/* One of the words of a list, or none: ends with what the file has instead. */
static const char *known_column(const source *s, const char *column)
{
    names head = header_of(s);
    if (find_name(&head, column) < 0)
        die(1, "%s: no column '%s'%s; it has: %s", s->path, column, did_you_mean(&head, column), listed(&head, 20));
    return column;
}

/* Words, one a line, or a column of a table: FILE:COLUMN. Names have no blanks at their ends. rows (or NULL) receives
 * the names of a table's rows. gene: of a line with tabs the second field, as in 10x's features.tsv. */
static void read_words(const char *name, const char *given_path, int gene, names *out, names *rows)
{
    const char *column, *path = file_part(given_path, &column);
    source s = open_source(path);
    cel_error err;
    int64_t i;
    if (is_array(&s) || (s.size > 2 && !memcmp(s.bytes, "PK", 2)))
        die(1, "%s: an array, but --%s wants text, a word a line. In Python: open('%s.txt', 'w')"
            ".write('\\n'.join(map(str, numpy.load('%s'))))", path, name, name, path);
    if (column) {
        cel_table_options how = CEL_ZERO;
        cel_table table;
        how.label = known_column(&s, column);
        table = parse_table(&s, how);
        out->name = table.label;
        out->count = table.rows;
        if (rows && table.row) rows->name = table.row, rows->count = table.rows;
        return;
    }
    must_at(cel_file_parse_lines(s.bytes, s.size, &out->name, &out->count, &err), path, &err, "line", "gene");
    while (out->count && !out->name[out->count - 1][strspn(out->name[out->count - 1], " \t")]) out->count--;
    for (i = 0; i < out->count; i++) {
        char *word = out->name[i], *tab = strchr(word, '\t');
        size_t n = strlen(word);
        while (n && (word[n - 1] == ' ' || word[n - 1] == '\t')) word[--n] = 0;
        tab = strchr(word, '\t');
        if (tab && !gene)
            die(1, "%s: line %lld has a tab: one word a line, or name a column: %s:COLUMN", path, (long long)i + 1,
                path);
        if (tab) word = tab + 1, word[strcspn(word, "\t")] = 0;
        out->name[i] = word;
    }
}

static const char *turned_matrix(void)
{
    return choice("genes-are") ? ". The matrix is turned: without --genes-are rows it fits"
                               : ". The matrix is turned: its rows are genes, say --genes-are rows";
}

/* Ends where a list has not as many words as there are cells or genes, with the likely cause. */
static void wrong_count(const char *path, const names *list, int64_t wanted, const char *what, const char *file,
                        int64_t other)
{
    const char *first = list->count ? list->name[0] : "", *why = "";
    if (strchr(first, ',')) why = format_text(". Name the column that is meant: %s:COLUMN", path);
    else if (list->count == wanted + 1) why = format_text(". Is line 1, '%.40s', a header? Leave it out", first);
    else if (list->count == other) why = turned_matrix();
    die(1, "%s: %lld names, but %s has %lld %s%s", path, (long long)list->count, file, (long long)wanted, what, why);
}

static int compare_names(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}
static int compare_doubles(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return x < y ? -1 : x > y;
}
static char **sorted_names(const names *in)
{
    char **sorted = (char **)grown(in->name, in->count, in->count, sizeof(char *));
    qsort(sorted, (size_t)in->count, sizeof(char *), compare_names);
    return sorted;
}

/* Labels as numbers of their sorted names. */
static int32_t *number_labels(const names *label, names *out)
{
    int32_t *number = (int32_t *)get((size_t)label->count, sizeof(int32_t));
    int64_t i, n = 0;
    out->name = sorted_names(label);
    for (i = 0; i < label->count; i++)
        if (i == 0 || strcmp(out->name[i], out->name[n - 1])) out->name[n++] = out->name[i];
    out->count = n;
    for (i = 0; i < label->count; i++)
        number[i] = (int32_t)((char **)bsearch(&label->name[i], out->name, (size_t)n, sizeof(char *), compare_names) -
                              out->name);
    return number;
}

/* Where each of `wanted` is in `has`; NULL where a file has no names: then they are in the same order. */
typedef struct named {
    const char *name;
    int64_t at;
} named;
static int compare_named(const void *a, const void *b)
{
    return strcmp(((const named *)a)->name, ((const named *)b)->name);
}

static int64_t *match_names(const names *wanted, const char *wanted_file, const names *has, const char *file)
{
    named *sorted, key;
    int64_t i, moved = 0, *at;
    if (!wanted->name || !has->name) return NULL;
    sorted = (named *)get((size_t)has->count, sizeof(named));
    at = (int64_t *)get((size_t)wanted->count, sizeof(int64_t));
    for (i = 0; i < has->count; i++) sorted[i].name = has->name[i], sorted[i].at = i;
    qsort(sorted, (size_t)has->count, sizeof(named), compare_named);
    for (i = 1; i < has->count; i++)
        if (!strcmp(sorted[i].name, sorted[i - 1].name)) die(1, "%s: the cell %s is there twice", file, sorted[i].name);
    for (i = 0; i < wanted->count; i++) {
        const named *found;
        key.name = wanted->name[i];
        found = (const named *)bsearch(&key, sorted, (size_t)has->count, sizeof(named), compare_named);
        if (!found)
            die(1, "%s: the cell %s of %s is not there; its first is called %s", file, key.name, wanted_file,
                has->name[0]);
        at[i] = found->at;
        moved += found->at != i;
    }
    if (moved)
        note("%s: %lld of %lld cells are in another order than in %s, and are matched by name", file, (long long)moved,
             (long long)wanted->count, wanted_file);
    free(sorted);
    return at;
}

/* The label of every cell of the tissue, by name where both files have names. */
static int32_t *read_labels(const char *option, const char *path, const names *cells, int64_t count,
                            const char *cells_file, int64_t genes, names *out)
{
    names line = CEL_ZERO, rows = CEL_ZERO, list;
    int64_t i, *at;
    read_words(option, path, 0, &line, &rows);
    at = match_names(cells, cells_file, &rows, path);
    if (at) {
        list.count = count;
        list.name = (char **)get((size_t)count, sizeof(char *));
        for (i = 0; i < count; i++) list.name[i] = line.name[at[i]];
        line = list;
    }
    if (line.count != count) wrong_count(path, &line, count, "cells", cells_file, genes);
    for (i = 0; i < count; i++)
        if (!line.name[i][0]) die(1, "%s: line %lld is empty: every cell needs a word", path, (long long)i + 1);
    return number_labels(&line, out);
}

/* Ends where a gene's name is there twice; of a folder of 10x, whose symbols often are, with what is unique in it. */
static void twice(const char *where, const names *list, const char *name)
{
    int64_t first = find_name(list, name), i = first + 1;
    struct stat s;
    int folder = stat(where, &s) == 0 && S_ISDIR(s.st_mode);
    while (strcmp(list->name[i], name)) i++;
    die(1, "%s: the gene %s is there twice, as number %lld and %lld: make names unique first (AnnData: "
        "var_names_make_unique)%s%s%s", where, name, (long long)first + 1, (long long)i + 1,
        folder ? ", or use the first column: gunzip -c " : "", folder ? where : "",
        folder ? "/features.tsv.gz | cut -f1 > ids.txt, then --genes ids.txt" : "");
}

/* The names of the columns of `file`: those of --genes, else those that the file itself has (own), else numbers. */
static names read_genes(const tissue *t, names own)
{
    const char *where = o.genes ? o.genes : t->file;
    names out = own;
    char **sorted;
    int64_t i, at, genes = t->x.cols;
    if (!o.genes && !own.name) return numbered_genes(genes);
    if (o.genes) read_words("genes", o.genes, 1, &out, NULL);
    if (out.count != genes) wrong_count(where, &out, genes, "genes", t->file, t->rows);
    for (i = 0; i < genes && own.name && o.genes; i++)
        if (strcmp(out.name[i], own.name[i]) && (at = find_name(&own, out.name[i])) >= 0)
            die(1, "%s: gene %lld is %s, but in %s it is %s, and %s is gene %lld: leave --genes out, or put the names "
                "in the order of the matrix", where, (long long)i, out.name[i], t->file, own.name[i], out.name[i],
                (long long)at);
    sorted = sorted_names(&out);
    for (i = 0; i < genes; i++) {
        if (!out.name[i][0]) die(1, "%s: line %lld is empty: every gene needs a name", where, (long long)i + 1);
        if (i && strcmp(sorted[i], sorted[i - 1]) == 0) twice(where, &out, sorted[i]);
    }
    free(sorted);
    return out;
}

/* The graph of --edges over the cells of the input; cells < 0: as many as it names. */
static cel_csr read_edges(int64_t cells)
{
    int64_t *edge, two, count, i;
    size_t n = strlen(o.edges);
    cel_error err;
    cel_csr a;
    if (n > 4 && strcmp(o.edges + n - 4, ".npz") == 0) {
        must(cel_npz_csr(o.edges, &a, &err), o.edges, &err);
        if (a.rows != a.cols || (cells >= 0 && a.rows != cells))
            die(1, "%s: %lld x %lld, not cells x cells", o.edges, (long long)a.rows, (long long)a.cols);
    } else {
        must(cel_npy_integers(o.edges, &edge, &two, &count, &err), o.edges, &err);
        if (two != 2) die(1, "%s: %lld x %lld integers, not 2 x edges", o.edges, (long long)two, (long long)count);
        for (i = 0; i < 2 * count; i++) {
            if (cells >= 0 && (edge[i] < 0 || edge[i] >= cells))
                die(1, "%s: edge %lld joins cells %lld and %lld, of %lld", o.edges, (long long)(i % count),
                    (long long)edge[i % count], (long long)edge[count + i % count], (long long)cells);
        }
        for (i = 0, two = cells; i < 2 * count && cells < 0; i++)
            if (edge[i] >= two) two = edge[i] + 1;
        must_at(cel_csr_from_edges(two, two, count, edge, edge + count, NULL, &a, &err), o.edges, &err, "edge", "gene");
        cel_file_free(edge);
    }
    for (i = 0; i < cel_csr_count(&a); i++) a.value[i] = 1;
    return a;
}

/* The rows and columns of a graph of the input's cells that are cells of the tissue. */
static cel_csr kept_cells(cel_csr *a, const tissue *t)
{
    int64_t cells = t->x.rows, count = cel_csr_count(a), kept = 0, i, e;
    int64_t *to = (int64_t *)get((size_t)t->rows, sizeof(int64_t));
    int64_t *from = (int64_t *)get((size_t)count, sizeof(int64_t));
    int64_t *into = (int64_t *)get((size_t)count, sizeof(int64_t));
    cel_csr out;
    for (i = 0; i < t->rows; i++) to[i] = -1;
    for (i = 0; i < cells; i++) to[t->row[i]] = i;
    for (i = 0; i < cells; i++)
        for (e = a->start[t->row[i]]; e < a->start[t->row[i] + 1]; e++) {
            from[kept] = i;
            into[kept] = to[a->index[e]];
            kept += into[kept] >= 0;
        }
    must(cel_csr_from_edges(cells, cells, kept, from, into, NULL, &out, NULL), o.edges, NULL);
    cel_csr_free(a);
    free(to);
    free(from);
    free(into);
    return out;
}

/* Places and neighbours that nobody would want are told. */
static void check_places(const tissue *t, const char *file)
{
    cel_graph_report r;
    cel_error err;
    int64_t i, cells = t->x.rows;
    must_at(cel_graph_describe(t->coords, t->slide, &t->graph, &r, &err), file, &err, "offset", "column");
    if (cells > 1 && r.coinciding == cells)
        die(1, "%s: every cell shares its place with another: who is next to whom cannot be told", file);
    if (r.coinciding)
        warn("%s: %lld of %lld cells share their place with another", file, (long long)r.coinciding, (long long)cells);
    if (r.nearest < 8 * r.resolution)
        warn("%s: cells are %.3g apart, but numbers as large as these are stored to %.3g: subtract an origin first",
             file, r.nearest, r.resolution);
    for (i = 0; i < cells && !o.allow_isolated; i++) {
        int64_t degree = t->graph.start[i + 1] - t->graph.start[i];
        if (!degree && o.radius > 0)
            die(1, "%s: cell %lld has no neighbour within %g; half of the cells have one within %.3g (--allow-isolated "
                "lets it be)", file, (long long)t->row[i], o.radius, r.nearest);
        if (degree < o.k)
            die(1, "%s: the slide of cell %lld has %lld others, fewer than --k %lld (--allow-isolated takes them all)",
                file, (long long)t->row[i], (long long)degree, (long long)o.k);
    }
    if (o.radius > 0 && o.radius < r.nearest)
        warn("--radius %g is below the median distance to the nearest cell, %.3g: %lld of %lld cells have no neighbour",
             o.radius, r.nearest, (long long)r.isolated, (long long)cells);
    if (2 * r.mean * (double)(t->slide ? t->slides.count : 1) > (double)cells && r.mean > 20)
        die(1, "%s: %.0f neighbours a cell are half of a slide or more: no neighbourhood is left. The median distance "
            "to the nearest cell is %.3g", file, r.mean, r.nearest);
    if (r.mean > 100)
        warn("%.0f neighbours a cell, up to %lld: what comes out of that is a neighbourhood's mean, not a neighbour's "
             "force. The median distance to the nearest cell is %.3g", r.mean, (long long)r.most, r.nearest);
}

/* The neighbour graph by --edges, --radius or --k. */
static void build_graph(tissue *t)
{
    cel_error err;
    int64_t i, cells = t->x.rows;
    if (!o.edges && !(o.radius > 0) && !o.k) o.k = 6;
    if (o.edges) {
        cel_csr all = read_edges(t->rows);
        t->graph = kept_cells(&all, t);
        for (i = 0; i < cells && !o.allow_isolated; i++)
            if (t->graph.start[i + 1] == t->graph.start[i])
                die(1, "%s: cell %lld has no neighbour (--allow-isolated lets it be)", o.edges, (long long)t->row[i]);
    } else {
        cel_graph_options how = CEL_ZERO;
        how.k = o.k;
        how.radius = o.radius;
        how.decay = o.decay;
        must_at(cel_graph_make(t->coords, t->slide, &how, &t->graph, &err), o.coords, &err, "offset", "column");
        check_places(t, o.coords);
    }
    t->mean_degree = (double)cel_csr_count(&t->graph) / (double)cells;
}

/* The columns `index` (count), in any order, in place. */
static void keep_columns(tissue *t, const int32_t *index, int64_t count)
{
    cel_real *row = (cel_real *)get((size_t)count, sizeof(cel_real));
    names cut;
    int64_t i, j;
    for (i = 0; i < t->x.rows && t->x.data; i++) {
        for (j = 0; j < count; j++) row[j] = t->x.data[i * t->x.stride + index[j]];
        memcpy(t->x.data + i * count, row, (size_t)count * sizeof(cel_real));
    }
    t->x.cols = t->x.stride = t->from.genes = cut.count = count;
    if (t->x.data) t->from.dense = t->x;
    else t->from.gene = (const int32_t *)grown(index, count, count, sizeof *index);
    cut.name = (char **)get((size_t)count, sizeof(char *));
    for (j = 0; j < count; j++) cut.name[j] = t->genes.name[index[j]];
    input.genes = t->genes = cut;
    input.column = (const int32_t *)grown(index, count, count, sizeof *index);
    free(row);
}

/* Cuts the genes to those of a model, or of a fit to those that enough cells express and --top-genes asks for. */
static void pick_genes(tissue *t, const cel_model_record *wanted, cel_kind kind, int64_t min_cells)
{
    cel_genes_options by = CEL_ZERO;
    cel_error err;
    int64_t j, few = 0, count = wanted ? wanted->model.genes : t->x.cols, *cells;
    int32_t *index = (int32_t *)get((size_t)count, sizeof(int32_t));
    text left_out = CEL_ZERO;
    by.by = (cel_genes_by)choice("genes-by");
    by.top = o.top_genes;
    by.min_cells = min_cells;
    by.total = kind == CEL_KIND_COUNTS ? t->total : NULL;
    if (wanted) {
        if (cel_model_columns(wanted, t->genes.name, t->genes.count, index, &err))
            die(1, "%s: %s: %s%s", o.genes ? o.genes : t->file, err.what, err.gene < 0 ? "" : wanted->gene[err.gene],
                err.gene < 0 ? "" : did_you_mean(&t->genes, wanted->gene[err.gene]));
        keep_columns(t, index, count);
        return;
    }
    if (!o.top_genes) no_effect("genes-by", "without --top-genes");
    if (o.top_genes > count)
        die(1, "--top-genes %lld: %s has %lld genes", (long long)o.top_genes, t->file, (long long)count);
    cells = (int64_t *)get((size_t)count, sizeof(int64_t));
    must(cel_rows_genes(&t->from, &by, index, &count, cells, NULL, &err), t->file, &err);
    for (j = 0; j < t->x.cols; j++) {
        if (cells[j] >= min_cells) continue;
        if (few < 10) add(&left_out, "%s%s", few ? ", " : "", t->genes.name[j]);
        else if (few == 10) add(&left_out, ", ..");
        few++;
    }
    if (few)
        warn("%s: %lld genes are left out, which fewer than %lld cells express (--min-cells): %s", t->file,
             (long long)few, (long long)min_cells, left_out.data);
    if (count < 2) die(1, "%s: %lld genes are left: nothing to fit", t->file, (long long)count);
    if (count < t->x.cols) keep_columns(t, index, count);
    free(left_out.data);
    free(cells);
    free(index);
}

static const char *const kind_names[] = {"counts", "log-normalised values", "intensities", "unit rows"};

/* What kind of numbers the input is: what the user says, which must be what the model was fitted on. */
static cel_kind input_kind(const fitted *f)
{
    cel_kind kind = o.expression ? CEL_KIND_UNIT : (cel_kind)choice("kind");
    const cel_scaling *s = &f->record.scaling;
    if (!s->genes) return kind;
    if (kind != s->kind && (o.kind || kind == CEL_KIND_UNIT || s->kind == CEL_KIND_UNIT))
        die(1, "--%s: %s, but the model of %s was fitted on %s", o.expression ? "expression" : "kind",
            kind_names[kind], o.model, kind_names[s->kind]);
    if (was_given("target-sum") && fabs(o.target_sum - s->target) > 0)
        die(1, "--target-sum %g: the model of %s was fitted at %g", o.target_sum, o.model, s->target);
    return s->kind;
}

/* Each cell's total, and whether the numbers look like what they are taken for. */
static void look_at(tissue *t, cel_kind kind)
{
    cel_slide_report r;
    cel_error err;
    cel_npy a;
    cel_file file;
    cel_real *total;
    int64_t i;
    t->total = (double *)get((size_t)t->rows, sizeof(double));
    must(cel_rows_describe(&t->from, t->total, &r, &err), t->file, &err);
    if (r.empty == t->rows) die(1, "%s: every cell is without counts", t->file);
    if (kind == CEL_KIND_COUNTS && r.whole < 0.99 && !(r.lowest < 0))
        warn("%s: %.0f %% of its values are whole numbers: they look like %s%s, but are taken for counts. Give raw "
             "counts, or name the --kind", t->file, 100 * r.whole, r.likely == CEL_KIND_COUNTS ? "scaled " : "",
             kind_names[r.likely]);
    if (kind == CEL_KIND_LOGNORM && r.whole > 0.99)
        warn("%s: its values are whole numbers: they look like counts, but are taken for log-normalised ones (--kind)",
             t->file);
    if (!o.total) return;
    must(cel_file_open(o.total, 1, &file, &err), o.total, &err);
    must(cel_npy_parse(file.bytes, file.size, &a, &err), o.total, &err);
    if (a.count != t->rows)
        die(1, "%s: %lld totals, but %s has %lld cells", o.total, (long long)a.count, t->file, (long long)t->rows);
    total = (cel_real *)get((size_t)a.count, sizeof(cel_real));
    must(cel_npy_to_real(&a, total, &err), o.total, &err);
    for (i = 0; i < t->rows; i++) t->total[i] = (double)total[i];
    free(total);
    cel_file_close(&file);
}

/* What genes are centred within: slides, and the types of --centre-by. */
static void centre_groups(tissue *t)
{
    names within, each;
    int32_t *type;
    int64_t i;
    t->group = t->slide;
    t->groups = t->slides;
    if (!o.centre_by) return;
    type = read_labels("centre-by", o.centre_by, &t->cells, t->rows, t->file, t->genes.count, &within);
    each.count = t->rows;
    each.name = (char **)get((size_t)each.count, sizeof(char *));
    for (i = 0; i < t->rows; i++)
        each.name[i] = t->slide ? format_text("%s | %s", t->slides.name[t->slide[i]], within.name[type[t->row[i]]])
                                : within.name[type[t->row[i]]];
    t->group = number_labels(&each, &t->groups);
    free(each.name);
    free(type);
}

/* The model's scaling for these groups: those that it knows by name keep their centres, others get their own, because
 * another slide has another level. Scales and the size direction are the model's. */
static cel_scaling scaling_for(const tissue *t, const fitted *f, const double *total)
{
    cel_scaling s = f->record.scaling;
    cel_scaling_options how = CEL_ZERO;
    cel_scaling_sums sums;
    const cel_rows now = rows_of(t);
    names known;
    int64_t g, n = s.genes, unknown = 0, groups = t->group ? t->groups.count : 1, *to;
    double *centre;
    cel_error err;
    known.name = f->record.group;
    known.count = known.name ? s.groups : 0;
    to = (int64_t *)get((size_t)groups, sizeof(int64_t));
    for (g = 0; g < groups; g++) {
        to[g] = t->group ? find_name(&known, t->groups.name[g]) : known.name ? -1 : 0;
        unknown += to[g] < 0;
    }
    s.groups = groups;
    if (!s.centre) return s;
    centre = s.centre;
    s.centre = (double *)get((size_t)(groups * n), sizeof(double));
    for (g = 0; g < groups; g++)
        if (to[g] >= 0) memcpy(s.centre + g * n, centre + to[g] * n, (size_t)n * sizeof(double));
    if (!unknown) return s;
    for (g = 0; g < groups * n && f->counting; g++)
        if (to[g / n] < 0) s.centre[g] = NAN; /* to be found with the rows */
    if (f->counting) return s;
    note("%s: %lld slides or types that the model does not know are centred on their own", t->file, (long long)unknown);
    how.kind = s.kind;
    how.target = s.target > 0 ? s.target : -1;
    how.log = s.log ? 1 : -1;
    how.size = -1;
    must(cel_rows_sums(&now, total, t->group, groups, &how, &sums, &err), t->file, &err);
    for (g = 0; g < groups * n; g++)
        if (to[g / n] < 0 && sums.cells[g / n] > 0) s.centre[g] = sums.sum[g] / sums.cells[g / n];
    cel_scaling_sums_free(&sums);
    free(to);
    return s;
}

/* Where the cells that are left are in the store. */
static void take_places(tissue *t)
{
    int32_t *row = (int32_t *)get((size_t)t->x.rows, sizeof *row);
    int64_t i;
    for (i = 0; i < t->x.rows; i++) row[i] = (int32_t)t->row[i];
    free((void *)(uintptr_t)t->from.row);
    t->from.row = row;
    t->from.cells = t->x.rows;
}

/* The kept columns of a store as x, for what needs them in memory. */
static void densify(tissue *t)
{
    cel_error err;
    cel_csr *sparse = (cel_csr *)(uintptr_t)t->from.sparse;
    if (t->x.data) return;
    must(cel_mat_new(t->x.rows, t->x.cols, &t->x), t->file, NULL);
    must(cel_rows_read(&t->from, NULL, 0, t->x, &err), t->file, &err);
    if (sparse) cel_csr_free(sparse);
    memset(&t->from, 0, sizeof t->from);
    t->from.dense = t->x;
    t->from.cells = t->x.rows;
    t->from.genes = t->x.cols;
}

/* From numbers as measured to rows: measured and kept in f for a fit, else as the model has it. plain: as published. */
static void make_rows(tissue *t, fitted *f, cel_kind kind, int plain)
{
    const double *total = kind == CEL_KIND_COUNTS ? t->total : NULL;
    cel_scaling *s = &f->record.scaling;
    cel_error err;
    int64_t i;
    for (i = 0; i < t->rows && o.expression; i++) {
        double length = cel_vec_nrm2(t->x.data + i * t->x.stride, t->x.cols);
        if (!(fabs(length - 1) < 1e-3)) die(1, "%s: cell %lld has length %g, not 1", t->file, (long long)i, length);
    }
    centre_groups(t);
    if (!t->x.data) take_places(t);
    if (f->counting) { /* rows are inferred once the neighbours are known; cells without counts are dropped alike */
        if (s->genes) *s = scaling_for(t, f, total);
        else f->record.group = t->group ? t->groups.name : NULL;
        t->cell = (cel_scaling_cell *)get((size_t)t->rows, sizeof *t->cell);
        for (i = 0; i < t->rows; i++) {
            double sum = 0;
            int64_t k;
            for (k = 0; k < t->x.cols; k++) sum += (double)t->x.data[i * t->x.stride + k];
            t->cell[i].total = t->total[i];
            t->cell[i].group = t->group ? t->group[i] : 0;
            t->cell[i].length = sum > 0 ? 1 : 0;
        }
    } else if (s->genes) {
        *s = scaling_for(t, f, total);
        t->cell = (cel_scaling_cell *)get((size_t)t->rows, sizeof *t->cell);
        must(t->x.data ? cel_scaling_apply(s, t->x, total, t->group, t->cell, &err)
                       : cel_rows_apply(&t->from, s, total, t->group, t->cell, &err), t->file, &err);
    } else {
        cel_scaling_options how = CEL_ZERO;
        how.kind = kind;
        how.plain = plain;
        how.target = plain && kind == CEL_KIND_COUNTS && !(o.target_sum > 0) ? 1e4 : o.target_sum;
        if (plain) t->group = NULL;
        must(t->x.data ? cel_scaling_fit(t->x, total, t->group, &how, s, &err)
                       : cel_rows_scaling(&t->from, total, t->group, &how, NULL, s, &err),
             o.total ? o.total : t->file, &err);
        t->cell = s->cell;
        f->record.group = t->group ? t->groups.name : NULL;
    }
}

/* Cells without a row, such as those without counts, are left out. */
static void drop_empty(tissue *t)
{
    uint8_t *keep = (uint8_t *)get((size_t)t->rows, 1);
    int64_t i, kept = 0;
    for (i = 0; i < t->rows; i++) kept += keep[i] = t->cell[i].length > 0;
    if (!kept) die(1, "%s: no cell differs from the mean of its slide and type", t->file);
    if (kept < t->rows) {
        text list = CEL_ZERO;
        int64_t few = 0;
        for (i = 0; i < t->rows; i++) {
            if (keep[i] || few++ >= 5) continue;
            if (t->cells.count) add(&list, few > 1 ? ", %s" : "%s", t->cells.name[t->row[i]]);
            else add(&list, few > 1 ? ", cell %lld" : "cell %lld", (long long)t->row[i]);
        }
        note("%s: %lld cells without counts in the %lld genes kept are left out: %s%s", t->file, (long long)few,
             (long long)t->x.cols, list.data, few > 5 ? ", .." : "");
        free(list.data);
        if (t->x.data) cel_compact(keep, t->rows, t->x.data, (size_t)t->x.stride * sizeof(cel_real));
        t->x.rows = cel_compact(keep, t->rows, t->row, sizeof(int64_t));
        cel_compact(keep, t->rows, t->cell, sizeof *t->cell);
        if (t->slide) cel_compact(keep, t->rows, t->slide, sizeof(int32_t));
        if (t->type) cel_compact(keep, t->rows, t->type, sizeof(int32_t));
        if (t->coords.data)
            t->coords.rows = cel_compact(keep, t->rows, t->coords.data, (size_t)t->coords.stride * sizeof(cel_real));
    }
    input.rows = t->x.rows;
    free(keep);
    if (!t->x.data) take_places(t);
}

/* The columns that a table of places has: those named after its file, or what instruments and their tools call them;
 * their number, 0 where there are none of such names. */
static int place_columns(const source *s, const char *asked, const char **pick)
{
    static const char *const known[][3] = {
        {"x", "y", "z"}, {"x_centroid", "y_centroid", "z_centroid"}, {"center_x", "center_y", "center_z"},
        {"CenterX_global_px", "CenterY_global_px", ""}, {"pxl_col_in_fullres", "pxl_row_in_fullres", ""},
        {"imagecol", "imagerow", ""}, {"spatial_1", "spatial_2", "spatial_3"},
        {"x_location", "y_location", "z_location"}};
    names head = header_of(s);
    char *list, *word;
    int64_t j;
    size_t k;
    int n = 0, d;
    if (asked) {
        list = format_text("%s", asked);
        for (word = strtok(list, ","); word && n < 4; word = strtok(NULL, ","), n++)
            pick[n < 3 ? n : 0] = known_column(s, word);
        if (n < 2 || n > 3) die(1, "%s: two or three columns are wanted: %s:X,Y", s->path, s->path);
        return n;
    }
    for (k = 0; k < sizeof known / sizeof *known && n < 2; k++)
        for (d = n = 0; d < 3 && d == n; d++)
            for (j = 0; j < head.count && n == d && known[k][d][0]; j++)
                if (distance_of(head.name[j], known[k][d]) == 0) pick[n++] = head.name[j];
    return n < 2 ? 0 : n;
}

/* Positions (cells x 2 or 3), and the names of the cells, if they have any. */
static cel_mat read_coords(names *cells, double *shift)
{
    const char *asked, *path = file_part(o.coords, &asked), *pick[3];
    cel_table_options how = CEL_ZERO;
    cel_table table;
    source s = open_source(path);
    names head;
    cel_mat a;
    int64_t i;
    int visium = strstr(path, "tissue_positions") != NULL;
    how.places = 1;
    if (is_array(&s) || s.size < 2 || !memcmp(s.bytes, "PK", 2) || !memcmp(s.bytes, "%%", 2)) {
        if (strcmp(path, "/dev/stdin")) return read_table(path, 0, cells, NULL, shift);
        table = parse_table(&s, how);
        memcpy(shift, table.shift, sizeof table.shift);
        return table.x;
    }
    how.picks = place_columns(&s, asked, pick);
    how.pick = pick;
    if (!how.picks && visium) how.header = -1, how.row_names = 1; /* Space Ranger before 2.0 */
    if (!how.picks && !visium) {
        cel_error err;
        cel_status status = cel_table_parse(s.bytes, s.size, &how, &table, &err);
        head = header_of(&s);
        if (status == CEL_ERR_FORMAT && err.gene >= 0)
            die(1, "%s: %s, line %lld, field %lld. Which columns are the places? Name them: %s:X,Y. It has: %s", path,
                err.what, (long long)err.offset, (long long)err.gene + 1, path, listed(&head, 20));
        must_table(status, path, &err);
    } else {
        table = parse_table(&s, how);
    }
    if (table.row) cells->name = table.row, cells->count = table.rows;
    memcpy(shift, table.shift, sizeof table.shift);
    if (table.cols <= 3) return table.x;
    a = table.x;
    if (table.col) note("%s: its columns %s and %s are taken for x and y", path, table.col[0], table.col[1]);
    if (visium && !table.col) {
        if (table.cols != 5)
            die(1, "%s: %lld columns of numbers, not the 5 of tissue_positions_list.csv", path, (long long)table.cols);
        for (i = 0; i < a.rows; i++) { /* in_tissue, row, column, then the pixel's row and column */
            a.data[i * a.stride] = a.data[i * a.stride + 4];
            a.data[i * a.stride + 1] = a.data[i * a.stride + 3];
        }
    }
    must(cel_mat_new(a.rows, 2, &table.x), path, NULL);
    must(cel_mat_copy(cel_mat_block(a, 0, 0, a.rows, 2), table.x), path, NULL);
    cel_mat_free(&a);
    return table.x;
}

/* Rows of `places` go to the cells of their names. */
static void match_places(tissue *t, names cells, names places)
{
    int64_t i, j, *at = match_names(&cells, t->file, &places, o.coords);
    cel_mat to;
    if (!at) return;
    must(cel_mat_new(cells.count, t->coords.cols, &to), o.coords, NULL);
    for (i = 0; i < cells.count; i++)
        for (j = 0; j < to.cols; j++) to.data[i * to.cols + j] = t->coords.data[at[i] * t->coords.stride + j];
    cel_mat_free(&t->coords);
    t->coords = to;
    free(at);
}

/* Positions, slides and types of t->rows cells; rows < 0: as many as there are positions or edges name. */
static void read_places(const char *name, tissue *t, names cells)
{
    names places = {0};
    int64_t i;
    one_of("k radius edges");
    if (!o.coords && !o.edges) die(2, "%s needs --coords FILE.npy or --edges FILE", name);
    if (o.coords) {
        t->coords = read_coords(&places, t->shift);
        match_places(t, cells, places);
        if (t->coords.rows != t->rows && (t->coords.rows == 2 || t->coords.rows == 3) && t->coords.cols == t->rows)
            die(1, "%s: %lld rows of %lld numbers: it is turned: a cell a row is wanted. In Python: numpy.save('%s', "
                "numpy.load('%s').T)", o.coords, (long long)t->coords.rows, (long long)t->coords.cols, o.coords,
                o.coords);
        if (t->rows >= 0 && t->coords.rows != t->rows) {
            const char *why = ". Without names in both, the rows are the same cells in the same order";
            if (places.name) why = ". Its rows have names, those of the matrix have none: with names cells are matched";
            if (t->x.cols == t->coords.rows) why = turned_matrix();
            die(1, "%s: %lld rows, but %s has %lld cells%s", o.coords, (long long)t->coords.rows, t->file,
                (long long)t->rows, why);
        }
        if (t->coords.cols != 2 && t->coords.cols != 3)
            die(1, "%s: %lld columns, not 2 or 3", o.coords, (long long)t->coords.cols);
        t->rows = t->coords.rows;
    } else if (t->rows < 0) {
        cel_csr graph = read_edges(-1);
        t->rows = graph.rows;
        cel_csr_free(&graph);
    }
    if (!t->file) t->file = o.coords ? o.coords : o.edges;
    if (t->rows < 1) die(1, "%s: no cells", t->file);
    t->x.rows = t->rows;
    if (!cells.name) t->cells = places;
    if (o.slides) t->slide = read_labels("slides", o.slides, &t->cells, t->rows, t->file, t->x.cols, &t->slides);
    if (o.types) t->type = read_labels("types", o.types, &t->cells, t->rows, t->file, t->x.cols, &t->types);
    t->row = (int64_t *)get((size_t)t->rows, sizeof(int64_t));
    for (i = 0; i < t->rows; i++) t->row[i] = i;
    input.row = t->row;
    input.rows = t->rows;
}

/* Positions and neighbours without expression: the cells of --coords, or of a start's rows. */
static tissue bare_tissue(const char *command, int64_t rows, const char *file)
{
    static const names none = {NULL, 0};
    tissue t = CEL_ZERO;
    t.rows = rows;
    t.file = file;
    read_places(command, &t, none);
    build_graph(&t);
    return t;
}

/* What was done to the numbers, in words. */
static char *rows_in_words(const cel_scaling *s)
{
    text t = CEL_ZERO;
    if (!s->genes) return format_text("counts as they were counted");
    add(&t, "%s", kind_names[s->kind]);
    if (s->target > 0) add(&t, " scaled to %g a cell", s->target);
    if (s->log == CEL_LOG_LATENT) add(&t, ", log of the rate behind them");
    else if (s->log && s->kind != CEL_KIND_LOGNORM) add(&t, ", log(1 + x)");
    if (s->centre) add(&t, ", each gene with mean 0%s and deviation 1", s->groups > 1 ? " in each slide or type" : "");
    if (s->size) add(&t, ", without the direction of library size");
    if (s->kind != CEL_KIND_UNIT) add(&t, ", rows of unit length");
    return t.data;
}

/* What the input has of --gene, cell by cell; a gene that is not there is told before any work. */
static void take_level(tissue *t)
{
    cel_rows one = t->from;
    cel_mat level;
    cel_error err;
    int64_t i;
    int32_t column;
    if (!o.gene) return;
    column = (int32_t)find_name(&t->genes, o.gene);
    if (column < 0) die(1, "%s: no gene '%s'%s", o.genes ? o.genes : t->file, o.gene, did_you_mean(&t->genes, o.gene));
    t->level = (double *)get((size_t)t->rows, sizeof(double));
    one.gene = &column;
    one.genes = 1;
    must(cel_mat_new(t->rows, 1, &level), t->file, NULL);
    must(cel_rows_read(&one, NULL, 0, level, &err), t->file, &err);
    for (i = 0; i < t->rows; i++) t->level[i] = (double)level.data[i];
    cel_mat_free(&level);
}

/* Cells by place; those at one place by slide, name, or row of the input. */
static const tissue *to_settle;
static int compare_places(const void *a, const void *b)
{
    const tissue *t = to_settle;
    int64_t i = *(const int64_t *)a, j = *(const int64_t *)b, k;
    for (k = 0; k < t->coords.cols; k++) {
        cel_real x = t->coords.data[i * t->coords.stride + k], y = t->coords.data[j * t->coords.stride + k];
        if (x < y || x > y) return x < y ? -1 : 1;
    }
    if (t->slide && t->slide[i] != t->slide[j]) return t->slide[i] < t->slide[j] ? -1 : 1;
    k = t->cells.name ? strcmp(t->cells.name[i], t->cells.name[j]) : 0;
    return k ? (k < 0 ? -1 : 1) : i < j ? -1 : i > j;
}

/* `items` (count of `size` bytes) in the order given, in place: item order[i] goes to i. */
static void reorder(void *items, const int64_t *order, int64_t count, size_t size)
{
    char *p = (char *)items, *first = (char *)get(1, size);
    uint8_t *done = (uint8_t *)get((size_t)count, 1);
    int64_t i, j;
    for (i = 0; i < count && p; i++) {
        if (done[i]) continue;
        memcpy(first, p + (size_t)i * size, size);
        for (j = i; order[j] != i; j = order[j]) {
            memcpy(p + (size_t)j * size, p + (size_t)order[j] * size, size);
            done[j] = 1;
        }
        memcpy(p + (size_t)j * size, first, size);
        done[j] = 1;
    }
    free(done);
    free(first);
}

/* Puts the cells in an order of their own, so that a fit does not depend, in its last digits, on that of the files:
 * sorted by place, and where there are many from there along the leaves of a tree, so that neighbours in space are near
 * each other and are read together. t->row says where they were. */
static void settle_order(tissue *t)
{
    enum { MANY = 16384 };
    int64_t i, *order, *walk;
    int32_t *leaf;
    cel_error err;
    if (!t->coords.data) return;
    order = (int64_t *)grown(t->row, t->rows, t->rows, sizeof *order);
    walk = (int64_t *)get((size_t)t->rows, sizeof *walk);
    leaf = (int32_t *)get((size_t)t->rows, sizeof *leaf);
    to_settle = t;
    qsort(order, (size_t)t->rows, sizeof *order, compare_places);
    reorder(t->coords.data, order, t->rows, (size_t)t->coords.stride * sizeof(cel_real));
    reorder(t->slide, order, t->rows, sizeof *t->slide);
    memcpy(t->row, order, (size_t)t->rows * sizeof *order);
    for (i = 0; i < t->rows; i++) leaf[i] = (int32_t)i;
    if (t->rows >= MANY)
        must_at(cel_graph_order(t->coords, t->slide, leaf, &err), o.coords, &err, "offset", "column");
    for (i = 0; i < t->rows; i++) walk[i] = leaf[i];
    free(leaf);
    reorder(t->coords.data, walk, t->rows, (size_t)t->coords.stride * sizeof(cel_real));
    reorder(t->slide, walk, t->rows, sizeof *t->slide);
    for (i = 0; i < t->rows; i++) t->row[i] = order[walk[i]];
    free(order);
    free(walk);
    if (t->x.data) reorder(t->x.data, t->row, t->rows, (size_t)t->x.stride * sizeof(cel_real));
    reorder(t->type, t->row, t->rows, sizeof *t->type);
    reorder(t->total, t->row, t->rows, sizeof *t->total);
}

/* Moments know their slides by name, be there only one. */
static void name_slide(tissue *t)
{
    if (o.slides) no_effect("slide-name", "with --slides, which has the names");
    if (o.slides) return;
    t->slide = (int32_t *)get((size_t)t->rows, sizeof(int32_t));
    add_name(&t->slides, o.slide_name ? o.slide_name : t->file);
}

/* Reads what the options name and prepares it, as f has it: that of a model, or of a fit, empty yet. plain: rows as
 * published. */
static tissue load_tissue(const char *command, fitted *f, int plain)
{
    const cel_model_record *model = f->record.scaling.genes ? &f->record : NULL;
    tissue t = CEL_ZERO;
    names genes = {0};
    cel_kind kind;
    double start = seconds();
    char *words;
    const int fits = !strcmp(command, "fit"), sums = !strcmp(command, "moments");
    one_of("counts expression");
    t.file = o.counts ? o.counts : o.expression;
    need(t.file, command, "--counts FILE.npy or --expression FILE.npy");
    if (o.expression) no_effect("kind total target-sum centre-by", "with --expression");
    if (plain || (model && !model->scaling.centre)) no_effect("centre-by", "on rows that are not centred");
    t.kind = kind = input_kind(f);
    if (kind != CEL_KIND_COUNTS) no_effect("total target-sum", "but on counts");
    if (f->counting && kind != CEL_KIND_COUNTS) die(2, "--method counts takes --counts as they were counted");
    read_expression(&t, &genes);
    if (t.x.rows < 2 || t.x.cols < 2)
        die(1, "%s: %lld cells x %lld genes: nothing to fit", t.file, (long long)t.x.rows, (long long)t.x.cols);
    t.rows = t.x.rows;
    read_places(command, &t, t.cells);
    if (!strcmp(command, "moments")) name_slide(&t);
    input.genes = t.genes = read_genes(&t, genes);
    look_at(&t, kind);
    take_level(&t);
    if (!was_given("min-cells"))
        o.min_cells = f->paper ? 0 : o.expression || t.rows < 20 ? 1 : t.rows < 100 ? t.rows / 10 : 10;
    pick_genes(&t, model, kind, o.min_cells);
    if (o.expression || (t.x.rows < t.x.cols && !o.chosen) || (fits ? choice("method") || o.conditions : !sums))
        densify(&t);
    if (fits || sums) settle_order(&t);
    make_rows(&t, f, kind, plain);
    drop_empty(&t);
    if (!t.x.data) { /* prepared when they are read */
        cel_scaling *s = (cel_scaling *)grown(&f->record.scaling, 1, 1, sizeof *s);
        s->cell = t.cell;
        s->cells = t.x.rows;
        t.from.scaling = s;
    }
    build_graph(&t);
    t.load_seconds = seconds() - start;
    words = rows_in_words(&f->record.scaling);
    note("%s: %lld cells, %lld genes, %lld slide%s, %.3g neighbours a cell (%.2f s)\n%s", t.file, (long long)t.x.rows,
         (long long)t.x.cols, (long long)(t.slide ? t.slides.count : 1), t.slide && t.slides.count > 1 ? "s" : "",
         t.mean_degree, t.load_seconds, words);
    free(words);
    return t;
}

static void report_tissue(text *r, const tissue *t, const fitted *f)
{
    const cel_scaling *s = &f->record.scaling;
    char *words = rows_in_words(s);
    json_text(r, "expression", t->file);
    json_text(r, "rows", words);
    NUMBERS(r, "cells cells_left_out genes slides mean_degree k radius decay", (double)t->x.rows,
            (double)(t->rows - t->x.rows), (double)t->x.cols, (double)(t->slide ? t->slides.count : 1), t->mean_degree,
            (double)o.k, o.radius, o.decay);
    if (s->target > 0) NUMBERS(r, "target_sum", s->target);
    NUMBERS(r, "seconds_loading", t->load_seconds);
    free(words);
}

/* What a row of the input is called: by its name, or its number. */
static char *cell_name(const tissue *t, int64_t row)
{
    return row < t->cells.count ? t->cells.name[row] : format_text("%lld", (long long)row);
}

/* cells.csv: which of the user's cells each row of every array is, and why others are none. */
static void write_cells(const tissue *t)
{
    FILE *out = open_out("cells.csv");
    int64_t i, *row = (int64_t *)get((size_t)t->rows, sizeof *row);
    for (i = 0; i < t->x.rows; i++) row[t->row[i]] = i + 1;
    fputs("row,input_row,cell,left_out\n", out);
    for (i = 0; i < t->rows; i++) {
        if (row[i]) fprintf(out, "%lld", (long long)row[i] - 1);
        fprintf(out, ",%lld,", (long long)i);
        if (i < t->cells.count) put_field(out, t->cells.name[i]);
        fputc(',', out);
        if (!row[i]) fprintf(out, "no counts in the %lld genes kept", (long long)t->x.cols);
        fputc('\n', out);
    }
    free(row);
    close_out(out);
}

/* An array with a row a cell, and `added` cells after them. */
static void write_rows(const char *name, cel_mat x, const tissue *t, const names *genes)
{
    names rows = CEL_ZERO;
    int64_t i;
    if (choice("format")) rows.name = (char **)get((size_t)x.rows, sizeof(char *));
    for (i = 0; i < x.rows && rows.name; i++)
        rows.name[i] = i < t->x.rows ? cell_name(t, t->row[i]) : format_text("added %lld", (long long)(i - t->x.rows));
    write_named(name, x, "cell", &rows, genes);
    free(rows.name);
}

/* ---- relations and models ---- */

static cel_relations make_relations(const tissue *t, const fitted *f)
{
    cel_relations_options made = CEL_ZERO;
    cel_relations r;
    cel_error err;
    int64_t types = f->record.types, hops = f->record.hops;
    if (hops > 100 || types > 100 || hops * types * (types + 1) / 2 > 200)
        die(1, "%lld types and %lld hops make too many relations to fit", (long long)types, (long long)hops);
    made.weights = f->record.weights;
    made.hops = hops;
    if (types > 0) {
        made.type = t->type;
        made.types = types;
        made.type_name = f->record.type;
    }
    must(cel_relations_from_graph(&t->graph, &made, &r, &err), o.edges ? o.edges : o.coords, &err);
    return r;
}

/* Through the counting: what the library is told of a slide. */
static cel_count_data count_data(const tissue *t, const cel_relations *r)
{
    cel_count_data d = CEL_ZERO;
    double *total = (double *)get((size_t)t->counts.rows, sizeof(double));
    int32_t *level = (int32_t *)get((size_t)t->counts.rows, sizeof(int32_t));
    int64_t i;
    for (i = 0; i < t->counts.rows; i++) {
        total[i] = t->cell[i].total;
        level[i] = t->cell[i].group;
    }
    d.relations = r;
    d.counts = t->counts;
    d.total = total;
    d.level = level;
    return d;
}

/* Latent rows in place of the counts, under the model; genes that are not to be seen are predicted (NULL: none).
 * each (cells), or NULL: the log-likelihood of their counts. */
static void infer_rows(tissue *t, fitted *f, const cel_relations *r, const uint8_t *seen, double *each)
{
    cel_scaling *s = &f->record.scaling;
    cel_count_data d;
    cel_count_options how = CEL_ZERO;
    cel_count_result found;
    cel_error err;
    if (!t->counts.data) t->counts = t->x;
    d = count_data(t, r);
    d.seen = seen;
    how.model = &f->record.model;
    how.scaling = s;
    how.each = each;
    must(cel_count_fit(&d, &how, &found, &err), t->file, &err);
    t->x = found.rows;
    t->error = found.error;
    t->cell = found.scaling.cell;
    s->centre = found.scaling.centre; /* with those of slides and types that were not known */
}

/* The relations of a tissue for a fitted model: the same, by name. Types are numbered as in the model from here on. */
static cel_relations model_relations(fitted *f, tissue *t, const char *folder)
{
    cel_relations r;
    names known;
    int64_t i;
    known.name = f->record.type;
    known.count = f->record.types;
    if (known.count > 0) {
        if (!t->type) die(1, "%s: a force for every pair of types: --types FILE is needed", folder);
        for (i = 0; i < t->x.rows; i++) {
            const char *name = t->types.name[t->type[i]];
            t->type[i] = (int32_t)find_name(&known, name);
            if (t->type[i] < 0)
                die(1, "%s: cell %lld is of type '%s', which the model of %s does not know%s", o.types,
                    (long long)t->row[i], name, folder, did_you_mean(&known, name));
        }
        t->types = known;
    }
    r = make_relations(t, f);
    if (r.count != f->record.model.relations)
        die(1, "%s: %lld relations, but the tissue has %lld", folder, (long long)f->record.model.relations,
            (long long)r.count);
    for (i = 0; i < r.count; i++)
        if (f->record.relation && strcmp(r.name[i], f->record.relation[i]))
            die(1, "%s: relation %s, but the tissue has %s", folder, f->record.relation[i], r.name[i]);
    if (f->counting && t->x.data) infer_rows(t, f, &r, NULL, NULL);
    return r;
}

static cel_mat read_force(const char *path, int64_t genes)
{
    cel_mat a = read_matrix(path);
    int64_t i;
    if (a.rows != a.cols || (genes && a.rows != genes))
        die(1, "%s: %lld x %lld, but there are %lld genes", path, (long long)a.rows, (long long)a.cols,
            (long long)genes);
    for (i = 0; i < a.rows * a.cols; i++)
        if (!isfinite((double)a.data[i]))
            die(1, "%s: not a number at row %lld, column %lld", path, (long long)(i / a.cols), (long long)(i % a.cols));
    return a;
}

/* The file of relation k: a number, because a type's name may be none that a file can have. */
static const char *relation_file(int64_t k, const char *end)
{
    if (k < 2) return format_text("%s%s.npy", k ? "inter" : "intra", end);
    return format_text("inter_%lld%s.npy", (long long)k, end);
}

static void save_force(const fitted *f, int64_t k, const char *end, cel_mat a)
{
    int64_t n = f->record.model.genes;
    names genes;
    genes.name = f->record.gene;
    genes.count = n;
    if (a.data) write_named(relation_file(k, end), cel_mat_block(a, k * n, 0, n, n), "gene", &genes, &genes);
}

/* The options of neighbours, in the record's words and back. */
static cel_graph_options graph_options(void)
{
    cel_graph_options g = CEL_ZERO;
    g.k = o.k;
    g.radius = o.radius;
    g.decay = o.decay;
    return g;
}

static void take_graph(const cel_graph_options *g)
{
    o.k = g->k;
    o.radius = g->radius;
    o.decay = g->decay;
}

static const char *method_word(const fitted *f)
{
    return f->paper ? "paper" : f->likelihood ? "likelihood" : f->counting ? "counts" : "score";
}

static void save_model(fitted *f, const tissue *t)
{
    const char *path = out_file("model.npz");
    const cel_model *m = &f->record.model;
    cel_error err;
    text kept = CEL_ZERO;
    names list;
    int64_t k, n = m->genes;
    add(&kept, "method %s\nedges %d\n", method_word(f), f->edges);
    if (f->paper) add(&kept, "q %.17g\n", f->q);
    if (o.moments) add(&kept, "moments 1\n");
    f->record.gene = t->genes.name;
    f->record.graph = graph_options();
    f->record.note = kept.data;
    must(cel_model_write(path, &f->record, &err), path, &err);
    for (k = 0; k < m->relations; k++) {
        save_force(f, k, "", m->force);
        save_force(f, k, "_partial", f->record.partial);
        save_force(f, k, "_se", f->record.se);
    }
    list.name = f->record.slide;
    if (m->field) write_named("field.npy", cel_mat_view(m->field, 1, n), NULL, NULL, &t->genes);
    if (f->record.slide_field.data) write_named("slide_field.npy", f->record.slide_field, "slide", &list, &t->genes);
    write_lines("genes.txt", &t->genes);
    list.name = f->record.relation;
    list.count = m->relations;
    write_lines("relations.txt", &list);
    free(kept.data);
}

/* A model has one field for all cells; each slide's own is beside it. */
static void say_mean_field(const fitted *f)
{
    if (f->record.slide_field.data) note("the model has a field for every slide: their mean is used");
}

/* Of rows that are centred some entries are negative. */
static void refuse_orthant(const fitted *f)
{
    if (o.orthant && f->record.scaling.centre) die(2, "--orthant: the rows of this model are centred, not above 0");
}

/* A model of rows without the direction of library size lives in one dimension less: the same there, and the basis
 * (genes x genes - 1) to come back by. Other models stay as they are, basis data NULL. */
static cel_mat reduce_model(fitted *f)
{
    cel_model_record *s = &f->record;
    cel_mat basis = CEL_ZERO, field = CEL_ZERO;
    cel_model m;
    int64_t n = s->model.genes;
    if (!s->scaling.size) return basis;
    must(cel_mat_new(n, n - 1, &basis), "model", NULL);
    must(cel_model_reduce(&s->model, s->scaling.size, basis, &m), "model", NULL);
    s->model = m;
    if (!s->slide_field.data) return basis;
    must(cel_mat_new(s->slide_field.rows, n - 1, &field), "model", NULL);
    must(cel_mat_gemm(0, 0, 1, s->slide_field, basis, 0, field, NULL), "model", NULL);
    s->slide_field = field;
    return basis;
}

/* Rows to (back 0) or from (back 1) the coordinates of a reduced model. */
static void change_basis(cel_mat basis, int back, cel_mat *x)
{
    cel_mat out;
    if (!basis.data) return;
    must(cel_mat_new(x->rows, back ? basis.rows : basis.cols, &out), "rows", NULL);
    must(cel_mat_gemm(0, back, 1, *x, basis, 0, out, NULL), "rows", NULL);
    *x = out;
}

static double noted(const fitted *f, const char *key)
{
    const char *at = f->record.note ? strstr(f->record.note, key) : NULL;
    return at ? strtod(at + strlen(key), NULL) : 0;
}

/* Neighbours are those of the model, or of the moments, where none are asked for. */
static void neighbours_as(const fitted *f, const char *path)
{
    if (o.k || o.radius > 0 || o.edges) return;
    if (f->edges) die(1, "%s was fitted on neighbours of --edges: give this tissue's, or --k or --radius", path);
    take_graph(&f->record.graph);
}

/* The model, on neighbours and counts made as they were for the fit unless the command line says otherwise. */
static fitted load_model(const char *folder)
{
    fitted f = CEL_ZERO;
    cel_error err;
    const char *path = in_folder(folder, "model.npz");
    struct stat s;
    if (stat(folder, &s)) die(1, "%s: %s", folder, strerror(errno));
    if (stat(path, &s))
        die(1, stat(in_folder(folder, "chosen.npz"), &s) == 0
               ? "%s: partners of chosen genes (fit --chosen), which are no model: that takes a fit of all its genes "
                 "(--top-genes)" : stat(in_folder(folder, "report.json"), &s) ? "%s: not a folder that fit wrote"
                                                          : "%s: written by another version: fit it again", folder);
    must(cel_model_read(path, &f.record, &err), path, &err);
    if (!f.record.gene || !f.record.relation) die(1, "%s: a model without names", path);
    f.paper = f.record.note && strstr(f.record.note, "method paper") != NULL;
    f.counting = f.record.scaling.log == CEL_LOG_LATENT;
    f.likelihood = f.record.note && strstr(f.record.note, "method likelihood") != NULL;
    f.edges = noted(&f, "edges ") > 0;
    f.q = noted(&f, "q ");
    neighbours_as(&f, folder);
    return f;
}

/* The model of --model, or of --inter and --intra. */
static fitted model_from_options(const char *command)
{
    static char *relation[] = {(char *)"intra", (char *)"inter"};
    fitted f = CEL_ZERO;
    cel_mat force[2];
    int64_t k;
    one_of("model intra");
    one_of("model inter");
    if (o.model) {
        no_effect("weights", "with --model, which knows them");
        return load_model(o.model);
    }
    if (!o.intra || !o.inter) die(2, "%s needs --model DIR, or --inter FILE.npy and --intra FILE.npy", command);
    force[0] = read_force(o.intra, 0);
    force[1] = read_force(o.inter, force[0].rows);
    must(cel_model_new(force[0].rows, 2, 0, &f.record.model), command, NULL);
    for (k = 0; k < 2; k++) {
        must(cel_mat_copy(force[k], cel_model_force(&f.record.model, k)), command, NULL);
        cel_mat_free(&force[k]);
    }
    f.record.gene = numbered_genes(f.record.model.genes).name;
    f.record.relation = relation;
    f.record.hops = 1;
    return f;
}

/* ---- pictures and pages ---- */

/* A file that is to be written outside the folder of results: refused before any work where it cannot be. */
static void check_file(const char *option, const char *path)
{
    const char *slash = strrchr(path, '/');
    char *folder = !slash ? format_text(".") : format_text("%.*s", slash == path ? 1 : (int)(slash - path), path);
    struct stat s;
    if (!*path || (slash && !slash[1])) die(2, "--%s: '%s' is not a file name", option, path);
    if (stat(folder, &s)) die(1, "%s: %s", folder, strerror(errno));
    if (stat(path, &s) == 0 && S_ISDIR(s.st_mode)) die(1, "%s: a folder, not a file", path);
    if (access(folder, W_OK | X_OK)) die(1, "%s: %s", folder, strerror(errno));
    free(folder);
}
/* The folder of results may come to be with this run, and may hold the page. */
static void check_page(void)
{
    size_t n = strlen(output.folder);
    if (!o.report) return;
    if (strncmp(o.report, output.folder, n) || o.report[n] != '/' || !o.report[n + 1] || strchr(o.report + n + 1, '/'))
        check_file("report", o.report);
}
static void write_drawn(const char *path, draw_buffer *b)
{
    cel_error err;
    if (b->failed) die(1, "out of memory");
    must(cel_file_write(path, b->data, b->size, &err), path, &err);
    free(b->data);
    note("written to %s", path);
}
static void write_page(draw_buffer *page) { write_drawn(o.report, page); }

/* The command line as a shell takes it. */
static char *typed_again(void)
{
    text t = CEL_ZERO;
    const char *c;
    int k;
    add(&t, "celcomen");
    for (k = 1; k < command_line.count; k++) {
        const char *word = command_line.word[k];
        int plain = *word != 0;
        for (c = word; *c; c++) plain = plain && (isalnum((unsigned char)*c) || strchr("_-+=.,:/@%", *c));
        add(&t, plain ? " " : " '");
        for (c = word; *c; c++) add(&t, *c == '\'' ? "'\\''" : "%c", *c);
        add(&t, plain ? "" : "'");
    }
    return t.data;
}

/* What a slide is called: the folder of its file, or without one the file. */
static char *slide_name(const char *path)
{
    const char *end = strrchr(path, '/'), *from;
    if (!end || end == path) return format_text("%s", end ? end + 1 : path);
    for (from = end; from > path && from[-1] != '/'; from--) continue;
    if (*from == '.') return format_text("%s", end + 1);
    return format_text("%.*s", (int)(end - from), from);
}

/* The cells of a tissue as a map has them. Without positions: no cells. */
static show_map map_of(const tissue *t)
{
    show_map m = CEL_ZERO;
    int64_t i;
    double *x, *y;
    int *slide = NULL;
    m.unit = o.length_unit;
    m.hover = o.report != NULL;
    m.slides = t->slide ? (int)t->slides.count : 1;
    m.slide_name = (const char *const *)t->slides.name;
    if (!t->coords.data) return m;
    m.cells = (int)t->coords.rows;
    m.x = x = (double *)get((size_t)m.cells, sizeof(double));
    m.y = y = (double *)get((size_t)m.cells, sizeof(double));
    if (t->slide) m.slide = slide = (int *)get((size_t)m.cells, sizeof(int));
    for (i = 0; i < m.cells; i++) {
        x[i] = (double)t->coords.data[i * t->coords.stride];
        y[i] = (double)t->coords.data[i * t->coords.stride + 1];
        if (slide) slide[i] = t->slide[i];
    }
    return m;
}

/* A gene's expression in every cell, in words a reader knows: log-normalised, or as it was given. */
static double *gene_values(const tissue *t, const fitted *f, int64_t gene, char **unit)
{
    const cel_scaling *s = &f->record.scaling;
    int64_t i, k, cells = t->x.rows, n = t->x.cols, block = 1024;
    double *v = (double *)get((size_t)cells, sizeof(double));
    cel_mat values;
    cel_error err;
    int given = s->kind == CEL_KIND_UNIT || !s->genes;
    must(cel_mat_new(block, n, &values), "map", NULL);
    for (i = 0; i < cells; i += block) {
        int64_t rows = cells - i < block ? cells - i : block;
        cel_mat part = cel_mat_block(values, 0, 0, rows, n), from = cel_mat_block(t->x, i, 0, rows, n);
        if (!t->x.data) must(cel_rows_read(&t->from, NULL, i, from = part, &err), t->file, &err);
        if (given) part = from;
        else must(cel_scaling_values(s, s->log ? CEL_UNIT_LOG : CEL_UNIT_GIVEN, from, t->cell + i, part), "map", NULL);
        for (k = 0; k < rows; k++) v[i + k] = (double)part.data[k * part.stride + gene];
        for (k = 0; k < rows; k++) /* a 0 that went there and back */
            if (fabs(v[i + k]) < 1e-5) v[i + k] = 0;
    }
    cel_mat_free(&values);
    *unit = given                           ? format_text("coordinate of the row")
            : s->kind == CEL_KIND_COUNTS    ? format_text("log(1 + counts scaled to %g a cell)", s->target)
            : s->kind == CEL_KIND_LOGNORM   ? format_text("log-normalised, as given")
                                            : format_text("intensity");
    return v;
}

#define PAGE_MAP 440 /* the width of a page's maps, in pixels */

static draw gene_map(const tissue *t, const fitted *f, int64_t gene, double width)
{
    draw d;
    show_map m = map_of(t);
    char *unit;
    double *v = gene_values(t, f, gene, &unit);
    draw_scale scale = f->record.scaling.kind == CEL_KIND_UNIT || !f->record.scaling.genes ? DRAW_SIGNED : DRAW_AMOUNT;
    show_value_map(&d, width, &m, v, scale, t->genes.name[gene], unit);
    free(v);
    return d;
}
static draw type_map(const tissue *t, double width)
{
    draw d;
    show_map m = map_of(t);
    int *kind = (int *)get((size_t)m.cells, sizeof(int));
    int64_t i;
    for (i = 0; i < m.cells; i++) kind[i] = t->type[i];
    show_kind_map(&d, width, &m, kind, (const char *const *)t->types.name, (int)t->types.count, "Types of cells");
    return d;
}

/* The numbers of a .npy of any shape, or NULL. */
static double *read_numbers(const char *path, int *count)
{
    cel_file file;
    cel_npy a;
    cel_real *x;
    double *v = NULL;
    int i;
    *count = 0;
    if (cel_file_open(path, 0, &file, NULL)) return NULL;
    if (!cel_npy_parse(file.bytes, file.size, &a, NULL)) {
        x = (cel_real *)get((size_t)a.count, sizeof(cel_real));
        v = (double *)get((size_t)a.count, sizeof(double));
        if (!cel_npy_to_real(&a, x, NULL)) *count = (int)a.count;
        for (i = 0; i < *count; i++) v[i] = (double)x[i];
        free(x);
    }
    cel_file_close(&file);
    return v;
}

/* For the script of a page: where the cells are, and their rows in the user's files. Of huge slides there is none. */
static draw_buffer map_positions(const show_map *m, const int64_t *id)
{
    draw_buffer b = CEL_ZERO;
    long *row = (long *)get((size_t)m->cells, sizeof(long));
    int i;
    for (i = 0; i < m->cells; i++) row[i] = (long)id[i];
    if (m->cells && m->cells <= 50000) show_positions(&b, PAGE_MAP, m, row);
    free(row);
    return b;
}

/* The page of a fit, from the tables that were just written; json: the report so far. */
static draw_buffer fit_page(const tissue *t, const fitted *f, const char *json)
{
    page_source p = CEL_ZERO;
    draw_buffer b = CEL_ZERO;
    draw map[5];
    const char *caption[5];
    show_forces forces;
    int k, relation, wanted = 4;
    char *title = format_text("Forces in %s", slide_name(t->file));
    p.json = json;
    p.command = typed_again();
    p.pairs = read_text(in_folder(output.hidden, "pairs.csv"));
    p.genes = read_text(in_folder(output.hidden, "genes.csv"));
    if (o.conditions) p.shifts = read_text(in_folder(output.hidden, "shifts.csv"));
    if (o.conditions) p.targets = read_text(in_folder(output.hidden, "targets.csv"));
    p.map = map;
    p.caption = caption;
    forces = show_read_forces(p.pairs);
    relation = forces.relations > 1;
    if (t->type && t->coords.data) {
        caption[p.maps] = "The types of the cells, with their numbers.";
        map[p.maps++] = type_map(t, PAGE_MAP);
    }
    for (k = 0; k < forces.count && wanted > 0 && t->coords.data; k++) { /* genes of the surest pairs, each once */
        const show_pair *pair = &forces.pair[k];
        int end, j;
        for (end = 0; end < 2 && pair->relation == relation && wanted > 0; end++) {
            int64_t gene = find_name(&t->genes, forces.gene[end ? pair->b : pair->a]);
            for (j = 0; j < k; j++)
                if (forces.pair[j].relation == relation && (forces.pair[j].a == (end ? pair->b : pair->a) ||
                                                            forces.pair[j].b == (end ? pair->b : pair->a))) break;
            if (j < k || gene < 0) continue;
            caption[p.maps] = format_text("%s in every cell%s.", t->genes.name[gene],
                                          t->slide ? "; a tile a slide, all at one scale" : "");
            map[p.maps++] = gene_map(t, f, gene, PAGE_MAP);
            wanted--;
        }
    }
    if (p.maps) {
        show_map m = map_of(t);
        p.positions = map_positions(&m, t->row);
    }
    p.loss = read_numbers(in_folder(output.hidden, "losses.npy"), &p.losses);
    page_fit(&b, &p, title);
    show_forces_free(&forces);
    return b;
}

/* ---- show ---- */

/* A line on an array: its type, shape and range. x (count) receives its numbers, unless it is text; then 0. */
static int describe_array(const char *name, const cel_npy *a, cel_real *x)
{
    int64_t i, bad = 0;
    int d;
    double low = HUGE_VAL, high = -HUGE_VAL, sum = 0;
    cel_error err;
    if (a->kind == 'S') {
        printf("%s: text, %lld of %d bytes\n", name, (long long)a->count, a->bytes);
        return 0;
    }
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
        if (!isfinite(v)) {
            bad++;
            continue;
        }
        if (v < low) low = v;
        if (v > high) high = v;
        sum += v;
    }
    printf("), %lld values", (long long)a->count);
    if (a->count > bad) printf(", least %g, mean %g, greatest %g", low, sum / (double)(a->count - bad), high);
    if (bad) printf(", %lld NaN or infinite", (long long)bad);
    printf("\n");
    return 1;
}

enum { SHOWN_COLUMNS = 8 };

/* What of a table was not shown. */
static void say_left_out(int64_t rows, int64_t shown, int64_t cols)
{
    if (rows > shown) printf("  .. and %lld rows more\n", (long long)(rows - shown));
    if (cols > SHOWN_COLUMNS) printf("  .. and %lld columns more in each row\n", (long long)(cols - SHOWN_COLUMNS));
}

/* An array: the line on it, and the corner of its first matrix. */
static void show_array(const char *name, const cel_npy *a, int corner)
{
    int64_t cols = a->ndim > 1 ? a->shape[a->ndim - 1] : 1, rows = cols ? a->count / cols : 0, i, j;
    cel_real *x;
    if (a->kind == 'u' && a->bytes == 1 && a->ndim == 1 && a->count && memchr(a->data, '\n', (size_t)a->count)) {
        printf("%s: text, begins with %.*s\n", name, (int)strcspn((const char *)a->data, "\n"), (const char *)a->data);
        return;
    }
    x = (cel_real *)get((size_t)a->count, sizeof(cel_real));
    if (describe_array(name, a, x) && corner) {
        for (i = 0; i < rows && i < o.rows; i++) {
            printf("  %6lld:", (long long)i);
            for (j = 0; j < cols && j < SHOWN_COLUMNS; j++) printf(" %11.5g", (double)x[i * cols + j]);
            printf("\n");
        }
        say_left_out(rows, i, cols);
    }
    free(x);
}

static void show_archive(const source *s)
{
    cel_npz z;
    cel_npy a;
    cel_error err;
    int64_t i;
    must(cel_npz_parse(s->bytes, s->size, &z, &err), s->path, &err);
    for (i = 0; i < z.count; i++) {
        char name[256];
        cel_npz_name(&z, i, name, sizeof name);
        if (cel_npz_get(&z, name, &a, &err) == CEL_OK) show_array(name, &a, 0);
        else printf("%s: %s (offset %lld)\n", name, err.what, (long long)err.offset);
    }
    cel_npz_free(&z);
}

/* The first lines of a text, a table's in columns. */
static void show_text(const source *s)
{
    char separator = separator_of(s);
    int table = memchr(s->bytes, separator, s->size) && memcmp(s->bytes, "{", 1), width[SHOWN_COLUMNS] = {0}, j, pass;
    int64_t lines = 0, i, cols = 0;
    size_t at, n;
    for (at = 0; at < s->size; at++) lines += s->bytes[at] == '\n';
    lines += s->size && s->bytes[s->size - 1] != '\n';
    if (!table) {
        printf("%s: text, %lld lines\n", s->path, (long long)lines);
        for (at = 0, i = 0; at < s->size && i <= o.rows; i++, at += n + 1) {
            const char *end = (const char *)memchr(s->bytes + at, '\n', s->size - at);
            n = end ? (size_t)(end - s->bytes) - at : s->size - at;
            printf("  %.*s\n", (int)(n < 120 ? n : 120), s->bytes + at);
        }
    }
    for (pass = 0; pass < 2 && table; pass++)
        for (at = 0, i = 0; at < s->size && i <= o.rows; i++) {
            names field = next_fields(s, &at, separator);
            if (field.count > cols) cols = field.count;
            if (pass && !i) printf("%s: table, %lld lines, %lld columns\n", s->path, (long long)lines, (long long)cols);
            for (j = 0; j < SHOWN_COLUMNS && j < field.count; j++) {
                n = strlen(field.name[j]);
                if ((int)n > width[j]) width[j] = n < 24 ? (int)n : 24;
                if (pass) printf("  %-*.24s", width[j], field.name[j]);
            }
            if (pass) printf("\n");
        }
    say_left_out(lines, i, cols);
}

static void command_show(void)
{
    int k;
    if (!o.files) die(2, "show needs a FILE");
    for (k = 0; k < o.files; k++) {
        source s = open_source(parse_file("show", o.file[k], 0));
        cel_error err;
        cel_npy a;
        cel_table table;
        cel_status status;
        if (is_array(&s)) {
            must(cel_npy_parse(s.bytes, s.size, &a, &err), s.path, &err);
            show_array(s.path, &a, 1);
        } else if (s.size >= 2 && !memcmp(s.bytes, "PK", 2)) {
            show_archive(&s);
        } else { /* what the library refuses by name is no text either; what it reads is */
            status = cel_table_parse(s.bytes, s.size, NULL, &table, &err);
            if (status == CEL_ERR_UNSUPPORTED || memchr(s.bytes, 0, s.size)) must_table(status, s.path, &err);
            cel_table_free(&table);
            show_text(&s);
        }
    }
}

/* ---- what is kept of a long fit ---- */

static cel_keep checkpoint;

/* The same for one of several computations, each with a name. */
static const cel_keep *keep_as(const char *part)
{
    cel_keep *keep = (cel_keep *)get(1, sizeof *keep);
    *keep = checkpoint;
    keep->part = part;
    return checkpoint.user ? keep : NULL;
}

/* A sum over `count` items, or over a file. */
static uint64_t sum_in(uint64_t sum, const void *items, int64_t count, size_t size)
{
    const char *at = (const char *)items;
    size_t bytes = items ? (size_t)count * size : 0, n;
    for (; bytes > 0; at += n, bytes -= n) {
        uint64_t word = 0;
        n = bytes < 8 ? bytes : 8;
        memcpy(&word, at, n);
        sum = (sum ^ word) * 0x9E3779B97F4A7C15u;
        sum ^= sum >> 29;
    }
    return sum;
}

/* The slide as it was read and joined. */
static uint64_t sum_of_slide(const tissue *t, const cel_relations *r, uint64_t sum)
{
    enum { BLOCK = 1024 };
    const int64_t S = t->x.rows;
    const cel_rows rows = rows_of(t);
    cel_mat block;
    cel_error err;
    int64_t i, k;
    must(cel_mat_new(BLOCK, t->x.cols, &block), t->file, NULL);
    for (i = 0; i < S; i++) {
        if (i % BLOCK == 0) {
            if (S - i < BLOCK) block.rows = S - i;
            must(cel_rows_read(&rows, NULL, i, block, &err), t->file, &err);
        }
        sum = sum_in(sum, block.data + i % BLOCK * block.stride, t->x.cols, sizeof(cel_real));
        sum = sum_in(sum, t->cell ? &t->cell[i].total : NULL, 1, sizeof(double));
        if (t->coords.data)
            sum = sum_in(sum, t->coords.data + i * t->coords.stride, t->coords.cols, sizeof(cel_real));
    }
    cel_mat_free(&block);
    sum = sum_in(sum, t->slide, S, sizeof *t->slide);
    sum = sum_in(sum, t->type, S, sizeof *t->type);
    sum = sum_in(sum, t->group, t->group ? t->rows : 0, sizeof *t->group);
    for (k = 1; k < r->count; k++) {
        const cel_csr *w = r->at[k].w;
        sum = sum_in(sum, w->start, S + 1, sizeof *w->start);
        sum = sum_in(sum, w->index, cel_csr_count(w), sizeof *w->index);
        sum = sum_in(sum, w->value, cel_csr_count(w), sizeof *w->value);
    }
    return sum;
}

static uint64_t sum_of_moments(const cel_moments_record *m, uint64_t sum)
{
    int64_t i, side;
    for (i = 0; i < m->parts; i++) {
        side = m->part[i].blocks * m->part[i].genes + 1;
        sum = sum_in(sum, m->part[i].gram, side * side, sizeof(double));
        sum = sum_in(sum, m->shuffled ? m->shuffled[i].gram : NULL, side * side, sizeof(double));
        sum = sum_in(sum, m->slide + i, 1, sizeof *m->slide);
    }
    return sum;
}

/* What a fit depends on, as a text: options that matter, and a sum over what was read. */
static text fit_mark(const tissue *t, const cel_relations *r, const cel_moments_record *m)
{
    text mark = CEL_ZERO;
    uint64_t sum = m ? sum_of_moments(m, 1) : sum_of_slide(t, r, 1);
    int k;
    for (k = 0; k < OPTIONS; k++) {
        const option *p = &options[k];
        if (!given[k] || is_word("checkpoint out format report quiet length-unit", p->name, strlen(p->name))) continue;
        add(&mark, "%s ", p->name);
        if (p->kind == FLAG) add(&mark, "%d\n", *(int *)p->value);
        else if (p->kind == POSITIVE || p->kind == NUMBER) add(&mark, "%.17g\n", *(double *)p->value);
        else if (p->kind > FLAG) add(&mark, "%llu\n", *(unsigned long long *)p->value);
        else if (p->kind > TABLE) add(&mark, "%s\n", *(const char **)p->value);
        if (!strcmp(p->name, "conditions") || !strcmp(p->name, "replicates")) { /* read by the fit itself */
            const char *path = *(const char **)p->value;
            cel_file file;
            cel_error err;
            must(cel_file_open(file_part(path, NULL), 1, &file, &err), path, &err);
            sum = sum_in(sum, file.bytes, (int64_t)file.size, 1);
            add(&mark, "%s\n", path);
            cel_file_close(&file);
        }
    }
    add(&mark, "%lld cells, %lld genes, sum %llx", (long long)t->x.rows, (long long)t->x.cols, (unsigned long long)sum);
    return mark;
}

static void open_checkpoint(const tissue *t, const cel_relations *r, const cel_moments_record *m)
{
    text mark = fit_mark(t, r, m);
    cel_error err;
    int64_t found;
    must(cel_keep_open(o.checkpoint, mark.data, mark.size, &checkpoint, &found, &err), o.checkpoint, &err);
    if (found) note("checkpoint: %s has %lld finished parts of this fit: it goes on from there", o.checkpoint,
                    (long long)found);
    to_go_on = format_text("; what was done is kept in %s, from where the same command goes on: %s", o.checkpoint,
                           typed_again());
}

/* ---- fit ---- */

#define PUBLISHED_OPTIONS "epochs lr zmft q optimizer sphere weights"
#define PUBLISHED_FIT PUBLISHED_OPTIONS " mean-degree no-projection summed tolerance inter0 intra0"
#define SCORE_FIT "types hops ridge l1 group field tiles no-errors conditions chosen"

static double entry(cel_mat a, int64_t i, int64_t j) { return (double)a.data[i * a.stride + j]; }
static double force_at(const cel_model *m, int64_t r, int64_t a, int64_t b)
{
    cel_mat f = cel_model_force(m, r);
    return (double)f.data[a * f.stride + b];
}

/* Of the published method, fit and generator. */
static cel_paper_options paper_options(void)
{
    cel_paper_options p = CEL_ZERO;
    p.epochs = o.epochs;
    p.lr = o.lr;
    p.zmft = o.zmft;
    p.q = o.q;
    p.optimiser = (cel_optimiser)choice("optimizer");
    p.sphere = (cel_sphere)choice("sphere");
    p.no_projection = o.no_projection;
    p.summed = o.summed;
    p.tolerance = o.tolerance;
    p.seed = o.seed;
    p.progress = progress;
    return p;
}

/* The published method: moments once, then epochs that do not touch the cells. */
static void fit_paper(const tissue *t, const cel_relations *r, fitted *f, text *report)
{
    cel_paper_options p = paper_options();
    cel_paper_report done;
    cel_error err;
    cel_model *model = &f->record.model;
    cel_moments *moments;
    cel_work work = CEL_ZERO;
    int64_t s, i, slides = t->slide ? t->slides.count : 1, epochs = o.epochs ? o.epochs : 200;
    int32_t *label = t->slide ? t->slide : (int32_t *)get((size_t)t->x.rows, sizeof(int32_t));
    double *q = (double *)get((size_t)slides, sizeof(double)), *losses, clock = seconds();
    must(cel_model_new(t->x.cols, 2, 0, model), "model", NULL);
    moments = (cel_moments *)get((size_t)slides, sizeof(cel_moments));
    losses = (double *)get((size_t)epochs, sizeof(double));
    for (s = 0; s < slides; s++) must(cel_moments_new(t->x.cols, r, &moments[s]), "moments", NULL);
    must(cel_moments_add_by_label(moments, slides, label, r, t->x, &work), "moments", NULL);
    for (i = 0; i < t->x.rows; i++)
        q[label[i]] += (double)(t->graph.start[i + 1] - t->graph.start[i]) / (double)moments[label[i]].cells;
    NUMBERS(report, "seconds_moments", seconds() - clock);
    clock = seconds();
    p.slide_q = o.mean_degree ? q : NULL;
    must(cel_paper_start(o.seed, model), "start", NULL);
    if (o.inter0) must(cel_mat_copy(read_force(o.inter0, t->x.cols), cel_model_force(model, 1)), o.inter0, NULL);
    if (o.intra0) must(cel_mat_copy(read_force(o.intra0, t->x.cols), cel_model_force(model, 0)), o.intra0, NULL);
    must(cel_paper_fit(moments, slides, &p, model, losses, &done, &err), "fit", &err);
    f->q = p.q > 0 ? p.q : 6;
    NUMBERS(report, "seconds_fit epochs lr zmft q loss saturated", seconds() - clock, (double)done.epochs,
            p.lr > 0 ? p.lr : 0.05, p.zmft > 0 ? p.zmft : 0.1, f->q, done.final.loss, done.saturated);
    note("fit: %lld epochs, loss %.6g, %.0f %% of the off-diagonal forces at 0 or 1", (long long)done.epochs,
         done.final.loss, 100 * done.saturated);
    write_doubles("losses.npy", losses, epochs);
    for (s = 0; s < slides; s++) cel_moments_free(&moments[s]);
    cel_work_free(&work);
    free(moments);
    free(losses);
    free(q);
}

/* A penalty's weight from the command line. */
static double weight(const char *name, const char *value, double otherwise)
{
    double x;
    if (!value) return otherwise;
    if (strcmp(value, "auto") == 0) return CEL_SCORE_PICKED;
    x = parse_number(name, value);
    if (x < 0) die(2, "--%s: a penalty cannot be negative", name);
    return x;
}

/* Tiles a side of each slide. */
static int64_t tiles_a_side(const tissue *t)
{
    const int64_t slides = t->slide ? t->slides.count : 1;
    return o.tiles ? o.tiles : slides == 1 ? 6 : slides < 4 ? 4 : slides < 9 ? 3 : 2;
}

/* Groups for the error bars and the held-out folds: spatial tiles, about 36 of them in all, or runs of
 * consecutive cells where there are no coordinates. */
static int32_t *make_groups(const tissue *t)
{
    int64_t i, groups, slides = t->slide ? t->slides.count : 1, side = tiles_a_side(t);
    int32_t *group = (int32_t *)get((size_t)t->x.rows, sizeof(int32_t));
    cel_error err;
    if (t->coords.data) {
        must_at(cel_slide_tiles(t->coords, t->slide, side, group, &groups, &err), o.coords, &err, "offset", "column");
    } else {
        groups = side * side * slides;
        if (groups > t->x.rows) groups = t->x.rows;
        for (i = 0; i < t->x.rows; i++) group[i] = (int32_t)(i * groups / t->x.rows);
    }
    /* Without error bars the folds are all that groups are for. Of rows in memory the library merges those of a fold,
     * here it is done for rows that are read; not where a slide has a field of its own, which no group may cross. */
    if (o.no_errors && !o.conditions && !t->x.data &&
        (slides == 1 || (o.field && choice("field") != CEL_SCORE_FIELD_SLIDE))) {
        const int64_t folds = groups < 5 ? groups : 5;
        for (i = 0; i < t->x.rows; i++) group[i] = (int32_t)((folds * (group[i] + 1) - 1) / groups);
    }
    return group;
}

static const char *form_name(cel_score_form form)
{
    return form == CEL_SCORE_MOMENT ? "moments" : form == CEL_SCORE_EXACT ? "exact" : "orthant";
}

/* The forces to rank by: in units of partial correlations where the fit has them, because raw ones are as large as a
 * gene is rare. */
static cel_model ranked(const fitted *f)
{
    cel_model m = f->record.model;
    if (f->record.partial.data) m.force = f->record.partial;
    return m;
}

/* The pairs of genes, both orders where a force of the relations `from` to `to` - 1 has none that is symmetric;
 * their number, and room for sorting keys. */
static pair *gene_pairs(const cel_model *m, int64_t from, int64_t to, int64_t *count)
{
    int64_t n = m->genes, a, b, k, directed = 0;
    pair *list = (pair *)get((size_t)(n * n), sizeof(pair));
    for (k = from; k < to; k++)
        for (a = 0; a < n; a++)
            for (b = 0; b < a && !directed; b++)
                directed = force_at(m, k, a, b) < force_at(m, k, b, a) || force_at(m, k, a, b) > force_at(m, k, b, a);
    *count = 0;
    for (a = 0; a < n; a++)
        for (b = directed ? 0 : a + 1; b < n; b++) {
            if (a == b) continue;
            list[*count].a = a;
            list[(*count)++].b = b;
        }
    return list;
}

/* How many pairs of relation k have q below 0.05, of *count. */
static int64_t calls_of(const cel_model *m, cel_mat q, int64_t k, int64_t *count)
{
    pair *list = gene_pairs(m, k, k + 1, count);
    int64_t i, called = 0;
    for (i = 0; i < *count; i++)
        called += (double)q.data[(k * m->genes + list[i].a) * q.stride + list[i].b] < 0.05;
    free(list);
    return called;
}

/* The rows of each slide (and type, where relations are between types) in random order: what is left of forces between
 * cells is what chance gives. Rows and what was taken out of them become copies: those of the slide stay as they are. */
static void shuffle_cells(tissue *t, int64_t types)
{
    const tissue own = *t;
    int64_t slides = t->slide ? t->slides.count : 1, groups = types ? slides * types : slides, g, i;
    int64_t *start = (int64_t *)get((size_t)groups + 1, sizeof(int64_t));
    int32_t *list = (int32_t *)get((size_t)t->x.rows, sizeof(int32_t));
    int32_t *label = (int32_t *)get((size_t)t->x.rows, sizeof(int32_t));
    int32_t *place = own.x.data ? NULL : (int32_t *)grown(own.from.row, own.x.rows, own.x.rows, sizeof(int32_t));
    cel_scaling *scaling = place ? (cel_scaling *)grown(own.from.scaling, 1, 1, sizeof *scaling) : NULL;
    size_t bytes = place ? sizeof *place : (size_t)t->x.cols * sizeof(cel_real);
    char *row = (char *)get(1, bytes), *rows;
    if (!place) must(cel_mat_new(own.x.rows, own.x.cols, &t->x), t->file, NULL);
    if (!place) must(cel_mat_copy(own.x, t->x), t->file, NULL);
    rows = place ? (char *)place : (char *)t->x.data;
    t->cell = (cel_scaling_cell *)get((size_t)t->x.rows, sizeof *t->cell);
    if (own.cell) memcpy(t->cell, own.cell, (size_t)t->x.rows * sizeof *t->cell);
    for (i = 0; i < t->x.rows; i++)
        label[i] = (t->slide ? t->slide[i] : 0) + (types ? t->type[i] * (int32_t)slides : 0);
    must(cel_csr_groups(label, t->x.rows, groups, start, list, NULL), t->file, NULL);
    for (g = 0; g < groups; g++) {
        cel_rng rng = cel_rng_at(o.seed, 2, (uint32_t)g, 0);
        for (i = start[g + 1] - 1; i > start[g]; i--) {
            int64_t j = start[g] + cel_rng_integer(&rng, (uint32_t)(i - start[g]) + 1);
            char *a = rows + (size_t)list[i] * bytes, *b = rows + (size_t)list[j] * bytes;
            cel_scaling_cell cell = t->cell[list[i]];
            memcpy(row, a, bytes);
            memmove(a, b, bytes);
            memcpy(b, row, bytes);
            t->cell[list[i]] = t->cell[list[j]];
            t->cell[list[j]] = cell;
        }
    }
    if (place) {
        scaling->cell = t->cell;
        t->from.row = place;
        t->from.scaling = scaling;
    }
    free(start);
    free(list);
    free(label);
    free(row);
}

static void free_shuffled(tissue *t)
{
    if (!t->x.data) {
        free((void *)(uintptr_t)t->from.row);
        free((void *)(uintptr_t)t->from.scaling);
    }
    cel_mat_free(&t->x);
    free(t->cell);
}

/* The moments of each label's cells, which `keep` may have: a gram matrix ends with a quarter of its cells. */
static cel_moments *sum_up(const tissue *t, const cel_relations *r, const int32_t *label, int64_t parts,
                           const cel_keep *keep)
{
    cel_moments *m = (cel_moments *)get((size_t)parts, sizeof *m);
    const char *stage = keep && keep->part ? format_text("%s/sums", keep->part) : "sums";
    const cel_rows rows = rows_of(t);
    int64_t k, side;
    size_t bytes;
    int kept;
    for (k = 0; k < parts; k++) must(cel_moments_new(t->x.cols, r, m + k), t->file, NULL);
    side = m->blocks * m->genes + 1;
    bytes = (size_t)(side * side) * sizeof(double);
    kept = keep && keep->load(keep->user, stage, parts - 1, NULL, bytes);
    if (!kept) must(cel_moments_add_rows(m, parts, label, r, &rows, NULL), t->file, NULL);
    for (k = 0; k < parts && keep; k++) {
        if (!kept) must(keep->save(keep->user, stage, k, m[k].gram, bytes), o.checkpoint, NULL);
        else if (!keep->load(keep->user, stage, k, m[k].gram, bytes)) die(1, "%s: it was damaged meanwhile", o.checkpoint);
        m[k].cells = (int64_t)(4 * m[k].gram[side * side - 1] + 0.5);
    }
    return m;
}

/* A fit of rows in memory; or of those that are read where they are stored, by way of each group's moments. */
static cel_status fit_rows(const tissue *t, const cel_relations *r, const cel_score_options *s, cel_model *model,
                           cel_score_report *done, cel_error *err)
{
    const int64_t S = t->x.rows;
    const int alone = s->no_errors && !(s->ridge < 0) && !(s->l1 < 0); /* nothing is left out: no groups */
    const int32_t *group = !alone ? s->group : t->slide;
    cel_score_options how = *s;
    cel_moments *moments;
    cel_status status;
    int32_t *slide;
    int64_t i, k, groups = 0;
    if (t->x.data) return cel_score_fit(r, t->x, s, model, done, err, NULL);
    if (!group) group = (const int32_t *)get((size_t)S, sizeof *group);
    for (i = 0; i < S; i++)
        if (group[i] >= groups) groups = (int64_t)group[i] + 1;
    if (alone) how.no_shares = 1;
    how.slide = slide = (int32_t *)get((size_t)groups, sizeof *slide);
    for (i = 0; i < S && t->slide; i++) slide[group[i]] = t->slide[i];
    moments = sum_up(t, r, group, groups, s->keep);
    status = cel_score_fit_moments(moments, groups, &how, model, done, err, NULL);
    for (k = 1; k < r->count && !status; k++) done->contacts[k] = cel_csr_count(r->at[k].w);
    for (k = 0; k < r->count && !status && alone; k++) done->contact_groups[k] = 0;
    for (k = 0; k < groups; k++) cel_moments_free(moments + k);
    if (alone && !t->slide) free((void *)(uintptr_t)group);
    free(moments);
    free(slide);
    return status;
}

/* Of each relation, the calls that remain with the cells shuffled: of the slide, or of the moments m. */
static int64_t *shuffled_calls(const tissue *t, const cel_relations *r, const fitted *f, const cel_moments_record *m,
                               const cel_score_options *fit)
{
    cel_score_options s = *fit;
    cel_score_report done;
    tissue mixed = *t;
    cel_model law;
    cel_error err;
    int64_t k, count, *calls = (int64_t *)get((size_t)r->count, sizeof(int64_t));
    s.progress = progress_shuffled;
    s.keep = keep_as("shuffled");
    s.ridge = 0.01; /* that of the tests: the picked one is not needed */
    s.no_shares = 1;
    if (m) {
        must(cel_score_fit_moments(m->shuffled, m->parts, &s, &law, &done, &err, NULL), t->file, &err);
    } else {
        shuffle_cells(&mixed, f->record.types);
        must(fit_rows(&mixed, r, &s, &law, &done, &err), t->file, &err);
        free_shuffled(&mixed);
    }
    for (k = 1; k < r->count; k++) calls[k] = calls_of(&law, done.q, k, &count);
    cel_score_report_free(&done);
    cel_model_free(&law);
    return calls;
}

/* Bytes of the machine, or 0 where that is not told. */
static double machine_memory(void)
{
#if defined(_SC_PHYS_PAGES)
    return (double)sysconf(_SC_PHYS_PAGES) * (double)sysconf(_SC_PAGESIZE);
#else
    return 0;
#endif
}

/* Rows that were centred call for the fit of measured data. */
static cel_score_options score_options(const tissue *t, const fitted *f, const int32_t *group)
{
    static const cel_score_form forms[] = {CEL_SCORE_AUTO,    CEL_SCORE_EXACT, CEL_SCORE_MOMENT, CEL_SCORE_ORTHANT,
                                           CEL_SCORE_PICK, CEL_SCORE_AUTO, CEL_SCORE_AUTO, CEL_SCORE_AUTO};
    cel_score_options s = CEL_ZERO;
    if (f->record.scaling.centre) {
        no_effect("l1 group", "on measured data; --method score-moments takes counts as published");
        s = cel_score_measured(f->record.scaling.size);
    } else {
        s.form = forms[choice("method")];
        s.ridge = o.l1 || o.group ? 0 : CEL_SCORE_PICKED;
    }
    if (o.field) s.field = (cel_score_field)choice("field");
    s.ridge = weight("ridge", o.ridge, s.ridge);
    s.l1 = weight(o.group ? "group" : "l1", o.group ? o.group : o.l1, 0);
    s.together = o.group != NULL;
    s.no_errors = o.no_errors;
    s.progress = progress;
    s.keep = keep_as(NULL);
    s.slide = t->slide;
    s.group = group;
    s.memory = machine_memory();
    return s;
}

static double sum_of(const double *x, int64_t count)
{
    double sum = 0;
    while (count-- > 0) sum += x[count];
    return sum;
}

/* A kind of share of the genes' held-out variance, mean over genes. */
static double mean_share(const cel_score_report *done, int64_t kind)
{
    double sum = 0;
    int64_t g, n = done->share.cols;
    for (g = 0; g < n; g++) sum += (double)done->share.data[kind * done->share.stride + g] / (double)n;
    return sum;
}

static void report_score(const cel_score_options *s, const cel_score_report *done, text *report)
{
    int64_t k;
    json_text(report, "form", form_name(done->form));
    json_text(report, "field", s->field ? s->field == CEL_SCORE_FIELD_SLIDE ? "slide" : "shared" : "none");
    NUMBERS(report, "measured ridge iterations residual converged value_per_cell", s->measured, done->ridge,
            (double)done->iterations, done->residual, done->converged, done->value);
    NUMBERS(report, s->together ? "group" : "l1", done->l1);
    if (done->path || s->form == CEL_SCORE_PICK) NUMBERS(report, "held_out_per_cell", done->held_out);
    if (s->form == CEL_SCORE_PICK) NUMBERS(report, "held_out_of_the_other_form", done->held_out_other);
    for (k = 0; k < done->path; k++)
        add(report, "%s[%.6g, %.10g]%s", k ? ", " : ",\n  \"path\": [", done->path_weight[k], done->path_value[k],
            k + 1 < done->path ? "" : "]");
    if (done->share.data)
        NUMBERS(report, "log_residual_own_genes log_residual_same_gene log_residual_all_genes", done->log_residual[0],
                done->log_residual[1], done->log_residual[2]);
    if (done->share.data)
        NUMBERS(report, "share_own_genes share_same_gene_next_door share_other_genes_next_door", mean_share(done, 0),
                mean_share(done, 1), mean_share(done, 2));
    NUMBERS(report, "groups", (double)done->groups);
}

/* What the fit itself says against its use. */
static void warn_of_fit(const cel_score_report *done, int64_t relations)
{
    if (!done->converged)
        warn("the fit has not converged: do not use these forces. Where the data leave them undetermined, a ridge "
             "makes the minimum unique, such as --ridge 0.01");
    if (done->path_end > 0)
        warn("the ridge was picked at the heavy end of its path, %g: the data hardly tell these forces from none",
             done->ridge);
    if (done->path_end < 0)
        warn("the ridge was picked at the light end of its path, %g: a lighter one may predict better (--ridge X)",
             done->ridge);
    if (done->share.data && relations > 1 && !(done->log_residual[2] < done->log_residual[0]))
        warn("on held-out tiles neighbours tell nothing about a cell that its own genes do not: these forces between "
             "cells are noise, or the coordinates are in another order than the cells");
}

/* What all pairs of genes take, where that is more than there is; of very many, what may be meant. */
static void advise_on_memory(const tissue *t, const cel_relations *r, const cel_score_options *s)
{
    enum { MANY = 1500 };
    const int64_t n = t->x.cols, slides = t->slide ? t->slides.count : 1;
    cel_score_options how = *s;
    int64_t i, groups = 0;
    double bytes;
    for (i = 0; i < t->x.rows && s->group; i++)
        if (s->group[i] >= groups) groups = (int64_t)s->group[i] + 1;
    if (!t->x.data) how.no_errors = 0; /* as much memory: groups of rows that are read are not merged by the fit */
    bytes = cel_score_memory(r, n, groups, slides, &how);
    if (s->memory > 0 && bytes > s->memory)
        die(1, "%s: all pairs of %lld genes need %.3g GB, of %.3g GB here: --top-genes N fits fewer genes, --chosen "
            "NAMES some against all; fewer tiles or threads take less, too", t->file, (long long)n, bytes / 1e9,
            s->memory / 1e9);
    if (n >= MANY)
        note("%s: all pairs of %lld genes, in up to %.3g GB; --top-genes N fits fewer, --chosen NAMES some against all",
             t->file, (long long)n, bytes / 1e9);
}

/* Of the slide, or of the moments m. calls (R) becomes what is left of each relation's calls with the cells shuffled,
 * or NULL. */
static void fit_score(tissue *t, const cel_relations *r, fitted *f, const cel_moments_record *m,
                      cel_score_report *done, int64_t **calls, text *report)
{
    cel_error err;
    cel_status status;
    int32_t *group = m ? NULL : make_groups(t);
    cel_score_options s = score_options(t, f, group);
    double clock = seconds();
    int64_t k;
    one_of("l1 group");
    if (!m) advise_on_memory(t, r, &s);
    status = m ? cel_score_fit_moments(m->part, m->parts, &s, &f->record.model, done, &err, NULL)
               : fit_rows(t, r, &s, &f->record.model, done, &err);
    if (status == CEL_ERR_NUMERIC)
        die(1, "%s: no finite forces: there are too few cells for so many genes, or genes and neighbours that "
            "determine each other. Fewer genes (--top-genes) or a heavy ridge (--ridge 1) help", t->file);
    must_at(status, t->file, &err, m ? "part" : "offset", "gene");
    for (k = 0; k < r->count && m && done->contacts; k++) done->contacts[k] = m->contacts[k];
    f->record.se = done->se;
    f->record.z = done->z;
    f->record.p = done->p;
    f->record.q = done->q;
    f->record.partial = done->partial;
    f->test = done->test;
    if (t->slide) f->record.slide_field = done->field; /* else it is the model's */
    report_score(&s, done, report);
    NUMBERS(report, "seconds_fit", seconds() - clock);
    note("fit: %s form, ridge %.3g, %s %.6g, %lld steps, %lld replicates (%.2f s)", form_name(done->form), done->ridge,
         s.measured ? "log residual variance a gene" : "J a cell", done->value, (long long)done->iterations,
         (long long)done->groups, seconds() - clock);
    warn_of_fit(done, r->count);
    clock = seconds();
    if (s.measured && done->q.data && r->count > 1 && (!m || m->shuffled)) *calls = shuffled_calls(t, r, f, m, &s);
    if (*calls) NUMBERS(report, "seconds_shuffled", seconds() - clock);
    free(group);
}

/* The law of each cell's own genes, without neighbours: what `score` compares with. */
static void save_own(const tissue *t, const fitted *f, const cel_count_options *s)
{
    const char *path = out_file("own_genes.npz");
    cel_relations own;
    cel_count_data d;
    cel_count_options how = *s;
    cel_count_result done;
    cel_model_record record = CEL_ZERO;
    cel_error err;
    char *intra[] = {(char *)"intra"};
    how.group = NULL;
    how.keep = keep_as("own");
    memset(&how.progress, 0, sizeof how.progress);
    must(cel_relations_new(t->counts.rows, &own), t->file, NULL);
    d = count_data(t, &own);
    must(cel_count_fit(&d, &how, &done, &err), t->file, &err);
    record.model = done.model;
    record.scaling = done.scaling;
    record.gene = t->genes.name;
    record.relation = intra;
    record.group = f->record.group;
    record.hops = 1;
    must(cel_model_write(path, &record, &err), path, &err);
    cel_count_free(&done);
    cel_relations_free(&own);
}

/* --method counts: rows and model are latent. */
static void fit_counts(tissue *t, const cel_relations *r, fitted *f, cel_score_report *done, int64_t **calls,
                       text *report)
{
    cel_count_options s = CEL_ZERO;
    cel_count_data d;
    cel_count_result fit;
    cel_error err;
    tissue other;
    int64_t k, count;
    double clock = seconds();
    t->counts = t->x;
    d = count_data(t, r);
    s.ridge = weight("ridge", o.ridge, 0);
    if (s.ridge < 0) s.ridge = 0;
    s.group = o.no_errors ? NULL : make_groups(t);
    s.progress = progress;
    s.keep = keep_as(NULL);
    must(cel_count_fit(&d, &s, &fit, &err), t->file, &err);
    NUMBERS(report, "ridge cycles change converged groups seconds_fit", fit.report.ridge,
            (double)fit.report.iterations, fit.report.residual, fit.report.converged, (double)fit.report.groups,
            seconds() - clock);
    note("fit: through the counting, ridge %.3g, %lld cycles, %lld replicates (%.2f s)", fit.report.ridge,
         (long long)fit.report.iterations, (long long)fit.report.groups, seconds() - clock);
    warn_of_fit(&fit.report, r->count);
    *done = fit.report;
    f->record.model = fit.model;
    f->record.scaling = fit.scaling;
    f->record.se = done->se;
    f->record.z = done->z;
    f->record.p = done->p;
    f->record.q = done->q;
    f->record.partial = done->partial;
    f->test = done->test;
    save_own(t, f, &s);
    other = *t;
    if (done->q.data && r->count > 1) {
        s.progress = progress_shuffled;
        s.keep = keep_as("shuffled");
        shuffle_cells(&other, 0);
        other.counts = other.x;
        d = count_data(&other, r);
        clock = seconds();
        must(cel_count_fit(&d, &s, &fit, &err), t->file, &err);
        *calls = (int64_t *)get((size_t)r->count, sizeof(int64_t));
        for (k = 1; k < r->count; k++) (*calls)[k] = calls_of(&fit.model, fit.report.q, k, &count);
        NUMBERS(report, "seconds_shuffled", seconds() - clock);
        cel_mat_free(&other.x);
        free(other.cell);
    }
}

/* What counts look like, cell by cell and gene by gene: an even choice of the slide's cells in the order of their totals,
 * and for each of so many equal parts of that order each gene's counts at LEVELS quantiles. */
enum { BINS = 16, LEVELS = 65, LIKE = 1024 };
typedef struct levels {
    int64_t cells;
    cel_scaling_cell *like; /* (cells) ascending totals */
    cel_mat level;          /* (BINS LEVELS x genes) */
} levels;

static int compare_totals(const void *x, const void *y)
{
    const cel_scaling_cell *a = (const cel_scaling_cell *)x, *b = (const cel_scaling_cell *)y;
    return a->total < b->total ? -1 : a->total > b->total ? 1 : a->length < b->length ? -1 : a->length > b->length;
}

static int has_levels(const fitted *f) { return f->record.scaling.kind == CEL_KIND_COUNTS && f->record.scaling.centre; }

static const cel_scaling_cell *to_order;
static int compare_order(const void *x, const void *y)
{
    int32_t i = *(const int32_t *)x, j = *(const int32_t *)y;
    int by = compare_totals(to_order + i, to_order + j);
    return by ? by : i < j ? -1 : i > j;
}

/* The counts of cells first, .. as they were measured, in y. */
static void read_counts(const tissue *t, const fitted *f, int64_t first, cel_mat y)
{
    cel_rows from = t->from;
    cel_error err;
    from.scaling = NULL;
    if (!t->x.data) must(cel_rows_read(&from, NULL, first, y, &err), t->file, &err);
    else if (f->counting) must(cel_mat_copy(cel_mat_block(t->x, first, 0, y.rows, y.cols), y), "counts", NULL);
    else must(cel_scaling_values(&f->record.scaling, CEL_UNIT_GIVEN, cel_mat_block(t->x, first, 0, y.rows, y.cols),
                                 t->cell + first, y), "counts", NULL);
}

/* How often each small count but 0 comes, of each bin and gene; large ones are kept one by one, (bin, gene) as key. */
enum { SMALL = 256 };
typedef struct tally {
    int32_t *seen; /* (BINS x genes x SMALL) */
    pair *rest;
    int64_t large, room;
} tally;

static tally tally_counts(const tissue *t, const fitted *f, const uint8_t *bin)
{
    enum { BLOCK = 1024 };
    tally l = CEL_ZERO;
    int64_t S = t->x.rows, n = t->x.cols, at, i;
    pair *old;
    cel_mat y;
    must(cel_mat_new(BLOCK, n, &y), "counts", NULL);
    l.seen = (int32_t *)get((size_t)(BINS * n * SMALL), sizeof *l.seen);
    for (at = 0; at < S; at += BLOCK) {
        y.rows = S - at < BLOCK ? S - at : BLOCK;
        read_counts(t, f, at, y);
        for (i = 0; i < y.rows * n; i++) {
            double v = (double)y.data[i] + 0.5; /* whole again: there and back a count is one but for rounding */
            int64_t key;
            if (v < 1) continue;
            key = bin[at + i / n] * n + i % n;
            if (v < SMALL) {
                l.seen[key * SMALL + (int64_t)v]++;
                continue;
            }
            if (l.large == l.room) {
                old = l.rest;
                l.rest = (pair *)grown(old, l.large, l.room = 2 * l.room + 1024, sizeof *l.rest);
                free(old);
            }
            l.rest[l.large].key = (double)key;
            l.rest[l.large++].then = floor(v);
        }
    }
    if (l.large) qsort(l.rest, (size_t)l.large, sizeof *l.rest, compare_pairs);
    cel_mat_free(&y);
    return l;
}

static levels take_levels(const tissue *t, const fitted *f)
{
    levels l = CEL_ZERO;
    int64_t S = t->x.rows, n = t->x.cols, i, k, b, q, last = 0, at = 0;
    int32_t *order = (int32_t *)get((size_t)S, sizeof *order);
    uint8_t *bin = (uint8_t *)get((size_t)S, 1);
    tally all;
    must(cel_mat_new(BINS * LEVELS, n, &l.level), "counts", NULL);
    for (i = 0; i < S; i++) order[i] = (int32_t)i;
    to_order = t->cell;
    qsort(order, (size_t)S, sizeof *order, compare_order);
    l.cells = S < LIKE ? S : LIKE;
    l.like = (cel_scaling_cell *)get((size_t)l.cells, sizeof *l.like);
    for (i = 0; i < l.cells; i++) l.like[i] = t->cell[order[(2 * i + 1) * S / (2 * l.cells)]];
    for (b = 0; b < BINS; b++)
        for (i = b * S / BINS; i < (b + 1) * S / BINS; i++) bin[order[i]] = (uint8_t)b;
    all = tally_counts(t, f, bin);
    for (k = 0; k < BINS * n; k++) {
        int64_t count = (k / n + 1) * S / BINS - k / n * S / BINS, below = 0, v = 0, own = at;
        while (at < all.large && all.rest[at].key <= (double)k) at++;
        all.seen[k * SMALL] = (int32_t)(count - (at - own));
        for (v = SMALL - 1; v > 0; v--) all.seen[k * SMALL] -= all.seen[k * SMALL + v];
        for (q = 0; q < LEVELS && count; q++) {
            int64_t rank = (2 * q + 1) * count / (2 * LEVELS);
            while (v < SMALL && below + all.seen[k * SMALL + v] <= rank) below += all.seen[k * SMALL + v++];
            l.level.data[(k / n * LEVELS + q) * n + k % n] =
                (cel_real)(v < SMALL ? (double)v : all.rest[own + rank - below].then);
        }
    }
    for (b = BINS - 1; b >= 0; b--) { /* fewer cells than bins: an empty one is like the next */
        if (b * S / BINS < (b + 1) * S / BINS) last = b;
        else if (last) memcpy(l.level.data + b * LEVELS * n, l.level.data + last * LEVELS * n,
                              (size_t)(LEVELS * n) * sizeof(cel_real));
    }
    free(order);
    free(bin);
    free(all.seen);
    free(all.rest);
    return l;
}

static void write_levels(const tissue *t, const fitted *f)
{
    levels l = take_levels(t, f);
    cel_mat cells;
    cel_error err;
    const char *path = out_file("levels.npy");
    int64_t i;
    must(cel_mat_new(l.cells, 3, &cells), "counts", NULL);
    for (i = 0; i < l.cells; i++) {
        cells.data[3 * i] = (cel_real)l.like[i].total;
        cells.data[3 * i + 1] = (cel_real)l.like[i].length;
        cells.data[3 * i + 2] = (cel_real)l.like[i].size;
    }
    must(cel_npy_write_matrix(path, l.level, &err), path, &err);
    path = out_file("totals.npy");
    must(cel_npy_write_matrix(path, cells, &err), path, &err);
    free(l.like);
    cel_mat_free(&l.level);
    cel_mat_free(&cells);
}

/* The law whose expected moments are the slide's, from score matching's forces. Error bars and tests stay those of score
 * matching. */
static void fit_likelihood(const tissue *t, const cel_relations *r, fitted *f, text *report)
{
    cel_likelihood_options how = CEL_ZERO;
    cel_likelihood_report done;
    cel_model law;
    cel_error err;
    double clock = seconds();
    how.seed = o.seed;
    how.steps = o.steps;
    how.centred = f->record.scaling.centre != NULL;
    how.slide = t->slide;
    how.size = f->record.scaling.size;
    how.field = !how.centred && f->record.model.field;
    how.start = &f->record.model;
    how.progress = progress;
    how.keep = keep_as(NULL);
    must(cel_likelihood_fit(r, t->x, &how, &law, &done, &err), t->file, &err);
    cel_model_free(&f->record.model);
    f->record.model = law;
    if (f->record.partial.data && done.partial.data) f->record.partial = done.partial;
    f->record.slide_field.data = NULL;
    NUMBERS(report, "steps moments_within_two_errors moment_gap moment_error acceptance_likelihood effective_sample_size "
            "seconds_likelihood", (double)done.steps, done.within, done.gap, done.noise, done.acceptance, done.ess,
            seconds() - clock);
    note("likelihood: %lld steps, acceptance %.2f; %.0f %% of the moments are the slide's within two Monte-Carlo errors "
         "(%.2f s)", (long long)done.steps, done.acceptance, 100 * done.within, seconds() - clock);
}

/* The pairs of relation k by q (then by |z|), or without errors by the size of their force. */
static pair *sorted_pairs(const fitted *f, int64_t k, int64_t *count)
{
    const cel_model_record *s = &f->record;
    cel_model m = ranked(f);
    pair *list = gene_pairs(&m, k, k + 1, count);
    int64_t i;
    for (i = 0; i < *count; i++) {
        int64_t at = (k * m.genes + list[i].a) * m.genes + list[i].b;
        list[i].key = s->q.data ? (double)s->q.data[at] : -fabs(force_at(&m, k, list[i].a, list[i].b));
        list[i].then = s->q.data ? -fabs((double)s->z.data[at]) : 0;
    }
    qsort(list, (size_t)*count, sizeof(pair), compare_pairs);
    return list;
}

/* A row of pairs.csv (b >= 0) or same_gene.csv; what a fit does not have stays empty. */
static void put_pair(FILE *out, const fitted *f, int64_t k, int64_t a, int64_t b)
{
    const cel_model_record *s = &f->record;
    const cel_mat column[] = {s->model.force, s->partial, f->test, s->se, s->z, s->p, s->q};
    int64_t at = k * s->model.genes + a;
    int c;
    put_field(out, s->relation[k]);
    fputc(',', out);
    put_field(out, s->gene[a]);
    if (b >= 0) fputc(',', out);
    if (b >= 0) put_field(out, s->gene[b]);
    for (c = 0; c < (b < 0 ? 6 : 7); c++)
        put_number(out, c < 3 ? 7 : 6, column[c].data ? entry(column[c], at, b < 0 ? a : b) : HUGE_VAL);
    fputc('\n', out);
}

/* pairs.csv: a row a relation and pair of genes, by relation and q; both orders of a pair where a relation is not
 * symmetric. same_gene.csv: each gene's force on itself next door, which is no pair. se, z, p and q are those of
 * `test`, the partial correlation at the light ridge of tests, or where there is none of the force itself. */
static void write_pairs(const fitted *f)
{
    const cel_model_record *s = &f->record;
    FILE *out = open_out("pairs.csv");
    int64_t i, k, count;
    fputs("relation,gene_a,gene_b,force,partial,test,se,z,p,q\n", out);
    for (k = 0; k < s->model.relations; k++) {
        pair *list = sorted_pairs(f, k, &count);
        for (i = 0; i < count; i++) put_pair(out, f, k, list[i].a, list[i].b);
        free(list);
    }
    close_out(out);
    out = open_out("same_gene.csv");
    fputs("relation,gene,force,partial,test,se,z,p\n", out);
    for (k = 1; k < s->model.relations; k++)
        for (i = 0; i < s->model.genes; i++) put_pair(out, f, k, i, -1);
    close_out(out);
}

/* genes.csv: what explains each gene on held-out tiles. */
static void write_genes(const fitted *f, const cel_score_report *done)
{
    const cel_model_record *s = &f->record;
    FILE *out;
    int64_t n = s->model.genes, g, k;
    if (!done->share.data) return;
    out = open_out("genes.csv");
    fputs("gene,share_own_genes,share_same_gene_next_door,share_other_genes_next_door\n", out);
    for (g = 0; g < n; g++) {
        put_field(out, s->gene[g]);
        for (k = 0; k < 3; k++) put_number(out, 6, (double)done->share.data[k * n + g]);
        fputc('\n', out);
    }
    close_out(out);
}

/* A gene's own force on itself next door, the strongest ten: no force between cells that one would look for. */
static void print_next_door(const fitted *f, const cel_score_report *done)
{
    const cel_model_record *s = &f->record;
    int64_t n = s->model.genes, i, k;
    pair *list = (pair *)get((size_t)n, sizeof(pair));
    double mean[3] = {0, 0, 0};
    for (i = 0; i < 3 * n && done->share.data; i++) mean[i / n] += 100 * (double)done->share.data[i] / (double)n;
    if (done->share.data)
        printf("of a gene's variance on held-out tiles, mean over genes, is explained by\n"
               "  the cell's own other genes %8.2f %%\n  the same gene next door    %+8.2f %%   (domain or "
               "spill-over)\n"
               "  other genes next door      %+8.2f %%\n", mean[0], mean[1], mean[2]);
    for (k = 1; k < 2 && k < s->model.relations && s->se.data; k++) {
        for (i = 0; i < n; i++) {
            list[i].a = i;
            list[i].key = -fabs((double)s->z.data[(k * n + i) * n + i]);
        }
        qsort(list, (size_t)n, sizeof(pair), compare_pairs);
        printf("the same gene next door (domain or spill-over)\n  %-14s    partial         se          p\n", "gene");
        for (i = 0; i < 10 && i < n; i++) {
            int64_t at = (k * n + list[i].a) * n + list[i].a;
            printf("  %-14s %10.4g %10.3g %10.2g\n", s->gene[list[i].a], (double)f->test.data[at],
                   (double)s->se.data[at], (double)s->p.data[at]);
        }
        if (i < n) printf("  .. and %lld genes more in same_gene.csv\n", (long long)(n - i));
        printf("\n");
    }
    free(list);
}

/* What a relation rests on, its calls, and its ten strongest pairs. */
static void print_relation(const fitted *f, const cel_score_report *done, const int64_t *shuffled, int64_t k)
{
    const cel_model_record *s = &f->record;
    cel_model m = ranked(f);
    int64_t n = m.genes, i, count;
    int errors = s->q.data != NULL, partial = s->partial.data != NULL;
    pair *list = sorted_pairs(f, k, &count);
    printf("%s%s", k ? "\n" : "", s->relation[k]);
    if (errors)
        printf(": %lld of %lld pairs with q < 0.05", (long long)calls_of(&m, s->q, k, &count), (long long)count);
    if (errors && shuffled && k) printf(" (%lld with positions shuffled)", (long long)shuffled[k]);
    if (k && done->contacts)
        printf("; %lld contacts in %lld tiles", (long long)done->contacts[k], (long long)done->contact_groups[k]);
    if (k && done->contacts && partial && errors && done->contact_groups[k] < CEL_SCORE_TILES)
        printf(": fewer than %d tiles, not tested", CEL_SCORE_TILES);
    printf("\n  %-14s %-14s      force%s%s\n", "gene", "gene", partial ? "    partial" : "",
           errors ? "         se          q" : "");
    for (i = 0; i < 10 && i < count; i++) {
        int64_t at = (k * n + list[i].a) * n + list[i].b;
        printf("  %-14s %-14s %10.4g", s->gene[list[i].a], s->gene[list[i].b],
               force_at(&s->model, k, list[i].a, list[i].b));
        if (partial) printf(" %10.4g", (double)s->partial.data[at]);
        if (errors) printf(" %10.3g %10.2g", (double)s->se.data[at], (double)s->q.data[at]);
        printf("\n");
    }
    if (i < count) printf("  .. and %lld pairs more in pairs.csv\n", (long long)(count - i));
    free(list);
}

/* ---- conditions ---- */

/* A fit of shifts and the names of its conditions, the control first. */
typedef struct conditions {
    names name;
    cel_shift_report found;
} conditions;

/* The labels of the cells kept, of a file that has one for each cell of the input. */
static int32_t *kept_labels(const char *option, const char *path, const tissue *t, names *out)
{
    int32_t *all = read_labels(option, path, &t->cells, t->rows, t->file, t->x.cols, out);
    int32_t *label = (int32_t *)get((size_t)t->x.rows, sizeof(int32_t));
    int64_t i;
    for (i = 0; i < t->x.rows; i++) label[i] = all[t->row[i]];
    free(all);
    return label;
}

typedef struct part_key {
    int32_t condition, group, slide;
    int64_t cell;
} part_key;

static int compare_parts(const void *x, const void *y)
{
    const part_key *a = (const part_key *)x, *b = (const part_key *)y;
    if (a->condition != b->condition) return a->condition < b->condition ? -1 : 1;
    if (a->group != b->group) return a->group < b->group ? -1 : 1;
    return a->slide < b->slide ? -1 : a->slide > b->slide;
}

/* Moments of each condition, group and slide that has cells; their labels in of[0 .. 2]. */
static cel_moments *condition_moments(const tissue *t, const cel_relations *r, const int32_t *condition,
                                      const int32_t *group, int32_t **of, int64_t *count)
{
    const int64_t S = t->x.rows;
    part_key *key = (part_key *)get((size_t)S, sizeof *key);
    int32_t *part = (int32_t *)get((size_t)S, sizeof(int32_t));
    cel_moments *moments;
    int64_t i, k;
    for (i = 0; i < S; i++) {
        key[i].condition = condition[i];
        key[i].group = group[i];
        key[i].slide = t->slide ? t->slide[i] : 0;
        key[i].cell = i;
    }
    qsort(key, (size_t)S, sizeof *key, compare_parts);
    for (k = 0; k < 3; k++) of[k] = (int32_t *)get((size_t)S, sizeof(int32_t));
    for (*count = 0, i = 0; i < S; i++) {
        if (!i || compare_parts(key + i - 1, key + i)) ++*count;
        k = *count - 1;
        of[0][k] = key[i].condition;
        of[1][k] = key[i].group;
        of[2][k] = key[i].slide;
        part[key[i].cell] = (int32_t)k;
    }
    moments = (cel_moments *)get((size_t)*count, sizeof *moments);
    for (k = 0; k < *count; k++) must(cel_moments_new(t->x.cols, r, moments + k), t->file, NULL);
    must(cel_moments_add_by_label(moments, *count, part, r, t->x, NULL), t->file, NULL);
    free(part);
    free(key);
    return moments;
}

/* The conditions of the cells: the control is 0. */
static int32_t *read_conditions(const tissue *t, names *name)
{
    int32_t *label = kept_labels("conditions", o.conditions, t, name);
    int64_t control = find_name(name, o.control), i;
    char *first;
    if (control < 0) die(1, "%s: there is no condition '%s'%s", o.conditions, o.control, did_you_mean(name, o.control));
    if (name->count < 2) die(1, "%s: all cells are of one condition", o.conditions);
    for (i = 0; i < t->x.rows; i++)
        label[i] = label[i] == control ? 0 : label[i] < control ? label[i] + 1 : label[i];
    first = name->name[control];
    for (i = control; i > 0; i--) name->name[i] = name->name[i - 1];
    name->name[0] = first;
    return label;
}

static conditions fit_conditions(const tissue *t, const cel_relations *r, const fitted *f)
{
    conditions c = CEL_ZERO;
    names animals = CEL_ZERO;
    cel_error err;
    double clock = seconds();
    int32_t *of[3], *condition = read_conditions(t, &c.name);
    int32_t *group = o.replicates ? kept_labels("replicates", o.replicates, t, &animals) : make_groups(t);
    int64_t count, k;
    cel_moments *moments = condition_moments(t, r, condition, group, of, &count);
    cel_score_options s = cel_score_measured(f->record.scaling.size);
    cel_status status;
    s.ridge = weight("ridge", o.ridge, s.ridge);
    s.progress = progress;
    s.keep = keep_as("conditions");
    s.group = of[1];
    s.slide = of[2];
    status = cel_shift_fit(moments, count, of[0], &s, &c.found, &err, NULL);
    if (status == CEL_ERR_DATA && err.offset >= 0 && err.offset < c.name.count)
        die(1, "%s: condition '%s' has fewer than two %s: nothing to take errors from", o.conditions,
            c.name.name[err.offset], o.replicates ? "replicates" : "tiles");
    must(status, o.conditions, &err);
    note("conditions: %lld beside %s, l1 %.3g, %lld replicates (%.2f s)", (long long)c.found.conditions, c.name.name[0],
         c.found.l1, (long long)c.found.groups, seconds() - clock);
    for (k = 0; k < count; k++) cel_moments_free(moments + k);
    for (k = 0; k < 3; k++) free(of[k]);
    free(moments);
    free(condition);
    free(group);
    return c;
}

/* Pairs of relation k under condition c (from 1), by q, then by |z|. */
static pair *sorted_shifts(const conditions *c, const fitted *f, int64_t which, int64_t k, int64_t *count)
{
    const cel_shift_report *s = &c->found;
    const int64_t n = f->record.model.genes, first = ((which - 1) * f->record.model.relations + k) * n;
    pair *list = gene_pairs(&f->record.model, k, k + 1, count);
    int64_t i;
    for (i = 0; i < *count; i++) {
        const int64_t at = (first + list[i].a) * n + list[i].b;
        list[i].key = (double)s->q.data[at];
        list[i].then = -fabs((double)s->z.data[at]);
    }
    qsort(list, (size_t)*count, sizeof(pair), compare_pairs);
    return list;
}

/* Genes as targets under condition c, by q, then by the size of what is shifted. */
static pair *sorted_targets(const conditions *c, int64_t n, int64_t which)
{
    pair *list = (pair *)get((size_t)n, sizeof(pair));
    int64_t g;
    for (g = 0; g < n; g++) {
        list[g].a = (which - 1) * n + g;
        list[g].key = (double)c->found.target_q.data[list[g].a];
        list[g].then = -fabs((double)c->found.target.data[list[g].a]);
    }
    qsort(list, (size_t)n, sizeof(pair), compare_pairs);
    return list;
}

/* shifts.csv: a row a condition, relation and pair of genes; sparse is the shift that the l1 fit selects. targets.csv:
 * a row a condition and gene. */
static void write_conditions(const conditions *c, const fitted *f)
{
    const cel_shift_report *s = &c->found;
    const cel_mat column[] = {s->shift, s->se, s->q, s->sparse};
    const int64_t n = f->record.model.genes, R = f->record.model.relations;
    FILE *out = open_out("shifts.csv");
    int64_t which, k, i, count;
    int v;
    fputs("condition,relation,gene_a,gene_b,shift,se,q,sparse\n", out);
    for (which = 1; which <= s->conditions; which++)
        for (k = 0; k < R; k++) {
            pair *list = sorted_shifts(c, f, which, k, &count);
            for (i = 0; i < count; i++) {
                put_field(out, c->name.name[which]);
                fputc(',', out);
                put_field(out, f->record.relation[k]);
                fputc(',', out);
                put_field(out, f->record.gene[list[i].a]);
                fputc(',', out);
                put_field(out, f->record.gene[list[i].b]);
                for (v = 0; v < 4; v++) {
                    const int64_t row = ((which - 1) * R + k) * n + list[i].a;
                    put_number(out, 6, (double)column[v].data[row * n + list[i].b]);
                }
                fputc('\n', out);
            }
            free(list);
        }
    close_out(out);
    out = open_out("targets.csv");
    fputs("condition,gene,shift,se,q\n", out);
    for (which = 1; which <= s->conditions; which++) {
        pair *list = sorted_targets(c, n, which);
        for (i = 0; i < n; i++) {
            put_field(out, c->name.name[which]);
            fputc(',', out);
            put_field(out, f->record.gene[list[i].a % n]);
            put_number(out, 6, (double)s->target.data[list[i].a]);
            put_number(out, 6, (double)s->target_se.data[list[i].a]);
            put_number(out, 6, (double)s->target_q.data[list[i].a]);
            fputc('\n', out);
        }
        free(list);
    }
    close_out(out);
}

/* Of each condition the calls, in words and in the report, the strongest shifts and the targets. */
static void print_conditions(const conditions *c, const fitted *f)
{
    const int64_t n = f->record.model.genes;
    int64_t which, k, i, count;
    for (which = 1; which <= c->found.conditions; which++) {
        pair *list = sorted_targets(c, n, which);
        printf("\n%s beside %s\n", c->name.name[which], c->name.name[0]);
        for (k = 0; k < f->record.model.relations; k++) {
            pair *pairs = sorted_shifts(c, f, which, k, &count);
            const int64_t first = ((which - 1) * f->record.model.relations + k) * n;
            for (i = 0; i < count && pairs[i].key < 0.05; i++) continue;
            printf("  %s: %lld of %lld forces shifted with q < 0.05\n", f->record.relation[k], (long long)i,
                   (long long)count);
            for (i = 0; i < count && i < 5 && pairs[i].key < 0.05; i++) {
                const int64_t at = (first + pairs[i].a) * n + pairs[i].b;
                printf("    %-14s %-14s %10.4g %10.3g %10.2g\n", f->record.gene[pairs[i].a], f->record.gene[pairs[i].b],
                       (double)c->found.shift.data[at], (double)c->found.se.data[at], (double)c->found.q.data[at]);
            }
            free(pairs);
        }
        printf("  targets:");
        for (i = 0; i < n && list[i].key < 0.05; i++) printf("%s %s", i ? "," : "", f->record.gene[list[i].a % n]);
        printf("%s\n", i ? "" : " none");
        free(list);
    }
}

/* The relations of a slide that is new, with what the record says of them. */
static cel_relations relate(const tissue *t, fitted *f)
{
    cel_relations r;
    f->record.hops = o.hops ? o.hops : 1;
    f->record.types = t->types.count > 1 ? t->types.count : 0;
    f->record.type = t->types.count > 1 ? t->types.name : NULL;
    r = make_relations(t, f);
    f->record.relation = r.name;
    return r;
}

/* ---- moments in files ---- */

#define SLIDE_FIT "counts expression kind total centre-by coords genes genes-are slides types genes-by radius decay " \
    "target-sum k hops top-genes min-cells edges allow-isolated tiles method conditions control replicates chosen seed " \
    "length-unit"

static cel_moments_record read_moments(const char *path, int bare)
{
    cel_moments_record m;
    cel_error err;
    must(cel_moments_read(path, bare, &m, &err), path, &err);
    return m;
}

/* Those of `path` and of the other files of the command line, added. */
static cel_moments_record merged_moments(const char *path, int from)
{
    cel_moments_record sum = read_moments(path, 0);
    int k;
    for (k = from; k < o.files; k++) {
        cel_moments_record m = read_moments(o.file[k], 0);
        cel_error err;
        cel_status status = cel_moments_merge(&sum, &m, &err);
        if (status && err.gene >= 0 && err.gene < m.about.model.genes)
            die(1, "%s beside %s: %s, gene %lld (%s; %s). Moments add up where they were prepared alike: celcomen "
                "moments --like", o.file[k], path, err.what, (long long)err.gene, m.about.gene[err.gene],
                sum.about.gene[err.gene]);
        if (status && err.cell >= 0)
            die(1, "%s beside %s: %s Slide %s", o.file[k], path, err.what, m.about.slide[err.cell]);
        if (status) die(1, "%s beside %s: %s", o.file[k], path, err.what);
        cel_moments_record_free(&m);
    }
    return sum;
}

static int64_t cells_of(const cel_moments_record *m)
{
    int64_t k, cells = 0;
    for (k = 0; k < m->spans; k++) cells += m->span[3 * k + 2] - m->span[3 * k + 1];
    return cells;
}

/* A group's name behind that of its slide, which is only the name of a file; NULL: there is nothing behind it. */
static char *without_slide(char *group, const char *slide)
{
    size_t n = strlen(slide);
    return !strncmp(group, slide, n) && !strncmp(group + n, " | ", 3) ? group + n + 3 : NULL;
}

/* What a fit needs beside the sums: a tissue that has names, but no cells. */
static tissue take_moments(cel_moments_record *m, fitted *f, cel_relations *r)
{
    cel_model_record *a = &m->about;
    tissue t = CEL_ZERO;
    int64_t slide, k, missing;
    *m = merged_moments(o.moments, 0);
    missing = cel_moments_missing(m, &slide);
    if (missing)
        die(1, "%s: %lld cells are missing, the first of slide %s: give the moments of all bands", o.moments,
            (long long)missing, a->slide[slide]);
    f->record = *a;
    f->edges = noted(f, "edges ") > 0;
    t.file = o.moments;
    t.genes.name = a->gene;
    t.genes.count = t.x.cols = a->model.genes;
    t.slides.name = a->slide;
    t.slides.count = a->slides;
    t.slide = m->slide;
    t.x.rows = t.rows = cells_of(m);
    t.mean_degree = NAN;
    if (m->unnamed) { /* as of a fit of the slide itself */
        t.slide = NULL;
        f->record.slides = 0;
        f->record.slide = NULL;
        for (k = 0; k < a->scaling.groups && a->group; k++) a->group[k] = without_slide(a->group[k], a->slide[0]);
        if (a->group && !a->group[0]) f->record.group = NULL;
    }
    take_graph(&a->graph);
    memset(r, 0, sizeof *r);
    r->cells = t.x.rows;
    r->count = a->model.relations;
    r->name = a->relation;
    if (!m->shuffled) note("%s: without a shuffled control", o.moments);
    note("%s: moments of %lld cells, %lld genes, %lld slide%s in %lld parts", o.moments, (long long)t.x.rows,
         (long long)t.x.cols, (long long)a->slides, a->slides > 1 ? "s" : "", (long long)m->parts);
    return t;
}

/* The preparation of --like: of a folder that fit wrote, of moments, or of several, whose target, scales and size
 * direction are averaged by their cells: slides then have centres of their own. */
static fitted load_like(void)
{
    fitted f = CEL_ZERO;
    cel_moments_record first;
    cel_scaling *s = &f.record.scaling;
    struct stat is;
    int64_t j;
    double weight, whole, length = 0;
    int k;
    if (stat(o.model, &is)) die(1, "%s: %s", o.model, strerror(errno));
    if (S_ISDIR(is.st_mode)) {
        f = load_model(o.model);
        if (f.counting || f.paper) die(1, "%s: a model of --method score is wanted", o.model);
        if (o.files) die(2, "--like takes one folder, or files of moments");
        return f;
    }
    first = read_moments(o.model, 1);
    f.record = first.about;
    f.edges = noted(&f, "edges ") > 0;
    whole = (double)cells_of(&first);
    for (k = 0; k < o.files; k++) {
        cel_moments_record next = read_moments(o.file[k], 1);
        const cel_scaling *n = &next.about.scaling;
        if (n->genes != s->genes || n->kind != s->kind || !n->scale != !s->scale || !n->size != !s->size)
            die(1, "%s beside %s: other genes, or another kind of numbers", o.file[k], o.model);
        weight = (double)cells_of(&next) / (whole += (double)cells_of(&next));
        s->target += weight * (n->target - s->target);
        for (j = 0; j < s->genes; j++) {
            if (strcmp(first.about.gene[j], next.about.gene[j]))
                die(1, "%s beside %s: gene %lld is %s, not %s", o.file[k], o.model, (long long)j, next.about.gene[j],
                    first.about.gene[j]);
            if (s->scale) s->scale[j] = sqrt(s->scale[j] * s->scale[j] * (1 - weight) + n->scale[j] * n->scale[j] * weight);
            if (s->size) s->size[j] += weight * (n->size[j] - s->size[j]);
        }
        if (s->centre) s->groups = 0;
        cel_moments_record_free(&next);
    }
    for (j = 0; j < s->genes && s->size; j++) length += s->size[j] * s->size[j];
    for (j = 0; j < s->genes && s->size && o.files; j++) s->size[j] /= sqrt(length);
    neighbours_as(&f, o.model);
    return f;
}

/* The band of --band among how many; all cells are one band. */
static int64_t band_of(int64_t *bands)
{
    char *end;
    const char *slash = o.band ? strchr(o.band, '/') : NULL;
    int64_t band;
    *bands = 1;
    if (!o.band) return 0;
    if (!slash) die(2, "--band: '%s' is not I/N", o.band);
    band = strtoll(o.band, &end, 10);
    *bands = parse_whole("band", slash + 1);
    if (end != slash || band < 1 || band > *bands) die(2, "--band %s: I is a whole number from 1 to N", o.band);
    return band - 1;
}

/* Which of m's parts each cell is added to, -1 where it is of another band. Parts are tiles, and bands are of whole
 * tiles, so that each sum is made in one place, whatever the bands: those of all together are the whole, to the bit. The
 * spans count cells tile by tile. */
static int32_t *parts_of(const tissue *t, cel_moments_record *m)
{
    int32_t *label = make_groups(t), *slide = (int32_t *)get((size_t)t->x.rows, sizeof(int32_t));
    int64_t *cells = (int64_t *)get((size_t)t->x.rows, sizeof(int64_t)), tiles = 0, s, k, i, bands, band = band_of(&bands);
    int32_t *part = (int32_t *)get((size_t)t->x.rows, sizeof(int32_t));
    m->slide_cells = (int64_t *)get((size_t)t->slides.count, sizeof(int64_t));
    m->slide_tiles = (int64_t *)get((size_t)t->slides.count, sizeof(int64_t));
    m->span = (int64_t *)get((size_t)t->slides.count, 3 * sizeof(int64_t));
    m->slide = (int32_t *)get((size_t)t->x.rows, sizeof(int32_t));
    m->tile = (int32_t *)get((size_t)t->x.rows, sizeof(int32_t));
    for (i = 0; i < t->x.rows; i++) {
        const int32_t tile = label[i];
        if (cells[tile]++ && slide[tile] != t->slide[i]) die(1, "%s: tiles across slides: give --coords", t->file);
        slide[tile] = t->slide[i];
        if (tile >= tiles) tiles = tile + 1;
    }
    for (s = 0; s < t->slides.count; s++) {
        int64_t *span = m->span + 3 * m->spans, of = 0, at = 0;
        m->slide_tiles[s] = tiles_a_side(t);
        for (k = 0; k < tiles; k++) of += cells[k] && slide[k] == s;
        span[0] = s;
        span[1] = span[2] = -1;
        for (k = 0; k < tiles; k++) {
            if (!cells[k] || slide[k] != s) continue;
            part[k] = -1;
            if (at >= band * of / bands && at < (band + 1) * of / bands) {
                if (span[1] < 0) span[1] = m->slide_cells[s];
                span[2] = m->slide_cells[s] + cells[k];
                m->slide[m->parts] = (int32_t)s;
                m->tile[m->parts] = (int32_t)k;
                part[k] = (int32_t)m->parts++;
            }
            m->slide_cells[s] += cells[k];
            at++;
        }
        m->spans += span[1] >= 0;
    }
    if (!m->parts) die(1, "--band %s: there are fewer tiles than bands (--tiles)", o.band);
    for (i = 0; i < t->x.rows; i++) label[i] = part[label[i]];
    free(part);
    free(cells);
    free(slide);
    return label;
}

static void write_moments(const cel_moments_record *m)
{
    cel_error err;
    int64_t slide, missing = cel_moments_missing(m, &slide);
    end_if_stopped();
    must(cel_moments_write(o.out, m, &err), o.out, &err);
    note("%s: moments of %lld cells in %lld parts%s", o.out, (long long)cells_of(m), (long long)m->parts,
         missing ? format_text("; %lld are still to come, the first of slide %s", (long long)missing,
                               m->about.slide[slide]) : "");
}

static void command_moments(void)
{
    fitted f = CEL_ZERO;
    tissue t, mixed;
    cel_relations r;
    cel_moments_record m = CEL_ZERO;
    cel_model_record *a = &m.about;
    int32_t *label;
    int64_t k, i;
    double clock;
    need(o.out, "moments", "--out FILE.npz");
    check_file("out", o.out);
    (void)band_of(&k);
    if (o.model) no_effect("top-genes genes-by min-cells hops", "with --like, which knows them");
    else if (o.files) die(2, "moments: '%s' is not an option; see celcomen moments --help", o.file[0]);
    if (o.model) f = load_like();
    t = load_tissue("moments", &f, 0);
    r = o.model ? model_relations(&f, &t, o.model) : relate(&t, &f);
    clock = seconds();
    label = parts_of(&t, &m);
    a->model.genes = t.x.cols;
    a->model.relations = r.count;
    a->gene = t.genes.name;
    a->relation = r.name;
    a->types = f.record.types;
    a->type = f.record.type;
    a->slides = t.slides.count;
    a->slide = t.slides.name;
    a->hops = f.record.hops;
    a->graph = graph_options();
    a->scaling = f.record.scaling;
    a->group = a->scaling.centre ? t.groups.name : NULL;
    a->note = format_text("edges %d\n", o.edges != NULL);
    m.unnamed = !o.slides && !o.slide_name;
    m.contacts = (int64_t *)get((size_t)r.count, sizeof(int64_t));
    for (k = 1; k < r.count; k++)
        for (i = 0; i < t.x.rows; i++)
            if (label[i] >= 0) m.contacts[k] += r.at[k].w->start[i + 1] - r.at[k].w->start[i];
    m.part = sum_up(&t, &r, label, m.parts, NULL);
    if (!o.no_shuffled && r.count > 1 && a->scaling.centre) {
        mixed = t;
        shuffle_cells(&mixed, a->types);
        m.shuffled = sum_up(&mixed, &r, label, m.parts, NULL);
        free_shuffled(&mixed);
    }
    note("moments: %lld parts%s (%.2f s)", (long long)m.parts, m.shuffled ? ", and those of shuffled positions" : "",
         seconds() - clock);
    write_moments(&m);
}

static void command_merge(void)
{
    cel_moments_record m;
    if (!o.files) die(2, "merge needs files of moments; see celcomen merge --help");
    need(o.out, "merge", "--out FILE.npz");
    check_file("out", o.out);
    m = merged_moments(o.file[0], 1);
    write_moments(&m);
    cel_moments_record_free(&m);
}

/* ---- chosen genes against all ---- */

/* The genes of --chosen, a file or names between commas, as columns. */
static int32_t *read_chosen(const tissue *t, int64_t *count)
{
    names list = {0};
    struct stat s;
    char *word, *rest;
    int32_t *column;
    int64_t k, j, at;
    if (stat(file_part(o.chosen, NULL), &s) == 0 && S_ISREG(s.st_mode)) read_words("chosen", o.chosen, 1, &list, NULL);
    else
        for (word = format_text("%s", o.chosen); word; word = rest) {
            if ((rest = strchr(word, ',')) != NULL) *rest++ = 0;
            add_name(&list, word + strspn(word, " "));
        }
    if (!list.count) die(1, "--chosen %s: no genes", o.chosen);
    column = (int32_t *)get((size_t)list.count, sizeof *column);
    for (k = 0; k < list.count; k++) {
        at = find_name(&t->genes, list.name[k]);
        if (at < 0)
            die(1, "--chosen %s: '%s' is none of the %lld genes of %s that %lld cells or more express (--min-cells)%s",
                o.chosen, list.name[k], (long long)t->genes.count, t->file, (long long)o.min_cells,
                did_you_mean(&t->genes, list.name[k]));
        for (j = 0; j < k; j++)
            if (column[j] == (int32_t)at) die(1, "--chosen %s: %s stands there twice", o.chosen, list.name[k]);
        column[k] = (int32_t)at;
    }
    *count = list.count;
    return column;
}

/* Pairs with a chosen gene, each once, of relation k: how many have q below 0.05, of *count. */
static int64_t chosen_calls(const cel_chosen_report *c, const int32_t *gene, int64_t k, int64_t *count)
{
    uint8_t *before = (uint8_t *)get((size_t)c->genes, 1);
    int64_t i, j, calls = 0;
    for (*count = 0, i = 0; i < c->count; i++) {
        before[gene[i]] = 1;
        for (j = 0; j < c->genes; j++) {
            if (before[j]) continue;
            ++*count;
            calls += c->q.data && (double)c->q.data[(k * c->count + i) * c->genes + j] < 0.05;
        }
    }
    free(before);
    return calls;
}

/* Partners of chosen gene `which` in relation k (of all of them, each pair once, where it is -1), the surest first. */
static pair *partners(const cel_chosen_report *c, const int32_t *gene, int64_t k, int64_t which, int64_t *count)
{
    const int64_t n = c->genes;
    pair *list = (pair *)get((size_t)((which < 0 ? c->count : 1) * n), sizeof(pair));
    uint8_t *before = (uint8_t *)get((size_t)n, 1);
    int64_t i, j;
    for (*count = 0, i = which < 0 ? 0 : which; i < c->count && (which < 0 || i == which); i++) {
        before[gene[i]] = 1;
        for (j = 0; j < n; j++) {
            const int64_t at = (k * c->count + i) * n + j;
            if (before[j]) continue;
            list[*count].a = i;
            list[*count].b = j;
            list[*count].key = c->q.data ? (double)c->q.data[at] : 0;
            list[(*count)++].then = -fabs((double)(c->q.data ? c->z.data[at] : c->partial.data[at]));
        }
    }
    qsort(list, (size_t)*count, sizeof(pair), compare_pairs);
    free(before);
    return list;
}

/* chosen.csv: of each relation and chosen gene the 20 surest partners, and all below q 0.05; chosen.npz: all of it. */
static void write_chosen(const cel_chosen_report *c, const tissue *t, const cel_relations *r, const int32_t *gene)
{
    enum { LISTED = 20 };
    const cel_mat column[] = {c->partial, c->se, c->z, c->p, c->q};
    static const char *const name[] = {"partial", "se", "z", "p", "q"};
    const char *path = out_file("chosen.npz");
    cel_npz_member member[8];
    cel_error err;
    names chosen_names = {0};
    char *text[3];
    int64_t shape[3], i, k, e, count, members = 0;
    FILE *out;
    shape[0] = c->relations;
    shape[1] = c->count;
    shape[2] = c->genes;
    for (i = 0; i < c->count; i++) add_name(&chosen_names, t->genes.name[gene[i]]);
    must(cel_file_join_lines(r->name, r->count, &text[0], &err), path, &err);
    must(cel_file_join_lines(chosen_names.name, c->count, &text[1], &err), path, &err);
    must(cel_file_join_lines(t->genes.name, c->genes, &text[2], &err), path, &err);
    member[members++] = cel_npz_text("relation", text[0]);
    member[members++] = cel_npz_text("chosen", text[1]);
    member[members++] = cel_npz_text("gene", text[2]);
    for (k = 0; k < 5; k++) {
        if (!column[k].data) continue;
        member[members].name = name[k];
        member[members++].array = cel_npy_describe('f', sizeof(cel_real), 3, shape, column[k].data);
    }
    must(cel_npz_write(path, member, members, &err), path, &err);
    for (k = 0; k < 3; k++) cel_file_free(text[k]);
    out = open_out("chosen.csv");
    fputs("relation,gene,partner,partial,se,z,p,q\n", out);
    for (k = 0; k < c->relations; k++)
        for (i = 0; i < c->count; i++) {
            pair *list = partners(c, gene, k, i, &count);
            for (e = 0; e < count && (e < LISTED || (c->q.data && list[e].key < 0.05)); e++) {
                const int64_t at = k * c->count + i;
                int m;
                put_field(out, r->name[k]);
                fputc(',', out);
                put_field(out, t->genes.name[gene[i]]);
                fputc(',', out);
                put_field(out, t->genes.name[list[e].b]);
                for (m = 0; m < 5; m++)
                    put_number(out, m ? 6 : 7, column[m].data ? entry(column[m], at, list[e].b) : HUGE_VAL);
                fputc('\n', out);
            }
            free(list);
        }
    close_out(out);
}

static void print_chosen(const cel_chosen_report *c, const tissue *t, const cel_relations *r, const int32_t *gene,
                         const int64_t *shuffled)
{
    int64_t k, i, count, calls;
    for (k = 0; k < c->relations && k < 6; k++) {
        pair *list = partners(c, gene, k, -1, &count);
        printf("%s%s", k ? "\n" : "", r->name[k]);
        calls = chosen_calls(c, gene, k, &count);
        if (c->q.data)
            printf(": %lld of %lld pairs with a chosen gene have q < 0.05", (long long)calls, (long long)count);
        if (k && shuffled) printf(" (%lld with positions shuffled)", (long long)shuffled[k]);
        if (k && c->q.data && c->contact_groups[k] < CEL_SCORE_TILES)
            printf("; contacts in fewer than %d tiles: not tested", CEL_SCORE_TILES);
        printf("\n  %-14s %-14s    partial%s\n", "gene", "partner", c->q.data ? "         se          q" : "");
        for (i = 0; i < 10 && i < count; i++) {
            const int64_t at = k * c->count + list[i].a;
            printf("  %-14s %-14s %10.4g", t->genes.name[gene[list[i].a]], t->genes.name[list[i].b],
                   entry(c->partial, at, list[i].b));
            if (c->q.data) printf(" %10.3g %10.2g", entry(c->se, at, list[i].b), entry(c->q, at, list[i].b));
            printf("\n");
        }
        if (i < count) printf("  .. and more in chosen.csv, all in chosen.npz\n");
        free(list);
    }
}

/* Calls of each relation with the cells' rows permuted within their slides. */
static int64_t *chosen_shuffled(const tissue *t, const cel_relations *r, const int32_t *gene, int64_t count,
                                const cel_chosen_options *fit)
{
    cel_chosen_report done;
    tissue mixed = *t;
    cel_rows rows;
    cel_error err;
    int64_t *calls = (int64_t *)get((size_t)r->count, sizeof *calls), k, pairs;
    shuffle_cells(&mixed, 0);
    rows = rows_of(&mixed);
    must(cel_chosen_fit(&rows, r, gene, count, fit, &done, &err, NULL), t->file, &err);
    for (k = 1; k < r->count; k++) calls[k] = chosen_calls(&done, gene, k, &pairs);
    cel_chosen_report_free(&done);
    free_shuffled(&mixed);
    return calls;
}

/* fit --chosen: what is written is no model, since the forces of all other pairs are not known. */
static void fit_chosen(const tissue *t, const cel_relations *r, const fitted *f, text *report)
{
    cel_chosen_options s = CEL_ZERO;
    cel_chosen_report done;
    const cel_rows rows = rows_of(t);
    cel_error err;
    cel_status status;
    int64_t count, k, pairs, *shuffled = NULL;
    int32_t *gene = read_chosen(t, &count), *group = o.no_errors ? NULL : make_groups(t);
    double clock = seconds();
    s.slide = t->slide;
    s.group = group;
    s.size = f->record.scaling.size;
    s.ridge = weight("ridge", o.ridge, CEL_SCORE_PICKED);
    if (o.ridge && !(fabs(s.ridge) > 0)) die(2, "--ridge 0: chosen genes take one above 0");
    if (s.ridge < 0) s.ridge = 0;
    s.progress = progress;
    s.memory = machine_memory();
    status = cel_chosen_fit(&rows, r, gene, count, &s, &done, &err, NULL);
    if (status == CEL_ERR_MEMORY && err.offset > 0)
        die(1, "%s: %lld chosen genes need %.3g GB, two matrices of cells x cells among them: give fewer cells, such as "
            "a slide at a time, or fewer genes", t->file, (long long)count, (double)err.offset / 1e9);
    must(status, t->file, &err);
    NUMBERS(report, "chosen factors factors_share ridge groups seconds_fit", (double)count, (double)done.factors,
            sum_of(done.share, done.factors), done.ridge, (double)done.groups, seconds() - clock);
    note("fit: %lld genes against %lld, ridge %.3g, without %lld factors with %.3g %% of the variance, %lld replicates "
         "(%.2f s)", (long long)count, (long long)done.genes, done.ridge, (long long)done.factors,
         100 * sum_of(done.share, done.factors), (long long)done.groups, seconds() - clock);
    clock = seconds();
    if (done.q.data && r->count > 1) {
        shuffled = chosen_shuffled(t, r, gene, count, &s);
        NUMBERS(report, "seconds_shuffled", seconds() - clock);
    }
    for (k = 0; k < r->count && done.q.data; k++) {
        add(report, "%s{\"tiles\": %lld, \"calls\": %lld, \"calls_shuffled\": ", k ? ", " : ",\n  \"relations\": [",
            (long long)done.contact_groups[k], (long long)chosen_calls(&done, gene, k, &pairs));
        if (shuffled && k) add(report, "%lld}", (long long)shuffled[k]);
        else add(report, "null}");
        if (k + 1 == r->count) add(report, "]");
    }
    for (k = 1; shuffled && k < r->count; k++)
        if (shuffled[k] > 2 && 10 * shuffled[k] >= chosen_calls(&done, gene, k, &pairs))
            warn("%s: %lld calls are left with positions shuffled: do not trust those between cells. More cells, or fewer "
                 "genes (--top-genes), help", r->name[k], (long long)shuffled[k]);
    if (done.q.data && r->count * done.genes > 10 * rows.cells)
        warn("%lld genes and their neighbours' for %lld cells: too many to test forces between cells", (long long)done.genes,
             (long long)rows.cells);
    write_chosen(&done, t, r, gene);
    write_lines("genes.txt", &t->genes);
    write_cells(t);
    finish_output(report);
    print_chosen(&done, t, r, gene, shuffled);
    cel_chosen_report_free(&done);
    free(shuffled);
    free(gene);
    free(group);
}

static void command_fit(void)
{
    fitted f = CEL_ZERO;
    tissue t;
    cel_relations r;
    cel_score_report done = CEL_ZERO;
    text report;
    int64_t k, *calls = NULL, count;
    int form = choice("method");
    draw_buffer page = CEL_ZERO;
    conditions shifts = CEL_ZERO;
    cel_moments_record sums, *added = o.moments ? &sums : NULL;
    if (o.files && !added) die(2, "fit: '%s' is not an option; see celcomen fit --help", o.file[0]);
    if (added) no_effect(SLIDE_FIT, "with --moments, which are made already");
    check_output("fit");
    check_page();
    f.paper = form == 5;
    f.counting = form == 6;
    f.likelihood = form == 7;
    if (f.counting) no_effect("expression types l1 group field target-sum", "with --method counts");
    if (f.paper) no_effect(SCORE_FIT " checkpoint", "with --method paper");
    else no_effect(PUBLISHED_FIT, "without --method paper");
    if (!f.likelihood) no_effect("steps", "without --method likelihood");
    one_of("q mean-degree");
    if (!o.conditions) no_effect("control replicates", "without --conditions");
    else if (form > 0) no_effect("conditions", "but with --method score");
    else if (o.expression) no_effect("conditions", "on rows that are already prepared: give --counts");
    else need(o.control, "fit --conditions", "--control NAME");
    if (o.chosen) {
        if (form > 0) no_effect("chosen", "but with --method score");
        no_effect("types l1 group field conditions report", "with --chosen");
    }
    if (added) {
        t = take_moments(added, &f, &r);
    } else {
        t = load_tissue("fit", &f, form > 0 && form < 6);
        f.edges = o.edges != NULL;
        f.record.slides = t.slides.count;
        f.record.slide = t.slide ? t.slides.name : NULL;
        if (f.paper) f.record.weights = weights_option();
        r = relate(&t, &f);
        if (!f.paper) cel_csr_free(&t.graph); /* the relations have it */
    }
    report = report_head("fit");
    report_tissue(&report, &t, &f);
    json_text(&report, "method", o.chosen ? "chosen" : method_word(&f));
    NUMBERS(&report, "hops", (double)f.record.hops);
    if (o.chosen) {
        fit_chosen(&t, &r, &f, &report);
        return;
    }
    if (o.checkpoint) open_checkpoint(&t, &r, added);
    if (o.conditions) shifts = fit_conditions(&t, &r, &f); /* the other fit leaves the rows in another order */
    if (f.paper) fit_paper(&t, &r, &f, &report);
    else if (f.counting) fit_counts(&t, &r, &f, &done, &calls, &report);
    else fit_score(&t, &r, &f, added, &done, &calls, &report);
    if (f.likelihood) fit_likelihood(&t, &r, &f, &report);
    if (o.conditions)
        NUMBERS(&report, "conditions shift_l1 shift_replicates", (double)shifts.name.count, shifts.found.l1,
                (double)shifts.found.groups);
    for (k = 0; k < r.count && f.record.q.data; k++) {
        cel_model m = ranked(&f);
        add(&report, "%s{\"contacts\": %lld, \"tiles\": %lld, \"calls\": %lld, \"calls_shuffled\": ",
            k ? ", " : ",\n  \"relations\": [", (long long)(done.contacts ? done.contacts[k] : 0),
            (long long)(done.contacts ? done.contact_groups[k] : 0), (long long)calls_of(&m, f.record.q, k, &count));
        if (calls && k) add(&report, "%lld}", (long long)calls[k]);
        else add(&report, "null}");
        if (k + 1 == r.count) add(&report, "]");
    }
    save_model(&f, &t);
    if (!added && has_levels(&f)) write_levels(&t, &f);
    write_pairs(&f);
    write_genes(&f, &done);
    if (o.conditions) write_conditions(&shifts, &f);
    if (!added) write_cells(&t);
    page = o.report ? fit_page(&t, &f, report.data) : page;
    finish_output(&report);
    cel_keep_close(&checkpoint);
    if (o.checkpoint) remove(o.checkpoint);
    if (o.report) write_page(&page);
    if (done.share.data) print_next_door(&f, &done);
    for (k = 0; k < r.count && k < 6; k++) print_relation(&f, &done, calls, k);
    if (k < r.count) printf("\n.. and %lld relations more in pairs.csv\n", (long long)(r.count - k));
    if (o.conditions) print_conditions(&shifts, &f);
    cel_shift_report_free(&shifts.found);
}

/* ---- tissue from forces ---- */

/* The rows to start from: --start, or none (data NULL). */
static cel_mat read_start(int64_t genes, cel_mat basis)
{
    cel_mat x = CEL_ZERO;
    cel_error err;
    if (!o.start) return x;
    x = read_matrix(o.start);
    if (x.cols != genes)
        die(1, "%s: %lld genes, but the forces have %lld", o.start, (long long)x.cols, (long long)genes);
    change_basis(basis, 0, &x);
    must(cel_slide_unit(x, NULL, NULL, &err), o.start, &err);
    return x;
}

static void generate_paper(const fitted *f)
{
    cel_paper_options p = paper_options();
    fitted published = *f;
    cel_error err;
    cel_mat none = CEL_ZERO, angles = CEL_ZERO, x = read_start(f->record.model.genes, none);
    int64_t n = f->record.model.genes, epochs = p.epochs ? p.epochs : 50;
    double *losses = (double *)get((size_t)epochs, sizeof(double)), clock;
    cel_paper_value last;
    tissue t;
    cel_relations r;
    text report;
    names genes;
    genes.name = f->record.gene;
    genes.count = n;
    if (f->record.scaling.centre) die(1, "%s: not fitted on rows as the published generator makes them", o.model);
    if (n < 2 || f->record.model.relations != 2)
        die(1, "the published generator needs two genes and the relations intra and inter");
    if (o.angles0) {
        angles = read_matrix(o.angles0);
        if (angles.cols != n - 1)
            die(1, "%s: %lld angles a cell, but the forces have %lld genes", o.angles0, (long long)angles.cols,
                (long long)n);
    }
    t = bare_tissue("simulate", angles.data ? angles.rows : x.data ? x.rows : -1, o.angles0 ? o.angles0 : o.start);
    if (!f->paper) published.record.weights = weights_option();
    r = make_relations(&t, &published);
    if (!angles.data) {
        must(cel_mat_new(t.rows, n - 1, &angles), "angles", NULL);
        if (x.data) must(cel_paper_to_angles(x, angles, &err), o.start, &err);
        else cel_paper_noise_angles(o.seed, 3.14159265358979323846, 1.57079632679489661923, angles);
    }
    if (!x.data) must(cel_mat_new(t.rows, n, &x), "expression", NULL);
    clock = seconds();
    must(cel_paper_generate(&f->record.model, &r, &p, angles, x, losses, &last, &err), "generate", &err);
    report = report_head("simulate");
    json_text(&report, "method", "paper");
    NUMBERS(&report, "cells genes epochs loss seconds", (double)t.rows, (double)n, (double)epochs, last.loss,
            seconds() - clock);
    write_rows("expression.npy", x, &t, &genes);
    write_cells(&t);
    write_matrix("angles.npy", angles);
    write_doubles("losses.npy", losses, epochs);
    note("generate: %lld cells, %lld epochs, loss %.6g to %.6g", (long long)t.rows, (long long)epochs, losses[0],
         last.loss);
    finish_output(&report);
}

/* Counts (cells x genes) of rows: a law of pairs says nothing of the shape of one gene's values, so a row gives each
 * gene's place among cells of like total, and the count is the one that such cells have there. */
static cel_mat counts_of(const fitted *f, const levels *l, cel_mat x, const cel_scaling_cell *cell)
{
    int64_t S = x.rows, n = x.cols, i, j, b, g, first, *bin = (int64_t *)get((size_t)S, sizeof(int64_t));
    pair *order = (pair *)get((size_t)S, sizeof(pair)), *by_bin = (pair *)get((size_t)S, sizeof(pair));
    cel_mat y;
    must(cel_mat_new(S, n, &y), "counts", NULL);
    must(cel_scaling_values(&f->record.scaling, CEL_UNIT_LOG, x, cell, y), "counts", NULL);
    for (i = 0; i < S; i++) {
        int64_t low = 0, high = l->cells; /* the first of the like that has a larger total */
        while (low < high) {
            int64_t middle = (low + high) / 2;
            if (l->like[middle].total > cell[i].total) high = middle;
            else low = middle + 1;
        }
        bin[i] = (low > 0 ? low - 1 : 0) * BINS / l->cells;
        by_bin[i].key = (double)bin[i];
        by_bin[i].a = i;
    }
    qsort(by_bin, (size_t)S, sizeof(pair), compare_pairs);
    for (first = 0; first < S; first = i) {
        b = (int64_t)by_bin[first].key;
        for (i = first; i < S && !(by_bin[i].key > by_bin[first].key); i++) {}
        for (j = 0; j < n; j++) {
            for (g = first; g < i; g++) {
                order[g - first].a = by_bin[g].a;
                order[g - first].key = (double)y.data[by_bin[g].a * n + j];
            }
            qsort(order, (size_t)(i - first), sizeof(pair), compare_pairs);
            for (g = 0; g < i - first; g++)
                y.data[order[g].a * n + j] =
                    l->level.data[(b * LEVELS + (2 * g + 1) * LEVELS / (2 * (i - first))) * n + j];
        }
    }
    free(bin);
    free(order);
    free(by_bin);
    return y;
}

/* counts.npy of a tissue drawn anew: totals as --total has them, or drawn as on the fit's slide. */
static void write_counts(const fitted *f, const tissue *t, cel_mat x, const names *genes)
{
    levels l = CEL_ZERO;
    cel_mat like = read_matrix(in_folder(o.model, "totals.npy")), total = CEL_ZERO, y;
    cel_scaling_cell *cell = (cel_scaling_cell *)get((size_t)x.rows, sizeof *cell);
    int64_t i;
    l.level = read_matrix(in_folder(o.model, "levels.npy"));
    l.cells = like.rows;
    l.like = (cel_scaling_cell *)get((size_t)l.cells, sizeof *l.like);
    if (like.cols != 3 || l.level.cols != x.cols || l.level.rows != BINS * LEVELS)
        die(1, "%s: its levels.npy and totals.npy are not those of the model", o.model);
    for (i = 0; i < l.cells; i++) {
        l.like[i].total = (double)like.data[3 * i];
        l.like[i].length = (double)like.data[3 * i + 1];
        l.like[i].size = (double)like.data[3 * i + 2];
    }
    if (o.total) {
        total = read_matrix(o.total);
        if (total.rows * total.cols != x.rows)
            die(1, "%s: %lld totals, but there are %lld cells", o.total, (long long)(total.rows * total.cols),
                (long long)x.rows);
    }
    for (i = 0; i < x.rows; i++) {
        cel_rng rng = cel_rng_at(o.seed, 3, (uint32_t)i, 0);
        int64_t at = cel_rng_integer(&rng, (uint32_t)l.cells);
        if (total.data) /* one of those next to it in total */
            for (at = 0; at + 1 < l.cells && l.like[at].total < (double)total.data[i]; at++) {}
        cell[i] = l.like[at];
        if (total.data) cell[i].total = (double)total.data[i];
    }
    y = counts_of(f, &l, x, cell);
    write_rows("counts.npy", y, t, genes);
    free(cell);
    free(l.like);
}

/* Exact samples, or the most likely tissue. */
static void generate_sample(fitted *f, int ascent)
{
    const cel_model *model = &f->record.model;
    int64_t genes = model->genes;
    cel_mat basis = reduce_model(f);
    cel_sample_options s = CEL_ZERO;
    cel_sample_report done;
    cel_ascent_options up = CEL_ZERO;
    cel_ascent_report top;
    cel_error err;
    cel_mat x = read_start(genes, basis);
    tissue t = bare_tissue("simulate", x.data ? x.rows : -1, o.start);
    cel_relations r = model_relations(f, &t, o.model ? o.model : o.inter);
    int64_t sweeps = o.sweeps ? o.sweeps : 200;
    double clock = seconds(), *trace = (double *)get((size_t)sweeps + 1, sizeof(double));
    const char *file = o.start ? o.start : ascent ? "ascent" : "sample";
    text report = report_head("simulate");
    names names_of;
    names_of.name = f->record.gene;
    names_of.count = genes;
    if (!x.data) {
        must(cel_mat_new(t.rows, model->genes, &x), "expression", NULL);
        cel_sample_uniform(o.seed, 0, o.orthant, x);
    }
    json_text(&report, "method", ascent ? "ascent" : "sample");
    NUMBERS(&report, "cells genes", (double)t.rows, (double)genes);
    if (ascent) {
        up.domain.orthant = o.orthant;
        up.sweeps = sweeps;
        up.progress = progress;
        up.trace = trace;
        must(cel_ascent_run(model, &r, &up, x, &top, &err), file, &err);
        sweeps = top.sweeps + 1;
        NUMBERS(&report, "sweeps energy", (double)top.sweeps, top.energy);
        note("ascent: H %.6g to %.6g in %lld sweeps%s", top.start, top.energy, (long long)top.sweeps,
             top.converged ? "" : " (not converged)");
    } else {
        s.seed = o.seed;
        s.stream = 1;
        s.domain.orthant = o.orthant;
        s.sweeps = sweeps;
        s.warmup = warmup_option();
        s.centred = f->likelihood && f->record.scaling.centre;
        s.slide = t.slide;
        s.progress = progress;
        must(cel_sample_run(model, &r, &s, x, trace, &done, &err), file, &err);
        NUMBERS(&report, "sweeps acceptance step colours energy energy_deviation effective_sample_size split_rhat",
                (double)done.sweeps, done.acceptance, done.step, done.colours, done.energy, done.deviation, done.ess,
                done.rhat);
        note("sample: %lld sweeps, acceptance %.2f, H %.6g +- %.3g, effective sample size %.0f, split R-hat %.3f",
             (long long)done.sweeps, done.acceptance, done.energy, done.deviation, done.ess, done.rhat);
    }
    NUMBERS(&report, "seconds", seconds() - clock);
    change_basis(basis, 1, &x);
    write_rows("expression.npy", x, &t, &names_of);
    if (o.model && noted(f, "moments ") > 0)
        note("%s was fitted from moments, which know no counts: none are drawn", o.model);
    else if (o.model && has_levels(f)) write_counts(f, &t, x, &names_of);
    else no_effect("total", "without a --model of counts");
    write_cells(&t);
    write_doubles("energy.npy", trace, sweeps);
    finish_output(&report);
}

static void command_generate(void)
{
    static const char *const without[] = {PUBLISHED_OPTIONS " angles0", PUBLISHED_OPTIONS " angles0 warmup",
                                          "sweeps warmup orthant"};
    int method = choice("method");
    fitted f;
    check_output("simulate");
    one_of("angles0 start");
    no_effect(without[method], format_text("with --method %s", chosen("method")));
    f = model_from_options("simulate");
    say_mean_field(&f);
    refuse_orthant(&f);
    if (method == 2) generate_paper(&f);
    else generate_sample(&f, method == 1);
}

/* ---- does the law draw the slide that it was fitted to? ---- */

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

/* The middle of values. */
static double median_of(const double *x, int64_t count)
{
    double *sorted = (double *)get((size_t)count, sizeof(double)), middle;
    memcpy(sorted, x, (size_t)count * sizeof(double));
    qsort(sorted, (size_t)count, sizeof(double), compare_doubles);
    middle = 0.5 * (sorted[count / 2] + sorted[(count - 1) / 2]);
    free(sorted);
    return middle;
}

/* What a matrix of cells x genes looks like: (genes) each, and (genes x genes). */
typedef struct looks {
    double *mean, *deviation, *moran, *within, *between;
} looks;

static looks looks_of(cel_mat x, const cel_relations *r)
{
    int64_t n = x.cols, i;
    double weight = 0;
    cel_moments m;
    looks l;
    l.mean = (double *)get((size_t)(3 * n + 2 * n * n), sizeof(double));
    l.deviation = l.mean + n;
    l.moran = l.mean + 2 * n;
    l.within = l.mean + 3 * n;
    l.between = l.within + n * n;
    must(cel_moments_new(n, r, &m), "moments", NULL);
    must(cel_moments_add(&m, r, x, NULL, 0, NULL), "moments", NULL);
    must(cel_moments_correlate(&m, 1, l.mean, l.deviation, l.moran, l.within, l.between), "moments", NULL);
    for (i = 0; i < cel_csr_count(r->at[1].w); i++) weight += (double)r->at[1].w->value[i] / (double)x.rows;
    for (i = 0; i < n && weight > 0; i++) l.moran[i] /= weight;
    cel_moments_free(&m);
    return l;
}

/* A tissue of the slide's own cells under the model's law, from noise. */
static cel_mat fresh_tissue(const fitted *f, const tissue *t, const cel_relations *r, int64_t sweeps)
{
    fitted own = *f;
    cel_mat basis = reduce_model(&own), x;
    cel_sample_options s = CEL_ZERO;
    cel_error err;
    s.seed = o.seed;
    s.stream = 1;
    s.sweeps = sweeps;
    s.thin = sweeps;
    s.centred = f->likelihood && f->record.scaling.centre;
    s.slide = t->slide;
    s.progress = progress;
    must(cel_mat_new(t->x.rows, own.record.model.genes, &x), "tissue", NULL);
    cel_sample_uniform(o.seed, 0, 0, x);
    must(cel_sample_run(&own.record.model, r, &s, x, NULL, NULL, &err), "check", &err);
    change_basis(basis, 1, &x);
    return x;
}

/* A statistic of the real tissue and of the drawn one. */
typedef struct likeness {
    const char *name;
    const double *real, *drawn;
    int64_t count;
    double r, slope;
} likeness;
enum { MEANS, DEVIATIONS, ZEROS, MORAN, WITHIN, BETWEEN, STATISTICS };

/* Pairs of genes a < b (within) or a != b, as a list. */
static double *off_diagonal(const double *a, int64_t n, int64_t *count)
{
    double *out = (double *)get((size_t)(n * n), sizeof(double));
    int64_t i, j;
    for (*count = i = 0; i < n; i++)
        for (j = 0; j < n; j++)
            if (i != j) out[(*count)++] = a[i * n + j];
    return out;
}
static double *zero_shares(cel_mat y)
{
    double *share = (double *)get((size_t)y.cols, sizeof(double));
    int64_t i, j;
    for (i = 0; i < y.rows; i++)
        for (j = 0; j < y.cols; j++) share[j] += (double)y.data[i * y.stride + j] > 0 ? 0 : 1 / (double)y.rows;
    return share;
}
static void liken(likeness *l, const char *name, const double *real, const double *drawn, int64_t count)
{
    l->name = name;
    l->real = real;
    l->drawn = drawn;
    l->count = count;
    l->r = correlate(real, drawn, count, &l->slope);
}

/* The slide beside a tissue drawn anew: expression, its places, its pairs. */
static void compare_with_slide(const fitted *f, const tissue *t, const cel_relations *r, cel_mat drawn, likeness *out)
{
    static const cel_unit unit = CEL_UNIT_LOG;
    int64_t n = drawn.cols, count;
    looks real = looks_of(t->x, r), fresh = looks_of(drawn, r), level[2] = {real, fresh};
    cel_mat value[2];
    const cel_mat row[2] = {t->x, drawn};
    double *zeros[2] = {NULL, NULL};
    int k;
    for (k = 0; k < 2 && f->record.scaling.centre; k++) { /* expression as the user knows it */
        must(cel_mat_new(drawn.rows, n, &value[k]), "values", NULL);
        must(cel_scaling_values(&f->record.scaling, unit, row[k], t->cell, value[k]), "values", NULL);
        level[k] = looks_of(value[k], r);
        cel_mat_free(&value[k]);
    }
    if (has_levels(f)) {
        levels l = take_levels(t, f);
        for (k = 0; k < 2; k++) {
            value[k] = counts_of(f, &l, row[k], t->cell);
            zeros[k] = zero_shares(value[k]);
            cel_mat_free(&value[k]);
        }
    }
    liken(&out[MEANS], "mean expression", level[0].mean, level[1].mean, n);
    liken(&out[DEVIATIONS], "its spread", level[0].deviation, level[1].deviation, n);
    if (zeros[0]) liken(&out[ZEROS], "share of zeros", zeros[0], zeros[1], n);
    liken(&out[MORAN], "Moran's I", real.moran, fresh.moran, n);
    liken(&out[WITHIN], "pairs within cells", off_diagonal(real.within, n, &count),
          off_diagonal(fresh.within, n, &count), n * (n - 1));
    liken(&out[BETWEEN], "pairs of neighbours", off_diagonal(real.between, n, &count),
          off_diagonal(fresh.between, n, &count), n * (n - 1));
}

/* One line: does the law draw such slides? As is asked of it: Moran's I r .95, pairs within .97 and between .93. */
static char *verdict(const fitted *f, const likeness *l)
{
    double moran = l[MORAN].r, within = l[WITHIN].r, between = l[BETWEEN].r, slope = l[WITHIN].slope;
    int well = moran >= 0.95 && within >= 0.97 && between >= 0.93 && fabs(slope - 1) <= 0.1;
    int hardly = !(moran >= 0.8 && within >= 0.8 && between >= 0.8);
    return format_text("a tissue drawn from this law (%s) has %s: Moran's I r %.2f, pairs within cells r %.2f (slope %.2f), "
                       "of neighbours r %.2f (slope %.2f)%s", method_word(f),
                       well ? "the slide's places and pairs" : hardly ? "not the slide's places and pairs"
                                                                      : "the slide's places and pairs in part",
                       moran, within, slope, between, l[BETWEEN].slope,
                       well || f->likelihood ? "" : "; fit --method likelihood is the law to draw from");
}

/* A cloud of points, real across and drawn up, about the diagonal. */
static void draw_likeness(draw *d, double left, const likeness *l)
{
    draw_plot p = CEL_ZERO;
    draw_series points = CEL_ZERO, line = CEL_ZERO;
    double ends[2];
    p.left = left + 64;
    p.top = 96;
    p.width = p.height = 220;
    p.x.label = "real";
    p.y.label = "drawn";
    draw_hold(&p.x, l->real, NULL, (int)l->count);
    draw_hold(&p.x, l->drawn, NULL, (int)l->count);
    draw_room(&p.x);
    p.y.least = p.x.least;
    p.y.most = p.x.most;
    p.x.tight = p.y.tight = 1;
    draw_frame(d, &p);
    ends[0] = p.x.least;
    ends[1] = p.x.most;
    line.name = "the same";
    line.x = line.y = ends;
    line.count = 2;
    line.kind = DRAW_LINE;
    line.colour = 1;
    draw_curve(d, &p, &line);
    points.name = l->name;
    points.x = l->real;
    points.y = l->drawn;
    points.count = (int)l->count;
    points.kind = DRAW_POINTS;
    draw_curve(d, &p, &points);
    draw_text(d, p.left, 84, 13, 's', "b", format_text("%s: r %.3f, slope %.2f", l->name, l->r, l->slope));
}

static void write_check_tables(const tissue *t, const likeness *l)
{
    FILE *out = open_out("check_genes.csv");
    int64_t n = t->x.cols, i, j, at = 0;
    int k;
    fputs("gene,mean_real,mean_drawn,spread_real,spread_drawn,zeros_real,zeros_drawn,moran_real,moran_drawn\n", out);
    for (i = 0; i < n; i++) {
        put_field(out, t->genes.name[i]);
        for (k = MEANS; k <= MORAN; k++) {
            put_number(out, 6, l[k].count ? l[k].real[i] : NAN);
            put_number(out, 6, l[k].count ? l[k].drawn[i] : NAN);
        }
        fputc('\n', out);
    }
    close_out(out);
    out = open_out("check_pairs.csv");
    fputs("gene,gene_next_door,within_real,within_drawn,between_real,between_drawn\n", out);
    for (i = 0; i < n; i++)
        for (j = 0; j < n; j++) {
            if (i == j) continue;
            put_field(out, t->genes.name[i]);
            fputc(',', out);
            put_field(out, t->genes.name[j]);
            for (k = WITHIN; k <= BETWEEN; k++) {
                put_number(out, 6, l[k].real[at]);
                put_number(out, 6, l[k].drawn[at]);
            }
            fputc('\n', out);
            at++;
        }
    close_out(out);
}

static void write_check_picture(const likeness *l, const char *says)
{
    draw d;
    draw_buffer picture = CEL_ZERO;
    int k;
    draw_begin(&d, 3 * 310 + 20, 380, "A tissue drawn from the law beside the slide", says);
    draw_heading(&d, "A tissue drawn from the law beside the slide", says);
    for (k = MORAN; k < STATISTICS; k++) draw_likeness(&d, 310.0 * (k - MORAN), &l[k]);
    draw_write(&d, 0, &picture);
    draw_free(&d);
    if (picture.failed) die(1, "out of memory");
    {
        text svg = CEL_ZERO;
        svg.data = picture.data;
        svg.size = picture.size;
        write_text("check.svg", &svg);
    }
}

/* The law of a model on a slide. */
static char *check_law(const fitted *f, const tissue *t, const cel_relations *r, int64_t sweeps, cel_mat *drawn,
                       likeness *l)
{
    memset(l, 0, STATISTICS * sizeof *l);
    *drawn = fresh_tissue(f, t, r, sweeps);
    compare_with_slide(f, t, r, *drawn, l);
    return verdict(f, l);
}

static void command_check(void)
{
    fitted f;
    tissue t;
    cel_relations r;
    cel_mat drawn;
    likeness l[STATISTICS];
    text report;
    char *says;
    int k;
    double clock;
    need(o.model, "check", "--model DIR");
    if (o.out) check_output("check");
    f = load_model(o.model);
    t = load_tissue("check", &f, 0);
    r = model_relations(&f, &t, o.model);
    if (f.paper) die(1, "%s: the published forces have a generator of their own: celcomen simulate --method paper", o.model);
    if (r.count < 2) die(1, "%s: no relation between cells", o.model);
    clock = seconds();
    says = check_law(&f, &t, &r, o.sweeps ? o.sweeps : 200, &drawn, l);
    printf("%-22s %10s %10s %8s %8s\n", "medians", "real", "drawn", "r", "slope");
    for (k = 0; k < STATISTICS; k++) {
        if (!l[k].count) continue;
        printf("%-22s %10.3f %10.3f %8.3f %8.2f\n", l[k].name, median_of(l[k].real, l[k].count),
               median_of(l[k].drawn, l[k].count), l[k].r, l[k].slope);
    }
    printf("%s\n", says);
    if (!o.out) return;
    report = report_head("check");
    report_tissue(&report, &t, &f);
    json_text(&report, "method", method_word(&f));
    json_text(&report, "verdict", says);
    NUMBERS(&report, "moran_r moran_slope within_r within_slope between_r between_slope seconds", l[MORAN].r,
            l[MORAN].slope, l[WITHIN].r, l[WITHIN].slope, l[BETWEEN].r, l[BETWEEN].slope, seconds() - clock);
    write_check_tables(&t, l);
    write_check_picture(l, says);
    write_rows("expression.npy", drawn, &t, &t.genes);
    write_cells(&t);
    finish_output(&report);
}

/* ---- cells worth an intervention ---- */

/* A cell that a knock-out could be tried in. */
typedef struct candidate {
    int64_t cell;            /* of the tissue */
    double level, typical;   /* of the gene: as in the input, and at the median total */
    int64_t contacts, reach; /* cells next to it, and within three steps */
    double aside;            /* how far those lie to one side: 0 in the middle, about 0.6 at a straight border */
} candidate;

static int compare_candidates(const void *x, const void *y)
{
    const candidate *a = (const candidate *)x, *b = (const candidate *)y;
    if (a->typical > b->typical || a->typical < b->typical) return a->typical > b->typical ? -1 : 1;
    return a->cell < b->cell ? -1 : a->cell > b->cell;
}

/* Fills in what is around a cell: a walk of three steps over the graph and its transpose. mark (cells) is 0, and is so
 * again afterwards; list has room for all cells. */
static void look_around(const tissue *t, const cel_csr *back, uint8_t *mark, int64_t *list, candidate *c)
{
    const cel_csr *way[2];
    int64_t count = 1, from = 0, to, e, i;
    double mean[3] = {0, 0, 0}, far = 0;
    int step, w, d, dims = t->coords.data ? (int)t->coords.cols : 0;
    way[0] = &t->graph;
    way[1] = back;
    list[0] = c->cell;
    mark[c->cell] = 1;
    for (step = 0; step < 3; step++) {
        for (to = count; from < to; from++)
            for (w = 0; w < 2; w++)
                for (e = way[w]->start[list[from]]; e < way[w]->start[list[from] + 1]; e++)
                    if (!mark[way[w]->index[e]]) mark[list[count++] = way[w]->index[e]] = 1;
        if (!step) c->contacts = count - 1;
    }
    c->reach = count - 1;
    for (i = 1; i < count; i++) {
        double square = 0;
        for (d = 0; d < dims; d++) {
            double x = (double)t->coords.data[list[i] * t->coords.stride + d] -
                       (double)t->coords.data[c->cell * t->coords.stride + d];
            mean[d] += x / (double)c->reach;
            square += x * x;
        }
        far += sqrt(square) / (double)c->reach;
    }
    c->aside = far > 0 ? sqrt(mean[0] * mean[0] + mean[1] * mean[1] + mean[2] * mean[2]) / far : 0;
    for (i = 0; i < count; i++) mark[list[i]] = 0;
}

/* The cells of the tissue that express --gene most, of those that are well measured, well connected and away from
 * borders; where there is none such, of all that express it. At most `most`. */
static candidate *best_cells(const tissue *t, int64_t most, int64_t *found, int64_t *expressing)
{
    int64_t cells = t->x.rows, i, k, *list = (int64_t *)get((size_t)cells, sizeof(int64_t));
    candidate *all = (candidate *)get((size_t)cells, sizeof *all), *out = (candidate *)get((size_t)most, sizeof *out);
    double *totals = (double *)get((size_t)cells, sizeof(double)), median, *rank;
    uint8_t *mark = (uint8_t *)get((size_t)cells, 1);
    cel_csr back;
    must(cel_csr_transpose(&t->graph, &back), "neighbours", NULL);
    for (i = 0; i < cells; i++) totals[i] = t->kind == CEL_KIND_COUNTS ? t->total[t->row[i]] : 1;
    rank = (double *)grown(totals, cells, cells, sizeof(double));
    qsort(rank, (size_t)cells, sizeof(double), compare_doubles);
    median = rank[cells / 2];
    *expressing = *found = 0;
    for (i = 0; i < cells; i++) {
        double level = t->level[t->row[i]];
        if (!(level > 0)) continue;
        all[*expressing].cell = i;
        all[*expressing].level = level;
        all[(*expressing)++].typical = level * median / totals[i];
    }
    qsort(all, (size_t)*expressing, sizeof *all, compare_candidates);
    for (k = 0; k < 2 && !*found; k++)
        for (i = 0; i < *expressing && *found < most; i++) {
            look_around(t, &back, mark, list, &all[i]);
            if (k || (totals[all[i].cell] >= median && all[i].aside < 0.25 &&
                      (double)all[i].contacts >= floor(t->mean_degree)))
                out[(*found)++] = all[i];
        }
    cel_csr_free(&back);
    free(rank);
    free(totals);
    free(mark);
    free(list);
    free(all);
    return out;
}

static void command_cells(void)
{
    fitted f = CEL_ZERO;
    tissue t;
    candidate *list;
    int64_t count, expressing, i;
    need(o.gene, "cells", "--gene NAME");
    t = load_tissue("cells", &f, 0);
    list = best_cells(&t, o.rows, &count, &expressing);
    printf("%s is expressed in %lld of %lld cells%s\n", o.gene, (long long)expressing, (long long)t.x.rows,
           expressing ? ". Well measured, well connected, away from borders, those that express it most:" : "");
    if (!count) return;
    printf("  %-10s %-20s %10s %12s %10s %14s %10s\n", "cell", "name", "level", "at median", "next to",
           "in three steps", "to a side");
    for (i = 0; i < count; i++)
        printf("  %-10lld %-20s %10.4g %12.4g %10lld %14lld %10.2f\n", (long long)t.row[list[i].cell],
               t.cells.name ? cell_name(&t, t.row[list[i].cell]) : "-", list[i].level, list[i].typical,
               (long long)list[i].contacts, (long long)list[i].reach, list[i].aside);
    if (list[0].aside >= 0.25) printf("  none that expresses it is away from borders and well measured\n");
    printf("level: of %s in the input; at median: scaled to the median total; to a side: 0 in the middle of a tissue, "
           "0.6 at a straight border\n", o.gene);
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

/* The cell of --cell: a row of the input, a name, or best. */
static int64_t wanted_cell(const tissue *t)
{
    int64_t row = find_name(&t->cells, o.cell), count, expressing;
    candidate *list;
    if (row >= 0) return kept_cell(t, row, "--cell");
    if (strcmp(o.cell, "best")) {
        if (t->cells.name && !isdigit((unsigned char)o.cell[0]))
            die(1, "--cell: no cell is called '%s'%s", o.cell, did_you_mean(&t->cells, o.cell));
        row = parse_whole("cell", o.cell);
        if (row < 0) die(2, "--cell %s: at least 0", o.cell);
        return kept_cell(t, row, "--cell");
    }
    list = best_cells(t, 1, &count, &expressing);
    if (!count) die(1, "%s: no cell expresses %s", t->file, o.gene);
    note("--cell best: cell %s, with %.4g of %s, %lld cells next to it and %lld within three steps",
         cell_name(t, t->row[list->cell]), list->level, o.gene, (long long)list->contacts, (long long)list->reach);
    o.cell = cell_name(t, t->row[list->cell]); /* as results name it */
    row = list->cell;
    free(list);
    return row;
}

static int adds_cell(const cel_intervention *v) { return v->what == CEL_DO_ADD || v->what == CEL_DO_ADD_FREE; }

/* Says which gene or type a line of interventions that could not be read comes close to. */
static void misspelt(const tissue *t, const char *all, int64_t line)
{
    char *word, *copy;
    for (; line > 1 && *all; all++) line -= *all == '\n';
    copy = format_text("%.*s", (int)strcspn(all, "\r\n"), all);
    for (word = strtok(copy, ","); word; word = strtok(NULL, ",")) {
        const char *at = strstr(word, "of type ") ? strstr(word, "of type ") + 8 : word + strspn(word, " ");
        char *name = format_text("%.*s", (int)strcspn(at, "\""), at);
        size_t n = strlen(name);
        while (n && name[n - 1] == ' ') name[--n] = 0;
        if (!n || isdigit((unsigned char)*name) || *name == '-') continue;
        if (find_name(&t->genes, name) < 0 && *did_you_mean(&t->genes, name))
            note("there is no gene %s%s", name, did_you_mean(&t->genes, name));
        if (find_name(&t->types, name) < 0 && *did_you_mean(&t->types, name))
            note("there is no type %s%s", name, did_you_mean(&t->types, name));
    }
    free(copy);
}

/* units: levels are in the user's, else they are coordinates of unit rows. */
static cel_intervention *read_interventions(const tissue *t, int units, int64_t *count)
{
    cel_intervention *list;
    cel_error err;
    cel_status status;
    int64_t i;
    int d;
    if (o.interventions) {
        cel_intervention_names known = CEL_ZERO;
        char *all = read_text(o.interventions), *from = all;
        no_effect("cell gene value fold", "beside --interventions");
        if (!all) die(1, "%s: %s", o.interventions, strerror(errno));
        if (strncmp(from, "\xef\xbb\xbf", 3) == 0) from += 3; /* a byte order mark */
        known.genes = (const char *const *)t->genes.name;
        known.gene_count = t->genes.count;
        known.types = (const char *const *)t->types.name;
        known.type_count = t->types.count;
        known.cells = t->rows;
        known.any_value = units;
        status = cel_intervention_parse(from, strlen(from), &known, &list, count, &err);
        if (status) misspelt(t, from, err.offset);
        must_at(status, o.interventions, &err, "line", "gene");
        if (!*count) die(1, "%s: no intervention", o.interventions);
        for (i = 0; i < *count; i++) { /* lines name cells of the input; some may have been left out */
            if (list[i].who == CEL_WHO_CELLS && !adds_cell(&list[i]))
                list[i].cell = kept_cell(t, list[i].cell, o.interventions);
            if (list[i].what != CEL_DO_HOLD && list[i].what != CEL_DO_REMOVE)
                list[i].like = kept_cell(t, list[i].like, o.interventions);
            for (d = 0; d < 3; d++) list[i].place[d] -= t->shift[d];
        }
        free(all);
        return list;
    }
    if (!o.cell || !o.gene) die(2, "perturb needs --interventions FILE, or --cell I and --gene NAME");
    list = (cel_intervention *)get(1, sizeof *list);
    list->gene = find_name(&t->genes, o.gene);
    if (list->gene < 0)
        die(1, "%s: no gene '%s'%s", o.genes ? o.genes : t->file, o.gene, did_you_mean(&t->genes, o.gene));
    list->cell = wanted_cell(t);
    if (!(t->level[t->row[list->cell]] > 0) && !o.expression && !(o.value > 0))
        warn("cell %s does not express %s: to hold it at 0 there changes next to nothing. --cell best takes one that "
             "does, celcomen cells --gene %s lists some", cell_name(t, t->row[list->cell]), o.gene, o.gene);
    list->value = o.fold > 0 ? o.fold : o.value;
    *count = 1;
    return list;
}

/* The relations of the tissue with the added cells after the others: how the new cells are joined. */
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
    u.row = (int64_t *)grown(t->row, n, n + added, sizeof(int64_t));
    if (t->slide) u.slide = (int32_t *)grown(t->slide, n, n + added, sizeof(int32_t));
    if (t->type) u.type = (int32_t *)grown(t->type, n, n + added, sizeof(int32_t));
    for (i = 0, k = n; i < count; i++) {
        if (!adds_cell(&list[i])) continue;
        for (d = 0; d < t->coords.cols; d++) u.coords.data[k * u.coords.stride + d] = (cel_real)list[i].place[d];
        if (t->slide) u.slide[k] = t->slide[list[i].like];
        if (t->type) u.type[k] = t->type[list[i].like];
        u.row[k] = t->rows + k - n;
        k++;
    }
    build_graph(&u);
    return make_relations(&u, f);
}

/* Gene sets: one a line, its name, then its genes; genes and sets that the slide lacks are counted and left out. */
typedef struct gene_sets {
    char **name;
    cel_mat member; /* (sets x genes) 0 or 1 */
    int64_t count;
} gene_sets;

static gene_sets read_gene_sets(const names *genes)
{
    gene_sets s = CEL_ZERO;
    cel_error err;
    names line;
    char *word;
    int64_t i, g, unknown = 0, empty = 0;
    must_at(cel_file_lines(o.gene_sets, &line.name, &line.count, &err), o.gene_sets, &err, "line", "gene");
    s.name = (char **)get((size_t)line.count, sizeof(char *));
    must(cel_mat_new(line.count, genes->count, &s.member), o.gene_sets, NULL);
    for (i = 0; i < line.count; i++) {
        int64_t members = 0;
        if (!line.name[i][0] || line.name[i][0] == '#') continue;
        word = strtok(line.name[i], "\t,");
        if (!word) continue;
        s.name[s.count] = word;
        while ((word = strtok(NULL, "\t,")) != NULL) {
            size_t n;
            word += strspn(word, " ");
            for (n = strlen(word); n && word[n - 1] == ' '; n--) word[n - 1] = 0;
            g = find_name(genes, word);
            if (g < 0) {
                unknown++;
                continue;
            }
            s.member.data[s.count * s.member.stride + g] = 1;
            members++;
        }
        if (members) s.count++;
        else empty++;
    }
    if (!s.count) die(1, "%s: no set has a gene of the model", o.gene_sets);
    s.member.rows = s.count;
    if (unknown) note("%s: %lld names are not among the genes", o.gene_sets, (long long)unknown);
    if (empty) note("%s: %lld sets without a gene of the model are left out", o.gene_sets, (long long)empty);
    return s;
}

/* The bands of --distances: edge[0] to edge[1], .. of the result, and their names. */
static double *read_distances(names *band)
{
    char *list = format_text("%s", o.distances), *word;
    double *edge = (double *)get(strlen(list), sizeof(double));
    int64_t count = 0, k;
    for (word = strtok(list, ","); word; word = strtok(NULL, ",")) {
        edge[count] = parse_number("distances", word);
        if (edge[count] < 0 || (count && !(edge[count] > edge[count - 1])))
            die(2, "--distances: numbers from 0 up, each above the one before");
        count++;
    }
    if (count < 2) die(2, "--distances needs two numbers at least");
    band->count = count - 1;
    band->name = (char **)get((size_t)count, sizeof(char *));
    for (k = 0; k < band->count; k++) band->name[k] = format_text("%g-%g", edge[k], edge[k + 1]);
    free(list);
    return edge;
}

/* How effects are averaged: by what, and the names of its groups (NULL: numbers). */
typedef struct grouped {
    const char *what;
    char *const *name;
    int printed;
} grouped;

/* Rows of the local cells in a unit of the user's: observed, sham, after. */
enum { OBSERVED, SHAM, AFTER };
typedef struct unit_values {
    const char *name;
    cel_mat value[3];
} unit_values;

typedef struct counterfactual {
    fitted f;
    tissue t;
    cel_relations r, after;
    cel_intervention *list;
    int64_t count, added;
    cel_perturb plan;
    cel_method method;
    grouped by[3];
    cel_grouping grouping[3];
    int groupings, units;
    unit_values unit[2]; /* (units) */
    gene_sets sets;
    cel_effect effect;
    double clock;
    char *law; /* what its law is worth, or NULL */
} counterfactual;

static void group_by(counterfactual *c, const char *what, char *const *name, int64_t groups, int32_t *label)
{
    grouped *g = &c->by[c->groupings];
    g->what = what;
    g->name = name;
    g->printed = strcmp(what, "type") != 0;
    c->grouping[c->groupings].label = label;
    c->grouping[c->groupings++].groups = groups;
}

/* Sweeps of the tissue that tells what a counterfactual's law is worth: enough to see it fail. */
#define LAW_SWEEPS 100

static void prepare_perturb(counterfactual *c)
{
    cel_perturb_setup setup = CEL_ZERO;
    cel_tissue observed = CEL_ZERO;
    cel_error err;
    names band = CEL_ZERO;
    double *edge = o.distances ? read_distances(&band) : NULL;
    int32_t *label[3];
    int64_t i;
    c->f = load_model(o.model);
    c->t = load_tissue("perturb", &c->f, 0);
    c->r = model_relations(&c->f, &c->t, o.model);
    refuse_orthant(&c->f);
    if (c->f.record.scaling.centre && c->r.count > 1) {
        likeness l[STATISTICS];
        cel_mat drawn;
        c->law = check_law(&c->f, &c->t, &c->r, LAW_SWEEPS, &drawn, l);
        cel_mat_free(&drawn);
    }
    if (c->method == CEL_METHOD_PAPER && c->f.record.scaling.centre)
        die(1, "%s: not fitted on rows as --method paper makes them", o.model);
    if (c->f.record.scaling.size)
        must(cel_model_confine(&c->f.record.model, c->f.record.scaling.size), o.model, NULL);
    one_of("value fold");
    one_of("unit fold");
    setup.unit = (cel_unit)choice("unit");
    if (o.fold > 0) setup.unit = CEL_UNIT_FOLD;
    else if (!o.unit && c->f.record.scaling.kind == CEL_KIND_COUNTS) setup.unit = CEL_UNIT_TYPICAL;
    if (c->f.record.scaling.kind == CEL_KIND_UNIT) {
        no_effect("unit fold", "on a model of unit rows, whose levels are coordinates");
        if (fabs(o.value) > 1) die(2, "--value %g: a coordinate of a unit row is at most 1", o.value);
    } else {
        setup.scaling = &c->f.record.scaling;
        setup.cell = c->t.cell;
    }
    c->list = read_interventions(&c->t, setup.scaling != NULL, &c->count);
    say_mean_field(&c->f);
    c->clock = seconds();
    for (i = 0; i < c->count; i++) c->added += adds_cell(&c->list[i]);
    if (c->added) {
        c->after = relations_with(&c->f, &c->t, c->list, c->count, c->added);
        setup.after = &c->after;
    }
    setup.reach = (int)(c->method == CEL_METHOD_PAPER && o.within > 0 ? -o.within : o.within < 0 ? -3 : o.within);
    observed.x = c->t.x;
    observed.relations = &c->r;
    observed.coords = c->t.coords;
    observed.type = c->t.type;
    must_at(cel_perturb_new(&c->f.record.model, &observed, c->list, c->count, &setup, &c->plan, &err),
            o.interventions ? o.interventions : "--cell, --gene", &err, "line", "gene");
    for (i = 0; i < 3; i++) label[i] = (int32_t *)get((size_t)c->plan.cells, sizeof(int32_t));
    group_by(c, "hop", NULL, cel_perturb_by_hop(&c->plan, label[0]), label[0]);
    if (c->t.type) group_by(c, "type", c->t.types.name, cel_perturb_by_type(&c->plan, label[1]), label[1]);
    if (edge)
        group_by(c, "distance", band.name, cel_perturb_by_distance(&c->plan, edge, band.count, label[2]), label[2]);
    if (o.gene_sets) c->sets = read_gene_sets(&c->t.genes);
}

static void run_perturb(counterfactual *c)
{
    cel_perturb_options run = CEL_ZERO;
    cel_paper_options published = paper_options();
    cel_error err;
    if (!(published.q > 0)) published.q = c->f.q;
    run.method = c->method;
    run.repeats = o.repeats;
    run.warmup = warmup_option();
    run.sweeps = o.sweeps;
    run.orthant = o.orthant;
    run.seed = o.seed;
    run.paper = &published;
    run.grouping = c->grouping;
    run.groupings = c->groupings;
    run.sets = c->sets.member;
    run.progress = progress;
    must(cel_perturb_run(&c->plan, &run, &c->effect, &err), "perturb", &err);
}

/* What the rows of both arms mean to the user: rows themselves, log-normalised, and as the input was. */
static void take_values(counterfactual *c)
{
    const cel_scaling *s = &c->f.record.scaling;
    const cel_mat row[] = {c->plan.start[0], c->effect.sham, c->effect.after};
    cel_unit unit[] = {CEL_UNIT_LOG, CEL_UNIT_GIVEN};
    int64_t i;
    int u, k;
    if (s->kind == CEL_KIND_UNIT) return;
    for (u = s->log ? 0 : 1; u < (s->kind == CEL_KIND_LOGNORM ? 1 : 2); u++) {
        unit_values *v = &c->unit[c->units++];
        v->name = unit[u] == CEL_UNIT_LOG ? "log" : s->kind == CEL_KIND_COUNTS ? "counts" : "value";
        for (k = 0; k < 3; k++) {
            must(cel_mat_new(row[k].rows, row[k].cols, &v->value[k]), "results", NULL);
            must(cel_scaling_values(s, unit[u], row[k], c->plan.cell[k == AFTER], v->value[k]), "results", NULL);
            for (i = 0; i < row[k].rows * row[k].cols; i++) /* there and back a 0 is one but for rounding */
                if (fabs((double)v->value[k].data[i]) < 1e-6) v->value[k].data[i] = 0;
        }
    }
}

/* Means of x over the cells of each group that both arms have, in the columns of its table: genes, then sets (weighted
 * sums of genes). */
static double *group_means(const counterfactual *c, int which, cel_mat x)
{
    const cel_effect_table *t = &c->effect.table[which];
    double *mean = (double *)get((size_t)(t->groups * t->columns), sizeof(double));
    int64_t i, g, k, j, n = t->genes;
    for (i = 0; i < x.rows; i++) {
        g = c->grouping[which].label[i];
        if (g < 0 || !c->plan.present[0][i] || !c->plan.present[1][i]) continue;
        for (k = 0; k < n; k++) mean[g * t->columns + k] += (double)x.data[i * x.stride + k] / (double)t->cells[g];
    }
    for (g = 0; g < t->groups; g++)
        for (k = n; k < t->columns; k++)
            for (j = 0; j < n; j++)
                mean[g * t->columns + k] += (double)c->sets.member.data[(k - n) * n + j] * mean[g * t->columns + j];
    return mean;
}

/* effects.csv, the groups of one way: by hop, type or distance. */
static void put_effects(FILE *out, const counterfactual *c, int which)
{
    const grouped *by = &c->by[which];
    const cel_effect_table *t = &c->effect.table[which];
    double *mean[3][3]; /* rows, then each unit: observed, sham, after */
    int64_t g, k;
    int state, u;
    for (state = 0; state < 3; state++) {
        const cel_mat row[] = {c->plan.start[0], c->effect.sham, c->effect.after};
        mean[0][state] = group_means(c, which, row[state]);
        for (u = 0; u < c->units; u++) mean[1 + u][state] = group_means(c, which, c->unit[u].value[state]);
    }
    for (g = 0; g < t->groups; g++)
        for (k = 0; k < t->columns && t->cells[g]; k++) {
            int64_t at = g * t->columns + k;
            fprintf(out, "%s,", by->what);
            if (by->name) put_field(out, by->name[g]);
            else fprintf(out, "%lld", (long long)g);
            fputs(k < t->genes ? "," : ",set:", out);
            put_field(out, k < t->genes ? c->t.genes.name[k] : c->sets.name[k - t->genes]);
            for (u = 0; u <= c->units; u++) {
                for (state = 0; state < 3; state++) put_number(out, 6, mean[u][state][at]);
                put_number(out, 6, u ? mean[u][AFTER][at] - mean[u][SHAM][at] : t->mean[at]);
                if (!u) put_number(out, 6, t->se[at]);
                if (!u) put_number(out, 6, t->q[at]);
            }
            fprintf(out, ",%lld\n", (long long)t->cells[g]);
        }
    for (u = 0; u <= c->units; u++)
        for (state = 0; state < 3; state++) free(mean[u][state]);
}

static void write_effects(const counterfactual *c)
{
    FILE *out = open_out("effects.csv");
    int u;
    fputs("by,group,gene,observed,sham,after,effect,se,q", out);
    for (u = 0; u < c->units; u++)
        fprintf(out, ",observed_%s,sham_%s,after_%s,effect_%s", c->unit[u].name, c->unit[u].name, c->unit[u].name,
                c->unit[u].name);
    fputs(",cells\n", out);
    for (u = 0; u < c->groupings; u++) put_effects(out, c, u);
    close_out(out);
}

/* The effect on a gene, cell by cell, in the cells that may move: in the last unit, or in coordinates of the row.
 * positions: where they are, for the page, made by the first map. */
static draw effect_map(const counterfactual *c, int64_t gene, double width, draw_buffer *positions)
{
    const cel_perturb *plan = &c->plan;
    const unit_values *u = c->units ? &c->unit[c->units - 1] : NULL;
    show_map m = CEL_ZERO;
    int64_t i, n = c->f.record.model.genes;
    double *x = (double *)get((size_t)plan->cells, sizeof(double));
    double *y = (double *)get((size_t)plan->cells, sizeof(double));
    double *v = (double *)get((size_t)plan->cells, sizeof(double));
    unsigned char *ring = (unsigned char *)get((size_t)plan->cells, 1);
    char *title = format_text("%s, after \xE2\x88\x92 sham", c->t.genes.name[gene]);
    int64_t *id = (int64_t *)get((size_t)plan->cells, sizeof(int64_t));
    draw d;
    for (i = 0; i < plan->cells; i++) {
        const cel_real *sham = u ? u->value[SHAM].data : c->effect.sham.data;
        const cel_real *after = u ? u->value[AFTER].data : c->effect.after.data;
        if (!plan->present[0][i] || !plan->present[1][i]) continue;
        x[m.cells] = (double)plan->coords.data[i * plan->coords.stride];
        y[m.cells] = (double)plan->coords.data[i * plan->coords.stride + 1];
        v[m.cells] = (double)after[i * n + gene] - (double)sham[i * n + gene];
        id[m.cells] = plan->id[i] < c->t.x.rows ? c->t.row[plan->id[i]] : plan->id[i] - c->t.x.rows + c->t.rows;
        ring[m.cells++] = plan->hop[i] == 0;
    }
    m.x = x;
    m.y = y;
    m.slides = 1;
    m.ring = ring;
    m.unit = o.length_unit;
    m.hover = 1;
    if (!positions->data) *positions = map_positions(&m, id);
    show_value_map(&d, width, &m, v, DRAW_SIGNED, title, u ? u->name : "coordinate of the row");
    free(x);
    free(y);
    free(v);
    free(ring);
    free(id);
    return d;
}

/* The page of a counterfactual, from the tables that were just written; json: the report so far. */
static draw_buffer perturb_page(const counterfactual *c, const char *json)
{
    page_source p = CEL_ZERO;
    draw_buffer b = CEL_ZERO;
    draw map[4];
    const char *caption[4];
    show_effects e;
    int order[4], n, k;
    char *title, *words;
    p.json = json;
    p.command = typed_again();
    p.effects = read_text(in_folder(output.hidden, "effects.csv"));
    p.map = map;
    p.caption = caption;
    e = show_read_effects(p.effects);
    n = e.genes ? show_changed(&e, 4, order) : 0;
    for (k = 0; k < n && c->plan.coords.data; k++) {
        int64_t gene = find_name(&c->t.genes, show_effect_gene(&e, order[k]));
        if (gene < 0) continue;
        caption[p.maps] = format_text("The effect on %s in every cell that may move. Cells that were changed are "
                                      "ringed.", c->t.genes.name[gene]);
        map[p.maps++] = effect_map(c, gene, PAGE_MAP, &p.positions);
    }
    if (o.interventions) title = format_text("Interventions of %s in %s", o.interventions, slide_name(c->t.file));
    else if (o.fold > 0) title = format_text("%s at %g times its level in cell %s", o.gene, o.fold, o.cell);
    else title = format_text("%s held at %g in cell %s", o.gene, o.value, o.cell);
    words = o.interventions ? read_text(o.interventions) : title;
    page_perturb(&b, &p, title, strlen(words) < 2000 ? words : format_text("%.1990s\n..", words));
    show_table_free(&e.t);
    return b;
}

static void write_perturb(const counterfactual *c)
{
    const cel_effect *e = &c->effect;
    cel_mat x = c->t.x, full, observed;
    text report = report_head("perturb");
    draw_buffer page = CEL_ZERO;
    report_tissue(&report, &c->t, &c->f);
    json_text(&report, "method", chosen("method"));
    json_text(&report, "model", o.model);
    json_text(&report, "law", method_word(&c->f));
    if (c->law) json_text(&report, "law_of_the_slide", c->law);
    NUMBERS(&report, "interventions cells_added within cells_that_move repeats effect_size moved_from_start "
            "sham_drift effect_beyond acceptance seconds", (double)c->count, (double)c->added,
            c->plan.open ? -1 : c->plan.reach, (double)c->plan.cells, (double)e->repeats, e->size, e->moved, e->drift,
            e->beyond, e->acceptance, seconds() - c->clock);
    must(cel_mat_new(x.rows + c->added, x.cols, &full), "results", NULL);
    observed = cel_mat_block(full, 0, 0, x.rows, x.cols);
    must(cel_mat_copy(x, observed), "results", NULL);
    write_rows("before.npy", x, &c->t, &c->t.genes);
    must(cel_perturb_scatter(&c->plan, e->sham, observed), "results", NULL);
    write_rows("sham.npy", observed, &c->t, &c->t.genes);
    must(cel_perturb_scatter(&c->plan, e->after, full), "results", NULL);
    write_rows("after.npy", full, &c->t, &c->t.genes);
    write_effects(c);
    write_cells(&c->t);
    page = o.report ? perturb_page(c, report.data) : page;
    finish_output(&report);
    if (o.report) write_page(&page);
}

/* The five genes that change most in each group: what was observed, both arms, and their difference with its error. */
static void print_effects(const counterfactual *c, int which)
{
    const grouped *by = &c->by[which];
    const cel_effect_table *t = &c->effect.table[which];
    const names *genes = &c->t.genes;
    const cel_mat row[] = {c->plan.start[0], c->effect.sham, c->effect.after};
    double *mean[3];
    int32_t *order = (int32_t *)get((size_t)genes->count, sizeof(int32_t));
    int64_t g, i;
    int state;
    for (state = 0; state < 3; state++)
        mean[state] = group_means(c, which, c->units ? c->unit[c->units - 1].value[state] : row[state]);
    for (g = 0; g < t->groups; g++) {
        if (!t->cells[g]) continue;
        if (by->name) printf("%s %s", by->what, by->name[g]);
        else printf("%s %lld", by->what, (long long)g);
        printf(", %lld cell%s", (long long)t->cells[g], t->cells[g] > 1 ? "s" : "");
        must(cel_effect_rank(t, g, order), "perturb", NULL);
        if (!(fabs(t->mean[g * t->columns + order[0]]) > 0)) {
            printf(": held as observed, nothing changes\n");
            continue;
        }
        printf("\n");
        for (i = 0; i < 5 && i < genes->count; i++) {
            int64_t at = g * t->columns + order[i];
            printf("  %-14s %10.4g %10.4g %10.4g %+11.4g", genes->name[order[i]], mean[OBSERVED][at], mean[SHAM][at],
                   mean[AFTER][at], t->mean[at]);
            if (t->se[at] > 0) printf(" %10.3g %10.2g", t->se[at], t->q[at]);
            printf("\n");
        }
        if (i < genes->count) printf("  .. and %lld genes more in effects.csv\n", (long long)(genes->count - i));
    }
    free(order);
    for (state = 0; state < 3; state++) free(mean[state]);
}

static void command_perturb(void)
{
    static const char *const without[] = {PUBLISHED_OPTIONS, PUBLISHED_OPTIONS " repeats warmup",
                                          PUBLISHED_OPTIONS " repeats warmup", "repeats warmup sweeps orthant"};
    counterfactual c = CEL_ZERO;
    int k;
    need(o.model, "perturb", "--model DIR");
    check_output("perturb");
    check_page();
    c.method = (cel_method)choice("method");
    no_effect(without[c.method], format_text("with --method %s", chosen("method")));
    if (o.within == 0) die(2, "--within is at least 1, or -1 to hold no cell");
    if (o.distances && !o.coords) die(2, "--distances needs --coords FILE.npy");
    prepare_perturb(&c);
    run_perturb(&c);
    take_values(&c);
    write_perturb(&c);
    note("perturb: %lld repeats (%.2f s)", (long long)c.effect.repeats, seconds() - c.clock);
    if (c.law) printf("%s\n", c.law);
    printf("means over cells, by steps from the intervened (hop)%s%s%s\n  %-14s %10s %10s %10s %11s%s\n",
           c.units ? "; observed, sham and after in units of " : "", c.units ? c.unit[c.units - 1].name : "",
           c.units ? ", effect and its error of unit rows" : "", "gene", "observed", "sham", "after", "effect",
           c.effect.table[0].se[0] >= 0 ? "         se          q" : "");
    for (k = 0; k < c.groupings; k++)
        if (c.by[k].printed) print_effects(&c, k);
    if (c.method == CEL_METHOD_PAPER)
        printf("|after - start| = %.4g, |after - sham| = %.4g: the rest is drift, which no control would have read as "
               "effect\n",
               c.effect.moved, c.effect.size);
    else
        printf("|after - sham| = %.4g; the sham alone drifts by %.4g from the observed tissue, which is taken off\n",
               c.effect.size, c.effect.drift);
}

/* ---- reading a model ---- */

/* The mean over cells of J, exact or of the moment form, or of the log pseudo-likelihood. A cell's share depends on the
 * field of its own slide alone: with a field for every slide, each cell is asked under its own. */
static double mean_value(int which, const fitted *f, cel_model m, const cel_relations *r, const tissue *t)
{
    static cel_work work;
    const cel_model_record *record = &f->record;
    double *each = (double *)get((size_t)t->x.rows, sizeof(double)), sum = 0, total = 0;
    int64_t i, s, own = m.field && record->slide_field.data && t->slide;
    names known;
    known.name = record->slide;
    known.count = record->slides;
    for (s = 0; s < (own ? t->slides.count : 1); s++) {
        int64_t k = own ? find_name(&known, t->slides.name[s]) : -1;
        m.field = k < 0 ? m.field ? record->model.field : NULL : record->slide_field.data + k * record->slide_field.stride;
        if (which < 2)
            must(cel_score_value(&m, r, t->x, which ? CEL_SCORE_MOMENT : CEL_SCORE_EXACT, &sum, each, &work), t->file,
                 NULL);
        else must(cel_score_pseudo_likelihood(&m, r, t->x, &sum, each, &work), t->file, NULL);
        for (i = 0; i < t->x.rows && own; i++) total += t->slide[i] == s ? each[i] : 0;
    }
    free(each);
    return own ? total / (double)t->x.rows : sum;
}

/* The mean log-likelihood of counts, given the neighbours': of the model, of the fit to each cell's own genes, of no
 * forces. */
static void print_likelihood(const fitted *f, const cel_relations *r, const tissue *t)
{
    const char *path = in_folder(o.model, "own_genes.npz");
    fitted law[3];
    cel_relations alone;
    cel_error err;
    int64_t i;
    int k;
    double *each = (double *)get((size_t)t->counts.rows, sizeof(double)), sum[3] = {0, 0, 0};
    law[0] = law[1] = law[2] = *f;
    must(cel_model_read(path, &law[1].record, &err), path, &err);
    law[1].record.scaling = scaling_for(t, &law[1], NULL);
    must(cel_model_new(f->record.model.genes, f->record.model.relations, 0, &law[2].record.model), t->file, NULL);
    must(cel_relations_new(t->counts.rows, &alone), t->file, NULL);
    for (k = 0; k < 3; k++) {
        tissue same = *t;
        infer_rows(&same, &law[k], k == 1 ? &alone : r, NULL, each);
        for (i = 0; i < t->counts.rows; i++) sum[k] += each[i] / (double)t->counts.rows;
    }
    printf("log-likelihood of counts       %14.6g %14.6g %14.6g\n", sum[0], sum[1], sum[2]);
    free(each);
}

static void command_score(void)
{
    static const char *const what[] = {"score J, exact   (lower best) ", "score J, moments (lower best) ",
                                       "log pseudo-likelihood (higher)"};
    fitted f;
    tissue t;
    cel_relations r;
    cel_mat basis;
    cel_model less[2]; /* without forces between cells; without any */
    double off;
    int k, own;
    need(o.model, "score", "--model DIR");
    f = load_model(o.model);
    t = load_tissue("score", &f, 0);
    r = model_relations(&f, &t, o.model);
    if (f.counting) { /* of rows that a model has inferred, all else would praise it */
        printf("per cell                       %14s %14s %14s\n", "this model", "own genes", "no forces");
        print_likelihood(&f, &r, &t);
        return;
    }
    if (!t.slide) say_mean_field(&f);
    basis = reduce_model(&f);
    change_basis(basis, 0, &t.x);
    for (k = 0; k < 2; k++)
        must(cel_model_new(f.record.model.genes, f.record.model.relations, k == 0 && f.record.model.field, less + k),
             "score", NULL);
    must(cel_mat_copy(cel_model_force(&f.record.model, 0), cel_model_force(less, 0)), "score", NULL);
    must(cel_score_check(&f.record.model, &r, t.x, CEL_SCORE_EXACT, 8, &off, NULL), t.file, NULL);
    note("J and its gradient agree with their definitions, at 8 cells, to %.1g", off);
    printf("per cell                       %14s %14s %14s\n", "this model", "within cells", "no forces");
    for (k = 0; k < 3; k++) {
        if (k == 1 && f.record.scaling.centre) continue; /* their fit is of another objective */
        printf("%s %14.6g", what[k], mean_value(k, &f, f.record.model, &r, &t));
        for (own = 0; own < 2; own++) printf(" %14.6g", mean_value(k, &f, less[own], &r, &t));
        printf("\n");
    }
}

/* Rates of a slide's counts under a model by --method counts. */
static void command_denoise(void)
{
    fitted f;
    tissue t;
    cel_relations r;
    cel_mat value;
    text report;
    int64_t gene;
    need(o.model, "denoise", "--model DIR");
    check_output("denoise");
    f = load_model(o.model);
    if (!f.counting) die(1, "%s: not fitted by --method counts", o.model);
    t = load_tissue("denoise", &f, 0);
    r = model_relations(&f, &t, o.model);
    if (o.gene) {
        uint8_t *seen = (uint8_t *)get((size_t)t.genes.count, 1);
        gene = find_name(&t.genes, o.gene); /* which load_tissue has seen to be there */
        memset(seen, 1, (size_t)t.genes.count);
        seen[gene] = 0;
        infer_rows(&t, &f, &r, seen, NULL);
    }
    must(cel_mat_new(t.x.rows, t.x.cols, &value), t.file, NULL);
    must(cel_scaling_values(&f.record.scaling, CEL_UNIT_TYPICAL, t.x, t.cell, value), t.file, NULL);
    write_rows("rate.npy", value, &t, &t.genes);
    must(cel_scaling_values(&f.record.scaling, CEL_UNIT_LOG, t.x, t.cell, value), t.file, NULL);
    write_rows("log_rate.npy", value, &t, &t.genes);
    write_rows("log_rate_error.npy", t.error, &t, &t.genes);
    write_cells(&t);
    report = report_head("denoise");
    report_tissue(&report, &t, &f);
    finish_output(&report);
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

/* The genes of set s, appended to pick; how many. */
static int64_t members(const gene_sets *sets, int64_t s, int32_t *pick)
{
    int64_t g, count = 0;
    for (g = 0; g < sets->member.cols; g++)
        if (sets->member.data[s * sets->member.stride + g] > 0) pick[count++] = (int32_t)g;
    return count;
}

/* Every two sets compared by permutation of their genes (the paper's Fig. 3b). */
static void compare_sets(const names *genes, const double *value)
{
    gene_sets sets = read_gene_sets(genes);
    int32_t *pick = (int32_t *)get((size_t)(2 * genes->count), sizeof(int32_t));
    int64_t s, u, i, j;
    for (s = 0; s < sets.count; s++) {
        int64_t count = members(&sets, s, pick);
        printf("%-24s %4lld genes, mean inter - intra %+.4f\n", sets.name[s], (long long)count,
               set_difference(value, pick, count, 0));
    }
    for (s = 0; s < sets.count; s++)
        for (u = s + 1; u < sets.count; u++) {
            int64_t first = members(&sets, s, pick), second = members(&sets, u, pick + first), beyond = 0;
            double seen = set_difference(value, pick, first, second);
            cel_rng rng = cel_rng_at(o.seed, 1, (uint32_t)s, (uint32_t)u);
            for (j = 0; j < o.permutations; j++) {
                for (i = first + second - 1; i > 0; i--) {
                    int64_t k = cel_rng_integer(&rng, (uint32_t)i + 1);
                    int32_t swap = pick[i];
                    pick[i] = pick[k];
                    pick[k] = swap;
                }
                beyond += fabs(set_difference(value, pick, first, second)) >= fabs(seen) * (1 - 1e-12);
            }
            printf("%s - %s: %+.4f, permutation p = %.4g\n", sets.name[s], sets.name[u], seen,
                   (double)(beyond + 1) / (double)(o.permutations + 1));
        }
    free(pick);
}

/* Genes ranked by inter minus intra. */
static void command_disentangle(void)
{
    fitted f;
    cel_model m;
    names genes;
    double *value;
    int64_t n, i;
    pair *list;
    text report;
    FILE *out;
    need(o.model, "disentangle", "--model DIR");
    if (o.out) check_output("disentangle");
    if (!o.gene_sets) no_effect("permutations seed", "without --gene-sets");
    f = load_model(o.model);
    genes.name = f.record.gene;
    genes.count = n = f.record.model.genes;
    if (f.record.model.relations < 2) die(1, "%s: there is no between-cell force", o.model);
    m = ranked(&f);
    value = disentangle(&m);
    list = (pair *)get((size_t)n, sizeof(pair));
    for (i = 0; i < n; i++) {
        list[i].a = i;
        list[i].key = -value[i];
    }
    qsort(list, (size_t)n, sizeof(pair), compare_pairs);
    printf("most between cells:");
    for (i = 0; i < 10 && i < n; i++) printf("  %s %+.3f", genes.name[list[i].a], -list[i].key);
    printf("\nmost within cells: ");
    for (i = 0; i < 10 && i < n; i++) printf("  %s %+.3f", genes.name[list[n - 1 - i].a], -list[n - 1 - i].key);
    printf("\n");
    if (o.gene_sets) compare_sets(&genes, value);
    if (!o.out) return;
    out = open_out("disentangled.csv");
    fputs("gene,inter_minus_intra\n", out);
    for (i = 0; i < n; i++) {
        put_field(out, genes.name[list[i].a]);
        put_number(out, 7, -list[i].key);
        fputc('\n', out);
    }
    close_out(out);
    report = report_head("disentangle");
    finish_output(&report);
}

static void command_logz(void)
{
    fitted f = model_from_options("logz");
    tissue t = bare_tissue("logz", -1, NULL);
    cel_relations r = model_relations(&f, &t, o.model ? o.model : o.inter);
    const cel_model *m = &f.record.model;
    cel_logz_options a = CEL_ZERO;
    cel_logz_report done;
    cel_mat none = CEL_ZERO, x;
    cel_error err;
    double bound, q = o.q > 0 ? o.q : t.mean_degree, *mean;
    int64_t n = m->genes, i;
    say_mean_field(&f);
    if (f.record.scaling.size) n = reduce_model(&f).cols;
    a.seed = o.seed;
    a.runs = o.repeats;
    a.rungs = o.sweeps;
    a.progress = progress;
    must(cel_logz_ais(m, &r, &a, &done, &err), "logz", &err);
    must(cel_logz_bound(m, &r, &a, &bound, &err), "logz", &err);
    printf("log Z of %lld cells, %lld genes; without forces it is %.6g\n", (long long)t.rows, (long long)n,
           (double)t.rows * cel_sphere_log_area(n));
    printf("annealed importance sampling  %14.6g ", done.logz);
    if (done.converged) printf("+- %.2g (single runs %.6g to %.6g)\n", done.se, done.least, done.most);
    else
        printf("not converged: single runs %.6g to %.6g; more --sweeps bring them together\n", done.least, done.most);
    printf("rigorous lower bound          %14.6g\n", bound);
    if (m->relations != 2) return;
    /* The mean-field formulas want a mean expression: that of the most likely tissue. */
    must(cel_mat_new(t.rows, n, &x), "logz", NULL);
    cel_sample_uniform(o.seed, 0, 0, x);
    must(cel_ascent_run(m, &r, NULL, x, NULL, &err), "logz", &err);
    mean = (double *)get((size_t)n, sizeof(double));
    for (i = 0; i < t.rows * n; i++) mean[i % n] += (double)x.data[i] / (double)t.rows;
    for (i = 0; i < 2; i++) {
        cel_mean_field field;
        must(cel_model_logz(m, i ? CEL_SPHERE_RIGHT : CEL_SPHERE_PAPER, q, t.rows, mean, &field, none, NULL), "logz", NULL);
        printf("%s %14.6g   (at the most likely tissue's mean, q = %.3g)\n",
               i ? "mean field, sphere of n genes" : "mean field as published     ", field.logz, q);
    }
}

/* ---- known forces, and comparing ---- */

/* Random symmetric forces with zero diagonals on a hexagonal grid: a truth to recover. */
static void command_plant(void)
{
    static char *axis[] = {(char *)"x", (char *)"y"};
    cel_mat force[2], coords;
    names axes;
    int64_t n = o.n_genes, side = o.side, a, b, k;
    names genes = numbered_genes(n);
    text report;
    check_output("plant");
    for (k = 0; k < 2; k++) {
        must(cel_mat_new(n, n, &force[k]), "plant", NULL);
        for (a = 0; a < n; a++)
            for (b = a + 1; b < n; b++) {
                cel_rng rng = cel_rng_at(o.seed, (uint32_t)k, (uint32_t)a, (uint32_t)b);
                double has = cel_rng_uniform(&rng) < o.share, x = (k ? o.scale / 6 : o.scale) * cel_rng_normal(&rng);
                force[k].data[a * n + b] = force[k].data[b * n + a] = (cel_real)(has > 0 ? x : 0);
            }
    }
    must(cel_mat_new(side * side, 2, &coords), "plant", NULL);
    must(cel_graph_hex_coords(side, side, coords), "plant", NULL);
    write_named("intra.npy", force[0], "gene", &genes, &genes);
    write_named("inter.npy", force[1], "gene", &genes, &genes);
    axes.name = axis;
    axes.count = 2;
    write_named("coords.npy", coords, NULL, NULL, &axes);
    write_lines("genes.txt", &genes);
    note("plant: %lld genes, a grid of %lld cells", (long long)n, (long long)(side * side));
    report = report_head("plant");
    NUMBERS(&report, "scale share", o.scale, o.share);
    finish_output(&report);
}

static double *ranks(const double *x, int64_t count)
{
    pair *p = (pair *)get((size_t)count, sizeof(pair));
    double *r = (double *)get((size_t)count, sizeof(double));
    int64_t i, j, k;
    for (i = 0; i < count; i++) {
        p[i].a = i;
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

/* Forces to compare: a file's, or those of a folder that plant or fit wrote, with their errors where it has them. */
typedef struct forces {
    const char *path;
    cel_mat force[2], se[2];
    names genes;
    int count;
} forces;

static forces read_forces(const char *path)
{
    static const char *const name[] = {"intra", "inter"};
    forces f = CEL_ZERO;
    struct stat s;
    int k, csv;
    f.path = path;
    if (strcmp(path, "-") && stat(path, &s)) die(1, "%s: %s", path, strerror(errno));
    if (!strcmp(path, "-") || !S_ISDIR(s.st_mode)) {
        f.force[0] = read_force(parse_file("compare", path, 0), 0);
        f.count = 1;
        return f;
    }
    for (k = 0; k < 2; k++)
        for (csv = 0; csv < 2; csv++) {
            const char *end = csv ? "csv" : "npy", *file = format_text("%s/%s.%s", path, name[k], end);
            const char *se = format_text("%s/%s_se.%s", path, name[k], end);
            if (stat(file, &s)) continue;
            f.force[k] = read_force(file, 0);
            if (stat(format_text("%s/%s_partial.%s", path, name[k], end), &s) == 0) se = ""; /* of other units */
            if (*se && stat(se, &s) == 0) f.se[k] = read_force(se, f.force[k].rows);
            f.count = k + 1;
        }
    if (f.count < 2) die(1, "%s: no forces in it: a folder that plant or fit wrote, or two files", path);
    if (stat(in_folder(path, "genes.txt"), &s) == 0)
        read_words("genes", in_folder(path, "genes.txt"), 1, &f.genes, NULL);
    if (f.genes.count != f.force[0].rows) f.genes = numbered_genes(f.force[0].rows);
    return f;
}

/* The six strongest forces of the truth, beside those of the others. */
static void print_strongest(const forces *f, int count, int relation)
{
    cel_mat truth = f[0].force[relation];
    int64_t n = truth.rows, i, j, pairs = 0;
    pair *list = (pair *)get((size_t)(n * n), sizeof(pair));
    int k;
    for (i = 0; i < n; i++)
        for (j = i + 1; j < n; j++) {
            list[pairs].a = i;
            list[pairs].b = j;
            list[pairs++].key = -fabs(entry(truth, i, j));
        }
    qsort(list, (size_t)pairs, sizeof(pair), compare_pairs);
    printf("%s: the strongest of %lld pairs\n  %-19s %10.14s", relation ? "between neighbours" : "within cells",
           (long long)pairs, "genes", f[0].path);
    for (k = 1; k < count; k++) printf(f[k].se[relation].data ? " %14.14s   +-    " : " %14.14s", f[k].path);
    printf("\n");
    for (i = 0; i < 6 && i < pairs; i++) {
        printf("  %-9.9s %-9.9s %10.2f", f[0].genes.name[list[i].a], f[0].genes.name[list[i].b],
               entry(truth, list[i].a, list[i].b));
        for (k = 1; k < count; k++) {
            printf(" %14.2f", entry(f[k].force[relation], list[i].a, list[i].b));
            if (f[k].se[relation].data) printf(" +- %-6.2g", entry(f[k].se[relation], list[i].a, list[i].b));
        }
        printf("\n");
    }
    free(list);
}

static void command_compare(void)
{
    forces *f;
    double *x, *y, slope, pearson;
    int64_t i, j, n, count;
    int k, relation;
    if (o.files < 2) die(2, "compare needs TRUTH and FITTED; see celcomen compare --help");
    f = (forces *)get((size_t)o.files, sizeof *f);
    for (k = 0; k < o.files; k++) {
        f[k] = read_forces(o.file[k]);
        if (f[k].count != f[0].count)
            die(1, "%s: a %s, but %s is none", f[k].path, f[k].count > 1 ? "folder" : "file", f[0].path);
        if (f[k].force[0].rows != f[0].force[0].rows)
            die(1, "%s: %lld x %lld, but %s has %lld genes", f[k].path, (long long)f[k].force[0].rows,
                (long long)f[k].force[0].cols, f[0].path, (long long)f[0].force[0].rows);
    }
    n = f[0].force[0].rows;
    x = (double *)get((size_t)(n * n), sizeof(double));
    y = (double *)get((size_t)(n * n), sizeof(double));
    for (relation = 0; relation < f[0].count; relation++) {
        if (f[0].count > 1) print_strongest(f, o.files, relation);
        for (k = 1; k < o.files; k++) {
            for (i = count = 0; i < n; i++)
                for (j = 0; j < n; j++) {
                    x[count] = entry(f[0].force[relation], i, j);
                    y[count] = entry(f[k].force[relation], i, j);
                    count += i != j;
                }
            pearson = correlate(x, y, count, &slope);
            if (o.files > 2 || f[0].count > 1) printf("  %s: ", f[k].path);
            printf("off the diagonal: Pearson %.3f, Spearman %.3f, slope %.3f\n", pearson,
                   correlate(ranks(x, count), ranks(y, count), count, NULL), slope);
        }
    }
}

/* ---- draw ---- */

/* A table of the folder --from; its absence is said with what writes it. */
static char *result_text(const char *name, const char *by)
{
    char *s;
    need(o.model, format_text("draw %s", o.file[0]), "--from DIR");
    s = read_text(in_folder(o.model, name));
    if (!s) die(1, "%s: no %s in it: not a folder that %s wrote", o.model, name, by);
    return s;
}
static void draw_slide(draw *d)
{
    fitted f = CEL_ZERO;
    tissue t;
    int64_t gene;
    one_of("gene types");
    if (o.types) {
        t = bare_tissue("draw", -1, NULL);
        *d = type_map(&t, 720);
        return;
    }
    need(o.gene, "draw slide", "--gene NAME, or --types FILE");
    need(o.coords, "draw slide", "--coords FILE");
    t = load_tissue("draw", &f, 0);
    gene = find_name(&t.genes, o.gene);
    if (gene < 0) die(1, "%s: no gene '%s'%s", t.file, o.gene, did_you_mean(&t.genes, o.gene));
    *d = gene_map(&t, &f, gene, 720);
}

/* Relations side by side, at most four: matrices, or the strongest pairs. */
static void draw_forces(draw *d, int strongest)
{
    show_forces f = show_read_forces(result_text("pairs.csv", "fit"));
    int *order = (int *)get((size_t)f.genes + 1, sizeof(int)), count, r, beyond;
    int shown = f.relations < 4 ? f.relations : 4;
    double wide = strongest ? 440 : 640, high = 0;
    if (!f.count) die(1, "%s: pairs.csv is not as fit writes it", o.model);
    count = show_order(&f, 300, order);
    draw_begin(d, wide * shown, 0, strongest ? "The strongest pairs" : "Forces between genes",
               strongest ? "Pairs of genes, the surest first, with two standard errors."
                         : "A matrix a relation, genes clustered; blue is negative, orange positive.");
    for (r = 0; r < shown; r++) {
        const double *v = f.value + (long)r * f.genes * f.genes;
        double x = wide * r, most = show_end(v, (long)f.genes * f.genes, &beyond), h = 710;
        char *title = format_text("%s %s", strongest ? "Strongest pairs" : "Forces", show_relation(f.relation[r]));
        draw_text(d, x + 20, 24, 14, 's', "b", title);
        if (strongest) h = 42 + show_strongest(d, x + 12, 38, 420, &f, r, 24);
        else show_matrix(d, x + 20, 120, 520, &f, r, order, count, most, beyond);
        high = fmax(high, h);
        free(title);
    }
    d->height = high;
    show_forces_free(&f);
    free(order);
}

static void draw_shares(draw *d)
{
    show_table genes = show_parse(result_text("genes.csv", "fit"));
    if (genes.rows < 2) die(1, "%s: its fit has no shares of variance", o.model);
    draw_begin(d, 560, 0, "Shares of variance",
               "A bar a gene: what its cell's other genes, the same gene next door and other genes next door explain.");
    draw_text(d, 16, 24, 14, 's', "b", "Shares of each gene's variance");
    d->height = 42 + show_shares(d, 16, 38, 532, &genes, 40);
}

static void draw_curve_of(draw *d)
{
    page_source p = CEL_ZERO;
    p.json = result_text("report.json", "fit");
    p.loss = read_numbers(in_folder(o.model, "losses.npy"), &p.losses);
    if (!page_curve(d, &p)) die(1, "%s: its fit has no curve: the ridge was given", o.model);
}

/* The planted forces of --intra and --inter against those of the folder. */
static void draw_planted(draw *d)
{
    show_forces f = show_read_forces(result_text("pairs.csv", "fit"));
    const char *file[2];
    int k, i;
    file[0] = o.intra;
    file[1] = o.inter;
    if (!o.intra && !o.inter) die(2, "draw planted needs --intra FILE or --inter FILE");
    draw_begin(d, 440 * ((o.intra != NULL) + (o.inter != NULL)), 440, "Planted and fitted forces",
               "A point a pair of genes: the force that was planted and the fitted one, with a standard error.");
    for (k = 0; k < 2; k++) {
        double *x = (double *)get((size_t)f.count, sizeof(double)), *y = (double *)get((size_t)f.count, sizeof(double));
        double *e = (double *)get((size_t)f.count, sizeof(double)), left = k && o.intra ? 440 : 0;
        const char **label = (const char **)get((size_t)f.count, sizeof(char *));
        draw_series s = CEL_ZERO;
        tissue t = CEL_ZERO;
        cel_mat truth;
        names genes = {0};
        char *words;
        if (!file[k]) continue;
        t.x = truth = read_force(file[k], 0);
        t.rows = truth.rows;
        t.file = file[k];
        genes = read_genes(&t, genes);
        for (i = 0; i < f.count; i++) {
            const show_pair *p = &f.pair[i];
            int64_t a = find_name(&genes, f.gene[p->a]), b = find_name(&genes, f.gene[p->b]);
            if (p->relation != k || a < 0 || b < 0) continue;
            x[s.count] = (double)truth.data[a * truth.stride + b];
            y[s.count] = show_value(&f.pairs, p->row, f.c_test);
            e[s.count] = show_value(&f.pairs, p->row, f.c_se);
            label[s.count++] = format_text("%s, %s", f.gene[p->a], f.gene[p->b]);
        }
        if (s.count < 2) die(1, "%s: its genes are not those of %s (--genes FILE names them)", file[k], o.model);
        s.name = "pairs";
        s.x = x;
        s.y = y;
        s.error = f.errors ? e : NULL;
        s.label = label;
        s.kind = DRAW_POINTS;
        draw_text(d, left + 16, 24, 14, 's', "b", format_text("Forces %s", k ? "between neighbours" : "within cells"));
        words = format_text("Pearson %.3f over %d pairs%s", correlate(x, y, s.count, NULL), s.count,
                            f.errors ? "; bars: a standard error" : "");
        draw_text(d, left + 16, 43, 12, 's', "soft", words);
        show_planted(d, left + 8, 56, 424, 376, &s, f.partial ? "fitted partial correlation" : "fitted force",
                     !f.partial);
    }
}

/* Genes by steps from the intervention: the named one, or the four that change most surely. */
static void draw_hops(draw *d)
{
    show_effects e = show_read_effects(result_text("effects.csv", "perturb"));
    int order[4], n = 0, k;
    if (!e.genes) die(1, "%s: effects.csv has no effects by hop", o.model);
    if (o.gene) {
        for (k = 0; k < e.genes && !n; k++)
            if (strcmp(show_effect_gene(&e, k), o.gene) == 0) order[n++] = k;
        if (!n) die(1, "%s: no gene '%s' in effects.csv", o.model, o.gene);
    } else {
        n = show_changed(&e, 4, order);
    }
    draw_begin(d, n > 1 ? 880 : 440, n > 2 ? 920 : 460, "Effects by steps from the intervention",
               "Observed, sham and after, and the effect (after minus sham) with two standard errors.");
    for (k = 0; k < n; k++) {
        double x = 440 * (k % 2), y = 460 * (k / 2);
        draw_text(d, x + 12, y + 24, 14, 's', "b", show_effect_gene(&e, order[k]));
        show_hops(d, x + 8, y + 36, 424, 416, &e, order[k]);
    }
}
static void draw_ripple(draw *d)
{
    show_effects e = show_read_effects(result_text("effects.csv", "perturb"));
    int order[30], n = e.genes ? show_changed(&e, 30, order) : 0;
    if (!n) die(1, "%s: effects.csv has no effects by hop", o.model);
    draw_begin(d, 480, 0, "Effects by gene and steps",
               "The genes that change most surely, by steps from the intervention.");
    draw_text(d, 12, 24, 14, 's', "b", "The ripple");
    d->height = 38 + show_ripple(d, 12, 38, 456, &e, order, n);
}

/* The effect on a gene where the cells are: after.npy minus sham.npy of the folder. */
static void draw_effect(draw *d)
{
    show_effects e = show_read_effects(result_text("effects.csv", "perturb"));
    show_table cells = show_parse(result_text("cells.csv", "perturb"));
    tissue t = bare_tissue("draw", -1, NULL);
    show_map all = map_of(&t), m = all;
    cel_mat sham = read_matrix(in_folder(o.model, "sham.npy")), after = read_matrix(in_folder(o.model, "after.npy"));
    int gene, row = show_column(&cells, "row"), input_row = show_column(&cells, "input_row"), i;
    double *x, *y, *v, least[2] = {HUGE_VAL, HUGE_VAL}, most[2] = {-HUGE_VAL, -HUGE_VAL}, margin;
    need(o.gene, "draw effect", "--gene NAME");
    for (gene = 0; gene < e.genes && strcmp(show_effect_gene(&e, gene), o.gene); gene++) continue;
    if (gene == e.genes) die(1, "%s: no gene '%s' in effects.csv", o.model, o.gene);
    x = (double *)get((size_t)all.cells, sizeof(double));
    y = (double *)get((size_t)all.cells, sizeof(double));
    v = (double *)get((size_t)all.cells, sizeof(double));
    for (i = 1, m.cells = 0; i < cells.rows; i++) {
        double at = show_value(&cells, i, row), from = show_value(&cells, i, input_row);
        if (!(at >= 0 && at < (double)sham.rows && from >= 0 && from < all.cells)) continue;
        x[m.cells] = all.x[(int)from];
        y[m.cells] = all.y[(int)from];
        v[m.cells] = (double)after.data[(int64_t)at * after.stride + gene];
        v[m.cells] -= (double)sham.data[(int64_t)at * sham.stride + gene];
        if (fabs(v[m.cells]) > 0) {
            least[0] = fmin(least[0], x[m.cells]), most[0] = fmax(most[0], x[m.cells]);
            least[1] = fmin(least[1], y[m.cells]), most[1] = fmax(most[1], y[m.cells]);
        }
        m.cells++;
    }
    margin = 0.15 * fmax(most[0] - least[0], most[1] - least[1]);
    for (i = 0, all.cells = m.cells, m.cells = 0; i < all.cells; i++) { /* where something moves, and around it */
        if (x[i] < least[0] - margin || x[i] > most[0] + margin) continue;
        if (y[i] < least[1] - margin || y[i] > most[1] + margin) continue;
        x[m.cells] = x[i];
        y[m.cells] = y[i];
        v[m.cells++] = v[i];
    }
    m.x = x;
    m.y = y;
    m.slide = NULL;
    m.slides = 1;
    if (!m.cells) die(1, "%s: no effect on %s anywhere", o.model, o.gene);
    show_value_map(d, 560, &m, v, DRAW_SIGNED, format_text("%s, after \xE2\x88\x92 sham", o.gene),
                   "coordinate of the row");
}

/* Energy by sweep, and its autocorrelation. */
static void draw_sampler(draw *d)
{
    char *json = result_text("report.json", "simulate");
    int count = 0, lags;
    double *energy = read_numbers(in_folder(o.model, "energy.npy"), &count), *correlation;
    double cells = show_number(json, "cells");
    draw_series s = CEL_ZERO;
    int i;
    if (!energy || count < 4) die(1, "%s: no energy.npy in it: not a folder that simulate wrote", o.model);
    for (i = 0; i < count; i++) energy[i] /= cells;
    lags = count / 4 < 100 ? count / 4 : 100;
    correlation = (double *)get((size_t)lags, sizeof(double));
    show_autocorrelation(energy, count, correlation, lags);
    draw_begin(d, 880, 350, "Health of the sampler", "Energy by sweep, and how soon it forgets.");
    draw_text(d, 16, 24, 14, 's', "b", "Energy by sweep");
    draw_text(d, 456, 24, 14, 's', "b", "How soon it forgets");
    draw_text(d, 16, 43, 12, 's', "soft",
              format_text("acceptance %.2f, effective sample size %.0f, split R-hat %.3f",
                          show_number(json, "acceptance"), show_number(json, "effective_sample_size"),
                          show_number(json, "split_rhat")));
    s.y = energy;
    s.count = count;
    s.kind = DRAW_LINE;
    show_curve(d, 8, 56, 424, 286, &s, "sweep", "energy H a cell", 0, -1);
    s.y = correlation;
    s.count = lags;
    show_curve(d, 448, 56, 424, 286, &s, "lag, sweeps", "autocorrelation", 0, -1);
}

static void command_draw(void)
{
    static const char *const what[] = {"slide", "effect", "forces", "pairs", "shares", "curve", "planted", "hops",
                                       "ripple", "sampler"};
    draw d;
    draw_buffer b = CEL_ZERO;
    guess g = CEL_ZERO;
    int k, i, n = (int)(sizeof what / sizeof what[0]);
    if (!o.files) die(2, "draw needs one of: slide effect forces pairs shares curve planted hops ripple sampler");
    for (k = 0; k < n && strcmp(what[k], o.file[0]); k++) continue;
    g.wanted = o.file[0];
    for (i = 0; i < n; i++) offer(&g, what[i]);
    if (k == n) die(2, "there is no picture '%s'%s", o.file[0], suggestion(&g, ""));
    need(o.out, format_text("draw %s", what[k]), "--out FILE.svg");
    check_file("out", o.out);
    if (k > 0)
        no_effect("counts expression kind total target-sum genes-are types slides", "but on draw slide");
    if (k > 1) no_effect("coords", "but on draw slide and draw effect");
    if (k != 6) no_effect("intra inter", "but on draw planted");
    if (k == 0) draw_slide(&d);
    if (k == 1) draw_effect(&d);
    if (k == 2 || k == 3) draw_forces(&d, k == 3);
    if (k == 4) draw_shares(&d);
    if (k == 5) draw_curve_of(&d);
    if (k == 6) draw_planted(&d);
    if (k == 7) draw_hops(&d);
    if (k == 8) draw_ripple(&d);
    if (k == 9) draw_sampler(&d);
    draw_write(&d, 0, &b);
    draw_free(&d);
    write_drawn(o.out, &b);
}

/* ---- the commands ---- */

static const verb commands[] = {
    {"fit", NULL, "forces from a slide, with error bars",
     "celcomen fit --counts counts.npy --coords coords.npy --genes genes.txt --top-genes 100 --out model", NULL,
     10000, command_fit},
    {"moments", NULL, "the sums that a fit needs, of a slide or of a band of one: to be added and fitted elsewhere",
     "celcomen moments --counts s1.npy --coords s1_coords.npy --genes genes.txt --top-genes 100 --out s1.npz", NULL,
     10000, command_moments},
    {"merge", NULL, "adds moments of slides, or of the bands of one", "celcomen merge s1.npz s2.npz --out both.npz",
     "FILE ..", 10000, command_merge},
    {"perturb", "knockout", "what if: genes held, cells added or removed, with a sham control",
     "celcomen perturb --model model --counts counts.npy --coords coords.npy --genes genes.txt --cell best --gene "
     "ERBB2 --out ko", NULL, 0, command_perturb},
    {"cells", NULL, "cells worth knocking a gene out in: expressed, well connected, away from borders",
     "celcomen cells --counts counts.npy --coords coords.npy --genes genes.txt --gene ERBB2", NULL, 0, command_cells},
    {"simulate", "generate", "tissue from forces: exact samples, the most likely tissue, or the published generator",
     "celcomen simulate --model model --coords coords.npy --out tissue", NULL, 0, command_generate},
    {"score", NULL, "how well a model predicts another slide",
     "celcomen score --model model --counts other.npy --coords other_coords.npy --genes genes.txt", NULL, 0,
     command_score},
    {"denoise", NULL, "expression without the noise of counting, with its error, by a model of --method counts",
     "celcomen denoise --model model --counts counts.npy --coords coords.npy --genes genes.txt --out rates", NULL, 0,
     command_denoise},
    {"check", NULL, "does a tissue drawn from the law look like the slide? tables, a verdict, a picture",
     "celcomen check --model model --counts counts.npy --coords coords.npy --genes genes.txt --out check", NULL, 0,
     command_check},
    {"disentangle", NULL, "genes ranked by between-cell minus within-cell force; gene sets compared",
     "celcomen disentangle --model model --gene-sets sets.txt", NULL, 0, command_disentangle},
    {"logz", NULL, "the partition function: mean field, lower bound, annealed importance sampling",
     "celcomen logz --model model --coords coords.npy", NULL, 0, command_logz},
    {"plant", NULL, "random known forces on a hexagonal grid, to try the others on",
     "celcomen plant --n-genes 10 --side 40 --out truth", NULL, 0, command_plant},
    {"show", "info", "what a file holds: arrays, archives, tables", "celcomen show model/pairs.csv", "FILE ..", 10000,
     command_show},
    {"compare", NULL, "forces beside one another, files or folders: the strongest pairs, agreement off the diagonal",
     "celcomen compare truth model", "TRUTH FITTED ..", 20, command_compare},
    {"draw", NULL, "a picture (SVG): slide effect forces pairs shares curve planted hops ripple sampler",
     "celcomen draw forces --from model --out forces.svg", "WHAT", 1, command_draw},
};
#define COMMANDS ((int)(sizeof commands / sizeof commands[0]))

/* What was printed must have arrived: a full disk is no success. */
static int finish(int status)
{
    if (fflush(stdout) || ferror(stdout)) die(1, "standard output: %s", strerror(errno));
    return status;
}

static int usage(FILE *to, int status)
{
    int k;
    fprintf(to, "celcomen %s: forces between genes, within and between the cells of a tissue\n\n", cel_version());
    for (k = 0; k < COMMANDS; k++) fprintf(to, "  %-12s %s\n", commands[k].name, commands[k].summary);
    fprintf(to, "\ncelcomen COMMAND --help has its options and an example. Exit status: 0 done, 1 bad input, "
                "2 bad usage.\n");
    return finish(status);
}

/* The command of a name, today's or the older one. */
static const verb *find_command(const char *name)
{
    guess g = {name, NULL, 0};
    int k;
    for (k = 0; k < COMMANDS; k++) {
        if (!strcmp(name, commands[k].name) || (commands[k].older && !strcmp(name, commands[k].older)))
            return &commands[k];
        offer(&g, commands[k].name);
    }
    die(2, "there is no command '%s'%s; celcomen --help lists them", name, suggestion(&g, ""));
    return NULL;
}

/* A manual page from the tables above. */
static void troff(const char *s)
{
    for (; *s; s++) fputs(*s == '-' ? "\\-" : *s == '\\' ? "\\e" : *s == '\'' ? "\\(aq" : (char[2]){*s, 0}, stdout);
    fputc('\n', stdout);
}
static void manual_page(void)
{
    int k, i;
    printf(".TH CELCOMEN 1 \"\" \"celcomen %s\"\n.SH NAME\ncelcomen \\- forces between genes, within and between the "
           "cells of a tissue\n"
           ".SH SYNOPSIS\n.B celcomen\nCOMMAND [\\-\\-OPTION VALUE ..]\n.SH COMMANDS\n", cel_version());
    for (k = 0; k < COMMANDS; k++) {
        const verb *c = &commands[k];
        printf(".SS %s%s%s\n", c->name, c->files ? " " : "", c->files ? c->files : "");
        troff(c->summary);
        printf(".PP\n.nf\n");
        troff(c->example);
        printf(".fi\n");
        for (i = 0; i < OPTIONS; i++) {
            if (!takes(c, &options[i])) continue;
            printf(".TP\n");
            troff(option_head(&options[i]));
            troff(option_text(&options[i]));
        }
    }
    printf(".SH EXIT STATUS\n0 done, 1 bad input, 2 bad usage.\n");
}

int main(int argc, char **argv)
{
    const char *name = argc > 1 ? argv[1] : "";
    int help = !strcmp(name, "--help") || !strcmp(name, "-h") || !strcmp(name, "help");
    on_terminal = isatty(2);
    signal(SIGINT, on_signal);
    signal(SIGTERM, on_signal);
    command_line.word = argv;
    command_line.count = argc;
    if (argc < 2) return usage(stderr, 2);
    if (help && argc < 3) return usage(stdout, 0);
    if (!strcmp(name, "--version")) {
        printf("celcomen %s\n", cel_version());
        return finish(0);
    }
    if (!strcmp(name, "--man")) {
        manual_page();
        return finish(0);
    }
    running = find_command(help ? argv[2] : name);
    if (!help) parse_options(argc, argv);
    if (help || o.help) {
        command_help(running, stdout);
        return finish(0);
    }
    running->run();
    return finish(0);
}
