//! As much of HTTP/1.1 as a probe needs: one GET, its status, redirects on the same host (V44).

use crate::problem::Problem;
use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream, ToSocketAddrs};
use std::time::{Duration, Instant};

use super::isolation::Dialer;
use super::url::{self, Redirect};

/// The most that is read of a head; a longer one is not HTTP that we want to know.
const MOST: usize = 16 << 10;
const REDIRECTS: usize = 10;
/// The statuses whose `Location` is followed.
const REDIRECTING: [u16; 5] = [301, 302, 303, 307, 308];

/// A request to make.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct HttpRequest {
    pub(super) host: String,
    pub(super) port: u16,
    pub(super) path: String,
    pub(super) headers: Vec<(String, String)>,
}

/// The head of a response.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct HttpResponse {
    pub(super) status: u16,
    pub(super) location: Option<String>,
}

/// Makes a request, following redirects that stay on the host; one that leaves it is returned.
pub(super) fn fetch(
    request: &HttpRequest,
    timeout: Duration,
    dialer: Option<&Dialer>,
) -> Result<HttpResponse, Problem> {
    let until = Instant::now() + timeout;
    let mut request = request.clone();
    for _ in 0..REDIRECTS {
        let url = format!("http://{}:{}{}", request.host, request.port, request.path);
        let response =
            once(&request, until, dialer).map_err(|fault| format!("Get {url:?}: {fault}"))?;
        let location = response.location.as_deref();
        match location.and_then(|location| followed(&request, location)) {
            Some(next) if REDIRECTING.contains(&response.status) => request = next,
            _ => return Ok(response),
        }
    }
    Err(Problem::failed(format!(
        "stopped after {REDIRECTS} redirects"
    )))
}

/// Returns the request that a redirect leads to, unless it leads to another host.
fn followed(request: &HttpRequest, location: &str) -> Option<HttpRequest> {
    let Redirect { authority, target } = url::redirect(&request.path, location)?;
    let mut next = request.clone();
    next.path = target;
    if let Some((host, port)) = authority {
        if bare(host) != bare(&request.host) {
            return None;
        }
        next.port = port;
    }
    Some(next)
}

/// Returns an IPv6 address without its brackets, and any other host as it is.
fn bare(host: &str) -> &str {
    host.trim_start_matches('[').trim_end_matches(']')
}

fn once(
    request: &HttpRequest,
    until: Instant,
    dialer: Option<&Dialer>,
) -> Result<HttpResponse, Problem> {
    let mut stream = connect(&request.host, request.port, until, dialer)?;
    let words = |error: std::io::Error| explain(&error);
    stream
        .set_write_timeout(Some(left(until)?))
        .map_err(words)?;
    stream
        .write_all(head_of(request).as_bytes())
        .map_err(words)?;
    let mut head = Vec::new();
    let mut buffer = [0; 1024];
    while !ends(&head) && head.len() < MOST {
        stream.set_read_timeout(Some(left(until)?)).map_err(words)?;
        match stream.read(&mut buffer) {
            Ok(0) => break,
            Ok(length) => head.extend_from_slice(&buffer[..length]),
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(explain(&error).into()),
        }
    }
    parse(&head)
}

fn ends(head: &[u8]) -> bool {
    head.windows(4).any(|bytes| bytes == b"\r\n\r\n") || head.windows(2).any(|it| it == b"\n\n")
}

fn head_of(request: &HttpRequest) -> String {
    let given = |name: &str| {
        request
            .headers
            .iter()
            .find(|it| it.0.eq_ignore_ascii_case(name))
    };
    let mut head = format!("GET {} HTTP/1.1\r\n", request.path);
    let host = format!("{}:{}", request.host, request.port);
    let defaults = [
        ("Host", host.as_str()),
        ("User-Agent", "kube-probe/1.36"),
        ("Accept", "*/*"),
    ];
    for (name, value) in defaults
        .into_iter()
        .filter(|(name, _)| given(name).is_none())
    {
        head.push_str(&format!("{name}: {value}\r\n"));
    }
    for (name, value) in request
        .headers
        .iter()
        .filter(|(_, value)| !value.is_empty())
    {
        head.push_str(&format!("{name}: {value}\r\n"));
    }
    head.push_str("Connection: close\r\n\r\n");
    head
}

fn parse(head: &[u8]) -> Result<HttpResponse, Problem> {
    let text = String::from_utf8_lossy(head);
    let mut lines = text.lines();
    let first = lines.next().unwrap_or_default();
    let status = first
        .strip_prefix("HTTP/1.")
        .and_then(|rest| rest.get(2..5)?.parse().ok());
    let Some(status) = status else {
        return Err(Problem::failed(match first {
            "" => "EOF".to_owned(),
            _ => format!("malformed HTTP response {first:?}"),
        }));
    };
    let mut fields = lines.take_while(|line| !line.is_empty());
    let location = fields.find_map(|line| {
        let (name, value) = line.split_once(':')?;
        let wanted = name.eq_ignore_ascii_case("location");
        wanted.then(|| value.trim().to_owned())
    });
    Ok(HttpResponse { status, location })
}

