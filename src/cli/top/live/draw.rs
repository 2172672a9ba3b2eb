//! Draws the view: one function from a [`Scene`] to a buffer of cells.

mod canvas;
mod cover;
mod detail;
mod pets;
mod rollout;
mod sections;

use jiff::tz::TimeZone;
use ratatui_core::buffer::Buffer;
use ratatui_core::layout::Rect;

use super::scene::{InputMode, Scene};
use canvas::Canvas;
use sections::Sections;

pub(super) use cover::{HELP, first_line};

/// The smallest screen on which there is room for anything.
const SMALLEST: (u16, u16) = (40, 10);

/// Returns the picture of a view for a terminal of this size.
pub(super) fn draw(scene: &Scene, (width, height): (u16, u16)) -> Buffer {
    let mut buffer = Buffer::empty(Rect::new(0, 0, width, height));
    let mut canvas = Canvas::new(&mut buffer, scene.theme);
    if width < SMALLEST.0 || height < SMALLEST.1 {
        canvas.put(0, 0, "petset: the window is too small", canvas.plain());
        return buffer;
    }
    if let InputMode::Page(page) = &scene.mode {
        cover::draw(page, &mut canvas);
        return buffer;
    }
    title(scene, &mut canvas);
    let sections = Sections::of(scene, height);
    let mut y = 1;
    y = rollout::draw(scene, &mut canvas, y, sections.workloads);
    y = pets::draw(scene, &mut canvas, y, sections.pets);
    y = sections::services(scene, &mut canvas, y, sections.services);
    detail::draw(scene, &mut canvas, y, sections.detail);
    cover::footer(scene, &mut canvas, height - 1);
    buffer
}

fn title(scene: &Scene, canvas: &mut Canvas<'_>) {
    let bar = canvas.bar();
    canvas.fill(0, bar);
    let mut flags = String::new();
    match scene.behind {
        Some(0) => flags.push_str("slow  "),
        Some(behind) => flags.push_str(&format!("slow: {behind} behind  ")),
        None => {}
    }
    if scene.recording {
        flags.push_str("recording  ");
    }
    if !scene.filter.is_empty() {
        flags.push_str(&format!("/{}  ", scene.filter));
    }
    let time = scene.now.to_zoned(TimeZone::UTC).strftime("%H:%M:%S UTC");
    let right = format!("{flags}{time} ");
    let at = canvas.width().saturating_sub(canvas.length(&right));
    canvas.put_within(0, 0, at, &format!(" petset  {}", scene.snapshot.root), bar);
    canvas.put(at, 0, &right, bar);
}
