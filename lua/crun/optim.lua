--- Optimisers: they change parameters by their gradients.
--
--     local opt = optim.Adam({ net, criterion }, { lr = 1e-3 })
--     for ... do
--       opt:zero_grad()
--       loss:backward()
--       opt:clip_grad_norm(5)
--       opt:step()
--     end
--
-- optim.SGD, Adam, AdamW, NAdam, Adamax, Adagrad, Adadelta, RMSprop, LARS, LAMB: formulas and
-- options are those of `crun help optim NAME`; Adam and AdamW also take amsgrad, RMSprop centered,
-- Adagrad initial.
--
-- What is optimised: a module, a tensor, anything with a method parameters(), or a list of these.
-- An entry with `params` is a group with options of its own: { params = net.head, weight_decay = 0,
-- lr_scale = 10 }. A group follows the optimiser's options except those it was given; lr_scale
-- follows opt.lr at a ratio. Options are plain fields, checked when set, so any of them can be
-- scheduled: opt.lr = 0.01, opt.groups[2].weight_decay = 0.
--
-- A parameter without a gradient is left alone, and its own count of steps does not advance: that
-- is how frozen layers and losses with several heads work. opt:without_grad() names them. A step in
-- which no parameter has a gradient is an error, and so is one at which a loss's own weights have a
-- gradient and are in no optimiser.
--
-- A module may bring its own learning rate, wherever it stands: the parameters of one with a field
-- lr_scale (crun.losses.arcface { lr_scale = 10, ... }, or net[1].lr_scale = 0.1) go into a group of
-- their own, which follows the one they come from at that ratio. Of modules inside each other the
-- innermost that has one counts.
--
-- An optimiser of your own is one function; groups, schedules and checkpoints come with it:
--
--     local Lion = optim.define("Lion",
--       { lr = { "number", 1e-4 }, beta1 = { "number", 0.9 }, beta2 = { "number", 0.99 } },
--       function(param, grad, state, o)
--         state.mean = state.mean or crun.zeros_like(param)
--         param:add_((state.mean * o.beta1 + grad * (1 - o.beta1)):sign(), -o.lr)
--         state.mean:mul_(o.beta2):add_(grad, 1 - o.beta2)
--       end)
--
-- @module crun.optim
local crun = require "crun"
local options = require "crun.options"

local M = { step = crun.optim_step }

local fail = crun.fail

-- tensors that some optimiser holds
local owned = setmetatable({}, { __mode = "k" })
-- module -> { its name, its tensors that wait for an optimiser }
local awaited = setmetatable({}, { __mode = "k" })

