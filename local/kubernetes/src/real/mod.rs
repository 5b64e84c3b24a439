//! A real cluster in the place of our own API server and controllers.
//!
//! Functions still reach it as on EKS: they are told of a [`bridge`] of ours, which turns their EKS
//! tokens into impersonated users and groups, so that the real API server's RBAC decides. The pods
//! still are processes of this machine, because no other node could pull their images: a [`node`] of
//! ours is registered, and a [`mirror`] brings its pods to the kubelet and their status back.
//!
//! # What is simulated
//!
//! - The node: it has no network, no volumes and no container runtime. It takes the pods that ask
//!   for [`SCHEDULER`], in one namespace; a taint keeps all others from it.
//! - Pods have no address inside the cluster (`podIP` is never reported), so a Service has no
//!   endpoints there: the Service answers on this machine, as with our own cluster.
//! - EKS itself, its tokens and access entries.

pub(crate) mod bridge;
mod client;
pub(crate) mod mirror;
pub(crate) mod node;

use std::fmt;

pub(crate) use client::Client;

/// Name that a pod template has as `schedulerName` to be run by our node. No scheduler answers to
/// it, so the cluster's own leaves such pods alone.
pub const SCHEDULER: &str = "retail-forecast-local";

/// A cluster that is run by others, and how its administrator reaches it.
#[derive(Clone, PartialEq, Eq)]
pub struct RealCluster {
    /// `https://HOST:PORT` of the API server.
    pub endpoint: String,
    /// Certificates of the authority that vouches for it, PEM.
    pub ca_pem: String,
    /// Bearer token of an administrator: it impersonates, and registers a Node.
    pub token: String,
    /// The one namespace whose pods are run.
    pub namespace: String,
}

impl fmt::Debug for RealCluster {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RealCluster")
            .field("endpoint", &self.endpoint)
            .field("namespace", &self.namespace)
            .finish_non_exhaustive()
    }
}
