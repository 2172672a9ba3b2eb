//! What a key does: it moves in the view, or asks petset for something.

#![expect(
    clippy::wildcard_enum_match_arm,
    reason = "in each mode most keys mean nothing"
)]

use super::draw::{HELP, first_line};
use super::keys::KeyPress;
use super::scene::{Chosen, InputMode, PageShown, Scene};
use crate::cli::top::snapshot::WorkloadRow;

/// The seconds that a timeline may show.
const SPANS: [u32; 7] = [30, 60, 120, 300, 600, 1800, 3600];

/// What is to be done beside the view.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Deed {
    Nothing,
    Quit,
    Suspend,
    Redraw,
    /// Run petset with these words in a namespace, and show what it says.
    Run(String, Vec<String>),
    /// The same, with the whole terminal.
    Lend(String, Vec<String>),
    /// Fill the page.
    Fill,
    /// Show each step for a second, or no longer.
    Slow,
}

/// Takes a key. The screen has this many lines.
pub(super) fn press(scene: &mut Scene, key: KeyPress, height: u16) -> Deed {
    scene.answer = None;
    match key {
        KeyPress::Interrupt => return Deed::Quit,
        KeyPress::Suspend => return Deed::Suspend,
        KeyPress::Redraw => return Deed::Redraw,
        KeyPress::Char(_)
        | KeyPress::Up
        | KeyPress::Down
        | KeyPress::PageUp
        | KeyPress::PageDown
        | KeyPress::Home
        | KeyPress::End
        | KeyPress::Enter
        | KeyPress::Escape
        | KeyPress::Backspace
        | KeyPress::Tab => {}
    }
    match std::mem::replace(&mut scene.mode, InputMode::Watch) {
        InputMode::Watch => watch(scene, key),
        InputMode::Filter => filter(scene, key),
        InputMode::Scale {
            namespace,
            name,
            typed,
        } => scale(scene, key, (namespace, name), typed),
        InputMode::Ask { namespace, words } => match key {
            KeyPress::Char('y' | 'Y') => Deed::Run(namespace, words),
            _ => Deed::Nothing,
        },
        InputMode::Page(page) => turn(scene, key, page, usize::from(height.saturating_sub(2))),
    }
}

fn watch(scene: &mut Scene, key: KeyPress) -> Deed {
    match key {
        KeyPress::Char('q') => return Deed::Quit,
        KeyPress::Down | KeyPress::Char('j') => scene.step(1),
        KeyPress::Up | KeyPress::Char('k') => scene.step(-1),
        KeyPress::PageDown => scene.step(10),
        KeyPress::PageUp => scene.step(-10),
        KeyPress::Home | KeyPress::Char('g') => scene.step(isize::MIN),
        KeyPress::End | KeyPress::Char('G') => scene.step(isize::MAX),
        KeyPress::Tab => scene.switch(),
        KeyPress::Escape => {
            scene.filter.clear();
            scene.choose_something();
        }
        KeyPress::Char('/') => scene.mode = InputMode::Filter,
        KeyPress::Char('s') => return Deed::Slow,
        KeyPress::Char('+' | '=') => scene.span = next_span(scene.span, true),
        KeyPress::Char('-') => scene.span = next_span(scene.span, false),
        KeyPress::Char('?' | 'h') => {
            scene.mode = InputMode::Page(PageShown {
                title: "petset top".to_owned(),
                namespace: String::new(),
                words: Vec::new(),
                lines: HELP.lines().map(str::to_owned).collect(),
                top: Some(0),
            });
        }
        KeyPress::Char(letter) => return of_letter(scene, letter),
        KeyPress::Enter => return of_letter(scene, 'd'),
        _ => {}
    }
    Deed::Nothing
}

fn next_span(span: u32, more: bool) -> u32 {
    match more {
        true => SPANS.into_iter().find(|it| *it > span),
        false => SPANS.into_iter().rfind(|it| *it < span),
    }
    .unwrap_or(span)
}

