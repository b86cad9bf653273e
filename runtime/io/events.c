/* events.c - TensorBoard event files
 *
 *   file   = record*                    the first one holds file_version "brain.Event:2"
 *   record = u64 length | u32 masked CRC-32C of it | bytes | u32 masked CRC-32C of them (TFRecord)
 *   mask   = (crc >> 15 | crc << 17) + 0xa282ead8
 *   bytes  = an Event in protocol buffer wire format, encoded by hand: the messages nest four deep
 * and need varints, 64-bit and 32-bit numbers and lengths, nothing else.
 *
 * Field numbers from tensorboard/compat/proto/{event,summary,histogram}.proto and
 * tensorboard/plugins/hparams/{plugin_data,api}.proto. A text that is not UTF-8 would make the
 * Python reader drop the whole record, so it is refused here. */
#include "io/events.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
#include "io/file.h"
#include "io/json.h"
#include "io/png.h"
#include "kernels/crc32c.h"

enum { VARINT = 0, FIXED64 = 1, BYTES = 2, FIXED32 = 5 };       /* wire types */
enum { BINS = 64, PLUGIN_VERSION = 0 };

/* A message under construction. Its length precedes it, so a nested one is built in a buffer of its
 * own and then added; `message` starts one, `add_message` ends it. */
typedef cr_buffer message;

static void add_varint(message *m, uint64_t value) {
  for (; value >= 0x80; value >>= 7) cr_buffer_add_byte(m, (unsigned char)(value | 0x80));
  cr_buffer_add_byte(m, (unsigned char)value);
}

static void add_key(message *m, unsigned field, unsigned wire) { add_varint(m, field << 3 | wire); }

static void add_integer(message *m, unsigned field, int64_t value) {
  add_key(m, field, VARINT);
  add_varint(m, (uint64_t)value);
}

static void add_double_bits(message *m, double value) {
  uint64_t bits;
  memcpy(&bits, &value, sizeof bits);
  cr_buffer_add_u64(m, bits);
}

static void add_double(message *m, unsigned field, double value) {
  add_key(m, field, FIXED64);
  add_double_bits(m, value);
}

static void add_float(message *m, unsigned field, float value) {
  uint32_t bits;
  memcpy(&bits, &value, sizeof bits);
  add_key(m, field, FIXED32);
  cr_buffer_add_u32(m, bits);
}

static void add_bytes(message *m, unsigned field, const void *data, size_t n) {
  add_key(m, field, BYTES);
  add_varint(m, n);
  cr_buffer_add(m, data, n);
}

static void add_text(message *m, unsigned field, const char *text) {
  size_t n = strlen(text);
  if (cr_utf8_valid(text, n) < n && m->error.kind == CR_OK)
    cr_fail(&m->error, CR_EVALUE, "a text that is not UTF-8: '%.100s'", text);
  add_bytes(m, field, text, n);
}

/* Adds a finished message as a field and frees it; its error, if any, goes along. */
static void add_message(message *m, unsigned field, message *inner) {
  if (inner->error.kind != CR_OK && m->error.kind == CR_OK) m->error = inner->error;
  add_bytes(m, field, inner->data, inner->n);
  cr_buffer_clear(inner);
}

