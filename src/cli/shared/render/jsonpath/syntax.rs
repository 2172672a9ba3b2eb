//! What a template consists of.

use serde_json::Value;

/// A piece of a template.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum TemplatePart {
    /// Text that is printed as it is.
    Text(String),
    /// What is in a pair of braces.
    Path(Vec<PathStep>),
    /// What is repeated for each value that the steps find.
    Range(Vec<PathStep>, Vec<TemplatePart>),
}

/// A step of a path, from the values that were found so far to others.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum PathStep {
    /// The member of this name.
    Field(String),
    /// All members or elements.
    Wildcard,
    /// The value, and all objects and lists below it.
    Recursive,
    /// The element at a place; counted from the end if negative.
    Element(i64),
    /// Elements from a place up to another, every n-th.
    Slice {
        start: Option<i64>,
        end: Option<i64>,
        step: Option<i64>,
    },
    /// What each of several paths finds.
    Union(Vec<Vec<PathStep>>),
    /// The elements for which a path finds something.
    Exists(Vec<PathStep>),
    /// The elements for which a comparison holds.
    Compare(Vec<PathStep>, Relation, Vec<PathStep>),
    /// A text or number that stands in the template.
    Literal(Value),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Relation {
    Equal,
    NotEqual,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
}
