/* yaml.h - YAML 1.2, the core schema, as a flat list of nodes
 *
 * libyaml scans; what a plain scalar means is decided here: `1e-3` is a number, `no`, `on` and
 * `1:30` are strings, `012` is twelve, `0o14` and `0x0c` too. Refused, each with line and column: tabs in
 * indentation, tags, several documents, keys that are not scalars, an alias to a node it lies in,
 * more than CR_YAML_DEPTH levels, CR_YAML_NODES nodes (aliases count as what they stand for) or
 * CR_YAML_BYTES bytes. Keys given twice are the business of whoever builds the maps.
 *
 * A map is CR_YAML_MAP, then key, value, key, value..., CR_YAML_END; a key is a CR_YAML_STRING. */
#ifndef CR_IO_YAML_H
#define CR_IO_YAML_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "base/error.h"
#include "io/buffer.h"

enum { CR_YAML_DEPTH = 64, CR_YAML_NODES = 100000, CR_YAML_BYTES = 1 << 20 };

typedef enum {
  CR_YAML_NULL, CR_YAML_FALSE, CR_YAML_TRUE, CR_YAML_INT, CR_YAML_FLOAT, CR_YAML_STRING,
  CR_YAML_LIST, CR_YAML_MAP, CR_YAML_END
} cr_yaml_kind;

typedef struct cr_yaml_node {
  cr_yaml_kind kind;
  int line, column;           /* from 1 */
  int64_t integer;
  double number;              /* of an INT too */
  size_t text, bytes;         /* of a STRING: its place in the document's text */
} cr_yaml_node;

typedef struct cr_yaml {
  cr_buffer nodes, text;
} cr_yaml;

/* Start with { 0 }; cr_yaml_clear ends it, after a failure too. Errors begin with "LINE:COLUMN: ". */
bool cr_yaml_parse(const void *text, size_t n, cr_yaml *out, cr_error *err);
void cr_yaml_clear(cr_yaml *doc);
size_t cr_yaml_count(const cr_yaml *doc);
const cr_yaml_node *cr_yaml_nodes(const cr_yaml *doc);

/* The kind of a plain scalar, and its value. */
cr_yaml_kind cr_yaml_resolve(const char *text, size_t n, int64_t *integer, double *number);

#endif
