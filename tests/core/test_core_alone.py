"""The core is torch and torchvision only: it imports and searches with everything else blocked."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pcdarts_tune.core

CORE = Path(pcdarts_tune.core.__file__).parent
BLOCKED = ("ray", "mlflow", "optuna", "click", "pydantic", "yaml", "rich", "sklearn", "pyarrow", "matplotlib")
SCRIPT = f"""
import sys
for name in {BLOCKED!r}:
    sys.modules[name] = None          # an import of it raises
import importlib, pkgutil, torch
import pcdarts_tune.core as core
for module in pkgutil.walk_packages(core.__path__, "pcdarts_tune.core."):
    importlib.import_module(module.name)
from pcdarts_tune.core.images.data import MemoryBatches
from pcdarts_tune.core.search import Search
from pcdarts_tune.core.supernet import Supernet
images, labels = torch.randint(0, 255, (8, 1, 8, 8)).byte(), torch.arange(8) % 2
half = MemoryBatches(images, labels, num_classes=2, mean=(.5,), std=(.5,))
net = Supernet(4, 3, 2, num_classes=2, in_channels=1)
for epoch in Search(net, half, half, epochs=1, batch_size=4, arch_warmup_epochs=0):
    epoch.genotype.canonical_hash()
others = [m for m in sys.modules if m.startswith("pcdarts_tune.") and not m.startswith("pcdarts_tune.core")]
assert not others, others
"""


def test_the_core_imports_and_searches_with_everything_else_blocked() -> None:
    done = subprocess.run([sys.executable, "-c", SCRIPT], capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr


def test_the_core_imports_only_itself_and_torch_and_prints_nothing() -> None:
    legal = set(sys.stdlib_module_names) | {"torch", "torchvision", "PIL"}
    for path in CORE.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Import):
                names = [alias.name for alias in node.names]
            elif isinstance(node, ast.ImportFrom):
                names = [node.module or ""]
            else:
                assert not (isinstance(node, ast.Name) and node.id in ("print", "eval", "exec")), path.name
                continue
            for name in names:
                assert name.split(".")[0] in legal or name.startswith("pcdarts_tune.core"), (path.name, name)
