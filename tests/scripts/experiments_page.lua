--- Runs the experiments in full, as docs/experiments.md says, and shows every line they print that the page does not have.
--
--     crun tests/scripts/experiments_page.lua [NAME ...]            -- all of them: half an hour of two cores
--
-- The figures of the page are those of one set of kernels: one that rounds in another order moves them a little. Run this when a
-- kernel has changed, or before a release, and bring the page up to date.
package.path = "tests/?.lua;" .. package.path
local crun = require "crun"
local shell = require "scripts.shell"

local page = crun.io.read_file "docs/experiments.md"
local wanted = {}
for _, name in ipairs(crun.args) do wanted[name] = true end
local total, stale = 0, 0
for at, name in page:gmatch "\n## ()([%w_]+):" do
  if #crun.args == 0 or wanted[name] then
    local section, out = page:sub(at, page:find("\n## ", at, true)), crun.io.tmpdir()
    local start, missing = crun.io.time(), {}
    local r = shell.run { "--progress", "none", ("experiments/%s.lua"):format(name), "--out", out }
    local seconds = crun.io.time() - start
    for line in r.out:gmatch "[^\n]+" do
      local path = line:find(out, 1, true)
      if not path and not section:find("\n    " .. line .. "\n", 1, true) then missing[#missing + 1] = "    " .. line end
    end
    crun.io.remove_tree(out)
    local well = r.code == 0 and #missing == 0
    total, stale = total + seconds, stale + (well and 0 or 1)
    print(("%-20s %6.1f s  %s"):format(name, seconds, well and "as on the page" or #missing .. " lines differ"))
    for _, line in ipairs(missing) do print(line) end
    io.write(r.err)
  end
end
print(("%.1f s in all, %d sections out of date"):format(total, stale))
os.exit(stale == 0)
