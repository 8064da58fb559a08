/* Interventions: reading, refusing, holding; effects against quadrature. SPDX-License-Identifier: MIT */
#include "test.h"

static const char *const gene_names[] = {"CD4", "IFITM3", "IFIT3"};
static const char *const type_names[] = {"tumour", "T cell"};

static const cel_intervention_names names = {gene_names, 3, type_names, 2, 10, 0};

static cel_status parse(const char *text, cel_intervention **list, int64_t *count, cel_error *err)
{
    return cel_intervention_parse(text, strlen(text), &names, list, count, err);
}

static void parse_forms(void)
{
    static const char text[] = "# a comment\n"
                               "3, IFITM3, 0\r\n"
                               "\n"
                               "  cells of type T cell , CD4 , 0.25 # the rest of a line\n"
                               "cells within 30.5 of 100,-2.5e1, IFIT3, 1e-2\n"
                               "cells within 2 of 1,2,3, IFIT3, -1\n"
                               "add cell at 1.5,2 with profile of cell 9\n"
                               "add free cell at 1,2,3 with profile of cell 0\n"
                               "remove cell 7\n"
                               "cell 4 with profile of cell 5";
    cel_intervention *v;
    cel_intervention_names numbers = CEL_ZERO;
    int64_t count;
    OK_OR_RETURN(parse(text, &v, &count, NULL));
    CHECK(count == 8);
    CHECK(v[0].what == CEL_DO_HOLD && v[0].who == CEL_WHO_CELLS && v[0].cell == 3 && v[0].gene == 1 && v[0].line == 2);
    NEAR(v[0].value, 0, 0);
    CHECK(v[1].who == CEL_WHO_TYPE && v[1].type == 1 && v[1].gene == 0 && v[1].line == 4);
    NEAR(v[1].value, 0.25, 0);
    CHECK(v[2].who == CEL_WHO_DISC && v[2].gene == 2);
    NEAR(v[2].radius, 30.5, 0);
    NEAR(v[2].place[0], 100, 0);
    NEAR(v[2].place[1], -25, 0);
    NEAR(v[2].value, 0.01, 0);
    NEAR(v[3].place[2], 3, 0);
    NEAR(v[3].value, -1, 0);
    CHECK(v[4].what == CEL_DO_ADD && v[4].like == 9);
    NEAR(v[4].place[0], 1.5, 0);
    CHECK(v[5].what == CEL_DO_ADD_FREE && v[5].like == 0);
    NEAR(v[5].place[2], 3, 0);
    CHECK(v[6].what == CEL_DO_REMOVE && v[6].cell == 7);
    CHECK(v[7].what == CEL_DO_ROW && v[7].cell == 4 && v[7].like == 5 && v[7].line == 10);
    cel_intervention_free(v);
    OK_OR_RETURN(parse("", &v, &count, NULL));
    CHECK(count == 0);
    cel_intervention_free(v);
    numbers.gene_count = 3;
    numbers.cells = 10;
    OK_OR_RETURN(cel_intervention_parse("cells of type 5, 2, 0", 21, &numbers, &v, &count, NULL));
    CHECK(count == 1 && v[0].type == 5 && v[0].gene == 2);
    cel_intervention_free(v);
}

static void parse_refuses(void)
{
    static const struct {
        const char *text;
        cel_status status;
        int64_t line, cell, gene;
    } bad[] = {
        {"1, CD4, 0\n3, CD8, 0\n", CEL_ERR_ARG, 2, 3, -1},
        {"cells of type B cell, CD4, 0\n", CEL_ERR_ARG, 1, -1, -1},
        {"\n\n10, CD4, 0\n", CEL_ERR_ARG, 3, -1, -1},
        {"-1, CD4, 0\n", CEL_ERR_ARG, 1, -1, -1},
        {"2, CD4, 1.5\n", CEL_ERR_ARG, 1, 2, 0},
        {"2, CD4\n", CEL_ERR_FORMAT, 1, 2, 0},
        {"2, CD4, 0 0\n", CEL_ERR_FORMAT, 1, 2, 0},
        {"2.5, CD4, 0\n", CEL_ERR_FORMAT, 1, 0, -1},
        {"2, CD4, x\n", CEL_ERR_FORMAT, 1, 2, 0},
        {"2, CD4, 1e\n", CEL_ERR_FORMAT, 1, 2, 0},
        {"remove cells 1\n", CEL_ERR_FORMAT, 1, 0, -1},
        {"remove cell 10\n", CEL_ERR_ARG, 1, -1, -1},
        {"add cell at 1 with profile of cell 2\n", CEL_ERR_FORMAT, 1, -1, -1},
        {"add cell at 1,2 with profile of cell 99\n", CEL_ERR_ARG, 1, -1, -1},
        {"cells within 3 of 1, CD4, 0\n", CEL_ERR_FORMAT, 1, -1, -1},
        {"knock out everything", CEL_ERR_FORMAT, 1, 0, -1},
    };
    size_t i, k;
    for (i = 0; i < sizeof bad / sizeof *bad; i++) {
        cel_intervention *v = (cel_intervention *)1;
        cel_error err;
        int64_t count = 7;
        cel_status status;
        memset(&err, 0, sizeof err);
        status = parse(bad[i].text, &v, &count, &err);
        if (!CHECK(status == bad[i].status && err.status == status && err.offset == bad[i].line &&
                   err.cell == bad[i].cell && err.gene == bad[i].gene && v == NULL && count == 0 && err.what))
            printf("  %s-> %d, line %d, cell %d, gene %d: %s\n", bad[i].text, (int)status, (int)err.offset,
                   (int)err.cell, (int)err.gene, err.what);
    }
    /* Every prefix of a text is read or refused, never read beyond its end. */
    {
        static const char text[] = "1, CD4, 1e-3\nadd cell at 1,2 with profile of cell 3\n"
                                   "cells within 1 of 2,3, CD4, 0";
        for (k = 0; k < sizeof text; k++) {
            char *copy = (char *)malloc(k + 1);
            cel_intervention *v;
            int64_t count;
            memcpy(copy, text, k);
            copy[k] = 'x';
            if (cel_intervention_parse(copy, k, &names, &v, &count, NULL) == CEL_OK)
                cel_intervention_free(v);
            free(copy);
        }
    }
}

