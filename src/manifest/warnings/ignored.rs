//! The fields that were given and are not acted on, by the cause of that.

use crate::manifest::remark::{Remark, RemarkKind, Remarks};
use crate::sorted::SortedSet;

/// Why a field is not acted on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Cause {
    text: &'static str,
    kind: RemarkKind,
}

impl Cause {
    /// Makes a cause that holds however pets are isolated.
    pub(super) const fn always(text: &'static str) -> Self {
        let kind = RemarkKind::Plain;
        Self { text, kind }
    }

    /// Makes a cause that does not hold for isolated pets.
    pub(super) const fn unless_isolated(text: &'static str) -> Self {
        let kind = RemarkKind::UnlessIsolated;
        Self { text, kind }
    }
}

pub(super) const NO_SCHEDULER: Cause =
    Cause::always("ignored: petset runs everything on this machine");
pub(super) const NO_IMAGES: Cause = Cause::always("ignored: petset pulls no images");
pub(super) const NO_LIMITS: Cause = Cause::always("limits are not enforced");
pub(super) const NO_CONTAINERS: Cause =
    Cause::always("ignored: pets are processes of this machine");
pub(super) const NO_API: Cause = Cause::always("there is no Kubernetes API to use it with");
pub(super) const ISOLATED: Cause = Cause::unless_isolated("only acted on with isolation full");
pub(super) const NO_MESSAGE: Cause = Cause::unless_isolated(
    "only acted on with isolation full: otherwise the file is where \
     $PETSET_TERMINATION_MESSAGE_PATH says",
);
pub(super) const NOT_WATCHED: Cause =
    Cause::always("ignored: a pet is ready when its containers are");
pub(super) const ROOT: Cause = Cause::unless_isolated(
    "only acted on with isolation full, as root or with subordinate ids (`petset doctor` tells): \
     otherwise pets run as the user who runs petset",
);

/// Fields by the reason why they are not acted on.
pub(super) struct Ignored<'r> {
    root: &'r str,
    seen: SortedSet<String>,
    lines: Vec<(Cause, Vec<String>)>,
}

impl<'r> Ignored<'r> {
    /// Starts with no fields; `root` is the path before those that will be named.
    pub(super) const fn below(root: &'r str) -> Self {
        Self {
            root,
            seen: SortedSet::new(),
            lines: Vec::new(),
        }
    }

    /// Notes a field that is not acted on, if it is given.
    pub(super) fn note(&mut self, path: &str, cause: Cause, given: bool) {
        if !given || !self.seen.insert(without_indices(path)) {
            return;
        }
        match self.lines.iter_mut().find(|(known, _)| *known == cause) {
            Some((_, paths)) => paths.push(path.to_owned()),
            None => self.lines.push((cause, vec![path.to_owned()])),
        }
    }

    /// Makes a remark for each cause.
    pub(super) fn into_remarks(self, remarks: &mut Remarks) {
        for (cause, paths) in self.lines {
            let (first, others) = paths.split_first().expect("a line has a path");
            let others: String = others.iter().map(|path| format!(", {path}")).collect();
            let place = format!("{}.{first}", self.root);
            let text = match others.as_str() {
                "" => cause.text.to_owned(),
                others => format!("{}; also{}", cause.text, &others[1..]),
            };
            remarks.push(Remark {
                path: place,
                text,
                kind: cause.kind,
            });
        }
    }
}

fn without_indices(path: &str) -> String {
    let mut inside = false;
    let keep = |letter: &char| {
        inside = (inside || *letter == '[') && *letter != ']';
        !inside && *letter != ']'
    };
    path.chars().filter(keep).collect()
}
