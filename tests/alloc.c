/* Every allocation failing once: each scenario runs with its first, second, .. allocation refused until it succeeds.
 * Each refusal must come back as CEL_ERR_MEMORY and leave nothing allocated. SPDX-License-Identifier: MIT */
#include <stddef.h>

static void *count_malloc(size_t size);
static void *count_realloc(void *p, size_t size);
static void count_free(void *p);
#define CELCOMEN_MALLOC(size) count_malloc(size)
#define CELCOMEN_REALLOC(p, size) count_realloc(p, size)
#define CELCOMEN_FREE(p) count_free(p)
#define CELCOMEN_IMPLEMENTATION
#include "celcomen.h"

#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

static long left = -1; /* allocations until one fails; negative: none does */
static long live;      /* allocations not yet freed */

static void *count_malloc(size_t size)
{
    void *p;
    if (left == 0) return NULL;
    if (left > 0) left--;
    p = malloc(size);
    live += p != NULL;
    return p;
}
static CEL_UNUSED void *count_realloc(void *p, size_t size)
{
    void *q;
    if (left == 0) return NULL;
    if (left > 0) left--;
    q = realloc(p, size);
    live += !p && q;
    return q;
}
static void count_free(void *p)
{
    live -= p != NULL;
    free(p);
}

/* A small tissue, made with allocations that succeed. */
enum { SIDE = 8, CELLS = SIDE * SIDE, GENES = 4 };
static cel_mat coords, x, counts;
static cel_csr graph, w;
static cel_relations relations;
static cel_model model;
static int32_t tile[CELLS];
static int64_t tiles;

#define TRY(call)                                                                                                      \
    do {                                                                                                               \
        status = (call);                                                                                               \
        if (status) goto done;                                                                                         \
    } while (0)

static cel_status scenario_dense(void)
{
    cel_mat a = {0}, b = {0}, c = {0}, v = {0};
    double values[40];
    cel_status status;
    int64_t i;
    TRY(cel_mat_new(40, 40, &a));
    TRY(cel_mat_new(40, 40, &b));
    TRY(cel_mat_new(40, 40, &c));
    TRY(cel_mat_new(40, 40, &v));
    for (i = 0; i < 40; i++) a.data[41 * i] = b.data[41 * i] = 2;
    TRY(cel_mat_gemm(0, 1, 1, a, b, 0, c, NULL));
    TRY(cel_mat_syrk(0, 1, a, 0, c, NULL));
    TRY(cel_mat_cholesky(c));
    TRY(cel_mat_cholesky_solve(c, b));
    TRY(cel_mat_eigen(a, values, v));
done:
    cel_mat_free(&a);
    cel_mat_free(&b);
    cel_mat_free(&c);
    cel_mat_free(&v);
    return status;
}

static cel_status scenario_sparse(void)
{
    int64_t row[3] = {0, 1, 2}, col[3] = {1, 2, 0};
    cel_csr a = {0}, c = {0}, d = {0}, e = {0};
    cel_status status;
    TRY(cel_csr_from_edges(3, 3, 3, row, col, NULL, &a, NULL));
    TRY(cel_csr_transpose(&a, &c));
    TRY(cel_csr_symmetrise(&a, &d));
    TRY(cel_csr_hop(&a, 1, &e));
    TRY(cel_csr_normalise(&d, CEL_NORM_SYM));
    TRY(cel_csr_normalise(&d, CEL_NORM_GCN));
done:
    cel_csr_free(&a);
    cel_csr_free(&c);
    cel_csr_free(&d);
    cel_csr_free(&e);
    return status;
}

