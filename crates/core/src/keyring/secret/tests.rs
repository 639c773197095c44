use super::*;

fn read_json(text: &str) -> Result<Contents, SecretError> {
    read(Form::DockerConfigJson.type_(), |_| Some(text.as_bytes()))
}

#[test]
fn nothing_secret_is_shown() {
    let text = r#"{"auths": {"https://hunter2@quay.io": {"auth": "aHVudGVyMjpodW50ZXIy"}}}"#;
    let contents = read_json(text).expect("readable");
    assert!(!format!("{contents:?}").contains("hunter2"));

    for (text, message) in [
        (
            r#"{"auths": {"https://hunter2@quay.io": {"auth": "hunter2!"}}}"#,
            "`auth` of the entry `https://…@quay.io` is not base64: write the base64 of `user:password`",
        ),
        (
            r#"{"auths": {"quay.io": {"password": ["hunter2"]}}}"#,
            "`password` of the entry `quay.io` must be a string in quotes, not a list",
        ),
        (
            r#"{"auths": {"quay.io": {"auth": "hunter2"}"#,
            "`.dockerconfigjson` is not JSON: it ends too early, at byte 41",
        ),
    ] {
        let err = read_json(text).expect_err("unreadable");
        assert_eq!(err.to_string(), message);
        assert!(!format!("{err:?}").contains("hunter2"));
    }
}

#[test]
fn a_later_null_empties_auths_but_not_a_member() {
    let keys = |text| match read_json(text).expect("readable") {
        Contents::Entries(entries) => entries.len(),
        Contents::Ignored(_) => 0,
    };
    assert_eq!(keys(r#"{"auths": {"a": {}}, "Auths": {"b": null}}"#), 2);
    assert_eq!(keys(r#"{"auths": {"a": {}}, "Auths": null}"#), 0);

    let entries = r#"{"a": {"username": "u", "Username": null}}"#;
    let contents = read(Form::DockerCfg.type_(), |_| Some(entries.as_bytes())).expect("readable");
    let Contents::Entries(entries) = contents else { panic!("{contents:?}") };
    assert_eq!(entries[0].login.username(), "u");
}

#[test]
fn nesting_has_go_s_bound() {
    let nested = |depth| format!("{{\"x\": {}{}}}", "[".repeat(depth), "]".repeat(depth));
    assert!(read_json(&nested(9_999)).is_ok());
    assert_eq!(
        read_json(&nested(10_000)),
        Err(SecretError::Syntax {
            data_key: Form::DockerConfigJson.data_key(),
            fault: SyntaxError::Depth { at: 6 + 9_999 }
        })
    );
}
