/* Numbers at the edge, options that are none, and the faults of 0.1.0 that were of a kind (P1 ..). What needs another
 * compiler or machine is in tests/embed/ and tests/portability.sh. SPDX-License-Identifier: MIT */
#include "law.h"

#include <float.h>
#include <unistd.h>

static const int is_double = sizeof(cel_real) == sizeof(double);

/* Exact equality of a value in a register of 80 bits with a stored one chose a gene that does not vary. */
static void P1_a_constant_gene_is_not_variable(void)
{
    cel_mat x = CEL_ZERO;
    cel_genes_options o = CEL_ZERO;
    int32_t index[3];
    double score[4];
    int64_t i, j, count;
    OK_OR_RETURN(cel_mat_new(150, 4, &x));
    for (i = 0; i < 150; i++)
        for (j = 0; j < 4; j++)
            x.data[i * 4 + j] = j == 1 ? (cel_real)0.3 : (cel_real)((i * 7 + j * 3) % 5) * (cel_real)0.37;
    o.by = CEL_GENES_VARIABLE;
    o.top = 3;
    CHECK(cel_slide_genes(x, &o, index, &count, NULL, score, NULL) == CEL_OK);
    CHECK(score[1] < -DBL_MAX && count == 3 && index[0] == 0 && index[1] == 2 && index[2] == 3);
    cel_mat_free(&x);
}

/* Squares and sums that leave the range of a double: scaled where that is exact, else refused, never silent. */
static void P2_squares_beyond_a_double(void)
{
    double large = is_double ? 1e200 : 1e38, small = is_double ? 1e-200 : 1e-38;
    cel_real pair[4] = {0}, place[8] = {0};
    cel_mat one = cel_mat_view(pair, 1, 2);
    cel_csr g = CEL_ZERO;
    uint8_t keep;
    int k;
    for (k = 0; k < 2; k++) {
        pair[0] = pair[1] = (cel_real)(k ? small : large);
        CHECK(cel_slide_unit(one, &keep, NULL, NULL) == CEL_OK && keep == 1);
        NEAR(pair[0], sqrt(0.5), 1e-6);
    }
    for (k = 0; k < 2; k++) { /* counts */
        cel_status status;
        double value = k ? (is_double ? DBL_MIN : (double)FLT_MIN) : is_double ? DBL_MAX : (double)FLT_MAX;
        pair[0] = pair[1] = (cel_real)value;
        status = cel_slide_scale(one, NULL, NULL);
        if (is_double) CHECK(status == CEL_ERR_DATA);
        else {
            CHECK(status == CEL_OK);
            NEAR(pair[0], log1p(5000), 1e-5);
        }
    }
    place[2] = (cel_real)large, place[4] = (cel_real)(3 * large), place[6] = (cel_real)(8 * large);
    if (is_double) {
        CHECK(cel_graph_knn(cel_mat_view(place, 4, 2), NULL, 1, 0, &g, NULL) == CEL_ERR_DATA && !g.start);
    } else {
        place[6] = (cel_real)3.3e38;
        CHECK(cel_graph_knn(cel_mat_view(place, 4, 2), NULL, 1, 0, &g, NULL) == CEL_OK);
        CHECK(g.index[0] == 1 && g.index[1] == 0 && g.index[2] == 3 && g.index[3] == 2);
        cel_csr_free(&g);
    }
}

