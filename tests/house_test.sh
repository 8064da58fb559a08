#!/bin/sh
# The guard guarded: a small house in which tests/house.sh finds nothing, then the same house with one fault at a time,
# each of which must be reported by name. A check that cannot fail is none.
set -u
guard=$(pwd)/tests/house.sh
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
cd "$tmp" || exit 1
passed=0 failed=0

cat > house.h << 'EOF'
/* A house of two rooms.
 *     #define CELCOMEN_IMPLEMENTATION
 *
 * ROOMS OF THIS FILE
 *     base       cel_, cel_rng_      what others need
 *     dense      cel_mat_            matrices
 */
#ifndef CELCOMEN_H
#define CELCOMEN_H
#define CEL_API extern
#define CELI_OMP(x)
#ifdef __cplusplus
extern "C" {
#endif

/* ======================================================================== */
/* base: what others need                                                   */
/* ======================================================================== */

/* What comes back. */
typedef enum cel_status {
    CEL_OK = 0,
    CEL_ERR_ARG /* out of range */
} cel_status;

/* Twice a. */
CEL_API int cel_twice(int a);
CEL_API int cel_thrice(int a);
/* As cel_twice, by the level; see cel_mat_*. */
CEL_API int cel_rng_level(void);

/* ======================================================================== */
/* dense: matrices                                                          */
/* ======================================================================== */

/* The sum of a and b. */
CEL_API int cel_mat_sum(int a,
                        int b);
/* Their difference. */
CEL_API int cel_mat_difference(int a, int b);
#ifdef __cplusplus
}
#endif
#endif /* CELCOMEN_H */

