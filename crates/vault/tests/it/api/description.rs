//! The description and what is served are the same: every endpoint is in both, and every request
//! and answer of these tests has the form that the description gives it.
//!
//! The schemas use few words of JSON Schema, and each that is used is checked here; a word that is
//! not known fails the test, so that none is passed over.

use std::collections::BTreeSet;

use serde_json::Value;
use strongroom_vault::http::api::{DESCRIPTION, ENDPOINTS, Principal};

use super::server::Server;

pub(super) struct Description(Value);

impl Description {
    pub(super) fn new() -> Self {
        Self(serde_json::from_str(DESCRIPTION).unwrap())
    }

    /// Method and path of every operation.
    fn operations(&self) -> BTreeSet<(String, String)> {
        let paths = self.0["paths"].as_object().unwrap();
        let all = paths.iter().flat_map(|(path, methods)| {
            let methods = methods.as_object().unwrap().keys();
            methods.map(move |method| (method.to_uppercase(), path.clone()))
        });
        all.collect()
    }

    /// Fails where a request or its answer is not as described.
    pub(super) fn check(
        &self,
        method: &str,
        path: &str,
        request: Option<&[u8]>,
        status: u16,
        answer: &Value,
    ) {
        let path = path.split('?').next().unwrap();
        let template = self.template(method, path);
        let operation = &self.0["paths"][&template][method.to_lowercase()];
        let described = &operation["responses"][status.to_string()];
        let described = described.is_object().then_some(described);
        let described = described.unwrap_or_else(|| panic!("{method} {path} answered {status}"));
        let schema = &described["content"]["application/json"]["schema"];
        let told = self.validate(schema, answer);
        assert_eq!(told, Ok(()), "{method} {path}: {answer}");
        let Some(request) = request.filter(|_| status == 200) else {
            return;
        };
        let schema = &operation["requestBody"]["content"]["application/json"]["schema"];
        let sent: Value = match request {
            b"" => serde_json::json!({}),
            sent => serde_json::from_slice(sent).unwrap(),
        };
        assert_eq!(self.validate(schema, &sent), Ok(()), "{method} {path}");
    }

    /// The path of an operation that a path belongs to.
    fn template(&self, method: &str, path: &str) -> String {
        let fits = |template: &str| {
            let mut rest = path.split('/').peekable();
            let mut parts = template.split('/').peekable();
            while let Some(part) = parts.next() {
                if part == "{repository}" {
                    let left = parts.clone().count();
                    if rest.clone().count() <= left {
                        return false;
                    }
                    while rest.clone().count() > left {
                        rest.next();
                    }
                } else if !rest
                    .next()
                    .is_some_and(|it| part.starts_with('{') || it == part)
                {
                    return false;
                }
            }
            rest.next().is_none()
        };
        let all = self.operations().into_iter();
        let mut fitting: Vec<String> = all
            .filter(|(known, template)| known == method && fits(template))
            .map(|(_, template)| template)
            .collect();
        // The one that says most.
        fitting.sort_by_key(|template| template.split('/').filter(|p| !p.starts_with('{')).count());
        fitting
            .pop()
            .unwrap_or_else(|| panic!("{method} {path} is not described"))
    }

    fn validate(&self, schema: &Value, value: &Value) -> Result<(), String> {
        let Some(words) = schema.as_object() else {
            return Err("there is no schema".to_owned());
        };
        let wrong = |what: &str| Err(format!("{value} is not as {what}"));
        for (word, said) in words {
            match word.as_str() {
                "description" | "format" => {}
                "$ref" => {
                    let pointer = said.as_str().unwrap().strip_prefix('#').unwrap();
                    let schema = self.0.pointer(pointer).ok_or("a reference leads nowhere")?;
                    self.validate(schema, value)?;
                }
                "anyOf" => {
                    let some = said.as_array().unwrap().iter();
                    if !some.into_iter().any(|it| self.validate(it, value).is_ok()) {
                        return wrong("any of these");
                    }
                }
                "type" => {
                    let listed = said.as_array().cloned();
                    let types = listed.unwrap_or_else(|| vec![said.clone()]);
                    if !types.iter().any(|it| is_of(it.as_str().unwrap(), value)) {
                        return wrong(&said.to_string());
                    }
                }
                "enum" if !said.as_array().unwrap().contains(value) => return wrong("an enum"),
                "const" if said != value => return wrong("a constant"),
                "enum" | "const" => {}
                "minimum" if value.as_i64().is_some_and(|it| it < said.as_i64().unwrap()) => {
                    return wrong("a minimum");
                }
                "minimum" => {}
                "pattern" => {
                    // Ids and paths are the only ones.
                    let text = value.as_str().unwrap_or_default();
                    let is_id = said.as_str().unwrap().contains("{64}");
                    let fits = match is_id {
                        true => text.parse::<strongroom_model::Id>().is_ok(),
                        false => text.parse::<strongroom_model::RepositoryPath>().is_ok(),
                    };
                    if value.is_string() && !fits {
                        return wrong("a pattern");
                    }
                }
                "items" => {
                    for item in value.as_array().into_iter().flatten() {
                        self.validate(said, item)?;
                    }
                }
                "required" => {
                    for name in said.as_array().unwrap() {
                        if value.get(name.as_str().unwrap()).is_none() {
                            return wrong(&format!("required: {name}"));
                        }
                    }
                }
                "properties" => {
                    let known = said.as_object().unwrap();
                    for (name, inner) in value.as_object().into_iter().flatten() {
                        let schema = known.get(name).ok_or(format!("{name} is not described"))?;
                        self.validate(schema, inner)?;
                    }
                }
                "additionalProperties" => {
                    let is_empty = value.as_object().is_none_or(|it| it.is_empty());
                    if !words.contains_key("properties") && !is_empty {
                        return wrong("nothing");
                    }
                }
                word => return Err(format!("{word} is a word that is not checked")),
            }
        }
        Ok(())
    }
}

