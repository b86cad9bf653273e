-- A training step as short as one can be, for `crun bench start`: a linear layer, mined triplets,
-- Adam. Prints the peak of resident memory in MB.
local crun = require "crun"
local nn, optim = require "crun.nn", require "crun.optim"

local net = nn.Linear(64, 16)
local opt = optim.Adam(net)
local criterion = crun.losses.triplet { mine = "hard" }
local labels = {}
for i = 1, 32 do labels[i] = i // 4 end
local x, y = crun.randn(crun.rng(1, "x"), 32, 64), crun.int(labels)
criterion(net(x), y):backward()
opt:step()
for line in io.lines "/proc/self/status" do
  local kb = line:match "^VmHWM:%s*(%d+)"
  if kb then print(tonumber(kb) / 1024) end
end
