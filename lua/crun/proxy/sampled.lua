--- Losses that compare with a few drawn rows of a large table: skip_gram and nce.
--
--     local words = crun.losses.skip_gram { words = 50000, dim = 100, counts = counts }
--     local opt = crun.optim.Adam(words, { lr = 1e-3 })
--     local loss = words(center, context)                  -- row numbers [B]; negatives are drawn
--     words.input                                          -- the vectors, [words dim]
--
--     local head = crun.losses.nce { classes = 50000, dim = 64, counts = counts }
--     local loss = head(z, labels)
--
-- Options of both, beside reduction:
--   counts      how often each word or class comes: a list or tensor; negatives are drawn by
--               counts^power. Without counts all are as likely
--   negatives   how many are drawn for each row: 5, nce 16. A last argument [B K] takes the place
--               of drawing
--   power       0.75, nce 1
--   rng         where draws come from; the field `rng` holds it, for checkpoints
--   init        of the vectors: skip_gram uniform in +-0.5/dim, its output table begins at 0, as in
--               word2vec; nce normal with deviation 0.02, bias -log C, so that the sum over classes
--               begins near 1
--   lr_scale    learning rate, as a ratio to the optimiser's
--
-- A step touches only the rows named, but the gradients are tables of full size, and so is what an
-- optimiser does with them.
--
-- @module crun.proxy.sampled
local crun = require "crun"
local base = require "crun.proxy.base"
local initial = require "crun.nn.initial"
local nn = require "crun.nn"
local optim = require "crun.optim"
local options = require "crun.options"

local M = {}
local fail = crun.fail

local function spec_of(negatives, power, more)
  local spec = {
    dim = "count", counts = "any?", negatives = { "count", negatives },
    power = { "number", power, least = 0 }, rng = "rng?", init = "any?",
    lr_scale = { "number?", least = 0 },
  }
  for key, line in pairs(more) do spec[key] = line end
  return spec
end

-- what negatives are drawn from: self._log_noise [n] and its running sum
local function set_noise(self, o, n)
  local counts = o.counts
  if options.kind(counts) == "table" then counts = crun.tensor(counts) end
  counts = counts or crun.ones(n)
  if options.kind(counts) ~= "tensor" or counts:numel() ~= n then
    fail(self._where, ("counts must be %d numbers, got %s"):format(n,
      options.kind(counts) == "tensor" and counts:numel() or options.say(counts)))
  end
  local share = counts:real():detach():reshape(n) ^ o.power
  local total = share:sum():item()
  if not (share:amin():item() >= 0 and total > 0 and total < math.huge) then
    fail(self._where, "counts must be 0 or more, and not all 0")
  end
  share = share / total
  rawset(self, "negatives", o.negatives)
  rawset(self, "lr_scale", o.lr_scale)
  rawset(self, "rng", o.rng or crun.rng(1, self._where))
  rawset(self, "_log_noise", share:clamp { min = 1e-30 }:log())
  rawset(self, "_running", share:cumsum(1))
  rawset(self, "_last", n)
end

--- Row numbers [B K] drawn by counts^power.
local function draw(self, B)
  local _ <close> = crun.no_grad()
  local place = crun.searchsorted(self._running, crun.rand(self.rng, B * self.negatives))
  return place:clamp { max = self._last }:int():reshape(B, self.negatives)
end

-- ---- skip-gram ----------------------------------------------------------------------------------

local skip_gram_spec = spec_of(5, 0.75, { words = "count" })
local SkipGram = base.class("skip_gram")
SkipGram.draw = draw

function SkipGram:init(opts)
  local o = base.split_options(self, "skip_gram", opts, skip_gram_spec)
  rawset(self, "words", o.words)
  rawset(self, "dim", o.dim)
  set_noise(self, o, o.words)
  self.input = initial.make(self._where, o.init or function(rng, shape)
    return initial.uniform(rng, shape, 0.5 / o.dim)
  end, nn.rng, { o.words, o.dim })
  self.output = nn.parameter(crun.zeros(o.words, o.dim))
end

function SkipGram:forward(center, context, negatives)
  optim.await(self, self._where, self.input, self.output)
  return self._native(self.input, self.output, center, context, negatives or self:draw(#center))
end

function SkipGram:describe() return ("%d words of width %d"):format(self.words, self.dim) end

M.skip_gram = base.constructor("skip_gram", { "words", "dim" }, skip_gram_spec,
  function(opts) return SkipGram(opts) end)

-- ---- nce ----------------------------------------------------------------------------------------

local nce_spec = spec_of(16, 1, { classes = "any" })
local Nce = base.class("nce")
Nce.draw, Nce.class_map = draw, base.class_map

function Nce:init(opts)
  local o = base.split_options(self, "nce", opts, nce_spec)
  local count, labels = base.read_classes(self._where, o.classes)
  rawset(self, "classes", count)
  rawset(self, "dim", o.dim)
  if labels then self.labels = labels end
  set_noise(self, o, count)
  self.weight = initial.make(self._where, o.init or "normal", nn.rng, { count, o.dim })
  self.bias = nn.parameter(crun.full({ count }, -math.log(count)))
end

function Nce:forward(z, labels, negatives)
  optim.await(self, self._where, self.weight, self.bias)
  local classes = base.class_numbers(self, labels)
  return self._native(z, classes, self.weight, negatives or self:draw(#classes), self._log_noise,
    self.bias)
end

function Nce:describe() return ("%d classes of width %d"):format(self.classes, self.dim) end

M.nce = base.constructor("nce", { "classes", "dim" }, nce_spec, function(opts) return Nce(opts) end)

return M
