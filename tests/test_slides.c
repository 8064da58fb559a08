/* Real slides: from counts to forces, and what must hold of them. Skipped where ../shared is absent. */
#include "test.h"

typedef struct slide {
    cel_mat x, coords;
    cel_csr graph;
    cel_relations relations;
    int32_t *tile;
} slide;

static void drop_slide(slide *s)
{
    cel_mat_free(&s->x);
    cel_mat_free(&s->coords);
    cel_csr_free(&s->graph);
    cel_relations_free(&s->relations);
    free(s->tile);
}

/* Unit rows of the `top` most expressed genes; with shuffled the cells keep their rows and swap their places. */
static int load_slide(const char *name, int64_t top, int shuffled, slide *s)
{
    char path[1024];
    int64_t zeros, rows, tiles, i;
    int32_t *index = (int32_t *)malloc((size_t)top * sizeof(int32_t));
    cel_genes_options by = CEL_ZERO;
    uint8_t *keep;
    cel_rng rng = cel_rng_at(1, 0, 0, 0);
    int ok;
    memset(s, 0, sizeof *s);
    snprintf(path, sizeof path, "%s/data/%s/counts.npy", test_shared(), name);
    ok = CHECK(cel_npy_matrix(path, &s->x, NULL) == CEL_OK);
    snprintf(path, sizeof path, "%s/data/%s/coords.npy", test_shared(), name);
    ok = ok && CHECK(cel_npy_matrix(path, &s->coords, NULL) == CEL_OK);
    ok = ok && CHECK(cel_slide_scale(s->x, NULL, NULL) == CEL_OK);
    by.top = top;
    ok = ok && CHECK(cel_slide_genes(s->x, &by, index, &top, NULL, NULL, NULL) == CEL_OK);
    ok = ok && CHECK(cel_mat_columns(&s->x, index, top) == CEL_OK);
    free(index);
    if (!ok) return 0;
    rows = s->x.rows;
    keep = (uint8_t *)malloc((size_t)rows);
    ok = CHECK(cel_slide_unit(s->x, keep, &zeros, NULL) == CEL_OK);
    s->x.rows = cel_compact(keep, rows, s->x.data, (size_t)s->x.stride * sizeof(cel_real));
    s->coords.rows = cel_compact(keep, rows, s->coords.data, (size_t)s->coords.stride * sizeof(cel_real));
    CHECK(s->x.rows == rows - zeros && s->coords.rows == s->x.rows);
    free(keep);
    for (i = s->coords.rows - 1; shuffled && i > 0; i--) {
        int64_t k = cel_rng_integer(&rng, (uint32_t)i + 1), c;
        for (c = 0; c < 2; c++) {
            cel_real swap = s->coords.data[2 * i + c];
            s->coords.data[2 * i + c] = s->coords.data[2 * k + c];
            s->coords.data[2 * k + c] = swap;
        }
    }
    s->tile = (int32_t *)malloc((size_t)s->x.rows * sizeof(int32_t));
    ok = ok && CHECK(cel_graph_knn(s->coords, NULL, 6, 0, &s->graph, NULL) == CEL_OK);
    ok = ok && CHECK(cel_relations_from_graph(&s->graph, NULL, &s->relations, NULL) == CEL_OK);
    ok = ok && CHECK(cel_slide_tiles(s->coords, NULL, 6, s->tile, &tiles, NULL) == CEL_OK && tiles == 36);
    return ok;
}

static const char *const names[] = {"osmfish_cortex", "merfish_mpoa", "xenium_breast", "st_mob"};

/* Fitted forces are finite and predict the slide better than no forces by J. (The referee need not agree: exact zeros
 * are atoms that a density on the sphere does not have.) */
static void slides_fit(void)
{
    size_t k;
    if (!test_shared()) SKIP("no ../shared");
    for (k = 0; k < sizeof names / sizeof names[0]; k++) {
        slide s;
        cel_model fitted = {0}, none = {0};
        cel_score_options options;
        double value[2], likelihood[2];
        int64_t i, finite = 0;
        memset(&options, 0, sizeof options);
        options.no_errors = 1;
        options.ridge = 0.01;
        if (load_slide(names[k], 20, 0, &s) &&
            CHECK(cel_score_fit(&s.relations, s.x, &options, &fitted, NULL, NULL, NULL) == CEL_OK) &&
            CHECK(cel_model_new(20, 2, 0, &none) == CEL_OK)) {
            for (i = 0; i < 2 * 20 * 20; i++) finite += isfinite((double)fitted.force.data[i]) != 0;
            CHECK(finite == 2 * 20 * 20);
            CHECK(cel_score_value(&fitted, &s.relations, s.x, CEL_SCORE_EXACT, &value[0], NULL, NULL) == CEL_OK);
            CHECK(cel_score_value(&none, &s.relations, s.x, CEL_SCORE_EXACT, &value[1], NULL, NULL) == CEL_OK);
            CHECK(value[0] < value[1]);
            CHECK(cel_score_pseudo_likelihood(&fitted, &s.relations, s.x, &likelihood[0], NULL, NULL) == CEL_OK);
            CHECK(cel_score_pseudo_likelihood(&none, &s.relations, s.x, &likelihood[1], NULL, NULL) == CEL_OK);
            CHECK(isfinite(likelihood[0]) && isfinite(likelihood[1]));
        }
        cel_model_free(&fitted);
        cel_model_free(&none);
        drop_slide(&s);
    }
}

/* Permuting the cells' places leaves next to nothing to call between cells; the true places do not. */
static void positions_permuted(void)
{
    double called[2] = {0, 0};
    int shuffled;
    if (!test_shared()) SKIP("no ../shared");
    for (shuffled = 0; shuffled < 2; shuffled++) {
        slide s;
        cel_model fitted = {0};
        cel_score_report report = {0};
        cel_score_options options;
        int64_t a, b, n = 60;
        memset(&options, 0, sizeof options);
        options.ridge = CEL_SCORE_PICKED;
        if (load_slide("xenium_breast", n, shuffled, &s) && (options.group = s.tile) != NULL &&
            CHECK(cel_score_fit(&s.relations, s.x, &options, &fitted, &report, NULL, NULL) == CEL_OK) &&
            CHECK(report.groups == 36))
            for (a = 0; a < n; a++)
                for (b = a + 1; b < n; b++) called[shuffled] += (double)report.q.data[(n + a) * n + b] < 0.05;
        cel_model_free(&fitted);
        cel_score_report_free(&report);
        drop_slide(&s);
    }
    CHECK(called[0] > 0.03 * 1770);
    CHECK(called[1] <= 0.01 * 1770);
}

void suite_slides(void);
void suite_slides(void)
{
    RUN(slides_fit);
    RUN(positions_permuted);
}
