use serde_json::{Value, json};

use super::*;
use crate::sorted::SortedSet;

fn parse<T: serde::de::DeserializeOwned>(value: Value) -> T {
    serde_json::from_value(value).unwrap()
}

fn sources() -> Sources {
    let config = json!({"metadata": {"name": "conf"},
        "data": {"COLOR": "blue", "SIZE": "conf", "with-dash": "1"}});
    let secret = json!({"metadata": {"name": "keys"},
        "data": {"SIZE": "c2VjcmV0", "raw": "/w=="}, "stringData": {"typed": "text"}});
    let mut sources = Sources::default();
    sources.config_maps.insert("conf".to_owned(), parse(config));
    sources.secrets.insert("keys".to_owned(), parse(secret));
    sources
}

fn pod(spec: Value) -> Pod {
    parse(json!({
        "metadata": {"name": "web-2", "namespace": "shop", "uid": "u-1",
            "ownerReferences": [{"apiVersion": "apps/v1", "kind": "StatefulSet", "name": "web", "uid": "s", "controller": true}]},
        "spec": spec,
        "status": {"podIP": "127.3.1.2"}
    }))
}

/// Makes the environment of a container with this `env` and `envFrom`.
fn made(env: Value, env_from: Value, sources: &Sources) -> Result<Environment, String> {
    let container = json!({"name": "c", "env": env, "envFrom": env_from});
    let pod = pod(json!({"hostname": "web-2", "subdomain": "nodes", "containers": [container]}));
    let container = &pod.spec.as_ref().unwrap().containers[0];
    let image = ImageLaunch {
        env: vec![
            ("SIZE".into(), "image".into()),
            ("POD_IP".into(), "image".into()),
        ],
        path: vec!["/build/v2/bin".into()],
        ..ImageLaunch::default()
    };
    let environment = for_container(&pod, container, sources, &own(), &image);
    environment.map_err(|error| error.message)
}

fn own() -> PetsetVariables<'static> {
    static INHERITED: std::sync::LazyLock<Vec<(String, String)>> = std::sync::LazyLock::new(|| {
        let pairs = [
            ("PATH", "/usr/bin:/bin"),
            ("HOME", "/home/me"),
            ("SIZE", "host"),
        ];
        let owned = pairs.map(|(name, value)| (name.to_owned(), value.to_owned()));
        owned.to_vec()
    });
    PetsetVariables {
        state_dir: Path::new("/state"),
        petset: Path::new("/usr/bin/petset"),
        cluster_domain: "cluster.local",
        replicas: Some(3),
        mounts: &[],
        inherited: &INHERITED,
        capacity: Capacity {
            cpus: 4,
            memory: 1 << 33,
            storage: 1 << 40,
        },
    }
}

fn value(environment: &Environment, name: &str) -> Option<String> {
    let variables = environment.variables();
    let mut found = variables.into_iter().filter(|(known, _)| known == name);
    found.next().map(|(_, value)| value)
}

#[test]
fn a_pet_knows_who_it_is() {
    let environment = made(json!([]), json!([]), &Sources::default()).unwrap();
    let cases = [
        ("POD_NAME", "web-2"),
        ("POD_IP", "127.3.1.2"),
        ("POD_NAMESPACE", "shop"),
        ("PETSET_SET", "web"),
        ("PETSET_ORDINAL", "2"),
        ("PETSET_REPLICAS", "3"),
        ("PETSET_SERVICE", "nodes"),
        ("PETSET_FQDN", "web-2.nodes.shop.svc.cluster.local"),
        ("PETSET_STATE_DIR", "/state"),
        ("PETSET", "/usr/bin/petset"),
        ("PETSET_POD_UID", "u-1"),
        ("PETSET_CONTAINER", "c"),
        ("HOSTNAME", "web-2"),
        ("HOME", "/home/me"),
        ("PATH", "/build/v2/bin:/usr/bin:/bin:/state/bin"),
    ];
    for (name, expected) in cases {
        assert_eq!(
            value(&environment, name).as_deref(),
            Some(expected),
            "{name}"
        );
    }
}

