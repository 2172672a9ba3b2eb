//! Commands that mean processes of their container, but reach others where that has no process
//! namespace of its own: by the number 1, or by name.

use k8s_openapi::api::core::v1::{Container, ExecAction, LifecycleHandler, Probe};

use super::ignored::{Cause, Ignored};

const NOT_ITS_OWN: Cause = Cause::unless_isolated(
    "names process 1: only with isolation full is that the container's main process, otherwise it \
     is this machine's first",
);

const ALL_OF_A_NAME: Cause = Cause::unless_isolated(
    "kills processes by name: only with isolation full are these the pod's, otherwise all of this \
     machine that its user may signal",
);

/// Notes the commands of a container that are meant for its own processes alone.
pub(super) fn of_container(ignored: &mut Ignored<'_>, path: &str, container: &Container) {
    let mut note = |field: &str, words: Option<&Vec<String>>| {
        let line = words.map(|words| words.join(" ")).unwrap_or_default();
        let path = format!("{path}.{field}");
        ignored.note(&path, NOT_ITS_OWN, names_process_one(&line));
        ignored.note(&path, ALL_OF_A_NAME, kills_by_name(&line));
    };
    note("command", container.command.as_ref());
    note("args", container.args.as_ref());
    let command = |exec: Option<&ExecAction>| exec.and_then(|exec| exec.command.clone());
    let of_hook = |hook: &LifecycleHandler| command(hook.exec.as_ref());
    let of_probe = |probe: &Probe| command(probe.exec.as_ref());
    let hooks = container.lifecycle.as_ref();
    let post_start = hooks.and_then(|hooks| hooks.post_start.as_ref());
    let pre_stop = hooks.and_then(|hooks| hooks.pre_stop.as_ref());
    for (field, words) in [
        ("lifecycle.postStart.exec", post_start.and_then(of_hook)),
        ("lifecycle.preStop.exec", pre_stop.and_then(of_hook)),
        (
            "livenessProbe.exec",
            container.liveness_probe.as_ref().and_then(of_probe),
        ),
        (
            "readinessProbe.exec",
            container.readiness_probe.as_ref().and_then(of_probe),
        ),
        (
            "startupProbe.exec",
            container.startup_probe.as_ref().and_then(of_probe),
        ),
    ] {
        note(&format!("{field}.command"), words.as_ref());
    }
}

/// Returns whether a command line looks into `/proc/1`, or sends it a signal.
fn names_process_one(line: &str) -> bool {
    let looked_into = line.split("/proc/1").skip(1);
    let mut looked_into =
        looked_into.filter(|rest| !rest.starts_with(|it: char| it.is_alphanumeric()));
    looked_into.next().is_some() || commands(line).any(signals_process_one)
}

/// Returns whether a command line runs a program that signals all processes of a name.
fn kills_by_name(line: &str) -> bool {
    let by_name = |word| matches!(program(word), "killall" | "killall5" | "pkill");
    commands(line).any(|command| words(command).any(by_name))
}

fn commands(line: &str) -> impl Iterator<Item = &str> {
    line.split([';', '|', '&', '\n', '(', ')', '`'])
}

fn words(command: &str) -> impl Iterator<Item = &str> {
    let quoted = |letter: char| matches!(letter, '"' | '\'' | '{' | '}');
    command
        .split_ascii_whitespace()
        .map(move |word| word.trim_matches(quoted))
}

/// Returns the name of the program that a word runs.
fn program(word: &str) -> &str {
    word.rsplit('/').next().unwrap_or(word)
}

fn signals_process_one(command: &str) -> bool {
    let words = words(command).skip_while(|word| program(word) != "kill");
    let rest: Vec<&str> = words.skip(1).collect();
    let names_signal = |before: &str| matches!(before, "-s" | "-n");
    let mut places = (0..rest.len()).filter(|at| rest[*at] == "1");
    places.any(|at| at == 0 || !names_signal(rest[at - 1]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn process_one_is_found_where_it_is_meant() {
        for line in [
            "kill -s INT 1",
            "sh -c sleep 5; /bin/kill -HUP 1",
            "sh -c \"kill -TERM 1\"",
            "kill -9 7 1",
            "sh -c echo x >> /proc/1/fd/1",
            "cat /proc/1/environ",
            "ls /proc/1",
        ] {
            assert!(names_process_one(line), "{line}");
        }
        for line in [
            "kill -s 1 7",
            "kill -1 7",
            "kill 11",
            "sleep 1",
            "pkill -n 1",
            "cat /proc/11/environ",
            "kill 7; sleep 1",
        ] {
            assert!(!names_process_one(line), "{line}");
        }
    }

    #[test]
    fn programs_that_kill_by_name_are_found_where_they_are_run() {
        for line in [
            "sh -c sleep 1; killall -9 tail; sleep 1",
            "/usr/bin/pkill -f server",
            "sh -c \"pidof x && killall x\"",
        ] {
            assert!(kills_by_name(line), "{line}");
        }
        for line in ["kill 7", "cat /etc/killall.conf", "sh -c 'echo no-pkill'"] {
            assert!(!kills_by_name(line), "{line}");
        }
    }
}
