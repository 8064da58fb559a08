/* Tests of score matching: values, normal equations, recovery, error bars. SPDX-License-Identifier: MIT */
#include "test.h"
#include <time.h>
#if defined(_OPENMP)
#include <omp.h>
#endif

static const double FINE = sizeof(cel_real) == 8 ? 1e-8 : 2e-3;

/* A tissue: hexagonal grids side by side, exact samples of a planted model, tiles. */
typedef struct tissue {
    int64_t n, cells, tiles;
    cel_mat xy, x;
    cel_csr graph, w, second, aa, bb, ab;
    cel_relations relations;
    cel_model truth;
    int32_t *tile, *slide, *type;
} tissue;

static void tissue_free(tissue *t)
{
    cel_mat_free(&t->xy);
    cel_mat_free(&t->x);
    cel_csr_free(&t->graph);
    cel_csr_free(&t->w);
    cel_csr_free(&t->second);
    cel_csr_free(&t->aa);
    cel_csr_free(&t->bb);
    cel_csr_free(&t->ab);
    cel_relations_free(&t->relations);
    cel_model_free(&t->truth);
    free(t->tile);
    free(t->slide);
    free(t->type);
    memset(t, 0, sizeof *t);
}

/* relations: 1 identity; 2 neighbours, too; 3 (hops) second neighbours, too; 4 (types) identity, a-a, b-b, a-b. slides
 * grids of side x side cells. Truth: sd `s` within, s / 6 between, density of pairs; relation `only` >= 1 alone
 * carries forces between cells, 0: all. */
static int tissue_make(tissue *t, int64_t n, int64_t side, int64_t slides, int64_t relations, int with_field, double s,
                       double density, int64_t only, int orthant, int64_t sweeps, uint64_t seed)
{
    int64_t i, j, k, r, one = side * side;
    cel_sample_options so;
    memset(t, 0, sizeof *t);
    memset(&so, 0, sizeof so);
    t->n = n;
    t->cells = one * slides;
    t->tile = (int32_t *)calloc((size_t)t->cells, sizeof(int32_t));
    t->slide = (int32_t *)calloc((size_t)t->cells, sizeof(int32_t));
    t->type = (int32_t *)calloc((size_t)t->cells, sizeof(int32_t));
    if (!CHECK(!cel_mat_new(t->cells, 2, &t->xy) && !cel_mat_new(t->cells, n, &t->x))) return 0;
    for (k = 0; k < slides; k++) cel_graph_hex_coords(side, side, cel_mat_block(t->xy, k * one, 0, one, 2));
    for (i = 0; i < t->cells; i++) {
        cel_rng g = cel_rng_at(seed, 90, (uint32_t)i, 0);
        t->slide[i] = (int32_t)(i / one);
        t->type[i] = (int32_t)cel_rng_integer(&g, 2);
    }
    if (!CHECK(!cel_slide_tiles(t->xy, t->slide, slides > 1 ? 3 : 6, t->tile, &t->tiles, NULL))) return 0;
    if (!CHECK(!cel_graph_knn(t->xy, t->slide, 6, 0, &t->graph, NULL) && !cel_csr_symmetrise(&t->graph, &t->w))) return 0;
    if (relations == 4) {
        if (!CHECK(!cel_graph_types(&t->w, t->type, 0, 0, &t->aa) && !cel_graph_types(&t->w, t->type, 1, 1, &t->bb) &&
                   !cel_graph_types(&t->w, t->type, 0, 1, &t->ab) &&
                   test_relations(&t->relations, t->cells, &t->aa, &t->bb, &t->ab)))
            return 0;
    } else {
        if (relations > 2 && !CHECK(!cel_csr_hop(&t->graph, 2, &t->second))) return 0;
        if (!CHECK(test_relations(&t->relations, t->cells, relations > 1 ? &t->w : NULL, relations > 2 ? &t->second : NULL,
                                  NULL)))
            return 0;
    }
    if (!CHECK(!cel_model_new(n, relations, with_field, &t->truth))) return 0;
    for (r = 0; r < relations; r++) {
        cel_mat f = cel_model_force(&t->truth, r);
        cel_rng g = cel_rng_at(seed, 91, (uint32_t)r, 0);
        for (i = 0; i < n; i++) {
            for (j = i + 1; j < n; j++) {
                double z = cel_rng_normal(&g) * (r ? s / 6 : s), other = cel_rng_normal(&g) * s / 6;
                if (t->relations.at[r].wt) {
                    z *= 2; /* each pair of cells is counted once */
                    other *= 2;
                }
                int on = cel_rng_uniform(&g) < density && (!only || !r || r == only);
                f.data[i * n + j] = on ? (cel_real)z : 0;
                f.data[j * n + i] = on ? (cel_real)(t->relations.at[r].wt ? other : z) : 0;
            }
        }
    }
    for (i = 0; i < n && with_field; i++) {
        cel_rng g = cel_rng_at(seed, 92, (uint32_t)i, 0);
        t->truth.field[i] = (cel_real)(2 * cel_rng_normal(&g));
    }
    cel_sample_uniform(seed, 93, orthant, t->x);
    so.seed = seed;
    so.domain.orthant = orthant;
    so.sweeps = sweeps;
    return CHECK(!cel_sample_run(&t->truth, &t->relations, &so, t->x, NULL, NULL, NULL));
}

/* Correlation of the entries off the diagonals, and the slope of a on b. */
static double agree(cel_mat a, cel_mat b, double *slope)
{
    double sa = 0, sb = 0, aa = 0, bb = 0, ab = 0, c = 0;
    int64_t i, j;
    for (i = 0; i < a.rows; i++)
        for (j = 0; j < a.cols; j++) {
            double x = (double)a.data[i * a.stride + j], y = (double)b.data[i * b.stride + j];
            if (i == j) continue;
            c++;
            sa += x;
            sb += y;
            aa += x * x;
            bb += y * y;
            ab += x * y;
        }
    aa -= sa * sa / c;
    bb -= sb * sb / c;
    ab -= sa * sb / c;
    if (slope) *slope = ab / bb;
    return ab / sqrt(aa * bb);
}

/* The largest difference of two stacks of forces, relative to the largest entry of b. */
static double apart(cel_mat a, cel_mat b)
{
    double most = 0, size = 0;
    int64_t i;
    for (i = 0; i < a.rows * a.cols; i++) {
        double d = fabs((double)a.data[i] - (double)b.data[i]), v = fabs((double)b.data[i]);
        if (!(d <= most)) most = d;
        if (v > size) size = v;
    }
    return most / size;
}

/* The fit with these labels in place of the options' own. */
static cel_status fit_labels(const cel_relations *relations, cel_mat x, const int32_t *slide, const int32_t *group,
                             const cel_score_options *options, cel_model *out, cel_score_report *report, cel_work *work)
{
    cel_score_options o = CEL_ZERO;
    if (options) o = *options;
    o.slide = slide;
    o.group = group;
    return cel_score_fit(relations, x, &o, out, report, NULL, work);
}

static void student_and_fdr(void)
{
    static const double p[] = {0.01, 0.04, 0.03, 0.005, 0.9, 0.04};
    double q[6];
    NEAR(cel_student_p(1, 1), 0.5, 1e-14);
    NEAR(cel_student_p(-2.262157162740992, 9), 0.05, 1e-10);
    NEAR(cel_student_p(2.030107928250343, 35), 0.05, 1e-12);
    NEAR_REL(cel_student_p(5, 35), 1.6042826314650513e-05, 1e-10);
    NEAR_REL(cel_student_p(0.3, 2.5), 0.7873423714951973, 1e-10);
    NEAR_REL(cel_student_p(0.001, 10), 0.999221783374741, 1e-10);
    NEAR_REL(cel_student_p(40, 5), 1.8411962171772952e-07, 1e-9);
    NEAR(cel_student_p(0, 4), 1, 0);
    NEAR(cel_student_p(INFINITY, 4), 0, 0);
    CHECK(isnan(cel_student_p((double)NAN, 4)));
    /* By hand: ranks of 0.005 0.01 0.03 0.04 0.04 0.9. */
    OK_OR_RETURN(cel_fdr(p, 6, q));
    NEAR(q[3], 0.03, 1e-15);
    NEAR(q[0], 0.03, 1e-15);
    NEAR(q[2], 0.048, 1e-15);
    NEAR(q[1], 0.048, 1e-15);
    NEAR(q[5], 0.048, 1e-15);
    NEAR(q[4], 0.9, 1e-15);
    OK_OR_RETURN(cel_fdr(p, 0, q));
}

/* H as a function of cell i's row y alone, rescaled to unit length if asked, in double. */
static double energy_at(const tissue *t, const cel_model *m, int64_t cell, const double *y, int rescale)
{
    int64_t n = t->n, a, b, r;
    double s[8], h = 0, length = 0, near_[8], back[8];
    for (a = 0; a < n; a++) length += y[a] * y[a];
    for (a = 0; a < n; a++) s[a] = rescale ? y[a] / sqrt(length) : y[a];
    for (r = 0; r < m->relations; r++) {
        cel_mat f = cel_model_force(m, r);
        for (a = 0; a < n; a++) near_[a] = back[a] = r ? 0.0 : s[a];
        if (r) {
            const cel_csr *w = t->relations.at[r].w, *wt = t->relations.at[r].wt ? t->relations.at[r].wt : w;
            int64_t e;
            for (e = w->start[cell]; e < w->start[cell + 1]; e++)
                for (a = 0; a < n; a++) near_[a] += (double)w->value[e] * (double)t->x.data[w->index[e] * n + a];
            for (e = wt->start[cell]; e < wt->start[cell + 1]; e++)
                for (a = 0; a < n; a++) back[a] += (double)wt->value[e] * (double)t->x.data[wt->index[e] * n + a];
        }
        for (a = 0; a < n; a++)
            for (b = 0; b < n; b++)
                h += (double)f.data[a * n + b] * (s[a] * near_[b] + (r ? back[a] * s[b] : 0.0));
    }
    for (a = 0; a < n && m->field; a++) h += (double)m->field[a] * s[a];
    return h;
}

/* s_j s_k times the derivative of H by the angle of the plane (j, k), at y turned by `turn` there. */
static double turned(const tissue *t, const cel_model *m, int64_t cell, const double *y, int64_t j, int64_t k, double turn,
                     int weigh)
{
    const double e = 1e-3;
    double z[8], out;
    int64_t a;
    for (a = 0; a < t->n; a++) z[a] = y[a];
    z[j] = y[j] * cos(turn + e) - y[k] * sin(turn + e);
    z[k] = y[k] * cos(turn + e) + y[j] * sin(turn + e);
    out = energy_at(t, m, cell, z, 0);
    z[j] = y[j] * cos(turn - e) - y[k] * sin(turn - e);
    z[k] = y[k] * cos(turn - e) + y[j] * sin(turn - e);
    out = (out - energy_at(t, m, cell, z, 0)) / (2 * e);
    z[j] = y[j] * cos(turn) - y[k] * sin(turn);
    z[k] = y[k] * cos(turn) + y[j] * sin(turn);
    return weigh ? out * z[j] * z[k] : out;
}

