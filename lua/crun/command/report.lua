--- crun report SWEEP|RUN... [-o FILE]: one HTML file that needs no network; see crun.report.
-- Without -o it is report.html in the folder of the sweep or the run; of several runs, here.
local cli = require "crun.cli"
local compare = require "crun.compare"

-- compare's table of what the words mean, and the folder its page belongs in
local function find(words)
  local list = {}
  for i, word in ipairs(words) do
    local path = cli.sweep_path(word)
    if path and #words > 1 then
      cli.refuse("report: takes one sweep, or runs; '%s' is a sweep", word)
    elseif path then
      return compare.collect(path), path
    end
    list[i] = cli.one_run("report", word)
  end
  return compare.of_runs(list), #list == 1 and list[1].path or "."
end

return function(args)
  local words, given = cli.parse("report", args, { o = true, out = true })
  if #words == 0 then
    cli.refuse("report needs a sweep or runs: crun report runs/NAME; `crun runs` lists the runs")
  end
  local c, folder = find(words)
  local path = given.o or folder:gsub("(.)/+$", "%1") .. "/report.html"
  local bytes = require("crun.report").write(c, path)
  print(c.verdict.text)
  io.stderr:write(("%s: %.1f MB, opens without a network\n"):format(path, bytes / 1e6))
end
