//! How the lines of the screen are divided, and the services.

use super::canvas::Canvas;
use crate::cli::top::lamp::Lamp;
use crate::cli::top::live::scene::Scene;
use crate::cli::top::snapshot::ServiceRow;

/// From this height on there is room for more than the last events.
const HIGH: u16 = 30;

/// The lines of each section, with its heading.
pub(super) struct Sections {
    pub(super) workloads: u16,
    pub(super) pets: u16,
    pub(super) services: u16,
    pub(super) detail: u16,
}

impl Sections {
    /// Divides what title and footer leave.
    pub(super) fn of(scene: &Scene, height: u16) -> Self {
        let all = height - 2;
        let count = |count: usize| u16::try_from(count).unwrap_or(u16::MAX);
        let detail = if height >= HIGH { all / 4 } else { all / 5 + 1 };
        let rest = all - detail;
        let workloads = 1 + count(scene.workloads().len()).clamp(1, (rest / 4).max(2));
        let services = match count(scene.snapshot.services.len()) {
            0 => 0,
            some => 1 + some.min((rest / 6).max(1)),
        };
        Self {
            workloads,
            pets: rest.saturating_sub(workloads + services),
            services,
            detail,
        }
    }
}

/// Draws services, each with its endpoints; returns the line below.
pub(super) fn services(scene: &Scene, canvas: &mut Canvas<'_>, y: u16, lines: u16) -> u16 {
    let all = &scene.snapshot.services;
    if lines == 0 {
        return y;
    }
    let shown = usize::from(lines - 1);
    let more = all.len().saturating_sub(shown);
    let more = if more > 0 {
        format!(" ({more} more)")
    } else {
        String::new()
    };
    let mut y = canvas.heading(y, &format!("SERVICES{more}"));
    let name = |row: &ServiceRow| match scene.all_namespaces {
        true => format!("{}/{}", row.namespace, row.name),
        false => row.name.clone(),
    };
    let names = all.iter().map(|row| canvas.length(&name(row))).max();
    let names = names.unwrap_or_default().min(canvas.width() / 4);
    let addresses = all.iter().map(|row| canvas.length(&row.address)).max();
    let addresses = addresses.unwrap_or_default().min(canvas.width() / 4);
    for row in all.iter().take(shown) {
        let plain = canvas.plain();
        canvas.put_within(2, y, names, &name(row), plain);
        canvas.put_within(3 + names, y, addresses, &row.address, plain);
        endpoints(canvas, row, 5 + names + addresses, y);
        y += 1;
    }
    y
}

/// Draws each endpoint by its name, or where there is no room for all, their numbers.
fn endpoints(canvas: &mut Canvas<'_>, row: &ServiceRow, x: u16, y: u16) {
    let lamp = |ready: bool| if ready { Lamp::Ready } else { Lamp::NotReady };
    if row.endpoints.is_empty() {
        let faint = canvas.faint();
        canvas.put(x, y, "no endpoints", faint);
        return;
    }
    let lengths = row.endpoints.iter().map(|end| canvas.length(&end.name) + 3);
    let mut x = x;
    if x + lengths.sum::<u16>() <= canvas.width() {
        for end in &row.endpoints {
            let (lamp, plain) = (lamp(end.ready), canvas.plain());
            x = canvas.put(x, y, lamp.symbol(canvas.theme.ascii), canvas.of(lamp)) + 1;
            x = canvas.put(x, y, &end.name, plain) + 1;
        }
        return;
    }
    for (ready, word) in [(true, "ready"), (false, "not ready")] {
        let count = row
            .endpoints
            .iter()
            .filter(|end| end.ready == ready)
            .count();
        if count > 0 {
            let symbol = lamp(ready).symbol(canvas.theme.ascii);
            x = canvas.put(
                x,
                y,
                &format!("{symbol} {count} {word}  "),
                canvas.of(lamp(ready)),
            );
        }
    }
}
