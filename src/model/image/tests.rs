use std::collections::BTreeMap;

use super::entries::{built_in_parts, read_entries};
use super::*;
use crate::problem::Kind;

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
) -> Result<Launch, String> {
    let words = |text: &str| text.split_whitespace().map(str::to_owned).collect();
    let (command, args): (Vec<_>, Vec<_>) = (words(command), words(args));
    let on_path = |name: &str| {
        let found = there.contains(&name);
        found.then(|| Path::new("/usr/bin").join(name))
    };
    let disk = Disk {
        exists: &|path| there.iter().any(|known| Path::new(known) == path),
        on_path: &on_path,
        names: &|_| Vec::new(),
    };
    let launch = catalogue.resolve(image, &command, &args, &disk);
    launch.map_err(|error| error.message)
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
fn a_built_in_server_takes_options_or_a_command_of_its_own() {
    let catalogue = catalogue(&[]);
    let cases = [
        ("redis:7", "", "redis-server"),
        ("redis:7", "--port 1", "redis-server --port 1"),
        ("redis", "/conf/redis.conf", "redis-server /conf/redis.conf"),
        ("redis", "redis-server --port 1", "redis-server --port 1"),
        ("redis", "sh -c x", "sh -c x"),
        ("nginx:1.27", "", "nginx -g daemon off;"),
        ("docker.io/library/busybox", "", "sh"),
        ("busybox", "sleep 1", "sleep 1"),
        ("quay.io/coreos/etcd:v3.5", "--name a", "etcd --name a"),
        ("petset/hello:v2", "", "/usr/bin/petset hello"),
        (
            "petset/hello",
            "--port 80",
            "/usr/bin/petset hello --port 80",
        ),
    ];
    let there = ["redis-server", "nginx", "sh", "etcd", "/usr/bin/petset"];
    for (image, args, argv) in cases {
        let launch = resolve(&catalogue, image, "", args, &there).unwrap();
        assert_eq!(launch.argv.join(" "), argv, "{image} {args}");
    }
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
    let both = read("[\"db\"]\nprogram = [\"a\"]\nentrypoint = [\"a\"]\n");
    assert!(both.contains("both entrypoint and program"), "{both}");
}

#[test]
fn the_built_in_catalogue_can_be_read_whole_and_in_parts() {
    let whole = read_entries(include_str!("../images.toml")).unwrap();
    let parts: Vec<_> = built_in_parts().collect();
    assert_eq!(parts.len(), whole.len());
    for (key, part) in parts {
        let entries = read_entries(part).unwrap();
        assert_eq!(entries[key], whole[key], "{key}");
    }
}
