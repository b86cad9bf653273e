--- A process that runs one workload when told to: `crun bench worker NAME`, driven by
-- crun.bench.steps over its standard input and output. tests/bench/torch_steps.py answers alike.
--
-- It says { ready = true, flops, bytes } as JSON, then for each line "go SECONDS" one window:
--   { median_ms, min_ms, reps, other_cpu, gauge_ms, system_calls, large }
-- other_cpu: processors that others kept busy meanwhile; gauge_ms: a fixed loop of Lua, which slows
-- when the host does; system_calls: times the engine asked the system for memory.
-- At the end of the input: { peak_rss_mb }.
--
-- @module crun.bench.worker
local crun = require "crun"

local M = {}

local function say(record)
  print(crun.io.json_encode(record))
  io.stdout:flush()
end

--- Seconds that all processors together have worked, for anybody.
local function busy_seconds()
  local file <close> = assert(io.open "/proc/stat")
  local sum, column = 0, 0
  for ticks in file:read("l"):gmatch "%d+" do
    column = column + 1
    if column ~= 4 and column ~= 5 and column <= 8 then sum = sum + tonumber(ticks) end
  end
  return sum / 100
end

local function gauge()
  local best = math.huge
  for _ = 1, 3 do
    local started, n = crun.io.monotonic(), 0
    for i = 1, 100000 do n = n + i end
    best = math.min(best, crun.io.monotonic() - started)
  end
  return best * 1000
end

--- Peak of resident memory so far, in MB.
function M.peak_mb()
  for line in io.lines "/proc/self/status" do
    local kb = line:match "^VmHWM:%s*(%d+)"
    if kb then return tonumber(kb) / 1024 end
  end
end

--- What this runs on, in words: "2 x AMD EPYC, avx512, float32".
function M.machine()
  local cores, model = 0, nil
  local file = io.open "/proc/cpuinfo"
  for line in file and file:lines() or function() end do
    if line:find "^processor%s" then cores = cores + 1 end
    model = model or line:match "^model name%s*:%s*(.-)%s*$"
  end
  if file then file:close() end
  return ("%d x %s, %s, %s"):format(cores, model or "processor", crun.vector, crun.precision)
end

function M.median(times)
  local sorted = table.move(times, 1, #times, 1, {})
  table.sort(sorted)
  local n = #sorted
  return n % 2 == 1 and sorted[n // 2 + 1] or (sorted[n // 2] + sorted[n // 2 + 1]) / 2
end

-- Times of one step, in ms, over `seconds`; short steps are taken `group` at a time.
local function window(step, seconds, group)
  local monotonic, times = crun.io.monotonic, {}
  local started = monotonic()
  local last = started
  repeat
    for _ = 1, group do step() end
    local now = monotonic()
    times[#times + 1] = (now - last) / group * 1000
    last = now
  until now - started >= seconds
  return times, last - started
end

function M.run(entry)
  local load = entry.make()
  local group, warm, took, started = 1, 0, 0, crun.io.monotonic()
  repeat                                              -- buffers, caches, and how long a step takes
    load.step()
    warm, took = warm + 1, crun.io.monotonic() - started
  until warm == 50 or took > 3 or warm >= 3 and took > 0.3
  local each = took / warm
  if each < 1e-3 then group = math.ceil(1e-3 / each) end
  say { ready = true, flops = load.flops, bytes = load.bytes }
  for line in io.lines() do
    local seconds = tonumber(line:match "^go (%S+)$") or crun.fail("bench", "go SECONDS")
    if each < 1 then load.step() end                  -- awake again
    local slow = gauge()
    local busy, own, asked = busy_seconds(), os.clock(), crun.memory().system_calls
    local times, lasted = window(load.step, seconds, group)
    local other = busy_seconds() - busy - (os.clock() - own)
    local least = math.huge
    for _, ms in ipairs(times) do least = math.min(least, ms) end
    say { median_ms = M.median(times), min_ms = least, reps = #times * group, gauge_ms = slow,
      other_cpu = math.max(0, other / lasted), system_calls = crun.memory().system_calls - asked }
  end
  say { peak_rss_mb = M.peak_mb() }
end

return M