#[test]
fn v22_later_sources_win() {
    let size = |env: Value, env_from: Value| {
        value(&made(env, env_from, &sources()).unwrap(), "SIZE").unwrap()
    };
    let conf = json!({"configMapRef": {"name": "conf"}});
    let keys = json!({"secretRef": {"name": "keys"}});
    let keys =
        json!([conf, {"secretRef": {"name": "keys", "optional": true}, "prefix": "K_"}, keys]);
    assert_eq!(size(json!([]), json!([])), "image");
    assert_eq!(size(json!([]), json!([conf])), "conf");
    let own_key = json!([{"name": "SIZE", "value": "own"}]);
    assert_eq!(size(own_key, json!([conf])), "own");
    let twice = json!([{"name": "SIZE", "value": "a"}, {"name": "SIZE", "value": "$(SIZE)b"}]);
    assert_eq!(size(twice, json!([conf])), "ab");
    let fault = made(json!([]), keys, &sources()).unwrap_err();
    assert!(
        fault.starts_with("key raw in Secret shop/keys is not text"),
        "{fault}"
    );
    let own_name = json!([{"name": "POD_NAME", "value": "mine"}]);
    let environment = made(own_name, json!([]), &sources()).unwrap();
    assert_eq!(value(&environment, "POD_NAME").as_deref(), Some("mine"));
}

#[test]
fn v22_a_prefix_is_put_before_each_key() {
    let env_from = json!([{"configMapRef": {"name": "conf"}, "prefix": "C_"}]);
    let environment = made(json!([]), env_from, &sources()).unwrap();
    assert_eq!(value(&environment, "C_COLOR").as_deref(), Some("blue"));
    assert_eq!(value(&environment, "C_with-dash").as_deref(), Some("1"));
    assert_eq!(value(&environment, "COLOR"), None);
}

#[test]
fn v23_values_use_what_is_defined_so_far_and_references_are_not_expanded() {
    let env = json!([
        {"name": "EARLY", "value": "$(LATE)"},
        {"name": "FOO", "value": "bar"},
        {"name": "ZOO", "value": "$(FOO)-1"},
        {"name": "BLU", "value": "$(ZOO)-2"},
        {"name": "LATE", "value": "x"},
        {"name": "FROM", "valueFrom": {"configMapKeyRef": {"name": "raw", "key": "k"}}},
        {"name": "IP", "value": "$(POD_IP):80 $(HOME) $(HOSTNAME)"}
    ]);
    let mut sources = sources();
    let raw = json!({"data": {"k": "$(FOO)"}});
    sources.config_maps.insert("raw".to_owned(), parse(raw));
    let environment = made(env, json!([]), &sources).unwrap();
    let cases = [
        ("EARLY", "$(LATE)"),
        ("ZOO", "bar-1"),
        ("BLU", "bar-1-2"),
        ("FROM", "$(FOO)"),
        ("IP", "127.3.1.2:80 $(HOME) $(HOSTNAME)"),
    ];
    for (name, expected) in cases {
        assert_eq!(
            value(&environment, name).as_deref(),
            Some(expected),
            "{name}"
        );
    }
}

#[test]
fn v24_arguments_know_everything_and_an_exec_probe_only_plain_values() {
    let env = json!([
        {"name": "PLAIN", "value": "p"},
        {"name": "NESTED", "value": "$(PLAIN)"},
        {"name": "FIELD", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}}
    ]);
    let environment = made(env.clone(), json!([]), &sources()).unwrap();
    let words = [
        "$(PLAIN)",
        "$(NESTED)",
        "$(FIELD)",
        "$(hostname)",
        "$$(PLAIN)",
    ];
    let argv = words.map(str::to_owned).to_vec();
    let typed = 0..argv.len();
    let launch = ImageLaunch {
        argv,
        typed,
        ..ImageLaunch::default()
    };
    assert_eq!(
        launch.expanded(|word| environment.expand(word)),
        ["p", "p", "web-2", "$(hostname)", "$(PLAIN)"]
    );
    let image = ImageLaunch {
        typed: 1..5,
        ..launch.clone()
    };
    assert_eq!(
        image.expanded(|word| environment.expand(word))[..2],
        ["$(PLAIN)", "p"]
    );
    let container: Container = parse(json!({"name": "c", "env": env}));
    let probe = probe_command(&container, &launch.argv);
    assert_eq!(probe, ["p", "$(PLAIN)", "", "$(hostname)", "$(PLAIN)"]);
}

