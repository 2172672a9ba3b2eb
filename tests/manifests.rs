//! Manifests of the world, as they were published: read where they lie, beside the project, run
//! with full isolation from what the image catalogue knows, and asked to do their job.
//!
//! Where the folder or a server is missing, a test says so and does nothing; where
//! `PETSET_TEST_REQUIRE`, a list such as `etcd,redis`, names the server, it fails instead.
//!
//! Each test names the level of isolation of its pets.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod support;

use std::env;
use std::path::{Path, PathBuf};
use std::time::Duration;

use support::{Sandbox, wait_until};

/// Probes of these manifests wait 15 s before they look, one pet after the other.
const LONG: Duration = Duration::from_secs(240);
/// Files without anything that petset runs.
const NOTHING_TO_RUN: [&str; 2] = ["e2e-cassandra.pdb.yaml", "e2e-etcd.pdb.yaml"];

/// Returns the folder of published manifests, which lies beside the project.
fn folder() -> Option<PathBuf> {
    let project = Path::new(env!("CARGO_MANIFEST_DIR"));
    let above = project.ancestors().skip(1).take(2);
    let mut folders = above.map(|above| above.join("shared/manifests"));
    let found = folders.find(|folder| folder.is_dir());
    if found.is_none() {
        support::skipped("there is no ../shared/manifests, so no published manifest is run");
    }
    found
}

/// Returns the folder if a server's programs are installed.
fn folder_for(server: &str, programs: &[&str]) -> Option<PathBuf> {
    let folder = folder()?;
    let path = env::var("PATH").unwrap_or_default();
    let path = format!("{path}:/usr/sbin:/usr/share/zookeeper/bin");
    let there = |program: &str| env::split_paths(&path).any(|dir| dir.join(program).is_file());
    let missing: Vec<&str> = programs
        .iter()
        .copied()
        .filter(|name| !there(name))
        .collect();
    if missing.is_empty() {
        return Some(folder);
    }
    let required = env::var("PETSET_TEST_REQUIRE").unwrap_or_default();
    let missing = missing.join(" and ");
    assert!(
        !required.split(',').any(|name| name.trim() == server),
        "PETSET_TEST_REQUIRE demands {server}, but there is no {missing}"
    );
    support::skipped(&format!("there is no {missing}, so {server} is not tested"));
    None
}

/// Creates what files say, without waiting for it.
fn create(sandbox: &Sandbox, folder: &Path, files: &[&str]) {
    let mut words = vec!["create".to_owned()];
    for file in files {
        words.extend(["-f".to_owned(), folder.join(file).display().to_string()]);
    }
    words.extend(["--isolation", "full", "--no-wait"].map(str::to_owned));
    let mut command = sandbox.command_of(&words);
    let outcome = sandbox.finish(&words.join(" "), sandbox.start_command(&mut command));
    assert_eq!(outcome.code, 0, "{}", outcome.err);
}

fn until_ready(sandbox: &Sandbox, pets: &[&str]) {
    for pet in pets {
        let ready = || {
            let pod = sandbox.run(&format!("get pod {pet} -o json")).out;
            let pod: serde_json::Value = serde_json::from_str(&pod).unwrap_or_default();
            let conditions = pod["status"]["conditions"].as_array().cloned();
            let mut conditions = conditions.unwrap_or_default().into_iter();
            conditions.any(|it| it["type"] == "Ready" && it["status"] == "True")
        };
        if !wait_until(ready, LONG) {
            sandbox.run(&format!("describe pod {pet}"));
            sandbox.run(&format!("logs {pet}"));
            sandbox.fail(&format!("{pet} does not become ready"));
        }
    }
}

/// Runs a script in a pet; nothing if it fails.
fn say(sandbox: &Sandbox, pet: &str, script: &str) -> Option<String> {
    let words = ["exec", pet, "--", "bash", "-c", script];
    let outcome = sandbox.command_of(&words).output().unwrap();
    let text = String::from_utf8_lossy(&outcome.stdout).trim().to_owned();
    outcome.status.success().then_some(text)
}

