local crun = require "crun"
local packed = require "packed"
local cio, archive = crun.io, crun.archive
local zip, tar = packed.zip, packed.tar

local folder
before_each(function() folder = cio.tmpdir() end)
after_each(function() cio.remove_tree(folder) end)

local function open(bytes)
  local file <close> = io.open(folder .. "/a", "wb")        -- nothing needs to outlive the machine
  file:write(bytes)
  file:flush()
  return archive.open(folder .. "/a")
end
local function refuses(expected, bytes)
  local ok, message = pcall(open, bytes)
  assert.is_false(ok, expected)
  assert.truthy(message:find(folder .. "/a: ", 1, true), message)
  assert.truthy(message:find(expected, 1, true), message)
end

local corpus = "tests/fuzz/corpus/"
local function example(name) return cio.read_file(corpus .. name) end

describe("gzip", function()
  it("is unpacked, one member or several, zeros behind", function()
    assert.equal("hello hello hello hello", archive.gunzip(example "gzip/text"))
    assert.equal("onetwo", archive.gunzip(example "gzip/two"))
    assert.equal("named", archive.gunzip(example "gzip/named"))
    assert.equal(("\0"):rep(5000), archive.gunzip(example "gzip/zeros"))
    assert.equal("stored", archive.gunzip(packed.gzip "stored"))
    assert.equal("", archive.gunzip(packed.gzip ""))
  end)
  it("is refused wherever it is cut or changed", function()
    local whole = example "gzip/text"
    for n = 0, #whole - 1 do assert.is_false((pcall(archive.gunzip, whole:sub(1, n)))) end
    local function message(bytes) return select(2, pcall(archive.gunzip, bytes)) end
    assert.matches("not a gzip file", message "PK")
    assert.matches("cut short after 20 bytes", message(whole:sub(1, 20)))
    assert.matches("damaged data.*incorrect data check", message(whole:sub(1, -9) .. "XXXX" .. whole:sub(-4)))
    assert.matches("unknown bytes behind the data", message(whole .. "x"))
  end)
end)

