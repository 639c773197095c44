//! Which object a process of a Pod reads a file from, by the Pod's spec.

use k8s_openapi::api::core::v1::{Container, KeyToPath, Pod, PodSpec};

/// An entry of a ConfigMap or a Secret that is mounted as a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Mounted {
    pub(super) source: Source,
    /// The key of its data.
    pub(super) key: String,
}

/// What is mounted, by its name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Source {
    ConfigMap(String),
    Secret(String),
}

/// Where the file comes from that a container of the Pod is given by a flag, or by its environment variable.
pub(super) fn file_of(pod: &Pod, flag: &str, variable: &str) -> Option<Mounted> {
    let spec = pod.spec.as_ref()?;
    spec.containers.iter().find_map(|container| {
        let path = argument(container, flag).or_else(|| environment(container, variable))?;
        mounted(spec, container, path)
    })
}

/// The value of `--flag=VALUE` or `--flag VALUE`.
fn argument<'c>(container: &'c Container, flag: &str) -> Option<&'c str> {
    let words = || container.command.iter().chain(&container.args).flatten().map(String::as_str);
    let joined = words().find_map(|word| word.strip_prefix(flag)?.strip_prefix('='));
    joined.or_else(|| words().skip_while(|word| *word != flag).nth(1))
}

fn environment<'c>(container: &'c Container, variable: &str) -> Option<&'c str> {
    container.env.iter().flatten().find(|it| it.name == variable)?.value.as_deref()
}

fn mounted(spec: &PodSpec, container: &Container, path: &str) -> Option<Mounted> {
    let mounts = container.volume_mounts.iter().flatten().filter_map(|mount| {
        let below = path.strip_prefix(mount.mount_path.trim_end_matches('/'))?;
        Some((mount, below.strip_prefix('/').or(below.is_empty().then_some(""))?))
    });
    let (mount, below) = mounts.max_by_key(|(mount, _)| mount.mount_path.len())?;
    let sub_path = mount.sub_path.as_deref().unwrap_or_default();
    let file = format!("{sub_path}/{below}");
    let file = file.trim_matches('/');
    let volume = spec.volumes.iter().flatten().find(|volume| volume.name == mount.name)?;
    let (source, items) = if let Some(volume) = &volume.config_map {
        (Source::ConfigMap(volume.name.clone()), &volume.items)
    } else {
        let volume = volume.secret.as_ref()?;
        (Source::Secret(volume.secret_name.clone()?), &volume.items)
    };
    Some(Mounted { source, key: key(items.as_deref(), file)? })
}

/// The key that becomes this file. Without a list, every key becomes a file of its name.
fn key(items: Option<&[KeyToPath]>, file: &str) -> Option<String> {
    match items {
        None => Some(file.to_owned()),
        Some(items) => items.iter().find(|item| item.path == file).map(|item| item.key.clone()),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn of(args: &Value, mount: &Value, volume: &Value) -> Option<Mounted> {
        let pod = json!({"spec": {
            "containers": [{
                "name": "webhook", "args": args, "volumeMounts": [mount],
                "env": [{"name": "PULLCRED_CONFIG", "value": "/etc/mapping/by-env.yaml"}],
            }],
            "volumes": [volume],
        }});
        file_of(&serde_json::from_value(pod).unwrap(), "--config", "PULLCRED_CONFIG")
    }

    #[test]
    fn the_object_behind_a_flag_is_found() {
        let mount = json!({"name": "m", "mountPath": "/etc/mapping"});
        let map = json!({"name": "m", "configMap": {"name": "pullcred-mapping"}});
        let found = |key: &str| {
            let source = Source::ConfigMap("pullcred-mapping".to_owned());
            Some(Mounted { source, key: key.to_owned() })
        };
        for (args, key) in [
            (json!(["webhook", "--config=/etc/mapping/a.yaml"]), "a.yaml"),
            (json!(["webhook", "--config", "/etc/mapping/b.yaml"]), "b.yaml"),
            (json!(["webhook"]), "by-env.yaml"),
        ] {
            assert_eq!(of(&args, &mount, &map), found(key), "{args}");
        }
        let args = json!(["--config=/etc/mapping/a.yaml"]);
        let items = json!({"name": "m", "secret": {
            "secretName": "s", "items": [{"key": "k", "path": "a.yaml"}],
        }});
        let secret = Mounted { source: Source::Secret("s".to_owned()), key: "k".to_owned() };
        assert_eq!(of(&args, &mount, &items), Some(secret));
        let one_file =
            json!({"name": "m", "mountPath": "/etc/mapping/a.yaml", "subPath": "c.yaml"});
        assert_eq!(of(&args, &one_file, &map), found("c.yaml"));

        let elsewhere = json!({"name": "m", "mountPath": "/etc/map"});
        assert_eq!(of(&args, &elsewhere, &map), None);
        assert_eq!(of(&args, &mount, &json!({"name": "m", "emptyDir": {}})), None);
    }
}
