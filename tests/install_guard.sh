#!/bin/sh
# Refuses to install into a system prefix where another `crun` would be shadowed: podman and buildah look for an OCI
# runtime of that name in /usr/bin, /usr/local/bin ... and would start this program as one.  FORCE=1 overrides.
prefix=$1
case "$prefix" in
  /usr|/usr/local|/usr/local/*|/usr/*|/opt|/) ;;
  *) exit 0 ;;
esac
[ "${FORCE:-}" = 1 ] && exit 0
found=
for name in podman buildah; do command -v $name >/dev/null 2>&1 && found="$found $name"; done
for path in /usr/bin/crun /usr/local/bin/crun; do
  [ -x "$path" ] && ! "$path" --version 2>/dev/null | grep -q 'experiment runtime' && found="$found $path"
done
[ -z "$found" ] && exit 0
echo "not installed: $prefix is searched for container runtimes, and$found would take this program for the OCI runtime" >&2
echo "called crun. Install into your home (make install), or say make install PREFIX=$prefix FORCE_INSTALL=1" >&2
exit 1
