--- `crun bench limits`: how near the parts come to what the machine can do, in one run.
--
-- Each line has a goal that holds on any machine: a share of the fused multiply-adds or of the
-- bandwidth measured a moment before, a time, or a count. On a machine that others use a share may
-- be missed for their sake; what is missed twice in a row is missed.
--
-- @module crun.bench.limits
local crun = require "crun"
local ui = require "crun.ui"
local worker = require "crun.bench.worker"

local M = {}

local function digits(x)
  return ("%." .. (x >= 100 and 0 or x >= 10 and 1 or 2) .. "f"):format(x)
end

-- The quickest of some runs of f, n times in each, in seconds for one.
local function quickest(n, f)
  local best = math.huge
  for _ = 1, 7 do
    local started = crun.io.monotonic()
    for _ = 1, n do f() end
    best = math.min(best, (crun.io.monotonic() - started) / n)
  end
  return best
end

-- The median of some runs of f, in seconds.
local function usual(f, runs)
  local times = {}
  f()
  for i = 1, runs do
    local started = crun.io.monotonic()
    f()
    times[i] = crun.io.monotonic() - started
  end
  return worker.median(times)
end

-- report { what, threads, value, unit, of = the limit beside it, least or most = the goal }
local function gemm(report, threads, peak)
  local function product(what, least, ...)
    report { what = what, threads = threads, value = crun.limits.gemm(...), unit = "GFLOP/s",
      of = peak, least = least }
  end
  for _, n in ipairs { 512, 1024, 2048 } do product(("GEMM %d cubed"):format(n), 0.85, n, n, n) end
  if threads > 1 then return end
  for _, n in ipairs { 64, 128, 256 } do product(("GEMM %d cubed"):format(n), 0.70, n, n, n) end
  for _, n in ipairs { 256, 1024, 4096 } do
    product(("similarities %d x %d of 128"):format(n, n), 0.70, n, n, 128, true)
  end
end

-- channels, filters, side, images
local LAYERS <const> = { { 16, 16, 32, 256 }, { 32, 64, 32, 64 }, { 64, 128, 16, 64 },
  { 128, 128, 8, 64 } }
local FIRST <const> = { { 1, 32, 64, 64 }, { 3, 16, 32, 256 } }
local PASSES <const> = { { "forward", 0.75 }, { "grad_x", 0.75 }, { "grad_weight", 0.60 } }

local function conv(report, threads, peak)
  local function layer(shape, pass, algorithm, least)
    local C, F, side, images = table.unpack(shape)
    local rate, used = crun.limits.conv(images, C, F, side, pass, algorithm)
    report { what = ("conv %d to %d at %d, %s, %s"):format(C, F, side, pass, used),
      threads = threads, value = rate, unit = "GFLOP/s", of = peak, least = least }
  end
  for _, shape in ipairs(LAYERS) do
    for _, pass in ipairs(PASSES) do layer(shape, pass[1], "direct", pass[2]) end
  end
  for i = 3, 4 do
    for _, pass in ipairs(PASSES) do layer(LAYERS[i], pass[1], "winograd", 1.3) end
  end
  for _, shape in ipairs(FIRST) do
    for i = 1, 3, 2 do layer(shape, PASSES[i][1], "auto", 0.35) end
  end
end

-- Passes over more than the last cache holds, 64 MB a tensor, against the triad.
local function passes(report, threads, triad)
  local rng = crun.rng(1, "limits")
  local x, y = crun.randn(rng, 64, 64, 64, 64), crun.randn(rng, 64, 64, 64, 64)
  local gamma, beta = crun.ones(64), crun.zeros(64)
  local mean, var = crun.zeros(64), crun.ones(64)
  local word = crun.precision == "float64" and 8e-9 or 4e-9
  local function pass(what, streams, f)
    local seconds = usual(function() crun.scope(f) end, 9)
    report { what = what, threads = threads, unit = "GB/s", of = triad, least = 0.8,
      value = streams * x:numel() * word / seconds }
  end
  pass("x + y", 3, function() return x + y end)
  pass("relu", 2, function() return x:relu() end)
  pass("batch norm, training", 3, function()
    return crun.batch_norm(x, gamma, beta, mean, var, { training = true })
  end)
