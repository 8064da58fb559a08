/* The published method's recorded inputs and outputs, reproduced. SPDX-License-Identifier: MIT */
#include "test.h"

void suite_golden(void);

static const double value_tol = sizeof(cel_real) == 8 ? 1e-9 : 1e-4;
static const double path_tol = sizeof(cel_real) == 8 ? 1e-9 : 1e-3;

typedef struct golden {
    const char *name;
    char meta[2048];
    int64_t genes, cells, epochs;
    double q, zmft, lr;
    cel_relations relations;
    cel_model model;
} golden;

/* The number after "key": in the case's meta.json. */
static double meta(const golden *g, const char *key)
{
    char quoted[64];
    const char *at;
    double value = NAN;
    snprintf(quoted, sizeof quoted, "\"%s\":", key);
    at = strstr(g->meta, quoted);
    if (!at || sscanf(at + strlen(quoted), "%lf", &value) != 1) CHECK(!"key in meta.json");
    return value;
}

/* An array of one (as a row) or two dimensions; an empty matrix where that fails. */
static cel_mat load(const golden *g, const char *array)
{
    char path[2048];
    cel_file file;
    cel_npy npy;
    cel_mat out;
    memset(&out, 0, sizeof out);
    snprintf(path, sizeof path, "%s/golden/%s/%s.npy", test_shared(), g->name, array);
    if (!CHECK(cel_file_open(path, 0, &file, NULL) == CEL_OK)) return out;
    if (CHECK(cel_npy_parse(file.bytes, file.size, &npy, NULL) == CEL_OK) &&
        CHECK(cel_mat_new(npy.ndim == 2 ? npy.shape[0] : 1, npy.shape[npy.ndim - 1], &out) == CEL_OK))
        CHECK(cel_npy_to_real(&npy, out.data, NULL) == CEL_OK);
    cel_file_close(&file);
    return out;
}

static void open_forces(golden *g, const char *intra, const char *inter)
{
    cel_mat a = load(g, intra), b = load(g, inter);
    CHECK(cel_mat_copy(a, cel_model_force(&g->model, 0)) == CEL_OK);
    CHECK(cel_mat_copy(b, cel_model_force(&g->model, 1)) == CEL_OK);
    cel_mat_free(&a);
    cel_mat_free(&b);
}

/* Opens the case: settings, the published relation, a model of zeros. */
static int open_case(golden *g, const char *name)
{
    char path[2048];
    FILE *f;
    int64_t *edges = NULL, rows, count;
    cel_csr w;
    memset(g, 0, sizeof *g);
    g->name = name;
    snprintf(path, sizeof path, "%s/golden/%s/meta.json", test_shared(), name);
    f = fopen(path, "rb");
    if (!CHECK(f != NULL)) return 0;
    CHECK(fread(g->meta, 1, sizeof g->meta - 1, f) > 0);
    fclose(f);
    g->genes = (int64_t)meta(g, "n_genes");
    g->cells = (int64_t)meta(g, "n_spots");
    g->epochs = (int64_t)meta(g, "epochs");
    g->q = meta(g, "n_neighbors");
    g->zmft = meta(g, "zmft_scalar");
    g->lr = meta(g, "lr");
    snprintf(path, sizeof path, "%s/golden/%s/edges.npy", test_shared(), name);
    if (!CHECK(cel_npy_integers(path, &edges, &rows, &count, NULL) == CEL_OK)) return 0;
    CHECK(rows == 2);
    /* Row i lists the sources of the edges into cell i, so its sum is the in-degree. */
    CHECK(cel_csr_from_edges(g->cells, g->cells, count, edges + count, edges, NULL, &w, NULL) == CEL_OK);
    cel_file_free(edges);
    CHECK(cel_csr_normalise(&w, CEL_NORM_GCN) == CEL_OK);
    CHECK(cel_relations_new(g->cells, &g->relations) == CEL_OK);
    CHECK(cel_relations_add(&g->relations, "inter", &w, NULL) == CEL_OK);
    return CHECK(cel_model_new(g->genes, 2, 0, &g->model) == CEL_OK);
}

static void close_case(golden *g)
{
    cel_relations_free(&g->relations);
    cel_model_free(&g->model);
}

