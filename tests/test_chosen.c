/* Tests of chosen: the dense inverse in double, replicates by refitting, factors, the size direction, every store,
 * permuted positions, what is refused. SPDX-License-Identifier: MIT */
#include "law.h"

static const double CLOSE = sizeof(cel_real) == 8 ? 1e-9 : 2e-4;

/* Cells on chains of eight, two slides, groups of some chains each and not of equal size; genes 0 and 1 go together, as
 * do 2 and its neighbour's 3; `factors` directions that all genes share. Rows of unit length, without u. */
typedef struct many {
    int64_t cells, n, groups;
    cel_mat x;
    cel_csr w;
    cel_relations relations;
    int32_t *slide, *group;
    double *u; /* (n), or NULL */
    cel_rows rows;
} many;

static void many_free(many *t)
{
    cel_mat_free(&t->x);
    cel_csr_free(&t->w);
    cel_relations_free(&t->relations);
    free(t->slide);
    free(t->u);
    memset(t, 0, sizeof *t);
}

static int many_make(many *t, int64_t chains, int64_t n, int64_t groups, int factors, int size, uint64_t seed)
{
    enum { CHAIN = 8 };
    int64_t i, j, k;
    memset(t, 0, sizeof *t);
    t->cells = chains * CHAIN;
    t->n = n;
    t->groups = groups;
    t->w = chain(chains, CHAIN, 0, 1);
    t->slide = (int32_t *)calloc((size_t)(2 * t->cells), sizeof(int32_t));
    t->group = t->slide + t->cells;
    if (size) t->u = (double *)calloc((size_t)n, sizeof(double));
    for (i = 0; i < n && size; i++) t->u[i] = (1 + (double)(i % 3)) / sqrt((double)n);
    for (k = 0, i = 0; i < n && size; i++) k += (1 + i % 3) * (1 + i % 3);
    for (i = 0; i < n && size; i++) t->u[i] *= sqrt((double)n / (double)k);
    if (!CHECK(!cel_mat_new(t->cells, n, &t->x) && test_relations(&t->relations, t->cells, &t->w, NULL, NULL))) return 0;
    for (i = 0; i < t->cells; i++) {
        cel_real *x = t->x.data + i * n;
        cel_rng rng = cel_rng_at(seed, 4, (uint32_t)i, 0), common = cel_rng_at(seed, 5, (uint32_t)(i / CHAIN), 0);
        double along = 0, length = 0;
        t->slide[i] = i >= t->cells / 3;
        /* Interleaved, and the later the larger: places are not the cells in turn. */
        t->group[i] = (int32_t)(i / CHAIN % groups);
        if (i / CHAIN % 5 == 0) t->group[i] = (int32_t)(groups - 1);
        for (j = 0; j < n; j++) x[j] = (cel_real)cel_rng_normal(&rng);
        for (k = 0; k < factors; k++) {
            double f = cel_rng_normal(&common) + cel_rng_normal(&rng);
            for (j = 0; j < n; j++) x[j] += (cel_real)(f * (j * (k + 3) % 7 < 4 ? 0.8 : -0.7));
        }
        x[1] += (cel_real)0.7 * x[0];
        if (i % CHAIN) x[2] += (cel_real)0.7 * x[3 - n];
        for (j = 0; j < n; j++) x[j] += (cel_real)(0.2 * t->slide[i] * (double)(j % 3));
        for (j = 0; j < n && size; j++) along += t->u[j] * (double)x[j];
        for (j = 0; j < n && size; j++) x[j] -= (cel_real)(along * t->u[j]);
        for (j = 0; j < n; j++) length += (double)x[j] * (double)x[j];
        for (j = 0; j < n; j++) x[j] /= (cel_real)sqrt(length);
    }
    t->rows.cells = t->cells;
    t->rows.genes = n;
    t->rows.dense = t->x;
    return 1;
}

