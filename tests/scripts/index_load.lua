-- Writers that log at once, and an index that reads meanwhile:
--   crun index_load.lua OUT PROCESSES ROWS live       starts them, reads until all are there
--   crun index_load.lua OUT NAME ROWS write           one writer: a run that logs ROWS rows
local crun = require "crun"
local cio = crun.io
local out, first, rows, what = table.unpack(arg)
rows = tonumber(rows)

if what == "write" then
  crun.options.out, crun.options.progress = out, "none"
  local run = crun.start(nil, { name = first })
  for i = 1, rows do run:log { ["train/loss"] = 1 / i } end
  run:finish()
  return
end

local index = require "crun.index"
cio.mkdir(out)
local began, running = cio.monotonic(), {}
for i = 1, tonumber(first) do
  running[i] = crun.process.spawn { command = { cio.realpath "/proc/self/exe", arg[0], out, "w" .. i,
    tostring(rows), "write" }, output = out .. "/../load.txt" }
end
local idx <close> = index.open(out)
local reads, partial = 0, 0
repeat
  for i = #running, 1, -1 do
    if crun.process.poll(running[i]) then table.remove(running, i) end
  end
  idx:update()
  reads = reads + 1
  local n = idx:count()
  if n > 0 and n < rows * tonumber(first) then partial = partial + 1 end
  crun.process.sleep(0.05)
until #running == 0
local wrote = cio.monotonic() - began
idx:update()
local live, n = index.dump(idx), idx:count()
began = cio.monotonic()
assert(index.rebuild(out))
local rebuilt = cio.monotonic() - began
local again <close> = index.open(out)
local equal = #live == #index.dump(again)
for i, line in ipairs(index.dump(again)) do equal = equal and line == live[i] end
print(("%d rows in the live index, %d in one made anew: %s"):format(n, again:count(),
  equal and "equal" or "NOT equal"))
print(("%d updates while they wrote (%d found a part), %.1f s; rebuild %.2f s"):format(reads, partial,
  wrote, rebuilt))
