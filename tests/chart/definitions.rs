//! The definitions of reports are those of the types, and of what pullcred uses.

use pullcred::core::reports::{
    Condition, Discovery, FailingNamespace, GROUP, HealthVerdict, LOGIN_REPORT, LoginHealth,
    LoginStatus, NamespaceSummary, PULL_SECRET_REPORT, PodOwner, PodSummary, PullSecretStatus,
    ReportedSecret, ReportedState, SecretSummary, VERSION,
};
use serde::{Serialize, de::DeserializeOwned};
use serde_json::{Value, json};

use crate::{
    helm::{LOGINS, objects},
    object::find,
};

pub(crate) const LOGIN_REPORTS: &str = "loginreports.pullcred.dev";
pub(crate) const PULL_SECRET_REPORTS: &str = "pullsecretreports.pullcred.dev";

fn condition() -> Condition {
    Condition {
        type_: "Ready".to_owned(),
        status: "False".to_owned(),
        reason: "NameConflict".to_owned(),
        message: "why".to_owned(),
        last_transition_time: "2026-01-01T00:00:00Z".to_owned(),
    }
}

/// With every field: one that is added to the type does not compile here until it is set.
fn login() -> LoginStatus {
    LoginStatus {
        observed_mapping: "3f9c".to_owned(),
        kind: "secret".to_owned(),
        conditions: vec![condition()],
        namespaces: NamespaceSummary {
            copied: "1/4".to_owned(),
            wanted: 4,
            ready: 1,
            conflict: 2,
            refused: 1,
        },
        failing: vec![FailingNamespace {
            namespace: "shop".to_owned(),
            reason: "Denied".to_owned(),
        }],
        registries: vec!["registry.example.com".to_owned()],
        expires_at: Some("2026-01-01T00:00:00Z".to_owned()),
        health: Some(Box::new(LoginHealth {
            verdict: Some(HealthVerdict::Refused),
            checked_at: "2026-01-01T00:00:00Z".to_owned(),
            next_check_at: Some("2026-01-01T00:05:00Z".to_owned()),
            image: Some("registry.example.com/app:1".to_owned()),
            refusals: 2,
            content: "0123456789ab".to_owned(),
            held: true,
            trying: true,
        })),
    }
}

/// Likewise.
fn secrets() -> PullSecretStatus {
    PullSecretStatus {
        conditions: vec![condition()],
        summary: SecretSummary { secrets: 3, missing: 2, unhealthy: 1 },
        secrets: vec![ReportedSecret {
            name: "example".to_owned(),
            state: ReportedState::Conflict,
            reason: Some("NameConflict".to_owned()),
            expired_at: Some("2026-01-01T00:00:00Z".to_owned()),
            keys: Some(vec!["quay.io".to_owned()]),
        }],
        discovery: Some(Discovery::Permitted),
        pods: Some(PodSummary {
            seen: 4,
            without: 2,
            failing: 1,
            seen_at: "2026-01-01T00:00:00Z".to_owned(),
            owners: vec![PodOwner {
                kind: "Deployment".to_owned(),
                name: "web".to_owned(),
                without: 2,
                failing: 1,
                remedy: "New ones: kubectl -n shop rollout restart deployment/web".to_owned(),
            }],
        }),
    }
}

/// The schema of `status`.
fn schema(plural: &str) -> Value {
    let objects = objects(&[LOGINS]);
    let definition = find(&objects, "CustomResourceDefinition", plural);
    let status = "/spec/versions/0/schema/openAPIV3Schema/properties/status";
    definition.at(status).clone()
}

/// What of a value the schema does not say in the same words, by path.
fn differences(schema: &Value, value: &Value, path: &str, found: &mut Vec<String>) {
    let stated = schema["type"].as_str().unwrap_or_default();
    let is = match value {
        Value::String(_) => "string",
        Value::Number(_) => "integer",
        Value::Bool(_) => "boolean",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
        Value::Null => "none of these",
    };
    if stated != is {
        found.push(format!("{path}: {is}, and the schema has {stated:?}"));
    }
    if schema["description"].as_str().is_none_or(str::is_empty) && !path.ends_with("[]") {
        found.push(format!("{path}: no description"));
    }
    match value {
        Value::Array(items) => {
            differences(&schema["items"], &items[0], &format!("{path}[]"), found);
        }
        Value::Object(fields) => {
            let properties = schema["properties"].as_object().cloned().unwrap_or_default();
            for key in properties.keys().filter(|key| !fields.contains_key(*key)) {
                found.push(format!("{path}.{key}: no field of the type"));
            }
            for (key, field) in fields {
                differences(&schema["properties"][key], field, &format!("{path}.{key}"), found);
            }
        }
        _ => {}
    }
}