/// Waits until a script in a pet says something.
fn until_says(sandbox: &Sandbox, pet: &str, script: &str, text: &str) {
    let well = || say(sandbox, pet, script).is_some_and(|said| said.contains(text));
    if !wait_until(well, LONG) {
        sandbox.run(&format!("logs {pet}"));
        let said = say(sandbox, pet, script);
        sandbox.fail(&format!("{script} in {pet} says {said:?}, not {text:?}"));
    }
}

fn kill_main(sandbox: &Sandbox, pet: &str) {
    let before = sandbox.main(pet);
    sandbox.kill(before);
    let again = || sandbox.main(pet).is_some_and(|now| Some(now) != before);
    assert!(wait_until(again, LONG), "{pet} does not come back");
}

fn take_away(sandbox: &Sandbox, set: &str) {
    sandbox.ok(&format!("delete {set} --purge --timeout 80s"));
}

#[test]
fn every_published_manifest_is_valid_or_has_nothing_to_run() {
    let Some(folder) = folder() else { return };
    let sandbox = Sandbox::new();
    let files = std::fs::read_dir(&folder).unwrap().flatten();
    let names = files.map(|file| file.file_name().into_string().unwrap());
    let mut seen = 0;
    for name in names.filter(|name| name.ends_with("yaml") || name.ends_with("yml")) {
        let file = folder.join(&name).display().to_string();
        if NOTHING_TO_RUN.contains(&name.as_str()) {
            let words = format!("create --dry-run -f {file}");
            sandbox.fails(2, &words).says("no objects");
        } else {
            sandbox.ok(&format!("validate -f {file}"));
        }
        seen += 1;
    }
    assert!(seen > 50, "{seen} files");
}

#[test]
fn the_web_servers_serve_their_volumes() {
    let Some(folder) = folder_for("nginx", &["nginx"]) else {
        return;
    };
    let sandbox = Sandbox::new();
    create(&sandbox, &folder, &["website-web.yaml"]);
    until_ready(&sandbox, &["web-0", "web-1"]);
    let write = "hostname > /usr/share/nginx/html/index.html";
    say(&sandbox, "web-0", write).unwrap();
    let fetch =
        "exec 3<>/dev/tcp/web-0.nginx/80; printf 'GET / HTTP/1.0\\r\\n\\r\\n' >&3; tail -n 1 <&3";
    until_says(&sandbox, "web-1", fetch, "web-0");
    kill_main(&sandbox, "web-0");
    until_says(&sandbox, "web-1", fetch, "web-0");
    take_away(&sandbox, "web");
    sandbox.assert_nothing_left();
}

#[test]
fn peer_finder_tells_a_web_server_of_the_first_one() {
    let Some(folder) = folder_for("nginx", &["nginx"]) else {
        return;
    };
    let sandbox = Sandbox::new();
    create(&sandbox, &folder, &["petset-docs-1.3-peers.yaml"]);
    until_ready(&sandbox, &["web-0", "web-1"]);
    let own = "cat /conf/nginx.conf";
    until_says(
        &sandbox,
        "web-1",
        own,
        "proxy_pass http://web-0.nginx.default.svc.cluster.local",
    );
    take_away(&sandbox, "web");
}

#[test]
fn redis_that_an_init_container_installs_replicates() {
    let Some(folder) = folder_for("redis", &["redis-server", "redis-cli"]) else {
        return;
    };
    let sandbox = Sandbox::new();
    create(&sandbox, &folder, &["petset-contrib-redis.yaml"]);
    until_ready(&sandbox, &["rd-0", "rd-1", "rd-2"]);
    until_says(&sandbox, "rd-0", "redis-cli set word heard", "OK");
    until_says(&sandbox, "rd-2", "redis-cli get word", "heard");
    kill_main(&sandbox, "rd-2");
    until_says(&sandbox, "rd-2", "redis-cli get word", "heard");
    until_says(&sandbox, "rd-2", "redis-cli role | head -n 1", "slave");
    take_away(&sandbox, "rd");
}

