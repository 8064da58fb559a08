/* Memos of long fits: the bits with one, without, and after an end at any of its parts; the file that keeps one, cut at
 * every length and changed at every byte. SPDX-License-Identifier: MIT */
#include "law.h"

#include <sys/stat.h>

/* ---- a memo in memory, which fails or forgets ---- */

enum { MOST = 64 };
typedef struct memo {
    char stage[MOST][64];
    int64_t step[MOST];
    void *data[MOST];
    size_t bytes[MOST];
    int count, saves, loads, most; /* parts; calls; saves after which one fails (0: never) */
    unsigned forget;               /* not 0: a random half of what is asked for is not there */
} memo;

static int memo_find(const memo *m, const char *stage, int64_t step)
{
    int k;
    for (k = 0; k < m->count && (m->step[k] != step || strcmp(m->stage[k], stage)); k++) continue;
    return k;
}
static int memo_load(void *user, const char *stage, int64_t step, void *data, size_t bytes)
{
    memo *m = (memo *)user;
    int k = memo_find(m, stage, step);
    if (k == m->count || m->bytes[k] != bytes) return 0;
    if (data && m->forget && (m->forget = m->forget * 1664525u + 1013904223u) >> 31) return 0;
    if (!data) return 1;
    m->loads++;
    memcpy(data, m->data[k], bytes);
    return 1;
}
static cel_status memo_save(void *user, const char *stage, int64_t step, const void *data, size_t bytes)
{
    memo *m = (memo *)user;
    int k = memo_find(m, stage, step);
    m->saves++;
    if (m->most && m->saves > m->most) return CEL_ERR_IO;
    if (k == MOST) return CEL_ERR_MEMORY;
    if (k == m->count) m->count++;
    else free(m->data[k]);
    snprintf(m->stage[k], sizeof m->stage[k], "%s", stage);
    m->step[k] = step;
    m->bytes[k] = bytes;
    m->data[k] = malloc(bytes + 1);
    memcpy(m->data[k], data, bytes);
    return CEL_OK;
}
static void memo_clear(memo *m)
{
    int k;
    for (k = 0; k < m->count; k++) free(m->data[k]);
    memset(m, 0, sizeof *m);
}

/* ---- fits ---- */

typedef struct scene {
    cel_relations relations;
    cel_mat x, counts, positive; /* the last: counts of unit length */
    int32_t *group, *slide;
    cel_moments moments[8];
    int32_t condition[8], parts[8];
    cel_model start;
    double *size;
} scene;

