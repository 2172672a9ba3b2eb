//! The user and groups of a container: what its `securityContext` requests (V56), completed by
//! the passwd and group files of its root.
//!
//! Root can give a process any ids, and an ordinary user their subordinate ids. A user without
//! those gets warnings where a request differs from their own ids.

use std::path::Path;

use k8s_openapi::api::core::v1::{Container, Pod, PodSecurityContext, SecurityContext};

use crate::model::pod::title;
use crate::problem::Problem;
use crate::store::User;
use crate::sys::beneath::read_in_root;
use crate::sys::users::IdMap;

/// The passwd and group files of a root.
#[derive(Debug, Clone, Default)]
pub(super) struct Accounts {
    pub(super) passwd: String,
    pub(super) group: String,
}

/// The ids that a container requests.
#[derive(Debug, Default, PartialEq, Eq)]
struct RequestedIds {
    uid: Option<i64>,
    gid: Option<i64>,
    groups: Vec<i64>,
    fs_group: Option<i64>,
    not_root: bool,
    /// Whether the groups that the user is a member of are left out.
    strict: bool,
    /// Whether it asks for no user and is privileged, which is of use to root alone.
    privileged: bool,
}

impl Accounts {
    /// Reads both files; a missing one is empty.
    pub(super) fn read(root: &Path) -> Self {
        let read = |name: &str| read_in_root(root, name).unwrap_or_default();
        Self {
            passwd: read("etc/passwd"),
            group: read("etc/group"),
        }
    }

    fn entry(&self, uid: u32) -> Option<Vec<&str>> {
        let mut lines = self.passwd.lines().map(|line| line.split(':').collect());
        lines.find(|fields: &Vec<&str>| fields.get(2).and_then(|it| it.parse().ok()) == Some(uid))
    }

    /// Returns the home of a user.
    pub(super) fn home(&self, uid: u32) -> Option<String> {
        let home = self.entry(uid)?.get(5).map(|home| (*home).to_owned());
        home.filter(|home| !home.is_empty())
    }

    fn groups_of(&self, name: &str) -> impl Iterator<Item = u32> {
        self.group.lines().filter_map(move |line| {
            let fields: Vec<&str> = line.split(':').collect();
            let members = fields.get(3)?;
            let is_member = members.split(',').any(|member| member == name);
            is_member.then(|| fields.get(2)?.parse().ok()).flatten()
        })
    }

    /// Returns passwd and group files with entries for these ids, since programs look themselves
    /// up; `None` for a file that has one already.
    pub(super) fn with_missing_entries(
        &self,
        uid: u32,
        gid: u32,
        home: &str,
    ) -> [Option<String>; 2] {
        let known = |list: &str, number: u32| {
            let of = |line: &str| line.split(':').nth(2).and_then(|it| it.parse().ok());
            list.lines().any(|line| of(line) == Some(number))
        };
        let with = |list: &str, line: String| format!("{}\n{line}\n", list.trim_end());
        let user = format!("pet{uid}:x:{uid}:{gid}::{home}:/bin/sh");
        let group = format!("pet{gid}:x:{gid}:");
        [
            (!known(&self.passwd, uid)).then(|| with(&self.passwd, user).trim_start().to_owned()),
            (!known(&self.group, gid)).then(|| with(&self.group, group).trim_start().to_owned()),
        ]
    }
}

/// The ids of an ordinary user, and those that their pet's user namespace maps.
#[derive(Debug, Clone, Copy)]
pub(super) struct CallerIds<'a> {
    pub(super) ids: (u32, u32),
    pub(super) id_map: Option<&'a IdMap>,
}

/// Returns the user that a container runs as; `None` where it requests none. An ordinary user
/// (`own`) grants either the whole request, or nothing of it with warnings.
pub(super) fn user_of(
    pod: &Pod,
    container: &Container,
    names: &Accounts,
    own: Option<CallerIds<'_>>,
    warnings: &mut Vec<String>,
) -> Result<Option<User>, Problem> {
    let mut asked = RequestedIds::of(pod, container);
    if own.is_some() && asked.privileged {
        asked.uid = Some(0);
    }
    let able = own.is_none_or(|own| own.id_map.is_some_and(|known| asked.is_within(known)));
    asked.refuse_root(pod, container, own.map(|own| own.ids), able)?;
    match own {
        Some(own) if !able => {
            warnings.extend(asked.differences(own));
            Ok(None)
        }
        own => asked.user(names, own),
    }
}

/// Returns the group that a pod's volumes are to be given to (`fsGroup`).
pub(super) fn fs_group(pod: &Pod) -> Option<u32> {
    let spec = pod.spec.as_ref()?;
    let group = spec.security_context.as_ref()?.fs_group?;
    u32::try_from(group).ok()
}

/// Returns whether volumes whose top directory has the right group are left as they are, as without
/// `fsGroupChangePolicy: Always`: a database refuses to start from a directory that was made
/// writable for others.
pub(super) fn keeps_what_fits(pod: &Pod) -> bool {
    let spec = pod.spec.as_ref();
    let context = spec.and_then(|spec| spec.security_context.as_ref());
    let policy = context.and_then(|context| context.fs_group_change_policy.as_deref());
    policy != Some("Always")
}

