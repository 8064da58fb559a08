"""The playground in a headless Chromium: what a visitor does, and whether the page's claims hold.
Usage: playground.py build/playground.html [folder for pictures]. The last line is the tally."""
import os
import sys

from browser import Browser, chromium

page = os.path.abspath(sys.argv[1])
pictures = sys.argv[2] if len(sys.argv) > 2 else None
passed = failed = 0


def check(what, true, *said):
    global passed, failed
    passed, failed = passed + bool(true), failed + (not true)
    if said or not true:
        print("  " + what + ": " + ("" if true else "FAILED ") + " ".join(map(str, said)))


def middle(b, name, x=0.5, y=0.5):
    b.value(f'at("{name}").scrollIntoView({{block: "center"}})')
    return b.value(f'(r => [r.left + {x} * r.width, r.top + {y} * r.height])(at("{name}").getBoundingClientRect())')


def shoot(b, name):
    if pictures:
        b.picture(os.path.join(pictures, name), whole=True)


READY = 'typeof wasm !== "undefined" && wasm && sweeps > 60'
# A run that depends on no clock: `knocked` after `before` sweeps, then `after` more.
RUN = """(knocked, before, after) => {
    running = false; open();
    for (let k = 0; k < before; k++) step();
    if (knocked >= 0) knock(knocked);
    for (let k = 0; k < after; k++) step();
    const n = state.genes, take = (p, c) => Array.from(doubles(p, c)), rows = arm => Array.from(reals(wasm.rows(arm), CELLS * n));
    return {mean: take(wasm.effect_mean(), HOPS * n), error: take(wasm.effect_error(), HOPS * n), tissue: rows(0), sham: rows(1)};
}"""

if not chromium():
    print("  skipped: chromium not installed")
    print("0 passed, 0 failed, 1 skipped")
    sys.exit(0)

source = open(page).read()
check("nothing is fetched", "http://" not in source.replace("http://www.w3.org/", "") and "https://" not in source)
size = os.path.getsize(os.path.splitext(page)[0] + ".wasm")
check("the module has less than 250 KB", size < 250000, size, "bytes")

