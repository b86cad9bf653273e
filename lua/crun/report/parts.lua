--- report/parts.lua - what the sections of the page are made of: tables, figures, names
local compare = require "crun.compare"
local crun = require "crun"
local html = require "crun.report.html"

local M = {}
local h, list = html.tag, html.list

--- Where there is nothing to say.
M.NONE = "–"
M.text = compare.text

--- "1 seed", "3 seeds"; many: where an s is not enough.
function M.plural(n, one, many)
  return ("%d %s"):format(n, n == 1 and one or many or one .. "s")
end

--- A setting as people write it.
function M.value_text(value)
  if math.type(value) == "float" then return ("%.4g"):format(value) end
  if type(value) == "table" then return crun.io.json_encode(value) end
  return tostring(value)
end

--- A table that scrolls by itself where the window is narrow. columns: { title, class,
-- explanation }; rows: lists of texts or nodes, the first the row's name, with `class` perhaps.
function M.table(caption, columns, rows)
  local head, body = {}, {}
  for i, column in ipairs(columns) do
    head[i] = h(column[1] == "" and "td" or "th", { scope = column[1] ~= "" and "col" or nil,
      class = column[2], title = column[3] }, column[1])
  end
  for r, row in ipairs(rows) do
    local cells = {}
    for i, column in ipairs(columns) do
      local cell = row[i]
      if cell == nil then cell = M.NONE end
      cells[i] = h(i == 1 and "th" or "td", { scope = i == 1 and "row" or nil, class = column[2] },
        cell)
    end
    body[r] = h("tr", { class = row.class }, cells)
  end
  return h("div", { class = "scroll", tabindex = "0", role = "region", ["aria-label"] = caption },
    h("table", {}, h("caption", {}, caption), h("thead", {}, h("tr", {}, head)),
      h("tbody", {}, body)))
end

--- A part of the page with its heading.
function M.section(id, title, ...)
  return h("section", { id = id, ["aria-labelledby"] = "h-" .. id },
    h("h2", { id = "h-" .. id }, title), ...)
end

--- A place for charts, which figures.js fills.
function M.figure(id, caption)
  return h("figure", { id = "fig-" .. id }, h("div", { class = "charts" }),
    h("figcaption", {}, caption))
end

--- What is folded away until asked for.
function M.folded(title, ...) return h("details", {}, h("summary", {}, title), ...) end

--- The name of variant i with the mark it has in the charts.
function M.name(s, i)
  return list(h("span", { class = "key", ["data-variant"] = i - 1, ["aria-hidden"] = "true" }),
    s.variants[i].name)
end

return M
