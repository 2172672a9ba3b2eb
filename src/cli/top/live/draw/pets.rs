//! The pets, each with its figures, its last minutes, and the reason why it waits.

use ratatui_core::style::Style;

use super::canvas::Canvas;
use super::rollout::short;
use crate::cli::top::figures::{cpu_text, memory_text};
use crate::cli::top::lamp::Lamp;
use crate::cli::top::live::scene::{Chosen, Scene};
use crate::cli::top::live::timeline::key_of;
use crate::cli::top::snapshot::PetRow;
use crate::model::printer;

/// From this width on the reason stands beside the figures, if it is short enough.
const WIDE: u16 = 130;
/// The columns that a timeline needs, and may take.
const TIMELINE: (u16, u16) = (8, 60);

/// Where a reason begins that stands below its pet, and how many lines it may take.
const REASON: u16 = 5;
const MOST: usize = 3;

/// A column: its heading, its width, and whether it is a number.
struct PetColumn {
    heading: &'static str,
    width: u16,
    right: bool,
    text: fn(&Scene, &PetRow) -> String,
}

/// Where the columns of the table are.
struct PetTable {
    columns: Vec<PetColumn>,
    /// The width of the reasons, where they have a column.
    why: u16,
    timeline: u16,
}

/// Draws the pets that there is room for; returns the line below.
pub(super) fn draw(scene: &Scene, canvas: &mut Canvas<'_>, y: u16, lines: u16) -> u16 {
    if lines == 0 {
        return y;
    }
    let pods = scene.pods();
    let table = PetTable::of(scene, canvas, &pods);
    let height = usize::from(lines - 1);
    // Each pet takes a line, and more for a reason that has no room beside it.
    let reason = |pod: &PetRow| match &pod.why {
        Some(why) if canvas.length(why) > table.why => canvas.lines(REASON, why).min(MOST),
        Some(_) | None => 0,
    };
    let lengths: Vec<usize> = pods.iter().map(|pod| 1 + reason(pod)).collect();
    let first = first_shown(&lengths, chosen_place(scene, &pods), height);
    let mut taken = 0;
    let fits = |length: &&usize| {
        taken += **length;
        taken <= height
    };
    let shown = lengths[first..].iter().take_while(fits).count();
    heading(scene, canvas, &table, y, (first, shown, pods.len()));
    let bottom = y + lines;
    let mut y = y + 1;
    for (pod, length) in pods.iter().zip(&lengths).skip(first) {
        if y >= bottom {
            break;
        }
        pet(scene, canvas, &table, pod, y);
        if *length > 1 && y + 1 < bottom {
            let why = pod.why.as_deref().unwrap_or_default();
            let corner = if canvas.theme.ascii { "`" } else { "└" };
            let style = canvas.of(pod.state);
            let lines = u16::try_from(length - 1).unwrap_or(1).min(bottom - y - 1);
            canvas.put(REASON - 2, y + 1, corner, style);
            canvas.put_wrapped((REASON, y + 1), lines, why, style);
        }
        y += u16::try_from(*length).unwrap_or(1);
    }
    bottom
}

/// Returns the place of the pet that is chosen, or of the first one of the workload that is.
fn chosen_place(scene: &Scene, pods: &[&PetRow]) -> usize {
    let pet = scene.chosen_pet().or_else(|| scene.first_pet_of_chosen());
    let place = pods.iter().position(|pod| Some(*pod) == pet);
    place.unwrap_or_default()
}

/// Returns the first pet that is shown, so that the chosen one is in the middle where possible.
fn first_shown(lengths: &[usize], chosen: usize, height: usize) -> usize {
    if lengths.iter().sum::<usize>() <= height {
        return 0;
    }
    let above = |first: usize| lengths[first..=chosen].iter().sum::<usize>();
    let mut first = chosen;
    while first > 0 && above(first - 1) <= height.div_ceil(2) {
        first -= 1;
    }
    // The last ones fill the screen.
    while first > 0 && lengths[first - 1..].iter().sum::<usize>() <= height {
        first -= 1;
    }
    first
}

