#!/usr/bin/python3
"""manifests.py: checks YAML files for Kubernetes and Compose, where neither is there to try them.

    manifests.py kubernetes FOLDER...    the files of kustomizations
    manifests.py rendered FILE           what `kubectl kustomize` makes of one
    manifests.py compose FILE

Every field must be one that the API has, with a value of its type. The schemas below were written
from the reference pages of Kubernetes 1.30 (apps/v1, core/v1, policy/v1), of kustomize 5, of the
Prometheus operator's PodMonitor and of the Compose specification. They have the fields that these
files use or could soon use. An unknown field is a mistake either here or there: look it up."""

import os
import re
import sys

import yaml

# ---- schemas: a type, a pattern, a list with one schema, a set of values, a tuple of alternatives, or
#      a dict of fields. A field whose name ends in "!" is required. "*" stands for any field.

NAME = re.compile(r"[a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?")
PORT_NAME = re.compile(r"[a-z0-9-]{1,15}")
CPU = re.compile(r"\d+m|\d+(\.\d+)?")
BYTES = re.compile(r"\d+([KMGT]i?)?")
TEXT = str
LABELS = {"*": TEXT}
META = {"name!": NAME, "namespace": NAME, "labels": LABELS, "annotations": LABELS}
POD_META = {"labels": LABELS, "annotations": LABELS}
SELECTOR = {"matchLabels": LABELS,
            "matchExpressions": [{"key!": TEXT, "operator!": {"In", "NotIn", "Exists", "DoesNotExist"},
                                  "values": [TEXT]}]}
PORT = (int, PORT_NAME)
RESOURCES = {"requests": {"cpu": (CPU, int), "memory": BYTES},
             "limits": {"cpu": (CPU, int), "memory": BYTES}}
PROBE = {"httpGet!": {"path!": re.compile(r"/\w+"), "port!": PORT, "scheme": {"HTTP", "HTTPS"}},
         "initialDelaySeconds": int, "periodSeconds": int, "timeoutSeconds": int,
         "failureThreshold": int, "successThreshold": int}
SOURCE = {"name!": NAME, "optional": bool}
CONTAINER = {
    "name!": NAME, "image!": TEXT, "imagePullPolicy": {"Always", "IfNotPresent", "Never"},
    "command": [TEXT], "args": [TEXT],
    "ports": [{"name": PORT_NAME, "containerPort!": int, "protocol": {"TCP", "UDP"}}],
    "env": [{"name!": TEXT, "value": TEXT,
             "valueFrom": {"secretKeyRef": {"name!": NAME, "key!": TEXT, "optional": bool},
                           "configMapKeyRef": {"name!": NAME, "key!": TEXT, "optional": bool}}}],
    "envFrom": [{"secretRef": SOURCE, "configMapRef": SOURCE, "prefix": TEXT}],
    "livenessProbe": PROBE, "readinessProbe": PROBE, "startupProbe": PROBE,
    "resources": RESOURCES,
    "securityContext": {
        "allowPrivilegeEscalation": bool, "readOnlyRootFilesystem": bool, "privileged": bool,
        "runAsNonRoot": bool, "runAsUser": int, "runAsGroup": int,
        "capabilities": {"add": [TEXT], "drop": [TEXT]}},
    "volumeMounts": [{"name!": NAME, "mountPath!": re.compile(r"/.*"), "readOnly": bool,
                      "subPath": TEXT}],
}
ITEMS = [{"key!": TEXT, "path!": TEXT, "mode": int}]
VOLUME = {"name!": NAME,
          "configMap": {"name!": NAME, "defaultMode": int, "optional": bool, "items": ITEMS},
          "secret": {"secretName!": NAME, "defaultMode": int, "optional": bool, "items": ITEMS},
          "emptyDir": {"medium": {"", "Memory"}, "sizeLimit": BYTES},
          "persistentVolumeClaim": {"claimName!": NAME, "readOnly": bool}}
