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
        form.form = (cel_score_form)bad;
        CHECK(cel_score_fit(&relations, x, &form, &m, NULL, NULL, NULL) == CEL_ERR_ARG);
        field.field = (cel_score_field)bad;
        CHECK(cel_score_fit(&relations, x, &field, &m, NULL, NULL, NULL) == CEL_ERR_ARG);
        cel_model_free(&m);
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

void suite_robust(void)
{
    RUN(P1_a_constant_gene_is_not_variable);
    RUN(P2_squares_beyond_a_double);
    RUN(P10_enums_at_the_door);
    RUN(P11_steps_beyond_all_range);
    RUN(P14_raw_counts_are_no_log_data);
    RUN(P15_a_gene_that_no_cell_has);
    RUN(P16_stale_temporaries);
}
