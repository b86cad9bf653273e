--- The time and memory of a training step of the face net: conv3x3 32-64-128-128, each with batch norm,
-- ReLU and max pooling, linear to 128, rows of length one, batch-hard triplet, Adam, 64 images.
--
--     crun tests/bench/face_step.lua [THREADS [SECONDS [HEIGHT WIDTH [fuse]]]]
--
-- fuse: "no" runs the layers one by one.
local crun = require "crun"
local nn = crun.nn

local threads, seconds = tonumber(arg[1] or 2) | 0, tonumber(arg[2] or 5)
local height, width, fuse = tonumber(arg[3] or 64) | 0, tonumber(arg[4] or 64) | 0, arg[5] ~= "no"
crun.threads(threads)

local layers, channels, h, w = {}, 1, height, width
for _, filters in ipairs { 32, 64, 128, 128 } do
  layers[#layers + 1] = nn.Conv2d(channels, filters, 3, { padding = 1, bias = false })
  layers[#layers + 1] = nn.BatchNorm2d(filters)
  layers[#layers + 1] = nn.ReLU()
  layers[#layers + 1] = nn.MaxPool2d(2)
  channels, h, w = filters, h // 2, w // 2
end
layers[#layers + 1] = nn.Flatten()
layers[#layers + 1] = nn.Linear(channels * h * w, 128)
layers[#layers + 1] = nn.Normalize()
layers.fuse = fuse
local net = nn.Sequential(layers)
local criterion = crun.losses.triplet { margin = 0.2, mine = "hard" }
local optimizer = crun.optim.Adam(net, { lr = 1e-3 })

local rng = crun.rng(3, "faces")
local images, labels = crun.rand(rng, 64, 1, height, width), {}
for i = 1, 64 do labels[i] = (i - 1) // 4 + 1 end
labels = crun.int(labels)

local clock = crun.io.monotonic
local forward_ms, backward_ms, rest_ms, step_ms = {}, {}, {}, {}
local function step()
  local t0 = clock()
  local loss = criterion(net(images), labels)
  local t1 = clock()
  loss:backward()
  local t2 = clock()
  optimizer:step()
  optimizer:zero_grad()
  local t3 = clock()
  return (t1 - t0) * 1e3, (t2 - t1) * 1e3, (t3 - t2) * 1e3
end

local function median(list)
  table.sort(list)
  return list[(#list + 1) // 2], list[1]
end

for _ = 1, 3 do step() end
local before, start, cpu = crun.memory(), clock(), os.clock()
repeat
  local n = #step_ms + 1
  forward_ms[n], backward_ms[n], rest_ms[n] = step()
  step_ms[n] = forward_ms[n] + backward_ms[n] + rest_ms[n]
until clock() - start > seconds
local after = crun.memory()
cpu = (os.clock() - cpu) * 1e3 / #step_ms
print(("%dx%d, %d threads, fuse %s: step %.1f ms (least %.1f, CPU %.1f), forward %.1f, backward %.1f, optimiser %.2f; "
  .. "peak %.0f MB held %.0f MB, %d system calls in %d steps"):format(height, width, threads, fuse,
  median(step_ms), select(2, median(step_ms)), cpu, median(forward_ms), median(backward_ms),
  median(rest_ms), after.peak / 1e6, after.held / 1e6,
  after.system_calls - before.system_calls, #step_ms))
