#!/bin/sh
# report_check.sh [REPORT.html [PICTURES]] - opens a report in headless Chromium with the network
# off: no console error, nothing fetched, charts drawn, reachable by keyboard, no wider than the
# window at 1280 and 400 pixels. Without a report one is made of a fixture with hostile names.
# Pictures (wide, narrow, dark) go to PICTURES when it is given. CRUN, CHROMIUM, CHROMEDRIVER name
# the programs.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
CRUN=${CRUN:-$here/../../crun}
CHROMIUM=${CHROMIUM:-chromium}
CHROMEDRIVER=${CHROMEDRIVER:-chromedriver}
export CHROMIUM CHROMEDRIVER
for program in "$CHROMIUM" "$CHROMEDRIVER" python3; do
  command -v "$program" >/dev/null || {
    echo "report_check: skipped: there is no $program (packages chromium, chromium-driver, python3)"
    exit 0
  }
done
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
if [ $# -ge 1 ]; then
  page=$(realpath "$1")
else
  "$CRUN" "$here/../scripts/report_fixture.lua" "$work/sweep" >/dev/null
  "$CRUN" report "$work/sweep" -o "$work/report.html" >/dev/null
  page=$work/report.html
fi
export XDG_CACHE_HOME="$work/cache" XDG_CONFIG_HOME="$work/config" HOME="$work"
python3 "$here/report_check.py" "$page" "${2:-}"
