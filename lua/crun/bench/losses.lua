--- `crun bench losses`: time and memory of every loss and miner over the size of the batch.
--
--     crun bench losses [NAME ...] [--b 64,256] [--threads 1,2] [--json] [--memory 1G] [--limit 20]
--
-- Forward and backward of a loss (a miner: the call) on D = 128, 8 items a class, clustered unit
-- vectors. `ms` is the median of several runs, `MB` what a run needs at its peak beyond what was
-- there before (its gradients included). --json: a line for each,
--
--     {"name":"losses.triplet","params":{"B":1024,"D":128,"threads":2},"median_ms":..,"min_ms":..,
--      "peak_extra_mb":..}      or "reason" in place of numbers
--
-- A batch that is expected to take longer than --limit seconds (20), going by the one before, or
-- that needs more than --memory (2G), is not run and says so.
--
-- @module crun.bench.losses
local crun = require "crun"
local catalogue = require "crun.catalogue"
local samples = require "crun.bench.samples"
local ui = require "crun.ui"

local M = {}

local SIZES <const>, WIDTH <const> = { 64, 256, 1024, 4096, 16384 }, samples.WIDTH

-- Their cost is that of the formula they are given.
local LEFT_OUT <const> = { pairwise_closure = true, triplet_closure = true }

-- ---- one measurement ----------------------------------------------------------------------------

local function now() return crun.io.monotonic() * 1000 end

local function live()
  collectgarbage()
  collectgarbage()
  return crun.memory().live
end

