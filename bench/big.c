/* Large slides of counts for bench/big.sh: some 90 % zeros, spatial structure, forces that are known. The counts of a
 * cell are a function of the seed and its number, so that a file may be larger than memory.
 *     big OUT CELLS GENES [npy|u2|npz|all] [SEED]
 * writes OUT.xy.npy and, as asked, OUT.npy (float), OUT.u2.npy (16 bits) and OUT.npz (SciPy's CSR). Latent z are
 * independent normals but for: of the first tenth of the genes in pairs (2k, 2k + 1) the second is 0.6 the first's;
 * gene n - 1 - k, k < 10, has 0.35 of gene 2k of each of four neighbours; every third gene has a wave over the tissue.
 * Counts are Poisson, of mean l_i exp(m_g + 0.7 z). Cells stand on a grid, jittered; the file has them row by row.
 * SPDX-License-Identifier: MIT */
#define CELCOMEN_IMPLEMENTATION
#include "celcomen.h"

#include <stdlib.h>

typedef struct slide {
    int64_t cells, genes, width;
    uint64_t seed;
} slide;

static void fail(const char *what)
{
    fprintf(stderr, "big: %s\n", what);
    exit(1);
}
static void *get(int64_t count, size_t size)
{
    void *p = calloc((size_t)count, size);
    if (!p) fail("out of memory");
    return p;
}

/* The first n of a cell's normals. */
static void noise(const slide *s, int64_t cell, cel_real *e, int64_t n)
{
    cel_rng rng = cel_rng_at(s->seed, 1, (uint32_t)cell, 0);
    cel_rng_normals(&rng, e, n);
}

static void counts(const slide *s, int64_t cell, cel_real *e, cel_real *y)
{
    int64_t n = s->genes, x = cell % s->width, row = cell / s->width, between = n / 20 < 10 ? n / 20 : 10, g, k;
    const int64_t step[4] = {-1, 1, -s->width, s->width};
    cel_real near[20];
    cel_rng rng = cel_rng_at(s->seed, 2, (uint32_t)cell, 0);
    double depth = cel_rng_gamma(&rng, 6) / 6;
    noise(s, cell, e, n);
    for (k = 0; k < n / 20; k++) e[2 * k + 1] = (cel_real)(0.6 * e[2 * k] + 0.8 * e[2 * k + 1]);
    for (g = 0; g < 4; g++) {
        int64_t other = cell + step[g];
        if (other < 0 || other >= s->cells || (g < 2 && other / s->width != row)) continue;
        noise(s, other, near, 2 * between);
        for (k = 0; k < between; k++) e[n - 1 - k] += (cel_real)(0.35 * near[2 * k]);
    }
    for (g = 0; g < n; g += 3)
        e[g] += (cel_real)(0.5 * cos(6.2831853 * ((double)x * (double)(1 + g % 7) + (double)row * (double)(1 + g % 5)) /
                                      400 + (double)g));
    for (g = 0; g < n; g++) {
        double mean = 0.012 * exp(3.2 * (double)(g * 37 % n) / (double)n); /* of its counts, from rare to common */
        y[g] = (cel_real)cel_rng_poisson(&rng, depth * mean * exp(0.7 * (double)e[g]));
    }
}

static FILE *open_npy(const char *out, const char *end, const char *type, int64_t rows, int64_t cols)
{
    char path[4096], head[118];
    FILE *f;
    snprintf(path, sizeof path, "%s%s", out, end);
    f = fopen(path, "wb");
    if (!f) fail("a file cannot be made");
    memset(head, ' ', sizeof head);
    head[snprintf(head, sizeof head, "{'descr': '%s', 'fortran_order': False, 'shape': (%lld, %lld), }", type,
                  (long long)rows, (long long)cols)] = ' ';
    head[117] = '\n';
    fwrite("\x93NUMPY\x01\x00\x76\x00", 1, 10, f);
    fwrite(head, 1, sizeof head, f);
    return f;
}

