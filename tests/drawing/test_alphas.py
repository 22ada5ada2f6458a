"""Images of alphas and betas: their texts never touch, equal values give equal bytes, shapes that do not fit are refused."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest
from matplotlib import style
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.text import Text
from support.drawn import png_chunks, png_size

from pcdarts_tune.core.genotype import DARTS_PRIMITIVES, node_slices
from pcdarts_tune.drawing.alphas import COLOURS, alpha_history_png, alphas_png, colour_position

LONG = ("conv_7x1_1x7", "f", "an_operation_that_someone_registered_under_a_very_long_name_128")


def softmaxed(nodes: int, operations: int, epochs: int, betas: bool = True) -> dict[int, dict[str, Any]]:
    """Alphas and betas as a search records them, by epoch."""
    rng = np.random.default_rng(nodes)
    found = {}
    for epoch in range(1, epochs + 1):
        alpha = rng.dirichlet(np.ones(operations), nodes * (nodes + 3) // 2).tolist()
        beta = np.concatenate([rng.dirichlet(np.ones(s.stop - s.start)) for s in node_slices(nodes)]).tolist()
        found[epoch] = {"alpha_normal": alpha, "alpha_reduce": alpha[::-1]}
        found[epoch] |= {"beta_normal": beta, "beta_reduce": beta} if betas else {"beta_normal": None}
    return found


def extents(figure: Any) -> list[tuple[str, Any]]:
    """Every visible text of a figure with what it covers."""
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    texts = [text for text in figure.findobj(Text) if text.get_visible() and text.get_text()]
    return [(text, text.get_window_extent(canvas.get_renderer())) for text in texts]


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize(("nodes", "operations"), [(1, 2), (2, 11), (4, 8)])
@pytest.mark.parametrize("betas", [True, False])
def test_heat_maps(nodes: int, operations: int, betas: bool) -> None:
    primitives = [*DARTS_PRIMITIVES, *LONG][:operations]
    epochs = softmaxed(nodes, operations, 3, betas)
    for draw, alphas in ((alphas_png, epochs[3]), (alpha_history_png, epochs)):
        data = draw(alphas, primitives, title="trial 3")  # type: ignore[operator]
        assert png_chunks(data) <= {b"IHDR", b"pHYs", b"IDAT", b"IEND"}
        assert data == draw(alphas, primitives, title="trial 3")  # type: ignore[operator]
        assert 1200 <= max(png_size(data)) <= 1501
        with style.context("default"):
            figure = draw.__wrapped__(alphas, primitives, title="trial 3")  # type: ignore[union-attr]
            level = extents(figure)
        width, height = figure.canvas.get_width_height()
        for text, box in level:
            assert min(box.x0, box.y0, width - box.x1, height - box.y1) >= 0, text.get_text()
        level = [(text, box) for text, box in level if not text.get_rotation()]
        for (text, box), (other, its) in itertools.combinations(level, 2):
            assert not box.overlaps(its), (text.get_text(), other.get_text())


def test_the_image_of_one_epoch_is_nearly_square() -> None:
    for nodes, operations in ((4, 8), (5, 11), (7, 8)):
        width, height = png_size(
            alphas_png(softmaxed(nodes, operations, 1)[1], [*DARTS_PRIMITIVES, *LONG][:operations])
        )
        assert 0.9 < width / height < 1.1


def test_colours_of_weights_go_one_way_and_start_white() -> None:
    places = colour_position(np.arange(1, 1001) / 1000, 8).tolist()
    assert places == sorted(places)
    assert colour_position(np.array([1 / 8, 1.0, 1 / 64]), 8).tolist() == [0.5, 1.0, 0.0]
    assert COLOURS(0.5) == (1.0, 1.0, 1.0, 1.0)
    assert COLOURS(colour_position(0.13, 8)) != COLOURS(0.5), "the first steps away are seen"


def test_heat_maps_refuse_shapes_that_do_not_fit() -> None:
    epochs = softmaxed(2, 8, 2)
    with pytest.raises(ValueError, match="alphas must be"):
        alphas_png(epochs[1], DARTS_PRIMITIVES[1:])
    with pytest.raises(ValueError, match="alphas must be"):
        alphas_png({**epochs[1], "beta_normal": epochs[1]["beta_normal"][:-1]}, DARTS_PRIMITIVES)
    with pytest.raises(ValueError, match="fit no cell"):
        alphas_png(
            {f"alpha_{cell}": epochs[1][f"alpha_{cell}"][:-1] for cell in ("normal", "reduce")},
            DARTS_PRIMITIVES,
        )
    with pytest.raises(ValueError, match="epoch"):
        alpha_history_png({}, DARTS_PRIMITIVES)


def test_operations_that_an_edge_does_not_have_are_left_empty_and_an_equal_share_is_white() -> None:
    lists = {kind: [["skip_connect", "sep_conv_3x3"], ["skip_connect"]] for kind in ("normal", "reduce")}
    names = ("skip_connect", "sep_conv_3x3", "noise")
    plain = {f"alpha_{kind}": [[0.5, 0.5, 0.0], [1.0, 0.0, 0.0]] for kind in lists}
    figure = alphas_png.__wrapped__(plain, names, edge_primitives=lists)  # type: ignore[attr-defined]
    (shown,) = (axes for axes in figure.axes if axes.get_title(loc="left") == "Normal cell")
    assert sorted(text.get_text() for text in shown.texts) == [".500", ".500", "1.000"]
    values = np.ma.filled(shown.images[0].get_array().astype(float), np.nan)
    np.testing.assert_array_equal(values, [[0.5, 0.5, np.nan], [0.5, np.nan, np.nan]])
    over = alpha_history_png({1: plain, 2: plain}, names, edge_primitives=lists)
    assert over.startswith(b"\x89PNG") and over != alpha_history_png({1: plain, 2: plain}, names)