impl RequestedIds {
    fn of(pod: &Pod, container: &Container) -> Self {
        let of_pod = PodSecurityContext::default();
        let spec = pod.spec.as_ref();
        let of_pod = spec
            .and_then(|spec| spec.security_context.as_ref())
            .unwrap_or(&of_pod);
        let own = SecurityContext::default();
        let own = container.security_context.as_ref().unwrap_or(&own);
        let groups = of_pod.supplemental_groups.iter().flatten().copied();
        let policy = of_pod.supplemental_groups_policy.as_deref();
        let uid = own.run_as_user.or(of_pod.run_as_user);
        let not_root = own.run_as_non_root.or(of_pod.run_as_non_root) == Some(true);
        Self {
            uid,
            gid: own.run_as_group.or(of_pod.run_as_group),
            groups: groups.collect(),
            fs_group: of_pod.fs_group,
            not_root,
            strict: policy == Some("Strict"),
            privileged: own.privileged == Some(true) && uid.is_none() && !not_root,
        }
    }

    /// Refuses a container that must not run as root and would, in the kubelet's words.
    fn refuse_root(
        &self,
        pod: &Pod,
        container: &Container,
        own: Option<(u32, u32)>,
        able: bool,
    ) -> Result<(), Problem> {
        let ordinary = own.is_some_and(|(uid, _)| uid != 0);
        if !self.not_root || (ordinary && !able) {
            return Ok(());
        }
        let fault = match self.uid {
            Some(0) => "container's runAsUser breaks non-root policy",
            None if !ordinary => "container has runAsNonRoot and image will run as root",
            _ => return Ok(()),
        };
        let (pod, container) = (title(pod), &container.name);
        Err(Problem::failed(format!(
            "{fault} (pod: {pod:?}, container: {container})"
        )))
    }

    /// Returns whether a user namespace with more than one id maps all requested ids.
    fn is_within(&self, known: &IdMap) -> bool {
        let number = |id: i64| u32::try_from(id).ok();
        let has_user = |id: i64| number(id).is_some_and(|id| known.has_user(id));
        let has_group = |id: i64| number(id).is_some_and(|id| known.has_group(id));
        let mut groups = self.gid.iter().chain(&self.groups).chain(&self.fs_group);
        known.has_others() && self.uid.is_none_or(has_user) && groups.all(|id| has_group(*id))
    }

    fn user(&self, names: &Accounts, own: Option<CallerIds<'_>>) -> Result<Option<User>, Problem> {
        if self.uid.is_none()
            && self.gid.is_none()
            && self.groups.is_empty()
            && self.fs_group.is_none()
        {
            return Ok(None);
        }
        let number = |id: i64| u32::try_from(id).map_err(|_| format!("{id} is no user or group"));
        let (own_uid, own_gid) = own.map_or((0, 0), |own| own.ids);
        let known = own.and_then(|own| own.id_map);
        let has_group = |group: &u32| known.is_none_or(|known| known.has_group(*group));
        let uid = number(self.uid.unwrap_or_else(|| own_uid.into()))?;
        let entry = names.entry(uid);
        let primary = entry.as_ref().and_then(|it| it.get(3)?.parse().ok());
        let gid = match self.gid {
            Some(gid) => number(gid)?,
            None if own.is_some() && uid == own_uid => own_gid,
            None => primary.filter(has_group).unwrap_or(0),
        };
        let mut groups = Vec::new();
        for group in self.groups.iter().chain(&self.fs_group) {
            groups.push(number(*group)?);
        }
        if let Some(name) = entry
            .as_ref()
            .and_then(|it| it.first())
            .filter(|_| !self.strict)
        {
            groups.extend(names.groups_of(name).filter(has_group));
        }
        groups.sort_unstable();
        groups.dedup();
        Ok(Some(User { uid, gid, groups }))
    }

