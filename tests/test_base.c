/* base: status texts, scratch memory, random numbers. SPDX-License-Identifier: MIT */
#include "test.h"

#if defined(__SANITIZE_ADDRESS__)
#include <sanitizer/asan_interface.h>
#endif

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

/* The first byte behind a block, and what a reused scratch has beyond the request, are out of bounds. */
static void H12_slack_is_poisoned(void)
{
#if defined(__SANITIZE_ADDRESS__)
    cel_work work = CEL_ZERO;
    cel_mat a;
    char *p;
    OK_OR_RETURN(cel_mat_new(1, 3, &a));
    CHECK(__asan_address_is_poisoned(a.data + 3) && __asan_address_is_poisoned((char *)a.data - 1));
    CHECK(!__asan_address_is_poisoned(a.data) && !__asan_address_is_poisoned((char *)(a.data + 3) - 1));
    cel_mat_free(&a);
    p = (char *)cel_work_get(&work, 1000);
    CHECK(p && !__asan_address_is_poisoned(p + 999) && __asan_address_is_poisoned(p + 1000));
    p = (char *)cel_work_get(&work, 40);
    CHECK(p && !__asan_address_is_poisoned(p + 39) && __asan_address_is_poisoned(p + 40));
    p = (char *)cel_work_get(&work, 800);
    CHECK(p && !__asan_address_is_poisoned(p + 799) && __asan_address_is_poisoned(p + 800));
    cel_work_free(&work);
#else
    SKIP("not under AddressSanitizer");
#endif
}

/* lgamma leaves its sign in a global, where two threads would race. */
static void H25_no_global_sign_of_gamma(void)
{
    signgam = 77;
    NEAR(cel_student_p(2.0, 7.0), 0.0856202, 1e-6);
    CHECK(signgam == 77);
}

/* Student's t against closed forms: df = 1, P = 1 - 2 atan(t) / pi; df = 2, P = 1 - t / sqrt(t^2 + 2). */
static void student_p(void)
{
    double t;
    for (t = 1e-6; t < 1e6; t *= 1.7) {
        NEAR_REL(cel_student_p(t, 1), 2 / 3.14159265358979323846 * atan2(1, t), 2e-14);
        NEAR_REL(cel_student_p(-t, 2), 2 / (sqrt(t * t + 2) * (sqrt(t * t + 2) + t)), 2e-14);
    }
    CHECK(isnan(cel_student_p(NAN, 3)) && isnan(cel_student_p(1, 0)));
    NEAR(cel_student_p(0, 3), 1, 0);
    NEAR(cel_student_p(INFINITY, 3), 0, 0);
}

/* The published known answers of Philox 4x32-10 (Random123): counter and key all zero, all ones, digits of pi. */
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

/* Draws of mean `mean` against the probabilities p(k): mean, variance and chi-square over the values with an expected
 * number of at least 10, the rest in one bin. */
static void check_counts(int64_t *draw, int count, double mean, double variance, const double *p, int values)
{
    double sum = 0, square = 0, chi = 0, rest = count, seen = count;
    int i, k, bins = 0;
    for (i = 0; i < count; i++) {
        sum += (double)draw[i] - mean;
        square += ((double)draw[i] - mean) * ((double)draw[i] - mean);
    }
    NEAR(sum / count, 0, 5 * sqrt(variance / count));
    NEAR(square / count, variance, 5 * sqrt((2 * variance * variance + 2 * variance) / count) + 25 * variance / count);
    for (k = 0; k < values; k++) {
        double expected = p[k] * count, here = 0;
        if (expected < 10) continue;
        for (i = 0; i < count; i++) here += draw[i] == k;
        chi += (here - expected) * (here - expected) / expected;
        rest -= expected;
        seen -= here;
        bins++;
    }
    if (rest > 1) chi += (seen - rest) * (seen - rest) / rest;
    NEAR(chi, bins, 5 * sqrt(2.0 * bins) + 5);
}

