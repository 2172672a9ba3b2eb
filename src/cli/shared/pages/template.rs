//! The description of a pod template.

use k8s_openapi::api::core::v1::{PodTemplateSpec, Toleration};

use super::page::Page;
use super::{container, volumes};

/// Describes a pod template.
pub(crate) fn template(template: &PodTemplateSpec) -> String {
    let mut page = Page::default();
    write_template(template, &mut page);
    page.to_string()
}

/// Adds a pod template to a page, as `kubectl describe` has it.
pub(crate) fn write_template(template: &PodTemplateSpec, page: &mut Page) {
    page.heading(0, "Pod Template");
    let meta = template.metadata.clone().unwrap_or_default();
    page.pairs(1, "Labels", "=", meta.labels.as_ref());
    if meta.annotations.is_some() {
        page.pairs(1, "Annotations", ": ", meta.annotations.as_ref());
    }
    let Some(pod) = &template.spec else {
        return;
    };
    if let Some(account) = pod
        .service_account_name
        .as_ref()
        .filter(|it| !it.is_empty())
    {
        page.field(1, "Service Account", account);
    }
    let init = pod.init_containers.as_deref().unwrap_or_default();
    for (heading, containers) in [("Init Containers", init), ("Containers", &pod.containers)] {
        if containers.is_empty() {
            continue;
        }
        page.heading(1, heading);
        for spec in containers {
            page.heading(2, &spec.name);
            container::write_template(spec, 3, page);
        }
    }
    let given = pod.volumes.as_deref().unwrap_or_default();
    volumes::write(1, given, None, page);
    if let Some(class) = pod.priority_class_name.as_ref().filter(|it| !it.is_empty()) {
        page.field(1, "Priority Class Name", class);
    }
    page.pairs(1, "Node-Selectors", "=", pod.node_selector.as_ref());
    let tolerations = pod.tolerations.iter().flatten().map(toleration);
    page.list(1, "Tolerations", &tolerations.collect::<Vec<_>>());
}

/// Writes a toleration as kubectl does: `disk=ssd:NoExecute for 300s`, `gpu op=Exists`.
fn toleration(toleration: &Toleration) -> String {
    let part = |mark: &str, part: &Option<String>| {
        let part = part.as_deref().filter(|part| !part.is_empty());
        part.map(|part| format!("{mark}{part}")).unwrap_or_default()
    };
    let value = part("=", &toleration.value);
    let mut words = vec![format!(
        "{}{value}{}",
        part("", &toleration.key),
        part(":", &toleration.effect)
    )];
    if toleration.operator.as_deref() == Some("Exists") && value.is_empty() {
        words.push("op=Exists".to_owned());
    }
    if let Some(seconds) = toleration.toleration_seconds {
        words.push(format!("for {seconds}s"));
    }
    words.retain(|word| !word.is_empty());
    words.join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_toleration_is_one_line() {
        let line = |key: &str, operator: &str, value: &str, effect: &str, seconds| {
            let text = |text: &str| Some(text.to_owned());
            toleration(&Toleration {
                key: text(key),
                operator: text(operator),
                value: text(value),
                effect: text(effect),
                toleration_seconds: seconds,
            })
        };
        let ready = "node.kubernetes.io/not-ready";
        assert_eq!(
            line(ready, "Exists", "", "NoExecute", Some(300)),
            "node.kubernetes.io/not-ready:NoExecute op=Exists for 300s"
        );
        assert_eq!(line("disk", "Equal", "ssd", "", None), "disk=ssd");
        assert_eq!(line("", "Exists", "", "", None), "op=Exists");
    }
}
