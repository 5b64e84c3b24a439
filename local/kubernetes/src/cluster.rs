//! Starting and stopping the whole.

use std::{
    collections::BTreeMap, net::Ipv4Addr, path::PathBuf, pin::Pin, sync::Arc, time::Duration,
};

use anyhow::Context;
use axum::Router;
use base64::{Engine, prelude::BASE64_STANDARD};
use hyper::server::conn::http1;
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    service::TowerToHyperService,
};
use jiff::Timestamp;
use local_wire::{Authorize, Images};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::watch,
    task::JoinSet,
};
use tokio_rustls::TlsAcceptor;

use crate::{
    api::{self, Api},
    auth::{AccessEntry, Authenticator, VerifyToken},
    catalog::{PODS, SERVICES},
    controller,
    defaults::NODE,
    eks::{self, Eks},
    json::{strings, text},
    kubelet::{Kubelet, PodEnvironment},
    proxy::{Ports, Proxy},
    real::{
        Client, RealCluster,
        bridge::{self, Bridge},
        mirror::Mirror,
        node::Node,
    },
    registry::{DeleteOptions, Registry},
    store::Key,
    tls,
};

/// Longest a Service's listener is waited for, which opens at once but on a busy machine.
const LISTENER_LIMIT: Duration = Duration::from_secs(30);

/// What a cluster is made of.
pub struct Config {
    /// AWS region, as in the cluster's ARN.
    pub region: String,
    /// AWS account, 12 digits.
    pub account: String,
    /// Name of the EKS cluster.
    pub cluster_name: String,
    /// Where pods have their logs and working directories: `pods/{namespace}/{pod}.log`.
    pub state_dir: PathBuf,
    /// Port of the API server; 0 takes a free one.
    pub api_port: u16,
    /// Port of the EKS front; 0 takes a free one.
    pub eks_port: u16,
    /// Ports of Services by `namespace/name`; the others get free ones.
    pub service_ports: BTreeMap<String, u16>,
    /// Bearer token that may do everything, for set-up; empty for none.
    pub admin_token: String,
    /// Finds the programs of images.
    pub images: Arc<dyn Images>,
    /// Decides who may describe the cluster.
    pub authorize: Arc<dyn Authorize>,
    /// Finds out who made an EKS token.
    pub tokens: Arc<dyn VerifyToken>,
    /// What IAM principals are inside the cluster, by ARN of the role or user.
    pub access_entries: BTreeMap<String, AccessEntry>,
    /// Variables that every pod gets; its template wins over them.
    pub pod_environment: BTreeMap<String, String>,
    /// Variables of the pods of a service account, by `namespace/name`; these win over
    /// `pod_environment`.
    pub service_account_environment: BTreeMap<String, BTreeMap<String, String>>,
    /// First wait before a crashed container is started again or a missing image looked for again;
    /// it doubles. Kubernetes has 10 s.
    pub restart_back_off: Duration,
}

/// A cluster that runs. Dropping it kills its pods; [`Running::stop`] ends them with grace.
pub struct Running {
    /// `https://127.0.0.1:PORT`.
    pub api_url: String,
    /// Certificate of the authority that vouches for the API server.
    pub ca_pem: String,
    /// `http://127.0.0.1:PORT`, where EKS is called.
    pub eks_url: String,
    /// Version of the API server, as `DescribeCluster` answers it: `1.36`.
    pub version: String,
    kubeconfig: String,
    /// In a real cluster, the node that runs the pods.
    node: Option<Arc<Node>>,
    registry: Arc<Registry>,
    ports: watch::Receiver<Ports>,
    tasks: JoinSet<()>,
}

/// Starts a cluster.
///
/// # Errors
///
/// When a port is taken, or the certificates can't be made.
pub async fn start(config: Config) -> anyhow::Result<Running> {
    run(config, None).await
}

/// Starts what stands before a real cluster: EKS, the bridge for EKS tokens, and a node for the pods.
/// The cluster's own administrator goes there directly, so `admin_token` isn't used.
///
/// # Errors
///
/// As [`start`]; and when the real cluster can't be reached, or refuses the Node.
pub async fn start_before(config: Config, real: RealCluster) -> anyhow::Result<Running> {
    run(config, Some(real)).await
}