/* Every enum and every index that comes in from outside is checked where it comes in. */
static void P10_enums_at_the_door(void)
{
    static const int wrong[] = {-1, 7, 1000000, -1000000};
    cel_mat x = CEL_ZERO, y = CEL_ZERO;
    cel_model m = CEL_ZERO;
    cel_relations relations = CEL_ZERO;
    cel_csr graph = torus(5);
    size_t k;
    CHECK(test_relations(&relations, 25, &graph, NULL, NULL));
    CHECK(cel_mat_new(25, 4, &x) == CEL_OK && cel_mat_new(25, 4, &y) == CEL_OK && cel_model_new(4, 2, 0, &m) == CEL_OK);
    cel_sample_uniform(1, 0, 0, x);
    for (k = 0; k < sizeof wrong / sizeof *wrong; k++) {
        const int bad = wrong[k];
        cel_genes_options genes = CEL_ZERO;
        cel_scaling_options scaling = CEL_ZERO;
        cel_scaling s = CEL_ZERO;
        cel_relations_options links = CEL_ZERO;
        cel_relations made;
        cel_score_options form = CEL_ZERO, field = CEL_ZERO;
        cel_mean_field logz;
        cel_intervention what = CEL_ZERO, who = CEL_ZERO;
        cel_tissue t = CEL_ZERO;
        cel_perturb p;
        cel_paper_options optimiser = CEL_ZERO, sphere = CEL_ZERO;
        cel_moments moments = CEL_ZERO;
        cel_effect effect;
        cel_perturb_options method = CEL_ZERO;
        int32_t index[4];
        int64_t count;
        double mean[4] = {0.5, 0.5, 0.5, 0.5}, value;
        genes.by = (cel_genes_by)bad;
        CHECK(cel_slide_genes(x, &genes, index, &count, NULL, NULL, NULL) == CEL_ERR_ARG);
        scaling.kind = (cel_kind)bad;
        CHECK(cel_scaling_fit(y, NULL, NULL, &scaling, &s, NULL) == CEL_ERR_ARG);
        CHECK(cel_scaling_values(&s, (cel_unit)bad, x, NULL, y) == CEL_ERR_ARG);
        CHECK(cel_csr_normalise(&graph, (cel_csr_norm)bad) == CEL_ERR_ARG);
        links.weights = (cel_weights)bad;
        CHECK(cel_relations_from_graph(&graph, &links, &made, NULL) == CEL_ERR_ARG);
        cel_model_free(&m); /* the next two make it anew, or leave nothing */
        form.form = (cel_score_form)bad;
        CHECK(cel_score_fit(&relations, x, &form, &m, NULL, NULL, NULL) == CEL_ERR_ARG);
        field.field = (cel_score_field)bad;
        CHECK(cel_score_fit(&relations, x, &field, &m, NULL, NULL, NULL) == CEL_ERR_ARG);
        CHECK(cel_model_new(4, 2, 0, &m) == CEL_OK);
        CHECK(cel_score_value(&m, &relations, x, (cel_score_form)bad, &value, NULL, NULL) == CEL_ERR_ARG);
        CHECK(cel_score_check(&m, &relations, x, (cel_score_form)bad, 3, &value, NULL) == CEL_ERR_ARG);
        CHECK(cel_model_logz(&m, (cel_sphere)bad, 6, 25, mean, &logz, cel_mat_none(), NULL) == CEL_ERR_ARG);
        CHECK(cel_moments_new(4, &relations, &moments) == CEL_OK);
        CHECK(cel_moments_add(&moments, &relations, x, NULL, 0, NULL) == CEL_OK);
        optimiser.optimiser = (cel_optimiser)bad;
        CHECK(cel_paper_fit(&moments, 1, &optimiser, &m, NULL, NULL, NULL) == CEL_ERR_ARG);
        sphere.sphere = (cel_sphere)bad;
        CHECK(cel_paper_fit(&moments, 1, &sphere, &m, NULL, NULL, NULL) == CEL_ERR_ARG);
        cel_moments_free(&moments);
        t.x = x;
        t.relations = &relations;
        what.what = (cel_do)bad;
        what.cell = 1;
        CHECK(cel_perturb_new(&m, &t, &what, 1, NULL, &p, NULL) == CEL_ERR_ARG);
        who.who = (cel_who)bad;
        CHECK(cel_perturb_new(&m, &t, &who, 1, NULL, &p, NULL) == CEL_ERR_ARG);
        who.who = CEL_WHO_CELLS;
        CHECK(cel_perturb_new(&m, &t, &who, 1, NULL, &p, NULL) == CEL_OK);
        method.method = (cel_method)bad;
        CHECK(cel_perturb_run(&p, &method, &effect, NULL) == CEL_ERR_ARG);
        cel_perturb_free(&p);
        CHECK(strcmp(cel_level_name((cel_level)bad), "unknown") == 0);
        CHECK(strcmp(cel_strerror((cel_status)(bad + 100)), "unknown status") == 0);
    }
    cel_csr_free(&graph);
    cel_relations_free(&relations);
    cel_model_free(&m);
    cel_mat_free(&x);
    cel_mat_free(&y);
}

