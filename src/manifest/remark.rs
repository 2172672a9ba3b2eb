//! Remarks for the user on a manifest that is valid.

/// A remark on a field.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Remark {
    /// The field.
    pub(super) path: String,
    /// The remark.
    pub(super) text: String,
    pub(super) kind: RemarkKind,
}

/// The consequence of a remark.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum RemarkKind {
    /// Nothing: it only is shown.
    Plain,
    /// It need not be shown where pets are isolated.
    UnlessIsolated,
    /// The field is an annotation that was taken as the init containers.
    InitContainers,
}

/// Remarks on one object.
pub(super) type Remarks = Vec<Remark>;

impl Remark {
    /// Makes a remark that only is shown.
    pub(super) fn new(path: impl Into<String>, text: impl Into<String>) -> Self {
        Self {
            path: path.into(),
            text: text.into(),
            kind: RemarkKind::Plain,
        }
    }
}

/// A remark with its place in the file, as it is shown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Warning {
    /// `file:line:column: path: text`.
    pub(crate) text: String,
    kind: RemarkKind,
}

impl Warning {
    /// Makes a warning that is always shown.
    pub(crate) const fn plain(text: String) -> Self {
        Self::new(text, RemarkKind::Plain)
    }

    /// Makes the warning that shows a remark of this kind.
    pub(super) const fn new(text: String, kind: RemarkKind) -> Self {
        Self { text, kind }
    }

    /// Returns whether it need not be shown where pets are isolated.
    pub(crate) fn is_settled_by_isolation(&self) -> bool {
        self.kind == RemarkKind::UnlessIsolated
    }
}
