/* clustering.c - how well clusters agree with labels
 *
 * With n rows, a_c rows of class c, b_k of cluster k, n_ck of both:
 *
 *   MI            sum_ck n_ck / n log(n n_ck / (a_c b_k))     in nats; H(C), H(K) the entropies
 *   NMI           MI / average(H(C), H(K))
 *   AMI           (MI - E) / (average(H(C), H(K)) - E)        E the mean MI of random clusters of
 *                                                             these sizes
 *   ARI           the same adjustment of the share of pairs on which both agree
 *   purity        sum_k max_c n_ck / n
 *   homogeneity   MI / H(C)          completeness   MI / H(K)
 *
 * Edges: one class in one cluster, and every row alone in both, agree perfectly: all 1. An entropy
 * of 0 makes its own ratio 1 (homogeneity, completeness) and NMI, AMI 0 when the other is not 0.
 * No rows: nan.
 *
 * E is a sum over pairs of sizes, not of classes and clusters: 10,000 of each cost no more than
 * their few different sizes. Vinh, Epps, Bailey, "Information theoretic measures for clusterings
 * comparison", JMLR 2010 (AMI, eq. 24); Hubert, Arabie, "Comparing partitions", J. of
 * Classification 1985 (ARI). Averages as in scikit-learn. */
#include <math.h>

#include "autograd/op.h"
#include "kernels/label_order.h"
#include "kernels/row_stream.h"

enum { LABELS, CLUSTERS };
enum { AVERAGE };
enum { ARITHMETIC, GEOMETRIC, LEAST, MOST };
enum { NMI, AMI, ARI, PURITY, HOMOGENEITY, COMPLETENESS, MI, N_CLASSES, N_CLUSTERS };

static const cr_input inputs[] = {
  [LABELS]   = { "labels",   "N", CR_TINT, CR_NOGRAD },
  [CLUSTERS] = { "clusters", "N", CR_TINT, CR_NOGRAD },
  { 0 }
};

static const cr_option options[] = {
  [AVERAGE] = { "average", ARITHMETIC, 0, 0, "of the two entropies, in NMI and AMI", CR_CHOICE,
                "arithmetic geometric min max", false },
  { 0 }
};

static const char *const stats[] = {
  [NMI] = "nmi", [AMI] = "ami", [ARI] = "ari", [PURITY] = "purity",
  [HOMOGENEITY] = "homogeneity", [COMPLETENESS] = "completeness", [MI] = "mutual_information",
  [N_CLASSES] = "classes", [N_CLUSTERS] = "clusters", NULL
};

static const cr_output outputs[] = { { "nmi", "", CR_TREAL }, { 0 } };

/* One partition: its groups' sizes, and how many groups have each size (`sizes` different ones). */
typedef struct side { int64_t groups, sizes, *id, *size, *value, *times; } side;

typedef struct work {
  side c, k;
  int64_t *order, *spare, *cell, *best;   /* best[k]: rows of the class most frequent in it */
  double *log_factorial;
} work;

static size_t lay_out(int64_t n, work *w, void *scratch) {
  size_t used = 0;
  int64_t **arrays[] = { &w->c.id, &w->c.size, &w->c.value, &w->c.times, &w->k.id, &w->k.size,
                         &w->k.value, &w->k.times, &w->order, &w->spare, &w->cell, &w->best };
  for (size_t i = 0; i < sizeof arrays / sizeof arrays[0]; i++)
    *arrays[i] = cr_stream_take(scratch, &used, n, sizeof(int64_t));
  w->log_factorial = cr_stream_take(scratch, &used, n + 1, sizeof(double));
  return used;
}

static bool check(cr_call *c, cr_error *err) {
  work w;
  if (c->dim['N'] > INT32_MAX)
    return cr_fail(err, CR_EVALUE, "%lld rows are too many", (long long)c->dim['N']);
  c->scratch_bytes = lay_out(c->dim['N'], &w, NULL);
  return true;
}

/* Numbers the groups of equal labels, 0, 1, ..., and counts them and their sizes. */
static void count(int64_t n, const int64_t *label, const work *w, side *s) {
  cr_label_order(n, label, w->order, w->spare);
  s->groups = s->sizes = 0;
  for (int64_t i = 0; i < n; i++) {
    if (i == 0 || label[w->order[i]] != label[w->order[i - 1]]) s->size[s->groups++] = 0;
    s->id[w->order[i]] = s->groups - 1;
    s->size[s->groups - 1]++;
  }
  cr_label_order(s->groups, s->size, w->order, w->spare);
  for (int64_t g = 0; g < s->groups; g++) {
    int64_t size = s->size[w->order[g]];
    if (s->sizes == 0 || s->value[s->sizes - 1] != size)
      s->value[s->sizes] = size, s->times[s->sizes++] = 0;
    s->times[s->sizes - 1]++;
  }
}

static double entropy(int64_t n, const side *s) {
  double sum = 0;
  for (int64_t i = 0; i < s->sizes; i++) {
    double p = (double)s->value[i] / (double)n;
    sum -= (double)s->times[i] * p * log(p);
  }
  return sum > 0 ? sum : 0;
}

