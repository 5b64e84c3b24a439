//! The Deployment of the API on an EKS cluster.

mod answers;
mod deployment;
mod token;

use std::{
    sync::{Mutex, PoisonError},
    time::{Duration, SystemTime},
};

use aws_credential_types::provider::{ProvideCredentials as _, SharedCredentialsProvider};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use domain::{
    Error, Result,
    ports::{Canaries, Cluster, DeploymentPatch},
    rollout::Deployment,
};
use k8s_openapi::api::apps::v1::Deployment as KubeDeployment;
use kube::{
    Api, Client, Config,
    api::{Patch, PatchParams},
};
use rustls::pki_types::{CertificateDer, pem::PemObject as _};
use serde_json::{Value, json};

use crate::{Context, failure::failed};

/// Longest wait for a part of an answer.
const READ: Duration = Duration::from_secs(10);
/// Longest call, connecting included.
const CALL: Duration = Duration::from_secs(20);

/// Which container of which Deployment on which cluster.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Workload {
    /// Name of the EKS cluster.
    pub cluster: String,
    /// Namespace of the Deployment.
    pub namespace: String,
    /// Name of the Deployment.
    pub deployment: String,
    /// Name of the API's container in it.
    pub container: String,
}

impl Workload {
    /// Name of the Deployment that a release is tried out in.
    fn canary(&self) -> String {
        format!("{}-canary", self.deployment)
    }

    /// As an error names one of the two Deployments.
    fn named(&self, deployment: &str) -> String {
        format!(
            "the Deployment {}/{deployment} on {}",
            self.namespace, self.cluster
        )
    }
}

/// The Kubernetes API of an EKS cluster, reached as the caller's IAM role.
#[derive(Debug)]
pub struct Kubernetes {
    eks: aws_sdk_eks::Client,
    credentials: Option<SharedCredentialsProvider>,
    region: String,
    at: Workload,
    address: Mutex<Option<Address>>,
    session: Mutex<Option<Session>>,
}

/// Where a cluster is; it doesn't change.
#[derive(Debug, Clone)]
struct Address {
    url: http::Uri,
    /// Certificate authority, DER.
    authority: Vec<Vec<u8>>,
}

/// A client with a token.
#[derive(Clone)]
struct Session {
    client: Client,
    since: SystemTime,
}

impl std::fmt::Debug for Session {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Session")
            .field("since", &self.since)
            .finish_non_exhaustive()
    }
}

impl Kubernetes {
    /// A client; nothing is sent yet.
    pub fn new(context: &Context, at: Workload) -> Self {
        let config = context.of("EKS");
        let region = config.region().map(ToString::to_string);
        Self {
            eks: aws_sdk_eks::Client::new(&config),
            credentials: config.credentials_provider(),
            region: region.unwrap_or_default(),
            at,
            address: Mutex::default(),
            session: Mutex::default(),
        }
    }

    async fn address(&self) -> Result<Address> {
        let known = self
            .address
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone();
        if let Some(address) = known {
            return Ok(address);
        }
        let doing = format!("looking up the EKS cluster {}", self.at.cluster);
        let answer = self
            .eks
            .describe_cluster()
            .name(&self.at.cluster)
            .send()
            .await
            .map_err(|error| failed(&doing, "eks:DescribeCluster", error))?;
        let cluster = answer.cluster();
        let endpoint = cluster.and_then(|cluster| cluster.endpoint());
        let authority = cluster
            .and_then(|cluster| cluster.certificate_authority())
            .and_then(|authority| authority.data());
        let Some(endpoint) = endpoint else {
            // A cluster that is being created has none yet.
            return Err(Error::transient(format!("{doing}: it has no endpoint yet")));
        };
        let address = Address::read(endpoint, authority).map_err(|error| {
            Error::permanent(format!(
                "{doing}: its endpoint or certificate can't be read"
            ))
            .because(error)
        })?;
        *self.address.lock().unwrap_or_else(PoisonError::into_inner) = Some(address.clone());
        Ok(address)
    }

    /// The client with a token that is good for at least another minute.
    async fn client(&self) -> Result<Client> {
        let now = SystemTime::now();
        let current = self
            .session
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone();
        if let Some(session) = current
            && now
                .duration_since(session.since)
                .is_ok_and(|age| age < token::LIFE)
        {
            return Ok(session.client);
        }
        let address = self.address().await?;
        let doing = || format!("connecting to the EKS cluster {}", self.at.cluster);
        let provider = self
            .credentials
            .as_ref()
            .ok_or_else(|| Error::permanent(format!("{}: there are no credentials", doing())))?;
        let credentials = provider.provide_credentials().await.map_err(|error| {
            Error::transient(format!("{}: no credentials came", doing())).because(error)
        })?;
        let token = token::token(&self.at.cluster, &self.region, credentials, now)?;
        crate::context::use_ring();
        let client = Client::try_from(address.config(token)).map_err(|error| {
            Error::permanent(format!("{}: the client can't be built", doing())).because(error)
        })?;
        *self.session.lock().unwrap_or_else(PoisonError::into_inner) = Some(Session {
            client: client.clone(),
            since: now,
        });
        Ok(client)
    }