/* ---- exact means on a chain of few cells, by quadrature ---- */

#define POINTS 512
#define CHAIN 5

/* Where a cell can be: points of weight w. */
typedef struct support {
    int count;
    double x[POINTS][3], w[POINTS];
} support;

static void put(support *s, double a, double b, double c, double w)
{
    s->x[s->count][0] = a;
    s->x[s->count][1] = b;
    s->x[s->count][2] = c;
    s->w[s->count++] = w;
}

/* All of the sphere (n = 3), Gauss-Legendre in z times equal angles; of the circle (n = 2). */
static void support_free(int n, support *s)
{
    enum { NODES = 14, TURNS = 30 };
    int i, j, k;
    s->count = 0;
    for (i = 0; n == 3 && i < NODES; i++) {
        double z = cos(3.14159265358979324 * (i + 0.75) / (NODES + 0.5)), slope = 1;
        for (k = 0; k < 100; k++) {
            double p0 = 1, p1 = z;
            for (j = 2; j <= NODES; j++) {
                double p2 = ((2 * j - 1) * z * p1 - (j - 1) * p0) / j;
                p0 = p1;
                p1 = p2;
            }
            slope = NODES * (z * p1 - p0) / (z * z - 1);
            z -= p1 / slope;
        }
        for (j = 0; j < TURNS; j++) {
            double r = sqrt(1 - z * z), t = 6.28318530717958648 * j / TURNS;
            put(s, r * cos(t), r * sin(t), z, 2 / ((1 - z * z) * slope * slope));
        }
    }
    for (j = 0; n == 2 && j < 200; j++) put(s, cos(j * 0.0314159265358979324), sin(j * 0.0314159265358979324), 0, 1);
}

/* With gene g held at c. */
static void support_hold(int n, int g, double c, support *s)
{
    double r = sqrt(1 - c * c);
    int j, turns = n == 3 ? 200 : 2;
    s->count = 0;
    for (j = 0; j < turns; j++) {
        double t = 6.28318530717958648 * j / turns, v[3] = {0, 0, 0};
        v[(g + 1) % n] = r * cos(t);
        if (n == 3) v[(g + 2) % n] = r * sin(t);
        v[g] = c;
        put(s, v[0], v[1], v[2], 1);
    }
}

static void support_row(int n, const cel_real *row, support *s)
{
    s->count = 0;
    put(s, (double)row[0], (double)row[1], n == 3 ? (double)row[2] : 0, 1);
}

static double form(const cel_model *m, int r, const double *x, const double *y)
{
    int a, b, n = (int)m->genes;
    double sum = 0;
    for (a = 0; a < n; a++)
        for (b = 0; b < n; b++) sum += x[a] * (double)cel_model_force(m, r).data[a * n + b] * y[b];
    return sum;
}

/* Means of the cells (count) of a chain; cut[i] means no edge between i and i + 1. */
static void chain_means(const cel_model *m, int count, support *s, const int *cut, double mean[CHAIN][3])
{
    static double message[2][CHAIN][POINTS], local[CHAIN][POINTS];
    int i, j, k, g, side, n = (int)m->genes;
    for (i = 0; i < count; i++)
        for (j = 0; j < s[i].count; j++) {
            double e = form(m, 0, s[i].x[j], s[i].x[j]);
            for (g = 0; g < n; g++) e += (m->field ? (double)m->field[g] : 0.0) * s[i].x[j][g];
            local[i][j] = s[i].w[j] * exp(e);
            message[0][i][j] = message[1][i][j] = 1;
        }
    for (side = 0; side < 2; side++)
        for (k = 1; k < count; k++) {
            int to = side ? count - 1 - k : k, from = side ? to + 1 : to - 1;
            if (cut[side ? to : from]) continue;
            for (j = 0; j < s[to].count; j++) {
                double sum = 0;
                for (i = 0; i < s[from].count; i++)
                    sum += local[from][i] * message[side][from][i] *
                           exp(form(m, 1, s[to].x[j], s[from].x[i]) + form(m, 1, s[from].x[i], s[to].x[j]));
                message[side][to][j] = sum;
            }
        }
    for (i = 0; i < count; i++) {
        double total = 0;
        mean[i][0] = mean[i][1] = mean[i][2] = 0;
        for (j = 0; j < s[i].count; j++) {
            double w = local[i][j] * message[0][i][j] * message[1][i][j];
            total += w;
            for (g = 0; g < n; g++) mean[i][g] += w * s[i].x[j][g];
        }
        for (g = 0; g < n; g++) mean[i][g] /= total;
    }
}

/* A chain of `cells` cells a unit apart, forces and field of genes n. */
typedef struct chain {
    cel_model model;
    cel_mat x, coords;
    cel_relations relations, longer; /* of the chain, and of one with a cell more at its end */
    cel_tissue tissue;
} chain;

static int ties(int cells, cel_relations *out)
{
    cel_mat line;
    cel_csr graph;
    int i, ok = cel_mat_new(cells, 2, &line) == CEL_OK;
    for (i = 0; i < cells && ok; i++) line.data[2 * i] = (cel_real)i;
    ok = ok && cel_graph_radius(line, NULL, 0, 1.5, 0, &graph, NULL) == CEL_OK &&
         cel_relations_from_graph(&graph, NULL, out, NULL) == CEL_OK;
    cel_csr_free(&graph);
    cel_mat_free(&line);
    return ok;
}

static int chain_new(int cells, int n, double strength, int field, chain *c)
{
    cel_rng rng = cel_rng_at(7, 1, (uint32_t)n, 0);
    int i, r, a, b;
    memset(c, 0, sizeof *c);
    if (cel_model_new(n, 2, field, &c->model) || cel_mat_new(cells, n, &c->x) || cel_mat_new(cells, 2, &c->coords))
        return 0;
    for (r = 0; r < 2; r++)
        for (a = 0; a < n; a++) {
            if (field) c->model.field[a] = (cel_real)(0.4 * (a + 1));
            for (b = 0; b <= a; b++) {
                cel_mat f = cel_model_force(&c->model, r);
                f.data[a * n + b] = f.data[b * n + a] = (cel_real)(strength * cel_rng_normal(&rng));
            }
        }
    for (i = 0; i < cells; i++) {
        c->coords.data[2 * i] = (cel_real)i;
        for (a = 0; a < n; a++) c->x.data[i * n + a] = (cel_real)cel_rng_uniform(&rng);
    }
    if (cel_slide_unit(c->x, NULL, NULL, NULL)) return 0;
    if (!ties(cells, &c->relations) || !ties(cells + 1, &c->longer)) return 0;
    c->tissue.x = c->x;
    c->tissue.coords = c->coords;
    c->tissue.relations = &c->relations;
    return 1;
}

