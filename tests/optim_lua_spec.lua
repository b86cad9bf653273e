local crun = require "crun"
local nn, optim = crun.nn, crun.optim

local function message(f, ...)
  local ok, text = pcall(f, ...)
  assert.is_false(ok)
  return (text:gsub("^[^:]*:%d+: ", ""))
end

local function close(a, b)
  assert.is_true(crun.allclose(crun.tensor(a), b:detach(), 1e-5, 1e-7),
    crun.inspect(a) .. " against " .. crun.inspect(b:totable()))
end

-- a quadratic bowl: gradient w - target
local function bowl(w, target)
  w:zero_grad_()
  local d = w - target
  ;((d * d):sum() / 2):backward()
end

describe("an optimiser", function()
  it("is worked by hand: momentum", function()
    local w = nn.parameter(crun.tensor { 1 })
    local opt = optim.SGD(w, { lr = 0.1, momentum = 0.5 })
    w:set_grad(crun.tensor { 1 })
    opt:step()
    close({ 0.9 }, w)
    opt:step()
    close({ 0.9 - 0.1 * 1.5 }, w)
  end)
  it("comes down, whatever its kind", function()
    local lrs = { Adadelta = 50, LARS = 5, LAMB = 0.05, Adagrad = 0.5, SGD = 0.2 }
    for _, name in ipairs { "SGD", "Adam", "AdamW", "NAdam", "Adamax", "Adagrad", "Adadelta",
      "RMSprop", "LARS", "LAMB" } do
      local w, target = nn.parameter(crun.tensor { 3, -2, 1 }), crun.tensor { 1, 1, 1.5 }
      local opt = optim[name](w, { lr = lrs[name] or 0.05 })
      local before = (w:detach() - target):abs():sum():item()
      for _ = 1, 60 do
        bowl(w, target)
        opt:step()
      end
      local after = (w:detach() - target):abs():sum():item()
      assert.is_true(after < before / 2, name .. ": " .. before .. " -> " .. after)
    end
  end)
  it("gathers modules, tensors and lists, in groups", function()
    local net, extra = nn.Sequential { nn.Linear(2, 2), nn.Linear(2, 1) },
      nn.parameter(crun.zeros(3))
    local names = {}
    optim.SGD({ net, extra }):each(function(_, name) names[#names + 1] = name end)
    assert.same({ "1.1.weight", "1.1.bias", "1.2.weight", "1.2.bias", "2" }, names)
    local opt = optim.SGD({ { params = net[1], weight_decay = 0.5 },
      { params = { net[2], extra }, lr_scale = 10 } },
      { lr = 0.1, weight_decay = 0.01 })
    assert.equal(2, #opt.groups)
    assert.same({ 0.1, 0.5 }, { opt.groups[1].lr, opt.groups[1].weight_decay })
    assert.same({ 1, 0.01 }, { opt.groups[2].lr, opt.groups[2].weight_decay })
    opt.lr = 0.2
    assert.same({ 0.2, 2 }, { opt.groups[1].lr, opt.groups[2].lr })
    opt.groups[1].lr = 7
    opt.lr = 0.3
    assert.equal(7, opt.groups[1].lr)
  end)
  it("follows the lr_scale of a module wherever it stands, the innermost of several", function()
    local function rates(opt)
      local list = {}
      for g, group in ipairs(opt.groups) do
        list[g] = table.concat(group.names, " ") .. " " .. group.lr
      end
      return list
    end
    local net = nn.Sequential { nn.Linear(2, 2, { bias = false }),
      nn.Sequential { nn.Linear(2, 2, { bias = false }), nn.Linear(2, 2, { bias = false }) } }
    net[2].lr_scale, net[2][2].lr_scale = 0.5, 4
    local opt = optim.SGD(net, { lr = 2.0 })
    assert.same({ "1.weight 2.0", "2.1.weight 1.0", "2.2.weight 8.0" }, rates(opt))
    local criterion = crun.losses.arcface { classes = 2, dim = 2, lr_scale = 10 }
    assert.same({ "2.1.weight 2.0", "1.weight 20.0", "2.2.1.weight 1.0", "2.2.2.weight 8.0" },
      rates(optim.SGD({ criterion, net }, { lr = 2.0 })))
    assert.same({ "1.weight 6.0", "2.1.weight 3.0", "2.2.weight 24.0", "weight 5.0" },
      rates(optim.SGD({ { params = net, lr_scale = 3 }, { params = criterion, lr = 0.5 } },
        { lr = 2.0 })))
    local other = optim.SGD(net, { lr = 1.0 })
    other:load(opt:state())
    assert.same(rates(opt), rates(other))
    net[2].lr_scale = "fast"
    assert.truthy(message(optim.SGD, net):find("lr_scale must be a number", 1, true))
  end)
  it("leaves alone what has no gradient, and refuses a step without any", function()
    local a, b = nn.parameter(crun.ones(2)), nn.parameter(crun.ones(2))
    local opt = optim.Adam({ a, b }, { lr = 0.1 })
    assert.equal("optim.Adam:step: no parameter has a gradient; call loss:backward() first",
      message(opt.step, opt))
    a:set_grad(crun.ones(2))
    assert.equal(1, opt:step())
    assert.same({ 1, 1 }, b:detach():totable())
    assert.same({ "2" }, opt:without_grad())
    opt:zero_grad()
    assert.is_nil(a:grad())
  end)
  it("goes on from its state as if never stopped", function()
    for _, name in ipairs { "SGD", "Adam", "RMSprop", "NAdam" } do
      local options = { lr = 0.05, momentum = name == "SGD" and 0.9 or nil }
      local target = crun.tensor { 1, 1, 1 }
      local function run(w, opt, steps) for _ = 1, steps do bowl(w, target) opt:step() end end
      local a = nn.parameter(crun.tensor { 3, -2, 0 })
      local opt_a = optim[name](a, options)
      run(a, opt_a, 5)
      local b = nn.parameter(a:detach():clone())
      local opt_b = optim[name](b, { lr = 1 })
      opt_b:load(opt_a:state())
      run(a, opt_a, 5)
      run(b, opt_b, 5)
      assert.is_true(crun.allclose(a:detach(), b:detach(), 0, 0), name)
    end
  end)
  it("refuses a state of something else", function()
    local w = nn.parameter(crun.zeros(2))
    local adam, sgd = optim.Adam(w), optim.SGD(w)
    assert.equal("optim.SGD:load: this state is of optim.Adam",
      message(sgd.load, sgd, adam:state()))
    local other = optim.Adam(nn.parameter(crun.zeros(3)))
    assert.equal("optim.Adam:load: parameter 1 is '' [3] here and '' [2] in the state",
      message(other.load, other, adam:state()))
  end)
  it("says what is wrong with its options", function()
    local w = nn.parameter(crun.zeros(2))
    assert.equal("optim.Adam: unknown option 'learning_rate'; it takes amsgrad, beta1, beta2, eps, lr, weight_decay",
      message(optim.Adam, w, { learning_rate = 1 }))
    assert.equal("optim.Adam: unknown option 'beta3'; did you mean 'beta1'?",
      message(optim.Adam, w, { beta3 = 1 }))
    assert.equal("optim.SGD: group 1: unknown option 'weigth_decay'; did you mean 'weight_decay'?",
      message(optim.SGD, { { params = w, weigth_decay = 0 } }))
    local opt = optim.SGD(w)
    assert.truthy(message(function() opt.lr = "fast" end):find("lr must be a number, got a string \"fast\"", 1, true))
    assert.truthy(message(function() opt.momentun = 0 end):find("did you mean 'momentum'?", 1,
      true))
    assert.equal("optim.SGD: a parameter is given twice", message(optim.SGD, { w, w }))
    assert.equal("optim.SGD: there are no parameters to optimise",
      message(optim.SGD, { nn.ReLU() }))
    assert.truthy(message(optim.SGD, crun.zeros(2)):find("does not ask for a gradient", 1, true))
  end)
end)

describe("clipping", function()
  it("is by the norm of all gradients together", function()
    local a, b = nn.parameter(crun.zeros(1)), nn.parameter(crun.zeros(1))
    local opt = optim.SGD { a, b }
    a:set_grad(crun.tensor { 3 })
    b:set_grad(crun.tensor { 4 })
    assert.near(5, opt:clip_grad_norm(10), 1e-6)
    assert.same({ 3 }, a:grad():totable())
    assert.near(5, opt:clip_grad_norm(1), 1e-6)
    close({ 0.6 }, a:grad())
    close({ 0.8 }, b:grad())
    b:set_grad(crun.tensor { -4 })
    opt:clip_grad_value(0.5)
    close({ 0.5 }, a:grad())
    close({ -0.5 }, b:grad())
  end)
end)

describe("an optimiser written in Lua", function()
  local Lion = optim.define("Lion", { lr = { "number", 1e-4 }, beta1 = { "number", 0.9 },
    beta2 = { "number", 0.99 } },
    function(param, grad, state, o)
      state.mean = state.mean or crun.zeros_like(param)
      param:add_((state.mean * o.beta1 + grad * (1 - o.beta1)):sign(), -o.lr)
      state.mean:mul_(o.beta2):add_(grad, 1 - o.beta2)
    end)
  it("is ten lines and has groups, state and clipping", function()
    local w = nn.parameter(crun.tensor { 1, -1 })
    local opt = Lion({ { params = w, lr_scale = 2 } }, { lr = 0.1 })
    w:set_grad(crun.tensor { 5, -0.1 })
    opt:step()
    close({ 0.8, -0.8 }, w)
    local again = Lion({ { params = w } })
    again:load(opt:state())
    -- the mean still says the other way for the first
    w:set_grad(crun.tensor { -0.1, -0.1 })
    again:step()
    close({ 0.6, -0.6 }, w)
  end)
end)

describe("a step of all parameters in one call", function()
  local names = { "SGD", "Adam", "AdamW", "NAdam", "Adamax", "Adagrad", "Adadelta", "RMSprop", "LARS", "LAMB" }
  local function pair_of() return nn.parameter(crun.tensor { 1, 2 }), nn.parameter(crun.tensor { 3, -4, 5 }) end
  local function feed(step, a, b)
    a:set_grad(crun.tensor { step, -1 })
    if b then b:set_grad(crun.tensor { 0.5, step, 2 }) end
  end
  it("is that of each alone, to the bit", function()
    for _, name in ipairs(names) do
      local a, b = pair_of()
      local c, d = pair_of()
      local both, first, second = optim[name]({ a, b }, { lr = 0.1 }), optim[name](c, { lr = 0.1 }),
        optim[name](d, { lr = 0.1 })
      for step = 1, 4 do
        feed(step, a, b)
        feed(step, c, d)
        assert.equal(2, both:step())
        first:step()
        second:step()
        assert.same({ c:totable(), d:totable() }, { a:totable(), b:totable() }, name)
      end
    end
  end)
  it("counts the steps of each parameter, and takes up momentum when it is switched on", function()
    local a, b = pair_of()
    local c, d = pair_of()
    local both, first, second = optim.SGD({ a, b }, { lr = 0.1 }), optim.SGD(c, { lr = 0.1 }), optim.SGD(d, { lr = 0.1 })
    for step = 1, 8 do
      if step == 5 then both.momentum, first.momentum, second.momentum = 0.9, 0.9, 0.9 end
      local skip = step == 3
      b:zero_grad_()
      feed(step, a, not skip and b or nil)
      feed(step, c, d)
      assert.equal(skip and 1 or 2, both:step())
      first:step()
      if not skip then second:step() end
      assert.same({ c:totable(), d:totable() }, { a:totable(), b:totable() })
    end
    local state = both:state()
    assert.equal(8, state.params[1].values.step)
    assert.equal(7, state.params[2].values.step)
  end)
  it("says what the arrays must be", function()
    local a, b = pair_of()
    feed(1, a, b)
    local text = message(crun.optim_step.adam, { a, b }, nil, { crun.zeros(2) }, { crun.zeros(2), crun.zeros(3) })
    assert.truthy(text:find("mean must be an array of 2 tensors, as param is", 1, true), text)
    b:zero_grad_()
    assert.is_false(crun.optim_step.sgd({ a, b }, nil, nil, { lr = 1 }))
    close({ 1, 2 }, a)
  end)
end)
