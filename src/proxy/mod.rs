//! The proxy: it offers each `ClusterIP` service at its virtual address and spreads what comes
//! over the pets that are ready.
//!
//! It is a process of its own, one a state directory, so that connections outlive a supervisor
//! that is killed. It is told nothing: it follows the records that the supervisor publishes, and
//! while nobody publishes any it goes on with the last ones. A second one, started by the next
//! supervisor, waits behind its lock and takes over when it dies. One thread serves all
//! connections; bytes are copied through one buffer, and only what a slow receiver does not take
//! at once is kept.
//!
//! It listens on the host. In a private network a thread of the process that holds it does the
//! same with the addresses that hold there ([`serve_inside`]).

mod balance;
mod datagrams;
mod detour;
mod engine;
mod follow;
pub(super) mod link;
mod plan;
mod socket;
#[cfg(test)]
mod tests;

use std::ffi::OsString;
use std::io::{self, Write};
use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, bail};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use self::engine::Engine;
use self::follow::Follow;
use crate::model::address::Block;
use crate::problem::{Result, report};
use crate::role;
use crate::store::{Attempt, Layout, Lock, Store};

pub(crate) use self::detour::Detours;

/// How long one waits for the proxy before it to die: as long as it takes.
const BEHIND_ANOTHER: Duration = Duration::from_secs(100 * 365 * 24 * 3600);

/// Serves a state directory, the only argument, until its supervisor ends with nothing left to
/// run.
pub(crate) fn run(arguments: &[OsString]) -> ExitCode {
    let [root] = arguments else {
        return ExitCode::from(2);
    };
    let served = role::leave_caller()
        .context("cannot leave the working directory")
        .and_then(|()| serve(Path::new(root)));
    match served {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            log(&report(&error));
            ExitCode::FAILURE
        }
    }
}

/// Writes to the supervisor's log.
fn log(line: &str) {
    let _ = writeln!(
        io::stderr(),
        "{} proxy: {}",
        jiff::Timestamp::now(),
        line.trim_end()
    );
}

fn serve(root: &Path) -> Result<()> {
    let store = Store::open(root)?;
    let layout = store.layout();
    let _lock = take_over(layout)?;
    open_many();
    let mut follow = Follow::new(layout.clone())?;
    let mut engine = Engine::new(&follow).context("cannot begin to wait")?;
    loop {
        if let Some(wishes) = follow.news()? {
            engine.adjust(wishes);
            follow.publish(&engine.detours());
        }
        if follow.is_over() {
            return Ok(());
        }
        engine.turn().context("cannot wait")?;
    }
}

/// Serves in the private network that this thread lives in, as long as the process does.
///
/// Which ports could not be had is not told: nobody else is in that network.
pub(crate) fn serve_inside(layout: Layout, block: Block) {
    open_many();
    let serve = || -> Result<()> {
        let mut follow = Follow::new(layout)?.seen_inside(block);
        let mut engine = Engine::new(&follow).context("cannot begin to wait")?;
        loop {
            if let Some(wishes) = follow.news()? {
                engine.adjust(wishes);
            }
            engine.turn().context("cannot wait")?;
        }
    };
    if let Err(error) = serve() {
        log(&report(&error));
    }
}

fn take_over(layout: &Layout) -> Result<Lock> {
    let path = layout.proxy_lock();
    let holder = std::process::id().to_string();
    let attempt = Lock::wait(&path, &holder, BEHIND_ANOTHER)
        .with_context(|| format!("cannot lock {}", path.display()))?;
    match attempt {
        Attempt::Locked(lock) => Ok(lock),
        Attempt::Busy(holder) => bail!("{} is held by {holder}", path.display()),
    }
}

/// Allows as many connections as the system lets this process have.
fn open_many() {
    let limit = getrlimit(Resource::Nofile);
    let most = Rlimit {
        current: limit.maximum,
        ..limit
    };
    let _ = setrlimit(Resource::Nofile, most);
}
