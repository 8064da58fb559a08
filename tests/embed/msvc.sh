#!/bin/sh
# Writes into the folder $1 the declarations of the C library that celcomen.h uses, for a compiler without one.
# SPDX-License-Identifier: MIT
cd "$1" || exit 1
guard() { printf '#pragma once\n#ifdef __cplusplus\nextern "C" {\n#endif\n'; cat; printf '#ifdef __cplusplus\n}\n#endif\n'; }
guard > stddef.h << 'EOC'
typedef unsigned long long size_t;
typedef long long ptrdiff_t;
#define NULL 0
#define offsetof(t, m) __builtin_offsetof(t, m)
EOC
guard > stdint.h << 'EOC'
typedef signed char int8_t; typedef short int16_t; typedef int int32_t; typedef long long int64_t;
typedef unsigned char uint8_t; typedef unsigned short uint16_t; typedef unsigned uint32_t; typedef unsigned long long uint64_t;
typedef unsigned long long uintptr_t; typedef long long intptr_t;
#define INT32_MAX 2147483647
#define UINT32_MAX 4294967295u
#define INT64_MAX 9223372036854775807ll
#define INT64_MIN (-INT64_MAX - 1)
#define UINT64_MAX 18446744073709551615ull
#define SIZE_MAX UINT64_MAX
#define PTRDIFF_MAX INT64_MAX
EOC
guard > float.h << 'EOC'
#define FLT_EPSILON 1.19209290e-7f
#define FLT_MAX 3.40282347e+38f
#define FLT_MIN 1.17549435e-38f
#define DBL_EPSILON 2.2204460492503131e-16
#define DBL_MAX 1.7976931348623158e+308
#define DBL_MIN 2.2250738585072014e-308
EOC
guard > limits.h << 'EOC'
#define INT_MAX 2147483647
#define INT_MIN (-INT_MAX - 1)
#define LONG_MAX 2147483647L
#define CHAR_BIT 8
EOC
{
    echo '#define NAN (__builtin_nanf(""))'
    echo '#define INFINITY (__builtin_inff())'
    echo '#define HUGE_VAL (__builtin_inf())'
    for f in sqrt exp expm1 log log1p log10 log2 sin cos tan tanh cosh sinh asin acos atan fabs floor ceil cbrt erf erfc exp2 trunc; do
        echo "double $f(double); float ${f}f(float);"
    done
    for f in pow atan2 hypot fmod fmax fmin copysign; do echo "double $f(double, double); float ${f}f(float, float);"; done
    echo 'double ldexp(double, int); double frexp(double, int *); double fma(double, double, double); float fmaf(float, float, float);'
} | guard > math.h
guard > string.h << 'EOC'
#include <stddef.h>
void *memcpy(void *, const void *, size_t); void *memmove(void *, const void *, size_t); void *memset(void *, int, size_t);
int memcmp(const void *, const void *, size_t); size_t strlen(const char *); int strcmp(const char *, const char *);
int strncmp(const char *, const char *, size_t); size_t strspn(const char *, const char *); size_t strcspn(const char *, const char *);
char *strcpy(char *, const char *); char *strcat(char *, const char *); void *memchr(const void *, int, size_t);
char *strchr(const char *, int); char *strrchr(const char *, int); char *strstr(const char *, const char *); char *strpbrk(const char *, const char *);
EOC
guard > stdlib.h << 'EOC'
#include <stddef.h>
void *malloc(size_t); void *calloc(size_t, size_t); void *realloc(void *, size_t); void free(void *); char *getenv(const char *);
EOC
guard > stdio.h << 'EOC'
#include <stddef.h>
typedef struct FILE FILE;
#define SEEK_SET 0
#define SEEK_END 2
FILE *fopen(const char *, const char *); int fclose(FILE *); size_t fread(void *, size_t, size_t, FILE *); int ferror(FILE *);
size_t fwrite(const void *, size_t, size_t, FILE *); int fseek(FILE *, long, int); long ftell(FILE *); void rewind(FILE *);
int rename(const char *, const char *); int remove(const char *); int fflush(FILE *); int snprintf(char *, size_t, const char *, ...);
EOC
