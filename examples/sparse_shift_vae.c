/* sVAE+: a variational auto-encoder whose latent variables are told apart by interventions that move few of them
 * (Lopez et al., "Learning causal representations of single cells via sparse mechanism shift modeling", 2022,
 * arXiv 2211.03553), on the products, the optimiser and the random numbers of celcomen.h.
 *   cc -O3 -fopenmp -I. examples/sparse_shift_vae.c -o build/sparse_shift_vae -lm && build/sparse_shift_vae
 * simulates perturbed cells of which the truth is known, trains the model and its baselines on them, and prints one
 * table in Markdown on stdout; progress goes to stderr. With --check (compiled with -DCELCOMEN_DOUBLE): every
 * gradient against finite differences.
 * SPDX-License-Identifier: MIT
 *
 * MODEL. Cell i with intervention a, latent k = 1 .. L, gene g; l_i is the total of the cell's counts:
 *     gate_ak in {0, 1}                          does a move k?
 *     z_ik ~ N(gate_ak mu_ak, 1)                 what is not moved is as in every other cell
 *     x_ig ~ NB(mean l_i softmax(f(z_i))_g, size exp(r_g))
 * q(z | x) = N(m, v) from log(1 + x), v = exp(.) + 1e-4. f and the encoder are two layers of linear map, batch norm,
 * ReLU, dropout (encoder only), then a linear map. Neither sees the label a: it enters through the prior of z alone.
 *
 * LOSS, to be least, with n cells in all and batches of B; w and s rise from 0 to 1 over the first epochs:
 *     1/B sum_i [-log NB(x_i | z_i) + w KL(N(m_i, v_i) | prior)] - s/n sum_ak log Beta(q_ak; 1, K),   z = m + sqrt(v) e
 * q_ak = sigmoid(logit_ak) is the chance that a gate is open; logits start at 5. The published code has K = 1, a flat
 * prior that closes no gate, and s = w. Here K > 1 (--k): an open gate costs (K - 1) log 1/(1 - q), which closes those
 * whose mu^2 is below about 2 K / cells of an intervention. Rates of Adam fall to 0 over the last third of the epochs.
 *
 * GATES, three ways (--methods):
 *     sVAE+     as published: every cell of a batch draws soft = sigmoid(logit + log u - log(1 - u)), the loss sees
 *               soft > 1/2, the gradient passes as if it had seen soft (straight-through: biased by design).
 *     sVAE+ E   the gate enters only the KL, which is quadratic in it, so its mean over gates is a formula:
 *               KL = (v + q (m - mu)^2 + (1 - q) m^2 - 1 - log v) / 2. No draw, no bias, no temperature.
 *     sVAE+ R   E, and once (--turn) a jump along what the likelihood cannot see: see turn() in section 5.
 * BASELINES: VAE (no shift: z ~ N(0, I)), all ones (every gate open), PCA and ICA of log(1 + x).
 *
 * SECTIONS: 1 settings and tools  2 the simulator  3 networks  4 the model and its loss  5 training  6 bounds on the
 * likelihood  7 PCA and ICA  8 scores against the truth  9 the check of gradients  10 the experiment */
#define CELCOMEN_IMPLEMENTATION
#include "celcomen.h"

#include <time.h>
#if defined(_OPENMP)
#define PARALLEL _Pragma("omp parallel for schedule(dynamic)")
#define ONE_AT_A_TIME _Pragma("omp critical")
#else
#define PARALLEL
#define ONE_AT_A_TIME
#endif

/* ======================================================================== */
/* 1  settings and tools                                                    */
/* ======================================================================== */

enum { METHODS = 7, MAX_LATENTS = 64 };
typedef enum method { PCA, ICA, VAE, ALL_ONES, STRAIGHT, EXPECTED, TURNED } method;
static const char *const method_name[METHODS] = {"PCA", "ICA", "VAE", "all ones", "sVAE+", "sVAE+ E", "sVAE+ R"};

#define BATCH_NORM_EPS 1e-3
#define BATCH_NORM_PACE 0.01 /* of the running averages */
#define LEAST_VARIANCE 1e-4

typedef struct settings {
    int64_t interventions, unseen; /* of which the last `unseen` are kept from training */
    int64_t cells;                 /* an intervention */
    int64_t genes, latents, hidden, batch, epochs;
    int64_t warm, ramp, turn;      /* epochs: when the KL and the gates' prior count in full; when sVAE+ R jumps */
    double rate, shift_rate;       /* of the networks; of gates and shifts */
    double k, dropout, depth;      /* Beta(1, k); mean count of a gene */
    int64_t samples;               /* of an importance-weighted bound */
    int64_t first_seed, seeds;
    int run[METHODS], quiet, times;
} settings;

static void die(const char *what)
{
    fprintf(stderr, "sparse_shift_vae: %s\n", what);
    exit(1);
}

/* Memory, zeroed, all of which is freed at once. */
typedef struct heap {
    void *list[256];
    int count;
} heap;
static void *get(heap *h, int64_t count, size_t size)
{
    void *p = calloc((size_t)(count > 0 ? count : 1), size);
    if (!p || h->count == 256) die("out of memory");
    h->list[h->count++] = p;
    return p;
}
static double *numbers(heap *h, int64_t count) { return (double *)get(h, count, sizeof(double)); }
static cel_real *reals(heap *h, int64_t count) { return (cel_real *)get(h, count, sizeof(cel_real)); }
static cel_mat matrix(heap *h, int64_t rows, int64_t cols)
{
    return cel_mat_view(reals(h, rows * cols), rows, cols);
}
static void heap_free(heap *h)
{
    while (h->count) free(h->list[--h->count]);
}
static cel_real *row_of(cel_mat a, int64_t i) { return a.data + i * a.stride; }
static cel_mat top(cel_mat a, int64_t rows) { return cel_mat_block(a, 0, 0, rows, a.cols); }

/* C = alpha op(A) op(B) + beta C. Shapes are this program's own. */
static void product(int ta, int tb, cel_mat a, cel_mat b, double beta, cel_mat c, cel_work *work)
{
    if (cel_mat_gemm(ta, tb, 1, a, b, (cel_real)beta, c, work)) die("a product failed");
}
static double sigmoid(double x) { return 1 / (1 + exp(-x)); }
static double seconds(void) { return (double)time(NULL); }

/* What random numbers are for: a stream each, so that none depends on how many another needed. */
enum { FOR_TARGETS = 1, FOR_LATENTS, FOR_DECODER, FOR_COUNTS, FOR_START, FOR_ORDER, FOR_Z, FOR_GATES, FOR_BOUND,
       FOR_ICA, FOR_TURN, FOR_CHECK, FOR_DROPOUT };

/* log Gamma(x) and its derivative, x > 0: by x Gamma(x) = Gamma(x + 1) to where Stirling's series is exact to 1e-11.
 * The C library's lgamma writes its sign to a global, which several threads must not. */
static double log_gamma(double x, double *psi)
{
    double below = 1, slope = 0, u, v;
    while (x < 8) below *= x, slope += 1 / x, x += 1;
    u = 1 / x;
    v = u * u;
    x = log(x);
    *psi = x - u / 2 - v * (1 / 12. - v * (1 / 120. - v * (1 / 252. - v * (1 / 240. - v / 132)))) - slope;
    return (1 / u - 0.5) * x - 1 / u + 0.918938533204672742 +
           u * (1 / 12. - v * (1 / 360. - v * (1 / 1260. - v * (1 / 1680. - v / 1188)))) -
           (slope > 0 ? log(below) : 0);
}

/* ======================================================================== */
/* 2  the simulator                                                         */
/* ======================================================================== */

/* 1, 2 or 3 targets an intervention (drawn with replacement), moved by N(5, 0.5) up or down; z ~ N(shift, I); four
 * linear maps with orthonormal columns and leaky ReLUs between them give logits, divided by their standard deviation;
 * every gene's exp(logit) is scaled to one mean over the CELLS, as the published simulator does, so that a cell's total
 * varies with z; Poisson counts. The published 1e6 / (100 x 250 cells) is a mean of 40 counts. */
typedef struct dataset {
    heap memory;
    int64_t cells, genes, latents, interventions, seen;
    cel_mat count, input;  /* (cells x genes) counts; log(1 + counts) */
    cel_mat z;             /* (cells x latents) the truth */
    cel_mat shift;         /* (interventions x latents) the truth, 0 where not a target */
    int32_t *label;        /* (cells) */
    double *log_total;     /* (cells) log l */
    double *log_factorial; /* (cells) sum over genes of log x! */
    int32_t *train, *test, *fresh; /* cells: of seen interventions, held out of these, of unseen interventions */
    int64_t trains, tests, freshes;
} dataset;

/* a (rows x cols, rows >= cols) becomes orthonormal columns: Gram and Schmidt, twice for the digits. */
static void orthonormal(cel_mat a, cel_rng *rng)
{
    int64_t i, j, k;
    int twice;
    for (i = 0; i < a.rows * a.cols; i++) a.data[i] = (cel_real)cel_rng_normal(rng);
    for (j = 0; j < a.cols; j++) {
        double norm = 0;
        for (twice = 0; twice < 2; twice++)
            for (k = 0; k < j; k++) {
                double dot = 0;
                for (i = 0; i < a.rows; i++) dot += (double)row_of(a, i)[j] * (double)row_of(a, i)[k];
                for (i = 0; i < a.rows; i++) row_of(a, i)[j] -= (cel_real)dot * row_of(a, i)[k];
            }
        for (i = 0; i < a.rows; i++) norm += (double)row_of(a, i)[j] * (double)row_of(a, i)[j];
        for (i = 0; i < a.rows; i++) row_of(a, i)[j] /= (cel_real)sqrt(norm);
    }
}

