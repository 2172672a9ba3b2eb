//! Whether a pod of a DaemonSet belongs on a node (DS02, DS03, DS09-DS12).

use k8s_openapi::api::core::v1::{
    Affinity, Node, NodeAffinity, NodeSelector, NodeSelectorRequirement, NodeSelectorTerm, PodSpec,
    Taint, Toleration,
};

use crate::model::workload::pods;

const NAME_FIELD: &str = "metadata.name";

/// What a node is to a DaemonSet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fitness {
    /// A pod is to be made there.
    pub wants_pod: bool,
    /// A pod that is there may stay.
    pub keeps_pod: bool,
}

/// Judges a node for the pods of a template.
///
/// Its name, its labels and the required affinity have to fit. A taint that is not tolerated keeps
/// new pods away; only one of effect `NoExecute` drives out those that are there (DS09, DS10).
#[must_use]
pub fn fitness(node: &Node, template: &PodSpec) -> Fitness {
    let wanted = template.node_name.as_deref().unwrap_or_default();
    let is_named = wanted.is_empty() || wanted == pods::name_of(&node.metadata);
    if !is_named || !fits_labels(node, template) {
        return Fitness {
            wants_pod: false,
            keeps_pod: false,
        };
    }
    let mut tolerations = template.tolerations.clone().unwrap_or_default();
    tolerations.extend(added_tolerations(template));
    let taints = node.spec.as_ref().and_then(|spec| spec.taints.as_ref());
    let taints: Vec<_> = taints.into_iter().flatten().collect();
    let repels = |effects: &[&str]| {
        let mut meant = taints
            .iter()
            .filter(|taint| effects.contains(&taint.effect.as_str()));
        meant.any(|taint| {
            !tolerations
                .iter()
                .any(|toleration| tolerates(toleration, taint))
        })
    };
    Fitness {
        wants_pod: !repels(&["NoSchedule", "NoExecute"]),
        keeps_pod: !repels(&["NoExecute"]),
    }
}

/// Puts a pod on a node: by its affinity, with the tolerations that every such pod has (DS03).
pub(super) fn bind(spec: &mut PodSpec, node: &str) {
    let term = NodeSelectorTerm {
        match_fields: Some(vec![NodeSelectorRequirement {
            key: NAME_FIELD.to_owned(),
            operator: "In".to_owned(),
            values: Some(vec![node.to_owned()]),
        }]),
        match_expressions: None,
    };
    let affinity: &mut Affinity = spec.affinity.get_or_insert_default();
    let of_node: &mut NodeAffinity = affinity.node_affinity.get_or_insert_default();
    of_node.required_during_scheduling_ignored_during_execution = Some(NodeSelector {
        node_selector_terms: vec![term],
    });
    for added in added_tolerations(spec) {
        let tolerations = spec.tolerations.get_or_insert_default();
        let same = |known: &&mut Toleration| known.key == added.key && known.effect == added.effect;
        match tolerations.iter_mut().find(same) {
            Some(known) => *known = added,
            None => tolerations.push(added),
        }
    }
}

fn added_tolerations(template: &PodSpec) -> Vec<Toleration> {
    let toleration = |key: &str, effect: &str| Toleration {
        key: Some(format!("node.kubernetes.io/{key}")),
        operator: Some("Exists".to_owned()),
        effect: Some(effect.to_owned()),
        ..Toleration::default()
    };
    let mut added = vec![
        toleration("not-ready", "NoExecute"),
        toleration("unreachable", "NoExecute"),
        toleration("disk-pressure", "NoSchedule"),
        toleration("memory-pressure", "NoSchedule"),
        toleration("pid-pressure", "NoSchedule"),
        toleration("unschedulable", "NoSchedule"),
    ];
    if template.host_network == Some(true) {
        added.push(toleration("network-unavailable", "NoSchedule"));
    }
    added
}

fn tolerates(toleration: &Toleration, taint: &Taint) -> bool {
    let is_any = |wanted: &Option<String>, value: &str| {
        wanted
            .as_deref()
            .is_none_or(|wanted| wanted.is_empty() || wanted == value)
    };
    let value = taint.value.as_deref().unwrap_or_default();
    let fits = match toleration.operator.as_deref() {
        Some("Exists") => true,
        None | Some("" | "Equal") => toleration.value.as_deref().unwrap_or_default() == value,
        Some(_) => false,
    };
    is_any(&toleration.effect, &taint.effect) && is_any(&toleration.key, &taint.key) && fits
}

