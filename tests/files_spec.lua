local crun = require "crun"
local fs = crun.io

local function message(f, ...)
  local ok, text = pcall(f, ...)
  assert.is_false(ok)
  return text
end

describe("files", function()
  local dir
  before_each(function() dir = fs.tmpdir() end)
  after_each(function() fs.fail_at(0) fs.remove_tree(dir) end)

  it("are written whole and read whole", function()
    local path, data = dir .. "/a.bin", ("\0\1\n\r\255"):rep(50000)
    fs.write_file(path, data)
    assert.is_true(fs.read_file(path) == data)
    fs.write_file(path, "")
    assert.equal("", fs.read_file(path))
    assert.same({"a.bin"}, (fs.list(dir)))
  end)
  it("grow by appending and are cut", function()
    local path = dir .. "/log"
    fs.append_file(path, "one\n")
    fs.append_file(path, "two\n")
    assert.equal("one\ntwo\n", fs.read_file(path))
    fs.truncate(path, 4)
    assert.equal("one\n", fs.read_file(path))
    assert.matches("cannot cut .* to 9 bytes: it has 4", message(fs.truncate, path, 9))
  end)
  it("read pipes and files without a length", function()
    assert.matches("^Linux", fs.read_file("/proc/version"))
    fs.write_file("/dev/null", "gone")
    assert.equal("other", (fs.kind("/dev/null")))
  end)
  it("refuse what is longer than the caller expects", function()
    fs.write_file(dir .. "/a", "12345")
    assert.equal("12345", fs.read_file(dir .. "/a", 5))
    assert.matches("5 bytes or more, at most 4 expected", message(fs.read_file, dir .. "/a", 4))
    assert.matches("at most 10 expected", message(fs.read_file, "/proc/version", 10))
  end)
  it("say which file failed and why, at the caller's line", function()
    assert.matches("^.*files_spec.lua:%d+: io.read_file: cannot read '/no/such': No such file or directory$",
      message(function() fs.read_file("/no/such") end))
    assert.matches("it is a folder, expected a file", message(fs.read_file, dir))
    assert.matches("it is a folder, expected a file", message(fs.write_file, dir, "x"))
    assert.matches("cannot write '/no/such/file'", message(fs.write_file, "/no/such/file", "x"))
    assert.matches("the path must be a string, got a table", message(fs.read_file, {}))
    assert.matches("the path has a NUL character in it", message(fs.read_file, "a\0b"))
    assert.matches("the path is empty", message(fs.read_file, ""))
    assert.matches("the content must be a string, got nothing", message(fs.write_file, dir .. "/a"))
    assert.matches("path is too long", message(fs.write_file, dir .. "/" .. ("x/"):rep(3000), "x"))
  end)

  it("keep their old content whichever step of writing fails", function()
    local path, steps = dir .. "/checkpoint", 0
    fs.write_file(path, "old")
    for n = 1, 20 do
      fs.fail_at(n)
      local ok, text = pcall(fs.write_file, path, "new")
      fs.fail_at(0)
      local now = fs.read_file(path)
      assert.same({"checkpoint"}, (fs.list(dir)))         -- no temporary file is left
      if ok then
        assert.equal("new", now)
        break
      end
      steps = n
      assert.matches("checkpoint': No space left on device", text)
      -- the folder's sync comes after the rename: then the new content is there, but not yet sure to stay
      assert.equal(n < 5 and "old" or "new", now)
      fs.write_file(path, "old")
    end
    assert.equal(5, steps)                                -- open, write, fsync, rename, fsync of the folder
  end)
  it("never keep half a record", function()
    local path = dir .. "/log"
    fs.append_file(path, "one\n")
    for n = 1, 2 do
      fs.fail_at(n)
      assert.matches("cannot append to .* No space left on device", message(fs.append_file, path, "two\n"))
      fs.fail_at(0)
      assert.equal("one\n", fs.read_file(path))
    end
    if fs.exists("/dev/full") then
      assert.matches("No space left on device", message(fs.append_file, "/dev/full", "x"))
      assert.matches("No space left on device", message(fs.write_file, "/dev/full", "x"))
    end
  end)
  it("take the place of a link without touching what it leads to", function()
    fs.write_file(dir .. "/real", "real")
    os.execute(("ln -s real '%s/link'"):format(dir))
    fs.write_file(dir .. "/link", "new")
    assert.equal("real", fs.read_file(dir .. "/real"))
    assert.equal("new", fs.read_file(dir .. "/link"))
  end)
end)

