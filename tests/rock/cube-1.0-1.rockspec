-- luarocks make builds and installs it; CRUN_INCDIR is where `make install` put crun.h
rockspec_format = "3.0"
package = "cube"
version = "1.0-1"
source = { url = "file://." }
description = { summary = "A loss for crun in C", license = "MIT" }
dependencies = { "lua == 5.4" }
external_dependencies = { CRUN = { header = "crun.h" } }
build = {
  type = "builtin",
  modules = {
    cube = { sources = { "cube.c" }, incdirs = { "$(CRUN_INCDIR)" } },
    norms = { sources = { "norms.c" }, incdirs = { "$(CRUN_INCDIR)" } },
  },
}
