//! Our node in the real cluster: a Node object, and its signs of life.
//!
//! Without the object the pod garbage collector would delete the node's pods; without the Lease the
//! node lifecycle controller would evict them.

use std::{sync::Arc, time::Duration};

use axum::http::Method;
use jiff::Timestamp;
use serde_json::{Value, json};

use super::{
    SCHEDULER,
    client::{Client, Content, Failed},
};
use crate::clock;

/// How often the Lease is renewed: as a real kubelet does, four times before it is missed.
const RENEW: Duration = Duration::from_secs(10);
/// The status is written anew with every so many renewals.
const RENEWALS_A_STATUS: u32 = 6;
/// Label of our Nodes, so that nobody else's is touched.
const OURS: &str = "local.retail-forecast/node";

/// The node.
pub(crate) struct Node {
    client: Arc<Client>,
    pub(crate) name: String,
}

impl Node {
    /// Makes the Node object, or takes over the one of a run that didn't end as it should.
    pub(crate) async fn register(client: Arc<Client>, namespace: &str) -> anyhow::Result<Self> {
        let node = Self {
            client,
            name: format!("{SCHEDULER}-{namespace}"),
        };
        match node.client.get(&node.path()).await {
            Ok(found) if found["metadata"]["labels"][OURS] != "true" => {
                anyhow::bail!("there is a Node {} that is none of ours", node.name)
            }
            Ok(_) => {}
            Err(failed) if failed.is(404) => {}
            Err(failed) => return Err(failed.into()),
        }
        let object = json!({
            "apiVersion": "v1",
            "kind": "Node",
            "metadata": {"name": node.name, "labels": {
                OURS: "true",
                "kubernetes.io/hostname": node.name,
                "kubernetes.io/os": "linux",
            }},
            "spec": {"taints": [{"key": OURS, "value": "true", "effect": "NoSchedule"}]},
        });
        node.client.apply(&node.path(), &object).await?;
        node.renew().await?;
        node.report().await?;
        Ok(node)
    }

    /// Gives signs of life until the task is aborted.
    pub(crate) async fn live(self: Arc<Self>) {
        let mut renewals = 0_u32;
        loop {
            tokio::time::sleep(RENEW).await;
            renewals = renewals.wrapping_add(1);
            let mut alive = self.renew().await;
            if renewals.is_multiple_of(RENEWALS_A_STATUS) {
                alive = alive.and(self.report().await);
            }
            if let Err(failed) = alive {
                tracing::warn!(%failed, node = self.name, "no sign of life given");
            }
        }
    }

    /// Takes the node out of the cluster.
    pub(crate) async fn leave(&self) {
        for path in [self.path(), self.lease()] {
            if let Err(failed) = self.client.delete(&path, None).await {
                tracing::warn!(%failed, path, "left behind");
            }
        }
    }

    fn path(&self) -> String {
        format!("/api/v1/nodes/{}", self.name)
    }

    fn lease(&self) -> String {
        let leases = "/apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases";
        format!("{leases}/{}", self.name)
    }

    async fn renew(&self) -> Result<(), Failed> {
        let now = Timestamp::now()
            .strftime("%Y-%m-%dT%H:%M:%S.%6fZ")
            .to_string();
        let lease = json!({
            "apiVersion": "coordination.k8s.io/v1",
            "kind": "Lease",
            "metadata": {"name": self.name},
            "spec": {
                "holderIdentity": self.name,
                "leaseDurationSeconds": 40,
                "renewTime": now,
            },
        });
        self.client.apply(&self.lease(), &lease).await?;
        Ok(())
    }

    async fn report(&self) -> Result<(), Failed> {
        let path = format!("{}/status", self.path());
        let status = json!({"status": self.status(Timestamp::now())});
        let body = Some((Content::MergePatch, &status));
        self.client.call(Method::PATCH, &path, body).await?;
        Ok(())
    }

    fn status(&self, now: Timestamp) -> Value {
        let now = clock::rfc3339(now);
        let resources = json!({"cpu": "8", "memory": "16Gi", "pods": "110"});
        let condition = |kind: &str, status: &str, reason: &str| {
            json!({
                "type": kind,
                "status": status,
                "reason": reason,
                "message": "pods are processes of the machine that runs the test",
                "lastHeartbeatTime": now,
                "lastTransitionTime": now,
            })
        };
        json!({
            "capacity": resources,
            "allocatable": resources,
            "conditions": [
                condition("MemoryPressure", "False", "KubeletHasSufficientMemory"),
                condition("DiskPressure", "False", "KubeletHasNoDiskPressure"),
                condition("PIDPressure", "False", "KubeletHasSufficientPID"),
                condition("Ready", "True", "KubeletReady"),
            ],
            "addresses": [{"type": "Hostname", "address": self.name}],
            "nodeInfo": {
                "architecture": std::env::consts::ARCH,
                "operatingSystem": "linux",
                "osImage": "processes of one machine",
                "kubeletVersion": concat!("v", env!("CARGO_PKG_VERSION"), "-retail-forecast-local"),
            },
        })
    }
}
