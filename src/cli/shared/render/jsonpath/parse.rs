//! Reads templates.

use serde_json::{Number, Value};

use super::syntax::{PathStep, Relation, TemplatePart};

/// What ends the name of a field, unless a backslash stands before it.
const ENDS: [char; 11] = [' ', '\t', '\r', '\n', '.', ',', '[', ']', '$', '@', '{'];

type ReadResult<T> = Result<T, String>;

/// Reads a whole template.
pub(super) fn template(text: &str) -> ReadResult<Vec<TemplatePart>> {
    let mut rest = text;
    // The ranges that are open, each with what they go over, below the nodes outside.
    let mut open: Vec<Vec<PathStep>> = Vec::new();
    let mut nodes: Vec<Vec<TemplatePart>> = vec![Vec::new()];
    let add = |nodes: &mut Vec<Vec<TemplatePart>>, node| {
        if let Some(last) = nodes.last_mut() {
            last.push(node);
        }
    };
    while !rest.is_empty() {
        let (plain, action) = rest.split_at(rest.find('{').unwrap_or(rest.len()));
        if !plain.is_empty() {
            add(&mut nodes, TemplatePart::Text(plain.to_owned()));
        }
        if action.is_empty() {
            break;
        }
        let mut scanner = Scanner { rest: &action[1..] };
        match scanner.action()? {
            Braces::Path(steps) => add(&mut nodes, TemplatePart::Path(steps)),
            Braces::Range(steps) => {
                open.push(steps);
                nodes.push(Vec::new());
            }
            Braces::End => close(&mut open, &mut nodes)?,
        }
        rest = scanner.rest;
    }
    // A range without an end goes to the end of the template, which kubectl then fills in once
    // more, for what the range is in.
    while !open.is_empty() {
        let body = nodes.last().cloned().unwrap_or_default();
        close(&mut open, &mut nodes)?;
        body.into_iter().for_each(|node| add(&mut nodes, node));
    }
    Ok(nodes.pop().unwrap_or_default())
}

fn close(open: &mut Vec<Vec<PathStep>>, nodes: &mut Vec<Vec<TemplatePart>>) -> ReadResult<()> {
    let over = open.pop().ok_or("not in range, nothing to end")?;
    let body = nodes.pop().unwrap_or_default();
    if let Some(outside) = nodes.last_mut() {
        outside.push(TemplatePart::Range(over, body));
    }
    Ok(())
}

/// What stands in a pair of braces.
enum Braces {
    Path(Vec<PathStep>),
    Range(Vec<PathStep>),
    End,
}

/// Reads what is within braces, from the front of what is left.
struct Scanner<'t> {
    rest: &'t str,
}

impl<'t> Scanner<'t> {
    fn action(&mut self) -> ReadResult<Braces> {
        let mut steps = Vec::new();
        let mut word = None;
        while let Some(letter) = self.rest.chars().next() {
            match letter {
                '}' => {
                    self.skip(1);
                    return Ok(match word {
                        None => Braces::Path(steps),
                        Some("range") => Braces::Range(steps),
                        Some(_) => Braces::End,
                    });
                }
                _ if letter.is_alphabetic() || letter == '_' => match self.name()? {
                    known @ ("range" | "end") => word = Some(known),
                    "true" => steps.push(PathStep::Literal(Value::Bool(true))),
                    "false" => steps.push(PathStep::Literal(Value::Bool(false))),
                    other => return Err(format!("unrecognized identifier {other}")),
                },
                _ => self.step(letter, &mut steps)?,
            }
        }
        Err("unclosed action".to_owned())
    }

