//! The view that fills the terminal and changes with what it shows.
//!
//! [`scene::Scene`] is what is on the screen, as values; [`draw`] makes a picture of it; what a key
//! does to it is in [`deeds`]. The loop in [`watching`] waits, reads and shows.

mod ansi;
mod cache;
mod deeds;
mod draw;
mod keys;
mod record;
mod replay;
mod scene;
mod screen;
#[cfg(test)]
mod tests;
mod timeline;
mod watching;

use std::env;
use std::path::Path;

use jiff::Timestamp;
use rustix::stdio::{stdin, stdout};
use rustix::termios::{isatty, tcgetwinsize};

use super::snapshot::Snapshot;
use crate::cli::shared::session::Session;
use crate::problem::Result;
use cache::Cache;
use record::Recorder;
use scene::{Scene, Theme};
use screen::Screen;
use watching::Watching;

/// What the view is to be like.
pub(super) struct LiveOptions<'a> {
    pub(super) all_namespaces: bool,
    pub(super) slow: bool,
    pub(super) record: Option<&'a Path>,
}

/// Returns whether there is a terminal on which the view can be shown.
pub(super) fn is_possible() -> bool {
    let dumb = env::var("TERM").is_ok_and(|term| term == "dumb");
    isatty(stdin()) && isatty(stdout()) && !dumb
}

/// Shows the view until the user leaves it.
pub(super) fn show(session: &Session, options: &LiveOptions<'_>) -> Result<()> {
    let cache = Cache::open(session, options.all_namespaces)?;
    let snapshot = Snapshot::of(&cache.seen, Timestamp::now());
    let scene = Scene::new(snapshot, theme(), options.all_namespaces);
    let recorder = options.record.map(|path| {
        let size = tcgetwinsize(stdout()).map_or((80, 24), |size| (size.ws_col, size.ws_row));
        Recorder::create(path, size)
    });
    let watching = Watching::new(session, cache, scene, options.slow);
    let mut screen = Screen::take(recorder.transpose()?)?;
    watching.run(&mut screen)
}

/// Returns what the terminal can show, as the environment tells.
fn theme() -> Theme {
    let set = |name: &str| env::var(name).ok().filter(|value| !value.is_empty());
    let locale = ["LC_ALL", "LC_CTYPE", "LANG"].into_iter().find_map(set);
    let locale = locale.unwrap_or_default().to_lowercase();
    Theme {
        ascii: !locale.contains("utf-8") && !locale.contains("utf8"),
        color: set("NO_COLOR").is_none(),
    }
}