/* 256 cells of a torus in 16 tiles and two slides, counts of six genes, and rows made of them. */
static void scene_make(scene *s)
{
    enum { SIDE = 16, S = SIDE * SIDE, N = 6 };
    cel_csr w = torus(SIDE);
    double spread[2] = {3, 0.5};
    cel_rng rng = cel_rng_at(11, 1, 0, 0);
    int64_t i, k;
    memset(s, 0, sizeof *s);
    CHECK(cel_relations_new(S, &s->relations) == CEL_OK && !cel_relations_add(&s->relations, "inter", &w, NULL));
    CHECK(!cel_mat_new(S, N, &s->x) && !cel_mat_new(S, N, &s->counts) && !cel_mat_new(S, N, &s->positive));
    s->group = (int32_t *)malloc(2 * S * sizeof *s->group);
    s->slide = s->group + S;
    s->size = (double *)malloc(N * sizeof(double));
    s->start = forces(7, N, 2, spread, 0);
    for (k = 0; k < N; k++) s->size[k] = 1 / sqrt((double)N);
    for (i = 0; i < S; i++) {
        double mean = 0, length = 0, shared = cel_rng_normal(&rng);
        s->group[i] = (int32_t)(4 * (i / SIDE / 4) + i % SIDE / 4);
        s->slide[i] = (int32_t)(i / (S / 2));
        for (k = 0; k < N; k++) {
            double z = 0.5 * cel_rng_normal(&rng) + (k < 2 ? 0.5 * shared : 0);
            if (i) z += 0.1 * log(1 + (double)s->counts.data[(i - 1) * N + (k + 1) % N]);
            s->counts.data[i * N + k] = (cel_real)cel_rng_poisson(&rng, 20 * exp(z));
        }
        for (k = 0; k < N; k++) mean += log(1 + (double)s->counts.data[i * N + k]) / N;
        for (k = 0; k < N; k++) {
            double v = log(1 + (double)s->counts.data[i * N + k]) - mean + 1e-3 * (double)(k - 2);
            s->x.data[i * N + k] = (cel_real)v;
            length += v * v;
        }
        for (mean = 0, k = 0; k < N; k++) mean += (double)(s->x.data[i * N + k] /= (cel_real)sqrt(length)) / N;
        for (length = 0, k = 0; k < N; k++) {
            s->x.data[i * N + k] -= (cel_real)mean;
            length += (double)s->x.data[i * N + k] * (double)s->x.data[i * N + k];
        }
        for (k = 0; k < N; k++) s->x.data[i * N + k] /= (cel_real)sqrt(length);
    }
    CHECK(!cel_mat_copy(s->counts, s->positive) && !cel_slide_unit(s->positive, NULL, NULL, NULL));
    for (k = 0; k < 8; k++) {
        int32_t list[S / 8];
        for (i = 0; i < S / 8; i++) list[i] = (int32_t)(k * (S / 8) + i);
        CHECK(!cel_moments_new(N, &s->relations, s->moments + k));
        CHECK(!cel_moments_add(s->moments + k, &s->relations, s->x, list, S / 8, NULL));
        s->condition[k] = (int32_t)(k / 4);
        s->parts[k] = (int32_t)k;
    }
}
static void scene_drop(scene *s)
{
    int k;
    for (k = 0; k < 8; k++) cel_moments_free(s->moments + k);
    cel_relations_free(&s->relations);
    cel_model_free(&s->start);
    cel_mat_free(&s->x);
    cel_mat_free(&s->counts);
    cel_mat_free(&s->positive);
    free(s->group);
    free(s->size);
}

/* A sum over the bits of matrices. */
typedef struct bits {
    uint64_t sum;
} bits;
static void bits_add(bits *b, cel_mat a)
{
    const unsigned char *c = (const unsigned char *)a.data;
    size_t n = a.data ? (size_t)(a.rows * a.cols) * sizeof(cel_real) : 0;
    while (n-- > 0) b->sum = (b->sum ^ *c++) * 1099511628211u;
}
static void bits_report(bits *b, const cel_score_report *r)
{
    bits_add(b, r->se);
    bits_add(b, r->q);
    bits_add(b, r->partial);
    bits_add(b, r->test);
    bits_add(b, r->share);
    bits_add(b, r->field);
    b->sum += (uint64_t)r->iterations + (uint64_t)r->path + (uint64_t)(1e9 * fabs(r->held_out));
}

enum { MEASURED, EXACT, ORTHANT_OR_NOT, LASSO, STORED, SHIFTS, COUNTS, LIKELIHOOD, CENTRED, FITS };
static const char *const fit_name[FITS] = {"measured", "exact", "picked form", "l1", "stored moments", "shifts",
                                           "counts", "likelihood", "likelihood, centred"};

static cel_status fit_score(const scene *s, int which, const cel_keep *keep, bits *b)
{
    cel_score_options o = CEL_ZERO;
    cel_score_report report;
    cel_model model;
    cel_status status;
    if (which == MEASURED || which == STORED) o = cel_score_measured(s->size);
    else o.ridge = CEL_SCORE_PICKED;
    if (which == EXACT) o.form = CEL_SCORE_EXACT;
    if (which == ORTHANT_OR_NOT) o.form = CEL_SCORE_PICK;
    if (which == LASSO) o.form = CEL_SCORE_MOMENT, o.ridge = 0.01, o.l1 = CEL_SCORE_PICKED;
    o.group = s->group;
    o.slide = which == STORED ? NULL : s->slide;
    o.keep = keep;
    status = which == STORED ? cel_score_fit_moments(s->moments, 8, &o, &model, &report, NULL, NULL)
                             : cel_score_fit(&s->relations, which == ORTHANT_OR_NOT ? s->positive : s->x, &o, &model,
                                             &report, NULL, NULL);
    bits_add(b, model.force);
    bits_report(b, &report);
    cel_model_free(&model);
    cel_score_report_free(&report);
    return status;
}

