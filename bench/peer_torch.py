"""The published algorithm in PyTorch, written anew from its description, on what fit.c and generate.c wrote.
peer_torch.py FOLDER [quick] [whole] -> figure|peer,value,unit

Three forms of the fit (CCE):
  as published  the energies as traces of S x S products, the diagonal written by a Python loop, a new optimiser
                every step
  vectorised    elementwise sums, the diagonal at once, one optimiser
  from moments  X^T X, X^T W X and the mean once; then no cell is touched
Two of the generator (SCE): as published, N (N - 1) / 2 multiplications of a column in place; vectorised, a cumulative
product. What takes minutes is timed for fewer epochs, or one step of fewer genes, and scaled; the names say so. Going
back, each multiplication passes over the whole matrix, so that a step grows as the third power of the genes once that
outweighs the rest: the power is that of steps of a fifth and two fifths of the genes, and the smaller of it and 3
scales the last of them. With `whole` the one step of all genes is timed instead, which can take half an hour."""
import sys

from peer_clock import THREADS, clock

try:
    import numpy
    import torch
except ImportError as missing:
    print("skipped: %s not installed" % ("PyTorch" if missing.name == "torch" else "NumPy"))
    sys.exit()

torch.set_num_threads(THREADS)
FOLDER = sys.argv[1]
QUICK, WHOLE = "quick" in sys.argv[2:], "whole" in sys.argv[2:]
Q, Z, LR = 6.0, 0.1, 1e-4


def load(name):
    return torch.from_numpy(numpy.load(FOLDER + "/" + name + ".npy").astype(numpy.float32))


def load_edges():
    """Row i of the file lists the sources of cell i's edges with their weights."""
    file = numpy.load(FOLDER + "/paper.npz")
    target = numpy.repeat(numpy.arange(len(file["indptr"]) - 1), numpy.diff(file["indptr"]))
    return (torch.from_numpy(file["indices"].astype(numpy.int64)), torch.from_numpy(target),
            torch.from_numpy(file["data"].astype(numpy.float32)))


def gather(x, edges):
    """The graph convolution without its weights: messages along edges, summed at their targets."""
    source, target, weight = edges
    return torch.zeros_like(x).index_add_(0, target, weight[:, None] * x[source])


def log_z(inter, intra, mean, cells):
    u = (Q * inter + 2 * intra) @ mean
    k = torch.linalg.norm(u)
    sphere = k - torch.log(k) if k > 20 else torch.log((torch.exp(k) - torch.exp(-k)) / k)
    return -cells * (mean @ (intra + Q / 2 * inter) @ mean) + cells * sphere


def loss_published(x, edges, inter, intra):
    messages = gather(x @ inter.T, edges)
    return (log_z(inter, intra, x.mean(0), x.shape[0]) - Z * torch.trace(messages @ x.T)
            - Z * torch.trace((x @ intra.T) @ x.T))


def loss_vectorised(x, edges, inter, intra):
    messages = gather(x @ inter.T, edges)
    return log_z(inter, intra, x.mean(0), x.shape[0]) - Z * (messages * x).sum() - Z * ((x @ intra.T) * x).sum()


def project(force, loop):
    with torch.no_grad():
        new = ((force + force.T) / 2).clamp(0, 1)
        if loop:
            for i in range(new.shape[0]):
                new[i, i] = 1.0
        else:
            new.fill_diagonal_(1.0)
        force.copy_(new)


def fit(loss, start, epochs, published):
    inter, intra = (torch.nn.Parameter(start.clone()) for _ in range(2))
    optimiser = None
    for _ in range(epochs):
        if published or optimiser is None:
            optimiser = torch.optim.SGD([inter, intra], lr=LR)
        optimiser.zero_grad()
        value = loss(inter, intra)
        value.backward()
        optimiser.step()
        project(inter, published)
        project(intra, published)
        if published:
            value.item()  # kept for the curve
    return float(loss(inter.detach(), intra.detach()))


def expression_published(angles):
    cells, genes = angles.shape[0], angles.shape[1] + 1
    x = torch.ones(cells, genes)
    sine, cosine = torch.sin(angles), torch.cos(angles)
    for k in range(genes):
        for j in range(min(k, genes - 1)):
            x[:, k] *= sine[:, j]
        if k < genes - 1:
            x[:, k] *= cosine[:, k]
    return x


def expression_vectorised(angles):
    one = torch.ones(angles.shape[0], 1)
    return (torch.cat([one, torch.cumprod(torch.sin(angles), 1)], 1) * torch.cat([torch.cos(angles), one], 1))


