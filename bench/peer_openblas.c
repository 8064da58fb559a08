/* OpenBLAS, loaded when this runs, on the sizes of kernels.c. peer_openblas [quick | core]
 * `core` prints only the core it chose and its speed. OPENBLAS_CORETYPE in the environment forces another core.
 * Prints figure,value,unit for run.sh to join. SPDX-License-Identifier: MIT */
#include "clock.h"

#include <dlfcn.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

typedef void gemm_float(int, int, int, int, int, int, float, const float *, int, const float *, int, float, float *,
                        int);
typedef void gemm_double(int, int, int, int, int, int, double, const double *, int, const double *, int, double,
                         double *, int);
typedef void syrk_float(int, int, int, int, int, float, const float *, int, float, float *, int);
typedef void syrk_double(int, int, int, int, int, double, const double *, int, double, double *, int);

static gemm_float *sgemm;
static gemm_double *dgemm;
static syrk_float *ssyrk;
static syrk_double *dsyrk;

/* 101 row-major, 111 as it is, 112 transposed, 122 lower */
static void product(int is_double, int syrk, int n, void *a, void *b, void *c)
{
    if (syrk && is_double) dsyrk(101, 122, 112, n, n, 1, (double *)a, n, 0, (double *)c, n);
    else if (syrk) ssyrk(101, 122, 112, n, n, 1, (float *)a, n, 0, (float *)c, n);
    else if (is_double) dgemm(101, 111, 111, n, n, n, 1, (double *)a, n, (double *)b, n, 0, (double *)c, n);
    else sgemm(101, 111, 111, n, n, n, 1, (float *)a, n, (float *)b, n, 0, (float *)c, n);
}
static double rate(int is_double, int syrk, int n, int threads, void **m)
{
    double work = 1e-9 * n * (double)n * (syrk ? n + 1.0 : 2.0 * n), time[ROUNDS], start;
    int round, i, repeats;
    product(is_double, syrk, n, m[0], m[1], m[2]);
    start = clock_of(threads);
    product(is_double, syrk, n, m[0], m[1], m[2]);
    repeats = 1 + (int)(0.02 / (clock_of(threads) - start + 1e-9));
    for (round = 0; round < ROUNDS; round++) {
        start = clock_of(threads);
        for (i = 0; i < repeats; i++) product(is_double, syrk, n, m[0], m[1], m[2]);
        time[round] = (clock_of(threads) - start) / repeats;
    }
    return work / median(time, ROUNDS);
}

int main(int argc, char **argv)
{
    static const int size[] = {64, 128, 256, 512, 1024, 2048};
    int quick = argc > 1 && !strcmp(argv[1], "quick"), sizes = quick ? 4 : 6, d, s, k, threads;
    int64_t i, most = (int64_t)size[sizes - 1] * size[sizes - 1];
    void *lib = dlopen("libopenblas.so.0", RTLD_NOW), *m[3];
    void (*set_threads)(int);
    char *(*core)(void), *(*config)(void);
    if (!lib) lib = dlopen("libopenblas.so", RTLD_NOW);
    if (!lib) {
        printf("skipped: OpenBLAS not installed\n");
        return 0;
    }
    /* POSIX: an object pointer from dlsym may be stored as a function pointer this way. */
    *(void **)&sgemm = dlsym(lib, "cblas_sgemm");
    *(void **)&dgemm = dlsym(lib, "cblas_dgemm");
    *(void **)&ssyrk = dlsym(lib, "cblas_ssyrk");
    *(void **)&dsyrk = dlsym(lib, "cblas_dsyrk");
    *(void **)&set_threads = dlsym(lib, "openblas_set_num_threads");
    *(void **)&core = dlsym(lib, "openblas_get_corename");
    *(void **)&config = dlsym(lib, "openblas_get_config");
    if (!sgemm || !dgemm || !ssyrk || !dsyrk || !set_threads || !core || !config) {
        printf("skipped: OpenBLAS without the C interface\n");
        return 0;
    }
    for (k = 0; k < 3; k++) {
        m[k] = malloc((size_t)most * sizeof(double));
        if (!m[k]) return 1;
        for (i = 0; i < most; i++) ((float *)m[k])[i] = 0.5f + (float)(i % 97) / 97;
    }
    set_threads(1);
    if (argc > 1 && !strcmp(argv[1], "core")) {
        printf("%s,%.4g,%s\n", core(), rate(0, 0, 1024, 1, m), config());
        return 0;
    }
    for (d = 0; d < 2; d++) {
        for (k = 0; k < 3; k++)
            for (i = 0; i < most; i++) {
                if (d) ((double *)m[k])[i] = 0.5 + (double)(i % 97) / 97;
                else ((float *)m[k])[i] = 0.5f + (float)(i % 97) / 97;
            }
        for (threads = 1; threads <= THREADS; threads++)
            for (s = 0; s < (threads == 1 ? 2 : 1); s++)
                for (k = 0; k < sizes; k++) {
                    set_threads(threads);
                    printf("%s %s %d thread%s n=%d,%.6g,GFLOP/s\n", s ? "syrk" : "gemm", d ? "double" : "float",
                           threads, threads > 1 ? "s" : "", size[k], rate(d, s, size[k], threads, m));
                    fflush(stdout);
                }
    }
    return 0;
}
