-- The script of the README: learns to tell 40 generated faces apart, then meets 20 new ones.
local crun = require "crun"
local nn, optim = crun.nn, crun.optim

local images, people = crun.data.faces { identities = 40, per_identity = 10 }
local net = nn.Sequential {
  nn.Conv2d(1, 16, 3, { padding = 1 }), nn.ReLU(), nn.MaxPool2d(4),
  nn.Flatten(), nn.Linear(16 * 16 * 16, 32), nn.Normalize(),
}
local triplet = crun.losses.triplet { margin = 0.2 }
local adam = optim.Adam(net, { lr = 1e-3 })
for rows in crun.sampler.pk { labels = people, p = 8, k = 4, batches = 60 } do
  local loss = triplet(net(crun.data.augment(images, rows, { flip = 0.5 })), people:index_select(rows))
  adam:zero_grad() loss:backward() adam:step()
end
local new, who = crun.data.faces { identities = 20, per_identity = 10, first = 41 }
print(("MAP@R of people never seen: %.3f"):format(crun.eval.retrieval(crun.eval.embed(net, new), who)["map@r"]))
