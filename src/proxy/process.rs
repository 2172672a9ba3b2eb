//! The life of the proxy: as a process of its own on the host, and as a thread in the network
//! process.

use std::ffi::OsString;
use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, bail};

use super::engine::Engine;
use super::follow::ServiceFollower;
use super::log::log;
use super::report::DetourReport;
use crate::model::address::Block;
use crate::problem::{Result, report};
use crate::relay;
use crate::role;
use crate::store::{Attempt, Layout, Lock, Store};

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
    let layout = store.layout();
    let _lock = take_over(layout)?;
    relay::raise_file_limit();
    let mut services = ServiceFollower::new(layout.clone())?;
    let mut report = DetourReport::new(layout.clone());
    let mut engine = Engine::new(&services).context("cannot begin to wait")?;
    loop {
        if let Some(desired) = services.news()? {
            engine.adjust(desired);
            report.publish(&engine.detours());
        }
        if services.is_over() {
            return Ok(());
        }
        engine.turn().context("cannot wait")?;
    }
}

/// Serves in the private network that this thread lives in, as long as the process does.
///
/// Detours are not published: nothing else listens in that network, so there are none.
pub(crate) fn serve_inside(layout: Layout, block: Block) {
    relay::raise_file_limit();
    let serve = || -> Result<()> {
        let mut services = ServiceFollower::new(layout)?.inside(block);
        let mut engine = Engine::new(&services).context("cannot begin to wait")?;
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
