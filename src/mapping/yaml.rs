//! The structure of a mapping file, and messages for the YAML library's errors in terms of a mapping.

use std::collections::BTreeMap;

use serde::{Deserialize, Deserializer, de::IgnoredAny};
use serde_saphyr::{Error, Location, Options, Spanned};

use super::{
    error::{Place, Problem},
    yaml_login::RawLogin,
};
use crate::core::rules::{RegistryPattern, SecretName};

/// The most nodes that aliases may expand to: enough for real mappings, too few for an expansion attack.
const ALIASED_MAX: usize = 100_000;

/// A mapping file, before its entries are checked.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawMapping {
    #[serde(default, deserialize_with = "not_null")]
    pub(super) rules: Option<Spanned<Vec<Spanned<RawRule>>>>,
    #[serde(default, deserialize_with = "not_null")]
    pub(super) always: Option<Names>,
    #[serde(default, deserialize_with = "not_null")]
    pub(super) logins: Option<Spanned<Vec<Spanned<RawLogin>>>>,
    #[serde(default, deserialize_with = "not_null")]
    pub(super) discover: Option<RawDiscover>,
}

/// Where pull Secrets are discovered, as it is written.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawDiscover {
    pub(super) namespaces: Names,
}

/// A rule, before its entries are checked.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(super) struct RawRule {
    pub(super) registries: Names,
    pub(super) secret: Spanned<String>,
    #[serde(default, deserialize_with = "not_null")]
    pub(super) namespaces: Option<Names>,
    #[serde(default, deserialize_with = "not_null")]
    pub(super) login: Option<Spanned<String>>,
    #[serde(default, deserialize_with = "not_null")]
    pub(super) namespace_labels: Option<Spanned<BTreeMap<String, Spanned<String>>>>,
    #[serde(default, deserialize_with = "not_null")]
    pub(super) when_missing: Option<Spanned<String>>,
    #[serde(default, deserialize_with = "not_null", rename = "as")]
    pub(super) identity: Option<Spanned<RawIdentity>>,
    #[serde(default, deserialize_with = "not_null")]
    pub(super) verify: Option<Spanned<String>>,
}

/// Whose token fetches the login of a rule.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(super) struct RawIdentity {
    pub(super) service_account: Spanned<String>,
}

pub(super) type Names = Spanned<Vec<Spanned<String>>>;

/// Refuses a key without a value: `namespaces:` must not mean the same as no key.
pub(super) fn not_null<'de, D, T>(deserializer: D) -> Result<Option<T>, D::Error>
where
    D: Deserializer<'de>,
    T: Deserialize<'de>,
{
    T::deserialize(deserializer).map(Some)
}

/// The values of the Helm chart, as far as they are about the mapping.
#[derive(Debug, Deserialize)]
struct RawValues {
    mapping: Option<RawMapping>,
}

/// The keys that distinguish chart values from a mapping file.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Keys {
    mapping: Option<IgnoredAny>,
    mapping_from: Option<IgnoredAny>,
    rules: Option<IgnoredAny>,
    always: Option<IgnoredAny>,
}

/// Reads the one YAML document of a mapping file.
pub(super) fn read(text: &str) -> Result<RawMapping, Problem> {
    serde_saphyr::from_str_with_options(text, options()).map_err(|error| problem(text, &error))
}

/// Whether a text is the values of the Helm chart rather than a mapping file.
pub(super) fn are_values(text: &str) -> bool {
    let keys: Result<Keys, _> = serde_saphyr::from_str_with_options(text, options());
    keys.is_ok_and(|Keys { mapping, mapping_from, rules, always }| {
        (mapping.is_some() || mapping_from.is_some()) && rules.is_none() && always.is_none()
    })
}

/// Reads `mapping` from the values of the Helm chart; `None` where the key is missing.
pub(super) fn read_values(text: &str) -> Result<Option<RawMapping>, Problem> {
    let values: Result<RawValues, _> = serde_saphyr::from_str_with_options(text, options());
    values.map(|values| values.mapping).map_err(|error| problem(text, &error))
}

fn options() -> Options {
    serde_saphyr::options! {
        // The library buffers no more than 32 lines of comment; without their text, any number.
        emit_comments: false,
        alias_limits: serde_saphyr::alias_limits! { max_total_replayed_events: ALIASED_MAX },
        with_snippet: false,
    }
}

/// Converts a location of the YAML library.
pub(super) fn place(location: Location) -> Place {
    let narrow = |number: u64| u32::try_from(number).unwrap_or(u32::MAX);
    let offset = |number: u64| usize::try_from(number).unwrap_or(usize::MAX);
    // The library counts lines from 1; 0 is an unknown place.
    if location.line() == 0 {
        return Place::START;
    }
    Place {
        offset: offset(location.span().offset()),
        length: offset(location.span().len()),
        line: narrow(location.line()),
        column: narrow(location.column()),
    }
}

