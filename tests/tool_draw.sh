#!/bin/sh
# celcomen draw and --report: every picture is valid SVG, is not blank, and its labels do not overlap at 10, 60 and 300 genes;
# every page is well-formed, complete in itself, small, says only numbers of its tables, and its script runs.
# Usage: tool_draw.sh TOOL
set -u
. "$(dirname "$0")/harness.sh"
check=$root/tests/check_drawn.py
has() { command -v "$1" > /dev/null; }
picture() { # WHAT OPTIONS...: drawn, valid, not blank, no label over another
    ok "draw $1" "$tool" draw "$@" --out "$1.svg" --quiet
    valid "$1"
}
valid() {
    if has xmllint; then ok "$1 is XML" xmllint --noout "$1.svg"; else skip "xmllint not installed ($1)"; fi
    if ! has python3; then skip "python3 not installed ($1)"; return; fi
    ok "labels of $1" python3 "$check" labels "$1.svg"
    if ! has rsvg-convert; then skip "rsvg-convert not installed ($1)"; return; fi
    ok "$1 as PNG" rsvg-convert "$1.svg" -o "$1.png"
    ok "$1 is not blank" python3 "$check" seen "$1.png"
}
page() { # NAME FOLDER
    if has xmllint; then ok "page $1 is XML" xmllint --noout "$1.html"; else skip "xmllint not installed ($1)"; fi
    if has python3; then ok "numbers of page $1" python3 "$check" page "$1.html" "$2"; else skip "python3 not installed ($1)"; fi
    if ! has chromium; then skip "chromium not installed ($1)"; return; fi
    # The page on a phone and on a desk, in frames that say how it went: nothing wider than the window, no error, the table
    # filled by the script.
    sed 's|<head>|&<script>var wrong = 0; onerror = function () { wrong++; };</script>|
         s|</body>|<script>addEventListener("load", function () { var d = document.documentElement, c = document.getElementById("count"); \
parent.postMessage(innerWidth + (d.scrollWidth > d.clientWidth ? " overflows" : wrong ? " errors" \
: /[0-9] rows/.test(c.textContent) ? " well" : " empty"), "*"); });</script>&|' "$1.html" > framed.html
    cat > frames.html << 'END'
<body><p id="said"></p><script>onmessage = function (e) { document.getElementById("said").textContent += e.data + "; "; };</script>
<iframe src="framed.html" style="border:0;width:375px;height:700px"></iframe>
<iframe src="framed.html" style="border:0;width:1280px;height:700px"></iframe></body>
END
    timeout 100 chromium --headless --no-sandbox --disable-gpu --virtual-time-budget=5000 --dump-dom "file://$tmp/frames.html" > dom 2> /dev/null
    for width in 375 1280; do
        if grep -q "$width well" dom; then passed=$((passed + 1)); else
            failed=$((failed + 1)); echo "FAILED: page $1 at $width pixels:"; grep said dom | cut -c1-200; fi
    done
}

# ---- a tissue of its own, with names that a careless writer would trip over ----
"$tool" plant --n-genes 10 --side 20 --seed 3 --out truth --quiet || failed=$((failed + 1))
printf '%s\n' 'HLA-B' 'a<b&c' "5'nuc" '"q"' 'Gm12345-with-a-long-name' 'g5' 'g6' 'g7' 'Ünï' 'g9' > truth/genes.txt
"$tool" simulate --intra truth/intra.npy --inter truth/inter.npy --coords truth/coords.npy --seed 3 --out tissue --quiet
X="--expression tissue/expression.npy --coords truth/coords.npy --genes truth/genes.txt"
ok fit "$tool" fit $X --out model --report fit.html --length-unit um --quiet
page fit model
cp fit.html first.html
ok "fit again" "$tool" fit $X --out model --report fit.html --length-unit um --quiet
if cmp -s fit.html first.html; then passed=$((passed + 1)); else failed=$((failed + 1)); echo "FAILED: the same page again differs"; fi
ok "a page within the results" "$tool" fit $X --out inside --report inside/page.html --quiet
ok "is there" test -s inside/page.html
ok "a page within the results again" "$tool" fit $X --out inside --report inside/page.html --quiet
ok "is there again" test -s inside/page.html
ok "fit by the published method" "$tool" fit $X --method paper --out paper --report paper.html --quiet
page paper paper
ok knock-out "$tool" perturb --model model $X --cell 210 --gene g5 --repeats 4 --out ko --report ko.html --quiet
page ko ko
picture forces --from model
picture pairs --from model
picture curve --from model
picture planted --from model --intra truth/intra.npy --inter truth/inter.npy --genes truth/genes.txt
picture hops --from ko
picture ripple --from ko
picture effect --from ko --coords truth/coords.npy --gene g5
picture sampler --from tissue
picture slide $X --gene 'a<b&c'
awk 'BEGIN { for (i = 0; i < 400; i++) print "type " i % 7 }' > types.txt
picture slide --coords truth/coords.npy --types types.txt
awk 'BEGIN { for (i = 0; i < 400; i++) print "slide " int(i / 100) }' > slides.txt
picture slide --coords truth/coords.npy --types types.txt --slides slides.txt
ok "the same picture again" "$tool" draw forces --from model --out again.svg --quiet
if cmp -s forces.svg again.svg; then passed=$((passed + 1)); else failed=$((failed + 1)); echo "FAILED: the same picture again differs"; fi

