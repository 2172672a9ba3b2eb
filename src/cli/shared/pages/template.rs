//! The description of a pod template.

use k8s_openapi::api::apps::v1::StatefulSetSpec;

use super::page::Page;
use super::{container, volumes};

/// Describes the pod template of a set.
pub(crate) fn template(spec: &StatefulSetSpec) -> String {
    let mut page = Page::default();
    write_template(spec, &mut page);
    page.to_string()
}

/// Adds the pod template of a set to a page.
pub(crate) fn write_template(spec: &StatefulSetSpec, page: &mut Page) {
    page.heading(0, "Pod Template");
    let meta = spec.template.metadata.clone().unwrap_or_default();
    page.pairs(1, "Labels", "=", meta.labels.as_ref());
    if meta.annotations.is_some() {
        page.pairs(1, "Annotations", ": ", meta.annotations.as_ref());
    }
    let Some(pod) = &spec.template.spec else {
        return;
    };
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
}