/* J and J+ are what their definitions say: spherical gradient and Laplacian by finite differences of H. */
static void value_is_the_score(void)
{
    tissue t;
    cel_model m;
    double each[9], value;
    int64_t i, j, k;
    cel_score_form form;
    if (!tissue_make(&t, 4, 3, 1, 4, 1, 2, 1, 0, 1, 5, 3)) return;
    OK_OR_RETURN(cel_model_new(4, 4, 1, &m));
    cel_mat_copy(t.truth.force, m.force);
    for (i = 0; i < 4; i++) m.force.data[i * 5] = (cel_real)i; /* a diagonal, too */
    for (i = 0; i < 4; i++) m.field[i] = t.truth.field[i];
    for (form = CEL_SCORE_EXACT; form <= CEL_SCORE_ORTHANT; form = (cel_score_form)(form + 1)) {
        double mean = 0;
        OK_OR_RETURN(cel_score_value(&m, &t.relations, t.x, form, &value, each, NULL));
        for (i = 0; i < t.cells; i++) {
            const double e = 1e-3;
            double y[8], z[8], J = 0, here, up, down;
            for (j = 0; j < 4; j++) z[j] = y[j] = (double)t.x.data[i * 4 + j];
            here = energy_at(&t, &m, i, y, 1);
            if (form == CEL_SCORE_EXACT) {
                for (j = 0; j < 4; j++) {
                    z[j] = y[j] + e;
                    up = energy_at(&t, &m, i, z, 1);
                    z[j] = y[j] - e;
                    down = energy_at(&t, &m, i, z, 1);
                    z[j] = y[j];
                    J += (up - down) * (up - down) / (8 * e * e) + (up + down - 2 * here) / (e * e);
                }
            } else {
                for (j = 0; j < 4; j++)
                    for (k = j + 1; k < 4; k++) {
                        up = turned(&t, &m, i, y, j, k, 0, 0);
                        J += 0.5 * y[j] * y[k] * up * up;
                        J += (turned(&t, &m, i, y, j, k, e, 1) - turned(&t, &m, i, y, j, k, -e, 1)) / (2 * e);
                    }
            }
            NEAR(each[i], J, 1e-4 * (1 + fabs(J)));
            mean += each[i] / (double)t.cells;
        }
        NEAR(value, mean, 1e-12 * (1 + fabs(mean)));
    }
    cel_model_free(&m);
    tissue_free(&t);
}

/* The moment form's value, from cells and from moments. */
static void value_of_moments(void)
{
    tissue t;
    cel_moments m;
    double a, b;
    if (!tissue_make(&t, 5, 6, 1, 4, 1, 2, 1, 0, 0, 5, 4)) return;
    OK_OR_RETURN(cel_moments_new(5, &t.relations, &m));
    OK_OR_RETURN(cel_moments_add(&m, &t.relations, t.x, NULL, 0, NULL));
    t.truth.force.data[0] = 1;
    OK_OR_RETURN(cel_score_value(&t.truth, &t.relations, t.x, CEL_SCORE_MOMENT, &a, NULL, NULL));
    OK_OR_RETURN(cel_score_value_moments(&t.truth, &m, &b));
    NEAR_REL(b, a, sizeof(cel_real) == 8 ? 1e-12 : 1e-5);
    cel_moments_free(&m);
    tissue_free(&t);
}

/* The objective of a form at m, fields by slide where given, summed over cells. */
static double objective(const tissue *t, const cel_model *m, cel_score_form form, cel_mat fields)
{
    cel_model at = *m;
    double *each = (double *)malloc((size_t)t->cells * sizeof *each), all, sum = 0;
    int64_t s, i, slides = fields.data ? fields.rows : 1;
    for (s = 0; s < slides; s++) {
        if (fields.data) at.field = fields.data + s * fields.stride;
        CHECK(!cel_score_value(&at, &t->relations, t->x, form, &all, each, NULL));
        for (i = 0; i < t->cells; i++)
            if (!fields.data || t->slide[i] == s) sum += each[i];
    }
    free(each);
    return sum;
}

/* The fit is where the objective is least: along any direction of forces and fields its derivative, exact for a
 * quadratic, is nothing beside its curvature. */
static void fit_is_the_minimum(void)
{
    int relations, form, field, direction;
    for (relations = 2; relations <= 4; relations += 2) {
        tissue t;
        if (!tissue_make(&t, 5, 9, 2, relations, 1, 2, 1, 0, 1, 10, 5)) return;
        for (form = CEL_SCORE_MOMENT; form <= CEL_SCORE_ORTHANT; form++) {
            for (field = CEL_SCORE_FIELD_NONE; field <= CEL_SCORE_FIELD_SLIDE; field++) {
                cel_score_options o;
                cel_score_report report;
                cel_model m;
                cel_mat none;
                double here, size = 0;
                int64_t i, n = t.n;
                memset(&o, 0, sizeof o);
                memset(&none, 0, sizeof none);
                o.form = (cel_score_form)form;
                o.field = (cel_score_field)field;
                o.tolerance = sizeof(cel_real) == 8 ? 1e-9 : 1e-6;
                o.no_errors = 1;
                OK_OR_RETURN(fit_labels(&t.relations, t.x, t.slide, NULL, &o, &m, &report, NULL));
                CHECK(report.converged || sizeof(cel_real) == 4);
                if (form == CEL_SCORE_MOMENT) {
                    /* Undo the gauge: the constant at which the quadratic is least. */
                    double up, down, c;
                    here = objective(&t, &m, CEL_SCORE_MOMENT, report.field);
                    for (i = 0; i < n; i++) m.force.data[i * (n + 1)] += 1;
                    up = objective(&t, &m, CEL_SCORE_MOMENT, report.field);
                    for (i = 0; i < n; i++) m.force.data[i * (n + 1)] -= 2;
                    down = objective(&t, &m, CEL_SCORE_MOMENT, report.field);
                    c = (down - up) / (2 * (up + down - 2 * here));
                    for (i = 0; i < n; i++) m.force.data[i * (n + 1)] += (cel_real)(1 + c);
                }
                here = objective(&t, &m, (cel_score_form)form, report.field);
                NEAR(report.value, here / (double)t.cells, (1 + fabs(report.value)) * (sizeof(cel_real) == 8 ? 1e-7 : 1e-3));
                for (i = 0; i < m.force.rows * n; i++) size += fabs((double)m.force.data[i]) / (double)(m.force.rows * n);
                for (direction = 0; direction < 6; direction++) {
                    cel_model moved;
                    cel_mat fields;
                    double way[2], J[2];
                    int64_t j, r;
                    int e;
                    memset(&fields, 0, sizeof fields);
                    OK_OR_RETURN(cel_model_new(n, relations, m.field != NULL, &moved));
                    if (report.field.data) OK_OR_RETURN(cel_mat_new(report.field.rows, n, &fields));
                    way[0] = size;
                    way[1] = -size;
                    for (e = 0; e < 2; e++) {
                        cel_rng g = cel_rng_at(7, (uint32_t)direction, 0, 0);
                        for (r = 0; r < relations; r++)
                            for (i = 0; i < n; i++)
                                for (j = 0; j < n; j++) {
                                    cel_real step = (cel_real)(way[e] * cel_rng_normal(&g));
                                    cel_mat to = cel_model_force(&moved, r), from = cel_model_force(&m, r);
                                    if (t.relations.at[r].wt || j >= i) to.data[i * n + j] = from.data[i * n + j] + step;
                                    if (!t.relations.at[r].wt) to.data[j * n + i] = to.data[i * n + j];
                                    if (!t.relations.at[r].wt && j < i) to.data[i * n + j] = to.data[j * n + i];
                                }
                        for (i = 0; i < n && m.field; i++) moved.field[i] = m.field[i] + (cel_real)(way[e] * cel_rng_normal(&g));
                        for (i = 0; i < fields.rows * n; i++)
                            fields.data[i] = report.field.data[i] + (cel_real)(way[e] * cel_rng_normal(&g));
                        J[e] = objective(&t, &moved, (cel_score_form)form, fields);
                    }
                    CHECK(J[0] > here && J[1] > here);
                    NEAR((J[0] - J[1]) / (J[0] + J[1] - 2 * here), 0, sizeof(cel_real) == 8 ? 1e-5 : 1e-2);
                    cel_model_free(&moved);
                    cel_mat_free(&fields);
                }
                cel_model_free(&m);
                cel_score_report_free(&report);
            }
        }
        tissue_free(&t);
    }
}

static double correlation(const tissue *t, cel_score_form form, int64_t r, double *slope)
{
    cel_score_options o;
    cel_model m;
    double c = (double)NAN;
    memset(&o, 0, sizeof o);
    o.form = form;
    o.no_errors = 1;
    if (CHECK(!fit_labels(&t->relations, t->x, NULL, NULL, &o, &m, NULL, NULL)))
        c = agree(cel_model_force(&m, r), cel_model_force(&t->truth, r), slope);
    cel_model_free(&m);
    return c;
}

static void recovery(void)
{
    tissue t;
    double intra, inter;
    if (test_brief) SKIP("statistics");
    if (!tissue_make(&t, 10, 60, 1, 2, 0, 3, 1, 0, 0, 60, 1)) return;
    CHECK(correlation(&t, CEL_SCORE_EXACT, 0, &intra) >= 0.98);
    CHECK(correlation(&t, CEL_SCORE_EXACT, 1, &inter) >= 0.95);
    NEAR(intra, 1, 0.06);
    NEAR(inter, 1, 0.08);
    tissue_free(&t);
}

static void moment_agrees_with_exact(void)
{
    tissue t;
    cel_score_options o;
    cel_model exact, moment, automatic;
    cel_score_report report;
    if (test_brief) SKIP("statistics");
    if (!tissue_make(&t, 30, 35, 1, 2, 0, 5, 0.3, 0, 0, 40, 2)) return;
    memset(&o, 0, sizeof o);
    o.no_errors = 1;
    o.form = CEL_SCORE_EXACT;
    OK_OR_RETURN(fit_labels(&t.relations, t.x, NULL, NULL, &o, &exact, NULL, NULL));
    o.form = CEL_SCORE_MOMENT;
    OK_OR_RETURN(fit_labels(&t.relations, t.x, NULL, NULL, &o, &moment, NULL, NULL));
    o.form = CEL_SCORE_AUTO;
    OK_OR_RETURN(fit_labels(&t.relations, t.x, NULL, NULL, &o, &automatic, &report, NULL));
    CHECK(report.form == CEL_SCORE_MOMENT && report.converged && report.groups == 0 && !report.se.data);
    CHECK(agree(cel_model_force(&exact, 0), cel_model_force(&moment, 0), NULL) >= 0.99);
    CHECK(agree(cel_model_force(&exact, 1), cel_model_force(&moment, 1), NULL) >= 0.99);
    NEAR(apart(automatic.force, moment.force), 0, 0);
    cel_model_free(&exact);
    cel_model_free(&moment);
    cel_model_free(&automatic);
    cel_score_report_free(&report);
    tissue_free(&t);
}

