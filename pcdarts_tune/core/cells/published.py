"""The published cells of the DARTS family, and where each was published: facts, read from the repositories named.

>>> PUBLISHED["DrNAS_cifar10"].canonical_hash(), SOURCES["DrNAS_cifar10"]
"""

from __future__ import annotations

from pcdarts_tune.core.cells.darts import Edge, Genotype


def _published(
    normal: str,
    reduce: str,
    normal_concat: tuple[int, ...] = (2, 3, 4, 5),
    reduce_concat: tuple[int, ...] = (2, 3, 4, 5),
) -> Genotype:
    """A genotype whose cells are written as `operation:predecessor`, edge by edge."""

    def cell(text: str) -> tuple[Edge, ...]:
        return tuple(
            (name, int(source)) for name, _, source in (edge.partition(":") for edge in text.split())
        )

    return Genotype(cell(normal), normal_concat, cell(reduce), reduce_concat)


PUBLISHED: dict[str, Genotype] = {
    "NASNet": _published(
        "sep_conv_5x5:1 sep_conv_3x3:0 sep_conv_5x5:0 sep_conv_3x3:0 avg_pool_3x3:1 skip_connect:0 "
        "avg_pool_3x3:0 avg_pool_3x3:0 sep_conv_3x3:1 skip_connect:1",
        "sep_conv_5x5:1 sep_conv_7x7:0 max_pool_3x3:1 sep_conv_7x7:0 avg_pool_3x3:1 sep_conv_5x5:0 "
        "skip_connect:3 avg_pool_3x3:2 sep_conv_3x3:2 max_pool_3x3:1",
        (2, 3, 4, 5, 6),
        (4, 5, 6),
    ),
    "AmoebaNet": _published(
        "avg_pool_3x3:0 max_pool_3x3:1 sep_conv_3x3:0 sep_conv_5x5:2 sep_conv_3x3:0 avg_pool_3x3:3 "
        "sep_conv_3x3:1 skip_connect:1 skip_connect:0 avg_pool_3x3:1",
        "avg_pool_3x3:0 sep_conv_3x3:1 max_pool_3x3:0 sep_conv_7x7:2 sep_conv_7x7:0 avg_pool_3x3:1 "
        "max_pool_3x3:0 max_pool_3x3:1 conv_7x1_1x7:0 sep_conv_3x3:5",
        (4, 5, 6),
        (3, 4, 6),
    ),
    "DARTS_V1": _published(
        "sep_conv_3x3:1 sep_conv_3x3:0 skip_connect:0 sep_conv_3x3:1 skip_connect:0 sep_conv_3x3:1 "
        "sep_conv_3x3:0 skip_connect:2",
        "max_pool_3x3:0 max_pool_3x3:1 skip_connect:2 max_pool_3x3:0 max_pool_3x3:0 skip_connect:2 "
        "skip_connect:2 avg_pool_3x3:0",
    ),
    "DARTS_V2": _published(
        "sep_conv_3x3:0 sep_conv_3x3:1 sep_conv_3x3:0 sep_conv_3x3:1 sep_conv_3x3:1 skip_connect:0 "
        "skip_connect:0 dil_conv_3x3:2",
        "max_pool_3x3:0 max_pool_3x3:1 skip_connect:2 max_pool_3x3:1 max_pool_3x3:0 skip_connect:2 "
        "skip_connect:2 max_pool_3x3:1",
    ),
    "PC_DARTS_cifar": _published(
        "sep_conv_3x3:1 skip_connect:0 sep_conv_3x3:0 dil_conv_3x3:1 sep_conv_5x5:0 sep_conv_3x3:1 "
        "avg_pool_3x3:0 dil_conv_3x3:1",
        "sep_conv_5x5:1 max_pool_3x3:0 sep_conv_5x5:1 sep_conv_5x5:2 sep_conv_3x3:0 sep_conv_3x3:3 "
        "sep_conv_3x3:1 sep_conv_3x3:2",
    ),
    "PC_DARTS_image": _published(
        "skip_connect:1 sep_conv_3x3:0 sep_conv_3x3:0 skip_connect:1 sep_conv_3x3:1 sep_conv_3x3:3 "
        "sep_conv_3x3:1 dil_conv_5x5:4",
        "sep_conv_3x3:0 skip_connect:1 dil_conv_5x5:2 max_pool_3x3:1 sep_conv_3x3:2 sep_conv_3x3:1 "
        "sep_conv_5x5:0 sep_conv_3x3:3",
    ),
    "PDARTS": _published(
        "skip_connect:0 dil_conv_3x3:1 skip_connect:0 sep_conv_3x3:1 "
        "sep_conv_3x3:1 sep_conv_3x3:3 sep_conv_3x3:0 dil_conv_5x5:4",
        "avg_pool_3x3:0 sep_conv_5x5:1 sep_conv_3x3:0 dil_conv_5x5:2 "
        "max_pool_3x3:0 dil_conv_3x3:1 dil_conv_3x3:1 dil_conv_5x5:3",
    ),
    "GDAS_V1": _published(
        "skip_connect:0 skip_connect:1 skip_connect:0 sep_conv_5x5:2 "
        "sep_conv_3x3:3 skip_connect:0 sep_conv_5x5:4 sep_conv_3x3:3",
        "sep_conv_5x5:0 sep_conv_3x3:1 sep_conv_5x5:2 sep_conv_5x5:1 "
        "dil_conv_5x5:2 sep_conv_3x3:1 sep_conv_5x5:0 sep_conv_5x5:1",
    ),
    "SGAS_Cri1": _published(
        "sep_conv_3x3:0 dil_conv_3x3:1 sep_conv_3x3:0 sep_conv_3x3:1 "
        "sep_conv_5x5:1 sep_conv_5x5:3 skip_connect:0 dil_conv_5x5:2",
        "max_pool_3x3:0 dil_conv_5x5:1 sep_conv_3x3:0 skip_connect:2 "
        "sep_conv_3x3:1 skip_connect:2 max_pool_3x3:0 max_pool_3x3:1",
    ),
    "SGAS_Cri2": _published(
        "sep_conv_3x3:0 sep_conv_3x3:1 sep_conv_3x3:0 sep_conv_3x3:2 "
        "max_pool_3x3:0 sep_conv_3x3:3 sep_conv_3x3:2 sep_conv_3x3:3",
        "sep_conv_3x3:0 max_pool_3x3:1 dil_conv_3x3:0 max_pool_3x3:1 "
        "max_pool_3x3:0 sep_conv_3x3:2 max_pool_3x3:0 sep_conv_5x5:2",
    ),
    "DrNAS_cifar10": _published(
        "sep_conv_3x3:0 sep_conv_5x5:1 sep_conv_3x3:1 sep_conv_3x3:2 "
        "skip_connect:0 sep_conv_3x3:1 sep_conv_3x3:2 dil_conv_5x5:3",
        "max_pool_3x3:0 sep_conv_5x5:1 dil_conv_5x5:2 sep_conv_5x5:1 "
        "sep_conv_5x5:1 dil_conv_5x5:3 skip_connect:4 sep_conv_5x5:1",
    ),
    "DrNAS_imagenet": _published(
        "sep_conv_3x3:1 sep_conv_3x3:0 sep_conv_3x3:0 sep_conv_3x3:1 "
        "sep_conv_3x3:0 dil_conv_3x3:3 skip_connect:0 sep_conv_3x3:1",
        "max_pool_3x3:0 sep_conv_3x3:1 sep_conv_3x3:0 skip_connect:2 "
        "sep_conv_3x3:0 sep_conv_3x3:2 sep_conv_3x3:3 sep_conv_3x3:1",
    ),
    "SDARTS_RS": _published(
        "sep_conv_3x3:1 sep_conv_3x3:0 sep_conv_5x5:1 skip_connect:0 "
        "sep_conv_3x3:3 skip_connect:1 sep_conv_3x3:1 dil_conv_3x3:2",
        "max_pool_3x3:0 sep_conv_3x3:1 skip_connect:2 max_pool_3x3:0 "
        "dil_conv_5x5:3 max_pool_3x3:0 sep_conv_3x3:2 sep_conv_5x5:3",
    ),
    "SDARTS_ADV": _published(
        "sep_conv_3x3:0 sep_conv_3x3:1 sep_conv_3x3:1 skip_connect:0 "
        "sep_conv_5x5:0 dil_conv_3x3:3 dil_conv_3x3:4 skip_connect:0",
        "max_pool_3x3:0 sep_conv_5x5:1 skip_connect:2 max_pool_3x3:0 "
        "skip_connect:3 skip_connect:2 skip_connect:2 sep_conv_5x5:4",
    ),
    "DARTS_PT_0": _published(
        "sep_conv_3x3:0 sep_conv_3x3:1 sep_conv_5x5:0 dil_conv_3x3:1 "
        "skip_connect:0 skip_connect:2 skip_connect:0 max_pool_3x3:4",
        "sep_conv_3x3:0 avg_pool_3x3:1 dil_conv_5x5:1 dil_conv_3x3:2 "
        "avg_pool_3x3:0 max_pool_3x3:2 sep_conv_3x3:2 skip_connect:4",
    ),
    "DARTS_PT_1": _published(
        "sep_conv_3x3:0 sep_conv_3x3:1 sep_conv_3x3:0 dil_conv_3x3:1 "
        "max_pool_3x3:0 skip_connect:2 skip_connect:0 dil_conv_3x3:4",
        "dil_conv_5x5:0 avg_pool_3x3:1 max_pool_3x3:0 sep_conv_5x5:2 "
        "max_pool_3x3:1 dil_conv_3x3:3 sep_conv_5x5:0 sep_conv_3x3:4",
    ),
    "DARTS_PT_2": _published(
        "skip_connect:0 sep_conv_3x3:1 sep_conv_3x3:0 dil_conv_3x3:1 "
        "skip_connect:2 dil_conv_3x3:3 max_pool_3x3:1 skip_connect:2",
        "avg_pool_3x3:0 max_pool_3x3:1 avg_pool_3x3:0 sep_conv_3x3:1 "
        "dil_conv_5x5:2 skip_connect:3 sep_conv_3x3:2 sep_conv_5x5:4",
    ),
    "DARTS_PT_3": _published(
        "sep_conv_3x3:0 sep_conv_3x3:1 sep_conv_3x3:0 sep_conv_3x3:1 "
        "skip_connect:0 skip_connect:2 sep_conv_3x3:1 skip_connect:3",
        "avg_pool_3x3:0 sep_conv_5x5:1 max_pool_3x3:1 skip_connect:2 "
        "dil_conv_5x5:1 max_pool_3x3:3 sep_conv_5x5:2 skip_connect:3",
    ),
    "RobustDARTS_S1": _published(
        "skip_connect:1 skip_connect:0 dil_conv_3x3:2 skip_connect:0 "
        "dil_conv_3x3:3 sep_conv_3x3:2 dil_conv_3x3:2 dil_conv_3x3:4",
        "max_pool_3x3:0 max_pool_3x3:1 max_pool_3x3:0 max_pool_3x3:1 "
        "dil_conv_5x5:3 max_pool_3x3:0 dil_conv_5x5:4 dil_conv_5x5:3",
    ),
    "RobustDARTS_S2": _published(
        "skip_connect:1 sep_conv_3x3:0 sep_conv_3x3:2 skip_connect:0 "
        "sep_conv_3x3:3 sep_conv_3x3:2 sep_conv_3x3:4 sep_conv_3x3:3",
        "sep_conv_3x3:0 sep_conv_3x3:1 sep_conv_3x3:2 sep_conv_3x3:0 "
        "sep_conv_3x3:3 sep_conv_3x3:2 sep_conv_3x3:4 sep_conv_3x3:3",
    ),
    "RobustDARTS_S3": _published(
        "skip_connect:0 skip_connect:1 skip_connect:0 skip_connect:1 "
        "skip_connect:0 skip_connect:1 skip_connect:1 sep_conv_3x3:0",
        "sep_conv_3x3:0 skip_connect:1 sep_conv_3x3:0 sep_conv_3x3:1 "
        "sep_conv_3x3:0 sep_conv_3x3:1 sep_conv_3x3:0 skip_connect:1",
    ),
    "ASHA200": _published(
        "skip_connect:1 dil_conv_3x3:0 sep_conv_3x3:1 skip_connect:0 "
        "none:1 max_pool_3x3:0 skip_connect:1 dil_conv_3x3:0",
        "max_pool_3x3:1 avg_pool_3x3:0 sep_conv_5x5:1 skip_connect:2 "
        "max_pool_3x3:3 none:1 skip_connect:0 sep_conv_5x5:4",
    ),
}
"""The published cells, most by the names of the code that published them; see `SOURCES`."""

