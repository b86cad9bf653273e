--- packed.lua - zip and tar files made by hand, for the specs: what no tool would write too
local M = {}

local table_of = {}
for i = 0, 255 do
  local c = i
  for _ = 1, 8 do c = (c & 1) == 1 and 0xedb88320 ~ (c >> 1) or c >> 1 end
  table_of[i] = c
end

function M.crc32(text)
  local c = 0xffffffff
  for i = 1, #text do c = table_of[(c ~ text:byte(i)) & 255] ~ (c >> 8) end
  return c ~ 0xffffffff
end

--- The zip file of a list of { name, content, more }; more may set method, flags, mode (with the
-- kind of file), packed, bytes, crc, local_name, at (offset in the directory), system.
function M.zip(members, ending)
  local parts, directory, at = {}, {}, 0
  for i, m in ipairs(members) do
    local name, content, o = m[1], m[2], m[3] or {}
    local crc, method = o.crc or M.crc32(content), o.method or 0
    local packed, bytes = o.packed or #content, o.bytes or #content
    local own = o.local_name or name
    parts[#parts + 1] = string.pack("<c4I2I2I2I2I2I4I4I4I2I2", "PK\3\4", 20, o.flags or 0, method, 0,
      0, crc, packed, bytes, #own, 0) .. own .. content
    directory[i] = string.pack("<c4BBI2I2I2I2I2I4I4I4I2I2I2I2I2I4I4", "PK\1\2", 20, o.system or 3, 20,
      o.flags or 0, method, 0, 0, crc, packed, bytes, #name, 0, 0, 0, 0, (o.mode or 0x81a4) << 16,
      o.at or at) .. name
    at = at + #parts[#parts]
  end
  local list = table.concat(directory)
  return table.concat(parts) .. list .. string.pack("<c4I2I2I2I2I4I4I2", "PK\5\6", 0, 0, #members,
    #members, #list, at, 0) .. (ending or "")
end

local function header(name, size, kind, o)
  local head = ("%s%s"):format((name .. ("\0"):rep(100)):sub(1, 100), "0000644\0" .. "0000000\0" ..
    "0000000\0") .. (o.size or ("%011o\0"):format(size)) .. "00000000000\0" .. "        " .. kind ..
    ("\0"):rep(100) .. "ustar\00000" .. ("\0"):rep(80) .. ((o.prefix or "") .. ("\0"):rep(155)):sub(1,
    155) .. ("\0"):rep(12)
  local sum = 0
  for i = 1, #head do sum = sum + head:byte(i) end
  return head:sub(1, 148) .. ("%06o\0 "):format(o.sum or sum) .. head:sub(157)
end

--- The tar file of a list of { name, content, more }; more may set kind, size (12 bytes of text),
-- sum, prefix.
function M.tar(members)
  local parts = {}
  for _, m in ipairs(members) do
    local o = m[3] or {}
    parts[#parts + 1] = header(m[1], #m[2], o.kind or "0", o) .. m[2] .. ("\0"):rep(-#m[2] % 512)
  end
  return table.concat(parts) .. ("\0"):rep(1024)
end

--- gzip with stored blocks: any content of up to 65535 bytes.
function M.gzip(text)
  return "\x1f\x8b\8\0\0\0\0\0\0\3" .. string.pack("<BI2I2", 1, #text, #text ~ 0xffff) .. text ..
    string.pack("<I4I4", M.crc32(text), #text)
end

--- Puts files into a folder: { ["path/name"] = content }.
function M.put(folder, files)
  local cio = require("crun").io
  for name, content in pairs(files) do
    cio.mkdir((folder .. "/" .. name):match "^(.*)/")
    local file <close> = io.open(folder .. "/" .. name, "wb")
    file:write(content)
  end
end

return M
