//! What every verb needs: the state directory, the namespace, an edit, a nudge, a word to say.

use std::fmt;
use std::io::Write;
use std::path::PathBuf;
use std::time::Duration;

use k8s_openapi::api::apps::v1::StatefulSet;

use super::inside;
use crate::cli::Global;
use crate::model::{Namespace, Set, SetName};
use crate::problem::{Kind, Problem, Result};
use crate::store::{self, Edit, Store};
use crate::supervisor;

/// One command's view of the world.
#[derive(Debug)]
pub(crate) struct Session {
    pub(crate) store: Store,
    pub(crate) namespace: Namespace,
    /// The namespace was named on the command line, so that manifests must agree with it.
    pub(crate) namespace_given: bool,
    lock_timeout: Option<Duration>,
}

impl Session {
    /// Opens the state directory that the command line or the environment names.
    pub(crate) fn open(global: &Global) -> Result<Self> {
        let store = Store::open(root_of(global)?)?;
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

    /// Changes what is wanted, in one piece, and makes sure that a supervisor looks at it.
    pub(crate) fn edit<T>(
        &self,
        verb: &str,
        edit: impl FnOnce(&mut Edit<'_>) -> Result<T>,
    ) -> Result<T> {
        if inside::is_here() {
            let message = "a pet with isolation cannot change what is wanted";
            let hint = "run the command on the host, or let the set do without: --isolation none";
            return Err(Problem::new(Kind::Failed, message).hint(hint).into());
        }
        let outcome = self.store.edit(verb, self.lock_timeout, edit)?;
        supervisor::nudge(self.store.layout())?;
        Ok(outcome)
    }

    /// Changes what is wanted as [`edit`](Self::edit) does, where no supervisor has to look at it.
    pub(crate) fn edit_quietly<T>(
        &self,
        verb: &str,
        edit: impl FnOnce(&mut Edit<'_>) -> Result<T>,
    ) -> Result<T> {
        self.store.edit(verb, self.lock_timeout, edit)
    }

    /// Changes one set that exists, and returns it as it is now.
    ///
    /// Its generation rises when its spec changed, so that the supervisor's report can be told to
    /// be of this change or of one before.
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

    /// Returns the names of the claims that a set's templates have made, in order.
    pub(crate) fn claims_of(&self, namespace: &Namespace, set: &Set) -> Result<Vec<String>> {
        let names = store::names_in(&self.store.layout().volumes(namespace))?;
        Ok(names
            .into_iter()
            .filter(|claim| set.is_own_claim(claim))
            .collect())
    }

    /// Makes the state directory, if it does not exist yet.
    pub(crate) fn establish(&self) -> Result<()> {
        self.store.edit("supervise", self.lock_timeout, |_| Ok(()))
    }

    /// Says, in the API server's words, that something does not exist.
    pub(crate) fn not_found(&self, resource: &str, name: &str) -> Problem {
        let message = format!("{resource} {name:?} not found");
        let root = self.store.layout().root().display();
        let namespace = &self.namespace;
        let hint = format!(
            "this is namespace {namespace} of {root}; see what exists with `petset get all`"
        );
        Problem::new(Kind::NotFound, message).hint(hint)
    }
}

/// Returns the state directory that the command line or the environment names.
pub(crate) fn root_of(global: &Global) -> Result<PathBuf> {
    let root = match &global.state_dir {
        Some(dir) => dir.clone(),
        None => store::default_root()?,
    };
    store::absolute(&root)
}

/// Within a pet, its own namespace is the default.
fn namespace_of_pet() -> Option<Namespace> {
    std::env::var_os("PETSET_POD_UID")?;
    std::env::var("POD_NAMESPACE").ok()?.parse().ok()
}

/// Says a sentence to the person who looks on: standard error, one line.
pub(crate) fn say(sentence: impl AsRef<str>) {
    say_all(&format!("{}\n", sentence.as_ref()));
}

/// Says several lines. Nobody to hear them is no failure.
pub(crate) fn say_all(lines: &str) {
    let _ = anstream::stderr().write_all(lines.as_bytes());
}

/// An ending that has been said already: only the exit code is left to return.
#[derive(Debug)]
pub(crate) struct PassedThrough(pub(crate) u8);

impl fmt::Display for PassedThrough {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ended with exit code {}", self.0)
    }
}

impl std::error::Error for PassedThrough {}
