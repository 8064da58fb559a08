/* The test harness: cases that count checks, and a runner's tally. SPDX-License-Identifier: MIT */
#ifndef CELCOMEN_TEST_H
#define CELCOMEN_TEST_H

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "celcomen.h"

typedef struct test_state {
    const char *name, *only;   /* the running case; run only cases whose name holds `only` */
    const char *cases;         /* only those named here, with spaces between; NULL: all */
    int stop;                  /* the first case that fails is the last */
    void (*after)(double sec); /* told of every case that has run, for tests/mutate.py */
    int failed_checks, skipped_case;
    int passed, failed, skipped;
} test_state;

extern test_state test_now; /* defined in run.c */
extern int test_brief;        /* run under valgrind: shorten loops of statistics */

/* Where the golden cases, slides and corpus are: $CELCOMEN_SHARED, else ../shared. NULL where absent. */
const char *test_shared(void);

/* 1 where `name` is one of the words of `list`, or list is NULL. */
int test_listed(const char *list, const char *name);

/* A scratch directory of this run, removed at its end. */
const char *test_tmp(void);

/* A check that fails says where, and goes on; only the first few of a case are printed. */
static inline int test_check(int ok, const char *what, const char *file, int line)
{
    if (!ok && test_now.failed_checks++ < 5) printf("  %s:%d: %s: failed: %s\n", file, line, test_now.name, what);
    return ok;
}

/* |a - b| <= tol; NaN on either side fails. */
static inline int test_near(double a, double b, double tol, const char *what, const char *file, int line)
{
    double err = fabs(a - b);
    int ok = err <= tol;
    if (!ok && test_now.failed_checks++ < 5)
        printf("  %s:%d: %s: %s: %.17g is not %.17g (off by %.3g, allowed %.3g)\n", file, line, test_now.name, what, a, b,
               err, tol);
    return ok;
}

#define CHECK(cond) test_check((cond) ? 1 : 0, #cond, __FILE__, __LINE__)
#define NEAR(a, b, tol) test_near((double)(a), (double)(b), (double)(tol), #a, __FILE__, __LINE__)
/* Relative to |b|. */
#define NEAR_REL(a, b, tol) NEAR(a, b, (double)(tol) * fabs((double)(b)))
/* Call succeeds; else the case ends here (use in void functions). */
#define OK_OR_RETURN(call)                                                                                             \
    do {                                                                                                               \
        cel_status test_status_ = (call);                                                                              \
        if (!test_check(test_status_ == CEL_OK, #call, __FILE__, __LINE__)) {                                          \
            printf("  %s\n", cel_strerror(test_status_));                                                              \
            return;                                                                                                    \
        }                                                                                                              \
    } while (0)
#define SKIP(why)                                                                                                      \
    do {                                                                                                               \
        printf("  skipped: %s: %s\n", test_now.name, why);                                                             \
        test_now.skipped_case = 1;                                                                                     \
        return;                                                                                                        \
    } while (0)
/* The identity and copies of up to three matrices (NULL: none), for tests that keep their own. 1 where it worked. */
static inline int test_relations(cel_relations *r, int64_t cells, const cel_csr *a, const cel_csr *b, const cel_csr *c)
{
    const cel_csr *w[3];
    char name[2] = "a";
    int k, ok = cel_relations_new(cells, r) == CEL_OK;
    w[0] = a, w[1] = b, w[2] = c;
    for (k = 0; k < 3 && ok; k++) {
        cel_csr back = CEL_ZERO, copy = CEL_ZERO;
        if (!w[k]) break;
        ok = cel_csr_transpose(w[k], &back) == CEL_OK && cel_csr_transpose(&back, &copy) == CEL_OK;
        cel_csr_free(&back);
        name[0] = (char)('a' + k);
        if (ok) ok = cel_relations_add(r, name, &copy, NULL) == CEL_OK;
    }
    return ok;
}
#define RUN(fn) test_run(#fn, fn)

static inline void test_run(const char *name, void (*fn)(void))
{
    const clock_t start = clock();
    if ((test_now.only && !strstr(name, test_now.only)) || !test_listed(test_now.cases, name)) return;
    if (test_now.stop && test_now.failed) return;
    test_now.name = name;
    test_now.failed_checks = test_now.skipped_case = 0;
    fn();
    if (test_now.failed_checks) {
        test_now.failed++;
        printf("  FAILED %s (%d checks)\n", name, test_now.failed_checks);
    } else if (test_now.skipped_case) {
        test_now.skipped++;
    } else {
        test_now.passed++;
    }
    if (test_now.after) test_now.after((double)(clock() - start) / CLOCKS_PER_SEC);
}

#endif
