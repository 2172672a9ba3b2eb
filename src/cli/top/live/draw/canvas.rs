//! A buffer of cells, and the few looks that the view has.

use std::ops::Range;

use ratatui_core::buffer::{Buffer, CellWidth};
use ratatui_core::style::{Color, Modifier, Style};

use crate::cli::shared::render::clean;
use crate::cli::top::lamp::Lamp;
use crate::cli::top::live::scene::Theme;

/// What is drawn on.
pub(super) struct Canvas<'b> {
    buffer: &'b mut Buffer,
    pub(super) theme: Theme,
}

impl<'b> Canvas<'b> {
    pub(super) const fn new(buffer: &'b mut Buffer, theme: Theme) -> Self {
        Self { buffer, theme }
    }

    pub(super) const fn width(&self) -> u16 {
        self.buffer.area.width
    }

    pub(super) const fn height(&self) -> u16 {
        self.buffer.area.height
    }

    /// Returns how many columns a text takes.
    pub(super) fn length(&self, text: &str) -> u16 {
        clean(text).cell_width()
    }

    /// Writes up to the right edge; returns the column after it.
    pub(super) fn put(&mut self, x: u16, y: u16, text: &str, style: Style) -> u16 {
        let room = self.width().saturating_sub(x);
        self.put_within(x, y, room, text, style)
    }

    /// Writes into so many columns; what is longer ends with an ellipsis.
    pub(super) fn put_within(
        &mut self,
        x: u16,
        y: u16,
        room: u16,
        text: &str,
        style: Style,
    ) -> u16 {
        if y >= self.height() || x >= self.width() || room == 0 {
            return x;
        }
        let text = clean(text);
        if text.as_str().cell_width() <= room {
            return self.buffer.set_stringn(x, y, text, room.into(), style).0;
        }
        let end = if self.theme.ascii { "~" } else { "…" };
        let (x, _) = self
            .buffer
            .set_stringn(x, y, text, (room - 1).into(), style);
        self.buffer.set_stringn(x, y, end, 1, style).0
    }

    /// Writes into at most so many lines, broken between words; returns how many it took.
    pub(super) fn put_wrapped(
        &mut self,
        (x, y): (u16, u16),
        lines: u16,
        text: &str,
        style: Style,
    ) -> u16 {
        let text = clean(text);
        let all = wrap(&text, self.width().saturating_sub(x));
        let count = u16::try_from(all.len()).unwrap_or(u16::MAX).min(lines);
        for (line, begin) in (0..count).zip(all) {
            // The last line has all the rest, and an ellipsis if that is too long.
            let rest = match line + 1 == count {
                true => &text[begin.start..],
                false => &text[begin],
            };
            self.put(x, y + line, rest, style);
        }
        count
    }

    /// Returns how many lines a text takes from a column on.
    pub(super) fn lines(&self, x: u16, text: &str) -> usize {
        wrap(&clean(text), self.width().saturating_sub(x)).len()
    }

    /// Gives a whole line a style.
    pub(super) fn fill(&mut self, y: u16, style: Style) {
        let mut line = self.buffer.area;
        (line.y, line.height) = (y, 1);
        self.buffer.set_style(line, style);
    }

    /// Writes a heading; returns the line below it.
    pub(super) fn heading(&mut self, y: u16, text: &str) -> u16 {
        let style = self.heading_style();
        self.put(0, y, text, style);
        y + 1
    }

    pub(super) const fn plain(&self) -> Style {
        Style::new()
    }

    pub(super) const fn faint(&self) -> Style {
        Style::new().add_modifier(Modifier::DIM)
    }

    pub(super) const fn bold(&self) -> Style {
        Style::new().add_modifier(Modifier::BOLD)
    }

    pub(super) const fn bar(&self) -> Style {
        Style::new().add_modifier(Modifier::REVERSED)
    }

    pub(super) const fn heading_style(&self) -> Style {
        self.colored(Color::Cyan).add_modifier(Modifier::BOLD)
    }

    /// Returns the style of what is wrong, or only worth a look.
    pub(super) const fn warning(&self, grave: bool) -> Style {
        self.colored(if grave { Color::Red } else { Color::Yellow })
    }

    pub(super) const fn good(&self) -> Style {
        self.colored(Color::Green)
    }

    /// Returns the style of a pet in some state.
    pub(super) const fn of(&self, lamp: Lamp) -> Style {
        match lamp {
            Lamp::Ready => self.colored(Color::Green),
            Lamp::Starting | Lamp::NotReady => self.colored(Color::Yellow),
            Lamp::Failing => self.colored(Color::Red).add_modifier(Modifier::BOLD),
            Lamp::Stopping => self.colored(Color::Magenta),
            Lamp::Done => self.colored(Color::Blue),
            Lamp::Gone => self.faint(),
        }
    }

    const fn colored(&self, color: Color) -> Style {
        match self.theme.color {
            true => Style::new().fg(color),
            false => Style::new(),
        }
    }
}

/// Breaks a text between words, so that each part takes at most so many columns if a word does.
fn wrap(text: &str, width: u16) -> Vec<Range<usize>> {
    let mut parts: Vec<Range<usize>> = Vec::new();
    let mut end = 0;
    for word in text.split_inclusive(' ') {
        let (begin, after) = (end, end + word.len());
        end = after;
        match parts.last_mut() {
            Some(part) if text[part.start..after].trim_end().cell_width() <= width => {
                part.end = after;
            }
            Some(_) | None => parts.push(begin..after),
        }
    }
    parts
}

#[cfg(test)]
mod tests {
    use super::wrap;

    #[test]
    fn a_text_is_broken_between_words() {
        let text = "one two three incomprehensible";
        let parts: Vec<&str> = wrap(text, 8).into_iter().map(|part| &text[part]).collect();
        assert_eq!(parts, ["one two ", "three ", "incomprehensible"]);
        assert!(wrap("", 8).is_empty());
    }
}
