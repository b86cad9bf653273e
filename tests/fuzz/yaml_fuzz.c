/* yaml_fuzz.c - any bytes as YAML: a balanced list of nodes within the limits, or an error with a place. See fuzz.h (add -lyaml). */
#include "fuzz.h"
#include <stdio.h>
#include "io/yaml.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n) {
  cr_error err = { 0 };
  cr_yaml doc = { 0 };
  bool ok = cr_yaml_parse(data, n, &doc, &err);
  if (ok) {
    int depth = 0;
    size_t count = cr_yaml_count(&doc);
    must(count >= 1 && count <= CR_YAML_NODES);
    for (size_t i = 0; i < count; i++) {
      const cr_yaml_node *node = cr_yaml_nodes(&doc) + i;
      must(node->line >= 1 && node->column >= 1);
      if (node->kind == CR_YAML_LIST || node->kind == CR_YAML_MAP) depth++;
      if (node->kind == CR_YAML_END) depth--;
      must(depth >= 0 && depth <= CR_YAML_DEPTH);
      if (node->kind == CR_YAML_STRING) must(node->text + node->bytes <= doc.text.n);
    }
    must(depth == 0);
  } else {
    int line, column;
    must(sscanf(err.text, "%d:%d: ", &line, &column) == 2 && line >= 1 && column >= 1);
  }
  cr_yaml_clear(&doc);
  must(cr_memory().live_bytes == 0);
  return 0;
}
