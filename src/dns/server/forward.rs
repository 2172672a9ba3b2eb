//! Forwarding queries for names of other zones to upstream resolvers. Their replies go back as they
//! are; a truncated one stays truncated.

use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};
use std::io::{self, Read, Write};
use std::net::{IpAddr, SocketAddr, TcpStream, UdpSocket};
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::dns::zone::forwarded::Forwarded;
use crate::store::{self, DnsForward, Settings};

/// How long a resolver may take before the next one is asked.
const PATIENCE: Duration = Duration::from_secs(2);
/// How many queries may be open at once. No client may have more open than it leaves for all.
const MOST: usize = 512;
const LARGEST: usize = 65_535;
const PORT: u16 = 53;

/// Returns whether the queries of the client with this address are forwarded.
pub(crate) type Permission = Arc<dyn Fn(IpAddr) -> bool + Send + Sync>;

/// The resolvers that know names of other zones, and the clients that may use them.
#[derive(Clone)]
pub(super) struct Upstreams {
    pub(super) addresses: Arc<[SocketAddr]>,
    /// Without it every client's queries are forwarded.
    pub(super) permission: Option<Permission>,
}

impl Upstreams {
    /// Returns whether the queries of this client are forwarded.
    pub(super) fn is_open_to(&self, asker: IpAddr) -> bool {
        let may = |permission: &Permission| permission(asker);
        !self.addresses.is_empty() && self.permission.as_ref().is_none_or(may)
    }
}

/// The resolvers, and the queries that they have not answered yet.
#[derive(Debug)]
pub(super) struct Forwarder {
    upstreams: Vec<Upstream>,
    open: HashMap<u16, Open>,
    last: u64,
    random: RandomState,
    buffer: Vec<u8>,
}

#[derive(Debug)]
struct Upstream {
    socket: UdpSocket,
}

#[derive(Debug)]
struct Open {
    forwarded: Forwarded,
    /// Which of the server's sockets the query came by, and its client.
    from: (usize, SocketAddr),
    /// The resolver that was asked last.
    upstream: usize,
    until: Instant,
}

/// A reply: the index of the socket that sends it, its client, and its bytes.
pub(super) type Delivery = (usize, SocketAddr, Vec<u8>);

impl Forwarder {
    /// Gets ready to ask these resolvers, in this order.
    pub(super) fn new(upstreams: &[SocketAddr]) -> Self {
        let connect = |upstream: &SocketAddr| -> io::Result<Upstream> {
            let any: SocketAddr = match upstream.ip() {
                IpAddr::V4(ip) if ip.is_loopback() => ([127, 0, 0, 1], 0).into(),
                IpAddr::V4(_) => ([0, 0, 0, 0], 0).into(),
                IpAddr::V6(_) => ([0_u16; 8], 0).into(),
            };
            let socket = UdpSocket::bind(any)?;
            socket.connect(upstream)?;
            socket.set_nonblocking(true)?;
            Ok(Upstream { socket })
        };
        // One that cannot be reached at all (no route) must not keep the others from use.
        let upstreams: Vec<Upstream> = upstreams.iter().flat_map(connect).collect();
        let largest = if upstreams.is_empty() { 0 } else { LARGEST };
        Self {
            upstreams,
            open: HashMap::new(),
            last: 0,
            random: RandomState::new(),
            buffer: vec![0; largest],
        }
    }

    /// Returns whether there is a resolver.
    pub(super) fn is_on(&self) -> bool {
        !self.upstreams.is_empty()
    }

    /// Returns the sockets by which replies come.
    pub(super) fn sockets(&self) -> impl Iterator<Item = &UdpSocket> {
        self.upstreams.iter().map(|upstream| &upstream.socket)
    }

    /// Returns when the time of the next resolver is up.
    pub(super) fn deadline(&self) -> Option<Instant> {
        self.open.values().map(|open| open.until).min()
    }

    /// Forwards a query; returns a reply at once where no resolver can be asked.
    pub(super) fn ask(
        &mut self,
        forwarded: Forwarded,
        from: (usize, SocketAddr),
    ) -> Option<Delivery> {
        let open = Open {
            forwarded,
            from,
            upstream: 0,
            until: Instant::now() + PATIENCE,
        };
        let asker = from.1.ip();
        let own = self.open.values().filter(|it| it.from.1.ip() == asker);
        if own.count() + self.open.len() >= MOST {
            return Some(give_up(open));
        }
        let mut id = self.number();
        while self.open.contains_key(&id) {
            id = self.number();
        }
        self.send(id, open)
    }

    /// Returns an id that others cannot guess.
    fn number(&mut self) -> u16 {
        self.last += 1;
        let [high, low, ..] = self.random.hash_one(self.last).to_be_bytes();
        u16::from_be_bytes([high, low])
    }

    /// Sends a query to its resolver, or to the next one that can be reached.
    fn send(&mut self, id: u16, mut open: Open) -> Option<Delivery> {
        let mut query = open.forwarded.query.clone();
        query[..2].copy_from_slice(&id.to_be_bytes());
        while let Some(upstream) = self.upstreams.get(open.upstream) {
            // An error may be about an earlier query; it is reported once.
            let sent = upstream.socket.send(&query);
            if sent.or_else(|_| upstream.socket.send(&query)).is_ok() {
                self.open.insert(id, open);
                return None;
            }
            open.upstream += 1;
        }
        Some(give_up(open))
    }

