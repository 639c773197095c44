//! A rendered Kubernetes object.

use serde_json::Value;

/// One YAML document of a rendered chart.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Object(Value);

// === impl Object ===

impl Object {
    /// The objects in a rendered text, in its order.
    pub(crate) fn all(text: &str) -> Vec<Self> {
        let documents: Vec<Value> = serde_saphyr::from_multiple(text).unwrap();
        documents.into_iter().filter(|document| !document.is_null()).map(Self).collect()
    }

    pub(crate) fn kind(&self) -> &str {
        self.text("/kind")
    }

    pub(crate) fn name(&self) -> &str {
        self.text("/metadata/name")
    }

    /// The value at a JSON pointer; null where there is none.
    pub(crate) fn at(&self, pointer: &str) -> &Value {
        self.0.pointer(pointer).unwrap_or(&Value::Null)
    }

    /// The string at a JSON pointer.
    pub(crate) fn text(&self, pointer: &str) -> &str {
        self.at(pointer)
            .as_str()
            .unwrap_or_else(|| panic!("{pointer} is {}: {:?}", self.at(pointer), self.0))
    }

    /// The items of the list at a JSON pointer; none where there is no list.
    pub(crate) fn items(&self, pointer: &str) -> impl Iterator<Item = Self> {
        self.at(pointer).as_array().cloned().unwrap_or_default().into_iter().map(Self)
    }

    /// The strings of the list at a JSON pointer.
    pub(crate) fn texts(&self, pointer: &str) -> Vec<&str> {
        let list = self.at(pointer).as_array().map(Vec::as_slice).unwrap_or_default();
        list.iter().map(|item| item.as_str().unwrap()).collect()
    }

    /// The environment of a Deployment's first container, as `NAME=VALUE`. A variable whose value comes from elsewhere fails.
    pub(crate) fn environment(&self) -> Vec<String> {
        let variables = self.items("/spec/template/spec/containers/0/env");
        variables.map(|it| format!("{}={}", it.text("/name"), it.text("/value"))).collect()
    }

    /// The rules of a `NetworkPolicy`'s egress: ports and addresses.
    pub(crate) fn egress(&self) -> Vec<String> {
        let text = |rule: Self| {
            let ports: Vec<_> = rule.items("/ports").map(|it| it.at("/port").to_string()).collect();
            let to = rule.items("/to").map(|it| it.text("/ipBlock/cidr").to_owned());
            let to: Vec<_> = to.collect();
            format!("{} {}", ports.join(","), to.join(",")).trim_end().to_owned()
        };
        self.items("/spec/egress").map(text).collect()
    }

    /// A Pod, or the template of its Pods: `None` for other kinds.
    pub(crate) fn pod(&self) -> Option<Self> {
        match self.kind() {
            "Pod" => Some(self.clone()),
            "Deployment" | "Job" => Some(Self(self.at("/spec/template").clone())),
            _ => None,
        }
    }
}

/// The one object of this kind and name.
pub(crate) fn find<'o>(objects: &'o [Object], kind: &str, name: &str) -> &'o Object {
    let mut found = objects.iter().filter(|object| object.kind() == kind && object.name() == name);
    let object = found.next().unwrap_or_else(|| panic!("there is no {kind} {name}"));
    assert!(found.next().is_none(), "there are two {kind} {name}");
    object
}