static void places(const slide *s, const char *out)
{
    FILE *f = open_npy(out, ".xy.npy", sizeof(cel_real) == 4 ? "<f4" : "<f8", s->cells, 2);
    int64_t i;
    for (i = 0; i < s->cells; i++) {
        cel_rng rng = cel_rng_at(s->seed, 3, (uint32_t)i, 0);
        cel_real p[2];
        p[0] = (cel_real)((double)(i % s->width) + 0.6 * cel_rng_uniform(&rng));
        p[1] = (cel_real)((double)(i / s->width) + 0.6 * cel_rng_uniform(&rng));
        fwrite(p, sizeof *p, 2, f);
    }
    if (fclose(f)) fail("the disk is full");
}

int main(int argc, char **argv)
{
    enum { BLOCK = 4096 };
    const char *what = argc > 4 ? argv[4] : "all";
    slide s;
    cel_csr a = CEL_ZERO;
    cel_npz_member member[5];
    cel_real *y, *e;
    uint16_t *small;
    FILE *dense = NULL, *u2 = NULL;
    int npz = !strcmp(what, "npz") || !strcmp(what, "all");
    int64_t i, j, first, of[2], room = 0, zeros = 0;
    char path[4096];
    if (argc < 4) fail("big OUT CELLS GENES [npy|u2|npz|all] [SEED]");
    s.cells = atoll(argv[2]);
    s.genes = atoll(argv[3]);
    s.seed = argc > 5 ? (uint64_t)atoll(argv[5]) : 1;
    if (s.cells < 1 || s.genes < 20) fail("cells from 1, genes from 20");
    for (s.width = 1; s.width * s.width < s.cells; s.width++) continue;
    places(&s, argv[1]);
    if (!strcmp(what, "npy") || !strcmp(what, "all"))
        dense = open_npy(argv[1], ".npy", sizeof(cel_real) == 4 ? "<f4" : "<f8", s.cells, s.genes);
    if (!strcmp(what, "u2") || !strcmp(what, "all")) u2 = open_npy(argv[1], ".u2.npy", "<u2", s.cells, s.genes);
    y = (cel_real *)get(BLOCK * s.genes, sizeof *y);
    e = (cel_real *)get(BLOCK * s.genes, sizeof *e);
    small = (uint16_t *)get(BLOCK * s.genes, sizeof *small);
    if (npz) a.start = (int64_t *)get(s.cells + 1, sizeof *a.start);
    for (first = 0; first < s.cells; first += BLOCK) {
        int64_t rows = s.cells - first < BLOCK ? s.cells - first : BLOCK;
#if defined(_OPENMP)
#pragma omp parallel for schedule(static)
#endif
        for (i = 0; i < rows; i++) counts(&s, first + i, e + i * s.genes, y + i * s.genes);
        for (i = 0; i < rows * s.genes; i++) {
            small[i] = (uint16_t)y[i];
            zeros += !(y[i] > 0);
        }
        if (dense) fwrite(y, sizeof *y, (size_t)(rows * s.genes), dense);
        if (u2) fwrite(small, sizeof *small, (size_t)(rows * s.genes), u2);
        for (i = 0; i < rows && npz; i++) {
            int64_t n = a.start[first + i];
            if (n + s.genes > room) {
                room = 2 * room + 1024 * s.genes;
                a.index = (int32_t *)realloc(a.index, (size_t)room * sizeof *a.index);
                a.value = (cel_real *)realloc(a.value, (size_t)room * sizeof *a.value);
                if (!a.index || !a.value) fail("out of memory");
            }
            for (j = 0; j < s.genes; j++) {
                if (!small[i * s.genes + j]) continue;
                a.index[n] = (int32_t)j;
                a.value[n++] = y[i * s.genes + j];
            }
            a.start[first + i + 1] = n;
        }
    }
    if ((dense && fclose(dense)) || (u2 && fclose(u2))) fail("the disk is full");
    if (npz) {
        a.rows = s.cells;
        a.cols = s.genes;
        cel_npz_from_csr(&a, of, member);
        snprintf(path, sizeof path, "%s.npz", argv[1]);
        if (cel_npz_write(path, member, 5, NULL)) fail("the archive cannot be written");
    }
    printf("%lld cells x %lld genes, %.1f %% zeros\n", (long long)s.cells, (long long)s.genes,
           100 * (double)zeros / ((double)s.cells * (double)s.genes));
    return 0;
}
