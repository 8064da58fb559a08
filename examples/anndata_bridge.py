#!/usr/bin/env python3
"""From AnnData to the files that celcomen reads, and from its results back to where scverse users look.

    anndata_bridge.py export slide.h5ad FOLDER [--layer counts] [--sample-key sample] [--types-key cell_type]
    celcomen fit --counts FOLDER/counts.npz --genes FOLDER/genes.txt --coords FOLDER/coords.csv --out model
    anndata_bridge.py import slide.h5ad model [knock-out ..] --out slide_with_forces.h5ad

import puts a fit into .varp["celcomen_inter"] and ["celcomen_intra"] (forces), [.. "_partial", "_se", "_q"], genes that
were left out being NaN; a knock-out into .layers["celcomen_sham"] and ["celcomen_after"] (rows of unit length, cells
that were left out being NaN) and .obs["celcomen_row"]; both reports into .uns["celcomen"].

Needs anndata (Debian: python3-anndata), NumPy and SciPy. SPDX-License-Identifier: MIT"""
import argparse
import csv
import json
import os
import sys

import anndata
import numpy as np
import scipy.sparse as sp


def fail(message):
    sys.exit("anndata_bridge.py: " + message)


def named(where, key, what):
    """where[key], or an end that names what is there instead."""
    if key not in where:
        fail("there is no %s '%s'; there are: %s" % (what, key, ", ".join(map(str, where.keys())) or "none"))
    return where[key]


def is_counts(x):
    values = x.data if sp.issparse(x) else np.asarray(x).ravel()
    return values.size == 0 or (values.min() >= 0 and np.array_equal(values, np.rint(values)))


def pick_counts(a, layer):
    """Raw counts, and the genes of their columns: what was asked for, or the first of the usual places that has whole
    numbers."""
    if layer:
        return named(a.layers, layer, "layer"), a.var_names
    places = [("X", a.X, a.var_names)] + [("layers['%s']" % k, a.layers[k], a.var_names) for k in a.layers.keys()]
    if a.raw is not None:
        places.append(("raw.X", a.raw.X, a.raw.var_names))
    for name, x, genes in places:
        if x is not None and is_counts(x):
            print("counts: %s" % name)
            return x, genes
    fail("X, the layers and raw.X hold no whole numbers: name the raw counts by --layer, or export what there is by "
         "--layer and say what it is: celcomen fit --kind lognorm")


def unique(names):
    """A name that is there twice gets a number, as var_names_make_unique does."""
    seen, out = set(), []
    for name in map(str, names):
        n, k = name, 1
        while n in seen:
            n, k = "%s-%d" % (name, k), k + 1
        seen.add(n)
        out.append(n)
    return out


def save_words(path, words):
    with open(path, "w", encoding="utf-8", newline="\n") as f:
        f.writelines(" ".join(str(w).split()) + "\n" for w in words)


def export(args):
    a = anndata.read_h5ad(args.file)
    x, genes = pick_counts(a, args.layer)
    xy = np.asarray(named(a.obsm, args.spatial_key, "positions, obsm key"), dtype=float)[:, :3]
    genes, cells = unique(genes), unique(a.obs_names)
    os.makedirs(args.folder, exist_ok=True)
    at = lambda name: os.path.join(args.folder, name)
    x = sp.csr_matrix(x)
    if is_counts(x) and x.nnz and x.data.max() < 2**31:
        x = x.astype(np.int32)
    sp.save_npz(at("counts.npz"), x)
    save_words(at("genes.txt"), genes)
    save_words(at("cells.txt"), cells)
    with open(at("coords.csv"), "w", encoding="utf-8", newline="\n") as f:
        rows = csv.writer(f, lineterminator="\n")
        rows.writerow(["cell"] + list("xyz")[:xy.shape[1]])
        rows.writerows([cell] + [repr(float(v)) for v in place] for cell, place in zip(cells, xy))
    command = "celcomen fit --counts %s --genes %s --coords %s" % (at("counts.npz"), at("genes.txt"), at("coords.csv"))
    for option, key in (("slides", args.sample_key), ("types", args.types_key)):
        if key:
            save_words(at(option + ".txt"), named(a.obs, key, "column of obs"))
            command += " --%s %s" % (option, at(option + ".txt"))
    print("%d cells, %d genes. Then:\n    %s --top-genes 100 --out model" % (x.shape + (command,)))


