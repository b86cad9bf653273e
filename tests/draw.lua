--- Inputs for any concept in the registry, drawn from its shape lines.
-- A concept whose inputs cannot be drawn blindly has tests/samples/NAME.lua (or ROOM_NAME.lua), a function
-- (crun, rng) -> { inputs = {...}, options = {...} } or an array of those.
local crun = require "crun"
local M = {}

local size = { B = 6, D = 4, C = 3, K = 2, N = 5, Q = 6, H = 5, W = 5, I = 4, O = 3, S = 4, T = 4, M = 4 }

local function shape_of(line)
  if line == "..." then return { 3, 4 } end
  local shape = {}
  for token in line:gmatch("%S+") do
    if token == "..." then
      shape[#shape + 1] = 3
    else
      shape[#shape + 1] = tonumber(token) or size[token] or 3
    end
  end
  return shape
end

local function draw_input(input, rng)
  local shape = shape_of(input.shape)
  if input.type == "int64" then return crun.randint(rng, 3, shape) end
  if input.type == "uint8" then return (crun.randint(rng, 2, shape) - 1):byte() end
  return crun.randn(rng, shape)
end

local function load_sample(name)
  local chunk = loadfile("tests/samples/" .. name .. ".lua", "t")
  return chunk and chunk()
end

--- An array of { inputs, options } for the concept; nil and a reason when none can be drawn.
function M.samples(room, name, rng)
  local sample = load_sample(room .. "_" .. name) or load_sample(name)
  if sample then
    local drawn = sample(crun, rng)
    if drawn[1] == nil then drawn = { drawn } end
    return drawn
  end
  local d = crun.describe(room, name)
  for _, o in ipairs(d.options) do
    if o.required then return nil, ("option %s is required: give it tests/samples/%s.lua"):format(o.name, name) end
  end
  local inputs = {}
  for i, input in ipairs(d.inputs) do
    if input.list then
      inputs[i] = { draw_input(input, rng), draw_input(input, rng) }
    else
      inputs[i] = draw_input(input, rng)
    end
  end
  return { { inputs = inputs, options = nil } }
end

--- Calls the concept; returns its results as an array (stats left out).
function M.call(room, name, inputs, options)
  local d = crun.describe(room, name)
  local results
  if room == "losses" or room == "miners" then
    results = { crun[room][name](options or {})(table.unpack(inputs, 1, #d.inputs)) }
  else
    local f = room == "ops" and crun[name] or room == "optim" and crun.optim_step[name] or crun[room][name]
    local arguments = table.pack(table.unpack(inputs, 1, #d.inputs))
    arguments.n = #d.inputs
    if options and next(options) ~= nil then
      arguments.n = arguments.n + 1
      arguments[arguments.n] = options
    end
    results = { f(table.unpack(arguments, 1, arguments.n)) }
  end
  local tensors = {}
  for _, r in ipairs(results) do
    if crun.is_tensor(r) then tensors[#tensors + 1] = r end
  end
  return tensors
end

--- Every (room, name) of the registry, sorted.
function M.all()
  local list = {}
  for room, names in pairs(crun.describe()) do
    for _, name in ipairs(names) do list[#list + 1] = { room = room, name = name } end
  end
  table.sort(list, function(a, b)
    if a.room ~= b.room then return a.room < b.room end
    return a.name < b.name
  end)
  return list
end

return M
