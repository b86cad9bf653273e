--- Runs crun as a user would: crun with arguments in a folder of its own; what it printed and how
-- it ended come back.
local crun = require "crun"

local M = { program = crun.io.realpath "/proc/self/exe", root = crun.io.cwd(),
  scripts = crun.io.cwd() .. "/tests/scripts" }

local function quoted(word) return "'" .. word:gsub("'", "'\\''") .. "'" end
M.quoted = quoted

--- run({ "script.lua", "lr=1" }, { folder =, env = "NO_COLOR=1", input = text, before = "ulimit
-- ...;" }) -> { code =, out =, err =, all = }
function M.run(words, opts)
  opts = opts or {}
  local at = crun.io.tmpdir()
  if opts.input then crun.io.write_file(at .. "/in", opts.input) end
  local line = { ("cd %s && %s"):format(quoted(opts.folder or M.root), opts.before or ""),
    "env -u COLUMNS " .. (opts.env or ""), quoted(M.program) }
  for i, word in ipairs(words) do line[3 + i] = quoted(word) end
  local _, how, code = os.execute(("%s >%s/out 2>%s/err <%s"):format(table.concat(line, " "), at,
    at,
    opts.input and at .. "/in" or "/dev/null"))
  local result = { code = how == "signal" and 128 + code or code,
    out = crun.io.read_file(at .. "/out"), err = crun.io.read_file(at .. "/err") }
  result.all = result.out .. result.err
  crun.io.remove_tree(at)
  return result
end

--- The one run folder below `folder`/runs.
function M.only_run(folder)
  local names = crun.io.list(folder .. "/runs")
  assert(#names == 1, "expected one run, got " .. #names)
  return folder .. "/runs/" .. names[1]
end

function M.json(path) return crun.io.json_decode(crun.io.read_file(path)) end

--- The lines of metrics.jsonl as tables.
function M.metrics(run)
  local list = {}
  for line in crun.io.read_file(run .. "/metrics.jsonl"):gmatch("[^\n]+") do
    list[#list + 1] = crun.io.json_decode(line)
  end
  return list
end

return M