static void simulate_latents(dataset *d, uint64_t seed)
{
    cel_rng rng = cel_rng_at(seed, FOR_TARGETS, 0, 0);
    int64_t a, i, k, each = d->cells / d->interventions;
    for (a = 0; a < d->interventions; a++) {
        int64_t targets = 1 + cel_rng_integer(&rng, 3);
        for (i = 0; i < targets; i++) {
            double size = 5 + 0.5 * cel_rng_normal(&rng);
            row_of(d->shift, a)[cel_rng_integer(&rng, (uint32_t)d->latents)] =
                (cel_real)(cel_rng_integer(&rng, 2) ? size : -size);
        }
    }
    for (i = 0; i < d->cells; i++) {
        cel_rng own = cel_rng_at(seed, FOR_LATENTS, (uint32_t)i, 0);
        d->label[i] = (int32_t)(i / each);
        for (k = 0; k < d->latents; k++)
            row_of(d->z, i)[k] = row_of(d->shift, d->label[i])[k] + (cel_real)cel_rng_normal(&own);
    }
}

static void simulate_counts(dataset *d, double depth, uint64_t seed)
{
    heap own = CEL_ZERO;
    int64_t width[5] = {d->latents, 40, 40, 40, d->genes}, i, g;
    cel_rng rng = cel_rng_at(seed, FOR_DECODER, 0, 0);
    cel_mat h = d->z;
    double sum = 0, squares = 0, sd, count = (double)(d->cells * d->genes), *mean = numbers(&own, d->genes);
    int step;
    for (step = 0; step < 4; step++) {
        int tall = width[step + 1] >= width[step];
        cel_mat w = matrix(&own, width[step + tall], width[step + !tall]);
        cel_mat next = matrix(&own, d->cells, width[step + 1]);
        orthonormal(w, &rng);
        product(0, tall, h, w, 0, next, NULL);
        for (i = 0; step < 3 && i < next.rows * next.cols; i++)
            if (next.data[i] < 0) next.data[i] *= (cel_real)0.2;
        h = next;
    }
    for (i = 0; i < d->cells * d->genes; i++) {
        sum += (double)h.data[i];
        squares += (double)h.data[i] * (double)h.data[i];
    }
    sd = sqrt(squares / count - sum / count * (sum / count));
    for (i = 0; i < d->cells; i++)
        for (g = 0; g < d->genes; g++) mean[g] += exp((double)row_of(h, i)[g] / sd) / (double)d->cells;
    for (i = 0; i < d->cells; i++) {
        double total = 0, psi;
        rng = cel_rng_at(seed, FOR_COUNTS, (uint32_t)i, 0);
        for (g = 0; g < d->genes; g++) {
            int64_t x = cel_rng_poisson(&rng, depth * exp((double)row_of(h, i)[g] / sd) / mean[g]);
            row_of(d->count, i)[g] = (cel_real)x;
            row_of(d->input, i)[g] = (cel_real)log(1 + (double)x);
            total += (double)x;
            d->log_factorial[i] += log_gamma((double)x + 1, &psi);
        }
        d->log_total[i] = log(total > 0 ? total : 1);
    }
    heap_free(&own);
}

/* Every tenth cell of a seen intervention is held out. */
static void simulate(const settings *o, uint64_t seed, dataset *d)
{
    heap *h = &d->memory;
    int64_t i;
    memset(d, 0, sizeof *d);
    d->interventions = o->interventions;
    d->seen = o->interventions - o->unseen;
    d->cells = o->interventions * o->cells;
    d->genes = o->genes;
    d->latents = o->latents;
    d->count = matrix(h, d->cells, d->genes);
    d->input = matrix(h, d->cells, d->genes);
    d->z = matrix(h, d->cells, d->latents);
    d->shift = matrix(h, d->interventions, d->latents);
    d->label = (int32_t *)get(h, d->cells, sizeof(int32_t));
    d->log_total = numbers(h, d->cells);
    d->log_factorial = numbers(h, d->cells);
    d->train = (int32_t *)get(h, d->cells, sizeof(int32_t));
    d->test = (int32_t *)get(h, d->cells, sizeof(int32_t));
    d->fresh = (int32_t *)get(h, d->cells, sizeof(int32_t));
    simulate_latents(d, seed);
    simulate_counts(d, o->depth, seed);
    for (i = 0; i < d->cells; i++)
        if (d->label[i] >= d->seen) d->fresh[d->freshes++] = (int32_t)i;
        else if (i % 10 == 0) d->test[d->tests++] = (int32_t)i;
        else d->train[d->trains++] = (int32_t)i;
}

/* ======================================================================== */
/* 3  networks                                                              */
/* ======================================================================== */

/* How a network is run: in training (batch statistics, dropout) or with the averages kept of training. */
typedef struct pass {
    int train;
    uint64_t seed;
    uint32_t step; /* with the seed: which random numbers */
    double warm;   /* w, the weight of the KL */
    double gates;  /* the same of the gates' prior */
    int soft;      /* the loss sees soft gates: what a check by differences needs */
} pass;

/* y = x W^T + shift, or with gain: y = dropout(relu(gain (x W^T - mean) / sd + shift)). */
typedef struct layer {
    cel_mat w, dw;                           /* (out x in) and the gradient */
    cel_real *shift, *dshift, *gain, *dgain; /* (out) */
    cel_real *mean, *var;                    /* (out) running averages */
    cel_real *per_sd, *sum, *sum_unit;       /* (out) 1 / sd of the last batch; scratch */
    cel_mat unit, out;                       /* (batch x out) before and after gain, shift, ReLU and dropout */
    double dropout;
    uint32_t stream;
} layer;

/* Every column of a gets mean 0 and standard deviation 1: by the batch's own, or by those kept of training. */
static void normalise(layer *l, cel_mat a, int training)
{
    cel_real *mean = l->mean, *per_sd = l->per_sd, *var = l->sum_unit, rows = (cel_real)a.rows;
    int64_t i, j, n = a.cols;
    if (training) {
        mean = l->sum;
        memset(mean, 0, (size_t)n * sizeof(cel_real));
        memset(var, 0, (size_t)n * sizeof(cel_real));
        for (i = 0; i < a.rows; i++) cel_vec_axpy(1 / rows, row_of(a, i), mean, n);
        for (i = 0; i < a.rows; i++) {
            const cel_real *x = row_of(a, i);
            for (j = 0; j < n; j++) var[j] += (x[j] - mean[j]) * (x[j] - mean[j]);
        }
        for (j = 0; j < n; j++) {
            l->mean[j] += (cel_real)BATCH_NORM_PACE * (mean[j] - l->mean[j]);
            l->var[j] += (cel_real)BATCH_NORM_PACE * (var[j] / (rows - 1) - l->var[j]);
            var[j] /= rows;
        }
    } else var = l->var;
    for (j = 0; j < n; j++) per_sd[j] = (cel_real)(1 / sqrt((double)var[j] + BATCH_NORM_EPS));
    for (i = 0; i < a.rows; i++) {
        cel_real *x = row_of(a, i);
        for (j = 0; j < n; j++) x[j] = (x[j] - mean[j]) * per_sd[j];
    }
}

/* in (rows x in) to the first rows of l->out, which are returned. */
static cel_mat layer_forward(layer *l, cel_mat in, const pass *p, cel_work *work)
{
    cel_mat out = top(l->out, in.rows), unit;
    int64_t i, j, n = out.cols;
    double drop = p->train ? l->dropout : 0;
    const cel_real *gain = l->gain, *shift = l->shift, scale = (cel_real)(1 / (1 - drop));
    if (!gain) {
        product(0, 1, in, l->w, 0, out, work);
        for (i = 0; i < out.rows; i++) cel_vec_axpy(1, shift, row_of(out, i), n);
        return out;
    }
    unit = top(l->unit, in.rows);
    product(0, 1, in, l->w, 0, unit, work);
    normalise(l, unit, p->train);
    for (i = 0; i < out.rows; i++) {
        const cel_real *u = row_of(unit, i);
        cel_real *y = row_of(out, i);
        for (j = 0; j < n; j++) {
            cel_real v = gain[j] * u[j] + shift[j];
            y[j] = v > 0 ? v * scale : 0;
        }
        if (drop > 0) {
            cel_rng rng = cel_rng_at(p->seed, l->stream, (uint32_t)i, p->step);
            uint32_t bits = 0, limit = (uint32_t)(1024 * drop + 0.5);
            for (j = 0; j < n; j++, bits >>= 10) { /* a draw of 30 bits decides on three */
                if (j % 3 == 0) bits = cel_rng_integer(&rng, 1u << 30);
                if ((bits & 1023) < limit) y[j] = 0;
            }
        }
    }
    return out;
}

/* From d (rows x out), the loss's derivative by what left the layer in training, overwritten, to the gradients of its
 * parameters and, where d_in has rows, by what came in. */
static void layer_backward(layer *l, cel_mat in, cel_mat d, cel_mat d_in, cel_work *work)
{
    int64_t i, j, n = d.cols;
    cel_real *sum = l->sum, *sum_unit = l->sum_unit;
    const cel_real scale = (cel_real)(1 / (1 - l->dropout)), per_row = (cel_real)(1 / (double)d.rows);
    memset(sum, 0, (size_t)n * sizeof(cel_real));
    memset(sum_unit, 0, (size_t)n * sizeof(cel_real));
    for (i = 0; i < d.rows; i++) {
        const cel_real *y = row_of(l->out, i), *u = l->gain ? row_of(l->unit, i) : NULL;
        cel_real *g = row_of(d, i);
        if (u)
            for (j = 0; j < n; j++) {
                cel_real v = y[j] > 0 ? g[j] * scale : 0;
                g[j] = v;
                sum_unit[j] += v * u[j];
            }
        cel_vec_axpy(1, g, sum, n);
    }
    for (j = 0; j < n; j++) l->dshift[j] = sum[j];
    if (l->gain) {
        for (j = 0; j < n; j++) {
            l->dgain[j] = sum_unit[j];
            sum[j] *= per_row, sum_unit[j] *= per_row;
            l->per_sd[j] *= l->gain[j];
        }
        for (i = 0; i < d.rows; i++) {
            const cel_real *u = row_of(l->unit, i), *factor = l->per_sd;
            cel_real *g = row_of(d, i);
            for (j = 0; j < n; j++) g[j] = factor[j] * (g[j] - sum[j] - u[j] * sum_unit[j]);
        }
    }
    product(1, 0, d, in, 0, l->dw, work);
    if (d_in.rows) product(0, 0, d, l->w, 0, d_in, work);
}

