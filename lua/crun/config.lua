--- config.lua - every setting of a script in one table
--
--     local cfg = crun.config {
--       lr     = 1e-3,                                             -- a number
--       emb    = { 64, min = 2, help = "embedding size" },         -- default, and what is known
--       loss   = { "triplet", choices = { "triplet", "contrastive" } },
--       widths = { 32, 64 },                                       -- a list: widths=16,32
--       batch  = { classes = 8, per_class = 4 },                   -- a group: batch.classes=16
--     }
--
-- Defaults < KEY=VALUE on the command line. The kind of a setting is the kind of its default: a
-- whole number stays whole, a number with a point takes any number, true / false, text, or a list
-- of one of these. `--help` behind the script prints the settings, `--config` prints their values
-- and where each comes from; both end the program. The result is a plain table of values, strict: a
-- key that was not declared can be neither read nor written. Errors end with exit code 3.
local crun = require "crun"
local options = require "crun.options"
local provenance = require "crun.provenance"
local ui = require "crun.ui"

local M = {}

local ECONFIG <const> = 3
local FIELDS <const> = { min = true, max = true, least = true, most = true, choices = true,
  help = true }
local declared_at                -- where crun.config was called, to refuse a second call

-- cfg -> { at = path prefix, names = { key = true }, entries = list of all settings (root only) }
local about = setmetatable({}, { __mode = "k" })

local function fail(text, ...)
  crun.fail("config", select("#", ...) > 0 and text:format(...) or text, ECONFIG)
end

-- ---- what a script declares ---------------------------------------------------------------------

local KIND_WORDS <const> = {
  integer = "a whole number", float = "a number", boolean = "true or false", string = "text",
}

local function kind_of(value)
  local kind = type(value)
  return kind == "number" and math.type(value) or kind
end

-- the kind of a list's elements: whole numbers and others together are numbers
local function element_kind(path, list)
  local kind
  for _, value in ipairs(list) do
    local k = kind_of(value)
    if kind == "integer" and k == "float" or kind == "float" and k == "integer" then k = "float" end
    if not KIND_WORDS[k] or kind and k ~= kind and k ~= "float" then
      fail("the list %s must hold numbers, texts or true/false, all of one kind", path)
    end
    kind = k
  end
  return kind
end

local function is_list(value)
  if type(value) ~= "table" then return false end
  local n = 0
  for key in pairs(value) do
    if math.type(key) ~= "integer" then return false end
    n = n + 1
  end
  return n == #value and n > 0
end

-- One setting from its declaration: a value, a list, or { default, least =, most =, choices =, help
-- = }.
local function new_entry(path, declared)
  local entry = { path = path, origin = "default", default = declared }
  if type(declared) == "table" and not is_list(declared) then
    for field in pairs(declared) do
      if field ~= 1 and not FIELDS[field] then
        local near = options.nearest(tostring(field),
          { "least", "most", "min", "max", "choices", "help" })
        fail("the setting %s has a field '%s'; it takes a default in front, and min, max, choices, help%s", path,
             tostring(field), near and (" (did you mean '%s'?)"):format(near) or "")
      end
    end
    entry.default, entry.help = declared[1], declared.help
    entry.least, entry.most = declared.min or declared.least, declared.max or declared.most
    entry.choices = declared.choices
  end
  if type(entry.default) == "table" then
    entry.kind, entry.of = "list", element_kind(path, entry.default)
  else
    entry.kind = kind_of(entry.default)
    if not KIND_WORDS[entry.kind] then
      fail("the default of %s must be a number, text, true/false or a list, got %s", path,
        options.say(entry.default))
    end
  end
  return entry
end

