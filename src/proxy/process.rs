//! The life of the proxy: as a process of its own on the host, and as a thread in the network
//! process.

use std::ffi::OsString;
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, bail};
use rustix::process::{Signal, set_parent_process_death_signal};

use super::engine::Engine;
use super::follow::ServiceFollower;
use super::lifeline::Lifeline;
use super::log::log;
use super::report::DetourReport;
use crate::model::address::Block;
use crate::problem::{Result, report};
use crate::relay::{self, Shares};
use crate::role;
use crate::store::{self, Attempt, Layout, Lock, Store};

/// How long a proxy waits for the one before it to die: as long as it takes.
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

fn serve(root: &Path) -> Result<()> {
    let store = Store::open(root)?;
    store.expect_own()?;
    let layout = store.layout();
    store::make_nothing_after_removal(layout);
    let _lock = take_over(layout)?;
    relay::raise_file_limit();
    let mut services = ServiceFollower::new(layout.clone())?;
    let mut report = DetourReport::new(layout.clone());
    let mut engine = Engine::new(&services).context("cannot begin to wait")?;
    let mut supervisor = Lifeline::default();
    loop {
        let news = services.news()?;
        let has_news = news.is_some();
        if let Some(desired) = news {
            engine.adjust(desired);
        }
        if engine.take_freed() || has_news {
            report.publish(&engine.detours());
        }
        if !services.serves()
            && let Some(process) = supervisor.look(layout)
        {
            engine.wake_once(process).context("cannot wait")?;
        }
        if services.is_over(&supervisor) {
            return Ok(());
        }
        engine.turn().context("cannot wait")?;
    }
}

/// Serves in the private network that this thread lives in, as long as the process does.
///
/// Detours are not published: nothing else listens in that network, so there are none.
pub(crate) fn serve_inside(layout: Layout, block: Block, shares: Arc<Shares>) {
    let serve = || -> Result<()> {
        let mut services = ServiceFollower::new(layout)?.inside(block);
        let engine = Engine::new(&services).context("cannot begin to wait")?;
        let mut engine = engine.with_shares(shares);
        loop {
            if let Some(desired) = services.news()? {
                engine.adjust(desired);
            }
            engine.turn().context("cannot wait")?;
        }
    };
    if let Err(error) = serve() {
        log(&report(&error));
    }
}

/// Waits for the end of the proxy before this one. A waiting proxy ends with its supervisor, whose
/// successor starts another; one that serves outlives it.
fn take_over(layout: &Layout) -> Result<Lock> {
    let with_parent = set_parent_process_death_signal;
    with_parent(Some(Signal::KILL)).context("cannot watch the supervisor")?;
    let path = layout.proxy_lock();
    let holder = std::process::id().to_string();
    let attempt = Lock::wait(&path, &holder, BEHIND_ANOTHER)
        .with_context(|| format!("cannot lock {}", path.display()))?;
    with_parent(None).context("cannot outlive the supervisor")?;
    match attempt {
        Attempt::Locked(lock) => Ok(lock),
        Attempt::Busy(holder) => bail!("{} is held by {holder}", path.display()),
    }
}
