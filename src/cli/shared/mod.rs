//! What several verbs need: the session, objects and pods as they are, waiting, and what is printed.

pub(super) mod bare;
pub(super) mod egress;
pub(super) mod endpoints;
pub(super) mod files;
pub(super) mod grace;
pub(super) mod inside;
pub(super) mod isolation;
pub(super) mod lookout;
pub(super) mod merge;
pub(super) mod names;
pub(super) mod objects;
pub(super) mod peers;
pub(super) mod pods;
pub(super) mod preview;
pub(super) mod render;
pub(super) mod session;
pub(super) mod sort;
pub(super) mod waiting;
pub(super) mod words;
