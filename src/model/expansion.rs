//! `$(NAME)` in commands, arguments, values and sub paths, as the kubelet reads it (V23).

use crate::problem::Problem;
use crate::sorted::SortedSet;

/// Replaces each `$(NAME)` that `lookup` knows, once; `$$` stands for a dollar sign.
///
/// References to unknown names stay as they are, so a shell's own `$(hostname)` is safe:
///
/// ```
/// let lookup = |name: &str| (name == "POD_IP").then(|| "127.3.1.1".to_owned());
/// let text = petset::model::expansion::expand("$(POD_IP):80 $(hostname) $$(POD_IP)", lookup);
/// assert_eq!(text, "127.3.1.1:80 $(hostname) $(POD_IP)");
/// ```
#[must_use]
pub fn expand(text: &str, mut lookup: impl FnMut(&str) -> Option<String>) -> String {
    let mut expanded = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('$') {
        expanded.push_str(&rest[..at]);
        let reference = &rest[at..];
        rest = &reference[push_reference(&mut expanded, reference, &mut lookup)..];
    }
    expanded.push_str(rest);
    expanded
}

/// Appends what the dollar sign at the start of `text` stands for; returns how much it read.
fn push_reference(
    expanded: &mut String,
    text: &str,
    lookup: &mut impl FnMut(&str) -> Option<String>,
) -> usize {
    if text.starts_with("$$") {
        expanded.push('$');
        return 2;
    }
    let name = text
        .strip_prefix("$(")
        .and_then(|inner| inner.split_once(')'));
    let Some((name, _)) = name else {
        let read = if text.starts_with("$(") { 2 } else { 1 };
        expanded.push_str(&text[..read]);
        return read;
    };
    let read = name.len() + 3;
    match lookup(name) {
        Some(value) => expanded.push_str(&value),
        None => expanded.push_str(&text[..read]),
    }
    read
}

/// Expands a `subPathExpr`: here a variable that is missing or empty is a fault (V06).
///
/// # Errors
///
/// Returns the kubelet's words, which name the variables.
pub fn expand_strictly(
    text: &str,
    mut lookup: impl FnMut(&str) -> Option<String>,
) -> Result<String, Problem> {
    let mut missing = SortedSet::new();
    let expanded = expand(text, |name| {
        let value = lookup(name).unwrap_or_default();
        if value.is_empty() {
            missing.insert(format!("{name:?}"));
        }
        Some(value)
    });
    if missing.is_empty() {
        return Ok(expanded);
    }
    let missing: Vec<_> = missing.into_iter().collect();
    let missing = missing.join(", ");
    Err(Problem::invalid(format!("missing value for {missing}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    const VECTORS: &[(&str, &str)] = &[
        ("$(VAR_A)", "A"),
        ("$(VAR_A)-$(VAR_A)", "A-A"),
        ("___$(VAR_B)___", "___B___"),
        ("$(VAR_A)_$(VAR_B)_$(VAR_C)", "A_B_C"),
        ("$$(VAR_B)_$(VAR_A)", "$(VAR_B)_A"),
        ("f000-$$VAR_A", "f000-$VAR_A"),
        ("foo\\$(VAR_C)bar", "foo\\Cbar"),
        ("$(VAR_A$(VAR_B))", "$(VAR_A$(VAR_B))"),
        ("$(VAR_REF)", "$(VAR_A)"),
        ("foo$(VAR_EMPTY)bar", "foobar"),
        ("foo$(VAR_Awhoops!", "foo$(VAR_Awhoops!"),
        ("$?_boo_$!", "$?_boo_$!"),
        ("$VAR_A", "$VAR_A"),
        ("${VAR_A}", "${VAR_A}"),
        ("$(VAR_DNE)", "$(VAR_DNE)"),
        ("$VAR_A)", "$VAR_A)"),
        ("$$$$$$(VAR_A)", "$$$(VAR_A)"),
        ("$$$$$$$(VAR_A)", "$$$A"),
        ("$$$$$$$(GOOD_ODDS)", "$$$$(GOOD_ODDS)"),
        ("$(VAR_B)_______$(A", "B_______$(A"),
        ("$(VAR_A)foobarzab$", "Afoobarzab$"),
        ("--$($($($($--", "--$($($($($--"),
        ("$(foo$$var)", "$(foo$$var)"),
        ("$£FOO", "$£FOO"),
        ("$中文", "$中文"),
        ("$(hostname)", "$(hostname)"),
        ("", ""),
        ("$", "$"),
    ];

    fn lookup(name: &str) -> Option<String> {
        let value = match name {
            "VAR_A" => "A",
            "VAR_B" => "B",
            "VAR_C" => "C",
            "VAR_REF" => "$(VAR_A)",
            "VAR_EMPTY" => "",
            _ => return None,
        };
        Some(value.to_owned())
    }

    #[test]
    fn v23_the_kubelets_own_vectors_hold() {
        for (text, expanded) in VECTORS {
            assert_eq!(expand(text, lookup), *expanded, "{text}");
        }
    }

    #[test]
    fn v06_a_sub_path_wants_every_variable() {
        let missing = |name: &str| Err(Problem::invalid(format!("missing value for \"{name}\"")));
        assert_eq!(expand_strictly("a/$(VAR_A)", lookup), Ok("a/A".to_owned()));
        assert_eq!(expand_strictly("$$(VAR_A)", lookup), Ok("$(VAR_A)".into()));
        assert_eq!(expand_strictly("plain", lookup), Ok("plain".to_owned()));
        assert_eq!(expand_strictly("$(NOPE)/x", lookup), missing("NOPE"));
        assert_eq!(
            expand_strictly("$(VAR_EMPTY)", lookup),
            missing("VAR_EMPTY")
        );
        let two = "missing value for \"A\", \"B\"".to_owned();
        assert_eq!(
            expand_strictly("$(B)$(A)$(B)", lookup),
            Err(Problem::invalid(two))
        );
    }
}
