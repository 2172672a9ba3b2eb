//! The checks of probes and hooks: read from their specs, and made over the network (V44, V45).
//!
//! The keeper executes commands itself, for it has to reap them.

use std::time::{Duration, Instant};

use k8s_openapi::api::core::v1 as core;
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;

use super::connection::{Connection, authority};
use super::grpc::{self, GrpcRequest};
use super::http::{self, HttpPurpose, HttpRequest, HttpResponse};
use super::isolation::Dialer;
use super::listener::{Identity, ListenerOwner};
use super::tls;
use super::url::{self, Scheme};
use crate::model::environment::probe_command;
use crate::model::lifecycle::{HookSuccess, ProbeKind, ProbeOutcome};
use crate::problem::Problem;

/// One way to look at a container.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Check {
    Exec(Vec<String>),
    Http(HttpRequest),
    /// Connecting is enough.
    Tcp {
        host: String,
        port: u16,
    },
    Grpc(GrpcRequest),
}

/// Returns the probe of this kind that a container has.
pub(super) fn spec(container: &core::Container, kind: ProbeKind) -> Option<&core::Probe> {
    match kind {
        ProbeKind::Startup => container.startup_probe.as_ref(),
        ProbeKind::Liveness => container.liveness_probe.as_ref(),
        ProbeKind::Readiness => container.readiness_probe.as_ref(),
    }
}

/// Returns how long a probe may take.
pub(super) fn timeout(probe: &core::Probe) -> Duration {
    let seconds = probe.timeout_seconds.and_then(|it| u64::try_from(it).ok());
    Duration::from_secs(seconds.filter(|&it| it > 0).unwrap_or(1))
}

/// Returns the check that a probe makes, or why it cannot be made.
pub(super) fn check(
    probe: &core::Probe,
    container: &core::Container,
    ip: &str,
) -> Result<Check, Problem> {
    if let Some(exec) = &probe.exec {
        let command = exec.command.as_deref().unwrap_or_default();
        return Ok(Check::Exec(probe_command(container, command)));
    }
    if let Some(http) = &probe.http_get {
        return http_check(http, container, ip, HttpPurpose::Probe);
    }
    if let Some(tcp) = &probe.tcp_socket {
        let host = tcp.host.clone().filter(|host| !host.is_empty());
        return Ok(Check::Tcp {
            host: host.unwrap_or_else(|| ip.to_owned()),
            port: number(&tcp.port, container)?,
        });
    }
    let Some(grpc) = &probe.grpc else {
        return Err(Problem::failed("missing probe handler".to_owned()));
    };
    Ok(Check::Grpc(GrpcRequest {
        host: ip.to_owned(),
        port: number(&IntOrString::Int(grpc.port), container)?,
        service: grpc.service.clone().unwrap_or_default(),
    }))
}

/// Returns the check of an HTTP probe or hook.
pub(super) fn http_check(
    http: &core::HTTPGetAction,
    container: &core::Container,
    ip: &str,
    purpose: HttpPurpose,
) -> Result<Check, Problem> {
    let host = http.host.clone().filter(|host| !host.is_empty());
    let host = host.unwrap_or_else(|| ip.to_owned());
    let port = number(&http.port, container)?;
    let scheme = http.scheme.as_deref().and_then(Scheme::named);
    let path = http.path.as_deref().unwrap_or("/");
    let headers = http.http_headers.iter().flatten();
    Ok(Check::Http(HttpRequest {
        purpose,
        scheme: scheme.unwrap_or(Scheme::Http),
        host,
        port,
        path: url::request_target(path),
        headers: headers
            .map(|it| (it.name.clone(), it.value.clone()))
            .collect(),
    }))
}

/// Returns the number of a port that may be given by the name it has in the container.
fn number(port: &IntOrString, container: &core::Container) -> Result<u16, Problem> {
    let number = match port {
        IntOrString::Int(number) => Some(*number),
        IntOrString::String(name) => {
            let mut ports = container.ports.iter().flatten();
            let named = ports.find(|port| port.name.as_deref() == Some(name));
            named.map(|port| port.container_port).or(name.parse().ok())
        }
    };
    let number = number.and_then(|number| u16::try_from(number).ok());
    let words = match port {
        IntOrString::Int(number) => number.to_string(),
        IntOrString::String(name) => name.clone(),
    };
    number
        .filter(|&number| number > 0)
        .ok_or_else(|| Problem::failed(format!("couldn't find port: {words}")))
}

/// The result of a check over the network.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Reply {
    /// All is well: there is a connection, or a service that serves.
    Passed,
    /// The status code of an HTTP response.
    Status(u16),
    /// A redirect that was not followed, and its body.
    Redirected(String),
    /// What a hook asked for by HTTPS was answered by HTTP, at this host and port.
    FellBack(String),
    /// Something answered that is not the pet itself: its reply, and what it is.
    Foreign(Box<Reply>, String),
    /// Nothing answered, for this reason.
    Failed(String),
    /// The check was not made.
    Unchecked(&'static str),
}

