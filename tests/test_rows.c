/* rows: expression from a dense, a sparse or a mapped store is the same expression. SPDX-License-Identifier: MIT */
#include "test.h"

#if defined(_OPENMP)
#include <omp.h>
#endif
#if defined(__linux__)
#include <unistd.h>
#endif

/* Counts of mostly zeros, in every kind of store. */
enum { STORES = 8 };
typedef struct sample {
    cel_mat x, coords;
    cel_csr sparse, graph;
    cel_npy array[STORES - 2];
    void *bytes[STORES - 2];
    double *total;
    int32_t *group, *tile;
    int64_t tiles;
    cel_relations ties;
} sample;

static void sample_free(sample *s)
{
    int k;
    cel_mat_free(&s->x);
    cel_mat_free(&s->coords);
    cel_csr_free(&s->sparse);
    cel_csr_free(&s->graph);
    cel_relations_free(&s->ties);
    for (k = 0; k < STORES - 2; k++) free(s->bytes[k]);
    free(s->total);
    free(s->group);
    free(s->tile);
}

static void swap_bytes(unsigned char *p, int64_t count, int bytes)
{
    int64_t i;
    int b;
    for (i = 0; i < count; i++, p += bytes)
        for (b = 0; b < bytes / 2; b++) {
            unsigned char t = p[b];
            p[b] = p[bytes - 1 - b];
            p[bytes - 1 - b] = t;
        }
}

/* The counts as numbers of another type: bytes, 16 bits, doubles, 32 bits of the other end first, doubles by columns,
 * 16 bits of a float (which the fast loops do not know). */
static int sample_arrays(sample *s)
{
    static const char kind[STORES - 2] = {'u', 'u', 'f', 'i', 'f', 'i'};
    static const int size[STORES - 2] = {1, 2, 8, 4, 8, 2};
    int64_t shape[2], i, j, n = s->x.cols, S = s->x.rows;
    int k;
    shape[0] = S;
    shape[1] = n;
    for (k = 0; k < STORES - 2; k++) {
        if ((s->bytes[k] = malloc((size_t)(S * n * size[k]))) == NULL) return 0;
        for (i = 0; i < S; i++)
            for (j = 0; j < n; j++) {
                double v = (double)s->x.data[i * n + j];
                int64_t at = k == 4 ? j * S + i : i * n + j;
                if (kind[k] == 'f') ((double *)s->bytes[k])[at] = v;
                else if (size[k] == 1) ((uint8_t *)s->bytes[k])[at] = (uint8_t)v;
                else if (size[k] == 2) ((uint16_t *)s->bytes[k])[at] = (uint16_t)v;
                else ((int32_t *)s->bytes[k])[at] = (int32_t)v;
            }
        s->array[k] = cel_npy_describe(kind[k], size[k], 2, shape, s->bytes[k]);
        s->array[k].fortran = k == 4;
    }
    swap_bytes((unsigned char *)s->bytes[3], S * n, 4);
    s->array[3].big_endian = !s->array[3].big_endian;
    return 1;
}

