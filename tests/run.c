/* Runs every suite and prints the tally. Usage: run [--level NAME] [--only TEXT]
 *     [--suites "base dense"] [--brief] [--cases "names"] [--stop]
 * SPDX-License-Identifier: MIT */
#include "test.h"

#include <unistd.h>

test_state test_now;

#if !defined(SUITES) /* some machines lack what some of them need */
#define SUITES(X) X(base) X(dense) X(sparse) X(files) X(tables) X(tissue) X(model) X(moments) X(rows) X(score) X(counting) X(shifts) X(chosen) X(published) X(sampler) X(optimum) X(likelihood) X(perturb) X(keep) X(golden) X(slides) X(robust)
#endif

/* --brief: for runs under valgrind, where loops of statistics would take hours. */
int test_brief;

int test_listed(const char *list, const char *name)
{
    size_t n = strlen(name);
    const char *p = list;
    if (!list) return 1;
    while ((p = strstr(p, name)) != NULL) {
        if ((p == list || p[-1] == ' ') && (p[n] == 0 || p[n] == ' ')) return 1;
        p += n;
    }
    return 0;
}

#define SUITE_DECLARE(name) void suite_##name(void);
SUITES(SUITE_DECLARE)

const char *test_shared(void)
{
    static char probe[1024];
    const char *dir = getenv("CELCOMEN_SHARED");
    FILE *f;
    if (!dir || !*dir) dir = "../shared";
    snprintf(probe, sizeof probe, "%s/golden/README.md", dir);
    f = fopen(probe, "rb");
    if (!f) return NULL;
    fclose(f);
    return dir;
}

const char *test_tmp(void)
{
    static char dir[96] = "";
    if (!*dir) {
        const char *in = getenv("TMPDIR");
        snprintf(dir, sizeof dir, "%s/celcomen_test_XXXXXX", in && strlen(in) < 60 ? in : "/tmp");
        if (!mkdtemp(dir)) {
            perror("mkdtemp");
            exit(1);
        }
    }
    return dir;
}

/* -DTEST_COVER: the lines that a case reached go to a folder of its name, its seconds to standard output. */
#if defined(TEST_COVER)
void __gcov_dump(void);
void __gcov_reset(void);
static void cover_case(double sec)
{
    char folder[2048];
    snprintf(folder, sizeof folder, "%s/%s", getenv("TEST_COVER"), test_now.name);
    setenv("GCOV_PREFIX", folder, 1);
    __gcov_dump();
    __gcov_reset();
    printf("case %s %.3f\n", test_now.name, sec);
}
#endif

int main(int argc, char **argv)
{
    const char *level = NULL, *suites = NULL;
    char command[128];
    int i, status;
    setvbuf(stdout, NULL, _IOLBF, 0);
    for (i = 1; i < argc; i++) {
        if (!strcmp(argv[i], "--level") && i + 1 < argc) level = argv[++i];
        else if (!strcmp(argv[i], "--only") && i + 1 < argc) test_now.only = argv[++i];
        else if (!strcmp(argv[i], "--cases") && i + 1 < argc) test_now.cases = argv[++i];
        else if (!strcmp(argv[i], "--stop")) test_now.stop = 1;
        else if (!strcmp(argv[i], "--suites") && i + 1 < argc) suites = argv[++i];
        else if (!strcmp(argv[i], "--brief")) test_brief = 1;
        else {
            fprintf(stderr, "usage: %s [--level NAME] [--only TEXT] [--suites NAMES] [--brief] [--cases NAMES] [--stop]\n", argv[0]);
            return 2;
        }
    }
    if (level) {
        int k, found = 0;
        for (k = CEL_LEVEL_SCALAR; k <= CEL_LEVEL_AVX512; k++)
            if (!strcmp(level, cel_level_name((cel_level)k))) {
                cel_level got = cel_level_cap((cel_level)k);
                found = 1;
                if (got != (cel_level)k) {
                    printf("level %s: not on this machine\n0 passed, 0 failed, 1 skipped\n", level);
                    return 0;
                }
            }
        if (!found) {
            fprintf(stderr, "no level %s\n", level);
            return 2;
        }
    }
    printf("celcomen %s, %s, kernels %s, %d threads\n", cel_version(), sizeof(cel_real) == 8 ? "double" : "float",
           cel_level_name(cel_level_get()), cel_threads());
#if defined(TEST_COVER)
    test_now.after = cover_case;
#endif
#define SUITE_RUN(name) if (test_listed(suites, #name)) suite_##name();
    SUITES(SUITE_RUN)
    snprintf(command, sizeof command, "rm -rf %s", test_tmp());
    status = system(command);
    printf("%d passed, %d failed, %d skipped\n", test_now.passed, test_now.failed, test_now.skipped);
    return test_now.failed || status ? 1 : 0;
}
