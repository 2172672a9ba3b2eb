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

/// Returns why a text can be no image reference, in a container runtime's words.
///
/// ```
/// use petset::model::image::reference_fault;
/// assert_eq!(reference_fault("localhost:5000/team/my_app:v1.2"), None);
/// assert_eq!(reference_fault("nginx:"), Some("invalid reference format".to_owned()));
/// ```
#[must_use]
pub fn reference_fault(text: &str) -> Option<String> {
    let (domain, rest) = split_domain(text);
    let name = rest.split_once(':').map_or(rest, |(name, _)| name);
    if name.chars().any(char::is_uppercase) {
        return Some(format!(
            "invalid reference format: repository name ({name}) must be lowercase"
        ));
    }
    let (rest, digest) = match rest.split_once('@') {
        Some((rest, digest)) => (rest, Some(digest)),
        None => (rest, None),
    };
    let (name, tag) = match rest.split_once(':') {
        Some((name, tag)) => (name, Some(tag)),
        None => (rest, None),
    };
    let fits = domain.is_none_or(is_domain)
        && name.split('/').all(is_name_part)
        && tag.is_none_or(is_tag)
        && digest.is_none_or(is_digest);
    (!fits).then(|| "invalid reference format".to_owned())
}

/// Splits off the registry: what is before the first slash, if it cannot be the part of a name.
fn split_domain(text: &str) -> (Option<&str>, &str) {
    match text.split_once('/') {
        Some((first, rest))
            if first == "localhost"
                || first.contains(['.', ':'])
                || first.chars().any(char::is_uppercase) =>
        {
            (Some(first), rest)
        }
        Some(_) | None => (None, text),
    }
}

fn is_domain(text: &str) -> bool {
    let (host, port) = match text.rsplit_once(':') {
        Some((host, port)) if !port.ends_with(']') => (host, Some(port)),
        Some(_) | None => (text, None),
    };
    let is_label = |label: &str| {
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-';
        !label.is_empty() && label.bytes().all(plain) && label.trim_matches('-') == label
    };
    let is_six = |host: &str| {
        let inner = host.strip_prefix('[').and_then(|it| it.strip_suffix(']'));
        let plain = |byte: u8| byte.is_ascii_hexdigit() || byte == b':';
        inner.is_some_and(|inner| !inner.is_empty() && inner.bytes().all(plain))
    };
    let is_port = |port: &str| !port.is_empty() && port.bytes().all(|byte| byte.is_ascii_digit());
    (is_six(host) || host.split('.').all(is_label)) && port.is_none_or(is_port)
}

/// Returns whether a part of a name is made of words, joined by one dot, one or two underscores, or
/// dashes.
fn is_name_part(text: &str) -> bool {
    let is_word = |letter: char| letter.is_ascii_lowercase() || letter.is_ascii_digit();
    let ends_in_words = text.starts_with(is_word) && text.ends_with(is_word);
    let mut joints = text.split(is_word).filter(|joint| !joint.is_empty());
    ends_in_words
        && joints.all(|joint| {
            matches!(joint, "." | "_" | "__") || joint.bytes().all(|byte| byte == b'-')
        })
}

fn is_tag(text: &str) -> bool {
    let is_word = |letter: char| letter.is_ascii_alphanumeric() || letter == '_';
    let plain = |letter: char| is_word(letter) || matches!(letter, '.' | '-');
    text.len() <= 128 && text.starts_with(is_word) && text.chars().all(plain)
}

fn is_digest(text: &str) -> bool {
    let Some((algorithm, hash)) = text.split_once(':') else {
        return false;
    };
    let is_part = |part: &str| {
        part.starts_with(|letter: char| letter.is_ascii_alphabetic())
            && part.bytes().all(|byte| byte.is_ascii_alphanumeric())
    };
    let length = match algorithm {
        "sha256" => hash.len() == 64,
        _ => hash.len() >= 32,
    };
    length
        && hash.bytes().all(|byte| byte.is_ascii_hexdigit())
        && algorithm.split(['-', '_', '+', '.']).all(is_part)
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
