"""The manifests: in step with the daemon and the image, restricted, and whole in themselves."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

import aibridged
from aibridged.config import kinds
from aibridged.config.options import Settings
from aibridged.config.providers import OWN_KEY_ONLY, RESERVED
from aibridged.daemon.memory import SHARE_OF_BODIES

Manifest = dict[str, Any]
VARIANTS = {"replicas.yaml": "Deployment", "single.yaml": "StatefulSet"}
STARTS_AND_ENDS_S = 10
MIB = 2**20
AT_REST = 128 * MIB  # and a bit more than it takes


def quantity(text: str) -> int:
    """Bytes, as Kubernetes writes them."""
    number, unit = re.fullmatch(r"(\d+)(Mi|Gi)", text).groups()
    return int(number) * {"Mi": MIB, "Gi": 1024 * MIB}[unit]


def manifests(folder: Path, *names: str) -> dict[tuple[str, str], Manifest]:
    """What the files hold, by kind and name."""
    return {
        (each["kind"], each["metadata"]["name"]): each
        for name in names
        for each in yaml.safe_load_all((folder / name).read_text(encoding="utf-8"))
    }


@pytest.fixture(params=VARIANTS)
def applied(request, root) -> dict[tuple[str, str], Manifest]:
    """What is applied for a variant."""
    folder = root / "packaging" / "kubernetes"
    return manifests(folder, "namespace.yaml", "config.yaml", request.param)


@pytest.fixture
def workload(applied) -> Manifest:
    [found] = [each for (kind, _), each in applied.items() if kind in VARIANTS.values()]
    return found


@pytest.fixture
def pod(workload) -> Manifest:
    return workload["spec"]["template"]["spec"]


@pytest.fixture
def container(pod) -> Manifest:
    [found] = pod["containers"]
    return found


@pytest.fixture
def settings(applied, container, resolve, tmp_path) -> Settings:
    """What a pod's daemon would run on, with the secrets' files where they are mounted."""
    environ = {each["name"]: each["value"] for each in container["env"]}
    for name, value in environ.items():
        if name.endswith("_FILE"):
            file = tmp_path / name
            file.write_text(secret_at(value, applied, container))
            environ[name] = str(file)
    text = applied["ConfigMap", "aibridged"]["data"]["aibridged.yaml"]
    resolution = resolve(environ, text)
    assert resolution.mistakes == []
    given = {v.source.name for v in resolution.values if v.source.kind == "environment"}
    assert given == environ.keys() - {"CODER_CONFIG_PATH"}
    return resolution.settings


def secret_at(path: str, applied, container) -> str:
    """The secret that a container finds in a file."""
    folder, _, key = path.rpartition("/")
    [mount] = [each for each in container["volumeMounts"] if each["mountPath"] == folder]
    pod = next(each for (kind, _), each in applied.items() if kind in VARIANTS.values())
    volumes = {each["name"]: each for each in pod["spec"]["template"]["spec"]["volumes"]}
    name = volumes[mount["name"]]["secret"]["secretName"]
    # As the guide says: the placeholders are replaced.
    return applied["Secret", name]["stringData"][key].replace("REPLACE-ME", "0123456789")


def test_everything_is_in_the_namespace_and_refers_to_what_is_there(applied, workload, pod):
    for (kind, _), each in applied.items():
        assert kind == "Namespace" or each["metadata"]["namespace"] == "aibridged"
    claims = workload["spec"].get("volumeClaimTemplates", [])
    volumes = {each["name"] for each in pod["volumes"]}
    volumes |= {each["metadata"]["name"] for each in claims}
    assert {each["name"] for each in pod["containers"][0]["volumeMounts"]} == volumes
    for volume in pod["volumes"]:
        assert "configMap" not in volume or ("ConfigMap", volume["configMap"]["name"]) in applied
        assert "secret" not in volume or ("Secret", volume["secret"]["secretName"]) in applied
    labels = workload["spec"]["template"]["metadata"]["labels"]
    service = applied["Service", "aibridged"]["spec"]
    assert workload["spec"]["selector"]["matchLabels"] == service["selector"] == labels
    assert [each["targetPort"] for each in service["ports"]] == ["http"]
    metrics = applied["Service", "aibridged-metrics"]
    assert metrics["spec"]["selector"] == labels
    assert [each["targetPort"] for each in metrics["spec"]["ports"]] == ["metrics"]
    ports = {each["name"] for each in pod["containers"][0]["ports"]}
    assert ports == {"http", "metrics"}


def test_the_daemon_takes_the_settings_and_listens_where_it_is_asked(settings, container):
    ports = {each["name"]: each["containerPort"] for each in container["ports"]}
    assert ports["metrics"] == settings.prometheus_address.port
    assert settings.prometheus_enable
    assert settings.prometheus_address.host == ""
    without_key = {provider.type for provider in settings.providers if provider.key is None}
    assert without_key == OWN_KEY_ONLY


def test_it_goes_with_the_image(container, pod, root):
    text = (root / "packaging/docker/Dockerfile").read_text(encoding="utf-8")
    [user, group] = re.findall(r"^USER (\d+):(\d+)$", text, re.MULTILINE)[0]
    security = pod["securityContext"]
    assert (security["runAsUser"], security["runAsGroup"]) == (int(user), int(group))
    assert security["fsGroup"] == int(group)  # who may read the secrets' files
    [state] = re.findall(r"CODER_STATE_DIR=(\S+)", text)
    assert state in {each["mountPath"] for each in container["volumeMounts"]}
    [address] = re.findall(r"CODER_HTTP_ADDRESS=(\S+)", text)
    port = kinds.ADDRESS.parse(address).port
    assert port in {each["containerPort"] for each in container["ports"] if each["name"] == "http"}
    assert container["image"].endswith(f"/aibridged:{aibridged.__version__}")


@pytest.mark.parametrize(
    ("probe", "path"),
    [("startupProbe", "healthz"), ("livenessProbe", "healthz"), ("readinessProbe", "readyz")],
)
def test_probes_ask_what_the_daemon_answers(probe, path, container):
    assert path in RESERVED
    assert container[probe]["httpGet"] == {"path": f"/{path}", "port": "http"}


def test_a_pod_has_the_time_to_drain(container, pod, settings):
    waits = 0
    if "lifecycle" in container:
        program, seconds = container["lifecycle"]["preStop"]["exec"]["command"]
        assert program == "sleep"
        waits = int(seconds)
    least = waits + settings.shutdown_timeout + STARTS_AND_ENDS_S
    assert least <= pod["terminationGracePeriodSeconds"] <= least + 30


def test_the_memory_is_enough_for_the_bodies_that_are_taken_by_default(container, pod, settings):
    resources = container["resources"]
    limit, request = (quantity(resources[kind]["memory"]) for kind in ("limits", "requests"))
    tmpfs = [
        quantity(each["emptyDir"]["sizeLimit"])
        for each in pod["volumes"]
        if each.get("emptyDir", {}).get("medium") == "Memory"
    ]
    assert settings.max_inflight_bytes is None
    bodies = limit // SHARE_OF_BODIES
    assert bodies >= 4 * settings.max_request_bytes
    assert AT_REST + 2 * bodies + sum(tmpfs) <= limit - limit // 4
    assert AT_REST + settings.max_request_bytes <= request <= limit


@pytest.mark.parametrize("applied", ["replicas.yaml"], indirect=True)
def test_replicas_share_postgres_and_leave_one_at_a_time(applied, workload, settings, container):
    assert workload["spec"]["replicas"] > 1
    assert workload["spec"]["strategy"]["rollingUpdate"]["maxUnavailable"] == 0
    assert settings.postgres_url is not None
    assert settings.redis_url is not None
    assert settings.replicas == workload["spec"]["replicas"]
    assert "lifecycle" in container
    budget = applied["PodDisruptionBudget", "aibridged"]["spec"]
    assert budget["selector"]["matchLabels"] == workload["spec"]["selector"]["matchLabels"]


@pytest.mark.parametrize("applied", ["single.yaml"], indirect=True)
def test_sqlite_has_one_replica_and_a_volume_that_outlives_it(workload, settings):
    assert workload["spec"]["replicas"] == 1
    assert settings.postgres_url is None
    assert [each["metadata"]["name"] for each in workload["spec"]["volumeClaimTemplates"]] == [
        "state"
    ]


def breaches(pod: Manifest) -> Iterator[str]:
    """What the restricted Pod Security Standard would refuse."""
    security = pod["securityContext"]
    if not security.get("runAsNonRoot") or not security.get("runAsUser"):
        yield "may run as root"
    if security.get("seccompProfile", {}).get("type") != "RuntimeDefault":
        yield "system calls aren't filtered"
    for key in ("hostNetwork", "hostPID", "hostIPC"):
        if pod.get(key):
            yield key
    allowed = {"name", "configMap", "secret", "emptyDir", "persistentVolumeClaim", "projected"}
    for volume in pod["volumes"]:
        if volume.keys() - allowed:
            yield f"volume {volume['name']}"
    for each in pod["containers"]:
        own = each.get("securityContext", {})
        if own.get("allowPrivilegeEscalation") is not False or own.get("privileged"):
            yield "may gain privileges"
        if own.get("capabilities") != {"drop": ["ALL"]}:
            yield "keeps capabilities"
        if any("hostPort" in port for port in each.get("ports", ())):
            yield "hostPort"


def test_it_is_restricted_and_can_write_nothing_but_its_state(applied, pod, container):
    labels = applied["Namespace", "aibridged"]["metadata"]["labels"]
    assert labels["pod-security.kubernetes.io/enforce"] == "restricted"
    assert list(breaches(pod)) == []
    assert container["securityContext"]["readOnlyRootFilesystem"] is True
    assert pod["automountServiceAccountToken"] is False
    writable = {each["mountPath"] for each in container["volumeMounts"] if not each.get("readOnly")}
    assert writable <= {"/var/lib/aibridged", "/tmp"}


@pytest.fixture
def beside(root) -> dict[tuple[str, str], Manifest]:
    """What may be applied beside a variant."""
    folder = root / "packaging" / "kubernetes"
    return manifests(folder, "network-policy.yaml", "monitoring.yaml", "ingress.yaml")


def test_prometheus_alone_reaches_the_metrics(applied, beside, pod):
    monitor = beside["ServiceMonitor", "aibridged"]["spec"]
    service = applied["Service", "aibridged-metrics"]
    wanted = monitor["selector"]["matchLabels"]
    assert wanted.items() <= service["metadata"]["labels"].items()
    assert not wanted.items() <= applied["Service", "aibridged"]["metadata"]["labels"].items()
    [endpoint] = monitor["endpoints"]
    assert endpoint["port"] in {each["name"] for each in service["spec"]["ports"]}
    policy = beside["NetworkPolicy", "aibridged"]["spec"]
    labels = applied["Service", "aibridged"]["spec"]["selector"]
    assert policy["podSelector"]["matchLabels"] == labels
    reach = {port["port"]: rule.get("from") for rule in policy["ingress"] for port in rule["ports"]}
    assert reach.keys() == {each["name"] for each in pod["containers"][0]["ports"]}
    assert reach["http"] is None
    assert reach["metrics"] is not None


def test_the_policy_lets_the_daemon_reach_what_it_needs(beside, settings):
    rules = beside["NetworkPolicy", "aibridged"]["spec"]["egress"]
    ports = {port["port"] for rule in rules for port in rule["ports"]}
    assert {53, 443} <= ports
    for url, port in ((settings.postgres_url, 5432), (settings.redis_url, 6379)):
        if url is not None:
            assert port in ports
            assert f":{port}/" in url.reveal()


def test_the_ingress_passes_streams_on_as_they_come(applied, beside, settings):
    ingress = beside["Ingress", "aibridged"]
    prefix = "nginx.ingress.kubernetes.io/proxy-"
    said = {
        name.removeprefix(prefix): value
        for name, value in ingress["metadata"]["annotations"].items()
    }
    assert said["buffering"] == said["request-buffering"] == said["next-upstream"] == "off"
    assert int(said["read-timeout"]) > settings.upstream_idle_timeout
    assert int(said["body-size"].removesuffix("m")) * MIB > settings.max_request_bytes
    [rule] = ingress["spec"]["rules"]
    [path] = rule["http"]["paths"]
    service = path["backend"]["service"]
    ports = applied["Service", service["name"]]["spec"]["ports"]
    assert service["port"]["name"] in {each["name"] for each in ports}
    assert [rule["host"]] == ingress["spec"]["tls"][0]["hosts"]


@pytest.mark.parametrize("applied", ["replicas.yaml"], indirect=True)
def test_the_upgrade_is_of_the_replicas_database_and_reached_by_no_service(
    applied, container, root
):
    upgrade = manifests(root / "packaging" / "kubernetes", "upgrade.yaml")
    template = upgrade["Job", "aibridged-upgrade"]["spec"]["template"]
    [own] = template["spec"]["containers"]
    assert own["image"] == container["image"]
    assert own["args"] == ["db", "upgrade"]
    assert own["env"] == [each for each in container["env"] if each in own["env"]]
    mount = {each["name"]: each for each in container["volumeMounts"]}
    assert own["volumeMounts"] == [mount["postgres"], mount["state"]]
    assert list(breaches(template["spec"])) == []
    for (kind, _), each in applied.items():
        if kind == "Service":
            assert not each["spec"]["selector"].items() <= template["metadata"]["labels"].items()