-- A function that does one run, and forgets what it made.
local function runner(room, name, d, b)
  local inputs, concept = samples.inputs_of(b, d)
  concept = concept or crun[room][name] {}
  local leaves, n = {}, #d.inputs
  for i = 1, n do
    local value = inputs[i]
    local fixed = d.inputs[i].nograd or d.inputs[i].inplace
    if room == "losses" and value and value:dtype() == crun.precision and not fixed then
      inputs[i] = value:detach():clone():requires_grad_(true)
      leaves[#leaves + 1] = inputs[i]
    end
  end
  return function()
    local started = now()
    crun.scope(function()
      local loss = concept(table.unpack(inputs, 1, n))
      if room == "losses" then loss:sum():backward() end
    end)
    local took = now() - started
    for i, leaf in ipairs(leaves) do                -- a fresh leaf: the next run makes its gradient
      local fresh = leaf:detach():requires_grad_(true)
      for k = 1, n do
        if inputs[k] == leaf then inputs[k] = fresh end
      end
      leaves[i] = fresh
    end
    return took
  end
end

local function median(list)
  table.sort(list)
  local n = #list
  return n % 2 == 1 and list[n // 2 + 1] or (list[n // 2] + list[n // 2 + 1]) / 2
end

-- median_ms, min_ms, peak_extra_mb; an error where it cannot run
local function measure(room, name, d, B)
  local run = runner(room, name, d, samples.batch_of(B))
  local before = live()
  crun.memory_reset_peak()
  local first = run()
  local extra = (crun.memory().peak - before) / 1e6
  local times, spent = {}, first
  if first > 2000 then times[1] = first end
  while #times < 3 and spent < 4000 or (spent < 250 and #times < 25) or #times == 0 do
    times[#times + 1] = run()
    spent = spent + times[#times]
  end
  table.sort(times)
  return { median_ms = median(times), min_ms = times[1], peak_extra_mb = math.max(0, extra) }
end

local function reason_of(message)
  local text = tostring(message):match "^[^\n]*"
  if text:find("needs %d+ bytes") then return "needs more memory than was given" end
  return (text:gsub("^.*losses%.[%w_]+: ", ""):gsub("^.*miners%.[%w_]+: ", ""))
end

-- ---- the table ----------------------------------------------------------------------------------

-- Numbers as people read them: three digits.
local function short(x)
  if x >= 100 then return ("%.0f"):format(x) end
  return x >= 10 and ("%.1f"):format(x) or ("%.2f"):format(x)
end
M.short = short

--- Rows of a table out of records: one for each name and number of threads, a column for each B.
function M.tabulate(records)
  local sizes, seen, rows, by_key = {}, {}, {}, {}
  for _, r in ipairs(records) do
    local B = r.params.B
    if not seen[B] then sizes[#sizes + 1], seen[B] = B, true end
    local key = r.name .. " " .. r.params.threads
    if not by_key[key] then
      by_key[key] = { name = r.name, threads = r.params.threads, cell = {} }
      rows[#rows + 1] = by_key[key]
    end
    by_key[key].cell[B] = r
  end
  table.sort(sizes)
  return sizes, rows
end

local function print_table(records)
  local sizes, rows = M.tabulate(records)
  local columns, lines, notes = { "", "threads" }, {}, {}
  for _, B in ipairs(sizes) do
    columns[#columns + 1] = ("B=%d ms"):format(B)
    columns[#columns + 1] = "MB"
  end
  for i, row in ipairs(rows) do
    lines[i] = { row.name, tostring(row.threads) }
    for _, B in ipairs(sizes) do
      local r = row.cell[B]
      lines[i][#lines[i] + 1] = r and r.median_ms and short(r.median_ms) or "-"
      lines[i][#lines[i] + 1] = r and r.median_ms and short(r.peak_extra_mb) or "-"
      if r and r.reason then
        notes[#notes + 1] = { ("%s, B = %d"):format(row.name, B), r.reason }
      end
    end
  end
  print(ui.table { columns = columns, rows = lines })
  if #notes > 0 then print("\nnot run\n" .. ui.pairs(notes)) end
end

-- ---- everything ---------------------------------------------------------------------------------

local function numbers(text)
  local list = {}
  for word in text:gmatch "[^,]+" do
    list[#list + 1] = math.tointeger(tonumber(word)) or
      crun.fail("bench", ("'%s' is no list of whole numbers"):format(text))
  end
  return list
end

local function bytes_of(text)
  local number, unit = text:match "^(%d+%.?%d*)([KMGkmg]?)[Bb]?$"
  if not number then crun.fail("bench", ("'%s' is no size, such as 2G"):format(text)) end
  local factor = { [""] = 1, K = 2 ^ 10, M = 2 ^ 20, G = 2 ^ 30 }
  return math.floor(tonumber(number) * factor[unit:upper()])
end

--- Measures; names: a set of names, or nil for all. report(record) is called for each.
-- o: b, threads (lists), memory (bytes), limit (seconds).
function M.losses(names, o, report)
  local threads_before, ceiling_before = crun.threads(), crun.memory().ceiling
  local _ <close> = setmetatable({}, { __close = function()
    crun.threads(threads_before)
    crun.memory_ceiling(ceiling_before)
  end })
  crun.memory_ceiling(o.memory)
  for _, room in ipairs { "losses", "miners" } do
    for _, name in ipairs(catalogue.names(room)) do
      local full = room .. "." .. name
      local d = (not names or names[name] or names[full]) and catalogue.describe(room, name)
      if d and (d.wrapper or LEFT_OUT[name]) then d = nil end       -- costs what it holds
      for _, threads in ipairs(d and o.threads or {}) do
        crun.threads(threads)
        local last_ms, last_B, stopped
        for _, B in ipairs(o.b) do
          local record = { name = full, params = { B = B, D = WIDTH, threads = threads } }
          local expected = last_ms and last_ms * (B / last_B) ^ 2 / 1000
          if stopped then
            record.reason = stopped
          elseif expected and expected > o.limit then
            record.reason = ("expected to take over %g s"):format(o.limit)
          else
            local ok, result = pcall(measure, room, name, d, B)
            if ok then
              for key, value in pairs(result) do record[key] = value end
              last_ms, last_B = result.median_ms, B
            else
              record.reason = reason_of(result)
              stopped = record.reason
            end
          end
          report(record)
        end
      end
    end
  end
end

--- `crun bench losses ...`; args: the words after "bench".
function M.run(args)
  local names, any, i = {}, false, 1
  local o = { b = SIZES, threads = { 1, 2 }, memory = 2 << 30, limit = 20 }
  local json = crun.options.json
  local function value(flag)
    i = i + 1
    return args[i] or crun.fail("bench", flag .. " needs a value")
  end
  local flags = {
    b = function(v) o.b = numbers(v) end, threads = function(v) o.threads = numbers(v) end,
    memory = function(v) o.memory = bytes_of(v) end,
    limit = function(v) o.limit = tonumber(v) or crun.fail("bench", "--limit takes seconds") end,
  }
  while i < #args do
    i = i + 1
    local flag, given = args[i]:match "^%-%-(%w+)=?(.*)$"
    if flag == "json" then json = true
    elseif flags[flag] then flags[flag](given ~= "" and given or value("--" .. flag))
    elseif flag then
      crun.fail("bench",
        ("unknown option '--%s'; it takes --b, --threads, --memory, --limit, --json"):format(flag))
    else
      names[args[i]], any = true, true
    end
  end
  table.sort(o.b)
  local records = {}
  M.losses(any and names or nil, o, function(record)
    records[#records + 1] = record
    if json then
      print(crun.io.json_encode(record))
      io.stdout:flush()
    elseif crun.io.isatty(2) then
      io.stderr:write(("\r%-60s"):format(("%s B = %d"):format(record.name, record.params.B)))
    end
  end)
  if crun.io.isatty(2) and not json then io.stderr:write("\r", (" "):rep(60), "\r") end
  if #records == 0 then crun.fail("bench", "there is no loss or miner of that name") end
  if not json then print_table(records) end
end

return M
