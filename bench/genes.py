"""Chosen genes among many: which way of looking for a gene's partners finds the forces that were planted, through counts?
`make genes` runs it with build/celcomen and keeps what it prints as bench/genes.md; --big makes one slide of 5,000 cells
x 18,000 genes, fits 300 chosen genes against all and prints wall time and peak memory. Needs NumPy and SciPy.
SPDX-License-Identifier: MIT"""
import json, os, resource, subprocess, sys, tempfile, time

try:
    import numpy as np
    import scipy.sparse as sp
    from scipy.spatial import cKDTree
except ImportError:
    print("skipped: NumPy or SciPy not installed")
    sys.exit(0)

CHOSEN = 40
FOUND, CONFIRM = (1, 2, 3), (11, 12)  # settings were chosen on the first seeds and looked at once on the others


# ---- tissue of known forces, seen through counts (as bench/counts.c, Gaussian form of the law) ----

def grid(cells):
    side = int(np.ceil(np.sqrt(cells)))
    i = np.arange(side * side)
    return np.c_[i % side + .5 * (i // side % 2), (i // side) * np.sqrt(.75)][:cells]


def neighbours(places, k=6):
    near = cKDTree(places).query(places, k + 1)[1][:, 1:]
    n = len(places)
    a = sp.csr_matrix((np.ones(n * k), (np.repeat(np.arange(n), k), near.ravel())), (n, n))
    return (a + a.T) / 2


def planted(genes, partners, least, most, rng):
    m = genes * partners // 2
    a, b = rng.integers(0, genes, (2, 3 * m))
    a, b = a[a != b][:m], b[a != b][:m]
    f = np.zeros((genes, genes))
    f[a, b] = rng.choice([-1, 1], m) * rng.uniform(least, most, m)
    return f + f.T


def tissue(cells, genes, factors, seed, eigen):
    """Each gene has about 4 partners within cells and 4 between; `factors` states of cells that vary over the tissue and
    load on every gene. Exact draws: in the bases of W and of the forces all cells and genes are independent."""
    rng = np.random.default_rng(seed)
    omega, u = eigen
    within = planted(genes, 4, .15, .35, rng)
    within *= min(1, .75 / np.abs(np.linalg.eigvalsh(within)).max())
    between = planted(genes, 4, .02, .05, rng)
    np.fill_diagonal(between, rng.uniform(0, .03, genes))
    w, v = np.linalg.eigh(np.eye(genes) + within)
    root = v / np.sqrt(w) @ v.T
    gamma, turn = np.linalg.eigh(root @ between @ root)
    shrink = min(1, .8 / (12 * np.abs(gamma).max()))
    z = u @ (rng.standard_normal((cells, genes)) / np.sqrt(1 - 2 * shrink * np.outer(omega, gamma))) @ (root @ turn).T
    z /= z.std(0)
    if factors:
        smooth = (u * omega**2) @ (u.T @ rng.standard_normal((cells, factors))) + 4.2 * rng.standard_normal((cells, factors))
        z = z + smooth / smooth.std(0) @ (rng.standard_normal((factors, genes)) / np.sqrt(2 * factors))
        z /= z.std(0)
    np.fill_diagonal(between, 0)
    return z, -within, between


def counted(z, depth, rng):
    mu = 10**rng.uniform(-2, 0, z.shape[1])
    rate = mu * np.exp(.8 * z) * np.exp(.5 * rng.standard_normal((len(z), 1)))
    return rng.poisson(rate * depth / rate.sum(1).mean()).astype(np.float32)


# ---- candidates; each gives scores of the chosen genes' pairs within and between ----

def prepared(y, w):
    """x and the neighbours' sums, scaled and about their means, as the library makes them."""
    total = y.sum(1, keepdims=True)
    q = y / total * np.median(total)
    x, u = np.log1p(q), (q / (1 + q)).mean(0)
    x = x - x.mean(0)
    s = x.std(0)
    x, u = x / s, u / s
    u /= np.linalg.norm(u)
    x -= np.outer(x @ u, u)
    x /= np.linalg.norm(x, axis=1, keepdims=True)
    z = np.hstack([x, w @ x])
    z -= z.mean(0)
    n = y.shape[1]
    z[:, :n] /= np.sqrt((z[:, :n]**2).mean())
    z[:, n:] /= np.sqrt((z[:, n:]**2).mean())
    return z.astype(np.float32)


def halves(m, c, n):
    return m[c, :n], (m[c, n:] + m[:n, n:][:, c].T) / 2


def screened(k, c, n, keep):
    """The `keep` partners of the highest correlation within and between, then the inverse of those alone."""
    d = np.sqrt(np.diag(k))
    r = k / np.outer(d, d)
    within, between = np.abs(r[c, :n]) * 1e-3, np.abs(r[c, n:]) * 1e-3
    for i, a in enumerate(c):
        near, far = np.abs(r[a, :n]), np.abs(r[a, n:]) + np.abs(r[:n, n + a])
        near[a], far[a] = -1, 9
        b, e = np.argsort(-near)[:keep], np.argsort(-far)[:keep]
        at = np.r_[a, b, n + e]
        q = np.linalg.inv(k[np.ix_(at, at)].astype(float) + .01 * np.eye(len(at)))[0]
        within[i, b] = 1 + np.abs(q[1:keep + 1]) * d[b]
        between[i, e] = 1 + np.abs(q[keep + 1:]) * d[n + e]
    return within, between


def candidates(y, w, c):
    n = y.shape[1]
    z = prepared(y, w)
    k = z.T @ z / len(z)
    d = np.sqrt(np.diag(k))
    yield "plain correlation", halves(k / np.outer(d, d), c, n)
    for ridge in (.1, 1, 10):
        q = np.linalg.inv(k + ridge * np.eye(2 * n, dtype=np.float32))
        e = np.sqrt(np.diag(q))
        yield f"ridge {ridge:g}, all factors left in", halves(q / np.outer(e, e), c, n)
    for keep in (20, 60):
        yield f"screen of {keep} by correlation, then fit", screened(k, c, n, keep)
    w_, v = np.linalg.eigh(k)
    for factors in (10, 20):
        low = v[:, -factors:] * np.sqrt(w_[-factors:] - np.median(w_))
        diag = np.maximum(np.diag(k) - (low**2).sum(1), .05)
        q = -(low / diag[:, None]) @ np.linalg.inv(np.eye(factors) + low.T @ (low / diag[:, None])) @ (low / diag[:, None]).T
        q[np.diag_indices(2 * n)] += 1 / diag
        e = np.sqrt(np.diag(q))
        yield f"low rank {factors} plus diagonal", halves(q / np.outer(e, e), c, n)
        yield f"correlation without {factors} factors", halves((k - low @ low.T) / np.sqrt(np.outer(diag, diag)), c, n)


def tool(path, y, places, names, c, shuffle, *options):
    np.save(f"{path}/y.npy", y[shuffle])
    np.save(f"{path}/p.npy", places.astype(np.float32))
    with open(f"{path}/names.txt", "w") as f:
        f.writelines(names[k] + "\n" for k in c)
    with open(f"{path}/genes.txt", "w") as f:
        f.writelines(g + "\n" for g in names)
    subprocess.run([TOOL, "fit", "--quiet", "--counts", f"{path}/y.npy", "--coords", f"{path}/p.npy", "--genes",
                    f"{path}/genes.txt", "--min-cells", "0", "--chosen", f"{path}/names.txt", "--out", f"{path}/fit",
                    *options], check=True, stdout=subprocess.DEVNULL)
    fit = np.load(f"{path}/fit/chosen.npz")
    return fit["partial"], fit["q"], json.load(open(f"{path}/fit/report.json"))


# ---- figures of merit ----

def precision_recall(score, truth):
    hit = truth[np.argsort(-score, kind="stable")]
    return (np.cumsum(hit) / np.arange(1, len(hit) + 1) * hit).sum() / hit.sum()


def receiver(score, truth):
    rank = np.empty(len(score))
    rank[np.argsort(score, kind="stable")] = np.arange(1, len(score) + 1)
    t = truth.sum()
    return (rank[truth].sum() - t * (t + 1) / 2) / (t * (len(truth) - t))


def experiment(genes, cells, depth, factors, seed, eigen, table):
    z, within, between = tissue(cells, genes, factors, seed, eigen)
    rng = np.random.default_rng(1000 + seed)
    y = counted(z, depth, rng)
    kept = (y > 0).sum(0) >= 5
    y, forces = y[:, kept], (within[np.ix_(kept, kept)], between[np.ix_(kept, kept)])
    n = y.shape[1]
    c = np.sort(rng.choice(np.argsort(-y.mean(0))[:n // 2], CHOSEN, replace=False))
    off = np.ones((CHOSEN, n), bool)
    off[np.arange(CHOSEN), c] = False
    once = off.copy()
    for i in range(CHOSEN):
        once[i, c[:i]] = False
    names = [f"g{k}" for k in range(n)]

    def add(method, scores):
        for kind, score, force in zip(("within", "between"), scores, forces):
            t = force[c] != 0
            table.setdefault(method, []).append((kind, "pr", precision_recall(np.abs(score)[off], t[off])))
            table[method].append((kind, "roc", receiver(np.abs(score)[off], t[off])))

    for method, scores in candidates(y, neighbours(grid(cells)), c):
        add(method, scores)
    with tempfile.TemporaryDirectory() as path:
        for method, options in (("fit --chosen, ridge 0.1", ["--ridge", "0.1"]), ("fit --chosen (ridge 1, 20 factors)", []),
                                ("fit --chosen, ridge 10", ["--ridge", "10"])):
            partial, q, report = tool(path, y, grid(cells), names, c, np.arange(cells), *options)
            add(method, partial)
            for kind, k in (("within", 0), ("between", 1)):
                call, t = q[k][once] < .05, forces[k][c][once] != 0
                table[method] += [(kind, "calls", call.sum()), (kind, "false", (call & ~t).sum()), (kind, "true", t.sum())]
            table[method].append(("between", "permuted", report["relations"][1]["calls_shuffled"]))


def total(rows, kind, what, how=np.median):
    x = [v for k, w, v in rows if k == kind and w == what]
    return how(x) if x else float("nan")


def main():
    print("Written by `make genes` (bench/genes.py): 40 chosen genes of many, 2,500 cells, each gene with about 4 partners within\n"
          "cells and 4 between; 5 states of cells (\"factors\") that all genes share, or none. Area under precision and recall\n"
          "of the chosen genes' pairs, within / between, medians of 3 seeds on which the defaults were chosen; then 2 fresh ones.\n"
          "Calls at q < 0.05 are summed over seeds, as false of all (share of the true ones that are called).\n")
    cells = 2500
    omega, u = np.linalg.eigh(neighbours(grid(cells)).toarray())
    settings = [(300, 300, 5), (300, 1000, 0), (300, 1000, 5), (1000, 3000, 5)]
    for title, seeds in (("Seeds 1 to 3", FOUND), ("Fresh seeds", CONFIRM)):
        tables = []
        for genes, depth, factors in settings:
            tables.append({})
            for seed in seeds:
                experiment(genes, cells, depth, factors, seed, (omega, u), tables[-1])
        print(f"## {title}\n\n| method | " + " | ".join(f"{g} genes, {d} counts, {f} factors" for g, d, f in settings) + " |")
        print("|---|" + "---|" * len(settings))
        for method in tables[0]:
            print(f"| {method} | " + " | ".join(f"{total(t[method], 'within', 'pr'):.3f} / {total(t[method], 'between', 'pr'):.3f}"
                                                for t in tables) + " |")
        print("\n| calls | " + " | ".join("within; between; permuted" for _ in settings) + " |")
        print("|---|" + "---|" * len(settings))
        for method in [m for m in tables[0] if m.startswith("fit --chosen")]:
            cellsof = []
            for t in tables:
                part = []
                for kind in ("within", "between"):
                    calls, false, true = (total(t[method], kind, w, sum) for w in ("calls", "false", "true"))
                    part.append(f"{false} of {calls} ({(calls - false) / true:.2f})")
                cellsof.append("; ".join(part) + f"; {total(t[method], 'between', 'permuted', sum)}")
            print(f"| {method} | " + " | ".join(cellsof) + " |")
        print(flush=True)


def big():
    cells, genes = 5000, 18000
    rng = np.random.default_rng(1)
    mu = 10**rng.uniform(-2.2, .3, genes) * .25
    load, state, size = rng.standard_normal((8, genes)) * .25, rng.standard_normal((cells, 8)), np.exp(.5 * rng.standard_normal(cells))
    y = sp.vstack([sp.csr_matrix(rng.poisson(mu * np.exp(state[a:a + 500] @ load) * size[a:a + 500, None]).astype(np.int32))
                   for a in range(0, cells, 500)]).tocsr()
    chosen = rng.choice(np.argsort(-np.asarray(y.sum(0)).ravel())[:6000], 300, replace=False)
    with tempfile.TemporaryDirectory() as path:
        sp.save_npz(f"{path}/y.npz", y, compressed=False)
        np.save(f"{path}/p.npy", grid(cells).astype(np.float32))
        with open(f"{path}/chosen.txt", "w") as f:
            f.writelines(f"g{k}\n" for k in chosen)
        start = time.time()
        subprocess.run([TOOL, "fit", "--quiet", "--counts", f"{path}/y.npz", "--coords", f"{path}/p.npy", "--min-cells", "0",
                        "--chosen", f"{path}/chosen.txt", "--out", f"{path}/fit"], check=True, stdout=subprocess.DEVNULL)
        wall, use = time.time() - start, resource.getrusage(resource.RUSAGE_CHILDREN)
        report = json.load(open(f"{path}/fit/report.json"))
    print(f"## 18,000 genes\n\n{cells} cells x {genes} genes, {100 * (1 - y.nnz / (cells * genes)):.0f} % zeros, 300 chosen against all, error bars and "
          f"permuted control: {wall:.0f} s of wall time ({report['seconds_fit']:.0f} s the fit, {report['seconds_shuffled']:.0f} s "
          f"the control), {use.ru_utime:.0f} s of processor time, peak memory {use.ru_maxrss / 1e6:.2f} GB")


TOOL = next((a for a in sys.argv[1:] if not a.startswith("--")), "build/celcomen")
if __name__ == "__main__":
    big() if "--big" in sys.argv else main()