static cel_chosen_options options_of(const many *t)
{
    cel_chosen_options o = CEL_ZERO;
    o.slide = t->slide;
    o.group = t->group;
    o.size = t->u;
    o.ridge = 0.5;
    o.factors = -1;
    return o;
}

/* A (m x m) becomes its inverse, by elimination in double; symmetric and positive definite. */
static void invert(double *a, int64_t m)
{
    int64_t k, i, j;
    for (k = 0; k < m; k++) {
        double d = a[k * m + k];
        a[k * m + k] = 1;
        for (j = 0; j < m; j++) a[k * m + j] /= d;
        for (i = 0; i < m; i++) {
            double f = a[i * m + k];
            if (i == k) continue;
            a[i * m + k] = 0;
            for (j = 0; j < m; j++) a[i * m + j] -= f * a[k * m + j];
        }
    }
}

/* The definition, all genes against all (2 n x n, r n + k as of relation r and gene k), without group `without` (or
 * -1), scales, means, units d and directions out (count x 2 n, orthonormal) as of the whole; unit receives 1 / (d d) of
 * the whole where without is -1. */
typedef struct naive {
    double *z, *k, *d, *level;
    double scale[2];
} naive;

static void naive_rows(const many *t, naive *v)
{
    const int64_t n = t->n, S = t->cells, m = 2 * n;
    int64_t i, j, s;
    double trace[2] = {0, 0};
    for (i = 0; i < S; i++)
        for (j = 0; j < n; j++) {
            double sum = 0;
            int64_t e;
            for (e = t->w.start[i]; e < t->w.start[i + 1]; e++)
                sum += (double)t->w.value[e] * (double)t->x.data[t->w.index[e] * n + j];
            v->z[i * m + j] = (double)t->x.data[i * n + j];
            v->z[i * m + n + j] = sum;
        }
    for (s = 0; s < 2; s++)
        for (j = 0; j < m; j++) {
            double mean = 0, count = 0;
            for (i = 0; i < S; i++)
                if (t->slide[i] == s) mean += v->z[i * m + j], count++;
            for (i = 0; i < S; i++)
                if (t->slide[i] == s) v->z[i * m + j] -= mean / count;
        }
    for (i = 0; i < S * m; i++) trace[i % m >= n] += v->z[i] * v->z[i];
    for (s = 0; s < 2; s++) v->scale[s] = sqrt((double)(S * (n - (t->u ? 1 : 0))) / trace[s]);
    for (i = 0; i < S * m; i++) v->z[i] *= v->scale[i % m >= n];
}

static void naive_fit(const many *t, naive *v, double ridge, const double *out, int64_t count, int without, double *to)
{
    const int64_t n = t->n, S = t->cells, m = 2 * n;
    int64_t i, j, a, b, k;
    double cells = 0, *line = (double *)malloc((size_t)m * sizeof *line);
    memset(v->k, 0, (size_t)(m * m) * sizeof *v->k);
    for (i = 0; i < S; i++) {
        if (t->group[i] == without) continue;
        cells++;
        for (a = 0; a < m; a++) line[a] = v->z[i * m + a];
        for (k = 0; k < count; k++) {
            double dot = 0;
            for (a = 0; a < m; a++) dot += out[k * m + a] * v->z[i * m + a];
            for (a = 0; a < m; a++) line[a] -= dot * out[k * m + a];
        }
        for (a = 0; a < m; a++)
            for (b = 0; b < m; b++) v->k[a * m + b] += line[a] * line[b];
    }
    for (a = 0; a < m; a++) v->k[a * m + a] += (double)S * ridge;
    invert(v->k, m);
    for (a = 0; a < m * m; a++) v->k[a] *= without < 0 ? (double)S : cells;
    if (without < 0) {
        /* Directions taken out have 1 / ridge; they get the mean of what genes have along them. */
        for (a = 0; a < m; a++) {
            v->d[a] = v->k[a * m + a];
            for (k = 0; k < count; k++) v->d[a] -= out[k * m + a] * out[k * m + a] / ridge;
        }
        for (k = 0; k < count; k++) {
            double sum = 0, fourth = 0;
            for (a = 0; a < m; a++) {
                double w = out[k * m + a] * out[k * m + a];
                sum += w * v->d[a];
                fourth += w * w;
            }
            v->level[k] = sum / (1 - fourth);
        }
        for (a = 0; a < m; a++)
            for (k = 0; k < count; k++) v->d[a] += out[k * m + a] * out[k * m + a] * v->level[k];
    }
    for (a = 0; a < m; a++)
        for (b = 0; b < m; b++)
            for (k = 0; k < count; k++)
                v->k[a * m + b] += (without < 0 ? 1 : cells / (double)S) * (v->level[k] - 1 / ridge) *
                                   out[k * m + a] * out[k * m + b];
    for (i = 0; i < n; i++)
        for (j = 0; j < n; j++) {
            double unit = 1 / sqrt(v->d[i] * v->d[j]);
            to[i * n + j] = -v->k[i * m + j] * unit;
            to[(n + i) * n + j] = -0.5 * (v->k[i * m + n + j] + v->k[(n + i) * m + j]) * unit * v->scale[1] / v->scale[0];
        }
    free(line);
}

