//! The cluster as its clients see it: over TLS, with the `kube` client, running real processes.

#![expect(clippy::unwrap_used, clippy::expect_used, reason = "helpers of tests")]

mod access;
mod api;
mod before;
mod rollout;
mod support;
mod workload;