impl Reply {
    fn of(response: HttpResponse) -> Self {
        match response.status {
            300..400 => Self::Redirected(response.body),
            status => Self::Status(status),
        }
    }

    /// Returns the outcome of a probe that got this reply.
    pub(super) fn probed(self) -> ProbeOutcome {
        match self {
            Self::Passed | Self::Status(200..300) | Self::FellBack(_) => ProbeOutcome::Success,
            Self::Status(status) => {
                ProbeOutcome::Failure(format!("HTTP probe failed with statuscode: {status}"))
            }
            Self::Redirected(body) => {
                ProbeOutcome::Warning(format!("Probe terminated redirects, Response body: {body}"))
            }
            Self::Foreign(reply, words) => {
                let outcome = reply.probed();
                match outcome == ProbeOutcome::Success {
                    true => ProbeOutcome::Warning(words),
                    false => outcome,
                }
            }
            Self::Failed(reason) => ProbeOutcome::Failure(reason),
            Self::Unchecked(reason) => ProbeOutcome::Error(reason.to_owned()),
        }
    }

    /// Returns the outcome of a hook that got this reply: any HTTP response is a success.
    pub(super) fn hooked(self) -> Result<HookSuccess, Problem> {
        match self {
            Self::Passed | Self::Status(_) | Self::Redirected(..) => Ok(HookSuccess::Plain),
            Self::FellBack(host) => Ok(HookSuccess::FellBack(host)),
            Self::Foreign(reply, _) => reply.hooked(),
            Self::Failed(reason) => Err(Problem::failed(reason)),
            Self::Unchecked(reason) => Err(Problem::failed(reason)),
        }
    }
}

/// Makes a check over the network once. With an identity, what answers has to be the pet itself:
/// another pet is a failure, and a process of no pet is worth a warning.
pub(super) fn look_at_own(
    check: &Check,
    timeout: Duration,
    dialer: Option<&Dialer>,
    identity: Option<&Identity>,
) -> Reply {
    let reply = look(check, timeout, dialer);
    let (host, port) = match check {
        Check::Exec(_) => return reply,
        Check::Tcp { host, port } => (host, *port),
        Check::Http(request) => (&request.host, request.port),
        Check::Grpc(request) => (&request.host, request.port),
    };
    let answered = !matches!(reply, Reply::Failed(_) | Reply::Unchecked(_));
    let foreign = identity.filter(|_| answered);
    let at = format!("{host}:{port} is answered by");
    match foreign.and_then(|identity| identity.foreign(host, port)) {
        None | Some(ListenerOwner::Own) => reply,
        Some(ListenerOwner::OtherPet(pid)) => {
            Reply::Failed(format!("{at} process {pid}, which belongs to another pet"))
        }
        Some(ListenerOwner::Stranger(pid)) => Reply::Foreign(
            Box::new(reply),
            format!("{at} process {pid}, which does not belong to this pet"),
        ),
    }
}

/// Makes a check over the network once.
fn look(check: &Check, timeout: Duration, dialer: Option<&Dialer>) -> Reply {
    let until = Instant::now() + timeout;
    match check {
        Check::Exec(_) => Reply::Unchecked("not a probe over the network"),
        Check::Tcp { host, port } => match Connection::open(host, *port, until, dialer) {
            Ok(_) => Reply::Passed,
            Err(problem) => Reply::Failed(problem.message),
        },
        Check::Grpc(request) => match grpc::check(request, timeout, dialer) {
            Ok(()) => Reply::Passed,
            Err(problem) => Reply::Failed(problem.message),
        },
        Check::Http(request) => match http::fetch(request, until, dialer) {
            Ok(response) => Reply::of(response),
            Err(problem) => {
                let reply = fall_back(request, &problem, until, dialer);
                reply.unwrap_or(Reply::Failed(problem.message))
            }
        },
    }
}

