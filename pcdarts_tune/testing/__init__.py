"""The conformance kit for authors of plug-ins: one call a plug-in, which says everything that is wrong with it.

check_operation("se_conv_3x3", plugin="my_ops.py")         # in a test of one's own: passes, or raises NotConformant
check_dataset("shapes")
"""

from pcdarts_tune.testing.datasets import check_dataset
from pcdarts_tune.testing.operations import check_operation
from pcdarts_tune.testing.problems import NotConformant

__all__ = ["NotConformant", "check_dataset", "check_operation"]
