--- What criteria that hold other criteria share: parameters(), state() and load() reach through.
--
-- A wrapper has _where, _children (a list of criteria, in order), _carried (numbers, flags and
-- tensors of its own that a checkpoint keeps) and forward(self, ...).
--
-- @module crun.loss.wrapper
local crun = require "crun"
local options = require "crun.options"

local fail = crun.fail

local Wrapper = { __name = "crun.criterion", room = "losses" }
Wrapper.__index = Wrapper

function Wrapper:__call(...) return self:forward(...) end

function Wrapper:__tostring()
  local parts = {}
  for i, child in ipairs(self._children) do parts[i] = tostring(child) end
  return self._where .. " { " .. table.concat(parts, ", ") .. " }"
end

local function has(child, method) return child[method] ~= nil end

-- "" for an only child, else its place
local function prefix(self, i) return #self._children == 1 and "" or i .. "." end

--- The learnable tensors of all criteria inside, each once, and their names.
function Wrapper:parameters()
  local tensors, names, seen = {}, {}, {}
  for i, child in ipairs(self._children) do
    local own, own_names = {}, {}
    if has(child, "parameters") then own, own_names = child:parameters() end
    for k, tensor in ipairs(own) do
      if not seen[tensor] then
        seen[tensor] = true
        tensors[#tensors + 1], names[#names + 1] = tensor, prefix(self, i) .. own_names[k]
      end
    end
  end
  return tensors, names
end

--- Its own state beside those of the criteria inside.
function Wrapper:state()
  local state = { losses = {} }
  for name, value in pairs(self._carried) do state[name] = value end
  for i, child in ipairs(self._children) do
    state.losses[i] = has(child, "state") and child:state() or {}
  end
  return state
end

function Wrapper:load(state)
  if #(state.losses or {}) ~= #self._children then
    fail(self._where, ("the state is of %d losses, here are %d")
      :format(#(state.losses or {}), #self._children))
  end
  for name, own in pairs(self._carried) do
    if state[name] == nil then fail(self._where, ("the state lacks '%s'"):format(name)) end
    if options.kind(own) == "tensor" then
      own:copy_(state[name])
    else
      self._carried[name] = state[name]
    end
  end
  for i, child in ipairs(self._children) do
    if has(child, "load") then child:load(state.losses[i]) end
  end
end

-- losses that own weights, for optim: train(), eval() and the rest pass through
for _, name in ipairs { "train", "eval", "zero_grad", "requires_grad_" } do
  Wrapper[name] = function(self, ...)
    for _, child in ipairs(self._children) do
      if has(child, name) then child[name](child, ...) end
    end
    return self
  end
end

-- name -> { name =, spec =, help = }, for crun.loss.describe
local M = { about = {} }

--- A constructor: what it is in a line, spec of options, make(self, o) that fills self, forward.
function M.constructor(name, help, spec, make, forward)
  local where = "losses." .. name
  M.about[name] = { name = name, help = help, spec = spec }
  return function(opts)
    local o = options.check(where, opts, spec)
    local self = setmetatable({ name = name, _where = where, _children = {}, _carried = {},
      stats = {}, forward = forward }, Wrapper)
    make(self, o)
    for i, child in ipairs(self._children) do
      local kind = options.kind(child)
      if kind ~= "criterion" and kind ~= "module" and kind ~= "function" then
        fail(where, ("loss %d must be a criterion, got %s"):format(i, options.say(child)))
      end
    end
    return self
  end
end

return M