describe("a zip file", function()
  it("is read, stored and deflated", function()
    local a <close> = open(example "archive/zip")
    assert.equal(3, #a)
    assert.same({ "d/", "d/a.txt", "d/b.txt" }, a:names())
    assert.equal("stored", a:read(2))
    assert.equal(("deflated "):rep(20), a:read(3))
    assert.equal("", a:read(1))
    assert.has_error(function() a:read(4) end)
    assert.equal(0, #open(example "archive/zip_empty"))
    assert.equal("x", open(zip({ { "a", "x" } }, "")):read(1))
  end)
  it("is unpacked into a folder that is new", function()
    local a = open(example "archive/zip")
    a:unpack(folder .. "/out")
    assert.equal("stored", cio.read_file(folder .. "/out/d/a.txt"))
    assert.same({ "a", "out" }, (cio.list(folder)))
    assert.matches("is there already", select(2, pcall(a.unpack, a, folder .. "/out")))
    local broken = open(zip { { "x/good", "fine" }, { "x/bad", "text", { crc = 1 } } })
    assert.matches("x/bad: its checksum is 3b8ba7c7, expected 00000001",
      select(2, pcall(broken.unpack, broken, folder .. "/other")))
    assert.same({ "a", "out" }, (cio.list(folder)))         -- nothing half done stays
  end)
  it("with a name that leads away is refused", function()
    for name, what in pairs {
      ["../x"] = "a part '..'", ["a/../../x"] = "a part '..'", ["/etc/x"] = "an absolute path",
      ["a\\b"] = "a backslash", ["C:x"] = "a drive letter", ["a//b"] = "an empty part",
      ["./a"] = "a part '.'", ["a/."] = "a part '.'", ["a/.."] = "a part '..'", [""] = "an empty name",
      ["a\nb"] = "a control character", ["a\0b"] = "a control character", [("x"):rep(1025)] = "a name that is too long",
    } do refuses("zip: member 2 has " .. what, zip { { "ok", "" }, { name, "x" } }) end
    assert.equal(3, #open(zip { { "...", "" }, { "a..b/..c", "" }, { "ab:c", "" } }))
  end)
  it("with links, devices, doubles, overlaps or false sizes is refused", function()
    refuses("member 1 is a link", zip { { "a", "/etc/passwd", { mode = 0xa1ff } } })
    refuses("member 1 is neither file nor folder", zip { { "a", "", { mode = 0x21ff } } })
    refuses("the name 'a/B' comes twice", zip { { "A/b", "" }, { "x", "" }, { "a/B", "" } })
    refuses("member 2 differs from its entry", zip { { "a", "xxxx" }, { "b", "xxxx", { at = 0 } } })
    local twice = zip { { "a", "xxxx" }, { "a", "xxxx", { at = 0 } } }
    refuses("two members overlap at byte 0", twice)
    refuses("member 1 differs from its entry", zip { { "a", "", { local_name = "../a" } } })
    refuses("member 1 is encrypted", zip { { "a", "x", { flags = 1 } } })
    refuses("packed by method 12", zip { { "a", "x", { method = 12 } } })
    refuses("is stored, 5 bytes as 1", zip { { "a", "x", { bytes = 5 } } })
    refuses("claims 9 bytes, the file has 1 there", zip { { "a", "x", { packed = 9, bytes = 9 } } })
    refuses("'a' claims 9999 bytes, its 1 packed ones cannot hold them",
      zip { { "a", "x", { method = 8, bytes = 9999 } } })
    refuses("zip64 form", zip { { "a", "x", { packed = 0xffffffff } } })
    refuses("is a folder with content", zip { { "a/", "x" } })
    refuses("to unpack to more than 4294967296 bytes", zip { { "a", ("x"):rep(5000000),
      { method = 8, bytes = 4000000000 } }, { "b", ("x"):rep(5000000), { method = 8, bytes = 4000000000 } } })
    refuses("lies outside the file", zip { { "a", "x", { at = 4000 } } })
  end)
  it("is refused wherever it is cut", function()
    local whole = example "archive/zip"
    for n = 4, #whole - 1 do assert.is_false((pcall(open, whole:sub(1, n)))) end
    refuses("its directory is missing", whole:sub(1, -3))
    refuses("not an archive: expected a zip or tar file", "GIF89a")
    refuses("not an archive", "")
  end)
  it("whose data lie is refused when read", function()
    local a = open(zip { { "a", "text", { crc = 5 } }, { "b", "not deflate", { method = 8 } },
      { "c", "\1\2\0\253\255hi", { method = 8, bytes = 1 } }, { "d", "\1\2\0\253\255hi", { method = 8, bytes = 3 } } })
    local function message(i) return select(2, pcall(a.read, a, i)) end
    assert.matches("a: its checksum is", message(1))
    assert.matches("b: damaged data", message(2))
    assert.matches("c: it unpacks to more than the 1 bytes", message(3))
    assert.matches("d: expected 3 bytes, got 2", message(4))
  end)
end)

describe("a tar file", function()
  it("is read as ustar, GNU and pax write it, gzipped or not", function()
    for kind, long in pairs { ustar = ("d"):rep(60) .. "/" .. ("e"):rep(60) .. ".txt",
                              gnu = "d/" .. ("x"):rep(120) .. ".txt", pax = "d/" .. ("x"):rep(120) .. ".txt" } do
      for _, bytes in ipairs { example("archive/tar_" .. kind), packed.gzip(example("archive/tar_" .. kind)) } do
        local a = open(bytes)
        assert.same({ "d/", "d/a.txt", long }, a:names())
        assert.equal("hello", a:read(2))
        assert.equal("hi", a:read(3))
      end
    end
    local a = open(tar { { "./", "", { kind = "5" } }, { "./x", "1" }, { "y", "2", { prefix = "p" } } })
    assert.same({ "x", "p/y" }, a:names())
    a:unpack(folder .. "/out")
    assert.equal("2", cio.read_file(folder .. "/out/p/y"))
  end)
  it("is refused when it is unsafe, cut or damaged", function()
    refuses("tar: member 1 has a part '..'", tar { { "../x", "" } })
    refuses("tar: member 1 has an absolute path", tar { { "/x", "" } })
    refuses("member 2 is a link", tar { { "x", "" }, { "y", "", { kind = "2" } } })
    refuses("member 2 is a link", tar { { "x", "" }, { "y", "", { kind = "1" } } })
    refuses("member 1 is neither file nor folder", tar { { "y", "", { kind = "3" } } })
    refuses("the name 'X' comes twice", tar { { "x", "" }, { "X", "" } })
    refuses("is a folder with content", tar { { "x", "y", { kind = "5" } } })
    refuses("size of member 1 is no octal number", tar { { "x", "", { size = "\x80\0\0\0\0\0\0\0\0\0\0\1" } } })
    refuses("the file is cut short: member 1 has 64 bytes", tar({ { "x", "", { size = "00000000100\0" } } }):sub(1, 512))
    local whole = example "archive/tar_gnu"
    for n = 0, #whole - 1100, 100 do assert.is_false((pcall(open, whole:sub(1, n)))) end
    local damaged = whole:sub(1, 512) .. "X" .. whole:sub(514)
    refuses("the header of member 2 is damaged", damaged)
  end)
end)
