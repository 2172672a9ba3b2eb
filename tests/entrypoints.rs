//! Servers that a manifest leaves to the entrypoint of their image: what the catalogue has in its
//! place starts them, prepares their data once, and finds it again.
//!
//! A server that is not installed skips its test, and says so; where `PETSET_TEST_REQUIRE` names
//! it, the test fails instead.
//!
//! Each test names the level of isolation of its pets.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod support;

use std::path::Path;

use support::{PATIENCE, Sandbox, is_installed, wait_until};

const IN_FULL: &str = "--isolation full --timeout 80s";

fn inside(sandbox: &Sandbox, pet: &str, script: &str) -> String {
    let words = ["exec", pet, "--", "bash", "-c", script];
    let mut command = sandbox.command_of(&words);
    let outcome = sandbox.finish(script, sandbox.start_command(&mut command));
    outcome.out.trim_end().to_owned()
}

/// Creates what a manifest of `testdata` says.
fn create(sandbox: &Sandbox, name: &str) {
    sandbox.ok(&format!("create -f manifests/{name} {IN_FULL}"));
}

fn restarts(pod: &serde_json::Value) -> i64 {
    let status = &pod["status"]["containerStatuses"][0];
    status["restartCount"].as_i64().unwrap_or(-1)
}

fn has_postgres() -> bool {
    Path::new("/usr/lib/postgresql").is_dir() || is_installed("postgres", &["postgres"])
}

#[test]
fn postgres_makes_its_database_once_and_keeps_it() {
    if !has_postgres() {
        return;
    }
    let sandbox = Sandbox::new();
    create(&sandbox, "postgres.yaml");
    let rows = "psql -U postgres -d shop -Atc 'select word from goods order by 1' | tr '\\n' ' '";
    assert_eq!(inside(&sandbox, "db-0", rows), "by-script by-sql");
    let by_network = "psql -h db-0.db -U postgres -d shop -Atc 'select count(*) from goods'";
    let with = |password: &str| format!("PGPASSWORD={password} {by_network}");
    assert_eq!(inside(&sandbox, "db-0", &with("petset-wrong")), "");
    assert_eq!(inside(&sandbox, "db-0", &with("\"it's secret\"")), "2");
    sandbox.ok("restart db --timeout 80s");
    assert_eq!(inside(&sandbox, "db-0", rows), "by-script by-sql");
    let before = sandbox.main("db-0");
    sandbox.kill(before);
    sandbox.until("the server is started again", || {
        sandbox.main("db-0").is_some_and(|pid| Some(pid) != before)
    });
    let again = || inside(&sandbox, "db-0", rows) == "by-script by-sql";
    assert!(wait_until(again, 2 * PATIENCE), "the data is not there");
    sandbox.ok("delete db --purge");
    sandbox.assert_nothing_left();
}

#[test]
fn postgres_without_a_password_is_refused() {
    if !has_postgres() {
        return;
    }
    let sandbox = Sandbox::new();
    sandbox.ok("create db --image postgres:16 --isolation full --no-wait");
    sandbox.until_says("logs db-0", "set POSTGRES_PASSWORD");
    sandbox.until_pet_is("db-0", "CrashLoopBackOff");
    sandbox.ok("delete db --purge");
    sandbox.assert_nothing_left();
}

#[test]
fn mysql_runs_its_scripts_once_and_keeps_what_they_made() {
    if !is_installed("mariadb", &["mariadbd"]) {
        return;
    }
    let sandbox = Sandbox::new();
    create(&sandbox, "mysql.yaml");
    let rows =
        "mysql -h db-0.db -uroot \"-pit's secret\" shop -Ne 'select word from goods order by 1'";
    let rows = format!("{rows} | tr '\\n' ' '");
    assert_eq!(inside(&sandbox, "db-0", &rows), "by-script by-sql");
    assert_eq!(restarts(&sandbox.pod("db-0")), 0);
    sandbox.ok("restart db --timeout 80s");
    assert_eq!(inside(&sandbox, "db-0", &rows), "by-script by-sql");
    sandbox.ok("delete db --purge");
    sandbox.assert_nothing_left();
}

#[test]
fn memcached_pets_answer_each_other() {
    if !is_installed("memcached", &["memcached"]) {
        return;
    }
    let sandbox = Sandbox::new();
    sandbox.ok(&format!(
        "create cache --replicas 2 --image memcached:1.6 --port mc=11211 --ready tcp {IN_FULL}"
    ));
    let script = r#"exec 3<>/dev/tcp/cache-1.cache/11211
        printf 'set word 0 0 5\r\nheard\r\nget word\r\nquit\r\n' >&3; cat <&3"#;
    let said = inside(&sandbox, "cache-0", script);
    assert!(said.contains("STORED") && said.contains("heard"), "{said}");
    sandbox.ok("delete cache");
    sandbox.assert_nothing_left();
}

#[test]
fn haproxy_answers_from_the_configuration_of_its_config_map() {
    if !is_installed("haproxy", &["haproxy"]) {
        return;
    }
    let sandbox = Sandbox::new();
    create(&sandbox, "haproxy.yaml");
    let script =
        r#"exec 3<>/dev/tcp/proxy-0.proxy/80; printf 'GET / HTTP/1.0\r\n\r\n' >&3; cat <&3"#;
    let said = inside(&sandbox, "proxy-0", script);
    assert!(said.ends_with("from the config map"), "{said}");
    sandbox.ok("delete proxy");
    sandbox.assert_nothing_left();
}

#[test]
fn postgres_runs_with_the_number_that_its_image_gives_its_user() {
    if !has_postgres() || !rustix::process::geteuid().is_root() {
        return;
    }
    let sandbox = Sandbox::new();
    let text = "apiVersion: v1
kind: Pod
metadata: {name: db}
spec:
  securityContext: {runAsUser: 999}
  containers:
  - name: db
    image: postgres:15
    env: [{name: POSTGRES_PASSWORD, value: petset}]
    readinessProbe: {exec: {command: [pg_isready, -U, postgres]}, periodSeconds: 1}
";
    let file = sandbox.manifest("db.yaml", text);
    sandbox.ok(&format!("create -f {file} --isolation full --timeout 80s"));
    sandbox
        .ok("exec db -- stat -c %u /var/lib/postgresql/data")
        .prints("999\n");
}
