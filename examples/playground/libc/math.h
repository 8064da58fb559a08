/* <math.h> without a C library: single instructions of WebAssembly first, then what libc.c has, then what celcomen.h
 * names but the playground never reaches (the linker would say so). SPDX-License-Identifier: MIT */
#define sqrt(x) __builtin_sqrt(x)
#define fabs(x) __builtin_fabs(x)
#define floor(x) __builtin_floor(x)
#define ceil(x) __builtin_ceil(x)
#define rint(x) __builtin_rint(x)
#define isnan(x) __builtin_isnan(x)
#define isfinite(x) __builtin_isfinite(x)
#define INFINITY __builtin_inff()
#define HUGE_VAL __builtin_inf()
#define NAN __builtin_nanf("")
double exp(double x), log(double x), sin(double x), cos(double x), atan2(double y, double x), pow(double x, double y);
double fmin(double x, double y), fmax(double x, double y);
float sinf(float x), cosf(float x);
double log10(double x), log1p(double x), expm1(double x), hypot(double x, double y), fma(double x, double y, double z);
double tanh(double x), sinh(double x), cosh(double x), tan(double x), lgamma(double x), ldexp(double x, int exponent);
double frexp(double x, int *exponent), round(double x), trunc(double x), fmod(double x, double y), acos(double x);
