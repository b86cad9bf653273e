--- progress.lua - how far training is: a bar on a terminal, plain lines elsewhere
--
-- On a terminal (standard error): one bar that is redrawn at most ten times a second and never
-- wraps. Elsewhere: one line when 30 s have passed, so that a log stays short. Both: one line at
-- the end of each epoch.
--
--     epoch  3/20  loss 0.1243  active 34 %  2,910 images/s  val/map@r 0.8123  1:05 left
--
-- `--progress bar|plain|none` decides instead of the terminal. loss is a moving average; time left
-- counts what this process has seen, so it is right after a resume too.
local crun = require "crun"
local cio = crun.io
local ui = require "crun.ui"

local M = {}
M.__index = M

local REDRAW_SECONDS <const>, PLAIN_SECONDS <const> = 0.1, 30
local SMOOTHING <const> = 0.95

--- "bar", "plain" or "none": --progress, -q, or what standard error is.
function M.kind()
  local opts = crun.options or {}
  local wish = opts.quiet and "none" or opts.progress or "auto"
  if wish ~= "auto" then return wish end
  return cio.isatty(2) and os.getenv("TERM") ~= "dumb" and "bar" or "plain"
end

--- epochs: how many there are in all; first: how many (with fractions) are done when this process
-- begins.
function M.new(epochs, first)
  local now = cio.monotonic()
  return setmetatable({
    shows = M.kind(), epochs = epochs, first = first or 0, begun = now, shown = now, drawn = false,
    means = {}, images = 0, seconds = 0, waited = 0, last = {},
  }, M)
end

local function grouped(n)
  local text = ("%d"):format(math.floor(n + 0.5))
  local count
  repeat text, count = text:gsub("^(%d+)(%d%d%d)", "%1,%2") until count == 0
  return text
end

local function metric_text(value)
  if math.type(value) == "integer" then return tostring(value) end
  local size = math.abs(value)
  return (size ~= 0 and (size < 1e-3 or size >= 1e5)) and ("%.3g"):format(value) or
    ("%.4f"):format(value)
end

--- Opens epoch number `epoch` with `steps` steps (nil: not known).
function M:open_epoch(epoch, steps)
  self.epoch, self.steps, self.step = epoch, steps, 0
  self.images, self.seconds, self.waited, self.since = 0, 0, 0, cio.monotonic()
  self.means, self.last = {}, {}
end

--- The value that run:save_best judges by: of all that is logged, the line at the end of an epoch
-- shows this.
function M:choose(value) self.chosen = value end

--- What run:log got, for the line.
function M:note(values)
  for key, value in pairs(values) do
    local name = key:match("^train/(.*)$") or key
    if name == "loss" or name == "active" then
      local mean = self.means[name] or { sum = 0, weight = 0 }
      self.means[name] = mean
      mean.sum = SMOOTHING * mean.sum + (1 - SMOOTHING) * value
      mean.weight = SMOOTHING * mean.weight + (1 - SMOOTHING)
    elseif not key:find("^train/") then
      self.last[key] = value
    end
  end
end

-- the share of the whole training that is done
function M:done()
  local within = self.steps and self.steps > 0 and self.step / self.steps or 0
  return (self.epoch - 1 + math.min(within, 1)) / self.epochs
end

function M:seconds_left()
  local now, first = self:done(), self.first / self.epochs
  if now <= first then return math.huge end
  return (cio.monotonic() - self.begun) / (now - first) * (1 - now)
end

-- the pieces of a line, most important first
function M:pieces(at_end)
  local p = { ("epoch %" .. #tostring(self.epochs) .. "d/%d"):format(self.epoch, self.epochs) }
  for _, name in ipairs { "loss", "active" } do
    local mean = self.means[name]
    if mean then
      local value = mean.sum / mean.weight
      p[#p + 1] = name == "active" and ("active %2.0f %%"):format(100 * value)
        or "loss " .. metric_text(value)
    end
  end
  if self.images > 0 and self.seconds > 0 then
    p[#p + 1] = grouped(self.images / self.seconds) .. " images/s"
    local share = 100 * self.waited / self.seconds
    if share >= 1 and self.waited > 0.05 then p[#p + 1] = ("data %.0f %%"):format(share) end
  end
  if at_end then
    local names = {}
    for name in pairs(self.last) do names[#names + 1] = name end
    table.sort(names, function(a, b)
      local pa, pb = self.last[a] == self.chosen, self.last[b] == self.chosen
      if pa ~= pb then return pa end
      return a < b
    end)
    for i = 1, math.min(#names, self.chosen and 1 or 3) do p[#p + 1] = names[i] .. " " ..
        metric_text(self.last[names[i]]) end
  end
  local left = self:seconds_left()
  if left ~= math.huge and left >= 0.5 then p[#p + 1] = ui.duration(left) .. " left" end
  return p
end

local function bar(share, width)
  local full = math.floor(share * width + 0.5)
  return "[" .. ("#"):rep(full) .. ("."):rep(width - full) .. "]"
end

-- One line that fits the terminal: pieces that do not fit are left out from the end.
local function fitted(pieces, width)
  local line = ""
  for _, piece in ipairs(pieces) do
    local longer = line == "" and piece or line .. "  " .. piece
    if ui.width(longer) > width then break end
    line = longer
  end
  return line == "" and ui.cut(pieces[1], width) or line
end

function M:draw()
  local width = ui.columns(2) - 1              -- a full line would wrap
  local share = self.steps and self.steps > 0 and math.min(1, self.step / self.steps) or self:done()
  local pieces = self:pieces(false)
  if width >= 50 then pieces[1] = pieces[1] .. " " .. bar(share, math.min(24, width // 5)) end
  local line = fitted(pieces, width)
  io.stderr:write("\r", line, "\27[K")
  io.stderr:flush()
  self.drawn = true
end

--- Removes the bar, so that something else can be printed.
function M:clear()
  if not self.drawn then return end
  io.stderr:write("\r\27[K")
  io.stderr:flush()
  self.drawn = false
end

--- A step of `images` images that took `seconds` is done; `waited` of them for its batch.
function M:advance(step, images, seconds, waited)
  self.step, self.images, self.seconds = step, self.images + (images or 0), self.seconds + seconds
  self.waited = self.waited + (waited or 0)
  local now = cio.monotonic()
  if self.shows == "bar" and now - self.shown >= REDRAW_SECONDS then
    self.shown = now
    self:draw()
  elseif self.shows == "plain" and now - self.shown >= PLAIN_SECONDS then
    self.shown = now
    self:say(self:line(("step %d%s"):format(step, self.steps and "/" .. self.steps or "")))
  end
end

function M:line(extra)
  local p = self:pieces(extra == nil)
  if extra then table.insert(p, 2, extra) end
  return table.concat(p, "  ")
end

--- One line of talk, above the bar.
function M:say(text)
  self:clear()
  io.stderr:write(text, "\n")
  io.stderr:flush()
end

function M:close_epoch()
  if self.shows == "none" then return end
  self.step, self.shown = self.steps or self.step, cio.monotonic()
  self.steps = self.steps or self.step
  local line = self:line()
  self:say(self.shows == "bar" and fitted(self:pieces(true), ui.columns(2) - 1) or line)
end

return M