static void chain_free(chain *c)
{
    cel_model_free(&c->model);
    cel_mat_free(&c->x);
    cel_mat_free(&c->coords);
    cel_relations_free(&c->relations);
    cel_relations_free(&c->longer);
}

static cel_intervention hold(int64_t cell, int64_t gene, double value)
{
    cel_intervention v;
    memset(&v, 0, sizeof v);
    v.cell = cell;
    v.gene = gene;
    v.value = value;
    return v;
}

static cel_intervention other(cel_do what, int64_t cell, int64_t like, double x, double y)
{
    cel_intervention v = hold(cell, 0, 0);
    v.what = what;
    v.like = like;
    v.place[0] = x;
    v.place[1] = y;
    return v;
}

static void bad_interventions(void)
{
    chain c;
    cel_intervention list[8];
    cel_perturb p;
    cel_perturb_setup setup;
    cel_error err;
    cel_real zeros[3] = {0, 0, 0};
    int k;
    memset(&setup, 0, sizeof setup);
    setup.after = &c.longer;
    if (!CHECK(chain_new(5, 3, 0.5, 1, &c))) return;
#define REFUSED(number, wanted, line_, cell_, gene_)                                                                   \
    do {                                                                                                               \
        memset(&err, 0, sizeof err);                                                                                   \
        CHECK(cel_perturb_new(&c.model, &c.tissue, list, number, &setup, &p, &err) == (wanted));                       \
        CHECK(err.status == (wanted) && err.offset == (line_) && err.cell == (cell_) && err.gene == (gene_));          \
        CHECK(p.cells == 0 && p.hold == NULL);                                                                         \
    } while (0)
    list[0] = hold(1, 3, 0);
    REFUSED(1, CEL_ERR_ARG, 1, -1, 3);
    list[0] = hold(5, 0, 0);
    REFUSED(1, CEL_ERR_ARG, 1, 5, -1);
    list[0] = hold(1, 0, -1.01);
    REFUSED(1, CEL_ERR_ARG, 1, 1, 0);
    list[0] = hold(1, 0, 0);
    list[1] = hold(1, 1, 0);
    list[2] = hold(1, 0, 0.5);
    list[2].line = 17;
    REFUSED(3, CEL_ERR_ARG, 17, 1, 0);
    list[2] = hold(1, 2, 0);
    REFUSED(3, CEL_ERR_ARG, 3, 1, -1);
    list[2] = hold(1, 2, 0.9);
    REFUSED(3, CEL_ERR_ARG, 3, 1, -1);
    list[0] = hold(2, 0, 0.8);
    list[1] = hold(2, 2, 0.8);
    REFUSED(2, CEL_ERR_ARG, 2, 2, -1);
    list[1] = other(CEL_DO_REMOVE, 2, 0, 0, 0);
    REFUSED(2, CEL_ERR_ARG, 2, 2, -1);
    list[1] = other(CEL_DO_ROW, 2, 4, 0, 0);
    REFUSED(2, CEL_ERR_ARG, 2, 2, 0);
    list[0] = other(CEL_DO_ROW, 2, 5, 0, 0);
    REFUSED(1, CEL_ERR_ARG, 1, 5, -1);
    list[0] = other(CEL_DO_ROW, 2, 0, 0, 0);
    list[0].row = zeros;
    REFUSED(1, CEL_ERR_DATA, 1, 2, -1);
    list[0] = hold(0, 0, 0);
    list[0].who = CEL_WHO_TYPE;
    REFUSED(1, CEL_ERR_ARG, 1, -1, -1);
    list[0].who = CEL_WHO_DISC;
    list[0].place[1] = 50;
    list[0].radius = 49;
    REFUSED(1, CEL_ERR_DATA, 1, -1, -1);
    REFUSED(0, CEL_ERR_DATA, -1, -1, -1);
    list[0] = other(CEL_DO_ADD, 0, 1, 5, 0);
    setup.after = &c.relations;
    REFUSED(1, CEL_ERR_SHAPE, -1, -1, -1);
    setup.after = NULL;
    REFUSED(1, CEL_ERR_ARG, 1, -1, -1);
    list[0] = hold(0, 0, 0);
    for (k = 0; k < 3; k++) c.x.data[k] *= 2;
    REFUSED(1, CEL_ERR_DATA, -1, 0, -1);
    chain_free(&c);
}

/* A list of cells is what it is one cell at a time: the same preparation, to the bit, for values, profiles and removal;
 * a cell of the list that is not there is named. */