/* ======================================================================== */
/*                    Stop here if you only want to use it                  */
/* ======================================================================== */
#if defined(CELCOMEN_IMPLEMENTATION) && !defined(CELCOMEN_IMPLEMENTATION_INCLUDED)
#define CELCOMEN_IMPLEMENTATION_INCLUDED
#include <stdlib.h>
#ifdef __cplusplus
extern "C" {
#endif

/* ======================================================================== */
/* base                                                                     */
/* ======================================================================== */

/* A string that holds what must not be read as code: } and a quote. */
static const char *const celi_text[2] = {"}{\" exit( /*", "CELCOMEN_LEVEL"};

#define CELI_BOTH(a, b) \
    ((a) + (b))

/* Why: the brace is open in either branch. */
int cel_twice(int a)
{
#if defined(__cplusplus)
    if (a > 1) {
#else
    if (a > 2) {
#endif
        return celi_text[0][0] == '}' ? CELI_BOTH(a, a) : 2 * a;
    } else if (a > 3) return 2;
    else if (a > 4) return 3;
    else if (a > 5) return 4;
    else if (a > 6) return 5;
    return 2 * a;
}

int cel_thrice(int a) { return cel_twice(a) + a; }

/* Read once. */
static int celi_level(const char *(*get)(const char *), int a, int b, int c, int d, int e, int f, int g)
{
    int i, sum = a + b + c + d + e + f + g;
    CELI_OMP(omp parallel for)
    for (i = 0; i < 3; i++)
        while (sum > 9)
            do {
                if (sum > 5) sum--;
            } while (sum > 7);
    return get("CELCOMEN_LEVEL") ? 1 : sum;
}
int cel_rng_level(void)
{
    const char *name = getenv("CELCOMEN_LEVEL");
    return name ? 0 : celi_level((const char *(*)(const char *))0, cel_thrice(1), 1, 1, 1, 1, 1, 1);
}

/* ======================================================================== */
/* dense                                                                    */
/* ======================================================================== */

/* Both of these stand on the room above. */
int cel_mat_sum(int a, int b)
{
    return cel_twice(a) + b;
}
int cel_mat_difference(int a, int b) { return cel_mat_sum(a, -b); }
#ifdef __cplusplus
}
#endif
#endif /* CELCOMEN_IMPLEMENTATION */

/* MIT License */
EOF
printf '#include "house.h"\nint main(void) { return cel_rng_level() + cel_mat_difference(1, 2); } /* cel_mat_sum */\n' > use.c
printf 'int f(void) { return cel_twice(1) + cel_thrice(1) + cel_rng_level() + cel_mat_sum(1, 2) + cel_mat_difference(1, 2); }\n' > fuzz.c
mkdir few
printf 'int f(void) { return cel_twice(1) + cel_rng_level() + cel_mat_sum(1, 2) + cel_mat_difference(1, 2); } /* cel_thrice() */\n' > few/fuzz.c
cp few/fuzz.c few/alloc.c

verdict() { if [ "$1" -eq 0 ]; then passed=$((passed + 1)); else failed=$((failed + 1)); echo "FAILED: $2"; grep -A3 "^FAILED" out; fi; }

sh "$guard" house.h use.c fuzz.c > out 2>&1
verdict $? "a house in order is called so"

# plant NAME EXPECTED EDIT: the awk program EDIT makes a fault, and a line of the report must match EXPECTED.
plant() {
    awk "$3" house.h > faulty.h
    if cmp -s house.h faulty.h; then failed=$((failed + 1)); echo "FAILED: $1: the fault was not planted"; return; fi
    if sh "$guard" faulty.h ${4:-use.c} > out 2>&1; then verdict 1 "$1: the guard passes"; return; fi
    grep -Eq "$2" out
    verdict $? "$1: not reported"
    n=$(grep -c '^FAILED' out)
    [ "$n" -le "${5:-1}" ] || { failed=$((failed + 1)); echo "FAILED: $1: $n checks fail"; grep -A3 "^FAILED" out; }
}
all='{ print }'

plant "a room missing in the manual" 'dense is not in the manual' '!/ \* +dense / { print }' use.c 2
plant "rooms of the manual in another order" ':[0-9]+: room base of the manual stands after dense' \
    '/^ \*     base / { held = $0; next } { print } held != "" { print held; held = "" }'
plant "a room that nobody knows" 'room attic of the implementation is not in the table' \
    '/^\/\* dense  / { sub(/dense/, "attic") } { print }' use.c 3
plant "a public function in the wrong room" 'faulty.h:[0-9]+: cel_thrice: defined in room dense, declared in room base' \
    '/^int cel_thrice/ { held = $0; next } { print } /stand on the room above/ { print held }' use.c 2
plant "public functions in another order" 'cel_mat_sum: defined after cel_mat_difference' \
    '/^int cel_mat_difference/ { next } /^int cel_mat_sum/ { print "int cel_mat_difference(int a, int b) { return cel_mat_sum(a, -b); }" } { print }'
plant "declared, not defined" 'cel_thrice: declared, not defined' '/^int cel_thrice/ { sub(/cel_thrice/, "celi_thrice") } { print }' use.c 9
plant "public by its name only" 'cel_stray: named as public' '{ print } /^int cel_thrice/ { print "int cel_stray(void) { return 0; }" }' use.c 2
plant "a prefix of another room" 'cel_rng_sum: no prefix of room dense' '{ gsub(/cel_mat_sum/, "cel_rng_sum"); print }'
plant "no prefix at all" 'helper: neither cel_ nor celi_' '/^int cel_twice/ { print "static int helper(int a) { return a; }" } { print }'
plant "a call to a lower room" 'faulty.h:[0-9]+: cel_thrice in base uses cel_mat_sum of dense' \
    '/^int cel_thrice/ { sub(/cel_twice\(a\) \+ a/, "cel_mat_sum(cel_twice(a), a)") } { print }'
plant "a pointer to a function of a lower room" 'file scope in base uses cel_mat_sum of dense' \
    '/^#define CELI_BOTH/ { print "static int (*const celi_pointer)(int, int) = cel_mat_sum;" } { print }'
plant "a macro of a lower room" 'CELI_BOTH in base uses CELI_SUM of dense' \
    '/^    \(\(a\) \+ \(b\)\)/ { $0 = "    CELI_SUM(a, b)" } { print } /stand on the room above/ { print "#define CELI_SUM(a, b) ((a) + (b))" }'
plant "a function without a comment" 'cel_mat_difference: no comment above' '/Their difference/ { print ""; next } { print }'
plant "a blank line between comment and function" 'cel_mat_sum: no comment above' '{ print } /The sum of a and b/ { print "" }'
plant "a type without a comment" 'cel_status: no comment above' '/What comes back/ { next } { print }'
plant "a public function for tests alone" 'faulty.h:[0-9]+: cel_mat_difference: used by nothing but tests' \
    '/^#define CEL_API/ { print "#define CEL_FAULT 1" } { print }' /dev/null 2
plant "a function that only calls itself" 'cel_thrice: used by nothing but tests' \
    '/^int cel_thrice/ { $0 = "int cel_thrice(int a) { return a > 0 ? cel_thrice(a - 1) : 0; }" } /cel_thrice\(1\)/ { sub(/cel_thrice\(1\)/, "3") } { print }'
plant "a public function that the fuzzer does not call" 'cel_thrice: not called in fuzz.c' \
    '/Read once/ { sub(/once/, "once more") } { print }' "use.c few/fuzz.c"
plant "a function that can fail and is not called where allocations fail" 'cel_thrice: not called in alloc.c' \
    '/cel_thrice\(int a\)/ { sub(/int cel_thrice/, "cel_status cel_thrice") } { print }' "use.c few/alloc.c"
plant "a private function for nobody" 'celi_nobody: used by nothing' '/^int cel_twice/ { print "static int celi_nobody(int a) { return a; }" } { print }'
plant "a function of 101 lines" 'cel_mat_sum: 101 lines' '{ print } /^int cel_mat_sum/ { f = 1 } f && /^\{/ { for (i = 0; i < 97; i++) print "    a += 1;"; f = 0 }' use.c 2
plant "a macro of 101 lines" 'CELI_BOTH: a macro of more than 100 lines' '{ print } /^#define CELI_BOTH/ { for (i = 0; i < 99; i++) print "    0 + \\" }' use.c 2
plant "nesting of 5 without braces" 'celi_level: 5 control statements' '/if \(sum > 5\)/ { sub(/sum--/, "while (sum > 6) sum--") } { print }'
plant "nesting in an else" 'celi_level: 5 control statements' '/if \(sum > 5\)/ { sub(/sum--;/, "sum--; else { while (sum > 6) sum--; }") } { print }'
plant "9 parameters" 'celi_level: 9 parameters' '/^static int celi_level/ { sub(/int g\)/, "int g, int h)") } /1, 1, 1, 1, 1, 1\)/ { sub(/1\);/, "1, 1);") } { print }'
plant "a name in a comment that is gone" 'faulty.h:[0-9]+: cel_gone: no such name' '/Read once/ { sub(/once/, "once by cel_gone") } { print }'
plant "a prefix in a comment that is gone" 'celi_gone_: no such name' '/Read once/ { sub(/once/, "once by celi_gone_*") } { print }'
plant "a constant in a comment that is gone" 'CEL_ERR_GONE: no such name' '/out of range/ { sub(/out/, "as CEL_ERR_GONE, out") } { print }'
for word in 'exit(0)' 'abort()' 'puts("x")' 'sprintf(0, "x")' 'errno = 0' 'setlocale(0, "")' 'getenv("HOME")' 'getenv("CELCOMEN_LEVEL")'; do
    plant "$word" "faulty.h:[0-9]+: cel_mat_sum: ${word%%[( ]*}" "/return cel_twice\\(a\\) \\+ b/ { f = 1 } { print } /^int cel_mat_sum/ { f = 1 } f && /^\\{/ { print \"    ${word%%[( ]*};\"; f = 0 }" use.c 2
done
plant "a seventh switch" 'CELCOMEN_NUMBER7: switch number 7' \
    '/^#define CELI_BOTH/ { for (i = 2; i <= 7; i++) printf "#if defined(CELCOMEN_NUMBER%d)\n#endif\n", i } { print } NR == 1 { for (i = 2; i <= 7; i++) print " * CELCOMEN_NUMBER" i }'
plant "a switch that the manual does not name" 'CELCOMEN_SECRET: not in the manual' '/^#define CELI_BOTH/ { print "#ifdef CELCOMEN_SECRET\n#endif" } { print }'
plant "few comments" 'of [0-9]+ lines, [0-9.]+ %' '{ print } /^int cel_mat_difference/ { for (i = 0; i < 200; i++) print "" }'
plant "a line of 121 characters" 'faulty.h:[0-9]+: 121 characters' '/Read once/ { while (length($0) < 119) sub(/Read/, "x Read"); while (length($0) < 121) sub(/Read/, "xRead") } { print }'
plant "not ASCII" 'not ASCII' '/Read once/ { sub(/once/, "once \303\251") } { print }'
plant "a tab" 'a tab, or not ASCII' '/Read once/ { sub(/once/, "once\t") } { print }'
plant "a trailing blank" 'a trailing blank' '/^    return 2 \* a;/ { $0 = $0 " " } { print }'
plant "a manual of 321 lines" 'the manual has 32[1-9] lines' '{ print } NR == 1 { for (i = 0; i < 315; i++) print " *" }'
plant "a file of more lines than allowed" '[0-9]+ lines' '{ print } /^#define CELI_OMP/ { for (i = 0; i < 20062; i++) print "" }'
plant "a licence that is gone" 'a part is missing' '/MIT License/ { next } { print } /^#endif \/\* CELCOMEN_IMPL/ { exit }'
if command -v nm > /dev/null; then
    plant "a global of another name" 'helper: a global symbol of another prefix' '/^int cel_twice/ { print "int helper;" } { print }'
    plant "a global that nobody declared" 'cel_hidden: a global symbol that is not declared' '/^int cel_twice/ { print "int cel_hidden;" } { print }'
    plant "a private name that is global" 'celi_level: a global symbol of another prefix' '/^static int celi_level/ { sub(/static /, "") } { print }'
fi
plant "a header that does not compile" 'does not compile' '/^int cel_twice/ { print "int int;" } { print }'

# Exceptions: they excuse, they are counted, and one that is not needed is reported.
excuse() {
    awk -v lines="$1" '{ print } /"\$tmp\/exceptions" << / { print lines }' "$guard" > guard.sh
    awk '/^static int celi_level/ { sub(/int g\)/, "int g, int h)") } /1, 1, 1, 1, 1, 1\)/ { sub(/1\);/, "1, 1);") } { print }' house.h > faulty.h
    sh guard.sh faulty.h use.c > out 2>&1
}
excuse 'parameters celi_level as the hardware has it'
verdict $? "an exception excuses"
excuse 'parameters celi_level'
grep -q 'an exception without a reason' out
verdict $? "an exception without a reason is reported"
excuse 'parameters celi_level as the hardware has it\nlines cel_twice it was long'
grep -q 'lines cel_twice: an exception that is not needed' out
verdict $? "an exception that is not needed is reported"
excuse 'lines a x\nlines b x\nlines c x\nlines d x\nlines e x\nparameters celi_level x'
grep -q '6 exceptions' out
verdict $? "six exceptions are too many"

echo "$passed passed, $failed failed, 0 skipped"
[ $failed -eq 0 ]
