local crun = require "crun"

local ways <const> = { "direct", "winograd", "columns" }
local function randn(name, ...) return crun.randn(crun.rng(1, name), ...) end
local function largest(t) return t:abs():amax():item() end

-- y and the gradients for x and weight, computed `way`
local function all(x, weight, o, way)
  local a, b = x:clone():requires_grad_(true), weight:clone():requires_grad_(true)
  local options = { algorithm = way }
  for k, v in pairs(o) do options[k] = v end
  local y = a:conv2d(b, nil, options)
  y:backward(randn("g", y:shape()))
  return { y:detach(), a:grad(), b:grad() }
end

describe("the ways of conv2d", function()
  local cases <const> = {
    { {3, 16, 13, 10}, {32, 16, 3, 3}, { padding = 1 } },
    { {40, 64, 32, 32}, {64, 64, 3, 3}, { padding = 1 } },         -- over 16 MiB: in parts
    { {2, 3, 20, 18}, {16, 3, 3, 3}, { padding = 1 } },
    { {2, 16, 16, 16}, {32, 16, 3, 3}, { stride = 2, padding = 1 } },
    { {2, 16, 15, 16}, {32, 16, 1, 1}, { stride = 2 } },
    { {2, 6, 9, 9}, {4, 6, 3, 3}, { padding = 2, dilation = 2 } },
  }
  it("agree, winograd within 2e-5 of the largest element, others within 3e-6", function()
    for _, case in ipairs(cases) do
      local x, weight = randn("x", case[1]), randn("w", case[2])
      local want = all(x, weight, case[3], "columns")
      for _, way in ipairs { "direct", "winograd", "auto" } do
        local bound = way == "direct" and 3e-6 or 2e-5
        for i, got in ipairs(all(x, weight, case[3], way)) do
          assert.is_true(largest(got - want[i]) <= bound * largest(want[i]))
        end
      end
    end
  end)
  it("have the same bits on one thread and on two, and for an image alone", function()
    local threads = crun.threads()
    for _, case in ipairs(cases) do
      local x, weight = randn("x", case[1]), randn("w", case[2])
      for _, way in ipairs(ways) do
        crun.threads(1)
        local one = all(x, weight, case[3], way)
        crun.threads(2)
        local two = all(x, weight, case[3], way)
        for i = 1, 3 do assert.equal(0, largest(one[i] - two[i])) end
        local o = { algorithm = way }
        for k, v in pairs(case[3]) do o[k] = v end
        local alone = x:narrow(1, 2, 1):conv2d(weight, nil, o)
        assert.equal(0, largest(alone - one[1]:narrow(1, 2, 1)))
      end
    end
    crun.threads(threads)
  end)
  it("add the bias", function()
    local x, weight, bias = randn("x", 2, 16, 9, 9), randn("w", 16, 16, 3, 3), randn("b", 16)
    for _, way in ipairs(ways) do
      local o = { padding = 1, algorithm = way }
      local gap = x:conv2d(weight, bias, o) - (x:conv2d(weight, nil, o) + bias:reshape(1, 16, 1, 1))
      assert.is_true(largest(gap) < 1e-4)
    end
  end)
  it("have names", function()
    assert.error_matches(function()
      randn("x", 1, 1, 4, 4):conv2d(randn("w", 1, 1, 3, 3), nil, { algorithm = "fft" })
    end, "algorithm")
  end)
end)

describe("conv_plan", function()
  local DIRECT <const>, WINOGRAD <const>, COLUMNS <const> = 1, 2, 3
  local function plan(x, weight, o) return crun.conv_plan(crun.zeros(x), crun.zeros(weight), o) end
  it("takes winograd for 3 x 3 windows of many channels, direct for the first layer", function()
    assert.same({WINOGRAD, WINOGRAD, WINOGRAD},
                plan({64, 64, 16, 16}, {128, 64, 3, 3}, { padding = 1 }):totable())
    local first = plan({64, 1, 64, 64}, {32, 1, 3, 3}, { padding = 1 }):totable()
    assert.same({DIRECT, DIRECT}, { first[1], first[3] })
    assert.same({DIRECT, DIRECT, DIRECT},
                plan({64, 16, 16, 16}, {32, 16, 3, 3}, { padding = 1, stride = 2 }):totable())
  end)
  it("knows what a way cannot do", function()
    local way, cost = plan({2, 6, 9, 9}, {4, 6, 3, 3}, { dilation = 2 })
    assert.same({COLUMNS, COLUMNS, COLUMNS}, way:totable())
    assert.equal(math.huge, cost[1][WINOGRAD])
    assert.equal(math.huge, cost[1][DIRECT])
    assert.is_true(cost[1][COLUMNS] < math.huge)
  end)
end)
