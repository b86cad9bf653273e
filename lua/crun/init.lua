--- crun: tensors, gradients, losses, and what an experiment needs around them.
-- `require "crun"` returns the core written in C; the modules written in Lua (nn, optim, config, ...) are
-- loaded when they are first named, so a script that needs none of them starts in milliseconds.
local crun = require "crun.core"

-- arguments after the script, as they were given
crun.args = {}
for i = 1, #(arg or {}) do crun.args[i] = arg[i] end

crun["repeat"] = crun.tile

-- crun.losses and crun.miners are lua/crun/losses.lua and miners.lua, which put the relation, distances and reducers
-- around what is written in C
crun.native = { losses = crun.losses or {}, miners = crun.miners or {} }
crun.losses, crun.miners = nil, nil

--- Runs f(...) and frees every tensor it made but those it returns.
-- Results may be tensors or tables of tensors (one level).
function crun.scope(f, ...)
  local guard <close> = crun.open_scope()
  return guard:keep(f(...))
end

local optional = {}
for name in ([[ losses miners loss reducers distances regularizers relation
  nn optim schedule sampler eval pca plot canvas inspect config run checkpoint progress ui imagefolder
  micro magnet datasets sweep search stats health bench ]]):gmatch "%S+" do
  optional[name] = true
end

return setmetatable(crun, {
  __index = function(self, name)
    if name == "start" then                                   -- crun.start(cfg) is run.start
      self.start = require("crun.run").start
      return self.start
    end
    if not optional[name] then return nil end
    local module = require("crun." .. name)
    rawset(self, name, module)
    return module
  end,
})
