-- luacheck . : crun's own Lua, and a start for your scripts
std = "lua54"
max_line_length = 130
unused_args = false
exclude_files = { "build/", "runs/", "lua_modules/" }
files["tests/*_spec.lua"] = { std = "+busted" }
