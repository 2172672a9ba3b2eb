//! What is done by a process inside a user namespace: `petset userns-helper <namespace> <deed> <object>`.
//! There the user has the rights over files of their subordinate ids that they lack on the host.

use std::ffi::{OsStr, OsString};
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::Path;
use std::process::ExitCode;

use super::volumes::Gift;
use crate::store::{self, userns};
use crate::sys::{self, users};

/// Has volumes given to a group that means somebody in the user namespace at `space` alone.
pub(super) fn give(gift: &Gift, space: &Path) -> io::Result<()> {
    let gift = serde_json::to_string(gift)?;
    userns::run_inside(Some(space), userns::GIVE, gift.as_ref()).map(drop)
}

/// Does what `args` say, which follow the word that makes the program do so.
pub(crate) fn run(args: &[OsString]) -> ExitCode {
    sys::close_inherited();
    let [space, deed, object] = args else {
        return ExitCode::from(2);
    };
    match perform(space, deed, object) {
        Ok(said) => {
            let _ = io::stdout().write_all(said.as_bytes());
            ExitCode::SUCCESS
        }
        Err(error) => {
            let _ = writeln!(io::stderr(), "{error}");
            ExitCode::FAILURE
        }
    }
}

fn perform(space: &OsStr, deed: &OsStr, object: &OsStr) -> io::Result<String> {
    let space = match space.to_str() {
        Some(userns::NEW) => users::make()?,
        _ => File::open(space)?.into(),
    };
    users::enter(&space)?;
    let nothing = String::new();
    match deed.to_str() {
        Some(userns::REMOVE) => fs::remove_dir_all(object).map(|()| nothing),
        Some(userns::MEASURE) => Ok(store::measure(Path::new(object), &mut false).to_string()),
        Some(userns::GIVE) => {
            let gift: Gift = serde_json::from_slice(object.as_encoded_bytes())?;
            gift.give().map(|()| nothing)
        }
        _ => Err(io::ErrorKind::InvalidInput.into()),
    }
}
