//! How a container's `securityContext` changes its start (V56).

use std::path::Path;

use k8s_openapi::api::core::v1 as core;

use super::Supplies;
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
