--- Runs busted specs under crun itself:  crun tests/run.lua SPEC...
-- busted is Debian's lua-busted (5.4 tree); its own runner would start another interpreter.
package.path = package.path .. ";/usr/share/lua/5.4/?.lua;/usr/share/lua/5.4/?/init.lua"
require "busted.runner" { standalone = false, output = os.getenv "BUSTED_OUTPUT" or "utfTerminal" }
