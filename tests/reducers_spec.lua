local crun = require "crun"
local reducers = crun.reducers

local losses = crun.tensor { 0, 1, 2, 5 }
local info = { anchor = crun.int { 1, 1, 2, 3 }, labels = crun.int { 1, 2, 2, 1 }, rows = 4 }

local function value(reducer, more)
  local all = {}
  for key, v in pairs(info) do all[key] = v end
  for key, v in pairs(more or {}) do all[key] = v end
  return reducer(losses, all):item()
end

describe("reducers", function()
  it("are worked by hand", function()
    assert.equal(2, value(reducers.mean()))
    assert.equal(8, value(reducers.sum()))
    assert.near(8 / 3, value(reducers.avg_non_zero()), 1e-6)
    assert.equal(1.5, value(reducers.threshold { low = 0, high = 5 }))       -- strict on both sides
    assert.equal(5, value(reducers.threshold { low = 2 }))
    assert.equal(0, value(reducers.threshold { low = 9 }))
    assert.equal(4, value(reducers.divisor(), { divisor = 2 }))
    assert.equal(0, value(reducers.divisor(), { divisor = 0 }))
    -- (0 + 1) w_1 + 2 w_2 + 5 w_2, by 4
    assert.equal((10 + 2 * 100 + 5 * 100) / 4, value(reducers.class_weighted { weights = { 10,
      100 } }))
    -- anchors: 1/2, 2, 5, none
    assert.equal(7.5 / 4, value(reducers.per_anchor(), { kind = "pair" }))
    assert.equal(2.5, value(reducers.per_anchor { reducer = "avg_non_zero" }, { kind = "pair" }))
    assert.equal(2, value(reducers.per_anchor()))
  end)

  it("pass what is one number already", function()
    for _, name in ipairs { "mean", "sum", "avg_non_zero", "divisor" } do
      assert.equal(-3, reducers[name]()(crun.scalar(-3), { kind = "reduced", divisor = 7 }):item())
    end
  end)

  it("give 0 with zero gradient for an empty set, and to what does not count", function()
    local x = crun.tensor { -1, 3 }:requires_grad_()
    reducers.avg_non_zero()(x):backward()
    assert.same({ 0, 1 }, x:grad():totable())
    local none = crun.zeros(0):requires_grad_()
    local zero = reducers.mean()(none)
    zero:backward()
    assert.equal(0, zero:item())
    assert.equal(0, none:grad():numel())
  end)

  it("reduce parts each by its own, and add up", function()
    local parts = { { name = "pos_loss", losses = losses }, { name = "neg_loss", losses = losses },
      { name = "none" }, { name = "price", losses = crun.scalar(10), kind = "reduced" } }
    local r = reducers.multiple { pos_loss = "sum", neg_loss = reducers.mean() }
    assert.equal(8 + 2 + 0 + 10, reducers.reduce(r, parts, { zero = crun.scalar(0) }):item())
    local list = reducers.reduce(reducers.do_nothing(), { parts[1], parts[2] }, {})
    assert.same({ 0, 1, 2, 5 }, list.neg_loss:totable())
    assert.same({ 0, 1, 2, 5 }, reducers.reduce(reducers.do_nothing(), { parts[1] }, {}):totable())
  end)

  it("say what is wrong", function()
    local function fails(text, f, ...)
      local ok, message = pcall(f, ...)
      assert.is_false(ok)
      assert.truthy(message:find(text, 1, true), message)
    end
    fails("reducers.threshold: give low, high or both", reducers.threshold)
    fails("reducers.class_weighted: labels must be in 1..1, one weight each, got 2", value,
      reducers.class_weighted { weights = { 1 } })
    fails("reducers.per_anchor: takes pairs and elements, this loss has triplets", value,
      reducers.per_anchor(), { kind = "triplet" })
    fails("t: reducer must be one of mean, sum, avg_non_zero, divisor, do_nothing, or made by crun.reducers; " ..
      "got 'avg_nonzero', did you mean 'avg_non_zero'?", reducers.named, "t", "avg_nonzero")
    fails("reducers.mean: takes a tensor of losses, got 3", reducers.mean(), 3)
  end)
end)
