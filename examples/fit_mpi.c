/* One fit on many machines: forces of a slide, or of several, whose counts no rank reads whole.
 *
 *     mpicc -O2 -fopenmp -I. examples/fit_mpi.c -o build/fit_mpi -lm
 *     mpirun -n 4 build/fit_mpi counts.npy coords.npy genes.txt 100 model.npz [slides.npy]  > pairs.csv
 *
 * Every rank reads the coordinates, which are small, and maps the counts, of which it reads its own cells: a run of
 * whole tiles, and for the moments their neighbours in the tiles beside them, the halo. What goes between ranks is sums
 * over genes (which genes, their means and scales), four numbers a cell (what was taken out of its row), and the
 * moments at the end, by MPI_Allreduce. Each tile's sums are made on one rank and added in the order of the tiles, so
 * that the result is that of one process, to the bit where the ranks' processors are of one kind. Rank 0 fits, writes
 * model.npz, a model that `celcomen perturb` and the others take from its folder, and prints the pairs.
 * SPDX-License-Identifier: MIT */
#define CELCOMEN_IMPLEMENTATION
#include "celcomen.h"

#include <mpi.h>
#include <stdio.h>
#include <stdlib.h>

enum { SIDE = 6 }; /* tiles a side, on each slide */

static int rank, ranks;

static void must(cel_status status, const char *what, const cel_error *err)
{
    if (!status) return;
    fprintf(stderr, "rank %d: %s: %s (cell %lld, gene %lld)\n", rank, what,
            err && err->what && err->status == status ? err->what : cel_strerror(status),
            (long long)(err ? err->cell : -1), (long long)(err ? err->gene : -1));
    MPI_Abort(MPI_COMM_WORLD, 1);
}
static void *get(int64_t count, size_t size)
{
    void *p = calloc(count > 0 ? (size_t)count : 1, size);
    if (!p) must(CEL_ERR_MEMORY, "memory", NULL);
    return p;
}
static void add_up(double *x, int64_t count)
{
    const int64_t most = 1 << 24; /* MPI counts in int */
    for (; count > 0; x += most, count -= most)
        MPI_Allreduce(MPI_IN_PLACE, x, (int)(count < most ? count : most), MPI_DOUBLE, MPI_SUM, MPI_COMM_WORLD);
}
static int compare_doubles(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;
    return x < y ? -1 : x > y;
}

/* Tiles are shared out in runs, so that halos are short: the first of a rank's. */
static int64_t first_tile(int64_t tiles, int of) { return tiles * of / ranks; }

/* The `top` genes of the most counts in all ranks' cells, ascending. */
static int32_t *most_expressed(const cel_rows *own, int64_t top)
{
    const int64_t n = own->genes;
    cel_genes_options all = CEL_ZERO;
    double *mean = (double *)get(n, sizeof *mean);
    int32_t *gene = (int32_t *)get(n, sizeof *gene);
    int64_t g, k, count;
    cel_error err;
    must(cel_rows_genes(own, &all, gene, &count, NULL, mean, &err), "genes", &err);
    for (g = 0; g < n; g++) mean[g] *= (double)own->cells;
    add_up(mean, n);
    for (g = 0, count = 0; g < n; g++) {
        int64_t better = 0;
        for (k = 0; k < n; k++) better += mean[k] > mean[g] || (k < g && !(mean[k] < mean[g]));
        if (better < top && mean[g] > 0) gene[count++] = (int32_t)g;
    }
    if (count < top) must(CEL_ERR_DATA, "fewer genes than that are expressed", NULL);
    free(mean);
    return gene;
}

/* The sums of every tile, each made by one rank, added tile by tile: own (start) has the cells of the rank's tiles in
 * turn. */