    /// The call's answer, or the error with a class. A refused token is thrown away.
    async fn call<T>(&self, doing: &str, call: impl Future<Output = kube::Result<T>>) -> Result<T> {
        match tokio::time::timeout(CALL, call).await {
            Ok(Ok(answer)) => Ok(answer),
            Ok(Err(error)) => {
                if matches!(&error, kube::Error::Api(status) if status.code == 401) {
                    *self.session.lock().unwrap_or_else(PoisonError::into_inner) = None;
                }
                Err(answers::failure(doing, error))
            }
            Err(_) => Err(Error::transient(format!(
                "{doing}: no answer in {} s",
                CALL.as_secs()
            ))),
        }
    }

    async fn api(&self) -> Result<Api<KubeDeployment>> {
        Ok(Api::namespaced(self.client().await?, &self.at.namespace))
    }
}

impl Address {
    /// EKS gives the authority as base64 of PEM; the client wants DER.
    fn read(
        endpoint: &str,
        authority: Option<&str>,
    ) -> std::result::Result<Self, Box<dyn std::error::Error + Send + Sync>> {
        let url: http::Uri = endpoint.parse()?;
        let pem = STANDARD.decode(authority.unwrap_or_default())?;
        let authority = CertificateDer::pem_slice_iter(&pem)
            .map(|certificate| certificate.map(|der| der.to_vec()))
            .collect::<std::result::Result<Vec<_>, _>>()?;
        // Without it the token could go to anybody who has a certificate of a public authority.
        if authority.is_empty() && url.scheme_str() == Some("https") {
            return Err("the cluster has no certificate authority".into());
        }
        Ok(Self { url, authority })
    }

    fn config(self, token: String) -> Config {
        let mut config = Config::new(self.url);
        config.root_cert = Some(self.authority);
        config.auth_info.token = Some(token.into());
        config.connect_timeout = Some(crate::context::CONNECT);
        config.read_timeout = Some(READ);
        config.write_timeout = Some(READ);
        // A pooled connection's idle time isn't the next answer's.
        config.reset_reader_on_write = true;
        // It hides a steady 503 for minutes; a repeat comes by the message.
        config.default_retry = false;
        config
    }
}

impl Kubernetes {
    async fn read(&self, name: &str) -> Result<Option<Deployment>> {
        let api = self.api().await?;
        let doing = format!("reading {}", self.at.named(name));
        let found = self.call(&doing, api.get_opt(name)).await?;
        Ok(found.map(|found| deployment::read(found, &self.at.container)))
    }

    /// Server-side apply of the fields that we own; answers the generation.
    async fn write(&self, name: &str, partial: Value, force: bool) -> Result<i64> {
        let doing = format!("patching {}", self.at.named(name));
        let Some(current) = self.read(name).await? else {
            return Err(Error::permanent(format!(
                "{doing}: there is none; apply the manifests first"
            )));
        };
        // A patch with another name would add a second container and roll it out.
        if !current.containers.contains(&self.at.container) {
            return Err(Error::permanent(format!(
                "{doing}: it has no container `{}`, but {:?}",
                self.at.container, current.containers
            )));
        }
        let parameters = PatchParams {
            force,
            ..PatchParams::apply(deployment::MANAGER)
        };
        let api = self.api().await?;
        let patch = Patch::Apply(partial);
        let patched = self
            .call(&doing, api.patch(name, &parameters, &patch))
            .await?;
        patched
            .metadata
            .generation
            .ok_or_else(|| Error::permanent(format!("{doing}: the answer has no generation")))
    }
}

impl Cluster for Kubernetes {
    async fn deployment(&self) -> Result<Option<Deployment>> {
        self.read(&self.at.deployment).await
    }

    async fn apply(&self, patch: &DeploymentPatch, force: bool) -> Result<i64> {
        let name = &self.at.deployment;
        let partial = deployment::partial(name, &self.at.container, patch);
        self.write(name, partial, force).await
    }
}

impl Canaries for Kubernetes {
    async fn canary(&self) -> Result<Option<Deployment>> {
        self.read(&self.at.canary()).await
    }

    async fn ensure_canary(&self, patch: &DeploymentPatch, pods: u32) -> Result<i64> {
        let name = self.at.canary();
        let mut partial = deployment::partial(&name, &self.at.container, patch);
        partial["spec"]["replicas"] = pods.into();
        // Nobody else has a say in it, but for the manifests that made it.
        self.write(&name, partial, true).await
    }

    async fn retire_canary(&self) -> Result<()> {
        let canary = self.canary().await?;
        if canary.is_none_or(|canary| canary.wanted == 0) {
            return Ok(());
        }
        let name = self.at.canary();
        let api = self.api().await?;
        let parameters = PatchParams {
            field_manager: Some(deployment::MANAGER.to_owned()),
            ..PatchParams::default()
        };
        let patch = Patch::Merge(json!({"spec": {"replicas": 0}}));
        let doing = format!("bringing {} to zero pods", self.at.named(&name));
        self.call(&doing, api.patch(&name, &parameters, &patch))
            .await?;
        Ok(())
    }
}

#[cfg(test)]
mod tests;
