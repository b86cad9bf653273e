--- Looks at the drawn faces: a grid of people as a PNG, and how well raw pixels tell unseen people
--- apart.
--   crun datasets/faces/look.lua [PNG [DIAL=VALUE...]]      e.g. faces.png turn=2 light=0
local crun = require "crun"
local M = {}

--- MAP@R of raw pixels by squared distance; images uint8 [people * each, 1, S, S], `each` in a row
--- per person.
function M.map_at_r(images, each)
  each = each or 20
  local n = images:size(1)
  local x = images:reshape(n, -1):real() / 255
  local square = (x * x):sum(2)
  local distance = square:reshape(n, 1) + square:reshape(1, n) - 2 * x:matmul(x:t())
  -- ascending; the query itself among them
  local _, nearest = crun.topk(distance, each, 2, false)
  local total = 0
  for i, row in ipairs(nearest:totable()) do
    local rank, hits = 0, 0
    for _, other in ipairs(row) do
      if other ~= i then
        rank = rank + 1
        if (other - 1) // each == (i - 1) // each then
          hits = hits + 1
          total = total + hits / rank / (each - 1)
        end
      end
    end
  end
  return total / n
end

--- One picture of images [rows * columns, 1, S, S], row by row.
function M.grid(images, rows, columns)
  local lines = {}
  for r = 1, rows do
    local line = {}
    for c = 1, columns do line[c] = images[(r - 1) * columns + c] end
    lines[r] = crun.cat(line, 3)
  end
  return crun.cat(lines, 2)
end

if arg and arg[0] and arg[0]:match "look%.lua$" then
  local options = {}
  for i = 2, #arg do
    local name, value = arg[i]:match "^(%w+)=(.+)$"
    options[name or arg[i]] = tonumber(value)
  end
  local function faces(more)
    for k, v in pairs(options) do more[k] = more[k] or v end
    return (crun.data.faces(more))
  end
  local path = arg[1] or "faces.png"
  crun.io.write_png(path, M.grid(faces { identities = 10, per_identity = 10 }, 10, 10))
  print("people 1 .. 10, one a row: " .. path)
  print(("raw pixels, people 201 .. 260, 20 pictures each: MAP@R %.3f"):format(
    M.map_at_r(faces { first = 201, identities = 60, per_identity = 20 })))
end

return M