/* A step that throws the forces out of their range is a failure, not a success with infinite forces. */
static void P11_steps_beyond_all_range(void)
{
    static const double rate[] = {3e38, 1e300, 1e30};
    cel_relations relations = CEL_ZERO;
    cel_csr graph = torus(6);
    cel_mat x = CEL_ZERO;
    cel_moments moments = CEL_ZERO;
    size_t k;
    CHECK(test_relations(&relations, 36, &graph, NULL, NULL));
    CHECK(cel_mat_new(36, 3, &x) == CEL_OK && cel_moments_new(3, &relations, &moments) == CEL_OK);
    cel_sample_uniform(1, 0, 0, x);
    CHECK(cel_moments_add(&moments, &relations, x, NULL, 0, NULL) == CEL_OK);
    for (k = 0; k < sizeof rate / sizeof *rate; k++) {
        cel_paper_options o = CEL_ZERO;
        cel_model m = CEL_ZERO;
        int64_t i;
        o.lr = rate[k];
        o.no_projection = 1;
        CHECK(cel_model_new(3, 2, 0, &m) == CEL_OK && cel_paper_start(1, &m) == CEL_OK);
        (void)cel_paper_fit(&moments, 1, &o, &m, NULL, NULL, NULL);
        for (i = 0; i < 18; i++) CHECK(fabs((double)m.force.data[i]) <= DBL_MAX);
        cel_model_free(&m);
    }
    cel_moments_free(&moments);
    cel_relations_free(&relations);
    cel_csr_free(&graph);
    cel_mat_free(&x);
}

/* expm1 of a raw count overflowed, and the most variable genes came last. */
static void P14_raw_counts_are_no_log_data(void)
{
    cel_mat x = CEL_ZERO;
    cel_genes_options o = CEL_ZERO;
    int32_t index[4];
    int64_t count, i;
    cel_error err;
    OK_OR_RETURN(cel_mat_new(10, 4, &x));
    for (i = 0; i < 40; i++) x.data[i] = (cel_real)(i % 4 == 0 ? 100 * i : i % 4);
    o.by = CEL_GENES_VARIABLE;
    o.top = 2;
    CHECK(cel_slide_genes(x, &o, index, &count, NULL, NULL, &err) == CEL_ERR_DATA && err.cell == 2 && err.gene == 0);
    CHECK(count == 0);
    cel_mat_free(&x);
}

/* A gene that no cell has, without a penalty: one answer, whichever gene it is, with error bars or without;
 * and a ridge makes it a problem with a solution. */
static void P15_a_gene_that_no_cell_has(void)
{
    cel_relations relations = CEL_ZERO;
    cel_csr graph = torus(12);
    cel_mat x = CEL_ZERO;
    int32_t tile[144];
    int64_t i, k;
    CHECK(test_relations(&relations, 144, &graph, NULL, NULL) && cel_mat_new(144, 5, &x) == CEL_OK);
    for (i = 0; i < 144; i++) tile[i] = (int32_t)(i / 12);
    for (k = 0; k < 5; k++) {
        int form, bars;
        cel_sample_uniform(3, 0, 0, x);
        for (i = 0; i < 144; i++) x.data[5 * i + k] = 0;
        CHECK(cel_slide_unit(x, NULL, NULL, NULL) == CEL_OK);
        for (form = CEL_SCORE_MOMENT; form <= CEL_SCORE_EXACT; form++)
            for (bars = 0; bars < 2; bars++) {
                cel_score_options o = CEL_ZERO;
                cel_score_report r = CEL_ZERO;
                cel_model m = CEL_ZERO;
                cel_error err;
                int64_t e;
                o.form = (cel_score_form)form;
                o.group = bars ? tile : NULL;
                CHECK(cel_score_fit(&relations, x, &o, &m, &r, &err, NULL) == CEL_ERR_DATA && err.gene == k);
                o.ridge = 0.1;
                CHECK(cel_score_fit(&relations, x, &o, &m, &r, &err, NULL) == CEL_OK);
                for (e = 0; e < 50 && m.force.data; e++) CHECK(fabs((double)m.force.data[e]) < 1e3);
                cel_model_free(&m);
                cel_score_report_free(&r);
            }
    }
    cel_csr_free(&graph);
    cel_relations_free(&relations);
    cel_mat_free(&x);
}

