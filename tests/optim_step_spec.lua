local crun = require "crun"
local step = crun.optim_step

describe("an optimiser step", function()
  it("is worked by hand for sgd", function()
    local w, g, v = crun.tensor {1, 2}, crun.tensor {0.5, -1}, crun.zeros(2)
    step.sgd(w, g, v, { lr = 0.1, momentum = 0.9, step = 1 })
    step.sgd(w, g, v, { lr = 0.1, momentum = 0.9, step = 2 })
    assert.is_true(crun.allclose(w, crun.tensor {1 - 0.1 * 0.5 * 2.9, 2 + 0.1 * 2.9}, 1e-6, 1e-6))
  end)
  it("starts Adam with a step of lr, whatever the gradient's size", function()
    local w = crun.zeros(3)
    step.adam(w, crun.tensor {1e-3, -5, 700}, crun.zeros(3), crun.zeros(3), nil, { lr = 0.01, step = 1 })
    assert.is_true(crun.allclose(w, crun.tensor {-0.01, 0.01, -0.01}, 1e-4, 0))
  end)
  it("finds the bottom of a bowl with every method", function()
    local states = { sgd = 1, adam = 2, adamw = 2, adagrad = 1, adadelta = 2, adamax = 2, nadam = 2, rmsprop = 1, lamb = 2, lars = 1 }
    local lr = { sgd = 0.1, adadelta = 20, adagrad = 1, lars = 100, lamb = 0.05 }
    for name, n in pairs(states) do
      local w, state = crun.tensor {3, -2}, {}
      for i = 1, n do state[i] = crun.zeros(2) end
      if name == "nadam" then state[3] = crun.ones(1) end
      local inputs = #crun.describe("optim", name).inputs
      local start = (w * w):sum():item()
      for t = 1, 200 do
        local arguments = { w, w * 2, table.unpack(state) }
        arguments[inputs + 1] = { lr = lr[name] or 0.05, step = name:find("rmsprop") == nil and name ~= "adadelta" and name ~= "lars" and t or nil }
        step[name](table.unpack(arguments, 1, inputs + 1))
      end
      assert.truthy((w * w):sum():item() < 0.2 * start, name .. " ends at " .. (w * w):sum():item())
    end
  end)
  it("does not depend on threads", function()
    local before, results = crun.threads(), {}
    for threads = 1, 2 do
      crun.threads(threads)
      local rng = crun.rng(1, "steps")
      local w, g = crun.randn(rng, 100000), crun.randn(rng, 100000)
      local m, v = crun.zeros(100000), crun.zeros(100000)
      step.adam(w, g, m, v, nil, { step = 1 })
      results[threads] = w
    end
    crun.threads(before)
    assert.is_true(crun.allclose(results[1], results[2], 0, 0))
  end)
  it("refuses shapes that differ", function()
    local ok, err = pcall(step.adam, crun.zeros(3), crun.zeros(3), crun.zeros(2), crun.zeros(3))
    assert.is_false(ok)
    assert.truthy(err:find("mean must have the shape [3] of param, got [2]", 1, true), err)
  end)
end)

describe("total_norm", function()
  it("takes a list of tensors of any shapes", function()
    assert.near(5, crun.total_norm({ crun.tensor {3}, crun.tensor {{0, 4}} }):item(), 1e-6)
    assert.near(4, crun.total_norm({ crun.tensor {3}, crun.tensor {{0, -4}} }, { p = math.huge }):item(), 1e-6)
  end)
end)