static int sample_new(int64_t cells, int64_t genes, sample *s)
{
    int64_t i, j, count = 0, *place = (int64_t *)malloc((size_t)(2 * cells * genes) * sizeof *place);
    cel_real *value = (cel_real *)malloc((size_t)(cells * genes) * sizeof *value);
    cel_rng rng = cel_rng_at(16, 0, 0, 0);
    int ok = place && value;
    memset(s, 0, sizeof *s);
    ok = ok && cel_mat_new(cells, genes, &s->x) == CEL_OK && cel_mat_new(cells, 2, &s->coords) == CEL_OK;
    ok = ok && (s->total = (double *)malloc((size_t)cells * sizeof(double))) != NULL;
    ok = ok && (s->group = (int32_t *)malloc((size_t)cells * sizeof(int32_t))) != NULL;
    ok = ok && (s->tile = (int32_t *)malloc((size_t)cells * sizeof(int32_t))) != NULL;
    for (i = 0; i < cells && ok; i++) {
        double depth = 0.5 + 2 * cel_rng_uniform(&rng);
        s->group[i] = (int32_t)cel_rng_integer(&rng, 3);
        for (j = 0; j < 2; j++) s->coords.data[2 * i + j] = (cel_real)cel_rng_uniform(&rng);
        for (j = 0; j < genes; j++) {
            int64_t y = cel_rng_poisson(&rng, i % 61 == 5 ? 0 : depth * (0.03 + 0.1 * (double)(j % 5)));
            s->x.data[i * genes + j] = (cel_real)(y > 200 ? 200 : y);
            if (!y) continue;
            place[count] = i;
            place[cells * genes + count] = j;
            value[count++] = (cel_real)y;
        }
    }
    ok = ok && cel_csr_from_edges(cells, genes, count, place, place + cells * genes, value, &s->sparse, NULL) == CEL_OK;
    ok = ok && sample_arrays(s) && cel_graph_make(s->coords, NULL, NULL, &s->graph, NULL) == CEL_OK;
    ok = ok && cel_relations_from_graph(&s->graph, NULL, &s->ties, NULL) == CEL_OK;
    ok = ok && cel_slide_tiles(s->coords, NULL, 3, s->tile, &s->tiles, NULL) == CEL_OK;
    free(place);
    free(value);
    if (!CHECK(ok)) sample_free(s);
    return ok;
}

/* All cells and genes of store k. */
static cel_rows rows_of(const sample *s, int k)
{
    cel_rows r = CEL_ZERO;
    r.cells = s->x.rows;
    r.genes = s->x.cols;
    if (k == 0) r.dense = s->x;
    else if (k == 1) r.sparse = &s->sparse;
    else r.array = &s->array[k - 2];
    return r;
}

static int same(const void *a, const void *b, size_t bytes) { return memcmp(a, b, bytes) == 0; }

/* What is read is what is stored, whichever rows and columns are asked for. */
static void rows_read(void)
{
    enum { CELLS = 3000, GENES = 37, PICKED = 11, SOME = 1700 };
    static int32_t row[CELLS], gene[PICKED], list[SOME];
    sample s;
    cel_mat out;
    int64_t i, j;
    int k;
    if (!sample_new(CELLS, GENES, &s)) return;
    for (i = 0; i < CELLS; i++) row[i] = (int32_t)(i * 7 % CELLS);
    for (i = 0; i < PICKED; i++) gene[i] = (int32_t)(i * 10 % GENES); /* in no order */
    for (i = 0; i < SOME; i++) list[i] = (int32_t)(i * 11 % (CELLS - 100));
    OK_OR_RETURN(cel_mat_new(1500, PICKED, &out));
    for (k = 0; k < STORES; k++) {
        cel_rows r = rows_of(&s, k);
        int wrong = 0;
        r.row = row;
        r.cells = CELLS - 100;
        r.gene = gene;
        r.genes = PICKED;
        OK_OR_RETURN(cel_rows_read(&r, list, 200, out, NULL));
        for (i = 0; i < out.rows; i++)
            for (j = 0; j < PICKED; j++)
                wrong += fabs((double)(out.data[i * PICKED + j] - s.x.data[row[list[200 + i]] * GENES + gene[j]])) > 0;
        CHECK(wrong == 0);
        OK_OR_RETURN(cel_rows_read(&r, NULL, 3, out, NULL));
        for (wrong = 0, i = 0; i < out.rows; i++)
            for (j = 0; j < PICKED; j++)
                wrong += fabs((double)(out.data[i * PICKED + j] - s.x.data[row[3 + i] * GENES + gene[j]])) > 0;
        CHECK(wrong == 0);
    }
    cel_mat_free(&out);
    sample_free(&s);
}

