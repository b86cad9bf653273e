--- ui.lua - what people see in a terminal: widths, colours, tables, times
--
-- Colour: `--color always|never`, else only where the stream is a terminal, NO_COLOR is empty and
-- TERM is not dumb. Nothing is said by colour alone: the best value of a table is bold and starred.
-- Width: COLUMNS, else the terminal's own, else 80.
local crun = require "crun"
local cio = crun.io

local M = {}

-- code points that fill two columns of a terminal
local WIDE = {
  { 0x1100, 0x115F }, { 0x2E80, 0xA4CF }, { 0xAC00, 0xD7A3 }, { 0xF900, 0xFAFF },
  { 0xFE30, 0xFE6F }, { 0xFF00, 0xFF60 }, { 0x1F300, 0x1FAFF }, { 0x20000, 0x3FFFD },
}

local function columns_of(code)
  if code >= 0x300 and code <= 0x36F or code == 0x200D or code >= 0xFE00 and code <= 0xFE0F then
    return 0
  end
  if code < 0x1100 then return 1 end
  for _, range in ipairs(WIDE) do
    if code >= range[1] and code <= range[2] then return 2 end
  end
  return 1
end

--- Columns a text fills. Escape codes fill none; bytes that are not UTF-8 count one each.
function M.width(text)
  text = text:gsub("\27%[[%d;]*m", "")
  if not utf8.len(text) then return #text end
  local n = 0
  for _, code in utf8.codes(text) do n = n + columns_of(code) end
  return n
end

