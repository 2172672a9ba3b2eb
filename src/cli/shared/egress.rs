//! What a new set's pets reach beside each other.

use crate::model::object::Object;
use crate::model::{EGRESS_ANNOTATION, Egress};
use crate::problem::Problem;

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
    /// Notes in sets and pods what is asked for.
    pub(crate) fn ask(&self, objects: &mut [Object]) {
        for object in objects.iter_mut().filter(|object| is_asked(object)) {
            if let Some(egress) = &self.egress {
                let notes = object.metadata_mut().annotations.get_or_insert_default();
                notes.insert(EGRESS_ANNOTATION.to_owned(), egress.clone());
            }
        }
    }
}

fn is_asked(object: &Object) -> bool {
    matches!(object, Object::StatefulSet(_) | Object::Pod(_))
}

/// Refuses a set or pod whose manifest asks for what there is not.
pub(crate) fn check(object: &Object) -> Result<(), Problem> {
    if !is_asked(object) {
        return Ok(());
    }
    Egress::asked(object.metadata().annotations.as_ref())?;
    if let Object::StatefulSet(set) = object
        && let Some(spec) = &set.spec
        && let Some(metadata) = &spec.template.metadata
    {
        Egress::asked(metadata.annotations.as_ref())?;
    }
    Ok(())
}
