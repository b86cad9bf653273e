--- report/provenance.lua - the last part of the page: how to repeat what it shows
--
-- Commands, the plan, versions and machine, the settings in which the variants differ, every final
-- run with its folder and command, and the tuning trials that did not end well.
local crun = require "crun"
local folder = require "crun.compare.folder"
local html = require "crun.report.html"
local options = require "crun.options"
local parts = require "crun.report.parts"

local M = {}
local h, value_text = html.tag, parts.value_text

-- a word as a shell reads it back
local function quoted(word)
  if word:find "^[%w_./=:,@+-]+$" then return word end
  return "'" .. word:gsub("'", "'\\''") .. "'"
end

local function command_of(run)
  local record, words = run.record, { "crun" }
  if not record.script then return end
  if record.precision == "float64" then words[2] = "--double" end
  words[#words + 1] = quoted(record.script)
  for _, arg in ipairs(record.args or {}) do words[#words + 1] = quoted(tostring(arg)) end
  return table.concat(words, " ")
end

local FACTS <const> = { { "crun", "crun" }, { "lua", "Lua" }, { "commit", "commit of the script" },
  { "precision", "arithmetic" }, { "cpu", "processor" }, { "vector", "vector instructions" },
  { "threads", "threads a run" }, { "host", "machine" }, { "start_time", "begun" } }

-- the values of a field over all final runs, sorted, each once
local function values_of(s, field)
  local known = {}
  for _, v in ipairs(s.variants) do
    for _, run in ipairs(v.runs) do
      local value = run.record[field]
      if value ~= nil and type(value) ~= "table" and type(value) ~= "userdata" then
        known[value_text(value)] = true
      end
    end
  end
  return options.sorted_keys(known)
end

local function machine(s)
  local rows = {}
  for _, fact in ipairs(FACTS) do
    local values = values_of(s, fact[1])
    if #values > 0 then
      rows[#rows + 1] = { fact[2], fact[1] == "start_time" and #values > 1 and
        values[1] .. " … " .. values[#values] or table.concat(values, "; ") }
    end
  end
  if s.c.sweep and s.c.sweep.plan_sha256 then
    rows[#rows + 1] = { "SHA-256 of the plan", tostring(s.c.sweep.plan_sha256) }
  end
  return #rows > 0 and
    parts.table("Versions and machine", { { "", "name" }, { "", "text" } }, rows) or nil
end

-- the settings a variant's final runs were given: those selected, else those of its first run
local function settings_of(v)
  if v.settings then return v.settings end
  local path = v.runs[1] and v.runs[1].path
  return path and require("crun.runs").config({ path = path }).settings or {}
end

local function settings_table(s)
  local columns, values = { { "setting", "name" } }, {}
  for i, v in ipairs(s.variants) do
    columns[i + 1] = { v.name, "text" }
    for key, value in pairs(folder.flat(settings_of(v))) do
      if key ~= "seed" and key ~= "fold" then
        values[key] = values[key] or {}
        values[key][i] = value_text(value)
      end
    end
  end
  local rows = {}
  for _, key in ipairs(options.sorted_keys(values)) do
    local row, differ = { key }, #s.variants == 1
    for i = 1, #s.variants do
      row[i + 1] = values[key][i]
      differ = differ or values[key][i] ~= values[key][1]
    end
    if differ then rows[#rows + 1] = row end
  end
  if #rows == 0 then return end
  return parts.table(#s.variants > 1 and "Settings in which the variants differ" or "Settings",
    columns, rows)
end

local function runs_table(s)
  local rows, metric = {}, s.c.metrics[1]
  for i, v in ipairs(s.variants) do
    for _, run in ipairs(v.runs) do
      local score, reason = v.scores[metric][run.key], run.reason or run.record.reason
      rows[#rows + 1] = { parts.name(s, i), run.key, run.state ..
        (type(reason) == "string" and ": " .. reason or ""), score and parts.text(score) or nil,
        run.path and h("code", {}, run.path), command_of(run) and h("code", {}, command_of(run)) }
    end
  end
  return parts.table("Final runs", { { "", "name" }, { "seed", "text" }, { "state", "text" },
    { metric, "number" }, { "folder", "text" }, { "command", "text" } }, rows)
end

local WELL <const> = { done = true, pruned = true, queued = true, running = true,
  waiting = true }

local function troubles(s)
  local items = {}
  for _, v in ipairs(s.variants) do
    for _, trial in ipairs(v.tune.trials) do
      if not WELL[trial.state] then
        items[#items + 1] = h("li", {}, h("b", {}, v.name), (", trial %s: %s%s"):format(
          tostring(trial.trial), trial.state,
          trial.reason and ": " .. tostring(trial.reason) or ""))
      end
    end
  end
  if #items == 0 then return end
  return parts.folded(parts.plural(#items, "tuning trial") .. " that did not end well",
    h("ul", {}, items))
end

local function plan_of(c)
  local path = c.path .. "/plan.yaml"
  if not crun.io.exists(path) then return end
  return parts.folded("The plan (plan.yaml)",
    h("pre", { tabindex = "0" }, crun.io.read_file(path)))
end

local function commands(s)
  local c, lines = s.c, {}
  if c.kind == "sweep" then
    local words = { "crun sweep plan.yaml" }
    for _, word in ipairs(c.sweep.words or {}) do words[#words + 1] = quoted(tostring(word)) end
    if type(c.sweep.folder) == "string" then lines[1] = "cd " .. quoted(c.sweep.folder) end
    lines[#lines + 1] = table.concat(words, " ")
    lines[#lines + 1] = "crun compare " .. quoted(c.path)
    lines[#lines + 1] = "crun report " .. quoted(c.path)
  else
    for _, v in ipairs(s.variants) do
      for _, run in ipairs(v.runs) do lines[#lines + 1] = command_of(run) end
    end
  end
  return #lines > 0 and h("pre", { tabindex = "0" }, table.concat(lines, "\n")) or nil
end

function M.section(s)
  return parts.section("provenance", "How to repeat it", commands(s),
    s.c.kind == "sweep" and plan_of(s.c) or nil, machine(s), settings_table(s),
    parts.folded("Final runs and their commands", runs_table(s)), troubles(s))
end

return M
