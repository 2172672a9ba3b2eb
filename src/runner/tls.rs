//! TLS as a probe speaks it: any certificate will do (V44).

use std::io::{self, ErrorKind, Read, Write};
use std::net::IpAddr;
use std::sync::{Arc, OnceLock};

use rustls::client::Resumption;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::ring;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{ClientConfig, ClientConnection, DigitallySignedStruct, Error, SignatureScheme};

use super::connection::{self, Connection};
use crate::problem::Problem;

/// The complaint about a server that does not speak TLS but HTTP.
pub(super) const NOT_TLS: &str = "http: server gave HTTP response to HTTPS client";

/// A connection that is encrypted; it says goodbye when it is dropped.
#[derive(Debug)]
pub(super) struct TlsConnection(rustls::StreamOwned<ClientConnection, Overheard>);

impl TlsConnection {
    /// Agrees with the server on a key.
    pub(super) fn open(connection: Connection, host: &str) -> Result<Self, Problem> {
        let session = ClientConnection::new(config()?, server_name(host)).map_err(complaint)?;
        let opening = Vec::new();
        let socket = Overheard {
            connection,
            opening,
        };
        let mut stream = rustls::StreamOwned::new(session, socket);
        while stream.conn.is_handshaking() {
            if let Err(error) = stream.conn.complete_io(&mut stream.sock) {
                return Err(refused(&stream.sock.opening, error).into());
            }
        }
        Ok(Self(stream))
    }
}

impl Read for TlsConnection {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.0.read(buffer).map_err(worded)
    }
}

impl Write for TlsConnection {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.write(bytes).map_err(worded)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush().map_err(worded)
    }
}

impl Drop for TlsConnection {
    fn drop(&mut self) {
        self.0.conn.send_close_notify();
        let _ = self.0.flush();
    }
}

/// Keeps the first bytes that came, which tell what a server speaks that does not speak TLS.
#[derive(Debug)]
struct Overheard {
    connection: Connection,
    opening: Vec<u8>,
}

impl Read for Overheard {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let length = self.connection.read(buffer)?;
        let missing = b"HTTP/".len() - self.opening.len();
        self.opening
            .extend_from_slice(&buffer[..length.min(missing)]);
        Ok(length)
    }
}

impl Write for Overheard {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.connection.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.connection.flush()
    }
}

/// Returns what all connections have in common. Nothing of one is kept for the next.
fn config() -> Result<Arc<ClientConfig>, Problem> {
    static CONFIG: OnceLock<Arc<ClientConfig>> = OnceLock::new();
    if let Some(config) = CONFIG.get() {
        return Ok(Arc::clone(config));
    }
    let builder = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()));
    let builder = builder
        .with_safe_default_protocol_versions()
        .map_err(complaint)?;
    let mut config = builder
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(AnyCertificate))
        .with_no_client_auth();
    config.resumption = Resumption::disabled();
    Ok(Arc::clone(CONFIG.get_or_init(|| Arc::new(config))))
}

/// Returns the name that the server is told; it is told none where the host is an address.
fn server_name(host: &str) -> ServerName<'static> {
    let host = connection::bare(host).trim_end_matches('.');
    ServerName::try_from(host.to_owned())
        .unwrap_or(ServerName::IpAddress(IpAddr::from([0, 0, 0, 0]).into()))
}

/// Puts what went wrong with TLS into words.
fn worded(error: io::Error) -> io::Error {
    let fault = error.get_ref().and_then(|error| error.downcast_ref());
    match fault {
        Some(fault) => io::Error::other(words(fault)),
        None => error,
    }
}

/// Returns why there is no agreement with a server that began with `opening`.
fn refused(opening: &[u8], error: io::Error) -> String {
    let is_network = !matches!(
        error.kind(),
        ErrorKind::InvalidData | ErrorKind::UnexpectedEof
    );
    match opening {
        _ if is_network => connection::explain(&error),
        [] => "EOF".to_owned(),
        b"HTTP/" => NOT_TLS.to_owned(),
        // The types of TLS records.
        [0x14..=0x17, ..] => connection::explain(&worded(error)),
        _ => "tls: first record does not look like a TLS handshake".to_owned(),
    }
}

fn complaint(error: Error) -> Problem {
    Problem::failed(words(&error))
}

