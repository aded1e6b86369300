"""The dashboard shows what there is: every metric that it names is one of /metrics."""

import json
import re
from pathlib import Path
from typing import Any

from tokenferry.server.metrics import Metrics

DASHBOARD = Path(__file__).parents[1] / "deploy" / "grafana" / "tokenferry.json"
METRIC = re.compile(r"tokenferry_\w+")
LABEL = re.compile(r"{{(\w+)}}")
# What Prometheus makes of a histogram.
PARTS = ("_bucket", "_sum", "_count")


def dashboard() -> dict[str, Any]:
    return dict(json.loads(DASHBOARD.read_text(encoding="utf-8")))


def queries() -> list[dict[str, Any]]:
    return [target for panel in dashboard()["panels"] for target in panel.get("targets", ())]


def test_every_metric_it_names_is_there() -> None:
    kinds = dict(re.findall(r"# TYPE (\w+) (\w+)", Metrics(lambda _: None).exposition().decode()))
    series = {name for name, kind in kinds.items() if kind != "histogram"}
    series |= {name + part for name, kind in kinds.items() if kind == "histogram" for part in PARTS}
    named = {name for query in queries() for name in METRIC.findall(query["expr"])}
    assert named
    assert named <= series


def test_every_label_of_a_legend_is_kept_by_its_query() -> None:
    for query in queries():
        for label in LABEL.findall(query["legendFormat"]):
            kept = re.search(rf"by \([^)]*\b{label}\b[^)]*\)", query["expr"])
            # Without a sum, all labels are kept.
            assert kept or "sum" not in query["expr"], query


def test_panels_have_a_place_of_their_own_and_a_unit() -> None:
    taken: set[tuple[int, int]] = set()
    for panel in dashboard()["panels"]:
        place = panel["gridPos"]
        cells = {
            (x, y)
            for x in range(place["x"], place["x"] + place["w"])
            for y in range(place["y"], place["y"] + place["h"])
        }
        assert not cells & taken, panel["title"]
        taken |= cells
        if panel["type"] != "row":
            assert panel["fieldConfig"]["defaults"]["unit"]
            assert panel["description"]