static cel_status scenario_files(void)
{
    static const char path[] = "/tmp/celcomen_alloc_test.npy", folder[] = "/tmp/celcomen_alloc_10x";
    static const char matrix[] = "/tmp/celcomen_alloc_10x/matrix.mtx",
                      features[] = "/tmp/celcomen_alloc_10x/features.tsv";
    static const char barcodes[] = "/tmp/celcomen_alloc_10x/barcodes.tsv";
    cel_mat a = {0};
    cel_csr b = {0};
    static const char gz[] =
        "\x1f\x8b\x08\0\0\0\0\0\2\3\x4b\x4e\xcd\xc9\xd1\x71\xd4\x71\xd2\x29\xa9\x2c\x48\xe5\xaa\xd0\x31"
        "\xd4\x31\xd2\x09\xe1\xaa\xd4\x31\xd6\x31\xd0\x71\xe2\2\0\x64\2\x38\x5f\x1e\0\0"; /* cell,A,B,type .. */
    static const char market[] = "%%MatrixMarket matrix coordinate integer general\n2 1 2\n1 1 5\n2 1 7\n";
    static const char *const pick[1] = {"B"};
    cel_table table = CEL_ZERO;
    cel_table_options how = CEL_ZERO;
    char **lines = NULL, *text = NULL;
    int64_t n, shape[2];
    cel_npz_member member[5];
    cel_status status;
    (void)mkdir(folder, 0777);
    TRY(cel_npy_write_matrix(path, coords, NULL));
    TRY(cel_npy_matrix(path, &a, NULL));
    cel_npz_from_csr(&w, shape, member);
    TRY(cel_npz_write(path, member, 5, NULL));
    TRY(cel_npz_csr(path, &b, NULL));
    TRY(cel_file_parse_lines("one\ntwo", 7, &lines, &n, NULL));
    TRY(cel_file_join_lines(lines, n, &text, NULL));
    how.pick = pick;
    how.picks = 1;
    how.label = "type";
    TRY(cel_table_parse(gz, sizeof gz, &how, &table, NULL));
    cel_table_free(&table);
    memset(&how, 0, sizeof how);
    how.dense = how.genes_are_rows = 1;
    TRY(cel_file_write(matrix, market, sizeof market - 1, NULL));
    TRY(cel_file_write(features, "ENS1\tA\nENS2\tB\n", 14, NULL));
    TRY(cel_file_write(barcodes, "c\n", 2, NULL));
    TRY(cel_table_read(folder, &how, &table, NULL));
    cel_table_free(&table);
    TRY(cel_npz_write(path, member, 5, NULL));
    TRY(cel_table_read(path, &how, &table, NULL));
done:
    cel_table_free(&table);
    cel_file_free(text);
    remove(path);
    remove(matrix);
    remove(features);
    remove(barcodes);
    rmdir(folder);
    cel_mat_free(&a);
    cel_csr_free(&b);
    cel_file_free(lines);
    return status;
}

static cel_status scenario_tissue(void)
{
    cel_csr a = {0}, b = {0}, c = {0};
    int32_t order[CELLS], label[CELLS], top[GENES];
    int64_t many;
    cel_graph_report report;
    cel_scaling scaling = CEL_ZERO;
    cel_mat rows = CEL_ZERO;
    cel_status status;
    TRY(cel_graph_knn(coords, NULL, 5, 0, &a, NULL));
    TRY(cel_graph_radius(coords, NULL, 0, 1.2, 0, &b, NULL));
    TRY(cel_graph_types(&w, tile, 0, 1, &c));
    TRY(cel_graph_order(coords, NULL, order, NULL));
    TRY(cel_slide_tiles(coords, NULL, 2, label, &many, NULL));
    TRY(cel_slide_genes(counts, NULL, top, &many, NULL, NULL, NULL));
    TRY(cel_graph_describe(coords, NULL, &a, &report, NULL));
    TRY(cel_mat_new(CELLS, GENES, &rows));
    TRY(cel_mat_copy(counts, rows));
    TRY(cel_scaling_fit(rows, NULL, tile, NULL, &scaling, NULL));
    TRY(cel_mat_copy(counts, rows));
    TRY(cel_scaling_apply(&scaling, rows, NULL, tile, scaling.cell, NULL));
done:
    cel_scaling_free(&scaling);
    cel_mat_free(&rows);
    cel_csr_free(&a);
    cel_csr_free(&b);
    cel_csr_free(&c);
    return status;
}

/* Expression that is not dense. */
static cel_status scenario_rows(void)
{
    cel_csr sparse = {0};
    cel_rows rows = CEL_ZERO;
    cel_scaling scaling = CEL_ZERO;
    cel_scaling_options how = CEL_ZERO;
    cel_scaling_sums sums = CEL_ZERO;
    cel_slide_report report;
    cel_moments part[4] = {{0}};
    cel_mat tile_rows = CEL_ZERO;
    cel_npy array;
    int64_t row[CELLS * GENES], col[CELLS * GENES], shape[2] = {CELLS, GENES}, i, many;
    int32_t top[GENES], gene[GENES];
    double total[CELLS];
    cel_status status;
    for (i = 0; i < CELLS * GENES; i++) row[i] = i / GENES, col[i] = i % GENES;
    for (i = 0; i < GENES; i++) gene[i] = (int32_t)i;
    TRY(cel_csr_from_edges(CELLS, GENES, CELLS * GENES, row, col, counts.data, &sparse, NULL));
    rows.cells = CELLS;
    rows.genes = GENES;
    rows.sparse = &sparse;
    rows.gene = gene;
    how.target = 10;
    TRY(cel_rows_describe(&rows, total, &report, NULL));
    TRY(cel_rows_genes(&rows, NULL, top, &many, NULL, NULL, NULL));
    TRY(cel_rows_sums(&rows, NULL, tile, tiles, &how, &sums, NULL));
    TRY(cel_rows_scaling(&rows, NULL, tile, &how, &sums, &scaling, NULL));
    cel_scaling_free(&scaling);
    TRY(cel_rows_scaling(&rows, NULL, tile, NULL, NULL, &scaling, NULL));
    TRY(cel_rows_apply(&rows, &scaling, NULL, tile, scaling.cell, NULL));
    rows.scaling = &scaling;
    TRY(cel_mat_new(CELLS, GENES, &tile_rows));
    TRY(cel_rows_read(&rows, NULL, 0, tile_rows, NULL));
    for (i = 0; i < tiles; i++) TRY(cel_moments_new(GENES, &relations, part + i));
    TRY(cel_moments_add_rows(part, tiles, tile, &relations, &rows, NULL));
    array = cel_npy_describe('f', (int)sizeof(cel_real), 2, shape, counts.data);
    rows.sparse = NULL;
    rows.array = &array;
    TRY(cel_moments_add_rows(part, tiles, tile, &relations, &rows, NULL));
    rows.scaling = NULL;
    TRY(cel_rows_genes(&rows, NULL, top, &many, NULL, NULL, NULL));
done:
    for (i = 0; i < 4; i++) cel_moments_free(part + i);
    cel_scaling_sums_free(&sums);
    cel_scaling_free(&scaling);
    cel_mat_free(&tile_rows);
    cel_csr_free(&sparse);
    return status;
}