/* ======================================================================== */
/* 4  the model and its loss                                                */
/* ======================================================================== */

enum { LAYERS = 3, BLOCKS = 2 * LAYERS * 3 + 3 };

/* All parameters lie in one row, the gates and shifts last, since they have a rate of their own. */
typedef struct model {
    heap memory;
    cel_work work;
    method method;
    int64_t genes, latents, interventions, seen, batch;
    double k, cells;                 /* K and n of the prior of gates */
    cel_mat param, grad;             /* (1 x parameters) */
    int64_t networks;                /* how many of them belong to the networks */
    layer encoder[LAYERS], decoder[LAYERS];
    cel_real *size, *dsize;          /* (genes) r */
    cel_mat logit, dlogit, mu, dmu;  /* (interventions x latents) */
    const char *block_name[BLOCKS];  /* the parameters by name, for the check */
    int64_t block_start[BLOCKS + 1], blocks;
    cel_mat input, z, d_z, d_code, d_hidden[2], d_gene; /* (batch x genes, L, L, 2 L, hidden, genes) */
    cel_mat noise, half_root;        /* (batch x L) e; (v - 1e-4) / (2 sqrt v) */
    double *theta, *log_theta, *lg_theta, *psi_theta, *size_sum, *rate; /* (genes) */
} model;

/* The next count parameters and their gradients. */
static cel_real *parameters(model *m, const char *name, int64_t count, cel_real **gradient)
{
    int64_t at = m->block_start[m->blocks];
    m->block_name[m->blocks++] = name;
    m->block_start[m->blocks] = at + count;
    if (!m->param.data) { /* the first round only counts */
        *gradient = NULL;
        return NULL;
    }
    *gradient = m->grad.data + at;
    return m->param.data + at;
}

static void layer_new(model *m, const char *const *name, layer *l, int64_t in, int64_t out, int normed)
{
    cel_real *dw, *w = parameters(m, name[0], out * in, &dw);
    l->w = cel_mat_view(w, out, in);
    l->dw = cel_mat_view(dw, out, in);
    l->shift = parameters(m, name[1], out, &l->dshift);
    l->gain = normed ? parameters(m, name[2], out, &l->dgain) : NULL;
    if (!m->param.data) return;
    l->mean = reals(&m->memory, out);
    l->var = reals(&m->memory, out);
    l->per_sd = reals(&m->memory, out);
    l->sum = reals(&m->memory, out);
    l->sum_unit = reals(&m->memory, out);
    if (normed) l->unit = matrix(&m->memory, m->batch, out);
    l->out = matrix(&m->memory, m->batch, out);
}

static void model_layout(model *m, int64_t hidden)
{
    static const char *const encoder[LAYERS][3] = {{"encoder 1 weights", "encoder 1 shift", "encoder 1 gain"},
                                                   {"encoder 2 weights", "encoder 2 shift", "encoder 2 gain"},
                                                   {"encoder head weights", "encoder head bias", ""}};
    static const char *const decoder[LAYERS][3] = {{"decoder 1 weights", "decoder 1 shift", "decoder 1 gain"},
                                                   {"decoder 2 weights", "decoder 2 shift", "decoder 2 gain"},
                                                   {"decoder head weights", "decoder head bias", ""}};
    int64_t i, into[LAYERS], a = m->interventions, L = m->latents;
    cel_real *d, *p;
    into[0] = m->genes, into[1] = into[2] = hidden;
    m->blocks = 0;
    for (i = 0; i < LAYERS; i++) layer_new(m, encoder[i], m->encoder + i, into[i], i < 2 ? hidden : 2 * L, i < 2);
    into[0] = L;
    for (i = 0; i < LAYERS; i++) layer_new(m, decoder[i], m->decoder + i, into[i], i < 2 ? hidden : m->genes, i < 2);
    m->size = parameters(m, "sizes r", m->genes, &m->dsize);
    m->networks = m->block_start[m->blocks];
    p = parameters(m, "gate logits", a * L, &d);
    m->logit = cel_mat_view(p, a, L), m->dlogit = cel_mat_view(d, a, L);
    p = parameters(m, "shifts mu", a * L, &d);
    m->mu = cel_mat_view(p, a, L), m->dmu = cel_mat_view(d, a, L);
}

/* Weights start uniform within 1 / sqrt(in), gains at 1, r and mu standard normal, logits at 5. */
static void model_start(model *m, double dropout, uint64_t seed)
{
    cel_rng rng = cel_rng_at(seed, FOR_START, 0, 0);
    int64_t i, j;
    for (i = 0; i < 2 * LAYERS; i++) {
        layer *l = i < LAYERS ? m->encoder + i : m->decoder + (i - LAYERS);
        double bound = 1 / sqrt((double)l->w.cols);
        for (j = 0; j < l->w.rows * l->w.cols; j++)
            l->w.data[j] = (cel_real)(bound * (2 * cel_rng_uniform(&rng) - 1));
        for (j = 0; l->gain && j < l->w.rows; j++) l->gain[j] = 1, l->var[j] = 1;
        l->dropout = i < LAYERS ? dropout : 0;
        l->stream = FOR_DROPOUT + (uint32_t)i;
    }
    for (i = 0; i < m->genes; i++) m->size[i] = (cel_real)cel_rng_normal(&rng);
    for (i = 0; i < m->mu.rows * m->mu.cols; i++) m->mu.data[i] = (cel_real)cel_rng_normal(&rng), m->logit.data[i] = 5;
}

static void model_new(const settings *o, method kind, double cells, uint64_t seed, model *m)
{
    heap *h = &m->memory;
    int64_t g = o->genes, L = o->latents, b = o->batch;
    memset(m, 0, sizeof *m);
    m->method = kind;
    m->genes = g, m->latents = L, m->batch = b;
    m->interventions = o->interventions;
    m->seen = o->interventions - o->unseen;
    m->k = o->k;
    m->cells = cells;
    model_layout(m, o->hidden);
    m->param = matrix(h, 1, m->block_start[m->blocks]);
    m->grad = matrix(h, 1, m->block_start[m->blocks]);
    model_layout(m, o->hidden);
    model_start(m, o->dropout, seed);
    m->input = matrix(h, b, g);
    m->z = matrix(h, b, L), m->d_z = matrix(h, b, L), m->noise = matrix(h, b, L), m->half_root = matrix(h, b, L);
    m->d_code = matrix(h, b, 2 * L);
    m->d_hidden[0] = matrix(h, b, o->hidden), m->d_hidden[1] = matrix(h, b, o->hidden);
    m->d_gene = matrix(h, b, g);
    m->theta = numbers(h, g), m->log_theta = numbers(h, g), m->lg_theta = numbers(h, g), m->psi_theta = numbers(h, g);
    m->size_sum = numbers(h, g), m->rate = numbers(h, g);
}
static void model_free(model *m)
{
    heap_free(&m->memory);
    cel_work_free(&m->work);
}

/* What depends on r alone. */
static void model_sizes(model *m)
{
    int64_t g;
    for (g = 0; g < m->genes; g++) {
        m->log_theta[g] = (double)m->size[g];
        m->theta[g] = exp(m->log_theta[g]);
        m->lg_theta[g] = log_gamma(m->theta[g], m->psi_theta + g);
    }
}

/* log NB of a cell's counts, given the decoder's output o (genes). With d (genes): minus its derivative by o, over
 * `rows`; that by r is added to size_sum. With m = l softmax(o) and t = theta,
 *     log NB = log Gamma(x + t) - log Gamma(t) - log x! + t log t + x log m - (x + t) log(m + t)
 *     m d/dm = x - m (x + t) / (m + t), of which softmax takes off its share of the sum
 *     t d/dt = t [psi(x + t) - psi(t) + log t - log(m + t) + 1 - (x + t) / (m + t)] */
static double count_likelihood(model *m, const dataset *data, int64_t cell, const cel_real *o, double rows, cel_real *d)
{
    const cel_real *count = row_of(data->count, cell);
    double top_value = (double)o[0], sum = 0, shift, value = -data->log_factorial[cell], all = 0;
    int64_t g;
    for (g = 1; g < m->genes; g++) top_value = (double)o[g] > top_value ? (double)o[g] : top_value;
    for (g = 0; g < m->genes; g++) sum += m->rate[g] = exp((double)o[g] - top_value);
    shift = data->log_total[cell] - top_value - log(sum);
    sum = exp(data->log_total[cell]) / sum;
    for (g = 0; g < m->genes; g++) {
        double x = (double)count[g], t = m->theta[g], rate = m->rate[g] * sum, psi, log_both = log(rate + t), slope;
        value += log_gamma(x + t, &psi) - m->lg_theta[g] + t * m->log_theta[g] + x * ((double)o[g] + shift) -
                 (x + t) * log_both;
        if (!d) continue;
        slope = x - rate * (x + t) / (rate + t);
        all += slope;
        d[g] = (cel_real)slope;
        m->size_sum[g] -=
            t * (psi - m->psi_theta[g] + m->log_theta[g] - log_both + 1 - (x + t) / (rate + t)) / rows;
        m->rate[g] = rate;
    }
    if (d) {
        double share = all / exp(data->log_total[cell]);
        for (g = 0; g < m->genes; g++) d[g] = (cel_real)(-((double)d[g] - m->rate[g] * share) / rows);
    }
    return value;
}

/* The part of the KL that knows the intervention, 1/2 (code - gate mu)^2 as the method has it, and its derivatives by
 * code, mu and logit. u in (0, 1) is the draw of a gate. */
