--- Runs the commands of docs/experiments.md and holds what they print against the page.
--
--     crun tests/scripts/experiments_page.lua [NAME ...]            -- all experiments: half an hour of two cores
--     crun tests/scripts/experiments_page.lua data=FOLDER [NAME ...]
--     crun tests/scripts/experiments_page.lua write=true ...        -- puts new figures into the page; what it says of them is yours
--
-- Without data= those that need no data; with it those with data=path/to/SET, for each SET below FOLDER. The figures of the page are
-- those of one set of kernels: one that rounds in another order moves them a little. Run this when a kernel has changed.
package.path = "tests/?.lua;" .. package.path
local crun = require "crun"
local shell = require "scripts.shell"

local PAGE <const> = "docs/experiments.md"
local data, write, wanted, all = nil, false, {}, true
for _, word in ipairs(crun.args) do
  if word:find "^data=" then data = word:sub(6)
  elseif word == "write=true" then write = true
  else wanted[word], all = true, false end
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

-- a line without its figures and verdicts, to know it again by
local function bare(line)
  for _, word in ipairs { "%-?%d+%.?%d*", "better", "worse", "no difference shown", "no difference", "[%s%*]" } do
    line = line:gsub(word, "")
  end
  return line
end

-- section with the lines in place of those that are the same but for figures, table by table; where two tables are alike the first is
-- that of generated data, the last that of real data. nil: a line has no place
local function replaced(section, lines)
  local old, k = {}, 1
  for line in section:gmatch "([^\n]*)\n" do old[#old + 1] = line end
  while k <= #lines do
    local longest, place = 0, nil
    for first = 1, #old do
      local n = 0
      while k + n <= #lines and old[first + n] and bare(old[first + n]) == bare(lines[k + n]) do n = n + 1 end
      if n > longest or n > 0 and n == longest and data then longest, place = n, first end
    end
    if not place then return nil end
    table.move(lines, k, k + longest - 1, place, old)
    k = k + longest
  end
  return table.concat(old, "\n") .. "\n"
end

local total, stale = 0, 0
local function check(text, section)
  local words, out = arguments(text), crun.io.tmpdir()
  if words then
    table.move({ "--out", out }, 1, 2, #words + 1, words)
    local start, lines, missing = crun.io.time(), {}, {}
    local r = shell.run(words)
    local seconds = crun.io.time() - start
    for line in r.out:gmatch "[^\n]+" do
      if not line:find(out, 1, true) then
        lines[#lines + 1] = "    " .. line
        if not section:find("\n    " .. line .. "\n", 1, true) then missing[#missing + 1] = "    " .. line end
      end
    end
    local well = r.code == 0 and #missing == 0
    local new = write and not well and replaced(section, lines)
    total, stale = total + seconds, stale + (well and 0 or 1)
    print(("crun %s\n%6.1f s  %s"):format(text, seconds,
      well and "as on the page" or ("%d lines differ%s"):format(#missing, new and ", written" or "")))
    for _, line in ipairs(missing) do print(line) end
    io.write(r.err)
    section = new or section
  end
  crun.io.remove_tree(out)
  return section
end

for name in crun.io.read_file(PAGE):gmatch "\n## ([%w_]+):" do
  local function section_of(page)
    local at = page:find("\n## " .. name .. ":", 1, true)
    return at + 1, (page:find("\n## ", at + 1, true) or #page)
  end
  local page = crun.io.read_file(PAGE)
  local from, to = section_of(page)
  local section = page:sub(from, to)
  local new = section
  for command in section:gmatch "\n    crun (experiments/[^\n]*)" do
    if all or wanted[name] then new = check(command, new) end
  end
  if new ~= section then                                   -- others may have written to the page in the meantime
    page = crun.io.read_file(PAGE)
    from, to = section_of(page)
    crun.io.write_file(PAGE, page:sub(1, from - 1) .. new .. page:sub(to + 1))
  end
end
print(("%.1f s in all, %d commands out of date"):format(total, stale))
os.exit(stale == 0)