/* Totals, reports, genes and scalings are those of the dense matrix, to the bit. */
static void rows_like_dense(void)
{
    enum { CELLS = 3000, GENES = 37 };
    static double total[CELLS];
    static int32_t index[2][GENES];
    int64_t count[2], cells[2][GENES];
    double score[2][GENES];
    sample s;
    int k, kind;
    if (!sample_new(CELLS, GENES, &s)) return;
    for (kind = 0; kind < 4; kind++) {
        cel_slide_report look[2];
        cel_genes_options by = CEL_ZERO;
        cel_scaling_options how = CEL_ZERO;
        cel_scaling dense, other;
        cel_mat x, tile;
        OK_OR_RETURN(cel_mat_new(CELLS, GENES, &x));
        OK_OR_RETURN(cel_mat_new(CELLS, GENES, &tile));
        OK_OR_RETURN(cel_mat_copy(s.x, x));
        how.kind = (cel_kind)kind;
        OK_OR_RETURN(cel_slide_describe(s.x, s.total, &look[0], NULL));
        by.by = kind ? CEL_GENES_VARIABLE : CEL_GENES_MEAN;
        by.top = 20;
        by.min_cells = 5;
        by.total = kind == 1 ? NULL : s.total;
        OK_OR_RETURN(cel_slide_genes(s.x, &by, index[0], &count[0], cells[0], score[0], NULL));
        OK_OR_RETURN(cel_scaling_fit(x, s.total, s.group, &how, &dense, NULL));
        for (k = 0; k < STORES; k++) {
            cel_rows r = rows_of(&s, k);
            OK_OR_RETURN(cel_rows_describe(&r, total, &look[1], NULL));
            CHECK(same(total, s.total, sizeof total) && same(&look[0], &look[1], offsetof(cel_slide_report, likely)));
            CHECK(look[0].likely == look[1].likely);
            OK_OR_RETURN(cel_rows_genes(&r, &by, index[1], &count[1], cells[1], score[1], NULL));
            CHECK(count[0] == count[1] && same(index[0], index[1], (size_t)count[0] * 4) &&
                  same(cells[0], cells[1], sizeof cells[0]));
            {
                int64_t j;
                for (j = 0; j < GENES; j++) NEAR(score[1][j], score[0][j], 1e-9 * (1 + fabs(score[0][j])));
            }
            OK_OR_RETURN(cel_rows_scaling(&r, s.total, s.group, &how, NULL, &other, NULL));
            CHECK(other.groups == dense.groups && !other.size == !dense.size && !other.centre == !dense.centre);
            if (dense.centre) CHECK(same(other.centre, dense.centre, (size_t)dense.groups * GENES * sizeof(double)));
            if (dense.size) CHECK(same(other.size, dense.size, GENES * sizeof(double)));
            r.scaling = &other;
            OK_OR_RETURN(cel_rows_read(&r, NULL, 0, tile, NULL));
            CHECK(same(tile.data, x.data, CELLS * GENES * sizeof(cel_real)));
            {
                int64_t i;
                int differ = 0;
                for (i = 0; i < CELLS; i++)
                    differ += !same(&other.cell[i].total, &dense.cell[i].total, 3 * sizeof(double));
                CHECK(differ == 0);
                r.scaling = NULL;
                memset(other.cell, 0, CELLS * sizeof *other.cell);
                OK_OR_RETURN(cel_rows_apply(&r, &dense, s.total, s.group, other.cell, NULL));
                for (i = 0; i < CELLS; i++)
                    differ += !same(&other.cell[i].total, &dense.cell[i].total, 3 * sizeof(double));
                CHECK(differ == 0);
            }
            cel_scaling_free(&other);
        }
        cel_scaling_free(&dense);
        cel_mat_free(&x);
        cel_mat_free(&tile);
    }
    sample_free(&s);
}

