--- How the golden cases of `optim` are said in crun: optimisers, clipping and schedules of the Lua
-- library.
local crun = require "crun"
local nn, optim, schedule = crun.nn, crun.optim, crun.schedule
local M = {}

local names = {
  sgd = "SGD", adam = "Adam", adamw = "AdamW", nadam = "NAdam", adamax = "Adamax",
  adagrad = "Adagrad",
  adadelta = "Adadelta", rmsprop = "RMSprop", lars = "LARS", lamb = "LAMB",
}

local STEPS = 20             -- that a problem runs for in this set

-- inputs grads_w, grads_b: gradients step by step; or x, labels: a problem of softmax regression
local function trajectory(name)
  return function(p, i)
    local w, b = nn.parameter(i.w0:clone()), nn.parameter(i.b0:clone())
    local options = {}
    for key, value in pairs(p) do options[key] = value end
    options.initial, options.initial_accumulator = options.initial_accumulator, nil
    if name == "NAdam" then options.mu_twice = true end         -- as torch 1.13 has it
    local opt = optim[name]({ w, b }, options)
    local criterion = crun.losses.cross_entropy {}
    local kept = { w = {}, b = {}, loss = {} }
    for t = 1, i.grads_w and #i.grads_w or STEPS do
      if i.grads_w then
        w:set_grad(i.grads_w[t]:contiguous())
        b:set_grad(i.grads_b[t]:contiguous())
      else
        opt:zero_grad()
        local loss = criterion(i.x:matmul(w) + b, i.labels + 1)
        loss:backward()
        kept.loss[t] = loss:detach()
      end
      opt:step()
      kept.w[t], kept.b[t] = w:detach():clone(), b:detach():clone()
    end
    return { w = crun.stack(kept.w, 1), b = crun.stack(kept.b, 1),
      loss = not i.grads_w and crun.stack(kept.loss, 1) or nil, done = true }
  end
end

for name, class in pairs(names) do M[name] = trajectory(class) end

local function clip(method)
  return function(p, i)
    local params, opt = {}, nil
    for k, name in ipairs { "g1", "g2" } do
      if i[name] then
        params[k] = nn.parameter(crun.zeros_like(i[name]))
        params[k]:set_grad(i[name]:clone())
      end
    end
    opt = optim.SGD(params)
    local norm = method(opt, p)
    return { total_norm = norm, g1_clipped = params[1]:grad(), g2_clipped = params[2] and
      params[2]:grad(), done = true }
  end
end

M.clip_grad_norm = clip(function(opt, p)
  return opt:clip_grad_norm(p.max_norm, { p = p.norm_type == "inf" and math.huge or p.norm_type })
end)
M.clip_grad_value = clip(function(opt, p) opt:clip_grad_value(p.clip) end)

-- schedules: params -> schedule
local function values(make)
  return function(p)
    local f, lr = make(p), {}
    for t = 1, p.steps_total do lr[t] = f(t - 1) end
    return { lr = crun.tensor(lr), done = true }
  end
end

M.lr_constant = values(function(p) return schedule.constant { base = p.base_lr } end)
M.lr_step = values(function(p) return schedule.step { base = p.base_lr, every = p.step_size,
  gamma = p.gamma } end)
M.lr_multistep = values(function(p)
  return schedule.multistep { base = p.base_lr, milestones = p.milestones, gamma = p.gamma }
end)
M.lr_exponential = values(function(p) return schedule.exponential { base = p.base_lr,
  gamma = p.gamma } end)
M.lr_linear_warmup = values(function(p)
  return schedule.linear_warmup { base = p.base_lr, steps = p.steps, start = p.start_factor }
end)
M.lr_linear_decay = values(function(p)
  return schedule.linear_decay { base = p.base_lr, steps = p.steps, stop = p.end_factor }
end)
M.lr_cosine = values(function(p) return schedule.cosine { base = p.base_lr, steps = p.t_max,
  min = p.eta_min } end)
M.lr_cosine_short = M.lr_cosine
M.lr_cosine_warm_restarts = values(function(p)
  return schedule.cosine_warm_restarts { base = p.base_lr, steps = p.t_0, mult = p.t_mult,
    min = p.eta_min }
end)
M.lr_cosine_warm_restarts_mult = M.lr_cosine_warm_restarts
M.lr_polynomial = values(function(p)
  return schedule.polynomial { base = p.base_lr, steps = p.steps, power = p.power }
end)
M.lr_inverse_sqrt_warmup = values(function(p)
  return schedule.inverse_sqrt_warmup { base = p.base_lr, warmup = p.warmup_steps }
end)
M.lr_triangular = values(function(p)
  return schedule.triangular { base = p.base_lr, max = p.max_lr, up = p.step_up,
    down = p.step_down }
end)
M.lr_warmup_then_cosine = values(function(p)
  return schedule.warmup_then_cosine { base = p.base_lr, warmup = p.warmup_steps,
    steps = p.warmup_steps + p.t_max,
    start = p.start_factor, min = p.eta_min }
end)

function M.lr_one_cycle(p)
  local shape = { steps = p.total_steps, pct = p.pct_start, anneal = p.anneal,
    three_phase = p.three_phase }
  local function cycle(more)
    for key, value in pairs(shape) do more[key] = value end
    local f, out = schedule.one_cycle(more), {}
    for t = 1, p.steps_total do out[t] = f(t - 1) end
    return crun.tensor(out)
  end
  return {
    lr = cycle { max = p.max_lr, div = p.div_factor, final_div = p.final_div_factor },
    momentum = cycle { start = p.max_momentum, max = p.base_momentum, final = p.max_momentum },
    done = true,
  }
end
M.lr_one_cycle_linear, M.lr_one_cycle_three_phase = M.lr_one_cycle, M.lr_one_cycle

function M.lr_reduce_on_plateau(p, i)
  local plateau = schedule.reduce_on_plateau {
    base = p.base_lr, mode = p.mode, factor = p.factor, patience = p.patience,
    threshold = p.threshold,
    threshold_mode = p.threshold_mode, cooldown = p.cooldown, min = p.min_lr, eps = p.eps,
  }
  local lr = {}
  for t = 1, p.steps_total do
    lr[t] = plateau()
    plateau:report(i.metric[t])
  end
  return { lr = crun.tensor(lr), done = true }
end

return M
