--- `crun bench`: every workload in a process of its own, and torch beside it if asked for.
--
-- Windows of crun and of torch take turns, A B A B, five of each; a pair of neighbours gives a
-- ratio, and the medians of the windows' medians give the ratio of a workload. A window in which
-- others kept a processor busy that was wanted is taken again, three times at most. Compare only
-- what one run printed: the same step may take 40 % longer an hour later.
--
-- torch gets its best: the variant (eager, channels_last, traced, foreach ...) that is fastest for
-- the workload, OpenBLAS in its OpenMP build where Debian's libopenblas0-openmp is installed (or
-- CRUN_OPENBLAS_OPENMP names its folder), huge pages, and a malloc that gives nothing back.
--
-- @module crun.bench.steps
local crun = require "crun"
local ui = require "crun.ui"
local worker = require "crun.bench.worker"
local cio = crun.io

local M = {}

local WINDOWS <const>, QUIET <const>, AGAIN <const> = 5, 0.12, 3
local EXE <const> = cio.realpath "/proc/self/exe"
local TORCH <const> = crun.library .. "/../tests/bench/torch_steps.py"

local function quoted(word) return "'" .. word:gsub("'", "'\\''") .. "'" end

local function output_of(command)
  local pipe <close> = assert(io.popen(command))
  return pipe:read "a"
end

local function processors()
  return tonumber(output_of "nproc 2>/dev/null") or 1
end

-- ---- two programs that answer alike -------------------------------------------------------------

local function crun_command(threads, words)
  return ("%s%s --threads %d %s"):format(quoted(EXE),
    crun.precision == "float64" and " --double" or "", threads, words)
end

-- The environment in which torch is at its best.
local function torch_environment(threads)
  local folder = os.getenv "CRUN_OPENBLAS_OPENMP" or
    output_of("ls -d /usr/lib/*/openblas-openmp 2>/dev/null"):match "[^\n]+"
  local tunables = { "hugetlb=1", "mmap_threshold=8589934592", "mmap_max=0",
    "trim_threshold=8589934592", "top_pad=67108864" }
  for i, text in ipairs(tunables) do tunables[i] = "glibc.malloc." .. text end
  return ("env GLIBC_TUNABLES=%s OMP_NUM_THREADS=%d OPENBLAS_NUM_THREADS=%d %s"):format(
    table.concat(tunables, ":"), threads, threads,
    folder and "LD_LIBRARY_PATH=" .. quoted(folder) or ""), folder
end

local function python()
  for _, name in ipairs { "/usr/bin/python3", "python3" } do
    local find = name .. ' -c "import importlib.util as u; print(u.find_spec(\'torch\') is not None)"'
    if output_of(find .. " 2>/dev/null"):find "True" then return name end
  end
end

local function torch_command(interpreter, threads, words)
  return ("%s %s %s --threads %d %s"):format((torch_environment(threads)), interpreter,
    quoted(TORCH), threads, words)
end

-- A running worker: :ask(line) -> its answer, :finish() -> its last word.
local Peer = {}
Peer.__index = Peer

local function start(command)
  local path = cio.tmpname()
  cio.remove(path)
  assert(os.execute("mkfifo " .. quoted(path)))
  local self = setmetatable({}, Peer)
  self.input = assert(io.popen(("exec %s > %s"):format(command, quoted(path)), "w"))
  self.output = assert(io.open(path))
  cio.remove(path)
  self.first = self:answer()
  return self
end

function Peer:answer()
  local line = self.output:read "l"
  return line and cio.json_decode(line)
end

function Peer:ask(line)
  self.input:write(line, "\n")
  self.input:flush()
  return self:answer()
end

function Peer:finish()
  self.input:close()
  local last = self:answer()
  self.output:close()
  return last
end

-- ---- one workload -------------------------------------------------------------------------------

-- A window while others leave the processors alone, or the last of some.
local function quiet_window(peer, line, room)
  local window
  for _ = 1, 1 + AGAIN do
    window = peer:ask(line)
    if not window or window.other_cpu <= room then break end
  end
  return window
