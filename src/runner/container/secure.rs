//! What a container's `securityContext` means for how it is started (V56).

use std::path::Path;

use k8s_openapi::api::core::v1 as core;

use super::Supplies;
use crate::runner::user::{self, Names, Own};
use crate::store::Launch;
use crate::sys;

impl Supplies {
    /// Does what the container's `securityContext` asks for, where it has a sandbox.
    pub(super) fn secure(
        &self,
        pod: &core::Pod,
        container: &core::Container,
        launch: &mut Launch,
        warnings: &mut Vec<String>,
    ) -> Result<(), String> {
        let names = Names::read(launch.rootfs.as_deref().unwrap_or(Path::new("/")));
        let own = sys::is_ordinary().then(|| Own {
            ids: sys::own_ids(),
            known: self.realm.as_ref().map(|realm| &realm.known),
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
            // What the host's user has there is not theirs.
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
        let known = self.realm.as_ref().map(|realm| &realm.known);
        let able = |group: &u32| match sys::is_ordinary() {
            true => known.is_some_and(|known| known.has_others() && known.has_group(*group)),
            false => true,
        };
        user::fs_group(pod).filter(|group| self.full && able(group))
    }
}