end

local function overhead(report)
  local a, b = crun.randn(crun.rng(1, "a"), 4), crun.randn(crun.rng(1, "b"), 4)
  a:requires_grad_(true)
  local add = quickest(1000, function() crun.scope(function()
    for _ = 1, 10 do local _ = a + b end
  end) end) / 10
  report { what = "an operator on 4 numbers, from Lua", value = add * 1e6, unit = "us", most = 0.5 }
  local chain = quickest(5, function()
    a:zero_grad_()
    crun.scope(function()
      local t = a
      for _ = 1, 1000 do t = t + b end
      t:sum():backward()
    end)
  end) / 1000
  report { what = "forward and backward, each of a chain of 1000", value = chain * 1e6,
    unit = "us", most = 1 }
end

local function fork(report)
  local nothing, alone, shared = crun.limits.fork(10)
  report { what = "fork and join", threads = 2, value = nothing, unit = "us" }
  report { what = "a job of 10 us, cut in two", threads = 2, value = shared, unit = "us",
    most = alone }
end

-- Steps on one and on two threads, and what they ask of the system.
local function steps(report)
  local wanted = { ["mlp/512/triplet"] = 1.6, face64 = 1.7, face112 = 1.7, resnet8 = 1.7,
    resnet20 = 1.7 }
  for _, entry in ipairs(require "crun.bench.workloads") do
    if wanted[entry.name] then
      local load, took = entry.make(), {}
      for threads = 1, 2 do
        crun.threads(threads)
        for _ = 1, 3 do load.step() end
        local before = crun.memory().system_calls
        took[threads] = usual(load.step, 5)
        if threads == 2 then
          report { what = entry.name .. ", blocks asked of the system in 6 steps", unit = "",
            threads = 2, value = crun.memory().system_calls - before, most = 0 }
        end
      end
      report { what = entry.name .. ", one thread over two", value = took[1] / took[2], unit = "x",
        least = wanted[entry.name] }
    end
    collectgarbage()
  end
end

--- Measures all of it; report(record) is called for each, with share and pass filled in.
function M.measure(report)
  local before, machine = crun.threads(), worker.machine()
  local _ <close> = setmetatable({}, { __close = function() crun.threads(before) end })
  local function judged(r)
    r.machine = machine
    if r.of then r.share = r.value / r.of end
    local value = r.share or r.value
    if r.least or r.most then
      r.pass = value >= (r.least or -math.huge) and value <= (r.most or math.huge)
    end
    report(r)
  end
  for threads = 1, 2 do
    crun.threads(threads)
    local peak, triad = crun.limits.fma(), crun.limits.triad()
    judged { what = "FMA peak", threads = threads, value = peak, unit = "GFLOP/s" }
    judged { what = "triad, 256 MB", threads = threads, value = triad, unit = "GB/s" }
    gemm(judged, threads, peak)
    conv(judged, threads, peak)
    passes(judged, threads, triad)
  end
  fork(judged)
  overhead(judged)
  steps(judged)
end

local function row_of(r)
  local goal = r.least and (r.of and ("at least %g of the limit"):format(r.least) or
    ("at least %g"):format(r.least)) or r.most and ("at most %s"):format(digits(r.most)) or ""
  return { r.what, r.threads and tostring(r.threads) or "", digits(r.value), r.unit,
    r.share and ("%.2f"):format(r.share) or "", goal, r.pass and "pass" or
    r.pass == false and "MISSED" or "" }
end

--- `crun bench limits`; o: json.
function M.run(o)
  local rows, missed, n = {}, 0, 0
  M.measure(function(r)
    rows[#rows + 1] = row_of(r)
    if r.pass ~= nil then n = n + 1 end
    if r.pass == false then missed = missed + 1 end
    if o.json then
      print(crun.io.json_encode(r))
      io.stdout:flush()
    end
  end)
  if o.json then return end
  print(ui.table { columns = { "", "threads", "", "", "of limit", "goal", "" }, rows = rows })
  print(("%d goals, %d missed"):format(n, missed))
end

return M