/* |a - b| <= tol |b|, and the recorded array is freed. */
static void near_array(cel_mat a, cel_mat b, double tol, const char *what)
{
    double norm = 0, off = 0;
    int64_t i, j;
    if (!CHECK(b.rows > 0 && a.rows == b.rows && a.cols == b.cols)) return;
    for (i = 0; i < a.rows; i++)
        for (j = 0; j < a.cols; j++) {
            double x = (double)a.data[i * a.stride + j], y = (double)b.data[i * b.stride + j];
            norm += y * y;
            off += (x - y) * (x - y);
        }
    test_near(sqrt(off / norm), 0, tol, what, __FILE__, __LINE__);
    cel_mat_free(&b);
}

static void near_losses(const golden *g, const double *losses)
{
    cel_mat b = load(g, "losses");
    int64_t e;
    if (!CHECK(b.cols == g->epochs)) return;
    for (e = 0; e < g->epochs; e++) NEAR_REL(losses[e], b.data[e], path_tol);
    cel_mat_free(&b);
}

static void near_loss(const golden *g, const cel_paper_value *loss)
{
    NEAR_REL(loss->loss, meta(g, "loss"), value_tol);
    NEAR_REL(loss->log_z, meta(g, "log_z"), value_tol);
    NEAR_REL(loss->intra, meta(g, "energy_intra"), value_tol);
    NEAR_REL(loss->inter, meta(g, "energy_inter"), value_tol);
}

static void check_energy(const golden *g, cel_mat x)
{
    double h, energy[3];
    cel_mat none;
    memset(&none, 0, sizeof none);
    OK_OR_RETURN(cel_model_energy(&g->model, &g->relations, x, &h, energy, none, NULL));
    NEAR_REL(energy[0], meta(g, "energy_intra"), value_tol);
    NEAR_REL(energy[1], meta(g, "energy_inter"), value_tol);
    NEAR_REL(h, meta(g, "energy_intra") + meta(g, "energy_inter"), value_tol);
}

static void check_fit(const char *name)
{
    golden g;
    cel_moments moments;
    cel_paper_options o;
    cel_paper_report report;
    cel_paper_value loss;
    cel_mat x, d_force, d_intra, d_inter;
    cel_mean_field at;
    double *losses, *mean;
    int64_t n, i, j;
    if (!test_shared()) SKIP("no recorded cases");
    if (!open_case(&g, name)) return;
    n = g.genes;
    open_forces(&g, "intra0", "inter0");
    x = load(&g, "x");
    check_energy(&g, x);
    OK_OR_RETURN(cel_moments_new(n, &g.relations, &moments));
    OK_OR_RETURN(cel_moments_add(&moments, &g.relations, x, NULL, 0, NULL));
    memset(&o, 0, sizeof o);
    o.epochs = g.epochs;
    o.lr = g.lr;
    o.zmft = g.zmft;
    o.q = g.q;
    OK_OR_RETURN(cel_mat_new(2 * n, n, &d_force));
    d_intra = cel_mat_block(d_force, 0, 0, n, n);
    d_inter = cel_mat_block(d_force, n, 0, n, n);
    OK_OR_RETURN(cel_paper_loss(&g.model, &moments, &o, &loss, d_force, NULL));
    near_loss(&g, &loss);
    NEAR_REL(loss.kappa, meta(&g, "kappa"), value_tol);
    near_array(d_intra, load(&g, "grad_intra"), value_tol, "gradient, intra");
    near_array(d_inter, load(&g, "grad_inter"), value_tol, "gradient, inter");

    /* log Z and its gradient from the model's own function: the loss's gradient without the data. */
    mean = (double *)calloc((size_t)n, sizeof(double));
    losses = (double *)calloc((size_t)g.epochs, sizeof(double));
    for (i = 0; i < g.cells; i++)
        for (j = 0; j < n; j++) mean[j] += (double)x.data[i * n + j] / (double)g.cells;
    OK_OR_RETURN(cel_model_logz(&g.model, CEL_SPHERE_PAPER, g.q, g.cells, mean, &at, d_force, NULL));
    NEAR_REL(at.logz, meta(&g, "log_z"), value_tol);
    for (i = 0; i < n; i++)
        for (j = 0; j < n; j++) {
            int64_t ld = moments.blocks * n + 1;
            d_intra.data[i * n + j] -= (cel_real)(g.zmft * moments.gram[i * ld + j]);
            d_inter.data[i * n + j] -= (cel_real)(g.zmft * moments.gram[i * ld + n + j]);
        }
    near_array(d_intra, load(&g, "grad_intra"), value_tol, "gradient of log Z, intra");
    near_array(d_inter, load(&g, "grad_inter"), value_tol, "gradient of log Z, inter");

    OK_OR_RETURN(cel_paper_fit(&moments, 1, &o, &g.model, losses, &report, NULL));
    CHECK(report.epochs == g.epochs && !report.converged);
    near_losses(&g, losses);
    near_array(cel_model_force(&g.model, 0), load(&g, "intra"), path_tol, "fitted intra");
    near_array(cel_model_force(&g.model, 1), load(&g, "inter"), path_tol, "fitted inter");
    if (!strcmp(name, "cce_paper")) NEAR(report.saturated, 1, 0);
    free(mean);
    free(losses);
    cel_mat_free(&x);
    cel_mat_free(&d_force);
    cel_moments_free(&moments);
    close_case(&g);
}