/* What crashed writers left behind stops nobody. */
static void P16_stale_temporaries(void)
{
    char path[256], stale[300];
    FILE *f;
    int k;
    cel_error err;
    snprintf(path, sizeof path, "%s/stale.npy", test_tmp());
    for (k = 0; k < 120; k++) {
        snprintf(stale, sizeof stale, "%s.tmp%04d", path, k);
        f = fopen(stale, "wb");
        if (f) fclose(f);
        if (k > 99) continue;
        snprintf(stale, sizeof stale, "%s.tmp%02d", path, k);
        f = fopen(stale, "wb");
        if (f) fclose(f);
    }
    CHECK(cel_file_write(path, "whole", 5, &err) == CEL_OK);
    CHECK(cel_file_write(path, "again", 5, &err) == CEL_OK);
    snprintf(stale, sizeof stale, "%s.tmp0120", path);
    CHECK(access(stale, F_OK) != 0); /* nothing of its own is left */
}

/* The manual's table of extremes (section 8), line by line. A tissue of 100 cells x 5 genes on a grid is spoilt in one
 * way and goes through every door. */
typedef struct spoilt {
    cel_mat counts, rows, coords;
    cel_status scaling, unit, graph, fit, ridge, sample;
    cel_error at_scaling, at_unit, at_graph, at_fit;
} spoilt;

static int finite_all(cel_mat a)
{
    int64_t i;
    for (i = 0; i < a.rows * a.cols; i++)
        if (!(fabs((double)a.data[i]) <= DBL_MAX)) return 0;
    return 1;
}
static void spoil_start(spoilt *s, int64_t cells, int64_t genes)
{
    int64_t i;
    memset(s, 0, sizeof *s);
    CHECK(cel_mat_new(cells, genes, &s->counts) == CEL_OK && cel_mat_new(cells, genes, &s->rows) == CEL_OK);
    CHECK(cel_mat_new(cells, 2, &s->coords) == CEL_OK);
    for (i = 0; i < cells * genes; i++) {
        cel_rng rng = cel_rng_at(5, 1, (uint32_t)i, 0);
        s->counts.data[i] = (cel_real)(1 + cel_rng_integer(&rng, 7));
    }
    for (i = 0; i < cells; i++) {
        s->coords.data[2 * i] = (cel_real)(i % 10);
        s->coords.data[2 * i + 1] = (cel_real)(i / 10);
    }
}
/* counts -> scaling; counts -> unit rows -> a fit by every form, without and with a ridge -> a sample. Whatever comes
 * out of a success is finite. */
static void spoil_run(spoilt *s)
{
    cel_scaling scaling = CEL_ZERO;
    cel_csr graph = CEL_ZERO;
    cel_relations relations = CEL_ZERO;
    cel_error err;
    int form;
    cel_mat_copy(s->counts, s->rows);
    s->scaling = cel_scaling_fit(s->rows, NULL, NULL, NULL, &scaling, &s->at_scaling);
    if (!s->scaling) CHECK(finite_all(s->rows));
    cel_scaling_free(&scaling);
    cel_mat_copy(s->counts, s->rows);
    s->unit = cel_slide_unit(s->rows, NULL, NULL, &s->at_unit);
    s->graph = cel_graph_knn(s->coords, NULL, 6, 1, &graph, &s->at_graph);
    if (s->graph) return;
    CHECK(cel_relations_from_graph(&graph, NULL, &relations, NULL) == CEL_OK);
    cel_csr_free(&graph);
    for (form = CEL_SCORE_ORTHANT; form >= CEL_SCORE_MOMENT; form--) {
        cel_score_options o = CEL_ZERO;
        cel_sample_options so = CEL_ZERO;
        cel_model m = CEL_ZERO;
        cel_score_report r = CEL_ZERO;
        o.form = (cel_score_form)form;
        s->fit = cel_score_fit(&relations, s->rows, &o, &m, &r, &s->at_fit, NULL);
        if (!s->fit) CHECK(finite_all(m.force) && fabs(r.value) <= DBL_MAX);
        cel_model_free(&m);
        cel_score_report_free(&r);
        o.ridge = 0.1;
        s->ridge = cel_score_fit(&relations, s->rows, &o, &m, &r, &err, NULL);
        if (s->ridge) continue;
        CHECK(finite_all(m.force) && fabs(r.value) <= DBL_MAX);
        so.sweeps = so.warmup = 3;
        s->sample = cel_sample_run(&m, &relations, &so, s->rows, NULL, NULL, &err);
        CHECK(finite_all(s->rows));
        cel_mat_copy(s->counts, s->rows);
        (void)cel_slide_unit(s->rows, NULL, NULL, NULL);
        cel_model_free(&m);
        cel_score_report_free(&r);
    }
    cel_relations_free(&relations);
}
static void spoil_end(spoilt *s)
{
    cel_mat_free(&s->counts);
    cel_mat_free(&s->rows);
    cel_mat_free(&s->coords);
}
#define SPOIL(cells, genes, ...)                                                                                       \
    do {                                                                                                               \
        int64_t i_;                                                                                                    \
        spoil_start(&s, cells, genes);                                                                                 \
        for (i_ = 0; i_ < (cells); i_++) {                                                                             \
            cel_real *x = s.counts.data + i_ * (genes), *at = s.coords.data + 2 * i_;                                  \
            (void)x, (void)at;                                                                                         \
            __VA_ARGS__;                                                                                               \
        }                                                                                                              \
        spoil_run(&s);                                                                                                 \
        spoil_end(&s);                                                                                                 \
    } while (0)