/// Sends the request of a hook once more, without TLS, if that was what went wrong (V52).
fn fall_back(
    request: &HttpRequest,
    problem: &Problem,
    until: Instant,
    dialer: Option<&Dialer>,
) -> Option<Reply> {
    if request.purpose != HttpPurpose::Hook || !problem.message.ends_with(tls::NOT_TLS) {
        return None;
    }
    let mut plain = request.clone();
    plain.scheme = Scheme::Http;
    plain
        .headers
        .retain(|(name, _)| !name.eq_ignore_ascii_case("authorization"));
    http::fetch(&plain, until, dialer).ok()?;
    Some(Reply::FellBack(authority(&plain.host, plain.port)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;
    use std::io::{Read, Write};

    fn checked(probe: serde_json::Value) -> Result<Check, Problem> {
        let probe: core::Probe = serde_json::from_value(probe).unwrap();
        let container = json!({"name": "c", "ports": [{"name": "web", "containerPort": 8080}]});
        let container: core::Container = serde_json::from_value(container).unwrap();
        check(&probe, &container, "127.0.0.9")
    }

    #[test]
    fn a_command_is_expanded_as_the_kubelet_does() {
        let container = json!({"name": "c", "env": [
            {"name": "TWICE", "value": "first"},
            {"name": "TWICE", "value": "last"},
            {"name": "FROM", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}}]});
        let container: core::Container = serde_json::from_value(container).unwrap();
        let probe = json!({"exec": {"command": ["test", "$(TWICE)", "<$(FROM)>", "$(date)"]}});
        let probe: core::Probe = serde_json::from_value(probe).unwrap();
        let words = ["test", "last", "<>", "$(date)"].map(str::to_owned);
        assert_eq!(
            check(&probe, &container, "127.0.0.9"),
            Ok(Check::Exec(words.to_vec()))
        );
    }

    #[test]
    fn any_response_is_a_success_to_a_hook_and_a_good_one_to_a_probe() {
        let failed = "HTTP probe failed with statuscode: 500".to_owned();
        assert_eq!(Reply::Status(204).probed(), ProbeOutcome::Success);
        assert_eq!(Reply::Status(500).probed(), ProbeOutcome::Failure(failed));
        assert_eq!(Reply::Status(500).hooked(), Ok(HookSuccess::Plain));
        let elsewhere = || Reply::Redirected("moved".to_owned());
        let warning = "Probe terminated redirects, Response body: moved".to_owned();
        assert_eq!(elsewhere().probed(), ProbeOutcome::Warning(warning));
        assert_eq!(elsewhere().hooked(), Ok(HookSuccess::Plain));
        let refused = || Reply::Failed("connection refused".to_owned());
        assert!(refused().hooked().is_err() && refused().probed() != ProbeOutcome::Success);
    }

    #[test]
    fn a_hook_by_https_falls_back_to_http_without_its_password() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let server = std::thread::spawn(move || {
            let answer = || {
                let (mut stream, _) = listener.accept().unwrap();
                let mut asked = [0; 4096];
                let length = stream.read(&mut asked).unwrap();
                stream.write_all(b"HTTP/1.0 400 Bad\r\n\r\n").unwrap();
                let _ = stream.shutdown(std::net::Shutdown::Write);
                let _ = stream.read_to_end(&mut Vec::new());
                String::from_utf8_lossy(&asked[..length]).into_owned()
            };
            [answer(), answer(), answer()]
        });
        let check = |purpose| {
            let get = json!({"port": port, "scheme": "HTTPS", "httpHeaders": [
                {"name": "authorization", "value": "secret"}, {"name": "x", "value": "y"}]});
            let get: core::HTTPGetAction = serde_json::from_value(get).unwrap();
            let container = core::Container::default();
            let check = http_check(&get, &container, "127.0.0.1", purpose).unwrap();
            look(&check, Duration::from_secs(30), None)
        };
        let failed = format!("Get \"https://127.0.0.1:{port}/\": {}", tls::NOT_TLS);
        assert_eq!(check(HttpPurpose::Probe), Reply::Failed(failed));
        let there = format!("127.0.0.1:{port}");
        assert_eq!(check(HttpPurpose::Hook), Reply::FellBack(there));
        let [_, _, asked] = server.join().unwrap();
        assert!(asked.contains("User-Agent: kube-lifecycle/"), "{asked}");
        assert!(
            asked.contains("x: y") && !asked.contains("secret"),
            "{asked}"
        );
    }

    #[test]
    fn the_host_is_the_pods_address_and_ports_may_have_names() {
        let tcp = |host: &str, port| {
            let host = host.to_owned();
            Ok(Check::Tcp { host, port })
        };
        assert_eq!(
            checked(json!({"tcpSocket": {"port": "web"}})),
            tcp("127.0.0.9", 8080)
        );
        let elsewhere = json!({"tcpSocket": {"port": 1, "host": "localhost"}});
        assert_eq!(checked(elsewhere), tcp("localhost", 1));
        let health = GrpcRequest {
            host: "127.0.0.9".to_owned(),
            port: 1,
            service: "shop".to_owned(),
        };
        let probe = json!({"grpc": {"port": 1, "service": "shop"}});
        assert_eq!(checked(probe), Ok(Check::Grpc(health)));
        let fault = checked(json!({"tcpSocket": {"port": "nope"}})).unwrap_err();
        assert_eq!(fault.message, "couldn't find port: nope");
        let ok = json!({"httpGet": {"port": 443, "path": "ok#/all", "scheme": "HTTPS"}});
        let Ok(Check::Http(request)) = checked(ok) else {
            panic!("not an HTTP check");
        };
        let (path, scheme) = (request.path.as_str(), request.scheme);
        assert_eq!((path, request.port, scheme), ("/ok", 443, Scheme::Https));
    }
}
