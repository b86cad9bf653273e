--- Initial values of parameters, by the name of a scheme.
--
-- @module crun.nn.initial
local crun = require "crun"
local options = require "crun.options"
local parameter = require("crun.nn.module").parameter

local M = {}

local fail, kind_of = crun.fail, options.kind

local function shape_text(shape) return "[" .. table.concat(shape, ", ") .. "]" end

-- Shapes are [out, in, ...]: fan_in = in * the rest, fan_out = out * the rest.
function M.fans(shape)
  local rest = 1
  for i = 3, #shape do rest = rest * shape[i] end
  return (shape[2] or 1) * rest, shape[1] * rest
end

function M.uniform(rng, shape, bound)
  local t = crun.rand(rng, table.unpack(shape))
  return t:mul_(2 * bound):add_(-bound)
end

local function normal(rng, shape, deviation)
  return crun.randn(rng, table.unpack(shape)):mul_(deviation)
end

-- Rows of a random Gaussian matrix made orthonormal one by one (Gram-Schmidt, projected twice
-- against rounding).
local function orthogonal(rng, shape)
  local n = shape[1]
  local m = 1
  for i = 2, #shape do m = m * shape[i] end
  local rows, columns = math.min(n, m), math.max(n, m)
  local q = crun.randn(rng, rows, columns)
  for i = 1, rows do
    local row = q:narrow(1, i, 1):clone()
    for _ = 1, i > 1 and 2 or 0 do
      local done = q:narrow(1, 1, i - 1)
      row = row - row:matmul(done:t()):matmul(done)
    end
    q:narrow(1, i, 1):copy_(row / math.sqrt((row * row):sum():item()))
  end
  if n > m then q = q:t():contiguous() end
  return q:reshape(shape):contiguous()
end

--- Schemes by name: schemes[name](rng, shape) gives a fresh tensor. Shapes are [out, in, ...].
--   default          uniform in +-1 / sqrt(fan_in): as torch does for linear and convolution layers
--   kaiming_uniform  uniform in +-sqrt(6 / fan_in): keeps the variance through ReLU
--                    He et al., ICCV 2015
--   kaiming_normal   normal, deviation sqrt(2 / fan_in)
--   xavier_uniform   uniform in +-sqrt(6 / (fan_in + fan_out))   Glorot, Bengio, AISTATS 2010
--   xavier_normal    normal, deviation sqrt(2 / (fan_in + fan_out))
--   lecun_normal     normal, deviation sqrt(1 / fan_in)     for SELU
--   orthogonal       orthonormal rows or columns            Saxe et al., ICLR 2014
--   normal           normal, deviation 0.02;   unit_normal: deviation 1;   zeros, ones
M.schemes = {
  default = function(rng, shape) return M.uniform(rng, shape, 1 / math.sqrt((M.fans(shape)))) end,
  kaiming_uniform = function(rng, shape)
    return M.uniform(rng, shape, math.sqrt(6 / (M.fans(shape))))
  end,
  kaiming_normal = function(rng, shape)
    return normal(rng, shape, math.sqrt(2 / (M.fans(shape))))
  end,
  xavier_uniform = function(rng, shape)
    local into, out = M.fans(shape)
    return M.uniform(rng, shape, math.sqrt(6 / (into + out)))
  end,
  xavier_normal = function(rng, shape)
    local into, out = M.fans(shape)
    return normal(rng, shape, math.sqrt(2 / (into + out)))
  end,
  lecun_normal = function(rng, shape) return normal(rng, shape, math.sqrt(1 / (M.fans(shape)))) end,
  orthogonal = orthogonal,
  normal = function(rng, shape) return normal(rng, shape, 0.02) end,
  unit_normal = function(rng, shape) return normal(rng, shape, 1) end,
  zeros = function(_, shape) return crun.zeros(table.unpack(shape)) end,
  ones = function(_, shape) return crun.ones(table.unpack(shape)) end,
}

-- A parameter of the given shape; scheme: a name of nn.init or a function (rng, shape) -> tensor.
function M.make(where, scheme, rng, shape)
  local make = scheme
  if type(scheme) == "string" then
    make = M.schemes[scheme]
    if not make then
      local near = options.nearest(scheme, options.sorted_keys(M.schemes))
      fail(where, ("init must be one of %s; got '%s'%s"):format(
        table.concat(options.sorted_keys(M.schemes), ", "), scheme,
          near and (", did you mean '%s'?"):format(near) or ""))
    end
  end
  local tensor = make(rng, shape)
  if kind_of(tensor) ~= "tensor" or shape_text(tensor:shape()) ~= shape_text(shape) then
    fail(where, ("init must give a tensor of shape %s, got %s"):format(shape_text(shape),
      kind_of(tensor) == "tensor" and shape_text(tensor:shape()) or options.say(tensor)))
  end
  return parameter(tensor)
end

return M
