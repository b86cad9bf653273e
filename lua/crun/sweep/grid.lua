--- grid.lua - a plan without a file: crun sweep SCRIPT.lua -p lr=1e-2,1e-3 -p
-- loss.name=triplet,ntxent
local crun = require "crun"
local reader = require "crun.sweep.reader"
local cio = crun.io

local M = {}

--- The text of the plan: every combination of the lists is a variant. points: a list of
-- "key=a,b,c".
function M.text(script, points, opts)
  local lists = {}
  for _, point in ipairs(points) do
    local key, values = point:match("^([^=]+)=(.+)$")
    if not key then reader.raise(("-p takes KEY=VALUE,VALUE,..., got '%s'"):format(point)) end
    local list = {}
    for value in (values .. ","):gmatch("([^,]*),") do list[#list + 1] = value end
    lists[#lists + 1] = { key = key, list = list }
  end
  local combinations = { {} }
  for _, l in ipairs(lists) do
    local longer = {}
    for _, c in ipairs(combinations) do
      for _, value in ipairs(l.list) do
        local with = table.move(c, 1, #c, 1, {})
        with[#with + 1] = { l.key, value }
        longer[#longer + 1] = with
      end
    end
    combinations = longer
  end
  local q = cio.json_encode
  local lines = { "name: " .. q(opts.name or script:match("([^/]+)$"):gsub("%.lua$", "") ..
    "-grid"), "script: " .. q(script),
    ("metric: {name: %s, goal: %s}"):format(q(opts.metric or "val/map@r"), opts.goal or "max"),
      "variants:" }
  for _, c in ipairs(combinations) do
    local names, body = {}, {}
    for i, pair in ipairs(c) do
      names[i] = pair[1] .. "=" .. pair[2]
      local plain = pcall(crun.yaml.decode, pair[2]) and
        not pair[2]:find("[%[%]{}:#&*!|>'\"%%@`]") and pair[2] ~= ""
      body[i] = ("%s: %s"):format(q(pair[1]), plain and pair[2] or q(pair[2]))
    end
    lines[#lines + 1] = ("  %s: {%s}"):format(q(table.concat(names, " ")), table.concat(body, ", "))
  end
  lines[#lines + 1] = ("final: {seeds: [%s]}"):format(opts.seeds or "1")
  return table.concat(lines, "\n") .. "\n"
end

return M
