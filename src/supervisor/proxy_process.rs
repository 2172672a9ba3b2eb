//! Starting the proxy, and restarting it when it has ended.

use std::io;
use std::time::{Duration, Instant};

use rustix::process::Pid;

use super::launch::background;
use crate::model::BackOff;
use crate::role::Role;
use crate::store::Layout;

/// The delays between starts of a proxy that fails; the first restart is immediate.
const BACK_OFF: BackOff = BackOff {
    start: Duration::from_secs(1),
    cap: Duration::from_secs(60),
};

/// The proxy that this supervisor has started. It waits for the end of an earlier proxy, which may
/// still run.
#[derive(Debug, Default)]
pub(super) struct ProxyProcess {
    child: Option<Pid>,
    failures: u32,
    /// When it was started.
    since: Option<Instant>,
    rests_until: Option<Instant>,
}

impl ProxyProcess {
    pub(super) const fn child(&self) -> Option<Pid> {
        self.child
    }

    /// Returns the time at which the next proxy is started, if the last one has failed.
    pub(super) const fn rests_until(&self) -> Option<Instant> {
        self.rests_until
    }

    /// Notes that the proxy has ended.
    pub(super) fn ended(&mut self) {
        self.child = None;
        // One that has served for a while has not failed.
        if self
            .since
            .is_some_and(|since| since.elapsed() > BACK_OFF.cap)
        {
            self.failures = 0;
        }
        let rest = BACK_OFF.delay(self.failures);
        self.rests_until = (!rest.is_zero()).then(|| Instant::now() + rest);
        self.failures += 1;
    }

    pub(super) fn start(&mut self, layout: &Layout) -> io::Result<()> {
        let mut command = background(layout, Role::Proxy)?;
        self.rests_until = None;
        self.since = Some(Instant::now());
        self.child = Some(Pid::from_child(&command.spawn()?));
        Ok(())
    }
}