static cel_scaling_sums common_sums(const cel_rows *own, const int64_t *start, int64_t tiles, const double *total,
                                    const int32_t *group, int64_t groups, const cel_scaling_options *how)
{
    const int64_t from = first_tile(tiles, rank), to = first_tile(tiles, rank + 1);
    const int64_t count = groups * (1 + 3 * own->genes);
    double *all = (double *)get(tiles * count, sizeof *all);
    cel_scaling_sums sums = CEL_ZERO;
    int64_t g, i;
    cel_error err;
    for (g = from; g < to; g++) {
        const int64_t at = start[g] - start[from];
        cel_rows one = *own;
        one.cells = start[g + 1] - start[g];
        one.row += at;
        cel_scaling_sums_free(&sums);
        must(cel_rows_sums(&one, total + at, group + at, groups, how, &sums, &err), "sums", &err);
        memcpy(all + g * count, sums.cells, (size_t)count * sizeof *all);
    }
    add_up(all, tiles * count); /* all others have zeros there */
    for (i = 0; i < count; i++)
        for (g = 0, sums.cells[i] = 0; g < tiles; g++) sums.cells[i] += all[g * count + i];
    free(all);
    return sums;
}

/* How rows are made, the same on every rank, and what is taken out of each of all cells: scaling->cell. */
static cel_scaling common_scaling(const cel_rows *own, const int64_t *start, int64_t tiles, const double *total,
                                  const int32_t *group, int64_t groups, int64_t cells)
{
    cel_scaling_options how = CEL_ZERO;
    cel_scaling_sums sums;
    cel_scaling s, own_cells = CEL_ZERO;
    cel_error err;
    double *all = (double *)get(cells, sizeof *all), *four = (double *)get(4 * cells, sizeof *four);
    cel_scaling_cell *cell = (cel_scaling_cell *)get(cells, sizeof *cell);
    int64_t i, counted = 0;
    for (i = 0; i < own->cells; i++) all[own->row[i]] = total[i];
    add_up(all, cells);
    qsort(all, (size_t)cells, sizeof *all, compare_doubles);
    for (i = 0; i < cells; i++) counted += all[i] > 0;
    if (!counted) must(CEL_ERR_DATA, "no counts", NULL);
    how.target = 0.5 * (all[cells - counted + (counted - 1) / 2] + all[cells - counted + counted / 2]); /* median */
    sums = common_sums(own, start, tiles, total, group, groups, &how);
    must(cel_rows_scaling(own, total, group, &how, &sums, &s, &err), "scaling", &err);
    cel_scaling_sums_free(&sums);
    for (i = 0; i < own->cells; i++) {
        double *to = four + 4 * own->row[i];
        to[0] = s.cell[i].total;
        to[1] = s.cell[i].length;
        to[2] = s.cell[i].size;
        to[3] = s.cell[i].group;
    }
    add_up(four, 4 * cells);
    for (i = 0; i < cells; i++) {
        cell[i].total = four[4 * i];
        cell[i].length = four[4 * i + 1];
        cell[i].size = four[4 * i + 2];
        cell[i].group = (int32_t)four[4 * i + 3];
    }
    own_cells.cell = s.cell; /* not needed any more, and the library's to free */
    cel_scaling_free(&own_cells);
    s.cell = cell; /* of all cells */
    s.cells = cells;
    free(all);
    free(four);
    return s;
}

static void write_model(const char *path, const cel_model *m, const cel_score_report *r, const cel_scaling *s,
                        const char *const *gene)
{
    static const char *const relation[] = {"intra", "inter"};
    cel_model_record record = CEL_ZERO;
    cel_error err;
    int64_t k, a, b, n = m->genes;
    record.model = *m;
    record.se = r->se;
    record.z = r->z;
    record.p = r->p;
    record.q = r->q;
    record.partial = r->partial;
    record.gene = (char **)(uintptr_t)gene;
    record.relation = (char **)(uintptr_t)relation;
    record.hops = 1;
    record.graph.k = 6;
    record.scaling = *s;
    must(cel_model_write(path, &record, &err), path, &err);
    printf("relation,gene_a,gene_b,force,partial,test,se,z,p,q\n");
    for (k = 0; k < m->relations; k++)
        for (a = 0; a < n; a++)
            for (b = a + 1; b < n; b++) {
                const int64_t at = (k * n + a) * n + b;
                printf("%s,%s,%s,%.9g,%.9g,%.9g,%.9g,%.9g,%.9g,%.9g\n", relation[k], gene[a], gene[b],
                       (double)m->force.data[at], (double)r->partial.data[at], (double)r->test.data[at],
                       (double)r->se.data[at], (double)r->z.data[at], (double)r->p.data[at], (double)r->q.data[at]);
            }
}