typedef struct pull {
    double value, code, mu, logit;
} pull;
static pull prior_pull(method kind, double code, double mu, double logit, double u, int soft)
{
    pull p = CEL_ZERO;
    double q = kind == ALL_ONES ? 1 : kind == VAE ? 0 : sigmoid(logit), gate = q, slope = 0;
    if (kind >= EXPECTED) {
        p.value = (q * (code - mu) * (code - mu) + (1 - q) * code * code) / 2;
        p.code = code - q * mu;
        p.mu = q * (mu - code);
        p.logit = ((code - mu) * (code - mu) - code * code) / 2 * q * (1 - q);
        return p;
    }
    if (kind == STRAIGHT) {
        gate = sigmoid(logit + log(u) - log(1 - u));
        slope = gate * (1 - gate);
        if (!soft) gate = gate > 0.5;
    }
    p.code = code - gate * mu;
    p.value = p.code * p.code / 2;
    p.mu = -gate * p.code;
    p.logit = -mu * p.code * slope;
    return p;
}

/* The cells' codes m and v (rows x 2 L: means, then log (v - 1e-4)) from their counts. */
static cel_mat encode(model *m, const dataset *data, const int32_t *cell, int64_t rows, const pass *p)
{
    cel_mat h = top(m->input, rows);
    int64_t i;
    for (i = 0; i < rows; i++)
        memcpy(row_of(h, i), row_of(data->input, cell[i]), (size_t)m->genes * sizeof(cel_real));
    for (i = 0; i < LAYERS; i++) h = layer_forward(m->encoder + i, h, p, &m->work);
    return h;
}
static cel_mat decode(model *m, cel_mat z, const pass *p)
{
    int64_t i;
    for (i = 0; i < LAYERS; i++) z = layer_forward(m->decoder + i, z, p, &m->work);
    return z;
}

/* - w/n sum log Beta(q; 1, K) over the seen interventions, and its gradient by the logits. */
static double gate_prior(model *m, double strength)
{
    double value = 0, weight = strength / m->cells;
    int64_t i;
    if (m->method < STRAIGHT) return 0;
    for (i = 0; i < m->seen * m->latents; i++) {
        double logit = (double)m->logit.data[i], q = sigmoid(logit);
        /* log(1 - q) = -log(1 + exp(logit)) */
        value -= weight * (log(m->k) - (m->k - 1) * (logit > 30 ? logit : log(1 + exp(logit))));
        m->dlogit.data[i] += (cel_real)(weight * (m->k - 1) * q);
    }
    return value;
}

/* The KL of the batch and its derivatives: by the codes to d_code, where d_z already counts, by gates and shifts. */
static double batch_kl(model *m, const dataset *data, const int32_t *cell, cel_mat code, const pass *p)
{
    int64_t i, k, L = m->latents;
    double kl = 0, weight = p->warm / (double)code.rows;
    for (i = 0; i < code.rows; i++) {
        const cel_real *c = row_of(code, i), *dz = row_of(m->d_z, i), *half = row_of(m->half_root, i);
        cel_real *d = row_of(m->d_code, i), *dmu = row_of(m->dmu, data->label[cell[i]]);
        cel_real *dlogit = row_of(m->dlogit, data->label[cell[i]]);
        const cel_real *mu = row_of(m->mu, data->label[cell[i]]), *logit = row_of(m->logit, data->label[cell[i]]);
        cel_rng rng = cel_rng_at(p->seed, FOR_GATES, (uint32_t)i, p->step);
        for (k = 0; k < L; k++) {
            double extra = exp((double)c[L + k]), v = extra + LEAST_VARIANCE;
            double u = m->method == STRAIGHT ? (cel_rng_integer(&rng, 1 << 30) + 0.5) / (1 << 30) : 0.5;
            pull t = prior_pull(m->method, (double)c[k], (double)mu[k], (double)logit[k], u, p->soft);
            kl += t.value + (v - 1 - log(v)) / 2;
            d[k] = (cel_real)((double)dz[k] + weight * t.code);
            d[L + k] = (cel_real)((double)dz[k] * (double)row_of(m->noise, i)[k] * (double)half[k] +
                                  weight * extra * (1 - 1 / v) / 2);
            dmu[k] += (cel_real)(weight * t.mu);
            dlogit[k] += (cel_real)(weight * t.logit);
        }
    }
    return kl;
}

/* The loss of a batch and the gradient of every parameter. */
static double batch_loss(model *m, const dataset *data, const int32_t *cell, int64_t rows, const pass *p)
{
    cel_mat z = top(m->z, rows), d_gene = top(m->d_gene, rows), code, out, h[2];
    cel_rng rng = cel_rng_at(p->seed, FOR_Z, 0, p->step);
    double loss = 0;
    int64_t i, k, L = m->latents;
    cel_mat_fill(m->grad, 0);
    memset(m->size_sum, 0, (size_t)m->genes * sizeof(double));
    model_sizes(m);
    code = encode(m, data, cell, rows, p);
    cel_rng_normals(&rng, m->noise.data, rows * L);
    for (i = 0; i < rows; i++)
        for (k = 0; k < L; k++) {
            double extra = exp((double)row_of(code, i)[L + k]), root = sqrt(extra + LEAST_VARIANCE);
            row_of(z, i)[k] = row_of(code, i)[k] + (cel_real)root * row_of(m->noise, i)[k];
            row_of(m->half_root, i)[k] = (cel_real)(extra / (2 * root));
        }
    out = decode(m, z, p);
    for (i = 0; i < rows; i++)
        loss -= count_likelihood(m, data, cell[i], row_of(out, i), (double)rows, row_of(d_gene, i));
    for (k = 0; k < m->genes; k++) m->dsize[k] = (cel_real)m->size_sum[k];
    for (i = 0; i < 2; i++) h[i] = top(m->d_hidden[i], rows);
    layer_backward(m->decoder + 2, top(m->decoder[1].out, rows), d_gene, h[0], &m->work);
    layer_backward(m->decoder + 1, top(m->decoder[0].out, rows), h[0], h[1], &m->work);
    layer_backward(m->decoder, z, h[1], top(m->d_z, rows), &m->work);
    loss += p->warm * batch_kl(m, data, cell, code, p);
    layer_backward(m->encoder + 2, top(m->encoder[1].out, rows), top(m->d_code, rows), h[0], &m->work);
    layer_backward(m->encoder + 1, top(m->encoder[0].out, rows), h[0], h[1], &m->work);
    layer_backward(m->encoder, top(m->input, rows), h[1], cel_mat_none(), &m->work);
    return loss / (double)rows + gate_prior(m, p->gates);
}

/* ======================================================================== */
/* 5  training                                                              */
/* ======================================================================== */

static int64_t open_gates(const model *m)
{
    int64_t i, open = 0;
    for (i = 0; i < m->seen * m->latents; i++) open += m->logit.data[i] > 0;
    return open;
}

static int falling(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x < y) - (x > y);
}

/* The median of column k. */
static double column_median(cel_mat a, int64_t k)
{
    heap own = CEL_ZERO;
    double *sorted = numbers(&own, a.rows), median;
    int64_t i;
    for (i = 0; i < a.rows; i++) sorted[i] = (double)row_of(a, i)[k];
    qsort(sorted, (size_t)a.rows, sizeof(double), falling);
    median = (sorted[(a.rows - 1) / 2] + sorted[a.rows / 2]) / 2;
    heap_free(&own);
    return median;
}

/* What entries x of a shift cost together: sum log(1 + x^2 / scale), small where few are far from 0. Of columns p and q
 * of a, turned by the angle. */
static double price(cel_mat a, int64_t p, int64_t q, double angle, double scale)
{
    double c = cos(angle), s = sin(angle), sum = 0;
    int64_t i;
    for (i = 0; i < a.rows; i++) {
        double x = (double)row_of(a, i)[p], y = (double)row_of(a, i)[q], u = c * x + s * y, v = c * y - s * x;
        sum += log((1 + u * u / scale) * (1 + v * v / scale));
    }
    return sum;
}

static void rotate(cel_mat a, int64_t p, int64_t q, double angle)
{
    double c = cos(angle), s = sin(angle);
    int64_t i;
    for (i = 0; i < a.rows; i++) {
        double x = (double)row_of(a, i)[p], y = (double)row_of(a, i)[q];
        row_of(a, i)[p] = (cel_real)(c * x + s * y);
        row_of(a, i)[q] = (cel_real)(c * y - s * x);
    }
}

/* The angle at which the two columns cost least: the best of 24 in a quarter turn (a further one only swaps them), then
 * steps of half the size each. */
static double cheapest_angle(cel_mat a, int64_t p, int64_t q, double scale, double *least)
{
    double step = 1.5707963267948966 / 24, best = 0, centre, angle, value;
    int i, side;
    *least = price(a, p, q, 0, scale) - 1e-6;
    for (i = 1; i < 24; i++)
        if ((value = price(a, p, q, i * step, scale)) < *least) *least = value, best = i * step;
    for (i = 0; i < 8; i++)
        for (step /= 2, centre = best, side = -1; side <= 1; side += 2) {
            angle = centre + side * step;
            if ((value = price(a, p, q, angle, scale)) < *least) *least = value, best = angle;
        }
    return best;
}

static void recentre(cel_mat a)
{
    int64_t i, k;
    for (k = 0; k < a.cols; k++) {
        cel_real c = (cel_real)column_median(a, k);
        for (i = 0; i < a.rows; i++) row_of(a, i)[k] -= c;
    }
}

/* Turns a, and R with it, plane by plane until none gains. */
static void descend(cel_mat a, cel_mat R, double scale)
{
    int64_t p, q;
    int round, gains = 1;
    double value;
    for (round = 0; round < 50 && gains; round++) {
        recentre(a);
        for (gains = 0, p = 0; p < a.cols; p++)
            for (q = p + 1; q < a.cols; q++) {
                double angle = cheapest_angle(a, p, q, scale, &value);
                if (angle <= 0 && angle >= 0) continue;
                rotate(a, p, q, angle);
                rotate(R, p, q, angle);
                gains++;
            }
    }
}

/* The rotation R (L x L) for which the price of mu R (rows x L), less its medians, is least: the best of several
 * descents from random beginnings, since there are many local optima. */