/* Cells in random order, enough of them for a walk. */
static cel_status scenario_walk(void)
{
    enum { MANY = 16384 };
    static cel_real place[2 * MANY];
    cel_csr a = {0}, b = {0}, c = {0}, d = {0};
    cel_rng rng = cel_rng_at(1, 0, 0, 0);
    int64_t i;
    cel_status status;
    for (i = 0; i < 2 * MANY; i++) place[i] = (cel_real)cel_rng_uniform(&rng);
    TRY(cel_graph_knn(cel_mat_view(place, MANY, 2), NULL, 2, 0, &a, NULL));
    TRY(cel_graph_radius(cel_mat_view(place, MANY, 2), NULL, 0, 0.01, 0, &b, NULL));
    TRY(cel_csr_symmetrise(&a, &c));
    TRY(cel_csr_hop(&a, 2, &d));
    if (!a.order || !b.order || !c.order || !d.order) status = CEL_ERR_NUMERIC;
done:
    cel_csr_free(&a);
    cel_csr_free(&b);
    cel_csr_free(&c);
    cel_csr_free(&d);
    return status;
}

static cel_status scenario_paper(void)
{
    cel_moments m = {0};
    cel_model fitted = {0};
    cel_mat angles = {0}, gradient = {0};
    cel_paper_options fit;
    cel_paper_options gen;
    double h;
    cel_status status;
    memset(&fit, 0, sizeof fit);
    memset(&gen, 0, sizeof gen);
    fit.epochs = gen.epochs = 3;
    fit.optimiser = gen.optimiser = CEL_OPTIMISER_ADAM;
    TRY(cel_moments_new(GENES, &relations, &m));
    TRY(cel_moments_add(&m, &relations, x, NULL, 0, NULL));
    TRY(cel_model_new(GENES, 2, 1, &fitted));
    TRY(cel_mat_new(CELLS, GENES, &gradient));
    TRY(cel_model_energy(&fitted, &relations, x, &h, NULL, gradient, NULL));
    cel_model_free(&fitted);
    TRY(cel_model_new(GENES, 2, 0, &fitted));
    TRY(cel_paper_start(1, &fitted));
    TRY(cel_paper_fit(&m, 1, &fit, &fitted, NULL, NULL, NULL));
    TRY(cel_mat_new(CELLS, GENES - 1, &angles));
    TRY(cel_paper_to_angles(x, angles, NULL));
    TRY(cel_paper_generate(&fitted, &relations, &gen, angles, gradient, NULL, NULL, NULL));
done:
    cel_moments_free(&m);
    cel_model_free(&fitted);
    cel_mat_free(&angles);
    cel_mat_free(&gradient);
    return status;
}

static cel_status scenario_score(void)
{
    static const cel_score_form form[] = {CEL_SCORE_MOMENT, CEL_SCORE_EXACT, CEL_SCORE_ORTHANT, CEL_SCORE_MOMENT,
                                          CEL_SCORE_MOMENT};
    cel_model fitted = {0};
    cel_score_report report = {0};
    double value;
    cel_status status;
    int k;
    for (k = 0; k < 5; k++) {
        cel_score_options options;
        memset(&options, 0, sizeof options);
        options.form = form[k];
        options.field = k == 1 ? CEL_SCORE_FIELD_SHARED : CEL_SCORE_FIELD_NONE;
        options.ridge = k == 0 ? CEL_SCORE_PICKED : 0.1;
        options.l1 = k == 3 ? 0.1 : 0;
        options.measured = k == 4;
        options.group = tile;
        TRY(cel_score_fit(&relations, counts, &options, &fitted, &report, NULL, NULL));
        TRY(cel_score_value(&fitted, &relations, counts, form[k], &value, NULL, NULL));
        TRY(cel_score_pseudo_likelihood(&fitted, &relations, counts, &value, NULL, NULL));
        cel_model_free(&fitted);
        cel_score_report_free(&report);
    }
done:
    cel_model_free(&fitted);
    cel_score_report_free(&report);
    return status;
}