/* Cells without a row, such as those without counts, leave all that goes by cell; row says which are left. */
static int64_t drop_empty(cel_scaling *s, cel_mat *coords, int32_t *slide, int32_t *row)
{
    uint8_t *keep = (uint8_t *)get(s->cells, 1);
    int64_t i, cells = s->cells;
    for (i = 0; i < cells; i++) {
        keep[i] = s->cell[i].length > 0;
        row[i] = (int32_t)i;
    }
    coords->rows = cel_compact(keep, cells, coords->data, (size_t)coords->stride * sizeof(cel_real));
    (void)cel_compact(keep, cells, slide, sizeof *slide);
    (void)cel_compact(keep, cells, row, sizeof *row);
    s->cells = cel_compact(keep, cells, s->cell, sizeof *s->cell);
    free(keep);
    return s->cells;
}

/* The moments of every tile, summed over the ranks: this one adds those of its tiles. */
static cel_moments *all_moments(const cel_rows *rows, const cel_relations *relations, const int32_t *tile,
                                int64_t tiles)
{
    int32_t *label = (int32_t *)get(rows->cells, sizeof *label);
    cel_moments *part = (cel_moments *)get(tiles, sizeof *part);
    int64_t i;
    for (i = 0; i < rows->cells; i++)
        label[i] = tile[i] >= first_tile(tiles, rank) && tile[i] < first_tile(tiles, rank + 1) ? tile[i] : -1;
    for (i = 0; i < tiles; i++) must(cel_moments_new(rows->genes, relations, part + i), "moments", NULL);
    must(cel_moments_add_rows(part, tiles, label, relations, rows, NULL), "moments", NULL);
    for (i = 0; i < tiles; i++) {
        const int64_t side = part[i].blocks * part[i].genes + 1;
        double cells = (double)part[i].cells;
        add_up(part[i].gram, side * side);
        add_up(&cells, 1);
        part[i].cells = (int64_t)cells;
    }
    free(label);
    return part;
}

