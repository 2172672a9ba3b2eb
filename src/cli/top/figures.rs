//! The CPU time and memory that pets use, from `/proc`.

use std::thread;
use std::time::{Duration, Instant};

use k8s_openapi::api::core::v1::Pod;
use serde::Serialize;

use super::read::Readings;
use crate::cli::shared::session::Session;
use crate::sorted::SortedMap;
use crate::store::RunnerRecord;
use crate::sys::proc::{self, TICKS, add_descendants};

/// How long a single look measures.
const ONE_LOOK: Duration = Duration::from_millis(500);

/// What a pet uses.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Usage {
    /// Thousandths of a processor.
    pub(super) cpu_millicores: u64,
    /// Bytes, where what processes share is divided among them.
    pub(super) memory_bytes: u64,
}

/// What pets use, by their uids.
pub(super) type Usages = SortedMap<String, Usage>;

/// Measures what pets use from one look to the next.
#[derive(Debug, Default)]
pub(super) struct Meter {
    before: SortedMap<String, Measured>,
}

/// What was found of a pet at one look.
#[derive(Debug, Clone, Copy)]
struct Measured {
    at: Instant,
    /// The CPU time used so far, in clock ticks.
    ticks: u64,
    memory: u64,
}

impl Meter {
    /// Measures for a moment.
    pub(super) fn measure_once(&mut self, session: &Session, seen: &Readings) -> Usages {
        self.measure(session, &seen.pods, false);
        if self.before.is_empty() {
            return Usages::new();
        }
        thread::sleep(ONE_LOOK);
        self.measure(session, &seen.pods, true)
    }

    /// Returns what pets used since the last look; those that were not seen then are left out. What
    /// the last look found of memory is returned again, unless that is to be measured too.
    pub(super) fn measure(&mut self, session: &Session, pods: &[Pod], memory: bool) -> Usages {
        let mut usages = Usages::new();
        let mut found = SortedMap::new();
        for pod in pods {
            let Some(uid) = &pod.metadata.uid else {
                continue;
            };
            let before = self.before.get(uid).copied();
            let known = before.map(|before| before.memory).filter(|_| !memory);
            let Some(now) = look_at(session, pod, known) else {
                continue;
            };
            if let Some(before) = before {
                usages.insert(uid.clone(), now.since(before));
            }
            found.insert(uid.clone(), now);
        }
        self.before = found;
        usages
    }
}

impl Measured {
    fn since(self, before: Self) -> Usage {
        let ticks = self.ticks.saturating_sub(before.ticks);
        let elapsed = self.at.duration_since(before.at).as_millis();
        let elapsed = u64::try_from(elapsed).unwrap_or(u64::MAX).max(1);
        Usage {
            cpu_millicores: ticks.saturating_mul(1_000_000 / TICKS) / elapsed,
            memory_bytes: self.memory,
        }
    }
}

/// Looks at the processes below a pet's runner; `None` where there are none.
fn look_at(session: &Session, pod: &Pod, memory: Option<u64>) -> Option<Measured> {
    let record = RunnerRecord::read(&session.files(pod)).ok().flatten()?;
    if !record.is_alive() {
        return None;
    }
    let runner = record.runner.pid;
    let mut all = vec![runner];
    add_descendants(&mut all, None);
    let own = &all[1..];
    if own.is_empty() {
        return None;
    }
    // What ended below the runner itself has used time too, but not the runner for its own work.
    let ended = proc::stat(runner).map_or(0, |stat| stat.used_by_ended);
    let stats = own.iter().filter_map(|pid| proc::stat(*pid).ok());
    let used = stats.map(|stat| stat.used + stat.used_by_ended);
    let measure = || own.iter().filter_map(|pid| proc::memory_used(*pid)).sum();
    Some(Measured {
        at: Instant::now(),
        ticks: ended + used.sum::<u64>(),
        memory: memory.unwrap_or_else(measure),
    })
}

/// Formats CPU time as kubectl does: `12m`.
pub(super) fn cpu_text(usage: Option<Usage>) -> Option<String> {
    usage.map(|usage| format!("{}m", usage.cpu_millicores))
}

/// Formats memory as kubectl does: `34Mi`.
pub(super) fn memory_text(usage: Option<Usage>) -> Option<String> {
    usage.map(|usage| format!("{}Mi", usage.memory_bytes >> 20))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_use_of_cpu_is_that_since_the_last_look() {
        let begin = Instant::now();
        let measured = |milliseconds, ticks| Measured {
            at: begin + Duration::from_millis(milliseconds),
            ticks,
            memory: 5 << 20,
        };
        let usage = measured(500, 125).since(measured(0, 100));
        assert_eq!(usage.cpu_millicores, 500);
        let (cpu, memory) = (cpu_text(Some(usage)), memory_text(Some(usage)));
        assert_eq!(
            (cpu.as_deref(), memory.as_deref()),
            (Some("500m"), Some("5Mi"))
        );
        // A process whose end nobody has seen takes its time along.
        assert_eq!(measured(500, 90).since(measured(0, 100)).cpu_millicores, 0);
    }
}
