--- Losses of one's own from a formula of distances, run in C.
--
--     local loss = require "crun.loss"
--     local contrastive = loss.pairwise(function(d, same)
--       if same then return d ^ 2 / 2 end
--       return (1 - d):relu() ^ 2 / 2
--     end)
--     local hinge = loss.triplet(function(ap, an, o) return (ap - an + o.margin):relu() end,
--       { params = { margin = 0.2 }, normalize = true, reduction = "nonzero" })
--     hinge.margin = 0.3
--     contrastive(z, labels):backward()
--
-- The function is not called for each pair. It is called once, with symbols in place of distances
-- (pairwise: once with same = true and once with false); what it does with them is written down as
-- a formula, which is differentiated, and both are evaluated in C over rows of distances
-- (runtime/kernels/expression.h). So it must be the same computation for all distances: choose with
-- where, not with `if d < 1`, which is an error.
--
-- A symbol knows + - * / ^ and unary minus with symbols and numbers, and as methods: exp log sqrt
-- relu abs square sigmoid softplus pow, maximum minimum (of two; the first wins a tie), lt le gt ge
-- (1 or 0), c:where(a, b). The same names are functions of closure.math, for numbers too.
-- Derivatives: of relu, abs and sqrt at 0 it is 0.
--
-- Options beside `params`, whose entries become options of the criterion and are given to the
-- function as its last argument: distance, squared, normalize, reduction (mean, sum, nonzero), and
-- all that losses over labelled batches know (reducer, regularizer, composed). A criterion of this
-- kind is called like any other: criterion(z, labels [, references, reference_labels]), with a
-- relation, with tuples. What is not plain labels is worked out with operators, in memory B^2.
--
-- @module crun.closure
local crun = require "crun"
local options = require "crun.options"

local M = {}
local fail = crun.fail

-- in the order of runtime/kernels/expression.h
local FUNCTIONS <const> = { "add", "sub", "mul", "div", "pow", "maximum", "minimum", "lt", "le",
  "where", "neg", "exp", "log", "sqrt", "relu", "abs", "square", "sigmoid", "softplus" }
local ARITY <const> = { where = 3, neg = 1, exp = 1, log = 1, sqrt = 1, relu = 1, abs = 1,
  square = 1, sigmoid = 1, softplus = 1 }
local CODE <const> = {}
for i, name in ipairs(FUNCTIONS) do CODE[name] = i - 1 end

-- ---- formulas -----------------------------------------------------------------------------------

-- A node is { name, operands... }; constants are { "number", value }, inputs { "input", k }. Equal
-- nodes of one trace are one table, so that what is used twice is worked out once.
local Node = { __name = "crun.symbol" }
local trace                                             -- nodes by key, while a formula is written

local function is_node(v) return type(v) == "table" and getmetatable(v) == Node end

local function intern(key, node)
  local known = trace.nodes[key]
  if known then return known end
  trace.count = trace.count + 1
  node.id, node.trace = trace.count, trace
  trace.nodes[key] = setmetatable(node, Node)
  return node
end

local function number(v)
  return intern(("#%a"):format(v), { "number", v + 0.0 })
end

local function symbol(v, where)
  if is_node(v) then
    if v.trace ~= trace then
      error("a symbol of a closure is used outside of it", 0)
    end
    return v
  elseif type(v) == "number" then
    return number(v)
  elseif type(v) == "boolean" then
    error("`same` is true or false: write if same then ... else ... end", 0)
  elseif options.kind(v) == "tensor" then
    error("a closure computes with numbers, got a tensor: use t:item()", 0)
  end
  error(("%s needs numbers or symbols, got %s"):format(where, options.say(v)), 0)
end

local function value_of(node) return node[1] == "number" and node[2] or nil end

-- what functions of numbers are
local NUMBERS <const> = {
  add = function(a, b) return a + b end, sub = function(a, b) return a - b end,
  mul = function(a, b) return a * b end, div = function(a, b) return a / b end,
  pow = function(a, b) return a ^ b end,
  maximum = function(a, b) return a < b and b or a end,
  minimum = function(a, b) return b < a and b or a end,
  lt = function(a, b) return a < b and 1 or 0 end, le = function(a, b) return a <= b and 1 or 0 end,
  where = function(c, a, b) return c ~= 0 and a or b end,
  neg = function(a) return -a end, exp = math.exp, log = math.log, sqrt = math.sqrt,
  relu = function(a) return a < 0 and 0 or a end, abs = math.abs,
  square = function(a) return a * a end, sigmoid = function(a) return 1 / (1 + math.exp(-a)) end,
  softplus = function(a) return math.max(a, 0) + math.log(1 + math.exp(-math.abs(a))) end,
}

