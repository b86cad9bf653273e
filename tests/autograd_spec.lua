local crun = require "crun"

local function leaf(v) return crun.tensor(v):requires_grad_() end
local function says(text, f, ...)
  local ok, err = pcall(f, ...)
  assert.is_false(ok)
  assert.truthy(tostring(err):find(text, 1, true), tostring(err))
end

describe("backward", function()
  it("adds what reaches a leaf by several ways, once each", function()
    local x = leaf{1, 2, 3}
    local y = x * x + x + x
    y:sum():backward()
    assert.same({4, 6, 8}, x:grad():totable())
  end)
  it("adds to the gradient of an earlier call until it is cleared", function()
    local x = leaf{1, 2}
    x:sum():backward()
    x:sum():backward()
    assert.same({2, 2}, x:grad():totable())
    x:zero_grad_()
    assert.is_nil(x:grad())
  end)
  it("goes through a node that many use exactly once", function()
    local x = leaf{2}
    local shared = x * x
    local y = shared
    for _ = 1, 60 do y = y + y end                  -- 2^60 paths
    y:sum():backward()
    assert.equal(4 * 2^60, x:grad()[1])
  end)
  it("walks a chain of a million operators", function()
    local x, one = leaf{1, 2, 3, 4}, crun.tensor{1, 1, 1, 1}
    local y = x
    for _ = 1, 1000000 do y = y + one end
    y:sum():backward()
    assert.same({1, 1, 1, 1}, x:grad():totable())
  end)
  it("drops a chain of a million operators that nobody walked", function()
    collectgarbage() collectgarbage()
    local before = crun.memory().live
    local y = leaf{1}
    for _ = 1, 1000000 do y = y + y end
    y = nil
    collectgarbage() collectgarbage()
    assert.is_true(crun.memory().live - before < 4096)
  end)
  it("starts from a given gradient", function()
    local x = leaf{1, 2};
    (x * 3):backward(crun.tensor{1, 10})
    assert.same({3, 30}, x:grad():totable())
  end)
  it("goes through views to the storage they share", function()
    local x = leaf{{1, 2, 3}, {4, 5, 6}};
    (x:t():narrow(1, 2, 1) * 2):sum():backward()
    assert.same({{0, 2, 0}, {0, 2, 0}}, x:grad():totable())
  end)
  it("says that the graph is gone", function()
    local x = leaf{1}
    local y = (x * 2):sum()
    y:backward()
    says("backward has already been through this graph", y.backward, y)
    local a = x * 2
    local b, c = a:sum(), (a * a):sum()
    b:backward()
    says("the graph below mul is gone", c.backward, c)
  end)
  it("says that something it needs was changed in place", function()
    local x, w = leaf{1, 2}, crun.tensor{3, 4}
    local y = (x * w):sum()
    w:fill_(0)
    says("backward of mul needs y, which was changed in place after it was used", y.backward, y)
  end)
  it("refuses what has no gradient", function()
    says("depends on nothing that wants a gradient", crun.tensor{1}.backward, crun.tensor{1})
    local y = leaf{1, 2} * 1
    says("starts from one number, got shape [2]", y.backward, y)
    says("of shape [2], got", y.backward, y, crun.tensor{1, 2, 3})
    says("only float", crun.int{1}.requires_grad_, crun.int{1})
  end)
end)

describe("no_grad", function()
  it("builds no graph in its block and restores what was", function()
    local x = leaf{1}
    do
      local _ <close> = crun.no_grad()
      assert.is_false((x * 2):wants_grad())
      x:fill_(5)
    end
    assert.is_true((x * 2):wants_grad())
    assert.equal(10, crun.no_grad(function(y) return (y * 2):item() end, x))
    pcall(crun.no_grad, function() error("x") end)
    assert.is_true(crun.grad_enabled())
  end)
  it("is needed to change a leaf in place", function()
    local x = leaf{1}
    says("changed in place only under crun.no_grad()", x.fill_, x, 0)
  end)
  it("is the way to write an optimiser", function()
    local w = leaf{4}
    for _ = 1, 50 do
      w:zero_grad_();
      (w * w):sum():backward()
      crun.no_grad(function() w:add_(w:grad(), -0.1) end)
    end
    assert.is_true(math.abs(w:item()) < 1e-4)
  end)
end)

describe("operators", function()
  it("take numbers where a tensor stands, on either side", function()
    local x = leaf{1, 2};
    ((2 - x) * 3 / 2 + 1):sum():backward()
    assert.same({-1.5, -1.5}, x:grad():totable())
    assert.equal("int64", (crun.int{1, 2} + 1):dtype())
  end)
  it("check names, types and shapes of what they are given", function()
    local x = crun.zeros(2, 3)
    says("unknown option 'keepdims'; did you mean 'keepdim'?", x.sum, x, { keepdims = true })
    says("keepdim must be true or false, got a number", x.sum, x, { keepdim = 1 })
    says("dim = 3 is not a dimension of a tensor of 2", x.sum, x, 3)
    says("dim counts from 1, got 0", x.sum, x, 0)
    says("y must be a tensor, got a string", x.add, x, "2")
    says("x must be a tensor, got nothing", crun.relu)
  end)
end)

describe("memory of a graph", function()
  it("is given back by backward, not by the collector", function()
    collectgarbage() collectgarbage()
    collectgarbage "stop"
    local x = crun.zeros(100000):requires_grad_()
    local before = crun.memory().live
    local y = x
    for _ = 1, 10 do y = y:exp() end
    local loss = y:sum()
    y = nil
    loss:backward()
    local kept = crun.memory().live - before
    collectgarbage "restart"
    -- the Lua boxes of ten results still stand, the saved copies do not: nothing twice
    assert.is_true(kept <= 12 * 100000 * 8 + 65536)
  end)
end)
