//! `seen/addresses` and `seen/service-addresses`: the address of each pet or service, one line
//! each. Lines are only ever appended.

use std::fs::OpenOptions;
use std::io::{self, Write};
use std::net::Ipv4Addr;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use super::files::{make_dir, read};
use super::paths::Layout;
use crate::model::address::Block;

/// One line of the list: an address and its owner.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Given {
    pub(crate) ip: Ipv4Addr,
    pub(crate) namespace: String,
    pub(crate) pod: String,
}

/// Returns the block of addresses that a state directory has recorded; `None` when it has none.
pub(crate) fn block_of(layout: &Layout) -> io::Result<Option<Block>> {
    let text = read(&layout.block())?;
    let number = text.and_then(|text| text.trim().parse().ok());
    Ok(number.and_then(Block::new))
}

/// Returns every assigned address; an incomplete line is skipped.
pub(crate) fn addresses_given(list: &Path) -> io::Result<Vec<Given>> {
    let text = read(list)?.unwrap_or_default();
    Ok(text.lines().filter_map(parse).collect())
}

fn parse(line: &str) -> Option<Given> {
    let mut words = line.split(' ').map(str::to_owned);
    let (ip, namespace, pod) = (words.next()?, words.next()?, words.next()?);
    // The final dot proves that the line is complete.
    (words.next().as_deref() == Some(".")).then_some(Given {
        ip: ip.parse().ok()?,
        namespace,
        pod,
    })
}

/// Appends lines and syncs the file, so that an address has one owner even after a power loss.
pub(crate) fn give_addresses(list: &Path, given: &[Given]) -> io::Result<()> {
    make_dir(list.parent().unwrap_or(list))?;
    let mut file = OpenOptions::new()
        .create(true)
        .append(true)
        .mode(0o600)
        .open(list)?;
    // The new lines must not continue an incomplete one.
    let mut lines = String::from(if torn_end(list)? { "\n" } else { "" });
    for Given { ip, namespace, pod } in given {
        lines.push_str(&format!("{ip} {namespace} {pod} .\n"));
    }
    file.write_all(lines.as_bytes())?;
    file.sync_data()
}

fn torn_end(list: &Path) -> io::Result<bool> {
    let text = read(list)?.unwrap_or_default();
    Ok(!text.is_empty() && !text.ends_with('\n'))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::Layout;

    #[test]
    fn a_torn_line_is_left_out_and_harms_no_other() {
        let dir = tempfile::tempdir().unwrap();
        let layout = Layout::new(dir.path());
        let given = |pod: &str, y| Given {
            ip: Ipv4Addr::new(127, 7, 1, y),
            namespace: "default".to_owned(),
            pod: pod.to_owned(),
        };
        give_addresses(&layout.addresses(), &[given("web-0", 1)]).unwrap();
        let mut text = read(&layout.addresses()).unwrap().unwrap();
        text.push_str("127.7.1.2 default we");
        std::fs::write(layout.addresses(), text).unwrap();
        give_addresses(&layout.addresses(), &[given("web-1", 3), given("web-2", 4)]).unwrap();
        assert_eq!(
            addresses_given(&layout.addresses()).unwrap(),
            [given("web-0", 1), given("web-1", 3), given("web-2", 4)]
        );
    }
}
