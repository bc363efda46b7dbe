#!/usr/bin/env bats
# The files for Kubernetes and Compose, without a cluster: every field is one that the API has, names and
# selectors find each other, and walpipe accepts the configs. docs/kubernetes.md says that no more was tried.

bats_require_minimum_version 1.5.0

setup() {
    root=$(cd "$BATS_TEST_DIRNAME/../.." && pwd)
    : "${WALPIPE_BIN:=$root/build/asan/bin}"
    manifests=$root/test/lib/manifests.py
    copy=$BATS_TEST_TMPDIR/scripts
    mkdir "$copy"
    cp -r "$root/scripts/kubernetes" "$root/scripts/container" "$copy"
}

# finds TEXT SED-COMMAND FILE: with this mistake the check fails and says TEXT.
finds() {
    local before
    before=$(cat "$copy/$3")
    sed -i "$2" "$copy/$3"
    [ "$before" != "$(cat "$copy/$3")" ]
    run -1 /usr/bin/python3 "$manifests" "$kind" "$what"
    echo "$output"
    [[ "$output" == *"$1"* ]]
    cat >"$copy/$3" <<<"$before"
}

@test "manifests: every field of the kustomizations is known, and mistakes are found" {
    kind=kubernetes what=$copy/kubernetes/orders
    /usr/bin/python3 "$manifests" kubernetes "$what" "$copy/kubernetes/monitor"
    finds "unknown field readOnlyRootFileSystem" 's/readOnlyRootFilesystem/readOnlyRootFileSystem/' \
        kubernetes/base/statefulset.yaml
    finds "is '288', not of type int" 's/defaultMode: 0440/defaultMode: "288"/' \
        kubernetes/base/statefulset.yaml
    finds "the port of livenessProbe" '/livez/{n;s/http/web/}' kubernetes/base/statefulset.yaml
    finds "unknown field replica" 's/replicas/replica/' kubernetes/standby/statefulset.yaml
    finds "lacks selector" '/selector:/,$d' kubernetes/standby/poddisruptionbudget.yaml
    finds "no file pipeline.cfg" 's/pipeline.conf/pipeline.cfg/' kubernetes/orders/kustomization.yaml
    finds "unknown kind" 's,policy/v1,policy/v1beta1,' kubernetes/standby/poddisruptionbudget.yaml
}

@test "manifests: the state directory stays closed, nothing runs as root, and the drain has its time" {
    # shellcheck disable=SC2016 # Python
    /usr/bin/python3 - "$copy/kubernetes/base/statefulset.yaml" <<'PYTHON'
import sys, yaml
pod = yaml.safe_load(open(sys.argv[1]))["spec"]["template"]["spec"]
own = pod["containers"][0]["securityContext"]
assert pod["securityContext"]["fsGroupChangePolicy"] == "OnRootMismatch"
assert pod["securityContext"]["runAsNonRoot"] and pod["securityContext"]["runAsUser"] > 0
assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
assert own == {"allowPrivilegeEscalation": False, "readOnlyRootFilesystem": True,
               "capabilities": {"drop": ["ALL"]}}
assert [v["secret"]["defaultMode"] for v in pod["volumes"] if "secret" in v] == [0o440]
assert pod["terminationGracePeriodSeconds"] > 60
PYTHON
    grep -q 'stop_grace_period: 75s' "$copy/container/compose.yaml"
}

@test "manifests: kubectl renders the example, and its names and selectors find each other" {
    kubectl version --client 2>/dev/null | grep -q '^Kustomize Version: v[5-9]' ||
        skip "no kubectl with kustomize 5 is installed; Debian 12 has none"
    sed -i 's/# - \.\.\/monitor/- ..\/monitor/' "$copy/kubernetes/orders/kustomization.yaml"
    kubectl kustomize "$copy/kubernetes/orders" >"$BATS_TEST_TMPDIR/rendered.yaml"
    grep -q 'kind: PodMonitor' "$BATS_TEST_TMPDIR/rendered.yaml"
    /usr/bin/python3 "$manifests" rendered "$BATS_TEST_TMPDIR/rendered.yaml"
}

@test "manifests: every field of compose.yaml is known, and mistakes are found" {
    kind=compose what=$copy/container/compose.yaml
    /usr/bin/python3 "$manifests" compose "$what"
    finds "unknown field readonly" 's/read_only/readonly/' container/compose.yaml
    finds "source has no healthcheck" '/healthcheck/,/retries/d' container/compose.yaml
    finds "no volume ./pipe.conf" 's,\./pipeline,./pipe,' container/compose.yaml
}

@test "manifests: walpipe reads the configs, with their passwords from where the files put them" {
    local variable
    sed -i "s,/var/lib/walpipe,$BATS_TEST_TMPDIR/state," "$copy"/*/pipeline.conf "$copy"/*/*/pipeline.conf
    # shellcheck disable=SC2046 # one word for each variable
    env $(cat "$copy/kubernetes/orders/secrets/variables.env") "$WALPIPE_BIN/walpipe" print \
        -c "$copy/kubernetes/orders/pipeline.conf" >"$BATS_TEST_TMPDIR/script"
    grep -q 'PGPASSWORD=$(cat /run/walpipe/source.pw)' "$BATS_TEST_TMPDIR/script"
    grep -q 'PGPASSWORD=$WALPIPE_DST_PASSWORD' "$BATS_TEST_TMPDIR/script"
    grep -q 'password-file /run/walpipe/olap.pw' "$BATS_TEST_TMPDIR/script"
    # shellcheck disable=SC2046
    env $(sed -n 's/^ *\(WALPIPE_[A-Z]*_PASSWORD\): /\1=/p' "$copy/container/compose.yaml") \
        "$WALPIPE_BIN/walpipe" print -c "$copy/container/pipeline.conf" >"$BATS_TEST_TMPDIR/script"
    for variable in WALPIPE_SOURCE_PASSWORD WALPIPE_DST_PASSWORD WALPIPE_OLAP_PASSWORD; do
        grep -q "PASSWORD=\$$variable" "$BATS_TEST_TMPDIR/script"
    done
}