/* Sums of parts, added, make the scaling of the whole; a part has cells of others beside its own. */
static void rows_sums(void)
{
    enum { CELLS = 2500, GENES = 23, PARTS = 3 };
    static int32_t row[CELLS], own[CELLS], group[CELLS];
    static double total[CELLS];
    sample s;
    cel_rows r, part;
    cel_scaling_options how = CEL_ZERO;
    cel_scaling whole, merged;
    cel_scaling_sums sum = CEL_ZERO, one;
    cel_error err;
    int64_t i, k, j, n = 0;
    if (!sample_new(CELLS, GENES, &s)) return;
    r = rows_of(&s, 1);
    OK_OR_RETURN(cel_slide_describe(s.x, s.total, &(cel_slide_report){0}, NULL));
    CHECK(cel_rows_sums(&r, s.total, s.group, 3, &how, &one, &err) == CEL_ERR_ARG && !one.cells); /* no target */
    how.target = HUGE_VAL;
    CHECK(cel_rows_sums(&r, s.total, s.group, 3, &how, &one, &err) == CEL_ERR_ARG && !one.cells);
    how.target = NAN;
    CHECK(cel_rows_sums(&r, s.total, s.group, 3, &how, &one, &err) == CEL_ERR_ARG && !one.cells);
    how.target = 25;
    CHECK(cel_rows_sums(&r, s.total, s.group, INT32_MAX / 2, &how, &one, &err) == CEL_ERR_ARG && !one.cells);
    OK_OR_RETURN(cel_rows_scaling(&r, s.total, s.group, &how, NULL, &whole, NULL));
    for (k = 0; k < PARTS; k++) {
        part = rows_of(&s, (int)k);
        part.row = row;
        for (n = 0, i = 0; i < CELLS; i++) {
            if (i % PARTS != k && i % 5) continue;
            row[n] = (int32_t)i;
            total[n] = s.total[i];
            group[n] = s.group[i];
            own[n++] = i % PARTS == k ? s.group[i] : -1;
        }
        part.cells = n;
        OK_OR_RETURN(cel_rows_sums(&part, total, own, 3, &how, &one, NULL));
        if (!k) sum = one;
        for (i = 0; k && i < one.count; i++) sum.cells[i] += one.cells[i];
        if (k) cel_scaling_sums_free(&one);
    }
    OK_OR_RETURN(cel_rows_scaling(&part, total, group, &how, &sum, &merged, NULL));
    for (j = 0; j < 3 * GENES; j++) NEAR(merged.centre[j], whole.centre[j], 1e-12);
    for (j = 0; j < GENES; j++) NEAR_REL(merged.scale[j], whole.scale[j], 1e-10);
    for (j = 0; j < GENES; j++) NEAR_REL(merged.size[j], whole.size[j], 1e-10);
    for (i = 0; i < n; i++) NEAR(merged.cell[i].length, whole.cell[row[i]].length, 1e-9 * whole.cell[row[i]].length);
    cel_scaling_free(&merged);
    /* a gene of one value has no scale, whatever rounding says */
    for (i = 0; i < 3; i++) sum.square[i * GENES + 4] = sum.sum[i * GENES + 4] * sum.sum[i * GENES + 4] / sum.cells[i];
    CHECK(cel_rows_scaling(&part, total, group, &how, &sum, &merged, &err) == CEL_ERR_DATA && err.gene == 4);
    how.plain = 1; /* which measures nothing */
    CHECK(cel_rows_sums(&part, total, own, 3, &how, &one, &err) == CEL_ERR_ARG);
    CHECK(cel_rows_scaling(&part, total, group, &how, &sum, &merged, &err) == CEL_ERR_ARG);
    how.plain = 0;
    how.kind = CEL_KIND_UNIT;
    CHECK(cel_rows_scaling(&part, total, group, &how, &sum, &merged, &err) == CEL_ERR_ARG);
    how.kind = CEL_KIND_COUNTS;
    sum.genes--;
    CHECK(cel_rows_scaling(&part, total, group, &how, &sum, &merged, &err) == CEL_ERR_ARG);
    cel_scaling_sums_free(&sum);
    cel_scaling_free(&whole);
    sample_free(&s);
}

/* Of logs without a size direction a row of zeros, or of a sum below 0, is one like any other, in sums as in a fit. */
static void rows_sums_of_logs(void)
{
    cel_real value[10] = {1, 3, 0, 0, -2, 1, 2, 2, 4, -1};
    cel_scaling_options how = CEL_ZERO;
    cel_scaling whole, merged;
    cel_scaling_sums sum;
    cel_rows r = CEL_ZERO;
    int k;
    r.cells = 5;
    r.genes = 2;
    r.dense = cel_mat_view(value, 5, 2);
    how.kind = CEL_KIND_LOGNORM;
    for (how.size = -1; how.size < 2; how.size += 2) {
        OK_OR_RETURN(cel_rows_scaling(&r, NULL, NULL, &how, NULL, &whole, NULL));
        OK_OR_RETURN(cel_rows_sums(&r, NULL, NULL, 1, &how, &sum, NULL));
        CHECK(sum.cells[0] == (how.size < 0 ? 5 : 3));
        OK_OR_RETURN(cel_rows_scaling(&r, NULL, NULL, &how, &sum, &merged, NULL));
        for (k = 0; k < 2; k++) {
            NEAR(merged.centre[k], whole.centre[k], 1e-12);
            NEAR(merged.scale[k], whole.scale[k], 1e-12);
            if (how.size > 0) NEAR(merged.size[k], whole.size[k], 1e-12);
        }
        cel_scaling_sums_free(&sum);
        cel_scaling_free(&whole);
        cel_scaling_free(&merged);
    }
}

