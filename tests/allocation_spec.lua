-- Every concept again while the n-th allocation fails, n = 1, 2, 3 ...: a clean error, nothing leaked, and the next
-- call works.
local crun = require "crun"
package.path = "tests/?.lua;" .. package.path
local draw = require "draw"

local function run(room, name, d, sample)
  local inputs, first = {}, nil
  for i = 1, #d.inputs do
    local value = sample.inputs[i]
    inputs[i] = value
    if crun.is_tensor(value) and value:dtype() == crun.precision and not d.inputs[i].nograd and not d.inputs[i].inplace then
      first = first or value:requires_grad_()
    end
  end
  local results = draw.call(room, name, inputs, sample.options)
  for _, r in ipairs(results) do
    if r:dtype() == crun.precision and r:wants_grad() then
      r:sum():backward()
      break
    end
  end
  for i = 1, #d.inputs do
    if crun.is_tensor(inputs[i]) and inputs[i]:dtype() == crun.precision then inputs[i]:zero_grad_() end
  end
end

local function live()
  collectgarbage() collectgarbage()
  return crun.memory().live
end

describe("when memory fails in", function()
  for _, entry in ipairs(draw.all()) do
    local room, name = entry.room, entry.name
    local d = crun.describe(room, name)
    it(room .. "." .. name, function()
      local drawn, why = draw.samples(room, name, crun.rng(1, name, 1))
      assert(drawn, why)
      local sample = drawn[1]
      run(room, name, d, sample)                      -- once undisturbed: fills caches
      local before = live()
      local finished = false
      for n = 1, 400 do
        crun.fail_at(n)
        local ok, err = pcall(run, room, name, d, sample)
        crun.fail_at(0)
        if ok then finished = true break end
        assert.truthy(tostring(err):find("memory", 1, true), tostring(err))
        err = nil
        for i = 1, #d.inputs do
          local v = sample.inputs[i]
          if crun.is_tensor(v) and v:dtype() == crun.precision then v:zero_grad_() end
        end
      end
      assert.is_true(finished, "still failing after 400 allocations")
      assert.equal(before, live())
      run(room, name, d, sample)
    end)
  end
end)
