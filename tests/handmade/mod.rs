//! A state directory written by hand: what commands read where nothing runs.

#![allow(dead_code, reason = "each test program uses its own part of it")]
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use assert_cmd::Command;
use tempfile::TempDir;

/// The state directory, removed when the test ends.
pub(crate) struct World {
    dir: TempDir,
}

impl World {
    pub(crate) fn new() -> Self {
        let world = Self {
            dir: tempfile::tempdir().unwrap(),
        };
        world.write("format", "1\n");
        world.write("seen/block", "84\n");
        world
    }

    /// A world with a set of three pets behind a headless service, of which two are ready.
    pub(crate) fn with_web() -> Self {
        let world = Self::new();
        world.set("web", 3, "web");
        world.service("web", "clusterIP: None");
        world.pet("web", 0, true);
        world.pet("web", 1, true);
        world.pet("web", 2, false);
        world.record("web", &["web-0", "web-1", "web-2"]);
        world
    }

    pub(crate) fn root(&self) -> PathBuf {
        self.dir.path().canonicalize().unwrap()
    }

    /// Writes a file in one piece, as petset does.
    pub(crate) fn write(&self, path: &str, text: &str) {
        let path = self.root().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        let new = path.with_file_name(".new");
        fs::write(&new, text).unwrap();
        fs::rename(new, path).unwrap();
    }

    pub(crate) fn set(&self, name: &str, replicas: u32, service: &str) {
        let text = format!(
            "apiVersion: apps/v1
kind: StatefulSet
metadata: {{name: {name}, namespace: default, uid: uid-{name}, generation: 1}}
spec:
  replicas: {replicas}
  serviceName: '{service}'
  selector: {{matchLabels: {{app: {name}}}}}
  template:
    metadata: {{labels: {{app: {name}}}}}
    spec:
      containers:
      - name: main
        image: petset/hello
        ports: [{{name: http, containerPort: 8080}}]
"
        );
        self.write(&format!("wanted/default/statefulset/{name}.yaml"), &text);
    }

    /// `more` is one line of the service's spec.
    pub(crate) fn service(&self, name: &str, more: &str) {
        let text = format!(
            "apiVersion: v1
kind: Service
metadata: {{name: {name}, namespace: default, uid: uid-svc-{name}}}
spec:
  selector: {{app: {name}}}
  ports: [{{name: http, port: 80, targetPort: http}}]
  {more}
"
        );
        self.write(&format!("wanted/default/service/{name}.yaml"), &text);
    }

    pub(crate) fn pet(&self, set: &str, ordinal: u32, ready: bool) {
        let name = format!("{set}-{ordinal}");
        let address = address(set, ordinal);
        let pod = serde_json::json!({
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {"name": name, "namespace": "default", "uid": format!("uid-{name}"),
                         "labels": {"app": set}},
            "spec": {"hostname": name, "subdomain": set,
                     "containers": [{"name": "main", "image": "petset/hello",
                                     "ports": [{"name": "http", "containerPort": 8080}]}],
                     "volumes": [{"name": "data",
                                  "persistentVolumeClaim": {"claimName": format!("data-{name}")}}]},
            "status": {"podIP": address, "podIPs": [{"ip": address}]},
        });
        self.write(&format!("pets/default/{name}/pod.json"), &pod.to_string());
        self.readiness(set, ordinal, ready);
    }

    /// What the runner says of a pet.
    pub(crate) fn readiness(&self, set: &str, ordinal: u32, ready: bool) {
        let word = if ready { "True" } else { "False" };
        let status = serde_json::json!({
            "phase": "Running",
            "conditions": [{"type": "Ready", "status": word}],
        });
        let path = format!("pets/default/{set}-{ordinal}/status.json");
        self.write(&path, &status.to_string());
    }

    /// The supervisor's record of a service, which believes that every pet is ready.
    pub(crate) fn record(&self, service: &str, pods: &[&str]) {
        let endpoint = |pod: &&str| {
            let (set, ordinal) = pod.rsplit_once('-').unwrap();
            serde_json::json!({
                "pod": pod, "hostname": pod, "ip": address(set, ordinal.parse().unwrap()),
                "ready": true, "serving": true,
                "ports": [{"name": "http", "protocol": "TCP", "port": 8080}],
            })
        };
        let record = serde_json::json!({
            "namespace": "default", "name": service, "kind": "headless",
            "ports": [{"name": "http", "protocol": "TCP", "port": 80, "target": "http"}],
            "endpoints": pods.iter().map(endpoint).collect::<Vec<_>>(),
        });
        let path = format!("seen/default/endpoints/{service}.json");
        self.write(&path, &record.to_string());
    }

