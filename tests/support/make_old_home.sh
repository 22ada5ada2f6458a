#!/usr/bin/env bash
# Makes old_home.tar.gz: a home as the code of commit 01f23ca left it, before the package was restructured.
#
#   git worktree add --detach /tmp/base 01f23ca && (cd /tmp/base && uv sync)
#   bash make_old_home.sh /tmp/base OUT        # one minute; writes OUT/old_home.tar.gz
#
# In it: pcdarts-home/ (a finished, promoted sweep `finished`; `interrupted`, killed with -9 when trial 0 was complete and
# trial 1 in the middle of its search), digit.png (a picture of scikit-learn's test split), expected/*.json (what that code
# printed). The home was made at /tmp/pcdarts-old-home/pcdarts-home, a path that MLflow's database holds; a test that extracts
# it elsewhere must put its own there (test_old_home.py, ABSOLUTE).
#
# What is not as the code wrote it: ray/, cache/ and locks are gone (disposable), databases are vacuumed, and the pictures
# (images/*.png in mlartifacts) are thumbnails of 8 grey levels, since 25 of them weigh 3.5 MB. Times are 0, but for
# sweep.json's, by which `status` sorts sweeps.
set -euo pipefail
base="$(cd "$1" && pwd)"
mkdir -p "$2"
out="$(cd "$2" && pwd)"
top=/tmp/pcdarts-old-home
home=$top/pcdarts-home
work="$(mktemp -d)" # not the checkout: MLflow would keep its uv.lock and pyproject.toml with the model
trap 'rm -rf "$work"' EXIT
unset PYTHONDONTWRITEBYTECODE
# LOGNAME: MLflow's tag mlflow.user
export OMP_NUM_THREADS=1 RAY_USAGE_STATS_ENABLED=0 LOGNAME=somebody
python="$base/.venv/bin/python"
cd "$work"
tune() { "$base/.venv/bin/pcdarts-tune" "$@" --home "$home"; }

rm -rf "$top"
mkdir -p "$top/expected"

small=(
    --space quickstart --max-concurrent 1 --cpus-per-trial 1 --trials 3
    --set search.arch_warmup_epochs=1 --set supernet.channels=4 --set supernet.layers=3
    --set evaluation.channels=4 --set evaluation.layers=3 --set evaluation.epochs=3
    --set retrain.channels=4 --set retrain.layers=3 --set retrain.epochs=4
)

tune sweep --name finished "${small[@]}" --set search.epochs=2
tune promote finished --json >"$top/expected/promote_finished.json"

# --- the interrupted one: kill -9 of the driver, then of all that it started
# not `tune`: $! must be the driver, not a subshell around it
"$base/.venv/bin/pcdarts-tune" sweep --name interrupted --seed 1 "${small[@]}" --set search.epochs=4 --home "$home" &
"$python" - "$!" "$home/sweeps/interrupted" <<'PY'
import json, os, signal, sys, time
from pathlib import Path

from pcdarts_tune.core.snapshot import restored
from pcdarts_tune.sweeping.orphans import end_orphans

driver, sweep = int(sys.argv[1]), Path(sys.argv[2])
trials = sweep / "trials"


def epochs() -> int:
    try:
        return len(restored((trials / "1" / "checkpoint").read_bytes())["history"])
    except (OSError, ValueError):
        return 0


end = time.monotonic() + 300
while epochs() < 2:
    assert time.monotonic() < end and not (trials / "1" / "result.json").exists(), "too late"
    time.sleep(0.01)
os.kill(driver, signal.SIGKILL)
end_orphans(json.loads((sweep / "sweep.json").read_text())["id"])
state = restored((trials / "1" / "checkpoint").read_bytes())
assert state["part"] is not None and 2 <= len(state["history"]) < 4, len(state["history"])
assert (trials / "0" / "result.json").exists()
PY
wait || true

# --- what that code says of it
"$python" - "$top/digit.png" <<'PY'
import sys

import numpy as np
from PIL import Image
from sklearn.datasets import load_digits

digit = load_digits().images[7] * 255 / 16
Image.fromarray(digit.round().astype(np.uint8)).save(sys.argv[1], optimize=True)
PY
cd "$top"
for name in finished interrupted; do
    tune leaderboard $name --json >"expected/leaderboard_$name.json"
    tune status $name --json >"expected/status_$name.json"
    tune report $name -o "$work/$name.html" --json >"expected/report_$name.json"
done
tune status --json >expected/status.json
tune show finished@champion --json >expected/show_champion.json
tune predict finished digit.png --json >expected/predict.json

# --- packed
"$python" - "$top" "$out/old_home.tar.gz" <<'PY'
import gzip, json, shutil, sqlite3, sys, tarfile
from contextlib import closing
from pathlib import Path

from PIL import Image

from pcdarts_tune.core.snapshot import restored

top, archive = Path(sys.argv[1]), Path(sys.argv[2])
home = top / "pcdarts-home"
state = restored((home / "sweeps/interrupted/trials/1/checkpoint").read_bytes())
history = [json.loads(text) for text in state["history"]]
(top / "expected" / "checkpoint_records.json").write_text(json.dumps(history))
for file in (top / "expected").iterdir():
    said = json.loads(file.read_text())
    if file.stem.startswith("report_"):
        del said["file"]
    file.write_text(json.dumps(said, indent=1) + "\n")
for folder in [*home.rglob("ray"), *home.rglob("__pycache__"), home / "cache"]:
    shutil.rmtree(folder)
for file in [*home.rglob("lock"), *home.rglob("*.tmp")]:
    file.unlink()
for database in home.rglob("*.db"):
    with closing(sqlite3.connect(database)) as open_one:
        open_one.execute("VACUUM")
for file in home.rglob("images/*.png"):
    picture = Image.open(file).convert("L")
    picture.thumbnail((200, 200))
    picture.quantize(8).save(file, optimize=True)
# by which `status` sorts them
order = {f"pcdarts-home/sweeps/{name}/sweep.json": n for n, name in enumerate(("finished", "interrupted"), 1)}
with (
    archive.open("wb") as raw,
    gzip.GzipFile(filename="", mode="wb", compresslevel=9, fileobj=raw, mtime=0) as packed,
    tarfile.open(fileobj=packed, mode="w", format=tarfile.PAX_FORMAT) as tar,
):
    for path in sorted(top.rglob("*")):
        info = tar.gettarinfo(path, str(path.relative_to(top)))
        info.uid = info.gid = 0
        info.uname = info.gname = ""
        info.mtime = order.get(info.name, 0)
        info.mode = 0o755 if info.isdir() else 0o644
        if info.isdir():
            tar.addfile(info)
        else:
            with path.open("rb") as file:
                tar.addfile(info, file)
print(f"{archive}: {archive.stat().st_size} bytes", file=sys.stderr)
PY