static void sparsest_rotation(cel_mat mu, double scale, uint64_t seed, cel_mat R)
{
    heap own = CEL_ZERO;
    int64_t L = mu.cols, k;
    cel_mat a = matrix(&own, mu.rows, L), turned = matrix(&own, L, L);
    cel_rng rng = cel_rng_at(seed, FOR_TURN, 0, 0);
    double least = HUGE_VAL;
    int start;
    for (start = 0; start < 20; start++) {
        double sum = 0;
        orthonormal(turned, &rng);
        product(0, 0, mu, turned, 0, a, NULL);
        descend(a, turned, scale);
        for (k = 0; k < L; k++) sum += price(a, k, k, 0, scale) / 2;
        if (sum < least) least = sum, memcpy(R.data, turned.data, (size_t)(L * L) * sizeof(cel_real));
    }
    heap_free(&own);
}

/* With open gates the model of z' = R^T z - c is as likely, whatever the rotation R and the move c: its shifts are
 * R^T mu - c, the encoder's head and the decoder's first layer absorb the rest (the variances of the code only nearly).
 * Gradients cross that plain slowly and end in one of many local optima. So once, before the gates begin to close, the
 * model jumps to the R at which its own shifts are sparsest, by the price that the gates will put on them, and to the c
 * at which the median intervention moves nothing. */
static void turn(model *m, uint64_t seed)
{
    heap own = CEL_ZERO;
    int64_t L = m->latents, n = m->encoder[2].w.cols, i, j, k;
    layer *head = m->encoder + 2, *first = m->decoder;
    cel_mat mu = top(m->mu, m->seen), a = matrix(&own, m->seen, L), R = matrix(&own, L, L), square = matrix(&own, L, L);
    cel_mat w = matrix(&own, 2 * L, n + 1), v = matrix(&own, 2 * L, n + 1), in = matrix(&own, first->w.rows, L);
    /* A gate closes where mu^2 is below about this. */
    sparsest_rotation(mu, 2 * m->k * (double)m->seen / m->cells, seed, R);
    for (i = 0; i < L * L; i++) square.data[i] = R.data[i] * R.data[i];
    product(0, 0, mu, R, 0, a, NULL);
    if (cel_mat_copy(a, mu)) die("a shape");
    for (i = 0; i < 2 * L; i++) {
        memcpy(row_of(w, i), row_of(head->w, i), (size_t)n * sizeof(cel_real));
        row_of(w, i)[n] = head->shift[i];
    }
    product(1, 0, R, top(w, L), 0, top(v, L), NULL); /* means turn; log variances are averaged */
    product(1, 0, square, cel_mat_block(w, L, 0, L, n + 1), 0, cel_mat_block(v, L, 0, L, n + 1), NULL);
    for (i = 0; i < 2 * L; i++) {
        memcpy(row_of(head->w, i), row_of(v, i), (size_t)n * sizeof(cel_real));
        head->shift[i] = row_of(v, i)[n];
    }
    product(0, 0, first->w, R, 0, in, NULL);
    if (cel_mat_copy(in, first->w)) die("a shape");
    for (k = 0; k < L; k++) {
        cel_real c = (cel_real)column_median(mu, k);
        for (i = 0; i < m->seen; i++) row_of(mu, i)[k] -= c;
        head->shift[k] -= c;
        for (j = 0; j < first->w.rows; j++) first->mean[j] -= c * row_of(first->w, j)[k];
    }
    heap_free(&own);
}

static void train(model *m, const dataset *data, const settings *o, uint64_t seed)
{
    heap own = CEL_ZERO;
    cel_adam networks, shifts;
    cel_adam_options rate = CEL_ZERO, shift_rate = CEL_ZERO;
    int64_t n = data->trains, first = m->networks, rest = m->param.cols - first, epoch, begin, i, at;
    int32_t *order = (int32_t *)get(&own, n, sizeof(int32_t));
    pass p = CEL_ZERO;
    double begun = seconds();
    if (cel_adam_new(first, &networks) || cel_adam_new(rest, &shifts)) die("out of memory");
    p.train = 1;
    p.seed = seed;
    memcpy(order, data->train, (size_t)n * sizeof(int32_t));
    for (epoch = 0; epoch < o->epochs; epoch++) {
        cel_rng rng = cel_rng_at(seed, FOR_ORDER, 0, (uint32_t)epoch);
        double loss = 0, slow;
        for (i = n - 1; i > 0; i--) {
            int64_t j = cel_rng_integer(&rng, (uint32_t)(i + 1));
            int32_t swap = order[i];
            order[i] = order[j], order[j] = swap;
        }
        p.warm = epoch < o->warm ? (double)epoch / (double)o->warm : 1;
        begin = m->method == TURNED ? o->turn : 0;
        p.gates = epoch < begin ? 0 : epoch < o->ramp ? (double)(epoch - begin) / (double)(o->ramp - begin) : 1;
        if (epoch == o->turn && m->method == TURNED) turn(m, seed);
        slow = 3 * (o->epochs - epoch) < o->epochs ? 3 * (double)(o->epochs - epoch) / (double)o->epochs : 1;
        rate.lr = slow * o->rate;
        shift_rate.lr = slow * o->shift_rate;
        for (at = 0; at + m->batch <= n; at += m->batch, p.step++) {
            loss += batch_loss(m, data, order + at, m->batch, &p);
            cel_adam_step(&networks, cel_mat_block(m->grad, 0, 0, 1, first), &rate,
                          cel_mat_block(m->param, 0, 0, 1, first));
            cel_adam_step(&shifts, cel_mat_block(m->grad, 0, first, 1, rest), &shift_rate,
                          cel_mat_block(m->param, 0, first, 1, rest));
        }
        if (!o->quiet && (epoch % 10 == 9 || epoch + 1 == o->epochs)) {
            ONE_AT_A_TIME
            fprintf(stderr, "seed %d  %-8s  epoch %3d of %d  loss %9.3f  open gates %4d of %d  %5.0f s\n", (int)seed,
                    method_name[m->method], (int)epoch + 1, (int)o->epochs, loss / (double)(n / m->batch),
                    (int)open_gates(m), (int)(m->seen * m->latents), seconds() - begun);
        }
    }
    cel_adam_free(&networks);
    cel_adam_free(&shifts);
    heap_free(&own);
}

/* The means of the codes (count x latents) of these cells. */
static void latents_of(model *m, const dataset *data, const int32_t *cell, int64_t count, cel_mat out)
{
    pass p = CEL_ZERO;
    int64_t i, at;
    for (at = 0; at < count; at += m->batch) {
        int64_t rows = count - at < m->batch ? count - at : m->batch;
        cel_mat code = encode(m, data, cell + at, rows, &p);
        for (i = 0; i < rows; i++)
            memcpy(row_of(out, at + i), row_of(code, i), (size_t)m->latents * sizeof(cel_real));
    }
}

/* ======================================================================== */
/* 6  bounds on the likelihood                                              */
/* ======================================================================== */

/* Means over the cells of two bounds on log p(x | a), gates at their likelier value:
 *     ELBO = mean_s log w_s,   IWELBO = log mean_s w_s,   w = p(x | z) p(z | a) / q(z | x),   z_s ~ q(z | x). */
static void bounds(model *m, const dataset *data, const int32_t *cell, int64_t count, int64_t samples, uint64_t seed,
                   double *elbo, double *iwelbo)
{
    heap own = CEL_ZERO;
    double *log_w = numbers(&own, samples);
    int64_t c, s, i, k, at, L = m->latents;
    cel_real *code = reals(&own, 2 * L);
    pass p = CEL_ZERO;
    *elbo = *iwelbo = 0;
    model_sizes(m);
    for (c = 0; c < count; c++) {
        const cel_real *logit = row_of(m->logit, data->label[cell[c]]), *mu = row_of(m->mu, data->label[cell[c]]);
        double most, sum = 0, mean = 0;
        memcpy(code, encode(m, data, cell + c, 1, &p).data, (size_t)(2 * L) * sizeof(cel_real));
        for (at = 0; at < samples; at += m->batch) {
            int64_t rows = samples - at < m->batch ? samples - at : m->batch;
            cel_rng rng = cel_rng_at(seed, FOR_BOUND, (uint32_t)c, (uint32_t)(at / m->batch));
            cel_mat out;
            cel_rng_normals(&rng, m->z.data, rows * L);
            for (i = 0; i < rows; i++)
                for (log_w[at + i] = 0, k = 0; k < L; k++) {
                    double v = exp((double)code[L + k]) + LEAST_VARIANCE, e = (double)row_of(m->z, i)[k];
                    double z = (double)code[k] + sqrt(v) * e;
                    int gate = m->method == ALL_ONES || (m->method != VAE && logit[k] > 0);
                    double away = z - (gate ? (double)mu[k] : 0);
                    log_w[at + i] += (e * e + log(v) - away * away) / 2;
                    row_of(m->z, i)[k] = (cel_real)z;
                }
            out = decode(m, top(m->z, rows), &p);
            for (i = 0; i < rows; i++) log_w[at + i] += count_likelihood(m, data, cell[c], row_of(out, i), 1, NULL);
        }
        for (most = log_w[0], s = 0; s < samples; s++) most = log_w[s] > most ? log_w[s] : most;
        for (s = 0; s < samples; s++) sum += exp(log_w[s] - most), mean += log_w[s];
        *elbo += mean / (double)samples / (double)count;
        *iwelbo += (most + log(sum / (double)samples)) / (double)count;
    }
    heap_free(&own);
}

/* Unseen interventions: the networks stay, gates open, and the mean code of the cells in `learn` is the shift that
 * makes their KL least. */
static void learn_shifts(model *m, const dataset *data, const int32_t *learn, int64_t count)
{
    heap own = CEL_ZERO;
    cel_mat code = matrix(&own, count, m->latents);
    double *cells = numbers(&own, m->interventions);
    int64_t i, k, a;
    latents_of(m, data, learn, count, code);
    for (i = 0; i < count; i++) cells[data->label[learn[i]]]++;
    for (a = m->seen; a < m->interventions; a++)
        for (k = 0; k < m->latents; k++) row_of(m->mu, a)[k] = 0, row_of(m->logit, a)[k] = 5;
    for (i = 0; i < count; i++)
        for (a = data->label[learn[i]], k = 0; k < m->latents; k++)
            row_of(m->mu, a)[k] += row_of(code, i)[k] / (cel_real)cells[a];
    heap_free(&own);
}