static void extremes_of_values(void)
{
    spoilt s;
    SPOIL(100, 5, (void)0);
    CHECK(!s.scaling && !s.unit && !s.graph && !s.fit && !s.ridge && !s.sample);
    SPOIL(100, 5, if (i_ == 7) x[2] = (cel_real)NAN); /* NaN: the cell and the gene are named */
    CHECK(s.scaling == CEL_ERR_DATA && s.at_scaling.cell == 7 && s.at_scaling.gene == 2);
    CHECK(s.unit == CEL_ERR_DATA && s.at_unit.cell == 7 && s.at_unit.gene == 2);
    CHECK(s.fit == CEL_ERR_DATA && s.ridge == CEL_ERR_DATA);
    SPOIL(100, 5, if (i_ == 9) x[4] = (cel_real)HUGE_VAL); /* infinity: likewise */
    CHECK(s.scaling == CEL_ERR_DATA && s.at_scaling.cell == 9 && s.at_scaling.gene == 4 && s.unit == CEL_ERR_DATA);
    SPOIL(100, 5, if (i_ == 3) x[1] = -1); /* a negative count */
    CHECK(s.scaling == CEL_ERR_DATA && s.at_scaling.cell == 3 && s.at_scaling.gene == 1 && !s.unit);
    SPOIL(100, 5, x[0] *= (cel_real)1e30, x[1] *= (cel_real)1e30, x[2] *= (cel_real)1e30, x[3] *= (cel_real)1e30,
          x[4] *= (cel_real)1e30); /* 1e30 */
    CHECK(!s.scaling && !s.unit && !s.fit && !s.ridge);
    SPOIL(100, 5, x[0] *= (cel_real)1e30); /* beside it the others all but vanish */
    CHECK(!s.unit && (!s.fit || s.fit == CEL_ERR_NUMERIC) && !s.ridge);
    SPOIL(100, 5, x[i_ % 5] *= (cel_real)(is_double ? 1e-320 : 1e-44)); /* denormal numbers */
    CHECK(!s.scaling && !s.unit && !s.ridge);
    SPOIL(100, 5, if (i_ == 5) memset(x, 0, 5 * sizeof *x)); /* a row of zeros */
    CHECK(!s.scaling && s.unit == CEL_ERR_DATA && s.at_unit.cell == 5 && s.fit == CEL_ERR_DATA);
    SPOIL(100, 5, x[3] = 0); /* a gene that no cell has */
    CHECK(s.scaling == CEL_ERR_DATA && s.at_scaling.gene == 3);
    CHECK(s.fit == CEL_ERR_DATA && s.at_fit.gene == 3 && !s.ridge);
    SPOIL(100, 5, x[0] = x[1] = x[2] = x[3] = x[4] = 3); /* all values the same */
    CHECK(s.scaling == CEL_ERR_DATA && !s.unit && !s.ridge);
    SPOIL(100, 5, x[2] = x[4]); /* two equal genes */
    CHECK(!s.scaling && !s.unit && !s.ridge && !s.sample);
}

static void extremes_of_shapes(void)
{
    spoilt s;
    SPOIL(100, 1, (void)0); /* one gene: nothing to fit */
    CHECK(!s.unit && s.fit == CEL_ERR_ARG && s.ridge == CEL_ERR_ARG);
    SPOIL(1, 5, (void)0); /* one cell */
    CHECK(!s.unit && !s.graph && !s.ridge && !s.sample);
    SPOIL(2, 5, (void)0);
    CHECK(!s.unit && !s.graph && !s.ridge && !s.sample);
    SPOIL(10, 40, (void)0); /* more genes than cells */
    CHECK(!s.unit && !s.ridge && !s.sample);
    SPOIL(0, 5, (void)0); /* no cells */
    CHECK(s.scaling == CEL_ERR_ARG && s.fit == CEL_ERR_ARG);
}

