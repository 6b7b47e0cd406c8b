#!/bin/sh
# pytest-xdist 3.8.0 with pytest 9.2.0 (PyPI): --dist loadgroup has no effect, and nothing says so. xdist writes the group
# behind the test's id into item._nodeid, and this pytest takes nodeid from another attribute. So tests that are marked
# xdist_group because they must not run at the same time do run at the same time. With pytest 8.4.2 the group holds.
# Seen:     eight tests of one group ran in both workers with 9.2.0, and in one worker with 8.4.2.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cat >"$folder/test_group.py" <<'END'
import os
import time
from pathlib import Path

import pytest


@pytest.mark.xdist_group("one")
@pytest.mark.parametrize("number", range(8))
def test_in_a_group(number):
    time.sleep(0.5)
    with Path(os.environ["WORKERS"]).open("a") as file:
        file.write(os.environ["PYTEST_XDIST_WORKER"] + "\n")
END
workers() {
  python3 -m venv --clear "$folder/venv"
  "$folder/venv/bin/pip" -q install --disable-pip-version-check "pytest==$1" pytest-xdist==3.8.0
  (cd "$folder" && WORKERS="$folder/workers-$1" "venv/bin/python" -m pytest -q -p no:cacheprovider -n 2 --dist loadgroup test_group.py >"$folder/log")
  sort -u "$folder/workers-$1" | wc -l
}
new=$(workers 9.2.0) old=$(workers 8.4.2)
echo "workers of one group: $new with pytest 9.2.0, $old with pytest 8.4.2"
[ "$new" = 2 ] && [ "$old" = 1 ]
