"""deploy/ as far as it can be checked without Docker, Kubernetes and SLURM: what their readers demand, and what the files say of
each other and of this package. tests/whole/test_deploy.py runs the services of the compose file."""

from __future__ import annotations

import re
import shlex
import subprocess
import tomllib
from pathlib import Path
from typing import Any

import click
import pytest
import yaml
from support.composing import COMPOSE, DEPLOY, read_services

from pcdarts_tune.cli.group import cli

ROOT = DEPLOY.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
IMAGE = f"pcdarts-tune:{PROJECT['version']}"
INSTRUCTIONS = {"FROM", "ARG", "ENV", "RUN", "COPY", "WORKDIR", "USER", "CMD"}
"""Of a Dockerfile; without ADD, which fetches and unpacks, and ENTRYPOINT, which KubeRay would have to take away."""


def read_dockerfile() -> list[tuple[str, str]]:
    """(instruction, the rest), continued lines joined."""
    lines = [line for line in (DEPLOY / "Dockerfile").read_text().splitlines() if not line.startswith("#")]
    joined = re.sub(r"\\\n\s*", " ", "\n".join(lines))
    return [tuple(line.split(None, 1)) for line in joined.splitlines() if line]  # type: ignore[misc]


def check_command(words: list[str]) -> None:
    """`pcdarts-tune NAME ARGUMENTS`: the command is there and takes them."""
    assert words[0] == "pcdarts-tune"
    with click.Context(cli) as parent:
        command = cli.get_command(parent, words[1])
        assert command is not None, words[1]
        command.make_context(words[1], words[2:], parent=parent)


def check_pinned(image: str) -> None:
    """An image is named by a tag with a version in it."""
    name, _, tag = image.rpartition(":")
    assert name, image
    assert re.search(r"\d", tag), image


def test_dockerfile_is_pinned_and_ends_as_no_root() -> None:
    parts = read_dockerfile()
    assert {name for name, _ in parts} <= INSTRUCTIONS
    stages = [rest.split(" AS ") for name, rest in parts if name == "FROM"]
    for base, *_ in stages:
        check_pinned(base)
    last = max(at for at, (name, _) in enumerate(parts) if name == "FROM")
    (user,) = [rest for name, rest in parts[last:] if name == "USER"]
    assert re.fullmatch(r"[1-9]\d*:[1-9]\d*", user), (
        "a number, so that Kubernetes can see that it is not root"
    )
    runs = [rest for name, rest in parts if name == "RUN"]
    for run in runs:
        assert "sudo" not in run
        if "apt-get install" in run:
            assert "--no-install-recommends" in run
            assert "rm -rf /var/lib/apt/lists/*" in run
        for word in re.findall(r"(?:uv )?pip install[^&]*", run):
            assert "--no-cache" in word
    for name in (rest.partition("=")[0] for kind, rest in parts if kind == "ARG"):
        assert any(f"${{{name}}}" in run for run in runs), f"{name} is used"


def test_dockerfile_copies_what_is_there_and_is_sent() -> None:
    parts = read_dockerfile()
    sent = (DEPLOY / "Dockerfile.dockerignore").read_text().splitlines()
    assert sent[0] == "*"
    stages = [rest.split(" AS ")[1] for name, rest in parts if name == "FROM" and " AS " in rest]
    for words in (rest.split() for name, rest in parts if name == "COPY"):
        if words[0].startswith("--from="):
            assert words[0].removeprefix("--from=") in stages
            continue
        for source in words[:-1]:
            assert (ROOT / source).exists()
            assert f"!{source}" in sent
    (installed,) = [rest for name, rest in parts if name == "RUN" and ".[" in rest]
    extras = re.search(r"\.\[([\w,]+)\]", installed)
    assert extras is not None
    assert set(extras[1].split(",")) <= set(PROJECT["optional-dependencies"])
    # what the wheel is made of
    for needed in ("pyproject.toml", PROJECT["readme"], *PROJECT["license-files"]):
        assert f"!{needed}" in sent