/* Estimates and errors of some genes against the definition. */
static void compare(const many *t, const cel_chosen_options *o, const double *out, int64_t count,
                    const cel_chosen_report *report, const int32_t *chosen)
{
    const int64_t n = t->n, size = 2 * n * n;
    naive v;
    double *all = (double *)calloc((size_t)(size * (t->groups + 1)), sizeof *all), *mean, worst = 0, off = 0, G;
    int64_t g, e, k, j, r;
    v.z = (double *)calloc((size_t)(t->cells * 2 * n), sizeof(double));
    v.k = (double *)calloc((size_t)(4 * n * n), sizeof(double));
    v.d = (double *)calloc((size_t)(2 * n), sizeof(double));
    v.level = (double *)calloc((size_t)(count + 1), sizeof(double));
    mean = (double *)calloc((size_t)size, sizeof *mean);
    naive_rows(t, &v);
    naive_fit(t, &v, o->ridge, out, count, -1, all);
    G = (double)t->groups;
    for (g = 0; g < t->groups; g++) naive_fit(t, &v, o->ridge, out, count, (int)g, all + (g + 1) * size);
    for (g = 0; g < t->groups; g++)
        for (e = 0; e < size; e++) mean[e] += all[(g + 1) * size + e] / G;
    for (r = 0; r < 2; r++)
        for (k = 0; k < report->count; k++)
            for (j = 0; j < n; j++) {
                double variance = 0;
                int64_t at = (r * report->count + k) * n + j;
                e = (r * n + chosen[k]) * n + j;
                for (g = 0; g < t->groups; g++) {
                    double d = all[(g + 1) * size + e] - mean[e];
                    variance += (G - 1) / G * d * d;
                }
                if (fabs((double)report->partial.data[at] - all[e]) > worst)
                    worst = fabs((double)report->partial.data[at] - all[e]);
                if (r == 0 && chosen[k] == j) continue; /* -1, less what the replicates say: no force */
                if (fabs((double)report->se.data[at] - sqrt(variance)) > off)
                    off = fabs((double)report->se.data[at] - sqrt(variance));
            }
    NEAR(worst, 0, CLOSE);
    NEAR(off, 0, CLOSE);
    free(all);
    free(mean);
    free(v.z);
    free(v.k);
    free(v.d);
    free(v.level);
}

