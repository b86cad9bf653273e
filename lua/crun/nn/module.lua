--- The class of modules: how parameters, buffers and children are found, saved, loaded and printed.
-- crun.nn says how to use it; its layers are in crun.nn too.
--
-- @module crun.nn.module
local crun = require "crun"
local options = require "crun.options"

local M = {}

local fail, check, kind_of = crun.fail, options.check, options.kind

local function shape_text(shape) return "[" .. table.concat(shape, ", ") .. "]" end

-- the key under which a module keeps the order of its fields
local ORDER = {}
local marked = setmetatable({}, { __mode = "k" })     -- tensors made parameters by nn.parameter

--- Marks a tensor as a parameter and asks for its gradient. Returns the tensor.
function M.parameter(tensor)
  if kind_of(tensor) ~= "tensor" then
    fail("nn.parameter", "takes a tensor, got " .. options.say(tensor))
  end
  marked[tensor] = true
  return tensor:requires_grad_(true)
end

local Module = { name = "Module", training = true, __name = "crun.module" }
Module.__index = Module
M.Module = Module

function Module:__newindex(key, value)
  local order = rawget(self, ORDER)
  if not order.seen[key] then
    order.seen[key] = true
    order[#order + 1] = key
  end
  rawset(self, key, value)
end

function Module:__call(...) return self:forward(...) end

function Module:init() end

function Module:forward()
  fail("nn." .. self.name, "this class has no forward(self, x)")
end

--- A new class of modules: `local Block = nn.class "Block"`, then Block:init(...),
-- Block:forward(...), and Block(...) makes one. base: another class, nn.Module when left out.
function M.class(name, base)
  options.check_value("nn.class", "the name", name, "string")
  local class = { name = name }
  for _, event in ipairs { "__newindex", "__call", "__tostring", "__name", "__len" } do
    class[event] = (base or Module)[event]
  end
  class.__index = class
  return setmetatable(class, {
    __index = base or Module,
    __call = function(_, ...)
      local self = setmetatable({ [ORDER] = { seen = {} } }, class)
      self:init(...)
      return self
    end,
  })
end

local function is_module(value) return kind_of(value) == "module" end

-- Calls visit(module, path, key, value) for every tensor of the tree, visit_module(module, path)
-- for every module.
local function walk(module, path, visit, enter, seen)
  if seen[module] then return end
  seen[module] = true
  if enter then enter(module, path) end
  local function look(owner, name, key, value)
    local kind = kind_of(value)
    if kind == "tensor" then
      if visit then visit(owner, name, key, value) end
    elseif kind == "module" then
      walk(value, name, visit, enter, seen)
    elseif kind == "table" and getmetatable(value) == nil and not seen[value] then
      seen[value] = true
      for i, item in ipairs(value) do look(value, name .. "." .. i, i, item) end
    end
  end
  for _, key in ipairs(rawget(module, ORDER)) do
    local text = tostring(key)
    if text:sub(1, 1) ~= "_" then
      look(module, path == "" and text or path .. "." .. text, key, rawget(module, key))
    end
  end
end

-- tensors, names of the tree that pass `wanted`; a tensor met twice counts once, under its first
-- name
local function collect(module, wanted)
  local tensors, names, seen = {}, {}, {}
  walk(module, "", function(_, name, _, tensor)
    if seen[tensor] or not wanted(tensor) then return end
    seen[tensor] = true
    tensors[#tensors + 1], names[#names + 1] = tensor, name
  end, nil, {})
  return tensors, names
end

local function is_parameter(tensor) return marked[tensor] or tensor:wants_grad() end

--- The parameters, each once, and their names ("conv1.weight"): two lists in the order they were
-- set.
function Module:parameters() return collect(self, is_parameter) end

--- Tensors that belong to the state but are not trained, and their names.
function Module:buffers()
  return collect(self, function(tensor) return not is_parameter(tensor) end)
end

--- Name -> tensor for everything that a checkpoint keeps, and the names in order.
-- These are the live tensors, not copies: clone what must outlive the next step.
function Module:state()
  local tensors, names = collect(self, function() return true end)
  local state = {}
  for i, name in ipairs(names) do state[name] = tensors[i] end
  return state, names
end

local function list_names(names)
  local shown = table.move(names, 1, math.min(#names, 5), 1, {})
  for i, name in ipairs(shown) do shown[i] = "'" .. name .. "'" end
  return table.concat(shown, ", ") .. (#names > 5 and (" and %d more"):format(#names - 5) or "")
end

--- Copies a state into this module. Names must match exactly unless opts.strict is false, which
-- skips what is missing or unexpected; shapes must match always. Nothing is changed unless
-- everything fits.
-- Returns the lists of missing and of unexpected names.
function Module:load(state, opts)
  local o = check("nn.load", opts, { strict = { "boolean", true } })
  local own, names = self:state()
  local missing, unexpected = {}, {}
  for _, name in ipairs(names) do
    local given = state[name]
    if given == nil then
      missing[#missing + 1] = name
    elseif kind_of(given) ~= "tensor" then
      fail("nn.load", ("'%s' must be a tensor, got %s"):format(name, options.say(given)))
    elseif shape_text(given:shape()) ~= shape_text(own[name]:shape()) then
      fail("nn.load", ("'%s' has shape %s here, the state holds %s"):format(name,
        shape_text(own[name]:shape()), shape_text(given:shape())))
    end
  end
  for _, name in ipairs(options.sorted_keys(state)) do
    if own[name] == nil then unexpected[#unexpected + 1] = name end
  end
  if o.strict and #missing > 0 then
    local near = unexpected[1] and options.nearest(missing[1], unexpected)
    fail("nn.load", ("the state lacks %s%s"):format(list_names(missing),
      near and (" (it holds '%s')"):format(near) or ""))
  end
  if o.strict and #unexpected > 0 then
    local names_text = list_names(unexpected)
    fail("nn.load", ("the state holds %s, which this module has no place for"):format(names_text))
  end
  local _ <close> = crun.no_grad()
  for _, name in ipairs(names) do
    if state[name] ~= nil then own[name]:copy_(state[name]) end
  end
  return missing, unexpected
end

--- Every module of the tree, itself first, and their paths ("" for itself).
function Module:modules()
  local modules, paths = {}, {}
  walk(self, "", nil, function(module, path)
    modules[#modules + 1], paths[#paths + 1] = module, path
  end, {})
  return modules, paths
end

local function set_training(self, on)
  for _, module in ipairs((self:modules())) do module.training = on end
  return self
end

--- Training and evaluation mode (dropout, batch norm); both return the module.
function Module:train() return set_training(self, true) end
function Module:eval() return set_training(self, false) end

--- Stops or resumes asking for gradients of all parameters. A frozen parameter stays in
-- parameters() and state().
function Module:requires_grad_(on)
  for _, tensor in ipairs((self:parameters())) do
    marked[tensor] = true
    tensor:requires_grad_(on ~= false)
  end
  return self
end

function Module:zero_grad()
  for _, tensor in ipairs((self:parameters())) do tensor:zero_grad_() end
end

--- Numbers in all parameters.
function Module:count()
  local n = 0
  for _, tensor in ipairs((self:parameters())) do n = n + tensor:numel() end
  return n
end

local function with_commas(n)
  local text = tostring(n):reverse():gsub("(%d%d%d)", "%1,"):reverse()
  return (text:gsub("^,", ""))
end

--- The text in brackets after the name in tostring(net); a class may give its own.
function Module:describe() return "" end

-- what stands directly in a module: { name, module }
local function children(module)
  local list = {}
  local function look(name, value)
    if is_module(value) then
      list[#list + 1] = { name, value }
    elseif type(value) == "function" and math.type(tonumber(name)) == "integer" then
      list[#list + 1] = { name, value }
    elseif type(value) == "table" and getmetatable(value) == nil then
      for i, item in ipairs(value) do look(name .. "." .. i, item) end
    end
  end
  for _, key in ipairs(rawget(module, ORDER)) do
    local name = tostring(key)
    if name:sub(1, 1) ~= "_" then look(name, rawget(module, key)) end
  end
  return list
end

local function lines_of(module, name, indent, lines)
  local prefix = indent .. (name == "" and "" or name .. ": ")
  if type(module) == "function" then
    lines[#lines + 1] = { prefix .. "function", 0 }
    return
  end
  local about = module:describe()
  if about ~= "" then about = "(" .. about .. ")" end
  lines[#lines + 1] = { prefix .. module.name .. about, module:count() }
  for _, child in ipairs(children(module)) do
    lines_of(child[2], child[1], indent .. "  ", lines)
  end
end

--- One line a module, with its number of parameters.
function Module:__tostring()
  local lines, width, digits = {}, 0, 0
  lines_of(self, "", "", lines)
  for _, line in ipairs(lines) do
    width = math.max(width, #line[1])
    line[3] = line[2] == 0 and "" or with_commas(line[2])
    digits = math.max(digits, #line[3])
  end
  local out = {}
  for i, line in ipairs(lines) do
    local count = (" "):rep(width - #line[1] + 2 + digits - #line[3]) .. line[3]
    out[i] = line[1] .. (line[3] == "" and "" or count .. (i == 1 and " parameters" or ""))
  end
  return table.concat(out, "\n")
end

return M