static void list_of_cells(void)
{
    static const int32_t few[3] = {1, 7, 4}, outside[2] = {3, 10};
    static const cel_do what[3] = {CEL_DO_HOLD, CEL_DO_ROW, CEL_DO_REMOVE};
    chain c;
    cel_intervention whole, each[3];
    cel_perturb a, b;
    cel_error err;
    int k, i;
    if (!CHECK(chain_new(10, 3, 0.5, 1, &c))) return;
    for (k = 0; k < 3; k++) {
        size_t reals;
        whole = other(what[k], 9, 2, 0, 0);
        whole.gene = 1;
        whole.value = 0.25;
        for (i = 0; i < 3; i++) {
            each[i] = whole;
            each[i].cell = few[i];
        }
        whole.cells = few;
        whole.count = 3;
        OK_OR_RETURN(cel_perturb_new(&c.model, &c.tissue, &whole, 1, NULL, &a, NULL));
        OK_OR_RETURN(cel_perturb_new(&c.model, &c.tissue, each, 3, NULL, &b, NULL));
        CHECK(a.cells == b.cells && a.cells == 10 && a.relations[1].count == b.relations[1].count);
        reals = sizeof(cel_real) * 3 * (size_t)a.cells;
        CHECK(!memcmp(a.hop, b.hop, 4 * (size_t)a.cells) && !memcmp(a.hold, b.hold, 3 * (size_t)a.cells));
        CHECK(!memcmp(a.start[1].data, b.start[1].data, reals) && !memcmp(a.start[0].data, c.x.data, reals));
        for (i = 0; i < 10; i++) {
            int listed = i == 1 || i == 4 || i == 7;
            CHECK((a.hop[i] == 0) == listed && a.present[1][i] == !(listed && what[k] == CEL_DO_REMOVE));
            CHECK(a.hold[3 * i + 1] == (listed && what[k] != CEL_DO_REMOVE) && a.hold[3 * i] == (listed && what[k] == CEL_DO_ROW));
        }
        cel_perturb_free(&a);
        cel_perturb_free(&b);
    }
    whole.cells = outside;
    whole.count = 2;
    memset(&err, 0, sizeof err);
    CHECK(cel_perturb_new(&c.model, &c.tissue, &whole, 1, NULL, &a, &err) == CEL_ERR_ARG && err.cell == 10);
    whole.count = 0;
    CHECK(cel_perturb_new(&c.model, &c.tissue, &whole, 1, NULL, &a, &err) == CEL_ERR_DATA);
    chain_free(&c);
}

/* Hops, ids, who moves, where the arms start: a chain of 10, reach 2. */
static void preparing(void)
{
    chain c;
    cel_intervention list[4];
    cel_perturb p;
    cel_perturb_setup setup;
    cel_mat full;
    int32_t type[10] = {0, 0, 1, 1, 1, 0, 0, 1, 0, 2}, label[16];
    double edge[3] = {0, 1.2, 2.5}, sum;
    int i, g;
    memset(&setup, 0, sizeof setup);
    setup.reach = 2;
    setup.after = &c.longer;
    if (!CHECK(chain_new(10, 3, 0.5, 1, &c))) return;
    c.tissue.type = type;
    list[0] = hold(2, 1, 0);
    list[1] = hold(2, 2, 0.25);
    OK_OR_RETURN(cel_perturb_new(&c.model, &c.tissue, list, 2, &setup, &p, NULL));
    CHECK(p.cells == 6 && p.id[0] == 0 && p.id[5] == 5); /* cells 0..5: within 3 hops */
    for (i = 0; i < 6; i++) {
        CHECK(p.hop[i] == abs(i - 2));
        CHECK(p.fixed[0][i] == (i > 4) && p.fixed[1][i] == (i > 4));
        CHECK(p.present[0][i] == 1 && p.present[1][i] == 1);
        CHECK(p.type[i] == type[i]);
        for (g = 0; g < 3; g++) {
            CHECK(p.hold[3 * i + g] == (i == 2 && g > 0));
            CHECK(!memcmp(&p.start[0].data[3 * i + g], &c.x.data[3 * i + g], sizeof(cel_real)));
            if (i != 2) CHECK(!memcmp(&p.start[1].data[3 * i + g], &c.x.data[3 * i + g], sizeof(cel_real)));
        }
    }
    NEAR(p.start[1].data[7], 0, 0);
    NEAR(p.start[1].data[8], 0.25, 0);
    NEAR(p.start[1].data[6], sqrt(1 - 0.0625), 1e-6);
    CHECK(cel_perturb_by_hop(&p, label) == 4 && label[2] == 0 && label[4] == 2 && label[5] == 3);
    CHECK(cel_perturb_by_distance(&p, edge, 2, label) == 2 && label[2] == 0 && label[1] == 0);
    CHECK(label[4] == 1 && label[5] == -1);
    CHECK(cel_perturb_by_type(&p, label) == 2 && label[2] == 1 && label[0] == 0);
    OK_OR_RETURN(cel_mat_new(10, 3, &full));
    OK_OR_RETURN(cel_perturb_scatter(&p, p.start[1], full));
    NEAR(full.data[8], 0.25, 0);
    NEAR(full.data[18], 0, 0);
    CHECK(cel_perturb_scatter(&p, full, full) == CEL_ERR_SHAPE);
    cel_mat_free(&full);
    cel_perturb_free(&p);
    /* An added cell beyond the end, cell 8 removed, a type and a row held, nothing held beyond. */
    setup.reach = -1;
    list[0] = other(CEL_DO_ADD_FREE, 0, 2, 10, 0);
    list[1] = other(CEL_DO_REMOVE, 8, 0, 0, 0);
    list[2] = hold(0, 0, 0.5);
    list[2].who = CEL_WHO_TYPE;
    list[2].type = 1;
    list[3] = other(CEL_DO_ROW, 5, 0, 0, 0);
    OK_OR_RETURN(cel_perturb_new(&c.model, &c.tissue, list, 4, &setup, &p, NULL));
    CHECK(p.cells == 11 && p.added == 1 && p.open && p.id[10] == 10 && p.type[10] == 1);
    CHECK(!p.present[0][10] && p.present[1][10] && p.present[0][8] && !p.present[1][8]);
    CHECK(p.fixed[0][10] && !p.fixed[1][10] && !p.fixed[0][8] && p.fixed[1][8] && p.fixed[1][5] && !p.fixed[0][5]);
    CHECK(cel_csr_count(p.relations[0].at[1].w) == 18 && cel_csr_count(p.relations[1].at[1].w) == 16); /* -4 + 2 */
    CHECK(p.relations[1].at[1].w->index[15] == 9 && cel_csr_is_symmetric(p.relations[1].at[1].w));
    CHECK(p.hop[10] == 0 && p.hop[9] == 1 && p.hop[0] == 2 && p.hop[6] == 1);
    CHECK(p.hold[3 * 7] && p.hold[15] && p.hold[16] && !p.hold[30]);
    for (i = 0; i < 11; i++) {
        for (g = 0, sum = 0; g < 3; g++) sum += (double)p.start[1].data[3 * i + g] * (double)p.start[1].data[3 * i + g];
        NEAR(sum, 1, 1e-6);
    }
    CHECK(!memcmp(p.start[1].data + 15, c.x.data, 3 * sizeof(cel_real)));
    cel_perturb_free(&p);
    chain_free(&c);
}

