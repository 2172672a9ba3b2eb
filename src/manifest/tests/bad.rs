//! Bad manifests and the first line that each is refused with.
//!
//! An expectation that ends in `…` is the beginning of the line.

use super::{WEB, load_text, replaced};

/// What to replace in a sound set, with what, and how the outcome is refused.
const SLIPS: [(&str, &str, &str); 72] = [
    (
        "replicas: 3",
        "replica: 3",
        "x.yaml:6:3: spec.replica: unknown field \"spec.replica\" (did you mean \"replicas\"?)",
    ),
    (
        "replicas: 3",
        "replicas: three",
        "x.yaml:6:13: spec.replicas: must be a whole number, not text (json: cannot unmarshal string into Go struct field StatefulSetSpec.spec.replicas of type int32)",
    ),
    (
        "replicas: 3",
        "replicas: -1",
        "x.yaml:6:13: spec.replicas: Invalid value: -1: must be greater than or equal to 0",
    ),
    (
        "replicas: 3",
        "replicas: 1.5",
        "x.yaml:6:13: spec.replicas: must be a whole number, not 1.5 (json: cannot unmarshal number 1.5 into Go struct field StatefulSetSpec.spec.replicas of type int32)",
    ),
    (
        "replicas: 3",
        "replicas: 3000000000",
        "x.yaml:6:13: spec.replicas: must be a whole number from -2147483648 to 2147483647 (json: cannot unmarshal number 3000000000 into Go struct field StatefulSetSpec.spec.replicas of type int32)",
    ),
    (
        "replicas: 3",
        "replicas: 20000",
        "x.yaml:6:13: spec.replicas: Invalid value: 20000: a set has at most 10000 pets",
    ),
    (
        "replicas: 3",
        "replicas: 3\n  replicas: 4",
        "x.yaml:7:3: key \"replicas\" already set in map (on line 6)",
    ),
    (
        "replicas: 3",
        "replicas: [3]",
        "x.yaml:6:3: spec.replicas: must be a whole number, not a list (json: cannot unmarshal array into Go struct field StatefulSetSpec.spec.replicas of type int32)",
    ),
    (
        "replicas: 3",
        "replicas: 3\n  ordinals: {start: -1}",
        "x.yaml:7:21: spec.ordinals.start: Invalid value: -1: must be greater than or equal to 0",
    ),
    (
        "replicas: 3",
        "replicas: 3\n  ordinals: {start: 2147483647}",
        "x.yaml:7:21: spec.ordinals.start: Invalid value: 2147483647: the last ordinal would be 2147483649",
    ),
    (
        "replicas: 3",
        "replicas: 3\n  podManagementPolicy: parallel",
        "x.yaml:7:24: spec.podManagementPolicy: Invalid value: \"parallel\": must be 'OrderedReady' or 'Parallel'",
    ),
    (
        "replicas: 3",
        "replicas: 3\n  podManagementPolicy: yes",
        "x.yaml:7:24: spec.podManagementPolicy: must be text, not true or false: put it in quotes (json: cannot unmarshal bool into Go struct field StatefulSetSpec.spec.podManagementPolicy of type v1.PodManagementPolicyType)",
    ),
    (
        "replicas: 3",
        "replicas: 3\n  updateStrategy: {type: Recreate}",
        "x.yaml:7:3: spec.updateStrategy: Invalid value: {\"Type\":\"Recreate\",\"RollingUpdate\":null}: must be 'RollingUpdate' or 'OnDelete'",
    ),
    (
        "replicas: 3",
        "replicas: 3\n  updateStrategy: OnDelete",
        "x.yaml:7:19: spec.updateStrategy: must be a map, not text (json: cannot unmarshal string into Go struct field StatefulSetSpec.spec.updateStrategy of type v1.StatefulSetUpdateStrategy)",
    ),
    (
        "replicas: 3",
        "replicas: 3\n  minReadySeconds: -5",
        "x.yaml:7:20: spec.minReadySeconds: Invalid value: -5: must be greater than or equal to 0",
    ),
    (
        "replicas: 3",
        "  replicas: 3",
        "x.yaml:7:3: this is not YAML: did not find expected key",
    ),
    (
        "name: web\nspec",
        "name: ../x\nspec",
        "x.yaml:4:9: metadata.name: Invalid value: \"../x\": a lowercase RFC 1123 label must consist of…",
    ),
    (
        "name: web\nspec",
        "name: Web\nspec",
        "x.yaml:4:9: metadata.name: Invalid value: \"Web\": a lowercase RFC 1123 label must consist of…",
    ),
    (
        "name: web\nspec",
        "name: web.a\nspec",
        "x.yaml:4:9: metadata.name: Invalid value: \"web.a\": must not contain dots",
    ),
    (
        "name: web\nspec",
        "name: 7\nspec",
        "x.yaml:4:9: metadata.name: must be text, not a number: put it in quotes (json: cannot unmarshal number into Go struct field ObjectMeta.metadata.name of type string)",
    ),
    (
        "name: web\nspec",
        "name: web\n  namespace: a_b\nspec",
        "x.yaml:5:14: metadata.namespace: Invalid value: \"a_b\": a lowercase RFC 1123 label must consist of…",
    ),
    (
        "name: web\nspec",
        "generateName: web-\nspec",
        "x.yaml:4:3: metadata.generateName: petset makes up no names: give a metadata.name",
    ),
    (
        "name: web\nspec",
        "labels: {}\nspec",
        "x.yaml:3:1: metadata.name: Required value: name or generateName is required",
    ),
    (
        "  name: web\nspec",
        "  name: aaaaaaaaaabbbbbbbbbbccccccccccddddddddddeeeeeeeeeeffffffffff12\nspec",
        "x.yaml:4:9: metadata.name: Invalid value: \"aaaaaaaaaabbbbbbbbbbccccccccccddddddddddeeeeeeeeeeffffffffff12\": the name of pet 2 would have 64 characters, and a host name has at most 63",
    ),
    (
        "name: web\nspec",
        "name: web\n  labels: {a b: c}\nspec",
        "x.yaml:5:3: metadata.labels: Invalid value: \"a b\": name part must consist of…",
    ),
    (
        "name: web\nspec",
        "name: web\n  labels: {a: yes}\nspec",
        "x.yaml:5:15: metadata.labels[a]: must be text, not true or false: put it in quotes (json: cannot unmarshal bool into Go struct field ObjectMeta.metadata.labels of type string)",
    ),
    // What apps/v1 demands of a set (C31).
    (
        "matchLabels: {app: web}",
        "matchLabels: {app: db}",
        "x.yaml:12:7: spec.template.metadata.labels: Invalid value: {\"app\":\"web\"}: `selector` does not match template `labels`",
    ),
    (
        "matchLabels: {app: web}",
        "{}",
        "x.yaml:8:3: spec.selector: Invalid value: {}: empty selector is invalid for statefulset",
    ),
    (
        "selector:\n    matchLabels: {app: web}",
        "selector: null",
        "x.yaml:8:3: spec.selector: Required value",
    ),
    (
        "serviceName: web",
        "serviceName: Web",
        "x.yaml:7:16: spec.serviceName: Invalid value: \"Web\": a lowercase RFC 1123 label must consist of…",
    ),
    (
        "kind: StatefulSet",
        "kind: statefulset",
        "x.yaml:2:7: kind: no kind \"statefulset\" is registered for version \"apps/v1\" (did you mean StatefulSet of apps/v1?)",
    ),
    (
        "kind: StatefulSet",
        "kind: PetSet",
        "x.yaml:2:7: kind: no kind \"PetSet\" is registered for version \"apps/v1\" (did you mean PetSet of apps/v1alpha1?)",
    ),
    (
        "apiVersion: apps/v1",
        "apiVersion: v1",
        "x.yaml:2:7: kind: no kind \"StatefulSet\" is registered for version \"v1\" (did you mean StatefulSet of apps/v1?)",
    ),
    (
        "kind: StatefulSet\n",
        "",
        "x.yaml:1:1: Object 'Kind' is missing",
    ),
    (
        "apiVersion: apps/v1\n",
        "",
        "x.yaml:1:1: Object 'apiVersion' is missing",
    ),
    (
        "- name: c",
        "- nam: c",
        "x.yaml:15:9: spec.template.spec.containers[0].nam: unknown field \"spec.template.spec.containers[0].nam\" (did you mean \"name\"?)",
    ),
    (
        "- name: c",
        "- name: C_1",
        "x.yaml:15:15: spec.template.spec.containers[0].name: Invalid value: \"C_1\": a lowercase RFC 1123 label must consist of…",
    ),
    (
        "image: img:v1",
        "image: ''",
        "x.yaml:16:16: spec.template.spec.containers[0].image: Required value",
    ),
    (
        "image: img:v1",
        "image: img:v1\n        command: sleep 1",
        "x.yaml:17:18: spec.template.spec.containers[0].command: must be a list, not text (json: cannot unmarshal string into Go struct field Container.spec.template.spec.containers.command of type []string)",
    ),
    (
        "image: img:v1",
        "image: img:v1\n        args: [1]",
        "x.yaml:17:16: spec.template.spec.containers[0].args[0]: must be text, not a number: put it in quotes (json: cannot unmarshal number into Go struct field Container.spec.template.spec.containers.args of type string)",
    ),
    (
        "image: img:v1",
        "image: img:v1\n        env: [{name: A, value: 0400}]",
        "x.yaml:17:32: spec.template.spec.containers[0].env[0].value: must be text, not a number: put it in quotes (json: cannot unmarshal number into Go struct field EnvVar.spec.template.spec.containers.env.value of type string)",
    ),
    (
        "image: img:v1",
        "image: img:v1\n        env: [{name: A, value: yes}]",
        "x.yaml:17:32: spec.template.spec.containers[0].env[0].value: must be text, not true or false: put it in quotes (json: cannot unmarshal bool into Go struct field EnvVar.spec.template.spec.containers.env.value of type string)",
    ),
    (
        "image: img:v1",
        "image: img:v1\n        env: {A: b}",
        "x.yaml:17:9: spec.template.spec.containers[0].env: must be a list, not a map (json: cannot unmarshal object into Go struct field Container.spec.template.spec.containers.env of type []v1.EnvVar)",
    ),
    (
        "image: img:v1",
        "image: img:v1\n        env: [{name: A, valueFrom: {fieldRef: {fieldPath: status.podIp}}}]",
        "x.yaml:17:59: spec.template.spec.containers[0].env[0].valueFrom.fieldRef.fieldPath: Invalid value: \"status.podIp\": error converting fieldPath: field label not supported: status.podIp",
    ),
    (
        "image: img:v1",
        "image: img:v1\n        resources: {limits: {cpu: lots}}",
        "x.yaml:17:35: spec.template.spec.containers[0].resources.limits[cpu]: quantities must match the regular expression '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'",
    ),
    (
        "image: img:v1",
        "image: img:v1\n        readinessProbe: {httpGet: {path: /}}",
        "x.yaml:17:26: spec.template.spec.containers[0].readinessProbe.httpGet.port: Invalid value: 0: must be between 1 and 65535, inclusive",
    ),
    (
        "image: img:v1",
        "image: img:v1\n        readinessProbe: {grpc: {port: 0}}",
        "x.yaml:17:39: spec.template.spec.containers[0].readinessProbe.grpc.port: Invalid value: 0: must be between 1 and 65535, inclusive",
    ),
    (
        "image: img:v1",
        "image: img:v1\n        readinessProbe: {tcpSocket: {port: 80}, periodSeconds: 1s}",
        "x.yaml:17:64: spec.template.spec.containers[0].readinessProbe.periodSeconds: must be a whole number, not text (json: cannot unmarshal string into Go struct field Probe.spec.template.spec.containers.readinessProbe.periodSeconds of type int32)",
    ),
    (
        "image: img:v1",
        "image: img:v1\n        lifecycle: {preStop: {exec: {}}}",
        "x.yaml:17:31: spec.template.spec.containers[0].lifecycle.preStop.exec.command: Required value",
    ),
    (
        "image: img:v1",
        "image: img:v1\n        lifecycle: {preStop: {sleep: {seconds: 60}}}",
        "x.yaml:17:31: spec.template.spec.containers[0].lifecycle.preStop.sleep: Invalid value: 60: must be non-negative and less than terminationGracePeriodSeconds (30)",
    ),
    (
        "image: img:v1",
        "image: img:v1\n        imagePullPolicy: Sometimes",
        "x.yaml:17:26: spec.template.spec.containers[0].imagePullPolicy: Unsupported value: \"Sometimes\": supported values: \"Always\", \"IfNotPresent\", \"Never\"",
    ),
    (
        "containerPort: 80",
        "containerPort: 0",
        "x.yaml:19:26: spec.template.spec.containers[0].ports[0].containerPort: Required value",
    ),
    (
        "containerPort: 80",
        "containerPort: http",
        "x.yaml:19:26: spec.template.spec.containers[0].ports[0].containerPort: must be a whole number, not text (json: cannot unmarshal string into Go struct field ContainerPort.spec.template.spec.containers.ports.containerPort of type int32)",
    ),
    (
        "name: http",
        "name: http-is-far-too-long",
        "x.yaml:18:17: spec.template.spec.containers[0].ports[0].name: Invalid value: \"http-is-far-too-long\": must be no more than 15 characters",
    ),
    (
        "- name: data",
        "- name: date",
        "x.yaml:21:17: spec.template.spec.containers[0].volumeMounts[0].name: Not found: \"date\"",
    ),
    (
        "mountPath: /data",
        "mountPath: /data\n          subPath: ../x",
        "x.yaml:20:9: spec.template.spec.containers[0].volumeMounts.subPath: Invalid value: \"../x\": must not contain '..'",
    ),
    (
        "mountPath: /data",
        "path: /data",
        "x.yaml:22:11: spec.template.spec.containers[0].volumeMounts[0].path: unknown field \"spec.template.spec.containers[0].volumeMounts[0].path\"",
    ),
    (
        "- metadata: {name: data}",
        "- metadata: {name: DATA}",
        "x.yaml:24:22: spec.template.spec.volumes[0].name: Invalid value: \"DATA\": a lowercase RFC 1123 label must consist of…",
    ),
    (
        "[ReadWriteOnce]",
        "ReadWriteOnce",
        "x.yaml:26:20: spec.volumeClaimTemplates[0].spec.accessModes: must be a list, not text (json: cannot unmarshal string into Go struct field PersistentVolumeClaimSpec.spec.volumeClaimTemplates.spec.accessModes of type []v1.PersistentVolumeAccessMode)",
    ),
    (
        "[ReadWriteOnce]",
        "[Once]",
        "x.yaml:26:7: spec.volumeClaimTemplates[0].spec.accessModes: Unsupported value: \"Once\": supported values: \"ReadOnlyMany\", \"ReadWriteMany\", \"ReadWriteOnce\", \"ReadWriteOncePod\"",
    ),
    (
        "{requests: {storage: 1Gi}}",
        "{requests: {storage: 1 GB}}",
        "x.yaml:27:39: spec.volumeClaimTemplates[0].spec.resources.requests[storage]: quantities must match the regular expression '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'",
    ),
    (
        "{requests: {storage: 1Gi}}",
        "{}",
        "x.yaml:27:7: spec.volumeClaimTemplates[0].spec.resources[storage]: Required value",
    ),
    (
        "      containers:",
        "      restartPolicy: Never\n      containers:",
        "x.yaml:14:22: spec.template.spec.restartPolicy: Unsupported value: \"Never\": supported values: \"Always\"",
    ),
    (
        "      containers:",
        "      activeDeadlineSeconds: 5\n      containers:",
        "x.yaml:14:30: spec.template.spec.activeDeadlineSeconds: Forbidden: activeDeadlineSeconds in StatefulSet is not Supported",
    ),
    (
        "      containers:",
        "      initContainers: [{name: c, image: x}]\n      containers:",
        "x.yaml:14:31: spec.template.spec.initContainers[0].name: Duplicate value: \"c\"",
    ),
    (
        "      containers:",
        "      initContainers: [{name: i, image: x, readinessProbe: {tcpSocket: {port: 1}}}]\n      containers:",
        "x.yaml:14:44: spec.template.spec.initContainers[0].readinessProbe: Forbidden: may not be set for init containers without restartPolicy=Always",
    ),
    (
        "      containers:",
        "      volumes: [{name: v, hostPath: {path: /a/../b}}]\n      containers:",
        "x.yaml:14:44: spec.template.spec.volumes[1].hostPath.path: Invalid value: \"/a/../b\": must not contain '..'",
    ),
    (
        "      containers:",
        "      volumes: [{name: v, emptyDir: {}, hostPath: {path: /x}}]\n      containers:",
        "x.yaml:14:41: spec.template.spec.volumes[1].hostPath: Forbidden: may not specify more than 1 volume type",
    ),
    (
        "      containers:",
        "      volumes: [{name: v, secret: {name: s}}]\n      containers:",
        "x.yaml:14:36: spec.template.spec.volumes[0].secret.name: unknown field \"spec.template.spec.volumes[0].secret.name\"",
    ),
    (
        "      labels: {app: web}",
        "      labels: {app: web}\n      annotations: {pod.beta.kubernetes.io/init-containers: '[{\"nam\": \"x\"}]'}",
        "x.yaml:13:61: spec.template.metadata.annotations[pod.beta.kubernetes.io/init-containers]: [0].nam: unknown field \"[0].nam\"",
    ),
    (
        "      labels: {app: web}",
        "      labels: {app: web}\n      annotations: {pod.beta.kubernetes.io/init-containers: '[{\"name\": \"X\", \"image\": \"i\"}]'}",
        "x.yaml:13:21: spec.template.spec.initContainers[0].name: Invalid value: \"X\": a lowercase RFC 1123 label must consist of…",
    ),
    (
        "      labels: {app: web}",
        "      labels: {app: web, -a: b}",
        "x.yaml:12:7: spec.template.labels: Invalid value: \"-a\": name part must consist of…",
    ),
];

