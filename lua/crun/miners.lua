--- crun.miners.NAME { options }: every miner by name.
local crun = require "crun"
return setmetatable({}, { __index = crun.native.miners, __pairs = function() return pairs(crun.native.miners) end })