/* ======================================================================== */
/* 7  PCA and ICA                                                           */
/* ======================================================================== */

/* W <- (W W^T)^-1/2 W. */
static void decorrelate(cel_mat w)
{
    heap own = CEL_ZERO;
    int64_t n = w.rows, i, j;
    cel_mat s = matrix(&own, n, n), v = matrix(&own, n, n), t = matrix(&own, n, n);
    double value[MAX_LATENTS];
    product(0, 1, w, w, 0, s, NULL);
    if (cel_mat_eigen(s, value, v)) die("ICA: no eigenvectors");
    for (i = 0; i < n; i++)
        for (j = 0; j < n; j++) row_of(t, i)[j] = row_of(v, i)[j] / (cel_real)sqrt(value[j]);
    product(0, 1, t, v, 0, s, NULL);
    product(0, 0, s, w, 0, t, NULL);
    if (cel_mat_copy(t, w)) die("ICA: a shape");
    heap_free(&own);
}

/* Independent components of white (n x L) data: FastICA (Hyvarinen 1999), tanh, all at once:
 * w <- mean[x tanh(w.x)] - mean[1 - tanh^2] w, then decorrelated. w (L x L) gets the rotation. */
static void fast_ica(cel_mat white, uint64_t seed, cel_mat w)
{
    heap own = CEL_ZERO;
    int64_t n = white.rows, L = white.cols, i, k, round;
    cel_mat y = matrix(&own, n, L), next = matrix(&own, L, L);
    cel_rng rng = cel_rng_at(seed, FOR_ICA, 0, 0);
    for (i = 0; i < L * L; i++) w.data[i] = (cel_real)cel_rng_normal(&rng);
    decorrelate(w);
    for (round = 0; round < 300; round++) {
        double slope[MAX_LATENTS] = {0}, change = 0;
        product(0, 1, white, w, 0, y, NULL);
        for (i = 0; i < n; i++)
            for (k = 0; k < L; k++) {
                double t = tanh((double)row_of(y, i)[k]);
                row_of(y, i)[k] = (cel_real)t;
                slope[k] += 1 - t * t;
            }
        product(1, 0, y, white, 0, next, NULL);
        for (k = 0; k < L; k++)
            for (i = 0; i < L; i++) {
                double back = slope[k] * (double)row_of(w, k)[i];
                row_of(next, k)[i] = (cel_real)(((double)row_of(next, k)[i] - back) / (double)n);
            }
        decorrelate(next);
        for (k = 0; k < L; k++) {
            double away = 1 - fabs(cel_vec_dot(row_of(next, k), row_of(w, k), L));
            change = away > change ? away : change;
        }
        if (cel_mat_copy(next, w)) die("ICA: a shape");
        if (change < 1e-5) break;
    }
    heap_free(&own);
}

/* Components of every cell (cells x L), learned from the training cells. */
static void linear_latents(const dataset *d, method kind, uint64_t seed, cel_mat out)
{
    heap own = CEL_ZERO;
    int64_t n = d->trains, G = d->genes, L = d->latents, i, g, k;
    cel_mat x = matrix(&own, n, G), cov = matrix(&own, G, G), v = matrix(&own, G, G), axes = matrix(&own, G, L);
    cel_mat white = matrix(&own, n, L), w = matrix(&own, L, L), all = matrix(&own, d->cells, G);
    double *mean = numbers(&own, G), *value = numbers(&own, G);
    for (i = 0; i < n; i++)
        for (g = 0; g < G; g++) mean[g] += (double)row_of(d->input, d->train[i])[g] / (double)n;
    for (i = 0; i < n; i++)
        for (g = 0; g < G; g++) row_of(x, i)[g] = row_of(d->input, d->train[i])[g] - (cel_real)mean[g];
    if (cel_mat_syrk(1, (cel_real)(1 / (double)n), x, 0, cov, NULL) || cel_mat_eigen(cov, value, v))
        die("PCA: no eigenvectors");
    for (g = 0; g < G; g++)
        for (k = 0; k < L; k++) row_of(axes, g)[k] = row_of(v, g)[G - 1 - k] / (cel_real)sqrt(value[G - 1 - k]);
    if (kind == ICA) {
        cel_mat turned = matrix(&own, G, L);
        product(0, 0, x, axes, 0, white, NULL);
        fast_ica(white, seed, w);
        product(0, 1, axes, w, 0, turned, NULL);
        axes = turned;
    }
    for (i = 0; i < d->cells; i++)
        for (g = 0; g < G; g++) row_of(all, i)[g] = row_of(d->input, i)[g] - (cel_real)mean[g];
    product(0, 0, all, axes, 0, out, NULL);
    heap_free(&own);
}

/* ======================================================================== */
/* 8  scores against the truth                                              */
/* ======================================================================== */

/* NaN: not applicable. */
typedef struct scores {
    double mcc, r2;                        /* on held-out cells */
    double best_f1;                        /* of the interventions' mean latents, with the best threshold there is */
    double precision, recall, f1;          /* of the method's own gates */
    double elbo, iwelbo, fresh;            /* a held-out cell; the last: IWELBO of unseen interventions */
} scores;

/* The one-to-one match[row] = column of largest total gain (n x n): shortest augmenting paths, O(n^3). */
static void best_match(const double *gain, int64_t n, int64_t *match)
{
    double u[MAX_LATENTS + 1] = {0}, v[MAX_LATENTS + 1] = {0}, least[MAX_LATENTS + 1];
    int64_t owner[MAX_LATENTS + 1] = {0}, from[MAX_LATENTS + 1], i, j, at, next = 0; /* from 1; column 0 is the start */
    int used[MAX_LATENTS + 1];
    for (i = 1; i <= n; i++) {
        for (j = 0; j <= n; j++) least[j] = HUGE_VAL, used[j] = 0, from[j] = 0;
        owner[0] = i;
        for (at = 0; owner[at]; at = next) {
            double step = HUGE_VAL;
            int64_t row = owner[at];
            used[at] = 1;
            for (j = 1; j <= n; j++) {
                double slack = -gain[(row - 1) * n + j - 1] - u[row] - v[j];
                if (used[j]) continue;
                if (slack < least[j]) least[j] = slack, from[j] = at;
                if (least[j] < step) step = least[j], next = j;
            }
            for (j = 0; j <= n; j++) {
                if (used[j]) u[owner[j]] += step, v[j] -= step;
                else least[j] -= step;
            }
        }
        for (; at; at = from[at]) owner[at] = owner[from[at]];
    }
    for (j = 1; j <= n; j++) match[owner[j] - 1] = j - 1;
}

/* Correlations (L x L): of true latent t (row) with learned latent k (column), both (count x L). */
static void correlations(cel_mat truth, cel_mat learned, double *r)
{
    heap own = CEL_ZERO;
    int64_t n = truth.rows, L = truth.cols, i, s, t;
    double *mean = numbers(&own, 2 * L), *square = numbers(&own, 2 * L);
    for (i = 0; i < n; i++)
        for (s = 0; s < L; s++) {
            mean[s] += (double)row_of(truth, i)[s] / (double)n;
            mean[L + s] += (double)row_of(learned, i)[s] / (double)n;
        }
    memset(r, 0, (size_t)(L * L) * sizeof(double));
    for (i = 0; i < n; i++)
        for (s = 0; s < L; s++) {
            double a = (double)row_of(truth, i)[s] - mean[s], b = (double)row_of(learned, i)[s] - mean[L + s];
            square[s] += a * a;
            square[L + s] += b * b;
            for (t = 0; t < L; t++) r[s * L + t] += a * ((double)row_of(learned, i)[t] - mean[L + t]);
        }
    for (s = 0; s < L; s++)
        for (t = 0; t < L; t++) r[s * L + t] /= sqrt(square[s] * square[L + t]) + 1e-30;
    heap_free(&own);
}

/* Mean over the true latents of the share of variance that a linear map of the learned ones explains. */
static double linear_r2(cel_mat truth, cel_mat learned)
{
    heap own = CEL_ZERO;
    int64_t n = truth.rows, L = truth.cols, i, k;
    cel_mat x = matrix(&own, n, L + 1), a = matrix(&own, L + 1, L + 1), b = matrix(&own, L + 1, L);
    cel_mat left = matrix(&own, n, L);
    double r2 = 0;
    for (i = 0; i < n; i++) {
        memcpy(row_of(x, i), row_of(learned, i), (size_t)L * sizeof(cel_real));
        row_of(x, i)[L] = 1;
    }
    product(1, 0, x, x, 0, a, NULL);
    for (k = 0; k <= L; k++) row_of(a, k)[k] *= (cel_real)(1 + 1e-6);
    product(1, 0, x, truth, 0, b, NULL);
    if (cel_mat_cholesky(a) || cel_mat_cholesky_solve(a, b)) die("R2: singular latents");
    product(0, 0, x, b, 0, left, NULL);
    for (k = 0; k < L; k++) {
        double mean = 0, all = 0, miss = 0;
        for (i = 0; i < n; i++) mean += (double)row_of(truth, i)[k] / (double)n;
        for (i = 0; i < n; i++) {
            double d = (double)row_of(truth, i)[k] - mean, e = (double)(row_of(truth, i)[k] - row_of(left, i)[k]);
            all += d * d, miss += e * e;
        }
        r2 += (1 - miss / all) / (double)L;
    }
    heap_free(&own);
    return r2;
}

static double f1_of(double hits, double called, double targets) { return 2 * hits / (called + targets); }

