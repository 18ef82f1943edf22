//! schema.json, which describes the output of --json.

use std::fs;
use std::path::Path;

use serde_json::Value;

/// Asserts that a value matches schema.json. Only the parts of JSON Schema that are used there are
/// understood.
fn check(schema: &Value, root: &Value, value: &Value) {
    let fails = |why: &str| panic!("{why}: {value:#} is not {schema:#}");
    if let Some(name) = schema["$ref"].as_str() {
        return check(&root["$defs"][name.rsplit('/').next().unwrap()], root, value);
    }
    if let Some(any) = schema["anyOf"].as_array() {
        let of = any.iter().find(|of| (of["type"] == "null") == value.is_null());
        return check(of.expect("one for each"), root, value);
    }
    if let Some(allowed) = schema["enum"].as_array() {
        return if !allowed.contains(value) {
            fails("enum");
        };
    }
    let types = match &schema["type"] {
        Value::Array(types) => types.clone(),
        one => vec![one.clone()],
    };
    let is_of = |kind: &Value| match kind.as_str().unwrap() {
        "null" => value.is_null(),
        "boolean" => value.is_boolean(),
        "integer" => value.is_u64(),
        "number" => value.is_number(),
        "string" => value.is_string(),
        "array" => value.is_array(),
        "object" => value.is_object(),
        other => panic!("{other}"),
    };
    if !types.iter().any(is_of) {
        fails("type");
    }
    for item in value.as_array().into_iter().flatten() {
        check(&schema["items"], root, item);
    }
    if let Some(object) = value.as_object() {
        for name in schema["required"].as_array().unwrap() {
            assert!(object.contains_key(name.as_str().unwrap()), "{name} is missing in {value:#}");
        }
        for (name, value) in object {
            assert!(schema["properties"][name].is_object(), "{name} is not in {schema:#}");
            check(&schema["properties"][name], root, value);
        }
    }
}

/// What schema.json calls by this name is like this.
#[track_caller]
pub(crate) fn assert_is(name: &str, value: &Value) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("schema.json");
    let root: Value = serde_json::from_slice(&fs::read(path).unwrap()).unwrap();
    assert!(root["$defs"][name].is_object(), "{name}");
    check(&root["$defs"][name], &root, value);
}
