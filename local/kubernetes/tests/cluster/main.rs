//! The cluster as its clients see it: over TLS, with the `kube` client, running real processes.

mod access;
mod api;
mod before;
mod rollout;
mod support;
mod workload;
