//! Selectors as kubectl prints them.

use std::collections::BTreeMap;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;

use crate::sorted::sort_by;

const NONE: &str = "<none>";

/// Prints a selector: `app=web,tier in (a,b),!old`, sorted by the labels; `<none>` where it selects
/// by nothing.
#[must_use]
pub fn selector_text(selector: &LabelSelector) -> String {
    let labels = selector.match_labels.iter().flatten();
    let labels = labels.map(|(key, value)| (key.clone(), format!("{key}={value}")));
    let mut terms: Vec<(String, String)> = labels.collect();
    for term in selector.match_expressions.iter().flatten() {
        let (key, mut values) = (&term.key, term.values.clone().unwrap_or_default());
        values.sort();
        let values = values.join(",");
        let text = match term.operator.as_str() {
            "In" => format!("{key} in ({values})"),
            "NotIn" => format!("{key} notin ({values})"),
            "DoesNotExist" => format!("!{key}"),
            _ => key.clone(),
        };
        terms.push((key.clone(), text));
    }
    sort_by(&mut terms, |(one, _), (two, _)| one.cmp(two));
    let texts = terms.into_iter().map(|(_, text)| text);
    or_none(texts.collect::<Vec<_>>().join(","))
}

/// Prints labels: `app=web,tier=db`; `<none>` where there are none.
#[must_use]
pub fn labels_text(labels: Option<&BTreeMap<String, String>>) -> String {
    let pairs = labels.into_iter().flatten();
    let pairs = pairs.map(|(key, value)| format!("{key}={value}"));
    or_none(pairs.collect::<Vec<_>>().join(","))
}

pub(super) fn or_none(text: String) -> String {
    match text.is_empty() {
        true => NONE.to_owned(),
        false => text,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_selector_is_sorted_by_its_labels() {
        let selector = json!({"matchLabels": {"tier": "db", "app": "web"}, "matchExpressions": [
            {"key": "old", "operator": "DoesNotExist"}, {"key": "zone", "operator": "Exists"},
            {"key": "b", "operator": "In", "values": ["y", "x"]},
            {"key": "c", "operator": "NotIn", "values": ["z"]}]});
        let selector: LabelSelector = serde_json::from_value(selector).unwrap();
        let text = "app=web,b in (x,y),c notin (z),!old,tier=db,zone";
        assert_eq!(selector_text(&selector), text);
        assert_eq!(selector_text(&LabelSelector::default()), "<none>");
        assert_eq!(
            labels_text(selector.match_labels.as_ref()),
            "app=web,tier=db"
        );
    }
}
