--- crun diff RUN RUN: in what two runs differ: settings, sources, machine, results
local crun = require "crun"
local cli = require "crun.cli"
local folder = require "crun.compare.folder"
local config = require "crun.config"
local options = require "crun.options"
local runs = require "crun.runs"
local ui = require "crun.ui"
local cio = crun.io

-- { key, there, here } of the keys in which two tables of values differ
local function differences(a, b, keys)
  local all, rows = {}, {}
  for key in pairs(a) do all[key] = true end
  for key in pairs(b) do all[key] = true end
  for _, key in ipairs(keys or options.sorted_keys(all)) do
    local x, y = a[key], b[key]
    local tx = x ~= nil and config.value_text(x) or nil
    local ty = y ~= nil and config.value_text(y) or nil
    if tx ~= ty then rows[#rows + 1] = { key, x, y, tx or "-", ty or "-" } end
  end
  return rows
end

local function section(title, rows, a, b, numbers)
  if #rows == 0 then return false end
  local columns, cells = { title, a.id, b.id }, {}
  if numbers then columns[4] = "difference" end
  for i, row in ipairs(rows) do
    local x, y = row[2], row[3]
    local both = numbers and type(x) == "number" and type(y) == "number"
    local function text(value, as)
      return numbers and type(value) == "number" and ("%.6g"):format(value) or as
    end
    cells[i] = { row[1], text(x, row[4]), text(y, row[5]), numbers and (both and ("%+.6g"):format(y - x) or "-") or nil }
  end
  print(ui.table { columns = columns, rows = cells } .. "\n")
  return true
end

-- ---- sources ------------------------------------------------------------------------------------

local function lines_of(text)
  local lines = {}
  for line in (text .. "\n"):gmatch "([^\n]*)\n" do lines[#lines + 1] = line end
  if lines[#lines] == "" then lines[#lines] = nil end
  return lines
end

-- The lines that are in one of two texts alone, in order, with "-" and "+" and their numbers: by
-- the longest common subsequence of what lies between equal beginnings and ends.
local function changed_lines(a, b)
  local first, last = 1, 0
  while first <= #a and first <= #b and a[first] == b[first] do first = first + 1 end
  while last < #a - first + 1 and last < #b - first + 1 and a[#a - last] == b[#b - last] do
    last = last + 1
  end
  local n, m = #a - last - first + 1, #b - last - first + 1
  if n * m > 4000000 then return nil end
  local length = {}
  for i = n, 0, -1 do
    length[i] = {}
    for j = m, 0, -1 do
      if i == n or j == m then length[i][j] = 0
      elseif a[first + i] == b[first + j] then length[i][j] = length[i + 1][j + 1] + 1
      else length[i][j] = math.max(length[i + 1][j], length[i][j + 1]) end
    end
  end
  local out, i, j = {}, 0, 0
  while i < n or j < m do
    if i < n and j < m and a[first + i] == b[first + j] then i, j = i + 1, j + 1
    elseif i < n and (j == m or length[i + 1][j] >= length[i][j + 1]) then
      out[#out + 1] = ("-%4d  %s"):format(first + i, a[first + i])
      i = i + 1
    else
      out[#out + 1] = ("+%4d  %s"):format(first + j, b[first + j])
      j = j + 1
    end
  end
  return out
end

local function sources(path, prefix, into)
  if not cio.is_dir(path) then return into end
  local names, kinds = cio.list(path)
  for _, name in ipairs(names) do
    if kinds[name] == "folder" then sources(path .. "/" .. name, prefix .. name .. "/", into)
    elseif kinds[name] == "file" then into[prefix .. name] = cio.read_file(path .. "/" .. name) end
  end
  return into
end

local function diff_sources(a, b)
  local x, y = sources(a.path .. "/source", "", {}), sources(b.path .. "/source", "", {})
  local rows = differences(x, y)
  for _, row in ipairs(rows) do
    local name = row[1]
    if not x[name] or not y[name] then
      print(("source/%s is in %s alone"):format(name, x[name] and a.id or b.id))
    else
      print("source/" .. name)
      local lines = changed_lines(lines_of(x[name]), lines_of(y[name]))
      for i, line in ipairs(lines or { "  the files differ all over" }) do
        if i > 40 then
          print(("  ... and %d more"):format(#lines - 40))
          break
        end
        print("  " .. line)
      end
    end
  end
  if #rows > 0 then print "" end
  return #rows > 0
end

local MACHINE <const> = { "crun", "commit", "lua", "host", "cpu", "vector", "precision", "threads",
  "script", "folder" }
local TIMES <const> = { seconds = true, peak_mb = true }

return function(args)
  local words = cli.parse("diff", args, { out = true })
  if #words ~= 2 then cli.refuse("diff takes two runs; `crun runs` lists them") end
  local a, b = cli.one_run("diff", words[1]), cli.one_run("diff", words[2])
  local found = section("setting", differences(folder.flat(runs.config(a).settings),
    folder.flat(runs.config(b).settings)), a, b)
  found = diff_sources(a, b) or found
  found = section("machine", differences(a.record, b.record, MACHINE), a, b) or found
  local results = {}
  for _, row in ipairs(differences(runs.summary(a), runs.summary(b))) do
    if not TIMES[row[1]] and not row[1]:find "per_second$" then results[#results + 1] = row end
  end
  found = section("result", results, a, b, true) or found
  if not found then print "settings, sources, machine and results are the same" end
end