--- Says that the tensors of a module are trained only if an optimiser holds them: a step is an
-- error when one has a gradient by then and is in none. where: the name of the module.
function M.await(module, where, ...)
  local waiting
  for _, tensor in ipairs { ... } do
    if not owned[tensor] and tensor:wants_grad() then
      waiting = waiting or { where }
      waiting[#waiting + 1] = tensor
    end
  end
  awaited[module] = waiting
end

local function check_awaited(opt)
  for _, waiting in pairs(awaited) do
    for i = 2, #waiting do
      if not owned[waiting[i]] and waiting[i]:grad() then
        local text = "its weights are learnable and in no optimiser; give it the loss too, as " ..
          "in %s({ net, criterion }, { ... }), or call criterion:requires_grad_(false)"
        fail(waiting[1], text:format(opt.where))
      end
    end
  end
end

local Optimizer = {}

-- ---- what is optimised --------------------------------------------------------------------------

local function has_parameters(value)
  local kind = type(value)
  return (kind == "table" or kind == "userdata") and options.kind(value) ~= "tensor" and
    (kind == "userdata" or getmetatable(value) ~= nil) and value.parameters ~= nil
end

-- Adds what `value` holds to group.params and group.names, and to group.ratio the lr_scale of the
-- innermost module that has one. seen: tensor -> true over all groups.
local function gather(where, value, group, seen, path)
  if options.kind(value) == "tensor" then
    if not value:wants_grad() then
      local text = "parameter %d does not ask for a gradient; make it one by nn.parameter(t)"
      fail(where, text:format(#group.params + 1))
    end
    if seen[value] then fail(where, "a parameter is given twice") end
    seen[value], owned[value] = true, true
    group.params[#group.params + 1], group.names[#group.names + 1] = value, path
  elseif has_parameters(value) then
    local tensors, names = value:parameters()
    for i, tensor in ipairs(tensors) do
      local name = (path == "" and "" or path .. ".") .. (names and names[i] or tostring(i))
      if seen[tensor] then fail(where, ("parameter '%s' is given twice"):format(name)) end
      seen[tensor], owned[tensor] = true, true
      group.params[#group.params + 1], group.names[#group.names + 1] = tensor, name
    end
    for _, module in ipairs(options.kind(value) == "module" and value:modules() or {}) do
      local ratio = module.lr_scale
      if ratio ~= nil then
        options.check_value(where, "lr_scale", ratio, { "number", least = 0 })
        for _, tensor in ipairs((module:parameters())) do group.ratio[tensor] = ratio end
      end
    end
  elseif type(value) == "table" and getmetatable(value) == nil then
    for i, item in ipairs(value) do
      gather(where, item, group, seen, (path == "" and "" or path .. ".") .. i)
    end
  -- a loss without parameters is fine in a list
  elseif options.kind(value) ~= "criterion" then
    fail(where, "takes modules, tensors and lists of them, got " .. options.say(value))
  end
end

-- ---- groups: options that fall back on the optimiser's ------------------------------------------

local Group = { __name = "crun.group" }

function Group:__index(key)
  local own = rawget(self, "own")[key]
  if own ~= nil then return own end
  local opt = rawget(self, "opt")
  local value = opt.values[key]
  if key == "lr" and value then return value * (rawget(self, "lr_scale") or 1) end
  return value
end

function Group:__newindex(key, value)
  local opt = rawget(self, "opt")
  local line = opt.spec[key]
  if not line then
    fail(opt.where, ("a group has no option '%s'; it has %s"):format(tostring(key),
      table.concat(options.sorted_keys(opt.spec), ", ")))
  end
  if value ~= nil then value = options.check_value(opt.where, key, value, line) end
  rawget(self, "own")[key] = value
end

-- Adds a group to opt.groups as parts: what has no ratio of its own, then one for each ratio.
local function add_parts(group)
  local groups, parts = group.opt.groups, {}
  local function part_of(ratio)
    if not parts[ratio] then
      local own = {}
      for key, value in pairs(group.own) do own[key] = value end
      own.lr = own.lr and own.lr * ratio
      parts[ratio] = { opt = group.opt, own = own, params = {}, names = {},
        lr_scale = ratio * (group.lr_scale or 1) }
      groups[#groups + 1] = setmetatable(parts[ratio], Group)
    end
    return parts[ratio]
  end
  if #group.params == 0 then part_of(1) end                 -- groups are known by their numbers
  for _, plain in ipairs { true, false } do
    for i, param in ipairs(group.params) do
      local ratio = group.ratio[param] or 1
      if (ratio == 1) == plain then
        local part = part_of(ratio)
        part.params[#part.params + 1], part.names[#part.names + 1] = param, group.names[i]
      end
    end
  end
end

local function new_group(opt, number, value, seen)
  local group = { opt = opt, own = {}, params = {}, names = {}, ratio = {} }
  local grouped = type(value) == "table" and getmetatable(value) == nil and value.params ~= nil
  gather(opt.where, grouped and value.params or value, group, seen, "")
  if grouped then
    for key, v in pairs(value) do
      if key == "lr_scale" then
        group.lr_scale = options.check_value(opt.where, key, v, { "number", least = 0 })
      elseif key ~= "params" then
        if not opt.spec[key] then
          local near = options.nearest(tostring(key), options.sorted_keys(opt.spec))
          fail(opt.where, ("group %d: unknown option '%s'%s"):format(number, tostring(key),
            near and ("; did you mean '%s'?"):format(near) or ""))
        end
        group.own[key] = options.check_value(opt.where, key, v, opt.spec[key])
      end
    end
  end
  add_parts(group)
end

-- ---- the optimiser ------------------------------------------------------------------------------

function Optimizer:__index(key)
  local method = Optimizer[key]
  if method ~= nil then return method end
  return rawget(self, "values")[key]
end

function Optimizer:__newindex(key, value)
  local line = self.spec[key]
  if not line then
    local near = options.nearest(tostring(key), options.sorted_keys(self.spec))
    fail(self.where, ("has no option '%s'%s"):format(tostring(key),
      near and ("; did you mean '%s'?"):format(near) or ""))
  end
  self.values[key] = options.check_value(self.where, key, value, line)
end

Optimizer.__name = "crun.optimizer"

--- Calls f(parameter, name, group) for every parameter, group by group.
function Optimizer:each(f)
  for _, group in ipairs(self.groups) do
    for i, param in ipairs(group.params) do f(param, group.names[i], group) end
  end
end

-- One update of a group, parameter by parameter. Returns how many have a gradient.
local function step_each(self, group, o)
  local done = 0
  for _, param in ipairs(group.params) do
    local grad = param:grad()
    if grad then
      local state = self.states[param]
      if not state then
        state = { step = 0 }
        self.states[param] = state
      end
      state.step = state.step + 1
      self.update(param, grad, state, o)
      done = done + 1
    end
  end
  return done
end

--- One update of every parameter that has a gradient. Returns how many those are.
function Optimizer:step()
  local _ <close> = crun.no_grad()
  local done, spec = 0, self.spec
  if next(awaited) then check_awaited(self) end
  for _, group in ipairs(self.groups) do
    local o = {}
    for key in pairs(spec) do o[key] = group[key] end
    local together = rawget(group, "together")
    if together and together(o) then
      done = done + #group.params
    else
      local n = step_each(self, group, o)
      done = done + n
      rawset(group, "together",
        n == #group.params and self.gather and self.gather(group.params, self.states, o) or nil)
    end
  end
  if done == 0 then
    fail(self.where .. ":step", "no parameter has a gradient; call loss:backward() first")
  end
  return done
end

--- Forgets the gradients.
function Optimizer:zero_grad()
  self:each(function(param) param:zero_grad_() end)
end

--- Names of the parameters that have no gradient now.
function Optimizer:without_grad()
  local names = {}
  self:each(function(param, name) if not param:grad() then names[#names + 1] = name end end)
  return names
end

local function gradients(self)
  local list = {}
  self:each(function(param) list[#list + 1] = param:grad() end)
  return list
end

--- Scales all gradients together by max / (norm + 1e-6) where their common norm is larger than max.
-- opts: p (2; math.huge for the largest element). Returns the norm before; a norm that is not
-- finite changes nothing.
function Optimizer:clip_grad_norm(max, opts)
  local where = self.where .. ":clip_grad_norm"
  options.check_value(where, "max", max, { "number", above = 0 })
  local o = options.check(where, opts, { p = { "number", 2, least = 1 } })
  local grads = gradients(self)
  if #grads == 0 then fail(where, "no parameter has a gradient; call loss:backward() first") end
  local norm = crun.total_norm(grads, { p = o.p }):item()
  local factor = max / (norm + 1e-6)
  if factor < 1 and norm < math.huge then
    for _, grad in ipairs(grads) do grad:mul_(factor) end
  end
  return norm
end

--- Cuts every element of every gradient to -max .. max.
function Optimizer:clip_grad_value(max)
  options.check_value(self.where .. ":clip_grad_value", "max", max, { "number", above = 0 })
  for _, grad in ipairs(gradients(self)) do grad:copy_(grad:clamp { min = -max, max = max }) end
end

--- What a checkpoint keeps: the options, those of the groups, and for each parameter its count of
-- steps and tensors. The tensors are the live ones.
function Optimizer:state()
  local state = { kind = self.name, options = {}, groups = {}, params = {} }
  for key, value in pairs(self.values) do state.options[key] = value end
  for g, group in ipairs(self.groups) do
    state.groups[g] = { own = {}, lr_scale = rawget(group, "lr_scale") }
    for key, value in pairs(group.own) do state.groups[g].own[key] = value end
  end
  self:each(function(param, name)
    local kept = { name = name, shape = param:shape(), values = {} }
    for key, value in pairs(self.states[param] or {}) do kept.values[key] = value end
    state.params[#state.params + 1] = kept
  end)
  return state
end

--- Takes a state back: the optimiser must be of the same kind, over the same parameters in the same
-- order.
function Optimizer:load(state)
  local where = self.where .. ":load"
  options.check_value(where, "the state", state, "table")
  if state.kind ~= self.name then
    fail(where, ("this state is of optim.%s"):format(tostring(state.kind)))
  end
  local params = {}
  self:each(function(param, name) params[#params + 1] = { param, name } end)
  if #params ~= #state.params or #self.groups ~= #state.groups then
    local text = "the state has %d parameters in %d groups, this optimiser %d in %d"
    fail(where, text:format(#state.params, #state.groups, #params, #self.groups))
  end
  for i, pair in ipairs(params) do
    local kept, shape = state.params[i], pair[1]:shape()
    if kept.name ~= pair[2] or table.concat(kept.shape, " ") ~= table.concat(shape, " ") then
      fail(where, ("parameter %d is '%s' [%s] here and '%s' [%s] in the state"):format(i, pair[2],
        table.concat(shape, ", "),
        kept.name, table.concat(kept.shape, ", ")))
    end
  end
  for key, value in pairs(state.options) do self.values[key] = value end
  for g, kept in ipairs(state.groups) do
    local group = self.groups[g]
    rawset(group, "own", {})
    rawset(group, "together", nil)
    rawset(group, "lr_scale", kept.lr_scale)
    for key, value in pairs(kept.own) do group.own[key] = value end
  end
  for i, pair in ipairs(params) do
    local values = {}
    for key, value in pairs(state.params[i].values) do
      values[key] = options.kind(value) == "tensor" and value:clone() or value
    end
    self.states[pair[1]] = next(values) and values or nil
  end
end

function Optimizer:__tostring()
  local n, size = 0, 0
  self:each(function(param) n, size = n + 1, size + param:numel() end)
  local parts = {}
  for _, key in ipairs(options.sorted_keys(self.values)) do
    parts[#parts + 1] = ("%s = %s"):format(key, tostring(self.values[key]))
  end
  return ("%s { %s }: %d tensors, %d numbers, %d group%s"):format(self.where,
    table.concat(parts, ", "), n, size,
    #self.groups, #self.groups == 1 and "" or "s")
end

local function is_plain(value) return type(value) == "table" and getmetatable(value) == nil end

-- What is optimised as a list of groups: as given where an entry has `params`; else all in one.
local function groups_of(what)
  if not is_plain(what) or what.params then return { what } end
  for _, item in ipairs(what) do
    if is_plain(item) and item.params ~= nil then return what end
  end
  return { what }
end

-- gather(params, states, o), or nil: a function of o that updates them all in one call, for as long
-- as it returns true; nil where they cannot be taken together.
local function constructor(name, spec, update, gather_all)
  local where = "optim." .. name
  return function(what, opts)
    local self = setmetatable({
      name = name, where = where, spec = spec, update = update, gather = gather_all, groups = {},
      values = options.check(where, opts, spec), states = setmetatable({}, { __mode = "k" }),
    }, Optimizer)
    local seen = {}
    for g, item in ipairs(groups_of(what)) do new_group(self, g, item, seen) end
    local n = 0
    self:each(function() n = n + 1 end)
    if n == 0 then fail(where, "there are no parameters to optimise") end
    return self
  end
end

--- A new kind of optimiser. spec: its options, as options.check takes them; lr must be among them.
-- update(param, grad, state, o) changes param in place, without a graph. state is a table of its
-- own for each parameter, kept in checkpoints: tensors and numbers; state.step counts from 1. o
-- holds the options of the parameter's group.
-- Returns the constructor: (what, opts) -> optimiser.
function M.define(name, spec, update)
  options.check_value("optim.define", "the name", name, "string")
  options.check_value("optim.define", "the options", spec, "table")
  options.check_value("optim.define", "the update", update, "callable")
  return constructor(name, spec, update)
end

-- ---- the steps written in C ---------------------------------------------------------------------

-- Inputs 3 and up of a step are its state, one tensor each, of the parameter's shape and 0 at
-- first. Optional ones exist when their option says so; `flags` are options of ours that the step
-- itself does not have.
local kinds = {
  SGD = { op = "sgd", optional = { velocity = "momentum" } },
  Adam = { op = "adam", flags = { amsgrad = { "boolean", false } },
    optional = { largest = "amsgrad" } },
  AdamW = { op = "adamw", flags = { amsgrad = { "boolean", false } },
    optional = { largest = "amsgrad" } },
  NAdam = { op = "nadam", scalars = { product = true } },
  Adamax = { op = "adamax" },
  Adagrad = { op = "adagrad", flags = { initial = { "number", 0, least = 0 } },
    starts = { sum = "initial" } },
  Adadelta = { op = "adadelta" },
  RMSprop = { op = "rmsprop", flags = { centered = { "boolean", false } },
    optional = { velocity = "momentum", mean = "centered" } },
  LARS = { op = "lars" },
  LAMB = { op = "lamb" },
}

local function spec_of(about, flags)
  local spec, passed = {}, {}
  for _, o in ipairs(about.options) do
    if o.name ~= "step" then
      spec[o.name] = { o.kind == "flag" and "boolean" or "number", o.default, least = o.least,
        most = o.most }
      passed[#passed + 1] = o.name
    else
      passed.counts = true
    end
  end
  for key, line in pairs(flags or {}) do spec[key] = line end
  return spec, passed
end

local function wanted(o, switch)
  return o[switch] == true or (type(o[switch]) == "number" and o[switch] ~= 0)
end

local function build(name, kind)
  local about = crun.describe("optim", kind.op)
  local spec, passed = spec_of(about, kind.flags)
  local step, states = crun.optim_step[kind.op], {}
  for i = 3, #about.inputs do states[i - 2] = about.inputs[i].name end
  local optional, starts, scalars = kind.optional or {}, kind.starts or {}, kind.scalars or {}
  local function update(param, grad, state, o)
    local given = {}
    for i, key in ipairs(states) do
      if state[key] == nil and (not optional[key] or wanted(o, optional[key])) then
        state[key] = scalars[key] and crun.zeros(1) or crun.zeros(table.unpack(param:shape()))
        if starts[key] then state[key]:fill_(o[starts[key]]) end
      end
      given[i] = state[key]
    end
    local named = { step = passed.counts and state.step or nil }
    for _, key in ipairs(passed) do named[key] = o[key] end
    given[#states + 1] = named
    step(param, grad, table.unpack(given, 1, #states + 1))
  end

  -- What all parameters of a group need for a step in one call of C: they have the same states, and
  -- are at the same step.
  local function gather_all(params, all, o)
    local first = all[params[1]]
    local lists, named, own, there = {}, {}, {}, {}
    for i, param in ipairs(params) do
      own[i] = all[param]
      if own[i].step ~= first.step then return nil end
    end
    for k, key in ipairs(states) do
      there[key] = first[key] ~= nil
      lists[k] = there[key] and {} or nil
      for i, state in ipairs(own) do
        if (state[key] ~= nil) ~= there[key] then return nil end
        if there[key] then lists[k][i] = state[key] end
      end
    end
    lists[#states + 1] = named
    local count = first.step
    return function(now)
      for key, switch in pairs(optional) do
        if wanted(now, switch) and not there[key] then return false end
      end
      for _, key in ipairs(passed) do named[key] = now[key] end
      if passed.counts then named.step = count + 1 end
      if not step(params, nil, table.unpack(lists, 1, #states + 1)) then return false end
      count = count + 1
      for i = 1, #own do own[i].step = count end
      return true
    end
  end
  return constructor(name, spec, update, gather_all)
end

for name, kind in pairs(kinds) do M[name] = build(name, kind) end

return M