static void orthant(void)
{
    tissue t;
    cel_score_options o;
    cel_score_report report;
    cel_model m;
    if (test_brief) SKIP("statistics");
    if (!tissue_make(&t, 8, 60, 1, 2, 0, 4, 1, 0, 1, 60, 1)) return;
    CHECK(correlation(&t, CEL_SCORE_ORTHANT, 0, NULL) >= 0.94);
    CHECK(correlation(&t, CEL_SCORE_ORTHANT, 1, NULL) >= 0.82);
    CHECK(correlation(&t, CEL_SCORE_ORTHANT, 1, NULL) >= correlation(&t, CEL_SCORE_EXACT, 1, NULL) + 0.1);
    memset(&o, 0, sizeof o);
    o.form = CEL_SCORE_PICK;
    o.no_errors = 1;
    OK_OR_RETURN(fit_labels(&t.relations, t.x, NULL, t.tile, &o, &m, &report, NULL));
    CHECK(report.form == CEL_SCORE_ORTHANT && report.held_out < report.held_out_other);
    cel_model_free(&m);
    cel_score_report_free(&report);
    tissue_free(&t);
    /* With negative entries there is nothing to pick, and J+ itself is refused. */
    if (!tissue_make(&t, 4, 8, 1, 2, 0, 1, 1, 0, 0, 3, 2)) return;
    OK_OR_RETURN(fit_labels(&t.relations, t.x, NULL, t.tile, &o, &m, &report, NULL));
    CHECK(report.form == CEL_SCORE_EXACT);
    cel_model_free(&m);
    cel_score_report_free(&report);
    o.form = CEL_SCORE_ORTHANT;
    CHECK(fit_labels(&t.relations, t.x, NULL, NULL, &o, &m, &report, NULL) == CEL_ERR_DATA);
    tissue_free(&t);
}

/* Planted on second neighbours only; between types; in dissociated cells. */
static void hops_types_and_single_cells(void)
{
    tissue t;
    cel_score_options o;
    cel_model m;
    cel_score_report report;
    int64_t r, i, j;
    double one = 0, two = 0;
    if (test_brief) SKIP("statistics");
    memset(&o, 0, sizeof o);
    o.no_errors = 1;
    if (!tissue_make(&t, 6, 45, 1, 3, 0, 3, 1, 2, 0, 60, 3)) return;
    o.no_errors = 0;
    OK_OR_RETURN(fit_labels(&t.relations, t.x, NULL, t.tile, &o, &m, &report, NULL));
    CHECK(agree(cel_model_force(&m, 2), cel_model_force(&t.truth, 2), NULL) > 0.95);
    for (i = 0; i < 6; i++)
        for (j = i + 1; j < 6; j++) {
            one += (double)report.q.data[(6 + i) * 6 + j] < 0.05;
            two += (double)report.q.data[(12 + i) * 6 + j] < 0.05;
        }
    CHECK(one <= 1 && two >= 7);
    cel_model_free(&m);
    cel_score_report_free(&report);
    tissue_free(&t);
    o.no_errors = 1;
    if (!tissue_make(&t, 5, 55, 1, 4, 0, 4, 1, 0, 0, 60, 4)) return;
    OK_OR_RETURN(fit_labels(&t.relations, t.x, NULL, NULL, &o, &m, NULL, NULL));
    for (r = 1; r < 4; r++) {
        int64_t other;
        CHECK(agree(cel_model_force(&m, r), cel_model_force(&t.truth, r), NULL) > 0.8);
        for (other = 1; other < 4; other++)
            CHECK(other == r || agree(cel_model_force(&m, r), cel_model_force(&t.truth, other), NULL) <
                                    agree(cel_model_force(&m, r), cel_model_force(&t.truth, r), NULL) - 0.2);
    }
    CHECK(apart(cel_model_force(&m, 3), cel_model_force(&t.truth, 3)) < 0.5);
    cel_model_free(&m);
    tissue_free(&t);
    if (!tissue_make(&t, 8, 45, 1, 1, 0, 4, 1, 0, 0, 30, 5)) return;
    CHECK(correlation(&t, CEL_SCORE_AUTO, 0, NULL) > 0.97);
    tissue_free(&t);
}

/* Moments of tiles, a fit with and without one of them: the fit is that of their sum, the error bars those of refits. */
static void jackknife_is_refits(void)
{
    tissue t;
    cel_moments *part;
    cel_score_options o;
    cel_score_report report, rough;
    cel_model m, cells, one;
    cel_work work;
    int64_t g, i, n = 6, count = 2 * 36, G, cancelledat = 0;
    double *sum = (double *)calloc(2 * (size_t)count, sizeof *sum), worst = 0, cancelledrough = 0;
    if (!tissue_make(&t, n, 16, 2, 2, 0, 3, 1, 0, 0, 10, 6)) return;
    memset(&o, 0, sizeof o);
    memset(&work, 0, sizeof work);
    G = t.tiles;
    CHECK(G == 18);
    part = (cel_moments *)calloc((size_t)G, sizeof *part);
    for (g = 0; g < G; g++) OK_OR_RETURN(cel_moments_new(n, &t.relations, part + g));
    OK_OR_RETURN(cel_moments_add_by_label(part, G, t.tile, &t.relations, t.x, NULL));
    o.form = CEL_SCORE_MOMENT;
    o.ridge = 0.01;
    OK_OR_RETURN(fit_labels(&t.relations, t.x, t.slide, t.tile, &o, &cells, &rough, &work));
    o.tolerance = sizeof(cel_real) == 8 ? 1e-10 : 1e-6;
    OK_OR_RETURN(cel_score_fit_moments(part, G, &o, &m, &report, NULL, &work));
    NEAR(apart(cells.force, m.force), 0, 1e-3);
    CHECK(report.groups == G);
    for (g = 0; g < G; g++) {
        cel_moments kept = part[g];
        cel_score_report none;
        part[g] = part[G - 1];
        o.no_errors = 1;
        OK_OR_RETURN(cel_score_fit_moments(part, G - 1, &o, &one, &none, NULL, &work));
        part[g] = kept;
        for (i = 0; i < count; i++) {
            double d = (double)one.force.data[i] - (double)m.force.data[i];
            sum[i] += d;
            sum[count + i] += d * d;
        }
        cel_model_free(&one);
        cel_score_report_free(&none);
    }
    for (i = 0; i < count; i++) {
        double se = sqrt((double)(G - 1) / (double)G * (sum[count + i] - sum[i] * sum[i] / (double)G));
        double off = fabs((double)report.se.data[i] / se - 1), off_rough = fabs((double)rough.se.data[i] / se - 1);
        if (off > worst) {
            worst = off;
            cancelledat = i;
        }
        if (off_rough > cancelledrough) cancelledrough = off_rough;
        if (i / n % n != i % n) {
            NEAR(report.z.data[i], (double)m.force.data[i] / se, 0.02 * (1 + fabs((double)report.z.data[i])));
            NEAR(report.p.data[i], cel_student_p((double)report.z.data[i], (double)(G - 1)), 1e-5);
            CHECK(report.q.data[i] >= report.p.data[i]);
        } else {
            NEAR(report.q.data[i], 1, 0);
        }
    }
    /* The scale of the penalty is that of the remaining tiles in the refit: hence not the last digit. */
    NEAR(worst, 0, 0.02);
    NEAR(cancelledrough, 0, 0.05);
    CHECK(cancelledat < count);
    for (g = 0; g < G; g++) cel_moments_free(part + g);
    free(part);
    free(sum);
    cel_model_free(&m);
    cel_model_free(&cells);
    cel_score_report_free(&report);
    cel_score_report_free(&rough);
    cel_work_free(&work);
    tissue_free(&t);
}

/* The same of the exact form and J+, over slides: without one of them the others are a tissue of their own. */
static void jackknife_over_slides(void)
{
    tissue t, rest;
    int form, field;
    if (!tissue_make(&t, 4, 8, 3, 2, 0, 3, 1, 0, 1, 10, 7)) return;
    if (!tissue_make(&rest, 4, 8, 2, 2, 0, 3, 1, 0, 1, 1, 7)) return;
    for (form = CEL_SCORE_MOMENT; form <= CEL_SCORE_ORTHANT; form++) {
        for (field = CEL_SCORE_FIELD_NONE; field <= CEL_SCORE_FIELD_SLIDE; field++) {
            cel_score_options o;
            cel_score_report report;
            cel_model m, one[3];
            int64_t g, i, count = 32;
            memset(&o, 0, sizeof o);
            o.form = (cel_score_form)form;
            o.field = (cel_score_field)field;
            o.tolerance = sizeof(cel_real) == 8 ? 1e-10 : 1e-6;
            OK_OR_RETURN(fit_labels(&t.relations, t.x, t.slide, t.slide, &o, &m, &report, NULL));
            o.no_errors = 1;
            for (g = 0; g < 3; g++) {
                for (i = 0; i < 2; i++)
                    cel_mat_copy(cel_mat_block(t.x, (i + (i >= g)) * 64, 0, 64, 4), cel_mat_block(rest.x, i * 64, 0, 64, 4));
                OK_OR_RETURN(fit_labels(&rest.relations, rest.x, rest.slide, NULL, &o, one + g, NULL, NULL));
            }
            for (i = 0; i < count; i++) {
                double a = (double)one[0].force.data[i], b = (double)one[1].force.data[i], c = (double)one[2].force.data[i];
                double mean = (a + b + c) / 3, se;
                se = sqrt(2.0 / 3 * ((a - mean) * (a - mean) + (b - mean) * (b - mean) + (c - mean) * (c - mean)));
                /* With fields 64 cells leave little curvature: in float the fits compared are right to a few per cent. */
                NEAR(report.se.data[i], se, (sizeof(cel_real) == 8 ? 2e-3 : 0.05) * (1 + se));
            }
            for (g = 0; g < 3; g++) cel_model_free(one + g);
            cel_model_free(&m);
            cel_score_report_free(&report);
        }
    }
    tissue_free(&t);
    tissue_free(&rest);
}

/* A field planted a slide is found there, and not read as a force. */
static void field_of_a_slide(void)
{
    tissue t;
    cel_score_options o;
    cel_score_report report, plain;
    cel_model m, with;
    cel_sample_options so;
    int64_t s, i;
    int form;
    if (test_brief) SKIP("statistics");
    if (!tissue_make(&t, 6, 30, 2, 2, 1, 0.6, 1, 0, 0, 1, 8)) return;
    memset(&so, 0, sizeof so);
    so.sweeps = 50;
    for (s = 0; s < 2; s++) {
        /* Slide 1 feels the opposite field. */
        tissue half;
        if (!tissue_make(&half, 6, 30, 1, 2, 1, 0.6, 1, 0, 0, 1, 8)) return;
        for (i = 0; i < 6; i++) half.truth.field[i] = s ? -t.truth.field[i] : t.truth.field[i];
        so.seed = (uint64_t)s;
        OK_OR_RETURN(cel_sample_run(&half.truth, &half.relations, &so, half.x, NULL, NULL, NULL));
        cel_mat_copy(half.x, cel_mat_block(t.x, s * 900, 0, 900, 6));
        tissue_free(&half);
    }
    for (form = CEL_SCORE_MOMENT; form <= CEL_SCORE_EXACT; form++) {
        double dot = 0, size = 0, fit = 0;
        memset(&o, 0, sizeof o);
        o.form = (cel_score_form)form;
        o.no_errors = 1;
        OK_OR_RETURN(fit_labels(&t.relations, t.x, t.slide, t.tile, &o, &m, &plain, NULL));
        o.field = CEL_SCORE_FIELD_SLIDE;
        OK_OR_RETURN(fit_labels(&t.relations, t.x, t.slide, t.tile, &o, &with, &report, NULL));
        CHECK(report.field.rows == 2 && report.field.cols == 6);
        for (i = 0; i < 12; i++) {
            double h = (double)t.truth.field[i % 6] * (i < 6 ? 1 : -1), got = (double)report.field.data[i];
            dot += h * got;
            size += h * h;
            fit += got * got;
        }
        CHECK(dot / sqrt(size * fit) > 0.9);
        /* The moment form, made for many genes, has the direction only. */
        if (form == CEL_SCORE_EXACT) NEAR(dot / size, 1, 0.5);
        CHECK(report.value < plain.value);
        cel_score_report_free(&plain);
        cel_model_free(&m);
        cel_model_free(&with);
        cel_score_report_free(&report);
    }
    tissue_free(&t);
}

