/* system.h - what main.c needs of bind/system.c */
#ifndef CR_BIND_SYSTEM_H
#define CR_BIND_SYSTEM_H

struct lua_State;
void cr_signals_install(struct lua_State *L);    /* Ctrl-C raises "interrupted" in the script */
int cr_signals_exit_code(void);                  /* 128 + signal when one stopped the script, else 0 */

#endif