fn is_of(kind: &str, value: &Value) -> bool {
    match kind {
        "object" => value.is_object(),
        "array" => value.is_array(),
        "string" => value.is_string(),
        "integer" => value.is_i64() || value.is_u64(),
        "boolean" => value.is_boolean(),
        "null" => value.is_null(),
        _ => false,
    }
}

#[test]
fn what_is_served_is_described_and_what_is_described_is_served() {
    let served: BTreeSet<(String, String)> = ENDPOINTS
        .iter()
        .map(|endpoint| (endpoint.method.to_owned(), endpoint.path.to_owned()))
        .collect();
    assert_eq!(served.len(), ENDPOINTS.len());
    assert_eq!(Description::new().operations(), served);
}

#[test]
fn who_may_ask_is_described_as_it_is() {
    let description = Description::new();
    for endpoint in ENDPOINTS {
        let operation = &description.0["paths"][endpoint.path][endpoint.method.to_lowercase()];
        let expected = match endpoint.principal {
            Principal::Anybody => serde_json::json!([]),
            Principal::Token => serde_json::json!([{ "basic": [] }, { "bearer": [] }]),
            Principal::Administrator => serde_json::json!([{ "administrator": [] }]),
        };
        assert_eq!(operation["security"], expected, "{}", endpoint.path);
        for name in ["repository", "token", "key"] {
            let is_named = operation["parameters"]
                .as_array()
                .into_iter()
                .flatten()
                .any(|it| it["name"] == name && it["in"] == "path");
            assert_eq!(is_named, endpoint.path.contains(&format!("{{{name}}}")));
        }
    }
}

#[test]
fn a_document_that_is_not_as_described_is_noticed() {
    let description = Description::new();
    let schema = serde_json::json!({ "$ref": "#/components/schemas/Receipt" });
    let id = "c2a6bd9a1d3f3d6a1f7f0d7b0b2a4c9d8e6f5a4b3c2d1e0f9a8b7c6d5e4f3a2b";
    let right = serde_json::json!({ "receipt": id, "snapshot": id, "whole": null, "missing": 1 });
    assert_eq!(description.validate(&schema, &right), Ok(()));
    for (name, value) in [
        ("receipt", "abc".into()),
        ("whole", 1.into()),
        ("missing", (-1).into()),
        ("more", 1.into()),
    ] {
        let mut wrong = right.clone();
        wrong[name] = value;
        assert!(description.validate(&schema, &wrong).is_err(), "{name}");
    }
    assert!(
        description
            .validate(&schema, &serde_json::json!({}))
            .is_err()
    );
}

#[tokio::test]
async fn every_endpoint_asks_who_it_is_and_anybody_gets_the_description() {
    let server = Server::start().await;
    let answer = server.as_nobody().get("/v1/openapi.json").await;
    assert_eq!(answer.status, 200);
    assert_eq!(
        answer.body,
        serde_json::from_str::<Value>(DESCRIPTION).unwrap()
    );
    let id = "c2a6bd9a1d3f3d6a1f7f0d7b0b2a4c9d8e6f5a4b3c2d1e0f9a8b7c6d5e4f3a2b";
    let closed = ENDPOINTS
        .iter()
        .filter(|endpoint| endpoint.principal != Principal::Anybody);
    for (refused, endpoint) in closed.enumerate() {
        let path = endpoint
            .path
            .replace("{repository}", "acme/repos")
            .replace("{token}", "abc")
            .replace("{key}", id);
        let answer = server.as_nobody().ask(endpoint.method, &path, None).await;
        // After some of them the address is asked to wait.
        let expected = if refused < 10 { 401 } else { 429 };
        assert_eq!(answer.status, expected, "{path}");
        assert!(answer.body["error"].is_string());
    }
    let answer = server
        .as_nobody()
        .ask_freely("PUT", "/v1/tokens", None)
        .await;
    assert_eq!(answer.status, 405);
    assert_eq!(answer.headers["allow"], "GET, POST");
    let answer = server
        .as_nobody()
        .ask_freely("GET", "/v1/other", None)
        .await;
    assert_eq!(answer.status, 404);
    assert!(
        answer.body["hint"]
            .as_str()
            .unwrap()
            .contains("openapi.json")
    );
}