static void equals_the_inverse(void)
{
    static const int32_t chosen[4] = {5, 0, 2, 11};
    int size;
    for (size = 0; size < 2; size++) {
        many t;
        cel_chosen_options o;
        cel_chosen_report report;
        cel_error err;
        double *out;
        int64_t j;
        if (!many_make(&t, 45, 13, 12, 0, size, 3)) return;
        o = options_of(&t);
        CHECK(cel_chosen_fit(&t.rows, &t.relations, chosen, 4, &o, &report, &err, NULL) == CEL_OK);
        CHECK(report.count == 4 && report.genes == 13 && report.relations == 2 && report.groups == 12);
        out = (double *)calloc((size_t)(2 * t.n), sizeof *out);
        for (j = 0; j < t.n && size; j++) out[j] = t.u[j];
        if (report.partial.data) compare(&t, &o, out, size, &report, chosen);
        /* The planted pairs are called, and hardly any other. */
        if (report.q.data) {
            int64_t calls = 0;
            for (j = 0; j < 8 * t.n; j++) calls += (double)report.q.data[j] < 0.05;
            CHECK((double)report.q.data[1 * t.n + 1] < 0.05 && (double)report.partial.data[1 * t.n + 1] > 0.1);
            CHECK((double)report.q.data[(4 + 2) * t.n + 3] < 0.05);
            CHECK(calls <= 4);
            NEAR((double)report.q.data[1 * t.n + 5], (double)report.q.data[0 * t.n + 0], 0); /* one pair, two rows */
            NEAR((double)report.q.data[0 * t.n + 5], 1, 0);
        }
        free(out);
        cel_chosen_report_free(&report);
        many_free(&t);
    }
}

/* More genes than cells, two factors: their directions among the genes are eigenvectors of K. */
static void takes_factors_out(void)
{
    static const int32_t chosen[3] = {0, 2, 30};
    many t;
    cel_chosen_options o;
    cel_chosen_report report, plain;
    cel_error err;
    naive v;
    cel_mat k = CEL_ZERO, vectors = CEL_ZERO;
    double *w, *out;
    int64_t i, a, b, m;
    if (!many_make(&t, 18, 80, 8, 2, 0, 4)) return;
    m = 2 * t.n;
    o = options_of(&t);
    o.factors = 2;
    CHECK(cel_chosen_fit(&t.rows, &t.relations, chosen, 3, &o, &report, &err, NULL) == CEL_OK);
    CHECK(report.factors == 2);
    v.z = (double *)calloc((size_t)(t.cells * m), sizeof(double));
    w = (double *)calloc((size_t)m, sizeof *w);
    out = (double *)calloc((size_t)(2 * m), sizeof *out);
    naive_rows(&t, &v);
    CHECK(!cel_mat_new(m, m, &k) && !cel_mat_new(m, m, &vectors));
    for (a = 0; a < m; a++)
        for (b = 0; b < m; b++) {
            double sum = 0;
            for (i = 0; i < t.cells; i++) sum += v.z[i * m + a] * v.z[i * m + b];
            k.data[a * m + b] = (cel_real)(sum / (double)t.cells);
        }
    CHECK(!cel_mat_eigen(k, w, vectors));
    for (a = 0; a < m; a++)
        for (i = 0; i < 2; i++) out[i * m + a] = (double)vectors.data[a * m + m - 1 - i];
    if (report.partial.data) {
        double trace = 0;
        for (i = 0; i < m; i++) trace += w[i];
        compare(&t, &o, out, 2, &report, chosen);
        NEAR_REL(report.share[0], w[m - 1] / trace, 1e-4);
        NEAR_REL(report.share[1], w[m - 2] / trace, 1e-4);
    }
    /* Without them the factors are read as forces. */
    o.factors = -1;
    CHECK(cel_chosen_fit(&t.rows, &t.relations, chosen, 3, &o, &plain, &err, NULL) == CEL_OK);
    if (plain.partial.data && report.partial.data) {
        double with = 0, without = 0;
        for (i = 3; i < t.n; i++) {
            with += fabs((double)report.partial.data[2 * t.n + i]) * (double)(i != 30);
            without += fabs((double)plain.partial.data[2 * t.n + i]) * (double)(i != 30);
        }
        CHECK(with < without);
    }
    free(v.z);
    free(w);
    free(out);
    cel_mat_free(&k);
    cel_mat_free(&vectors);
    cel_chosen_report_free(&report);
    cel_chosen_report_free(&plain);
    many_free(&t);
}

