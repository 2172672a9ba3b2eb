//! The strategic merge of Kubernetes: lists whose elements have names are merged by those.

use serde_json::{Map, Value};

use crate::problem::Problem;

/// What says what to do with the object or the list that it stands in.
const DIRECTIVE: &str = "$patch";
/// The fields that an object keeps; the others go.
const RETAIN: &str = "$retainKeys";
/// The order of the elements of a list: what a client found, which changes nothing by itself.
const ORDER: &str = "$setElementOrder/";
/// Values to remove from a list of values.
const DELETE: &str = "$deleteFromPrimitiveList/";

/// The lists of objects that are merged, and the fields by which their elements are known, in the
/// order in which they are tried. Any other list is replaced.
const LISTS: [(&str, &[&str]); 15] = [
    ("conditions", &["type"]),
    ("containers", &["name"]),
    ("env", &["name"]),
    ("ephemeralContainers", &["name"]),
    ("hostAliases", &["ip"]),
    ("imagePullSecrets", &["name"]),
    ("initContainers", &["name"]),
    ("ownerReferences", &["uid"]),
    // Those of a container are known by the first, those of a service by the second.
    ("ports", &["containerPort", "port"]),
    ("resourceClaims", &["name"]),
    ("secrets", &["name"]),
    ("topologySpreadConstraints", &["topologyKey"]),
    ("volumeDevices", &["devicePath"]),
    ("volumeMounts", &["mountPath"]),
    ("volumes", &["name"]),
];

/// The lists of values that are merged.
const VALUES: [&str; 1] = ["finalizers"];

/// Merges a patch into an object.
pub(super) fn merge(object: &mut Value, patch: &Value) -> Result<(), Problem> {
    let Value::Object(patch) = patch else {
        *object = patch.clone();
        return Ok(());
    };
    match patch.get(DIRECTIVE).and_then(Value::as_str) {
        Some("delete") => {
            *object = Value::Object(Map::new());
            return Ok(());
        }
        Some("replace") => {
            let mut new = patch.clone();
            new.remove(DIRECTIVE);
            *object = Value::Object(new);
            return Ok(());
        }
        Some("merge") | None => {}
        Some(other) => return Err(unknown(other)),
    }
    if !object.is_object() {
        *object = Value::Object(Map::new());
    }
    let Value::Object(fields) = object else {
        return Ok(());
    };
    if let Some(kept) = patch.get(RETAIN).and_then(Value::as_array) {
        fields.retain(|field, _| kept.iter().any(|it| it == field));
    }
    for (field, value) in patch {
        merge_field(fields, field, value)?;
    }
    Ok(())
}

fn merge_field(fields: &mut Map<String, Value>, field: &str, value: &Value) -> Result<(), Problem> {
    if let Some(list) = field.strip_prefix(DELETE) {
        if let Some(there) = fields.get_mut(list).and_then(Value::as_array_mut) {
            let doomed = value.as_array().map(Vec::as_slice).unwrap_or_default();
            there.retain(|it| !doomed.contains(it));
        }
        return Ok(());
    }
    if field == DIRECTIVE || field == RETAIN || field.starts_with(ORDER) {
        return Ok(());
    }
    if value.is_null() {
        fields.remove(field);
        return Ok(());
    }
    let Value::Array(list) = value else {
        return merge(fields.entry(field).or_insert(Value::Null), value);
    };
    let known = LISTS.iter().find(|(name, _)| *name == field);
    let there = fields.remove(field);
    let there = there
        .and_then(|it| it.as_array().cloned())
        .unwrap_or_default();
    let merged = match known {
        Some((_, keys)) => merge_list(field, keys, there, list)?,
        None if VALUES.contains(&field) => merge_values(there, list),
        None => list.clone(),
    };
    fields.insert(field.to_owned(), Value::Array(merged));
    Ok(())
}

fn merge_values(mut there: Vec<Value>, list: &[Value]) -> Vec<Value> {
    let new = list.iter().filter(|it| !there.contains(it));
    let new: Vec<Value> = new.cloned().collect();
    there.extend(new);
    there
}

/// Merges the elements of a list. New ones come before those that no element of the patch names,
/// as in Kubernetes.
fn merge_list(
    field: &str,
    keys: &[&str],
    there: Vec<Value>,
    list: &[Value],
) -> Result<Vec<Value>, Problem> {
    let is_replaced = |it: &&Value| it.get(DIRECTIVE).is_some_and(|it| it == "replace");
    if list.iter().any(|it| is_replaced(&it)) {
        // The element with the directive stands for all.
        let new = list.iter().filter(|it| !is_replaced(it));
        return Ok(new.cloned().collect());
    }
    let key_of = |element: &Value| {
        let mut keys = keys.iter();
        keys.find_map(|key| Some((*key, element.get(*key)?.clone())))
    };
    let mut rest: Vec<Option<Value>> = there.iter().cloned().map(Some).collect();
    // Elements of the patch as they are now, each with the place that it had.
    let mut named: Vec<(Option<usize>, Value)> = Vec::new();
    for element in list {
        let key = key_of(element).ok_or_else(|| {
            let message = format!(
                "map: {element} does not contain declared merge key: {}",
                keys[0]
            );
            Problem::invalid(message).hint(format!("it stands in {field}"))
        })?;
        let place = there
            .iter()
            .position(|it| key_of(it).as_ref() == Some(&key));
        let mut element_now = place.and_then(|place| rest[place].take());
        let directive = element.get(DIRECTIVE).and_then(Value::as_str);
        match directive {
            Some("delete") => continue,
            Some("merge") | None => {}
            Some(other) => return Err(unknown(other)),
        }
        let mut new = element_now.take().unwrap_or(Value::Null);
        merge(&mut new, element)?;
        named.push((place, new));
    }
    let mut merged = Vec::new();
    let mut named = named.into_iter().peekable();
    for (place, left) in rest.into_iter().enumerate() {
        let Some(left) = left else {
            continue;
        };
        while let Some((_, element)) = named.next_if(|(was, _)| was.is_none_or(|was| was < place)) {
            merged.push(element);
        }
        merged.push(left);
    }
    merged.extend(named.map(|(_, element)| element));
    Ok(merged)
}

