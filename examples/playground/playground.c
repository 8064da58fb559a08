/* The tissue behind the page: celcomen.h compiled to WebAssembly, and what the page calls. One tissue is drawn for ever
 * by the exact sampler. A knock-out splits it in two arms, which start from the same cells and draw the same random
 * numbers: `tissue` with the gene held at 0, `sham` without. Effects are means of tissue less sham.
 * Built by `make playground`. SPDX-License-Identifier: MIT */
#include <stddef.h>
void *malloc(size_t bytes), *realloc(void *p, size_t bytes), free(void *p);
#define CELCOMEN_MALLOC(bytes) malloc(bytes)
#define CELCOMEN_REALLOC(p, bytes) realloc(p, bytes)
#define CELCOMEN_FREE(p) free(p)
#define CELCOMEN_NO_STDIO
#define CELCOMEN_STATIC
#define CELCOMEN_IMPLEMENTATION
#include "celcomen.h"

#define PAGE_CALLS(name) __attribute__((export_name(#name)))

/* Leapfrog steps of a cell: few, for many frames a second. Sweeps: to find the step after the forces changed; before
 * effects are counted; of a batch, whose means give errors. */
enum { MOVES = 3, ADAPT = 50, SETTLE = 20, BATCH = 25, HOPS = 5, TISSUE = 0, SHAM = 1 };

static int64_t cells, genes;
static cel_mat coords, row[2]; /* the arms */
static cel_csr graph;
static cel_relations relations;
static cel_model model, fitted;
static cel_score_report report;
static cel_sample *sampler[2];
static int32_t *colour, *hop;
static uint8_t *hold;          /* (S x n) */
static cel_real *effect;       /* (S x n) mean of tissue - sham */
static int64_t holds, effects; /* values held; sweeps in effect */
static int adapting;
static uint32_t stream;
static uint64_t seed_now;
/* By hop and gene: sums of this batch, of batches' means and of their squares; then what the page reads. */
static double batch[HOPS * 8], first[HOPS * 8], second[HOPS * 8], mean[HOPS * 8], error[HOPS * 8], in_hop[HOPS];

static void close_arms(void)
{
    int arm;
    for (arm = 0; arm < 2; arm++) {
        cel_sample_free(sampler[arm]);
        sampler[arm] = NULL;
    }
}

/* One arm, which finds the step that suits the forces. The knock-outs stay, and come back when it has. */
static cel_status adapt(void)
{
    cel_sample_options options = CEL_ZERO;
    close_arms();
    if (adapting == 0 && holds) cel_mat_copy(row[SHAM], row[TISSUE]);
    adapting = ADAPT;
    options.seed = seed_now;
    options.stream = stream++;
    options.moves = MOVES;
    options.domain.colour = colour;
    return cel_sample_new(&model, &relations, &options, &sampler[TISSUE], NULL);
}

/* Steps from each cell to the nearest knock-out, the last for all further cells. */
static void find_hops(void)
{
    int64_t i, e, j;
    int d;
    for (i = 0; i < cells; i++)
        for (hop[i] = HOPS - 1, j = 0; j < genes; j++)
            if (hold[i * genes + j]) hop[i] = 0;
    for (d = 0; d < HOPS - 2; d++)
        for (i = 0; i < cells; i++)
            for (e = graph.start[i]; hop[i] == d && e < graph.start[i + 1]; e++)
                if (hop[graph.index[e]] > d + 1) hop[graph.index[e]] = d + 1;
    for (d = 0; d < HOPS; d++) in_hop[d] = 0;
    for (i = 0; i < cells; i++) in_hop[hop[i]]++;
}