static cel_status scenario_chosen(void)
{
    static const int32_t chosen[2] = {2, 0};
    cel_rows rows = {0};
    cel_chosen_options options = {0};
    cel_chosen_report report = {0};
    cel_status status;
    rows.cells = counts.rows;
    rows.genes = counts.cols;
    rows.dense = counts;
    options.group = tile;
    options.factors = 1;
    TRY(cel_chosen_fit(&rows, &relations, chosen, 2, &options, &report, NULL, NULL));
done:
    cel_chosen_report_free(&report);
    return status;
}

static cel_status scenario_count(void)
{
    cel_count_data data = CEL_ZERO;
    cel_count_options options = CEL_ZERO;
    cel_count_result fit, known;
    cel_real y[CELLS * GENES];
    double each[CELLS];
    cel_status status;
    int64_t i;
    memset(&known, 0, sizeof known);
    for (i = 0; i < CELLS * GENES; i++) y[i] = (cel_real)(1 + (i * i * 7 + i / 3) % 11);
    data.relations = &relations;
    data.counts = cel_mat_view(y, CELLS, GENES);
    options.group = tile;
    status = cel_count_fit(&data, &options, &fit, NULL);
    if (status) return status;
    options.group = NULL;
    options.model = &fit.model;
    options.scaling = &fit.scaling;
    options.each = each;
    status = cel_count_fit(&data, &options, &known, NULL);
    cel_count_free(&known);
    cel_count_free(&fit);
    return status;
}

static cel_status scenario_shift(void)
{
    enum { PARTS = 4 };
    static const int32_t group[PARTS] = {0, 1, 2, 3}, condition[PARTS] = {0, 1, 0, 1};
    cel_moments part[PARTS];
    cel_score_options options = cel_score_measured(NULL);
    cel_shift_report report = {0};
    cel_status status = CEL_OK;
    int k;
    memset(part, 0, sizeof part);
    for (k = 0; k < PARTS; k++) TRY(cel_moments_new(counts.cols, &relations, part + k));
    TRY(cel_moments_add_by_label(part, PARTS, tile, &relations, counts, NULL));
    options.group = group;
    options.ridge = 0.1;
    options.folds = 2;
    TRY(cel_shift_fit(part, PARTS, condition, &options, &report, NULL, NULL));
done:
    for (k = 0; k < PARTS; k++) cel_moments_free(part + k);
    cel_shift_report_free(&report);
    return status;
}

/* A memo in a file, and fits that find nothing in it: what is there is not asked for memory that would be missed. */
static cel_status scenario_keep(void)
{
    static const char path[] = "/tmp/celcomen_alloc_keep";
    cel_score_options options = cel_score_measured(NULL);
    cel_model fitted = {0};
    cel_score_report report = {0};
    cel_keep keep;
    int64_t found;
    char back[8];
    cel_status status;
    remove(path);
    TRY(cel_keep_open(path, "mark", 4, &keep, &found, NULL));
    TRY(keep.save(keep.user, "one", 0, "12345678", 8));
    TRY(keep.save(keep.user, "one", 0, "87654321", 8));
    cel_keep_close(&keep);
    TRY(cel_keep_open(path, "mark", 4, &keep, &found, NULL));
    if (found != 1 || !keep.load(keep.user, "one", 0, back, 8)) status = CEL_ERR_DATA;
    options.group = tile;
    options.keep = &keep;
    if (!status) TRY(cel_score_fit(&relations, counts, &options, &fitted, &report, NULL, NULL));
done:
    cel_keep_close(&keep);
    cel_model_free(&fitted);
    cel_score_report_free(&report);
    remove(path);
    return status;
}

static cel_status scenario_sample(void)
{
    cel_mat y = {0};
    cel_sample_options options;
    cel_logz_options z;
    cel_logz_report report;
    double bound;
    cel_status status;
    memset(&options, 0, sizeof options);
    memset(&z, 0, sizeof z);
    options.warmup = options.sweeps = 3;
    z.runs = 2;
    z.rungs = 3;
    z.sweeps = 3;
    TRY(cel_mat_new(CELLS, GENES, &y));
    for (options.domain.orthant = 0; options.domain.orthant < 2; options.domain.orthant++) {
        cel_sample_uniform(1, 1, options.domain.orthant, y);
        TRY(cel_sample_run(&model, &relations, &options, y, NULL, NULL, NULL));
    }
    TRY(cel_ascent_run(&model, &relations, NULL, y, NULL, NULL));
    TRY(cel_logz_ais(&model, &relations, &z, &report, NULL));
    TRY(cel_logz_bound(&model, &relations, &z, &bound, NULL));
done:
    cel_mat_free(&y);
    return status;
}

