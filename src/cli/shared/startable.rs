//! Refusing what can never start, before a healthy pet is stopped for it.

use clap::Args as ClapArgs;
use k8s_openapi::api::apps::v1::StatefulSet;
use k8s_openapi::api::core::v1::{Pod, PodSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

use super::session::Session;
use crate::model::{ISOLATION_ANNOTATION, ObjectRef, rollout};
use crate::problem::Problem;
use crate::runner::Foresight;

/// The option `--allow-missing`.
#[derive(Debug, Clone, Copy, Default, ClapArgs)]
pub(crate) struct MissingArgs {
    /// Accept programs and images that are not on this machine
    ///
    /// Without it they are refused, as is a program that is not executable, unless it is below a
    /// mount.
    #[arg(long)]
    allow_missing: bool,
}

impl MissingArgs {
    /// Refuses a set whose pets can never start, unless its template is as it was. A strict set is
    /// taken as on a cluster.
    pub(crate) fn check_set(
        self,
        session: &Session,
        set: &StatefulSet,
        old: Option<&StatefulSet>,
    ) -> Result<(), Problem> {
        let template = |set: &StatefulSet| Some(set.spec.as_ref()?.template.clone());
        if session.is_strict(set) || old.is_some_and(|old| template(old) == template(set)) {
            return Ok(());
        }
        let Some(template) = template(set) else {
            return Ok(());
        };
        let name = set.metadata.name.as_deref().unwrap_or_default();
        let mut meta = template.metadata.unwrap_or_default();
        meta.name = Some(format!("{name}-0"));
        meta.namespace.clone_from(&set.metadata.namespace);
        let level = rollout::note(&set.metadata, ISOLATION_ANNOTATION);
        rollout::put_note(&mut meta, ISOLATION_ANNOTATION, level);
        self.check(session, meta, template.spec)
    }

    /// Refuses a pod that can never start, unless its spec is as it was.
    pub(crate) fn check_pod(self, session: &Session, pod: &Pod, old: &Pod) -> Result<(), Problem> {
        match pod.spec == old.spec {
            true => Ok(()),
            false => self.check(session, pod.metadata.clone(), pod.spec.clone()),
        }
    }

    fn check(
        self,
        session: &Session,
        metadata: ObjectMeta,
        spec: Option<PodSpec>,
    ) -> Result<(), Problem> {
        if self.allow_missing {
            return Ok(());
        }
        let namespace = ObjectRef::of(&metadata)?.namespace;
        let pod = Pod {
            metadata,
            spec,
            status: None,
        };
        let foresight = Foresight::new(&session.store, &namespace, &pod);
        let spec = pod.spec.iter();
        let containers = spec.flat_map(|spec| {
            let inits = spec.init_containers.iter().flatten();
            inits.chain(&spec.containers)
        });
        for container in containers {
            if let Some(fault) = foresight.fault(container) {
                let message = format!("container {} cannot start: {fault}", container.name);
                let hint = "--allow-missing accepts it, if what is missing comes later";
                return Err(Problem::invalid(message).hint(hint));
            }
        }
        Ok(())
    }
}
