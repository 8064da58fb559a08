#!/bin/sh
# The guard of the house: how celcomen.h is laid out, read from its text with awk, so that it needs no package.
# Usage: sh tests/house.sh [HEADER [USER.c ...]]. Prints what is wrong, the size of every room beside its target, and
# the tally. tests/house_test.sh plants every fault and sees it reported here.
set -u
: "${CC:=cc}"
header=${1:-celcomen.h}
[ $# -gt 0 ] && shift
[ $# -gt 0 ] || set -- examples/*.c bench/*.c bench/*.h tests/fuzz.c tests/alloc.c
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT

# The rooms in their order, and the lines that interface and implementation should need together.
cat > "$tmp/rooms" << 'EOF'
base 400
kernels 600
dense 760
sparse 480
files 980
tissue 800
model 520
moments 240
solve 660
score 910
shifts 300
chosen 400
counting 450
published 650
sampler 730
optimum 450
likelihood 350
perturb 1070
EOF

# Exceptions, at most five, each with its reason:  check name reason.  check is one of lines, nesting, parameters.
# One that is no longer needed is reported.
cat > "$tmp/exceptions" << 'EOF'
EOF

cat > "$tmp/house.awk" << 'EOF'
# Splits a line into CODE (comments blanked, literals emptied), NOTE (the comments) and TEXT (the literals).
function strip(line,    p, t, ok) {
    CODE = NOTE = TEXT = ""
    while (line != "") {
        if (in_comment) {
            p = index(line, "*/")
            if (!p) { NOTE = NOTE line; return }
            NOTE = NOTE substr(line, 1, p - 1) " "
            line = substr(line, p + 2)
            in_comment = 0
        } else if (match(line, /\/\*|\/\/|"|'/)) {
            CODE = CODE substr(line, 1, RSTART - 1)
            t = substr(line, RSTART, RLENGTH)
            line = substr(line, RSTART + RLENGTH)
            if (t == "/*") { in_comment = 1; CODE = CODE " " }
            else if (t == "//") { NOTE = NOTE line; return }
            else {
                ok = t == "\"" ? match(line, /^([^"\\]|\\.)*"/) : match(line, /^([^'\\]|\\.)*'/)
                if (!ok) return
                TEXT = TEXT " " substr(line, 1, RLENGTH - 1)
                CODE = CODE "\"\""
                line = substr(line, RLENGTH + 1)
            }
        } else { CODE = CODE line; return }
    }
}

# One check is one name; each of its findings is one line below it.
function check(name) { now = name; checks++; name_of[checks] = name; found[checks] = 0 }
function finding(line, text) {
    found[checks]++
    report[checks, found[checks]] = "  " FILE (line ? ":" line : "") ": " text
}

# The identifiers of a line of code, noted with where they stand. What is pasted (a##_b) is known by its end only.
function note_words(s, line, func_name, is_define,    w, first, rest) {
    first = 1
    for (rest = s; match(rest, /##_[a-z0-9_]+/); rest = substr(rest, RSTART + RLENGTH)) pasted[substr(rest, RSTART + 2, RLENGTH - 2)] = 1
    while (match(s, /[A-Za-z_][A-Za-z0-9_]*/)) {
        w = substr(s, RSTART, RLENGTH)
        s = substr(s, RSTART + RLENGTH)
        known[w] = 1
        if (part_of[line] == "interface") in_interface[w] = 1
        if (w ~ /^(cel|CEL)[iI]?_/ && !(is_define && first && w == func_name)) {
            uses++
            use_word[uses] = w
            use_line[uses] = line
            use_by[uses] = func_name
        }
        if (w in forbidden) { bads++; bad_word[bads] = w; bad_line[bads] = line; bad_by[bads] = func_name }
        if (is_define && w == func_name) first = 0
    }
}

function room_at(line) { return line in room_of ? room_of[line] : "" }

# An item of file scope begins anew.
function reset_item() { heads = 0; paren = 0; item_kind = ""; item_line = 0; item_name = ""; bodies = 0 }

# What a head that meets its first brace is: the name that stands before a parenthesis makes it a function.
function classify(    i, nested) {
    item_name = ""
    if (heads == 2 && head[1] == "extern") return "extern"
    for (i = 1; i <= heads; i++) {
        if (head[i] == "=") return "data"
        if (head[i] == "typedef" || head[i] == "enum") return "type"
        if (head[i] == "(") nested++
        if (head[i] == ")") nested--
        if (!nested && head[i + 1] == "(" && i < heads && head[i] ~ /^[A-Za-z_]/ && head[i] !~ /^(__attribute__|CELI?_[A-Z0-9_]*)$/) {
            item_name = head[i]
            name_at = i
            item_line = head_line[i]
            return "function"
        }
    }
    return "type"
}

function count_parameters(    i, depth, n) {
    n = 1
    for (i = name_at + 1; i <= heads; i++) {
        if (head[i] == "(") depth++
        else if (head[i] == ")") { if (--depth == 0) break }
        else if (head[i] == "," && depth == 1) n++
    }
    if (i == name_at + 2 || (i == name_at + 3 && head[i - 1] == "void")) n = 0
    return n
}

# The deepest control statement inside of others, braces or not; an else-if chain is one level.
function skip_parens(    depth) {
    if (body[at] != "(") return
    do {
        if (body[at] == "(") depth++
        else if (body[at] == ")") depth--
        at++
    } while (depth > 0 && at <= bodies)
}
function statement(level,    t, braces, parens) {
    if (at > bodies) return
    if (level > deepest) { deepest = level; deepest_line = body_line[at] }
    t = body[at]
    if (t == "{") {
        at++
        while (at <= bodies && body[at] != "}") statement(level)
        at++
    } else if (t == "CELI_OMP") {
        at++; skip_parens(); statement(level)
    } else if (t == "if") {
        at++; skip_parens(); statement(level + 1)
        if (body[at] == "else" && at <= bodies) { at++; statement(body[at] == "if" ? level : level + 1) }
    } else if (t == "for" || t == "while" || t == "switch") {
        at++; skip_parens(); statement(level + 1)
    } else if (t == "do") {
        at++; statement(level + 1); at++; skip_parens(); at++
    } else if (t == "case" || t == "default") {
        while (at <= bodies && body[at] != ":") at++
        at++
    } else {
        for (; at <= bodies; at++) {
            t = body[at]
            if (t == "{") braces++
            else if (t == "}") { if (braces-- == 0) break }
            else if (t == "(") parens++
            else if (t == ")") parens--
            else if (t == ";" && !braces && !parens) { at++; break }
        }
    }
}

function end_function(line,    n) {
    functions++
    n = functions
    fn_name[n] = item_name
    fn_line[n] = item_line
    fn_lines[n] = line - item_line + 1
    fn_parameters[n] = parameters_now
    fn_room[n] = room_at(item_line)
    fn_part[n] = part
    if (!(item_name in defined)) { defined[item_name] = item_line; defined_part[item_name] = part }
    at = 1
    deepest = deepest_line = 0
    while (at <= bodies) statement(0)
    fn_nesting[n] = deepest
    fn_nesting_line[n] = deepest_line
}

function token(t, line) {
    if (depth == 0) {
        if (t == "{" && paren == 0) {
            item_kind = classify()
            if (item_kind == "extern") { externs++; reset_item(); return }
            if (item_kind == "function") parameters_now = count_parameters()
            depth = 1
            return
        }
        if (t == "}" && externs > 0) { externs--; reset_item(); return }
        if (t == ";" && paren == 0) { end_declaration(line); reset_item(); return }
        if (t == "(") paren++
        if (t == ")") paren--
        head[++heads] = t
        head_line[heads] = line
        head[heads + 1] = ""
        return
    }
    if (t == "{") depth++
    if (t == "}") {
        depth--
        if (depth == 0) {
            if (item_kind == "function") { end_function(line); reset_item() }
            return
        }
    }
    if (item_kind == "function" && !second_branch) {
        body[++bodies] = t
        body_line[bodies] = line
        body[bodies + 1] = ""
    }
}

function end_declaration(line,    kind, k) {
    if (!heads) return
    kind = item_kind == "" ? classify() : item_kind
    if (part == "interface" && (kind == "function" || head[1] == "typedef" || kind == "type")) {
        declarations++
        decl_first[declarations] = head_line[1]
        decl_name[declarations] = kind == "function" ? item_name : head[heads]
        if (kind == "function" && head[1] != "typedef") {
            publics++
            pub_name[publics] = item_name
            pub_line[publics] = item_line
            pub_room[publics] = room_at(item_line)
            public[item_name] = item_line
            for (k = 1; k <= 3; k++) if (head[k] == "cel_status") can_fail[item_name] = 1
            if (count_parameters() > 0) pub_parameters[item_name] = count_parameters()
        }
    }
    decl_end[line] = 1
}

function scan(line, s,    t) {
    if (kind_of[line] == "pp") {
        if (s ~ /^[ \t]*#[ \t]*if/) { stack[++ifs] = depth; branch[ifs] = second_branch }
        else if (s ~ /^[ \t]*#[ \t]*(else|elif)/) { depth = stack[ifs]; second_branch = 1 }
        else if (s ~ /^[ \t]*#[ \t]*endif/) { second_branch = branch[ifs]; ifs-- }
        return
    }
    while (match(s, /[A-Za-z_][A-Za-z0-9_]*|""|[^ \tA-Za-z_0-9]|[0-9][0-9A-Za-z_.]*/)) {
        t = substr(s, RSTART, RLENGTH)
        s = substr(s, RSTART + RLENGTH)
        token(t, line)
    }
}

function excepted(what, name) {
    if (!((what, name) in exception)) return 0
    exception_used[what, name] = 1
    return 1
}

FNR == 1 { file++; in_comment = 0 }
FILENAME == ROOMS { targets++; target_name[targets] = $1; target[$1] = $2; next }
FILENAME == EXCEPTIONS { if (NF) { exceptions++; exception[$1, $2] = 1; if (NF < 4) unreasoned[$1 " " $2] = 1 } next }
FILENAME == SYMBOLS { symbols++; symbol[$1] = 1; next }
FILENAME ~ /(^|\/)(fuzz|alloc)\.c$/ { # what it calls
    strip($0)
    caller = FILENAME
    sub(/.*\//, "", caller)
    calls[caller] = 1
    while (match(CODE, /cel_[a-z0-9_]*\(/)) { called[caller, substr(CODE, RSTART, RLENGTH - 1)] = 1; CODE = substr(CODE, RSTART + RLENGTH) }
    next
}
FILENAME != FILE { # an example or a measurement: only what it uses
    strip($0)
    while (match(CODE, /cel_[a-z0-9_]*/)) { in_examples[substr(CODE, RSTART, RLENGTH)] = 1; CODE = substr(CODE, RSTART + RLENGTH) }
    next
}
{
    strip($0)
    lines = FNR
    raw[FNR] = $0
    code[FNR] = CODE
    note[FNR] = NOTE
    text[FNR] = TEXT
    bare = CODE
    gsub(/[ \t]/, "", bare)
    kind_of[FNR] = continued || bare ~ /^#/ ? "pp" : bare != "" ? "code" : $0 ~ /^[ \t]*$/ ? "blank" : "comment"
    continued = kind_of[FNR] == "pp" && CODE ~ /\\$/
}

END {
    split("exit _exit quick_exit abort assert atexit printf fprintf dprintf sprintf snprintf vprintf vfprintf vsprintf " \
          "vsnprintf puts putchar perror stdout stderr errno setlocale localeconv getenv setenv rand srand strtok " \
          "signal raise system", list, " ")
    for (i in list) forbidden[list[i]] = 1

    # ---- the parts and their rooms ----
    part = "manual"
    for (i = 1; i <= lines; i++) {
        if (part == "manual" && code[i] ~ /^#define CELCOMEN_H[ \t]*$/) part = "interface"
        else if (part == "interface" && code[i] ~ /^#endif/ && note[i] ~ /CELCOMEN_H /) { part_of[i] = part; part = "between"; continue }
        else if (part == "between" && code[i] ~ /^#define CELCOMEN_IMPLEMENTATION_INCLUDED/) part = "implementation"
        else if (part == "implementation" && code[i] ~ /^#endif/ && note[i] ~ /CELCOMEN_IMPLEMENTATION/) { part_of[i] = part; part = "licence"; continue }
        part_of[i] = part
        part_lines[part]++
    }
    for (i = 1; i <= lines; i++) {
        p = part_of[i]
        if (p != p_before) { room = ""; p_before = p }
        if (p == "manual" && note[i] ~ /ROOMS OF THIS FILE/) in_rooms = 1
        if (p == "manual" && in_rooms && note[i] ~ /^ \*     +[a-z]+  *celi?_/) {
            n = split(note[i], field, " ")
            room_in[p, ++rooms_in[p]] = field[2]
            manual_line[field[2]] = i
            for (j = 3; j <= n && field[j] ~ /^celi?_[a-z_]*,?$/; j++) {
                sub(/,$/, "", field[j])
                prefix[field[j], field[2]] = any_prefix[field[j]] = 1
            }
        }
        if (p == "interface" || p == "implementation") {
            if (kind_of[i] == "comment" && note[i] ~ /=====/ && note[i + 2] ~ /=====/ && note[i + 1] ~ /^ *[a-z]+(:.*)? *$/) {
                room = note[i + 1]
                sub(/^ */, "", room)
                sub(/[: ].*$/, "", room)
                room_in[p, ++rooms_in[p]] = room
                banner[p, room] = i
                if (p == "implementation") rank[room] = rooms_in[p]
            }
            room_of[i] = room
            size[p, room]++
        }
    }

    # ---- items of the interface and the implementation ----
    reset_item()
    for (i = 1; i <= lines; i++) {
        p = part_of[i]
        if (p == "between") note_words(code[i], i, "", 0)
        if (p != "interface" && p != "implementation") continue
        if (p != part) { part = p; reset_item(); depth = externs = ifs = second_branch = 0 }
        before = functions
        scan(i, code[i])
        if (kind_of[i] == "pp") {
            if (match(code[i], /^[ \t]*#[ \t]*define[ \t]+[A-Za-z_0-9]+/)) {
                macro = substr(code[i], RSTART, RLENGTH)
                sub(/.*[ \t]/, "", macro)
                if (p == "implementation" && !(macro in defined)) { defined[macro] = i; defined_part[macro] = p }
                macro_start = i
            } else if (code[i] ~ /^[ \t]*#/) macro = ""
            if (p == "implementation") {
                if (macro != "" && code[i] !~ /\\$/ && i - macro_start + 1 > 100) long_macro[macro] = macro_start
            }
            note_words(code[i], i, macro, i == macro_start)
        } else {
            # the function that a line belongs to: the open one, or the one that ends here
            note_words(code[i], i, item_kind == "function" ? item_name : functions > before ? fn_name[functions] : "", 0)
        }
        s = text[i]
        while (match(s, /[A-Za-z_][A-Za-z0-9_]*/)) { known[substr(s, RSTART, RLENGTH)] = 1; s = substr(s, RSTART + RLENGTH) }
    }

    # ---- checks ----
    check("the four parts are there: manual, interface, implementation, licence")
    if (!part_lines["interface"] || !part_lines["implementation"] || !part_lines["licence"]) finding(0, "a part is missing")
    if (!publics || !functions) finding(0, "no function was found")

    check("rooms in one order in manual, interface and implementation")
    n = 0
    for (i = 1; i <= targets; i++) position[target_name[i]] = i
    split("manual interface implementation", list, " ")
    for (k = 1; k <= 3; k++) {
        p = list[k]
        last = 0
        for (i = 1; i <= rooms_in[p]; i++) {
            room = room_in[p, i]
            line = p == "manual" ? manual_line[room] : banner[p, room]
            if (!(room in position)) finding(line, "room " room " of the " p " is not in the table of rooms")
            else if (position[room] <= last) finding(line, "room " room " of the " p " stands after " target_name[last])
            else last = position[room]
            if (!rank[room]) finding(line, "room " room " of the " p " is not in the implementation")
        }
        if (!rooms_in[p]) finding(0, "no room in the " p)
    }
    for (i = 1; i <= rooms_in["implementation"]; i++) {
        room = room_in["implementation", i]
        if (!(room in manual_line)) finding(banner["implementation", room], "room " room " is not in the manual's list of rooms")
    }

    check("public functions are in one room and one order in interface and implementation")
    for (i = 1; i <= publics; i++) {
        index_of[pub_name[i]] = i
        if (!(pub_name[i] in defined)) finding(pub_line[i], pub_name[i] ": declared, not defined")
    }
    for (i = 1; i <= functions; i++) {
        f = fn_name[i]
        if (fn_part[i] != "implementation" || defined[f] != fn_line[i]) continue
        if (f ~ /^cel_/ && !(f in public)) finding(fn_line[i], f ": named as public, not declared in the interface")
        if (!(f in public)) continue
        if (fn_room[i] != pub_room[index_of[f]])
            finding(fn_line[i], f ": defined in room " fn_room[i] ", declared in room " pub_room[index_of[f]] " (line " public[f] ")")
        else if (fn_room[i] == room_before && index_of[f] < index_of[f_before])
            finding(fn_line[i], f ": defined after " f_before ", declared before it (line " public[f] ")")
        room_before = fn_room[i]
        f_before = f
    }

    check("a public name carries a prefix of its room, as the manual lists them")
    for (i = 1; i <= publics; i++) {
        f = pub_name[i]
        best = ""
        for (q in any_prefix) if (index(f, q) == 1 && length(q) > length(best)) best = q
        if (best == "" || !((best, pub_room[i]) in prefix)) finding(pub_line[i], f ": no prefix of room " pub_room[i])
    }
    for (i = 1; i <= functions; i++) if (fn_name[i] !~ /^celi?_/) finding(fn_line[i], fn_name[i] ": neither cel_ nor celi_")

    check("no room uses a lower one")
    for (i = 1; i <= uses; i++) {
        w = use_word[i]
        if (!(w in defined) || part_of[use_line[i]] != "implementation" || defined_part[w] != "implementation") continue
        here = rank[room_at(use_line[i])] + 0
        there = rank[room_at(defined[w])] + 0
        if (there > here && !((w, use_by[i]) in told)) {
            told[w, use_by[i]] = 1
            finding(use_line[i], (use_by[i] == "" ? "file scope" : use_by[i]) " in " (here ? room_at(use_line[i]) : "the preamble") " uses " w " of " room_at(defined[w]))
        }
    }

    check("every public function and type has a comment directly above it or its group")
    for (i = 1; i <= declarations; i++) {
        line = decl_first[i]
        j = line - 1
        while (kind_of[j] == "code" || kind_of[j] == "pp") j--
        if (kind_of[j] != "comment" || part_of[j] != "interface") finding(line, decl_name[i] ": no comment above")
        else if (note[j] ~ /=====/) finding(line, decl_name[i] ": no comment above, only a banner")
    }

    check("every public function is used by another one, an example or a measurement")
    for (i = 1; i <= uses; i++)
        if (part_of[use_line[i]] == "implementation" && use_by[i] != use_word[i] && !(use_line[i] == defined[use_word[i]])) used[use_word[i]] = 1
    for (i = 1; i <= publics; i++)
        if (!(pub_name[i] in used) && !(pub_name[i] in in_examples)) finding(pub_line[i], pub_name[i] ": used by nothing but tests")

    for (caller in calls) {
        check(caller == "fuzz.c" ? "every public function is called by the fuzzer" : "every public function that can fail is called where allocations fail")
        for (i = 1; i <= publics; i++)
            if ((caller == "fuzz.c" || pub_name[i] in can_fail) && !((caller, pub_name[i]) in called)) finding(pub_line[i], pub_name[i] ": not called in " caller)
    }

    check("every private function is used")
    for (i = 1; i <= functions; i++)
        if (fn_name[i] ~ /^celi_/ && !(fn_name[i] in used)) {
            for (q in pasted) if (length(fn_name[i]) > length(q) && substr(fn_name[i], length(fn_name[i]) - length(q) + 1) == q) break
            if (!(q in pasted && substr(fn_name[i], length(fn_name[i]) - length(q) + 1) == q)) finding(fn_line[i], fn_name[i] ": used by nothing")
        }

    check("no function or macro over 100 lines")
    for (i = 1; i <= functions; i++)
        if (fn_lines[i] > 100 && !excepted("lines", fn_name[i])) finding(fn_line[i], fn_name[i] ": " fn_lines[i] " lines")
    for (m in long_macro) if (!excepted("lines", m)) finding(long_macro[m], m ": a macro of more than 100 lines")

    check("no nesting over 4")
    for (i = 1; i <= functions; i++)
        if (fn_nesting[i] > 4 && !excepted("nesting", fn_name[i])) finding(fn_nesting_line[i], fn_name[i] ": " fn_nesting[i] " control statements inside one another")

    check("no function of more than 8 parameters")
    for (i = 1; i <= functions; i++)
        if (fn_parameters[i] > 8 && !excepted("parameters", fn_name[i])) finding(fn_line[i], fn_name[i] ": " fn_parameters[i] " parameters")

    check("at most five exceptions, each with a reason and needed")
    if (exceptions > 5) finding(0, exceptions " exceptions")
    for (e in unreasoned) finding(0, e ": an exception without a reason")
    for (e in exception) if (!(e in exception_used)) { split(e, field, SUBSEP); finding(0, field[1] " " field[2] ": an exception that is not needed") }

    check("every name in a comment exists") # H22: the quick start of 0.1.0 named a function that was not there
    for (i = 1; i <= lines; i++) {
        s = note[i]
        if (part_of[i] == "licence") break
        while (match(s, /(celi?|CELI?|CELCOMEN)_[A-Za-z0-9_]*\*?/)) {
            w = substr(s, RSTART, RLENGTH)
            glued = RSTART > 1 && substr(s, RSTART - 1, 1) ~ /[A-Za-z0-9_]/
            s = substr(s, RSTART + RLENGTH)
            if (glued || (w, i) in told_name) continue
            star = sub(/\*$/, "", w)
            if (w in known) continue
            if (star || w ~ /_$/) {
                ok = 0
                for (q in known) if (index(q, w) == 1) { ok = 1; break }
                if (ok) continue
            }
            told_name[w, i] = 1
            finding(i, w ": no such name")
        }
    }

    check("no exit, abort, printf, errno, locale or environment, but for the kernel level's variable")
    for (i = 1; i <= bads; i++) {
        if (part_of[bad_line[i]] != "implementation" && part_of[bad_line[i]] != "interface") continue
        if (bad_word[i] == "getenv" && text[bad_line[i]] ~ /CELCOMEN_LEVEL/ && !getenvs++) continue
        finding(bad_line[i], (bad_by[i] == "" ? "file scope" : bad_by[i]) ": " bad_word[i])
    }

    check("at most six feature switches, each in the manual")
    for (i = 1; i <= lines; i++) {
        s = code[i]
        if (kind_of[i] != "pp" || s !~ /^[ \t]*#[ \t]*(if|elif)/) continue
        while (match(s, /CELCOMEN_[A-Z0-9_]+/)) {
            w = substr(s, RSTART, RLENGTH)
            s = substr(s, RSTART + RLENGTH)
            if (w ~ /^CELCOMEN_(H|IMPLEMENTATION_INCLUDED|MALLOC|REALLOC|FREE|VERSION.*)$/ || w in switch_line) continue
            switch_line[w] = i
            if (++switches > 6) finding(i, w ": switch number " switches)
        }
    }
    for (i = 1; part_of[i] == "manual"; i++) { s = note[i]; while (match(s, /CELCOMEN_[A-Z0-9_]+/)) { in_manual[substr(s, RSTART, RLENGTH)] = 1; s = substr(s, RSTART + RLENGTH) } }
    for (w in switch_line) if (!(w in in_manual)) finding(switch_line[w], w ": not in the manual")

    check("comments: at least 8 % of the implementation's lines are nothing else")
    for (i = 1; i <= lines; i++) if (part_of[i] == "implementation") {
        room = room_at(i)
        total++
        if (kind_of[i] == "comment") { comments++; room_comments[room]++ }
    }
    share = total ? 100 * comments / total : 0
    if (share < 8) finding(0, sprintf("%d of %d lines, %.1f %%", comments, total, share))

    check("lines of at most 120 characters, ASCII, no tabs, no trailing blanks")
    for (i = 1; i <= lines; i++) {
        if (length(raw[i]) > 120) finding(i, length(raw[i]) " characters")
        if (raw[i] ~ /[^ -~]/) finding(i, "a tab, or not ASCII")
        if (raw[i] ~ / $/) finding(i, "a trailing blank")
    }

    # The file is larger than its targets add up to, so this limit only goes down: whoever trims it lowers it. Only a new
    # room raises it. The last three (counting, likelihood, shifts) came with 2,000 lines, of which their targets allow
    # 1,100: the rest is to be earned back.
    check("a manual of at most 320 lines, a file of at most 20062")
    if (part_lines["manual"] > 320) finding(0, "the manual has " part_lines["manual"] " lines")
    if (lines > 20062) finding(0, lines " lines")

    if (symbols) {
        check("the object's global symbols are the public names, and begin with cel_ or celcomen_")
        for (f in symbol) {
            if (f !~ /^(cel|celcomen)_/) finding(0, f ": a global symbol of another prefix")
            else if (!(f in in_interface)) finding(0, f ": a global symbol that is not declared")
        }
        for (f in public) if (!(f in symbol)) finding(public[f], f ": declared, not in the object")
    }

    # ---- the report ----
    for (c = 1; c <= checks; c++) {
        if (!found[c]) { passed++; continue }
        failed++
        print "FAILED: " name_of[c] " (" found[c] ")"
        for (i = 1; i <= found[c]; i++) print report[c, i]
    }
    printf "%-12s %9s %14s %6s %7s %11s\n", "room", "interface", "implementation", "sum", "target", "comments, %"
    for (i = 1; i <= targets; i++) {
        room = target_name[i]
        a = size["interface", room] + 0
        b = size["implementation", room] + 0
        sum_a += a; sum_b += b; sum_t += target[room]
        if (a + b) printf "%-12s %9d %14d %6d %7s %11.1f\n", room, a, b, a + b, target[room], b ? 100 * room_comments[room] / b : 0
        else printf "%-12s %9s %14s %6s %7s\n", room, "-", "-", "-", target[room]
    }
    printf "%-12s %9d %14d %6d %7s\n", "around them", part_lines["interface"] + 1 - sum_a, total - sum_b, lines - sum_a - sum_b, ""
    printf "%-12s %9d %14d %6d %7s %11.1f\n", "the file", part_lines["interface"] + 1, total, lines, "", share
    print passed + 0, failed + 0 > RESULT
}
EOF

# The symbols of an object: from the header itself, at -O0 because only the names matter.
passed=0 failed=0 skipped=0
: > "$tmp/symbols"
if ! command -v "${CC%% *}" > /dev/null || ! command -v nm > /dev/null; then
    echo "  skipped: $CC or nm not installed"; skipped=$((skipped + 1))
elif printf '#define CELCOMEN_IMPLEMENTATION\n#include "%s"\n' "$(cd "$(dirname "$header")" && pwd)/$(basename "$header")" > "$tmp/all.c" &&
    $CC -std=gnu99 -O0 -w -c "$tmp/all.c" -o "$tmp/all.o" 2> "$tmp/log"; then
    nm -g --defined-only "$tmp/all.o" | awk 'NF == 3 { print $3 }' > "$tmp/symbols"
else
    echo "FAILED: $header does not compile"; head -5 "$tmp/log"; failed=$((failed + 1))
fi
LC_ALL=C awk -v FILE="$header" -v ROOMS="$tmp/rooms" -v EXCEPTIONS="$tmp/exceptions" -v SYMBOLS="$tmp/symbols" \
    -v RESULT="$tmp/result" -f "$tmp/house.awk" "$tmp/rooms" "$tmp/exceptions" "$tmp/symbols" "$header" "$@" ||
    { echo "FAILED: the reading of $header"; failed=$((failed + 1)); }
if [ -s "$tmp/result" ]; then
    read -r p f < "$tmp/result"
    passed=$((passed + p)) failed=$((failed + f))
fi
echo "$passed passed, $failed failed, $skipped skipped"
[ $failed -eq 0 ]