fn words(error: &Error) -> String {
    let Error::AlertReceived(alert) = error else {
        return format!("tls: {error}");
    };
    let mut words = String::from("remote error: tls:");
    for letter in format!("{alert:?}").chars() {
        if letter.is_ascii_uppercase() {
            words.push(' ');
        }
        words.push(letter.to_ascii_lowercase());
    }
    words
}

/// Takes every certificate, and believes what is signed with it.
#[derive(Debug)]
struct AnyCertificate;

impl ServerCertVerifier for AnyCertificate {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn verify_tls13_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    /// Returns what the kubelet offers.
    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        vec![
            SignatureScheme::RSA_PSS_SHA256,
            SignatureScheme::ECDSA_NISTP256_SHA256,
            SignatureScheme::ED25519,
            SignatureScheme::RSA_PSS_SHA384,
            SignatureScheme::RSA_PSS_SHA512,
            SignatureScheme::RSA_PKCS1_SHA256,
            SignatureScheme::RSA_PKCS1_SHA384,
            SignatureScheme::RSA_PKCS1_SHA512,
            SignatureScheme::ECDSA_NISTP384_SHA384,
            SignatureScheme::ECDSA_NISTP521_SHA512,
            SignatureScheme::RSA_PKCS1_SHA1,
            SignatureScheme::ECDSA_SHA1_Legacy,
        ]
    }
}

#[cfg(test)]
pub(super) mod tests {
    use rustls::pki_types::PrivateKeyDer;
    use rustls::pki_types::pem::PemObject;
    use rustls::{ServerConfig, ServerConnection, StreamOwned};
    use std::net::{TcpListener, TcpStream};
    use std::time::{Duration, Instant};

    use super::*;

    /// Serves TLS on a connection, with a certificate that nobody has signed.
    pub(in crate::runner) fn serve_tls(
        stream: TcpStream,
    ) -> StreamOwned<ServerConnection, TcpStream> {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/testdata/tls");
        let certificate = CertificateDer::from_pem_file(format!("{folder}/cert.pem")).unwrap();
        let key = PrivateKeyDer::from_pem_file(format!("{folder}/key.pem")).unwrap();
        let builder = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()));
        let builder = builder.with_safe_default_protocol_versions().unwrap();
        let builder = builder.with_no_client_auth();
        let config = builder.with_single_cert(vec![certificate], key).unwrap();
        StreamOwned::new(ServerConnection::new(Arc::new(config)).unwrap(), stream)
    }

    /// Returns why there is no TLS with a server that answers the first bytes with `answer`.
    fn refusal(answer: &'static [u8]) -> String {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let server = std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            stream.read_exact(&mut [0; 64]).unwrap();
            stream.write_all(answer).unwrap();
            stream.shutdown(std::net::Shutdown::Write).unwrap();
            // Until the other end has read it all, or it might see a reset instead.
            let _ = stream.read_to_end(&mut Vec::new());
        });
        let until = Instant::now() + Duration::from_secs(30);
        let connection = Connection::open("127.0.0.1", port, until, None).unwrap();
        let problem = TlsConnection::open(connection, "127.0.0.1").unwrap_err();
        server.join().unwrap();
        problem.message
    }

    #[test]
    fn a_server_that_does_not_speak_tls_is_told_from_one_that_refuses() {
        assert_eq!(refusal(b"HTTP/1.0 400 Bad Request\r\n\r\n"), NOT_TLS);
        let no_record = "tls: first record does not look like a TLS handshake";
        assert_eq!(refusal(b"SSH-2.0-OpenSSH_10\r\n"), no_record);
        let alert = b"\x15\x03\x03\x00\x02\x02\x28";
        assert_eq!(refusal(alert), "remote error: tls: handshake failure");
        assert_eq!(refusal(b""), "EOF");
    }

    #[test]
    fn a_server_is_told_names_but_no_addresses() {
        let name = |host: &str| match server_name(host) {
            ServerName::DnsName(name) => name.as_ref().to_owned(),
            ServerName::IpAddress(_) | _ => String::new(),
        };
        let cases = [
            ("web.test.", "web.test"),
            ("[::1]", ""),
            ("127.0.0.1", ""),
            ("not a name", ""),
        ];
        for (host, told) in cases {
            assert_eq!(name(host), told, "{host}");
        }
    }
}
