//! URLs as the kubelet's library reads them, as far as probes and their redirects need it (V44).

/// Returns what a request asks for where `httpGet.path` is `text`: its path and query, escaped.
///
/// The kubelet reads it as a URL: a fragment is dropped, and so are a scheme and a host. What is
/// no URL, such as one with a bad escape, is taken as a path, every character of it.
pub(super) fn request_target(text: &str) -> String {
    let target = match path_and_query(text) {
        Some(target) => escaped_target(target),
        None => escaped(text.as_bytes()),
    };
    rooted(target)
}

/// The schemes that are understood.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Scheme {
    Http,
    Https,
}

impl Scheme {
    /// Returns the scheme of this name.
    pub(super) fn named(name: &str) -> Option<Self> {
        let known = [Self::Http, Self::Https];
        let named = |it: &Self| it.name().eq_ignore_ascii_case(name);
        known.into_iter().find(named)
    }

    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Http => "http",
            Self::Https => "https",
        }
    }

    /// Returns the port of a URL that names none.
    pub(super) const fn port(self) -> u16 {
        match self {
            Self::Http => 80,
            Self::Https => 443,
        }
    }
}

/// Where a redirect leads to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Redirect<'a> {
    /// The scheme, where the redirect names it.
    pub(super) scheme: Option<Scheme>,
    /// The host and perhaps a port, where the redirect names them.
    pub(super) authority: Option<(&'a str, Option<u16>)>,
    pub(super) target: String,
}

/// Returns where `location` leads from a request for `target`; `None` if it is no HTTP.
pub(super) fn redirect<'a>(target: &str, location: &'a str) -> Option<Redirect<'a>> {
    let location = before(location, '#');
    let (name, rest) = scheme_of(location);
    let scheme = name.and_then(Scheme::named);
    if name.is_some() && scheme.is_none() {
        return None;
    }
    let Some(rest) = rest.strip_prefix("//") else {
        let target = rooted(escaped_target(&resolved(target, rest)));
        return scheme.is_none().then_some(Redirect {
            scheme,
            authority: None,
            target,
        });
    };
    let (authority, rest) = rest.split_at(rest.find(['/', '?']).unwrap_or(rest.len()));
    let (_, authority) = authority.rsplit_once('@').unwrap_or(("", authority));
    // The colons of an IPv6 address stand in brackets.
    let (host, port) = match authority.rsplit_once(':') {
        Some((host, port)) if !port.contains(']') => (host, port),
        _ => (authority, ""),
    };
    let port = match port {
        "" => None,
        port => Some(port.parse().ok()?),
    };
    Some(Redirect {
        scheme,
        authority: Some((host, port)),
        target: rooted(escaped_target(rest)),
    })
}

/// Returns the path and query of a URL, as they are written in it.
fn path_and_query(text: &str) -> Option<&str> {
    if text.bytes().any(|byte| byte.is_ascii_control()) {
        return None;
    }
    let (rest, fragment) = text.split_once('#').unwrap_or((text, ""));
    let (scheme, mut rest) = scheme_of(rest);
    let path = before(rest, '?');
    let is_opaque = scheme.is_some() && !path.starts_with('/');
    if is_opaque || before(path, '/').contains(':') || unescaped(fragment).is_none() {
        return None;
    }
    if path.starts_with("//") && (scheme.is_some() || !path.starts_with("///")) {
        let host = before(&path[2..], '/').len();
        rest = &rest[2 + host..];
    }
    unescaped(before(rest, '?')).map(|_| rest)
}

/// Splits a scheme off a URL that begins with one.
fn scheme_of(text: &str) -> (Option<&str>, &str) {
    let is_scheme = |scheme: &str| {
        let allowed = |it: char| it.is_ascii_alphanumeric() || "+-.".contains(it);
        scheme.starts_with(|it: char| it.is_ascii_alphabetic()) && scheme.chars().all(allowed)
    };
    match text.split_once(':') {
        Some((scheme, rest)) if is_scheme(scheme) => (Some(scheme), rest),
        _ => (None, text),
    }
}

/// Returns the path and query that a relative reference means where `base` was asked for.
fn resolved(base: &str, reference: &str) -> String {
    if reference.is_empty() {
        return base.to_owned();
    }
    let base = before(base, '?');
    if reference.starts_with('?') {
        return format!("{base}{reference}");
    }
    let folder = match base.rfind('/') {
        Some(at) if !reference.starts_with('/') => &base[..=at],
        _ => "",
    };
    let path = before(reference, '?');
    let query = &reference[path.len()..];
    without_dots(&format!("{folder}{path}")) + query
}

