local crun = require "crun"
local cio = crun.io
local compare = require "crun.compare"
local curves = require "crun.report.curves"
local html = require "crun.report.html"
local pictures = require "crun.report.pictures"
local report = require "crun.report"
local fixture = require "scripts.report_fixture"
local small = require "scripts.sweep_fixture"

local function temporary()
  local path = os.tmpname()
  os.remove(path)
  cio.mkdir(path)
  return path
end

-- the JSON inside the page
local function numbers_of(page)
  return cio.json_decode((page:match '<script id="data" type="application/json">(.-)</script>'))
end

-- tags that were opened and not closed, but for those that need no end; raw text is skipped
local function unbalanced(page)
  local void = { meta = true, br = true, input = true, img = true, hr = true }
  local stack, text = {}, page:gsub("<(s[ct][ry][il][pe]t?e?)([^>]*)>.-</%1>", "")
  for slash, name in text:gmatch "<(/?)(%a%w*)[^>]*>" do
    if slash == "/" then
      local top = table.remove(stack)
      if top ~= name then return ("</%s> closes <%s>"):format(name, tostring(top)) end
    elseif not void[name] then
      stack[#stack + 1] = name
    end
  end
  return stack[1]
end

local have_charts = pcall(report.charts)

describe("report.html", function()
  local h = html.tag
  it("escapes what it is given and not what it made", function()
    assert.equal('<p class="a&quot;b" hidden>1 &lt; 2 &amp; <b>&#39;x&#39;</b></p>',
      tostring(h("p", { class = 'a"b', hidden = true, title = false }, "1 < 2 & ",
        h("b", {}, "'x'"))))
    assert.equal("<i>a2</i>", tostring(h("i", "a", nil, false, { 2 })))
  end)
  it("makes UTF-8 of any bytes", function()
    assert.equal("a\u{FFFD}b\u{FFFD}", html.clean "a\xffb\0")
    assert.equal(5, utf8.len(html.clean "\xed\xa0é\xc3x"))   -- half a surrogate, half a letter
    assert.equal("", html.clean "")
  end)
  it("keeps JSON inside its script element", function()
    local text = tostring(html.json { name = "</script><!--" })
    assert.is_nil(text:find "[<>]")
    assert.equal("</script><!--", cio.json_decode(text).name)
  end)
  it("knows base 64", function()                       -- RFC 4648, section 10
    for plain, coded in pairs { [""] = "", f = "Zg==", fo = "Zm8=", foo = "Zm9v", foob = "Zm9vYg==",
        fooba = "Zm9vYmE=", foobar = "Zm9vYmFy", ["\255\254\253"] = "//79" } do
      assert.equal(coded, html.base64(plain))
    end
  end)
end)

describe("report.curves", function()
  it("has the median and the band of several runs", function()
    local function run(...) return { step = { 10, 20 }, time = { 1, 2 }, value = { ... } } end
    local c = curves.band { run(1, 5), run(2, 9), run(6, 7) }
    assert.same({ 10, 20 }, c.step)
    assert.same({ 2, 7 }, c.mid)
    assert.same({ 1, 5 }, c.low)
    assert.same({ 6, 9 }, c.high)
  end)
  it("thins out long logs and drops what is not finite or cut off", function()
    local lines = {}
    for i = 1, 1000 do
      lines[i] = ('{"step":%d,"epoch":1,"time":%d,"loss":%d}\n'):format(i, 50 + i, i)
    end
    lines[7] = '{"step":7,"epoch":1,"time":57,"loss":"NaN"}\n'
    local path = temporary()
    cio.write_file(path .. "/metrics.jsonl", table.concat(lines) .. '{"step":1001,"lo')
    local s = curves.read(path).loss
    assert.equal(999, #s.step)
    assert.equal(0, s.time[1])
    local c = curves.band { s }
    assert.equal(100, #c.mid)
    assert.near(5.375, c.mid[1], 0.2)                  -- the mean of 1 .. 10 without 7
    assert.near(995.5, c.mid[100], 1e-9)
  end)
end)

describe("report.pictures", function()
  it("puts images side by side, equal ones once", function()
    local sprites = pictures.sprites()
    local images = crun.arange(0, 27 * 6 - 1):reshape(27, 2, 3):byte()
    assert.equal(1, sprites:add(images))
    assert.equal(1, sprites:add(images:clone()))
    local s = sprites.list[1]
    assert.same({ 25, 2, 2, 3 }, { s.columns, s.rows, s.height, s.width })
    assert.equal(2, sprites:add(crun.zeros(2, 3, 4, 4):byte()))
    sprites.bytes = 1600000                             -- much is there: what is large is halved
    local noise = crun.randint(crun.rng(1), 256, 100, 3, 32, 32):byte()
    assert.same({ 16, 16 }, { sprites.list[sprites:add(noise)].height, sprites.list[3].width })
    sprites.bytes = 3199999
    assert.is_nil(sprites:add(noise:roll(1, 1)))
    assert.truthy(pictures.place(s, 27, 20):find("background-position:-30px -20px", 1, true))
  end)
end)

describe("report", function()
  if not have_charts then
    pending("needs the package libjs-chart.js")
    return
  end
  local path = fixture.make(temporary() .. "/sweep", { variants = 5, seeds = 3 })
  local c = compare.collect(path)
  local page = report.page(c)

  it("is one page that fetches nothing, with all its parts", function()
    assert.is_nil(unbalanced(page))
    assert.truthy(page:find("^<!DOCTYPE html>\n<html lang=\"en\">"))
    assert.truthy(page:find("default-src &#39;none&#39;", 1, true))
    local own = page:gsub("<script>.-</script>", "")    -- the chart library names its home page
    assert.is_nil(own:find("https?://"))
    assert.is_nil(own:find "<link")
    for _, id in ipairs { "verdict", "league", "noise", "curves", "tuning", "separation", "maps",
        "retrieval", "health", "cost", "provenance" } do
      assert.truthy(page:find('<section [^>]*id="' .. id .. '"'), id)
    end
    assert.is_true(#page < 5e6)
  end)

  it("puts the verdict before anything else and keeps its words", function()
    local verdict = page:find(html.escape(c.verdict.text), 1, true)
    assert.truthy(verdict)
    assert.is_true(verdict < page:find("<table", 1, true))
    assert.truthy(page:find("the same budget for all: 6 tuning trials each", 1, true))
    assert.truthy(page:find("15 looks", 1, true))
    assert.truthy(page:find("lies at the edge", 1, true))
  end)

  it("escapes hostile names wherever they come", function()
    assert.is_nil(page:find("<script>alert", 1, true))
    assert.is_nil(page:find("<i>& more", 1, true))
    assert.is_nil(page:find('"anchor" <b>', 1, true))
    assert.truthy(page:find("&lt;/script&gt;&lt;script&gt;alert(1)", 1, true))
    assert.truthy(page:find("&lt;/pre&gt;&lt;script&gt;alert(2)", 1, true))
    local _, scripts = page:gsub("<script", "")
    local _, library = report.charts():gsub("<script", "")
    assert.equal(3, scripts - library)
  end)

  it("gives the charts the numbers of the comparison", function()
    local n = numbers_of(page)
    assert.equal(5, #n.variants)
    assert.equal("test/map@r", n.metrics[1].name)
    for i, row in ipairs(c.tables[1].rows) do
      assert.equal(html.clean(row.variant), n.variants[i])
      assert.near(row.mean, n.metrics[1].intervals[i][1], 1e-4)
      assert.near(row.low, n.metrics[1].intervals[i][2], 1e-4)
    end
    assert.equal(6, #n.curves["val/map@r"][1].step)
    assert.equal(6, #n.tuning[1].trials)
    assert.same({ "loss.margin", "lr", "mine" }, { table.unpack(n.tuning[1].options) })
    assert.equal(5, #n.maps)
    assert.equal(400, #n.maps[1].tsne)
    assert.is_true(n.linked)
    assert.equal(64, #n.histograms[1].positive)
    assert.equal(5, #n.roc)
    assert.is_true(n.maps[1].trust_tsne > 0.8)
  end)

  it("is a function of the folder alone", function()
    assert.equal(cio.sha256(page), cio.sha256(report.page(compare.collect(path))))
  end)

  it("shows single runs and groups of runs", function()
    local runs = require "crun.runs"
    local list = {}
    for _, run in ipairs(c.variants[1].runs) do list[#list + 1] = runs.open(run.path) end
    local one = report.page(compare.of_runs { list[1] })
    assert.is_nil(unbalanced(one))
    assert.truthy(one:find("One run: there is nothing to compare it with.", 1, true))
    assert.truthy(one:find('id="maps"', 1, true))
    assert.is_nil(one:find('id="tuning"', 1, true))
    assert.truthy(one:find("losses_faces.lua", 1, true))
    list[#list + 1] = runs.open(c.variants[2].runs[1].path)
    local group = report.page(compare.of_runs(list))
    assert.is_nil(unbalanced(group))
    assert.equal(2, #numbers_of(group).variants)
  end)

  it("works where little is known", function()
    local folder = temporary()
    local bare = small.sweep(folder, { order = { "a", "b" }, variants = {
      a = { tune = { 0.5, "failed" }, final = { [11] = { ["test/map@r"] = 0.5 } } },
      b = { tune = { 0.4, 0.3 }, final = { [11] = { state = "failed" } } } } })
    local text = report.page(compare.collect(bare))
    assert.is_nil(unbalanced(text))
    assert.truthy(text:find("No winner is named", 1, true))
    assert.truthy(text:find("1 tuning trial that did not end well", 1, true))
    assert.truthy(text:find("no value", 1, true))
    local tuning = small.sweep(folder, { name = "tuning", order = { "a" },
      variants = { a = { tune = { 0.5 }, final = {}, unselected = true } },
      sweep = { state = "tuning" } })
    assert.is_nil(unbalanced(report.page(compare.collect(tuning))))
  end)

  it("names the package of a chart library that is not there", function()
    local paths = report.chart_paths
    report.chart_paths = { "/nowhere/chart.min.js" }
    local ok, message = pcall(report.page, c)
    report.chart_paths = paths
    assert.is_false(ok)
    assert.truthy(tostring(message):find("install the package libjs-chart.js", 1, true))
  end)
end)
