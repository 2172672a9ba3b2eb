//! A set without a manifest: what `petset create web --replicas 3 -- CMD` stands for.

mod workloads;

use std::collections::BTreeMap;

use k8s_openapi::api::apps::v1::{StatefulSet, StatefulSetSpec};
use k8s_openapi::api::core::v1::{
    Container, ContainerPort, EnvVar, ExecAction, HTTPGetAction, PersistentVolumeClaim,
    PersistentVolumeClaimSpec, PodSpec, PodTemplateSpec, Probe, Service, ServicePort, ServiceSpec,
    TCPSocketAction, VolumeMount, VolumeResourceRequirements,
};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{LabelSelector, ObjectMeta};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;

use super::defaults::{complete_set, default_service};
use super::fault::Faults;
use super::validate::{validate_service, validate_stateful_set};
use crate::model::object::Object;
use crate::model::{Namespace, SetName};
use crate::problem::{Problem, Result};

pub(crate) use workloads::{
    PodOptions, check_generated, cron_job, deployment, job, job_of_cron_job,
};

/// The image of a set that names none: a label, as the program is taken from PATH.
pub(crate) const NO_IMAGE: &str = "local";

/// A set as the command line describes it; the texts are as they were typed.
#[derive(Debug, Clone, Default)]
pub(crate) struct CreateOptions {
    /// How many pets.
    pub(crate) replicas: u32,
    /// All at once instead of one after the other.
    pub(crate) parallel: bool,
    /// The image; without one a command is needed.
    pub(crate) image: Option<String>,
    /// The program and its arguments.
    pub(crate) command: Vec<String>,
    /// `8080` or `http=8080`.
    pub(crate) ports: Vec<String>,
    /// `data` or `data:/path`.
    pub(crate) volumes: Vec<String>,
    /// `NAME=value`.
    pub(crate) env: Vec<String>,
    /// Shell lines to run before, in order.
    pub(crate) init: Vec<String>,
    /// `http:/path`, `tcp` or `exec:line`, each with an optional port: `http:8080/path`.
    pub(crate) ready: Option<String>,
}

/// Writes the manifest that a wish stands for: a set and its headless service.
pub(crate) fn generate(
    name: &SetName,
    namespace: &Namespace,
    wish: &CreateOptions,
) -> Result<Vec<Object>> {
    if wish.command.is_empty() && wish.image.is_none() {
        let problem = Problem::invalid(format!("set {name} has nothing to run"));
        let hint = "name a program after `--`, or an image with --image";
        return Err(problem.hint(hint).into());
    }
    let mut set = set(name, namespace, wish)?;
    complete_set(&mut set);
    let mut service = service(name, namespace, wish)?;
    default_service(&mut service);
    refuse(&validate_stateful_set(&set, true), "StatefulSet.apps", name)?;
    refuse(&validate_service(&service), "Service", name)?;
    Ok(vec![
        Object::Service(Box::new(service)),
        Object::StatefulSet(Box::new(set)),
    ])
}

fn refuse(faults: &Faults, kind: &str, name: &SetName) -> Result<()> {
    if faults.is_empty() {
        return Ok(());
    }
    Err(Problem::invalid(faults.about(kind, name.as_str())).into())
}

fn metadata(name: &SetName, namespace: &Namespace) -> ObjectMeta {
    ObjectMeta {
        name: Some(name.to_string()),
        namespace: Some(namespace.to_string()),
        labels: Some(labels(name)),
        ..ObjectMeta::default()
    }
}

fn labels(name: &SetName) -> BTreeMap<String, String> {
    BTreeMap::from([("app".to_owned(), name.to_string())])
}

