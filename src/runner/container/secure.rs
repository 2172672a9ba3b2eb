//! How a container's `securityContext` changes its start (V56).

use std::path::Path;

use k8s_openapi::api::core::v1 as core;

use super::Supplies;
use crate::model::capabilities::bounding_set;
use crate::problem::Problem;
use crate::runner::user::{self, Accounts, CallerIds};
use crate::store::Launch;
use crate::sys;

impl Supplies {
    /// Applies the container's `securityContext`, where it has a sandbox.
    pub(super) fn secure(
        &self,
        pod: &core::Pod,
        container: &core::Container,
        launch: &mut Launch,
        warnings: &mut Vec<String>,
    ) -> Result<(), Problem> {
        let names = Accounts::read(launch.rootfs.as_deref().unwrap_or(Path::new("/")));
        let own = sys::is_ordinary().then(|| CallerIds {
            ids: sys::own_ids(),
            id_map: self.userns.as_ref().map(|userns| &userns.id_map),
        });
        launch.user = user::user_of(pod, container, &names, own, warnings)?;
        let context = container.security_context.as_ref();
        launch.no_new_privs =
            context.is_some_and(|it| it.allow_privilege_escalation == Some(false));
        launch.read_only_root =
            context.is_some_and(|it| it.read_only_root_filesystem == Some(true));
        self.restrict(pod, context, launch, warnings);
        let home = |(name, _): &(String, String)| name == "HOME";
        let host = self.inherited.iter().find(|it| home(it));
        if let (Some(user), Some(at)) = (&launch.user, launch.env.iter().position(home))
            && Some(&launch.env[at]) == host
            && user.uid != sys::own_ids().0
        {
            // The home of the user who runs petset is not theirs.
            launch.env[at].1 = names.home(user.uid).unwrap_or_else(|| "/".to_owned());
        }
        if !launch.env.iter().any(home) {
            let uid = launch
                .user
                .as_ref()
                .map_or(sys::own_ids().0, |user| user.uid);
            let at = names.home(uid).unwrap_or_else(|| "/".to_owned());
            launch.env.push(("HOME".to_owned(), at));
        }
        Ok(())
    }

    /// Applies what a container asks for of capabilities and of seccomp (V62, V63).
    fn restrict(
        &self,
        pod: &core::Pod,
        context: Option<&core::SecurityContext>,
        launch: &mut Launch,
        warnings: &mut Vec<String>,
    ) {
        let own_users = self.userns.is_some();
        let privileged = context.is_some_and(|it| it.privileged == Some(true));
        let asked = context.and_then(|it| it.capabilities.as_ref());
        if privileged {
            let every = core::Capabilities {
                add: Some(vec!["ALL".to_owned()]),
                drop: None,
            };
            launch.capabilities = Some(bounding_set(Some(&every), own_users).0);
        } else if asked.is_some() {
            let (kept, refused) = bounding_set(asked, own_users);
            launch.capabilities = Some(kept);
            if !refused.is_empty() {
                let names = refused.join(", ");
                warnings.push(format!(
                    "capabilities {names} are not given, for they reach beyond the pet"
                ));
            }
        }
        let spec = pod.spec.as_ref();
        let of_pod = spec.and_then(|spec| spec.security_context.as_ref());
        let of_pod = of_pod.and_then(|context| context.seccomp_profile.as_ref());
        let profile = context.and_then(|context| context.seccomp_profile.as_ref());
        let kind = profile.or(of_pod).map(|profile| profile.type_.as_str());
        launch.seccomp = kind == Some("RuntimeDefault") && !privileged;
    }

    /// Returns the group that the volumes are given to.
    pub(super) fn fs_group(&self, pod: &core::Pod) -> Option<u32> {
        let id_map = self.userns.as_ref().map(|userns| &userns.id_map);
        let able = |group: &u32| match sys::is_ordinary() {
            true => id_map.is_some_and(|map| map.has_others() && map.has_group(*group)),
            false => true,
        };
        user::fs_group(pod).filter(|group| self.full && able(group))
    }
}