/* Both arms from the tissue as it is, on the same random numbers and with the same step. */
static cel_status split(void)
{
    cel_sample_options options = CEL_ZERO;
    cel_status status;
    int64_t i, j;
    options.seed = seed_now;
    options.stream = stream++;
    options.step = cel_sample_step(sampler[TISSUE]);
    options.moves = MOVES;
    options.domain.colour = colour;
    close_arms();
    cel_mat_copy(row[TISSUE], row[SHAM]);
    for (i = 0; i < cells; i++) {
        double square = 0;
        for (j = 0; j < genes; j++) {
            if (hold[i * genes + j]) row[TISSUE].data[i * genes + j] = 0;
            square += (double)(row[TISSUE].data[i * genes + j] * row[TISSUE].data[i * genes + j]);
        }
        for (j = 0; j < genes; j++)
            row[TISSUE].data[i * genes + j] = (cel_real)((double)row[TISSUE].data[i * genes + j] / sqrt(square));
    }
    find_hops();
    memset(effect, 0, (size_t)(cells * genes) * sizeof *effect);
    memset(batch, 0, sizeof batch);
    memset(first, 0, sizeof first);
    memset(second, 0, sizeof second);
    memset(mean, 0, sizeof mean);
    memset(error, 0, sizeof error);
    effects = -SETTLE;
    status = cel_sample_new(&model, &relations, &options, &sampler[SHAM], NULL);
    options.domain.hold = hold;
    return status ? status : cel_sample_new(&model, &relations, &options, &sampler[TISSUE], NULL);
}

/* One more sweep of both arms goes into the effects. */
static void count_effects(void)
{
    int64_t i, j, batches;
    int k;
    if (++effects < 1) return;
    for (i = 0; i < cells; i++)
        for (j = 0; j < genes; j++) {
            cel_real difference = row[TISSUE].data[i * genes + j] - row[SHAM].data[i * genes + j];
            effect[i * genes + j] += (difference - effect[i * genes + j]) / (cel_real)effects;
            batch[hop[i] * genes + j] += (double)difference;
        }
    if (effects % BATCH) return;
    batches = effects / BATCH;
    for (k = 0; k < HOPS * genes; k++) {
        double b = in_hop[k / genes] > 0 ? batch[k] / in_hop[k / genes] / BATCH : 0, spread;
        first[k] += b;
        second[k] += b * b;
        batch[k] = 0;
        mean[k] = first[k] / (double)batches;
        spread = second[k] / (double)batches - mean[k] * mean[k];
        error[k] = batches > 3 && spread > 0 ? sqrt(spread / (double)(batches - 1)) : 0;
    }
}

static void close_tissue(void)
{
    close_arms();
    cel_mat_free(&coords);
    cel_mat_free(&row[TISSUE]);
    cel_mat_free(&row[SHAM]);
    cel_csr_free(&graph);
    cel_relations_free(&relations);
    cel_model_free(&model);
    cel_model_free(&fitted);
    cel_score_report_free(&report);
    celi_free(colour);
    celi_free(hop);
    celi_free(hold);
    celi_free(effect);
}

/* A tissue of side x side cells, every row uniform on the sphere, without forces. 2 to 8 genes. */
PAGE_CALLS(open) int open_tissue(int side, int n, int seed)
{
    int32_t colours;
    close_tissue();
    cells = (int64_t)side * side;
    genes = n;
    seed_now = (uint64_t)seed;
    stream = 1;
    holds = effects = adapting = 0;
    hold = (uint8_t *)celi_alloc((size_t)(cells * genes), 1);
    effect = (cel_real *)celi_alloc((size_t)(cells * genes), sizeof *effect);
    colour = (int32_t *)celi_alloc((size_t)cells, sizeof *colour);
    hop = (int32_t *)celi_alloc((size_t)cells, sizeof *hop);
    if (!hold || !effect || !colour || !hop || cel_mat_new(cells, 2, &coords) ||
        cel_mat_new(cells, genes, &row[TISSUE]) || cel_mat_new(cells, genes, &row[SHAM]) ||
        cel_model_new(genes, 2, 1, &model) || cel_graph_hex_coords(side, side, coords) ||
        cel_graph_radius(coords, NULL, 0, 1.6, 0, &graph, NULL) ||
        cel_relations_from_graph(&graph, NULL, &relations, NULL) ||
        cel_sample_colour(&relations, NULL, colour, &colours, NULL))
        return 1;
    cel_sample_uniform(seed_now, 0, 0, row[TISSUE]);
    return (int)adapt();
}

