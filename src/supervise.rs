//! Background tasks and threads that must run as long as the process does.
//!
//! Without one of them a process looks healthy but does only part of its work, so the end of any of them ends the process.

use tokio::{
    sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel},
    task::{AbortHandle, JoinHandle},
};

/// Receives a report when a supervised task or thread ends. Dropping it aborts the tasks that it started.
#[derive(Debug)]
pub struct Supervisor {
    tasks: Vec<AbortHandle>,
    sender: UnboundedSender<TaskEnded>,
    ended: UnboundedReceiver<TaskEnded>,
}

/// Owned by a supervised task or thread. Dropping it reports the end of the task, also when a panic unwinds.
#[derive(Debug)]
pub struct Guard {
    task: &'static str,
    sender: UnboundedSender<TaskEnded>,
}

/// A supervised task or thread ended. It never should, so the process cannot continue.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a background task ended ({0}): this is a bug")]
pub struct TaskEnded(&'static str);

// === impl Supervisor ===

impl Supervisor {
    /// Starts a supervised task on the current runtime.
    pub fn spawn(
        &mut self,
        name: &'static str,
        task: impl Future<Output = ()> + Send + 'static,
    ) -> JoinHandle<()> {
        let guard = self.guard(name);
        let task = tokio::spawn(async move {
            let _guard = guard;
            task.await;
        });
        self.tasks.push(task.abort_handle());
        task
    }

    /// A guard for a thread, or for any other owner whose end is the end of `task`.
    #[must_use]
    pub fn guard(&self, task: &'static str) -> Guard {
        Guard { task, sender: self.sender.clone() }
    }

    /// Waits until a supervised task or thread ends.
    pub async fn task_ended(&mut self) -> TaskEnded {
        // The supervisor has a sender itself, so the channel is never closed.
        self.ended.recv().await.unwrap_or(TaskEnded("supervisor"))
    }
}

impl Default for Supervisor {
    fn default() -> Self {
        let (sender, ended) = unbounded_channel();
        Self { tasks: Vec::new(), sender, ended }
    }
}

impl Drop for Supervisor {
    fn drop(&mut self) {
        for task in &self.tasks {
            task.abort();
        }
    }
}

// === impl Guard ===

impl Drop for Guard {
    fn drop(&mut self) {
        // The receiver is gone only when the process is ending.
        let _ = self.sender.send(TaskEnded(self.task));
    }
}

#[cfg(test)]
mod tests {
    use std::future::pending;

    use super::*;

    #[tokio::test]
    async fn the_end_of_a_thread_is_reported_also_after_a_panic() {
        let mut supervisor = Supervisor::default();
        let guard = supervisor.guard("thread");
        let thread = std::thread::spawn(move || {
            let _guard = guard;
            panic!("as the test wants it");
        });
        assert_eq!(supervisor.task_ended().await, TaskEnded("thread"));
        assert!(thread.join().is_err());
    }

    #[tokio::test]
    async fn a_task_that_ends_is_reported() {
        let mut supervisor = Supervisor::default();
        supervisor.spawn("first", pending());
        supervisor.spawn("second", async {});
        let ended = supervisor.task_ended().await;
        assert!(ended.to_string().contains("(second)"), "{ended}");
    }

    #[tokio::test]
    async fn a_task_that_panics_is_reported() {
        let mut supervisor = Supervisor::default();
        supervisor.spawn("first", pending());
        let second = supervisor.spawn("second", async { panic!("as the test wants it") });
        assert_eq!(supervisor.task_ended().await, TaskEnded("second"));
        assert!(second.await.is_err_and(|error| error.is_panic()));
    }

    #[tokio::test]
    async fn dropped_it_aborts_its_tasks() {
        let mut supervisor = Supervisor::default();
        let task = supervisor.spawn("task", pending());
        drop(supervisor);
        assert!(task.await.is_err_and(|error| error.is_cancelled()));
    }
}
