//! The services that the emulator lacks, on addresses of their own.

use std::{collections::BTreeMap, future::Future, path::Path, sync::Arc, time::Duration};

use anyhow::Context as _;
use kube::config::{KubeConfigOptions, Kubeconfig};
use local_alarms::Alarms;
use local_kubernetes::{AccessEntry, RealCluster, SCHEDULER, StsTokens};
use local_wire::{
    Authorize, Credentials, Deliver, Images, ReservedPort, Wire,
    front::{self, Upstream},
    iam::Policy,
};
use tokio::{net::TcpListener, sync::watch, task::JoinSet};

use crate::{
    Addresses,
    held::{Gateway, Holding},
    identity::Identity,
    image::Registered,
    manifests::Manifests,
    names::Place,
    plan::FunctionPlan,
    registry::Registry,
    router::Router,
    stores::RoleStores,
    watch::CloudWatch,
};

/// How often endpoints publish their metrics: every minute on AWS.
const ENDPOINT_METRICS: Duration = Duration::from_secs(5);
/// Group of the functions' roles inside the cluster, as their access entries say.
const DEPLOYERS: &str = "retail-forecast-deployers";
/// Who only looks at the cluster.
const READERS: &str = "retail-forecast-readers";
/// First wait before a crashed container starts again: 10 s on a real node, for which nobody waits.
const RESTART_BACK_OFF: Duration = Duration::from_secs(1);
/// How long pods are given to end when the cloud stops.
const POD_GRACE: Duration = Duration::from_secs(1);
/// Longest a stopping cloud waits for its servers before it ends them.
const STOP_LIMIT: Duration = Duration::from_secs(5);
/// Token of the cluster's administrator. The cluster is reachable from this machine only.
const ADMIN_TOKEN: &str = "local-administrator";

/// What the stand-ins need of the rest of the cloud.
#[derive(Debug)]
pub(crate) struct Surroundings {
    pub(crate) place: Place,
    /// Kubernetes namespace of the forecasting API.
    pub(crate) namespace: String,
    pub(crate) wire: Wire,
    pub(crate) identity: Arc<Identity>,
    pub(crate) router: Arc<Router>,
    pub(crate) holding: Holding,
}

/// Where the services will be: bound or chosen before anything is deployed that names them.
pub(crate) struct Reserved {
    sagemaker: TcpListener,
    ecr: TcpListener,
    cloudwatch: TcpListener,
    gateway: Option<TcpListener>,
    eks: ReservedPort,
    service: ReservedPort,
    pub(crate) addresses: Addresses,
}

impl Reserved {
    /// Takes free ports. `aws` is the emulator's address; `holds` says whether denied calls are held.
    pub(crate) async fn take(aws: &str, holds: bool) -> std::io::Result<Self> {
        let sagemaker = TcpListener::bind(("127.0.0.1", 0)).await?;
        let ecr = TcpListener::bind(("127.0.0.1", 0)).await?;
        let cloudwatch = TcpListener::bind(("127.0.0.1", 0)).await?;
        let gateway = if holds {
            Some(TcpListener::bind(("127.0.0.1", 0)).await?)
        } else {
            None
        };
        let (eks, service) = (ReservedPort::take()?, ReservedPort::take()?);
        let local = |port: u16| format!("http://127.0.0.1:{port}");
        let addresses = Addresses {
            aws: aws.to_owned(),
            sagemaker: local(sagemaker.local_addr()?.port()),
            ecr: local(ecr.local_addr()?.port()),
            cloudwatch: local(cloudwatch.local_addr()?.port()),
            eks: local(eks.number()),
            service: local(service.number()),
            gateway: match &gateway {
                Some(gateway) => Some(local(gateway.local_addr()?.port())),
                None => None,
            },
        };
        Ok(Self {
            sagemaker,
            ecr,
            cloudwatch,
            gateway,
            eks,
            service,
            addresses,
        })
    }
}

/// The running services. Dropping them ends what they started.
pub(crate) struct Services {
    stop: watch::Sender<bool>,
    servers: JoinSet<()>,
    cluster: local_kubernetes::Running,
    /// Whether the cluster is run by others.
    is_real: bool,
    /// What is in such a cluster, and goes when the services stop.
    left: Option<Manifests>,
    /// Of EKS, and of the forecasting API, which may go and come again.
    _ports: [ReservedPort; 2],
}

