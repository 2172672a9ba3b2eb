//! What good manifests become: old forms, defaults, lists, warnings.

use serde_json::{Value, json};

use super::{LoadedObjects, WEB, load_text, only, replaced, texts};

/// Returns the object's JSON after loading.
fn stored(text: &str) -> Value {
    only(text).to_json().unwrap()
}

fn warnings(text: &str) -> String {
    texts(&load_text(text).unwrap()).join("\n")
}

/// Adds lines to the pod template of the sound set.
fn with_pod(lines: &str) -> String {
    replaced(
        WEB,
        "      containers:\n",
        &format!("{lines}      containers:\n"),
    )
}

/// Adds lines to the container of the sound set.
fn with_container(lines: &str) -> String {
    replaced(
        WEB,
        "        image: img:v1\n",
        &format!("        image: img:v1\n{lines}"),
    )
}

#[test]
fn an_object_gets_the_namespace_of_the_command_unless_it_has_one() {
    assert_eq!(only(WEB).namespace(), "default");
    let own = replaced(WEB, "name: web\nspec", "name: web\n  namespace: own\nspec");
    assert_eq!(only(&own).namespace(), "own");
    assert_eq!(only(&own).name(), "web");
}

#[test]
fn lists_documents_and_json_are_all_read() {
    let map =
        |name: &str| format!("{{apiVersion: v1, kind: ConfigMap, metadata: {{name: {name}}}}}");
    let list = format!(
        "apiVersion: v1\nkind: List\nitems:\n- {}\n- {}\n",
        map("a"),
        map("b")
    );
    let text = format!("# first\n---\n{list}---\n\n---\n{}\n", map("c"));
    let names = |loaded: &LoadedObjects| -> Vec<String> {
        loaded
            .objects
            .iter()
            .map(|object| object.name().to_owned())
            .collect()
    };
    assert_eq!(names(&load_text(&text).unwrap()), ["a", "b", "c"]);
    let json = "{\n\t\"apiVersion\": \"v1\",\n\t\"kind\": \"ConfigMap\",\n\t\"metadata\": {\"name\": \"j\"}\n}\n";
    assert_eq!(names(&load_text(json).unwrap()), ["j"]);
    assert_eq!(names(&load_text("").unwrap()), Vec::<String>::new());
    let typed = format!("apiVersion: v1\nkind: ConfigMapList\nitems: [{}]", map("t"));
    assert_eq!(names(&load_text(&typed).unwrap()), ["t"]);
}

#[test]
fn a_name_that_no_cluster_could_use_is_remarked_on() {
    // R24, C33
    let named = |length: usize| {
        let name = format!("  name: {}\nspec", "a".repeat(length));
        warnings(&replaced(WEB, "  name: web\nspec", &name))
    };
    assert_eq!(named(52), "");
    assert!(named(53).contains("metadata.name: runs here, but no cluster"));
}

#[test]
fn other_kinds_are_skipped_and_named() {
    let text = format!("apiVersion: v1\nkind: Namespace\nmetadata: {{name: foo}}\n---\n{WEB}");
    let loaded = load_text(&text).unwrap();
    assert_eq!(loaded.objects.len(), 1);
    let expected =
        "x.yaml:2:7: ignored Namespace/foo: petset runs workloads and what belongs to them";
    assert_eq!(texts(&loaded), [expected]);
    // KubeDB has another PetSet (D11).
    let other = "apiVersion: apps.k8s.appscode.com/v1\nkind: PetSet\nmetadata: {name: x}";
    assert_eq!(load_text(other).unwrap().objects, []);
}

#[test]
fn what_only_a_server_writes_is_dropped() {
    let meta = "name: web\n  uid: u\n  resourceVersion: '7'\n  creationTimestamp: null\n  generation: 4\nspec";
    let text = replaced(WEB, "name: web\nspec", meta) + "status: {replicas: 3}\n";
    assert_eq!(only(&text), only(WEB));
}