local make

-- x + 0, 1 x, x^2 ... as something shorter; nil when there is nothing
local function shorter(name, a, b, c)
  local va, vb = value_of(a), b and value_of(b)
  if name == "add" then
    if va == 0 then return b elseif vb == 0 then return a end
  elseif name == "sub" then
    if vb == 0 then return a elseif va == 0 then return make("neg", b) end
  elseif name == "mul" then
    if va == 0 or vb == 0 then return number(0) end
    if va == 1 then return b elseif vb == 1 then return a end
    if va == -1 then return make("neg", b) elseif vb == -1 then return make("neg", a) end
    if a == b then return make("square", a) end
  elseif name == "div" then
    if va == 0 then return number(0) elseif vb == 1 then return a end
    if vb and vb ~= 0 and 1 / vb - 1 / vb == 0 then return make("mul", a, number(1 / vb)) end
  elseif name == "pow" then
    if vb == 1 then return a elseif vb == 2 then return make("square", a)
    elseif vb == 3 then return make("mul", make("square", a), a)
    elseif vb == 4 then return make("square", make("square", a))
    elseif vb == 0.5 then return make("sqrt", a) elseif vb == 0 then return number(1)
    elseif vb == -1 then return make("div", number(1), a) end
  elseif name == "where" then
    if b == c then return b elseif va then return va ~= 0 and b or c end
  elseif name == "neg" and a[1] == "neg" then
    return a[2]
  end
end

function make(name, a, b, c)
  local va, vb, vc = value_of(a), b and value_of(b), c and value_of(c)
  local arity = ARITY[name] or 2
  if va and (arity < 2 or vb) and (arity < 3 or vc) then
    return number(NUMBERS[name](va, vb, vc))
  end
  local short = shorter(name, a, b, c)
  if short then return short end
  local key = table.concat({ name, a.id, b and b.id or "", c and c.id or "" }, " ")
  return intern(key, { name, a, b, c })
end

local function method(name)
  local arity = ARITY[name] or 2
  return function(...)
    if select("#", ...) ~= arity then
      error(("%s takes %d values, got %d"):format(name, arity, select("#", ...)), 0)
    end
    local a, b, c = ...
    return make(name, symbol(a, name), arity > 1 and symbol(b, name) or nil,
      arity > 2 and symbol(c, name) or nil)
  end
end

local methods = {}
for _, name in ipairs(FUNCTIONS) do methods[name] = method(name) end
function methods.gt(a, b) return methods.lt(b, a) end
function methods.ge(a, b) return methods.le(b, a) end
methods.max, methods.min = methods.maximum, methods.minimum

Node.__index = function(_, key)
  return methods[key] or error(("a symbol has no '%s'; it has %s"):format(tostring(key),
    table.concat(FUNCTIONS, ", ")), 0)
end
for _, name in ipairs { "add", "sub", "mul", "div", "pow" } do
  Node["__" .. name] = methods[name]
end
Node.__unm = function(a) return methods.neg(a) end
local function compared()
  error("distances cannot be compared with < in a closure, it runs once for all of them: " ..
    "write a:lt(b):where(x, y)", 0)
end
Node.__lt, Node.__le = compared, compared
Node.__concat = function() error("a symbol is no text", 0) end

-- ---- derivatives --------------------------------------------------------------------------------

-- Where a factor may be infinite a choice stands in place of a product with 0, so that nothing
-- finite becomes nan.
local SLOPES <const> = {
  add = function(_, a, b) return a + b end,
  sub = function(_, a, b) return a - b end,
  mul = function(n, a, b) return a * n[3] + n[2] * b end,
  div = function(n, a, b) return (a - n * b) / n[3] end,
  pow = function(n, a, b)
    local power = value_of(n[3])
    if power then
      local slope = n[2] ^ (power - 1) * power * a
      return power < 1 and methods.lt(0, n[2]:abs()):where(slope, 0) or slope
    end
    local by_exponent = value_of(b) == 0 and number(0) or n * (n[2]:log() * b)
    return value_of(a) == 0 and by_exponent or by_exponent + n[3] * n[2] ^ (n[3] - 1) * a
  end,
  maximum = function(n, a, b) return n[2]:lt(n[3]):where(b, a) end,
  minimum = function(n, a, b) return n[3]:lt(n[2]):where(b, a) end,
  lt = function() return number(0) end,
  le = function() return number(0) end,
  where = function(n, _, b, c) return n[2]:where(b, c) end,
  neg = function(_, a) return -a end,
  exp = function(n, a) return n * a end,
  log = function(n, a) return a / n[2] end,
  sqrt = function(n, a) return methods.lt(0, n[2]):where(a * 0.5 / n, 0) end,
  relu = function(n, a) return methods.lt(0, n[2]):where(a, 0) end,
  abs = function(n, a) return methods.lt(0, n[2]):where(a, n[2]:lt(0):where(-a, 0)) end,
  square = function(n, a) return n[2] * 2 * a end,
  sigmoid = function(n, a) return n * (1 - n) * a end,
  softplus = function(n, a) return n[2]:sigmoid() * a end,
}