static void extremes_of_places(void)
{
    spoilt s;
    cel_csr g = CEL_ZERO;
    int32_t slide[4] = {0, 0, 2, 2}, tile[4];
    cel_real place[8] = {0, 0, 1, 0, 2, 0, 3, 0};
    int64_t tiles;
    SPOIL(100, 5, if (i_ == 4) at[1] = (cel_real)NAN);
    CHECK(s.graph == CEL_ERR_DATA && s.at_graph.cell == 4 && s.at_graph.gene == 1);
    SPOIL(100, 5, at[0] = at[1] = 1); /* one place: ties by number */
    CHECK(!s.graph && !s.ridge);
    SPOIL(100, 5, if (i_ == 0) at[0] = (cel_real)1e30); /* an outlier */
    CHECK(!s.graph && !s.ridge);
    SPOIL(100, 5, at[0] *= (cel_real)(is_double ? 1e140 : 3e37));
    CHECK(!s.graph && !s.ridge);
    /* a cell alone: no neighbour; a slide without cells: nothing of it, and no tile */
    CHECK(cel_graph_radius(cel_mat_view(place, 4, 2), NULL, 0, 0.5, 0, &g, NULL) == CEL_OK && cel_csr_count(&g) == 0);
    cel_csr_free(&g);
    CHECK(cel_graph_knn(cel_mat_view(place, 4, 2), slide, 3, 1, &g, NULL) == CEL_OK && cel_csr_count(&g) == 4);
    cel_csr_free(&g);
    CHECK(cel_slide_tiles(cel_mat_view(place, 4, 2), slide, 1, tile, &tiles, NULL) == CEL_OK);
    CHECK(tiles == 2 && tile[3] == 1);
}

/* ---- what changed operators survived in 0.1.0 ---- */

/* A fit without penalties is the minimum of its own form: every step away from it raises the value, up and down. (Not
 * of MOMENT once its gauge is fixed.) */
static void a_fit_is_the_minimum_of_its_form(void)
{
    cel_relations relations = CEL_ZERO;
    cel_csr graph = torus(9);
    cel_mat x = CEL_ZERO;
    int form;
    CHECK(test_relations(&relations, 81, &graph, NULL, NULL) && cel_mat_new(81, 4, &x) == CEL_OK);
    cel_sample_uniform(2, 0, 1, x);
    for (form = CEL_SCORE_EXACT; form <= CEL_SCORE_ORTHANT; form++) {
        cel_score_options o = CEL_ZERO;
        cel_model m = CEL_ZERO;
        double at, up, down, step = 0.2;
        int64_t r, i, j;
        o.form = (cel_score_form)form;
        o.tolerance = 1e-9; /* which float cannot reach: its best is as good */
        CHECK(cel_score_fit(&relations, x, &o, &m, NULL, NULL, NULL) == CEL_OK);
        CHECK(cel_score_value(&m, &relations, x, o.form, &at, NULL, NULL) == CEL_OK);
        for (r = 0; r < 2; r++)
            for (i = 0; i < 4; i++)
                for (j = 0; j < i; j++) {
                    cel_mat f = cel_model_force(&m, r);
                    cel_real a = f.data[i * f.stride + j];
                    f.data[i * f.stride + j] = f.data[j * f.stride + i] = (cel_real)((double)a + step);
                    CHECK(cel_score_value(&m, &relations, x, o.form, &up, NULL, NULL) == CEL_OK && up > at);
                    f.data[i * f.stride + j] = f.data[j * f.stride + i] = (cel_real)((double)a - step);
                    CHECK(cel_score_value(&m, &relations, x, o.form, &down, NULL, NULL) == CEL_OK && down > at);
                    NEAR_REL(up - at, down - at, 0.02); /* a parabola about its own minimum */
                    f.data[i * f.stride + j] = f.data[j * f.stride + i] = a;
                }
        cel_model_free(&m);
    }
    cel_mat_free(&x);
    cel_csr_free(&graph);
    cel_relations_free(&relations);
}