static cel_status fit_likelihood(const scene *s, int which, const cel_keep *keep, bits *b)
{
    cel_likelihood_options o = CEL_ZERO;
    cel_likelihood_report report;
    cel_model model;
    cel_status status;
    o.steps = 24;
    o.check = 12;
    o.warmup = 5;
    o.seed = 3;
    o.chains = which == CENTRED ? 1 : 2;
    o.field = which != CENTRED;
    o.centred = which == CENTRED;
    o.slide = s->slide;
    o.size = which == CENTRED ? s->size : NULL;
    o.start = which == CENTRED ? NULL : &s->start;
    o.keep = keep;
    status = cel_likelihood_fit(&s->relations, s->x, &o, &model, &report, NULL);
    bits_add(b, model.force);
    bits_add(b, report.error);
    bits_add(b, report.se);
    bits_add(b, report.partial);
    bits_add(b, report.trace);
    b->sum += (uint64_t)(1e9 * report.acceptance) + (uint64_t)(1e9 * report.step);
    cel_model_free(&model);
    cel_likelihood_report_free(&report);
    return status;
}

static cel_status fit(const scene *s, int which, const cel_keep *keep, bits *b)
{
    cel_status status;
    b->sum = 14695981039346656037u;
    if (which == SHIFTS) {
        cel_score_options o = cel_score_measured(s->size);
        cel_shift_report report;
        o.group = s->parts;
        o.keep = keep;
        status = cel_shift_fit(s->moments, 8, s->condition, &o, &report, NULL, NULL);
        bits_add(b, report.shift);
        bits_add(b, report.sparse);
        bits_add(b, report.se);
        bits_add(b, report.control);
        bits_add(b, report.target_q);
        cel_shift_report_free(&report);
    } else if (which == COUNTS) {
        cel_count_data d = CEL_ZERO;
        cel_count_options o = CEL_ZERO;
        cel_count_result out;
        d.relations = &s->relations;
        d.counts = s->counts;
        d.level = s->slide;
        o.group = s->group;
        o.keep = keep;
        status = cel_count_fit(&d, &o, &out, NULL);
        bits_add(b, out.model.force);
        bits_add(b, out.rows);
        bits_add(b, out.error);
        bits_report(b, &out.report);
        cel_count_free(&out);
    } else {
        status = which >= LIKELIHOOD ? fit_likelihood(s, which, keep, b) : fit_score(s, which, keep, b);
    }
    return status;
}

/* Without a memo, with one, with one that has all; after a failure at each save; with one that forgets. */
static void memos_do_not_change_bits(void)
{
    scene s;
    int which, all, k;
    scene_make(&s);
    for (which = 0; which < FITS; which++) {
        memo m = CEL_ZERO;
        cel_keep keep = {memo_load, memo_save, NULL, "a part"};
        bits plain, now;
        const int before = test_now.failed_checks;
        keep.user = &m;
        CHECK(fit(&s, which, NULL, &plain) == CEL_OK);
        CHECK(fit(&s, which, &keep, &now) == CEL_OK && now.sum == plain.sum);
        all = m.saves;
        CHECK(all > 1 && !m.loads && !strncmp(m.stage[0], "a part/", 7));
        m.saves = 0;
        CHECK(fit(&s, which, &keep, &now) == CEL_OK && now.sum == plain.sum);
        CHECK(!m.saves && m.loads == m.count); /* all was there */
        memo_clear(&m);
        for (k = 1; k < all; k += 1 + all / 5) {
            m.most = k;
            CHECK(fit(&s, which, &keep, &now) == CEL_ERR_IO && m.saves == k + 1);
            m.saves = m.most = 0;
            CHECK(fit(&s, which, &keep, &now) == CEL_OK && now.sum == plain.sum);
            CHECK(m.saves <= all - k + (which == COUNTS)); /* what was there was not made again, or half of a pair */
            memo_clear(&m);
        }
        for (k = 1; k < 4; k++) {
            m.most = all * k / 4 + 1;
            (void)fit(&s, which, &keep, &now);
            m.most = 0;
            m.forget = (unsigned)(1 + which * 100 + k);
            CHECK(fit(&s, which, &keep, &now) == CEL_OK && now.sum == plain.sum);
            memo_clear(&m);
        }
        if (test_now.failed_checks > before) printf("  fit: %s\n", fit_name[which]);
    }
    scene_drop(&s);
}

