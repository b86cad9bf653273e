--- Results along an axis (epochs, images per person): a study at each place, and pictures.
--
--     local c = course.new { best = { ["k-NN"] = "max" } }
--     c:at(epoch):add("triplet", { ["k-NN"] = 0.8 })      -- a crun.study
--     c:picture { run = run, name = "knn", key = "k-NN", xlabel = "epoch" }
--
-- @module crun.study.course
local crun = require "crun"
local study = require "crun.study"

local Course = {}
Course.__index = Course

--- opts: those of study.new, for the study of each place.
local function new(opts) return setmetatable({ opts = opts, places = {}, studies = {} }, Course) end

--- The study at a place; a place asked for the first time comes last.
function Course:at(place)
  if not self.studies[place] then
    self.places[#self.places + 1] = place
    self.studies[place] = study.new(self.opts)
  end
  return self.studies[place]
end

--- Means of a key along the axis, 95 % intervals as bands. opts: run and name of the picture (it is
-- only returned when they are left out), key; lines (a list of { name, as }: which names, and what
-- the legend says; all when left out); others of plot.lines.
function Course:picture(opts)
  local lines, o, series = opts.lines, {}, {}
  if not lines then
    lines = {}
    for i, name in ipairs(self.studies[self.places[1]].names) do lines[i] = { name, name } end
  end
  for i, line in ipairs(lines) do
    series[i] = study.curve(line[2], self.places, function(k)
      return self.studies[self.places[k]]:interval(line[1], opts.key)
    end)
  end
  for name, value in pairs(opts) do o[name] = value end
  o.run, o.name, o.key, o.lines = nil, nil, nil, nil
  o.path, o.series = opts.name and opts.run:picture(opts.name), series
  o.ylabel = opts.ylabel or opts.key
  return crun.plot.lines(o)
end

return { new = new }
