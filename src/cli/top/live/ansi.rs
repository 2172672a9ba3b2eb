//! A picture of cells as the bytes that change a terminal from one to the next.

use std::fmt::Write;

use ratatui_core::buffer::{Buffer, Cell, CellWidth};
use ratatui_core::style::{Color, Modifier};

/// What makes a terminal show another screen, without cursor, and keep the one it had.
pub(super) const ENTER: &str = "\u{1b}[?1049h\u{1b}[?25l\u{1b}[2J";
/// What takes that back.
pub(super) const LEAVE: &str = "\u{1b}[0m\u{1b}[?25h\u{1b}[?1049l";
/// What empties the screen.
pub(super) const CLEAR: &str = "\u{1b}[0m\u{1b}[2J";

/// Returns what changes a terminal that shows `before` to one that shows `after`.
pub(super) fn change(before: &Buffer, after: &Buffer) -> String {
    let mut text = String::new();
    let mut at = None;
    let mut look = None;
    for (x, y, cell) in before.diff(after) {
        if at != Some((x, y)) {
            let _ = write!(text, "\u{1b}[{};{}H", y + 1, x + 1);
        }
        let its = (cell.fg, cell.bg, cell.modifier);
        if look != Some(its) {
            set_look(&mut text, cell);
            look = Some(its);
        }
        text.push_str(cell.symbol());
        at = Some((x + cell.cell_width(), y));
    }
    if look.is_some() {
        text.push_str("\u{1b}[0m");
    }
    text
}

fn set_look(text: &mut String, cell: &Cell) {
    text.push_str("\u{1b}[0");
    for (modifier, code) in [
        (Modifier::BOLD, ";1"),
        (Modifier::DIM, ";2"),
        (Modifier::UNDERLINED, ";4"),
        (Modifier::REVERSED, ";7"),
    ] {
        if cell.modifier.contains(modifier) {
            text.push_str(code);
        }
    }
    if let Some(number) = color(cell.fg) {
        let _ = write!(text, ";{}", 30 + number);
    }
    if let Some(number) = color(cell.bg) {
        let _ = write!(text, ";{}", 40 + number);
    }
    text.push('m');
}

/// Returns the number of one of the eight colours that every terminal has.
#[expect(
    clippy::wildcard_enum_match_arm,
    reason = "the view uses no other colours"
)]
const fn color(color: Color) -> Option<u8> {
    match color {
        Color::Red => Some(1),
        Color::Green => Some(2),
        Color::Yellow => Some(3),
        Color::Blue => Some(4),
        Color::Magenta => Some(5),
        Color::Cyan => Some(6),
        _ => None,
    }
}