static cel_status scenario_likelihood(void)
{
    static const double size[GENES] = {0.5, 0.5, 0.5, 0.5};
    cel_mat flat = {0};
    cel_likelihood_options options = CEL_ZERO;
    cel_likelihood_report report = CEL_ZERO;
    cel_model fit = CEL_ZERO;
    cel_status status;
    int64_t i;
    TRY(cel_mat_new(CELLS, GENES, &flat));
    TRY(cel_mat_copy(x, flat));
    for (i = 0; i < CELLS; i++) {
        cel_real *row = flat.data + i * GENES, mean = (row[0] + row[1] + row[2] + row[3]) / 4;
        row[0] -= mean, row[1] -= mean, row[2] -= mean, row[3] -= mean;
    }
    TRY(cel_slide_unit(flat, NULL, NULL, NULL));
    TRY(cel_mat_new(2 * CELLS, GENES, &options.chain));
    options.steps = 4;
    options.warmup = 2;
    options.check = 12;
    options.chains = 2;
    options.size = size;
    options.centred = 1;
    TRY(cel_likelihood_fit(&relations, flat, &options, &fit, &report, NULL));
done:
    cel_likelihood_report_free(&report);
    cel_model_free(&fit);
    cel_mat_free(&options.chain);
    cel_mat_free(&flat);
    return status;
}

static cel_status scenario_perturb(void)
{
    static const char text[] = "5, 1, 0.5\nremove cell 9\nadd cell at 2.2,2.3 with profile of cell 4\n";
    cel_intervention *list = NULL;
    cel_intervention_names names = CEL_ZERO;
    cel_perturb plan;
    cel_effect effect;
    cel_tissue tissue;
    cel_perturb_setup setup;
    cel_mat more = CEL_ZERO, full = CEL_ZERO;
    int32_t order[GENES];
    cel_csr near = CEL_ZERO;
    cel_relations after = CEL_ZERO;
    int64_t count;
    cel_status status;
    int k;
    memset(&plan, 0, sizeof plan);
    memset(&effect, 0, sizeof effect);
    memset(&tissue, 0, sizeof tissue);
    memset(&setup, 0, sizeof setup);
    setup.after = &after;
    names.gene_count = GENES;
    names.cells = CELLS;
    tissue.x = x;
    tissue.coords = coords;
    tissue.relations = &relations;
    TRY(cel_mat_new(CELLS + 1, GENES, &full));
    TRY(cel_mat_new(CELLS + 1, 2, &more));
    cel_mat_copy(coords, cel_mat_block(more, 0, 0, CELLS, 2));
    more.data[2 * CELLS] = (cel_real)2.2;
    more.data[2 * CELLS + 1] = (cel_real)2.3;
    TRY(cel_graph_knn(more, NULL, 6, 0, &near, NULL));
    TRY(cel_relations_from_graph(&near, NULL, &after, NULL));
    TRY(cel_intervention_parse(text, sizeof text - 1, &names, &list, &count, NULL));
    TRY(cel_perturb_new(&model, &tissue, list, count, &setup, &plan, NULL));
    for (k = 0; k < 3; k++) {
        cel_perturb_options options;
        memset(&options, 0, sizeof options);
        options.method = (cel_method)k;
        options.repeats = 2;
        options.sweeps = options.warmup = 2;
        TRY(cel_perturb_run(&plan, &options, &effect, NULL));
        TRY(cel_effect_rank(effect.table, 0, order));
        TRY(cel_perturb_scatter(&plan, effect.after, full));
        cel_effect_free(&effect);
    }
done:
    cel_mat_free(&more);
    cel_mat_free(&full);
    cel_csr_free(&near);
    cel_relations_free(&after);
    cel_intervention_free(list);
    cel_perturb_free(&plan);
    cel_effect_free(&effect);
    return status;
}