fn set(name: &SetName, namespace: &Namespace, wish: &CreateOptions) -> Result<StatefulSet> {
    let volumes: Vec<(String, String)> = wish.volumes.iter().map(|text| volume(text)).collect();
    let policy = if wish.parallel {
        "Parallel"
    } else {
        "OrderedReady"
    };
    let replicas = i32::try_from(wish.replicas).unwrap_or(i32::MAX);
    let spec = StatefulSetSpec {
        replicas: Some(replicas),
        pod_management_policy: Some(policy.to_owned()),
        service_name: Some(name.to_string()),
        selector: LabelSelector {
            match_labels: Some(labels(name)),
            match_expressions: None,
        },
        template: PodTemplateSpec {
            metadata: Some(ObjectMeta {
                labels: Some(labels(name)),
                ..ObjectMeta::default()
            }),
            spec: Some(pod(name, wish, &volumes)?),
        },
        volume_claim_templates: (!volumes.is_empty())
            .then(|| volumes.iter().map(|(volume, _)| claim(volume)).collect()),
        ..StatefulSetSpec::default()
    };
    Ok(StatefulSet {
        metadata: metadata(name, namespace),
        spec: Some(spec),
        status: None,
    })
}

fn pod(name: &SetName, wish: &CreateOptions, volumes: &[(String, String)]) -> Result<PodSpec> {
    let env: Vec<EnvVar> = wish
        .env
        .iter()
        .map(|text| variable(text))
        .collect::<Result<_>>()?;
    let mounts: Vec<VolumeMount> = volumes
        .iter()
        .map(|(volume, path)| VolumeMount {
            name: volume.clone(),
            mount_path: path.clone(),
            ..VolumeMount::default()
        })
        .collect();
    let image = wish.image.clone().unwrap_or_else(|| NO_IMAGE.to_owned());
    let ports: Vec<(Option<String>, i32)> = wish
        .ports
        .iter()
        .map(|text| port(text))
        .collect::<Result<_>>()?;
    let common = Container {
        image: Some(image),
        env: (!env.is_empty()).then_some(env),
        volume_mounts: (!mounts.is_empty()).then_some(mounts),
        ..Container::default()
    };
    let init = wish.init.iter().enumerate().map(|(index, line)| Container {
        name: format!("init-{index}"),
        command: Some(shell(line)),
        ..common.clone()
    });
    let main = Container {
        name: name.to_string(),
        command: (!wish.command.is_empty()).then(|| wish.command.clone()),
        ports: (!ports.is_empty()).then(|| ports.iter().map(container_port).collect()),
        readiness_probe: wish
            .ready
            .as_deref()
            .map(|text| probe(text, &ports))
            .transpose()?,
        ..common.clone()
    };
    Ok(PodSpec {
        init_containers: (!wish.init.is_empty()).then(|| init.collect()),
        containers: vec![main],
        ..PodSpec::default()
    })
}

fn shell(line: &str) -> Vec<String> {
    ["sh", "-c", line].map(str::to_owned).to_vec()
}

fn container_port((name, number): &(Option<String>, i32)) -> ContainerPort {
    ContainerPort {
        name: name.clone(),
        container_port: *number,
        ..ContainerPort::default()
    }
}

fn service(name: &SetName, namespace: &Namespace, wish: &CreateOptions) -> Result<Service> {
    let ports: Vec<(Option<String>, i32)> = wish
        .ports
        .iter()
        .map(|text| port(text))
        .collect::<Result<_>>()?;
    let several = ports.len() > 1;
    let ports: Vec<ServicePort> = ports
        .into_iter()
        .map(|(name, number)| ServicePort {
            name: name.or_else(|| several.then(|| format!("port-{number}"))),
            port: number,
            ..ServicePort::default()
        })
        .collect();
    let spec = ServiceSpec {
        cluster_ip: Some("None".to_owned()),
        selector: Some(labels(name)),
        ports: (!ports.is_empty()).then_some(ports),
        ..ServiceSpec::default()
    };
    Ok(Service {
        metadata: metadata(name, namespace),
        spec: Some(spec),
        status: None,
    })
}

