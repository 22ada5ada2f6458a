"""The conformance kit: what comes with this package passes, and each way to be wrong is found and said."""

from __future__ import annotations

from pathlib import Path

import pytest
from support.documents import blocks
from support.plugged import CONV, forget_plugins

from pcdarts_tune.core.ops import OPERATIONS
from pcdarts_tune.testing import NotConformant, check_dataset, check_operation

EXAMPLE = Path(__file__).parents[2] / "examples" / "plugin" / "shapes_plugin.py"
HEAD = CONV.replace('operations = {"own_conv": Conv}', "").replace("class Conv", "class Right")
OPENING = HEAD + "\nclass Own(Right):\n    def "
FORWARD = OPENING + "forward(self, x):\n        "
BUILD = (
    OPENING
    + "__init__(self, channels, stride, affine):\n        super().__init__(channels, stride, affine)\n        "
)


@pytest.fixture(autouse=True)
def _no_plugins(monkeypatch: pytest.MonkeyPatch) -> None:
    forget_plugins(monkeypatch)


@pytest.mark.parametrize("name", ["none", "skip_connect", "max_pool_3x3", "sep_conv_3x3", "nor_conv_3x3"])
def test_operations_of_the_papers_pass(name: str) -> None:
    assert name in OPERATIONS
    check_operation(name)


def test_the_example_passes() -> None:
    check_operation("se_conv_3x3", plugin=EXAMPLE)
    check_dataset("shapes", plugin=EXAMPLE)
    check_dataset("digits")


def test_the_file_of_the_documentation_passes(tmp_path: Path) -> None:
    first = next(block for block in blocks("docs/plugins.md") if block.language == "python")
    (tmp_path / "my_ops.py").write_text(first.text)
    check_operation("grouped_conv_3x3", plugin=tmp_path / "my_ops.py")


WRONG = {
    "cannot be built with 8 channels, stride 1, affine True: TypeError": HEAD + "\ndef Own(channels): ...\n",
    "returns Tensor, not an nn.Module": HEAD + "\ndef Own(c, s, a): return torch.zeros(1)\n",
    "with affine=False a BatchNorm has affine=True": HEAD + "\ndef Own(c, s, a): return Right(c, s, True)\n",
    "must become (4, 8, 4, 4); they became (4, 8, 8, 8)": HEAD
    + "\ndef Own(c, s, a): return Right(c, 1, a)\n",
    "of float32 became torch.float64": FORWARD + "return super().forward(x).double()\n",
    "became NaN or infinity": FORWARD + "return super().forward(x) / 0\n",
    "it fails in float64": FORWARD + "return super().forward(x) + super().forward(x.float()) * 0\n",
    "it changes its input": FORWARD + "return super().forward(x.relu_())\n",
    "no gradient passes through it": FORWARD + "return super().forward(x).detach()\n",
    "its input gets no gradient": FORWARD + "return super().forward(x.detach())\n",
    "parameter more gets no gradient": BUILD + "self.more = nn.Parameter(torch.zeros(3))\n",
    "is not the derivative of what it computes": FORWARD
    + "y = super().forward(x)\n        return y + 0.1 * (y * y).detach()\n",
    "built twice with one torch seed it has other values": BUILD
    + "import random; self.bn.bias = nn.Parameter(torch.rand(channels) + random.random()) if affine else None\n",
    "in training it gives other numbers with the same seed": FORWARD
    + "import random\n        return super().forward(x) * (random.random() if self.training else 1)\n",
    "in evaluation it gives other numbers for the same images": FORWARD
    + "return nn.functional.dropout(super().forward(x), 0.5, True)\n",
    "depends on the others of its batch": FORWARD + "y = super().forward(x)\n        return y - y.mean(0)\n",
    "its state has _extra_state, which is no tensor": OPENING
    + "get_extra_state(self): return {'a': 1}\n    def set_extra_state(self, state): ...\n",
    "loaded from its state it gives other numbers": BUILD + "self.scale = torch.rand(())\n"
    "    def forward(self, x): return super().forward(x) * self.scale\n",
    "torch.export cannot take it": FORWARD + "return super().forward(x) if float(x.sum()) > -1e9 else x\n",
}


@pytest.mark.parametrize("says", WRONG)
def test_what_is_wrong_with_an_operation_is_found(says: str, tmp_path: Path) -> None:
    (tmp_path / "wrong.py").write_text(WRONG[says] + "\noperations = {'own': Own}\n")
    with pytest.raises(NotConformant, match="operation 'own' is not as it must be") as raised:
        check_operation("own", plugin=tmp_path / "wrong.py")
    assert says in str(raised.value)


def test_forms_that_differ_are_found(tmp_path: Path) -> None:
    counting = "\ncount = 0\nclass Own(Right):\n    def forward(self, x):\n        global count\n        count += 1\n"
    (tmp_path / "own.py").write_text(
        HEAD + counting + "        return super().forward(x) * (count if self.training else 1)\n"
        "operations = {'own': Own}\n"
    )
    with pytest.raises(NotConformant) as raised:
        check_operation("own", plugin=tmp_path / "own.py", export=False)
    assert any("the fast supernet gives other logits" in each for each in raised.value.problems)


def test_a_name_that_nobody_has() -> None:
    with pytest.raises(NotConformant, match="unknown operation 'sep_conv'"):
        check_operation("sep_conv")
    with pytest.raises(NotConformant, match="'digit' is not legal"):
        check_dataset("digit")


DATA = """
import numpy as np
random = np.random.default_rng(0)
images, labels = random.integers(0, 256, (40, 8, 8), dtype=np.uint8), np.arange(40) % 2
"""
WRONG_DATA: dict[str, str] = {
    "loaded twice it is another one": "lambda: {'images': random.integers(0, 256, (40, 8, 8), dtype=np.uint8), 'labels': labels}",
    "no test image has the class b": "lambda: dict(images=images, labels=labels, classes=['a', 'b'], "
    "test_images=255 - images[:3], test_labels=[0, 0, 0])",
    "8 of 8 test images are training images too": "lambda: (images, labels, images[:8], labels[:8])",
    "must be divisible by 4": "lambda: (images[:, :6], labels)",
    "its levels are 0 to 15": "lambda: (images // 16, labels)",
    "training images have one level alone": "lambda: (images * (labels[:, None, None] > 0), labels)",
    "which look alike": "lambda: dict(images=images, labels=labels, classes=['a', 'a '])",
    "is too small: each class needs": "lambda: (images, np.arange(40))",
    "RuntimeError: gone": "lambda: (_ for _ in ()).throw(RuntimeError('gone'))",
}


@pytest.mark.parametrize("says", WRONG_DATA)
def test_what_is_wrong_with_a_data_set_is_found(says: str, tmp_path: Path) -> None:
    (tmp_path / "wrong.py").write_text(f"{DATA}\ndatasets = {{'own': {WRONG_DATA[says]}}}\n")
    with pytest.raises(NotConformant, match="data set 'own' is not as it must be") as raised:
        check_dataset("own", plugin=tmp_path / "wrong.py")
    assert says in str(raised.value)