static int keep_last(void *user, int64_t epoch, cel_mat x)
{
    (void)epoch;
    CHECK(cel_mat_copy(x, *(cel_mat *)user) == CEL_OK);
    return 0;
}

static void check_generate(const char *name)
{
    golden g;
    cel_paper_options o;
    cel_paper_value loss, last;
    cel_mat angles, x, d_x, d_angles, shot;
    double *losses;
    if (!test_shared()) SKIP("no recorded cases");
    if (!open_case(&g, name)) return;
    open_forces(&g, "intra", "inter");
    angles = load(&g, "angles0");
    OK_OR_RETURN(cel_mat_new(g.cells, g.genes, &x));
    OK_OR_RETURN(cel_mat_new(g.cells, g.genes, &d_x));
    OK_OR_RETURN(cel_mat_new(g.cells, g.genes, &shot));
    OK_OR_RETURN(cel_mat_new(g.cells, g.genes - 1, &d_angles));
    OK_OR_RETURN(cel_paper_from_angles(angles, x, NULL));
    near_array(x, load(&g, "gex0"), value_tol, "expression at the start");
    check_energy(&g, x);
    memset(&o, 0, sizeof o);
    o.epochs = g.epochs;
    o.lr = g.lr;
    o.zmft = g.zmft;
    o.q = g.q;
    o.thin = g.epochs - 1;
    o.each = keep_last;
    o.each_user = &shot;
    OK_OR_RETURN(cel_paper_generate_loss(&g.model, &g.relations, x, &o, &loss, d_x, NULL, NULL));
    near_loss(&g, &loss);
    OK_OR_RETURN(cel_paper_angles_gradient(angles, d_x, d_angles, NULL));
    near_array(d_angles, load(&g, "grad_angles"), value_tol, "gradient by angles");
    losses = (double *)calloc((size_t)g.epochs, sizeof(double));
    OK_OR_RETURN(cel_paper_generate(&g.model, &g.relations, &o, angles, x, losses, &last, NULL));
    near_losses(&g, losses);
    near_array(angles, load(&g, "angles"), path_tol, "angles after the last step");
    near_array(shot, load(&g, "gex_last"), path_tol, "expression before the last step");
    CHECK(last.loss < losses[0]);
    free(losses);
    cel_mat_free(&angles);
    cel_mat_free(&x);
    cel_mat_free(&d_x);
    cel_mat_free(&d_angles);
    cel_mat_free(&shot);
    close_case(&g);
}

static void fit_small(void) { check_fit("cce_small"); }
static void fit_paper(void) { check_fit("cce_paper"); }
static void fit_large_kappa(void) { check_fit("cce_large_kappa"); }
static void generate_paper(void) { check_generate("sce_paper"); }
static void generate_positive(void) { check_generate("sce_positive"); }

void suite_golden(void)
{
    RUN(fit_small);
    RUN(fit_paper);
    RUN(fit_large_kappa);
    RUN(generate_paper);
    RUN(generate_positive);
}
