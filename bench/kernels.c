/* Matrix products beside the machine's peak. kernels [quick]
 * The peak is a loop of multiply-adds on registers only, written for each kernel level, in the same rounds.
 * SPDX-License-Identifier: MIT */
#include "bench.h"

/* 8 or 16 independent chains hide the latency of 4 cycles on two units. */
#define CHAINS12(F) F(0) F(1) F(2) F(3) F(4) F(5) F(6) F(7) F(8) F(9) F(10) F(11)
#define CHAINS16(F) CHAINS12(F) F(12) F(13) F(14) F(15)
#define PEAK_LOOP(CHAINS, VEC, STORE, LANES)                                                                  \
    {                                                                                                         \
        VEC CHAINS(DECLARE) m, c;                                                                             \
        cel_real out[LANES];                                                                                  \
        int64_t i;                                                                                            \
        m = OP_SET((cel_real)0.999);                                                                          \
        c = OP_SET((cel_real)0.001);                                                                          \
        CHAINS(START)                                                                                         \
        for (i = 0; i < turns; i++) { CHAINS(STEP) }                                                          \
        CHAINS(TOTAL)                                                                                         \
        STORE(out, m);                                                                                        \
        return (double)out[0];                                                                                \
    }
#define DECLARE(K) a##K,
#define START(K) a##K = OP_SET((cel_real)(K + 1)); /* all different, or the compiler keeps one of them */
#define STEP(K) a##K = OP_FMA(a##K, m, c);
#define TOTAL(K) m = OP_ADD(m, a##K);

#if (defined(__x86_64__) || defined(__i386__)) && defined(__GNUC__)
#include <immintrin.h>
#if defined(CELCOMEN_DOUBLE)
#define X86(NAME) NAME##_pd
#define V256 __m256d
#define V512 __m512d
#else
#define X86(NAME) NAME##_ps
#define V256 __m256
#define V512 __m512
#endif
#define OP_FMA X86(_mm512_fmadd)
#define OP_ADD X86(_mm512_add)
#define OP_SET X86(_mm512_set1)
__attribute__((target("avx512f"))) static double peak_avx512(int64_t turns)
PEAK_LOOP(CHAINS16, V512, X86(_mm512_storeu), 64 / sizeof(cel_real))
#undef OP_FMA
#undef OP_ADD
#undef OP_SET
#define OP_FMA X86(_mm256_fmadd)
#define OP_ADD X86(_mm256_add)
#define OP_SET X86(_mm256_set1)
__attribute__((target("avx2,fma"))) static double peak_avx2(int64_t turns)
PEAK_LOOP(CHAINS12, V256, X86(_mm256_storeu), 32 / sizeof(cel_real))
#undef OP_FMA
#undef OP_ADD
#undef OP_SET
#elif defined(__aarch64__)
#include <arm_neon.h>
#if defined(CELCOMEN_DOUBLE)
#define NEON(NAME) NAME##_f64
#define V128 float64x2_t
#else
#define NEON(NAME) NAME##_f32
#define V128 float32x4_t
#endif
#define OP_FMA(A, M, C) NEON(vfmaq)(C, A, M)
#define OP_ADD NEON(vaddq)
#define OP_SET NEON(vdupq_n)
static double peak_neon(int64_t turns)
PEAK_LOOP(CHAINS16, V128, NEON(vst1q), 16 / sizeof(cel_real))
#undef OP_FMA
#undef OP_ADD
#undef OP_SET
#endif
#define OP_FMA(A, M, C) ((A) * (M) + (C))
#define OP_ADD(A, B) ((A) + (B))
#define OP_SET(A) (A)
#define OP_STORE(TO, A) ((TO)[0] = (A))
static double peak_scalar(int64_t turns)
PEAK_LOOP(CHAINS12, cel_real, OP_STORE, 1)

#define TURNS 1000000

#if !defined(BENCH_FLAGS)
#define BENCH_FLAGS "unknown flags"
#endif
#if defined(__clang__)
#define COMPILER __VERSION__
#elif defined(__GNUC__)
#define COMPILER "gcc " __VERSION__
#else
#define COMPILER "an unknown compiler"
#endif

typedef struct peak { double (*loop)(int64_t turns); double operations; } peak;

static peak peak_of(cel_level level)
{
    peak p;
    double chains = 12, bytes = (double)sizeof(cel_real);
    p.loop = peak_scalar;
#if (defined(__x86_64__) || defined(__i386__)) && defined(__GNUC__)
    if (level == CEL_LEVEL_AVX512) p.loop = peak_avx512, chains = 16, bytes = 64;
    if (level == CEL_LEVEL_AVX2) p.loop = peak_avx2, bytes = 32;
#elif defined(__aarch64__)
    if (level == CEL_LEVEL_NEON) p.loop = peak_neon, chains = 16, bytes = 16;
#endif
    p.operations = 2e-9 * TURNS * chains * bytes / (double)sizeof(cel_real);
    return p;
}
static double sink;
static void peak_fn(void *context)
{
    const peak *p = (const peak *)context;
    OMP_PARALLEL
    {
        double v = p->loop(TURNS);
#if defined(_OPENMP)
        if (omp_get_thread_num() == 0)
#endif
            sink += v;
    }
}

