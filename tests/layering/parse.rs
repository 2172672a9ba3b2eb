//! Reads from the code of a file what it declares, what it imports, and which paths it names.

use std::collections::BTreeSet;

use crate::text::{is_word, tokens};

/// Words that begin a declaration, followed by its name.
const DECLARING: [&str; 10] = [
    "fn",
    "struct",
    "enum",
    "union",
    "trait",
    "type",
    "const",
    "static",
    "mod",
    "macro_rules",
];

/// Words that may stand between such a word and the name.
const BETWEEN: [&str; 6] = ["mut", "fn", "unsafe", "async", "extern", "!"];

/// What a file says about names.
#[derive(Default)]
pub(crate) struct Names {
    /// Items declared at the top of the file; child modules with a file of their own are left out.
    pub(crate) declared: BTreeSet<String>,
    /// Types declared anywhere in the file, but associated types.
    pub(crate) types: BTreeSet<String>,
    pub(crate) uses: Vec<Use>,
    /// Paths of two words or more outside `use`.
    pub(crate) paths: BTreeSet<Vec<String>>,
    /// First words of paths, and single words that can stand for an item of another file.
    pub(crate) words: BTreeSet<String>,
}

/// One name out of a `use` declaration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Use {
    pub(crate) path: Vec<String>,
    /// The name that it has here; `*` for a glob, whose path is that of the module.
    pub(crate) name: String,
    /// Whether it is re-exported.
    pub(crate) public: bool,
}

impl Names {
    /// Reads code from which comments, literals and tests are cut away.
    pub(crate) fn of(code: &str) -> Self {
        let tokens: Vec<&str> = tokens(code).into_iter().map(|token| token.1).collect();
        let mut names = Self::default();
        let (mut at, mut depth) = (0, 0);
        while at < tokens.len() {
            match tokens[at] {
                "{" => depth += 1,
                "}" => depth -= 1,
                "use" if tokens.get(at + 1) != Some(&"<") => {
                    at = names.read_use(&tokens, at);
                    continue;
                }
                word if DECLARING.contains(&word) => {
                    names.read_declaration(&tokens, at, depth == 0);
                }
                word if is_name(word) => {
                    at = names.read_path(&tokens, at);
                    continue;
                }
                _ => {}
            }
            at += 1;
        }
        names
    }

    /// Reads the `use` at `at` and returns the index behind its semicolon.
    fn read_use(&mut self, tokens: &[&str], at: usize) -> usize {
        let length = tokens[at..].iter().position(|token| *token == ";");
        let end = length.map_or(tokens.len(), |length| at + length);
        let public = at > 0 && matches!(tokens[at - 1], "pub" | ")");
        for (path, name) in branches(&tokens[at + 1..end], &[]) {
            self.uses.push(Use { path, name, public });
        }
        end + 1
    }

    fn read_declaration(&mut self, tokens: &[&str], at: usize, outermost: bool) {
        let mut rest = tokens[at + 1..].iter();
        let Some(name) = rest.find(|word| !BETWEEN.contains(word)) else {
            return;
        };
        let has_file = tokens[at] == "mod" && rest.next() == Some(&";");
        if !is_name(name) || has_file {
            return;
        }
        if outermost {
            self.declared.insert((*name).to_owned());
        }
        let type_word = match tokens[at] {
            "struct" | "enum" | "union" | "trait" => true,
            "type" => outermost,
            _ => false,
        };
        if type_word && name.starts_with(char::is_uppercase) {
            self.types.insert((*name).to_owned());
        }
    }

    /// Reads the path that begins at `at` and returns the index behind it.
    fn read_path(&mut self, tokens: &[&str], at: usize) -> usize {
        let mut path = vec![tokens[at].to_owned()];
        let mut end = at + 1;
        while tokens.get(end) == Some(&"::")
            && tokens.get(end + 1).is_some_and(|word| is_name(word))
        {
            path.push(tokens[end + 1].to_owned());
            end += 2;
        }
        let before = at.checked_sub(1).map_or("", |before| tokens[before]);
        let after = tokens.get(end).copied().unwrap_or_default();
        if matches!(before, "." | "::") || DECLARING.contains(&before) {
            return end;
        }
        if path.len() > 1 || stands_for_item(&path[0], after) {
            self.words.insert(path[0].clone());
        }
        if path.len() > 1 {
            self.paths.insert(path);
        }
        end
    }
}

/// Returns whether a single word can be an item: in lower case, only a word that is called is one.
fn stands_for_item(word: &str, after: &str) -> bool {
    word.starts_with(char::is_uppercase) || matches!(after, "(" | "!" | "::")
}

fn is_name(word: &str) -> bool {
    word.starts_with(|c: char| is_word(c) && !c.is_ascii_digit())
}

/// Lists the paths of a tree such as `a::{b, c::D as E}`, each with the name that it gives.
fn branches(tree: &[&str], above: &[String]) -> Vec<(Vec<String>, String)> {
    let mut path = above.to_vec();
    for (at, token) in tree.iter().enumerate() {
        match *token {
            "::" => {}
            "{" => {
                let inner = &tree[at + 1..tree.len() - 1];
                return parts(inner)
                    .into_iter()
                    .flat_map(|part| branches(part, &path))
                    .collect();
            }
            "*" => return vec![(path, "*".to_owned())],
            "as" => return vec![(path, tree[at + 1].to_owned())],
            "self" if !path.is_empty() => {}
            word => path.push(word.to_owned()),
        }
    }
    let name = path.last().cloned();
    name.map(|name| (path, name)).into_iter().collect()
}

/// Splits at the commas that stand outside braces.
fn parts<'a, 'b>(tokens: &'a [&'b str]) -> Vec<&'a [&'b str]> {
    let mut depth = 0;
    let outer_comma = |token: &&str| {
        match *token {
            "{" => depth += 1,
            "}" => depth -= 1,
            _ => {}
        }
        *token == "," && depth == 0
    };
    let parts = tokens.split(outer_comma);
    parts.filter(|part| !part.is_empty()).collect()
}
