use std::io::Read;
use std::net::{TcpListener, TcpStream};
use std::thread::JoinHandle;

use super::frame::{ACK, END_HEADERS, END_STREAM, bytes};
use super::*;

const PATIENCE: Duration = Duration::from_secs(30);

/// Serves one call with these frames, and returns the frames of the call.
fn serve(answer: Vec<u8>) -> (GrpcRequest, JoinHandle<Vec<Frame>>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let server = std::thread::spawn(move || answer_one(&listener, &answer));
    let request = GrpcRequest {
        host: "127.0.0.1".to_owned(),
        port,
        service: "shop".to_owned(),
    };
    (request, server)
}

fn answer_one(listener: &TcpListener, answer: &[u8]) -> Vec<Frame> {
    let mut stream = listener.accept().unwrap().0;
    let mut greeting = [0; GREETING.len()];
    stream.read_exact(&mut greeting).unwrap();
    assert_eq!(greeting, *GREETING);
    stream
        .write_all(&bytes(FrameType::Settings, 0, 0, &[]))
        .unwrap();
    let mut frames = Vec::new();
    while !frames.iter().any(ends_call) {
        frames.push(Frame::read(&mut stream).unwrap());
    }
    stream.write_all(answer).unwrap();
    stream.shutdown(std::net::Shutdown::Write).unwrap();
    let rest = rest_of(&mut stream);
    frames.into_iter().chain(rest).collect()
}

fn ends_call(frame: &Frame) -> bool {
    frame.kind == FrameType::Data && frame.has(END_STREAM)
}

fn rest_of(stream: &mut TcpStream) -> Vec<Frame> {
    std::iter::from_fn(|| Frame::read(stream).ok()).collect()
}

/// Returns a block of headers, none of which is packed.
fn block(headers: &[(&str, &str)]) -> Vec<u8> {
    let mut block = Vec::new();
    for (name, value) in headers {
        block.push(0);
        hpack::write_text(&mut block, name);
        hpack::write_text(&mut block, value);
    }
    block
}

fn head() -> Vec<u8> {
    let block = block(&[(":status", "200"), ("content-type", "application/grpc")]);
    bytes(FrameType::Headers, END_HEADERS, CALL, &block)
}

fn trailers(headers: &[(&str, &str)]) -> Vec<u8> {
    let flags = END_HEADERS | END_STREAM;
    bytes(FrameType::Headers, flags, CALL, &block(headers))
}

/// Returns a whole answer that tells this health.
fn healthy(health: u8) -> Vec<u8> {
    let message = bytes(FrameType::Data, 0, CALL, &[0, 0, 0, 0, 2, 0x08, health]);
    [head(), message, trailers(&[("grpc-status", "0")])].concat()
}

fn outcome(answer: Vec<u8>) -> String {
    let (request, server) = serve(answer);
    let outcome = check(&request, PATIENCE, None);
    server.join().unwrap();
    outcome.map_or_else(|problem| problem.message, |()| "healthy".to_owned())
}

#[test]
fn a_service_is_healthy_when_it_says_that_it_is_serving() {
    let (request, server) = serve(healthy(1));
    assert_eq!(check(&request, PATIENCE, None), Ok(()));
    let frames = server.join().unwrap();
    let call: Vec<&Frame> = frames.iter().filter(|it| it.stream == CALL).collect();
    let head = String::from_utf8_lossy(&call[0].payload);
    for text in [
        "/grpc.health.v1.Health/Check",
        "kube-probe/",
        "grpc-timeout",
    ] {
        assert!(head.contains(text), "{head}");
    }
    assert_eq!(call[1].payload, b"\0\0\0\0\x06\x0a\x04shop");
    assert_eq!(question(""), [0; 5]);
}

#[test]
fn what_a_service_answers_else_is_told_in_the_words_of_the_kubelet() {
    let failed = "error: health rpc probe failed: rpc error: code";
    let none = "error: this server does not implement the grpc health protocol \
                (grpc.health.v1.Health)";
    let refused = |code: &str, words: &str| {
        let kind = ("content-type", "application/grpc");
        let status = (":status", "200");
        trailers(&[status, kind, ("grpc-status", code), ("grpc-message", words)])
    };
    let page = trailers(&[(":status", "404"), ("content-type", "text/html")]);
    let reset = bytes(FrameType::Reset, 0, CALL, &[0, 0, 0, 2]);
    let draining = bytes(FrameType::GoAway, 0, 0, &[0; 8]);
    let cases = [
        (healthy(1), "healthy".to_owned()),
        (
            healthy(2),
            "service unhealthy (responded with \"NOT_SERVING\")".to_owned(),
        ),
        (
            healthy(0),
            "service unhealthy (responded with \"UNKNOWN\")".to_owned(),
        ),
        (
            healthy(9),
            "service unhealthy (responded with \"9\")".to_owned(),
        ),
        (
            refused("5", "unknown%20service%3A \u{e4}"),
            format!("{failed} = NotFound desc = unknown service: \u{e4}"),
        ),
        (
            refused("12", "no such method"),
            format!("{none}: no such method"),
        ),
        (
            refused("4", "late"),
            "timeout: health rpc did not complete within 30s".to_owned(),
        ),
        (
            refused("77", "100%"),
            format!("{failed} = Code(77) desc = 100%"),
        ),
        (
            page,
            format!(
                "{none}: unexpected HTTP status code received from server: 404 (Not Found); transport: received unexpected content-type \"text/html\""
            ),
        ),
        (
            reset,
            format!(
                "{failed} = Internal desc = stream terminated by RST_STREAM with error code: 2"
            ),
        ),
        (
            draining,
            format!("{failed} = Unavailable desc = the connection is draining"),
        ),
        (
            Vec::new(),
            format!("{failed} = Unavailable desc = error reading from server: EOF"),
        ),
        (
            [head(), trailers(&[("grpc-status", "0")])].concat(),
            format!(
                "{failed} = Internal desc = cardinality violation: received no response message from non-server-streaming RPC"
            ),
        ),
    ];
    for (answer, words) in cases {
        assert_eq!(outcome(answer), words);
    }
}

