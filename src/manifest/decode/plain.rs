//! What is wrong with a value, in the words of those who write YAML.

use crate::yaml::Value;

/// Says what a field takes, and what it was given; `wanted` is the Go type of its JSON.
pub(super) fn words(wanted: &str, given: &Value) -> String {
    let is_whole = |text: &str| text.parse::<i64>().is_ok();
    match (wanted, given) {
        ("int32", Value::Number(text)) if is_whole(text) => {
            let (least, most) = (i32::MIN, i32::MAX);
            return format!("must be a whole number from {least} to {most}");
        }
        ("int32" | "int64", Value::Number(text)) => {
            return format!("must be a whole number, not {text}");
        }
        _ => {}
    }
    let way = match (wanted, given) {
        ("int32" | "int64", Value::Text(text)) if is_whole(text) => ": take its quotes away",
        ("string", Value::Bool(_) | Value::Number(_)) => ": put it in quotes",
        _ => "",
    };
    format!("must be {}, not {}{way}", kind(wanted), shape(given))
}

fn kind(wanted: &str) -> &'static str {
    match wanted {
        "string" => "text",
        "int32" | "int64" => "a whole number",
        "bool" => "true or false",
        "[]uint8" => "text in base64",
        "Time" => "a time",
        _ if wanted.starts_with("[]") => "a list",
        _ => "a map",
    }
}

const fn shape(given: &Value) -> &'static str {
    match given {
        Value::Null => "empty",
        Value::Bool(_) => "true or false",
        Value::Number(_) => "a number",
        Value::Text(_) => "text",
        Value::List(_) => "a list",
        Value::Map(_) => "a map",
    }
}