# ---- 10, 60 and 300 genes ----
for n in 10 60 300; do
    mkdir "g$n"
    awk -v n=$n 'BEGIN {
        print "relation,gene_a,gene_b,force,partial,test,se,z,p,q"
        for (r = 0; r < 2; r++) for (a = 0; a < n; a++) for (b = a + 1; b < n; b++) {
            v = 0.3 * sin(a * 1.7 + b * 0.9 + r) * (int(a / 6) == int(b / 6) ? 1 : 0.1)
            printf "%s,GENE%dX%d,GENE%dX%d,%g,%g,%g,0.01,%g,0.5,%g\n", r ? "inter" : "intra", a, a * a, b, b * b, 9 * v, v, v, v / 0.01, 0.5
        } }' > "g$n/pairs.csv"
    for what in forces pairs; do
        ok "draw $what, $n genes" "$tool" draw $what --from "g$n" --out "$what$n.svg" --quiet
        valid "$what$n"
    done
done

# ---- what cannot be drawn ----
bad "no picture" 2 'one of: slide' "$tool" draw --out never
bad "a picture that is none" 2 'did you mean forces' "$tool" draw force --from model --out never
bad "no folder" 2 'needs --from' "$tool" draw forces --out never
bad "another command's folder" 1 'not a folder that fit wrote' "$tool" draw forces --from ko --out never
bad "no gene of that name" 1 "no gene 'g55'" "$tool" draw hops --from ko --gene g55 --out never
bad "an option without effect" 2 'no effect' "$tool" draw forces --from model --counts truth/intra.npy --out never
bad "a folder that is not there" 1 'No such file' "$tool" draw forces --from model --out none/never
bad "a page in a folder that is not there" 1 'No such file' "$tool" fit $X --out never --report none/never

# ---- real slides ----
if has python3 && [ -d "$shared/data/xenium_breast" ]; then
    D=$shared/data/xenium_breast
    ok "fit, xenium_breast" "$tool" fit --counts "$D/counts.npy" --coords "$D/coords.npy" --genes "$D/genes.txt" --top-genes 60 --out xenium --report xenium.html --quiet
    page xenium xenium
    ok "knock-out, xenium_breast" "$tool" perturb --model xenium --counts "$D/counts.npy" --coords "$D/coords.npy" --genes "$D/genes.txt" --cell 13361 --gene CXCL12 --repeats 8 --out xko --report xko.html --quiet
    page xko xko
    picture shares --from xenium
    D=$shared/data/st_bcl4
    ok "fit, st_bcl4" "$tool" fit --counts "$D/counts.npy" --coords "$D/coords.npy" --genes "$D/genes.txt" --slides "$D/slides.txt" --total "$D/total_counts_all_genes.npy" --top-genes 60 --out bcl --report bcl.html --quiet
    page bcl bcl
    D=$shared/data/misty_synthetic10 # more cells than are drawn one by one
    picture slide --coords "$D/coords.npy" --types "$D/labels.txt" --slides "$D/slides.txt"
else skip "slides of ../shared/data, or python3, not there"; fi
done_here
