--- Runs the commands of docs/experiments.md and shows every line they print that the page does not have.
--
--     crun tests/scripts/experiments_page.lua [NAME ...]            -- all experiments: half an hour of two cores
--     crun tests/scripts/experiments_page.lua data=FOLDER [NAME ...]
--
-- Without data= those that need no data; with it those with data=path/to/SET, for each SET below FOLDER. The figures of the page are
-- those of one set of kernels: one that rounds in another order moves them a little. Run this when a kernel has changed.
package.path = "tests/?.lua;" .. package.path
local crun = require "crun"
local shell = require "scripts.shell"

local data, wanted, all = nil, {}, true
for _, word in ipairs(crun.args) do
  local folder = word:match "^data=(.*)"
  if folder then data = folder else wanted[word], all = true, false end
end

-- the arguments of a command, or nil where it is not to be run
local function arguments(text)
  local list, real = { "--progress", "none" }, nil
  for word in text:gsub("%s#.*", ""):gmatch "%S+" do
    local set = word:match "^data=path/to/(.*)"
    if word:find "^data=" then
      real = set and data and data .. "/" .. set
      if not real or not crun.io.exists(real) then return nil end
      word = "data=" .. real
    end
    list[#list + 1] = word
  end
  return (real ~= nil) == (data ~= nil) and list or nil
end

local page = crun.io.read_file "docs/experiments.md"
local total, stale = 0, 0
local function check(text, section)
  local words, out = arguments(text), crun.io.tmpdir()
  if words then
    table.move({ "--out", out }, 1, 2, #words + 1, words)
    local start, missing = crun.io.time(), {}
    local r = shell.run(words)
    local seconds = crun.io.time() - start
    for line in r.out:gmatch "[^\n]+" do
      local path = line:find(out, 1, true)
      if not path and not section:find("\n    " .. line .. "\n", 1, true) then missing[#missing + 1] = "    " .. line end
    end
    local well = r.code == 0 and #missing == 0
    total, stale = total + seconds, stale + (well and 0 or 1)
    print(("crun %s\n%6.1f s  %s"):format(text, seconds, well and "as on the page" or #missing .. " lines differ"))
    for _, line in ipairs(missing) do print(line) end
    io.write(r.err)
  end
  crun.io.remove_tree(out)
end
for at, name in page:gmatch "\n## ()([%w_]+):" do
  local section = page:sub(at, page:find("\n## ", at, true))
  for command in section:gmatch "\n    crun (experiments/[^\n]*)" do
    if all or wanted[name] then check(command, section) end
  end
end
print(("%.1f s in all, %d commands out of date"):format(total, stale))
os.exit(stale == 0)
