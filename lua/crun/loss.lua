--- Losses of one's own, and losses by name in settings.
--
--     -- mylosses.lua
--     local crun = require "crun"
--     return { circle = crun.loss.define {
--       options = { m = 0.25, gamma = 64 },
--       forward = function(self, z, labels)               -- autograd does the rest
--         local s = z:mm(z:t())
--         ...
--         return (lp + ln):softplus():mean()
--       end } }
--
--     local criterion = require "mylosses".circle { gamma = 32 }
--     criterion.m = 0.3                                    -- options may be scheduled
--
-- @module crun.loss
local crun = require "crun"
local options = require "crun.options"

local M = {}
local fail = crun.fail

-- name -> constructor of what was defined with a name
M.defined = {}

-- constructor -> its definition
local definitions = setmetatable({}, { __mode = "k" })

-- ---- define -------------------------------------------------------------------------------------

-- { m = 0.25 } or { m = { "number", 0.25, least = 0 } } -> lines of crun.options
local function lines_of(where, given)
  local spec = {}
  for key, value in pairs(given or {}) do
    if type(key) ~= "string" or not key:find "^[%a][%w_]*$" then
      fail(where, "the name of an option must be a word, got " .. options.say(key))
    end
    local kind = math.type(value) or type(value)
    if kind == "table" then spec[key] = value
    elseif kind == "integer" or kind == "float" then spec[key] = { "number", value }
    elseif kind == "boolean" or kind == "string" then spec[key] = { kind, value }
    else
      local text = "option %s must be a default or a line of crun.options, got %s"
      fail(where, text:format(key, options.say(value)))
    end
  end
  return spec
end

--- A constructor of criteria from { forward =, options =, init =, name =, help =, formula =,
-- paper = }.
--
--   forward(self, z, labels, ...)   the loss, a scalar tensor, from operators. self.KEY are the
--                                   options; self.stats is a table for numbers to be looked at
--   options    name -> default, or a line of crun.options: { "number", 2, least = 0 }
--   init(self) makes parameters: self.weight = crun.nn.parameter(t); they are found by optimisers
--   and
--              checkpoints as those of a module are
--   name       puts it beside the built-in losses: crun.losses.NAME, loss = NAME in settings,
--              listed by crun.loss.names() and described by crun.loss.describe(). A name of a
--              built-in is refused
function M.define(definition)
  local where = "loss.define"
  local d = options.check(where, definition, {
    forward = "callable", options = "table?", init = "callable?", name = "string?",
    help = "string?", formula = "string?", paper = "string?",
  })
  if d.name and not M.defined[d.name] and crun.losses[d.name] ~= nil then
    fail(where, ("the name '%s' belongs to a built-in loss"):format(d.name))
  end
  if d.name and not d.name:find "^[%a][%w_]*$" then
    fail(where, ("the name '%s' must be a word"):format(d.name))
  end
  local title = "losses." .. (d.name or "(defined)")
  local spec = lines_of(where, d.options)

  local class = crun.nn.class(d.name or "loss")
  local set_field = class.__newindex
  function class:__newindex(key, value)
    local line = spec[key]
    if not line then return set_field(self, key, value) end
    self._options[key] = options.check_value(title, key, value, line)
  end
  function class.__index(self, key)
    if spec[key] then return rawget(self, "_options")[key] end
    return class[key]
  end
  function class:init(opts)
    rawset(self, "_options", options.check(title, opts, spec))
    rawset(self, "stats", {})
    if d.init then d.init(self) end
  end
  function class:forward(z, labels, ...)
    local loss = d.forward(self, z, labels, ...)
    if options.kind(loss) ~= "tensor" or loss:numel() ~= 1 then
      fail(title, "forward must return a tensor of one number, got " ..
        (options.kind(loss) == "tensor" and
        ("[%s]"):format(table.concat(loss:shape(), ", ")) or options.say(loss)))
    end
    return loss
  end
  local constructor = function(opts) return class(opts) end
  definitions[constructor] = { name = d.name, help = d.help, formula = d.formula, paper = d.paper,
    spec = spec }
  if d.name then M.defined[d.name] = constructor end
  return constructor
end

-- ---- by name ------------------------------------------------------------------------------------

