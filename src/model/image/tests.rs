use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::entries::{built_in_parts, read_built_in, read_entries};
use super::reference::fit;
use super::*;
use crate::problem::Kind;
use crate::sorted::SortedSet;

const OWN: &str = "/s/images.toml";

fn catalogue(files: &[(&str, &str)]) -> Catalogue {
    let files = files
        .iter()
        .map(|(path, text)| (PathBuf::from(path), (*text).to_owned()));
    let files: Vec<_> = files.collect();
    Catalogue::new(&files, OWN, "/usr/bin/petset").unwrap()
}

/// Resolves on a machine that has `there`: paths, and names of programs on PATH.
fn resolve(
    catalogue: &Catalogue,
    image: &str,
    command: &str,
    args: &str,
    there: &[&str],
) -> Result<ImageLaunch, String> {
    let words = |text: &str| text.split_whitespace().map(str::to_owned).collect();
    let (command, args): (Vec<_>, Vec<_>) = (words(command), words(args));
    let launch = on_a_machine(there, |disk| {
        catalogue.resolve(image, &command, &args, disk)
    });
    launch.map_err(|error| error.message)
}

/// Asks on a machine that has `there`: paths, and names of programs on PATH.
fn on_a_machine<T>(there: &[&str], ask: impl FnOnce(&Disk<'_>) -> T) -> T {
    let known = |path: &Path| {
        let mut known = there.iter().map(Path::new);
        known.any(|known| known.starts_with(path) && known.is_absolute())
    };
    let on_path = |name: &str| {
        let found = there.contains(&name);
        found.then(|| Path::new("/usr/bin").join(name))
    };
    let names = |directory: &Path| {
        let below = there
            .iter()
            .filter_map(|path| Path::new(path).strip_prefix(directory).ok());
        let names = below.filter_map(|rest| rest.components().next());
        let names: SortedSet<String> = names
            .map(|name| name.as_os_str().to_string_lossy().into_owned())
            .collect();
        names.into_iter().collect()
    };
    ask(&Disk {
        exists: &known,
        on_path: &on_path,
        names: &names,
    })
}

/// Shows what is started, without the shell that becomes the image's user or runs its script.
fn shown(launch: &ImageLaunch) -> String {
    let words = match &launch.argv[..] {
        [sh, c, script, key, rest @ ..]
            if sh == "sh" && c == "-c" && script.contains("drops()") =>
        {
            let how = if script.ends_with("become \"$@\"\n") {
                "as user:"
            } else {
                "script:"
            };
            let head = match how {
                "as user:" => how.to_owned(),
                _ => format!("{how} {key}"),
            };
            return [&[head], rest].concat().join(" ").trim_end().to_owned();
        }
        words => words,
    };
    words.join(" ")
}

#[test]
fn a_reference_is_matched_by_its_last_parts() {
    let fits = |key, image: &'static str| {
        let matched: Option<(_, &'static str)> = fit(key, &Reference::new(image));
        matched.map(|(_, tag)| tag)
    };
    let cases = [
        ("redis", "redis", Some("latest")),
        ("redis", "redis:7", Some("7")),
        (
            "redis",
            "docker.io/library/redis:7-alpine",
            Some("7-alpine"),
        ),
        ("redis", "localhost:5000/redis", Some("latest")),
        ("redis", "redis@sha256:0123", Some("latest")),
        ("redis", "r.io:5000/redis:7@sha256:0123", Some("7")),
        ("redis", "my-redis", None),
        ("redis", "redis/exporter", None),
        ("corp/redis", "redis", None),
        ("corp/redis", "quay.io/corp/redis:1", Some("1")),
        ("mydb:{tag}", "mydb:v2", Some("v2")),
        ("mydb:{tag}", "mydb", Some("latest")),
        ("mydb:v{tag}-x", "mydb:v2-x", Some("2")),
        ("mydb:v{tag}", "mydb:2", None),
        ("mydb:v2", "mydb:v2", Some("v2")),
        ("mydb:v2", "mydb:v3", None),
    ];
    for (key, image, tag) in cases {
        assert_eq!(fits(key, image), tag, "{key} {image}");
    }
}

#[test]
fn the_closest_key_of_the_first_file_wins() {
    let own = "[\"db\"]\nargs = [\"any\"]\n[\"db:{tag}\"]\nargs = [\"pattern\"]\n\
               [\"db:v2\"]\nargs = [\"exact\"]\n[\"corp/db\"]\nargs = [\"corp\"]";
    let user = "[\"db:v1\"]\nargs = [\"user\"]\n[\"redis\"]\nargs = [\"mine\"]";
    let catalogue = catalogue(&[("/s/images.toml", own), ("/u/images.toml", user)]);
    let run = |image: &str| {
        resolve(
            &catalogue,
            image,
            "",
            "",
            &["any", "pattern", "exact", "corp", "mine"],
        )
    };
    let first = |image: &str| run(image).unwrap().argv.remove(0);
    assert_eq!(first("db:v1"), "pattern");
    assert_eq!(first("db:v2"), "exact");
    assert_eq!(first("redis:7"), "mine");
    let unversioned = self::catalogue(&[(
        "/s/images.toml",
        "[\"db\"]\nargs=[\"any\"]\n[\"corp/db\"]\nargs=[\"corp\"]",
    )]);
    let launch = resolve(&unversioned, "x.io/corp/db:1", "", "", &["corp"]).unwrap();
    assert_eq!(launch.argv, ["corp"]);
}

#[test]
fn a_command_replaces_entrypoint_and_arguments_and_arguments_replace_arguments() {
    let text = "[\"db\"]\nentrypoint = [\"dbd\", \"run\"]\nargs = [\"--small\"]";
    let catalogue = catalogue(&[(OWN, text)]);
    let cases = [
        ("", "", "dbd run --small", 0..0),
        ("", "--big -v", "dbd run --big -v", 2..4),
        ("sh -c", "", "sh -c", 0..2),
        ("sh", "-x y", "sh -x y", 0..3),
    ];
    for (command, args, argv, typed) in cases {
        let launch = resolve(&catalogue, "db", command, args, &["dbd"]).unwrap();
        assert_eq!((launch.argv.join(" "), launch.typed), (argv.into(), typed));
    }
}

#[test]
#[expect(clippy::too_many_lines, reason = "a table of images")]
fn a_built_in_server_takes_options_or_a_command_of_its_own() {
    let catalogue = catalogue(&[]);
    let pinned = format!("memcached@sha256:{}", "1".repeat(64));
    let cases = [
        ("redis:7", "", "as user: redis-server"),
        ("redis:7", "--port 1", "as user: redis-server --port 1"),
        (
            "redis",
            "/conf/redis.conf",
            "as user: redis-server /conf/redis.conf",
        ),
        ("redis", "redis-server --port 1", "redis-server --port 1"),
        ("redis", "sh -c x", "sh -c x"),
        (
            "public.ecr.aws/docker/library/redis:8-alpine",
            "",
            "as user: redis-server",
        ),
        ("valkey/valkey:8", "", "as user: valkey-server"),
        (&pinned, "-m 64", "as user: memcached -m 64"),
        ("nginx:1.27", "", "script: nginx nginx -g daemon off;"),
        (
            "k8s.gcr.io/nginx-slim:0.8",
            "",
            "script: nginx-slim nginx -g daemon off;",
        ),
        ("nginx", "-c /x.conf", "script: nginx -c /x.conf"),
        ("docker.io/library/busybox", "", "sh"),
        ("busybox", "sleep 1", "sleep 1"),
        ("alpine", "", "sh"),
        ("debian:jessie", "", "bash"),
        ("ubuntu", "", "bash"),
        ("bash:5", "-c x", "bash -c x"),
        ("quay.io/coreos/etcd:v3.5", "--name a", "etcd --name a"),
        ("gcr.io/google_containers/etcd-amd64:2.2.5", "", "etcd"),
        (
            "registry.k8s.io/etcd:3.6.8-0",
            "etcd --name a",
            "etcd --name a",
        ),
        (
            "nats:2-alpine",
            "-c /nats.conf",
            "nats-server -c /nats.conf",
        ),
        (
            "haproxy:3",
            "",
            "as user: haproxy -W -db -f /usr/local/etc/haproxy/haproxy.cfg",
        ),
        ("prom/prometheus:v2", "--a=b", "prometheus --a=b"),
        ("postgres:16", "", "script: postgres postgres"),
        ("bitnami/postgres", "-c x=y", "script: postgres -c x=y"),
        ("mysql:8", "", "script: mysql mysqld"),
        (
            "mariadb",
            "--skip-networking",
            "script: mariadb --skip-networking",
        ),
        ("zookeeper:3.9", "", "script: zookeeper"),
        (
            "rabbitmq:3-management",
            "",
            "script: rabbitmq rabbitmq-server",
        ),
        (
            "mongo:3.4",
            "--replSet rs0",
            "as user: mongod --bind_ip_all --replSet rs0",
        ),
        ("cassandra:4", "", "as user: cassandra -f"),
        (
            "gcr.io/google_containers/peer-finder:0.1",
            "-service=x",
            "script: peer-finder -service=x",
        ),
        (
            "gcr.io/google_containers/redis-install:0.1",
            "--a",
            "script: redis-install --a",
        ),
        (
            "gcr.io/google_containers/redis-install-3.2.0:e2e",
            "",
            "script: redis-install-3.2.0",
        ),
        ("petset/hello:v2", "", "/usr/bin/petset hello"),
        (
            "petset/hello",
            "--port 80",
            "/usr/bin/petset hello --port 80",
        ),
    ];
    let there = [
        "redis-server",
        "redis-cli",
        "valkey-server",
        "memcached",
        "nginx",
        "sh",
        "bash",
        "etcd",
        "nats-server",
        "haproxy",
        "prometheus",
        "postgres",
        "initdb",
        "mariadbd",
        "mariadb-install-db",
        "zkServer.sh",
        "rabbitmq-server",
        "mongod",
        "cassandra",
        "/usr/bin/petset",
    ];
    for (image, args, argv) in cases {
        let launch = resolve(&catalogue, image, "", args, &there).unwrap();
        assert_eq!(shown(&launch), argv, "{image} {args}");
    }
}

#[test]
fn a_manifests_own_command_is_not_the_images_users_but_finds_its_scripts() {
    let catalogue = catalogue(&[]);
    let launch = resolve(
        &catalogue,
        "redis",
        "redis-server /c",
        "",
        &["redis-server"],
    )
    .unwrap();
    assert_eq!(launch.argv, ["redis-server", "/c"]);
    let scripts: Vec<_> = launch.bin.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(scripts, ["redis-server"]);
    assert_eq!(
        (launch.data, launch.workdir),
        (vec!["/data".to_owned()], Some("/data".to_owned()))
    );
}

#[test]
fn arguments_of_the_manifest_are_what_variables_are_filled_into_behind_a_script_too() {
    let catalogue = catalogue(&[]);
    let there = ["memcached", "nginx"];
    for image in ["memcached", "nginx"] {
        let launch = resolve(&catalogue, image, "", "-a $(POD_IP)", &there).unwrap();
        assert_eq!(
            launch.argv[launch.typed.clone()],
            ["-a", "$(POD_IP)"],
            "{image}"
        );
        assert!(
            resolve(&catalogue, image, "", "", &there)
                .unwrap()
                .typed
                .is_empty()
        );
    }
}

#[test]
fn programs_are_found_where_a_package_hides_them_the_highest_version_first() {
    let catalogue = catalogue(&[]);
    let there = [
        "/usr/lib/postgresql/9/bin/postgres",
        "/usr/lib/postgresql/9/bin/initdb",
        "/usr/lib/postgresql/15/bin/postgres",
        "/usr/lib/postgresql/15/bin/initdb",
    ];
    let launch = resolve(&catalogue, "postgres", "", "", &there).unwrap();
    let folders = [
        Path::new("/usr/lib/postgresql/15/bin"),
        Path::new("/usr/lib/postgresql/9/bin"),
    ];
    assert_eq!(launch.search, folders);
    let there = ["/usr/sbin/mysqld"];
    assert!(resolve(&catalogue, "mysql", "", "", &there).is_ok());
    let error = resolve(&catalogue, "mysql", "", "", &[]).unwrap_err();
    let cause = "none of the programs mysqld, mariadbd is on PATH; install it (on Debian: \
                 `apt install mariadb-server`)";
    assert!(error.contains(cause), "{error}");
}

#[test]
fn the_shell_of_an_image_is_the_first_that_is_there() {
    let catalogue = catalogue(&[]);
    let shell = |there: &[&str]| resolve(&catalogue, "alpine", "", "", there).unwrap().shell;
    assert_eq!(
        shell(&["sh", "bash", "busybox"]),
        Some(PathBuf::from("/usr/bin/busybox"))
    );
    assert_eq!(shell(&["sh", "bash"]), Some(PathBuf::from("/usr/bin/bash")));
    assert_eq!(shell(&["sh"]), None);
}

#[test]
fn an_entry_like_another_has_what_it_does_not_say_itself() {
    let text = "[\"corp/cache\"]\nlike = \"redis\"\nargs = [\"--small\"]\nenv = { A = \"b\" }\n\
                [\"own\"]\nentrypoint = [\"x\"]\nenv = { A = \"a\", B = \"b\" }\n\
                [\"other\"]\nlike = \"own\"\nscript = \"true\"\nenv = { A = \"c\" }";
    let text = format!(
        "{text}\n[\"etcd\"]\nlike = \"etcd-amd64\"\n[\"nats\"]\nlike = \"nats\"\nargs = [\"-D\"]"
    );
    let catalogue = catalogue(&[(OWN, &text)]);
    let etcd = resolve(&catalogue, "etcd:3", "", "", &["etcd"]).unwrap();
    assert!(
        etcd.env
            .contains(&("ETCDCTL_API".to_owned(), "2".to_owned()))
    );
    let nats = resolve(&catalogue, "nats", "", "", &["nats-server"]).unwrap();
    assert_eq!(nats.argv, ["nats-server", "-D"]);
    let launch = resolve(&catalogue, "corp/cache:1", "", "", &["redis-server"]).unwrap();
    assert_eq!(shown(&launch), "as user: redis-server --small");
    assert_eq!(launch.env, [("A".to_owned(), "b".to_owned())]);
    let launch = resolve(&catalogue, "other", "", "", &["sh"]).unwrap();
    assert_eq!(shown(&launch), "script: other");
    let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
    assert_eq!(launch.env, [pair("A", "c"), pair("B", "b")]);
}

#[test]
fn an_explanation_names_every_file_looked_in_and_what_is_missing() {
    let files = [
        ("/s/images.toml", "[\"x\"]\nargs = []"),
        ("/u/images.toml", "[\"db\"]\nprogram = [\"dbd\"]"),
    ];
    let catalogue = catalogue(&files);
    let explain = |image: &str, there: &[&str]| {
        on_a_machine(there, |disk| catalogue.explain(image, &[], &[], disk)).unwrap()
    };
    let looked = |explained: &Explained| {
        let file = |looked: &Looked| looked.file.as_ref().map(|file| file.display().to_string());
        let looked = explained.looked.iter();
        let looked: Vec<String> = looked
            .map(|looked| {
                format!(
                    "{}={}",
                    file(looked).unwrap_or_default(),
                    looked.key.clone().unwrap_or_default()
                )
            })
            .collect();
        looked.join(" ")
    };
    let db = explain("corp/db:2", &["dbd"]);
    assert_eq!(looked(&db), "/s/images.toml= /u/images.toml=db");
    assert_eq!(db.program, Some(PathBuf::from("/usr/bin/dbd")));
    let redis = explain("redis:7", &[]);
    assert_eq!(looked(&redis), "/s/images.toml= /u/images.toml= =redis");
    assert_eq!(
        redis.entry.unwrap().programs,
        [("redis-server".to_owned(), None)]
    );
    assert!(redis.launch.is_err());
    let redis = explain("redis:7", &["redis-server"]);
    assert_eq!(redis.program, Some(PathBuf::from("/usr/bin/redis-server")));
    let nobody = explain("nobody", &[]);
    assert_eq!((nobody.entry, nobody.looked.len()), (None, 3));
}

#[test]
fn two_builds_run_side_by_side_from_paths_relative_to_the_file() {
    let text = "[\"mydb:{tag}\"]\npath = [\"./build/{tag}/bin\"]\ncwd = \"build/{tag}\"\n\
                entrypoint = [\"mydb\"]\nenv = { MYDB_HOME = \"./build/{tag}\", V = \"{tag}\" }";
    let catalogue = catalogue(&[("/p/images.toml", text)]);
    let there = ["/p/build/v2/bin", "/p/build/v2", "/p/build/v2/bin/mydb"];
    let launch = resolve(&catalogue, "mydb:v2", "", "", &there).unwrap();
    assert_eq!(launch.path, [Path::new("/p/build/v2/bin")]);
    assert_eq!(launch.cwd.as_deref(), Some(Path::new("/p/build/v2")));
    let env: BTreeMap<_, _> = launch.env.into_iter().collect();
    assert_eq!(env["MYDB_HOME"], "/p/build/v2");
    assert_eq!(env["V"], "v2");
    for command in ["", "sleep"] {
        let error = resolve(&catalogue, "mydb:v3", command, "", &there).unwrap_err();
        let cause = "is [\"mydb:{tag}\"] in /p/images.toml, but /p/build/v3/bin does not exist";
        assert!(error.contains(cause), "{error}");
    }
}

#[test]
fn without_an_entry_a_command_is_enough_and_the_image_is_a_label() {
    let catalogue = catalogue(&[]);
    let launch = resolve(&catalogue, "corp/x:1", "serve", "$(POD_IP)", &[]).unwrap();
    assert_eq!(launch.argv, ["serve", "$(POD_IP)"]);
    assert_eq!(launch.typed, 0..2);
}

#[test]
fn what_cannot_be_run_says_what_to_add_to_which_file() {
    let catalogue = catalogue(&[(OWN, "[\"half\"]\nenv = { A = \"b\" }")]);
    let error = resolve(&catalogue, "corp/x:1", "", "--flag", &[]).unwrap_err();
    assert!(error.contains("in /s/images.toml, for example:\n[\"x\"]\nentrypoint = [\"x\"]"));
    let error = resolve(&catalogue, "redis:7", "", "", &[]).unwrap_err();
    assert!(
        error.contains("the program \"redis-server\" is not on PATH; install it"),
        "{error}"
    );
    assert!(
        error.contains("[\"redis\"]\npath = [\"/opt/redis/bin\"]\nentrypoint = [\"redis-server\"]")
    );
    let error = resolve(&catalogue, "half", "", "", &[]).unwrap_err();
    assert!(
        error.contains("add an entrypoint below [\"half\"] in /s/images.toml"),
        "{error}"
    );
    let error = resolve(&catalogue, "postgres:16", "", "", &["sh", "postgres"]).unwrap_err();
    assert!(error.contains("\"initdb\" is not on PATH"), "{error}");
}

#[test]
fn a_fault_of_an_image_does_not_repeat_its_digest() {
    let catalogue = catalogue(&[(OWN, "[\"half\"]\nenv = { A = \"b\" }")]);
    let digest = format!("@sha256:{}", "a".repeat(64));
    for image in ["corp/x:1", "redis:7", "half"] {
        let error = resolve(&catalogue, &format!("{image}{digest}"), "", "", &[]).unwrap_err();
        assert!(error.contains(&format!("image {image:?} ")), "{error}");
        assert!(!error.contains("sha256"), "{error}");
    }
}

#[test]
fn a_name_that_no_image_can_have_is_none_unless_an_entry_has_it() {
    let catalogue = catalogue(&[(OWN, "[\"Own\"]\nentrypoint = [\"serve\"]")]);
    let error = resolve(&catalogue, "Not/An/Image:::x", "serve", "", &[]).unwrap_err();
    let why = "invalid reference format: repository name (An/Image) must be lowercase";
    assert_eq!(
        error,
        format!("couldn't parse image name \"Not/An/Image:::x\": {why}")
    );
    let own = resolve(&catalogue, "Own", "", "", &["serve"]).unwrap();
    assert_eq!(own.argv, ["serve"]);
}

#[test]
fn what_a_container_runtime_takes_for_a_reference_is_one() {
    let digest = format!("sha256:{}", "0".repeat(64));
    let good = [
        "x",
        "busybox:1",
        "library/busybox:1.36-uclibc_2",
        "localhost/a",
        "Registry.example:5000/a/b__c/d-e.f:V1",
        "[::1]:5000/a",
        "nowhere.invalid/no/such-thing",
        "a---b",
    ];
    for text in good {
        assert_eq!(reference_fault(text), None, "{text}");
        let full = format!("{text}@{digest}");
        assert_eq!(reference_fault(&full), None, "{full}");
    }
    let long_tag = format!("x:{}", "a".repeat(129));
    let bad = [
        "",
        "a b",
        "x:",
        ":x",
        "a/",
        "/a",
        "a//b",
        "a..b",
        "a___b",
        "-a",
        "a.",
        "x:.a",
        "x:a/b",
        "x@sha256:12",
        "x@",
        "{{ .values.image }}",
        "$(image)",
        "host.example:port/a",
        "http://host/a",
        &long_tag,
    ];
    for text in bad {
        assert_eq!(
            reference_fault(text).as_deref(),
            Some("invalid reference format"),
            "{text}"
        );
    }
    for (text, name) in [("Nginx", "Nginx"), ("a/B:1", "a/B"), ("Team/App", "App")] {
        let why = format!("invalid reference format: repository name ({name}) must be lowercase");
        assert_eq!(reference_fault(text), Some(why), "{text}");
    }
}

#[test]
fn the_advice_given_is_itself_an_entry_that_can_be_read() {
    let catalogue = catalogue(&[]);
    for image in ["corp/x:1", "redis:7", "postgres"] {
        let error = resolve(&catalogue, image, "", "", &[]).unwrap_err();
        let (_, snippet) = error.split_once("example:\n").unwrap();
        assert_eq!(read_entries(snippet).unwrap().len(), 1, "{snippet}");
    }
}

#[test]
fn a_program_that_is_elsewhere_than_in_its_image_is_found_on_path() {
    let catalogue = catalogue(&[]);
    let launch = resolve(
        &catalogue,
        "etcd",
        "/usr/local/bin/etcd --name a",
        "",
        &["etcd"],
    )
    .unwrap();
    assert_eq!(launch.argv, ["/usr/bin/etcd", "--name", "a"]);
    let note = "/usr/local/bin/etcd is not on this machine; running /usr/bin/etcd instead";
    assert_eq!(launch.notes, [note]);
    let launch = resolve(&catalogue, "etcd", "/opt/none", "", &["etcd"]).unwrap();
    assert_eq!(launch.argv, ["/opt/none"]);
    let there = ["/bin/sh", "sh"];
    let launch = resolve(&catalogue, "x", "/bin/sh -c x", "", &there).unwrap();
    assert_eq!(
        (launch.argv[0].as_str(), launch.notes.len()),
        ("/bin/sh", 0)
    );
}

#[test]
fn an_entry_may_start_a_script_of_its_own() {
    let text = "[\"a\"]\nprogram = [\"begin\"]\nuser = \"a\"\nbin.begin = \"#!/bin/sh\"\n\
                [\"b\"]\nentrypoint = [\"/opt/begin.sh\"]\nfiles.\"/opt/begin.sh\" = \"#!/bin/sh\"\n\
                [\"c\"]\nprogram = [\"cd\"]\nbin.cd = \"#!/bin/sh\\nPATH=${PATH#*:} exec cd\"";
    let catalogue = catalogue(&[(OWN, text)]);
    let a = resolve(&catalogue, "a", "", "", &[]).unwrap();
    assert_eq!(a.argv.last().unwrap(), "begin");
    let b = resolve(&catalogue, "b", "", "", &["begin.sh"]).unwrap();
    assert_eq!(
        (b.argv, b.notes),
        (vec!["/opt/begin.sh".to_owned()], vec![])
    );
    let c = resolve(&catalogue, "c", "", "", &[]).unwrap_err();
    assert!(c.contains("the program \"cd\" is not on PATH"), "{c}");
}

#[test]
fn a_mistake_in_images_toml_is_shown_with_its_place() {
    let read = |text: &str| {
        let files = [(PathBuf::from("/s/images.toml"), text.to_owned())];
        let problem = Catalogue::new(&files, OWN, "/p").unwrap_err();
        assert_eq!(problem.kind, Kind::Invalid);
        problem.message
    };
    let message = read("[\"db\"]\nargs = []\nentry = [\"x\"]\n");
    assert!(
        message.starts_with("/s/images.toml:3:1: unknown field `entry`"),
        "{message}"
    );
    let message = read("[\"db\"]\nargs = \"x\"\n");
    assert!(message.starts_with("/s/images.toml:2:8: "), "{message}");
    let message = read("[\"db\"\n");
    assert!(message.starts_with("/s/images.toml:1:"), "{message}");
    let message = read("[\"x\"]\nargs = []\n[\"db\"]\nuser = 5\n");
    assert!(
        message.starts_with("/s/images.toml:4:8: user: invalid type"),
        "{message}"
    );
    let contradictions = [
        (
            "program = [\"a\"]\nentrypoint = [\"a\"]",
            "has both entrypoint and program",
        ),
        (
            "program = [\"a\"]\nscript = \"a\"",
            "has both program and script",
        ),
        ("program = []", "program must not be empty"),
        (
            "bin.\"../x\" = \"y\"",
            "bin.\"../x\" must be the name of a program",
        ),
        (
            "files.\"etc/x\" = \"y\"",
            "files: \"etc/x\" must be an absolute path",
        ),
        (
            "data = [\"/a/../b\"]",
            "data: \"/a/../b\" must be an absolute path",
        ),
        ("workdir = \"x\"", "workdir: \"x\" must be an absolute path"),
        ("like = \"nobody\"", "like: no entry \"nobody\""),
        ("like = \"db\"", "like: no entry \"db\""),
    ];
    for (lines, fault) in contradictions {
        let message = read(&format!("# mine\n[\"db\"]\n{lines}\n"));
        let start = format!("/s/images.toml:2:1: [\"db\"] {fault}");
        assert!(message.starts_with(&start), "{message}");
    }
}

#[test]
fn the_built_in_catalogue_can_be_read_whole_and_in_parts() {
    let whole = read_entries(include_str!("../images.toml")).unwrap();
    let parts: Vec<_> = built_in_parts().collect();
    assert_eq!(parts.len(), whole.len());
    for (key, part) in parts {
        let entries = read_entries(part).unwrap();
        assert_eq!(entries[key], whole[key], "{key}");
        let (name, entry) = read_built_in(part).unwrap().unwrap();
        assert_eq!((name.as_str(), entry.like), (key, None));
    }
}