describe("folders", function()
  local dir
  before_each(function() dir = fs.tmpdir() end)
  after_each(function() fs.remove_tree(dir) end)

  it("are listed by bytes with the kind of each entry", function()
    for _, name in ipairs { "b", "B", "a10", "a2", ".hidden", "\xc3\xa9" } do fs.write_file(dir .. "/" .. name, "") end
    fs.mkdir(dir .. "/sub")
    os.execute(("ln -s nowhere '%s/dead'; ln -s sub '%s/door'"):format(dir, dir))
    local names, kinds = fs.list(dir)
    assert.same({ ".hidden", "B", "a10", "a2", "b", "dead", "door", "sub", "\xc3\xa9" }, names)
    assert.same({ "file", "link", "folder", "folder" }, { kinds.b, kinds.dead, kinds.door, kinds.sub })
    assert.same({}, (fs.list(dir .. "/sub")))
    assert.matches("cannot list the folder '/no/such': No such file", message(fs.list, "/no/such"))
    assert.matches("Not a directory", message(fs.list, dir .. "/b"))
  end)
  it("are made with their parents, and again", function()
    fs.mkdir(dir .. "/a/b//c/")
    fs.mkdir(dir .. "/a/b/c")
    assert.is_true(fs.is_dir(dir .. "/a/b/c"))
    fs.write_file(dir .. "/file", "")
    assert.matches("cannot make the folder '.*/file': Not a directory", message(fs.mkdir, dir .. "/file"))
    assert.matches("Not a directory", message(fs.mkdir, dir .. "/file/x"))
  end)
  it("are removed with what is in them, links not followed", function()
    fs.mkdir(dir .. "/keep") fs.write_file(dir .. "/keep/x", "x")
    fs.mkdir(dir .. "/go/deep/er") fs.write_file(dir .. "/go/deep/y", "y")
    os.execute(("ln -s ../keep '%s/go/link'"):format(dir))
    assert.matches("Directory not empty", message(fs.remove, dir .. "/go"))
    fs.remove_tree(dir .. "/go")
    assert.is_false(fs.exists(dir .. "/go"))
    assert.equal("x", fs.read_file(dir .. "/keep/x"))
    fs.rename(dir .. "/keep/x", dir .. "/keep/z")
    fs.remove(dir .. "/keep/z")
    assert.matches("cannot remove '.*/z': No such file", message(fs.remove, dir .. "/keep/z"))
    assert.matches("cannot rename '.*/z' to 'q': No such file", message(fs.rename, dir .. "/keep/z", "q"))
  end)
  it("can be asked about", function()
    fs.write_file(dir .. "/five", "12345")
    local kind, bytes, modified = fs.kind(dir .. "/five")
    assert.same({ "file", 5 }, { kind, bytes })
    assert.is_true(math.abs(modified - fs.time()) < 60)
    assert.is_nil((fs.kind(dir .. "/none")))
    assert.same({ true, false }, { fs.is_file(dir .. "/five"), fs.is_dir(dir .. "/five") })
    assert.equal(fs.realpath(dir) .. "/five", fs.realpath(dir .. "/./five"))
    assert.matches("cannot find '.*none'", message(fs.realpath, dir .. "/none"))
  end)
end)