/* Counts of 300 genes, more than a tile of them: prepared rows in memory; counts, dense and sparse, prepared when they
 * are read, with cells and genes left out. */
static void reads_every_store(void)
{
    enum { S = 150, STORED = 310 };
    int32_t chosen[2] = {7, 290}, gene[STORED], row[S + 10];
    many t;
    cel_mat y = CEL_ZERO, x = CEL_ZERO;
    cel_csr sparse = CEL_ZERO;
    cel_scaling scaling = CEL_ZERO;
    cel_rows rows = CEL_ZERO;
    cel_chosen_options o = CEL_ZERO;
    cel_chosen_report r[3];
    cel_error err;
    int64_t i, j, n = 0, cells = 0, count = 0, *at, *to;
    cel_real *value;
    if (!many_make(&t, 20, 3, 6, 0, 0, 5)) return; /* 160 cells: the first 10 are left out */
    at = (int64_t *)calloc((S + 10) * STORED, sizeof *at);
    to = (int64_t *)calloc((S + 10) * STORED, sizeof *to);
    value = (cel_real *)calloc((S + 10) * STORED, sizeof *value);
    CHECK(!cel_mat_new(S + 10, STORED, &y) && !cel_mat_new(S, 300, &x));
    for (i = 0; i < S + 10; i++)
        for (j = 0; j < STORED; j++) {
            cel_rng rng = cel_rng_at(8, 1, (uint32_t)i, (uint32_t)j);
            int64_t v = cel_rng_poisson(&rng, 0.2 + 2 * (double)(j % 7 == i % 7));
            y.data[i * STORED + j] = (cel_real)v;
            if (v) at[count] = i, to[count] = j, value[count++] = (cel_real)v;
        }
    for (j = 0; j < STORED; j++)
        if (j % 31 != 5) gene[n++] = (int32_t)j;
    for (i = 10; i < S + 10; i++) row[cells++] = (int32_t)i;
    CHECK(n == 300 && cells == S);
    CHECK(!cel_csr_from_edges(S + 10, STORED, count, at, to, value, &sparse, NULL));
    for (i = 0; i < S; i++)
        for (j = 0; j < n; j++) x.data[i * n + j] = y.data[row[i] * STORED + gene[j]];
    CHECK(!cel_scaling_fit(x, NULL, NULL, NULL, &scaling, &err));
    o.group = t.group;
    cel_relations_free(&t.relations);
    cel_csr_free(&t.w);
    t.w = chain(15, 10, 1, 1);
    CHECK(test_relations(&t.relations, S, &t.w, NULL, NULL));
    rows.cells = S;
    rows.genes = n;
    rows.dense = x;
    o.size = scaling.size;
    CHECK(cel_chosen_fit(&rows, &t.relations, chosen, 2, &o, r, &err, NULL) == CEL_OK);
    o.size = NULL; /* that of rows.scaling */
    rows.dense = y;
    rows.row = row;
    rows.gene = gene;
    rows.scaling = &scaling;
    CHECK(cel_chosen_fit(&rows, &t.relations, chosen, 2, &o, r + 1, &err, NULL) == CEL_OK);
    rows.dense = cel_mat_none();
    rows.sparse = &sparse;
    CHECK(cel_chosen_fit(&rows, &t.relations, chosen, 2, &o, r + 2, &err, NULL) == CEL_OK);
    CHECK(r[0].factors == 20);
    for (j = 0; j < 4 * n && r[0].partial.data && r[1].partial.data && r[2].partial.data; j++) {
        NEAR((double)r[1].partial.data[j], (double)r[0].partial.data[j], 1e-5);
        NEAR((double)r[1].se.data[j], (double)r[0].se.data[j], 1e-5);
        NEAR((double)r[2].partial.data[j], (double)r[1].partial.data[j], 0);
        NEAR((double)r[2].q.data[j], (double)r[1].q.data[j], 0);
    }
    for (j = 0; j < 3; j++) cel_chosen_report_free(r + j);
    free(at);
    free(to);
    free(value);
    cel_mat_free(&x);
    cel_mat_free(&y);
    cel_csr_free(&sparse);
    cel_scaling_free(&scaling);
    many_free(&t);
}