end

local function summary(windows)
  local medians, least, other = {}, math.huge, {}
  for i, w in ipairs(windows) do
    medians[i], other[i], least = w.median_ms, w.other_cpu, math.min(least, w.min_ms)
  end
  return worker.median(medians), least, worker.median(other)
end

-- Windows in turns. Returns the windows of each, and what each said last.
local function in_turns(peers, seconds, threads)
  local windows = {}
  local room = QUIET + math.max(0, processors() - threads)
  for k in ipairs(peers) do windows[k] = {} end
  for i = 1, WINDOWS do
    for k, peer in ipairs(peers) do
      windows[k][i] = quiet_window(peer, ("go %g"):format(seconds / WINDOWS), room)
      if not windows[k][i] then return nil, k end
    end
  end
  return windows
end

-- Processes from start to end, timed from outside: answers like a worker.
local function start_up(command)
  return {
    first = { ready = true },
    ask = function(_, line)
      local seconds, times, peak = tonumber(line:match "%S+$"), {}, nil
      local started = cio.monotonic()
      repeat
        local before = cio.monotonic()
        peak = tonumber(output_of(command))
        times[#times + 1] = (cio.monotonic() - before) * 1000
      until cio.monotonic() - started > seconds or not peak
      if not peak then return nil end
      return { median_ms = worker.median(times), min_ms = math.min(table.unpack(times)),
        reps = #times, other_cpu = 0, gauge_ms = 0, system_calls = 0, peak_rss_mb = peak }
    end,
    finish = function(self) return self:ask "go 0" end,
  }
end

local function measure(entry, threads, o)
  local record = { name = entry.name, params = { case = entry.case, threads = threads } }
  for key, value in pairs(entry.params) do record.params[key] = value end
  local peers = {}
  if entry.process then
    peers[1] = start_up(crun_command(threads, quoted(crun.library .. "/crun/bench/first_step.lua")))
  else
    peers[1] = start(crun_command(threads, "bench worker " .. entry.name))
  end
  local load = peers[1].first
  if not load then
    record.reason = "it failed, as said above"
    return record
  end
  if o.python then
    local words = entry.name
    local picked = output_of(torch_command(o.python, threads, words .. " --pick"))
    local best = picked ~= "" and cio.json_decode(picked) or { variant = "?" }
    words = words .. " --variant " .. quoted(best.variant)
    peers[2] = entry.process and start_up(torch_command(o.python, threads, words)) or
      start(torch_command(o.python, threads, words))
    record.torch = { variant = best.variant }
    if not peers[2].first then
      record.reason = "torch failed, as said above"
      peers[1]:finish()
      return record
    end
  end
  local windows, failed = in_turns(peers, o.seconds, threads)
  if not windows then
    record.reason = (failed == 1 and "it" or "torch") .. " failed, as said above"
    for _, peer in ipairs(peers) do peer:finish() end
    return record
  end
  local function fill(to, k)
    to.median_ms, to.min_ms, to.other_cpu = summary(windows[k])
    to.peak_rss_mb = peers[k]:finish().peak_rss_mb
  end
  fill(record, 1)
  record.gauge_ms, record.system_calls = windows[1][1].gauge_ms, 0
  for _, w in ipairs(windows[1]) do
    record.system_calls = record.system_calls + w.system_calls
  end
  if load.flops then
    local limits = o.limits[threads]
    record.flops, record.bytes = load.flops, load.bytes
    record.gflops = load.flops / record.median_ms / 1e6
    record.floor_ms = math.max(load.flops / limits.fma / 1e6, load.bytes / limits.triad / 1e6)
  end
  if record.torch then
    fill(record.torch, 2)
    record.ratio, record.ratios = record.median_ms / record.torch.median_ms, {}
    for i, w in ipairs(windows[1]) do record.ratios[i] = w.median_ms / windows[2][i].median_ms end
    record.memory_ratio = record.peak_rss_mb / record.torch.peak_rss_mb
  end
  return record
end

-- ---- the table ----------------------------------------------------------------------------------

local function digits(x)
  if not x then return "-" end
  return ("%." .. (x >= 100 and 0 or x >= 10 and 1 or x >= 1 and 2 or 3) .. "f"):format(x)
end

local function print_table(records, with_torch)
  local t = { columns = { "", "threads", "ms", "least", "speedup", "floor", "GFLOP/s", "MB" },
    rows = {} }
  if with_torch then
    for _, name in ipairs { "torch ms", "MB", "ratio", "of memory", "pairs", "variant" } do
      t.columns[#t.columns + 1] = name
    end
  end
  local notes = {}
  for _, r in ipairs(records) do
    local row = { r.name, tostring(r.params.threads), digits(r.median_ms), digits(r.min_ms),
      digits(r.speedup), digits(r.floor_ms), digits(r.gflops), digits(r.peak_rss_mb) }
    if with_torch then
      local torch, pairs_text = r.torch or {}, {}
      for i, ratio in ipairs(r.ratios or {}) do pairs_text[i] = ("%.2f"):format(ratio) end
      for _, text in ipairs { digits(torch.median_ms), digits(torch.peak_rss_mb), digits(r.ratio),
        digits(r.memory_ratio), table.concat(pairs_text, " "), torch.variant or "-" } do
        row[#row + 1] = text
      end
    end
    t.rows[#t.rows + 1] = row
    if r.reason then notes[#notes + 1] = { r.name, r.reason } end
    if r.other_cpu and r.other_cpu > QUIET + math.max(0, processors() - r.params.threads) then
      notes[#notes + 1] = { ("%s, %d threads"):format(r.name, r.params.threads),
        ("others kept %.2f processors busy meanwhile"):format(r.other_cpu) }
    end
  end
  print(ui.table(t))
  if #notes > 0 then print("\n" .. ui.pairs(notes)) end
end

-- How much less a step takes than on one thread, where that was measured before.
local function speedup_of(record, records)
  for _, r in ipairs(records) do
    if r.name == record.name and r.params.threads == 1 and r.median_ms and record.median_ms then
      return r.median_ms / record.median_ms
    end
  end
end

--- Measures the workloads. o: threads (a list), seconds (for each side of a workload), json, torch.
function M.run(entries, o)
  o.limits = {}
  for _, threads in ipairs(o.threads) do
    crun.threads(threads)
    o.limits[threads] = { fma = crun.limits.fma(), triad = crun.limits.triad() }
  end
  if o.torch then
    o.python = cio.exists(TORCH) and python()
    local _, folder = torch_environment(1)
    io.stderr:write(not cio.exists(TORCH) and "torch is left out: tests/bench/torch_steps.py is " ..
        "not beside this program; it is in the source tree\n" or
      not o.python and "torch is left out: no python3 here has it (Debian: python3-torch)\n" or
      not folder and "torch runs with OpenBLAS as installed; it is faster with " ..
        "libopenblas0-openmp\n" or "")
  end
  local records, machine = {}, worker.machine()
  for _, entry in ipairs(entries) do
    for _, threads in ipairs(o.threads) do
      if cio.isatty(2) and not o.json then
        io.stderr:write(("\r%-60s"):format(entry.name .. ", threads: " .. threads))
      end
      local record = measure(entry, threads, o)
      record.machine, record.speedup = machine, speedup_of(record, records)
      records[#records + 1] = record
      if o.json then
        print(cio.json_encode(record))
        io.stdout:flush()
      end
    end
  end
  if cio.isatty(2) and not o.json then io.stderr:write("\r", (" "):rep(60), "\r") end
  if not o.json then
    for _, threads in ipairs(o.threads) do
      print(("%d thread%s: FMA peak %.0f GFLOP/s, triad %.0f GB/s"):format(threads,
        threads == 1 and "" or "s", o.limits[threads].fma, o.limits[threads].triad))
    end
    print_table(records, o.python)
  end
end

return M