describe("every function of crun.io", function()
  it("leaks nothing and says so when the n-th allocation fails", function()
    local core = require "crun.core"
    local dir = fs.tmpdir()
    local image, x = crun.zeros(3, 4, 5):byte(), crun.tensor {{1, 2}, {3, 4}}
    local texts = { npy = fs.encode_npy(x:t()), image = fs.encode_pgm(image) }
    fs.write_file(dir .. "/file", "content")
    local w = fs.events(dir .. "/events")
    local function live() collectgarbage() collectgarbage() return crun.memory().live end
    for name, f in pairs {
      read_file = function() return fs.read_file(dir .. "/file") end,
      list = function() return (fs.list(dir)) end,
      json_encode = function() return fs.json_encode { a = ("x"):rep(1000), b = { 1, 2, 3 } } end,
      encode_npy = function() return fs.encode_npy(x:t()) end,
      decode_npy = function() return fs.decode_npy(texts.npy):shape() end,
      encode_pgm = function() return fs.encode_pgm(image) end,
      decode_pgm = function() return fs.decode_image(texts.image):shape() end,
      encode_safetensors = function() return fs.encode_safetensors({ a = x:t(), b = image }, { k = 1 }) end,
      scalar = function() w:scalar("a", 1, 1) end,
      histogram = function() w:histogram("a", x, 1) end,
      image = function() w:image("a", image, 1) end,
      experiment = function() w:experiment({ lr = 1, loss = "" }, { "m" }) end,
      hparams = function() w:hparams({ lr = 1, loss = "a" }, "g") end,
    } do
      local expected, done = f()
      for n = 1, 200 do
        local before = live()
        core.fail_at(n)
        local ok, result = pcall(f)
        core.fail_at(0)
        if ok then
          assert.same(expected, result)
          done = n
          break
        end
        result = nil
        assert.equal(before, live(), name)
      end
      assert.is_true(done and done > 1, name)
    end
    fs.remove_tree(dir)
  end)
end)

describe("the machine", function()
  it("tells time, name, number and terminal", function()
    local a = fs.monotonic()
    assert.is_true(fs.monotonic() >= a)
    assert.is_true(math.abs(fs.time() - os.time()) < 5)
    assert.is_string(fs.hostname())
    assert.equal("integer", math.type(fs.getpid()))
    assert.is_boolean(fs.isatty(1))
    assert.equal("/", fs.cwd():sub(1, 1))
    local name = fs.tmpname()
    assert.equal("", fs.read_file(name))
    fs.remove(name)
    local width = fs.terminal_width(1)
    assert.is_true(width == nil or width > 0)
  end)
end)

describe("checksums", function()
  it("give the published values of SHA-256", function()                    -- FIPS 180-4 examples, NIST CAVS
    assert.equal("e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855", fs.sha256(""))
    assert.equal("ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad", fs.sha256("abc"))
    assert.equal("248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1",
      fs.sha256("abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq"))
    assert.equal("cf5b16a778af8380036ce59e7b0492370b249b11e8f07a51afac45037afee9d1",
      fs.sha256("abcdefghbcdefghicdefghijdefghijkefghijklfghijklmghijklmnhijklmnoijklmnopjklmnopqklmnopqrlmnopqrsmnopqrstnopqrstu"))
    assert.equal("cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0", fs.sha256(("a"):rep(1000000)))
  end)
  it("of a file are those of its bytes, at every length around a block", function()
    local path = fs.tmpname()
    for n = 50, 140 do
      local data = ("x"):rep(n)
      fs.write_file(path, data)
      assert.equal(fs.sha256(data), fs.sha256_file(path))
    end
    fs.remove(path)
    assert.matches("cannot read '.*': No such file", message(fs.sha256_file, path))
  end)
  it("give the published values of CRC-32C", function()                    -- RFC 3720, B.4
    assert.equal(0xe3069283, fs.crc32c("123456789"))
    assert.equal(0x8a9136aa, fs.crc32c(("\0"):rep(32)))
    assert.equal(0x62a8ab43, fs.crc32c(("\xff"):rep(32)))
    local up = {}
    for i = 0, 31 do up[#up + 1] = string.char(i) end
    assert.equal(0x46dd794e, fs.crc32c(table.concat(up)))
    assert.equal(0x113fdb5c, fs.crc32c(table.concat(up):reverse()))
    assert.equal(0, fs.crc32c(""))
  end)
end)