/* l1: the conditions of Karush, Kuhn and Tucker, by exact differences of the objective. */
static void lasso_conditions(void)
{
    tissue t;
    int group, form;
    if (!tissue_make(&t, 6, 20, 1, 2, 0, 3, 0.3, 0, 0, 20, 9)) return;
    for (form = CEL_SCORE_MOMENT; form <= CEL_SCORE_EXACT; form++) {
        for (group = 0; group < 2; group++) {
            cel_score_options o;
            cel_score_report report;
            cel_model m;
            cel_moments sums;
            cel_mat none;
            int64_t i, j, n = 6, zero = 0, r;
            double scale[2], S = (double)t.cells;
            memset(&o, 0, sizeof o);
            memset(&none, 0, sizeof none);
            o.form = (cel_score_form)form;
            o.together = group;
            o.l1 = 0.2;
            o.tolerance = sizeof(cel_real) == 8 ? 1e-9 : 1e-6;
            o.iterations = 20000;
            o.no_errors = 1;
            OK_OR_RETURN(fit_labels(&t.relations, t.x, NULL, NULL, &o, &m, &report, NULL));
            CHECK(report.iterations < (sizeof(cel_real) == 8 ? 55 : 40)); /* restarts halve what it takes */
            OK_OR_RETURN(cel_moments_new(n, &t.relations, &sums));
            OK_OR_RETURN(cel_moments_add(&sums, &t.relations, t.x, NULL, 0, NULL));
            for (r = 0; r < 2; r++) {
                for (scale[r] = 0, i = r * n; i < (r + 1) * n; i++) scale[r] += sums.gram[i * (2 * n + 1) + i];
                scale[r] = sqrt(4 * scale[r] / ((double)n * S));
            }
            if (form == CEL_SCORE_MOMENT) {
                double here = objective(&t, &m, CEL_SCORE_MOMENT, none), up, down;
                for (i = 0; i < n; i++) m.force.data[i * (n + 1)] += 1;
                up = objective(&t, &m, CEL_SCORE_MOMENT, none);
                for (i = 0; i < n; i++) m.force.data[i * (n + 1)] -= 2;
                down = objective(&t, &m, CEL_SCORE_MOMENT, none);
                for (i = 0; i < n; i++)
                    m.force.data[i * (n + 1)] += (cel_real)(1 + (down - up) / (2 * (up + down - 2 * here)));
            }
            for (i = 0; i < n; i++) {
                for (j = i + 1; j < n; j++) {
                    double slope[2], value[2], length = 0, steep = 0;
                    for (r = 0; r < 2; r++) {
                        cel_mat f = cel_model_force(&m, r);
                        cel_real keep = f.data[i * n + j];
                        double up, down;
                        f.data[i * n + j] = f.data[j * n + i] = keep + 1;
                        up = objective(&t, &m, (cel_score_form)form, none);
                        f.data[i * n + j] = f.data[j * n + i] = keep - 1;
                        down = objective(&t, &m, (cel_score_form)form, none);
                        f.data[i * n + j] = f.data[j * n + i] = keep;
                        /* By the scaled force, for one of the two entries. */
                        slope[r] = (up - down) / (4 * S * scale[r]);
                        value[r] = (double)keep * scale[r];
                        length += value[r] * value[r];
                        steep += slope[r] * slope[r];
                    }
                    length = sqrt(length);
                    for (r = 0; r < 2; r++) {
                        double size = group ? length : fabs(value[r]), most = group ? sqrt(steep) : fabs(slope[r]);
                        if (size > 0) NEAR(slope[r], -0.2 * value[r] / size, 0.01);
                        else CHECK(most <= 0.205);
                        zero += !(size > 0);
                    }
                }
            }
            CHECK(zero > 4 && zero < 26);
            cel_moments_free(&sums);
            cel_model_free(&m);
            cel_score_report_free(&report);
        }
    }
    tissue_free(&t);
}

/* Weights picked on held-out tiles: heavy without a signal, light with a strong one; l1 finds the sparse truth. */
/* More unknowns than normal equations are kept for: the folds share the scratch of the passes over the cells, which
 * the sanitizer sees freed. Rows all but alike determine nothing: that is not a fit. */
static void picked_over_the_cells(void)
{
    tissue t;
    cel_score_options o;
    cel_score_report report;
    cel_model m;
    int64_t i, j;
    memset(&o, 0, sizeof o);
    o.no_errors = 1;
    if (!tissue_make(&t, 30, 8, 1, 2, 0, 3, 1, 0, 0, 2, 10)) return;
    for (o.form = CEL_SCORE_EXACT; o.form <= CEL_SCORE_ORTHANT; o.form = (cel_score_form)(o.form + 1)) {
        if (o.form == CEL_SCORE_ORTHANT)
            for (i = 0; i < t.cells; i++)
                for (j = 0; j < 30; j++) t.x.data[i * 30 + j] = (cel_real)fabs((double)t.x.data[i * 30 + j]);
        o.ridge = CEL_SCORE_PICKED;
        OK_OR_RETURN(fit_labels(&t.relations, t.x, NULL, t.tile, &o, &m, &report, NULL));
        CHECK(report.path > 2 && report.ridge > 0);
        cel_model_free(&m);
        cel_score_report_free(&report);
    }
    o.form = CEL_SCORE_EXACT;
    o.ridge = 0;
    for (i = 0; i < t.cells; i++)
        for (j = 0; j < 15; j++) t.x.data[i * 30 + 15 + j] = t.x.data[i * 30 + j];
    OK_OR_RETURN(cel_slide_unit(t.x, NULL, NULL, NULL));
    OK_OR_RETURN(fit_labels(&t.relations, t.x, NULL, NULL, &o, &m, &report, NULL));
    CHECK(report.iterations > 0 || !report.converged);
    cel_model_free(&m);
    cel_score_report_free(&report);
    tissue_free(&t);
}

static void picked_weights(void)
{
    tissue t;
    cel_score_options o;
    cel_score_report noise, signal, sparse;
    cel_model m;
    int64_t p, best = 0;
    if (test_brief) SKIP("statistics");
    memset(&o, 0, sizeof o);
    o.form = CEL_SCORE_MOMENT;
    o.ridge = CEL_SCORE_PICKED;
    o.no_errors = 1;
    if (!tissue_make(&t, 12, 18, 1, 2, 0, 0, 1, 0, 0, 3, 10)) return;
    OK_OR_RETURN(fit_labels(&t.relations, t.x, NULL, t.tile, &o, &m, &noise, NULL));
    cel_model_free(&m);
    tissue_free(&t);
    if (!tissue_make(&t, 12, 36, 1, 2, 0, 8, 0.2, 0, 0, 40, 10)) return;
    OK_OR_RETURN(fit_labels(&t.relations, t.x, NULL, t.tile, &o, &m, &signal, NULL));
    cel_model_free(&m);
    CHECK(noise.ridge > 10 * signal.ridge && noise.ridge >= 0.3);
    for (p = 0; p < signal.path; p++)
        if (signal.path_value[p] < signal.path_value[best]) best = p;
    CHECK(signal.path > 5 && signal.path <= CEL_SCORE_PATH);
    NEAR(signal.held_out, signal.path_value[best], 0);
    NEAR(signal.ridge, signal.path_weight[best], 0);
    o.ridge = 0;
    o.l1 = CEL_SCORE_PICKED;
    OK_OR_RETURN(fit_labels(&t.relations, t.x, NULL, t.tile, &o, &m, &sparse, NULL));
    CHECK(sparse.l1 > 0 && sparse.held_out < signal.held_out);
    CHECK(agree(cel_model_force(&m, 1), cel_model_force(&t.truth, 1), NULL) > 0.9);
    cel_model_free(&m);
    tissue_free(&t);
}

/* Relabelled genes and cells give the same forces, relabelled; one or two threads the same bits. */
static void invariance(void)
{
    tissue t, turned_;
    int form;
    int64_t i, j, r, n = 7;
    if (!tissue_make(&t, n, 12, 1, 2, 0, 3, 1, 0, 1, 10, 11)) return;
    if (!tissue_make(&turned_, n, 12, 1, 2, 0, 3, 1, 0, 1, 1, 11)) return;
    for (i = 0; i < t.cells; i++)
        for (j = 0; j < n; j++) turned_.x.data[i * n + j] = t.x.data[i * n + (3 * j + 2) % n];
    for (form = CEL_SCORE_MOMENT; form <= CEL_SCORE_ORTHANT; form++) {
        cel_model a, b, c;
        cel_score_options o;
        cel_score_report ra, rc;
        double trace = 0;
        memset(&o, 0, sizeof o);
        o.form = (cel_score_form)form;
        o.tolerance = sizeof(cel_real) == 8 ? 1e-11 : 1e-6;
        OK_OR_RETURN(fit_labels(&t.relations, t.x, NULL, t.tile, &o, &a, &ra, NULL));
#if defined(_OPENMP)
        omp_set_num_threads(1);
#endif
        OK_OR_RETURN(fit_labels(&t.relations, t.x, NULL, t.tile, &o, &c, &rc, NULL));
#if defined(_OPENMP)
        omp_set_num_threads(2);
#endif
        CHECK(!memcmp(a.force.data, c.force.data, (size_t)(2 * n * n) * sizeof(cel_real)));
        CHECK(!memcmp(ra.se.data, rc.se.data, (size_t)(2 * n * n) * sizeof(cel_real)));
        o.no_errors = 1;
        OK_OR_RETURN(fit_labels(&t.relations, turned_.x, NULL, NULL, &o, &b, NULL, NULL));
        for (r = 0; r < 2; r++)
            for (i = 0; i < n; i++)
                for (j = 0; j < n; j++)
                    NEAR(cel_model_force(&b, r).data[i * n + j],
                         cel_model_force(&a, r).data[(3 * i + 2) % n * n + (3 * j + 2) % n], FINE * 20);
        for (i = 0; i < n; i++) trace += (double)a.force.data[i * (n + 1)];
        NEAR(trace, 0, FINE);
        for (i = 0; i < n; i++)
            for (j = 0; j < n; j++) NEAR(a.force.data[i * n + j], a.force.data[j * n + i], 0);
        cel_model_free(&a);
        cel_model_free(&b);
        cel_model_free(&c);
        cel_score_report_free(&ra);
        cel_score_report_free(&rc);
    }
    tissue_free(&t);
    tissue_free(&turned_);
}

