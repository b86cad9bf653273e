--- doctor.lua - `crun doctor`: what this machine gives crun, one line each, and what to do where
-- something is wrong
--
-- "ok" is as it should be, "!" works but could be better, "x" does not work: exit code 6. Nothing
-- is changed.
local crun = require "crun"
local provenance = require "crun.provenance"
local runs = require "crun.runs"
local cio = crun.io

local M = {}

local function field(path, pattern)
  local file = io.open(path)
  if not file then return end
  for line in file:lines() do
    local found = line:match(pattern)
    if found then
      file:close()
      return found
    end
  end
  file:close()
end

-- "0-3,8" -> 5
local function count_cpus(list)
  local n = 0
  for first, last in list:gmatch("(%d+)%-?(%d*)") do
    n = n + (last == "" and 1 or tonumber(last) - tonumber(first) + 1)
  end
  return n
end

-- the libraries this process has loaded whose names match
local function loaded(pattern) return field("/proc/self/maps", "(/%S*" .. pattern .. "%S*)") end

local CHECKS <const> = {}
local function check(name, f) CHECKS[#CHECKS + 1] = { name = name, f = f } end

check("crun", function()
  return "ok", ("%s, %s, arithmetic in %s"):format(crun.version, _VERSION, crun.precision)
end)

check("processor", function()
  local cpu, kernels = provenance.cpu(), crun.vector
  if kernels == "plain" then
    return "!", cpu .. ": no AVX2, so the plain kernels run, several times slower; a newer machine is the cure"
  end
  return "ok", ("%s, kernels for %s"):format(cpu, kernels)
end)

check("threads", function()
  local allowed = field("/proc/self/status", "^Cpus_allowed_list:%s*(%S+)")
  local cpus, used = allowed and count_cpus(allowed) or crun.threads(), crun.threads()
  if used > cpus then
    return "!", ("%d threads on %d processors: slower than --threads %d"):format(used, cpus, cpus)
  elseif used < cpus then
    return "ok", ("%d of %d processors; --threads auto uses all"):format(used, cpus)
  end
  return "ok", ("%d, one for each processor this process may use"):format(used)
end)

check("BLAS", function()
  local path = loaded("libopenblas") or loaded("libblas")
  if not path then
    return "!", "no OpenBLAS is loaded; PCA needs it: apt-get install libopenblas0-pthread"
  end
  path = cio.exists(path) and cio.realpath(path) or path
  if path:find("openmp") then
    return "!", path .. ": the OpenMP build can hang in child processes; apt-get install libopenblas0-pthread"
  elseif not path:find("openblas") then
    return "!", path .. " is the slow reference BLAS; apt-get install libopenblas0-pthread"
  end
  return "ok", path .. ", one thread a call"
end)

check("arithmetic", function()
  local a = crun.tensor { { 1, 2 }, { 3, 4 } }
  local product = a:matmul(a):totable()
  if product[1][1] == 7 and product[1][2] == 10 and product[2][1] == 15 and product[2][2] == 22 then
    return "ok", "a small matrix product is right"
  end
  return "x", "a matrix product is wrong: please report this machine"
end)

check("memory", function()
  local free = tonumber(field("/proc/meminfo", "^MemAvailable:%s*(%d+)") or "") or 0
  local ceiling = crun.memory().ceiling
  local text = ("%.1f GB free"):format(free / 1e6)
  if ceiling and ceiling > 0 then text = text .. (", --memory %.1f GB"):format(ceiling / 1e9) end
  if free > 0 and free < 1e6 then
    return "!", text .. ": large batches may not fit; --memory makes that an error, not a kill"
  end
  return "ok", text
end)

check("library", function() return "ok", crun.library end)

check("modules", function()
  local home = os.getenv("HOME") or ""
  local found = {}
  for _, folder in ipairs { "lua_modules/share/lua/5.4", home .. "/.luarocks/share/lua/5.4" } do
    if cio.is_dir(folder) then found[#found + 1] = folder end
  end
  local other = cio.is_dir(home .. "/.luarocks/share/lua") and #found == 0 and
    cio.list(home .. "/.luarocks/share/lua")
  if other and #other > 0 then
    return "!", ("rocks for Lua %s are there, none for 5.4: luarocks --lua-version 5.4 --local install NAME")
      :format(table.concat(other, ", "))
  end
  return "ok", #found > 0 and table.concat(found, ", ") or
    "beside the script; no rocks for Lua 5.4 are installed"
end)

check("runs", function()
  local out = runs.out()
  local there = cio.is_dir(out)
  local probe = (there and out or ".") .. "/.crun-doctor"
  local ok, message = pcall(cio.write_file, probe, "x")
  pcall(cio.remove, probe)
  if not ok then
    return "x", ("%s cannot be written: %s; --out DIR names another place"):format(out,
      (tostring(message):gsub("^.-: io%.[%w_]+: ", "")))
  end
  local list = there and runs.list() or {}
  local lost
  for _, run in ipairs(list) do
    if run.state == "lost" then lost = lost or run.id end
  end
  if lost then
    return "!", ("%s/ holds %d runs; %s was killed: crun resume %s"):format(out, #list, lost, lost)
  end
  return "ok", there and ("%s/ holds %d run%s"):format(out, #list, #list == 1 and "" or "s")
    or ("%s/ is made by the first run"):format(out)
end)

check("name", function()
  local own = cio.realpath("/proc/self/exe")
  local first
  for folder in (os.getenv("PATH") or ""):gmatch("[^:]+") do
    local path = folder .. "/crun"
    if cio.is_file(path) then first = first or cio.realpath(path) end
  end
  if first and first ~= own then
    return "!", ("`crun` on the PATH is %s, perhaps the container runtime of that name; this one is %s"):format(first, own)
  end
  return "ok", own .. (first and "" or " (not on the PATH: make install puts it into ~/.local/bin)")
end)

--- Prints the checks; exits with 6 when something does not work.
function M.run()
  local failed = false
  for _, c in ipairs(CHECKS) do
    local ok, state, text = pcall(c.f)
    if not ok then state, text = "x", tostring(state) end
    failed = failed or state == "x"
    print(("%-3s %-11s %s"):format(state, c.name, text))
  end
  if failed then crun.exit(6) end
end

return M
