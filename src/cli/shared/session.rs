//! A command's view of the state directory: reading, editing, and messages to the user.

use std::io::Write;
use std::path::Path;
use std::sync::Once;
use std::time::Duration;

use anyhow::Context;
use k8s_openapi::api::apps::v1::{StatefulSet, StatefulSetSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

use super::cause::note_cause;
use super::global::Global;
use super::inside;
use super::live_names;
use crate::model::environment::POD_UID_VARIABLE;
use crate::model::kind::ObjectKind;
use crate::model::rollout::note;
use crate::model::{Namespace, STRICT_ANNOTATION, SetName};
use crate::problem::{Kind, Problem, Result};
use crate::store::{self, Edit, Store, WatchLimit};
use crate::supervisor;

/// The state directory and namespace of one command.
#[derive(Debug)]
pub(crate) struct Session {
    pub(crate) store: Store,
    pub(crate) namespace: Namespace,
    /// Whether the command line names the namespace: manifests must agree with it then.
    pub(crate) namespace_given: bool,
    lock_timeout: Option<Duration>,
}

impl Session {
    /// Says that there are none of the objects that were asked for, and on a terminal where petset
    /// looked: a forgotten `PETSET_STATE_DIR` looks as if all were lost.
    pub(crate) fn say_nothing_found(&self, namespace: Option<&Namespace>) {
        say(match namespace {
            Some(namespace) => format!("No resources found in {namespace} namespace."),
            None => "No resources found".to_owned(),
        });
        if rustix::termios::isatty(std::io::stderr()) {
            let root = self.store.layout().root().display();
            say(format!("hint: petset looked in the state directory {root}"));
        }
    }

    /// Opens the state directory that the command line or the environment names.
    pub(crate) fn open(global: &Global) -> Result<Self> {
        let store = Store::open(global.root()?)?;
        let namespace = global
            .namespace
            .clone()
            .or_else(namespace_of_pet)
            .unwrap_or_default();
        Ok(Self {
            namespace_given: global.namespace.is_some(),
            store,
            namespace,
            lock_timeout: global.lock_timeout,
        })
    }

    /// Opens a state directory of one's own.
    pub(crate) fn of_dir(root: &Path, namespace: Namespace) -> Result<Self> {
        Ok(Self {
            store: Store::open(root)?,
            namespace,
            namespace_given: true,
            lock_timeout: None,
        })
    }

    /// Opens the state directory that the environment names, in a namespace.
    pub(crate) fn in_namespace(namespace: Namespace) -> Result<Self> {
        let store = Store::open(store::absolute(&store::default_root()?)?)?;
        Ok(Self {
            store,
            namespace,
            namespace_given: true,
            lock_timeout: None,
        })
    }

    /// Changes the wanted state atomically, and makes sure that a supervisor acts on it.
    pub(crate) fn edit<T>(
        &self,
        verb: &str,
        edit: impl FnOnce(&mut Edit<'_>) -> Result<T>,
    ) -> Result<T> {
        if inside::is_here() {
            let message = "an isolated pet cannot change the state directory";
            let hint = "run the command on the host, or create the set with --isolation none";
            return Err(Problem::new(Kind::Failed, message).hint(hint).into());
        }
        let outcome = self.store.edit(verb, self.lock_timeout, edit)?;
        self.wake_supervisor()?;
        Ok(outcome)
    }

    /// Makes sure that a supervisor acts on what has changed already.
    pub(crate) fn wake_supervisor(&self) -> Result<()> {
        let kept = "the change is kept, but nobody carries it out yet: say `petset start` when the \
                    cause is gone";
        self.store.expect_own()?;
        supervisor::nudge(self.store.layout()).context(kept)
    }

    /// Changes the wanted state as [`edit`](Self::edit) does, without waking a supervisor.
    pub(crate) fn edit_quietly<T>(
        &self,
        verb: &str,
        edit: impl FnOnce(&mut Edit<'_>) -> Result<T>,
    ) -> Result<T> {
        self.store.edit(verb, self.lock_timeout, edit)
    }

    /// Changes one set that exists, and returns it as it is now.
    ///
    /// Its generation rises with each change of its spec: it says which change a report is about.
    pub(crate) fn edit_set<T>(
        &self,
        verb: &str,
        name: &SetName,
        change: impl FnOnce(&mut StatefulSet) -> Result<T, Problem>,
    ) -> Result<(StatefulSet, T)> {
        self.edit(&format!("{verb} {name}"), |edit| {
            let mut set = self.expect_set(name)?;
            if set.metadata.deletion_timestamp.is_some() {
                let hint = format!("wait for its end with `petset wait {name} --for delete`");
                let message = format!("{name} is being deleted");
                return Err(Problem::new(Kind::Conflict, message).hint(hint).into());
            }
            let before = set.spec.clone();
            let outcome = change(&mut set)?;
            if set.spec != before {
                let generation = set.metadata.generation.unwrap_or_default();
                set.metadata.generation = Some(generation + 1);
            }
            let template = |spec: Option<&StatefulSetSpec>| spec.map(|spec| spec.template.clone());
            if template(set.spec.as_ref()) != template(before.as_ref()) {
                note_cause(&mut set);
            }
            edit.put(&set)?;
            Ok((set, outcome))
        })
    }

    /// Returns the set of this name, which has to exist.
    pub(crate) fn expect_set(&self, name: &SetName) -> Result<StatefulSet> {
        let object = name.as_str().parse()?;
        let found = self.store.find(&self.namespace, &object)?;
        found.ok_or_else(|| self.not_found("statefulsets.apps", name.as_str()).into())
    }

    /// Returns whether a set behaves exactly as under Kubernetes.
    pub(crate) fn is_strict(&self, set: &StatefulSet) -> bool {
        self.has_strict_rules(&set.metadata)
    }

    /// Returns whether an object is to be as under Kubernetes' own controller.
    pub(crate) fn has_strict_rules(&self, meta: &ObjectMeta) -> bool {
        self.store.settings().strict || note(meta, STRICT_ANNOTATION) == Some("true")
    }

    /// Creates the state directory, if it does not exist yet.
    pub(crate) fn establish(&self) -> Result<()> {
        self.store.edit("supervise", self.lock_timeout, |_| Ok(()))
    }

    /// Says where petset looks, as a hint.
    pub(crate) fn whereabouts(&self) -> String {
        let root = self.store.layout().root().display();
        let namespace = &self.namespace;
        format!("this is namespace {namespace} of {root}; see what exists with `petset get all`")
    }

    /// Returns the API server's error for an object that does not exist.
    pub(crate) fn not_found(&self, resource: &str, name: &str) -> Problem {
        let message = format!("{resource} {name:?} not found");
        let kinds: &[ObjectKind] = match ObjectKind::of_word(resource) {
            Some(kind) => &[kind],
            None => &[ObjectKind::StatefulSet, ObjectKind::Pod],
        };
        let problem = Problem::new(Kind::NotFound, message);
        let meant = live_names::meant(self.store.layout(), &self.namespace, kinds, name);
        let problem = problem.hint(meant.unwrap_or_else(|| self.whereabouts()));
        if self.store.is_stopped() {
            return problem.hint("everything is stopped: `petset start` starts it");
        }
        problem
    }
}

/// Returns the namespace of the pet in which this program runs, if it runs in one.
fn namespace_of_pet() -> Option<Namespace> {
    std::env::var_os(POD_UID_VARIABLE)?;
    std::env::var("POD_NAMESPACE").ok()?.parse().ok()
}

/// Writes a line to standard error.
pub(crate) fn say(sentence: impl AsRef<str>) {
    say_all(&format!("{}\n", sentence.as_ref()));
}

/// Says, once a command, that petset looks now and then because it cannot watch.
pub(crate) fn say_limit(limit: Option<WatchLimit>) {
    static SAID: Once = Once::new();
    if let Some(limit) = limit {
        SAID.call_once(|| say(format!("note: {}", limit.words())));
    }
}

/// Writes text to standard error; a failure is ignored.
pub(crate) fn say_all(lines: &str) {
    let _ = anstream::stderr().write_all(lines.as_bytes());
}