/* Moments read by tiles are those of rows made before, to the bit, for any number of threads, of every store. */
static void rows_moments(void)
{
    enum { CELLS = 20000, GENES = 19, TILES = 9 };
    const size_t bytes = (size_t)(4 * GENES + 1) * (4 * GENES + 1) * sizeof(double);
    cel_moments want[TILES + 1], m[TILES + 1];
    cel_scaling scaling;
    cel_csr hops = CEL_ZERO;
    cel_mat x;
    sample s;
    int k, threads;
    int64_t l;
    if (!sample_new(CELLS, GENES, &s)) return;
    OK_OR_RETURN(cel_csr_transpose(&s.graph, &hops)); /* not symmetric */
    OK_OR_RETURN(cel_relations_add(&s.ties, "back", &hops, NULL));
    OK_OR_RETURN(cel_mat_new(CELLS, GENES, &x));
    OK_OR_RETURN(cel_mat_copy(s.x, x));
    OK_OR_RETURN(cel_scaling_fit(x, NULL, s.group, NULL, &scaling, NULL));
    for (l = 0; l <= TILES; l++) OK_OR_RETURN(cel_moments_new(GENES, &s.ties, want + l));
    OK_OR_RETURN(cel_moments_add_by_label(want, TILES, s.tile, &s.ties, x, NULL));
    OK_OR_RETURN(cel_moments_add(want + TILES, &s.ties, x, NULL, 0, NULL));
    for (threads = 1; threads <= 3; threads += 2)
        for (k = 0; k < STORES; k += k ? 3 : 1) {
            cel_rows r = rows_of(&s, k);
            int wrong = 0;
            r.scaling = &scaling;
            for (l = 0; l <= TILES; l++) OK_OR_RETURN(cel_moments_new(GENES, &s.ties, m + l));
#if defined(_OPENMP)
            omp_set_num_threads(threads);
#endif
            OK_OR_RETURN(cel_moments_add_rows(m, TILES, s.tile, &s.ties, &r, NULL));
            OK_OR_RETURN(cel_moments_add_rows(m + TILES, 1, NULL, &s.ties, &r, NULL));
            for (l = 0; l <= TILES; l++) {
                wrong += m[l].cells != want[l].cells || !same(m[l].gram, want[l].gram, bytes);
                cel_moments_free(m + l);
            }
            CHECK(wrong == 0);
        }
#if defined(_OPENMP)
    omp_set_num_threads(omp_get_num_procs());
#endif
    { /* room for the cells of a tile is for each of them once, however many neighbour it */
        cel_work work = CEL_ZERO, *link;
        size_t most = 0;
        cel_rows r = rows_of(&s, 1);
        r.scaling = &scaling;
        OK_OR_RETURN(cel_moments_new(GENES, &s.ties, m));
        OK_OR_RETURN(cel_moments_add_rows(m, 1, NULL, &s.ties, &r, &work));
        for (link = work.inner->inner; link; link = link->inner) /* labels; products of lanes; a tile beside each */
            if (link->bytes > most) most = link->bytes;
        CHECK(most < CELLS * GENES * sizeof(cel_real) / 2);
        cel_moments_free(m);
        cel_work_free(&work);
    }
    for (l = 0; l <= TILES; l++) cel_moments_free(want + l);
    cel_scaling_free(&scaling);
    cel_mat_free(&x);
    sample_free(&s);
}