/* What the scenarios above do not call of the rooms from base to files. */
static cel_status scenario_small(void)
{
    static const char path[] = "/tmp/celcomen_alloc_small.npy", lines_path[] = "/tmp/celcomen_alloc_small.txt";
    static const char gz[] =
        "\x1f\x8b\x08\0\0\0\0\0\2\3\x4b\x4e\xcd\xc9\xd1\x71\xd4\x71\xd2\x29\xa9\x2c\x48\xe5\xaa\xd0\x31"
        "\xd4\x31\xd2\x09\xe1\xaa\xd4\x31\xd6\x31\xd0\x71\xe2\2\0\x64\2\x38\x5f\x1e\0\0";
    const int64_t shape[1] = {3}, value[3] = {4, 5, 6};
    cel_npy array = cel_npy_describe('i', 8, 1, shape, value);
    cel_mat a = {0}, b = {0};
    cel_csr c = {0};
    cel_file file = CEL_ZERO;
    cel_npz_member member[5];
    cel_npz z = CEL_ZERO;
    double p[3] = {0.1, 0.2, 0.3}, q[3];
    int64_t *integer = NULL, start[3], back[3], n, rows, cols, of[2];
    int32_t list[3], label[3] = {1, 0, 1}, keep[1] = {0}, row[1] = {1};
    char **lines = NULL;
    void *out = NULL;
    size_t length;
    cel_real real[3];
    cel_status status;
    TRY(cel_fdr(p, 3, q));
    TRY(cel_mat_new(3, 3, &a));
    TRY(cel_mat_new(3, 3, &b));
    TRY(cel_mat_axpy(1, a, b));
    TRY(cel_mat_symmetrise(a));
    TRY(cel_mat_transpose(a, b));
    TRY(cel_mat_columns(&b, keep, 1));
    TRY(cel_csr_groups(label, 3, 2, start, list, NULL));
    TRY(cel_csr_from_edges(3, 3, 0, NULL, NULL, NULL, &c, NULL));
    TRY(cel_csr_mul(1, &c, b, 0, cel_mat_view(a.data, 3, 1)));
    TRY(cel_csr_mul_rows(1, &c, row, 1, b, 0, cel_mat_view(a.data, 1, 1)));
    TRY(cel_file_gunzip(gz, sizeof gz, 0, &out, &length, NULL));
    TRY(cel_file_write(lines_path, "a\nb\n", 4, NULL));
    TRY(cel_file_lines(lines_path, &lines, &n, NULL));
    TRY(cel_npy_write(path, &array, NULL));
    TRY(cel_npy_integers(path, &integer, &rows, &cols, NULL));
    TRY(cel_file_open(path, 0, &file, NULL));
    TRY(cel_npy_parse(file.bytes, file.size, &array, NULL));
    TRY(cel_npy_to_int64(&array, back, NULL));
    TRY(cel_npy_to_real(&array, real, NULL));
    cel_file_close(&file);
    cel_csr_free(&c);
    cel_npz_from_csr(&w, of, member);
    TRY(cel_npz_write(path, member, 5, NULL));
    TRY(cel_file_open(path, 0, &file, NULL));
    TRY(cel_npz_parse(file.bytes, file.size, &z, NULL));
    TRY(cel_npz_get(&z, "data", &array, NULL));
    TRY(cel_npz_to_csr(&z, &c, NULL));
done:
    cel_npz_free(&z);
    cel_file_close(&file);
    cel_file_free(integer);
    cel_file_free(lines);
    cel_file_free(out);
    cel_mat_free(&a);
    cel_mat_free(&b);
    cel_csr_free(&c);
    remove(path);
    remove(lines_path);
    return status;
}

