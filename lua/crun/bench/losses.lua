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
local ui = require "crun.ui"

local M = {}

local SIZES <const>, WIDTH <const>, ITEMS <const> = { 64, 256, 1024, 4096, 16384 }, 128, 8

-- ---- inputs -------------------------------------------------------------------------------------

-- What losses are tried on: classes of 8 around random centres.
local function batch_of(B)
  local rng = crun.rng(1, "bench", B)
  local C = math.max(1, B // ITEMS)
  local list = {}
  for i = 1, B do list[i] = (i - 1) // ITEMS % C + 1 end
  local labels = crun.int(list)
  local centres = crun.randn(rng, C, WIDTH)
  local function view()
    return (centres:index_select(labels, 1) + crun.randn(rng, B, WIDTH) * 0.7):normalize()
  end
  return { B = B, C = C, rng = rng, labels = labels, view = view, z = view() }
end

local function noise(b, ...) return crun.randn(b.rng, ...) end
local function signs(b, ...) return (crun.randint(b.rng, 2, ...) * 2 - 3):real() end
local function row_numbers(b, n, ...) return crun.randint(b.rng, n, ...) end

-- What cannot be tried on inputs by their names alone: b -> inputs, and perhaps the criterion. What
-- is real wants its gradient.
local SPECIAL <const> = {
  cross_entropy = function(b) return { noise(b, b.B, b.C), b.labels } end,
  nll = function(b) return { noise(b, b.B, b.C):log_softmax(), b.labels } end,
  binary_cross_entropy = function(b)
    return { noise(b, b.B, WIDTH), crun.rand(b.rng, b.B, WIDTH) }
  end,
  kl_div = function(b)
    return { noise(b, b.B, WIDTH):log_softmax(), noise(b, b.B, WIDTH):softmax() }
  end,
  cosine_embedding = function(b) return { b.view(), b.view(), signs(b, b.B) } end,
  hinge_embedding = function(b) return { noise(b, b.B, WIDTH), signs(b, b.B, WIDTH) } end,
  margin_ranking = function(b)
    return { noise(b, b.B, WIDTH), noise(b, b.B, WIDTH), signs(b, b.B, WIDTH) }
  end,
  soft_triple = function(b) return { b.view(), b.labels, noise(b, b.C * 10, WIDTH) } end,
  subcenter_arcface = function(b) return { b.view(), b.labels, noise(b, b.C * 3, WIDTH) } end,
  skip_gram = function(b)
    local V = b.C * ITEMS
    return { noise(b, V, WIDTH), noise(b, V, WIDTH), row_numbers(b, V, b.B), row_numbers(b, V, b.B),
      row_numbers(b, V, b.B, 5) }
  end,
  nce = function(b)
    return { b.view(), b.labels, noise(b, b.C, WIDTH), row_numbers(b, b.C, b.B, 10),
      crun.full({ b.C }, -math.log(b.C)) }
  end,
  -- B points in sequences of 32
  soft_dtw = function(b)
    local n = math.max(1, b.B // 32)
    return { noise(b, n, 32, 3), noise(b, n, 32, 3) }
  end,
  lmnn = function(b)
    local targets = {}
    for i = 1, b.B do
      local first = (i - 1) // ITEMS * ITEMS
      targets[i] = {}
      for k = 1, 3 do targets[i][k] = first + (i + k - 1) % ITEMS + 1 end
    end
    return { b.view(), b.labels, crun.int(targets) }
  end,
  -- a simplex has room for D + 1 classes
  class_simplex = function(b)
    local C = math.min(math.max(b.C, 2), WIDTH)
    local folded = b.labels:totable()
    for i, label in ipairs(folded) do folded[i] = (label - 1) % C + 1 end
    return { b.view(), crun.int(folded) }, crun.losses.class_simplex { classes = C }
  end,
  magnet = function(b)                              -- two clusters a class
    local classes = {}
    for m = 1, b.C do classes[m] = (m + 1) // 2 end
    return { b.view(), b.labels, crun.int(classes) }
  end,
  cosent = function(b) return { b.view(), b.view(), crun.rand(b.rng, b.B) } end,
  manifold = function(b)
    local proxies = noise(b, 50, WIDTH)
    return { b.view(), row_numbers(b, 50, b.B), proxies }, crun.native.losses.manifold {}
  end,
  dynamic_soft_margin = function(b)
    return { b.view(), b.labels, nil, nil, crun.zeros(200) },
      crun.native.losses.dynamic_soft_margin {}
  end,
  packaged_triplets = function(b)
    local rows = b.B // 3 * 3
    return { b.view():narrow(1, 1, rows):contiguous(), b.labels:narrow(1, 1, rows):contiguous() }
  end,
  pairs_to_triplets = function(b)
    local a, p = crun.arange(1, b.B):int(), crun.arange(1, b.B):int()
    return { a, p, a, p }
  end,
}

-- Inputs of anything else, by the names of its inputs.
local BY_NAME <const> = {
  embeddings = function(b) return b.view() end, x = function(b) return b.view() end,
  y = function(b) return b.view() end, p = function(b) return b.view() end,
  z = function(b) return b.view() end, references = function(b) return b.view() end,
  input = function(b) return noise(b, b.B, WIDTH) end,
  target = function(b) return noise(b, b.B, WIDTH) end,
  labels = function(b) return b.labels end,
  weights = function(b) return noise(b, b.C, WIDTH) end,
}

local function inputs_of(b, d)
  if SPECIAL[d.name] then return SPECIAL[d.name](b) end
  local inputs = {}
  for i, input in ipairs(d.inputs) do
    if input.optional and input.name ~= "labels" then break end
    local make = BY_NAME[input.name]
    if not make then error(("no sample for input '%s'"):format(input.name), 0) end
    inputs[i] = make(b)
  end
  return inputs
end

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
  local inputs, concept = inputs_of(b, d)
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
  local run = runner(room, name, d, batch_of(B))
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
