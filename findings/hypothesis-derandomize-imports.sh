#!/bin/sh
# hypothesis 6.170.15 (PyPI): with derandomize=True a test does not try the same examples in every run. Hypothesis also
# draws constants that it reads from the source of imported local modules, so the examples depend on which modules the
# process has imported, and on whether a module is local or in site-packages.
# Seen:     the same test tries other examples after `import constants`, a module that it does not use; each of the two
#           ways is repeatable.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" -q install --disable-pip-version-check hypothesis==6.170.15
echo 'A = 918273645546372' >"$folder/constants.py"
cat >"$folder/try.py" <<'END'
import sys

from hypothesis import given, settings, strategies

if sys.argv[1] == "with":
    import constants

seen = []


@settings(derandomize=True, database=None)
@given(strategies.integers())
def collect(number):
    seen.append(number)


collect()
print(seen)
END
tried() { (cd "$folder" && venv/bin/python try.py "$1"); }
without=$(tried without) with=$(tried with)
[ "$without" = "$(tried without)" ] && [ "$with" = "$(tried with)" ] && echo "each way is repeatable"
[ "$without" != "$with" ] && echo "the examples differ by an import"
