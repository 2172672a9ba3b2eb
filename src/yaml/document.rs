//! What is read from one file, and how much that may be.

use super::value::{Node, Position};

/// The most values one file may hold after its aliases are expanded.
const MAX_VALUES: usize = 250_000;
/// The deepest nesting of lists and maps.
const MAX_DEPTH: usize = 128;

/// Something wrong with the text itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct TextFault {
    pub(crate) at: Position,
    pub(crate) message: String,
}

pub(super) type Parsed<T> = Result<T, TextFault>;

/// The documents of one file, and what is wrong with its text.
#[derive(Debug, Default)]
pub(crate) struct Documents {
    pub(crate) roots: Vec<Node>,
    pub(crate) faults: Vec<TextFault>,
}

/// The number of values that one file has used up.
#[derive(Debug, Default)]
pub(super) struct Budget {
    values: usize,
}

impl Budget {
    /// Counts `values` more, which are nested `depth` deep; too many or too deep ones are a fault.
    pub(super) fn spend(&mut self, values: usize, depth: usize, at: Position) -> Parsed<()> {
        self.values += values;
        let message = match (self.values > MAX_VALUES, depth > MAX_DEPTH) {
            (true, _) => format!("the file holds more than {MAX_VALUES} values"),
            (_, true) => format!("lists and maps are nested more than {MAX_DEPTH} deep"),
            (false, false) => return Ok(()),
        };
        Err(TextFault { at, message })
    }
}

/// Returns the fault of a key that a map has already, on another line or the same.
pub(super) fn given_twice(key: &str, at: Position, first: Position) -> TextFault {
    let message = format!("key {key:?} already set in map (on line {})", first.line);
    TextFault { at, message }
}