_DARTS = "github.com/quark0/darts, cnn/genotypes.py"
_PC_DARTS = "github.com/yuhuixu1993/PC-DARTS, genotypes.py; Xu et al. 2020, arXiv 1907.05737"
_DRNAS = "github.com/xiangning-chen/DrNAS, DARTS-space/genotypes.py; Chen et al. 2021, arXiv 2006.10355"
_SGAS = "github.com/lightaime/sgas, cnn/genotypes.py, Cri{}_CIFAR_3, the best of ten searches; Li et al. 2020, arXiv 1912.00195"
_SDARTS = "github.com/xiangning-chen/SmoothDARTS, sota/cnn/genotypes.py, c10_s5_{}; Chen & Hsieh 2020, arXiv 2002.05283"
_DARTS_PT = (
    "github.com/ruocwang/darts-pt, sota/cnn/genotypes.py, darts_pt_s5_{}; Wang et al. 2021, arXiv 2108.04392"
)
_ROBUST = (
    "github.com/automl/RobustDARTS, src/evaluation/archs.yaml, s{}_cifar10_dp 0.8 (drop path, search space S{}); "
    "Zela et al. 2020, arXiv 1909.09656"
)
SOURCES: dict[str, str] = {
    "NASNet": f"{_DARTS}; Zoph et al. 2018, arXiv 1707.07012",
    "AmoebaNet": f"{_DARTS}; Real et al. 2018, arXiv 1802.01548",
    "DARTS_V1": f"{_DARTS}; Liu et al. 2019, arXiv 1806.09055",
    "DARTS_V2": f"{_DARTS}; Liu et al. 2019, arXiv 1806.09055",
    "PC_DARTS_cifar": _PC_DARTS,
    "PC_DARTS_image": _PC_DARTS,
    "PDARTS": "github.com/chenxin061/pdarts, genotypes.py; Chen et al. 2019, arXiv 1904.12760",
    "GDAS_V1": "github.com/D-X-Y/AutoDL-Projects, xautodl/nas_infer_model/DXYs/genotypes.py; Dong & Yang 2019, arXiv 1910.04465",
    "SGAS_Cri1": _SGAS.format(1),
    "SGAS_Cri2": _SGAS.format(2),
    "DrNAS_cifar10": _DRNAS,
    "DrNAS_imagenet": _DRNAS,
    "SDARTS_RS": _SDARTS.format("random"),
    "SDARTS_ADV": _SDARTS.format("pgd"),
    **{f"DARTS_PT_{n}": _DARTS_PT.format(n) for n in range(4)},
    **{f"RobustDARTS_S{n}": _ROBUST.format(n, n) for n in range(1, 4)},
    "ASHA200": "github.com/liamcli/darts, cnn/genotypes.py: random search with early stopping, two edges are `none`; "
    "Li & Talwalkar 2019, arXiv 1902.07638",
}
"""Repository and file in which a published cell stands, and the paper."""
