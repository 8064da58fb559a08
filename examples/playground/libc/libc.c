/* The little of a C library that the playground needs, so that the module imports nothing and its tissues are the same
 * bits in every browser: memory, strings, elementary functions to about 1e-15 (relative; sin and cos below 1e6).
 * SPDX-License-Identifier: MIT */
#include <math.h>
#include <stdint.h>
#include <string.h>

/* ---- memory: blocks of powers of two, freed ones kept in a list for each size ---- */

extern unsigned char __heap_base;
enum { PAGE = 65536, HEAD = 16 };
static uintptr_t heap_end;
static void *kept[32];

void *malloc(size_t bytes)
{
    unsigned size = 5;
    uintptr_t p;
    while (((size_t)1 << size) < bytes + HEAD)
        if (++size > 30) return 0;
    if (kept[size]) {
        p = (uintptr_t)kept[size];
        kept[size] = *(void **)p;
    } else {
        if (!heap_end) heap_end = ((uintptr_t)&__heap_base + 15) & ~(uintptr_t)15;
        p = heap_end + HEAD;
        heap_end += (size_t)1 << size;
        while (heap_end > __builtin_wasm_memory_size(0) * PAGE)
            if (__builtin_wasm_memory_grow(0, (heap_end - __builtin_wasm_memory_size(0) * PAGE + PAGE - 1) / PAGE) ==
                (size_t)-1) {
                heap_end -= (size_t)1 << size;
                return 0;
            }
        *(unsigned *)(p - HEAD) = size;
    }
    return (void *)p;
}

void free(void *p)
{
    unsigned size;
    if (!p) return;
    size = *(unsigned *)((uintptr_t)p - HEAD);
    *(void **)p = kept[size];
    kept[size] = p;
}

void *realloc(void *p, size_t bytes)
{
    size_t had = p ? ((size_t)1 << *(unsigned *)((uintptr_t)p - HEAD)) - HEAD : 0;
    void *to = bytes > had ? malloc(bytes) : p;
    if (to && to != p) {
        memcpy(to, p, had);
        free(p);
    }
    return to;
}

/* ---- strings; with bulk memory the first three are single instructions ---- */

void *memcpy(void *to, const void *from, size_t bytes) { return __builtin_memcpy(to, from, bytes); }
void *memmove(void *to, const void *from, size_t bytes) { return __builtin_memmove(to, from, bytes); }
void *memset(void *to, int value, size_t bytes) { return __builtin_memset(to, value, bytes); }

int memcmp(const void *a, const void *b, size_t bytes)
{
    const unsigned char *s = a, *t = b;
    for (; bytes; bytes--, s++, t++)
        if (*s != *t) return *s - *t;
    return 0;
}

int strcmp(const char *a, const char *b)
{
    for (; *a && *a == *b; a++) b++;
    return (unsigned char)*a - (unsigned char)*b;
}

size_t strlen(const char *text)
{
    size_t n = 0;
    while (text[n]) n++;
    return n;
}

char *strcpy(char *to, const char *from) { return memcpy(to, from, strlen(from) + 1); }

/* ---- elementary functions ---- */

double fmin(double x, double y) { return y < x || isnan(x) ? y : x; }
double fmax(double x, double y) { return y > x || isnan(x) ? y : x; }

typedef union { double value; uint64_t bits; } word;

/* 2^k exp(r), |r| <= log(2) / 2, by its series. */
double exp(double x)
{
    double k, r, sum = 1;
    word scale;
    int i;
    if (!(x < 709.7)) return x > 0 ? HUGE_VAL : x;
    if (x < -708) return 0;
    k = rint(x * 1.4426950408889634);
    r = (x - k * 0.693147180369123816490) - k * 1.90821492927058770002e-10;
    for (i = 14; i; i--) sum = 1 + r / i * sum;
    scale.bits = (uint64_t)(1023 + (int64_t)k) << 52;
    return sum * scale.value;
}

/* x = 2^k m, m from sqrt(1/2) to sqrt(2); log m = 2 atanh s, s = (m - 1) / (m + 1), by its series. */
double log(double x)
{
    word m;
    double k = 0, s, sum = 0;
    int i;
    m.value = x;
    if (!(x > 0)) return x < 0 ? NAN : x == 0 ? -HUGE_VAL : x;
    if (x > 1.7976931348623157e308) return x;
    if (!(m.bits >> 52)) m.value *= 18014398509481984.0, k = -54;
    k += (double)(int64_t)(m.bits >> 52) - 1023;
    m.bits = (m.bits & 0xfffffffffffff) | (uint64_t)1023 << 52;
    if (m.value > 1.4142135623730951) m.value /= 2, k++;
    s = (m.value - 1) / (m.value + 1);
    for (i = 21; i > 0; i -= 2) sum = 1.0 / i + s * s * sum;
    return k * 0.693147180369123816490 + (k * 1.90821492927058770002e-10 + 2 * s * sum);
}

/* log(1 + x), where what 1 + x has lost of x is made good: its error over 1 + x is a factor. */
double log1p(double x)
{
    double y = 1 + x;
    return y == 1 || !(x < HUGE_VAL) ? x : log(y) * (x / (y - 1));
}

double ldexp(double x, int exponent)
{
    for (; exponent > 0; exponent--) x *= 2;
    for (; exponent < 0; exponent++) x /= 2;
    return x;
}

double pow(double x, double y) { return y == 0 ? 1 : x == 0 ? (y > 0 ? 0 : HUGE_VAL) : exp(y * log(x)); }

/* sin(x + turns right angles): less the nearest multiple of a right angle, by the series of sine or cosine. */
static double sine(double x, int turns)
{
    double k = rint(x * 0.63661977236758134308), r, sum = 1;
    int i, quarter = (int)((int64_t)k + turns) & 3, odd = quarter & 1;
    r = ((x - k * 1.57079632673412561417) - k * 6.07710050630396597660e-11) - k * 2.02226624879595063154e-21;
    for (i = 18 + !odd; i > 1; i -= 2) sum = 1 - r * r / (i * (i - 1)) * sum;
    if (!odd) sum *= r;
    return quarter & 2 ? -sum : sum;
}
double sin(double x) { return sine(x, 0); }
double cos(double x) { return sine(x, 1); }
float sinf(float x) { return (float)sine((double)x, 0); }
float cosf(float x) { return (float)sine((double)x, 1); }

/* atan z, 0 <= z <= 1, halved three times: tan(a / 2) = z / (1 + sqrt(1 + z^2)). */
double atan2(double y, double x)
{
    double a = fabs(y), b = fabs(x), z = a > b ? b / a : b > 0 ? a / b : 0, sum = 0;
    int i;
    for (i = 0; i < 3; i++) z /= 1 + sqrt(1 + z * z);
    for (i = 19; i > 0; i -= 2) sum = 1.0 / i - z * z * sum;
    z *= 8 * sum;
    if (a > b) z = 1.57079632679489661923 - z;
    if (x < 0) z = 3.14159265358979323846 - z;
    return y < 0 ? -z : z;
}