/* The mean over all assignments: n_ck is hypergeometric. */
static double expected_information(int64_t n, const work *w) {
  const double *f = w->log_factorial;
  double sum = 0;
  for (int64_t i = 0; i < w->c.sizes; i++)
    for (int64_t j = 0; j < w->k.sizes; j++) {
      int64_t a = w->c.value[i], b = w->k.value[j], low = a + b - n > 1 ? a + b - n : 1;
      double part = 0, fixed = f[a] + f[b] + f[n - a] + f[n - b] - f[n];
      for (int64_t m = low; m <= (a < b ? a : b); m++) {
        double p = exp(fixed - f[m] - f[a - m] - f[b - m] - f[n - a - b + m]);
        part += (double)m / (double)n * log((double)n * (double)m / ((double)a * (double)b)) * p;
      }
      sum += part * (double)w->c.times[i] * (double)w->k.times[j];
    }
  return sum;
}

static double pairs(double n) { return n * (n - 1) / 2; }

static double pairs_within(const side *s) {
  double sum = 0;
  for (int64_t i = 0; i < s->sizes; i++) sum += (double)s->times[i] * pairs((double)s->value[i]);
  return sum;
}

static double average(double a, double b, double kind) {
  if (kind == GEOMETRIC) return sqrt(a * b);
  if (kind == LEAST) return fmin(a, b);
  return kind == MOST ? fmax(a, b) : (a + b) / 2;
}

/* (value - chance) / (most - chance), and 0 where chance is all there is */
static double adjusted(double value, double chance, double most) {
  return fabs(most - chance) > 1e-13 * fmax(1, fabs(most)) ? (value - chance) / (most - chance) : 0;
}

static void forward(cr_call *c) {
  int64_t n = c->dim['N'];
  double *s = c->stat, both = 0, purest = 0;
  work w;
  lay_out(n, &w, c->scratch);
  count(n, cr_ints(c->in[LABELS]), &w, &w.c);
  count(n, cr_ints(c->in[CLUSTERS]), &w, &w.k);
  s[N_CLASSES] = (double)w.c.groups, s[N_CLUSTERS] = (double)w.k.groups;
  w.log_factorial[0] = 0;
  for (int64_t i = 1; i <= n; i++) w.log_factorial[i] = w.log_factorial[i - 1] + log((double)i);

  /* the cells of the table that are not empty, as runs of equal numbers */
  for (int64_t i = 0; i < n; i++) w.cell[i] = w.c.id[i] * w.k.groups + w.k.id[i];
  for (int64_t k = 0; k < w.k.groups; k++) w.best[k] = 0;
  cr_label_order(n, w.cell, w.order, w.spare);
  s[MI] = 0;
  for (int64_t begin = 0, end; begin < n; begin = end) {
    int64_t cell = w.cell[w.order[begin]], k = cell % w.k.groups;
    for (end = begin; end < n && w.cell[w.order[end]] == cell; ) end++;
    double m = (double)(end - begin), a = (double)w.c.size[cell / w.k.groups],
           b = (double)w.k.size[k];
    s[MI] += m / (double)n * log((double)n * m / (a * b));
    both += pairs(m);
    if (end - begin > w.best[k]) w.best[k] = end - begin;
  }
  for (int64_t k = 0; k < w.k.groups; k++) purest += (double)w.best[k];
  s[MI] = s[MI] > 1e-15 ? s[MI] : 0;

  double hc = entropy(n, &w.c), hk = entropy(n, &w.k), mean = average(hc, hk, c->option[AVERAGE]);
  double in_c = pairs_within(&w.c), in_k = pairs_within(&w.k);
  double chance = in_c * in_k / pairs((double)n);
  bool one = w.c.groups == 1 && w.k.groups == 1, alone = w.c.groups == n && w.k.groups == n;
  s[HOMOGENEITY] = hc > 0 ? s[MI] / hc : 1;
  s[COMPLETENESS] = hk > 0 ? s[MI] / hk : 1;
  s[PURITY] = purest / (double)n;
  s[NMI] = one ? 1 : mean > 0 ? s[MI] / mean : 0;
  s[AMI] = one || alone ? 1 : adjusted(s[MI], expected_information(n, &w), mean);
  s[ARI] = one || alone ? 1 : adjusted(both, chance, (in_c + in_k) / 2);
  if (n == 0)
    for (int i = NMI; i <= MI; i++) s[i] = NAN;
  *cr_reals(c->out[0]) = (real)s[NMI];
}

const cr_op cr_metric_clustering = {
  .name = "clustering", .help = "NMI, AMI, ARI, purity, homogeneity, completeness of clusters",
  .formula = "NMI = MI / average(H(C), H(K)),  AMI = (MI - E MI) / (average(H(C), H(K)) - E MI)",
  .paper = "Vinh, Epps, Bailey, \"Information theoretic measures for clusterings comparison\", "
           "JMLR 2010",
  .differs = "as scikit-learn, arithmetic average by default; older versions of it, and papers "
             "before 2019, used the geometric one",
  .inputs = inputs, .outputs = outputs, .options = options, .stats = stats, .check = check,
  .forward = forward,
};