/* What a row cannot be made of is refused by everything that reads, of every store. */
static void rows_unfit(void)
{
    static cel_scaling_cell cell[300];
    sample s;
    cel_error err;
    cel_slide_report look;
    cel_scaling scaling;
    cel_mat out;
    cel_moments m;
    int32_t row[2] = {0, 1}, gene[3] = {4, 2, 4};
    int k;
    if (!sample_new(300, 7, &s)) return;
    OK_OR_RETURN(cel_mat_new(3, 7, &out));
    OK_OR_RETURN(cel_moments_new(7, &s.ties, &m));
    for (k = 0; k < STORES; k++) { /* a column twice */
        cel_rows r = rows_of(&s, k);
        r.gene = gene;
        r.genes = 3;
        CHECK(cel_rows_read(&r, NULL, 0, cel_mat_block(out, 0, 0, 3, 3), &err) == CEL_ERR_ARG && err.gene == 2);
        CHECK(cel_rows_describe(&r, NULL, &look, &err) == CEL_ERR_ARG && err.gene == 2);
    }
    for (k = 0; k < 2; k++) { /* sizes below 0 */
        cel_rows r = rows_of(&s, 0);
        r.row = row;
        r.gene = gene;
        r.cells = k ? 2 : -1;
        r.genes = k ? -1 : 2;
        CHECK(cel_rows_describe(&r, NULL, &look, &err) == CEL_ERR_SHAPE);
        memset(&scaling, 0, sizeof scaling);
        CHECK(cel_rows_apply(&r, &scaling, NULL, NULL, cell, &err) == CEL_ERR_SHAPE);
    }
    OK_OR_RETURN(cel_slide_describe(s.x, s.total, &look, NULL));
    for (k = 0; k < STORES; k++) {
        cel_rows r = rows_of(&s, k);
        OK_OR_RETURN(cel_rows_scaling(&r, s.total, s.group, NULL, NULL, &scaling, NULL));
        r.scaling = &scaling;
        OK_OR_RETURN(cel_rows_read(&r, NULL, 0, out, NULL));
        scaling.cell[2].group = (int32_t)scaling.groups; /* a group that was not measured */
        CHECK(cel_rows_read(&r, NULL, 0, out, &err) == CEL_ERR_ARG && err.cell == 2 && !(fabs(out.data[0]) > 0));
        CHECK(cel_rows_read(&r, NULL, 3, out, &err) == CEL_OK); /* others may be read */
        CHECK(cel_moments_add_rows(&m, 1, NULL, &s.ties, &r, NULL) == CEL_ERR_ARG);
        scaling.cell[2].group = 0;
        scaling.log = CEL_LOG_LATENT;
        CHECK(cel_rows_read(&r, NULL, 0, out, &err) == CEL_ERR_ARG);
        CHECK(cel_moments_add_rows(&m, 1, NULL, &s.ties, &r, NULL) == CEL_ERR_ARG && m.cells == 0);
        cel_scaling_free(&scaling);
    }
    cel_moments_free(&m);
    cel_mat_free(&out);
    sample_free(&s);
}