/* With a scaling held values are the user's: each cell's row is the one it would have had with them, and they come back. */
static void held_in_the_users_units(void)
{
    chain c;
    cel_intervention list[3];
    cel_perturb p;
    cel_perturb_setup setup = CEL_ZERO;
    cel_scaling_options how = CEL_ZERO;
    cel_scaling scaling;
    cel_error err;
    cel_mat counts, values;
    int i;
    if (!CHECK(chain_new(12, 4, 0.5, 0, &c))) return;
    OK_OR_RETURN(cel_mat_new(12, 4, &counts));
    OK_OR_RETURN(cel_mat_new(12, 4, &values));
    for (i = 0; i < 48; i++) counts.data[i] = (cel_real)(1 + (7 * i) % 13);
    OK_OR_RETURN(cel_mat_copy(counts, c.x));
    OK_OR_RETURN(cel_scaling_fit(c.x, NULL, NULL, &how, &scaling, NULL));
    setup.scaling = &scaling;
    setup.cell = scaling.cell;
    setup.unit = CEL_UNIT_GIVEN;
    list[0] = hold(2, 1, 0);
    list[1] = hold(2, 3, 40);
    list[2] = hold(7, 0, 5);
    OK_OR_RETURN(cel_perturb_new(&c.model, &c.tissue, list, 3, &setup, &p, NULL));
    CHECK(p.cells == 12 && p.cell[0] && p.cell[1]);
    OK_OR_RETURN(cel_scaling_values(&scaling, CEL_UNIT_GIVEN, p.start[1], p.cell[1], values));
    for (i = 0; i < 48; i++)
        NEAR(values.data[i], i == 9 ? 0 : i == 11 ? 40 : i == 28 ? 5 : (double)counts.data[i], 1e-3);
    for (i = 0; i < 48; i++) CHECK(p.hold[i] == (i == 9 || i == 11 || i == 28));
    OK_OR_RETURN(cel_scaling_values(&scaling, CEL_UNIT_GIVEN, p.start[0], p.cell[0], values));
    for (i = 0; i < 48; i++) NEAR(values.data[i], (double)counts.data[i], 1e-3);
    cel_perturb_free(&p);
    list[1].value = -1;
    CHECK(cel_perturb_new(&c.model, &c.tissue, list, 3, &setup, &p, &err) == CEL_ERR_DATA && err.offset == 2 &&
          err.cell == 2 && err.gene == 3);
    cel_scaling_free(&scaling);
    cel_mat_free(&counts);
    cel_mat_free(&values);
    chain_free(&c);
}

/* One intervention on a chain of 4: every effect against quadrature, within 3 Monte-Carlo errors. */
static void against_quadrature(int n, const cel_intervention *list, int count, int added)
{
    static support s[CHAIN];
    static double mean[2][CHAIN][3];
    chain c;
    cel_perturb p;
    cel_perturb_setup setup;
    cel_perturb_options o;
    cel_effect e;
    int cut[CHAIN] = {0, 0, 0, 1, 1}, i, g, k, attempt, tested = 0, beyond = 1, beyond2 = 0;
    memset(&setup, 0, sizeof setup);
    memset(&o, 0, sizeof o);
    if (!CHECK(chain_new(4, n, 0.7, 1, &c))) return;
    setup.after = &c.longer;
    setup.reach = -3;
    OK_OR_RETURN(cel_perturb_new(&c.model, &c.tissue, list, count, &setup, &p, NULL));
    for (i = 0; i < CHAIN; i++) support_free(n, &s[i]);
    chain_means(&c.model, 4, s, cut, mean[0]);
    for (k = 0; k < count; k++) {
        if (list[k].what == CEL_DO_HOLD) support_hold(n, (int)list[k].gene, list[k].value, &s[list[k].cell]);
        if (list[k].what == CEL_DO_ROW) support_row(n, c.x.data + list[k].like * n, &s[list[k].cell]);
        if (list[k].what == CEL_DO_ADD) support_row(n, c.x.data + list[k].like * n, &s[4]);
        if (list[k].what == CEL_DO_REMOVE) cut[list[k].cell - 1] = cut[list[k].cell] = 1;
    }
    if (added) cut[3] = 0;
    chain_means(&c.model, 4 + added, s, cut, mean[1]);
    /* Of some 90 comparisons a quarter of runs have one beyond 3 errors by chance: then once more, with other
     * random numbers and half the error. */
    for (attempt = 0; attempt < 2 && beyond; attempt++) {
        o.repeats = test_brief ? 4 : attempt ? 800 : 200;
        o.seed = (uint64_t)(5 + attempt);
        beyond = tested = beyond2 = 0;
        OK_OR_RETURN(cel_perturb_run(&p, &o, &e, NULL));
        for (i = 0; i < p.cells; i++)
            for (g = 0; g < n; g++) {
                double effect = (double)e.mean.data[i * n + g], se = (double)e.se.data[i * n + g];
                double off = fabs(effect - (mean[1][i][g] - mean[0][i][g]));
                if (!p.present[0][i] || !p.present[1][i]) {
                    NEAR(effect, 0, 0);
                    continue;
                }
                tested++;
                beyond2 += !(off <= 2 * se + 1e-6);
                beyond += !(off <= 3 * se + 1e-6);
                if (attempt && !test_brief) NEAR(off, 0, 3 * se + 1e-6);
                if (!p.hold[i * n + g] && !test_brief) CHECK(se > 0 && se < 0.06);
            }
        cel_effect_free(&e);
    }
    CHECK(test_brief || beyond2 <= tested / 3);
    cel_perturb_free(&p);
    chain_free(&c);
}

