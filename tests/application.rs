//! One file with a whole application (`testdata/manifests/application.yaml`): a database, the Job
//! that migrates its schema, a web front whose init containers wait for it, and a CronJob that
//! dumps it. The database is on a static volume. The application comes up, is rolled, broken,
//! rolled back, killed anywhere, deleted, and comes back with its data.
//!
//! Each test names the level of isolation of its pets. A server that is not installed skips its
//! test, and says so; where `PETSET_TEST_REQUIRE` names it, the test fails instead.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod support;

use std::fs;
use std::path::Path;

use serde_json::Value;
use support::{Sandbox, is_installed};

const FILE: &str = "manifests/application.yaml";

fn is_possible() -> bool {
    let has_postgres = Path::new("/usr/lib/postgresql").is_dir();
    (has_postgres || is_installed("postgres", &["postgres"])) && is_installed("nginx", &["nginx"])
}

/// The application, and what is asked of it after every step.
struct Application(Sandbox, String);

/// The directory of the static volume.
const PLACE: &str = "/var/tmp/petset-shop";

impl Application {
    /// The one of the file, but for the place of its static volume.
    fn new() -> Self {
        let sandbox = Sandbox::new();
        let text = fs::read_to_string(support::testdata().join(FILE)).unwrap();
        let place = sandbox.scratch().join("shop");
        let file = sandbox.manifest("shop.yaml", &text.replace(PLACE, place.to_str().unwrap()));
        Self(sandbox, file)
    }

    fn create(&self) {
        let file = &self.1;
        self.0
            .ok(&format!("create -f {file} --isolation full --timeout 80s"));
    }

    fn delete(&self) {
        self.0.ok(&format!("delete -f {} --timeout 60s", self.1));
    }

    fn exec(&self, pod: &str, script: &str) -> String {
        let words = ["exec", pod, "--", "sh", "-c", script];
        let output = self.0.command_of(&words).output().unwrap();
        String::from_utf8_lossy(&output.stdout).trim().to_owned()
    }

    /// Asks the database.
    fn sql(&self, query: &str) -> String {
        self.exec("db-0", &format!("psql -U postgres -d shop -Atc {query:?}"))
    }

    /// The page of the front, asked by its service's name from beside the database.
    fn page(&self) -> String {
        let python =
            "import urllib.request as r; print(r.urlopen('http://web:8000/').read().decode())";
        self.exec("db-0", &format!("python3 -c {python:?}"))
    }

    fn fronts(&self) -> Vec<String> {
        let mut all = self.0.pets();
        all.retain(|name| name.starts_with("web-"));
        all
    }

    /// Requires that the database answers with these goods, and that two fronts serve a page.
    #[track_caller]
    fn is_whole(&self, goods: &str) {
        self.0.until("the database answers", || {
            self.sql("select name || number from goods order by 1") == goods
        });
        self.0.until("the front serves its page", || {
            self.page().starts_with("apples|3")
        });
        self.0
            .until("there are two fronts", || self.fronts().len() == 2);
    }

    /// Runs the CronJob now, and returns the newest dump.
    fn dump(&self, name: &str) -> String {
        let job = format!("create job {name} --from cronjob/dump");
        self.0.ok(&job);
        self.0.ok(&format!(
            "wait job/{name} --for condition=Complete --timeout 60s"
        ));
        let dumps = fs::read_dir(self.0.file("volumes/default/dumps")).unwrap();
        let newest = dumps.map(|it| it.unwrap().path()).max().unwrap();
        fs::read_to_string(newest).unwrap()
    }
}