    /// Runs petset with these words on this state directory, within a minute.
    pub(crate) fn petset(&self, words: &str) -> Command {
        let mut command = Command::cargo_bin("petset").unwrap();
        command.args(shlex::split(words).unwrap());
        self.place(&mut command);
        command.timeout(Duration::from_secs(60));
        command
    }

    fn place(&self, command: &mut Command) {
        command
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .env("PETSET_STATE_DIR", self.root())
            .env("PETSET_BLOCKS_DIR", self.root().join("blocks"))
            .current_dir(self.root());
    }

    /// Runs petset as something in the pet `web-N` would.
    pub(crate) fn petset_in(&self, ordinal: u32, words: &str) -> Command {
        let mut command = self.petset(words);
        within(&mut command, ordinal);
        command
    }

    /// Starts petset in the background, as something in the pet `web-N` would.
    pub(crate) fn start_in(
        &self,
        ordinal: u32,
        program: &Path,
        words: &str,
    ) -> std::process::Child {
        std::process::Command::new(program)
            .args(shlex::split(words).unwrap())
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .env("PETSET_STATE_DIR", self.root())
            .env("PETSET_SET", "web")
            .env("PETSET_POD_UID", format!("uid-web-{ordinal}"))
            .env("POD_NAME", format!("web-{ordinal}"))
            .env("POD_NAMESPACE", "default")
            .current_dir(self.root())
            .stdin(std::process::Stdio::null())
            .stdout(std::process::Stdio::piped())
            .stderr(std::process::Stdio::piped())
            .spawn()
            .unwrap()
    }
}

fn within(command: &mut Command, ordinal: u32) {
    command
        .env("PETSET_SET", "web")
        .env("PETSET_POD_UID", format!("uid-web-{ordinal}"))
        .env("POD_NAME", format!("web-{ordinal}"))
        .env("POD_NAMESPACE", "default");
}

fn address(set: &str, ordinal: u32) -> String {
    let row = 1 + set.bytes().map(u32::from).sum::<u32>() % 200;
    format!("127.84.{row}.{}", ordinal + 1)
}

/// What a command said, and how it ended.
pub(crate) struct Said {
    pub(crate) out: String,
    pub(crate) err: String,
    pub(crate) code: i32,
}

/// Runs a command to its end.
pub(crate) fn said(mut command: Command) -> Said {
    let output = command.output().unwrap();
    Said {
        out: String::from_utf8(output.stdout).unwrap(),
        err: String::from_utf8(output.stderr).unwrap(),
        code: output.status.code().unwrap_or(-1),
    }
}

/// Runs a command that has to succeed, and returns what it printed.
pub(crate) fn ok(command: Command) -> String {
    let said = said(command);
    assert_eq!(said.code, 0, "{}{}", said.out, said.err);
    said.out
}

/// The lines that a process says, each waited for no longer than a minute.
pub(crate) struct Lines(std::sync::mpsc::Receiver<String>);

impl Lines {
    pub(crate) fn of(stream: impl std::io::Read + Send + 'static) -> Self {
        use std::io::BufRead;
        let (said, heard) = std::sync::mpsc::channel();
        std::thread::spawn(move || {
            let lines = std::io::BufReader::new(stream).lines();
            lines
                .map_while(Result::ok)
                .try_for_each(|line| said.send(line))
        });
        Self(heard)
    }

    pub(crate) fn next(&self) -> String {
        self.0
            .recv_timeout(Duration::from_secs(60))
            .expect("another line")
    }
}

/// Waits until a condition holds; a minute is for ever.
pub(crate) fn eventually(what: &str, mut holds: impl FnMut() -> bool) {
    let started = std::time::Instant::now();
    while !holds() {
        assert!(started.elapsed() < Duration::from_secs(60), "never: {what}");
        std::thread::sleep(Duration::from_millis(2));
    }
}

/// A process that is ended when the test ends.
pub(crate) struct Reaped(pub(crate) std::process::Child);

impl Drop for Reaped {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
