--- Manifold similarity loss, composed: rows are compared through a random walk over batch and
-- proxies.
--
--   W = e^(2 max(0, s)) between the B rows and K proxies, its diagonal 0
--   S = D^-1/2 W D^-1/2, D = row sums of W
--   F = (1 - alpha) (I - alpha S)^-1
--   intrinsic   x_ik = F_ik - F_ic + margin                         k a proxy, c the proxy of row i
--   context     x_ik = cos(F_i, F_k) - cos(F_i, F_c) + margin       F_k the row of proxy k
--   loss        the mean over rows of log(1 + sum over k != c with x_ik >= 0 of e^(x_ik)), of
--               intrinsic, plus lambda_c times that of context; lambda_c = math.huge: context alone
--
-- s is the cosine unless told otherwise. The second argument of the call says the proxy of each
-- row, 1 .. K. Proxies [K D] are a parameter: give { proxies = tensor }, or { K =, dim = } for
-- normal random ones, or hand them to each call as its third argument. Time (B + K)^3, memory
-- (B + K)^2. Aziere, Todorovic, "Ensemble deep manifold similarity learning using hard proxies",
-- CVPR 2019, eq. 3 to 9.
local crun = require "crun"

local function own_proxies(self)
  return self._parameters.proxies or
    crun.fail("losses.manifold",
      "has no proxies: give proxies, or dim (and K), or call it with them")
end

return {
  name = "manifold", distance = "cosine", similarity = true, reducer = "mean",
  options = {
    K = { "count", 50 }, dim = "count?", proxies = "tensor?", rng = "rng?",
    lambda_c = { "number", 1, least = 0 }, alpha = { "number", 0.8, least = 0, most = 0.999999 },
    margin = { "number", 5e-4 },
  },
  init = function(self)
    local proxies = self.proxies
    if not proxies then
      if not self.dim then return end
      proxies = crun.randn(self.rng or crun.rng(1, "losses.manifold"), self.K, self.dim)
    end
    self._parameters.proxies = crun.nn.parameter(proxies)
  end,
  -- the fused loss takes the proxies as its third input
  call = function(self, z, proxy, proxies)
    return self._native(z, proxy, proxies or own_proxies(self))
  end,
  forward = function(o, c)
    c:whole_batch_only(true)
    local proxies, proxy = own_proxies(c.criterion), c:labels()
    local B, K = c.B, #proxies
    local n = B + K
    if B == 0 then return {} end
    local s = c.distance:similarity(c.distance:matrix(crun.cat { c.z, proxies }))
    local W = (s:relu() * 2):exp():masked_fill(crun.eye(n):byte(), 0)
    local scale = W:sum(2):rsqrt()
    local S = W * scale:unsqueeze(1) * scale:unsqueeze(2)
    local F = (crun.eye(n) - S * o.alpha):inverse() * (1 - o.alpha)
    local k, others = crun.arange(1, B), crun.one_hot(proxy, K):eq(0)
    local function hinge(x)
      x = x - x:index_pairs(k, proxy):unsqueeze(2) + o.margin
      local counted = x:detach():ge(0):logical_and(others)
      return x:masked_logsumexp(counted, { dim = 2, add_one = true }):mean()
    end
    local rows, of_proxies = F:narrow(1, 1, B), F:narrow(1, B + 1, K)
    local loss = o.lambda_c < math.huge and hinge(rows:narrow(2, B + 1, K)) or nil
    if o.lambda_c > 0 then
      local context = hinge(rows:normalize():matmul(of_proxies:normalize(), { transpose_y = true }))
      if loss then context = loss + context * o.lambda_c end
      loss = context
    end
    return { c.reduced(loss) }
  end,
}