static void effects_are_exact(void)
{
    cel_intervention v[2];
    int n;
    for (n = 2; n <= 3; n++) {
        v[0] = hold(1, 0, 0);
        against_quadrature(n, v, 1, 0);
        v[0] = hold(0, 1, 0.6);
        against_quadrature(n, v, 1, 0);
        v[0] = hold(1, 0, 0.3);
        v[1] = hold(3, n - 1, -0.5);
        against_quadrature(n, v, 2, 0);
        v[0] = other(CEL_DO_ROW, 1, 3, 0, 0);
        against_quadrature(n, v, 1, 0);
        v[0] = other(CEL_DO_ADD, 0, 1, 4, 0);
        against_quadrature(n, v, 1, 1);
        v[0] = other(CEL_DO_REMOVE, 2, 0, 0, 0);
        against_quadrature(n, v, 1, 0);
    }
}

/* 400 cells, 10 genes: gene 0 acts on gene 1 across neighbours, gene 1 on gene 2 within. Gene 0 is knocked out in
 * 8 cells. The law does not change when the sign of another gene does, so their expected effects are 0. */
static int planted(chain *c, cel_intervention *list)
{
    enum { SIDE = 20, N = 10 };
    static const int force[2][4] = {{1, 0, 1, 2}, {0, 1, 2, 8}}; /* relation, genes, quarters */
    cel_sample_options sample;
    int k;
    memset(c, 0, sizeof *c);
    memset(&sample, 0, sizeof sample);
    if (cel_model_new(N, 2, 1, &c->model) || cel_mat_new(SIDE * SIDE, N, &c->x)) return 0;
    if (cel_mat_new(SIDE * SIDE, 2, &c->coords)) return 0;
    for (k = 0; k < 2; k++) {
        cel_mat f = cel_model_force(&c->model, force[k][0]);
        f.data[force[k][1] * N + force[k][2]] = f.data[force[k][2] * N + force[k][1]] = (cel_real)(force[k][3] * 0.25);
    }
    c->model.field[0] = 5;
    if (cel_graph_hex_coords(SIDE, SIDE, c->coords)) return 0;
    {
        cel_csr a;
        if (cel_graph_knn(c->coords, NULL, 6, 0, &a, NULL)) return 0;
        if (cel_relations_from_graph(&a, NULL, &c->relations, NULL)) return 0;
        cel_csr_free(&a);
    }
    c->tissue.x = c->x;
    c->tissue.coords = c->coords;
    c->tissue.relations = &c->relations;
    cel_sample_uniform(3, 0, 0, c->x);
    sample.seed = 3;
    sample.sweeps = 50;
    for (k = 0; k < 8; k++) list[k] = hold((k / 4 ? 14 : 5) * SIDE + 2 + 5 * (k % 4), 0, 0);
    return cel_sample_run(&c->model, &c->relations, &sample, c->x, NULL, NULL, NULL) == CEL_OK;
}

static void planted_chain(void)
{
    chain c;
    cel_intervention list[8];
    cel_perturb p;
    cel_perturb_setup setup;
    cel_perturb_options o;
    cel_effect e, u;
    cel_effect_table *t;
    cel_real weights[10] = {0, 0, 0, 0, 0, 0, 0, 0, (cel_real)0.5, (cel_real)0.5};
    int32_t order[10];
    double paired = 0, unpaired = 0;
    int64_t i, g, hop, far = 0;
    memset(&setup, 0, sizeof setup);
    memset(&o, 0, sizeof o);
    if (!CHECK(planted(&c, list))) return;
    setup.reach = 2;
    OK_OR_RETURN(cel_perturb_new(&c.model, &c.tissue, list, 8, &setup, &p, NULL));
    o.seed = 11;
    o.sets = cel_mat_view(weights, 1, 10);
    o.repeats = test_brief ? 3 : 16;
    OK_OR_RETURN(cel_perturb_run(&p, &o, &e, NULL));
    o.unpaired = 1;
    OK_OR_RETURN(cel_perturb_run(&p, &o, &u, NULL));
    t = &e.table[0];
    CHECK(e.tables == 1 && t->groups == 4 && t->columns == 11 && t->genes == 10);
    CHECK(t->cells[0] == 8 && t->cells[1] > 30 && t->cells[3] > 0);
    if (!test_brief) {
        CHECK(t->z[11 + 1] < -4 && t->mean[11 + 1] < 0 && t->q[11 + 1] < 0.01);
        CHECK(cel_effect_rank(t, 1, order) == CEL_OK);
        CHECK(order[0] == 1);
        for (hop = 1; hop <= 2; hop++)
            for (g = 3; g < 10; g++) {
                CHECK(fabs(t->z[hop * 11 + g]) < 5); /* t with 15 degrees of freedom: p = 1.6e-4 */
                CHECK(fabs(t->mean[hop * 11 + g]) < 0.05 * fabs(t->mean[11 + 1]));
                paired += t->se[hop * 11 + g];
                unpaired += u.table[0].se[hop * 11 + g];
            }
        CHECK(paired > 0 && unpaired >= 3 * paired);
        if (!(unpaired >= 3 * paired)) printf("  paired %g, unpaired %g\n", paired / 14, unpaired / 14);
        CHECK(e.acceptance > 0.5 && e.acceptance < 1);
    }
    NEAR(t->mean[11 + 10], (t->mean[11 + 8] + t->mean[11 + 9]) / 2, 1e-9);
    for (i = 0; i < p.cells; i++)
        for (g = 0; g < 10; g++) {
            int64_t at = i * 10 + g;
            if (p.hop[i] > 2) {
                far++;
                CHECK(!memcmp(&e.after.data[at], &p.start[0].data[at], sizeof(cel_real)));
                CHECK(!memcmp(&e.sham.data[at], &p.start[0].data[at], sizeof(cel_real)));
                NEAR(e.mean.data[at], 0, 0);
            }
            if (p.hold[at]) CHECK(!memcmp(&e.after.data[at], &p.start[1].data[at], sizeof(cel_real)));
        }
    CHECK(far > 100);
    for (g = 0; g < 11; g++) NEAR(t->mean[3 * 11 + g], 0, 0);
    NEAR(e.beyond, 0, 0);
    cel_effect_free(&e);
    cel_effect_free(&u);
    cel_perturb_free(&p);
    chain_free(&c);
}