/* Without forces log p is minus the log area, with a field von Mises-Fisher's; the truth beats what is not. */
static void pseudo_likelihood(void)
{
    tissue t;
    cel_model m;
    double mean, *each, other, length = 0;
    int64_t i, k;
    if (!tissue_make(&t, 20, 12, 1, 2, 1, 4, 1, 0, 0, 20, 12)) return;
    each = (double *)malloc((size_t)t.cells * sizeof *each);
    OK_OR_RETURN(cel_model_new(20, 2, 1, &m));
    OK_OR_RETURN(cel_score_pseudo_likelihood(&m, &t.relations, t.x, &mean, each, NULL));
    NEAR(mean, -cel_sphere_log_area(20), 1e-3);
    for (i = 0; i < 20; i++) {
        m.field[i] = t.truth.field[i];
        length += (double)m.field[i] * (double)m.field[i];
    }
    OK_OR_RETURN(cel_score_pseudo_likelihood(&m, &t.relations, t.x, &other, each, NULL));
    for (k = 0; k < t.cells; k += 50) {
        double want = -cel_sphere_log_area(20) - cel_sphere_phi(20, sqrt(length), NULL, NULL);
        for (i = 0; i < 20; i++) want += (double)m.field[i] * (double)t.x.data[k * 20 + i];
        NEAR(each[k], want, 1e-3);
    }
    CHECK(other > mean);
    OK_OR_RETURN(cel_score_pseudo_likelihood(&t.truth, &t.relations, t.x, &mean, NULL, NULL));
    CHECK(mean > other);
    free(each);
    cel_model_free(&m);
    tissue_free(&t);
}

static int stop(void *user, const char *stage, int64_t done, int64_t total, double value)
{
    int *left = (int *)user;
    (void)stage;
    (void)value;
    CHECK(done >= 1 && done <= total);
    return --*left < 0;
}

static void errors(void)
{
    tissue t;
    cel_score_options o;
    cel_score_report report;
    cel_model m;
    int left;
    double value;
    int32_t *flat, label;
    if (!tissue_make(&t, 4, 8, 1, 2, 0, 1, 1, 0, 1, 3, 13)) return;
    memset(&o, 0, sizeof o);
    flat = (int32_t *)calloc((size_t)t.cells, sizeof *flat);
    o.ridge = CEL_SCORE_PICKED;
    CHECK(fit_labels(&t.relations, t.x, NULL, NULL, &o, &m, &report, NULL) == CEL_ERR_DATA);
    o.l1 = CEL_SCORE_PICKED;
    CHECK(fit_labels(&t.relations, t.x, NULL, t.tile, &o, &m, &report, NULL) == CEL_ERR_ARG);
    o.ridge = o.l1 = 0;
    CHECK(fit_labels(&t.relations, t.x, NULL, flat, &o, &m, &report, NULL) == CEL_ERR_DATA);
    label = t.tile[3];
    t.tile[3] = 40;
    CHECK(fit_labels(&t.relations, t.x, NULL, t.tile, &o, &m, &report, NULL) == CEL_ERR_DATA);
    t.tile[3] = label;
    CHECK(fit_labels(&t.relations, cel_mat_block(t.x, 0, 0, 60, 4), NULL, NULL, &o, &m, &report, NULL) == CEL_ERR_SHAPE);
    CHECK(!m.force.data && !report.se.data);
    for (left = 0; left < 60; left += 4) {
        int budget = left;
        cel_status status;
        o.progress.fn = stop;
        o.progress.user = &budget;
        status = fit_labels(&t.relations, t.x, NULL, t.tile, &o, &m, &report, NULL);
        CHECK(status == (budget < 0 ? CEL_ERR_STOPPED : CEL_OK));
        CHECK((status == CEL_OK) == (m.force.data != NULL) && (status == CEL_OK) == (report.se.data != NULL));
        cel_model_free(&m);
        cel_score_report_free(&report);
    }
    o.progress.fn = NULL;
    t.x.data[5] = (cel_real)NAN;
    CHECK(fit_labels(&t.relations, t.x, NULL, NULL, &o, &m, &report, NULL) == CEL_ERR_DATA);
    t.x.data[5] = 3;
    CHECK(fit_labels(&t.relations, t.x, NULL, NULL, &o, &m, &report, NULL) == CEL_ERR_DATA);
    CHECK(cel_score_value(&t.truth, &t.relations, t.x, CEL_SCORE_PICK, &value, NULL, NULL) == CEL_ERR_ARG);
    o.form = CEL_SCORE_EXACT;
    CHECK(cel_score_fit_moments(NULL, 0, &o, &m, &report, NULL, NULL) == CEL_ERR_ARG);
    free(flat);
    tissue_free(&t);
}

/* Each cause of a refused fit has a name and the caller's place; outputs are zeroed. */
static void H9_fit_says_what_and_where(void)
{
    tissue t;
    cel_score_options o = CEL_ZERO;
    cel_score_report report;
    cel_model m;
    cel_error e;
    int32_t *label;
    int64_t i;
    cel_real keep;
    if (!tissue_make(&t, 4, 8, 1, 2, 0, 1, 1, 0, 1, 3, 13)) return;
    label = (int32_t *)calloc((size_t)t.cells, sizeof *label);
#define REFUSED(code, at_cell, at_gene, at)                                                                            \
    do {                                                                                                               \
        CHECK(cel_score_fit(&t.relations, t.x, &o, &m, &report, &e, NULL) == (code));                                  \
        CHECK(e.status == (code) && e.what && e.cell == (at_cell) && e.gene == (at_gene) && e.offset == (at));         \
        CHECK(!m.force.data && !report.se.data);                                                                       \
    } while (0)
    o.group = label;
    REFUSED(CEL_ERR_DATA, -1, -1, -1); /* one group */
    for (i = 0; i < t.cells; i++) label[i] = (int32_t)(i % 2 * 2);
    REFUSED(CEL_ERR_DATA, -1, -1, 1); /* label 1 without cells */
    label[7] = -3;
    REFUSED(CEL_ERR_DATA, 7, -1, -1);
    label[7] = (int32_t)t.cells;
    REFUSED(CEL_ERR_DATA, 7, -1, -1);
    o.group = t.tile;
    keep = t.x.data[9 * 4 + 2];
    t.x.data[9 * 4 + 2] = (cel_real)NAN;
    REFUSED(CEL_ERR_DATA, 9, 2, -1);
    t.x.data[9 * 4 + 2] = keep + 1;
    REFUSED(CEL_ERR_DATA, 9, -1, -1);
    t.x.data[9 * 4 + 2] = -keep;
    o.form = CEL_SCORE_ORTHANT;
    REFUSED(CEL_ERR_DATA, 9, 2, -1);
    t.x.data[9 * 4 + 2] = keep;
    o.form = CEL_SCORE_MOMENT;
    o.field = CEL_SCORE_FIELD_SLIDE;
    o.slide = label;
    for (i = 0; i < t.cells; i++) label[i] = i % 2;
    /* a tile in two slides */
    CHECK(cel_score_fit(&t.relations, t.x, &o, &m, &report, &e, NULL) == CEL_ERR_DATA && e.cell >= 0);
    o.field = CEL_SCORE_FIELD_NONE;
    o.memory = 1000;
    CHECK(cel_score_fit(&t.relations, t.x, &o, &m, &report, &e, NULL) == CEL_ERR_MEMORY && e.offset > 1000);
    NEAR((double)e.offset, cel_score_memory(&t.relations, 4, t.tiles, 1, &o), 1);
    o.memory = (double)e.offset + 1;
    OK_OR_RETURN(cel_score_fit(&t.relations, t.x, &o, &m, &report, &e, NULL));
    CHECK(e.status == CEL_OK);
#undef REFUSED
    cel_model_free(&m);
    cel_score_report_free(&report);
    free(label);
    tissue_free(&t);
}

static void H17_enums_and_weights_are_checked(void)
{
    tissue t;
    cel_score_report report;
    cel_model m;
    double value;
    int k;
    if (!tissue_make(&t, 4, 6, 1, 2, 0, 1, 1, 0, 1, 3, 13)) return;
    for (k = 0; k < 9; k++) {
        cel_score_options o = CEL_ZERO;
        o.group = t.tile;
        if (k == 0) o.form = (cel_score_form)9;
        if (k == 1) o.form = (cel_score_form)-1;
        if (k == 2) o.field = (cel_score_field)3;
        if (k == 3) o.ridge = -0.3;
        if (k == 4) o.l1 = -2;
        if (k == 5) o.ridge = (double)INFINITY;
        if (k == 6) o.tolerance = -1;
        if (k == 7) o.folds = -1;
        if (k == 8) o.memory = (double)NAN;
        CHECK(cel_score_fit(&t.relations, t.x, &o, &m, &report, NULL, NULL) == CEL_ERR_ARG);
    }
    CHECK(cel_score_value(&t.truth, &t.relations, t.x, (cel_score_form)9, &value, NULL, NULL) == CEL_ERR_ARG);
    tissue_free(&t);
}

/* Moments of other relations than the first, or than the model: refused, not read past their end. */
static void H1_H2_moments_of_other_relations(void)
{
    tissue one, two;
    cel_moments m[2];
    cel_model out;
    double value;
    if (!tissue_make(&one, 4, 6, 1, 2, 0, 1, 1, 0, 0, 2, 13)) return;
    if (!tissue_make(&two, 4, 6, 1, 4, 0, 1, 1, 0, 0, 2, 13)) return;
    OK_OR_RETURN(cel_moments_new(4, &one.relations, m));
    OK_OR_RETURN(cel_moments_new(4, &two.relations, m + 1));
    OK_OR_RETURN(cel_moments_add(m, &one.relations, one.x, NULL, 0, NULL));
    OK_OR_RETURN(cel_moments_add(m + 1, &two.relations, two.x, NULL, 0, NULL));
    CHECK(cel_score_fit_moments(m, 2, NULL, &out, NULL, NULL, NULL) == CEL_ERR_SHAPE && !out.force.data);
    CHECK(cel_score_value_moments(&two.truth, m, &value) == CEL_ERR_SHAPE);
    CHECK(cel_score_value_moments(&one.truth, m + 1, &value) == CEL_ERR_SHAPE);
    OK_OR_RETURN(cel_score_value_moments(&two.truth, m + 1, &value));
    cel_moments_free(m);
    cel_moments_free(m + 1);
    tissue_free(&one);
    tissue_free(&two);
}

/* What the value costs beside the energy's gradient, which it needs: two products against three. */
static void H13_value_by_one_product(void)
{
    tissue t;
    cel_model m;
    cel_mat x, gradient;
    double best[2] = {1e9, 1e9}, value;
    int k, what;
    if (test_brief) SKIP("time");
    if (!tissue_make(&t, 4, 40, 1, 2, 0, 1, 1, 0, 0, 1, 13)) return;
    OK_OR_RETURN(cel_mat_new(t.cells, 250, &x));
    OK_OR_RETURN(cel_mat_new(t.cells, 250, &gradient));
    OK_OR_RETURN(cel_model_new(250, 2, 0, &m));
    cel_sample_uniform(1, 0, 0, x);
    for (k = 0; k < 6; k++)
        for (what = 0; what < 2; what++) {
            clock_t start = clock();
            double took;
            if (what) OK_OR_RETURN(cel_score_value(&m, &t.relations, x, CEL_SCORE_EXACT, &value, NULL, NULL));
            else OK_OR_RETURN(cel_model_energy(&m, &t.relations, x, NULL, NULL, gradient, NULL));
            took = (double)(clock() - start) / CLOCKS_PER_SEC;
            if (took < best[what]) best[what] = took;
        }
    CHECK(best[1] < 6 * best[0] + 0.002);
    cel_mat_free(&x);
    cel_mat_free(&gradient);
    cel_model_free(&m);
    tissue_free(&t);
}

