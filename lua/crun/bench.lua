--- `crun bench`: how long steps take, beside torch if asked for; what the machine can do.
--
--     crun bench [NAME ...] [--threads 1,2] [--seconds N] [--json] [--against torch]
--     crun bench limits [--json]                       crun.bench.limits
--     crun bench losses [NAME ...] [...]               crun.bench.losses
--
-- NAME is a workload (face64), the first part of its name (head), or its case (a .. g).
--
-- @module crun.bench
local crun = require "crun"
local losses = require "crun.bench.losses"

local M = { losses = losses.losses, tabulate = losses.tabulate, short = losses.short }

--- "1,2" as a list of whole numbers.
function M.numbers(text)
  local list = {}
  for word in text:gmatch "[^,]+" do
    list[#list + 1] = math.tointeger(tonumber(word)) or
      crun.fail("bench", ("'%s' is no list of whole numbers"):format(text))
  end
  return list
end

-- The workloads that the words name, each once, in the order of the list.
local function chosen(words)
  local all = require "crun.bench.workloads"
  if #words == 0 then return all end
  local taken, list = {}, {}
  for _, word in ipairs(words) do
    local any = false
    for i, entry in ipairs(all) do
      if entry.name == word or entry.case == word or entry.name:match "^[^/]+" == word then
        taken[i], any = true, true
      end
    end
    if not any then
      local names = { "losses", "limits" }
      for i, entry in ipairs(all) do names[i + 2] = entry.name end
      local near = require("crun.options").nearest(word, names)
      crun.fail("bench", ("there is no workload '%s'%s; they are %s, or a to g"):format(word,
        near and (", did you mean '%s'?"):format(near) or "", table.concat(names, ", ")))
    end
  end
  for i, entry in ipairs(all) do if taken[i] then list[#list + 1] = entry end end
  return list
end

--- `crun bench ...`; args: the words after it.
function M.run(args)
  local first = args[1]
  if first == "losses" then return losses.run(args) end
  if first == "worker" then return require("crun.bench.worker").run(chosen { args[2] }[1]) end
  local words, given = require("crun.cli").parse("bench", args,
    { threads = true, seconds = true, json = false, against = true })
  local o = { json = given.json or crun.options.json, seconds = tonumber(given.seconds or 2.5),
    threads = M.numbers(given.threads or "1,2"), torch = given.against == "torch" }
  if given.against and not o.torch then
    crun.fail("bench", ("--against takes torch, got '%s'"):format(given.against))
  end
  if not (o.seconds and o.seconds > 0) then
    crun.fail("bench", ("--seconds takes a number above 0, got '%s'"):format(given.seconds))
  end
  if first == "limits" then return require("crun.bench.limits").run(o) end
  return require("crun.bench.steps").run(chosen(words), o)
end

return M