fn all_differences(schema: &Value, status: &impl Serialize) -> Vec<String> {
    let mut found = Vec::new();
    differences(schema, &serde_json::to_value(status).unwrap(), "status", &mut found);
    found
}

#[test]
fn definitions_have_the_fields_of_the_types_and_no_others() {
    assert_eq!(all_differences(&schema(LOGIN_REPORTS), &login()), [""; 0]);
    assert_eq!(all_differences(&schema(PULL_SECRET_REPORTS), &secrets()), [""; 0]);
}

#[test]
fn a_definition_that_differs_is_found() {
    let right = schema(PULL_SECRET_REPORTS);
    for (pointer, wrong, words) in [
        ("/properties/discovery/type", json!("boolean"), "status.discovery: string"),
        ("/properties/summary/properties/missing/type", json!("string"), "missing: integer"),
        ("/properties/secrets/items/properties/keys/items", json!({}), "secrets[].keys[]: string"),
        ("/properties/secrets/description", json!(""), "status.secrets: no description"),
        ("/properties/summary/properties", json!({}), "summary.secrets: integer"),
    ] {
        let mut schema = right.clone();
        *schema.pointer_mut(pointer).unwrap() = wrong;
        let found = all_differences(&schema, &secrets());
        assert!(found.iter().any(|it| it.contains(words)), "{words}: {found:?}");
    }
    let mut more = right;
    more["properties"]["summary"]["properties"]["pods"] =
        json!({"type": "integer", "description": "d"});
    let found = all_differences(&more, &secrets());
    assert_eq!(found, ["status.summary.pods: no field of the type"]);
}

/// Takes each field away, at every depth: the type cannot be read exactly where the schema requires the field.
fn hold_required<T: DeserializeOwned>(schema: &Value, whole: &Value, pointer: &str) {
    let (schema_here, here) = (schema, whole.pointer(pointer).unwrap());
    match here {
        Value::Array(_) => hold_required::<T>(&schema["items"], whole, &format!("{pointer}/0")),
        Value::Object(fields) => {
            let required = schema_here["required"].as_array().cloned().unwrap_or_default();
            for key in fields.keys() {
                let mut without = whole.clone();
                without.pointer_mut(pointer).unwrap().as_object_mut().unwrap().remove(key);
                let refused = serde_json::from_value::<T>(without).is_err();
                let stated = required.contains(&json!(key));
                assert_eq!(refused, stated, "{pointer}/{key}");
                let below = &schema["properties"][key];
                hold_required::<T>(below, whole, &format!("{pointer}/{key}"));
            }
        }
        _ => {}
    }
}

#[test]
fn definitions_require_what_the_types_do() {
    let login = serde_json::to_value(login()).unwrap();
    hold_required::<LoginStatus>(&schema(LOGIN_REPORTS), &login, "");
    let secrets = serde_json::to_value(secrets()).unwrap();
    hold_required::<PullSecretStatus>(&schema(PULL_SECRET_REPORTS), &secrets, "");
}