#[test]
fn a_pet_set_of_1_3_becomes_a_stateful_set() {
    let text = "\
apiVersion: apps/v1alpha1
kind: PetSet
metadata:
  name: web
spec:
  serviceName: web
  template:
    metadata:
      labels: {app: web}
      annotations:
        pod.alpha.kubernetes.io/initialized: \"true\"
        pod.alpha.kubernetes.io/init-containers: '[
            {\"name\": \"alpha\", \"image\": \"i:1\"}
        ]'
        pod.beta.kubernetes.io/init-containers: '[{\"name\": \"beta\", \"image\": \"i:1\", \"command\": [\"true\"]}]'
    spec:
      initContainers: [{name: field, image: x}]
      containers: [{name: c, image: i}]
";
    let spec = stored(text)["spec"].clone();
    assert_eq!(
        spec["selector"],
        json!({"matchLabels": {"app": "web"}}),
        "C30"
    );
    assert_eq!(spec["updateStrategy"], json!({"type": "OnDelete"}), "C82");
    let inits = &spec["template"]["spec"]["initContainers"];
    assert_eq!(inits.as_array().unwrap().len(), 1);
    assert_eq!(inits[0]["name"], "beta", "I31");
    assert_eq!(inits[0]["terminationMessagePath"], "/dev/termination-log");
    let annotations = &spec["template"]["metadata"]["annotations"];
    assert_eq!(
        *annotations,
        json!({"pod.alpha.kubernetes.io/initialized": "true"})
    );
    let current = text
        .replace("v1alpha1", "v1")
        .replace("kind: PetSet", "kind: StatefulSet")
        .replace(
            "  serviceName",
            "  selector: {matchLabels: {app: web}}\n  serviceName",
        );
    let spec = stored(&current)["spec"].clone();
    let inits = &spec["template"]["spec"]["initContainers"];
    assert_eq!(inits[0]["name"], "field", "today the field counts (I31)");
    let annotated = current.replace("      initContainers: [{name: field, image: x}]\n", "");
    let spec = stored(&annotated)["spec"].clone();
    let inits = &spec["template"]["spec"]["initContainers"];
    assert_eq!(inits[0]["name"], "beta", "petset reads it in every version");
    assert!(
        warnings(&annotated).contains("taken as initContainers; Kubernetes ignores it since 1.8")
    );
}

#[test]
fn only_the_earliest_versions_default_to_on_delete() {
    let of = |version: &str| {
        let text = replaced(WEB, "apps/v1", version);
        stored(&text)["spec"]["updateStrategy"]["type"].clone()
    };
    assert_eq!(of("apps/v1beta1"), "OnDelete");
    assert_eq!(of("apps/v1beta2"), "RollingUpdate");
    assert_eq!(of("apps/v1"), "RollingUpdate");
}

#[test]
fn the_old_annotation_of_a_service_publishes_unready_pets() {
    for era in ["alpha", "beta"] {
        let text = format!(
            "apiVersion: v1\nkind: Service\nmetadata:\n  name: s\n  annotations:\n    \
             service.{era}.kubernetes.io/tolerate-unready-endpoints: \"true\"\n\
             spec: {{clusterIP: None, selector: {{a: b}}}}\n"
        );
        assert_eq!(
            stored(&text)["spec"]["publishNotReadyAddresses"],
            true,
            "N13"
        );
    }
}

#[test]
fn a_service_is_completed() {
    let text = "apiVersion: v1\nkind: Service\nmetadata: {name: s}\nspec: {ports: [{port: 80}], selector: {a: b}}";
    let expected = json!({
        "internalTrafficPolicy": "Cluster",
        "ports": [{"port": 80, "protocol": "TCP", "targetPort": 80}],
        "selector": {"a": "b"},
        "sessionAffinity": "None",
        "type": "ClusterIP",
    });
    assert_eq!(stored(text)["spec"], expected);
}

#[test]
fn endpoints_that_users_write_are_completed() {
    let text = "apiVersion: v1\nkind: Endpoints\nmetadata: {name: e}\nsubsets: [{addresses: [{ip: 127.0.0.1}], ports: [{port: 80}]}]";
    let ports = json!([{"port": 80, "protocol": "TCP"}]);
    assert_eq!(stored(text)["subsets"][0]["ports"], ports);
    let slice = "apiVersion: discovery.k8s.io/v1\nkind: EndpointSlice\nmetadata: {name: e}\naddressType: IPv4\nports: [{port: 80}]\nendpoints: [{addresses: [192.0.2.1]}]";
    let ports = json!([{"name": "", "port": 80, "protocol": "TCP"}]);
    assert_eq!(stored(slice)["ports"], ports);
    assert!(warnings(slice).contains("the label kubernetes.io/service-name names the service"));
}

#[test]
fn a_secret_takes_its_string_data_in() {
    let text = "apiVersion: v1\nkind: Secret\nmetadata: {name: s}\ndata: {a: YQ==, b: eA==}\nstringData: {b: z}";
    let secret = stored(text);
    assert_eq!(secret["data"], json!({"a": "YQ==", "b": "eg=="}));
    assert_eq!(secret["type"], "Opaque");
    assert_eq!(secret.get("stringData"), None);
}

