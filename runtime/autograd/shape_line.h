/* shape_line.h - reading the shape lines of op.h */
#ifndef CR_AUTOGRAD_SHAPE_LINE_H
#define CR_AUTOGRAD_SHAPE_LINE_H

#include "autograd/op.h"

/* Whether the line asks for anything: all but "..." do. */
bool cr_shape_line_has_letters(const char *line);
/* Holds every input against its line; binds c->dim. */
bool cr_shape_lines_check(cr_call *c, cr_error *err);
/* The shape an output line stands for. */
void cr_shape_line_output(const char *line, const cr_call *c, int *ndim, int64_t *shape);

#endif