/// Removes the segments `.` and `..` of a path.
fn without_dots(path: &str) -> String {
    let mut kept: Vec<&str> = Vec::new();
    let mut is_folder = false;
    for segment in path.trim_start_matches('/').split('/') {
        is_folder = segment == "." || segment == "..";
        match segment {
            "." => {}
            ".." => drop(kept.pop()),
            segment => kept.push(segment),
        }
    }
    if is_folder {
        kept.push("");
    }
    format!("/{}", kept.join("/"))
}

fn before(text: &str, end: char) -> &str {
    text.split(end).next().unwrap_or(text)
}

fn rooted(target: String) -> String {
    match target.starts_with('/') {
        true => target,
        false => format!("/{target}"),
    }
}

/// Escapes the path; the query goes as it is written.
fn escaped_target(target: &str) -> String {
    let path = before(target, '?');
    let is_plain = |byte: u8| is_kept(byte) || b"!'()*[]%".contains(&byte);
    let query = &target[path.len()..];
    match unescaped(path) {
        Some(_) if path.bytes().all(is_plain) => target.to_owned(),
        Some(plain) => escaped(&plain) + query,
        None => escaped(path.as_bytes()) + query,
    }
}

fn is_kept(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"-_.~$&+,/:;=@".contains(&byte)
}

fn escaped(path: &[u8]) -> String {
    let escape = |&byte: &u8| match is_kept(byte) {
        true => char::from(byte).to_string(),
        false => format!("%{byte:02X}"),
    };
    path.iter().map(escape).collect()
}

/// Returns the bytes that a text with escapes means; `None` if an escape is bad.
pub(super) fn unescaped(text: &str) -> Option<Vec<u8>> {
    let mut bytes = text.bytes();
    let mut plain = Vec::with_capacity(text.len());
    while let Some(byte) = bytes.next() {
        let mut digit = || char::from(bytes.next()?).to_digit(16);
        plain.push(match byte {
            b'%' => u8::try_from(digit()? * 16 + digit()?).ok()?,
            byte => byte,
        });
    }
    Some(plain)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_path_of_a_probe_is_read_as_a_url() {
        let cases = [
            ("/healthz", "/healthz"),
            ("ok", "/ok"),
            ("", "/"),
            ("/#/status", "/"),
            ("/a?x=1&y=%zz#z", "/a?x=1&y=%zz"),
            ("?x", "/?x"),
            ("/a?", "/a?"),
            ("/a b/ü", "/a%20b/%C3%BC"),
            ("/a%2Fb", "/a%2Fb"),
            ("/a%2Fb c", "/a/b%20c"),
            ("/(a)!", "/(a)!"),
            ("/a|b", "/a%7Cb"),
            // No URLs: taken as paths.
            ("/100%", "/100%25"),
            ("/%zz?q#f", "/%25zz%3Fq%23f"),
            ("/a#%", "/a%23%25"),
            ("1:2", "/1:2"),
            ("/a\tb", "/a%09b"),
            // A host that is written here is not the host that is asked.
            ("http://other/x?y", "/x?y"),
            ("//other/x", "/x"),
            ("//other", "/"),
            ("///x", "///x"),
        ];
        for (path, wanted) in cases {
            assert_eq!(request_target(path), wanted, "{path}");
        }
    }

    #[test]
    fn a_redirect_leads_where_its_location_says() {
        let to = |authority, target: &str| {
            Some(Redirect {
                scheme: None,
                authority,
                target: target.to_owned(),
            })
        };
        let by = |scheme, host, port, target: &str| {
            Some(Redirect {
                scheme: Some(scheme),
                authority: Some((host, port)),
                target: target.to_owned(),
            })
        };
        let cases = [
            ("/x?y#z", to(None, "/x?y")),
            ("x", to(None, "/a/x")),
            ("../x/./y", to(None, "/x/y")),
            ("?q", to(None, "/a/b?q")),
            ("", to(None, "/a/b?c")),
            ("/x y", to(None, "/x%20y")),
            ("//other/", to(Some(("other", None)), "/")),
            ("//other:81?q", to(Some(("other", Some(81))), "/?q")),
            ("HTTP://[::1]/x", by(Scheme::Http, "[::1]", None, "/x")),
            (
                "http://[::1]:8080",
                by(Scheme::Http, "[::1]", Some(8080), "/"),
            ),
            ("https://other/", by(Scheme::Https, "other", None, "/")),
            ("https:/x", None),
            ("mailto:x", None),
            ("http:x", None),
        ];
        for (location, wanted) in cases {
            assert_eq!(redirect("/a/b?c", location), wanted, "{location}");
        }
    }
}