#[test]
fn v24_a_probe_knows_the_last_variable_of_a_name_and_none_from_elsewhere() {
    let container: Container = parse(json!({"name": "c", "env": [
        {"name": "TWICE", "value": "first"},
        {"name": "TWICE", "value": "last"},
        {"name": "THEN_FROM", "value": "plain"},
        {"name": "THEN_FROM", "valueFrom": {"fieldRef": {"fieldPath": "metadata.uid"}}},
        {"name": "NESTED", "value": "$(TWICE)"},
    ]}));
    let words = [
        "$(TWICE)",
        "<$(THEN_FROM)>",
        "$(NESTED)",
        "$$(TWICE)",
        "$(POD_NAME)",
    ];
    let probe = probe_command(&container, &words.map(str::to_owned));
    assert_eq!(probe, ["last", "<>", "$(TWICE)", "$(TWICE)", "$(POD_NAME)"]);
}

#[test]
fn v20_v21_fields_and_resources_become_variables() {
    let env = json!([
        {"name": "UID_", "valueFrom": {"fieldRef": {"fieldPath": "metadata.uid"}}},
        {"name": "CPUS", "valueFrom": {"resourceFieldRef": {"resource": "limits.cpu"}}},
        {"name": "MEM", "valueFrom": {"resourceFieldRef": {"resource": "limits.memory", "divisor": "1Gi"}}}
    ]);
    let environment = made(env, json!([]), &sources()).unwrap();
    assert_eq!(value(&environment, "UID_").as_deref(), Some("u-1"));
    assert_eq!(value(&environment, "CPUS").as_deref(), Some("4"));
    assert_eq!(value(&environment, "MEM").as_deref(), Some("8"));
}

#[test]
fn v25_what_is_missing_is_named_in_the_kubelets_words() {
    let config = |name: &str, key: &str, optional: bool| json!([{"name": "X", "valueFrom": {"configMapKeyRef": {"name": name, "key": key, "optional": optional}}}]);
    let secret = |name: &str, key: &str, optional: bool| json!([{"name": "X", "valueFrom": {"secretKeyRef": {"name": name, "key": key, "optional": optional}}}]);
    let fault = |env: Value| made(env, json!([]), &sources()).unwrap_err();
    assert_eq!(
        fault(config("no", "k", false)),
        "configmap \"no\" not found"
    );
    assert_eq!(
        fault(config("conf", "k", false)),
        "couldn't find key k in ConfigMap shop/conf"
    );
    assert_eq!(fault(secret("no", "k", false)), "secret \"no\" not found");
    assert_eq!(
        fault(secret("keys", "k", false)),
        "couldn't find key k in Secret shop/keys"
    );
    for env in [
        config("no", "k", true),
        config("conf", "k", true),
        secret("keys", "k", true),
    ] {
        let environment = made(env, json!([]), &sources()).unwrap();
        assert_eq!(value(&environment, "X"), None);
    }
    let typed = made(secret("keys", "typed", false), json!([]), &sources()).unwrap();
    assert_eq!(value(&typed, "X").as_deref(), Some("text"));
    let all = |source: Value| made(json!([]), json!([source]), &sources());
    let absent = all(json!({"secretRef": {"name": "no"}})).unwrap_err();
    assert_eq!(absent, "secret \"no\" not found");
    let absent = all(json!({"configMapRef": {"name": "no"}})).unwrap_err();
    assert_eq!(absent, "configmap \"no\" not found");
    assert!(all(json!({"configMapRef": {"name": "no", "optional": true}})).is_ok());
}

#[test]
fn v26_names_that_cannot_be_are_skipped_with_a_warning() {
    let env_from = json!([{"configMapRef": {"name": "conf"}, "prefix": "a=b"}]);
    let environment = made(json!([]), env_from, &sources()).unwrap();
    let warning = "Keys [a=bCOLOR, a=bSIZE, a=bwith-dash] from the EnvFrom configMap shop/conf \
                   were skipped since they are considered invalid environment variable names.";
    assert_eq!(environment.warnings, [warning]);
    assert!(is_valid_name("A B") && is_valid_name("1.x-y") && !is_valid_name("é"));
}