/* 24 genes in 36 groups by the exact form: it takes a few passes over the cells, not unknowns squared a group. */
static void H14_no_dense_normal_equations(void)
{
    tissue t;
    cel_score_options o = CEL_ZERO;
    if (!tissue_make(&t, 4, 30, 1, 2, 0, 1, 1, 0, 0, 1, 13)) return;
    o.form = CEL_SCORE_EXACT;
    CHECK(cel_score_memory(&t.relations, 24, 36, 1, &o) < 2e7);
    o.form = CEL_SCORE_MOMENT;
    CHECK(cel_score_memory(&t.relations, 48, 36, 1, &o) > 36 * 97.0 * 97 * 8);
    tissue_free(&t);
}

/* PICK rates a form with slides of unequal size as picking a weight does: by each held-out fold's own field. */
static void H23_picked_forms_and_weights_agree(void)
{
    tissue t;
    cel_score_options o = CEL_ZERO;
    cel_score_report report;
    cel_model m;
    int64_t i;
    int32_t *slide;
    if (!tissue_make(&t, 5, 15, 2, 2, 0, 3, 1, 0, 1, 10, 7)) return;
    slide = (int32_t *)calloc((size_t)t.cells, sizeof *slide);
    for (i = 0; i < t.cells; i++) slide[i] = t.tile[i] > 2;
    o.form = CEL_SCORE_PICK;
    o.field = CEL_SCORE_FIELD_SLIDE;
    o.ridge = CEL_SCORE_PICKED;
    o.slide = slide;
    o.group = t.tile;
    o.no_errors = 1;
    OK_OR_RETURN(cel_score_fit(&t.relations, t.x, &o, &m, &report, NULL, NULL));
    CHECK(report.form == CEL_SCORE_ORTHANT);
    for (i = 0; i < report.path; i++)
        if (fabs(report.path_weight[i] - report.ridge) <= 0) NEAR_REL(report.path_value[i], report.held_out, 1e-3);
    cel_model_free(&m);
    cel_score_report_free(&report);
    free(slide);
    tissue_free(&t);
}

static void H24_values_are_zeroed_on_error(void)
{
    tissue t;
    cel_model m;
    double value = 3, *each;
    int64_t i, kept = 0;
    if (!tissue_make(&t, 4, 6, 1, 2, 0, 1, 1, 0, 0, 2, 13)) return;
    each = (double *)malloc((size_t)t.cells * sizeof *each);
    for (i = 0; i < t.cells; i++) each[i] = 3;
    t.x.data[5] = (cel_real)NAN;
    CHECK(cel_score_value(&t.truth, &t.relations, t.x, CEL_SCORE_EXACT, &value, each, NULL) != CEL_OK);
    for (i = 0; i < t.cells; i++) kept += fabs(each[i]) > 0;
    CHECK(kept == 0 && !(fabs(value) > 0));
    for (i = 0; i < t.cells; i++) each[i] = 3;
    value = 3;
    OK_OR_RETURN(cel_model_new(3, 2, 0, &m)); /* of other genes */
    CHECK(cel_score_value(&m, &t.relations, t.x, CEL_SCORE_EXACT, &value, each, NULL) == CEL_ERR_SHAPE);
    for (i = 0; i < t.cells; i++) kept += fabs(each[i]) > 0;
    CHECK(cel_score_pseudo_likelihood(&m, &t.relations, t.x, &value, each, NULL) == CEL_ERR_SHAPE);
    CHECK(kept == 0 && !(fabs(value) > 0));
    free(each);
    cel_model_free(&m);
    tissue_free(&t);
}

/* The user's own check: every form agrees with its definition, relations that are not symmetric and a field included. */
static void checked_by_the_user(void)
{
    tissue t;
    double cancelled = 1;
    int form;
    if (!tissue_make(&t, 7, 9, 1, 4, 1, 2, 1, 0, 1, 5, 3)) return;
    for (form = CEL_SCORE_MOMENT; form <= CEL_SCORE_ORTHANT; form++) {
        double worst = 1;
        OK_OR_RETURN(cel_score_check(&t.truth, &t.relations, t.x, (cel_score_form)form, 9, &worst, NULL));
        CHECK(worst <= (sizeof(cel_real) == 8 ? 1e-6 : 1e-5));
    }
    /* Terms that cancel leave a slope that rounding alone makes: it is no fault of the formulas. */
    cel_mat_fill(t.truth.force, 0);
    for (form = 0; form < 7; form++) {
        t.truth.force.data[7 * form + (form + 1) % 7] = 400;
        t.truth.force.data[7 * ((form + 1) % 7) + form] = -400;
        if (t.truth.field) t.truth.field[form] = 0;
    }
    OK_OR_RETURN(cel_score_check(&t.truth, &t.relations, t.x, CEL_SCORE_MOMENT, 9, &cancelled, NULL));
    CHECK(cancelled <= 1e-4);
    tissue_free(&t);
}

/* Counts with structure: a log-normal field, smooth over neighbours and correlated over genes, library sizes, Poisson.
 * Two slides side by side, of which the second is shifted. */
typedef struct counted {
    int64_t n, cells, tiles;
    cel_mat xy, y, x;
    cel_relations relations;
    int32_t *tile, *slide;
    double *size;
} counted;

static void counted_free(counted *c)
{
    cel_mat_free(&c->xy);
    cel_mat_free(&c->y);
    cel_mat_free(&c->x);
    cel_relations_free(&c->relations);
    free(c->tile);
    free(c->slide);
    free(c->size);
    memset(c, 0, sizeof *c);
}

/* Rows as counts_reference.py makes them: log1p at the median total, centred a slide, scaled, without the size direction,
 * unit length. */
static void counted_rows(counted *c)
{
    int64_t n = c->n, S = c->cells, i, j, k;
    double *q = (double *)calloc((size_t)(S * n), sizeof *q), *total = (double *)calloc((size_t)S, sizeof *total), median, t;
    double *sorted = (double *)calloc((size_t)S, sizeof *sorted), length = 0;
    for (i = 0; i < S; i++) {
        for (j = 0; j < n; j++) total[i] += (double)c->y.data[i * n + j];
        for (k = i; k > 0 && sorted[k - 1] > total[i]; k--) sorted[k] = sorted[k - 1];
        sorted[k] = total[i];
    }
    median = (sorted[(S - 1) / 2] + sorted[S / 2]) / 2;
    for (j = 0; j < n; j++) {
        double mean[2] = {0, 0}, count[2] = {0, 0}, square = 0;
        c->size[j] = 0;
        for (i = 0; i < S; i++) {
            t = (double)c->y.data[i * n + j] / total[i] * median;
            c->size[j] += t / (1 + t) / (double)S;
            q[i * n + j] = log1p(t);
            mean[c->slide[i]] += q[i * n + j];
            count[c->slide[i]]++;
        }
        for (i = 0; i < S; i++) {
            q[i * n + j] -= mean[c->slide[i]] / count[c->slide[i]];
            square += q[i * n + j] * q[i * n + j] / (double)S;
        }
        for (i = 0; i < S; i++) q[i * n + j] /= sqrt(square);
        c->size[j] /= sqrt(square);
        length += c->size[j] * c->size[j];
    }
    for (j = 0; j < n; j++) c->size[j] /= sqrt(length);
    for (i = 0; i < S; i++) {
        double along = 0, square = 0;
        for (j = 0; j < n; j++) along += q[i * n + j] * c->size[j];
        for (j = 0; j < n; j++) q[i * n + j] -= along * c->size[j];
        for (j = 0; j < n; j++) square += q[i * n + j] * q[i * n + j];
        for (j = 0; j < n; j++) c->x.data[i * n + j] = (cel_real)(q[i * n + j] / sqrt(square));
    }
    free(q);
    free(total);
    free(sorted);
}

static int counted_make(counted *c, int64_t n, int64_t side, int64_t slides)
{
    int64_t one = side * side, S = one * slides, i, j, k;
    cel_csr graph = CEL_ZERO;
    const cel_csr *w;
    double *z = (double *)calloc((size_t)(S * n), sizeof *z);
    memset(c, 0, sizeof *c);
    c->n = n;
    c->cells = S;
    c->tile = (int32_t *)calloc((size_t)S, sizeof(int32_t));
    c->slide = (int32_t *)calloc((size_t)S, sizeof(int32_t));
    c->size = (double *)calloc((size_t)n, sizeof(double));
    if (!CHECK(!cel_mat_new(S, 2, &c->xy) && !cel_mat_new(S, n, &c->y) && !cel_mat_new(S, n, &c->x))) return 0;
    for (k = 0; k < slides; k++) cel_graph_hex_coords(side, side, cel_mat_block(c->xy, k * one, 0, one, 2));
    for (i = 0; i < S; i++) c->slide[i] = (int32_t)(i / one);
    if (!CHECK(!cel_slide_tiles(c->xy, c->slide, 4, c->tile, &c->tiles, NULL))) return 0;
    if (!CHECK(!cel_graph_radius(c->xy, c->slide, 0, 1.5, 0, &graph, NULL))) return 0;
    if (!CHECK(!cel_relations_from_graph(&graph, NULL, &c->relations, NULL))) return 0;
    for (i = 0; i < S; i++) {
        cel_rng g = cel_rng_at(21, 1, (uint32_t)i, 0);
        for (j = 0; j < n; j++) z[i * n + j] = cel_rng_normal(&g);
    }
    w = c->relations.at[1].w;
    for (i = 0; i < S; i++) {
        cel_rng g = cel_rng_at(21, 2, (uint32_t)i, 0);
        double library = exp(0.4 * cel_rng_normal(&g));
        for (j = 0; j < n; j++) {
            double field = 0.5 * z[i * n + j] + 0.5 * z[i * n + j / 2] + 0.2 * c->slide[i] * (double)(j % 3);
            double rate, p, u = cel_rng_uniform(&g), sum;
            for (k = w->start[i]; k < w->start[i + 1]; k++)
                field += 0.2 * (double)w->value[k] * z[w->index[k] * n + (j + 3) % n];
            rate = library * exp(field) * 4 * (1 + (double)(j % 4));
            p = sum = exp(-rate);
            for (k = 0; k < 1000 && u > sum; k++) {
                p *= rate / (double)(k + 1);
                sum += p;
            }
            c->y.data[i * n + j] = (cel_real)k;
        }
    }
    counted_rows(c);
    cel_csr_free(&graph);
    free(z);
    return 1;
}

/* The fit on prepared rows against counts_reference.py, run on the same counts: forces in partial-correlation units, the
 * ridge picked, the test solution and its errors. */