def test_compose_services_fit_each_other() -> None:
    whole = yaml.safe_load(COMPOSE.read_text())
    services = read_services({"POSTGRES_PASSWORD": "secret-a", "S3_PASSWORD": "secret-b"})
    for lacking in ({"POSTGRES_PASSWORD": "a"}, {"S3_PASSWORD": "b"}):
        with pytest.raises(KeyError):
            read_services(lacking)
    legal = {"image", "build", "command", "environment", "volumes", "healthcheck", "restart", "ports", "depends_on",
             "shm_size", "profiles"}  # fmt: skip
    for name, service in services.items():
        assert set(service) <= legal, name
        check_pinned(service["image"])
        assert all(isinstance(value, str) for value in service.get("environment", {}).values()), name
        needed = service.get("depends_on", {})
        for other, how in ({each: {} for each in needed} if isinstance(needed, list) else needed).items():
            healthy = how.get("condition") == "service_healthy"
            assert not healthy or "healthcheck" in services[other], (name, other)
        for volume in service.get("volumes", []):
            source = volume.partition(":")[0]
            assert (
                (COMPOSE.parent / source).is_file() if source.startswith(".") else source in whole["volumes"]
            )
        assert all(port.startswith("127.0.0.1:") for port in service.get("ports", [])), "no password there"
    build = services["sweep"]["build"]
    assert (COMPOSE.parent / build["context"] / build["dockerfile"]).resolve() == DEPLOY / "Dockerfile"
    assert services["sweep"]["image"] == services["mlflow"]["image"] == IMAGE
    check_command(services["sweep"]["command"])
    assert "secret" not in str([service.get("command") for service in services.values()])


RAY_CLUSTER = {"rayVersion", "headGroupSpec", "workerGroupSpecs", "enableInTreeAutoscaling", "autoscalerOptions",
               "headServiceAnnotations", "suspend"}  # fmt: skip
RAY_JOB = {"entrypoint", "submissionMode", "shutdownAfterJobFinishes", "ttlSecondsAfterFinished", "backoffLimit",
           "submitterPodTemplate", "rayClusterSpec", "runtimeEnvYAML", "activeDeadlineSeconds", "metadata", "jobId",
           "clusterSelector", "suspend", "entrypointNumCpus", "entrypointNumGpus", "entrypointResources"}  # fmt: skip
"""Fields of KubeRay's ray.io/v1 (ray-operator/apis/ray/v1), those of newer versions left out."""