-- the derivative of node by input k; done: by node, what is known already
local function slope(node, k, done)
  local known = done[node]
  if known then return known end
  local s
  if node[1] == "number" then s = number(0)
  elseif node[1] == "input" then s = number(node[2] == k and 1 or 0)
  else
    local inner, constant = {}, true
    for i = 2, 1 + (ARITY[node[1]] or 2) do
      inner[i - 1] = slope(node[i], k, done)
      constant = constant and value_of(inner[i - 1]) == 0
    end
    s = constant and number(0) or symbol(SLOPES[node[1]](node, table.unpack(inner)))
  end
  done[node] = s
  return s
end

-- ---- programs -----------------------------------------------------------------------------------

-- steps in an order in which operands come first
local function sorted(outputs)
  local list, seen = {}, {}
  local function visit(node)
    if seen[node] then return end
    seen[node] = true
    if CODE[node[1]] then
      for i = 2, 1 + (ARITY[node[1]] or 2) do visit(node[i]) end
      list[#list + 1] = node
    end
  end
  for _, node in ipairs(outputs) do visit(node) end
  return list
end

-- rows of five numbers; constants: value -> place, shared by the programs of one loss
local function compile(inputs, outputs, constants, n_constants)
  local steps = sorted(outputs)
  local last = {}                                       -- the step that uses a node last
  for at, node in ipairs(steps) do
    for i = 2, #node do last[node[i]] = at end
  end
  for _, node in ipairs(outputs) do last[node] = math.huge end
  local place, free, registers = {}, {}, 0
  local function operand(node)
    if node[1] == "input" then return node[2] - 1 end
    if node[1] == "number" then return inputs + constants[node[2]] end
    return inputs + n_constants + place[node]
  end
  local rows = {}
  for at, node in ipairs(steps) do
    -- a fresh place first: a step never writes what it reads
    local to = table.remove(free)
    if not to then to, registers = registers, registers + 1 end
    place[node] = to
    local row = { CODE[node[1]], operand(node), 0, 0, 0 }
    for i = 2, #node do row[i + 1] = operand(node[i]) end
    rows[#rows + 1] = row
    local freed = {}
    for i = 2, #node do
      local used = node[i]
      if last[used] == at and place[used] and not freed[used] then
        freed[used], free[#free + 1] = true, place[used]
      end
    end
  end
  local head = { inputs, registers, -1, -1, -1 }
  for k, node in ipairs(outputs) do
    if k == 1 or value_of(node) ~= 0 then head[2 + k] = operand(node) end
  end
  table.insert(rows, 1, head)
  return crun.int(rows)
end

local NAMES <const> = { { "d" }, { "ap", "an" } }

-- calls f with symbols; returns the node of its value and of its derivatives
local function write_down(where, f, inputs, ...)
  local symbols = {}
  for k = 1, inputs do
    symbols[k] = intern(NAMES[inputs][k], { "input", k })
  end
  local arguments = table.pack(table.unpack(symbols))
  for _, v in ipairs { ... } do arguments[#arguments + 1] = v end
  local ok, result = pcall(f, table.unpack(arguments))
  if not ok then fail(where, tostring(result)) end
  if type(result) == "number" then result = number(result) end
  if not is_node(result) then
    fail(where, "the function must return a value made of its distances, got " ..
      options.say(result))
  end
  local outputs = { result }
  for k = 1, inputs do outputs[k + 1] = slope(result, k, {}) end
  return outputs
end

-- programs (int tensors) of a list of formulas and the constants they share
local function programs(inputs, formulas)
  local constants, values = {}, {}
  local function collect(node, seen)
    if seen[node] then return end
    seen[node] = true
    if node[1] == "number" then
      if not constants[node[2]] then
        if node[2] - node[2] ~= 0 then error(("a constant is %s"):format(node[2]), 0) end
        values[#values + 1] = node[2]
        constants[node[2]] = #values - 1
      end
      return
    end
    if CODE[node[1]] then
      for i = 2, #node do collect(node[i], seen) end
    end
  end
  for _, outputs in ipairs(formulas) do
    for _, node in ipairs(outputs) do collect(node, {}) end
  end
  local list = {}
  for k, outputs in ipairs(formulas) do list[k] = compile(inputs, outputs, constants, #values) end
  return list, #values > 0 and crun.tensor(values) or crun.zeros(0)
end

local function tracing(f)
  local before = trace
  trace = { nodes = {}, count = 0 }
  local ok, a, b = pcall(f)
  trace = before
  if not ok then error(a, 0) end
  return a, b
end

-- ---- criteria -----------------------------------------------------------------------------------

local function params_of(where, opts)
  local own, params = {}, {}
  if opts ~= nil and options.kind(opts) ~= "table" then
    fail(where, "takes a function and a table of options, got " .. options.say(opts))
  end
  for key, value in pairs(opts or {}) do
    if key == "params" then
      if options.kind(value) ~= "table" then fail(where, "params must be a table of numbers") end
      for name, v in pairs(value) do
        if type(name) ~= "string" or type(v) ~= "number" then
          fail(where, "params must be a table of numbers, as in { margin = 0.2 }")
        end
        params[name] = v
      end
    else own[key] = value end
  end
  return own, params
end

-- definition.call for the fused form: the programs go behind the common inputs
local function criterion(where, name, f, opts, write, forward)
  if type(f) ~= "function" then fail(where, "takes a function first, got " .. options.say(f)) end
  local own, params = params_of(where, opts)
  local spec = {}
  for key, v in pairs(params) do spec[key] = { "number", v } end
  local list, numbers
  local function values(self)
    local o = {}
    for key in pairs(params) do o[key] = self and self[key] or params[key] end
    return o
  end
  local function rewrite(self)
    list, numbers = tracing(function() return write(where, f, values(self)) end)
  end
  rewrite()
  local inner = require("crun.loss.criterion").constructor {
    name = name, help = "a formula of distances of one's own", options = spec,
    distance = "euclidean", reducer = "mean",
    changed = function(self, key) if params[key] then rewrite(self) end end,
    call = function(self, z, labels, references, reference_labels)
      local inputs = table.pack(table.unpack(list))
      inputs[#inputs + 1] = numbers
      return self._native(z, labels, references, reference_labels, table.unpack(inputs))
    end,
    forward = function(_, c) return { forward(c, f, values(c.criterion)) } end,
  }
  return inner(own)
end

-- a result of f on tensors, which may be a number
local function losses_like(d, value)
  if type(value) == "number" then return d * 0 + value end
  return value
end

--- The mean of f(d, same [, params]) over all pairs.
function M.pairwise(f, opts)
  return criterion("loss.pairwise", "pairwise_closure", f, opts, function(where, g, o)
    return programs(1, { write_down(where, g, 1, true, o), write_down(where, g, 1, false, o) })
  end, function(c, g, o)
    local a, p, a2, n, wp, wn = c:pairs()
    local d, e = c:at(a, p), c:at(a2, n)
    local losses = crun.cat({ losses_like(d, g(d, true, o)), losses_like(e, g(e, false, o)) }, 1)
    local weight
    if wp or wn then weight = crun.cat({ wp or crun.ones(#a), wn or crun.ones(#a2) }, 1) end
    return c.pair(losses, crun.cat({ a, a2 }, 1), crun.cat({ p, n }, 1), weight)
  end)
end

--- The mean of f(ap, an [, params]) over all triplets.
function M.triplet(f, opts)
  return criterion("loss.triplet", "triplet_closure", f, opts, function(where, g, o)
    return programs(2, { write_down(where, g, 2, o) })
  end, function(c, g, o)
    local a, p, n, weight = c:triplets()
    local ap, an = c:at(a, p), c:at(a, n)
    return c.triplet(losses_like(ap, g(ap, an, o)), a, weight)
  end)
end

--- The functions of a closure, for numbers, symbols and tensors alike.
M.math = {}
for name, f in pairs(methods) do
  local short = ({ max = "maximum", min = "minimum" })[name] or name
  local plain = ({ gt = "lt", ge = "le" })[name] or short
  local turned = name == "gt" or name == "ge"
  M.math[name] = function(...)
    local all_numbers, tensor = true, nil
    for i = 1, select("#", ...) do
      local v = select(i, ...)
      all_numbers = all_numbers and type(v) == "number"
      tensor = tensor or options.kind(v) == "tensor" and v
    end
    if tensor then return crun[short](...) end
    if not all_numbers then return f(...) end
    local a, b, c = ...
    if turned then a, b = b, a end
    return NUMBERS[plain](a, b, c)
  end
end

return M