/// Connects to a TCP port before the time is over.
pub(super) fn connect(
    host: &str,
    port: u16,
    until: Instant,
    dialer: Option<&Dialer>,
) -> Result<TcpStream, Problem> {
    let addresses = (bare(host), port).to_socket_addrs();
    let addresses = addresses.map_err(|error| format!("dial tcp: lookup {host}: {error}"))?;
    let mut fault = format!("dial tcp: lookup {host}: no such host");
    for address in addresses {
        let patience = left(until)?;
        let stream = match dialer {
            Some(dialer) => dialer.connect(address, patience),
            None => TcpStream::connect_timeout(&address, patience),
        };
        match stream {
            Ok(stream) => return Ok(stream),
            Err(error) => fault = refused(address, &error),
        }
    }
    Err(fault.into())
}

fn refused(address: SocketAddr, error: &std::io::Error) -> String {
    if error.kind() == ErrorKind::TimedOut {
        return format!("dial tcp {address}: i/o timeout");
    }
    format!("dial tcp {address}: connect: {}", explain(error))
}

fn left(until: Instant) -> Result<Duration, Problem> {
    let left = until.saturating_duration_since(Instant::now());
    if left.is_zero() {
        return Err(Problem::failed("context deadline exceeded".to_owned()));
    }
    Ok(left)
}

fn explain(error: &std::io::Error) -> String {
    let known = [
        (ErrorKind::ConnectionRefused, "connection refused"),
        (ErrorKind::ConnectionReset, "connection reset by peer"),
        (ErrorKind::WouldBlock, "context deadline exceeded"),
        (ErrorKind::TimedOut, "context deadline exceeded"),
    ];
    let words = known.iter().find(|(kind, _)| *kind == error.kind());
    words.map_or_else(|| error.to_string(), |(_, words)| (*words).to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::TcpListener;

    /// Serves the answers one connection after another and returns the port.
    fn serve(answers: &'static [&'static str]) -> (u16, std::thread::JoinHandle<Vec<String>>) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let server = std::thread::spawn(move || {
            let serve_one = |answer: &&str| {
                let (mut stream, _) = listener.accept().unwrap();
                let mut asked = Vec::new();
                let mut buffer = [0; 512];
                while !ends(&asked) {
                    let length = stream.read(&mut buffer).unwrap();
                    asked.extend_from_slice(&buffer[..length]);
                }
                stream.write_all(answer.as_bytes()).unwrap();
                String::from_utf8(asked).unwrap()
            };
            answers.iter().map(serve_one).collect()
        });
        (port, server)
    }

    fn request(port: u16) -> HttpRequest {
        HttpRequest {
            host: "127.0.0.1".to_owned(),
            port,
            path: "/healthz?x=1".to_owned(),
            headers: vec![("X-Probe".to_owned(), "yes".to_owned())],
        }
    }

    const PATIENCE: Duration = Duration::from_secs(10);

    #[test]
    fn a_get_looks_as_the_kubelets_does() {
        let (port, server) = serve(&["HTTP/1.1 204 No Content\r\nX: y\r\n\r\n"]);
        assert_eq!(fetch(&request(port), PATIENCE, None).unwrap().status, 204);
        let asked = server.join().unwrap().remove(0);
        assert!(
            asked.starts_with("GET /healthz?x=1 HTTP/1.1\r\n"),
            "{asked}"
        );
        for line in [
            "User-Agent: kube-probe/",
            "X-Probe: yes\r\n",
            "Host: 127.0.0.1:",
        ] {
            assert!(asked.contains(line), "{line} in {asked}");
        }
    }

    #[test]
    fn a_redirect_on_the_host_is_followed_and_one_that_leaves_it_is_not() {
        let (port, server) = serve(&[
            "HTTP/1.1 302 Found\r\nLocation: /other\r\n\r\n",
            "HTTP/1.0 500 Oops\r\n\r\n",
        ]);
        assert_eq!(fetch(&request(port), PATIENCE, None).unwrap().status, 500);
        assert!(server.join().unwrap()[1].starts_with("GET /other "));
        for elsewhere in [
            &["HTTP/1.1 302 Found\r\nLocation: http://elsewhere/\r\n\r\n"],
            // Another host of the same scheme, although it looks like a path.
            &["HTTP/1.1 302 Found\r\nLocation: //elsewhere/\r\n\r\n"],
        ] {
            let (port, _server) = serve(elsewhere);
            assert_eq!(fetch(&request(port), PATIENCE, None).unwrap().status, 302);
        }
    }

    #[test]
    fn silence_and_refusal_are_explained() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let silence = fetch(&request(port), Duration::from_millis(50), None)
            .unwrap_err()
            .message;
        assert!(silence.ends_with("context deadline exceeded"), "{silence}");
        drop(listener);
        let refusal = fetch(&request(port), PATIENCE, None).unwrap_err().message;
        assert!(
            refusal.ends_with("connect: connection refused"),
            "{refusal}"
        );
    }
}