with Browser() as b:
    url = "file://" + page
    b.open(url, 1280, 900)
    b.wait(READY)
    check("no wider than the window", b.value("document.documentElement.scrollWidth <= innerWidth"))
    check("the picture shows cells", b.value("new Set(pictures[0].pixel).size > 20"))

    # Mouse: a click knocks a gene out, a second gives it back.
    b.click(*middle(b, "tissue", 0.45, 0.5))
    check("a click knocks out", b.value("state.out.length === 1 && state.out[0][1] === 0"))
    b.wait("wasm.effect_sweeps() > 120")
    b.value("showEffects()")
    check("effects are shown", b.value('at("hops").querySelectorAll("td").length === HOPS * state.genes'))
    b.click(*middle(b, "fit"))
    b.wait("found !== null")
    check("the fit is shown", b.value('!at("plot").hasAttribute("hidden") && at("fit-says").textContent.includes("within two errors")'))
    shoot(b, "desk_light.png")
    b.click(*middle(b, "tissue", 0.45, 0.5))
    check("a second click gives back", b.value("state.out.length === 0"))

    # Keyboard: the tissue, then a slider.
    b.value('at("tissue").focus()')
    for key in ("ArrowRight", "ArrowDown", "Enter"):
        b.key(key)
    check("keys knock out", b.value("state.out.length === 1 && state.out[0][0] === cursor"))
    b.value('at("slide-wAB").focus()')
    b.key("ArrowRight")
    check("keys move a slider", b.value("Math.abs(state.force.wAB - 2.1) < 1e-9 && Math.abs(reals(wasm.force(0), 2)[1] - 2.1) < 1e-6"))

    # The address brings the same tissue back, bit for bit.
    shared = b.value("location.hash")
    told = b.value("JSON.stringify([state.genes, state.seed, state.field, state.force, state.out, state.look])")
    one = b.value(f"({RUN})(-1, 60, 60).tissue.join()")
    b.open(url + shared, 1280, 900, dark=True)
    b.wait(READY)
    check("the address holds the state", told == b.value("JSON.stringify([state.genes, state.seed, state.field, state.force, state.out, state.look])"))
    check("the same tissue again", one == b.value(f"({RUN})(-1, 60, 60).tissue.join()"))
    shoot(b, "desk_dark.png")

    # A knock-out of A: its neighbours' A changes, far cells do not; the sham is the same whatever is knocked out where.
    b.open(url + "#n=4&s=1&h=0.4&w=AB2_CD-3&b=AA0.45_BC0.45&look=A", 1280, 900)
    b.wait(READY)
    run = b.value(f"({RUN})(1275, 150, 420)")
    other = b.value(f"state.out = [], ({RUN})(130, 150, 420)")
    z = [m / e if e else 0 for m, e in zip(run["mean"], run["error"])]
    check("the gene is held at 0", run["tissue"][4 * 1275] == 0)
    check("a knock-out changes the neighbours", abs(z[4]) > 4, "%.3f +- %.3f at one step," % (run["mean"][4], run["error"][4]),
          "%.4f +- %.4f beyond three" % (run["mean"][16], run["error"][16]))
    check("and not the sham", run["sham"] == other["sham"])
    check("nor cells far away", abs(run["mean"][16]) < 0.002)

    # The fit: every slider within two errors at the stated seed; all pairs of five seeds near the nominal share.
    b.open(url + "#n=8&s=1&h=0.6&w=AB3_CD-2.5_EF2_GH-2&b=AA0.5_BC0.5_GH0.5&look=A", 1280, 900)
    b.wait(READY)
    fits = b.value(f"""[1, 2, 3, 4, 5].map(s => {{ state.seed = s; ({RUN})(-1, 150, 0); runFit();
        return Object.entries(found.pairs).map(([k, f]) => [k, f.planted, f.value, f.error]); }})""")
    off = [[abs(v - p) > 2 * e for _, p, v, e in f if p] for f in fits]
    far = [[abs(v - p) > 2 * e for _, p, v, e in f] for f in fits]
    check("the fit recovers the sliders within two errors", sum(off[0]) == 0, ", ".join("%s %.2f +- %.2f (%g)" % (k, v, e, p) for k, p, v, e in fits[0] if p))
    check("in five seeds as often as it should", sum(map(sum, far)) <= 0.1 * sum(map(len, far)),
          "of %d sliders %d, of %d pairs %d are beyond two errors" % (sum(map(len, off)), sum(map(sum, off)), sum(map(len, far)), sum(map(sum, far))))

    # Speed at 2,500 cells and 8 genes, both arms alive: reported only.
    b.value("state.seed = 1, open(), knock(1275), running = true, sweeps = 0")
    b.wait("wasm.effect_sweeps() > 100")
    speed = b.value("""new Promise(done => { let n = 0, t = performance.now();
        requestAnimationFrame(function tick() { if (++n < 90) requestAnimationFrame(tick); else done(90000 / (performance.now() - t)); }); })""")
    b.call("Performance.enable", timeDomain="threadTicks")
    work = -b.metric("ThreadTime")
    b.value("for (let k = 0; k < 60; k++) { step(); drawAll(); }")
    work = (work + b.metric("ThreadTime")) / 60
    print("  2,500 cells x 8 genes, tissue and sham: %.0f frames a second now, %.1f ms of processor time a frame" % (speed, 1000 * work))

    # A phone: touch, nothing cut off, with few genes and with many.
    for genes in (4, 8):
        b.open(url + f"#n={genes}&s=1&h=0.4&w=AB2_CD-3&b=AA0.45_BC0.45&look=A", 390, 844, phone=True, dark=genes == 8)
        b.wait(READY)
        b.tap(*middle(b, "tissue", 0.3, 0.3))
        b.wait("state.out.length === 1", 10)
        b.wait("wasm.effect_sweeps() > 120")
        b.value("runFit(), showEffects()")
        check(f"a phone, {genes} genes: no wider than the window", b.value("document.documentElement.scrollWidth <= innerWidth"))
        wide = b.value('[...document.querySelectorAll("button, canvas, input, select, p, svg")].filter(e => !e.closest(".scroll") && e.getBoundingClientRect().right > innerWidth + 1).length')
        check(f"a phone, {genes} genes: nothing cut off", wide == 0, *([wide] if wide else []))
        shoot(b, f"phone_{genes}.png")
    check("nothing was loaded besides", b.value('performance.getEntriesByType("resource").length') == 0)
    check("no console error", not b.complaints, *b.complaints)

print(f"{passed} passed, {failed} failed, 0 skipped")
sys.exit(failed > 0)
