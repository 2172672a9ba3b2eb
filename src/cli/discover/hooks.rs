//! Commands that are run when the peers change, as by peer-finder (F03-F07).

use std::io::Write;
use std::net::IpAddr;
use std::ops::ControlFlow;
use std::process::{Command, ExitStatus, Stdio};

use anyhow::Context;

use crate::problem::{Kind, Problem, Result};
use crate::sorted::SortedSet;

/// The hook to run next, and the list that the last one got.
#[derive(Debug)]
pub(super) struct Hooks {
    next: HookCommand,
    /// The hook after `next`; `None` where the program ends after it.
    after: Option<String>,
    last: SortedSet<String>,
}

/// The address of the own pet, passed in environment variables as by later versions of peer-finder
/// (F08).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct OwnAddress {
    /// Its name in the list: the DNS name, or the address.
    pub(super) listed: String,
    pub(super) ip: Option<IpAddr>,
}

impl OwnAddress {
    fn variables(&self) -> Vec<(&'static str, String)> {
        let kind = |ip: IpAddr| if ip.is_ipv4() { "IPv4" } else { "IPv6" };
        let listed_as = self.listed.parse().map_or("DNS", kind);
        let mut variables = vec![
            ("HOST_ADDRESS", self.listed.clone()),
            ("HOST_ADDRESS_TYPE", listed_as.to_owned()),
        ];
        if let Some(ip) = self.ip {
            variables.push(("POD_IP", ip.to_string()));
            variables.push(("POD_IP_TYPE", kind(ip).to_owned()));
        }
        variables
    }
}

#[derive(Debug)]
struct HookCommand {
    option: &'static str,
    command: String,
}

impl Hooks {
    /// Returns the hooks, if there are any. Without `on_start`, `on_change` gets the first list
    /// too.
    pub(super) fn new(on_start: Option<String>, on_change: Option<String>) -> Option<Self> {
        let hook = |option| move |command| HookCommand { option, command };
        let first = on_start.map(hook("--on-start"));
        let next = first.or_else(|| on_change.clone().map(hook("--on-change")))?;
        Some(Self {
            next,
            after: on_change,
            last: SortedSet::new(),
        })
    }

    /// Runs the next hook if the names have changed; breaks after the last one.
    pub(super) fn take(
        &mut self,
        names: SortedSet<String>,
        own: &OwnAddress,
    ) -> Result<ControlFlow<()>> {
        if names == self.last {
            return Ok(ControlFlow::Continue(()));
        }
        self.next.call(&names, own)?;
        self.last = names;
        let Some(command) = &self.after else {
            return Ok(ControlFlow::Break(()));
        };
        self.next = HookCommand {
            option: "--on-change",
            command: command.clone(),
        };
        Ok(ControlFlow::Continue(()))
    }
}

impl HookCommand {
    /// Runs the command with the sorted names on its standard input, one a line.
    fn call(&self, names: &SortedSet<String>, own: &OwnAddress) -> Result<()> {
        let context = || format!("cannot run the {} command {:?}", self.option, self.command);
        let mut shell = Command::new("sh");
        shell.arg("-c").arg(&self.command).stdin(Stdio::piped());
        shell.envs(own.variables());
        let mut child = shell.spawn().with_context(context)?;
        if let Some(mut input) = child.stdin.take() {
            let list: String = names.iter().map(|name| format!("{name}\n")).collect();
            // A command may ignore its input.
            let _ = input.write_all(list.as_bytes());
        }
        let status = child.wait().with_context(context)?;
        if status.success() {
            return Ok(());
        }
        let how = ending(status);
        let message = format!("the {} command {:?} {how}", self.option, self.command);
        Err(Problem::new(Kind::Failed, message).into())
    }
}

fn ending(status: ExitStatus) -> String {
    match status.code() {
        Some(code) => format!("failed with exit code {code}"),
        None => format!("failed: {status}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn host() -> OwnAddress {
        let listed = "web-0.web.default.svc.cluster.local".to_owned();
        let ip = "10.7.1.1".parse().ok();
        OwnAddress { listed, ip }
    }

    fn names(list: &str) -> SortedSet<String> {
        list.split(' ').map(str::to_owned).collect()
    }

    fn hooks(dir: &std::path::Path, start: bool, change: bool) -> Hooks {
        let log = dir.join("log");
        let command = |word: &str| format!("echo {word} $(cat) >> {}", log.display());
        let hook = |wanted: bool, word| wanted.then(|| command(word));
        Hooks::new(hook(start, "start"), hook(change, "change")).unwrap()
    }

    #[test]
    fn the_first_list_starts_and_each_other_list_changes() {
        let dir = tempfile::tempdir().unwrap();
        let mut hooks = hooks(dir.path(), true, true);
        for list in ["b a", "a b", "a b c"] {
            assert!(hooks.take(names(list), &host()).unwrap().is_continue());
        }
        let log = std::fs::read_to_string(dir.path().join("log")).unwrap();
        assert_eq!(log, "start a b\nchange a b c\n");
    }

    #[test]
    fn on_start_alone_ends_after_it_and_on_change_alone_never() {
        let dir = tempfile::tempdir().unwrap();
        assert!(
            hooks(dir.path(), true, false)
                .take(names("a"), &host())
                .unwrap()
                .is_break()
        );
        assert!(
            hooks(dir.path(), false, true)
                .take(names("a"), &host())
                .unwrap()
                .is_continue()
        );
        let log = std::fs::read_to_string(dir.path().join("log")).unwrap();
        assert_eq!(log, "start a\nchange a\n");
    }

    #[test]
    fn a_hook_is_told_of_its_own_pet() {
        let told = |host: OwnAddress| {
            let words = host.variables().into_iter();
            let words: Vec<String> = words
                .map(|(name, value)| format!("{name}={value}"))
                .collect();
            words.join(" ")
        };
        let by_name = "HOST_ADDRESS=web-0.web.default.svc.cluster.local HOST_ADDRESS_TYPE=DNS \
                       POD_IP=10.7.1.1 POD_IP_TYPE=IPv4";
        assert_eq!(told(host()), by_name);
        let listed = "10.7.1.1".to_owned();
        let by_address = "HOST_ADDRESS=10.7.1.1 HOST_ADDRESS_TYPE=IPv4 POD_IP=10.7.1.1 \
                          POD_IP_TYPE=IPv4";
        assert_eq!(told(OwnAddress { listed, ..host() }), by_address);
    }

    #[test]
    fn a_hook_that_fails_ends_the_program() {
        let mut hooks = Hooks::new(Some("exit 3".to_owned()), None).unwrap();
        let failed = hooks.take(names("a"), &host()).unwrap_err().to_string();
        assert_eq!(
            failed,
            "the --on-start command \"exit 3\" failed with exit code 3"
        );
    }
}
