"""Draws bench/recovery.svg from bench/recovery.csv. Usage: recovery_plot.py CSV SVG"""
import csv
import sys

import matplotlib

matplotlib.use("svg")
matplotlib.rcParams["svg.hashsalt"] = "celcomen"
import matplotlib.pyplot as plt

rows = [r for r in csv.DictReader(open(sys.argv[1])) if r["experiment"] == "exact" and r["figure"] == "pearson"]
settings = list(dict.fromkeys(r["setting"] for r in rows))
methods = {
    "published": ("published method", "#c0392b", "s"),
    "correlation": ("plain correlation", "#7f8c8d", "^"),
    "untrained": ("untrained start", "#d8d8d8", "v"),
    "score-exact": ("score matching, exact", "#1f6fb2", "o"),
    "score-moments": ("score matching, moments", "#2e9e6b", "D"),
    "score-orthant": ("score matching, orthant", "#8e44ad", "P"),
}
fig, axes = plt.subplots(1, 2, figsize=(11, 0.34 * len(settings) + 1.6), sharey=True)
for axis, force, title in zip(axes, ("intra", "inter"), ("within cells", "between neighbours")):
    for name, (label, colour, marker) in methods.items():
        for r in rows:
            if r["method"] != name or r["force"] != force:
                continue
            y = len(settings) - 1 - settings.index(r["setting"])
            low, high, x = float(r["lower_quartile"]), float(r["upper_quartile"]), float(r["median"])
            axis.plot([low, high], [y, y], color=colour, linewidth=1.2, alpha=0.6)
            axis.plot([x], [y], marker, color=colour, markersize=6, label=label)
            label = None
    axis.axvline(0, color="#bbbbbb", linewidth=0.8)
    axis.set_title("forces " + title)
    axis.set_xlim(-0.6, 1.02)
    axis.set_xlabel("off-diagonal Pearson correlation with the truth")
    axis.grid(axis="x", alpha=0.3)
axes[0].set_yticks(range(len(settings)))
axes[0].set_yticklabels(settings[::-1], fontsize=8)
handles, labels = axes[0].get_legend_handles_labels()
fig.legend(handles, labels, loc="lower center", ncol=3, fontsize=8, frameon=False)
fig.tight_layout(rect=(0, 0.07, 1, 1))
fig.savefig(sys.argv[2], metadata={"Date": None})