#[test]
fn an_application_comes_up_is_rolled_broken_killed_and_comes_back_with_its_data() {
    // CF-cli-03
    if !is_possible() {
        return;
    }
    let app = Application::new();
    let sandbox = &app.0;
    app.create();
    app.is_whole("apples3");
    sandbox.ok("get jobs").says("1/1");
    app.sql("insert into goods values ('pears', 5)");
    assert!(app.dump("first").contains("pears"));

    // Rolled: the new fronts read what is in the database now.
    let before = app.fronts();
    sandbox.ok("upgrade deploy/web --env RELEASE=2 --timeout 60s");
    app.is_whole("apples3\npears5");
    assert!(app.page().contains("pears|5"), "{}", app.page());
    assert!(!app.fronts().iter().any(|name| before.contains(name)));

    // Broken: it goes back by itself, and the front answers all the time.
    let before = app.fronts();
    let broken = "upgrade deploy/web --on-failure rollback -- nginx -c /no-such-file";
    sandbox
        .fails(6, &format!("{broken} --timeout 60s"))
        .says("web went back from");
    app.is_whole("apples3\npears5");
    assert_eq!(app.fronts(), before);
    sandbox.ok("rollout history deploy/web").says("(failed)");

    // Killed anywhere: the supervisor, every runner, and all of them at once.
    sandbox.kill(sandbox.supervisor());
    for pod in app.fronts().into_iter().chain(["db-0".to_owned()]) {
        sandbox.kill(sandbox.runner(&pod));
        sandbox.ok("start --timeout 60s");
        app.is_whole("apples3\npears5");
    }
    sandbox.kill(sandbox.supervisor());
    for pod in app.fronts().into_iter().chain(["db-0".to_owned()]) {
        sandbox.kill(sandbox.runner(&pod));
    }
    sandbox.ok("start --timeout 60s");
    app.is_whole("apples3\npears5");
    assert!(app.dump("second").contains("pears"));

    let volume = "get pv database -o jsonpath={.status.phase}{.spec.claimRef.name}";
    assert_eq!(sandbox.ok(volume).out.trim(), "Bounddata-db-0");
    let place = sandbox.scratch().join("shop");
    assert!(place.is_dir() && !sandbox.file("volumes/default/data-db-0").exists());

    // Deleted, and created again: the data was kept.
    app.delete();
    sandbox.ok("delete jobs --all");
    sandbox.assert_nothing_left();
    assert!(sandbox.pets().is_empty());
    app.create();
    app.is_whole("apples3\npears5");
    let dumps = fs::read_dir(sandbox.file("volumes/default/dumps")).unwrap();
    assert_eq!(dumps.count(), 2);

    // Also where neither the claim nor its volume is left.
    app.delete();
    sandbox.ok("delete pvc data-db-0 --purge");
    sandbox.ok("delete pv database");
    assert!(place.is_dir());
    app.create();
    app.is_whole("apples3\npears5");
    app.delete();
    sandbox.assert_nothing_left();
}

#[test]
fn a_rollout_of_the_front_goes_on_when_everything_is_killed_in_its_middle() {
    if !is_possible() {
        return;
    }
    let app = Application::new();
    let sandbox = &app.0;
    app.create();
    let before = app.fronts();
    for round in 0..2 {
        let words = format!("upgrade deploy/web --env ROUND={round} --no-wait");
        sandbox.ok(&words);
        sandbox.until("the rollout has begun", || app.fronts().len() > 2);
        sandbox.kill(sandbox.supervisor());
        for pod in app.fronts() {
            if let Some(runner) = sandbox.runner(&pod) {
                sandbox.kill(Some(runner));
            }
        }
        sandbox.ok("start --timeout 60s");
        sandbox.ok("rollout status deploy/web --timeout 60s");
        app.is_whole("apples3");
    }
    assert!(!app.fronts().iter().any(|name| before.contains(name)));
    app.delete();
    sandbox.assert_nothing_left();
}

/// The manifest is documentation, too: nothing in it may be refused or left out.
#[test]
fn the_application_is_valid_without_a_warning() {
    let sandbox = Sandbox::new();
    let said = sandbox.ok(&format!("validate -f {FILE}"));
    assert_eq!(said.err, "");
    let objects = sandbox.ok(&format!("create -f {FILE} --dry-run=client -o json"));
    let objects: Value = serde_json::from_str(&objects.out).unwrap();
    assert_eq!(objects["items"].as_array().map(Vec::len), Some(10));
}
