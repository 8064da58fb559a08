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
    cel_mat more = CEL_ZERO;
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
        cel_effect_free(&effect);
    }
done:
    cel_mat_free(&more);
    cel_csr_free(&near);
    cel_relations_free(&after);
    cel_intervention_free(list);
    cel_perturb_free(&plan);
    cel_effect_free(&effect);
    return status;
}

int main(void)
{
    static const struct {
        const char *name;
        cel_status (*run)(void);
    } scenario[] = {{"dense", scenario_dense},   {"sparse", scenario_sparse},  {"files", scenario_files},
                    {"tissue", scenario_tissue}, {"walk", scenario_walk},      {"paper", scenario_paper},
                    {"score", scenario_score},   {"sample", scenario_sample},  {"perturb", scenario_perturb},
                    {"likelihood", scenario_likelihood}};
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
