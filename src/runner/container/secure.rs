//! How a container's `securityContext` changes its start (V56).

use std::io;
use std::path::Path;

use k8s_openapi::api::core::v1 as core;

use super::{Supplies, bad_config};
use crate::model::Egress;
use crate::model::capabilities::{ContainerReach, bounding_set};
use crate::model::lifecycle::Failure;
use crate::runner::user::{self, Accounts, CallerIds};
use crate::store::Launch;
use crate::sys::{self, SeccompFilter};

impl Supplies {
    /// Applies the container's `securityContext`, where it has a sandbox.
    pub(super) fn secure(
        &self,
        pod: &core::Pod,
        container: &core::Container,
        launch: &mut Launch,
        warnings: &mut Vec<String>,
    ) -> Result<(), Failure> {
        let names = Accounts::read(launch.rootfs.as_deref().unwrap_or(Path::new("/")));
        let own = sys::is_ordinary().then(|| CallerIds {
            ids: sys::own_ids(),
            id_map: self.userns.as_ref().map(|userns| &userns.id_map),
        });
        launch.user = user::user_of(pod, container, &names, own, warnings).map_err(bad_config)?;
        let context = container.security_context.as_ref();
        launch.no_new_privs =
            context.is_some_and(|it| it.allow_privilege_escalation == Some(false));
        launch.read_only_root =
            context.is_some_and(|it| it.read_only_root_filesystem == Some(true));
        let egress = Egress::of(pod.metadata.annotations.as_ref());
        self.restrict(context, egress, launch, warnings);
        self.filter(pod, context, launch)?;
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

    /// Applies what a container asks for of capabilities (V62).
    fn restrict(
        &self,
        context: Option<&core::SecurityContext>,
        egress: Egress,
        launch: &mut Launch,
        warnings: &mut Vec<String>,
    ) {
        let own_users = self.userns.is_some();
        let reach = ContainerReach { own_users, egress };
        let privileged = context.is_some_and(|it| it.privileged == Some(true));
        let asked = context.and_then(|it| it.capabilities.as_ref());
        if privileged {
            let in_own = ContainerReach {
                own_users: true,
                ..reach
            };
            let every = core::Capabilities {
                add: Some(vec!["ALL".to_owned()]),
                drop: None,
            };
            launch.capabilities = Some(bounding_set(Some(&every), in_own).0);
            launch.own_users = !own_users;
        } else if asked.is_some() || egress == Egress::None {
            let (kept, refused) = bounding_set(asked, reach);
            launch.capabilities = Some(kept);
            if !refused.is_empty() {
                let names = refused.join(", ");
                warnings.push(format!(
                    "capabilities {names} are not given, for they reach beyond the pet"
                ));
            }
        }
    }

    /// Applies the seccomp profile of a container, or else that of its pod (V63). Root's pets are
    /// held to the usual one unless they ask for another: then they are in a user namespace of
    /// their own.
    fn filter(
        &self,
        pod: &core::Pod,
        context: Option<&core::SecurityContext>,
        launch: &mut Launch,
    ) -> Result<(), Failure> {
        let spec = pod.spec.as_ref();
        let of_pod = spec.and_then(|spec| spec.security_context.as_ref());
        let of_pod = of_pod.and_then(|context| context.seccomp_profile.as_ref());
        let profile = context.and_then(|context| context.seccomp_profile.as_ref());
        let privileged = context.is_some_and(|it| it.privileged == Some(true));
        if privileged {
            return Ok(());
        }
        let Some(profile) = profile.or(of_pod) else {
            launch.seccomp = !sys::is_ordinary();
            return Ok(());
        };
        launch.seccomp = profile.type_ == "RuntimeDefault";
        if profile.type_ == "Localhost" {
            let name = profile.localhost_profile.as_deref().unwrap_or_default();
            launch.seccomp_filter = Some(self.seccomp_filter(name)?);
        }
        launch.own_users |= !sys::is_ordinary() && !launch.seccomp;
        Ok(())
    }

    /// Reads a seccomp profile of the user's; a runtime's words say why it cannot be.
    fn seccomp_filter(&self, name: &str) -> Result<SeccompFilter, Failure> {
        let path = self.layout().seccomp_profile(name);
        let shown = path.display();
        let fault = |why: String| {
            Failure::Create(format!(
                "failed to create containerd container: cannot load seccomp profile {shown:?}: {why}"
            ))
        };
        // A pipe is not waited for.
        let text = match std::fs::metadata(&path) {
            Ok(found) if !found.is_file() && !found.is_dir() => {
                Err(io::ErrorKind::InvalidInput.into())
            }
            _ => std::fs::read_to_string(&path),
        };
        let text = text.map_err(|error| fault(format!("open {shown}: {}", words(&error))))?;
        sys::compile_seccomp(&text)
            .map_err(|why| fault(format!("decoding seccomp profile failed: {why}")))
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

/// Returns an error as a runtime says it.
fn words(error: &io::Error) -> String {
    let known = [
        (io::ErrorKind::NotFound, "no such file or directory"),
        (io::ErrorKind::PermissionDenied, "permission denied"),
        (io::ErrorKind::IsADirectory, "is a directory"),
    ];
    let found = known.into_iter().find(|(kind, _)| *kind == error.kind());
    found.map_or_else(|| error.to_string(), |(_, words)| words.to_owned())
}
