#!/bin/sh
# Every numbered example runs, prints something and exits with 0; each is at most 100 lines.
set -u
B=$1
passed=0 failed=0
for f in examples/[0-9]*.c; do
    name=$(basename "$f" .c)
    if [ "$(wc -l < "$f")" -le 100 ] && "$B/$name" > "$B/$name.log" 2>&1 && [ "$(wc -l < "$B/$name.log")" -ge 3 ]; then passed=$((passed + 1)); else
        failed=$((failed + 1)); echo "FAILED: $f"; tail -5 "$B/$name.log"; fi
done
echo "$passed passed, $failed failed, 0 skipped"
[ $failed -eq 0 ]