static double now(void) {
  struct timespec t;
  clock_gettime(CLOCK_REALTIME, &t);
  return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static uint32_t masked(const void *data, size_t n) {
  uint32_t crc = cr_crc32c(data, n);
  return (crc >> 15 | crc << 17) + 0xa282ead8u;
}

/* Frames an Event and appends it in one write; frees it. */
static bool add_record(const cr_events *w, message *event, cr_error *err) {
  cr_buffer record = { 0 };
  cr_buffer_reserve(&record, event->n + 16);
  cr_buffer_add_u64(&record, event->n);
  cr_buffer_add_u32(&record, masked(record.data, record.n));
  cr_buffer_add(&record, event->data, event->n);
  cr_buffer_add_u32(&record, masked(event->data, event->n));
  bool ok = cr_buffer_ok(event, err) && cr_buffer_ok(&record, err)
         && cr_file_append(w->path, record.data, record.n, err);
  cr_buffer_clear(event);
  cr_buffer_clear(&record);
  return ok;
}

/* Wraps a Summary.Value (whose tag is set here) into Event { wall_time, step, summary { value } }.
 */
static bool add_value(const cr_events *w, const char *tag, message *value, int64_t step,
                      cr_error *err) {
  message event = { 0 }, summary = { 0 };
  add_text(value, 1, tag);
  add_message(&summary, 1, value);
  add_double(&event, 1, now());
  add_integer(&event, 2, step);
  add_message(&event, 5, &summary);
  return add_record(w, &event, err);
}

bool cr_events_open(cr_events *w, const char *folder, cr_error *err) {
  static int number;
  char host[256] = "localhost", *absolute;
  if (!cr_folder_make(folder, err)) return false;
  gethostname(host, sizeof host - 1);
  for (char *c = host; *c != '\0'; c++)
    if (*c == '/') *c = '_';
  /* an absolute path: the script may change its folder */
  absolute = realpath(folder, NULL);
  int n = snprintf(w->path, sizeof w->path, "%s/events.out.tfevents.%010lld.%s.%ld.%d",
                   absolute != NULL ? absolute : folder, (long long)time(NULL), host,
                   (long)getpid(), number++);
  free(absolute);
  if (n < 0 || (size_t)n >= sizeof w->path)
    return cr_fail(err, CR_EIO, "cannot write events to '%.200s': the path is too long", folder);

  message event = { 0 };
  add_double(&event, 1, now());
  add_text(&event, 3, "brain.Event:2");
  return add_record(w, &event, err);
}

bool cr_events_scalar(const cr_events *w, const char *tag, double value, int64_t step,
                      cr_error *err) {
  message v = { 0 };
  add_float(&v, 2, (float)value);
  return add_value(w, tag, &v, step, err);
}

/* HistogramProto: BINS bins of equal width from the least to the largest finite value; NaN and
 * infinite values are left out. bucket_limit holds the upper borders. */
bool cr_events_histogram(const cr_events *w, const char *tag, const cr_tensor *values, int64_t step,
                         cr_error *err) {
  int64_t n = cr_tensor_numel(values);
  double least = INFINITY, most = -INFINITY, count = 0, sum = 0, squares = 0, bin[BINS] = { 0 };
  for (int64_t i = 0; i < n; i++) {
    double x = cr_tensor_get(values, i);
    if (!isfinite(x)) continue;
    least = fmin(least, x);
    most = fmax(most, x);
    count++;
    sum += x;
    squares += x * x;
  }
  if (count == 0) least = most = 0;
  double width = (most - least) / BINS;
  bool spread = width > 0 && isfinite(width);
  for (int64_t i = 0; i < n && spread; i++) {
    double x = cr_tensor_get(values, i);
    if (!isfinite(x)) continue;
    int at = (int)((x - least) / width);
    bin[at < BINS ? at : BINS - 1]++;
  }
  if (!spread) bin[0] = count;     /* all values the same: one bin */

  int bins = spread ? BINS : 1;
  message v = { 0 }, histogram = { 0 }, limits = { 0 }, counts = { 0 };
  const double head[] = { least, most, count, sum, squares };
  for (unsigned i = 0; i < 5; i++) add_double(&histogram, i + 1, head[i]);
  for (int i = 0; i < bins; i++) {
    add_double_bits(&limits, i == bins - 1 ? most : least + width * (i + 1));
    add_double_bits(&counts, bin[i]);
  }
  add_message(&histogram, 6, &limits);
  add_message(&histogram, 7, &counts);
  add_message(&v, 5, &histogram);
  return add_value(w, tag, &v, step, err);
}

bool cr_events_image(const cr_events *w, const char *tag, cr_tensor *image, int64_t step,
                     cr_error *err) {
  cr_buffer png = { 0 };
  message v = { 0 }, inner = { 0 };
  bool ok = cr_png_write(image, &png, err);
  if (ok) {
    bool colour = image->ndim == 3 && image->shape[0] == 3;
    add_integer(&inner, 1, image->shape[image->ndim - 2]);
    add_integer(&inner, 2, image->shape[image->ndim - 1]);
    add_integer(&inner, 3, colour ? 3 : 1);
    add_bytes(&inner, 4, png.data, png.n);
    add_message(&v, 4, &inner);
    ok = add_value(w, tag, &v, step, err);
  }
  cr_buffer_clear(&png);
  return ok;
}

/* HPARAMS: a Value without a number; HParamsPluginData sits in its metadata */

static bool add_plugin(const cr_events *w, const char *tag, unsigned field, message *inner,
                       cr_error *err) {
  message v = { 0 }, metadata = { 0 }, plugin = { 0 }, data = { 0 };
  add_integer(&data, 1, PLUGIN_VERSION);
  add_message(&data, field, inner);
  add_text(&plugin, 1, "hparams");
  add_message(&plugin, 2, &data);
  add_message(&metadata, 1, &plugin);
  add_message(&v, 9, &metadata);
  return add_value(w, tag, &v, 0, err);
}

bool cr_events_experiment(const cr_events *w, const cr_hparam *hparam, size_t n,
                          const char *const *metric, size_t n_metrics, cr_error *err) {
  static const int data_type[] = {
    [CR_HPARAM_TEXT] = 1, [CR_HPARAM_FLAG] = 2, [CR_HPARAM_NUMBER] = 3
  };
  message experiment = { 0 };
  add_double(&experiment, 3, now());
  for (size_t i = 0; i < n; i++) {
    message info = { 0 };
    add_text(&info, 1, hparam[i].name);
    add_integer(&info, 4, data_type[hparam[i].kind]);
    add_message(&experiment, 4, &info);
  }
  for (size_t i = 0; i < n_metrics; i++) {
    message info = { 0 }, name = { 0 };
    add_text(&name, 2, metric[i]);
    add_message(&info, 1, &name);
    add_message(&experiment, 5, &info);
  }
  return add_plugin(w, "_hparams_/experiment", 2, &experiment, err);
}

bool cr_events_session_start(const cr_events *w, const cr_hparam *hparam, size_t n,
                             const char *group, cr_error *err) {
  message start = { 0 };
  for (size_t i = 0; i < n; i++) {
    message pair = { 0 }, value = { 0 }; /* an entry of map<string, google.protobuf.Value> */
    add_text(&pair, 1, hparam[i].name);
    if (hparam[i].kind == CR_HPARAM_NUMBER) add_double(&value, 2, hparam[i].number);
    else if (hparam[i].kind == CR_HPARAM_TEXT) add_text(&value, 3, hparam[i].text);
    else add_integer(&value, 4, hparam[i].number != 0);
    add_message(&pair, 2, &value);
    add_message(&start, 1, &pair);
  }
  if (group != NULL) add_text(&start, 4, group);
  add_double(&start, 5, now());
  return add_plugin(w, "_hparams_/session_start_info", 3, &start, err);
}

bool cr_events_session_end(const cr_events *w, bool success, cr_error *err) {
  message end = { 0 };
  add_integer(&end, 1, success ? 1 : 2);
  add_double(&end, 2, now());
  return add_plugin(w, "_hparams_/session_end_info", 4, &end, err);
}
