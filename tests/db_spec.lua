local crun = require "crun"

local folder, db
before_each(function()
  folder = crun.io.tmpdir()
  db = crun.db.open(folder .. "/x.db")
  db:script "CREATE TABLE a(k INTEGER PRIMARY KEY, v); CREATE TABLE b(k REFERENCES a(k));"
end)
after_each(function()
  db:close()
  crun.io.remove_tree(folder)
end)

describe("crun.db", function()
  it("keeps what kind a value is", function()
    local values = { 3, 3.0, -2.5, "text\0with a zero", "", math.huge, math.maxinteger, "ü" }
    for i, v in ipairs(values) do db:run("INSERT INTO a VALUES(?, ?)", i, v) end
    db:run("INSERT INTO a VALUES(?, ?)", 90, true)
    db:run("INSERT INTO a(k) VALUES(91)")
    for i, row in ipairs(db:query "SELECT v FROM a WHERE k < 50 ORDER BY k") do
      assert.equal(values[i], row.v)
      assert.equal(math.type(values[i]), math.type(row.v))
    end
    assert.equal(1, db:query("SELECT v FROM a WHERE k = ?", 90)[1].v)
    assert.is_nil(db:query("SELECT v FROM a WHERE k = ?", 91)[1].v)
    assert.equal(10, db:run "UPDATE a SET v = 0")
  end)

  it("walks rows, also twice at once, and lets go at a break", function()
    for i = 1, 4 do db:run("INSERT INTO a VALUES(?, ?)", i, i * i) end
    local seen = {}
    for k in db:rows "SELECT k FROM a ORDER BY k" do
      for l, v in db:rows("SELECT k, v FROM a WHERE k > ? ORDER BY k", k) do
        seen[#seen + 1] = ("%d%d=%d"):format(k, l, v)
        break
      end
    end
    assert.same({ "12=4", "23=9", "34=16" }, seen)
    db:script "DROP TABLE a"                             -- would be locked by an open read
  end)

  it("lets a second one read while the first writes", function()
    local other = crun.db.open(folder .. "/x.db")
    db:script "BEGIN IMMEDIATE"
    db:run "INSERT INTO a VALUES(1, 1)"
    assert.equal(0, #other:query "SELECT * FROM a")
    db:script "COMMIT"
    assert.equal(1, #other:query "SELECT * FROM a")
    other:close()
  end)

  it("says what is wrong", function()
    local function fails(text, f, ...)
      local ok, message = pcall(f, ...)
      assert.is_false(ok)
      assert.truthy(message:find(text, 1, true), message)
    end
    fails("x.db: no such table: nope", db.query, db, "SELECT * FROM nope")
    fails("takes 1 values, got 2", db.run, db, "INSERT INTO a VALUES(1, ?)", 1, 2)
    fails("value 1 is NaN", db.run, db, "INSERT INTO a VALUES(1, ?)", 0 / 0)
    fails("value 1 must be a number, a text, true, false or nil, got a table", db.run, db,
      "INSERT INTO a VALUES(1, ?)", {})
    fails("one statement", db.run, db, "SELECT 1; SELECT 2")
    fails("there is no statement", db.run, db, "  ")
    fails("FOREIGN KEY constraint failed", db.run, db, "INSERT INTO b VALUES(7)")
    db:run "INSERT INTO a VALUES(1, 1)"
    fails("UNIQUE constraint failed: a.k", db.run, db, "INSERT INTO a VALUES(1, 1)")
    db:run "INSERT INTO a VALUES(2, 1)"                  -- and goes on
    fails("db:run(...)", db.run, 3)
    local none, why = crun.db.open(folder .. "/no/such/x.db")
    assert.is_nil(none)
    assert.truthy(why:find("x.db: unable to open database file", 1, true), why)
    crun.io.write_file(folder .. "/text.db", ("this is no database\n"):rep(100))
    none, why = crun.db.open(folder .. "/text.db")
    assert.is_nil(none)
    assert.truthy(why:find("text.db: file is not a database", 1, true), why)
    db:close()
    fails("the database is closed", db.query, db, "SELECT 1")
    db:close()
  end)

  it("is collected in any order", function()
    for _ = 1, 50 do
      local d = crun.db.open ":memory:"
      d:script "CREATE TABLE t(x)"
      d:run("INSERT INTO t VALUES(?)", 1)
      local f = d:rows "SELECT x FROM t"
      f()
    end
    collectgarbage()
    collectgarbage()
  end)
end)
