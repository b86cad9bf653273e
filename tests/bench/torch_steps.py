"""The workloads of `crun bench` in torch, so that `crun bench --against torch` can run both in turns.

    torch_steps.py NAME --threads N --pick           prints {"variant": the fastest way torch has for it}
    torch_steps.py NAME --threads N --variant V      answers lines as lua/crun/bench/worker.lua does

Losses are written straight in torch on distance matrices, with no list of pairs: the fastest torch can do.
"""
import argparse, json, os, sys, time

parser = argparse.ArgumentParser()
parser.add_argument("name")
parser.add_argument("--threads", type=int, default=2)
parser.add_argument("--variant")
parser.add_argument("--pick", action="store_true")
A = parser.parse_args()

import torch
from torch import nn
import torch.nn.functional as F

torch.set_num_threads(A.threads)
torch.manual_seed(1)


# ---- nets ---------------------------------------------------------------------------------------

def mlp(widths):
    layers = []
    for i in range(len(widths) - 1):
        layers.append(nn.Linear(widths[i], widths[i + 1]))
        if i < len(widths) - 2:
            layers.append(nn.ReLU())
    return nn.Sequential(*layers)


class FaceNet(nn.Module):
    def __init__(self, h, w):
        super().__init__()
        layers, channels = [], 1
        for width in (32, 64, 128, 128):
            layers += [nn.Conv2d(channels, width, 3, padding=1, bias=False), nn.BatchNorm2d(width),
                       nn.ReLU(inplace=True), nn.MaxPool2d(2)]
            channels, h, w = width, h // 2, w // 2
        self.body, self.head = nn.Sequential(*layers), nn.Linear(channels * h * w, 128)

    def forward(self, x):
        return F.normalize(self.head(torch.flatten(self.body(x), 1)))


class Block(nn.Module):
    def __init__(self, c, k, stride):
        super().__init__()
        self.c1, self.b1 = nn.Conv2d(c, k, 3, stride, 1, bias=False), nn.BatchNorm2d(k)
        self.c2, self.b2 = nn.Conv2d(k, k, 3, 1, 1, bias=False), nn.BatchNorm2d(k)
        same = stride == 1 and c == k
        self.around = nn.Identity() if same else nn.Sequential(
            nn.Conv2d(c, k, 1, stride, bias=False), nn.BatchNorm2d(k))

    def forward(self, x):
        y = F.relu(self.b1(self.c1(x)), inplace=True)
        return F.relu(self.b2(self.c2(y)) + self.around(x), inplace=True)


class ResNet(nn.Module):
    def __init__(self, depth):
        super().__init__()
        layers, c = [nn.Conv2d(3, 16, 3, 1, 1, bias=False), nn.BatchNorm2d(16), nn.ReLU(inplace=True)], 16
        for stage, k in enumerate((16, 32, 64)):
            for i in range((depth - 2) // 6):
                layers.append(Block(c, k, 2 if stage and i == 0 else 1))
                c = k
        self.body = nn.Sequential(*layers)
        self.head = nn.Sequential(nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 128))

    def forward(self, x):
        return F.normalize(self.head(self.body(x).mean((2, 3))))


class Strokes(nn.Module):
    def __init__(self):
        super().__init__()
        self.gru, self.head = nn.GRU(3, 128), nn.Linear(128, 64)

    def forward(self, x, lengths, packed: bool):
        if packed:
            _, last = self.gru(nn.utils.rnn.pack_padded_sequence(x, lengths, enforce_sorted=False))
            last = last[0]
        else:                                   # over the padding too; then each row's own last state
            every, _ = self.gru(x)
            last = every[lengths - 1, torch.arange(x.shape[1])]
        return F.normalize(self.head(last))


# ---- losses -------------------------------------------------------------------------------------

def pairs(y):
    same = y[:, None] == y[None, :]
    return same & ~torch.eye(len(y), dtype=torch.bool), ~same


NOTHING = float("-inf")


def batch_hard(z, y, margin: float = 0.2):
    d = torch.cdist(z, z)
    same = y[:, None] == y[None, :]
    return F.relu((d * same).max(1)[0] - (d + same * 1e9).min(1)[0] + margin).mean()