--- The text in at most `width` columns; what does not fit ends in an ellipsis. No escape codes
-- inside, please.
function M.cut(text, width)
  if M.width(text) <= width then return text end
  if width < 1 then return "" end
  if not utf8.len(text) then return text:sub(1, width - 1) .. "…" end
  local kept, n = {}, 0
  for _, code in utf8.codes(text) do
    n = n + columns_of(code)
    if n > width - 1 then break end
    kept[#kept + 1] = utf8.char(code)
  end
  return table.concat(kept) .. "…"
end

function M.pad_left(text, width) return (" "):rep(width - M.width(text)) .. text end
function M.pad_right(text, width) return text .. (" "):rep(width - M.width(text)) end

--- How wide lines on this stream may be: 1 standard output, 2 standard error.
function M.columns(fd)
  local n = math.tointeger(tonumber(os.getenv("COLUMNS") or ""))
  if n and n > 0 then return n end
  return cio.isatty(fd or 1) and cio.terminal_width(fd or 1) or 80
end

--- Whether this stream takes colour.
function M.colored(fd)
  local wish = crun.options and crun.options.color or "auto"
  if wish == "always" then return true end
  if wish == "never" or (os.getenv("NO_COLOR") or "") ~= "" or os.getenv("TERM") == "dumb" then
    return false
  end
  return cio.isatty(fd or 1)
end

function M.bold(text, fd) return M.colored(fd) and "\27[1m" .. text .. "\27[0m" or text end

--- A number in as few digits as read back the same; whole floats keep their ".0".
function M.number(x)
  if math.type(x) == "integer" then return tostring(x) end
  for digits = 6, 17 do
    local text = ("%." .. digits .. "g"):format(x)
    if tonumber(text) == x or x ~= x then
      return x == math.floor(x) and text:find("^-?%d+$") and text .. ".0" or text
    end
  end
end

--- 75 -> "1:15", 3675 -> "1:01:15".
function M.duration(seconds)
  if seconds ~= seconds or seconds == math.huge then return "-" end
  local s = math.floor(seconds + 0.5)
  if s >= 3600 then return ("%d:%02d:%02d"):format(s // 3600, s // 60 % 60, s % 60) end
  return ("%d:%02d"):format(s // 60, s % 60)
end

local function cell_text(value, digits)
  if value == nil then return "-" end
  if math.type(value) == "float" then return ("%." .. (digits or 3) .. "f"):format(value) end
  return tostring(value)
end

-- the row that holds the best value of a column, to the digits shown: two that look equal are both
-- best
local function best_of(rows, k, goal, digits)
  local best
  for _, row in ipairs(rows) do
    local v = row[k]
    if type(v) == "number" and v == v then
      if not best or goal == "max" and v > best or goal == "min" and v < best then best = v end
    end
  end
  return best and cell_text(best, digits)
end

--- A table as text, numbers right-aligned, the best of a column bold and starred. t.columns names
-- t.rows arrays in the order of the columns; floats are shown with t.digits (3) places t.best {
-- ["map@r"] = "max", eer = "min" }: the columns where one is best t.fd the stream it is meant for
-- (1). Too wide for it: columns continue in a further block below.
function M.table(t)
  local columns, rows, best = t.columns, t.rows, t.best or {}
  local shown, width, numeric = {}, {}, {}
  for k, name in ipairs(columns) do
    local top = best[name] and best_of(rows, k, best[name], t.digits)
    width[k] = M.width(name) + (best[name] and 1 or 0)
    shown[k] = {}
    for i, row in ipairs(rows) do
      local text = cell_text(row[k], t.digits)
      numeric[k] = numeric[k] or type(row[k]) == "number"
      local is_best = top and type(row[k]) == "number" and text == top
      shown[k][i] = { text = top and text .. (is_best and "*" or " ") or text, bold = is_best }
      width[k] = math.max(width[k], M.width(shown[k][i].text))
    end
  end
  local limit = M.columns(t.fd)
  if not cio.isatty(t.fd or 1) and not os.getenv("COLUMNS") then limit = math.huge end
  width[1] = math.min(width[1], math.max(8, limit // 2))

  local lines, k = {}, 2
  repeat
    local block, used = { 1 }, width[1]
    while columns[k] and (#block == 1 or used + 2 + width[k] <= limit) do
      block[#block + 1], used, k = k, used + 2 + width[k], k + 1
    end
    local function line(cells)
      lines[#lines + 1] = table.concat(cells, "  "):gsub("%s+$", "")
    end
    local head = {}
    for i, c in ipairs(block) do
      local name = best[columns[c]] and columns[c] .. " " or columns[c]
      name = M.cut(name, width[c])
      head[i] = numeric[c] and M.pad_left(name, width[c]) or M.pad_right(name, width[c])
    end
    line(head)
    for r in ipairs(rows) do
      local cells = {}
      for i, c in ipairs(block) do
        local cell = shown[c][r]
        local text = M.cut(cell.text, width[c])
        text = numeric[c] and M.pad_left(text, width[c]) or M.pad_right(text, width[c])
        cells[i] = cell.bold and M.bold(text, t.fd) or text
      end
      line(cells)
    end
    if columns[k] then lines[#lines + 1] = "" end
  until not columns[k]
  return table.concat(lines, "\n")
end

--- Two columns, "name  text", the names padded alike, the texts wrapped to the width.
function M.pairs(list, indent, fd)
  indent = indent or "  "
  local name_width, lines = 0, {}
  for _, pair in ipairs(list) do name_width = math.max(name_width, M.width(pair[1])) end
  name_width = math.min(name_width, 34)
  local room = math.max(20, M.columns(fd) - #indent - name_width - 2)
  for _, pair in ipairs(list) do
    local first, line = true, ""
    local function flush()
      local name = first and pair[1] or ""
      lines[#lines + 1] = (indent .. M.pad_right(name, name_width) .. "  " .. line):gsub("%s+$", "")
      first, line = false, ""
    end
    for word in pair[2]:gmatch("%S+") do
      if line ~= "" and M.width(line) + 1 + M.width(word) > room then flush() end
      line = line == "" and word or line .. " " .. word
    end
    flush()
  end
  return table.concat(lines, "\n")
end

return M