/// Whole texts and how they are refused.
const TEXTS: [(&str, &str); 31] = [
    (
        "a: [",
        "x.yaml:2:1: this is not YAML: did not find expected node content",
    ),
    (
        "\ta: b",
        "x.yaml:1:1: this is not YAML: found character that cannot start any token \
         (it is a tab: YAML is indented with spaces)",
    ),
    ("just text", "x.yaml:1:1: a manifest is a map, not string"),
    ("- a\n- b", "x.yaml:1:1: a manifest is a map, not array"),
    ("{}", "x.yaml:1:1: Object 'apiVersion' is missing"),
    (
        "apiVersion: v1\nkind: Service\nmetadata: {name: 1web}\nspec: {clusterIP: None}",
        "x.yaml:3:18: metadata.name: Invalid value: \"1web\": a DNS-1035 label must consist of…",
    ),
    (
        "apiVersion: v1\nkind: Service\nmetadata: {name: s}\nspec: {selector: {a: b}}",
        "x.yaml:4:1: spec.ports: Required value",
    ),
    (
        "apiVersion: v1\nkind: Service\nmetadata: {name: s}\nspec: {ports: [{port: 80}, {port: 81}]}",
        "x.yaml:4:16: spec.ports[0].name: Required value",
    ),
    (
        "apiVersion: v1\nkind: Service\nmetadata: {name: s}\nspec: {ports: [{port: 80, name: a}, {port: 81, name: a}]}",
        "x.yaml:4:54: spec.ports[1].name: Duplicate value: \"a\"",
    ),
    (
        "apiVersion: v1\nkind: Service\nmetadata: {name: s}\nspec: {type: Headless, clusterIP: None}",
        "x.yaml:4:14: spec.type: Unsupported value: \"Headless\": supported values: \"ClusterIP\", \"ExternalName\", \"LoadBalancer\", \"NodePort\"",
    ),
    (
        "apiVersion: v1\nkind: Service\nmetadata: {name: s}\nspec: {type: ExternalName}",
        "x.yaml:4:1: spec.externalName: Required value",
    ),
    (
        "apiVersion: v1\nkind: Service\nmetadata: {name: s}\nspec: {clusterIP: none, ports: [{port: 80}]}",
        "x.yaml:4:19: spec.clusterIPs[0]: Invalid value: \"none\": must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)",
    ),
    (
        "apiVersion: v1\nkind: Service\nmetadata: {name: s}\nspec: {ports: [{port: 80, targetPort: false}]}",
        "x.yaml:4:39: spec.ports[0].targetPort: must be a number or text, not true or false (json: cannot unmarshal bool into Go value of type int32)",
    ),
    (
        "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: c}\ndata: {a/b: x}",
        "x.yaml:4:13: data[a/b]: Invalid value: \"a/b\": a valid config key must consist of…",
    ),
    (
        "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: c}\ndata: {a: 1}",
        "x.yaml:4:11: data[a]: must be text, not a number: put it in quotes (json: cannot unmarshal number into Go struct field ConfigMap.data of type string)",
    ),
    (
        "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: c}\ndata: {..: x}",
        "x.yaml:4:12: data[..]: Invalid value: \"..\": must not be '..'",
    ),
    (
        "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: c}\ndata: [a]",
        "x.yaml:4:1: data: must be a map, not a list (json: cannot unmarshal array into Go struct field ConfigMap.data of type map[string]string)",
    ),
    (
        "apiVersion: v1\nkind: Secret\nmetadata: {name: s}\ndata: {a: 'not base64'}",
        "x.yaml:4:11: data[a]: illegal base64 data at input byte 3",
    ),
    (
        "apiVersion: v1\nkind: Secret\nmetadata: {name: s}\nstringData: {a b: x}",
        "x.yaml:4:19: data[a b]: Invalid value: \"a b\": a valid config key must consist of…",
    ),
    (
        "apiVersion: v1\nkind: Secret\nmetadata: {name: S}",
        "x.yaml:3:18: metadata.name: Invalid value: \"S\": a lowercase RFC 1123 subdomain must consist of…",
    ),
    (
        "apiVersion: v1\nkind: PersistentVolumeClaim\nmetadata: {name: p}\nspec: {accessModes: [ReadWriteOnce]}",
        "x.yaml:4:1: spec.resources[storage]: Required value",
    ),
    (
        "apiVersion: v1\nkind: Pod\nmetadata: {name: p}\nspec: {containers: []}",
        "x.yaml:4:8: spec.containers: Required value",
    ),
    (
        "apiVersion: v1\nkind: pod\nmetadata: {name: p}",
        "x.yaml:2:7: kind: no kind \"pod\" is registered for version \"v1\" (did you mean Pod of v1?)",
    ),
    (
        "apiVersion: apps/v1\nkind: StatefullSet\nmetadata: {name: web}",
        "x.yaml:2:7: kind: no kind \"StatefullSet\" is registered for version \"apps/v1\" (did you mean StatefulSet of apps/v1?)",
    ),
    (
        "apiVersion: v1\nkind: Gadget\nmetadata: {name: g}",
        "x.yaml:2:7: kind: no kind \"Gadget\" is registered for version \"v1\"",
    ),
    (
        "apiVersion: v1\nkind: ConfigMap\nmetadata:\n\u{a0}\u{a0}name: c",
        "x.yaml:4:1: \u{a0}\u{a0}name: unknown field \"\\u{a0}\\u{a0}name\" (column 1 of line 4 holds a no-break space (U+00A0), which is not taken for a space)",
    ),
    (
        "apiVersion:\u{a0}v1\nkind: ConfigMap\nmetadata: {name: c}",
        "x.yaml:1:1: a manifest is a map, not string (column 12 of line 1 holds a no-break space (U+00A0), which is not taken for a space)",
    ),
    (
        "apiVersion: v1\n\u{200b}kind: ConfigMap\nmetadata: {name: c}",
        "x.yaml:1:1: Object 'Kind' is missing (column 1 of line 2 holds a zero-width space (U+200B), which is not taken for a space)",
    ),
    (
        "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: c}\n---\napiVersion: v1\nkind: ConfigMap\nmetadata: {name: c}",
        "x.yaml:7:18: metadata.name: ConfigMap \"c\" is given twice, first at x.yaml:3:18",
    ),
    (
        "apiVersion: v1\nkind: List\nitems:\n- apiVersion: v1\n  kind: ConfigMap\n  metadata: {nam: c}",
        "x.yaml:6:14: metadata.nam: unknown field \"metadata.nam\" (did you mean \"name\"?)",
    ),
    (
        "{\"apiVersion\": \"v1\", \"kind\": \"ConfigMap\",\n \"metadata\": {\"name\": \"C\"}}",
        "x.yaml:2:23: metadata.name: Invalid value: \"C\": a lowercase RFC 1123 subdomain must consist of…",
    ),
];

