//! The built-in image `petset/hello`: a small HTTP server that shows a pet's name and peers.
//!
//! It exists so that a demo needs nothing but petset: name, ordinal, address, peers, and a count
//! of visits in the pet's volume, which outlives the pet.

use std::env;
use std::fs;
use std::io::{self, BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use crate::role::Role;

/// The port where neither an argument nor `PORT` names another.
const PORT: u16 = 8080;
/// A client that says nothing for so long is left alone.
const PATIENCE: Duration = Duration::from_secs(5);

/// Serves until it is ended. The first argument, else `PORT`, is the port.
pub(crate) fn run(arguments: &[std::ffi::OsString]) -> ExitCode {
    let named = arguments
        .first()
        .and_then(|port| port.to_str())
        .map(str::to_owned);
    let named = named.or_else(|| env::var("PORT").ok());
    let Ok(port) = named.map_or(Ok(PORT), |port| port.parse()) else {
        return fail("the port is not a number between 0 and 65535");
    };
    let ip = variable("POD_IP", "127.0.0.1");
    match TcpListener::bind((ip.as_str(), port)) {
        Ok(listener) => serve(&listener),
        Err(error) => fail(&format!("cannot listen on {ip}:{port}: {error}")),
    }
}

fn fail(message: &str) -> ExitCode {
    let _ = writeln!(io::stderr(), "petset/hello: {message}");
    ExitCode::FAILURE
}

fn serve(listener: &TcpListener) -> ExitCode {
    if let Ok(address) = listener.local_addr() {
        let name = variable("POD_NAME", "hello");
        let _ = writeln!(io::stdout(), "{name} listens on http://{address}/");
    }
    for stream in listener.incoming() {
        // One visitor that goes away in the middle is no reason to end.
        let _ = stream.and_then(answer);
    }
    ExitCode::SUCCESS
}

fn answer(stream: TcpStream) -> io::Result<()> {
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    let mut reader = BufReader::with_capacity(1024, &stream);
    let mut request = String::new();
    reader.read_line(&mut request)?;
    let mut header = String::new();
    while reader.read_line(&mut header)? > 2 {
        header.clear();
    }
    let mut words = request.split(' ');
    let (method, path) = (words.next(), words.next().unwrap_or("/"));
    let (status, body) = match (method, path) {
        (Some("GET" | "HEAD"), "/healthz") => ("200 OK", "ok\n".to_owned()),
        (Some("GET" | "HEAD"), "/") => ("200 OK", greeting()),
        (Some("GET" | "HEAD"), _) => ("404 Not Found", "try / or /healthz\n".to_owned()),
        _ => ("405 Method Not Allowed", "only GET\n".to_owned()),
    };
    let shown = if method == Some("HEAD") { "" } else { &body };
    write!(
        &stream,
        "HTTP/1.1 {status}\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Length: {}\r\n\
         Connection: close\r\n\r\n{shown}",
        body.len()
    )
}

fn greeting() -> String {
    let name = variable("POD_NAME", "nobody");
    let ordinal = variable("PETSET_ORDINAL", "0");
    let (set, ip) = (
        variable("PETSET_SET", "no set"),
        variable("POD_IP", "127.0.0.1"),
    );
    let peers = peers();
    let peers = if peers.is_empty() {
        "none yet"
    } else {
        peers.trim_end()
    };
    let peers = peers.replace('\n', "\n         ");
    let visits = match count_visit() {
        Some((count, path)) => format!("{count} (kept in {})", path.display()),
        None => "not counted: this pet has no volume".to_owned(),
    };
    format!(
        "Hello from {name}, pet {ordinal} of {set}\naddress: {ip}\npeers:   {peers}\nvisits:  {visits}\n"
    )
}

/// Asks petset for the names of the ready peers, as any other program in a pet would.
fn peers() -> String {
    let asked = Role::Command.command().arg("discover").output();
    asked
        .map(|said| String::from_utf8_lossy(&said.stdout).into_owned())
        .unwrap_or_default()
}

/// Counts a visit in the pet's first volume.
fn count_visit() -> Option<(u64, PathBuf)> {
    let mut mounts: Vec<_> = env::vars_os().filter(|(name, _)| is_mount(name)).collect();
    mounts.sort_unstable();
    let path = PathBuf::from(mounts.into_iter().next()?.1).join("visits");
    let before = fs::read_to_string(&path)
        .ok()
        .and_then(|text| text.trim().parse().ok());
    let count = before.unwrap_or(0_u64) + 1;
    fs::write(&path, format!("{count}\n")).ok()?;
    Some((count, path))
}

fn is_mount(name: &std::ffi::OsStr) -> bool {
    name.to_str()
        .is_some_and(|name| name.starts_with("PETSET_MOUNT_"))
}

fn variable(name: &str, otherwise: &str) -> String {
    env::var(name).unwrap_or_else(|_| otherwise.to_owned())
}