#[test]
fn an_answer_may_come_in_any_pieces_among_other_frames() {
    let ping = bytes(FrameType::Ping, 0, 0, b"12345678");
    let window = [0, 0, 4, 8, 0, 0, 0, 0, 0, 0, 0, 1, 0].to_vec();
    let headers = block(&[
        (":status", "200"),
        ("content-type", "application/grpc+proto"),
    ]);
    // Padded by two bytes, and with a priority.
    let first = [&[2, 0, 0, 0, 0, 0], &headers[..9], &[0, 0]].concat();
    let first = bytes(FrameType::Headers, 0x08 | 0x20, CALL, &first);
    let second = bytes(FrameType::Continuation, END_HEADERS, CALL, &headers[9..]);
    let early = bytes(
        FrameType::Headers,
        END_HEADERS,
        CALL,
        &block(&[(":status", "103")]),
    );
    let message = [0, 0, 0, 0, 7, 0x12, 3, 1, 2, 3, 0x08, 1];
    let data = |part: &[u8]| bytes(FrameType::Data, 0, CALL, part);
    let end = trailers(&[("grpc-status", "0")]);
    let pieces = [
        window,
        early,
        first,
        second,
        data(&message[..3]),
        ping,
        bytes(FrameType::Settings, 0, 0, &[0, 3, 0, 0, 0, 1]),
        data(&message[3..]),
        end,
    ];
    let (request, server) = serve(pieces.concat());
    assert_eq!(check(&request, PATIENCE, None), Ok(()));
    let frames = server.join().unwrap();
    let thanks = |kind| {
        frames
            .iter()
            .filter(|it| it.kind == kind && it.has(ACK))
            .count()
    };
    assert_eq!(
        (thanks(FrameType::Settings), thanks(FrameType::Ping)),
        (2, 1)
    );
}

#[test]
fn a_server_that_begins_to_listen_within_the_time_of_the_probe_is_reached() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    // The first connection is dropped, the second one is to a server of HTTP/1.
    let server = std::thread::spawn(move || {
        drop(listener.accept().unwrap());
        let (mut stream, _) = listener.accept().unwrap();
        stream
            .write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n")
            .unwrap();
        answer_one(&listener, &healthy(1))
    });
    let request = GrpcRequest {
        host: "127.0.0.1".to_owned(),
        port,
        service: String::new(),
    };
    assert_eq!(check(&request, PATIENCE, None), Ok(()));
    server.join().unwrap();
}

#[test]
fn silence_before_and_after_the_greeting_is_told_apart() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let request = GrpcRequest {
        host: "127.0.0.1".to_owned(),
        port,
        service: String::new(),
    };
    let short = Duration::from_millis(50);
    let words = check(&request, short, None).unwrap_err().message;
    let wanted = format!(
        "timeout: failed to connect service \"127.0.0.1:{port}\" within 0s: \
         context deadline exceeded"
    );
    assert_eq!(words, wanted);
    let late = broken(ErrorKind::WouldBlock.into()).words("1s");
    assert_eq!(late, "timeout: health rpc did not complete within 1s");
}

proptest::proptest! {
    #[test]
    fn whatever_a_server_sends_is_an_answer_or_a_fault(
        pieces in proptest::collection::vec(
            (0_u8..11, 0_u8..64, 0_u32..3, proptest::collection::vec(0_u8.., 0..40)),
            0..12,
        ),
    ) {
        let mut answer = CallAnswer::new();
        for (kind, flags, stream, payload) in pieces {
            let mut bytes = bytes(FrameType::Data, flags, stream, &payload);
            bytes[3] = kind;
            let frame = Frame::read(&mut bytes.as_slice()).unwrap();
            if answer.note(&frame).is_err() {
                return Ok(());
            }
        }
        let _ = answer.health();
    }

    #[test]
    fn whatever_a_block_says_it_stays_small(block in proptest::collection::vec(0_u8.., 0..400)) {
        if let Some(headers) = hpack::HeaderReader::new().read(&block) {
            let size = headers.iter().map(|it| it.0.len() + it.1.len()).sum::<usize>();
            assert!(size <= 64 << 10);
        }
    }
}

#[test]
fn durations_are_written_as_go_does() {
    let cases = [(1, "1s"), (60, "1m0s"), (95, "1m35s"), (3600, "1h0m0s")];
    for (seconds, text) in cases {
        assert_eq!(written(Duration::from_secs(seconds)), text);
    }
}