/* The best F1 over all thresholds on strength (count) as a call of target (count). */
static double oracle_f1(const double *strength, const uint8_t *target, int64_t count)
{
    heap own = CEL_ZERO;
    double *pair = numbers(&own, 2 * count), targets = 0, hits = 0, best = 0;
    int64_t i;
    for (i = 0; i < count; i++) pair[2 * i] = strength[i], pair[2 * i + 1] = target[i], targets += target[i];
    qsort(pair, (size_t)count, 2 * sizeof(double), falling);
    for (i = 0; i < count; i++) {
        hits += pair[2 * i + 1];
        if (f1_of(hits, (double)(i + 1), targets) > best) best = f1_of(hits, (double)(i + 1), targets);
    }
    heap_free(&own);
    return best;
}

/* strength (seen x L): how far the mean latent of an intervention lies from the median intervention, in standard
 * deviations over cells. Most interventions do not touch a latent, so the median is where it rests. */
static void mean_shifts(const dataset *d, cel_mat latents, double *strength)
{
    heap own = CEL_ZERO;
    int64_t L = d->latents, i, a, k;
    double *cells = numbers(&own, d->seen);
    cel_mat shift = matrix(&own, d->seen, L);
    for (i = 0; i < d->trains; i++) cells[d->label[d->train[i]]]++;
    for (i = 0; i < d->trains; i++)
        for (a = d->label[d->train[i]], k = 0; k < L; k++)
            row_of(shift, a)[k] += row_of(latents, d->train[i])[k] / (cel_real)cells[a];
    for (k = 0; k < L; k++) {
        double rest = column_median(shift, k), mean = 0, square = 0, sd;
        for (i = 0; i < d->trains; i++) {
            double v = (double)row_of(latents, d->train[i])[k];
            mean += v / (double)d->trains;
            square += v * v / (double)d->trains;
        }
        sd = sqrt(square - mean * mean + 1e-30);
        for (a = 0; a < d->seen; a++) strength[a * L + k] = fabs((double)row_of(shift, a)[k] - rest) / sd;
    }
    heap_free(&own);
}

/* latents (cells x L) of every cell; m is NULL for PCA and ICA. Latents are matched by the absolute correlation, since
 * a flipped one is as good. */
static void score(const dataset *d, model *m, cel_mat latents, scores *s)
{
    heap own = CEL_ZERO;
    int64_t L = d->latents, i, a, t, match[MAX_LATENTS];
    double *r = numbers(&own, L * L), *strength = numbers(&own, d->seen * L), *matched = numbers(&own, d->seen * L);
    double hits = 0, called = 0, targets = 0;
    uint8_t *target = (uint8_t *)get(&own, d->seen * L, 1);
    cel_mat truth = matrix(&own, d->tests, L), learned = matrix(&own, d->tests, L);
    for (i = 0; i < d->tests; i++) {
        memcpy(row_of(truth, i), row_of(d->z, d->test[i]), (size_t)L * sizeof(cel_real));
        memcpy(row_of(learned, i), row_of(latents, d->test[i]), (size_t)L * sizeof(cel_real));
    }
    correlations(truth, learned, r);
    for (i = 0; i < L * L; i++) r[i] = fabs(r[i]);
    best_match(r, L, match);
    for (s->mcc = 0, t = 0; t < L; t++) s->mcc += r[t * L + match[t]] / (double)L;
    s->r2 = linear_r2(truth, learned);
    mean_shifts(d, latents, strength);
    for (a = 0; a < d->seen; a++)
        for (t = 0; t < L; t++) {
            int gate = m && m->method >= STRAIGHT && row_of(m->logit, a)[match[t]] > 0;
            target[a * L + t] = row_of(d->shift, a)[t] < 0 || row_of(d->shift, a)[t] > 0;
            matched[a * L + t] = strength[a * L + match[t]];
            targets += target[a * L + t], called += gate, hits += gate && target[a * L + t];
        }
    s->best_f1 = oracle_f1(matched, target, d->seen * L);
    s->precision = s->recall = s->f1 = s->elbo = s->iwelbo = s->fresh = (double)NAN;
    if (m && m->method >= STRAIGHT) {
        s->precision = called > 0 ? hits / called : 0;
        s->recall = hits / targets;
        s->f1 = f1_of(hits, called, targets);
    }
    heap_free(&own);
}

/* ======================================================================== */
/* 9  the check of gradients                                                */
/* ======================================================================== */

/* Every block of parameters of both kinds of gates and of the baselines' losses: central differences at up to 40 of its
 * entries, random numbers held, gates soft. The error is over the largest derivative of the block. */
static int check_gradients(void)
{
    static const method kind[4] = {VAE, ALL_ONES, STRAIGHT, EXPECTED};
    settings o = CEL_ZERO;
    dataset d;
    double step = 1e-5, bar = 1e-5, worst_of_all = 0;
    int32_t cell[24];
    int64_t i, b, e;
    int failed = 0, checked = 0;
    if (sizeof(cel_real) < 8) die("--check needs double precision: compile with -DCELCOMEN_DOUBLE");
    o.interventions = 5, o.unseen = 1, o.cells = 10, o.genes = 45, o.latents = 4, o.hidden = 12, o.batch = 24;
    o.k = 8, o.dropout = 0.1, o.depth = 10;
    simulate(&o, 1, &d);
    for (i = 0; i < o.batch; i++) cell[i] = (int32_t)i;
    for (i = 0; i < 4; i++) {
        model m;
        pass p = CEL_ZERO;
        cel_rng rng = cel_rng_at(1, FOR_CHECK, (uint32_t)i, 0);
        heap own = CEL_ZERO;
        cel_mat grad;
        p.train = p.soft = 1, p.seed = 1, p.step = 1, p.warm = 0.7, p.gates = 0.6;
        model_new(&o, kind[i], 40, 1, &m);
        for (e = 0; e < m.logit.rows * m.logit.cols; e++) m.logit.data[e] = (cel_real)(2 * cel_rng_normal(&rng));
        for (e = 0; e < m.param.cols; e++) m.param.data[e] += (cel_real)(0.05 * cel_rng_normal(&rng));
        grad = matrix(&own, 1, m.param.cols);
        batch_loss(&m, &d, cell, o.batch, &p);
        if (cel_mat_copy(m.grad, grad)) die("the check: a shape");
        for (b = 0; b < m.blocks; b++) {
            int64_t count = m.block_start[b + 1] - m.block_start[b], each = count > 40 ? 40 : count;
            double worst = 0, largest = 0;
            for (e = 0; e < count; e++) {
                double g = fabs((double)grad.data[m.block_start[b] + e]);
                largest = g > largest ? g : largest;
            }
            for (e = 0; e < each; e++) {
                int64_t at = m.block_start[b] + (count > 40 ? cel_rng_integer(&rng, (uint32_t)count) : e);
                cel_real old = m.param.data[at];
                double up, down, error;
                m.param.data[at] = old + (cel_real)step;
                up = batch_loss(&m, &d, cell, o.batch, &p);
                m.param.data[at] = old - (cel_real)step;
                down = batch_loss(&m, &d, cell, o.batch, &p);
                m.param.data[at] = old;
                error = fabs((up - down) / (2 * step) - (double)grad.data[at]);
                worst = error > worst ? error : worst;
            }
            worst /= largest > 1e-3 ? largest : 1e-3;
            printf("%-8s  %-26s %6d entries  largest %9.2e  error %8.1e%s\n", method_name[kind[i]], m.block_name[b],
                   (int)each, largest, worst, worst <= bar ? "" : "  FAILED");
            checked++, failed += !(worst <= bar);
            worst_of_all = worst > worst_of_all ? worst : worst_of_all;
        }
        model_free(&m);
        heap_free(&own);
    }
    heap_free(&d.memory);
    printf("%d blocks of gradients, %d beyond %.0e, worst %.1e\n", checked, failed, bar, worst_of_all);
    return failed > 0;
}

/* ======================================================================== */
/* 10  the experiment                                                       */
/* ======================================================================== */

enum { BOUNDED = 200 }; /* cells whose likelihood is bounded, of the held-out and of the unseen */

/* A model trained, its latents (cells x L), its bounds. */
static void run_network(const settings *o, const dataset *d, uint64_t seed, model *m, cel_mat latents, scores *s)
{
    heap own = CEL_ZERO;
    int32_t *cell = (int32_t *)get(&own, d->cells, sizeof(int32_t)), rest[BOUNDED];
    int64_t i, count = d->tests < BOUNDED ? d->tests : BOUNDED, half = d->freshes / 2;
    double elbo;
    train(m, d, o, seed);
    for (i = 0; i < d->cells; i++) cell[i] = (int32_t)i;
    latents_of(m, d, cell, d->cells, latents);
    score(d, m, latents, s);
    for (i = 0; i < count; i++) rest[i] = d->test[i * d->tests / count];
    bounds(m, d, rest, count, o->samples, seed, &s->elbo, &s->iwelbo);
    if (half) { /* of an unseen intervention every second cell to learn its shift from, others to judge it */
        for (i = 0; i < half; i++) cell[i] = d->fresh[2 * i + 1];
        learn_shifts(m, d, cell, half);
        count = half < BOUNDED ? half : BOUNDED;
        for (i = 0; i < count; i++) rest[i] = d->fresh[2 * (i * half / count)];
        bounds(m, d, rest, count, o->samples, seed, &elbo, &s->fresh);
    }
    heap_free(&own);
}

static void run(const settings *o, const dataset *d, method kind, uint64_t seed, scores *s)
{
    heap own = CEL_ZERO;
    cel_mat latents = matrix(&own, d->cells, d->latents);
    double begun = seconds();
    if (kind == PCA || kind == ICA) {
        linear_latents(d, kind, seed, latents);
        score(d, NULL, latents, s);
    } else {
        model m;
        model_new(o, kind, (double)d->trains, seed, &m);
        run_network(o, d, seed, &m, latents, s);
        model_free(&m);
    }
    if (!o->quiet) {
        ONE_AT_A_TIME
        fprintf(stderr, "seed %d  %-8s  MCC %.3f  R2 %.3f  F1 %.3f with the best threshold, own gates %.3f (precision "
                        "%.3f, recall %.3f)  ELBO %.2f  IWELBO %.2f, unseen %.2f  %.0f s\n",
                (int)seed, method_name[kind], s->mcc, s->r2, s->best_f1, s->f1, s->precision, s->recall, s->elbo,
                s->iwelbo, s->fresh, seconds() - begun);
    }
    heap_free(&own);
}

