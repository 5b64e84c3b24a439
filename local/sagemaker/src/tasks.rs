//! Background work that ends with the service.

use std::{
    future::Future,
    sync::{Mutex, PoisonError},
};

use tokio::task::{AbortHandle, JoinSet};

/// The tasks of a service.
#[derive(Debug, Default)]
pub(crate) struct Tasks(Mutex<JoinSet<()>>);

impl Tasks {
    /// Starts a task.
    pub(crate) fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) -> AbortHandle {
        let mut set = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        // Finished tasks are kept until they are asked for.
        while set.try_join_next().is_some() {}
        set.spawn(task)
    }

    /// Drops every task, and with them the programs they run, and waits until they are gone.
    pub(crate) async fn shutdown(&self) {
        let mut set = {
            let mut set = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            std::mem::take(&mut *set)
        };
        set.shutdown().await;
    }
}