impl PetTable {
    fn of(scene: &Scene, canvas: &Canvas<'_>, pods: &[&PetRow]) -> Self {
        let wide = canvas.width() >= WIDE;
        let mut columns = vec![
            column("PET", false, |scene, pod| match scene.all_namespaces {
                true => format!("{}/{}", pod.namespace, pod.name),
                false => pod.name.clone(),
            }),
            column("STATUS", false, |_, pod| pod.status.clone()),
            column("ADDRESS", false, |_, pod| {
                pod.address.clone().unwrap_or_default()
            }),
            column("CPU", true, |_, pod| {
                cpu_text(pod.usage).unwrap_or_default()
            }),
            column("MEM", true, |_, pod| {
                memory_text(pod.usage).unwrap_or_default()
            }),
            column("R", true, |_, pod| pod.restarts.to_string()),
            column("AGE", true, |scene, pod| {
                let age = |created| printer::age(scene.now.duration_since(created));
                pod.created.map(age).unwrap_or_default()
            }),
        ];
        if wide {
            columns.insert(1, column("READY", false, |_, pod| pod.ready.clone()));
            columns.insert(
                3,
                column("REVISION", false, |_, pod| {
                    short(pod.revision.as_deref().unwrap_or_default()).to_owned()
                }),
            );
        }
        let most = canvas.width() / if wide { 7 } else { 4 };
        for column in &mut columns {
            let texts = pods
                .iter()
                .map(|pod| canvas.length(&(column.text)(scene, pod)));
            let widest = texts.chain([canvas.length(column.heading)]).max();
            column.width = widest.unwrap_or_default().min(most);
        }
        let used = |columns: &[PetColumn]| 3 + columns.iter().map(|it| it.width + 1).sum::<u16>();
        let mut rest = canvas.width().saturating_sub(used(&columns));
        if rest < TIMELINE.0 {
            columns.retain(|column| column.heading != "ADDRESS");
            rest = canvas.width().saturating_sub(used(&columns));
        }
        let timeline = if wide { rest * 2 / 5 } else { rest }.min(TIMELINE.1);
        let why = if wide {
            rest.saturating_sub(timeline + 1)
        } else {
            0
        };
        Self {
            columns,
            why,
            timeline,
        }
    }
}

fn column(heading: &'static str, right: bool, text: fn(&Scene, &PetRow) -> String) -> PetColumn {
    PetColumn {
        heading,
        width: 0,
        right,
        text,
    }
}

fn heading(
    scene: &Scene,
    canvas: &mut Canvas<'_>,
    table: &PetTable,
    y: u16,
    (first, shown, all): (usize, usize, usize),
) {
    let style = canvas.heading_style();
    let mut x = 3;
    for column in &table.columns {
        cell(canvas, column, (x, y), column.heading, style);
        x += column.width + 1;
    }
    let minutes = format!(
        "LAST {}",
        printer::age(jiff::SignedDuration::from_secs(scene.span.into()))
    );
    let place = match shown < all {
        true => format!("  {}-{} of {all}", first + 1, first + shown),
        false => String::new(),
    };
    let minutes = minutes + &place;
    canvas.put_within(x, y, table.timeline, &minutes, style);
    if table.why > 0 {
        canvas.put(x + table.timeline + 1, y, "WAITS FOR", style);
    }
}

fn cell(canvas: &mut Canvas<'_>, column: &PetColumn, (x, y): (u16, u16), text: &str, style: Style) {
    let shift = match column.right {
        true => column.width.saturating_sub(canvas.length(text)),
        false => 0,
    };
    canvas.put_within(x + shift, y, column.width - shift, text, style);
}

fn pet(scene: &Scene, canvas: &mut Canvas<'_>, table: &PetTable, pod: &PetRow, y: u16) {
    let is_chosen = scene.chosen == Some(Chosen::Pet(key_of(pod)));
    let lamp = canvas.of(pod.state);
    if is_chosen {
        let bold = canvas.bold();
        canvas.put(0, y, ">", bold);
    }
    canvas.put(1, y, pod.state.symbol(canvas.theme.ascii), lamp);
    let mut x = 3;
    for column in &table.columns {
        let style = match column.heading {
            "PET" => canvas.bold(),
            "STATUS" => lamp,
            "R" if pod.restarts > 0 => canvas.warning(false),
            _ => canvas.plain(),
        };
        cell(canvas, column, (x, y), &(column.text)(scene, pod), style);
        x += column.width + 1;
    }
    timeline(scene, canvas, pod, (x, y), table.timeline);
    let why = pod.why.as_deref().unwrap_or_default();
    if canvas.length(why) <= table.why {
        canvas.put(x + table.timeline + 1, y, why, lamp);
    }
}

fn timeline(scene: &Scene, canvas: &mut Canvas<'_>, pod: &PetRow, (x, y): (u16, u16), width: u16) {
    if width < TIMELINE.0 {
        return;
    }
    let seconds = f64::from(scene.span) / f64::from(width);
    let parts = scene
        .timeline
        .parts(&key_of(pod), scene.now, seconds, width.into());
    for (x, lamp) in (x..).zip(parts) {
        if let Some(lamp) = lamp {
            canvas.put(x, y, stroke(lamp, canvas.theme.ascii), canvas.of(lamp));
        }
    }
}

/// Returns how a part of the time is drawn, so that also without colours the states differ.
const fn stroke(lamp: Lamp, ascii: bool) -> &'static str {
    match (lamp, ascii) {
        (Lamp::Ready, false) => "━",
        (Lamp::Ready, true) => "=",
        (Lamp::Starting, false) => "─",
        (Lamp::Starting, true) => "-",
        (Lamp::NotReady, false) => "┄",
        (Lamp::NotReady, true) => ":",
        (Lamp::Failing | Lamp::Stopping | Lamp::Done | Lamp::Gone, _) => lamp.symbol(ascii),
    }
}