/* What the page reads and writes in place. */
PAGE_CALLS(places) double *places(void) { return (double *)(void *)coords.data; }
PAGE_CALLS(rows) cel_real *rows(int arm) { return row[sampler[SHAM] ? arm : TISSUE].data; }
PAGE_CALLS(force) cel_real *force(int relation) { return cel_model_force(&model, relation).data; }
PAGE_CALLS(field) cel_real *field(void) { return model.field; }
PAGE_CALLS(held) uint8_t *held(void) { return hold; }
PAGE_CALLS(hops) int32_t *hops(void) { return hop; }
PAGE_CALLS(effect_map) cel_real *effect_map(void) { return effect; }
PAGE_CALLS(effect_mean) double *effect_mean(void) { return mean; }
PAGE_CALLS(effect_error) double *effect_error(void) { return error; }
PAGE_CALLS(effect_sweeps) int effect_sweeps(void) { return holds && !adapting && effects > 0 ? (int)effects : 0; }
PAGE_CALLS(fit_force) cel_real *fit_force(int r) { return cel_model_force(&fitted, r).data; }
PAGE_CALLS(fit_error) cel_real *fit_error(int r) { return cel_model_part(report.se, r).data; }
PAGE_CALLS(fit_field) cel_real *fit_field(void) { return fitted.field; }
PAGE_CALLS(acceptance) double acceptance(void) { return cel_sample_acceptance(sampler[TISSUE]); }

/* To be called after the forces or the field were written to. */
PAGE_CALLS(changed) int changed(void) { return (int)adapt(); }

/* One sweep of what lives. */
PAGE_CALLS(sweep) int sweep(void)
{
    cel_status status = cel_sample_sweep(sampler[TISSUE], row[TISSUE]);
    if (!status && sampler[SHAM]) {
        status = cel_sample_sweep(sampler[SHAM], row[SHAM]);
        count_effects();
    } else if (!status && adapting > 0 && --adapting == 0 && holds) {
        status = split();
    }
    return (int)status;
}

/* Knocks a gene out in a cell, or gives it back; the arms start anew from the sham. Returns how many are out. */
PAGE_CALLS(knock) int knock(int cell, int gene)
{
    uint8_t *h = hold + cell * genes + gene;
    int64_t j, others = 0;
    for (j = 0; j < genes; j++) others += hold[cell * genes + j];
    if (!*h && others >= genes - 1) return (int)holds; /* something must be left of the cell */
    if (holds && !adapting) cel_mat_copy(row[SHAM], row[TISSUE]);
    holds += *h ? -1 : 1;
    *h = !*h;
    if (!adapting && holds) return split() ? -1 : (int)holds;
    if (sampler[SHAM]) cel_sample_free(sampler[SHAM]), sampler[SHAM] = NULL;
    if (!holds && !adapting) return adapt() ? -1 : 0;
    return (int)holds;
}

/* Forces of the undisturbed tissue as it is now, from its rows alone: score matching, exact form, a shared field,
 * error bars over 6 x 6 tiles. */
PAGE_CALLS(fit) int fit(void)
{
    cel_score_options options = CEL_ZERO;
    int64_t tiles;
    int32_t *tile = (int32_t *)celi_alloc((size_t)cells, sizeof *tile);
    cel_status status = tile ? cel_slide_tiles(coords, NULL, 6, tile, &tiles, NULL) : CEL_ERR_MEMORY;
    cel_model_free(&fitted);
    cel_score_report_free(&report);
    options.group = tile;
    options.field = CEL_SCORE_FIELD_SHARED;
    if (!status)
        status = cel_score_fit(&relations, row[sampler[SHAM] ? SHAM : TISSUE], &options, &fitted, &report, NULL, NULL);
    celi_free(tile);
    return (int)status;
}