#[test]
fn a_template_is_completed_to_the_letter() {
    let text = with_container(
        "        env:
        - {name: A, valueFrom: {fieldRef: {fieldPath: metadata.name}}}
        - {name: B, valueFrom: {resourceFieldRef: {resource: limits.cpu}}}
        resources: {limits: {cpu: 0.5, memory: 1024Mi}, requests: {cpu: 0.0001}}
        readinessProbe: {httpGet: {port: http}}
        lifecycle: {preStop: {httpGet: {port: 80, path: /bye}}}
",
    );
    let container = stored(&text)["spec"]["template"]["spec"]["containers"][0].clone();
    assert_eq!(
        container["env"][0]["valueFrom"]["fieldRef"]["apiVersion"],
        "v1"
    );
    assert_eq!(
        container["env"][1]["valueFrom"]["resourceFieldRef"]["divisor"],
        "0"
    );
    let resources = json!({"limits": {"cpu": "500m", "memory": "1Gi"}, "requests": {"cpu": "1m"}});
    assert_eq!(container["resources"], resources);
    let probe = json!({
        "failureThreshold": 3, "periodSeconds": 10, "successThreshold": 1, "timeoutSeconds": 1,
        "httpGet": {"path": "/", "port": "http", "scheme": "HTTP"},
    });
    assert_eq!(container["readinessProbe"], probe, "V40");
    assert_eq!(
        container["lifecycle"]["preStop"]["httpGet"]["scheme"],
        "HTTP"
    );
    assert_eq!(container["ports"][0]["protocol"], "TCP");
}

#[test]
fn volumes_are_completed() {
    let text = with_pod(
        "      volumes:
      - name: none
      - {name: s, secret: {secretName: s}}
      - {name: c, configMap: {name: c, defaultMode: 0400}}
      - {name: h, hostPath: {path: /x}}
      - {name: d, downwardAPI: {items: [{path: l, fieldRef: {fieldPath: metadata.labels}}]}}
      - {name: p, projected: {sources: [{serviceAccountToken: {path: t}}]}}
",
    );
    let volumes = stored(&text)["spec"]["template"]["spec"]["volumes"].clone();
    let expected = json!([
        {"name": "none", "emptyDir": {}},
        {"name": "s", "secret": {"secretName": "s", "defaultMode": 420}},
        {"name": "c", "configMap": {"name": "c", "defaultMode": 256}},
        {"name": "h", "hostPath": {"path": "/x", "type": ""}},
        {"name": "d", "downwardAPI": {"defaultMode": 420, "items": [
            {"path": "l", "fieldRef": {"apiVersion": "v1", "fieldPath": "metadata.labels"}}]}},
        {"name": "p", "projected": {"defaultMode": 420, "sources": [
            {"serviceAccountToken": {"path": "t", "expirationSeconds": 3600}}]}},
    ]);
    assert_eq!(volumes, expected, "V02");
}

#[test]
fn an_image_is_pulled_by_its_tag() {
    let policy = |image: &str| {
        let text = replaced(WEB, "image: img:v1", &format!("image: {image}"));
        stored(&text)["spec"]["template"]["spec"]["containers"][0]["imagePullPolicy"].clone()
    };
    for (image, expected) in [
        ("img", "Always"),
        ("img:latest", "Always"),
        ("localhost:5000/img", "Always"),
        ("localhost:5000/img:v1", "IfNotPresent"),
        ("img@sha256:0000", "IfNotPresent"),
    ] {
        assert_eq!(policy(image), expected, "{image}");
    }
}

#[test]
fn only_a_pod_of_its_own_gets_requests_from_limits() {
    let pod = "apiVersion: v1\nkind: Pod\nmetadata: {name: p}\nspec: {containers: [{name: c, image: i, resources: {limits: {cpu: 1}}}]}";
    let resources = stored(pod)["spec"]["containers"][0]["resources"].clone();
    assert_eq!(
        resources,
        json!({"limits": {"cpu": "1"}, "requests": {"cpu": "1"}}),
        "V57"
    );
    let set = with_container("        resources: {limits: {cpu: 1}}\n");
    let resources = stored(&set)["spec"]["template"]["spec"]["containers"][0]["resources"].clone();
    assert_eq!(resources, json!({"limits": {"cpu": "1"}}));
}

#[test]
fn a_sound_set_has_no_warnings() {
    assert_eq!(warnings(WEB), "");
}

#[test]
fn fields_without_effect_are_named_once_with_their_reason() {
    let text = with_pod("      affinity: {}\n      tolerations: []\n      hostAliases: []\n");
    let text = replaced(
        &text,
        "image: img:v1",
        "image: img:v1\n        resources: {limits: {cpu: 1}}",
    );
    let text = replaced(
        &text,
        "      - name: c\n",
        "      - {name: d, image: i, resources: {limits: {cpu: 2}}}\n      - name: c\n",
    );
    let expected = "\
x.yaml:14:7: spec.template.spec.affinity: ignored: petset runs everything on this machine; also tolerations
x.yaml:16:7: spec.template.spec.hostAliases: only acted on with isolation full
x.yaml:18:29: spec.template.spec.containers[0].resources: limits are not enforced";
    assert_eq!(warnings(&text), expected);
}

