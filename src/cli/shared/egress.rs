//! What pets reach outside of their own network: the option `--egress`, and its annotation.

use crate::model::object::Object;
use crate::model::{EGRESS_ANNOTATION, Egress};
use crate::problem::Problem;

/// The option `--egress`.
#[derive(Debug, clap::Args)]
pub(crate) struct EgressArgs {
    /// What isolated pets can reach: everything that the host can (auto), or only other pets (none)
    ///
    /// The default is the annotation petset.dev/egress of the set, else `egress` in petset.toml.
    #[arg(long, value_name = "REACH", value_parser = ["auto", "none"])]
    egress: Option<String>,
}

impl EgressArgs {
    /// Writes the option to the annotations of sets and pods.
    pub(crate) fn annotate(&self, objects: &mut [Object]) {
        for object in objects.iter_mut().filter(|object| is_asked(object)) {
            if let Some(egress) = &self.egress {
                let notes = object.metadata_mut().annotations.get_or_insert_default();
                notes.insert(EGRESS_ANNOTATION.to_owned(), egress.clone());
            }
        }
    }
}

fn is_asked(object: &Object) -> bool {
    matches!(
        object,
        Object::StatefulSet(_) | Object::Pod(_) | Object::Workload(_)
    )
}

/// Refuses a set or pod whose egress annotation is invalid.
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
