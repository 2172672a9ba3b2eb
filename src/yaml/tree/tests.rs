//! What YAML texts mean, and what is refused as text.

use super::*;

fn json(node: &Node) -> serde_json::Value {
    match &node.value {
        Value::List(items) => items.iter().map(json).collect(),
        Value::Map(entries) => entries
            .iter()
            .map(|entry| (entry.key.clone(), json(&entry.node)))
            .collect(),
        scalar @ (Value::Null | Value::Bool(_) | Value::Number(_) | Value::Text(_)) => {
            serde_json::from_str(&scalar.to_string()).unwrap()
        }
    }
}

/// Returns the documents as JSON, then the faults.
fn shown(text: &str) -> String {
    let documents = read(text);
    let mut lines: Vec<String> = documents
        .roots
        .iter()
        .map(|root| json(root).to_string())
        .collect();
    lines.extend(
        documents
            .faults
            .iter()
            .map(|fault| format!("{}: {}", fault.at, fault.message)),
    );
    lines.join("\n")
}

#[test]
fn yaml_is_read_as_kubernetes_reads_it() {
    let cases = [
        ("mode: 0400\non: yes", r#"{"mode":256,"true":true}"#),
        (
            "a: \"yes\"\nb: '0400'\nc: !!str 1",
            r#"{"a":"yes","b":"0400","c":"1"}"#,
        ),
        (
            r#"{"a": "\/ \ud83d\ude00 \\ud83d"}"#,
            "{\"a\":\"/ \u{1f600} \\\\ud83d\"}",
        ),
        ("1: x\n", r#"{"1":"x"}"#),
        (
            "{\"a\": [1, null, {\"b\": \"\\u00e9\"}]}",
            "{\"a\":[1,null,{\"b\":\"\u{e9}\"}]}",
        ),
        ("---\n# nothing\n---\na: 1\n---\n...\n", r#"{"a":1}"#),
        ("\u{feff}a: 1", r#"{"a":1}"#),
        ("a: 1\r\nb: 2\r\n", r#"{"a":1,"b":2}"#),
        ("a: \"x\ny\"", r#"{"a":"x y"}"#),
        ("a: |-\n  0400\n", r#"{"a":"0400"}"#),
        ("", ""),
    ];
    for (text, expected) in cases {
        assert_eq!(shown(text), expected, "{text:?}");
    }
}

#[test]
fn a_block_scalar_at_the_end_of_the_input_is_read_as_it_stands() {
    let cases = [
        ("k: |\n  b", r#"{"k":"b"}"#),
        ("k: |\n  b\n", r#"{"k":"b\n"}"#),
        ("k: |+\n  b", r#"{"k":"b"}"#),
        ("k: |-\n  b", r#"{"k":"b"}"#),
        ("k: >\n  b\n  c", r#"{"k":"b c"}"#),
        ("k: |\n  b\n ", r#"{"k":"b\n"}"#),
        ("k: |+\n  b\n ", r#"{"k":"b\n"}"#),
        ("k: |\n  b\n    ", r#"{"k":"b\n  "}"#),
        (
            "k: |\n  b\n\n  \u{e9}\r\n  c",
            "{\"k\":\"b\\n\\n\u{e9}\\nc\"}",
        ),
        ("k: |", r#"{"k":""}"#),
        ("|\n b", "\"b\""),
        ("a: 1\n---\n- |\n  b", "{\"a\":1}\n[\"b\"]"),
    ];
    for (text, expected) in cases {
        assert_eq!(shown(text), expected, "{text:?}");
    }
    let cut = "k: \"a\\";
    let fault = "2:1: this is not YAML: found unexpected end of stream";
    assert_eq!(shown(cut), fault);
}

#[test]
fn json_objects_one_after_the_other_are_documents() {
    let two = "{\"a\":1}\n{\"b\":\"x\"}";
    let cases = [
        r#"{"a":1}{"b":"x"}"#,
        "{\"a\":1}\n{\"b\":\"x\"}\n",
        "\n {\"a\" : 1}\t{\"b\":\"x\" }",
        "{\n\t\"a\":\t1.0\r\n}\r\n{\n\t\"b\":\"x\"\n}",
        "{\"a\":1}\n---\n{\"b\":\"x\"}\n---\n",
        "\u{feff}{\"a\":1}\n\u{feff}{\"b\":\"x\"}",
    ];
    for text in cases {
        assert_eq!(shown(text), two, "{text:?}");
    }
    assert_eq!(shown("{a: 1} # flow\n---\n{b: x}"), two);
    assert_eq!(shown(r#"{"a":1,}"#), r#"{"a":1}"#);
    let places: Vec<_> = read("{\"é\":1} {\"b\":\n [{}]}").roots;
    assert_eq!(places[1].at.to_string(), "1:9");
    assert_eq!(places[1].entry("b").unwrap().node.at.to_string(), "2:2");
}

#[test]
fn broken_json_is_told_in_words_of_json_only_after_a_good_object() {
    let cases = [
        (
            "{\"a\":1}\n{\"b\":2}\n{\"c\" 3}",
            "{\"a\":1}\n{\"b\":2}\n3:6: this is not JSON: expected ':'",
        ),
        (
            "{\"a\":1}\nb: 2",
            "{\"a\":1}\n2:1: this is not JSON: expected an object",
        ),
        (
            "{\"a\":\"1\" \"b\":2}",
            "1:10: this is not YAML: did not find expected ',' or '}'",
        ),
        (
            "{\"a\":1,\"a\":2}",
            "{\"a\":1}\n1:8: key \"a\" already set in map (on line 1)",
        ),
    ];
    for (text, expected) in cases {
        assert_eq!(shown(text), expected, "{text:?}");
    }
}

#[test]
fn a_mark_before_a_later_document_is_not_part_of_it() {
    assert_eq!(
        shown("\u{feff}a: 1\n---\n\u{feff}b: 2\n"),
        "{\"a\":1}\n{\"b\":2}"
    );
}

#[test]
fn what_is_written_is_read_back() {
    let texts = [
        "2026-01-02",
        "2026-1-2 3:04:05",
        "12:30:45",
        "=",
        "<<",
        "yes",
        "0400",
        "1_000",
        "~",
        "",
        " a",
        "a ",
        "a\n",
        "\na",
        "  a\n b",
        "a\n\n",
        "a: b",
        "# a",
        "- a",
        "a\u{7f}b",
        "a\u{85}b",
        "a\u{2028}b",
        "\u{feff}a",
        "\u{1f600}",
        "\u{a0}",
        "\u{1}",
        "\t",
        "\ta\n",
        "a\tb\n\tc",
        "a\r\nb",
        ".inf",
        "0x1F",
        "---",
        "...",
        "{}",
        "!a",
        "&a",
        "*a",
        "'",
        "\"",
        "%a",
        "@a",
        "`a",
    ];
    for text in texts {
        let map = std::collections::BTreeMap::from([(text, text)]);
        let expected = serde_json::to_string(&map).unwrap();
        let yaml = crate::yaml::to_string(&map).unwrap();
        let pretty = serde_json::to_string_pretty(&map).unwrap();
        for written in [&yaml, &expected, &pretty] {
            assert_eq!(shown(written), expected, "{written}");
        }
    }
}

#[test]
fn anchors_and_merge_keys_are_resolved_and_own_keys_win() {
    assert_eq!(shown("a: &x [1]\nb: *x"), r#"{"a":[1],"b":[1]}"#);
    let merged = "base: &b {x: 1, z: 1}\nuse:\n  <<: *b\n  z: 2\n";
    assert_eq!(
        shown(merged),
        r#"{"base":{"x":1,"z":1},"use":{"x":1,"z":2}}"#
    );
    let own_first = "base: &b {x: 1}\nuse: {x: 2, <<: *b}\n";
    assert_eq!(shown(own_first), r#"{"base":{"x":1},"use":{"x":2}}"#);
    let several = "a: &a {x: 1}\nb: &b {x: 2, z: 2}\nc: {<<: [*a, *b]}";
    assert!(shown(several).ends_with(r#""c":{"x":1,"z":2}}"#));
    assert_eq!(
        shown("a: {<<: 1}"),
        "1:9: map merge requires map or sequence of maps as the value"
    );
}

#[test]
fn a_key_given_twice_is_a_fault_at_its_second_place() {
    let text = "a: 1\nb:\n  c: 1\n  c: 2\n";
    assert_eq!(
        shown(text),
        "{\"a\":1,\"b\":{\"c\":1}}\n4:3: key \"c\" already set in map (on line 3)"
    );
}

#[test]
fn broken_text_is_told_with_its_place() {
    let cases = [
        (
            "a: [1",
            "2:1: this is not YAML: did not find expected ',' or ']'",
        ),
        (
            "a:\n\tb: 1",
            "2:1: this is not YAML: found character that cannot start any token \
             (it is a tab: YAML is indented with spaces)",
        ),
        (
            "a: b: c",
            "1:5: this is not YAML: mapping values are not allowed in this context",
        ),
        (
            "a: [b, !c, d]",
            "1:6: what follows here is YAML that petset cannot read",
        ),
        ("a: *x", "1:4: unknown anchor \"x\" referenced"),
        ("a: &x [*x]", "1:8: unknown anchor \"x\" referenced"),
        (
            "a\n: \u{1}",
            "2:3: this is not YAML: control characters are not allowed",
        ),
        ("? [a]\n: 1", "1:3: a map key must be text, not array"),
    ];
    for (text, expected) in cases {
        assert_eq!(shown(text), expected, "{text:?}");
    }
}

#[test]
fn an_alias_bomb_and_bottomless_nesting_end_early() {
    let mut bomb = "a0: &a0 [x, x, x, x, x, x, x, x, x]\n".to_owned();
    for level in 1..20 {
        let alias = format!("*a{}", level - 1);
        let row = [alias.as_str(); 9].join(", ");
        bomb.push_str(&format!("a{level}: &a{level} [{row}]\n"));
    }
    assert!(shown(&bomb).ends_with("the file holds more than 250000 values"));
    let deep = "[".repeat(5000);
    assert!(shown(&deep).ends_with("nested more than 128 deep"));
    let mut chain = "a0: &a0 [[[[x]]]]\n".to_owned();
    for level in 1..100 {
        chain.push_str(&format!("a{level}: &a{level} [*a{}]\n", level - 1));
    }
    assert_eq!(read(&chain).faults, []);
    for level in 100..300 {
        chain.push_str(&format!("a{level}: &a{level} [*a{}]\n", level - 1));
    }
    assert!(shown(&chain).ends_with("nested more than 128 deep"));
}