/* What a fit says of a row that is not as asked for, each fault by its own name. */
static void a_rows_fault_is_named(void)
{
    static const char *const says[3] = {"orthogonal", "unit length", "finite"};
    double size[4] = {1, 0, 0, 0};
    cel_relations relations = CEL_ZERO;
    cel_csr graph = torus(4);
    cel_mat x = CEL_ZERO;
    int k;
    CHECK(test_relations(&relations, 16, &graph, NULL, NULL) && cel_mat_new(16, 4, &x) == CEL_OK);
    cel_sample_uniform(4, 0, 0, x);
    for (k = 0; k < 3; k++) {
        cel_score_options o = CEL_ZERO;
        cel_model m = CEL_ZERO;
        cel_error err = CEL_ZERO;
        o.form = CEL_SCORE_MOMENT;
        if (!k) o.size = size;
        if (k) x.data[5 * x.stride + 2] = k > 1 ? (cel_real)NAN : 2;
        CHECK(cel_score_fit(&relations, x, &o, &m, NULL, &err, NULL) == CEL_ERR_DATA && strstr(err.what, says[k]));
        CHECK(err.offset == -1 && err.cell >= 0 && (!k || err.cell == 5) && err.gene == (k > 1 ? 2 : -1));
        cel_model_free(&m);
    }
    cel_mat_free(&x);
    cel_csr_free(&graph);
    cel_relations_free(&relations);
}

static void ranks_and_tests_of_effects(void)
{
    double z[2][4] = {{0, 0, 0, 0}, {-1, 3, -5, 3}}, mean[2][4] = {{0.1, -0.4, 0.2, -0.4}, {9, 8, 7, 6}};
    cel_effect_table t = CEL_ZERO;
    int32_t order[4];
    t.groups = 2;
    t.columns = t.genes = 4;
    t.z = z[0];
    t.mean = mean[0];
    CHECK(cel_effect_rank(&t, 1, order) == CEL_OK);
    CHECK(order[0] == 2 && order[1] == 1 && order[2] == 3 && order[3] == 0);
    z[0][0] = (double)NAN; /* without errors: by the mean */
    CHECK(cel_effect_rank(&t, 0, order) == CEL_OK);
    CHECK(order[0] == 1 && order[1] == 3 && order[2] == 2 && order[3] == 0);
}

/* A gene held where it is has an effect of 0 with an error of 0: no z to speak of, and p 1. */
static void an_effect_of_nothing(void)
{
    cel_relations relations = CEL_ZERO;
    cel_model m = CEL_ZERO;
    cel_mat x = CEL_ZERO;
    cel_tissue tissue = CEL_ZERO;
    cel_intervention list[1] = {CEL_ZERO};
    cel_perturb p;
    cel_effect e;
    cel_perturb_options o = CEL_ZERO;
    int held;
    CHECK(cel_relations_new(6, &relations) == CEL_OK && cel_model_new(4, 1, 0, &m) == CEL_OK);
    CHECK(cel_mat_new(6, 4, &x) == CEL_OK);
    cel_sample_uniform(4, 0, 0, x);
    tissue.x = x;
    tissue.relations = &relations;
    o.repeats = 3;
    o.sweeps = o.warmup = 2;
    for (held = 0; held < 2; held++) {
        list[0].cell = 2;
        list[0].what = CEL_DO_ROW; /* the row is held at itself, or at another cell's */
        list[0].like = held ? 4 : 2;
        CHECK(cel_perturb_new(&m, &tissue, list, 1, NULL, &p, NULL) == CEL_OK);
        CHECK(cel_perturb_run(&p, &o, &e, NULL) == CEL_OK);
        CHECK(e.tables == 1 && e.table[0].columns == 4);
        if (!held) CHECK(e.table[0].z[4] >= 0 && e.table[0].z[4] <= 0 && e.table[0].p[4] >= 1);
        cel_effect_free(&e);
        cel_perturb_free(&p);
    }
    cel_relations_free(&relations);
    cel_model_free(&m);
    cel_mat_free(&x);
}

