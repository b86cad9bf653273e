#!/bin/sh
# Runs every test: the C tests in the folder given (cmocka), then each Lua spec under $CRUN, then the sample of golden
# vectors. Ends with "N passed, N failed, N skipped".  --check: the Lua specs only (sanitizer builds).
set -u
crun=${CRUN:-./crun}
passed=0; failed=0; skipped=0
log=$(mktemp); trap 'rm -f "$log"' EXIT

count() { passed=$((passed + $1)); failed=$((failed + $2)); skipped=$((skipped + $3)); }
show_failure() { echo "---- $1"; cat "$log"; }

if [ "${1:-}" != --check ]; then
  for t in "$1"/*_test; do
    CMOCKA_MESSAGE_OUTPUT=TAP "$t" >"$log" 2>&1; status=$?
    ok=$(grep -c '^ok' "$log"); bad=$(grep -c '^not ok' "$log")
    [ $status -ne 0 ] && [ "$bad" -eq 0 ] && bad=1
    count "$ok" "$bad" 0
    if [ "$bad" -ne 0 ]; then show_failure "$t"; else echo "ok   $(basename "$t")  $ok"; fi
  done
fi

for spec in ${SPECS:-tests/*_spec.lua}; do
  start=$(date +%s)
  options=$(sed -n '1s/^-- crun: //p' "$spec")          # a first line "-- crun: --double" says how to run it
  BUSTED_OUTPUT=TAP "$crun" $options tests/run.lua "$spec" >"$log" 2>&1; status=$?
  ok=$(grep '^ok' "$log" | grep -vc '# SKIP'); skip=$(grep -c '^ok.*# SKIP' "$log"); bad=$(grep -c '^not ok' "$log")
  [ $status -ne 0 ] && [ "$bad" -eq 0 ] && bad=1
  count "$ok" "$bad" "$skip"
  if [ "$bad" -ne 0 ]; then show_failure "$spec"
  else echo "ok   $(basename "$spec")  $ok  $(( $(date +%s) - start )) s"; fi
done

echo "$passed passed, $failed failed, $skipped skipped"
[ "$failed" -eq 0 ]
