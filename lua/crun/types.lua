--- types.lua - `crun types > types/crun.lua`: what the Lua language server reads (LuaCATS)
--
-- What is written in C comes from its descriptors, losses written in Lua from their definitions,
-- other modules from the tables themselves; the classes people hold in their hands are spelled out
-- below. Use it by "workspace.library": [".../types"] in .luarc.json.
local crun = require "crun"
local catalogue = require "crun.catalogue"
local options = require "crun.options"

local M = {}

local HEAD <const> = [=[
---@meta crun
-- Written by `crun types`; not read by crun itself.

---@alias crun.number number|crun.Tensor

---@class crun.Tensor
---@operator add(crun.number): crun.Tensor
---@operator sub(crun.number): crun.Tensor
---@operator mul(crun.number): crun.Tensor
---@operator div(crun.number): crun.Tensor
---@operator pow(crun.number): crun.Tensor
---@operator unm: crun.Tensor
---@operator len: integer
---@field [integer] crun.Tensor|number the i-th row, from 1; of a tensor of one dimension its value
local Tensor = {}
---@return integer[]
function Tensor:shape() end
---@param dim integer
---@return integer
function Tensor:size(dim) end
---@return integer
function Tensor:ndim() end
---@return integer
function Tensor:numel() end
---@return "float32"|"float64"|"int64"|"uint8"
function Tensor:dtype() end
---The one value of a tensor of one element.
---@return number
function Tensor:item() end
---Nested arrays.
---@return any
function Tensor:totable() end
---@param wanted boolean
---@return crun.Tensor self
function Tensor:requires_grad_(wanted) end
---@return boolean
function Tensor:wants_grad() end
---@return crun.Tensor?
function Tensor:grad() end
function Tensor:zero_grad_() end
---@param grad? crun.Tensor
function Tensor:backward(grad) end
---@return crun.Tensor
function Tensor:detach() end
---@return crun.Tensor
function Tensor:clone() end
---@return crun.Tensor
function Tensor:contiguous() end
---@return boolean
function Tensor:is_contiguous() end
---@return crun.Tensor
function Tensor:real() end
---@return crun.Tensor
function Tensor:int() end
---@return crun.Tensor
function Tensor:byte() end
---@param source crun.Tensor
---@return crun.Tensor self
function Tensor:copy_(source) end
---@param value number
---@return crun.Tensor self
function Tensor:fill_(value) end
---@return crun.Tensor self
function Tensor:zero_() end
---self + alpha other, in place
---@param other crun.number
---@param alpha? number
---@return crun.Tensor self
function Tensor:add_(other, alpha) end
---@param factor crun.number
---@return crun.Tensor self
function Tensor:mul_(factor) end

---@class crun.Rng
local Rng = {}
---@return number in [0, 1)
function Rng:uniform() end
---@return number
function Rng:normal() end
---@param n integer
---@return integer from 0 to n - 1
function Rng:below(n) end
---@param list any[]
function Rng:shuffle(list) end

---@class crun.Criterion
---@field stats table<string, number> what the last call counted
---@field [string] any an option
---@overload fun(embeddings: crun.Tensor, labels: crun.Tensor, ...: crun.Tensor): crun.Tensor

---What losses over labelled batches take beside their own options.
---@class crun.losses.general
---@field distance? string|table a name, or an object of crun.distances
---@field reducer? string|table a name, or an object of crun.reducers
---@field regularizer? table { object of crun.regularizers, weight }

---@class crun.Run
---@field path string the run folder
---@field resumed boolean? true when it goes on where it stopped
local Run = {}
---Registers what a checkpoint keeps; in a resumed run it is loaded here.
---@param objects table<string, any> objects with state() and load(state), or tensors
---@return crun.Run self
function Run:checkpoint(objects) end
---@param n integer
---@return fun(): integer?
function Run:epochs(n) end
---@param source any a sampler, an iterator of batches, or a number of steps
---@return fun(): any, ...
function Run:steps(source, ...) end
---@return integer
function Run:step() end
---@param values table<string, crun.number>
---@param prefix? string
---@return crun.Run self
function Run:log(values, prefix) end
---Stops the run with exit code 5 when the loss is NaN or infinite.
---@param loss crun.number
---@param name? string
---@return number
function Run:check_loss(loss, name) end
function Run:save() end
---@param value crun.number
---@param mode? "max"|"min"
---@return boolean better
function Run:save_best(value, mode) end
---@param patience integer
---@return boolean
function Run:early_stop(patience) end
---@param name "best"|"last"
---@return { epoch: integer, step: integer, value: number? }
function Run:restore(name) end
---@param values table<string, crun.number|string|boolean>
---@return crun.Run self
function Run:summary(values) end
---@param names string[]
---@return table<string, { step: integer[], value: number[] }>
function Run:history(names) end
---@param name string
---@param picture? crun.Tensor|string
---@return string path
function Run:picture(name, picture) end
---@return crun.Run self
function Run:finish() end

---@class crun.ImageSet
---@field images crun.Tensor uint8 [N 1 H W]
---@field labels crun.Tensor int64 [N]
---@field names string[] the people of this set
---@field all_names string[] all_names[label] is the name of a label
---@field files string[]
local ImageSet = {}
---@param parts table<string, number|string[]|"rest">
---@return table<string, crun.ImageSet>
function ImageSet:split(parts) end

---@class crun
---@field version string
---@field precision "float32"|"float64"
---@field script string
---@field args string[]
---@field nn crun.nn
---@field optim crun.optim
---@field sampler crun.sampler
---@field schedule crun.schedule
---@field eval crun.eval
---@field losses crun.losses
---@field miners crun.miners
---@field relation fun(opts: table): any supervision: labels, pairs or triplets
---@field distances table<string, fun(opts?: table): any>
---@field reducers table<string, fun(opts?: table): any>
---@field regularizers table<string, fun(opts?: table): any>
---@field metrics crun.metrics
---@field data crun.data
---@field io crun.io
local crun = {}
---@generic T: table
---@param settings T
---@return T
function crun.config(settings) end
---@param cfg? table
---@param opts? { name: string }
---@return crun.Run
function crun.start(cfg, opts) end
---@param folder string
---@param opts? { size: integer|integer[], least: integer }
---@return crun.ImageSet
function crun.imagefolder(folder, opts) end
---@param values any
---@return crun.Tensor
function crun.tensor(values) end
---@param values any
---@return crun.Tensor
function crun.int(values) end
---@param values any
---@return crun.Tensor
function crun.byte(values) end
---@param value number
---@return crun.Tensor
function crun.scalar(value) end
---@param ... integer
---@return crun.Tensor
function crun.zeros(...) end
---@param ... integer
---@return crun.Tensor
function crun.ones(...) end
---@param shape integer[]
---@param value number
---@return crun.Tensor
function crun.full(shape, value) end
---@param first number
---@param last? number
---@param step? number
---@return crun.Tensor
function crun.arange(first, last, step) end
---@param n integer
---@return crun.Tensor
function crun.eye(n) end
---@param rng crun.Rng
---@param ... integer
---@return crun.Tensor
function crun.rand(rng, ...) end
---@param rng crun.Rng
---@param ... integer
---@return crun.Tensor
function crun.randn(rng, ...) end
---@param rng crun.Rng
---@param n integer
---@return crun.Tensor
function crun.randperm(rng, n) end
---@param seed integer
---@param stream string
---@param place? integer
---@return crun.Rng
function crun.rng(seed, stream, place) end
---To be closed: `local _ <close> = crun.no_grad()`
function crun.no_grad() end
---Runs f and frees every tensor it made but those it returns.
---@generic T
---@param f fun(...): T
---@return T
function crun.scope(f, ...) end
---@param a crun.Tensor
---@param b crun.Tensor
---@param rtol? number
---@param atol? number
---@return boolean
function crun.allclose(a, b, rtol, atol) end
---@param value any
---@return string
function crun.inspect(value) end
---@param code? integer
function crun.exit(code) end]=]

