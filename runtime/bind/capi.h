/* capi.h - puts the table of runtime/crun.h where C modules find it */
#ifndef CR_BIND_CAPI_H
#define CR_BIND_CAPI_H

#include <lua.h>

void cr_capi_open(lua_State *L);

#endif