-- Adds the settings of one (sub)table to list, names in the alphabet's order.
local function declare(list, prefix, spec)
  for key in pairs(spec) do
    if type(key) ~= "string" or not key:find("^[%a_][%w_]*$") then
      fail("%s", ("the name of a setting must be a word like per_class, got %s%s"):format(options.say(key),
        prefix ~= "" and " in " .. prefix:sub(1, -2) or ""))
    end
  end
  for _, key in ipairs(options.sorted_keys(spec)) do
    local path, value = prefix .. key, spec[key]
    if type(value) == "table" and value[1] == nil then
      declare(list, path .. ".", value)
    else
      list[#list + 1] = new_entry(path, value)
    end
  end
end

-- ---- values from text ---------------------------------------------------------------------------

local function value_text(value)
  if type(value) ~= "table" then
    return type(value) == "number" and ui.number(value) or tostring(value)
  end
  local parts = {}
  for i, v in ipairs(value) do parts[i] = value_text(v) end
  return table.concat(parts, ",")
end

-- text -> a value of this kind, or nil and what was expected
local function parse(kind, text)
  if kind == "string" then return text end
  if kind == "boolean" then
    if text == "true" or text == "false" then return text == "true" end
    return nil, KIND_WORDS.boolean
  end
  local number = tonumber(text)
  if not number or number ~= number or math.abs(number) == math.huge then
    return nil, KIND_WORDS[kind]
  end
  if kind == "float" then return number + 0.0 end
  return math.tointeger(number), KIND_WORDS.integer
end

local function check_range(entry, value)
  if entry.choices then
    for _, choice in ipairs(entry.choices) do
      if choice == value then return end
    end
    local names = {}
    for i, choice in ipairs(entry.choices) do names[i] = value_text(choice) end
    local near = options.nearest(value_text(value), names)
    fail("%s", ("%s must be one of %s; got %s%s"):format(entry.path, table.concat(names, ", "),
      value_text(value), near and (", did you mean %s?"):format(near) or ""))
  end
  if type(value) ~= "number" then return end
  if entry.least and value < entry.least then
    fail("%s must be at least %s, got %s", entry.path, ui.number(entry.least), value_text(value))
  elseif entry.most and value > entry.most then
    fail("%s must be at most %s, got %s", entry.path, ui.number(entry.most), value_text(value))
  end
end

local function check_entry(entry)
  if entry.kind ~= "list" then return check_range(entry, entry.value) end
  for _, value in ipairs(entry.value) do check_range(entry, value) end
end

local function set_from_text(entry, text)
  local value, expected
  if entry.kind == "list" then
    value = {}
    for part in (text == "" and "" or text .. ","):gmatch("([^,]*),") do
      local element
      element, expected = parse(entry.of, part)
      if element == nil then value = nil; break end
      value[#value + 1] = element
    end
    expected = expected and "a list like " .. value_text(entry.default) .. " of which each is " ..
      expected
  else
    value, expected = parse(entry.kind, text)
  end
  if value == nil then
    local number = tonumber(text)
    local hint = entry.kind == "integer" and number and math.tointeger(number) == nil and
      (" (its default in the script is %s; write %s.0 there for numbers with a point)")
        :format(value_text(entry.default), value_text(entry.default)) or ""
    fail("%s", ("%s must be %s, got '%s'%s"):format(entry.path, expected, text, hint))
  end
  entry.value, entry.origin = value, "command line"
  check_entry(entry)
end

-- ---- the command line ---------------------------------------------------------------------------

local function unknown(key, list)
  local paths, tails, members = {}, {}, {}
  for _, entry in ipairs(list) do
    paths[#paths + 1] = entry.path
    local tail = entry.path:match("([^.]+)$")
    tails[#tails + 1], tails[tail] = tail, tails[tail] or entry.path
    if entry.path:sub(1, #key + 1) == key .. "." then members[#members + 1] = entry.path end
  end
  if #members > 0 then
    fail("%s", ("'%s' is a group of settings; set one of them: %s"):format(key,
      table.concat(members, ", ")))
  end
  local near = options.nearest(key, paths)
  if not near then
    near = options.nearest(key:match("([^.]*)$"), tails)
    near = near and tails[near]
  end
  fail("%s", ("there is no setting '%s'; %s"):format(key, near and
    ("did you mean '%s'?"):format(near) or
    #paths == 0 and "this script has none" or
    ("this script has %s"):format(table.concat(paths, ", "))))
end

local function apply(list, args)
  local by_path = {}
  for _, entry in ipairs(list) do by_path[entry.path] = entry end
  for _, arg in ipairs(args) do
    if arg == "--" then return end
    local key, text = arg:match("^%-*([^=]*)=(.*)$")
    if not key then
      key = arg:match("^%-%-(.+)$")          -- --quick says quick=true
      local entry = key and by_path[key:gsub("-", "_")]
      if not (entry and entry.kind == "boolean") then
        fail("%s", ("settings are given as KEY=VALUE, got '%s'%s"):format(arg,
          by_path[arg] and (", write %s=VALUE"):format(arg) or ""))
      end
      text = "true"
    end
    local entry = by_path[key] or by_path[key:gsub("-", "_")]
    if not entry then unknown(key, list) end
    set_from_text(entry, text)
  end
end

-- ---- the resulting table ------------------------------------------------------------------------

local function undeclared(group, key, verb)
  local here = about[group]
  local names = options.sorted_keys(here.names)
  local near = options.nearest(tostring(key), names)
  fail("%s", ("there is no setting '%s%s' to %s; %s"):format(here.at, tostring(key), verb,
    near and ("did you mean '%s'?"):format(near) or "declare it in crun.config"))
end

local strict <const> = {
  __index = function(group, key) undeclared(group, key, "read") end,
  __newindex = function(group, key) undeclared(group, key, "change") end,
}

local function copy(value)
  if type(value) ~= "table" then return value end
  local list = {}
  for i, v in ipairs(value) do list[i] = v end
  return list
end

-- the tables an entry lies in, created on the way
local function place(root, path, make)
  local group, at = root, ""
  for name in path:gmatch("([^.]+)%.") do
    at = at .. name .. "."
    if make and rawget(group, name) == nil then
      about[group].names[name] = true
      rawset(group, name, {})
      about[group[name]] = { at = at, names = {} }
    end
    group = rawget(group, name)
  end
  return group, path:match("([^.]+)$")
end

local function build(list)
  local root = {}
  about[root] = { at = "", names = {}, entries = list }
  for _, entry in ipairs(list) do
    local group, name = place(root, entry.path, true)
    about[group].names[name] = true
    rawset(group, name, copy(entry.value))
  end
  local function seal(group)
    for _, value in pairs(group) do
      if about[value] then seal(value) end
    end
    return setmetatable(group, strict)
  end
  return seal(root)
end

--- From a declaration and KEY=VALUE arguments to the table of values. Raises; prints nothing.
function M.resolve(spec, args)
  if type(spec) ~= "table" or spec[1] ~= nil then
    fail("expected a table of settings, as in crun.config { lr = 1e-3 }, got " .. options.say(spec))
  end
  local list = {}
  declare(list, "", spec)
  for _, entry in ipairs(list) do
    entry.value = entry.default
    check_entry(entry)
  end
  apply(list, args or {})
  return build(list)
end

--- The settings of a resolved config as a list of { path, value, default, origin, kind, help, ...
-- }. A value the script has changed since has the origin "script".
function M.entries(cfg)
  local list = {}
  for i, entry in ipairs(about[cfg].entries) do
    local group, name = place(cfg, entry.path)
    local now = rawget(group, name)
    local e = setmetatable({ value = now }, { __index = entry })
    if value_text(now) ~= value_text(entry.value) then e.origin = "script" end
    list[i] = e
  end
  return list
end

function M.is_config(value) return type(value) == "table" and about[value] ~= nil and
  about[value].entries ~= nil end

--- One text that is equal exactly when all values are: what `--resume` compares.
function M.fingerprint(cfg)
  local lines = {}
  for i, e in ipairs(M.entries(cfg)) do lines[i] = ("%s=%s"):format(e.path, value_text(e.value)) end
  return table.concat(lines, "\n")
end

--- { settings = nested values, origin = path -> where from }: what a run folder keeps.
function M.record(cfg)
  local origin = {}
  for _, e in ipairs(M.entries(cfg)) do origin[e.path] = e.origin end
  local function plain(value)
    if type(value) ~= "table" then return value end
    local t = {}
    for key, v in next, value do t[key] = plain(v) end
    return t
  end
  return { settings = plain(cfg), origin = origin }
end

-- ---- --help and --config ------------------------------------------------------------------------

-- Settings in the order the author wrote them: by where "name =" first stands below the call. The
-- alphabet where unsure.
local function in_source_order(list, source, line)
  local file = source and source:sub(1, 1) == "@" and io.open(source:sub(2))
  if not file then return list end
  local text, n = {}, 0
  for l in file:lines() do
    n = n + 1
    if n >= line then text[#text + 1] = l:gsub("%-%-.*", "") end
  end
  file:close()
  local whole, at = table.concat(text, "\n"), {}
  for _, entry in ipairs(list) do
    local from = 1
    for name in entry.path:gmatch("[^.]+") do
      from = whole:find("%f[%w_]" .. name .. "%s*=", from) or from
    end
    at[entry] = from
  end
  table.sort(list, function(a, b)
    if at[a] ~= at[b] then return at[a] < at[b] end
    return a.path < b.path
  end)
  return list
end

-- Options of crun itself that may stand behind the script too; true: they take a value.
local MAIN_OPTIONS <const> = {
  help = false, config = false, resume = false, quiet = false, needed = false, dry_run = false,
    name = true, out = true,
  tag = true, note = true, progress = true, color = true, threads = true, max_time = true,
    checkpoint_every = true,
}

--- Moves crun's own options (--resume, --name NAME, ...) from the arguments behind the script to
-- crun.options; what is left stays in crun.args. Done once, by crun.config or crun.start.
function M.take_options()
  local args, left, opts = crun.args or {}, {}, crun.options or {}
  if crun.options_taken then return opts end
  -- crun -e CODE: nothing stands behind a script
  if crun.script == "" then args = {} end
  local i = 1
  while i <= #args do
    local arg = args[i]
    if arg == "--" then
      table.move(args, i, #args, #left + 1, left)
      break
    end
    local name, equal, value = arg:match("^%-%-([%a-]+)(=?)(.*)$")
    local key = name and name:gsub("-", "_")
    if arg == "--double" or arg == "--memory" then
      crun.fail("options", arg .. " belongs before the script: crun " .. arg .. " " ..
        (crun.script or ""), 2)
    elseif key == "seed" then
      opts.seed = equal ~= "" and value or args[i + 1]
      i = equal ~= "" and i or i + 1
    elseif key == nil or MAIN_OPTIONS[key] == nil then
      left[#left + 1] = arg
    elseif not MAIN_OPTIONS[key] then
      opts[key] = equal == "" and true or value
    else
      if equal == "" then
        i = i + 1
        value = args[i]
      end
      if value == nil then crun.fail("options", arg .. " needs a value", 2) end
      opts[key] = value
      if key == "threads" and value ~= "auto" then
        local n = math.tointeger(tonumber(value))
        if not n then
          crun.fail("options", "--threads takes a number or auto, got '" .. value .. "'", 2)
        end
        crun.threads(n)
      end
    end
    i = i + 1
  end
  crun.args, crun.options, crun.options_taken = left, opts, true
  return opts
end

-- The first comment of a script says what it is.
local function headline(path)
  local file = path and io.open(path)
  if not file then return "" end
  local lines = {}
  for line in file:lines() do
    if not (#lines == 0 and line:find("^#!")) then
      local text = line:match("^%-%-+%s?(.*)$")
      if not text then break end
      lines[#lines + 1] = text
    end
  end
  file:close()
  return table.concat(lines, "\n")
end

local function limits(entry)
  local parts = {}
  if entry.choices then
    local names = {}
    for i, choice in ipairs(entry.choices) do names[i] = value_text(choice) end
    parts[1] = "one of " .. table.concat(names, ", ")
  end
  if entry.least and entry.most then
    parts[#parts + 1] = ("%s to %s"):format(ui.number(entry.least), ui.number(entry.most))
  elseif entry.least then
    parts[#parts + 1] = "at least " .. ui.number(entry.least)
  elseif entry.most then
    parts[#parts + 1] = "at most " .. ui.number(entry.most)
  end
  return #parts > 0 and " (" .. table.concat(parts, "; ") .. ")" or ""
end

function M.help(cfg, script)
  local said = headline(script)
  local lines = {
    said ~= "" and said .. "\n" or "",
    ("usage: crun %s [KEY=VALUE ...] [--config] [--resume] [--name NAME] [--out DIR]\n")
      :format(script or "SCRIPT.lua"),
    "settings and their defaults:",
  }
  local rows = {}
  for i, e in ipairs(M.entries(cfg)) do
    local default = value_text(e.default)
    rows[i] = { e.path .. "=" .. (default == "" and '""' or default), (e.help or "") .. limits(e) }
  end
  lines[#lines + 1] = ui.pairs(rows)
  return table.concat(lines, "\n")
end

function M.listing(cfg)
  local lines, widest = {}, 0
  local entries = M.entries(cfg)
  for i, e in ipairs(entries) do
    local text = value_text(e.value)
    lines[i] = e.path .. " = " .. (text == "" and '""' or text)
    widest = math.max(widest, ui.width(lines[i]))
  end
  for i, e in ipairs(entries) do lines[i] = ui.pad_right(lines[i], math.min(widest, 60)) .. "  " ..
      e.origin end
  return table.concat(lines, "\n")
end

-- where the script called us: its source and line
local function caller()
  for level = 2, math.huge do
    local frame = debug.getinfo(level, "Sl")
    if not frame then return end
    if frame.currentline > 0 and not frame.source:find("/lua/crun/", 1, true) then
      return frame.source, frame.currentline
    end
  end
end

--- crun.config { ... }: see the head of this file.
function M.config(spec)
  local source, line = caller()
  if declared_at then
    fail("the settings were declared at %s already; one table holds them all", declared_at)
  end
  local opts = M.take_options()
  local args = not opts.help and crun.args or {}
  -- --seed N
  if opts.seed then args = table.move(args, 1, #args, 2, { "seed=" .. opts.seed }) end
  local cfg = M.resolve(spec, args)
  declared_at = source and ("%s:%d"):format(source:sub(2), line) or "another place"
  about[cfg].entries = in_source_order(about[cfg].entries, source, line)
  if opts.help or opts.config then
    print(opts.help and M.help(cfg, provenance.script()) or M.listing(cfg))
    crun.exit(0)
  end
  M.current = cfg
  return cfg
end

--- For tests: as if crun.config had not been called.
function M.forget() declared_at, M.current = nil, nil end

M.value_text = value_text

return setmetatable(M, { __call = function(_, spec) return M.config(spec) end })