def read_array(folder, name):
    """An array of the results, written as .npy or, by --format csv, as a table with names."""
    path = os.path.join(folder, name)
    if os.path.exists(path + ".npy"):
        return np.load(path + ".npy")
    if not os.path.exists(path + ".csv"):
        return None
    with open(path + ".csv", newline="", encoding="utf-8") as f:
        rows = list(csv.reader(f))
    return np.array([[float(v) for v in row[1:]] for row in rows[1:]])


def spread(values, rows, cols, shape):
    """values at the given rows and columns of an array that is NaN elsewhere."""
    out = np.full(shape, np.nan, dtype=np.float32)
    out[np.ix_(rows, cols)] = values
    return out


def import_fit(a, folder, where, report):
    model = np.load(os.path.join(folder, "model.npz"))
    genes = model["genes"].tobytes().decode().split("\n")[:model["force"].shape[-1]]
    relations = model["relations"].tobytes().decode().split("\n")[:len(model["force"])]
    cols = [where.get(g, -1) for g in genes]
    if min(cols) < 0:
        fail("%s: the gene %s is not in the slide" % (folder, genes[cols.index(-1)]))
    for k, relation in enumerate(relations):
        for key, end in (("force", ""), ("partial", "_partial"), ("se", "_se"), ("q", "_q")):
            if key in model:
                name = "celcomen_" + relation.replace("/", "|").replace(" ", "_") + end
                a.varp[name] = spread(model[key][k], cols, cols, (a.n_vars, a.n_vars))
    a.uns["celcomen"]["fit"] = json.dumps(report)
    return genes


def import_effect(a, folder, where, report):
    with open(os.path.join(folder, "cells.csv"), newline="", encoding="utf-8") as f:
        cells = list(csv.DictReader(f))
    if len(cells) != a.n_obs:
        fail("%s: made of %d cells, but the slide has %d" % (folder, len(cells), a.n_obs))
    rows = [int(c["input_row"]) for c in cells if c["row"]]
    model = np.load(os.path.join(report["model"], "model.npz"))
    genes = model["genes"].tobytes().decode().split("\n")[:model["force"].shape[-1]]
    cols = [where[g] for g in genes]
    a.obs["celcomen_row"] = [int(c["row"]) if c["row"] else -1 for c in cells]
    for name in ("sham", "after"):
        x = read_array(folder, name)
        a.layers["celcomen_" + name] = spread(x[:len(rows)], rows, cols, a.shape)
    a.uns["celcomen"]["effect"] = json.dumps(report)


def bring_back(args):
    a = anndata.read_h5ad(args.file)
    where = {g: i for i, g in enumerate(unique(a.var_names))}
    a.uns["celcomen"] = {}
    for folder in args.folder:
        path = os.path.join(folder, "report.json")
        if not os.path.exists(path):
            fail("%s: not a folder that celcomen wrote" % folder)
        with open(path, encoding="utf-8") as f:
            report = json.load(f)
        if report["command"] == "fit":
            import_fit(a, folder, where, report)
        elif report["command"] == "perturb":
            import_effect(a, folder, where, report)
        else:
            fail("%s: results of celcomen %s, which have no place in a slide" % (folder, report["command"]))
    a.write_h5ad(args.out)
    print("written to %s" % args.out)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True)
    p = commands.add_parser("export", help="from .h5ad to files that celcomen reads")
    p.add_argument("file")
    p.add_argument("folder")
    p.add_argument("--layer", help="the layer of raw counts (default: X, a layer or raw.X, the first of whole numbers)")
    p.add_argument("--spatial-key", default="spatial", help="of .obsm (default: spatial)")
    p.add_argument("--sample-key", help="the column of .obs that says which slide a cell is on")
    p.add_argument("--types-key", help="the column of .obs that says of which type a cell is")
    p.set_defaults(run=export)
    p = commands.add_parser("import", help="from results to .h5ad")
    p.add_argument("file")
    p.add_argument("folder", nargs="+", help="folders that celcomen fit and perturb wrote")
    p.add_argument("--out", required=True)
    p.set_defaults(run=bring_back)
    args = parser.parse_args()
    args.run(args)


if __name__ == "__main__":
    main()