#[test]
fn the_description_of_a_state_has_all_of_them() {
    let schema = schema(PULL_SECRET_REPORTS);
    let states = &schema["properties"]["secrets"]["items"]["properties"]["state"];
    let text = states["description"].as_str().unwrap();
    let mut described: Vec<_> =
        text.split(' ').filter_map(|word| word.strip_suffix(':')).map(str::to_owned).collect();
    let name = |state: &ReportedState| serde_json::to_value(state).unwrap();
    let mut expected: Vec<_> = ReportedState::KNOWN.iter().map(name).collect();
    described.sort_unstable();
    expected.sort_unstable_by_key(Value::to_string);
    assert_eq!(described, expected);
    for state in ReportedState::KNOWN {
        // A state that is added does not compile here until it is listed above.
        match state {
            ReportedState::Ready
            | ReportedState::Pending
            | ReportedState::Missing
            | ReportedState::WrongType
            | ReportedState::Unreadable
            | ReportedState::Conflict
            | ReportedState::Refused
            | ReportedState::Expired
            | ReportedState::Unknown => {}
        }
        // None is listed, so that a newer controller can write one that an older definition does not have.
        assert!(states.get("enum").is_none());
    }
    let discovery = schema["properties"]["discovery"]["description"].as_str().unwrap();
    for state in [Discovery::Permitted, Discovery::NotPermitted] {
        assert!(discovery.contains(name_of(state)), "{discovery}");
    }
}

const fn name_of(discovery: Discovery) -> &'static str {
    match discovery {
        Discovery::Permitted => "Permitted",
        Discovery::NotPermitted => "NotPermitted",
        Discovery::Unknown => "Unknown",
    }
}

#[test]
fn definitions_are_of_the_kinds_that_pullcred_uses() {
    let objects = objects(&[LOGINS]);
    for (plural, kind, scope, short) in [
        (LOGIN_REPORTS, LOGIN_REPORT, "Cluster", "lgr"),
        (PULL_SECRET_REPORTS, PULL_SECRET_REPORT, "Namespaced", "psr"),
    ] {
        let definition = find(&objects, "CustomResourceDefinition", plural);
        assert_eq!(definition.text("/spec/group"), GROUP);
        assert_eq!(definition.text("/spec/scope"), scope);
        assert_eq!(definition.text("/spec/names/kind"), kind);
        assert_eq!(definition.texts("/spec/names/shortNames"), [short]);
        assert_eq!(format!("{}.{GROUP}", definition.text("/spec/names/plural")), plural);
        let [version] = &definition.items("/spec/versions").collect::<Vec<_>>()[..] else {
            panic!("{plural} has several versions");
        };
        assert_eq!(version.text("/name"), VERSION);
        // A report is one write.
        assert!(version.at("/subresources").is_null(), "{plural}");
        let annotations = "/metadata/annotations/helm.sh~1resource-policy";
        assert_eq!(definition.text(annotations), "keep", "{plural}");
    }
}

/// Each column shows a field that a report has.
#[test]
fn columns_show_fields_that_are_there() {
    let objects = objects(&[LOGINS]);
    let columns = |plural| -> Vec<_> {
        let definition = find(&objects, "CustomResourceDefinition", plural);
        let columns = definition.items("/spec/versions/0/additionalPrinterColumns");
        columns.map(|it| (it.text("/name").to_owned(), it.text("/jsonPath").to_owned())).collect()
    };
    let (logins, secrets_) = (columns(LOGIN_REPORTS), columns(PULL_SECRET_REPORTS));
    let names = |columns: &[(String, String)]| -> Vec<String> {
        columns.iter().map(|(name, _)| name.clone()).collect()
    };
    assert_eq!(names(&logins), ["Kind", "Ready", "Namespaces", "Health", "Expires", "Age"]);
    assert_eq!(names(&secrets_), ["Ready", "Secrets", "Missing", "Unhealthy", "Pods", "Age"]);
    let login = json!({"status": login(), "metadata": {"creationTimestamp": "t"}});
    let secrets = json!({"status": secrets(), "metadata": {"creationTimestamp": "t"}});
    for (object, columns) in [(login, logins), (secrets, secrets_)] {
        for (name, path) in columns {
            // A filter by the type of a condition, and what is left is a plain path.
            let (path, is_condition) = match path.split_once("[?(@.type==\"") {
                Some((list, rest)) => {
                    (format!("{list}.0{}", &rest[rest.find(')').unwrap() + 2..]), true)
                }
                None => (path, false),
            };
            let value = object.pointer(&path.replace('.', "/"));
            assert!(value.is_some_and(|it| !it.is_null()), "{name}: {path}: {object}");
            assert_eq!(path.contains("conditions"), is_condition, "{name}");
        }
    }
}
