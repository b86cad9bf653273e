/* json.h - Lua values <-> JSON text */
#ifndef CR_BIND_JSON_H
#define CR_BIND_JSON_H

#include <lua.h>

/* Adds json_encode, json_decode, json_array and json_null to the table at index. */
void cr_bind_json_open(lua_State *L, int index);

#endif