async fn run(config: Config, real: Option<RealCluster>) -> anyhow::Result<Running> {
    let directory = config.state_dir.join("pods");
    tokio::fs::create_dir_all(&directory)
        .await
        .with_context(|| format!("{}", directory.display()))?;
    let directory = tokio::fs::canonicalize(&directory).await?;
    let tls = tls::make()?;
    let api = listen(config.api_port).await?;
    let eks = listen(config.eks_port).await?;
    let api_url = format!("https://{}", api.local_addr()?);
    let eks_url = format!("http://{}", eks.local_addr()?);
    let registry = Arc::new(Registry::new());
    let mut tasks = JoinSet::new();
    let mut authenticator = Authenticator {
        admin_token: config.admin_token,
        tokens: config.tokens,
        access_entries: config.access_entries,
    };
    let (node, name, version, kubeconfig, router);
    if let Some(real) = real {
        let joined = join(&real, &registry, &mut tasks).await;
        let (client, ours, theirs) =
            joined.with_context(|| format!("the real cluster at {}", real.endpoint))?;
        // Nobody but the real cluster's own administrators is one there.
        authenticator.admin_token.clear();
        let bridge = Bridge {
            authenticator,
            client,
        };
        router = Router::new()
            .fallback(bridge::handle)
            .with_state(Arc::new(bridge));
        let (url, ca, token) = (&real.endpoint, &real.ca_pem, &real.token);
        kubeconfig = write_kubeconfig(&config.cluster_name, url, ca, token);
        (name, node, version) = (ours.name.clone(), Some(ours), theirs);
    } else {
        tasks.spawn(controller::run(Arc::clone(&registry)));
        let (ca, token) = (&tls.ca_pem, &authenticator.admin_token);
        kubeconfig = write_kubeconfig(&config.cluster_name, &api_url, ca, token);
        let server = Api {
            registry: Arc::clone(&registry),
            authenticator,
            pods: directory.clone(),
        };
        router = Router::new()
            .fallback(api::handle)
            .with_state(Arc::new(server));
        (name, node, version) = (NODE.to_owned(), None, eks::VERSION.to_owned());
    }
    tasks.spawn(serve_tls(api, tls.acceptor, router));
    // Probes go to this machine, whatever proxy the surroundings name; and a kept connection would
    // tell of a program that has ended since.
    let http = reqwest::Client::builder()
        .no_proxy()
        .pool_max_idle_per_host(0)
        .build()?;
    let kubelet = Arc::new(Kubelet {
        registry: Arc::clone(&registry),
        images: config.images,
        directory,
        environment: PodEnvironment {
            common: config.pod_environment,
            by_service_account: config.service_account_environment,
        },
        restart_back_off: config.restart_back_off,
        http,
        node: name,
    });
    tasks.spawn(kubelet.run());
    let (sender, ports) = watch::channel(Ports::new());
    let proxy = Proxy {
        registry: Arc::clone(&registry),
        wanted: config.service_ports,
        ports: sender,
    };
    tasks.spawn(proxy.run());
    tracing::info!(api_url, eks_url, version, "cluster runs");
    serve_eks(
        eks,
        Eks {
            region: config.region,
            account: config.account,
            cluster_name: config.cluster_name,
            version: version.clone(),
            endpoint: api_url.clone(),
            ca_pem: tls.ca_pem.clone(),
            created: Timestamp::now(),
            authorize: config.authorize,
        },
        &mut tasks,
    );
    Ok(Running {
        api_url,
        ca_pem: tls.ca_pem,
        eks_url,
        version,
        kubeconfig,
        node,
        registry,
        ports,
        tasks,
    })
}

fn serve_eks(listener: TcpListener, eks: Eks, tasks: &mut JoinSet<()>) {
    let front = eks::router(Arc::new(eks));
    tasks.spawn(async move {
        if let Err(error) = axum::serve(listener, front).await {
            tracing::error!(%error, "EKS front stopped");
        }
    });
}

/// Makes this machine a node of a real cluster: its client, the node, the cluster's version.
async fn join(
    real: &RealCluster,
    registry: &Arc<Registry>,
    tasks: &mut JoinSet<()>,
) -> anyhow::Result<(Arc<Client>, Arc<Node>, String)> {
    let client = Arc::new(Client::new(real)?);
    let version = client.get("/version").await?;
    // `v1.36.4`, with a builder's own words behind it.
    let version = text(&version, "/gitVersion").trim_start_matches('v');
    let version: Vec<_> = version.splitn(3, '.').take(2).collect();
    let version = version.join(".");
    let node = Arc::new(Node::register(Arc::clone(&client), &real.namespace).await?);
    let mirror = Arc::new(Mirror {
        client: Arc::clone(&client),
        registry: Arc::clone(registry),
        namespace: real.namespace.clone(),
        node: node.name.clone(),
    });
    tasks.spawn(Arc::clone(&node).live());
    tasks.spawn(Arc::clone(&mirror).services());
    tasks.spawn(Arc::clone(&mirror).pods());
    tasks.spawn(mirror.tell());
    Ok((client, node, version))
}

