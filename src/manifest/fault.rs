//! One thing wrong with an object, in the API server's words.

use std::fmt;

/// The kind of a fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum FaultKind {
    /// The object could not be decoded at all (HTTP 400).
    Decoding,
    /// The object has a field that its type does not have (HTTP 400 too).
    UnknownField,
    /// A validation rule was broken (HTTP 422).
    Invalid,
    /// A limit of petset itself.
    Ours,
}

/// A fault at a field.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Fault {
    /// The field, as in `spec.template.spec.containers[0].image`.
    pub(crate) path: String,
    /// The fault, without the path.
    pub(crate) message: String,
    pub(crate) kind: FaultKind,
    /// The likely correction, if there is one; of what could not be decoded, the fault in plain
    /// words.
    pub(crate) advice: Option<String>,
}

impl Fault {
    /// Returns the fault and its advice, as they are shown.
    pub(super) fn told(&self) -> String {
        match (&self.advice, self.kind) {
            (None, _) => self.to_string(),
            (Some(plain), FaultKind::Decoding) if !self.path.is_empty() => {
                format!("{}: {plain} ({})", self.path, self.message)
            }
            (Some(advice), _) => format!("{self} ({advice})"),
        }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.path.as_str() {
            "" => f.write_str(&self.message),
            path => write!(f, "{path}: {}", self.message),
        }
    }
}

/// The faults found so far.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Faults(pub(crate) Vec<Fault>);

impl Faults {
    /// Notes a fault in words of its own.
    pub(crate) fn add(&mut self, path: &str, message: impl Into<String>) {
        self.push(path, message, FaultKind::Invalid);
    }

    pub(crate) fn push(&mut self, path: &str, message: impl Into<String>, kind: FaultKind) {
        self.0.push(Fault {
            path: path.to_owned(),
            message: message.into(),
            kind,
            advice: None,
        });
    }

    /// Notes a field that does not exist.
    pub(crate) fn unknown(&mut self, path: &str, nearest: Option<&str>) {
        self.push(
            path,
            format!("unknown field {path:?}"),
            FaultKind::UnknownField,
        );
        let advice = nearest.map(|nearest| format!("did you mean {nearest:?}?"));
        self.advise(advice.as_deref());
    }

    /// Adds advice to the latest fault.
    pub(crate) fn advise(&mut self, advice: Option<&str>) {
        if let Some(fault) = self.0.last_mut() {
            fault.advice = advice.map(str::to_owned);
        }
    }

    /// Notes that a field is missing.
    pub(crate) fn required(&mut self, path: &str, detail: &str) {
        self.add(path, with_detail("Required value", detail));
    }

    /// Notes a wrong value; `value` is JSON text.
    pub(crate) fn invalid(&mut self, path: &str, value: impl fmt::Display, detail: &str) {
        self.add(
            path,
            with_detail(&format!("Invalid value: {value}"), detail),
        );
    }

    /// Notes a wrong text value.
    pub(crate) fn invalid_text(&mut self, path: &str, value: &str, detail: &str) {
        self.invalid(path, quote(value), detail);
    }

    /// Notes a value that is not one of those allowed.
    pub(crate) fn unsupported(&mut self, path: &str, value: &str, supported: &[&str]) {
        self.unsupported_value(path, quote(value), supported);
    }

    /// Notes a value that is not one of those allowed; `value` is JSON text.
    pub(crate) fn unsupported_value(
        &mut self,
        path: &str,
        value: impl fmt::Display,
        supported: &[&str],
    ) {
        let supported = quoted(supported);
        self.add(
            path,
            format!("Unsupported value: {value}: supported values: {supported}"),
        );
    }

    /// Notes a list with more items than are allowed.
    pub(crate) fn too_many(&mut self, path: &str, given: usize, most: usize) {
        if given > most {
            self.add(
                path,
                format!("Too many: {given}: must have at most {most} items"),
            );
        }
    }

    /// Notes text that is longer than allowed.
    pub(crate) fn too_long(&mut self, path: &str, text: &str, most: usize) {
        if text.len() > most {
            self.add(path, format!("Too long: may not be more than {most} bytes"));
        }
    }

    /// Notes a second use of what must be unique.
    pub(crate) fn duplicate(&mut self, path: &str, value: &str) {
        self.add(path, format!("Duplicate value: {}", quote(value)));
    }

    /// Notes a reference to what is not there.
    pub(crate) fn not_found(&mut self, path: &str, value: &str) {
        self.add(path, format!("Not found: {}", quote(value)));
    }

    /// Notes what must not be given.
    pub(crate) fn forbidden(&mut self, path: &str, detail: &str) {
        self.add(path, with_detail("Forbidden", detail));
    }

    /// Adds others.
    pub(crate) fn extend(&mut self, others: Self) {
        self.0.extend(others.0);
    }

    /// Returns whether nothing is wrong.
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Returns the API server's message about one object, which tells nothing twice.
    pub(crate) fn about(&self, kind: &str, name: &str) -> String {
        let mut all: Vec<String> = Vec::new();
        for text in self.0.iter().map(ToString::to_string) {
            if !all.contains(&text) {
                all.push(text);
            }
        }
        match all.as_slice() {
            [only] => format!("{kind} {} is invalid: {only}", quote(name)),
            _ => format!("{kind} {} is invalid: [{}]", quote(name), all.join(", ")),
        }
    }
}

fn with_detail(start: &str, detail: &str) -> String {
    match detail {
        "" => start.to_owned(),
        detail => format!("{start}: {detail}"),
    }
}

/// Quotes each text and lists them.
pub(crate) fn quoted(texts: &[&str]) -> String {
    let texts: Vec<String> = texts.iter().map(|text| quote(text)).collect();
    texts.join(", ")
}

/// Quotes text as Go's `%q` does, near enough: as JSON.
pub(crate) fn quote(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}