/// Does what a letter says to what is chosen.
fn of_letter(scene: &mut Scene, letter: char) -> Deed {
    let words = |words: &[&str]| words.iter().map(|it| (*it).to_owned()).collect::<Vec<_>>();
    let (namespace, target) = match &scene.chosen {
        Some(Chosen::Workload((namespace, name))) => (namespace.clone(), name.clone()),
        Some(Chosen::Pet((namespace, name))) => (namespace.clone(), format!("pod/{name}")),
        None => return Deed::Nothing,
    };
    let is_pet = matches!(scene.chosen, Some(Chosen::Pet(_)));
    let page = |title: &str, words: Vec<String>, top| {
        InputMode::Page(PageShown {
            title: format!("{title} {target}"),
            namespace: namespace.clone(),
            words,
            lines: Vec::new(),
            top,
        })
    };
    let target = target.as_str();
    match letter {
        'l' => scene.mode = page("logs", words(&["logs", target, "--tail", "1000"]), None),
        'e' => {
            // Sets and pets have their own names as targets, others their kinds too.
            scene.mode = page("events", words(&["events", target]), None);
        }
        'd' => scene.mode = page("describe", words(&["describe", target]), Some(0)),
        'x' if is_pet => {
            return Deed::Lend(
                namespace.clone(),
                words(&["exec", "-it", target, "--", "sh"]),
            );
        }
        'K' if is_pet => scene.mode = ask(&namespace, words(&["kill", target])),
        'r' => scene.mode = ask(&namespace, words(&["restart", target, "--no-wait"])),
        'S' | 'p' | 'u' | 'z' => return of_workload(scene, letter),
        _ => return Deed::Nothing,
    }
    match matches!(scene.mode, InputMode::Page(_)) {
        true => Deed::Fill,
        false => Deed::Nothing,
    }
}

fn ask(namespace: &str, words: Vec<String>) -> InputMode {
    InputMode::Ask {
        namespace: namespace.to_owned(),
        words,
    }
}

/// Does what a letter says to the workload that is chosen, or that a pet belongs to.
fn of_workload(scene: &mut Scene, letter: char) -> Deed {
    let Some(row) = scene.chosen_workload().cloned() else {
        scene.answer = Some((false, "it belongs to no workload".to_owned()));
        return Deed::Nothing;
    };
    let WorkloadRow {
        namespace, name, ..
    } = row;
    let held = row
        .note
        .as_deref()
        .is_some_and(|note| note.contains("paused"));
    let rollout = |verb: &str, waits: bool| {
        let words = ["rollout", verb, name.as_str()].into_iter();
        let words = words.chain(waits.then_some("--no-wait"));
        ask(&namespace, words.map(str::to_owned).collect())
    };
    scene.mode = match letter {
        'S' => InputMode::Scale {
            namespace,
            name,
            typed: String::new(),
        },
        'p' => rollout("promote", true),
        'u' => rollout("undo", true),
        _ if held => rollout("resume", true),
        _ => rollout("pause", false),
    };
    Deed::Nothing
}

fn filter(scene: &mut Scene, key: KeyPress) -> Deed {
    match key {
        KeyPress::Enter => return Deed::Nothing,
        KeyPress::Escape => scene.filter.clear(),
        KeyPress::Backspace => drop(scene.filter.pop()),
        KeyPress::Char(letter) => scene.filter.push(letter),
        _ => {}
    }
    if key != KeyPress::Escape {
        scene.mode = InputMode::Filter;
    }
    scene.choose_something();
    Deed::Nothing
}

fn scale(
    scene: &mut Scene,
    key: KeyPress,
    (namespace, name): (String, String),
    mut typed: String,
) -> Deed {
    match key {
        KeyPress::Escape => return Deed::Nothing,
        KeyPress::Enter if !typed.is_empty() => {
            let words = ["scale", &name, "--replicas", &typed, "--no-wait"];
            return Deed::Run(namespace, words.map(str::to_owned).to_vec());
        }
        KeyPress::Char(digit @ '0'..='9') if typed.len() < 5 => typed.push(digit),
        KeyPress::Backspace => drop(typed.pop()),
        _ => {}
    }
    scene.mode = InputMode::Scale {
        namespace,
        name,
        typed,
    };
    Deed::Nothing
}

/// Moves within a page, or leaves it.
fn turn(scene: &mut Scene, key: KeyPress, mut page: PageShown, room: usize) -> Deed {
    let (first, last) = (
        first_line(&page, room),
        page.lines.len().saturating_sub(room),
    );
    let to = match key {
        KeyPress::Escape | KeyPress::Char('q' | '?') => return Deed::Nothing,
        KeyPress::Down | KeyPress::Char('j') | KeyPress::Enter => first + 1,
        KeyPress::Up | KeyPress::Char('k') => first.saturating_sub(1),
        KeyPress::PageDown | KeyPress::Char(' ') => first + room,
        KeyPress::PageUp => first.saturating_sub(room),
        KeyPress::Home | KeyPress::Char('g') => 0,
        KeyPress::End | KeyPress::Char('G') => last,
        _ => first,
    };
    // At the end of a log or list of events, what is added is shown.
    let stays = to >= last && !page.words.is_empty() && page.words[0] != "describe";
    page.top = (!stays).then_some(to.min(last));
    scene.mode = InputMode::Page(page);
    Deed::Nothing
}
