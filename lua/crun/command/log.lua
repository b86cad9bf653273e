--- crun log RUN [-f] [-n N]: what a run logged, a line each; -f goes on until the run ends
--
-- Of a run whose output was kept (log.txt, as sweeps do) that comes first.
local crun = require "crun"
local cli = require "crun.cli"
local options = require "crun.options"
local runs = require "crun.runs"
local cio = crun.io

local PLACE <const> = { step = true, s = true, epoch = true, e = true, time = true, t = true }

local function value_text(value)
  return math.type(value) == "float" and ("%.5g"):format(value) or tostring(value)
end

local function line_text(line)
  local ok, record = pcall(cio.json_decode, line)
  if not ok or type(record) ~= "table" then return "(damaged) " .. line end
  local words = { ("step %s"):format(record.step or record.s or "?") }
  local epoch = record.epoch or record.e
  if epoch and epoch ~= 0 then words[2] = "epoch " .. epoch end
  for _, key in ipairs(options.sorted_keys(record)) do
    if not PLACE[key] then words[#words + 1] = key .. " " .. value_text(record[key]) end
  end
  return table.concat(words, "  ")
end

-- The complete lines of a file from a place on, and the place behind them.
local function read_from(path, place)
  local file = io.open(path, "rb")
  if not file then return "", place end
  if file:seek "end" < place then place = 0 end        -- a resumed run has cut it
  file:seek("set", place)
  local text = file:read "a" or ""
  file:close()
  local whole = text:match "^(.*\n)" or ""
  return whole, place + #whole
end

local function print_lines(text, most)
  local lines = {}
  for line in text:gmatch "([^\n]*)\n" do lines[#lines + 1] = line end
  for i = math.max(1, #lines - (most or #lines) + 1), #lines do print(line_text(lines[i])) end
end

return function(args)
  local words, given = cli.parse("log", args, { f = false, n = true, out = true })
  local run = cli.one_run("log", words[1])
  local most = given.n and
    (math.tointeger(tonumber(given.n)) or cli.refuse("log: -n takes a number, got '%s'", given.n))
  local said = run.path .. "/log.txt"
  if cio.is_file(said) and not most then io.write((cio.read_file(said))) end
  local path = run.path .. "/metrics.jsonl"
  local text, place = read_from(path, 0)
  print_lines(text, most)
  if not given.f then return end
  io.stdout:flush()
  crun.catch_signals(true)
  repeat
    local now = runs.open(run.path)
    text, place = read_from(path, place)
    print_lines(text)
    io.stdout:flush()
    if not now or now.state ~= "running" then
      return io.stderr:write(("%s: %s\n"):format(run.id, now and now.state or "gone"))
    end
    crun.process.sleep(0.5)
  until crun.interrupted()
end
