"""Curves keep their extremes when thinned; SVG takes the page's colours and any text."""

import numpy as np

from gem_ros.replay import charts


def test_thinning_keeps_the_ends_of_every_excursion():
    x, y = np.arange(10_000.0), np.zeros(10_000)
    y[[37, 5_000, 9_999]] = 1.0, -3.0, 2.0
    few_x, few_y = charts.thinned(x, y, 100)
    assert few_x.size <= 100 and (np.diff(few_x) > 0).all()
    assert {37.0, 5_000.0, 9_999.0} <= set(few_x) and set(few_y) == {0.0, 1.0, -3.0, 2.0}
    assert charts.thinned(x[:50], y[:50], 100)[0].size == 50


def test_shading_covers_each_image_half_way_to_its_neighbours():
    with charts.styled():
        axis = charts.figure(3, 2).subplots()
        charts.shade(axis, np.arange(6.0), np.array([0.0, 0.005, 0.2, 0.2, 0.0, 0.3]), 0.01)
    spans = [(each.get_x(), each.get_x() + each.get_width(), each.get_alpha()) for each in axis.patches]
    assert spans == [(0.5, 3.5, 0.10), (4.5, 5.0, 0.10), (1.5, 3.5, 0.18), (4.5, 5.0, 0.18)]


def test_an_svg_is_the_same_every_time_and_holds_no_colour_of_its_own():
    texts = [drawn('<b>$\\frac{"ä"&$') for _ in range(2)]
    assert texts[0] == texts[1]
    assert texts[0].startswith('<svg class="chart" role="img"') and texts[0].endswith("</svg>")
    assert "<title>&lt;b&gt;$\\frac{&quot;ä&quot;&amp;$</title>" in texts[0] and "<b>" not in texts[0]
    assert "var(--line)" in texts[0] and charts.LINE not in texts[0] and 'id="axes' not in texts[0]


def drawn(text):
    with charts.styled():
        figure = charts.figure(3, 2)
        charts.score_curve(figure.subplots(), np.arange(3.0), np.array([0.1, 0.9, 0.5]), 0.5, text, absent=False)
        return charts.svg(figure, text)