/* Relaxation, and linear response for a small dose; rows, holds, energies. */
static void relax_and_linear(void)
{
    chain c;
    cel_intervention list[2];
    cel_perturb p;
    cel_perturb_setup setup;
    cel_perturb_options o;
    cel_effect relax, linear;
    cel_ascent_report ascent;
    double apart = 0, size = 0;
    int64_t i, g;
    int orthant;
    memset(&setup, 0, sizeof setup);
    setup.reach = 4;
    for (orthant = 0; orthant < 2; orthant++) {
        memset(&o, 0, sizeof o);
        if (!CHECK(chain_new(12, 3, 0.4, 1, &c))) return;
        o.orthant = orthant;
        o.tolerance = sizeof(cel_real) == 4 ? 1e-9 : 1e-14;
        {
            cel_ascent_options a;
            memset(&a, 0, sizeof a);
            a.domain.orthant = orthant;
            a.sweeps = 2000;
            a.tolerance = o.tolerance;
            OK_OR_RETURN(cel_ascent_run(&c.model, &c.relations, &a, c.x, &ascent, NULL));
        }
        /* On the orthant a larger dose frees a gene held at 0 by the bound: no longer linear. */
        list[0] = hold(5, 2, (double)c.x.data[5 * 3 + 2] + (orthant ? 0.01 : -0.05));
        OK_OR_RETURN(cel_perturb_new(&c.model, &c.tissue, list, 1, &setup, &p, NULL));
        o.method = CEL_METHOD_RELAX;
        OK_OR_RETURN(cel_perturb_run(&p, &o, &relax, NULL));
        o.method = CEL_METHOD_LINEAR;
        OK_OR_RETURN(cel_perturb_run(&p, &o, &linear, NULL));
        CHECK(relax.converged && linear.converged && linear.iterations > 0);
        CHECK(relax.energy[1] <= relax.energy[0] + 1e-5);
        NEAR(linear.energy[1], relax.energy[1], 1e-3);
        for (i = 0; i < p.cells; i++) {
            double length[2] = {0, 0};
            for (g = 0; g < 3; g++) {
                int64_t at = i * 3 + g;
                double r = (double)relax.mean.data[at], l = (double)linear.mean.data[at];
                length[0] += (double)relax.after.data[at] * (double)relax.after.data[at];
                length[1] += (double)linear.after.data[at] * (double)linear.after.data[at];
                CHECK(isnan(relax.se.data[at]));
                if (p.hop[i] > 0) {
                    apart += (r - l) * (r - l);
                    size += r * r;
                }
                if (p.hold[at]) {
                    CHECK(!memcmp(&relax.after.data[at], &p.start[1].data[at], sizeof(cel_real)));
                    CHECK(!memcmp(&linear.after.data[at], &p.start[1].data[at], sizeof(cel_real)));
                }
                if (p.hop[i] > 4) CHECK(!(r > 0 || r < 0 || l > 0 || l < 0));
            }
            NEAR(sqrt(length[0]), 1, 1e-6);
            NEAR(sqrt(length[1]), 1, 1e-6);
        }
        CHECK(size > 1e-8 && apart < 0.01 * size);
        CHECK(isnan(relax.table[0].z[0]) && isnan(relax.table[0].q[0]));
        CHECK(relax.size > 0 && relax.drift < 0.02 && relax.moved > 0);
        cel_effect_free(&relax);
        cel_effect_free(&linear);
        cel_perturb_free(&p);
        chain_free(&c);
    }
}

/* Paper mode is the published generator from the published start, twice. */
static void paper_mode(void)
{
    chain c;
    cel_intervention list[2];
    cel_perturb p;
    cel_perturb_setup setup;
    cel_perturb_options o;
    cel_effect e;
    cel_mat x, angles;
    int32_t cell = 4;
    int k;
    memset(&setup, 0, sizeof setup);
    memset(&o, 0, sizeof o);
    if (!CHECK(chain_new(12, 5, 0.4, 0, &c))) return;
    setup.after = &c.longer;
    list[0] = hold(cell, 2, 0);
    o.method = CEL_METHOD_PAPER;
    OK_OR_RETURN(cel_perturb_new(&c.model, &c.tissue, list, 1, &setup, &p, NULL));
    CHECK(cel_perturb_run(&p, &o, &e, NULL) == CEL_ERR_ARG && e.table == NULL);
    cel_perturb_free(&p);
    setup.reach = -3;
    OK_OR_RETURN(cel_perturb_new(&c.model, &c.tissue, list, 1, &setup, &p, NULL));
    OK_OR_RETURN(cel_perturb_run(&p, &o, &e, NULL));
    OK_OR_RETURN(cel_mat_new(12, 5, &x));
    OK_OR_RETURN(cel_mat_new(12, 4, &angles));
    for (k = 0; k < 2; k++) {
        OK_OR_RETURN(cel_mat_copy(c.x, x));
        if (k) x.data[cell * 5 + 2] = 0;
        OK_OR_RETURN(cel_paper_to_angles(x, angles, NULL));
        OK_OR_RETURN(cel_paper_generate(&c.model, &c.relations, NULL, angles, x, NULL, NULL, NULL));
        cel_mat_axpy(-1, k ? e.after : e.sham, x);
        NEAR(sqrt(cel_mat_dot(x, x)), 0, 1e-5);
    }
    CHECK(e.drift > 0 && e.moved > 0 && e.size > 0 && e.repeats == 1);
    CHECK(fabs((double)e.after.data[cell * 5 + 2]) > 0); /* nothing holds it */
    cel_effect_free(&e);
    cel_perturb_free(&p);
    /* The arms may differ in their cells. */
    list[0] = other(CEL_DO_ADD, 0, 3, 12, 0);
    list[1] = other(CEL_DO_REMOVE, 6, 0, 0, 0);
    OK_OR_RETURN(cel_perturb_new(&c.model, &c.tissue, list, 2, &setup, &p, NULL));
    OK_OR_RETURN(cel_perturb_run(&p, &o, &e, NULL));
    for (k = 0; k < 5; k++) NEAR(e.mean.data[6 * 5 + k], 0, 0);
    cel_effect_free(&e);
    cel_perturb_free(&p);
    cel_mat_free(&x);
    cel_mat_free(&angles);
    chain_free(&c);
}

static int stop_at_three(void *user, const char *stage, int64_t done, int64_t total, double value)
{
    (void)value;
    *(int *)user += !strcmp(stage, "perturb") && total == 16;
    return done == 3;
}

