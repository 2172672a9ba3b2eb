//! The faults that decoding has found, and its current position.

use std::cell::RefCell;

use crate::manifest::fault::{FaultKind, Faults};

/// The faults found so far, and the path of the value that is being decoded.
#[derive(Default)]
pub(super) struct Findings {
    pub(super) faults: RefCell<Faults>,
    path: RefCell<Vec<Segment>>,
}

/// One step of a path.
pub(super) enum Segment {
    Field(String),
    Key(String),
    Index(usize),
}

impl Findings {
    pub(super) fn path(&self) -> String {
        let mut text = String::new();
        for segment in self.path.borrow().iter() {
            match segment {
                Segment::Field(name) if text.is_empty() => text.push_str(name),
                Segment::Field(name) => text.extend([".", name]),
                Segment::Key(key) => text.push_str(&format!("[{key}]")),
                Segment::Index(index) => text.push_str(&format!("[{index}]")),
            }
        }
        text
    }

    /// Returns the path as Go's decoder gives it: the names of fields only.
    pub(super) fn go_path(&self) -> String {
        let path = self.path.borrow();
        let fields = path.iter().filter_map(|segment| match segment {
            Segment::Field(name) => Some(name.as_str()),
            Segment::Key(_) | Segment::Index(_) => None,
        });
        fields.collect::<Vec<_>>().join(".")
    }

    pub(super) fn last_field(&self) -> String {
        let path = self.path.borrow();
        let field = path.iter().rev().find_map(|segment| match segment {
            Segment::Field(name) => Some(name.clone()),
            Segment::Key(_) | Segment::Index(_) => None,
        });
        field.unwrap_or_default()
    }

    pub(super) fn note(&self, message: String) {
        self.note_with(message, None);
    }

    pub(super) fn note_with(&self, message: String, advice: Option<&str>) {
        let path = self.path();
        let mut faults = self.faults.borrow_mut();
        faults.push(&path, message, FaultKind::Decoding);
        faults.advise(advice);
    }

    #[inline(never)]
    pub(super) fn enter(&self, segment: Segment) {
        self.path.borrow_mut().push(segment);
    }

    #[inline(never)]
    pub(super) fn leave(&self) {
        self.path.borrow_mut().pop();
    }
}