int main(int argc, char **argv)
{
    cel_rows own = CEL_ZERO, rows = CEL_ZERO;
    cel_file file;
    cel_npy counts;
    cel_mat coords;
    cel_scaling scaling;
    cel_csr graph;
    cel_relations relations;
    cel_score_options options;
    cel_score_report report;
    cel_model model;
    cel_moments *part;
    cel_slide_report looks;
    cel_error err;
    char **name, **kept;
    int64_t cells, n, i, tiles, slides = 1, names, *labels = NULL, one, *start;
    int32_t *tile, *list, *row, *gene, *slide, *group, *of;
    double *total;
    MPI_Init(&argc, &argv);
    MPI_Comm_rank(MPI_COMM_WORLD, &rank);
    MPI_Comm_size(MPI_COMM_WORLD, &ranks);
    if (argc < 6) must(CEL_ERR_ARG, "fit_mpi counts.npy coords.npy genes.txt GENES model.npz [slides.npy]", NULL);
    must(cel_npy_matrix(argv[2], &coords, &err), argv[2], &err);
    must(cel_file_open(argv[1], 1, &file, &err), argv[1], &err);
    must(cel_npy_parse(file.bytes, file.size, &counts, &err), argv[1], &err);
    must(cel_file_lines(argv[3], &name, &names, &err), argv[3], &err);
    cells = coords.rows;
    n = atoll(argv[4]);
    if (counts.ndim != 2 || counts.shape[0] != cells || counts.shape[1] != names || n < 2 || n > names)
        must(CEL_ERR_SHAPE, "counts, coordinates and genes", NULL);
    slide = (int32_t *)get(cells, sizeof *slide);
    if (argc > 6) must(cel_npy_integers(argv[6], &labels, &i, &one, &err), argv[6], &err);
    if (labels && i * one != cells) must(CEL_ERR_SHAPE, argv[6], NULL);
    for (i = 0; i < cells && labels; i++) {
        slide[i] = (int32_t)labels[i];
        if (labels[i] >= slides) slides = labels[i] + 1;
    }

    /* Own cells: their totals, then with all ranks the genes and the scaling. */
    tile = (int32_t *)get(cells, sizeof *tile);
    must(cel_slide_tiles(coords, slide, SIDE, tile, &tiles, &err), "tiles", &err);
    if (tiles < ranks) must(CEL_ERR_ARG, "more ranks than tiles", NULL);
    start = (int64_t *)get(tiles + 1, sizeof *start);
    list = (int32_t *)get(cells, sizeof *list);
    must(cel_csr_groups(tile, cells, tiles, start, list, &err), "tiles", &err);
    own.row = list + start[first_tile(tiles, rank)];
    own.cells = start[first_tile(tiles, rank + 1)] - start[first_tile(tiles, rank)];
    own.genes = names;
    own.array = &counts;
    own.mapped = file.mapped;
    total = (double *)get(own.cells, sizeof *total);
    group = (int32_t *)get(own.cells, sizeof *group);
    for (i = 0; i < own.cells; i++) group[i] = slide[own.row[i]];
    must(cel_rows_describe(&own, total, &looks, &err), argv[1], &err);
    gene = most_expressed(&own, n);
    own.gene = gene;
    own.genes = n;
    scaling = common_scaling(&own, start, tiles, total, group, slides, cells);

    /* Neighbours of all cells that have a row; the moments of own tiles; one fit. */
    row = (int32_t *)get(cells, sizeof *row);
    cells = drop_empty(&scaling, &coords, slide, row);
    must(cel_slide_tiles(coords, slide, SIDE, tile, &tiles, &err), "tiles", &err);
    must(cel_graph_make(coords, slide, NULL, &graph, &err), "neighbours", &err);
    must(cel_relations_from_graph(&graph, NULL, &relations, &err), "relations", &err);
    rows = own;
    rows.cells = cells;
    rows.row = row;
    rows.scaling = &scaling;
    part = all_moments(&rows, &relations, tile, tiles);
    of = (int32_t *)get(tiles, sizeof *of);
    for (i = 0; i < cells; i++) of[tile[i]] = slide[i];
    if (rank == 0) {
        kept = (char **)get(n, sizeof *kept);
        for (i = 0; i < n; i++) kept[i] = name[gene[i]];
        options = cel_score_measured(scaling.size);
        options.slide = of;
        must(cel_score_fit_moments(part, tiles, &options, &model, &report, &err, NULL), "fit", &err);
        write_model(argv[5], &model, &report, &scaling, (const char *const *)kept);
        fprintf(stderr, "%lld cells, %lld genes, %lld tiles on %d ranks: ridge %.3g, log residual variance %.6f\n",
                (long long)cells, (long long)n, (long long)tiles, ranks, report.ridge, report.value);
        cel_score_report_free(&report);
        cel_model_free(&model);
        free(kept);
    }
    for (i = 0; i < tiles; i++) cel_moments_free(part + i);
    cel_relations_free(&relations);
    cel_csr_free(&graph);
    cel_mat_free(&coords);
    cel_file_close(&file);
    cel_file_free(name);
    cel_file_free(labels);
    MPI_Finalize();
    return 0;
}
