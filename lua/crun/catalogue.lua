--- Every concept that has a name, however it is written: in C, or in Lua with operators.
--
--     catalogue.names "losses"                  --> { "alignment", "angular", ... }
--     catalogue.describe("losses", "angular")   --> { help =, formula =, options = {...}, ... }
--
-- What is written in C is described by its descriptor (crun.describe). A loss written in Lua is
-- described by its definition (lua/crun/loss/NAME.lua, or crun.loss.define) and by the comment its
-- file begins with: the first sentence is its help, what is indented its formula, the paragraph
-- with a year its paper. `crun help`, `crun docs` and `crun types` read from here.
--
-- @module crun.catalogue
local crun = require "crun"
local options = require "crun.options"
local ui = require "crun.ui"

local M = {}

-- the comment a file begins with, as paragraphs of lines
local function head_comment(path)
  local file = io.open(path)
  if not file then return nil end
  local paragraphs, current = {}, {}
  for line in file:lines() do
    local text = line:match "^%-%-%-?(.*)$"
    if not text then break end
    if text:find "%S" then current[#current + 1] = text:gsub("^ ", "")
    elseif #current > 0 then
      paragraphs[#paragraphs + 1] = current
      current = {}
    end
  end
  file:close()
  if #current > 0 then paragraphs[#paragraphs + 1] = current end
  return paragraphs
end

-- "Angular loss, composed: one term for each positive pair." -> without the last dot
local function first_sentence(text)
  local sentence = text:match "^(.-%l)%.%s" or text:gsub("%.%s*$", "")
  return (sentence:gsub("%s+", " "))
end

--- help, formula and paper out of the comment of lua/crun/loss/NAME.lua.
function M.from_comment(name)
  local paragraphs = head_comment(("%s/crun/loss/%s.lua"):format(crun.library, name))
  if not paragraphs then return {} end
  local found, formula = {}, {}
  for i, lines in ipairs(paragraphs) do
    local text = table.concat(lines, " ")
    if lines[1]:find "^%s%s" then
      if i <= 3 then
        for _, line in ipairs(lines) do formula[#formula + 1] = line:match "^%s*(.-)%s*$" end
      end
    elseif i == 1 then found.help = first_sentence(text) end
    if not lines[1]:find "^%s" and text:find "%f[%d][12]%d%d%d%f[%D]" then
      -- the sentence that holds the year, and what follows it
      local before = text:match "^(.*[%l%d%)]%. )[%u][^.]-[12]%d%d%d" or ""
      found.paper = text:sub(#before + 1):gsub("%.%s*$", "")
    end
  end
  if #formula > 0 then found.formula = table.concat(formula, "\n") end
  return found
end

-- name -> line of crun.options  as a list in the form of a descriptor's options
local function option_list(spec)
  local list = {}
  for _, name in ipairs(options.sorted_keys(spec)) do
    local line = spec[name]
    if type(line) == "string" then line = { line } end
    local kind = line[1]:match "^%w+"
    list[#list + 1] = {
      name = name, default = line[2], help = line.help or "", least = line.least or line.above,
      most = line.most or math.huge, choices = line.choices and table.concat(line.choices, " "),
      required = line[2] == nil and not line[1]:find "%?$",
      kind = kind == "count" and "count" or kind == "number" and "number" or
        kind == "boolean" and "flag" or line.choices and "choice" or "any",
    }
    if list[#list].least == nil then list[#list].most = nil end
  end
  return list
end

-- What lua/crun/loss holds: name -> "composed" for a definition, "wrapper" for a criterion around
-- others.
local files
local function lua_losses()
  if files then return files end
  files = {}
  for _, file in ipairs((crun.io.list(crun.library .. "/crun/loss"))) do
    local name = file:match "^([%w_]+)%.lua$"
    local found = name and require("crun.loss." .. name)
    if type(found) == "table" and found.forward then files[name] = "composed"
    elseif type(found) == "function" or (getmetatable(found) or {}).__call then
      files[name] = "wrapper"
    end
  end
  return files
end

-- losses made by crun.loss.define
local function defined() return rawget(require "crun.loss", "defined") or {} end

-- the definition of a loss written in Lua: a table, or nil
local function definition_of(name)
  local kind = lua_losses()[name]
  return kind == "composed" and require("crun.loss." .. name) or kind and {} or nil
end

local BATCH <const> = {
  { name = "embeddings", shape = "B D", type = "real" },
  { name = "labels", shape = "B", type = "int64" },
  { name = "references", shape = "R D", type = "real", optional = true },
  { name = "reference_labels", shape = "R", type = "int64", optional = true },
}

--- The names of a room ("losses", "miners", "metrics", "ops", "data", "optim"), sorted.
function M.names(room)
  local seen, list = {}, {}
  for _, name in ipairs(crun.describe()[room] or {}) do seen[name] = true end
  if room == "losses" then
    for name in pairs(lua_losses()) do seen[name] = true end
    for name in pairs(defined()) do seen[name] = true end
  end
  for name in pairs(seen) do list[#list + 1] = name end
  table.sort(list)
  return list
end

--- Everything about a concept, in the form of crun.describe, or nil. `lua` is true when it is
-- written in Lua only, `composed` when it has a form in Lua as well, `wrapper` when it holds other
-- losses.
function M.describe(room, name)
  local d = crun.describe(room, name)
  local definition = room == "losses" and definition_of(name) or nil
  if not d and room == "losses" and defined()[name] then
    d = require("crun.loss").describe(name)
    d.lua, d.inputs, d.outputs, d.stats = true, d.inputs or BATCH, {}, {}
    d.help = d.help or ""
    return d
  end
  if d then
    d.composed = definition ~= nil
    return d
  end
  if not definition then return nil end
  local comment = M.from_comment(name)
  return {
    name = name, room = room, lua = true, differentiable = true,
    wrapper = lua_losses()[name] == "wrapper",
    help = definition.help or comment.help or "", formula = definition.formula or comment.formula,
    paper = definition.paper or comment.paper, differs = definition.differs,
    inputs = definition.inputs or BATCH, outputs = {}, stats = {},
    options = definition.options and option_list(definition.options) or {},
  }
end

--- The default of an option, as people read it.
function M.default_text(o)
  local value = o.default
  if value == nil then return o.required and "..." or "nil" end
  if type(value) == "table" then
    local list = {}
    for i, v in ipairs(value) do list[i] = tostring(v) end
    return "{" .. table.concat(list, ", ") .. "}"
  end
  if type(value) ~= "number" or math.abs(value) == math.huge then return tostring(value) end
  return ui.number(math.tointeger(value) or value)
end

return M
