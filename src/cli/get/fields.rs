//! `--field-selector`: `status.phase=Running,metadata.name!=web-0`.

use crate::cli::shared::render::Document;
use crate::model::kind::ObjectKind;
use crate::problem::{Problem, Result};

/// The fields that objects can be selected by.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct FieldSelector {
    terms: Vec<Term>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Term {
    field: String,
    value: String,
    equal: bool,
}

impl FieldSelector {
    /// Reads a selector as kubectl does: `=`, `==` and `!=`, with commas between.
    pub(super) fn parse(text: &str) -> Result<Self, Problem> {
        let terms = text
            .split(',')
            .map(str::trim)
            .filter(|term| !term.is_empty());
        let terms = terms.map(|term| {
            let (equal, parts) = match (term.split_once("!="), term.split_once("==")) {
                (Some(parts), _) => (false, Some(parts)),
                (None, Some(parts)) => (true, Some(parts)),
                (None, None) => (true, term.split_once('=')),
            };
            let (field, value) = parts.ok_or_else(|| {
                let message = format!("invalid field selector {text:?}: cannot read {term:?}");
                Problem::invalid(message).hint("an example is status.phase=Running")
            })?;
            Ok(Term {
                field: field.trim().to_owned(),
                value: value.trim().to_owned(),
                equal,
            })
        });
        let terms = terms.collect::<Result<_, Problem>>()?;
        Ok(Self { terms })
    }

    /// Refuses fields by which the API server does not select objects of this kind.
    pub(super) fn check(&self, kind: ObjectKind) -> Result<()> {
        let known = |field: &str| {
            ["metadata.name", "metadata.namespace"].contains(&field) || more(kind).contains(&field)
        };
        let Some(term) = self.terms.iter().find(|term| !known(&term.field)) else {
            return Ok(());
        };
        let mut fields = vec!["metadata.name", "metadata.namespace"];
        fields.extend(more(kind));
        let message = format!("field label not supported: {}", term.field);
        let hint = format!("{} are selected by {}", kind.plural(), fields.join(", "));
        Err(Problem::invalid(message).hint(hint).into())
    }

    /// Returns whether a document has the values that are asked for.
    pub(super) fn selects(&self, document: &Document) -> bool {
        self.terms.iter().all(|term| {
            let pointer = format!("/{}", term.field.replace('.', "/"));
            let value = document.text_at(&pointer);
            let default = if term.field == "spec.hostNetwork" {
                "false"
            } else {
                ""
            };
            (value.as_deref().unwrap_or(default) == term.value) == term.equal
        })
    }
}

/// Returns the fields of a kind beside name and namespace, as its registry in Kubernetes has them.
fn more(kind: ObjectKind) -> &'static [&'static str] {
    if kind == ObjectKind::Pod {
        &[
            "spec.nodeName",
            "spec.restartPolicy",
            "spec.schedulerName",
            "spec.serviceAccountName",
            "spec.hostNetwork",
            "status.phase",
            "status.podIP",
            "status.nominatedNodeName",
        ]
    } else if kind == ObjectKind::Secret {
        &["type"]
    } else if kind == ObjectKind::Service {
        &["spec.clusterIP", "spec.type"]
    } else {
        &[]
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    #[test]
    fn documents_are_selected_by_their_fields() {
        let status = BTreeMap::from([("phase", "Running")]);
        let document = Document::of(&BTreeMap::from([("status", status)])).unwrap();
        let cases = [
            ("status.phase=Running", true),
            ("status.phase==Running,", true),
            ("status.phase!=Running", false),
            ("status.phase=Running, spec.nodeName!=x", true),
            ("status.podIP=", true),
            ("spec.hostNetwork=false", true),
        ];
        for (text, selected) in cases {
            let selector = FieldSelector::parse(text).unwrap();
            assert_eq!(selector.selects(&document), selected, "{text}");
        }
        assert!(FieldSelector::parse("status.phase").is_err());
    }

    #[test]
    fn a_kind_has_its_own_fields() {
        let selector = FieldSelector::parse("status.phase=Running").unwrap();
        assert!(selector.check(ObjectKind::Pod).is_ok());
        let error = selector.check(ObjectKind::Service).unwrap_err();
        assert_eq!(error.to_string(), "field label not supported: status.phase");
    }
}
