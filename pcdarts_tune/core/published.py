"""The published cells as data, `operation:predecessor` edge by edge; `genotype.PUBLISHED` has them as genotypes.

Sources: NASNet (Zoph et al. 2018), AmoebaNet (Real et al. 2018), DARTS (Liu et al. 2019), PC-DARTS (Xu et al. 2020), under the
names of the code that published them.
"""

from __future__ import annotations

CELLS: dict[str, tuple[str, tuple[int, ...], str, tuple[int, ...]]] = {
    "NASNet": (
        "sep_conv_5x5:1 sep_conv_3x3:0 sep_conv_5x5:0 sep_conv_3x3:0 avg_pool_3x3:1 skip_connect:0 "
        "avg_pool_3x3:0 avg_pool_3x3:0 sep_conv_3x3:1 skip_connect:1",
        (2, 3, 4, 5, 6),
        "sep_conv_5x5:1 sep_conv_7x7:0 max_pool_3x3:1 sep_conv_7x7:0 avg_pool_3x3:1 sep_conv_5x5:0 "
        "skip_connect:3 avg_pool_3x3:2 sep_conv_3x3:2 max_pool_3x3:1",
        (4, 5, 6),
    ),
    "AmoebaNet": (
        "avg_pool_3x3:0 max_pool_3x3:1 sep_conv_3x3:0 sep_conv_5x5:2 sep_conv_3x3:0 avg_pool_3x3:3 "
        "sep_conv_3x3:1 skip_connect:1 skip_connect:0 avg_pool_3x3:1",
        (4, 5, 6),
        "avg_pool_3x3:0 sep_conv_3x3:1 max_pool_3x3:0 sep_conv_7x7:2 sep_conv_7x7:0 avg_pool_3x3:1 "
        "max_pool_3x3:0 max_pool_3x3:1 conv_7x1_1x7:0 sep_conv_3x3:5",
        (3, 4, 6),
    ),
    "DARTS_V1": (
        "sep_conv_3x3:1 sep_conv_3x3:0 skip_connect:0 sep_conv_3x3:1 skip_connect:0 sep_conv_3x3:1 "
        "sep_conv_3x3:0 skip_connect:2",
        (2, 3, 4, 5),
        "max_pool_3x3:0 max_pool_3x3:1 skip_connect:2 max_pool_3x3:0 max_pool_3x3:0 skip_connect:2 "
        "skip_connect:2 avg_pool_3x3:0",
        (2, 3, 4, 5),
    ),
    "DARTS_V2": (
        "sep_conv_3x3:0 sep_conv_3x3:1 sep_conv_3x3:0 sep_conv_3x3:1 sep_conv_3x3:1 skip_connect:0 "
        "skip_connect:0 dil_conv_3x3:2",
        (2, 3, 4, 5),
        "max_pool_3x3:0 max_pool_3x3:1 skip_connect:2 max_pool_3x3:1 max_pool_3x3:0 skip_connect:2 "
        "skip_connect:2 max_pool_3x3:1",
        (2, 3, 4, 5),
    ),
    "PC_DARTS_cifar": (
        "sep_conv_3x3:1 skip_connect:0 sep_conv_3x3:0 dil_conv_3x3:1 sep_conv_5x5:0 sep_conv_3x3:1 "
        "avg_pool_3x3:0 dil_conv_3x3:1",
        (2, 3, 4, 5),
        "sep_conv_5x5:1 max_pool_3x3:0 sep_conv_5x5:1 sep_conv_5x5:2 sep_conv_3x3:0 sep_conv_3x3:3 "
        "sep_conv_3x3:1 sep_conv_3x3:2",
        (2, 3, 4, 5),
    ),
    "PC_DARTS_image": (
        "skip_connect:1 sep_conv_3x3:0 sep_conv_3x3:0 skip_connect:1 sep_conv_3x3:1 sep_conv_3x3:3 "
        "sep_conv_3x3:1 dil_conv_5x5:4",
        (2, 3, 4, 5),
        "sep_conv_3x3:0 skip_connect:1 dil_conv_5x5:2 max_pool_3x3:1 sep_conv_3x3:2 sep_conv_3x3:1 "
        "sep_conv_5x5:0 sep_conv_3x3:3",
        (2, 3, 4, 5),
    ),
}
"""Name -> (normal, normal_concat, reduce, reduce_concat)."""
