//! The last log lines of a pet that failed.

use std::fs;
use std::io::{Read, Seek, SeekFrom};
use std::path::Path;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::Pod;

use super::PetLayout;
use super::damage::open_regular;
use crate::model::printer::culprit;

/// How many lines are returned, and how many bytes at the end of the file are searched for them.
const LINES: usize = 10;
const REACH: u64 = 8 << 10;

/// Returns the last lines of the container that keeps a pod from being ready.
///
/// The files may still hold the log of an earlier pod of the same name: a container that has not
/// run in this one has no last lines.
pub(crate) fn last_words(files: &PetLayout, pod: &Pod) -> Vec<String> {
    let Some(container) = culprit(pod) else {
        return Vec::new();
    };
    let last = container.last_state.as_ref();
    let last = last.and_then(|state| state.terminated.as_ref());
    let ran_before = last.is_some_and(|end| end.container_id.is_some());
    if container.container_id.is_none() && !ran_before {
        return Vec::new();
    }
    let lines = tail(&files.log(&container.name));
    let previous = files.previous_log(&container.name);
    if lines.is_empty() && ran_before && container.restart_count > 0 && is_since(&previous, pod) {
        return tail(&previous);
    }
    lines
}

/// Returns whether a log was written to since the pod was made: a container that says nothing
/// leaves the log of an earlier pod where it is.
fn is_since(log: &Path, pod: &Pod) -> bool {
    let written = fs::metadata(log).and_then(|meta| meta.modified());
    let written = written.ok().and_then(|time| Timestamp::try_from(time).ok());
    let made = pod.metadata.creation_timestamp.as_ref();
    written.is_some_and(|written| made.is_none_or(|made| written >= made.0))
}

/// Returns the last lines of a file; none when it cannot be read.
fn tail(path: &Path) -> Vec<String> {
    let read = || -> std::io::Result<Vec<u8>> {
        let mut file = open_regular(path)?;
        let length = file.metadata()?.len();
        file.seek(SeekFrom::Start(length.saturating_sub(REACH)))?;
        let mut bytes = Vec::new();
        file.take(REACH).read_to_end(&mut bytes)?;
        Ok(bytes)
    };
    let bytes = read().unwrap_or_default();
    let text = String::from_utf8_lossy(&bytes);
    let lines: Vec<&str> = text
        .lines()
        .filter(|line| !line.trim().is_empty())
        .collect();
    let last = lines.len().saturating_sub(LINES);
    lines[last..]
        .iter()
        .map(|line| (*line).to_owned())
        .collect()
}

#[cfg(test)]
mod tests {
    use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

    use super::*;

    #[test]
    fn the_log_of_an_earlier_pod_is_not_what_a_silent_one_said() {
        let dir = tempfile::tempdir().unwrap();
        let log = dir.path().join("c.previous.log");
        std::fs::write(&log, "the earlier pod\n").unwrap();
        let mut pod = Pod::default();
        let made = |second| Some(Time(Timestamp::from_second(second).unwrap()));
        let written = 1_000_000;
        let time = std::time::UNIX_EPOCH + std::time::Duration::from_secs(written);
        fs::File::options()
            .append(true)
            .open(&log)
            .unwrap()
            .set_modified(time)
            .unwrap();
        pod.metadata.creation_timestamp = made(999_999);
        assert!(is_since(&log, &pod));
        pod.metadata.creation_timestamp = made(1_000_001);
        assert!(!is_since(&log, &pod));
        assert!(!is_since(&dir.path().join("none"), &pod));
    }

    #[test]
    fn the_last_words_are_a_few_whole_lines() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("c.log");
        assert!(tail(&path).is_empty());
        let lines: Vec<String> = (0..5000).map(|line| format!("line {line}")).collect();
        std::fs::write(&path, lines.join("\n")).unwrap();
        assert_eq!(tail(&path), lines[4990..]);
    }
}
