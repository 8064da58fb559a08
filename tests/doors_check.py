"""Reads what the tool wrote, strictly, and compares it with what it printed. Usage: doors_check.py FOLDER [STDOUT ..]
SPDX-License-Identifier: MIT"""
import csv
import json
import os
import re
import sys
from decimal import Decimal

bad = []


def check(ok, what):
    if not ok:
        bad.append(what)


def strict(path):
    """The rows of a CSV file, each as long as its header; bytes are UTF-8, lines end in \\n, numbers are finite."""
    raw = open(path, "rb").read()
    check(raw.endswith(b"\n") and b"\r" not in raw, path + ": line ends")
    rows = list(csv.reader(raw.decode("utf-8").splitlines(), strict=True))
    check(len(set(rows[0])) == len(rows[0]), path + ": a column twice")
    check(all(len(r) == len(rows[0]) for r in rows), path + ": a row of another length")
    for row in rows[1:]:
        for field in row:
            check(field.lower() not in ("nan", "inf", "-inf", "-nan"), path + ": " + field)
    return [dict(zip(rows[0], r)) for r in rows[1:]]


def no_constant(word):
    raise ValueError(word + " in JSON")


def close(text, number):
    """Whether what was printed is the number, rounded to the last digit printed."""
    return abs(Decimal(text) - Decimal(number)) <= Decimal("0.51") * Decimal(10) ** Decimal(text).as_tuple().exponent


def unique(pairs):
    keys = [k for k, _ in pairs]
    check(len(set(keys)) == len(keys), "report.json: a key twice")
    return dict(pairs)


folder = sys.argv[1]
printed = "".join(open(f).read() for f in sys.argv[2:])
report = json.loads(open(os.path.join(folder, "report.json"), encoding="utf-8").read(), parse_constant=no_constant,
                    object_pairs_hook=unique)
check(sorted(report["files"]) == sorted(os.listdir(folder)), "report.json lists other files than there are")
check(report["command_line"][1] == report["command"], "the command line")
check(all(os.path.exists(i["file"].rsplit(":", 1)[0]) for i in report["inputs"]), "an input that is not there")
table = {f: strict(os.path.join(folder, f)) for f in report["files"] if f.endswith(".csv")}
cells = table.get("cells.csv", [])
check(sum(1 for c in cells if c["row"]) == report.get("cells", 0) or not cells, "cells.csv")
check(sum(1 for c in cells if not c["row"] and c["left_out"]) == report.get("cells_left_out", 0), "cells left out")
rows = sorted(int(c["row"]) for c in cells if c["row"])
check(rows == list(range(len(rows))), "rows of cells.csv")
if report["command"] == "fit":
    pairs = table["pairs.csv"]
    order = [(p["relation"], float(p["q"] or 0)) for p in pairs]
    relations = list(dict.fromkeys(p["relation"] for p in pairs))
    check(order == sorted(order, key=lambda o: (relations.index(o[0]), o[1])), "pairs.csv: not sorted")
    check(not any(p["gene_a"] == p["gene_b"] for p in pairs), "pairs.csv: a gene with itself")
    relation, head, seen = None, None, 0
    for line in printed.splitlines():
        m = re.match(r"(\S.*?): (\d+) of (\d+) pairs with q < 0.05", line)
        if m:
            relation, seen = m.group(1), 0
            mine = [p for p in pairs if p["relation"] == relation]
            check(int(m.group(3)) == len(mine), relation + ": number of pairs")
            check(int(m.group(2)) == sum(float(p["q"]) < 0.05 for p in mine), relation + ": calls")
        elif line.strip().startswith("gene") and "force" in line:
            head = line.split()
        elif relation and line.startswith("  ..") and "pairs.csv" in line:
            check(int(line.split()[2]) + seen == len(mine), relation + ": pairs left out")
            relation = None
        elif relation and line.startswith("  ") and head:
            row, p = line.split(), mine[seen]
            check(row[:2] == [p["gene_a"], p["gene_b"]], "%s: %s is not the pair of row %d" % (relation, row[:2], seen))
            for key, text in zip(head[2:], row[2:]):
                check(close(text, p[key]), "%s %s: printed %s, written %s" % (row[:2], key, text, p[key]))
            seen += 1
    same = {(r["relation"], r["gene"]): r for r in table["same_gene.csv"]}
    parts = printed.split("the same gene next door (domain or spill-over)\n")
    for line in parts[-1].split("\n\n")[0].splitlines()[1:] if len(parts) > 1 else []:
        if line.startswith("  .."):
            continue
        gene, partial, se, p = line.split()
        r = same[(table["same_gene.csv"][0]["relation"], gene)]
        check(close(partial, r["test"]) and close(se, r["se"]) and close(p, r["p"]), "same gene " + gene)
if report["command"] == "perturb":
    rows = {(r["by"], r["group"], r["gene"]): r for r in table["effects.csv"]}
    found, group = 0, None
    for line in printed.splitlines():
        m = re.match(r"(hop|distance) (\S+), (\d+) cells?(: held as observed.*)?$", line)
        if m:
            group = m.groups()[:2]
        elif group and line.startswith("  ") and not line.startswith("  .."):
            gene, *values = line.split()
            r = rows[group + (gene,)]
            unit = [k[4:] for k in r if k.startswith("sham_")]
            keys = [k + (unit[-1] if unit else "") for k in ("observed", "sham", "after")] + ["effect", "se", "q"]
            for key, text in zip(keys, values):
                check(close(text, r[key]), "%s: printed %s, written %s (%s)" % (line, text, r[key], key))
            found += 1
    check(found > 4 or not printed, "no effect was printed")
for line in bad[:10]:
    print(line)
sys.exit(len(bad) > 0)
