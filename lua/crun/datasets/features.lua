--- features.lua - embeddings that were exported from elsewhere: CSV, npy, safetensors
local crun = require "crun"
local files = require "crun.datasets.files"
local imageset = require "crun.imageset"
local options = require "crun.options"

local M = {}
local WHERE <const> = "features"

-- Classes from 1 in sorted order (numbers as numbers) of a list of texts or numbers.
local function classify(values)
  local known, names = {}, {}
  for _, value in ipairs(values) do
    if not known[value] then
      known[value] = true
      names[#names + 1] = value
    end
  end
  table.sort(names, function(a, b)
    local x, y = tonumber(a), tonumber(b)
    if x and y and x ~= y then return x < y end
    if (x == nil) ~= (y == nil) then return x ~= nil end
    return tostring(a) < tostring(b)
  end)
  local labels, number = {}, {}
  for i, value in ipairs(names) do number[value], names[i] = i, tostring(value) end
  for i, value in ipairs(values) do labels[i] = number[value] end
  return crun.int(labels), names
end

local function numbered(n)
  local names = {}
  for k = 1, n do names[k] = tostring(k) end
  return names
end

-- x as real [N D], or one error
local function matrix(path, name, x)
  if not crun.is_tensor(x) or x:ndim() ~= 2 or x:size(1) == 0 or x:size(2) == 0 then
    files.fail(WHERE, "%s: %s must be [N, D] with at least one row and column, got [%s]", path, name,
      table.concat(x:shape(), ", "))
  end
  x = x:real()
  if x:isfinite():all():item() ~= 1 then
    files.fail(WHERE, "%s: %s has values that are NaN or infinite", path, name)
  end
  return x
end

local function label_list(path, name, labels, rows)
  if labels:dtype() == "uint8" then labels = labels:int() end
  if labels:dtype() ~= "int64" or labels:numel() ~= labels:size(1) then
    files.fail(WHERE, "%s: %s must be whole numbers [N], got %s [%s]", path, name, labels:dtype(),
      table.concat(labels:shape(), ", "))
  end
  if #labels ~= rows then
    files.fail(WHERE, "%s: %d rows of features and %d labels", path, rows, #labels)
  end
  return labels:reshape(rows):totable()
end

local function from_csv(path, o)
  local bytes = files.bytes(WHERE, path)
  local given = o.labels ~= nil
  local column = o.labels
  if column == nil then column = "label" end
  local x, columns, left_out, texts = files.try(WHERE, path, crun.archive.decode_csv, bytes,
    column or nil)
  if given and column and not texts then
    local near = options.nearest(tostring(column), columns) or
      options.nearest(tostring(column), left_out)
    files.fail(WHERE, "%s has no column '%s'%s", path, tostring(column),
      near and ("; did you mean '%s'?"):format(near) or "")
  end
  -- one column of texts and none named: it can only be the classes
  if not texts and not given and #left_out == 1 then
    local number = math.tointeger(tonumber(left_out[1]))
    x, columns, left_out, texts = crun.archive.decode_csv(bytes, number or left_out[1])
  end
  if #left_out > 0 then
    files.fail(WHERE, "%s: column '%s' is not numeric%s", path, left_out[1], texts and "" or
      "; name the column of the classes: labels = \"...\"")
  end
  return matrix(path, "the table", x), texts, columns
end

local function from_npy(path, o)
  local x = matrix(path, "the array", files.try(WHERE, path, crun.io.read_npy, path))
  if not o.labels then return x end
  local labels = files.try(WHERE, o.labels, crun.io.read_npy, o.labels)
  return x, label_list(o.labels, "the array", labels, #x)
end

local function from_safetensors(path, o)
  local tensors = files.try(WHERE, path, crun.io.read_safetensors, path)
  local names = options.sorted_keys(tensors)
  local function get(name)
    if tensors[name] then return tensors[name] end
    files.fail(WHERE, "%s has no tensor '%s'; it has %s", path, name, table.concat(names, ", "))
  end
  local x_name = o.x or (tensors.embeddings and "embeddings")
  if not x_name then
    local found = {}
    for _, name in ipairs(names) do
      local t = tensors[name]
      if t:ndim() == 2 and t:dtype() ~= "int64" and t:dtype() ~= "uint8" then
        found[#found + 1] = name
      end
    end
    if #found ~= 1 then
      files.fail(WHERE, "%s: name the tensor of the features: x = \"...\"; it has %s", path,
        table.concat(names, ", "))
    end
    x_name = found[1]
  end
  local x = matrix(path, "'" .. x_name .. "'", get(x_name))
  local label_name = o.labels
  if label_name == nil and tensors.labels then label_name = "labels" end
  if not label_name then return x end
  return x, label_list(path, "'" .. label_name .. "'", get(label_name), #x)
end

--- crun.datasets.features(path, { labels =, x = }): a set with x real [N D], labels int64 [N] (nil
-- when there are none) from 1 in sorted order, names[label] (texts), columns (names of the D
-- columns). By the file's ending:
--   .csv, .tsv, .txt (or .gz)   labels: name or number of the column of the classes, which may be
--               texts; without it the column "label", or the only one that is not numeric; false:
--               none. All other columns must be numbers.
--   .npy        a [N D] array; labels: the path of a [N] array of whole numbers
--   .safetensors   x: the name of the features ("embeddings", or the only real [N D] tensor);
--               labels: that of the classes ("labels" when it is there; false: none)
function M.features(path, opts)
  if type(path) ~= "string" then files.fail(WHERE, "expected the path of a file") end
  local o = options.check("datasets.features", opts, { labels = "any?", x = "string?" })
  if not crun.io.is_file(path) then files.fail(WHERE, "there is no file '%s'", path) end
  local ending = path:lower():gsub("%.gz$", ""):match "%.(%w+)$"
  local read = ({ csv = from_csv, tsv = from_csv, txt = from_csv, npy = from_npy,
    safetensors = from_safetensors })[ending]
  if not read then
    files.fail(WHERE, "%s: expected a file named .csv, .tsv, .npy or .safetensors", path)
  end
  local x, values, columns = read(path, o)
  local labels, names
  if values then labels, names = classify(values) end
  local set = { x = x, labels = labels, names = names or {}, columns = columns or
    numbered(x:size(2)) }
  return labels and imageset.new(set, { "x" }, "datasets.features") or set
end

return M