    /// Receives the replies of the resolvers.
    pub(super) fn receive(&mut self) -> Vec<Delivery> {
        let mut deliveries = Vec::new();
        for index in 0..self.upstreams.len() {
            loop {
                let socket = &self.upstreams[index].socket;
                let length = match socket.recv(&mut self.buffer) {
                    Ok(length) => length,
                    Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => {
                        deliveries.extend(self.pass_over(index));
                        continue;
                    }
                    Err(_) => break,
                };
                let Some(&[high, low]) = self.buffer[..length].first_chunk() else {
                    continue;
                };
                let id = u16::from_be_bytes([high, low]);
                let reply = &self.buffer[..length];
                let fits = |open: &Open| open.forwarded.is_answered_by(reply);
                if self.open.get(&id).is_some_and(fits)
                    && let Some(open) = self.open.remove(&id)
                {
                    let reply = open.forwarded.reply(reply);
                    deliveries.push((open.from.0, open.from.1, reply));
                }
            }
        }
        deliveries
    }

    /// Asks the next resolver what one was asked where no process listens.
    fn pass_over(&mut self, upstream: usize) -> Vec<Delivery> {
        let asked = self
            .open
            .iter()
            .filter(|(_, open)| open.upstream == upstream);
        let asked: Vec<u16> = asked.map(|(id, _)| *id).collect();
        self.ask_next(&asked)
    }

    /// Asks the next resolver what takes too long.
    pub(super) fn hurry(&mut self, now: Instant) -> Vec<Delivery> {
        let late = self.open.iter().filter(|(_, open)| open.until <= now);
        let late: Vec<u16> = late.map(|(id, _)| *id).collect();
        self.ask_next(&late)
    }

    fn ask_next(&mut self, ids: &[u16]) -> Vec<Delivery> {
        let mut deliveries = Vec::new();
        for id in ids {
            if let Some(mut open) = self.open.remove(id) {
                open.upstream += 1;
                open.until = Instant::now() + PATIENCE;
                deliveries.extend(self.send(*id, open));
            }
        }
        deliveries
    }
}

fn give_up(open: Open) -> Delivery {
    let reply = open.forwarded.own_reply();
    (open.from.0, open.from.1, reply)
}

/// Forwards a query by TCP, and waits for the reply: for a thread of its own.
pub(super) fn ask_by_tcp(forwarded: &Forwarded, upstreams: &[SocketAddr]) -> Vec<u8> {
    let answers = upstreams.iter().flat_map(|upstream| {
        let mut stream = TcpStream::connect_timeout(upstream, PATIENCE)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.set_write_timeout(Some(PATIENCE))?;
        let length = u16::try_from(forwarded.query.len()).unwrap_or(0);
        stream.write_all(&[&length.to_be_bytes(), forwarded.query.as_slice()].concat())?;
        let mut length = [0; 2];
        stream.read_exact(&mut length)?;
        let mut reply = vec![0; usize::from(u16::from_be_bytes(length))];
        stream.read_exact(&mut reply)?;
        Ok::<_, io::Error>(reply)
    });
    let answer = answers
        .into_iter()
        .find(|reply| forwarded.is_answered_by(reply));
    answer.map_or_else(|| forwarded.own_reply(), |reply| forwarded.reply(&reply))
}

/// Reads the resolvers out of the text of a `resolv.conf`, leaving out this server itself.
fn resolvers(text: &str, own: &[SocketAddr]) -> Vec<SocketAddr> {
    let lines = text.lines().filter_map(|line| {
        let mut words = line.split_whitespace();
        (words.next() == Some("nameserver")).then(|| words.next())?
    });
    let addresses = lines.filter_map(|word| word.parse::<IpAddr>().ok());
    addresses
        .map(|ip| SocketAddr::new(ip, PORT))
        .filter(|address| !own.contains(address))
        .collect()
}

/// Returns the resolvers that a private network forwards to: those of the settings, or the host's.
pub(crate) fn upstreams_of_pets(settings: &Settings, own: SocketAddr) -> Vec<SocketAddr> {
    match &settings.dns_forward {
        DnsForward::To(_) => upstreams(settings, &[own]),
        DnsForward::Switch(_) => of_this_machine(&[own]),
    }
}

fn of_this_machine(own: &[SocketAddr]) -> Vec<SocketAddr> {
    let text = store::read("/etc/resolv.conf".as_ref()).ok().flatten();
    resolvers(&text.unwrap_or_default(), own)
}

/// Returns the resolvers that the settings want queries to be forwarded to.
pub(crate) fn upstreams(settings: &Settings, own: &[SocketAddr]) -> Vec<SocketAddr> {
    match &settings.dns_forward {
        DnsForward::Switch(false) => Vec::new(),
        DnsForward::Switch(true) => of_this_machine(own),
        DnsForward::To(resolvers) => resolvers.iter().map(|resolver| resolver.0).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn resolvers_are_read_from_resolv_conf_without_this_server() {
        let text = "# made by hand\nsearch lan\nnameserver 127.5.0.53\nnameserver 192.0.2.1 # home\n\
                    nameserver fe80::1%eth0\nnameserver 2001:db8::1\noptions ndots:1\n";
        let own: SocketAddr = "127.5.0.53:53".parse().unwrap();
        let found: Vec<String> = resolvers(text, &[own])
            .iter()
            .map(ToString::to_string)
            .collect();
        assert_eq!(found, ["192.0.2.1:53", "[2001:db8::1]:53"]);
    }
}