#[test]
fn a_value_that_no_process_can_be_given_is_refused() {
    let env = json!([{"name": "X", "value": "a\u{0}b"}]);
    let fault = made(env, json!([]), &sources()).unwrap_err();
    assert_eq!(
        fault,
        "the value of environment variable X holds a NUL byte"
    );
}

#[test]
fn v27_services_with_an_address_are_told_by_variables() {
    let mut sources = Sources::default();
    let ports = json!([{"name": "http-web", "port": 80}, {"port": 53, "protocol": "UDP"}]);
    let services = [
        ("my-web", json!({"clusterIP": "10.0.0.1", "ports": ports})),
        (
            "six",
            json!({"clusterIP": "fd00::1", "ports": [{"port": 1}]}),
        ),
        ("headless", json!({"clusterIP": "None", "ports": ports})),
        ("fresh", json!({"ports": ports})),
    ];
    for (name, spec) in services {
        let service = json!({"metadata": {"name": name}, "spec": spec});
        sources.services.insert(name.to_owned(), parse(service));
    }
    let env = json!([{"name": "URL", "value": "$(MY_WEB_SERVICE_HOST)"}]);
    let environment = made(env, json!([]), &sources).unwrap();
    let cases = [
        ("MY_WEB_SERVICE_HOST", "10.0.0.1"),
        ("MY_WEB_SERVICE_PORT", "80"),
        ("MY_WEB_SERVICE_PORT_HTTP_WEB", "80"),
        ("MY_WEB_PORT", "tcp://10.0.0.1:80"),
        ("MY_WEB_PORT_80_TCP", "tcp://10.0.0.1:80"),
        ("MY_WEB_PORT_80_TCP_PROTO", "tcp"),
        ("MY_WEB_PORT_80_TCP_PORT", "80"),
        ("MY_WEB_PORT_80_TCP_ADDR", "10.0.0.1"),
        ("MY_WEB_PORT_53_UDP", "udp://10.0.0.1:53"),
        ("SIX_PORT", "tcp://[fd00::1]:1"),
        ("URL", "10.0.0.1"),
    ];
    for (name, expected) in cases {
        assert_eq!(
            value(&environment, name).as_deref(),
            Some(expected),
            "{name}"
        );
    }
    let names = environment.variables();
    let absent =
        |(name, _): &(String, String)| name.starts_with("HEADLESS") || name.starts_with("FRESH");
    assert!(!names.iter().any(absent));
}

#[test]
fn v27_a_pod_may_do_without_the_variables_of_services() {
    let mut sources = Sources::default();
    let service = json!({"metadata": {"name": "a"}, "spec": {"clusterIP": "10.0.0.1", "ports": [{"port": 1}]}});
    sources.services.insert("a".to_owned(), parse(service));
    let pod = pod(json!({"enableServiceLinks": false, "containers": [{"name": "c"}]}));
    let container = &pod.spec.as_ref().unwrap().containers[0];
    let made = for_container(&pod, container, &sources, &own(), &ImageLaunch::default()).unwrap();
    assert_eq!(value(&made, "A_SERVICE_HOST"), None);
    assert!(!references(&pod).services);
}

#[test]
fn a_pod_names_the_objects_it_is_made_from() {
    let pod = pod(json!({
        "initContainers": [{"name": "i", "envFrom": [{"configMapRef": {"name": "a"}}]}],
        "containers": [{"name": "c", "env": [
            {"name": "X", "valueFrom": {"secretKeyRef": {"name": "b", "key": "k"}}},
            {"name": "Y", "valueFrom": {"configMapKeyRef": {"name": "c", "key": "k"}}}]}],
        "volumes": [
            {"name": "v", "configMap": {"name": "d"}},
            {"name": "w", "secret": {"secretName": "e"}},
            {"name": "x", "projected": {"sources": [
                {"secret": {"name": "f"}}, {"configMap": {"name": "g"}}]}}]
    }));
    let wanted = references(&pod);
    let names = |set: &SortedSet<String>| set.iter().cloned().collect::<Vec<_>>().join(" ");
    assert_eq!(names(&wanted.config_maps), "a c d g");
    assert_eq!(names(&wanted.secrets), "b e f");
    assert!(wanted.services);
}