static void arguments_of_small_functions(void)
{
    cel_mat a = CEL_ZERO, b = CEL_ZERO;
    cel_relations relations = CEL_ZERO;
    cel_csr graph = torus(3);
    cel_model m = CEL_ZERO;
    cel_sample *sampler = NULL;
    cel_sample_options o = CEL_ZERO;
    cel_moments moments = CEL_ZERO;
    cel_score_options fit = CEL_ZERO;
    cel_error err;
    int64_t shape[33] = {2, 2}, k;
    int32_t colour[9];
    cel_real data[4] = {0};
    cel_npy array = cel_npy_describe('f', (int)sizeof(cel_real), 2, shape, data);
    char path[256];
    snprintf(path, sizeof path, "%s/argument.npy", test_tmp());
    CHECK(cel_mat_new(3, 2, &a) == CEL_OK && cel_mat_new(3, 2, &b) == CEL_OK);
    CHECK(cel_mat_transpose(a, b) == CEL_ERR_SHAPE); /* each side by itself */
    CHECK(cel_mat_transpose(a, cel_mat_block(b, 0, 0, 2, 2)) == CEL_ERR_SHAPE);
    CHECK(cel_mat_transpose(cel_mat_block(a, 0, 0, 2, 2), b) == CEL_ERR_SHAPE);
    CHECK(cel_npy_write(path, &array, NULL) == CEL_OK);
    for (k = 0; k < 5; k++) {
        cel_npy wrong = array;
        if (k == 0) wrong.bytes = 0;
        if (k == 1) wrong.ndim = CEL_NPY_DIMS + 1;
        if (k == 2) wrong.ndim = -1;
        if (k == 3) wrong.shape[1] = -2;
        if (k == 4) wrong.bytes = -8;
        CHECK(cel_npy_write(path, &wrong, NULL) == CEL_ERR_ARG);
    }
    CHECK(test_relations(&relations, 9, &graph, NULL, NULL) && cel_model_new(2, 2, 0, &m) == CEL_OK);
    for (k = 0; k < 9; k++) colour[k] = (int32_t)k;
    o.domain.colour = colour;
    CHECK(cel_sample_new(&m, &relations, &o, &sampler, &err) == CEL_OK);
    cel_sample_free(sampler);
    colour[8] = 7; /* the last of an edge's ends, and the first */
    CHECK(cel_sample_new(&m, &relations, &o, &sampler, &err) == CEL_ERR_DATA && !sampler && err.cell >= 7);
    colour[8] = 8, colour[0] = 1;
    CHECK(cel_sample_new(&m, &relations, &o, &sampler, &err) == CEL_ERR_DATA && !sampler && err.cell >= 0);
    colour[0] = -1;
    CHECK(cel_sample_new(&m, &relations, &o, &sampler, &err) == CEL_ERR_ARG && !sampler && err.cell == 0);
    CHECK(cel_moments_new(2, &relations, &moments) == CEL_OK);
    cel_mat_free(&a);
    CHECK(cel_mat_new(9, 2, &a) == CEL_OK);
    cel_sample_uniform(1, 0, 0, a);
    CHECK(cel_moments_add(&moments, &relations, a, NULL, 0, NULL) == CEL_OK);
    cel_model_free(&m);
    for (k = 0; k < 6; k++) {
        memset(&fit, 0, sizeof fit);
        fit.ridge = k == 0 ? (double)NAN : k == 1 ? HUGE_VAL : k == 2 ? CEL_SCORE_PICKED : k == 3 ? -0.5 : 0.1;
        fit.l1 = k == 2 ? CEL_SCORE_PICKED : 0;
        fit.form = k == 4 ? CEL_SCORE_EXACT : CEL_SCORE_AUTO;
        CHECK(cel_score_fit_moments(&moments, k < 5, &fit, &m, NULL, &err, NULL) == CEL_ERR_ARG && !m.force.data);
    }
    fit.ridge = CEL_SCORE_PICKED;
    CHECK(cel_score_fit_moments(&moments, 1, &fit, &m, NULL, &err, NULL) == CEL_ERR_DATA);
    cel_moments_free(&moments);
    cel_relations_free(&relations);
    cel_csr_free(&graph);
    cel_mat_free(&a);
    cel_mat_free(&b);
}

void suite_robust(void)
{
    RUN(extremes_of_values);
    RUN(extremes_of_shapes);
    RUN(extremes_of_places);
    RUN(a_fit_is_the_minimum_of_its_form);
    RUN(a_rows_fault_is_named);
    RUN(ranks_and_tests_of_effects);
    RUN(an_effect_of_nothing);
    RUN(arguments_of_small_functions);
    RUN(P1_a_constant_gene_is_not_variable);
    RUN(P2_squares_beyond_a_double);
    RUN(P10_enums_at_the_door);
    RUN(P11_steps_beyond_all_range);
    RUN(P14_raw_counts_are_no_log_data);
    RUN(P15_a_gene_that_no_cell_has);
    RUN(P16_stale_temporaries);
}
