-- crun data: list, show, verify, and fetch from a server on loopback
local crun = require "crun"
local packed = require "packed"
local shell = require "scripts.shell"
local cio = crun.io

local folder
before_each(function() folder = cio.tmpdir() end)
after_each(function() cio.remove_tree(folder) end)

local function put(files) packed.put(folder, files) end
local function run(...) return shell.run({ "data", ... }, { folder = folder, env = "-u CRUN_DATA NO_COLOR=1" }) end
local function manifest(files) put { ["m.json"] = cio.json_encode { title = "Toy", licence = "none",
  credit = "nobody", source = "here", files = files } } end

describe("crun data", function()
  it("lists the sets and finds those that are here", function()
    put { ["data/mnist/t10k-labels-idx1-ubyte.gz"] = "x" }
    local r = run "list"
    assert.equal(0, r.code)
    for _, name in ipairs { "cifar10", "lfw", "mnist", "omniglot", "orl_faces", "pendigits" } do
      assert.truthy(r.out:find("\n" .. name, 1, true), name)
    end
    assert.truthy(r.out:find("data/mnist (1 of 4 files)", 1, true))
    local all = cio.json_decode(run("list", "--json").out)
    assert.equal(6, #all)
    assert.equal("cifar10", all[1].name)
  end)

  it("says what a set is and draws samples", function()
    local line = "0,0,100,100,0,100,100,0,50,50,60,60,10,90,20,20,%d\n"
    local lines = {}
    for i = 0, 9 do lines[i + 1] = line:format(i):rep(2) end
    put { ["data/pendigits/pendigits.tra"] = table.concat(lines), ["data/pendigits/pendigits.tes"] = line:format(3) }
    local r = run("show", "pendigits")
    assert.equal(0, r.code, r.err)
    assert.matches("CC BY 4.0", r.out)
    assert.matches("20 rows of 10 classes", r.out)
    assert.is_true(cio.read_image(folder .. "/pendigits.png"):size(3) > 500)
    r = run("show", "mnist")
    assert.equal(0, r.code)
    assert.matches("It is not in data/mnist; crun data fetch mnist", r.out)
  end)

  it("verifies files, packed ones by what they hold", function()
    local content = "hello"
    manifest { { name = "a.txt", bytes = 5, sha256 = cio.sha256 "hello" },
      { name = "b.gz", content = { bytes = 5, sha256 = cio.sha256 "hello" } }, { name = "c.txt" },
      { name = "d.txt", extra = true } }
    assert.equal(4, run("verify", "m.json", "at").code)
    put { ["at/a.txt"] = content, ["at/b.gz"] = packed.gzip(content), ["at/c.txt"] = "any" }
    local r = run("verify", "m.json", "at/")
    assert.equal(0, r.code, r.all)
    assert.matches("a.txt  as published", r.out)
    assert.matches("b.gz  as published", r.out)
    assert.matches("c.txt  there: no checksum known", r.out)
    assert.matches("2 as published, 1 without a checksum, 0 missing, 0 damaged", r.out)
    for bytes, why in pairs { ["hellO"] = "its checksum differs", ["hell"] = "4 bytes, expected 5" } do
      put { ["at/a.txt"] = bytes }
      r = run("verify", "m.json", "at")
      assert.equal(6, r.code)
      assert.truthy(r.out:find("a.txt  DAMAGED: " .. why, 1, true), r.out)
    end
    for bytes, why in pairs { [packed.gzip "hellO"] = "the checksum of what it holds differs",
        [packed.gzip "hell"] = "holds 4 bytes, expected 5", ["hello"] = "not a gzip file" } do
      put { ["at/a.txt"] = content, ["at/b.gz"] = bytes }
      r = run("verify", "m.json", "at")
      assert.equal(6, r.code)
      assert.truthy(r.out:find("b.gz  DAMAGED: " .. why, 1, true), r.out)
    end
    cio.remove(folder .. "/at/b.gz")
    assert.matches("1 missing", run("verify", "m.json", "at").out)
  end)

  it("refuses words and manifests that make no sense", function()
    for words, expected in pairs {
      [{ "lst" }] = "expected list, show, verify or fetch, got 'lst'; did you mean 'list'?",
      [{ "show" }] = "data show needs the name of a data set", [{ "show", "minst" }] = "did you mean 'mnist'?",
      [{ "show", "mnist/x" }] = "mnist has no file 'x'", [{ "show", "mnist", "a", "b" }] = "got 'b' too",
      [{ "verify", "none.json" }] = "none.json", [{ "list", "--jsn" }] = "unknown option '--jsn'",
    } do
      local r = run(table.unpack(words))
      assert.equal(2, r.code)
      assert.truthy(r.err:find(expected, 1, true), r.err)
    end
    for expected, files in pairs {
      ["file 1: name must be a path within"] = { { name = "../x" } }, ["file 2: name must"] = { { name = "a" }, { name = "/x" } },
      ["url must begin with https"] = { { name = "a", url = "file:///etc/passwd" } },
      ["sha256 64 hexadecimal digits"] = { { name = "a", sha256 = "12" } },
      ["bytes must be a whole"] = { { name = "a", bytes = -1 } },
      ["unpacks must be a folder's name"] = { { name = "a", unpacks = "../b" } },
    } do
      manifest(files)
      local r = run("fetch", "m.json", "at")
      assert.equal(2, r.code)
      assert.truthy(r.err:find(expected, 1, true), r.err)
    end
    put { ["m.json"] = "[1" }
    assert.matches("m.json", run("fetch", "m.json").err)
  end)

  it("says what to do by hand where nothing can be fetched", function()
    manifest { { name = "a.txt", url = "http://127.0.0.1:1/a.txt", bytes = 5 }, { name = "b.tar", unpacks = "b" } }
    local r = run("fetch", "m.json", "at")
    assert.equal(4, r.code)
    assert.matches("To put it there by hand, download into at:\n  http://127.0.0.1:1/a.txt  %(0 KB%)", r.err)
    assert.matches("unpack it there: it holds the folder b", r.err)
    assert.matches("then: crun data verify m at", r.err, 1)
  end)
end)

-- ---- a server -----------------------------------------------------------------------------------

local has_python = os.execute "command -v python3 >/dev/null 2>&1"
local has_client = os.execute "command -v curl >/dev/null 2>&1 || command -v wget >/dev/null 2>&1"
local function served(what, f)
  if not has_python or not has_client then return pending(what .. " (no python3, or neither curl nor wget)") end
  it(what, function()
    cio.mkdir(folder .. "/web")
    local pid = crun.process.spawn { output = folder .. "/server.log", command = { "/usr/bin/env", "python3",
      "tests/scripts/range_server.py", folder .. "/web", folder .. "/port", folder .. "/requests" } }
    local until_time = cio.monotonic() + 20
    while not cio.exists(folder .. "/port") and cio.monotonic() < until_time do crun.process.sleep(0.02) end
    local ok, why = pcall(f, "http://127.0.0.1:" .. cio.read_file(folder .. "/port") .. "/", function()
      return cio.exists(folder .. "/requests") and cio.read_file(folder .. "/requests") or ""
    end)
    crun.process.kill(pid, "TERM")
    repeat crun.process.sleep(0.01) until crun.process.poll(pid)
    if not ok then error(why, 0) end
  end)
end

describe("crun data fetch", function()
  local content = ("0123456789"):rep(20000)

  served("downloads, verifies and leaves what is there", function(at, requests)
    put { ["web/a.bin"] = content }
    manifest { { name = "sub/a.bin", url = at .. "moved-a.bin", bytes = #content, sha256 = cio.sha256(content) } }
    local r = run("fetch", "m.json", "at")
    assert.equal(0, r.code, r.all)
    assert.matches("sub/a.bin  fetched", r.out)
    assert.equal(content, cio.read_file(folder .. "/at/sub/a.bin"))
    assert.same({ "a.bin" }, (cio.list(folder .. "/at/sub")))
    local before = requests()
    r = run("fetch", "m.json", "at")
    assert.matches("sub/a.bin  there", r.out)
    assert.equal(before, requests())
    put { ["at/sub/a.bin"] = "x" }
    r = run("fetch", "m.json", "at")
    assert.equal(4, r.code)
    assert.matches("is there, but 1 bytes, expected 200000; remove it first", r.err)
  end)

  served("goes on where a download ended", function(at, requests)
    put { ["web/a.bin"] = content, ["at/a.bin.part"] = content:sub(1, 123456) }
    manifest { { name = "a.bin", url = at .. "a.bin", bytes = #content, sha256 = cio.sha256(content) } }
    assert.equal(0, run("fetch", "m.json", "at").code)
    assert.equal(content, cio.read_file(folder .. "/at/a.bin"))
    assert.matches("/a.bin bytes=123456%-", requests())
    -- a connection that breaks: the next call goes on
    cio.remove(folder .. "/at/a.bin")
    manifest { { name = "a.bin", url = at .. "drop-a.bin", bytes = #content, sha256 = cio.sha256(content) } }
    local r = run("fetch", "m.json", "at")
    if r.code ~= 0 then
      assert.equal(4, r.code)
      assert.equal(0, run("fetch", "m.json", "at").code)
    end
    assert.equal(content, cio.read_file(folder .. "/at/a.bin"))
    assert.matches("/drop%-a.bin bytes=100000%-", requests())
    -- a part that is longer than the file is begun anew
    cio.remove(folder .. "/at/a.bin")
    put { ["at/a.bin.part"] = content .. "more" }
    r = run("fetch", "m.json", "at")
    assert.equal(0, r.code, r.all)
    assert.equal(content, cio.read_file(folder .. "/at/a.bin"))
  end)

  served("removes what is not the file, and says what is not there", function(at)
    put { ["web/a.bin"] = content }
    manifest { { name = "a.bin", url = at .. "a.bin", bytes = #content, sha256 = cio.sha256 "other" } }
    local r = run("fetch", "m.json", "at")
    assert.equal(4, r.code)
    assert.matches("what came is not the file: its checksum differs; it is removed", r.err)
    assert.same({}, (cio.list(folder .. "/at")))
    manifest { { name = "b.bin", url = at .. "b.bin" } }
    r = run("fetch", "m.json", "at")
    assert.equal(4, r.code)
    assert.matches("404", r.err)
    assert.is_false(cio.exists(folder .. "/at/b.bin"))
  end)

  served("unpacks archives, and only safe ones", function(at)
    local good = packed.gzip(packed.tar { { "set/", "", { kind = "5" } }, { "set/x.txt", "inside" } })
    put { ["web/good.tgz"] = good, ["web/bad.zip"] = packed.zip { { "set/x", "1" }, { "../evil", "2" } },
      ["web/other.zip"] = packed.zip { { "x", "1" } } }
    manifest { { name = "good.tgz", url = at .. "good.tgz", unpacks = "set" } }
    local r = run("fetch", "m.json", "at")
    assert.equal(0, r.code, r.all)
    assert.matches("good.tgz  fetched, unpacked to set", r.out)
    assert.equal("inside", cio.read_file(folder .. "/at/set/x.txt"))
    assert.same({ "good.tgz", "set" }, (cio.list(folder .. "/at")))
    for name, expected in pairs { ["bad.zip"] = "member 2 has a part '..'", ["other.zip"] = "has no folder set in it" } do
      manifest { { name = name, url = at .. name, unpacks = "set" } }
      r = run("fetch", "m.json", "at2")
      assert.equal(4, r.code)
      assert.truthy(r.err:find(expected, 1, true), r.err)
    end
    assert.same({ "bad.zip", "other.zip" }, (cio.list(folder .. "/at2")))
    assert.is_false(cio.exists(folder .. "/evil"))
  end)
end)

describe("the real data", function()
  local data = os.getenv "CRUN_DATA" or "../shared/data"
  if not cio.is_dir(data) then return pending("is as published (no " .. data .. ")") end
  it("is as published", function()
    for _, name in ipairs { "mnist", "omniglot", "orl_faces", "pendigits" } do
      if cio.is_dir(data .. "/" .. name) then
        local r = shell.run { "data", "verify", name, data .. "/" .. name }
        assert.equal(0, r.code, r.all)
        assert.matches(" 0 damaged", r.out)
        assert.matches(" 0 without a checksum", r.out)
      end
    end
  end)
end)