AFFINITY_TERM = {"topologyKey!": TEXT, "labelSelector": SELECTOR, "namespaces": [TEXT]}
POD = {
    "serviceAccountName": NAME, "automountServiceAccountToken": bool, "enableServiceLinks": bool,
    "terminationGracePeriodSeconds": int, "restartPolicy": {"Always"}, "priorityClassName": NAME,
    "nodeSelector": LABELS,
    "securityContext": {
        "runAsNonRoot": bool, "runAsUser": int, "runAsGroup": int, "fsGroup": int,
        "fsGroupChangePolicy": {"Always", "OnRootMismatch"}, "supplementalGroups": [int],
        "seccompProfile": {"type!": {"RuntimeDefault", "Localhost", "Unconfined"}}},
    "affinity": {"podAntiAffinity": {
        "requiredDuringSchedulingIgnoredDuringExecution": [AFFINITY_TERM],
        "preferredDuringSchedulingIgnoredDuringExecution": [
            {"weight!": int, "podAffinityTerm!": AFFINITY_TERM}]}},
    "containers!": [CONTAINER], "initContainers": [CONTAINER], "volumes": [VOLUME],
}
HEAD = {"apiVersion!": TEXT, "kind!": TEXT, "metadata!": META}
KINDS = {
    ("apps/v1", "StatefulSet"): {**HEAD, "spec!": {
        "replicas": int, "serviceName!": NAME, "selector!": SELECTOR,
        "podManagementPolicy": {"OrderedReady", "Parallel"}, "minReadySeconds": int,
        "revisionHistoryLimit": int,
        "updateStrategy": {"type": {"RollingUpdate", "OnDelete"},
                           "rollingUpdate": {"partition": int, "maxUnavailable": (int, TEXT)}},
        "persistentVolumeClaimRetentionPolicy": {"whenDeleted": {"Retain", "Delete"},
                                                 "whenScaled": {"Retain", "Delete"}},
        "template!": {"metadata": POD_META, "spec!": POD},
        "volumeClaimTemplates": [{"metadata!": META, "spec!": {
            "accessModes!": [{"ReadWriteOnce", "ReadWriteOncePod", "ReadWriteMany", "ReadOnlyMany"}],
            "storageClassName": NAME, "volumeMode": {"Filesystem", "Block"},
            "resources!": {"requests!": {"storage!": BYTES}}}}]}},
    ("v1", "Service"): {**HEAD, "spec!": {
        "type": {"ClusterIP", "NodePort", "LoadBalancer"}, "clusterIP": TEXT, "selector": LABELS,
        "publishNotReadyAddresses": bool,
        "ports": [{"name": PORT_NAME, "port!": int, "targetPort": PORT, "protocol": {"TCP", "UDP"}}]}},
    ("v1", "ConfigMap"): {**HEAD, "data": {"*": TEXT}, "immutable": bool},
    ("v1", "Secret"): {**HEAD, "data": {"*": TEXT}, "type": TEXT, "immutable": bool},
    ("policy/v1", "PodDisruptionBudget"): {**HEAD, "spec!": {
        "maxUnavailable": (int, TEXT), "minAvailable": (int, TEXT), "selector!": SELECTOR}},
    ("monitoring.coreos.com/v1", "PodMonitor"): {**HEAD, "spec!": {
        "selector!": SELECTOR, "jobLabel": TEXT, "podTargetLabels": [TEXT],
        "podMetricsEndpoints!": [{"port": PORT_NAME, "path": TEXT, "interval": re.compile(r"\d+s"),
                                  "scrapeTimeout": re.compile(r"\d+s"), "scheme": {"http", "https"}}]}},
}
GENERATOR = [{"name!": NAME, "files": [TEXT], "envs": [TEXT], "literals": [TEXT],
              "behavior": {"create", "replace", "merge"}, "type": TEXT}]
KUSTOMIZATION = {
    "apiVersion!": TEXT, "kind!": {"Kustomization", "Component"}, "namespace": NAME,
    "namePrefix": TEXT, "nameSuffix": TEXT, "resources": [TEXT], "components": [TEXT],
    "labels": [{"pairs!": LABELS, "includeSelectors": bool, "includeTemplates": bool}],
    "images": [{"name!": TEXT, "newName": TEXT, "newTag": TEXT, "digest": TEXT}],
    "patches": [{"path": TEXT, "patch": TEXT, "target": {"kind": TEXT, "name": TEXT}}],
    "configMapGenerator": GENERATOR, "secretGenerator": GENERATOR,
}
KUSTOMIZE = {"Kustomization": "kustomize.config.k8s.io/v1beta1",
             "Component": "kustomize.config.k8s.io/v1alpha1"}

