"""Looks at what the tool drew. Usage: check_drawn.py labels FILE.svg .. | seen FILE.png .. | page FILE.html FOLDER
labels: no two texts of a picture overlap, by their coordinates. seen: a picture has more than one colour and is not all but
blank. page: complete in itself, below 5 MB, and every number on it is one of FOLDER's tables or of its report.
Exit status 1, and a line for each fault."""
import bisect
import csv
import json
import os
import re
import struct
import sys
import xml.etree.ElementTree as xml
import zlib

SVG = "{http://www.w3.org/2000/svg}"
# Helvetica's widths in thousandths, from blank to ~
WIDTH = [278, 278, 355, 556, 556, 889, 667, 191, 333, 333, 389, 584, 278, 333, 278, 278, 556, 556, 556, 556, 556, 556, 556,
         556, 556, 556, 278, 278, 584, 584, 584, 556, 1015, 667, 667, 722, 722, 667, 611, 778, 722, 278, 500, 667, 556, 833,
         722, 778, 667, 778, 722, 667, 611, 722, 667, 944, 667, 667, 611, 278, 278, 278, 469, 556, 333, 556, 556, 500, 556,
         556, 278, 556, 556, 222, 222, 500, 222, 833, 556, 556, 556, 556, 333, 500, 278, 556, 500, 722, 500, 500, 500, 334,
         260, 334, 584]
faults = []


def box(text):
    """(left, top, right, bottom) of a text: its capitals' height, turned where it is."""
    size, x, y = float(text.get("font-size")), float(text.get("x")), float(text.get("y"))
    wide = sum(WIDTH[ord(c) - 32] if 32 <= ord(c) < 127 else 600 for c in text.text) * size / 1000
    left = {None: 0, "middle": -wide / 2, "end": -wide}[text.get("text-anchor")]
    corners = [(left, -0.72 * size), (left + wide, -0.72 * size), (left, 0), (left + wide, 0)]
    if "rotate(-90" in text.get("transform", ""):
        corners = [(v, -u) for u, v in corners]
    us, vs = [u for u, v in corners], [v for u, v in corners]
    return x + min(us), y + min(vs), x + max(us), y + max(vs)


def labels(path):
    root = xml.parse(path).getroot()
    wide, high = (float(v) for v in root.get("viewBox").split()[2:])
    boxes = sorted((box(t), t.text) for t in root.iter(SVG + "text"))
    for i, (a, name) in enumerate(boxes):
        if a[0] < 0 or a[1] < 0 or a[2] > wide or a[3] > high:
            faults.append("%s: '%s' leaves the picture" % (path, name))
        for b, other in boxes[i + 1:]:
            if b[0] >= a[2]:
                break
            if min(a[2], b[2]) - max(a[0], b[0]) > 0.5 and min(a[3], b[3]) - max(a[1], b[1]) > 0.5:
                faults.append("%s: '%s' and '%s' overlap" % (path, name, other))


def seen(path):
    """Of a PNG of 8 bits a channel, without interlace."""
    data = open(path, "rb").read()
    at, packed = 8, b""
    while at < len(data):
        size, kind = struct.unpack(">I4s", data[at:at + 8])
        if kind == b"IHDR":
            wide, high, bits, colour = struct.unpack(">IIBB", data[at + 8:at + 18])
        if kind == b"IDAT":
            packed += data[at + 8:at + 8 + size]
        at += 12 + size
    bytes_a_pixel = {0: 1, 2: 3, 6: 4}[colour]
    raw, row = zlib.decompress(packed), wide * bytes_a_pixel + 1
    # a row without ink is the one above it, or of one colour: its filtered bytes are nearly all 0
    inked = sum(1 for y in range(high) if sum(map(bool, raw[y * row + 1:(y + 1) * row])) > bytes_a_pixel * 4)
    if inked < 0.2 * high:
        faults.append("%s: blank: ink in %d rows of %d" % (path, inked, high))