/* ---- the file ---- */

static const char *log_path(void)
{
    static char path[256];
    snprintf(path, sizeof path, "%s/checkpoint", test_tmp());
    return path;
}
/* What part k of the file should be, at its `turn`. */
static unsigned char *part_of(int k, int turn, size_t bytes)
{
    static unsigned char data[4096];
    size_t i;
    for (i = 0; i < bytes; i++) data[i] = (unsigned char)((size_t)(k * 31 + turn * 7) + i * i);
    return data;
}
static size_t part_bytes(int k) { return (size_t)(k * 37 % 90); }

static int log_make(void)
{
    cel_keep keep;
    int64_t found;
    int k, ok = 1;
    remove(log_path());
    if (!CHECK(cel_keep_open(log_path(), "mark", 4, &keep, &found, NULL) == CEL_OK && !found)) return 0;
    for (k = 0; k < 5; k++) ok &= !keep.save(keep.user, "stage", k, part_of(k, 0, part_bytes(k)), part_bytes(k));
    ok &= !keep.save(keep.user, "stage", 1, part_of(1, 1, part_bytes(1)), part_bytes(1)); /* replaced */
    ok &= !keep.save(keep.user, "other", 1, part_of(9, 0, 10), 10);
    cel_keep_close(&keep);
    CHECK(!keep.user && ok);
    return ok;
}

/* Parts that are found are right; how many. Part 1 may be of either turn. -1: the file was refused. */
static int log_read(cel_error *err)
{
    cel_keep keep;
    int64_t found;
    unsigned char data[4096];
    int k, good = 0;
    if (cel_keep_open(log_path(), "mark", 4, &keep, &found, err)) {
        CHECK(!keep.user && !keep.load && !found);
        return -1;
    }
    for (k = 0; k < 5; k++) {
        size_t n = part_bytes(k);
        if (!keep.load(keep.user, "stage", k, data, n)) continue;
        CHECK(!memcmp(data, part_of(k, 0, n), n) || (k == 1 && !memcmp(data, part_of(k, 1, n), n)));
        CHECK(!keep.load(keep.user, "stage", k, data, n + 1)); /* of another size there is none */
        good++;
    }
    if (keep.load(keep.user, "other", 1, data, 10)) {
        CHECK(!memcmp(data, part_of(9, 0, 10), 10));
        good++;
    }
    CHECK(good + keep.load(keep.user, "new", 0, data, 8) == found);
    /* It can be added to, whatever it was. */
    CHECK(!keep.save(keep.user, "new", 0, "12345678", 8) && keep.load(keep.user, "new", 0, data, 8));
    CHECK(!memcmp(data, "12345678", 8));
    cel_keep_close(&keep);
    return good;
}

/* A name of stages that would be cut short, so that two of them met under one, ends the work. */
static void a_part_of_a_long_name_is_refused(void)
{
    static const char name[] = "a name of sixty bytes and more, which would not leave room for a stage";
    memo m;
    scene s;
    cel_keep keep = CEL_ZERO;
    cel_score_options o = CEL_ZERO;
    cel_model law;
    memset(&m, 0, sizeof m);
    scene_make(&s);
    keep.load = memo_load;
    keep.save = memo_save;
    keep.user = &m;
    keep.part = name;
    o.keep = &keep;
    o.form = CEL_SCORE_MOMENT;
    CHECK(cel_score_fit(&s.relations, s.x, &o, &law, NULL, NULL, NULL) == CEL_ERR_ARG);
    CHECK(!m.saves && !law.force.data);
    keep.part = "short";
    OK_OR_RETURN(cel_score_fit(&s.relations, s.x, &o, &law, NULL, NULL, NULL));
    CHECK(m.saves > 0 && !strncmp(m.stage[0], "short/", 6));
    cel_model_free(&law);
    memo_clear(&m);
    scene_drop(&s);
}