impl Services {
    /// Starts all of them. `pods` are the credentials of the API's pods; `real` is a cluster in the
    /// place of our own.
    pub(crate) async fn start(
        around: &Surroundings,
        reserved: Reserved,
        plans: &[FunctionPlan],
        pods: Credentials,
        state_dir: &Path,
        real: Option<RealCluster>,
    ) -> anyhow::Result<Self> {
        let authorize: Arc<dyn Authorize> = Arc::clone(&around.identity) as _;
        let deliver: Arc<dyn Deliver> = Arc::clone(&around.router) as _;
        let images: Arc<dyn Images> = Arc::new(Registered::new(around.wire.clone()));
        let place = &around.place;

        let service = format!("{}/{}", around.namespace, place.service());
        let account = format!("{}/{}", around.namespace, place.api_service_account());
        let config = local_kubernetes::Config {
            region: place.region.clone(),
            account: place.account.clone(),
            cluster_name: place.cluster_name(),
            state_dir: state_dir.join("kubernetes"),
            api_port: 0,
            eks_port: reserved.eks.number(),
            service_ports: BTreeMap::from([(service, reserved.service.number())]),
            admin_token: ADMIN_TOKEN.to_owned(),
            images: Arc::clone(&images),
            authorize: Arc::clone(&authorize),
            tokens: Arc::new(StsTokens::new(
                around.wire.endpoint(),
                &place.region,
                &place.cluster_name(),
            )),
            access_entries: access_entries(plans),
            pod_environment: pod_environment(around, &reserved.addresses),
            service_account_environment: BTreeMap::from([(account, credential_variables(pods))]),
            restart_back_off: RESTART_BACK_OFF,
        };
        let is_real = real.is_some();
        let cluster = match real {
            Some(real) => local_kubernetes::start_before(config, real).await,
            None => local_kubernetes::start(config).await,
        };
        let cluster = cluster.context("the cluster")?;

        let mut services = Self {
            stop: watch::Sender::new(false),
            servers: JoinSet::new(),
            cluster,
            is_real,
            left: None,
            _ports: [reserved.eks, reserved.service],
        };
        if let Some(listener) = reserved.gateway {
            let gateway = Gateway::new(
                around.wire.endpoint(),
                Arc::clone(&around.identity),
                around.holding.clone(),
            );
            let gateway = front::serve(listener, Arc::new(gateway), services.stopped());
            services.spawn("the gateway", async { Ok(gateway.await?) });
        }
        let upstream = reserved.addresses.gateway.as_deref();
        let upstream = || Upstream::new(upstream.unwrap_or(around.wire.endpoint()));
        let registry = Registry::new(
            upstream(),
            around.wire.clone(),
            place.clone(),
            Arc::clone(&authorize),
            Arc::clone(&deliver),
        );
        let ecr = front::serve(reserved.ecr, Arc::new(registry), services.stopped());
        services.spawn("ECR", async { Ok(ecr.await?) });
        let here = local_alarms::Place {
            region: place.region.clone(),
            account: place.account.clone(),
        };
        let alarms = Arc::new(Alarms::new(
            upstream(),
            around.wire.clone(),
            here,
            Arc::clone(&authorize),
            Arc::clone(&deliver),
        ));
        let cloudwatch = reserved.addresses.cloudwatch.clone();
        let front = front::serve(reserved.cloudwatch, Arc::clone(&alarms), services.stopped());
        services.spawn("CloudWatch", async { Ok(front.await?) });
        let stopped = services.stopped();
        services.spawn("CloudWatch's alarms", async move {
            alarms.watch(stopped).await;
            Ok(())
        });
        let config = local_sagemaker::Config {
            region: place.region.clone(),
            account: place.account.clone(),
            state_dir: state_dir.join("sagemaker"),
            stores: Arc::new(RoleStores(Arc::clone(&around.identity))),
            authorize,
            deliver,
            images,
            watch: Arc::new(CloudWatch::new(
                around.wire.at(&cloudwatch),
                Arc::clone(&around.identity),
            )),
            metrics_period: ENDPOINT_METRICS,
        };
        let sagemaker = local_sagemaker::serve(reserved.sagemaker, config, services.stopped());
        services.spawn("SageMaker", sagemaker);
        Ok(services)
    }

