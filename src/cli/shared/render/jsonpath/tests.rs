use serde_json::{Value, json};

use super::JsonPath;

/// Two pods and a node-like object, as the page "JSONPath Support" has them.
fn document() -> Value {
    json!({
        "kind": "List",
        "items": [
            {"kind": "None", "metadata": {"name": "127.0.0.1", "labels": {"kubernetes.io/hostname": "127.0.0.1"}},
             "status": {"capacity": {"cpu": "4"}, "addresses": [{"type": "LegacyHostIP", "address": "127.0.0.1"}]}},
            {"kind": "None", "metadata": {"name": "127.0.0.2"},
             "status": {"capacity": {"cpu": "8"}, "addresses": [
                {"type": "LegacyHostIP", "address": "127.0.0.2"}, {"type": "another", "address": "127.0.0.3"}]}}
        ],
        "users": [
            {"name": "myself", "user": {}},
            {"name": "e2e", "user": {"username": "admin", "password": "secret"}}
        ],
        "count": 3, "half": 0.5, "on": true, "nothing": null, "html": {"a": "<b> & c"}
    })
}

fn filled(template: &str) -> String {
    let template = JsonPath::parse(template).unwrap();
    match template.fill(&document()) {
        Ok(text) => text,
        Err(error) => format!("error: {error}"),
    }
}

#[test]
fn templates_print_what_the_documentation_of_kubernetes_shows() {
    let cases = [
        ("kind is {.kind}", "kind is List"),
        ("{.kind}", "List"),
        ("{['kind']}", "List"),
        ("{['metadata.name', 'kind']}", "List"),
        ("{..name}", "127.0.0.1 127.0.0.2 myself e2e"),
        ("{.items[*].metadata.name}", "127.0.0.1 127.0.0.2"),
        ("{.users[0].name}", "myself"),
        ("{.users[-1:].name}", "e2e"),
        ("{.users[-1].name}", "e2e"),
        ("{.users[0:2].name}", "myself e2e"),
        ("{.users[::2].name}", "myself"),
        ("{.users[:1].name}", "myself"),
        ("{.users[0,1].name}", "myself e2e"),
        (
            "{.items[*]['metadata.name', 'status.capacity']}",
            r#"127.0.0.1 127.0.0.2 {"cpu":"4"} {"cpu":"8"}"#,
        ),
        (r#"{.users[?(@.name=="e2e")].user.password}"#, "secret"),
        (
            r#"{.items[*].status.addresses[?(@.type=='another')].address}"#,
            "127.0.0.3",
        ),
        ("{.users[?(@.user.username)].name}", "e2e"),
        (
            r#"{range .items[*]}[{.metadata.name}, {.status.capacity}] {end}"#,
            r#"[127.0.0.1, {"cpu":"4"}] [127.0.0.2, {"cpu":"8"}] "#,
        ),
        (
            r"{.items[0].metadata.labels.kubernetes\.io/hostname}",
            "127.0.0.1",
        ),
        (
            r#"{range .items[*]}{.metadata.name}{"\t"}{.status.addresses[*].address}{"\n"}{end}"#,
            "127.0.0.1\t127.0.0.1\n127.0.0.2\t127.0.0.2 127.0.0.3\n",
        ),
    ];
    for (template, wanted) in cases {
        assert_eq!(filled(template), wanted, "{template}");
    }
}

#[test]
fn values_are_printed_as_kubectl_prints_them() {
    let cases = [
        ("{.count} {.half} {.on}", "3 0.5 true"),
        ("{.nothing}", "<nil>"),
        ("{.html}", r#"{"a":"\u003cb\u003e \u0026 c"}"#),
        ("{.html.a}", "<b> & c"),
        ("{.missing}", ""),
        ("{.missing.deeper[0]}", ""),
        ("{range .missing[*]}x{end}", ""),
        ("{range .users[*]}{.name};", "myself;e2e;;"),
        (
            "{range .items[*]}{range .status.addresses[*]}{.type} {end}|{end}",
            "LegacyHostIP |LegacyHostIP another |",
        ),
        ("{.users[1:1].name}", ""),
        ("{'a'}{\"b\"}{\"\\u0041\\x42\"}", "abAB"),
        ("{.users[?(@.name!='e2e')].name}", "myself"),
        ("{@.kind}{$.kind}", "ListList"),
        ("{.users[*].user.*}", "secret admin"),
        ("no action", "no action"),
    ];
    for (template, wanted) in cases {
        assert_eq!(filled(template), wanted, "{template}");
    }
}

#[test]
fn what_cannot_be_found_is_said_as_kubectl_says_it() {
    let cases = [
        (
            "{.users[5].name}",
            "array index out of bounds: index 5, length 2",
        ),
        ("{.kind[0]}", "\"List\" is not array or slice"),
        (
            "{.users[?(@.name==1)]}",
            "incompatible types for comparison",
        ),
        (
            "{.users[?(@.user.*=='x')]}",
            "can only compare one element at a time",
        ),
        ("{.users[::0]}", "step must be > 0"),
    ];
    for (template, why) in cases {
        let wanted = format!("error: error executing jsonpath {template:?}: {why}");
        assert_eq!(filled(template), wanted, "{template}");
    }
}

#[test]
fn a_template_with_a_fault_is_refused() {
    let cases = [
        ("{.kind", "unclosed action"),
        ("{end}", "not in range, nothing to end"),
        ("{name}", "unrecognized identifier name"),
        ("{.a[}", "unterminated array"),
        ("{.a[x]}", "invalid array index x"),
        ("{.a[?(@.b}", "unterminated filter"),
        ("{.a[?(@.b=~'c')]}", "unrecognized filter operator =~"),
        ("{'a}", "unterminated quoted string"),
        (r#"{"\q"}"#, r#"unquote string "\q" error invalid syntax"#),
        ("{.....}", "invalid multiple recursive descent"),
        ("{%}", "unrecognized character in action: '%'"),
    ];
    for (template, why) in cases {
        let said = JsonPath::parse(template).unwrap_err().to_string();
        assert!(said.ends_with(why), "{template}: {said}");
    }
}

#[test]
fn a_list_as_json_has_a_line_a_value() {
    let template = JsonPath::parse("{.users[*].name}").unwrap();
    let text = template.fill_as_json(&document()).unwrap();
    assert_eq!(text, "[\n    \"myself\",\n    \"e2e\"\n]\n");
}

#[test]
fn the_path_of_a_column_may_lack_braces_and_its_first_dot() {
    for path in ["kind", ".kind", "{kind}", "{.kind}"] {
        let template = JsonPath::parse_path(path).unwrap();
        assert_eq!(template.cell(&document()).unwrap(), "List", "{path}");
    }
    for path in ["", "{}", "{.a}{.b}"] {
        assert!(JsonPath::parse_path(path).is_err(), "{path}");
    }
    let cell = |path: &str| {
        JsonPath::parse_path(path)
            .unwrap()
            .cell(&document())
            .unwrap()
    };
    assert_eq!(cell(".users[*].name"), "myself,e2e");
    assert_eq!(cell(".html"), "map[a:<b> & c]");
    assert_eq!(cell(".missing"), "<none>");
}
