/* scope.h - see scope.c */
#ifndef CR_BIND_SCOPE_H
#define CR_BIND_SCOPE_H

struct lua_State;
void cr_scope_open(struct lua_State *L, int crun);
/* Called with a new box on the top: notes it in the innermost open scope, if any. */
void cr_scope_note(struct lua_State *L);

#endif