static void rows_refused(void)
{
    sample s;
    cel_rows r;
    cel_error err;
    cel_slide_report look;
    cel_mat out;
    cel_moments m;
    int32_t row[3] = {0, 50, 2}, gene[2] = {0, 9};
    if (!sample_new(50, 7, &s)) return;
    OK_OR_RETURN(cel_mat_new(3, 7, &out));
    r = rows_of(&s, 1);
    r.dense = s.x;
    CHECK(cel_rows_describe(&r, NULL, &look, &err) == CEL_ERR_ARG);
    r = rows_of(&s, 1);
    r.cells = 49;
    CHECK(cel_rows_describe(&r, NULL, &look, &err) == CEL_ERR_SHAPE);
    r.row = row;
    r.cells = 3;
    CHECK(cel_rows_read(&r, NULL, 0, out, &err) == CEL_ERR_ARG && err.cell == 1);
    row[1] = 1;
    CHECK(cel_rows_read(&r, NULL, 0, out, &err) == CEL_OK);
    CHECK(cel_rows_read(&r, NULL, 1, out, &err) == CEL_ERR_ARG && err.cell == 3 && !(out.data[0] > 0));
    r.gene = gene;
    r.genes = 2;
    CHECK(cel_rows_read(&r, NULL, 0, out, &err) == CEL_ERR_ARG && err.gene == 1);
    gene[1] = 1;
    CHECK(cel_rows_read(&r, NULL, 0, out, &err) == CEL_ERR_SHAPE);
    r = rows_of(&s, 1);
    OK_OR_RETURN(cel_moments_new(6, &s.ties, &m));
    CHECK(cel_moments_add_rows(&m, 1, NULL, &s.ties, &r, NULL) == CEL_ERR_SHAPE);
    cel_moments_free(&m);
    OK_OR_RETURN(cel_moments_new(7, &s.ties, &m));
    CHECK(cel_moments_add_rows(&m, 1, s.tile, &s.ties, &r, NULL) == CEL_ERR_ARG); /* more labels than moments */
    cel_moments_free(&m);
    s.sparse.value[s.sparse.start[31]] = (cel_real)NAN;
    CHECK(cel_rows_describe(&r, s.total, &look, &err) == CEL_ERR_DATA && err.cell == 31 &&
          err.gene == s.sparse.index[s.sparse.start[31]]);
    s.sparse.value[s.sparse.start[31]] = -1;
    {
        cel_scaling scaling;
        CHECK(cel_rows_scaling(&r, NULL, NULL, NULL, NULL, &scaling, &err) == CEL_ERR_DATA && err.cell == 31);
    }
    cel_mat_free(&out);
    sample_free(&s);
}

/* A thread sanitizer keeps a shadow of every byte that is read: what a process holds is then no measure. */
#if defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define SHADOWED 1
#endif
#elif defined(__SANITIZE_THREAD__)
#define SHADOWED 1
#endif
#ifndef SHADOWED
#define SHADOWED 0
#endif

#if defined(__linux__)
static double resident(void)
{
    double whole = 0, here = 0;
    FILE *f = fopen("/proc/self/statm", "r");
    if (f && fscanf(f, "%lf %lf", &whole, &here) != 2) here = 0;
    if (f) fclose(f);
    return here * (double)sysconf(_SC_PAGESIZE);
}
#endif

/* A mapped file is let go of as it is read. */
static void rows_mapped(void)
{
#if defined(__linux__)
    enum { CELLS = 60000, GENES = 128 };
    char path[4096];
    uint16_t *y = (uint16_t *)malloc((size_t)CELLS * GENES * sizeof *y);
    int64_t shape[2] = {CELLS, GENES}, i;
    double *total = (double *)malloc(CELLS * sizeof *total), before, sum = 0, grown;
    cel_npy a;
    cel_file file;
    cel_rows r = CEL_ZERO;
    cel_slide_report look;
    if (!CHECK(y && total)) return;
    for (i = 0; i < CELLS * GENES; i++) y[i] = (uint16_t)(i % 7);
    for (i = 0; i < CELLS; i++) total[i] = 0;
    snprintf(path, sizeof path, "%s/mapped.npy", test_tmp());
    a = cel_npy_describe('u', 2, 2, shape, y);
    OK_OR_RETURN(cel_npy_write(path, &a, NULL));
    free(y);
    OK_OR_RETURN(cel_file_open(path, 1, &file, NULL));
    if (!file.mapped) SKIP("files cannot be mapped here");
    OK_OR_RETURN(cel_npy_parse(file.bytes, file.size, &a, NULL));
    r.cells = CELLS;
    r.genes = GENES;
    r.array = &a;
    r.mapped = file.mapped;
    before = resident();
    OK_OR_RETURN(cel_rows_describe(&r, total, &look, NULL));
    grown = resident() - before;
    for (i = 0; i < CELLS; i++) sum += total[i];
    NEAR(sum, 3.0 * CELLS * GENES, 20);
    CHECK(grown < 6e6 || SHADOWED); /* of 15 MB */
    free(total);
    cel_file_close(&file);
#else
    SKIP("no /proc");
#endif
}

void suite_rows(void)
{
    RUN(rows_read);
    RUN(rows_like_dense);
    RUN(rows_sums);
    RUN(rows_sums_of_logs);
    RUN(rows_moments);
    RUN(rows_refused);
    RUN(rows_unfit);
    RUN(rows_mapped);
}