def generate(expression, loss, start, edges, force, steps, published):
    angles = torch.nn.Parameter(start.clone())
    optimiser, first = None, None
    for _ in range(steps):
        if published or optimiser is None:
            optimiser = torch.optim.SGD([angles], lr=1e-6)
        optimiser.zero_grad()
        value = loss(expression(angles), edges, force, force)
        value.backward()
        optimiser.step()
        first = float(value) if first is None else first
    return first


def power(sizes, times):
    return numpy.polyfit(numpy.log(sizes), numpy.log(times), 1)[0]


def say(figure, peer, value, unit="s"):
    print("%s|%s,%.6g,%s" % (figure, peer, value, unit), flush=True)


def fits():
    x, start, edges = load("x"), load("start"), load_edges()
    fit(lambda w, v: loss_vectorised(x, edges, w, v), start, 2, False)  # warms up
    for figure in ("cce 200 epochs moments included", "cce 200 epochs from moments"):
        if figure.endswith("included"):
            seconds, _ = clock(lambda: fit(lambda w, v: loss_published(x, edges, w, v), start, 4, True))
            say(figure, "PyTorch as published (4 epochs x 50)", 50 * seconds)
            say("score fit graph and moments included", "PyTorch 50 epochs of cce as published (4 epochs x 12.5)",
                12.5 * seconds)
            seconds, _ = clock(lambda: fit(lambda w, v: loss_vectorised(x, edges, w, v), start, 20, False))
            say(figure, "PyTorch vectorised (20 epochs x 10)", 10 * seconds)
        inner, cross, mean = None, None, None

        def moments():
            return x.T @ x, x.T @ gather(x, edges), x.mean(0)

        inner, cross, mean = moments()

        def loss(w, v):
            return log_z(w, v, mean, x.shape[0]) - Z * (w * cross).sum() - Z * (v * inner).sum()

        if figure.endswith("included"):
            def whole():
                nonlocal inner, cross, mean
                inner, cross, mean = moments()
                return fit(loss, start, 200, False)
            seconds, value = clock(whole)
        else:
            seconds, value = clock(lambda: fit(loss, start, 200, False))
        say(figure, "PyTorch from moments", seconds)
    say("cce loss after 200 epochs", "PyTorch", value, "loss")


def steps():
    angles, force, edges = load("angles"), load("force"), load_edges()
    seconds, value = clock(lambda: generate(expression_vectorised, loss_vectorised, angles, edges, force, 10, False))
    say("sce step in angles", "PyTorch vectorised", seconds / 10)
    say("sce loss at the start", "PyTorch", value, "loss")
    genes = force.shape[0]
    sizes, times = [genes] if WHOLE else [genes // 5, 2 * genes // 5], []
    for part in sizes:
        few, small = angles[:, :part - 1].contiguous(), force[:part, :part].contiguous()
        times.append(clock(lambda: generate(expression_published, loss_published, few, edges, small, 1, True), 1)[0])
    far = (expression_published(few) - expression_vectorised(few)).abs().max()
    if far > 1e-5:
        raise SystemExit("the two forms of the angles disagree by %g" % far)
    if WHOLE:
        say("sce step in angles", "PyTorch as published (1 step)", times[0])
        return
    fitted = power(sizes, times)
    say("growth exponent of an sce step as published", "PyTorch", fitted, "power of genes")
    used = min(fitted, 3)
    say("sce step in angles", "PyTorch as published (1 step of %d genes scaled by genes^%.2f)" % (part, used),
        times[-1] * (genes / part) ** used)


def growth():
    """An epoch as published on S cells of 30 genes, 6 neighbours on a ring: the exponent of S."""
    sizes, times = [1000, 2000, 4000] if QUICK else [2000, 4000, 8000, 16000], []
    for cells in sizes:
        x = torch.nn.functional.normalize(torch.rand(cells, 30))
        target = torch.arange(cells).repeat_interleave(6)
        source = (target + torch.tensor([-3, -2, -1, 1, 2, 3]).repeat(cells)) % cells
        edges = (source, target, torch.full((6 * cells,), 1 / 6))
        start = torch.rand(30, 30)
        times.append(clock(lambda: fit(lambda w, v: loss_published(x, edges, w, v), start, 2, True), 3)[0])
    say("growth exponent of cce as published", "PyTorch", power(sizes, times), "power of cells")


fits()
growth()
steps()