--- The names of all losses, sorted: built in and defined.
function M.names()
  local list = {}
  for name in pairs(crun.losses) do list[#list + 1] = name end
  return list
end

-- The constructor "triplet", or "mylosses.circle" by require, or itself.
local function constructor_of(where, name)
  if type(name) == "function" then return name end
  if type(name) ~= "string" then fail(where, "a loss must be a name, got " .. options.say(name)) end
  local found = crun.losses[name]
  if found then return found end
  local module, field = name:match "^(.+)%.([^.]+)$"
  if module then
    local ok, table_or_error = pcall(require, module)
    if not ok then
      fail(where, ("loss '%s': %s"):format(name, tostring(table_or_error):match "^[^\n]*"))
    end
    if type(table_or_error) == "table" and table_or_error[field] then
      return table_or_error[field]
    end
    fail(where, ("the module '%s' has no loss '%s'"):format(module, field))
  end
  local near = options.nearest(name, M.names())
  fail(where, ("there is no loss '%s'%s"):format(name,
    near and (", did you mean '%s'?"):format(near) or ""))
end

local function from_line(key, line)
  if type(line) == "string" then line = { line } end
  return { name = key, kind = line[1]:gsub("%?$", ""), default = line[2], least = line.least,
    most = line.most,
    choices = line.choices and table.concat(line.choices, " "), help = line.help }
end

--- What is known of a loss, as crun.describe("losses", name) has it: name, help, formula, paper,
-- options (a list of { name, kind, default, least, most, choices, help }). nil for no such loss.
function M.describe(name)
  local native = type(name) == "string" and crun.describe("losses", name)
  if native then return native end
  local found = type(name) == "function" and name or crun.losses[name] or nil
  if not found then return nil end
  local d = definitions[found]
  if not d then
    local ok, definition = pcall(require, "crun.loss." .. name)
    if ok and type(definition) == "function" then
      definition = require("crun.loss.wrapper").about[name]
      definition = { options = definition.spec, help = definition.help }
    end
    d = { name = name }
    if ok and type(definition) == "table" then
      d.spec, d.help = definition.options, definition.help
      d.formula, d.paper = definition.formula, definition.paper
    end
  end
  local list = {}
  for _, key in ipairs(options.sorted_keys(d.spec or {})) do
    list[#list + 1] = from_line(key, d.spec[key])
  end
  return { name = d.name, room = "losses", help = d.help, formula = d.formula, paper = d.paper,
    options = list, differentiable = true, defined = definitions[found] ~= nil }
end

--- A group of settings for crun.config: the loss `name` and its options.
--
--     local cfg = crun.config { loss = crun.loss.option("triplet", { margin = 0.2 }) }
--     local criterion = crun.loss.make(cfg.loss)
--
-- On the command line loss.name=ntxent chooses another, loss.temperature=0.1 sets an option of it:
-- the group holds the options of the loss that is chosen there. `defaults` are for `name` only.
function M.option(name, defaults)
  constructor_of("loss.option", name)
  local chosen = name
  for _, arg in ipairs(crun.args or {}) do
    local given = arg:match "^%-*[%w_.]+%.name=(.+)$"
    if given then chosen = given end
  end
  local group = { name = { chosen, help = "which loss" } }
  local found = constructor_of("loss.option", chosen)
  local d = type(chosen) == "string" and M.describe(chosen) or M.describe(found)
  for _, o in ipairs(d and d.options or {}) do
    local value = o.default
    if chosen == name and defaults and defaults[o.name] ~= nil then value = defaults[o.name] end
    local kind = type(value)
    if kind == "number" or kind == "boolean" or kind == "string" then
      if o.kind == "number" then value = value + 0.0 end
      local finite = o.least and o.most and math.abs(o.least) < 1e29 and math.abs(o.most) < 1e29
      local choices = {}
      for word in (o.choices or ""):gmatch "%S+" do choices[#choices + 1] = word end
      group[o.name] = { value, help = o.help ~= "" and o.help or nil,
        least = finite and o.least or nil,
        most = finite and o.most or nil, choices = #choices > 0 and choices or nil }
    end
  end
  for key in pairs(defaults or {}) do
    if chosen == name and not group[key] then
      fail("loss.option", ("the loss %s has no option '%s' that can be set by text")
        :format(name, key))
    end
  end
  return group
end

--- The criterion that settings name: a group { name = ..., options... }, or a name. more: further
-- options.
function M.make(settings, more)
  local opts, name = {}, settings
  if type(settings) == "table" then
    for key, value in pairs(settings) do
      if key == "name" then name = value else opts[key] = value end
    end
  end
  for key, value in pairs(more or {}) do opts[key] = value end
  return constructor_of("loss.make", name)(opts)
end

-- ---- from a formula of distances ----------------------------------------------------------------

--- Exact gradients of a batch larger than memory: crun.micro.
function M.micro(...) return require "crun.micro".new(...) end

--- crun.loss.pairwise(function(d, same) ... end) and crun.loss.triplet(function(ap, an) ... end):
-- see lua/crun/closure.lua.
function M.pairwise(...) return require "crun.closure".pairwise(...) end
function M.triplet(...) return require "crun.closure".triplet(...) end

-- ---- words that losses written in operators read well with --------------------------------------

local methods = getmetatable(crun.zeros(1)).methods

methods.mm = methods.matmul

--- Writes v, a number or true / false, into the diagonal of a matrix, in place.
function methods:diag_(v)
  if self:ndim() ~= 2 then
    fail("diag_", ("takes a matrix, got %d dimensions"):format(self:ndim()))
  end
  if type(v) == "boolean" then v = v and 1 or 0 end
  for i = 1, math.min(self:size(1), self:size(2)) do self[i][i] = v end
  return self
end

local new_tensor = crun.tensor

--- crun.tensor.same(labels [, others]): byte [B R], 1 where two labels are equal.
crun.tensor = setmetatable({
  same = function(labels, others)
    return labels:unsqueeze(2):eq((others or labels):unsqueeze(1))
  end,
}, { __call = function(_, ...) return new_tensor(...) end })

return M
