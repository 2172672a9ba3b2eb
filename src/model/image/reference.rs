//! Image references, and how keys of the catalogue match them.

/// An image reference taken apart: `docker.io/library/redis:7@sha256:...`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reference<'a> {
    path: Vec<&'a str>,
    tag: Option<&'a str>,
}

impl<'a> Reference<'a> {
    /// Takes `text` apart; a colon counts as a tag's only after the last slash.
    #[must_use]
    pub fn new(text: &'a str) -> Self {
        let (text, _digest) = text.split_once('@').unwrap_or((text, ""));
        let last = text.rfind('/').map_or(0, |slash| slash + 1);
        let colon = text[last..].find(':').map(|colon| last + colon);
        let (name, tag) = match colon {
            Some(colon) => (&text[..colon], Some(&text[colon + 1..])),
            None => (text, None),
        };
        let path = name.split('/').collect();
        Self { path, tag }
    }

    /// Returns the tag; `latest` where none is given.
    #[must_use]
    pub fn tag(&self) -> &'a str {
        self.tag.unwrap_or("latest")
    }

    /// Returns the last part of the name, such as `redis`.
    #[must_use]
    pub fn name(&self) -> &'a str {
        self.path.last().copied().unwrap_or_default()
    }
}

/// How well a key of the catalogue fits; the greatest wins.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Fit {
    tag: TagFit,
    components: usize,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum TagFit {
    Any,
    Pattern,
    Exact,
}

/// Matches `reference` with a key such as `redis`, `mydb:{tag}`, `mydb:v{tag}` or `corp/mydb:v2`;
/// also returns what `{tag}` stands for.
pub(super) fn fit<'a>(key: &str, reference: &Reference<'a>) -> Option<(Fit, &'a str)> {
    let pattern = Reference::new(key);
    if !reference.path.ends_with(&pattern.path) {
        return None;
    }
    let tag = reference.tag();
    let (tag_fit, tag) = match pattern.tag {
        None => (TagFit::Any, tag),
        Some(wanted) => match wanted.split_once("{tag}") {
            None if wanted == tag => (TagFit::Exact, tag),
            None => return None,
            Some((before, after)) => {
                let inner = tag.strip_prefix(before)?.strip_suffix(after)?;
                (TagFit::Pattern, inner)
            }
        },
    };
    let components = pattern.path.len();
    Some((
        Fit {
            tag: tag_fit,
            components,
        },
        tag,
    ))
}