static void compare_with_the_reference(int64_t n, int64_t side, int64_t slides)
{
    static const char *script =
        "import sys, os, numpy as np\n"
        "sys.path.insert(0, sys.argv[1]); d = sys.argv[2]\n"
        "import counts_reference as c\n"
        "class Dense:\n"
        "    pass\n"
        "y, w, t, s = [np.load(os.path.join(d, f + '.npy')) for f in ('y', 'w', 'tile', 'slide')]\n"
        "t = t[:, 0].astype(int); s = s[:, 0].astype(int)\n"
        "r = c.fit(y.astype(float), y.sum(1).astype(float), w.astype(float), t, s)\n"
        "out = np.vstack([r['intra'], r['inter'], r['test'][0], r['test'][1], r['se'][0], r['se'][1],\n"
        "                 np.full((1, y.shape[1]), r['ridge'])])\n"
        "np.save(os.path.join(d, 'out.npy'), out.astype(np.float32 if sys.argv[3] == '4' else np.float64))\n";
    counted c;
    cel_score_options o;
    cel_score_report report;
    cel_model m;
    cel_mat w, tile, slide, out = CEL_ZERO;
    char path[256], command[1200];
    FILE *f;
    int64_t i, k;
    if (!test_shared()) SKIP("no ../shared");
    snprintf(command, sizeof command, "/usr/bin/python3 -c 'import numpy' 2>/dev/null && test -f '%s/counts_reference.py'",
             test_shared());
    if (system(command)) SKIP("no python3 with numpy");
    if (!counted_make(&c, n, side, slides)) return;
    OK_OR_RETURN(cel_mat_new(c.cells, c.cells, &w));
    OK_OR_RETURN(cel_mat_new(c.cells, 1, &tile));
    OK_OR_RETURN(cel_mat_new(c.cells, 1, &slide));
    for (i = 0; i < c.cells; i++) {
        const cel_csr *a = c.relations.at[1].w;
        for (k = a->start[i]; k < a->start[i + 1]; k++) w.data[i * c.cells + a->index[k]] = a->value[k];
        tile.data[i] = (cel_real)c.tile[i];
        slide.data[i] = (cel_real)c.slide[i];
    }
    snprintf(path, sizeof path, "%s/y.npy", test_tmp());
    OK_OR_RETURN(cel_npy_write_matrix(path, c.y, NULL));
    snprintf(path, sizeof path, "%s/w.npy", test_tmp());
    OK_OR_RETURN(cel_npy_write_matrix(path, w, NULL));
    snprintf(path, sizeof path, "%s/tile.npy", test_tmp());
    OK_OR_RETURN(cel_npy_write_matrix(path, tile, NULL));
    snprintf(path, sizeof path, "%s/slide.npy", test_tmp());
    OK_OR_RETURN(cel_npy_write_matrix(path, slide, NULL));
    snprintf(path, sizeof path, "%s/run.py", test_tmp());
    f = fopen(path, "w");
    if (!CHECK(f != NULL)) return;
    fputs(script, f);
    fclose(f);
    snprintf(command, sizeof command, "OPENBLAS_NUM_THREADS=1 /usr/bin/python3 '%s' '%s' '%s' %d", path, test_shared(),
             test_tmp(), (int)sizeof(cel_real));
    if (!CHECK(!system(command))) return;
    snprintf(path, sizeof path, "%s/out.npy", test_tmp());
    OK_OR_RETURN(cel_npy_matrix(path, &out, NULL));
    o = cel_score_measured(c.size);
    o.field = CEL_SCORE_FIELD_SHARED; /* the reference's rows are centred a slide, its moments as a whole */
    o.group = c.tile;
    o.tolerance = 1e-7;
    OK_OR_RETURN(cel_score_fit(&c.relations, c.x, &o, &m, &report, NULL, NULL));
    NEAR_REL(report.ridge, out.data[6 * n * n], 1e-5);
    CHECK(report.groups == c.tiles && report.path > 3 && !report.path_end);
    for (i = 0; i < 2 * n * n; i++) {
        NEAR(report.partial.data[i], out.data[i], 1e-4);
        NEAR(report.test.data[i], out.data[2 * n * n + i], 1e-4);
        NEAR(report.se.data[i], out.data[4 * n * n + i], 1e-4);
    }
    cel_model_free(&m);
    cel_score_report_free(&report);
    cel_mat_free(&w);
    cel_mat_free(&tile);
    cel_mat_free(&slide);
    cel_mat_free(&out);
    counted_free(&c);
}

static void measured_agrees_with_the_reference(void) { compare_with_the_reference(14, 24, 2); }
/* The same against a few of the reference's numbers, where there is no Python; with what else a user is told. */
static void measured_fit(void)
{
    counted c;
    cel_score_options o;
    cel_score_report report;
    cel_error e;
    cel_model m;
    static const int entry[3] = {1, 9, 23};
    static const double reference[18] = {
        0.3032824, -0.001658062, 0.1415907, -0.03969342, -0.07120598, 2.552173e-05, 0.3260379, -0.0002040019, 0.1396402,
        -0.04400507, -0.08608533, 2.88376e-05, 0.06983238, 0.02047065, 0.0959889, 0.02087091, 0.02502693, 0.004647298};
    double sum[3] = {0, 0, 0};
    int64_t i, n = 10;
    if (!counted_make(&c, n, 16, 2)) return;
    o = cel_score_measured(c.size);
    o.field = CEL_SCORE_FIELD_SHARED;
    o.group = c.tile;
    o.tolerance = 1e-7;
    OK_OR_RETURN(cel_score_fit(&c.relations, c.x, &o, &m, &report, &e, NULL));
    CHECK(report.form == CEL_SCORE_MOMENT && report.converged && report.groups == 32);
    NEAR_REL(report.ridge, 0.1, 1e-5);
    for (i = 0; i < 18; i++) {
        const cel_mat *from = i < 6 ? &report.partial : i < 12 ? &report.test : &report.se;
        NEAR(from->data[i / 3 % 2 * n * n + entry[i % 3]], reference[i], 1e-4);
    }
    CHECK(report.contacts[0] == 0 && report.contacts[1] == cel_csr_count(c.relations.at[1].w));
    CHECK(report.contact_groups[0] == 32 && report.contact_groups[1] == 32);
    for (i = 0; i < 3 * n; i++) sum[i / n] += (double)report.share.data[i] / (double)n;
    CHECK(sum[2] > 0.1 && sum[0] + sum[1] + sum[2] < 1);
    CHECK(report.log_residual[2] < report.log_residual[0] - 0.1 && report.log_residual[2] < report.log_residual[1]);
    NEAR(report.log_residual[2], report.held_out, 1e-3);
    for (i = 0; i < 2 * n * n; i++) {
        /* Raw forces have no part along the size direction; their units are the law's. */
        double along = 0;
        int64_t k;
        for (k = 0; k < n; k++) along += (double)m.force.data[i / n * n + k] * c.size[k];
        NEAR(along, 0, 1e-4 * (1 + fabs((double)m.force.data[0])));
    }
    cel_model_free(&m);
    cel_score_report_free(&report);
    /* Few tiles: nothing is called. What does not go together, or is not of the rows, is refused. */
    for (i = 0; i < c.cells; i++) c.tile[i] = (int32_t)(c.tile[i] / 4);
    OK_OR_RETURN(cel_score_fit(&c.relations, c.x, &o, &m, &report, &e, NULL));
    CHECK(report.groups == 8 && report.contact_groups[1] == 8);
    for (i = 0; i < n * n; i++) NEAR(report.q.data[n * n + i], 1, 0);
    cel_model_free(&m);
    cel_score_report_free(&report);
    o.form = CEL_SCORE_EXACT;
    CHECK(cel_score_fit(&c.relations, c.x, &o, &m, &report, &e, NULL) == CEL_ERR_ARG);
    o = cel_score_measured(c.size);
    o.group = c.tile;
    c.size[0] = -c.size[0];
    CHECK(cel_score_fit(&c.relations, c.x, &o, &m, &report, &e, NULL) == CEL_ERR_DATA && e.cell >= 0 && e.gene < 0);
    c.size[0] *= 2;
    CHECK(cel_score_fit(&c.relations, c.x, &o, &m, &report, &e, NULL) == CEL_ERR_DATA && e.cell < 0);
    counted_free(&c);
}

/* From stored moments the same, per-slide fields included. */
static void measured_from_moments(void)
{
    counted c;
    cel_score_options o;
    cel_score_report a, b;
    cel_model m, other;
    cel_moments part[32];
    int32_t slide[32];
    int64_t i, n = 6;
    if (!counted_make(&c, n, 16, 2)) return;
    for (i = 0; i < 32; i++) OK_OR_RETURN(cel_moments_new(n, &c.relations, part + i));
    OK_OR_RETURN(cel_moments_add_by_label(part, 32, c.tile, &c.relations, c.x, NULL));
    for (i = 0; i < c.cells; i++) slide[c.tile[i]] = c.slide[i];
    o = cel_score_measured(c.size);
    o.group = c.tile;
    o.slide = c.slide;
    OK_OR_RETURN(cel_score_fit(&c.relations, c.x, &o, &m, &a, NULL, NULL));
    o.slide = slide;
    OK_OR_RETURN(cel_score_fit_moments(part, 32, &o, &other, &b, NULL, NULL));
    NEAR(a.ridge, b.ridge, 0);
    CHECK(!memcmp(a.partial.data, b.partial.data, (size_t)(2 * n * n) * sizeof(cel_real)));
    CHECK(!memcmp(a.se.data, b.se.data, (size_t)(2 * n * n) * sizeof(cel_real)));
    CHECK(b.contact_groups[1] == 32 && a.field.rows == 2);
    /* Without error bars no more moments are kept than folds and slides ask for: nothing else changes. */
    cel_model_free(&other);
    cel_score_report_free(&b);
    o.slide = c.slide;
    o.no_errors = 1;
    OK_OR_RETURN(cel_score_fit(&c.relations, c.x, &o, &other, &b, NULL, NULL));
    NEAR(a.ridge, b.ridge, 0);
    CHECK(a.path == b.path && !b.groups && !b.se.data && b.contact_groups[1] == 32 && b.field.rows == 2);
    for (i = 0; i < a.path; i++) NEAR(a.path_value[i], b.path_value[i], 1e-5);
    for (i = 0; i < 3; i++) NEAR(a.log_residual[i], b.log_residual[i], 1e-5);
    for (i = 0; i < 2 * n * n; i++) NEAR(a.partial.data[i], b.partial.data[i], 1e-5);
    for (i = 0; i < 32; i++) cel_moments_free(part + i);
    cel_model_free(&m);
    cel_model_free(&other);
    cel_score_report_free(&a);
    cel_score_report_free(&b);
    counted_free(&c);
}

static int count_picks(void *user, const char *stage, int64_t done, int64_t total, double value)
{
    int64_t *picks = (int64_t *)user;
    if (!strcmp(stage, "pick")) {
        picks[0] = done;
        picks[1] = total;
    }
    return value < -1e300;
}

/* Beyond 1,000 genes two folds of five are tried, and the path ends once it rises. */
static void measured_with_many_genes(void)
{
#if defined(__SANITIZE_ADDRESS__) || defined(__clang__)
    const int sanitized = 1; /* clang builds the tests for that alone */
#else
    const int sanitized = 0;
#endif
    counted c;
    cel_score_options o;
    cel_score_report report;
    cel_model m;
    int64_t picks[2] = {0, 0}, n = 1003, k;
    if (sizeof(cel_real) == 8 || cel_level_get() < CEL_LEVEL_AVX2 || sanitized) SKIP("takes long here");
    if (!counted_make(&c, n, 34, 1)) return;
    o = cel_score_measured(c.size);
    o.group = c.tile;
    o.no_errors = 1;
    o.no_shares = 1;
    o.progress.fn = count_picks;
    o.progress.user = picks;
    OK_OR_RETURN(cel_score_fit(&c.relations, c.x, &o, &m, &report, NULL, NULL));
    CHECK(report.converged && picks[0] == 2 * report.path && picks[1] % 2 == 0);
    for (k = 0; k + 1 < report.path; k++)
        CHECK((report.path_value[k + 1] < report.path_value[k]) == (k + 2 < report.path || report.path_end < 0));
    cel_model_free(&m);
    cel_score_report_free(&report);
    counted_free(&c);
}