    /// Applies the manifests of `folder`.
    pub(crate) async fn apply(&mut self, folder: &Path, namespace: &str) -> anyhow::Result<()> {
        let manifests = Manifests::read(self.kubernetes().await?, namespace, folder)?;
        if !self.is_real {
            return manifests.apply().await;
        }
        let manifests = manifests.passing(SCHEDULER);
        manifests.remove().await?;
        self.left.insert(manifests).apply().await
    }

    /// A client of the cluster that may do everything.
    pub(crate) async fn kubernetes(&self) -> anyhow::Result<kube::Client> {
        let kubeconfig = Kubeconfig::from_yaml(&self.cluster.kubeconfig())?;
        let options = KubeConfigOptions::default();
        let config = kube::Config::from_custom_kubeconfig(kubeconfig, &options).await?;
        Ok(kube::Client::try_from(config)?)
    }

    /// Version of the cluster.
    pub(crate) fn kubernetes_version(&self) -> &str {
        &self.cluster.version
    }

    /// A kubeconfig of the cluster's administrator.
    pub(crate) fn kubeconfig(&self) -> String {
        self.cluster.kubeconfig()
    }

    /// Ends them and waits until they are gone.
    pub(crate) async fn stop(mut self) {
        if let Some(left) = self.left
            && let Err(error) = left.remove().await
        {
            let error = format!("{error:#}");
            tracing::error!(error, "left in the real cluster; the next run removes it");
        }
        self.stop.send_replace(true);
        let ended = async { while self.servers.join_next().await.is_some() {} };
        let ended = tokio::time::timeout(STOP_LIMIT, ended);
        let (ended, ()) = tokio::join!(ended, self.cluster.stop(POD_GRACE));
        if ended.is_err() {
            tracing::warn!("a server didn't end in time");
        }
    }

    fn spawn(
        &mut self,
        server: &'static str,
        serving: impl Future<Output = anyhow::Result<()>> + Send + 'static,
    ) {
        self.servers.spawn(async move {
            if let Err(error) = serving.await {
                tracing::error!(error = format!("{error:#}"), server, "a server ended");
            }
        });
    }

    /// Completes when the cloud stops.
    fn stopped(&self) -> impl Future<Output = ()> + Send + 'static {
        let mut stop = self.stop.subscribe();
        async move {
            // An error means that the cloud is gone, which is a stop too.
            let _ = stop.wait_for(|&stop| stop).await;
        }
    }
}

/// The roles of the functions that may find the cluster may also enter it.
fn access_entries(plans: &[FunctionPlan]) -> BTreeMap<String, AccessEntry> {
    plans
        .iter()
        .filter(|plan| {
            Policy::parse(&plan.policy).is_ok_and(|policy| {
                policy
                    .allowed_actions()
                    .any(|action| action == "eks:DescribeCluster")
            })
        })
        .map(|plan| {
            let group = if plan.key == "judge-canary" {
                READERS
            } else {
                DEPLOYERS
            };
            let entry = AccessEntry {
                username: None,
                groups: vec![group.to_owned()],
            };
            (plan.role_arn.clone(), entry)
        })
        .collect()
}

fn pod_environment(around: &Surroundings, addresses: &Addresses) -> BTreeMap<String, String> {
    BTreeMap::from([
        (
            "AWS_ENDPOINT_URL_CLOUDWATCH".to_owned(),
            addresses.cloudwatch.clone(),
        ),
        ("AWS_REGION".to_owned(), around.place.region.clone()),
        (
            "AWS_ENDPOINT_URL".to_owned(),
            around.wire.endpoint().to_owned(),
        ),
    ])
}

fn credential_variables(credentials: Credentials) -> BTreeMap<String, String> {
    let token = credentials
        .session_token
        .map(|token| ("AWS_SESSION_TOKEN", token));
    [
        ("AWS_ACCESS_KEY_ID", credentials.access_key_id),
        ("AWS_SECRET_ACCESS_KEY", credentials.secret_access_key),
    ]
    .into_iter()
    .chain(token)
    .map(|(name, value)| (name.to_owned(), value))
    .collect()
}