/* And of those from tissue to optimum. */
static cel_status scenario_large(void)
{
    static const char path[] = "/tmp/celcomen_alloc_model.npz";
    static char name[4][2] = {"a", "b", "c", "d"}, *names[4] = {name[0], name[1], name[2], name[3]};
    static char kind[2][6] = {"intra", "inter"}, *kinds[2] = {kind[0], kind[1]};
    cel_model_record record = CEL_ZERO, again = CEL_ZERO;
    cel_mat rows = {0}, basis = {0}, gradient = {0}, angles = {0}, by_angle = {0};
    cel_moments moments = {0}, part[4] = {{0}};
    cel_scaling scaling = CEL_ZERO;
    cel_scaling_cell one;
    cel_slide slide = CEL_ZERO;
    cel_slide_recipe recipe = CEL_ZERO;
    cel_slide_rows prepared = CEL_ZERO;
    cel_slide_report report;
    cel_score_result result = CEL_ZERO;
    cel_score_options options = CEL_ZERO;
    cel_score_report scores = CEL_ZERO;
    cel_model fitted = {0};
    cel_relations more = CEL_ZERO;
    cel_csr extra = {0};
    cel_sample *sampler = NULL;
    cel_sample_options draw = CEL_ZERO;
    cel_adam adam = CEL_ZERO;
    cel_paper_value loss;
    cel_mean_field field;
    cel_work work = CEL_ZERO;
    double direction[GENES] = {1, 0, 0, 0}, mean[GENES] = {0.5, 0.5, 0.5, 0.5}, cross[GENES * GENES];
    double total[CELLS], value, deviation[GENES], moran[GENES], between[GENES * GENES];
    double trace[32], ess, rhat, gamma[3] = {1, 2, 3}, level = 3;
    int32_t column[GENES], colour[CELLS], colours, gene = 0;
    int64_t i;
    cel_status status;
    TRY(cel_mat_new(CELLS, GENES, &rows));
    TRY(cel_mat_new(CELLS, GENES, &gradient));
    for (i = 0; i < CELLS * GENES; i++) rows.data[i] = (cel_real)(1 + (i * i * 7 + i / 3) % 11);
    slide.x = rows;
    slide.coords = coords;
    recipe.tiles = 2;
    TRY(cel_slide_describe(rows, total, &report, NULL));
    TRY(cel_slide_prepare(&slide, &recipe, &prepared, NULL));
    TRY(cel_score_slide(&slide, &recipe, &result, NULL));
    TRY(cel_scaling_fit(rows, NULL, NULL, NULL, &scaling, NULL));
    one = scaling.cell[0];
    TRY(cel_scaling_hold(&scaling, CEL_UNIT_GIVEN, 1, &gene, &level, rows.data, &one, NULL));
    TRY(cel_scaling_values(&scaling, CEL_UNIT_LOG, rows, scaling.cell, gradient));
    TRY(cel_slide_scale(counts, NULL, NULL));
    TRY(cel_slide_unit(counts, NULL, NULL, NULL));
    TRY(cel_graph_make(coords, NULL, NULL, &extra, NULL));
    TRY(cel_relations_new(CELLS, &more));
    TRY(cel_relations_add(&more, "inter", &extra, NULL));
    TRY(cel_sample_colour(&more, NULL, colour, &colours, NULL));
    record.model = model;
    record.gene = names;
    record.relation = kinds;
    TRY(cel_model_write(path, &record, NULL));
    TRY(cel_model_read(path, &again, NULL));
    TRY(cel_model_columns(&again, names, GENES, column, NULL));
    TRY(cel_mat_new(GENES, GENES - 1, &basis));
    TRY(cel_model_reduce(&model, direction, basis, &fitted));
    cel_model_free(&fitted);
    TRY(cel_model_new(GENES, 2, 0, &fitted));
    TRY(cel_model_confine(&fitted, direction));
    TRY(cel_model_logz(&fitted, CEL_SPHERE_RIGHT, 6, CELLS, mean, &field, cel_mat_none(), NULL));
    TRY(cel_sphere_log_fb(3, gamma, gamma, &value, NULL, NULL));
    TRY(cel_moments_new(GENES, &relations, &moments));
    for (i = 0; i < 4; i++) TRY(cel_moments_new(GENES, &relations, part + i));
    TRY(cel_moments_add_by_label(part, 4, tile, &relations, x, &work));
    for (i = 0; i < 4; i++) TRY(cel_moments_sum(&moments, 1, part + i));
    TRY(cel_moments_cross(&moments, 1, cross));
    TRY(cel_moments_correlate(&moments, 1, mean, deviation, moran, cross, between));
    cel_model_free(&fitted);
    options.ridge = 0.1;
    TRY(cel_score_fit_moments(part, 4, &options, &fitted, &scores, NULL, &work));
    TRY(cel_score_value_moments(&fitted, &moments, &value));
    TRY(cel_score_check(&fitted, &relations, x, CEL_SCORE_EXACT, 2, &value, NULL));
    TRY(cel_paper_loss(&fitted, &moments, NULL, &loss, cel_mat_none(), NULL));
    TRY(cel_paper_generate_loss(&fitted, &relations, x, NULL, &loss, gradient, NULL, NULL));
    TRY(cel_mat_new(CELLS, GENES - 1, &angles));
    TRY(cel_mat_new(CELLS, GENES - 1, &by_angle));
    TRY(cel_paper_to_angles(x, angles, NULL));
    TRY(cel_paper_from_angles(angles, rows, NULL));
    TRY(cel_paper_angles_gradient(angles, gradient, by_angle, NULL));
    TRY(cel_adam_new(GENES, &adam));
    draw.warmup = -1;
    TRY(cel_sample_new(&fitted, &relations, &draw, &sampler, NULL));
    TRY(cel_mat_copy(x, rows));
    TRY(cel_sample_sweep(sampler, rows));
    for (i = 0; i < 32; i++) trace[i] = (double)(i * 7 % 13);
    TRY(cel_sample_diagnose(trace, 2, 16, &ess, &rhat));
done:
    cel_adam_free(&adam);
    cel_sample_free(sampler);
    cel_mat_free(&rows);
    cel_mat_free(&basis);
    cel_mat_free(&gradient);
    cel_mat_free(&angles);
    cel_mat_free(&by_angle);
    cel_moments_free(&moments);
    for (i = 0; i < 4; i++) cel_moments_free(part + i);
    cel_scaling_free(&scaling);
    cel_slide_rows_free(&prepared);
    cel_score_slide_free(&result);
    cel_score_report_free(&scores);
    cel_model_free(&fitted);
    cel_relations_free(&more);
    cel_csr_free(&extra);
    cel_model_record_free(&again);
    cel_work_free(&work);
    remove(path);
    return status;
}

