//! Spaces that look like others, or like nothing, and mean nothing to YAML.

/// Returns a hint about the first such space in the lines from `first` to `last`, which count
/// from 1.
pub(crate) fn odd_space(text: &str, first: usize, last: usize) -> Option<String> {
    let lines = text.lines().enumerate().take(last);
    let mut lines = lines.skip(first.saturating_sub(1));
    lines.find_map(|(index, line)| {
        let (column, (letter, name)) = line
            .strip_prefix('\u{feff}')
            .filter(|_| index == 0)
            .unwrap_or(line)
            .chars()
            .enumerate()
            .find_map(|(column, letter)| Some((column + 1, (letter, name(letter)?))))?;
        let (line, code) = (index + 1, u32::from(letter));
        Some(format!(
            "column {column} of line {line} holds a {name} (U+{code:04X}), which is not taken for a space"
        ))
    })
}

const fn name(letter: char) -> Option<&'static str> {
    Some(match letter {
        '\u{a0}' | '\u{202f}' => "no-break space",
        '\u{ad}' => "soft hyphen",
        '\u{2000}'..='\u{200a}' | '\u{205f}' | '\u{3000}' => "space of another width",
        '\u{200b}' => "zero-width space",
        '\u{2060}' => "word joiner",
        '\u{feff}' => "zero-width no-break space",
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_odd_space_is_named_with_its_place() {
        let text = "a: 1\nbé:\u{a0}2\n\u{200b}c: 3\n";
        let hint =
            "column 4 of line 2 holds a no-break space (U+00A0), which is not taken for a space";
        assert_eq!(odd_space(text, 1, 9).as_deref(), Some(hint));
        let hint =
            "column 1 of line 3 holds a zero-width space (U+200B), which is not taken for a space";
        assert_eq!(odd_space(text, 3, 3).as_deref(), Some(hint));
        assert_eq!(odd_space(text, 1, 1), None);
        assert_eq!(odd_space("\u{feff}a: 1", 1, 1), None);
    }
}