DURATION = re.compile(r"(\d+(us|ms|s|m|h))+")
SERVICE = {
    "image": TEXT, "build": (TEXT, {"context!": TEXT, "dockerfile": TEXT, "args": {"*": TEXT}}),
    "command": (TEXT, [TEXT]), "entrypoint": (TEXT, [TEXT]), "environment": {"*": (TEXT, int)},
    "volumes": [re.compile(r"[^:]+:/[^:]+(:ro)?")], "ports": [TEXT], "user": TEXT,
    "depends_on": {"*": {"condition!": {"service_started", "service_healthy",
                                        "service_completed_successfully"}}},
    "healthcheck": {"test!": [TEXT], "interval": DURATION, "timeout": DURATION, "retries": int,
                    "start_period": DURATION},
    "read_only": bool, "cap_drop": [TEXT], "security_opt": [TEXT], "tmpfs": [TEXT],
    "stop_grace_period": DURATION, "ulimits": {"*": (int, {"soft!": int, "hard!": int})},
    "restart": re.compile(r"no|always|unless-stopped|on-failure(:\d+)?"),
}
COMPOSE = {"name": re.compile(r"[a-z0-9][a-z0-9_-]*"), "services!": {"*": SERVICE},
           "volumes": {"*": {"driver": TEXT, "external": bool}}}

complaints = []


def complain(where, text):
    complaints.append(f"{where}: {text}")


def fits_text(value, schema):
    return isinstance(value, str) and schema.fullmatch(value) is not None


def alternative(value, schemas, where):
    before = len(complaints)
    for schema in schemas:
        check(value, schema, where)
        if len(complaints) == before:
            return
        found = complaints[before:]
        del complaints[before:]
    complaints.extend(found)


def fields(value, schema, where):
    known = {name.rstrip("!"): (part, name.endswith("!")) for name, part in schema.items()}
    if not isinstance(value, dict):
        complain(where, "is no object")
        return
    for name, (_, required) in known.items():
        if required and name not in value:
            complain(where, f"lacks {name}")
    for name, part in value.items():
        if name in known or "*" in known:
            check(part, known.get(name, known.get("*"))[0], f"{where}.{name}")
        else:
            complain(where, f"unknown field {name}")


def check(value, schema, where):
    if isinstance(schema, tuple):
        alternative(value, schema, where)
    elif isinstance(schema, dict):
        fields(value, schema, where)
    elif isinstance(schema, list):
        if not isinstance(value, list):
            complain(where, "is no list")
            return
        for i, part in enumerate(value):
            check(part, schema[0], f"{where}[{i}]")
    elif isinstance(schema, set):
        if value not in schema:
            complain(where, f"is {value!r}, not one of {sorted(schema)}")
    elif isinstance(schema, re.Pattern):
        if not fits_text(value, schema):
            complain(where, f"is {value!r}, which does not match {schema.pattern}")
    elif type(value) is not schema:
        complain(where, f"is {value!r}, not of type {schema.__name__}")


# ---- what fields cannot say by themselves ----

def relaxed(schema):
    """The schema of a patch, which has only some of the fields."""
    if isinstance(schema, dict):
        return {name.rstrip("!"): relaxed(part) for name, part in schema.items()}
    if isinstance(schema, list):
        return [relaxed(schema[0])]
    return schema


def check_statefulset(document, where):
    spec = document["spec"]
    pod = spec["template"]["spec"]
    volumes = {v["name"] for v in pod.get("volumes", [])}
    volumes |= {c["metadata"]["name"] for c in spec.get("volumeClaimTemplates", [])}
    for container in pod["containers"]:
        ports = {p["name"] for p in container.get("ports", [])}
        for probe in ("livenessProbe", "readinessProbe"):
            if container[probe]["httpGet"]["port"] not in ports:
                complain(where, f"the port of {probe} is not one of {sorted(ports)}")
        mounted = {m["name"] for m in container.get("volumeMounts", [])}
        if mounted != volumes:
            complain(where, f"volumes {sorted(volumes)}, mounts {sorted(mounted)}")