/* The product of `count` sizes at a level and thread number, each beside that peak. */
static void products(bench_case *list, int *count, bench_gemm *g, const int *size, int sizes, int threads,
                     cel_level cap)
{
    static peak p[16];
    static int used;
    char name[80], tail[40];
    int k;
    int64_t n;
    cel_level_cap(cap);
    snprintf(tail, sizeof tail, "%s %s%s%s", REAL, threads_name(threads),
             cap < CEL_LEVEL_AVX512 ? " " : "", cap < CEL_LEVEL_AVX512 ? cel_level_name(cel_level_get()) : "");
    if (cap > CEL_LEVEL_SCALAR) { /* a compiler may vectorise the plain C product, so it has no peak */
        p[used] = peak_of(cel_level_get());
        snprintf(name, sizeof name, "fma peak %s", tail);
        add_case(list, count, name, "GFLOP/s", threads * p[used].operations, peak_fn, p + used, threads, cap);
        used++;
    }
    for (k = 0; k < sizes; k++) {
        n = g[k].a.rows;
        snprintf(name, sizeof name, "%s %s n=%d", g[k].syrk ? "syrk" : "gemm", tail, size[k]);
        add_case(list, count, name, "GFLOP/s", 1e-9 * (double)(n * n * (g[k].syrk ? n + 1 : 2 * n)), gemm_fn, g + k,
                 threads, cap);
    }
}

/* 1 if 1 and 2 threads give the same bits. */
static double same_bits(bench_gemm *g)
{
    size_t bytes = (size_t)(g->c.rows * g->c.cols) * sizeof(cel_real);
    void *one = get(1, bytes);
    int same;
    set_threads(1);
    gemm_fn(g);
    memcpy(one, g->c.data, bytes);
    set_threads(2);
    gemm_fn(g);
    same = !memcmp(one, g->c.data, bytes);
    free(one);
    return same;
}

int main(int argc, char **argv)
{
    static const int size[] = {64, 128, 256, 512, 1024, 2048};
    int quick = argc > 1 && !strcmp(argv[1], "quick"), sizes = quick ? 4 : 6, count = 0, k, last = 0;
    bench_gemm g[6], s[6];
    bench_copy copy = new_copy(quick ? 1 << 26 : 1 << 30);
    bench_case list[64];
    printf("# celcomen.h %s, %s, kernel level %s, %s, cc %s\n", cel_version(), REAL, cel_level_name(cel_level_get()),
           COMPILER, BENCH_FLAGS);
    for (k = 0; k < sizes; k++) {
        g[k] = new_gemm(size[k], 0);
        s[k] = new_gemm(size[k], 1);
    }
    for (k = 1; k <= THREADS; k++) add_copy(list, &count, &copy, k);
    products(list, &count, g, size, sizes, 1, CEL_LEVEL_AVX512);
    products(list, &count, s, size, sizes, 1, CEL_LEVEL_AVX512);
    if (THREADS > 1) products(list, &count, g, size, sizes, 2, CEL_LEVEL_AVX512);
    cel_level_cap(CEL_LEVEL_AVX512);
    if (cel_level_get() == CEL_LEVEL_AVX512) {
        products(list, &count, g, size, sizes, 1, CEL_LEVEL_AVX2);
        products(list, &count, s, size, sizes, 1, CEL_LEVEL_AVX2);
    }
    products(list, &count, g + 3, size + 3, 1, 1, CEL_LEVEL_SCALAR);
    run_cases(list, count);
    for (k = 0; k < count; k++) {
        int machine = !strncmp(list[k].name, "fma", 3) || !strncmp(list[k].name, "mem", 3);
        if (machine) last = k;
        print_case(list + k, machine || list[k].cap == CEL_LEVEL_SCALAR ? NULL : list + last);
        if (strstr(list[k].name, "gemm " REAL " 2 threads")) { /* against one thread: the same size, measured first */
            int j;
            for (j = 0; j < k; j++)
                if (strstr(list[j].name, "gemm " REAL " 1 thread n=") && list[j].context == list[k].context)
                    print_case(list + k, list + j);
        }
    }
    print_line("same bits 1 and 2 threads gemm " REAL, same_bits(g + sizes - 1), "yes", NULL, 0);
    return 0;
}
