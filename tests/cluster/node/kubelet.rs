//! The kubelet and kube-proxy of the one node.

use std::{fs, path::Path, time::Duration};

use anyhow::{Result, ensure};
use serde_json::{Value, json};

use super::containerd::{POD_CIDR, SOCKET};
use crate::{
    api::Api,
    control_plane::ControlPlane,
    pki::User,
    process::Process,
    sandbox::{NODE_ADDRESS, next_port},
};

/// For the slowest start on a busy machine; the usual one takes ten seconds.
const READY: Duration = Duration::from_secs(120);

/// What containers print, in the cluster's folder.
pub(crate) const POD_LOGS: &str = "pods";

/// The node's name.
const NODE: &str = "node1";

/// A kubelet authenticates as its node: see Node authorization.
const KUBELET: User = User { name: "system:node:node1", group: Some("system:nodes") };

/// Starts the kubelet, with the control groups of its containers below `groups`, and waits until its
/// node is ready.
pub(crate) async fn start(
    control_plane: &ControlPlane,
    api: &Api,
    groups: &str,
    folder: &Path,
) -> Result<Process> {
    let path = folder.join("kubelet.yaml");
    // JSON is YAML.
    fs::write(&path, configuration(control_plane, groups, folder).to_string())?;
    let mut command = control_plane.program("kubelet");
    command
        .arg("--config")
        .arg(path)
        .arg("--kubeconfig")
        .arg(control_plane.kubeconfig(KUBELET)?)
        .arg("--root-dir")
        .arg(folder.join("kubelet"))
        .arg("--cert-dir")
        .arg(folder.join("kubelet-pki"))
        .args(["--hostname-override", NODE])
        .args(["--node-ip", &NODE_ADDRESS.to_string()]);
    let mut kubelet = Process::start("kubelet", &mut command, folder)?;
    let ready = async || {
        let node = api.get(&format!("/api/v1/nodes/{NODE}")).await?.object()?;
        let conditions = node["status"]["conditions"].as_array().into_iter().flatten();
        let mut ready = conditions.filter(|condition| condition["type"] == "Ready");
        let ready = ready.next().unwrap_or(&Value::Null);
        ensure!(ready["status"] == "True", "the node says: {}", ready["message"]);
        Ok(())
    };
    kubelet.ready(READY, ready).await?;
    Ok(kubelet)
}

/// Starts kube-proxy, without which the address of a Service leads nowhere.
pub(crate) fn start_proxy(control_plane: &ControlPlane, folder: &Path) -> Result<Process> {
    let port = || format!("127.0.0.1:{}", next_port());
    let mut command = control_plane.program("kube-proxy");
    command
        .arg("--kubeconfig")
        .arg(control_plane.kubeconfig(User::named("system:kube-proxy"))?)
        .args(["--proxy-mode", "nftables", "--cluster-cidr", POD_CIDR])
        .args(["--hostname-override", NODE])
        .args(["--bind-address", &NODE_ADDRESS.to_string()])
        .args(["--healthz-bind-address", &port(), "--metrics-bind-address", &port()])
        // Settings of connection tracking belong to the machine outside.
        .args(["--conntrack-max-per-core=0", "--conntrack-min=0"])
        .args(["--conntrack-tcp-timeout-established=0", "--conntrack-tcp-timeout-close-wait=0"]);
    Process::start("kube-proxy", &mut command, folder)
}

fn configuration(control_plane: &ControlPlane, groups: &str, folder: &Path) -> Value {
    json!({
        "apiVersion": "kubelet.config.k8s.io/v1beta1",
        "kind": "KubeletConfiguration",
        "containerRuntimeEndpoint": format!("unix://{SOCKET}"),
        "address": NODE_ADDRESS.to_string(),
        "port": next_port(),
        "healthzPort": next_port(),
        "authentication": {
            "anonymous": {"enabled": false},
            "webhook": {"enabled": false},
            "x509": {"clientCAFile": control_plane.folder().join("authority.crt")},
        },
        "authorization": {"mode": "AlwaysAllow"},
        // Control groups: of either version, below one of ours, and no guarantees for the machine.
        "failCgroupV1": false,
        "cgroupDriver": "cgroupfs",
        "cgroupRoot": groups,
        "enforceNodeAllocatable": [],
        "localStorageCapacityIsolation": false,
        // The machine may swap, be full, and lack iptables.
        "failSwapOn": false,
        "evictionHard": {"memory.available": "10Mi", "nodefs.available": "1%", "imagefs.available": "1%"},
        "imageGCHighThresholdPercent": 100,
        "makeIPTablesUtilChains": false,
        // Nobody answers names here, but the kubelet warns of Pods without somebody who could.
        "clusterDNS": ["10.0.0.10"],
        "resolvConf": "",
        "podLogsDir": folder.join(POD_LOGS),
        "volumePluginDir": folder.join("volume-plugins"),
        // Many small Pods at once, and nobody else on the node.
        "serializeImagePulls": false,
        "registryPullQPS": 0,
        "eventRecordQPS": 0,
        "kubeAPIQPS": 200,
        "kubeAPIBurst": 400,
        "syncFrequency": "1s",
    })
}
