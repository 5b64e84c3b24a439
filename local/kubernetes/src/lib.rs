//! A Kubernetes cluster on one machine, for programs that deploy to EKS.
//!
//! - An API server over TLS with the parts of the API that a deployment needs, answering in the
//!   shapes recorded from a real control plane (1.36): Deployments with their ReplicaSets and pods,
//!   Services, Namespaces, RBAC; watches; JSON, merge and strategic patches; server-side apply with
//!   field ownership; 401, 403, 404, 409, 410 and 422 as they are.
//! - The controllers of a Deployment: revisions, rolling updates within their limits,
//!   `minReadySeconds`, the progress deadline, pauses, history.
//! - A node that runs each container as a process: the `serve` program of its image, on a port of
//!   its own (`SERVE_PORT`), with probes, restarts with back-off, and a graceful end.
//! - EKS's `DescribeCluster`, and EKS tokens with access entries.
//!
//! Or, with [`start_before`], a real cluster in the place of API server and controllers: a bridge
//! passes requests on in their callers' names, and the node is one of that cluster.
//!
//! # What is left out
//!
//! - Nothing is kept over a restart but the logs of pods: the objects live in memory.
//! - `command`, `args`, volumes, init containers, lifecycle hooks, resource limits and security
//!   contexts are stored and have no effect; `envFrom`, secrets and config maps as sources of
//!   variables, `exec` and `grpc` probes are refused in the container's state
//!   (`CreateContainerConfigError`). All ports of a container are its one local port.
//! - Other kinds (ConfigMap, ServiceAccount, Ingress, HorizontalPodAutoscaler, …) are stored as they
//!   are sent; no controller works on them. There are no `scale`, `exec` or `port-forward`
//!   subresources, no events, no admission, no quotas; logs aren't followed.
//! - Unknown and ill-typed fields are stored, where a real server would refuse or drop them. Bodies
//!   are JSON, an apply's too. Lists come in one page. Finalizers hold nothing back; a foreground
//!   deletion is a background one.
//! - ReplicaSets adopt no stray pods; pods don't take part in their own termination by hooks.
//! - RBAC knows users and groups, not service accounts; pods have no token.
//! - A Service is an HTTP listener for its first port. Other than behind kube-proxy, each request
//!   (not each connection) goes to the next pod.

mod api;
mod auth;
mod catalog;
mod clock;
mod cluster;
mod controller;
mod defaults;
mod eks;
mod error;
mod fields;
mod json;
mod kubelet;
mod names;
mod pods;
mod proxy;
mod real;
mod registry;
mod selector;
mod store;
mod strategic;
mod tls;
mod validate;

pub use auth::{AccessEntry, StsTokens, TokenRefused, VerifyToken};
pub use cluster::{Config, Running, start, start_before};
pub use real::{RealCluster, SCHEDULER};