def numbers_of(folder):
    exact, values = set(), set()
    for name in os.listdir(folder):
        if not name.endswith(".csv"):
            continue
        rows = list(csv.reader(open(os.path.join(folder, name), newline="")))
        counts = {}
        for row in rows[1:]:
            exact.update(row)
            counts[row[0]] = counts.get(row[0], 0) + 1
        exact.update(str(n) for n in counts.values())
        exact.add(str(len(rows) - 1))
    report = open(os.path.join(folder, "report.json")).read()
    json.loads(report)
    exact.update(re.findall(r"-?\d[\d.]*(?:e[-+]?\d+)?", report))
    for text in exact:
        try:
            values.add(float(text))
        except ValueError:
            pass
    return exact, sorted(values)


NUMBER = re.compile(r"(?<![\w.\-])-?\d[\d,]*(?:\.\d+)?(?:e[-+]?\d+)?(?![\w])")


def known(token, values, scale=1.0):
    """Whether a number of the tables rounds to the token."""
    token = token.replace(",", "")
    mantissa, _, power = token.partition("e")
    half = 0.5 * 10 ** (int(power or 0) - len(mantissa.partition(".")[2])) / scale * 1.0001
    at = bisect.bisect_left(values, float(token) / scale - half)
    return at < len(values) and values[at] <= float(token) / scale + half


def say(path, text, values, names, scale=1.0):
    for name in names:
        if name in text:
            text = text.replace(name, " ")
    for token in NUMBER.findall(text):
        if not known(token, values, scale) and not known(token, values, 100.0):
            faults.append("%s: %s is in no table: ...%s..." % (path, token, text.strip()[:60]))


def page(path, folder):
    size = os.path.getsize(path)
    if size > 5000000:
        faults.append("%s: %d bytes" % (path, size))
    text = open(path, encoding="utf-8").read()
    root = xml.fromstring(text)
    for link in re.findall(r"(?:href|src)=\"(?!data:|#)[^\"]*|url\([^)]*|@import|https?://[^\"'\s<]*", text):
        if link != "http://www.w3.org/2000/svg":
            faults.append("%s: not complete in itself: %s" % (path, link))
    for tag in ("h1", "table", "figure", "figcaption", "details"):
        if root.find(".//" + tag) is None:
            faults.append("%s: no %s" % (path, tag))
    for picture in root.iter(SVG + "svg"):
        if not picture.get("aria-label") or not (picture.findtext(SVG + "desc") or "").strip():
            faults.append("%s: a picture without words" % path)
    exact, values = numbers_of(folder)
    tables = [n for n in ("pairs.csv", "effects.csv") if os.path.exists(os.path.join(folder, n))]
    rows = list(csv.DictReader(open(os.path.join(folder, tables[0]), newline="")))
    names = sorted({r[k] for r in rows for k in r if k.startswith("gene")}, key=len, reverse=True)
    for data in root.iter("data"):
        if data.get("value") not in exact:
            faults.append("%s: %s is in no table" % (path, data.get("value")))
        elif not known(data.text, [float(data.get("value"))]) and not known(data.text, [float(data.get("value"))], 100.0):
            faults.append("%s: %s is no rounding of a number of the tables" % (path, data.text))
    shown = json.loads("".join(root.find(".//script[@id='rows']").itertext()))
    for i, row in enumerate(shown["rows"]):
        if shown["pairs"] and [rows[i]["gene_a"], rows[i]["gene_b"]] != row[1:3]:
            faults.append("%s: row %d is not that of %s" % (path, i, tables[0]))
        for cell in row[shown["texts"]:]:
            if cell and not known(cell, values):
                faults.append("%s: row %d: %s is in no table" % (path, i, cell))
    verbatim = {e for k in root.iter() if k.get("class") in ("k", "tools", "soft k") or k.tag in ("script", "style", "data", "h1", "title")
                for e in k.iter()}
    for element in root.iter():
        inside = element.tag.startswith(SVG)
        if element in verbatim or element.tag == SVG + "text":
            continue
        if element.text and (not inside or element.tag == SVG + "title"):
            say(path, element.text, values, names)
    for element in root.iter():
        if not element.tag.startswith(SVG) and element.tail and element.tag not in ("svg",):
            say(path, element.tail, values, names)


if sys.argv[1] == "page":
    page(sys.argv[2], sys.argv[3])
else:
    for file in sys.argv[2:]:
        {"labels": labels, "seen": seen}[sys.argv[1]](file)
for fault in faults[:20]:
    print(fault)
sys.exit(len(faults) > 0)