fn claim(name: &str) -> PersistentVolumeClaim {
    let size = BTreeMap::from([("storage".to_owned(), Quantity("1Gi".to_owned()))]);
    PersistentVolumeClaim {
        metadata: ObjectMeta {
            name: Some(name.to_owned()),
            ..ObjectMeta::default()
        },
        spec: Some(PersistentVolumeClaimSpec {
            access_modes: Some(vec!["ReadWriteOnce".to_owned()]),
            resources: Some(VolumeResourceRequirements {
                requests: Some(size),
                limits: None,
            }),
            ..PersistentVolumeClaimSpec::default()
        }),
        status: None,
    }
}

/// Reads `data:/path`; without a path it is `/data`.
fn volume(text: &str) -> (String, String) {
    match text.split_once(':') {
        Some((name, path)) => (name.to_owned(), path.to_owned()),
        None => (text.to_owned(), format!("/{text}")),
    }
}

/// Reads `http=8080` or `8080`.
fn port(text: &str) -> Result<(Option<String>, i32)> {
    let (name, number) = match text.split_once('=') {
        Some((name, number)) => (Some(name.to_owned()), number),
        None => (None, text),
    };
    Ok((name, port_number(number, text)?))
}

fn port_number(number: &str, text: &str) -> Result<i32> {
    match number.parse::<u16>() {
        Ok(number) if number > 0 => Ok(i32::from(number)),
        _ => {
            let problem = Problem::invalid(format!("{text:?} is not a port"));
            Err(problem
                .hint("a port is a number up to 65535, or NAME=NUMBER")
                .into())
        }
    }
}

fn variable(text: &str) -> Result<EnvVar> {
    match text.split_once('=') {
        Some((name, value)) if !name.is_empty() => Ok(EnvVar {
            name: name.to_owned(),
            value: Some(value.to_owned()),
            value_from: None,
        }),
        Some(_) | None => {
            let problem = Problem::invalid(format!("{text:?} is not an environment variable"));
            Err(problem.hint("write NAME=value").into())
        }
    }
}