    /// Returns a warning for each id that an ordinary user cannot take.
    fn differences(&self, own: CallerIds<'_>) -> Vec<String> {
        let (uid, gid) = own.ids;
        let others = own.id_map.is_some_and(IdMap::has_others);
        let why = match others {
            true => "not all that is asked for is among your subordinate ids",
            false => "others take root, or subordinate ids (see `petset doctor`)",
        };
        let why = format!("pets run as you (uid {uid}, gid {gid}): {why}");
        let other = |asked: Option<i64>, own: u32| asked.filter(|id| *id != i64::from(own));
        let mut all = Vec::new();
        let mut add = |field: &str, id: Option<i64>| {
            all.extend(id.map(|id| format!("{field} {id} is ignored: {why}")));
        };
        add(
            "runAsUser",
            other(self.uid, uid).filter(|_| !self.privileged),
        );
        add("runAsGroup", other(self.gid, gid));
        add("fsGroup", other(self.fs_group, gid));
        for group in &self.groups {
            add("supplementalGroups", other(Some(*group), gid));
        }
        if self.privileged {
            all.push(format!(
                "privileged has no effect on programs that run as you (uid {uid}): root of a container \
                 takes subordinate ids (see `petset doctor`)"
            ));
        }
        all
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn names() -> Accounts {
        Accounts {
            passwd: "root:x:0:0::/root:/bin/sh\ndb:x:104:112::/var/lib/db:/bin/sh\n".to_owned(),
            group: "root:x:0:\ndb:x:112:\nssl:x:110:db,web\n".to_owned(),
        }
    }

    fn asked(pod: serde_json::Value, container: serde_json::Value) -> (Pod, Container) {
        let container = json!({"name": "c", "securityContext": container});
        let container: Container = serde_json::from_value(container).unwrap();
        let spec = json!({"containers": [], "securityContext": pod});
        let pod = json!({"metadata": {"name": "db-0"}, "spec": spec});
        (serde_json::from_value(pod).unwrap(), container)
    }

    fn user(pod: serde_json::Value, container: serde_json::Value) -> Result<Option<User>, Problem> {
        let (pod, container) = asked(pod, container);
        user_of(&pod, &container, &names(), None, &mut Vec::new())
    }

    #[test]
    fn a_container_goes_before_its_pod_and_passwd_tells_the_group() {
        let found = user(
            json!({"runAsUser": 7, "fsGroup": 9}),
            json!({"runAsUser": 104}),
        );
        let (uid, gid, groups) = (104, 112, vec![9, 110]);
        assert_eq!(found.unwrap().unwrap(), User { uid, gid, groups });
        let found = user(json!({"runAsUser": 7}), json!({}));
        let (uid, gid, groups) = (7, 0, vec![]);
        assert_eq!(found.unwrap().unwrap(), User { uid, gid, groups });
        assert_eq!(user(json!({}), json!({})), Ok(None));
    }

    #[test]
    fn who_must_not_be_root_is_not() {
        let fault = user(json!({"runAsNonRoot": true}), json!({})).unwrap_err();
        assert!(
            fault
                .message
                .starts_with("container has runAsNonRoot and image will run as root")
        );
        let fault = user(json!({"runAsNonRoot": true}), json!({"runAsUser": 0})).unwrap_err();
        assert!(
            fault
                .message
                .starts_with("container's runAsUser breaks non-root policy")
        );
        assert!(user(json!({"runAsNonRoot": true}), json!({"runAsUser": 104})).is_ok());
    }

    #[test]
    fn an_ordinary_user_is_told_what_differs_and_nothing_else() {
        let own = Some(CallerIds {
            ids: (1000, 1000),
            id_map: None,
        });
        let (pod, container) = asked(
            json!({"runAsNonRoot": true, "runAsUser": 1000, "fsGroup": 5}),
            json!({}),
        );
        let mut warnings = Vec::new();
        let found = user_of(&pod, &container, &names(), own, &mut warnings);
        assert_eq!(found, Ok(None));
        assert_eq!(warnings.len(), 1);
        assert!(warnings[0].starts_with("fsGroup 5 is ignored: pets run as you (uid 1000"));
    }

    #[test]
    fn a_privileged_container_is_root_where_an_ordinary_user_can_have_one() {
        let users = "0 100000 1000\n1000 1000 1\n";
        let map = IdMap::read(users, users);
        let mut own = CallerIds {
            ids: (1000, 1000),
            id_map: Some(&map),
        };
        let found = |own, context| {
            let (pod, container) = asked(json!({}), context);
            let mut warnings = Vec::new();
            let found = user_of(&pod, &container, &names(), own, &mut warnings).unwrap();
            (found.map(|user| user.uid), warnings)
        };
        let root = json!({"privileged": true});
        assert_eq!(found(Some(own), root.clone()), (Some(0), vec![]));
        let other = json!({"privileged": true, "runAsUser": 104});
        assert_eq!(found(Some(own), other), (Some(104), vec![]));
        let not_root = json!({"privileged": true, "runAsNonRoot": true});
        assert_eq!(found(Some(own), not_root), (None, vec![]));
        assert_eq!(found(None, root.clone()), (None, vec![]));
        own.id_map = None;
        let (user, warnings) = found(Some(own), root);
        assert_eq!((user, warnings.len()), (None, 1), "{warnings:?}");
        assert!(warnings[0].starts_with("privileged has no effect"));
    }

    #[test]
    fn a_stranger_gets_a_name_and_an_acquaintance_keeps_theirs() {
        let [passwd, group] = names().with_missing_entries(104, 5, "/h");
        assert_eq!(passwd, None);
        assert!(group.unwrap().ends_with("\npet5:x:5:\n"));
        let [passwd, _] = names().with_missing_entries(1000, 112, "/h");
        assert!(
            passwd
                .unwrap()
                .ends_with("/bin/sh\npet1000:x:1000:112::/h:/bin/sh\n")
        );
    }
}
