//! Guesses at what a wrong word was meant to be.

/// Returns the word that differs from `key` by a slip: its case, or two letters at most.
pub(crate) fn nearest<'f>(key: &str, words: &[&'f str]) -> Option<&'f str> {
    let distance = |word: &&&str| edits(&key.to_lowercase(), &word.to_lowercase());
    let best = words.iter().min_by_key(distance)?;
    let allowed = (key.len() / 3).min(2);
    (distance(&best) <= allowed).then_some(*best)
}

/// Counts the letters to insert, remove or replace, and the neighbours to exchange, that turn one
/// word into the other.
fn edits(from: &str, to: &str) -> usize {
    let (from, to): (Vec<char>, Vec<char>) = (from.chars().collect(), to.chars().collect());
    let mut rows: Vec<Vec<usize>> = vec![(0..=to.len()).collect()];
    for (i, letter) in from.iter().enumerate() {
        let mut row = vec![i + 1];
        for (j, other) in to.iter().enumerate() {
            let replaced = rows[i][j] + usize::from(letter != other);
            let mut least = replaced.min(rows[i][j + 1] + 1).min(row[j] + 1);
            if i > 0 && j > 0 && from[i - 1] == *other && *letter == to[j - 1] {
                least = least.min(rows[i - 1][j - 1] + 1);
            }
            row.push(least);
        }
        rows.push(row);
    }
    rows[from.len()][to.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slip_is_recognised_and_a_stranger_is_not() {
        let words = [
            "replicas",
            "selector",
            "serviceName",
            "args",
            "web",
            "redis",
        ];
        let meant = [
            ("replica", Some("replicas")),
            ("servicename", Some("serviceName")),
            ("selectro", Some("selector")),
            ("arg", Some("args")),
            ("wbe", Some("web")),
            ("redsi", Some("redis")),
            ("volumes", None),
            ("x", None),
        ];
        for (word, wanted) in meant {
            assert_eq!(nearest(word, &words), wanted, "{word}");
        }
    }

    #[test]
    fn neighbours_that_are_exchanged_are_one_slip() {
        let distances = [
            ("", "", 0),
            ("ab", "ba", 1),
            ("abc", "acb", 1),
            ("abc", "", 3),
            ("ca", "abc", 3),
        ];
        for (from, to, wanted) in distances {
            assert_eq!(edits(from, to), wanted, "{from} {to}");
        }
    }
}
