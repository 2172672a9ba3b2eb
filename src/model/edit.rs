//! The edits that verbs make to a set: each one validates itself and returns its change.
//!
//! They work on the stored, defaulted `StatefulSet`. Raising its generation is left to the store.

use jiff::Timestamp;
use k8s_openapi::api::apps::v1::{
    RollingUpdateStatefulSetStrategy, StatefulSet, StatefulSetSpec, StatefulSetUpdateStrategy,
};
use k8s_openapi::api::core::v1::{Container, EnvVar, PodSpec, PodTemplateSpec};

use super::MAX_REPLICAS;
use crate::problem::{Kind, Problem};

/// The template annotation that `restart` sets, as `kubectl rollout restart` does.
pub const RESTARTED_ANNOTATION: &str = "kubectl.kubernetes.io/restartedAt";

/// The values before and after an edit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change<T> {
    /// The value before.
    pub from: T,
    /// The value now.
    pub to: T,
}

impl<T: Clone + PartialEq> Change<T> {
    fn make(place: &mut T, to: T) -> Self {
        let from = std::mem::replace(place, to.clone());
        Self { from, to }
    }

    /// Returns whether anything is different now.
    #[must_use]
    pub fn is_real(&self) -> bool {
        self.from != self.to
    }
}

/// Changes how many pets the set runs.
pub fn scale_to(set: &mut StatefulSet, replicas: u32) -> Result<Change<u32>, Problem> {
    if replicas > MAX_REPLICAS {
        let limit = format!("a set has at most {MAX_REPLICAS} pets");
        return Err(Problem::invalid(limit));
    }
    let spec = spec_of(set)?;
    let from = spec
        .replicas
        .and_then(|from| u32::try_from(from).ok())
        .unwrap_or(1);
    spec.replicas = i32::try_from(replicas).ok();
    Ok(Change { from, to: replicas })
}

/// Changes the image of a container: `REF`, or `CONTAINER=REF` where there are several.
///
/// Init containers can be named too; without a name it is the only main container.
pub fn set_image(pod: &mut PodSpec, wish: &str) -> Result<Change<String>, Problem> {
    let (name, image) = match wish.split_once('=') {
        Some((name, image)) => (Some(name), image),
        None => (None, wish),
    };
    if image.trim().is_empty() {
        return Err(Problem::invalid(format!("{wish:?} names no image")));
    }
    let container = container_of(pod, name)?;
    let mut place = container.image.take().unwrap_or_default();
    let change = Change::make(&mut place, image.to_owned());
    container.image = Some(place);
    Ok(change)
}

/// Sets an environment variable (`K=V`), or removes it (`K-`), in one main container or in all.
pub fn set_env(
    pod: &mut PodSpec,
    container: Option<&str>,
    wish: &str,
) -> Result<Change<Option<String>>, Problem> {
    let (name, value) = parse_env(wish)?;
    if let Some(container) = container {
        return Ok(put_env(container_of(pod, Some(container))?, name, value));
    }
    let changes = pod
        .containers
        .iter_mut()
        .map(|container| put_env(container, name, value));
    let changes: Vec<_> = changes.collect();
    let real = changes
        .iter()
        .find(|change| change.is_real())
        .or(changes.first());
    real.cloned()
        .ok_or_else(|| Problem::invalid("there are no containers"))
}

fn parse_env(wish: &str) -> Result<(&str, Option<&str>), Problem> {
    let (name, value) = match wish.split_once('=') {
        Some((name, value)) => (name, Some(value)),
        None => (wish.strip_suffix('-').unwrap_or_default(), None),
    };
    if name.is_empty() || name.contains(|letter: char| letter.is_control()) {
        return Err(Problem::invalid(format!(
            "{wish:?} is neither NAME=VALUE nor NAME-"
        )));
    }
    Ok((name, value))
}

/// An old value that came from elsewhere (`valueFrom`) shows as empty.
fn put_env(container: &mut Container, name: &str, value: Option<&str>) -> Change<Option<String>> {
    let all = container.env.get_or_insert_default();
    let place = all.iter().position(|variable| variable.name == name);
    let from = place.map(|place| all[place].value.clone().unwrap_or_default());
    match (place, value) {
        (None, None) => {}
        (Some(place), None) => drop(all.remove(place)),
        (place, Some(value)) => {
            let variable = EnvVar {
                name: name.to_owned(),
                value: Some(value.to_owned()).filter(|value| !value.is_empty()),
                value_from: None,
            };
            match place {
                Some(place) => all[place] = variable,
                None => all.push(variable),
            }
        }
    }
    if all.is_empty() {
        container.env = None;
    }
    Change {
        from,
        to: value.map(str::to_owned),
    }
}

