//! Addresses as names: `1.0.5.127.in-addr.arpa`, and nibbles below `ip6.arpa`.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

const V4: &str = "in-addr.arpa";
const V6: &str = "ip6.arpa";

/// What a name below `in-addr.arpa` or `ip6.arpa` stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Arpa {
    Address(IpAddr),
    /// The first labels of addresses: such a name exists, but is no address.
    Part,
    /// Not an address at all.
    Nonsense,
}

/// Returns the name at which an address is looked up.
pub(super) fn name_of(ip: IpAddr) -> String {
    match ip {
        IpAddr::V4(ip) => {
            let [a, b, c, d] = ip.octets();
            format!("{d}.{c}.{b}.{a}.{V4}")
        }
        IpAddr::V6(ip) => {
            let mut name = String::with_capacity(72);
            for byte in ip.octets().iter().rev() {
                name.push_str(&format!("{:x}.{:x}.", byte & 15, byte >> 4));
            }
            name + V6
        }
    }
}

/// Reads a name in lower case; `None` where it is in neither zone.
pub(super) fn read(name: &str) -> Option<Arpa> {
    if let Some(labels) = below(name, V4) {
        return Some(read_v4(labels));
    }
    below(name, V6).map(read_v6)
}

/// Returns what precedes `zone` in `name`, without the dot between them.
pub(super) fn below<'a>(name: &'a str, zone: &str) -> Option<&'a str> {
    let rest = name.strip_suffix(zone)?;
    if rest.is_empty() {
        return Some(rest);
    }
    rest.strip_suffix('.')
}

fn read_v4(labels: &str) -> Arpa {
    let octets: Option<Vec<u8>> = split(labels).map(octet).collect();
    match octets.as_deref() {
        Some([a, b, c, d]) => Arpa::Address(Ipv4Addr::new(*a, *b, *c, *d).into()),
        Some(octets) if octets.len() < 4 => Arpa::Part,
        Some(_) | None => Arpa::Nonsense,
    }
}

fn octet(label: &str) -> Option<u8> {
    let plain = label == "0" || !label.starts_with(['0', '+']);
    label.parse().ok().filter(|_| plain)
}

fn read_v6(labels: &str) -> Arpa {
    let nibbles: Option<Vec<u8>> = split(labels).map(nibble).collect();
    match nibbles {
        Some(nibbles) if nibbles.len() == 32 => {
            let bits = nibbles
                .iter()
                .fold(0, |bits, nibble| bits << 4 | u128::from(*nibble));
            Arpa::Address(Ipv6Addr::from_bits(bits).into())
        }
        Some(nibbles) if nibbles.len() < 32 => Arpa::Part,
        Some(_) | None => Arpa::Nonsense,
    }
}

fn nibble(label: &str) -> Option<u8> {
    let mut digits = label.chars();
    let digit = digits.next()?.to_digit(16)?;
    let digit = u8::try_from(digit).ok()?;
    digits.next().is_none().then_some(digit)
}

/// Returns the labels from the right, which is the order of an address.
fn split(labels: &str) -> impl Iterator<Item = &str> {
    labels.rsplit('.').filter(move |_| !labels.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_read_back_from_its_name() {
        for text in ["127.5.1.2", "0.0.0.0", "fd00:77:30::2:9ba6", "::1"] {
            let ip: IpAddr = text.parse().unwrap();
            assert_eq!(read(&name_of(ip)), Some(Arpa::Address(ip)), "{text}");
        }
    }

    #[test]
    fn what_is_no_address_is_told_apart() {
        let read_as = |name: &str| read(name).unwrap();
        assert_eq!(read_as("5.127.in-addr.arpa"), Arpa::Part);
        assert_eq!(read_as("in-addr.arpa"), Arpa::Part);
        assert_eq!(read_as("a.ip6.arpa"), Arpa::Part);
        for name in [
            "256.0.0.10",
            "01.0.0.10",
            "x.0.0.10",
            "1.1.0.0.10",
            "svc1.ns.svc.0.10",
        ] {
            assert_eq!(
                read_as(&format!("{name}.in-addr.arpa")),
                Arpa::Nonsense,
                "{name}"
            );
        }
        assert_eq!(read_as("ab.ip6.arpa"), Arpa::Nonsense);
        assert_eq!(read("xin-addr.arpa"), None);
    }
}