/// Returns what was said instead, where that differs.
fn mistaken(text: &str, expected: &str) -> Option<String> {
    let message = load_text(text).err().unwrap_or_default();
    let first = message.lines().next().unwrap_or("accepted");
    let right = match expected.strip_suffix('…') {
        Some(beginning) => first.starts_with(beginning),
        None => first == expected,
    };
    (!right).then(|| format!("{text}\nexpected {expected}\nfound    {first}"))
}

#[test]
fn a_slip_in_a_set_is_refused_with_its_place() {
    let wrong = SLIPS.map(|(from, to, expected)| mistaken(&replaced(WEB, from, to), expected));
    let wrong: Vec<String> = wrong.into_iter().flatten().collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn other_bad_texts_are_refused_with_their_place() {
    let wrong = TEXTS.map(|(text, expected)| mistaken(text, expected));
    let wrong: Vec<String> = wrong.into_iter().flatten().collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn wrong_endpoints_are_refused_with_their_place() {
    let cases = [
        (
            "v1\nkind: Endpoints\nmetadata: {name: e}\nsubsets:\n- ports: [{port: 0}]",
            "x.yaml:5:3: subsets[0]: Required value: must specify `addresses` or \
             `notReadyAddresses`\nx.yaml:5:18: subsets[0].ports[0].port: Invalid value: 0: must be \
             between 1 and 65535, inclusive",
        ),
        (
            "v1\nkind: Endpoints\nmetadata: {name: e}\nsubsets:\n- addresses: [{ip: db.example}]",
            "x.yaml:5:20: subsets[0].addresses[0].ip: Invalid value: \"db.example\": must be a valid \
             IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)",
        ),
        (
            "discovery.k8s.io/v1\nkind: EndpointSlice\nmetadata: {name: e}\naddressType: IPv4\n\
             endpoints:\n- addresses: [\"::1\"]",
            "x.yaml:6:15: endpoints[0].addresses[0]: Invalid value: \"::1\": must be a valid IPv4 \
             address",
        ),
    ];
    for (text, expected) in cases {
        let refused = load_text(&format!("apiVersion: {text}")).unwrap_err();
        assert_eq!(refused, expected);
    }
}

#[test]
fn a_hundred_thousand_keys_are_no_more_work_than_their_number() {
    let begin = std::time::Instant::now();
    let head = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\n";
    let keys = |lead: &str, different: u32| -> String {
        let lines = (0..100_000).map(|it| format!("{lead}key{}: v\n", it % different));
        lines.collect()
    };
    let fine = format!("{head}data:\n{}", keys("  ", 100_000));
    assert_eq!(load_text(&fine).unwrap().objects.len(), 1);
    // So many faults are counted, and the first ones told.
    for (text, first, untold) in [
        (
            format!("{head}data:\n{}", keys("  ", 50_000)),
            "x.yaml:50005:3: key \"key0\" already set in map (on line 5)",
            49_000,
        ),
        (
            format!("{head}{}", keys("", 100_000)),
            "x.yaml:4:1: key0: unknown field \"key0\"",
            99_000,
        ),
    ] {
        let refused = load_text(&text).unwrap_err();
        assert_eq!(refused.lines().next(), Some(first));
        assert_eq!(refused.lines().count(), 1_001);
        let last = format!("... and {untold} more like these");
        assert_eq!(refused.lines().last(), Some(last.as_str()));
    }
    // Far more than it takes, and far less than a look at all keys for each would.
    assert!(begin.elapsed().as_secs() < 60);
}

#[test]
fn all_faults_of_all_documents_come_at_once() {
    let broken = replaced(WEB, "replicas: 3", "replica: 3");
    let broken = replaced(&broken, "containerPort: 80", "containerPort: http");
    let text = format!(
        "{broken}---\n{}",
        replaced(WEB, "image: img:v1", "image: ''")
    );
    let message = load_text(&text).unwrap_err();
    let places: Vec<&str> = message
        .lines()
        .map(|line| line.split(": ").next().unwrap())
        .collect();
    assert_eq!(
        places,
        ["x.yaml:6:3", "x.yaml:19:26", "x.yaml:44:16"],
        "{message}"
    );
}