static void a_file_keeps_parts(void)
{
    cel_file whole;
    cel_error err;
    size_t cut, i;
    int last = -1, good;
    if (!log_make()) return;
    OK_OR_RETURN(cel_file_open(log_path(), 0, &whole, NULL));
    CHECK(log_read(NULL) == 6);
    for (cut = 0; cut <= whole.size; cut++) {
        OK_OR_RETURN(cel_file_write(log_path(), whole.bytes, cut, NULL));
        memset(&err, 0, sizeof err);
        good = log_read(&err);
        CHECK(good >= last || !cut); /* the longer, the more */
        CHECK(good >= 0 || ((err.status == CEL_ERR_FORMAT || err.status == CEL_ERR_DATA) && err.what));
        if (cut) last = good;
        if (good < 0) continue;
        CHECK(log_read(NULL) == good); /* what was added is there, and what was before */
    }
    CHECK(last == 6);
    for (i = 0; i < whole.size; i++) {
        unsigned char *copy = (unsigned char *)malloc(whole.size);
        memcpy(copy, whole.bytes, whole.size);
        copy[i] ^= (unsigned char)(1 << i % 8);
        OK_OR_RETURN(cel_file_write(log_path(), copy, whole.size, NULL));
        good = log_read(&err);
        CHECK(good < 6 && (good >= 0 || err.what));
        free(copy);
    }
    cel_file_close(&whole);
}

static void a_file_refuses_others(void)
{
    cel_keep keep;
    cel_error err;
    int64_t found;
    char there[8] = "";
    FILE *f;
    if (!log_make()) return;
    CHECK(cel_keep_open(log_path(), "marc", 4, &keep, &found, &err) == CEL_ERR_DATA && strstr(err.what, "other input"));
    CHECK(cel_keep_open(log_path(), "mark2", 5, &keep, &found, &err) == CEL_ERR_DATA);
    if (cel_level_get() > CEL_LEVEL_SCALAR) {
        cel_level level = cel_level_get();
        cel_level_cap(CEL_LEVEL_SCALAR);
        CHECK(cel_keep_open(log_path(), "mark", 4, &keep, &found, &err) == CEL_ERR_DATA && strstr(err.what, "kernels"));
        cel_level_cap(level);
    }
    CHECK(log_read(NULL) == 6); /* and is left alone */
    OK_OR_RETURN(cel_file_write(log_path(), "my thesis", 9, NULL));
    CHECK(cel_keep_open(log_path(), "mark", 4, &keep, &found, &err) == CEL_ERR_FORMAT && strstr(err.what, "no checkpoint"));
    f = fopen(log_path(), "rb");
    CHECK(f && fread(there, 1, 8, f) == 8 && !memcmp(there, "my thesi", 8));
    if (f) fclose(f);
    CHECK(cel_keep_open("/nowhere/at/all", "mark", 4, &keep, &found, &err) == CEL_ERR_IO);
    remove(log_path());
}

/* A part that is replaced over and over does not let the file grow without end. */
static void a_file_does_not_grow(void)
{
    enum { MEGA = 1 << 20 };
    cel_keep keep;
    int64_t found, k;
    struct stat info;
    char *data = (char *)calloc(1, MEGA), *back = (char *)calloc(1, MEGA);
    remove(log_path());
    OK_OR_RETURN(cel_keep_open(log_path(), NULL, 0, &keep, &found, NULL));
    CHECK(!keep.save(keep.user, "once", 0, "abc", 4));
    for (k = 0; k < 60; k++) {
        data[k] = (char)k;
        CHECK(!keep.save(keep.user, "again", 0, data, MEGA));
        CHECK(!stat(log_path(), &info) && info.st_size < 20 * (int64_t)MEGA);
        CHECK(keep.load(keep.user, "again", 0, back, MEGA) && !memcmp(data, back, MEGA));
    }
    cel_keep_close(&keep);
    OK_OR_RETURN(cel_keep_open(log_path(), NULL, 0, &keep, &found, NULL));
    CHECK(found == 2 && keep.load(keep.user, "again", 0, back, MEGA) && !memcmp(data, back, MEGA));
    CHECK(keep.load(keep.user, "once", 0, back, 4) && !memcmp(back, "abc", 4));
    cel_keep_close(&keep);
    remove(log_path());
    free(data);
    free(back);
}

void suite_keep(void);
void suite_keep(void)
{
    RUN(memos_do_not_change_bits);
    RUN(a_part_of_a_long_name_is_refused);
    RUN(a_file_keeps_parts);
    RUN(a_file_refuses_others);
    RUN(a_file_does_not_grow);
}
