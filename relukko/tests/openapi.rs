//! `openapi.json` describes the server: every route, every method, and no other.

mod common;

use std::collections::HashSet;

use common::{Answer, ask, serve};
use serde_json::{Value, json};
use tempfile::tempdir;

const METHODS: [&str; 6] = ["GET", "POST", "PUT", "DELETE", "PATCH", "OPTIONS"];

/// Asserts that a value matches a schema, as far as the description uses JSON Schema.
fn check(description: &Value, schema: &Value, value: &Value) {
    if let Some(name) = schema["$ref"].as_str() {
        return check(description, description.pointer(&name[1..]).unwrap(), value);
    }
    let kinds = match &schema["type"] {
        Value::Array(kinds) => kinds.clone(),
        kind => vec![kind.clone()],
    };
    let kind = match value {
        Value::Null => "null",
        Value::Bool(_) => "boolean",
        Value::Number(number) if number.is_f64() => "number",
        Value::Number(_) => "integer",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    };
    let is_whole_number = kind == "integer" && kinds.contains(&json!("number"));
    assert!(is_whole_number || kinds.contains(&json!(kind)), "{value} is no {schema}");
    for name in schema["required"].as_array().into_iter().flatten() {
        let name = name.as_str().unwrap();
        check(description, &schema["properties"][name], &value[name]);
    }
    if kind == "object" {
        let known = schema["properties"].as_object().unwrap();
        assert!(value.as_object().unwrap().keys().all(|name| known.contains_key(name)), "{value}");
    }
    for item in value.as_array().into_iter().flatten() {
        check(description, &schema["items"], item);
    }
}

fn check_answer(description: &Value, operation: &Value, answer: &Answer) {
    let told = &operation["responses"][answer.status.to_string()];
    assert!(told.is_object(), "{operation} does not tell of {answer:?}");
    if let Some(content) = told["content"].as_object() {
        let (kind, content) = content.iter().next().unwrap();
        assert!(answer.head.contains(&format!("content-type: {kind}")), "{answer:?}");
        if content["schema"]["type"] != "string" {
            check(description, &content["schema"], &answer.json());
        }
    }
}

#[test]
fn the_description_is_true() {
    let dir = tempdir().unwrap();
    let server = serve(dir.path());
    let address = server.address();
    let description = ask(address, "GET", "/openapi.json", "").json();
    let lock = ask(address, "POST", "/v1/locks", r#"{"lock_name": "x"}"#).json();
    let own = ask(address, "POST", "/v2/locks", r#"{"name": "own"}"#).json();
    let good =
        r#"{"lock_name": "y", "name": "z", "creator": "me", "expires_at": null, "seconds": 1}"#;
    let mut seen = HashSet::new();
    let mut last = Vec::new();
    for (path, item) in description["paths"].as_object().unwrap() {
        for method in METHODS {
            let operation = &item[method.to_lowercase()];
            let id = if path.starts_with("/v2/") { &own["id"] } else { &lock["id"] };
            let real = path.replace("{id}", id.as_str().unwrap());
            if operation.is_null() {
                ask(address, method, &real, "").assert_refusal(405);
                continue;
            }
            assert!(seen.insert(operation["operationId"].as_str().unwrap().to_owned()));
            if operation["requestBody"].is_object() {
                for (body, status) in
                    [("{", 400), (r#"{"seconds": "", "creator": 1, "lifetime": ""}"#, 422)]
                {
                    let answer = ask(address, method, &real, body);
                    assert_eq!(answer.status, status, "{method} {path}");
                    check_answer(&description, operation, &answer);
                }
            }
            if path.contains("{id}") {
                let answer = ask(address, method, &path.replace("{id}", "x"), good);
                assert_eq!(answer.status, 404, "{method} {path}");
                check_answer(&description, operation, &answer);
            }
            if method == "DELETE" {
                last.push((method, real, operation.clone()));
                continue;
            }
            let answer = ask(address, method, &real, good);
            if path == "/ws/broadcast" {
                assert_eq!(answer.status, 400); // this is no handshake
            } else {
                assert!((200..300).contains(&answer.status), "{method} {path}: {answer:?}");
            }
            check_answer(&description, operation, &answer);
        }
    }
    for (method, path, operation) in last {
        let answer = ask(address, method, &path, "");
        assert_eq!(answer.status, 200, "{answer:?}");
        check_answer(&description, &operation, &answer);
    }
    assert_eq!(seen.len(), 23);
    let operation = &description["paths"]["/v1/locks"]["post"];
    let held = ask(address, "POST", "/v1/locks", r#"{"lock_name": "y"}"#);
    assert_eq!(held.status, 409);
    check_answer(&description, operation, &held);
}
