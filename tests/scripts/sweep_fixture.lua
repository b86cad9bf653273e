--- Makes a small sweep folder for tests, of made-up numbers: a fixture, no result.
--
--     local sweep = fixture.sweep(folder, { name = "small", variants = { triplet = { ... } } })
local crun = require "crun"
local cio = crun.io

local M = {}

local function write(path, value) cio.write_file(path, cio.json_encode(value) .. "\n") end

--- A run folder. r: settings, record, summary, log (list of lines: tables, or texts as they are).
function M.run(path, r)
  cio.mkdir(path)
  local record = { state = "done", exit_code = 0, started = 1000.0, ended = 1010.0, host = "here",
    pid = 1, crun = crun.version, script = "/x/train.lua", sessions = {} }
  for key, value in pairs(r.record or {}) do record[key] = value end
  write(path .. "/run.json", record)
  write(path .. "/config.json", { settings = r.settings or { seed = 1 }, origin = { _ = "" } })
  write(path .. "/summary.json", r.summary or { steps = 1 })
  local lines = {}
  for i, line in ipairs(r.log or {}) do
    lines[i] = type(line) == "table" and cio.json_encode(line) .. "\n" or line
  end
  cio.write_file(path .. "/metrics.jsonl", table.concat(lines))
  return path
end

--- A sweep folder. s: name; variants: name -> { final = { [seed] = { metric = value } }, tune =
-- list of scores or states, settings, edges }; order: names; folds; sweep: fields of sweep.json.
function M.sweep(folder, s)
  local path = folder .. "/" .. (s.name or "small")
  cio.mkdir(path)
  local plan, trials, selected, budget, n = {}, {}, {}, {}, 0
  local function trial(line, state)
    n = n + 1
    line.trial, state.trial, state.t = n, n, 1000.5 + n
    plan[n], trials[#trials + 1] = cio.json_encode(line), cio.json_encode(state)
  end
  for _, name in ipairs(s.order) do
    local v = s.variants[name]
    for i, score in ipairs(v.tune or {}) do
      local settings = { loss = name, lr = 0.001 * i, seed = 7 }
      trial({ variant = name, phase = "tune", settings = settings, seed = 7 },
        type(score) == "number" and { state = "done", score = score, settings = settings } or
        { state = score, settings = settings })
    end
    budget[name] = #(v.tune or {})
    if v.tune and not v.unselected then
      selected[name] = { trial = n, score = v.tune[#v.tune],
        settings = v.settings or { loss = name, lr = 0.001 * #v.tune }, edges = cio.json_array(v.edges) }
    end
  end
  for _, name in ipairs(s.order) do
    local v = s.variants[name]
    local seeds = crun.options and require("crun.options").sorted_keys(v.final) or {}
    table.sort(seeds, function(a, b) return tonumber(a) < tonumber(b) end)
    for _, text in ipairs(seeds) do
      local seed = math.tointeger(tonumber(text))
      local values, run = v.final[seed], ("t%04d-%s"):format(n + 1, name)
      local state = values.state or "done"
      trial({ variant = name, phase = "final", settings = cio.json_null, seed = seed },
        { state = state, run = run })
      local summary = { seconds = 10 + n, peak_mb = 100 - n, ["train/images_per_second"] = 1000.0 }
      for key, value in pairs(values) do
        if key ~= "state" then summary[key] = value end
      end
      M.run(path .. "/" .. run, { summary = summary, log = v.log,
        settings = { loss = name, lr = 0.001, seed = seed },
        record = { state = state, sweep = s.name or "small", trial = n, variant = name,
          phase = "final", seed = seed, warnings = v.warnings } })
    end
  end
  cio.write_file(path .. "/plan.jsonl", table.concat(plan, "\n") .. "\n")
  cio.write_file(path .. "/trials.jsonl", table.concat(trials, "\n") .. "\n")
  local sweep = { name = s.name or "small", metric = { name = "val/map@r", goal = "max" },
    state = "done", budget = budget, selected = selected, test_looks = 3, unfair = false,
    final = { seeds = cio.json_array { 11, 12, 13 }, folds = 1,
      report = cio.json_array { "test/map@r", "test/eer" } } }
  for key, value in pairs(s.sweep or {}) do sweep[key] = value end
  write(path .. "/sweep.json", sweep)
  return path
end

return M
