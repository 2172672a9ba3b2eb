//! Which address was given to which pet: a list that only grows, one line an identity.

use std::fs::OpenOptions;
use std::io::{self, Write};
use std::net::Ipv4Addr;
use std::os::unix::fs::OpenOptionsExt;

use super::files::read;
use super::{Layout, make_dir};

/// One line of the list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Given {
    pub(crate) ip: Ipv4Addr,
    pub(crate) namespace: String,
    pub(crate) pod: String,
}

/// Returns every address that was ever given; a torn last line is left out.
pub(crate) fn addresses_given(layout: &Layout) -> io::Result<Vec<Given>> {
    let text = read(&layout.addresses())?.unwrap_or_default();
    Ok(text.lines().filter_map(parse).collect())
}

fn parse(line: &str) -> Option<Given> {
    let mut words = line.split(' ').map(str::to_owned);
    let (ip, namespace, pod) = (words.next()?, words.next()?, words.next()?);
    // The last word says that the line was written to its end.
    (words.next().as_deref() == Some(".")).then_some(Given {
        ip: ip.parse().ok()?,
        namespace,
        pod,
    })
}

/// Adds lines, durably: an address must never be given to another, power loss or not.
pub(crate) fn give_addresses(layout: &Layout, given: &[Given]) -> io::Result<()> {
    let path = layout.addresses();
    make_dir(&layout.seen())?;
    let mut file = OpenOptions::new()
        .create(true)
        .append(true)
        .mode(0o600)
        .open(path)?;
    // A line that was torn before must not swallow this one.
    let mut lines = String::from(if torn_end(layout)? { "\n" } else { "" });
    for Given { ip, namespace, pod } in given {
        lines.push_str(&format!("{ip} {namespace} {pod} .\n"));
    }
    file.write_all(lines.as_bytes())?;
    file.sync_data()
}

fn torn_end(layout: &Layout) -> io::Result<bool> {
    let text = read(&layout.addresses())?.unwrap_or_default();
    Ok(!text.is_empty() && !text.ends_with('\n'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_torn_line_is_left_out_and_harms_no_other() {
        let dir = tempfile::tempdir().unwrap();
        let layout = Layout::new(dir.path());
        let given = |pod: &str, y| Given {
            ip: Ipv4Addr::new(127, 7, 1, y),
            namespace: "default".to_owned(),
            pod: pod.to_owned(),
        };
        give_addresses(&layout, &[given("web-0", 1)]).unwrap();
        let mut text = read(&layout.addresses()).unwrap().unwrap();
        text.push_str("127.7.1.2 default we");
        std::fs::write(layout.addresses(), text).unwrap();
        give_addresses(&layout, &[given("web-1", 3), given("web-2", 4)]).unwrap();
        assert_eq!(
            addresses_given(&layout).unwrap(),
            [given("web-0", 1), given("web-1", 3), given("web-2", 4)]
        );
    }
}