/// A kubeconfig for an administrator's token.
fn write_kubeconfig(name: &str, server: &str, ca_pem: &str, token: &str) -> String {
    let ca = BASE64_STANDARD.encode(ca_pem);
    serde_json::json!({
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": name,
        "clusters": [{
            "name": name,
            "cluster": {"server": server, "certificate-authority-data": ca},
        }],
        "users": [{"name": "admin", "user": {"token": token}}],
        "contexts": [{"name": name, "context": {"cluster": name, "user": "admin"}}],
    })
    .to_string()
}

async fn listen(port: u16) -> anyhow::Result<TcpListener> {
    TcpListener::bind((Ipv4Addr::LOCALHOST, port))
        .await
        .with_context(|| format!("port {port}"))
}

/// Accepts connections until the task is aborted; their tasks end with it.
async fn serve_tls(listener: TcpListener, acceptor: TlsAcceptor, router: Router) {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => {
                    connections.spawn(serve_connection(stream, acceptor.clone(), router.clone()));
                }
                Err(error) => {
                    // Out of file descriptors, most likely: others will be closed.
                    tracing::warn!(%error, "connection not accepted");
                    tokio::time::sleep(Duration::from_millis(20)).await;
                }
            },
            Some(_) = connections.join_next() => {}
        }
    }
}

async fn serve_connection(stream: TcpStream, acceptor: TlsAcceptor, router: Router) {
    let served: Result<(), Box<dyn std::error::Error + Send + Sync>> = async {
        // An answer is small and complete: waiting for more to send only costs time.
        stream.set_nodelay(true)?;
        let stream = acceptor.accept(stream).await?;
        http1::Builder::new()
            .timer(TokioTimer::new())
            .serve_connection(TokioIo::new(stream), TowerToHyperService::new(router))
            .await?;
        Ok(())
    }
    .await;
    if let Err(error) = served {
        tracing::debug!(%error, "connection ended");
    }
}

impl Running {
    /// Where a Service answers (`http://127.0.0.1:PORT`); waits for a listener that is about to
    /// open. `None` when there is no such Service, or it selects nothing.
    pub async fn service_url(&self, namespace: &str, name: &str) -> Option<String> {
        let service = self
            .registry
            .store
            .get(&Key::new(&SERVICES, namespace, name))?;
        strings(&service, "/spec/selector").next()?;
        let service = (namespace.to_owned(), name.to_owned());
        let mut ports = self.ports.clone();
        let opened = ports.wait_for(|ports| ports.contains_key(&service));
        // A wanted port may be taken: then there is no listener to wait for.
        let ports = tokio::time::timeout(LISTENER_LIMIT, opened).await;
        let port = *ports.ok()?.ok()?.get(&service)?;
        Some(format!("http://127.0.0.1:{port}"))
    }

    /// A kubeconfig for the admin token: `kubectl --kubeconfig FILE`.
    pub fn kubeconfig(&self) -> String {
        self.kubeconfig.clone()
    }

    /// Stops: pods get `grace` to end, the rest goes at once.
    pub async fn stop(mut self, grace: Duration) {
        let mut changes = self.registry.store.subscribe();
        // Without their owners nobody starts pods anew.
        for resource in [
            &crate::catalog::DEPLOYMENTS,
            &crate::catalog::REPLICA_SETS,
            &PODS,
        ] {
            for object in self.registry.store.list(resource, None).0 {
                let options = DeleteOptions {
                    grace_period_seconds: i64::try_from(grace.as_secs().max(1)).ok(),
                    ..DeleteOptions::default()
                };
                if let Err(refused) = self.registry.delete(&Key::of(resource, &object), &options) {
                    tracing::debug!(%refused, "went by itself");
                }
            }
        }
        let registry = Arc::clone(&self.registry);
        let emptied = async move {
            while !registry.store.list(&PODS, None).0.is_empty() {
                if changes.changed().await.is_err() {
                    return;
                }
            }
        };
        let emptied: Pin<Box<dyn Future<Output = ()> + Send>> = Box::pin(emptied);
        if tokio::time::timeout(grace + Duration::from_secs(1), emptied)
            .await
            .is_err()
        {
            tracing::warn!("pods outlived their grace");
        }
        self.tasks.shutdown().await;
        if let Some(node) = self.node {
            node.leave().await;
        }
    }
}
