//! Cuts Rust source into code, comments and literals, and leaves out code for tests.

use std::ops::Range;

/// What a stretch of source text is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Kind {
    Code,
    Comment,
    Literal,
}

/// Splits source text into stretches of one kind; together they are the whole text.
pub(crate) fn stretches(text: &str) -> Vec<(Kind, Range<usize>)> {
    let mut found = Vec::new();
    let (mut begin, mut at) = (0, 0);
    while let Some(next) = text[at..].chars().next() {
        let Some((kind, length)) = special(&text[..at], &text[at..]) else {
            at += next.len_utf8();
            continue;
        };
        found.push((Kind::Code, begin..at));
        found.push((kind, at..at + length));
        at += length;
        begin = at;
    }
    found.push((Kind::Code, begin..at));
    found
}

/// Returns the kind and the length of the comment or the literal that `rest` begins with.
fn special(before: &str, rest: &str) -> Option<(Kind, usize)> {
    if rest.starts_with("//") {
        return Some((Kind::Comment, rest.find('\n').unwrap_or(rest.len())));
    }
    if rest.starts_with("/*") {
        return Some((Kind::Comment, block_comment(rest)));
    }
    let length = match rest.as_bytes()[0] {
        b'"' => quoted(rest, '"'),
        b'\'' => character(rest)?,
        b'r' if !before.ends_with(is_word) || before.ends_with(['b', 'c']) => raw_string(rest)?,
        _ => return None,
    };
    Some((Kind::Literal, length))
}

/// Returns the length of a block comment, which may hold others.
fn block_comment(rest: &str) -> usize {
    let (mut depth, mut at) = (0, 0);
    while at < rest.len() {
        let (step, change) = match &rest.as_bytes()[at..] {
            [b'/', b'*', ..] => (2, 1),
            [b'*', b'/', ..] => (2, -1),
            _ => (1, 0),
        };
        at += step;
        depth += change;
        if depth == 0 {
            break;
        }
    }
    at
}

/// Returns the length of a literal that ends at the next `quote` without a backslash before it.
fn quoted(rest: &str, quote: char) -> usize {
    let mut chars = rest.char_indices().skip(1);
    while let Some((at, c)) = chars.next() {
        if c == '\\' {
            chars.next();
        } else if c == quote {
            return at + 1;
        }
    }
    rest.len()
}

/// Returns the length of a character literal; a lifetime is none.
fn character(rest: &str) -> Option<usize> {
    let mut chars = rest.chars().skip(1);
    let first = chars.next()?;
    (first == '\\' || chars.next() == Some('\'')).then(|| quoted(rest, '\''))
}

/// Returns the length of a raw string such as `r#"a"#`; a raw identifier is none.
fn raw_string(rest: &str) -> Option<usize> {
    let hashes = rest[1..].bytes().take_while(|byte| *byte == b'#').count();
    let body = rest[1 + hashes..].strip_prefix('"')?;
    let end = format!("\"{}", "#".repeat(hashes));
    let closed = body.find(&end).map_or(body.len(), |at| at + end.len());
    Some(2 + hashes + closed)
}

/// Returns the code alone, with spaces in place of comments, literals and test code.
pub(crate) fn code_of(text: &str) -> String {
    let mut code = String::with_capacity(text.len());
    for (kind, range) in stretches(text) {
        match kind {
            Kind::Code => code.push_str(&text[range]),
            Kind::Comment | Kind::Literal => blank(&text[range], &mut code),
        }
    }
    without_tests(&code)
}

/// Appends a space for each character, and keeps the ends of lines.
fn blank(text: &str, code: &mut String) {
    code.extend(text.chars().map(|c| if c == '\n' { c } else { ' ' }));
}

/// Cuts away each item that stands below `#[cfg(test)]`.
fn without_tests(code: &str) -> String {
    let tokens = tokens(code);
    let mut kept = String::with_capacity(code.len());
    let (mut from, mut index) = (0, 0);
    while index < tokens.len() {
        if is_test_attribute(&tokens[index..]) {
            let end = end_of_item(&tokens, index);
            kept.push_str(&code[from..tokens[index].0]);
            from = tokens.get(end).map_or(code.len(), |token| token.0);
            index = end;
        } else {
            index += 1;
        }
    }
    kept.push_str(&code[from..]);
    kept
}

fn is_test_attribute(tokens: &[Token<'_>]) -> bool {
    let words = tokens.iter().map(|token| token.1);
    words.take(7).eq(["#", "[", "cfg", "(", "test", ")", "]"])
}

/// Returns the index of the first token behind the item that the attribute at `index` belongs to.
fn end_of_item(tokens: &[Token<'_>], index: usize) -> usize {
    let mut depth = 0;
    let mut import = false;
    for (at, (_, token)) in tokens.iter().enumerate().skip(index) {
        match *token {
            "use" if depth == 0 => import = true,
            "(" | "[" | "{" => depth += 1,
            ")" | "]" | "}" => depth -= 1,
            ";" if depth == 0 => return at + 1,
            _ => {}
        }
        if *token == "}" && depth == 0 && !import {
            return at + 1;
        }
    }
    tokens.len()
}

/// A token with the offset that it begins at.
pub(crate) type Token<'a> = (usize, &'a str);

/// Splits code into words, `::`, and single characters.
pub(crate) fn tokens(code: &str) -> Vec<Token<'_>> {
    let mut found = Vec::new();
    let mut at = 0;
    while let Some(next) = code[at..].chars().next() {
        let rest = &code[at..];
        let length = if is_word(next) {
            rest.find(|c| !is_word(c)).unwrap_or(rest.len())
        } else if rest.starts_with("::") {
            2
        } else {
            next.len_utf8()
        };
        if !next.is_whitespace() {
            found.push((at, &rest[..length]));
        }
        at += length;
    }
    found
}

/// Returns whether a character may be part of a name.
pub(crate) fn is_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}