/// Replaces what a container runs: the words become its command, and its arguments go.
pub fn set_command(
    pod: &mut PodSpec,
    container: Option<&str>,
    words: &[String],
) -> Result<Change<Vec<String>>, Problem> {
    if words.is_empty() {
        return Err(Problem::invalid("the new command is empty"));
    }
    let container = container_of(pod, container)?;
    let mut from = container
        .command
        .replace(words.to_vec())
        .unwrap_or_default();
    from.extend(container.args.take().unwrap_or_default());
    Ok(Change {
        from,
        to: words.to_vec(),
    })
}

/// Changes the index below which pets keep their revision; makes the strategy a rolling update.
pub fn set_partition(set: &mut StatefulSet, partition: u32) -> Result<Change<u32>, Problem> {
    let number = i32::try_from(partition)
        .map_err(|_| Problem::invalid(format!("partition {partition} is too large")))?;
    let strategy = spec_of(set)?.update_strategy.get_or_insert_default();
    if strategy.type_.as_deref() == Some("OnDelete") {
        let fault = "the set's update strategy is OnDelete, which has no partition";
        return Err(Problem::new(Kind::Conflict, fault));
    }
    *strategy = StatefulSetUpdateStrategy {
        type_: Some("RollingUpdate".to_owned()),
        rolling_update: Some(strategy.rolling_update.take().unwrap_or_default()),
    };
    let rolling = strategy.rolling_update.get_or_insert_default();
    let RollingUpdateStatefulSetStrategy {
        partition: place,
        max_unavailable: _,
    } = rolling;
    let from = place
        .replace(number)
        .and_then(|from| u32::try_from(from).ok());
    Ok(Change {
        from: from.unwrap_or(0),
        to: partition,
    })
}

/// Notes in the template that every pet is to be replaced once, as `kubectl rollout restart` does.
pub fn restart(set: &mut StatefulSet, now: Timestamp) -> Result<Change<Option<String>>, Problem> {
    let meta = spec_of(set)?.template.metadata.get_or_insert_default();
    let annotations = meta.annotations.get_or_insert_default();
    let to = format!("{now:.0}");
    let from = annotations.insert(RESTARTED_ANNOTATION.to_owned(), to.clone());
    Ok(Change { from, to: Some(to) })
}

/// Replaces what the pets of the set are made from.
pub(super) fn replace_template(
    set: &mut StatefulSet,
    template: PodTemplateSpec,
) -> Result<(), Problem> {
    spec_of(set)?.template = template;
    Ok(())
}

fn spec_of(set: &mut StatefulSet) -> Result<&mut StatefulSetSpec, Problem> {
    let fault = || Problem::new(Kind::Bug, "a stored set has no spec");
    set.spec.as_mut().ok_or_else(fault)
}

/// Returns the spec of the pets of a set, to change it.
pub fn pod_of(set: &mut StatefulSet) -> Result<&mut PodSpec, Problem> {
    let fault = || Problem::new(Kind::Bug, "a stored set has no pod template");
    spec_of(set)?.template.spec.as_mut().ok_or_else(fault)
}