fn fits_labels(node: &Node, template: &PodSpec) -> bool {
    let mut selected = template.node_selector.iter().flatten();
    let affinity = template
        .affinity
        .as_ref()
        .and_then(|affinity| affinity.node_affinity.as_ref());
    let required = affinity.and_then(|affinity| {
        affinity
            .required_during_scheduling_ignored_during_execution
            .as_ref()
    });
    selected.all(|(key, value)| pods::label(&node.metadata, key) == Some(value))
        && required.is_none_or(|required| {
            let mut terms = required.node_selector_terms.iter();
            terms.any(|term| fits_term(node, term))
        })
}

/// Returns whether a node fits all of a term; a term that says nothing fits none.
fn fits_term(node: &Node, term: &NodeSelectorTerm) -> bool {
    let name = pods::name_of(&node.metadata);
    let fields = term.match_fields.as_deref().unwrap_or_default();
    let labels = term.match_expressions.as_deref().unwrap_or_default();
    let fits_label =
        |wish: &NodeSelectorRequirement| fits(wish, pods::label(&node.metadata, &wish.key));
    !(fields.is_empty() && labels.is_empty())
        && fields
            .iter()
            .all(|wish| wish.key == NAME_FIELD && fits(wish, Some(name)))
        && labels.iter().all(fits_label)
}

fn fits(wish: &NodeSelectorRequirement, value: Option<&str>) -> bool {
    let values = wish.values.as_deref().unwrap_or_default();
    let is_listed = value.is_some_and(|value| values.iter().any(|wanted| wanted == value));
    let number = |text: Option<&str>| text.and_then(|text| text.parse::<i64>().ok());
    let (one, two) = (number(value), number(values.first().map(String::as_str)));
    match wish.operator.as_str() {
        "In" => is_listed,
        "NotIn" => !is_listed,
        "Exists" => value.is_some(),
        "DoesNotExist" => value.is_none(),
        "Gt" => one.zip(two).is_some_and(|(one, two)| one > two),
        "Lt" => one.zip(two).is_some_and(|(one, two)| one < two),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn judged(node: Value, template: Value) -> (bool, bool) {
        let mut whole =
            json!({"metadata": {"name": "n", "labels": {"disk": "ssd", "size": "5"}}, "spec": {}});
        whole["spec"] = node;
        let mut spec = template;
        spec["containers"] = json!([]);
        let found = fitness(
            &serde_json::from_value(whole).unwrap(),
            &serde_json::from_value(spec).unwrap(),
        );
        (found.wants_pod, found.keeps_pod)
    }

    fn affinity(terms: Value) -> Value {
        json!({"affinity": {"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution":
            {"nodeSelectorTerms": terms}}}})
    }

    #[test]
    fn a_node_fits_by_its_name_its_labels_and_its_taints() {
        // DS02, DS09, DS10, DS12
        let tainted =
            |effect: &str| json!({"taints": [{"key": "a", "value": "b", "effect": effect}]});
        let cordoned = json!({"taints": [{"key": "node.kubernetes.io/unschedulable", "effect": "NoSchedule"}]});
        let label = |operator: &str, values: Value| {
            affinity(
                json!([{"matchExpressions": [{"key": "size", "operator": operator, "values": values}]}]),
            )
        };
        for (node, template, wanted) in [
            (json!({}), json!({}), (true, true)),
            (json!({}), json!({"nodeName": "other"}), (false, false)),
            (
                json!({}),
                json!({"nodeSelector": {"disk": "ssd"}}),
                (true, true),
            ),
            (
                json!({}),
                json!({"nodeSelector": {"disk": "hdd"}}),
                (false, false),
            ),
            (tainted("NoSchedule"), json!({}), (false, true)),
            (tainted("NoExecute"), json!({}), (false, false)),
            (tainted("PreferNoSchedule"), json!({}), (true, true)),
            (
                tainted("NoExecute"),
                json!({"tolerations": [{"key": "a", "value": "b"}]}),
                (true, true),
            ),
            (
                tainted("NoExecute"),
                json!({"tolerations": [{"key": "a", "value": "c"}]}),
                (false, false),
            ),
            (
                tainted("NoExecute"),
                json!({"tolerations": [{"operator": "Exists"}]}),
                (true, true),
            ),
            (cordoned, json!({}), (true, true)),
            (json!({}), label("In", json!(["4", "5"])), (true, true)),
            (json!({}), label("NotIn", json!(["5"])), (false, false)),
            (json!({}), label("Gt", json!(["4"])), (true, true)),
            (json!({}), label("Lt", json!(["4"])), (false, false)),
            (
                json!({}),
                label("DoesNotExist", json!(null)),
                (false, false),
            ),
            (json!({}), affinity(json!([{}])), (false, false)),
            (
                json!({}),
                affinity(
                    json!([{}, {"matchFields": [{"key": "metadata.name", "operator": "In", "values": ["n"]}]}]),
                ),
                (true, true),
            ),
        ] {
            assert_eq!(
                judged(node.clone(), template.clone()),
                wanted,
                "{node} {template}"
            );
        }
    }
}
