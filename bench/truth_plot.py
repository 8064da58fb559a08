"""Draws bench/truth_counts.svg and bench/truth_gap.svg from bench/truth.csv. Usage: truth_plot.py CSV FOLDER"""
import csv
import os
import sys

import matplotlib

matplotlib.use("svg")
matplotlib.rcParams["svg.hashsalt"] = "celcomen"
import matplotlib.pyplot as plt

rows = list(csv.DictReader(open(sys.argv[1])))
folder = sys.argv[2]


def save(figure, name):
    figure.savefig(os.path.join(folder, name), metadata={"Date": None})


def counts():
    kept = [r for r in rows if r["experiment"] == "recovery" and r["figure"] == "pearson"]
    if not kept:
        return
    settings = list(dict.fromkeys(r["setting"].rsplit(", ", 1)[0] for r in kept))
    methods = {
        "recommended": ("recommended", "#1f6fb2", "o"),
        "orthant form": ("orthant form", "#8e44ad", "P"),
        "default of 0.1.0": ("default of 0.1.0", "#c0392b", "s"),
        "partial correlation": ("partial correlation", "#2e9e6b", "D"),
        "plain correlation": ("plain correlation", "#7f8c8d", "^"),
    }
    figure, axes = plt.subplots(2, len(settings), figsize=(2.5 * len(settings), 5.2), sharex=True, sharey=True)
    for row, force, title in zip(axes, ("intra", "inter"), ("within cells", "between neighbours")):
        for axis, setting in zip(row, settings):
            for name, (label, colour, marker) in methods.items():
                points = sorted(
                    (int(r["setting"].rsplit(", ", 1)[1]), float(r["median"]), float(r["lower_quartile"]), float(r["upper_quartile"]))
                    for r in kept
                    if r["method"] == name and r["force"] == force and r["setting"].rsplit(", ", 1)[0] == setting
                )
                if points:
                    x, y, low, high = zip(*points)
                    axis.plot(x, y, marker, color=colour, linestyle="-", linewidth=1.2, markersize=4, label=label)
                    axis.fill_between(x, low, high, color=colour, alpha=0.12, linewidth=0)
            axis.set_xscale("log")
            axis.set_ylim(-0.1, 1)
            axis.grid(alpha=0.3)
            if force == "intra":
                axis.set_title(setting, fontsize=8)
            else:
                axis.set_xlabel("counts a cell", fontsize=8)
        row[0].set_ylabel(title, fontsize=9)
    handles, labels = axes[0][0].get_legend_handles_labels()
    figure.suptitle("Correlation of fitted forces with the planted ones, seen through counts (medians and quartiles of 5 tissues)", fontsize=10)
    figure.legend(handles, labels, loc="lower center", ncol=5, fontsize=8, frameon=False)
    figure.tight_layout(rect=(0, 0.05, 1, 0.97))
    save(figure, "truth_counts.svg")


def gap():
    kept = [r for r in rows if r["experiment"] == "picture"]
    if not kept:
        return
    figure, axis = plt.subplots(figsize=(7.5, 3.8))
    for name, colour, label in (
        ("wild type", "#7f8c8d", "wild type, observed"),
        ("osk", "#c0392b", "osk mutant (no Kni, no posterior Gt), observed"),
        ("predicted", "#1f6fb2", "wild-type embryos with Kni and Gt held at 0, predicted"),
    ):
        points = sorted((float(r["setting"]), float(r["median"]), float(r["lower_quartile"]), float(r["upper_quartile"])) for r in kept if r["method"] == name)
        x, y, low, high = zip(*points)
        axis.plot(x, y, color=colour, label=label)
        if name == "predicted":
            axis.fill_between(x, low, high, color=colour, alpha=0.2, linewidth=0)
    axis.axvspan(55, 80, color="#f5e6a8", alpha=0.4, linewidth=0)
    axis.text(67.5, axis.get_ylim()[1] * 0.94, "fair", ha="center", fontsize=8)
    axis.axvspan(45, 53, color="#dddddd", alpha=0.5, linewidth=0)
    axis.text(49, axis.get_ylim()[1] * 0.94, "the whole\nmap moves", ha="center", va="top", fontsize=8)
    axis.set_xlabel("position, % egg length")
    axis.set_ylabel("Kr")
    axis.legend(fontsize=8, frameon=False, loc="upper center", bbox_to_anchor=(0.5, -0.14), ncol=1)
    figure.tight_layout()
    save(figure, "truth_gap.svg")


counts()
gap()
