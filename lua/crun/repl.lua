--- repl.lua - `crun` alone on a terminal: a prompt that shows values readably
--
--     > crun.randn(crun.rng(1, "x"), 2, 2)        tensors with shape, tables with sorted keys
--     > for i = 1, 2 do                           what is not finished goes on in the next line
--     >> print(i) end
--     > ?triplet                                  help, as `crun help triplet`
--
-- `_` is the last value. Globals stay from line to line; `local` names do not. Ctrl-C drops the
-- line, Ctrl-D ends.
local crun = require "crun"
local inspect = require "crun.inspect"
local ui = require "crun.ui"

local M = {}

-- an expression, else a statement; nil and true when it only lacks its end
local function compile(text, env)
  local chunk = load("return " .. text, "=prompt", "t", env)
  if chunk then return chunk end
  local message
  chunk, message = load(text, "=prompt", "t", env)
  if chunk then return chunk end
  return nil, message, message:find("<eof>$") ~= nil
end

local function show(env, n, ...)
  if n == 0 then return end
  local texts = {}
  for i = 1, n do texts[i] = inspect((select(i, ...))) end
  env._ = (...)
  print(table.concat(texts, "\t"))
end

--- Does what one piece of text says in env; returns true when it wants more lines. Also what the
-- tests call.
function M.evaluate(text, env)
  local topic, name = text:match("^%?%s*([%w_]+)%s*([%w_]*)%s*$")
  if topic then
    local help, why = require("crun.cli").help(topic, name ~= "" and name or nil)
    print(help or why)
    return false
  end
  local chunk, message, unfinished = compile(text, env)
  if unfinished then return true end
  if not chunk then
    io.stderr:write(message, "\n")
    return false
  end
  local function report(problem)
    if type(problem) ~= "string" then problem = inspect(problem) end
    -- frames of ours say nothing to the one who types
    return (debug.traceback(problem, 2):gsub("\n[^\n]*repl%.lua.*$", ""):gsub("\nstack traceback:$",
      ""))
  end
  local results = table.pack(xpcall(chunk, report))
  if results[1] then
    show(env, results.n - 1, table.unpack(results, 2, results.n))
  else
    io.stderr:write(results[2], "\n")
  end
  return false
end

function M.environment()
  return setmetatable({ crun = crun }, { __index = _G })
end

function M.run()
  local env = M.environment()
  print(("crun %s  %s, %s  ?NAME helps, Ctrl-D ends"):format(crun.version, _VERSION,
    crun.precision))
  local pending = nil
  while true do
    local ok, more = pcall(function()
      io.stdout:write(ui.bold(pending and ">> " or "> "))
      io.stdout:flush()
      local line = io.read("L")
      if not line then return nil end
      line = line:gsub("\n$", "")
      if pending == nil and line:find("^%s*$") then return true end
      local text = pending and pending .. "\n" .. line or line
      pending = M.evaluate(text, env) and text or nil
      return true
    end)
    if not ok then                                  -- Ctrl-C
      pending = nil
      io.stderr:write("\n", tostring(more):match("interrupted") or tostring(more), "\n")
      crun.catch_signals(false)                     -- sets the handlers up again
    elseif more == nil then
      print()
      return
    end
  end
end

return M
