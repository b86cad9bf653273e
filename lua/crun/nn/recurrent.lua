--- nn.GRU, nn.LSTM, nn.RNN: recurrent layers over sequences, stacked and in both directions.
--
--     local gru = nn.GRU(3, 128, { layers = 2, bidirectional = true })
--     local out, hn = gru(strokes, { lengths = n })        -- [T, B, 3] -> [T, B, 256], [4, B, 128]
--
-- Parameters carry torch's names (weight_ih_l0, weight_hh_l0, bias_ih_l0, bias_hh_l0, then _l1; the
-- way back ends in _reverse) and its order of gates, so its weights load as they are. They are
-- drawn uniformly in +-1 / sqrt(hidden).
--
-- @module crun.nn.recurrent
local crun = require "crun"
local initial = require "crun.nn.initial"
local module = require "crun.nn.module"
local options = require "crun.options"

local fail, check, kind_of = crun.fail, options.check, options.kind

-- rows of the weights for each of the hidden units
local KINDS <const> = { GRU = { op = "gru", parts = 3 }, LSTM = { op = "lstm", parts = 4 },
  RNN = { op = "rnn", parts = 1 } }

local function shape_text(shape) return "[" .. table.concat(shape, ", ") .. "]" end

-- 1 at the steps of a row, 0 at its padding: [T, B, 1]
local function steps_mask(T, lengths)
  local B = lengths:numel()
  return crun.arange(1, T):reshape(T, 1):le(lengths:real():reshape(1, B)):real():reshape(T, B, 1)
end

local function recurrent_class(nn, name)
  local kind = KINDS[name]
  local Layer = module.class(name)
  nn[name] = Layer

  --- nn.GRU(inputs, hidden, opts). opts: layers (1), bidirectional (false), batch_first (false:
  -- sequences are [T, B, inputs]; true: [B, T, inputs]), bias (true), dropout (0, between layers),
  -- rng; nn.RNN also nonlinearity ("tanh" or "relu").
  function Layer:init(inputs, hidden, opts)
    local where = "nn." .. name
    self.inputs = options.check_value(where, "the number of inputs", inputs, "count")
    self.hidden = options.check_value(where, "the number of hidden units", hidden, "count")
    local o = check(where, opts, {
      layers = { "count", 1 }, bidirectional = { "boolean", false },
      batch_first = { "boolean", false }, bias = { "boolean", true },
      dropout = { "number", 0, least = 0, most = 1 }, rng = { "rng", nn.rng },
      nonlinearity = name == "RNN" and { "string", "tanh", choices = { "tanh", "relu" } } or nil,
    })
    self.layers, self.bidirectional, self.batch_first = o.layers, o.bidirectional, o.batch_first
    self._ways = o.bidirectional and { "", "_reverse" } or { "" }
    self._options = { nonlinearity = o.nonlinearity }
    local bound, rows = 1 / math.sqrt(hidden), kind.parts * hidden
    local function parameter(...)
      return module.parameter(initial.uniform(o.rng, { ... }, bound))
    end
    for layer = 0, o.layers - 1 do
      local width = layer == 0 and inputs or hidden * #self._ways
      for _, way in ipairs(self._ways) do
        local suffix = ("_l%d%s"):format(layer, way)
        self["weight_ih" .. suffix] = parameter(rows, width)
        self["weight_hh" .. suffix] = parameter(rows, hidden)
        if o.bias then
          self["bias_ih" .. suffix] = parameter(rows)
          self["bias_hh" .. suffix] = parameter(rows)
        end
      end
    end
    if o.dropout > 0 and o.layers > 1 then self.dropout = nn.Dropout(o.dropout, { rng = o.rng }) end
  end

  -- h0 or c0 of one layer and direction, counted from 1
  local function state_of(self, given, what, number, B)
    if given == nil then return nil end
    local wanted = { self.layers * #self._ways, B, self.hidden }
    if kind_of(given) ~= "tensor" or shape_text(given:shape()) ~= shape_text(wanted) then
      fail("nn." .. name, ("%s must be %s, got %s"):format(what, shape_text(wanted),
        kind_of(given) == "tensor" and shape_text(given:shape()) or options.say(given)))
    end
    return given:select(1, number)
  end

  --- x [T, B, inputs] (batch_first: [B, T, inputs]). states: h0 [layers * directions, B, hidden]
  -- (and c0 for LSTM; zeros when left out), lengths int64 [B]: steps past the length of a row are
  -- padding, which changes no state, and whose results are 0.
  -- Returns every state of the last layer [T, B, directions * hidden] and the last state of every
  -- layer and direction [layers * directions, B, hidden]; LSTM also the last c.
  function Layer:forward(x, states)
    local where = ("nn.%s(%d -> %d)"):format(name, self.inputs, self.hidden)
    if kind_of(x) ~= "tensor" or x:ndim() ~= 3 or x:size(3) ~= self.inputs then
      fail(where, ("takes %s, got %s"):format(
        ("[%s, %d]"):format(self.batch_first and "B, T" or "T, B", self.inputs),
        kind_of(x) == "tensor" and shape_text(x:shape()) or options.say(x)))
    end
    local o = check(where, states, { h0 = "tensor?", c0 = name == "LSTM" and "tensor?" or nil,
      lengths = "tensor?" })
    if self.batch_first then x = x:transpose(1, 2) end
    local T, B = x:size(1), x:size(2)
    local mask = o.lengths and steps_mask(T, o.lengths)
    local last_h, last_c = {}, {}
    for layer = 0, self.layers - 1 do
      if layer > 0 and self.dropout then x = self.dropout(x) end
      local outs = {}
      for i, way in ipairs(self._ways) do
        local suffix, number = ("_l%d%s"):format(layer, way), #last_h + 1
        local arguments = { x, state_of(self, o.h0, "h0", number, B) }
        local n = 2
        if name == "LSTM" then
          n = 3
          arguments[n] = state_of(self, o.c0, "c0", number, B)
        end
        for _, weight in ipairs { "weight_ih", "weight_hh", "bias_ih", "bias_hh" } do
          n = n + 1
          arguments[n] = self[weight .. suffix]
        end
        arguments[n + 1] = o.lengths
        arguments[n + 2] = { reverse = i == 2, nonlinearity = self._options.nonlinearity }
        outs[i], last_h[number], last_c[number] =
          crun[kind.op](table.unpack(arguments, 1, n + 2))
      end
      x = #outs == 1 and outs[1] or crun.cat(outs, 3)
      if mask then x = x * mask end
    end
    if self.batch_first then x = x:transpose(1, 2) end
    return x, crun.stack(last_h, 1), last_c[1] and crun.stack(last_c, 1)
  end

  function Layer:describe()
    return ("%d -> %d%s%s"):format(self.inputs, self.hidden,
      self.layers > 1 and (", %d layers"):format(self.layers) or "",
      self.bidirectional and ", both directions" or "")
  end
end

--- Puts the three classes into nn.
return function(nn)
  for name in pairs(KINDS) do recurrent_class(nn, name) end
end
