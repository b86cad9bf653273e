-- crun: --double
-- Every concept of the registry that has a gradient, against central differences in float64.
local crun = require "crun"
package.path = "tests/?.lua;" .. package.path
local draw = require "draw"

local TOLERANCE = 1e-6

local function is_real(t) return crun.is_tensor(t) and t:dtype() == crun.precision end

-- The differentiable tensors among the inputs, as flat clones: a list input counts entry by entry.
local function leaves_of(d, inputs)
  local leaves, copies = {}, {}
  for i = 1, #d.inputs do
    local spec, value = d.inputs[i], inputs[i]
    if d.inputs[i].list then
      copies[i] = {}
      for j, t in ipairs(value) do
        local copy = t:clone()
        copies[i][j] = copy
        if is_real(copy) and not spec.nograd and not spec.inplace then leaves[#leaves + 1] = copy:requires_grad_() end
      end
    elseif crun.is_tensor(value) then
      local copy = value:clone()
      copies[i] = copy
      if is_real(copy) and not spec.nograd and not spec.inplace then leaves[#leaves + 1] = copy:requires_grad_() end
    else
      copies[i] = value
    end
  end
  return leaves, copies
end

-- sum over outputs of <output, upstream>, with buffers restored so that in-place inputs do not drift
local function value_of(room, name, d, copies, options, upstream)
  local fresh = {}
  for i = 1, #d.inputs do
    fresh[i] = d.inputs[i].inplace and copies[i] and copies[i]:clone() or copies[i]
  end
  local total
  for k, out in ipairs(draw.call(room, name, fresh, options)) do
    if is_real(out) and out:numel() > 0 then
      upstream[k] = upstream[k] or crun.randn(crun.rng(5, "upstream", k), out:shape())
      local part = (out * upstream[k]):sum()
      total = total and total + part or part
    end
  end
  return total
end

local function check_sample(room, name, d, sample, rng)
  local leaves, copies = leaves_of(d, sample.inputs)
  if #leaves == 0 then return true end
  local upstream = {}
  local loss = value_of(room, name, d, copies, sample.options, upstream)
  if not loss or not loss:wants_grad() then return nil, "the result has no gradient" end
  loss:backward()
  local direction, analytic = {}, 0
  for i, leaf in ipairs(leaves) do
    direction[i] = crun.randn(rng, leaf:shape())
    local g = leaf:grad()
    if g then analytic = analytic + (g * direction[i]):sum():item() end
  end
  local base = {}
  for i, leaf in ipairs(leaves) do base[i] = leaf:detach():clone() end
  local function at(step)
    local _ <close> = crun.no_grad()
    for i, leaf in ipairs(leaves) do leaf:copy_(base[i] + direction[i] * step) end
    return value_of(room, name, d, copies, sample.options, upstream):item()
  end
  local function difference(h) return (at(h) - at(-h)) / (2 * h) end
  local fine, coarse = difference(1e-6), difference(1e-5)
  local scale = math.max(1, math.abs(analytic))
  if math.abs(fine - coarse) > 1e-5 * scale then return false, "kink" end       -- drawn on a hinge: draw again
  local wide = math.abs(coarse - analytic) <= TOLERANCE * scale
  if wide or math.abs(fine - analytic) <= TOLERANCE * scale then return true end
  return nil, ("directional derivative %.10g, differences %.10g and %.10g"):format(analytic, coarse, fine)
end

describe("the gradient of", function()
  for _, entry in ipairs(draw.all()) do
    local room, name = entry.room, entry.name
    local d = crun.describe(room, name)
    if d.differentiable then
      it(room .. "." .. name, function()
        local drawn, why = draw.samples(room, name, crun.rng(1, name, 1))
        assert(drawn, why)
        for s = 1, #drawn do
          local verdict, reason
          for attempt = 1, 6 do
            local rng = crun.rng(1, name, attempt)
            verdict, reason = check_sample(room, name, d, draw.samples(room, name, rng)[s], rng)
            if verdict ~= false then break end
          end
          assert(verdict, ("sample %d: %s"):format(s, tostring(reason)))
        end
      end)
    end
  end
end)
