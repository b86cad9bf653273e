--- report/html.lua - text into HTML, escaped unless it is made here
--
--     local h = html.tag
--     h("p", { class = "x" }, "a < b, ", h("b", {}, "c"))   --> <p class="x">a &lt; b, <b>c</b></p>
--
-- What a tag holds are texts and numbers, which are escaped, and what html.tag and html.raw gave,
-- which is not: so a run's name cannot become markup.
local M = {}

local Node = { __name = "crun.html", __tostring = function(node) return node.html end }

local ENTITIES <const> = { ["&"] = "&amp;", ["<"] = "&lt;", [">"] = "&gt;", ['"'] = "&quot;",
  ["'"] = "&#39;" }
local VOID <const> = { meta = true, br = true, input = true, img = true, hr = true }

--- Text as UTF-8 without control characters: what is none of these becomes U+FFFD.
function M.clean(text)
  text = tostring(text)
  local out, at = {}, 1
  while at <= #text do
    local length, bad = utf8.len(text, at)
    local stop = length and #text or bad - 1
    out[#out + 1] = text:sub(at, stop)
    if not length then out[#out + 1] = "\u{FFFD}" end
    at = length and stop + 1 or bad + 1
  end
  return (table.concat(out):gsub("[\0-\8\11-\31\127]", "\u{FFFD}"))
end

function M.escape(text) return (M.clean(text):gsub("[&<>\"']", ENTITIES)) end

--- Markup as it is.
function M.raw(text) return setmetatable({ html = text }, Node) end

local function add(out, value)
  if value == nil or value == false then return end
  if getmetatable(value) == Node then out[#out + 1] = value.html
  elseif type(value) == "table" then
    for _, v in ipairs(value) do add(out, v) end
  else out[#out + 1] = M.escape(value) end
end

--- An element. attributes (may be left out): name -> text, number or true; children: texts, nodes,
-- lists of them, nil and false for nothing.
function M.tag(name, attributes, ...)
  local out, first = { "<", name }, nil
  if type(attributes) == "table" and getmetatable(attributes) ~= Node and #attributes == 0 then
    local names = {}
    for key in pairs(attributes) do names[#names + 1] = key end
    table.sort(names)
    for _, key in ipairs(names) do
      local value = attributes[key]
      if value == true then out[#out + 1] = " " .. key
      elseif value then out[#out + 1] = (' %s="%s"'):format(key, M.escape(value)) end
    end
  else
    first = attributes
  end
  out[#out + 1] = ">"
  add(out, first)
  for i = 1, select("#", ...) do add(out, (select(i, ...))) end
  if not VOID[name] then out[#out + 1] = "</" .. name .. ">" end
  return M.raw(table.concat(out))
end

--- Nodes and texts one after another.
function M.list(...)
  local out = {}
  for i = 1, select("#", ...) do add(out, (select(i, ...))) end
  return M.raw(table.concat(out))
end

--- JSON that may stand in a script element: no tag, no comment can begin in it.
function M.json(value)
  return M.raw((require("crun").io.json_encode(value):gsub("[<>&]", { ["<"] = "\\u003c",
    [">"] = "\\u003e", ["&"] = "\\u0026" })))
end

--- Bytes in base 64.
function M.base64(bytes)
  local letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
  local pairs_of = {}                                    -- twelve bits to two letters
  for i = 0, 4095 do
    local a, b = i >> 6, i & 63
    pairs_of[i] = letters:sub(a + 1, a + 1) .. letters:sub(b + 1, b + 1)
  end
  local out = {}
  for i = 1, #bytes - 2, 3 do
    local a, b, c = bytes:byte(i, i + 2)
    local n = a << 16 | b << 8 | c
    out[#out + 1] = pairs_of[n >> 12] .. pairs_of[n & 4095]
  end
  local rest = #bytes % 3
  if rest == 1 then
    out[#out + 1] = pairs_of[bytes:byte(-1) << 4] .. "=="
  elseif rest == 2 then
    local n = bytes:byte(-2) << 10 | bytes:byte(-1) << 2
    out[#out + 1] = pairs_of[n >> 6] .. letters:sub((n & 63) + 1, (n & 63) + 1) .. "="
  end
  return table.concat(out)
end

return M