/* Cells at each other's places: nothing between them is left. And the same bits for any number of threads. */
static void finds_nothing_in_permuted_positions(void)
{
    int32_t chosen[20], row[320];
    many t;
    cel_chosen_options o;
    cel_chosen_report a, b;
    cel_error err;
    cel_work work = CEL_ZERO;
    int64_t i, calls = 0;
    cel_rng rng = cel_rng_at(9, 0, 0, 0);
    if (!many_make(&t, 40, 40, 16, 1, 1, 6)) return;
    for (i = 0; i < 20; i++) chosen[i] = (int32_t)i;
    for (i = 0; i < t.cells; i++) {
        int64_t k = cel_rng_integer(&rng, (uint32_t)i + 1);
        row[i] = row[k];
        row[k] = (int32_t)i;
    }
    o = options_of(&t);
    o.slide = NULL;
    o.factors = 0;
    t.rows.row = row;
    CHECK(cel_chosen_fit(&t.rows, &t.relations, chosen, 20, &o, &a, &err, &work) == CEL_OK);
    CHECK(a.factors == 2); /* 40 / 15 */
    for (i = 0; i < 20 * t.n && a.q.data; i++) calls += (double)a.q.data[20 * t.n + i] < 0.05;
    CHECK(calls == 0);
#if defined(_OPENMP)
    omp_set_num_threads(3);
#endif
    CHECK(cel_chosen_fit(&t.rows, &t.relations, chosen, 20, &o, &b, &err, &work) == CEL_OK);
#if defined(_OPENMP)
    omp_set_num_threads(2);
#endif
    CHECK(a.z.data && b.z.data && !memcmp(a.z.data, b.z.data, (size_t)(40 * t.n) * sizeof(cel_real)));
    cel_work_free(&work);
    cel_chosen_report_free(&a);
    cel_chosen_report_free(&b);
    many_free(&t);
}

static int stop(void *user, const char *stage, int64_t done, int64_t total, double value)
{
    (void)done, (void)total, (void)value;
    return !strcmp(stage, (const char *)user);
}