#[test]
fn sentinels_watch_the_redis_that_its_init_container_configured() {
    let Some(folder) = folder_for("redis", &["redis-server", "redis-sentinel"]) else {
        return;
    };
    let sandbox = Sandbox::new();
    create(
        &sandbox,
        &folder,
        &["dempers-redis.yaml", "dempers-redis-config.yaml"],
    );
    until_ready(&sandbox, &["redis-0", "redis-1", "redis-2"]);
    let ask = "redis-cli --no-auth-warning -a a-very-complex-password-here";
    until_says(&sandbox, "redis-0", &format!("{ask} set word heard"), "OK");
    until_says(&sandbox, "redis-2", &format!("{ask} get word"), "heard");
    kill_main(&sandbox, "redis-2");
    until_says(&sandbox, "redis-2", &format!("{ask} get word"), "heard");
    create(&sandbox, &folder, &["dempers-redis-sentinel.yaml"]);
    until_ready(&sandbox, &["sentinel-0", "sentinel-1", "sentinel-2"]);
    let master = "redis-cli -p 5000 sentinel get-master-addr-by-name mymaster";
    until_says(&sandbox, "sentinel-2", master, "redis-0.redis");
    sandbox.ok("delete sentinel redis --purge --timeout 80s");
}

/// Forms a cluster of etcd, writes to one, kills another and reads from it.
fn etcd_keeps(files: &[&str], verb: &str) {
    let Some(folder) = folder_for("etcd", &["etcd", "etcdctl"]) else {
        return;
    };
    let sandbox = Sandbox::new();
    create(&sandbox, &folder, files);
    until_ready(&sandbox, &["etcd-0", "etcd-1", "etcd-2"]);
    let write = format!("etcdctl {verb} word heard && echo written");
    until_says(&sandbox, "etcd-0", &write, "written");
    until_says(&sandbox, "etcd-2", "etcdctl get word", "heard");
    // What a member that comes back goes by.
    until_says(
        &sandbox,
        "etcd-2",
        "test -s /var/run/etcd/member_id && echo kept",
        "kept",
    );
    kill_main(&sandbox, "etcd-2");
    until_says(&sandbox, "etcd-2", "etcdctl get word", "heard");
    sandbox.ok("logs etcd-2").says("Re-joining etcd member");
    take_away(&sandbox, "etcd");
    sandbox.assert_nothing_left();
}

#[test]
fn a_petset_of_etcd_takes_back_a_member_that_was_killed() {
    etcd_keeps(&["petset-contrib-etcd.yaml"], "set");
}

#[test]
fn a_newer_manifest_of_etcd_that_speaks_the_old_way_does_so_too() {
    let files = ["e2e-etcd.service.yaml", "e2e-etcd.statefulset.yaml"];
    etcd_keeps(&files, "put");
}

#[test]
fn zookeeper_forms_an_ensemble() {
    let Some(folder) = folder_for("zookeeper", &["zkServer.sh"]) else {
        return;
    };
    let sandbox = Sandbox::new();
    create(&sandbox, &folder, &["kow3ns-zookeeper.yaml"]);
    until_ready(&sandbox, &["zk-0", "zk-1", "zk-2"]);
    until_says(
        &sandbox,
        "zk-0",
        "zkCli.sh create /word heard 2>&1",
        "Created /word",
    );
    until_says(&sandbox, "zk-2", "zkCli.sh get /word 2>&1", "heard");
    kill_main(&sandbox, "zk-2");
    until_says(&sandbox, "zk-2", "zkCli.sh get /word 2>&1", "heard");
    take_away(&sandbox, "zk");
}

#[test]
fn mysql_copies_itself_from_pet_to_pet() {
    let programs = ["mariadbd", "mariadb-backup", "ncat"];
    let Some(folder) = folder_for("mariadb", &programs) else {
        return;
    };
    let sandbox = Sandbox::new();
    let files = [
        "website-mysql.configmap.yaml",
        "website-mysql.services.yaml",
        "website-mysql.statefulset.yaml",
    ];
    create(&sandbox, &folder, &files);
    until_ready(&sandbox, &["mysql-0", "mysql-1", "mysql-2"]);
    let ask = |words: &str| format!("mysql -h 127.0.0.1 -Ne \"{words}\"");
    let make =
        "create database d; create table d.t (w text); insert into d.t values ('heard'); select 1";
    until_says(&sandbox, "mysql-0", &ask(make), "1");
    until_says(&sandbox, "mysql-2", &ask("select w from d.t"), "heard");
    take_away(&sandbox, "mysql");
}
