--- A readable text of any value: tables with sorted keys, nested and cut where they get long.
--
--     print(crun.inspect { lr = 1e-3, batch = { classes = 8, per_class = 4 } })
--     --> { batch = { classes = 8, per_class = 4 }, lr = 0.001 }
--
-- A table met again inside itself prints as <cycle>, one met again elsewhere is printed again. The
-- list part comes first, then numbers, then names in order of the alphabet, then the rest. Short
-- tables stay on one line.
--
-- @module crun.inspect
local WORDS = {}
for word in ([[and break do else elseif end false for function goto if in local nil not or repeat
    return then true until while]]):gmatch "%a+" do
  WORDS[word] = true
end

local function key_text(key, show)
  if type(key) == "string" and key:find "^[%a_][%w_]*$" and not WORDS[key] then return key end
  return "[" .. show(key) .. "]"
end

-- numbers before strings before the rest; each in its own order
local function before(a, b)
  local ta, tb = type(a), type(b)
  if ta ~= tb then
    local rank = { number = 1, string = 2, boolean = 3 }
    local ra, rb = rank[ta] or 4, rank[tb] or 4
    if ra ~= rb then return ra < rb end
    return ta < tb
  end
  if ta == "number" or ta == "string" then return a < b end
  return tostring(a) < tostring(b)
end

local function string_text(s)
  return (("%q"):format(s):gsub("\\\n", "\\n"):gsub("\t", "\\t"):gsub("\r", "\\r"))
end

local function number_text(n)
  if math.type(n) == "integer" then return tostring(n) end
  if n ~= n then return "nan" end
  if n == math.huge then return "inf" end
  if n == -math.huge then return "-inf" end
  for digits = 14, 16 do
    local short = ("%%.%dg"):format(digits):format(n)
    if tonumber(short) == n then return short end
  end
  return ("%.17g"):format(n)
end

--- value: anything. opts: depth (levels of tables shown, 6), width (columns before a table is
-- broken into lines, 100), items (entries shown of one table, 100).
local function inspect(value, opts)
  opts = opts or {}
  local depth, width, most = opts.depth or 6, opts.width or 100, opts.items or 100
  local open = {}                       -- the tables we are inside of
  local show

  local function table_text(t, level, indent)
    if open[t] then return "<cycle>" end
    if level > depth then return "{ ... }" end
    open[t] = true
    local parts, n = {}, #t
    for i = 1, math.min(n, most) do parts[i] = show(rawget(t, i), level + 1, indent .. "  ") end
    local keys = {}
    for key in next, t do
      if not (math.type(key) == "integer" and key >= 1 and key <= n) then keys[#keys + 1] = key end
    end
    table.sort(keys, before)
    for i = 1, math.min(#keys, most - #parts) do
      local key = keys[i]
      parts[#parts + 1] = key_text(key,
        function(k) return show(k, level + 1, indent .. "  ") end) .. " = " ..
        show(rawget(t, key), level + 1, indent .. "  ")
    end
    local left = n + #keys - #parts
    if left > 0 then parts[#parts + 1] = ("... %d more"):format(left) end
    open[t] = nil
    if #parts == 0 then return "{}" end
    local line = "{ " .. table.concat(parts, ", ") .. " }"
    if #line + #indent <= width and not line:find("\n", 1, true) then return line end
    return "{\n" .. indent .. "  " .. table.concat(parts, ",\n" .. indent .. "  ") .. "\n" ..
      indent .. "}"
  end

  function show(v, level, indent)
    local kind = type(v)
    if kind == "string" then return string_text(v) end
    if kind == "number" then return number_text(v) end
    if kind ~= "table" then
      local text = tostring(v)
      if not text:find("\n", 1, true) then return text end
      return level == 0 and text or (text:gsub("\n", "\n" .. indent))
    end
    local meta = getmetatable(v)
    if type(meta) == "table" and rawget(meta, "__tostring") then
      return (tostring(v):gsub("\n", "\n" .. indent))
    end
    return table_text(v, level, indent)
  end

  return show(value, 0, "")
end

return inspect
