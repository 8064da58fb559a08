/* base: status texts, scratch memory, random numbers. SPDX-License-Identifier: MIT */
#include "test.h"

static void status_texts(void)
{
    int i, j;
    for (i = CEL_OK; i <= CEL_ERR_STOPPED; i++)
        for (j = CEL_OK; j < i; j++) CHECK(strcmp(cel_strerror((cel_status)i), cel_strerror((cel_status)j)) != 0);
    CHECK(cel_strerror((cel_status)999) != NULL);
    CHECK(strcmp(cel_version(), CELCOMEN_VERSION) == 0);
    CHECK(cel_threads() >= 1);
}

static void work_grows(void)
{
    cel_work work;
    char *p, *q;
    memset(&work, 0, sizeof work);
    p = (char *)cel_work_get(&work, 100);
    CHECK(p != NULL && (size_t)p % 64 == 0);
    memset(p, 1, 100);
    q = (char *)cel_work_get(&work, 60);
    CHECK(q == p);
    q = (char *)cel_work_get(&work, 100000);
    CHECK(q != NULL && (size_t)q % 64 == 0);
    memset(q, 1, 100000);
    /* A request that cannot be met leaves what was there. */
    CHECK(cel_work_get(&work, (size_t)-1) == NULL);
    CHECK(cel_work_get(&work, 100000) == q);
    cel_work_free(&work);
    CHECK(work.data == NULL && work.bytes == 0);
    cel_work_free(&work);
}

/* The published known answers of Philox 4x32-10 (Random123): counter and key all zero, all ones, digits of pi. */
/* Around the size from which blocks begin on a huge page; twice, so that used memory comes back. */
static void large_blocks_are_zeroed(void)
{
    int64_t mb, i;
    int turn;
    for (mb = 7; mb < 12; mb += 2)
        for (turn = 0; turn < 2; turn++) {
            int64_t count = (mb << 20) / (int64_t)sizeof(cel_real), used = 0;
            cel_mat a;
            OK_OR_RETURN(cel_mat_new(1, count, &a));
            CHECK((uintptr_t)a.data % 64 == 0);
            for (i = 0; i < count; i++) used += a.data[i] < 0 || a.data[i] > 0;
            CHECK(used == 0);
            cel_mat_fill(a, 1);
            cel_mat_free(&a);
        }
}

static void philox_known_answers(void)
{
    static const uint32_t counter[3][4] = {{0, 0, 0, 0},
                                           {0xffffffffu, 0xffffffffu, 0xffffffffu, 0xffffffffu},
                                           {0x243f6a88u, 0x85a308d3u, 0x13198a2eu, 0x03707344u}};
    static const uint32_t key[3][2] = {{0, 0}, {0xffffffffu, 0xffffffffu}, {0xa4093822u, 0x299f31d0u}};
    static const uint32_t answer[3][4] = {{0x6627e8d5u, 0xe169c58du, 0xbc57ac4cu, 0x9b00dbd8u},
                                          {0x408f276du, 0x41c83b0eu, 0xa20bc7c6u, 0x6d5451fdu},
                                          {0xd16cfe09u, 0x94fdccebu, 0x5001e420u, 0x24126ea1u}};
    int i, j;
    for (i = 0; i < 3; i++) {
        cel_rng rng = cel_rng_at((uint64_t)key[i][1] << 32 | key[i][0], counter[i][3], counter[i][2], counter[i][1]);
        rng.block = counter[i][0];
        cel_rng_uniform(&rng);
        for (j = 0; j < 4; j++) CHECK(rng.word[j] == answer[i][j]);
    }
}