#[test]
fn what_every_manifest_has_and_changes_nothing_is_not_warned_about() {
    let text = replaced(
        WEB,
        "image: img:v1",
        "image: img:v1\n        imagePullPolicy: Always\n        resources: {requests: {cpu: 1}}",
    );
    let text = replaced(
        &text,
        "      containers:",
        "      schedulerName: default-scheduler\n      containers:",
    );
    assert_eq!(warnings(&text), "");
    let claim = "apiVersion: v1\nkind: PersistentVolumeClaim\nmetadata: {name: c}\nspec: \
                 {accessModes: [ReadWriteOnce], storageClassName: fast, resources: {requests: \
                 {storage: 1Gi}}}";
    assert_eq!(warnings(claim), "");
}

#[test]
fn a_security_context_says_of_each_field_what_it_takes() {
    let context =
        "      securityContext: {runAsUser: 5, fsGroup: 6, sysctls: [{name: a, value: b}]}\n";
    let text = replaced(
        &with_pod(context),
        "image: img:v1",
        "image: img:v1\n        securityContext: {readOnlyRootFilesystem: true, privileged: false}",
    );
    let found = warnings(&text);
    for line in [
        "securityContext.runAsUser: only acted on with isolation full, as root or with subordinate ids (`petset doctor` tells): otherwise pets \
         run as the user who runs petset; also securityContext.fsGroup",
        "securityContext.sysctls: only acted on with isolation full; also ",
        "containers[0].securityContext.readOnlyRootFilesystem",
    ] {
        assert!(found.contains(line), "{found}");
    }
    assert!(!found.contains("privileged"), "{found}");
}

#[test]
fn a_hook_that_means_the_main_process_by_its_number_or_name_is_told() {
    let text = replaced(
        &with_pod(""),
        "image: img:v1",
        "image: img:v1\n        lifecycle: {preStop: {exec: {command: [kill, -s, INT, \"1\"]}}}",
    );
    let expected = "containers[0].lifecycle.preStop.exec.command: names process 1: only with \
                    isolation full is that the container's main process";
    assert!(warnings(&text).contains(expected), "{}", warnings(&text));
    let text = text.replace("[kill, -s, INT, \"1\"]", "[pkill, server]");
    let expected = "containers[0].lifecycle.preStop.exec.command: kills processes by name: only \
                    with isolation full are these the pod's";
    assert!(warnings(&text).contains(expected), "{}", warnings(&text));
}

#[test]
fn a_volume_that_petset_cannot_make_is_named() {
    let text = with_pod("      volumes: [{name: v, nfs: {server: s, path: /p}}]\n");
    let expected = "x.yaml:14:27: spec.template.spec.volumes[0].nfs: petset has no such volumes: \
         a pet that mounts it does not start";
    assert_eq!(warnings(&text), expected);
}

#[test]
fn null_is_as_if_nothing_was_given() {
    let text = with_pod("      volumes: ~\n      nodeSelector: null\n      affinity:\n");
    let text = replaced(
        &text,
        "  serviceName: web\n",
        "  serviceName: web\n  ordinals:\n",
    );
    assert_eq!(only(&text), only(WEB));
    assert_eq!(warnings(&text), "");
    let labels = replaced(WEB, "labels: {app: web}", "labels: {app: web, empty: }");
    let meta = stored(&labels)["spec"]["template"]["metadata"].clone();
    assert_eq!(meta["labels"], json!({"app": "web", "empty": ""}));
    assert_eq!(
        load_text("apiVersion: v1\nkind: List\nitems:\n")
            .unwrap()
            .objects,
        []
    );
}

#[test]
fn anchors_and_merge_keys_work_across_a_manifest() {
    let text = "\
apiVersion: v1
kind: Pod
metadata: {name: p}
spec:
  initContainers:
  - &base {name: i, image: img, env: &env [{name: A, value: b}]}
  containers:
  - {<<: *base, name: c}
  - name: d
    image: img
    env: *env
";
    let spec = stored(text)["spec"].clone();
    for (list, index) in [("initContainers", 0), ("containers", 0), ("containers", 1)] {
        assert_eq!(spec[list][index]["env"][0]["value"], "b", "{list}[{index}]");
    }
    assert_eq!(spec["containers"][0]["name"], "c");
}
