local crun = require "crun"
local bench = require "crun.bench"
local workloads = require "crun.bench.workloads"

local function refuses(text, ...)
  local ok, message = pcall(bench.run, { ... })
  assert.is_false(ok)
  assert.truthy(tostring(message):find(text, 1, true), message)
end

local function read(path)
  local file <close> = assert(io.open(path))
  return file:read "a"
end

-- what `crun WORDS` prints, given `input`
local function crun_says(words, input)
  local path = crun.io.tmpname()
  crun.io.write_file(path, input or "")
  local pipe <close> = assert(io.popen(("'%s' %s < '%s'"):format(crun.io.realpath "/proc/self/exe", words, path)))
  local text = pipe:read "a"
  crun.io.remove(path)
  return text
end

local function records_of(text)
  local list = {}
  for line in text:gmatch "[^\n]+" do list[#list + 1] = crun.io.json_decode(line) end
  return list
end

describe("crun bench", function()
  it("refuses what it cannot measure", function()
    refuses("there is no workload 'face46', did you mean 'face64'?", "face46")
    refuses("--against takes torch, got 'tf'", "--against", "tf")
    refuses("--seconds takes a number above 0, got '0'", "--seconds", "0")
    refuses("'2,x' is no list of whole numbers", "--threads", "2,x")
  end)

  it("says so in one line at the shell", function()
    local said = crun_says "bench nosuch 2>&1; echo code $?"
    assert.truthy(said:find("^crun: bench: there is no workload 'nosuch'"))
    assert.truthy(said:find "code 2\n$")
    assert.equal(2, select(2, said:gsub("\n", "")))
  end)

  it("knows every workload of the torch script, and the other way round", function()
    local script = read(crun.library .. "/../tests/bench/torch_steps.py")
    local parts = {}
    for _, entry in ipairs(workloads) do parts[entry.name:match "^[^/]+"] = true end
    for part in pairs(parts) do assert.truthy(script:find('"' .. part .. '"', 1, true), part) end
    for loss in script:match "HEADS = (%b{})":gmatch '"([%w_]+)"' do
      local found = false
      for _, entry in ipairs(workloads) do found = found or entry.name == "head/" .. loss end
      assert.is_true(found, loss)
    end
  end)

  it("makes small workloads whose counts are those of their formulas", function()
    for _, entry in ipairs(workloads) do
      if entry.name == "tiny/adam" then
        local load = entry.make()
        -- three layers forward and for the weights, two for the input
        assert.equal(2 * 8 * (3 * (16 * 32 + 32 * 16 + 16 * 4) - 16 * 32), load.flops)
        load.step()
      end
    end
  end)

  it("measures a workload in a process that answers line by line", function()
    local answers = records_of(crun_says("--threads 1 bench worker tiny/sgd", "go 0.01\ngo 0.01\n"))
    assert.equal(4, #answers)
    assert.is_true(answers[1].ready)
    for i = 2, 3 do
      local w = answers[i]
      assert.is_true(w.median_ms >= w.min_ms and w.min_ms > 0 and w.reps > 0 and w.other_cpu >= 0)
      assert.equal(0, w.system_calls)               -- a steady step asks the system for nothing
    end
    assert.is_true(answers[4].peak_rss_mb < 30)
  end)

  it("prints one line of JSON for each workload and number of threads", function()
    local records = records_of(crun_says "bench tiny/sgd start --threads 1 --seconds 0.05 --json")
    assert.equal(2, #records)
    local tiny, start = records[1], records[2]
    assert.equal("tiny/sgd", tiny.name)
    assert.same({ case = "g", batch = 8, loss = "cross_entropy", optimizer = "sgd", threads = 1 }, tiny.params)
    assert.is_true(tiny.median_ms > 0 and tiny.gflops > 0 and tiny.floor_ms > 0 and tiny.peak_rss_mb < 30)
    assert.is_true(start.median_ms > 0 and start.peak_rss_mb < 30)
    assert.truthy(tiny.machine:find(crun.precision, 1, true))
  end)

  it("says how much faster a second thread makes a step", function()
    local records = records_of(crun_says "bench tiny/sgd --threads 1,2 --seconds 0.05 --json")
    assert.is_nil(records[1].speedup)
    assert.near(records[1].median_ms / records[2].median_ms, records[2].speedup, 1e-9)
  end)

  it("puts what was measured into the page, and leaves its text alone", function()
    local folder = crun.io.tmpname()
    crun.io.remove(folder)
    crun.io.mkdir(folder)
    local function write(name, ...) crun.io.write_file(folder .. "/" .. name, table.concat({ ... }, "\n")) end
    write("bench_steps.jsonl", '{"machine":"2 x it","name":"face64","params":{"threads":2},"median_ms":50,"speedup":1.8,' ..
      '"ratio":0.5,"memory_ratio":0.6,"peak_rss_mb":60,"torch":{"median_ms":100,"peak_rss_mb":100}}',
      '{"note":"at night"}', '{"name":"start","params":{"threads":2},"median_ms":10}', "")
    write("bench_limits.jsonl", '{"what":"relu","threads":1,"value":9,"unit":"GB/s","share":0.5,"least":0.8,"pass":false}')
    write("page.md", "# Text", "<!-- steps -->", "old", "<!-- end -->", "- **face64**: what is between",
      "<!-- limits -->", "<!-- end -->", "")
    local page = crun_says(("docs performance %s/page.md"):format(folder))
    for _, text in ipairs { "# Text\n<!-- steps -->\nTaken on 2 x it.\n\nat night\n\n| workload ",
      "\n| face64 | 2 | 50.0 | 1.80 |", " | 100, missed: 0.5 of it | 0.500 | missed: 0.4 (0.33) |\n",
      " | 60 ms (15) |\n<!-- end -->\n- **face64**: what is between\n",
      "\n| relu | 1 | 9.00 GB/s | 0.50 | at least 0.800 | missed |\n<!-- end -->\n" } do
      assert.truthy(page:find(text, 1, true), text .. "\nis not in\n" .. page)
    end
    crun.io.remove_tree(folder)
  end)
end)

describe("crun.limits", function()
  it("measures products, convolutions and the pool", function()
    local before <close> = setmetatable({ crun.threads() }, { __close = function(t) crun.threads(t[1]) end })
    crun.threads(1)
    assert.is_true(crun.limits.gemm(32, 48, 16) > 0)
    assert.is_true(crun.limits.gemm(32, 48, 16, true) > 0)
    for _, pass in ipairs { "forward", "grad_x", "grad_weight" } do
      local rate, used = crun.limits.conv(2, 3, 4, 9, pass)
      assert.is_true(rate > 0)
      assert.is_true(used == "direct" or used == "winograd" or used == "columns")
    end
    assert.equal("columns", select(2, crun.limits.conv(2, 3, 4, 9, "forward", "columns")))
    local nothing, alone, shared = crun.limits.fork(5)
    assert.is_true(nothing >= 0 and alone > 0 and shared > 0)
    assert.is_false((pcall(crun.limits.conv, 0, 1, 1, 1, "forward")))
    assert.is_false((pcall(crun.limits.gemm, 1 << 20, 1, 1)))
  end)
end)