static void refuses(void)
{
    static char kernel[] = "kernel", rest[] = "chosen";
    int32_t chosen[3] = {0, 1, 2}, wrong[3] = {0, 1, 13}, twice[3] = {0, 1, 0};
    many t;
    cel_chosen_options o, p;
    cel_chosen_report r;
    cel_error err;
    cel_csr one;
    cel_relations asymmetric;
    cel_rows rows;
    double bytes;
    cel_real was;
    int k;
    if (!many_make(&t, 20, 13, 7, 0, 0, 7)) return;
    o = options_of(&t);
#define REFUSED(status_, call) CHECK((call) == (status_) && err.status == (status_) && err.what && !r.partial.data)
    REFUSED(CEL_ERR_ARG, cel_chosen_fit(&t.rows, &t.relations, wrong, 3, &o, &r, &err, NULL));
    CHECK(err.gene == 13);
    REFUSED(CEL_ERR_ARG, cel_chosen_fit(&t.rows, &t.relations, twice, 3, &o, &r, &err, NULL));
    CHECK(err.gene == 0);
    REFUSED(CEL_ERR_ARG, cel_chosen_fit(&t.rows, &t.relations, chosen, 0, &o, &r, &err, NULL));
    for (k = 0; k < 6; k++) {
        p = o;
        if (k == 4) p.ridge = 1.7e308; /* what is divided by it, or added to it, is then none or not finite */
        if (k == 5) p.ridge = 1e-40;
        if (k == 0) p.ridge = -1;
        if (k == 1) p.ridge = NAN;
        if (k == 2) p.memory = -1;
        if (k == 3) p.factors = 26;
        REFUSED(CEL_ERR_ARG, cel_chosen_fit(&t.rows, &t.relations, chosen, 3, &p, &r, &err, NULL));
    }
    rows = t.rows;
    rows.cells--;
    REFUSED(CEL_ERR_SHAPE, cel_chosen_fit(&rows, &t.relations, chosen, 3, &o, &r, &err, NULL));
    one = chain(20, 8, 0, 0);
    CHECK(test_relations(&asymmetric, t.cells, &one, NULL, NULL));
    REFUSED(CEL_ERR_UNSUPPORTED, cel_chosen_fit(&t.rows, &asymmetric, chosen, 3, &o, &r, &err, NULL));
    cel_csr_free(&one);
    cel_relations_free(&asymmetric);
    was = t.x.data[5 * t.n + 3];
    t.x.data[5 * t.n + 3] = (cel_real)NAN;
    REFUSED(CEL_ERR_DATA, cel_chosen_fit(&t.rows, &t.relations, chosen, 3, &o, &r, &err, NULL));
    CHECK(err.cell == 5 && err.gene == 3);
    t.x.data[5 * t.n + 3] = was + 1;
    REFUSED(CEL_ERR_DATA, cel_chosen_fit(&t.rows, &t.relations, chosen, 3, &o, &r, &err, NULL));
    CHECK(err.cell == 5);
    t.x.data[5 * t.n + 3] = was;
    t.group[3] = -1;
    REFUSED(CEL_ERR_DATA, cel_chosen_fit(&t.rows, &t.relations, chosen, 3, &o, &r, &err, NULL));
    t.group[3] = 6;
    bytes = cel_chosen_memory(&t.relations, t.n, 3, t.groups, &o);
    CHECK(bytes > 2.0 * (double)(t.cells * t.cells) * sizeof(cel_real));
    p = o;
    p.memory = bytes / 2;
    REFUSED(CEL_ERR_MEMORY, cel_chosen_fit(&t.rows, &t.relations, chosen, 3, &p, &r, &err, NULL));
    CHECK(err.offset > (int64_t)p.memory);
    p = o;
    p.progress.fn = stop;
    p.progress.user = kernel;
    REFUSED(CEL_ERR_STOPPED, cel_chosen_fit(&t.rows, &t.relations, chosen, 3, &p, &r, &err, NULL));
    p.progress.user = rest;
    REFUSED(CEL_ERR_STOPPED, cel_chosen_fit(&t.rows, &t.relations, chosen, 3, &p, &r, &err, NULL));
    /* Cells that are all alike; and directions that are not there. */
    for (k = 0; k < (int)(t.cells * t.n); k++) t.x.data[k] = (cel_real)(k % (int)t.n == 0);
    REFUSED(CEL_ERR_DATA, cel_chosen_fit(&t.rows, &t.relations, chosen, 3, &o, &r, &err, NULL));
    for (k = 0; k < (int)(t.cells * t.n); k += (int)t.n) t.x.data[k] = (cel_real)(k / (int)t.n % 3 ? 1 : -1);
    p = o;
    p.factors = 5;
    REFUSED(CEL_ERR_NUMERIC, cel_chosen_fit(&t.rows, &t.relations, chosen, 3, &p, &r, &err, NULL));
    /* Without groups there are no errors, and that is no failure. */
    p = o;
    p.group = NULL;
    CHECK(cel_chosen_fit(&t.rows, &t.relations, chosen, 3, &p, &r, &err, NULL) == CEL_OK);
    CHECK(r.partial.data && !r.se.data && !r.groups);
    cel_chosen_report_free(&r);
    many_free(&t);
}

void suite_chosen(void)
{
    RUN(equals_the_inverse);
    RUN(takes_factors_out);
    RUN(reads_every_store);
    RUN(finds_nothing_in_permuted_positions);
    RUN(refuses);
}