def read_manifests(name: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """Ray's object and the claim of its home."""
    documents = list(yaml.safe_load_all((DEPLOY / "kuberay" / name).read_text()))
    assert [each["kind"] for each in documents[1:]] == ["PersistentVolumeClaim"]
    for each in documents:
        assert re.fullmatch(r"[a-z]([-a-z0-9]*[a-z0-9])?", each["metadata"]["name"])
    return documents[0], documents[1]


def check_pod(spec: dict[str, Any], claim: str) -> None:
    """What Kubernetes demands of a pod, and that it runs without root."""
    volumes = {each["name"]: each for each in spec.get("volumes", [])}
    for each in volumes.values():
        assert each.get("persistentVolumeClaim", {"claimName": claim})["claimName"] == claim
    assert spec["containers"]
    for container in spec["containers"]:
        assert re.fullmatch(r"[a-z]([-a-z0-9]*[a-z0-9])?", container["name"])
        assert container["image"] in (IMAGE, f"{IMAGE}-cuda")
        names = [each["name"] for each in container["env"]]
        assert names == ["RAY_AUTH_MODE", "RAY_AUTH_TOKEN"]
        assert container["env"][1]["valueFrom"]["secretKeyRef"] == {
            "name": "pcdarts-tune-token",
            "key": "token",
        }
        assert all(isinstance(each.get("value", ""), str) for each in container["env"])
        for mount in container.get("volumeMounts", []):
            assert mount["name"] in volumes
        for port in container.get("ports", []):
            assert len(port["name"]) <= 15
        resources = container.get("resources")
        if resources is not None:
            assert resources["requests"] == resources["limits"], "Ray counts the limits"
            assert all(isinstance(value, str) for value in resources["limits"].values())


def check_cluster(spec: dict[str, Any], claim: str) -> None:
    """What KubeRay demands of a RayClusterSpec: headGroupSpec with a template, and of each group of workers its name, its
    numbers, rayStartParams of strings, and a template."""
    assert set(spec) <= RAY_CLUSTER
    version = dict(re.findall(r"ARG (\w+)=(\S+)", (DEPLOY / "Dockerfile").read_text()))["RAY_VERSION"]
    assert spec["rayVersion"] == version
    groups = spec["workerGroupSpecs"]
    for group in (spec["headGroupSpec"], *groups):
        assert {"rayStartParams", "template"} <= set(group)
        assert all(isinstance(value, str) for value in group["rayStartParams"].values())
        pod = group["template"]["spec"]
        assert pod["securityContext"]["runAsNonRoot"] is True
        check_pod(pod, claim)
    head = spec["headGroupSpec"]["template"]["spec"]["containers"][0]
    assert {port["containerPort"] for port in head["ports"]} >= {6379, 8265}
    assert len({group["groupName"] for group in groups}) == len(groups)
    for group in groups:
        assert 0 <= group["minReplicas"] <= group["replicas"] <= group["maxReplicas"]


def test_kuberay_cluster_has_what_its_schema_demands() -> None:
    cluster, claim = read_manifests("raycluster.yaml")
    assert (cluster["apiVersion"], cluster["kind"]) == ("ray.io/v1", "RayCluster")
    check_cluster(cluster["spec"], claim["metadata"]["name"])


def test_kuberay_job_has_what_its_schema_demands() -> None:
    job, claim = read_manifests("rayjob.yaml")
    assert (job["apiVersion"], job["kind"]) == ("ray.io/v1", "RayJob")
    spec = job["spec"]
    assert set(spec) <= RAY_JOB
    assert spec["submissionMode"] in ("K8sJobMode", "HTTPMode", "InteractiveMode")
    assert len(job["metadata"]["name"]) <= 47, "KubeRay adds to it"
    check_command(shlex.split(spec["entrypoint"]))
    submitter = spec["submitterPodTemplate"]["spec"]
    assert submitter["restartPolicy"] in ("Never", "OnFailure")
    check_pod(submitter, claim["metadata"]["name"])
    check_cluster(spec["rayClusterSpec"], claim["metadata"]["name"])


def test_slurm_script_is_bash_and_its_options_are_slurm_s() -> None:
    script = DEPLOY / "slurm" / "sweep.sbatch"
    subprocess.run(["bash", "-n", str(script)], check=True)
    lines = script.read_text().splitlines()
    assert lines[0] == "#!/usr/bin/env bash"
    first = next(number for number, line in enumerate(lines) if line and not line.startswith("#"))
    options = [line for line in lines if line.startswith("#SBATCH")]
    assert all(line in lines[:first] for line in options), "SLURM reads none after the first command"
    legal = {
        "job-name",
        "nodes",
        "ntasks-per-node",
        "cpus-per-task",
        "gpus-per-node",
        "mem",
        "time",
        "signal",
        "output",
    }
    for line in options:
        assert re.fullmatch(rf"#SBATCH --({'|'.join(legal)})=\S+", line), line
    # of what it can be given, in its own comments
    for words in re.findall(r"sweep\.sbatch (--(?!resume).*)", "\n".join(lines)):
        check_command(["pcdarts-tune", "sweep", *shlex.split(words)])


def test_commands_in_the_comments_of_the_manifests_are_legal() -> None:
    for file in (DEPLOY / "kuberay").glob("*.yaml"):
        text = re.sub(r" \\\n# +", " ", file.read_text())
        for line in re.findall(r"# .*ray job submit .* -- (pcdarts-tune .*)", text):
            check_command(shlex.split(line))


def test_readme_names_every_file() -> None:
    readme = (DEPLOY / "README.md").read_text()
    files = [path for path in DEPLOY.rglob("*") if path.is_file() and path.name != "README.md"]
    assert len(files) >= 6
    for path in files:
        if not path.name.endswith((".dockerignore", ".env")):
            assert path.relative_to(DEPLOY).as_posix() in readme


def test_documents_say_what_was_not_run() -> None:
    for file in (DEPLOY / "README.md", Path(ROOT / "docs" / "deploy.md")):
        assert "no Docker daemon" in file.read_text()