    /// Reads one step, which begins with `letter`.
    fn step(&mut self, letter: char, steps: &mut Vec<PathStep>) -> ReadResult<()> {
        match letter {
            ' ' | '@' | '$' => self.skip(1),
            '[' if self.rest.starts_with("[?(") => steps.push(self.filter()?),
            '[' => {
                let inner = self.brackets()?;
                index(inner, steps)?;
            }
            '"' | '\'' => {
                let text = self.quoted(letter)?;
                steps.push(PathStep::Literal(Value::String(text)));
            }
            '.' if self.rest.starts_with("..") => {
                if steps.last() == Some(&PathStep::Recursive) {
                    return Err("invalid multiple recursive descent".to_owned());
                }
                self.skip(2);
                steps.push(PathStep::Recursive);
                let next = self.rest.chars().next();
                if next.is_some_and(|next| next.is_alphanumeric() || next == '_') {
                    steps.push(self.field());
                }
            }
            '.' => {
                self.skip(1);
                steps.push(self.field());
            }
            '+' | '-' | '0'..='9' => steps.push(PathStep::Literal(self.number()?)),
            '\r' | '\n' => return Err("unclosed action".to_owned()),
            _ => return Err(format!("unrecognized character in action: {letter:?}")),
        }
        Ok(())
    }

    fn skip(&mut self, bytes: usize) {
        self.rest = self.rest.get(bytes..).unwrap_or_default();
    }

    fn take(&mut self, bytes: usize) -> &'t str {
        let (taken, rest) = self.rest.split_at(bytes);
        self.rest = rest;
        taken
    }

    fn name(&mut self) -> ReadResult<&'t str> {
        let ends = |letter: char| ENDS.contains(&letter) || letter == '}';
        let end = self.rest.find(ends).ok_or("unclosed action")?;
        Ok(self.take(end))
    }

    /// Reads the name of a field up to what ends it; a backslash keeps the next letter.
    fn field(&mut self) -> PathStep {
        let mut name = String::new();
        let mut letters = self.rest.char_indices();
        let mut end = self.rest.len();
        while let Some((at, letter)) = letters.next() {
            if letter == '\\' {
                name.extend(letters.next().map(|(_, kept)| kept));
            } else if ENDS.contains(&letter) || letter == '}' {
                end = at;
                break;
            } else {
                name.push(letter);
            }
        }
        self.skip(end);
        match name.as_str() {
            "*" => PathStep::Wildcard,
            _ => PathStep::Field(name),
        }
    }

    fn number(&mut self) -> ReadResult<Value> {
        let of_number = |(at, letter): (usize, char)| {
            let fits = letter.is_ascii_digit() || letter == '.';
            !(fits || at == 0 && matches!(letter, '+' | '-'))
        };
        let end = self.rest.char_indices().position(of_number);
        let text = self.take(end.unwrap_or(self.rest.len()));
        let whole = text.parse::<i64>().ok().map(Number::from);
        let number = whole.or_else(|| text.parse().ok().and_then(Number::from_f64));
        let number = number.ok_or_else(|| format!("cannot parse number {text}"))?;
        Ok(Value::Number(number))
    }

    /// Reads what stands between brackets.
    fn brackets(&mut self) -> ReadResult<&'t str> {
        let end = self.rest.find([']', '\n']);
        let end = end.filter(|at| self.rest[*at..].starts_with(']'));
        let end = end.ok_or("unterminated array")?;
        let all = self.take(end + 1);
        Ok(&all[1..end])
    }

    /// Reads text in quotes, with its escapes.
    fn quoted(&mut self, quote: char) -> ReadResult<String> {
        let end = closing(&self.rest[1..], quote).ok_or("unterminated quoted string")?;
        let whole = self.take(end + 2);
        unquoted(&whole[1..=end], quote)
            .ok_or_else(|| format!("unquote string {whole} error invalid syntax"))
    }

    /// Reads `[?(...)]`.
    fn filter(&mut self) -> ReadResult<PathStep> {
        self.skip("[?(".len());
        let end = self.end_of_filter()?;
        let inner = self.take(end);
        self.skip(1);
        if !self.rest.starts_with(']') {
            return Err("unclosed array expect ]".to_owned());
        }
        self.skip(1);
        let comparison = inner.find(['!', '<', '=', '>']).filter(|at| *at > 0);
        let Some(at) = comparison else {
            return Ok(PathStep::Exists(path(inner)?));
        };
        let (left, rest) = inner.split_at(at);
        let right = rest.trim_start_matches(['!', '<', '=', '>', '~']);
        let operator = match &rest[..rest.len() - right.len()] {
            "==" => Relation::Equal,
            "!=" => Relation::NotEqual,
            "<" => Relation::Less,
            "<=" => Relation::LessOrEqual,
            ">" => Relation::Greater,
            ">=" => Relation::GreaterOrEqual,
            other => return Err(format!("unrecognized filter operator {other}")),
        };
        Ok(PathStep::Compare(path(left)?, operator, path(right)?))
    }

    /// Returns where the parenthesis of a filter closes, outside of quotes.
    fn end_of_filter(&self) -> ReadResult<usize> {
        let mut quote = None;
        let mut before = ' ';
        for (at, letter) in self.rest.char_indices() {
            match (letter, quote) {
                ('\n', _) => break,
                ('"' | '\'', None) => quote = Some(letter),
                (_, Some(open)) if letter == open && before != '\\' => quote = None,
                (')', None) => return Ok(at),
                _ => {}
            }
            before = letter;
        }
        Err("unterminated filter".to_owned())
    }
}