static void draws_depend_on_place_only(void)
{
    cel_rng a = cel_rng_at(7, 1, 2, 3), b = cel_rng_at(7, 1, 2, 3), c;
    double first[50];
    int i, differ[4] = {0, 0, 0, 0};
    for (i = 0; i < 50; i++) first[i] = cel_rng_uniform(&a);
    /* Others drawn in between change nothing. */
    for (i = 0; i < 50; i++) {
        c = cel_rng_at(7, 1, (uint32_t)(100 + i), 3);
        cel_rng_normal(&c);
        NEAR(cel_rng_uniform(&b), first[i], 0);
    }
    /* Every key matters. */
    a = cel_rng_at(8, 1, 2, 3);
    b = cel_rng_at(7, 2, 2, 3);
    c = cel_rng_at(7, 1, 3, 3);
    for (i = 0; i < 50; i++) {
        differ[0] += fabs(cel_rng_uniform(&a) - first[i]) > 0;
        differ[1] += fabs(cel_rng_uniform(&b) - first[i]) > 0;
        differ[2] += fabs(cel_rng_uniform(&c) - first[i]) > 0;
    }
    a = cel_rng_at(7, 1, 2, 4);
    for (i = 0; i < 50; i++) differ[3] += fabs(cel_rng_uniform(&a) - first[i]) > 0;
    for (i = 0; i < 4; i++) CHECK(differ[i] == 50);
}

/* Moments within five standard errors. */
static void check_moments(const char *what, double n, const double *sum, double mean, double variance, double fourth)
{
    double m = sum[0] / n, v = sum[1] / n - m * m;
    if (!(fabs(m - mean) <= 5 * sqrt(variance / n))) printf("  %s: mean %g\n", what, m);
    NEAR(m, mean, 5 * sqrt(variance / n));
    NEAR(v, variance, 5 * sqrt((fourth - variance * variance) / n));
}

static void uniform_statistics(void)
{
    enum { N = 200000 };
    cel_rng rng = cel_rng_at(11, 0, 0, 0);
    cel_real *many = (cel_real *)malloc(N * sizeof(cel_real));
    double sum[2] = {0, 0}, lag = 0, last = 0.5;
    int i, bin[16] = {0};
    for (i = 0; i < N; i++) {
        double u = cel_rng_uniform(&rng);
        CHECK(u >= 0 && u < 1);
        sum[0] += u;
        sum[1] += u * u;
        lag += (u - 0.5) * (last - 0.5);
        last = u;
        bin[(int)(u * 16)]++;
    }
    check_moments("uniform", N, sum, 0.5, 1.0 / 12, 1.0 / 80);
    NEAR(lag / N, 0, 5.0 / 12 / sqrt((double)N));
    for (i = 0; i < 16; i++) NEAR(bin[i], N / 16.0, 5 * sqrt(N / 16.0));
    cel_rng_uniforms(&rng, many, N);
    sum[0] = sum[1] = 0;
    for (i = 0; i < N; i++) {
        CHECK(many[i] >= 0 && many[i] < 1);
        sum[0] += (double)many[i];
        sum[1] += (double)many[i] * (double)many[i];
    }
    check_moments("uniforms", N, sum, 0.5, 1.0 / 12, 1.0 / 80);
    free(many);
}

static void normal_statistics(void)
{
    enum { N = 200000 };
    cel_rng rng = cel_rng_at(12, 0, 0, 0);
    double sum[2] = {0, 0};
    int i, beyond = 0;
    for (i = 0; i < N; i++) {
        double z = cel_rng_normal(&rng);
        sum[0] += z;
        sum[1] += z * z;
        beyond += fabs(z) > 1.959963984540054;
    }
    check_moments("normal", N, sum, 0, 1, 3);
    NEAR(beyond, 0.05 * N, 5 * sqrt(0.05 * 0.95 * N));
}

static void integers_are_even(void)
{
    enum { N = 70000 };
    cel_rng rng = cel_rng_at(13, 0, 0, 0);
    int i, bin[7] = {0};
    for (i = 0; i < N; i++) {
        uint32_t v = cel_rng_integer(&rng, 7);
        if (CHECK(v < 7)) bin[v]++;
    }
    for (i = 0; i < 7; i++) NEAR(bin[i], N / 7.0, 5 * sqrt(N / 7.0));
    CHECK(cel_rng_integer(&rng, 1) == 0);
    /* A bound that is rejected half of the time. */
    for (i = 0; i < 1000; i++) CHECK(cel_rng_integer(&rng, 0x80000001u) < 0x80000001u);
}

void suite_base(void);
void suite_base(void)
{
    RUN(status_texts);
    RUN(work_grows);
    RUN(large_blocks_are_zeroed);
    RUN(philox_known_answers);
    RUN(draws_depend_on_place_only);
    RUN(uniform_statistics);
    RUN(normal_statistics);
    RUN(integers_are_even);
}
