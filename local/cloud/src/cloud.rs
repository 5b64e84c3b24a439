//! A whole cloud: started, deployed, stopped.

use std::{
    collections::BTreeMap,
    future::Future,
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::{Context as _, bail};
use futures::future::try_join_all;
use local_wire::{Authorize, Deliver, Wire};
use tokio::{net::TcpListener, sync::watch, task::JoinSet};

use crate::{
    deploy,
    emulator::{self, Emulator},
    front,
    identity::Identity,
    names::Place,
    plan::{FunctionPlan, plan},
    refusal::refusals,
    registry::Registry,
    router::Router,
    settings::Settings,
};

/// Longest a stopping cloud waits for its servers before it ends them.
const STOP_LIMIT: Duration = Duration::from_secs(5);

/// What a cloud is started with.
#[derive(Debug, Clone)]
pub struct Options {
    /// Root of the project: `infra/`, `events/` and, unless `MINISTACK` says otherwise,
    /// `.venv/bin/ministack` are looked for here.
    pub project_root: PathBuf,
    /// `dev`, `staging` or `prod`.
    pub environment: String,
    /// Folder for all the cloud writes; another cloud needs another one.
    pub state_dir: PathBuf,
    /// Where the functions' programs are (`target/release`).
    pub bin_dir: PathBuf,
    /// AWS region.
    pub region: String,
    /// Account id, 12 digits.
    pub account: String,
}

impl Options {
    /// A `dev` cloud in the project's usual region.
    pub fn new(project_root: &Path, state_dir: &Path, bin_dir: &Path) -> Self {
        Self {
            project_root: project_root.to_owned(),
            environment: "dev".to_owned(),
            state_dir: state_dir.to_owned(),
            bin_dir: bin_dir.to_owned(),
            region: "ap-southeast-1".to_owned(),
            account: "000000000000".to_owned(),
        }
    }
}

/// Addresses of a cloud's services, `http://127.0.0.1:PORT` each.
#[derive(Debug, Clone)]
pub struct Addresses {
    /// All services but those below.
    pub aws: String,
    /// SageMaker and its runtime.
    pub sagemaker: String,
    /// ECR.
    pub ecr: String,
    /// EKS.
    pub eks: String,
    /// The forecasting API, once deployed.
    pub service: String,
}

/// A running cloud with all functions deployed. Dropping it ends all it started.
#[derive(Debug)]
pub struct Cloud {
    pub(crate) place: Place,
    pub(crate) wire: Wire,
    pub(crate) functions: BTreeMap<String, FunctionPlan>,
    pub(crate) identity: Arc<Identity>,
    pub(crate) router: Arc<Router>,
    pub(crate) inbox: tokio::sync::Mutex<Vec<crate::drive::Alert>>,
    addresses: Addresses,
    stop: watch::Sender<bool>,
    servers: JoinSet<()>,
    // Last, so that the servers are gone before what they stand on.
    _emulator: Emulator,
}

impl Cloud {
    /// Starts the emulator and the stand-ins, then deploys what the project's files say.
    ///
    /// # Errors
    ///
    /// The emulator doesn't start; a file can't be used; AWS would refuse what the files say; a
    /// function isn't built.
    pub async fn start(options: Options) -> anyhow::Result<Self> {
        let place = Place {
            environment: options.environment.clone(),
            region: options.region.clone(),
            account: options.account.clone(),
        };
        let settings = Settings::read(&options.project_root)?;
        let program = emulator::program(&options.project_root);
        let began = Instant::now();
        let emulator = Emulator::start(&program, &place, &options.state_dir).await?;
        tracing::debug!(elapsed_ms = elapsed_ms(began), "emulator answers");
        let wire = emulator.wire().clone();
        let listeners = Listeners::bind().await?;
        let addresses = listeners.addresses(&wire)?;
        let environment = service_endpoints(&addresses);
        let names = place.names(&addresses.service);
        let plans = plan(&settings, &place, wire.endpoint(), &names, &environment)?;
        refuse(&plans)?;

        let deployed: Vec<_> = plans.iter().map(|plan| plan.name.clone()).collect();
        let identity = Arc::new(Identity::new(wire.clone(), place.clone(), &deployed));
        let router = Arc::new(Router::new(wire.clone()));
        let mut cloud = Self {
            inbox: tokio::sync::Mutex::default(),
            functions: BTreeMap::new(),
            stop: watch::Sender::new(false),
            servers: JoinSet::new(),
            place,
            wire,
            identity,
            router,
            addresses,
            _emulator: emulator,
        };
        cloud.serve(listeners, &options);
        let began = Instant::now();
        deploy::foundation(&cloud.wire, &cloud.place).await?;
        tracing::debug!(elapsed_ms = elapsed_ms(began), "foundation deployed");
        let wire = &cloud.wire;
        try_join_all(plans.iter().map(|plan| async {
            let binary = options.bin_dir.join(&plan.key);
            let deployed = deploy::function(wire, plan, &binary).await;
            deployed.with_context(|| format!("deploying {}", plan.key))
        }))
        .await?;
        tracing::debug!(elapsed_ms = elapsed_ms(began), "functions deployed");
        cloud.functions = plans
            .into_iter()
            .map(|plan| (plan.key.clone(), plan))
            .collect();
        Ok(cloud)
    }

    /// Where the services are.
    pub fn addresses(&self) -> &Addresses {
        &self.addresses
    }

    /// Names and ARNs of this cloud.
    pub fn place(&self) -> &Place {
        &self.place
    }

    /// Calls to the emulator as its root user; `at` another address for the stand-ins.
    pub fn wire(&self) -> &Wire {
        &self.wire
    }

    /// Ends everything the cloud started and waits until it is gone.
    pub async fn stop(mut self) {
        self.stop.send_replace(true);
        let ended = async { while self.servers.join_next().await.is_some() {} };
        if tokio::time::timeout(STOP_LIMIT, ended).await.is_err() {
            tracing::warn!("a server didn't end in time");
        }
    }

    fn serve(&mut self, listeners: Listeners, options: &Options) {
        let authorize: Arc<dyn Authorize> = Arc::clone(&self.identity) as _;
        let deliver: Arc<dyn Deliver> = Arc::clone(&self.router) as _;
        let registry = Registry::new(
            self.wire.clone(),
            self.place.clone(),
            Arc::clone(&authorize),
            Arc::clone(&deliver),
        );
        let ecr = front::serve(listeners.ecr, Arc::new(registry), self.stopped());
        self.spawn("ecr", async { Ok(ecr.await?) });
        let _ = (authorize, deliver, options);
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

fn elapsed_ms(began: Instant) -> u128 {
    began.elapsed().as_millis()
}

/// What leads the functions to the stand-ins; for all else they have the emulator's address.
fn service_endpoints(addresses: &Addresses) -> BTreeMap<String, String> {
    [
        ("SAGEMAKER", &addresses.sagemaker),
        ("SAGEMAKER_RUNTIME", &addresses.sagemaker),
        ("ECR", &addresses.ecr),
        ("EKS", &addresses.eks),
    ]
    .into_iter()
    .map(|(service, address)| (format!("AWS_ENDPOINT_URL_{service}"), address.clone()))
    .collect()
}

fn refuse(plans: &[FunctionPlan]) -> anyhow::Result<()> {
    let refusals = refusals(plans);
    if refusals.is_empty() {
        return Ok(());
    }
    let lines: Vec<_> = refusals.iter().map(ToString::to_string).collect();
    bail!("AWS would refuse:\n{}", lines.join("\n"))
}

/// Sockets of the servers, bound before anything is deployed that names their addresses.
struct Listeners {
    sagemaker: TcpListener,
    ecr: TcpListener,
    eks: TcpListener,
}

impl Listeners {
    async fn bind() -> std::io::Result<Self> {
        let bind = || TcpListener::bind(("127.0.0.1", 0));
        let (sagemaker, ecr, eks) = tokio::try_join!(bind(), bind(), bind())?;
        Ok(Self {
            sagemaker,
            ecr,
            eks,
        })
    }

    fn addresses(&self, wire: &Wire) -> std::io::Result<Addresses> {
        let address = |listener: &TcpListener| {
            listener
                .local_addr()
                .map(|address| format!("http://{address}"))
        };
        Ok(Addresses {
            aws: wire.endpoint().to_owned(),
            sagemaker: address(&self.sagemaker)?,
            ecr: address(&self.ecr)?,
            eks: address(&self.eks)?,
            service: "http://127.0.0.1:1".to_owned(),
        })
    }
}
