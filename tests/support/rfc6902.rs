//! A second implementation of JSON Patch, written from RFC 6902 and RFC 6901 alone, so that a patch of ours is judged
//! by more than the library that made it. Only `add`, which is all that may ever occur: anything else is an error.

use serde_json::Value;

pub(crate) fn apply(document: &mut Value, patch: &Value) -> Result<(), String> {
    let operations = patch.as_array().ok_or("a patch is an array (section 3)")?;
    operations.iter().try_for_each(|operation| add(document, operation))
}

fn add(document: &mut Value, operation: &Value) -> Result<(), String> {
    if operation["op"] != "add" {
        return Err(format!("unexpected operation {operation}"));
    }
    let value = operation.get("value").ok_or("add has a value (section 4.1)")?.clone();
    let path = operation["path"].as_str().ok_or("an operation has a path (section 4)")?;
    let tokens = tokens(path)?;
    let Some((last, parents)) = tokens.split_last() else {
        *document = value;
        return Ok(());
    };
    let mut parent = document;
    for token in parents {
        parent = match parent {
            Value::Object(members) => members.get_mut(token),
            Value::Array(items) => token.parse::<usize>().ok().and_then(|at| items.get_mut(at)),
            _ => None,
        }
        .ok_or_else(|| format!("{path}: the parent of the target must exist (section 4.1)"))?;
    }
    match parent {
        Value::Object(members) => {
            members.insert(last.clone(), value);
        }
        Value::Array(items) if last == "-" => items.push(value),
        Value::Array(items) => match last.parse::<usize>() {
            Ok(at) if at <= items.len() => items.insert(at, value),
            _ => return Err(format!("{path}: no such place in the array (section 4.1)")),
        },
        _ => return Err(format!("{path}: the parent is neither object nor array")),
    }
    Ok(())
}

fn tokens(pointer: &str) -> Result<Vec<String>, String> {
    if pointer.is_empty() {
        return Ok(Vec::new());
    }
    let rest = pointer.strip_prefix('/').ok_or("a pointer begins with / (RFC 6901, section 3)")?;
    Ok(rest.split('/').map(|token| token.replace("~1", "/").replace("~0", "~")).collect())
}
