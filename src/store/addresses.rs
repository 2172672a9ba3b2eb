//! `seen/addresses` and `seen/service-addresses`: the address of each pet or service, one line
//! each. Lines are appended: one with the address 0.0.0.0 says that a pod has given its address
//! back. A list that mostly tells of such pods is replaced by a shorter one.

use std::collections::HashMap;
use std::fs::File;
use std::io::{self, Write};
use std::net::Ipv4Addr;
use std::os::unix::fs::FileExt;
use std::path::Path;

use super::damage::{is_damage, open_to_append};
use super::files::{Sync, make_dir, read, read_lines, replace};
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
    let text = match read(&layout.block()) {
        Err(error) if is_damage(&error) => None,
        text => text?,
    };
    let number = text.and_then(|text| text.trim().parse().ok());
    Ok(number.and_then(Block::new))
}

/// Returns every assigned address; an incomplete or damaged line is skipped. A list that cannot be
/// read at all is empty: the next line that is given puts it out of the way.
pub(crate) fn addresses_given(list: &Path) -> io::Result<Vec<Given>> {
    let lines = match read_lines(list) {
        Err(error) if is_damage(&error) => Vec::new(),
        lines => lines?,
    };
    let mut given: Vec<Given> = Vec::new();
    let mut places: HashMap<(String, String), Vec<usize>> = HashMap::new();
    for line in lines.iter().filter_map(|line| parse(line)) {
        let owner = (line.namespace.clone(), line.pod.clone());
        match line.ip.is_unspecified() {
            true => places
                .remove(&owner)
                .into_iter()
                .flatten()
                .for_each(|place| {
                    given[place].ip = Ipv4Addr::UNSPECIFIED;
                }),
            false => places.entry(owner).or_default().push(given.len()),
        }
        given.push(line);
    }
    given.retain(|given| !given.ip.is_unspecified());
    Ok(given)
}

pub(super) fn parse(line: &str) -> Option<Given> {
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
    append(list, given)?.sync_data()
}

/// Notes that a pod has given its address back. This is not synced: what is not noted is not given
/// to another.
///
/// Returns how many bytes the list has now.
pub(crate) fn take_address_back(list: &Path, namespace: &str, pod: &str) -> io::Result<u64> {
    let line = Given {
        ip: Ipv4Addr::UNSPECIFIED,
        namespace: namespace.to_owned(),
        pod: pod.to_owned(),
    };
    Ok(append(list, &[line])?.metadata()?.len())
}

/// Replaces the list by one of these addresses alone. Readers see the old one or the new one, after
/// a power loss too.
pub(crate) fn compact_addresses(list: &Path, given: &[Given]) -> io::Result<u64> {
    let text = lines_of(given);
    replace(list, text.as_bytes(), Sync::Yes)?;
    Ok(text.len() as u64)
}

fn append(list: &Path, given: &[Given]) -> io::Result<File> {
    make_dir(list.parent().unwrap_or(list))?;
    let mut file = open_to_append(list)?;
    // The new lines must not continue an incomplete one.
    let mut lines = String::from(if torn_end(&file)? { "\n" } else { "" });
    lines.push_str(&lines_of(given));
    file.write_all(lines.as_bytes())?;
    Ok(file)
}

fn lines_of(given: &[Given]) -> String {
    let line = |Given { ip, namespace, pod }: &Given| format!("{ip} {namespace} {pod} .\n");
    given.iter().map(line).collect()
}

fn torn_end(list: &File) -> io::Result<bool> {
    let length = list.metadata()?.len();
    let mut last = [b'\n'];
    if length > 0 {
        list.read_exact_at(&mut last, length - 1)?;
    }
    Ok(last != *b"\n")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::Layout;

    #[test]
    fn an_address_that_was_given_back_may_be_given_to_another() {
        let dir = tempfile::tempdir().unwrap();
        let list = Layout::new(dir.path()).addresses();
        let given = |pod: &str| Given {
            ip: Ipv4Addr::new(127, 7, 1, 1),
            namespace: "default".to_owned(),
            pod: pod.to_owned(),
        };
        give_addresses(&list, &[given("front-b2c4d")]).unwrap();
        take_address_back(&list, "default", "front-b2c4d").unwrap();
        assert_eq!(addresses_given(&list).unwrap(), []);
        give_addresses(&list, &[given("front-x5z6v")]).unwrap();
        assert_eq!(addresses_given(&list).unwrap(), [given("front-x5z6v")]);
    }

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
