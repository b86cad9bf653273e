--- export/tensorboard.lua - a folder for TensorBoard: curves, settings and results, embeddings
--
--     crun export losses_faces --format tensorboard -o board        then: tensorboard --logdir board
--
--   FOLDER/events...                 HParams: which settings and results there are
--   FOLDER/RUN/events...             what the run wrote, and its settings and results
--   FOLDER/RUN/projector_config.pbtxt and, of each set of embeddings kept by run:embeddings,
--   NAME.tsv, NAME_labels.tsv, NAME_sprite.png
--
-- Runs whose settings differ in seed and fold alone are one group: one row in HParams.
local crun = require "crun"
local folder = require "crun.compare.folder"
local config = require "crun.config"
local options = require "crun.options"
local runs = require "crun.runs"
local cio = crun.io

local M = {}

local SAME <const> = { seed = true, fold = true }

-- settings as HParams takes them: numbers, texts and flags; lists as texts
local function hparams_of(run)
  local values, parts = folder.flat(runs.config(run).settings), {}
  if run.record.variant then values.variant = values.variant or run.record.variant end
  for _, key in ipairs(options.sorted_keys(values)) do
    local kind = type(values[key])
    if kind ~= "number" and kind ~= "string" and kind ~= "boolean" then
      values[key] = config.value_text(values[key])
    end
    if not SAME[key] then parts[#parts + 1] = key .. "=" .. config.value_text(values[key]) end
  end
  return values, cio.sha256(table.concat(parts, "\n")):sub(1, 16)
end

-- Numbers of summary.json that no curve shows: the results.
local function results_of(run)
  local logged, results = {}, {}
  for _, line in ipairs((folder.read_lines(run.path .. "/metrics.jsonl"))) do
    for key in pairs(line) do logged[key] = true end
  end
  for key, value in pairs(runs.summary(run)) do
    local number = folder.number(value)
    if number and not logged[key] then results[key] = number + 0.0 end
  end
  return results
end

-- ---- embeddings ---------------------------------------------------------------------------------

local function write_tsv(path, rows)
  local lines = {}
  for i, row in ipairs(rows) do
    local cells = type(row) == "table" and row or { row }
    for k, value in ipairs(cells) do
      cells[k] = math.type(value) == "float" and ("%.7g"):format(value) or tostring(value)
    end
    lines[i] = table.concat(cells, "\t")
  end
  cio.write_file(path, table.concat(lines, "\n") .. "\n")
end

-- thumbnails [n h w] or [n 3 h w] as one square picture, row by row
local function sprite(images)
  local shape = images:shape()
  local n, h, w = shape[1], shape[#shape - 1], shape[#shape]
  local side = math.ceil(math.sqrt(n))
  local grey = #shape == 3
  local canvas = grey and crun.zeros(side * h, side * w) or crun.zeros(3, side * h, side * w)
  local x, rows = images:real(), grey and 1 or 2
  for i = 0, n - 1 do
    canvas:narrow(rows, 1 + i // side * h, h):narrow(rows + 1, 1 + i % side * w, w):copy_(x[i + 1])
  end
  return canvas:byte(), h, w
end

local function projector(run, to)
  local from, config_lines = run.path .. "/embeddings", {}
  if not cio.is_dir(from) then return end
  for _, file in ipairs((cio.list(from))) do
    local name = file:match "^(.*)%.safetensors$"
    local set = name and cio.read_safetensors(from .. "/" .. file)
    if set and set.embeddings then
      write_tsv(("%s/%s.tsv"):format(to, name), set.embeddings:totable())
      local lines = { "embeddings {", ('  tensor_name: "%s"'):format(name),
        ('  tensor_path: "%s.tsv"'):format(name) }
      if set.labels then
        write_tsv(("%s/%s_labels.tsv"):format(to, name), set.labels:totable())
        lines[#lines + 1] = ('  metadata_path: "%s_labels.tsv"'):format(name)
      end
      if set.images then
        local picture, h, w = sprite(set.images)
        cio.write_png(("%s/%s_sprite.png"):format(to, name), picture)
        lines[#lines + 1] = ('  sprite { image_path: "%s_sprite.png" single_image_dim: %d ' ..
          'single_image_dim: %d }'):format(name, w, h)
      end
      lines[#lines + 1] = "}\n"
      config_lines[#config_lines + 1] = table.concat(lines, "\n")
    end
  end
  if #config_lines > 0 then
    cio.write_file(to .. "/projector_config.pbtxt", table.concat(config_lines))
  end
end

-- ---- runs ---------------------------------------------------------------------------------------

local function write_run(run, to, hparams, group, results)
  cio.mkdir(to)
  for _, file in ipairs((cio.list(run.path))) do
    if file:find "^events%.out%.tfevents%." then
      cio.write_file(to .. "/" .. file, cio.read_file(run.path .. "/" .. file))
    end
  end
  local w <close> = cio.events(to)
  w:hparams(hparams, group)
  local step = folder.number(runs.summary(run).steps)
  for _, key in ipairs(options.sorted_keys(results)) do
    w:scalar(key, results[key], math.tointeger(step) or 0)
  end
  w:close(run.state == "done")
  projector(run, to)
end

--- Writes the folder `to`, which must not be there yet. Returns the number of runs.
function M.write(list, to)
  if cio.exists(to) then
    crun.fail("export.tensorboard", ("'%s' is there already; name another folder, or remove it")
      :format(to))
  end
  cio.mkdir(to)
  local all_hparams, all_results, each = {}, {}, {}
  for i, run in ipairs(list) do
    local hparams, group = hparams_of(run)
    each[i] = { hparams, group, results_of(run) }
    for key, value in pairs(hparams) do all_hparams[key] = value end
    for key in pairs(each[i][3]) do all_results[key] = true end
  end
  local w <close> = cio.events(to)
  w:experiment(all_hparams, options.sorted_keys(all_results))
  w:close()
  for i, run in ipairs(list) do
    write_run(run, to .. "/" .. run.id, table.unpack(each[i]))
  end
  return #list
end

return M
