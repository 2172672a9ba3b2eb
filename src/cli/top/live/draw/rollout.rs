//! The workloads, each with its rollout: which pets have the old revision, and which the new one.

use super::canvas::Canvas;
use crate::cli::top::lamp::Lamp;
use crate::cli::top::live::scene::{Chosen, Scene};
use crate::cli::top::snapshot::{PetRow, WorkloadRow};
use crate::model::PetName;

/// The widest name.
const WIDEST: u16 = 28;
/// Below this width revisions are shortened.
const NARROW: u16 = 120;

/// Draws the workloads; returns the line below.
pub(super) fn draw(scene: &Scene, canvas: &mut Canvas<'_>, y: u16, lines: u16) -> u16 {
    let rows = scene.workloads();
    let shown = usize::from(lines - 1);
    let chosen = scene.chosen_workload();
    let at = rows
        .iter()
        .position(|row| Some(*row) == chosen)
        .unwrap_or_default();
    let first = at.saturating_sub(shown.saturating_sub(1));
    let more = rows.len().saturating_sub(shown);
    let more = if more > 0 {
        format!(" ({more} more)")
    } else {
        String::new()
    };
    let bottom = y + lines;
    let y = canvas.heading(y, &format!("WORKLOADS{more}"));
    if rows.is_empty() {
        let faint = canvas.faint();
        canvas.put(
            2,
            y,
            "nothing is there: petset create -f FILE runs something",
            faint,
        );
    }
    let names = rows
        .iter()
        .map(|row| canvas.length(&name(scene, row)))
        .max();
    let names = names.unwrap_or_default().min(WIDEST);
    let counts = rows.iter().map(|row| canvas.length(&row.counts())).max();
    let counts = counts.unwrap_or_default();
    for (y, row) in (y..).zip(rows.into_iter().skip(first).take(shown)) {
        workload(scene, canvas, row, y, (names, counts));
    }
    bottom
}

fn name(scene: &Scene, row: &WorkloadRow) -> String {
    match scene.all_namespaces {
        true => format!("{} {}", row.namespace, row.name),
        false => row.name.clone(),
    }
}

fn workload(
    scene: &Scene,
    canvas: &mut Canvas<'_>,
    row: &WorkloadRow,
    y: u16,
    (names, counts): (u16, u16),
) {
    let own = Chosen::Workload((row.namespace.clone(), row.name.clone()));
    let bold = canvas.bold();
    if scene.chosen.as_ref() == Some(&own) {
        canvas.put(0, y, ">", bold);
    }
    canvas.put_within(2, y, names, &name(scene, row), bold);
    let full = row.wanted.is_none_or(|wanted| row.ready >= wanted);
    let style = if full {
        canvas.good()
    } else {
        canvas.warning(false)
    };
    canvas.put(3 + names, y, &row.counts(), style);
    let pods: Vec<&PetRow> = scene.snapshot.pods_of(row).collect();
    let x = 5 + names + counts;
    // The note needs some room, too.
    let room = canvas.width().saturating_sub(x) * 3 / 5;
    let x = progress(canvas, row, &pods, (x, y), room);
    if let Some(note) = &row.note {
        let style = canvas.warning(pods.iter().any(|pod| pod.state == Lamp::Failing));
        canvas.put(x, y, note, style);
    }
}

/// Draws one symbol a pet; during a rollout the old ones after the old revision, the new ones after
/// the new one. Returns the column after all.
fn progress(
    canvas: &mut Canvas<'_>,
    row: &WorkloadRow,
    pods: &[&PetRow],
    (mut x, y): (u16, u16),
    room: u16,
) -> u16 {
    let is_rolling = row.old_revision.is_some();
    let (new, old): (Vec<&PetRow>, Vec<&PetRow>) = pods
        .iter()
        .copied()
        .partition(|pod| pod.up_to_date || !is_rolling);
    let groups = [
        (row.old_revision.as_deref(), old),
        (row.revision.as_deref().filter(|_| is_rolling), new),
    ];
    let arrow = if canvas.theme.ascii { "->" } else { "→" };
    let lengths = groups.iter().map(|(revision, pods)| {
        let pets = pods.iter().map(|pod| canvas.length(&ordinal(pod)) + 2);
        canvas.length(shortest(canvas, revision.unwrap_or_default())) + pets.sum::<u16>() + 2
    });
    let counted = lengths.sum::<u16>() > room;
    let mut first = true;
    for (revision, pods) in groups {
        if revision.is_none() && pods.is_empty() {
            continue;
        }
        let faint = canvas.faint();
        if !first {
            x = canvas.put(x, y, arrow, faint) + 1;
        }
        first = false;
        if let Some(revision) = revision {
            x = canvas.put(x, y, shortest(canvas, revision), faint) + 1;
        }
        x = match counted {
            true => counts(canvas, &pods, x, y),
            false => symbols(canvas, &pods, x, y),
        };
    }
    x + 1
}

fn symbols(canvas: &mut Canvas<'_>, pods: &[&PetRow], mut x: u16, y: u16) -> u16 {
    for pod in pods {
        let symbol = pod.state.symbol(canvas.theme.ascii);
        let text = format!("{}{symbol}", ordinal(pod));
        x = canvas.put(x, y, &text, canvas.of(pod.state)) + 1;
    }
    x
}

fn counts(canvas: &mut Canvas<'_>, pods: &[&PetRow], mut x: u16, y: u16) -> u16 {
    for lamp in Lamp::ALL {
        let count = pods.iter().filter(|pod| pod.state == lamp).count();
        if count > 0 {
            let symbol = lamp.symbol(canvas.theme.ascii);
            x = canvas.put(x, y, &format!("{count}{symbol}"), canvas.of(lamp)) + 1;
        }
    }
    x
}

/// Returns the ordinal of a pet of a set; nothing of another pod.
fn ordinal(pod: &PetRow) -> String {
    let of_set = pod
        .owner
        .as_ref()
        .is_some_and(|owner| owner.starts_with("sts/"));
    let pet: Option<PetName> = pod.name.parse().ok().filter(|_| of_set);
    pet.map(|pet| pet.ordinal().0.to_string())
        .unwrap_or_default()
}

/// Returns what tells a revision from another: the hash at its end.
pub(super) fn short(revision: &str) -> &str {
    revision.rsplit('-').next().unwrap_or(revision)
}

/// Returns the beginning of that where there is little room.
fn shortest<'r>(canvas: &Canvas<'_>, revision: &'r str) -> &'r str {
    let short = short(revision);
    match canvas.width() < NARROW {
        true => short.get(..5).unwrap_or(short),
        false => short,
    }
}
