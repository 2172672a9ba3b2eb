//! Keys, as a terminal sends them.

/// A key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum KeyPress {
    Char(char),
    Up,
    Down,
    PageUp,
    PageDown,
    Home,
    End,
    Enter,
    Escape,
    Backspace,
    Tab,
    /// Ctrl-C, Ctrl-Z, Ctrl-L.
    Interrupt,
    Suspend,
    Redraw,
}

/// Reads the keys of some input; what is no key is passed over.
pub(super) fn keys(input: &[u8]) -> Vec<KeyPress> {
    let text = String::from_utf8_lossy(input);
    let mut rest = &*text;
    let mut keys = Vec::new();
    while let Some(first) = rest.chars().next() {
        let (key, length) = match rest.strip_prefix('\u{1b}') {
            Some(after) => escaped(after),
            None => (plain(first), first.len_utf8()),
        };
        keys.extend(key);
        rest = &rest[length..];
    }
    keys
}

const fn plain(letter: char) -> Option<KeyPress> {
    Some(match letter {
        '\u{3}' => KeyPress::Interrupt,
        '\u{1a}' => KeyPress::Suspend,
        '\u{c}' => KeyPress::Redraw,
        '\r' | '\n' => KeyPress::Enter,
        '\t' => KeyPress::Tab,
        '\u{7f}' | '\u{8}' => KeyPress::Backspace,
        letter if letter.is_ascii_control() => return None,
        letter => KeyPress::Char(letter),
    })
}

/// Reads what follows an ESC, which may stand alone; returns the length of all.
fn escaped(after: &str) -> (Option<KeyPress>, usize) {
    let Some(body) = after.strip_prefix(['[', 'O']) else {
        return (Some(KeyPress::Escape), 1);
    };
    let is_final = |letter: char| ('@'..='~').contains(&letter);
    let Some(end) = body.find(is_final) else {
        return (None, 1 + after.len());
    };
    let key = match &body[..=end] {
        "A" => Some(KeyPress::Up),
        "B" => Some(KeyPress::Down),
        "H" | "1~" | "7~" => Some(KeyPress::Home),
        "F" | "4~" | "8~" => Some(KeyPress::End),
        "5~" => Some(KeyPress::PageUp),
        "6~" => Some(KeyPress::PageDown),
        _ => None,
    };
    (key, 3 + end)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_read_as_terminals_send_them() {
        let cases: [(&[u8], &[KeyPress]); 6] = [
            (b"jq", &[KeyPress::Char('j'), KeyPress::Char('q')]),
            (b"\x1b[A\x1bOB", &[KeyPress::Up, KeyPress::Down]),
            (b"\x1b", &[KeyPress::Escape]),
            (
                b"\x1b[5~\x1b[1;5C\x03",
                &[KeyPress::PageUp, KeyPress::Interrupt],
            ),
            ("é".as_bytes(), &[KeyPress::Char('é')]),
            (b"\x1b[", &[]),
        ];
        for (input, wanted) in cases {
            assert_eq!(keys(input), wanted, "{input:?}");
        }
    }
}
