//! What a kubelet does with a Secret that a Pod mounts: it reads it now and then, and replaces a symbolic link.

use std::{
    fs,
    os::unix::fs::symlink,
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::{Context, Result};
use serde_json::Value;
use tokio::task::JoinHandle;

use super::home::decoded;
use crate::api::{Answer, Api};

const KEYS: [&str; 2] = ["tls.crt", "tls.key"];

/// A Secret's files, kept up to date.
pub(super) struct Mount {
    folder: PathBuf,
    task: JoinHandle<()>,
}

impl Mount {
    /// Mounts the Secret at `path` of the API in `folder` and checks every `period` whether it has changed.
    pub(super) async fn start(
        api: &Api,
        path: String,
        folder: PathBuf,
        period: Duration,
    ) -> Result<Self> {
        fs::create_dir_all(&folder)?;
        let secret = api.get(&path).await?.object()?;
        write(&folder, &secret)?;
        for key in KEYS {
            symlink(Path::new("..data").join(key), folder.join(key))?;
        }
        let mut version = secret["metadata"]["resourceVersion"].clone();
        let (api, into) = (api.clone(), folder.clone());
        let task = tokio::spawn(async move {
            loop {
                tokio::time::sleep(period).await;
                // A Secret that is gone, or an API server that is: the files stay as they are.
                let Ok(Ok(secret)) = api.get(&path).await.map(Answer::object) else {
                    continue;
                };
                if secret["metadata"]["resourceVersion"] != version && write(&into, &secret).is_ok()
                {
                    version = secret["metadata"]["resourceVersion"].clone();
                }
            }
        });
        Ok(Self { folder, task })
    }

    pub(super) fn file(&self, key: &str) -> PathBuf {
        self.folder.join(key)
    }
}

impl Drop for Mount {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// All keys at once: a new folder, and the link `..data` moved to it by a rename.
fn write(folder: &Path, secret: &Value) -> Result<()> {
    let version = secret["metadata"]["resourceVersion"].as_str().context("no version")?;
    let data = folder.join(format!("..{version}"));
    fs::create_dir_all(&data)?;
    for key in KEYS {
        fs::write(data.join(key), decoded(&secret["data"][key])?)?;
    }
    let link = folder.join("..data_tmp");
    let _ = fs::remove_file(&link);
    symlink(format!("..{version}"), &link)?;
    fs::rename(link, folder.join("..data"))?;
    Ok(())
}
