//! The service ports that the proxy could not bind at the virtual address: one file for each
//! service.
//!
//! The proxy writes it; `get` and `describe` read it.

use std::fmt;
use std::io;
use std::net::SocketAddr;

use serde::{Deserialize, Serialize};

use super::{Layout, Sync, read_json, remove, replace_json};
use crate::model::{Namespace, ObjectRef};

/// One such port, and where the proxy listens instead.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Detour {
    pub(crate) port: u16,
    pub(crate) protocol: String,
    /// The address where the proxy listens instead; `None` when it does not listen.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) at: Option<SocketAddr>,
    pub(crate) why: String,
}

#[derive(Debug, Default, Serialize, Deserialize)]
struct Detours {
    ports: Vec<Detour>,
}

impl fmt::Display for Detour {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { port, protocol, .. } = self;
        match self.at {
            Some(at) => write!(f, "{port}/{protocol} at {at}"),
            None => write!(f, "{port}/{protocol} nowhere"),
        }
    }
}

/// Reads the detours of a service.
pub(crate) fn read(
    layout: &Layout,
    namespace: &Namespace,
    service: &str,
) -> io::Result<Vec<Detour>> {
    let detours: Option<Detours> = read_json(&layout.detours(namespace, service))?;
    Ok(detours.unwrap_or_default().ports)
}

/// Writes the detours of a service; an empty list removes the file.
pub(crate) fn publish(layout: &Layout, service: &ObjectRef, ports: &[Detour]) -> io::Result<()> {
    let path = layout.detours(&service.namespace, service.name.as_str());
    if ports.is_empty() {
        return remove(&path);
    }
    let ports = ports.to_vec();
    replace_json(&path, &Detours { ports }, Sync::No)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn detours_are_read_back_as_they_were_written() {
        let dir = tempfile::tempdir().unwrap();
        let layout = Layout::new(dir.path());
        let web = ObjectRef::new("default".parse().unwrap(), "web".parse().unwrap());
        let read = || read(&layout, &web.namespace, "web").unwrap();
        let detours = vec![Detour {
            port: 80,
            protocol: "TCP".to_owned(),
            at: "127.5.240.1:8080".parse().ok(),
            why: "this user may not listen there".to_owned(),
        }];
        publish(&layout, &web, &detours).unwrap();
        assert_eq!(read(), detours);
        publish(&layout, &web, &[]).unwrap();
        assert_eq!(read(), []);
    }
}
