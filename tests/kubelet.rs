//! Holds what petset shows of a pod against recordings of a real kubelet: statuses in their order,
//! events, the STATUS column, and what `describe` and kubectl's both say.
//!
//! Each test names the level of isolation. A recording is `NAME.json`, what kubectl printed of the
//! same pods `NAME.txt`, both beside the checkout or in the folder that `PETSET_KUBELET_RECORDINGS`
//! names; the manifest `NAME.yaml` is in the folder that `PETSET_POD_MANIFESTS` names. Where they
//! are missing nothing is compared, which is said, unless `PETSET_TEST_REQUIRE` names `kubelet`.
//! `PETSET_KUBELET_RECORDING=NAME` compares one, and says what was seen.
//!
//! What is meant to differ is listed in `kubelet/known.rs`, by its name and with a reason: a listed
//! difference that is none fails the test as much as one that is not listed.

#![allow(clippy::unwrap_used, reason = "a test may panic")]
#![allow(clippy::print_stdout, reason = "what is known to differ is shown")]

#[path = "kubelet/compare.rs"]
mod compare;
#[path = "kubelet/known.rs"]
mod known;
#[path = "kubelet/observe.rs"]
mod observe;
#[path = "kubelet/page.rs"]
mod page;
#[path = "kubelet/recording.rs"]
mod recording;
mod support;
#[path = "kubelet/watch.rs"]
mod watch;
#[path = "kubelet/words.rs"]
mod words;

use std::path::{Path, PathBuf};
use std::time::Instant;

use compare::{Aspect, Difference};
use known::{KNOWN, Known, When};
use recording::Recording;
use support::checks;

/// How many pods are watched at a time: they mostly wait.
const AT_A_TIME: usize = 24;
/// How many are when one that differs has another try.
const AGAIN_AT_A_TIME: usize = 4;

/// How many may have another try.
const EXCUSED: usize = 24;

/// What became of a comparison.
struct Verdict {
    name: String,
    differences: Vec<Difference>,
    seconds: f32,
}

#[test]
fn pods_show_with_isolation_what_a_kubelet_shows_of_them() {
    let Some((recordings, manifests)) = folders() else {
        return;
    };
    let names = names(&recordings);
    let look = |name: &String| verdict(&recordings, &manifests, name);
    let mut verdicts = checks::side_by_side(&names, AT_A_TIME, look);
    // So many at a time are a crowd: what differs in it has one more try in peace, where it is not
    // so much that the crowd is no excuse.
    let doubtful = verdicts.iter().filter(|it| !it.is_expected());
    let again: Vec<String> = doubtful.map(|it| it.name.clone()).collect();
    if again.len() <= EXCUSED {
        verdicts.retain(Verdict::is_expected);
        verdicts.extend(checks::side_by_side(&again, AGAIN_AT_A_TIME, look));
    }
    report(verdicts);
}

impl Verdict {
    /// Returns whether it differs in what it is known to differ in, and in nothing else.
    fn is_expected(&self) -> bool {
        let differs = |aspect| self.differences.iter().any(|it| it.aspect == aspect);
        let mut all = Aspect::ALL.into_iter();
        all.all(|aspect| match known(&self.name, aspect) {
            None => !differs(aspect),
            Some(known) => differs(aspect) || known.when == When::Sometimes,
        })
    }
}

fn verdict(recordings: &Path, manifests: &Path, name: &str) -> Verdict {
    let begin = Instant::now();
    let recording = Recording::read(recordings, name);
    let seen = observe::observe(&recording, &manifests.join(format!("{name}.yaml")));
    if std::env::var_os("PETSET_KUBELET_RECORDING").is_some() {
        println!("{seen}");
    }
    Verdict {
        name: name.to_owned(),
        differences: compare::differences(&recording, &seen),
        seconds: begin.elapsed().as_secs_f32(),
    }
}

fn report(mut verdicts: Vec<Verdict>) {
    verdicts.sort_by(|a, b| a.name.cmp(&b.name));
    let equal = verdicts.iter().filter(|it| it.differences.is_empty());
    println!("{} of {} are equal", equal.count(), verdicts.len());
    let mut slow: Vec<&Verdict> = verdicts.iter().collect();
    slow.sort_by(|a, b| b.seconds.total_cmp(&a.seconds));
    for verdict in slow.iter().take(5) {
        println!("  {:.1} s {}", verdict.seconds, verdict.name);
    }
    let mut faults = Vec::new();
    for Verdict {
        name, differences, ..
    } in &verdicts
    {
        for aspect in Aspect::ALL {
            let mut of_it = differences.iter().filter(|it| it.aspect == aspect);
            let word = aspect.word();
            match (of_it.next(), known(name, aspect)) {
                (None, None) => {}
                (Some(_), Some(Known { why, .. })) => {
                    println!("  known to differ: {name}, {word}: {why}");
                }
                (Some(first), None) => {
                    let said: String = [first].into_iter().chain(of_it).map(indented).collect();
                    faults.push(format!("{name} differs in its {word}:\n{said}"));
                }
                (None, Some(known)) if known.when == When::Sometimes => {}
                (None, Some(_)) => {
                    faults.push(format!(
                        "{name} is listed to differ in its {word}, and does not\n"
                    ));
                }
            }
        }
    }
    let count = faults.len();
    assert!(faults.is_empty(), "{count} surprises\n{}", faults.concat());
}

fn indented(difference: &Difference) -> String {
    let lines = difference.words.lines();
    lines.map(|line| format!("    {line}\n")).collect()
}

fn known(name: &str, aspect: Aspect) -> Option<&'static Known> {
    let mut all = KNOWN.iter();
    all.find(|known| known.names.contains(&name) && known.aspects.contains(&aspect))
}

fn names(recordings: &Path) -> Vec<String> {
    let only = std::env::var("PETSET_KUBELET_RECORDING").ok();
    let mut names = checks::names_in(recordings, "json");
    names.retain(|name| only.as_ref().is_none_or(|only| only == name));
    names
}

/// Returns the folders of the recordings and of the manifests, if they are there.
fn folders() -> Option<(PathBuf, PathBuf)> {
    let recordings = checks::folder("kubelet", "PETSET_KUBELET_RECORDINGS", "kubelet")?;
    let manifests = checks::folder("kubelet", "PETSET_POD_MANIFESTS", "pods")?;
    support::is_installed("kubelet", &["busybox"]).then_some((recordings, manifests))
}
