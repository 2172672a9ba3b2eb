//! The command line that changed a template: the CHANGE-CAUSE of `rollout history`.

use k8s_openapi::api::apps::v1::StatefulSet;

use crate::model::rollout::{annotate, annotation};
use crate::model::{CHANGE_CAUSE, CHANGE_CAUSE_ANNOTATION};

/// The longest command line that is noted.
const LONG: usize = 200;

/// Notes this command line on a set as the cause of its template.
pub(crate) fn note_cause(set: &mut StatefulSet) {
    let words = std::env::args_os().skip(1);
    let words = words.map(|word| quote(&word.to_string_lossy()));
    let line: Vec<String> = std::iter::once("petset".to_owned()).chain(words).collect();
    annotate(
        set,
        CHANGE_CAUSE_ANNOTATION,
        Some(&shortened(&line.join(" "))),
    );
}

/// Notes this command line, unless the manifest gives a cause of its own.
pub(crate) fn note_cause_of_file(set: &mut StatefulSet) {
    if annotation(set, CHANGE_CAUSE).is_none() {
        note_cause(set);
    }
}

/// Quotes a word as a shell would need it.
fn quote(word: &str) -> String {
    let plain = |it: char| it.is_alphanumeric() || "-_=./:,@%+{}[]".contains(it);
    match !word.is_empty() && word.chars().all(plain) {
        true => word.to_owned(),
        false => format!("'{}'", word.replace('\'', "'\\''")),
    }
}

/// Cuts a line that is too long for a table, and keeps it one line.
fn shortened(line: &str) -> String {
    let line = line.replace(char::is_control, " ");
    match line.char_indices().nth(LONG) {
        Some((end, _)) => format!("{}...", &line[..end]),
        None => line,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cause_is_one_line_that_a_shell_would_take() {
        assert_eq!(quote("--image=a/b:v2"), "--image=a/b:v2");
        assert_eq!(quote("echo it's"), r"'echo it'\''s'");
        assert_eq!(quote(""), "''");
        assert_eq!(shortened("a\nb"), "a b");
        assert_eq!(shortened(&"é".repeat(300)).chars().count(), LONG + 3);
    }
}