fn unknown(directive: &str) -> Problem {
    let message = format!("there is no {DIRECTIVE} {directive:?}");
    Problem::invalid(message).hint("there are replace, merge and delete")
}

#[cfg(test)]
mod tests {
    use super::*;

    const MERGES: [(&str, &str, &str, &str); 12] = [
        (
            "a new container comes first",
            r#"{"containers":[{"name":"a","image":"1"}]}"#,
            r#"{"containers":[{"name":"b","image":"2"}]}"#,
            r#"{"containers":[{"name":"b","image":"2"},{"name":"a","image":"1"}]}"#,
        ),
        (
            "one that exists is merged where it is",
            r#"{"containers":[{"name":"a","image":"1"},{"name":"b","image":"2","tty":true}]}"#,
            r#"{"containers":[{"name":"b","image":"3"}]}"#,
            r#"{"containers":[{"name":"a","image":"1"},{"name":"b","image":"3","tty":true}]}"#,
        ),
        (
            "one is deleted",
            r#"{"containers":[{"name":"a"},{"name":"b"}]}"#,
            r#"{"containers":[{"name":"a","$patch":"delete"}]}"#,
            r#"{"containers":[{"name":"b"}]}"#,
        ),
        (
            "all are replaced",
            r#"{"containers":[{"name":"a"},{"name":"b"}]}"#,
            r#"{"containers":[{"name":"c"},{"$patch":"replace"}]}"#,
            r#"{"containers":[{"name":"c"}]}"#,
        ),
        (
            "an object is replaced",
            r#"{"strategy":{"type":"RollingUpdate","rollingUpdate":{"maxSurge":1}}}"#,
            r#"{"strategy":{"$patch":"replace","type":"Recreate"}}"#,
            r#"{"strategy":{"type":"Recreate"}}"#,
        ),
        (
            "only some fields are kept",
            r#"{"strategy":{"type":"RollingUpdate","rollingUpdate":{"maxSurge":1}}}"#,
            r#"{"strategy":{"$retainKeys":["type"],"type":"Recreate"}}"#,
            r#"{"strategy":{"type":"Recreate"}}"#,
        ),
        (
            "a list without names is replaced",
            r#"{"args":["a","b"],"tolerations":[{"key":"x"}]}"#,
            r#"{"args":["c"],"tolerations":[{"key":"y"}]}"#,
            r#"{"args":["c"],"tolerations":[{"key":"y"}]}"#,
        ),
        (
            "null removes",
            r#"{"a":1,"b":{"c":2,"d":3}}"#,
            r#"{"a":null,"b":{"c":null}}"#,
            r#"{"b":{"d":3}}"#,
        ),
        (
            "ports of containers and of services",
            r#"{"ports":[{"containerPort":80}],"spec":{"ports":[{"port":80,"targetPort":1}]}}"#,
            r#"{"ports":[{"containerPort":80,"name":"x"}],"spec":{"ports":[{"port":80,"name":"y"}]}}"#,
            r#"{"ports":[{"containerPort":80,"name":"x"}],"spec":{"ports":[{"port":80,"targetPort":1,"name":"y"}]}}"#,
        ),
        (
            "values are added and removed",
            r#"{"finalizers":["a","b"]}"#,
            r#"{"finalizers":["c"],"$deleteFromPrimitiveList/finalizers":["a"],"$setElementOrder/finalizers":["b","c"]}"#,
            r#"{"finalizers":["b","c"]}"#,
        ),
        (
            "variables, deep below",
            r#"{"spec":{"containers":[{"name":"a","env":[{"name":"X","value":"1"}]}]}}"#,
            r#"{"spec":{"containers":[{"name":"a","env":[{"name":"X","value":"2"},{"name":"Y","value":"3"}]}]}}"#,
            r#"{"spec":{"containers":[{"name":"a","env":[{"name":"X","value":"2"},{"name":"Y","value":"3"}]}]}}"#,
        ),
        (
            "an object that was not there",
            "{}",
            r#"{"metadata":{"labels":{"a":"b"}}}"#,
            r#"{"metadata":{"labels":{"a":"b"}}}"#,
        ),
    ];

    fn value(text: &str) -> Value {
        serde_json::from_str(text).unwrap()
    }

    #[test]
    fn lists_are_merged_by_the_names_of_their_elements() {
        for (what, before, patch, after) in MERGES {
            let mut object = value(before);
            merge(&mut object, &value(patch)).unwrap();
            assert_eq!(object, value(after), "{what}");
        }
    }

    #[test]
    fn an_element_without_a_name_and_an_unknown_directive_are_refused() {
        for patch in [
            r#"{"containers":[{"image":"x"}]}"#,
            r#"{"containers":[{"name":"a","$patch":"spin"}]}"#,
            r#"{"$patch":"spin"}"#,
        ] {
            let mut object = value(r#"{"containers":[{"name":"a"}]}"#);
            assert!(merge(&mut object, &value(patch)).is_err(), "{patch}");
        }
    }
}
