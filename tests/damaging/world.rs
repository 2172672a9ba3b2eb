//! A state directory whose set goes through all verbs, again and again, while something is hit
//! during each; what must hold afterwards is looked up without a process where it can.

use std::fs;
use std::path::Path;
use std::time::Duration;

use crate::support::{Sandbox, processes, wait_until};

/// How long what is bound to come may take.
const PATIENCE: Duration = Duration::from_secs(40);

/// The verbs, in the order in which a world goes through them.
pub(crate) const VERBS: [Verb; 8] = [
    Verb::Create,
    Verb::Scale,
    Verb::Upgrade,
    Verb::Restart,
    Verb::Stop,
    Verb::Start,
    Verb::Delete,
    Verb::VolumeRm,
];

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Verb {
    Create,
    Scale,
    Upgrade,
    Restart,
    Stop,
    Start,
    Delete,
    VolumeRm,
}

/// What did not hold.
#[derive(Debug)]
pub(crate) enum Fault {
    /// Something that was said or kept is gone, or an identity ran twice.
    Lost(String),
    /// The next command does not go on.
    Stuck(String),
    /// Something is there that nobody wants.
    Left(String),
}

pub(crate) type Held = Result<(), Fault>;

pub(crate) struct World {
    pub(crate) sandbox: Sandbox,
    pub(crate) is_full: bool,
    /// The second argument of the pets' `sleep`, which no other world has.
    mark: String,
    /// Goes up with each upgrade.
    version: u64,
    /// Whether the set has that version.
    is_upgraded: bool,
    /// What was left over before the current cycle.
    left_before: Vec<String>,
}

impl World {
    pub(crate) fn new(number: u64, is_full: bool) -> Self {
        let sandbox = Sandbox::new();
        let level = if is_full { "full" } else { "none" };
        sandbox.settings(&format!("isolation = {level:?}\n"));
        let mark = format!("0.{}{number:04}", std::process::id());
        sandbox.manifest("t.yaml", &OBJECTS.replace("MARK", &mark));
        Self {
            sandbox,
            is_full,
            mark,
            version: 0,
            is_upgraded: false,
            left_before: Vec::new(),
        }
    }

    /// The words of a verb, with a time limit.
    pub(crate) fn words(&self, verb: Verb, limit: &str) -> String {
        let words = match verb {
            Verb::Create => {
                let file = self.sandbox.scratch().join("t.yaml");
                format!("create -f {}", file.display())
            }
            Verb::Scale => "scale t --replicas 2".to_owned(),
            Verb::Upgrade => format!("upgrade t --env V={}", self.version),
            Verb::Restart => "restart t".to_owned(),
            Verb::Stop => "stop".to_owned(),
            Verb::Start => "start".to_owned(),
            Verb::Delete => "delete sts/t svc/t svc/front".to_owned(),
            Verb::VolumeRm => return "volume rm --set t --yes".to_owned(),
        };
        format!("{words} --timeout {limit}")
    }

    /// Notes what is so before a verb is said.
    pub(crate) fn before(&mut self, verb: Verb) {
        match verb {
            Verb::Create => {
                self.left_before = left_over(&self.sandbox.state());
                self.is_upgraded = false;
            }
            Verb::Upgrade => {
                self.version += 1;
                self.is_upgraded = true;
            }
            Verb::Scale
            | Verb::Restart
            | Verb::Stop
            | Verb::Start
            | Verb::Delete
            | Verb::VolumeRm => {}
        }
    }

    /// Requires that the next commands go on from where the verb came to.
    pub(crate) fn after(&self, verb: Verb, has_succeeded: bool) -> Held {
        match verb {
            Verb::Create if !self.is_there() => self.require(&self.words(verb, "40s"))?,
            Verb::Upgrade | Verb::Scale | Verb::Restart | Verb::Stop if !has_succeeded => {
                self.require(&self.words(verb, "40s"))?;
            }
            Verb::Create | Verb::Scale | Verb::Upgrade | Verb::Restart | Verb::Start => {
                self.require("start --timeout 40s")?;
            }
            Verb::Stop => {}
            Verb::Delete => {
                self.require("delete sts/t svc/t svc/front --ignore-not-found --timeout 40s")?;
            }
            Verb::VolumeRm => {
                for pet in ["t-0", "t-1"] {
                    if self
                        .sandbox
                        .run("volume ls")
                        .out
                        .contains(&format!("data-{pet}"))
                    {
                        self.require(&format!("volume rm data-{pet} --yes"))?;
                    }
                }
            }
        }
        self.holds_after(verb)
    }