/* Moments to a file, back, and added: once as another band of the slide, once as another slide. */
static cel_status scenario_moments(void)
{
    static const char path[] = "/tmp/celcomen_alloc_moments.npz";
    char *gene[] = {(char *)"A", (char *)"B", (char *)"C", (char *)"D"}, *slide[] = {(char *)"s"}, *other[] = {(char *)"t"};
    int32_t of[1] = {0};
    int64_t contacts[2] = {0, 1}, cells = 2 * CELLS, tiles = 1, span[3] = {0, 0, CELLS};
    double one[GENES] = {1, 1, 1, 1};
    cel_moments m = CEL_ZERO;
    cel_moments_record r = CEL_ZERO, read = CEL_ZERO;
    cel_error err;
    cel_status status;
    TRY(cel_moments_new(GENES, &relations, &m));
    TRY(cel_moments_add(&m, &relations, x, NULL, 0, NULL));
    r.about.model.genes = r.about.scaling.genes = GENES;
    r.about.model.relations = 2;
    r.about.gene = gene;
    r.about.relation = relations.name;
    r.about.slide = r.about.group = slide;
    r.about.slides = r.about.scaling.groups = r.parts = r.spans = 1;
    r.about.scaling.centre = r.about.scaling.scale = one;
    r.part = r.shuffled = &m;
    r.slide = r.tile = of;
    r.contacts = contacts;
    r.slide_cells = &cells;
    r.slide_tiles = &tiles;
    r.span = span;
    TRY(cel_moments_write(path, &r, &err));
    TRY(cel_moments_read(path, 0, &read, &err));
    span[1] = CELLS;
    span[2] = cells;
    TRY(cel_moments_merge(&read, &r, &err));
    r.about.slide = r.about.group = other;
    TRY(cel_moments_merge(&read, &r, &err));
done:
    cel_moments_free(&m);
    cel_moments_record_free(&read);
    remove(path);
    return status;
}

int main(void)
{
    static const struct {
        const char *name;
        cel_status (*run)(void);
    } scenario[] = {{"dense", scenario_dense},   {"sparse", scenario_sparse},  {"files", scenario_files},
                    {"tissue", scenario_tissue}, {"rows", scenario_rows}, {"walk", scenario_walk}, {"paper", scenario_paper},
                    {"score", scenario_score}, {"chosen", scenario_chosen}, {"keep", scenario_keep}, {"count", scenario_count},    {"sample", scenario_sample},
                    {"perturb", scenario_perturb}, {"likelihood", scenario_likelihood}, {"moments", scenario_moments},
                  {"shift", scenario_shift}, {"small", scenario_small},   {"large", scenario_large}};
    int passed = 0, failed = 0;
    int64_t i;
    size_t k;
    if (cel_mat_new(CELLS, 2, &coords) || cel_mat_new(CELLS, GENES, &x) || cel_mat_new(CELLS, GENES, &counts)) return 1;
    if (cel_graph_hex_coords(SIDE, SIDE, coords) || cel_graph_knn(coords, NULL, 6, 0, &graph, NULL) ||
        cel_csr_symmetrise(&graph, &w))
        return 1;
    if (cel_slide_tiles(coords, NULL, 2, tile, &tiles, NULL) || cel_model_new(GENES, 2, 0, &model)) return 1;
    if (cel_relations_from_graph(&graph, NULL, &relations, NULL)) return 1;
    for (i = 0; i < GENES * GENES; i++) model.force.data[i] = i % (GENES + 1) ? 1 : 0;
    cel_sample_uniform(1, 0, 0, x);
    cel_sample_uniform(1, 0, 1, counts);
    for (k = 0; k < sizeof scenario / sizeof scenario[0]; k++) {
        long n, before = live, trouble = 0;
        cel_status status = CEL_ERR_MEMORY;
        for (n = 0; n < 100000 && status; n++) {
            left = n;
            status = scenario[k].run();
            left = -1;
            if (status && status != CEL_ERR_MEMORY) {
                printf("%s: allocation %ld refused: %s\n", scenario[k].name, n, cel_strerror(status));
                trouble++;
                if (n > 5000) break;
            }
            if (live != before) {
                printf("%s: allocation %ld refused: %ld allocations leaked\n", scenario[k].name, n, live - before);
                trouble++;
                live = before;
            }
            if (trouble > 5) break;
        }
        if (trouble || status || n < 2)
            failed++;
        else
            passed++;
        printf("%s: %ld allocations\n", scenario[k].name, n - 1);
    }
    printf("%d passed, %d failed, 0 skipped\n", passed, failed);
    return failed > 0;
}
