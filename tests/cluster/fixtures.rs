//! Pods and workloads as users write them, in few words.

use serde_json::{Value, json};

/// A Pod to be created.
#[derive(Debug, Clone)]
pub(crate) struct Pod(Value);

/// Starts a Pod without containers.
pub(crate) fn pod(name: &str) -> Pod {
    Pod(json!({
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name},
        "spec": {
            "containers": [],
            // The volume for the token has a random name, which would make two answers differ.
            "automountServiceAccountToken": false,
            "terminationGracePeriodSeconds": 0,
        },
    }))
}

// === impl Pod ===

impl Pod {
    /// Adds a container.
    pub(crate) fn image(self, image: &str) -> Self {
        self.container("containers", "app", image)
    }

    /// Gives the last container arguments.
    pub(crate) fn args(self, args: &[&str]) -> Self {
        self.of_last_container("args", json!(args))
    }

    /// Adds an init container.
    pub(crate) fn init_image(self, image: &str) -> Self {
        self.container("initContainers", "init", image)
    }

    /// Adds a volume whose content is an image.
    pub(crate) fn image_volume(mut self, reference: &str) -> Self {
        let volumes = list(&mut self.0["spec"]["volumes"]);
        let name = format!("image-{}", volumes.len());
        volumes.push(json!({"name": name, "image": {"reference": reference}}));
        self
    }

    /// Mounts the last volume into the last container.
    pub(crate) fn mounted_at(self, path: &str) -> Self {
        let volumes = self.0["spec"]["volumes"].as_array();
        let name = volumes.and_then(|all| all.last()).map(|last| last["name"].clone());
        self.of_last_container("volumeMounts", json!([{"name": name, "mountPath": path}]))
    }

    /// Names pull Secrets, as a user does who knows that they are needed.
    pub(crate) fn pull_secrets(mut self, names: &[&str]) -> Self {
        let secrets = list(&mut self.0["spec"]["imagePullSecrets"]);
        secrets.extend(names.iter().map(|name| json!({"name": name})));
        self
    }

    pub(crate) fn label(self, key: &str, value: &str) -> Self {
        self.metadata("labels", key, value.into())
    }

    pub(crate) fn annotation(self, key: &str, value: &str) -> Self {
        self.metadata("annotations", key, value.into())
    }

    pub(crate) fn finalizer(mut self, name: &str) -> Self {
        list(&mut self.0["metadata"]["finalizers"]).push(name.into());
        self
    }

    pub(crate) fn service_account(self, name: &str) -> Self {
        self.spec("serviceAccountName", name.into())
    }

    /// Sets any field of the spec.
    pub(crate) fn spec(mut self, field: &str, value: Value) -> Self {
        self.0["spec"][field] = value;
        self
    }

    /// The Pod as the JSON to post.
    pub(crate) fn into_object(self) -> Value {
        self.0
    }

    /// The Pod as the template of a workload, labelled `app: <its name>`.
    pub(crate) fn into_template(self) -> Value {
        let name = self.0["metadata"]["name"].as_str().unwrap_or_default().to_owned();
        let mut template = self.label("app", &name).0;
        json!({"metadata": {"labels": template["metadata"]["labels"].take()},
               "spec": template["spec"].take()})
    }

    fn container(mut self, field: &str, prefix: &str, image: &str) -> Self {
        let containers = list(&mut self.0["spec"][field]);
        let name = format!("{prefix}-{}", containers.len());
        containers.push(json!({"name": name, "image": image}));
        self
    }

    /// Sets any field of the last container.
    pub(crate) fn of_last_container(mut self, field: &str, value: Value) -> Self {
        if let Some(container) = list(&mut self.0["spec"]["containers"]).last_mut() {
            container[field] = value;
        }
        self
    }

    fn metadata(mut self, field: &str, key: &str, value: Value) -> Self {
        self.0["metadata"][field][key] = value;
        self
    }
}

/// A workload of `apps/v1` that runs `template`'s Pod.
pub(crate) fn workload(kind: &str, template: Pod) -> Value {
    let template = template.into_template();
    let labels = template["metadata"]["labels"].clone();
    json!({
        "apiVersion": "apps/v1",
        "kind": kind,
        "metadata": {"name": labels["app"]},
        "spec": {"selector": {"matchLabels": labels}, "template": template},
    })
}

/// A Job that runs `template`'s Pod once.
pub(crate) fn job(template: Pod) -> Value {
    let template = template.spec("restartPolicy", "Never".into()).into_template();
    json!({
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {"name": template["metadata"]["labels"]["app"]},
        "spec": {"template": template},
    })
}

/// The array behind `value`, made where there is none.
fn list(value: &mut Value) -> &mut Vec<Value> {
    if !value.is_array() {
        *value = Value::Array(Vec::new());
    }
    match value {
        Value::Array(list) => list,
        _ => unreachable!("just made an array"),
    }
}
