//! Workloads without a manifest, as `kubectl create deployment|job|cronjob` writes them
//! (`create_deployment.go`, `create_job.go` and `create_cronjob.go` of kubectl).

use std::collections::BTreeMap;

use k8s_openapi::api::apps::v1::{
    Deployment, DeploymentSpec, DeploymentStatus, DeploymentStrategy,
};
use k8s_openapi::api::batch::v1::{
    CronJob, CronJobSpec, CronJobStatus, Job, JobSpec, JobStatus, JobTemplateSpec,
};
use k8s_openapi::api::core::v1::{
    Container, ContainerPort, PodSpec, PodTemplateSpec, ResourceRequirements,
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{LabelSelector, ObjectMeta, OwnerReference};

use crate::manifest::defaults::complete_workload;
use crate::manifest::validate::validate_workload;
use crate::model::kind::ObjectKind;
use crate::model::{Namespace, ObjectName, Workload};
use crate::problem::Problem;

/// The annotation of a Job that a user has made from a CronJob.
const INSTANTIATED: &str = "cronjob.kubernetes.io/instantiate";

/// The pods of a workload as the command line describes them.
#[derive(Debug, Clone, Default)]
pub(crate) struct PodOptions {
    /// An image for each container.
    pub(crate) images: Vec<String>,
    /// The program of the only container, and its arguments.
    pub(crate) command: Vec<String>,
}

/// Returns a Deployment; the containers are named after their images, and the first has the port.
pub(crate) fn deployment(
    name: &ObjectName,
    namespace: &Namespace,
    pods: &PodOptions,
    (replicas, port): (u32, Option<u16>),
) -> Result<Workload, Problem> {
    if pods.images.len() > 1 && !pods.command.is_empty() {
        let message = "cannot specify multiple --image options and command";
        return Err(Problem::invalid(message));
    }
    let labels = BTreeMap::from([("app".to_owned(), name.to_string())]);
    let mut containers: Vec<Container> = pods
        .images
        .iter()
        .map(|image| container(&name_of_image(image), image, &pods.command))
        .collect();
    if let (Some(port), Some(first)) = (port, containers.first_mut()) {
        first.ports = Some(vec![ContainerPort {
            container_port: i32::from(port),
            ..ContainerPort::default()
        }]);
    }
    let mut metadata = metadata(name, namespace);
    metadata.labels = Some(labels.clone());
    let template = ObjectMeta {
        labels: Some(labels.clone()),
        ..ObjectMeta::default()
    };
    let replicas = i32::try_from(replicas)
        .map_err(|_| Problem::invalid(format!("{replicas} replicas are too many")))?;
    let spec = DeploymentSpec {
        replicas: Some(replicas),
        selector: LabelSelector {
            match_labels: Some(labels),
            match_expressions: None,
        },
        strategy: Some(DeploymentStrategy::default()),
        template: self::template(template, containers, None),
        ..DeploymentSpec::default()
    };
    Ok(Workload::Deployment(Deployment {
        metadata,
        spec: Some(spec),
        status: Some(DeploymentStatus::default()),
    }))
}

/// Returns a Job that runs a program once; its container is named after it.
pub(crate) fn job(name: &ObjectName, namespace: &Namespace, pods: &PodOptions) -> Workload {
    Workload::Job(Job {
        metadata: metadata(name, namespace),
        spec: Some(JobSpec {
            template: runs_once(name, pods, "Never"),
            ..JobSpec::default()
        }),
        status: Some(JobStatus::default()),
    })
}

/// Returns the Job that a CronJob would make at its time.
pub(crate) fn job_of_cron_job(name: &ObjectName, cron_job: &CronJob) -> Workload {
    let made = cron_job.spec.job_template.clone();
    let given = made.metadata.unwrap_or_default();
    let mut annotations = given.annotations.unwrap_or_default();
    annotations.insert(INSTANTIATED.to_owned(), "manual".to_owned());
    let owner = OwnerReference {
        api_version: "batch/v1".to_owned(),
        kind: "CronJob".to_owned(),
        name: cron_job.metadata.name.clone().unwrap_or_default(),
        uid: cron_job.metadata.uid.clone().unwrap_or_default(),
        controller: Some(true),
        block_owner_deletion: None,
    };
    Workload::Job(Job {
        metadata: ObjectMeta {
            name: Some(name.to_string()),
            namespace: cron_job.metadata.namespace.clone(),
            annotations: Some(annotations),
            labels: given.labels,
            owner_references: Some(vec![owner]),
            ..ObjectMeta::default()
        },
        spec: made.spec,
        status: Some(JobStatus::default()),
    })
}

/// Returns a CronJob that runs a program at the times of a schedule.
pub(crate) fn cron_job(
    name: &ObjectName,
    namespace: &Namespace,
    pods: &PodOptions,
    (schedule, restart): (&str, &str),
) -> Workload {
    let made = JobTemplateSpec {
        metadata: Some(ObjectMeta {
            name: Some(name.to_string()),
            ..ObjectMeta::default()
        }),
        spec: Some(JobSpec {
            template: runs_once(name, pods, restart),
            ..JobSpec::default()
        }),
    };
    Workload::CronJob(CronJob {
        metadata: metadata(name, namespace),
        spec: CronJobSpec {
            schedule: schedule.to_owned(),
            job_template: made,
            ..CronJobSpec::default()
        },
        status: Some(CronJobStatus::default()),
    })
}

/// Checks a workload that was generated as one of a manifest is, in the API server's words.
pub(crate) fn check_generated(workload: &Workload) -> Result<(), Problem> {
    let mut complete = workload.clone();
    let uid = "00000000-0000-0000-0000-000000000000";
    complete_workload(&mut complete, uid);
    let faults = validate_workload(&complete, true, uid);
    if faults.is_empty() {
        return Ok(());
    }
    let kind = ObjectKind::Workload(workload.kind()).with_group();
    let name = workload.metadata().name.as_deref().unwrap_or_default();
    Err(Problem::invalid(faults.about(&kind, name)))
}

fn metadata(name: &ObjectName, namespace: &Namespace) -> ObjectMeta {
    ObjectMeta {
        name: Some(name.to_string()),
        namespace: Some(namespace.to_string()),
        ..ObjectMeta::default()
    }
}

fn runs_once(name: &ObjectName, pods: &PodOptions, restart: &str) -> PodTemplateSpec {
    let images = pods.images.iter();
    let containers = images.map(|image| container(name.as_str(), image, &pods.command));
    template(ObjectMeta::default(), containers.collect(), Some(restart))
}

fn template(
    metadata: ObjectMeta,
    containers: Vec<Container>,
    restart: Option<&str>,
) -> PodTemplateSpec {
    PodTemplateSpec {
        metadata: Some(metadata),
        spec: Some(PodSpec {
            containers,
            restart_policy: restart.map(str::to_owned),
            ..PodSpec::default()
        }),
    }
}

fn container(name: &str, image: &str, command: &[String]) -> Container {
    Container {
        name: name.to_owned(),
        image: Some(image.to_owned()),
        command: (!command.is_empty()).then(|| command.to_vec()),
        resources: Some(ResourceRequirements::default()),
        ..Container::default()
    }
}

/// Returns the last word of an image without its tag, as a label: `repo/My_img:v1` is `my-img`.
fn name_of_image(image: &str) -> String {
    let last = image.rsplit('/').next().unwrap_or(image);
    let plain = last.split([':', '@']).next().unwrap_or(last);
    let letter = |c: char| match c.to_ascii_lowercase() {
        c if c.is_ascii_alphanumeric() => c,
        _ => '-',
    };
    let name: String = plain.chars().map(letter).take(63).collect();
    name.trim_matches('-').to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::yaml;

    fn yaml_of(workload: &Workload) -> String {
        check_generated(workload).unwrap();
        yaml::to_string(&workload.to_json().unwrap()).unwrap()
    }

    fn pods(images: &[&str], command: &[&str]) -> PodOptions {
        let owned = |words: &[&str]| words.iter().map(|&word| word.to_owned()).collect();
        PodOptions {
            images: owned(images),
            command: owned(command),
        }
    }

    fn place(name: &str) -> (ObjectName, Namespace) {
        (name.parse().unwrap(), "ns".parse().unwrap())
    }

    #[test]
    fn a_deployment_is_written_as_kubectl_writes_it() {
        let (name, namespace) = place("two");
        let images = pods(&["img:v1", "repo/Other_img@sha256:0"], &[]);
        let two = deployment(&name, &namespace, &images, (1, Some(80))).unwrap();
        let text = "\
apiVersion: apps/v1
kind: Deployment
metadata:
  labels:
    app: two
  name: two
  namespace: ns
spec:
  replicas: 1
  selector:
    matchLabels:
      app: two
  strategy: {}
  template:
    metadata:
      labels:
        app: two
    spec:
      containers:
      - image: img:v1
        name: img
        ports:
        - containerPort: 80
        resources: {}
      - image: repo/Other_img@sha256:0
        name: other-img
        resources: {}
status: {}
";
        assert_eq!(yaml_of(&two), text);
        let images = pods(&["a", "b"], &["sleep"]);
        assert!(deployment(&name, &namespace, &images, (1, None)).is_err());
    }

    #[test]
    fn jobs_are_written_as_kubectl_writes_them() {
        let (name, namespace) = place("more");
        let date = pods(&["img:exit0"], &["date"]);
        let text = "\
apiVersion: batch/v1
kind: Job
metadata:
  name: more
  namespace: ns
spec:
  template:
    metadata: {}
    spec:
      containers:
      - command:
        - date
        image: img:exit0
        name: more
        resources: {}
      restartPolicy: Never
status: {}
";
        assert_eq!(yaml_of(&job(&name, &namespace, &date)), text);
        let (name, namespace) = place("c2");
        let daily = cron_job(&name, &namespace, &date, ("@daily", "Never"));
        let text = "\
apiVersion: batch/v1
kind: CronJob
metadata:
  name: c2
  namespace: ns
spec:
  jobTemplate:
    metadata:
      name: c2
    spec:
      template:
        metadata: {}
        spec:
          containers:
          - command:
            - date
            image: img:exit0
            name: c2
            resources: {}
          restartPolicy: Never
  schedule: '@daily'
status: {}
";
        assert_eq!(yaml_of(&daily), text);
        let Workload::CronJob(mut daily) = daily else {
            panic!("it is a CronJob")
        };
        daily.metadata.uid = Some("u".to_owned());
        let (hand, _) = place("hand");
        let made = job_of_cron_job(&hand, &daily);
        let meta = made.metadata();
        assert_eq!(meta.annotations.as_ref().unwrap()[INSTANTIATED], "manual");
        assert_eq!(meta.owner_references.as_ref().unwrap()[0].uid, "u");
    }

    #[test]
    fn what_the_api_server_would_refuse_is_refused() {
        let (name, namespace) = place("c2");
        let bad = cron_job(&name, &namespace, &pods(&["i"], &[]), ("bad", "Never"));
        let message = "CronJob.batch \"c2\" is invalid: spec.schedule: Invalid value: \"bad\": \
                       expected exactly 5 fields, found 1: [bad]";
        assert_eq!(check_generated(&bad).unwrap_err().message, message);
    }
}