def contrastive(z, y):
    d = torch.cdist(z, z)
    pos, neg = pairs(y)
    return (d * pos).sum() / pos.sum() + (F.relu(1 - d) * neg).sum() / neg.sum()


def multi_similarity(z, y, epsilon=0.1, alpha=2.0, beta=50.0, base=0.5):
    s = z @ z.t()
    pos, neg = pairs(y)
    with torch.no_grad():
        hardest_p = s.masked_fill(~pos, float("inf")).min(1, keepdim=True)[0]
        hardest_n = s.masked_fill(~neg, NOTHING).max(1, keepdim=True)[0]
        pos, neg = pos & (s - epsilon < hardest_n), neg & (s + epsilon > hardest_p)
    p = (torch.exp(-alpha * (s - base)) * pos).sum(1)
    n = (torch.exp(beta * (s - base)) * neg).sum(1)
    return (torch.log1p(p) / alpha + torch.log1p(n) / beta).mean()


def ntxent(z, y, t=0.1):
    s = z @ z.t() / t
    pos, neg = pairs(y)
    rest = s.masked_fill(~neg, NOTHING).logsumexp(1, keepdim=True)
    return ((torch.logaddexp(s, rest) - s) * pos).sum() / pos.sum()


def ntxent_views(z, y, t=0.1):                  # two views: each row has one positive
    n = len(z)
    s = (z @ z.t() / t).masked_fill(torch.eye(n, dtype=torch.bool), NOTHING)
    return F.cross_entropy(s, (torch.arange(n) + n // 2) % n)


def supcon(z, y, t=0.1):
    s = z @ z.t() / t
    pos, _ = pairs(y)
    eye = torch.eye(len(y), dtype=torch.bool)
    log_p = s - s.masked_fill(eye, NOTHING).logsumexp(1, keepdim=True)
    return -((log_p * pos).sum(1) / pos.sum(1)).mean()


def circle(z, y, m=0.4, gamma=80.0):
    s = z @ z.t()
    pos, neg = pairs(y)
    p = -gamma * F.relu(1 + m - s.detach()) * (s - (1 - m))
    n = gamma * F.relu(s.detach() + m) * (s - m)
    return F.softplus(p.masked_fill(~pos, NOTHING).logsumexp(1) +
                      n.masked_fill(~neg, NOTHING).logsumexp(1)).mean()


class ProxyAnchor(nn.Module):
    def __init__(self, classes=100, dim=128):
        super().__init__()
        self.proxies = nn.Parameter(torch.randn(classes, dim))

    def forward(self, z, y, margin=0.1, alpha=32.0):
        s = z @ F.normalize(self.proxies).t()
        own = F.one_hot(y, s.shape[1]).bool()
        p = torch.where(own, torch.exp(-alpha * (s - margin)), torch.zeros(())).sum(0)
        n = torch.where(own, torch.zeros(()), torch.exp(alpha * (s + margin))).sum(0)
        return torch.log1p(p).sum() / own.any(0).sum() + torch.log1p(n).mean()


class ArcFace(nn.Module):
    def __init__(self, classes=100, dim=128):
        super().__init__()
        self.weights = nn.Parameter(torch.randn(classes, dim))

    def forward(self, z, y, margin=28.6 / 57.29578, scale=64.0):
        s = z @ F.normalize(self.weights).t()
        rows = torch.arange(len(y))
        own = torch.cos(torch.acos(s[rows, y].clamp(-1 + 1e-7, 1 - 1e-7)) + margin)
        return F.cross_entropy(scale * s.index_put((rows, y), own), y)


HEADS = {"contrastive": contrastive, "triplet": batch_hard, "multi_similarity": multi_similarity,
         "ntxent": ntxent, "supcon": supcon, "circle": circle, "proxy_anchor": ProxyAnchor, "arcface": ArcFace}


# ---- workloads: name -> {variant: function that makes a step} -------------------------------------

def training(net, loss, inputs, kind, lr, foreach=False, last=False, trace=False):
    torch.manual_seed(1)
    net, extra = net(), []
    if isinstance(loss, type):
        loss = loss()
        extra = list(loss.parameters())
    x, y = inputs
    if last:
        net, x = net.to(memory_format=torch.channels_last), x.contiguous(memory_format=torch.channels_last)
    if trace:
        net = torch.jit.trace(net, x)
    weights = list(net.parameters()) + extra
    if kind == "adam":
        opt = torch.optim.Adam(weights, lr=lr, foreach=foreach)
    else:
        opt = torch.optim.SGD(weights, lr=lr, momentum=0.9 if kind == "momentum" else 0, foreach=foreach)

    def step():
        opt.zero_grad(set_to_none=True)
        z = net(*x) if isinstance(x, tuple) else net(x)
        loss(z, y).backward()
        opt.step()
    return step


def inference(h, w, batch, last=False, freeze=False):
    net, x = FaceNet(h, w).eval(), torch.randn(batch, 1, h, w)
    if last:
        net, x = net.to(memory_format=torch.channels_last), x.contiguous(memory_format=torch.channels_last)
    if freeze:
        with torch.no_grad():
            net = torch.jit.freeze(torch.jit.trace(net, x))
            if not last:
                net = torch.jit.optimize_for_inference(net)

    def step():
        with torch.inference_mode():
            net(x)
    return step


def retrieval(chunk, rows=60000, dim=128, classes=600):
    """precision@1, R-precision and MAP@R from the R nearest neighbours of every row."""
    y = torch.arange(rows) % classes
    z = F.normalize(torch.randn(classes, dim)[y] + 2 * torch.randn(rows, dim))
    R = rows // classes - 1
    place = torch.arange(1, R + 1)

    def step():
        sums = torch.zeros(3)
        with torch.inference_mode():
            for first in range(0, rows, chunk):
                s = z[first:first + chunk] @ z.t()
                mine = torch.arange(len(s))
                s[mine, mine + first] = NOTHING
                hit = y[s.topk(R, 1)[1]] == y[first:first + chunk, None]
                at = hit.cumsum(1) / place
                sums += torch.stack([hit[:, 0].float().sum(), hit.float().mean(1).sum(),
                                     ((at * hit).sum(1) / R).sum()])
        return sums / rows
    return step


FAST = {"eager": {}, "foreach": dict(foreach=True), "trace+foreach": dict(trace=True, foreach=True)}
CONV = {"eager": {}, "foreach": dict(foreach=True), "channels_last+foreach": dict(last=True, foreach=True),
        "trace+foreach": dict(trace=True, foreach=True),
        "channels_last+trace+foreach": dict(last=True, trace=True, foreach=True)}


def variants_of(name):
    part = name.split("/")

    def all_of(table, *given):
        return {v: (lambda options=options: training(*given, **options)) for v, options in table.items()}
    if part[0] == "mlp":
        B, y = int(part[1]), torch.arange(int(part[1])) % 16
        net, x = (lambda: mlp((784, 512, 256, 64))), torch.randn(B, 784)
        if part[2] == "triplet":
            return all_of(FAST, net, lambda z, y: batch_hard(F.normalize(z), y), (x, y), "adam", 1e-3)
        return all_of(FAST, net, F.cross_entropy, (x, y), "momentum", 0.05)
    if part[0] == "tiny":
        net = lambda: mlp((16, 32, 16, 4))
        return all_of(FAST, net, F.cross_entropy, (torch.randn(8, 16), torch.arange(8) % 4), part[1], 1e-3)
    if part[0] in ("face64", "face112"):
        h, w = (64, 64) if part[0] == "face64" else (112, 92)
        return all_of(CONV, lambda: FaceNet(h, w), batch_hard,
                      (torch.randn(64, 1, h, w), torch.arange(64) // 4), "adam", 1e-3)
    if part[0] in ("resnet8", "resnet20"):
        return all_of(CONV, lambda: ResNet(int(part[0][6:])), ntxent_views,
                      (torch.randn(256, 3, 32, 32), torch.arange(256) % 128), "momentum", 0.05)
    if part[0] == "head":
        return all_of(dict(list(FAST.items())[:2]), lambda: nn.Sequential(nn.Linear(2048, 128), Normalize()),
                      HEADS[part[1]], (torch.randn(256, 2048), torch.arange(256) // 8), "adam", 1e-5)
    if part[0] == "gru":
        lengths = torch.tensor([8 + i * 37 % 57 for i in range(64)])
        x, y = torch.randn(64, 64, 3), torch.arange(64) // 4
        return {("packed" if p else "padded") + ("+foreach" if f else ""):
                (lambda p=p, f=f: training(Strokes, batch_hard, ((x, lengths, p), y), "adam", 1e-3, foreach=f))
                for p in (True, False) for f in (True, False)}
    if part[0] == "infer":
        table = {"eager": {}, "channels_last": dict(last=True), "trace+freeze+optimize": dict(freeze=True),
                 "channels_last+trace+freeze": dict(last=True, freeze=True)}
        return {v: (lambda o=o: inference(64, 64, int(part[1]), **o)) for v, o in table.items()}
    if part[0] == "retrieval":
        return {"chunks of 1024": lambda: retrieval(1024)}
    sys.exit("no workload " + name)


class Normalize(nn.Module):
    def forward(self, x):
        return F.normalize(x)


# ---- measuring ----------------------------------------------------------------------------------

def median(v):
    v = sorted(v)
    n = len(v)
    return v[n // 2] if n % 2 else (v[n // 2 - 1] + v[n // 2]) / 2


def window(step, seconds, group):
    times, start = [], time.perf_counter()
    last = start
    while True:
        for _ in range(group):
            step()
        now = time.perf_counter()
        times.append((now - last) / group * 1000)
        last = now
        if now - start >= seconds:
            return times, now - start


def warm(step):
    start, n, took = time.perf_counter(), 0, 0
    while n < 50 and took < 3 and (n < 3 or took < 0.3):
        step()
        n, took = n + 1, time.perf_counter() - start
    each = took / n
    return each, 1 if each > 1e-3 else int(1e-3 / each) + 1


def busy_seconds():
    with open("/proc/stat") as f:
        t = [int(v) for v in f.readline().split()[1:9]]
    return (sum(t) - t[3] - t[4]) / os.sysconf("SC_CLK_TCK")


def peak_mb():
    for line in open("/proc/self/status"):
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) / 1024


def gauge():
    best = 1e9
    for _ in range(3):
        start = time.perf_counter()
        for _ in range(20000):
            pass
        best = min(best, time.perf_counter() - start)
    return best * 1000


def first_step():
    net = nn.Linear(64, 16)
    opt = torch.optim.Adam(net.parameters())
    batch_hard(net(torch.randn(32, 64)), torch.arange(32) // 4).backward()
    opt.step()
    print(peak_mb())


def say(**record):
    print(json.dumps(record), flush=True)


def answer(step):
    each, group = warm(step)
    say(ready=True)
    for line in sys.stdin:
        seconds = float(line.split()[1])
        if each < 1:
            step()
        slow = gauge()
        busy, own = busy_seconds(), time.process_time()
        times, took = window(step, seconds, group)
        other = busy_seconds() - busy - (time.process_time() - own)
        say(median_ms=median(times), min_ms=min(times), reps=len(times) * group,
            other_cpu=max(0.0, other / took), gauge_ms=slow)
    say(peak_rss_mb=peak_mb())


if A.name == "start":
    say(variant="a fresh process") if A.pick else first_step()
    sys.exit()
makers = variants_of(A.name)
if not A.pick:
    answer(makers[A.variant]())
elif len(makers) == 1:
    say(variant=next(iter(makers)))
else:
    best = {}
    for turn in range(2):
        for variant, make in makers.items():
            step = make()
            group = warm(step)[1]
            best[variant] = min(best.get(variant, 1e9), median(window(step, 0.3, group)[0]))
    say(variant=min(best, key=best.get), all={v: round(ms, 4) for v, ms in best.items()})
