local crun = require "crun"
local stats = crun.stats

local folder = debug.getinfo(1, "S").source:match("^@(.*)/[^/]*$")
local cases = crun.io.json_decode(crun.io.read_file(folder .. "/stats/scipy_cases.json"))

local function near(expected, got, relative, what)
  local error = math.abs(expected - got) / math.max(1e-290, math.abs(expected))
  assert.is_true(error <= relative or expected == got,
    ("%s: expected %.17g, got %.17g (off by %.2g)"):format(what, expected, got, error))
end

describe("stats, against scipy", function()
  it("has the incomplete beta function", function()
    for _, c in ipairs(cases.beta) do
      near(c[4], stats.beta(c[1], c[2], c[3]), 2e-12, ("beta %g %g %g"):format(c[1], c[2], c[3]))
    end
  end)

  it("has p and quantiles of t", function()
    for _, c in ipairs(cases.p) do
      near(c[3], stats.p_of_t(c[1], c[2]), 1e-11, ("p of t = %g, df = %d"):format(c[1], c[2]))
    end
    for _, c in ipairs(cases.quantile) do
      near(c[3], stats.t_quantile(c[1], c[2]), 1e-11, ("level %g, df %d"):format(c[1], c[2]))
    end
  end)

  it("has the interval of a mean", function()
    for _, c in ipairs(cases.mean) do
      local m = stats.mean(c.values)
      near(c.mean, m.mean, 1e-14, "mean")
      near(c.sd, m.sd, 1e-13, "sd")
      near(c.high - c.low, m.high - m.low, 1e-11, "width")
      near(c.high + c.low, m.high + m.low, 1e-11, "middle")
    end
  end)

  it("has the paired t test", function()
    for _, c in ipairs(cases.paired) do
      local r = stats.paired(c.a, c.b)
      near(c.t, r.t, 1e-11, "t")
      near(c.p, r.p, 1e-10, "p")
      near(c.high - c.low, r.high - r.low, 1e-10, "width")
      near(c.high + c.low, r.high + r.low, 1e-9, "middle")
    end
  end)

  it("has Holm's correction", function()
    for _, c in ipairs(cases.holm) do
      for i, p in ipairs(stats.holm(c.p)) do near(c.corrected[i], p, 1e-14, "p " .. i) end
    end
  end)
end)

describe("stats, by hand", function()
  it("of three values", function()          -- mean 2, sd 1; of df = 2 the quantile is level sqrt(2 / (1 - level^2))
    local m = stats.mean { 1, 2, 3 }
    assert.equal(2.0, m.mean)
    assert.equal(1.0, m.sd)
    near(0.95 * math.sqrt(2 / (1 - 0.95 ^ 2) / 3), m.half, 1e-12, "half")
  end)

  it("corrects three p values", function()  -- 3 x 0.01, 2 x 0.03, max(0.06, 1 x 0.04)
    local p = stats.holm { 0.01, 0.04, 0.03 }
    near(0.03, p[1], 1e-15, "p1")
    near(0.06, p[2], 1e-15, "p2")
    near(0.06, p[3], 1e-15, "p3")
    assert.same({}, stats.holm {})
    assert.same({ 1, 1 }, stats.holm { 0.6, 0.9 })
  end)

  it("of one value has no interval", function()
    local m = stats.mean { 0.5 }
    assert.equal(0.5, m.mean)
    assert.is_nil(m.sd or m.low or m.high)
    assert.is_nil(stats.paired({ 1 }, { 2 }).p)
  end)

  it("of differences that are all alike", function()
    local same = stats.paired({ 0.1, 0.2, 0.3 }, { 0.1, 0.2, 0.3 })
    assert.equal(1.0, same.p)
    assert.equal(0.0, same.half)
    -- 0.3 - 0.2 and 0.2 - 0.1 differ by rounding alone
    local shifted = stats.paired({ 0.2, 0.3, 0.4 }, { 0.1, 0.2, 0.3 })
    assert.equal(0.25, shifted.p)                            -- three equal signs
    assert.equal(0.0, shifted.half)
    near(0.1, shifted.mean, 1e-14, "mean")
  end)

  it("turns round with its lists", function()
    local a, b = { 0.8, 0.7, 0.75, 0.9 }, { 0.6, 0.72, 0.7, 0.8 }
    local ab, ba = stats.paired(a, b), stats.paired(b, a)
    assert.equal(ab.p, ba.p)
    near(ab.low, -ba.high, 1e-15, "low")
  end)

  it("resamples with a seed", function()
    local values = {}
    for i = 1, 101 do values[i] = i end
    local b = stats.bootstrap(values, nil, { draws = 400, seed = 3 })
    assert.equal(51.0, b.value)
    assert.is_true(b.low > 36 and b.low < 48 and b.high > 54 and b.high < 66)
    assert.same(b, stats.bootstrap(values, nil, { draws = 400, seed = 3 }))
  end)

  it("says what is wrong", function()
    assert.error_matches(function() stats.mean {} end, "stats.mean: values is empty")
    assert.error_matches(function() stats.mean { "a" } end, "values must be a list of numbers")
    assert.error_matches(function() stats.paired({ 1, 2 }, { 1 }) end,
      "pairs need lists of one length, got 2 and 1")
  end)
end)
