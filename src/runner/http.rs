//! As much of HTTP/1.1 as a probe needs: one GET, its status, redirects on the same host (V44).
//!
//! It is never HTTP/2 over TLS, which the kubelet would speak if a server likes it better.

use crate::problem::Problem;
use std::io::{ErrorKind, Read, Write};
use std::time::Instant;

use super::connection::{Connection, authority, bare, explain};
use super::isolation::Dialer;
use super::tls::TlsConnection;
use super::url::{self, Redirect, Scheme};

/// The most that is read of a head; a longer one is not HTTP that we want to know.
const MOST: usize = 16 << 10;
const REDIRECTS: usize = 10;
/// The statuses whose `Location` is followed.
const REDIRECTING: [u16; 5] = [301, 302, 303, 307, 308];

/// What a request is made for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum HttpPurpose {
    Probe,
    Hook,
}

/// A request to make.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct HttpRequest {
    pub(super) purpose: HttpPurpose,
    pub(super) scheme: Scheme,
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
    /// As much of the body as came together with the head.
    pub(super) body: String,
}

/// Makes a request, following redirects that stay on the host; one that leaves it is returned.
pub(super) fn fetch(
    request: &HttpRequest,
    until: Instant,
    dialer: Option<&Dialer>,
) -> Result<HttpResponse, Problem> {
    let mut request = request.clone();
    for _ in 0..REDIRECTS {
        let server = authority(&request.host, request.port);
        let url = format!("{}://{server}{}", request.scheme.name(), request.path);
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
    let Redirect {
        scheme,
        authority,
        target,
    } = url::redirect(&request.path, location)?;
    let mut next = request.clone();
    next.path = target;
    if let Some(scheme) = scheme {
        next.scheme = scheme;
        // A whole URL says whom it asks.
        next.headers
            .retain(|(name, _)| !name.eq_ignore_ascii_case("host"));
    }
    if let Some((host, port)) = authority {
        if bare(host) != bare(&request.host) {
            return None;
        }
        next.port = port.unwrap_or(next.scheme.port());
    }
    Some(next)
}

fn once(
    request: &HttpRequest,
    until: Instant,
    dialer: Option<&Dialer>,
) -> Result<HttpResponse, Problem> {
    let connection = Connection::open(&request.host, request.port, until, dialer)?;
    match request.scheme {
        Scheme::Http => exchange(connection, request),
        Scheme::Https => exchange(TlsConnection::open(connection, &request.host)?, request),
    }
}

fn exchange(mut stream: impl Read + Write, request: &HttpRequest) -> Result<HttpResponse, Problem> {
    let words = |error: std::io::Error| explain(&error);
    stream
        .write_all(head_of(request).as_bytes())
        .and_then(|()| stream.flush())
        .map_err(words)?;
    let mut head = Vec::new();
    let mut buffer = [0; 1024];
    while !ends(&head) && head.len() < MOST {
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
    let host = authority(&request.host, request.port);
    let agent = match request.purpose {
        HttpPurpose::Probe => "kube-probe/1.36",
        HttpPurpose::Hook => "kube-lifecycle/1.36",
    };
    let defaults = [
        ("Host", host.as_str()),
        ("User-Agent", agent),
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
    let text = text.replace("\r\n", "\n");
    let body = text.split_once("\n\n").map_or("", |(_, body)| body);
    Ok(HttpResponse {
        status,
        location,
        body: body.to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::super::tls::tests::serve_tls;
    use super::*;
    use std::net::TcpListener;
    use std::time::Duration;

    type Server = (u16, std::thread::JoinHandle<Vec<String>>);

    /// Serves the answers one connection after another and returns the port.
    fn serve<const N: usize>(scheme: Scheme, answers: [&str; N]) -> Server {
        let answers = answers.map(str::to_owned);
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let server = std::thread::spawn(move || {
            let serve_one = |answer: &String| {
                let (stream, _) = listener.accept().unwrap();
                match scheme {
                    Scheme::Http => converse(stream, answer),
                    Scheme::Https => converse(serve_tls(stream), answer),
                }
            };
            answers.iter().map(serve_one).collect()
        });
        (port, server)
    }

    fn converse(mut stream: impl Read + Write, answer: &str) -> String {
        let mut asked = Vec::new();
        let mut buffer = [0; 512];
        while !ends(&asked) {
            let length = stream.read(&mut buffer).unwrap();
            asked.extend_from_slice(&buffer[..length]);
        }
        stream.write_all(answer.as_bytes()).unwrap();
        stream.flush().unwrap();
        String::from_utf8(asked).unwrap()
    }

    fn request(port: u16) -> HttpRequest {
        HttpRequest {
            purpose: HttpPurpose::Probe,
            scheme: Scheme::Http,
            host: "127.0.0.1".to_owned(),
            port,
            path: "/healthz?x=1".to_owned(),
            headers: vec![("X-Probe".to_owned(), "yes".to_owned())],
        }
    }

    fn soon() -> Instant {
        Instant::now() + Duration::from_secs(10)
    }

    #[test]
    fn a_get_looks_as_the_kubelets_does() {
        let (port, server) = serve(Scheme::Http, ["HTTP/1.1 204 No Content\r\nX: y\r\n\r\n"]);
        assert_eq!(fetch(&request(port), soon(), None).unwrap().status, 204);
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
        let answers = [
            "HTTP/1.1 302 Found\r\nLocation: /other\r\n\r\n",
            "HTTP/1.0 500 Oops\r\n\r\n",
        ];
        let (port, server) = serve(Scheme::Http, answers);
        assert_eq!(fetch(&request(port), soon(), None).unwrap().status, 500);
        assert!(server.join().unwrap()[1].starts_with("GET /other "));
        for elsewhere in [
            "HTTP/1.1 302 Found\r\nLocation: http://elsewhere/\r\n\r\n",
            "HTTP/1.1 302 Found\r\nLocation: https://elsewhere/\r\n\r\n",
            // Another host of the same scheme, although it looks like a path.
            "HTTP/1.1 302 Found\r\nLocation: //elsewhere/\r\n\r\n",
        ] {
            let (port, _server) = serve(Scheme::Http, [elsewhere]);
            assert_eq!(fetch(&request(port), soon(), None).unwrap().status, 302);
        }
    }

    #[test]
    fn a_probe_by_https_gets_a_status_whatever_the_certificate() {
        let answers = ["HTTP/1.1 200 OK\r\n\r\n", "HTTP/1.1 500 Oops\r\n\r\n"];
        let (port, server) = serve(Scheme::Https, answers);
        let mut secret = request(port);
        secret.scheme = Scheme::Https;
        assert_eq!(fetch(&secret, soon(), None).unwrap().status, 200);
        assert_eq!(fetch(&secret, soon(), None).unwrap().status, 500);
        let asked = server.join().unwrap().remove(0);
        assert!(asked.starts_with("GET /healthz?x=1 HTTP/1.1"), "{asked}");
    }

    #[test]
    fn a_redirect_on_the_host_is_followed_to_https_and_back() {
        let (end, last) = serve(Scheme::Http, ["HTTP/1.1 204 No Content\r\n\r\n"]);
        let to =
            |url: String| format!("HTTP/1.1 307 Temporary Redirect\r\nLocation: {url}\r\n\r\n");
        let (middle, second) = serve(
            Scheme::Https,
            [
                to("/deeper".to_owned()).as_str(),
                &to(format!("http://127.0.0.1:{end}/end")),
            ],
        );
        let (begin, first) = serve(
            Scheme::Http,
            [to(format!("https://127.0.0.1:{middle}/")).as_str()],
        );
        let mut given = request(begin);
        let host = ("host".to_owned(), "web.test".to_owned());
        given.headers.push(host);
        assert_eq!(fetch(&given, soon(), None).unwrap().status, 204);
        assert!(first.join().unwrap()[0].contains("host: web.test\r\n"));
        let asked = second.join().unwrap();
        assert!(asked[0].contains(&format!("Host: 127.0.0.1:{middle}\r\n")));
        assert!(asked[1].starts_with("GET /deeper "));
        assert!(last.join().unwrap()[0].starts_with("GET /end "));
    }

    #[test]
    fn silence_and_refusal_are_explained() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let until = Instant::now() + Duration::from_millis(50);
        let silence = fetch(&request(port), until, None).unwrap_err().message;
        assert!(silence.ends_with("context deadline exceeded"), "{silence}");
        drop(listener);
        let refusal = fetch(&request(port), soon(), None).unwrap_err().message;
        assert!(
            refusal.ends_with("connect: connection refused"),
            "{refusal}"
        );
    }
}