fn problem(text: &str, error: &Error) -> Problem {
    let location = error.location().unwrap_or(Location::UNKNOWN);
    let reported = place(location);
    let place = if reported.length == 0 { reported.word(text) } else { reported };
    let message = match error {
        Error::WithSnippet { error, .. } | Error::AliasError { error, .. } => {
            return problem(text, error);
        }
        Error::DuplicateMappingKey { .. } => {
            "this key is here a second time: keep one of the two".to_owned()
        }
        Error::SerdeMissingField { field, .. } => missing(field),
        Error::SerdeUnknownField { field, expected, .. } => unknown(field, expected),
        Error::Unexpected { expected: "sequence start", .. } => not_a_list(reported.of(text)),
        Error::Unexpected { expected: "mapping start", .. } => {
            "keys with values belong here: a file has `rules`, `always`, `logins` and `discover`, \
             a rule has `registries`, `secret`, `namespaces` and `login`, and `discover` has `namespaces`"
                .to_owned()
        }
        Error::Unexpected { expected: "string scalar", .. } => {
            "a single text belongs here, not a list or keys with values: \
             if it has brackets or a colon, write it in quotes, such as \"[fd00::1]:5000\""
                .to_owned()
        }
        Error::NullIntoString { .. } => "a name is missing here: write it behind the colon or dash".to_owned(),
        Error::MultipleDocuments { .. } => {
            "a second YAML document begins here, and a mapping is only one: remove it with its `---`".to_owned()
        }
        Error::UnknownAnchor { .. } => {
            let place = place.word(text);
            let word = place.of(text);
            let message = format!("YAML reads the `*` as an alias: write it in quotes, \"{word}\"");
            return Problem::new(text, place, message);
        }
        Error::AliasReplayLimitExceeded { .. } | Error::AliasExpansionLimitExceeded { .. } | Error::AliasReplayStackDepthExceeded { .. } => {
            "the aliases of this file stand for too much text: write the rules out".to_owned()
        }
        Error::Budget { .. } => "the file has too many or too deep entries for a mapping".to_owned(),
        other => {
            let place = place.word(text);
            return Problem::new(text, place, not_yaml(&other.to_string(), location));
        }
    };
    Problem::new(text, place, message)
}

fn missing(field: &str) -> String {
    let write = match field {
        "name" => return "the login has no `name`: write one by which rules refer to it, as in `name: acme`".to_owned(),
        "namespaces" => return "`discover` has no `namespaces`: name some, as in `namespaces: [\"sandbox-*\"]`, or [\"*\"] for all that opt in".to_owned(),
        "serviceAccount" => return "`as` names no ServiceAccount: write `as: {serviceAccount: pullcred-pull}`".to_owned(),
        "registries" => "name one or more, as in `registries: [quay.io]`",
        _ => "name the Secret with the credentials, as in `secret: quay-robot`",
    };
    format!("the rule has no `{field}`: {write}")
}

fn unknown(field: &str, expected: &[&str]) -> String {
    let field: String = field.chars().take(80).collect();
    // The start of a mistyped key is mostly right.
    let meant = expected.iter().find(|key| {
        let same = key.chars().zip(field.chars().map(|c| c.to_ascii_lowercase()));
        same.take_while(|(a, b)| a == b).count() >= 3
    });
    if ["username", "password", "auth", "auths", "token"].contains(&&*field) {
        return format!(
            "unknown key {field:?}: credentials belong into a Secret, and here only its name, as `secret`"
        );
    }
    if ["mapping", "mappingFrom"].contains(&&*field) {
        return format!(
            "unknown key {field:?}: these are values of the chart, of which a mapping file has only what is under `mapping`"
        );
    }
    let known = expected.iter().map(|key| format!("`{key}`")).collect::<Vec<_>>().join(", ");
    match meant {
        Some(key) => format!("unknown key {field:?}: write `{key}`"),
        None => format!("unknown key {field:?}: the keys known here are {known}"),
    }
}

fn not_a_list(found: &str) -> String {
    let is_entry = found.parse::<RegistryPattern>().is_ok() || found.parse::<SecretName>().is_ok();
    if is_entry {
        format!("a list belongs here, even for one entry: write [{found}]")
    } else {
        "a list belongs here, even for one entry: write it in brackets, \
         or one entry a line behind `- `"
            .to_owned()
    }
}

/// A message of the YAML parser, without the place that it ends with.
fn not_yaml(message: &str, location: Location) -> String {
    let place = format!(" at line {}, column {}", location.line(), location.column());
    let message = message.strip_suffix(&place).unwrap_or(message);
    format!("not valid YAML, {message}{}", yaml_hint(message))
}

/// What to do about a message of the YAML parser, to be written behind it; empty where that is not known.
pub(crate) fn yaml_hint(message: &str) -> &'static str {
    if message.contains("tab") {
        ": indent with spaces"
    } else if message.contains("block") || message.contains("indent") {
        ": compare the indentation with the lines above"
    } else if message.contains("illegal placement") {
        ": a bracket or quote above may still be open"
    } else if message.contains("unexpected character") {
        ": text that begins with a special character needs quotes"
    } else {
        ""
    }
}