def check_selectors(documents, where):
    """Of rendered documents: every selector finds the pods, and every name is there."""
    by_kind = {}
    for d in documents:
        by_kind.setdefault(d["kind"], {})[d["metadata"]["name"]] = d
    (pods,) = by_kind["StatefulSet"].values()
    labels = pods["spec"]["template"]["metadata"]["labels"]
    selectors = [("StatefulSet", pods["spec"]["selector"]["matchLabels"])]
    for kind in ("Service", "PodDisruptionBudget", "PodMonitor"):
        for d in by_kind.get(kind, {}).values():
            selector = d["spec"]["selector"]
            selectors.append((kind, selector.get("matchLabels", selector)))
    for kind, selector in selectors:
        if not selector or not selector.items() <= labels.items():
            complain(where, f"the {kind} selects {selector}, the pods are {labels}")
    if pods["spec"]["serviceName"] not in by_kind["Service"]:
        complain(where, f"no Service {pods['spec']['serviceName']}")
    for volume in pods["spec"]["template"]["spec"]["volumes"]:
        for kind, key, name in (("ConfigMap", "configMap", "name"), ("Secret", "secret", "secretName")):
            if key in volume and volume[key][name] not in by_kind.get(kind, {}):
                complain(where, f"no {kind} {volume[key][name]}")


def load(path):
    with open(path, encoding="utf-8") as f:
        return [d for d in yaml.safe_load_all(f) if d is not None]


def check_kind(document, where, part=False):
    kind = (document.get("apiVersion"), document.get("kind"))
    if kind not in KINDS:
        complain(where, f"unknown kind {kind}")
        return
    before = len(complaints)
    check(document, relaxed(KINDS[kind]) if part else KINDS[kind], where)
    if kind[1] == "StatefulSet" and not part and len(complaints) == before:
        check_statefulset(document, where)


def check_folder(folder):
    path = os.path.join(folder, "kustomization.yaml")
    (document,) = load(path)
    check(document, KUSTOMIZATION, path)
    if document["apiVersion"] != KUSTOMIZE[document["kind"]]:
        complain(path, f"{document['kind']} has the apiVersion {document['apiVersion']}")
    used = {"kustomization.yaml"}
    for name in document.get("resources", []) + document.get("components", []):
        target = os.path.join(folder, name)
        used.add(name)
        if os.path.isdir(target):
            check_folder(target)
            continue
        for part in load(target):
            check_kind(part, target)
    for patch in document.get("patches", []):
        used.add(patch["path"])
        for part in load(os.path.join(folder, patch["path"])):
            check_kind(part, os.path.join(folder, patch["path"]), part=True)
    for generator in document.get("configMapGenerator", []) + document.get("secretGenerator", []):
        for name in generator.get("files", []) + generator.get("envs", []):
            used.add(name)
            if not os.path.isfile(os.path.join(folder, name)):
                complain(path, f"no file {name}")
    found = {os.path.relpath(os.path.join(d, f), folder) for d, _, fs in os.walk(folder) for f in fs}
    for name in sorted(found - used):
        complain(path, f"{name} is not used")


def check_rendered(path):
    documents = load(path)
    for document in documents:
        check_kind(document, f"{document['kind']} {document['metadata']['name']}")
    if not complaints:
        check_selectors(documents, path)


def check_compose(path):
    (document,) = load(path)
    check(document, COMPOSE, path)
    if complaints:
        return
    for name, service in document["services"].items():
        where = f"{path}: {name}"
        for other, needs in service.get("depends_on", {}).items():
            if needs["condition"] == "service_healthy" and "healthcheck" not in document["services"][other]:
                complain(where, f"{other} has no healthcheck")
        for volume in service.get("volumes", []):
            source = volume.split(":")[0]
            there = os.path.exists(os.path.join(os.path.dirname(path), source)) \
                if source.startswith(".") else source in document["volumes"]
            if not there:
                complain(where, f"no volume {source}")
        if isinstance(service.get("build"), dict):
            context = os.path.join(os.path.dirname(path), service["build"]["context"])
            if not os.path.isfile(os.path.join(context, service["build"]["dockerfile"])):
                complain(where, "no Dockerfile")


def main():
    todo = {"kubernetes": check_folder, "rendered": check_rendered, "compose": check_compose}
    for path in sys.argv[2:]:
        todo[sys.argv[1]](path)
    print("\n".join(complaints) or "all fields are known")
    sys.exit(1 if complaints else 0)


if __name__ == "__main__":
    main()
