//! Every rule that code or a test cites by its code, such as C23, is explained in docs/rules.md.
//!
//! A code is one or two letters, two digits and at times a small letter, as a word of its own. It
//! cites a rule
//!
//! - anywhere in a comment or a document;
//! - in a string that consists of codes (`"C30"`), before its first colon (`"R23: the pet is
//!   there"`) and in its parentheses (`"the field counts (I31)"`);
//! - at the beginning of the name of a test, in small letters: `i47_i56_what_runs_once`.
//!
//! Two codes with a dash or "to" between them cite all rules from the one to the other.

#![expect(clippy::unwrap_used, reason = "a test ends with what is wrong")]

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

/// The groups in docs/rules.md.
const GROUPS: [&str; 16] = [
    "C", "CJ", "D", "DP", "DS", "E", "F", "I", "JB", "N", "PV", "R", "RS", "U", "V", "X",
];

/// A place that cites rules.
struct Citation {
    /// File and line.
    at: String,
    /// The code, or the first and the last code of several.
    from: String,
    to: String,
}

#[test]
fn every_rule_that_is_cited_is_explained() {
    let rules: BTreeSet<String> = rules().into_iter().collect();
    let mut faults = Vec::new();
    for Citation { at, from, to } in citations() {
        for code in BTreeSet::from([from, to]) {
            if !rules.contains(&code) {
                faults.push(format!("{at}: docs/rules.md has no rule {code}"));
            }
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

#[test]
fn every_rule_is_cited() {
    let citations = citations();
    let is_cited = |code: &String| {
        let mut citations = citations.iter();
        citations.any(|citation| (&citation.from..=&citation.to).contains(&code))
    };
    let unused: Vec<_> = rules().into_iter().filter(|code| !is_cited(code)).collect();
    assert!(unused.is_empty(), "cited nowhere: {}", unused.join(", "));
}

#[test]
fn each_rule_stands_once_and_in_order() {
    let rules = rules();
    assert!(rules.len() > 100, "only {} rules were found", rules.len());
    let faults: Vec<_> = rules
        .windows(2)
        .filter(|pair| pair[0] >= pair[1])
        .map(|pair| format!("{} stands before {}", pair[0], pair[1]))
        .collect();
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

#[test]
fn a_citation_is_told_from_other_words() {
    let cited = |source: &str| {
        let found = pieces(source).into_iter();
        let found = found.flat_map(|(_, piece)| piece.cites());
        let words = found.map(|(from, to)| if from == to { from } else { from + "-" + &to });
        words.collect::<Vec<_>>().join(" ")
    };
    for (source, expected) in [
        (
            "// C23, N20-N36 and I15 to I17 (F05b)",
            "C23 N20-N36 I15-I17 F05b",
        ),
        ("//! (C24-C27); I01,\n/// | V40 |", "C24-C27 I01 V40"),
        ("/// RS10, DP20-DP25, PVC12, ADP11", "RS10 DP20-DP25"),
        (
            "// V4, IPV4, RFC 1035, XC12, C123, C12x3, 0xC14, od -N16, C_12",
            "",
        ),
        ("let C12 = f(E30); // in code nothing counts", ""),
        (
            "(\"N20\", \"C12 A\", \"C36, U16: both\", \"today (I31)\")",
            "N20 C36 U16 I31",
        ),
        (r##"('"', "\"C30", '\'', r#""C31""#, 'a, "C32")"##, "C32"),
        ("#[test]\nfn i47_i56_once() {} fn u16_of() {}", "I47 I56"),
    ] {
        assert_eq!(cited(source), expected, "{source}");
    }
}

/// Lists the codes of docs/rules.md as they stand there.
fn rules() -> Vec<String> {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/rules.md");
    let text = fs::read_to_string(file).unwrap();
    let mut codes = Vec::new();
    for line in text.lines() {
        let cells: Vec<&str> = line.trim_matches('|').split('|').map(str::trim).collect();
        if is_code(cells[0]) {
            let complete = cells.len() == 3 && cells.iter().all(|cell| !cell.is_empty());
            assert!(complete, "not code, rule and source: {line}");
            codes.push(cells[0].to_owned());
        }
    }
    codes
}

/// Lists all that the sources, the tests and the documents cite.
fn citations() -> Vec<Citation> {
    let mut citations = Vec::new();
    for (path, text) in files() {
        let pieces = if path.ends_with(".rs") {
            pieces(&text)
        } else {
            let lines = text.lines().enumerate();
            let comments = lines.map(|(at, line)| (at + 1, Piece::Comment(line)));
            comments.collect()
        };
        for (line, piece) in pieces {
            let at = format!("{path}:{line}");
            let cited = piece.cites().into_iter();
            citations.extend(cited.map(|(from, to)| Citation {
                at: at.clone(),
                from,
                to,
            }));
        }
    }
    citations
}

/// Returns the files that may cite rules with their paths, but for this one and docs/rules.md.
fn files() -> Vec<(String, String)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut found = Vec::new();
    let mut dirs = ["src", "tests", "benches", "docs"]
        .map(|dir| root.join(dir))
        .to_vec();
    while let Some(dir) = dirs.pop() {
        for entry in fs::read_dir(dir).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                dirs.push(path);
                continue;
            }
            let name = path
                .strip_prefix(root)
                .unwrap()
                .to_str()
                .unwrap()
                .to_owned();
            let may_cite = name.ends_with(".rs") || name.ends_with(".md");
            if may_cite && name != "tests/rules.rs" && name != "docs/rules.md" {
                found.push((name, fs::read_to_string(path).unwrap()));
            }
        }
    }
    found
}

/// What of a source can cite a rule.
enum Piece<'a> {
    Comment(&'a str),
    Text(&'a str),
    /// The name of a test.
    Test(&'a str),
}

impl Piece<'_> {
    /// Lists what the piece cites: for each the first and the last code.
    fn cites(&self) -> Vec<(String, String)> {
        match *self {
            Self::Comment(text) => codes(text),
            Self::Text(text) => {
                let head = text.split(':').next();
                let inner = text
                    .split('(')
                    .skip(1)
                    .filter_map(|rest| rest.split(')').next());
                let parts = head.into_iter().chain(inner);
                parts.filter(|part| is_list(part)).flat_map(codes).collect()
            }
            Self::Test(name) => {
                let words = name.split('_').map(str::to_ascii_uppercase);
                let cited = words.take_while(|word| is_code(word));
                cited.map(|code| (code.clone(), code)).collect()
            }
        }
    }
}

/// Takes a source apart: its comments, strings and tests' names, with the line of each.
fn pieces(source: &str) -> Vec<(usize, Piece<'_>)> {
    let mut pieces = Vec::new();
    let (mut rest, mut line, mut is_test) = (source, 1, false);
    while let Some(first) = rest.chars().next() {
        let (length, piece) = next(rest, first, &mut is_test);
        pieces.extend(piece.map(|piece| (line, piece)));
        line += rest[..length].matches('\n').count();
        rest = &rest[length..];
    }
    pieces
}

/// Returns the length of what a source begins with, and what of it can cite a rule.
fn next<'a>(rest: &'a str, first: char, is_test: &mut bool) -> (usize, Option<Piece<'a>>) {
    if rest.starts_with("//") {
        let length = rest.find('\n').unwrap_or(rest.len());
        return (length, Some(Piece::Comment(&rest[..length])));
    }
    if first == '"' {
        let length = quoted(rest, '"');
        return (
            length,
            Some(Piece::Text(rest[1..length].trim_end_matches('"'))),
        );
    }
    if let Some(raw) = rest
        .strip_prefix("r")
        .map(|raw| raw.trim_start_matches('#'))
        && raw.starts_with('"')
    {
        let hashes = &rest[1..rest.len() - raw.len()];
        let end = format!("\"{hashes}");
        let length = raw[1..]
            .find(&end)
            .map_or(raw.len(), |at| at + 1 + end.len());
        return (rest.len() - raw.len() + length, None);
    }
    if first == '\'' {
        let is_letter = rest[1..].starts_with('\\') || rest.chars().nth(2) == Some('\'');
        return (if is_letter { quoted(rest, '\'') } else { 1 }, None);
    }
    if rest.starts_with("#[test]") {
        *is_test = true;
    }
    let length = rest.find(|c| !is_of_word(c)).unwrap_or(rest.len());
    if let Some(name) = rest.strip_prefix("fn ").filter(|_| *is_test) {
        *is_test = false;
        let end = name.find(|c| !is_of_word(c)).unwrap_or(name.len());
        return (3 + end, Some(Piece::Test(&name[..end])));
    }
    (length.max(first.len_utf8()), None)
}

/// Returns the length of a text from its opening to its closing quote.
fn quoted(text: &str, quote: char) -> usize {
    let mut letters = text.char_indices().skip(1);
    while let Some((at, letter)) = letters.next() {
        if letter == '\\' {
            letters.next();
        } else if letter == quote {
            return at + 1;
        }
    }
    text.len()
}

/// Lists the codes in a text; two that stand for all between them are one entry.
fn codes(text: &str) -> Vec<(String, String)> {
    let mut found: Vec<(String, String)> = Vec::new();
    let mut end = 0; // of the code before
    for word in text.split(|c| !is_of_word(c)).filter(|word| is_code(word)) {
        let start = word.as_ptr() as usize - text.as_ptr() as usize;
        let between = &text[end..start];
        match found.last_mut() {
            Some((_, last)) if between == "-" || between == " to " => *last = word.to_owned(),
            _ if between.ends_with('-') => continue,
            _ => found.push((word.to_owned(), word.to_owned())),
        }
        end = start + word.len();
    }
    found
}

/// Returns whether a text consists of codes only.
fn is_list(text: &str) -> bool {
    let mut words = text.split([' ', ',', '-']).filter(|word| !word.is_empty());
    words.all(|word| is_code(word) || word == "to")
}

fn is_code(word: &str) -> bool {
    let rest = word.trim_start_matches(|first: char| first.is_ascii_uppercase());
    let digits = rest.trim_end_matches(|last: char| last.is_ascii_lowercase());
    GROUPS.contains(&&word[..word.len() - rest.len()])
        && digits.len() == 2
        && digits.bytes().all(|digit| digit.is_ascii_digit())
        && rest.len() <= 3
}

fn is_of_word(letter: char) -> bool {
    letter.is_alphanumeric() || letter == '_'
}

/// The page on conformance is true: the tests that it names exist and cite their rows.
#[test]
fn every_row_of_the_conformance_page_is_held_by_the_test_it_names() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let page = fs::read_to_string(root.join("docs/conformance.md")).unwrap();
    let rows = page.lines().filter(|line| line.starts_with("| CF-"));
    let (mut faults, mut held) = (Vec::new(), 0);
    for row in rows {
        let cells: Vec<&str> = row.trim_matches('|').split('|').map(str::trim).collect();
        let [code, _, by] = cells[..] else {
            panic!("not row, demand and test: {row}");
        };
        let mut words = by.split('`').skip(1).step_by(2);
        if by.starts_with("not held: ") {
            continue;
        }
        let (file, test) = (words.next().unwrap(), words.next().unwrap());
        let source = fs::read_to_string(root.join(file)).unwrap_or_default();
        if !source.contains(&format!("fn {test}()")) || !source.contains(code) {
            faults.push(format!("{code}: {file} has no {test} that cites it"));
        }
        held += 1;
    }
    assert!(held > 50, "only {held} rows are held");
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}
