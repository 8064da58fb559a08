"""Files for tests/tool_doors.sh: a slide as people have it. Usage: doors_files.py SLIDE_FOLDER OUT
The same counts and places as CSV, as TSV with the cells in another order, as a folder of 10x (gzip), as a compressed
.npz of SciPy's, and where anndata is there as .h5ad. SPDX-License-Identifier: MIT"""
import gzip
import os
import sys

import numpy as np
import scipy.sparse as sp

slide, out = sys.argv[1], sys.argv[2]
x = np.load(os.path.join(slide, "counts.npy")).astype(np.int32)
xy = np.load(os.path.join(slide, "coords.npy"))
genes = open(os.path.join(slide, "genes.txt")).read().split("\n")[:x.shape[1]]
cells = ["cell_%05d-1" % i for i in range(len(x))]
at = lambda name: os.path.join(out, name)


def table(path, order, separator):
    with open(path, "w") as f:
        f.write(separator.join([""] + genes) + "\n")
        for i in order:
            f.write(cells[i] + separator + separator.join(map(str, x[i])) + "\n")


order = np.random.default_rng(1).permutation(len(x))
table(at("counts.csv"), range(len(x)), ",")
table(at("counts.tsv"), order, "\t")
with open(at("coords.csv"), "w") as f:
    f.write("cell,x,y\n" + "".join("%s,%r,%r\n" % (c, float(p[0]), float(p[1])) for c, p in zip(cells, xy)))
np.save(at("coords.npy"), xy)
open(at("genes.txt"), "w").write("\n".join(genes) + "\n")
os.makedirs(at("tenx"))
m = sp.coo_matrix(x.T)
with gzip.open(at("tenx/matrix.mtx.gz"), "wt", compresslevel=1) as f:
    f.write("%%%%MatrixMarket matrix coordinate integer general\n%%metadata\n%d %d %d\n" % (m.shape + (m.nnz,)))
    f.writelines("%d %d %d\n" % e for e in zip(m.row + 1, m.col + 1, m.data))
gzip.open(at("tenx/features.tsv.gz"), "wt").writelines("ENS%05d\t%s\tGene Expression\n" % e for e in enumerate(genes))
gzip.open(at("tenx/barcodes.tsv.gz"), "wt").writelines(c + "\n" for c in cells)
with open(at("tissue_positions.csv"), "w") as f:  # as Space Ranger 2: more spots than cells, in an order of its own
    f.write("barcode,in_tissue,array_row,array_col,pxl_row_in_fullres,pxl_col_in_fullres\n")
    for i in order:
        f.write("%s,1,0,0,%r,%r\n" % (cells[i], float(xy[i][1]), float(xy[i][0])))
    f.write("cell_outside-1,0,0,0,1,1\n")
with open(at("tissue_positions_list.csv"), "w") as f:  # and 1
    f.writelines("%s,1,0,0,%r,%r\n" % (cells[i], float(xy[i][1]), float(xy[i][0])) for i in order)
sp.save_npz(at("counts.npz"), sp.csr_matrix(x))
try:
    import anndata
    import pandas as pd
    logged = sp.csr_matrix(np.log1p(x).astype(np.float32))
    a = anndata.AnnData(X=logged, obs=pd.DataFrame(index=cells), var=pd.DataFrame(index=genes))
    a.layers["counts"] = sp.csr_matrix(x)
    a.obs["cell_type"] = ["T", "B", "B"] * (len(x) // 3) + ["T"] * (len(x) % 3)
    a.obsm["spatial"] = xy
    a.write_h5ad(at("slide.h5ad"))
except ImportError:
    pass
