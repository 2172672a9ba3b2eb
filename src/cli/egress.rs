//! What a new set's pets reach beside each other.

use super::files;
use crate::manifest::Object;
use crate::model::{EGRESS_ANNOTATION, Egress};
use crate::problem::Result;

/// The option.
#[derive(Debug, clap::Args)]
pub(crate) struct EgressArgs {
    /// What isolated pets reach beside each other: the world as the host does (auto), or nothing
    ///
    /// Without it the set's annotation petset.dev/egress counts, then `egress` in petset.toml.
    #[arg(long, value_name = "REACH", value_parser = ["auto", "none"])]
    egress: Option<String>,
}

impl EgressArgs {
    /// Notes in the sets what is asked for. What they ask for themselves must make sense.
    pub(crate) fn ask(&self, objects: &mut [Object]) -> Result<()> {
        for object in objects.iter_mut() {
            if let (Object::StatefulSet(set), Some(egress)) = (object, &self.egress) {
                let notes = set.metadata.annotations.get_or_insert_default();
                notes.insert(EGRESS_ANNOTATION.to_owned(), egress.clone());
            }
        }
        check(objects)
    }
}

/// Refuses sets that ask for what there is not.
pub(crate) fn check(objects: &[Object]) -> Result<()> {
    files::sets(objects).try_for_each(|set| {
        Egress::asked(set.metadata.annotations.as_ref())?;
        Ok(())
    })
}