/// Reads a path without its braces.
fn path(text: &str) -> ReadResult<Vec<PathStep>> {
    let text = format!("{text}}}");
    let mut scanner = Scanner { rest: &text };
    match scanner.action()? {
        Braces::Path(steps) if scanner.rest.is_empty() => Ok(steps),
        Braces::Path(_) | Braces::Range(_) | Braces::End => Err(format!("no path: {text}")),
    }
}

/// Reads what stands between brackets: `*`, `0`, `1:3`, `-1:`, `'name'`, or several with commas.
fn index(inner: &str, steps: &mut Vec<PathStep>) -> ReadResult<()> {
    if inner.contains(',') {
        let one = |part: &str| {
            let mut steps = Vec::new();
            index(part.trim_matches(' '), &mut steps).map(|()| steps)
        };
        let paths: ReadResult<Vec<_>> = inner.split(',').map(one).collect();
        steps.push(PathStep::Union(paths?));
        return Ok(());
    }
    let name = inner
        .strip_prefix('\'')
        .and_then(|it| it.strip_suffix('\''));
    if let Some(name) = name.filter(|name| !name.contains('\'')) {
        steps.extend(path(&format!(".{name}"))?);
        return Ok(());
    }
    let fault = || format!("invalid array index {inner}");
    let parts: Vec<&str> = match inner {
        "*" => vec!["", ""],
        _ => inner.split(':').collect(),
    };
    let number = |text: &str| match text {
        "" => Ok(None),
        text => text.parse::<i64>().map(Some).map_err(|_| fault()),
    };
    let at = |place: usize| number(parts.get(place).copied().unwrap_or_default());
    steps.push(match parts.len() {
        1 => PathStep::Element(at(0)?.ok_or_else(fault)?),
        2 | 3 => PathStep::Slice {
            start: at(0)?,
            end: at(1)?,
            step: at(2)?,
        },
        _ => return Err(fault()),
    });
    Ok(())
}

/// Returns where text in quotes ends.
fn closing(text: &str, quote: char) -> Option<usize> {
    let mut escaped = false;
    for (at, letter) in text.char_indices() {
        match letter {
            '\n' => return None,
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            _ if letter == quote => return Some(at),
            _ => {}
        }
    }
    None
}

/// Returns text without its escapes, which are those of Go's strings.
fn unquoted(text: &str, quote: char) -> Option<String> {
    let mut plain = String::new();
    let mut letters = text.chars();
    while let Some(letter) = letters.next() {
        if letter != '\\' {
            plain.push(letter);
            continue;
        }
        let code = |letters: &mut std::str::Chars<'_>, digits: usize| {
            let text: String = letters.by_ref().take(digits).collect();
            u32::from_str_radix(&text, 16).ok().and_then(char::from_u32)
        };
        plain.push(match letters.next()? {
            'n' => '\n',
            't' => '\t',
            'r' => '\r',
            'a' => '\u{7}',
            'b' => '\u{8}',
            'f' => '\u{c}',
            'v' => '\u{b}',
            '\\' => '\\',
            'x' => code(&mut letters, 2)?,
            'u' => code(&mut letters, 4)?,
            'U' => code(&mut letters, 8)?,
            letter if letter == quote => quote,
            _ => return None,
        });
    }
    Some(plain)
}