static void poisson_statistics(void)
{
    enum { N = 100000, VALUES = 400 };
    static const double means[] = {0.01, 0.7, 5, 9.99, 10, 14.3, 80, 250};
    int64_t *draw = (int64_t *)malloc(N * sizeof *draw);
    double p[VALUES];
    size_t m;
    int i, k;
    for (m = 0; m < sizeof means / sizeof *means; m++) {
        for (i = 0; i < N; i++) {
            cel_rng rng = cel_rng_at(21, 0, (uint32_t)i, (uint32_t)m);
            draw[i] = cel_rng_poisson(&rng, means[m]);
        }
        for (k = 0; k < VALUES; k++) p[k] = exp(k * log(means[m]) - means[m] - lgamma(k + 1.0));
        check_counts(draw, N, means[m], means[m], p, VALUES);
    }
    {
        cel_rng rng = cel_rng_at(22, 0, 0, 0);
        double big = (double)cel_rng_poisson(&rng, 1e12);
        CHECK(cel_rng_poisson(&rng, 0) == 0 && cel_rng_poisson(&rng, -1) == 0);
        CHECK(cel_rng_poisson(&rng, (double)NAN) == 0);
        NEAR(big, 1e12, 6e6);
        CHECK(cel_rng_poisson(&rng, (double)INFINITY) > 0);
        for (i = 0, k = 0; i < 1000000; i++) k += cel_rng_poisson(&rng, 10) == 0;
        NEAR(k, 1e6 * exp(-10.0), 27); /* nothing is rare enough never to be drawn: four deviations */
    }
    free(draw);
}

/* Gamma by its moments, and by the negative binomial that it mixes into Poisson draws. */
static void gamma_statistics(void)
{
    enum { N = 100000, VALUES = 400 };
    static const double shapes[] = {0.3, 1, 3.3, 40};
    int64_t *draw = (int64_t *)malloc(N * sizeof *draw);
    double p[VALUES];
    size_t m;
    int i, k;
    for (m = 0; m < sizeof shapes / sizeof *shapes; m++) {
        double r = shapes[m], sum[2] = {0, 0}, mean = 4, fourth = 3 + 6 / r;
        cel_rng rng = cel_rng_at(23, 0, (uint32_t)m, 0);
        for (i = 0; i < N; i++) {
            double g = cel_rng_gamma(&rng, r);
            CHECK(g >= 0);
            sum[0] += g;
            sum[1] += (g - r) * (g - r);
            draw[i] = cel_rng_poisson(&rng, mean / r * g);
        }
        NEAR(sum[0] / N, r, 5 * sqrt(r / N));
        NEAR(sum[1] / N, r, 5 * r * sqrt((fourth - 1) / N));
        for (k = 0; k < VALUES; k++)
            p[k] = exp(lgamma(k + r) - lgamma(r) - lgamma(k + 1.0) + r * log(r / (r + mean)) +
                       k * log(mean / (r + mean)));
        sum[0] = 0;
        for (k = 0; k < VALUES; k++) sum[0] += p[k];
        NEAR(sum[0], 1, 1e-3);
        {
            double chi = 0, bins = 0;
            for (k = 0; k < VALUES && p[k] * N >= 10; k++, bins++) {
                double here = 0;
                for (i = 0; i < N; i++) here += draw[i] == k;
                chi += (here - p[k] * N) * (here - p[k] * N) / (p[k] * N);
            }
            NEAR(chi, bins, 5 * sqrt(2 * bins) + 5);
        }
    }
    {
        cel_rng rng = cel_rng_at(24, 0, 0, 0);
        NEAR(cel_rng_gamma(&rng, 0), 0, 0);
        NEAR(cel_rng_gamma(&rng, (double)NAN), 0, 0);
    }
    free(draw);
}

void suite_base(void);
void suite_base(void)
{
    RUN(status_texts);
    RUN(work_grows);
    RUN(large_blocks_are_zeroed);
    RUN(H12_slack_is_poisoned);
    RUN(H25_no_global_sign_of_gamma);
    RUN(student_p);
    RUN(philox_known_answers);
    RUN(draws_depend_on_place_only);
    RUN(uniform_statistics);
    RUN(normal_statistics);
    RUN(integers_are_even);
    RUN(poisson_statistics);
    RUN(gamma_statistics);
}