local KINDS <const> = { number = "number", count = "integer", flag = "boolean", dim = "integer",
  dims = "integer|integer[]",
  counts = "integer|integer[]", index = "integer", text = "string" }

local RESERVED <const> = { ["repeat"] = true, ["and"] = true, ["end"] = true, ["in"] = true,
  ["not"] = true, ["or"] = true }

local function kind_text(o)
  if o.kind ~= "choice" then return KINDS[o.kind] or "any" end
  return (o.choices:gsub("%S+", '"%0"'):gsub(" ", "|"))
end

-- the class of an options table
local function options_class(name, d, general)
  print(("---@class %s%s"):format(name, general and ": crun.losses.general" or ""))
  for _, o in ipairs(d.options) do
    print(("---@field %s%s %s %s"):format(o.name, o.required and "" or "?", kind_text(o), o.help or
      ""))
  end
  print()
end

local function comment(d)
  print("---" .. (d.help or ""))
  if d.formula and d.formula ~= "" then print("---\n---    " .. d.formula:gsub("%s+", " ")) end
end

-- one operator as crun.x(a, b, options) and a:x(b, options)
local function operator(room, name, d)
  local class = ("crun.%s.%s.options"):format(room, name)
  options_class(class, d)
  local function signature(owner, first)
    comment(d)
    local names = {}
    for i = first, #d.inputs do
      local input = d.inputs[i]
      local kind = input.list and "crun.Tensor[]" or input.type == "real" and "crun.number" or
        "crun.Tensor"
      local plain = RESERVED[input.name] and input.name .. "_" or input.name
      print(("---@param %s%s %s %s"):format(plain, input.optional and "?" or "", kind,
        input.shape or ""))
      names[#names + 1] = plain
    end
    if #d.options > 0 then
      print(("---@param ... any|%s options by place, or one table of them"):format(class))
      names[#names + 1] = "..."
    end
    local results = math.max(1, #(d.outputs or {}))
    print("---@return crun.Tensor" .. (", crun.Tensor"):rep(results - 1))
    print(("function %s%s(%s) end\n"):format(owner, name, table.concat(names, ", ")))
  end
  if RESERVED[name] then return end
  signature(room == "ops" and "crun." or room .. ".", 1)
  if room == "ops" and #d.inputs > 0 and not d.inputs[1].list then signature("Tensor:", 2) end
end

local function module(name, value)
  print(("---@class crun.%s"):format(name))
  print(("local %s = {}"):format(name))
  for _, key in ipairs(options.sorted_keys(value)) do
    if type(value[key]) == "function" and key:find("^[%a][%w_]*$") and not RESERVED[key] then
      print(("---@return any\nfunction %s.%s(...) end"):format(name, key))
    elseif type(value[key]) == "table" and key:find("^%u") then
      print(("---@type fun(...): any\n%s.%s = nil"):format(name, key))
    end
  end
  print()
end

--- Prints the file.
function M.run()
  print(HEAD)
  print()
  local rooms = crun.describe()
  for _, room in ipairs(options.sorted_keys(rooms)) do
    if room ~= "ops" then
      print(("---@class crun.%s\nlocal %s = {}\n"):format(room == "optim" and
        "optim_step" or room, room))
    end
    for _, name in ipairs(catalogue.names(room)) do
      local d = catalogue.describe(room, name)
      if room == "losses" or room == "miners" then
        local class = ("crun.%s.%s.options"):format(room, name)
        options_class(class, d, d.lua or d.composed)
        comment(d)
        print(("---@param options? %s\n---@return crun.Criterion\nfunction %s.%s(options) end\n"):format(class, room, name))
      elseif room ~= "optim" then
        operator(room, name, d)
      end
    end
  end
  for _, name in ipairs { "nn", "optim", "sampler", "schedule", "eval", "pca", "plot", "io" } do
    module(name, crun[name])
  end
  print "return crun"
end

return M