/* The same seed gives the same bits; a callback can stop; bad options are refused. */
static void repeatable(void)
{
    chain c;
    cel_intervention v = hold(3, 1, 0.5);
    cel_perturb p;
    cel_perturb_options o;
    cel_effect e[3];
    int32_t label[8] = {0, 0, 0, 0, 0, 0, 1, 2};
    cel_grouping grouping;
    int k, calls = 0;
    memset(&o, 0, sizeof o);
    if (!CHECK(chain_new(8, 4, 0.4, 1, &c))) return;
    OK_OR_RETURN(cel_perturb_new(&c.model, &c.tissue, &v, 1, NULL, &p, NULL));
    for (k = 0; k < 3; k++) {
        o.seed = k == 2;
        OK_OR_RETURN(cel_perturb_run(&p, &o, &e[k], NULL));
    }
    CHECK(!memcmp(e[0].mean.data, e[1].mean.data, (size_t)(p.cells * 4) * sizeof(cel_real)));
    CHECK(!memcmp(e[0].table[0].z, e[1].table[0].z, (size_t)(5 * 4) * sizeof(double)));
    CHECK(memcmp(e[0].mean.data, e[2].mean.data, (size_t)(p.cells * 4) * sizeof(cel_real)));
    for (k = 0; k < 3; k++) cel_effect_free(&e[k]);
    o.progress.fn = stop_at_three;
    o.progress.user = &calls;
    CHECK(cel_perturb_run(&p, &o, &e[0], NULL) == CEL_ERR_STOPPED && calls == 3 && !e[0].mean.data && !e[0].table);
    memset(&o, 0, sizeof o);
    o.repeats = 1;
    CHECK(cel_perturb_run(&p, &o, &e[0], NULL) == CEL_ERR_ARG);
    o.repeats = 2;
    grouping.label = label;
    grouping.groups = 2;
    o.grouping = &grouping;
    o.groupings = 1;
    CHECK(cel_perturb_run(&p, &o, &e[0], NULL) == CEL_ERR_ARG && !e[0].mean.data);
    cel_perturb_free(&p);
    chain_free(&c);
}

/* A start that is not on the orthant is refused by every method that lives there, and a hold below 0 with it. */
static void H8_paired_orthant_checks_rows(void)
{
    chain c;
    cel_intervention v;
    cel_perturb p;
    cel_perturb_options o = CEL_ZERO;
    cel_effect e;
    cel_error err;
    int method;
    if (!CHECK(chain_new(12, 3, 0.4, 1, &c))) return;
    o.orthant = 1;
    for (method = CEL_METHOD_PAIRED; method <= CEL_METHOD_LINEAR; method++) {
        o.method = (cel_method)method;
        v = hold(5, 2, -0.5);
        OK_OR_RETURN(cel_perturb_new(&c.model, &c.tissue, &v, 1, NULL, &p, NULL));
        CHECK(cel_perturb_run(&p, &o, &e, &err) == CEL_ERR_DATA && err.cell == 5 && err.offset == -1 && err.gene == 2 && !e.mean.data);
        cel_perturb_free(&p);
        v = hold(5, 2, 0.5);
        c.x.data[3 * 6 + 1] *= -1;
        OK_OR_RETURN(cel_perturb_new(&c.model, &c.tissue, &v, 1, NULL, &p, NULL));
        CHECK(cel_perturb_run(&p, &o, &e, &err) == CEL_ERR_DATA && err.cell == 6 && err.offset == -1 && err.gene == 1);
        c.x.data[3 * 6 + 1] *= -1;
        cel_perturb_free(&p);
    }
    o.method = (cel_method)7;
    OK_OR_RETURN(cel_perturb_new(&c.model, &c.tissue, &v, 1, NULL, &p, NULL));
    CHECK(cel_perturb_run(&p, &o, &e, &err) == CEL_ERR_ARG);
    cel_perturb_free(&p);
    v.what = (cel_do)9;
    CHECK(cel_perturb_new(&c.model, &c.tissue, &v, 1, NULL, &p, &err) == CEL_ERR_ARG && err.offset == 1);
    chain_free(&c);
}

/* What goes wrong within the local part is told in cells of the tissue. */
static void H9_errors_name_the_tissues_cell(void)
{
    chain c;
    cel_intervention v = hold(55, 1, 0.25);
    cel_perturb p;
    cel_perturb_setup setup = CEL_ZERO;
    cel_perturb_options o = CEL_ZERO;
    cel_effect e;
    cel_error err;
    int32_t label[60] = {0};
    cel_grouping grouping;
    if (!CHECK(chain_new(60, 3, 0.4, 1, &c))) return;
    setup.reach = 2;
    c.x.data[3 * 57 + 2] *= -1;
    OK_OR_RETURN(cel_perturb_new(&c.model, &c.tissue, &v, 1, &setup, &p, NULL));
    CHECK(p.cells < 10);
    o.orthant = 1;
    for (; o.method <= CEL_METHOD_LINEAR; o.method = (cel_method)(o.method + 1))
        CHECK(cel_perturb_run(&p, &o, &e, &err) == CEL_ERR_DATA && err.cell == 57 && err.offset == -1 && err.gene == 2);
    memset(&o, 0, sizeof o);
    grouping.label = label;
    grouping.groups = 1;
    o.grouping = &grouping;
    o.groupings = 1;
    label[0] = 1;
    CHECK(cel_perturb_run(&p, &o, &e, &err) == CEL_ERR_ARG && err.cell == p.id[0] && err.offset == -1 && p.id[0] > 50);
    cel_perturb_free(&p);
    chain_free(&c);
}

void suite_perturb(void);
void suite_perturb(void)
{
    RUN(parse_forms);
    RUN(parse_refuses);
    RUN(bad_interventions);
    RUN(list_of_cells);
    RUN(preparing);
    RUN(held_in_the_users_units);
    RUN(effects_are_exact);
    RUN(planted_chain);
    RUN(relax_and_linear);
    RUN(paper_mode);
    RUN(repeatable);
    RUN(H8_paired_orthant_checks_rows);
    RUN(H9_errors_name_the_tissues_cell);
}
