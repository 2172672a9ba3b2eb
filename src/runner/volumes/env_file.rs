//! The files of variables that containers refer to (V28).

use std::fs::File;
use std::io::{self, Read};
use std::os::fd::AsFd;

use k8s_openapi::api::core::v1::Container;
use rustix::fs::{Mode, OFlags, ResolveFlags, openat2};

use super::PreparedVolumes;
use crate::problem::Problem;
use crate::runner::isolation::MemoryRoots;
use crate::sorted::SortedMap;

/// The longest file that is read.
const LONGEST: u64 = 1 << 20;

impl PreparedVolumes {
    /// Reads the files that the variables of a container come from, by volume and path; those that
    /// are not there are left out. `memory` are the volumes in memory.
    pub(crate) fn files_of(
        &self,
        container: &Container,
        memory: &MemoryRoots,
    ) -> Result<SortedMap<(String, String), String>, Problem> {
        let mut files = SortedMap::new();
        let variables = container.env.iter().flatten();
        for from in variables.filter_map(|it| it.value_from.as_ref()?.file_key_ref.as_ref()) {
            let key = (from.volume_name.clone(), from.path.clone());
            let place = self.places.get(&from.volume_name);
            let fault = |error| format!("couldn't parse env file {}/{}: {error}", key.0, key.1);
            if let Some(place) = place
                && let Some(text) = (match memory.get(&place.path) {
                    Some(root) => read_beneath(root, &from.path),
                    None => File::open(&place.path).and_then(|it| read_beneath(&it, &from.path)),
                })
                .map_err(fault)?
            {
                files.insert(key, text);
            }
        }
        Ok(files)
    }
}

/// Reads a file of a volume; what a container put into the volume leads nowhere outside of it.
fn read_beneath(volume: &impl AsFd, path: &str) -> io::Result<Option<String>> {
    let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NONBLOCK;
    let within = ResolveFlags::BENEATH | ResolveFlags::NO_MAGICLINKS;
    let file = match openat2(volume, path, flags, Mode::empty(), within) {
        Ok(file) => File::from(file),
        Err(rustix::io::Errno::NOENT) => return Ok(None),
        Err(error) => return Err(error.into()),
    };
    if !file.metadata()?.is_file() {
        return Err(io::Error::other("it is no file"));
    }
    let mut text = String::new();
    file.take(LONGEST).read_to_string(&mut text)?;
    Ok(Some(text))
}
