//! What petset writes means the same to Kubernetes, and to petset when it reads it back.

use super::super::{Source, load};
use crate::model::Namespace;
use crate::yaml::{to_json, to_string};

#[test]
fn what_is_written_means_the_same_to_kubernetes_and_when_read_back() {
    let words = [
        "yes",
        "n",
        "On",
        "0400",
        "0o7",
        "0x1F",
        "0b1",
        "1_000",
        "1e3",
        ".5",
        "+5",
        "-0",
        "~",
        "",
        "null",
        "<<",
        "=",
        "2016-01-02",
        "12:30",
        "a: b",
        "# x",
        "- x",
        "&a",
        "*a",
        "!t",
        "%x",
        "@x",
        "`x",
        "{",
        "[",
        "'",
        "\"",
        "two\nlines\n",
        "tab\there",
        " lead",
        "trail ",
        "\u{1f600}",
        "\u{7f}",
        "\u{85}",
        "a\u{2028}b",
        "1__0",
        "_1",
        "1.",
        "0.1e",
        ".inf",
        ".NaN",
        "0_7",
        "089",
        "99999999999999999999999999",
    ];
    let entries = words.iter().enumerate();
    let texts: serde_json::Map<_, _> = entries
        .map(|(index, word)| (format!("k{index}"), serde_json::Value::from(*word)))
        .collect();
    let object = serde_json::json!({
        "apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "c", "namespace": "default"},
        "data": texts,
    });
    let text = to_string(&object).unwrap();
    let json = to_json(&text).unwrap();
    assert_eq!(
        serde_json::from_str::<serde_json::Value>(&json).unwrap(),
        object
    );
    let name = "c.yaml".to_owned();
    let loaded = load(
        &[Source {
            name,
            text: text.clone(),
        }],
        &Namespace::default(),
    );
    let loaded = loaded.unwrap_or_else(|error| panic!("{error}\n{text}"));
    assert_eq!(loaded.objects[0].to_json().unwrap(), object);
}