    fn holds_after(&self, verb: Verb) -> Held {
        let replicas = match verb {
            Verb::Create => 1,
            Verb::Scale | Verb::Upgrade | Verb::Restart | Verb::Start => 2,
            Verb::Stop | Verb::Delete | Verb::VolumeRm => 0,
        };
        self.runs(replicas)?;
        let data = self.sandbox.file("volumes/default/data-t-0/data");
        match verb {
            Verb::Create => {
                fs::write(&data, "precious").unwrap();
                let left = left_over(&self.sandbox.state());
                let still = |it: &&String| left.contains(it);
                if let Some(file) = self.left_before.iter().find(still) {
                    return Err(Fault::Left(file.clone()));
                }
            }
            Verb::VolumeRm if data.exists() => {
                return Err(Fault::Left("a volume that was removed".to_owned()));
            }
            Verb::VolumeRm => self.nothing_runs()?,
            _ if fs::read(&data).unwrap_or_default() != b"precious" => {
                return Err(Fault::Lost("the data of a volume".to_owned()));
            }
            Verb::Scale
            | Verb::Upgrade
            | Verb::Restart
            | Verb::Stop
            | Verb::Start
            | Verb::Delete => {}
        }
        let twice = self
            .sandbox
            .journal()
            .into_iter()
            .find(|it| it.starts_with("violation"));
        twice.map_or(Ok(()), |line| Err(Fault::Lost(line)))
    }

    fn nothing_runs(&self) -> Held {
        match wait_until(|| self.sandbox.processes().is_empty(), PATIENCE) {
            true => Ok(()),
            false => Err(Fault::Left(format!("{:?}", self.sandbox.processes()))),
        }
    }

    /// Waits until so many pets run, each once, and of the newest version.
    fn runs(&self, replicas: usize) -> Held {
        let variable = format!("V={}", self.version);
        let is_new = |pid: &i32| {
            let environment = fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
            !self.is_upgraded
                || environment
                    .split(|byte| *byte == 0)
                    .any(|it| it == variable.as_bytes())
        };
        let recorded = || {
            let mains = ["t-0", "t-1"].map(|pet| self.sandbox.main(pet));
            mains.into_iter().flatten().filter(is_new).count()
        };
        let holds = || recorded() == replicas && self.mains() == replicas;
        if wait_until(holds, PATIENCE) {
            return Ok(());
        }
        let (mains, recorded) = (self.mains(), recorded());
        let fault = format!("{mains} run and {recorded} as they should, not {replicas}");
        match mains > replicas {
            true => Err(Fault::Left(fault)),
            false => Err(Fault::Stuck(fault)),
        }
    }

    /// How many main processes of pets there are.
    fn mains(&self) -> usize {
        let line = format!("sleep\x00600\x00{}\x00", self.mark);
        processes::with_command(line.as_bytes()).len()
    }

    fn is_there(&self) -> bool {
        self.sandbox
            .file("wanted/default/statefulset/t.yaml")
            .exists()
    }

    /// A container that could not be started is started again after its back-off, and a verb that
    /// sees it meanwhile says so: then it is said again.
    fn require(&self, words: &str) -> Held {
        let mut last = None;
        let succeeds = || {
            let outcome = self.sandbox.run(words);
            let code = outcome.code;
            last = Some(outcome);
            code == 0
        };
        match wait_until(succeeds, PATIENCE) {
            true => Ok(()),
            false => Err(Fault::Stuck(
                last.map(|it| it.transcript()).unwrap_or_default(),
            )),
        }
    }

    /// Ends the supervisor, so that another one is started.
    pub(crate) fn end_supervisor(&self) {
        if let Some(pid) = self.sandbox.supervisor() {
            processes::kill(pid);
            let _ = wait_until(|| !processes::is_alive(pid), PATIENCE);
        }
    }
}

/// Lists temporary files, and volumes whose removal has begun.
fn left_over(dir: &Path) -> Vec<String> {
    let mut left = Vec::new();
    for entry in fs::read_dir(dir).into_iter().flatten().flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        if name.starts_with('.') && (name.ends_with(".new") || name.ends_with(".removed")) {
            left.push(entry.path().display().to_string());
        } else if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            left.extend(left_over(&entry.path()));
        }
    }
    left
}

/// The lock of a pet is held by whatever is left of its last run, too.
const OBJECTS: &str = "
apiVersion: v1
kind: Service
metadata: {name: t}
spec: {clusterIP: None, selector: {app: t}, ports: [{port: 80}]}
---
apiVersion: v1
kind: Service
metadata: {name: front}
spec: {selector: {app: t}, ports: [{port: 80}]}
---
apiVersion: apps/v1
kind: StatefulSet
metadata: {name: t}
spec:
  serviceName: t
  replicas: 1
  selector: {matchLabels: {app: t}}
  template:
    metadata: {labels: {app: t}}
    spec:
      terminationGracePeriodSeconds: 1
      containers:
      - name: c
        image: busybox
        command:
        - sh
        - -c
        - exec 9>>$HOME/lock-$POD_NAME; flock -n -E 75 9; [ $? != 75 ] ||
          echo violation >>$HOME/journal; exec sleep 600 MARK
        volumeMounts: [{name: data, mountPath: /data}]
  volumeClaimTemplates:
  - metadata: {name: data}
    spec: {accessModes: [ReadWriteOnce], resources: {requests: {storage: 1Mi}}}
";
