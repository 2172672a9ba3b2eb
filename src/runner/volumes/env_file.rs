//! The files of variables that containers refer to (V28).

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read};

use k8s_openapi::api::core::v1::Container;
use rustix::fs::{Mode, OFlags, ResolveFlags, openat2};

use super::PreparedVolumes;
use crate::problem::Problem;

/// The longest file that is read.
const LONGEST: u64 = 1 << 20;

impl PreparedVolumes {
    /// Reads the files that the variables of a container come from, by volume and path; those that
    /// are not there are left out.
    pub(crate) fn files_of(
        &self,
        container: &Container,
    ) -> Result<BTreeMap<(String, String), String>, Problem> {
        let mut files = BTreeMap::new();
        let variables = container.env.iter().flatten();
        for from in variables.filter_map(|it| it.value_from.as_ref()?.file_key_ref.as_ref()) {
            let key = (from.volume_name.clone(), from.path.clone());
            let place = self.places.get(&from.volume_name);
            let fault = |error| format!("couldn't parse env file {}/{}: {error}", key.0, key.1);
            if let Some(place) = place
                && let Some(text) = read_beneath(&place.path, &from.path).map_err(fault)?
            {
                files.insert(key, text);
            }
        }
        Ok(files)
    }
}

/// Reads a file of a volume; what a container put into the volume leads nowhere outside of it.
fn read_beneath(volume: &std::path::Path, path: &str) -> io::Result<Option<String>> {
    let volume = File::open(volume)?;
    let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NONBLOCK;
    let within = ResolveFlags::BENEATH | ResolveFlags::NO_MAGICLINKS;
    let file = match openat2(&volume, path, flags, Mode::empty(), within) {
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
