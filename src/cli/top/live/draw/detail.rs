//! What is chosen: why it waits, its events, and the end of its log.

use super::canvas::Canvas;
use crate::cli::top::live::scene::{Chosen, Scene};
use crate::model::printer;

/// From this width on events and log stand side by side.
const WIDE: u16 = 120;

/// Draws events and log of what is chosen.
pub(super) fn draw(scene: &Scene, canvas: &mut Canvas<'_>, y: u16, lines: u16) {
    let name = match &scene.chosen {
        Some(Chosen::Workload((_, name)) | Chosen::Pet((_, name))) => name.as_str(),
        None => return,
    };
    if lines < 2 {
        return;
    }
    let of_pet = scene.chosen_pet().is_some();
    let (width, room) = (canvas.width(), lines - 1);
    let style = canvas.heading_style();
    if width >= WIDE && of_pet {
        let half = width / 2;
        canvas.put_within(0, y, half, &format!("EVENTS of {name}"), style);
        canvas.put(half, y, &format!("LOG of {name}"), style);
        events(scene, canvas, (y + 1, room), half - 1);
        log(scene, canvas, (half, y + 1), room);
        return;
    }
    let note = scene.chosen_workload().filter(|_| !of_pet);
    let note = note.and_then(|row| row.note.as_deref()).unwrap_or_default();
    let logged = match of_pet {
        true => u16::try_from(scene.detail.log.len())
            .unwrap_or(room)
            .min(room / 2),
        false => 0,
    };
    let what = if logged > 0 {
        "EVENTS AND LOG"
    } else {
        "EVENTS"
    };
    canvas.put(0, y, &format!("{what} of {name}"), style);
    let plain = canvas.plain();
    let noted = canvas.put_wrapped((2, y + 1), room / 2, note, plain);
    events(scene, canvas, (y + 1 + noted, room - logged - noted), width);
    log(scene, canvas, (0, y + 1 + room - logged), logged);
}

fn events(scene: &Scene, canvas: &mut Canvas<'_>, (y, room): (u16, u16), width: u16) {
    let all = &scene.detail.events;
    if all.is_empty() && room > 0 {
        let faint = canvas.faint();
        canvas.put(2, y, "no events", faint);
    }
    let last = all.len().saturating_sub(room.into());
    for (y, event) in (y..).zip(&all[last..]) {
        let age = printer::age(scene.now.duration_since(event.time));
        let faint = canvas.faint();
        canvas.put(2, y, &format!("{age:>5}"), faint);
        let style = match event.warning {
            true => canvas.warning(false),
            false => canvas.plain(),
        };
        canvas.put_within(8, y, width.saturating_sub(8), &event.text, style);
    }
}

fn log(scene: &Scene, canvas: &mut Canvas<'_>, (x, y): (u16, u16), room: u16) {
    let all = &scene.detail.log;
    let last = all.len().saturating_sub(room.into());
    let line = if canvas.theme.ascii { "|" } else { "│" };
    for (y, text) in (y..).zip(&all[last..]) {
        let (faint, plain) = (canvas.faint(), canvas.plain());
        canvas.put(x, y, line, faint);
        canvas.put(x + 2, y, text, plain);
    }
}