enum { FIGURES = 9 };
static const char *const figure_name[FIGURES] = {"MCC", "linear R2", "F1, oracle threshold", "precision", "recall",
                                                 "F1", "ELBO", "IWELBO", "IWELBO, unseen"};
static double figure(const scores *s, int i)
{
    const double value[FIGURES] = {s->mcc, s->r2,   s->best_f1, s->precision, s->recall,
                                   s->f1,  s->elbo, s->iwelbo,  s->fresh};
    return value[i];
}

/* Mean and standard deviation over seeds of figure i of a method, less that of another if there is one (other >= 0). */
static void summary(const scores *s, int64_t seeds, int i, int which, int other, double *mean, double *sd)
{
    int64_t k;
    *mean = *sd = 0;
    for (k = 0; k < 2 * seeds; k++) {
        double v = figure(s + k % seeds * METHODS + which, i);
        if (other >= 0) v -= figure(s + k % seeds * METHODS + other, i);
        if (k < seeds) *mean += v / (double)seeds;
        else *sd += (v - *mean) * (v - *mean) / (double)(seeds > 1 ? seeds - 1 : 1);
    }
    *sd = sqrt(*sd);
}

static void print_tables(const settings *o, const scores *s)
{
    static const int by_seed[3] = {0, 2, 5};
    int64_t k;
    int i, m;
    double mean, sd;
    printf("%d interventions of %d cells each, %d of them unseen in training; %d genes, %d latents, %d hidden; %d "
           "epochs in batches of %d, rate %g, of gates and shifts %g, dropout %g; Beta(1, %g); warm-up of the KL %d "
           "epochs, of the gates' prior %d, turn at %d; %d seeds.\n\n",
           (int)o->interventions, (int)o->cells, (int)o->unseen, (int)o->genes, (int)o->latents, (int)o->hidden,
           (int)o->epochs, (int)o->batch, o->rate, o->shift_rate, o->dropout, o->k, (int)o->warm, (int)o->ramp,
           (int)o->turn, (int)o->seeds);
    printf("MCC and R2: true and learned latents of held-out cells, matched one to one by absolute correlation. F1, "
           "oracle threshold: targets called by the mean latents of an intervention at the threshold that suits best. "
           "Precision, recall, F1: by the method's own gates. Bounds: nats a held-out cell, %d samples; unseen: cells "
           "of interventions not trained on, whose shift was learned from other cells.\n\n", (int)o->samples);
    printf("| mean +- sd over seeds |");
    for (i = 0; i < FIGURES; i++) printf(" %s |", figure_name[i]);
    printf("\n|---|");
    for (i = 0; i < FIGURES; i++) printf("--:|");
    for (m = 0; m < METHODS; m++) {
        if (!o->run[m]) continue;
        printf("\n| %s |", method_name[m]);
        for (i = 0; i < FIGURES; i++) {
            summary(s, o->seeds, i, m, -1, &mean, &sd);
            if (mean <= HUGE_VAL) printf(i < 6 ? " %.3f +- %.3f |" : " %.2f +- %.2f |", mean, sd);
            else printf(" - |");
        }
    }
    printf("\n\n| by seed |");
    for (i = 0; i < 3; i++)
        for (k = 0; k < o->seeds; k++) printf(" %s, %d |", figure_name[by_seed[i]], (int)(o->first_seed + k));
    printf("\n|---|");
    for (k = 0; k < 3 * o->seeds; k++) printf("--:|");
    for (m = 0; m < METHODS; m++) {
        if (!o->run[m]) continue;
        printf("\n| %s |", method_name[m]);
        for (i = 0; i < 3; i++)
            for (k = 0; k < o->seeds; k++) {
                double v = figure(s + k * METHODS + m, by_seed[i]);
                if (v <= HUGE_VAL) printf(" %.3f |", v);
                else printf(" - |");
            }
    }
    printf("\n\n");
}

/* ICA has its oracle threshold, ours its own gates. */
static void print_verdict(const settings *o, const scores *s)
{
    int m, other;
    int64_t k;
    double mean, sd;
    for (m = STRAIGHT; m < METHODS; m++) {
        int mcc = 0, f1 = 0, both = 0;
        if (!o->run[m] || !o->run[ICA]) continue;
        for (k = 0; k < o->seeds; k++) {
            const scores *a = s + k * METHODS + m, *b = s + k * METHODS + ICA;
            mcc += a->mcc > b->mcc, f1 += a->f1 > b->best_f1, both += a->mcc > b->mcc && a->f1 > b->best_f1;
        }
        printf("%s above ICA: MCC on %d of %d seeds, target F1 (own gates against ICA's oracle) on %d, both on %d.\n",
               method_name[m], mcc, (int)o->seeds, f1, both);
        for (other = VAE; other <= ALL_ONES; other++) {
            if (!o->run[other]) continue;
            summary(s, o->seeds, 0, m, other, &mean, &sd);
            printf("%s over %s, MCC: %+.3f, sd over seeds %.3f.\n", method_name[m], method_name[other], mean, sd);
        }
    }
}

static const char *const usage =
    "sparse_shift_vae [--check] [--OPTION VALUE ...]\n"
    "  interventions 100, unseen 20, cells 250 (each), genes 100, latents 15, hidden 128, batch 128, epochs 60,\n"
    "  warm 30 (of the KL), ramp 45 (of the gates' prior), turn 25, rate .001, shift-rate .03 (gates, shifts), k 150,\n"
    "  dropout 0, depth 40, samples 1000, seed 11, seeds 3, quiet 0, times 0,\n"
    "  methods pca,ica,vae,ones,straight,expected,turned\n";

/* 1 if the option exists. */
static int set_option(settings *o, const char *name, const char *text)
{
    static const char *const word[METHODS] = {"pca", "ica", "vae", "ones", "straight", "expected", "turned"};
    struct whole {
        const char *name;
        int64_t *to;
    } whole[] = {{"interventions", &o->interventions}, {"unseen", &o->unseen}, {"cells", &o->cells},
                 {"genes", &o->genes}, {"latents", &o->latents}, {"hidden", &o->hidden}, {"batch", &o->batch},
                 {"epochs", &o->epochs}, {"warm", &o->warm}, {"ramp", &o->ramp}, {"turn", &o->turn},
                 {"samples", &o->samples}, {"seed", &o->first_seed}, {"seeds", &o->seeds}};
    struct real {
        const char *name;
        double *to;
    } real[] = {{"rate", &o->rate}, {"shift-rate", &o->shift_rate}, {"k", &o->k}, {"dropout", &o->dropout},
                {"depth", &o->depth}};
    size_t i;
    for (i = 0; i < sizeof whole / sizeof *whole; i++)
        if (!strcmp(name, whole[i].name)) return *whole[i].to = strtol(text, NULL, 10), 1;
    for (i = 0; i < sizeof real / sizeof *real; i++)
        if (!strcmp(name, real[i].name)) return *real[i].to = strtod(text, NULL), 1;
    if (!strcmp(name, "quiet")) return o->quiet = atoi(text), 1;
    if (!strcmp(name, "times")) return o->times = atoi(text), 1;
    if (strcmp(name, "methods")) return 0;
    for (i = 0; i < METHODS; i++) o->run[i] = strstr(text, word[i]) != NULL;
    return 1;
}

int main(int argc, char **argv)
{
    settings o = CEL_ZERO;
    dataset *d;
    scores *s;
    heap own = CEL_ZERO;
    int64_t job, jobs;
    int i;
    double begun = seconds();
    o.interventions = 100, o.unseen = 20, o.cells = 250, o.genes = 100, o.latents = 15, o.hidden = 128, o.batch = 128;
    o.epochs = 60, o.warm = 30, o.ramp = 45, o.turn = 25, o.rate = 1e-3, o.shift_rate = 0.03, o.k = 150, o.depth = 40;
    o.samples = 1000, o.first_seed = 11, o.seeds = 3;
    for (i = 0; i < METHODS; i++) o.run[i] = 1;
    if (argc == 2 && !strcmp(argv[1], "--check")) return check_gradients();
    for (i = 1; i < argc; i += 2)
        if (strncmp(argv[i], "--", 2) || i + 1 == argc || !set_option(&o, argv[i] + 2, argv[i + 1])) die(usage);
    if (o.unseen < 0 || o.interventions - o.unseen < 1 || o.cells < 10 || o.genes < 40 || o.latents < 1 ||
        o.latents > 40 || o.hidden < 1 || o.batch < 2 || o.epochs < 0 || o.seeds < 1 || o.samples < 1 || !(o.k >= 1) ||
        !(o.dropout >= 0 && o.dropout < 1) || !(o.depth > 0) ||
        o.batch > (o.interventions - o.unseen) * o.cells * 9 / 10)
        die("a setting is out of its range");
    d = (dataset *)get(&own, o.seeds, sizeof(dataset));
    s = (scores *)get(&own, o.seeds * METHODS, sizeof(scores));
    for (job = 0; job < o.seeds; job++) simulate(&o, (uint64_t)(o.first_seed + job), d + job);
    jobs = o.seeds * METHODS;
    PARALLEL
    for (job = 0; job < jobs; job++) /* a training is one thread's: its bits cannot depend on how many there are */
        if (o.run[job % METHODS])
            run(&o, d + job / METHODS, (method)(job % METHODS), (uint64_t)(o.first_seed + job / METHODS), s + job);
    print_tables(&o, s);
    print_verdict(&o, s);
    if (o.times)
        printf("\n%.1f minutes of processor time; %.1f by the clock, on %d threads of a machine in use.\n",
               (double)clock() / CLOCKS_PER_SEC / 60, (seconds() - begun) / 60, cel_threads());
    for (job = 0; job < o.seeds; job++) heap_free(&d[job].memory);
    heap_free(&own);
    return 0;
}
