--- export.lua - runs in the formats of others: CSV, JSON, LaTeX, TensorBoard
--
--     export.csv(list)               export.json(list)
--     export.latex(comparison)       export.tensorboard(list, folder)
--
-- list: runs as runs.open gives them; comparison: what compare.collect gives. The first three
-- return a text.
local crun = require "crun"
local config = require "crun.config"
local folder = require "crun.compare.folder"
local options = require "crun.options"
local runs = require "crun.runs"
local cio = crun.io

local M = {}

-- ---- CSV ----------------------------------------------------------------------------------------

local function csv_cell(value)
  local text = value == nil and "" or type(value) == "number" and config.value_text(value) or
    type(value) == "table" and config.value_text(value) or tostring(value)
  return text:find '[",\r\n]' and '"' .. text:gsub('"', '""') .. '"' or text
end

local FACTS <const> = { "sweep", "variant", "phase", "trial" }

--- One line a run: id, state, what it is in a sweep, settings (config.KEY), results. RFC 4180,
-- UTF-8, a point in numbers whatever the country.
function M.csv(list)
  local settings, results, rows = {}, {}, {}
  for i, run in ipairs(list) do
    rows[i] = { settings = folder.flat(runs.config(run).settings), summary = runs.summary(run) }
    for key in pairs(rows[i].settings) do settings[key] = true end
    for key in pairs(rows[i].summary) do results[key] = true end
  end
  settings, results = options.sorted_keys(settings), options.sorted_keys(results)
  local cells = { "run", "state", "started", "ended", table.unpack(FACTS) }
  for _, key in ipairs(settings) do cells[#cells + 1] = csv_cell("config." .. key) end
  for _, key in ipairs(results) do cells[#cells + 1] = csv_cell(key) end
  local lines = { table.concat(cells, ",") }
  for i, run in ipairs(list) do
    local r = run.record
    cells = { csv_cell(run.id), csv_cell(run.state), csv_cell(r.start_time or r.started),
      csv_cell(r.end_time or r.ended) }
    for _, key in ipairs(FACTS) do cells[#cells + 1] = csv_cell(r[key]) end
    for _, key in ipairs(settings) do cells[#cells + 1] = csv_cell(rows[i].settings[key]) end
    for _, key in ipairs(results) do cells[#cells + 1] = csv_cell(rows[i].summary[key]) end
    lines[#lines + 1] = table.concat(cells, ",")
  end
  return table.concat(lines, "\r\n") .. "\r\n"
end

-- ---- JSON ---------------------------------------------------------------------------------------

--- A list of runs, each with all that its folder says: run, config, summary, and every line of its
-- log.
function M.json(list)
  local all = {}
  for i, run in ipairs(list) do
    all[i] = { id = run.id, path = run.path, state = run.state, run = run.record,
      config = runs.config(run), summary = runs.summary(run),
      metrics = cio.json_array(folder.read_lines(run.path .. "/metrics.jsonl")) }
  end
  return cio.json_encode(cio.json_array(all), { indent = 1 }) .. "\n"
end

-- ---- LaTeX --------------------------------------------------------------------------------------

local ESCAPES <const> = { ["\\"] = "\\textbackslash{}", ["~"] = "\\textasciitilde{}",
  ["^"] = "\\textasciicircum{}", ["<"] = "\\textless{}", [">"] = "\\textgreater{}" }

local function tex(text)
  return (text:gsub("[\\~^<>&%%$#_{}]", function(c) return ESCAPES[c] or "\\" .. c end))
end

--- The league table of a comparison for the package booktabs: a row a variant, a column a metric;
-- the best of a metric is bold, those that tie with it are underlined.
function M.latex(c)
  local first, rows, head = c.tables[1], {}, { "variant" }
  for i, row in ipairs(first.rows) do rows[i] = { tex(row.variant) } end
  for k, t in ipairs(c.tables) do
    head[k + 1] = tex(t.metric)
    local by_name = {}
    for _, row in ipairs(t.rows) do by_name[row.variant] = row end
    for i, place in ipairs(first.rows) do
      local row = by_name[place.variant]
      local text = row.n == 0 and "--" or ("$%.4f%s$"):format(row.mean, row.half and
        (" \\pm %.4f"):format(row.half) or "")
      if row.best then text = "\\boldmath" .. text
      elseif row.tie and row.n > 0 then text = "\\underline{" .. text .. "}" end
      rows[i][k + 1] = row.best and "{" .. text .. "}" or text
    end
  end
  local lines = { "% " .. c.verdict.text:gsub("[\r\n]", " "),
    "% mean and 95 % interval; bold: best, underlined: not told apart from it",
    "\\begin{tabular}{l" .. ("c"):rep(#c.tables) .. "}", "\\toprule",
    table.concat(head, " & ") .. " \\\\", "\\midrule" }
  for _, cells in ipairs(rows) do lines[#lines + 1] = table.concat(cells, " & ") .. " \\\\" end
  table.move({ "\\bottomrule", "\\end{tabular}", "" }, 1, 3, #lines + 1, lines)
  return table.concat(lines, "\n")
end

--- TensorBoard's folder; see export/tensorboard.lua.
function M.tensorboard(list, to) return require("crun.export.tensorboard").write(list, to) end

return M
