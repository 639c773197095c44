//! Background tasks that must not end.

use std::future::Future;

use tokio::task::{JoinError, JoinSet};

/// A background task has ended. None of them does by itself, so the process is of no use any more.
#[derive(Debug, thiserror::Error)]
#[error("a background task of the controller ended ({name}): this is a bug")]
pub struct TaskEnded {
    name: &'static str,
    #[source]
    panic: Option<JoinError>,
}

/// Runs tasks until the first of them ends. Dropped, it ends them all.
#[derive(Debug, Default)]
pub struct Supervisor {
    tasks: JoinSet<Result<(), TaskEnded>>,
}

// === impl Supervisor ===

impl Supervisor {
    /// Starts a task.
    pub fn start(&mut self, name: &'static str, task: impl Future<Output = ()> + Send + 'static) {
        let task = tokio::spawn(task);
        self.tasks.spawn(async move {
            let abort = AbortOnDrop(task.abort_handle());
            let panic = task.await.err();
            drop(abort);
            Err(TaskEnded { name, panic })
        });
    }

    /// Waits until a task ends, by itself or by a panic.
    pub async fn failed(&mut self) -> TaskEnded {
        match self.tasks.join_next().await {
            Some(Ok(Err(ended))) => ended,
            Some(Ok(Ok(())) | Err(_)) | None => TaskEnded { name: "supervisor", panic: None },
        }
    }
}

struct AbortOnDrop(tokio::task::AbortHandle);

impl Drop for AbortOnDrop {
    fn drop(&mut self) {
        self.0.abort();
    }
}

#[cfg(test)]
mod tests {
    use std::future::pending;

    use super::*;

    #[tokio::test]
    async fn a_task_that_ends_is_reported() {
        let mut supervisor = Supervisor::default();
        supervisor.start("first", pending());
        supervisor.start("second", async {});
        let ended = supervisor.failed().await;
        assert!(ended.to_string().contains("(second)"), "{ended}");
    }

    #[tokio::test]
    async fn a_task_that_panics_is_reported() {
        let mut supervisor = Supervisor::default();
        supervisor.start("first", pending());
        supervisor.start("second", async { panic!("as the test wants it") });
        let ended = supervisor.failed().await;
        assert!(ended.to_string().contains("(second)"), "{ended}");
        assert!(ended.panic.is_some_and(|panic| panic.is_panic()));
    }
}
