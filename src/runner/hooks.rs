//! Lifecycle hooks: the actions of postStart and preStop (V50-V52).

use std::time::Duration;

use k8s_openapi::api::core::v1 as core;

use rustix::process::Signal;

use super::http::HttpPurpose;
use super::probes::{self, Check};
use crate::model::lifecycle::HookKind;
use crate::problem::Problem;
use crate::sys;

/// The action of a hook.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum HookAction {
    Exec(Vec<String>),
    Ask(Check),
    Sleep(Duration),
}

/// Returns the action of a container's hook, or why it fails at once.
pub(super) fn action_of(
    container: &core::Container,
    hook: HookKind,
    ip: &str,
) -> Result<HookAction, Problem> {
    let hooks = container.lifecycle.as_ref();
    let spec = hooks.and_then(|hooks| match hook {
        HookKind::PostStart => hooks.post_start.as_ref(),
        HookKind::PreStop => hooks.pre_stop.as_ref(),
    });
    let Some(spec) = spec else {
        return Err(Problem::failed("invalid handler: there is none".to_owned()));
    };
    if let Some(exec) = &spec.exec {
        return Ok(HookAction::Exec(exec.command.clone().unwrap_or_default()));
    }
    if let Some(http) = &spec.http_get {
        return probes::http_check(http, container, ip, HttpPurpose::Hook).map(HookAction::Ask);
    }
    if let Some(sleep) = &spec.sleep {
        let seconds = sleep.seconds.try_into().unwrap_or(0);
        return Ok(HookAction::Sleep(Duration::from_secs(seconds)));
    }
    Err(Problem::failed(
        "invalid handler: a hook cannot use tcpSocket".to_owned(),
    ))
}

/// Returns the signal that tells a container to end: SIGTERM unless its spec names another.
pub(super) fn stop_signal(container: &core::Container) -> Signal {
    let hooks = container.lifecycle.as_ref();
    let name = hooks.and_then(|hooks| hooks.stop_signal.as_deref());
    name.and_then(sys::signal_named).unwrap_or(Signal::TERM)
}
