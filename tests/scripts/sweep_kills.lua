--- Runs a sweep and kills -9 its coordinator, one of its workers or both, again and again; then lets it end.
--
--     crun tests/scripts/sweep_kills.lua PLAN.yaml OUT KILLS [SEED] [SECONDS between kills] [KEY=VALUE ...]
--
-- A kill comes after a part of SECONDS drawn by the seed, or as soon as two more trials have started, so that a fast machine
-- does not end the sweep first. Prints how many of each were killed. The sweep must then be equal to one that nobody disturbed: see tests/sweep_spec.lua.
local crun = require "crun"
local process, cio = crun.process, crun.io

local M = {}


-- The workers of a sweep folder that are alive, by their locks.
local function workers(path)
  local list = {}
  if not cio.is_dir(path) then return list end
  for _, name in ipairs((cio.list(path))) do
    local lock = ("%s/%s/lock"):format(path, name)
    if name:find("^t%d") and cio.exists(lock) then
      local mine, holder = process.lock(lock)
      if mine then mine:release() else list[#list + 1] = math.tointeger(tonumber(holder)) end
    end
  end
  return list
end

-- How many trials of a sweep folder have begun.
local function begun(path)
  local n = 0
  for _, name in ipairs(cio.is_dir(path) and (cio.list(path)) or {}) do
    if name:find("^t%d") then n = n + 1 end
  end
  return n
end

--- plan: a file; out: where the sweep's folder is made; name: of the sweep. Returns the counts, and the exit code.
function M.disturb(plan, out, name, opts)
  local rng, draws = crun.rng(opts.seed or 1, "kills"), 0
  local function draw()
    draws = draws + 1
    return crun.rand(rng, 1):item()
  end
  local path = out .. "/" .. name
  local log = out .. "/coordinator.txt"
  local function start()
    local command = cio.exists(path .. "/sweep.json") and { process.executable, "sweep", "resume", path } or
      { process.executable, "sweep", plan, "--out", out, "--name", name, table.unpack(opts.words or {}) }
    return process.spawn { command = command, output = log, folder = cio.cwd() }
  end
  local counts = { coordinator = 0, worker = 0, both = 0 }
  local pid, ended = start(), nil
  for _ = 1, opts.kills do
    local wait, enough = cio.monotonic() + draw() * (opts.seconds or 2), begun(path) + 2
    repeat
      process.sleep(0.01)
      ended = process.poll(pid)
    until ended or cio.monotonic() > wait or begun(path) >= enough
    if ended then break end
    local victims = workers(path)
    local kind = draw()
    if kind < 0.4 or #victims == 0 then counts.coordinator = counts.coordinator + 1
    elseif kind < 0.7 then counts.worker = counts.worker + 1
    else counts.both = counts.both + 1 end
    if (kind >= 0.4) and #victims > 0 then
      process.kill(victims[1 + math.floor(draw() * #victims)], "KILL")
    end
    if kind < 0.4 or kind >= 0.7 or #victims == 0 then
      process.kill(pid, "KILL")
      repeat process.sleep(0.01) until process.poll(pid) ~= nil
      pid = start()
    end
  end
  while not ended do
    process.sleep(0.02)
    ended = process.poll(pid)
  end
  return counts, ended.code or -ended.signal
end

if arg and arg[0] and arg[0]:find("sweep_kills%.lua$") then
  local counts, code = M.disturb(arg[1], arg[2], arg[1]:match("([^/]+)%.yaml$"), { kills = tonumber(arg[3]),
    seed = math.tointeger(tonumber(arg[4] or 1)), seconds = tonumber(arg[5] or 2), words = { table.unpack(arg, 6) } })
  print(("coordinator %d, worker %d, both %d; exit code %d"):format(counts.coordinator, counts.worker, counts.both, code))
end

return M