/// Finds a container by name, or the only main one.
fn container_of<'a>(
    pod: &'a mut PodSpec,
    name: Option<&str>,
) -> Result<&'a mut Container, Problem> {
    let main = pod.containers.iter();
    let names: Vec<_> = main.map(|container| container.name.clone()).collect();
    let known = names.join(", ");
    let Some(name) = name else {
        return match pod.containers.as_mut_slice() {
            [only] => Ok(only),
            _ => Err(
                Problem::invalid(format!("there are several containers: {known}"))
                    .hint("name the one you mean"),
            ),
        };
    };
    let init = pod.init_containers.iter_mut().flatten();
    let mut all = pod.containers.iter_mut().chain(init);
    let missing = || {
        Problem::new(
            Kind::NotFound,
            format!("there is no container {name}, but {known}"),
        )
    };
    all.find(|container| container.name == name)
        .ok_or_else(missing)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn set() -> StatefulSet {
        let set = json!({"metadata": {"name": "web"}, "spec": {"replicas": 3,
            "selector": {}, "template": {"spec": {
                "initContainers": [{"name": "fetch", "image": "busybox"}],
                "containers": [{"name": "c", "image": "mydb:v1", "command": ["old"], "args": ["x"]}]}}}});
        serde_json::from_value(set).unwrap()
    }

    fn container(set: &StatefulSet) -> Container {
        let spec = set.spec.clone().unwrap().template.spec.unwrap();
        spec.containers[0].clone()
    }

    #[test]
    fn scaling_tells_what_it_changed_and_has_a_limit() {
        let mut set = set();
        let change = scale_to(&mut set, 5).unwrap();
        assert_eq!((change.from, change.to, change.is_real()), (3, 5, true));
        assert!(!scale_to(&mut set, 5).unwrap().is_real());
        assert!(scale_to(&mut set, MAX_REPLICAS + 1).is_err());
    }

    #[test]
    fn an_image_is_set_in_the_only_container_or_in_the_one_that_is_named() {
        let mut set = set();
        assert_eq!(
            set_image(pod_of(&mut set).unwrap(), "mydb:v2")
                .unwrap()
                .from,
            "mydb:v1"
        );
        set_image(pod_of(&mut set).unwrap(), "fetch=busybox:2").unwrap();
        assert_eq!(container(&set).image.as_deref(), Some("mydb:v2"));
        let problem = set_image(pod_of(&mut set).unwrap(), "d=mydb").unwrap_err();
        assert_eq!(problem.message, "there is no container d, but c");
        let pod = set.spec.as_mut().unwrap().template.spec.as_mut().unwrap();
        pod.containers.push(Container {
            name: "d".to_owned(),
            ..Container::default()
        });
        assert!(
            set_image(pod_of(&mut set).unwrap(), "mydb:v3").is_err(),
            "which one?"
        );
    }

    #[test]
    fn a_variable_is_set_replaced_and_removed() {
        let mut set = set();
        assert_eq!(
            set_env(pod_of(&mut set).unwrap(), None, "A=1")
                .unwrap()
                .from,
            None
        );
        assert_eq!(
            set_env(pod_of(&mut set).unwrap(), Some("c"), "A=2=3")
                .unwrap()
                .from
                .as_deref(),
            Some("1")
        );
        let env = container(&set).env.unwrap();
        assert_eq!(
            (env[0].name.as_str(), env[0].value.as_deref()),
            ("A", Some("2=3"))
        );
        assert_eq!(
            set_env(pod_of(&mut set).unwrap(), None, "A-").unwrap().to,
            None
        );
        assert_eq!(container(&set).env, None);
        assert!(set_env(pod_of(&mut set).unwrap(), None, "A").is_err());
        assert!(set_env(pod_of(&mut set).unwrap(), None, "=1").is_err());
    }

    #[test]
    fn a_command_replaces_the_arguments_too() {
        let mut set = set();
        let words = ["./new".to_owned(), "--fast".to_owned()];
        let change = set_command(pod_of(&mut set).unwrap(), None, &words).unwrap();
        assert_eq!(change.from, ["old", "x"]);
        assert_eq!(
            (container(&set).command, container(&set).args),
            (Some(words.to_vec()), None)
        );
        assert!(set_command(pod_of(&mut set).unwrap(), None, &[]).is_err());
    }

    #[test]
    fn a_partition_needs_a_rolling_update() {
        let mut set = set();
        assert_eq!(set_partition(&mut set, 2).unwrap().from, 0);
        let strategy = set.spec.as_ref().unwrap().update_strategy.clone().unwrap();
        assert_eq!(strategy.rolling_update.unwrap().partition, Some(2));
        let strategy = json!({"type": "OnDelete"});
        set.spec.as_mut().unwrap().update_strategy = serde_json::from_value(strategy).unwrap();
        assert!(set_partition(&mut set, 1).is_err());
    }

    #[test]
    fn a_restart_is_noted_in_the_template_as_kubectl_does() {
        let mut set = set();
        restart(&mut set, Timestamp::UNIX_EPOCH).unwrap();
        let annotations = set
            .spec
            .unwrap()
            .template
            .metadata
            .unwrap()
            .annotations
            .unwrap();
        assert_eq!(annotations[RESTARTED_ANNOTATION], "1970-01-01T00:00:00Z");
    }
}