/* Fewer cells than genes: solved within the rows' space, the rest by the ridge alone. */
static void more_genes_than_cells(void) { compare_with_the_reference(50, 6, 1); }

/* The paper's Fig. 1C-D: genes 0 and 1, and 1 and 2, act across neighbours; neighbours of neighbours are often
 * neighbours, so 0 and 2 co-localise. The moment shows it, the fitted force must not. */
static void spurious_colocalisation(void)
{
    enum { SIDE = 60, CELLS = SIDE * SIDE, N = 6 };
    cel_mat coords = {0}, x = {0}, wx = {0};
    cel_csr graph = {0}, w = {0};
    cel_relations relations;
    cel_model truth = {0}, fitted = {0};
    cel_score_report report = {0};
    static int32_t tile[CELLS];
    double tile_sum[36] = {0}, mean = 0, square = 0, z;
    int64_t tiles, i;
    OK_OR_RETURN(cel_mat_new(CELLS, 2, &coords));
    OK_OR_RETURN(cel_graph_hex_coords(SIDE, SIDE, coords));
    OK_OR_RETURN(cel_graph_knn(coords, NULL, 6, 0, &graph, NULL));
    OK_OR_RETURN(cel_csr_symmetrise(&graph, &w));
    OK_OR_RETURN(cel_slide_tiles(coords, NULL, 6, tile, &tiles, NULL));
    CHECK(test_relations(&relations, CELLS, &w, NULL, NULL));
    OK_OR_RETURN(cel_model_new(N, 2, 0, &truth));
    for (i = 0; i < 2; i++) {
        cel_real *force = cel_model_force(&truth, 1).data;
        force[i * N + i + 1] = force[(i + 1) * N + i] = (cel_real)0.7;
    }
    OK_OR_RETURN(cel_mat_new(CELLS, N, &x));
    OK_OR_RETURN(cel_mat_new(CELLS, N, &wx));
    cel_sample_uniform(1, 0, 0, x);
    OK_OR_RETURN(cel_sample_run(&truth, &relations, NULL, x, NULL, NULL, NULL));
    OK_OR_RETURN(cel_csr_mul(1, &w, x, 0, wx));
    for (i = 0; i < CELLS; i++) tile_sum[tile[i]] += (double)x.data[i * N] * (double)wx.data[i * N + 2];
    for (i = 0; i < 36; i++) mean += tile_sum[i] / 36;
    for (i = 0; i < 36; i++) square += (tile_sum[i] - mean) * (tile_sum[i] - mean) / 35;
    z = mean / sqrt(square / 36);
    CHECK(z > 4);
    OK_OR_RETURN(fit_labels(&relations, x, NULL, tile, NULL, &fitted, &report, NULL));
    CHECK((double)report.q.data[N * N + 0 * N + 1] < 1e-3);
    CHECK((double)report.q.data[N * N + 1 * N + 2] < 1e-3);
    CHECK((double)report.q.data[N * N + 0 * N + 2] > 0.05);
    NEAR(fitted.force.data[N * N + 0 * N + 1], 0.7, 0.15);
    cel_score_report_free(&report);
    cel_model_free(&truth);
    cel_model_free(&fitted);
    cel_mat_free(&coords);
    cel_mat_free(&x);
    cel_mat_free(&wx);
    cel_csr_free(&graph);
    cel_csr_free(&w);
    cel_relations_free(&relations);
}

/* Pairs that the size gauge holds at 0 are not called, however alike they come out of every replicate. */
static void pairs_of_the_gauge_are_not_called(void)
{
    int64_t n, i, k;
    for (n = 3; n < 8; n++) {
        counted c;
        cel_slide slide = CEL_ZERO;
        cel_score_result fit;
        if (!counted_make(&c, n, 30, 1)) return;
        slide.x = c.y;
        slide.coords = c.xy;
        OK_OR_RETURN(cel_score_slide(&slide, NULL, &fit, NULL));
        for (k = 0; k < 2; k++) {
            const cel_real *f = fit.report.test.data + k * n * n, *q = fit.report.q.data + k * n * n;
            double mean = 0;
            for (i = 0; i < n * n; i++) mean += fabs((double)f[i]) / (double)(n * n);
            for (i = 0; i < n * n; i++)
                if (i % n != i / n && (n < 5 || fabs((double)f[i]) < 1.9e-3 * mean)) CHECK(q[i] > 0.99);
        }
        cel_score_slide_free(&fit);
        counted_free(&c);
    }
}

/* Of three genes without their size two dimensions are left, where forces of each gene on itself are all there are: the
 * two rows of the table agree. */
static void shares_are_those_of_what_was_fitted(void)
{
    counted c;
    cel_score_options o;
    cel_model m;
    cel_score_report report;
    if (!counted_make(&c, 3, 30, 1)) return;
    o = cel_score_measured(c.size);
    o.group = c.tile;
    o.ridge = 1e-4;
    OK_OR_RETURN(cel_score_fit(&c.relations, c.x, &o, &m, &report, NULL, NULL));
    NEAR(report.log_residual[1], report.log_residual[2], 2e-3);
    cel_model_free(&m);
    cel_score_report_free(&report);
    o.folds = 1;
    CHECK(cel_score_fit(&c.relations, c.x, &o, &m, &report, NULL, NULL) == CEL_ERR_ARG);
    counted_free(&c);
}

/* A slide all of whose cells were left out has a field of 0, and changes nothing for the others. */
static void slide_without_cells(void)
{
    counted c;
    cel_score_options o = CEL_ZERO;
    cel_model m[2];
    cel_score_report report[2];
    int64_t i, k;
    int form;
    if (!counted_make(&c, 5, 12, 2)) return;
    for (form = CEL_SCORE_MOMENT; form <= CEL_SCORE_EXACT; form++) {
        o.form = (cel_score_form)form;
        o.field = CEL_SCORE_FIELD_SLIDE;
        o.slide = c.slide;
        o.group = c.tile;
        o.ridge = 0.1;
        for (k = 0; k < 2; k++) {
            for (i = 0; i < c.cells; i++) c.slide[i] = i < c.cells / 2 ? 0 : (int32_t)(k + 1);
            OK_OR_RETURN(cel_score_fit(&c.relations, c.x, &o, m + k, report + k, NULL, NULL));
        }
        CHECK(report[1].field.rows == 3);
        for (i = 0; i < 2 * 5 * 5; i++) NEAR(m[1].force.data[i], m[0].force.data[i], 1e-4);
        for (i = 0; i < 5; i++) {
            NEAR(report[1].field.data[5 + i], 0, 0);
            NEAR(report[1].field.data[10 + i], report[0].field.data[5 + i], 1e-4);
        }
        for (k = 0; k < 2; k++) cel_model_free(m + k), cel_score_report_free(report + k);
    }
    counted_free(&c);
}

void suite_score(void);
/* From a slide to forces in one call: the cells and genes that cannot be used are left out and told apart, errors are
 * in the caller's numbers. Counts drawn with one pair of genes that rise and fall together. */
static void slide_in_one_call(void)
{
    enum { SIDE = 20, CELLS = SIDE * SIDE, N = 8 };
    cel_slide slide = CEL_ZERO;
    cel_slide_recipe recipe = CEL_ZERO;
    cel_score_result fit;
    cel_error err;
    cel_mat counts;
    int64_t i, j;
    OK_OR_RETURN(cel_mat_new(CELLS, N, &counts));
    OK_OR_RETURN(cel_mat_new(CELLS, 2, &slide.coords));
    OK_OR_RETURN(cel_graph_hex_coords(SIDE, SIDE, slide.coords));
    for (i = 0; i < CELLS; i++) {
        cel_rng rng = cel_rng_at(5, 1, (uint32_t)i, 0);
        double both = exp(0.8 * cel_rng_normal(&rng)), size = exp(0.4 * cel_rng_normal(&rng));
        for (j = 0; j < N; j++) {
            double rate = 20 * size * (j < 2 ? both : exp(0.8 * cel_rng_normal(&rng)));
            counts.data[i * N + j] = (cel_real)cel_rng_poisson(&rng, j == 5 ? 0 : rate);
        }
        for (j = 0; j < N && i == 7; j++) counts.data[i * N + j] = 0; /* a cell without counts; gene 5 has none at all */
    }
    slide.x = counts;
    recipe.tiles = 4;
    OK_OR_RETURN(cel_score_slide(&slide, &recipe, &fit, &err));
    CHECK(fit.rows.x.rows == CELLS - 1 && fit.rows.cell[6] == 6 && fit.rows.cell[7] == 8);
    CHECK(fit.model.genes == N - 1 && fit.rows.gene[4] == 4 && fit.rows.gene[5] == 6);
    CHECK(fit.report.q.data[1] < (cel_real)0.01 && fit.report.test.data[1] > (cel_real)0.2);
    CHECK(fit.report.groups == 16 && fit.relations.count == 2 && fit.report.converged);
    for (i = 0; i < CELLS - 1; i++) NEAR(cel_vec_nrm2(fit.rows.x.data + i * fit.rows.x.stride, N - 1), 1, 1e-5);
    cel_score_slide_free(&fit);
    CHECK(!fit.model.force.data && !fit.rows.owned);
    counts.data[11 * N + 3] = -1;
    CHECK(cel_score_slide(&slide, &recipe, &fit, &err) == CEL_ERR_DATA && err.cell == 11 && err.offset == -1 && err.gene == 3);
    CHECK(!fit.model.force.data && !fit.relations.at);
    counts.data[11 * N + 3] = 1;
    slide.coords.data[2 * 12] = (cel_real)NAN;
    CHECK(cel_score_slide(&slide, &recipe, &fit, &err) == CEL_ERR_DATA && err.cell == 12 && err.offset == -1);
    slide.coords.rows--;
    CHECK(cel_score_slide(&slide, &recipe, &fit, &err) == CEL_ERR_SHAPE);
    cel_mat_free(&counts);
    cel_mat_free(&slide.coords);
}

void suite_score(void)
{
    RUN(student_and_fdr);
    RUN(value_is_the_score);
    RUN(value_of_moments);
    RUN(fit_is_the_minimum);
    RUN(recovery);
    RUN(moment_agrees_with_exact);
    RUN(orthant);
    RUN(hops_types_and_single_cells);
    RUN(jackknife_is_refits);
    RUN(jackknife_over_slides);
    RUN(field_of_a_slide);
    RUN(lasso_conditions);
    RUN(picked_weights);
    RUN(picked_over_the_cells);
    RUN(invariance);
    RUN(spurious_colocalisation);
    RUN(pseudo_likelihood);
    RUN(errors);
    RUN(H1_H2_moments_of_other_relations);
    RUN(H9_fit_says_what_and_where);
    RUN(H13_value_by_one_product);
    RUN(H14_no_dense_normal_equations);
    RUN(H17_enums_and_weights_are_checked);
    RUN(H23_picked_forms_and_weights_agree);
    RUN(H24_values_are_zeroed_on_error);
    RUN(checked_by_the_user);
    RUN(measured_agrees_with_the_reference);
    RUN(more_genes_than_cells);
    RUN(slide_in_one_call);
    RUN(measured_fit);
    RUN(measured_from_moments);
    RUN(measured_with_many_genes);
    RUN(pairs_of_the_gauge_are_not_called);
    RUN(shares_are_those_of_what_was_fitted);
    RUN(slide_without_cells);
}