/// Reads `http:/path`, `http:8080/path`, `tcp`, `tcp:8080` or `exec:line`.
///
/// Without a port it is the first of the set's.
fn probe(text: &str, ports: &[(Option<String>, i32)]) -> Result<Probe> {
    let (kind, rest) = text.split_once(':').unwrap_or((text, ""));
    let port = |given: &str| match (given, ports.first()) {
        ("", Some((_, first))) => Ok(IntOrString::Int(*first)),
        ("", None) => {
            let problem = Problem::invalid(format!("--ready {text} needs a port"));
            Err(anyhow::Error::from(
                problem.hint("give the set one with --port"),
            ))
        }
        (given, _) => Ok(IntOrString::Int(port_number(given, text)?)),
    };
    let mut probe = Probe::default();
    match kind {
        "http" => {
            let (number, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
            probe.http_get = Some(HTTPGetAction {
                port: port(number)?,
                path: Some(path.to_owned()),
                ..HTTPGetAction::default()
            });
        }
        "tcp" => {
            probe.tcp_socket = Some(TCPSocketAction {
                port: port(rest)?,
                host: None,
            });
        }
        "exec" if !rest.is_empty() => {
            probe.exec = Some(ExecAction {
                command: Some(shell(rest)),
            });
        }
        _ => {
            let problem = Problem::invalid(format!("{text:?} is not a readiness probe"));
            let hint = "write http:/path, tcp, or exec:COMMAND";
            return Err(problem.hint(hint).into());
        }
    }
    Ok(probe)
}

#[cfg(test)]
mod tests {
    use super::super::load;
    use super::*;
    use crate::yaml;

    fn generated(wish: &CreateOptions) -> Result<Vec<Object>> {
        generate(&"web".parse().unwrap(), &Namespace::default(), wish)
    }

    fn full() -> CreateOptions {
        let text = |text: &str| text.to_owned();
        CreateOptions {
            replicas: 3,
            command: vec![text("./server"), text("--listen"), text("$(POD_IP):8080")],
            ports: vec![text("http=8080"), text("9090")],
            volumes: vec![text("data"), text("logs:/var/log/web")],
            env: vec![text("K=a=b")],
            init: vec![text("petset discover > peers")],
            ready: Some(text("http:/healthz")),
            ..CreateOptions::default()
        }
    }

    #[test]
    fn a_wish_becomes_a_set_and_its_headless_service() {
        let objects = generated(&full()).unwrap();
        let [Object::Service(service), Object::StatefulSet(set)] = objects.as_slice() else {
            panic!("{objects:?}");
        };
        let spec = service.spec.as_ref().unwrap();
        assert_eq!(spec.cluster_ip.as_deref(), Some("None"));
        let ports = spec.ports.as_ref().unwrap();
        let names: Vec<_> = ports.iter().map(|port| port.name.as_deref()).collect();
        assert_eq!(names, [Some("http"), Some("port-9090")]);
        let pod = set.spec.as_ref().unwrap().template.spec.as_ref().unwrap();
        let main = &pod.containers[0];
        assert_eq!(main.env.as_ref().unwrap()[0].value.as_deref(), Some("a=b"));
        let mounts = main.volume_mounts.as_ref().unwrap();
        let mounts: Vec<_> = mounts
            .iter()
            .map(|mount| mount.mount_path.as_str())
            .collect();
        assert_eq!(mounts, ["/data", "/var/log/web"]);
        let get = main
            .readiness_probe
            .as_ref()
            .unwrap()
            .http_get
            .as_ref()
            .unwrap();
        assert_eq!(
            (&get.port, get.path.as_deref()),
            (&IntOrString::Int(8080), Some("/healthz"))
        );
        let init = &pod.init_containers.as_ref().unwrap()[0];
        let line = ["sh", "-c", "petset discover > peers"];
        assert_eq!(init.command.as_ref().unwrap(), &line);
    }

    #[test]
    fn what_is_generated_reads_back_as_a_manifest() {
        for object in generated(&full()).unwrap() {
            let text = yaml::to_string(&object.to_json().unwrap()).unwrap();
            let source = super::super::Source {
                name: "web.yaml".to_owned(),
                text,
            };
            let loaded = load(&[source], &Namespace::default()).unwrap();
            assert_eq!(loaded.objects, [object]);
        }
    }

    #[test]
    fn a_wish_that_cannot_be_is_refused_with_advice() {
        let with = |change: fn(&mut CreateOptions)| {
            let mut wish = full();
            change(&mut wish);
            generated(&wish).unwrap_err().to_string()
        };
        type Case = (fn(&mut CreateOptions), &'static str);
        let cases: [Case; 8] = [
            (|wish| wish.command.clear(), "set web has nothing to run"),
            (
                |wish| wish.ports = vec!["http=0".to_owned()],
                "\"http=0\" is not a port",
            ),
            (
                |wish| wish.ports = vec!["99999".to_owned()],
                "\"99999\" is not a port",
            ),
            (
                |wish| wish.env = vec!["K".to_owned()],
                "\"K\" is not an environment variable",
            ),
            (
                |wish| wish.ready = Some("soon".to_owned()),
                "\"soon\" is not a readiness probe",
            ),
            (
                |wish| {
                    wish.ports.clear();
                    wish.ready = Some("tcp".to_owned());
                },
                "--ready tcp needs a port",
            ),
            (
                |wish| wish.replicas = 10_001,
                "StatefulSet.apps \"web\" is invalid: spec.replicas: Invalid value: 10001: a set has at most 10000 pets",
            ),
            (
                |wish| wish.volumes = vec!["a/b".to_owned()],
                "StatefulSet.apps \"web\" is invalid: [spec.template.spec.volumes[0].name: ",
            ),
        ];
        for (change, message) in cases {
            let found = with(change);
            assert!(found.starts_with(message), "{found}");
        }
    }
}
