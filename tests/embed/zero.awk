# Writes a C file that zeroes every public struct of celcomen.h with CEL_ZERO, C or C++, and looks at the first member of
# those where it is an enum (which C++ refuses to set from {0}). Its main returns 0 if there are such and all are 0.
/^#endif \/\* CELCOMEN_H/ { exit }
/^typedef enum [a-z_]* \{/ { is_enum[$3] = 1 }
/^typedef struct( [a-z0-9_]*)? \{/ { open = 1; first = ""; next }
open && first == "" && /^    [a-z]/ { first = $1; member = $2; sub(/[;,].*/, "", member) }
open && /^\} cel_[a-z0-9_]*;/ {
    open = 0
    name = $2
    sub(/;.*/, "", name)
    n++
    body = body "    {\n        " name " t = CEL_ZERO;\n        " \
        (first in is_enum ? "seen++;\n        bad += t." member " != (" first ")0;\n" : "(void)t;\n") "    }\n"
}
END {
    print "#include \"celcomen.h\"\n\nint main(void)\n{\n    int seen = 0, bad = 0;\n" body "    return bad || !seen || " n " < 20;\n}"
}
