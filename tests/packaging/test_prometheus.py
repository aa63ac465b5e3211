"""The dashboard and the alerts ask for metrics that there are, in queries that Prometheus takes."""

import json
import re
import subprocess
from pathlib import Path

import pytest
import yaml

from aibridged.observe.metric_table import METRICS

HERE = Path(__file__).parent
PACKAGING = HERE.parents[1] / "packaging"
RULES = PACKAGING / "prometheus" / "aibridged.rules.yml"
DASHBOARD = json.loads((PACKAGING / "grafana" / "aibridged.json").read_text(encoding="utf-8"))
PANELS = [panel for panel in DASHBOARD["panels"] if panel["type"] != "row"]
QUERIES = [target["expr"] for panel in PANELS for target in panel["targets"]]
VARIABLES = {
    each["name"]: each["definition"]
    for each in DASHBOARD["templating"]["list"]
    if each["type"] == "query"
}

ROWS = {row.name: row for row in METRICS}
NAME = re.compile(r"\b(?:coder_ai_gateway\w+|aibridged_\w+|process_\w+)")
SERIES = re.compile(
    r"(?P<name>\b(?:coder_ai_gateway|aibridged_|process_)\w+)(?:\{(?P<labels>.*?)\})?"
)
GROUPED = re.compile(r"by \((.*?)\)")
OF_PROMETHEUS = {"instance", "job", "le"}

every_panel = pytest.mark.parametrize("panel", PANELS, ids=lambda panel: panel["title"])


def alerts():
    groups = yaml.safe_load(RULES.read_text(encoding="utf-8"))["groups"]
    return [rule for group in groups for rule in group["rules"]]


def metric(name):
    """The row of a series, which for a histogram or a summary has an ending of its own."""
    return ROWS.get(name) or ROWS[re.sub(r"_(bucket|sum|count)$", "", name)]


@pytest.fixture
def promtool(program):
    path = program("promtool")

    def promtool(*arguments):
        done = subprocess.run([path, *arguments], capture_output=True, text=True, cwd=HERE)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    return promtool


@pytest.mark.parametrize(
    "query", [*QUERIES, *VARIABLES.values(), *(rule["expr"] for rule in alerts())]
)
def test_a_query_asks_for_metrics_and_labels_that_there_are(query):
    rows = [metric(name) for name in NAME.findall(query)]
    assert rows != []
    for match in SERIES.finditer(query):
        asked = set(re.findall(r"(\w+)=", match["labels"] or ""))
        assert asked <= {*metric(match["name"]).labels, *OF_PROMETHEUS}
    for labels in GROUPED.findall(query):
        common = set.intersection(*(set(row.labels) for row in rows))
        assert set(labels.split(", ")) <= common | OF_PROMETHEUS


def test_panels_that_show_people_show_their_names():
    legends = [target["legendFormat"] for panel in PANELS for target in panel["targets"]]
    assert not [legend for legend in legends if "initiator_id" in legend]
    assert len([legend for legend in legends if "username" in legend]) >= 2


def test_the_queries_by_name_find_every_user_once(promtool, tmp_path):
    """Though a user was renamed, and runs through two daemons."""
    [query] = [query for query in QUERIES if "username" in query and "$__range" in query]
    query = re.sub(r"\$__range", "1h", re.sub(r'=~"\$\w+"', '=~".*"', query))
    same = 'initiator_id="1", provider="p", model="m", type="input", client="c"'
    series = [f'coder_ai_gateway_tokens_total{{instance="{at}", {same}}}' for at in ("a", "b")]
    infos = [
        f'aibridged_user_info{{instance="{at}", initiator_id="1", username="{name}"}}'
        for at, name in (("a", "alice"), ("b", "alice"), ("b", "old-alice"))
    ]
    test = {
        "interval": "1m",
        "input_series": [
            *({"series": each, "values": "0+10x60"} for each in series),
            *({"series": each, "values": "1x60"} for each in infos),
        ],
        "promql_expr_test": [
            {
                "expr": f"round(sum({query}))",
                "eval_time": "1h",
                "exp_samples": [{"labels": "{}", "value": 1200}],
            },
            {
                "expr": f"count(count by (username) ({query}))",
                "eval_time": "1h",
                "exp_samples": [{"labels": "{}", "value": 1}],
            },
        ],
    }
    path = tmp_path / "names.yml"
    path.write_text(yaml.safe_dump({"rule_files": [], "tests": [test]}))
    assert "SUCCESS" in promtool("test", "rules", str(path))


def test_the_dashboard_shows_every_metric_but_those_that_it_only_selects_by():
    shown = {metric(name).name for query in QUERIES for name in NAME.findall(query)}
    assert set(ROWS) - shown == {
        "aibridged_bridge_pool_hits_total",
        "aibridged_bridge_pool_misses_total",
        "coder_ai_gateway_provider_info",
        "process_virtual_memory_bytes",
    }


@every_panel
def test_a_panel_says_what_it_shows_and_in_which_unit(panel):
    assert panel["title"]
    assert panel["description"].endswith(".")
    assert panel["fieldConfig"]["defaults"]["unit"]
    assert panel["datasource"]["uid"] == "${datasource}"
    assert all(target["datasource"]["uid"] == "${datasource}" for target in panel["targets"])


def test_no_panel_lies_on_another():
    places = [
        (x, y)
        for panel in DASHBOARD["panels"]
        for at in [panel["gridPos"]]
        for x in range(at["x"], at["x"] + at["w"])
        for y in range(at["y"], at["y"] + at["h"])
    ]
    assert len(places) == len(set(places))
    assert max(x for x, _ in places) < 24
    ids = [panel["id"] for panel in DASHBOARD["panels"]]
    assert len(ids) == len(set(ids))


def test_prometheus_takes_the_dashboards_queries(promtool, tmp_path):
    plain = [re.sub(r"\$__\w+", "5m", query) for query in QUERIES]
    assert all("$__" not in query for query in plain)
    rules = [{"record": f"panel:{number}", "expr": expr} for number, expr in enumerate(plain)]
    path = tmp_path / "dashboard.yml"
    path.write_text(yaml.safe_dump({"groups": [{"name": "dashboard", "rules": rules}]}))
    assert f"{len(QUERIES)} rules found" in promtool("check", "rules", str(path))


def test_prometheus_takes_the_alerts(promtool):
    assert f"{len(alerts())} rules found" in promtool("check", "rules", str(RULES))


def test_an_alert_fires_when_it_should_and_not_without_need(promtool):
    assert "SUCCESS" in promtool("test", "rules", "aibridged.rules.test.yml")


def test_every_alert_is_seen_to_fire():
    said = (HERE / "aibridged.rules.test.yml").read_text(encoding="utf-8")
    assert [rule["alert"] for rule in alerts() if f'alertname="{rule["alert"]}"' not in said] == []
